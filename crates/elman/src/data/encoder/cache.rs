//! Features of many images by a pretrained encoder, cached in a file beside the images.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::{Encoder, EncoderId};
use crate::data::{Matrix, half, to_half};
use crate::error::{Error, Result};
use crate::file::{self, atomic};

/// Images in memory at a time, and between calls of a [`Callback`].
const AT_A_TIME: usize = 64;

/// Called with the images done and their total; returns whether to continue.
pub type Callback<'c> = dyn FnMut(usize, usize) -> bool + Send + 'c;

/// The features of images, and how they were obtained.
#[derive(Debug)]
pub struct Encoded {
    /// `[N, C]` or `[N, P, C]`, in the order of the names.
    pub features: Matrix,
    /// What was computed, what came from the cache, and why a cache was replaced: one sentence.
    pub note: String,
}

/// A cached image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    name: String,
    bytes: u64,
    crc32: u32,
}

/// Metadata of a feature file.
#[derive(Serialize, Deserialize)]
struct Contents {
    encoder: EncoderId,
    #[serde(rename = "photographs")]
    images: Vec<Kept>,
    /// CRC-32 of the features' bytes.
    crc32: u32,
}

/// Metadata key of [`Contents`].
const CONTENTS: &str = "elman-features";

/// Cached features.
#[derive(Default)]
struct Cache {
    kept: Vec<Kept>,
    /// `[N, P, C]`, half precision.
    values: Vec<u16>,
}

/// The cache file of an encoder; the setting `features` reads it, too.
fn cache_path(folder: &Path, id: &EncoderId) -> PathBuf {
    let word: String = id.output.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    folder.join(format!("elman-features-{:08x}-{word}.safetensors", id.crc32))
}

impl Cache {
    /// Reads the cache; the reason if it is unusable.
    fn read(path: &Path, id: &EncoderId, row: usize) -> std::result::Result<Cache, &'static str> {
        let bytes = file::read(path).map_err(|_| "could not be read")?;
        let damaged = "was damaged";
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|_| damaged)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|_| damaged)?;
        let contents = header.metadata().as_ref().and_then(|words| words.get(CONTENTS)).ok_or(damaged)?;
        let Contents { encoder, images, crc32 } = serde_json::from_str(contents).map_err(|_| damaged)?;
        let view = tensors.tensor("features").map_err(|_| damaged)?;
        if crc32fast::hash(view.data()) != crc32 || view.dtype() != Dtype::F16 {
            return Err(damaged);
        }
        if !encoder.is_file_of(id) || encoder.output != id.output {
            return Err("came from another encoder");
        }
        let values: Vec<u16> = view.data().as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
        if images.len().checked_mul(row) != Some(values.len()) {
            return Err(damaged);
        }
        Ok(Cache { kept: images, values })
    }

    fn write(&self, path: &Path, id: &EncoderId, positions: usize, width: usize) -> Result<()> {
        let fault = |error: &dyn std::fmt::Display| file::fault(path, format!("cannot be written: {error}"));
        let data: Vec<u8> = self.values.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        let contents = Contents { encoder: id.clone(), images: self.kept.clone(), crc32: crc32fast::hash(&data) };
        let contents = serde_json::to_string(&contents).map_err(|error| fault(&error))?;
        let view = TensorView::new(Dtype::F16, dims(self.kept.len(), positions, width), &data);
        let view = view.map_err(|error| fault(&error))?;
        let metadata = HashMap::from([(CONTENTS.to_string(), contents)]);
        let bytes = safetensors::serialize([("features", view)], Some(metadata)).map_err(|error| fault(&error))?;
        atomic::write(path, &bytes)
    }
}

/// `[N, C]`, or of a map `[N, P, C]`.
fn dims(rows: usize, positions: usize, width: usize) -> Vec<usize> {
    if positions == 1 { vec![rows, width] } else { vec![rows, positions, width] }
}

/// The result of [`Cache::renew`].
#[derive(Default)]
struct Renewed {
    made: usize,
    /// Those among them whose cached content had changed.
    changed: usize,
}

