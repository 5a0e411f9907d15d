"""Training steps of a character model in PyTorch, on command: the peer of `train_step` (see run.py).

`torch_worker.py FILE CELL THREADS` obeys the same lines of standard input. FILE has the weights and the batch.
"""

import os
import sys

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import rnn
from safetensors.torch import load_file

from worker import serve

MODULES = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn-tanh": nn.RNN}


class CharModel(nn.Module):
    """One-hot characters, a recurrent stack, a linear output: the usual way to write it."""

    def __init__(self, cell, vocab, hidden, layers):
        super().__init__()
        self.rnn = MODULES[cell](vocab, hidden, layers)
        self.output = nn.Linear(hidden, vocab)

    def forward(self, tokens, state, lengths):
        x = functional.one_hot(tokens, self.output.out_features).float()
        if lengths is not None:
            x = rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        y, state = self.rnn(x, state)
        if lengths is not None:
            y, _ = rnn.pad_packed_sequence(y)
        return self.output(y), state


class Run:
    """A network, one batch it trains on again and again, and the optimizer."""

    def __init__(self, tensors, cell):
        tokens = tensors.pop("tokens").long()
        self.lengths = tensors.pop("lengths", None)
        self.tokens, self.targets = tokens[:-1], tokens[1:].clone()
        if self.lengths is not None:
            self.lengths = self.lengths.long()
            steps = int(self.lengths.max())
            self.tokens, self.targets = self.tokens[:steps], self.targets[:steps]
            self.targets[torch.arange(steps)[:, None] >= self.lengths] = -100
        vocab, hidden = tensors["output.weight"].shape
        layers = sum(name.startswith("rnn.weight_hh") for name in tensors)
        self.model = CharModel(cell, vocab, hidden, layers)
        self.model.load_state_dict(tensors)
        self.optimizer = torch.optim.Adam(self.model.parameters(), 1e-3)
        zeros = torch.zeros(layers, tokens.shape[1], hidden)
        self.state = (zeros, zeros.clone()) if cell == "lstm" else zeros

    def step(self):
        logits, state = self.model(self.tokens, self.state, self.lengths)
        loss = functional.cross_entropy(logits.flatten(0, 1), self.targets.flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        return {"loss_nats": loss.item(), "norm": norm.item()}


def main():
    file, cell, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    serve(Run(load_file(file), cell).step)


if __name__ == "__main__":
    main()
