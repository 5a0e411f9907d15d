//! Every command and its options.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::settings_args::SettingArgs;

/// Train and run recurrent networks on the CPU you have.
#[derive(Debug, Parser)]
#[command(name = "elman", version, max_term_width = 100, propagate_version = true, args_override_self = true, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failure, 2 usage, 3 bad data, 4 bad model or checkpoint, 5 diverged, \
                          6 disk, 130 and 143 after a signal (the state is saved).";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a network; without a file, a language model on text that the program contains.
    ///
    /// Every setting is a flag here, a key of config.toml (`elman init`), and an environment variable: --clip-norm is
    /// clip_norm and ELMAN_CLIP_NORM. A flag goes before the environment, that before the config file, that before the
    /// preset.
    Train(Box<Train>),
    /// Write text with a trained language model.
    Sample(Sample),
    /// Measure a trained model on data.
    ///
    /// A classifier: accuracy, F1, loss, of frames also the measures of segments; with the confusion matrix and the worst
    /// mistakes. A language model: three numbers, in nats per symbol: windowed (windows of 256 symbols from the zero state), streaming (the state is
    /// carried through the text) and, with --dynamic, dynamic (the weights adapt to what has been read).
    Eval(Eval),
    /// Answer with a trained classifier: texts, pictures, rows, series, clips; from arguments, files or standard input.
    Predict(Predict),
    /// Show what a model file holds, and what its neurons follow in a text.
    Inspect(Inspect),
    /// Write a model in fewer bits, and say what that costs.
    ///
    /// bf16 halves the matrices, int8 quarters them; both also run faster where the full model does not fit the caches. The
    /// loss is measured in nats per symbol on --data, or on the built-in text for a model of it.
    Quantize(Quantize),
    /// Measure this machine and a model on it: the multiply-add peak, time per step, training steps.
    ///
    /// Without a model, standard sizes.
    Bench(Bench),
    /// Make one page of one or several runs: curves, samples, settings.
    Report(Report),
    /// Look at a text before training: what is in it, and what training would do.
    CheckData(Box<CheckData>),
    /// Say what this machine offers, and whether anything is in the way.
    Doctor(Doctor),
    /// Print a commented config.toml with every setting.
    Init(Init),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, or write one for each command into a folder.
    Man {
        /// Write the pages of all commands into this folder.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Train {
    /// The data to learn from (a text, a table, a folder), or a config.toml.
    #[arg(value_name = "FILE", conflicts_with = "resume")]
    pub(crate) file: Option<PathBuf>,
    /// Folder of the run: settings, metrics, samples, models. [default: runs/NAME-N]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with the run in this folder; it ends as if it had never stopped.
    #[arg(long, value_name = "DIR")]
    pub(crate) resume: Option<PathBuf>,
    /// Settings to begin from: default, quick, min-char-rnn, char-rnn. [default: default; quick without a file]
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    pub(crate) preset: Option<String>,
    /// Set any setting by its key, such as -s lr=0.002; may be repeated.
    #[arg(short = 's', long = "set", value_name = "KEY=VALUE", conflicts_with = "resume")]
    pub(crate) set: Vec<String>,
    /// Print events as JSON, one on a line, to standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show a dashboard on the whole terminal; q stops and saves.
    #[arg(long, conflicts_with_all = ["json", "quiet"])]
    pub(crate) tui: bool,
    /// Print nothing but errors.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Sample {
    /// The model. [default: the latest run's best]
    #[arg(value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// Text to go on from.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) prompt: String,
    /// Read the text to go on from out of a file, line ends included.
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub(crate) prompt_file: Option<PathBuf>,
    /// Leave out symbols of the prompt that the model does not know, instead of refusing it.
    #[arg(long)]
    pub(crate) skip_unseen: bool,
    /// Symbols to write.
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) length: usize,
    /// Logits are divided by it; 0 takes the most likely symbol always.
    #[arg(long, value_name = "T", default_value_t = 0.8, allow_negative_numbers = true)]
    pub(crate) temperature: f64,
    /// Only the K most likely symbols; 0 for all.
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(crate) top_k: usize,
    /// Only the most likely symbols that together have this probability; 1 for all.
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) top_p: f64,
    /// Only symbols at least this many times as likely as the most likely one; 0 for all.
    #[arg(long, value_name = "RATIO", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) min_p: f64,
    /// Search for the most likely text with a beam of this width, instead of drawing symbols.
    #[arg(long, value_name = "N", conflicts_with_all = ["temperature", "top_k", "top_p", "min_p", "seed", "interactive"])]
    pub(crate) beam: Option<usize>,
    /// In a search: no run of N symbols twice; 0 allows all, and likely texts repeat themselves.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "beam")]
    pub(crate) no_repeat_ngram: usize,
    /// The same seed writes the same text. [default: another each time]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// End before this text.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) stop: String,
    /// Interactive: each line you type is read, then the model goes on; the state is kept.
    #[arg(long, short)]
    pub(crate) interactive: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Eval {
    /// The model.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// The data: a text, a table, a folder.
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Of a model that translates: the texts to read, one a line.
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    pub(crate) source: String,
    /// Of a model that translates: what they should become, line by line.
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    pub(crate) target: String,
    /// Of a model that describes: the features, a row for each picture.
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    pub(crate) features: String,
    /// Of a model that describes: the table of row (or image, with --images), split and caption.
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    pub(crate) captions: String,
    /// Of a model that describes: the folder of the photographs, instead of features.
    #[arg(long, value_name = "DIR", requires = "encoder", conflicts_with = "features")]
    pub(crate) images: Option<PathBuf>,
    /// The network that makes features of the photographs, the one the model was trained with.
    #[arg(long, value_name = "FILE.onnx", requires = "images")]
    pub(crate) encoder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) search: Search,
    /// The part to measure on, of data that come in parts: train, dev, test, all. [default: test]
    #[arg(long, value_name = "PART", default_value = "", hide_default_value = true)]
    pub(crate) split: String,
    #[command(flatten)]
    pub(crate) columns: Columns,
    /// Of two classes: write the points of the ROC curve and of precision against recall as comma-separated values.
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) curves: Option<PathBuf>,
    /// The worst mistakes to show.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) mistakes: usize,
    /// Begin at this share of the text: 0.9 measures its last tenth.
    #[arg(long, value_name = "FRAC", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) from: f64,
    /// Also measure with weights that adapt to what has been read.
    #[arg(long)]
    pub(crate) dynamic: bool,
    /// Learning rate of the adaptation.
    #[arg(long, value_name = "RATE", default_value_t = elman::task::score::Dynamic::default().lr)]
    pub(crate) dynamic_lr: f64,
    /// Share of the way back to the trained weights after each 64 symbols.
    #[arg(long, value_name = "SHARE", default_value_t = elman::task::score::Dynamic::default().decay)]
    pub(crate) dynamic_decay: f64,
    /// Leave out symbols the model does not know, instead of refusing the text.
    #[arg(long)]
    pub(crate) skip_unseen: bool,
    /// Threads; 0 for all cores.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a model that writes searches. [default: as it was trained to]
