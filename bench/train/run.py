#!/usr/bin/env python3
"""Training steps of ours and of a peer, side by side: same weights, same batch, alternating in short bursts.

A step is forward, cross-entropy, backward through all T, clipping to a global norm of 5, and Adam; the state is carried
to the next step. Before anything is timed, both must give the same loss (1e-5) and gradient norm (1e-4) from the same
weights; ours in bf16 is held to PyTorch in f32 within 1e-3 and 1e-2. min-char-rnn is the original's: gradients cut off at
+-5, Adagrad, and its peer is numpy. With --rust-peers burn and candle run too, which know no global norm and are held to
the loss alone. Build first: cargo build --release -p elman --example train_step
"""

import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from safetensors.torch import save_file

from chart import bar_chart

HERE = pathlib.Path(__file__).resolve().parent
OURS = HERE.parent.parent / "target/release/examples/train_step"
PEERS = HERE / "peers/target/release"
VOCAB = 65
GATES = {"rnn-tanh": 1, "gru": 3, "lstm": 4}
BURST_S = 0.4


@dataclasses.dataclass(frozen=True)
class Case:
    cell: str
    layers: int
    hidden: int
    batch: int
    steps: int
    ragged: bool = False
    precision: str = "f32"
    is_classic: bool = False

    @property
    def name(self):
        if self.is_classic:
            return "min-char-rnn"
        name = f"{self.cell} {self.layers}x{self.hidden} B{self.batch} T{self.steps}" + (" ragged" if self.ragged else "")
        return name if self.precision == "f32" else f"{name} {self.precision}"

    @property
    def tokens(self):
        """Real tokens of a batch; half of a ragged one is padding."""
        return sum(self.lengths())

    def lengths(self):
        """From T down to nothing in equal steps: half of the padded batch is real."""
        if not self.ragged:
            return [self.steps] * self.batch
        return [round(self.steps * (i + 0.5) / self.batch) or 1 for i in range(self.batch - 1)] + [self.steps]

    def flops(self):
        """Operations a step needs. The first layer's input product is a look-up."""
        gates = GATES[self.cell] * self.hidden
        weights = gates * self.hidden * (2 * self.layers - 1) + self.hidden * VOCAB
        return 6 * weights * self.tokens

    def write(self, path):
        """Weights as PyTorch draws them, and a batch."""
        torch.manual_seed(1)
        module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn-tanh": torch.nn.RNN}[self.cell]
        parts = {"rnn": module(VOCAB, self.hidden, self.layers), "output": torch.nn.Linear(self.hidden, VOCAB)}
        tensors = {f"{part}.{k}": v for part, m in parts.items() for k, v in m.state_dict().items()}
        tensors["tokens"] = torch.randint(VOCAB, (self.steps + 1, self.batch), dtype=torch.int32)
        if self.ragged:
            lengths = torch.tensor(self.lengths(), dtype=torch.int32)
            tensors["lengths"] = lengths[torch.randperm(self.batch)].contiguous()
        save_file(tensors, path)


CASES = [
    Case(cell, layers, hidden, batch, steps)
    for cell in ("lstm", "gru", "rnn-tanh")
    for layers, hidden in ((1, 128), (2, 256), (2, 512))
    for batch, steps in ((32, 50), (64, 128))
] + [
    Case("lstm", 3, 512, 32, 50),
    Case("lstm", 3, 512, 64, 128),
    Case("lstm", 2, 256, 32, 50, ragged=True),
    Case("lstm", 2, 512, 32, 50, precision="bf16"),
    Case("rnn-tanh", 1, 100, 1, 25, is_classic=True),
]


class Worker:
    """A process that obeys the commands of `train_step`."""

    def __init__(self, command, threads):
        environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.process.args[0]} ended; its message is above")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def same(what, ours, theirs, tolerance):
    if abs(ours - theirs) > tolerance * abs(theirs):
        sys.exit(f"{what}: ours {ours}, the peer's {theirs}: not the same computation, nothing timed")


def peers_of(case, options):
    """The commands of the processes to compare with, the main one first."""
    if options.no_peer:
        return {}
    if case.is_classic:
        return {"numpy": [sys.executable, str(HERE / "numpy_worker.py")]}
    peers = {"torch": [sys.executable, str(HERE / "torch_worker.py")]}
    if options.rust_peers and case.cell == "lstm" and not case.ragged:
        peers |= {name: [str(PEERS / name)] for name in ("burn", "candle")}
    return peers


