#!/usr/bin/env python3
"""Live prediction: mouth clips as one endless stream of frames into `elman predict MODEL -`, on one core.

Trains a causal model of the default size on the GRID clips (a few updates: its speed does not depend on what it knows),
then writes the frames of all clips, again and again, to the program's standard input and reads its answers. Prints frames
a second and the resident memory as the stream goes on.

Needs the clips (`grid_lip`, see --data) and Pillow, which decodes them. Build first: cargo build --release -p elman-cli
"""

import argparse
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
OURS = HERE.parent.parent / "target/release/elman"
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("ELMAN_")}
SAMPLES = 20


def frames(folder, clips):
    """The frames of some clips, grey, one after another."""
    parts = []
    with tarfile.open(folder / "clips.tar") as tar:
        for member in tar:
            if member.name.endswith(".jpg"):
                parts.append(Image.open(io.BytesIO(tar.extractfile(member).read())).convert("L").tobytes())
            if len(parts) == clips:
                break
    return b"".join(parts)


def resident_mb(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("ELMAN_DATA", HERE.parent.parent.parent / "shared/data")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(data) / "grid_lip")
    parser.add_argument("--model", type=pathlib.Path, help="a trained model, instead of one trained here")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    if not args.data.exists():
        sys.exit(f"{args.data} is not there: skipped")
    with tempfile.TemporaryDirectory() as folder:
        model = args.model or pathlib.Path(folder) / "run/best.safetensors"
        if not args.model:
            command = [OURS, "train", args.data, "--task", "classify-frames", "--out", model.parent, "--seed", "1"]
            subprocess.run([*command, "--max-steps", "20", "--quiet"], check=True, env=ENVIRONMENT)
        result = stream(model, frames(args.data, 100), args.frames)
    print(f"{result['frames_per_s']:,.0f} frames/s on one core; {result['cpu_us_per_frame']:.0f} us of it a frame")
    print(f"resident memory: {result['first_mb']:.1f} MB after {result['first_at']:,} frames, "
          f"at most {result['highest_mb']:.1f} MB, {result['last_mb']:.1f} MB after {args.frames:,}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=2))


def stream(model, pixels, total):
    size = 48 * 32
    # One core for the program alone, another for this script.
    ours = [OURS, "predict", model, "-", "--raw", "--csv"]
    if len(os.sched_getaffinity(0)) > 1:
        ours = ["taskset", "-c", str(max(os.sched_getaffinity(0))), *ours]
    process = subprocess.Popen(ours, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT)

    def write():
        left = total * size
        while left > 0:
            process.stdin.write(pixels[:left])
            left -= len(pixels)
        process.stdin.close()

    memory, answers, began = [], 0, None
    writer = threading.Thread(target=write)
    writer.start()
    process.stdout.readline()
    for line in process.stdout:
        answers += 1
        # The first answers wait for the model to be read.
        if answers == 1:
            began = time.perf_counter()
        if answers % (total // SAMPLES) == 0 and answers < total:
            memory.append((answers, resident_mb(process.pid)))
    seconds = time.perf_counter() - began
    writer.join()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0 or answers != total:
        sys.exit(f"{answers} answers to {total} frames, status {status}")
    return {
        "frames": total, "frames_per_s": (answers - 1) / seconds,
        "cpu_us_per_frame": 1e6 * (usage.ru_utime + usage.ru_stime) / total,
        "first_at": memory[0][0], "first_mb": memory[0][1], "last_mb": memory[-1][1],
        "highest_mb": max(mb for _, mb in memory), "memory": memory,
    }


if __name__ == "__main__":
    main()
