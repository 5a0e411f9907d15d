//! Labels for a stream of frames or rows, each predicted as it comes: in constant memory, bit-identical to evaluating the
//! whole sequence at once.

use std::collections::VecDeque;
use std::path::Path;

use crate::cell::Steps;
use crate::data::features::Features;
use crate::data::motion::{Motion, MotionState};
use crate::data::recordings::Reader;
use crate::data::table::Table;
use crate::error::{Error, Result};
use crate::layer::StackState;
use crate::metric::{argmax, probabilities};
use crate::param::Params;
use crate::shape::{Inputs, Shape, Synced, SyncedBatch, SyncedPrepared, SyncedTape};
use crate::task::model::{Found, StepKind, Stream};

/// A model at work on a stream.
pub(super) struct Live {
    reader: Reader,
    /// What is added to rows, and what it remembers of them.
    motion: Option<(Motion, MotionState)>,
    row: Vec<f32>,
    lookahead: usize,
    network: Synced,
    params: Params<f32>,
    temperature: f64,
    prepared: SyncedPrepared<f32>,
    tape: SyncedTape<f32>,
    state: StackState<f32>,
    /// One step.
    batch: SyncedBatch<f32>,
    /// The last frames in numbers, the newest last.
    frames: VecDeque<Vec<f32>>,
    /// Of rows: where the columns stand.
    features: Option<Features>,
    /// The names of the columns as the lines give them; empty where they give none.
    header: Option<Vec<String>>,
    lines: usize,
    /// Steps of this sequence, and those of the sentences before it.
    steps: u64,
    before: u64,
    /// Predictions for the end of a sentence that are still due.
    due: VecDeque<Found>,
    p: Vec<f64>,
}

impl Live {
    /// Ready for the first step.
    ///
    /// # Errors
    /// [`Error::Usage`] if the model reads sequences from both ends.
    pub(super) fn new(
        reader: &Reader,
        motion: Option<&Motion>,
        lookahead: usize,
        network: &Synced,
        params: &Params<f32>,
        temperature: f64,
    ) -> Result<Self> {
        if network.config().bidirectional {
            let message = "this model reads each sequence in both directions, so it cannot predict while it goes on; train \
                           one without `bidirectional`, perhaps with `lookahead`";
            return Err(Error::Usage(message.into()));
        }
        let mut prepared = SyncedPrepared::default();
        network.prepare(params, &mut prepared);
        let inputs = Inputs::Dense(vec![0.0; motion.map_or_else(|| reader.width(), Motion::width)]);
        Ok(Live {
            reader: reader.clone(),
            motion: motion.map(|motion| (motion.clone(), MotionState::new(motion))),
            row: Vec::new(),
            lookahead,
            network: network.clone(),
            params: params.clone(),
            temperature,
            prepared,
            tape: SyncedTape::default(),
            state: network.zero_state(1),
            batch: SyncedBatch { steps: Steps::equal(1, 1), inputs, targets: Vec::new() },
            frames: VecDeque::new(),
            features: match reader {
                Reader::Features(features) => Some(features.clone()),
                Reader::Frames { .. } | Reader::Words(_) => None,
            },
            header: None,
            lines: 0,
            steps: 0,
            before: 0,
            due: VecDeque::new(),
            p: Vec::new(),
        })
    }

    /// What is late of a sentence of words is due; the next begins in the zero state.
    fn end_of_sentence(&mut self) {
        let words = self.steps;
        if words > 0 {
            for _ in 0..self.lookahead {
                let found = self.step();
                self.due.extend(found);
            }
        }
        (self.before, self.steps) = (self.before + words, 0);
        self.state = self.network.zero_state(1);
    }

    fn see_frames(&mut self) {
        if let Inputs::Dense(inputs) = &mut self.batch.inputs {
            self.reader.interleave(self.frames.iter().map(Vec::as_slice), inputs);
        }
    }

    fn step(&mut self) -> Option<Found> {
        self.network.forward(&self.params, &self.prepared, &self.batch, &mut self.state, &mut self.tape, None);
        self.steps += 1;
        let step = self.before + self.steps.checked_sub(1 + self.lookahead as u64)?;
        let logits = self.tape.logits();
        probabilities(logits, self.temperature, &mut self.p);
        let class = argmax(logits);
        Some(Found { step, class, probability: self.p[class] })
    }
}

impl Stream for Live {
    fn reads(&self) -> StepKind {
        match &self.reader {
            Reader::Frames { pixels, .. } => {
                StepKind::Frames { width: pixels.width, height: pixels.height, channels: pixels.channels }
            }
            Reader::Features(_) | Reader::Words(_) => StepKind::Lines,
        }
    }

