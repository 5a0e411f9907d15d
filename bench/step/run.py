#!/usr/bin/env python3
"""Steps of ours and of peers, side by side: same weights, same inputs, alternating in short bursts.

A step is one cell from a dense input as wide as its state, batch 1, one thread, the state carried. Before anything is
timed, every peer's h after all inputs must be ours (f32: 1e-5); int8's distance is reported. See README.md.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper, numpy_helper

from chart import chart

HERE = pathlib.Path(__file__).resolve().parent
WORKER = HERE / "target/release/step-bench"
TORCH_WORKER = HERE / "target/torch_worker"
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
HIDDEN = [32, 64, 128, 256, 512]
# ONNX's order of gates, as numbers of PyTorch's.
ORDER = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}
INPUTS = 50
BURST_S = 0.02


def write(base, cell, hidden):
    """The case as numbers and as an ONNX model."""
    rng = np.random.default_rng(hidden)
    rows, bound = GATES[cell] * hidden, hidden**-0.5
    shapes = [(rows, hidden), (rows, hidden), (rows,), (rows,)]
    weights = [rng.uniform(-bound, bound, shape).astype(np.float32) for shape in shapes]
    x = rng.uniform(-1, 1, (INPUTS, hidden)).astype(np.float32)
    with open(f"{base}.bin", "wb") as file:
        for array in [*weights, x]:
            file.write(array.tobytes())

    def reorder(array):
        return np.concatenate([array.reshape(GATES[cell], hidden, -1)[g] for g in ORDER[cell]])

    w, r, b_ih, b_hh = (reorder(array) for array in weights)
    constants = {"w": w[None], "r": r[None], "b": np.concatenate([b_ih, b_hh]).reshape(1, -1)}
    attributes = {"hidden_size": hidden} | ({"linear_before_reset": 1} if cell == "gru" else {})
    states = ["h", "c"] if cell == "lstm" else ["h"]
    node = helper.make_node(
        cell.upper(),
        ["x", "w", "r", "b", ""] + [f"{s}0" for s in states],
        [""] + [f"{s}1" for s in states],
        **attributes,
    )
    value = lambda name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, hidden])
    graph = helper.make_graph(
        [node],
        cell,
        [value("x")] + [value(f"{s}0") for s in states],
        [value(f"{s}1") for s in states],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, f"{base}.onnx")


class Worker:
    """A process that obeys the commands of src/main.rs."""

    def __init__(self, command):
        # One thread each, and no library held to slower kernels by the shell.
        drop = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
        env = {k: v for k, v in os.environ.items() if k not in drop} | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{' '.join(self.process.args)} ended; its message is above")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def commands(base, cell, hidden, library):
    case = [cell, str(hidden), base]
    found = {name: [str(WORKER), name, *case] for name in ("f32", "int8", "tract")}
    if library:
        found["onnxruntime"] = [str(WORKER), "onnxruntime", *case, library]
    if TORCH_WORKER.exists():
        found["libtorch"] = [str(TORCH_WORKER), *case]
    return found


def measure(folder, cell, hidden, rounds, library):
    base = f"{folder}/{cell}-{hidden}"
    write(base, cell, hidden)
    workers = {name: Worker(command) for name, command in commands(base, cell, hidden, library).items()}
    h = {name: np.array(worker.ask("check")["h"]) for name, worker in workers.items()}
    apart = {name: float(np.abs(h[name] - h["f32"]).max()) for name in workers}
    for name, distance in apart.items():
        if name != "int8" and distance > 1e-5:
            sys.exit(f"{cell} {hidden}: {name} is {distance} from ours: not the same computation, nothing timed")
    counts = {}
    for name, worker in workers.items():
        worker.ask("step 200")
        counts[name] = max(10, round(BURST_S / (worker.ask("step 200")["seconds"] / 200)))
    times = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            # Its weights come back into the caches first.
            worker.ask("step 20")
            times[name].append(worker.ask(f"step {counts[name]}")["seconds"] / counts[name])
    for worker in workers.values():
        worker.close()
    us = {name: statistics.median(t) * 1e6 for name, t in times.items()}
    spread = {name: [min(t) * 1e6, max(t) * 1e6] for name, t in times.items()}
    peers = {name: t for name, t in us.items() if name not in ("f32", "int8")}
    best = min(peers, key=peers.get)
    return {
        "cell": cell, "hidden": hidden, "us": us, "us_range": spread, "apart": apart, "best_peer": best,
        "ratio_f32": peers[best] / us["f32"], "ratio_int8": peers[best] / us["int8"],
    }


def show(row):
    us = row["us"]
    times = "".join(f"{us[name]:>13.3f}" if name in us else f"{'-':>13}" for name in NAMES)
    print(f"{row['cell']:<5}{row['hidden']:>4}{times}{row['ratio_f32']:>8.1f}x{row['ratio_int8']:>8.1f}x", flush=True)


NAMES = ["f32", "int8", "tract", "onnxruntime", "libtorch"]


def find_library():
    """The C library inside the installed onnxruntime package."""
    try:
        import onnxruntime
    except ImportError:
        return None
    found = sorted((pathlib.Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*"))
    return str(found[0]) if found else None


def versions():
    from importlib import metadata

    names = ["onnxruntime", "torch", "onnx", "numpy"]
    installed = {d.metadata["Name"].lower() for d in metadata.distributions()}
    return {name: metadata.version(name) for name in names if name in installed} | {"tract": "0.23.9"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=list(GATES), choices=list(GATES))
    parser.add_argument("--hidden", type=int, nargs="+", default=HIDDEN)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", type=pathlib.Path, help="write all figures here")
    parser.add_argument("--chart", type=pathlib.Path, help="write a chart of the times here (SVG)")
    options = parser.parse_args()
    if not WORKER.exists():
        sys.exit(f"{WORKER} is missing: build it first, see README.md")
    library = find_library()
    print("microseconds a step (median); the last two: times as fast as the best peer, f32 and int8")
    print(f"{'cell':<5}{'H':>4}" + "".join(f"{name:>13}" for name in NAMES) + f"{'f32':>9}{'int8':>9}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for cell in options.cells:
            for hidden in options.hidden:
                rows.append(measure(folder, cell, hidden, options.rounds, library))
                show(rows[-1])
    if options.json:
        options.json.write_text(json.dumps({"versions": versions(), "rows": rows}, indent=1) + "\n")
    if options.chart:
        options.chart.write_text(chart(rows, NAMES))


if __name__ == "__main__":
    main()
