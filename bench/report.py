"""What the measured lines say: medians, ratios against the floor, tables and targets. Pure functions."""

import re
from statistics import median

SIZES = {1_024: "1 KiB", 10_000: "10 KB", 100_000: "100 KB", 1_000_000: "1 MB"}
FLOOR, GATEWAY = "hyper floor", "bartizan"
# The same with a text in each call that was in none before.
FRESH = "bartizan, fresh texts"
# The floor, kept busy over each call for as many µs: about what a gateway has to do.
BUSY_US = 150
BUSY = f"hyper floor, busy {BUSY_US} µs"
MISSED = "MISSED"

# What the product promises: what is measured, how it must compare, the bound, how it is written.
TARGETS = [
    ("1 KiB, 16 connections: requests/s over the floor's", ("ratio", 1_024, 16, "per_second"), ">=", 0.45, "{:.2f}"),
    ("1 KiB, 16 connections: CPU per request over the floor's", ("ratio", 1_024, 16, "cpu_us"), "<=", 2.3, "{:.2f}"),
    ("1 KiB, 16 connections: p99 over the floor's", ("ratio", 1_024, 16, "p99_us"), "<=", 3.0, "{:.2f}"),
    ("1 MB, 16 connections: CPU per call", ("cell", 1_000_000, 16, "cpu_us"), "<=", 1_700, "{:,.0f} µs"),
    ("first answer after start", ("start", "first_answer_ms"), "<=", 50, "{:.1f} ms"),
    ("resident memory, idle", ("start", "idle_rss_mib"), "<=", 22, "{:.1f} MiB"),
    ("resident memory at 1 MB, 64 connections", ("cell", 1_000_000, 64, "peak_mib"), "<=", 200, "{:.1f} MiB"),
]

# What a call of 1 KiB each way with its reply may cost in all, stage by stage, in µs of CPU on one core.
STAGED = [1_024, 1_000_000]
BUDGET = {"http": 19, "edge": 10, "schema": 8, "record": 6, "guards": None, "whole": 43, "identity": 2, "token": 2, "policy": 14}
STAGES = {
    "http": "HTTP both ways: the bare hyper proxy",
    "woken": f"— the same for a proxy that is busy for {BUSY_US} µs more, so that its peers sleep",
    "edge": "scan, parts, routing, session",
    "read": "— of which scan and parts",
    "schema": "schema",
    "record": "recording",
    "guards": "the other guards",
    "whole": "all of it",
    "identity": "beside it, for a client with a key: who asks",
    "token": "beside it, for a client with an access token: who asks",
    "policy": "beside it, with 1,000 policies: who may do what",
}


def machine(model, cores, release):
    """What a reader needs to know of a machine: of its kernel the version, not who built it."""
    version = re.match(r"\d+\.\d+", release)
    return f"{model}, {cores} core{'s' if cores != 1 else ''}, Linux{f' {version[0]}' if version else ''}"


def cell_figures(line, whose="gateway"):
    """The figures of one measured cell that tables and ratios are made of."""
    watched = line["watched"].get(whose)
    figures = {name: line[name] for name in ("per_second", "p50_us", "p99_us", "errors")}
    if watched and line["requests"]:
        figures["cpu_us"] = watched["cpu_seconds"] * 1e6 / line["requests"]
        figures["rss_mib"] = watched["rss_max_kib"] / 1024
        figures["peak_mib"] = watched["rss_peak_kib"] / 1024
    return figures


def ratio(value, floor):
    """How many times the floor; None when either was not measured."""
    return value / floor if value is not None and floor else None


class Results:
    """The lines of one run, asked for by what they measured."""

    def __init__(self, lines):
        self.cells, self.starts, self.stdio, self.staged = {}, {}, {}, {}
        for line in lines:
            if "failed" in line:
                continue
            if line["kind"] == "cell":
                key = line["peer"], line["payload"], line["connections"]
                self.cells.setdefault(key, {})[line["round"]] = cell_figures(line)
            elif line["kind"] == "stdio":
                figures = cell_figures(line, "server") | {"open_ms_each": line["open_ms_each"]}
                self.stdio.setdefault((line["peer"], line["payload"]), {})[line["round"]] = figures
            elif line["kind"] == "stages":
                self.staged.setdefault(line["payload"], []).append(line)
            elif line["kind"] == "start":
                figures = {"first_answer_ms": line["first_answer_ms"], "idle_rss_mib": line["idle_rss_kib"] / 1024}
                self.starts.setdefault(line["peer"], []).append(figures)

    def cell(self, peer, payload, connections, name):
        """The median over the rounds; memory and errors are the worst of them."""
        return summary(self.cells.get((peer, payload, connections), {}).values(), name)

    def start(self, peer, name):
        values = [figures[name] for figures in self.starts.get(peer, [])]
        return (max(values) if name == "idle_rss_mib" else median(values)) if values else None

    def stages(self, payload, connections=16):
        """What each stage of a call costs, in µs of CPU; None unless everything it takes was measured.

        The floor and the whole were measured from outside; three stages by themselves; the rest is what is left.
        """
        found = {"http": self.cell(FLOOR, payload, connections, "cpu_us"),
                 "whole": self.cell(GATEWAY, payload, connections, "cpu_us")}
        for name in ("read", "schema", "record", "guards", "identity", "token", "policy"):
            values = [line[f"{name}_us"] for line in self.staged.get(payload, [])]
            found[name] = median(values) if values else None
        if None in found.values():
            return None
        busy = self.cell(BUSY, payload, connections, "cpu_us")
        found["woken"] = None if busy is None else busy - BUSY_US
        found["edge"] = found["whole"] - sum(found[name] for name in ("http", "schema", "record", "guards"))
        return found

    def ratio(self, peer, payload, connections, name):
        """The median over the rounds of this peer's figure over the floor's of the same round."""
        mine = self.cells.get((peer, payload, connections), {})
        floor = self.cells.get((FLOOR, payload, connections), {})
        pairs = [ratio(mine[n].get(name), floor[n].get(name)) for n in mine if n in floor]
        pairs = [pair for pair in pairs if pair is not None]
        return median(pairs) if pairs else None


