"""Writes recurrent operators of random configurations with onnxruntime's outputs, as folders that `compare` runs.

    pip install onnx onnxruntime                                # 1.23.2, 1.32.0
    python tests/reference/onnx_recurrent.py /tmp/onnx-recurrent 400
    python tests/reference/onnx_recurrent.py /tmp/onnx-quantized 200 quantized   # LSTMs with weights in 8 bits
    cargo run --release -p elman-graph --example compare -- /tmp/onnx-recurrent/*/

onnxruntime refuses `layout` 1: there the same arrays run with layout 0 and are transposed. A configuration it refuses
otherwise is counted and left out. Quantised LSTMs are of one sequence: of several onnxruntime rounds those together that a
thread computes.
"""

import collections
import json
import os
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ACTIVATIONS = {
    "Sigmoid": 0, "Tanh": 0, "Relu": 0, "Softsign": 0, "Softplus": 0,
    "LeakyRelu": 1, "ThresholdedRelu": 1, "Elu": 1, "HardSigmoid": 2, "Affine": 2, "ScaledTanh": 2,
}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
FUNCTIONS = {"LSTM": 3, "GRU": 2, "RNN": 1}


QUANTIZED = "DynamicQuantizeLSTM"


def quantized(w, kind, rng):
    """Weights [D, 4H, I] in 8 bits, [D, I, 4H], with a scale and a zero point for each direction or for each row."""
    of = (1, 2) if rng.random() < 0.5 else 2
    scale = np.abs(w).max(of) / 127
    zero = np.full(scale.shape, 128 if kind == np.uint8 else 0, kind)
    dims = scale.shape + (1,) * (3 - scale.ndim)
    steps = np.rint(w / scale.reshape(dims)) + zero.reshape(dims)
    return steps.astype(kind).swapaxes(1, 2), scale.astype(np.float32), zero


def case(rng, kind):
    op = "LSTM" if kind == "quantized" else rng.choice(["LSTM", "GRU", "RNN"])
    t, b, i, h = (int(rng.integers(1, n)) for n in (12, 6, 9, 40))
    if kind == "quantized":
        b = 1
    direction = rng.choice(["forward", "reverse", "bidirectional"])
    d = 2 if direction == "bidirectional" else 1
    chance = lambda p: rng.random() < p
    attributes = {"hidden_size": h, "direction": direction}
    if op == "GRU" and chance(0.5):
        attributes["linear_before_reset"] = 1
    if op == "LSTM" and chance(0.15):
        attributes["input_forget"] = 1
    if chance(0.2):
        attributes["clip"] = float(rng.uniform(0.3, 3))
    if chance(0.35):
        names = [str(rng.choice(list(ACTIVATIONS))) for _ in range(FUNCTIONS[op] * d)]
        attributes["activations"] = names
        takes = [n for n in names if ACTIVATIONS[n] > 0]
        if takes and (chance(0.7) or {"Affine", "ScaledTanh"} & set(names)):
            attributes["activation_alpha"] = [float(rng.uniform(0.1, 0.9)) for _ in takes]
            betas = [float(rng.uniform(0.1, 0.9)) for n in takes if ACTIVATIONS[n] > 1]
            if betas:
                attributes["activation_beta"] = betas
    normal = lambda *dims: rng.normal(0, 0.5, dims).astype(np.float32)
    g = GATES[op] * h
    # Recurrent weights that keep a state in bounds: in a chaotic net the last bits of f32 decide.
    arrays = {"X": normal(t, b, i), "W": normal(d, g, i), "R": (1.6 / h**0.5) * normal(d, g, h)}
    if chance(0.7):
        arrays["B"] = normal(d, 2 * g)
    if kind != "quantized" and chance(0.3):
        arrays["lens"] = rng.integers(1, t + 1, b).astype(np.int32)
    if chance(0.5):
        arrays["h0"] = normal(d, b, h)
    if op == "LSTM" and chance(0.5):
        arrays["c0"] = normal(d, b, h)
    if op == "LSTM" and chance(0.3):
        arrays["P"] = normal(d, 3 * h)
    if kind == "quantized":
        bits = np.dtype(rng.choice(["i1", "u1"]))
        for name in "WR":
            arrays[name], arrays[name + "s"], arrays[name + "z"] = quantized(arrays[name], bits, rng)
        return QUANTIZED, attributes, arrays, False, False
    return op, attributes, arrays, chance(0.2), chance(0.3)


def model(op, attributes, arrays, batch_first, free_weights):
    order = ["X", "W", "R", "B", "lens", "h0"] + (["c0", "P"] if op in ("LSTM", QUANTIZED) else [])
    order += ["Ws", "Wz", "Rs", "Rz"] if op == QUANTIZED else []
    names = [n if n in arrays else "" for n in order]
    while not names[-1]:
        names.pop()
    outputs = ["Y", "Y_h"] + (["Y_c"] if op in ("LSTM", QUANTIZED) else [])
    if batch_first:
        attributes = {**attributes, "layout": 1}
    domain = "com.microsoft" if op == QUANTIZED else ""
    node = helper.make_node(op, names, outputs, domain=domain, **attributes)
    constants = set() if free_weights else {"W", "R", "B", "P", "Ws", "Wz", "Rs", "Rz"}
    kind = lambda a: TensorProto.INT32 if a.dtype == np.int32 else TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info(n, kind(a), a.shape) for n, a in arrays.items() if n not in constants]
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
    fixed = [numpy_helper.from_array(a, n) for n, a in arrays.items() if n in constants]
    graph = helper.make_graph([node], "g", inputs, results, fixed)
    sets = [helper.make_opsetid("", 14), helper.make_opsetid("com.microsoft", 1)]
    built = helper.make_model(graph, opset_imports=sets, ir_version=8)
    given = {n: a for n, a in arrays.items() if n not in constants}
    return built, given, outputs


def swapped(arrays):
    return {n: a.swapaxes(0, 1) if n in ("X", "h0", "c0") else a for n, a in arrays.items()}


def main(folder, count, cells="all"):
    rng = np.random.default_rng(19)
    refused = collections.Counter()
    written = 0
    while written < count:
        op, attributes, arrays, batch_first, free = case(rng, cells)
        plain, given, names = model(op, attributes, arrays, False, free)
        try:
            session = ort.InferenceSession(plain.SerializeToString(), providers=["CPUExecutionProvider"])
            outputs = dict(zip(names, session.run(None, given)))
        except Exception as error:
            refused[str(error).split("\n")[0][:90]] += 1
            continue
        if not all(np.isfinite(a).all() and np.abs(a).max(initial=0) < 10 for a in outputs.values()):
            continue  # An affine cell that explodes: the last bits of f32 are not comparable.
        if batch_first:
            plain, given, _ = model(op, attributes, swapped(arrays), True, free)
            outputs = {n: a.transpose(2, 0, 1, 3) if n == "Y" else a.swapaxes(0, 1) for n, a in outputs.items()}
        to = os.path.join(folder, f"{written:03}-{op.lower()}")
        os.makedirs(to, exist_ok=True)
        onnx.save(plain, os.path.join(to, "model.onnx"))
        for kind, all_arrays in ("input", given), ("output", outputs):
            for name, array in all_arrays.items():
                np.save(os.path.join(to, f"{kind}_{name}.npy"), np.ascontiguousarray(array))
        with open(os.path.join(to, "case.json"), "w") as f:
            json.dump({**attributes, "layout": int(batch_first), "inputs": {n: a.shape for n, a in arrays.items()}}, f)
        written += 1
    print(f"{written} written; refused by onnxruntime: {dict(refused)}")


main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
