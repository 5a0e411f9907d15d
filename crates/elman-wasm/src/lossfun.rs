//! The library's answer beside the page's own `lossFun`: in `f32`, as it trains.

use elman::cell::{CellKind, State};
use elman::layer::StackState;
use elman::param::Params;
use elman::shape::{Shape, Synced, SyncedConfig};
use elman::{Error, Result};
use wasm_bindgen::prelude::*;

/// Loss in nats and its gradients of min-char-rnn's network over a few tokens: `[loss, gradients..]`.
///
/// `weights` are `W_xh` `[H, V]`, `W_hh` `[H, H]`, `b_h` `[H]`, `W_hy` `[V, H]`, `b_y` `[V]`, one after another; so are
/// the gradients.
///
/// # Errors
/// Another number of weights; a token that is not below `vocab`; not one target per token.
pub fn loss_and_gradients(
    hidden: usize,
    vocab: usize,
    weights: &[f32],
    inputs: &[u32],
    targets: &[u32],
    h_prev: &[f32],
) -> Result<Vec<f64>> {
    let network = Synced::new(SyncedConfig::language_model(CellKind::RnnTanh, hidden, vocab))?;
    let usage = |message: &str| Err(Error::Usage(message.into()));
    // The library has PyTorch's two biases; the second stays zero and has the gradient of the first.
    let sizes = [hidden * vocab, hidden * hidden, hidden, vocab * hidden, vocab];
    if weights.len() != sizes.iter().sum::<usize>() || h_prev.len() != hidden {
        return usage("the weights do not have these sizes");
    }
    if inputs.is_empty() || inputs.len() != targets.len() || inputs.iter().chain(targets).any(|&t| t as usize >= vocab)
    {
        return usage("there is not a target for each token, or a token is not in the vocabulary");
    }
    let mut params: Params<f32> = Params::zeros(Shape::<f32>::layout(&network));
    let names = ["rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0", "output.weight", "output.bias"];
    let slots: Vec<_> = names
        .iter()
        .filter_map(|name| Shape::<f32>::layout(&network).tensors().iter().find(|tensor| tensor.name == *name))
        .map(|tensor| tensor.slot)
        .collect();
    let mut rest = weights;
    for (slot, size) in slots.iter().zip(sizes) {
        let (now, after) = rest.split_at(size);
        slot.of_mut(&mut params).copy_from_slice(now);
        rest = after;
    }
    let state = StackState { cells: vec![State { h: h_prev.to_vec(), c: Vec::new() }] };
    let (loss_nats, grads, _) = network.loss_and_gradients(&params, inputs, targets, &state);
    let grads = slots.iter().flat_map(|slot| slot.of(&grads)).map(|&g| f64::from(g));
    Ok(std::iter::once(loss_nats).chain(grads).collect())
}

/// As [`loss_and_gradients`], for the script.
///
/// # Errors
/// As [`loss_and_gradients`].
#[wasm_bindgen(js_name = lossAndGradients)]
pub fn loss_and_gradients_js(
    hidden: usize,
    vocab: usize,
    weights: &[f32],
    inputs: &[u32],
    targets: &[u32],
    h_prev: &[f32],
) -> std::result::Result<Vec<f64>, JsError> {
    loss_and_gradients(hidden, vocab, weights, inputs, targets, h_prev).map_err(crate::thrown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_equal_central_differences_and_wrong_sizes_are_refused() {
        let (hidden, vocab) = (3, 4);
        let n = hidden * vocab * 2 + hidden * hidden + hidden + vocab;
        let weights: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin() * 0.6).collect();
        let (inputs, targets, h) = ([0, 1, 2, 2], [1, 2, 2, 3], [0.1, -0.2, 0.3]);
        let of = |weights: &[f32]| loss_and_gradients(hidden, vocab, weights, &inputs, &targets, &h).unwrap();
        let exact = of(&weights);
        assert_eq!(exact.len(), 1 + n);
        for i in 0..n {
            let at = |by: f32| {
                let mut moved = weights.clone();
                moved[i] += by;
                of(&moved)[0]
            };
            let numeric = (at(0.01) - at(-0.01)) / 0.02;
            assert!((numeric - exact[1 + i]).abs() < 1e-3, "{i}: {numeric} {}", exact[1 + i]);
        }
        assert!(loss_and_gradients(hidden, vocab, &weights[1..], &inputs, &targets, &h).is_err());
        assert!(loss_and_gradients(hidden, vocab, &weights, &[9], &[1], &h).is_err());
        assert!(loss_and_gradients(hidden, vocab, &weights, &[], &[], &h).is_err());
    }
}
