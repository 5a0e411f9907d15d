//! Attention: for every query a mean of a sequence's memory, weighted by the softmax of the scores of query and memory.
//!
//! `context_t = sum_s p_ts m_s`, `p_t = softmax_s(score(q_t, m_s))`, with the score
//! - dot (Luong et al. 2015): `q . m`;
//! - general (Luong et al. 2015): `q . W m`;
//! - additive (Bahdanau et al. 2015): `v . tanh(W_q q + W_m m + b)`.
//!
//! Scaled, the first two are divided by the square root of the vectors' width (Vaswani et al. 2017). Unscaled, scores
//! of wide vectors soon saturate the softmax: one position gets all the weight, and its gradient vanishes.
//!
//! A block's memories are concatenated, `R = S_0 + S_1 + ..` rows, and so are its queries, `N` rows: offsets say where
//! each sequence begins. So sequences may differ in length without masks, and the queries of a sequence, whether all
//! steps of training or the hypotheses of a beam, are one product. A sequence without memory has context 0.

use elman_kernels::{Mat, MatMut, Packed, Scalar, Scratch, Start, attention, gemm, gemm_unpacked, rows, softmax};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::param::{Grads, Init, Layout, Params, Slot};
use crate::rng::Rng;

/// The score of query and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionKind {
    /// Their dot product; they must have the same width.
    Dot,
    /// The dot product after a linear map of the memory.
    General,
    /// A network with one hidden layer.
    Additive,
}

/// Configuration of an [`Attention`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionConfig {
    /// The score of query and memory.
    pub kind: AttentionKind,
    /// `H`, width of a query.
    pub queries: usize,
    /// `M`, width of a memory row and of the context.
    pub memory: usize,
    /// `A`, hidden units of the additive score; ignored by the others.
    pub hidden: usize,
    /// Whether a dot product is divided by the square root of its width; ignored by the additive score.
    pub scaled: bool,
}

/// An attention layer: offsets and sizes.
#[derive(Clone, Debug)]
pub struct Attention {
    config: AttentionConfig,
    /// `[K, M]`: general `K = H`, additive `K = A`.
    w_memory: Option<Slot>,
    additive: Option<AdditiveSlots>,
}

/// The further weights of the additive score.
#[derive(Clone, Copy, Debug)]
struct AdditiveSlots {
    /// `[A, H]`.
    w_query: Slot,
    /// `[A]`.
    bias: Slot,
    /// `[A]`.
    v: Slot,
}

/// The weights, packed for the kernels.
#[derive(Clone, Default)]
pub struct AttentionPrepared<F> {
    w_memory: Packed<F>,
    w_memory_back: Packed<F>,
    w_query: Packed<F>,
    w_query_back: Packed<F>,
    bias: Vec<F>,
    v: Vec<F>,
}

/// What is attended to: the rows of each sequence and their keys, computed once for all queries.
#[derive(Clone, Debug, Default)]
pub struct Memory<F> {
    /// Where each sequence's rows begin, and the end: `[B + 1]`.
    pub offsets: Vec<usize>,
    /// The rows `[R, M]`.
    pub values: Vec<F>,
    /// Their keys `[R, K]`; empty for the dot score, whose keys are the values.
    keys: Vec<F>,
}

/// Working memory; what the backward pass needs from the forward pass.
#[derive(Clone, Default)]
pub struct AttentionTape<F> {
    /// Additive: `W_q q` `[N, A]`.
    projected: Vec<F>,
    /// `p`: for each sequence `[T, S]`, concatenated.
    weights: Vec<F>,
    context: Vec<F>,
    /// The gradients of additive scores or of dot products, as `weights`.
    dscores: Vec<F>,
    dprojected: Vec<F>,
    scratch: Scratch<F>,
}

/// Gradient of a memory, accumulated over all queries.
#[derive(Clone, Default)]
pub struct MemoryGrad<F> {
    /// dL/dkeys `[R, K]`; unused for the dot score.
    dkeys: Vec<F>,
    scratch: Scratch<F>,
}

impl<F> AttentionTape<F> {
    /// The contexts `[N, M]` of the last forward pass.
    pub fn context(&self) -> &[F] {
        &self.context
    }

    /// The weights of the last forward pass: for each sequence `[T, S]`, concatenated.
    pub fn weights(&self) -> &[F] {
        &self.weights
    }
}

