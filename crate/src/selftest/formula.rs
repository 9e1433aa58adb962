//! Weights of a model's true size without a download, by the reference's formulas `hash_u` and `hash_init`.

/// `count` numbers in [−1, 1) of 24 bits: `SplitMix64` from the FNV-1a hash of `name`, as the reference's `hash_u`.
pub fn uniform(name: &str, count: usize) -> Vec<f32> {
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (0..count as u64)
        .map(|i| {
            let mut z = i.wrapping_add(seed).wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 40) as f32 * 2f32.powi(-23) - 1.0
        })
        .collect()
}

/// The tensor `prefix.name`: matrices and convolutions are scaled by their fan-in, token embeddings by 0.5, and the
/// rest lies around 0 or 1.
pub fn values(prefix: &str, name: &str, shape: &[usize]) -> Vec<f32> {
    let mut values = uniform(&format!("{prefix}.{name}"), shape.iter().product());
    let (scale, offset) = if name.contains("embedding.weight") && !name.contains("time") {
        (0.5, 0.0)
    } else if shape.len() >= 2 {
        let gain = if name.contains("attn1.to_q") || name.contains("attn1.to_k") { 1.7 } else { 1.0 };
        let fan_in: usize = shape[1..].iter().product();
        ((3f64.sqrt() * gain / (fan_in as f64).sqrt()) as f32, 0.0)
    } else if name.ends_with("weight") {
        (0.2, 1.0)
    } else {
        (0.1, 0.0)
    };
    values.iter_mut().for_each(|value| *value = offset + *value * scale);
    values
}
