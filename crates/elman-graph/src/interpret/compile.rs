//! From a graph of names to a list of steps over numbered values.

use std::collections::{BTreeMap, BTreeSet};

use super::control::{self, Subgraph};
use super::evaluate::{Kept, evaluate};
use crate::error::{Error, Result};
use crate::graph::{Body, Graph, Node, Op};
use crate::tensor::Tensor;

/// Subgraphs within subgraphs.
const DEEPEST: usize = 32;
/// Largest constant that is computed before a run, in elements: larger ones would cost more memory than they save time.
const FOLDED: usize = 4 << 20;
/// Elements of all constants computed before a run.
const FOLDED_IN_ALL: usize = 12 << 20;

/// Steps in their order.
pub(super) struct Block {
    steps: Vec<Step>,
    /// Values made by the steps that are not constants.
    made: Vec<usize>,
}

/// One operator at work.
struct Step {
    /// For messages.
    name: String,
    op: Op,
    inputs: Vec<Option<usize>>,
    outputs: Vec<Option<usize>>,
    /// Whether an input is read here for the last time.
    last: Vec<bool>,
    /// Values to be dropped after it that are not among the inputs: read by subgraphs, or by nobody.
    drop: Vec<usize>,
    /// Whether each input is a constant.
    constant: Vec<bool>,
    kept: Kept,
    /// Subgraphs with the numbers of their inputs and outputs.
    bodies: Vec<Nested>,
}

/// A subgraph.
struct Nested {
    block: Block,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
}

/// Names and numbers while compiling.
struct Compiler {
    slots: Vec<Option<Tensor>>,
    /// The number of each value that is in sight.
    names: BTreeMap<String, usize>,
    /// Elements still to be folded.
    budget: usize,
}

/// A graph compiled.
pub(super) struct Compiled {
    pub(super) block: Block,
    /// Values by number: the constants.
    pub(super) slots: Vec<Option<Tensor>>,
    /// Numbers of the inputs and outputs.
    pub(super) inputs: Vec<usize>,
    pub(super) outputs: Vec<usize>,
}

pub(super) fn compile(graph: &Graph) -> Result<Compiled> {
    let mut compiler = Compiler { slots: Vec::new(), names: BTreeMap::new(), budget: FOLDED_IN_ALL };
    for (name, tensor) in &graph.constants {
        let slot = compiler.define(name)?;
        compiler.slots[slot] = Some(tensor.clone());
    }
    let inputs = graph.inputs.iter().map(|port| compiler.define(&port.name)).collect::<Result<Vec<_>>>()?;
    let mut block = compiler.block(&graph.nodes, 0)?;
    let outputs =
        graph.outputs.iter().map(|port| compiler.read(&port.name, "an output")).collect::<Result<Vec<_>>>()?;
    let constant: Vec<bool> = compiler.slots.iter().map(Option::is_some).collect();
    block.find_last(&outputs.iter().copied().collect(), &constant);
    Ok(Compiled { block, slots: compiler.slots, inputs, outputs })
}

/// Adds where in a graph an error arose.
fn at(node: &Node, error: Error) -> Error {
    let name = if node.name.is_empty() { node.outputs.first().map_or("", String::as_str) } else { &node.name };
    within(name, error)
}

fn within(name: &str, error: Error) -> Error {
    match error {
        Error::Malformed { part, reason } => Error::Malformed { part: format!("{name}: {part}"), reason },
        Error::Unsupported { part, what } => Error::Unsupported { part: format!("{name}: {part}"), what },
        Error::Dimensions { part, want, got } => Error::Dimensions { part: format!("{name}: {part}"), want, got },
        Error::TooLarge { part, size, most } => Error::TooLarge { part: format!("{name}: {part}"), size, most },
        other => other,
    }
}

