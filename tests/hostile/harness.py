"""What the hostile suites share: a gateway under test, a plain client, honest servers, and a twin that must never notice.

Nothing here knows an attack. A suite starts a `Gateway`, keeps a `Twin` calling honest servers through it all the
while, and asserts after each attack what became of the attacker, of the twin, of the gateway's memory and of its log.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "log"))

import auditlog  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("BARTIZAN_BIN", str(ROOT / "target" / "debug" / "bartizan"))
HONEST = str(pathlib.Path(__file__).with_name("honest.py"))
MIB = 1024 * 1024
# How much memory the gateway may take at any moment, whatever is done to it (a debug build; a release takes less).
MEMORY = 280 * MIB
# How long anything honest may take. Far above what it needs: a deadline, no measurement.
PATIENCE = 20.0
VERSION = "2025-11-25"


class Failed(AssertionError):
    """A check that did not hold."""


def check(truth, text):
    if not truth:
        raise Failed(text)


def wait_for(probe, text, limit=PATIENCE):
    """The first value of `probe` that counts as true."""
    end = time.monotonic() + limit
    while True:
        if found := probe():
            return found
        check(time.monotonic() < end, f"{text}, even after {limit:.0f} s")
        time.sleep(0.05)


class Gateway:
    """One `bartizan serve` with its home in a folder of its own, and servers without a sandbox: what they do is looked at from
    outside."""

    def __init__(self, config: str, binary=BINARY, audit=None):
        self.folder = tempfile.TemporaryDirectory(prefix="bartizan-hostile-", ignore_cleanup_errors=True)
        self.home = pathlib.Path(self.folder.name)
        self.binary = binary
        self.audit = audit or self.home / "audit"
        self.config = self.home / "bartizan.toml"
        if audit:
            config = f'[audit]\ndirectory = "{audit}"\n' + config
        self.config.write_text('sandbox.default = "none"\n[listen]\naddress = "127.0.0.1:0"\n[admin]\naddress = "127.0.0.1:0"\n' + config)
        self.environment = os.environ | {"BARTIZAN_HOME": str(self.home), "NO_COLOR": "1"}
        self.said = self.home / "stderr.txt"
        self.process = subprocess.Popen(
            [binary, "serve", "--allow-unconfined", "--config", str(self.config)], env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=self.said.open("wb"), cwd=self.folder.name, start_new_session=True)
        self.pid = self.process.pid
        found = wait_for(self._addresses, "the gateway does not say where it serves")
        (self.host, self.port), self.admin = found
        self.log = auditlog.Growing(self.audit, self.home)

    def _addresses(self):
        text = self.said.read_text(errors="replace")
        check(self.process.poll() is None, f"the gateway ended at start:\n{text}")
        serves = re.search(r"serves MCP at http://([\d.]+):(\d+)/mcp", text)
        admin = re.search(r"metrics at http://([\d.]+):(\d+)/readyz", text)
        return serves and admin and ((serves[1], int(serves[2])), (admin[1], int(admin[2])))

    # What it takes.

    def status(self, key: str) -> int:
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{key}:\s+(\d+)", text, re.M)[1])

    def memory(self) -> int:
        """Bytes resident now."""
        return self.status("VmRSS") * 1024

    def peak(self) -> int:
        """The most bytes resident since `forget_peak`."""
        return self.status("VmHWM") * 1024

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def children(self) -> int:
        return len(pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()) + sum(
            len(path.read_text().split()) for path in pathlib.Path(f"/proc/{self.pid}/task").glob("*/children")
            if path.parent.name != str(self.pid))

    def ask_admin(self, path: str) -> tuple[int, str]:
        """The status and the text of one of the pages for probes."""
        connection = http.client.HTTPConnection(*self.admin, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def metric(self, name: str, **labels) -> float:
        _, text = self.ask_admin("/metrics")
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = (line for line in text.splitlines() if re.match(rf"{name}[ {{]", line))
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if all(label in line for label in wanted))

    # What it wrote down.

    def entries(self) -> list[dict]:
        """All entries of the audit log so far."""
        return self.log.entries()

    def recorded(self, since: int, **fields) -> list[dict]:
        return [entry for entry in self.entries()[since:] if all(entry.get(k) == v for k, v in fields.items())]

    def rules(self, since: int) -> set[str]:
        return rules_of(self.entries()[since:])

    def wait_recorded(self, since: int, text: str, limit=PATIENCE, **fields):
        return wait_for(lambda: self.recorded(since, **fields), f"the log has no entry of {text}", limit)

    def verify(self) -> str:
        done = subprocess.run([self.binary, "audit", "verify", "--config", str(self.config)], env=self.environment,
                              capture_output=True, text=True, timeout=120)
        if done.returncode == 2:
            done = subprocess.run([self.binary, "audit", "verify"], env=self.environment,
                                  capture_output=True, text=True, timeout=120)
        check(done.returncode == 0, f"audit verify: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    # Its end.

    def check_alive(self):
        check(self.process.poll() is None, f"the gateway ended with {self.process.poll()}")
        text = self.said.read_text(errors="replace")
        check("panicked" not in text, "a task panicked: " + text[max(0, text.find("panicked") - 200):][:800])

    def stop(self):
        self.check_alive()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=40)
        check(status == 0, f"the gateway ended with {status} when asked to stop")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

    def connect(self, timeout=PATIENCE) -> socket.socket:
        connection = socket.create_connection((self.host, self.port), timeout=timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


# What `run` takes for a server without a sandbox.
UNCONFINED = ("--level", "none", "--allow-unconfined")


class Wrapped:
    """A client that has a server wrapped in place by `bartizan run`, and the pipe between them."""

    def __init__(self, server: list[str], *options: str, home=None):
        # The user's Bartizan may still write its last lines there.
        self.folder = None if home else tempfile.TemporaryDirectory(prefix="bartizan-wrapped-", ignore_cleanup_errors=True)
        self.home = pathlib.Path(home or self.folder.name)
        self.environment = os.environ | {"BARTIZAN_HOME": str(self.home), "NO_COLOR": "1"}
        self.said = tempfile.TemporaryFile()
        self.process = subprocess.Popen([BINARY, "run", *UNCONFINED, *options, "--", *server], env=self.environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said,
                                        start_new_session=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.next = 0

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def say(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def begin(self):
        info = {"name": "suite", "version": "1"}
        answer = self.ask("initialize", {"protocolVersion": VERSION, "capabilities": {"sampling": {}}, "clientInfo": info})
        self.say({"method": "notifications/initialized"})
        return answer

    def ask(self, method, params, id=None):
        self.next += 1
        id = id or self.next
        self.say({"id": id, "method": method, "params": params})
        return self.answer(id)

    def answer(self, id):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                line = self.lines.get(timeout=max(0.1, end - time.monotonic()))
            except queue.Empty:
                raise Failed(f"no answer to request {id}") from None
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
        return auditlog.entries_below(self.home)

    def verify(self):
        for log in auditlog.below(self.home):
            done = subprocess.run([BINARY, "audit", "verify", str(log)], env=self.environment,
                                  capture_output=True, text=True, timeout=60)
            check(done.returncode == 0, f"audit verify: {done.stdout}{done.stderr}")

    def complaints(self):
        self.said.seek(0)
        return self.said.read().decode(errors="replace")

    def finish(self):
        """Closes the client's side and waits for the end; the exit status."""
        self.process.stdin.close()
        return self.process.wait(PATIENCE)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.said.close()
        if self.folder:
            self.folder.cleanup()


