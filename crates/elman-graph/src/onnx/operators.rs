//! Every operator that is read, brought from its version to the newest.

use super::attributes::Attributes;
use super::converter::{Converter, node_name};
use super::proto::{NodeProto, dtype};
use super::reader::Reader;
use super::recurrent;
use crate::error::{Error, Result};
use crate::graph::{Activation, ArgExtreme, AutoPad, Binary, Conv, Node, Op, PadMode, Pool, PoolKind, Reduce, Unary};
use crate::tensor::Tensor;

/// One node of the file: pushes it, and any it needs before, on `nodes`. The last one pushed makes the file's outputs, but for
/// those that are returned, which earlier ones make.
pub(super) fn node<'a>(
    reader: &mut Reader<'a>,
    proto: &NodeProto<'a>,
    part: String,
    inputs: Vec<String>,
    nodes: &mut Vec<Node>,
) -> Result<Vec<String>> {
    let attributes = Attributes::new(proto, part)?;
    let mut c = Converter { reader, proto, a: attributes, inputs, nodes, others: vec![] };
    let op = match (proto.domain, proto.op) {
        ("" | "ai.onnx", _) => c.op()?,
        // What `onnxruntime.quantization` makes of an LSTM.
        ("com.microsoft", "DynamicQuantizeLSTM") => c.quantized_lstm()?,
        (domain, op) => return Err(Error::unsupported(&c.a.part, format!("the operator {domain}.{op}"))),
    };
    c.a.finish()?;
    let Converter { inputs, nodes, others, .. } = c;
    nodes.push(Node { name: node_name(proto), op, inputs, outputs: vec![] });
    Ok(others)
}

impl<'a> Converter<'_, 'a, '_> {
    fn activation(&mut self, f: Activation) -> Result<Op> {
        self.only_output(1)?;
        Ok(Op::Activation(f))
    }

