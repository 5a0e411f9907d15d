//! Pairs of texts in symbols, to learn from and held out.

use std::path::Path;

use rayon::prelude::*;

use crate::data::{Pair, builtin, held_out, pairs};
use crate::error::{Error, Result};
use crate::shape::SequenceIoBatch;
use crate::task::settings::Settings;
use crate::task::writing::Language;

/// Pairs that are made where none are given.
const MADE: usize = 6000;
/// What messages call them.
const MADE_NAME: &str = "the built-in numbers and dates";

/// Pairs in symbols: sources with their end, targets without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairSymbols {
    /// What is read.
    pub sources: Vec<Vec<u32>>,
    /// What is to be written.
    pub targets: Vec<Vec<u32>>,
}

impl PairSymbols {
    /// Encodes pairs.
    ///
    /// # Errors
    /// If a text cannot be cut.
    pub fn new(pairs: &[Pair], language: &Language) -> Result<Self> {
        let sources = pairs.par_iter().map(|pair| language.source(&pair.source)).collect::<Result<_>>()?;
        let targets = pairs.par_iter().map(|pair| language.subwords.encode(&pair.target)).collect::<Result<_>>()?;
        Ok(PairSymbols { sources, targets })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Some of the pairs.
    pub(super) fn select(&self, which: &[usize]) -> Self {
        let of = |texts: &[Vec<u32>]| which.iter().map(|&i| texts[i].clone()).collect();
        PairSymbols { sources: of(&self.sources), targets: of(&self.targets) }
    }

    /// Symbols of both sides of a pair.
    pub(super) fn length(&self, pair: usize) -> usize {
        self.sources[pair].len() + self.targets[pair].len()
    }

    pub(super) fn batch(&self, which: &[usize], language: &Language) -> SequenceIoBatch {
        self.select(which).all(language)
    }

    /// All pairs as one block.
    pub(super) fn all(&self, language: &Language) -> SequenceIoBatch {
        SequenceIoBatch::new(&self.sources, &self.targets, language.subwords.begin(), language.subwords.end())
    }

    pub(super) fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for text in self.sources.iter().chain(&self.targets) {
            hasher.update(&(text.len() as u64).to_le_bytes());
            text.iter().for_each(|symbol| hasher.update(&symbol.to_le_bytes()));
        }
        hasher.finalize()
    }
}

/// Pairs to learn from and pairs held out.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The symbols.
    pub language: Language,
    /// What is trained on.
    pub train: PairSymbols,
    /// What is held out.
    pub val: PairSymbols,
    /// The texts held out.
    pub val_pairs: Vec<Pair>,
    /// Pairs left out of training, being longer than `--max-len`.
    pub too_long: usize,
}

/// The pairs that two files or one table hold.
///
/// # Errors
/// As [`pairs::read_parallel`] and [`pairs::read_table`]; one file without the other.
pub fn read(source: &str, target: &str, table: &str) -> Result<Vec<Pair>> {
    match (source.is_empty(), target.is_empty()) {
        (false, false) => pairs::read_parallel(Path::new(source), Path::new(target)),
        (true, true) if !table.is_empty() => pairs::read_table(Path::new(table), None),
        (true, true) => {
            let message = "give --source and --target, two files of as many lines, or one table of two columns";
            Err(Error::Usage(message.into()))
        }
        (is_missing, _) => {
            let (missing, given) = if is_missing { ("source", "target") } else { ("target", "source") };
            Err(Error::Usage(format!("--{given} is given without --{missing}; line by line they belong together")))
        }
    }
}

impl Corpus {
    /// Reads the pairs the settings name and learns their symbols; where they name none, pairs that the program makes.
    ///
    /// # Errors
    /// As [`read`], [`Corpus::of`] and [`held_out`].
    pub fn read(settings: &Settings) -> Result<Corpus> {
        let s = settings;
        let is_named = [&s.source, &s.target, &s.file].iter().any(|name| !name.is_empty());
        let train = match is_named {
            true => read(&s.source, &s.target, &s.file)?,
            false => builtin::numerals(s.seed, MADE),
        };
        let given = [&s.val_source, &s.val_target, &s.val].iter().any(|name| !name.is_empty());
        let path = [&s.source, &s.file].into_iter().find(|name| !name.is_empty()).map_or(MADE_NAME, String::as_str);
        let (train, val) = if given {
            let val = read(&s.val_source, &s.val_target, &s.val);
            (train, val.map_err(name_the_held_out)?)
        } else {
            held_out(train, &s.hold_out(), Path::new(path))?
        };
        Self::of(&train, val, settings)
    }

    /// Learns the symbols of the training pairs and encodes all.
    ///
    /// # Errors
    /// If no training pair is left of at most `--max-len` symbols.
    pub fn of(train: &[Pair], val_pairs: Vec<Pair>, settings: &Settings) -> Result<Corpus> {
        let texts: Vec<&str> = train.iter().flat_map(|pair| [pair.source.as_str(), &pair.target]).collect();
        let mut language = Language::learn(texts.into_iter(), settings)?;
        let mut train = PairSymbols::new(train, &language)?;
        let (all, most) = (train.len(), if settings.max_len == 0 { usize::MAX } else { settings.max_len });
        let kept = |i: &usize| train.sources[*i].len() <= most && train.targets[*i].len() < most;
        let kept: Vec<usize> = (0..all).filter(kept).collect();
        if kept.is_empty() {
            let message = format!("every pair is longer than --max-len {most} symbols; give a higher one");
            return Err(Error::Usage(message));
        }
        let of = |texts: &mut Vec<Vec<u32>>| kept.iter().map(|&i| std::mem::take(&mut texts[i])).collect();
        train = PairSymbols { sources: of(&mut train.sources), targets: of(&mut train.targets) };
        language.learn_lengths(train.sources.iter().zip(&train.targets).map(|(s, t)| (s.len(), t.len() + 1)));
        let val = PairSymbols::new(&val_pairs, &language)?;
        Ok(Corpus { language, too_long: all - train.len(), train, val, val_pairs })
    }
}

/// The flags of held-out files in a message about the ones of training.
fn name_the_held_out(error: Error) -> Error {
    match error {
        Error::Usage(message) => {
            Error::Usage(message.replace("--source", "--val-source").replace("--target", "--val-target"))
        }
        error => error,
    }
}
