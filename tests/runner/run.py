#!/usr/bin/env python3
"""Checks the runner itself: a failure it misread would hide every other one."""

import importlib.util
import contextlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
spec = importlib.util.spec_from_file_location("runner", ROOT / "tests" / "run.py")
runner = importlib.util.module_from_spec(spec)
sys.modules["runner"] = runner
spec.loader.exec_module(runner)
Counts = runner.Counts

NEXTEST = [
    ("     Summary [   0.006s] 1 test run: 1 passed, 0 skipped\n", Counts(1, 0, 0)),
    ("     Summary [   1.2s] 9 tests run: 7 passed (1 slow, 1 leaky), 2 failed, 3 skipped\n", Counts(7, 2, 3)),
    ("     Summary [   1.2s] 4 tests run: 2 passed, 1 timed out, 1 exec failed, 0 skipped\n", Counts(2, 2, 0)),
    ("     Summary [   1.2s] 3/8 tests run: 2 passed, 1 failed, 0 skipped\n", Counts(2, 6, 0)),
    ("     Summary [   0.000s] 0 tests run: 0 passed, 5 skipped\n", Counts(0, 0, 5)),
    ("error: could not compile `bartizan-mcp`\n", None),
]

LIBTEST = [
    ("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n"
     "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n", Counts(4, 2, 1)),
    ("running 0 tests\n", None),
]

UNITTEST = [
    ("Ran 8 tests in 1.069s\n\nOK\n", Counts(8, 0, 0)),
    ("Ran 1 test in 0.001s\n\nOK (skipped=1)\n", Counts(0, 0, 1)),
    ("Ran 9 tests in 0.1s\n\nFAILED (failures=2, errors=1, skipped=1, expected failures=1)\n", Counts(5, 3, 1)),
    ("Ran 2 tests in 0.1s\n\nFAILED (unexpected successes=1)\n", Counts(1, 1, 0)),
    ("ImportError: no module\n", None),
]

SUITES = [
    ("1 passed, 1 failed\nmore\n12 passed, 0 failed, 2 skipped\n", "", Counts(12, 0, 2)),
    ("3 passed, 0 failed\n", '{"passed": 5, "failed": 1, "skipped": 2}', Counts(5, 1, 2)),
    ("3 passed, 0 failed\n", "{broken", None),
    ("3 passed, 0 failed\n", "[]", None),
    ("said 3 passed, 0 failed\n", "", None),
]

# exit status, counts, whether counts are owed, what it is worth
WORTH = [
    (0, None, False, Counts(1, 0, 0)),
    (1, None, False, Counts(0, 1, 0)),
    (0, None, True, Counts(0, 1, 0)),
    (0, Counts(0, 0, 4), True, Counts(0, 1, 4)),
    (0, Counts(0, 0, 0), False, Counts(0, 0, 0)),
    (1, Counts(7, 0, 0), True, Counts(7, 1, 0)),
    (1, Counts(7, 2, 0), True, Counts(7, 2, 0)),
    (0, Counts(7, 2, 0), True, Counts(7, 2, 0)),
]


# output, what is said of it again
FAILURES = [
    ("ok    one\n1 passed, 0 failed\n", []),
    ("ok    one\nFAIL  two: not 3 but 4\nok    three\n2 passed, 1 failed\n", ["FAIL  two: not 3 but 4"]),
    ("FAIL  two\nTraceback\n  File x\n\n    check(y)\nFailed: no answer\n\nok    three\nno part of it\n",
     ["FAIL  two", "check(y)", "Failed: no answer"]),
    ("        FAIL [   0.1s] bartizan-mcp parse::tests::one\n        PASS [   0.1s] bartizan-mcp parse::tests::two\n",
     ["FAIL [   0.1s] bartizan-mcp parse::tests::one"]),
    ("error[E0308]: mismatched types\n  --> src/lib.rs:1:2\n", ["error[E0308]: mismatched types", "--> src/lib.rs:1:2"]),
    ("=====\nFAIL: test_worth (x.Runner)\n-----\nTraceback\n  a\nAssertionError: 1 != 2\n\n-----\nRan 1 test in 0.1s\n\nFAILED (failures=1)\n",
     ["FAIL: test_worth (x.Runner)", "a", "AssertionError: 1 != 2"]),
    ("FAIL  x\n" * 11, ["FAIL  x"] * 8 + ["and 3 more"]),
    ("FAIL  " + "x" * 999, ["FAIL  " + "x" * 234]),
]


