#!/usr/bin/env python3
"""Makes the example tables beside it: the same numbers at every run.

plants*.csv: a plant a row, of numbers and of words, some of them missing ("?"): does it thrive, how high is it?
machine*.csv: three sensors of a machine, a row a tenth of a second, the rows of a run together: which fault has it?
"""

import math
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent


def plants(rng, rows):
    yield "site,soil,light_hours,rain_mm,age_years,height_cm,thrives"
    for _ in range(rows):
        site, soil = rng.choice(["valley", "slope", "ridge"]), rng.choice(["loam", "clay", "sand"])
        light, rain, age = rng.uniform(2, 12), rng.gauss(600, 150), rng.randint(1, 12)
        wet = rain / 150 + {"valley": 1, "slope": 0, "ridge": -1}[site] + {"loam": 0.5, "clay": 1, "sand": -1}[soil]
        comfort = 1.2 * min(light, 8) - abs(wet - 4.5) * 1.5 + rng.gauss(0, 0.6)
        height = (8 + 2.5 * comfort) * math.sqrt(age) + rng.gauss(0, 3)
        known = lambda text: "?" if rng.random() < 0.06 else text
        thrives = "yes" if comfort > 5.5 else "no"
        cells = [site, known(soil), known(f"{light:.1f}"), known(f"{rain:.0f}"), str(age), f"{max(height, 2):.1f}", thrives]
        yield ",".join(cells)


def machine(rng, runs, first):
    yield "run,vibration_mm_s,temperature_c,current_a,fault"
    for run in range(first, first + runs):
        fault = ["none", "bearing", "belt"][run % 3]
        level, warm, phase = rng.uniform(0.8, 1.6), rng.uniform(38, 46), rng.uniform(0, 6.28)
        for t in range(rng.randint(18, 30)):
            vibration, current = level + 0.2 * math.sin(0.9 * t + phase), 4 + 0.3 * math.sin(0.3 * t + phase)
            if fault == "bearing" and t % 5 == run % 5:
                vibration += 1.1
            if fault == "belt":
                current += 0.5 * math.sin(1.7 * t + phase)
            warm += 0.05 + rng.gauss(0, 0.08)
            vibration, current = vibration + rng.gauss(0, 0.1), current + rng.gauss(0, 0.08)
            temperature = "" if rng.random() < 0.02 else f"{warm:.1f}"
            yield f"r{run},{vibration:.2f},{temperature},{current:.2f},{fault}"


def main():
    rng = random.Random(1)
    for name, lines in [
        ("plants.csv", plants(rng, 400)),
        ("plants.test.csv", plants(rng, 100)),
        ("machine.csv", machine(rng, 90, 1)),
        ("machine.test.csv", machine(rng, 30, 91)),
    ]:
        (HERE / name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
