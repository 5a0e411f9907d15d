//! The plan of every task that writes.

use serde_json::json;

use super::network::{Network, Sources};
use super::training::Training;
use super::work::{Corpus, Writing};
use crate::data::tokenizer::Tokenizer;
use crate::data::{SubwordsConfig, Units};
use crate::decode::BeamConfig;
use crate::error::{Error, Result};
use crate::rng::Rng;
use crate::settings::Settings;
use crate::shape::{DecoderConfig, Shape};
use crate::task::frozen::frozen;
use crate::task::plan::{Plan, Start, memory, session};
use crate::task::pretrained::{Grown, Pretrained};
use crate::task::{Callback, RunSummary, grouped};
use crate::train::Session;

/// Everything of a run before its first update.
struct Run<W: Writing> {
    settings: Settings,
    corpus: Corpus<W>,
    network: W::Network,
    summary: RunSummary,
}

/// Reads the data and lays the network out.
///
/// # Errors
/// Settings that contradict each other; any reader error.
pub(in crate::task) fn plan<W: Writing>(settings: Settings, callback: &mut Callback) -> Result<Box<dyn Plan>> {
    check(&settings)?;
    let corpus = W::corpus(&settings, callback)?;
    let network = W::network(&settings, &corpus)?;
    let mut summary = summary(&settings, &corpus, &network);
    let layout = Shape::<f32>::layout(&network);
    if let Some(from) = Pretrained::open(&settings)? {
        let (old, new): (Tokenizer, _) = (from.part("language")?, &corpus.tokenizer);
        from.check(layout, &grown(&old, new))?;
        let added = (old.subwords.bos()..new.subwords.bos()).map(|token| new.subwords.name(token)).collect();
        summary.notes.insert(0, from.note(&[(new.subwords.unit(), added)]));
    }
    summary.notes.extend(frozen(&settings, layout)?.1);
    Ok(Box::new(Run { settings, corpus, network, summary }))
}

/// Checks the settings of the decoder and of the search.
fn check(settings: &Settings) -> Result<()> {
    let s = settings;
    s.beam_config().validate()?;
    BeamConfig { beam: s.val_beam, ..s.beam_config() }.validate().map_err(|error| match error {
        Error::Setting { value, requirement, .. } => Error::Setting { key: "val_beam".into(), value, requirement },
        error => error,
    })?;
    if s.scheduled_sampling > 0.0 && s.epochs == 0.0 && s.max_steps == 0 {
        let requirement = "must be 0, or needs `epochs` or `max_steps`, over which it grows: a share of `max_time` would \
                           differ from run to run";
        return Err(Error::setting("scheduled_sampling", s.scheduled_sampling, requirement));
    }
    if s.conditional && s.upper_layers != 1 {
        let requirement = "must be 1 with `conditional`; for another number, give `conditional = false`";
        return Err(Error::setting("upper_layers", s.upper_layers, requirement));
    }
    Ok(())
}

fn summary<W: Writing>(settings: &Settings, corpus: &Corpus<W>, network: &W::Network) -> RunSummary {
    let Corpus { tokenizer, sources, train, val, too_long, notes, .. } = corpus;
    let (vocab, unit) = (tokenizer.subwords.len(), tokenizer.subwords.unit());
    let targets: usize = train.iter().map(|(_, target)| target.len() + 1).sum();
    let longest = train.iter().map(|(source, target)| sources.length(*source) + target.len()).max().unwrap_or(0);
    let weights = Shape::<f32>::layout(network).len();
    let [network, data] = W::in_words(settings, corpus, network);
    let (mean, example) = (targets / train.len().max(1), W::EXAMPLE);
    let mut notes = notes.clone();
    if *too_long > 0 {
        let count = grouped(*too_long);
        notes.push(format!("{count} {example}s of more than {} tokens are left out (`max_len`)", settings.max_len));
    }
    RunSummary {
        network,
        parameters: weights,
        data: format!("{data}; vocabulary of {} {unit}s, {mean} per target on average", grouped(vocab)),
        targets,
        unit,
        loss_unit: "nats",
        notes,
        reads: Vec::new(),
        memory: memory(weights, settings.batch, W::activations(settings, corpus, longest)),
        json: json!({(format!("{example}s")): [train.len(), val.len()], "tokens": vocab, "too_long": too_long}),
    }
}

impl<W: Writing> Plan for Run<W> {
    fn parts(&self) -> (&Settings, &RunSummary) {
        (&self.settings, &self.summary)
    }

    fn session<'a>(&'a self, start: Start) -> Result<Box<dyn Session + 'a>> {
        let mut params = self.network.initial(self.settings.init.0, &mut Rng::new(self.settings.seed, "weights"));
        if let Some(from) = Pretrained::open(&self.settings)? {
            from.copy(&mut params, &grown(&from.part("language")?, &self.corpus.tokenizer))?;
        }
        let training = Training::new(&self.corpus, &self.settings, &start.ranks)?;
        session(&self.network, training, &self.settings, params, start)
    }
}

/// Learns the tokens of texts.
///
/// # Errors
/// If there are none.
pub(in crate::task) fn tokenizer<'a>(
    texts: impl Iterator<Item = &'a str> + Send,
    settings: &Settings,
) -> Result<Tokenizer> {
    let Settings { units, vocab_size: size, vocab_min, lowercase, .. } = *settings;
    let config = SubwordsConfig { units, size, least: vocab_min as u64, lowercase };
    let Some(from) = Pretrained::open(settings)? else { return Tokenizer::train(texts, &config) };
    // Of subwords only letters that are new are added.
    let units = if units == Units::Word { Units::Word } else { Units::Char };
    let (old, new): (Tokenizer, _) =
        (from.part("language")?, Tokenizer::train(texts, &SubwordsConfig { units, ..config })?);
    Ok(Tokenizer { subwords: old.subwords.extended(&new.subwords)?, ..old })
}

/// Where the tokens of a model stand among more: BOS and EOS are the last.
fn grown(old: &Tokenizer, new: &Tokenizer) -> Grown {
    let last = [new.subwords.bos(), new.subwords.eos()];
    let ids: Vec<Option<u32>> = (0..old.subwords.bos()).chain(last).map(Some).collect();
    Grown { tokens: ids.clone(), classes: ids }
}

/// The decoder the settings ask for, with attention.
pub(in crate::task) fn decoder(settings: &Settings, vocab: usize) -> DecoderConfig {
    let s = settings;
    DecoderConfig {
        cell: s.cell,
        vocab,
        embedding: if s.embedding > 0 { s.embedding } else { s.hidden },
        hidden: s.hidden,
        layers: if s.conditional { 1 } else { s.layers },
        upper_layers: if s.conditional { 1 } else { s.upper_layers },
        conditional: s.conditional,
        attention: Some(s.attention),
        attention_hidden: s.hidden,
        scaled_attention: true,
        tied: s.tied,
        dropout: s.dropout,
        locked_dropout: s.locked_dropout,
        label_smoothing: s.label_smoothing,
    }
}
