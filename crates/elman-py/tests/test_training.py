"""Training: data of all forms, callbacks, interruption, history."""

import _thread
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import elman
import numpy as np
import pytest

# Without a second training on all data, which few examples would bring.
SHORT = {"max_steps": 20, "threads": 1, "refit": "no"}


def test_a_run_has_records_history_and_a_picture(language_run):
    assert language_run.ending == "complete" and language_run.records[-1]["step"] == 30
    assert language_run.best and language_run.samples
    assert "<svg" in language_run._repr_html_() and "language-model" in repr(language_run)
    pandas = pytest.importorskip("pandas")
    assert isinstance(language_run.history, pandas.DataFrame)
    assert {"step", "train_nats"} <= set(language_run.history.columns)


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(table):
    models = [elman.train("classify", table, max_steps=30, seed=7, threads=threads).model for threads in (1, 2)]
    x, _ = table
    assert (models[0].predict_proba(x) == models[1].predict_proba(x)).all()


def test_tables_as_arrays_frames_and_files_train_alike(table, tmp_path):
    x, y = table
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(x, columns=["x1", "x2", "x3"]).assign(label=y)
    path = tmp_path / "t.csv"
    frame.to_csv(path, index=False)
    forms = [
        (frame, {"label_column": "label"}),
        (path, {"label_column": "label"}),
        ((x, y), {}),
        (frame.to_dict("records"), {"label_column": "label"}),
    ]
    polars = pytest.importorskip("polars")
    forms.append((polars.DataFrame(frame.to_dict("list")), {"label_column": "label"}))
    found = [elman.train("classify", data, **how, **SHORT).model.predict_proba(x) for data, how in forms]
    assert all((one == found[0]).all() for one in found)


def test_words_and_missing_values_are_inputs(rng):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"colour": ["red", "blue"] * 60, "size": rng.normal(size=120)})
    frame.loc[::7, "size"] = np.nan
    model = elman.train("classify", (frame, ["warm", "cold"] * 60), max_steps=100, threads=1).model
    assert list(model.predict(frame[:2])) == ["warm", "cold"]
    rows = [["red", 0.1], ["blue", None]] * 60
    model = elman.train("classify", (rows, ["warm", "cold"] * 60), max_steps=100, threads=1).model
    assert list(model.predict(rows[:2])) == ["warm", "cold"]


def test_regression_validation_data_and_pairs(rng):
    x = rng.normal(size=(150, 2))
    run = elman.train("regress", (x[:100], x[:100, 0]), val=(x[100:], x[100:, 0]), max_steps=200, threads=1)
    assert np.corrcoef(run.model.predict(x), x[:, 0])[0, 1] > 0.9
    pairs = [("a b c", "c b a"), ("b a", "a b"), ("c a", "a c")] * 20
    model = elman.train("translate", pairs, hidden=16, embedding=8, units="word", max_steps=10, threads=1).model
    assert isinstance(model.predict("a b"), str)
    best = model.predictions(["a b"], nbest=2, beam=3)[0]
    assert len(best.nbest) == 2 and best.text == best.nbest[0][0]


def test_data_that_contradict_themselves_are_refused_with_their_place(table, tmp_path):
    x, y = table
    cases = [
        (("classify", (x, y[:-1])), ValueError, "y has 199 labels, but there are 200"),
        (("classify", (x[0], y)), ValueError, "has dimensions"),
        (("classify", x), TypeError, "not a ndarray"),
        (("classify", (np.where(x > 2, np.inf, x), y)), ValueError, "is infinite"),
        (("classify-text", (["a", 3], ["x", "y"])), ValueError, r"X\[1\] is a int"),
        (("classify-sequence", ([], [])), ValueError, "X is empty"),
        (("classify-sequence", ([np.zeros((3, 2)), np.zeros((3, 1))], [0, 1])), ValueError, r"X\[1\] has 1 numbers"),
        (("classify-frames", ([np.zeros((3, 2))], [[0, 1]])), ValueError, r"y\[0\] has 2 labels"),
        (("nothing",), ValueError, "must be one of"),
        (("classify", "no/such/file.csv"), FileNotFoundError, "no such file"),
    ]
    for arguments, error, words in cases:
        with pytest.raises(error, match=words):
            elman.train(*arguments, out=tmp_path / "refused", **SHORT)
        assert not (tmp_path / "refused").exists()


def test_settings_that_are_none_are_refused():
    with pytest.raises(TypeError, match="did you mean `hidden`"):
        elman.train("language-model", ["a b"], hiden=3)
    with pytest.raises(ValueError, match="lr -1"):
        elman.train("language-model", ["abc" * 100], lr=-1)
    with pytest.raises(ValueError, match="only .* read"):
        elman.train("classify", hidden=3)
    with pytest.raises(TypeError, match="`lr` is a object"):
        elman.train("classify", lr=object())


