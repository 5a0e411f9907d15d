"""Do other runtimes load what elman-graph writes, and compute the same?

    ELMAN_EXPORTS=F cargo test -p elman-graph --test all writers -- --ignored
    python tests/reference/exports.py F [onnx] [torch] [keras]

onnx needs onnx and onnxruntime, torch PyTorch, keras Keras 3 with any backend.
"""

import importlib.util
import json
import pathlib
import sys

import numpy as np

folder = pathlib.Path(sys.argv[1])
kinds = sys.argv[2:] or ["onnx", "torch", "keras"]
BOUND = 1e-5


def error(got, want):
    assert got.shape == want.shape, (got.shape, want.shape)
    return float(np.max(np.abs(got - want) / np.maximum(np.abs(want), 1.0), initial=0.0))


def report(kind, errors):
    worst = max(errors.values())
    wrong = [name for name, e in errors.items() if not e <= BOUND]
    print(f"{kind}: {len(errors)} models, largest error {worst:.2g}, beyond {BOUND:g}: {wrong or 'none'}")
    return not wrong


def onnx_models():
    import onnx
    import onnxruntime as ort

    ort.set_default_logger_severity(3)
    whole, stepped = {}, {}
    for path in sorted(folder.glob("onnx_*.x.npy")):
        name = path.name.removesuffix(".x.npy")
        x, want = np.load(path), np.load(folder / f"{name}.y.npy")
        onnx.checker.check_model(onnx.load(folder / f"{name}.onnx"), full_check=True)
        session = ort.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
        whole[name] = error(session.run(None, {session.get_inputs()[0].name: x})[0], want)
        if not (folder / f"{name}.step.onnx").exists():
            continue
        onnx.checker.check_model(onnx.load(folder / f"{name}.step.onnx"), full_check=True)
        session = ort.InferenceSession(folder / f"{name}.step.onnx", providers=["CPUExecutionProvider"])
        states = {i: (o, np.load(folder / f)) for i, o, f in json.loads((folder / f"{name}.states.json").read_text())}
        main = [i.name for i in session.get_inputs() if i.name not in states][0]
        names = [o.name for o in session.get_outputs()]
        steps = []
        for t in range(x.shape[1]):
            feed = {i: value for i, (_, value) in states.items()} | {main: x[:, t : t + 1]}
            outputs = dict(zip(names, session.run(None, feed)))
            states = {i: (o, outputs[o]) for i, (o, _) in states.items()}
            steps.append(next(outputs[o] for o in names if o not in {o for o, _ in states.values()}))
        stepped[name] = error(np.concatenate(steps, 1) if want.ndim == 3 else steps[-1], want)
    return report("onnxruntime, whole", whole) & report("onnxruntime, step by step", stepped)


def torch_models():
    import torch

    errors = {}
    for path in sorted(folder.glob("torch_*.pt")):
        spec = importlib.util.spec_from_file_location(path.stem, path.with_suffix(".py"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        model = module.Model()
        try:
            weights = torch.load(path, weights_only=True)
        except TypeError:  # before 1.13
            weights = torch.load(path)
        model.load_state_dict(weights)
        model.eval()
        with torch.no_grad():
            got = model(torch.from_numpy(np.load(folder / f"{path.stem}.x.npy"))).numpy()
        errors[path.stem] = error(got, np.load(folder / f"{path.stem}.y.npy"))
    return report(f"torch {torch.__version__}", errors)


def keras_models():
    import keras

    errors = {}
    for path in sorted(folder.glob("keras_*.keras")):
        model = keras.models.load_model(path)
        got = keras.ops.convert_to_numpy(model(np.load(folder / f"{path.stem}.x.npy")))
        errors[path.stem] = error(got, np.load(folder / f"{path.stem}.y.npy"))
    return report(f"keras {keras.__version__}", errors)


checks = {"onnx": onnx_models, "torch": torch_models, "keras": keras_models}
sys.exit(0 if all([checks[kind]() for kind in kinds]) else 1)
