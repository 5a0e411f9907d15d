"""PyTorch state dicts of every kind that Elman reads, with random weights and what PyTorch makes of an input.

    python graph_torch.py FOLDER

PyTorch 1.13 (Debian's) or later, numpy; seed 19. Each case is a folder: model.pt (or model.safetensors), input.npy,
output_i.npy and want.json: which files, which answers to questions, right or refused.
`cargo test -p elman-graph --test all generated` reads them where ELMAN_GENERATED names FOLDER.
"""

import json
import struct
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import nn

root = Path(sys.argv[1])
torch.manual_seed(19)
count = 0


def write_safetensors(path, state):
    header, data = {}, b""
    names = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}
    for name, tensor in sorted(state.items()):
        tensor = tensor.detach().contiguous()
        raw = (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy().tobytes()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def case(name, state, x, outputs, answers=None, expect="right", legacy=False, safetensors=False, wrap=None):
    global count
    folder = root / f"torch-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "input.npy", x.numpy())
    for at, output in enumerate(outputs):
        np.save(folder / f"output_{at}.npy", output.detach().float().numpy())
    files = ["model.pt"]
    torch.save(wrap(state) if wrap else state, folder / "model.pt", _use_new_zipfile_serialization=not legacy)
    if safetensors:
        write_safetensors(folder / "model.safetensors", state)
        files.append("model.safetensors")
    (folder / "want.json").write_text(json.dumps({"files": files, "answers": answers or {}, "expect": expect}))
    count += 1


def scaled(module, scale=0.5):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, scale)
        for name, buffer in module.named_buffers():
            if "running_mean" in name:
                buffer.normal_(0, 0.5)
            if "running_var" in name:
                buffer.uniform_(0.3, 2)
    return module.eval()


def flat(output):
    y, states = output
    return [y, *(states if isinstance(states, tuple) else [states])]


CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
x = torch.randn(7, 3, 5)
for cell, make in CELLS.items():
    for layers in (1, 2, 3):
        for both in (False, True):
            for bias in (True, False):
                module = scaled(make(5, 6, layers, bias=bias, bidirectional=both))
                name = f"{cell}-{layers}{'-bi' if both else ''}{'' if bias else '-nobias'}"
                case(name, module.state_dict(), x, flat(module(x)), safetensors=True)
    module = scaled(make(5, 6, 2, batch_first=True, bidirectional=True))
    case(f"{cell}-batch-first", module.state_dict(), x, flat(module(x)), answers={"batch-first": "true"})
    module = scaled(make(5, 6, 2))
    with torch.no_grad():
        out = flat(module(x))
    case(f"{cell}-legacy", module.state_dict(), x, out, legacy=True)
    case(f"{cell}-module-prefix", OrderedDict(("module.rnn." + k, v) for k, v in module.state_dict().items()), x, out)
    case(f"{cell}-compiled-prefix", OrderedDict(("_orig_mod." + k, v) for k, v in module.state_dict().items()), x, out)
    for key in ("state_dict", "model", "model_state", "model_state_dict", "net"):
        case(f"{cell}-nested-{key}", module.state_dict(), x, out, wrap=lambda s, k=key: {"epoch": 3, k: s, "loss": 0.5, "args": {"lr": 1e-3}})
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        half = {k: v.to(dtype) for k, v in module.state_dict().items()}
        module.load_state_dict({k: v.float() for k, v in half.items()})
        case(f"{cell}-{str(dtype).split('.')[1]}", OrderedDict(half), x, flat(module(x)), safetensors=True)
for bias in (True, False):
    for both in (False, True):
        module = scaled(nn.LSTM(5, 6, 2, proj_size=4, bias=bias, bidirectional=both))
        case(f"lstm-projection{'' if bias else '-nobias'}{'-bi' if both else ''}", module.state_dict(), x, flat(module(x)))
module = scaled(nn.RNN(5, 6, 2, nonlinearity="relu"), 0.3)
case("rnn-relu", module.state_dict(), x, flat(module(x)), answers={"nonlinearity": "relu"})
for cell, make in {"lstm-cell": nn.LSTMCell, "gru-cell": nn.GRUCell, "rnn-cell": nn.RNNCell}.items():
    for bias in (True, False):
        module = scaled(make(5, 6, bias=bias))
        state, steps = None, []
        for step in x:
            state = module(step, state)
            steps.append(state[0] if isinstance(state, tuple) else state)
        case(f"{cell}{'' if bias else '-nobias'}", module.state_dict(), x, [torch.stack(steps)])


class Net(nn.Module):
    def __init__(self, forward, **modules):
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def net(name, forward, x, answers=None, expect="right", **modules):
    more = {k: modules.pop(k) for k in ("safetensors", "legacy", "wrap") if k in modules}
    model = scaled(Net(forward, **modules))
    case(name, model.state_dict(), x, [model(x)], answers, expect, **more)
    return model


