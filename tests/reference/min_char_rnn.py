#!/usr/bin/env python3
"""Records 1000 iterations of the classic character-level RNN in numpy: min_char_rnn.json.

Own code for the formulas of Karpathy's min-char-rnn (2015), float64, one character a step.

Data: the bytes of min_char_rnn.txt. Vocabulary: the sorted distinct bytes; a token is its place among them.
Sizes: hidden H = 100, S = 25 steps an iteration, V the vocabulary.
Weights: w_xh [H, V], w_hh [H, H], w_hy [V, H]; element i (flat, row-major) is 0.01 * sin(12.9898 * i + phase) with
phase = 0.01 * (sum of the bytes of the name). Biases b_h [H], b_y [V] are zero.

Iterations n = 1 .. 1000, with position p = 0 and h = 0 at the start:

    1. if p + S + 1 >= len(data): p = 0, h = 0
    2. inputs data[p .. p+S], targets data[p+1 .. p+S+1]; h_{-1} = h
    3. h_t = tanh(w_xh[:, x_t] + w_hh h_{t-1} + b_h);  y_t = w_hy h_t + b_y;  p_t = softmax(y_t)
       loss = sum over t of -ln p_t[target_t]                            (nats, the sum over S steps, before the update)
    4. for t = S-1 .. 0, with r = 0 at first:
       dy = p_t - onehot(target_t);  dw_hy += dy h_t^T;  db_y += dy
       da = (1 - h_t^2) * (w_hy^T dy + r);  db_h += da;  dw_xh[:, x_t] += da;  dw_hh += da h_{t-1}^T;  r = w_hh^T da
    5. every gradient element clipped to [-5, 5]
    6. Adagrad, every parameter:  m += g * g;  w -= lr * g / sqrt(m + 1e-8)        (m = 0 at first; eps inside the root)
    7. h = h_{S-1} (computed with the weights before the update);  p += S

Two runs, alike but for the learning rate: 0.1 as in the original, and 0.01. On a text this short the first is chaotic:
rounding grows to 1e-6 of the loss in 20 iterations and to 2 % in 100, so only its beginning can be compared number by
number. The second keeps to rounding error over all 1000.

Keys: hidden, seq, iterations, vocab_size, data_len, and runs [2], each with
    lr       the learning rate
    clipped  in how many iterations at least one gradient element was clipped
    h        {"1", "100", "1000"}: the first five elements of h after that iteration
    drift    {"5", "10", "20", "50", "100", "1000"}: the greatest relative difference of the losses up to that iteration
             against three runs whose initial weights are changed by 1e-15 of their size (a stand-in for another order
             of the sums); a tolerance must be well above it
    loss     [1000], of each iteration

min_char_rnn_preset.json: 300 iterations, keys as above, on the same text seven times over, so that there is no return
to its beginning: what the preset of that name is compared with, in f32. At rate 0.01 rounding stays rounding. At 0.05
weights changed by 3e-7 of their size change losses by up to 1 %, and clipping matters: without it they are 37 % apart. At
0.1 only the mean can be compared.

Run: python min_char_rnn.py [OUTPUT]. Recorded with Python 3.11.7, numpy 2.4.6; nothing is drawn at random.
"""
import json
import math
import pathlib
import sys

import numpy as np

HIDDEN, SEQ, ITERATIONS, EPS, CLIP = 100, 25, 1000, 1e-8, 5.0


def value(name, rows, cols):
    """The initial weights of the formula above."""
    phase = sum(name.encode()) * 0.01
    flat = [0.01 * math.sin(12.9898 * i + phase) for i in range(rows * cols)]
    return np.array(flat).reshape(rows, cols)


