#!/usr/bin/env python3
"""All servers as one: what `/mcp` and `shared = true` promise, with official clients and with servers that misbehave."""

import importlib
import json
import os
import pathlib
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
MODULES = [name for name in ("lists", "settled", "notices", "modern", "bridging", "faults", "shared", "neighbours", "headers", "clients")
           if (HERE / f"{name}.py").exists()]


def cases(chosen):
    for name in MODULES:
        module = importlib.import_module(name)
        for key, case in list(vars(module).items()):
            full = f"{name}.{key.removeprefix('case_')}"
            if key.startswith("case_") and (not chosen or any(part in full for part in chosen)):
                yield full, case


def main() -> int:
    passed, failed = 0, 0
    for name, case in cases(sys.argv[1:]):
        start = time.monotonic()
        try:
            case()
            passed += 1
            print(f"ok    {name}  ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception as error:  # Whatever it is, the suite reports it and goes on.
            failed += 1
            detail = traceback.format_exc() if not isinstance(error, AssertionError) else "".join(
                traceback.format_tb(error.__traceback__)[-3:]) + str(error)
            print(f"FAIL  {name}: {detail}", flush=True)
    if path := os.environ.get("BARTIZAN_COUNTS"):
        pathlib.Path(path).write_text(json.dumps({"passed": passed, "failed": failed, "skipped": 0}))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    sys.exit(main())
