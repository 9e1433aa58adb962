//! Products of matrices on one core of the processor: by the crate gemm, and in WebAssembly by a kernel of our own. There an
//! instruction computes four numbers, and no more than 16 vectors fit into registers. gemm's tile of 12 × 4 numbers takes more,
//! and is half as fast.

/// A matrix within a tensor: its numbers from the first on, and the strides of rows and columns.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    pub values: &'a [f32],
    pub row: usize,
    pub column: usize,
}

/// out = a·b, or out += a·b if `add`; `a` is `rows` by `inner`, `b` is `inner` by `columns`, and rows of `out` are `stride`
/// apart.
pub fn multiply(
    [rows, columns, inner]: [usize; 3],
    (out, stride): (&mut [f32], usize),
    a: Matrix<'_>,
    b: Matrix<'_>,
    add: bool,
) {
    assert!((rows - 1) * stride + columns <= out.len());
    // SAFETY: `out` is borrowed exclusively, and contains the last number, as asserted.
    unsafe { multiply_into([rows, columns, inner], (out.as_mut_ptr(), stride), a, b, add) }
}

/// As [`multiply`].
///
/// # Safety
/// `out` is valid for all rows, and nothing else reads or writes them meanwhile.
pub unsafe fn multiply_into(
    [rows, columns, inner]: [usize; 3],
    (out, stride): (*mut f32, usize),
    a: Matrix<'_>,
    b: Matrix<'_>,
    add: bool,
) {
    let ends = |matrix: Matrix, rows: usize, columns: usize| {
        (rows - 1) * matrix.row + (columns - 1) * matrix.column < matrix.values.len()
    };
    assert!(ends(a, rows, inner) && ends(b, inner, columns));
    // SAFETY: both factors end within their slices, as asserted; the caller guarantees `out`.
    #[cfg(not(target_arch = "wasm32"))]
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out,
            1,
            stride as isize,
            add,
            a.values.as_ptr(),
            a.column as isize,
            a.row as isize,
            b.values.as_ptr(),
            b.column as isize,
            b.row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
    // SAFETY: the same.
    #[cfg(target_arch = "wasm32")]
    unsafe {
        tiled::multiply([rows, columns, inner], (out, stride), a, b, add);
    }
}

/// The product in tiles whose sums stay in registers (Goto and van de Geijn, "Anatomy of High-Performance Matrix
/// Multiplication", 2008).
#[cfg(any(test, target_arch = "wasm32"))]
mod tiled {
    use std::cell::RefCell;

    use super::Matrix;

    /// Rows and columns of a tile: nine vectors of sums, three of `b`, and one of `a`.
    const ROWS: usize = 3;
    const COLUMNS: usize = 12;
    /// Terms of a sum that are packed at once: a panel of `b` then stays in the first-level cache.
    const DEPTH: usize = 256;

    thread_local! {
        /// Memory for a panel of `b`.
        static PANEL: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }

    /// Copies columns of `b` from `left` on, of which `wide` exist, to a panel, row by row from `from` on. Missing columns are 0.
    fn pack(panel: &mut [f32], b: Matrix<'_>, (left, wide): (usize, usize), from: usize) {
        let lanes = panel.as_chunks_mut::<COLUMNS>().0;
        let values = &b.values[from * b.row + left * b.column..];
        if b.column == 1 && wide == COLUMNS {
            for (lane, row) in lanes.iter_mut().zip(values.chunks(b.row)) {
                lane.copy_from_slice(&row[..COLUMNS]);
            }
            return;
        }
        if wide < COLUMNS {
            lanes.fill([0.0; COLUMNS]);
        }
        for i in 0..wide {
            let column = &values[i * b.column..];
            if b.row == 1 {
                lanes.iter_mut().zip(column).for_each(|(lane, value)| lane[i] = *value);
            } else {
                lanes.iter_mut().zip(column.iter().step_by(b.row)).for_each(|(lane, value)| lane[i] = *value);
            }
        }
    }

