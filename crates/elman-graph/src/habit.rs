//! Arrays as people have them, as inputs of a graph: a batch axis or a width of 1 may be missing.

use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, Port};
use crate::tensor::{Dtype, Tensor};

/// What was added to the sequence so that the graph reads it; it is taken away from the outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    /// A batch of one.
    pub batch: bool,
    /// A width of one.
    pub width: bool,
}

impl Graph {
    /// An array in the type and with the axes of an input. Without batch axis `[T, I]` is a batch of one; `[T]` is
    /// `[T, 1]`, or a batch of one sequence of tokens.
    ///
    /// # Errors
    /// If it has other axes, or fractions where whole numbers are read.
    pub fn fit_input(&self, port: &Port, x: &Tensor) -> Result<(Tensor, Added)> {
        let refuse = |reason: String| Error::Input { name: port.name.clone(), reason };
        let whole = port.dtype.is_float() || !x.dtype().is_float() || x.to_f32().iter().all(|x| x.fract() == 0.0);
        if !whole && port.dtype != Dtype::Bool {
            return Err(refuse(format!("it is {} with fractions, but {} is needed", x.dtype(), port.dtype)));
        }
        let x = x.cast(port.dtype)?;
        let sequence = self.sequence.as_ref().filter(|s| s.input == port.name);
        let Some(rank) = port.dims.as_ref().map(Vec::len) else { return Ok((x, Added::default())) };
        let mut dims = x.dims().to_vec();
        let missing = rank.saturating_sub(dims.len());
        let mut added = Added::default();
        if let Some(sequence) = sequence.filter(|_| missing > 0) {
            added.batch = sequence.batch.is_some();
            added.width = missing > usize::from(added.batch);
            if missing > usize::from(added.batch) + 1 {
                return Err(refuse(format!("it is {:?}, but {rank} axes are needed", x.dims())));
            }
            if added.width {
                dims.push(1);
            }
            if let Some(batch) = sequence.batch {
                dims.insert(batch.min(dims.len()), 1);
            }
        } else if missing > 0 && x.len() == 1 {
            // One number, with however many axes.
            dims = vec![1; rank];
        }
        Ok((x.reshaped(dims)?, added))
    }

    /// An output without the axes that were added to the sequence.
    ///
    /// # Errors
    /// Never for tensors of this graph.
    pub fn fit_output(&self, port: &Port, y: &Tensor, added: Added) -> Result<Tensor> {
        let mut dims = y.dims().to_vec();
        let Some(sequence) = &self.sequence else { return Ok(y.clone()) };
        let is_sequence = sequence.output.as_ref() == Some(&port.name);
        if added.width && is_sequence && dims.len() > 1 && dims.last() == Some(&1) {
            dims.pop();
        }
        if added.batch {
            let free = |dim: &Dim| dim.fixed().is_none_or(|n| n == 1);
            let axis = if is_sequence {
                sequence.batch
            } else {
                port.dims.as_ref().and_then(|d| d.iter().position(free)).or(Some(0))
            };
            if let Some(axis) = axis.filter(|a| dims.get(*a) == Some(&1)) {
                dims.remove(axis);
            }
        }
        y.reshaped(dims)
    }
}
