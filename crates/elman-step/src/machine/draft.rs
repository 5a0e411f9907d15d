//! A step as it is described, before it has a layout.

use alloc::vec::Vec;
use core::ops::Range;

use super::instruction::Instruction;
use super::memory::{Place, Region, Room, Value};
use super::pace::Pace;

/// What is described so far.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) instructions: Vec<Instruction<Value>>,
    /// Of each instruction the number of the clock in whose steps alone it runs.
    pub(super) gates: Vec<Option<usize>>,
    /// Paces other than that of the step, and where each has its clock.
    pub(super) clocks: Vec<(Pace, Value)>,
    /// Ranges of the arena that are computed at such a pace, and the number of the clock; in order.
    pub(super) paced: Vec<(Range<usize>, usize)>,
    /// Ranges of the arena that are computed of constants and states alone, which go with any pace; in order.
    pub(super) timeless: Vec<Range<usize>>,
    /// Values at such a pace, and their last value in each step.
    pub(super) held: Vec<(Value, Value)>,
    /// Values of the input, at the beginning of the arena.
    pub(super) input: usize,
    /// Values of the arena.
    pub(super) arena: usize,
    pub(super) constants: Vec<f32>,
    /// The initial state.
    pub(super) initial: Vec<f32>,
    /// Where in the state rings lie, and the frames of each.
    pub(super) rings: Vec<(Range<usize>, usize)>,
    /// States, and what they become after a step.
    pub(super) carries: Vec<(Value, Value)>,
    pub(super) outputs: Vec<Value>,
    /// Values of the input that are tokens, and their number.
    pub(super) tokens: Vec<(Range<usize>, usize)>,
}

/// A range of the arena that lies elsewhere.
pub(super) struct Moved {
    pub(super) from: Range<usize>,
    pub(super) room: Room,
    pub(super) to: usize,
}

/// Whether two ranges have nothing in common.
pub(super) fn apart(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.end <= b.start || b.end <= a.start
}

impl Draft {
    /// The number of the clock at which a value is computed; none of what is there in each step.
    pub(super) fn clock_of(&self, value: Value) -> Option<usize> {
        if value.region != Region::Arena {
            return None;
        }
        let after = self.paced.partition_point(|(range, _)| range.start <= value.start);
        let (range, clock) = self.paced.get(after.checked_sub(1)?)?;
        (value.start < range.end).then_some(*clock)
    }

    /// Whether a value depends on no input.
    pub(super) fn is_timeless(&self, value: Value) -> bool {
        let after = self.timeless.partition_point(|range| range.start <= value.start);
        let within = || self.timeless[..after].last().is_some_and(|range| value.start < range.end);
        value.region != Region::Arena || within()
    }

    /// Puts a gate in front of the instructions that run in the steps of a clock.
    pub(super) fn set_gates(&mut self) {
        let mut gated = Vec::with_capacity(self.instructions.len());
        let mut at = 0;
        let mut instructions = core::mem::take(&mut self.instructions).into_iter();
        while let Some(gate) = self.gates.get(at) {
            let n = self.gates[at..].iter().take_while(|other| *other == gate).count();
            if let Some(clock) = gate {
                gated.push(Instruction::Gate { clock: self.clocks[*clock].1, instructions: n });
            }
            gated.extend(instructions.by_ref().take(n));
            at += n;
        }
        self.instructions = gated;
    }

    /// Carries every state: those that nothing follows stay as they are.
    pub(super) fn carry_all(&mut self) {
        self.carries.sort_by_key(|(state, _)| state.start);
        let mut missing = Vec::new();
        for (piece, room) in self.pieces() {
            let mut at = piece.start;
            if room == Room::Kept {
                continue;
            }
            for (state, _) in self.carries.iter().filter(|(state, _)| piece.contains(&state.start)) {
                missing.push(at..state.start);
                at = state.range().end.max(at);
            }
            missing.push(at..piece.end);
        }
        for range in missing.into_iter().filter(|range| !range.is_empty()) {
            let state = Value { region: Region::State, start: range.start, len: range.len() };
            self.carries.push((state, state));
        }
        self.carries.sort_by_key(|(state, _)| state.start);
    }

    /// The declared state: rings, and what lies between them.
    pub(super) fn pieces(&self) -> Vec<(Range<usize>, Room)> {
        let mut pieces = Vec::new();
        let mut at = 0;
        for (ring, _) in &self.rings {
            pieces.push((at..ring.start, Room::Before));
            pieces.push((ring.clone(), Room::Kept));
            at = ring.end;
        }
        pieces.push((at..self.initial.len(), Room::Before));
        pieces.retain(|(piece, _)| !piece.is_empty());
        pieces
    }

    /// Whether a value of the arena may lie elsewhere: an instruction writes it, and none reads or writes it together
    /// with its neighbours.
    pub(super) fn may_move(&self, value: Value) -> bool {
        let range = value.range();
        let whole = |other: Value| {
            let other_range = other.range();
            other.region != Region::Arena
                || apart(&range, &other_range)
                || (range.start <= other_range.start && other_range.end <= range.end)
        };
        value.region == Region::Arena
            && range.start >= self.input
            && self.outputs.iter().all(|output| whole(*output))
            && self.carries.iter().all(|(_, next)| whole(*next))
            && self.instructions.iter().all(|instruction| {
                let (mut read, write) = instruction.operands();
                whole(write) && read.all(whole)
            })
    }

    /// Where a value lies.
    pub(super) fn place(&self, moved: &[Moved], value: Value) -> Place {
        let Value { region, start, len } = value;
        let place = |room, start| Place { room, start, len };
        match region {
            Region::Constant => place(Room::Constant, start),
            Region::State => {
                // Rings lie together, and so does all else.
                let mut rings = 0;
                for (ring, _) in &self.rings {
                    if ring.contains(&start) {
                        return place(Room::Kept, rings + start - ring.start);
                    }
                    rings += if ring.start < start { ring.len() } else { 0 };
                }
                place(Room::Before, start - rings)
            }
            Region::Arena if start < self.input => place(Room::Input, start),
            Region::Arena => match moved.iter().find(|m| m.from.contains(&start)) {
                Some(m) => place(m.room, m.to + start - m.from.start),
                None => place(Room::Arena, start),
            },
        }
    }
}
