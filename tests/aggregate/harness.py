"""A gateway under test, a client that shows every message, and what runs cases: what this suite and others share."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import queue
import re
import signal
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
FIXTURE = str(pathlib.Path(BINARY).with_name("bartizan-fixture"))
TOOLS = pathlib.Path(os.environ.get("BARTIZAN_TOOLS", ROOT / ".tools"))
MODERN = "2026-07-28"
# How long anything may take that has to happen. A deadline, no measurement.
PATIENCE = 30.0


def check(truth, text="it does not hold"):
    if not truth:
        raise AssertionError(text)


def equal(got, wanted, text=""):
    check(got == wanted, f"{text}: got {json.dumps(got, default=str)[:1500]}, wanted {json.dumps(wanted, default=str)[:1500]}")


def wait_for(probe, text, limit=PATIENCE):
    """The first value of `probe` that counts as true."""
    end = time.monotonic() + limit
    while not (found := probe()):
        check(time.monotonic() < end, f"{text}, even after {limit:.0f} s")
        time.sleep(0.05)
    return found


def cases_of(*spaces):
    """Each `case_NAME` of these modules or namespaces, with its name, if that contains one of the words on the command line."""
    for space in spaces:
        for name, case in list((space if isinstance(space, dict) else vars(space)).items()):
            if name.startswith("case_") and (not sys.argv[1:] or any(part in name for part in sys.argv[1:])):
                yield name.removeprefix("case_"), case


def run_cases(cases, *given) -> int:
    """Runs them one after the other, each with what is `given`, and counts; the exit status of the suite."""
    passed, failed = 0, 0
    for name, case in cases:
        start = time.monotonic()
        try:
            case(*given)
            passed += 1
            print(f"ok    {name}  ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception:  # Whatever it is, the suite reports it and goes on.
            failed += 1
            print(f"FAIL  {name}: {traceback.format_exc()}", flush=True)
    if path := os.environ.get("BARTIZAN_COUNTS"):
        pathlib.Path(path).write_text(json.dumps({"passed": passed, "failed": failed, "skipped": 0}))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key if re.fullmatch('[A-Za-z0-9_-]+', key) else json.dumps(key)} = {toml(held)}" for key, held in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


class Gateway:
    """One `bartizan serve` with a home of its own. Its servers have no sandbox unless they are `confined`: they are known by their
    processes, and keep files."""

    def __init__(self, servers: dict[str, dict], more="", listen="", address="127.0.0.1:0", confined=False):
        self.folder = tempfile.TemporaryDirectory(prefix="bartizan-aggregate-", ignore_cleanup_errors=True)
        self.home = pathlib.Path(self.folder.name)
        self.config = self.home / "bartizan.toml"
        self.options = [] if confined else ["--allow-unconfined"]
        lines = ["" if confined else 'sandbox.default = "none"', f'[listen]\naddress = "{address}"', listen, '[admin]\naddress = "127.0.0.1:0"', more]
        for name, keys in servers.items():
            lines.append(f"[server.{name}]")
            lines += [f"{key} = {toml(value)}" for key, value in keys.items()]
        self.config.write_text("\n".join(lines) + "\n")
        self.environment = os.environ | {"BARTIZAN_HOME": str(self.home), "NO_COLOR": "1"}
        self.said = self.home / "stderr.txt"
        self._start()

    def _start(self):
        self.process = subprocess.Popen(
            [BINARY, "serve", *self.options, "--config", str(self.config)], env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=self.said.open("wb"), cwd=self.folder.name, start_new_session=True)
        self.address, self.admin = wait_for(self._addresses, "the gateway does not say where it serves")
        self.url = "http://{}:{}/mcp".format(*self.address)

    def again(self):
        """Kills it, and starts it anew in the same home, at another address."""
        self.process.kill()
        self.process.wait()
        self.said.unlink()
        self._start()

    def _addresses(self):
        text = self.said.read_text(errors="replace")
        check(self.process.poll() is None, f"the gateway ended at start:\n{text}")
        found = [re.search(rf"{what} http://([\d.]+):(\d+)", text) for what in ("serves MCP at", "metrics at")]
        return all(found) and [(match[1], int(match[2])) for match in found]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.stop()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if kind is not None:
                print("--- the gateway's last words:\n" + self.said.read_text(errors="replace")[-1500:])
            self.folder.cleanup()

    def stop(self):
        text = self.said.read_text(errors="replace")
        check("panicked" not in text, "a task panicked: " + text[max(0, text.find("panicked") - 200):][:800])
        self.process.send_signal(signal.SIGTERM)
        equal(self.process.wait(timeout=40), 0, "exit status when asked to stop")
        verified = subprocess.run([BINARY, "audit", "verify", "--config", str(self.config)], env=self.environment,
                                  capture_output=True, text=True, timeout=120)
        check(verified.returncode == 0, f"audit verify: {verified.stdout}{verified.stderr}")

    def entries(self, **fields) -> list[dict]:
        """Entries of the audit log that have all these fields."""
        found = auditlog.entries(self.home / "audit")
        return [entry for entry in found if all(entry.get(key) == value for key, value in fields.items())]

    def metrics(self) -> str:
        connection = http.client.HTTPConnection(*self.admin, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()

    def failures(self, server: str, reason: str) -> bool:
        """Whether /metrics counts a failure of the server for that reason."""
        lines = [line for line in self.metrics().splitlines() if line.startswith("bartizan_upstream_failures")]
        return any(f'server="{server}"' in line and f'reason="{reason}"' in line for line in lines)


class Listener:
    """A stream that is read in the background."""

    def __init__(self, response, connection):
        self.response, self.connection = response, connection
        self.messages: queue.Queue = queue.Queue()
        self.seen, self.ids, self.ended = [], [], threading.Event()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        data = []
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            while line := self.response.readline():
                line = line.rstrip(b"\r\n")
                if line.startswith(b"id:"):
                    self.ids.append(line[3:].strip().decode())
                elif line.startswith(b"data:"):
                    data.append(line[5:].lstrip(b" "))
                elif not line:
                    text, data = b"\n".join(data), []
                    if text.strip():
                        message = json.loads(text)
                        self.seen.append(message)
                        self.messages.put(message)
        self.ended.set()

    def next(self, wanted=lambda message: True, text="a message", limit=PATIENCE):
        """The next message that is wanted; others are passed over."""
        end = time.monotonic() + limit
        while True:
            try:
                message = self.messages.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {text} came within {limit:.0f} s; there were {self.seen}") from None
            if wanted(message):
                return message

    def method(self, method, limit=PATIENCE):
        return self.next(lambda message: message.get("method") == method, method, limit)

    def answer(self, id, limit=PATIENCE):
        return self.next(lambda message: message.get("id") == id and "method" not in message, f"answer to {id}", limit)

    def nothing(self, wanted, settle):
        """That nothing wanted has come by the time that `settle` has been seen."""
        self.next(settle, "the message after which it is settled")
        check(not [message for message in self.seen if wanted(message)], f"unwanted: {self.seen}")

    def close(self):
        with contextlib.suppress(OSError, AttributeError):
            self.connection.sock and self.connection.sock.shutdown(2)
        with contextlib.suppress(OSError):
            self.connection.close()
        self.thread.join(5)


class Raw:
    """A client of one endpoint of the gateway, in one of the eras, without any SDK's opinion."""

    def __init__(self, gateway, path="/mcp", version="2025-11-25", capabilities=None, name="suite"):
        self.gateway, self.path, self.version, self.name = gateway, path, version, name
        self.capabilities = {} if capabilities is None else capabilities
        self.session, self.count, self.hello = None, 0, None
        self.open = []
        if version != MODERN:
            params = {"protocolVersion": version, "capabilities": self.capabilities,
                      "clientInfo": {"name": name, "version": "1"}}
            self.hello = self.ask("initialize", params)
            check("result" in self.hello, f"initialize: {self.hello}")
            self.notify("notifications/initialized")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stream in self.open:
            stream.close()
        if self.session:
            self.raw("DELETE", None)

    def headers(self, message):
        headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        if self.session:
            headers |= {"Mcp-Session-Id": self.session, "MCP-Protocol-Version": self.version}
        if self.version == MODERN and "method" in (message or {}):
            headers |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": message["method"]}
            params = message.get("params", {})
            key = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}.get(message["method"])
            key = "taskId" if message["method"].startswith("tasks/") else key
            if key in params:
                headers["Mcp-Name"] = params[key]
        return headers

    def raw(self, method, message, headers=None):
        """Status, headers and the open response."""
        connection = http.client.HTTPConnection(*self.gateway.address, timeout=PATIENCE + 20)
        body = json.dumps(message).encode() if message is not None else None
        connection.request(method, self.path, body, self.headers(message) | (headers or {}))
        return connection, connection.getresponse()

    def post(self, message, headers=None) -> Listener:
        """Everything that comes back for a message, as it comes."""
        connection, response = self.raw("POST", message, headers)
        self.session = response.headers.get("mcp-session-id", self.session)
        self.status = response.status
        stream = Listener.__new__(Listener)
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            stream.__init__(response, connection)
        else:
            text = response.read()
            connection.close()
            stream.messages, stream.seen, stream.ids = queue.Queue(), [], []
            stream.connection, stream.ended, stream.thread = connection, threading.Event(), threading.Thread()
            stream.ended.set()
            stream.close = lambda: None
            if response.headers.get("content-type", "").startswith("application/json"):
                stream.seen.append(json.loads(text))
                stream.messages.put(stream.seen[0])
        self.open.append(stream)
        return stream

    def request(self, method, params=None, id=None, headers=None) -> tuple[Listener, object]:
        self.count += 1
        id = self.count if id is None else id
        message = {"jsonrpc": "2.0", "id": id, "method": method}
        if self.version == MODERN:
            meta = {"io.modelcontextprotocol/protocolVersion": MODERN,
                    "io.modelcontextprotocol/clientCapabilities": self.capabilities,
                    "io.modelcontextprotocol/clientInfo": {"name": self.name, "version": "1"}}
            params = dict(params or {})
            params["_meta"] = meta | params.get("_meta", {})
        if params is not None:
            message["params"] = params
        return self.post(message, headers), id

    def ask(self, method, params=None, id=None):
        """The answer to a request."""
        stream, id = self.request(method, params, id)
        return stream.answer(id)

    def result(self, method, params=None):
        answer = self.ask(method, params)
        check("result" in answer, f"{method} {params}: {answer}")
        return answer["result"]

    def call(self, tool, arguments=None, **more):
        return self.result("tools/call", {"name": tool, "arguments": arguments or {}} | more)

    def text(self, tool, arguments=None, **more):
        return self.call(tool, arguments, **more)["content"][0]["text"]

    def tools(self):
        return [tool["name"] for tool in self.result("tools/list")["tools"]]

    def notify(self, method, params=None):
        self.post({"jsonrpc": "2.0", "method": method} | ({"params": params} if params is not None else {}))
        equal(self.status, 202, f"status of {method}")

    def respond(self, id, result):
        self.post({"jsonrpc": "2.0", "id": id, "result": result})

    def listen(self, last=None) -> Listener:
        connection, response = self.raw("GET", None, {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {}))
        equal(response.status, 200, "status of the stream")
        stream = Listener(response, connection)
        self.open.append(stream)
        return stream


