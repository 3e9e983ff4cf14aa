#!/usr/bin/env python3
"""Runs the official conformance suite and says which scenarios pass.

    run.py server  --requirements 2026-07-28 --url http://localhost:PORT/mcp
    run.py client  --requirements 2026-07-28 [--command CMD]
    run.py compare --requirements 2026-07-28 --direct URL --through URL
    run.py compare --requirements 2026-07-28 [--direct-command CMD] --through-command CMD

`server` tests a server; the suite wants its host written `localhost`. `client` tests a client: for every scenario the
suite starts a server of its own and runs CMD with the server's URL as the last argument and the scenario's name in
MCP_CONFORMANCE_SCENARIO; without CMD it is client.mjs beside this file. CMD is split at spaces. `compare` does the
same twice, directly and through a gateway, and fails unless every scenario ends the same way.

A scenario passes when the suite has seen something and found neither a failure nor a warning. The exit status is 0
when all pass, or, for `compare`, when both sides agree. The suite is installed by ../tools/setup.sh.
"""

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MARKS = {"pass": "✓", "warn": "!", "fail": "✗"}
STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[\d-]+Z$")


def main():
    options = arguments()
    suite = Suite()
    leg = "client" if options.mode == "client" or getattr(options, "through_command", None) else "server"
    scenarios = suite.scenarios(options.requirements, leg)
    wanted = [name for name in scenarios if selected(name, options)]
    if not wanted:
        sys.exit("run.py: no scenario is left to run")
    subjects = targets(options, suite, leg)
    with concurrent.futures.ThreadPoolExecutor(len(subjects)) as pool:
        whole = len(wanted) == len(scenarios)
        runs = [pool.submit(suite.run, leg, subject, options, wanted, whole) for subject in subjects.values()]
        columns = dict(zip(subjects, (run.result() for run in runs)))
    report(options, leg, scenarios, wanted, columns)
    sys.exit(0 if verdict(wanted, columns) else 1)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--requirements", required=True, metavar="REVISION", help="2025-11-25 or 2026-07-28")
    common.add_argument("--only", action="append", default=[], metavar="PREFIX", help="run only these scenarios")
    common.add_argument("--without", action="append", default=[], metavar="PREFIX", help="leave these scenarios out")
    common.add_argument("--timeout", type=int, default=60, metavar="SECONDS", help="for one scenario (default 60)")
    common.add_argument("--table", type=Path, metavar="FILE", help="write the table there as Markdown")
    common.add_argument("--output", type=Path, metavar="DIR", help="keep the suite's own results there")
    server = modes.add_parser("server", parents=[common], help="test a server")
    server.add_argument("--url", required=True)
    client = modes.add_parser("client", parents=[common], help="test a client")
    client.add_argument("--command")
    compare = modes.add_parser("compare", parents=[common], help="test the same directly and through a gateway")
    compare.add_argument("--direct", metavar="URL")
    compare.add_argument("--direct-command", metavar="CMD")
    through = compare.add_mutually_exclusive_group(required=True)
    through.add_argument("--through", metavar="URL")
    through.add_argument("--through-command", metavar="CMD")
    options = parser.parse_args()
    if options.mode == "compare" and bool(options.through) != bool(options.direct):
        parser.error("--direct and --through belong together")
    return options


def selected(name, options):
    if options.only and not any(name.startswith(prefix) for prefix in options.only):
        return False
    return not any(name.startswith(prefix) for prefix in options.without)


def targets(options, suite, leg):
    """What is tested, by the name of its column."""
    if options.mode == "server":
        return {"result": options.url}
    if options.mode == "client":
        return {"result": options.command or suite.client}
    if leg == "client":
        return {"direct": options.direct_command or suite.client, "through": options.through_command}
    return {"direct": options.direct, "through": options.through}


