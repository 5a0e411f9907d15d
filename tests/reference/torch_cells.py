#!/usr/bin/env python3
"""Records outputs and gradients of PyTorch's recurrent layers: torch_cells.jsonl, one case on a line.

48 cases in float64: cell rnn_tanh, rnn_relu, gru, lstm; 1, 2, 3 layers; one or two directions; equal or ragged lengths.
I = 2, H = 3, B = 3, T = 4; ragged lengths [2, 4, 3] stay unsorted; initial states are not zero.

Weights and inputs are not stored. Both sides compute element i (flat, row-major) of the tensor called `name` in f64:

    value(name, i) = amp * sin(0.37 * i + phase),   phase = 0.01 * (sum of the bytes of the UTF-8 name)

    amp 0.5   parameters under PyTorch's names: weight_ih_l0 [G*H, I or D*H], weight_hh_l0 [G*H, H], bias_ih_l0 [G*H],
              bias_hh_l0 [G*H], ..._l0_reverse, ..._l1, ...; gates r, z, n (GRU) and i, f, g, o (LSTM)
    amp 0.5   h0, c0 [L*D, B, H], slice layer * D + direction
    amp 1.0   x [T, B, I], dy [T, B, D*H], dh and dc [L*D, B, H]

The relu cases add 0.4 (key bias_ih_offset) to every element of the bias_ih tensors: without it whole layers would be
inactive. With it every layer has 39 to 65 % of its units active, and no sum is nearer to relu's kink than 0.004.

    loss = sum(dy * y, valid steps only) + sum(dh * h_n) + sum(dc * c_n)

x is computed for padded steps too; they must not matter. h_n and c_n belong to each sequence's last valid step
(backward direction: to step 0).

Keys: cell, layers, bidirectional, lengths [B], T, B, I, H, bias_ih_offset, loss, then flat row-major lists: y
[T, B, D*H] (zero at padding), h_n, c_n, and the gradients dx [T, B, I] (zero at padding), dh0, dc0, grads {parameter:
list}. c_n and dc0: LSTM only.

Run: python torch_cells.py [OUTPUT]. Recorded with Python 3.11.7, torch 2.15.0 (CPU); nothing is drawn at random.
"""
import json
import math
import pathlib
import sys

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

T, B, I, H = 4, 3, 2, 3
CELLS = {
    "rnn_tanh": lambda *a, **k: nn.RNN(*a, nonlinearity="tanh", **k),
    "rnn_relu": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k),
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


def value(name, shape, amp):
    """The tensor of the formula above."""
    phase = sum(name.encode()) * 0.01
    flat = [amp * math.sin(0.37 * i + phase) for i in range(math.prod(shape))]
    return torch.tensor(flat, dtype=torch.float64).reshape(shape)


def flat(tensor):
    return tensor.detach().reshape(-1).tolist()


def case(cell, layers, bidirectional, lengths):
    directions = 2 if bidirectional else 1
    offset = 0.4 if cell == "rnn_relu" else 0.0
    net = CELLS[cell](I, H, layers, bidirectional=bidirectional, dtype=torch.float64)
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.copy_(value(name, p.shape, 0.5))
            if name.startswith("bias_ih"):
                p += offset
    states = (layers * directions, B, H)
    x = value("x", (T, B, I), 1.0).requires_grad_()
    h0 = value("h0", states, 0.5).requires_grad_()
    c0 = value("c0", states, 0.5).requires_grad_()
    lstm = cell == "lstm"

    packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    y, last = net(packed, (h0, c0) if lstm else h0)
    y, _ = pad_packed_sequence(y, total_length=T)
    h_n = last[0] if lstm else last

    valid = (torch.arange(T)[:, None] < torch.tensor(lengths)).unsqueeze(-1)
    loss = (value("dy", y.shape, 1.0) * y * valid).sum() + (value("dh", states, 1.0) * h_n).sum()
    if lstm:
        loss = loss + (value("dc", states, 1.0) * last[1]).sum()
    loss.backward()

    out = dict(cell=cell, layers=layers, bidirectional=bidirectional, lengths=lengths, T=T, B=B, I=I, H=H)
    out |= dict(bias_ih_offset=offset, loss=loss.item(), y=flat(y), h_n=flat(h_n))
    if lstm:
        out["c_n"] = flat(last[1])
    out |= dict(dx=flat(x.grad), dh0=flat(h0.grad))
    if lstm:
        out["dc0"] = flat(c0.grad)
    out["grads"] = {name: flat(p.grad) for name, p in net.named_parameters()}
    return out


def main():
    torch.set_num_threads(1)
    default = pathlib.Path(__file__).with_name("torch_cells.jsonl")
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    with path.open("w") as f:
        for cell in CELLS:
            for layers in (1, 2, 3):
                for bidirectional in (False, True):
                    for lengths in ([T] * B, [2, 4, 3]):
                        f.write(json.dumps(case(cell, layers, bidirectional, lengths)) + "\n")


if __name__ == "__main__":
    main()
