"""The ends of a conversation that is held through Bartizan: a client and a server that send the bytes they are told to, and
keep the bytes that arrive."""

import base64
import contextlib
import http.client
import http.server
import json
import pathlib
import queue
import re
import socket
import subprocess
import sys
import threading
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
PATIENCE = 20


class StdioClient:
    """The client's end of `bartizan run`."""

    def __init__(self, command, env):
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.came = queue.Queue()
        threading.Thread(target=lambda: [self.came.put(line.rstrip(b"\n")) for line in self.process.stdout], daemon=True).start()

    def send(self, raw):
        self.process.stdin.write(raw + b"\n")
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


class Event(bytes):
    """A message that came as an event of a stream."""


class HttpClient:
    """The client's end of `bartizan serve`: every message is a POST, and what comes back is read as it comes."""

    def __init__(self, url, revision, tools):
        self.url, self.revision, self.tools = urllib.parse.urlsplit(url), revision, tools
        self.session, self.open = {}, set()
        self.came = queue.Queue()

    def send(self, raw):
        arrived = threading.Event()
        threading.Thread(target=self.post, args=(raw, arrived), daemon=True).start()
        if b'"method"' not in raw or b'"id"' not in raw:
            arrived.wait(PATIENCE)

    def post(self, raw, arrived):
        connection = self.connect()
        headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
        connection.request("POST", self.url.path, raw, headers | self.session | self.repeated(json.loads(raw)))
        reply = connection.getresponse()
        if reply.headers.get("mcp-session-id"):
            self.session = {"mcp-session-id": reply.headers["mcp-session-id"], "mcp-protocol-version": self.revision}
        arrived.set()
        if b'"notifications/initialized"' in raw:
            threading.Thread(target=self.listen, daemon=True).start()
        self.read(reply)
        self.open.discard(connection)
        connection.close()

    def listen(self):
        """Reads what belongs to no request."""
        connection = self.connect()
        connection.request("GET", self.url.path, headers={"accept": "text/event-stream"} | self.session)
        self.read(connection.getresponse())

    def connect(self):
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port)
        connection.connect()
        self.open.add(connection)
        return connection

    def read(self, reply):
        data = []
        if "event-stream" in reply.headers.get("content-type", ""):
            for line in reply:
                if line.startswith(b"data: "):
                    data.append(line[6:].rstrip(b"\n"))
                elif not line.strip():
                    message, data = b"\n".join(data), []
                    if message.strip():
                        self.came.put(Event(message))
        elif body := reply.read():
            self.came.put(body)

    def may_say(self, message):
        """Over HTTP the stateless revision is named in every request, and what belongs to sessions ends at the gateway."""
        if self.revision != MODERN or "method" not in message:
            return True
        named = message.get("params", {}).get("_meta", {}).get(META + "protocolVersion")
        return message["method"] not in OF_SESSIONS and ("id" not in message or named == MODERN)

    def repeated(self, message):
        """The headers that repeat what a message of the stateless revision says."""
        if self.revision != MODERN or "method" not in message:
            return {}
        params = message.get("params", {})
        found = {"mcp-protocol-version": MODERN, "mcp-method": message["method"]}
        named = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri", "tasks/get": "taskId",
                 "tasks/update": "taskId", "tasks/cancel": "taskId"}.get(message["method"])
        if named in params:
            found["mcp-name"] = params[named]
        if message["method"] == "tools/call":
            schema = next((tool["inputSchema"] for tool in self.tools if tool["name"] == params["name"]), {})
            for name, held in schema.get("properties", {}).items():
                value = params.get("arguments", {}).get(name)
                if "x-mcp-header" in held and value is not None:
                    found[f"mcp-param-{held['x-mcp-header']}"] = value if isinstance(value, str) else json.dumps(value)
        return {name: encoded(value) for name, value in found.items()}

    def end(self):
        # Streams that stay open would be waited for when the gateway is told to end. What reads them reads their end.
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)


def encoded(value):
    plain = re.fullmatch(r"[!-~]([ -~]*[!-~])?", value) and not value.startswith("=?")
    return value if plain else f"=?base64?{base64.b64encode(value.encode()).decode()}?="


class StdioServer:
    """The server's end of a local program: what child.py hands on, which therefore has no sandbox. Clients that tell different names
    have one each."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        command = [sys.executable, str(HERE / "child.py"), str(self.listener.getsockname()[1])]
        self.place = {"command": command, "sandbox.level": "none"}
        self.came = queue.Queue()
        self.children, self.speaking = [], None
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                child, _ = self.listener.accept()
                self.children.append(child)
                threading.Thread(target=self.read, args=(child,), daemon=True).start()

    def read(self, child):
        with contextlib.suppress(OSError):
            for line in child.makefile("rb"):
                self.speaking = child
                self.came.put(line.rstrip(b"\n"))

    def send(self, raw, _within):
        self.speaking.sendall(raw + b"\n")

    def end(self):
        for held in [self.listener, *self.children]:
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)
            held.close()


class HttpServer(http.server.ThreadingHTTPServer):
    """The server's end of a URL: a request is answered with a stream that stays open until its answer is sent, or with the
    body that is sent first."""

    daemon_threads = True

    def __init__(self, streams=True):
        super().__init__(("127.0.0.1", 0), Posted)
        self.answers_in_streams = streams
        self.place = {"url": f"http://127.0.0.1:{self.server_port}/mcp"}
        self.came, self.streams = queue.Queue(), {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def send(self, raw, within):
        self.streams[json.dumps(within)].put(raw)

    def end(self):
        for stream in self.streams.values():
            stream.put(None)
        self.shutdown()
        self.server_close()


class Posted(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_error(405)

    do_DELETE = do_GET

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["content-length"]))
        message = json.loads(raw)
        asks = "id" in message and "method" in message
        stream = queue.Queue()
        # An answer of the client's may have the id of a request of its own.
        if asks:
            self.server.streams[json.dumps(message["id"])] = stream
        self.server.came.put(raw)
        if asks and not self.server.answers_in_streams:
            body = stream.get() or b""
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_response(200 if asks else 202)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        while asks and (raw := stream.get()) is not None:
            lines = re.split(b"[\r\n]", raw)
            with contextlib.suppress(OSError):
                self.wfile.write(b"".join(b"data: " + line + b"\n" for line in lines) + b"\n")
                self.wfile.flush()
            if "method" not in json.loads(raw):
                return


# What the stateless revision has no more; the official suite asks it all the same.
OF_SESSIONS = {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/list",
               "tasks/result", "notifications/initialized", "notifications/cancelled", "notifications/progress",
               "notifications/roots/list_changed"}
