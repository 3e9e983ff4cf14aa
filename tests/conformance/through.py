#!/usr/bin/env python3
"""Runs the reference client with Bartizan between it and the server whose URL is the last argument.

    run.py client --requirements 2026-07-28 --command "python3 through.py"

The environment, in which the suite names the scenario, goes to the client as it is; so does the client's exit status.
"""

import os
import pathlib
import subprocess
import sys

import processes

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = pathlib.Path(os.environ.get("BARTIZAN_TOOLS", processes.ROOT / ".tools"))


def main():
    with processes.bartizan({"suite": {"url": sys.argv[-1]}}) as url:
        client = [TOOLS / "bin" / "node", HERE / "client.mjs", url("suite")]
        return subprocess.run(client, stdin=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    sys.exit(main())
