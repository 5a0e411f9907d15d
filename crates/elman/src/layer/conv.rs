//! A convolution over images, 3x3 with zero padding, as one product (im2col): `y = relu(columns(x) W + b)`.
//!
//! Images are stored channels last, `[N, height, width, channels]`. The 3x3 neighbourhood of a pixel is copied into
//! a row (`columns`), for a few images at a time so that they stay in the cache.

use elman_kernels::{Mat, MatMut, Packed, Scalar, Scratch, Start, gemm, gemm_unpacked, rows};

use crate::param::{Grads, Layout, Params, Slot};
use crate::rng::Rng;

/// Values of `columns` at a time: half an L2 cache.
const COLUMNS: usize = 1 << 17;

/// A convolution followed by a ReLU: sizes and offsets.
#[derive(Clone, Debug)]
pub struct Conv {
    /// `[outputs, 3, 3, inputs]`.
    weight: Slot,
    /// `[outputs]`.
    bias: Slot,
    /// Height and width of the input.
    from: [usize; 2],
    /// Height and width of the output.
    to: [usize; 2],
    inputs: usize,
    outputs: usize,
    stride: usize,
}

/// The weights, packed for the kernels.
#[derive(Clone, Default)]
pub struct ConvPrepared<F> {
    weight: Packed<F>,
    weight_back: Packed<F>,
    bias: Vec<F>,
}

/// Working memory.
#[derive(Clone, Default)]
pub struct ConvScratch<F> {
    columns: Vec<F>,
    scratch: Scratch<F>,
}

impl Conv {
    /// Adds `{prefix}weight` and `{prefix}bias`. `from` is height and width of the input; the output has every
    /// `stride`-th row and column.
    pub fn add(
        layout: &mut Layout,
        prefix: &str,
        from: [usize; 2],
        inputs: usize,
        outputs: usize,
        stride: usize,
    ) -> Self {
        let weight = layout.add(format!("{prefix}weight"), &[outputs, 3, 3, inputs]);
        let bias = layout.add(format!("{prefix}bias"), &[outputs]);
        Conv { weight, bias, from, to: from.map(|size| size.div_ceil(stride)), inputs, outputs, stride }
    }

    /// Height and width of the output.
    pub fn to(&self) -> [usize; 2] {
        self.to
    }

    /// Values of one output image.
    pub fn output_len(&self) -> usize {
        self.to[0] * self.to[1] * self.outputs
    }

    fn input_len(&self) -> usize {
        self.from[0] * self.from[1] * self.inputs
    }

    /// Initialises the weights for a ReLU (He et al. 2015); biases zero.
    pub fn init<F: Scalar>(&self, params: &mut Params<F>, rng: &mut Rng) {
        let std = (2.0 / (9 * self.inputs) as f64).sqrt();
        self.weight.of_mut(params).fill_with(|| F::from_f64(std * rng.normal()));
        self.bias.of_mut(params).fill(F::ZERO);
    }

    /// Packs the weights, once per optimizer step.
    pub fn prepare<F: Scalar>(&self, params: &Params<F>, prepared: &mut ConvPrepared<F>) {
        let weight = Mat::new(self.weight.of(params), self.outputs, 9 * self.inputs);
        prepared.weight.pack(weight.t());
        prepared.weight_back.pack(weight);
        prepared.bias.clear();
        prepared.bias.extend_from_slice(self.bias.of(params));
    }

    /// Images per block of `columns`.
    fn images_at_a_time(&self) -> usize {
        (COLUMNS / (self.to[0] * self.to[1] * 9 * self.inputs)).max(1)
    }

    /// `x` `[N, height, width, inputs]` to `y` `[N, height', width', outputs]`, rectified.
    pub fn forward<F: Scalar>(&self, prepared: &ConvPrepared<F>, x: &[F], scratch: &mut ConvScratch<F>, y: &mut [F]) {
        let (depth, step) = (9 * self.inputs, self.images_at_a_time());
        let chunks = x.chunks(step * self.input_len()).zip(y.chunks_mut(step * self.output_len()));
        for (x, y) in chunks {
            let rows = y.len() / self.outputs;
            scratch.columns.resize(rows * depth, F::ZERO);
            self.gather(x, &mut scratch.columns);
            let columns = Mat::new(&scratch.columns, rows, depth);
            gemm(columns, &prepared.weight, MatMut::new(y, rows, self.outputs), Start::Bias(&prepared.bias));
            for value in y.iter_mut() {
                // Written so that NaN stays NaN.
                *value = if *value < F::ZERO { F::ZERO } else { *value };
            }
        }
    }