impl Compiler {
    fn define(&mut self, name: &str) -> Result<usize> {
        let slot = self.slots.len();
        self.slots.push(None);
        if self.names.insert(name.into(), slot).is_some() {
            return Err(Error::malformed(name, "two values have this name"));
        }
        Ok(slot)
    }

    fn read(&self, name: &str, by: &str) -> Result<usize> {
        let slot = self.names.get(name).copied();
        slot.ok_or_else(|| Error::malformed(name, format!("{by} reads this value, and nothing before makes it")))
    }

    fn block(&mut self, nodes: &[Node], depth: usize) -> Result<Block> {
        let mut steps = Vec::new();
        let mut made = Vec::new();
        for node in nodes {
            self.step(node, depth, &mut steps, &mut made)?;
        }
        Ok(Block { steps, made })
    }

    fn step(&mut self, node: &Node, depth: usize, steps: &mut Vec<Step>, made: &mut Vec<usize>) -> Result<()> {
        let by = if node.name.is_empty() { "a node" } else { &node.name };
        let input = |name: &String| if name.is_empty() { Ok(None) } else { self.read(name, by).map(Some) };
        let inputs = node.inputs.iter().map(input).collect::<Result<Vec<_>>>()?;
        let constant: Vec<bool> = inputs.iter().map(|i| i.is_none_or(|i| self.slots[i].is_some())).collect();
        // A condition that is known decides now.
        if let (Op::If { then_branch, else_branch }, Some(Some(condition))) = (&node.op, inputs.first())
            && let Some(condition) = self.slots[*condition].clone()
        {
            let chosen = if control::truth(&condition)? { then_branch } else { else_branch };
            return self.inline(node, chosen, depth, steps, made);
        }
        let bodies = match &node.op {
            Op::If { then_branch, else_branch } => vec![&**then_branch, &**else_branch],
            Op::Loop { body } | Op::Scan { body, .. } => vec![&**body],
            _ => vec![],
        };
        let bodies = bodies.into_iter().map(|b| self.nested(b, depth + 1)).collect::<Result<Vec<_>>>()?;
        let outputs =
            node.outputs.iter().map(|name| if name.is_empty() { Ok(None) } else { self.define(name).map(Some) });
        let outputs = outputs.collect::<Result<Vec<_>>>()?;
        let mut step = Step {
            name: at_name(node),
            op: stripped(&node.op),
            last: vec![false; inputs.len()],
            inputs,
            outputs,
            drop: vec![],
            constant,
            kept: Kept::default(),
            bodies,
        };
        if step.constant.iter().all(|c| *c) && step.bodies.is_empty() && self.fold(&mut step, node)? {
            return Ok(());
        }
        made.extend(step.outputs.iter().flatten());
        steps.push(step);
        Ok(())
    }

    /// Computes a step of constants now, if its result is small enough.
    fn fold(&mut self, step: &mut Step, node: &Node) -> Result<bool> {
        let inputs: Vec<Option<Tensor>> = step.inputs.iter().map(|i| i.and_then(|i| self.slots[i].clone())).collect();
        // What makes large values of small ones is left to the run.
        let grows = match step.op {
            Op::ConstantOfShape | Op::Expand => inputs.iter().flatten().last().and_then(Tensor::as_i64).map(product),
            Op::Tile | Op::Range | Op::Pad { .. } | Op::Recurrent(_) | Op::Conv(_) | Op::ConvTranspose { .. } => {
                Some(usize::MAX)
            }
            Op::Einsum { .. } | Op::MatMul | Op::Gemm { .. } | Op::Binary(_) | Op::Gather { .. } => {
                Some(inputs.iter().flatten().map(Tensor::len).fold(1, usize::saturating_mul))
            }
            _ => None,
        };
        let small = matches!(step.op, Op::Range) && inputs.iter().flatten().all(within_limits);
        let read = inputs.iter().flatten().map(Tensor::len).fold(0, usize::saturating_add);
        // These share their elements with their input.
        let shares = matches!(
            step.op,
            Op::Identity
                | Op::Reshape { .. }
                | Op::Flatten { .. }
                | Op::Squeeze
                | Op::Unsqueeze
                | Op::Shape { .. }
                | Op::Size
        );
        let size = if shares {
            0
        } else if small {
            1000
        } else {
            grows.unwrap_or(0).max(read)
        };
        if size > FOLDED || size > self.budget {
            return Ok(false);
        }
        self.budget -= size;
        let values = evaluate(&step.op, inputs, &step.constant, step.outputs.len(), &mut step.kept);
        let values = values.map_err(|e| at(node, e))?;
        for (slot, value) in step.outputs.iter().zip(values) {
            if let Some(slot) = slot {
                self.slots[*slot] = Some(value);
            }
        }
        Ok(true)
    }