def rules_of(entries):
    """Every rule that entries of a log name."""
    found = {entry.get("rule") for entry in entries}
    for entry in entries:
        found.update(finding["rule"] for finding in entry.get("findings", []))
    return found - {None}


def totals(passed, failed) -> int:
    """Says how many cases there were; the exit status of the suite."""
    if path := os.environ.get("BARTIZAN_COUNTS"):
        pathlib.Path(path).write_text(json.dumps({"passed": passed, "failed": failed, "skipped": 0}))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


class Reply:
    """What came back for one POST: status, headers, and every JSON-RPC message."""

    def __init__(self, status, headers, messages, text=b""):
        self.status, self.headers, self.messages, self.text = status, headers, messages, text

    def answer(self, id):
        found = [message for message in self.messages if message.get("id") == id and "method" not in message]
        check(len(found) == 1, f"{len(found)} answers to request {id}: {self.status} {self.messages} {self.text[:300]}")
        return found[0]


class Client:
    """A well-behaved client of one server, or of all together, in the era of sessions."""

    def __init__(self, gateway: Gateway, server: str | None, patience=PATIENCE):
        self.gateway, self.path, self.patience = gateway, f"/mcp/{server}" if server else "/mcp", patience
        self.session, self.next = None, 0
        self.started = None

    def __enter__(self):
        return self.initialize()

    def __exit__(self, *_):
        self.end()

    def initialize(self):
        info = {"name": "suite", "version": "1"}
        params = {"protocolVersion": VERSION, "capabilities": {"sampling": {}}, "clientInfo": info}
        reply, id = self.request("initialize", params)
        self.session, self.started = reply.headers.get("mcp-session-id"), reply.answer(id)
        check("result" in self.started, f"initialize: {self.started}")
        self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self

    def end(self):
        if self.session:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.raw("DELETE", None)
            self.session = None

    def request(self, method, params=None, patience=None):
        self.next += 1
        message = {"jsonrpc": "2.0", "id": self.next, "method": method}
        if params is not None:
            message["params"] = params
        return self.post(message, patience=patience), self.next

    def call(self, tool, arguments=None, patience=None):
        """The answer to a call of a tool."""
        reply, id = self.request("tools/call", {"name": tool, "arguments": arguments or {}}, patience)
        return reply.answer(id)

    def post(self, message, headers=None, patience=None) -> Reply:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        return self.raw("POST", body, headers, patience)

    def raw(self, method, body, headers=None, patience=None) -> Reply:
        patience = patience or self.patience
        connection = http.client.HTTPConnection(self.gateway.host, self.gateway.port, timeout=patience)
        all_headers = {"Accept": "application/json, text/event-stream", "Connection": "close"}
        if body is not None:
            all_headers["Content-Type"] = "application/json"
        if self.session:
            all_headers |= {"Mcp-Session-Id": self.session, "MCP-Protocol-Version": VERSION}
        with contextlib.closing(connection):
            connection.request(method, self.path, body, all_headers | (headers or {}))
            response = connection.getresponse()
            kind = response.headers.get("content-type", "")
            if kind.startswith("text/event-stream"):
                return Reply(response.status, response.headers, list(events(response, time.monotonic() + patience)))
            text = response.read()
            messages = [json.loads(text)] if kind.startswith("application/json") else []
            return Reply(response.status, response.headers, messages, text)