    /// The product of three rows with a panel. Not inlined, since its sums would not stay in registers. Written as it is because
    /// Chromium and Firefox make 40 GFLOPS of it, and of three rows packed together only 25.
    #[inline(never)]
    #[allow(clippy::needless_range_loop, reason = "three loops of known length are compiled to nine vectors of sums")]
    fn tile(rows: [&[f32]; ROWS], panel: &[f32]) -> [[f32; COLUMNS]; ROWS] {
        let panel = panel.as_chunks::<COLUMNS>().0;
        let [a0, a1, a2] = rows.map(|row| &row[..panel.len()]);
        let (mut sums0, mut sums1, mut sums2) = ([0.0f32; COLUMNS], [0.0f32; COLUMNS], [0.0f32; COLUMNS]);
        for (at, b) in panel.iter().enumerate() {
            for j in 0..COLUMNS {
                sums0[j] += a0[at] * b[j];
            }
            for j in 0..COLUMNS {
                sums1[j] += a1[at] * b[j];
            }
            for j in 0..COLUMNS {
                sums2[j] += a2[at] * b[j];
            }
        }
        [sums0, sums1, sums2]
    }

    /// Sets numbers to sums, or adds them.
    #[inline(always)]
    fn put(to: &mut [f32], sums: &[f32], add: bool) {
        if add {
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
        } else {
            to.copy_from_slice(sums);
        }
    }

    /// [`super::multiply_into`].
    ///
    /// # Safety
    /// `out` is valid for all rows, and nothing else reads or writes them meanwhile.
    pub unsafe fn multiply(
        [rows, columns, inner]: [usize; 3],
        (out, stride): (*mut f32, usize),
        a: Matrix<'_>,
        b: Matrix<'_>,
        add: bool,
    ) {
        let copied: Vec<f32>;
        let a = if a.column == 1 {
            a
        } else {
            let row = |row: usize| a.values[row * a.row..].iter().step_by(a.column).take(inner).copied();
            copied = (0..rows).flat_map(row).collect();
            Matrix { values: &copied, row: inner, column: 1 }
        };
        PANEL.with_borrow_mut(|panel| {
            panel.resize(COLUMNS * DEPTH, 0.0);
            for from in (0..inner).step_by(DEPTH) {
                let depth = DEPTH.min(inner - from);
                let panel = &mut panel[..COLUMNS * depth];
                let add = add || from > 0;
                for left in (0..columns).step_by(COLUMNS) {
                    let wide = COLUMNS.min(columns - left);
                    pack(panel, b, (left, wide), from);
                    for first in (0..rows).step_by(ROWS) {
                        // The last tile may have fewer rows: it computes one of them repeatedly.
                        let row = |i: usize| &a.values[(first + i).min(rows - 1) * a.row + from..][..depth];
                        let sums = tile([row(0), row(1), row(2)], panel);
                        for (row, sums) in (first..rows).zip(&sums) {
                            // SAFETY: the caller guarantees all rows of `out`.
                            let to = unsafe { std::slice::from_raw_parts_mut(out.add(row * stride + left), wide) };
                            match <&mut [f32; COLUMNS]>::try_from(&mut *to) {
                                // Of a known length, which is compiled to vectors.
                                Ok(to) => put(to, sums, add),
                                Err(_) => put(to, &sums[..wide], add),
                            }
                        }
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Matrix, multiply, tiled};

    #[test]
    fn tiles_make_the_same_product() {
        let values: Vec<f32> = (0..200_000).map(|i| ((i * 7919) % 1000) as f32 / 1000.0 - 0.5).collect();
        for (rows, columns, inner) in [(1, 1, 1), (3, 12, 256), (4, 13, 257), (7, 40, 600), (65, 5, 2), (2, 77, 1025)] {
            for (row_major_a, row_major_b, add) in [(true, true, false), (false, true, true), (true, false, true)] {
                let strided = |rows: usize, columns: usize, is_row_major: bool| match is_row_major {
                    true => Matrix { values: &values[..rows * (columns + 3)], row: columns + 3, column: 1 },
                    false => Matrix { values: &values[..columns * (rows + 1)], row: 1, column: rows + 1 },
                };
                let (a, b) = (strided(rows, inner, row_major_a), strided(inner, columns, row_major_b));
                let stride = columns + 2;
                let (mut expected, mut made) = (vec![0.25; rows * stride], vec![0.25; rows * stride]);
                multiply([rows, columns, inner], (&mut expected, stride), a, b, add);
                // SAFETY: `made` has all rows.
                unsafe { tiled::multiply([rows, columns, inner], (made.as_mut_ptr(), stride), a, b, add) };
                for (at, (made, expected)) in made.iter().zip(&expected).enumerate() {
                    assert!((made - expected).abs() <= 1e-4, "at {at} of {rows} × {columns}: {made}, not {expected}");
                }
            }
        }
    }
}
