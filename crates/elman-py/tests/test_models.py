"""Models: opened, asked, evaluated, saved, closed."""

import gc
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import elman
import numpy as np
import pytest


def test_a_classifier_predicts_what_it_was_taught(table, table_model):
    x, y = table
    assert table_model.task == "classify" and table_model.labels == ["left", "right"]
    assert (table_model.predict(x) == y).mean() > 0.9
    p = table_model.predict_proba(x[:5])
    assert p.shape == (5, 2) and np.allclose(p.sum(axis=1), 1)
    first = table_model.predictions(x[:1])[0]
    assert first.label == table_model.predict(x[:1])[0] and first.probability == pytest.approx(p[0].max())
    assert "labels" in table_model.describe()


def test_an_evaluation_measures_as_counting_does(table, table_model):
    x, y = table
    found = table_model.evaluate((x, y))
    assert found["accuracy"] == pytest.approx((table_model.predict(x) == y).mean())
    assert found.examples == (200, "examples") and found.confusion is not None
    assert "accuracy" in repr(found) and "<table>" in found._repr_html_()
    with pytest.raises(ValueError, match="name the data"):
        table_model.evaluate()


def test_a_model_is_the_same_from_its_file_its_bytes_and_its_pickle(table, table_model, tmp_path):
    x, _ = table
    path = tmp_path / "model.safetensors"
    table_model.save(path)
    want = table_model.predict_proba(x)
    copies = [elman.open(path), elman.Model.from_bytes(table_model.to_bytes()), pickle.loads(pickle.dumps(table_model))]
    for copy in copies:
        assert (copy.predict_proba(x) == want).all()


def test_frames_and_dictionaries_are_read_by_the_names_of_their_columns(table, table_model):
    x, _ = table
    want = table_model.predict_proba(x)
    records = [{"x3": c, "x1": a, "x2": b} for a, b, c in x.tolist()]
    assert np.allclose(table_model.predict_proba(records), want)
    for name in ("pandas", "polars"):
        frames = pytest.importorskip(name)
        frame = frames.DataFrame({"x2": x[:, 1], "x1": x[:, 0], "x3": x[:, 2]})
        assert np.allclose(table_model.predict_proba(frame), want)


def test_read_only_strided_and_float32_arrays_are_read(table, table_model):
    x, _ = table
    want = table_model.predict_proba(x)
    wide = np.zeros((200, 6))
    wide[:, ::2] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    for array in (wide[:, ::2], frozen, np.asfortranarray(x)):
        assert (table_model.predict_proba(array) == want).all()
    assert np.allclose(table_model.predict_proba(x.astype(np.float32)), want, atol=1e-5)


def test_what_cannot_be_read_is_said_with_its_place(table_model):
    with pytest.raises(ValueError, match=r"data\[1, 2\] is infinite"):
        table_model.predict([[0, 0, 0], [0, 0, np.inf]])
    with pytest.raises(ValueError, match="4 columns, but the model reads 3"):
        table_model.predict(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="has dimensions"):
        table_model.predict(np.zeros(3))
    with pytest.raises(TypeError, match="no option `beems`"):
        table_model.predict(np.zeros((1, 3)), beems=3)
    with pytest.raises(ValueError, match="beam"):
        table_model.predict(np.zeros((1, 3)), beam=3)
    with pytest.raises(ValueError, match="does not answer step by step"):
        table_model.stream()
    with pytest.raises(ValueError, match="does not go on from a prompt"):
        table_model.sample("a")


def test_missing_files_and_damaged_ones_are_exceptions_of_their_kind(table_model, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        elman.open(tmp_path / "nothing")
    whole = table_model.to_bytes()
    for cut in (0, 7, 100, len(whole) - 1):
        path = tmp_path / "cut.safetensors"
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="cut"):
            elman.open(path)
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    with pytest.raises(ValueError, match="damaged|checksum"):
        elman.Model.from_bytes(bytes(flipped))
    (tmp_path / "text.bin").write_text("not a model")
    with pytest.raises(ValueError, match="text.bin"):
        elman.open(tmp_path / "text.bin")


def test_a_closed_model_says_so(table_model):
    with elman.Model.from_bytes(table_model.to_bytes()) as model:
        model.predict(np.zeros((1, 3)))
    assert repr(model) == "<elman.Model, closed>"
    for use in (lambda: model.predict(np.zeros((1, 3))), lambda: model.task, model.to_bytes, model.stream):
        with pytest.raises(ValueError, match="the model is closed"):
            use()


