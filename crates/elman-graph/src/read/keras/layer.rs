//! Keras layers other than recurrent ones, each by its class.

use crate::builder::{Builder, Value};
use crate::error::{Error, Result};
use crate::graph::{Activation, Binary, Op, Reduce};
use crate::read::layers;
use crate::source::Options;
use crate::tensor::{Dtype, Tensor};

use super::flow::{Flow, Mask, merged};
use super::weights::{Config, Weights};

/// A model while its layers are read.
pub(crate) struct Model<'a> {
    pub(crate) builder: Builder,
    pub(crate) weights: Weights,
    pub(crate) options: &'a Options,
    /// The first number of `keras_version`, where the file has it.
    pub(crate) version: Option<u32>,
}

/// What stands beside the inputs of a layer when it is called.
#[derive(Default)]
pub(crate) struct Call {
    /// A mask given by name.
    pub(crate) mask: Option<Flow>,
    pub(crate) initial_state: Vec<Flow>,
}

/// Layers that do nothing once a network is trained.
const WITHOUT_EFFECT: [&str; 12] = [
    "Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization",
    "Identity", "SpatialDropout2D", "SpatialDropout3D", "RandomNoise", "InputLayer", "Layer",
];

/// Whether a class is a recurrent layer.
pub(crate) fn is_recurrent(class: &str) -> bool {
    matches!(class, "LSTM" | "GRU" | "SimpleRNN" | "CuDNNLSTM" | "CuDNNGRU")
}