#[derive(Debug, clap::Args)]
pub(crate) struct Search {
    /// Another model of the same symbols, that writes together with the first: the mean of their probabilities counts;
    /// may be repeated.
    #[arg(long, value_name = "MODEL")]
    pub(crate) ensemble: Vec<PathBuf>,
    /// Hypotheses kept of each sequence; 1 always takes the most likely symbol.
    #[arg(long, value_name = "N")]
    pub(crate) beam: Option<usize>,
    /// Hypotheses are compared by log-probability / length^this.
    #[arg(long, value_name = "A", allow_negative_numbers = true)]
    pub(crate) length_penalty: Option<f64>,
    /// Weight of a penalty on what was not looked at.
    #[arg(long, value_name = "W", allow_negative_numbers = true)]
    pub(crate) coverage_penalty: Option<f64>,
    /// No run of so many symbols twice in a sequence; 0 allows all.
    #[arg(long, value_name = "N")]
    pub(crate) no_repeat_ngram: Option<usize>,
    /// Symbols a sequence has at least.
    #[arg(long, value_name = "N")]
    pub(crate) min_length: Option<usize>,
}

/// Columns of a table. [default: those the model was trained on]
#[derive(Debug, clap::Args)]
pub(crate) struct Columns {
    /// The column with the text, by name or by number from 1.
    #[arg(long, value_name = "COLUMN", default_value = "", hide_default_value = true)]
    pub(crate) text_column: String,
    /// The column with the label, by name or by number from 1.
    #[arg(long, value_name = "COLUMN", default_value = "", hide_default_value = true)]
    pub(crate) label_column: String,
    /// The column that says which rows are the steps of one sequence, by name or by number from 1.
    #[arg(long, value_name = "COLUMN", default_value = "", hide_default_value = true)]
    pub(crate) sequence_column: String,
    /// Whether the first row names the columns: auto, yes or no.
    #[arg(long, value_name = "WORD", default_value = "auto")]
    pub(crate) header: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Predict {
    /// The model.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// Texts, pictures, tables or clips, as the model reads; `-`, or none, for standard input: a text or a row a line,
    /// or frames as YUV4MPEG2 (y4m) or raw grey bytes.
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,
    #[command(flatten)]
    pub(crate) columns: Columns,
    #[command(flatten)]
    pub(crate) search: Search,
    /// Of a model that writes: the best so many texts of each input.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) nbest: usize,
    /// Of a model that translates: a file of texts to read, one a line.
    #[arg(long, value_name = "FILE", conflicts_with = "inputs")]
    pub(crate) source: Option<PathBuf>,
    /// Of a model that writes: score and log-probability before each text.
    #[arg(long)]
    pub(crate) scores: bool,
    /// Of a model that describes: the network that makes features of photographs, the one the model was trained with.
    #[arg(long, value_name = "FILE.onnx")]
    pub(crate) encoder: Option<PathBuf>,
    /// Of a model that writes: draw where it looked as it wrote each word, on a page (FILE.html), or on a page and a PNG for
    /// each word of a photograph (a folder).
    #[arg(long, value_name = "FILE.html|DIR")]
    pub(crate) attention: Option<PathBuf>,
    /// Say which words moved the decision, and by how much.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Print a line for every frame, not only for runs of the same label.
    #[arg(long)]
    pub(crate) frames: bool,
    /// Standard input is raw grey frames of the model's size, not y4m.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Print a JSON object on a line for each answer.
    #[arg(long, conflicts_with = "csv")]
    pub(crate) json: bool,
    /// Print comma-separated values with a header.
    #[arg(long)]
    pub(crate) csv: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// The model or checkpoint.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// Read this text and show the neurons that follow something in it: line length, quotes, brackets, words.
    #[arg(long, value_name = "TEXT|FILE")]
    pub(crate) neurons: Option<String>,
    /// Write the coloured text of the neurons as a page.
    #[arg(long, value_name = "FILE.html", requires = "neurons")]
    pub(crate) html: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Quantize {
    /// The model or checkpoint.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// How the matrices are held.
    #[arg(long, value_name = "PRECISION")]
    pub(crate) precision: FewerBits,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Text to measure the loss on. [default: the end of the built-in text, if the model has its symbols]
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// Leave out symbols the model does not know, instead of refusing the text.
    #[arg(long, requires = "data")]
    pub(crate) skip_unseen: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FewerBits {
    /// Signed bytes, a scale for each row; states are rounded too as it runs.
    Int8,
    /// bfloat16.
    Bf16,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// The model. [default: standard sizes]
    #[arg(value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// Threads of training steps; 0 for all cores.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckData {
    /// The text, or the data of the --task; none for what the program makes, or where the settings name the files.
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// Folders of runs.
    #[arg(value_name = "DIR", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// The page.
    #[arg(long, value_name = "FILE.html", default_value = "report.html")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// What is to be learnt.
    #[arg(value_name = "TASK", default_value = "language-model", value_parser = PossibleValuesParser::new(elman::task::NAMES))]
    pub(crate) task: String,
    /// Settings of a language model to begin from: default, quick, min-char-rnn, char-rnn.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) preset: String,
}
