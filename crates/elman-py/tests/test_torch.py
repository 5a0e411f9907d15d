"""`elman.torch` against `torch.nn`: outputs, gradients, packed sequences, resets, fallbacks."""

import copy
import io
import pickle
import random
import warnings

import pytest

torch = pytest.importorskip("torch")

import elman.torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence  # noqa: E402

# Small products: threads that wait for each other would only hold up a machine that is busy.
torch.set_num_threads(1)

KINDS = {"LSTM": (nn.LSTM, elman.torch.LSTM), "GRU": (nn.GRU, elman.torch.GRU), "RNN": (nn.RNN, elman.torch.RNN)}
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def pair(kind, *arguments, **named):
    """Torch's module and ours with the same weights."""
    theirs = KINDS[kind][0](*arguments, **named)
    ours = KINDS[kind][1](*arguments, **named)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def tensors(found):
    """All tensors of an answer."""
    if isinstance(found, PackedSequence):
        return [found.data, found.batch_sizes]
    if isinstance(found, torch.Tensor):
        return [found]
    return [tensor for part in found for tensor in tensors(part)]


def gradients(module, leaves, found):
    """Gradients of a fixed sum of the answers by weights and inputs."""
    generator = torch.Generator().manual_seed(9)
    loss = sum((t * torch.randn(t.shape, generator=generator)).sum() for t in tensors(found) if t.requires_grad)
    module.zero_grad()
    grads = torch.autograd.grad(loss, [*leaves, *module.parameters()], allow_unused=True)
    return grads


def assert_alike(theirs, ours, x, hx=None, **close):
    """Outputs and all gradients."""
    answers = []
    for module in (theirs, ours):
        leaves, given = [], x
        if isinstance(x, PackedSequence):
            data = x.data.detach().clone().requires_grad_()
            given, leaves = PackedSequence(data, x.batch_sizes, x.sorted_indices, x.unsorted_indices), [data]
        else:
            given = x.detach().clone().requires_grad_()
            leaves = [given]
        states = hx
        if hx is not None:
            states = tuple(h.detach().clone().requires_grad_() for h in (hx if isinstance(hx, tuple) else (hx,)))
            leaves += states
            states = states if isinstance(hx, tuple) else states[0]
        found = module(given, states)
        answers.append((tensors(found), gradients(module, leaves, found)))
    for part in (0, 1):
        for want, got in zip(answers[0][part], answers[1][part], strict=True):
            assert (want is None) == (got is None)
            if want is not None:
                assert want.shape == got.shape and want.dtype == got.dtype
                torch.testing.assert_close(got, want, **{**CLOSE, **close})


def state(kind, layers, batch, hidden, directions=1, **how):
    """A random initial state."""
    h = torch.randn(*[n for n in (layers * directions, batch, hidden) if n is not None], **how)
    return (h, torch.randn_like(h)) if kind == "LSTM" else h


def test_five_hundred_random_configurations_have_torchs_outputs_and_gradients():
    random.seed(4)
    torch.manual_seed(4)
    for case in range(500):
        kind = random.choice(list(KINDS))
        inputs, hidden, layers = random.randint(1, 9), random.randint(1, 17), random.randint(1, 3)
        two, first, bias = random.random() < 0.3, random.random() < 0.4, random.random() < 0.8
        named = {"num_layers": layers, "bidirectional": two, "batch_first": first, "bias": bias}
        if kind == "RNN" and random.random() < 0.5:
            named["nonlinearity"] = "relu"
        theirs, ours = pair(kind, inputs, hidden, **named)
        steps, batch = random.randint(1, 9), random.choice([1, 2, 3, 5, 8, 17, 33])
        form = random.choice(["padded", "packed", "unsorted", "unbatched"])
        directions = 2 if two else 1
        if form == "unbatched":
            x, batch = torch.randn(steps, inputs), None
        elif form == "padded":
            x = torch.randn(batch, steps, inputs) if first else torch.randn(steps, batch, inputs)
        else:
            lengths = [random.randint(1, steps) for _ in range(batch)]
            parts = [torch.randn(n, inputs) for n in lengths]
            if form == "packed":
                x = pack_sequence(sorted(parts, key=len, reverse=True))
            else:
                x = pack_sequence(parts, enforce_sorted=False)
        hx = state(kind, layers, batch, hidden, directions) if random.random() < 0.5 else None
        try:
            assert_alike(theirs, ours, x, hx)
        except AssertionError as error:
            raise AssertionError(f"case {case}: {kind} {inputs} {hidden} {named} {form} {steps} {batch}") from error