class Keyed(Raw):
    """A client that shows a key with everything."""

    def __init__(self, gateway, key, *arguments, **more):
        self.key = key
        super().__init__(gateway, *arguments, **more)

    def headers(self, message):
        return super().headers(message) | ({"Authorization": f"Bearer {self.key}"} if self.key else {})


class Wrapped:
    """A client of `bartizan run`, which stands before a program that is a server, in one of the eras. It has no sandbox unless it is
    `confined`."""

    def __init__(self, home, name, program, *options, version="2025-11-25", capabilities=None, confined=False):
        self.home, self.version = home, version
        self.capabilities = {} if capabilities is None else capabilities
        self.environment = os.environ | {"BARTIZAN_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config")}
        how = [] if confined else ["--level", "none", "--allow-unconfined"]
        command = [BINARY, "run", "--name", name, *how, *options, "--", *program]
        self.process = subprocess.Popen(command, env=self.environment, cwd=home,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.count, self.seen, self.came = 0, [], threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        if version != MODERN:
            self.result("initialize", {"protocolVersion": version, "capabilities": self.capabilities,
                                       "clientInfo": {"name": "suite", "version": "1"}})
            self.send({"method": "notifications/initialized"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        self.stop()

    def end(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)

    def stop(self):
        """Ends the Bartizan of this home, if one runs."""
        subprocess.run([BINARY, "daemon", "--stop"], env=self.environment, capture_output=True, timeout=60)

    def _read(self):
        for line in self.process.stdout:
            with self.came:
                self.seen.append(json.loads(line))
                self.came.notify_all()

    def send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0"} | message) + "\n")
        self.process.stdin.flush()

    def request(self, method, params=None):
        """Asks, and waits for nothing; the id."""
        self.count += 1
        params = dict(params or {})
        if self.version == MODERN:
            params["_meta"] = {"io.modelcontextprotocol/protocolVersion": MODERN,
                               "io.modelcontextprotocol/clientCapabilities": self.capabilities,
                               "io.modelcontextprotocol/clientInfo": {"name": "suite", "version": "1"}}
        self.send({"id": self.count, "method": method, "params": params})
        return self.count

    def answers(self, id):
        """What has come for that id up to now."""
        return [message for message in list(self.seen) if message.get("id") == id and "method" not in message]

    def answer(self, id):
        with self.came:
            check(self.came.wait_for(lambda: self.answers(id), PATIENCE), f"no answer to {id}; there were {self.seen}")
        [answer] = self.answers(id)
        return answer

    def ask(self, method, params=None):
        return self.answer(self.request(method, params))

    def result(self, method, params=None):
        answer = self.ask(method, params)
        check("result" in answer, f"{method}: {answer}")
        return answer["result"]

    def command(self, *words, code=0):
        """What a command prints that whoever is at this machine types."""
        done = subprocess.run([BINARY, *words], env=self.environment, capture_output=True, text=True, timeout=60, cwd=self.home,
                              stdin=subprocess.DEVNULL)
        equal(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr
