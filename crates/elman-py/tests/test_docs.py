"""The examples of the documentation run."""

import doctest
import importlib

import pytest

MODULES = {
    "elman": None,
    "elman._model": None,
    "elman._settings": None,
    "elman._train": None,
    "elman.estimators": "sklearn",
    "elman.torch": "torch",
}


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name):
    if MODULES[name]:
        pytest.importorskip(MODULES[name])
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0 and found.attempted > 0
