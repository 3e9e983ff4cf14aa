#!/usr/bin/env python3
"""Runs every suite of the project, one after the other, and ends with one line of totals.

A step is a command. Its output streams through unchanged, a failing step never stops the next one, and the exit
status is 1 if anything failed. A folder `tests/NAME` that holds a `run.py` is a suite: adding one adds a step.

What is installed for the tests comes while what needs none of it compiles (`UNAIDED`). A suite takes less than half of one
core, as it mostly waits for limits to pass and for processes to start; so three run at a time. One line has those that
measure something, in order; the second those that do little but wait (`BESIDE`); and whoever has nothing else to do takes
of those that may have any company (`COMPANY`), which come last and are taken from either end. What runs beside shows what
it said once it has ended.

What a suite owes the runner: exit status 0 only if nothing failed, and its counts, either as JSON in the file that
BARTIZAN_COUNTS names (`{"passed": 1, "failed": 0, "skipped": 0}`) or as its last line `1 passed, 0 failed`.
BARTIZAN_BIN names the program under test; BARTIZAN_TEST_LONG=1 asks for the long versions.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Callable

ROOT = pathlib.Path(__file__).resolve().parent.parent
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
NEXTEST = re.compile(r"^\s*Summary \[.*?\]\s+(?:\d+/)?(\d+) tests? run:(.*)$", re.M)
# These write what others compare, and so are run by whoever wants that alone.
WRITERS = "write_the_books_page"
LIBTEST = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", re.M)
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n\n(OK|FAILED)(.*)$", re.M)
# What needs nothing of what `setup` installs.
UNAIDED = {"format", "clippy", "build"}
# Minutes of waiting for limits of the gateway to pass and for one process after the other, and little else.
BESIDE = {"approval", "bridge_down", "edge_tls", "hostile_server", "lifecycle", "oauth", "signin"}
# What measures nothing that another suite on the same machine changes, so that either side may take it when it is free.
# The longer it takes the later it stands: so whoever takes from the end begins with the longest, and all end together.
COMPANY = ["tls", "learn", "old_transport", "pseudonyms", "labels", "upstream_auth", "first_call", "capture", "marks", "generated",
           "conformance", "access", "recorded", "authorize", "features", "bridge_up", "redteam", "aggregate", "real"]
# What runs now, to be ended if this ends.
LIVE: set[subprocess.Popen] = set()
PLAIN = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)
# Where the words about a failed case begin, and what ends them: those of the next case, step or count.
FAILED = re.compile(r"^\s*(?:FAIL|TIMEOUT|SIG[A-Z]+)\s+\[?.*|^(?:FAIL|ERROR): .*|^error(?:\[\w+\])?: .*")
NEXT_CASE = re.compile(r"^(?:ok|skip)\s|^\s*PASS\s|^===|^Ran \d+ tests? in |^\d+ passed, ")
# Of each failed case its first line and its last ones are said again at the end, of so many cases of a step.
LAST_LINES, MOST_CASES, WIDEST = 2, 8, 240


@dataclasses.dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    # Of what failed, what is said again at the end.
    why: list[str] = dataclasses.field(default_factory=list, compare=False)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped, self.why + other.why)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def from_nextest(output: str) -> Counts | None:
    """Counts in cargo-nextest's summary; whatever ran and did not pass (failed, timed out, not executable) failed."""
    found = NEXTEST.findall(output)
    if not found:
        return None
    run, rest = found[-1]
    passed, skipped = (re.search(rf"(\d+) {word}", rest) for word in ("passed", "skipped"))
    passed = int(passed[1]) if passed else 0
    return Counts(passed, int(run) - passed, int(skipped[1]) if skipped else 0)


def from_libtest(output: str) -> Counts | None:
    """The sum over every test binary cargo ran."""
    found = LIBTEST.findall(output)
    return sum((Counts(*map(int, row)) for row in found), Counts()) if found else None


def from_unittest(output: str) -> Counts | None:
    """Counts of Python's unittest."""
    found = UNITTEST.findall(output)
    if not found:
        return None
    run, _, rest = found[-1]
    numbers = {name: int(number) for name, number in re.findall(r"(\w[\w ]*)=(\d+)", rest)}
    skipped = numbers.pop("skipped", 0)
    failed = sum(numbers.pop(name, 0) for name in ("failures", "errors", "unexpected successes"))
    return Counts(int(run) - failed - skipped, failed, skipped)


def from_suite(output: str, report: str = "") -> Counts | None:
    """Counts of a suite of ours: its JSON report, else its last plain line."""
    if report.strip():
        try:
            found = json.loads(report)
            return Counts(int(found["passed"]), int(found["failed"]), int(found.get("skipped", 0)))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
    found = PLAIN.findall(output)
    return Counts(*(int(n or 0) for n in found[-1])) if found else None


