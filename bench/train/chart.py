"""A bar chart as SVG: how many times faster than PyTorch, a bar for each case and number of threads."""

COLORS = {1: "#4878a8", 2: "#e0913a"}
LEFT, WIDTH, BAR, GAP = 210, 760, 13, 9


def bar_chart(rows):
    cases = list(dict.fromkeys(row["case"] for row in rows))
    threads = sorted({row["threads"] for row in rows})
    largest = max(row["ratio"] for row in rows)
    scale = (WIDTH - LEFT - 60) / max(largest, 1.0)
    out = []
    y = 34
    for case in cases:
        of_case = [row for row in rows if row["case"] == case]
        middle = y + BAR * len(of_case) / 2 + 4
        out.append(f'<text x="{LEFT - 8}" y="{middle:.0f}" text-anchor="end">{case}</text>')
        for row in sorted(of_case, key=lambda row: row["threads"]):
            width = row["ratio"] * scale
            color = COLORS.get(row["threads"], "#888888")
            out.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 1}" fill="{color}"/>')
            out.append(f'<text x="{LEFT + width + 4:.1f}" y="{y + BAR - 3}">{row["ratio"]:.2f}</text>')
            y += BAR
        y += GAP
    one = LEFT + scale
    legend = "".join(
        f'<rect x="{LEFT + 110 * i}" y="8" width="10" height="10" fill="{COLORS.get(n, "#888888")}"/>'
        f'<text x="{LEFT + 14 + 110 * i}" y="17">{n} thread{"s" if n > 1 else ""}</text>'
        for i, n in enumerate(threads)
    )
    title = f'<text x="{WIDTH - 10}" y="17" text-anchor="end">times as fast as PyTorch (line: equal)</text>'
    line = f'<line x1="{one:.1f}" y1="26" x2="{one:.1f}" y2="{y}" stroke="#444444" stroke-dasharray="3 3"/>'
    style = 'font-family="sans-serif" font-size="11" fill="#222222"'
    body = "\n".join([legend, title, *out, line])
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 8}" {style}>\n{body}\n</svg>\n'
