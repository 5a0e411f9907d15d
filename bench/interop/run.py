"""Imported networks beside the runtimes they came from, one thread, interleaved bursts.

    cargo build --release --manifest-path bench/interop/Cargo.toml
    ELMAN_DATA=../shared/data [SILERO_ONNX=FILE] python bench/interop/run.py [ROUNDS]

Needs numpy, onnx and onnxruntime. Every ratio is the median over rounds of peer / ours within a round.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime as ort

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
here = pathlib.Path(__file__).parent
binary = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", here / "target")) / "release/interop-bench"
ort.set_default_logger_severity(3)


def session(model):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Ort:
    """onnxruntime, `block` steps a call, states handed on."""

    def __init__(self, path, block):
        model = onnx.load(path)
        self.block = block
        main = model.graph.input[0]
        for value in [*model.graph.input, *model.graph.output]:
            if value.name in (main.name, "y", "y_2"):
                value.type.tensor_type.shape.dim[1].dim_param = "T"
        self.session = session(model.SerializeToString())
        shape = [d.dim_value or 1 for d in main.type.tensor_type.shape.dim]
        shape[1] = block
        self.feed = {main.name: np.random.default_rng(1).standard_normal(shape).astype("float32") / 4}
        names = [o.name for o in self.session.get_outputs()]
        self.states = []
        for value in model.graph.input[1:]:
            shape = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
            self.feed[value.name] = np.zeros(shape, "float32")
            stem, _, number = value.name.partition("_")
            self.states.append((value.name, names.index(f"{stem}n" + (f"_{number}" if number else ""))))

    def step(self):
        outputs = self.session.run(None, self.feed)
        for name, at in self.states:
            self.feed[name] = outputs[at]

    def burst(self):
        start, calls = time.perf_counter(), 0
        while time.perf_counter() - start < 0.02:
            self.step()
            calls += 1
        return (time.perf_counter() - start) / calls / self.block * 1e9


class Silero(Ort):
    def __init__(self, path):
        self.block = 1
        self.session = session(path)
        self.feed = {"input": np.random.default_rng(1).standard_normal((1, 576)).astype("float32") / 4}
        self.feed |= {"state": np.zeros((2, 1, 128), "float32"), "sr": np.array(16000, "int64")}
        self.states = [("state", 1)]


folder = tempfile.TemporaryDirectory()
subprocess.run([binary, "export", folder.name], check=True)
worker = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
ours = worker.stdout.readline().split()


def rust(case):
    worker.stdin.write(f"{case}\n")
    worker.stdin.flush()
    return float(worker.stdout.readline())


runs = {case: (lambda case=case: rust(case)) for case in ours}
for path in sorted(pathlib.Path(folder.name).glob("*.onnx")):
    for block in (1, 64):
        runs[f"ort-{path.stem}-{block}"] = Ort(path, block).burst
if "SILERO_ONNX" in os.environ:
    runs["ort-silero-1"] = Silero(os.environ["SILERO_ONNX"]).burst
times = {name: [] for name in runs}
for _ in range(rounds):
    for name, run in runs.items():
        times[name].append(run())
for name, all_times in times.items():
    print(f"{name:<16} {min(all_times) / 1e3:9.3f} us min {statistics.median(all_times) / 1e3:9.3f} us median")
PAIRS = [
    ("blocks-nam", "nam-rs", 6), ("blocks-nam", "ort-nam-64", 4), ("ours-nam", "trained-1x16", 0.95),
    ("blocks-lstm32", "ort-lstm32-64", 3), ("blocks-gru32", "ort-gru32-64", 6), ("ours-rnnoise", "nnnoiseless", 6),
    ("ours-dtln", "ort-dtln-1", 3), ("ours-silero", "ort-silero-1", 4), ("ours-nam", "nam-rs", 6),
    ("ours-nam", "ort-nam-64", 4), ("ours-lstm32", "ort-lstm32-64", 3), ("ours-gru32", "ort-gru32-64", 6),
]
for ours, peer, bar in PAIRS:
    if ours in times and peer in times:
        ratio = statistics.median(p / o for o, p in zip(times[ours], times[peer]))
        print(f"{ours:<14} {ratio:6.2f}x {peer} (bar {bar})")
