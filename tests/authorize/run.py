#!/usr/bin/env python3
"""Clients that people let in: by the rules, by those who break them, and by released clients that know an address only.

`run.py NAME…` runs the cases whose names contain NAME.
"""

import sys

import attacks
import documents
import plain
import released
import stepping
from flow import cases_of, run_cases

if __name__ == "__main__":
    sys.exit(run_cases(cases_of(plain, attacks, documents, released, stepping)))