impl<F: Scalar> AttentionTape<F> {
    /// Joins what the backward passes of single steps left for [`Attention::backward_rows`] of all: step `t` had
    /// queries of the first sequences of the memory, those still active.
    pub fn join<'a>(&mut self, steps: impl Iterator<Item = &'a Self>, offsets: &[usize], memory: &Memory<F>)
    where
        F: 'a,
    {
        let len = spans(offsets, &memory.offsets).last().map_or(0, |span| span.weights.end);
        self.weights.resize(len, F::ZERO);
        self.dscores.resize(len, F::ZERO);
        for (t, step) in steps.enumerate() {
            let mut from = 0;
            for span in spans(offsets, &memory.offsets).filter(|span| span.queries.len() > t) {
                let s = span.rows.len();
                let to = span.weights.start + t * s;
                self.weights[to..to + s].copy_from_slice(&step.weights[from..from + s]);
                self.dscores[to..to + s].copy_from_slice(&step.dscores[from..from + s]);
                from += s;
            }
        }
    }
}

/// The ranges of one sequence: its queries, its memory rows and its weights.
struct Span {
    queries: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
    weights: std::ops::Range<usize>,
}

/// The ranges of every sequence that has queries.
fn spans<'a>(queries: &'a [usize], rows: &'a [usize]) -> impl Iterator<Item = Span> + 'a {
    assert_eq!(queries.len(), rows.len(), "queries and memories differ in sequences");
    let mut from = 0;
    queries.windows(2).zip(rows.windows(2)).filter_map(move |(q, m)| {
        let to = from + (q[1] - q[0]) * (m[1] - m[0]);
        let span = Span { queries: q[0]..q[1], rows: m[0]..m[1], weights: from..to };
        from = to;
        (q[1] > q[0]).then_some(span)
    })
}

fn part<'a, F>(x: &'a [F], rows: &std::ops::Range<usize>, width: usize) -> &'a [F] {
    &x[rows.start * width..rows.end * width]
}

fn part_mut<'a, F>(x: &'a mut [F], rows: &std::ops::Range<usize>, width: usize) -> &'a mut [F] {
    &mut x[rows.start * width..rows.end * width]
}

/// Resizes to `len` zeros, reusing the allocation.
fn zeros<F: Scalar>(x: &mut Vec<F>, len: usize) {
    x.clear();
    x.resize(len, F::ZERO);
}

impl Attention {
    /// Adds the tensors to the layout behind `prefix`.
    ///
    /// # Errors
    /// [`Error::Usage`] if a size is 0, or a dot score's query and memory differ in width.
    pub fn add(layout: &mut Layout, prefix: &str, config: AttentionConfig) -> Result<Self> {
        let AttentionConfig { kind, queries, memory, hidden, .. } = config;
        if queries == 0 || memory == 0 || (kind == AttentionKind::Additive && hidden == 0) {
            return Err(Error::Usage("the sizes of `attention` must be at least 1".into()));
        }
        if kind == AttentionKind::Dot && queries != memory {
            return Err(Error::Usage(format!(
                "dot attention needs queries ({queries}) and memory ({memory}) of the same width; make the decoder as wide \
                 as the encoder's output, or use general or additive `attention`"
            )));
        }
        let mut add = |name: &str, dims: &[usize]| layout.add(format!("{prefix}{name}"), dims);
        let (w_memory, additive) = match kind {
            AttentionKind::Dot => (None, None),
            AttentionKind::General => (Some(add("memory.weight", &[queries, memory])), None),
            AttentionKind::Additive => {
                let w_memory = add("memory.weight", &[hidden, memory]);
                let bias = add("memory.bias", &[hidden]);
                let w_query = add("query.weight", &[hidden, queries]);
                (Some(w_memory), Some(AdditiveSlots { w_query, bias, v: add("v", &[hidden]) }))
            }
        };
        Ok(Attention { config, w_memory, additive })
    }

    /// Its configuration.
    pub fn config(&self) -> &AttentionConfig {
        &self.config
    }

    /// `K`, the width of a key.
    fn key_width(&self) -> usize {
        if self.additive.is_some() { self.config.hidden } else { self.config.queries }
    }

    /// The factor of a dot product.
    fn scale<F: Scalar>(&self) -> F {
        if self.config.scaled { F::from_f64(1.0 / (self.config.queries as f64).sqrt()) } else { F::ONE }
    }

