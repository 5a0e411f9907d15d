//! Networks that are ready to write: of a run, or of model files; one alone, or several that vote.

use rayon::prelude::*;

use super::{Evaluation, NAME, PairSymbols};
use crate::data::Pair;
use crate::decode::{BeamConfig, Hypothesis};
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::metric::{Bleu, Chrf};
use crate::param::Params;
use crate::shape::{SequenceIo, SequenceIoConfig, SequenceIoPrepared, SequenceIoTape, Shape};
use crate::task::plan;
use crate::task::writing::{self, Language, Written};

/// Pairs scored side by side.
const SIDE_BY_SIDE: usize = 32;

/// A model of a file.
#[derive(Debug)]
pub struct Model {
    /// The network.
    pub network: SequenceIo,
    /// Its weights.
    pub params: Params<f32>,
    /// Its symbols.
    pub language: Language,
    /// How it was meant to search.
    pub decoding: BeamConfig,
}

impl Model {
    /// Reads a model or a checkpoint.
    ///
    /// # Errors
    /// [`Error::Model`] if the file holds none of this task, or one that contradicts itself.
    pub fn from_file(loaded: &Loaded) -> Result<Model> {
        let wrong = |reason: String| Error::Model { path: loaded.path.clone(), reason };
        let (language, decoding) = writing::parts_of(loaded, NAME)?;
        let sizes: SequenceIoConfig = plan::part(loaded, "network")?;
        if sizes.source_vocab != language.subwords.len() || sizes.decoder.vocab != language.subwords.len() {
            return Err(wrong(format!("its {} symbols do not fit its network", language.subwords.len())));
        }
        let network = SequenceIo::new(sizes).map_err(|error| wrong(error.to_string()))?;
        let params = plan::params(loaded, Shape::<f32>::layout(&network))?;
        Ok(Model { network, params, language, decoding })
    }

    /// Prepares the weights, to write many times.
    pub fn writer(&self) -> Writer<'_> {
        Writer::new(&self.network, &self.params, &self.language)
    }
}

/// Networks whose weights are ready.
pub struct Writer<'m> {
    language: &'m Language,
    members: Vec<Member<'m>>,
}

struct Member<'m> {
    network: &'m SequenceIo,
    prepared: SequenceIoPrepared<f32>,
}

impl<'m> Writer<'m> {
    /// One network.
    pub fn new(network: &'m SequenceIo, params: &'m Params<f32>, language: &'m Language) -> Self {
        let mut writer = Writer { language, members: Vec::new() };
        writer.add(network, params);
        writer
    }

    fn add(&mut self, network: &'m SequenceIo, params: &'m Params<f32>) {
        let mut prepared = SequenceIoPrepared::default();
        network.prepare(params, &mut prepared);
        self.members.push(Member { network, prepared });
    }

    /// Lets another model vote: the mean of all models' probabilities counts. Lengths are limited as for the first.
    ///
    /// # Errors
    /// If its symbols are others.
    pub fn join(&mut self, model: &'m Model) -> Result<()> {
        self.language.shares_symbols(&model.language)?;
        self.add(&model.network, &model.params);
        Ok(())
    }

    /// The best that follows from each source of symbols, in their order. Runs on the current thread pool; neither threads
    /// nor what else is asked change an answer.
    ///
    /// # Errors
    /// As [`beam_search`](crate::decode::beam_search).
    pub fn search(&self, sources: &[Vec<u32>], config: &BeamConfig) -> Result<Vec<Vec<Hypothesis>>> {
        let lengths: Vec<usize> = sources.iter().map(Vec::len).collect();
        let steppers = |part: &[usize]| {
            let sources: Vec<&Vec<u32>> = part.iter().map(|&i| &sources[i]).collect();
            self.members.iter().map(|member| member.network.stepper(&member.prepared, &sources)).collect()
        };
        writing::search(steppers, self.language, &lengths, config)
    }

    /// What is written for each text, the best first; of a text, [`MAX_SOURCE`](super::MAX_SOURCE) symbols are read.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn write(&self, texts: &[&str], config: &BeamConfig) -> Result<Vec<Vec<Written>>> {
        let source = |text: &&str| {
            let mut source = self.language.source(text)?;
            self.language.shorten(&mut source);
            Ok(source)
        };
        let sources: Vec<Vec<u32>> = texts.iter().map(source).collect::<Result<_>>()?;
        let found = self.search(&sources, config)?;
        found.into_iter().map(|found| self.language.written(found)).collect()
    }

    /// The mean loss of pairs in nats per symbol with teacher forcing, the ends of targets counted.
    pub fn loss_nats(&self, pairs: &PairSymbols) -> f64 {
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(pairs.length(i)));
        let parts: Vec<(f64, usize)> = order
            .par_chunks(SIDE_BY_SIDE)
            .map_init(Vec::new, |tapes: &mut Vec<SequenceIoTape<f32>>, part| {
                let batch = pairs.batch(part, self.language);
                tapes.resize_with(self.members.len(), SequenceIoTape::default);
                let each = self.members.iter().zip(tapes);
                let log_probs: Vec<Vec<f32>> =
                    each.map(|(one, tape)| one.network.target_log_probs(&one.prepared, &batch, tape)).collect();
                (writing::nats(&log_probs), batch.targets.targets.len())
            })
            .collect();
        let (nats, symbols) = parts.iter().fold((0.0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        nats / symbols.max(1) as f64
    }

    /// Writes for every source and compares with the targets. Runs on the current thread pool.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn evaluate(&self, pairs: &[Pair], symbols: &PairSymbols, config: &BeamConfig) -> Result<Evaluation> {
        let Language { lowercase, .. } = *self.language;
        let loss_nats = self.loss_nats(symbols);
        let config = BeamConfig { nbest: 1, ..config.clone() };
        let found = self.search(&symbols.sources, &config)?;
        let texts: Vec<String> = found.iter().map(|found| self.language.text(found)).collect::<Result<_>>()?;
        let references: Vec<Vec<&str>> = pairs.iter().map(|pair| vec![pair.target.as_str()]).collect();
        let bleu = Bleu { lowercase, ..Bleu::default() }.for_references(&references);
        let same = |text: &str, target: &str| if lowercase { text == target.to_lowercase() } else { text == target };
        let exact = texts.iter().zip(pairs).filter(|(text, pair)| same(text, &pair.target)).count();
        Ok(Evaluation {
            loss_nats,
            bleu: bleu.corpus(&texts, &references)?.bleu,
            signature: bleu.signature(&references),
            chrf: Chrf { lowercase }.corpus(&texts, &references)?,
            exact: exact as f64 / pairs.len().max(1) as f64,
            texts,
        })
    }
}