    /// From `dy`, which becomes the pre-activation gradient: adds to the weights' gradients and, if given, writes `dx`.
    pub fn backward<F: Scalar>(
        &self,
        prepared: &ConvPrepared<F>,
        x: &[F],
        y: &[F],
        dy: &mut [F],
        scratch: &mut ConvScratch<F>,
        grads: &mut Grads<F>,
        mut dx: Option<&mut [F]>,
    ) {
        let (depth, step) = (9 * self.inputs, self.images_at_a_time());
        for (dy, &y) in dy.iter_mut().zip(y) {
            *dy = if y > F::ZERO { *dy } else { F::ZERO };
        }
        rows::sum_add(dy, dy.len() / self.outputs, self.outputs, self.bias.of_mut(grads));
        let chunks = x.chunks(step * self.input_len()).zip(dy.chunks(step * self.output_len()));
        for (i, (x, dy)) in chunks.enumerate() {
            let rows = dy.len() / self.outputs;
            scratch.columns.resize(rows * depth, F::ZERO);
            self.gather(x, &mut scratch.columns);
            let dy = Mat::new(dy, rows, self.outputs);
            let dw = MatMut::new(self.weight.of_mut(grads), self.outputs, depth);
            gemm_unpacked(dy.t(), Mat::new(&scratch.columns, rows, depth), dw, Start::Add, &mut scratch.scratch);
            if let Some(dx) = dx.as_deref_mut() {
                let columns = MatMut::new(&mut scratch.columns, rows, depth);
                gemm(dy, &prepared.weight_back, columns, Start::Zero);
                let first = i * step * self.input_len();
                self.scatter(&scratch.columns, &mut dx[first..first + x.len()]);
            }
        }
    }

    /// Calls `f(start in the image, start in the columns, length)` for each shared run of values; `f(None, ..)`
    /// for padding.
    fn for_each_run(&self, mut f: impl FnMut(Option<usize>, usize, usize)) {
        let ([height, width], c) = (self.from, self.inputs);
        let mut to = 0;
        for row in 0..self.to[0] {
            for col in 0..self.to[1] {
                for dy in 0..3 {
                    let y = (row * self.stride + dy).checked_sub(1).filter(|&y| y < height);
                    let x = col * self.stride;
                    // Neighbours x - 1, x, x + 1 are adjacent; at the edges some are padding.
                    let (first, last) = (usize::from(x == 0), if x + 1 < width { 3 } else { 2 });
                    match y {
                        Some(y) => {
                            if first > 0 {
                                f(None, to, c);
                            }
                            f(Some((y * width + x + first - 1) * c), to + first * c, (last - first) * c);
                            if last < 3 {
                                f(None, to + 2 * c, c);
                            }
                        }
                        None => f(None, to, 3 * c),
                    }
                    to += 3 * c;
                }
            }
        }
    }

    /// `columns` `[N height' width', 9 inputs]` of the images.
    fn gather<F: Scalar>(&self, x: &[F], columns: &mut [F]) {
        let each = self.to[0] * self.to[1] * 9 * self.inputs;
        for (x, columns) in x.chunks_exact(self.input_len()).zip(columns.chunks_exact_mut(each)) {
            self.for_each_run(|from, to, len| match from {
                Some(from) => columns[to..to + len].copy_from_slice(&x[from..from + len]),
                None => columns[to..to + len].fill(F::ZERO),
            });
        }
    }