impl Cache {
    /// Computes what is missing or changed, until `callback` stops it; returns what was computed even on failure.
    fn renew(
        &mut self,
        folder: &Path,
        names: &[String],
        encoder: &Encoder,
        callback: &mut Callback,
    ) -> (Renewed, Result<()>) {
        let (positions, width) = encoder.dims();
        let row = positions * width;
        let mut at = self.positions();
        let (mut renewed, mut looked_at) = (Renewed::default(), 0);
        for part in names.chunks(AT_A_TIME) {
            let look = |name: &String| -> Result<(Kept, Option<Vec<f32>>)> {
                let path = folder.join(name);
                if path.exists() && !path.is_file() {
                    return Err(file::fault(&path, "is not a regular file"));
                }
                let bytes = file::read(&path)?;
                let now = Kept { name: name.clone(), bytes: bytes.len() as u64, crc32: crc32fast::hash(&bytes) };
                let is_kept = at.get(name).is_some_and(|&i| self.kept[i] == now);
                let features = if is_kept { None } else { Some(encoder.features(&bytes, &path)?) };
                Ok((now, features))
            };
            let looked: Vec<Result<_>> = part.par_iter().map(look).collect();
            let mut fault = None;
            for one in looked {
                let (now, features) = match one {
                    Ok((now, Some(features))) => (now, features),
                    Ok((_, None)) => continue,
                    Err(error) => {
                        fault.get_or_insert(error);
                        continue;
                    }
                };
                renewed.made += 1;
                match at.get(&now.name) {
                    Some(&i) => {
                        renewed.changed += 1;
                        for (to, x) in self.values[i * row..(i + 1) * row].iter_mut().zip(features) {
                            *to = to_half(x);
                        }
                        self.kept[i] = now;
                    }
                    None => {
                        at.insert(now.name.clone(), self.kept.len());
                        self.values.extend(features.into_iter().map(to_half));
                        self.kept.push(now);
                    }
                }
            }
            if let Some(fault) = fault {
                return (renewed, Err(fault));
            }
            looked_at += part.len();
            if !callback(looked_at, names.len()) && looked_at < names.len() {
                let stopped = format!("stopped: {looked_at} of {} images have features", names.len());
                return (renewed, Err(Error::Stopped(stopped)));
            }
        }
        (renewed, Ok(()))
    }

    /// The index of each image.
    fn positions(&self) -> HashMap<String, usize> {
        self.kept.iter().enumerate().map(|(i, kept)| (kept.name.clone(), i)).collect()
    }
}

/// The features of the images `names` of a folder, `[N, C]` or, of a map, `[N, P, C]`. They are cached in the folder
/// and recomputed where an image or the encoder has changed; those computed before a failure or stop are kept. Runs on
/// the current thread pool.
///
/// # Errors
/// An image that is missing or damaged; a cache that cannot be written; [`Error::Stopped`] if `callback` stops it.
pub fn encode(folder: &Path, names: &[String], encoder: &Encoder, callback: &mut Callback) -> Result<Encoded> {
    let (positions, width) = encoder.dims();
    let row = positions * width;
    let path = cache_path(folder, encoder.id());
    let (mut cache, fault) = match path.exists() {
        false => (Cache::default(), None),
        true => match Cache::read(&path, encoder.id(), row) {
            Ok(cache) => (cache, None),
            Err(reason) => (Cache::default(), Some(reason)),
        },
    };
    let (Renewed { made, changed }, outcome) = cache.renew(folder, names, encoder, callback);
    if made > 0 {
        cache.write(&path, encoder.id(), positions, width)?;
    }
    outcome?;
    let at = cache.positions();
    let mut values = Vec::with_capacity(names.len() * row);
    for name in names {
        let i = at[name];
        values.extend(cache.values[i * row..(i + 1) * row].iter().map(|&bits| half(bits)));
    }
    let mut note = format!(
        "{} images: features of {made} computed by {}, of {} kept in {}",
        names.len(),
        encoder.id().file,
        names.len() - made,
        path.display()
    );
    if changed > 0 {
        note.push_str(&format!("; {changed} of them had changed"));
    }
    if let Some(reason) = fault {
        note.push_str(&format!("; that file {reason} and was replaced"));
    }
    Ok(Encoded { features: Matrix { dims: dims(names.len(), positions, width), values }, note })
}

#[cfg(all(test, feature = "encoder"))]
mod tests {
    use std::fs;

    use super::*;
    use crate::data::encoder::Wanted;

