"""Reads run folders back with TensorBoard's own reader and compares them with metrics.jsonl and samples/.

    python tensorboard_read.py RUN...

Every number of every record has to be there once, at its step, as the float32 nearest to it, and nothing else; every
sample of a validation on record as text, four spaces before each line. Prints one line a run; exits with 1 at the first
difference. Scalars: `train/nats`, `train/lr`, `train/grad_norm`, `train/epoch`, `val/NAME`, `speed/targets_per_s`
(where it is above 0); text: `sample`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tensorboard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def expected(run):
    scalars, texts = {}, {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        values = {f"train/{name}": record[name] for name in ("lr", "grad_norm", "epoch")}
        if "train_nats" in record:
            values["train/nats"] = record["train_nats"]
        if record["targets_per_s"] > 0:
            values["speed/targets_per_s"] = record["targets_per_s"]
        values |= {f"val/{name}": value for name, value in record.get("val", {}).items()}
        for tag, value in values.items():
            scalars.setdefault(tag, []).append((record["step"], float(np.float32(value)), record["unix_time"]))
        sample = run / "samples" / f"step-{record['step']:08}.txt"
        if record.get("val") and sample.exists():
            text = sample.read_bytes().decode(errors="replace")
            lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
            texts[record["step"]] = "".join(f"    {line}\n" for line in lines)
    return scalars, texts


def found(run):
    # 0: keep every event; the default keeps a random choice of them.
    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    scalars = {tag: [(e.step, e.value, e.wall_time) for e in events.Scalars(tag)] for tag in tags["scalars"]}
    texts = {}
    for tag in tags["tensors"]:
        assert events.SummaryMetadata(tag).plugin_data.plugin_name == "text", tag
        assert tag == "sample", tag
        for event in events.Tensors(tag):
            assert event.step not in texts, f"two samples at step {event.step}"
            texts[event.step] = event.tensor_proto.string_val[0].decode()
    return scalars, texts


def main(runs):
    for run in map(Path, runs):
        (scalars, texts), (got_scalars, got_texts) = expected(run), found(run)
        if sorted(scalars) != sorted(got_scalars):
            sys.exit(f"{run}: tags {sorted(got_scalars)}, expected {sorted(scalars)}")
        for tag, points in scalars.items():
            if got_scalars[tag] != points:
                sys.exit(f"{run}: {tag} is {got_scalars[tag]}, expected {points}")
        if texts != got_texts:
            sys.exit(f"{run}: samples at {sorted(got_texts)}, expected {sorted(texts)}, or another text")
        count = sum(map(len, scalars.values()))
        print(f"{run.name}: {count} values under {len(scalars)} names, {len(texts)} samples, all as in metrics.jsonl "
              f"(tensorboard {tensorboard.__version__})")


if __name__ == "__main__":
    main(sys.argv[1:])
