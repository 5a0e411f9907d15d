#!/usr/bin/env python3
"""An epoch of text classification: ours and two forms of PyTorch, taking turns on one thread.

The network is a bidirectional LSTM of 128 units over embeddings of 128 of 20,000 words, maximum and mean over all words,
texts of at most 350 words, batches of 48 texts of like length, Adam. PyTorch's two forms are the packed sequence
(`pack_padded_sequence`), and, faster on a CPU, two one-way LSTMs on padded text, the second reading each text reversed
within its length by hand. All train on the same texts, drawn once, in batches of like length. Ours is the program itself,
which makes one pass over all of them in each turn, so that its time includes dropout, averaged weights and its records;
PyTorch's forms make a part of the pass in each turn, the first, sixth, eleventh .. of the batches ordered by length in the
first of five turns, so that every part has batches of all lengths.

Needs IMDB (`imdb.train.tsv.gz`, see --data) and PyTorch. Build first: cargo build --release -p elman-cli
"""

import argparse
import collections
import gzip
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

HERE = pathlib.Path(__file__).resolve().parent
OURS = HERE.parent.parent / "target/release/elman"
VOCAB, WIDTH, HIDDEN, LONGEST, BATCH = 20_000, 128, 128, 350, 48
# Texts in the whole file.
EPOCH = 25_000


def draw(path, batches):
    """Lines of the file, as many as the batches hold, and a batch of others to validate on."""
    with gzip.open(path, "rt", encoding="utf8", newline="\n") as file:
        lines = file.readlines()
    random.Random(1).shuffle(lines)
    return lines[:batches * BATCH], lines[batches * BATCH:(batches + 1) * BATCH]


def texts(lines):
    """Word numbers of each text, cut as ours are: the first quarter and the last three of the longest allowed."""
    rows = [line.rstrip("\n").split("\t", 3) for line in lines]
    words = [re.findall(r"[\w']+|[^\w\s]", row[3].lower().replace("<br />", " ")) for row in rows]
    counts = collections.Counter(word for text in words for word in text)
    number = {word: i + 2 for i, (word, _) in enumerate(counts.most_common(VOCAB))}
    head = LONGEST // 4
    cut = [text if len(text) <= LONGEST else text[:head] + text[-(LONGEST - head):] for text in words]
    return [([number.get(word, 1) for word in text], int(row[0])) for text, row in zip(cut, rows)]


class Net(nn.Module):
    def __init__(self, packed):
        super().__init__()
        self.packed = packed
        self.embed = nn.Embedding(VOCAB + 2, WIDTH, padding_idx=0)
        if packed:
            self.both = nn.LSTM(WIDTH, HIDDEN, batch_first=True, bidirectional=True)
        else:
            self.forth = nn.LSTM(WIDTH, HIDDEN, batch_first=True)
            self.back = nn.LSTM(WIDTH, HIDDEN, batch_first=True)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(4 * HIDDEN, 2)

    def forward(self, x, lengths):
        e = self.drop(self.embed(x))
        real = (x > 0).unsqueeze(-1)
        if self.packed:
            packed = nn.utils.rnn.pack_padded_sequence(e, lengths, batch_first=True, enforce_sorted=False)
            y, _ = nn.utils.rnn.pad_packed_sequence(self.both(packed)[0], batch_first=True)
        else:
            n = lengths.unsqueeze(1)
            t = torch.arange(x.shape[1]).unsqueeze(0)
            turned = torch.where(t < n, n - 1 - t, t).unsqueeze(-1)
            back = self.back(e.gather(1, turned.expand(-1, -1, WIDTH)))[0].gather(1, turned.expand(-1, -1, HIDDEN))
            y = torch.cat([self.forth(e)[0], back], -1) * real
        pooled = torch.cat([y.masked_fill(~real, -1e4).amax(1), y.sum(1) / lengths.unsqueeze(1)], -1)
        return self.out(self.drop(pooled))


class Peer:
    def __init__(self, data, packed):
        torch.manual_seed(1)
        self.net = Net(packed)
        self.optimizer = torch.optim.Adam(self.net.parameters(), 2e-3)
        ordered = sorted(data, key=lambda text: len(text[0]))
        self.batches = [ordered[i:i + BATCH] for i in range(0, len(ordered), BATCH)]

    def words_per_s(self, batches):
        words, began = 0, time.perf_counter()
        for batch in batches:
            lengths = torch.tensor([len(text) for text, _ in batch])
            x = torch.zeros(len(batch), int(lengths.max()), dtype=torch.long)
            for row, (text, _) in zip(x, batch):
                row[:len(text)] = torch.tensor(text)
            loss = F.cross_entropy(self.net(x, lengths), torch.tensor([label for _, label in batch]))
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
            self.optimizer.step()
            words += int(lengths.sum())
        return words / (time.perf_counter() - began)


def ours(lines, held_out, mean_words):
    """Words a second of the program in one pass over the texts, by its own record of texts a second."""
    updates = len(lines) // BATCH
    with tempfile.TemporaryDirectory() as folder:
        path, val = pathlib.Path(folder) / "train.tsv", pathlib.Path(folder) / "val.tsv"
        path.write_text("".join(lines), encoding="utf8")
        val.write_text("".join(held_out), encoding="utf8")
        command = [
            OURS, "train", path, "--val", val, "--header", "no", "--task", "classify-text", "--label-column", "1", "--text-column", "4", "--cell",
            "lstm", "--hidden", str(HIDDEN), "--embedding", str(WIDTH), "--max-len", str(LONGEST), "--batch",
            str(BATCH), "--vocab-size", str(VOCAB), "--vocab-min", "1", "--threads", "1", "--max-steps", str(updates),
            "--log-every", str(updates), "--val-every", "1000000", "--json", "--out", f"{folder}/run",
        ]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ELMAN_")}
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    records = [json.loads(line) for line in run.stdout.splitlines()]
    rates = [r["targets_per_s"] for r in records if r["event"] == "record" and r["targets_per_s"] > 0]
    return rates[0] * mean_words


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("ELMAN_DATA", HERE.parent.parent.parent / "shared/data")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(data) / "sentiment/imdb.train.tsv.gz")
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    if not args.data.exists():
        sys.exit(f"{args.data} is not there: skipped")
    torch.set_num_threads(1)
    lines, held_out = draw(args.data, args.batches)
    data = texts(lines)
    words = sum(len(text) for text, _ in data)
    padded, packed = Peer(data, False), Peer(data, True)
    rates = {"elman": [], "pytorch padded": [], "pytorch packed": []}
    padded.words_per_s(padded.batches[:2]), packed.words_per_s(packed.batches[:1])
    for turn in range(args.turns):
        rates["elman"].append(ours(lines, held_out, words / len(data)))
        rates["pytorch padded"].append(padded.words_per_s(padded.batches[turn::args.turns]))
        rates["pytorch packed"].append(packed.words_per_s(packed.batches[turn::args.turns]))
    medians = {name: statistics.median(all_) for name, all_ in rates.items()}
    ratios = {name: medians["elman"] / median for name, median in medians.items()}
    epoch = words * EPOCH / len(data)
    for name, median in medians.items():
        print(f"{name:16} {median:10,.0f} words/s  {epoch / median:7.1f} s an epoch  ours is {ratios[name]:5.2f}x")
    if args.json:
        result = {"batches": args.batches, "words": words, "rates": rates, "medians": medians, "ratios": ratios}
        args.json.write_text(json.dumps({**result, "torch": torch.__version__}, indent=2))


if __name__ == "__main__":
    main()
