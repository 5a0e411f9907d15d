//! The memory of a machine: values, carried states, and the scratch of products.

use alloc::vec::Vec;
use core::ops::Range;

use elman_kernels::{Buffer, step};

use crate::cell::layer;

/// The memory a value lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// Computed in the step; the input lies at its beginning.
    Arena,
    /// Carried from the step before.
    State,
    /// The same for every step and stream.
    Constant,
}

/// Values that an instruction reads or writes: a range of the machine's memory. Belongs to the [`super::Builder`] that
/// made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    pub(super) region: Region,
    pub(super) start: usize,
    pub(super) len: usize,
}

impl Value {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Part of the values, if there are that many.
    pub fn slice(&self, range: Range<usize>) -> Option<Value> {
        (range.start <= range.end && range.end <= self.len).then(|| Value {
            region: self.region,
            start: self.start + range.start,
            len: range.len(),
        })
    }

    /// The memory they lie in.
    pub fn region(&self) -> Region {
        self.region
    }

    /// Where in that memory the first lies.
    pub fn start(&self) -> usize {
        self.start
    }

    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.start + self.len
    }
}

/// A part of the memory of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Input,
    Output,
    Constant,
    /// What is computed in a step.
    Arena,
    /// States as the step before left them.
    Before,
    /// States as this step leaves them.
    After,
    /// Rings, which change where they are.
    Kept,
}

impl Room {
    pub(super) const COUNT: usize = 7;
}

/// A range of a room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) room: Room,
    pub(super) start: usize,
    pub(super) len: usize,
}

/// Working memory beside the values.
#[derive(Clone, Default)]
pub(super) struct Scratch {
    pub(super) layers: layer::Scratch,
    pub(super) products: step::Scratch,
    /// Of layers by the general path.
    pub(super) work: Vec<f32>,
    /// What a dense layer reads in a block.
    pub(super) rows: Vec<f32>,
}

/// Widths of the rooms.
#[derive(Clone, Copy, Default)]
pub(super) struct Widths {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) arena: usize,
    /// States that a step writes anew.
    pub(super) state: usize,
    /// Rings.
    pub(super) kept: usize,
}

/// Memory of one stream: a row of the arena for each step of a block, one row more of states, and the rings.
///
/// Step `t` of a block reads row `first + t` of the states and writes the row after it, so that no state is copied.
#[derive(Clone)]
pub(super) struct Memory {
    widths: Widths,
    /// Steps of a block, at most.
    block: usize,
    values: Buffer<f32>,
    /// The row of the current state.
    first: usize,
    scratch: Scratch,
}

impl Memory {
    pub(super) fn new(widths: Widths, block: usize, scratch: Scratch) -> Self {
        let len = block * widths.arena + (block + 1) * widths.state + widths.kept;
        Memory { widths, block, values: Buffer::zeros(len), first: 0, scratch }
    }

    pub(super) fn block(&self) -> usize {
        self.block
    }

    /// The current state.
    pub(super) fn state(&self) -> &[f32] {
        let at = self.block * self.widths.arena + self.first * self.widths.state;
        &self.values[at..at + self.widths.state]
    }

    pub(super) fn state_mut(&mut self) -> &mut [f32] {
        let at = self.block * self.widths.arena + self.first * self.widths.state;
        &mut self.values[at..at + self.widths.state]
    }

    /// The rings.
    pub(super) fn kept(&self) -> &[f32] {
        &self.values[self.values.len() - self.widths.kept..]
    }

    pub(super) fn kept_mut(&mut self) -> &mut [f32] {
        let at = self.values.len() - self.widths.kept;
        &mut self.values[at..]
    }

    /// The next `steps` steps, from `x` to `y`.
    #[inline(always)]
    pub(super) fn frame<'a>(
        &'a mut self,
        constants: &'a [f32],
        x: &'a [f32],
        y: &'a mut [f32],
        steps: usize,
    ) -> Frame<'a> {
        if steps > 1 && self.first + steps > self.block {
            let at = self.block * self.widths.arena;
            let from = at + self.first * self.widths.state;
            self.values.copy_within(from..from + self.widths.state, at);
            self.first = 0;
        }
        let states = self.block * self.widths.arena;
        let after = if self.first == self.block { 0 } else { self.first + 1 };
        let mut starts = [0; Room::COUNT];
        starts[Room::Before as usize] = states + self.first * self.widths.state;
        starts[Room::After as usize] = states + after * self.widths.state;
        starts[Room::Kept as usize] = states + (self.block + 1) * self.widths.state;
        self.first = if steps == 1 { after } else { self.first + steps };
        Frame { constants, x, y, values: &mut self.values, scratch: &mut self.scratch, widths: self.widths, starts }
    }
}

/// Rows, and the number of values from the beginning of one to that of the next.
type Rows<'a> = (&'a [f32], usize);
type RowsMut<'a> = (&'a mut [f32], usize);

/// The memory as the instructions of one step see it.
pub(super) struct Frame<'a> {
    constants: &'a [f32],
    x: &'a [f32],
    y: &'a mut [f32],
    values: &'a mut [f32],
    scratch: &'a mut Scratch,
    widths: Widths,
    /// Where each room begins in its memory.
    starts: [usize; Room::COUNT],
}

