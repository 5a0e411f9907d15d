//! A machine for networks of any form: a list of instructions over memory that is allocated once.
//!
//! [`Builder`] describes a step: inputs, instructions, outputs, and which values are carried to the next step.
//! [`Machine`] runs it. Recurrent layers and dense layers run on the packed weights and kernels of [`crate::Lstm`] and its
//! siblings; every other instruction is a loop over slices of one arena.
//!
//! ```
//! use elman_step::machine::{Activation, Builder, Recurrence, RecurrentKind};
//! use elman_step::{Precision, Weights};
//!
//! // An amplifier: y = W h + b + x, with h of an LSTM of one unit.
//! let mut step = Builder::new(Precision::F32);
//! let x = step.input(1)?;
//! let weights = Weights { w_ih: &[1.0; 4], w_hh: &[0.5; 4], b_ih: &[0.0; 4], b_hh: &[0.0; 4] };
//! let layer = Recurrence::plain(RecurrentKind::Lstm, 1, weights);
//! let state = step.state(&[0.0; 2]);
//! let next = step.recurrent(&layer, x, state)?;
//! step.carry(state, next)?;
//! let h = next.slice(0..1).expect("a state is h, then c");
//! let y = step.dense(&[2.0], &[0.0], Activation::Identity, h)?;
//! let y = step.binary(elman_step::machine::Binary::Add, y, x)?;
//! step.output(y);
//!
//! let mut amplifier = step.finish()?;
//! let mut y = [0.0];
//! amplifier.step(&[0.1], &mut y)?;
//! assert!(y[0] > 0.1);
//! # Ok::<(), elman_step::Error>(())
//! ```

mod activation;
mod builder;
mod draft;
mod instruction;
mod memory;
mod pace;
mod place;
mod recurrent;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

pub use activation::Activation;
pub use builder::{Builder, PackedLayer};
use instruction::Instruction;
pub use instruction::{Binary, Reduction};
use memory::{Frame, Memory, Place, Room, Scratch, Widths};
pub use memory::{Region, Value};
pub use pace::Pace;
pub use recurrent::{Recurrence, RecurrentKind};

use crate::error::{Error, check_length};

/// What all streams share.
struct Program {
    instructions: Vec<Instruction<Place>>,
    /// Instructions that run in turn for each step of a block, and whether one alone may take all steps at once.
    segments: Vec<(Range<usize>, bool)>,
    widths: Widths,
    constants: Vec<f32>,
    /// The initial state, as it was declared.
    initial: Vec<f32>,
    /// Where the pieces of the state lie.
    pieces: Vec<(Range<usize>, Room)>,
    /// Where the state has the position of a ring, and its frames.
    rings: Vec<(usize, usize)>,
    /// Values of the input that are tokens, and their number.
    tokens: Vec<(Range<usize>, usize)>,
    /// Whether some instructions run in some steps alone.
    is_gated: bool,
}

/// A network that runs step by step. Cloning shares the weights and copies the state: one clone per stream.
#[derive(Clone)]
pub struct Machine {
    program: Arc<Program>,
    memory: Memory,
    /// The order of blocks of weights; see [`elman_kernels::step`].
    backwards: bool,
}

impl Machine {
    fn new(program: Arc<Program>, block: usize) -> Self {
        let mut scratch = Scratch::default();
        program.instructions.iter().for_each(|instruction| instruction.reserve(&mut scratch, block));
        let memory = Memory::new(program.widths, block, scratch);
        let mut machine = Machine { program, memory, backwards: false };
        machine.reset();
        machine
    }

    /// Values of the input of a step, all inputs together.
    pub fn input_width(&self) -> usize {
        self.program.widths.input
    }

    /// Values of the output of a step, all outputs together.
    pub fn output_width(&self) -> usize {
        self.program.widths.output
    }

    /// Allocates for blocks of `steps` steps, so that [`Self::steps`] takes as many at once: faster, since each
    /// instruction is begun once for all steps that do not wait for one another, and dense layers read their weights
    /// once for several. The memory of computed values grows as many times. A machine with values at several paces
    /// ([`Builder::every`]) takes its steps one by one and needs no more memory.
    pub fn reserve(&mut self, steps: usize) {
        let steps = steps.max(1);
        if steps > self.memory.block() && !self.program.is_gated {
            let state = self.state();
            *self = Machine::new(self.program.clone(), steps);
            self.restore(&state);
        }
    }

    /// One step from `x`, the inputs one after another, to `y`, the outputs one after another. Tokens are given as
    /// numbers. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::Length`] if `x` or `y` has a different width, [`Error::Token`] outside the vocabulary,
    /// [`Error::WrongInput`] if a token is not a whole number from 0 on; the state is then unchanged.
    pub fn step(&mut self, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        let Machine { program, memory, backwards } = self;
        check_length("the input", Some(program.widths.input), x.len())?;
        check_length("the output", Some(program.widths.output), y.len())?;
        for (range, vocab) in &program.tokens {
            check_tokens(&x[range.clone()], *vocab)?;
        }
        let mut frame = memory.frame(&program.constants, x, y, 1);
        if program.is_gated {
            run_gated(&program.instructions, &mut frame, *backwards);
        } else {
            for instruction in &program.instructions {
                instruction.run(&mut frame, *backwards);
            }
        }
        *backwards = !*backwards;
        Ok(())
    }

