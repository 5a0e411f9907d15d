//! Which modules a state dict belongs to, seen from the names and dimensions of its tensors.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::graph::Cell;
use crate::read::tensors::Tensors;

/// Far above what networks with recurrent layers have; their order is sought by trying.
const MOST_MODULES: usize = 1000;

/// Of one recurrent module: 200 layers of two directions.
const MOST_PARTS: usize = 2000;

/// A module of `torch.nn`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Module {
    /// Its path, `decoder` of `decoder.weight`; empty where a recurrent module alone was saved.
    pub(crate) path: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// `nn.RNN`, `nn.GRU`, `nn.LSTM` and their cells.
    Recurrent(Stack),
    /// A matrix without a bias: an embedding `[V, E]` or a linear layer `[O, I]`.
    Matrix {
        rows: usize,
        columns: usize,
    },
    /// `weight` `[O, I]` and `bias`.
    Linear {
        outputs: usize,
        inputs: usize,
    },
    /// A convolution over time, whose stride, padding and dilation the file does not tell.
    Conv,
    BatchNorm {
        width: usize,
        affine: bool,
    },
    LayerNorm {
        width: usize,
    },
}

/// Layers of one recurrent module.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stack {
    pub(crate) cell: Cell,
    pub(crate) layers: usize,
    pub(crate) bidirectional: bool,
    pub(crate) inputs: usize,
    pub(crate) hidden: usize,
    /// Width of a direction's output: `hidden`, or that of a projection.
    pub(crate) outputs: usize,
    pub(crate) biases: bool,
    pub(crate) projection: bool,
    /// A cell: its tensors have no `_l0`.
    pub(crate) single: bool,
}

impl Stack {
    /// Width of the module's output.
    pub(crate) fn width(&self) -> usize {
        self.outputs * if self.bidirectional { 2 } else { 1 }
    }
}

impl Module {
    /// The path, or the kind of a module without one.
    pub(crate) fn name(&self) -> &str {
        if self.path.is_empty() { self.kind.word() } else { &self.path }
    }
}

impl Kind {
    /// Its name in `torch.nn`.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Kind::Recurrent(stack) => match stack.cell {
                Cell::Rnn => "rnn",
                Cell::Gru { .. } => "gru",
                Cell::Lstm { .. } => "lstm",
            },
            Kind::Matrix { .. } => "matrix",
            Kind::Linear { .. } => "linear",
            Kind::Conv => "conv1d",
            Kind::BatchNorm { .. } => "batchnorm1d",
            Kind::LayerNorm { .. } => "layernorm",
        }
    }
}

/// `path.name` in its two parts.
pub(crate) fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

/// Names without what wrappers put before them: `module.` of DataParallel, `_orig_mod.` of `torch.compile`.
pub(crate) fn unwrapped(name: &str) -> String {
    name.split('.').filter(|part| *part != "module" && *part != "_orig_mod").collect::<Vec<_>>().join(".")
}

/// All modules, in the order of the file.
///
/// # Errors
/// Tensors that belong to no module that is known.
pub(crate) fn find(tensors: &Tensors) -> Result<Vec<Module>> {
    let mut modules: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut places = HashMap::new();
    for name in tensors.names() {
        let (path, part) = split(name);
        let at = *places.entry(path).or_insert_with(|| {
            modules.push((path, Vec::new()));
            modules.len() - 1
        });
        modules[at].1.push(part);
    }
    if modules.len() > MOST_MODULES {
        let (size, most) = (format!("{} modules", modules.len()), format!("{MOST_MODULES} modules"));
        return Err(Error::TooLarge { part: "the state dict".into(), size, most });
    }
    modules.iter().map(|(path, parts)| module(tensors, path, parts)).collect()
}

fn module(tensors: &Tensors, path: &str, parts: &[&str]) -> Result<Module> {
    let full = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let dims = |name: &str| tensors.dims(&full(name));
    let has = |name: &str| parts.contains(&name);
    let unknown = |part: &str, reason: &str| {
        Err(Error::Unsupported {
            part: format!("tensor {}", full(part)),
            what: format!("{reason}; a description of the layers can be given with --map, without which it"),
        })
    };
    if parts.iter().any(|part| part.starts_with("weight_ih")) {
        return stack(tensors, path, parts).map(|stack| Module { path: path.into(), kind: Kind::Recurrent(stack) });
    }
    if let Some(part) = parts.iter().find(|part| matches!(**part, "weight_g" | "weight_v" | "original0" | "original1"))
    {
        return unknown(part, "weight normalization (remove it with torch.nn.utils.remove_weight_norm)");
    }
    let known = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"];
    if let Some(part) = parts.iter().find(|part| !known.contains(part)) {
        return unknown(part, "a parameter of no known module");
    }
    let kind = if has("running_mean") {
        match (dims("running_mean"), dims("running_var"), has("weight") == has("bias")) {
            (Some(&[width]), Some(&[of]), true) if width == of => Kind::BatchNorm { width, affine: has("weight") },
            _ => return unknown("running_mean", "a batch normalization of these dimensions"),
        }
    } else {
        match (dims("weight"), dims("bias")) {
            (Some(&[rows, columns]), None) => Kind::Matrix { rows, columns },
            (Some(&[outputs, inputs]), Some(&[of])) if outputs == of => Kind::Linear { outputs, inputs },
            (Some(&[_, _, _]), _) => Kind::Conv,
            (Some(&[width]), Some(&[of])) if width == of => Kind::LayerNorm { width },
            _ => return unknown(parts.first().copied().unwrap_or("weight"), "a module of these dimensions"),
        }
    };
    Ok(Module { path: path.into(), kind })
}

