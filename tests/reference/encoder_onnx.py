"""Small ONNX encoders and what they make of a picture: tests/reference/encoder/*.onnx and encoder.json.

`tiny.onnx`: a 3x3 convolution of stride 2 to 4 channels, ReLU, and its mean; outputs `pooled` [N, 4] and `map` [N, 4, 4, 4]
of an `image` f32 [N, 3, 8, 8]; metadata with another mean and deviation for each channel. `other.onnx`: the same with other
weights and 5 channels. `bytes.onnx`: wants u8. `flat.onnx`: wants [N, 192]. The weights are sines; the reference is numpy.

The picture is 8 x 8: red 31 x, green 29 y, blue 17 (x + y) mod 256.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).parent / "encoder"
MEAN, STD = [100.0, 110.0, 120.0], [50.0, 60.0, 70.0]


def sines(first, *dims):
    n = int(np.prod(dims))
    return (0.5 * np.sin(np.arange(first, first + n) * 1.7)).astype(np.float32).reshape(dims)


def save(name, nodes, inputs, outputs, tensors):
    values = lambda those: [helper.make_tensor_value_info(n, t, d) for n, t, d in those]
    graph = helper.make_graph(
        nodes, name, values(inputs), values(outputs), [numpy_helper.from_array(x, n) for n, x in tensors.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    words = lambda numbers: " ".join(f"{x:g}" for x in numbers)
    helper.set_model_props(model, {"image.mean": words(MEAN), "image.std": words(STD), "image.channels": "RGB"})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, FOLDER / f"{name}.onnx")


def encoder(name, channels, first):
    w, b = sines(first, channels, 3, 3, 3), sines(first + 500, channels)
    nodes = [
        helper.make_node("Conv", ["image", "w", "b"], ["conv"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]),
        helper.make_node("Relu", ["conv"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled_4d"]),
        helper.make_node("Flatten", ["pooled_4d"], ["pooled"], axis=1),
    ]
    f = TensorProto.FLOAT
    outputs = [("pooled", f, ["N", channels]), ("map", f, ["N", channels, 4, 4])]
    save(name, nodes, [("image", f, ["N", 3, 8, 8])], outputs, {"w": w, "b": b})
    return w, b


def by_hand(picture, w, b):
    x = (picture - np.array(MEAN)) / np.array(STD)
    x = np.pad(x.transpose(2, 0, 1), ((0, 0), (0, 1), (0, 1)))
    y = [[(w * x[None, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]).sum((1, 2, 3)) + b for j in range(4)] for i in range(4)]
    return np.maximum(np.array(y), 0)  # [4, 4, C]


def main():
    FOLDER.mkdir(exist_ok=True)
    w, b = encoder("tiny", 4, 0)
    encoder("other", 5, 40)
    f = TensorProto.FLOAT
    cast = helper.make_node("Cast", ["image"], ["pooled"], to=f)
    save("bytes", [cast], [("image", TensorProto.UINT8, ["N", 3, 8, 8])], [("pooled", f, ["N", 3, 8, 8])], {})
    save("flat", [helper.make_node("Relu", ["image"], ["pooled"])], [("image", f, ["N", 192])], [("pooled", f, ["N", 192])], {})
    y, x = np.mgrid[0:8, 0:8]
    picture = np.stack([31 * x, 29 * y, 17 * (x + y)], -1) % 256
    found = by_hand(picture.astype(np.float64), w.astype(np.float64), b.astype(np.float64))
    given = ((picture - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)
    session = onnxruntime.InferenceSession(str(FOLDER / "tiny.onnx"))
    pooled, fmap = session.run(["pooled", "map"], {"image": given})
    assert np.abs(fmap[0].transpose(1, 2, 0) - found).max() < 1e-5 and np.abs(pooled[0] - found.mean((0, 1))).max() < 1e-5
    recorded = {"pooled": found.mean((0, 1)).tolist(), "map": found.reshape(16, -1).tolist()}
    (FOLDER.parent / "encoder.json").write_text(json.dumps(recorded) + "\n")


if __name__ == "__main__":
    main()
