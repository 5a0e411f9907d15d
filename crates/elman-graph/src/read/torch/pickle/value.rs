//! What pickles are made of: values, and the places of tensors' numbers.

use crate::tensor::Dtype;

/// A value, or the place of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    At(usize),
}

/// A value of several parts.
#[derive(Debug)]
pub(crate) enum Node {
    Text(String),
    Bytes,
    /// A class or function, `module.name`.
    Global(String),
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Storage(Box<Storage>),
    Tensor(Box<View>),
    /// A harmless object that has nothing to do with weights, such as a `numpy` number or a device.
    Opaque,
}

/// Numbers kept outside the pickle.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Storage {
    pub(crate) key: String,
    pub(crate) dtype: Dtype,
    /// Elements.
    pub(crate) len: usize,
    /// First element, where the storage is part of another (files before PyTorch 0.4).
    pub(crate) offset: usize,
}

/// A tensor: a view of a storage.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) storage: Storage,
    pub(crate) offset: usize,
    pub(crate) dims: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}
