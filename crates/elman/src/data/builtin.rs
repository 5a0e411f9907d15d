//! Built-in and synthetic data, so that every task can be tried without a download. Synthetic data depend on the seed
//! alone.

mod numerals;
mod scenes;

use std::path::PathBuf;

use super::table::Table;
use crate::error::Result;
use crate::rng::Rng;

pub use numerals::numerals;
pub use scenes::{picture, scenes};

/// The project's own sources and documents, gathered when it was built; printable ASCII.
pub fn project_text() -> &'static str {
    include_str!(concat!(env!("OUT_DIR"), "/project_text.txt"))
}

/// Rows and columns of a synthetic digit.
pub const DIGIT: usize = 16;
/// Rows and columns of a frame of a synthetic clip.
pub const FRAME: usize = 16;
/// The motions of the spot in a synthetic clip.
pub const MOVES: [&str; 5] = ["still", "left", "right", "up", "down"];

/// Digits in five columns and seven rows, a row in the low five bits of each number.
const GLYPHS: [[u8; 7]; 10] = [
    [0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110],
    [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
    [0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111],
    [0b11110, 0b00001, 0b00001, 0b01110, 0b00001, 0b00001, 0b11110],
    [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
    [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110],
    [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110],
    [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000],
    [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
    [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100],
];

/// 2,000 images `[DIGIT, DIGIT]` of digits, of random size, position and slant, with noise; and the digits.
pub fn digits(seed: u64) -> Vec<(Vec<u8>, u8)> {
    let mut rng = Rng::new(seed, "digits");
    (0..2000).map(|i| (digit(i % 10, &mut rng), (i % 10) as u8)).collect()
}

fn digit(digit: usize, rng: &mut Rng) -> Vec<u8> {
    let middle = (DIGIT as f64 - 1.0) / 2.0;
    let (size, slant) = (rng.range(1.3, 2.1), rng.range(-0.3, 0.3));
    let (dx, dy, ink) = (rng.range(-2.0, 2.0), rng.range(-1.5, 1.5), rng.range(120.0, 230.0));
    let glyph = |x: f64, y: f64| {
        let (col, row) = (x.round(), y.round());
        let inside = (0.0..5.0).contains(&col) && (0.0..7.0).contains(&row);
        inside && GLYPHS[digit][row as usize] >> (4 - col as usize) & 1 == 1
    };
    let pixel = |i: usize, rng: &mut Rng| {
        let (x, y) = ((i % DIGIT) as f64 - middle - dx, (i / DIGIT) as f64 - middle - dy);
        let lit = if glyph((x + slant * y) / size + 2.0, y / size + 3.0) { ink } else { 0.0 };
        (lit + 12.0 * rng.normal() + 20.0).clamp(0.0, 255.0) as u8
    };
    (0..DIGIT * DIGIT).map(|i| pixel(i, rng)).collect()
}

const THINGS: [&str; 12] =
    ["film", "plot", "cast", "music", "dialogue", "ending", "camera work", "hero", "sequel", "story", "pace", "humour"];
const GOOD: [&str; 10] =
    ["good", "splendid", "moving", "funny", "clever", "warm", "gripping", "fresh", "charming", "brilliant"];
const BAD: [&str; 10] = ["bad", "dull", "flat", "clumsy", "tired", "silly", "empty", "cold", "tedious", "dreadful"];
const DEGREES: [&str; 6] = ["", "very ", "rather ", "really ", "quite ", "so "];

/// 1,200 synthetic one-sentence reviews, each `good` or `bad`. Some negate, so that a bag of words does not suffice.
pub fn reviews(seed: u64) -> Vec<(String, &'static str)> {
    let mut rng = Rng::new(seed, "reviews");
    (0..1200).map(|_| review(&mut rng)).collect()
}

fn review(rng: &mut Rng) -> (String, &'static str) {
    fn pick<'a>(words: &[&'a str], rng: &mut Rng) -> &'a str {
        words[rng.below(words.len())]
    }
    let is_good = rng.uniform() < 0.5;
    let (same, other) = if is_good { (GOOD, BAD) } else { (BAD, GOOD) };
    let (thing, second) = (pick(&THINGS, rng), pick(&THINGS, rng));
    let (degree, word, opposite) = (pick(&DEGREES, rng), pick(&same, rng), pick(&other, rng));
    let text = match rng.below(5) {
        0 => format!("The {thing} is {degree}{word}."),
        1 => format!("The {thing} is not {opposite} at all, it is {word}."),
        2 => format!("I thought the {thing} would be {opposite}, but it was {degree}{word}."),
        3 => format!("Nobody could call this {thing} {opposite}."),
        _ => format!("Although the {second} is {opposite}, the {thing} is {degree}{word}."),
    };
    (text, if is_good { "good" } else { "bad" })
}

