//! A vector becomes a sequence: what is seen in a photograph, a name of a kind, a melody of a mood. Reader: a matrix of
//! features, or photographs and an encoder, and a table of captions; shape: sequence output; measure: BLEU-4 of what is
//! written for held-out rows.

mod corpus;
mod model;

use serde_json::{Value, json};

use self::model::{batch, ready, search};
use super::photographs::Watch;
use super::plan::{self, Facts};
use super::settings::Settings;
use super::writing::{beam_config, decoder, own_probability, spread, val_beam_config};
use crate::data::Buckets;
use crate::decode::BeamConfig;
use crate::error::{Error, Result};
use crate::param::Params;
use crate::rng::Rng;
use crate::shape::{DecoderConfig, SequenceOutput, SequenceOutputBatch, SequenceOutputConfig, Shape};
use crate::train::{Engine, RunFolder, Scores, Session, Task, Trainer, blocks};

pub use self::corpus::{Corpus, Described, read, read_images};
pub use self::model::{Evaluation, Model, Weighted, evaluate};

/// The name in files and on the command line.
pub const NAME: &str = "caption";

/// The network the settings ask for: rows of `dims` `[N, ..]`, `vocab` symbols.
///
/// # Errors
/// [`Error::Usage`] with the flag to change.
pub fn network(settings: &Settings, dims: &[usize], vocab: usize) -> Result<SequenceOutput> {
    let features = dims.last().copied().unwrap_or(0);
    let places = dims.iter().skip(1).product::<usize>() / features.max(1);
    let is_map = places > 1;
    let of_map = decoder(settings, vocab);
    let decoder = match is_map {
        // There is no encoder whose layers these would be: a conditional decoder refuses more than one.
        true => DecoderConfig { layers: settings.layers, ..of_map },
        // There is nothing to look at; a conditional decoder refuses that, too.
        false => DecoderConfig { attention: None, layers: settings.layers, upper_layers: 0, ..of_map },
    };
    let (memory, feature_dropout) = (settings.hidden, settings.feature_dropout);
    SequenceOutput::new(SequenceOutputConfig { features, places, memory, feature_dropout, decoder })
}

/// The task: batches of captions of like length, judged by what is written for held-out rows.
#[derive(Debug)]
pub struct Caption<'c> {
    corpus: &'c Corpus,
    settings: Settings,
    buckets: Buckets,
    blocks: usize,
}

impl<'c> Caption<'c> {
    /// The task of these settings on a corpus.
    ///
    /// # Errors
    /// If there is no caption.
    pub fn new(corpus: &'c Corpus, settings: &Settings) -> Result<Self> {
        let lengths = corpus.train.iter().map(|(_, symbols)| symbols.len()).collect();
        let buckets = Buckets::new(lengths, settings.batch, settings.seed)?;
        let blocks = blocks(buckets.batch()).len();
        Ok(Caption { corpus, settings: settings.clone(), buckets, blocks })
    }
}

