"""A PyTorch model on Elman's kernels: one line swaps its recurrent layers, everything else stays torch's.

pip install torch && python examples/python/torch_model.py
"""

import argparse
import time

import elman.torch
import torch
from torch import nn


class Tagger(nn.Module):
    """A class at each step."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(32, 128, num_layers=2, batch_first=True)
        self.output = nn.Linear(128, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[B, T, 32]` to logits `[B, T, 8]`."""
        return self.output(self.rnn(x)[0])


def seconds(model: nn.Module, steps: int) -> tuple[float, float]:
    """Seconds of an update, and the last loss."""
    torch.manual_seed(0)
    x, y = torch.randn(32, 50, 32), torch.randint(8, (32, 50))
    optimizer = torch.optim.Adam(model.parameters())
    began = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - began) / steps, loss.item()


def main() -> None:
    """Trains the same model twice and compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    steps = parser.parse_args().steps
    torch.manual_seed(1)
    theirs = Tagger()
    ours = Tagger()
    ours.load_state_dict(theirs.state_dict())
    elman.torch.replace(ours)
    for name, model in (("torch", theirs), ("elman", ours)):
        each, loss = seconds(model, steps)
        print(f"{name}: {1000 * each:.1f} ms an update, loss {loss:.4f}")


if __name__ == "__main__":
    main()
