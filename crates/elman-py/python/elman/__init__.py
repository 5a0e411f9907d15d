"""Elman: recurrent networks trained and run on a CPU.

>>> import elman
>>> run = elman.train("classify-sequence", max_steps=20)      # on series that Elman makes; see `data` for your own
>>> run.model.task
'classify-sequence'

`train` trains a model of a task, `open` opens a model file (or a network made elsewhere), `Model` predicts, evaluates and
samples, `Stream` steps. `ElmanClassifier` and its neighbours are estimators in the conventions of scikit-learn; `elman.torch` has
drop-ins for `torch.nn.LSTM`, `GRU` and `RNN`.
"""

from __future__ import annotations

import importlib
from typing import Any

from elman._elman import DivergedError, __version__, set_threads, threads

# What is loaded when it is first asked for: importing Elman imports neither numpy nor anything else.
_PLACES = {
    "Evaluation": "_model",
    "Model": "_model",
    "Network": "_model",
    "Prediction": "_model",
    "Stream": "_model",
    "open": "_model",
    "Run": "_train",
    "resume": "_train",
    "train": "_train",
    "settings": "_settings",
    "tasks": "_settings",
    "ElmanClassifier": "estimators",
    "ElmanRegressor": "estimators",
    "FrameLabeler": "estimators",
    "SequenceClassifier": "estimators",
    "SequenceRegressor": "estimators",
    "TextClassifier": "estimators",
}

__all__ = ["DivergedError", "__version__", "set_threads", "threads", *sorted(_PLACES)]


def __getattr__(name: str) -> Any:
    if name in ("aeon", "estimators", "torch"):
        return importlib.import_module(f"elman.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module 'elman' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"elman.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
