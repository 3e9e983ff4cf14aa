"""An honest MCP server with one tool, over stdio or Streamable HTTP; its standard library is all it needs."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOOL = {"name": "echo", "description": "Says what it is told.",
        "inputSchema": {"type": "object", "properties": {
            "text": {"type": "string"}, "wait": {"type": "number"}, "notes": {"type": "integer"}}}}


def answer(message):
    """The answer to a message; None if it needs none."""
    if "id" not in message or "method" not in message:
        return None
    method, params = message["method"], message.get("params", {})
    if method == "initialize":
        result = {"protocolVersion": params.get("protocolVersion", "2025-11-25"), "capabilities": {"tools": {}},
                  "serverInfo": {"name": "honest", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [TOOL]}
    elif method == "tools/call":
        arguments = params.get("arguments", {})
        text = arguments.get("text", "")
        time.sleep(min(arguments.get("wait", 0), 20))
        result = {"content": [{"type": "text", "text": text}]}
    elif method == "ping":
        result = {}
    else:
        return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no such method"}}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def stdio():
    for line in sys.stdin.buffer:
        if reply := answer(json.loads(line)):
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without it, each answer waits for an acknowledgement that the other side delays.
    disable_nagle_algorithm = True

    def do_POST(self):
        seen(self)
        message = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        if notes := message.get("params", {}).get("arguments", {}).get("notes"):
            return self.stream(message, notes)
        reply = answer(message)
        body = json.dumps(reply).encode() if reply else b""
        self.send_response(200 if reply else 202)
        if reply:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, message, notes):
        """As many notifications of 10 kB as asked for, then the answer."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * 10_000}}
        for each in [note] * notes + [answer(message)]:
            self.wfile.write(f"data: {json.dumps(each)}\n\n".encode())

    def do_GET(self):
        seen(self)
        self.send_error(405)

    def log_message(self, *_):
        pass


SEEN = []


def seen(request):
    """Keeps the heads of the last requests, which `GET /seen` on the other port tells."""
    SEEN.append({"line": request.requestline, "headers": [[key.lower(), value] for key, value in request.headers.items()]})
    del SEEN[:-2000]


class Witness(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(SEEN).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 512

    def handle_error(self, request, client_address):
        """Whoever asked has gone, as the suites mean it to."""


def http():
    server, witness = Server(("127.0.0.1", 0), Handler), Server(("127.0.0.1", 0), Witness)
    for each in (server, witness):
        threading.Thread(target=each.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}/mcp http://127.0.0.1:{witness.server_address[1]}/seen", flush=True)
    # Whoever started it closes this to end it.
    sys.stdin.read()


if __name__ == "__main__":
    http() if sys.argv[1] == "http" else stdio()
