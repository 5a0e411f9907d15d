"""Times of a step as SVG: one panel for each cell, both axes logarithmic, a line for each engine."""

import math

COLORS = {"f32": "#1f6f3f", "int8": "#5fae5f", "tract": "#e0913a", "onnxruntime": "#4878a8", "libtorch": "#b04a4a"}
LABELS = {"f32": "Elman f32", "int8": "Elman int8", "onnxruntime": "ONNX Runtime (C)", "libtorch": "libtorch (C++)"}
PANEL, HEIGHT, LEFT, TOP, BOTTOM = 270, 300, 46, 44, 34


def chart(rows, names):
    cells = list(dict.fromkeys(row["cell"] for row in rows))
    sizes = sorted({row["hidden"] for row in rows})
    times = [t for row in rows for t in row["us"].values()]
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))
    across = lambda h: 12 + (PANEL - 70) * sizes.index(h) / max(len(sizes) - 1, 1)
    up = lambda us: TOP + HEIGHT * (high - math.log10(us)) / (high - low)
    out = []
    for i, cell in enumerate(cells):
        x0 = LEFT + PANEL * i
        out.append(f'<text x="{x0 + 12}" y="{TOP - 8}" font-weight="bold">{cell.upper()}</text>')
        for power in range(low, high + 1):
            y = up(10.0**power)
            out.append(f'<line x1="{x0}" x2="{x0 + PANEL - 46}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
            if i == 0:
                out.append(f'<text x="{x0 - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
        for h in sizes:
            y = TOP + HEIGHT + 16
            out.append(f'<text x="{x0 + across(h):.1f}" y="{y}" text-anchor="middle">{h}</text>')
        for name in names:
            points = [(across(r["hidden"]) + x0, up(r["us"][name])) for r in rows if r["cell"] == cell and name in r["us"]]
            if points:
                line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
                out.append(f'<polyline points="{line}" fill="none" stroke="{COLORS[name]}" stroke-width="2"/>')
                out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLORS[name]}"/>' for x, y in points]
    width, height = LEFT + PANEL * len(cells), TOP + HEIGHT + BOTTOM + 24
    for i, name in enumerate(n for n in names if any(n in row["us"] for row in rows)):
        x, y = LEFT + 130 * i, height - 8
        out.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{COLORS[name]}"/>')
        out.append(f'<text x="{x + 14}" y="{y}">{LABELS.get(name, name)}</text>')
    title = f'<text x="{LEFT}" y="14">microseconds a step, batch 1, one thread, dense input of width H; across: H</text>'
    style = 'font-family="sans-serif" font-size="11" fill="#222222"'
    body = "\n".join([title, *out])
    box = f'width="{width}" height="{height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box} {style}>\n<rect {box} fill="#ffffff"/>\n{body}\n</svg>\n'
