"""Drop-ins for `torch.nn.LSTM`, `GRU` and `RNN` on Elman's kernels: the same constructor, arguments, state dict, outputs.

They compute float32 on the CPU themselves and leave everything else (other types and devices, `proj_size`, tracing and
compiling, autocast) to torch, saying so once. They use as many threads as torch does (`torch.set_num_threads`); their result
does not depend on how many.

>>> import torch, elman.torch
>>> lstm = elman.torch.LSTM(8, 16, num_layers=2)
>>> y, (h, c) = lstm(torch.zeros(5, 3, 8))
>>> y.shape
torch.Size([5, 3, 16])

`replace` swaps the layers of a model in place. A `reset` mask begins sequences anew inside one call:

>>> reset = torch.zeros(5, 3, dtype=torch.bool)
>>> reset[2, 0] = True                     # the first sequence begins anew before its third step
>>> y, _ = lstm(torch.zeros(5, 3, 8), reset=reset)

A second derivative is not computed: `create_graph=True` through a layer raises by name where it is differentiated again.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from elman import _elman

__all__ = ["GRU", "LSTM", "RNN", "replace"]

_Module = TypeVar("_Module", bound=nn.Module)

#: The native half of each module; not in the module, so that it is copied and pickled as torch's is.
_layers: weakref.WeakKeyDictionary[nn.Module, _Native] = weakref.WeakKeyDictionary()
_said: set[str] = set()
_PLAIN = (Tensor, nn.Parameter)

_NO_DOUBLE = "elman.torch: a second derivative through its layers is not computed; use torch.nn's layers for it"


class _Native:
    """The kernels' layers, and weights as they were last seen."""

    __slots__ = ("layers", "made_of", "names", "seen", "widths")

    def __init__(self, made_of: tuple[Any, ...]) -> None:
        self.made_of = made_of
        self.layers = _elman.Layers(*made_of)
        names, dims = zip(*self.layers.weights(), strict=True)
        self.names: list[str] = list(names)
        #: Elements of each weight.
        self.widths = [torch.Size(of).numel() for of in dims]
        #: Address and array of each weight. While an array lives, nothing else lies at its address.
        self.seen: list[tuple[int, Any]] = [(0, None)] * len(names)

    def arrays(self, weights: Sequence[Tensor | None]) -> list[Any]:
        """The weights as arrays, whose values are those of this moment."""
        found = []
        for i, weight in enumerate(weights):
            if weight is None:
                found.append(None)
                continue
            if not weight.is_contiguous():
                found.append(weight.detach().contiguous().numpy())
                continue
            at, array = self.seen[i]
            if at != weight.data_ptr():
                array = weight.detach().numpy()
                self.seen[i] = (weight.data_ptr(), array)
            found.append(array)
        return found


class _Rows:
    """Where a batch's steps lie, and how they are run."""

    __slots__ = ("batch", "batch_first", "native", "reset", "seed", "sizes", "steps", "threads")

    def __init__(self, native: _Native, steps: int, batch: int, batch_first: bool, sizes: Any) -> None:
        self.native = native
        self.steps = steps
        self.batch = batch
        self.batch_first = batch_first
        self.sizes = sizes
        self.reset: Any = None
        self.seed: int | None = None
        self.threads = torch.get_num_threads()

    def forward(self, x: Tensor, h0: Tensor | None, c0: Tensor | None, weights: tuple[Tensor | None, ...], *, is_kept: bool) -> Any:
        """A pass of the kernels: `y`, `h`, `c` (flat), and, if it is kept, what its backward pass needs."""
        y, h, c, kept = self.native.layers.forward(
            self.native.arrays(weights),
            x.detach().numpy(),
            self.steps,
            self.batch,
            self.batch_first,
            self.sizes,
            self.reset,
            None if h0 is None else h0.detach().numpy(),
            None if c0 is None else c0.detach().numpy(),
            self.seed,
            is_kept,
            self.threads,
        )
        return torch.from_numpy(y), torch.from_numpy(h), torch.from_numpy(c), kept


