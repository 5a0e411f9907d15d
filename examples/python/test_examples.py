"""The examples run: those that are quick and whose packages are installed."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def run(script: str, *arguments: str) -> str:
    """What a script prints."""
    done = subprocess.run([sys.executable, HERE / script, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_optuna_searches_in_two_processes():
    pytest.importorskip("optuna")
    assert run("optuna_search.py", "--trials", "4").startswith("4 trials")


def test_scikit_learn_searches():
    pytest.importorskip("sklearn")
    assert run("sklearn_search.py").startswith("accuracy 0.9")


def test_workers_train_and_their_models_come_back():
    pytest.importorskip("joblib")
    assert "['same' 'other']" in run("workers.py")


def test_dask_workers():
    pytest.importorskip("distributed")
    assert "['same' 'other']" in run("workers.py", "--dask")


def test_ray_searches():
    pytest.importorskip("ray.tune")
    assert "accuracy" in run("ray_tune.py")


def test_a_torch_model_is_swapped_and_learns_the_same():
    pytest.importorskip("torch")
    theirs, ours = (line.rsplit(" ", 1)[1] for line in run("torch_model.py", "--steps", "10").splitlines())
    assert abs(float(theirs) - float(ours)) < 1e-3


def test_recurrent_ppo_learns():
    pytest.importorskip("sb3_contrib")
    assert "frames/s" in run("recurrent_ppo.py", "--steps", "2000")


def test_the_notebook_runs():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel"), pytest.importorskip("sklearn"), pytest.importorskip("pandas")
    notebook = nbformat.read(HERE / "tour.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert any("text/html" in out.get("data", {}) for out in outputs)
