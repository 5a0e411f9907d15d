//! `elman page` and `elman show`: the offline page, as it is or with a model inside.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use elman::file::{self, atomic};
use elman::task::{self, Reads};
use elman::{Error, Result};
use serde_json::{Value, json};

use super::models::load;
use crate::args::{Page, Show};
use crate::exit_code::{Failure, Outcome};
use crate::page::{page, page_with};

/// Bytes of a text beside a model: the page shows a million letters.
const LONGEST: usize = 4 << 20;

pub(crate) fn run(args: &Page) -> Outcome {
    written(&args.out, &page(), args.open)
}

pub(crate) fn show(args: &Show) -> Outcome {
    let loaded = load(&args.model)?;
    let task = task::of_model(&loaded)?;
    let model = task::open_loaded(&loaded)?;
    let refused = |reason: &str| Failure::from(Error::Usage(format!("{}: {reason}", loaded.path.display())));
    if model.reads() == Reads::Files {
        return Err(refused("it reads files, which a page cannot; the page shows models of texts, tables and streams"));
    }
    if has_subwords(loaded.document.config()) {
        return Err(refused("it reads subwords, which the page cannot; train with --units word, or --level word"));
    }
    let text = args.data.as_deref().map_or(Ok(String::new()), read)?;
    let bytes = std::fs::read(&loaded.path).map_err(|source| Error::Io {
        path: loaded.path.clone(),
        action: "read",
        source,
    })?;
    let name = name(&loaded.path);
    let about = json!({"name": name, "task": task.name, "text": text, "labels": model.labels()});
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.html")));
    let page = page_with(&bytes, &about).map_err(|source| Failure::write(&out, source))?;
    written(&out, &page, args.open)
}

/// A text as the page takes it.
fn read(path: &Path) -> Result<String> {
    let bytes = file::read(path)?;
    if bytes.len() > LONGEST {
        let reason = format!("{} bytes; the page takes a text of {LONGEST} bytes", bytes.len());
        return Err(Error::Data { path: path.into(), reason });
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A name for the page: of the run's folder, where the file has the name that all runs give.
fn name(path: &Path) -> String {
    let of = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let stem = of(path.file_stem()).unwrap_or_default();
    let folder = path.canonicalize().ok().and_then(|path| of(path.parent()?.file_name()));
    folder.filter(|_| ["best", "last"].contains(&stem.as_str())).unwrap_or(stem)
}

/// Whether a tokenizer within has merges: byte-pair encoding, which is not built into the page.
fn has_subwords(config: &Value) -> bool {
    match config {
        Value::Object(map) => map.iter().any(|(key, value)| {
            key == "merges" && value.as_array().is_some_and(|merges| !merges.is_empty()) || has_subwords(value)
        }),
        Value::Array(values) => values.iter().any(has_subwords),
        _ => false,
    }
}

fn written(out: &Path, page: &str, open: bool) -> Outcome {
    atomic::write(out, page.as_bytes())?;
    eprintln!("{}", out.display());
    if open && let Err(reason) = opened(out) {
        eprintln!("no browser could be started ({reason}): open the file yourself");
    }
    Ok(0)
}

/// Hands a file to the desktop's browser.
fn opened(page: &Path) -> std::io::Result<()> {
    let (program, before): (&str, &[&str]) = match std::env::consts::OS {
        "macos" => ("open", &[]),
        "windows" => ("cmd", &["/C", "start", ""]),
        _ => ("xdg-open", &[]),
    };
    let mut command = Command::new(program);
    command.args(before).arg(page.canonicalize()?).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(drop)
}
