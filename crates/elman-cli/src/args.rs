//! Every command and its options.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser};
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use elman::task::TASKS;

use crate::settings_args::SettingArgs;

/// Train and run recurrent networks on the CPU you have.
#[derive(Debug, Parser)]
#[command(name = "elman", version, max_term_width = 100, propagate_version = true, args_override_self = true, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// The most that is read of one file, decompressed: 4GiB, 500MB.
    #[arg(long, global = true, value_name = "BYTES", env = "ELMAN_MAX_INPUT", hide_env_values = true)]
    pub(crate) max_input: Option<String>,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failure, 2 usage, 3 bad data, 4 bad model or checkpoint, 5 diverged, \
                          6 disk, 129, 130 and 143 after a signal, 141 of \
                          train when the reader of its output went away (the state is saved).";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a network; without data, a language model on text that the program contains.
    ///
    /// Every setting is a flag here, a key of config.toml (`elman init`), and an environment variable: --clip-norm is
    /// clip_norm and ELMAN_CLIP_NORM. A flag goes before the environment, that before the config file or the preset.
    Train(Box<Train>),
    /// Write text with a trained language model.
    Sample(Sample),
    /// Evaluate a trained model: accuracy and F1, BLEU, perplexity, as its task is measured.
    ///
    /// Of a classifier also the confusion matrix and the worst mistakes, of frames the measures of segments. Of a language
    /// model three losses in nats per token: windowed (windows of 256 tokens from the zero state), streaming (the state is
    /// carried through the text) and, with --dynamic, dynamic (the weights adapt to what has been read).
    Eval(Eval),
    /// Predict with a trained model: classes, numbers, translations, captions; from arguments, files or standard input.
    Predict(Predict),
    /// Show what a model file contains; of a language model also what its neurons follow in a text.
    Inspect(Inspect),
    /// Read a network made elsewhere: PyTorch, Keras, ONNX, safetensors, NAM, RTNeural, RNNoise and more, by content.
    ///
    /// Prints what was made of every tensor. With --out the network is written as a model file that every command here
    /// reads.
    Import(Import),
    /// Run any network on arrays (.npy): one imported, one trained here, or a foreign file directly.
    ///
    /// Axes are those of the format: ours and Keras [T, I] or [B, T, I] ([T] is [T, 1]; integers are tokens), PyTorch
    /// [T, B, I], ONNX as the graph says.
    Run(RunGraph),
    /// Write a network for another program.
    Export(Export),
    /// Write a model in fewer bits, and measure what that costs.
    ///
    /// bf16 halves the matrices, int8 quarters them; both also run faster where the full model does not fit the caches. A
    /// language model is measured in nats per token on --data, or on the built-in text if it was trained on it; any other
    /// model by its first measure on --data.
    Quantize(Quantize),
    /// Measure this machine and a model on it: peak of multiply-adds, time per step, training steps.
    ///
    /// Without a model, standard sizes.
    Bench(Bench),
    /// Make one page of one or several runs: curves, samples, settings.
    Report(Report),
    /// Search for settings: random, with successive halving, by any number of processes that share a folder.
    ///
    /// The same command, started again or beside, joins the study: on this machine, or on any that sees the folder. A process
    /// that is killed loses nothing but the updates since its last checkpoint.
    #[command(after_help = TUNE_HELP)]
    Tune(Tune),
    /// Write the offline page: a network step by step, its training, and what goes on inside, in a browser.
    Page(Page),
    /// Write that page with a model and a text or table inside.
    ///
    /// A language model is looked into along the text; any other that reads texts or tables answers the data and whatever
    /// is typed.
    Show(Show),
    /// Look at data before training: what is in them, and what training would do.
    CheckData(Box<CheckData>),
    /// Show what this machine offers, and any problem with it.
    Doctor(Doctor),
    /// Print a commented config.toml with every setting that a task reads.
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

