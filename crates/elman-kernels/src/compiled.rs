//! Kernels of `f32` as functions of this crate.
//!
//! What is generic is compiled in every crate that calls it: all bodies of all instruction sets once more for each library, test
//! and page, and optimized as that crate is. The public kernels are generic, but for `f32` each calls a function that is not, and is
//! compiled here, once. `f64` is compiled where it is called, which is seldom but in tests.

use core::mem::ManuallyDrop;

/// The value of a kernel's body: for `f32` by a function of its own, with the arguments of these types.
macro_rules! compiled {
    ($scalar:ident: fn($($argument:ident: $type:ty),* $(,)?) $(-> $output:ty)? { $body:expr }) => {{
        #[inline(never)]
        fn of_f32($($argument: $type),*) $(-> $output)? {
            $body
        }
        // Known where it is compiled: the other branch is not.
        if $scalar::IS_F32 {
            // SAFETY: the scalar is `f32`, so that what is given and what is returned have the types that are stated.
            unsafe { crate::compiled::same(of_f32($(crate::compiled::same($argument)),*)) }
        } else {
            $body
        }
    }};
}
pub(crate) use compiled;

/// `value` as what it is.
///
/// # Safety
/// `A` and `B` must be one type, but for the names of its lifetimes.
#[inline(always)]
pub(crate) unsafe fn same<A, B>(value: A) -> B {
    let value = ManuallyDrop::new(value);
    // SAFETY: the caller guarantees that this reads a `B`, which is not dropped here.
    unsafe { (&raw const value).cast::<B>().read() }
}
