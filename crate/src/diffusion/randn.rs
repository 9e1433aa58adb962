//! `torch.randn` on the CPU, number for number, so that a seed means here what it means in the reference.
//!
//! Source: the algorithm of `at::normal_` for 16 or more f32 values: uniform numbers of 24 bits from a Mersenne Twister,
//! Box–Muller over blocks of 16 in which value j pairs with value j + 8, and a last block drawn anew if 16 does not
//! divide the count.

use rand_mt::Mt;

const BLOCK: usize = 16;

/// `count` standard normal values from `seed`. Exact for `count` ≥ 16, as all latents are; fewer use the same blocks.
pub fn randn(seed: u32, count: usize) -> Vec<f32> {
    let mut source = Mt::new(seed);
    let mut uniform = || (source.next_u32() & 0x00ff_ffff) as f32 / (1u32 << 24) as f32;
    let padded = count.max(BLOCK);
    let mut values: Vec<f32> = (0..padded).map(|_| uniform()).collect();
    for block in values.chunks_exact_mut(BLOCK) {
        box_muller(block);
    }
    if !padded.is_multiple_of(BLOCK) {
        let last = &mut values[padded - BLOCK..];
        last.fill_with(uniform);
        box_muller(last);
    }
    values.truncate(count);
    values
}

fn box_muller(block: &mut [f32]) {
    let (first, second) = block.split_at_mut(BLOCK / 2);
    for (a, b) in first.iter_mut().zip(second) {
        let radius = (-2.0 * (1.0 - *a).ln()).sqrt();
        let angle = 2.0 * std::f32::consts::PI * *b;
        (*a, *b) = (radius * angle.cos(), radius * angle.sin());
    }
}
