#!/usr/bin/env python3
"""What Python costs: import, a step, the wheel.

    python bench/python/overheads.py [WHEEL]
"""

import pathlib
import statistics
import subprocess
import sys
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
    print(f"import elman: {1e3 * imported():.1f} ms")
    if len(sys.argv) > 1:
        print(f"wheel: {pathlib.Path(sys.argv[1]).stat().st_size / 1e6:.2f} MB")
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 64))
    lengths = [rows[i : i + 40] for i in range(0, 400, 40)]
    labels = [["a", "b"] * 20 for _ in lengths]
    for hidden in (128, 1):
        # With a single unit a step is next to nothing: what remains is the call.
        settings = {"cell": "lstm", "hidden": hidden, "layers": 1, "bidirectional": False, "lookahead": 0}
        run = elman.train("classify-frames", (lengths, labels), max_steps=2, threads=1, progress=False, **settings)
        stream = run.model.network().stream()
        x, out = np.zeros(stream.input_width, np.float32), np.empty(stream.output_width, np.float32)
        new, into = (1e6 * stepped(step) for step in (lambda: stream.step(x), lambda: stream.step(x, out)))  # noqa: B023
        print(f"a step of lstm 1x{hidden}, {stream.input_width} inputs: {new:.2f} us, into `out` {into:.2f} us")


if __name__ == "__main__":
    main()
