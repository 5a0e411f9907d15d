#!/usr/bin/env python3
"""Records PyTorch's optimisers, gradient clipping and learning-rate schedules: optimizers.json.

Everything in float64. Nothing is stored that a formula gives.

optimizers: 10 parameters, 20 steps; the keys of a case are name, settings and params [20][10], the parameters after
each step. For i = 0 .. 9 the initial parameter is 0.5 * sin(0.37 * i + 1.0), and its gradient in step s = 1 .. 20
is sin(0.37 * i + 1.3 * s). The rules, element by element (w parameter, g gradient, every state 0 at first):

    sgd               v = g at the first step, else v = momentum v + g;  w -= lr v
                      nesterov: w -= lr (g + momentum v);  without momentum: w -= lr g
                      weight_decay d: g += d w first
    adagrad           m += g^2;  w -= lr g / (sqrt(m) + eps)
    rmsprop           m = alpha m + (1 - alpha) g^2;  w -= lr g / (sqrt(m) + eps)
                      momentum: b = momentum b + g / (sqrt(m) + eps);  w -= lr b
                      centered: a = alpha a + (1 - alpha) g;  sqrt(m - a^2) in place of sqrt(m)
    adam              m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
                      w -= lr (m / (1 - b1^s)) / (sqrt(v / (1 - b2^s)) + eps)
                      weight_decay d: g += d w first
    adamw             w -= lr weight_decay w, then Adam's step

clips: three tensors of gradients, element i of tensor k = 0, 1, 2 is amp * sin(0.37 * i + k), of 4, 6 and 2 elements.
    kind "norm":  G = the 2-norm over all tensors; g *= min(1, limit / (G + 1e-6)). Keys: kind, amp, limit, norm (G
                  before), grads (the three lists after).
    kind "value": g = min(max(g, -limit), limit). The same keys without norm.

schedules: the rate of steps k = 0 .. 49 in lr [50], with the base rate 0.1. Keys: name, settings, lr.
    step              0.1 * gamma^floor(k / step_size)
    exponential       0.1 * gamma^k
    warmup_cosine     k < warmup: 0.1 * (k + 1) / warmup
                      else: min_lr + (0.1 - min_lr) * (1 + cos(pi * (k - warmup) / (total - warmup))) / 2
    plateau           ReduceLROnPlateau over metric [50]; lr[k] is the rate after it has seen metric[k].
                      Better (mode min): relative, metric < best * (1 - threshold); absolute, metric < best - threshold;
                      mode max: > best * (1 + threshold), > best + threshold. best starts at +-infinity.
                      Better: best = metric, bad = 0; else bad += 1. While cooling down: cooldown -= 1, bad = 0.
                      bad > patience: lr = max(lr * factor, min_lr) unless that changes it by 1e-8 or less; the cooldown
                      begins; bad = 0.

Run: python optimizers.py [OUTPUT]. Recorded with Python 3.11.7, torch 2.15.0 (CPU); nothing is drawn at random.
"""
import json
import math
import pathlib
import sys
import warnings

import torch
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop, lr_scheduler

STEPS, PARAMS, RATES, BASE = 20, 10, 50, 0.1

OPTIMIZERS = [
    ("sgd", SGD, dict(lr=0.1)),
    ("sgd", SGD, dict(lr=0.1, weight_decay=0.02)),
    ("sgd", SGD, dict(lr=0.1, momentum=0.9)),
    ("sgd", SGD, dict(lr=0.1, momentum=0.9, nesterov=True)),
    ("adagrad", Adagrad, dict(lr=0.1, eps=1e-10)),
    ("rmsprop", RMSprop, dict(lr=0.01, alpha=0.95, eps=1e-8)),
    ("rmsprop", RMSprop, dict(lr=0.01, alpha=0.99, eps=1e-8)),
    ("rmsprop", RMSprop, dict(lr=0.01, alpha=0.95, eps=1e-8, momentum=0.9)),
    ("rmsprop", RMSprop, dict(lr=0.01, alpha=0.95, eps=1e-8, centered=True)),
    ("adam", Adam, dict(lr=0.01, betas=[0.9, 0.999], eps=1e-8)),
    ("adam", Adam, dict(lr=0.01, betas=[0.9, 0.99], eps=1e-8, weight_decay=0.02)),
    ("adamw", AdamW, dict(lr=0.01, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.02)),
]

