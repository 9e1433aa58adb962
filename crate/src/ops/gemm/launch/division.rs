//! How a product is divided on a GPU: into tiles, and its sum into parts.

use super::super::tile::Tile;
use crate::ops::tiles::Class;

/// 64 × 64, for products that would not fill a GPU otherwise.
pub const SMALL: Tile = Tile { threads_y: 8, threads_x: 8, rows4: 2, columns4: 2, depth: 16 };
/// 128 × 128, for large products. Fills WebGPU's default 16 KiB of workgroup memory.
const LARGE: Tile = Tile { threads_y: 16, threads_x: 16, rows4: 2, columns4: 2, depth: 16 };
/// 64 × 128.
const MIDDLE: Tile = Tile { threads_y: 8, threads_x: 16, rows4: 2, columns4: 2, depth: 16 };
/// The tiles of a [`Class`] of products.
const TILES: [Tile; 3] = [SMALL, LARGE, MIDDLE];
/// Workgroups that fill a GPU: two for each of the 132 multiprocessors of the largest GPUs.
const ENOUGH: usize = 264;
/// Blocks of [`LARGE`] below which a product is small.
const FEW: usize = 32;

/// The tile of a product on a GPU, and the number of parts its sum is split into (split-K).
pub fn divide(rows: usize, columns: usize, depth: usize, is_convolution: bool) -> (Tile, usize) {
    let groups = |tile: Tile| rows.div_ceil(tile.rows()) * columns.div_ceil(tile.columns());
    let class = match (groups(LARGE), is_convolution) {
        (ENOUGH.., _) => None,
        (FEW.., true) => Some(Class::Convolutions),
        (FEW.., false) => Some(Class::Linears),
        (_, true) => Some(Class::SmallConvolutions),
        (_, false) => Some(Class::SmallLinears),
    };
    let tile = class.map_or(LARGE, |class| class.chosen().map_or(SMALL, |index| TILES[index]));
    let wanted = ENOUGH.div_ceil(groups(tile));
    // Shorter parts cost more to add up than they gain.
    let parts = wanted.min(depth / 256).clamp(1, 16);
    (tile, parts)
}

/// Terms of a part of the sum, a multiple of the tile's depth, and the number of parts.
pub fn cut(depth: usize, parts: usize, tile: Tile) -> (usize, usize) {
    let part = depth.div_ceil(parts).next_multiple_of(tile.depth);
    (part, depth.div_ceil(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_keep_to_the_default_limits_of_webgpu() {
        for tile in TILES {
            assert!(tile.threads() <= 256);
            assert!(4 * tile.depth * (tile.rows() + tile.columns()) <= 16 << 10);
            // `stage_pixels` needs whole rounds: in each, every invocation stages one vector of columns.
            assert_eq!(tile.depth % (tile.threads() / (tile.columns() / 4)), 0);
        }
    }
}
