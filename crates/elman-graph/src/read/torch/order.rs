//! In which order the modules of a state dict are applied: the file does not say it.

use crate::error::{Error, Result};

use super::modules::{Kind, Module};

/// A step from input to output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Module(Module),
    /// A matrix without bias, read as an embedding.
    Embedding(Module),
    /// A function without parameters, or a pooling over time.
    Function(String),
}

/// Pooling over time, by the names that `--layers` knows.
pub(crate) const POOLINGS: [&str; 3] = ["last", "mean", "max"];

/// The order as the user gave it, modules and functions separated by commas.
///
/// # Errors
/// A name that is neither; a module named twice or left out.
pub(crate) fn given(modules: &[Module], list: &str) -> Result<Vec<Step>> {
    let wrong = |name: &str, reason: &str| Error::malformed(format!("--layers {name}"), reason.to_owned());
    let mut left: Vec<&Module> = modules.iter().collect();
    let mut steps = Vec::new();
    for name in list.split(',').map(str::trim) {
        if let Some(at) = left.iter().position(|module| module.name() == name) {
            let module = left.remove(at);
            // An embedding can only be first.
            let first = !steps.iter().any(|step| matches!(step, Step::Module(_) | Step::Embedding(_)));
            let reads_tokens = matches!(module.kind, Kind::Matrix { .. }) && first;
            steps.push(if reads_tokens { matrix(module, modules)? } else { Step::Module(module.clone()) });
        } else if POOLINGS.contains(&name)
            || matches!(name, "softmax" | "log_softmax")
            || crate::read::weights::activation(name).is_some()
        {
            steps.push(Step::Function(name.into()));
        } else {
            let names: Vec<&str> = modules.iter().map(Module::name).collect();
            return Err(wrong(name, &format!("neither a function nor one of the modules {}", names.join(", "))));
        }
    }
    match left.first() {
        Some(module) => Err(wrong(list, &format!("the module {} is left out", module.name()))),
        None => Ok(steps),
    }
}

/// A matrix at the beginning: by its name, since its widths do not tell what it reads.
fn matrix(module: &Module, modules: &[Module]) -> Result<Step> {
    if modules.len() > 1 && !looks_like_embedding(&module.path) {
        return Ok(Step::Module(module.clone()));
    }
    Ok(Step::Embedding(module.clone()))
}

/// Width that a step needs (`None`: tokens) and the width it makes.
fn widths(step: &Step) -> Option<(Option<usize>, usize)> {
    match step {
        Step::Embedding(Module { kind: Kind::Matrix { columns, .. }, .. }) => Some((None, *columns)),
        Step::Module(module) => match &module.kind {
            Kind::Recurrent(stack) => Some((Some(stack.inputs), stack.width())),
            Kind::Matrix { rows, columns } => Some((Some(*columns), *rows)),
            Kind::Linear { outputs, inputs } => Some((Some(*inputs), *outputs)),
            Kind::BatchNorm { width, .. } | Kind::LayerNorm { width } => Some((Some(*width), *width)),
            Kind::Conv => None,
        },
        Step::Embedding(_) | Step::Function(_) => None,
    }
}

fn looks_like_embedding(path: &str) -> bool {
    let path = path.to_lowercase();
    ["emb", "encoder", "wte", "lookup", "token", "lut", "i2e"].iter().any(|word| path.contains(word))
}

/// The order that follows from widths: that of the file if it is one, else the only one there is.
///
/// # Errors
/// More than one reading, with the option that decides.
pub(crate) fn found(modules: &[Module], file_has_order: bool) -> Result<Vec<Step>> {
    let names: Vec<&str> = modules.iter().map(Module::name).collect();
    let ask = |part: &str, reason: String, example: String| Error::Ambiguous {
        part: format!("module {part}"),
        reason,
        option: format!("--layers, such as --layers {example} (or a description of the layers with --map)"),
    };
    if let Some(module) = modules.iter().find(|module| module.kind == Kind::Conv) {
        return Err(Error::Ambiguous {
            part: format!("module {}", module.name()),
            reason: "the file does not tell stride, padding and dilation of a convolution".into(),
            option: "--map and a description of the layers".into(),
        });
    }
    // Several networks in one file, or queries, keys and values: not one layer after the other.
    let lower: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let recurrent = |word: &str| {
        modules.iter().any(|m| {
            matches!(m.kind, Kind::Recurrent(_)) && m.path.to_lowercase().split('.').any(|part| part.contains(word))
        })
    };
    let apart = ["attn", "attention", "query", "key", "value", "gate", "skip", "residual", "shortcut"];
    if let Some(at) = lower.iter().position(|name| name.split(['.', '_']).any(|part| apart.contains(&part))) {
        return Err(ask(names[at], "its name says that it does not simply follow another".into(), names.join(",")));
    }
    if recurrent("enc") && recurrent("dec") {
        return Err(ask(names[0], "an encoder and a decoder are two networks".into(), names.join(",")));
    }

    let candidates = if file_has_order { in_file_order(modules) } else { Vec::new() };
    let candidates = if candidates.is_empty() { orders(modules) } else { candidates };
    let order = match candidates.as_slice() {
        [order] => order.clone(),
        [] => return Err(ask(names[0], "no order of the modules fits their widths".into(), names.join(","))),
        [first, second, ..] => {
            let list = |order: &[Step]| order.iter().map(word).collect::<Vec<_>>().join(",");
            let reason = format!("the orders {} and {} both fit", list(first), list(second));
            return Err(ask(names[0], reason, list(first)));
        }
    };
    // What stands between two layers is not in the file: after a recurrent layer or an embedding it is usually nothing.
    for (at, step) in order.iter().enumerate() {
        let Step::Module(module) = step else { continue };
        let last = at + 1 == order.len();
        let linear = matches!(module.kind, Kind::Linear { .. } | Kind::Matrix { .. });
        if linear && !last {
            let mut example: Vec<&str> = order.iter().map(word).collect();
            example.insert(at + 1, "relu");
            let reason =
                format!("the file does not tell which function stands between it and {}", word(&order[at + 1]));
            return Err(ask(module.name(), reason, example.join(",")));
        }
        if let Kind::BatchNorm { width, .. } | Kind::LayerNorm { width } = module.kind {
            // Wherever the values have its width it may stand.
            let others =
                order.iter().filter_map(widths).filter(|(needs, makes)| *needs != Some(width) || *makes != width);
            let start = widths(&order[0]).and_then(|(needs, _)| needs);
            let places =
                others.map(|(_, makes)| Some(makes)).chain([start]).filter(|makes| *makes == Some(width)).count();
            let equal = order.iter().filter(|step| is_square(step, width)).count();
            if places + equal > 1 {
                let example: Vec<&str> = order.iter().map(word).collect();
                return Err(ask(module.name(), "it fits at several places".into(), example.join(",")));
            }
        }
    }
    Ok(order)
}