class Runner(unittest.TestCase):
    def test_counts(self):
        for output, expected in NEXTEST:
            self.assertEqual(runner.from_nextest(output), expected, output)
        for output, expected in LIBTEST:
            self.assertEqual(runner.from_libtest(output), expected, output)
        for output, expected in UNITTEST:
            self.assertEqual(runner.from_unittest(output), expected, output)
        for output, report, expected in SUITES:
            self.assertEqual(runner.from_suite(output, report), expected, (output, report))

    def test_worth(self):
        for status, counts, owed, expected in WORTH:
            self.assertEqual(runner.settle(status, counts, owed), expected, (status, counts, owed))

    def test_what_failed_is_said_again(self):
        for output, expected in FAILURES:
            self.assertEqual(runner.failures(output), expected, output)
        for script, expected in (("echo 'FAIL  a: b'; echo '1 passed, 1 failed'; exit 1", ["one: FAIL  a: b"]),
                                 ("echo '1 passed, 0 failed'; exit 3", ["one: exit status 3"]),
                                 ("echo '1 passed, 0 failed'", [])):
            step = runner.Step("one", ["bash", "-c", script], runner.from_suite)
            counts = runner.run(step, False, 60, lambda _: None) + Counts(1)
            self.assertEqual(counts.why, expected, script)

    def test_output_and_status_come_back(self):
        status, output = stream("echo one; echo two >&2; exit 3")
        self.assertEqual((status, sorted(output.split())), (3, ["one", "two"]))

    def test_stdin_is_empty(self):
        self.assertEqual(stream("cat; echo end"), (0, "end\n"))

    def test_a_missing_command_is_a_failure(self):
        self.assertEqual(runner.stream(["/nonexistent/program"], dict(os.environ), 60)[0], 127)

    def test_what_a_step_left_running_is_ended(self):
        with tempfile.TemporaryDirectory() as folder:
            status, _ = stream(f"sleep 600 & echo $! > {folder}/pid")
            self.assertEqual(status, 0)
            pid = int(pathlib.Path(folder, "pid").read_text())
            # It was told to end; on a busy machine that takes a moment.
            end = time.monotonic() + 30
            while running(pid) and time.monotonic() < end:
                time.sleep(0.05)
            self.assertFalse(running(pid))

    def test_a_stuck_step_is_stopped(self):
        status, output = runner.stream(["bash", "-c", "echo begun; sleep 600"], dict(os.environ), 1)
        self.assertEqual((status, output), (124, "begun\n"))

    def test_what_runs_beside_is_counted_and_shown_at_the_end(self):
        script = "sleep 0.2; echo inside; echo '2 passed, {} failed'"
        chosen = [runner.Step(name, ["bash", "-c", script.format(failed)], runner.from_suite) for name, failed in (("one", 0), ("two", 1))]
        chosen.append(runner.Step("three", ["bash", "-c", "echo nothing"], runner.from_suite))
        beside = runner.Beside(chosen, runner.Queue([]), False, 60)
        beside.start()
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            done = beside.end()
        self.assertEqual([(name, counts) for name, counts, _ in done], [("one", Counts(2)), ("two", Counts(2, 1)), ("three", Counts(0, 1))])
        self.assertEqual(shown.getvalue().count("\ninside\n"), 2)
        self.assertEqual(runner.Beside([], runner.Queue([]), False, 60).end(), [])

    def test_what_is_left_is_taken_from_either_end_once(self):
        company, alone = runner.COMPANY[:3], "flow"
        step = lambda name: runner.Step(name, ["bash", "-c", "echo '1 passed, 0 failed'"], runner.from_suite)
        queue = runner.Queue([step(name) for name in (company[0], alone, *company[1:], "sandbox")])
        self.assertEqual(queue.last_with_company().name, company[2])
        self.assertEqual(queue.first().name, company[0])
        # The first of those that wait is whoever's that runs them in order, and so is what has to be without company.
        self.assertEqual(queue.last_with_company().name, company[1])
        self.assertIsNone(queue.last_with_company())
        self.assertEqual([queue.first().name, queue.first().name, queue.first()], [alone, "sandbox", None])
        queue = runner.Queue([step(alone), *map(step, company)])
        beside, third = (runner.Beside(chosen, queue, False, 60) for chosen in ([step("apart")], []))
        with contextlib.redirect_stdout(io.StringIO()):
            # Who has nothing of its own begins with what is left.
            done = [(name, counts) for lane in (third, beside) for name, counts, _ in lane.end()]
        self.assertEqual(done, [*((name, Counts(1)) for name in reversed(company)), ("apart", Counts(1))])
        self.assertEqual(queue.first().name, alone)

    def test_what_may_have_company_comes_last(self):
        names = [step.name for step in runner.in_order(runner.steps(False))]
        company = [name for name in names if name in runner.COMPANY]
        self.assertEqual(names[-len(company):], company)
        self.assertEqual(company, runner.COMPANY)
        rest = [step.name for step in runner.steps(False) if step.name not in runner.COMPANY]
        self.assertEqual((names[:-len(company)], names[0]), (rest, "setup"))

    def test_what_may_have_company_is_a_suite(self):
        suites = {step.name for step in runner.steps(False) if step.read is runner.from_suite}
        self.assertEqual((set(runner.COMPANY) | runner.BESIDE) - suites, set())
        self.assertEqual(set(runner.COMPANY) & runner.BESIDE, set())

    def test_an_unknown_step_is_a_usage_error(self):
        ended = subprocess.run([sys.executable, ROOT / "tests" / "run.py", "no-such-step"], capture_output=True)
        self.assertEqual(ended.returncode, 2)

    def test_a_missing_compiler_is_said_before_anything_is_built(self):
        make = shutil.which("make")
        with tempfile.TemporaryDirectory() as folder:
            for target in ("setup", "build", "run", "test", "test-long", "check", "bench"):
                ended = subprocess.run([make, target], cwd=ROOT, env={"PATH": folder}, capture_output=True, text=True)
                self.assertEqual((ended.returncode, ended.stdout), (2, ""), target)
                self.assertIn("there is no C compiler (cc)", ended.stderr)
        ended = subprocess.run([make, "compiler"], cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))


def stream(script: str) -> tuple[int, str]:
    return runner.stream(["bash", "-c", script], dict(os.environ), 60)


def running(pid: int) -> bool:
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=2).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed, {len(result.skipped)} skipped")
    sys.exit(1 if failed else 0)
