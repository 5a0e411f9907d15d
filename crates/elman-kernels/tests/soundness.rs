//! No safe call touches memory outside its slices: what an audit found, and random calls of every public function with
//! right and wrong lengths, on each instruction set.
//!
//! `ELMAN_CALLS=1000000` makes as many random calls for each instruction set, or for the one that `ELMAN_ISA` names;
//! `.ci/sanitize` runs them under AddressSanitizer, which sees reads past the end of an allocation too.
#![forbid(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use elman_kernels::gates::{gru, lstm, rnn};
use elman_kernels::optim::{self, Adagrad, Adam, Average, Gradient, Momentum, Rmsprop, RmspropMomentum, Sgd};
use elman_kernels::step::{self, Panels, Precision};
use elman_kernels::{
    Isa, Mat, MatMut, Operands, Packed, Scalar, Scratch, Start, activation, attention, gemm, gemm_rows,
    gemm_unpacked_of, reference, rows, softmax,
};

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// The message of the panic that ends `call`.
fn refusal(call: impl FnOnce()) -> String {
    message(&*catch_unwind(AssertUnwindSafe(call)).expect_err("the call must be refused"))
}

#[test]
fn a_matrix_whose_reach_wraps_is_refused() {
    let x = [1.0f32; 9];
    let mut one = [0.0f32];
    for said in [
        refusal(|| _ = MatMut::strided(&mut one, 2, 1, usize::MAX)),
        refusal(|| _ = Mat::strided(&x[8..], 2, 1, usize::MAX)),
        refusal(|| _ = Mat::new(&x[..0], 1 << 33, 1 << 31)),
        refusal(|| _ = Mat::strided(&x, 3, usize::MAX, 1)),
    ] {
        assert!(said.contains("exceeds its slice"), "{said}");
    }
}

#[test]
fn a_bias_of_another_length_is_refused_by_an_unpacked_product_in_place() {
    let (x, w, mut c) = ([1.0f32], [1.0f32; 32], [0.0f32; 32]);
    let said = refusal(|| {
        let (a, b, c) = (Mat::new(&x, 1, 1), Mat::new(&w, 1, 32), MatMut::new(&mut c, 1, 32));
        gemm_unpacked_of(Operands::Exact, a, b, c, Start::Bias(&[7.0]), &mut Scratch::default());
    });
    assert!(said.contains("bias"), "{said}");
}

#[test]
fn a_packed_matrix_is_empty_after_a_panic_while_it_was_packed() {
    let x = [1.0f32; 64];
    for operands in [Operands::Exact, Operands::Bf16] {
        let mut packed = Packed::new();
        packed.set_operands(operands);
        packed.pack(Mat::new(&x, 8, 8));
        refusal(|| packed.pack(Mat::strided(&x, 1 << 60, 1, 0)));
        assert_eq!((packed.depth(), packed.cols()), (0, 0));
        let said = refusal(|| {
            let a = Mat::strided(&x[..1], 1, 1, 1);
            gemm(a, &packed, MatMut::new(&mut [0.0], 1, 1), Start::Zero);
        });
        assert!(said.contains("product"), "{said}");
    }
}

#[test]
fn a_packed_matrix_keeps_its_precision_until_it_is_packed_anew() {
    // 1 + 2^-10 is 1 in bfloat16.
    let (x, w) = ([1.0f32], [1.0f32 + 1.0 / 1024.0]);
    let mut packed = Packed::new();
    packed.pack(Mat::new(&w, 1, 1));
    packed.set_operands(Operands::Bf16);
    let product = |packed: &Packed<f32>| {
        let mut c = [0.0];
        gemm(Mat::new(&x, 1, 1), packed, MatMut::new(&mut c, 1, 1), Start::Zero);
        c[0]
    };
    assert_eq!(product(&packed), w[0]);
    packed.pack(Mat::new(&w, 1, 1));
    assert_eq!(product(&packed), 1.0);
}

thread_local! {
    /// Whether an argument of the current call has a length that does not fit the others.
    static WRONG: Cell<bool> = const { Cell::new(false) };
    /// The current call, for reports.
    static CALL: Cell<&'static str> = const { Cell::new("") };
}

/// Memory touched outside a slice, values made of it, and refusals that do not say which argument was wrong.
static FINDINGS: AtomicUsize = AtomicUsize::new(0);

