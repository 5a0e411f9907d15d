"""Estimators of aeon's kind, where aeon is installed: `elman.aeon.SequenceClassifier` and `SequenceRegressor`.

They are `elman.SequenceClassifier` and `SequenceRegressor` with aeon's base classes, so that its benchmarks, ensembles and
`check_estimator` take them. Collections are `[N, C, T]` or lists of `[C, T]` of any lengths.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from aeon.classification.base import BaseClassifier
from aeon.regression.base import BaseRegressor
from numpy.typing import NDArray

from elman import estimators

__all__ = ["SequenceClassifier", "SequenceRegressor"]

_TAGS = {
    "X_inner_type": ["np-list", "numpy3D"],
    "algorithm_type": "deeplearning",
    "capability:missing_values": True,
    "capability:multithreading": True,
    "capability:multivariate": True,
    "capability:unequal_length": True,
}


def _hold(estimator: Any, given: dict[str, Any]) -> None:
    """The arguments of a constructor, each as the attribute of its name."""
    estimator.__dict__.update((name, value) for name, value in given.items() if name not in ("self", "__class__"))


class SequenceClassifier(BaseClassifier):
    """Series of measurements to a class; see `elman.SequenceClassifier` for the parameters."""

    _tags = _TAGS

    def __init__(
        self,
        cell: str | None = None,
        layers: int | None = None,
        hidden: int | None = None,
        bidirectional: bool | None = None,
        pooling: str | None = None,
        window: int | None = None,
        stride: int | None = None,
        dropout: float | None = None,
        epochs: float | None = None,
        max_steps: int | None = None,
        max_time: str | None = None,
        batch: int | None = None,
        lr: float | None = None,
        val_frac: float | None = None,
        random_state: Any = None,
        n_jobs: int = 1,
        settings: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        _hold(self, locals())
        super().__init__()

    def _fit(self, X: Any, y: Any) -> SequenceClassifier:
        self.model_ = estimators.SequenceClassifier(**self.get_params(deep=False)).fit(X, y)
        return self

    def _predict(self, X: Any) -> NDArray[Any]:
        return self.model_.predict(X)

    def _predict_proba(self, X: Any) -> NDArray[np.float64]:
        return self.model_.predict_proba(X)

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        return {"max_steps": 10, "hidden": 8, "layers": 1}


class SequenceRegressor(BaseRegressor):
    """Series of measurements to a number; see `elman.SequenceRegressor` for the parameters."""

    _tags = _TAGS

    def __init__(
        self,
        cell: str | None = None,
        layers: int | None = None,
        hidden: int | None = None,
        bidirectional: bool | None = None,
        pooling: str | None = None,
        window: int | None = None,
        stride: int | None = None,
        dropout: float | None = None,
        epochs: float | None = None,
        max_steps: int | None = None,
        max_time: str | None = None,
        batch: int | None = None,
        lr: float | None = None,
        val_frac: float | None = None,
        huber: float | None = None,
        random_state: Any = None,
        n_jobs: int = 1,
        settings: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        _hold(self, locals())
        super().__init__()

    def _fit(self, X: Any, y: Any) -> SequenceRegressor:
        self.model_ = estimators.SequenceRegressor(**self.get_params(deep=False)).fit(X, y)
        return self

    def _predict(self, X: Any) -> NDArray[np.float64]:
        return self.model_.predict(X)

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        return {"max_steps": 10, "hidden": 8, "layers": 1}