impl Frame<'_> {
    /// From one step of a block to another, `steps` later.
    pub(super) fn forward(&mut self, steps: usize) {
        for room in [Room::Input, Room::Output, Room::Arena, Room::Before, Room::After] {
            self.starts[room as usize] += steps * self.width(room);
        }
    }

    /// Back again.
    pub(super) fn back(&mut self, steps: usize) {
        for room in [Room::Input, Room::Output, Room::Arena, Room::Before, Room::After] {
            self.starts[room as usize] -= steps * self.width(room);
        }
    }

    /// From the values of one step to those of the next.
    fn width(&self, room: Room) -> usize {
        match room {
            Room::Input => self.widths.input,
            Room::Output => self.widths.output,
            Room::Arena => self.widths.arena,
            Room::Before | Room::After => self.widths.state,
            Room::Kept | Room::Constant => 0,
        }
    }

    /// The values to read, and those to write, which lie apart from them.
    #[inline(always)]
    pub(super) fn views<const N: usize>(
        &mut self,
        read: [Place; N],
        write: Place,
    ) -> ([&[f32]; N], &mut [f32], &mut Scratch) {
        let lens = read.map(|place| place.len);
        self.ranges(read, lens, write, write.len)
    }

    /// The rows of `steps` steps to read and those to write, each with the number of values from the beginning of one row
    /// to that of the next. Rows that lie between those to write are gathered first.
    pub(super) fn rows(
        &mut self,
        read: Place,
        write: Place,
        steps: usize,
    ) -> (Rows<'_>, RowsMut<'_>, &mut step::Scratch) {
        let (read_stride, write_stride) = (self.width(read.room), self.width(write.room));
        let reach = |stride: usize, len: usize| steps.saturating_sub(1) * stride + len;
        let to = reach(write_stride, write.len);
        let states = |room: Room| matches!(room, Room::Before | Room::After);
        if read.room != write.room && !(states(read.room) && states(write.room)) {
            let ([x], y, scratch) = self.ranges([read], [reach(read_stride, read.len)], write, to);
            return ((x, read_stride), (y, write_stride), &mut scratch.products);
        }
        for t in 0..steps {
            let read = Place { start: read.start + t * read_stride, ..read };
            let ([x], _, scratch) = self.views([read], Place { len: 0, ..write });
            scratch.rows[t * x.len()..(t + 1) * x.len()].copy_from_slice(x);
        }
        let ([], y, Scratch { rows, products, .. }) = self.ranges([], [], write, to);
        ((&rows[..steps * read.len], read.len), (y, write_stride), products)
    }

    #[inline(always)]
    fn ranges<const N: usize>(
        &mut self,
        read: [Place; N],
        lens: [usize; N],
        write: Place,
        len: usize,
    ) -> ([&[f32]; N], &mut [f32], &mut Scratch) {
        let Frame { constants, x, y, values, scratch, starts, .. } = self;
        let at = |place: Place| starts[place.room as usize] + place.start;
        let start = at(write);
        let end = start + len;
        let mut slices: [&[f32]; N] = [&[]; N];
        if write.room == Room::Output {
            let (before, rest) = y.split_at_mut(start);
            let (to, after) = rest.split_at_mut(len);
            for ((slice, place), len) in slices.iter_mut().zip(read).zip(lens) {
                let at = at(place);
                *slice = match place.room {
                    Room::Input => &x[at..at + len],
                    Room::Constant => &constants[at..at + len],
                    Room::Output if at < end => &before[at..at + len],
                    Room::Output => &after[at - end..at - end + len],
                    _ => &values[at..at + len],
                };
            }
            return (slices, to, scratch);
        }
        let (before, rest) = values.split_at_mut(start);
        let (to, after) = rest.split_at_mut(len);
        for ((slice, place), len) in slices.iter_mut().zip(read).zip(lens) {
            let at = at(place);
            *slice = match place.room {
                Room::Input => &x[at..at + len],
                Room::Constant => &constants[at..at + len],
                Room::Output => &y[at..at + len],
                _ if at < end => &before[at..at + len],
                _ => &after[at - end..at - end + len],
            };
        }
        (slices, to, scratch)
    }

    /// Puts a frame in a ring and writes those of `ages` steps ago. The last value of the ring is the number of the
    /// place that is written next.
    pub(super) fn delay(&mut self, ring: Place, ages: &[usize], input: Place, output: Place) {
        let width = input.len;
        let frames = (ring.len - 1) / width;
        let (start, position) = (ring.start, Place { start: ring.start + ring.len - 1, len: 1, ..ring });
        let frame = |number: usize| Place { start: start + number * width, len: width, ..ring };
        let ([head], _, _) = self.views([position], Place { len: 0, ..position });
        let head = (head[0] as usize).min(frames - 1);
        let ([x], to, _) = self.views([input], frame(head));
        to.copy_from_slice(x);
        for (number, age) in ages.iter().enumerate() {
            let to = Place { start: output.start + number * width, len: width, ..output };
            let ([x], y, _) = self.views([frame((head + frames - age) % frames)], to);
            y.copy_from_slice(x);
        }
        let (_, to, _) = self.views([], position);
        to.fill(((head + 1) % frames) as f32);
    }

    /// Counts a step: `count` is the number of steps until the next at which `output` is 1.
    pub(super) fn clock(&mut self, count: Place, period: usize, output: Place) {
        let ([left], _, _) = self.views([count], Place { len: 0, ..count });
        let left = left[0] as usize;
        let (_, to, _) = self.views([], output);
        to.fill(if left == 0 { 1.0 } else { 0.0 });
        let (_, to, _) = self.views([], count);
        to.fill((if left == 0 { period } else { left } - 1) as f32);
    }

    /// Whether a clock is 1.
    pub(super) fn ticks(&mut self, clock: Place) -> bool {
        let ([now], _, _) = self.views([clock], Place { len: 0, ..clock });
        now[0] != 0.0
    }
}
