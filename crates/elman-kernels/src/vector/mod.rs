//! The operations a kernel body is written in: one register of an instruction set.
//!
//! [`approx`]: the activation functions built from them. [`step`]: the further operations of inference steps.

pub(crate) mod approx;
pub(crate) mod step;

/// One SIMD register.
///
/// # Safety of use
/// The methods are safe to call by type but compile to instructions of their instruction set: a body over `V` may only
/// run inside the shell of that set in [`crate::arch`]. The pointer methods require what `core::ptr::read` requires,
/// for [`Self::LANES`] elements (or for `n`), without alignment.
pub trait Vector: Copy {
    /// The element type; its default is zero.
    type Scalar: Copy + Default + PartialOrd;
    /// Elements in a register.
    const LANES: usize;
    /// Rows of a tile with 2, 3 and 4 registers of columns: as many accumulators as leave registers for operands.
    const ROWS_2: usize;
    /// See [`Self::ROWS_2`].
    const ROWS_3: usize;
    /// See [`Self::ROWS_2`].
    const ROWS_4: usize;

    /// Broadcasts `x`.
    fn splat(x: Self::Scalar) -> Self;
    /// Reads `LANES` elements.
    ///
    /// # Safety
    /// `p` must be valid for reading `LANES` elements.
    unsafe fn load(p: *const Self::Scalar) -> Self;
    /// Writes `LANES` elements.
    ///
    /// # Safety
    /// `p` must be valid for writing `LANES` elements.
    unsafe fn store(self, p: *mut Self::Scalar);
    /// Reads `n <= LANES` elements; the other lanes are zero.
    ///
    /// # Safety
    /// `p` must be valid for reading `n` elements.
    unsafe fn load_n(p: *const Self::Scalar, n: usize) -> Self;
    /// Writes the first `n <= LANES` lanes.
    ///
    /// # Safety
    /// `p` must be valid for writing `n` elements.
    unsafe fn store_n(self, p: *mut Self::Scalar, n: usize);
    /// Prefetches the cache line at `p` for reading and writing; any address is allowed.
    fn prefetch(p: *const Self::Scalar);
    /// Prefetches the cache line at `p` into the L2 cache, where there is an instruction for it; any address is allowed.
    #[inline(always)]
    fn prefetch_later(_: *const u8) {}
    /// `self + b`.
    fn add(self, b: Self) -> Self;
    /// `self - b`.
    fn sub(self, b: Self) -> Self;
    /// `self * b`.
    fn mul(self, b: Self) -> Self;
    /// `self / b`.
    fn div(self, b: Self) -> Self;
    /// `self * b + c`, rounded once where the instruction set can.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// The smaller; `b` where either is NaN.
    fn min(self, b: Self) -> Self;
    /// The larger; `b` where either is NaN.
    fn max(self, b: Self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// `self` where `self > 0`, elsewhere zero; NaN stays.
    fn relu(self) -> Self;
    /// `y` where `self > 0`, elsewhere zero.
    fn where_positive(self, y: Self) -> Self;
    /// `2^self` for integral lanes within the exponent range of normal numbers.
    fn pow2(self) -> Self;
    /// `e^self`; see [`crate::activation`] for the error.
    fn exp(self) -> Self;
    /// `tanh(self)`.
    fn tanh(self) -> Self;
    /// `1 / (1 + e^-self)`.
    fn sigmoid(self) -> Self;
    /// The sum of the lanes, in a fixed order.
    fn sum(self) -> Self::Scalar;
    /// The largest lane.
    fn max_lane(self) -> Self::Scalar;
}

/// A register that multiplies bfloat16: two per lane, packed in a `u32`, an even element in the lower half and
/// the odd one after it in the upper. Safety is that of [`Vector`].
pub trait PairVector: Vector {
    /// [`Vector::LANES`] pairs.
    type Pairs: Copy;

    /// Broadcasts a pair.
    fn splat_pair(pair: u32) -> Self::Pairs;
    /// Reads `LANES` pairs.
    ///
    /// # Safety
    /// `p` must be valid for reading `LANES` words.
    unsafe fn load_pairs(p: *const u32) -> Self::Pairs;
    /// `self + a_odd b_odd + a_even b_even`, added in this order, each sum rounded once. A product of two bfloat16 is
    /// exact in `f32`, so that all instruction sets are bit-identical; only values below 2^-126 may become zero.
    fn multiply_add_pairs(self, a: Self::Pairs, b: Self::Pairs) -> Self;
}

/// As [`Kernel`], over bfloat16 pairs.
pub trait PairKernel<F> {
    /// The body.
    fn run<V: PairVector<Scalar = F>>(self);
}

/// A body written once over [`Vector`]; arguments are its fields.
///
/// `run` is `#[inline(always)]`, so that it is compiled inside the shell of each instruction set.
pub trait Kernel<F> {
    /// What it returns.
    type Output;
    /// The body.
    fn run<V: Vector<Scalar = F>>(self) -> Self::Output;
}

/// Reads `n` lanes: without a mask where the register is full.
///
/// # Safety
/// `p` must be valid for reading `n` elements.
#[inline(always)]
pub(crate) unsafe fn load<V: Vector>(p: *const V::Scalar, n: usize) -> V {
    // SAFETY: guaranteed by the caller.
    unsafe { if n == V::LANES { V::load(p) } else { V::load_n(p, n) } }
}

/// Writes `n` lanes: without a mask where the register is full.
///
/// # Safety
/// `p` must be valid for writing `n` elements.
#[inline(always)]
pub(crate) unsafe fn store<V: Vector>(v: V, p: *mut V::Scalar, n: usize) {
    // SAFETY: guaranteed by the caller.
    unsafe { if n == V::LANES { v.store(p) } else { v.store_n(p, n) } }
}