def test_callbacks_hear_every_record_and_stop_the_run(table):
    heard = []
    run = elman.train("classify", table, callbacks=[heard.append], log_every=5, **SHORT)
    assert heard == run.records and [record["step"] for record in heard][-1] == 20

    def enough(record):
        return record["step"] < 10

    run = elman.train("classify", table, callbacks=[enough], log_every=5, **SHORT)
    # Exactly there: the run waits for what its callbacks say.
    assert run.ending == "stopped" and run.records[-1]["step"] == 10
    run.model.predict(table[0])

    def fails(record):
        raise LookupError("of the callback")

    with pytest.raises(LookupError, match="of the callback"):
        elman.train("classify", table, callbacks=[fails], log_every=5, **SHORT)


def test_a_run_goes_on_as_if_it_had_not_been_stopped(table, tmp_path):
    whole = elman.train("classify", table, out=tmp_path / "whole", log_every=5, **SHORT)
    part = elman.train("classify", table, out=tmp_path / "part", log_every=5, callbacks=[lambda r: r["step"] < 10], **SHORT)
    again = part.resume()
    assert again.ending == "complete"
    clock = ("targets_per_s", "elapsed_s", "saving_s", "unix_time")
    plain = [[{k: v for k, v in r.items() if k not in clock} for r in run.records] for run in (whole, again)]
    assert plain[0] == plain[1]
    longer = elman.resume(tmp_path / "whole", max_steps=30)
    assert longer.records[-1]["step"] == 30
    with pytest.raises(ValueError, match="already holds a run"):
        elman.train("classify", table, out=tmp_path / "whole", **SHORT)
    with pytest.raises(ValueError, match="cannot be changed"):
        elman.resume(tmp_path / "whole", dropout=0.1)


def test_an_interrupted_run_is_saved_and_returned_within_a_second(table):
    began = []

    def interrupt(record):
        if not began:
            began.append(time.monotonic())
            threading.Timer(0.2, _thread.interrupt_main).start()

    run = elman.train("classify", table, callbacks=[interrupt], log_every=5, max_steps=10**9, epochs=0, threads=1)
    # The bar is 1 s after the interrupt; a machine that is busy gets more.
    assert time.monotonic() - began[0] < 10
    assert run.ending == "interrupted" and run.model.predict(table[0]) is not None


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_saves_and_the_program_goes_on(tmp_path):
    code = textwrap.dedent(
        f"""
        import elman, json
        run = elman.train("language-model", out={str(tmp_path / "run")!r}, hidden=32, max_steps=10**9, threads=1,
                          log_every=2, callbacks=[lambda r: print("record", flush=True)])
        print(json.dumps([run.ending, run.records[-1]["step"]]))
        """
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "record\n"
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    last = process.stdout.read().strip().splitlines()[-1]
    assert process.wait() == 0
    # A bar of 1 s, with room for a busy machine.
    assert time.monotonic() - began < 15
    ending, step = json.loads(last)
    assert ending == "interrupted" and step > 0
    assert elman.resume(tmp_path / "run", max_steps=step + 40).ending == "complete"


def test_training_releases_the_lock(table):
    ticks = []
    thread = threading.Thread(target=lambda: elman.train("classify", table, max_steps=1500, threads=1))
    thread.start()
    while thread.is_alive():
        ticks.append(time.monotonic())
        time.sleep(0.001)
    thread.join()
    assert len(ticks) > 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_trains_after_its_parent_has(table):
    settings = {**SHORT, "threads": 2}
    want = elman.train("classify", table, **settings).model.predict_proba(table[0])
    child = os.fork()
    if child == 0:
        found = elman.train("classify", table, **settings).model.predict_proba(table[0])
        os._exit(0 if (found == want).all() else 1)
    for _ in range(600):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.1)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise AssertionError("the child hangs")
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_temporary_run_goes_with_its_object(table):
    run = elman.train("classify", table, **SHORT)
    folder, model = run.folder, run.model
    assert folder.exists()
    del run
    assert not folder.exists()
    model.predict(table[0])


def test_a_run_that_diverges_is_named():
    with pytest.warns(RuntimeWarning, match="diverged"), pytest.raises(elman.DivergedError, match="diverged"):
        elman.train(
            "language-model",
            ["abcdefgh" * 200],
            optimizer="sgd",
            lr=1e30,
            clip_norm=0.0,
            hidden=16,
            max_steps=200,
            batch=4,
            seq_len=16,
            threads=1,
            cell="rnn-relu",
            warmup=0,
        )


def test_a_bar_is_shown_where_it_is_wanted(table, capsys):
    pytest.importorskip("tqdm")
    elman.train("classify", table, progress=True, **SHORT)
    assert "%" in capsys.readouterr().err
    elman.train("classify", table, progress=False, **SHORT)
    assert capsys.readouterr().err == ""
