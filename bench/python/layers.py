#!/usr/bin/env python3
"""`elman.torch` beside `torch.nn`: forward and backward of the same layers on the same batch, in turn.

Both must give the same outputs and gradients (1e-4) before anything is timed. Times are medians of bursts; a ratio above 1 says how
many times as fast Elman's layers are.

    python bench/python/layers.py                    # every case, one and two threads
    python bench/python/layers.py --cases gru --threads 1
"""

import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import elman.torch

CELLS = {"gru": (nn.GRU, elman.torch.GRU), "rnn": (nn.RNN, elman.torch.RNN), "lstm": (nn.LSTM, elman.torch.LSTM)}

# Cell, layers, hidden, batch, steps, ragged, with gradients.
CASES = [
    *[(cell, layers, hidden, 32, 50, False, True) for cell in CELLS for layers, hidden in ((1, 128), (2, 256), (2, 512))],
    *[(cell, 2, 256, 32, 50, True, True) for cell in ("gru", "lstm")],
    # Small ones: what a call costs.
    *[(cell, 1, 128, batch, 1, False, False) for cell in CELLS for batch in (1, 32)],
    *[(cell, 1, 64, 1, 20, False, True) for cell in CELLS],
    *[(cell, 2, 512, batch, 1, False, False) for cell in CELLS for batch in (1, 32)],
    *[(cell, 2, 512, batch, steps, False, True) for cell in CELLS for batch, steps in ((1, 1), (4, 16))],
]


def work(module, x, state, gradients):
    """One call."""
    if not gradients:
        with torch.no_grad():
            return module(x, state)
    module.zero_grad(set_to_none=True)
    y = module(x, state)[0]
    (y.data if hasattr(y, "batch_sizes") else y).sum().backward()
    return None


def alike(theirs, ours, x, state):
    """Holds that both compute the same."""
    answers = []
    for module in (theirs, ours):
        module.zero_grad()
        y = module(x, state)[0]
        y = y.data if hasattr(y, "batch_sizes") else y
        y.sum().backward()
        answers.append([y.detach(), *(p.grad.clone() for p in module.parameters())])
    for want, got in zip(*answers, strict=True):
        scale = want.abs().max().clamp(min=1.0)
        assert (want - got).abs().max() <= 1e-4 * scale, (want - got).abs().max() / scale


def burst(module, x, state, gradients, seconds, clock):
    """Seconds of a call, over so many seconds."""
    count, began = 0, clock()
    while True:
        work(module, x, state, gradients)
        count += 1
        spent = clock() - began
        if spent >= seconds:
            return spent / count


def main():
    """Prints a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="", help="only those whose names hold this (several: a,b)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--bursts", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.15, help="of a burst")
    parser.add_argument("--json", help="a file for the figures")
    parser.add_argument("--cpu", action="store_true", help="seconds of all cores, on a machine that is not idle")
    args = parser.parse_args()
    clock = time.process_time if args.cpu else time.perf_counter
    found = []
    for cell, layers, hidden, batch, steps, ragged, gradients in CASES:
        name = f"{cell} {layers}x{hidden} B{batch} T{steps}{' ragged' if ragged else ''}{'' if gradients else ' forward'}"
        if not any(part in name for part in args.cases.split(",")):
            continue
        torch.manual_seed(1)
        theirs, ours = (module(hidden, hidden, layers) for module in CELLS[cell])
        ours.load_state_dict(theirs.state_dict())
        x = torch.randn(steps, batch, hidden)
        if ragged:
            lengths = torch.linspace(1, steps, batch).round().long()[torch.randperm(batch)]
            x = pack_padded_sequence(x, lengths, enforce_sorted=False)
        state = None
        if steps == 1:
            # As it is called from step to step.
            h = torch.randn(layers, batch, hidden)
            state = (h, torch.randn_like(h)) if cell == "lstm" else h
        alike(theirs, ours, x, state)
        for threads in args.threads:
            torch.set_num_threads(threads)
            times = [[], []]
            for module in (theirs, ours):
                work(module, x, state, gradients)
            for _ in range(args.bursts):
                for module, spent in zip((theirs, ours), times, strict=True):
                    spent.append(burst(module, x, state, gradients, args.seconds, clock))
            one, other = (1e3 * statistics.median(spent) for spent in times)
            found.append({"case": name, "threads": threads, "torch_ms": one, "elman_ms": other, "ratio": one / other})
            print(f"{name:<28} {threads} threads: torch {one:8.3f} ms, elman {other:8.3f} ms, {one / other:5.2f}x", flush=True)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
