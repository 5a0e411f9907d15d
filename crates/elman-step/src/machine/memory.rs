//! The memory of a machine: one arena, the carried state, and the scratch of products.

use core::ops::Range;

use elman_kernels::{Buffer, step};

use crate::cell::layer::Scratch;

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

    /// The same with `before` values in front.
    pub(super) fn after(&self, before: usize) -> Value {
        Value { region: self.region, start: self.start - before, len: self.len + before }
    }
}

/// Memory of one stream.
#[derive(Clone)]
pub(super) struct Memory {
    pub(super) arena: Buffer<f32>,
    pub(super) state: Buffer<f32>,
    pub(super) layers: Scratch,
    pub(super) products: step::Scratch,
}

/// Values to read beside those to write.
type Views<'a, const N: usize> = ([&'a [f32]; N], &'a mut [f32]);

#[inline(always)]
fn views<'a, const N: usize>(
    arena: &'a mut [f32],
    state: &'a [f32],
    constants: &'a [f32],
    read: [Value; N],
    write: Value,
) -> Views<'a, N> {
    let (before, rest) = arena.split_at_mut(write.start);
    let (write_to, after) = rest.split_at_mut(write.len);
    let end = write.start + write.len;
    let read = read.map(|value| match value.region {
        Region::Arena if value.start < end => &before[value.range()],
        Region::Arena => &after[value.start - end..][..value.len],
        Region::State => &state[value.range()],
        Region::Constant => &constants[value.range()],
    });
    (read, write_to)
}

impl Memory {
    /// The values to read, and those to write, which lie in the arena and apart from the others.
    #[inline(always)]
    pub(super) fn views<'a, const N: usize>(
        &'a mut self,
        constants: &'a [f32],
        read: [Value; N],
        write: Value,
    ) -> Views<'a, N> {
        views(&mut self.arena, &self.state, constants, read, write)
    }

    /// As [`Self::views`], with the scratch of layers.
    #[inline(always)]
    pub(super) fn views_and_layers<'a, const N: usize>(
        &'a mut self,
        constants: &'a [f32],
        read: [Value; N],
        write: Value,
    ) -> (Views<'a, N>, &'a mut Scratch) {
        (views(&mut self.arena, &self.state, constants, read, write), &mut self.layers)
    }

    /// As [`Self::views`], with the scratch of products.
    #[inline(always)]
    pub(super) fn views_and_products<'a, const N: usize>(
        &'a mut self,
        constants: &'a [f32],
        read: [Value; N],
        write: Value,
    ) -> (Views<'a, N>, &'a mut step::Scratch) {
        (views(&mut self.arena, &self.state, constants, read, write), &mut self.products)
    }

    /// Puts a frame in a ring and writes those of `ages` steps ago. The last value of the ring is the number of the
    /// place that is written next.
    pub(super) fn delay(&mut self, constants: &[f32], ring: Value, ages: &[usize], input: Value, output: Value) {
        let width = input.len;
        let frames = (ring.len - 1) / width;
        let head = (self.state[ring.start + ring.len - 1] as usize).min(frames - 1);
        let to = ring.start + head * width;
        match input.region {
            Region::Arena => self.state[to..to + width].copy_from_slice(&self.arena[input.range()]),
            Region::State => self.state.copy_within(input.range(), to),
            Region::Constant => self.state[to..to + width].copy_from_slice(&constants[input.range()]),
        }
        for (age, y) in ages.iter().zip(self.arena[output.range()].chunks_exact_mut(width)) {
            let at = ring.start + (head + frames - age) % frames * width;
            y.copy_from_slice(&self.state[at..at + width]);
        }
        self.state[ring.start + ring.len - 1] = ((head + 1) % frames) as f32;
    }
}

impl Memory {
    /// The values themselves.
    pub(super) fn read<'a>(&'a self, constants: &'a [f32], value: Value) -> &'a [f32] {
        match value.region {
            Region::Arena => &self.arena[value.range()],
            Region::State => &self.state[value.range()],
            Region::Constant => &constants[value.range()],
        }
    }

    /// Ends a step: states become what follows them.
    #[inline(always)]
    pub(super) fn carry(&mut self, constants: &[f32], carries: &[(Value, Value)]) {
        for (state, next) in carries {
            match next.region {
                Region::Arena => self.state[state.range()].copy_from_slice(&self.arena[next.range()]),
                // `Builder::carry` copies states.
                Region::State => {}
                Region::Constant => self.state[state.range()].copy_from_slice(&constants[next.range()]),
            }
        }
    }
}
