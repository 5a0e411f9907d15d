//! Files of our own: graphs (format version 2), and trained models (version 1) as graphs; those with an encoder and a decoder
//! are two.

mod front;
mod sequences;

use elman_step::CellKind;
use elman_step::model::{CHECKSUM_KEY, Document, Kind};
use serde_json::Value as Json;

use crate::builder::{Builder, RecurrentWeights, Value};
use crate::error::{Error, Result};
use crate::graph::{Activation, Binary, Cell, Dim, Direction, Fate, Graph, Op, Recurrent, Reduce};
use crate::source::{Options, Source};
use crate::tensor::{Dtype, Tensor};

/// Whether a file is one of ours.
pub(crate) fn recognizes(source: &Source) -> bool {
    let start = &source.bytes[..source.bytes.len().min(64)];
    let key = CHECKSUM_KEY.as_bytes();
    start.get(8) == Some(&b'{') && start.windows(key.len()).any(|w| w == key)
}

/// Reads a graph, or a trained model.
pub(crate) fn read(source: &Source, options: &Options) -> Result<Graph> {
    let document = Document::parse(source.bytes).map_err(|e| Error::Unrecognized { reason: e.to_string() })?;
    if document.kind() == Kind::Graph {
        return Graph::from_bytes(source.bytes);
    }
    let part = options.answer("part").map(Part::named).transpose()?;
    convert(&document, part)
}

/// One of the two networks of a model that writes sequences.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Encoder,
    Decoder,
}

impl Part {
    fn named(name: &str) -> Result<Self> {
        match name {
            "encoder" => Ok(Part::Encoder),
            "decoder" => Ok(Part::Decoder),
            other => Err(Error::unsupported("--part", format!("{other:?} (encoder, decoder)"))),
        }
    }
}

/// The network of a model file that has been read.
pub(super) fn of_document(document: &Document) -> Result<Graph> {
    convert(document, None)
}

/// The network of a verified model file. Its input is what the network reads: tokens, or numbers that are standardized
/// already.
fn convert(document: &Document, part: Option<Part>) -> Result<Graph> {
    let mut reader = Reader { document, config: document.config(), b: Builder::new("Elman") };
    let shape = reader.text("shape").unwrap_or_default().to_string();
    match (shape.as_str(), part) {
        ("synced", None) => reader.synced()?,
        ("sequence-input", None) => reader.sequence_input()?,
        ("fixed", None) => reader.fixed()?,
        ("sequence-io", Some(Part::Encoder)) => reader.source_encoder()?,
        ("sequence-output", Some(Part::Encoder)) => reader.feature_encoder()?,
        ("sequence-io" | "sequence-output", Some(Part::Decoder)) => reader.decoder(shape == "sequence-output")?,
        ("sequence-io" | "sequence-output", None) => {
            let reason = "an encoder and a decoder are two networks; name one: --part encoder or --part decoder";
            return Err(Error::Refused { part: "the model".into(), reason: reason.into() });
        }
        ("synced" | "sequence-input" | "fixed", Some(_)) => {
            let reason = "this model is one network, without encoder and decoder";
            return Err(Error::Refused { part: "--part".into(), reason: reason.into() });
        }
        (other, _) => return Err(Error::unsupported(format!("a network of the shape {other:?}"), "as a graph, it")),
    }
    reader.words();
    let Reader { b, .. } = reader;
    b.finish()
}

/// `h` and, of an LSTM, `c` of a layer.
type CellState = (Value, Option<Value>);

/// Recurrent layers whose tensors' names begin with `prefix`.
#[derive(Clone, Copy)]
struct Layers<'a> {
    prefix: &'a str,
    cell: CellKind,
    layers: usize,
    hidden: usize,
    bidirectional: bool,
}

fn cell(name: &Json) -> Result<CellKind> {
    serde_json::from_value(name.clone()).map_err(|e| Error::malformed("network.cell", e.to_string()))
}

struct Reader<'d> {
    document: &'d Document<'d>,
    config: &'d Json,
    b: Builder,
}