    fn op(&mut self) -> Result<Op> {
        let opset = self.reader.opset;
        self.a.ignore("consumed_inputs");
        if let Some(unary) = unary(self.proto.op) {
            return Ok(Op::Unary(unary));
        }
        if let Some(binary) = binary(self.proto.op) {
            return Ok(Op::Binary(binary));
        }
        Ok(match self.proto.op {
            "Sigmoid" => self.activation(Activation::Sigmoid)?,
            "Tanh" => self.activation(Activation::Tanh)?,
            "Relu" => self.activation(Activation::Relu)?,
            "Exp" => self.activation(Activation::Exp)?,
            "Softplus" => self.activation(Activation::Softplus)?,
            "Softsign" => self.activation(Activation::Softsign)?,
            "HardSwish" => self.activation(Activation::HardSwish)?,
            "LeakyRelu" => {
                let alpha = self.a.float_or("alpha", 0.01)?;
                self.activation(Activation::LeakyRelu { alpha })?
            }
            "ThresholdedRelu" => {
                let alpha = self.a.float_or("alpha", 1.0)?;
                self.activation(Activation::ThresholdedRelu { alpha })?
            }
            "Elu" => {
                let alpha = self.a.float_or("alpha", 1.0)?;
                self.activation(Activation::Elu { alpha })?
            }
            "Selu" => {
                let alpha = self.a.float_or("alpha", 1.673_263_2)?;
                let gamma = self.a.float_or("gamma", 1.050_701)?;
                self.activation(Activation::Selu { alpha, gamma })?
            }
            "HardSigmoid" => {
                let (alpha, beta) = (self.a.float_or("alpha", 0.2)?, self.a.float_or("beta", 0.5)?);
                self.activation(Activation::HardSigmoid { alpha, beta })?
            }
            "Gelu" => {
                let tanh = match self.a.text("approximate")?.unwrap_or("none") {
                    "none" => false,
                    "tanh" => true,
                    other => return Err(self.refuse(format!("approximate {other:?}"))),
                };
                self.activation(Activation::Gelu { tanh })?
            }
            "Swish" => self.swish()?,
            "DequantizeLinear" => self.dequantize()?,
            "QuantizeLinear" => self.quantize()?,
            "DynamicQuantizeLinear" => self.quantize_dynamically()?,
            "MatMulInteger" => self.multiply_integers()?,
            "ConvInteger" => self.convolve_integers()?,
            "QLinearMatMul" => self.multiply_quantized()?,
            "QLinearConv" => self.convolve_quantized()?,
            "Mod" => Op::Binary(Binary::Mod { fmod: self.a.flag("fmod", false)? }),
            "Sum" => self.sum()?,
            "Clip" => self.clip()?,
            "Softmax" => self.softmax(|axis| Op::Softmax { axis })?,
            "LogSoftmax" => self.softmax(|axis| Op::LogSoftmax { axis })?,
            "MatMul" => Op::MatMul,
            "Gemm" => Op::Gemm {
                alpha: self.a.float_or("alpha", 1.0)?,
                beta: self.a.float_or("beta", 1.0)?,
                trans_a: self.a.flag("transA", false)?,
                trans_b: self.a.flag("transB", false)?,
            },
            "Conv" => Op::Conv(self.window("kernel_shape")?),
            "ConvTranspose" => Op::ConvTranspose {
                conv: self.window("kernel_shape")?,
                output_padding: self.a.sizes("output_padding")?.unwrap_or_default(),
                output_shape: self.a.sizes("output_shape")?,
            },
            "MaxPool" => self.pool(PoolKind::Max)?,
            "AveragePool" => self.pool(PoolKind::Average)?,
            "GlobalMaxPool" => Op::GlobalPool(PoolKind::Max),
            "GlobalAveragePool" => Op::GlobalPool(PoolKind::Average),
            "Einsum" => Op::Einsum { equation: self.a.text("equation")?.unwrap_or_default().into() },
            "BatchNormalization" => self.batch_normalization()?,
            "LayerNormalization" => {
                self.a.ignore("stash_type");
                self.only_output(1)?;
                Op::LayerNormalization { axis: self.a.int_or("axis", -1)?, epsilon: self.a.float_or("epsilon", 1e-5)? }
            }
            "InstanceNormalization" => Op::InstanceNormalization { epsilon: self.a.float_or("epsilon", 1e-5)? },
            "ArgMax" => self.arg_extreme(ArgExtreme::Max)?,
            "ArgMin" => self.arg_extreme(ArgExtreme::Min)?,
            "TopK" => {
                if opset < 10 {
                    let k = self.a.int_or("k", 0)?;
                    self.set(1, "k", Tensor::from_i64([1], vec![k])?);
                }
                // Those that need no order may have one.
                self.a.flag("sorted", true)?;
                Op::TopK { axis: self.a.int_or("axis", -1)?, largest: self.a.flag("largest", true)? }
            }
            "CumSum" => {
                Op::CumSum { exclusive: self.a.flag("exclusive", false)?, reverse: self.a.flag("reverse", false)? }
            }
            "Gather" => Op::Gather { axis: self.a.int_or("axis", 0)? },
            "GatherElements" => Op::GatherElements { axis: self.a.int_or("axis", 0)? },
            "Slice" => {
                if opset < 10 {
                    self.ints_input("starts", 1, 10)?;
                    self.ints_input("ends", 2, 10)?;
                    self.ints_input("axes", 3, 10)?;
                }
                Op::Slice
            }
            "Split" => {
                self.ints_input("split", 1, 13)?;
                let axis = self.a.int_or("axis", 0)?;
                if let Some(n) = self.a.int("num_outputs")?
                    && usize::try_from(n) != Ok(self.proto.outputs.len())
                {
                    return Err(Error::malformed(&self.a.part, format!("num_outputs {n}, but other outputs")));
                }
                Op::Split { axis }
            }
            "Concat" => Op::Concat { axis: self.a.int_or("axis", 1)? },
            "Reshape" => Op::Reshape { allow_zero: self.a.flag("allowzero", false)? },
            "Flatten" => Op::Flatten { axis: self.a.int_or("axis", 1)? },
            "Transpose" => Op::Transpose { perm: self.a.sizes("perm")? },
            "Squeeze" => {
                self.ints_input("axes", 1, 13)?;
                Op::Squeeze
            }
            "Unsqueeze" => {
                self.ints_input("axes", 1, 13)?;
                Op::Unsqueeze
            }
            "Expand" => Op::Expand,
            "Tile" => Op::Tile,
            "Pad" => self.pad()?,
            "ScatterND" => match self.a.text("reduction")?.unwrap_or("none") {
                "none" => Op::ScatterNd,
                other => return Err(self.refuse(format!("reduction {other:?}"))),
            },
            "Range" => Op::Range,
            "Where" => Op::Where,
            "Shape" => Op::Shape { start: self.a.int_or("start", 0)?, end: self.a.int("end")? },
            "Size" => Op::Size,
            "ConstantOfShape" => {
                if let Some(bytes) = self.a.tensor("value") {
                    let value = self.reader.attribute_tensor(bytes)?;
                    self.set(1, "value", value);
                }
                Op::ConstantOfShape
            }
            "Constant" => self.constant()?,
            "Cast" => {
                self.a.ignore("saturate");
                self.a.ignore("round_mode");
                let to = self.a.int_or("to", 0)?;
                Op::Cast { to: dtype(&self.a.part, to as u64)? }
            }
            "Identity" => Op::Identity,
            "Dropout" => self.dropout()?,
            "ReverseSequence" => {
                let (time, batch) = (self.a.int_or("time_axis", 0)?, self.a.int_or("batch_axis", 1)?);
                match (time, batch) {
                    (0, 1) => Op::ReverseSequence { time_axis: 0, batch_axis: 1 },
                    (1, 0) => Op::ReverseSequence { time_axis: 1, batch_axis: 0 },
                    _ => return Err(self.refuse(format!("time_axis {time} with batch_axis {batch}"))),
                }
            }
            "If" => {
                let (then_branch, else_branch) = (self.a.graph("then_branch")?, self.a.graph("else_branch")?);
                let part = self.a.part.clone();
                let then_branch = Box::new(self.reader.body(then_branch, &part)?);
                Op::If { then_branch, else_branch: Box::new(self.reader.body(else_branch, &part)?) }
            }
            "Loop" => {
                let (body, part) = (self.a.graph("body")?, self.a.part.clone());
                Op::Loop { body: Box::new(self.reader.body(body, &part)?) }
            }
            "Scan" => self.scan()?,
            "LSTM" | "GRU" | "RNN" => Op::Recurrent(recurrent::layer(self, self.proto.op)?),
            other => match other.strip_prefix("Reduce").and_then(reduce) {
                Some((f, since)) => {
                    self.ints_input("axes", 1, since)?;
                    Op::Reduce {
                        reduce: f,
                        keepdims: self.a.flag("keepdims", true)?,
                        noop_with_empty_axes: self.a.flag("noop_with_empty_axes", false)?,
                    }
                }
                None => return Err(self.refuse(format!("the operator {other}"))),
            },
        })
    }

