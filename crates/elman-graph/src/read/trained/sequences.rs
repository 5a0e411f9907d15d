//! Models that write sequences, as two networks: an encoder, which reads a source once, and a decoder, which reads what was
//! written and hands on its states. The equations are those of `shape/decoder.rs` of the crate elman.

use elman_step::CellKind;
use serde_json::Value as Json;

use super::{CellState, Layers, Reader, cell};
use crate::builder::Value;
use crate::error::{Error, Result};
use crate::graph::{Activation, Binary, Dim, Op, Reduce, State};
use crate::tensor::{Dtype, Tensor};

/// The attention of a decoder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attention {
    Dot,
    General,
    Additive,
}

/// The decoder's sizes.
struct Decoder {
    embedding: usize,
    vocab: usize,
    hidden: usize,
    attention: Option<Attention>,
    /// `A`, hidden units of additive attention.
    attention_hidden: usize,
    scaled: bool,
    conditional: bool,
    tied: bool,
    /// The embedding, shared with the source or its own.
    table: &'static str,
    /// Width of a memory row.
    memory: usize,
    lower: Layers<'static>,
    upper: Layers<'static>,
}

impl Decoder {
    /// Layers whose states are handed on.
    fn states(&self) -> usize {
        if self.conditional { 1 } else { self.lower.layers + self.upper.layers }
    }

    /// `K`, the width of a key.
    fn keys(&self) -> usize {
        if self.attention == Some(Attention::Additive) { self.attention_hidden } else { self.hidden }
    }
}

