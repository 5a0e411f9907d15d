"""Trained models: opened, asked, evaluated, stepped."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman import _data, _elman
from elman._elman import Stream
from elman._settings import as_texts

__all__ = ["Evaluation", "Model", "Network", "Prediction", "Stream", "open"]


def open(path: str | os.PathLike[str], **answers: str) -> Any:
    """Opens a model.

    Args:
        path: A model file; the folder of a run, for its best model; or a network of another program (ONNX, PyTorch, Keras,
            safetensors, NAM, RTNeural, GuitarML, RNNoise), known by its content.
        answers: What such a file leaves open: `map`, `layers`, `gru`, `hard_sigmoid`, `nonlinearity`, `batch_first`, `key`,
            `config`.

    Returns:
        A `Model`, or a `Network` of a file of another program.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, of an unknown format, or leaves something open.

    >>> import elman, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = elman.train("classify", max_steps=20, out=folder, exist_ok=True)
    >>> elman.open(folder)
    <elman.Model classify: 10 labels>
    """
    native = _elman.Model.open(path, answers)
    return Model(native) if isinstance(native, _elman.Model) else Network(native)


@dataclass(frozen=True)
class Prediction:
    """What was predicted for an input; fields of other tasks are None or empty."""

    #: Its name: its text, its line, its file.
    input: str
    #: The class; of a labelled sequence, `labels` instead.
    label: str | None = None
    #: The probability of the class.
    probability: float | None = None
    #: The probability of each class, in the order of `Model.labels`: `[V]`, or at each step `[T, V]`.
    probabilities: NDArray[np.float64] | None = field(default=None, repr=False)
    #: The class at each step; or, of several labels, those that hold, the likeliest first.
    labels: list[str] = field(default_factory=list)
    #: The number predicted.
    value: float | None = None
    #: The best text written.
    text: str | None = None
    #: The texts written, the best first: each text, its log-probability in nats and its score.
    nbest: list[tuple[str, float, float]] = field(default_factory=list, repr=False)
    #: With `explain`: each word, and the nats that it adds to the log-probability of the class. With `attention`: each word
    #: written, and how much each position of the source was attended to.
    words: list[tuple[str, Any]] = field(default_factory=list, repr=False)
    #: What a person should know, such as that the input is like nothing in training.
    warning: str | None = None


class Evaluation(Mapping[str, float]):
    """What was measured: a mapping from the names of measures to their values, with more beside it."""

    def __init__(self, found: dict[str, Any]) -> None:
        #: The measures, the one that chooses a model first. Losses are in nats.
        self.measures: dict[str, float] = found["measures"]
        #: The number of examples, and what they are called.
        self.examples: tuple[int, str] = (found["examples"], found["unit"])
        #: The classes.
        self.labels: list[str] = found["labels"]
        #: What a person should know.
        self.notes: list[str] = found["notes"]
        #: How it was measured.
        self.details: dict[str, Any] = json.loads(found["details"])
        #: Counts of true and predicted classes; None where the model does not classify.
        self.confusion: Any = json.loads(found["confusion"]) if found["confusion"] else None
        #: The worst mistakes: the example, the truth, what was predicted, its probability.
        self.mistakes: list[tuple[str, str, str, float]] = found["mistakes"]
        #: What simple rules reach: the rule, the measure, its value.
        self.baselines: list[tuple[str, str, float]] = found["baselines"]
        #: With `curves`: threshold, false and true positive rate, precision.
        self.curve: list[tuple[float, float, float, float]] | None = found["curve"]
        #: What was written for each example, if the model writes.
        self.texts: list[str] = found["texts"]

    def __getitem__(self, name: str) -> float:
        return self.measures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.measures)

    def __len__(self) -> int:
        return len(self.measures)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value:.4g}" for name, value in self.measures.items())
        return f"<elman.Evaluation of {self.examples[0]} {self.examples[1]}: {shown}>"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{value:.4f}</td></tr>" for name, value in self.measures.items())
        return f"<table>{rows}</table><p>{self.examples[0]} {html.escape(self.examples[1])}</p>"


class Model:
    """A model trained with Elman, of any task.

    Several threads may use one at the same time; predicting releases the interpreter's lock. It is pickled as its file. `close`
    frees it, as the end of a `with` block does.
    """

    def __init__(self, native: _elman.Model) -> None:
        self._native = native

    @staticmethod
    def from_bytes(data: bytes) -> Model:
        """A model from the bytes of its file.

        Raises:
            ValueError: They are damaged, or those of something else.
        """
        return Model(_elman.Model.from_bytes(data))

    def to_bytes(self) -> bytes:
        """The bytes of its file."""
        return self._native.to_bytes()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes its file (.safetensors), whole or not at all.

        Raises:
            OSError: The disk refuses.
        """
        self._native.save(path)

    def close(self) -> None:
        """Frees it; streams go on."""
        self._native.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return (Model.from_bytes, (self.to_bytes(),))

    def __repr__(self) -> str:
        if self._native.is_closed:
            return "<elman.Model, closed>"
        count = len(self.labels)
        return f"<elman.Model {self.task}{f': {count} labels' if count else ''}>"

    @property
    def task(self) -> str:
        """The name of its task."""
        return self._native.task

    @property
    def labels(self) -> list[str]:
        """The classes, in the order of its probabilities; empty where it does not classify."""
        return self._native.labels

    @property
    def reads(self) -> str:
        """What `predict` takes: `texts`, `rows`, `files` or `sequences`."""
        return self._native.reads

    @property
    def path(self) -> Path:
        """Its file."""
        return Path(self._native.path)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The metadata of its file: network, reader, training."""
        return json.loads(self._native.config())

    def describe(self) -> str:
        """What it reads and predicts, a line each."""
        lines = [("task", self.task), *self._native.describe()]
        return "\n".join(f"{name:<12}{text}".rstrip() for name, text in lines)

    def predict(self, data: Any, **options: Any) -> Any:
        """Predicts.

        Args:
            data: What the model reads. Texts: a text or a list of them. Rows: an array `[N, C]`, a frame, a list of
                dictionaries, the path of a table. Series: a list of arrays `[T, C]` of any lengths, an array `[N, T, C]`, the
                path of a table. Files: a path or a list of them. None marks nothing; NaN is a missing value.
            options: Those of the task, such as `beam` of a translator; see `docs/python.md`.

        Returns:
            An array of labels `[N]` or of numbers `[N]`; of labelled sequences a list of arrays `[T]`; of texts with several
            labels a list of lists; of models that write a list of texts. For one text its own prediction.

        Raises:
            ValueError: Data that the model does not read, with the place; a closed model.
            TypeError: An option that there is not.

        >>> import elman
        >>> model = elman.train("classify-text", (["good film", "bad film"] * 30, ["pos", "neg"] * 30), max_steps=60).model
        >>> model.predict("a good film")
        'pos'
        """
        found = self._ask(data, options)
        answers = self._answers(found)
        return answers[0] if isinstance(data, str) and self.reads == "texts" else answers

    def predict_proba(self, data: Any, **options: Any) -> Any:
        """As `predict`: the probability of each class, `[N, V]` in the order of `labels`; of labelled sequences a list of `[T, V]`.

        Raises:
            ValueError: As `predict`; a model that does not classify.
        """
        found = self._ask(data, options)
        if found["kind"] in ("classes", "labels"):
            return found["probabilities"]
        if found["kind"] == "steps":
            return found["steps"]
        if found["kind"] == "nothing" and self.labels:
            return np.zeros((0, len(self.labels)))
        raise ValueError(f"a model of the task {self.task} does not give probabilities")

    def predictions(self, data: Any, **options: Any) -> list[Prediction]:
        """As `predict`, with everything that is known of each: probabilities, warnings, n-best lists, words with `explain`."""
        found = self._ask(data, options)
        labels, kind = self.labels, found["kind"]
        shared = list(zip(found["inputs"], found["warnings"], strict=True))
        all_of = []
        for i, (name, warning) in enumerate(shared):
            one: dict[str, Any] = {"input": name, "warning": warning}
            if kind == "classes":
                p = found["probabilities"][i]
                best = int(p.argmax())
                one |= {"label": labels[best], "probability": float(p[best]), "probabilities": p}
                one["words"] = found["words"][i]
            elif kind == "labels":
                p = found["probabilities"][i]
                holding = [int(at) for at in np.argsort(-p) if p[at] >= found["holds"]]
                one |= {"labels": [labels[at] for at in holding], "probabilities": p, "words": found["words"][i]}
            elif kind == "values":
                one["value"] = float(found["values"][i])
            elif kind == "steps":
                p = found["steps"][i]
                one |= {"labels": [labels[best] for best in p.argmax(axis=1)], "probabilities": p}
            elif kind == "texts":
                written, _ = found["texts"][i]
                one["nbest"] = [(text, log_prob, score) for text, log_prob, score, _ in written]
                if written:
                    one |= {"text": written[0][0], "words": written[0][3]}
            all_of.append(Prediction(**one))
        return all_of

    def evaluate(self, data: Any = None, **options: Any) -> Evaluation:
        """Measures it on labelled data.

        Args:
            data: As `train` takes them; without any, data that Elman made for a model that was trained on such.
            options: Settings that say how data are read, such as `label_column`, and options of the task: `split`, `mistakes`,
                `curves`, `beam`, ...

        Returns:
            The measures, losses in nats.

        Raises:
            ValueError: Data that it does not read, with the place; an option that its task does not read.
        """
        import tempfile

        native = {name: options.pop(name) for name in list(options) if name in _OF_EVALUATION}
        if data is None and self.config.get("builtin") is not True:
            raise ValueError("name the data to evaluate on")
        with tempfile.TemporaryDirectory(prefix="elman-") as folder:
            how = _data.spool(self.task, data, Path(folder), options)
            # Columns are those of the training.
            how.pop("use_columns", None)
            return Evaluation(self._native.evaluate(as_texts({**how, **options}), native))

    def sample(self, prompt: str = "", **options: Any) -> str:
        """Goes on from a prompt (language models).

        Args:
            prompt: What the model reads first.
            options: `length` (500 tokens), `seed` (1), `stop` (end before this text), `temperature` (1), `top_k`, `top_p`,
                `min_p`.

        Raises:
            ValueError: Another kind of model; a character of the prompt that it does not know.
        """
        return self._native.sample(prompt, options)

    def stream(self, rows: int = 1) -> Stream:
        """Independent streams of a language model or of a model that labels frames, stepped together.

        A step of a language model reads a token and returns the logits `[V]` of the next; one of a model that labels frames
        reads the numbers of a row `[C]` and returns the probabilities `[V]`.

        Raises:
            ValueError: A model that does not answer step by step.
        """
        return self._native.stream(rows)

    def network(self) -> Network:
        """Its network without what reads its inputs: they are tokens, or numbers that are standardised already.

        Raises:
            ValueError: A model that writes, which is more than one network.
        """
        return Network(self._native.graph())

    def _answers(self, found: dict[str, Any]) -> Any:
        kind = found["kind"]
        if kind == "classes":
            return np.array(self.labels, dtype=object)[found["probabilities"].argmax(axis=1)]
        if kind == "labels":
            holding = found["probabilities"] >= found["holds"]
            return [[self.labels[i] for i in np.flatnonzero(row)] for row in holding]
        if kind == "steps":
            labels = np.array(self.labels, dtype=object)
            return [labels[p.argmax(axis=1)] for p in found["steps"]]
        if kind == "values":
            return found["values"]
        if kind == "texts":
            return [written[0][0] if written else "" for written, _ in found["texts"]]
        return np.array([], dtype=object) if self.labels else []

    def _ask(self, data: Any, options: dict[str, Any]) -> dict[str, Any]:
        reads = self.reads
        if reads == "texts":
            column = options.pop("text_column", None)
            if _data.is_frame(data):
                if column is None:
                    raise ValueError("name the `text_column` of the frame")
                data = data[column]
            if isinstance(data, os.PathLike):
                data = Path(data).read_text(encoding="utf-8").splitlines()
            texts = [data] if isinstance(data, str) else _data.texts(data, "data")
            for i, text in enumerate(texts):
                if not text.strip():
                    raise ValueError(f"data[{i}]: the text is empty")
            return self._native.predict_texts(texts, options)
        if _data.is_path(data):
            return self._native.predict_file(data, options)
        if reads == "files" or (isinstance(data, (list, tuple)) and data and all(map(_data.is_path, data))):
            parts = [self._native.predict_file(path, dict(options)) for path in data]
            return _joined(parts)
        if _data.is_frame(data):
            return self._native.predict_bytes(_data.frame_bytes(data), True, options)
        if isinstance(data, list) and data and isinstance(data[0], Mapping):
            return self._native.predict_bytes(_data.json_lines(data), None, options)
        if self.task in _data.OF_SERIES:
            steps, lengths = _data.series(data, "data")
            if self._reads_rows_of_series:
                return self._native.predict_numbers(_padded(steps, lengths), [], None, options)
            options.setdefault("sequence_column", "series")
            return self._native.predict_numbers(steps, self._columns(steps.shape[1]), lengths, options)
        if not _data.is_numeric(data) and any(isinstance(cell, str) for row in data for cell in row):
            rows = [list(row) for row in data]
            return self._native.predict_bytes(_data.rows_bytes(rows, self._columns(len(rows[0]))), True, options)
        rows = _data.numbers(data, "data")
        return self._native.predict_numbers(rows, self._columns(rows.shape[1]), None, options)

    @property
    def _reads_rows_of_series(self) -> bool:
        """Whether it was trained on a table with a series in each row."""
        return "series" in (self.config.get("reader") or {})

    def _columns(self, width: int) -> list[str]:
        """The names that the columns of an array have: those of the training, in their order."""
        reader = self.config.get("reader") or {}
        columns = (reader.get("features") or {}).get("columns") or []
        if len(columns) != width:
            if columns:
                raise ValueError(f"data has {width} columns, but the model reads {len(columns)}")
            return _data.names(width)
        return [column.get("name") or f"x{i + 1}" for i, column in enumerate(columns)]


#: Options of an evaluation that are no settings.
_OF_EVALUATION = {
    "split", "mistakes", "curves", "from", "dynamic", "dynamic_lr", "dynamic_decay", "skip_unseen", "beam",
    "length_penalty", "coverage_penalty", "no_repeat_ngram", "min_length",
}  # fmt: skip


def _padded(steps: NDArray[np.float64], lengths: list[int]) -> NDArray[np.float64]:
    """A row for each series, NaN behind its end."""
    if steps.shape[1] != 1:
        raise ValueError(f"the model reads one number at a step, not {steps.shape[1]}")
    rows = np.full((len(lengths), max(lengths)), np.nan)
    at = 0
    for row, length in zip(rows, lengths, strict=True):
        row[:length] = steps[at : at + length, 0]
        at += length
    return rows


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Predictions for several files as one."""
    if not parts:
        return {"kind": "nothing", "inputs": [], "warnings": []}
    joined = dict(parts[0])
    for key, value in joined.items():
        if key in ("probabilities", "values"):
            joined[key] = np.concatenate([part[key] for part in parts])
        elif isinstance(value, list):
            joined[key] = [one for part in parts for one in part[key]]
    return joined