impl Task<SequenceOutput> for Caption<'_> {
    fn initial_states(&self) -> Vec<()> {
        vec![(); self.blocks]
    }

    fn next_batch(
        &mut self,
        index: u64,
        batches: &mut Vec<SequenceOutputBatch<f32>>,
        _: &mut dyn Iterator<Item = &mut ()>,
    ) {
        let own = own_probability(&self.settings, self.buckets.epochs(), index);
        let (examples, Corpus { features, language, train, .. }) = (self.buckets.next_batch(), self.corpus);
        batches.clear();
        // Dealt like cards, so that blocks take like times.
        batches.extend((0..self.blocks).map(|block| {
            let part = examples.iter().skip(block).step_by(self.blocks);
            let mut batch = batch(part.map(|&i| &train[i]), features, language);
            if own > 0.0 {
                let mut rng = Rng::for_step(self.settings.seed, "scheduled sampling", index, block as u64);
                batch.targets.read_own(own, &mut rng);
            }
            batch
        }));
    }

    fn epochs(&self) -> f64 {
        self.buckets.epochs()
    }

    fn batches_per_epoch(&self) -> f64 {
        self.buckets.batches_per_epoch() as f64
    }

    fn position(&self) -> Value {
        json!(self.buckets.position())
    }

    fn seek(&mut self, position: &Value) -> Result<()> {
        let position = serde_json::from_value(position.clone())
            .map_err(|error| Error::Usage(format!("the position in the data cannot be used: {error}")))?;
        self.buckets.seek(position)
    }

    fn fingerprint(&self) -> Value {
        let Corpus { features, train, val, .. } = self.corpus;
        let mut hasher = crc32fast::Hasher::new();
        for row in 0..features.rows() {
            // A call for each row, not for each value: a map has half a billion.
            hasher.update(&features.row(row).iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        }
        for (row, symbols) in train {
            hasher.update(&(*row as u64).to_le_bytes());
            symbols.iter().for_each(|symbol| hasher.update(&symbol.to_le_bytes()));
        }
        json!({"captions": train.len(), "held_out": val.len(), "crc32": hasher.finalize()})
    }

    fn validate(
        &mut self,
        network: &SequenceOutput,
        params: &Params<f32>,
        engine: &Engine<f32, SequenceOutput>,
    ) -> Result<Scores> {
        let Corpus { language, features, val, .. } = self.corpus;
        let config = val_beam_config(&self.settings);
        let judged: Vec<Described> = spread(val.len(), self.settings.val_limit).map(|i| val[i].clone()).collect();
        let result = engine.install(|| evaluate(&[(network, params)], language, features, &judged, &config))?;
        let bleu = |order: usize| (format!("val_bleu{order}"), result.bleu[order - 1]);
        let mut values = vec![bleu(result.order), bleu(1), ("val_nats".to_string(), result.loss_nats)];
        values.dedup();
        Ok(Scores { values, higher_is_better: true })
    }

    fn sample(&mut self, network: &SequenceOutput, params: &Params<f32>, step: u64) -> Result<Option<String>> {
        let Corpus { language, features, val, .. } = self.corpus;
        let Some(i) = val.len().checked_sub(1) else { return Ok(None) };
        let described = &val[Rng::for_step(self.settings.seed, "sample", step, 0).below(i + 1)];
        let row = [features.row(described.row)];
        let found = search(&ready(&[(network, params)]), language, &row, &BeamConfig::greedy())?;
        let (text, right) = (language.text(&found[0])?, &described.captions[0]);
        Ok(Some(format!("row {}: {text}\nright: {right}", described.row)))
    }

    fn model_config(&self, network: &SequenceOutput) -> Value {
        json!({
            "task": NAME,
            "shape": "sequence-output",
            "network": network.config(),
            "language": self.corpus.language,
            "decoding": beam_config(&self.settings),
            "encoder": self.corpus.encoder,
        })
    }
}

/// Everything of a run before its first update.
pub struct Plan {
    settings: Settings,
    corpus: Corpus,
    network: SequenceOutput,
}

impl Plan {
    /// Reads features and captions and lays the network out.
    ///
    /// # Errors
    /// As [`Corpus::read`] and [`network`].
    pub fn new(settings: Settings, watch: &mut Watch) -> Result<Plan> {
        val_beam_config(&settings).validate()?;
        beam_config(&settings).validate()?;
        let corpus = Corpus::read(&settings, watch)?;
        let network = network(&settings, &corpus.features.dims, corpus.language.subwords.len())?;
        Ok(Plan { settings, corpus, network })
    }
}

impl super::Plan for Plan {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn facts(&self) -> Facts {
        let (s, Corpus { features, language, train, val, too_long, note, .. }) = (&self.settings, &self.corpus);
        let weights = Shape::<f32>::layout(&self.network).len();
        let vocab = language.subwords.len();
        let symbols: usize = train.iter().map(|(_, symbols)| symbols.len() + 1).sum();
        let longest = train.iter().map(|(_, symbols)| symbols.len() + 1).max().unwrap_or(0);
        let activations = s.batch * (longest * (2 * vocab + 20 * s.hidden) + 3 * features.row_len());
        let mut notes: Vec<String> = note.iter().cloned().collect();
        if *too_long > 0 {
            notes.push(format!("{too_long} captions of more than {} symbols are left out (--max-len)", s.max_len));
        }
        Facts {
            network: format!("{} {}x{}", s.cell.name(), s.layers, s.hidden),
            parameters: weights,
            data: format!(
                "{} captions to learn from, {} rows held out, {} features; {vocab} symbols, {} a caption on average",
                train.len(),
                val.len(),
                features.row_len(),
                symbols / train.len().max(1)
            ),
            targets: symbols,
            unit: language.subwords.unit(),
            notes,
            memory: plan::memory(weights, s.batch, activations) + 4 * features.values.len(),
            json: json!({"captions": train.len(), "held_out": val.len(), "symbols": vocab, "too_long": too_long}),
            command: "elman predict",
        }
    }

