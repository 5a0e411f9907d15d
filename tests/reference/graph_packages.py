"""Models that Python packages bring along, and what their own code makes of an input.

    python graph_packages.py FOLDER RESEMBLYZER TEXTGENRNN

RESEMBLYZER and TEXTGENRNN are the unpacked packages Resemblyzer 0.1.4 and textgenrnn 2.0.0; needs PyTorch, numpy and, for
textgenrnn, h5py (either may be missing: its models are left out). textgenrnn is computed in numpy after Keras 2.2's
conversion of CuDNN weights. Read by `cargo test -p elman-graph --test all generated`.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np

root, resemblyzer, textgenrnn = map(Path, sys.argv[1:4])
maps = Path(__file__).resolve().parents[2] / "docs" / "maps"
rng = np.random.default_rng(19)


def case(name, file, map_, x, y):
    folder = root / f"package-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, folder / file.name)
    np.save(folder / "input.npy", x)
    np.save(folder / "output_0.npy", y)
    (folder / "want.json").write_text(json.dumps({"files": [file.name], "answers": {"map": str(maps / map_)}, "expect": "right"}))


try:
    import torch

    file = next(resemblyzer.rglob("pretrained.pt"))
    state = torch.load(file, map_location="cpu")["model_state"]
    lstm, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    lstm.load_state_dict({k[5:]: v for k, v in state.items() if k.startswith("lstm.")})
    linear.load_state_dict({k[7:]: v for k, v in state.items() if k.startswith("linear.")})
    x = torch.tensor(rng.random((2, 160, 40), "float32"))
    with torch.no_grad():
        raw = torch.relu(linear(lstm(x)[1][0][-1]))
        case("resemblyzer", file, "resemblyzer.toml", x.numpy(), (raw / raw.norm(dim=1, keepdim=True)).numpy())
except ImportError:
    print("no torch: resemblyzer left out")
try:
    import h5py

    file = next(textgenrnn.rglob("textgenrnn_weights.hdf5"))
    w = {}
    h5py.File(file).visititems(lambda name, o: w.update({name: o[()].astype(float)}) if isinstance(o, h5py.Dataset) else None)
    get = lambda layer, name: w[f"{layer}/{layer}/{name}:0"]
    sigmoid = lambda v: 1 / (1 + np.exp(-v))

    def lstm(x, layer):
        kernel, recurrent, bias = (get(layer, n) for n in ("kernel", "recurrent_kernel", "bias"))
        kernel = np.hstack([k.T.reshape(k.shape, order="F") for k in np.hsplit(kernel, 4)])
        recurrent = np.hstack([r.T for r in np.hsplit(recurrent, 4)])
        bias = bias.reshape(2, -1).sum(0)
        h, c, out = np.zeros((len(x), 128)), np.zeros((len(x), 128)), []
        for t in range(x.shape[1]):
            i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            out.append(h)
        return np.stack(out, 1)

    tokens = rng.integers(1, 465, (3, 40))
    e = get("embedding", "embeddings")[tokens]
    one = lstm(e, "rnn_1")
    x = np.concatenate([e, one, lstm(one, "rnn_2")], -1)
    a = np.exp(x @ get("attention", "attention_W"))
    x = (x * a / (a.sum(1, keepdims=True) + 1e-7)).sum(1)
    z = np.exp(x @ get("output", "kernel") + get("output", "bias"))
    case("textgenrnn", file, "textgenrnn.toml", tokens, z / z.sum(1, keepdims=True))
except ImportError:
    print("no h5py: textgenrnn left out")
