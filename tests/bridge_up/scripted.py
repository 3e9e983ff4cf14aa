"""A server that only knows the stateless era: it does as each tool's name says and remembers what it was sent."""

import contextlib
import http.server
import json
import threading
import time

VERSION = "2026-07-28"
META = "io.modelcontextprotocol/"
# Written so that a parser and a serialiser in between would show.
STATE = '"st\\u0061te \\/1"'
PLAIN = '{"content":[{"type":"text","text":"plain"}], "extra":{"n":1.0,"big":12345678901234567890},"resultType":"complete"}'
TAGS = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
TOOLS = [
    {"name": name, "inputSchema": {"type": "object"}}
    for name in ("plain", "ask", "two", "endless", "slow", "late", "needs", "task", "hidden", "roots", "page")
] + [{
    "name": "marked",
    "inputSchema": {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}},
}]


def elicitation(message):
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


ASKED = {
    "ask": {"who \" is it": elicitation("Who are you?")},
    "two": {"first": elicitation("First?"), "second": {"method": "roots/list"}},
    "hidden": {"q": elicitation("Your name?" + TAGS)},
    "roots": {"r": {"method": "roots/list"}},
    "page": {"p": {"method": "elicitation/create", "params": {"mode": "url", "message": "m", "url": "https://example.com"}}},
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_error(405)

    do_DELETE = do_GET

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
        body = json.loads(raw)
        held = {"headers": {key.lower(): value for key, value in self.headers.items()}, "raw": raw, "body": body}
        self.server.seen.append(held)
        if "id" not in body:
            return self.reply(202, None)
        params = body.get("params", {})
        if META + "protocolVersion" not in params.get("_meta", {}):
            return self.error(body, 404 if body["method"] == "initialize" else 400, -32601, "no such method")
        getattr(self, "on_" + body["method"].replace("/", "_"), self.unknown)(body, params, held)

    def unknown(self, body, params, held):
        self.error(body, 404, -32601, "no such method")

    def on_server_discover(self, body, params, held):
        self.result(body, {
            "supportedVersions": [VERSION], "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
            "capabilities": {"tools": {"listChanged": True}, "resources": {"subscribe": True}, "logging": {}, "tasks": {}},
            "instructions": "Be kind.", "_meta": {META + "serverInfo": {"name": "scripted", "version": "7"}},
        })

    def on_tools_list(self, body, params, held):
        self.result(body, {"tools": TOOLS, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"})

    def on_tools_call(self, body, params, held):
        name, answers = params["name"], params.get("inputResponses")
        if name == "marked" and self.headers.get("Mcp-Param-Region") != params["arguments"]["region"]:
            return self.error(body, 400, -32020, "Mcp-Param-Region is missing")
        if name == "needs":
            return self.error(body, 400, -32021, "sampling, please", {"requiredCapabilities": {"sampling": {}}})
        if name in ("slow", "late"):
            return self.stream(held, [])
        if name == "task":
            return self.result(body, {"resultType": "task", "taskId": "t"})
        if name == "endless":
            return self.result(body, {"resultType": "input_required", "requestState": "again"})
        if name in ASKED and answers is None:
            asked = json.dumps({"resultType": "input_required", "inputRequests": ASKED[name]})
            return self.raw(body, asked[:-1] + f',"requestState":{STATE}}}')
        self.raw(body, PLAIN)

    def on_subscriptions_listen(self, body, params, held):
        filters = dict(params["notifications"])
        refused = [uri for uri in filters.get("resourceSubscriptions", []) if "secret" in uri]
        filters["resourceSubscriptions"] = [uri for uri in filters.get("resourceSubscriptions", []) if uri not in refused]
        acknowledged = {"notifications": filters, "_meta": {META + "subscriptionId": body["id"]}}
        self.stream(held, [("notifications/subscriptions/acknowledged", acknowledged)])

    def stream(self, held, first):
        """Events until the client goes or a test ends it; each with the subscription that it belongs to."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        stream = {"id": held["body"]["id"], "request": held, "waiting": list(first), "closed": False, "end": False}
        self.server.streams.append(stream)
        try:
            while not stream["end"]:
                while stream["waiting"]:
                    method, params = stream["waiting"].pop(0)
                    event = json.dumps({"jsonrpc": "2.0", "method": method, "params": params})
                    self.wfile.write(f"data: {event}\n\n".encode())
                # A comment now and then shows that the other side has gone.
                self.wfile.write(b": \n\n")
                self.wfile.flush()
                time.sleep(0.02)
            if answer := stream.get("answer"):
                event = json.dumps({"jsonrpc": "2.0", "id": stream["id"], "result": answer})
                self.wfile.write(f"data: {event}\n\n".encode())
        except OSError:
            pass
        stream["closed"] = True

    def result(self, body, result):
        self.raw(body, json.dumps(result))

    def raw(self, body, result):
        self.reply(200, f'{{"jsonrpc":"2.0","id":{json.dumps(body["id"])},"result":{result}}}')

    def error(self, body, status, code, message, data=None):
        error = {"code": code, "message": message} | ({"data": data} if data else {})
        self.reply(status, json.dumps({"jsonrpc": "2.0", "id": body["id"], "error": error}))

    def reply(self, status, text):
        data = (text or "").encode()
        self.send_response(status)
        if text:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Scripted(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen, self.streams = [], []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/mcp"

    def calls(self, method, **params):
        """The requests of this method with these parameters, without the gateway's own question which eras there are."""
        def fits(held):
            given = held["body"].get("params", {})
            return all(given.get(name) == value for name, value in params.items())

        return [held for held in self.seen
                if held["body"].get("method") == method and held["body"].get("id") != "bartizan-probe" and fits(held)]

    def listening(self):
        return [stream for stream in self.streams
                if not stream["closed"] and stream["request"]["body"]["method"] == "subscriptions/listen"]

    def announce(self, method, **params):
        for stream in self.listening():
            stream["waiting"].append((method, params | {"_meta": {META + "subscriptionId": stream["id"], "kept": 1}}))


@contextlib.contextmanager
def scripted():
    server = Scripted()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        for stream in server.streams:
            stream["end"] = True
        server.shutdown()
        server.server_close()
