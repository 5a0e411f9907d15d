//! Register operations of inference steps beyond [`Vector`]: weights of two bytes and of one.

use super::Vector;

/// One SIMD register of `f32`, with its integer counterparts. Safety is that of [`Vector`].
pub(crate) trait StepVector: Vector<Scalar = f32> {
    /// As many `i32` as there are lanes.
    type Int: Copy;
    /// Four bytes, broadcast to every lane, for [`Self::dot`].
    type Quad: Copy;

    /// Reads `LANES` words of two bf16: the lower halves, and the upper.
    ///
    /// # Safety
    /// `p` must be valid for reading `LANES` words.
    unsafe fn load_pair(p: *const u32) -> (Self, Self);
    /// All lanes zero.
    fn int_zero() -> Self::Int;
    /// Reads `LANES` values.
    ///
    /// # Safety
    /// `p` must be valid for reading `LANES` words.
    unsafe fn int_load(p: *const u32) -> Self::Int;
    /// `a + b`.
    fn int_add(a: Self::Int, b: Self::Int) -> Self::Int;
    /// The nearest `f32`.
    fn int_to_f32(a: Self::Int) -> Self;
    /// Reads four unsigned bytes.
    ///
    /// # Safety
    /// `p` must be valid for reading a word.
    unsafe fn quad(p: *const u32) -> Self::Quad;
    /// `acc + w . q` in each lane: the products of four signed bytes of `w` with the four unsigned of `q`, added.
    ///
    /// # Safety
    /// `w` must be valid for reading `LANES` words.
    unsafe fn dot(acc: Self::Int, w: *const u32, q: Self::Quad) -> Self::Int;
    /// Writes `128 + self`, rounded to the nearest integer, as unsigned bytes; lanes must be from -128 to 127.
    ///
    /// # Safety
    /// `p` must be valid for writing `n <= LANES` bytes.
    unsafe fn store_bytes(self, p: *mut u8, n: usize);
}

/// A body written once over [`StepVector`]; arguments are its fields. `run` is `#[inline(always)]`.
pub(crate) trait StepKernel {
    /// Whether it calls [`StepVector::dot`].
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    const BYTES: bool;
    /// The body.
    fn run<V: StepVector>(self);
}
