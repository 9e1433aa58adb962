//! Multiplies two tiles in workgroup memory into a register tile.

use cubecl::prelude::*;

use super::weights::F4;

/// How a workgroup divides its block of the product among its invocations, and how many terms it stages at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Invocations along the rows.
    pub threads_y: usize,
    /// Invocations along the columns.
    pub threads_x: usize,
    /// Vectors of four rows in an invocation's register tile.
    pub rows4: usize,
    /// Vectors of four columns in an invocation's register tile.
    pub columns4: usize,
    /// Terms staged in workgroup memory at once; a multiple of four.
    pub depth: usize,
}

impl Tile {
    /// Invocations in a workgroup.
    pub const fn threads(self) -> usize {
        self.threads_x * self.threads_y
    }

    /// Rows of a workgroup's block.
    pub const fn rows(self) -> usize {
        4 * self.rows4 * self.threads_y
    }

    /// Columns of a workgroup's block.
    pub const fn columns(self) -> usize {
        4 * self.columns4 * self.threads_x
    }
}

/// An invocation's register tile: row r (of 4·rows4) and vector of columns c are at r·columns4 + c.
pub type Sums = Sequence<RuntimeCell<F4>>;

/// `count` sums, all zero.
#[cube]
pub fn zeros(#[comptime] count: usize) -> Sums {
    let mut sums = Sequence::<RuntimeCell<F4>>::new();
    #[unroll]
    for _ in 0..count {
        sums.push(RuntimeCell::new(F4::new(0.0f32)));
    }
    sums
}

/// Adds the product of the staged tiles to `sums`: `left` is (depth, rows), `right` (depth, columns), in vectors of four.
#[cube]
pub fn multiply(left: &[F4], right: &[F4], sums: &Sums, y: usize, x: usize, #[comptime] tile: Tile) {
    let Tile { threads_y, threads_x, rows4, columns4, depth } = comptime!(tile);
    for k in 0..depth {
        let mut columns = Sequence::<F4>::new();
        #[unroll]
        for c in 0..columns4 {
            columns.push(right[k * (threads_x * columns4) + c * threads_x + x]);
        }
        #[unroll]
        for r4 in 0..rows4 {
            let rows = left[k * (threads_y * rows4) + r4 * threads_y + y];
            #[unroll]
            for r in 0..4usize {
                let row = F4::new(rows.extract(r));
                #[unroll]
                for c in 0..columns4 {
                    let sum = sums.index((4 * r4 + r) * columns4 + c);
                    sum.store(fma(row, *columns.index(c), sum.read()));
                }
            }
        }
    }
}
