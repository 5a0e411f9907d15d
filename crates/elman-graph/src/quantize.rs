//! Weights in fewer bits, and what that costs.

use std::collections::BTreeMap;

use elman_kernels::step::{INT8_DEPTH, round_to_bytes};
use elman_step::Precision;

use crate::error::{Error, Result};
use crate::graph::{Binary, Body, Dim, Graph, Node, Op};
use crate::tensor::{Dtype, Tensor};

/// Where [`About::extra`](crate::About::extra) says in which precision the steps of a graph run.
const PRECISION: &str = "precision";
const NAMES: [(&str, Precision); 2] = [("int8", Precision::Int8), ("bf16", Precision::Bf16)];

/// Which axis of a weight is summed over in products; the others have a scale for each index.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Summed {
    /// The last: recurrent layers, transposed matrices.
    Last,
    /// The first of two: matrices on the right.
    First,
    /// All but the first: convolutions.
    Rest,
}

/// How a weight is read; `None` if not as the weight of a product, or in two ways.
type Uses = BTreeMap<String, Option<Summed>>;

fn uses(nodes: &[Node], uses: &mut Uses) {
    let mut note = |name: &String, summed: Option<Summed>| {
        let old = uses.entry(name.clone()).or_insert(summed);
        *old = old.filter(|old| Some(*old) == summed);
    };
    for node in nodes {
        for (i, name) in node.inputs.iter().enumerate() {
            let summed = match (&node.op, i) {
                (Op::Recurrent(_), 1 | 2) => Some(Summed::Last),
                (Op::MatMul, 1) | (Op::Gemm { trans_b: false, .. }, 1) => Some(Summed::First),
                (Op::Gemm { trans_b: true, .. }, 1) => Some(Summed::Last),
                (Op::Conv(_), 1) => Some(Summed::Rest),
                _ => None,
            };
            note(name, summed);
        }
    }
    for node in nodes {
        match &node.op {
            Op::If { then_branch, else_branch } => {
                of_body(then_branch, uses);
                of_body(else_branch, uses);
            }
            Op::Loop { body } | Op::Scan { body, .. } => of_body(body, uses),
            _ => {}
        }
    }
}

fn of_body(body: &Body, all: &mut Uses) {
    body.outputs.iter().for_each(|name| _ = all.insert(name.clone(), None));
    uses(&body.nodes, all);
}

/// The tensor as rows that are summed over, and the dimensions of a scale for each.
fn rows(tensor: &Tensor, summed: Summed) -> Option<(Vec<Vec<f32>>, Vec<usize>)> {
    let (dims, values) = (tensor.dims(), tensor.as_f32()?);
    let fits = match summed {
        Summed::First => dims.len() == 2,
        _ => dims.len() >= 2,
    };
    if !fits || tensor.is_empty() || tensor.dtype() != Dtype::F32 {
        return None;
    }
    let mut scales = dims.to_vec();
    let depth = match summed {
        Summed::First => {
            scales[0] = 1;
            let columns = (0..dims[1]).map(|n| values[n..].iter().step_by(dims[1]).copied().collect());
            return Some((columns.collect(), scales));
        }
        Summed::Last => {
            scales[dims.len() - 1] = 1;
            dims[dims.len() - 1]
        }
        Summed::Rest => {
            scales[1..].fill(1);
            values.len() / dims[0]
        }
    };
    Some((values.chunks_exact(depth).map(<[f32]>::to_vec).collect(), scales))
}

/// The values in the order of the tensor again.
fn flat(rows: &[Vec<i64>], summed: Summed) -> Vec<i64> {
    match summed {
        Summed::First => (0..rows[0].len()).flat_map(|k| rows.iter().map(move |row| row[k])).collect(),
        _ => rows.concat(),
    }
}

/// The precision in which the steps of a graph run: that of [`Graph::quantize`].
pub(crate) fn precision_of(graph: &Graph) -> Precision {
    let said = graph.about.extra.get(PRECISION);
    said.and_then(|said| NAMES.iter().find(|(name, _)| name == said)).map_or(Precision::F32, |(_, p)| *p)
}