    /// Initialises the weights.
    pub fn init<F: Scalar>(&self, init: Init, params: &mut Params<F>, rng: &mut Rng) {
        if let Some(w) = self.w_memory {
            init.fill(w.of_mut(params), self.config.memory, false, rng);
        }
        if let Some(AdditiveSlots { w_query, bias, v }) = self.additive {
            init.fill(bias.of_mut(params), self.config.memory, true, rng);
            init.fill(w_query.of_mut(params), self.config.queries, false, rng);
            init.fill(v.of_mut(params), self.config.hidden, false, rng);
        }
    }

    /// Packs the weights, once per optimizer step.
    pub fn prepare<F: Scalar>(&self, params: &Params<F>, prepared: &mut AttentionPrepared<F>) {
        if let Some(w) = self.w_memory {
            let w = Mat::new(w.of(params), self.key_width(), self.config.memory);
            prepared.w_memory.pack(w.t());
            prepared.w_memory_back.pack(w);
        }
        if let Some(AdditiveSlots { w_query, bias, v }) = self.additive {
            let w = Mat::new(w_query.of(params), self.config.hidden, self.config.queries);
            prepared.w_query.pack(w.t());
            prepared.w_query_back.pack(w);
            prepared.bias.clear();
            prepared.bias.extend_from_slice(bias.of(params));
            prepared.v.clear();
            prepared.v.extend_from_slice(v.of(params));
        }
    }

    /// Computes the keys of a memory whose values and offsets are set.
    ///
    /// # Panics
    /// If the offsets do not end where the values do.
    pub fn compute_keys<F: Scalar>(&self, prepared: &AttentionPrepared<F>, memory: &mut Memory<F>) {
        let n = memory.offsets.last().copied().unwrap_or(0);
        let (width, keys) = (self.config.memory, self.key_width());
        assert_eq!(memory.values.len(), n * width, "memory [R, M]");
        memory.keys.clear();
        if self.w_memory.is_some() {
            memory.keys.resize(n * keys, F::ZERO);
            let start = if self.additive.is_some() { Start::Bias(&prepared.bias[..]) } else { Start::Zero };
            let to = MatMut::new(&mut memory.keys, n, keys);
            gemm(Mat::new(&memory.values, n, width), &prepared.w_memory, to, start);
        }
    }

    /// `queries` `[N, H]`, sequence after sequence as `offsets` `[B + 1]` say, to `tape.context()` `[N, M]`.
    ///
    /// # Panics
    /// If the dimensions do not match.
    pub fn forward<F: Scalar>(
        &self,
        prepared: &AttentionPrepared<F>,
        memory: &Memory<F>,
        offsets: &[usize],
        queries: &[F],
        tape: &mut AttentionTape<F>,
    ) {
        let AttentionConfig { queries: width, memory: values, .. } = self.config;
        let n = offsets.last().copied().unwrap_or(0);
        assert_eq!(queries.len(), n * width, "queries [N, H]");
        let AttentionTape { projected, weights, context, scratch, .. } = tape;
        let keys_width = self.key_width();
        if self.additive.is_some() {
            projected.resize(n * keys_width, F::ZERO);
            let to = MatMut::new(projected, n, keys_width);
            gemm(Mat::new(queries, n, width), &prepared.w_query, to, Start::Zero);
        }
        let keys = if self.w_memory.is_some() { &memory.keys } else { &memory.values };
        zeros(weights, spans(offsets, &memory.offsets).map(|span| span.weights.len()).sum());
        zeros(context, n * values);
        for span in spans(offsets, &memory.offsets) {
            let (t, s) = (span.queries.len(), span.rows.len());
            if s == 0 {
                continue;
            }
            let keys = part(keys, &span.rows, keys_width);
            let p = &mut weights[span.weights];
            if self.additive.is_some() {
                let queries = part(projected, &span.queries, keys_width).chunks_exact(keys_width);
                for (query, p) in queries.zip(p.chunks_exact_mut(s)) {
                    attention::additive(keys, query, &prepared.v, p);
                }
            } else {
                attention::dot(part(queries, &span.queries, width), keys, width, p);
                let scale = self.scale();
                p.iter_mut().for_each(|score| *score *= scale);
            }
            p.chunks_exact_mut(s).for_each(softmax::softmax);
            let values_rows = Mat::new(part(&memory.values, &span.rows, values), s, values);
            let to = MatMut::new(part_mut(context, &span.queries, values), t, values);
            gemm_unpacked(Mat::new(p, t, s), values_rows, to, Start::Zero, scratch);
        }
    }

