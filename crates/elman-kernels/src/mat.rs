//! Matrix views of slices.

/// A read-only matrix: element `(r, c)` is `data[r * row_stride + c * col_stride]`.
///
/// ```
/// let x = elman_kernels::Mat::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3);
/// assert_eq!((x.rows(), x.t().rows()), (2, 3));
/// ```
///
/// Sizes are those that were checked against the slice; none can be set:
///
/// ```compile_fail,E0616
/// let mut x = elman_kernels::Mat::new(&[1.0], 1, 1);
/// x.rows = 200_000;
/// ```
#[derive(Clone, Copy)]
pub struct Mat<'a, F> {
    pub(crate) data: &'a [F],
    // Read-only outside the crate: kernels rely on the reach that was checked when the matrix was made.
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

/// Whether `len` elements hold `rows` rows of `cols` elements, one every `row_stride`, the last one included.
pub(crate) fn reaches(len: usize, rows: usize, cols: usize, row_stride: usize) -> bool {
    if rows == 0 || cols == 0 {
        return true;
    }
    (rows - 1).checked_mul(row_stride).and_then(|at| at.checked_add(cols)).is_some_and(|reach| reach <= len)
}

/// The product of the sizes of an array.
///
/// # Panics
/// If it exceeds `usize`.
#[inline(always)]
pub(crate) fn size<const N: usize>(sizes: [usize; N]) -> usize {
    let mut product = 1usize;
    for size in sizes {
        product = product.checked_mul(size).expect("the product of an array's sizes exceeds the address space");
    }
    product
}

impl<'a, F> Mat<'a, F> {
    /// `data` as `[rows, cols]`, row-major.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * cols`.
    pub fn new(data: &'a [F], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// `[rows, cols]` with `row_stride` elements from one row to the next.
    ///
    /// # Panics
    /// If `data` ends before the last element.
    pub fn strided(data: &'a [F], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(reaches(data.len(), rows, cols, row_stride), "matrix [{rows}, {cols}] exceeds its slice");
        Mat { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The transpose, `[cols, rows]`; no data moves.
    pub fn t(self) -> Self {
        Mat { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }
}

/// A mutable matrix, row-major: element `(r, c)` is `data[r * row_stride + c]`.
pub struct MatMut<'a, F> {
    pub(crate) data: &'a mut [F],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
}

impl<'a, F> MatMut<'a, F> {
    /// `data` as `[rows, cols]`, row-major.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * cols`.
    pub fn new(data: &'a mut [F], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// `[rows, cols]` with `row_stride` elements from one row to the next.
    ///
    /// # Panics
    /// If `data` ends before the last element, or if rows overlap.
    pub fn strided(data: &'a mut [F], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(reaches(data.len(), rows, cols, row_stride), "matrix [{rows}, {cols}] exceeds its slice");
        assert!(rows < 2 || row_stride >= cols, "rows of a mutable matrix overlap");
        MatMut { data, rows, cols, row_stride }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn cols(&self) -> usize {
        self.cols
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::size;

    /// Lengths of slices are compared with it, by attention's gradients too, whose scores and width may each be 2^32.
    #[test]
    fn a_product_of_sizes_that_wraps_is_no_length() {
        assert_eq!(size([3, 0, usize::MAX]), 0);
        let half = 1 << (usize::BITS / 2);
        for sizes in [[half, half, 1], [usize::MAX, 1, 2]] {
            let panic = std::panic::catch_unwind(|| size(sizes)).unwrap_err();
            assert!(panic.downcast_ref::<alloc::string::String>().unwrap().contains("exceeds the address space"));
        }
    }
}
