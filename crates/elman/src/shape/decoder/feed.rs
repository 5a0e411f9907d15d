//! Scheduled sampling (Bengio et al. 2015): in training a decoder now and then reads what it would have written itself, as
//! it must when nobody tells it the right words.

use elman_kernels::Scalar;

use super::{Decoder, DecoderPrepared, DecoderTape, Reading};
use crate::cell::Steps;
use crate::layer::Grouping;

/// Working memory: a decoder that walks ahead.
#[derive(Clone, Default)]
pub(super) struct Ahead<F> {
    tape: DecoderTape<F>,
    groups: Grouping,
}

impl Decoder {
    /// What is fed, to `fed` `[N]`: `reading.tokens`, but in rows that `own` names the most likely symbol after what was fed
    /// before. Begins at the state in the tape and leaves it as it is; without dropout. An empty `own` names no row.
    pub(in crate::shape) fn feed<F: Scalar>(
        &self,
        prepared: &DecoderPrepared<F>,
        reading: Reading<F>,
        own: &[bool],
        tape: &mut DecoderTape<F>,
        fed: &mut Vec<u32>,
    ) {
        let Reading { steps, tokens, memory, feature, .. } = reading;
        fed.clear();
        fed.extend_from_slice(tokens);
        let Some(last) = own.iter().rposition(|&own| own) else { return };
        let mut ahead = tape.ahead.take().unwrap_or_default();
        ahead.tape.state.copy_from(&tape.state);
        let (vocab, sequences) = (self.config.vocab, steps.batch());
        let mut rows = sequences;
        for t in (0..steps.len()).take_while(|&t| steps.range(t).start <= last) {
            let (range, active) = (steps.range(t), steps.active(t));
            // Before the first step nothing has been written.
            if t > 0 {
                for (row, logits) in range.clone().zip(ahead.tape.logits.chunks_exact(vocab)) {
                    if own[row] {
                        fed[row] = most_likely(logits);
                    }
                }
            }
            ahead.tape.state.truncate(rows, active);
            rows = active;
            ahead.groups.set_one_step((0..sequences).map(|s| usize::from(s < active)));
            let (step, groups) = (Steps::equal(1, active), &ahead.groups);
            let reading = Reading { steps: &step, tokens: &fed[range], groups, memory, feature };
            self.forward(prepared, reading, &mut ahead.tape, None);
        }
        tape.ahead = Some(ahead);
    }
}

/// Of equals the lower symbol, as in a search.
fn most_likely<F: Scalar>(logits: &[F]) -> u32 {
    let mut best = 0;
    for (i, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = i;
        }
    }
    best as u32
}
