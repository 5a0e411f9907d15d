//! Normalised images and their augmentation in training: shift, mirror, rotation, scale, brightness, noise.

use serde::{Deserialize, Serialize};

use super::deviation::above_zero;
use crate::rng::Rng;

/// Largest frame of a clip, in pixels: 4096 x 4096.
pub(super) const MAX_FRAME: usize = 1 << 24;

/// Pixel normalisation; saved with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pixels {
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// 1 (grey) or 3.
    pub channels: usize,
    /// Mean of the training pixels, 0 to 255.
    pub mean: f64,
    /// Their standard deviation.
    #[serde(rename = "deviation", deserialize_with = "above_zero")]
    pub std: f64,
    /// Whether each image's own mean is subtracted as well, against changes of lighting.
    pub centred: bool,
}

/// Strength of the augmentation; all zero for none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vary {
    /// Maximum shift in pixels.
    pub shift: usize,
    /// Whether half of the images are mirrored.
    pub mirror: bool,
    /// Maximum rotation in degrees and scaling in percent.
    pub distort: f64,
    /// Maximum relative change of contrast, and of brightness in standard deviations.
    pub gain: f64,
    /// Standard deviation of the noise added to each value.
    pub noise: f64,
}

/// One draw of the augmentation, shared by all frames of a clip.
#[derive(Clone, Copy, Debug)]
pub struct Variation {
    /// Shift in columns and rows.
    shift: [f64; 2],
    mirror: bool,
    /// Cosine and sine of the rotation, divided by the scale.
    turn: [f64; 2],
    gain: f32,
    offset: f32,
    noise: f32,
}

impl Vary {
    /// Whether nothing is augmented.
    pub fn is_nothing(&self) -> bool {
        *self == Vary::default()
    }

    /// Draws an augmentation.
    pub fn draw(&self, rng: &mut Rng) -> Variation {
        let range = (2 * self.shift + 1) as f64;
        let mut moved = || (rng.uniform() * range).floor() - self.shift as f64;
        let shift = [moved(), moved()];
        let mirror = self.mirror && rng.uniform() < 0.5;
        let angle = rng.range(-1.0, 1.0) * self.distort.to_radians();
        let size = 1.0 + rng.range(-0.01, 0.01) * self.distort;
        Variation {
            shift,
            mirror,
            turn: [angle.cos() / size, angle.sin() / size],
            gain: (1.0 + self.gain * rng.range(-1.0, 1.0)) as f32,
            offset: (self.gain * rng.range(-1.0, 1.0)) as f32,
            noise: self.noise as f32,
        }
    }
}

impl Pixels {
    /// Describes the normalisation of `what`.
    pub fn describe(&self, what: &str) -> String {
        let Pixels { width, height, channels, mean, std, centred } = self;
        let own = if *centred { ", then minus its own mean" } else { "" };
        let colour = if *channels == 1 { "grey" } else { "colour" };
        format!("{what}: {width} x {height} {colour}, (value - {mean:.3}) / {std:.3}{own}")
    }

    /// Fits the normalisation to these images.
    pub fn fit(
        height: usize,
        width: usize,
        channels: usize,
        centred: bool,
        images: impl Iterator<Item = impl AsRef<[u8]>>,
    ) -> Self {
        let (mut n, mut sum, mut squares) = (0u64, 0u64, 0u64);
        for image in images {
            for &pixel in image.as_ref() {
                let pixel = u64::from(pixel);
                (n, sum, squares) = (n + 1, sum + pixel, squares + pixel * pixel);
            }
        }
        let n = n.max(1) as f64;
        let mean = sum as f64 / n;
        let std = (squares as f64 / n - mean * mean).max(0.0).sqrt().max(1.0);
        Pixels { height, width, channels, mean, std, centred }
    }

    /// Values per image.
    pub fn len(&self) -> usize {
        self.height.saturating_mul(self.width).saturating_mul(self.channels)
    }

    /// Whether an image has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An image `[height, width, channels]` normalised, and augmented if there is a `variation`, into `out`.
    pub fn numbers(&self, image: &[u8], variation: Option<(&Variation, &mut Rng)>, out: &mut [f32]) {
        let mean = if self.centred {
            image.iter().map(|&pixel| u64::from(pixel)).sum::<u64>() as f64 / image.len().max(1) as f64
        } else {
            self.mean
        };
        let (mean, scale) = (mean as f32, (1.0 / self.std) as f32);
        let Some((variation, rng)) = variation else {
            out.iter_mut().zip(image).for_each(|(out, &pixel)| *out = (f32::from(pixel) - mean) * scale);
            return;
        };
        let (gain, offset) = (scale * variation.gain, variation.offset);
        if variation.turn == [1.0, 0.0] {
            self.moved(image, variation, |pixel| (f32::from(pixel) - mean) * gain + offset, out);
        } else {
            self.turned(image, variation, |pixel| (pixel - mean) * gain + offset, out);
        }
        if variation.noise > 0.0 {
            // The sum of four bytes is close to normal; its standard deviation is 147.8.
            let noise = variation.noise / 147.8;
            for value in out.iter_mut() {
                let sum: u32 = rng.bits().to_le_bytes().into_iter().map(u32::from).sum();
                *value += noise * (sum as f32 - 510.0);
            }
        }
    }