fn finding(what: &str) {
    if FINDINGS.fetch_add(1, Ordering::Relaxed) < 20 {
        eprintln!("{:?} {}: {what}", Isa::best(), CALL.get());
    }
}

/// A slice between elements that are NaN and must stay as they are; or, half of the time, an allocation of its own, whose
/// ends AddressSanitizer sees.
struct Guarded<F: Scalar> {
    data: Vec<F>,
    from: usize,
    to: usize,
}

impl<F: Scalar> Deref for Guarded<F> {
    type Target = [F];
    fn deref(&self) -> &[F] {
        &self.data[self.from..self.to]
    }
}

impl<F: Scalar> DerefMut for Guarded<F> {
    fn deref_mut(&mut self) -> &mut [F] {
        &mut self.data[self.from..self.to]
    }
}

impl<F: Scalar> Drop for Guarded<F> {
    fn drop(&mut self) {
        let nan = F::from_f64(f64::NAN);
        let around = self.data[..self.from].iter().chain(&self.data[self.to..]);
        // `NaN != NaN`: compared as written.
        if around.map(|x| x.to_f64().to_bits()).any(|bits| bits != nan.to_f64().to_bits()) {
            finding("wrote outside its slice");
        }
        if !std::thread::panicking() && !WRONG.get() && self.iter().any(|x| !x.is_finite()) {
            finding("a result that is not finite: read outside a slice");
        }
    }
}

/// Random arguments.
struct Random {
    state: u64,
    /// Probability that a length is wrong, of 256.
    wrong: u64,
}

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }

    fn is_wrong(&mut self) -> bool {
        let wrong = (self.below(256) as u64) < self.wrong;
        if wrong {
            WRONG.set(true);
        }
        wrong
    }

    /// A size of an array, around the widths of registers and panels.
    fn size(&mut self) -> usize {
        match self.below(16) {
            0 => 0,
            1..=9 => 1 + self.below(20),
            10..=13 => 1 + self.below(70),
            _ => [8, 15, 16, 17, 31, 32, 33, 48, 64, 96, 130][self.below(11)],
        }
    }

    /// A length, or now and then another one.
    fn length(&mut self, len: usize) -> usize {
        if !self.is_wrong() {
            return len;
        }
        let other = [len.saturating_sub(1), len + 1, 0, len / 2, 2 * len + 3, self.below(2 * len + 2)][self.below(6)];
        WRONG.set(other != len || WRONG.get());
        other
    }

    /// A size as it is, or now and then one that overflows.
    fn size_or_wrong(&mut self, size: usize) -> usize {
        if !self.is_wrong() {
            return size;
        }
        [size + 1, size.saturating_sub(1), usize::MAX, 1 << 60, (1 << 63) + 1, usize::MAX / 2][self.below(6)]
    }

    fn value<F: Scalar>(&mut self) -> F {
        F::from_f64(self.below(2001) as f64 / 1000.0 - 1.0)
    }

    fn slice<F: Scalar>(&mut self, len: usize) -> Guarded<F> {
        let len = self.length(len);
        let (before, after) = if self.below(2) == 0 { (0, 0) } else { (1 + self.below(40), 1 + self.below(40)) };
        let nan = F::from_f64(f64::NAN);
        let mut data = vec![nan; before + len + after].into_boxed_slice().into_vec();
        for x in &mut data[before..before + len] {
            *x = self.value();
        }
        Guarded { data, from: before, to: before + len }
    }

    /// Without negative values.
    fn positive<F: Scalar>(&mut self, len: usize) -> Guarded<F> {
        let mut slice = self.slice::<F>(len);
        slice.iter_mut().for_each(|x| *x = x.abs());
        slice
    }

    fn indices(&mut self, len: usize, below: usize) -> Vec<u32> {
        let len = self.length(len);
        (0..len).map(|_| if self.is_wrong() { u32::MAX - 1 } else { self.below(below.max(1)) as u32 }).collect()
    }

    /// Elements between the rows of a matrix with so many columns.
    fn stride(&mut self, cols: usize) -> usize {
        cols + if self.below(3) == 0 { self.below(9) } else { 0 }
    }
}

/// A matrix and its memory.
struct Matrix<F: Scalar> {
    data: Guarded<F>,
    rows: usize,
    cols: usize,
    stride: usize,
    transposed: bool,
}

impl<F: Scalar> Matrix<F> {
    fn new(random: &mut Random, rows: usize, cols: usize) -> Self {
        Self::of(random, rows, cols, true)
    }

