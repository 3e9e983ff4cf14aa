#!/usr/bin/env python3
"""Attacks through the default configuration, held against what was stopped before.

    run.py                the cases; with BARTIZAN_TEST_LONG=1 every text in every disguise, else a sample
    run.py --write        writes both baselines anew, after a change that was meant; look at the difference before it is kept

A family of which less is stopped than in the baseline fails, and so does one more honest text that is stopped. What a gateway
tries by itself is in scheduled.py.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tests" / "aggregate"))
import scheduled  # noqa: E402
from harness import BINARY, cases_of, check, equal, run_cases  # noqa: E402

LONG = os.environ.get("BARTIZAN_TEST_LONG") == "1"
# What is sent, and the baseline of that. The seed is any number that stays.
SAMPLE = (["--sample", "448", "--seed", "4"], HERE / "sample.json")
WHOLE = ([], HERE / "whole.json")
# The default configuration: a server, and nothing said about it.
DEFAULT = '[server.notes]\ncommand = ["/usr/bin/false"]\n'


def redteam(config, *words):
    """Status, output and what was said, in a home of its own."""
    with tempfile.TemporaryDirectory(prefix="bartizan-redteam-test-") as home:
        file = pathlib.Path(home) / "bartizan.toml"
        file.write_text(config)
        done = subprocess.run([BINARY, "redteam", "--config", str(file), *words], cwd=home, capture_output=True, text=True,
                              env={"HOME": home, "BARTIZAN_HOME": f"{home}/state"}, timeout=3600)
        left = sorted(path.name for path in pathlib.Path(home).iterdir())
    equal(left, ["bartizan.toml"], "what is left behind")
    return done.returncode, done.stdout, done.stderr


def case_nothing_is_stopped_less_than_it_was():
    words, baseline = WHOLE if LONG else SAMPLE
    status, output, said = redteam(DEFAULT, *words, "--baseline", str(baseline))
    check(status == 0, f"status {status}: {said}\n{output}")


def case_a_configuration_that_stops_less_is_noticed():
    """The twin: what only records is worse in every family of which anything was stopped."""
    words, baseline = SAMPLE
    status, _, said = redteam('mode = "observe"\n' + DEFAULT, *words, "--baseline", str(baseline))
    equal(status, 1, said)
    kept = json.loads(baseline.read_text())["families"]
    stopped = {family for family, counts in kept.items() if counts["stopped"]}
    check(len(stopped) >= 25, f"only of {len(stopped)} families anything is stopped")
    for family in stopped:
        check(f"worse: of {family} 0 of " in said, f"{family} is missing: {said}")


def case_the_same_texts_give_the_same_report():
    report, other = (json.loads(redteam(DEFAULT, "--sample", "84", "--seed", "9", "--json")[1]) for _ in range(2))
    # Each has a place of its own.
    for one in (report, other):
        check(one.pop("config").endswith("bartizan.toml"), "another file was tried")
    equal(report, other, "different reports")
    equal((report["attacks"]["sent"], report["benign"]["sent"], len(report["families"])), (84, 84, 28))
    equal(report["unknown"], [])


def case_other_texts_are_no_comparison():
    with tempfile.TemporaryDirectory(prefix="bartizan-redteam-test-") as folder:
        kept = pathlib.Path(folder) / "kept.json"
        chosen = ["--sample", "28"]
        equal(redteam(DEFAULT, *chosen, "--write-baseline", str(kept))[0], 0)
        status, output, said = redteam(DEFAULT, *chosen, "--baseline", str(kept), "--json")
        equal((status, json.loads(output)["worse"]), (0, []), said)
        status, output, said = redteam('mode = "observe"\n' + DEFAULT, *chosen, "--baseline", str(kept), "--json")
        equal(status, 1, said)
        equal(len(json.loads(output)["worse"]), said.count("worse: of "))
        for other in (["--sample", "56"], [*chosen, "--families", "payment"], [*chosen, "--seed", "1"], [*chosen, "--mutations", "plain"]):
            status, _, said = redteam(DEFAULT, *other, "--baseline", str(kept))
            equal((status, "it is of other texts" in said), (2, True), said)
        # The texts of another version, a file that somebody has edited, another file, and none.
        held = json.loads(kept.read_text())
        for change, why in ((lambda file: file["suite"].update(texts="0" * 16), "this version"),
                            (lambda file: file["families"].update(more=file["benign"]), "which is not sent"),
                            (lambda file: file["families"].pop("payment"), "does not have the family `payment`"),
                            (lambda file: file.update(more=1), "unknown field")):
            changed = json.loads(json.dumps(held))
            change(changed)
            kept.write_text(json.dumps(changed))
            status, _, said = redteam(DEFAULT, *chosen, "--baseline", str(kept))
            equal((status, why in said), (2, True), said)
        equal(redteam(DEFAULT, *chosen, "--baseline", folder + "/none.json")[0], 3)


def case_nothing_is_no_trial():
    for words in (["--sample", "0"], ["--families", "obfuscated", "--mutations", "NONE"], ["--families", "none"], ["--server", "none"]):
        status, output, said = redteam(DEFAULT, *words)
        equal((status, output), (2, ""), said)


def write():
    for words, baseline in (SAMPLE, WHOLE):
        status, _, said = redteam(DEFAULT, *words, "--write-baseline", str(baseline))
        check(status == 0, said)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        sys.exit(write())
    sys.exit(run_cases(cases_of(globals(), scheduled)))
