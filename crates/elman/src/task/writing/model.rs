//! A trained model that writes.

use std::any::Any;

use super::member::Member;
use super::network::Network;
use super::work::{Asked, Given, Model, Writing, baselines, shown};
use super::writer::Writer;
use crate::data::tokenizer::Tokenizer;
use crate::decode::{BeamConfig, Hypothesis};
use crate::error::{Error, Result};
use crate::file::HAS_FILES;
use crate::format::model::Loaded;
use crate::settings::Settings;
use crate::shape::Shape;
use crate::task::metadata::{contradiction, params, part};
use crate::task::row::no_files;
use crate::task::{Callback, Evaluate, Evaluation, Input, Output, Predict, Prediction, Reads, Written, grouped, model};

/// Opens a model or a checkpoint.
///
/// # Errors
/// [`Error::Model`] if a part is missing, or parts do not fit each other.
pub(in crate::task) fn open<W: Writing>(loaded: &Loaded) -> Result<Box<dyn model::Model>> {
    let tokenizer: Tokenizer = part(loaded, "language")?;
    if !(1.0..1e6).contains(&tokenizer.max_ratio) {
        return Err(contradiction(loaded, format!("`language.max_ratio` is {}", tokenizer.max_ratio)));
    }
    let decoding: BeamConfig = part(loaded, "decoding")?;
    decoding.validate().map_err(|error| contradiction(loaded, error))?;
    let network = W::Network::from_config(part(loaded, "network")?).map_err(|error| contradiction(loaded, error))?;
    let vocab = tokenizer.subwords.len();
    if !network.has_vocab(vocab) {
        return Err(contradiction(loaded, format!("its {vocab} tokens do not fit its network")));
    }
    let params = params(loaded, Shape::<f32>::layout(&network))?;
    let members = vec![Member::new(network, &params)];
    let is_builtin = loaded.document.config()["builtin"] == true;
    Ok(Box::new(Model { task: W::open(loaded)?, tokenizer, decoding, is_builtin, members }))
}

impl<W: Writing> Model<W> {
    /// The first network.
    pub(in crate::task) fn network(&self) -> &W::Network {
        &self.members[0].network
    }

    fn writer(&self) -> Writer<'_, W> {
        Writer::new(&self.tokenizer, &self.members)
    }

    /// A hypothesis as a text.
    fn written(&self, hypothesis: &Hypothesis) -> Result<Written> {
        let text = self.tokenizer.subwords.decode(&hypothesis.tokens)?;
        let Hypothesis { log_prob, score, .. } = *hypothesis;
        Ok(Written { text, log_prob, score, words: self.tokenizer.words(&hypothesis.tokens, &hypothesis.attention) })
    }
}

impl<W: Writing> model::Model for Model<W> {
    fn task(&self) -> &'static str {
        W::NAME
    }

    fn describe(&self) -> Vec<(&'static str, String)> {
        let Tokenizer { subwords, lowercase, .. } = &self.tokenizer;
        let case = if *lowercase { ", lower-cased" } else { "" };
        let tokens = format!("{} {}s{case}", grouped(subwords.len()), subwords.unit());
        let BeamConfig { beam, length_penalty, coverage_penalty, no_repeat_ngram, .. } = self.decoding;
        let mut decoding = format!("beam {beam}, length penalty {length_penalty}");
        if coverage_penalty > 0.0 {
            decoding += &format!(", coverage penalty {coverage_penalty}");
        }
        if no_repeat_ngram > 0 {
            decoding += &format!(", no repeated {no_repeat_ngram}-grams");
        }
        let mut lines = vec![("tokens", tokens), ("decoding", decoding)];
        lines.extend(self.task.describe());
        lines
    }

    fn reads(&self) -> Reads {
        W::READS
    }

    fn evaluate(&self, data: &Settings, options: &Evaluate, callback: &mut Callback) -> Result<Evaluation> {
        if !HAS_FILES {
            return Err(no_files());
        }
        let config = options.beam_config(&self.decoding)?;
        let Given { sources, examples, notes } = W::given(self, data, options, callback)?;
        let mut found = self.writer().evaluate(&sources, &examples, &config)?;
        found.details.insert("beam".into(), config.beam.into());
        found.details.insert("length_penalty".into(), config.length_penalty.into());
        found.details.insert("models".into(), self.members.len().into());
        found.baselines = baselines::<W>(&examples, &self.tokenizer, None)?;
        found.shown = shown::<W>(data, &sources, &examples, &found.texts);
        Ok(Evaluation { notes, ..found })
    }

    fn predict(&self, input: Input, options: &Predict) -> Result<Vec<Prediction>> {
        let (nbest, keep_attention) = (options.nbest.unwrap_or(1), options.attention == Some(true));
        let config = BeamConfig { nbest, keep_attention, ..options.beam_config(&self.decoding)? };
        config.validate()?;
        let Asked { sources, about } = W::asked(self, input, options)?;
        let which: Vec<usize> = (0..about.len()).collect();
        let found = self.writer().search(&sources, &which, &config)?;
        let prediction = |(found, (input, source, warning)): (Vec<Hypothesis>, _)| {
            let written = found.iter().map(|hypothesis| self.written(hypothesis)).collect::<Result<_>>()?;
            Ok(Prediction { input, output: Output::Texts { written, source }, warning })
        };
        found.into_iter().zip(about).map(prediction).collect()
    }

    fn join(&mut self, other: Box<dyn model::Model>) -> Result<()> {
        let name = other.task();
        let Ok(other) = other.into_any().downcast::<Self>() else {
            let message = format!("a model of the task {} and one of the task {name} cannot predict together", W::NAME);
            return Err(Error::Usage(message));
        };
        self.tokenizer.check_same_tokens(&other.tokenizer)?;
        W::check_together(self.network(), other.network())?;
        self.members.extend(other.members);
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