    fn session<'a>(&'a self, folder: Option<RunFolder>, resume: bool) -> Result<Box<dyn Session + 'a>> {
        let s = &self.settings;
        let params = self.network.init(s.init.0, &mut Rng::new(s.seed, "weights"));
        let task = Caption::new(&self.corpus, s)?;
        let threads = super::language_model::threads(s.threads);
        let mut trainer = Trainer::new(&self.network, task, s.train_config(), params, threads, folder)?;
        if resume {
            trainer.resume()?;
        }
        Ok(Box::new(trainer))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::data::Matrix;
    use crate::format::document::DocumentWriter;
    use crate::format::model;
    use crate::train::weights;

    const COLOURS: [&str; 3] = ["red", "green", "blue"];
    const FORMS: [&str; 3] = ["circle", "square", "star"];

    /// Pictures of two features each, one for the colour and one for the form, with two captions.
    fn scenes(rows: usize, seed: u64, places: usize) -> (Matrix, Vec<Described>) {
        let mut rng = Rng::new(seed, "scenes");
        let (mut values, mut described) = (Vec::new(), Vec::new());
        for row in 0..rows {
            let (colour, form) = (rng.below(3), rng.below(3));
            for place in 0..places {
                let mut features = [0.0f32; 6];
                // In a map, colour and form stand at different places.
                if place == 0 {
                    features[colour] = 1.0;
                }
                if place == places - 1 {
                    features[3 + form] = 1.0;
                }
                values.extend(features);
            }
            let captions = vec![format!("There is a {} {}.", COLOURS[colour], FORMS[form])];
            described.push(Described { row, captions });
        }
        let dims = if places == 1 { vec![rows, 6] } else { vec![rows, places, 6] };
        (Matrix { dims, values }, described)
    }

    fn settings() -> Settings {
        Settings {
            hidden: 24,
            embedding: 16,
            dropout: 0.0,
            feature_dropout: 0.0,
            label_smoothing: 0.0,
            vocab_min: 1,
            batch: 16,
            lr: 0.01,
            average: 0.0,
            warmup: 10,
            epochs: 15.0,
            sample_every: 0,
            threads: 1,
            ..Settings::for_task(NAME).unwrap()
        }
    }

    #[test]
    fn scenes_are_described_from_a_vector_and_from_a_map() {
        for places in [1, 4] {
            let settings = settings();
            let (features, mut described) = scenes(300, 1, places);
            let val = described.split_off(250);
            let corpus = Corpus::of(features, &described, val, &settings).unwrap();
            let network = network(&settings, &corpus.features.dims, corpus.language.subwords.len()).unwrap();
            let params = network.init(settings.init.0, &mut Rng::new(1, "weights"));
            let task = Caption::new(&corpus, &settings).unwrap();
            let mut trainer = Trainer::new(&network, task, settings.train_config(), params, 1, None).unwrap();
            trainer.run(&AtomicBool::new(false), &mut |_| {}).unwrap();
            let params = trainer.params().clone();
            let Corpus { language, features, val, .. } = &corpus;
            let config = beam_config(&settings);
            let found = evaluate(&[(&network, &params)], language, features, val, &config).unwrap();
            assert!(found.bleu[3] > 99.0 && found.loss_nats < 0.05, "{places}: {:?}", found.bleu);
            assert_eq!(found.texts[3], val[3].captions[0].to_lowercase());

            let mut config = Caption::new(&corpus, &settings).unwrap().model_config(&network);
            config["kind"] = "model".into();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m.safetensors");
            model::save(&path, &DocumentWriter { config, tensors: weights(&params) }).unwrap();
            let read = Model::from_file(&model::load(&path).unwrap()).unwrap();
            let again = evaluate(&read.weighted(&[]).unwrap(), &read.language, features, val, &read.decoding).unwrap();
            assert_eq!(again.texts, found.texts);
            assert!(read.fits(features, &path).is_ok());
            let other = Matrix { dims: vec![2, 5], values: vec![0.0; 10] };
            assert!(read.fits(&other, &path).unwrap_err().to_string().contains("another encoder"));
        }
    }
}
