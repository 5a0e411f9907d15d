//! Random graphs and inputs, by seed.

use elman_graph::{
    Activation, Binary, Builder, Cell, Conv, Direction, Dtype, Graph, Op, PadMode, Pool, PoolKind, Recurrent,
    RecurrentWeights, Reduce, Tensor, Value,
};

/// Numbers in [-1, 1), and choices, from a seed.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }

    pub(crate) fn tensor(&mut self, dims: &[usize], scale: f32) -> Tensor {
        let n = dims.iter().product();
        let mut float = || self.next() as f32 / (1u64 << 30) as f32 - 1.0;
        Tensor::from_f32(dims, (0..n).map(|_| float() * scale).collect()).unwrap()
    }

    pub(crate) fn activation(&mut self) -> Activation {
        match self.below(14) {
            0 => Activation::Sigmoid,
            1 => Activation::Relu,
            2 => Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
            3 => Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 },
            4 => Activation::LeakyRelu { alpha: 0.1 },
            5 => Activation::Elu { alpha: 0.7 },
            6 => Activation::Softplus,
            7 => Activation::Softsign,
            8 => Activation::ScaledTanh { alpha: 1.1, beta: 0.6 },
            9 => Activation::Swish,
            10 => Activation::Affine { alpha: 0.5, beta: 0.1 },
            11 => Activation::Gelu { tanh: self.below(2) == 0 },
            _ => Activation::Tanh,
        }
    }
}

fn recurrent(b: &mut Builder, of: &mut Numbers, x: &Value) -> Value {
    let (inputs, hidden) = (x.width().unwrap(), 1 + of.below(20));
    let cell = match of.below(5) {
        0 => Cell::Rnn,
        1 => Cell::Gru { linear_before_reset: false },
        2 => Cell::Gru { linear_before_reset: true },
        _ => Cell::Lstm { input_forget: of.below(5) == 0 },
    };
    let lstm = matches!(cell, Cell::Lstm { .. });
    let mut layer = Recurrent::new(cell, hidden, Direction::Forward);
    layer.batch_first = true;
    if of.below(4) == 0 {
        layer.activations.iter_mut().for_each(|a| *a = of.activation());
        // Below -88 e^-x is infinite and the gate 0, or some 1e-35 where x is clipped; unbounded gates make that large again.
        if layer.activations[0] == Activation::Swish {
            layer.activations[0] = Activation::Sigmoid;
        }
    }
    if of.below(5) == 0 {
        layer.clip = Some(0.3);
    }
    let projected = (lstm && of.below(4) == 0).then(|| 1 + of.below(hidden));
    let o = projected.unwrap_or(hidden);
    let gh = cell.gates() * hidden;
    let scale = 1.0 / (hidden as f32).sqrt();
    let mut weights = RecurrentWeights::new(of.tensor(&[1, gh, inputs], scale), of.tensor(&[1, gh, o], scale));
    if of.below(4) > 0 {
        weights.b = Some(of.tensor(&[1, 2 * gh], 0.5));
    }
    if lstm && of.below(3) == 0 {
        weights.peepholes = Some(of.tensor(&[1, 3 * hidden], 0.5));
    }
    weights.projection = projected.map(|p| of.tensor(&[1, p, hidden], 0.5));
    if of.below(3) == 0 {
        weights.initial_h = Some(of.tensor(&[1, 1, o], 1.0));
        weights.initial_c = lstm.then(|| of.tensor(&[1, 1, hidden], 3.0));
    }
    b.recurrent("layer", x, layer, weights, None).unwrap().0
}

fn convolution(b: &mut Builder, of: &mut Numbers, x: &Value) -> Value {
    let (channels, kernel, dilation) = (x.width().unwrap(), 1 + of.below(4), 1 + of.below(3));
    let (groups, each) = if of.below(3) == 0 { (channels, 1) } else { (1, 1 + of.below(6)) };
    let w = of.tensor(&[groups * each, channels / groups, kernel], 0.5);
    let bias = (of.below(2) == 0).then(|| of.tensor(&[groups * each], 0.5));
    let reach = (kernel - 1) * dilation;
    let padded_before = of.below(2) == 0;
    let turned = b.transpose("turn", x, &[0, 2, 1]).unwrap();
    let conv = |front: usize| Conv { dilations: vec![dilation], pads: vec![front, 0], groups, ..Conv::default() };
    let y = if padded_before {
        let pads = b.constant("pads", Tensor::from_i64([6], vec![0, 0, reach as i64, 0, 0, 0]).unwrap());
        let dims = turned.dims().to_vec();
        let op = Op::Pad { mode: PadMode::Constant };
        let turned = b.node("pad", op, &[&turned, &pads], Dtype::F32, dims);
        b.conv("conv", &turned, w, bias, conv(0)).unwrap()
    } else {
        b.conv("conv", &turned, w, bias, conv(reach)).unwrap()
    };
    let y = b.transpose("back", &y, &[0, 2, 1]).unwrap();
    // The builder does not know that the length is kept.
    let dims = [x.dims()[0].clone(), x.dims()[1].clone(), (groups * each).into()];
    b.node("same", Op::Identity, &[&y], Dtype::F32, dims)
}

