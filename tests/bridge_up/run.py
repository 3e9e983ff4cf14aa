#!/usr/bin/env python3
"""Clients with sessions in front of servers without: `bridge = "auto"`, from the older revisions to 2026-07-28.

    run.py [wire] [clients] [conformance]

`wire` looks at single messages, with a server that remembers what it was sent. `clients` drives real clients.
`conformance` runs the official suite's 2025-11-25 scenarios against the fixture speaking only 2026-07-28, over HTTP
and as a local program. All by default. BARTIZAN_BIN names the program; tests/tools/setup.sh installs the clients.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "conformance")]

import official
import processes

REQUIREMENTS = "2025-11-25"
# What no stateless server can do: end its stream in the middle and let the client resume it.
IMPOSSIBLE = {"server-sse-polling"}


def main():
    groups = sys.argv[1:] or ["wire", "clients", "conformance"]
    passed = failed = skipped = 0
    for group in groups:
        if group == "conformance":
            right, wrong, left_out = conformance()
            skipped += left_out
        else:
            result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromName(group))
            wrong = len({getattr(test, "test_case", test).id() for test, _ in result.failures + result.errors})
            right = result.testsRun - wrong
        passed, failed = passed + right, failed + wrong
    if counts := os.environ.get("BARTIZAN_COUNTS"):
        pathlib.Path(counts).write_text(json.dumps({"passed": passed, "failed": failed, "skipped": skipped}))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


def conformance():
    suite = official.Suite()
    scenarios = suite.scenarios(REQUIREMENTS, "server")
    options = argparse.Namespace(requirements=REQUIREMENTS, output=None, timeout=60)
    passed = failed = skipped = 0
    with processes.program([processes.FIXTURE, "--listen", "127.0.0.1:0", "--era", "modern"], r"^127\.0\.0\.1:(\d+)$") as port:
        servers = {
            "url": {"url": f"http://localhost:{port}/mcp", "bridge": "auto"},
            "command": {"command": [processes.FIXTURE, "--stdio", "--era", "modern"], "bridge": "auto"},
        }
        with processes.bartizan(servers) as url:
            with concurrent.futures.ThreadPoolExecutor(len(servers)) as pool:
                runs = {name: pool.submit(suite.run, "server", url(name), options, list(scenarios), True) for name in servers}
                outcomes = [(name, *each) for name, run in runs.items() for each in run.result().items()]
    for name, scenario, outcome in outcomes:
        right = outcome["state"] == "pass"
        impossible = not right and scenario in IMPOSSIBLE
        passed, failed, skipped = passed + right, failed + (not right and not impossible), skipped + impossible
        mark = "ok  " if outcome["state"] == "pass" else outcome["state"]
        print(f"{mark} {name} {scenario} {'; '.join(outcome['problems'])}", flush=True)
    return passed, failed, skipped


if __name__ == "__main__":
    sys.exit(main())