def test_texts_are_classified_with_their_words_explained():
    texts, labels = ["a good film", "a bad film", "good", "bad one"] * 20, ["pos", "neg", "pos", "neg"] * 20
    model = elman.train("classify-text", (texts, labels), max_steps=80, threads=1).model
    assert model.predict("a good one") == "pos" and list(model.predict(["bad", "good"])) == ["neg", "pos"]
    words = dict(model.predictions(["a good film"], explain=True)[0].words)
    assert max(words, key=words.get) == "good"
    with pytest.raises(ValueError, match=r"data\[1\]: the text is empty"):
        model.predict(["good", " "])
    with pytest.raises(ValueError, match=r"data\[0\] is a int; texts"):
        model.predict([1])


def test_texts_may_have_several_labels():
    texts = ["good and cheap", "good", "cheap", "neither here nor there"] * 25
    labels = [["praise", "price"], ["praise"], ["price"], []] * 25
    model = elman.train("classify-text", (texts, labels), max_steps=150, threads=1).model
    assert model.predict("good") == ["praise"] and sorted(model.predict("cheap and good")) == ["praise", "price"]
    assert model.predict_proba(["good"]).shape == (1, 2) and model.predictions(["good"])[0].labels == ["praise"]


def test_series_of_any_length_are_classified(rng):
    x = [rng.normal(size=(int(n), 2)) + i % 2 for i, n in enumerate(rng.integers(5, 20, size=80))]
    model = elman.train("classify-sequence", (x, [i % 2 for i in range(80)]), max_steps=80, threads=1).model
    assert (model.predict(x).astype(int) == np.arange(80) % 2).mean() > 0.9
    one = np.array(x[0])
    assert (model.predict_proba(one[None]) == model.predict_proba([one])).all()
    with pytest.raises(ValueError, match=r"data\[1\] has 3 numbers at a step, but data\[0\] has 2"):
        model.predict([one, np.zeros((4, 3))])
    with pytest.raises(ValueError, match=r"data\[0\] has no steps"):
        model.predict([np.zeros((0, 2))])


def test_a_language_model_writes_the_same_with_the_same_seed(language_run):
    model = language_run.model
    text = model.sample("the ", length=20, seed=3)
    assert len(text) == 20 and text == model.sample("the ", length=20, seed=3) != model.sample("the ", length=20, seed=4)
    with pytest.raises(ValueError, match="Ü"):
        model.sample("Ü")
    with pytest.raises(TypeError, match="no option `lenght`"):
        model.sample("the", lenght=3)
    with pytest.raises(ValueError, match="temperature"):
        model.sample("the", temperature=-1.0)


def test_four_threads_ask_one_model(table, table_model):
    x, _ = table
    want = table_model.predict_proba(x)
    found = [None] * 4

    def ask(i):
        for _ in range(20):
            found[i] = table_model.predict_proba(x)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert all((one == want).all() for one in found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_predicts(table, table_model):
    x, _ = table
    want = table_model.predict_proba(x)
    child = os.fork()
    if child == 0:
        os._exit(0 if (table_model.predict_proba(x) == want).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
def test_a_thousand_models_opened_stepped_and_dropped_take_no_memory(language_run):
    path = language_run.folder / "best.safetensors"

    def cycle(count):
        for _ in range(count):
            model = elman.open(path)
            model.stream().step(0)
            del model
        gc.collect()

    cycle(200)
    before = resident()
    cycle(1000)
    assert resident() - before < 1 << 20


def test_importing_brings_nothing_else():
    code = "import sys, elman; print([m for m in ('numpy', 'torch', 'pandas', 'polars', 'sklearn', 'tqdm') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_every_name_is_there():
    for name in elman.__all__:
        if name not in (
            "ElmanClassifier",
            "ElmanRegressor",
            "FrameLabeler",
            "SequenceClassifier",
            "SequenceRegressor",
            "TextClassifier",
        ):
            assert getattr(elman, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = elman.nothing


def test_tasks_and_settings_are_listed():
    assert "translate" in elman.tasks()
    assert elman.settings("classify")["dropout"]["help"].startswith("Dropout probability")
    with pytest.raises(ValueError, match="must be one of"):
        elman.settings("nothing")
