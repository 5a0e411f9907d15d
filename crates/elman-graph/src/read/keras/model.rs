//! Sequential and Functional models: which layer reads what.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::graph::Dim;
use crate::read::json::Json;
use crate::tensor::Dtype;

use super::flow::Flow;
use super::layer::{Call, Model, is_recurrent};
use super::ops::{self, Operand};
use super::weights::{Config, snake_case};

/// Far above what anybody stacks.
const MOST_LAYERS: usize = 2000;
/// Layers for which the length of a sequence must be known.
const FIXED_LENGTH: [&str; 3] = ["Flatten", "Reshape", "Permute"];

/// A layer of a configuration.
struct Layer<'a> {
    class: &'a str,
    name: String,
    json: &'a Json,
    config: &'a Json,
    /// How many layers of its class are before it.
    nth: usize,
}

impl<'a> Layer<'a> {
    fn config(&self) -> Config<'_> {
        Config { layer: &self.name, json: self.config }
    }
}

fn layers(list: &[Json]) -> Result<Vec<Layer<'_>>> {
    if list.len() > MOST_LAYERS {
        let (size, most) = (format!("{} layers", list.len()), format!("{MOST_LAYERS} layers"));
        return Err(Error::TooLarge { part: "the configuration".into(), size, most });
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut layers = Vec::new();
    for (at, json) in list.iter().enumerate() {
        let part = || format!("layer {at} of the configuration");
        let class = json
            .get("class_name")
            .and_then(Json::text)
            .ok_or_else(|| Error::malformed(part(), "it has no class_name"))?;
        let config = json.get("config").filter(|config| config.entries().is_some());
        let config = config.ok_or_else(|| Error::malformed(part(), "it has no config"))?;
        let name = config.get("name").or_else(|| json.get("name")).and_then(Json::text);
        let name = name.ok_or_else(|| Error::malformed(part(), "it has no name"))?.to_owned();
        // Operations are not layers and are not counted.
        let is_operation = json.get("module").and_then(Json::text).is_some_and(|module| module.contains(".ops."));
        let count = counts.entry(snake_case(class)).or_default();
        let nth = *count;
        *count += usize::from(!is_operation);
        layers.push(Layer { class, name, json, config, nth });
    }
    Ok(layers)
}

/// A batch shape: sizes, and `None` for any.
fn shape(json: &Json) -> Option<Vec<Option<usize>>> {
    let list = json.list()?;
    list.iter().map(|size| if *size == Json::Null { Some(None) } else { size.size().map(Some) }).collect()
}