@pytest.mark.parametrize("training", [True, False])
def test_every_input_of_torchs_own_tests_is_answered_alike(training):
    common = pytest.importorskip("torch.testing._internal.common_modules")
    count = 0
    for info in common.module_db:
        name = info.module_cls.__name__
        if info.module_cls not in (nn.LSTM, nn.GRU, nn.RNN):
            continue
        for case in info.module_inputs_func(info, device="cpu", dtype=torch.float32, requires_grad=True, training=training):
            given = case.constructor_input
            torch.manual_seed(1)
            theirs, ours = pair(name, *given.args, **given.kwargs)
            theirs.train(training), ours.train(training)
            call = case.forward_input
            if any(key != "hx" for key in call.kwargs):
                raise AssertionError(f"arguments that are not known: {list(call.kwargs)}")
            x, *rest = call.args
            hx = rest[0] if rest else call.kwargs.get("hx")
            if theirs.dropout and training and theirs.num_layers > 1:
                continue
            assert_alike(theirs, ours, x, hx)
            count += 1
    assert count >= 20, count


def test_a_model_follows_torchs_losses_for_two_hundred_steps():
    for kind in KINDS:
        torch.manual_seed(2)
        theirs, ours = pair(kind, 6, 24, num_layers=2)
        x, target = torch.randn(12, 16, 6), torch.randn(12, 16, 24).tanh()
        losses = []
        for module in (theirs, ours):
            optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
            losses.append([])
            for _ in range(200):
                optimizer.zero_grad()
                loss = nn.functional.mse_loss(module(x)[0], target)
                loss.backward()
                optimizer.step()
                losses[-1].append(loss.item())
        assert losses[0][-1] < losses[0][0]
        assert max(abs(a - b) for a, b in zip(*losses, strict=True)) < 1e-4


def test_gradients_are_finite_differences():
    # Central differences of float32 sums in double precision: about 1e-3 of the largest gradient.
    torch.manual_seed(3)
    for kind in KINDS:
        _, ours = pair(kind, 3, 4, num_layers=2)
        x = torch.randn(5, 3, 3, requires_grad=True)
        weight = torch.randn(5, 3, 4)

        def loss():
            return (ours(x)[0] * weight).sum()

        grads = torch.autograd.grad(loss(), [x, ours.weight_hh_l0])
        for tensor, grad in zip((x, ours.weight_hh_l0), grads, strict=True):
            flat, found = tensor.detach().view(-1), []
            for i in range(flat.numel()):
                values = []
                for step in (1e-2, -1e-2):
                    with torch.no_grad():
                        flat[i] += step
                        values.append((ours(x)[0].double() * weight.double()).sum().item())
                        flat[i] -= step
                found.append((values[0] - values[1]) / 2e-2)
            assert torch.allclose(torch.tensor(found), grad.view(-1), atol=2e-3 * float(grad.abs().max()) + 1e-3)


def test_a_reset_is_a_sequence_of_its_own():
    torch.manual_seed(5)
    for kind in KINDS:
        for first in (False, True):
            _, ours = pair(kind, 3, 5, num_layers=2, batch_first=first)
            x, hx = torch.randn(7, 4, 3), state(kind, 2, 4, 5)
            mask = torch.rand(7, 4) < 0.3
            mask[0] = torch.tensor([True, False, True, False])
            wants = []
            for b in range(4):
                h = tuple(s[:, b : b + 1] for s in hx) if kind == "LSTM" else hx[:, b : b + 1]
                ys = []
                for t in range(7):
                    if mask[t, b]:
                        h = tuple(torch.zeros_like(s) for s in h) if kind == "LSTM" else torch.zeros_like(h)
                    step = x[t : t + 1, b : b + 1]
                    y, h = nn.Module.__call__(ours, step.transpose(0, 1) if first else step, h)
                    ys.append(y.reshape(1, 1, 5))
                wants.append(torch.cat(ys))
            want = torch.cat(wants, dim=1)
            given, of = (x.transpose(0, 1), mask.t()) if first else (x, mask)
            y, _ = ours(given, hx, reset=of)
            torch.testing.assert_close(y.transpose(0, 1) if first else y, want, **CLOSE)
            # Numbers count as truth values; float64 goes through torch, step by step.
            again, _ = ours(given, hx, reset=of.float())
            assert torch.equal(again, y)
            double = copy.deepcopy(ours).double()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                wide, _ = double(given.double(), tuple(s.double() for s in hx) if kind == "LSTM" else hx.double(), reset=of)
            torch.testing.assert_close(wide.float(), y, rtol=1e-4, atol=1e-5)


