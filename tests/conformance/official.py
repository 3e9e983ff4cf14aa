"""The official conformance suite: which scenarios it has, and what it finds."""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[\d-]+Z$")
LOST = {"state": "fail", "checks": 0, "problems": ["the suite has left no result"]}


class Suite:
    """The installed suite."""

    def __init__(self):
        setup = HERE.parent / "tools" / "setup.sh"
        installed = subprocess.run([setup], stdout=subprocess.PIPE, text=True)
        if installed.returncode != 0:
            sys.exit("the suite could not be installed")
        tools = pathlib.Path(installed.stdout.strip())
        node = tools / "bin" / "node"
        self.command = [node, tools / "npm/node_modules/@modelcontextprotocol/conformance/dist/index.js"]
        self.client = f"{node} {HERE / 'client.mjs'}"

    def scenarios(self, requirements, leg):
        """The scenarios of one requirement set: their names, each with why it is not scored, if it is not."""
        listing = subprocess.run(
            [*self.command, "list", "--requirements", requirements], stdout=subprocess.PIPE, text=True
        )
        if listing.returncode != 0:
            sys.exit(f"the suite knows no requirements for {requirements}")
        found, section, reason = {}, None, None
        for line in listing.stdout.splitlines():
            entry = re.fullmatch(r"\s+- (\S+)(?: \[(\w+)\])?", line)
            if entry is None:
                section = line.split()[0].lower() if line[:1].strip() else section
                reason = line.split()[0] if re.fullmatch(r"  [\w-]+ \(\d+\):", line) else None
            elif (entry[2] or section) == leg:
                found[entry[1]] = reason
        return found

    def run(self, leg, subject, options, wanted, whole):
        """Runs scenarios against a URL or a command; the outcome of each by its name: its state (`pass`, `none` where
        the suite has found nothing to look at, `warn`, `fail`), how many checks it has passed, and what was wrong."""
        target = ["--url" if leg == "server" else "--command", subject]
        with tempfile.TemporaryDirectory() as scratch:
            out = pathlib.Path(scratch)
            if options.output:
                options.output.mkdir(parents=True, exist_ok=True)
                out = pathlib.Path(tempfile.mkdtemp(prefix=f"{leg}-{options.requirements}-", dir=options.output))
            base = [*self.command, leg, *target, "--timeout", str(options.timeout * 1000), "-o", out]
            if whole:
                batches = [[*base, "--requirements", options.requirements]]
            else:
                one = ["--spec-version", options.requirements, "--force", "--scenario"]
                batches = [[*base, *one, name] for name in wanted]
            with concurrent.futures.ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
                logs = list(pool.map(quietly, batches))
            outcomes = collect(out, leg)
        if not outcomes:
            sys.exit(f"the suite has reported nothing about {subject}:\n{logs[0]}")
        # A scenario that broke down leaves no results behind.
        return {name: outcomes.get(name, LOST) for name in wanted}


def quietly(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def collect(out, leg):
    """Reads the suite's result files."""
    outcomes = {}
    for file in out.rglob("checks.json"):
        name = STAMP.sub("", str(file.parent.relative_to(out)))
        name = name.removeprefix("server-") if leg == "server" else name
        checks = json.loads(file.read_text())
        of = {status: [check for check in checks if check["status"] == status] for status in ("FAILURE", "WARNING")}
        problems = [f"{check['id']}: {check.get('errorMessage') or check['description']}" for check in sum(of.values(), [])]
        passed = sum(check["status"] == "SUCCESS" for check in checks)
        # Where a client does nothing the suite skips its checks; against a server it skips only what it cannot test.
        idle = not checks or (leg == "client" and passed == 0)
        state = "fail" if of["FAILURE"] or idle else "warn" if of["WARNING"] else "pass" if passed else "none"
        outcomes[name] = {"state": state, "checks": passed, "problems": problems}
    return outcomes