impl Model<'_> {
    /// Reads a model's configuration and builds its network.
    ///
    /// # Errors
    /// Models of other classes; layers that are not known.
    pub(crate) fn build(&mut self, json: &Json) -> Result<()> {
        let class = json.get("class_name").and_then(Json::text).unwrap_or_default();
        let config = json.get("config").ok_or_else(|| Error::malformed("the configuration", "it has no config"))?;
        let list = match config {
            // Keras 1, and 2 up to 2.2.2, have the layers themselves there.
            Json::List(list) => list,
            config => match config.get("layers") {
                Some(Json::List(list)) => list,
                _ => return Err(Error::malformed("the configuration", "it has no layers")),
            },
        };
        let layers = layers(list)?;
        match class {
            "Sequential" => self.sequential(json, config, &layers),
            "Functional" | "Model" => self.functional(config, &layers),
            _ => Err(Error::unsupported("the configuration", format!("a model of the class {class:?}"))),
        }
    }

    fn input(&mut self, name: &str, shape: &[Option<usize>], tokens: bool, fixed: bool) -> Result<Flow> {
        if !(1..=4).contains(&shape.len()) {
            return Err(Error::unsupported(format!("input {name}"), format!("the shape {shape:?}")));
        }
        let dims = shape.iter().enumerate().map(|(axis, size)| match (axis, size) {
            (0, _) => Dim::from("B"),
            (1, size) if (shape.len() > 2 || tokens) && (!fixed || size.is_none()) => Dim::from("T"),
            (_, Some(size)) => Dim::Fixed(*size),
            (_, None) => Dim::Named(String::new()),
        });
        let dtype = if tokens { Dtype::I64 } else { Dtype::F32 };
        let value = self.builder.input(name, dtype, dims.collect::<Vec<_>>());
        Ok(Flow::new(value, shape.len() > 2 || tokens))
    }

    fn say_sequence(&mut self, inputs: &[Flow], outputs: &[(String, Flow)]) {
        let Some(input) = inputs.first() else { return };
        let per_step = outputs.iter().find(|(_, flow)| flow.per_step).map(|(name, _)| name.as_str());
        let time = input.per_step.then_some(1);
        self.builder.sequence(&input.value, time, Some(0), per_step);
    }

    fn sequential(&mut self, json: &Json, config: &Json, layers: &[Layer<'_>]) -> Result<()> {
        let Some(first) = layers.iter().find(|layer| layer.class != "InputLayer") else {
            return Err(Error::malformed("the configuration", "it has no layers"));
        };
        let given = layers.first().and_then(|layer| {
            let keys = ["batch_shape", "batch_input_shape"];
            keys.iter()
                .find_map(|key| layer.config.some(key))
                .or_else(|| layer.json.get("build_config")?.some("input_shape"))
        });
        let given = given
            .or_else(|| json.get("build_config")?.some("input_shape"))
            .or_else(|| config.some("build_input_shape"));
        let tokens = first.class == "Embedding";
        let shape = match given.and_then(shape) {
            Some(shape) => shape,
            None if tokens => vec![None, None],
            None => vec![None, None, Some(self.width_of(first)?)],
        };
        let fixed = layers.iter().any(|layer| FIXED_LENGTH.contains(&layer.class));
        let input = self.input("x", &shape, tokens, fixed)?;
        let mut x = input.clone();
        for layer in layers {
            let mut outputs = self.one(layer, std::slice::from_ref(&x), &Call::default())?;
            if outputs.len() != 1 {
                return Err(layer.config().unsupported("several outputs within a Sequential model"));
            }
            x = outputs.swap_remove(0);
        }
        self.builder.output("y", &x.value);
        self.say_sequence(&[input], &[("y".into(), x)]);
        Ok(())
    }

    /// Features that the first layer reads, from its weights, where no shape is given.
    fn width_of(&self, layer: &Layer<'_>) -> Result<usize> {
        let datasets = self.weights.of(&layer.name, &snake_case(layer.class), layer.nth);
        let dims = datasets.first().and_then(|path| self.weights.dims(path));
        let width = match (layer.class, dims) {
            ("Bidirectional", Some(&[inputs, _])) => Some(inputs),
            (class, Some(&[inputs, _])) if is_recurrent(class) => Some(inputs),
            ("Conv1D", Some(&[_, inputs, _])) => Some(inputs),
            _ => None,
        };
        width.ok_or_else(|| layer.config().unsupported("a model whose input shape is not given"))
    }

    fn one(&mut self, layer: &Layer<'_>, inputs: &[Flow], call: &Call) -> Result<Vec<Flow>> {
        if matches!(layer.class, "Sequential" | "Functional" | "Model") {
            return Err(layer.config().unsupported("a model within a model"));
        }
        let datasets = self.weights.of(&layer.name, &snake_case(layer.class), layer.nth);
        self.apply(layer.class, layer.config(), &datasets, inputs, call)
    }

    fn functional(&mut self, config: &Json, layers: &[Layer<'_>]) -> Result<()> {
        let fixed = layers.iter().any(|layer| FIXED_LENGTH.contains(&layer.class));
        let references = |key: &str| {
            let list = config.get(key).and_then(Json::list).unwrap_or_default();
            // One alone is not wrapped in a list.
            let list =
                if list.first().is_some_and(|first| first.text().is_some()) { vec![Json::List(list)] } else { list };
            list.iter().map(reference).collect::<Result<Vec<_>>>()
        };
        let (inputs, outputs) = (references("input_layers")?, references("output_layers")?);
        if inputs.is_empty() || outputs.is_empty() {
            return Err(Error::malformed("the configuration", "it has no input_layers or output_layers"));
        }
        let calls = layers.iter().map(|layer| Invocation::of(layer)).collect::<Result<Vec<_>>>()?;
        let mut flows: HashMap<&str, Vec<Flow>> = HashMap::new();
        let mut sequences = Vec::new();
        for input in &inputs {
            let layer = layers.iter().find(|layer| layer.name == input.layer && layer.class == "InputLayer");
            let layer = layer.ok_or_else(|| {
                Error::malformed(format!("input {}", input.layer), "there is no InputLayer of this name")
            })?;
            let shape =
                ["batch_shape", "batch_input_shape"].iter().find_map(|key| layer.config.some(key)).and_then(shape);
            let shape =
                shape.ok_or_else(|| Error::malformed(format!("layer {}", layer.name), "it has no batch_shape"))?;
            let tokens = layers
                .iter()
                .zip(&calls)
                .any(|(of, call)| of.class == "Embedding" && call.as_ref().is_some_and(|call| call.reads(&layer.name)));
            let name = if inputs.len() == 1 { "x" } else { &layer.name };
            let flow = self.input(name, &shape, tokens, fixed)?;
            sequences.push(flow.clone());
            if flows.insert(&layer.name, vec![flow]).is_some() {
                return Err(Error::malformed(format!("layer {}", layer.name), "its name occurs twice"));
            }
        }
        // Each round builds the layers whose inputs are there.
        let mut open: Vec<usize> =
            (0..layers.len()).filter(|at| !flows.contains_key(layers[*at].name.as_str())).collect();
        while !open.is_empty() {
            let before = open.len();
            let mut left = Vec::new();
            for at in open {
                let (layer, Some(call)) = (&layers[at], &calls[at]) else {
                    return Err(Error::malformed(format!("layer {}", layers[at].name), "it is called by nothing"));
                };
                let made = match call.resolve(&flows) {
                    None => {
                        left.push(at);
                        continue;
                    }
                    Some(Resolved::Layer(inputs, _)) if ops::is_operation(layer.class) => {
                        let operands: Vec<Operand> = inputs.into_iter().map(Operand::Flow).collect();
                        vec![ops::apply(self, layer.class, layer.config(), &operands)?]
                    }
                    Some(Resolved::Layer(inputs, call)) => self.one(layer, &inputs, &call)?,
                    Some(Resolved::Operation(operands)) => {
                        let is_layer = layer
                            .json
                            .get("module")
                            .and_then(Json::text)
                            .is_some_and(|module| module == "keras.layers");
                        let flows: Vec<Flow> = operands.iter().filter_map(Operand::flow).cloned().collect();
                        if is_layer || (flows.len() == operands.len() && is_recurrent(layer.class)) {
                            self.one(layer, &flows, &Call::default())?
                        } else {
                            vec![ops::apply(self, layer.class, layer.config(), &operands)?]
                        }
                    }
                };
                if flows.insert(&layer.name, made).is_some() {
                    return Err(Error::malformed(format!("layer {}", layer.name), "its name occurs twice"));
                }
            }
            if left.len() == before {
                let name = &layers[left[0]].name;
                return Err(Error::malformed(
                    format!("layer {name}"),
                    "its inputs are never made: they are missing or depend on it",
                ));
            }
            open = left;
        }
        let mut made = Vec::new();
        for output in &outputs {
            let flow = flows.get(output.layer.as_str()).and_then(|flows| flows.get(output.tensor));
            let flow = flow.ok_or_else(|| Error::malformed(format!("output {}", output.layer), "no layer makes it"))?;
            let name = if outputs.len() == 1 { "y".to_owned() } else { output.layer.clone() };
            self.builder.output(&name, &flow.value);
            made.push((name, flow.clone()));
        }
        self.say_sequence(&sequences, &made);
        Ok(())
    }
}

/// An output of a layer.
#[derive(Debug, Clone)]
struct Reference {
    layer: String,
    tensor: usize,
}

/// `["name", 0, 0]`, with more behind it in Keras 2.
fn reference(json: &Json) -> Result<Reference> {
    let wrong = || Error::malformed("the configuration", "an inbound node that cannot be read");
    let list = json.list().ok_or_else(wrong)?;
    let [layer, node, tensor, ..] = list.as_slice() else { return Err(wrong()) };
    let (Some(layer), Some(node), Some(tensor)) = (layer.text(), node.size(), tensor.size()) else {
        return Err(wrong());
    };
    if node != 0 {
        return Err(Error::unsupported(format!("layer {layer}"), "a layer that is applied more than once"));
    }
    Ok(Reference { layer: layer.to_owned(), tensor })
}

/// An argument of a call.
#[derive(Debug, Clone)]
enum Argument {
    One(Reference),
    Several(Vec<Reference>),
    Other(Json),
}

impl Argument {
    fn of(json: &Json) -> Result<Argument> {
        let history = |json: &Json| {
            let tensor = json.get("class_name").and_then(Json::text) == Some("__keras_tensor__");
            json.get("config").and_then(|config| config.get("keras_history")).filter(|_| tensor).cloned()
        };
        if let Some(history) = history(json) {
            return reference(&history).map(Argument::One);
        }
        match json {
            Json::List(list) if !list.is_empty() && list.iter().all(|json| history(json).is_some()) => list
                .iter()
                .filter_map(history)
                .map(|history| reference(&history))
                .collect::<Result<_>>()
                .map(Argument::Several),
            other => Ok(Argument::Other(other.clone())),
        }
    }

    fn references(&self) -> &[Reference] {
        match self {
            Argument::One(reference) => std::slice::from_ref(reference),
            Argument::Several(references) => references,
            Argument::Other(_) => &[],
        }
    }
}

/// How a layer is called.
struct Invocation {
    arguments: Vec<Argument>,
    mask: Option<Reference>,
    initial_state: Vec<Reference>,
}

enum Resolved {
    Layer(Vec<Flow>, Call),
    Operation(Vec<Operand>),
}

impl Invocation {
    /// `None` for an input.
    fn of(layer: &Layer<'_>) -> Result<Option<Invocation>> {
        let nodes = layer.json.get("inbound_nodes").and_then(Json::list).unwrap_or_default();
        let node = match nodes.as_slice() {
            [] => return Ok(None),
            [node] => node,
            _ => return Err(layer.config().unsupported("a layer that is applied more than once")),
        };
        let mut call = Invocation { arguments: Vec::new(), mask: None, initial_state: Vec::new() };
        let mut keywords: Vec<(String, Argument)> = Vec::new();
        if let Some(arguments) = node.get("args").and_then(Json::list) {
            call.arguments = arguments.iter().map(Argument::of).collect::<Result<_>>()?;
            for (key, value) in node.get("kwargs").and_then(Json::entries).unwrap_or_default() {
                keywords.push((key.clone(), Argument::of(value)?));
            }
        } else {
            // Keras 1 and 2: a list of references, each with keywords behind it.
            let list = node.list().ok_or_else(|| layer.config().unsupported("this kind of inbound node"))?;
            let references = list.iter().map(reference).collect::<Result<Vec<_>>>()?;
            for parts in list.iter().filter_map(Json::list) {
                for (key, value) in parts.get(3).and_then(Json::entries).unwrap_or_default() {
                    keywords.push((key.clone(), Argument::Other(value.clone())));
                }
            }
            call.arguments = vec![Argument::Several(references)];
        }
        for (key, value) in keywords {
            match (key.as_str(), value) {
                ("training", _) | (_, Argument::Other(Json::Null)) => {}
                ("mask", Argument::One(mask)) => call.mask = Some(mask),
                ("initial_state", argument @ (Argument::One(_) | Argument::Several(_))) => {
                    call.initial_state = argument.references().to_vec();
                }
                (key, _) => return Err(layer.config().unsupported(format!("the argument {key} of its call"))),
            }
        }
        Ok(Some(call))
    }

    fn reads(&self, name: &str) -> bool {
        self.arguments.iter().flat_map(Argument::references).any(|reference| reference.layer == name)
    }

    /// The values of the call, once all are there.
    fn resolve(&self, flows: &HashMap<&str, Vec<Flow>>) -> Option<Resolved> {
        let get = |reference: &Reference| flows.get(reference.layer.as_str())?.get(reference.tensor).cloned();
        let all = |references: &[Reference]| references.iter().map(get).collect::<Option<Vec<_>>>();
        let mask = match &self.mask {
            Some(mask) => Some(get(mask)?),
            None => None,
        };
        let call = Call { mask, initial_state: all(&self.initial_state)? };
        match self.arguments.as_slice() {
            [argument @ (Argument::One(_) | Argument::Several(_))] => {
                Some(Resolved::Layer(all(argument.references())?, call))
            }
            arguments => {
                let mut operands = Vec::new();
                for argument in arguments {
                    match argument {
                        Argument::Other(json) => operands.push(Operand::Json(json.clone())),
                        references => operands.extend(all(references.references())?.into_iter().map(Operand::Flow)),
                    }
                }
                Some(Resolved::Operation(operands))
            }
        }
    }
}
