//! Recordings with a label at every step: clips, and tables with a row per step.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::columns::{Choice, Columns};
use super::features::{Features, is_of_words};
use super::inputs::Values;
use super::sequences::{PUT_TOGETHER, Sequence, SequenceTable, groups, stand_together};
use super::table::Table;
use super::tags::StepWords;
use super::{HoldOut, Pixels, Split, builtin, train_val_split};
use crate::error::Result;
use crate::file::fault;

/// The most steps by which a prediction may come late: each holds a frame.
pub const MAX_LOOKAHEAD: usize = 1000;

/// How a step becomes numbers; it is saved with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reader {
    /// A frame, with others beside it as further channels.
    Frames {
        /// A frame.
        pixels: Pixels,
        /// Frames seen at each step.
        context: usize,
        /// How many of these come later.
        ahead: usize,
        /// Whether the changes from frame to frame stand for the frames but the last.
        differences: bool,
    },
    /// A row of a table.
    Features(Features),
    /// A word.
    Words(StepWords),
}

impl Reader {
    /// `I`, the numbers of a step.
    pub(crate) fn width(&self) -> usize {
        match self {
            Reader::Frames { pixels, context, .. } => pixels.len().saturating_mul(*context),
            Reader::Features(features) => features.width(),
            // Its token, which is exact as a number.
            Reader::Words(_) => 1,
        }
    }

    /// The numbers of a step, from the frames it sees, each `[height, width, channels]` in numbers: every value of the
    /// first frame beside that of the second and so on.
    pub(crate) fn interleave<'a>(&self, frames: impl Iterator<Item = &'a [f32]>, out: &mut [f32]) {
        let Reader::Frames { context, differences, .. } = *self else { return };
        for (k, frame) in frames.enumerate().take(context) {
            out.iter_mut().skip(k).step_by(context).zip(frame).for_each(|(out, &value)| *out = value);
        }
        if differences {
            // Each but the last becomes what the next one has more.
            for values in out.chunks_exact_mut(context) {
                for k in 1..context {
                    values[k - 1] = values[k] - values[k - 1];
                }
            }
        }
    }
}

/// A sequence as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recording {
    pub id: String,
    pub values: Values,
    pub labels: Vec<String>,
    pub split: Option<Split>,
    /// The lines of the labels: one of each step, or one of all.
    pub lines: Vec<usize>,
}

impl Recording {
    /// These steps of it.
    fn part(&self, steps: Range<usize>) -> Recording {
        let steps_of = |len: usize| {
            let width = len / self.labels.len().max(1);
            steps.start * width..steps.end * width
        };
        Recording {
            id: self.id.clone(),
            values: match &self.values {
                Values::Numbers(numbers) => Values::Numbers(numbers[steps_of(numbers.len())].to_vec()),
                Values::Pixels(frames) => Values::Pixels(frames[steps_of(frames.len())].to_vec()),
            },
            labels: self.labels[steps.clone()].to_vec(),
            split: self.split,
            lines: if self.lines.len() == self.labels.len() { self.lines[steps].to_vec() } else { self.lines.clone() },
        }
    }

    /// What is learned of it, before and behind the steps that are held out; and these.
    fn cut(&self, hold_out: &HoldOut) -> (Vec<Recording>, Recording) {
        let held = held_out(&self.labels, hold_out);
        let rest = [0..held.start, held.end..self.labels.len()].into_iter().filter(|steps| !steps.is_empty());
        (rest.map(|steps| self.part(steps)).collect(), self.part(held))
    }
}

/// The steps of an only recording that are held out: its end, or the last stretch of such a length without which some of each
/// class is left to be learned; in cross-validation one of as many stretches as there are folds.
fn held_out<L: AsRef<str>>(labels: &[L], hold_out: &HoldOut) -> Range<usize> {
    let steps = labels.len();
    let held = match hold_out.folds {
        0 => steps - hold_out.cut(steps),
        folds => {
            let fold = hold_out.fold.max(1);
            return (fold - 1) * steps / folds..fold * steps / folds;
        }
    };
    let all = counts(labels);
    let leaves_some =
        |start: usize| counts(&labels[start..start + held]).iter().all(|(label, times)| all[label] > *times);
    let starts = (0..=(steps - held) / held.max(1)).map(|i| steps - held * (i + 1));
    let start = starts.take_while(|_| held > 0).find(|start| leaves_some(*start)).unwrap_or(steps - held);
    start..start + held
}

