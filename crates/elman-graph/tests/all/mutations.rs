//! Files of every format, changed in a few places: a refusal or a network, never a panic and never long.
//!
//! `ELMAN_FUZZ=100000` makes as many of each format.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use elman_graph::read::{self, Options};

use crate::files::data;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }
}

/// Changes a file in one to eight places, most of them near its beginning or its end, where the structure is.
fn mutated(random: &mut Random, good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..1 + random.below(8) {
        let within = [bytes.len(), 400, 4000][random.below(3)].min(bytes.len());
        let at = if random.below(4) == 0 { bytes.len() - 1 - random.below(within) } else { random.below(within) };
        let end = (at + random.below(16)).min(bytes.len());
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => {
                let number =
                    [0, 1, 255, 1 << 16, u64::from(u32::MAX), 1 << 40, u64::MAX][random.below(7)].to_le_bytes();
                let len = [1, 2, 4, 8][random.below(4)];
                bytes.iter_mut().skip(at).zip(&number[..len]).for_each(|(to, from)| *to = *from);
            }
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].repeat(1 + random.below(20));
                bytes.splice(at..at, piece);
            }
            5 => {
                let from = random.below(bytes.len());
                let piece = bytes[from..(from + random.below(64)).min(bytes.len())].to_vec();
                bytes.splice(at..end, piece);
            }
            _ => bytes.truncate(at.max(1)),
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
    bytes
}

#[test]
fn no_reader_panics_or_hangs() {
    let Some(interop) = data("interop") else { return };
    let count: usize = std::env::var("ELMAN_FUZZ").map_or(300, |n| n.parse().unwrap());
    let shm = PathBuf::from("/dev/shm");
    let folder = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap();
    let maps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/maps");
    let files = [
        ("nam-lstm-3/model.nam", None),
        ("rtneural-gru-1d/model.json", None),
        ("rnnoise/weights.rnn", None),
        ("torch/lstm-1/model.pt", None),
        ("torch/charlm-encoder-decoder/model.pt", None),
        ("hostile/pickle-os-system.pt", None),
        ("keras/embedding-masked-lstm/model.keras", None),
        ("keras/lstm-residual-amp/model.h5", None),
        ("keras/gru-reset-after/model.h5", None),
        ("icu-burmese/weights.json", Some("icu-segmentation.toml")),
        ("keras/lstm/model.weights.h5", Some("textgenrnn.toml")),
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (name, map) in files {
        let good = std::fs::read(interop.join(name)).unwrap();
        let path = folder.path().join("file");
        let mut options = Options::default();
        if let Some(map) = map {
            options.answers.insert("map".into(), maps.join(map).display().to_string());
        }
        let (mut read, mut slowest) = (0, Duration::ZERO);
        for _ in 0..count {
            let bytes = mutated(&mut random, &good);
            std::fs::write(&path, &bytes).unwrap();
            let began = Instant::now();
            let result = catch_unwind(AssertUnwindSafe(|| read::open(&path, &options)));
            slowest = slowest.max(began.elapsed());
            match result {
                Ok(result) => read += usize::from(result.is_ok()),
                Err(_) => {
                    let kept = std::env::temp_dir().join(format!("elman-graph-{}", name.replace('/', "-")));
                    std::fs::write(&kept, &bytes).unwrap();
                    panic!("{name}: a reader panicked on {}", kept.display());
                }
            }
        }
        println!("{name}: {count} files, {read} read, slowest {slowest:.0?}");
        assert!(slowest < Duration::from_secs(10), "{name}: {slowest:?}");
    }
}
