//! The network of a map while its layers are built.

use crate::builder::{Builder, Value};
use crate::error::Result;
use crate::graph::{Port, State};
use crate::read::tensors::Tensors;

use super::fields::Fields;

/// Values of a map while its layers are built.
pub(super) struct Network<'a> {
    pub(super) builder: Builder,
    pub(super) tensors: Tensors,
    /// `torch`, `keras` or `tensorflow`.
    pub(super) layout: &'a str,
    /// Layers by name.
    pub(super) values: Vec<(&'a str, Value)>,
    pub(super) last: Value,
    pub(super) time: usize,
    pub(super) batch: usize,
    /// States that become outputs, after the others.
    pub(super) carried: Vec<(Port, Value, State)>,
}

impl<'a> Network<'a> {
    /// The value of a layer by its name.
    pub(super) fn value(&self, name: &str, fields: &Fields<'_>) -> Result<Value> {
        let found = self.values.iter().find(|(of, _)| *of == name);
        found
            .map(|(_, value)| value.clone())
            .ok_or_else(|| fields.wrong(format!("no layer before it is called {name:?}")))
    }

    /// What a layer reads: the layers of `input`, put side by side, or the one before it.
    pub(super) fn read_by(&mut self, name: &str, fields: &Fields<'_>) -> Result<Value> {
        let names = fields.texts("input")?.unwrap_or_default();
        let values = names.iter().map(|name| self.value(name, fields)).collect::<Result<Vec<_>>>()?;
        match values.as_slice() {
            [] => Ok(self.last.clone()),
            [value] => Ok(value.clone()),
            values => self.builder.concat(&format!("{name}.input"), &values.iter().collect::<Vec<_>>(), -1),
        }
    }

    /// Passes over the tensors whose names are `pattern`, or begin as it does before a `*`.
    pub(super) fn ignore(&mut self, pattern: &str, top: &Fields<'_>) -> Result<()> {
        let fits = |name: &str| match pattern.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => name == pattern,
        };
        let names: Vec<String> = self.tensors.names().filter(|name| fits(name)).map(String::from).collect();
        if names.is_empty() {
            return Err(top.wrong(format!("ignore: no tensor is called {pattern:?}")));
        }
        for name in names {
            self.tensors.pass_over(&name, "ignored by the map");
        }
        Ok(())
    }
}