fn counts<L: AsRef<str>>(labels: &[L]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    labels.iter().for_each(|label| *counts.entry(label.as_ref()).or_default() += 1);
    counts
}

/// Names of a column that says which rows are steps of one sequence.
const SEQUENCES: [&str; 16] = [
    "sequence", "sequence_id", "seq", "seq_id", "recording", "recording_id", "session", "session_id", "series",
    "series_id", "sentence", "sentence_id", "sentence_idx", "trial", "trial_id", "clip",
];

/// The column that says which rows are steps of one sequence: the one `asked` for, that of the format, that `trained` on, or the
/// only one with such a name whose rows stand together. None where all rows are steps of one.
///
/// # Errors
/// As [`Table::column`], of what is asked.
fn sequence_column(table: &Table, asked: Option<&str>, trained: &str) -> Result<Option<usize>> {
    if let Some(column) = table.series_column_or_one(asked, trained)? {
        return Ok(Some(column));
    }
    let header = table.header.as_deref().unwrap_or_default();
    let named = |column: &usize| SEQUENCES.contains(&header[*column].to_lowercase().as_str());
    let mut found = (0..header.len()).filter(named);
    let (Some(column), None) = (found.next(), found.next()) else { return Ok(None) };
    let is_one = groups(table, column).is_ok_and(|groups| {
        stand_together(groups.iter().map(|group| &group.rows))
            && groups.len() > 1
            && 2 * groups.len() <= table.rows.len()
    });
    Ok(is_one.then_some(column))
}

/// How the rows of a table are read, with what was decided.
pub(crate) type Fitted = (Reader, Vec<String>);

/// How a table becomes numbers.
#[derive(Clone, Copy)]
pub(crate) enum How<'a> {
    /// Fitted to the recordings that are not held out, of those columns.
    Fit(&'a Choice, Option<&'a HoldOut>),
    /// As a model reads it; the column of the sequences is that which it was trained on, where there is one and none is asked for.
    As(&'a Reader, Option<&'a str>),
}

/// Sequences as they were read.
pub(crate) struct Data {
    pub sequences: Vec<Recording>,
    /// Of frames: height, width, channels.
    pub size: Option<[usize; 3]>,
    /// The classes in the data's own order, where they have one.
    pub classes: Vec<String>,
    pub path: PathBuf,
}