/// A layer other than a normalization that leaves the width as it is.
fn is_square(step: &Step, width: usize) -> bool {
    let norm = matches!(step, Step::Module(Module { kind: Kind::BatchNorm { .. } | Kind::LayerNorm { .. }, .. }));
    !norm && widths(step) == Some((Some(width), width))
}

fn word(step: &Step) -> &str {
    match step {
        Step::Module(module) | Step::Embedding(module) => module.name(),
        Step::Function(name) => name,
    }
}

/// Both readings of a module as the next step after `width` (`None` at the beginning).
fn readings(module: &Module, width: Option<usize>) -> Vec<Step> {
    let mut readings = Vec::new();
    if width.is_none() && matches!(module.kind, Kind::Matrix { .. }) {
        readings.push(Step::Embedding(module.clone()));
    }
    let step = Step::Module(module.clone());
    if let Some((needs, _)) = widths(&step)
        && (width.is_none() || width == needs)
    {
        readings.push(step);
    }
    readings
}

fn in_file_order(modules: &[Module]) -> Vec<Vec<Step>> {
    let mut chains: Vec<(Vec<Step>, Option<usize>)> = vec![(Vec::new(), None)];
    for module in modules {
        let mut next = Vec::new();
        for (chain, width) in chains {
            for step in readings(module, width) {
                let makes = widths(&step).map(|(_, makes)| makes);
                next.push(([chain.as_slice(), &[step]].concat(), makes));
            }
        }
        chains = next;
    }
    by_name(chains.into_iter().map(|(chain, _)| chain).collect())
}

/// Where a matrix at the beginning may be an embedding or a linear layer, its name decides.
fn by_name(chains: Vec<Vec<Step>>) -> Vec<Vec<Step>> {
    if chains.len() < 2 {
        return chains;
    }
    let fits = |chain: &Vec<Step>| match chain.first() {
        Some(Step::Embedding(module)) => looks_like_embedding(&module.path),
        Some(Step::Module(Module { kind: Kind::Matrix { .. }, path })) => !looks_like_embedding(path),
        _ => true,
    };
    let named: Vec<Vec<Step>> = chains.iter().filter(|chain| fits(chain)).cloned().collect();
    if named.is_empty() { chains } else { named }
}

/// All orders that widths allow, those aside in which a linear layer feeds a recurrent one although none needs to.
fn orders(modules: &[Module]) -> Vec<Vec<Step>> {
    // Eight factorial orders are looked at in no time.
    if modules.len() > 8 {
        return Vec::new();
    }
    fn extend(left: &[Module], chain: &mut Vec<Step>, width: Option<usize>, found: &mut Vec<Vec<Step>>) {
        if left.is_empty() {
            found.push(chain.clone());
            return;
        }
        for at in 0..left.len() {
            for step in readings(&left[at], width) {
                let rest: Vec<Module> = [&left[..at], &left[at + 1..]].concat();
                let makes = widths(&step).map(|(_, makes)| makes);
                chain.push(step);
                extend(&rest, chain, makes, found);
                chain.pop();
            }
        }
    }
    let mut found = Vec::new();
    extend(modules, &mut Vec::new(), None, &mut found);
    let ends_linear = |chain: &Vec<Step>| {
        let linear =
            |step: &Step| matches!(step, Step::Module(Module { kind: Kind::Linear { .. } | Kind::Matrix { .. }, .. }));
        chain.iter().rev().skip_while(|step| linear(step)).all(|step| !linear(step))
    };
    let usual: Vec<Vec<Step>> = found.iter().filter(|chain| ends_linear(chain)).cloned().collect();
    by_name(if usual.is_empty() { found } else { usual })
}
