"""Estimators in the conventions of scikit-learn: pipelines, `cross_val_score`, `GridSearchCV`, `clone`, pickling.

Settings that are None are chosen by the data, as `elman.train` does; `settings` takes any other of `elman.settings(task)`. A
fitted estimator holds its model as `model_` and the records of its training as `history_`.

>>> import numpy as np, elman
>>> rng = np.random.default_rng(0)
>>> X = rng.normal(size=(120, 3))
>>> y = np.where(X[:, 0] > 0, "right", "left")
>>> elman.ElmanClassifier(max_steps=200, random_state=0).fit(X, y).score(X, y) > 0.8
True
"""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_feature_names, _check_n_features, check_is_fitted, column_or_1d, validate_data

from elman import _data
from elman._model import Model
from elman._train import train

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "ElmanClassifier",
    "ElmanRegressor",
    "FrameLabeler",
    "SequenceClassifier",
    "SequenceRegressor",
    "TextClassifier",
]

#: Parameters that are no settings of a run.
_OWN = ("random_state", "n_jobs", "settings", "verbose")


class _Estimator(BaseEstimator):
    """What all have in common."""

    _task: str
    model_: Model

    def _hold(self, given: dict[str, Any]) -> None:
        """The arguments of a constructor, each as the attribute of its name."""
        self.__dict__.update((name, value) for name, value in given.items() if name != "self")

    def _read(self, x: Any, *, is_new: bool) -> Any:
        """Examples as the task takes them; `is_new` where they are trained on."""
        raise NotImplementedError

    def _train(self, x: Any, y: Any) -> Self:
        if len(y) < 2:
            raise ValueError(f"X has {len(y)} sample; training needs more, some of which it holds out")
        given = {name: value for name, value in self.get_params(deep=False).items() if name not in _OWN}
        seed = self.random_state
        if not isinstance(seed, numbers.Integral) or isinstance(seed, bool):
            seed = int(check_random_state(seed).randint(2**31 - 1))
        given |= {"seed": int(seed), "threads": 0 if self.n_jobs in (None, -1) else int(self.n_jobs)}
        run = train(self._task, (x, y), progress=bool(self.verbose), **{**given, **(self.settings or {})})
        self.model_ = run.model
        self.history_ = run.records
        self.n_iter_ = int(run.records[-1]["step"]) if run.records else 0
        return self

    def _target(self, y: Any, count: int) -> NDArray[Any]:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        y = column_or_1d(y, warn=True)
        if len(y) != count:
            raise ValueError(f"Found input variables with inconsistent numbers of samples: {[count, len(y)]}")
        return y