    /// Call before the backward passes of a memory's queries.
    pub fn begin_backward<F: Scalar>(&self, memory: &Memory<F>, dmemory: &mut MemoryGrad<F>) {
        zeros(&mut dmemory.dkeys, if self.w_memory.is_some() { memory.keys.len() } else { 0 });
    }

    /// From dL/dcontext `[N, M]`: adds to `grads`, writes `dqueries` `[N, H]`, and leaves in the tape what
    /// [`Self::backward_rows`] needs.
    ///
    /// # Panics
    /// If the dimensions do not match, or the tape is not that of the forward pass.
    pub fn backward<F: Scalar>(
        &self,
        prepared: &AttentionPrepared<F>,
        memory: &Memory<F>,
        offsets: &[usize],
        queries: &[F],
        dcontext: &[F],
        tape: &mut AttentionTape<F>,
        grads: &mut Grads<F>,
        dqueries: &mut [F],
        dmemory: &mut MemoryGrad<F>,
    ) {
        let AttentionConfig { queries: width, memory: values, .. } = self.config;
        let (n, keys_width) = (offsets.last().copied().unwrap_or(0), self.key_width());
        assert!(dqueries.len() == n * width && dcontext.len() == n * values, "queries [N, H], contexts [N, M]");
        let AttentionTape { projected, weights, dscores, dprojected, scratch, .. } = tape;
        dqueries.fill(F::ZERO);
        dscores.resize(weights.len(), F::ZERO);
        if self.additive.is_some() {
            zeros(dprojected, n * keys_width);
        }
        let keys = if self.w_memory.is_some() { &memory.keys } else { &memory.values };
        for span in spans(offsets, &memory.offsets) {
            let (t, s) = (span.queries.len(), span.rows.len());
            if s == 0 {
                continue;
            }
            let (p, dscores) = (&weights[span.weights.clone()], &mut dscores[span.weights]);
            let dcontext = part(dcontext, &span.queries, values);
            attention::dot(dcontext, part(&memory.values, &span.rows, values), values, dscores);
            // dscore = p (dp - sum p dp).
            for (dp, p) in dscores.chunks_exact_mut(s).zip(p.chunks_exact(s)) {
                let mut mean = F::ZERO;
                dp.iter().zip(p).for_each(|(&dp, &p)| mean += p * dp);
                dp.iter_mut().zip(p).for_each(|(dp, &p)| *dp = p * (*dp - mean));
            }
            let keys = part(keys, &span.rows, keys_width);
            if let Some(AdditiveSlots { v, .. }) = self.additive {
                let dkeys = part_mut(&mut dmemory.dkeys, &span.rows, keys_width);
                for (t, dscores) in span.queries.zip(dscores.chunks_exact(s)) {
                    let query = &projected[t * keys_width..(t + 1) * keys_width];
                    let dquery = &mut dprojected[t * keys_width..(t + 1) * keys_width];
                    let dv = v.of_mut(grads);
                    attention::additive_backward(keys, query, &prepared.v, dscores, dkeys, dquery, dv);
                }
                continue;
            }
            let scale = self.scale();
            dscores.iter_mut().for_each(|d| *d *= scale);
            let to = MatMut::new(part_mut(dqueries, &span.queries, width), t, width);
            gemm_unpacked(Mat::new(dscores, t, s), Mat::new(keys, s, width), to, Start::Zero, scratch);
        }
        // The weights see all sequences at once.
        if let Some(AdditiveSlots { w_query, .. }) = self.additive {
            let dprojected = Mat::new(&dprojected[..], n, keys_width);
            let dw = MatMut::new(w_query.of_mut(grads), keys_width, width);
            gemm_unpacked(dprojected.t(), Mat::new(queries, n, width), dw, Start::Add, scratch);
            gemm(dprojected, &prepared.w_query_back, MatMut::new(dqueries, n, width), Start::Zero);
        }
    }