def train(data, vocab, lr, nudge=None, iterations=ITERATIONS):
    """Of every iteration: the loss, the state after it, whether it clipped. `nudge(shape)`: factors for the weights."""
    w_xh, w_hh, w_hy = value("w_xh", HIDDEN, vocab), value("w_hh", HIDDEN, HIDDEN), value("w_hy", vocab, HIDDEN)
    b_h, b_y = np.zeros(HIDDEN), np.zeros(vocab)
    params = [w_xh, w_hh, w_hy, b_h, b_y]
    if nudge:
        for w in params[:3]:
            w *= nudge(w.shape)
    memory = [np.zeros_like(w) for w in params]
    losses, states, clipped = [], [], []
    h, p = np.zeros(HIDDEN), 0
    for _ in range(iterations):
        if p + SEQ + 1 >= len(data):
            h, p = np.zeros(HIDDEN), 0
        xs, targets = data[p : p + SEQ], data[p + 1 : p + SEQ + 1]

        hs, ps, loss = {-1: h}, {}, 0.0
        for t in range(SEQ):
            hs[t] = np.tanh(w_xh[:, xs[t]] + w_hh @ hs[t - 1] + b_h)
            y = w_hy @ hs[t] + b_y
            e = np.exp(y - y.max())
            ps[t] = e / e.sum()
            loss -= math.log(ps[t][targets[t]])

        grads = [np.zeros_like(w) for w in params]
        dw_xh, dw_hh, dw_hy, db_h, db_y = grads
        r = np.zeros(HIDDEN)
        for t in reversed(range(SEQ)):
            dy = ps[t].copy()
            dy[targets[t]] -= 1.0
            dw_hy += np.outer(dy, hs[t])
            db_y += dy
            da = (1.0 - hs[t] * hs[t]) * (w_hy.T @ dy + r)
            db_h += da
            dw_xh[:, xs[t]] += da
            dw_hh += np.outer(da, hs[t - 1])
            r = w_hh.T @ da

        clipped.append(any(np.abs(g).max() > CLIP for g in grads))
        for w, g, m in zip(params, grads, memory):
            np.clip(g, -CLIP, CLIP, out=g)
            m += g * g
            w -= lr * g / np.sqrt(m + EPS)
        h = hs[SEQ - 1]
        p += SEQ
        losses.append(loss)
        states.append(h)
    return losses, states, clipped


def run(data, vocab, lr):
    """One run and its drift."""
    losses, states, clipped = train(data, vocab, lr)
    a = np.array(losses)
    apart = np.zeros(ITERATIONS)
    for k in (1, 2, 3):

        def nudge(shape):
            signs = np.sign(np.sin(k * 7.13 * np.arange(math.prod(shape)) + k))
            return (1.0 + 1e-15 * signs).reshape(shape)

        apart = np.maximum(apart, np.abs(np.array(train(data, vocab, lr, nudge)[0]) - a) / a)
    return {
        "lr": lr,
        "clipped": sum(clipped),
        "h": {str(n): states[n - 1][:5].tolist() for n in (1, 100, 1000)},
        "drift": {str(n): float(apart[:n].max()) for n in (5, 10, 20, 50, 100, 1000)},
        "loss": losses,
    }


def main():
    here = pathlib.Path(__file__)
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here.with_suffix(".json")
    text = here.with_suffix(".txt").read_bytes()
    symbols = sorted(set(text))
    data = [symbols.index(b) for b in text]
    record = {
        "hidden": HIDDEN,
        "seq": SEQ,
        "iterations": ITERATIONS,
        "vocab_size": len(symbols),
        "data_len": len(data),
        "runs": [run(data, len(symbols), lr) for lr in (0.1, 0.01)],
    }
    path.write_text(json.dumps(record) + "\n")
    runs = []
    for lr in (0.1, 0.05, 0.01):
        losses, _, clipped = train(data * 7, len(symbols), lr, iterations=300)
        runs.append({"lr": lr, "clipped": sum(clipped), "loss": [float(f"{loss:.9g}") for loss in losses]})
    preset = path.with_name(path.stem + "_preset.json")
    preset.write_text(json.dumps({"repeats": 7, "iterations": 300, "runs": runs}) + "\n")


if __name__ == "__main__":
    main()
