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
        /// Memory for both packed factors.
        static PACKED: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
    }

    /// Copies rows of `matrix` from `first` on, of which `count` exist, to a panel, column by column from `from` on. Missing rows
    /// are 0.
    fn pack<const SIDE: usize>(panel: &mut [f32], matrix: Matrix<'_>, (first, count): (usize, usize), from: usize) {
        let lanes = panel.as_chunks_mut::<SIDE>().0;
        let values = &matrix.values[first * matrix.row + from * matrix.column..];
        if matrix.row == 1 && count == SIDE {
            for (lane, column) in lanes.iter_mut().zip(values.chunks(matrix.column)) {
                lane.copy_from_slice(&column[..SIDE]);
            }
            return;
        }
        if count < SIDE {
            lanes.fill([0.0; SIDE]);
        }
        for i in 0..count {
            let row = &values[i * matrix.row..];
            if matrix.column == 1 {
                lanes.iter_mut().zip(row).for_each(|(lane, value)| lane[i] = *value);
            } else {
                lanes.iter_mut().zip(row.iter().step_by(matrix.column)).for_each(|(lane, value)| lane[i] = *value);
            }
        }
    }

    /// The product of two panels. Not inlined, since its sums would not stay in registers; and packed both, since an address more
    /// for every row of `a` halves the speed.
    #[inline(never)]
    fn tile(a: &[f32], b: &[f32]) -> [[f32; COLUMNS]; ROWS] {
        let mut sums = [[0.0; COLUMNS]; ROWS];
        for (a, b) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<COLUMNS>().0) {
            for (sums, a) in sums.iter_mut().zip(a) {
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum += a * b;
                }
            }
        }
        sums
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
        // The rows of its panels are the product's columns.
        let b = Matrix { row: b.column, column: b.row, ..b };
        PACKED.with_borrow_mut(|[packed, panel]| {
            packed.resize(rows.next_multiple_of(ROWS) * DEPTH, 0.0);
            panel.resize(COLUMNS * DEPTH, 0.0);
            for from in (0..inner).step_by(DEPTH) {
                let depth = DEPTH.min(inner - from);
                for (first, packed) in (0..rows).step_by(ROWS).zip(packed.chunks_mut(ROWS * depth)) {
                    pack::<ROWS>(packed, a, (first, ROWS.min(rows - first)), from);
                }
                let panel = &mut panel[..COLUMNS * depth];
                let add = add || from > 0;
                for left in (0..columns).step_by(COLUMNS) {
                    let wide = COLUMNS.min(columns - left);
                    pack::<COLUMNS>(panel, b, (left, wide), from);
                    for (first, packed) in (0..rows).step_by(ROWS).zip(packed.chunks(ROWS * depth)) {
                        let sums = tile(packed, panel);
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
