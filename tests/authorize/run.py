#!/usr/bin/env python3
"""Clients that people let in: by the rules, by those who break them, and by released clients that know an address only.

`run.py NAME…` runs the cases whose names contain NAME.
"""

import json
import os
import pathlib
import sys
import time
import traceback

import attacks
import documents
import plain
import released


def main() -> int:
    passed, failed = 0, 0
    for module in (plain, attacks, documents, released):
        for name, case in list(vars(module).items()):
            if not name.startswith("case_") or (sys.argv[1:] and not any(part in name for part in sys.argv[1:])):
                continue
            start = time.monotonic()
            try:
                case()
                passed += 1
                print(f"ok    {name.removeprefix('case_')}  ({time.monotonic() - start:.1f} s)", flush=True)
            except Exception:  # Whatever it is, the suite reports it and goes on.
                failed += 1
                print(f"FAIL  {name.removeprefix('case_')}: {traceback.format_exc()}", flush=True)
    if path := os.environ.get("BARTIZAN_COUNTS"):
        pathlib.Path(path).write_text(json.dumps({"passed": passed, "failed": failed, "skipped": 0}))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
