//! Small images of coloured shapes, with captions.

use crate::data::Matrix;
use crate::rng::Rng;

/// Rows and columns of the grid of patches an image is cut into; each shape lies in one of them.
const GRID: usize = 4;
/// Rows and columns of a patch.
const PATCH: usize = 8;
/// Rows and columns of an image.
const SIDE: usize = GRID * PATCH;

const COLOURS: [(&str, [f64; 3]); 5] = [
    ("red", [0.9, 0.1, 0.1]),
    ("green", [0.1, 0.8, 0.2]),
    ("blue", [0.1, 0.2, 0.9]),
    ("yellow", [0.9, 0.9, 0.1]),
    ("white", [0.95, 0.95, 0.95]),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Circle,
    Square,
    Triangle,
    Cross,
}

const FORMS: [(&str, Form); 4] =
    [("circle", Form::Circle), ("square", Form::Square), ("triangle", Form::Triangle), ("cross", Form::Cross)];

impl Form {
    /// Whether a point lies in the shape of this radius around 0; `y` points down.
    fn holds(self, x: f64, y: f64, radius: f64) -> bool {
        match self {
            Form::Circle => x.hypot(y) <= radius,
            Form::Square => x.abs().max(y.abs()) <= 0.85 * radius,
            Form::Triangle => y <= 0.8 * radius && x.abs() <= (y + radius) / 1.8,
            Form::Cross => x.abs().max(y.abs()) <= radius && x.abs().min(y.abs()) <= 0.4 * radius,
        }
    }
}

/// A coloured shape with its position.
struct Thing {
    colour: usize,
    form: usize,
    x: f64,
    y: f64,
    radius: f64,
}

impl Thing {
    fn draw(&self, pixels: &mut [f64]) {
        for (i, pixel) in pixels.chunks_exact_mut(3).enumerate() {
            let (x, y) = ((i % SIDE) as f64 - self.x, (i / SIDE) as f64 - self.y);
            if FORMS[self.form].1.holds(x, y, self.radius) {
                pixel.copy_from_slice(&COLOURS[self.colour].1);
            }
        }
    }

    fn name(&self) -> String {
        format!("a {} {}", COLOURS[self.colour].0, FORMS[self.form].0)
    }
}

/// A shape near the centre of a patch.
fn thing(row: usize, col: usize, rng: &mut Rng) -> Thing {
    let mut middle = |at: usize| (at * PATCH) as f64 + (PATCH as f64 - 1.0) / 2.0 + rng.range(-0.7, 0.7);
    let (x, y) = (middle(col), middle(row));
    Thing { colour: rng.below(COLOURS.len()), form: rng.below(FORMS.len()), x, y, radius: rng.range(2.8, 3.6) }
}

/// A scene: one shape, or two of different kinds and their relative position.
fn scene(rng: &mut Rng) -> (Vec<f64>, String) {
    let (across, first) = (rng.below(GRID), rng.below(GRID - 1));
    let second = first + 1 + rng.below(GRID - 1 - first);
    let which = rng.below(5);
    let is_upright = which <= 2;
    let mut at = |along: usize| if is_upright { thing(along, across, rng) } else { thing(across, along, rng) };
    let (one, mut other) = (at(first), at(second));
    if (one.colour, one.form) == (other.colour, other.form) {
        other.colour = (other.colour + 1) % COLOURS.len();
    }
    // The description is unique: from the top, or from the left.
    let (caption, things) = match which {
        0 => (one.name(), vec![one]),
        1 | 2 => (format!("{} above {}", one.name(), other.name()), vec![one, other]),
        _ => (format!("{} to the left of {}", one.name(), other.name()), vec![one, other]),
    };
    let mut pixels = vec![0.0; SIDE * SIDE * 3];
    things.iter().for_each(|thing| thing.draw(&mut pixels));
    (pixels, caption)
}

