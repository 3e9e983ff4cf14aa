"""The same hostile servers behind `bartizan run --standalone`: one client, one server, and the pipe between them."""

import json
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time

import harness
from harness import MIB, check
from payloads import HIDDEN, PAYLOADS

SERVER = str(pathlib.Path(__file__).with_name("hostile_stdio.py"))
# The rule that the client must be told of; None: the call succeeds in spite of the attack.
CASES = {"no-newline": None, "twice": None, "unsolicited": None, "noise": None, "flood-stderr": None, "flood": None,
         "ask-twice": None, "die": "upstream.ended",
         "die-halfway": "conformance.syntax", "close-output": "upstream.ended"}
CASES |= {name: payload.rule if payload.told else None for name, payload in PAYLOADS.items()}
ALSO = {"no-newline": "conformance.size", "unsolicited": "conformance.unsolicited", "noise": "conformance.syntax",
        "twice": "conformance.unsolicited", "ask-twice": "conformance.duplicate_id"}


class Wrapped:
    """A client that has the server wrapped in place."""

    def __init__(self, case):
        self.folder = tempfile.TemporaryDirectory(prefix="bartizan-standalone-")
        environment = os.environ | {"BARTIZAN_HOME": self.folder.name, "NO_COLOR": "1"}
        command = [harness.BINARY, "run", "--standalone", "--name", "hostile", "--", sys.executable, SERVER, case]
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, start_new_session=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.environment, self.next = environment, 0

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def say(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, method, params):
        self.next += 1
        self.say({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params})
        return self.answer(self.next)

    def answer(self, id):
        end = time.monotonic() + harness.PATIENCE
        while True:
            try:
                line = self.lines.get(timeout=max(0.1, end - time.monotonic()))
            except queue.Empty:
                raise harness.Failed(f"no answer to request {id}") from None
            check(line is not None, f"the output ended before the answer to {id}")
            # Nothing but MCP: whatever the server wrote, each line is one message.
            message = json.loads(line)
            check(isinstance(message, dict) and message.get("jsonrpc") == "2.0", f"not a message: {line[:200]}")
            if message.get("id") == id and "method" not in message:
                return message

    def peak(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM")) * 1024

    def entries(self):
        logs = pathlib.Path(self.folder.name).rglob("audit.jsonl")
        return [json.loads(line) for log in logs for line in log.read_text().splitlines()]

    def verify(self):
        for log in pathlib.Path(self.folder.name).rglob("audit.jsonl"):
            done = subprocess.run([harness.BINARY, "audit", "verify", str(log.parent)], env=self.environment,
                                  capture_output=True, text=True, timeout=60)
            check(done.returncode == 0, f"audit verify: {done.stdout}{done.stderr}")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.folder.cleanup()


def begin(wrapped):
    info = {"name": "suite", "version": "1"}
    wrapped.ask("initialize", {"protocolVersion": harness.VERSION, "capabilities": {"sampling": {}}, "clientInfo": info})
    wrapped.say({"jsonrpc": "2.0", "method": "notifications/initialized"})
    answer = json.dumps(wrapped.ask("tools/call", {"name": "good", "arguments": {}}))
    check('"fine"' in answer, f"the honest tool: {answer}")


def attack(case):
    rule, also = CASES[case], ALSO.get(case)
    wrapped = Wrapped(case)
    try:
        begin(wrapped)
        answer = json.dumps(wrapped.ask("tools/call", {"name": "evil", "arguments": {}}), ensure_ascii=False)
        for character in HIDDEN:
            check(character not in answer, f"{character!r} got through: {answer}")
        if rule:
            check(rule in answer, f"the client is not told of {rule}: {answer[:400]}")
        if wrapped.process.poll() is None:
            peak = wrapped.peak()
            check(peak < harness.MEMORY, f"the bridge took {peak / MIB:.0f} MiB")
        wanted = {rule, also, PAYLOADS[case].rule if case in PAYLOADS else None} - {None}
        harness.wait_for(lambda: wanted <= rules(wrapped.entries()), f"the log lacks one of {wanted}", 10)
        wrapped.process.stdin.close()
        wrapped.process.wait(timeout=harness.PATIENCE)
        wrapped.verify()
    finally:
        wrapped.close()


def last_words():
    """A client that closes its side right after a call still hears why the server died on it."""
    wrapped = Wrapped("die")
    try:
        begin(wrapped)
        wrapped.next += 1
        wrapped.say({"jsonrpc": "2.0", "id": wrapped.next, "method": "tools/call",
                     "params": {"name": "evil", "arguments": {}}})
        wrapped.process.stdin.close()
        answer = json.dumps(wrapped.answer(wrapped.next))
        check("upstream.ended" in answer and "last words" in answer, f"{answer}")
        check("\\u001b" not in answer, f"an escape sequence of the server's: {answer}")
    finally:
        wrapped.close()


def rules(entries):
    found = {entry.get("rule") for entry in entries}
    for entry in entries:
        found.update(finding["rule"] for finding in entry.get("findings", []))
    return found
