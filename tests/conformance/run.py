#!/usr/bin/env python3
"""Runs the official conformance suite, directly and through Bartizan, and says where the two differ.

    run.py [--write]
    run.py server  --requirements 2026-07-28 --url http://localhost:PORT/mcp
    run.py client  --requirements 2026-07-28 [--command CMD]
    run.py compare --requirements 2026-07-28 --direct URL --through URL
    run.py compare --requirements 2026-07-28 [--direct-command CMD] --through-command CMD

Without a mode everything runs, for each requirement set: the server scenarios against the fixture directly, through
Bartizan over HTTP and through Bartizan over stdio, and the client scenarios with the reference client directly and
through Bartizan. Every scenario has to end as it ends directly, and the table in the book has to say so; `--write`
writes it. Before that, front.py checks what the official suite does not look at.

`server` tests a server; the suite wants its host written `localhost`. `client` tests a client: for every scenario the
suite starts a server of its own and runs CMD with the server's URL as the last argument and the scenario's name in
MCP_CONFORMANCE_SCENARIO; without CMD it is client.mjs beside this file. CMD is split at spaces. `compare` does the
same twice, directly and through a gateway.

A scenario passes when the suite found neither a failure nor a warning. The exit status is 0 when all pass. The suite
is installed by ../tools/setup.sh.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import sys
import unittest

import official
import processes
import results

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = ["2025-11-25", "2026-07-28"]
AUTHORIZATION = ["auth/"]
INTRODUCTION = """\
- **direct**: the fixture server and the reference client talk to the suite without anything in between.
- **url**, **command**: the suite's client, Bartizan, and the fixture as an HTTP server or as a local program.
- **through**: the reference client, Bartizan, and the suite's server.

✓ passes, – leaves the suite nothing to look at, which is counted as not applicable and not as passed, ! passes with a
warning, ✗ fails. Scenarios with a remark in brackets do not count for the suite's own score. A scenario that comes out
wrong is run once more, alone, as the suite has little patience with a busy machine; the output of `make test` names it then.
"""
LEFT_OUT = (
    " They test how a client gets a token for the very server it talks to. Bartizan passes no token on, so such a token"
    " is not for the server behind it and the scenarios have no meaning here."
)


def main():
    options = arguments()
    suite = official.Suite()
    if options.mode is None:
        return everything(suite, options)
    side = "client" if options.mode == "client" or getattr(options, "through_command", None) else "server"
    leg = run(suite, side, targets(options, suite, side), options)
    results.show(leg)
    if options.table:
        options.table.write_text(results.markdown(leg))
    return 1 if results.disagreeing(leg) else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the results into the book")
    modes = parser.add_subparsers(dest="mode")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--requirements", required=True, metavar="REVISION", help="2025-11-25 or 2026-07-28")
    common.add_argument("--only", action="append", default=[], metavar="PREFIX", help="run only these scenarios")
    common.add_argument("--without", action="append", default=[], metavar="PREFIX", help="leave these scenarios out")
    common.add_argument("--timeout", type=int, default=60, metavar="SECONDS", help="for one scenario (default 60)")
    common.add_argument("--table", type=pathlib.Path, metavar="FILE", help="write the table there as Markdown")
    common.add_argument("--output", type=pathlib.Path, metavar="DIR", help="keep the suite's own results there")
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


def targets(options, suite, side):
    """What is tested, by the name of its column."""
    if options.mode == "server":
        return {"result": options.url}
    if options.mode == "client":
        return {"result": options.command or suite.client}
    if side == "client":
        return {"direct": options.direct_command or suite.client, "through": options.through_command}
    return {"direct": options.direct, "through": options.through}


def everything(suite, options):
    """All legs, compared with each other and with the book."""
    front = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromName("front"))
    legs = []
    for requirements in REQUIREMENTS:
        legs.append(server_leg(suite, requirements))
        legs.append(client_leg(suite, requirements))
    counts = results.counts(legs)
    wrong = len(front.failures) + len(front.errors)
    counts["failed"] += wrong
    counts["passed"] += front.testsRun - wrong
    section = results.book(legs, INTRODUCTION, LEFT_OUT)
    if options.write:
        results.write(section)
    elif section == results.in_book():
        counts["passed"] += 1
    else:
        counts["failed"] += 1
        print("docs/src/protocol.md does not show these results; tests/conformance/run.py --write puts them there")
    if "BARTIZAN_COUNTS" in os.environ:
        pathlib.Path(os.environ["BARTIZAN_COUNTS"]).write_text(json.dumps(counts))
    print(f"{counts['passed']} passed, {counts['failed']} failed")
    return 1 if counts["failed"] else 0


def server_leg(suite, requirements):
    print(f"\n{requirements}, server scenarios: direct, url, command", flush=True)
    with processes.fixture() as direct:
        servers = {"url": {"url": direct}, "command": {"command": [processes.FIXTURE, "--stdio"]}}
        with processes.bartizan(servers) as url:
            subjects = {"direct": direct, "url": url("url"), "command": url("command")}
            return shown(suite, "server", subjects, options_for(requirements))


def client_leg(suite, requirements):
    print(f"\n{requirements}, client scenarios: direct, through", flush=True)
    subjects = {"direct": suite.client, "through": f"{sys.executable} {HERE / 'through.py'}"}
    return shown(suite, "client", subjects, options_for(requirements, AUTHORIZATION))


def options_for(requirements, without=()):
    return argparse.Namespace(requirements=requirements, only=[], without=list(without), timeout=60, output=None)


def shown(suite, side, subjects, options):
    """One leg. What comes out wrong is run once more, alone: the suite's own patience is short on a busy machine."""
    leg = run(suite, side, subjects, options)
    again = results.disagreeing(leg)
    if again:
        print(f"once more: {', '.join(again)}")
        repeated = run(suite, side, subjects, argparse.Namespace(**vars(options) | {"only": again}))
        for title, column in repeated.columns.items():
            leg.columns[title].update({name: column[name] for name in again})
        leg = leg._replace(again=again)
    results.show(leg)
    return leg


def run(suite, side, subjects, options):
    """One leg: the wanted scenarios for each subject."""
    scenarios = suite.scenarios(options.requirements, side)
    wanted = [name for name in scenarios if selected(name, options)]
    if not wanted:
        sys.exit("run.py: no scenario is left to run")
    whole = len(wanted) == len(scenarios)
    with concurrent.futures.ThreadPoolExecutor(len(subjects)) as pool:
        runs = [pool.submit(suite.run, side, subject, options, wanted, whole) for subject in subjects.values()]
        columns = dict(zip(subjects, (done.result() for done in runs)))
    return results.Leg(options.requirements, side, scenarios, wanted, columns)


def selected(name, options):
    if options.only and not any(name.startswith(prefix) for prefix in options.only):
        return False
    return not any(name.startswith(prefix) for prefix in options.without)


if __name__ == "__main__":
    sys.exit(main())