    /// Call after [`Self::backward`], with the same queries: adds to `dmemory` and to `dvalues` `[R, M]`.
    ///
    /// # Panics
    /// If the dimensions do not match.
    pub fn backward_rows<F: Scalar>(
        &self,
        memory: &Memory<F>,
        offsets: &[usize],
        queries: &[F],
        dcontext: &[F],
        tape: &mut AttentionTape<F>,
        dmemory: &mut MemoryGrad<F>,
        dvalues: &mut [F],
    ) {
        let AttentionConfig { queries: width, memory: values, .. } = self.config;
        let r = memory.offsets.last().copied().unwrap_or(0);
        assert_eq!(dvalues.len(), r * values, "memory [R, M]");
        let AttentionTape { weights, dscores, scratch, .. } = tape;
        for span in spans(offsets, &memory.offsets) {
            let (t, s) = (span.queries.len(), span.rows.len());
            let (p, dscores) = (&weights[span.weights.clone()], &dscores[span.weights]);
            let dcontext = Mat::new(part(dcontext, &span.queries, values), t, values);
            let to = MatMut::new(part_mut(dvalues, &span.rows, values), s, values);
            gemm_unpacked(Mat::new(p, t, s).t(), dcontext, to, Start::Add, scratch);
            if self.additive.is_some() {
                continue;
            }
            let queries = Mat::new(part(queries, &span.queries, width), t, width);
            let dkeys = if self.w_memory.is_some() { &mut dmemory.dkeys[..] } else { &mut dvalues[..] };
            let to = MatMut::new(part_mut(dkeys, &span.rows, width), s, width);
            gemm_unpacked(Mat::new(dscores, t, s).t(), queries, to, Start::Add, scratch);
        }
    }