tokens = torch.randint(0, 11, (7, 3))
for cell, make in CELLS.items():
    net(f"{cell}-linear", lambda m, x: m.fc(m.rnn(x)[0]), x, rnn=make(5, 6), fc=nn.Linear(6, 2), safetensors=True)
    net(f"{cell}-linear-nobias", lambda m, x: m.head(m.rnn(x)[0]), x, rnn=make(5, 6), head=nn.Linear(6, 2, bias=False))
    net(f"{cell}-words", lambda m, x: m.decoder(m.rnn(m.encoder(x))[0]), tokens, encoder=nn.Embedding(11, 4), rnn=make(4, 6, 2), decoder=nn.Linear(6, 11), safetensors=True)
    net(f"{cell}-words-bi", lambda m, x: m.out(m.rnn(m.embed(x))[0]), tokens, embed=nn.Embedding(11, 4, padding_idx=0), rnn=make(4, 6, bidirectional=True), out=nn.Linear(12, 3))
    net(f"{cell}-two", lambda m, x: m.dense(m.rnn2(m.rnn(x)[0])[0]), x, rnn=make(5, 6), rnn2=make(6, 4, 2), dense=nn.Linear(4, 1))
    net(f"{cell}-last", lambda m, x: m.fc(m.rnn(x)[0][-1]), x, answers={"layers": "rnn,last,fc"}, rnn=make(5, 6), fc=nn.Linear(6, 2))
    net(f"{cell}-mean", lambda m, x: torch.softmax(m.fc(m.rnn(x)[0].mean(0)), -1), x, answers={"layers": "rnn,mean,fc,softmax"}, rnn=make(5, 6), fc=nn.Linear(6, 2))
    net(f"{cell}-mlp", lambda m, x: torch.sigmoid(m.fc2(torch.relu(m.fc1(m.rnn(torch.tanh(m.pre(x)))[0])))), x,
        answers={"layers": "pre,tanh,rnn,fc1,relu,fc2,sigmoid"}, pre=nn.Linear(5, 4), rnn=make(4, 6), fc1=nn.Linear(6, 5), fc2=nn.Linear(5, 2))
    net(f"{cell}-mlp-asks", lambda m, x: m.fc2(torch.relu(m.fc1(m.rnn(x)[0]))), x, expect="refused", rnn=make(5, 6), fc1=nn.Linear(6, 4), fc2=nn.Linear(4, 2))
    net(f"{cell}-pre-asks", lambda m, x: m.rnn(torch.relu(m.pre(x)))[0], x, expect="refused", pre=nn.Linear(5, 4), rnn=make(4, 6))
    net(f"{cell}-norm", lambda m, x: m.fc(m.norm(m.rnn(x)[0])), x, rnn=make(5, 6), norm=nn.LayerNorm(6), fc=nn.Linear(6, 2))
    net(f"{cell}-batch-norm", lambda m, x: m.fc(m.bn(m.rnn(x)[0].permute(1, 2, 0)).permute(2, 0, 1)), x, rnn=make(5, 6), bn=nn.BatchNorm1d(6), fc=nn.Linear(6, 2))
    net(f"{cell}-conv-asks", lambda m, x: m.rnn(m.conv(x.permute(1, 2, 0)).permute(2, 0, 1))[0], x, expect="refused", conv=nn.Conv1d(5, 4, 3), rnn=make(4, 6))
    net(f"{cell}-attention-asks", lambda m, x: (torch.softmax(m.attn(m.rnn(x)[0]), 0) * m.rnn(x)[0]).sum(0), x, expect="refused", rnn=make(5, 6), attn=nn.Linear(6, 1))

y6 = torch.randn(7, 3, 6)
net("norm-misplaced-asks", lambda m, x: m.fc(m.norm(m.rnn(x)[0])), y6, expect="refused", rnn=nn.LSTM(6, 6), fc=nn.Linear(6, 6), norm=nn.LayerNorm(6))


def seq2seq(m, x):
    _, h = m.encoder(x)
    return m.decoder(x, h)[0]


net("encoder-decoder-asks", seq2seq, y6, expect="refused", encoder=nn.GRU(6, 6), decoder=nn.GRU(6, 6))

# Weights tied, strided, offset, beside an optimizer's.
model = scaled(Net(lambda m, x: m.decoder(m.rnn(m.encoder(x))[0]), encoder=nn.Embedding(11, 6), rnn=nn.LSTM(6, 6), decoder=nn.Linear(6, 11)))
model.decoder.weight = model.encoder.weight
case("tied", model.state_dict(), tokens, [model(tokens)])
module = scaled(nn.LSTM(5, 6))
out = flat(module(x))
state = OrderedDict((k, v.t().contiguous().t() if v.dim() == 2 else v) for k, v in module.state_dict().items())
case("strided", state, x, out)
case("strided-legacy", state, x, out, legacy=True)
big = torch.cat([v.reshape(-1) for v in module.state_dict().values()] + [torch.zeros(50)])
views, at = OrderedDict(), 0
for k, v in module.state_dict().items():
    views[k] = big[at : at + v.numel()].view(v.shape)
    at += v.numel()
case("one-storage", views, x, out)
case("one-storage-legacy", views, x, out, legacy=True)
module = nn.LSTM(5, 6)
optimizer = torch.optim.Adam(module.parameters())
module(x)[0].sum().backward()
optimizer.step()
for legacy in (False, True):
    case(f"optimizer{'-legacy' if legacy else ''}", module.state_dict(), x, flat(module(x)), legacy=legacy, wrap=lambda s: {"model_state": s, "optimizer_state": optimizer.state_dict(), "step": 5, "lr": np.float64(0.1)})
case("parameters", OrderedDict(module.named_parameters()), x, flat(module(x)))
case("two-models-ask", module.state_dict(), x, flat(module(x)), expect="refused", wrap=lambda s: {"generator": s, "critic": s})
case("two-models-told", module.state_dict(), x, flat(module(x)), answers={"key": "critic"}, wrap=lambda s: {"generator": s, "critic": s})
case("unused-asks", OrderedDict(module.state_dict(), extra=torch.zeros(3)), x, flat(module(x)), expect="refused")
case("whole-module", module.state_dict(), x, flat(module(x)), expect="refused", wrap=lambda s: module)
normed = nn.utils.weight_norm(nn.LSTM(5, 6), "weight_hh_l0")
case("weight-norm", normed.state_dict(), x, flat(normed(x)), expect="refused")
print(count, "cases")
