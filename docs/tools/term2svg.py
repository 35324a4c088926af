#!/usr/bin/env python3
"""Runs a command on a terminal of its own and writes what it printed, colours included, as an SVG.

    docs/tools/term2svg.py OUT.svg [--columns N] [--show TEXT] -- COMMAND ARG...

The picture holds the command (or TEXT) after a prompt, then the real output: nothing is edited. Needs Python 3
only. docs/tools/pictures.sh makes all pictures in docs/img.
"""

import argparse
import fcntl
import html
import os
import pty
import re
import struct
import sys
import termios
import unicodedata

WIDTH, HEIGHT, PAD = 8.4, 18, 14
BACKGROUND, FOREGROUND = "#1b1d23", "#d7dae0"
BASIC = [
    "#3f4451", "#e05561", "#8cc265", "#d18f52", "#4aa5f0", "#c162de", "#42b3c2", "#d7dae0",
    "#7f848e", "#ff616e", "#a5e075", "#f0a45d", "#4dc4ff", "#de73ff", "#4cd1e0", "#ffffff",
]


def palette(number):
    """Colour number 0 to 255 as terminals number them."""
    if number < 16:
        return BASIC[number]
    if number < 232:
        number -= 16
        steps = [0, 95, 135, 175, 215, 255]
        return "#%02x%02x%02x" % (steps[number // 36], steps[number // 6 % 6], steps[number % 6])
    return "#%02x%02x%02x" % ((8 + 10 * (number - 232),) * 3)


def run(command, columns):
    """The bytes the command writes to a terminal of this width."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(columns), LC_ALL="C.UTF-8", PAGER="cat")
        os.environ.pop("NO_COLOR", None)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            print(f"{command[0]}: {error.strerror}")
            os._exit(127)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    output = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        output += piece
    os.waitpid(pid, 0)
    return output.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "")


def restyle(style, numbers):
    """What a "select graphic rendition" sequence makes of a style."""
    style, numbers = dict(style), list(numbers or [0])
    while numbers:
        number = numbers.pop(0)
        if number == 0:
            style = {}
        elif number in (1, 2, 3, 4):
            style["bold dim italic underline".split()[number - 1]] = True
        elif number == 22:
            style.pop("bold", None), style.pop("dim", None)
        elif number in (23, 24):
            style.pop({23: "italic", 24: "underline"}[number], None)
        elif 30 <= number <= 37 or 90 <= number <= 97:
            style["colour"] = BASIC[number - 30 if number < 90 else number - 82]
        elif number == 38 and numbers[:1] == [5]:
            style["colour"] = palette(numbers[1])
            del numbers[:2]
        elif number == 38 and numbers[:1] == [2]:
            style["colour"] = "#%02x%02x%02x" % tuple(numbers[1:4])
            del numbers[:4]
        elif number == 39:
            style.pop("colour", None)
    return style


def cells(text):
    """How many columns of a terminal the text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def lines(text):
    """Each line as a list of (style, column, text)."""
    style, column, line = {}, 0, []
    for piece in re.split(r"(\x1b\[[0-9;]*[A-Za-z]|\x1b\][^\x07]*(?:\x07|\x1b\\)|\n)", text):
        if piece == "\n":
            yield line
            column, line = 0, []
        elif piece.startswith("\x1b["):
            if piece.endswith("m"):
                style = restyle(style, [int(n or 0) for n in piece[2:-1].split(";")])
        elif piece and not piece.startswith("\x1b"):
            piece = piece.expandtabs(8)
            line.append((style, column, piece))
            column += cells(piece)
    if line:
        yield line


def svg(rows, title):
    """The picture."""
    columns = max(column + cells(text) for row in rows for _, column, text in row)
    width, height = columns * WIDTH + 2 * PAD, len(rows) * HEIGHT + 2 * PAD
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-size="14" '
        'font-family="DejaVu Sans Mono, Liberation Mono, Consolas, Menlo, monospace">'
    )
    yield f"<title>{html.escape(title)}</title>"
    yield f'<rect width="100%" height="100%" rx="6" fill="{BACKGROUND}"/>'
    for number, row in enumerate(rows):
        for style, column, text in row:
            if not text.strip():
                continue
            shown = [f'fill="{style.get("colour", FOREGROUND)}"']
            if style.get("bold"):
                shown.append('font-weight="bold"')
            if style.get("dim"):
                shown.append('opacity="0.65"')
            if style.get("italic"):
                shown.append('font-style="italic"')
            if style.get("underline"):
                shown.append('text-decoration="underline"')
            yield (
                f'<text x="{PAD + column * WIDTH:.1f}" y="{PAD + number * HEIGHT + 13.5:.1f}" '
                f'textLength="{cells(text) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs" xml:space="preserve" '
                f'{" ".join(shown)}>{html.escape(text)}</text>'
            )
    yield "</svg>"


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("out")
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--show")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    shown = arguments.show or " ".join(arguments.command)
    output = run(arguments.command, arguments.columns).rstrip("\n")
    rows = list(lines(f"\x1b[1;32m$\x1b[0m \x1b[1m{shown}\x1b[0m\n{output}"))
    with open(arguments.out, "w", encoding="utf-8") as file:
        file.write("\n".join(svg(rows, shown)) + "\n")


if __name__ == "__main__":
    sys.exit(main())
