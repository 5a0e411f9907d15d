"""Draws what a terminal shows as an SVG: for the picture in the README.

    tmux new-session -d -x 100 -y 30 -s run 'elman train book.txt'
    tmux capture-pane -ept run | python3 scripts/terminal_svg.py > docs/train.svg
"""

import re
import sys
from html import escape

WIDTH, HEIGHT = 8.4, 18  # of a character, in pixels
COLOURS = dict(zip(range(30, 38), "#45475a #e06c75 #7fb069 #d9a441 #5b9bd5 #b07cc6 #56b6c2 #d7dae0".split()))
COLOURS |= dict(zip(range(90, 98), "#7f848e #f28b82 #a3d977 #f2c96b #82b6e8 #cf9fe0 #7fd6de #ffffff".split()))
CUBE = [0, 95, 135, 175, 215, 255]


def indexed(n):
    """The colour of a number of the 256."""
    if n < 16:
        return COLOURS[(30 if n < 8 else 82) + n]
    if n >= 232:
        return "#%02x%02x%02x" % ((8 + 10 * (n - 232),) * 3)
    n -= 16
    return "#%02x%02x%02x" % (CUBE[n // 36], CUBE[n // 6 % 6], CUBE[n % 6])


def dots(text, left, top):
    """The dots of Braille characters as a path: not every font has them."""
    for column, char in enumerate(text):
        bits = ord(char) - 0x2800
        for bit, (x, y) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]):
            if 0 <= bits < 256 and bits >> bit & 1:
                yield f"M{left + (column + x / 2 + 0.25) * WIDTH - 1:.1f} {top + (y + 0.5) * HEIGHT / 4 - 1:.1f}h2v2h-2z"


def main():
    lines = sys.stdin.read().rstrip("\n").split("\n")
    columns = max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines)
    width, height = columns * WIDTH + 24, len(lines) * HEIGHT + 24
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-family="monospace" font-size="14">')
    print(f'<rect width="{width:.0f}" height="{height}" rx="6" fill="#1e2127"/>')
    colour, bold = "#d7dae0", False
    for row, line in enumerate(lines):
        column = 0
        for part in re.split(r"(\x1b\[[0-9;]*m)", line):
            if part.startswith("\x1b"):
                codes = [int(code or 0) for code in part[2:-1].split(";")]
                while codes:
                    code = codes.pop(0)
                    if code == 0:
                        colour, bold = "#d7dae0", False
                    elif code == 1:
                        bold = True
                    elif code == 38 and codes[:1] == [5]:
                        colour, codes = indexed(codes[1]), codes[2:]
                    elif code == 38 and codes[:1] == [2]:
                        colour, codes = "#%02x%02x%02x" % tuple(codes[1:4]), codes[4:]
                    elif code == 39:
                        colour = "#d7dae0"
                    elif code in COLOURS:
                        colour = COLOURS[code]
            elif part:
                if path := "".join(dots(part, 12 + column * WIDTH, 12 + row * HEIGHT)):
                    print(f'<path d="{path}" fill="{colour}"/>')
                part = re.sub("[\u2800-\u28ff]", " ", part)
                if part.strip():
                    weight = ' font-weight="bold"' if bold else ""
                    print(
                        f'<text x="{12 + column * WIDTH:.1f}" y="{26 + row * HEIGHT}" fill="{colour}"{weight} '
                        f'textLength="{len(part) * WIDTH:.1f}" xml:space="preserve">{escape(part)}</text>'
                    )
                column += len(part)
    print("</svg>")


main()
