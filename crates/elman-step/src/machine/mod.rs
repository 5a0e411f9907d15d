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
mod instruction;
mod memory;
mod recurrent;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use elman_kernels::{Buffer, step};

pub use activation::Activation;
pub use builder::{Builder, PackedLayer};
use instruction::Instruction;
pub use instruction::{Binary, Reduction};
use memory::Memory;
pub use memory::{Region, Value};
pub use recurrent::{Recurrence, RecurrentKind};

use crate::cell::layer::Scratch;
use crate::error::{Error, check_length};

/// What all streams share.
#[derive(Default)]
struct Program {
    instructions: Vec<Instruction>,
    /// Values of the input, at the beginning of the arena.
    input: usize,
    /// Values of all outputs.
    output: usize,
    /// Values of the arena.
    arena: usize,
    constants: Vec<f32>,
    /// The initial state.
    initial: Vec<f32>,
    /// Where the state keeps the position of a ring, and its frames.
    rings: Vec<(usize, usize)>,
    /// States, and what they become after a step.
    carries: Vec<(Value, Value)>,
    outputs: Vec<Value>,
    /// Values of the input that are tokens, and their number.
    tokens: Vec<(Range<usize>, usize)>,
}

/// A network that runs step by step. Cloning shares the weights and copies the state: one clone per stream.
#[derive(Clone)]
pub struct Machine {
    program: Arc<Program>,
    memory: Memory,
    /// Every other step reads the weights in reverse order; see [`elman_kernels::step`].
    backwards: bool,
}

impl Machine {
    fn of(program: Arc<Program>) -> Self {
        let mut memory = Memory {
            arena: Buffer::zeros(program.arena),
            state: Buffer::zeros(program.initial.len()),
            layers: Scratch::default(),
            products: step::Scratch::default(),
        };
        program.instructions.iter().for_each(|instruction| instruction.reserve(&mut memory));
        memory.state.copy_from_slice(&program.initial);
        Machine { program, memory, backwards: false }
    }

    /// Values of the input of a step, all inputs together.
    pub fn input_width(&self) -> usize {
        self.program.input
    }

    /// Values of the output of a step, all outputs together.
    pub fn output_width(&self) -> usize {
        self.program.output
    }

    /// One step from `x`, the inputs one after another, to `y`, the outputs one after another. Tokens are given as
    /// numbers. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::Length`] if `x` or `y` has a different width, [`Error::Token`] outside the vocabulary,
    /// [`Error::WrongInput`] if a token is not a whole number from 0 on; the state is then unchanged.
    pub fn step(&mut self, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        let program = &*self.program;
        check_length("the input", Some(program.input), x.len())?;
        check_length("the output", Some(program.output), y.len())?;
        for (range, vocab) in &program.tokens {
            check_tokens(&x[range.clone()], *vocab)?;
        }
        let memory = &mut self.memory;
        memory.arena[..x.len()].copy_from_slice(x);
        for instruction in &program.instructions {
            instruction.run(memory, &program.constants, self.backwards);
        }
        self.backwards = !self.backwards;
        let mut y = y;
        for value in &program.outputs {
            let (now, rest) = y.split_at_mut(value.len());
            now.copy_from_slice(memory.read(&program.constants, *value));
            y = rest;
        }
        memory.carry(&program.constants, &program.carries);
        Ok(())
    }

    /// Returns to the initial state.
    pub fn reset(&mut self) {
        self.memory.state.copy_from_slice(&self.program.initial);
    }

    /// The state: what was carried out of the last step, in the order of the layers.
    pub fn state(&self) -> &[f32] {
        &self.memory.state
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
        self.memory.state.copy_from_slice(state);
        Ok(())
    }
}

impl core::fmt::Debug for Machine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Machine")
            .field("instructions", &self.program.instructions.len())
            .field("input_width", &self.input_width())
            .field("output_width", &self.output_width())
            .field("state", &self.state().len())
            .finish()
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