    /// Call after the backward passes of all queries: from the keys, adds to `grads` and to `dvalues` `[R, M]`.
    ///
    /// # Panics
    /// If the memory is not that of [`Self::begin_backward`].
    pub fn backward_memory<F: Scalar>(
        &self,
        prepared: &AttentionPrepared<F>,
        memory: &Memory<F>,
        dmemory: &mut MemoryGrad<F>,
        grads: &mut Grads<F>,
        dvalues: &mut [F],
    ) {
        let (r, values, keys_width) =
            (memory.offsets.last().copied().unwrap_or(0), self.config.memory, self.key_width());
        let MemoryGrad { dkeys, scratch } = dmemory;
        if let Some(AdditiveSlots { bias, .. }) = self.additive {
            rows::sum_add(dkeys, r, keys_width, bias.of_mut(grads));
        }
        if let Some(w_memory) = self.w_memory {
            let dkeys = Mat::new(&dkeys[..], r, keys_width);
            let dw = MatMut::new(w_memory.of_mut(grads), keys_width, values);
            gemm_unpacked(dkeys.t(), Mat::new(&memory.values, r, values), dw, Start::Add, scratch);
            gemm(dkeys, &prepared.w_memory_back, MatMut::new(dvalues, r, values), Start::Add);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const KINDS: [AttentionKind; 3] = [AttentionKind::Dot, AttentionKind::General, AttentionKind::Additive];

    /// Weights, memory and queries in one buffer, so that finite differences are one loop.
    struct Case {
        attention: Attention,
        layout: Arc<Layout>,
        rows: Vec<usize>,
        queries: Vec<usize>,
        values: Vec<f64>,
    }

    impl Case {
        fn new(kind: AttentionKind, scaled: bool) -> Case {
            let mut layout = Layout::new();
            let width = if kind == AttentionKind::Dot { 4 } else { 5 };
            let config = AttentionConfig { kind, queries: width, memory: 4, hidden: 3, scaled };
            let attention = Attention::add(&mut layout, "attention.", config).unwrap();
            // Ragged: a sequence without memory, one without queries, one memory row.
            let (rows, queries) = (vec![0, 3, 3, 5, 6], vec![0, 2, 3, 3, 6]);
            let mut rng = Rng::new(3, "test");
            let n = layout.len() + 6 * 4 + 6 * width;
            let values = (0..n).map(|_| rng.range(-1.0, 1.0)).collect();
            Case { attention, layout: Arc::new(layout), rows, queries, values }
        }

        /// `sum context * [0.1, 0.2, ..]` and, with `grad`, its gradient.
        fn loss(&self, values: &[f64], grad: Option<&mut Vec<f64>>) -> f64 {
            let width = self.attention.config.queries;
            let mut params: Params<f64> = Params::zeros(&self.layout);
            let (weights, rest) = values.split_at(self.layout.len());
            params.values.copy_from_slice(weights);
            let (m, q) = rest.split_at(6 * 4);
            let (mut prepared, mut tape) = (AttentionPrepared::default(), AttentionTape::default());
            self.attention.prepare(&params, &mut prepared);
            let mut memory = Memory { offsets: self.rows.clone(), values: m.to_vec(), keys: vec![7.0; 99] };
            self.attention.compute_keys(&prepared, &mut memory);
            // Dirty memory.
            (tape.weights, tape.context) = (vec![5.0; 50], vec![6.0; 50]);
            let mut dmemory = MemoryGrad { dkeys: vec![7.0; 50], scratch: Scratch::default() };
            self.attention.forward(&prepared, &memory, &self.queries, q, &mut tape);
            let dcontext: Vec<f64> = (1..=6 * 4).map(|i| 0.1 * f64::from(i)).collect();
            if let Some(grad) = grad {
                let mut grads = Params::zeros(&self.layout);
                let (mut dq, mut dm) = (vec![9.0; 6 * width], vec![0.0; 6 * 4]);
                let attention = &self.attention;
                attention.begin_backward(&memory, &mut dmemory);
                attention.backward(
                    &prepared, &memory, &self.queries, q, &dcontext, &mut tape, &mut grads, &mut dq, &mut dmemory,
                );
                attention.backward_rows(&memory, &self.queries, q, &dcontext, &mut tape, &mut dmemory, &mut dm);
                attention.backward_memory(&prepared, &memory, &mut dmemory, &mut grads, &mut dm);
                *grad = [&grads.values[..], &dm, &dq].concat();
            }
            tape.context.iter().zip(&dcontext).map(|(c, d)| c * d).sum()
        }
    }

    #[test]
    fn gradients_equal_central_differences_for_ragged_memories() {
        for (kind, scaled) in KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
            let case = Case::new(kind, scaled);
            let mut grad = Vec::new();
            case.loss(&case.values, Some(&mut grad));
            assert_eq!(grad.len(), case.values.len());
            for i in 0..grad.len() {
                let mut values = case.values.clone();
                let mut at = |x: f64| {
                    values[i] = x;
                    case.loss(&values, None)
                };
                let numeric = (at(case.values[i] + 1e-5) - at(case.values[i] - 1e-5)) / 2e-5;
                let near = (grad[i] - numeric).abs() <= 1e-7 + 1e-5 * numeric.abs();
                assert!(near, "{kind:?} value {i}: backward says {}, differences {numeric}", grad[i]);
            }
        }
    }

    #[test]
    fn queries_are_independent_bit_for_bit_and_weights_sum_to_one() {
        for kind in KINDS {
            let mut layout = Layout::new();
            let config = AttentionConfig { kind, queries: 40, memory: 40, hidden: 19, scaled: true };
            let attention = Attention::add(&mut layout, "", config).unwrap();
            let mut rng = Rng::new(3, "test");
            let mut params: Params<f32> = Params::zeros(&Arc::new(layout));
            attention.init(Init::Uniform(0.5), &mut params, &mut rng);
            let mut prepared = AttentionPrepared::default();
            attention.prepare(&params, &mut prepared);
            let mut numbers = |n: usize| (0..n).map(|_| rng.range(-1.0, 1.0) as f32).collect::<Vec<_>>();
            let mut memory = Memory { offsets: vec![0, 7, 20], values: numbers(20 * 40), keys: Vec::new() };
            attention.compute_keys(&prepared, &mut memory);
            let queries = numbers(9 * 40);
            let mut all = AttentionTape::default();
            attention.forward(&prepared, &memory, &[0, 4, 9], &queries, &mut all);
            assert!((all.weights()[..7].iter().sum::<f32>() - 1.0).abs() < 1e-6);
            for t in 0..9 {
                let offsets = if t < 4 { [0, 1, 1] } else { [0, 0, 1] };
                let mut one = AttentionTape::default();
                attention.forward(&prepared, &memory, &offsets, &queries[t * 40..(t + 1) * 40], &mut one);
                assert_eq!(one.context(), &all.context()[t * 40..(t + 1) * 40], "{kind:?} {t}");
            }
        }
    }

    #[test]
    fn invalid_widths_are_rejected() {
        let add = |kind, queries, hidden| {
            Attention::add(&mut Layout::new(), "", AttentionConfig { kind, queries, memory: 4, hidden, scaled: true })
        };
        assert!(add(AttentionKind::Dot, 5, 1).unwrap_err().to_string().contains("general or additive"));
        assert!(add(AttentionKind::Additive, 4, 0).is_err() && add(AttentionKind::General, 0, 1).is_err());
        assert!(add(AttentionKind::Dot, 4, 0).is_ok());
    }
}
