//! Python pickles as `torch.save` writes them, read without running anything: an unknown class or call is an error.
//!
//! Values live in one list and refer to each other by position, so that neither deep nesting nor a shared part read twice
//! costs stack or memory.

mod machine;
mod value;

use crate::error::Result;

use self::machine::Machine;
pub(crate) use self::value::{Node, Storage, Value, View};

/// What a pickle holds.
pub(crate) struct Pickle {
    nodes: Vec<Node>,
    /// The value it stands for.
    pub(crate) root: Value,
    /// Bytes read, up to and with STOP.
    pub(crate) end: usize,
}

impl Pickle {
    /// Reads one pickle from the beginning of `bytes`.
    ///
    /// # Errors
    /// A damaged pickle, more values than a state dict has, any call or class but those that make tensors and plain data.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Pickle> {
        let (nodes, root, end) = Machine::run(bytes)?;
        Ok(Pickle { nodes, root, end })
    }

    /// The parts of a value.
    pub(crate) fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::At(at) => self.nodes.get(at),
            _ => None,
        }
    }

    /// A text.
    pub(crate) fn text(&self, value: Value) -> Option<&str> {
        match self.node(value)? {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of a dict.
    pub(crate) fn dict(&self, value: Value) -> Option<&[(Value, Value)]> {
        match self.node(value)? {
            Node::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// All storages.
    pub(crate) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.nodes.iter().filter_map(|node| if let Node::Storage(storage) = node { Some(&**storage) } else { None })
    }

    /// Path and dimensions of every tensor within a value, each part seen once.
    pub(crate) fn tensors_within(&self, value: Value) -> Vec<(String, Vec<usize>)> {
        let (mut found, mut open) = (Vec::new(), vec![(String::new(), value)]);
        let mut seen = vec![false; self.nodes.len()];
        while let Some((path, value)) = open.pop() {
            let Value::At(at) = value else { continue };
            if seen.get(at).is_none_or(|seen| *seen) {
                continue;
            }
            seen[at] = true;
            match &self.nodes[at] {
                Node::Tensor(view) => found.push((path, view.dims.clone())),
                Node::Dict(entries) => open.extend(entries.iter().rev().map(|&(key, value)| {
                    let key = match key {
                        Value::Int(key) => key.to_string(),
                        key => self.text(key).unwrap_or("?").to_owned(),
                    };
                    // Names serve messages: at some depth they grow no longer.
                    let path = if path.is_empty() {
                        key
                    } else if path.len() < 200 {
                        format!("{path}.{key}")
                    } else {
                        path.clone()
                    };
                    (path, value)
                })),
                Node::List(list) | Node::Tuple(list) => {
                    open.extend(list.iter().rev().map(|value| (path.clone(), *value)));
                }
                _ => {}
            }
        }
        found
    }

    /// The members of a list.
    pub(crate) fn list(&self, value: Value) -> Option<&[Value]> {
        match self.node(value)? {
            Node::List(list) => Some(list),
            _ => None,
        }
    }
}
