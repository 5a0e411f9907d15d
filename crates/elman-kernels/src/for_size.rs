//! In a page all but this crate is compiled for size, and what is generic is compiled where it is called. The kernels that take
//! the time have a body for `f32` here, so that they are compiled for speed.

use core::any::TypeId;
use core::mem::ManuallyDrop;

/// Whether `F` is `f32`.
#[inline(always)]
pub(crate) fn is_f32<F: 'static>() -> bool {
    TypeId::of::<F>() == TypeId::of::<f32>()
}

/// `value` as what it is.
///
/// # Safety
/// `A` and `B` must be one type.
#[inline(always)]
pub(crate) unsafe fn same<A, B>(value: A) -> B {
    let value = ManuallyDrop::new(value);
    // SAFETY: the caller guarantees that this reads a `B`, which is not dropped here.
    unsafe { (&raw const value).cast::<B>().read() }
}
