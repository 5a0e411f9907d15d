"""Streams: steps, states, batches of streams, networks made elsewhere."""

import threading

import elman
import numpy as np
import pytest


@pytest.fixture(scope="module")
def network(frames_model):
    return frames_model.network()


def test_a_language_model_steps_tokens_and_texts_alike(language_run):
    model = language_run.model
    one, other = model.stream(), model.stream()
    logits = one.step("the")
    for letter in "the":
        found = other.step(letter)
    assert (found == logits).all() and logits.dtype == np.float32
    # The state is restored.
    state = one.state
    after = one.step("a")
    one.state = state
    assert (one.step("a") == after).all()
    one.reset()
    assert (one.step("the") == logits).all()
    out = np.empty_like(logits)
    one.reset()
    assert one.step("the", out=out) is out and (out == logits).all()


def test_streams_side_by_side_are_the_single_ones(language_run):
    model = language_run.model
    many = model.stream(3)
    many.step([0, 1, 2])
    many.reset(1)
    found = many.step(np.array([3, 3, 3]))
    for row, tokens in enumerate(([0, 3], [3], [2, 3])):
        one = model.stream()
        for token in tokens:
            want = one.step(token)
        assert np.allclose(found[row], want, atol=1e-5)


def test_tokens_that_are_none_are_refused(language_run):
    stream = language_run.model.stream()
    for x, error in (
        (-1, TypeError),
        (10**6, ValueError),
        ("Ü", ValueError),
        (1.5, TypeError),
        (None, TypeError),
        ("", ValueError),
    ):
        with pytest.raises(error):
            stream.step(x)
    with pytest.raises(ValueError, match="no stream 3"):
        stream.reset(3)
    for rows in (0, 10**9):
        with pytest.raises(ValueError, match="rows is"):
            language_run.model.stream(rows)


def test_a_stream_of_rows_is_the_prediction_of_the_whole(frames, frames_model):
    x, _ = frames
    whole = frames_model.predict_proba([x[0]])[0]
    stream = frames_model.stream()
    assert stream.input_width == 2 and stream.output_width == 2
    for row, want in zip(x[0], whole, strict=True):
        assert np.allclose(stream.step(row), want, atol=1e-6)
    stream.reset()
    assert np.allclose(stream.step(x[0][0]), whole[0], atol=1e-6)
    two = frames_model.stream(2)
    found = two.step(np.stack([x[0][0], x[1][0]]))
    assert np.allclose(found[0], whole[0], atol=1e-6)
    with pytest.raises(ValueError, match="cannot be copied"):
        _ = two.state


def test_a_network_alone_runs_whole_and_in_steps(network, rng):
    (name,) = network.inputs
    width = int(network.inputs[name][1][-1])
    x = rng.normal(size=(7, width)).astype(np.float32)
    whole = network(x)
    stream = network.stream()
    for row, want in zip(x, whole, strict=True):
        assert np.allclose(stream.step(row), want, atol=1e-5)
    many = network.stream(2)
    found = many.step(np.stack([x[0], x[1]]))
    assert found.shape == (2, whole.shape[1]) and np.allclose(found[0], whole[0], atol=1e-5)
    assert "input" in network.describe() and "weights" in repr(network)


def test_inputs_of_a_step_are_checked(network):
    stream = network.stream()
    width = stream.input_width
    with pytest.raises(ValueError, match="is read"):
        stream.step(np.zeros(width + 1, np.float32))
    with pytest.raises(TypeError, match="array of int64; an array of float32 or float64 is read"):
        stream.step(np.zeros(width, np.int64))
    with pytest.raises(TypeError, match="a dict"):
        stream.step({})
    bad = np.zeros(width, np.float32)
    bad[1] = np.nan
    with pytest.raises(ValueError, match="x holds NaN at element 1"):
        stream.step(bad)
    with pytest.raises(ValueError, match="out is"):
        stream.step(np.zeros(width, np.float32), out=np.zeros(width + 100, np.float32))
    with pytest.raises(TypeError, match="out is an array of float64"):
        stream.step(np.zeros(width, np.float32), out=np.zeros(stream.output_width))
    frozen = np.zeros(stream.output_width, np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="out"):
        stream.step(np.zeros(width, np.float32), out=frozen)


def test_read_only_strided_and_double_inputs_step_alike(network, rng):
    width = network.stream().input_width
    x = rng.normal(size=width).astype(np.float32)
    want = network.stream().step(x)
    wide = np.zeros(2 * width, np.float32)
    wide[::2] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    for array in (wide[::2], frozen, x.astype(np.float64), x.tolist(), x[None]):
        assert (network.stream().step(array) == want).all()


def test_networks_of_other_files_are_saved_and_opened(network, rng, tmp_path):
    path = tmp_path / "network.safetensors"
    network.save(path)
    again = elman.open(path)
    assert isinstance(again, elman.Network)
    x = rng.normal(size=(4, network.stream().input_width)).astype(np.float32)
    assert np.allclose(again(x), network(x))
    with pytest.raises(KeyError, match="no input"):
        network(nothing=x)
    with pytest.raises(KeyError, match="not given"):
        network()
    with pytest.raises(TypeError, match="complex64"):
        network(x.astype(np.complex64))


def test_one_stream_is_stepped_by_one_thread_at_a_time_and_many_by_many(language_run):
    model = language_run.model
    want = [model.stream().step(token).copy() for token in range(4)]
    failed = []

    def run(token):
        stream = model.stream()
        for _ in range(200):
            stream.reset()
            if not (stream.step(token) == want[token]).all():
                failed.append(token)

    threads = [threading.Thread(target=run, args=(token,)) for token in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failed