/// A graph of up to six layers with taps, over sequences of vectors or tokens, batch first.
pub(crate) fn graph(seed: u64) -> Graph {
    let mut of = Numbers(seed);
    let of = &mut of;
    let mut b = Builder::new("test");
    let (input, mut x) = if of.below(4) == 0 {
        let tokens = b.input("x", Dtype::I64, ["B".into(), "T".into()]);
        let width = 1 + of.below(5);
        let table = of.tensor(&[7, width], 1.0);
        let x = b.embedding("embedding", &tokens, table).unwrap();
        (tokens, x)
    } else {
        let x = b.input("x", Dtype::F32, ["B".into(), "T".into(), (1 + of.below(6)).into()]);
        (x.clone(), x)
    };
    let mut taps = vec![x.clone()];
    for _ in 0..1 + of.below(6) {
        let width = x.width().unwrap();
        x = match of.below(11) {
            0..=3 => recurrent(&mut b, of, &x),
            4 => convolution(&mut b, of, &x),
            5 => {
                let units = 1 + of.below(9);
                let bias = (of.below(3) > 0).then(|| of.tensor(&[units], 0.5));
                let y = b.dense("dense", &x, of.tensor(&[width, units], 0.7), bias).unwrap();
                let activation = of.activation();
                b.activation("activation", &y, activation)
            }
            6 => {
                let tap = taps[of.below(taps.len())].clone();
                b.concat("tap", &[&x, &tap], -1).unwrap()
            }
            7 => {
                let slope = b.constant("slope", of.tensor(&[width], 1.0));
                b.binary("prelu", &x, &slope, Binary::PRelu).unwrap()
            }
            8 => {
                let scale = b.constant("scale", of.tensor(&[width], 1.0));
                let bias = b.constant("bias", of.tensor(&[width], 1.0));
                let op = Op::LayerNormalization { axis: -1, epsilon: 1e-2 };
                b.node("norm", op, &[&x, &scale, &bias], Dtype::F32, x.dims())
            }
            9 => b.softmax("softmax", &x),
            _ => {
                let same = taps.iter().find(|t| t.width().unwrap() == width).cloned();
                let other = same.unwrap_or_else(|| x.clone());
                let gained = b.gain("gain", &other, 0.7).unwrap();
                let binary = [Binary::Add, Binary::Sub, Binary::Mul, Binary::Max][of.below(4)];
                b.binary("skip", &x, &gained, binary).unwrap()
            }
        };
        taps.push(x.clone());
    }
    match of.below(6) {
        0 => x = b.take("last", &x, 1, -1).unwrap(),
        1 => x = b.reduce("mean", &x, Reduce::Mean, 1).unwrap(),
        2 => x = b.reduce("largest", &x, Reduce::Max, 1).unwrap(),
        _ => {}
    }
    b.output("y", &x);
    b.sequence(&input, Some(1), Some(0), Some("y"));
    b.finish().unwrap()
}

pub(crate) fn input(graph: &Graph, seed: u64, rows: usize, steps: usize) -> Tensor {
    let mut of = Numbers(seed ^ 77);
    let port = &graph.inputs[0];
    if port.dtype == Dtype::I64 {
        let tokens = (0..rows * steps).map(|_| of.below(7) as i64).collect();
        return Tensor::from_i64([rows, steps], tokens).unwrap();
    }
    let width = port.dims.as_ref().unwrap()[2].fixed().unwrap();
    of.tensor(&[rows, steps, width], 1.0)
}

/// What formats that are lists of layers differ in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(dead_code)]
pub(crate) enum Style {
    Torch,
    Keras,
    Nam,
    RtNeural,
}

