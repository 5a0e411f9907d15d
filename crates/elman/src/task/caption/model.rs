//! Networks that are ready to write: of a run, or of model files; one alone, or several that vote.

use std::path::Path;

use rayon::prelude::*;

use super::{Described, NAME};
use crate::data::Matrix;
use crate::data::encoder::{Encoder, EncoderId, Wanted};
use crate::decode::{BeamConfig, Hypothesis};
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::metric::{caption_bleu, caption_order};
use crate::param::Params;
use crate::shape::{
    SequenceOutput, SequenceOutputBatch, SequenceOutputConfig, SequenceOutputPrepared, SequenceOutputTape, Shape,
};
use crate::task::plan;
use crate::task::writing::{self, Language, Written};

/// Captions scored side by side.
const SIDE_BY_SIDE: usize = 64;

/// A network with its weights.
pub type Weighted<'m> = (&'m SequenceOutput, &'m Params<f32>);

/// A network with its weights as the kernels want them.
pub(super) type Ready<'m> = (&'m SequenceOutput, SequenceOutputPrepared<f32>);

pub(super) fn ready<'m>(networks: &[Weighted<'m>]) -> Vec<Ready<'m>> {
    let one = |&(network, params): &Weighted<'m>| {
        let mut prepared = SequenceOutputPrepared::default();
        network.prepare(params, &mut prepared);
        (network, prepared)
    };
    networks.iter().map(one).collect()
}

/// The best that follows from each of these rows of features, in their order; several networks vote. Runs on the current
/// thread pool.
pub(super) fn search(
    networks: &[Ready],
    language: &Language,
    features: &[&[f32]],
    config: &BeamConfig,
) -> Result<Vec<Vec<Hypothesis>>> {
    let steppers = |part: &[usize]| {
        let values: Vec<f32> = part.iter().flat_map(|&i| features[i].iter().copied()).collect();
        networks.iter().map(|(network, prepared)| network.stepper(prepared, &values)).collect()
    };
    // A vector counts as a source of one symbol.
    writing::search(steppers, language, &vec![1; features.len()], config)
}

/// The mean loss of captions in nats per symbol with teacher forcing, the ends counted.
fn loss_nats(networks: &[Ready], language: &Language, features: &Matrix, described: &[Described]) -> Result<f64> {
    let mut captions = Vec::new();
    for described in described {
        for caption in &described.captions {
            captions.push((described.row, language.subwords.encode(caption)?));
        }
    }
    captions.sort_by_key(|(_, symbols)| std::cmp::Reverse(symbols.len()));
    let parts: Vec<(f64, usize)> = captions
        .par_chunks(SIDE_BY_SIDE)
        .map_init(Vec::new, |tapes: &mut Vec<SequenceOutputTape<f32>>, part| {
            let batch = batch(part.iter(), features, language);
            tapes.resize_with(networks.len(), SequenceOutputTape::default);
            let each = networks.iter().zip(tapes);
            let log_probs: Vec<Vec<f32>> =
                each.map(|((network, prepared), tape)| network.target_log_probs(prepared, &batch, tape)).collect();
            (writing::nats(&log_probs), batch.targets.targets.len())
        })
        .collect();
    let (nats, symbols) = parts.iter().fold((0.0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    Ok(nats / symbols.max(1) as f64)
}

pub(super) fn batch<'a>(
    captions: impl Iterator<Item = &'a (usize, Vec<u32>)>,
    features: &Matrix,
    language: &Language,
) -> SequenceOutputBatch<f32> {
    let (rows, symbols): (Vec<&[f32]>, Vec<&Vec<u32>>) =
        captions.map(|(row, symbols)| (features.row(*row), symbols)).unzip();
    SequenceOutputBatch::new(&rows, &symbols, language.subwords.begin(), language.subwords.end())
}

/// What a model makes of described rows.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Mean loss with teacher forcing, nats per symbol.
    pub loss_nats: f64,
    /// BLEU-1 to BLEU-4, 0 to 100, tokenised as in the caption papers.
    pub bleu: [f64; 4],
    /// The highest of these that the captions are long enough for.
    pub order: usize,
    /// Symbols of what was written, on average.
    pub length: f64,
    /// What is written for each row.
    pub texts: Vec<String>,
}

/// Writes for every row and compares with its captions; several networks vote. Runs on the current thread pool.
///
/// # Errors
/// As [`beam_search`](crate::decode::beam_search).
pub fn evaluate(
    networks: &[Weighted],
    language: &Language,
    features: &Matrix,
    described: &[Described],
    config: &BeamConfig,
) -> Result<Evaluation> {
    let networks = &ready(networks)[..];
    let loss_nats = loss_nats(networks, language, features, described)?;
    let rows: Vec<&[f32]> = described.iter().map(|described| features.row(described.row)).collect();
    let config = BeamConfig { nbest: 1, ..config.clone() };
    let found = search(networks, language, &rows, &config)?;
    let symbols: usize = found.iter().filter_map(|found| found.first()).map(|best| best.tokens.len()).sum();
    let texts: Vec<String> = found.iter().map(|found| language.text(found)).collect::<Result<_>>()?;
    let references: Vec<Vec<&str>> =
        described.iter().map(|described| described.captions.iter().map(String::as_str).collect()).collect();
    let bleu = caption_bleu(&texts, &references)?;
    let order = caption_order(&references);
    Ok(Evaluation { loss_nats, bleu, order, length: symbols as f64 / texts.len().max(1) as f64, texts })
}