    /// Shifts by whole pixels; the edge is repeated.
    fn moved(&self, image: &[u8], variation: &Variation, value: impl Fn(u8) -> f32, out: &mut [f32]) {
        let (height, width, channels) = (self.height, self.width, self.channels);
        let source = |at: usize, shift: f64, size: usize| (at as f64 + shift).clamp(0.0, size as f64 - 1.0) as usize;
        let columns: Vec<usize> = (0..width)
            .map(|x| source(if variation.mirror { width - 1 - x } else { x }, variation.shift[0], width))
            .collect();
        for (y, out) in out.chunks_exact_mut(width * channels).enumerate() {
            let from = source(y, variation.shift[1], height) * width;
            for (out, &x) in out.chunks_exact_mut(channels).zip(&columns) {
                let from = &image[(from + x) * channels..][..channels];
                out.iter_mut().zip(from).for_each(|(out, &pixel)| *out = value(pixel));
            }
        }
    }

    /// Shifts, rotates and scales about the centre, with bilinear interpolation.
    fn turned(&self, image: &[u8], variation: &Variation, value: impl Fn(f32) -> f32, out: &mut [f32]) {
        let (height, width, channels) = (self.height, self.width, self.channels);
        let [cos, sin] = variation.turn;
        let middle = [(width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0];
        for (i, out) in out.chunks_exact_mut(channels).enumerate() {
            let (x, y) = ((i % width) as f64 - middle[0], (i / width) as f64 - middle[1]);
            let x = if variation.mirror { -x } else { x };
            let from_x = (cos * x - sin * y + middle[0] + variation.shift[0]).clamp(0.0, width as f64 - 1.0);
            let from_y = (sin * x + cos * y + middle[1] + variation.shift[1]).clamp(0.0, height as f64 - 1.0);
            let (x0, y0) = (from_x as usize, from_y as usize);
            let (x1, y1) = ((x0 + 1).min(width - 1), (y0 + 1).min(height - 1));
            let (right, down) = ((from_x - x0 as f64) as f32, (from_y - y0 as f64) as f32);
            for (channel, out) in out.iter_mut().enumerate() {
                let at = |x: usize, y: usize| f32::from(image[(y * width + x) * channels + channel]);
                let above = at(x0, y0) * (1.0 - right) + at(x1, y0) * right;
                let below = at(x0, y1) * (1.0 - right) + at(x1, y1) * right;
                *out = value(above * (1.0 - down) + below * down);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels() -> Pixels {
        Pixels { height: 2, width: 3, channels: 1, mean: 0.0, std: 1.0, centred: false }
    }

    fn varied(variation: Variation) -> Vec<f32> {
        let mut out = vec![0.0; 6];
        pixels().numbers(&[1, 2, 3, 4, 5, 6], Some((&variation, &mut Rng::new(1, "test"))), &mut out);
        out
    }

    fn still() -> Variation {
        Vary::default().draw(&mut Rng::new(1, "test"))
    }

    #[test]
    fn images_are_normalised_shifted_and_mirrored() {
        let fitted = Pixels::fit(1, 2, 1, false, [[0u8, 4], [4, 8]].iter());
        assert_eq!((fitted.mean, fitted.std), (4.0, 8f64.sqrt()));
        assert_eq!(varied(still()), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(varied(Variation { shift: [1.0, 0.0], ..still() }), [2.0, 3.0, 3.0, 5.0, 6.0, 6.0]);
        assert_eq!(varied(Variation { shift: [0.0, -1.0], ..still() }), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
        assert_eq!(varied(Variation { mirror: true, ..still() }), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
        assert_eq!(varied(Variation { gain: 2.0, offset: 1.0, ..still() })[..2], [3.0, 5.0]);
        let mut centred = vec![0.0; 6];
        Pixels { centred: true, ..pixels() }.numbers(&[1, 1, 1, 3, 3, 3], None, &mut centred);
        assert_eq!(centred, [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn rotation_by_0_changes_nothing_and_by_180_degrees_reverses() {
        let turned = |turn| varied(Variation { turn, ..still() });
        let near = |a: Vec<f32>, b: [f32; 6]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(near(turned([1.0, 1e-12]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        assert!(near(turned([-1.0, 1e-12]), [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]));
    }

    #[test]
    fn noise_has_the_given_standard_deviation() {
        let pixels = Pixels { height: 100, width: 100, ..pixels() };
        let mut out = vec![0.0; 10_000];
        let variation = Variation { noise: 0.5, ..still() };
        pixels.numbers(&[7; 10_000], Some((&variation, &mut Rng::new(1, "test"))), &mut out);
        let mean = out.iter().sum::<f32>() / 1e4;
        let std = (out.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / 1e4).sqrt();
        assert!((mean - 7.0).abs() < 0.03 && (std - 0.5).abs() < 0.02, "{mean} {std}");
    }
}
