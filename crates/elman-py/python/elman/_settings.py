"""Settings of a run: what there are, and values of Python as text."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from typing import Any

from elman import _elman


def tasks() -> dict[str, str]:
    """The tasks, and what each learns.

    >>> import elman
    >>> elman.tasks()["classify-text"]
    'a text to a label: sentiment, topic, language'
    """
    return dict(_elman.tasks())


def settings(task: str) -> dict[str, dict[str, str]]:
    """The settings of a task: for each its `default`, its `help` and the `group` it stands in.

    Args:
        task: One of `tasks()`.

    Raises:
        ValueError: There is no such task.

    >>> import elman
    >>> elman.settings("language-model")["hidden"]["default"]
    'auto'
    """
    return {name: {"default": default, "help": text, "group": group} for name, default, text, group in _elman.settings_of(task)}


def as_text(name: str, value: Any) -> str:
    """A setting's value as configuration files write it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return "true" if value else "false"
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, datetime.timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, Sequence):
        return ",".join(as_text(name, part) for part in value)
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, float):
        # 20.0 is a whole number too, where one is read.
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"`{name}` is a {type(value).__name__}; a number, a text, a truth value or a list of these is read")


def as_texts(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings that were given (None is not)."""
    return [(name, as_text(name, value)) for name, value in given.items() if value is not None]
