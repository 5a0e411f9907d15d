#!/usr/bin/env python3
"""What Python costs: import, a step, the wheel.

    python bench/python/overheads.py [WHEEL]
    cargo build --release -p elman-graph --example step_time     # and a step without Python, in turn with those of Python
    python bench/python/overheads.py --rust target/release/examples/step_time

Times are medians.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import elman


def imported():
    """Seconds of `import elman` alone, the best of some."""
    code = "import time; t = time.perf_counter(); import elman; print(time.perf_counter() - t)"
    return min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(15))


def stepped(step, count=20_000):
    """Seconds of a step, the median of some rounds."""
    spent = []
    for _ in range(15):
        began = time.perf_counter()
        for _ in range(count // 15):
            step()
        spent.append((time.perf_counter() - began) / (count // 15))
    return statistics.median(spent)


def main():
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=pathlib.Path, nargs="?")
    parser.add_argument("--rust", help="the example step_time")
    args = parser.parse_args()
    print(f"import elman: {1e3 * imported():.1f} ms")
    if args.wheel:
        print(f"wheel: {args.wheel.stat().st_size / 1e6:.2f} MB")
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 64))
    lengths = [rows[i : i + 40] for i in range(0, 400, 40)]
    labels = [["a", "b"] * 20 for _ in lengths]
    for hidden in (128, 1):
        # With a single unit a step is next to nothing: what remains is the call.
        settings = {"cell": "lstm", "hidden": hidden, "layers": 1, "bidirectional": False, "lookahead": 0}
        run = elman.train("classify-frames", (lengths, labels), max_steps=2, threads=1, progress=False, **settings)
        network = run.model.network()
        stream = network.stream()
        x, out = np.zeros(stream.input_width, np.float32), np.empty(stream.output_width, np.float32)
        steps = (lambda: stream.step(x), lambda: stream.step(x, out))  # noqa: B023
        said = f"a step of lstm 1x{hidden}, {stream.input_width} inputs"
        with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
            network.save(file.name)
            for _ in range(3 if args.rust else 1):
                alone = float(subprocess.check_output([args.rust, file.name])) if args.rust else None
                new, into = (1e6 * stepped(step) for step in steps)
                beside = "" if alone is None else f", without Python {alone:.2f} us ({into - alone:+.2f} us)"
                print(f"{said}: {new:.2f} us, into `out` {into:.2f} us{beside}")


if __name__ == "__main__":
    main()
