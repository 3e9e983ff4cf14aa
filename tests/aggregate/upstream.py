"""A plain MCP server over HTTP for a suite to fill: it answers in one piece, in both eras, and remembers what it heard."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERA = "io.modelcontextprotocol/protocolVersion"


class Upstream(ThreadingHTTPServer):
    """What answers requests; `handler` says what with. `heard` holds what its `note` keeps of each message."""
    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.heard = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, *_):
        pass

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/mcp"

    def note(self, message, headers):
        return message


class Answering(BaseHTTPRequestHandler):
    """Answers each request with `result(method, params)`; there are no streams."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def send(self, status, body=b"", kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append(self.server.note(message, dict(self.headers)))
        if "id" not in message:
            return self.send(202)
        params = message.get("params") or {}
        result = self.result(message["method"], params)
        if ERA in params.get("_meta", {}):
            result.setdefault("resultType", "complete")
        self.answer(message, params, {"jsonrpc": "2.0", "id": message["id"], "result": result})

    def answer(self, message, params, answer):
        self.send(200, json.dumps(answer).encode())

    def do_GET(self):
        self.send(405)

    do_DELETE = do_GET
