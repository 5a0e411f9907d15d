//! All weights of a model in one contiguous buffer, and the names of its tensors.
//!
//! So the optimizer, clipping, a checkpoint and a gradient check are each one loop over one slice. Layers hold
//! [`Slot`]s, no values.

mod init;
mod layout;

pub use init::Init;
pub use layout::{Layout, MAX_WEIGHTS, Slot, TensorInfo, layer_of};

use std::sync::Arc;

use elman_kernels::Scalar;

/// Values for every tensor of a layout: weights, or gradients, or an optimizer's moments.
#[derive(Clone, Debug)]
pub struct Params<F> {
    layout: Arc<Layout>,
    /// The values, in the layout's order.
    pub values: Vec<F>,
}

/// Gradients have the layout of the weights. `backward` adds to them; the caller zeroes.
pub type Grads<F> = Params<F>;

impl<F: Scalar> Params<F> {
    /// Zeros for every tensor.
    pub fn zeros(layout: &Arc<Layout>) -> Self {
        Params { layout: layout.clone(), values: vec![F::ZERO; layout.len()] }
    }

    /// The names and offsets of the tensors.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The values of the tensor with this name.
    pub fn get(&self, name: &str) -> Option<&[F]> {
        self.layout.slot(name).map(|slot| slot.of(self))
    }

    /// The values of the tensor with this name, mutable.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut [F]> {
        self.layout.slot(name).map(|slot| slot.of_mut(self))
    }

    /// Sets every value to zero.
    pub fn zero(&mut self) {
        self.values.fill(F::ZERO);
    }

    /// The same values in another element type.
    pub fn cast<G: Scalar>(&self) -> Params<G> {
        Params { layout: self.layout.clone(), values: self.values.iter().map(|x| G::from_f64(x.to_f64())).collect() }
    }
}