def measure(case, threads, rounds, peers):
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        case.write(file.name)
        arguments = [file.name, case.cell, str(threads)]
        optimizer = "adagrad" if case.is_classic else "adam"
        ours = Worker([str(OURS), *arguments, case.precision, optimizer], threads)
        workers = {"ours": ours}
        for name, command in peers.items():
            workers[name] = Worker([*command, *arguments], threads)
        first = {name: worker.ask("step 1") for name, worker in workers.items()}
        loss, norm = (1e-5, 1e-4) if case.precision == "f32" else (1e-3, 1e-2)
        for name in peers:
            same(f"{case.name}: loss of {name}", first["ours"]["loss_nats"], first[name]["loss_nats"], loss)
            if "norm" in first[name]:
                same(f"{case.name}: gradient norm", first["ours"]["norm"], first[name]["norm"], norm)
        counts = {}
        for name, worker in workers.items():
            seconds = min(worker.ask("step 1")["seconds"] for _ in range(2))
            counts[name] = max(1, round(BURST_S / seconds))
        times = {name: [] for name in workers}
        peaks = []
        for _ in range(rounds):
            peaks.append(ours.ask("peak")["flops_per_second"])
            for name, worker in workers.items():
                # Threads of the other that still spin after a burst must not be timed with this one.
                time.sleep(0.02)
                worker.ask("step 1")
                times[name].append(worker.ask(f"step {counts[name]}")["seconds"] / counts[name])
        row = {"case": case.name, "threads": threads, "tokens": case.tokens, "peak_gflops": max(peaks) / 1e9}
        for name, worker in workers.items():
            row[name] = {
                "ms": statistics.median(times[name]) * 1e3,
                "ms_range": [min(times[name]) * 1e3, max(times[name]) * 1e3],
                "memory_mib": worker.ask("memory")["bytes"] / 2**20,
            }
            worker.close()
        row["share_of_peak"] = case.flops() / (row["ours"]["ms"] * 1e-3) / max(peaks)
        row["ratios"] = {name: row[name]["ms"] / row["ours"]["ms"] for name in peers}
        return row


def show(row):
    ours = row["ours"]
    line = f"{row['case']:<28} {row['threads']}T {ours['ms']:>9.2f} ms {row['tokens'] / ours['ms']:>7.1f} k/s"
    line += f" {100 * row['share_of_peak']:>5.1f} % of {row['peak_gflops']:.0f}  {ours['memory_mib']:>6.0f} MiB"
    for name, ratio in row["ratios"].items():
        line += f" | {name} {row[name]['ms']:>9.2f} ms {row[name]['memory_mib']:>6.0f} MiB | {ratio:.2f}x"
    print(line, flush=True)


def cpu():
    """What Linux says of the first core; virtual machines often hide all but the numbers of family and model."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    known = dict(line.replace("\t", "").split(": ", 1) for line in lines if ": " in line)
    flags = known.get("flags", "").split()
    kept = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "avx_vnni", "amx_bf16") if flag in flags]
    about = {key: known.get(name) for key, name in (("name", "model name"), ("family", "cpu family"), ("model", "model"))}
    return about | {"flags": kept, "cores": os.cpu_count()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="", help="only cases whose name contains this (several: a,b)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-peer", action="store_true", help="time ours alone")
    parser.add_argument("--rust-peers", action="store_true", help="burn and candle too, for the LSTM (bench/train/peers)")
    parser.add_argument("--json", type=pathlib.Path, help="write all figures here")
    parser.add_argument("--chart", type=pathlib.Path, help="write a bar chart of the ratios here (SVG)")
    options = parser.parse_args()
    wanted = options.cases.split(",")
    rows = []
    for case in CASES:
        if any(part in case.name for part in wanted):
            for threads in options.threads:
                rows.append(measure(case, threads, options.rounds, peers_of(case, options)))
                show(rows[-1])
    if options.json:
        about = {"date": time.strftime("%Y-%m-%d"), "cpu": cpu(), "versions": {"torch": torch.__version__}}
        options.json.write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n")
    if options.chart and not options.no_peer:
        compared = [row | {"ratio": row["ratios"]["torch"]} for row in rows if "torch" in row["ratios"]]
        options.chart.write_text(bar_chart(compared))


if __name__ == "__main__":
    main()
