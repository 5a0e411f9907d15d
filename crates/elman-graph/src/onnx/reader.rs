//! A graph of ONNX while it is read: its names and constants so far.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use super::proto::{Budget, GraphProto, NodeProto, TensorProto};
use crate::error::{Error, Result};
use crate::graph::{Fate, Port, TensorNote};
use crate::tensor::Tensor;

/// A graph being read.
pub(super) struct Reader<'a> {
    pub(super) opset: i64,
    pub(super) folder: Option<&'a Path>,
    pub(super) budget: Budget,
    pub(super) constants: BTreeMap<String, Tensor>,
    pub(super) tensors: Vec<TensorNote>,
    /// Inputs of the outermost graph.
    pub(super) inputs: Vec<Port>,
    /// Computed values that are single numbers: scales and zero points.
    pub(super) single: HashSet<String>,
    /// Names taken, over all subgraphs.
    pub(super) taken: HashSet<String>,
    /// What each name of the file is called here, from the outermost graph to the innermost.
    pub(super) scopes: Vec<HashMap<&'a str, String>>,
}

impl<'a> Reader<'a> {
    /// A new value of the innermost graph; its name here.
    pub(super) fn define(&mut self, name: &'a str) -> Result<String> {
        if name.is_empty() {
            return Err(Error::malformed("the graph", "a value has no name"));
        }
        let unique = self.unique(name);
        let earlier = self.scopes.last_mut().and_then(|scope| scope.insert(name, unique.clone()));
        if earlier.is_some() { Err(Error::malformed(name, "two values have this name")) } else { Ok(unique) }
    }

    /// A name nobody has, made of `hint`.
    pub(super) fn unique(&mut self, hint: &str) -> String {
        let mut name = hint.to_string();
        let mut n = 1;
        while !self.taken.insert(name.clone()) {
            n += 1;
            name = format!("{hint}_{n}");
        }
        name
    }

    /// A new constant; its name.
    pub(super) fn constant(&mut self, hint: &str, tensor: Tensor) -> String {
        let name = self.unique(hint);
        self.constants.insert(name.clone(), tensor);
        name
    }

    /// The constant of that name here.
    pub(super) fn known(&self, name: &str) -> Option<&Tensor> {
        self.constants.get(name)
    }

    pub(super) fn find(&self, name: &str) -> Option<&String> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    pub(super) fn name(&self, name: &str) -> Result<String> {
        self.find(name).cloned().ok_or_else(|| Error::malformed(name, "this value is read, and nothing makes it"))
    }

    /// A tensor of the file.
    pub(super) fn tensor(&mut self, proto: &TensorProto) -> Result<Tensor> {
        if !proto.is_external {
            return proto.tensor(None);
        }
        let bytes = super::external::bytes(proto, self.folder)?;
        proto.tensor(Some(&bytes))
    }

    /// A tensor in an attribute.
    pub(super) fn attribute_tensor(&mut self, bytes: &'a [u8]) -> Result<Tensor> {
        let proto = TensorProto::parse(bytes, &mut self.budget)?;
        self.tensor(&proto)
    }

    pub(super) fn initializers(&mut self, proto: &GraphProto<'a>) -> Result<()> {
        if proto.sparse > 0 {
            return Err(Error::unsupported("the graph", "a sparse tensor"));
        }
        for initializer in &proto.initializers {
            let tensor = self.tensor(initializer)?;
            let name = self.define(initializer.name)?;
            let dims = tensor.dims().to_vec();
            self.tensors.push(TensorNote { name: name.clone(), dims, fate: Fate::Unused(String::new()) });
            self.constants.insert(name, tensor);
        }
        Ok(())
    }
}

/// For messages: the node's name with its operator.
pub(super) fn part(proto: &NodeProto) -> String {
    let name = if proto.name.is_empty() { proto.outputs.first().copied().unwrap_or("a node") } else { proto.name };
    format!("{name} ({})", proto.op)
}