/// An image's patches `[GRID GRID, features]`: the pixels of each, and its row and column unless it is empty.
fn patches(pixels: &[f64], rng: &mut Rng, features: &mut Vec<f32>) {
    for patch in 0..GRID * GRID {
        let (row, col) = (patch / GRID, patch % GRID);
        let mut lit = 0.0;
        for i in 0..PATCH * PATCH {
            let at = (row * PATCH + i / PATCH) * SIDE + col * PATCH + i % PATCH;
            let pixel = &pixels[at * 3..at * 3 + 3];
            if pixel.iter().any(|&x| x > 0.0) {
                lit = 1.0;
            }
            features.extend(pixel.iter().map(|&x| (x + 0.05 * rng.normal()) as f32));
        }
        let position = [row, col].into_iter().flat_map(|at| (0..GRID).map(move |k| if k == at { lit } else { 0.0 }));
        features.extend(position);
    }
}

/// `count` images as grids of patches `[count, 16, 200]`, each with a caption such as `a red circle above
/// a blue square`.
pub fn scenes(seed: u64, count: usize) -> (Matrix, Vec<String>) {
    let mut rng = Rng::new(seed, "scenes");
    let (mut values, mut captions) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (pixels, caption) = scene(&mut rng);
        patches(&pixels, &mut rng, &mut values);
        captions.push(caption);
    }
    let width = PATCH * PATCH * 3 + 2 * GRID;
    (Matrix { dims: vec![count, GRID * GRID, width], values }, captions)
}

/// The image `[height, width, 3]` that features `[16, 200]` of [`scenes`] are the patches of, and its height and width.
pub fn picture(features: &[f32]) -> (Vec<u8>, [usize; 2]) {
    let mut pixels = vec![0; SIDE * SIDE * 3];
    let width = features.len() / (GRID * GRID);
    for (at, value) in pixels.iter_mut().enumerate() {
        let (x, y, colour) = (at / 3 % SIDE, at / 3 / SIDE, at % 3);
        let (patch, within) = (y / PATCH * GRID + x / PATCH, y % PATCH * PATCH + x % PATCH);
        let feature = features.get(patch * width + within * 3 + colour).copied().unwrap_or(0.0);
        *value = (feature.clamp(0.0, 1.0) * 255.0) as u8;
    }
    (pixels, [SIDE, SIDE])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_give_the_picture_back() {
        let pixels = scene(&mut Rng::new(3, "scenes")).0;
        let (features, _) = scenes(3, 1);
        let (found, size) = picture(&features.values);
        assert_eq!(size, [SIDE, SIDE]);
        // Up to the noise of the features.
        assert!(found.iter().zip(&pixels).all(|(a, b)| (f64::from(*a) / 255.0 - b).abs() < 0.3));
    }

    #[test]
    fn a_scene_matches_its_caption() {
        let (features, captions) = scenes(1, 500);
        assert_eq!(features.values.len(), features.dims.iter().product::<usize>());
        // Where the colour of a word is seen, by the patches' positions.
        let place = |row: usize, colour: &str| {
            let (_, rgb) = COLOURS.iter().find(|(name, _)| *name == colour).unwrap();
            let (mut x, mut y, mut n) = (0.0, 0.0, 0.0);
            for (i, patch) in features.row(row).chunks_exact(features.dims[2]).enumerate() {
                for pixel in patch[..PATCH * PATCH * 3].chunks_exact(3) {
                    if pixel.iter().zip(rgb).all(|(&p, &c)| (f64::from(p) - c).abs() < 0.3) {
                        (x, y, n) = (x + (i % GRID) as f64, y + (i / GRID) as f64, n + 1.0);
                    }
                }
            }
            (x / n, y / n, n)
        };
        let mut seen = [0; 2];
        for (row, caption) in captions.iter().enumerate() {
            let words: Vec<&str> = caption.split(' ').collect();
            let (one, other) = (words[1], words[words.len() - 2]);
            assert!(place(row, one).2 >= 10.0, "{caption}");
            if words.len() == 3 || one == other {
                continue;
            }
            let ((x, y, _), (u, v, _)) = (place(row, one), place(row, other));
            let which = ["above", "left"].iter().position(|word| words.contains(word)).unwrap();
            assert!([y < v, x < u][which], "{caption}: {x} {y}, {u} {v}");
            seen[which] += 1;
        }
        assert!(seen.iter().all(|&n| n > 50), "{seen:?}");
        assert!(scenes(1, 20) == scenes(1, 20) && scenes(1, 20) != scenes(2, 20));
    }
}
