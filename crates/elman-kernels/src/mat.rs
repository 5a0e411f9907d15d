//! Matrix views of slices.

/// A read-only matrix: element `(r, c)` is `data[r * row_stride + c * col_stride]`.
#[derive(Clone, Copy)]
pub struct Mat<'a, F> {
    pub(crate) data: &'a [F],
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

/// Elements spanned by a strided matrix, the last one included.
fn reach(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> usize {
    if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row_stride + (cols - 1) * col_stride + 1 }
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
        assert!(data.len() >= reach(rows, cols, row_stride, 1), "matrix [{rows}, {cols}] exceeds its slice");
        Mat { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transpose, `[cols, rows]`; no data moves.
    pub fn t(self) -> Self {
        Mat { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }
}

/// A mutable matrix, row-major: element `(r, c)` is `data[r * row_stride + c]`.
pub struct MatMut<'a, F> {
    pub(crate) data: &'a mut [F],
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
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
        assert!(data.len() >= reach(rows, cols, row_stride, 1), "matrix [{rows}, {cols}] exceeds its slice");
        assert!(rows < 2 || row_stride >= cols, "rows of a mutable matrix overlap");
        MatMut { data, rows, cols, row_stride }
    }
}
