"""The same runs on workers: joblib's processes, or Dask's where `dask.distributed` is installed.

python examples/python/workers.py            # joblib comes with scikit-learn
pip install distributed && python examples/python/workers.py --dask
"""

import argparse

import elman
import numpy as np


def train(seed: int) -> tuple[int, float, bytes]:
    """A run; its model comes back as the bytes of its file, which any machine opens."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    y = np.where(x[:, 0] * x[:, 1] > 0, "same", "other")
    run = elman.train("classify", (x, y), seed=seed, max_steps=150, threads=1, progress=False)
    return seed, run.best["val_accuracy"], run.model.to_bytes()


def main() -> None:
    """Trains with several seeds at once and lets the best predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dask", action="store_true")
    parser.add_argument("--seeds", type=int, default=4)
    args = parser.parse_args()
    if args.dask:
        from dask.distributed import Client

        with Client(n_workers=2, threads_per_worker=1) as client:
            found = client.gather(client.map(train, range(args.seeds)))
    else:
        from joblib import Parallel, delayed

        found = Parallel(n_jobs=2)(delayed(train)(seed) for seed in range(args.seeds))
    seed, accuracy, model = max(found, key=lambda one: one[1])
    print(f"seed {seed} reaches {accuracy:.3f}: {elman.Model.from_bytes(model).predict([[1, 1, 0, 0], [1, -1, 0, 0]])}")


if __name__ == "__main__":
    main()