    fn of(random: &mut Random, rows: usize, cols: usize, may_transpose: bool) -> Self {
        let transposed = may_transpose && random.below(2) == 0;
        let (rows, cols) = if transposed { (cols, rows) } else { (rows, cols) };
        let stride = random.stride(cols);
        let len = if rows == 0 || cols == 0 { 0 } else { (rows - 1) * stride + cols };
        let data = random.slice(len);
        let (rows, cols) = (random.size_or_wrong(rows), random.size_or_wrong(cols));
        let stride = random.size_or_wrong(stride);
        // Rows that are all the same one reach nowhere, however many: as many as were asked for would be packed.
        let rows = if stride == 0 && cols > 0 { rows.min(64) } else { rows };
        Matrix { data, rows, cols, stride, transposed }
    }

    fn view(&self) -> Mat<'_, F> {
        let view = Mat::strided(&self.data, self.rows, self.cols, self.stride);
        if self.transposed { view.t() } else { view }
    }

    fn view_mut(&mut self) -> MatMut<'_, F> {
        MatMut::strided(&mut self.data, self.rows, self.cols, self.stride)
    }
}

/// What is used for call after call, whatever the sizes.
struct Kept<F> {
    packed: Packed<F>,
    scratch: Scratch<F>,
    step_scratch: step::Scratch,
}

fn operands(random: &mut Random) -> Operands {
    if random.below(2) == 0 { Operands::Exact } else { Operands::Bf16 }
}

fn start<'a, F>(random: &mut Random, bias: &'a [F]) -> Start<'a, F> {
    match random.below(3) {
        0 => Start::Zero,
        1 => Start::Add,
        _ => Start::Bias(bias),
    }
}

fn products<F: Scalar>(random: &mut Random, kept: &mut Kept<F>) {
    let (m, n) = (random.size(), random.size());
    let k = if random.below(40) == 0 { 1000 + random.below(100) } else { random.size() };
    let (a, b) = (Matrix::new(random, m, k), Matrix::new(random, k, n));
    let (mut c, bias) = (Matrix::of(random, m, n, false), random.slice(n));
    let start = start(random, &bias);
    match random.below(6) {
        0 | 1 => {
            CALL.set("gemm");
            kept.packed.set_operands(operands(random));
            kept.packed.pack(b.view());
            gemm(a.view(), &kept.packed, c.view_mut(), start);
        }
        2 | 3 => {
            CALL.set("gemm_unpacked_of");
            gemm_unpacked_of(operands(random), a.view(), b.view(), c.view_mut(), start, &mut kept.scratch);
        }
        4 => {
            CALL.set("gemm_rows");
            let b = Matrix::new(random, n, k);
            // Only rows that are contiguous are multiplied.
            if !a.transposed && !b.transposed {
                gemm_rows(a.view(), b.view(), c.view_mut(), start);
            }
        }
        _ => {
            CALL.set("reference::gemm");
            // Rows without columns take no memory, so that any number of them may be asked for.
            if a.rows.max(a.cols) < 1 << 20 {
                reference::gemm(a.view(), b.view(), c.view_mut(), start);
            }
        }
    }
}

