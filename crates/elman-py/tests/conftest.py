"""What the tests share: small models, trained once."""

import elman
import numpy as np
import pytest


@pytest.fixture(scope="session")
def rng():
    return np.random.default_rng(1)


@pytest.fixture(scope="session")
def language_run(tmp_path_factory):
    """A language model of a few words."""
    texts = ["the quick brown fox jumps over the lazy dog", "a lazy dog sleeps"] * 40
    folder = tmp_path_factory.mktemp("language") / "run"
    return elman.train("language-model", texts, out=folder, hidden=16, batch=4, seq_len=16, max_steps=30, threads=1)


@pytest.fixture(scope="session")
def table():
    """Rows `[N, 3]`, of which the first decides the label."""
    x = np.random.default_rng(2).normal(size=(200, 3))
    return x, np.where(x[:, 0] > 0, "right", "left")


@pytest.fixture(scope="session")
def table_model(table):
    return elman.train("classify", table, max_steps=200, threads=1).model


@pytest.fixture(scope="session")
def frames():
    """Series `[T, 2]` with a label at each step."""
    rng = np.random.default_rng(3)
    x = [rng.normal(size=(int(rng.integers(10, 25)), 2)) for _ in range(40)]
    return x, [np.where(part[:, 0] > 0, "up", "down") for part in x]


@pytest.fixture(scope="session")
def frames_model(frames):
    settings = {"bidirectional": False, "lookahead": 0, "hidden": 16, "max_steps": 100, "threads": 1}
    return elman.train("classify-frames", frames, **settings).model
