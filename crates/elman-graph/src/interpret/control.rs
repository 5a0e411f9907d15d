//! Operators with subgraphs.

use super::layout::{concat, gather, integers, unsqueeze};
use crate::builder::axis_of;
use crate::error::{Error, Result};
use crate::graph::Op;
use crate::tensor::Tensor;

/// Most rounds of a loop.
const ROUNDS: i64 = 1 << 18;

/// One truth value.
pub(super) fn truth(t: &Tensor) -> Result<bool> {
    match t.as_bool() {
        Some([b]) => Ok(*b),
        _ => Err(Error::malformed("a condition", format!("{} {:?} is not one truth value", t.dtype(), t.dims()))),
    }
}

/// A subgraph ready to run on the values of its graph, which it finds by their numbers.
pub(super) trait Subgraph {
    /// Numbers of its inputs.
    fn inputs(&self) -> &[usize];
    /// Numbers of its results.
    fn outputs(&self) -> &[usize];
    /// Computes its results.
    fn run(&mut self, slots: &mut [Option<Tensor>]) -> Result<()>;
    /// Drops all values it was given or made.
    fn clear(&self, slots: &mut [Option<Tensor>]);
}

pub(super) fn run(
    op: &Op,
    inputs: Vec<Option<Tensor>>,
    bodies: &mut [impl Subgraph],
    slots: &mut [Option<Tensor>],
) -> Result<Vec<Tensor>> {
    match (op, bodies) {
        (Op::If { .. }, [then_branch, else_branch]) => {
            let condition = inputs.into_iter().next().flatten();
            let condition = condition.ok_or_else(|| Error::malformed("If", "it has no condition"))?;
            once(if truth(&condition)? { then_branch } else { else_branch }, vec![], slots)
        }
        (Op::Loop { .. }, [body]) => repeat(inputs, body, slots),
        (Op::Scan { scan_inputs, input_axes, input_reversed, output_axes, output_reversed, .. }, [body]) => {
            let outputs = (&output_axes[..], &output_reversed[..]);
            scan(inputs, body, slots, *scan_inputs, (input_axes, input_reversed), outputs)
        }
        _ => Err(Error::malformed("a subgraph", "its operator has none")),
    }
}

/// Runs a subgraph.
fn once(body: &mut impl Subgraph, inputs: Vec<Tensor>, slots: &mut [Option<Tensor>]) -> Result<Vec<Tensor>> {
    if inputs.len() != body.inputs().len() {
        return Err(Error::malformed("a subgraph", format!("{} inputs for {}", inputs.len(), body.inputs().len())));
    }
    for (slot, value) in body.inputs().iter().zip(inputs) {
        slots[*slot] = Some(value);
    }
    let done = body.run(slots);
    let value =
        |slot: &usize| slots[*slot].clone().ok_or_else(|| Error::malformed("a subgraph", "a result is missing"));
    let results = done.and_then(|()| body.outputs().iter().map(value).collect());
    body.clear(slots);
    results
}

fn repeat(inputs: Vec<Option<Tensor>>, body: &mut impl Subgraph, slots: &mut [Option<Tensor>]) -> Result<Vec<Tensor>> {
    let mut inputs = inputs.into_iter();
    let (rounds, condition) = (inputs.next().flatten(), inputs.next().flatten());
    let rounds = match &rounds {
        Some(rounds) => match integers("Loop: trip count", rounds)? {
            [n] => *n,
            _ => return Err(Error::malformed("Loop", "its trip count is not one number")),
        },
        None => i64::MAX,
    };
    let mut go = condition.as_ref().map_or(Ok(true), truth)?;
    let mut carried: Vec<Tensor> = inputs.flatten().collect();
    let n = carried.len();
    let mut stacked: Vec<Vec<Tensor>> = vec![vec![]; body.outputs().len().saturating_sub(n + 1)];
    let mut round = 0;
    while go && round < rounds {
        if round == ROUNDS {
            return Err(Error::malformed("Loop", format!("it has not ended after {ROUNDS} rounds")));
        }
        let mut given =
            vec![Tensor::from_i64([], vec![round])?, Tensor::from_f32([], vec![1.0])?.cast(crate::Dtype::Bool)?];
        given.extend(carried);
        let mut results = once(body, given, slots)?.into_iter();
        go = truth(&results.next().ok_or_else(|| Error::malformed("Loop", "its body has no condition"))?)?;
        carried = results.by_ref().take(n).collect();
        for (list, value) in stacked.iter_mut().zip(results) {
            list.push(value);
        }
        round += 1;
    }
    for list in stacked {
        carried.push(stack(&list, 0, false)?);
    }
    Ok(carried)
}

/// Values of all rounds along a new axis.
fn stack(list: &[Tensor], axis: i64, reversed: bool) -> Result<Tensor> {
    let axis_input = Tensor::from_i64([1], vec![axis])?;
    let mut list = list.iter().map(|t| unsqueeze(t, &axis_input)).collect::<Result<Vec<_>>>()?;
    if reversed {
        list.reverse();
    }
    // Of no rounds there is no type either.
    if list.is_empty() { Tensor::zeros([0]) } else { concat(&list, axis) }
}

fn scan(
    inputs: Vec<Option<Tensor>>,
    body: &mut impl Subgraph,
    slots: &mut [Option<Tensor>],
    sequences: usize,
    (input_axes, input_reversed): (&[i64], &[bool]),
    (output_axes, output_reversed): (&[i64], &[bool]),
) -> Result<Vec<Tensor>> {
    let mut carried: Vec<Tensor> = inputs.into_iter().flatten().collect();
    let n = carried.len().checked_sub(sequences).ok_or_else(|| Error::malformed("Scan", "it has too few inputs"))?;
    let sequences = carried.split_off(n);
    let mut steps = None;
    for (i, x) in sequences.iter().enumerate() {
        let axis = axis_of("Scan", input_axes.get(i).copied().unwrap_or(0), x.dims().len())?;
        if *steps.get_or_insert(x.dims()[axis]) != x.dims()[axis] {
            return Err(Error::malformed("Scan", "its sequences differ in length"));
        }
    }
    let steps = steps.ok_or_else(|| Error::malformed("Scan", "it has no sequence"))?;
    let mut stacked: Vec<Vec<Tensor>> = vec![vec![]; body.outputs().len().saturating_sub(n)];
    for t in 0..steps {
        for (i, x) in sequences.iter().enumerate() {
            let reversed = input_reversed.get(i).copied().unwrap_or(false);
            let t = if reversed { steps - 1 - t } else { t };
            let index = Tensor::from_i64([], vec![t as i64])?;
            carried.push(gather(x, &index, input_axes.get(i).copied().unwrap_or(0))?);
        }
        let mut results = once(body, carried, slots)?.into_iter();
        carried = results.by_ref().take(n).collect();
        for (list, value) in stacked.iter_mut().zip(results) {
            list.push(value);
        }
    }
    for (i, list) in stacked.iter().enumerate() {
        let (axis, reversed) = (output_axes.get(i).copied().unwrap_or(0), output_reversed.get(i).copied());
        carried.push(stack(list, axis, reversed.unwrap_or(false))?);
    }
    Ok(carried)
}
