"""What every peer written in Python answers to `run.py`: steps timed in bursts, and its memory."""

import json
import sys
import time


def memory():
    """The largest resident size of this process in bytes."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def serve(step):
    """Answers `step N` and `memory`, a line each; `step` runs one update and returns what to tell of it."""
    for line in sys.stdin:
        command, *rest = line.split()
        if command == "step":
            start = time.perf_counter()
            found = step()
            for _ in range(int(rest[0]) - 1):
                step()
            answer = {"seconds": time.perf_counter() - start, **found}
        elif command == "memory":
            answer = {"bytes": memory()}
        else:
            sys.exit(f"{line!r} is no command")
        print(json.dumps(answer), flush=True)
