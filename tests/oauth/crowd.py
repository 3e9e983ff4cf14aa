"""A crowd of forged tokens from one address, and good new ones from another: whose signatures are verified when."""

import base64
import contextlib
import json
import os
import pathlib
import re
import selectors
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import PATIENCE, check, equal

ATTACKER, GOOD = "127.0.0.1", "127.0.0.2"
# Connections of the crowd, and requests that each has sent without having read an answer.
CONNECTIONS, AHEAD = 96, 8
# Good tokens, none of which the gateway has seen before.
NEW = 15


def encoded(value):
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=").decode()


class Authority(ThreadingHTTPServer):
    """Who issues tokens that are signed with a large key, so that to verify one takes a while."""
    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.key = pathlib.Path(folder, "key.pem")
        openssl = lambda *words: subprocess.run(["openssl", *words], check=True, capture_output=True).stdout  # noqa: E731
        openssl("genrsa", "-out", self.key, "4096")
        modulus = bytes.fromhex(openssl("rsa", "-in", self.key, "-noout", "-modulus").decode().strip().removeprefix("Modulus="))
        self.keys = {"keys": [{"kty": "RSA", "kid": "large", "alg": "RS256", "use": "sig", "n": encoded(modulus), "e": "AQAB"}]}
        self.issuer = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def unsigned(self, resource, number):
        now = int(time.time())
        head = {"typ": "at+jwt", "alg": "RS256", "kid": "large"}
        return encoded(head) + "." + encoded({"iss": self.issuer, "sub": "ann", "aud": resource, "client_id": "app", "jti": str(number),
                                              "scope": "mcp", "iat": now, "exp": now + 600})

    def good(self, resource, number):
        text = self.unsigned(resource, number)
        done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text.encode(), check=True, capture_output=True)
        return f"{text}.{encoded(done.stdout)}"

    def forged(self, resource):
        """Tokens that only their signature shows to be none, each another one."""
        text = self.unsigned(resource, "forged")
        while True:
            # Below any modulus, so that it is computed with.
            yield f"{text}.{encoded(bytes(1) + os.urandom(511))}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        issuer = self.server.issuer
        said = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks", "authorization_endpoint": f"{issuer}/auth", "token_endpoint": f"{issuer}/token",
                "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"]}
        body = json.dumps(self.server.keys if self.path == "/jwks" else said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HELLO = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "suite", "version": "1"}}})


class Asking:
    """A connection from one address; what it sends does not wait for what it reads."""

    def __init__(self, gateway, source):
        self.socket = socket.create_connection(gateway.address, timeout=PATIENCE, source_address=(source, 0))
        self.socket.setblocking(False)
        self.unsent, self.unread, self.answers, self.headers = b"", b"", [], []

    def ask(self, token):
        head = ["POST /mcp/files HTTP/1.1", "Host: localhost", "Accept: application/json, text/event-stream", "Content-Type: application/json",
                f"Content-Length: {len(HELLO)}", f"Authorization: Bearer {token}", "", HELLO]
        self.unsent += "\r\n".join(head).encode()
        self.send()

    def send(self):
        with contextlib.suppress(BlockingIOError):
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent):]

    def read(self):
        """How many answers have come."""
        with contextlib.suppress(BlockingIOError):
            while data := self.socket.recv(65536):
                self.unread += data
        before = len(self.answers)
        while b"\r\n\r\n" in self.unread:
            head, rest = self.unread.split(b"\r\n\r\n", 1)
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if not length or len(rest) < int(length[1]):
                # The answer to a good one may be a stream, of which the head is enough here.
                if length:
                    break
            self.unread = rest[int(length[1]):] if length else b""
            self.answers.append(int(head.split(b" ")[1]))
            self.headers.append(head.decode().lower())
        return len(self.answers) - before


class Crowd:
    """Forged tokens over many connections at once, as many as the gateway takes."""

    def __init__(self, gateway, tokens):
        self.tokens, self.selector, self.answered = tokens, selectors.DefaultSelector(), 0
        self.all = [Asking(gateway, ATTACKER) for _ in range(CONNECTIONS)]
        for one in self.all:
            self.selector.register(one.socket, selectors.EVENT_READ, one)
            for _ in range(AHEAD):
                one.ask(next(tokens))

    def go_on(self, until, text):
        """Has the crowd go on until that is true; how many of it are answered meanwhile."""
        before, end = self.answered, time.monotonic() + PATIENCE
        while not until():
            check(time.monotonic() < end, f"{text}; {self.answered - before} of the crowd were answered meanwhile")
            for key, _ in self.selector.select(0.01):
                came = key.data.read()
                self.answered += came
                for _ in range(came):
                    key.data.ask(next(self.tokens))
            for one in self.all:
                if one.unsent:
                    one.send()
        return self.answered - before

    def close(self):
        for one in self.all:
            one.socket.close()


def answered(one):
    return lambda: one.read() or one.answers


def new_ones(gateway, crowd, tokens):
    """What becomes of good tokens that come one after the other while the crowd goes on: for each the status, and how many of
    the crowd were answered before it."""
    seen = []
    for token in tokens:
        one = Asking(gateway, GOOD)
        # What is under way is read first, so that only what is answered from here on counts.
        crowd.go_on(iter([False, True]).__next__, "")
        one.ask(token)
        meanwhile = crowd.go_on(answered(one), "a good token is not answered")
        seen.append((one.answers[0], meanwhile))
        one.socket.close()
    return seen