# Falls, stalls, falls by less than the threshold, gets worse, falls again, and stays.
METRIC = [2.0, 1.8, 1.7, 1.75, 1.72, 1.71, 1.705, 1.6999, 1.5, 1.5, 1.49999, 1.49998, 1.52, 1.4, 1.39]
METRIC += [1.45, 1.44, 1.43, 1.42, 1.41, 1.40, 1.395, 1.391, 1.3, 1.2, 1.25, 1.21, 1.205, 1.1995, 1.19]
METRIC += [1.19] * 20

PLATEAUS = [
    dict(mode="min", factor=0.5, patience=3, threshold=1e-4, threshold_mode="rel", cooldown=0, min_lr=1e-3),
    dict(mode="min", factor=0.1, patience=2, threshold=0.01, threshold_mode="abs", cooldown=2, min_lr=0.0),
    dict(mode="max", factor=0.5, patience=5, threshold=1e-4, threshold_mode="rel", cooldown=0, min_lr=0.0),
]


def wave(n, shift, amp=1.0):
    """amp * sin(0.37 * i + shift) for i = 0 .. n - 1."""
    return torch.tensor([amp * math.sin(0.37 * i + shift) for i in range(n)], dtype=torch.float64)


def optimizer(name, kind, settings):
    w = torch.nn.Parameter(wave(PARAMS, 1.0, 0.5))
    rule = kind([w], **{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})
    params = []
    for s in range(1, STEPS + 1):
        w.grad = wave(PARAMS, 1.3 * s)
        rule.step()
        params.append(w.tolist())
    return dict(name=name, settings=settings, params=params)


def clip(kind, amp, limit):
    tensors = [torch.nn.Parameter(torch.zeros(n, dtype=torch.float64)) for n in (4, 6, 2)]
    for k, w in enumerate(tensors):
        w.grad = wave(len(w), k, amp)
    out = dict(kind=kind, amp=amp, limit=limit)
    if kind == "norm":
        out["norm"] = torch.nn.utils.clip_grad_norm_(tensors, limit).item()
    else:
        torch.nn.utils.clip_grad_value_(tensors, limit)
    return out | dict(grads=[w.grad.tolist() for w in tensors])


def schedule(name, settings, make):
    rule = SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    scheduler = make(rule)
    lr = []
    for _ in range(RATES):
        lr.append(rule.param_groups[0]["lr"])
        scheduler.step()
    return dict(name=name, settings=settings, lr=lr)


def plateau(settings):
    rule = SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    scheduler = lr_scheduler.ReduceLROnPlateau(rule, **settings)
    lr = []
    for metric in METRIC:
        scheduler.step(metric)
        lr.append(rule.param_groups[0]["lr"])
    return dict(name="plateau", settings=settings, metric=METRIC, lr=lr)


def warmup_cosine(warmup, total, min_lr):
    def factor(k):
        if k < warmup:
            return (k + 1) / warmup
        cosine = (1 + math.cos(math.pi * (k - warmup) / (total - warmup))) / 2
        return (min_lr + (BASE - min_lr) * cosine) / BASE

    return factor


def main():
    warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*before.*optimizer.step.*")
    torch.set_num_threads(1)
    cosine = dict(warmup=10, total=50, min_lr=0.001)
    schedules = [
        schedule("step", dict(step_size=10, gamma=0.5), lambda r: lr_scheduler.StepLR(r, 10, 0.5)),
        schedule("exponential", dict(gamma=0.9), lambda r: lr_scheduler.ExponentialLR(r, 0.9)),
        schedule("warmup_cosine", cosine, lambda r: lr_scheduler.LambdaLR(r, warmup_cosine(**cosine))),
    ]
    record = {
        "optimizers": [optimizer(*case) for case in OPTIMIZERS],
        "clips": [clip("norm", 3.0, 5.0), clip("norm", 1.0, 5.0), clip("value", 3.0, 0.5), clip("value", 0.3, 0.5)],
        "schedules": schedules + [plateau(settings) for settings in PLATEAUS],
    }
    default = pathlib.Path(__file__).with_suffix(".json")
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    path.write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