/// What is trained, and on which data.
#[derive(Debug, clap::Args)]
pub(crate) struct Training {
    /// The training data (a text or several, a table, a folder), a config.toml, or both.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Settings of a language model to begin from: default, quick, min-char-rnn, char-rnn. [default: default; quick without
    /// a file]
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Train {
    #[command(flatten)]
    pub(crate) training: Training,
    /// Folder of the run: settings, metrics, samples, models. [default: runs/NAME-N]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with the run in this folder; it ends as if it had never stopped. With --epochs, --max-steps or --max-time, counted
    /// from its beginning, it becomes longer.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["files", "out", "preset", "set"])]
    pub(crate) resume: Option<PathBuf>,
    /// Print events as JSON, one on a line, to standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show a dashboard on the whole terminal; q stops and saves.
    #[arg(long, conflicts_with_all = ["json", "quiet"])]
    pub(crate) tui: bool,
    /// Print nothing but errors.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Sample {
    /// The model, or the folder of its run. [default: the best of the newest run of a language model]
    #[arg(value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// Text to go on from.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) prompt: String,
    /// Read the text to go on from out of a file, line ends included.
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub(crate) prompt_file: Option<PathBuf>,
    /// Leave out tokens of the prompt that the model does not know, instead of refusing it.
    #[arg(long)]
    pub(crate) skip_unseen: bool,
    /// Tokens to write, at least 1.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) length: usize,
    /// Sampling temperature; 0 for greedy decoding.
    #[arg(long, value_name = "T", default_value_t = 0.8, allow_negative_numbers = true)]
    pub(crate) temperature: f64,
    /// Sample from the K most likely tokens only; 0 for all.
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(crate) top_k: usize,
    /// Sample from the smallest set of tokens that has this probability (nucleus sampling); 1 for all.
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) top_p: f64,
    /// Sample from tokens at least this many times as likely as the most likely one; 0 for all.
    #[arg(long, value_name = "RATIO", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) min_p: f64,
    /// Beam search of this width for the most likely text, instead of sampling.
    #[arg(long, value_name = "N", conflicts_with_all = ["temperature", "top_k", "top_p", "min_p", "seed", "interactive"])]
    pub(crate) beam: Option<usize>,
    /// Of beam search: block repeated n-grams of this size; 0 for none, and likely texts repeat themselves.
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
    /// The model, or the folder of its run.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// The data: a text, a table, a folder.
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<String>,
    /// Parallel texts: the source side, one text per line.
    #[arg(long, value_name = "FILE")]
    pub(crate) source: Option<String>,
    /// Parallel texts: the target side, line by line the translation of the source.
    #[arg(long, value_name = "FILE")]
    pub(crate) target: Option<String>,
    /// Image features: a matrix with a row per image.
    #[arg(long, value_name = "FILE")]
    pub(crate) features: Option<String>,
    /// Captions: a table of row (or image, with --images), split and caption.
    #[arg(long, value_name = "FILE")]
    pub(crate) captions: Option<String>,
    /// The folder of the images that the captions name, instead of features.
    #[arg(long, value_name = "DIR", requires = "encoder", conflicts_with = "features")]
    pub(crate) images: Option<String>,
    /// The image encoder (.onnx), the one the model was trained with.
    #[arg(long, value_name = "FILE.onnx", requires = "images")]
    pub(crate) encoder: Option<String>,
    #[command(flatten)]
    pub(crate) decoding: Decoding,
    /// The part to evaluate on, of data that come in parts: train, dev, test, all. [default: test]
    #[arg(long, value_name = "PART")]
    pub(crate) split: Option<String>,
    #[command(flatten)]
    pub(crate) columns: Columns,
    /// Of two classes: write the points of the ROC and precision-recall curves as comma-separated values.
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) curves: Option<PathBuf>,
    /// Number of worst mistakes to list. [default: 5]
    #[arg(long, value_name = "N")]
    pub(crate) mistakes: Option<usize>,
    /// Start at this share of the text: 0.9 evaluates its last tenth.
    #[arg(long, value_name = "FRAC", allow_negative_numbers = true)]
    pub(crate) from: Option<f64>,
    /// Also evaluate with weights that adapt to what has been read (dynamic evaluation).
    #[arg(long)]
    pub(crate) dynamic: bool,
    /// Learning rate of the adaptation. [default: 0.05]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub(crate) dynamic_lr: Option<f64>,
    /// Share of the way back to the trained weights after each 64 tokens. [default: 0.002]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub(crate) dynamic_decay: Option<f64>,
    /// Leave out tokens that the model does not know, instead of refusing the text.
    #[arg(long)]
    pub(crate) skip_unseen: bool,
    /// Threads; 0 for all cores.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a model that writes decodes. [default: as in training]
#[derive(Debug, clap::Args)]
pub(crate) struct Decoding {
    /// Another model of the same vocabulary: predictions come from the mean of the models' probabilities; may be repeated.
    #[arg(long, value_name = "MODEL")]
    pub(crate) ensemble: Vec<PathBuf>,
    /// Beam width; 1 for greedy decoding.
    #[arg(long, value_name = "N")]
    pub(crate) beam: Option<usize>,
    /// Length penalty: hypotheses are ranked by log-probability / length^this.
    #[arg(long, value_name = "A", allow_negative_numbers = true)]
    pub(crate) length_penalty: Option<f64>,
    /// Coverage penalty weight (Wu et al. 2016).
    #[arg(long, value_name = "W", allow_negative_numbers = true)]
    pub(crate) coverage_penalty: Option<f64>,
    /// Block repeated n-grams of this size; 0 for none.
    #[arg(long, value_name = "N")]
    pub(crate) no_repeat_ngram: Option<usize>,
    /// Minimum length in tokens.
    #[arg(long, value_name = "N")]
    pub(crate) min_length: Option<usize>,
}