fn gates<F: Scalar>(random: &mut Random, kept: &mut Kept<F>) {
    let (rows, hidden) = (random.size(), 1 + random.size());
    let stride = random.stride(4 * hidden);
    let gates = [1, 3, 4][random.below(3)];
    let w = Matrix::new(random, hidden, gates * hidden);
    // Now and then what an earlier call packed.
    if !random.is_wrong() {
        kept.packed.set_operands(operands(random));
        let packed_as = if random.is_wrong() { random.below(6) } else { gates };
        if packed_as == 1 { kept.packed.pack(w.view()) } else { kept.packed.pack_gates(w.view(), packed_as) }
    }
    let (h_prev, c_prev) = (random.slice(rows * hidden), random.slice(rows * hidden));
    let (mut h, mut c) = (random.slice(rows * hidden), random.slice(rows * hidden));
    let (mut dh, mut dc) = (random.slice(rows * hidden), random.slice(rows * hidden));
    let mut a = random.slice(rows * stride);
    let b_hn = random.slice(hidden);
    let peephole = (random.below(2) == 0).then(|| random.slice(3 * hidden));
    let peephole = peephole.as_deref();
    let nonlinearity = if random.below(2) == 0 { rnn::Nonlinearity::Tanh } else { rnn::Nonlinearity::Relu };
    let said = random.size_or_wrong(hidden);
    match gates {
        1 => {
            CALL.set("rnn");
            rnn::forward(&kept.packed, nonlinearity, &h_prev, &mut h);
            rnn::backward(nonlinearity, &h, &mut dh);
            rnn::activate(nonlinearity, &mut h);
        }
        3 => {
            CALL.set("gru");
            match random.below(7) {
                0 | 1 => gru::forward(&kept.packed, &b_hn, &h_prev, &mut a, &mut h),
                2 => gru::backward(said, &mut a, &h_prev, &mut dh),
                3 => gru::reset(said, &mut a, &h_prev, &mut h),
                4 => gru::update(said, &mut a, &h_prev, &mut h),
                5 => gru::activate(said, &h_prev, &mut a, &mut h),
                _ => {
                    gru::update_backward(said, &mut a, &h_prev, &mut dh);
                    gru::reset_backward(said, &mut a, &h_prev, &mut dh);
                }
            }
        }
        _ => {
            CALL.set("lstm");
            match random.below(3) {
                0 => lstm::forward(&kept.packed, peephole, &h_prev, &c_prev, &mut a, &mut c, &mut h),
                1 => lstm::activate(said, peephole, &c_prev, &mut a, &mut c, &mut h),
                _ => lstm::backward(said, peephole, &mut a, &c_prev, &c, &dh, &mut dc),
            }
        }
    }
}

fn attentions<F: Scalar>(random: &mut Random) {
    let (t, s, width) = (random.size(), random.size(), 1 + random.size());
    let (keys, v, query) = (random.slice(s * width), random.slice(width), random.slice(width));
    match random.below(3) {
        0 => {
            CALL.set("dot");
            let (queries, mut scores) = (random.slice::<F>(t * width), random.slice(t * s));
            let width = if random.is_wrong() { random.below(width) } else { width };
            attention::dot(&queries, &keys, width, &mut scores);
        }
        1 => {
            CALL.set("additive");
            attention::additive::<F>(&keys, &query, &v, &mut random.slice(s));
        }
        _ => {
            CALL.set("additive_backward");
            let (scores, mut dkeys) = (random.slice::<F>(s), random.slice(s * width));
            let (mut dquery, mut dv) = (random.slice(width), random.slice(width));
            attention::additive_backward(&keys, &query, &v, &scores, &mut dkeys, &mut dquery, &mut dv);
        }
    }
}

fn updates<F: Scalar>(random: &mut Random) {
    CALL.set("optim");
    let n = random.size();
    let f = F::from_f64;
    let gradient = Gradient { grad_scale: f(0.5), decay: f(0.01) };
    let grad = random.slice::<F>(n);
    let (mut w, mut v, mut m) = (random.slice(n), random.positive(n), random.positive(n));
    let rmsprop = Rmsprop { gradient, lr: f(0.1), alpha: f(0.9), one_minus_alpha: f(0.1), eps: f(1e-3) };
    match random.below(9) {
        0 => optim::update(Sgd { gradient, lr: f(0.1) }, &grad, [&mut w]),
        1 => optim::update(Momentum { gradient, lr: f(0.1), momentum: f(0.9) }, &grad, [&mut w, &mut v]),
        2 => {
            let rule = Adagrad { gradient, lr: f(0.1), eps: f(1e-3), eps_in_root: f(0.1) };
            optim::update(rule, &grad, [&mut w, &mut v]);
        }
        3 => optim::update::<F, 2>(rmsprop, &grad, [&mut w, &mut v]),
        4 => optim::update(RmspropMomentum { rmsprop, momentum: f(0.9) }, &grad, [&mut w, &mut m, &mut v]),
        5 => {
            let rule = Adam {
                gradient,
                rate: f(0.1),
                root_scale: f(1.5),
                shrink: f(0.98),
                beta1: f(0.9),
                one_minus_beta1: f(0.1),
                beta2: f(0.99),
                one_minus_beta2: f(0.01),
                eps: f(1e-3),
            };
            optim::update(rule, &grad, [&mut w, &mut m, &mut v]);
        }
        6 => optim::update(Average { part: f(0.25) }, &grad, [&mut w]),
        7 => optim::clamp(&mut w, f(0.5)),
        _ => {
            if !optim::sum_of_squares(&grad).is_finite() {
                finding("a sum that is not finite");
            }
        }
    }
}

