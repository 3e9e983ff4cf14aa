#!/usr/bin/env python3
"""Measures what confining a server costs: the same server over stdio, by itself, behind Bartizan unconfined, and at each
level whose runtime is installed, in one run.

Each round visits every level before the next one. Load and client share a core; Bartizan and the server have another.
Builds nothing: the binaries are those of the release directory.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import report
from run import HERE, Bench, machine, on_core

PAYLOADS = [1024, 10_000]
ALONE, PLAIN = "the server alone", "unconfined"
# The level, the words of the command line, and the program that it needs.
# What is unconfined is measured twice in each round: by so much two figures of the same thing differ.
LEVELS = [(PLAIN, ["--level", "none", "--allow-unconfined"], None), ("process", ["--sandbox"], None),
          ("unconfined, again", ["--level", "none", "--allow-unconfined"], None), ("process, with a way out", [], None),
          ("container (runc)", ["--level", "container", "--runtime", "runc"], "runc"),
          ("container (crun)", ["--level", "container", "--runtime", "crun"], "crun"), ("vm (runsc)", ["--level", "vm"], "runsc")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("release", nargs="?", type=Path, default=HERE.parent / "target/release", help="release directory")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="measured time of each cell")
    parser.add_argument("--starts", type=int, default=10, help="starts of each level in each round")
    parser.add_argument("--only", help="words of a level: no other but the unconfined one")
    options = parser.parse_args()
    options.release, options.warmup, options.protocol = options.release.resolve(), 0.3, "2025-11-25"
    return options


def commands(bench):
    server = [bench.options.release / "bench-stdio"]
    bartizan = [bench.options.release / "bartizan", "run", "--standalone"]
    found = {ALONE: on_core(bench.far, server)}
    for name, words, program in LEVELS:
        if bench.options.only and bench.options.only not in name and name != PLAIN:
            continue
        if program and not shutil.which(program):
            print(f"- skipped {name}: {program} is not installed")
            continue
        found[name] = on_core(bench.far, [*bartizan, *words, "--", *server])
    return found


def measure(bench, found, n):
    home = {"BARTIZAN_HOME": str(bench.directory / "home"), "XDG_CONFIG_HOME": str(bench.directory)}
    for payload in PAYLOADS:
        for name, command in found.items():
            line = bench.load("stdio", ["--payload", payload, *bench.timing()], command, home)
            bench.record(**{"kind": "level", "peer": name, "round": n, **line})
    brief = ["--payload", 16, "--protocol", bench.options.protocol, "--seconds", 0.02, "--warmup", 0]
    for _ in range(bench.options.starts):
        for name, command in found.items():
            line = bench.load("stdio", brief, command, home)
            bench.record(**{"kind": "begin", "peer": name, "round": n, **line})


class Levels:
    """The lines of a run, by level."""

    def __init__(self, lines):
        self.cells, self.starts = {}, {}
        for line in lines:
            if "failed" in line:
                continue
            if line["kind"] == "level":
                figures = report.cell_figures(line, "server")
                self.cells.setdefault((line["peer"], line["payload"]), {})[line["round"]] = figures
            else:
                self.starts.setdefault((line["peer"], line["round"]), []).append(line["open_ms_each"])

    def over_plain(self, name, payload, figure):
        """The median over the rounds of this level's figure over that of the unconfined server in the same round."""
        mine, plain = self.cells.get((name, payload), {}), self.cells.get((PLAIN, payload), {})
        ratios = [report.ratio(mine[n].get(figure), plain[n].get(figure)) for n in mine if n in plain]
        ratios = [ratio for ratio in ratios if ratio is not None]
        return report.median(ratios) if ratios else None

    def start(self, name):
        """The time to the answer to `initialize` in milliseconds, and how much that is over unconfined, each a median."""
        mine = {n: report.median(times) for (peer, n), times in self.starts.items() if peer == name}
        plain = {n: report.median(times) for (peer, n), times in self.starts.items() if peer == PLAIN}
        if not mine or not plain:
            return None, None
        return report.median(mine.values()), report.median(mine[n] - plain[n] for n in mine if n in plain)


def tables(levels, names):
    calls = [[name, report.SIZES[payload], *(report.figure(report.summary(levels.cells[name, payload].values(), key), form) for key, form in
              (("p50_us", "{:,.0f}"), ("p99_us", "{:,.0f}"), ("cpu_us", "{:,.1f}"), ("rss_mib", "{:,.1f}"))),
              report.figure(levels.over_plain(name, payload, "p50_us"), "{:.2f}"), report.figure(levels.over_plain(name, payload, "cpu_us"), "{:.2f}")]
             for payload in PAYLOADS for name in names if (name, payload) in levels.cells]
    starts = [[name, *(report.figure(value, "{:,.1f}") for value in levels.start(name))] for name in names]
    heads = ["level", "payload", "p50 µs", "p99 µs", "CPU µs/call", "RSS max MiB of all", "p50 over unconfined", "CPU over unconfined"]
    return (f"### Calls\n\n{report.table(heads, calls)}\n\n### Starts\n\n"
            f"{report.table(['level', 'to the first answer ms', 'more than unconfined ms'], starts)}")


def main():
    options = arguments()
    for name in ("bench-load", "bench-stdio", "bartizan"):
        if not (options.release / name).exists():
            sys.exit(f"{options.release / name} is missing; build it with: cargo build --release -p bartizan-cli -p bartizan-bench")
    with tempfile.TemporaryDirectory(prefix="bartizan-bench-") as directory, open(Path(directory) / "lines.jsonl", "w") as out:
        bench = Bench(options, Path(directory), out)
        print(f"## What confining costs\n\n- {machine()}\n- {bench.placement}", flush=True)
        found = commands(bench)
        try:
            for n in range(options.rounds):
                measure(bench, found, n)
        finally:
            bench.end_all()
        print("\n" + tables(Levels(bench.lines), list(found)))
        return 1 if any("failed" in line or line.get("errors") for line in bench.lines) else 0


if __name__ == "__main__":
    sys.exit(main())
