"""The same attacks over stdio: a client of `bartizan run` that the user's one Bartizan serves beside an honest twin, and one
of `run --standalone`. Each refusal reaches whoever waits for it: under the id that was sent, wherever one can be read."""

import json
import pathlib
import queue
import sys
import threading
import time

import harness
from harness import MIB, Failed, Wrapped, check, wait_for
from messages import attacks

# What a process may take of one client's messages at any moment (a debug build; a release takes less).
BOUND = 200 * MIB


class Victim:
    """An attacking client, the process that serves it, and an honest client of the same Bartizan if others have one."""

    def __init__(self, *options):
        server = [sys.executable, harness.HONEST, "stdio"]
        self.attacker = Wrapped(server, "--name", "victim", *options)
        self.twin = None if options else Twin(server, self.attacker.home)
        self.attacker.begin()
        self.attacker.ask("tools/call", {"name": "echo", "arguments": {"text": "first"}})
        self.next, self.since = 1000, 0

    def mark(self):
        self.since = len(self.attacker.entries())
        self.next += 1
        return self.next

    def raw(self, data, end=b"\n"):
        self.attacker.process.stdin.write(data + end)
        self.attacker.process.stdin.flush()

    def refused(self, id, rule):
        """The refusal that the client gets, which must be the next thing that it gets, under this id."""
        try:
            line = self.attacker.lines.get(timeout=harness.PATIENCE)
        except queue.Empty:
            raise Failed("no answer at all") from None
        check(line is not None, "the output ended")
        message = json.loads(line)
        error = message.get("error", {})
        check("id" in message and message["id"] == id, f"the answer is for {message.get('id')!r} and not {id!r}: {line[:300]}")
        check("Blocked by bartizan" in error.get("message", ""), f"{line[:300]}")
        check(error.get("data", {}).get("rule") == rule, f"another rule than {rule}: {line[:300]}")
        return error["data"]["decision"]

    def recorded(self, rule, **fields):
        """The entry of the attacker's message that this rule refused."""
        def found():
            entries = self.attacker.entries()[self.since:]
            return [entry for entry in entries if entry.get("server") == "victim" and entry.get("rule") == rule]
        entry = wait_for(found, f"the log has no entry of {rule}")[-1]
        for key, value in fields.items():
            check(entry.get(key) == value, f"{key} is {entry.get(key)!r} in {entry}")
        return entry

    def honest(self):
        """The benign twin of every refusal: the next request is answered, and so are those of others."""
        answer = self.attacker.ask("tools/call", {"name": "echo", "arguments": {"text": "fine"}})
        check(answer["result"]["content"][0]["text"] == "fine", f"the honest request got {answer}")
        if self.twin:
            self.twin.check_moves()

    def processes(self):
        """Every process of Bartizan's that has to do with it."""
        mine = f"BARTIZAN_HOME={self.attacker.home}".encode()
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if mine in (path / "environ").read_bytes().split(b"\0") and pathlib.Path(harness.BINARY).name in (path / "exe").readlink().name:
                    yield path
            except OSError:
                continue

    def check_memory(self):
        found = list(self.processes())
        check(found, "there is no process to measure")
        for path in found:
            words = dict(line.split(":", 1) for line in (path / "status").read_text().splitlines() if ":" in line)
            peak = int(words["VmHWM"].split()[0]) * 1024
            check(peak < BOUND, f"{(path / 'cmdline').read_bytes()} took {peak / MIB:.0f} MiB")

    def end(self):
        if self.twin:
            self.twin.stop()
        self.attacker.finish()
        check("panicked" not in self.attacker.complaints(), self.attacker.complaints()[-800:])
        self.attacker.verify()

    def close(self):
        if self.twin:
            self.twin.close()
        self.attacker.close()


class Twin:
    """An honest client whose server the same Bartizan has wrapped; each of its calls succeeds."""

    def __init__(self, server, home):
        self.wrapped, self.calls, self.problem = Wrapped(server, "--name", "twin", home=home), 0, None
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            self.wrapped.begin()
            while not self.done.wait(0.02):
                answer = self.wrapped.ask("tools/call", {"name": "echo", "arguments": {"text": str(self.calls)}})
                check(answer["result"]["content"][0]["text"] == str(self.calls), f"the twin got {answer}")
                self.calls += 1
        except Exception as error:  # Whatever it is, the case reports it.
            self.problem = repr(error)

    def check_moves(self):
        before = self.calls
        wait_for(lambda: self.problem or self.calls > before, "the honest twin stands still")
        check(self.problem is None, f"the honest twin was affected: {self.problem}")

    def stop(self):
        self.check_moves()
        self.done.set()
        self.thread.join(harness.PATIENCE)
        self.wrapped.finish()

    def close(self):
        self.done.set()
        self.wrapped.close()


def messages(v):
    for name, _ in attacks().items():
        id = v.mark()
        attack = attacks(id)[name]
        try:
            v.raw(attack.body)
            decision = v.refused(id if attack.named else None, attack.rule)
            entry = v.recorded(attack.rule, kind="unreadable", decision="deny", bytes=len(attack.body))
            check(entry["id"] == decision, f"the answer names {decision}")
        except Failed as failed:
            raise Failed(f"{name}: {failed}") from None
    v.honest()


