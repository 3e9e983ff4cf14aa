#!/usr/bin/env python3
"""Puts the figures of a run into the page about benchmarks and into the README: `python3 bench/publish.py [bench.jsonl]`.

Only what stands between the two markers of each file is written; the words around it are written by hand and may need
to be, after it.
"""

import json
import re
import sys
from pathlib import Path

import report

ROOT = Path(__file__).resolve().parent.parent
PEERS = ["direct", report.FLOOR, report.BUSY, "nginx", report.GATEWAY, report.FRESH]
NAMES = {report.FLOOR: "a bare hyper proxy", "nginx": "nginx",
         report.BUSY: f"the same, busy for {report.BUSY_US} µs a call besides",
         report.GATEWAY: "**Bartizan**, guards as by default, every message recorded",
         report.FRESH: "**Bartizan**, and no text twice"}
MARKED = re.compile(r"(<!-- bench begin -->\n).*?(\n<!-- bench end -->)", re.S)


def page(lines):
    """All figures, as the page about benchmarks has them."""
    results, run = report.Results(lines), next(line for line in lines if line["kind"] == "run")
    rounds, seconds = run["rounds"], run["seconds"]
    origin = (f"These are from an {run['machine']}, {run['date']}; {rounds} round{'s' if rounds != 1 else ''} "
              f"of {seconds:g} s for each cell, medians.")
    payloads = list(report.SIZES)
    connections = sorted({cell[2] for cell in results.cells})
    verdicts = "\n".join(f"- {line}" for *_, line in report.verdicts(results))
    parts = [origin, report.cell_tables(results, PEERS, payloads, connections), report.stage_tables(results, payloads),
             report.start_table(results, PEERS), report.stdio_table(results, ["direct", report.GATEWAY], payloads),
             f"### Targets\n\n{verdicts}"]
    return "\n\n".join(parts).replace("### ", "## ")


def summary(lines):
    """The few figures of the README."""
    results = report.Results(lines)
    rows = [summary_row(results, peer, payload) for payload in report.STAGED for peer in PEERS[1:]
            if (peer, payload, 16) in results.cells]
    heads = ["16 connections", "requests/s", "p99", "CPU a call", "of the bare proxy's requests/s"]
    start = report.figure(results.start(report.GATEWAY, "first_answer_ms"))
    idle = report.figure(results.start(report.GATEWAY, "idle_rss_mib"))
    most = report.figure(results.cell(report.GATEWAY, 1_000_000, 64, "peak_mib"))
    missed = any(met is False for _, _, met, _ in report.verdicts(results))
    pages = f"All figures{', with what is missed' if missed else ''}: [benchmarks](docs/src/benchmarks.md)."
    return (f"{report.table(heads, rows)}\n\nFirst answer {start} ms after start; {idle} MiB resident when idle, "
            f"{most} MiB with 64 connections of 1 MB. {pages}")


def summary_row(results, peer, payload):
    def get(name, form="{:,.0f}"):
        return report.figure(results.cell(peer, payload, 16, name), form)

    share = report.figure(results.ratio(peer, payload, 16, "per_second"), "{:.2f}")
    return [f"{report.SIZES[payload]}: {NAMES[peer]}", get("per_second"), get("p99_us", "{:,.0f} µs"),
            get("cpu_us", "{:,.1f} µs"), share]


def between(text, figures):
    """The text with `figures` between its markers."""
    found, times = MARKED.subn(lambda marks: marks[1] + figures + marks[2], text)
    if times != 1:
        raise ValueError(f"{times} places between markers instead of one")
    return found


def main():
    measured = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "target/bench.jsonl"
    lines = [json.loads(line) for line in measured.read_text().splitlines()]
    for name, figures in [("docs/src/benchmarks.md", page(lines)), ("README.md", summary(lines))]:
        path = ROOT / name
        path.write_text(between(path.read_text(), figures))


if __name__ == "__main__":
    main()
