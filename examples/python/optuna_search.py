"""Search with Optuna: several processes on one journal file, runs without prospect pruned by their records.

pip install optuna && python examples/python/optuna_search.py --trials 12 --processes 2
"""

import argparse
import multiprocessing
import tempfile
from pathlib import Path

import elman
import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend


def examples():
    """Series of two frequencies."""
    rng = np.random.default_rng(0)
    label = np.arange(160) % 2
    time = np.arange(40)[None] * (0.3 + 0.1 * label[:, None]) + rng.uniform(0, 6, (160, 1))
    return list((np.sin(time) + rng.normal(scale=0.4, size=time.shape))[..., None]), label


def objective(trial: optuna.Trial) -> float:
    """The best validation accuracy of a run."""

    def report(record):
        accuracy = record.get("val", {}).get("val_accuracy")
        if accuracy is not None:
            trial.report(accuracy, record["step"])
        # The run is saved and ends.
        return not trial.should_prune()

    run = elman.train(
        "classify-sequence",
        examples(),
        hidden=trial.suggest_int("hidden", 8, 64, log=True),
        lr=trial.suggest_float("lr", 1e-4, 3e-2, log=True),
        dropout=trial.suggest_float("dropout", 0.0, 0.5),
        max_steps=100,
        val_every=20,
        threads=1,
        progress=False,
        callbacks=[report],
    )
    if run.ending == "stopped":
        raise optuna.TrialPruned
    return run.best["val_accuracy"]


def work(journal: str, trials: int) -> None:
    """Takes part in the study."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(study_name="elman", storage=JournalStorage(JournalFileBackend(journal)))
    study.optimize(objective, n_trials=trials)


def main() -> None:
    """Runs a study and prints the best trial."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        journal = str(Path(folder) / "journal.log")
        storage = JournalStorage(JournalFileBackend(journal))
        study = optuna.create_study(study_name="elman", storage=storage, direction="maximize")
        each = -(-args.trials // args.processes)
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=work, args=(journal, each)) for _ in range(args.processes)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        print(f"{len(study.trials)} trials; the best reaches {study.best_value:.3f} with {study.best_params}")


if __name__ == "__main__":
    main()
