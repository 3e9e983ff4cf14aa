#!/usr/bin/env python3
"""Stands between a client and a server, passes everything on and writes down every message.

    tap.py stdio FILE REVISION COMMAND…     in front of a program that speaks MCP on stdin and stdout
    tap.py client FILE COMMAND… URL         runs a client with a tap in front of the server at URL

Each message becomes a line of FILE: whose it is, its bytes as text, and the requests it belongs to by number. With a
REVISION other than `-` the client's initialize asks for that one, as a client of its day would.
"""

import contextlib
import http.client
import http.server
import json
import pathlib
import re
import signal
import subprocess
import sys
import threading
import urllib.parse


class Notes:
    """What was said, in order; each entry knows the request it answers or came along with."""

    def __init__(self):
        self.lock = threading.Lock()
        self.said = []
        self.open = {"client": {}, "server": {}}

    def note(self, who, raw, within=None):
        """Writes a message down; gives its number if it is a request."""
        with contextlib.suppress(ValueError), self.lock:
            text = raw.decode().rstrip("\r\n")
            message = json.loads(text)
            entry = {"from": who, "text": text}
            other = "server" if who == "client" else "client"
            if "method" not in message:
                entry["answers"] = self.asked(other, message.get("id"), within)
            elif who == "server":
                entry["within"] = within if within is not None else self.carrier(message)
            elif message["method"] == "notifications/cancelled":
                entry["within"] = self.open["client"].get(key(message["params"]["requestId"]))
            self.said.append(entry)
            if "method" in message and "id" in message:
                self.open[who][key(message["id"])] = len(self.said) - 1
                return len(self.said) - 1
        return None

    def asked(self, by, id, within):
        """The request that has this answer. What answers a POST answers its request, whoever else counts alike."""
        number = self.open[by].get(key(id))
        if within is not None and json.loads(self.said[within]["text"]).get("id") == id:
            number = within
        if self.open[by].get(key(id)) == number:
            self.open[by].pop(key(id), None)
        return number

    def carrier(self, message):
        """The request that a message of the server belongs to: the one with its progress token, else the last."""
        token = message.get("params", {}).get("progressToken")
        for number in self.open["client"].values():
            meta = json.loads(self.said[number]["text"]).get("params", {}).get("_meta", {})
            if token is not None and meta.get("progressToken") == token:
                return number
        return max(self.open["client"].values(), default=None)


def key(id):
    return json.dumps(id)


def save(path, conversations):
    """Appends conversations, each on one line."""
    with open(path, "a") as out:
        for notes in conversations:
            if notes.said:
                out.write(json.dumps(notes.said) + "\n")


def aged(raw, revision):
    """An initialize that asks for another revision."""
    if revision == "-" or b'"initialize"' not in raw:
        return raw
    return re.sub(rb'("protocolVersion":\s*)"[0-9-]+"', rb'\1"%s"' % revision.encode(), raw)


def stdio(path, revision, command):
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    notes = Notes()

    def back():
        for line in server.stdout:
            notes.note("server", line)
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()

    reader = threading.Thread(target=back, daemon=True)
    reader.start()
    # A client ends its server with a signal, if it does not end by itself at once.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        for line in sys.stdin.buffer:
            line = aged(line, revision)
            notes.note("client", line)
            server.stdin.write(line)
            server.stdin.flush()
        server.stdin.close()
        reader.join(1)
    except OSError:
        pass
    finally:
        save(path, [notes])
        server.kill()
    return server.wait()


class Proxy(http.server.ThreadingHTTPServer):
    """Passes Streamable HTTP on. A conversation is what has one session, and all that has none."""

    daemon_threads = True

    def __init__(self, upstream, revision="-"):
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream, self.revision = urllib.parse.urlsplit(upstream), revision
        self.sessions = {None: Notes()}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://localhost:{self.server_port}{self.upstream.path}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return super().handle_one_request()
        self.close_connection = True

    def do_POST(self):
        body = aged(self.rfile.read(int(self.headers.get("content-length", 0))), self.server.revision)
        hello = b'"method":"initialize"' in body.replace(b" ", b"")
        notes = Notes() if hello else self.notes()
        number = notes.note("client", body) if body else None
        self.forward(body, notes, number)

    do_GET = do_DELETE = lambda self: self.forward(None, self.notes(), None)

    def notes(self):
        return self.server.sessions.setdefault(self.headers.get("mcp-session-id"), Notes())

    def forward(self, body, notes, number):
        upstream = self.server.upstream
        connection = http.client.HTTPConnection(upstream.hostname, upstream.port, timeout=120)
        skipped = ("host", "connection", "content-length", "accept-encoding", "transfer-encoding")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in skipped}
        connection.request(self.command, self.path, body, headers | {"host": f"{upstream.hostname}:{upstream.port}"})
        reply = connection.getresponse()
        self.server.sessions.setdefault(reply.headers.get("mcp-session-id"), notes)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            if name.lower() not in ("connection", "content-length", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        stream = "event-stream" in reply.headers.get("content-type", "")
        rest = b""
        while piece := reply.read1(65536):
            rest += piece
            # What has arrived is written down before it goes on, so that an answer to it comes later.
            while stream and (end := re.search(rb"\r?\n\r?\n", rest)):
                data = re.findall(rb"^data: ?(.*?)\r?$", rest[: end.start()], re.M)
                rest = rest[end.end():]
                if data:
                    notes.note("server", b"\n".join(data), number)
            self.wfile.write(piece)
            self.wfile.flush()
        if rest and not stream:
            notes.note("server", rest, number)
        connection.close()


def client(path, command, url):
    proxy = Proxy(url)
    done = subprocess.run([*command, proxy.url], stdin=subprocess.DEVNULL)
    save(path, proxy.sessions.values())
    return done.returncode


if __name__ == "__main__":
    mode, file, *rest = sys.argv[1:]
    sys.exit(stdio(pathlib.Path(file), rest[0], rest[1:]) if mode == "stdio" else client(file, rest[:-1], rest[-1]))