def long_line(v):
    """A hundred megabytes on one line: refused under its id, which stands at its beginning, and recorded with its size."""
    for place, size in (("first", 100_000_000), ("last", 20_000_000)):
        id = v.mark()
        call = {"method": "tools/call", "params": {"name": "echo", "arguments": {"text": "@"}}}
        call = {"id": id, **call} if place == "first" else {**call, "id": id}
        head, tail = json.dumps({"jsonrpc": "2.0", **call}).encode().split(b"@")
        v.raw(head, b"")
        for _ in range(size // 1_000_000):
            v.raw(b"x" * 1_000_000, b"")
        v.raw(tail)
        v.refused(id if place == "first" else None, "conformance.size")
        entry = v.recorded("conformance.size", kind="unreadable")
        whole = len(head) + size + len(tail)
        # What takes longer than a second to come is not waited for.
        check(entry["bytes"] == whole or entry.get("at_least") and 10_000_000 < entry["bytes"] < whole, f"{entry}")
        v.honest()
    v.check_memory()


def line_that_stops(v):
    """One over the limit whose sender pauses is refused before its end, and the record says that there was more."""
    id = v.mark()
    v.raw(f'{{"jsonrpc":"2.0","id":{id},"method":"ping","x":"'.encode() + b"y" * 11_000_000, b"")
    v.refused(id, "conformance.size")
    entry = v.recorded("conformance.size", kind="unreadable", at_least=True)
    check(10_485_760 < entry["bytes"] <= 11_000_100, f"{entry}")
    v.raw(b'"}')
    v.honest()


def endless_line(v):
    """One without any end holds up neither its refusal nor the twin, and what follows is read."""
    v.mark()
    stop = threading.Event()

    def pour():
        while not stop.is_set():
            v.raw(b"x" * 100_000, b"")
    thread = threading.Thread(target=pour, daemon=True)
    thread.start()
    v.refused(None, "conformance.size")
    v.recorded("conformance.size", at_least=True)
    if v.twin:
        v.twin.check_moves()
    stop.set()
    thread.join(harness.PATIENCE)
    v.raw(b"")
    v.honest()
    v.check_memory()


def unsolicited(v):
    """Answers to nothing, and to what others were asked, go nowhere."""
    for body in (b'{"jsonrpc":"2.0","id":"never","result":{}}', b'{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}',
                 b'{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"no"}}'):
        v.mark()
        v.raw(body)
        v.recorded("conformance.unsolicited", kind="message", decision="deny", bytes=len(body))
    v.honest()


def ids_in_use(v):
    """Under an id that waits already, a second answer would be taken for the first: there is none, or it has no id."""
    id = v.mark()
    slow = {"id": id, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "slow", "wait": 1}}}
    v.attacker.say(slow)
    v.raw(b'{"jsonrpc":"2.0","id":%d,"method":"ping","a":1,"a":2}' % id)
    v.refused(None, "conformance.duplicate_key")
    v.attacker.say(slow)
    v.recorded("conformance.duplicate_id", decision="deny")
    answer = v.attacker.answer(id)
    check(answer["result"]["content"][0]["text"] == "slow", f"{answer}")
    time.sleep(0.2)
    check(v.attacker.lines.empty(), "a second answer under one id")
    v.honest()


def two_eras(v):
    """In a session, what says that it is of the era without sessions goes on to nobody; other `_meta` passes."""
    prefix = "io.modelcontextprotocol/"
    ask = {"name": "echo", "arguments": {"text": "fine"}}
    for said in ({"protocolVersion": "2026-07-28", "clientCapabilities": {}}, {"protocolVersion": 1}, {"clientInfo": {}}):
        for method in ("tools/call", "initialize"):
            id = v.mark()
            v.attacker.say({"id": id, "method": method, "params": ask | {"_meta": {prefix + key: said[key] for key in said}}})
            decision = v.refused(id, "gateway.two_eras")
            entry = v.recorded("gateway.two_eras", kind="message", decision="deny", method=method, request=str(id))
            check(entry["id"] == decision, f"the answer names {decision}")
        v.mark()
        v.attacker.say({"method": "notifications/odd", "params": {"_meta": {prefix + "logLevel": "debug"}}})
        v.recorded("gateway.two_eras", method="notifications/odd", decision="deny")
    plain = {"progressToken": "p", "com.example/trace": 1, prefix + "related-task": {"taskId": "t"}}
    answer = v.attacker.ask("tools/call", ask | {"_meta": plain})
    check(answer["result"]["content"][0]["text"] == "fine", f"{answer}")
    v.honest()


def half_closed(v):
    """A client that closes its side in the middle of a message: that is refused, and everything ends."""
    id = v.mark()
    v.raw(b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{' % id, b"")
    v.attacker.process.stdin.close()
    v.recorded("conformance.syntax", kind="unreadable")
    check(v.attacker.process.wait(harness.PATIENCE) == 0, f"it ended with {v.attacker.process.returncode}")
    rest = [json.loads(line) for line in iter(v.attacker.lines.get, None)]
    check([message.get("id", 0) for message in rest] == [None], f"{rest}")
    if v.twin:
        v.twin.check_moves()


def closes_early(v):
    """One that asks and then closes its side gets the answer; one that never reads does not hold up the end."""
    v.mark()
    v.attacker.next += 1
    v.attacker.say({"id": v.attacker.next, "method": "tools/call",
                    "params": {"name": "echo", "arguments": {"text": "late", "wait": 1}}})
    v.attacker.process.stdin.close()
    check("late" in json.dumps(v.attacker.answer(v.attacker.next)), "the last answer")
    check(v.attacker.process.wait(harness.PATIENCE) == 0, f"it ended with {v.attacker.process.returncode}")
    if v.twin:
        v.twin.check_moves()


def run(case, options):
    victim = Victim(*options)
    try:
        case(victim)
        victim.end()
    finally:
        victim.close()


def cases():
    """Each attack on both forms of `bartizan run`, by name."""
    for way, options in (("run", []), ("standalone", ["--standalone"])):
        for case in (messages, long_line, line_that_stops, endless_line, unsolicited, ids_in_use, two_eras, half_closed, closes_early):
            yield f"stdio {way} {case.__name__}", lambda case=case, options=options: run(case, options)
