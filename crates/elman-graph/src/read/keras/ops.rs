//! Operations that stand between the layers of a Keras 3 model: arithmetic of values and numbers, masks, slices.

use crate::builder::Value;
use crate::error::{Error, Result};
use crate::graph::{Binary, Dim, Unary};
use crate::read::json::Json;
use crate::tensor::{Dtype, Tensor};

use super::flow::Flow;
use super::layer::{Call, Model};
use super::weights::Config;

/// What an operation reads: values of layers, and what stands beside them.
#[derive(Debug, Clone)]
pub(crate) enum Operand {
    Flow(Flow),
    Json(Json),
}

impl Operand {
    /// The value, if it is one of a layer.
    pub(crate) fn flow(&self) -> Option<&Flow> {
        match self {
            Operand::Flow(flow) => Some(flow),
            Operand::Json(_) => None,
        }
    }
}

/// Whether a class is an operation of one value, and no layer.
pub(crate) fn is_operation(class: &str) -> bool {
    matches!(class, "Any" | "Negative" | "Absolute" | "Abs" | "LogicalNot" | "Sqrt")
}

/// The result of an operation.
///
/// # Errors
/// An operation that is not known, by name.
pub(crate) fn apply(model: &mut Model<'_>, class: &str, config: Config<'_>, operands: &[Operand]) -> Result<Flow> {
    let first = operands.iter().find_map(Operand::flow);
    let first = first.ok_or_else(|| Error::malformed(format!("operation {}", config.layer), "it has no input"))?;
    let name = config.layer;
    if let Some(binary) = binary(class) {
        let [a, b] = operands else {
            return Err(config.unsupported(format!("{class} of {} values", operands.len())));
        };
        let (a, b) = (operand(model, config, a, first)?, operand(model, config, b, first)?);
        let value = match class {
            "NotEqual" => model.unequal(name, &a, &b)?,
            _ => model.builder.binary(name, &a, &b, binary)?,
        };
        let per_step = operands.iter().filter_map(Operand::flow).all(|flow| flow.per_step);
        return Ok(Flow::new(value, per_step));
    }
    let unary = match class {
        "Negative" => Some(Unary::Neg),
        "Absolute" | "Abs" => Some(Unary::Abs),
        "LogicalNot" => Some(Unary::Not),
        "Sqrt" => Some(Unary::Sqrt),
        _ => None,
    };
    if let Some(unary) = unary {
        let value = model.builder.unary(name, &first.value, unary);
        return Ok(first.with(value));
    }
    match (class, operands) {
        ("Any", [Operand::Flow(x)]) if x.rank() == 3 && config.number(&["axis"], 0.0)? == -1.0 => {
            let value = model.any(name, &x.value)?;
            Ok(Flow::new(value, x.per_step))
        }
        ("GetItem", [Operand::Flow(x), Operand::Json(index)]) => get_item(model, config, x, index),
        // A layer called with its inputs one by one.
        _ => {
            let flows: Option<Vec<Flow>> = operands.iter().map(|operand| operand.flow().cloned()).collect();
            match flows {
                Some(flows) if flows.len() > 1 => {
                    let mut made = model.apply(class, config, &[], &flows, &Call::default())?;
                    if made.is_empty() { Err(config.unsupported(class)) } else { Ok(made.swap_remove(0)) }
                }
                _ => Err(Error::unsupported(format!("operation {name}"), format!("the operation {class:?}"))),
            }
        }
    }
}

fn binary(class: &str) -> Option<Binary> {
    Some(match class {
        "Add" => Binary::Add,
        "Subtract" => Binary::Sub,
        "Multiply" => Binary::Mul,
        "Divide" | "TrueDivide" => Binary::Div,
        "Maximum" => Binary::Max,
        "Minimum" => Binary::Min,
        "Equal" | "NotEqual" => Binary::Equal,
        "Greater" => Binary::Greater,
        "Less" => Binary::Less,
        "LogicalOr" => Binary::Or,
        "LogicalAnd" => Binary::And,
        _ => return None,
    })
}

/// A value, or a number of the element type of `like`.
fn operand(model: &mut Model<'_>, config: Config<'_>, operand: &Operand, like: &Flow) -> Result<Value> {
    match operand {
        Operand::Flow(flow) => Ok(flow.value.clone()),
        Operand::Json(Json::Number(number)) => {
            let tensor = match like.value.dtype() {
                Dtype::F32 => Tensor::from_f32([], vec![*number as f32])?,
                dtype if dtype.is_int() && number.fract() == 0.0 => Tensor::from_i64([], vec![*number as i64])?,
                _ => return Err(config.unsupported("a number of another kind than the value beside it")),
            };
            Ok(model.builder.constant(&format!("{}.number", config.layer), tensor))
        }
        Operand::Json(json) => Err(config.unsupported(format!("{} as an operand", json.kind()))),
    }
}

/// `x[:, a:b]`, `x[:, -1]` and the like.
fn get_item(model: &mut Model<'_>, config: Config<'_>, x: &Flow, index: &Json) -> Result<Flow> {
    let list = index.list().unwrap_or_else(|| vec![index.clone()]);
    let (mut value, mut axis, mut per_step) = (x.value.clone(), 0usize, x.per_step);
    for item in &list {
        if let Some(at) = item.number().filter(|at| at.fract() == 0.0 && at.abs() < 1e9) {
            value = model.builder.take(config.layer, &value, axis as i64, at as i64)?;
            per_step &= axis > 1;
            continue;
        }
        let slice = item.get("config").filter(|_| item.get("class_name").and_then(Json::text) == Some("__slice__"));
        let slice = slice.ok_or_else(|| config.unsupported(format!("{} as an index", item.kind())))?;
        let bound = |key: &str| match slice.some(key) {
            None => Ok(None),
            Some(bound) => {
                let bound = bound.number().filter(|bound| bound.fract() == 0.0 && bound.abs() < 1e9);
                bound.map(|bound| Some(bound as i64)).ok_or_else(|| config.unsupported("this slice"))
            }
        };
        let (from, to, step) = (bound("start")?, bound("stop")?, bound("step")?.unwrap_or(1));
        if step <= 0 {
            return Err(config.unsupported("a slice with a step that is not positive"));
        }
        if (from, to, step) != (None, None, 1) {
            let mut dims = value.dims().to_vec();
            let dim = dims.get_mut(axis).ok_or_else(|| config.unsupported("more indices than axes"))?;
            *dim = match dim.fixed() {
                Some(size) => Dim::Fixed(length(size, from, to, step)),
                None => Dim::Named(String::new()),
            };
            let bounds = [from.unwrap_or(0), to.unwrap_or(i64::MAX), axis as i64, step];
            value = model.slice(config.layer, &value, bounds, dims)?;
            per_step &= axis > 1;
        }
        axis += 1;
    }
    Ok(Flow::new(value, per_step))
}

/// How many elements a slice of `size` has.
fn length(size: usize, from: Option<i64>, to: Option<i64>, step: i64) -> usize {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let place = |bound: i64| if bound < 0 { (bound + size).max(0) } else { bound.min(size) };
    let (from, to) = (place(from.unwrap_or(0)), place(to.unwrap_or(size)));
    usize::try_from((to - from).max(0)).unwrap_or(0).div_ceil(usize::try_from(step).unwrap_or(1))
}
