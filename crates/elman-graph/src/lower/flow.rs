//! What a value of the graph is while the graph is lowered.

use std::rc::Rc;

use elman_step::machine::{Activation, Pace, Value};

use crate::tensor::{Dtype, Tensor};

/// A value of the graph.
#[derive(Clone)]
pub(super) enum Lowered {
    /// Known before the first step.
    Known {
        tensor: Tensor,
        /// Whether it depends on the length of the sequence.
        of_time: bool,
    },
    /// Computed in every step.
    Flow(Flow),
}

/// A value computed in every step.
#[derive(Clone)]
pub(super) struct Flow {
    pub(super) dtype: Dtype,
    /// Those of the whole sequence, its length being the probe.
    pub(super) dims: Vec<usize>,
    pub(super) when: When,
    /// Zero steps in front of the first that were padded and not yet read.
    pub(super) lead: usize,
    pub(super) data: Data,
}

/// To which moment a value belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// One value per step, or at another pace, along this axis.
    Timed(usize, Pace),
    /// After the last step so far: the final state, the mean of all steps.
    Final,
    /// Before the first step: the state a sequence begins with.
    Before,
    /// A run of the graph is a step, and all belongs to it.
    Run,
}

impl When {
    /// The steps that bring a new value.
    pub(super) fn pace(self) -> Pace {
        if let When::Timed(_, pace) = self { pace } else { Pace::EACH }
    }

    pub(super) fn axis(self) -> Option<usize> {
        if let When::Timed(axis, _) = self { Some(axis) } else { None }
    }
}

/// Where a value is, or what it will be made of by its only reader.
#[derive(Clone)]
pub(super) enum Data {
    Value(Value),
    Dense(Rc<Dense>),
    Embedded(Rc<Embedded>),
}

/// `f(W x + b)`, to which a bias and an activation may still be added.
#[derive(Clone)]
pub(super) struct Dense {
    pub(super) name: String,
    /// `[O, I]`.
    pub(super) weight: Vec<f32>,
    /// `[O]`.
    pub(super) bias: Vec<f32>,
    pub(super) activation: Activation,
    pub(super) input: Value,
}

/// Rows of a table `[V, E]`.
#[derive(Clone)]
pub(super) struct Embedded {
    pub(super) name: String,
    pub(super) table: Vec<f32>,
    pub(super) width: usize,
    pub(super) tokens: Value,
}

impl Flow {
    /// The dimensions of one step.
    pub(super) fn step_dims(&self) -> Vec<usize> {
        step_dims(&self.dims, self.when.axis())
    }

    /// The same data with other dimensions.
    pub(super) fn with_dims(&self, dims: Vec<usize>, when: When) -> Flow {
        Flow { dims, when, ..self.clone() }
    }
}

pub(super) fn step_dims(dims: &[usize], time: Option<usize>) -> Vec<usize> {
    dims.iter().enumerate().map(|(axis, n)| if Some(axis) == time { 1 } else { *n }).collect()
}

pub(super) fn count(dims: &[usize]) -> usize {
    dims.iter().fold(1, |n, d| n.saturating_mul(*d))
}