def events(response, end):
    """The messages of an event stream, until it ends."""
    data = []
    while line := response.readline():
        check(time.monotonic() < end, "the stream goes on beyond the client's patience")
        line = line.rstrip(b"\r\n")
        if line.startswith(b"data:"):
            data.append(line[5:].lstrip(b" "))
        elif not line and data:
            text, data = b"\n".join(data), []
            if text.strip():
                yield json.loads(text)


class Twin:
    """Honest clients of honest servers (of all servers together for None), all the while. Whatever goes on beside them, each of their calls succeeds."""

    def __init__(self, gateway: Gateway, servers: list[str | None]):
        self.gateway, self.servers = gateway, servers
        self.calls, self.slowest, self.problem = dict.fromkeys(servers, 0), 0.0, None
        self.done = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(server,), daemon=True) for server in servers]
        for thread in self.threads:
            thread.start()

    def run(self, server):
        try:
            while not self.done.is_set():
                with Client(self.gateway, server) as client:
                    for number in range(50):
                        if self.done.is_set():
                            return
                        self.once(client, server, f"{server} {number} of {self.calls[server]}")
                        time.sleep(0.1)
        except Exception:  # Whatever it is, the suite reports it.
            if not self.done.is_set():
                self.problem = traceback.format_exc()

    def once(self, client, server, text):
        start = time.monotonic()
        answer = client.call("echo" if server else "honest__echo", {"text": text})
        content = answer.get("result", {}).get("content", [{}])
        check(content[0].get("text") == text and not answer["result"].get("isError"), f"the twin got {answer}")
        self.slowest = max(self.slowest, time.monotonic() - start)
        self.calls[server] += 1

    def check(self):
        check(self.problem is None, f"the honest twin was affected: {self.problem}")

    def check_moves(self):
        """That each of them gets another call through from here on."""
        before = dict(self.calls)
        moved = lambda: self.problem or all(self.calls[server] > before[server] for server in self.servers)
        wait_for(moved, "an honest twin stands still")
        self.check()

    def stop(self):
        self.done.set()
        for thread in self.threads:
            thread.join(PATIENCE)


def honest_server():
    """An honest HTTP server in a process of its own; gives the process, its URL, and where to ask what it has seen."""
    process = subprocess.Popen([sys.executable, HONEST, "http"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, *process.stdout.readline().split()


def honest_config(url: str) -> str:
    command = json.dumps([sys.executable, HONEST, "stdio"])
    return f'[server.honest]\nurl = "{url}"\n[server.honest-stdio]\ncommand = {command}\n'


class Suite:
    """Runs named cases one after the other, each with the checks that hold for all."""

    def __init__(self, gateway: Gateway, twin: Twin, chosen: list[str], bound=MEMORY):
        self.gateway, self.twin, self.chosen, self.bound = gateway, twin, chosen, bound
        self.passed, self.failed, self.highest = 0, 0, 0

    def run(self, name, case):
        if self.chosen and not any(part in name for part in self.chosen):
            return
        gateway, start = self.gateway, time.monotonic()
        gateway.forget_peak()
        try:
            case()
            gateway.check_alive()
            self.twin.check_moves()
            peak = gateway.peak()
            self.highest = max(self.highest, peak)
            check(peak < self.bound, f"the gateway took {peak / MIB:.0f} MiB, the bound is {self.bound / MIB:.0f}")
        except Exception as error:
            self.failed += 1
            detail = str(error) if isinstance(error, Failed) else traceback.format_exc()
            print(f"FAIL  {name}: {detail}", flush=True)
            if self.twin.problem:
                self.twin.problem = None
                self.twin = Twin(gateway, self.twin.servers)
            return
        self.passed += 1
        print(f"ok    {name}  ({time.monotonic() - start:.1f} s, {peak / MIB:.0f} MiB, {gateway.files()} files)", flush=True)

    def end(self):
        """Stops the twin and the gateway, and asks the gateway's own tool about its log."""
        try:
            self.twin.stop()
            self.twin.check()
            self.gateway.stop()
            print(f"audit: {self.gateway.verify().splitlines()[0]}")
            self.passed += 1
        except Exception as error:
            self.failed += 1
            print(f"FAIL  the end: {error!r}")

    def finish(self) -> int:
        self.end()
        print(f"twin: {sum(self.twin.calls.values())} calls, the slowest {self.twin.slowest:.2f} s; "
              f"gateway: at most {self.highest / MIB:.0f} MiB")
        return totals(self.passed, self.failed)