impl Graph {
    /// The graph with the weights of its products in bfloat16, or as bytes with a scale for each row. What reads them is
    /// told in ONNX's own operators, so that every run and every export sees the rounded values; steps run in that
    /// precision, in which bytes round the values that they multiply too.
    ///
    /// Embeddings, biases and everything that is not the weight of a recurrent, dense or convolutional layer stay as they
    /// are; rows longer than 65,536 values become bfloat16 where bytes are wanted.
    ///
    /// # Errors
    /// [`Error::Refused`] if the weights are rounded already, there are none, or `precision` rounds nothing;
    /// [`Error::Malformed`] with the weight that is not finite.
    pub fn quantize(&self, precision: Precision) -> Result<Graph> {
        let refused = |reason: &str| Error::Refused { part: "the weights".into(), reason: reason.into() };
        let Some((name, _)) = NAMES.iter().find(|(_, p)| *p == precision) else {
            return Err(refused("float32 rounds nothing"));
        };
        if precision_of(self) != Precision::F32 {
            return Err(refused("they are already rounded, and rounding twice loses more; use the full model"));
        }
        let mut found = Uses::new();
        uses(&self.nodes, &mut found);
        for port in &self.outputs {
            found.insert(port.name.clone(), None);
        }
        for state in &self.states {
            state.initial.iter().for_each(|name| _ = found.insert(name.clone(), None));
        }
        let mut graph = self.clone();
        let mut nodes = Vec::new();
        for (weight, summed) in found {
            let (Some(summed), Some(tensor)) = (summed, self.constants.get(&weight)) else { continue };
            let Some((rows, scales)) = rows(tensor, summed) else { continue };
            if rows.iter().flatten().any(|w| !w.is_finite()) {
                return Err(Error::malformed(&weight, "a weight that is not finite"));
            }
            graph.constants.remove(&weight);
            let node = |op, inputs: [String; 2], output: String| {
                let inputs = inputs.into_iter().filter(|name| !name.is_empty()).collect();
                Node { name: format!("{weight} in full"), op, inputs, outputs: vec![output] }
            };
            let name = graph.unused(&format!("{weight}.{name}"));
            if precision == Precision::Bf16 || rows[0].len() > INT8_DEPTH {
                graph.constants.insert(name.clone(), tensor.cast(Dtype::Bf16)?);
                nodes.push(node(Op::Cast { to: Dtype::F32 }, [name, String::new()], weight.clone()));
                continue;
            }
            let mut of_rows = Vec::with_capacity(rows.len());
            let bytes = |row: &Vec<f32>| {
                let mut bytes = vec![0; row.len()];
                of_rows.push(round_to_bytes(row, &mut bytes));
                bytes.into_iter().map(i64::from).collect::<Vec<_>>()
            };
            let bytes = flat(&rows.iter().map(bytes).collect::<Vec<_>>(), summed);
            let bytes = Tensor::from_i64(tensor.dims(), bytes)?.cast(Dtype::I8)?;
            let (scale, cast) = (graph.unused(&format!("{weight}.scale")), graph.unused(&format!("{weight}.cast")));
            graph.constants.insert(name.clone(), bytes);
            graph.constants.insert(scale.clone(), Tensor::from_f32(scales, of_rows)?);
            nodes.push(node(Op::Cast { to: Dtype::F32 }, [name, String::new()], cast.clone()));
            nodes.push(node(Op::Binary(Binary::Mul), [cast, scale], weight.clone()));
        }
        if nodes.is_empty() {
            return Err(refused("there are none that a product reads"));
        }
        nodes.append(&mut graph.nodes);
        graph.nodes = nodes;
        graph.about.extra.insert(PRECISION.into(), (*name).into());
        Ok(graph)
    }

    /// A name that no value has, made of `hint`.
    fn unused(&self, hint: &str) -> String {
        fn named(nodes: &[Node], name: &str) -> bool {
            let body = |body: &Body| body.inputs.iter().any(|input| input == name) || named(&body.nodes, name);
            nodes.iter().any(|node| {
                node.outputs.iter().any(|output| output == name)
                    || match &node.op {
                        Op::If { then_branch, else_branch } => body(then_branch) || body(else_branch),
                        Op::Loop { body: inner } | Op::Scan { body: inner, .. } => body(inner),
                        _ => false,
                    }
            })
        }
        let mut name = hint.to_string();
        while self.constants.contains_key(&name)
            || self.inputs.iter().any(|port| port.name == name)
            || named(&self.nodes, &name)
        {
            name.push('_');
        }
        name
    }

    /// A signal of `steps` steps for every input that is no state, by name, to measure a change on: noise between -1/2 and
    /// 1/2, or tokens in a random order; the same for the same graph. `None` if an input has dimensions that are not known,
    /// or is of integers that no embedding reads.
    pub fn test_signal(&self, steps: usize) -> Option<Vec<(String, Tensor)>> {
        let mut seed = 1u64;
        // The constants of Knuth's MMIX.
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 40) as f32 / (1u64 << 24) as f32
        };
        let sequence = self.sequence.as_ref();
        let mut signal = Vec::new();
        for port in self.inputs.iter().filter(|port| self.states.iter().all(|state| state.input != port.name)) {
            let main = sequence.filter(|s| s.input == port.name);
            let time = main.and_then(|s| s.time);
            let is_time = |dim: &Dim| matches!(dim, Dim::Named(name) if name == "T");
            let dims = port.dims.as_ref()?.iter().enumerate().map(|(axis, dim)| match dim {
                dim if Some(axis) == time || (time.is_some() && is_time(dim)) => Some(steps),
                Dim::Fixed(n) => Some(*n),
                Dim::Named(name) if name == "B" || main.is_some_and(|s| s.batch == Some(axis)) => Some(1),
                Dim::Named(_) => None,
            });
            let mut dims: Vec<usize> = dims.collect::<Option<_>>()?;
            if sequence.is_none_or(|s| s.time.is_none()) && !self.states.is_empty() {
                // A run is a step: steps are the axis in front.
                dims.insert(0, steps);
            }
            let len = crate::tensor::count(&dims).ok().filter(|len| *len <= MOST)?;
            let tensor = if port.dtype.is_float() {
                Tensor::from_f32(dims, (0..len).map(|_| random() - 0.5).collect())
            } else {
                let tokens = self.vocabulary_of(&port.name)? as f32;
                Tensor::from_i64(dims, (0..len).map(|_| (random() * tokens) as i64).collect())
            };
            signal.push((port.name.clone(), tensor.ok()?.cast(port.dtype).ok()?));
        }
        Some(signal)
    }

    /// Tokens of the embedding that reads an input.
    fn vocabulary_of(&self, input: &str) -> Option<usize> {
        let reads = |node: &&Node| matches!(node.op, Op::Gather { axis: 0 }) && node.input(1) == Some(input);
        let table = self.nodes.iter().find(reads).and_then(|node| self.constants.get(node.input(0)?));
        table.and_then(|table| table.dims().first().copied()).filter(|n| *n > 0)
    }
}

/// Values of a test signal.
const MOST: usize = 1 << 24;
