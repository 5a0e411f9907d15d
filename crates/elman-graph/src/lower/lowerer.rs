//! The state of lowering: the values so far, and the machine being built.

use std::collections::HashMap;

use elman_step::machine::Value;

use super::flow::{Data, Flow, Lowered, When};
use super::record::Recorder;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::tensor::Tensor;

/// Extent of the time axis while a graph is read: a prime beyond the widths of networks.
pub(super) const PROBE: usize = 65_521;

/// Why values at different paces do not go together.
pub(super) const UNLIKE: &str =
    "its inputs have different numbers of steps, since a convolution or pool before one of them leaves steps out";

/// A graph while it is lowered.
pub(super) struct Lowerer<'g> {
    pub(super) graph: &'g Graph,
    pub(super) builder: Recorder,
    pub(super) values: HashMap<String, Lowered>,
    pub(super) uses: HashMap<String, usize>,
    /// Whether a step is one of a time axis, not a run of the graph.
    pub(super) timed: bool,
    /// The name of the time dimension, if it has one.
    pub(super) time_name: Option<String>,
}

impl Lowerer<'_> {
    pub(super) fn get(&self, name: &str, part: &str) -> Result<Lowered> {
        self.values.get(name).cloned().ok_or_else(|| missing(name, part))
    }

    pub(super) fn put(&mut self, name: &str, lowered: Lowered) -> Result<()> {
        let lowered = match lowered {
            // Computed once, however often it is read.
            Lowered::Flow(flow) if !matches!(flow.data, Data::Value(_)) && self.uses.get(name) != Some(&1) => {
                let value = self.value(&flow)?;
                Lowered::Flow(Flow { data: Data::Value(value), ..flow })
            }
            lowered => lowered,
        };
        self.values.insert(name.into(), lowered);
        Ok(())
    }

    /// The values themselves: adds the instruction that computes them, if it is not there yet.
    pub(super) fn value(&mut self, flow: &Flow) -> Result<Value> {
        match &flow.data {
            Data::Value(value) => Ok(*value),
            Data::Dense(dense) => {
                let value = self.builder.dense(&dense.weight, &dense.bias, dense.activation, dense.input);
                value.map_err(|e| refused(&dense.name, e.to_string()))
            }
            Data::Embedded(embedded) => {
                let value = self.builder.embedding(&embedded.table, embedded.width, embedded.tokens);
                value.map_err(|e| refused(&embedded.name, e.to_string()))
            }
        }
    }

    /// A known value as one of the machine's.
    pub(super) fn constant(&mut self, tensor: &Tensor) -> Result<Flow> {
        let value = self.builder.constant(&tensor.to_f32());
        let when = if self.timed { When::Final } else { When::Run };
        Ok(Flow { dtype: tensor.dtype(), dims: tensor.dims().to_vec(), when, lead: 0, data: Data::Value(value) })
    }

    /// The moment two values belong to.
    pub(super) fn moment(&self, part: &str, a: When, b: When) -> Result<When> {
        match (a, b) {
            (a, b) if a == b => Ok(a),
            (When::Timed(_, a), When::Timed(_, b)) if a != b => Err(refused(part, UNLIKE)),
            (When::Timed(..), When::Timed(..)) => Err(refused(part, "its inputs have their time on different axes")),
            (When::Final, When::Timed(..)) | (When::Timed(..), When::Final) => {
                Err(refused(part, "every step reads what is known only after the last one"))
            }
            _ => Err(refused(part, "it mixes the state before the first step with values of later ones")),
        }
    }
}

pub(super) fn refused(part: &str, reason: impl Into<String>) -> Error {
    Error::Refused { part: part.into(), reason: reason.into() }
}

pub(super) fn missing(name: &str, needed_by: &str) -> Error {
    Error::Missing { part: name.into(), needed_by: needed_by.into() }
}

/// Axes given by a tensor, counted from the end where negative.
pub(super) fn axes_of(part: &str, axes: &Tensor, rank: usize) -> Result<Vec<usize>> {
    let axes = axes.as_i64().unwrap_or_default();
    axes.iter().map(|axis| crate::builder::axis_of(part, *axis, rank)).collect()
}