def summary(rounds, name):
    values = [figures[name] for figures in rounds if figures.get(name) is not None]
    if not values:
        return None
    return max(values) if name in ("rss_mib", "peak_mib", "errors") else median(values)


def figure(value, form="{:,.0f}"):
    return "–" if value is None else form.format(value)


def table(heads, rows):
    """A Markdown table: text to the left, figures to the right."""
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "--:|" * (len(heads) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def cell_tables(results, peers, payloads, connections):
    """One table for each payload size."""
    heads = ["", "conns", "requests/s", "p50 µs", "p99 µs", "CPU µs/request", "RSS max MiB",
             "requests/s ÷ floor", "CPU ÷ floor", "p99 ÷ floor", "errors"]
    texts = []
    for payload in payloads:
        rows = [cell_row(results, peer, payload, k) for k in connections for peer in peers
                if (peer, payload, k) in results.cells]
        texts.append(f"### {SIZES.get(payload, payload)} each way\n\n{table(heads, rows)}")
    return "\n\n".join(texts)


def cell_row(results, peer, payload, connections):
    def get(name, form="{:,.0f}"):
        return figure(results.cell(peer, payload, connections, name), form)

    def over(name):
        return figure(results.ratio(peer, payload, connections, name), "{:.2f}")

    return [peer, str(connections), get("per_second"), get("p50_us"), get("p99_us"), get("cpu_us", "{:,.1f}"),
            get("rss_mib", "{:,.1f}"), over("per_second"), over("cpu_us"), over("p99_us"), get("errors")]


def stage_tables(results, payloads):
    """One table for each payload size of which the stages were measured; budgets are for 1 KiB."""
    texts = []
    for payload in payloads:
        stages = results.stages(payload)
        if stages:
            rows = [stage_row(stages, name, BUDGET.get(name) if payload == 1_024 else None) for name in STAGES
                    if stages[name] is not None]
            heads = ["stage", "CPU µs", "÷ floor", "budget µs", "verdict"]
            texts.append(f"### Stages of one call, {SIZES.get(payload, payload)} each way\n\n{table(heads, rows)}")
    return "\n\n".join(texts)


def stage_row(stages, name, budget):
    word = "" if budget is None else "met" if stages[name] <= budget else MISSED
    return [STAGES[name], figure(stages[name], "{:,.1f}"), figure(ratio(stages[name], stages["http"]), "{:.2f}"),
            figure(budget), word]


def start_table(results, peers):
    rows = [[peer, figure(results.start(peer, "first_answer_ms"), "{:.1f}"),
             figure(results.start(peer, "idle_rss_mib"), "{:.1f}")] for peer in peers if peer in results.starts]
    return "### Start\n\n" + table(["", "first answer ms", "idle RSS MiB"], rows)


def stdio_table(results, peers, payloads):
    """The server is a child of what is measured, so CPU and memory hold both; `over direct` is the gateway's."""
    heads = ["", "payload", "requests/s", "p50 µs", "p99 µs", "CPU µs/request with server", "CPU over direct",
             "RSS max MiB with server", "session open ms", "errors"]
    rows = [stdio_row(results, peer, peers[0], payload) for payload in payloads for peer in peers
            if (peer, payload) in results.stdio]
    return "### stdio, one connection\n\n" + table(heads, rows)


def stdio_row(results, peer, direct, payload):
    def value(peer, name):
        return summary(results.stdio.get((peer, payload), {}).values(), name)

    def get(name, form="{:,.0f}"):
        return figure(value(peer, name), form)

    cpu, base = value(peer, "cpu_us"), value(direct, "cpu_us")
    added = None if peer == direct or cpu is None or base is None else cpu - base
    return [peer, str(SIZES.get(payload, payload)), get("per_second"), get("p50_us"), get("p99_us"),
            get("cpu_us", "{:,.1f}"), figure(added, "{:,.1f}"), get("rss_mib", "{:,.1f}"),
            get("open_ms_each", "{:.1f}"), get("errors")]


def verdicts(results):
    """Each target with what was measured: (text, measured or None, met or None, line to print)."""
    found = []
    for text, (what, *key), sign, bound, form in TARGETS:
        value = getattr(results, what)(GATEWAY, *key)
        met = None if value is None else value >= bound if sign == ">=" else value <= bound
        word = {True: "met", False: MISSED, None: "not measured"}[met]
        at = "at least" if sign == ">=" else "at most"
        found.append((text, value, met, f"{word}: {text}: {figure(value, form)}, {at} {form.format(bound)}"))
    return found


def noisy(lines):
    """Measured cells during which the rest of the machine used over a tenth of a core."""
    return [line for line in lines if line.get("foreign_cpu_seconds", 0) > 0.1 * line.get("seconds", 0)]
