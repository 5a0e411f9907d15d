#!/usr/bin/env python3
"""Long sequences: time and memory of training over the length T, and what --memory-limit costs.

Trains `elman train` on a text made up here, LSTM 2x512 with 8 sequences side by side, a few updates at each T, then
T = 10,000 without and with a memory limit of 1 GiB. Time is the processor's (user and system, from one line of metrics to
the next), so that a neighbour's load does not count; memory is the largest resident size. Build first:
cargo build --release
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ELMAN = HERE.parent.parent / "target/release/elman"
LENGTHS = [50, 100, 200, 400, 800, 1600, 3200, 6400]
LONGEST, LIMIT = 10_000, "1GiB"
TICKS = os.sysconf("SC_CLK_TCK")
SYMBOLS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .\n"


def cpu_seconds(pid):
    """Of all threads of a process; none when it has ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return None if fields[0] == "Z" else (int(fields[11]) + int(fields[12])) / TICKS


def measure(options, text, steps, updates, limit=None):
    """Seconds of processor and of clock in an update, and the peak memory in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        words = f"train {text} --out {run} --cell lstm --layers 2 --hidden {options.hidden} --batch 8 --seq-len {steps}"
        words += f" --threads {options.threads} --max-steps {updates + 1} --dropout 0 --log-every 1 --val-every 1000000"
        words += " --val-frac 0.001 --sample-every 0 --seed 1 --quiet"
        if limit:
            words += f" --memory-limit {limit}"
        process = subprocess.Popen([str(options.elman), *words.split()], stdin=subprocess.DEVNULL)
        marks = []
        while (cpu := cpu_seconds(process.pid)) is not None and len(marks) < updates + 1:
            metrics = run / "metrics.jsonl"
            lines = metrics.read_text().count("\n") if metrics.exists() else 0
            marks += [(cpu, time.monotonic())] * (lines - len(marks))
            time.sleep(0.005)
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0 or len(marks) < updates + 1:
            sys.exit(f"{words}: ended with {status} after {len(marks)} updates")
        # The first update still grows its memory. Short ones pass between two looks: the mean of all is taken.
        cpu, clock = ((marks[-1][i] - marks[0][i]) / updates for i in (0, 1))
        return {"cpu_s": cpu, "clock_s": clock, "memory_bytes": usage.ru_maxrss * 1024}


def show(name, row, tokens):
    cpu, clock, memory = row["cpu_s"], row["clock_s"], row["memory_bytes"] / 2**20
    print(f"{name:<18} {cpu * 1e3:>9.0f} ms {cpu / tokens * 1e6:>7.1f} us/symbol (clock {clock * 1e3:.0f} ms) {memory:>7.0f} MiB",
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elman", type=pathlib.Path, default=ELMAN, help="the binary")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="of T = 10,000 with and without the limit, in turn")
    parser.add_argument("--updates", type=int, default=2, help="timed of a run at T = 10,000")
    parser.add_argument("--json", type=pathlib.Path, help="write all figures here")
    options = parser.parse_args()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as text:
        text.write("".join(random.Random(1).choices(SYMBOLS, k=1_200_000)))
        text.flush()
        rows = {}
        for steps in LENGTHS:
            rows[steps] = measure(options, text.name, steps, max(3, 3200 // steps))
            show(f"T {steps}", rows[steps], 8 * steps)
        pair = {None: [], LIMIT: []}
        for _ in range(options.rounds):
            for limit, found in pair.items():
                found.append(measure(options, text.name, LONGEST, options.updates, limit))
                show(f"T {LONGEST}" + (f" {limit}" if limit else ""), found[-1], 8 * LONGEST)
    ratios = [with_["cpu_s"] / without["cpu_s"] for without, with_ in zip(*pair.values())]
    print(f"with {LIMIT}: {statistics.median(ratios):.2f} times the time ({min(ratios):.2f} to {max(ratios):.2f})")
    if options.json:
        table = {"lengths": rows, "unlimited": pair[None], "limited": pair[LIMIT], "time_ratios": ratios}
        options.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
