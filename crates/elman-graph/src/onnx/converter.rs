//! A node of ONNX while it is brought to the newest version of its operator.

use super::attributes::Attributes;
use super::proto::NodeProto;
use super::reader::{Reader, part};
use crate::error::{Error, Result};
use crate::graph::{Node, Op};
use crate::tensor::Tensor;

/// One node of the file, with its attributes and inputs, and the nodes made so far.
pub(super) struct Converter<'r, 'a, 'n> {
    pub(super) reader: &'r mut Reader<'a>,
    pub(super) proto: &'n NodeProto<'a>,
    pub(super) a: Attributes<'n, 'a>,
    pub(super) inputs: Vec<String>,
    pub(super) nodes: &'n mut Vec<Node>,
    /// Values of nodes made before the last that are the file's second output, its third, ….
    pub(super) others: Vec<String>,
}

impl Converter<'_, '_, '_> {
    pub(super) fn refuse(&self, what: impl Into<String>) -> Error {
        Error::unsupported(&self.a.part, what)
    }

    /// Whether output `i` is wanted.
    pub(super) fn wants(&self, i: usize) -> bool {
        self.proto.outputs.get(i).is_some_and(|o| !o.is_empty())
    }

    /// Refuses further outputs, which no node of ours makes.
    pub(super) fn only_output(&self, count: usize) -> Result<()> {
        match (count..self.proto.outputs.len()).find(|i| self.wants(*i)) {
            Some(i) => Err(self.refuse(format!("output {}", i + 1))),
            None => Ok(()),
        }
    }

    /// Sets input `i` to a new constant.
    pub(super) fn set(&mut self, i: usize, what: &str, tensor: Tensor) {
        while self.inputs.len() <= i {
            self.inputs.push(String::new());
        }
        let hint = format!("{}.{what}", node_name(self.proto));
        self.inputs[i] = self.reader.constant(&hint, tensor);
    }

    pub(super) fn set_ints(&mut self, i: usize, what: &str, list: &[i64]) -> Result<()> {
        self.set(i, what, Tensor::from_i64([list.len()], list.to_vec())?);
        Ok(())
    }

    /// An attribute of old versions that is an input of the newest, from version `since` on.
    pub(super) fn ints_input(&mut self, name: &'static str, i: usize, since: i64) -> Result<()> {
        if self.reader.opset >= since {
            return Ok(());
        }
        match self.a.ints(name) {
            Some(list) => self.set_ints(i, name, list),
            None => Ok(()),
        }
    }

    /// A node before this one; the name of its value.
    pub(super) fn before(&mut self, op: Op, inputs: Vec<String>) -> String {
        let output = self.reader.unique(&format!("{}.part", node_name(self.proto)));
        self.nodes.push(Node { name: node_name(self.proto), op, inputs, outputs: vec![output.clone()] });
        output
    }
}

/// Its name, or what messages call it.
pub(super) fn node_name(proto: &NodeProto) -> String {
    if proto.name.is_empty() { part(proto) } else { proto.name.into() }
}