    /// `T` steps, from `x` `[T, I]` to `y` `[T, O]`: the bits of `T` calls of [`Self::step`]. They are taken in
    /// blocks of as many as [`Self::reserve`] was told, one by one if it was never called. Allocates nothing.
    ///
    /// # Errors
    /// As [`Self::step`]; no step is then taken.
    ///
    /// ```
    /// use elman_step::Precision;
    /// use elman_step::machine::{Activation, Builder};
    ///
    /// let mut step = Builder::new(Precision::F32);
    /// let x = step.input(2)?;
    /// let y = step.dense(&[1.0, -1.0], &[0.5], Activation::Relu, x)?;
    /// step.output(y);
    /// let mut machine = step.finish()?;
    /// machine.reserve(64);
    /// let mut y = [0.0; 3];
    /// machine.steps(&[3.0, 1.0, 0.0, 1.0, 2.0, 2.0], &mut y)?;
    /// assert_eq!(y, [2.5, 0.0, 0.5]);
    /// # Ok::<(), elman_step::Error>(())
    /// ```
    pub fn steps(&mut self, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        let Machine { program, memory, backwards } = self;
        let Widths { input, output, .. } = program.widths;
        let steps = x.len() / input;
        check_length("the input", steps.checked_mul(input), x.len())?;
        check_length("the output", steps.checked_mul(output), y.len())?;
        for (range, vocab) in &program.tokens {
            x.chunks_exact(input).try_for_each(|x| check_tokens(&x[range.clone()], *vocab))?;
        }
        if program.is_gated {
            let mut rows = x.chunks_exact(input).zip(y.chunks_exact_mut(output));
            return rows.try_for_each(|(x, y)| self.step(x, y));
        }
        let block = memory.block();
        for (x, y) in x.chunks(block * input).zip(y.chunks_mut(block * output)) {
            let steps = x.len() / input;
            let mut frame = memory.frame(&program.constants, x, y, steps);
            for (range, alone) in &program.segments {
                let instructions = &program.instructions[range.clone()];
                if *alone && steps > 1 && instructions[0].run_rows(&mut frame, steps) {
                    continue;
                }
                for _ in 0..steps {
                    for instruction in instructions {
                        instruction.run(&mut frame, *backwards);
                    }
                    *backwards = !*backwards;
                    frame.forward(1);
                }
                frame.back(steps);
            }
        }
        Ok(())
    }

    /// Returns to the initial state.
    pub fn reset(&mut self) {
        let program = self.program.clone();
        self.restore(&program.initial);
    }

    /// The state: what was carried out of the last step, in the order in which the states were declared.
    pub fn state(&self) -> Vec<f32> {
        let (mut state, mut kept) = (self.memory.state(), self.memory.kept());
        let mut all = Vec::with_capacity(self.program.initial.len());
        for (piece, room) in &self.program.pieces {
            let from = if *room == Room::Kept { &mut kept } else { &mut state };
            let (now, rest) = from.split_at(piece.len());
            all.extend_from_slice(now);
            *from = rest;
        }
        all
    }

    /// Restores a state that [`Self::state`] returned.
    ///
    /// # Errors
    /// [`Error::Length`] if it belongs to a different machine, [`Error::WrongInput`] if it was altered so that it is no
    /// state of this machine.
    pub fn set_state(&mut self, state: &[f32]) -> Result<(), Error> {
        check_length("the state", Some(self.program.initial.len()), state.len())?;
        for (at, frames) in &self.program.rings {
            let head = state[*at];
            if !(head >= 0.0 && head < *frames as f32 && head as usize as f32 == head) {
                return Err(Error::WrongInput { reads: "a state that it returned itself".into() });
            }
        }
        self.restore(state);
        Ok(())
    }

    /// Writes the state, which has the right length.
    fn restore(&mut self, state: &[f32]) {
        let (mut at, mut kept) = (0, 0);
        for (piece, room) in &self.program.pieces {
            let (memory, at) = match room {
                Room::Kept => (self.memory.kept_mut(), &mut kept),
                _ => (self.memory.state_mut(), &mut at),
            };
            memory[*at..*at + piece.len()].copy_from_slice(&state[piece.clone()]);
            *at += piece.len();
        }
    }
}

impl core::fmt::Debug for Machine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Machine")
            .field("instructions", &self.program.instructions.len())
            .field("input_width", &self.input_width())
            .field("output_width", &self.output_width())
            .field("state", &self.program.initial.len())
            .finish()
    }
}

/// One step of instructions of which some run in some steps alone.
fn run_gated(instructions: &[Instruction<Place>], frame: &mut Frame, backwards: bool) {
    let mut rest = instructions.iter();
    while let Some(instruction) = rest.next() {
        match instruction {
            Instruction::Gate { clock, instructions } if !frame.ticks(*clock) => {
                rest = rest.as_slice().get(*instructions..).unwrap_or_default().iter();
            }
            _ => instruction.run(frame, backwards),
        }
    }
}

fn check_tokens(tokens: &[f32], vocab: usize) -> Result<(), Error> {
    for &x in tokens {
        // From 2^24 on `f32` skips whole numbers.
        let whole = (0.0..16_777_216.0).contains(&x) && x as u32 as f32 == x;
        if !whole {
            return Err(Error::WrongInput { reads: "tokens: whole numbers from 0 on".into() });
        }
        if x as usize >= vocab {
            return Err(Error::Token { token: x as u32, vocab });
        }
    }
    Ok(())
}
