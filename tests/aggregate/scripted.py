"""MCP servers that do what a case wants of them, in the suite's own process, over Streamable HTTP."""

from __future__ import annotations

import json
import queue
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE = 30.0
MODERN = "2026-07-28"


def tool(name, **more):
    return {"name": name, "description": f"The tool {name!r}.", "inputSchema": {"type": "object"}} | more


def text(words, **more):
    return {"content": [{"type": "text", "text": words}]} | more


class Error(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


class Never(Exception):
    """No answer comes; the connection stays open until something is cancelled."""


class Call:
    """One request on its way to an answer, which may ask the client or send notifications meanwhile."""

    def __init__(self, server, handler, message):
        self.server, self.handler, self.message = server, handler, message
        self.params = message.get("params", {})
        self.streaming = False

    def begin(self):
        if not self.streaming:
            self.streaming = True
            self.handler.begin_stream()

    def send(self, message, id=None):
        self.begin()
        self.handler.event({"jsonrpc": "2.0"} | message, id)

    def note(self, method, params):
        self.send({"method": method, "params": params})

    def progress(self, done):
        self.note("notifications/progress", {"progressToken": self.params["_meta"]["progressToken"], "progress": done})

    def ask(self, method, params=None, id=1):
        """Asks the client and waits for its answer."""
        self.server.answers.setdefault(str(id), queue.Queue())
        self.send({"id": id, "method": method, "params": params or {}})
        return self.server.answers[str(id)].get(timeout=PATIENCE)


class Server:
    """A server whose lists and handlers a case sets. `log` holds every message that came."""

    def __init__(self, name, port=0, era="legacy", **handlers):
        self.name, self.era, self.log, self.answers = name, era, [], {}
        self.capabilities = {"tools": {"listChanged": True}}
        self.instructions, self.lists, self.handlers = None, {}, dict(handlers)
        self.tools = {}
        self.sessions, self.streams, self.cancelled = set(), [], threading.Event()
        self.lock = threading.Lock()
        handler = type("Bound", (Handler,), {"server_of_case": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/mcp"

    def add(self, tool, handler=None):
        self.lists.setdefault("tools", []).append(tool)
        self.tools[tool["name"]] = handler or (lambda call: text(f"{self.name}:{tool['name']}"))
        return self

    def offer(self, **lists):
        """Lists other than tools; each is a capability."""
        for name, elements in lists.items():
            self.lists[name] = elements
            self.capabilities.setdefault({"resourceTemplates": "resources"}.get(name, name), {})
        return self

    def got(self, method):
        return [message for message in list(self.log) if message.get("method") == method]

    def push(self, method, params=None, id=None, **more):
        """Sends something on every stream that is open."""
        message = {"jsonrpc": "2.0", "method": method, "params": params or {}} | more
        with self.lock:
            for stream in list(self.streams):
                stream.put((message, id))

    def forget(self):
        """As after a restart: no session is known any more."""
        with self.lock:
            self.sessions.clear()
            for stream in self.streams:
                stream.put(None)

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.forget()

    # What it answers.

    def answer(self, call):
        method, params = call.message["method"], call.params
        if handler := self.handlers.get(method):
            return handler(call)
        if method == "initialize" and self.era != MODERN:
            return {"protocolVersion": min(params["protocolVersion"], "2025-11-25"), "capabilities": self.capabilities,
                    "serverInfo": {"name": self.name, "version": "1"}} | self.told()
        if method == "server/discover" and self.era == MODERN:
            return {"resultType": "complete", "supportedVersions": [MODERN], "capabilities": self.capabilities,
                    "ttlMs": 0, "cacheScope": "public"} | self.told()
        complete = {"resultType": "complete"} if self.era == MODERN else {}
        if method == "tools/call":
            if params["name"] not in self.tools:
                raise Error(-32602, f"{self.name} has no tool {params['name']!r}")
            return complete | self.tools[params["name"]](call)
        if method.endswith("/list"):
            name = {"resources/templates/list": "resourceTemplates"}.get(method, method.split("/")[0])
            cached = {"ttlMs": 60_000, "cacheScope": "public"} if self.era == MODERN else {}
            return complete | cached | {name: self.lists.get(name, [])}
        if method == "resources/read":
            known = [resource["uri"] for resource in self.lists.get("resources", [])]
            fits = any(params["uri"].startswith(template["uriTemplate"].split("{")[0])
                       for template in self.lists.get("resourceTemplates", []))
            if params["uri"] in known or fits:
                return complete | {"contents": [{"uri": params["uri"], "text": f"{self.name}:{params['uri']}"}]}
        if method == "prompts/get":
            return complete | {"messages": [{"role": "user", "content": {"type": "text", "text": f"{self.name}:{params['name']}"}}]}
        if method in ("ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"):
            return {}
        raise Error(-32601, f"{self.name} has no method {method}")

    def told(self):
        return {"instructions": self.instructions} if self.instructions else {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_of_case: Server

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def do_POST(self):
        server = self.server_of_case
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message["#headers"] = {key.lower(): value for key, value in self.headers.items()}
        server.log.append(message)
        session = self.headers.get("Mcp-Session-Id")
        if server.era != MODERN and message.get("method") not in ("initialize", "server/discover"):
            if session not in server.sessions:
                return self.status(404)
        if "method" not in message:
            server.answers.setdefault(str(message["id"]), queue.Queue()).put(message)
            return self.status(202)
        if "id" not in message:
            if message["method"] == "notifications/cancelled":
                server.cancelled.set()
            return self.status(202)
        call = Call(server, self, message)
        body = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            result = server.answer(call)
            body |= result if isinstance(result, dict) and set(result) == {"error"} else {"result": result}
        except Error as error:
            body["error"] = {"code": error.code, "message": error.message}
        except Never:
            server.cancelled.wait(300)
            self.close_connection = True
            return
        if call.streaming:
            self.event(body)
            return self.end_stream()
        headers = {}
        if message["method"] == "initialize" and "result" in body:
            headers["Mcp-Session-Id"] = uuid.uuid4().hex
            server.sessions.add(headers["Mcp-Session-Id"])
        self.status(200, json.dumps(body).encode(), headers)

    def do_GET(self):
        server = self.server_of_case
        server.log.append({"method": "#GET", "#headers": {key.lower(): value for key, value in self.headers.items()}})
        if server.era == MODERN or "no stream" in server.handlers:
            return self.status(405)
        if self.headers.get("Mcp-Session-Id") not in server.sessions:
            return self.status(404)
        if resume := server.handlers.get("#resume"):
            if last := self.headers.get("Last-Event-ID"):
                self.begin_stream()
                resume(self, last)
                return self.end_stream()
        stream: queue.Queue = queue.Queue()
        self.begin_stream()
        with server.lock:
            server.streams.append(stream)
        try:
            while item := stream.get():
                self.event(*item)
        finally:
            with server.lock:
                server.streams.remove(stream)
        self.end_stream()

    def do_DELETE(self):
        self.server_of_case.log.append({"method": "#DELETE"})
        self.status(200)

    def status(self, status, body=b"", headers=None):
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if body:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin_stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def event(self, message, id=None):
        line = (f"id: {id}\n" if id else "") + ("data: " + json.dumps(message) if message is not None else "data: ") + "\n\n"
        self.wfile.write(f"{len(line.encode()):x}\r\n".encode() + line.encode() + b"\r\n")
        self.wfile.flush()

    def end_stream(self):
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()
