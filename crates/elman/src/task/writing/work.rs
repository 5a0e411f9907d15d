//! All in which the tasks that write differ: what they read, their network, their measures.

use std::fmt::Debug;

use serde_json::Value;

use super::member::Member;
use super::network::{Network, Sources};
use crate::data::captions::Example;
use crate::data::tokenizer::Tokenizer;
use crate::decode::BeamConfig;
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::metric::{self, Baseline, Measure, Shown};
use crate::rng::Rng;
use crate::settings::Settings;
use crate::shape::Shape;
use crate::task::{Callback, Evaluate, Evaluation, Input, Predict, Reads, Source};

/// A block of a batch of a task's network.
pub(in crate::task) type Batch<W> = <<W as Writing>::Network as Shape<f32>>::Batch;
/// An element of a task's sources.
pub(in crate::task) type Element<W> = <<W as Writing>::Network as Network>::Element;

/// Sources, and the target of each.
pub(in crate::task) type Pairs<'a, W> = (Vec<&'a [Element<W>]>, Vec<&'a [u32]>);

/// A task that writes. A value of it is what a run or a model knows beside its tokens and its network.
pub(in crate::task) trait Writing: Debug + Send + Sync + Sized + 'static {
    /// Its name.
    const NAME: &'static str;
    /// Its shape, as model files name it.
    const SHAPE: &'static str;
    /// What an example of the training data is called.
    const EXAMPLE: &'static str;
    /// What examples of an evaluation are called.
    const EXAMPLES: &'static str;
    /// The share of the training examples whose ratio of target to source length a search allows for.
    const USUAL: f64;
    /// What predictions are made for.
    const READS: Reads;
    /// Its network.
    type Network: Network;
    /// Its sources.
    type Sources: Sources<Element = Element<Self>>;

    /// Reads the training data; where the settings name none, data that the program makes.
    fn corpus(settings: &Settings, callback: &mut Callback) -> Result<Corpus<Self>>;

    /// The network that the settings ask for.
    fn network(settings: &Settings, corpus: &Corpus<Self>) -> Result<Self::Network>;

    /// The network and the data in a few words each.
    fn in_words(settings: &Settings, corpus: &Corpus<Self>, network: &Self::Network) -> [String; 2];

    /// Values that a batch of examples of `longest` tokens holds, roughly.
    fn activations(settings: &Settings, corpus: &Corpus<Self>, longest: usize) -> usize;

    /// What identifies the data.
    fn fingerprint(corpus: &Corpus<Self>) -> Result<Value>;

    /// A block of training examples; `rng` gives the stream of a name.
    fn block(&self, pairs: Pairs<Self>, tokenizer: &Tokenizer, rng: impl Fn(&str) -> Rng) -> Batch<Self> {
        let _ = rng;
        Self::Network::batch(&pairs.0, &pairs.1, tokenizer)
    }

    /// The measures of a validation, the one that chooses the best model first.
    fn validated(examples: &[Example]) -> Vec<&'static str>;

    /// Compares texts with their references.
    fn measure(texts: &[String], references: &[Vec<&str>], tokenizer: &Tokenizer) -> Result<Evaluation>;

    /// A simple rule: its name, and what it writes for each example; none where it takes training data that are not at hand.
    ///
    /// # Errors
    /// If the training data have tokens that the tokenizer has not.
    fn rule(examples: &[Example], training: Option<&Corpus<Self>>) -> Result<Option<(&'static str, Vec<String>)>>;

    /// The picture of an example's source, where it has one.
    fn picture(settings: &Settings, sources: &Self::Sources, example: &Example) -> Option<Shown> {
        let _ = (settings, sources, example);
        None
    }

    /// Adds to the metadata of a model file what [`Self::open`] reads.
    fn describe_in(&self, config: &mut Value) {
        let _ = config;
    }

    /// What a model file says beside its tokens and its network.
    fn open(loaded: &Loaded) -> Result<Self>;

    /// The same in lines for people.
    fn describe(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Checks that two networks read the same sources.
    fn check_together(one: &Self::Network, other: &Self::Network) -> Result<()> {
        let _ = (one, other);
        Ok(())
    }

    /// Reads the data of an evaluation.
    fn given(model: &Model<Self>, data: &Settings, options: &Evaluate, call: &mut Callback) -> Result<Given<Self>>;

    /// Reads what predictions are asked for.
    fn asked(model: &Model<Self>, input: Input, options: &Predict) -> Result<Asked<Self>>;
}

/// Training and validation data.
#[derive(Debug)]
pub(in crate::task) struct Corpus<W: Writing> {
    pub(in crate::task) task: W,
    pub(in crate::task) tokenizer: Tokenizer,
    pub(in crate::task) sources: W::Sources,
    /// The source and the tokens of each training target.
    pub(in crate::task) train: Vec<(usize, Vec<u32>)>,
    pub(in crate::task) val: Vec<Example>,
    /// Training examples that are left out because they are longer than `max_len`.
    pub(in crate::task) too_long: usize,
    /// How the data were obtained.
    pub(in crate::task) notes: Vec<String>,
}

impl<W: Writing> Corpus<W> {
    /// Leaves out training examples that are too long, and learns how long targets are.
    ///
    /// # Errors
    /// [`Error::Setting`] if none is left.
    pub(in crate::task) fn new(
        task: W,
        mut tokenizer: Tokenizer,
        sources: W::Sources,
        (train, val): (&[Example], Vec<Example>),
        settings: &Settings,
    ) -> Result<Self> {
        let mut train = tokenizer.targets(train)?;
        let (all, most) = (train.len(), if settings.max_len == 0 { usize::MAX } else { settings.max_len });
        train.retain(|(source, target)| sources.length(*source) <= most && target.len() < most);
        if train.is_empty() {
            let requirement = format!("must be higher: every training {} is longer", W::EXAMPLE);
            return Err(Error::setting("max_len", most, requirement));
        }
        let lengths = train.iter().map(|(source, target)| (sources.length(*source), target.len() + 1));
        tokenizer.learn_ratio(lengths, W::USUAL);
        let too_long = all - train.len();
        Ok(Corpus { task, tokenizer, sources, train, val, too_long, notes: Vec::new() })
    }
}

/// Data of an evaluation.
pub(in crate::task) struct Given<W: Writing> {
    pub(in crate::task) sources: W::Sources,
    pub(in crate::task) examples: Vec<Example>,
    pub(in crate::task) notes: Vec<String>,
}

/// Sources that texts are to be written for.
pub(in crate::task) struct Asked<W: Writing> {
    pub(in crate::task) sources: W::Sources,
    /// Of each source its name, what is shown of it, and what a person should know.
    pub(in crate::task) about: Vec<(String, Source, Option<String>)>,
}

/// A model of a file, and those that vote with it.
#[derive(Debug)]
pub(in crate::task) struct Model<W: Writing> {
    pub(in crate::task) task: W,
    pub(in crate::task) tokenizer: Tokenizer,
    pub(super) decoding: BeamConfig,
    /// Whether it was trained on data of the program.
    pub(in crate::task) is_builtin: bool,
    pub(super) members: Vec<Member<W::Network>>,
}

/// What a simple rule reaches on examples.
///
/// # Errors
/// As [`Writing::measure`].
pub(super) fn baselines<W: Writing>(
    examples: &[Example],
    tokenizer: &Tokenizer,
    training: Option<&Corpus<W>>,
) -> Result<Vec<Baseline>> {
    let Some((name, texts)) = W::rule(examples, training)? else { return Ok(Vec::new()) };
    let references: Vec<Vec<&str>> =
        examples.iter().map(|example| example.targets.iter().map(String::as_str).collect()).collect();
    let found = W::measure(&texts, &references, tokenizer)?;
    let of = |measure: &Measure| Baseline { name: name.into(), measure: measure.name.into(), value: measure.value };
    let deciding = W::validated(examples).first().copied();
    Ok(found.measures.iter().filter(|measure| Some(measure.name) == deciding).map(of).collect())
}

/// Some examples with what was written for them.
pub(super) fn shown<W: Writing>(
    settings: &Settings,
    sources: &W::Sources,
    examples: &[Example],
    texts: &[String],
) -> Vec<metric::Example> {
    let wrong = |(example, text): (&Example, &String)| f64::from(u8::from(!example.targets.contains(text)));
    let wrong: Vec<f64> = examples.iter().zip(texts).map(wrong).collect();
    let one = |i: usize| metric::Example {
        input: W::picture(settings, sources, &examples[i]).unwrap_or_else(|| Shown::text(&examples[i].name)),
        truth: examples[i].targets[0].clone(),
        predicted: texts[i].clone(),
        probability: None,
        is_right: Some(wrong[i] == 0.0),
        steps: Vec::new(),
    };
    metric::chosen(&wrong).into_iter().map(one).collect()
}