    /// `x / (1 + e^(-alpha x))`.
    fn swish(&mut self) -> Result<Op> {
        let alpha = self.a.float_or("alpha", 1.0)?;
        let Some(x) = self.inputs.first().cloned().filter(|_| alpha != 1.0) else {
            return self.activation(Activation::Swish);
        };
        let steep = self.before(Op::Activation(Activation::Affine { alpha, beta: 0.0 }), vec![x.clone()]);
        let gate = self.before(Op::Activation(Activation::Sigmoid), vec![steep]);
        self.inputs = vec![x, gate];
        Ok(Op::Binary(Binary::Mul))
    }

    /// `a + b + c + …`.
    fn sum(&mut self) -> Result<Op> {
        let mut all = std::mem::take(&mut self.inputs).into_iter();
        let mut sum = all.next().ok_or_else(|| Error::malformed(&self.a.part, "it has no inputs"))?;
        let Some(last) = all.next_back() else {
            self.inputs = vec![sum];
            return Ok(Op::Identity);
        };
        for next in all {
            sum = self.before(Op::Binary(Binary::Add), vec![sum, next]);
        }
        self.inputs = vec![sum, last];
        Ok(Op::Binary(Binary::Add))
    }

    fn clip(&mut self) -> Result<Op> {
        if self.reader.opset < 11 {
            for (i, name) in [(1, "min"), (2, "max")] {
                if let Some(bound) = self.a.float(name)? {
                    self.set(i, name, Tensor::from_f32([], vec![bound])?);
                }
            }
        }
        Ok(Op::Clip)
    }