fn row_operations<F: Scalar>(random: &mut Random) {
    CALL.set("rows");
    let (n, width, vocab) = (random.size(), random.size(), 1 + random.size());
    let stride = random.stride(width);
    let len = if n == 0 || width == 0 { 0 } else { (n - 1) * stride + width };
    let (mut x, mut table) = (random.slice::<F>(len), random.slice(vocab * width));
    let tokens = random.indices(n, vocab);
    let (width, stride, n) = (random.size_or_wrong(width), random.size_or_wrong(stride), random.size_or_wrong(n));
    match random.below(5) {
        0 => rows::gather(&table, width, &tokens, &mut x, stride),
        1 => rows::scatter_add(&x, stride, &tokens, &mut table, width),
        2 if width > 0 || n < 1 << 20 => {
            let mut out = random.slice(width.min(1 << 10));
            if !out.is_empty() || n < 1 << 20 {
                rows::sum_add(&x, n, stride, &mut out);
            }
        }
        3 => rows::add(&random.slice::<F>(len), &mut x),
        _ => rows::multiply(&random.slice::<F>(len), &mut x),
    }
}

fn softmaxes<F: Scalar>(random: &mut Random) {
    CALL.set("softmax");
    let (n, classes) = (random.size(), 1 + random.size());
    let mut logits = random.slice::<F>(n * classes);
    let mut targets = random.indices(n, classes);
    for target in &mut targets {
        if random.below(8) == 0 {
            *target = softmax::IGNORE;
        }
    }
    let scale = F::from_f64(0.5);
    let loss = match random.below(6) {
        0 => softmax::cross_entropy_backward(&mut logits, &targets, scale),
        1 => softmax::smoothed_cross_entropy_backward(&mut logits, &targets, 0.1, scale).0,
        2 => softmax::cross_entropy(&logits, &targets),
        3 if !logits.is_empty() => softmax::log_sum_exp(&logits).to_f64(),
        _ => {
            softmax::softmax(&mut logits);
            0.0
        }
    };
    if !loss.is_finite() {
        finding("a loss that is not finite");
    }
}

fn activations<F: Scalar>(random: &mut Random) {
    CALL.set("activation");
    let n = random.size();
    let mut x = random.slice::<F>(n);
    match random.below(4) {
        0 => activation::exp(&mut x),
        1 => activation::tanh(&mut x),
        2 => activation::sigmoid(&mut x),
        _ => activation::relu(&mut x),
    }
}

fn steps(random: &mut Random, kept: &mut Kept<f32>) {
    CALL.set("step");
    let (batch, units) = (random.below(8), 1 + random.size());
    let gates = 1 + random.below(4);
    let from_table = random.below(3) == 0;
    let inputs = if from_table { 0 } else { random.size() };
    let depth = if random.below(3) == 0 { random.size() } else { units };
    let precision = [Precision::F32, Precision::Bf16, Precision::Int8][random.below(3)];
    let (w_ih, w_hh) = (Matrix::new(random, gates * units, inputs), Matrix::new(random, gates * units, depth));
    let said = if random.is_wrong() { random.below(7) } else { gates };
    let panels = Panels::new(precision, said, w_ih.view(), w_hh.view());
    kept.step_scratch.reserve(&panels, random.size_or_wrong(batch).min(64));
    let vocab = 1 + random.below(20);
    let (bias, table) = (random.slice(gates * units), random.slice(vocab * gates * units));
    let tokens = random.indices(batch, vocab);
    let from = if from_table { step::Start::Table(&table, &tokens) } else { step::Start::Bias(&bias) };
    let (x, h_prev) = (random.slice(batch * inputs), random.slice(batch * depth));
    let (c_prev, old) = (random.slice(batch * units), random.slice(batch * units));
    let (mut h, mut c) = (random.slice(batch * units), random.slice(batch * units));
    let (p, b_hn) = (random.slice(3 * units), random.slice(units));
    let p = (random.below(2) == 0).then_some(&p[..]);
    let scratch = &mut kept.step_scratch;
    let backwards = random.below(2) == 0;
    let cell = if random.is_wrong() { 1 + random.below(4) } else { gates };
    match cell {
        1 if random.below(2) == 0 && inputs == 0 && !from_table => {
            if random.below(2) == 0 {
                step::linear(&panels, &bias, &h_prev, &mut h, scratch, backwards);
            } else {
                let strides = [random.size_or_wrong(depth), random.size_or_wrong(units)];
                let rows = random.size_or_wrong(batch);
                step::linear_rows(&panels, &bias, (&h_prev, strides[0]), (&mut h, strides[1]), rows, scratch);
            }
        }
        1 if random.below(3) == 0 => {
            gru::update_step(&panels, from, &x, &h_prev, &c_prev, &old, &mut h, scratch, backwards);
        }
        1 => {
            let nonlinearity = if random.below(2) == 0 { rnn::Nonlinearity::Tanh } else { rnn::Nonlinearity::Relu };
            rnn::step(&panels, nonlinearity, from, &x, &h_prev, &mut h, scratch, backwards);
        }
        // These read as many states as they write.
        _ if depth != units => WRONG.set(true),
        2 => gru::reset_step(&panels, from, &x, &h_prev, &mut h, &mut c, scratch, backwards),
        3 => gru::step(&panels, &b_hn, from, &x, &h_prev, &mut h, scratch, backwards),
        _ => lstm::step(&panels, p, from, &x, (&h_prev, &c_prev), (&mut h, &mut c), scratch, backwards),
    }
}

