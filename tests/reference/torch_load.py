#!/usr/bin/env python3
"""Loads an Elman model file into PyTorch, runs it over tokens, and prints or checks the logits.

    python torch_load.py MODEL.safetensors --tokens 1,2,3                        prints [[logits of step 0], ...]
    python torch_load.py MODEL.safetensors --tokens 1,2,3 --expect LOGITS.json   exits 0 if they agree, 1 if not

The file: tensors rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0, ... (rnn.*_reverse with two
directions), output.weight, output.bias, and embedding.weight if the model has an embedding; without one, tokens enter
one-hot. Metadata: see `config`. Names and shapes must fit exactly (load_state_dict with strict=True).

One sequence, the state zero before it, weights as stored, arithmetic in float64 (--dtype float32 for PyTorch's own
rounding). Agreement: max |a - b| <= tolerance * max |a| over all logits a of this script; tolerance 1e-5.

Used with Python 3.11.7, torch 2.15.0 (CPU), safetensors 0.8.0.
"""
import argparse
import json
import pathlib
import sys

import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F


def config(metadata, names):
    """The one place that knows the metadata: cell, layers, hidden, input width, tied embedding, directions."""
    network = json.loads(metadata["elman"])["network"]
    feed = network["feed"]
    width = network["embedding"] or feed.get("tokens") or feed["dense"]
    bidirectional = any(name.endswith("_reverse") for name in names)
    return network["cell"], network["layers"], network["hidden"], width, network["tied"], bidirectional


class Model(nn.Module):
    def __init__(self, cell, layers, hidden, width, bidirectional, vocab_in, vocab_out):
        super().__init__()
        kind = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn-tanh": nn.RNN, "rnn-relu": nn.RNN}[cell]
        extra = {"nonlinearity": cell.removeprefix("rnn-")} if kind is nn.RNN else {}
        self.width = width
        if vocab_in is not None:
            self.embedding = nn.Embedding(vocab_in, width)
        self.rnn = kind(width, hidden, layers, bidirectional=bidirectional, **extra)
        self.output = nn.Linear(hidden * (1 + bidirectional), vocab_out)

    def forward(self, tokens):
        if hasattr(self, "embedding"):
            x = self.embedding(tokens)
        else:
            x = F.one_hot(tokens, self.width).to(self.output.weight.dtype)
        return self.output(self.rnn(x)[0])


def load(path, dtype):
    with safe_open(path, framework="pt") as f:
        tensors = {name: f.get_tensor(name) for name in f.keys()}
        cell, layers, hidden, width, tied, bidirectional = config(f.metadata(), tensors)
    # A checkpoint's moments and states are no part of the network.
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("training.")}
    # Bytes have a scale for each row beside them.
    scales = {name: tensors.pop(f"{name}.scale") for name in list(tensors) if f"{name}.scale" in tensors}
    tensors |= {name: tensors[name].float() * scale[:, None] for name, scale in scales.items()}
    embedding = tensors.get("embedding.weight")
    if tied:
        tensors["output.weight"] = embedding
    vocab_in = None if embedding is None else len(embedding)
    model = Model(cell, layers, hidden, width, bidirectional, vocab_in, len(tensors["output.weight"]))
    model.load_state_dict(tensors, strict=True)
    return model.to(dtype).eval()


def main():
    parser = argparse.ArgumentParser(description="Runs an Elman model file in PyTorch.")
    parser.add_argument("model")
    parser.add_argument("--tokens", required=True, help="token numbers, separated by commas")
    parser.add_argument("--expect", help="JSON file: a list of lists of logits")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64")
    args = parser.parse_args()

    torch.set_num_threads(1)
    tokens = torch.tensor([int(t) for t in args.tokens.split(",")])
    with torch.no_grad():
        logits = load(args.model, getattr(torch, args.dtype))(tokens)
    if args.expect is None:
        print(json.dumps(logits.tolist()))
        return 0

    expected = torch.tensor(json.loads(pathlib.Path(args.expect).read_text()), dtype=torch.float64)
    if expected.shape != logits.shape:
        print(f"shapes differ: expected {list(expected.shape)}, PyTorch {list(logits.shape)}")
        return 1
    off = ((expected - logits).abs().max() / logits.abs().max()).item()
    agrees = off <= args.tolerance  # false for NaN
    print(f"{'agree' if agrees else 'differ'}: greatest relative difference {off:.3e}")
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