def test_no_gradient_passes_a_reset():
    _, ours = pair("LSTM", 2, 3)
    x = torch.randn(4, 1, 2, requires_grad=True)
    hx = tuple(s.requires_grad_() for s in state("LSTM", 1, 1, 3))
    mask = torch.tensor([[False], [False], [True], [False]])
    y, _ = ours(x, hx, reset=mask)
    dx, dh, dc = torch.autograd.grad(y[2:].sum(), [x, *hx])
    assert not dx[:2].any() and dx[2:].any() and not dh.any() and not dc.any()
    with pytest.raises(ValueError, match=r"`reset` is \[3, 1\]; \[4, 1\] is read"):
        ours(x, hx, reset=mask[:3])
    _, two = pair("GRU", 2, 3, bidirectional=True)
    with pytest.raises(ValueError, match="one direction"):
        two(x, reset=mask)


def test_packed_sequences_are_reset_by_their_rows():
    _, ours = pair("GRU", 2, 3)
    parts = [torch.randn(5, 2), torch.randn(3, 2)]
    packed = pack_sequence(parts)
    marks = pack_sequence([torch.tensor([0.0, 0, 1, 0, 0]), torch.tensor([0.0, 1, 0])])
    found, _ = ours(packed, reset=marks)
    padded = nn.utils.rnn.pad_sequence(parts)
    mask = torch.zeros(5, 2, dtype=torch.bool)
    mask[2, 0] = mask[1, 1] = True
    want, _ = ours(padded, reset=mask)
    got, _ = nn.utils.rnn.pad_packed_sequence(found)
    torch.testing.assert_close(got[:, 0], want[:, 0], **CLOSE)
    torch.testing.assert_close(got[:3, 1], want[:3, 1], **CLOSE)


def test_dropout_is_drawn_from_torchs_stream_and_off_in_evaluation():
    torch.manual_seed(1)
    theirs, ours = pair("LSTM", 4, 64, num_layers=2, dropout=0.5)
    x = torch.randn(6, 8, 4)
    torch.manual_seed(7)
    first = ours(x)[0]
    torch.manual_seed(7)
    assert torch.equal(ours(x)[0], first) and not torch.equal(ours(x)[0], first)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], **CLOSE)
    # The mean over many masks is near the output without any below the top layer.
    ours.train()
    ours.zero_grad()
    y = ours(x.requires_grad_())[0]
    y.sum().backward(retain_graph=True)
    once = x.grad.clone()
    x.grad = None
    # The same masks, when the graph is retained.
    y.sum().backward()
    assert torch.equal(x.grad, once)


def test_the_graph_is_retained_and_freed_as_torchs_is():
    _, ours = pair("GRU", 3, 4)
    x = torch.randn(5, 2, 3, requires_grad=True)
    y = ours(x)[0].sum()
    first = torch.autograd.grad(y, x, retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(y, x)[0], first)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(y, x)
    y = ours(x)[0].sum()
    with torch.no_grad():
        ours.weight_hh_l0 += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_a_second_derivative_is_refused_by_name_where_it_is_taken():
    _, ours = pair("LSTM", 3, 4)
    x = torch.randn(5, 2, 3, requires_grad=True)
    (grad,) = torch.autograd.grad(ours(x)[0].sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"elman\.torch: a second derivative"):
        torch.autograd.grad(grad.pow(2).sum(), x)


