"""Training steps of min-char-rnn in numpy, on command: the peer of `train_step .. adagrad` (see run.py).

`numpy_worker.py FILE CELL THREADS` obeys the same lines of standard input. As in Karpathy's 112 lines: one character a
step, one-hot inputs, gradients cut off at +-5, Adagrad; in float32, which is the faster here.
"""

import os
import sys

os.environ["OPENBLAS_NUM_THREADS"] = sys.argv[3]

import numpy as np
from safetensors.numpy import load_file

from worker import serve

LR, EPS, CLIP = 0.1, 1e-8, 5.0


class Run:
    """A network, one sequence it trains on again and again, and Adagrad's memory."""

    def __init__(self, tensors):
        tokens = tensors["tokens"][:, 0]
        self.inputs, self.targets = tokens[:-1], tokens[1:]
        column = lambda name: tensors[name][:, None].copy()
        self.params = [tensors[name].copy() for name in ("rnn.weight_ih_l0", "rnn.weight_hh_l0", "output.weight")]
        self.params += [column("rnn.bias_ih_l0") + column("rnn.bias_hh_l0"), column("output.bias")]
        self.memory = [np.zeros_like(p) for p in self.params]
        self.h = np.zeros_like(self.params[3])

    def step(self):
        """The loss in nats per character before the step."""
        w_xh, w_hh, w_hy, b_h, b_y = self.params
        xs, hs, ps, loss = {}, {-1: self.h}, {}, 0.0
        for t, token in enumerate(self.inputs):
            xs[t] = np.zeros((w_xh.shape[1], 1), np.float32)
            xs[t][token] = 1
            hs[t] = np.tanh(w_xh @ xs[t] + w_hh @ hs[t - 1] + b_h)
            e = np.exp(w_hy @ hs[t] + b_y)
            ps[t] = e / np.sum(e)
            loss -= np.log(ps[t][self.targets[t], 0])
        grads = [np.zeros_like(p) for p in self.params]
        dw_xh, dw_hh, dw_hy, db_h, db_y = grads
        dh_next = np.zeros_like(self.h)
        for t in reversed(range(len(self.inputs))):
            dy = ps[t].copy()
            dy[self.targets[t]] -= 1
            dw_hy += dy @ hs[t].T
            db_y += dy
            da = (1 - hs[t] * hs[t]) * (w_hy.T @ dy + dh_next)
            db_h += da
            dw_xh += da @ xs[t].T
            dw_hh += da @ hs[t - 1].T
            dh_next = w_hh.T @ da
        for grad, param, memory in zip(grads, self.params, self.memory):
            np.clip(grad, -CLIP, CLIP, out=grad)
            memory += grad * grad
            param -= LR * grad / np.sqrt(memory + EPS)
        self.h = hs[len(self.inputs) - 1]
        return {"loss_nats": float(loss) / len(self.inputs)}


def main():
    serve(Run(load_file(sys.argv[1])).step)


if __name__ == "__main__":
    main()