def failures(output: str) -> list[str]:
    """What is said of failed cases, in few lines each: a report of a run may keep no more than its end."""
    cases: list[list[str]] = []
    under = False
    for line in output.splitlines():
        if FAILED.match(line):
            cases.append([])
            under = True
        elif NEXT_CASE.match(line):
            under = False
        if under and line.strip(" -"):
            cases[-1].append(line.strip()[:WIDEST])
    said = [line for case in cases[:MOST_CASES] for line in case[:1] + case[1:][-LAST_LINES:]]
    return said + ([f"and {len(cases) - MOST_CASES} more"] if len(cases) > MOST_CASES else [])


def settle(status: int, counts: Counts | None, must_count: bool) -> Counts:
    """What a step is worth: a bad exit is a failure even if no test says so, and so is a suite that ran nothing."""
    if counts is None:
        return Counts(passed=1) if status == 0 and not must_count else Counts(failed=1)
    ran_nothing = must_count and counts.passed + counts.failed == 0
    if (status != 0 or ran_nothing) and counts.failed == 0:
        return counts + Counts(failed=1)
    return counts


@dataclasses.dataclass
class Step:
    name: str
    command: list[str]
    read: Callable[..., Counts | None] | None = None  # None: the step itself is the one check
    must_count: bool = True


def steps(long: bool) -> list[Step]:
    """Every step, in order: cheap refusals first, what needs the built program last."""
    locked = ["--locked"] if os.environ.get("CI") else []
    have_nextest = shutil.which("cargo-nextest") is not None
    if have_nextest:
        run = ["cargo", "nextest", "run", "--workspace", "--no-fail-fast", *locked]
        unit = Step("tests", run + (["--run-ignored", "all", "-E", f"not test(/^{WRITERS}/)"] if long else []), from_nextest)
    else:
        run = ["cargo", "test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast", *locked]
        unit = Step("tests", run + (["--", "--include-ignored", "--skip", WRITERS] if long else []), from_libtest)
    clippy = ["cargo", "clippy", "--workspace", "--all-targets", *locked, "--", "-D", "warnings"]
    fixed = [
        Step("setup", ["bash", "tests/tools/setup.sh"]),
        Step("format", ["cargo", "fmt", "--all", "--check"]),
        Step("clippy", clippy),
        # The tests as well: together they leave no core without work.
        Step("build", ["cargo", "build", "--workspace", "--bins", "--tests", *locked]),
        unit,
        Step("bench-report", ["python3", "-m", "unittest", "discover", "-s", "bench"], from_unittest),
        Step("doctests", ["cargo", "test", "--workspace", "--doc", "--no-fail-fast", *locked], from_libtest, False),
    ]
    suites = sorted((ROOT / "tests").glob("*/run.py"))
    return fixed + [Step(path.parent.name, ["python3", str(path.relative_to(ROOT))], from_suite) for path in suites]


def at_once(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def run(step: Step, long: bool, limit: float, show: Callable[[str], None]) -> Counts:
    """Runs one step and says what it is worth."""
    show(f"\n=== {step.name}: {' '.join(step.command)}\n")
    command = [python() if word == "python3" else word for word in step.command]
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "counts.json")
        environment = os.environ | {"BARTIZAN_COUNTS": str(report)}
        environment.setdefault("BARTIZAN_BIN", str(target_folder() / "debug" / "bartizan"))
        if long:
            environment |= {"BARTIZAN_TEST_LONG": "1", "PROPTEST_CASES": os.environ.get("PROPTEST_CASES", "5000")}
        else:
            # A stated sample: the same cases every time, so that a change is blamed for what it broke and for nothing
            # else. The long version draws new ones.
            environment.setdefault("PROPTEST_RNG_SEED", "20261123")
        status, output = stream(command, environment, limit, show)
        if step.read is None:
            counts = None
        elif step.read is from_suite:
            counts = from_suite(output, report.read_text() if report.exists() else "")
        else:
            counts = step.read(output)
    worth = settle(status, counts, must_count=step.read is not None and step.must_count)
    if worth.failed and status != 0:
        show(f"=== {step.name}: exit status {status}\n")
    if worth.failed:
        worth.why = [f"{step.name}: {line}" for line in failures(output) or [f"exit status {status}"]]
    return worth


def stream(command: list[str], environment: dict[str, str], limit: float, show: Callable[[str], None] = at_once) -> tuple[int, str]:
    """Runs a command without stdin, showing its output as it comes; gives its exit status and that output."""
    try:
        # A session of its own, so that a step that has to be ended is ended with everything it started.
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, start_new_session=True)
    except OSError as error:
        show(f"cannot start {command[0]}: {error.strerror}\n")
        return 127, ""
    LIVE.add(child)
    lines: list[str] = []
    pump = threading.Thread(target=echo, args=(child.stdout, lines, show), daemon=True)
    pump.start()
    try:
        status = child.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        show(f"=== no end after {limit:.0f} s, stopping it\n")
        status = 124
    finally:
        end_group(child)
        LIVE.discard(child)
    # Waiting for the end of the output instead would wait for anything the step left running.
    pump.join(timeout=5)
    if pump.is_alive():
        show("=== something this step started outlives it and holds its output\n")
    return status, "".join(list(lines))