impl Reader<'_> {
    fn sizes_of_decoder(&self, memory: usize) -> Result<Decoder> {
        let decoder = self.network("decoder");
        let size = |key: &str| {
            let size = decoder.get(key).and_then(Json::as_u64).and_then(|n| usize::try_from(n).ok());
            size.ok_or_else(|| Error::malformed(format!("network.decoder.{key}"), "it is no size"))
        };
        let flag = |key: &str| decoder.get(key).and_then(Json::as_bool).unwrap_or(false);
        let attention = match decoder.get("attention").unwrap_or(&Json::Null) {
            Json::Null => None,
            Json::String(kind) if kind == "dot" => Some(Attention::Dot),
            Json::String(kind) if kind == "general" => Some(Attention::General),
            Json::String(kind) if kind == "additive" => Some(Attention::Additive),
            other => return Err(Error::unsupported("network.decoder.attention", other.to_string())),
        };
        let (cell, hidden) = (cell(decoder.get("cell").unwrap_or(&Json::Null))?, size("hidden")?);
        let layers = |prefix, layers| Layers { prefix, cell, layers, hidden, bidirectional: false };
        let shared = self.network("shared_embedding").as_bool().unwrap_or(false);
        Ok(Decoder {
            embedding: size("embedding")?,
            vocab: size("vocab")?,
            hidden,
            attention,
            attention_hidden: size("attention_hidden")?,
            scaled: flag("scaled_attention"),
            conditional: flag("conditional"),
            tied: flag("tied"),
            table: if shared { "embedding.weight" } else { "decoder.embedding.weight" },
            memory,
            lower: layers("decoder.rnn.", size("layers")?),
            upper: layers("decoder.upper.", size("upper_layers")?),
        })
    }

    /// Width of the rows that a decoder attends to.
    fn memory_width(&self, of_features: bool) -> Result<usize> {
        if of_features {
            return self.size("memory");
        }
        let directions = if self.network("bidirectional").as_bool() == Some(true) { 2 } else { 1 };
        let width = self.size("hidden")?.checked_mul(directions);
        width.ok_or_else(|| Error::malformed("network.hidden", "it is no size"))
    }

    /// The vectors of tokens, scaled where their matrix is also that of the output.
    fn tokens(&mut self, x: &Value, table: &str, dims: [usize; 2], tied: bool) -> Result<Value> {
        let mut weight = self.tensor(table, &dims)?;
        if tied {
            let scale = (dims[1] as f64).sqrt() as f32;
            weight = Tensor::from_f32(dims, weight.to_f32().into_iter().map(|w| w * scale).collect())?;
        }
        self.b.embedding("embedding", x, weight)
    }

    /// `tokens` `[B, S]` to what the decoder begins with.
    pub(super) fn source_encoder(&mut self) -> Result<()> {
        let decoder = self.sizes_of_decoder(self.memory_width(false)?)?;
        let tokens = self.b.input("tokens", Dtype::I64, ["B".into(), "S".into()]);
        let shared = self.network("shared_embedding").as_bool().unwrap_or(false);
        let table = if shared { "embedding.weight" } else { "encoder.embedding.weight" };
        let dims = [self.size("source_vocab")?, decoder.embedding];
        let x = self.tokens(&tokens, table, dims, shared && decoder.tied)?;
        let layers = Layers {
            prefix: "encoder.rnn.",
            cell: cell(self.network("cell"))?,
            layers: self.size("layers")?,
            hidden: self.size("hidden")?,
            bidirectional: self.network("bidirectional").as_bool().unwrap_or(false),
        };
        let (memory, ends) = self.layers(x, &layers, &[])?;
        let Some((h, _)) = ends.last() else { return Err(Error::malformed("network.layers", "there are none")) };
        let summary = self.reshaped("summary", h, &[0, -1], vec!["B".into(), decoder.memory.into()])?;
        self.begin_decoder(&decoder, &summary, Some(&memory))?;
        self.b.sequence(&tokens, None, Some(0), None);
        let eos = dims[0].saturating_sub(1);
        let about = &mut self.b.graph_mut().about;
        about.extra.insert("eos".into(), eos.to_string());
        about.notes.push(format!("a source ends with the token {eos}, EOS"));
        Ok(())
    }

    /// Features `[B, P, I]` of `P` positions to what the decoder begins with.
    pub(super) fn feature_encoder(&mut self) -> Result<()> {
        let decoder = self.sizes_of_decoder(self.memory_width(true)?)?;
        let (width, positions) = (self.size("features")?, self.size("places")?);
        let x = self.b.input("features", Dtype::F32, ["B".into(), positions.into(), width.into()]);
        let summary = self.b.reduce("summary", &x, Reduce::Mean, 1)?;
        let feature = self.linear_as("image.feature", "feature", &summary, decoder.embedding)?;
        self.b.output("feature", &feature);
        let mut memory = None;
        if positions > 1 {
            let rows = self.linear_as("image.memory", "memory", &x, decoder.memory)?;
            memory = Some(self.b.activation("image.memory", &rows, Activation::Tanh));
        }
        self.begin_decoder(&decoder, &summary, memory.as_ref())?;
        self.b.sequence(&x, None, Some(0), None);
        Ok(())
    }

    /// Outputs: the memory and its keys, where there is attention, and the decoder's first states.
    fn begin_decoder(&mut self, decoder: &Decoder, summary: &Value, memory: Option<&Value>) -> Result<()> {
        if let (Some(attention), Some(memory)) = (decoder.attention, memory) {
            self.b.output("memory", memory);
            let weight = "decoder.attention.memory.weight";
            let keys = match attention {
                Attention::Dot => None,
                Attention::General => {
                    let weight = self.tensor(weight, &[decoder.keys(), decoder.memory])?;
                    Some(self.b.dense("attention.keys", memory, crate::interpret::reverse_axes(&weight)?, None)?)
                }
                Attention::Additive => Some(self.linear("decoder.attention.memory", memory, decoder.keys())?),
            };
            keys.iter().for_each(|keys| self.b.output("keys", keys));
        }
        let (hidden, parts) = (decoder.hidden, parts(decoder.lower.cell));
        let bridged = self.linear("decoder.bridge", summary, decoder.states() * parts * hidden)?;
        let bridged = self.b.activation("decoder.bridge", &bridged, Activation::Tanh);
        for at in 0..decoder.states() * parts {
            let part = self.half(&bridged, at * hidden, (at + 1) * hidden)?;
            let part = self.reshaped("state", &part, &[0, 1, -1], vec!["B".into(), 1.into(), hidden.into()])?;
            self.b.output(&state_name(at, parts), &part);
        }
        Ok(())
    }

    /// Tokens `[B, T]`, what the encoder gave, and states, to logits `[B, T, V]` and the next states.
    pub(super) fn decoder(&mut self, of_features: bool) -> Result<()> {
        let decoder = self.sizes_of_decoder(self.memory_width(of_features)?)?;
        let Decoder { embedding, vocab, hidden, .. } = decoder;
        let (batch, rows): (Dim, Dim) =
            ("B".into(), if of_features { self.size("places")?.into() } else { "S".into() });
        // The cells of a conditional decoder take turns, so that it reads one token at a time.
        let time: Dim = if decoder.conditional { 1.into() } else { "T".into() };
        let tokens = self.b.input("tokens", Dtype::I64, [batch.clone(), time]);
        let mut x = self.tokens(&tokens, decoder.table, [vocab, embedding], decoder.tied)?;
        if of_features {
            let feature = self.b.input("feature", Dtype::F32, [batch.clone(), embedding.into()]);
            let dims = vec![batch.clone(), 1.into(), embedding.into()];
            let feature = self.reshaped("feature", &feature, &[0, 1, -1], dims)?;
            x = self.b.add("x", &x, &feature)?;
        }
        let mut memory = None;
        if let Some(attention) = decoder.attention {
            let values = self.b.input("memory", Dtype::F32, [batch.clone(), rows.clone(), decoder.memory.into()]);
            let keys = match attention {
                Attention::Dot => values.clone(),
                _ => self.b.input("keys", Dtype::F32, [batch.clone(), rows, decoder.keys().into()]),
            };
            memory = Some((attention, values, keys));
        }
        let parts = parts(decoder.lower.cell);
        let dims: Vec<Dim> = vec![batch, 1.into(), hidden.into()];
        let inputs: Vec<Value> = (0..decoder.states() * parts)
            .map(|at| self.b.input(&state_name(at, parts), Dtype::F32, dims.clone()))
            .collect();
        let states: Vec<CellState> = inputs.chunks(parts).map(|part| (part[0].clone(), part.get(1).cloned())).collect();
        let (h, mut ends) = self.layers(x.clone(), &decoder.lower, &states)?;
        let context = match &memory {
            Some((attention, values, keys)) => Some(self.attend(&decoder, *attention, &h, values, keys)?),
            None => None,
        };
        let mut top = h.clone();
        if let (Some(context), true) = (&context, decoder.upper.layers > 0) {
            if decoder.conditional {
                (top, ends) = self.layers(context.clone(), &decoder.upper, &ends.clone())?;
            } else {
                let joined = self.b.concat("joined", &[&h, context], -1)?;
                let (y, more) = self.layers(joined, &decoder.upper, &states[decoder.lower.layers..])?;
                (top, ends) = (y, [ends, more].concat());
            }
        }
        let read: Vec<&Value> = [Some(&top), context.as_ref(), Some(&x)].into_iter().flatten().collect();
        let read = self.b.concat("read", &read, -1)?;
        let r = self.linear("decoder.readout", &read, embedding)?;
        let r = self.b.activation("decoder.readout", &r, Activation::Tanh);
        let logits = if decoder.tied {
            let weight = self.tensor(decoder.table, &[vocab, embedding])?;
            self.affine("decoder.output", "decoder.output", &r, weight)?
        } else {
            self.linear("decoder.output", &r, vocab)?
        };
        self.b.output("logits", &logits);
        for (input, end) in inputs.iter().zip(ends.into_iter().flat_map(|(h, c)| [Some(h), c]).flatten()) {
            let output = format!("{}_next", input.name());
            self.b.output(&output, &end);
            let state = State { input: input.name().into(), output, initial: None, batch: Some(0) };
            self.b.graph_mut().states.push(state);
        }
        // The last two tokens.
        let [bos, eos] = [2, 1].map(|from_end| vocab.saturating_sub(from_end));
        let about = &mut self.b.graph_mut().about;
        about.extra.extend([("bos".to_string(), bos.to_string()), ("eos".to_string(), eos.to_string())]);
        about.notes.push(format!("it begins with the token {bos}, BOS, and ends with {eos}, EOS"));
        let time = if decoder.conditional { None } else { Some(1) };
        self.b.sequence(&tokens, time, Some(0), Some("logits"));
        Ok(())
    }

    /// The context `[B, T, M]` of queries `[B, T, H]`.
    fn attend(
        &mut self,
        decoder: &Decoder,
        attention: Attention,
        queries: &Value,
        values: &Value,
        keys: &Value,
    ) -> Result<Value> {
        let dims = |last: &Value| vec![queries.dims()[0].clone(), queries.dims()[1].clone(), last.dims()[1].clone()];
        let scores = match attention {
            Attention::Additive => {
                let width = decoder.keys();
                let weight = self.tensor("decoder.attention.query.weight", &[width, decoder.hidden])?;
                let q = self.b.dense("query", queries, crate::interpret::reverse_axes(&weight)?, None)?;
                let [b, t, s] = [queries.dims()[0].clone(), queries.dims()[1].clone(), keys.dims()[1].clone()];
                let one: Dim = 1.into();
                let last: Dim = width.into();
                let q = self.reshaped("query", &q, &[0, 0, 1, -1], vec![b.clone(), t, one.clone(), last.clone()])?;
                let axes = self.b.constant("key.axes", Tensor::from_i64([1], vec![1])?);
                let keys = self.b.node("keys", Op::Unsqueeze, &[keys, &axes], Dtype::F32, vec![b, one, s, last]);
                let sum = self.b.binary("hidden", &q, &keys, Binary::Add)?;
                let hidden = self.b.activation("hidden", &sum, Activation::Tanh);
                let v = self.tensor("decoder.attention.v", &[width])?.reshaped([width, 1])?;
                let scores = self.b.dense("scores", &hidden, v, None)?;
                let axes = self.b.constant("score.axes", Tensor::from_i64([1], vec![-1])?);
                self.b.node("scores", Op::Squeeze, &[&scores, &axes], Dtype::F32, dims(values))
            }
            _ => {
                let keys = self.b.transpose("keys", keys, &[0, 2, 1])?;
                let scores = self.b.node("scores", Op::MatMul, &[queries, &keys], Dtype::F32, dims(values));
                let scale = if decoder.scaled { (1.0 / (decoder.hidden as f64).sqrt()) as f32 } else { 1.0 };
                self.b.gain("scores", &scores, scale)?
            }
        };
        let weights = self.b.softmax("attention", &scores);
        let last = values.dims()[2].clone();
        let dims = vec![queries.dims()[0].clone(), queries.dims()[1].clone(), last];
        Ok(self.b.node("context", Op::MatMul, &[&weights, values], Dtype::F32, dims))
    }
}

/// Values of a state: `h` and, of an LSTM, `c`.
fn parts(cell: CellKind) -> usize {
    if matches!(cell, CellKind::Lstm | CellKind::LstmPeephole) { 2 } else { 1 }
}

/// `h0`, `c0`, `h1`, …: of an LSTM `parts` is 2.
fn state_name(at: usize, parts: usize) -> String {
    format!("{}{}", if at.is_multiple_of(parts) { "h" } else { "c" }, at / parts)
}
