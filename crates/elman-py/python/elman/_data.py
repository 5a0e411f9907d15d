"""Data as Python holds them: texts, arrays, frames, lists of arrays; read where they lie or written where training reads them."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman import _elman

#: Tasks whose examples are series.
OF_SERIES = ("classify-sequence", "regress-sequence", "classify-frames")


def is_path(data: Any) -> bool:
    """Whether data are named, not given."""
    return isinstance(data, (str, os.PathLike))


def is_frame(data: Any) -> bool:
    """Whether data are a frame of pandas or polars, known without importing them."""
    return hasattr(data, "columns") and (hasattr(data, "iloc") or hasattr(data, "write_csv"))


def frame_bytes(frame: Any) -> bytes:
    """A frame as comma-separated values with a header; missing values are empty cells."""
    if hasattr(frame, "write_csv"):
        return frame.write_csv().encode()
    return frame.to_csv(index=False).encode()


def numbers(x: Any, name: str = "X") -> NDArray[np.float64]:
    """Rows of numbers `[N, C]`; NaN is a missing value.

    Raises:
        ValueError: Other dimensions, infinite values, no numbers.
    """
    try:
        array = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} cannot be read as numbers: {error}") from None
    if array.ndim != 2:
        raise ValueError(f"{name} has dimensions {list(array.shape)}; [N, C] is read: N rows of C numbers")
    if array.size == 0:
        raise ValueError(f"{name} has dimensions {list(array.shape)}: there is nothing in it")
    infinite = np.isinf(array)
    if infinite.any():
        row, column = (int(i) for i in np.argwhere(infinite)[0])
        raise ValueError(f"{name}[{row}, {column}] is infinite; NaN is read as a missing value")
    return array


def is_numeric(x: Any) -> bool:
    """Whether an array-like holds numbers alone."""
    kind = getattr(getattr(x, "dtype", None), "kind", None)
    if kind is not None:
        return kind in "fiub"
    if not isinstance(x, Sequence) or isinstance(x, (str, bytes)):
        return False
    try:
        return np.asarray(x).dtype.kind in "fiub"
    except ValueError:
        return False


def series(x: Any, name: str = "X") -> tuple[NDArray[np.float64], list[int]]:
    """Series `[T, C]` of any lengths, as their steps one behind the other `[sum T, C]` and the lengths.

    Args:
        x: An array `[N, T, C]`, or `[N, T]` of one number at a step; or a list of arrays `[T, C]` or `[T]`.
        name: What messages call it.

    Raises:
        ValueError: Other dimensions, an empty series, different widths, infinite values.
    """
    if isinstance(x, np.ndarray) and x.dtype != object and x.ndim not in (2, 3):
        raise ValueError(f"{name} has dimensions {list(x.shape)}; [N, T, C] or [N, T] is read, or a list of [T, C]")
    parts = [np.asarray(part, dtype=np.float64) for part in x]
    if not parts:
        raise ValueError(f"{name} is empty; there is no series in it")
    parts = [part[:, None] if part.ndim == 1 else part for part in parts]
    width = parts[0].shape[-1] if parts[0].ndim == 2 else 0
    for i, part in enumerate(parts):
        if part.ndim != 2:
            raise ValueError(f"{name}[{i}] has dimensions {list(part.shape)}; a series is [T, C]: T steps of C numbers")
        if part.shape[1] != width:
            raise ValueError(f"{name}[{i}] has {part.shape[1]} numbers at a step, but {name}[0] has {width}")
        if part.shape[0] == 0:
            raise ValueError(f"{name}[{i}] has no steps")
    return numbers(np.concatenate(parts), name), [len(part) for part in parts]


def names(width: int) -> list[str]:
    """The columns of an array."""
    return [f"x{i + 1}" for i in range(width)]


def labels(y: Any, count: int, name: str = "y") -> list[str]:
    """A label for each example, as text.

    Raises:
        ValueError: Another number of labels; one that is missing.
    """
    values = list(y.to_list() if hasattr(y, "to_list") else np.asarray(y).tolist() if hasattr(y, "dtype") else y)
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} labels, but there are {count} examples")
    for i, value in enumerate(values):
        if value is None or (isinstance(value, float) and not np.isfinite(value)):
            raise ValueError(f"{name}[{i}] is {value}; each example needs a label")
    return [repr(value) if isinstance(value, float) else str(value) for value in values]


def texts(x: Any, name: str = "X") -> list[str]:
    """A list of texts.

    Raises:
        ValueError: Something else is among them, with its place.
    """
    values = list(x.to_list() if hasattr(x, "to_list") else x)
    for i, value in enumerate(values):
        if not isinstance(value, str):
            raise ValueError(f"{name}[{i}] is a {type(value).__name__}; texts are read")
    return [str(value) for value in values]


def rows_bytes(rows: Iterable[Sequence[Any]], header: Sequence[str] | None) -> bytes:
    """Rows of any cells as comma-separated values; None and NaN are empty cells."""
    out = io.StringIO()
    writer = csv.writer(out)
    if header is not None:
        writer.writerow(header)
    for row in rows:
        writer.writerow(["" if cell is None or cell != cell else cell for cell in row])
    return out.getvalue().encode()


def json_lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    """An object on each line."""
    return "".join(json.dumps(record, ensure_ascii=False, default=_plain) + "\n" for record in records).encode()


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{value!r} is a {type(value).__name__}; numbers and texts are read")


def spool(task: str, data: Any, folder: Path, given: Mapping[str, Any], stem: str = "data") -> dict[str, str]:
    """Writes data where training reads them; returns the settings that say where and how.

    Args:
        task: The task.
        data: See `train`.
        folder: Where files are written; it is made if it is needed.
        given: The settings given beside; columns that they name are not named again.
        stem: The name of the files, without their end.

    Raises:
        TypeError: Data of a form that the task does not read.
        ValueError: Data that contradict themselves, with the place.
    """
    if data is None:
        return {}
    if is_path(data):
        return {"file": str(Path(data).absolute())}
    if isinstance(data, Mapping) and all(is_path(value) for value in data.values()):
        return {name: str(Path(path).absolute()) for name, path in data.items()}
    folder.mkdir(parents=True, exist_ok=True)

    def written(content: bytes, end: str, **how: str) -> dict[str, str]:
        path = (folder / f"{stem}.{end}").absolute()
        path.write_bytes(content)
        # What the caller says of columns holds.
        return {"file": str(path), **{key: value for key, value in how.items() if given.get(key) is None}}

    if is_frame(data):
        return written(frame_bytes(data), "csv", header="yes")
    if task == "language-model":
        content = data if isinstance(data, str) else "\n".join(texts(data, "data"))
        return written(content.encode(), "txt")
    if task == "translate":
        pairs = [(str(source), str(target)) for source, target in data]
        rows = ({"source": source, "target": target} for source, target in pairs)
        return written(json_lines(rows), "jsonl", source_column="source", target_column="target")
    if isinstance(data, Sequence) and data and isinstance(data[0], Mapping):
        return written(json_lines(data), "jsonl")
    if not (isinstance(data, tuple) and len(data) == 2):
        what = type(data).__name__
        raise TypeError(f"data of the task {task} are a path, a frame, a list of dictionaries or (X, y); not a {what}")
    x, y = data
    if task == "classify-text":
        found = texts(x)
        own = list(y) if not hasattr(y, "dtype") else None
        if own and all(isinstance(one, (list, tuple, set, frozenset)) for one in own):
            # Several labels a text, or none.
            if len(own) != len(found):
                raise ValueError(f"y has labels of {len(own)} texts, but there are {len(found)} texts")
            of_texts: list[Any] = [[str(label) for label in sorted(one, key=str)] for one in own]
        else:
            of_texts = labels(y, len(found))
        rows = ({"text": text, "label": label} for text, label in zip(found, of_texts, strict=True))
        return written(json_lines(rows), "jsonl", text_column="text", label_column="label")
    path = (folder / f"{stem}.csv").absolute()
    how = {"file": str(path), "header": "yes", "label_column": "label"}
    if task in OF_SERIES:
        steps, lengths = series(x)
        how["sequence_column"] = "series"
        if task == "classify-frames":
            of_steps: list[str] = []
            if len(y) != len(lengths):
                raise ValueError(f"y has labels of {len(y)} series, but X has {len(lengths)} series")
            for i, (own, length) in enumerate(zip(y, lengths, strict=True)):
                of_steps += labels(own, length, f"y[{i}]")
            _elman.write_table(path, steps, names(steps.shape[1]), lengths, of_steps)
        else:
            _elman.write_table(path, steps, names(steps.shape[1]), lengths, labels(y, len(lengths)))
    elif is_frame(x):
        how["label_column"] = "label"
        path.write_bytes(_with_label(x, y))
    elif is_numeric(x) or not _has_words(x):
        found = numbers(x)
        # All of them: what looks like a count of rows is a column as good as any other.
        how["use_columns"] = ",".join(names(found.shape[1]))
        _elman.write_table(path, found, names(found.shape[1]), None, labels(y, len(found)))
    else:
        rows = [list(row) for row in x]
        of_rows = labels(y, len(rows))
        cells = [[*row, label] for row, label in zip(rows, of_rows, strict=True)]
        path.write_bytes(rows_bytes(cells, [*names(len(rows[0])), "label"]))
    return {key: value for key, value in how.items() if key == "file" or given.get(key) is None}


def _has_words(x: Any) -> bool:
    return any(isinstance(cell, str) for row in x for cell in row)


def _with_label(frame: Any, y: Any) -> bytes:
    """A frame and the labels of its rows."""
    if "label" in list(frame.columns):
        raise ValueError("X has a column `label` of its own; give the frame alone and name its `label_column`")
    found = labels(y, len(frame))
    if hasattr(frame, "write_csv"):
        polars = __import__("polars")
        return frame_bytes(frame.with_columns(polars.Series("label", found)))
    return frame_bytes(frame.assign(label=found))