/// A model of a file, ready to write.
#[derive(Debug)]
pub struct Model {
    /// The network.
    pub network: SequenceOutput,
    /// Its weights.
    pub params: Params<f32>,
    /// Its symbols.
    pub language: Language,
    /// How it was meant to search.
    pub decoding: BeamConfig,
    /// What made the features it learnt from, if that is known.
    pub encoder: Option<EncoderId>,
}

impl Model {
    /// Reads a model or a checkpoint.
    ///
    /// # Errors
    /// [`Error::Model`] if the file holds none of this task, or one that contradicts itself.
    pub fn from_file(loaded: &Loaded) -> Result<Model> {
        let wrong = |reason: String| Error::Model { path: loaded.path.clone(), reason };
        let (language, decoding) = writing::parts_of(loaded, NAME)?;
        let sizes: SequenceOutputConfig = plan::part(loaded, "network")?;
        if sizes.decoder.vocab != language.subwords.len() {
            return Err(wrong(format!("its {} symbols do not fit its network", language.subwords.len())));
        }
        let network = SequenceOutput::new(sizes).map_err(|error| wrong(error.to_string()))?;
        let params = plan::params(loaded, Shape::<f32>::layout(&network))?;
        let encoder: Option<EncoderId> = plan::part(loaded, "encoder")?;
        Ok(Model { network, params, language, decoding, encoder })
    }

    /// Opens the encoder of this file for the model.
    ///
    /// # Errors
    /// As [`Encoder::open`]; [`Error::Data`] if it is another than the model was trained with, or of another width.
    pub fn open_encoder(&self, path: &Path) -> Result<Encoder> {
        let SequenceOutputConfig { features: width, places, .. } = *self.network.config();
        let wanted = match &self.encoder {
            None => Wanted::Fits { places, width },
            Some(id) => {
                let found = EncoderId::of_file(path)?;
                if !found.is_file_of(id) {
                    let reason = format!("is {found}, but the model was trained with {id}; give that one");
                    return Err(Error::Data { path: path.into(), reason });
                }
                Wanted::Named(&id.output)
            }
        };
        let encoder = Encoder::open(path, wanted)?;
        if encoder.dims() != (places, width) {
            let (p, w) = encoder.dims();
            let reason = format!("gives {p} x {w} values of a photograph; the model was trained on {places} x {width}");
            return Err(Error::Data { path: path.into(), reason });
        }
        Ok(encoder)
    }

    /// What is written for each row of features, the best first. Runs on the current thread pool.
    ///
    /// # Errors
    /// As [`beam_search`](crate::decode::beam_search).
    pub fn write(&self, features: &[&[f32]], config: &BeamConfig) -> Result<Vec<Vec<Written>>> {
        self.write_with(&[], features, config)
    }

    /// As [`Self::write`], with the votes of other models.
    ///
    /// # Errors
    /// As [`beam_search`](crate::decode::beam_search) and [`Self::weighted`].
    pub fn write_with(&self, others: &[Model], features: &[&[f32]], config: &BeamConfig) -> Result<Vec<Vec<Written>>> {
        let found = search(&ready(&self.weighted(others)?), &self.language, features, config)?;
        found.into_iter().map(|found| self.language.written(found)).collect()
    }

    /// This network and those of other models that are to vote with it.
    ///
    /// # Errors
    /// If one has other symbols, or is made for other features.
    pub fn weighted<'m>(&'m self, others: &'m [Model]) -> Result<Vec<Weighted<'m>>> {
        let mut networks: Vec<Weighted> = vec![(&self.network, &self.params)];
        for other in others {
            self.language.shares_symbols(&other.language)?;
            let sizes = |model: &Model| (model.network.config().places, model.network.config().features);
            if sizes(self) != sizes(other) {
                let ((a, b), (c, d)) = (sizes(self), sizes(other));
                let message = format!("models that write together need the same features: {a} x {b} and {c} x {d}");
                return Err(Error::Usage(message));
            }
            networks.push((&other.network, &other.params));
        }
        Ok(networks)
    }

    /// Checks that a matrix has rows of the width the model was trained on.
    ///
    /// # Errors
    /// [`Error::Data`] with both widths.
    pub fn fits(&self, features: &Matrix, path: &Path) -> Result<()> {
        let SequenceOutputConfig { features: width, places, .. } = *self.network.config();
        if (features.row_len(), features.width()) == (places * width, width) {
            return Ok(());
        }
        let reason = format!(
            "has rows {:?}; the model was trained on {places} of {width} values; was another encoder used?",
            &features.dims[1..]
        );
        Err(Error::Data { path: path.into(), reason })
    }
}