/// Columns of a table. [default: those of the training]
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Columns {
    /// The column of the text, by name or by number from 1.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text_column: Option<String>,
    /// The column of the label, by name or by number from 1.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label_column: Option<String>,
    /// The column that says which rows are the steps of one sequence, by name or by number from 1.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) sequence_column: Option<String>,
    /// Pairs in one table: the column of the source, by name or by number from 1.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) source_column: Option<String>,
    /// Pairs in one table: the column of the target, by name or by number from 1.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) target_column: Option<String>,
    /// Whether the first row is a header: auto, yes or no. [default: auto]
    #[arg(long, value_name = "WORD")]
    pub(crate) header: Option<String>,
    /// The encoding of texts and tables, such as cp949, shift_jis or cp1252. [default: auto]
    #[arg(long, value_name = "NAME")]
    pub(crate) encoding: Option<String>,
    /// Leave out rows of a table that have another number of cells than the others, or no text or label.
    #[arg(long)]
    pub(crate) skip_bad: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Predict {
    /// The model, or the folder of its run.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// Texts, images, tables or clips, as the model reads; `-`, or none, for standard input: a text or a row per line, or
    /// frames as YUV4MPEG2 (y4m) or raw grey bytes. With --text-column, tables of texts.
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,
    #[command(flatten)]
    pub(crate) columns: Columns,
    #[command(flatten)]
    pub(crate) decoding: Decoding,
    /// Of a model that writes: the N best texts of each input. [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) nbest: Option<usize>,
    /// A file of texts, one per line.
    #[arg(long, value_name = "FILE", conflicts_with = "inputs")]
    pub(crate) source: Option<PathBuf>,
    /// Of a model that writes: print score and log-probability before each text.
    #[arg(long)]
    pub(crate) scores: bool,
    /// The image encoder (.onnx), the one the model was trained with.
    #[arg(long, value_name = "FILE.onnx")]
    pub(crate) encoder: Option<PathBuf>,
    /// Of a model that writes: draw what it attended to for each word, on a page (FILE.html), or on a page and a PNG for
    /// each word of an image (a folder).
    #[arg(long, value_name = "FILE.html|DIR")]
    pub(crate) attention: Option<PathBuf>,
    /// Show which words speak for the predicted class, and how much.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Print a line for every frame, not only for runs of equal labels.
    #[arg(long)]
    pub(crate) frames: bool,
    /// Standard input is raw grey frames of the model's size, not y4m.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Print a JSON object per prediction.
    #[arg(long, conflicts_with = "csv")]
    pub(crate) json: bool,
    /// Print comma-separated values with a header.
    #[arg(long)]
    pub(crate) csv: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// The model or checkpoint, the folder of its run, or a network made elsewhere.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// Of a language model: read this text and show the neurons that follow something in it: line length, quotes, brackets,
    /// words.
    #[arg(long, value_name = "TEXT|FILE")]
    pub(crate) neurons: Option<String>,
    /// Write the coloured text of the neurons as a page.
    #[arg(long, value_name = "FILE.html", requires = "neurons")]
    pub(crate) html: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) foreign: Foreign,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a foreign file leaves open.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Foreign {
    /// A description of the layers, for files that hold only tensors.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) map: Option<String>,
    /// The layers in their order, where names do not say it: lstm,lstm2,dense.
    #[arg(long, value_name = "NAMES")]
    pub(crate) layers: Option<String>,
    /// The form of GRUs, where the file allows two: reset-after or cudnn.
    #[arg(long, value_name = "FORM")]
    pub(crate) gru: Option<String>,
    /// Which hard sigmoid is meant: keras-2 or keras-3.
    #[arg(long, value_name = "VERSION")]
    pub(crate) hard_sigmoid: Option<String>,
    /// The nonlinearity of plain recurrent layers, which PyTorch's files do not say: tanh or relu.
    #[arg(long, value_name = "NAME")]
    pub(crate) nonlinearity: Option<String>,
    /// Whether inputs have the batch before time, which PyTorch's files do not say: true or false.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) batch_first: Option<String>,
    /// The model within the file, of several: state_dict/generator.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Of a model trained here that writes sequences: encoder or decoder, which are two networks.
    #[arg(long, value_name = "PART")]
    pub(crate) part: Option<String>,
    /// The file with the configuration that belongs to bare weights (Keras).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<String>,
    /// Read tensors that an ONNX file keeps in other files of its folder.
    #[arg(long)]
    pub(crate) external_data: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The file.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The model file to write.
    #[arg(long, value_name = "FILE.safetensors")]
    pub(crate) out: Option<PathBuf>,
    /// Run the network on the first array and compare with the second.
    #[arg(long, value_names = ["IN.npy", "WANT.npy"], num_args = 2)]
    pub(crate) test: Option<Vec<PathBuf>>,
    /// Of --test: the largest difference allowed, for values up to 1; in proportion above.
    #[arg(long, value_name = "D", default_value_t = 1e-5, requires = "test")]
    pub(crate) within: f64,
    #[command(flatten)]
    pub(crate) foreign: Foreign,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunGraph {
    /// The network.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// An input, by name or by position; may be repeated.
    #[arg(long, value_name = "[NAME=]FILE.npy", required = true)]
    pub(crate) input: Vec<String>,
    /// Where to write an output, by name or by position; may be repeated.
    #[arg(long, value_name = "[NAME=]FILE.npy", required = true)]
    pub(crate) out: Vec<String>,
    /// Run step by step, as a plug-in or a microcontroller would.
    #[arg(long)]
    pub(crate) steps: bool,
    #[command(flatten)]
    pub(crate) foreign: Foreign,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The network.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// The form.
    #[arg(long, value_name = "FORM")]
    pub(crate) to: Target,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Of ONNX: the network of one step, with its states as inputs and outputs.
    #[arg(long)]
    pub(crate) stateful: bool,
    #[command(flatten)]
    pub(crate) foreign: Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// ONNX, operators of version 18.
    Onnx,
    /// A state dict of PyTorch, and beside it (.py) the module that loads it.
    Pt,
    /// The same tensors in a safetensors file, and the module.
    Safetensors,
    /// A model of Keras 3.
    Keras,
    /// A C99 header: no library, no allocation.
    C,
    /// Neural Amp Modeler.
    Nam,
    /// JSON of RTNeural.
    Rtneural,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Quantize {
    /// The model or checkpoint, the folder of its run, or a network made elsewhere.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// How the matrices are held.
    #[arg(long, value_name = "PRECISION")]
    pub(crate) precision: FewerBits,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Data to measure the cost on; of a network made elsewhere an array, in.npy. [default: the end of the built-in text, if
    /// the model has its vocabulary; noise or random tokens for a network made elsewhere]
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) columns: Columns,
    /// Leave out tokens that the model does not know, instead of refusing the text.
    #[arg(long, requires = "data")]
    pub(crate) skip_unseen: bool,
    #[command(flatten)]
    pub(crate) foreign: Foreign,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FewerBits {
    /// Signed bytes with a scale per row; states are rounded too as it runs.
    Int8,
    /// bfloat16.
    Bf16,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// The model, the folder of its run, or a network made elsewhere. [default: standard sizes]
    #[arg(value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// Threads of training steps; 0 for all cores.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,
    #[command(flatten)]
    pub(crate) foreign: Foreign,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckData {
    #[command(flatten)]
    pub(crate) training: Training,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
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

/// An example of what is searched.
const TUNE_HELP: &str = "\
SPACE.toml, for example:

  [search]
  trials = 27                # drawn at random
  steps = 3000               # updates of a trial that reaches the end
  halving = 3                # the best third goes on, for 3 times as many updates; 1: all go to the end

  [settings]                 # the same for all trials, as in config.toml
  task = \"classify-sequence\"
  file = \"recordings.csv\"
  label_column = \"activity\"

  [space]                    # a list to choose from, or an interval
  cell = [\"gru\", \"lstm\"]
  hidden = { low = 16, high = 256, log = true }
  lr = { low = 1e-4, high = 1e-1, log = true }";

#[derive(Debug, clap::Args)]
pub(crate) struct Tune {
    /// What is searched.
    #[arg(value_name = "SPACE.toml")]
    pub(crate) space: PathBuf,
    /// The folder of the study: the journal, and the run of every trial.
    #[arg(long, value_name = "DIR")]
    pub(crate) study: PathBuf,
    /// The number of this process among those that work on the study, such as $SLURM_ARRAY_TASK_ID: each begins with another
    /// trial.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) index: usize,
    /// Print results as JSON, one on a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Page {
    /// The page.
    #[arg(long, value_name = "FILE.html", default_value = "page.html")]
    pub(crate) out: PathBuf,
    /// Open it in the browser.
    #[arg(long)]
    pub(crate) open: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The model, or the folder of its run.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// A text to read, or a table.
    #[arg(value_name = "TEXT|DATA")]
    pub(crate) data: Option<PathBuf>,
    /// The page. [default: the run's or the model's name with .html, in the current folder]
    #[arg(long, value_name = "FILE.html")]
    pub(crate) out: Option<PathBuf>,
    /// Open it in the browser.
    #[arg(long)]
    pub(crate) open: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// The task.
    #[arg(value_name = "TASK", default_value = TASKS[0].name, value_parser = PossibleValuesParser::new(TASKS.map(|task| task.name)))]
    pub(crate) task: String,
    /// Settings of a language model to begin from: default, quick, min-char-rnn, char-rnn. [default: default]
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
}
