//! Where the steps of a batch's sequences lie, and how they are cut and divided into blocks.

use std::mem;

use crate::error::{Error, Result};
use crate::train::engine::ranges;

/// Where the steps of a batch's sequences lie among the rows of a matrix `[N, ..]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows<'a> {
    /// `[T, B]`: step `t` of sequence `b` is row `t B + b`.
    TimeFirst {
        /// `T`.
        steps: usize,
        /// `B`.
        batch: usize,
    },
    /// `[B, T]`: step `t` of sequence `b` is row `b T + t`.
    BatchFirst {
        /// `T`.
        steps: usize,
        /// `B`.
        batch: usize,
    },
    /// Step after step, the sequences that still run, longest first: as many as these at each step (PyTorch's packed
    /// sequences).
    Packed(&'a [usize]),
}

impl Rows<'_> {
    /// `N`.
    pub(super) fn count(self) -> usize {
        match self {
            Rows::TimeFirst { steps, batch } | Rows::BatchFirst { steps, batch } => steps.saturating_mul(batch),
            Rows::Packed(sizes) => sizes.iter().sum(),
        }
    }

    /// `B`.
    pub(super) fn batch(self) -> usize {
        match self {
            Rows::TimeFirst { batch, .. } | Rows::BatchFirst { batch, .. } => batch,
            Rows::Packed(sizes) => sizes.first().copied().unwrap_or(0),
        }
    }

    /// The rows of a sequence, step by step.
    fn of(self, sequence: usize) -> Box<dyn Iterator<Item = usize>> {
        match self {
            Rows::TimeFirst { steps, batch } => Box::new((0..steps).map(move |t| t * batch + sequence)),
            Rows::BatchFirst { steps, .. } => Box::new(sequence * steps..(sequence + 1) * steps),
            Rows::Packed(sizes) => {
                let running = sizes.iter().take_while(|&&size| size > sequence);
                let starts = running.scan(0, |start, &size| Some(mem::replace(start, *start + size)));
                Box::new(starts.map(|start| start + sequence).collect::<Vec<_>>().into_iter())
            }
        }
    }

    pub(super) fn check(self) -> Result<()> {
        match self {
            Rows::Packed(sizes) if !sizes.is_sorted_by(|a, b| a >= b) || sizes.last() == Some(&0) => {
                Err(Error::Usage("the batch sizes of packed sequences must fall and stay above 0".into()))
            }
            _ => Ok(()),
        }
    }
}

/// A sequence, or a part of one from a reset on.
#[derive(Clone, Debug, Default)]
pub(super) struct Piece {
    pub(super) sequence: usize,
    pub(super) rows: Vec<usize>,
    /// Whether it begins at the given state, not at zero.
    pub(super) is_first: bool,
    /// Whether the state after it is that of the batch.
    pub(super) is_last: bool,
}

/// The sequences of a batch, cut at their resets.
pub(super) fn pieces(rows: Rows, reset: Option<&[bool]>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for sequence in 0..rows.batch() {
        let mut piece = Piece { sequence, is_first: true, ..Piece::default() };
        for row in rows.of(sequence) {
            if reset.is_some_and(|reset| reset[row]) {
                // Nothing stands before a reset at the first step.
                if !piece.rows.is_empty() {
                    pieces.push(mem::take(&mut piece));
                }
                (piece.sequence, piece.is_first) = (sequence, false);
            }
            piece.rows.push(row);
        }
        piece.is_last = true;
        pieces.push(piece);
    }
    pieces
}

/// The pieces of each of `count` blocks, in order of decreasing length: equal ones as they come, others dealt out so that every
/// block has as much to do.
pub(super) fn divided(mut pieces: Vec<Piece>, count: usize) -> Vec<Vec<Piece>> {
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.rows.len()));
    let are_equal = pieces.first().map(|piece| piece.rows.len()) == pieces.last().map(|piece| piece.rows.len());
    let place: Vec<usize> = match are_equal {
        true => ranges(pieces.len(), count).enumerate().flat_map(|(i, range)| range.map(move |_| i)).collect(),
        false => (0..pieces.len()).map(|i| i % count).collect(),
    };
    let mut blocks = vec![Vec::new(); count];
    pieces.into_iter().zip(place).for_each(|(piece, i)| blocks[i].push(piece));
    blocks
}
