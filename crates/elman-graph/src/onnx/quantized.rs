//! Operators on whole numbers with a scale, written out in those on floats: what a quantised network computes.
//!
//! Sums of products are exact in float32 up to 2^24, and rounded to its 24 bits beyond.

use super::converter::{Converter, node_name};
use super::proto::dtype;
use super::recurrent;
use crate::error::Result;
use crate::graph::{Binary, Dim, Node, Op, Recurrent, Reduce, Unary};
use crate::tensor::{Dtype, Tensor};

impl Converter<'_, '_, '_> {
    /// `(x - zero_point) scale`.
    pub(super) fn dequantize(&mut self) -> Result<Op> {
        let axis = self.axis()?;
        if let Some(to) = self.a.int("output_dtype")? {
            self.only_floats(to)?;
        }
        let [x, scale, zero] = self.three();
        let rank = self.rank_of(&x);
        let to = if self.reader.single.contains(&scale) { None } else { self.type_of(&scale)? };
        let (scale, zero) = (self.along(scale, axis, rank)?, self.along(zero, axis, rank)?);
        let (x, scale) = (self.less(x, zero), self.float(scale));
        self.inputs = vec![x, scale];
        let Some(to) = to.filter(|to| *to != Dtype::F32) else { return Ok(Op::Binary(Binary::Mul)) };
        let inputs = std::mem::take(&mut self.inputs);
        self.inputs = vec![self.before(Op::Binary(Binary::Mul), inputs)];
        Ok(Op::Cast { to })
    }

    /// `x / scale`, rounded to the nearest, of two the even, plus `zero_point`, within the limits of its type.
    pub(super) fn quantize(&mut self) -> Result<Op> {
        let axis = self.axis()?;
        self.a.ignore("saturate");
        let asked = self.a.int("output_dtype")?.filter(|n| *n != 0);
        let [x, scale, zero] = self.three();
        let to = match (self.type_of(&zero)?, asked) {
            (Some(to), _) => to,
            (None, Some(number)) => dtype(&self.a.part, number as u64)?,
            (None, None) => Dtype::U8,
        };
        let rank = self.rank_of(&x);
        let (scale, zero) = (self.along(scale, axis, rank)?, self.along(zero, axis, rank)?);
        let (x, scale) = (self.float(x), self.float(scale));
        let x = self.before(Op::Binary(Binary::Div), vec![x, scale]);
        self.rounded(x, zero, to)
    }

    /// `x` in 256 steps from its smallest value to its largest, both with 0 among them; the scale and the zero point are
    /// the second and the third output.
    pub(super) fn quantize_dynamically(&mut self) -> Result<Op> {
        let x = self.input(0);
        let zero = self.number(0.0)?;
        let mut extreme = |reduce: Reduce, with: Binary| {
            let op = Op::Reduce { reduce, keepdims: false, noop_with_empty_axes: false };
            let of_all = self.before(op, vec![x.clone()]);
            self.before(Op::Binary(with), vec![of_all, zero.clone()])
        };
        let (most, least) = (extreme(Reduce::Max, Binary::Max), extreme(Reduce::Min, Binary::Min));
        let range = self.before(Op::Binary(Binary::Sub), vec![most, least.clone()]);
        let (steps, one) = (self.number(255.0)?, self.number(1.0)?);
        let scale = self.before(Op::Binary(Binary::Div), vec![range.clone(), steps]);
        let is_zero = self.before(Op::Binary(Binary::Equal), vec![range, zero.clone()]);
        let scale = self.before(Op::Where, vec![is_zero, one, scale]);
        let least = self.before(Op::Binary(Binary::Sub), vec![zero, least]);
        let least = self.before(Op::Binary(Binary::Div), vec![least, scale.clone()]);
        let op = self.rounded(least, String::new(), Dtype::U8)?;
        let inputs = std::mem::take(&mut self.inputs);
        let zero_point = self.before(op, inputs);
        let x = self.before(Op::Binary(Binary::Div), vec![x, scale.clone()]);
        let op = self.rounded(x, zero_point.clone(), Dtype::U8)?;
        self.reader.single.extend([scale.clone(), zero_point.clone()]);
        self.others = vec![scale, zero_point];
        Ok(op)
    }

    /// `(A - a_zero_point) (B - b_zero_point)`, in 32 bits.
    pub(super) fn multiply_integers(&mut self) -> Result<Op> {
        let [a, b, a_zero, b_zero] = [0, 1, 2, 3].map(|i| self.input(i));
        let product = self.product(a, a_zero, b, b_zero)?;
        self.inputs = vec![product];
        Ok(Op::Cast { to: Dtype::I32 })
    }

    /// The same of a convolution.
    pub(super) fn convolve_integers(&mut self) -> Result<Op> {
        let [x, w, x_zero, w_zero] = [0, 1, 2, 3].map(|i| self.input(i));
        let conv = Op::Conv(self.window("kernel_shape")?);
        self.only_one(&x_zero)?;
        let w_zero = self.of_units(w_zero, &w)?;
        let (x, w) = (self.less(x, x_zero), self.less(w, w_zero));
        let sums = self.before(conv, vec![x, w]);
        self.inputs = vec![sums];
        Ok(Op::Cast { to: Dtype::I32 })
    }

    /// A product of quantised matrices, quantised again.
    pub(super) fn multiply_quantized(&mut self) -> Result<Op> {
        let [a, a_scale, a_zero, b, b_scale, b_zero, scale, zero] = [0, 1, 2, 3, 4, 5, 6, 7].map(|i| self.input(i));
        let a_scale = self.of_rows(a_scale)?;
        let product = self.product(a, a_zero, b, b_zero)?;
        self.requantized(product, a_scale, b_scale, scale, zero)
    }

    /// A convolution of quantised values, quantised again.
    pub(super) fn convolve_quantized(&mut self) -> Result<Op> {
        let [x, x_scale, x_zero, w, w_scale, w_zero, scale, zero] = [0, 1, 2, 3, 4, 5, 6, 7].map(|i| self.input(i));
        let bias = self.input(8);
        [&x_scale, &x_zero].into_iter().try_for_each(|name| self.only_one(name))?;
        let conv = Op::Conv(self.window("kernel_shape")?);
        let (w_zero, w_scale) = (self.of_units(w_zero, &w)?, self.of_channels(w_scale, &w)?);
        let mut inputs = vec![self.less(x, x_zero), self.less(w, w_zero)];
        if !bias.is_empty() {
            inputs.push(self.float(bias));
        }
        let sums = self.before(conv, inputs);
        self.requantized(sums, x_scale, w_scale, scale, zero)
    }

    /// An LSTM of ONNX Runtime with quantised weights (com.microsoft.DynamicQuantizeLSTM): `X` and the states are rounded before
    /// they are multiplied; `W` `[D, I, 4*H]` and `R` `[D, H, 4*H]` have a scale and a zero point in each direction, or of each row of gates.
    pub(super) fn quantized_lstm(&mut self) -> Result<Op> {
        let given = std::mem::take(&mut self.inputs);
        let of = |i: usize| given.get(i).cloned().unwrap_or_default();
        if !of(4).is_empty() {
            return Err(self.refuse("sequence_lens beside quantised weights"));
        }
        self.inputs = vec![of(0)];
        let op = self.quantize_dynamically()?;
        let inputs = std::mem::take(&mut self.inputs);
        let x = self.before(op, inputs);
        let zero = self.others.pop().unwrap_or_default();
        let scale = self.others.pop().unwrap_or_default();
        let x = self.scaled(x, scale, zero);
        let w = self.gates_of(of(1), of(8), of(9))?;
        let r = self.gates_of(of(2), of(10), of(11))?;
        self.inputs = vec![x, w, r, of(3), String::new(), of(5), of(6), of(7)];
        Ok(Op::Recurrent(Recurrent { rounded: true, ..recurrent::layer(self, "LSTM")? }))
    }

    /// The weights of each direction as numbers, a gate's units in rows.
    fn gates_of(&mut self, w: String, scale: String, zero: String) -> Result<String> {
        let [scale, zero] = [scale, zero].map(|of_rows| {
            let has_rows = self.dims_of(&of_rows).is_some_and(|dims| dims.len() > 1);
            self.unsqueezed(of_rows, if has_rows { &[1] } else { &[1, 2] })
        });
        let w = self.scaled(w, scale?, zero?);
        Ok(self.before(Op::Transpose { perm: Some(vec![0, 2, 1]) }, vec![w]))
    }

    /// `(x - zero) scale`, as floats.
    fn scaled(&mut self, x: String, scale: String, zero: String) -> String {
        let (x, scale) = (self.less(x, zero), self.float(scale));
        self.before(Op::Binary(Binary::Mul), vec![x, scale])
    }

    fn product(&mut self, a: String, a_zero: String, b: String, b_zero: String) -> Result<String> {
        let a_zero = self.of_rows(a_zero)?;
        let (a, b) = (self.less(a, a_zero), self.less(b, b_zero));
        Ok(self.before(Op::MatMul, vec![a, b]))
    }

    /// `sums (a_scale b_scale / scale)`, rounded.
    fn requantized(&mut self, sums: String, a: String, b: String, scale: String, zero: String) -> Result<Op> {
        [&scale, &zero].into_iter().try_for_each(|name| self.only_one(name))?;
        let to = self.type_of(&zero)?.unwrap_or(Dtype::U8);
        let [a, b, scale] = [a, b, scale].map(|name| self.float(name));
        let both = self.before(Op::Binary(Binary::Mul), vec![a, b]);
        let factor = self.before(Op::Binary(Binary::Div), vec![both, scale]);
        let y = self.before(Op::Binary(Binary::Mul), vec![sums, factor]);
        self.rounded(y, zero, to)
    }

    /// `x` rounded, plus a zero point if there is one, within the limits of `to`.
    fn rounded(&mut self, x: String, zero: String, to: Dtype) -> Result<Op> {
        let (least, most) = match to {
            Dtype::U8 => (0.0, 255.0),
            Dtype::I8 => (-128.0, 127.0),
            Dtype::U16 => (0.0, 65_535.0),
            Dtype::I16 => (-32_768.0, 32_767.0),
            other => return Err(self.refuse(format!("quantised values of type {other}"))),
        };
        let mut x = self.before(Op::Unary(Unary::Round), vec![x]);
        if !zero.is_empty() {
            let zero = self.float(zero);
            x = self.before(Op::Binary(Binary::Add), vec![x, zero]);
        }
        let (least, most) = (self.number(least)?, self.number(most)?);
        let x = self.before(Op::Clip, vec![x, least, most]);
        self.inputs = vec![x];
        Ok(Op::Cast { to })
    }

    /// `x - zero`, as floats.
    fn less(&mut self, x: String, zero: String) -> String {
        let x = self.float(x);
        if zero.is_empty() {
            return x;
        }
        let zero = self.float(zero);
        self.before(Op::Binary(Binary::Sub), vec![x, zero])
    }

    /// The tensor of that name, also from a node `Constant`.
    fn told(&self, name: &str) -> Option<&Tensor> {
        let made_by = |node: &&Node| node.op == Op::Identity && node.outputs.first().is_some_and(|made| made == name);
        let of_node = || self.nodes.iter().find(made_by).and_then(|node| self.reader.known(node.input(0)?));
        self.reader.known(name).or_else(of_node)
    }

    fn input(&self, i: usize) -> String {
        self.inputs.get(i).cloned().unwrap_or_default()
    }

    fn three(&self) -> [String; 3] {
        [0, 1, 2].map(|i| self.input(i))
    }

    fn float(&mut self, name: String) -> String {
        self.before(Op::Cast { to: Dtype::F32 }, vec![name])
    }

    fn number(&mut self, x: f32) -> Result<String> {
        let hint = format!("{}.number", node_name(self.proto));
        Ok(self.reader.constant(&hint, Tensor::from_f32([], vec![x])?))
    }

    fn axis(&mut self) -> Result<i64> {
        self.a.ignore("precision");
        match self.a.int_or("block_size", 0)? {
            0 => self.a.int_or("axis", 1),
            size => Err(self.refuse(format!("blocks of {size} with a scale each"))),
        }
    }

    fn only_floats(&self, number: i64) -> Result<()> {
        match number {
            0 | 1 => Ok(()),
            _ => Err(self.refuse("an output that is not float32")),
        }
    }

    /// The type of a constant or an input; none if there is nothing of that name.
    fn type_of(&self, name: &str) -> Result<Option<Dtype>> {
        let input = || self.reader.inputs.iter().find(|port| port.name == name);
        match self.told(name).map(Tensor::dtype).or_else(|| Some(input()?.dtype)) {
            None if !name.is_empty() => Err(self.refuse("a computed scale or zero point")),
            dtype => Ok(dtype),
        }
    }

    /// The dimensions of a constant, or those of an input that has as many in each run.
    fn dims_of(&self, name: &str) -> Option<Vec<usize>> {
        let input = || self.reader.inputs.iter().find(|port| port.name == name)?.dims.as_ref();
        let fixed = |dims: &Vec<Dim>| dims.iter().map(Dim::fixed).collect();
        self.told(name).map(|tensor| tensor.dims().to_vec()).or_else(|| fixed(input()?))
    }

    fn rank_of(&self, name: &str) -> Option<usize> {
        let input = || self.reader.inputs.iter().find(|port| port.name == name)?.dims.as_ref();
        self.told(name).map(|tensor| tensor.dims().len()).or_else(|| Some(input()?.len()))
    }

    /// Whether a scale or zero point has several values.
    fn has_several(&self, name: &str) -> Result<bool> {
        if name.is_empty() || self.reader.single.contains(name) {
            return Ok(false);
        }
        match self.dims_of(name) {
            Some(dims) => Ok(dims.iter().product::<usize>() > 1),
            None => Err(self.refuse("a scale or zero point whose size the file does not say")),
        }
    }

    /// Refuses several values where one belongs to the whole tensor: they would be broadcast along its last axis.
    fn only_one(&self, name: &str) -> Result<()> {
        if self.has_several(name)? { Err(self.refuse("several scales or zero points of one tensor")) } else { Ok(()) }
    }

    fn unsqueezed(&mut self, name: String, axes: &[i64]) -> Result<String> {
        if axes.is_empty() || !self.has_several(&name)? {
            return Ok(name);
        }
        let hint = format!("{}.axes", node_name(self.proto));
        let axes = self.reader.constant(&hint, Tensor::from_i64([axes.len()], axes.to_vec())?);
        Ok(self.before(Op::Unsqueeze, vec![name, axes]))
    }

    /// A value for each index of axis `axis`, against a tensor of `rank` axes.
    fn along(&mut self, name: String, axis: i64, rank: Option<usize>) -> Result<String> {
        if !self.has_several(&name)? || axis == -1 {
            return Ok(name);
        }
        let Some(rank) = rank else { return Err(self.refuse("a scale for each channel of a computed value")) };
        let axis = crate::builder::axis_of(&self.a.part, axis, rank)?;
        let after: Vec<i64> = (1..(rank - axis) as i64).collect();
        self.unsqueezed(name, &after)
    }

    /// A value for each row of the left matrix.
    fn of_rows(&mut self, name: String) -> Result<String> {
        self.unsqueezed(name, &[-1])
    }

    /// A value for each unit, against the kernel.
    fn of_units(&mut self, name: String, kernel: &str) -> Result<String> {
        let rank = self.rank_of(kernel);
        self.along(name, 0, rank)
    }

    /// A value for each unit, against the outputs.
    fn of_channels(&mut self, name: String, kernel: &str) -> Result<String> {
        let rank = self.rank_of(kernel);
        self.along(name, 1, rank)
    }
}
