//! `elman export`: a network for another program.

use std::path::Path;

use elman_graph::write::Torch;
use elman_graph::{Graph, StepOptions, onnx, write};

use super::graphs::open;
use crate::args::{Export, Target};
use crate::exit_code::Outcome;

pub(crate) fn run(args: &Export) -> Outcome {
    let graph = open(&args.model, &args.foreign)?;
    if args.stateful && args.to != Target::Onnx {
        let message = "--stateful: only of ONNX; the other forms carry their states anyway".to_string();
        return Err(elman::Error::Usage(message).into());
    }
    let written = written(&graph, args).map_err(|error| error.at(&args.model))?;
    elman::file::atomic::write(&args.out, &written.bytes)?;
    if let Some(module) = written.module {
        elman::file::atomic::write(&args.out.with_extension("py"), module.as_bytes())?;
    }
    Ok(0)
}

/// A file, and the Python module that loads it.
struct Written {
    bytes: Vec<u8>,
    module: Option<String>,
}

fn written(graph: &Graph, args: &Export) -> elman_graph::Result<Written> {
    let options = StepOptions::default();
    let bytes = match args.to {
        Target::Onnx if args.stateful => onnx::write(&write::stateful(graph, &options)?)?,
        Target::Onnx => onnx::write(graph)?,
        Target::Pt | Target::Safetensors => {
            let Torch { tensors, module } = write::torch(graph)?;
            let bytes = match args.to {
                Target::Pt => write::torch_file(&tensors)?,
                _ => write::safetensors(&tensors)?,
            };
            return Ok(Written { bytes, module: Some(module) });
        }
        Target::Keras => write::keras(graph)?,
        Target::C => write::c(graph, &identifier(&args.out), &options)?.into_bytes(),
        Target::Nam => write::nam(graph)?.into_bytes(),
        Target::Rtneural => write::rtneural(graph)?.into_bytes(),
    };
    Ok(Written { bytes, module: None })
}

/// The file's name as one of C.
fn identifier(path: &Path) -> String {
    let stem = path.file_stem().map(|s| s.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() { format!("net_{name}") } else { name }
}
