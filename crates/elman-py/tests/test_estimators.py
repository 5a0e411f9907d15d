"""Estimators in scikit-learn's and aeon's conventions."""

import pickle
import warnings

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

import elman  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

SHORT = {"max_steps": 60, "random_state": 0, "n_jobs": 1}

#: What is declared to fail, and why: nothing yet.
EXPECTED = {}


@parametrize_with_checks(
    [elman.ElmanClassifier(n_jobs=1, random_state=0), elman.ElmanRegressor(n_jobs=1, random_state=0)],
    expected_failed_checks=lambda estimator: EXPECTED,
)
def test_scikit_learns_own_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


def test_pipelines_searches_and_scores(table):
    x, y = table
    pipe = make_pipeline(StandardScaler(), elman.ElmanClassifier(**SHORT))
    assert cross_val_score(pipe, x, y, cv=3).mean() > 0.8
    search = GridSearchCV(elman.ElmanClassifier(**SHORT), {"dense": [(8,), (32, 16)], "dropout": [0.0, 0.2]}, cv=2)
    search.fit(x, y)
    assert search.best_score_ > 0.8 and set(search.best_params_) == {"dense", "dropout"}
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    assert (again.predict_proba(x) == search.predict_proba(x)).all()


def test_labels_come_back_as_they_were(table):
    x, y = table
    for labels in (y, (y == "right"), np.where(y == "right", 7, -3), np.where(y == "right", 0.5, 2.0) > 1):
        model = elman.ElmanClassifier(**SHORT).fit(x, labels)
        found = model.predict(x)
        assert found.dtype == np.asarray(labels).dtype and (found == labels).mean() > 0.8
        assert (model.classes_ == np.unique(labels)).all()


def test_settings_reach_the_run_and_wrong_ones_are_refused(table):
    x, y = table
    model = elman.ElmanClassifier(dense=(5,), settings={"log_every": 10}, **SHORT).fit(x, y)
    assert model.model_.config["network"]["front"]["dense"] == [5] and len(model.history_) >= 6
    with pytest.raises(TypeError, match="no setting `nothing`"):
        elman.ElmanClassifier(settings={"nothing": 1}, **SHORT).fit(x, y)
    with pytest.raises(ValueError, match="dropout 2"):
        elman.ElmanClassifier(dropout=2, **SHORT).fit(x, y)
    assert clone(model).get_params()["dense"] == (5,)


def test_words_and_missing_values_of_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"colour": ["red", "blue"] * 60, "size": np.arange(120.0) % 5})
    frame.loc[::7, "size"] = np.nan
    model = elman.ElmanClassifier(**SHORT).fit(frame, ["warm", "cold"] * 60)
    assert list(model.predict(frame[:2])) == ["warm", "cold"] and list(model.feature_names_in_) == ["colour", "size"]


def test_texts(rng):
    texts, labels = ["a good film", "a bad film"] * 40, [1, 0] * 40
    model = elman.TextClassifier(**SHORT)
    assert cross_val_score(model, texts, labels, cv=2).mean() > 0.9
    assert pickle.loads(pickle.dumps(model.fit(texts, labels))).predict(["good"]) == [1]
    with pytest.raises(ValueError, match=r"X\[1\] is a float"):
        model.fit(["a", 1.5], [0, 1])


def test_series_in_aeons_layout(rng):
    y = np.arange(60) % 2
    equal = rng.normal(size=(60, 2, 12)) + y[:, None, None]
    model = elman.SequenceClassifier(**SHORT).fit(equal, y)
    assert model.score(equal, y) > 0.9
    # Lists of unequal ones, and one of the first form.
    ragged = [series[:, : int(n)] for series, n in zip(equal, rng.integers(6, 13, 60), strict=True)]
    assert elman.SequenceClassifier(**SHORT).fit(ragged, y).score(ragged, y) > 0.9
    assert (model.predict_proba(list(equal)) == model.predict_proba(equal)).all()
    with pytest.raises(ValueError, match=r"3\] channels; the model reads 2"):
        model.predict(rng.normal(size=(2, 3, 12)))
    one = equal[:, 0]
    assert elman.SequenceClassifier(**SHORT).fit(one, y).predict(one).shape == (60,)
    numbers = elman.SequenceRegressor(**{**SHORT, "max_steps": 200}).fit(equal, equal.mean(axis=(1, 2)))
    assert numbers.score(equal, equal.mean(axis=(1, 2))) > 0.5
    with pytest.raises(ValueError, match="y"):
        elman.SequenceRegressor(**SHORT).fit(equal, np.full(60, np.nan))


def test_labels_of_frames(frames):
    x, y = frames
    model = elman.FrameLabeler(**{**SHORT, "max_steps": 100}).fit(x, y)
    assert model.score(x, y) > 0.9 and model.predict(x[:1])[0].shape == (len(x[0]),)
    assert model.predict_proba(x[:1])[0].shape == (len(x[0]), 2)


def test_a_single_class_and_unfitted_models_are_refused(table):
    x, _ = table
    with pytest.raises(ValueError, match="one class"):
        elman.ElmanClassifier().fit(x, np.zeros(len(x)))
    with pytest.raises(sklearn.exceptions.NotFittedError):
        elman.SequenceClassifier().predict(np.zeros((1, 1, 5)))


def test_aeons_own_checks():
    checks = pytest.importorskip("aeon.testing.estimator_checking")
    import elman.aeon

    for estimator in (elman.aeon.SequenceClassifier, elman.aeon.SequenceRegressor):
        found = checks.check_estimator(estimator, raise_exceptions=True)
        assert found
