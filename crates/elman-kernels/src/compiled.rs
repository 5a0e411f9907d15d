//! The kernels as functions of each element type.
//!
//! What is generic is compiled in every crate that calls it: all bodies of all instruction sets once more for each library,
//! test and page, and optimized as that crate is. Through [`Compiled`] (cells: [`crate::gates::Cells`]) they are compiled here,
//! once.

use crate::bf16::Operands;
use crate::gemm::{self, Packed, Scratch, Start};
use crate::isa::Isa;
use crate::mat::{Mat, MatMut};
use crate::{activation, attention, dot, optim, rows, softmax};

/// Declares a trait of kernels and implements it for `f32` and (with `std`) `f64`.
macro_rules! compiled {
    (
        $(#[$about:meta])* trait $trait:ident;
        $($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $output:ty)? $body:block)*
    ) => {
        $(#[$about])*
        pub trait $trait: Sized {
            $($(#[$attribute])* fn $name($($argument: $type),*) $(-> $output)?;)*
        }

        impl $trait for f32 {
            $($(#[$attribute])* #[inline(never)] fn $name($($argument: $type),*) $(-> $output)? $body)*
        }

        // Plain arrays, whatever the instruction set; compiled where they are called, which is seldom but in tests.
        #[cfg(feature = "std")]
        impl $trait for f64 {
            $($(#[$attribute])* #[inline] fn $name($($argument: $type),*) $(-> $output)? $body)*
        }
    };
}
pub(crate) use compiled;

compiled! {
    /// An element type that has these kernels. Sealed: no other crate can name this trait.
    trait Compiled;

    fn pack(packed: &mut Packed<Self>, b: Mat<'_, Self>, gates: usize) {
        packed.pack_on(packed.best(), b, gates);
    }
    fn gemm(a: Mat<'_, Self>, b: &Packed<Self>, c: MatMut<'_, Self>, start: Start<'_, Self>) {
        gemm::gemm_of(a, b, c, start);
    }
    fn gemm_unpacked(
        operands: Operands,
        a: Mat<'_, Self>,
        b: Mat<'_, Self>,
        c: MatMut<'_, Self>,
        start: Start<'_, Self>,
        scratch: &mut Scratch<Self>,
    ) {
        gemm::unpacked(operands, a, b, c, start, scratch);
    }

    fn gemm_rows(a: Mat<'_, Self>, b: Mat<'_, Self>, c: MatMut<'_, Self>, start: Start<'_, Self>) {
        dot::gemm_rows_on(Isa::best(), a, b, c, start);
    }

    fn dot(queries: &[Self], keys: &[Self], width: usize, scores: &mut [Self]) {
        attention::dot_on(Isa::best(), queries, keys, width, scores);
    }
    fn additive(keys: &[Self], query: &[Self], v: &[Self], scores: &mut [Self]) {
        attention::additive_on(Isa::best(), keys, query, v, scores);
    }
    fn additive_backward(
        keys: &[Self],
        query: &[Self],
        v: &[Self],
        dscores: &[Self],
        dkeys: &mut [Self],
        dquery: &mut [Self],
        dv: &mut [Self],
    ) {
        attention::additive_backward_on(Isa::best(), keys, query, v, dscores, dkeys, dquery, dv);
    }

    #[cfg(feature = "std")]
    fn cross_entropy(logits: &[Self], targets: &[u32]) -> f64 {
        softmax::cross_entropy_on(Isa::best(), logits, targets)
    }
    #[cfg(feature = "std")]
    fn cross_entropy_backward(logits: &mut [Self], targets: &[u32], scale: Self) -> f64 {
        softmax::cross_entropy_backward_on(Isa::best(), logits, targets, scale)
    }
    #[cfg(feature = "std")]
    fn smoothed_cross_entropy_backward(logits: &mut [Self], targets: &[u32], smoothing: f64, scale: Self) -> (f64, f64) {
        softmax::smoothed_cross_entropy_backward_on(Isa::best(), logits, targets, smoothing, scale)
    }
    fn softmax(row: &mut [Self]) {
        softmax::softmax_of(row);
    }
    #[cfg(feature = "std")]
    fn log_sum_exp(row: &[Self]) -> Self {
        softmax::log_sum_exp_of(row)
    }

    fn scatter_add(x: &[Self], stride: usize, tokens: &[u32], table: &mut [Self], width: usize) {
        rows::scatter_add_of(x, stride, tokens, table, width);
    }
    fn sum_add(x: &[Self], rows: usize, stride: usize, out: &mut [Self]) {
        rows::sum_add_of(x, rows, stride, out);
    }
    fn multiply(x: &[Self], y: &mut [Self]) {
        rows::multiply_of(x, y);
    }

    fn exp_each(x: &mut [Self]) {
        activation::exp_on(Isa::best(), x);
    }
    fn tanh_each(x: &mut [Self]) {
        activation::tanh_on(Isa::best(), x);
    }
    fn sigmoid_each(x: &mut [Self]) {
        activation::sigmoid_on(Isa::best(), x);
    }
    fn relu_each(x: &mut [Self]) {
        activation::relu_on(Isa::best(), x);
    }
    fn sqrt_each(x: &mut [Self]) {
        activation::sqrt_on(Isa::best(), x);
    }

    fn clamp(x: &mut [Self], bound: Self) {
        optim::clamp_on(Isa::best(), x, bound);
    }
    fn sum_of_squares(x: &[Self]) -> f64 {
        optim::sum_of_squares_on(Isa::best(), x)
    }

    fn sgd(rule: optim::Sgd<Self>, grad: &[Self], state: [&mut [Self]; 1]) {
        optim::update_on(Isa::best(), rule, grad, state);
    }
    fn momentum(rule: optim::Momentum<Self>, grad: &[Self], state: [&mut [Self]; 2]) {
        optim::update_on(Isa::best(), rule, grad, state);
    }
    fn adagrad(rule: optim::Adagrad<Self>, grad: &[Self], state: [&mut [Self]; 2]) {
        optim::update_on(Isa::best(), rule, grad, state);
    }
    fn rmsprop(rule: optim::Rmsprop<Self>, grad: &[Self], state: [&mut [Self]; 2]) {
        optim::update_on(Isa::best(), rule, grad, state);
    }
    fn rmsprop_momentum(rule: optim::RmspropMomentum<Self>, grad: &[Self], state: [&mut [Self]; 3]) {
        optim::update_on(Isa::best(), rule, grad, state);
    }
    fn adam(rule: optim::Adam<Self>, grad: &[Self], state: [&mut [Self]; 3]) {
        optim::update_on(Isa::best(), rule, grad, state);
    }
    fn average(rule: optim::Average<Self>, grad: &[Self], state: [&mut [Self]; 1]) {
        optim::update_on(Isa::best(), rule, grad, state);
    }
}
