#!/usr/bin/env python3
"""Writes the texts with personal data that the detector is measured on: `crates/detect/tests/personal/*.jsonl`.

The texts stand in `personal/*.txt` beside this, each under a line `### ID`, with every personal datum marked in place:
`{PERSON:Anna Schuster}`, or `{IBAN:=de}` for a number that `personal/numbers.py` makes. What is not marked is no
personal datum of the types below. The offsets in the output are of bytes in UTF-8.

Usage: build_personal.py [--check]
With --check nothing is written, and files that are not what would be written are an error.
"""

from __future__ import annotations

import collections
import json
import pathlib
import re
import sys

sys.dont_write_bytecode = True
from personal import numbers  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
OUTPUT = HERE.parent.parent / "crates" / "detect" / "tests" / "personal"
TYPES = [
    "PERSON", "EMAIL", "PHONE", "IBAN", "CARD", "NATIONAL_ID", "PASSPORT", "TAX_ID", "IP", "MAC", "DATE_OF_BIRTH",
    "ADDRESS", "HEALTH_ID", "BANK_ID", "DRIVING_LICENCE",
]  # fmt: skip
MARK = re.compile(r"\{(" + "|".join(TYPES) + r"):([^{}]+)\}")
SHORT = {"IBAN": "iban/", "CARD": "card/"}  # of these a country or a brand is enough
STRAY = re.compile(r"\{[A-Z_]{2,}:|=[a-z]{2}\.[a-z]")


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    stale, total, seen, kinds = 0, collections.Counter(), set(), set()
    for source in sorted((HERE / "personal").glob("*.txt")):
        rows = [row(name, source.stem, text, kinds) for name, text in templates(source)]
        names = {one["id"] for one in rows}
        if len(names) != len(rows) or names & seen:
            raise SystemExit(f"{source.name}: an id is there twice")
        seen |= names
        written = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows)
        target = OUTPUT / f"{source.stem}.jsonl"
        if not check:
            OUTPUT.mkdir(parents=True, exist_ok=True)
            target.write_text(written, encoding="utf-8")
        elif not target.exists() or target.read_text(encoding="utf-8") != written:
            print(f"{target.name} is not what its texts say; run {pathlib.Path(__file__).name}")
            stale += 1
        types = collections.Counter(span["type"] for one in rows for span in one["spans"])
        total += types
        empty = sum(not one["spans"] for one in rows)
        print(f"{source.stem}: {len(rows)} texts, {empty} without personal data, {types.total()} data")
    print(", ".join(f"{name} {count}" for name, count in total.most_common()))
    countries = {kind.partition(".")[0] for kind in kinds}
    print(f"national identifiers of {len(countries)} countries: {' '.join(sorted(kinds))}")
    return 1 if stale else 0


def templates(source: pathlib.Path) -> list[tuple[str, str]]:
    parts = re.split(r"^### (\S+)\n", source.read_text(encoding="utf-8"), flags=re.M)
    return [(name, text.strip("\n")) for name, text in zip(parts[1::2], parts[2::2], strict=True)]


def row(name: str, language: str, template: str, kinds: set[str]) -> dict:
    text, spans, at = "", [], 0
    for mark in MARK.finditer(template):
        text += template[at : mark.start()]
        at, value = mark.end(), mark[2]
        if value.startswith("="):
            kinds |= {re.split(r"[/~#]", value[1:])[0]} if mark[1] == "NATIONAL_ID" else set()
            value = numbers.number(name, SHORT.get(mark[1], "") + value[1:])
        start = len(text.encode())
        text += value
        spans.append({"start": start, "end": start + len(value.encode()), "type": mark[1]})
    text += template[at:]
    if STRAY.search(text):
        raise SystemExit(f"{name}: a mark is not understood")
    return {"id": name, "lang": language, "text": text, "spans": spans}


if __name__ == "__main__":
    sys.exit(main())
