"""Writes the node cases of the ONNX suite as folders that `compare` runs.

    pip install onnx                                            # 1.23.2
    python tests/reference/onnx_nodes.py /tmp/onnx-nodes
    cargo run --release -p elman-graph --example compare -- --rtol 1e-3 --atol 1e-7 /tmp/onnx-nodes/*/

Cases whose inputs or outputs are no plain arrays (sequences, optionals, text, maps) are left out and counted.
"""

import os
import sys
import warnings

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases

warnings.filterwarnings("ignore")
NUMBERS = set("f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1".split())
READ = set("""LSTM GRU RNN Scan Loop If Add Sub Mul Div Pow Sqrt MatMul Gemm Conv ConvTranspose Einsum Sigmoid Tanh Relu
PRelu BatchNormalization ReduceMean ReduceMax ReduceMin ReduceSum ReduceProd ReduceL1 ReduceL2 ReduceSumSquare
ReduceLogSum ReduceLogSumExp Gather Slice Split Concat Reshape Transpose Squeeze Unsqueeze Expand Pad ScatterND Range
Where Shape Size Constant ConstantOfShape Cast Identity Equal Not And Or Xor Greater Less GreaterOrEqual LessOrEqual
Log Neg Exp Softmax LogSoftmax LeakyRelu Elu Selu HardSigmoid HardSwish ThresholdedRelu Gelu Swish Clip Min Max Sum Mod
Abs Floor Ceil Round Sign Reciprocal Erf Sin Cos IsNaN Softplus Softsign GlobalAveragePool GlobalMaxPool MaxPool
AveragePool LayerNormalization InstanceNormalization ArgMax ArgMin Tile Flatten GatherElements CumSum Dropout
ReverseSequence TopK QuantizeLinear DequantizeLinear DynamicQuantizeLinear MatMulInteger ConvInteger QLinearMatMul
QLinearConv""".split())


def main(folder):
    written = skipped = 0
    for case in collect_testcases():
        nodes = case.model.graph.node
        if case.model is None or not {n.op_type for n in nodes} <= READ or any(n.domain for n in nodes):
            continue
        inputs, outputs = case.data_sets[0]
        if not all(isinstance(x, np.ndarray) and x.dtype.str[1:] in NUMBERS for x in [*inputs, *outputs]):
            skipped += 1
            continue
        to = os.path.join(folder, case.name)
        os.makedirs(to, exist_ok=True)
        onnx.save(case.model, os.path.join(to, "model.onnx"))
        for kind, arrays in ("input", inputs), ("output", outputs):
            for i, array in enumerate(arrays):
                np.save(os.path.join(to, f"{kind}_{i}.npy"), array)
        written += 1
    print(f"{written} cases written, {skipped} left out")


main(sys.argv[1])
