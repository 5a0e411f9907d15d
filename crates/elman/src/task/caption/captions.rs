//! The features and captions that settings name: rows of a matrix, or images and an encoder.

use std::path::Path;
use std::sync::Arc;

use crate::data::Matrix;
use crate::data::captions::{Captions, Example, Subject};
use crate::data::encoder::{Encoder, cache};
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::task::Callback;

/// What settings name.
pub(super) struct Read<const N: usize> {
    /// A row for each source.
    pub(super) features: Matrix,
    pub(super) parts: [Vec<Example>; N],
    /// How the features of images were obtained.
    pub(super) note: Option<String>,
}

/// Reads the features and captions that settings name. `choose` picks examples by their splits, `open` opens the encoder;
/// `callback` hears how many images have their features. Runs on the current thread pool.
///
/// # Errors
/// Settings that contradict each other; any reader error; as [`cache::encode`].
pub(super) fn read<const N: usize>(
    settings: &Settings,
    choose: impl FnOnce(Captions) -> Result<[Vec<Example>; N]>,
    open: impl FnOnce(&Path) -> Result<Arc<Encoder>>,
    callback: &mut Callback,
) -> Result<Read<N>> {
    let Settings { features, captions, images, encoder, encoder_output, .. } = settings;
    let usage = |message: &str| Err(Error::Usage(message.into()));
    if captions.is_empty() || (features.is_empty() && images.is_empty()) {
        return usage(
            "give `captions`, a table of row, split and caption, with `features`, a matrix with a row per image; or \
             `captions`, which names images, with `images`, their folder, and `encoder`, an .onnx file",
        );
    }
    let captions = Path::new(captions);
    if !features.is_empty() {
        if [images, encoder, encoder_output].iter().any(|word| !word.is_empty()) {
            return usage(
                "`features` are ready features; leave out `images`, `encoder` and `encoder_output`, or these",
            );
        }
        let features = Matrix::read(Path::new(features))?;
        let parts = choose(Captions::read(captions, Subject::Row(features.rows()))?)?;
        return Ok(Read { features, parts, note: None });
    }
    if encoder.is_empty() {
        return Err(Error::setting("images", images, "needs `encoder`, the .onnx file that makes features of images"));
    }
    let mut captions = Captions::read(captions, Subject::Image)?;
    let names = std::mem::take(&mut captions.images);
    let mut parts = choose(captions)?;
    let encoder = open(Path::new(encoder))?;
    // Only the images that are used have features.
    let (mut rows, mut used) = (vec![None; names.len()], Vec::new());
    for example in parts.iter_mut().flatten() {
        let image = example.source;
        example.source = *rows[image].get_or_insert_with(|| {
            used.push(names[image].clone());
            used.len() - 1
        });
    }
    let cache::Encoded { features, note } = cache::encode(Path::new(images), &used, &encoder, callback)?;
    Ok(Read { features, parts, note: Some(note) })
}
