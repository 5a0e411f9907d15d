"""Search with Ray Tune: each trial reports our records, the scheduler stops those without prospect.

pip install "ray[tune]" && python examples/python/ray_tune.py
"""

import elman
import numpy as np
from ray import tune
from ray.tune.schedulers import ASHAScheduler


def trainable(config: dict) -> None:
    """A run with these settings."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    y = np.where(x[:, 0] * x[:, 1] > 0, "same", "other")

    def report(record: dict) -> None:
        if "val_accuracy" in record.get("val", {}):
            tune.report({"accuracy": record["val"]["val_accuracy"], "step": record["step"]})

    elman.train("classify", (x, y), max_steps=300, val_every=30, threads=1, progress=False, callbacks=[report], **config)


def main() -> None:
    """Prints the best settings."""
    space = {"dense": tune.choice([(16,), (64,), (64, 32)]), "lr": tune.loguniform(1e-4, 1e-2)}
    scheduler = ASHAScheduler(metric="accuracy", mode="max", time_attr="step", max_t=300, grace_period=60)
    tuner = tune.Tuner(trainable, param_space=space, tune_config=tune.TuneConfig(num_samples=6, scheduler=scheduler))
    best = tuner.fit().get_best_result("accuracy", "max")
    print(f"accuracy {best.metrics['accuracy']:.3f} with {best.config}")


if __name__ == "__main__":
    main()