class _Refusal(torch.autograd.Function):
    """A gradient that cannot be differentiated again."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, *_: Tensor) -> Tensor:
        return grad.view_as(grad)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:
        raise RuntimeError(_NO_DOUBLE)


class _Function(torch.autograd.Function):
    """Forward and backward through time of all layers. Weights without a bias are None."""

    @staticmethod
    def forward(ctx: Any, rows: _Rows, x: Tensor, h0: Tensor | None, c0: Tensor | None, *weights: Tensor | None) -> Any:
        y, h, c, kept = rows.forward(x, h0, c0, weights, is_kept=True)
        ctx.rows, ctx.kept = rows, kept
        ctx.given = [h0 is not None, c0 is not None, *(weight is not None for weight in weights)]
        # Torch checks that none of them is overwritten before the backward pass.
        ctx.save_for_backward(x, *(tensor for tensor in (h0, c0, *weights) if tensor is not None))
        ctx.set_materialize_grads(False)
        return y, h, c

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dh: Tensor | None, dc: Tensor | None) -> Any:
        with torch.no_grad():
            grads = _Function._gradients(ctx, dy, dh, dc)
        if not torch.is_grad_enabled():
            return grads
        # With `create_graph` an error waits where somebody differentiates again, and only there.
        of = [t for t in (dy, dh, dc, *ctx.saved_tensors) if t is not None and t.requires_grad]
        return tuple(_Refusal.apply(grad, *of) if isinstance(grad, Tensor) and of else grad for grad in grads)

    @staticmethod
    def _gradients(ctx: Any, dy: Tensor | None, dh: Tensor | None, dc: Tensor | None) -> tuple[Any, ...]:
        x, *rest = ctx.saved_tensors
        given = iter(rest)
        h0, c0, *weights = [next(given) if is_given else None for is_given in ctx.given]
        rows: _Rows = ctx.rows
        kept = ctx.kept
        if kept.is_done:
            # The graph was retained, and what the first backward pass read is overwritten.
            *_, kept = rows.forward(x, h0, c0, tuple(weights), is_kept=True)
        flat = [None if d is None else d.detach().contiguous().numpy() for d in (dy, dh, dc)]
        _, wants_x, wants_h0, wants_c0, *wanted = ctx.needs_input_grad
        dw, dx, dh0, dc0 = rows.native.layers.backward(
            kept, rows.native.arrays(weights), x.detach().numpy(), rows.batch, *flat, wants_x, rows.threads
        )
        found: list[Any] = [None]
        found.append(torch.from_numpy(dx).view(x.shape) if dx is not None else None)
        found.append(torch.from_numpy(dh0).view(h0.shape) if wants_h0 and h0 is not None else None)
        found.append(torch.from_numpy(dc0).view(c0.shape) if wants_c0 and c0 is not None else None)
        if any(wanted):
            at, all_dw = 0, torch.from_numpy(dw)
            # A bias that is not there has its place all the same.
            for weight, is_wanted, size in zip(weights, wanted, rows.native.widths, strict=True):
                of_weight = all_dw[at : at + size]
                at += size
                found.append(of_weight.view(weight.shape) if is_wanted and weight is not None else None)
        else:
            found += [None] * len(weights)
        return tuple(found)


class _Layers(nn.RNNBase):
    """What the three have in common."""

    def _native(self) -> _Native:
        cell = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "rnn-tanh", "RNN_RELU": "rnn-relu"}[self.mode]
        # Dropout between layers, as long as there are some; 1 is torch's own affair.
        dropout = self.dropout if self.num_layers > 1 and self.dropout < 1 else 0.0
        made_of = (cell, self.input_size, self.hidden_size, self.num_layers, bool(self.bidirectional), float(dropout))
        native = _layers.get(self)
        if native is None or native.made_of != made_of:
            native = _layers[self] = _Native(made_of)
        return native

    def _weights(self, names: list[str]) -> tuple[Tensor | None, ...]:
        """The weights in the kernels' order, None for a bias that there is not."""
        own = self._parameters
        # Of the module's own, unless a hook or a parametrization puts something in their place.
        return tuple([own[name] if name in own else getattr(self, name, None) if self.bias or "bias" not in name else None
                      for name in names])  # fmt: skip

    def _why_never(self) -> str | None:
        """Why torch computes every call of this module, if it does; empty where that is not worth a word."""
        if self.proj_size > 0:
            return "proj_size"
        if self.hidden_size == 0 or self.input_size == 0:
            return ""
        return None

    def _why_not(self, x: Tensor, hx: tuple[Tensor, ...], weights: tuple[Tensor | None, ...]) -> str | None:
        """As `_why_never`, of this call."""
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return "tracing or compiling"
        if torch.is_autocast_enabled("cpu"):
            return "autocast"
        for tensor in (x, *hx, *weights):
            if tensor is None:
                continue
            if type(tensor) not in _PLAIN or tensor.layout is not torch.strided:
                return f"a tensor of the kind {type(tensor).__name__}"
            if tensor.dtype is not torch.float32:
                return f"the type {tensor.dtype}"
            if not tensor.is_cpu:
                return f"the device {tensor.device.type}"
        if torch._C._functorch.peek_interpreter_stack() is not None:  # type: ignore[attr-defined]
            return "a transform of torch.func"
        if self.training and self.dropout >= 1:
            return "dropout of 1"
        if x.numel() == 0 or x.dim() not in (2, 3):
            return ""
        return None

    def forward(self, input: Any, hx: Any = None, reset: Any = None) -> Any:
        """As torch's.

        Args:
            input: `[T, B, I]`, with `batch_first` `[B, T, I]`, unbatched `[T, I]`, or a `PackedSequence`.
            hx: The initial state `[L D, B, H]`, of an LSTM the pair of `h` and `c`; zeros without.
            reset: Where a sequence begins anew from the zero state, before that step: `[T, B]`, with `batch_first` `[B, T]`,
                unbatched `[T]`; of a packed sequence `[N]`, a value for each row of its data. Not of two directions.

        Returns:
            The outputs in the form of `input`, `[.., D H]`, and the final state in the form of `hx`.
        """
        is_packed = isinstance(input, PackedSequence)
        x = input.data if is_packed else input
        states = () if hx is None else hx if isinstance(hx, tuple) else (hx,)
        why = self._why_never()
        if why is None:
            native = self._native()
            weights = self._weights(native.names)
            why = self._why_not(x, states, weights)
        if why is not None:
            return self._by_torch(input, hx, reset, why)
        if reset is not None and self.bidirectional:
            raise ValueError("`reset` is for layers of one direction: backwards there is no step to begin anew at")
        is_lstm = self.mode == "LSTM"
        if is_packed:
            sizes, order, back = input.batch_sizes, input.sorted_indices, input.unsorted_indices
            batch = int(sizes[0])
            steps, is_batched = len(sizes), True
            rows = _Rows(native, steps, batch, False, sizes.numpy())
            hx = self._checked(x, hx, sizes, batch)
            if hx is not None and order is not None:
                hx = self.permute_hidden(hx, order)
            dims = (x.shape[0],)
        else:
            is_batched = x.dim() == 3
            batch_first = self.batch_first and is_batched
            steps, batch = (
                (x.shape[0], 1) if not is_batched else (x.shape[1 if batch_first else 0], x.shape[0 if batch_first else 1])
            )
            rows = _Rows(native, steps, batch, batch_first, None)
            order = back = None
            hx = self._checked(
                x if is_batched else x.unsqueeze(0 if self.batch_first else 1), self._batched(hx, is_batched), None, batch
            )
            dims = tuple(x.shape[:-1])
        if reset is not None:
            mask = torch.as_tensor(reset.data if isinstance(reset, PackedSequence) else reset)
            if tuple(mask.shape) != dims:
                raise ValueError(f"`reset` is {list(mask.shape)}; {list(dims)} is read, a value for each step")
            rows.reset = mask.to(torch.bool).contiguous().numpy()
        if self.training and self.dropout > 0 and self.num_layers > 1:
            # Drawn from torch's own stream, so that torch.manual_seed counts.
            rows.seed = int(torch.randint(2**63 - 1, ()))
        h0, c0 = (None, None) if hx is None else hx if is_lstm else (hx, None)
        h0, c0 = (None if state is None else state.contiguous() for state in (h0, c0))
        x = x.contiguous()
        if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, h0, c0, *weights)):
            y, h, c = _Function.apply(rows, x, h0, c0, *weights)
        else:
            y, h, c, _ = rows.forward(x, h0, c0, weights, is_kept=False)
        directions = 2 if self.bidirectional else 1
        y = y.view(*dims, directions * self.hidden_size)
        of_state = (self.num_layers * directions, batch, self.hidden_size)
        states = tuple(state.view(of_state) for state in ((h, c) if is_lstm else (h,)))
        if back is not None:
            states = tuple(state.index_select(1, back) for state in states)
        if not is_batched:
            states = tuple(state.squeeze(1) for state in states)
        if is_packed:
            y = PackedSequence(y, input.batch_sizes, input.sorted_indices, input.unsorted_indices)
        return y, states if is_lstm else states[0]

    def _batched(self, hx: Any, is_batched: bool) -> Any:
        """The state of an unbatched input with a batch axis; torch's own refusal of others."""
        if hx is None:
            return None
        states = hx if isinstance(hx, tuple) else (hx,)
        want = 3 if is_batched else 2
        if any(state.dim() != want for state in states):
            what = "batched 3-D" if is_batched else "unbatched 2-D"
            dims = ", ".join(str(state.dim()) for state in states)
            raise RuntimeError(f"For {what} input, hx should also be {want}-D but got {dims}-D tensors")
        if not is_batched:
            states = tuple(state.unsqueeze(1) for state in states)
        return states if isinstance(hx, tuple) else states[0]

    def _checked(self, x: Tensor, hx: Any, sizes: Tensor | None, batch: int) -> Any:
        """What torch checks, in torch's words."""
        if hx is None:
            self.check_input(x, sizes)
            return None
        self.check_forward_args(x, hx, sizes)
        return hx

    def _by_torch(self, given: Any, hx: Any, reset: Any, why: str) -> Any:
        if why and why not in _said:
            _said.add(why)
            warnings.warn(f"elman.torch: torch computes this, because of {why}", stacklevel=4)
        if (native := _layers.get(self)) is not None:
            # Weights that have moved away are held no longer.
            native.seen = [(0, None)] * len(native.names)
        if reset is None:
            return super().forward(given, hx)
        if isinstance(given, PackedSequence):
            raise ValueError("`reset` of packed sequences is for float32 on the CPU; pad them, or convert them")
        return self._with_resets(given, hx, reset)

    def _with_resets(self, x: Tensor, hx: Any, reset: Any) -> Any:
        """By torch, from one reset to the next."""
        if self.bidirectional:
            raise ValueError("`reset` is for layers of one direction: backwards there is no step to begin anew at")
        is_batched, time = x.dim() == 3, 1 if self.batch_first and x.dim() == 3 else 0
        mask = torch.as_tensor(reset, device=x.device).to(torch.bool)
        if tuple(mask.shape) != tuple(x.shape[:-1]):
            raise ValueError(f"`reset` is {list(mask.shape)}; {list(x.shape[:-1])} is read, a value for each step")
        if hx is None:
            dims = [self.num_layers, x.shape[1 - time], self.hidden_size] if is_batched else [self.num_layers, self.hidden_size]
            last = [*dims[:-1], self.proj_size or self.hidden_size]
            zeros = torch.zeros(last, dtype=x.dtype, device=x.device)
            hx = (zeros, torch.zeros(dims, dtype=x.dtype, device=x.device)) if self.mode == "LSTM" else zeros
        outputs = []
        for step in range(x.shape[time]):
            keep = ~mask.select(time, step)
            states = hx if isinstance(hx, tuple) else (hx,)
            # A fresh zero, not a product with zero: what was infinite or NaN before counts no more.
            states = tuple(torch.where(keep[..., None], state, torch.zeros_like(state)) for state in states)
            hx = states if isinstance(hx, tuple) else states[0]
            y, hx = super().forward(x.narrow(time, step, 1), hx)
            outputs.append(y)
        return torch.cat(outputs, dim=time), hx


