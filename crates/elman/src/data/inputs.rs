//! Images and rows of tables as numbers.

use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::dataset::{Dataset, Raw, RawInput};
use super::features::Features;
use super::{At, Pixels, Vary, builtin};
use crate::error::{Error, Result};
use crate::file::fault;
use crate::rng::Rng;

/// How an input becomes numbers; it is saved with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reader {
    /// An image.
    Pixels(Pixels),
    /// A row of a table.
    Features(Features),
}

impl Reader {
    /// `I`, the numbers of an input.
    pub(crate) fn width(&self) -> usize {
        match self {
            Reader::Pixels(pixels) => pixels.len(),
            Reader::Features(features) => features.width(),
        }
    }

    /// An input that was read.
    ///
    /// # Errors
    /// An input that this does not fit.
    pub(crate) fn values(&self, row: &Raw) -> Result<Values> {
        let reason = match (&row.input, self) {
            (RawInput::Image(image), Reader::Pixels(pixels)) if image.pixels.len() == pixels.len() => {
                return Ok(Values::Pixels(image.pixels.clone()));
            }
            (RawInput::Row(rows, [number, _]), Reader::Features(features)) => {
                let mut numbers = Vec::with_capacity(features.width());
                features.row(rows.row(*number as usize), &row.file, &mut numbers)?;
                return Ok(Values::Numbers(numbers));
            }
            (_, Reader::Pixels(p)) => format!("the model reads images {} wide and {} high", p.width, p.height),
            (_, Reader::Features(_)) => "the model reads rows of a table".into(),
        };
        Err(fault(&row.file, format!("{}{reason}", row.at())))
    }
}

/// An image file, scaled to the size that the model reads.
///
/// # Errors
/// A file that is not an image.
#[cfg(feature = "media")]
pub(crate) fn image(path: &Path, pixels: &Pixels) -> Result<Vec<u8>> {
    let image = super::images::read(path, pixels.channels == 1)?;
    Ok(image.resize(pixels.width, pixels.height)?.pixels)
}

/// Without image readers.
#[cfg(not(feature = "media"))]
pub(crate) fn image(path: &Path, _: &Pixels) -> Result<Vec<u8>> {
    Err(fault(path, "this program was built without image readers (feature media)"))
}

/// An image in memory, which must have the size that the model reads.
///
/// # Errors
/// [`Error::Usage`] for another size.
pub(crate) fn bitmap([height, width, channels]: [usize; 3], values: &[u8], pixels: &Pixels) -> Result<Vec<u8>> {
    if ([height, width, channels], values.len()) == ([pixels.height, pixels.width, pixels.channels], pixels.len()) {
        return Ok(values.to_vec());
    }
    Err(Error::Usage(format!(
        "an image of {height} x {width} with {channels} channels in {} bytes; the model reads {} x {} with {}",
        values.len(),
        pixels.height,
        pixels.width,
        pixels.channels
    )))
}

/// Digits that the program draws; of a regression, with the number of dark pixels, which is known exactly.
pub(crate) fn builtin_data(seed: u64, is_regression: bool) -> Dataset {
    let path = PathBuf::from("the built-in examples");
    let file: Arc<Path> = path.as_path().into();
    let raw = |(i, (pixels, digit)): (usize, (Vec<u8>, u8))| {
        let dark = || pixels.iter().filter(|&&pixel| pixel > 127).count();
        let label = if is_regression { dark().to_string() } else { digit.to_string() };
        Raw::new(pixels, label, file.clone(), At::Item(i + 1))
    };
    let train = builtin::digits(seed).into_iter().enumerate().map(raw).collect();
    Dataset {
        train,
        dev: None,
        test: None,
        size: Some([builtin::DIGIT, builtin::DIGIT, 1]),
        table: None,
        is_sparse: false,
        path,
        notes: Vec::new(),
    }
}

/// An input, or the steps of a sequence, before it is varied.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    /// An image, or frames one after another `[T, height, width, channels]`.
    Pixels(Vec<u8>),
    /// Numbers as a network reads them `[T, I]`.
    Numbers(Vec<f32>),
}

impl Values {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Values::Pixels(pixels) => pixels.len(),
            Values::Numbers(numbers) => numbers.len(),
        }
    }

    /// The numbers; none of images.
    pub(crate) fn numbers(&self) -> &[f32] {
        if let Values::Numbers(numbers) = self { numbers } else { &[] }
    }

    /// Gives them to a hasher.
    pub(crate) fn hash(&self, hasher: &mut dyn Hasher) {
        match self {
            Values::Pixels(pixels) => hasher.write(pixels),
            Values::Numbers(numbers) => numbers.iter().for_each(|value| hasher.write(&value.to_le_bytes())),
        }
    }
}

impl Vary {
    /// An image as numbers, varied if there is a random stream.
    pub(crate) fn image(&self, pixels: &Pixels, image: &[u8], rng: Option<&mut Rng>, out: &mut [f32]) {
        match rng.filter(|_| !self.is_nothing()) {
            Some(rng) => pixels.numbers(image, Some((&self.draw(rng), rng)), out),
            None => pixels.numbers(image, None, out),
        }
    }

    /// Adds noise to numbers, if there is a random stream.
    pub(crate) fn add_noise(&self, rng: Option<&mut Rng>, numbers: &mut [f32]) {
        if let Some(rng) = rng.filter(|_| self.noise > 0.0) {
            numbers.iter_mut().for_each(|x| *x += (self.noise * rng.normal()) as f32);
        }
    }
}