    /// The images' gradients from those of the columns.
    fn scatter<F: Scalar>(&self, columns: &[F], dx: &mut [F]) {
        dx.fill(F::ZERO);
        let each = self.to[0] * self.to[1] * 9 * self.inputs;
        for (dx, columns) in dx.chunks_exact_mut(self.input_len()).zip(columns.chunks_exact(each)) {
            self.for_each_run(|from, to, len| {
                if let Some(from) = from {
                    dx[from..from + len].iter_mut().zip(&columns[to..to + len]).for_each(|(dx, &d)| *dx += d);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// The convolution by its definition.
    fn plain(conv: &Conv, params: &Params<f64>, x: &[f64]) -> Vec<f64> {
        let ([height, width], c) = (conv.from, conv.inputs);
        let (w, b) = (conv.weight.of(params), conv.bias.of(params));
        let mut y = Vec::new();
        for image in x.chunks_exact(height * width * c) {
            for row in 0..conv.to[0] {
                for col in 0..conv.to[1] {
                    for o in 0..conv.outputs {
                        let mut sum = b[o];
                        for (dy, dx) in (0..9).map(|k| (k / 3, k % 3)) {
                            let (y, x) = (row * conv.stride + dy, col * conv.stride + dx);
                            if (1..=height).contains(&y) && (1..=width).contains(&x) {
                                for i in 0..c {
                                    sum += w[(o * 9 + dy * 3 + dx) * c + i] * image[((y - 1) * width + x - 1) * c + i];
                                }
                            }
                        }
                        y.push(sum.max(0.0));
                    }
                }
            }
        }
        y
    }

    #[test]
    fn forward_follows_the_definition_and_gradients_central_differences() {
        for (from, inputs, outputs, stride) in [([5, 7], 2, 3, 2), ([4, 4], 1, 4, 1), ([1, 3], 3, 2, 2)] {
            let mut layout = Layout::new();
            let conv = Conv::add(&mut layout, "conv.", from, inputs, outputs, stride);
            let mut rng = Rng::new(1, "test");
            let mut params: Params<f64> = Params::zeros(&Arc::new(layout));
            params.values.fill_with(|| rng.range(-1.0, 1.0));
            let n = 3;
            let mut x: Vec<f64> = (0..n * conv.input_len()).map(|_| rng.range(-1.0, 1.0)).collect();
            let weights: Vec<f64> = (0..n * conv.output_len()).map(|_| rng.range(-1.0, 1.0)).collect();
            let forward = |params: &Params<f64>, x: &[f64]| {
                let (mut prepared, mut scratch) = (ConvPrepared::default(), ConvScratch::default());
                conv.prepare(params, &mut prepared);
                let mut y = vec![0.0; n * conv.output_len()];
                conv.forward(&prepared, x, &mut scratch, &mut y);
                (y, prepared, scratch)
            };
            let loss = |params: &Params<f64>, x: &[f64]| -> f64 {
                plain(&conv, params, x).iter().zip(&weights).map(|(y, w)| y * w).sum()
            };
            let (y, prepared, mut scratch) = forward(&params, &x);
            assert!(y.iter().zip(&plain(&conv, &params, &x)).all(|(a, b)| (a - b).abs() < 1e-12));
            let (mut grads, mut dx, mut dy) = (Params::zeros(params.layout()), vec![0.0; x.len()], weights.clone());
            conv.backward(&prepared, &x, &y, &mut dy, &mut scratch, &mut grads, Some(&mut dx));
            let step = 1e-6;
            for i in 0..params.values.len() {
                let old = params.values[i];
                let mut at = |value: f64| {
                    params.values[i] = value;
                    loss(&params, &x)
                };
                let numeric = (at(old + step) - at(old - step)) / (2.0 * step);
                params.values[i] = old;
                assert!((numeric - grads.values[i]).abs() < 1e-6, "weight {i}: {numeric} {}", grads.values[i]);
            }
            for i in 0..x.len() {
                let old = x[i];
                let mut at = |value: f64| {
                    x[i] = value;
                    loss(&params, &x)
                };
                let numeric = (at(old + step) - at(old - step)) / (2.0 * step);
                x[i] = old;
                assert!((numeric - dx[i]).abs() < 1e-6, "input {i}: {numeric} {}", dx[i]);
            }
        }
    }
}