class LSTM(_Layers, nn.LSTM):
    """`torch.nn.LSTM` on Elman's kernels; see `torch.nn.LSTM` for its arguments and `elman.torch` for what differs.

    >>> import torch, elman.torch
    >>> sum(p.numel() for p in elman.torch.LSTM(4, 8).parameters()) == sum(p.numel() for p in torch.nn.LSTM(4, 8).parameters())
    True
    """


class GRU(_Layers, nn.GRU):
    """`torch.nn.GRU` on Elman's kernels; see `torch.nn.GRU` for its arguments and `elman.torch` for what differs.

    >>> import torch, elman.torch
    >>> y, h = elman.torch.GRU(4, 8, batch_first=True)(torch.ones(2, 5, 4))
    >>> y.shape, h.shape
    (torch.Size([2, 5, 8]), torch.Size([1, 2, 8]))
    """


class RNN(_Layers, nn.RNN):
    """`torch.nn.RNN` on Elman's kernels; see `torch.nn.RNN` for its arguments and `elman.torch` for what differs.

    >>> import torch, elman.torch
    >>> elman.torch.RNN(4, 8, nonlinearity="relu").mode
    'RNN_RELU'
    """


_DROP_INS: dict[type[nn.Module], type[nn.Module]] = {nn.LSTM: LSTM, nn.GRU: GRU, nn.RNN: RNN}


def replace(model: _Module) -> _Module:
    """Swaps the recurrent layers of a model in place, itself among them; parameters, hooks and references stay as they are.

    Args:
        model: Any module. Layers of classes derived from torch's are left alone.

    Returns:
        The same model.

    >>> import torch, elman.torch
    >>> model = torch.nn.ModuleDict({"rnn": torch.nn.GRU(3, 5), "out": torch.nn.Linear(5, 2)})
    >>> type(elman.torch.replace(model)["rnn"]).__module__
    'elman.torch'
    """
    for module in model.modules():
        drop_in = _DROP_INS.get(type(module))
        if drop_in is not None:
            module.__class__ = drop_in
    return model