    /// The prediction that is due is that of the frame `lookahead` steps ago.
    fn frame(&mut self, frame: &[u8]) -> Result<Option<Found>> {
        let Reader::Frames { pixels, context, .. } = &self.reader else {
            return Err(Error::Usage("the model reads rows of a table, not frames".into()));
        };
        if frame.len() != pixels.len() {
            let message =
                format!("a frame of {} values; the model reads {} x {}", frame.len(), pixels.width, pixels.height);
            return Err(Error::Usage(message));
        }
        // The oldest frame's memory is used again.
        let mut numbers = match self.frames.len() < *context {
            true => vec![0.0; pixels.len()],
            false => self.frames.pop_front().unwrap_or_default(),
        };
        pixels.numbers(frame, None, &mut numbers);
        // Before the first frame there was the first frame.
        while self.frames.len() + 1 < *context {
            self.frames.push_back(numbers.clone());
        }
        self.frames.push_back(numbers);
        self.see_frames();
        Ok(self.step())
    }

    /// The first line says where the columns are: by their names, if it holds these, else by their number. Objects in JSON
    /// name them in every line. Blank lines are passed over.
    fn line(&mut self, line: &[u8], path: &Path) -> Result<Option<Found>> {
        if let Reader::Words(words) = &self.reader {
            self.lines += 1;
            let text = crate::file::utf8_after(self.lines - 1, line, path)?.trim();
            let word = text.split(['\t', ' ']).next().filter(|_| !text.is_empty());
            match word.map(|word| words.token(word)) {
                None => self.end_of_sentence(),
                Some(token) => {
                    self.batch.inputs = Inputs::Tokens(vec![token]);
                    let found = self.step();
                    self.due.extend(found);
                }
            }
            return Ok(self.due.pop_front());
        }
        let Some(features) = &mut self.features else { return Err(reads_frames()) };
        self.lines += 1;
        let table = Table::parse_line(line, path, self.lines - 1)?;
        let Some(table) = table else { return Ok(None) };
        let row = table.rows.row(0);
        let names = table.header.clone().unwrap_or_default();
        if self.header.is_none() && names.is_empty() && features.are_named(row) {
            *features =
                features.bind(&Table { header: Some(row.cells().map(String::from).collect()), ..table.clone() })?;
            self.header = Some(names);
            return Ok(None);
        }
        if self.header.as_ref() != Some(&names) {
            *features = features.bind(&table)?;
            self.header = Some(names);
        }
        let Inputs::Dense(inputs) = &mut self.batch.inputs else { return Ok(None) };
        inputs.clear();
        match &mut self.motion {
            Some((motion, state)) => {
                self.row.clear();
                features.row(row, path, &mut self.row)?;
                state.step(motion, &self.row, inputs);
            }
            None => features.row(row, path, inputs)?,
        }
        Ok(self.step())
    }

    fn columns(&self) -> usize {
        self.features.as_ref().map_or(0, |features| features.columns().len())
    }

    fn numbers(&mut self, row: &[f64]) -> Result<Option<Found>> {
        let Reader::Features(features) = &self.reader else {
            return Err(Error::Usage("the model does not read rows of numbers".into()));
        };
        let Inputs::Dense(inputs) = &mut self.batch.inputs else { return Ok(None) };
        self.row.clear();
        features.numbers(row, &mut self.row)?;
        inputs.clear();
        match &mut self.motion {
            Some((motion, state)) => state.step(motion, &self.row, inputs),
            None => inputs.extend_from_slice(&self.row),
        }
        Ok(self.step())
    }

    fn probabilities(&self) -> &[f64] {
        &self.p
    }

    fn reset(&mut self) {
        self.state = self.network.zero_state(1);
        if let Some((motion, state)) = &mut self.motion {
            *state = MotionState::new(motion);
        }
        self.frames.clear();
        self.due.clear();
        (self.steps, self.before, self.lines, self.header) = (0, 0, 0, None);
    }

    fn finish(mut self: Box<Self>) -> Vec<Found> {
        let mut due: Vec<Found> = self.due.drain(..).collect();
        if self.steps == 0 {
            return due;
        }
        let late = self.lookahead;
        let last: Vec<Found> = (0..late)
            .filter_map(|_| {
                if let Reader::Frames { .. } = self.reader {
                    // What follows looks like the last frame.
                    let mut oldest = self.frames.pop_front().unwrap_or_default();
                    if let Some(last) = self.frames.back() {
                        oldest.copy_from_slice(last);
                    }
                    self.frames.push_back(oldest);
                    self.see_frames();
                }
                self.step()
            })
            .collect();
        due.extend(last);
        due
    }
}

fn reads_frames() -> Error {
    Error::Usage("the model reads frames, not rows of a table".into())
}
