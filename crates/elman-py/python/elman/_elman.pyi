"""The native half; use the names of `elman`."""

from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

__version__: str

class DivergedError(RuntimeError):
    """Training left the finite numbers, or the loss grew without bound."""

def set_threads(threads: int) -> None:
    """Threads of predictions and evaluations; 0 is one per core. Training has its own, by the setting `threads`."""

def threads() -> int:
    """Threads of predictions and evaluations."""

def tasks() -> list[tuple[str, str]]: ...
def settings_of(task: str) -> list[tuple[str, str, str, str]]: ...
def write_table(
    path: str | PathLike[str],
    x: NDArray[np.float64],
    names: list[str],
    lengths: list[int] | None = None,
    labels: list[str] | None = None,
) -> None: ...
def train(
    task: str,
    preset: str | None,
    given: list[tuple[str, str]],
    folder: str | PathLike[str],
    resume: bool,
    on_event: Callable[[str], bool | None],
) -> str: ...

class Model:
    task: str
    path: Any
    labels: list[str]
    reads: str
    is_closed: bool
    @staticmethod
    def open(path: str | PathLike[str], answers: dict[str, str]) -> Model | Graph: ...
    @staticmethod
    def from_bytes(data: bytes) -> Model: ...
    def to_bytes(self) -> bytes: ...
    def save(self, path: str | PathLike[str]) -> None: ...
    def close(self) -> None: ...
    def describe(self) -> list[tuple[str, str]]: ...
    def config(self) -> str: ...
    def predict_texts(self, texts: list[str], given: dict[str, Any]) -> dict[str, Any]: ...
    def predict_file(self, path: str | PathLike[str], given: dict[str, Any]) -> dict[str, Any]: ...
    def predict_bytes(self, data: bytes, header: bool | None, given: dict[str, Any]) -> dict[str, Any]: ...
    def predict_numbers(
        self, x: NDArray[np.float64], names: list[str], lengths: list[int] | None, given: dict[str, Any]
    ) -> dict[str, Any]: ...
    def evaluate(self, data: list[tuple[str, str]], given: dict[str, Any]) -> dict[str, Any]: ...
    def sample(self, prompt: str, given: dict[str, Any]) -> str: ...
    def stream(self, rows: int = 1) -> Stream: ...
    def graph(self) -> Graph: ...

class Graph:
    inputs: list[tuple[str, str, list[str] | None]]
    outputs: list[tuple[str, str, list[str] | None]]
    states: list[str]
    def about(self) -> dict[str, Any]: ...
    def run(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]: ...
    def stream(self, rows: int = 1) -> Stream: ...
    def save(self, path: str | PathLike[str]) -> None: ...

class Stream:
    """Independent streams of one model, stepped together, each with a state of its own.

    A step of one stream reads `x` `[I]` and returns `[O]`; of several, `[rows, I]` and `[rows, O]`. A language model reads a
    token instead: its number or its text, or `[rows]` numbers. A network with a stride or a pool over time has no new answer
    in every step: in between it gives the last one again, and zeros before the first.
    """

    rows: int
    input_width: int
    output_width: int
    state: NDArray[np.float32]
    def step(self, x: Any, out: NDArray[np.float32] | None = None) -> NDArray[np.float32] | None:
        """One step; the answer is written to `out` if it is given. None where a model that looks ahead has no answer yet."""
    def reset(self, row: int | None = None) -> None:
        """Begins anew: all streams, or one."""

class Pass:
    is_done: bool

class Layers:
    def __init__(self, cell: str, inputs: int, hidden: int, layers: int, bidirectional: bool, dropout: float) -> None: ...
    def weights(self) -> list[tuple[str, list[int]]]: ...
    def forward(
        self,
        weights: list[NDArray[np.float32] | None],
        x: NDArray[np.float32],
        steps: int,
        batch: int,
        batch_first: bool,
        sizes: NDArray[np.int64] | None,
        reset: NDArray[np.bool_] | None,
        h0: NDArray[np.float32] | None,
        c0: NDArray[np.float32] | None,
        seed: int | None,
        is_kept: bool,
        threads: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], Pass]: ...
    def backward(
        self,
        passed: Pass,
        weights: list[NDArray[np.float32] | None],
        x: NDArray[np.float32],
        batch: int,
        dy: NDArray[np.float32] | None,
        dh: NDArray[np.float32] | None,
        dc: NDArray[np.float32] | None,
        wants_dx: bool,
        threads: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float32], NDArray[np.float32]]: ...
