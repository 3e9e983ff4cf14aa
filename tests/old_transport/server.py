"""A server of the transport of 2024-11-05, and what may be wrong with one: each behaviour is a path of its own."""

import http.server
import json
import queue
import threading
import urllib.parse

TOOLS = [
    {"name": "echo", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}},
    {"name": "attack", "inputSchema": {"type": "object"}},
]


class Session:
    """One client's stream, and what it has posted."""

    def __init__(self, behaviour):
        self.behaviour, self.events, self.received = behaviour, queue.Queue(), []

    def say(self, event, data):
        self.events.put(f"event: {event}\ndata: {data}\n\n".encode())

    def message(self, **members):
        self.say("message", json.dumps({"jsonrpc": "2.0", **members}))

    def close(self):
        self.events.put(None)

    def handle(self, message):
        self.received.append(message)
        method, id = message.get("method"), message.get("id")
        if method == "initialize":
            capabilities = {"tools": {"listChanged": True}}
            self.message(id=id, result={"protocolVersion": "2024-11-05", "capabilities": capabilities,
                                        "serverInfo": {"name": "old", "version": "1"}})
        elif method == "tools/list":
            self.message(id=id, result={"tools": TOOLS})
        elif method == "tools/call" and message["params"]["name"] == "echo":
            self.message(id=id, result=text(message["params"]["arguments"]["text"]))
        elif method == "tools/call":
            self.attack(id, message["params"])
        elif id is not None and method:
            self.message(id=id, error={"code": -32601, "message": "no such method"})

    def attack(self, id, params):
        match self.behaviour:
            case "dies":
                self.close()
            case "wrong-id":
                self.message(id=id + 1000, result=text("for nobody"))
            case "duplicate-key":
                self.say("message", f'{{"jsonrpc":"2.0","id":{id},"result":{{"content":[],"content":[]}}}}')
            case "large":
                self.say("message", json.dumps({"jsonrpc": "2.0", "id": id, "result": text("x" * 12_000_000)}))
            case "other-kinds":
                self.say("endpoint", "http://127.0.0.1:9/elsewhere")
                self.say("ping", "{}")
                self.message(id=id, result=text("after all"))
            case "reports":
                token = params["_meta"]["progressToken"]
                for step in (1, 2):
                    self.message(method="notifications/progress", params={"progressToken": token, "progress": step, "total": 2})
                self.message(method="notifications/tools/list_changed")
                self.message(id=id, result=text("done"))
            case "asks":
                self.message(id="q", method="sampling/createMessage", params={"messages": [], "maxTokens": 1})
                threading.Thread(target=self.after_answer, args=(id,), daemon=True).start()
            case _:
                self.message(id=id, result=text("nothing odd"))

    def after_answer(self, id):
        for _ in range(200):
            answers = [message for message in self.received if message.get("id") == "q" and "method" not in message]
            if answers:
                return self.message(id=id, result=text(json.dumps(answers[0])))
            threading.Event().wait(0.05)


def text(what):
    return {"content": [{"type": "text", "text": what}]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        behaviour = self.path.strip("/").split("/")[0]
        owner = self.server.owner
        owner.note(behaviour, "GET", self.headers)
        if behaviour == "nothing":
            return self.plain(404)
        if behaviour == "not-allowed":
            return self.plain(405)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        session, key = owner.begin(behaviour)
        address = {
            "elsewhere": f"http://127.0.0.1:{owner.other}/stolen?session={key}",
            "other-host": f"http://localhost:{self.server.server_port}/post?session={key}",
            "absolute": f"http://127.0.0.1:{self.server.server_port}/post?session={key}",
            "with-user": f"http://127.0.0.1:{self.server.server_port}@127.0.0.1:{owner.other}/stolen",
        }.get(behaviour, f"/post?session={key}")
        if behaviour == "message-first":
            session.message(method="notifications/message", params={"level": "info", "data": 1})
        if behaviour != "silent":
            session.say("endpoint", address)
        while (event := session.events.get()) is not None:
            self.wfile.write(event)
            self.wfile.flush()
        self.close_connection = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urllib.parse.urlsplit(self.path)
        owner = self.server.owner
        if path.path != "/post":
            owner.note(path.path.strip("/").split("/")[0], "POST", self.headers)
            return self.plain(404 if "not-allowed" not in path.path else 405)
        session = owner.sessions[urllib.parse.parse_qs(path.query)["session"][0]]
        owner.note(session.behaviour, "message", self.headers)
        message = json.loads(body)
        if session.behaviour == "refuses" and message.get("params", {}).get("name") == "attack":
            return self.plain(500)
        session.handle(message)
        self.plain(202)

    def plain(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


class OldServer:
    """All behaviours on one port, and a port where nobody should ever ask."""

    def __init__(self):
        self.sessions, self.seen, self.count = {}, [], 0
        self.lock = threading.Lock()
        self.port, self.main = self.listen()
        self.other, self.forbidden = self.listen()

    def listen(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads, server.owner = True, self
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server.server_port, server

    def begin(self, behaviour):
        with self.lock:
            self.count += 1
            key = str(self.count)
            self.sessions[key] = Session(behaviour)
        return self.sessions[key], key

    def note(self, behaviour, what, headers):
        with self.lock:
            self.seen.append((behaviour, what, {name.lower(): value for name, value in headers.items()}))

    def of(self, behaviour):
        return [session for session in self.sessions.values() if session.behaviour == behaviour]

    def config(self, behaviours):
        one = '[server.{0}]\nurl = "http://127.0.0.1:{1}/{0}/sse"\ntimeout = "5s"\nheaders = {{ X-Key = "the key" }}\n'
        return "".join(one.format(behaviour, self.port) for behaviour in behaviours)
