//! The network, run by the `tract` library.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tract_onnx::pb::{ModelProto, tensor_shape_proto::dimension, type_proto};
use tract_onnx::prelude::*;

use super::{CATCHING, EncoderId, Wanted, Window};
use crate::data::images::{self, Image, Interpolation};
use crate::data::{half, to_half};
use crate::error::Result;
use crate::file::{self, fault};

/// Largest side of a network's input.
const MAX_SIDE: usize = 4096;
/// Maximum number of feature values per image.
const MAX_FEATURES: usize = 1 << 24;
/// ONNX's code of the type f32.
const FLOAT: i32 = 1;
/// Defaults: mean and standard deviation of ImageNet's pixels.
const IMAGENET: ([f32; 3], [f32; 3]) = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]);

type Network = SimplePlan<TypedFact, Box<dyn TypedOp>, TypedModel>;

/// A pretrained feature extractor for images.
#[derive(Debug)]
pub struct Encoder {
    network: Network,
    id: EncoderId,
    preparation: Preparation,
    features: Features,
}

/// Preprocessing of an image.
#[derive(Debug, PartialEq)]
struct Preparation {
    height: usize,
    width: usize,
    mean: [f32; 3],
    std: [f32; 3],
    is_bgr: bool,
    /// Share of the shorter side.
    crop: Option<f64>,
    interpolation: Interpolation,
}

/// The kind of an output.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Features {
    /// `[1, C]`.
    Vector { width: usize },
    /// `[1, C, h, w]`.
    Map { width: usize, rows: usize, columns: usize },
    /// `[1, P, C]`.
    Positions { positions: usize, width: usize },
}

impl Features {
    fn of(dims: &[usize]) -> Option<Features> {
        let found = match *dims {
            [1, width] => Features::Vector { width },
            [1, positions, width] => Features::Positions { positions, width },
            [1, width, rows, columns] => Features::Map { width, rows, columns },
            _ => return None,
        };
        let len = dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
        len.is_some_and(|len| (1..=MAX_FEATURES).contains(&len)).then_some(found)
    }

    /// `P`, `C`.
    fn dims(self) -> (usize, usize) {
        match self {
            Features::Vector { width } => (1, width),
            Features::Map { width, rows, columns } => (rows * columns, width),
            Features::Positions { positions, width } => (positions, width),
        }
    }
}

