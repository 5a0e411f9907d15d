"""HDF5 files that link in circles or elsewhere, and a plain one: python graph_hostile.py FOLDER (h5py)."""

import sys
from pathlib import Path

import h5py
import numpy as np

root = Path(sys.argv[1])
with h5py.File(root / "dense.h5", "w") as file:
    variables = file.create_group("layers/dense/vars")
    variables.attrs["name"] = "dense"
    variables["0"] = np.ones((3, 2), "float32")
    variables["1"] = np.zeros(2, "float32")
CONFIG = (
    '{"class_name": "Sequential", "config": {"name": "s", "layers": [{"class_name": "Dense", "config": {"name": "dense",'
    ' "units": 2, "batch_input_shape": [null, null, 3]}}]}}'
)
for name in ("cycle", "external-link", "soft-loop"):
    with h5py.File(root / f"{name}.h5", "w", libver="latest") as file:
        file.attrs["model_config"] = CONFIG
        group = file.create_group("layers/dense")
        if name == "cycle":
            group["vars"] = file["layers"]
        elif name == "external-link":
            group["vars"] = h5py.ExternalLink("/etc/elman-was-here.h5", "/layers/dense/vars")
        else:
            group["vars"] = h5py.SoftLink("/layers/dense/vars")