fn rounding(random: &mut Random) {
    CALL.set("round_to_bytes");
    let n = random.size();
    let row = random.slice::<f32>(n);
    let mut bytes = vec![0; random.length(n)];
    if !step::round_to_bytes(&row, &mut bytes).is_finite() {
        finding("a scale that is not finite");
    }
}

fn call<F: Scalar>(random: &mut Random, kept: &mut Kept<F>) {
    match random.below(12) {
        0..=2 => products(random, kept),
        3..=5 => gates(random, kept),
        6 => attentions::<F>(random),
        7 | 8 => updates::<F>(random),
        9 => row_operations::<F>(random),
        10 => softmaxes::<F>(random),
        _ => activations::<F>(random),
    }
}

/// What bounds and overflow checks of the standard library say: they keep the memory, but name no argument.
const UNNAMED: [&str; 7] = [
    "index out of bounds", "range end index", "range start index", "slice index", "attempt to", "mid > len",
    "copy_from",
];

#[test]
fn random_calls_touch_no_memory_outside_their_slices() {
    let calls: usize = std::env::var("ELMAN_CALLS").map_or(6000, |n| n.parse().expect("ELMAN_CALLS is a number"));
    let best = Isa::best();
    let hook = std::panic::take_hook();
    // Refusals are expected by the thousand.
    std::panic::set_hook(Box::new(|_| {}));
    let mut all: Vec<Isa> = Isa::available().collect();
    all.extend(all.last().map(|isa| isa.with_pair_products()).filter(|isa| !all.contains(isa)));
    if std::env::var_os("ELMAN_ISA").is_some() {
        all = vec![best];
    }
    for isa in all {
        isa.choose();
        assert_eq!(Isa::best(), isa);
        let mut random = Random { state: 0x9e37_79b9_7f4a_7c15, wrong: 0 };
        let mut f32s = Kept { packed: Packed::new(), scratch: Scratch::default(), step_scratch: Default::default() };
        let mut f64s = Kept { packed: Packed::new(), scratch: Scratch::default(), step_scratch: Default::default() };
        let mut refused = 0;
        for number in 0..calls {
            // Lengths are right in a third of the calls; then few, then many arguments are wrong.
            random.wrong = [0, 5, 40][number % 3];
            WRONG.set(false);
            let result = catch_unwind(AssertUnwindSafe(|| match random.below(8) {
                0..=3 => call::<f32>(&mut random, &mut f32s),
                4 => call::<f64>(&mut random, &mut f64s),
                5 | 6 => steps(&mut random, &mut f32s),
                _ => rounding(&mut random),
            }));
            if let Err(panic) = result {
                refused += 1;
                let said = message(&*panic);
                if UNNAMED.iter().any(|unnamed| said.contains(unnamed)) {
                    finding(&format!("a refusal that names no argument: {said}"));
                }
                if !WRONG.get() {
                    finding(&format!("right lengths are refused: {said}"));
                }
            }
        }
        eprintln!("{isa:?}: {calls} calls, {refused} refused");
        assert!(refused < calls / 2 && refused > calls / 20, "{refused} of {calls} calls were refused");
    }
    std::panic::set_hook(hook);
    best.choose();
    assert_eq!(FINDINGS.load(Ordering::Relaxed), 0);
}
