#!/usr/bin/env python3
"""All servers as one: what `/mcp` and `shared = true` promise, with official clients and with servers that misbehave."""

import importlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from harness import run_cases  # noqa: E402

MODULES = [name for name in ("lists", "settled", "notices", "modern", "bridging", "faults", "shared", "neighbours", "headers", "clients")
           if (HERE / f"{name}.py").exists()]


def cases(chosen):
    for name in MODULES:
        module = importlib.import_module(name)
        for key, case in list(vars(module).items()):
            full = f"{name}.{key.removeprefix('case_')}"
            if key.startswith("case_") and (not chosen or any(part in full for part in chosen)):
                yield full, case


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    sys.exit(run_cases(cases(sys.argv[1:])))