def echo(source, lines: list[str], show: Callable[[str], None]) -> None:
    with source:
        for raw in source:
            line = raw.decode("utf-8", "replace")
            lines.append(ANSI.sub("", line))
            show(line)


def end_group(child: subprocess.Popen) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def target_folder() -> pathlib.Path:
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target")


def python() -> str:
    """The interpreter that has the clients the suites use, once setup has made it."""
    tools = pathlib.Path(os.environ.get("BARTIZAN_TOOLS", ROOT / ".tools"), "python", "bin", "python")
    return str(tools) if tools.exists() else sys.executable


def say(text: str) -> None:
    print(text, flush=True)


def in_order(chosen: list[Step]) -> list[Step]:
    """What may have company comes last, so that there is some left for whoever has nothing else to do."""
    return sorted(chosen, key=lambda step: COMPANY.index(step.name) if step.name in COMPANY else -1)


class Queue:
    """Steps that are still to be run: each is taken once, from either end."""

    def __init__(self, waiting: list[Step]):
        self.waiting, self.lock = list(waiting), threading.Lock()

    def first(self) -> Step | None:
        with self.lock:
            return self.waiting.pop(0) if self.waiting else None

    def last_with_company(self) -> Step | None:
        with self.lock:
            # The next one is not taken from whoever comes for it now.
            fit = [step for step in self.waiting[1:] if step.name in COMPANY]
            if fit:
                self.waiting.remove(fit[-1])
            return fit[-1] if fit else None


class Beside:
    """Steps that run one after the other while others do, and then what those others have left."""

    def __init__(self, chosen: list[Step], others: Queue, long: bool, limit: float):
        self.chosen, self.others, self.long, self.limit = chosen, others, long, limit
        self.done: list[tuple[str, Counts, float]] = []
        self.said: list[str] = []
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        if self.thread.ident is None:
            self.thread.start()

    def _run(self) -> None:
        for step in self.chosen:
            self._one(step)
        while step := self.others.last_with_company():
            self._one(step)

    def _one(self, step: Step) -> None:
        started = time.monotonic()
        try:
            counts = run(step, self.long, self.limit, self.said.append)
        except Exception as error:  # whatever it is, it is no success
            self.said.append(f"=== {step.name}: {error!r}\n")
            counts = Counts(failed=1, why=[f"{step.name}: {error!r}"])
        self.done.append((step.name, counts, time.monotonic() - started))

    def end(self) -> list[tuple[str, Counts, float]]:
        """What became of them, once they have ended."""
        self.start()
        self.thread.join()
        at_once("".join(self.said))
        done, self.done, self.said = self.done, [], []
        return done


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs every suite and ends with one line of totals.")
    parser.add_argument("names", nargs="*", help="only these steps (default: all)")
    parser.add_argument("--long", action="store_true", help="ignored tests too, and the long versions of the suites")
    parser.add_argument("--list", action="store_true", help="name the steps and stop")
    parser.add_argument("--limit", type=float, default=3600, help="seconds after which a stuck step is stopped")
    options = parser.parse_args()
    chosen = steps(options.long)
    if options.list:
        say("\n".join(step.name for step in chosen))
        return 0
    unknown = set(options.names) - {step.name for step in chosen}
    if unknown:
        parser.error(f"no such step: {', '.join(sorted(unknown))}")
    table, total = [], Counts()
    chosen = [step for step in chosen if not options.names or step.name in options.names]
    setup = Beside([step for step in chosen if step.name == "setup"], Queue([]), options.long, options.limit)
    setup.start()
    chosen = [step for step in chosen if step.name != "setup"]
    # What is alone has nothing to run beside.
    apart = [step for step in chosen if step.name in BESIDE and len(chosen) > 1]
    others = Queue(in_order([step for step in chosen if step not in apart]))
    beside = [Beside(apart, others, options.long, options.limit), Beside([], others, options.long, options.limit)]
    while step := others.first():
        if step.name not in UNAIDED:
            table += setup.end()
        if step.read is from_suite:
            for lane in beside:
                lane.start()
        started = time.monotonic()
        counts = run(step, options.long, options.limit, at_once)
        table.append((step.name, counts, time.monotonic() - started))
    table += setup.end() + [row for lane in beside for row in lane.end()]
    for _, counts, _ in table:
        total += counts
    say("\n=== by step")
    for name, counts, seconds in table:
        mark = "FAIL" if counts.failed else "ok"
        say(f"{mark:<4}  {name:<14} {counts.passed:>6} {counts.failed:>5} {counts.skipped:>5}  {seconds:7.1f} s")
    if total.why:
        say("=== what failed")
        say("\n".join(total.why))
    say(str(total))
    summary = target_folder() / "test-summary.txt"
    summary.parent.mkdir(parents=True, exist_ok=True)
    summary.write_text(f"{total}\n")
    return 1 if total.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        for left in list(LIVE):
            end_group(left)
        sys.exit(130)
