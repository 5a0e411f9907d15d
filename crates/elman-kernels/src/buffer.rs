//! Memory for packed weights and scratch: aligned to a cache line, grown once, reused.

use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

/// Elements in a chunk: 64 bytes of `f32` or `u32`, two cache lines of `f64`.
const CHUNK: usize = 16;

/// What a [`Buffer`] holds: `f32`, `f64` or `u32`. Sealed: no other crate can name this trait.
///
/// # Safety
/// 64 must divide the size of [`CHUNK`] elements: other chunks would end in padding, which is no element.
pub unsafe trait Element: Copy + Default {}

// SAFETY: 16 elements of 4 bytes.
unsafe impl Element for f32 {}
// SAFETY: 16 elements of 8 bytes.
unsafe impl Element for f64 {}
// SAFETY: 16 elements of 4 bytes.
unsafe impl Element for u32 {}

#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
struct Chunk<F>([F; CHUNK]);

/// A cache-line-aligned slice of `f32`, `f64` or `u32` that keeps its capacity when it shrinks.
///
/// ```
/// let mut weights = elman_kernels::Buffer::<f32>::zeros(100);
/// weights[99] = 1.0;
/// assert_eq!(weights.as_ptr().align_offset(64), 0);
/// ```
///
/// No other elements, whose chunks might have padding:
///
/// ```compile_fail,E0599
/// let flags = elman_kernels::Buffer::<bool>::zeros(64);
/// ```
#[derive(Clone, Default)]
pub struct Buffer<F> {
    chunks: Vec<Chunk<F>>,
    len: usize,
}

impl<F: Element> Buffer<F> {
    /// An empty buffer; owns no memory yet.
    pub const fn new() -> Self {
        Buffer { chunks: Vec::new(), len: 0 }
    }

    /// Sets the length to `len`; allocates only beyond the longest length so far. Old contents stay, new elements hold
    /// zeros or values of an earlier, longer use.
    pub fn resize(&mut self, len: usize) {
        let chunks = len.div_ceil(CHUNK);
        if chunks > self.chunks.len() {
            self.chunks.resize(chunks, Chunk([F::default(); CHUNK]));
        }
        self.len = len;
    }

    /// A buffer of `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let mut buffer = Self::new();
        buffer.resize(len);
        buffer
    }
}

impl<F: Element> Deref for Buffer<F> {
    type Target = [F];
    fn deref(&self) -> &[F] {
        // SAFETY: the chunks are `len.div_ceil(CHUNK)` or more arrays of CHUNK elements, contiguous (`repr(C)`, and
        // `Element` guarantees that none has padding), all initialised.
        unsafe { core::slice::from_raw_parts(self.chunks.as_ptr().cast(), self.len) }
    }
}

impl<F: Element> DerefMut for Buffer<F> {
    fn deref_mut(&mut self) -> &mut [F] {
        // SAFETY: as for `deref`; the borrow is unique.
        unsafe { core::slice::from_raw_parts_mut(self.chunks.as_mut_ptr().cast(), self.len) }
    }
}