    /// Before version 13: over all axes from `axis` on, as if they were one.
    fn softmax(&mut self, of: impl Fn(i64) -> Op) -> Result<Op> {
        if self.reader.opset >= 13 {
            return Ok(of(self.a.int_or("axis", -1)?));
        }
        let axis = self.a.int_or("axis", 1)?;
        if axis == -1 {
            return Ok(of(-1));
        }
        let x = self.inputs.clone();
        let shape = self.before(Op::Shape { start: 0, end: None }, x.clone());
        let flat = self.before(Op::Flatten { axis }, x);
        let soft = self.before(of(-1), vec![flat]);
        self.inputs = vec![soft, shape];
        Ok(Op::Reshape { allow_zero: true })
    }

    pub(super) fn window(&mut self, kernel: &'static str) -> Result<Conv> {
        // The weights say the same.
        self.a.ignore(kernel);
        let auto_pad = match self.a.text("auto_pad")?.unwrap_or("NOTSET") {
            "NOTSET" | "" => AutoPad::NotSet,
            "VALID" => AutoPad::Valid,
            "SAME_UPPER" => AutoPad::SameUpper,
            "SAME_LOWER" => AutoPad::SameLower,
            other => return Err(self.refuse(format!("auto_pad {other:?}"))),
        };
        let groups = usize::try_from(self.a.int_or("group", 1)?).ok().filter(|g| (1..1 << 24).contains(g));
        Ok(Conv {
            strides: self.a.sizes("strides")?.unwrap_or_default(),
            dilations: self.a.sizes("dilations")?.unwrap_or_default(),
            pads: self.a.sizes("pads")?.unwrap_or_default(),
            groups: groups.ok_or_else(|| Error::malformed(&self.a.part, "group"))?,
            auto_pad,
        })
    }

    fn pool(&mut self, kind: PoolKind) -> Result<Op> {
        // The order of indices, which are not made.
        self.a.ignore("storage_order");
        self.only_output(1)?;
        let kernel = self.a.sizes("kernel_shape")?.unwrap_or_default();
        Ok(Op::Pool(Pool {
            kind,
            kernel,
            window: self.window("kernel_shape")?,
            ceil: self.a.flag("ceil_mode", false)?,
            count_include_pad: self.a.flag("count_include_pad", false)?,
        }))
    }

    fn batch_normalization(&mut self) -> Result<Op> {
        self.a.ignore("momentum");
        if self.a.int_or("training_mode", 0)? != 0 || self.a.int_or("spatial", 1)? != 1 {
            return Err(self.refuse("training_mode 1 or spatial 0"));
        }
        self.only_output(1)?;
        Ok(Op::BatchNormalization { epsilon: self.a.float_or("epsilon", 1e-5)? })
    }

    fn arg_extreme(&mut self, extreme: ArgExtreme) -> Result<Op> {
        Ok(Op::ArgExtreme {
            extreme,
            axis: self.a.int_or("axis", 0)?,
            keepdims: self.a.flag("keepdims", true)?,
            select_last: self.a.flag("select_last_index", false)?,
        })
    }

    fn pad(&mut self) -> Result<Op> {
        if self.reader.opset < 11 {
            self.ints_input("pads", 1, 11)?;
            let value = self.a.float_or("value", 0.0)?;
            self.set(2, "value", Tensor::from_f32([], vec![value])?);
        }
        let mode = match self.a.text("mode")?.unwrap_or("constant") {
            "constant" => PadMode::Constant,
            "reflect" => PadMode::Reflect,
            "edge" => PadMode::Edge,
            "wrap" => PadMode::Wrap,
            other => return Err(self.refuse(format!("mode {other:?}"))),
        };
        Ok(Op::Pad { mode })
    }

    fn constant(&mut self) -> Result<Op> {
        let value = if let Some(bytes) = self.a.tensor("value") {
            self.reader.attribute_tensor(bytes)?
        } else if self.a.has("value_float") {
            Tensor::from_f32([], vec![self.a.float_or("value_float", 0.0)?])?
        } else if self.a.has("value_int") {
            Tensor::from_i64([], vec![self.a.int_or("value_int", 0)?])?
        } else if let Some(list) = self.a.floats("value_floats").filter(|_| self.a.has("value_floats")) {
            Tensor::from_f32([list.len()], list.to_vec())?
        } else if let Some(list) = self.a.ints("value_ints").filter(|_| self.a.has("value_ints")) {
            Tensor::from_i64([list.len()], list.to_vec())?
        } else {
            return Err(self.refuse("its kind of value"));
        };
        self.set(0, "value", value);
        Ok(Op::Identity)
    }