class Suite:
    """The installed suite."""

    def __init__(self):
        setup = HERE.parent / "tools" / "setup.sh"
        installed = subprocess.run([setup], stdout=subprocess.PIPE, text=True)
        if installed.returncode != 0:
            sys.exit("run.py: the suite could not be installed")
        tools = Path(installed.stdout.strip())
        node = tools / "bin" / "node"
        self.command = [node, tools / "npm/node_modules/@modelcontextprotocol/conformance/dist/index.js"]
        self.client = f"{node} {HERE / 'client.mjs'}"

    def scenarios(self, requirements, leg):
        """The scenarios of one requirement set: their names, each with why it is not scored, if it is not."""
        listing = subprocess.run(
            [*self.command, "list", "--requirements", requirements], stdout=subprocess.PIPE, text=True
        )
        if listing.returncode != 0:
            sys.exit(f"run.py: the suite knows no requirements for {requirements}")
        found, section, reason = {}, None, None
        for line in listing.stdout.splitlines():
            entry = re.fullmatch(r"\s+- (\S+)(?: \[(\w+)\])?", line)
            if entry is None:
                section = line.split()[0].lower() if line[:1].strip() else section
                reason = line.split()[0] if re.fullmatch(r"  [\w-]+ \(\d+\):", line) else None
            elif (entry[2] or section) == leg:
                found[entry[1]] = reason
        return found

    def run(self, leg, subject, options, wanted, whole):
        """Runs scenarios against a URL or a command; the outcome of each by its name."""
        target = ["--url" if leg == "server" else "--command", subject]
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch)
            if options.output:
                options.output.mkdir(parents=True, exist_ok=True)
                out = Path(tempfile.mkdtemp(prefix=f"{leg}-{options.requirements}-", dir=options.output))
            base = [*self.command, leg, *target, "--timeout", str(options.timeout * 1000), "-o", out]
            if whole:
                batches = [[*base, "--requirements", options.requirements]]
            else:
                one = ["--spec-version", options.requirements, "--force", "--scenario"]
                batches = [[*base, *one, name] for name in wanted]
            with concurrent.futures.ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
                logs = list(pool.map(quietly, batches))
            outcomes = collect(out, leg)
        if not outcomes:
            sys.exit(f"run.py: the suite has reported nothing about {subject}:\n{logs[0]}")
        return outcomes


def quietly(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def collect(out, leg):
    """Reads the suite's result files: for every scenario its state, the checks it has seen and what was wrong."""
    outcomes = {}
    for file in out.rglob("checks.json"):
        name = STAMP.sub("", str(file.parent.relative_to(out)))
        name = name.removeprefix("server-") if leg == "server" else name
        checks = json.loads(file.read_text())
        of = {status: [check for check in checks if check["status"] == status] for status in ("FAILURE", "WARNING")}
        problems = [f"{check['id']}: {check.get('errorMessage') or check['description']}" for check in sum(of.values(), [])]
        passed = sum(check["status"] == "SUCCESS" for check in checks)
        # Where a client does nothing the suite skips its checks; against a server it skips only what it cannot test.
        idle = not checks or (leg == "client" and passed == 0)
        state = "fail" if of["FAILURE"] or idle else "warn" if of["WARNING"] else "pass"
        outcomes[name] = {"state": state, "checks": passed, "problems": problems}
    return outcomes


def outcome(column, name):
    # A scenario that broke down leaves no results behind.
    return column.get(name) or {"state": "fail", "checks": 0, "problems": ["the suite has left no result"]}


def verdict(wanted, columns):
    if len(columns) == 1:
        return all(outcome(column, name)["state"] == "pass" for column in columns.values() for name in wanted)
    return all(len({outcome(column, name)["state"] for column in columns.values()}) == 1 for name in wanted)


def report(options, leg, scenarios, wanted, columns):
    width = max(map(len, wanted))
    for name in wanted:
        results = [outcome(column, name) for column in columns.values()]
        cells = "  ".join(f"{MARKS[result['state']]} {result['checks']:>3}" for result in results)
        note = f"  ({scenarios[name]})" if scenarios[name] else ""
        differs = "  DIFFERS" if len({result["state"] for result in results}) > 1 else ""
        print(f"{name:<{width}}  {cells}{note}{differs}")
        for title, result in zip(columns, results):
            for problem in result["problems"]:
                print(f"    {title}: {problem}")
    for line in totals(scenarios, wanted, columns):
        print(line)
    if options.table:
        options.table.write_text(markdown(options, leg, scenarios, wanted, columns))


def totals(scenarios, wanted, columns):
    scored = [name for name in wanted if scenarios[name] is None]
    for title, column in columns.items():
        count = lambda names: sum(outcome(column, name)["state"] == "pass" for name in names)
        yield f"{title}: {count(scored)}/{len(scored)} scored, {count(wanted)}/{len(wanted)} of all scenarios pass"


def markdown(options, leg, scenarios, wanted, columns):
    lines = [f"### {options.requirements}, {leg} scenarios", ""]
    lines += [f"- {line}" for line in totals(scenarios, wanted, columns)]
    lines += ["", f"| scenario | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for name in wanted:
        note = f" ({scenarios[name]})" if scenarios[name] else ""
        cells = " | ".join(MARKS[outcome(column, name)["state"]] for column in columns.values())
        lines.append(f"| {name}{note} | {cells} |")
    left_out = [name for name in scenarios if name not in wanted]
    if left_out:
        lines += ["", f"Left out: {', '.join(left_out)}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