def test_what_elman_does_not_compute_goes_to_torch_and_is_said_once():
    elman.torch._said.clear()
    theirs, ours = pair("LSTM", 3, 4)
    x = torch.randn(5, 2, 3)
    with pytest.warns(UserWarning, match=r"torch computes this, because of the type torch\.float64"):
        found = ours.double()(x.double())[0]
    assert torch.equal(found, theirs.double()(x.double())[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours(x.double())
    assert torch.autograd.gradcheck(lambda x: ours(x)[0], (torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True),))
    theirs, ours = pair("LSTM", 3, 8, proj_size=2)
    with pytest.warns(UserWarning, match="proj_size"):
        assert torch.equal(ours(x)[0], theirs(x)[0])
    theirs, ours = pair("GRU", 3, 8)
    with pytest.warns(UserWarning, match="autocast"), torch.autocast("cpu", torch.bfloat16):
        ours(x)


def test_wrong_inputs_are_torchs_errors():
    for kind in KINDS:
        theirs, ours = pair(kind, 3, 4)
        bad = [
            (torch.randn(5, 2, 7), None),
            (torch.randn(5, 2, 3), state(kind, 1, 3, 4)),
            (torch.randn(2, 2, 2, 3), None),
            (torch.randn(5, 3), state(kind, 1, 1, 4)),
        ]
        for x, hx in bad:
            errors = []
            for module in (theirs, ours):
                with pytest.raises((RuntimeError, ValueError)) as caught:
                    module(x, hx)
                errors.append(type(caught.value))
            assert errors[0] == errors[1], (kind, x.shape)


def test_strides_and_expanded_inputs_are_read_right():
    theirs, ours = pair("GRU", 3, 4)
    base = torch.randn(6, 4, 5)
    for x in (base.transpose(0, 2)[:, :, ::2], torch.randn(1, 1, 3).expand(5, 2, 3), base.permute(1, 2, 0)[..., 3:]):
        torch.testing.assert_close(ours(x)[0], theirs(x)[0], **CLOSE)


def test_modules_are_swapped_in_place_copied_and_pickled():
    model = nn.Sequential(nn.LSTM(3, 4), nn.Identity())
    model.append(nn.ModuleDict({"rnn": nn.RNN(2, 2), "gru": nn.GRU(2, 2, bidirectional=True)}))
    names, parameters = list(model.state_dict()), list(model.parameters())
    assert elman.torch.replace(model) is model
    kinds = [type(m) for m in (model[0], model[2]["rnn"], model[2]["gru"])]
    assert kinds == [elman.torch.LSTM, elman.torch.RNN, elman.torch.GRU]
    assert list(model.state_dict()) == names and all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    x = torch.randn(4, 2, 3)
    want = model[0](x)[0]
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(file, weights_only=False)):
        assert torch.equal(copied[0](x)[0], want)
    assert type(elman.torch.replace(nn.GRU(2, 2))) is elman.torch.GRU


def test_weights_that_change_in_any_way_are_seen():
    theirs, ours = pair("LSTM", 3, 4)
    x = torch.randn(5, 2, 3)
    for change in (
        lambda m: m.weight_hh_l0.data.mul_(2),
        lambda m: m.bias_ih_l0.data.__setitem__(0, 3.0),
        lambda m: setattr(m, "weight_ih_l0", nn.Parameter(m.weight_ih_l0.detach() + 1)),
    ):
        for module in (theirs, ours):
            with torch.no_grad():
                change(module)
            if hasattr(module, "_init_flat_weights"):
                module._init_flat_weights()
        torch.testing.assert_close(ours(x)[0], theirs(x)[0], **CLOSE)


def test_threads_change_no_bit():
    _, ours = pair("GRU", 16, 32, num_layers=2)
    x, before = torch.randn(20, 40, 16), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y = ours(x)[0]
            found.append([y, *torch.autograd.grad(y.sum(), list(ours.parameters()))])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for one in found[1:] for a, b in zip(found[0], one, strict=True))


def test_packed_batches_of_padded_ones_keep_their_order():
    theirs, ours = pair("LSTM", 3, 4, bidirectional=True, batch_first=True)
    x = torch.randn(4, 6, 3)
    packed = pack_padded_sequence(x, torch.tensor([2, 6, 1, 4]), batch_first=True, enforce_sorted=False)
    y, (h, c) = ours(packed)
    want, (want_h, want_c) = theirs(packed)
    for a, b in ((y.data, want.data), (h, want_h), (c, want_c)):
        torch.testing.assert_close(a, b, **CLOSE)
    assert torch.equal(y.batch_sizes, want.batch_sizes) and torch.equal(y.unsorted_indices, want.unsorted_indices)