class Network:
    """A network of any form, of another program or of a model of Elman's: a function of arrays, with states.

    Several threads may run one at the same time.
    """

    def __init__(self, native: _elman.Graph) -> None:
        self._native = native

    def __repr__(self) -> str:
        about = self._native.about()
        return f"<elman.Network {about['format']}: {about['weights']} weights>"

    @property
    def inputs(self) -> dict[str, tuple[str, list[str] | None]]:
        """Element type and dimensions of each input; states are among them."""
        return {name: (dtype, dims) for name, dtype, dims in self._native.inputs}

    @property
    def outputs(self) -> dict[str, tuple[str, list[str] | None]]:
        """Element type and dimensions of each output."""
        return {name: (dtype, dims) for name, dtype, dims in self._native.outputs}

    @property
    def states(self) -> list[str]:
        """The inputs that are states; where they are not given, they begin as the network says."""
        return self._native.states

    def describe(self) -> str:
        """Where it came from, what it reads and writes, a line each."""
        about = self._native.about()
        lines = [("format", about["format"]), ("producer", about["producer"])]
        for what, ports in (("input", self.inputs), ("output", self.outputs)):
            lines += [(what, f"{name} {dtype} [{', '.join(dims or ['?'])}]") for name, (dtype, dims) in ports.items()]
        if about["labels"]:
            lines.append(("labels", ", ".join(about["labels"])))
        lines += [("note", note) for note in about["notes"]]
        lines.append(("size", f"{about['nodes']} nodes, {about['weights']} weights"))
        return "\n".join(f"{name:<10}{text}" for name, text in lines if text)

    def __call__(self, *arrays: NDArray[Any], **named: NDArray[Any]) -> Any:
        """Runs it over whole sequences.

        Args:
            arrays: Its inputs, in their order without the states. An axis of one sequence, or of one number at a step, may be
                left out.
            named: Inputs and states by name.

        Returns:
            The first output, or a dictionary of all of them if there are several.

        Raises:
            KeyError: An input that there is not, or that is missing.
            TypeError: An array of a type that is not read.
            ValueError: Dimensions that do not fit.
        """
        found = self.run(*arrays, **named)
        return next(iter(found.values())) if len(found) == 1 else found

    def run(self, *arrays: NDArray[Any], **named: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """As a call: all outputs by name."""
        states = set(self.states)
        free = [name for name in self.inputs if name not in states and name not in named]
        if len(arrays) > len(free):
            raise ValueError(f"{len(arrays)} inputs are given, but there are {len(free)}: {', '.join(free)}")
        given = {**dict(zip(free, map(np.asarray, arrays), strict=False)), **named}
        return self._native.run(given)

    def predict(self, *arrays: NDArray[Any], **named: NDArray[Any]) -> Any:
        """As a call."""
        return self(*arrays, **named)

    def stream(self, rows: int = 1) -> Stream:
        """Independent streams, stepped together: a step reads the inputs `[I]` one behind the other and returns the outputs `[O]`.

        Raises:
            ValueError: A network that needs later steps, or does something that does not run in steps.
        """
        return self._native.stream(rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it as a file of Elman's.

        Raises:
            OSError: The disk refuses.
        """
        self._native.save(path)