/// What `f` returns; `None` if it panics: some damaged files make the library panic rather than fail.
fn caught<T>(f: impl FnOnce() -> T) -> Option<T> {
    CATCHING.set(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(false);
    result.ok()
}

impl Encoder {
    /// Reads a network.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data): a file that cannot be read, is not an ONNX file, needs another input, holds
    /// invalid metadata, or lacks the requested output.
    pub fn open(path: &Path, wanted: Wanted) -> Result<Encoder> {
        let bytes = file::read(path)?;
        let id = EncoderId::of(path, &bytes);
        let opened = caught(|| open(&bytes, wanted, id));
        let opened = opened.unwrap_or_else(|| Err("the network in it contradicts itself; is it damaged?".into()));
        opened.map_err(|reason| fault(path, reason))
    }

    /// The encoder's identity.
    pub fn id(&self) -> &EncoderId {
        &self.id
    }

    /// `P` and `C`: positions of an image (1 for a vector) and values of each.
    pub fn dims(&self) -> (usize, usize) {
        self.features.dims()
    }

    /// Rows and columns of the positions, if they form a grid.
    pub fn grid(&self) -> Option<(usize, usize)> {
        match self.features {
            Features::Map { rows, columns, .. } => Some((rows, columns)),
            _ => None,
        }
    }

    /// The part of an image of this size that is used.
    pub fn window(&self, width: usize, height: usize) -> Window {
        match self.preparation.crop {
            None => Window { x: 0, y: 0, width, height },
            Some(share) => {
                let side = ((width.min(height) as f64 * share).round() as usize).max(1);
                Window { x: (width - side) / 2, y: (height - side) / 2, width: side, height: side }
            }
        }
    }

    /// Features `[P, C]` of an image from its file's bytes, rounded to half precision; `path` is named in messages.
    ///
    /// # Errors
    /// A damaged image; a network that fails or gives values outside half precision.
    pub fn features(&self, image: &[u8], path: &Path) -> Result<Vec<f32>> {
        let image = images::decode(image, path, false)?;
        let window = self.window(image.width, image.height);
        let Preparation { height, width, interpolation, .. } = self.preparation;
        let input = self.preparation.numbers(&image.cut(window).resize_by(width, height, interpolation)?);
        let failed = |reason: String| fault(path, format!("{} cannot encode it: {reason}", self.id.file));
        let input = Tensor::from_shape(&[1, 3, height, width], &input).map_err(|error| failed(error.to_string()))?;
        let run = caught(|| self.network.run(tvec!(input.into())));
        let outputs =
            run.ok_or_else(|| failed("the network failed".into()))?.map_err(|error| failed(one_line(&error)))?;
        let values = outputs[0].as_slice::<f32>().map_err(|error| failed(one_line(&error)))?;
        let (positions, channels) = self.dims();
        if values.len() != positions * channels {
            return Err(failed(format!("it gives {} values, not {positions} x {channels}", values.len())));
        }
        // Cached features and those of a single image are the same numbers.
        let round = |x: f32| half(to_half(x));
        let features: Vec<f32> = match self.features {
            Features::Map { .. } => {
                (0..positions * channels).map(|i| round(values[i % channels * positions + i / channels])).collect()
            }
            _ => values.iter().map(|&x| round(x)).collect(),
        };
        match features.iter().all(|x| x.is_finite()) && values.iter().all(|x| x.is_finite()) {
            true => Ok(features),
            false => Err(failed("its features exceed half precision".into())),
        }
    }
}

fn one_line(error: &TractError) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn open(bytes: &[u8], wanted: Wanted, mut id: EncoderId) -> std::result::Result<Encoder, String> {
    let library = tract_onnx::onnx();
    let no_onnx = || "is not an ONNX file, or is damaged".to_string();
    let proto = library.proto_model_for_read(&mut &bytes[..]).map_err(|_| no_onnx())?;
    let preparation = Preparation::of(&proto)?;
    let names: Vec<String> =
        proto.graph.iter().flat_map(|graph| graph.output.iter().map(|output| output.name.clone())).collect();
    let failed = |error: TractError| format!("its network cannot be run: {}", one_line(&error));
    let Preparation { height, width, .. } = preparation;
    let fact = InferenceFact::dt_shape(f32::datum_type(), [1, 3, height, width]);
    let mut model = library
        .model_for_proto_model(&proto)
        .and_then(|model| model.with_input_fact(0, fact))
        .and_then(InferenceModelExt::into_typed)
        .map_err(failed)?;
    let outlets = model.output_outlets().map_err(failed)?.to_vec();
    let mut found = Vec::new();
    for i in 0..outlets.len().min(names.len()) {
        let fact = model.output_fact(i).map_err(failed)?;
        let dims = fact.shape.as_concrete().filter(|_| fact.datum_type == f32::datum_type());
        found.push((i, names[i].as_str(), dims.and_then(Features::of)));
    }
    let chosen = found.iter().find_map(|&(i, name, features)| {
        let features = features?;
        let is_wanted = match wanted {
            Wanted::Named(wanted) => wanted.is_empty() || wanted == name,
            Wanted::Fits { positions, width } => features.dims() == (positions, width),
        };
        is_wanted.then_some((i, features))
    });
    let Some((i, features)) = chosen else {
        let described = |&(_, name, features): &(usize, &str, Option<Features>)| match features.map(Features::dims) {
            Some((1, width)) => format!("{name}, a vector of {width} values"),
            Some((positions, width)) => format!("{name}, {positions} positions of {width} values"),
            None => format!("{name}, which is not f32 [1, C], [1, C, h, w] or [1, P, C]"),
        };
        let outputs = found.iter().map(described).collect::<Vec<_>>().join("; ");
        let what = match wanted {
            Wanted::Named("") => "features".to_string(),
            Wanted::Named(name) => format!("features named {name}"),
            Wanted::Fits { positions, width } => {
                format!("features of {positions} x {width} values, as the model reads")
            }
        };
        return Err(format!("has no output with {what}; it has {outputs}"));
    };
    id.output = names[i].clone();
    model.set_output_outlets(&outlets[i..=i]).map_err(failed)?;
    let network = model.into_optimized().and_then(SimplePlan::new).map_err(failed)?;
    Ok(Encoder { network, id, preparation, features })
}

impl Preparation {
    /// The preprocessing that the file describes.
    fn of(proto: &ModelProto) -> std::result::Result<Preparation, String> {
        let graph = proto.graph.as_ref().filter(|graph| !graph.node.is_empty());
        let graph = graph.ok_or("is not an ONNX file, or holds no network")?;
        let given = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
        let inputs: Vec<_> = graph.input.iter().filter(|input| !given(&input.name)).collect();
        let [input] = inputs[..] else {
            return Err(format!("its network has {} inputs; exactly one, an image, is needed", inputs.len()));
        };
        let kind = input.r#type.as_ref().and_then(|kind| kind.value.as_ref());
        let Some(type_proto::Value::TensorType(tensor)) = kind else {
            return Err(format!("its input {} is not a tensor", input.name));
        };
        let dims = tensor.shape.iter().flat_map(|shape| &shape.dim);
        let dims: Vec<Option<i64>> = dims
            .map(|dim| match &dim.value {
                Some(dimension::Value::DimValue(n)) => Some(*n),
                _ => None,
            })
            .collect();
        let shown = || {
            let dims: Vec<String> = dims.iter().map(|dim| dim.map_or("?".into(), |n| n.to_string())).collect();
            let kind = if tensor.elem_type == FLOAT { "f32" } else { "another type than f32" };
            format!("{kind} [{}]", dims.join(", "))
        };
        let is_image = |dims: &[Option<i64>]| match *dims {
            [batch, channels, ..] if dims.len() == 4 => batch.unwrap_or(1) == 1 && channels.unwrap_or(3) == 3,
            _ => false,
        };
        if tensor.elem_type != FLOAT || !is_image(&dims) {
            return Err(format!("its input {} is {}; f32 [1, 3, height, width] is needed", input.name, shown()));
        }
        let word = |key: &str| {
            let entry = proto.metadata_props.iter().find(|entry| entry.key == format!("image.{key}"));
            entry.map(|entry| entry.value.trim())
        };
        let wrong = |key: &str, value: &str, want: &str| format!("its metadata hold image.{key} = {value}; {want}");
        let numbers = |key: &str, absent: [f32; 3], is_right: fn(f32) -> bool| {
            let Some(value) = word(key) else { return Ok(absent) };
            let numbers: Option<Vec<f32>> = value.split_whitespace().map(|x| x.parse().ok()).collect();
            match numbers.unwrap_or_default()[..] {
                [x] if is_right(x) => Ok([x; 3]),
                [r, g, b] if is_right(r) && is_right(g) && is_right(b) => Ok([r, g, b]),
                _ => Err(wrong(key, value, "must be one or three numbers, standard deviations above 0")),
            }
        };
        let mean = numbers("mean", IMAGENET.0, f32::is_finite)?;
        let std = numbers("std", IMAGENET.1, |x| x.is_finite() && x > 0.0)?;
        let size = match word("size").map(|size| size.split_whitespace().map(str::parse).collect()) {
            None => [224, 224],
            Some(Ok::<Vec<usize>, _>(sides)) if sides.len() == 2 => [sides[0], sides[1]],
            Some(_) => return Err(wrong("size", word("size").unwrap_or_default(), "must be rows and columns")),
        };
        let side = |dim: Option<i64>, absent: usize| dim.map_or(absent, |n| usize::try_from(n).unwrap_or(0));
        let (height, width) = (side(dims[2], size[0]), side(dims[3], size[1]));
        if !(1..=MAX_SIDE).contains(&height) || !(1..=MAX_SIDE).contains(&width) {
            return Err(format!("its input is {height} x {width} pixels; sides must be from 1 to {MAX_SIDE}"));
        }
        let is_bgr = match word("channels") {
            None | Some("RGB") => false,
            Some("BGR") => true,
            Some(other) => return Err(wrong("channels", other, "must be RGB or BGR")),
        };
        let crop = match word("crop") {
            None | Some("none") => None,
            Some(value) => match value.parse::<f64>() {
                Ok(share) if share > 0.0 && share <= 1.0 => Some(share),
                _ => return Err(wrong("crop", value, "must be none or a share of the shorter side")),
            },
        };
        let interpolation = match word("interpolation") {
            None | Some("bilinear") => Interpolation::Bilinear,
            Some("bicubic") => Interpolation::Bicubic,
            Some(other) => return Err(wrong("interpolation", other, "must be bilinear or bicubic")),
        };
        Ok(Preparation { height, width, mean, std, is_bgr, crop, interpolation })
    }

    /// `[3, height, width]` of an image of that size.
    fn numbers(&self, image: &Image) -> Vec<f32> {
        let plane = |channel: usize| {
            let source = if self.is_bgr { 2 - channel } else { channel };
            let (mean, std) = (self.mean[channel], self.std[channel]);
            image.pixels.iter().skip(source).step_by(3).map(move |&x| (f32::from(x) - mean) / std)
        };
        (0..3).flat_map(plane).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::PathBuf;

    use super::*;
    use crate::data::Matrix;
    use crate::file::{real_data, write};

    fn reference(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference").join(name)
    }

    fn tiny(wanted: Wanted) -> Encoder {
        Encoder::open(&reference("encoder/tiny.onnx"), wanted).unwrap()
    }

    /// The image of the recording, as a file.
    fn image() -> Vec<u8> {
        let pixel = |i: usize| [31 * (i % 8) % 256, 29 * (i / 8) % 256, 17 * (i % 8 + i / 8) % 256].map(|x| x as u8);
        let mut bytes = b"P6 8 8 255\n".to_vec();
        bytes.extend((0..64).flat_map(pixel));
        bytes
    }

    fn proto() -> ModelProto {
        let bytes = std::fs::read(reference("encoder/tiny.onnx")).unwrap();
        tract_onnx::onnx().proto_model_for_read(&mut &bytes[..]).unwrap()
    }

    #[test]
    fn a_vector_and_a_map_are_those_of_the_reference() {
        let recorded: serde_json::Value =
            serde_json::from_slice(&std::fs::read(reference("encoder.json")).unwrap()).unwrap();
        let vector: Vec<f64> = serde_json::from_value(recorded["pooled"].clone()).unwrap();
        let map: Vec<Vec<f64>> = serde_json::from_value(recorded["map"].clone()).unwrap();
        let near = |found: &[f32], right: &[f64]| {
            found.len() == right.len()
                && found.iter().zip(right).all(|(&a, b)| (f64::from(a) - b).abs() < 1e-5 + 6e-4 * b.abs())
        };
        let path = Path::new("p.ppm");
        let encoder = tiny(Wanted::Named(""));
        assert_eq!((encoder.id().output.as_str(), encoder.dims(), encoder.grid()), ("pooled", (1, 4), None));
        let found = encoder.features(&image(), path).unwrap();
        assert!(near(&found, &vector), "{found:?}, not {vector:?}");
        for wanted in [Wanted::Named("map"), Wanted::Fits { positions: 16, width: 4 }] {
            let encoder = tiny(wanted);
            assert_eq!((encoder.dims(), encoder.grid()), ((16, 4), Some((4, 4))));
            let found = encoder.features(&image(), path).unwrap();
            assert!(near(&found, &map.concat()), "{found:?}, not {map:?}");
        }
    }

    #[test]
    fn files_that_are_not_encoders_say_what_they_are() {
        let message = |name: &str, wanted| Encoder::open(&reference(name), wanted).unwrap_err().to_string();
        let any = Wanted::Named("");
        assert!(message("encoder.json", any).contains("not an ONNX file"), "{}", message("encoder.json", any));
        let error = message("encoder/bytes.onnx", any);
        assert!(error.contains("another type than f32 [?, 3, 8, 8]; f32 [1, 3, height, width] is needed"), "{error}");
        let error = message("encoder/flat.onnx", any);
        assert!(error.contains("its input image is f32 [?, 192]"), "{error}");
        let error = message("encoder/tiny.onnx", Wanted::Named("top"));
        assert!(
            error.contains("features named top; it has pooled, a vector of 4 values; map, 16 positions"),
            "{error}"
        );
        let error = message("encoder/other.onnx", Wanted::Fits { positions: 1, width: 4 });
        assert!(error.contains("1 x 4 values, as the model reads; it has pooled, a vector of 5"), "{error}");
        let error = tiny(any).features(&image()[..100], Path::new("cut.ppm")).unwrap_err().to_string();
        assert!(error.starts_with("cut.ppm: the image"), "{error}");
    }

    #[test]
    fn a_damaged_network_is_an_error_and_no_panic() {
        let whole = std::fs::read(reference("encoder/tiny.onnx")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let opened = |bytes: &[u8]| {
            let encoder = Encoder::open(&write(folder.path(), "d.onnx", bytes), Wanted::Named(""));
            encoder.and_then(|encoder| encoder.features(&image(), Path::new("p.ppm"))).is_ok()
        };
        assert!(opened(&whole));
        for cut in (0..whole.len()).step_by(7) {
            assert!(!opened(&whole[..cut]), "{cut}");
        }
        for at in (0..whole.len()).step_by(3) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x41;
            // A changed weight is still valid; opening must only not panic.
            opened(&bytes);
        }
    }

    #[test]
    fn metadata_describe_the_preprocessing() {
        let of = |entries: &[(&str, &str)]| {
            let mut proto = proto();
            proto.metadata_props.retain(|entry| entries.iter().all(|(key, _)| entry.key != format!("image.{key}")));
            for (key, value) in entries {
                let (key, value) = (format!("image.{key}"), value.to_string());
                proto.metadata_props.push(tract_onnx::pb::StringStringEntryProto { key, value });
            }
            Preparation::of(&proto)
        };
        let told = of(&[("mean", "1"), ("channels", "BGR"), ("crop", "0.5"), ("interpolation", "bicubic")]).unwrap();
        assert_eq!((told.mean, told.std), ([1.0; 3], [50.0, 60.0, 70.0]));
        assert!(told.is_bgr && told.crop == Some(0.5) && told.interpolation == Interpolation::Bicubic);
        let image = Image { width: 1, height: 1, channels: 3, pixels: vec![101, 61, 1] };
        assert_eq!(told.numbers(&image), [0.0, 1.0, 100.0 / 70.0]);
        let mut encoder = tiny(Wanted::Named(""));
        assert_eq!(encoder.window(40, 20), Window { x: 0, y: 0, width: 40, height: 20 });
        encoder.preparation = told;
        assert_eq!(encoder.window(40, 20), Window { x: 15, y: 5, width: 10, height: 10 });
        let mut plain = proto();
        plain.metadata_props.clear();
        let assumed = Preparation::of(&plain).unwrap();
        assert_eq!((assumed.mean, assumed.std, assumed.crop), (IMAGENET.0, IMAGENET.1, None));
        for (key, value) in [("mean", "1 2"), ("std", "0"), ("size", "8"), ("channels", "CMYK"), ("crop", "2")] {
            let error = of(&[(key, value)]).unwrap_err();
            assert!(error.contains(&format!("image.{key} = {value}; ")), "{error}");
        }
    }

    #[test]
    fn lite0_gives_the_stored_features_of_the_parity_images() {
        let Some(folder) = real_data("flickr8k") else { return };
        let Some(path) = std::env::var_os("ELMAN_ENCODER") else {
            return eprintln!("SKIPPED: set ELMAN_ENCODER to the lite0.onnx that scripts/lite0_onnx.py writes");
        };
        let encoder = Encoder::open(Path::new(&path), Wanted::Named("pooled")).unwrap();
        let stored = Matrix::read(&folder.join("features_lite0_f16.npy")).unwrap();
        let rows = std::fs::read_to_string(folder.join("images224_parity.tsv")).unwrap();
        let row_of = |name: &str| -> usize {
            rows.lines().find_map(|line| line.strip_suffix(name)).unwrap().trim().parse().unwrap()
        };
        let archive = std::fs::File::open(folder.join("images224_parity.tar")).unwrap();
        let (mut least, mut sum, mut n) = (f64::INFINITY, 0.0, 0);
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let (mut entry, mut bytes) = (entry.unwrap(), Vec::new());
            entry.read_to_end(&mut bytes).unwrap();
            let name = entry.path().unwrap().into_owned();
            let (a, b) = (encoder.features(&bytes, &name).unwrap(), stored.row(row_of(name.to_str().unwrap())));
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            let cosine = dot(&a, b) / (dot(&a, &a) * dot(b, b)).sqrt();
            // The stored features are of pixels decoded by libjpeg, on which this network's cosine similarity is at least
            // 0.99997; the rest is the JPEG decoder's rounding, to which the network is sensitive.
            assert!(cosine > 0.999, "{}: {cosine}", name.display());
            (least, sum, n) = (least.min(cosine), sum + cosine, n + 1);
        }
        let mean = sum / f64::from(n);
        assert!(n == 63 && mean > 0.9995, "{n}: {mean}");
        eprintln!("cosines: least {least:.6}, mean {mean:.6}");
    }
}
