"""Keras models of every kind that Elman reads, with random weights and what Keras makes of an input.

    KERAS_BACKEND=jax python graph_keras.py FOLDER

Keras 3.15.1, jax 0.8, h5py, numpy; seed 19. Each case is a folder: model.keras, model.h5, model.weights.h5, input.npy,
output_0.npy (and further outputs), and want.json: which files, which answers to questions, right or refused.
`cargo test -p elman-graph --test all generated` reads them where ELMAN_GENERATED names FOLDER.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
import h5py
import keras
import numpy as np
from keras import layers as L

root = Path(sys.argv[1])
rng = np.random.default_rng(19)
FILES = ["model.keras", "model.h5", "model.weights.h5"]
count = 0


def randomize(model, scale=0.4):
    for weight in model.weights:
        if "seed_generator" in weight.path:
            continue
        values = rng.normal(0, scale, weight.shape)
        if "variance" in weight.path:
            values = np.abs(values) + 0.3
        weight.assign(values.astype("float32"))


def case(name, model, x, files=FILES, answers=None, expect="right"):
    global count
    folder = root / f"keras-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    randomize(model)
    y = model.predict(x, verbose=0)
    for at, output in enumerate(y if isinstance(y, (list, tuple)) else [y]):
        np.save(folder / f"output_{at}.npy", np.asarray(output))
    inputs = x if isinstance(x, list) else [x]
    for at, value in enumerate(inputs):
        np.save(folder / ("input.npy" if at == 0 else f"input_{at}.npy"), value)
    for file in files:
        if file == "model.weights.h5":
            model.save_weights(folder / file)
        else:
            model.save(folder / file)
    (folder / "want.json").write_text(json.dumps({"files": files, "answers": answers or {}, "expect": expect}))
    count += 1
    return folder


def numbers(*shape):
    return rng.normal(0, 1, shape).astype("float32")


def sequential(name, *stack, shape=(None, 5), x=None, **more):
    model = keras.Sequential([L.Input(shape), *stack])
    if x is None:
        x = numbers(2, 9, shape[-1])
    case(name, model, x, **more)


def tokens(name, *stack, length=9, vocabulary=11, padded=False, **more):
    x = rng.integers(1, vocabulary, (3, length))
    if padded:
        x[0, :4] = 0
        x[1, -3:] = 0
    model = keras.Sequential([L.Input((length,), dtype="int32"), *stack])
    case(name, model, x.astype("int32"), **more)


def functional(name, build, shape=(None, 5), x=None, **more):
    inputs = L.Input(shape)
    model = keras.Model(inputs, build(inputs))
    case(name, model, numbers(2, 9, shape[-1]) if x is None else x, **more)


CELLS = {
    "lstm": lambda **k: L.LSTM(6, **k),
    "gru": lambda **k: L.GRU(6, **k),
    "gru-before": lambda **k: L.GRU(6, reset_after=False, **k),
    "rnn": lambda **k: L.SimpleRNN(6, **k),
}
for cell, make in CELLS.items():
    for sequences in (False, True):
        tag = "all" if sequences else "last"
        sequential(f"{cell}-{tag}", make(return_sequences=sequences))
        sequential(f"{cell}-{tag}-nobias", make(return_sequences=sequences, use_bias=False), L.Dense(3, use_bias=False))
        sequential(f"{cell}-{tag}-backwards", make(return_sequences=sequences, go_backwards=True))
        tokens(f"{cell}-{tag}-masked", L.Embedding(11, 5, mask_zero=True), make(return_sequences=sequences), padded=True)
        for mode in ("concat", "sum", "mul", "ave"):
            sequential(f"{cell}-{tag}-bi-{mode}", L.Bidirectional(make(return_sequences=sequences), merge_mode=mode))
    sequential(f"{cell}-stack", make(return_sequences=True, dropout=0.2), L.Dropout(0.5), make(return_sequences=True), make(), L.Dense(2, activation="softmax"))
    tokens(f"{cell}-bi-masked", L.Embedding(11, 5, mask_zero=True), L.Bidirectional(make(return_sequences=True)), L.Bidirectional(make()), L.Dense(2), padded=True)
    for act in ("relu", "sigmoid", "elu", "softsign", "hard_sigmoid", "linear", "softplus", "selu", "silu", "gelu", "exponential"):
        gates = {} if cell == "rnn" else {"recurrent_activation": "hard_sigmoid" if act == "relu" else "sigmoid"}
        if act in ("exponential", "relu", "linear", "softplus", "selu", "silu", "gelu", "elu"):
            # Unbounded: few steps.
            sequential(f"{cell}-{act}", make(activation=act, return_sequences=True, **gates), x=0.3 * numbers(2, 4, 5))
        else:
            sequential(f"{cell}-{act}", make(activation=act, return_sequences=True, **gates))

x = numbers(2, 9, 5)
x[0, 2:5] = 0
x[1, 7:] = 0
sequential("masking", L.Masking(), L.LSTM(4, return_sequences=True), L.GRU(3), x=x)
sequential("masking-value", L.Masking(mask_value=0.5), L.SimpleRNN(4), x=np.where(x == 0, 0.5, x).astype("float32"))
sequential("masking-dense-mean", L.Masking(), L.Dense(4, activation="tanh"), L.GlobalAveragePooling1D(), L.Dense(2), x=x)
sequential("masking-lstm-mean", L.Masking(), L.LSTM(4, return_sequences=True), L.GlobalAveragePooling1D(), x=x)
sequential("masking-lstm-max", L.Masking(), L.LSTM(4, return_sequences=True), L.GlobalMaxPooling1D(), x=x)
sequential("masking-zero-output", L.Masking(), L.LSTM(4, return_sequences=True, zero_output_for_mask=True), x=x)
functional("masking-functional", lambda i: L.Dense(2)(L.Bidirectional(L.GRU(3))(L.LSTM(4, return_sequences=True)(L.Masking()(i)))), x=x)
sequential("time-distributed", L.LSTM(4, return_sequences=True), L.TimeDistributed(L.Dense(3, activation="relu")), L.TimeDistributed(L.BatchNormalization()))
for padding in ("causal", "same", "valid"):
    for stride, dilation in ((1, 1), (2, 1), (1, 2)):
        sequential(f"conv-{padding}-{stride}-{dilation}", L.Conv1D(4, 3, padding=padding, strides=stride, dilation_rate=dilation, activation="relu"), L.LSTM(3))
sequential("conv-groups", L.Conv1D(8, 3, padding="causal", groups=2), L.GRU(3, return_sequences=True), shape=(None, 4))
sequential("conv-even-same", L.Conv1D(4, 4, padding="same", strides=2, use_bias=False), L.GRU(3, return_sequences=True))
for padding in ("same", "valid"):
    sequential(f"max-pool-{padding}", L.Conv1D(4, 3), L.MaxPooling1D(2, padding=padding), L.LSTM(3), x=numbers(2, 11, 5))
    sequential(f"average-pool-{padding}", L.Conv1D(4, 3), L.AveragePooling1D(3, strides=2, padding=padding), L.LSTM(3), x=numbers(2, 11, 5))
sequential("batch-norm", L.LSTM(4, return_sequences=True), L.BatchNormalization(), L.Dense(2))
sequential("batch-norm-plain", L.LSTM(4, return_sequences=True), L.BatchNormalization(center=False, scale=False, epsilon=1e-2), L.Dense(2))
sequential("batch-norm-first", L.BatchNormalization(scale=False), L.GRU(4))
sequential("layer-norm", L.GRU(4, return_sequences=True), L.LayerNormalization(epsilon=1e-5), L.Dense(2))
sequential("layer-norm-plain", L.GRU(4), L.LayerNormalization(center=False, scale=False), L.Dense(2))
sequential("activations", L.Dense(4), L.Activation("tanh"), L.LSTM(4, return_sequences=True), L.LeakyReLU(negative_slope=0.1), L.Dense(4), L.ELU(0.7), L.Dense(4), L.ReLU(max_value=1.5), L.Dense(4), L.Softmax())
sequential("prelu", L.Dense(4), L.PReLU(shared_axes=[1]), L.LSTM(4))
sequential("noise", L.GaussianNoise(0.1), L.SpatialDropout1D(0.3), L.LSTM(4, recurrent_dropout=0.2), L.Dropout(0.5), L.Dense(2))
sequential("repeat-vector", L.LSTM(4), L.RepeatVector(5), L.LSTM(3, return_sequences=True), L.TimeDistributed(L.Dense(2)))
sequential("flatten", L.LSTM(4, return_sequences=True), L.Flatten(), L.Dense(2), shape=(9, 5))
sequential("reshape", L.LSTM(6), L.Reshape((3, 2)), L.GRU(2, return_sequences=True), shape=(9, 5))
sequential("permute", L.Permute((2, 1)), L.LSTM(4), shape=(9, 5))
sequential("dense-only", L.Dense(4, activation="relu"), L.Dense(2, activation="sigmoid"))
sequential("stateful-flag", L.LSTM(4, return_sequences=True), L.Dense(1))
tokens("charlm", L.Embedding(11, 6), L.LSTM(8, return_sequences=True), L.LSTM(8, return_sequences=True), L.Dense(11, activation="softmax"))
tokens("sentiment", L.Embedding(11, 6, mask_zero=True), L.Bidirectional(L.LSTM(5)), L.Dense(4, activation="relu"), L.Dense(1, activation="sigmoid"), padded=True)
tokens("embedding-mean", L.Embedding(11, 6, mask_zero=True), L.GlobalAveragePooling1D(), L.Dense(1), padded=True)
for merge in ("Add", "Multiply", "Average", "Subtract", "Maximum", "Minimum", "Concatenate"):
    functional(f"merge-{merge.lower()}", lambda i, m=merge: L.Dense(2)(getattr(L, m)()([L.LSTM(4, return_sequences=True)(i), L.GRU(4, return_sequences=True)(i)])))
functional("concat-time", lambda i: L.LSTM(3)(L.Concatenate(axis=1)([i, L.Dense(5)(i)])))
functional("residual", lambda i: L.Add()([L.Dense(5)(L.LSTM(4, return_sequences=True)(i)), i]))
functional("operators", lambda i: L.Dense(5)(L.LSTM(4, return_sequences=True)(i)) * 0.5 + i - 1.0)
functional("slices", lambda i: L.Dense(2)(L.LSTM(4, return_sequences=True)(i)[:, -1]))
functional("slices-features", lambda i: L.LSTM(4, return_sequences=True)(i)[:, 1:, :3])
functional("two-outputs", lambda i: [L.Dense(2)(L.LSTM(4)(i)), L.GRU(3, return_sequences=True)(i)])


def encoder_decoder(cell):
    def build(i):
        out = cell(4, return_sequences=True, return_state=True)(i)
        return L.Dense(2)(cell(4, return_sequences=True)(out[0], initial_state=list(out[1:])))

    return build


for cell in (L.LSTM, L.GRU, L.SimpleRNN):
    functional(f"states-{cell.__name__.lower()}", encoder_decoder(cell))


def bidirectional_states(i):
    y, *states = L.Bidirectional(L.LSTM(3, return_sequences=True, return_state=True))(i)
    return L.Concatenate()([*states, L.GlobalMaxPooling1D()(y)])


functional("states-bidirectional", bidirectional_states)

# What must be refused, by name.
sequential("refuse-separable", L.SeparableConv1D(4, 3), L.LSTM(3), expect="refused")
sequential("refuse-conv-lstm", L.Reshape((9, 5, 1)), L.ConvLSTM1D(2, 3), shape=(9, 5), expect="refused")
sequential("refuse-upsampling", L.UpSampling1D(2), L.LSTM(3), expect="refused")
sequential("refuse-nested", keras.Sequential([L.LSTM(3)]), L.Dense(2), expect="refused")
functional("refuse-attention", lambda i: L.Attention()([L.LSTM(4, return_sequences=True)(i)] * 2), expect="refused")
functional("refuse-heads", lambda i: L.MultiHeadAttention(2, 4)(i, i), expect="refused")
functional("refuse-dot", lambda i: L.Dot(axes=1)([L.LSTM(4)(i), L.GRU(4)(i)]), expect="refused")
functional("refuse-lambda", lambda i: L.Lambda(lambda x: x * 2)(L.LSTM(4)(i)), files=["model.keras", "model.h5"], expect="refused")
shared = L.LSTM(4)
functional("refuse-shared", lambda i: L.Add()([shared(i), shared(L.Dense(5)(i))]), expect="refused")


# Files of Keras 1 and 2, written by hand from weights of Keras 3: no such Keras runs beside it.
def old(name, version, layer_config, model, x, weights, answers=None, expect="right", bare=False):
    """`weights`: per layer its name and a list of (name, array)."""
    global count
    folder = root / f"keras-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "input.npy", x)
    np.save(folder / "output_0.npy", model.predict(x, verbose=0))
    with h5py.File(folder / "model.h5", "w") as file:
        config = {"class_name": "Sequential", "config": layer_config if bare else {"name": "sequential_1", "layers": layer_config}}
        file.attrs["model_config"] = np.bytes_(json.dumps(config))
        if version:
            file.attrs["keras_version"] = np.bytes_(version)
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [np.bytes_(layer) for layer, _ in weights]
        for layer, list_ in weights:
            inner = group.create_group(layer)
            inner.attrs["weight_names"] = [np.bytes_(weight) for weight, _ in list_]
            for weight, value in list_:
                inner.create_dataset(weight, data=value)
    (folder / "want.json").write_text(json.dumps({"files": ["model.h5"], "answers": answers or {}, "expect": expect}))
    count += 1


def built(layer):
    model = keras.Sequential([L.Input((None, 5)), layer])
    randomize(model)
    return model, [w.numpy() for w in layer.weights]


def cudnn_kernels(kernel, recurrent, gates):
    """What Keras 2's convert_weights undoes."""
    kernel = np.hstack([k.reshape(k.shape[::-1], order="F").T if False else k.ravel(order="F").reshape(k.shape) for k in np.hsplit(kernel, gates)])
    recurrent = np.hstack([r.T for r in np.hsplit(recurrent, gates)])
    return kernel, recurrent


