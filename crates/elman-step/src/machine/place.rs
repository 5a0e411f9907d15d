//! Where the values of a built step lie when it runs: inputs where they are given, outputs where they are wanted, the
//! next states beside the old ones, so that none of them is copied.

use alloc::vec::Vec;
use core::ops::Range;

use super::draft::{Draft, Moved, apart};
use super::instruction::Instruction;
use super::memory::{Place, Room, Value, Widths};

/// The layout of a draft.
pub(super) struct Layout {
    pub(super) widths: Widths,
    pub(super) instructions: Vec<Instruction<Place>>,
    /// The declared state, piece by piece, as it lies in memory: rings, and all else.
    pub(super) pieces: Vec<(Range<usize>, Room)>,
    /// Instructions that run in turn for each step of a block, and whether one alone may take all steps at once.
    pub(super) segments: Vec<(Range<usize>, bool)>,
}

impl Layout {
    /// Arranges a draft, whose instructions it takes.
    pub(super) fn new(draft: &mut Draft) -> Self {
        draft.carry_all();
        let mut to = 0;
        let mut wanted: Vec<(Value, Room, usize)> = Vec::new();
        for (state, next) in joined(&draft.carries) {
            wanted.push((next, Room::After, draft.place(&[], state).start));
        }
        for output in &draft.outputs {
            wanted.push((*output, Room::Output, to));
            to += output.len;
        }
        let (mut moved, mut copies): (Vec<Moved>, Vec<_>) = (Vec::new(), Vec::new());
        for (value, room, to) in wanted.into_iter().filter(|(value, ..)| value.len > 0) {
            if draft.may_move(value) && moved.iter().all(|other| apart(&other.from, &value.range())) {
                moved.push(Moved { from: value.range(), room, to });
            } else {
                copies.push((value, Place { room, start: to, len: value.len }));
            }
        }
        let place = |value: Value| draft.place(&moved, value);
        let copies = copies.into_iter().map(|(from, to)| Instruction::Copy { from: place(from), to });
        let copies: Vec<_> = copies.collect();
        let instructions = core::mem::take(&mut draft.instructions).into_iter();
        let place = |value: Value| draft.place(&moved, value);
        let instructions: Vec<_> = instructions.map(|instruction| instruction.map(place)).chain(copies).collect();
        let pieces = draft.pieces();
        let kept = pieces.iter().filter(|(_, room)| *room == Room::Kept).map(|(piece, _)| piece.len()).sum();
        let state = draft.initial.len() - kept;
        let widths = Widths { input: draft.input, output: to, arena: draft.arena, state, kept };
        Layout { widths, segments: segments(&instructions), instructions, pieces }
    }
}

/// States that lie side by side and become what lies side by side are one.
fn joined(carries: &[(Value, Value)]) -> Vec<(Value, Value)> {
    let mut joined: Vec<(Value, Value)> = Vec::new();
    for (state, next) in carries {
        match joined.last_mut() {
            Some((first, second))
                if first.range().end == state.start
                    && second.region == next.region
                    && second.range().end == next.start =>
            {
                first.len += state.len;
                second.len += next.len;
            }
            _ => joined.push((*state, *next)),
        }
    }
    joined
}

/// Instructions from one that reads a state to the last that writes it belong together.
fn segments(instructions: &[Instruction<Place>]) -> Vec<(Range<usize>, bool)> {
    let range = |place: Place| place.start..place.start + place.len;
    let last_write = |read: Place| {
        instructions.iter().rposition(|i| {
            let write = i.operands().1;
            write.room == Room::After && !apart(&range(write), &range(read))
        })
    };
    let mut ends: Vec<usize> = (1..=instructions.len()).collect();
    let mut alone = alloc::vec![true; instructions.len()];
    for (number, instruction) in instructions.iter().enumerate() {
        for write in instruction.operands().0.filter(|place| place.room == Room::Before).filter_map(last_write) {
            if write >= number {
                ends[number] = ends[number].max(write + 1);
                alone[number] = false;
            }
        }
    }
    let mut segments: Vec<(Range<usize>, bool)> = Vec::new();
    let mut at = 0;
    while at < ends.len() {
        let mut end = ends[at];
        let mut i = at;
        while i < end {
            end = end.max(ends[i]);
            i += 1;
        }
        segments.push((at..end, end == at + 1 && alone[at]));
        at = end;
    }
    segments
}