fn stack(tensors: &Tensors, path: &str, parts: &[&str]) -> Result<Stack> {
    let full = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let module = if path.is_empty() { "the state dict".to_owned() } else { format!("module {path}") };
    if parts.len() > MOST_PARTS {
        let (size, most) = (format!("{} tensors", parts.len()), format!("{MOST_PARTS} tensors"));
        return Err(Error::TooLarge { part: module, size, most });
    }
    let single = parts.contains(&"weight_ih");
    let layer = |at: usize| if single { String::new() } else { format!("_l{at}") };
    let dims = |name: &str| {
        tensors
            .dims(&full(name))
            .ok_or_else(|| Error::Missing { part: format!("tensor {}", full(name)), needed_by: module.clone() })
    };
    let (w, r) = (format!("weight_ih{}", layer(0)), format!("weight_hh{}", layer(0)));
    let matrix = |name: &str| match dims(name)? {
        &[rows, columns] if rows > 0 && columns > 0 => Ok((rows, columns)),
        other => Err(Error::malformed(format!("tensor {}", full(name)), format!("{other:?} is not a matrix"))),
    };
    let ((rows, inputs), (_, outputs)) = (matrix(&w)?, matrix(&r)?);
    let projected = format!("weight_hr{}", layer(0));
    let projection = parts.contains(&projected.as_str());
    let hidden = if projection { matrix(&projected)?.1 } else { outputs };
    let cell = match rows.checked_div(hidden).filter(|_| rows % hidden == 0) {
        Some(4) => Cell::Lstm { input_forget: false },
        Some(3) => Cell::Gru { linear_before_reset: true },
        Some(1) => Cell::Rnn,
        _ => {
            let reason = format!("its {rows} rows are not 1, 3 or 4 times the {hidden} hidden units");
            return Err(Error::malformed(format!("tensor {}", full(&w)), reason));
        }
    };
    let layers = (0..).take_while(|at| parts.contains(&format!("weight_ih{}", layer(*at)).as_str())).take(if single {
        1
    } else {
        usize::MAX
    });
    let layers = layers.count();
    let bidirectional = parts.contains(&"weight_ih_l0_reverse");
    let biases = parts.iter().any(|part| part.starts_with("bias_"));
    // Every tensor of the module is one of these, or an error: a layer left out would go unseen.
    let mut expected = Vec::new();
    for at in 0..layers {
        for direction in if bidirectional { &["", "_reverse"][..] } else { &[""] } {
            let kinds: &[&str] = match (biases, projection) {
                (false, false) => &["weight_ih", "weight_hh"],
                (true, false) => &["weight_ih", "weight_hh", "bias_ih", "bias_hh"],
                (false, true) => &["weight_ih", "weight_hh", "weight_hr"],
                (true, true) => &["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"],
            };
            expected.extend(kinds.iter().map(|kind| format!("{kind}{}{direction}", layer(at))));
        }
    }
    if let Some(missing) = expected.iter().find(|name| !parts.contains(&name.as_str())) {
        if parts.iter().any(|part| part.strip_suffix("_g") == Some(missing)) {
            let what = "weight normalization (remove it with torch.nn.utils.remove_weight_norm)";
            return Err(Error::unsupported(format!("tensor {}", full(missing)), what));
        }
        return Err(Error::Missing {
            part: format!("tensor {}", full(missing)),
            needed_by: format!("the {layers} layers of {module}"),
        });
    }
    if let Some(extra) = parts.iter().find(|part| !expected.iter().any(|name| name == *part)) {
        let reason = format!("it belongs to none of the {layers} layers of {module}");
        return Err(Error::malformed(format!("tensor {}", full(extra)), reason));
    }
    Ok(Stack { cell, layers, bidirectional, inputs, hidden, outputs, biases, projection, single })
}