    /// In a trained network: nothing.
    fn dropout(&mut self) -> Result<Op> {
        self.a.ignore("ratio");
        self.a.ignore("seed");
        if let Some(training) = self.inputs.get(2).filter(|name| !name.is_empty()) {
            let off = self.reader.known(training).and_then(Tensor::as_bool).is_some_and(|v| v == [false]);
            if !off {
                return Err(self.refuse("training_mode"));
            }
        }
        self.only_output(1)?;
        self.inputs.truncate(1);
        Ok(Op::Identity)
    }

    fn scan(&mut self) -> Result<Op> {
        if self.reader.opset < 9 {
            return Err(self.refuse("Scan of before version 9"));
        }
        let (body, part) = (self.a.graph("body")?, self.a.part.clone());
        let body = Box::new(self.reader.body(body, &part)?);
        let n = self.a.int_or("num_scan_inputs", 0)?;
        let scan_inputs = usize::try_from(n).ok().filter(|n| *n > 0 && *n <= self.inputs.len());
        let scan_inputs = scan_inputs.ok_or_else(|| Error::malformed(&part, format!("num_scan_inputs {n}")))?;
        let reversed = |list: Option<&[i64]>| list.unwrap_or_default().iter().map(|d| *d == 1).collect();
        Ok(Op::Scan {
            body,
            scan_inputs,
            input_axes: self.a.ints("scan_input_axes").unwrap_or_default().to_vec(),
            input_reversed: reversed(self.a.ints("scan_input_directions")),
            output_axes: self.a.ints("scan_output_axes").unwrap_or_default().to_vec(),
            output_reversed: reversed(self.a.ints("scan_output_directions")),
        })
    }
}

fn unary(op: &str) -> Option<Unary> {
    Some(match op {
        "Neg" => Unary::Neg,
        "Abs" => Unary::Abs,
        "Sign" => Unary::Sign,
        "Sqrt" => Unary::Sqrt,
        "Reciprocal" => Unary::Reciprocal,
        "Log" => Unary::Log,
        "Floor" => Unary::Floor,
        "Ceil" => Unary::Ceil,
        "Round" => Unary::Round,
        "Erf" => Unary::Erf,
        "Sin" => Unary::Sin,
        "Cos" => Unary::Cos,
        "Not" => Unary::Not,
        "IsNaN" => Unary::IsNan,
        _ => return None,
    })
}

fn binary(op: &str) -> Option<Binary> {
    Some(match op {
        "Add" => Binary::Add,
        "Sub" => Binary::Sub,
        "Mul" => Binary::Mul,
        "Div" => Binary::Div,
        "Pow" => Binary::Pow,
        "Min" => Binary::Min,
        "Max" => Binary::Max,
        "PRelu" => Binary::PRelu,
        "Equal" => Binary::Equal,
        "Greater" => Binary::Greater,
        "GreaterOrEqual" => Binary::GreaterOrEqual,
        "Less" => Binary::Less,
        "LessOrEqual" => Binary::LessOrEqual,
        "And" => Binary::And,
        "Or" => Binary::Or,
        "Xor" => Binary::Xor,
        _ => return None,
    })
}

/// What comes after `Reduce`, and since when its axes are an input.
fn reduce(name: &str) -> Option<(Reduce, i64)> {
    Some(match name {
        "Sum" => (Reduce::Sum, 13),
        "Mean" => (Reduce::Mean, 18),
        "Max" => (Reduce::Max, 18),
        "Min" => (Reduce::Min, 18),
        "Prod" => (Reduce::Prod, 18),
        "L1" => (Reduce::L1, 18),
        "L2" => (Reduce::L2, 18),
        "SumSquare" => (Reduce::SumSquare, 18),
        "LogSum" => (Reduce::LogSum, 18),
        "LogSumExp" => (Reduce::LogSumExp, 18),
        _ => return None,
    })
}
