"""The peer of data-parallel training: DistributedDataParallel over gloo, one thread a rank.

    torchrun --nproc-per-node 2 bench/machines/torch_ddp.py --batch 32 --hidden 512 --layers 2 --steps 50

Prints milliseconds per update, the median. A language model of 65 characters, one-hot input, Adam, clipping of the global norm:
what `elman train --cell lstm --embedding 0` trains.
"""

import argparse
import statistics
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

CHARACTERS = 65


class LanguageModel(nn.Module):
    def __init__(self, hidden: int, layers: int):
        super().__init__()
        self.lstm = nn.LSTM(CHARACTERS, hidden, layers)
        self.output = nn.Linear(hidden, CHARACTERS)

    def forward(self, tokens, state):
        h, state = self.lstm(nn.functional.one_hot(tokens, CHARACTERS).float(), state)
        return self.output(h), state


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=32, help="of all ranks together")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--updates", type=int, default=24)
    args = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(rank)
    share = args.batch // size
    model = LanguageModel(args.hidden, args.layers)
    parallel = DistributedDataParallel(model) if size > 1 else model
    optimizer = torch.optim.Adam(parallel.parameters(), lr=1e-3)
    state, times = None, []
    for _ in range(args.updates):
        tokens = torch.randint(CHARACTERS, (args.steps + 1, share))
        began = time.perf_counter()
        logits, state = parallel(tokens[:-1], state)
        state = tuple(part.detach() for part in state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parallel.parameters(), 1.0)
        optimizer.step()
        times.append(time.perf_counter() - began)
    if rank == 0:
        print(f"{size} ranks, batch {args.batch}: {1000 * statistics.median(times[4:]):.1f} ms per update")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