impl Model<'_> {
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let notes = &mut self.builder.graph_mut().about.notes;
        let note = note.into();
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// Hard sigmoid: Keras 3 has relu6(x + 3) / 6, Keras 1 and 2 clip(0.2 x + 0.5); up to 0.17 apart.
    ///
    /// # Errors
    /// If the file does not say which version it is of.
    pub(crate) fn hard_sigmoid(&self, layer: &str) -> Result<Activation> {
        let keras_3 = Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };
        let keras_2 = Activation::HardSigmoid { alpha: 0.2, beta: 0.5 };
        match (self.version, self.options.answer("hard-sigmoid")) {
            (_, Some("keras-3")) => Ok(keras_3),
            (_, Some("keras-2")) => Ok(keras_2),
            (_, Some(other)) => Err(Error::malformed(format!("--hard-sigmoid {other}"), "keras-2 or keras-3")),
            (Some(version), None) => Ok(if version >= 3 { keras_3 } else { keras_2 }),
            (None, None) => Err(Error::Ambiguous {
                part: format!("layer {layer}"),
                reason: "hard_sigmoid is clip(0.2 x + 0.5) in Keras 1 and 2 and relu6(x + 3) / 6 in Keras 3, and the file has no keras_version".into(),
                option: "--hard-sigmoid keras-2 or keras-3".into(),
            }),
        }
    }

    /// Whether a GRU of two rows of biases, whose configuration does not say so, has CuDNN's layout.
    ///
    /// # Errors
    /// If the user did not say either.
    pub(crate) fn gru_is_cudnn(&self, layer: &str) -> Result<bool> {
        match self.options.answer("gru") {
            Some("cudnn") => Ok(true),
            Some("reset-after") => Ok(false),
            Some(other) => Err(Error::malformed(format!("--gru {other}"), "cudnn or reset-after")),
            None => Err(Error::Ambiguous {
                part: format!("layer {layer}"),
                reason: "weights of a GRU with two rows of biases may be CuDNN's or those of reset_after".into(),
                option: "--gru cudnn or --gru reset-after".into(),
            }),
        }
    }

    /// The name of a function: a text, or (Keras 3) an object with one.
    pub(crate) fn activation_name<'c>(&self, config: Config<'c>, keys: &[&str], otherwise: &'c str) -> Result<&'c str> {
        let Some(value) = config.get(keys) else { return Ok(otherwise) };
        let named = value.text().or_else(|| match value.get("config") {
            Some(name) if value.get("class_name").and_then(|c| c.text()) == Some("function") => name.text(),
            _ => value.get("class_name").and_then(|c| c.text()),
        });
        named.ok_or_else(|| config.unsupported("an activation that is not a name"))
    }

    /// A function of a layer, applied to its result.
    pub(crate) fn activated(&mut self, config: Config<'_>, y: &Value) -> Result<Value> {
        let name = self.activation_name(config, &["activation"], "linear")?;
        if name == "hard_sigmoid" {
            let function = self.hard_sigmoid(config.layer)?;
            return Ok(self.builder.activation(config.layer, y, function));
        }
        layers::activate(&mut self.builder, config.layer, y, name)
    }

    /// Exactly `N` datasets of a layer.
    fn datasets<'d, const N: usize>(&self, config: Config<'_>, datasets: &'d [String]) -> Result<&'d [String; N]> {
        datasets.try_into().map_err(|_| {
            let reason = format!("{} weights in the file instead of {N}", datasets.len());
            Error::malformed(format!("layer {}", config.layer), reason)
        })
    }

    /// One layer.
    ///
    /// # Errors
    /// A class that is not known; weights that contradict the configuration.
    pub(crate) fn apply(
        &mut self,
        class: &str,
        config: Config<'_>,
        datasets: &[String],
        inputs: &[Flow],
        call: &Call,
    ) -> Result<Vec<Flow>> {
        if let Some(result) = self.merge(class, config, inputs)? {
            return Ok(vec![result]);
        }
        let [x, states @ ..] = inputs else {
            return Err(Error::malformed(format!("layer {}", config.layer), "it has no input"));
        };
        let mut x = x.clone();
        if let Some(mask) = &call.mask {
            x.mask = Mask::Of(mask.value.clone());
        }
        let initial = if call.initial_state.is_empty() { states } else { &call.initial_state };
        if is_recurrent(class) {
            return self.recurrent(class, config, datasets, &x, initial);
        }
        if !initial.is_empty() {
            return Err(config.unsupported(format!("the class {class:?} with several inputs")));
        }
        if class == "Bidirectional" {
            return self.bidirectional(config, datasets, &x);
        }
        self.simple(class, config, datasets, &x).map(|flow| vec![flow])
    }

    fn simple(&mut self, class: &str, config: Config<'_>, datasets: &[String], x: &Flow) -> Result<Flow> {
        let layer = config.layer;
        if WITHOUT_EFFECT.contains(&class) {
            return Ok(x.clone());
        }
        match class {
            "Dense" | "TimeDistributedDense" => self.dense(config, datasets, x),
            "TimeDistributed" => self.time_distributed(config, datasets, x),
            "Embedding" => self.embedding(config, datasets, x),
            "Masking" => self.masking(config, x),
            "Conv1D" | "Convolution1D" => self.conv(config, datasets, x),
            "BatchNormalization" => self.batch_norm(config, datasets, x),
            "LayerNormalization" => self.layer_norm(config, datasets, x),
            "Activation" => {
                if self.activation_name(config, &["activation"], "")?.is_empty() {
                    return Err(config.unsupported("an activation without a name"));
                }
                let y = self.activated(config, &x.value)?;
                Ok(x.with(y))
            }
            "ReLU" | "LeakyReLU" | "ELU" | "PReLU" | "Softmax" | "ThresholdedReLU" => {
                self.function(class, config, datasets, x)
            }
            "GlobalAveragePooling1D" | "GlobalMaxPooling1D" => self.global_pool(class, config, x),
            "MaxPooling1D" | "AveragePooling1D" => self.pool(class, config, x),
            "Flatten" => self.flatten(config, x),
            "Reshape" => self.reshape(config, x),
            "Permute" => {
                let order = config.get(&["dims"]).and_then(|dims| dims.list()).unwrap_or_default();
                let order = order.iter().map(|axis| axis.size()).collect::<Option<Vec<_>>>();
                let order = order.ok_or_else(|| config.unsupported("a Permute without dims"))?;
                let y = self.builder.transpose(layer, &x.value, &[&[0], order.as_slice()].concat())?;
                Ok(Flow::new(y, false))
            }
            "RepeatVector" => self.repeat_vector(config, x),
            "Lambda" => Err(config.unsupported("a Lambda, which is Python code (nothing was run),")),
            _ => Err(Error::unsupported(format!("layer {layer}"), format!("the class {class:?}"))),
        }
    }

    fn dense(&mut self, config: Config<'_>, datasets: &[String], x: &Flow) -> Result<Flow> {
        let (layer, inputs, units) = (config.layer, x.value.width()?, config.size(&["units", "output_dim"])?);
        let kernel = |model: &mut Self, path: &str| model.weights.take(path, layer, &[inputs, units], "kernel");
        let (kernel, bias) = if config.flag(&["use_bias", "bias"], true)? {
            let [first, second] = self.datasets(config, datasets)?;
            (kernel(self, first)?, Some(self.weights.take(second, layer, &[units], "bias")?))
        } else {
            let [first] = self.datasets(config, datasets)?;
            (kernel(self, first)?, None)
        };
        let y = self.builder.dense(layer, &x.value, kernel, bias)?;
        let y = self.activated(config, &y)?;
        Ok(x.with(y))
    }

    /// The layer within sees one step at a time, which for these is the same as all steps at once.
    fn time_distributed(&mut self, config: Config<'_>, datasets: &[String], x: &Flow) -> Result<Flow> {
        let inner = config.get(&["layer"]);
        let class = inner.and_then(|inner| inner.get("class_name")).and_then(|class| class.text()).unwrap_or_default();
        let json = inner.and_then(|inner| inner.get("config"));
        let json = json.ok_or_else(|| Error::malformed(format!("layer {}", config.layer), "it has no layer"))?;
        let alike =
            ["Dense", "Activation", "BatchNormalization", "LayerNormalization", "Dropout", "ReLU", "LeakyReLU", "ELU"];
        if !alike.contains(&class) {
            return Err(config.unsupported(format!("a {class} at each step")));
        }
        self.simple(class, Config { json, ..config }, datasets, x)
    }

    fn embedding(&mut self, config: Config<'_>, datasets: &[String], x: &Flow) -> Result<Flow> {
        let layer = config.layer;
        let [path] = self.datasets(config, datasets)?;
        let dims = [config.size(&["input_dim"])?, config.size(&["output_dim"])?];
        let table = self.weights.take(path, layer, &dims, "embedding")?;
        let tokens = if x.value.dtype().is_int() {
            x.value.clone()
        } else {
            self.builder.node(layer, Op::Cast { to: Dtype::I64 }, &[&x.value], Dtype::I64, x.value.dims())
        };
        let y = self.builder.embedding(layer, &tokens, table)?;
        let mut flow = Flow::new(y, x.per_step);
        if config.flag(&["mask_zero"], false)? {
            let zero = self.builder.constant(&format!("{layer}.padding"), Tensor::from_i64([], vec![0])?);
            flow.mask = Mask::Of(self.unequal(layer, &tokens, &zero)?);
            self.builder.graph_mut().about.padding = Some(0);
        }
        Ok(flow)
    }

    /// `a != b`.
    pub(crate) fn unequal(&mut self, name: &str, a: &Value, b: &Value) -> Result<Value> {
        let equal = self.builder.binary(name, a, b, Binary::Equal)?;
        Ok(self.builder.unary(name, &equal, crate::graph::Unary::Not))
    }

    /// Whether any feature is true: `[B, T, I]` bool to `[B, T]`.
    pub(crate) fn any(&mut self, name: &str, x: &Value) -> Result<Value> {
        let numbers = self.builder.node(name, Op::Cast { to: Dtype::F32 }, &[x], Dtype::F32, x.dims());
        let largest = self.builder.reduce(name, &numbers, Reduce::Max, -1)?;
        let dims = largest.dims().to_vec();
        Ok(self.builder.node(name, Op::Cast { to: Dtype::Bool }, &[&largest], Dtype::Bool, dims))
    }

    fn masking(&mut self, config: Config<'_>, x: &Flow) -> Result<Flow> {
        let layer = config.layer;
        if x.rank() != 3 {
            return Err(config.unsupported("Masking of what is not a sequence"));
        }
        let value = config.number(&["mask_value"], 0.0)? as f32;
        let value = self.builder.constant(&format!("{layer}.value"), Tensor::from_f32([], vec![value])?);
        let differs = self.unequal(layer, &x.value, &value)?;
        let mask = self.any(layer, &differs)?;
        // Steps left out become zero.
        let axes = self.builder.constant(&format!("{layer}.axes"), Tensor::from_i64([1], vec![2])?);
        let factor = self.builder.node(layer, Op::Cast { to: Dtype::F32 }, &[&mask], Dtype::F32, mask.dims());
        let dims = [mask.dims(), &[1.into()]].concat();
        let factor = self.builder.node(layer, Op::Unsqueeze, &[&factor, &axes], Dtype::F32, dims);
        let y = self.builder.binary(layer, &x.value, &factor, Binary::Mul)?;
        Ok(Flow { value: y, mask: Mask::Of(mask), per_step: x.per_step })
    }

    /// The axis of a normalization, which must be the last.
    fn last_axis(&self, config: Config<'_>, x: &Flow) -> Result<()> {
        let axis = config.get(&["axis"]);
        let axis = axis.and_then(|axis| {
            axis.number().or_else(|| match axis.list()?.as_slice() {
                [axis] => axis.number(),
                _ => None,
            })
        });
        match axis {
            None => Ok(()),
            Some(axis) if axis == -1.0 || axis == x.rank() as f64 - 1.0 => Ok(()),
            Some(axis) => Err(config.unsupported(format!("a normalization over axis {axis}"))),
        }
    }

    fn batch_norm(&mut self, config: Config<'_>, datasets: &[String], x: &Flow) -> Result<Flow> {
        let layer = config.layer;
        self.last_axis(config, x)?;
        if config.number(&["mode"], 0.0)? != 0.0 {
            return Err(config.unsupported("this mode of batch normalization"));
        }
        let width = x.value.width()?;
        let (scale, center) = (config.flag(&["scale"], true)?, config.flag(&["center"], true)?);
        let expected = 2 + usize::from(scale) + usize::from(center);
        if datasets.len() != expected {
            let reason = format!("{} weights in the file instead of {expected}", datasets.len());
            return Err(Error::malformed(format!("layer {layer}"), reason));
        }
        let mut paths = datasets.iter();
        let mut next = |wanted: bool| match if wanted { paths.next() } else { None } {
            Some(path) => self.weights.take(path, layer, &[width], "folded into a factor and a summand").map(Some),
            None => Ok(None),
        };
        let (gamma, beta, mean, variance) = (next(scale)?, next(center)?, next(true)?, next(true)?);
        let epsilon = config.number(&["epsilon"], 1e-3)?;
        let norm = [gamma.as_ref(), beta.as_ref(), mean.as_ref(), variance.as_ref()];
        let y = layers::batch_norm(&mut self.builder, layer, &x.value, norm, epsilon)?;
        Ok(x.with(y))
    }

    fn layer_norm(&mut self, config: Config<'_>, datasets: &[String], x: &Flow) -> Result<Flow> {
        let layer = config.layer;
        self.last_axis(config, x)?;
        if config.flag(&["rms_scaling"], false)? {
            return Err(config.unsupported("rms_scaling"));
        }
        let width = x.value.width()?;
        let (scale, center) = (config.flag(&["scale"], true)?, config.flag(&["center"], true)?);
        let expected = usize::from(scale) + usize::from(center);
        if datasets.len() != expected {
            let reason = format!("{} weights in the file instead of {expected}", datasets.len());
            return Err(Error::malformed(format!("layer {layer}"), reason));
        }
        let mut paths = datasets.iter();
        let mut next = |wanted: bool, otherwise: f32| match if wanted { paths.next() } else { None } {
            Some(path) => self.weights.take(path, layer, &[width], "scale and shift"),
            None => Tensor::from_f32([width], vec![otherwise; width]),
        };
        let (gamma, beta) = (next(scale, 1.0)?, next(center, 0.0)?);
        let epsilon = config.number(&["epsilon"], 1e-3)? as f32;
        let y = layers::layer_norm(&mut self.builder, layer, &x.value, gamma, beta, epsilon)?;
        Ok(x.with(y))
    }

    fn function(&mut self, class: &str, config: Config<'_>, datasets: &[String], x: &Flow) -> Result<Flow> {
        let layer = config.layer;
        let plain = |model: &mut Self, activation| model.builder.activation(layer, &x.value, activation);
        let y = match class {
            "ReLU" => {
                let slope = config.number(&["negative_slope"], 0.0)? as f32;
                if config.number(&["threshold"], 0.0)? != 0.0 {
                    return Err(config.unsupported("a ReLU with a threshold"));
                }
                let relu = if slope == 0.0 { Activation::Relu } else { Activation::LeakyRelu { alpha: slope } };
                let y = plain(self, relu);
                match config.get(&["max_value"]) {
                    None => y,
                    Some(_) => {
                        let most = config.number(&["max_value"], 0.0)? as f32;
                        let most = self.builder.constant(&format!("{layer}.max"), Tensor::from_f32([], vec![most])?);
                        self.builder.binary(layer, &y, &most, Binary::Min)?
                    }
                }
            }
            "LeakyReLU" => {
                let alpha = config.number(&["negative_slope", "alpha"], 0.3)? as f32;
                plain(self, Activation::LeakyRelu { alpha })
            }
            "ELU" => {
                let alpha = config.number(&["alpha"], 1.0)? as f32;
                plain(self, Activation::Elu { alpha })
            }
            "ThresholdedReLU" => {
                let alpha = config.number(&["theta"], 1.0)? as f32;
                plain(self, Activation::ThresholdedRelu { alpha })
            }
            "Softmax" => {
                self.last_axis(config, x)?;
                if !matches!(x.mask, Mask::All) {
                    return Err(config.unsupported("a Softmax with a mask"));
                }
                self.builder.softmax(layer, &x.value)
            }
            _ => {
                let [path] = self.datasets(config, datasets)?;
                let dims = self.weights.dims(path).unwrap_or_default().to_vec();
                // One slope per feature, for all steps.
                let shared = dims
                    .split_last()
                    .is_some_and(|(last, rest)| Some(*last) == x.value.width().ok() && rest.iter().all(|d| *d == 1));
                if !shared {
                    return Err(config.unsupported(format!("a PReLU with slopes {dims:?} that differ between steps")));
                }
                let slope = self.weights.take(path, layer, &dims, "slope")?;
                layers::prelu(&mut self.builder, layer, &x.value, slope)?
            }
        };
        Ok(x.with(y))
    }

    /// Layers of several inputs; `None` if `class` is not one.
    fn merge(&mut self, class: &str, config: Config<'_>, inputs: &[Flow]) -> Result<Option<Flow>> {
        let layer = config.layer;
        let binary = match class {
            "Concatenate" => None,
            "Add" | "Average" => Some(Binary::Add),
            "Subtract" => Some(Binary::Sub),
            "Multiply" => Some(Binary::Mul),
            "Maximum" => Some(Binary::Max),
            "Minimum" => Some(Binary::Min),
            _ => return Ok(None),
        };
        let [first, rest @ ..] = inputs else {
            return Err(Error::malformed(format!("layer {layer}"), "it has no input"));
        };
        if inputs.iter().any(|flow| flow.rank() != first.rank()) {
            return Err(config.unsupported("putting values of different ranks together"));
        }
        let (value, along_time) = match binary {
            None => {
                let axis = config.number(&["axis", "concat_axis"], -1.0)? as i64;
                let values: Vec<&Value> = inputs.iter().map(|flow| &flow.value).collect();
                let last = axis == -1 || axis == first.rank() as i64 - 1;
                (self.builder.concat(layer, &values, axis)?, !last)
            }
            Some(binary) => {
                let mut sum = first.value.clone();
                for flow in rest {
                    sum = self.builder.binary(layer, &sum, &flow.value, binary)?;
                }
                if class == "Average" {
                    sum = self.builder.gain(layer, &sum, 1.0 / inputs.len() as f32)?;
                }
                (sum, false)
            }
        };
        let mask = merged(layer, inputs);
        let mask = if along_time && !matches!(mask, Mask::All) { Mask::Unclear(layer.into()) } else { mask };
        Ok(Some(Flow { value, mask, per_step: !along_time && inputs.iter().all(|flow| flow.per_step) }))
    }
}
