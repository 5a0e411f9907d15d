#!/usr/bin/env python3
"""How long `elman sample` takes from its start to its first symbol, with a model of 1 MB (GRU 1x256, 65 symbols).

Prints the median, the least and the most of many starts. Build first: cargo build --release
"""

import argparse
import json
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ELMAN = HERE.parent.parent / "target/release/elman"
SYMBOLS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .\n"


def first_symbol(elman, model):
    """Seconds from the start of the process to the first byte it writes."""
    start = time.perf_counter()
    process = subprocess.Popen([str(elman), "sample", str(model), "--length", "100000"], stdout=subprocess.PIPE, bufsize=0)
    assert process.stdout.read(1), "nothing was written"
    seconds = time.perf_counter() - start
    process.kill()
    process.wait()
    process.stdout.close()
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elman", type=pathlib.Path, default=ELMAN, help="the binary")
    parser.add_argument("--starts", type=int, default=101)
    parser.add_argument("--json", type=pathlib.Path, help="write all figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        text = folder / "text.txt"
        text.write_text("".join(random.Random(1).choices(SYMBOLS, k=20_000)))
        train = f"train {text} --out {folder / 'run'} --cell gru --layers 1 --hidden 256 --max-steps 1 --seed 1 --quiet"
        subprocess.run([str(options.elman), *train.split()], check=True)
        model = folder / "run/best.safetensors"
        times = sorted(first_symbol(options.elman, model) for _ in range(options.starts))
        median = statistics.median(times) * 1e3
        size = model.stat().st_size / 1e6
        print(f"first symbol after {median:.1f} ms ({times[0] * 1e3:.1f} to {times[-1] * 1e3:.1f}), model of {size:.2f} MB")
        if options.json:
            options.json.write_text(json.dumps({"model_mb": size, "milliseconds": [t * 1e3 for t in times]}) + "\n")


if __name__ == "__main__":
    main()
