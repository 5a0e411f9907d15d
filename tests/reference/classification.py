#!/usr/bin/env python3
"""Records classification metrics from their formulas in numpy: classification.json.

confusions: truth [N], predicted [N], classes C; matrix[t, p] counts. Per class k: precision = matrix[k, k] / column
    sum, recall = matrix[k, k] / row sum, f1 = 2 precision recall / (precision + recall), each 0 where the denominator
    is. accuracy = trace / N; macro_f1 = the mean of f1 over the classes in truth or predicted.
rankings: scores [N], truths [N]. auc: the mean over (positive, negative) pairs of 1 if the positive scores higher, 1/2 if
    equal. average_precision: over distinct scores from the highest, (recall - recall before) * precision.
calibrations: logits [N, C], targets [N]. nll at temperature t: the mean of logsumexp(z / t) - z_target / t; temperature:
    its minimum in 0.01 to 100 (a grid of log t refined 12 times); ece: 15 bins (lower, upper] of the top probability.
    confidence and correct are what the ece is made of.

Run: python classification.py [OUTPUT]. Recorded with Python 3.11.7, numpy 2.4.6; the generator is seeded.
"""
import json
import pathlib
import sys

import numpy as np


def ratio(a, b):
    return np.divide(a, b, out=np.zeros(np.shape(a)), where=np.asarray(b) > 0)


def confusion(rng, classes, n):
    truth, predicted = rng.integers(0, classes, n), rng.integers(0, classes, n)
    same = rng.random(n) < 0.5
    predicted[same] = truth[same]
    matrix = np.zeros((classes, classes))
    np.add.at(matrix, (truth, predicted), 1)
    precision, recall = ratio(np.diag(matrix), matrix.sum(0)), ratio(np.diag(matrix), matrix.sum(1))
    f1 = ratio(2 * precision * recall, precision + recall)
    seen = np.union1d(truth, predicted)
    return {"classes": classes, "truth": truth.tolist(), "predicted": predicted.tolist(),
            "precision": precision.tolist(), "recall": recall.tolist(), "f1": f1.tolist(),
            "accuracy": float(np.trace(matrix) / n), "macro_f1": float(f1[seen].mean())}


def ranking(rng, n, ties):
    truths = rng.random(n) < 0.4
    truths[:2] = [True, False]
    scores = rng.normal(size=n) + truths
    scores = np.round(scores, 1) if ties else scores
    difference = scores[truths][:, None] - scores[~truths][None, :]
    area, before, total = 0.0, 0.0, truths.sum()
    for score in np.unique(scores)[::-1]:
        called = scores >= score
        recall = truths[called].sum() / total
        area, before = area + (recall - before) * truths[called].mean(), recall
    return {"scores": scores.tolist(), "truths": truths.tolist(),
            "auc": float(np.mean((difference > 0) + 0.5 * (difference == 0))), "average_precision": float(area)}


def calibration(rng, n, classes, scale):
    logits = rng.normal(size=(n, classes)) * scale
    targets = np.where(rng.random(n) < 0.7, logits.argmax(1), rng.integers(0, classes, n))

    def nll(t):
        z = logits / t
        top = z.max(1, keepdims=True)
        return np.mean(np.log(np.exp(z - top).sum(1)) + top[:, 0] - z[np.arange(n), targets])

    low, high = np.log(0.01), np.log(100.0)
    for _ in range(12):
        grid = np.linspace(low, high, 41)
        best = int(np.argmin([nll(np.exp(t)) for t in grid]))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 40)]
    temperature = float(np.exp(grid[best]))
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    confidence, correct = p.max(1), p.argmax(1) == targets
    ece = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            ece += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
    return {"logits": logits.ravel().tolist(), "classes": classes, "targets": targets.tolist(), "temperature": temperature,
            "nll": float(nll(temperature)), "confidence": confidence.tolist(), "correct": correct.tolist(),
            "ece": float(ece)}


def main():
    rng = np.random.default_rng(7)
    recorded = {
        "confusions": [confusion(rng, c, n) for c, n in [(2, 10), (3, 50), (5, 7), (10, 400), (40, 60), (2, 1)]],
        "rankings": [ranking(rng, n, ties) for n in [2, 9, 80, 300] for ties in [False, True]],
        "calibrations": [calibration(rng, n, c, s) for n, c, s in [(40, 2, 1.0), (120, 5, 4.0), (60, 3, 0.1)]],
    }
    output = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent / "classification.json"
    with open(output, "w") as file:
        json.dump(recorded, file, separators=(",", ":"))
        file.write("\n")


main()