/// A table of 600 synthetic series, a row each: its kind (`sine`, `square`, `saw`, `noise`), or for a regression the steps of a
/// period (of the first three kinds), then 24 to 48 values.
///
/// # Errors
/// Never: the table is well-formed.
pub fn series(seed: u64, is_regression: bool) -> Result<Table> {
    const KINDS: [&str; 4] = ["sine", "square", "saw", "noise"];
    let mut rng = Rng::new(seed, "series");
    let mut row = |line: usize| {
        let kinds = KINDS.len() - usize::from(is_regression);
        let (kind, len) = (line % kinds, 24 + rng.below(25));
        let (period, phase) = (rng.range(6.0, 14.0), rng.uniform());
        let mut value = |t: usize| {
            let at = (t as f64 / period + phase).fract();
            let clean = match KINDS[kind] {
                "sine" => (std::f64::consts::TAU * at).sin(),
                "square" => (at - 0.5).signum(),
                "saw" => 2.0 * at - 1.0,
                _ => 0.7 * rng.normal(),
            };
            format!("{:.3}", clean + 0.25 * rng.normal())
        };
        let mut cells: Vec<String> = (0..len).map(&mut value).collect();
        cells.resize(48, String::new());
        cells.insert(0, if is_regression { format!("{period:.3}") } else { KINDS[kind].into() });
        (line, cells)
    };
    let rows = (1..=600).map(&mut row).collect();
    let names = std::iter::once("label".to_string()).chain((0..48).map(|t| format!("t{t}")));
    Ok(Table { path: PathBuf::from("the built-in series"), header: Some(names.collect()), rows, ..Table::default() })
}

/// 80 synthetic clips `[T, FRAME, FRAME]` of a spot that changes direction, labelled with its motion at each frame.
pub fn clips(seed: u64) -> Vec<(Vec<u8>, Vec<&'static str>)> {
    let mut rng = Rng::new(seed, "clips");
    (0..80).map(|_| clip(&mut rng)).collect()
}

fn clip(rng: &mut Rng) -> (Vec<u8>, Vec<&'static str>) {
    let frames = 24 + rng.below(17);
    let (mut x, mut y) = (rng.below(FRAME) as i64, rng.below(FRAME) as i64);
    let (mut what, mut left) = (0, 0);
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..frames {
        if left == 0 {
            (what, left) = (rng.below(MOVES.len()), 4 + rng.below(6));
        }
        left -= 1;
        let (dx, dy) = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)][what];
        let size = FRAME as i64;
        (x, y) = ((x + dx).rem_euclid(size), (y + dy).rem_euclid(size));
        labels.push(MOVES[what]);
        for row in 0..size {
            for col in 0..size {
                let far = |a: i64, b: i64| ((a - b).rem_euclid(size)).min((b - a).rem_euclid(size)) as f64;
                let distance = far(row, y).hypot(far(col, x));
                let light = 200.0 * (1.8 - distance).clamp(0.0, 1.0) + 25.0 + 8.0 * rng.normal();
                pixels.push(light.clamp(0.0, 255.0) as u8);
            }
        }
    }
    (pixels, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_text_is_long_enough_to_train_on_and_plain_ascii() {
        let text = project_text();
        assert!(text.len() > 100_000, "{} bytes", text.len());
        assert!(text.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)));
        assert!(text.contains("fn loss_and_grad"));
    }

    #[test]
    fn synthetic_data_depend_on_the_seed_alone() {
        assert!(digits(1) == digits(1) && digits(1) != digits(2));
        assert!(reviews(1) == reviews(1) && reviews(1) != reviews(2));
        assert!(clips(1) == clips(1) && clips(1) != clips(2));
        let table = series(1, false).unwrap();
        assert!(table == series(1, false).unwrap() && table.rows.len() == 600);
        assert!(digits(3).iter().all(|(pixels, _)| pixels.len() == DIGIT * DIGIT));
        assert!(clips(3).iter().all(|(pixels, labels)| pixels.len() == labels.len() * FRAME * FRAME));
        let reviews = reviews(4);
        assert!(reviews.iter().any(|r| r.1 == "good") && reviews.iter().any(|r| r.1 == "bad"));
    }
}