    /// The steps of an `If` whose condition is known, in the place of the node.
    fn inline(
        &mut self,
        node: &Node,
        body: &Body,
        depth: usize,
        steps: &mut Vec<Step>,
        made: &mut Vec<usize>,
    ) -> Result<()> {
        if depth >= DEEPEST {
            return Err(deep(node));
        }
        let outside = self.names.clone();
        for inner in &body.nodes {
            self.step(inner, depth + 1, steps, made)?;
        }
        let results = body.outputs.iter().map(|name| self.read(name, "a branch")).collect::<Result<Vec<_>>>()?;
        if results.len() < node.outputs.len() {
            return Err(Error::malformed(at_name(node), "a branch has fewer results than the node"));
        }
        self.names = outside;
        for (name, slot) in node.outputs.iter().zip(results) {
            if !name.is_empty() && self.names.insert(name.clone(), slot).is_some() {
                return Err(Error::malformed(name, "two values have this name"));
            }
        }
        Ok(())
    }

    fn nested(&mut self, body: &Body, depth: usize) -> Result<Nested> {
        if depth > DEEPEST {
            return Err(Error::TooLarge {
                part: "subgraphs".into(),
                size: format!("more than {DEEPEST} within each other"),
                most: DEEPEST.to_string(),
            });
        }
        let outside = self.names.clone();
        let inputs = body.inputs.iter().map(|name| self.define(name)).collect::<Result<Vec<_>>>()?;
        let block = self.block(&body.nodes, depth)?;
        let outputs = body.outputs.iter().map(|name| self.read(name, "a subgraph")).collect::<Result<Vec<_>>>()?;
        self.names = outside;
        Ok(Nested { block, inputs, outputs })
    }
}

fn deep(node: &Node) -> Error {
    Error::TooLarge { part: at_name(node), size: "subgraphs within subgraphs".into(), most: DEEPEST.to_string() }
}

fn at_name(node: &Node) -> String {
    let fallback = || node.outputs.first().cloned().unwrap_or_default();
    if node.name.is_empty() { fallback() } else { node.name.clone() }
}

/// The operator without subgraphs, which are compiled.
fn stripped(op: &Op) -> Op {
    let none = || Box::new(Body::default());
    match op {
        Op::If { .. } => Op::If { then_branch: none(), else_branch: none() },
        Op::Loop { .. } => Op::Loop { body: none() },
        Op::Scan { scan_inputs, input_axes, input_reversed, output_axes, output_reversed, .. } => Op::Scan {
            body: none(),
            scan_inputs: *scan_inputs,
            input_axes: input_axes.clone(),
            input_reversed: input_reversed.clone(),
            output_axes: output_axes.clone(),
            output_reversed: output_reversed.clone(),
        },
        op => op.clone(),
    }
}

fn product(dims: &[i64]) -> usize {
    dims.iter().map(|d| usize::try_from(*d).unwrap_or(usize::MAX)).fold(1, usize::saturating_mul)
}

/// Numbers that make a range of at most some hundred.
fn within_limits(t: &Tensor) -> bool {
    t.to_f32().iter().all(|x| x.abs() <= 500.0 && (*x == 0.0 || x.abs() >= 1.0))
}

