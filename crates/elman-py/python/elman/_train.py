"""Training: a run and what it left."""

from __future__ import annotations

import html
import json
import os
import shutil
import sys
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from elman import _data, _elman
from elman._model import Model, open
from elman._settings import as_texts

Callback = Callable[[dict[str, Any]], Any]


class Run:
    """A run: its folder, its records, its best model. In a notebook it shows its curve, its measures and what it wrote."""

    def __init__(self, folder: Path, task: str, ending: str, records: list[dict[str, Any]], plan: dict[str, Any]) -> None:
        #: The folder of the run: settings, metrics, samples, checkpoints, the best model.
        self.folder = folder
        #: The task.
        self.task = task
        #: `complete`, `no progress` (early stopping), `stopped` (by a callback) or `interrupted` (by Ctrl-C).
        self.ending = ending
        #: The records: step, epoch, training loss in nats, validation measures under `val`, and more.
        self.records = records
        #: The network in words, its parameters, the data and notes on them.
        self.plan = plan

    def __repr__(self) -> str:
        best = ", ".join(f"{name}={value:.4g}" for name, value in list(self.best.items())[:3])
        steps = self.records[-1]["step"] if self.records else 0
        return f"<elman.Run {self.task}, {self.ending} after {steps} steps{': ' + best if best else ''}>"

    @cached_property
    def model(self) -> Model:
        """The best model by validation, or the last where the run was stopped before its first validation."""
        return open(self.folder)

    @property
    def best(self) -> dict[str, float]:
        """The validation measures of the best model."""
        validated = [record for record in self.records if record.get("val")]
        best = [record for record in validated if record.get("best")]
        return dict((best or validated or [{}])[-1].get("val", {}))

    @property
    def samples(self) -> dict[int, str]:
        """What the model wrote, by step."""
        found = sorted((self.folder / "samples").glob("step-*.txt"))
        return {int(path.stem.split("-")[1]): path.read_text(encoding="utf-8", errors="replace") for path in found}

    @property
    def history(self) -> Any:
        """The records as a frame of pandas, or of polars where that is installed alone; validation measures are columns.

        Raises:
            ImportError: Neither is installed; `records` is a list.
        """
        rows = [{**{k: v for k, v in record.items() if k != "val"}, **record.get("val", {})} for record in self.records]
        try:
            import pandas

            return pandas.DataFrame(rows)
        except ImportError:
            pass
        try:
            import polars

            return polars.DataFrame(rows, infer_schema_length=None)
        except ImportError:
            raise ImportError("a frame takes pandas or polars; `records` is a list of dictionaries") from None

    def resume(self, **changes: Any) -> Run:
        """Goes on with it; see `elman.resume`."""
        return resume(self.folder, **changes)

    def _repr_html_(self) -> str:
        measures = "".join(f"<tr><td>{html.escape(name)}</td><td>{value:.4f}</td></tr>" for name, value in self.best.items())
        samples = list(self.samples.items())
        written = ""
        if samples:
            step, text = samples[-1]
            written = f"<p>after {step} steps:</p><pre>{html.escape(text[:1000])}</pre>"
        network, data = (html.escape(str(self.plan.get(key, ""))) for key in ("network", "data"))
        return (
            f"<div><p><b>{html.escape(self.task)}</b>: {network}; {data}; {html.escape(self.ending)}</p>"
            f"{_curve(self.records)}<table>{measures}</table>{written}</div>"
        )


def train(
    task: str,
    data: Any = None,
    *,
    val: Any = None,
    out: str | os.PathLike[str] | None = None,
    exist_ok: bool = False,
    preset: str | None = None,
    callbacks: Iterable[Callback] = (),
    progress: bool | None = None,
    **settings: Any,
) -> Run:
    """Trains a model of a task.

    Args:
        task: One of `elman.tasks()`.
        data: The path of a file or folder, as `elman train` reads them; a frame of pandas or polars, with the setting
            `label_column`; a list of dictionaries; or, by task:
            `classify`, `regress`: `(X, y)`, X `[N, C]`, y `[N]`; NaN is a missing value.
            `classify-sequence`, `regress-sequence`: `(X, y)`, X a list of arrays `[T, C]` or `[T]` of any lengths, or an array.
            `classify-frames`: `(X, y)`, y a list of `[T]` labels.
            `classify-text`: `(texts, labels)`.
            `language-model`: a list of texts. `translate`: a list of pairs.
            A dictionary names the files of several settings. Without data, Elman trains on some of its own.
        val: Validation data of the same form, instead of a part of `data`.
        out: The folder of the run, with a copy of data given as objects; without it a temporary one, which goes with the run.
        exist_ok: Begin anew where the folder already holds a run.
        preset: A preset of the language model, such as `min-char-rnn`.
        callbacks: Each is called with every record, a dictionary: `step`, `train_nats`, `val` and more; the run stops, saved, when
            one returns False or raises.
        progress: Whether a bar is shown (it takes `tqdm`); by default in terminals and notebooks.
        settings: Any of `elman.settings(task)`.

    Returns:
        The run. Ctrl-C saves and returns it, with `ending == "interrupted"`; a second one raises.

    Raises:
        TypeError: A setting that there is not.
        ValueError: A value or data that cannot be used, with the place.
        DivergedError: The loss grew without bound.
        OSError: The disk refuses.

    >>> import numpy as np, elman
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(int(rng.integers(5, 12)), 2)) + label for label in (0, 1) for _ in range(40)]
    >>> run = elman.train("classify-sequence", (X, [0] * 40 + [1] * 40), max_steps=60)
    >>> run.ending, run.model.labels
    ('complete', ['0', '1'])
    """
    given = {name: value for name, value in settings.items() if value is not None}
    # Whatever is wrong with settings is said before data are written.
    _elman.settings_of(task)
    if out is None:
        folder = Path(tempfile.mkdtemp(prefix="elman-"))
    else:
        folder = Path(out).absolute()
        if (folder / "config.toml").exists():
            if not exist_ok:
                raise ValueError(f"{folder} already holds a run; elman.resume goes on with it, `exist_ok` begins anew")
            shutil.rmtree(folder)
    existed = folder.exists() and out is not None
    try:
        how = _data.spool(task, data, folder, given)
        if val is not None:
            how["val"] = _data.spool(task, val, folder, given, "val")["file"]
        return _run(task, preset, {**how, **given}, folder, False, callbacks, progress, is_temporary=out is None)
    except BaseException:
        if not existed and not (folder / "config.toml").exists():
            shutil.rmtree(folder, ignore_errors=True)
        raise


