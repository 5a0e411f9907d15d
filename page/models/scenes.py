#!/usr/bin/env python3
"""Scenes of one or two shapes on a grid of 4 x 4 fields, as features of the fields, and a sentence for each.

    python3 page/models/scenes.py                # writes scenes.npy [5000, 16, 200] and scenes.tsv

The features of a field are its 8 x 8 pixels in red, green and blue with some noise, then its row and column unless it is empty:
those of the program's own scenes (crates/elman/src/data/builtin/scenes.rs).
"""

import array
import csv
import random

SCENES = 5000
GRID, PATCH = 4, 8
SIDE = GRID * PATCH
COLOURS = {
    "red": (0.9, 0.1, 0.1),
    "green": (0.1, 0.8, 0.2),
    "blue": (0.1, 0.2, 0.9),
    "yellow": (0.9, 0.9, 0.1),
    "white": (0.95, 0.95, 0.95),
}
FORMS = {
    "circle": lambda x, y, r: (x * x + y * y) ** 0.5 <= r,
    "square": lambda x, y, r: max(abs(x), abs(y)) <= 0.85 * r,
    "triangle": lambda x, y, r: y <= 0.8 * r and abs(x) <= (y + r) / 1.8,
    "cross": lambda x, y, r: max(abs(x), abs(y)) <= r and min(abs(x), abs(y)) <= 0.4 * r,
}
ROWS = ["one", "two", "three", "four"]


def draw(rng, pixels, colour, form, row, column):
    middle = (PATCH - 1) / 2
    x0, y0 = column * PATCH + middle + rng.uniform(-0.7, 0.7), row * PATCH + middle + rng.uniform(-0.7, 0.7)
    radius = rng.uniform(2.8, 3.6)
    for y in range(row * PATCH, (row + 1) * PATCH):
        for x in range(column * PATCH, (column + 1) * PATCH):
            if FORMS[form](x - x0, y - y0, radius):
                pixels[y * SIDE + x] = COLOURS[colour]


def features(rng, pixels):
    values = []
    for row in range(GRID):
        for column in range(GRID):
            lit = 0.0
            for i in range(PATCH * PATCH):
                pixel = pixels[(row * PATCH + i // PATCH) * SIDE + column * PATCH + i % PATCH]
                lit = max(lit, float(any(pixel)))
                values.extend(value + rng.gauss(0.0, 0.05) for value in pixel)
            values.extend(lit * (k == row) for k in range(GRID))
            values.extend(lit * (k == column) for k in range(GRID))
    return values


def main():
    rng = random.Random(1)
    values, captions = array.array("f"), []
    for scene in range(SCENES):
        fields = sorted(rng.sample(range(GRID * GRID), 1 if rng.random() < 0.2 else 2))
        pixels, words = [(0.0, 0.0, 0.0)] * (SIDE * SIDE), []
        for field in fields:
            colour, form = rng.choice(list(COLOURS)), rng.choice(list(FORMS))
            draw(rng, pixels, colour, form, field // GRID, field % GRID)
            words.append(f"a {colour} {form} in row {ROWS[field // GRID]}")
        values.extend(features(rng, pixels))
        captions.append((scene, "dev" if scene % 20 == 0 else "train", " and ".join(words)))
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({SCENES}, {GRID * GRID}, {len(values) // SCENES // GRID // GRID}), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open("scenes.npy", "wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        values.tofile(out)
    with open("scenes.tsv", "w", newline="") as out:
        table = csv.writer(out, delimiter="\t", lineterminator="\n")
        table.writerow(["image", "split", "caption"])
        table.writerows(captions)


main()