impl Block {
    /// Finds where each value is read for the last time; `kept` are read after the block.
    fn find_last(&mut self, kept: &BTreeSet<usize>, constant: &[bool]) {
        let made: BTreeSet<usize> = self.made.iter().copied().collect();
        let mut seen = kept.clone();
        for step in self.steps.iter_mut().rev() {
            for output in step.outputs.iter().flatten() {
                if !seen.contains(output) && !constant[*output] {
                    step.drop.push(*output);
                }
            }
            for nested in &mut step.bodies {
                let mut outside = nested.block.reads();
                outside.extend(&nested.outputs);
                let results = nested.outputs.iter().copied().collect();
                // What a body reads from outside stays for its other runs.
                nested.block.find_last(&results, constant);
                for slot in outside {
                    if made.contains(&slot) && seen.insert(slot) {
                        step.drop.push(slot);
                    }
                }
            }
            // Backwards too, so that of two equal inputs the later one is the last.
            for i in (0..step.inputs.len()).rev() {
                if let Some(slot) = step.inputs[i] {
                    step.last[i] = made.contains(&slot) && seen.insert(slot);
                }
            }
            let inputs = &step.inputs;
            step.drop.retain(|slot| !inputs.contains(&Some(*slot)));
        }
    }

    /// Every value the block reads, its subgraphs included.
    fn reads(&self) -> BTreeSet<usize> {
        let mut all = BTreeSet::new();
        for step in &self.steps {
            all.extend(step.inputs.iter().flatten());
            for nested in &step.bodies {
                all.extend(nested.block.reads());
                all.extend(&nested.outputs);
            }
        }
        all
    }

    pub(super) fn run(&mut self, slots: &mut [Option<Tensor>]) -> Result<()> {
        for step in &mut self.steps {
            step.run(slots)?;
        }
        Ok(())
    }

    /// Drops all values the block made.
    pub(super) fn clear(&self, slots: &mut [Option<Tensor>]) {
        for slot in &self.made {
            slots[*slot] = None;
        }
        for nested in self.steps.iter().flat_map(|s| &s.bodies) {
            nested.clear(slots);
        }
    }
}

impl Subgraph for Nested {
    fn inputs(&self) -> &[usize] {
        &self.inputs
    }

    fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    fn run(&mut self, slots: &mut [Option<Tensor>]) -> Result<()> {
        self.block.run(slots)
    }

    fn clear(&self, slots: &mut [Option<Tensor>]) {
        for slot in &self.inputs {
            slots[*slot] = None;
        }
        self.block.clear(slots);
    }
}

impl Step {
    fn run(&mut self, slots: &mut [Option<Tensor>]) -> Result<()> {
        let inputs: Vec<Option<Tensor>> = self
            .inputs
            .iter()
            .zip(&self.last)
            .map(|(slot, last)| slot.and_then(|slot| if *last { slots[slot].take() } else { slots[slot].clone() }))
            .collect();
        // A value that two inputs read is taken by the later one only.
        for (input, slot) in inputs.iter().zip(&self.inputs) {
            if input.is_none() && slot.is_some() {
                return Err(Error::malformed(&self.name, "it reads a value that is not there"));
            }
        }
        let results = if self.bodies.is_empty() {
            evaluate(&self.op, inputs, &self.constant, self.outputs.len(), &mut self.kept)
        } else {
            control::run(&self.op, inputs, &mut self.bodies, slots)
        };
        let results = results.map_err(|e| within(&self.name, e))?;
        if results.len() < self.outputs.len() {
            return Err(Error::malformed(&self.name, "it has more outputs than its operator"));
        }
        for (slot, value) in self.outputs.iter().zip(results) {
            if let Some(slot) = slot {
                slots[*slot] = Some(value);
            }
        }
        for slot in &self.drop {
            slots[*slot] = None;
        }
        Ok(())
    }
}