def resume(
    folder: str | os.PathLike[str],
    *,
    callbacks: Iterable[Callback] = (),
    progress: bool | None = None,
    **changes: Any,
) -> Run:
    """Goes on with a run, bit for bit as if it had not been stopped.

    Args:
        folder: The folder of the run.
        callbacks: As `train`.
        progress: As `train`.
        changes: A new length (`epochs`, `max_steps`, `max_time`, counted from the beginning), `patience`, `threads` and the like.

    Raises:
        ValueError: There is no run; a setting that cannot be changed.
    """
    path = Path(folder).absolute()
    return _run("", None, changes, path, True, callbacks, progress, is_temporary=False)


def _run(
    task: str,
    preset: str | None,
    given: dict[str, Any],
    folder: Path,
    is_resumed: bool,
    callbacks: Iterable[Callback],
    progress: bool | None,
    *,
    is_temporary: bool,
) -> Run:
    callbacks = list(callbacks)
    records: list[dict[str, Any]] = []
    plan: dict[str, Any] = {}
    bar = _Bar(progress)

    def on_event(text: str) -> bool:
        event = json.loads(text)
        kind = event["event"]
        if kind == "plan":
            records.extend(event.pop("records"))
            plan.update(event)
        elif kind == "record":
            record = event["record"]
            records.append(record)
            bar.record(record)
            # All hear of it, whatever the first says.
            answers = [callback(record) for callback in callbacks]
            return not any(answer is False for answer in answers)
        elif kind == "rolled_back":
            del records[len([record for record in records if record["step"] <= event["to"]]) :]
            warnings.warn(
                f"training diverged at step {event['at']} and went on from step {event['to']} with a lower learning rate",
                RuntimeWarning,
                stacklevel=2,
            )
        elif kind in ("progress", "preparing"):
            bar.see(event)
        return True

    try:
        ending = _elman.train(task, preset, as_texts(given), folder, is_resumed, on_event)
    finally:
        bar.close()
    if not task:
        task = open(folder / "last.safetensors").task
    run = Run(folder, task, ending, records, plan)
    if is_temporary:
        # Gone with the run; its model may be used on.
        weakref.finalize(run, shutil.rmtree, folder, ignore_errors=True)
        if ending in ("complete", "no progress"):
            _ = run.model
    return run


class _Bar:
    """A bar in terminals and notebooks, where `tqdm` is installed."""

    def __init__(self, wanted: bool | None) -> None:
        self._bar: Any = None
        if wanted is None:
            wanted = sys.stderr.isatty() or "ipykernel" in sys.modules
            if wanted:
                try:
                    import tqdm.auto
                except ImportError:
                    wanted = False
        if wanted:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=100, unit="%", bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}")

    def see(self, event: dict[str, Any]) -> None:
        if self._bar is None:
            return
        share = event.get("progress")
        if share is None:
            share = event["done"] / max(event["all"], 1)
        self._bar.n = round(100 * share, 1)
        self._bar.refresh()

    def record(self, record: dict[str, Any]) -> None:
        if self._bar is not None:
            loss = record.get("train_nats", record.get("train_loss"))
            shown = {} if loss is None else {"loss": f"{loss:.4f}"}
            shown |= {name: f"{value:.4f}" for name, value in list(record.get("val", {}).items())[:2]}
            self._bar.set_postfix(shown, refresh=False)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _curve(records: list[dict[str, Any]]) -> str:
    """The losses over the steps, as SVG."""
    train = [(r["step"], r.get("train_nats", r.get("train_loss"))) for r in records]
    names = ("val_nats", "val_loss_nats", "val_loss")
    val = [(r["step"], next((r["val"][n] for n in names if n in r["val"]), None)) for r in records if r.get("val")]
    lines = [[point for point in line if point[1] is not None] for line in (train, val)]
    points = [point for line in lines for point in line]
    if len(points) < 2:
        return ""
    last = max(step for step, _ in points) or 1
    low, high = min(loss for _, loss in points), max(loss for _, loss in points)
    span = (high - low) or 1.0

    def path(line: list[tuple[int, float]], colour: str) -> str:
        places = " ".join(f"{8 + 384 * s / last:.1f},{8 + 104 * (high - loss) / span:.1f}" for s, loss in line)
        return f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{places}"/>'

    return (
        '<svg width="400" height="136" role="img" aria-label="loss over steps">'
        + path(lines[0], "#8888cc")
        + path(lines[1], "#cc6644")
        + f'<text x="8" y="130" font-size="11">step {last}; loss {low:.3f} to {high:.3f}; blue training, red validation'
        + "</text></svg>"
    )