impl Reader<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.config.get(key)?.as_str()
    }

    fn network(&self, key: &str) -> &Json {
        self.config.get("network").and_then(|n| n.get(key)).unwrap_or(&Json::Null)
    }

    fn size(&self, key: &str) -> Result<usize> {
        let size = self.network(key).as_u64().and_then(|n| usize::try_from(n).ok());
        size.ok_or_else(|| Error::malformed(format!("network.{key}"), "it is no size"))
    }

    fn tensor(&mut self, name: &str, dims: &[usize]) -> Result<Tensor> {
        let values = self.document.expect_f32(name, dims).map_err(|e| Error::malformed(name, e.to_string()))?;
        self.b.note(name, dims, Fate::Used(name.rsplit('.').next().unwrap_or(name).into()));
        Tensor::from_f32(dims, values)
    }

    /// `x W^T + b` of a linear layer `[O, I]`.
    fn linear(&mut self, name: &str, x: &Value, outputs: usize) -> Result<Value> {
        self.linear_as(name, name, x, outputs)
    }

    /// The same, where its result has another name than its tensors.
    fn linear_as(&mut self, label: &str, name: &str, x: &Value, outputs: usize) -> Result<Value> {
        let inputs = x.width()?;
        let weight = self.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
        self.affine(label, name, x, weight)
    }

    fn affine(&mut self, label: &str, name: &str, x: &Value, weight: Tensor) -> Result<Value> {
        let outputs = weight.dims()[0];
        let bias = self.tensor(&format!("{name}.bias"), &[outputs])?;
        let kernel = crate::interpret::reverse_axes(&weight)?;
        self.b.dense(label, x, kernel, Some(bias))
    }

    /// The input and, of tokens, their embedding or one-hot vectors; with time, or without.
    fn feed(&mut self) -> Result<(Value, Value)> {
        let feed = self.network("feed");
        let axes: [Dim; 2] = ["B".into(), "T".into()];
        if let Some(width) = feed.get("dense").and_then(Json::as_u64) {
            let x = self.b.input("x", Dtype::F32, [&axes[..], &[Dim::Fixed(width as usize)]].concat());
            return Ok((x.clone(), x));
        }
        let vocab = feed.get("tokens").and_then(Json::as_u64).and_then(|v| usize::try_from(v).ok());
        let vocab =
            vocab.filter(|v| *v > 0).ok_or_else(|| Error::malformed("network.feed", "neither tokens nor dense"))?;
        let x = self.b.input("tokens", Dtype::I64, axes);
        let width = self.size("embedding")?;
        if width > 0 {
            let table = self.tensor("embedding.weight", &[vocab, width])?;
            let y = self.b.embedding("embedding", &x, table)?;
            return Ok((x, y));
        }
        // One-hot vectors: the rows of the identity.
        let n = vocab.checked_mul(vocab).filter(|n| *n <= 1 << 26);
        let n = n.ok_or_else(|| Error::malformed("network.feed", format!("{vocab} tokens as one-hot vectors")))?;
        let identity = (0..n).map(|i| if i / vocab == i % vocab { 1.0 } else { 0.0 }).collect();
        let y = self.b.embedding("one_hot", &x, Tensor::from_f32([vocab, vocab], identity)?)?;
        Ok((x, y))
    }

    /// The network's recurrent layers over `x` `[B, T, I]`; see [`Self::layers`].
    fn stack(&mut self, x: Value) -> Result<(Value, Vec<CellState>)> {
        let layers = Layers {
            prefix: "rnn.",
            cell: cell(self.network("cell"))?,
            layers: self.size("layers")?,
            hidden: self.size("hidden")?,
            bidirectional: self.network("bidirectional").as_bool().unwrap_or(false),
        };
        self.layers(x, &layers, &[])
    }

    /// Recurrent layers over `x` `[B, T, I]`: the outputs `[B, T, D*H]`, and of each layer `h` and `c` `[B, D, H]` after the
    /// last step. `states` are those before the first, of each layer; none for zeros.
    fn layers(&mut self, mut x: Value, of: &Layers, states: &[CellState]) -> Result<(Value, Vec<CellState>)> {
        let Layers { prefix, cell: kind, layers, hidden: h, bidirectional } = *of;
        let direction = if bidirectional { Direction::Bidirectional } else { Direction::Forward };
        let (cell, gates): (Cell, &[usize]) = match kind {
            // Our i f g o as i o f c; r z n as z r h.
            CellKind::Lstm | CellKind::LstmPeephole => (Cell::Lstm { input_forget: false }, &[0, 3, 1, 2]),
            CellKind::Gru => (Cell::Gru { linear_before_reset: true }, &[1, 0, 2]),
            CellKind::GruResetBefore => (Cell::Gru { linear_before_reset: false }, &[1, 0, 2]),
            CellKind::RnnTanh | CellKind::RnnRelu => (Cell::Rnn, &[0]),
        };
        let (g, mut ends) = (gates.len(), Vec::new());
        for layer in 0..layers {
            let i = x.width()?;
            let (mut w, mut r, mut b, mut p) = (vec![], vec![], vec![], vec![]);
            for end in if bidirectional { &["", "_reverse"][..] } else { &[""] } {
                let name = |what: &str| format!("{prefix}{what}_l{layer}{end}");
                let w_ih = self.tensor(&name("weight_ih"), &[g * h, i])?.to_f32();
                let w_hh = self.tensor(&name("weight_hh"), &[g * h, h])?.to_f32();
                let biases = [self.tensor(&name("bias_ih"), &[g * h])?, self.tensor(&name("bias_hh"), &[g * h])?];
                for gate in gates {
                    w.extend_from_slice(&w_ih[gate * h * i..(gate + 1) * h * i]);
                    r.extend_from_slice(&w_hh[gate * h * h..(gate + 1) * h * h]);
                }
                for bias in biases {
                    let bias = bias.to_f32();
                    gates.iter().for_each(|gate| b.extend_from_slice(&bias[gate * h..(gate + 1) * h]));
                }
                if kind == CellKind::LstmPeephole {
                    // Our i f o as i o f.
                    let rows = self.tensor(&name("weight_peephole"), &[3, h])?.to_f32();
                    [0, 2, 1].iter().for_each(|row| p.extend_from_slice(&rows[row * h..(row + 1) * h]));
                }
            }
            let d = direction.count();
            let mut weights =
                RecurrentWeights::new(Tensor::from_f32([d, g * h, i], w)?, Tensor::from_f32([d, g * h, h], r)?);
            weights.b = Some(Tensor::from_f32([d, 2 * g * h], b)?);
            if !p.is_empty() {
                weights.peepholes = Some(Tensor::from_f32([d, 3 * h], p)?);
            }
            let mut of = Recurrent::new(cell, h, direction);
            of.batch_first = true;
            if kind == CellKind::RnnRelu {
                of.activations.fill(Activation::Relu);
            }
            let (y, h_n, c_n) = self.b.recurrent(&format!("{prefix}l{layer}"), &x, of, weights, None)?;
            if let Some((h_0, c_0)) = states.get(layer) {
                self.begin_with(h_0, c_0.as_ref());
            }
            ends.push((h_n, c_n));
            x = y;
        }
        Ok((x, ends))
    }

    /// The states before the first step of the recurrent layer that was added last.
    fn begin_with(&mut self, h: &Value, c: Option<&Value>) {
        // Behind x, W, R, B and lengths.
        const INITIAL: usize = 5;
        let nodes = self.b.graph_mut().nodes.iter_mut().rev();
        if let Some(node) = nodes.into_iter().find(|node| matches!(node.op, Op::Recurrent(_))) {
            let states = [Some(h), c].into_iter().flatten();
            node.inputs.resize(node.inputs.len().max(INITIAL + states.clone().count()), String::new());
            node.inputs[INITIAL..].iter_mut().zip(states).for_each(|(input, state)| *input = state.name().into());
        }
    }

    fn synced(&mut self) -> Result<()> {
        let (input, x) = self.feed()?;
        let x = if self.network("front").is_null() { x } else { self.front("front.", x)? };
        let (y, _) = self.stack(x)?;
        let classes = self.size("classes")?;
        let logits = if self.network("tied").as_bool().unwrap_or(false) {
            let width = y.width()?;
            let table = self.tensor("embedding.weight", &[classes, width])?;
            self.affine("output", "output", &y, table)?
        } else {
            self.linear("output", &y, classes)?
        };
        self.b.output("logits", &logits);
        self.b.sequence(&input, Some(1), Some(0), Some("logits"));
        Ok(())
    }

    fn sequence_input(&mut self) -> Result<()> {
        let (input, x) = self.feed()?;
        let (y, ends) = self.stack(x)?;
        let (width, classes) = (y.width()?, self.size("classes")?);
        let pooling = self.network("pooling").as_str().unwrap_or_default().to_string();
        let mut pooled = match pooling.as_str() {
            // The reverse direction ends at the first step: the final states, not the last outputs.
            "last" if self.network("bidirectional").as_bool() == Some(true) => match ends.last() {
                Some((h, _)) => self.reshaped("pool", h, &[0, -1], vec!["B".into(), width.into()])?,
                None => return Err(Error::malformed("network.layers", "there are none")),
            },
            "last" => self.b.take("pool", &y, 1, -1)?,
            "mean" => self.b.reduce("pool", &y, Reduce::Mean, 1)?,
            "max" => self.b.reduce("pool", &y, Reduce::Max, 1)?,
            "max-mean" => {
                let (max, mean) =
                    (self.b.reduce("max", &y, Reduce::Max, 1)?, self.b.reduce("mean", &y, Reduce::Mean, 1)?);
                self.b.concat("pool", &[&max, &mean], -1)?
            }
            "attention" => self.attention(&y, width)?,
            other => return Err(Error::unsupported("network.pooling", other)),
        };
        let extra = self.size("extra")?;
        if extra > 0 {
            let features = self.b.input("extra", Dtype::F32, [Dim::from("B"), extra.into()]);
            pooled = self.b.concat("features", &[&pooled, &features], -1)?;
        }
        let logits = self.linear("output", &pooled, classes)?;
        self.b.output("logits", &logits);
        self.b.sequence(&input, Some(1), Some(0), None);
        Ok(())
    }

    /// The values in another shape, in the words of ONNX.
    fn reshaped(&mut self, name: &str, x: &Value, shape: &[i64], dims: Vec<Dim>) -> Result<Value> {
        let shape = self.b.constant(&format!("{name}.shape"), Tensor::from_i64([shape.len()], shape.to_vec())?);
        Ok(self.b.node(name, Op::Reshape { allow_zero: false }, &[x, &shape], x.dtype(), dims))
    }

    /// Columns `from` to before `to`.
    fn half(&mut self, x: &Value, from: usize, to: usize) -> Result<Value> {
        let ints = |n: usize| Tensor::from_i64([1], vec![n as i64]);
        let starts = self.b.constant("half.starts", ints(from)?);
        let ends = self.b.constant("half.ends", ints(to)?);
        let axes = self.b.constant("half.axes", Tensor::from_i64([1], vec![-1])?);
        let mut dims = x.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = Dim::Fixed(to - from);
        }
        Ok(self.b.node("half", Op::Slice, &[x, &starts, &ends, &axes], x.dtype(), dims))
    }

    /// The mean over time with weights `softmax(u . y)`.
    fn attention(&mut self, y: &Value, width: usize) -> Result<Value> {
        let query = self.tensor("pool.query", &[width])?.reshaped([width, 1])?;
        let scores = self.b.dense("pool.scores", y, query, None)?;
        let op = Op::Softmax { axis: 1 };
        let weights = self.b.node("pool.weights", op, &[&scores], Dtype::F32, scores.dims());
        let weighted = self.b.binary("pool.weighted", y, &weights, Binary::Mul)?;
        self.b.reduce("pool", &weighted, Reduce::Sum, 1)
    }

    fn fixed(&mut self) -> Result<()> {
        let front = self.network("front");
        let input: Option<usize> = front.get("input").and_then(Json::as_array).and_then(|dims| {
            dims.iter()
                .map(|d| d.as_u64().and_then(|d| usize::try_from(d).ok()))
                .try_fold(1usize, |n, d| n.checked_mul(d?))
        });
        let input = input.ok_or_else(|| Error::malformed("network.front.input", "three sizes are needed"))?;
        let x = self.b.input("x", Dtype::F32, [Dim::from("B"), input.into()]);
        let y = self.front("", x.clone())?;
        let outputs = self.size("outputs")?;
        let mut y = self.linear("output", &y, outputs)?;
        if self.network("skip").as_bool() == Some(true) {
            let weight = self.tensor("skip.weight", &[outputs, input])?;
            let kernel = crate::interpret::reverse_axes(&weight)?;
            let linear = self.b.dense("skip", &x, kernel, None)?;
            y = self.b.add("sum", &y, &linear)?;
        }
        self.b.output("outputs", &y);
        // A run is a step: of a stream of rows each is one.
        self.b.sequence(&x, None, Some(0), Some("outputs"));
        Ok(())
    }

    /// Symbols and labels.
    fn words(&mut self) {
        let vocab = self.config.get("vocab");
        // Frequent characters and bytes that spell others are one vocabulary.
        let vocab = vocab.map(|vocab| vocab.get("spelled").unwrap_or(vocab));
        let chars = vocab.and_then(|v| v.get("chars")).and_then(Json::as_str);
        let bytes = vocab.and_then(|v| v.get("bytes")).and_then(Json::as_array);
        let vocabulary = (chars.is_some() || bytes.is_some()).then(|| {
            let chars = chars.unwrap_or_default().chars().map(String::from);
            let bytes = bytes.into_iter().flatten().map(|b| format!("\\x{:02x}", b.as_u64().unwrap_or(0)));
            chars.chain(bytes).collect()
        });
        let labels = self
            .config
            .get("labels")
            .and_then(Json::as_array)
            .map(|labels| labels.iter().map(|l| l.as_str().map_or_else(|| l.to_string(), String::from)).collect());
        let about = &mut self.b.graph_mut().about;
        (about.vocabulary, about.labels) = (vocabulary, labels);
    }
}
