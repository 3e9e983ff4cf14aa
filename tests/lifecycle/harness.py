"""What the cases of this suite share: a gateway with a configuration of its own, clients on bare connections, and a
server over HTTP whose every answer is the case's to write."""

import http.client
import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "log"))

import auditlog  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROGRAM = pathlib.Path(os.environ.get("BARTIZAN_BIN", ROOT / "target/debug/bartizan")).resolve()
# Far above what anything here needs: a deadline, no measurement.
PATIENCE = 60
LEGACY, STATELESS = "2025-11-25", "2026-07-28"
HELLO = {"protocolVersion": LEGACY, "capabilities": {"tools": {}}, "serverInfo": {"name": "server", "version": "1"}}
INITIALIZE = {"protocolVersion": LEGACY, "capabilities": {"sampling": {}}, "clientInfo": {"name": "suite", "version": "1"}}


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Case(unittest.TestCase):
    """One gateway for each case."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="bartizan-lifecycle-", ignore_cleanup_errors=True)
        self.home = pathlib.Path(self.folder.name)
        self.file = self.home / "bartizan.toml"
        self.environment = {**os.environ, "BARTIZAN_HOME": str(self.home), "NO_COLOR": "1"}
        self.gateway, self.log = None, None

    def serve(self, config):
        self.configure(config)
        self.log = (self.home / "stderr").open("w+")
        self.gateway = subprocess.Popen([PROGRAM, "serve", "--allow-unconfined", "--config", self.file], env=self.environment,
                                        stdin=subprocess.DEVNULL, stderr=self.log)
        self.address = self.until(lambda: re.search(r"MCP at http://(\S+)/mcp", self.said()), "no address")[1]

    def configure(self, config):
        # Its servers are known by their processes.
        self.file.write_text('sandbox.default = "none"\n[listen]\naddress = "127.0.0.1:0"\n[admin]\naddress = "127.0.0.1:0"\n' + config)

    def tearDown(self):
        if self.gateway and self.gateway.poll() is None:
            self.gateway.send_signal(signal.SIGTERM)
            self.assertEqual(self.gateway.wait(PATIENCE), 0)
        if self.log:
            self.assertNotIn("panicked", self.said())
            self.log.close()
        self.folder.cleanup()

    def said(self):
        return (self.home / "stderr").read_text()

    def until(self, probe, text):
        end = time.monotonic() + PATIENCE
        while not (found := probe()):
            self.assertLess(time.monotonic(), end, f"{text}:\n{self.said()[-2000:]}")
            time.sleep(0.05)
        return found

    def child(self, *arguments):
        """The configured command of a server that notes its process id."""
        return json.dumps(["sh", str(HERE / "child.sh"), str(self.home / "pids"), *arguments])

    def pids(self):
        file = self.home / "pids"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def entries(self, **fields):
        return [entry for entry in auditlog.entries(self.home / "audit") if all(entry.get(key) == value for key, value in fields.items())]


class Client:
    """A client of one endpoint; each request has a connection of its own."""

    def __init__(self, case, path, source="127.0.0.1"):
        self.case, self.path, self.source, self.session = case, path, source, None

    def open(self, method, message=None, headers=None):
        """Sends a request and leaves its connection open."""
        connection = http.client.HTTPConnection(self.case.address, timeout=PATIENCE, source_address=(self.source, 0))
        all_headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        if self.session:
            all_headers |= {"Mcp-Session-Id": self.session, "MCP-Protocol-Version": LEGACY}
        body = json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")) if message else None
        connection.request(method, self.path, body, all_headers | (headers or {}))
        return connection

    def send(self, method, message=None, headers=None):
        """The status, the headers and the messages of an answer that ends."""
        return self.read(self.open(method, message, headers))

    def read(self, connection):
        answer = connection.getresponse()
        text = answer.read().decode()
        kind = answer.getheader("content-type") or ""
        if kind.startswith("text/event-stream"):
            return answer.status, answer.headers, [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        return answer.status, answer.headers, [json.loads(text)] if kind.startswith("application/json") else []

    def initialize(self):
        status, headers, messages = self.send("POST", {"id": 1, "method": "initialize", "params": INITIALIZE})
        self.case.assertEqual((status, [message["id"] for message in messages]), (200, [1]))
        self.session = headers["mcp-session-id"]
        self.send("POST", {"method": "notifications/initialized"})
        return self

    def stateless(self, name="suite", method="tools/list", **params):
        """A request of the era without sessions, from a client of this name."""
        prefix = "io.modelcontextprotocol/"
        meta = {prefix + "protocolVersion": STATELESS, prefix + "clientInfo": {"name": name, "version": "1"},
                prefix + "clientCapabilities": {}}
        headers = {"MCP-Protocol-Version": STATELESS, "Mcp-Method": method}
        if "name" in params:
            headers["Mcp-Name"] = params["name"]
        return self.send("POST", {"id": 1, "method": method, "params": {**params, "_meta": meta}}, headers)


class Server:
    """A server over HTTP. `answer(handler, message)` writes what it answers; what it got is in `got`."""

    def __init__(self, answer):
        got = self.got = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                message = json.loads(body) if body else {}
                got.append((self.command, message.get("method"), self.headers))
                answer(self, message)

            do_POST = do_GET = do_DELETE = handle_any

            def json(self, id, **members):
                """One message, under a session."""
                self.write(200, "application/json", json.dumps({"jsonrpc": "2.0", "id": id, **members}).encode())

            def write(self, status, kind=None, body=b""):
                self.send_response(status)
                if kind:
                    self.send_header("Content-Type", kind)
                self.send_header("Mcp-Session-Id", "s")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def events(self):
                """Begins a stream; the connection ends with it."""
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True

            def event(self, message=None, id=None):
                head = f"id: {id}\n" if id else ""
                self.wfile.write(f"{head}data: {json.dumps(message) if message else ''}\n\n".encode())
                self.wfile.flush()

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/mcp"

    def close(self):
        self.http.shutdown()
        self.http.server_close()
