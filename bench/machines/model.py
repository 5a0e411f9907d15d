"""The time of an update as a model of compute, latency and bandwidth, drawn to 1,000 ranks: docs/machines.svg.

    python bench/machines/model.py docs/machines.svg        # needs matplotlib

    t(N) = compute(rows) + packing + 2 * (latency + (N - 1) * MESSAGE) + 2 * (N - 1) / N * bytes / bandwidth

for N ranks that compute `rows` sequences each: `compute` and what a rank spends on packing and adding are fitted to measurements
of the example `network` (LSTM 2x512, 50 steps, one thread a rank, AMD EPYC, Zen 4); the other terms are the network's, what a
message costs is assumed.
"""

import sys

# Milliseconds measured: (ranks, sequences of a rank, latency ms, Gb/s, bytes per number) -> update.
MEASURED = {
    (2, 16, 0.0, 1e3, 4): 199.0,
    (2, 32, 0.0, 1e3, 4): 340.0,
    (2, 16, 0.1, 10, 4): 205.7,
    (2, 32, 0.1, 10, 4): 376.7,
    (2, 16, 1.0, 1, 4): 321.1,
    (2, 32, 1.0, 1, 4): 500.3,
    (2, 16, 0.1, 10, 2): 201.3,
    (2, 32, 0.1, 10, 2): 369.7,
    (2, 16, 1.0, 1, 2): 249.5,
    (2, 32, 1.0, 1, 2): 423.3,
}
ALONE = {16: 172.0, 32: 319.0}
WEIGHTS = 3_397_215
# Milliseconds that sending one message keeps a rank busy: assumed.
MESSAGE = 0.005


def network(ranks, latency, gigabits, width):
    """Milliseconds of one update on the wire."""
    return 2 * (latency + (ranks - 1) * MESSAGE) + 2 * (ranks - 1) / ranks * WEIGHTS * width * 8 / (gigabits * 1e6)


def compute(rows):
    """Milliseconds of `rows` sequences on one rank: a line through what one rank alone took."""
    slope = (ALONE[32] - ALONE[16]) / 16
    return ALONE[16] + slope * (rows - 16)


def own():
    """What a rank spends on packing and adding: the median of what is left of the measurements."""
    left = sorted(t - compute(key[1]) - network(key[0], *key[2:]) for key, t in MEASURED.items())
    return left[len(left) // 2]


def update(ranks, rows, latency, gigabits, width):
    return compute(rows) + (0 if ranks == 1 else own() + network(ranks, latency, gigabits, width))


def main():
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"
    matplotlib.rcParams["svg.hashsalt"] = "elman"
    import matplotlib.pyplot as plt

    for key, t in MEASURED.items():
        print(key, "measured", t, "model", round(update(*key[:2], *key[2:]), 1))
    figure, axes = plt.subplots(figsize=(7.2, 4.2))
    ranks = [2**i for i in range(11)]
    for label, net in {
        "10 Gb/s, 0.1 ms": (0.1, 10, 4),
        "10 Gb/s, 0.1 ms, --reduce bf16": (0.1, 10, 2),
        "1 Gb/s, 1 ms": (1.0, 1, 4),
        "1 Gb/s, 1 ms, --reduce bf16": (1.0, 1, 2),
    }.items():
        axes.plot(ranks, [compute(32) / update(n, 32, *net) for n in ranks], label=label)
    axes.set(xscale="log", xlabel="ranks, 32 sequences each", ylabel="speed of a rank, 1 = alone", ylim=(0, 1.05))
    axes.legend(frameon=False, loc="lower left")
    axes.grid(color="0.9")
    figure.tight_layout()
    figure.savefig(sys.argv[1], metadata={"Date": None})


if __name__ == "__main__":
    main()
