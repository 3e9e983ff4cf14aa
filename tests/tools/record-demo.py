#!/usr/bin/env python3
"""Records `bartizan demo` for the README: runs it in a terminal of its own and keeps what it shows, as text in
README.md and as a picture in docs/demo.svg. Nothing is edited; run it again when the output changes.

Usage: record-demo.py [PROGRAM]
"""

import fcntl
import html
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COLUMNS = 100
LAST = "Ctrl-C"  # the line that ends it
RUN = re.compile(r"\S+(?: \S+)*")  # what stands together, without the spaces between columns
STYLE = re.compile(r"\x1b\[(\d+)m")
FENCE = re.compile(r"(<!-- demo recording -->.*?```text\n).*?(```\n)", re.S)

CELL, LINE, SIZE, EDGE = 8.4, 20, 14, 24
COLOURS = {"plain": "#d8dee9", "1": "#ffffff", "2": "#7b8597", "31": "#ff7b72", "32": "#7ee787", "33": "#e3b341"}


def main() -> None:
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    program = sys.argv[1] if len(sys.argv) > 1 else str(pathlib.Path(target, "debug", "bartizan"))
    lines = ["\x1b[2m$\x1b[0m \x1b[1mbartizan demo\x1b[0m", *record(program)]
    (ROOT / "docs" / "demo.svg").write_text(picture(lines))
    text = "".join(STYLE.sub("", line).rstrip() + "\n" for line in lines)
    readme = ROOT / "README.md"
    changed, times = FENCE.subn(lambda found: found[1] + text + found[2], readme.read_text())
    if times != 1:
        sys.exit("README.md has no place for the recording")
    readme.write_text(changed)


def record(program: str) -> list[str]:
    """The lines it shows on a terminal, with their styles."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environment["TERM"] = "xterm-256color"
    child = subprocess.Popen(["bartizan", "demo"], executable=program, stdout=its, env=environment)
    os.close(its)
    shown = b""
    try:
        while LAST.encode() not in shown or not shown.endswith(b"\n"):
            piece = os.read(ours, 65536)
            if not piece:
                sys.exit("it ended too early")
            shown += piece
    finally:
        child.send_signal(signal.SIGINT)
        status = child.wait(timeout=60)
    if status != 0:
        sys.exit(f"the demo ended with status {status}, so this is no picture to show")
    return shown.decode().replace("\r\n", "\n").rstrip("\n").split("\n")


def picture(lines: list[str]) -> str:
    """The lines as SVG, each piece of one style pinned to its columns whatever the font."""
    width, height = round(COLUMNS * CELL + 2 * EDGE), len(lines) * LINE + 2 * EDGE
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="bartizan demo">',
        f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>',
        f'<g font-family="SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" '
        f'font-size="{SIZE}" fill="{COLOURS["plain"]}">',
    ]
    for row, line in enumerate(lines):
        y, column = EDGE + row * LINE + SIZE, 0
        for style, text in pieces(line):
            for run in RUN.finditer(text):
                at, wide = column + cells(text[: run.start()]), cells(run[0])
                colour = f' fill="{COLOURS[style]}"' if style else ""
                weight = ' font-weight="bold"' if style == "1" else ""
                place = f'x="{EDGE + at * CELL:.1f}" y="{y}" textLength="{wide * CELL:.1f}"'
                out.append(f"<text {place}{colour}{weight}>{html.escape(run[0], quote=False)}</text>")
            column += cells(text)
    return "\n".join([*out, "</g>", "</svg>"]) + "\n"


def pieces(line: str) -> list[tuple[str, str]]:
    """A line as texts with the code of their style; empty for none."""
    parts = STYLE.split(line)
    styles = ["", *("" if code == "0" else code for code in parts[1::2])]
    return [(style, text) for style, text in zip(styles, parts[::2]) if text]


def cells(text: str) -> int:
    """Columns of a terminal that a text takes."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


if __name__ == "__main__":
    main()
