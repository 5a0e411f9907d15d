//! Scheduled sampling (Bengio et al. 2015): in training a decoder is sometimes fed its own prediction instead of the
//! target, as it is at inference.

use elman_kernels::Scalar;

use super::{Decoder, DecoderPrepared, DecoderTape, Reading};
use crate::cell::Steps;
use crate::metric::argmax;

impl Decoder {
    /// The input tokens, to `fed` `[N]`: `reading.tokens`, but in rows of `predicted` the most likely token given the
    /// inputs before. Starts at the state in the tape, which is unchanged; without dropout. `predicted` may be empty.
    pub(in crate::shape) fn scheduled_inputs<F: Scalar>(
        &self,
        prepared: &DecoderPrepared<F>,
        reading: Reading<F>,
        predicted: &[bool],
        tape: &mut DecoderTape<F>,
        fed: &mut Vec<u32>,
    ) {
        let Reading { steps, tokens, memory, feature, .. } = reading;
        fed.clear();
        fed.extend_from_slice(tokens);
        let Some(last) = predicted.iter().rposition(|&is| is) else { return };
        let mut ahead = tape.ahead.take().unwrap_or_default();
        ahead.tape.state.copy_from(&tape.state);
        let (vocab, sequences) = (self.config.vocab, steps.batch());
        let mut rows = sequences;
        for t in (0..steps.len()).take_while(|&t| steps.range(t).start <= last) {
            let (range, active) = (steps.range(t), steps.active(t));
            // The first step has no prediction before it.
            if t > 0 {
                for (row, logits) in range.clone().zip(ahead.tape.logits.chunks_exact(vocab)) {
                    if predicted[row] {
                        fed[row] = argmax(logits) as u32;
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