    fn encoder(output: &str) -> Encoder {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/encoder/tiny.onnx");
        Encoder::open(&path, Wanted::Named(output)).unwrap()
    }

    fn image(folder: &Path, name: &str, light: u8) {
        fs::write(folder.join(name), [b"P6 4 4 255\n", &[light; 48][..]].concat()).unwrap();
    }

    #[test]
    fn features_computed_before_a_stop_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut names: Vec<String> = (0..AT_A_TIME + 6).map(|i| format!("{i}.ppm")).collect();
        names.iter().for_each(|name| image(folder, name, 40));
        let vectors = encoder("pooled");
        let mut seen = Vec::new();
        let mut callback = |done, all| {
            seen.push((done, all));
            false
        };
        let stopped = encode(folder, &names, &vectors, &mut callback).unwrap_err();
        assert!(matches!(stopped, Error::Stopped(_)), "{stopped}");
        assert_eq!(seen, [(AT_A_TIME, AT_A_TIME + 6)]);

        fs::write(folder.join("damaged.ppm"), b"P6 4 4").unwrap();
        names.push("damaged.ppm".into());
        let fault = encode(folder, &names, &vectors, &mut |_, _| true).unwrap_err().to_string();
        assert!(fault.contains("damaged.ppm"), "{fault}");
        names.pop();
        // All features are cached: nothing is left to stop.
        let note = encode(folder, &names, &vectors, &mut |done, all| done < all).unwrap().note;
        assert!(note.contains(&format!("features of 0 computed by tiny.onnx, of {} kept", AT_A_TIME + 6)), "{note}");
    }

    #[cfg(unix)]
    #[test]
    fn a_table_of_captions_names_no_device() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["/dev/zero".to_string()];
        let fault = encode(folder.path(), &names, &encoder("pooled"), &mut |_, _| true).unwrap_err().to_string();
        assert!(fault.contains("/dev/zero") && fault.contains("is not a regular file"), "{fault}");
    }

    #[test]
    fn features_are_cached_and_recomputed_where_anything_changed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for (name, light) in [("a.ppm", 10), ("b.ppm", 200), ("c.ppm", 90)] {
            image(folder, name, light);
        }
        let names = ["a.ppm", "b.ppm"].map(String::from);
        let (vectors, maps) = (encoder("pooled"), encoder("map"));
        let first = encode(folder, &names, &vectors, &mut |_, _| true).unwrap();
        assert!(first.note.contains("features of 2 computed by tiny.onnx, of 0 kept"), "{}", first.note);
        assert_eq!(first.features.dims, [2, 4]);
        assert_eq!(encode(folder, &names, &maps, &mut |_, _| true).unwrap().features.dims, [2, 16, 4]);

        let again = encode(folder, &["b.ppm", "c.ppm", "a.ppm"].map(String::from), &vectors, &mut |_, _| true).unwrap();
        assert!(again.note.contains("of 1 computed by tiny.onnx, of 2 kept in"), "{}", again.note);
        assert_eq!((again.features.row(0), again.features.row(2)), (first.features.row(1), first.features.row(0)));

        image(folder, "a.ppm", 60);
        let changed = encode(folder, &names, &vectors, &mut |_, _| true).unwrap();
        assert!(changed.note.ends_with("; 1 of them had changed"), "{}", changed.note);
        assert_ne!(changed.features.row(0), first.features.row(0));
        assert_eq!(changed.features.row(1), first.features.row(1));

        let path = cache_path(folder, vectors.id());
        let whole = fs::read(&path).unwrap();
        assert_eq!(Matrix::read(&path).unwrap().rows(), 3, "what is kept is a matrix");
        for at in (0..whole.len()).step_by(11) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, bytes).unwrap();
            let found = encode(folder, &names, &vectors, &mut |_, _| true).unwrap();
            assert_eq!(found.features, changed.features, "{at}: {}", found.note);
        }
        for len in [0, 8, whole.len() - 1] {
            fs::write(&path, &whole[..len]).unwrap();
            let note = encode(folder, &names, &vectors, &mut |_, _| true).unwrap().note;
            assert!(note.contains("was damaged and was replaced"), "{len}: {note}");
        }
        let error = encode(folder, &["d.ppm".into()], &vectors, &mut |_, _| true).unwrap_err().to_string();
        assert!(error.contains("d.ppm"), "{error}");
    }
}
