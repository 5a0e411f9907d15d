//! A forward pass and what its backward pass needs, block by block.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::rows::Piece;
use crate::cell::Steps;
use crate::error::Result;
use crate::layer::{StackPrepared, StackState, StackTape};
use crate::param::{Grads, Params};

/// Buffers kept for the next pass: of a network that is called a few times before its backward pass.
const KEPT: usize = 4;

/// Weights, and the same packed for the kernels.
#[derive(Clone)]
pub(super) struct Packed {
    pub(super) params: Params<f32>,
    pub(super) prepared: StackPrepared<f32>,
}

/// What a block needs for its backward pass.
#[derive(Default)]
pub(super) struct Block {
    pub(super) pieces: Vec<Piece>,
    pub(super) steps: Option<Steps>,
    /// The row of the batch for each of the block's `n` rows.
    pub(super) rows: Vec<usize>,
    /// Whether the block's rows are those of the batch, one by one.
    pub(super) is_whole: bool,
    /// `[n, I]`, unless it is whole.
    pub(super) x: Vec<f32>,
    pub(super) dy: Vec<f32>,
    pub(super) dx: Vec<f32>,
    pub(super) state: StackState<f32>,
    pub(super) tape: StackTape<f32>,
    /// Zero between backward passes, if there are any: the sum of all blocks is in the first one's, which is handed out.
    pub(super) grads: Option<Grads<f32>>,
}

impl Block {
    /// Takes these pieces on.
    pub(super) fn begin(&mut self, pieces: Vec<Piece>) -> Result<()> {
        let lengths: Vec<usize> = pieces.iter().map(|piece| piece.rows.len()).collect();
        let steps = Steps::ragged(&lengths)?;
        self.rows.clear();
        for t in 0..steps.len() {
            self.rows.extend(pieces[..steps.active(t)].iter().map(|piece| piece.rows[t]));
        }
        self.is_whole = self.rows.iter().enumerate().all(|(i, row)| i == *row);
        self.steps = Some(steps);
        self.pieces = pieces;
        Ok(())
    }

    /// Copies states `[cells, batch, H]` of its pieces that `is_wanted` picks into its own, `h` and `c`; none is left as it is.
    pub(super) fn take_states(
        &mut self,
        given: [Option<&[f32]>; 2],
        batch: usize,
        hidden: usize,
        is_wanted: fn(&Piece) -> bool,
    ) {
        for (cell, own) in self.state.cells.iter_mut().enumerate() {
            for (given, own) in given.into_iter().zip([&mut own.h, &mut own.c]) {
                let Some(given) = given.filter(|_| !own.is_empty()) else { continue };
                for (piece, own) in self.pieces.iter().zip(own.chunks_exact_mut(hidden)).filter(|(p, _)| is_wanted(p)) {
                    own.copy_from_slice(&given[(cell * batch + piece.sequence) * hidden..][..hidden]);
                }
            }
        }
    }

    /// The other way round.
    pub(super) fn give_states(&self, to: [&mut [f32]; 2], batch: usize, hidden: usize, is_wanted: fn(&Piece) -> bool) {
        let [to_h, to_c] = to;
        for (cell, own) in self.state.cells.iter().enumerate() {
            for (own, to) in [(&own.h, &mut *to_h), (&own.c, &mut *to_c)] {
                for (piece, own) in self.pieces.iter().zip(own.chunks_exact(hidden)).filter(|(p, _)| is_wanted(p)) {
                    to[(cell * batch + piece.sequence) * hidden..][..hidden].copy_from_slice(own);
                }
            }
        }
    }

    /// Its rows to theirs in the batch.
    pub(super) fn scatter(&self, from: &[f32], width: usize, to: &mut [f32]) {
        if self.is_whole {
            return to[..from.len()].copy_from_slice(from);
        }
        for (row, from) in self.rows.iter().zip(from.chunks_exact(width)) {
            to[row * width..(row + 1) * width].copy_from_slice(from);
        }
    }
}

/// These rows of a matrix, one behind the other.
pub(super) fn gather<'a>(all: &[f32], width: usize, rows: &[usize], to: &'a mut Vec<f32>) -> &'a [f32] {
    to.clear();
    rows.iter().for_each(|row| to.extend_from_slice(&all[row * width..(row + 1) * width]));
    to
}

/// Calls `f` for each block with its number.
pub(super) fn each(blocks: &mut [Block], pool: Option<&rayon::ThreadPool>, f: impl Fn((usize, &mut Block)) + Sync) {
    match pool {
        Some(pool) if blocks.len() > 1 => pool.install(|| blocks.par_iter_mut().enumerate().for_each(&f)),
        _ => blocks.iter_mut().enumerate().for_each(f),
    }
}

/// The blocks of passes that are over, for the next ones.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<Vec<Block>>>>);

impl Kept {
    /// Those of an earlier pass, or none.
    pub(super) fn take(&self) -> Vec<Block> {
        locked(&self.0).pop().unwrap_or_default()
    }
}

/// A forward pass, kept for its backward pass.
pub struct Pass {
    pub(super) blocks: Vec<Block>,
    /// None where the weights are read as they lie.
    pub(super) packed: Option<Arc<Packed>>,
    pub(super) kept: Kept,
    pub(super) batch: usize,
    pub(super) rows: usize,
    pub(super) is_done: bool,
}

impl Pass {
    /// Whether there is nothing for [`super::Layers::backward`]: it was used up, or not kept.
    pub fn is_done(&self) -> bool {
        self.is_done
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut kept = locked(&self.kept.0);
        if kept.len() < KEPT {
            kept.push(mem::take(&mut self.blocks));
        }
    }
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass").field("rows", &self.rows).field("batch", &self.batch).finish_non_exhaustive()
    }
}

/// The lock, also after a panic elsewhere.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
