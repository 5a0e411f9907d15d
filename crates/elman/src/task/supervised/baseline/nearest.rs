//! The nearest of some training examples.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::sample::Sample;

/// Training examples kept, at most.
const KEPT: usize = 512;
/// Standardised numbers lie within this; the bytes' range.
const LIMIT: f32 = 4.0;

/// Training examples whose targets those near them are given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nearest {
    /// Standardised inputs `[N, D]`, `127 / 4` to a standard deviation, as Base64.
    #[serde(serialize_with = "encode", deserialize_with = "decode")]
    inputs: Vec<i8>,
    /// `[N]`: classes, or numbers.
    truths: Vec<f32>,
}

impl Nearest {
    /// Keeps some of standardised examples, evenly spaced.
    pub(super) fn fit(sample: &Sample) -> Option<Nearest> {
        let (n, width) = (sample.truths.len(), sample.width);
        let kept: Vec<usize> = (0..n.min(KEPT)).map(|i| i * n / n.min(KEPT)).collect();
        let inputs = kept.iter().flat_map(|i| rounded(&sample.inputs[i * width..(i + 1) * width])).collect();
        let truths = kept.iter().map(|&i| sample.truths[i]).collect();
        (n > 0).then_some(Nearest { inputs, truths })
    }

    /// `N`.
    pub(super) fn len(&self) -> usize {
        self.truths.len()
    }

    /// Whether it is of inputs and classes of these numbers; of no classes, its targets are numbers.
    pub(super) fn fits(&self, width: usize, classes: usize) -> bool {
        let is_class = |x: &f32| classes == 0 || (x.fract() == 0.0 && (0.0..classes as f32).contains(x));
        (1..=KEPT).contains(&self.len())
            && self.inputs.len() == self.len() * width
            && self.truths.iter().all(|x| x.is_finite() && is_class(x))
    }

    /// The target of the example that is nearest to standardised inputs `[D]`, the first of equally near ones.
    pub(super) fn truth(&self, standardised: &[f32]) -> f32 {
        let x: Vec<i8> = rounded(standardised).collect();
        let distance = |row: &[i8]| -> i32 {
            let squares = row.iter().zip(&x).map(|(a, b)| (i32::from(*a) - i32::from(*b)).pow(2));
            squares.sum()
        };
        let rows = self.inputs.chunks_exact(x.len()).map(distance).zip(&self.truths);
        rows.min_by_key(|(distance, _)| *distance).map_or(0.0, |(_, truth)| *truth)
    }
}

/// Numbers as bytes; NaN is 0.
fn rounded(standardised: &[f32]) -> impl Iterator<Item = i8> {
    standardised.iter().map(|x| (x.clamp(-LIMIT, LIMIT) * (f32::from(i8::MAX) / LIMIT)).round() as i8)
}

/// Bytes as Base64.
fn encode<S: Serializer>(bytes: &[i8], serializer: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = bytes.iter().map(|x| x.cast_unsigned()).collect();
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<i8>, D::Error> {
    let bytes = STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
    Ok(bytes.into_iter().map(|x| x.cast_signed()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_example_gives_its_target_after_a_round_trip_too() {
        let (inputs, truths) = (vec![-1.0, -1.0, 1.0, 1.0, 3.0, -3.0], vec![0.0, 1.0, 2.0]);
        let nearest = Nearest::fit(&Sample { width: 2, inputs, truths }).unwrap();
        let read: Nearest = serde_json::from_str(&serde_json::to_string(&nearest).unwrap()).unwrap();
        assert_eq!(read, nearest);
        assert!(read.fits(2, 3) && !read.fits(3, 3) && !read.fits(2, 2));
        let found = [[-0.6, -0.9], [0.7, 1.2], [9.0, -9.0], [f32::NAN, 0.5]].map(|x| read.truth(&x));
        assert_eq!(found, [0.0, 1.0, 2.0, 1.0]);
    }

    #[test]
    fn of_many_examples_evenly_spaced_ones_are_kept() {
        let n = 3 * KEPT;
        let inputs = (0..n).map(|i| i as f32 / n as f32).collect();
        let nearest = Nearest::fit(&Sample { width: 1, inputs, truths: (0..n).map(|i| i as f32).collect() }).unwrap();
        assert_eq!((nearest.len(), nearest.truths[1], nearest.truths[KEPT - 1]), (KEPT, 3.0, (n - 3) as f32));
    }
}
