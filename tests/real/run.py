#!/usr/bin/env python3
"""Real MCP servers behind `bartizan run` and `bartizan serve`, driven by real MCP clients.

    run.py [GROUP ...] [-v]

Groups: `same` (every client and server directly and through Bartizan, compared), `inspector`, `process` (what becomes of
processes, streams and exit codes), `volume` (many messages, slow readers), `restart` (servers that crash), `bridged` (`run --bridge`, clients
and servers of different eras), `waiting` (what `run --bridge` keeps for servers that do not read or answer). All by
default. BARTIZAN_BIN and BARTIZAN_FIXTURE name the programs; tests/tools/setup.sh installs the clients and servers.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import sys
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import bridged
import inspector
import lab
import process
import restart
import same
import volume
import waiting

GROUPS = {"process": process, "volume": volume, "restart": restart, "bridged": bridged, "waiting": waiting, "inspector": inspector, "same": same}


class Report:
    """Counts, and says what failed."""

    def __init__(self, verbose):
        self.verbose, self.passed, self.failed = verbose, 0, []
        self.lock = threading.Lock()

    @contextlib.contextmanager
    def case(self, name):
        """One thing to be shown; an exception inside is a failure of it alone."""
        start = time.monotonic()
        try:
            yield
        except Exception as error:
            with self.lock:
                self.failed.append(name)
                print(f"FAIL  {name}: {type(error).__name__}: {error}", flush=True)
                if not isinstance(error, AssertionError) or not str(error):
                    traceback.print_exc()
        else:
            with self.lock:
                self.passed += 1
                if self.verbose:
                    print(f"ok    {name} ({time.monotonic() - start:.1f} s)", flush=True)

    def each(self, the_lab, group, checks, ways):
        """Runs every check in every way in a home of its own; some at a time, as most of it is waiting."""

        def one(check, way, options):
            with self.case(f"{group}: {check.__name__.replace('_', ' ')}{way}"), the_lab.home() as home:
                check(home, options)

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            jobs = [pool.submit(one, check, way, options) for way, options in ways.items() for check in checks]
            for job in jobs:
                job.result()


def main():
    words = sys.argv[1:]
    report = Report("-v" in words)
    names = [word for word in words if not word.startswith("-")] or list(GROUPS)
    with lab.Lab() as the_lab:
        for name in names:
            GROUPS[name].cases(the_lab, report)
    if counts := os.environ.get("BARTIZAN_COUNTS"):
        pathlib.Path(counts).write_text(json.dumps({"passed": report.passed, "failed": len(report.failed), "skipped": 0}))
    print(f"{report.passed} passed, {len(report.failed)} failed")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