class _Labels(_Estimator):
    """Labels as numbers in training and back."""

    classes_: NDArray[Any]

    def _coded(self, y: Any) -> list[str]:
        """The labels as Elman's, `c0` and so on: in the order of `classes_` whatever they are."""
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        return [f"c{code}" for code in codes.tolist()]

    def _in_order(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """The columns of the model in the order of `classes_`."""
        places = [int(label[1:]) for label in self.model_.labels]
        found = np.zeros((*probabilities.shape[:-1], len(self.classes_)))
        found[..., places] = probabilities
        return found


class _Classes(ClassifierMixin, _Labels):
    """A class for each example."""

    def fit(self, X: Any, y: Any) -> Self:
        """Trains on the examples `X` and their classes `y` `[N]`.

        Raises:
            ValueError: Data that cannot be used, with the place; fewer than two classes.
        """
        x = self._read(X, is_new=True)
        y = self._target(y, len(x))
        check_classification_targets(y)
        coded = self._coded(y)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds one class only, {self.classes_[:1].tolist()}; a classifier needs at least two classes")
        return self._train(x, coded)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability of each class, `[N, V]` in the order of `classes_`."""
        check_is_fitted(self)
        return self._in_order(self.model_.predict_proba(self._read(X, is_new=False)))

    def predict(self, X: Any) -> NDArray[Any]:
        """The most likely class of each example, `[N]`."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]


class _Numbers(RegressorMixin, _Estimator):
    """A number for each example."""

    def fit(self, X: Any, y: Any) -> Self:
        """Trains on the examples `X` and the numbers `y` `[N]`.

        Raises:
            ValueError: Data that cannot be used, with the place.
        """
        x = self._read(X, is_new=True)
        y = np.asarray(self._target(y, len(x)), dtype=np.float64)
        if not np.isfinite(y).all():
            at = int(np.argmin(np.isfinite(y)))
            raise ValueError(f"Input y contains {'NaN' if np.isnan(y[at]) else 'infinity'}: y[{at}] is {y[at]}")
        return self._train(x, y)

    def predict(self, X: Any) -> NDArray[np.float64]:
        """The number predicted for each example, `[N]`."""
        check_is_fitted(self)
        return self.model_.predict(self._read(X, is_new=False))


class _Rows(_Estimator):
    """Rows of numbers `[N, C]`; frames may hold words."""

    def _read(self, x: Any, *, is_new: bool) -> Any:
        if _data.is_frame(x) and any(getattr(dtype, "kind", "O") not in "fiub" for dtype in x.dtypes):
            # Words are inputs too.
            _check_feature_names(self, x, reset=is_new)
            _check_n_features(self, x, reset=is_new)
            return x
        return validate_data(self, x, reset=is_new, dtype=np.float64, ensure_all_finite="allow-nan")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class _Series(_Estimator):
    """Collections of series, as aeon lays them out: `[N, C, T]`, `[N, T]`, or a list of `[C, T]`."""

    def _read(self, x: Any, *, is_new: bool) -> list[NDArray[np.float64]]:
        """Each `[T, C]`."""
        if isinstance(x, np.ndarray) and x.dtype != object and x.ndim not in (2, 3):
            raise ValueError(f"X has dimensions {list(x.shape)}; [N, C, T] or [N, T] is read, or a list of [C, T]")
        parts = [np.asarray(part, dtype=np.float64) for part in x]
        parts = [part[:, None] if part.ndim == 1 else part.T for part in parts]
        if is_new:
            _data.series(parts)
            self.n_channels_ = int(parts[0].shape[1])
            return parts
        channels = {part.shape[1] for part in parts if part.ndim == 2}
        if channels != {self.n_channels_}:
            raise ValueError(f"X has series of {sorted(channels)} channels; the model reads {self.n_channels_}")
        return parts

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.two_d_array = True
        tags.input_tags.allow_nan = True
        return tags


class ElmanClassifier(_Classes, _Rows):
    """Rows of a table to a class: a feed-forward network (task `classify`).

    Columns are standardised, missing values (NaN) flagged, words of frames read as categories; sizes, dropout and length follow
    from the data where they are None.

    Parameters:
        dense: Widths of the hidden layers, such as `(128, 64)`.
        dropout: Dropout probability, in [0, 1).
        epochs: Passes over the data.
        max_steps: Maximum number of updates; 0 for no limit.
        max_time: Maximum time, such as `"30s"`.
        batch: Examples per update.
        lr: Peak learning rate.
        weight_decay: Decoupled weight decay.
        label_smoothing: Share of a target's probability that is spread over all classes.
        val_frac: Share of the examples that is held out to choose the weights by.
        class_weights: `"equal"` or `"balanced"`.
        calibrate: Calibrate the probabilities on the held-out examples.
        random_state: Seed; the same one gives the same bits.
        n_jobs: Threads; None or -1 for all. They change the time, not the result.
        settings: Any other settings of the task.
        verbose: Show a progress bar.

    Attributes:
        classes_: The classes, sorted.
        model_: The trained `elman.Model`.
        history_: The records of the training.
        n_iter_: Updates.

    >>> import numpy as np, elman
    >>> X = np.array([[0.0], [1.0]] * 30)
    >>> elman.ElmanClassifier(max_steps=50, random_state=0).fit(X, [False, True] * 30).predict([[1.0]])
    array([ True])
    """

    _task = "classify"

    def __init__(
        self,
        *,
        dense: Any = None,
        dropout: float | None = None,
        epochs: float | None = None,
        max_steps: int | None = None,
        max_time: str | None = None,
        batch: int | None = None,
        lr: float | None = None,
        weight_decay: float | None = None,
        label_smoothing: float | None = None,
        val_frac: float | None = None,
        class_weights: str | None = None,
        calibrate: bool | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
        settings: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self._hold(locals())


class ElmanRegressor(_Numbers, _Rows):
    """Rows of a table to a number: a feed-forward network (task `regress`). Parameters as `ElmanClassifier`'s.

    Parameters:
        huber: Errors beyond this many standard deviations count linearly; 0 for never.

    >>> import numpy as np, elman
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> elman.ElmanRegressor(max_steps=400, random_state=0).fit(X, 2 * X[:, 0] + 1).score(X, 2 * X[:, 0] + 1) > 0.9
    True
    """

    _task = "regress"

    def __init__(
        self,
        *,
        dense: Any = None,
        dropout: float | None = None,
        epochs: float | None = None,
        max_steps: int | None = None,
        max_time: str | None = None,
        batch: int | None = None,
        lr: float | None = None,
        weight_decay: float | None = None,
        val_frac: float | None = None,
        huber: float | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
        settings: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self._hold(locals())


class TextClassifier(_Classes):
    """Texts to a class (task `classify-text`). Parameters as `ElmanClassifier`'s, and those of the network.

    Parameters:
        cell: `lstm`, `gru`, `rnn-tanh`, ...
        layers: Recurrent layers.
        hidden: Hidden units of each layer and direction.
        embedding: Width of the token embedding.
        bidirectional: Read each text in both directions.
        level: Tokens: `word`, `subword` or `char`.
        vocab_size: Maximum vocabulary size.

    >>> import elman
    >>> texts, labels = ["what a joy", "what a bore"] * 40, [1, 0] * 40
    >>> elman.TextClassifier(max_steps=60, random_state=0).fit(texts, labels).predict(["a joy"])
    array([1])
    """

    _task = "classify-text"

    def __init__(
        self,
        *,
        cell: str | None = None,
        layers: int | None = None,
        hidden: int | None = None,
        embedding: int | None = None,
        bidirectional: bool | None = None,
        level: str | None = None,
        vocab_size: int | None = None,
        dropout: float | None = None,
        epochs: float | None = None,
        max_steps: int | None = None,
        max_time: str | None = None,
        batch: int | None = None,
        lr: float | None = None,
        val_frac: float | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
        settings: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self._hold(locals())

    def _read(self, x: Any, *, is_new: bool) -> list[str]:
        return _data.texts(x)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        return tags


class SequenceClassifier(_Classes, _Series):
    """Series of measurements to a class (task `classify-sequence`).

    Series are laid out as aeon does: an array `[N, C, T]` of N series of C channels and T steps, an array `[N, T]` of one channel,
    or a list of arrays `[C, T]` of any lengths. `elman.aeon.SequenceClassifier` is the same as an estimator of aeon's.

    Parameters:
        cell: `lstm`, `gru`, `rnn-tanh`, ...
        layers: Recurrent layers.
        hidden: Hidden units of each layer and direction.
        bidirectional: Read each series in both directions.
        pooling: Over the steps: `last`, `mean`, `max`, `max-mean` or `attention`.
        window: Steps that are read at once; 1 for none.
        stride: Steps from one window to the next.

    The others are those of `ElmanClassifier`.

    >>> import numpy as np, elman
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(2, int(rng.integers(8, 15)))) + (i % 2) for i in range(80)]
    >>> model = elman.SequenceClassifier(max_steps=80, random_state=0).fit(X, [i % 2 for i in range(80)])
    >>> model.predict(X[:4])
    array([0, 1, 0, 1])
    """

    _task = "classify-sequence"

    def __init__(
        self,
        *,
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
        n_jobs: int | None = None,
        settings: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self._hold(locals())


class SequenceRegressor(_Numbers, _Series):
    """Series of measurements to a number (task `regress-sequence`). Layout and parameters as `SequenceClassifier`'s.

    >>> import numpy as np, elman
    >>> X = np.random.default_rng(0).normal(size=(100, 1, 10))
    >>> elman.SequenceRegressor(max_steps=40, random_state=0).fit(X, X.mean(axis=(1, 2))).predict(X[:3]).shape
    (3,)
    """

    _task = "regress-sequence"

    def __init__(
        self,
        *,
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
        n_jobs: int | None = None,
        settings: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self._hold(locals())


class FrameLabeler(_Labels):
    """A label for each step of a series (task `classify-frames`): gestures, sounds, parts of speech.

    Series are a list of arrays `[T, C]`, time first, of any lengths; labels a list of as many lists `[T]`. `score` is the share of
    steps labelled rightly.

    Parameters:
        lookahead: Steps that a prediction comes late, having seen what came in between.

    The others are those of `SequenceClassifier`.

    >>> import numpy as np, elman
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(int(rng.integers(10, 20)), 1)) for _ in range(30)]
    >>> y = [np.where(x[:, 0] > 0, "up", "down") for x in X]
    >>> elman.FrameLabeler(max_steps=100, random_state=0).fit(X, y).score(X, y) > 0.8
    True
    """

    _task = "classify-frames"

    def __init__(
        self,
        *,
        cell: str | None = None,
        layers: int | None = None,
        hidden: int | None = None,
        bidirectional: bool | None = None,
        lookahead: int | None = None,
        dropout: float | None = None,
        epochs: float | None = None,
        max_steps: int | None = None,
        max_time: str | None = None,
        batch: int | None = None,
        lr: float | None = None,
        val_frac: float | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
        settings: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self._hold(locals())

    def fit(self, X: Any, y: Any) -> Self:
        """Trains on the series `X` and the labels `y` of their steps.

        Raises:
            ValueError: Data that cannot be used, with the place.
        """
        labels = [np.asarray(of) for of in y]
        ends = np.cumsum([len(of) for of in labels])[:-1]
        coded = self._coded(np.concatenate(labels))
        return self._train(X, [of.tolist() for of in np.split(np.asarray(coded), ends)])

    def predict_proba(self, X: Any) -> list[NDArray[np.float64]]:
        """The probability of each class at each step, a list of `[T, V]`."""
        check_is_fitted(self)
        return [self._in_order(p) for p in self.model_.predict_proba(X)]

    def predict(self, X: Any) -> list[NDArray[Any]]:
        """The class at each step, a list of `[T]`."""
        return [self.classes_[p.argmax(axis=1)] for p in self.predict_proba(X)]

    def score(self, X: Any, y: Any) -> float:
        """The share of steps labelled rightly, in [0, 1]."""
        return float(np.mean(np.concatenate(self.predict(X)) == np.concatenate([np.asarray(of) for of in y])))