impl Data {
    /// The clips that the program makes.
    pub(crate) fn builtin(seed: u64) -> Data {
        let one = |(i, (frames, labels)): (usize, (Vec<u8>, Vec<&'static str>))| Recording {
            id: format!("clip{}", i + 1),
            values: Values::Pixels(frames),
            labels: labels.into_iter().map(String::from).collect(),
            split: None,
            lines: vec![i + 1],
        };
        Data {
            sequences: builtin::clips(seed).into_iter().enumerate().map(one).collect(),
            size: Some([builtin::FRAME, builtin::FRAME, 1]),
            classes: builtin::MOVES.iter().map(|name| (*name).to_string()).collect(),
            path: PathBuf::from("the built-in clips"),
        }
    }

    /// Reads clips or a table; a table's features are fitted to the training recordings, with what was left out, or as those of
    /// a model.
    pub(crate) fn read(path: &Path, columns: &Columns, how: How) -> Result<(Data, Option<Fitted>)> {
        let reader = if let How::As(reader, _) = how { Some(reader) } else { None };
        if path.is_dir() {
            return Self::of_clips(path, reader).map(|data| (data, None));
        }
        let mut table = columns.read(path)?;
        let mut notes = std::mem::take(&mut table.notes);
        let label = table.label_column(&columns.label)?;
        let sequence = match how {
            How::As(_, Some(trained)) => sequence_column(&table, None, trained)?,
            _ => sequence_column(&table, Some(columns.sequence()), "")?,
        };
        let needed: Vec<(usize, &str)> =
            sequence.map(|column| (column, "sequence id")).into_iter().chain([(label, "label")]).collect();
        notes.extend(table.leave_out_blank(&needed, columns.form().skip_bad)?);
        match sequence {
            Some(column) if columns.sequence().is_empty() && table.series.is_none() => {
                notes.push(format!("a sequence for each value of column {} (`sequence_column`)", table.name(column)));
            }
            Some(_) => {}
            None => {
                notes.push("all rows are the steps of one recording (`sequence_column` tells several apart)".into())
            }
        }
        let exclude: Vec<usize> = [Some(label), sequence].into_iter().flatten().collect();
        let reader = match how {
            How::As(Reader::Features(features), _) => Reader::Features(features.bind(&table)?),
            How::As(Reader::Words(words), _) => Reader::Words(words.clone()),
            How::As(Reader::Frames { .. }, _) => {
                return Err(fault(path, "it is a table, but the model reads frames of video"));
            }
            How::Fit(choice, hold_out) => {
                let groups: Vec<Vec<usize>> = groups(&table, sequence)?.into_iter().map(|group| group.rows).collect();
                notes.extend((!stand_together(groups.iter())).then(|| PUT_TOGETHER.to_string()));
                let train = match hold_out.filter(|_| choice.looks) {
                    Some(hold_out) => match <[_; 1]>::try_from(groups) {
                        Ok([mut rows]) => {
                            let labels: Vec<&str> =
                                rows.iter().map(|&row| table.rows.row(row).cell(label).trim()).collect();
                            let held = held_out(&labels, hold_out);
                            rows.drain(held);
                            vec![rows]
                        }
                        Err(groups) => train_val_split(groups, hold_out, path)?.0,
                    },
                    None => groups,
                };
                match word_column(&table, columns, &exclude, choice)?.zip(choice.words) {
                    Some((column, [size, least])) => {
                        let rows = train.iter().flatten().map(|&row| table.rows.row(row).cell(column));
                        let name = match &table.header {
                            Some(header) => header[column].clone(),
                            None => (column + 1).to_string(),
                        };
                        notes.push(format!("a step is the word of column {}", table.name(column)));
                        Reader::Words(StepWords::fit(name, rows, size, least))
                    }
                    None => {
                        let (features, left_out) = Features::choose(&table, &train, &exclude, choice)?;
                        notes.extend(left_out);
                        Reader::Features(features)
                    }
                }
            }
        };
        let read = match &reader {
            Reader::Words(words) => SequenceTable::read_words(&table, sequence, Some(label), words)?,
            Reader::Features(features) => SequenceTable::read(&table, sequence, Some(label), features)?,
            Reader::Frames { .. } => return Err(fault(path, "it is a table, but the model reads frames of video")),
        };
        let one = |s: Sequence| Recording {
            id: s.id,
            values: Values::Numbers(s.inputs),
            labels: s.labels.iter().map(|&label| read.classes[label].clone()).collect(),
            split: None,
            lines: s.lines,
        };
        let sequences = read.sequences.into_iter().map(one).collect();
        Ok((Data { sequences, size: None, classes: read.classes, path: path.into() }, Some((reader, notes))))
    }

    #[cfg(feature = "media")]
    fn of_clips(path: &Path, reader: Option<&Reader>) -> Result<Data> {
        use super::frames::{LabelledClips, Options};
        if let Some(Reader::Features(_) | Reader::Words(_)) = reader {
            return Err(fault(path, "it is a folder of clips, but the model reads rows of a table"));
        }
        let read = LabelledClips::read(path, &Options::default())?;
        let size = read.clips.first().map(|c| [c.clip.height, c.clip.width, c.clip.channels]);
        if let (Some([height, width, _]), Some(Reader::Frames { pixels, .. })) = (size, reader)
            && (height, width) != (pixels.height, pixels.width)
        {
            let reason = format!(
                "its frames are {width} wide and {height} high, but the model reads {} x {}",
                pixels.width, pixels.height
            );
            return Err(fault(path, reason));
        }
        let one = |c: super::frames::LabelledClip| Recording {
            id: c.clip.id,
            values: Values::Pixels(c.clip.pixels),
            labels: c.labels.iter().map(|&label| read.classes[label].clone()).collect(),
            split: c.split,
            lines: vec![c.line],
        };
        let sequences = read.clips.into_iter().map(one).collect();
        Ok(Data { sequences, size, classes: read.classes, path: read.label_file })
    }

    #[cfg(not(feature = "media"))]
    fn of_clips(path: &Path, _: Option<&Reader>) -> Result<Data> {
        Err(fault(path, "this program was built without pictures (feature `media`)"))
    }

    /// The sequences of a part, where the data name parts.
    pub(crate) fn part(self, split: Split) -> Result<Data> {
        let Data { sequences, size, classes, path } = self;
        let sequences: Vec<Recording> = sequences.into_iter().filter(|s| s.split == Some(split)).collect();
        if sequences.is_empty() {
            let reason = format!("no sequence belongs to the part {split:?}").to_lowercase();
            return Err(fault(&path, reason));
        }
        Ok(Data { sequences, size, classes, path })
    }

    /// Training and validation sequences: by the data's own parts, else drawn; of an only recording some of its steps.
    pub(crate) fn divide(self, hold_out: &HoldOut) -> Result<(Data, Data)> {
        let Data { sequences, size, classes, path } = self;
        let with = |sequences| Data { sequences, size, classes: classes.clone(), path: path.clone() };
        let has = |split| sequences.iter().any(|s| s.split == Some(split));
        if has(Split::Dev) && hold_out.folds == 0 {
            let of = |split| sequences.iter().filter(|s| s.split == Some(split)).cloned().collect();
            return Ok((with(of(Split::Train)), with(of(Split::Dev))));
        }
        let learnt: Vec<Recording> = sequences.into_iter().filter(|s| s.split != Some(Split::Test)).collect();
        if let [recording] = &learnt[..]
            && recording.labels.len() > hold_out.folds.max(1)
        {
            let (train, val) = recording.cut(hold_out);
            return Ok((with(train), with(vec![val])));
        }
        let (train, val) = train_val_split(learnt, hold_out, &path)?;
        Ok((with(train), with(val)))
    }
}

/// Sequences without labels: name, steps, and the number of these; and their frames per second, where it is known.
pub(crate) type Unlabelled = (Vec<(String, Values, usize)>, Option<f64>);

/// A clip whose frames have the size that the model reads.
///
/// # Errors
/// A file that is not a clip, or has frames of another size.
#[cfg(feature = "media")]
pub(crate) fn clip(path: &Path, pixels: &Pixels) -> Result<Unlabelled> {
    use super::frames::{Clip, Options};
    let clip = Clip::read(path, &Options { colour: pixels.channels == 3, ..Options::default() })?;
    if (clip.height, clip.width, clip.channels) != (pixels.height, pixels.width, pixels.channels) {
        let reason = format!(
            "its frames are {} wide and {} high, but the model reads {} x {}",
            clip.width, clip.height, pixels.width, pixels.height
        );
        return Err(fault(path, reason));
    }
    Ok((vec![(path.display().to_string(), Values::Pixels(clip.pixels), clip.frames)], clip.fps))
}

/// Without readers of clips.
#[cfg(not(feature = "media"))]
pub(crate) fn clip(path: &Path, _: &Pixels) -> Result<Unlabelled> {
    Err(fault(path, "this program was built without readers of clips (feature media)"))
}

/// The sequences of a table with a row per step, as `reader` reads them: by the column `asked` for now, else the one `trained` on
/// where the table has it.
///
/// # Errors
/// No such column; a row that cannot be read.
pub(crate) fn rows(
    table: &Table,
    asked: Option<&str>,
    trained: &str,
    reader: &Reader,
) -> Result<Vec<(String, Values, usize)>> {
    let sequence = sequence_column(table, asked, trained)?;
    let read = match reader {
        Reader::Words(words) => SequenceTable::read_words(table, sequence, None, words)?,
        Reader::Features(features) => SequenceTable::read(table, sequence, None, &features.bind(table)?)?,
        Reader::Frames { .. } => return Err(fault(&table.path, "it is a table, but the model reads frames of video")),
    };
    let one = |s: Sequence| {
        let steps = s.inputs.len() / read.width;
        (s.id, Values::Numbers(s.inputs), steps)
    };
    Ok(read.sequences.into_iter().map(one).collect())
}

/// The column of the words of a table whose steps are words: the one that is named, or that of the format; or the only one
/// that can be an input, if it holds more words than there can be categories.
fn word_column(table: &Table, columns: &Columns, exclude: &[usize], choice: &Choice) -> Result<Option<usize>> {
    if !columns.text().is_empty() {
        return table.column(columns.text()).map(Some);
    }
    if table.text.is_some() || !choice.looks {
        return Ok(table.text);
    }
    let others = choice.named(table)?;
    let mut inputs = (0..table.width()).filter(|column| !exclude.contains(column) && others.contains(column));
    let (Some(column), None) = (inputs.next(), inputs.next()) else { return Ok(None) };
    Ok(is_of_words(table, column).then_some(column))
}
