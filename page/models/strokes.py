#!/usr/bin/env python3
"""Strokes as a hand draws them, 30 points a second, each labelled with what is being drawn: still, line, circle, zigzag.

    python3 page/models/strokes.py > strokes.csv

Columns: the stroke, the steps in x and y since the point before (thousandths of the width of the field), the label.
"""

import csv
import math
import random
import sys

STROKES = 700
POINTS = 200


def segment(rng, points, heading):
    """The directions and speeds of `points` points of one kind, and the heading at their end."""
    kind = rng.choice(["still", "line", "line", "circle", "circle", "zigzag", "zigzag"])
    speed = math.exp(rng.uniform(math.log(5.0), math.log(45.0)))
    steps = []
    if kind == "still":
        return kind, [(0.0, 0.0)] * points, heading
    if kind == "line":
        heading += rng.uniform(-2.6, 2.6)
        bend = rng.gauss(0.0, 0.012)
        for _ in range(points):
            heading += bend
            steps.append((heading, speed * rng.uniform(0.8, 1.2)))
    elif kind == "circle":
        # From a radius of 3 % to 20 % of the width.
        radius = rng.uniform(30.0, 200.0)
        turn = rng.choice([-1, 1]) * min(max(speed / radius, 0.11), 0.8)
        oval, phase = rng.uniform(0.0, 0.35), rng.uniform(0.0, math.tau)
        for at in range(points):
            heading += turn * (1.0 + oval * math.cos(2 * turn * at + phase))
            steps.append((heading, speed * (1.0 + 0.4 * oval * math.sin(2 * turn * at + phase))))
    else:
        period, opening = rng.randint(3, 9), rng.uniform(1.6, 2.9)
        middle, side, left = heading + rng.uniform(-0.5, 0.5), rng.choice([-1, 1]), 0
        for at in range(points):
            if left == 0:
                side, left = -side, max(2, period + rng.randint(-1, 1))
            left -= 1
            slow = 0.55 if left == 0 else 1.0
            steps.append((middle + side * opening / 2 + rng.gauss(0.0, 0.06), speed * slow * rng.uniform(0.8, 1.2)))
        heading = middle
    return kind, steps, heading


def stroke(rng):
    points, heading = [], rng.uniform(0.0, math.tau)
    while len(points) < POINTS:
        kind, steps, heading = segment(rng, rng.randint(24, 80), heading)
        for direction, speed in steps:
            tremor = 0.4 + 0.03 * speed
            dx = speed * math.cos(direction) + rng.gauss(0.0, tremor)
            dy = speed * math.sin(direction) + rng.gauss(0.0, tremor)
            if kind == "still":
                dx, dy = (0.0, 0.0) if rng.random() < 0.85 else (rng.gauss(0.0, 0.8), rng.gauss(0.0, 0.8))
            points.append((round(dx, 1), round(dy, 1), kind))
    return points[:POINTS]


def main():
    rng = random.Random(1)
    table = csv.writer(sys.stdout)
    table.writerow(["stroke", "dx", "dy", "label"])
    for number in range(STROKES):
        for dx, dy, kind in stroke(rng):
            table.writerow([number, dx, dy, kind])


main()