/// A list of layers that the format can express, time first in PyTorch's.
#[allow(dead_code)]
pub(crate) fn layers(seed: u64, style: Style) -> Graph {
    let mut of = Numbers(seed ^ 0x5eed);
    let of = &mut of;
    let mut b = Builder::new("test");
    let batch_first = style != Style::Torch;
    let (axes, time) = if batch_first { (["B", "T"], 1) } else { (["T", "B"], 0) };
    let axes = axes.map(elman_graph::Dim::from);
    let amp = matches!(style, Style::Nam | Style::RtNeural);
    let (input, mut x) = if !amp && of.below(4) == 0 {
        let tokens = b.input("x", Dtype::I64, axes.to_vec());
        let width = 1 + of.below(5);
        let table = of.tensor(&[7, width], 1.0);
        let x = b.embedding("embedding", &tokens, table).unwrap();
        (tokens, x)
    } else {
        let width = if style == Style::Nam { 1 } else { 1 + of.below(6) };
        let x = b.input("x", Dtype::F32, [axes.to_vec(), vec![width.into()]].concat());
        (x.clone(), x)
    };
    let (count, shared) = (1 + of.below(3), 1 + of.below(20));
    let cell = match (style, of.below(4)) {
        (Style::Nam, _) => Cell::Lstm { input_forget: false },
        (Style::RtNeural | Style::Torch, 0) => Cell::Gru { linear_before_reset: true },
        (Style::Keras, 0) => Cell::Gru { linear_before_reset: of.below(2) == 0 },
        (Style::Keras | Style::Torch, 1) => Cell::Rnn,
        _ => Cell::Lstm { input_forget: false },
    };
    let both = !amp && of.below(3) == 0;
    let direction = if both { Direction::Bidirectional } else { Direction::Forward };
    let d = direction.count();
    let projected = style == Style::Torch && matches!(cell, Cell::Lstm { .. }) && shared > 1 && of.below(4) == 0;
    let o = if projected { shared / 2 } else { shared };
    let mut state = None;
    for layer in 0..count {
        let (inputs, gh) = (x.width().unwrap(), cell.gates() * shared);
        let mut of_layer = Recurrent::new(cell, shared, direction);
        of_layer.batch_first = batch_first;
        if style == Style::Keras && of.below(3) == 0 {
            let sigmoid = [Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }, Activation::Sigmoid][of.below(2)];
            let tanh = [Activation::Relu, Activation::Softsign, Activation::Tanh][of.below(3)];
            for one in of_layer.activations.chunks_mut(cell.activations()) {
                one.fill(tanh);
                one[0] = if cell == Cell::Rnn { tanh } else { sigmoid };
            }
        }
        let scale = 1.0 / (shared as f32).sqrt();
        let mut weights = RecurrentWeights::new(of.tensor(&[d, gh, inputs], scale), of.tensor(&[d, gh, o], scale));
        let mut biases = of.tensor(&[d, 2 * gh], 0.5).to_f32();
        if style != Style::Torch && cell != (Cell::Gru { linear_before_reset: true }) {
            // Such formats have one bias.
            biases.chunks_mut(2 * gh).for_each(|both| both[gh..].fill(0.0));
        }
        weights.b = Some(Tensor::from_f32([d, 2 * gh], biases).unwrap());
        weights.projection = projected.then(|| of.tensor(&[d, o, shared], 0.5));
        if style == Style::Nam {
            weights.initial_h = Some(of.tensor(&[1, 1, shared], 1.0));
            weights.initial_c = Some(of.tensor(&[1, 1, shared], 3.0));
        }
        let (y, h, _) = b.recurrent(&format!("layer{layer}"), &x, of_layer, weights, None).unwrap();
        (x, state) = (y, Some(h));
    }
    let _ = state;
    if !amp && of.below(3) == 0 {
        x = match of.below(if both && style == Style::Keras { 2 } else { 3 }) {
            0 => b.reduce("mean", &x, Reduce::Mean, time).unwrap(),
            1 => b.reduce("largest", &x, Reduce::Max, time).unwrap(),
            _ => b.take("last", &x, time, -1).unwrap(),
        };
    }
    let units = if style == Style::Nam { 1 } else { 1 + of.below(9) };
    let width = x.width().unwrap();
    x = b.dense("dense", &x, of.tensor(&[width, units], 0.7), Some(of.tensor(&[units], 0.5))).unwrap();
    match (style, of.below(4)) {
        (Style::Nam, _) | (_, 0) => {}
        (_, 1) => x = b.activation("activation", &x, Activation::Tanh),
        (_, 2) => x = b.activation("activation", &x, Activation::Sigmoid),
        _ => x = b.softmax("softmax", &x),
    }
    b.output("y", &x);
    let timed = x.dims().len() == 3;
    b.sequence(&input, Some(time as usize), Some(1 - time as usize), timed.then_some("y"));
    b.finish().unwrap()
}

