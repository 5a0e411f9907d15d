//! Names and offsets of the tensors in the flat buffer.

use std::collections::HashMap;
use std::ops::Range;

use elman_kernels::Scalar;

use super::Params;

/// The most weights of a network.
pub const MAX_WEIGHTS: usize = 1 << 31;

/// The range of one tensor in the flat buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    offset: usize,
    len: usize,
}

impl Slot {
    /// The tensor's values in the weights (or gradients).
    pub fn of<F: Scalar>(self, params: &Params<F>) -> &[F] {
        &params.values[self.range()]
    }

    /// The tensor's values, mutable.
    pub fn of_mut<F: Scalar>(self, params: &mut Params<F>) -> &mut [F] {
        &mut params.values[self.range()]
    }

    /// Its range in the flat buffer.
    pub fn range(self) -> Range<usize> {
        self.offset..self.offset + self.len
    }
}

/// One tensor of a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// PyTorch's name, such as `rnn.weight_ih_l0`.
    pub name: String,
    /// Its dimensions.
    pub dims: Vec<usize>,
    /// Its range.
    pub slot: Slot,
}

impl TensorInfo {
    /// Its layer, as people name it: `embedding`, `rnn.0`, `output`.
    pub fn layer(&self) -> String {
        layer_of(&self.name)
    }
}

/// The layer of a tensor by its name: `rnn.0` of `rnn.weight_ih_l0`, else what stands before the last point.
pub fn layer_of(tensor: &str) -> String {
    let (layer, name) = tensor.rsplit_once('.').unwrap_or(("", tensor));
    let number = name.rsplit_once("_l").map(|(_, rest)| rest.trim_end_matches("_reverse"));
    match number.filter(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(number) if layer.is_empty() => number.into(),
        Some(number) => format!("{layer}.{number}"),
        None if layer.is_empty() => tensor.into(),
        None => layer.into(),
    }
}

/// The tensors of a model, in the order of the flat buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<TensorInfo>,
    by_name: HashMap<String, usize>,
    len: usize,
}

impl Layout {
    /// No tensors yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a tensor.
    ///
    /// # Panics
    /// If the name is taken: a bug in a layer.
    pub fn add(&mut self, name: impl Into<String>, dims: &[usize]) -> Slot {
        let name = name.into();
        // What exceeds the address space is refused by who makes weights of it.
        let len = dims.iter().fold(1usize, |product, &dim| product.saturating_mul(dim));
        let slot = Slot { offset: self.len, len };
        let previous = self.by_name.insert(name.clone(), self.tensors.len());
        assert!(previous.is_none(), "two tensors are named {name}");
        self.len = self.len.saturating_add(slot.len);
        self.tensors.push(TensorInfo { name, dims: dims.to_vec(), slot });
        slot
    }

    /// The tensors in order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The range of the tensor with this name.
    pub fn slot(&self, name: &str) -> Option<Slot> {
        self.by_name.get(name).map(|&i| self.tensors[i].slot)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the layout is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The ranges of matrices, which weight decay applies to, unlike biases.
    pub fn matrices(&self) -> Vec<Range<usize>> {
        self.tensors.iter().filter(|t| t.dims.len() >= 2).map(|t| t.slot.range()).collect()
    }
}
