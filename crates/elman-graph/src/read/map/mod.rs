//! Descriptions of layers for files that have numbers and no network: `--map FILE`.
//!
//! A map is a TOML file: where the tensors are, what the input is, and the layers one after the other, each with the names
//! of its tensors and the layout they have. docs/models.md has the whole list of keys and worked examples. Whatever a layer
//! needs to know and the map does not say is asked for; tensors that no layer uses must be listed under `ignore`.

mod fields;
mod frames;
mod layers;
mod network;
mod recurrent;
mod source;

use std::path::Path;

use toml::Table;

use crate::builder::{Builder, Value};
use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, Node, Op};
use crate::source::{Options, Source};
use crate::tensor::Dtype;

use self::fields::Fields;
use self::network::Network;
use super::json::Json;

/// Largest map that is read.
const MOST_BYTES: u64 = 1 << 20;

/// The network that the map `path` describes, with the tensors of `source`.
///
/// # Errors
/// Keys that are not known; tensors that are absent, of other dimensions than a layer needs, or of no use.
pub(super) fn read(source: &Source<'_>, path: &Path, _: &Options) -> Result<Graph> {
    let io = |source| Error::Io { action: "read", source }.at(path);
    if std::fs::metadata(path).map_err(io)?.len() > MOST_BYTES {
        return Err(
            Error::TooLarge { part: "the map".into(), size: "more than 1 MiB".into(), most: "1 MiB".into() }.at(path)
        );
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        Error::malformed("the map", error.to_string().trim().replace('\n', " ")).at(path)
    })?;
    network(source, &table)
}

fn network(source: &Source<'_>, table: &Table) -> Result<Graph> {
    let top = Fields::new("the top", table);
    let name = top.text("name")?.unwrap_or("map");
    let layout = top.word("layout", &["torch", "keras", "tensorflow"])?;
    let layout = layout.ok_or_else(|| top.wrong("layout is missing: torch, keras or tensorflow"))?;
    let (tensors, json) = source::tensors(source, top.text("manifest")?, top.text("key")?)?;
    let input = top.table("input")?.ok_or_else(|| top.wrong("the table input is missing"))?;
    let time_first = input.word("axes", &["batch-time", "time-batch"])? == Some("time-batch");
    let axes: Vec<Dim> = if time_first { vec!["T".into(), "B".into()] } else { vec!["B".into(), "T".into()] };
    let mut builder = Builder::new(&format!("map {name}"));
    let value = match (input.flag("tokens")?, input.size("width")?) {
        (true, None) => builder.input("tokens", Dtype::I64, axes),
        (false, Some(width)) if width > 0 => builder.input("x", Dtype::F32, [axes, vec![width.into()]].concat()),
        _ => return Err(input.wrong("either tokens = true or width = N is needed")),
    };
    input.finish(&[])?;
    let (time, batch) = if time_first { (0, 1) } else { (1, 0) };
    let mut network = Network {
        builder,
        tensors,
        layout,
        values: vec![("input", value.clone())],
        last: value.clone(),
        time,
        batch,
        carried: Vec::new(),
    };

    let list = table.get("layer").and_then(|layers| layers.as_array()).map(Vec::as_slice).unwrap_or_default();
    for (at, layer) in list.iter().enumerate() {
        let table = layer.as_table().ok_or_else(|| top.wrong("layer is not a list of tables"))?;
        let named = table.get("name").and_then(|name| name.as_str());
        let fields = Fields::new(named.map_or(format!("layer {at}"), |name| format!("layer {name}")), table);
        let kind = fields.needed("kind")?;
        let name = fields.text("name")?.unwrap_or(kind);
        let made = network.layer(name, kind, &fields)?;
        fields.finish(&[])?;
        network.last = made.clone();
        if let Some(named) = named {
            if network.values.iter().any(|(name, _)| *name == named) {
                return Err(fields.wrong("another layer has its name"));
            }
            network.values.push((named, made));
        }
    }
    for pattern in top.texts("ignore")?.unwrap_or_default() {
        network.ignore(pattern, &top)?;
    }
    let outputs = top.texts("output")?;
    let Network { mut builder, tensors, values, last, carried, .. } = network;
    let mut per_step = None;
    let mut outputs_named = Vec::new();
    match outputs {
        None => outputs_named.push(("y", last)),
        Some(names) => {
            for name in names {
                let found = values.iter().find(|(of, _)| *of == name);
                let (name, value) = found.ok_or_else(|| top.wrong(format!("no layer is called {name:?}")))?;
                outputs_named.push((*name, value.clone()));
            }
        }
    }
    for (name, value) in &outputs_named {
        builder.output(name, value);
        let steps = |value: &Value| value.dims().get(time) == Some(&Dim::from("T"));
        per_step = per_step.or(steps(value).then_some(*name));
    }
    for (port, value, state) in carried {
        let graph = builder.graph_mut();
        let (inputs, outputs) = (vec![value.name().to_owned()], vec![port.name.clone()]);
        graph.nodes.push(Node { name: port.name.clone(), op: Op::Identity, inputs, outputs });
        graph.outputs.push(port);
        graph.states.push(state);
    }
    builder.sequence(&value, Some(time), Some(batch), per_step);
    tensors.report(&mut builder, "use it in a layer, or list it under ignore")?;
    let about = &mut builder.graph_mut().about;
    if let Some(file) = top.text("vocabulary")? {
        about.vocabulary = Some(vocabulary(source, file, json.as_ref())?);
    }
    about.padding = top.size("padding")?.and_then(|token| u32::try_from(token).ok());
    about.unknown = top.size("unknown")?.and_then(|token| u32::try_from(token).ok());
    about.labels = top.texts("labels")?.map(|labels| labels.into_iter().map(String::from).collect());
    top.finish(&["layer"])?;
    builder.finish()
}

/// `#key` is within the JSON itself; anything else is a file beside the tensors.
fn vocabulary(source: &Source<'_>, file: &str, json: Option<&Json>) -> Result<Vec<String>> {
    if let Some(key) = file.strip_prefix('#') {
        let found = json.and_then(|json| json.get(key));
        return source::vocabulary(
            found.ok_or_else(|| Error::malformed(format!("vocabulary {file}"), "the file has no such key"))?,
        );
    }
    let name = source::plain(file)?;
    let folder = if source.path.is_dir() { source.path } else { source.path.parent().unwrap_or(Path::new(".")) };
    let path = folder.join(name);
    let io = |source| Error::Io { action: "read", source }.at(&path);
    if std::fs::metadata(&path).map_err(io)?.len() > 16 << 20 {
        return Err(Error::TooLarge { part: file.into(), size: "more than 16 MiB".into(), most: "16 MiB".into() });
    }
    source::vocabulary(&Json::parse(name, &std::fs::read(&path).map_err(io)?)?)
}