/// A graph over sequences `[B, T, I]` of layers that leave steps out, among others: convolutions and pools with strides and
/// without padding, recurrent layers, a tap; with outputs for all steps left, for the last, the mean and the largest.
pub(crate) fn thinning(seed: u64) -> Graph {
    let of = &mut Numbers(seed);
    let mut b = Builder::new("test");
    let input = b.input("x", Dtype::F32, ["B".into(), "T".into(), (1 + of.below(4)).into()]);
    let mut x = input.clone();
    let mut tap = x.clone();
    for _ in 0..1 + of.below(4) {
        let width = x.width().unwrap();
        match of.below(4) {
            0 | 1 => {
                let (kernel, stride, dilation) = (1 + of.below(4), 1 + of.below(3), 1 + of.below(2));
                let front = of.below((kernel - 1) * dilation + 1);
                let (dilations, strides, pads) = (vec![dilation], vec![stride], vec![front, 0]);
                let conv = Conv { dilations, strides, pads, groups: 1, ..Conv::default() };
                let units = 1 + of.below(5);
                let turned = b.transpose("turn", &x, &[0, 2, 1]).unwrap();
                let y = b.conv("conv", &turned, of.tensor(&[units, width, kernel], 0.5), None, conv).unwrap();
                x = b.transpose("back", &y, &[0, 2, 1]).unwrap();
            }
            2 => {
                let (kernel, stride) = (1 + of.below(3), 1 + of.below(3));
                let kind = if of.below(2) == 0 { PoolKind::Max } else { PoolKind::Average };
                let window = Conv { strides: vec![stride], groups: 1, ..Conv::default() };
                let pool = Pool { kind, kernel: vec![kernel], window, ceil: false, count_include_pad: false };
                let turned = b.transpose("turn", &x, &[0, 2, 1]).unwrap();
                let dims = ["B".into(), width.into(), "".into()];
                let y = b.node("pool", Op::Pool(pool), &[&turned], Dtype::F32, dims);
                x = b.transpose("back", &y, &[0, 2, 1]).unwrap();
            }
            _ => {
                let hidden = 1 + of.below(6);
                let cell = [Cell::Rnn, Cell::Gru { linear_before_reset: true }, Cell::Lstm { input_forget: false }];
                let cell = cell[of.below(3)];
                let gates = cell.gates() * hidden;
                let layer = Recurrent { batch_first: true, ..Recurrent::new(cell, hidden, Direction::Forward) };
                let (w, r) = (of.tensor(&[1, gates, width], 0.5), of.tensor(&[1, gates, hidden], 0.5));
                let y = b.recurrent("layer", &x, layer, RecurrentWeights::new(w, r), None).unwrap().0;
                x = b.concat("tap", &[&y, &x], -1).unwrap();
            }
        }
        if of.below(3) == 0 {
            x = b.activation("activation", &x, Activation::Gelu { tanh: false });
            tap = x.clone();
        }
        if of.below(3) == 0 {
            // One number against all, and one for each channel.
            let size = if of.below(2) == 0 { vec![] } else { vec![x.width().unwrap()] };
            let shift = b.constant("shift", of.tensor(&size, 0.5));
            x = b.binary("shifted", &x, &shift, if of.below(2) == 0 { Binary::Mul } else { Binary::Max }).unwrap();
        }
    }
    let last = b.take("last", &x, 1, -1).unwrap();
    // Of another pace, where layers follow it.
    let mean = b.reduce("mean", &tap, Reduce::Mean, 1).unwrap();
    let largest = b.reduce("largest", &x, Reduce::Max, 1).unwrap();
    let both = b.concat("both", &[&mean, &last, &largest], -1).unwrap();
    b.output("y", &x);
    b.output("both", &both);
    b.output("last", &last);
    b.sequence(&input, Some(1), Some(0), None);
    b.finish().unwrap()
}
