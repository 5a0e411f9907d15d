//! The targets as a plain loop: mutations of good inputs, and of mutations that were accepted in less time than usual. Not guided
//! by coverage; it needs nothing but Rust. `ELMAN_FUZZ=1000000` makes as many executions of each target, `ELMAN_FUZZ_TARGET=table`
//! those of one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use elman_fuzz::{TARGETS, Target};

/// What hangs, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(60);
/// Longest input.
const LONGEST: usize = 1 << 16;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }
}

/// Changes an input in one to eight places.
fn mutated(random: &mut Random, seeds: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 + random.below(8) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(16)).min(input.len());
        match random.below(9) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.below(256) as u8,
            2 => drop(input.drain(at..end)),
            3 => input.insert(at, random.below(256) as u8),
            4 if !words.is_empty() => {
                input.splice(at..end, words[random.below(words.len())].bytes());
            }
            5 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(64)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            6 => {
                // A number that means something somewhere.
                let number = [0, 1, 255, 1 << 16, u64::from(u32::MAX), 1 << 40, u64::MAX][random.below(7)];
                let bytes = if random.below(2) == 0 { number.to_le_bytes() } else { number.to_be_bytes() };
                let len = [1, 2, 4, 8][random.below(4)];
                for (to, from) in input.iter_mut().skip(at).zip(&bytes[..len]) {
                    *to = *from;
                }
            }
            7 => {
                let piece = input[at..end].repeat(1 + random.below(20));
                input.splice(at..at, piece);
            }
            _ => input.truncate(at.max(1)),
        }
    }
    input.truncate(LONGEST);
    input
}

fn executions() -> usize {
    std::env::var("ELMAN_FUZZ").map_or(300, |n| n.parse().expect("ELMAN_FUZZ is a number"))
}

fn try_target(target: &Target) -> Result<(), String> {
    let mut seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "{} has no seeds", target.name);
    let (mut random, mut slowest) = (Random(0x9e37_79b9_7f4a_7c15), Duration::ZERO);
    let count = if target.is_heavy { executions().div_ceil(10) } else { executions() };
    let began = Instant::now();
    for n in 0..count {
        let input = if n < seeds.len() { seeds[n].clone() } else { mutated(&mut random, &seeds, target.words) };
        let start = Instant::now();
        let failed = catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err();
        let took = start.elapsed();
        slowest = slowest.max(took);
        if failed || took > LIMIT {
            let path = std::env::temp_dir().join(format!("elman-fuzz-{}-{n}", target.name));
            std::fs::write(&path, &input).expect("a place for the input");
            let what = if failed { "panicked" } else { "took more than 60 s" };
            return Err(format!("{} {what}: {}", target.name, path.display()));
        }
        // Mutations of mutations.
        if n % 16 == 0 && seeds.len() < 2000 {
            seeds.push(input);
        }
    }
    println!("{:<10} {count} executions, {:.1} s, slowest {slowest:.1?}", target.name, began.elapsed().as_secs_f64());
    Ok(())
}

#[test]
fn no_parser_panics_or_hangs() {
    let asked = std::env::var("ELMAN_FUZZ_TARGET").unwrap_or_default();
    let found: Vec<String> =
        TARGETS.iter().filter(|t| asked.is_empty() || t.name == asked).filter_map(|t| try_target(t).err()).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