def from_cudnn(kernel, gates):
    """Keras 2.2: `transform_kernels(weights[0], transpose_input(from_cudnn), n_gates)`."""
    return np.hstack([k.T.reshape(k.shape, order="F") for k in np.hsplit(kernel, gates)])


base = {"batch_input_shape": [None, None, 5], "dtype": "float32", "return_sequences": True, "go_backwards": False, "stateful": False}
x = numbers(2, 7, 5)
model, (k, r, b) = built(L.LSTM(6, return_sequences=True))
ck, cr = cudnn_kernels(k, r, 4)
assert np.array_equal(from_cudnn(ck, 4), k)
half = numbers(24)
cudnn_bias = np.concatenate([half, b - half])
names = ("kernel:0", "recurrent_kernel:0", "bias:0")
plain = lambda kernel, recurrent, bias: [("l_1", list(zip([f"l_1/{n}" for n in names], (kernel, recurrent, bias))))]
lstm = {"name": "l_1", "units": 6, "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True, **base}
old("old-cudnn-lstm", "2.2.4", [{"class_name": "CuDNNLSTM", "config": {**base, "name": "l_1", "units": 6}}], model, x, plain(ck, cr, cudnn_bias))
old("old-cudnn-weights-in-lstm", "2.1.5", [{"class_name": "LSTM", "config": lstm}], model, x, plain(ck, cr, cudnn_bias), bare=True)
old("old-keras-2-lstm", "2.2.4", [{"class_name": "LSTM", "config": lstm}], model, x, plain(k, r, b))
gate = lambda a, n: np.split(a, n, axis=-1)
ki, kf, kc, ko = gate(k, 4)
ri, rf, rc, ro = gate(r, 4)
bi, bf, bc, bo = gate(b, 4)
twelve = [("l_1_W_i", ki), ("l_1_U_i", ri), ("l_1_b_i", bi), ("l_1_W_c", kc), ("l_1_U_c", rc), ("l_1_b_c", bc)]
twelve += [("l_1_W_f", kf), ("l_1_U_f", rf), ("l_1_b_f", bf), ("l_1_W_o", ko), ("l_1_U_o", ro), ("l_1_b_o", bo)]
keras_1 = {"name": "l_1", "output_dim": 6, "activation": "tanh", "inner_activation": "sigmoid", "input_dim": 5, **base}
old("old-keras-1-lstm", "1.2.2", [{"class_name": "LSTM", "config": keras_1}], model, x, [("l_1", twelve)], bare=True)
model, (k, r, b) = built(L.GRU(6, return_sequences=True))
ck, cr = cudnn_kernels(k, r, 3)
gru = {**lstm, "reset_after": True}
old("old-cudnn-gru", "2.2.4", [{"class_name": "CuDNNGRU", "config": {**base, "name": "l_1", "units": 6}}], model, x, plain(ck, cr, b.ravel()))
old("old-gru-after", "2.2.4", [{"class_name": "GRU", "config": gru}], model, x, plain(k, r, b))
old("old-gru-cudnn-by-rank", "2.2.4", [{"class_name": "GRU", "config": gru}], model, x, plain(ck, cr, b.ravel()))
old("old-gru-asks", "2.2.4", [{"class_name": "GRU", "config": lstm}], model, x, plain(k, r, b), expect="refused")
old("old-gru-told-after", "2.2.4", [{"class_name": "GRU", "config": lstm}], model, x, plain(k, r, b), answers={"gru": "reset-after"})
old("old-gru-told-cudnn", "2.2.4", [{"class_name": "GRU", "config": lstm}], model, x, plain(ck, cr, b), answers={"gru": "cudnn"})
old("old-gru-before-cudnn", "2.2.4", [{"class_name": "GRU", "config": {**lstm, "reset_after": False}}], model, x, plain(ck, cr, b.ravel()), expect="refused")
model, (k, r, b) = built(L.GRU(6, return_sequences=True, reset_after=False))
old("old-gru-before", "2.2.4", [{"class_name": "GRU", "config": lstm}], model, x, plain(k, r, b))
kz, kr, kh = gate(k, 3)
rz, rr, rh = gate(r, 3)
bz, br, bh = gate(b, 3)
nine = [("W_z", kz), ("U_z", rz), ("b_z", bz), ("W_r", kr), ("U_r", rr), ("b_r", br), ("W_h", kh), ("U_h", rh), ("b_h", bh)]
old("old-keras-1-gru", "1.2.2", [{"class_name": "GRU", "config": keras_1}], model, x, [("l_1", nine)], bare=True)
hard = keras.layers.Activation(lambda v: keras.ops.clip(0.2 * v + 0.5, 0, 1))
model, (k, r, b) = built(L.LSTM(6, return_sequences=True, recurrent_activation=lambda v: keras.ops.clip(0.2 * v + 0.5, 0, 1)))
hard = {**lstm, "recurrent_activation": "hard_sigmoid"}
old("old-hard-sigmoid", "2.2.4", [{"class_name": "LSTM", "config": hard}], model, x, plain(k, r, b))
old("old-hard-sigmoid-asks", None, [{"class_name": "LSTM", "config": hard}], model, x, plain(k, r, b), expect="refused")
old("old-hard-sigmoid-told", None, [{"class_name": "LSTM", "config": hard}], model, x, plain(k, r, b), answers={"hard-sigmoid": "keras-2"})
print(count, "cases")
