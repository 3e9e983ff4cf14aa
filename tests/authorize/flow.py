"""A client of the authorization server, step by step, so that each step can be done wrongly; and servers of client documents."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import http.server
import json
import pathlib
import secrets
import subprocess
import sys
import threading
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "signin"), str(HERE.parent / "aggregate")]

from browser import Browser, Form, Place  # noqa: E402
from harness import BINARY, PATIENCE, TOOLS, Gateway, cases_of, check, equal, re, run_cases, wait_for  # noqa: E402

CALLBACK = "http://127.0.0.1:4711/callback"
CLIENT = """[sign_in.client.app]
name = "The App"
redirect_uris = ["http://127.0.0.1/callback", "https://app.example/cb?keep=1"]

[sign_in.client.other]
redirect_uris = ["http://127.0.0.1/callback"]
"""


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(token: str) -> dict:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.text = response.status, response.headers, response.read().decode()
        self.json = None
        with contextlib.suppress(ValueError):
            self.json = json.loads(self.text)

    @property
    def error(self):
        return (self.json or {}).get("error")


class Client:
    """A public client, known to the gateway by `id`."""

    def __init__(self, place: Site, id="app", redirect_uri=CALLBACK):
        self.place, self.id, self.redirect_uri = place, id, redirect_uri
        self.verifier, self.state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)

    @property
    def resource(self):
        return self.place.origin + "/mcp"

    def asking(self, **changes) -> str:
        """The address that it sends a browser to; a change to None leaves something out, and a list says it several times."""
        said = {
            "response_type": "code", "client_id": self.id, "redirect_uri": self.redirect_uri, "state": self.state,
            "code_challenge": b64(hashlib.sha256(self.verifier.encode()).digest()), "code_challenge_method": "S256",
            "resource": self.resource, "scope": "mcp",
        } | changes
        pairs = [(name, one) for name, value in said.items() for one in (value if isinstance(value, list) else [value])]
        return "/bartizan/oauth/authorize?" + urllib.parse.urlencode([pair for pair in pairs if pair[1] is not None])

    def came_back(self, location: str) -> dict:
        """What the browser brought, which has to be at the client's own address."""
        check(location and location.split("?")[0] == self.redirect_uri.split("?")[0], f"sent to {location}")
        said = urllib.parse.parse_qs(urllib.parse.urlsplit(location).query)
        check(all(len(values) == 1 for values in said.values()), location)
        said = {name: values[0] for name, values in said.items()}
        equal((said.get("state"), said.get("iss")), (self.state, self.place.origin), "state and iss")
        return said

    def code(self, browser: Browser, **changes) -> str:
        """A code that somebody in that browser agrees to."""
        page = browser.agree(self.asking(**changes))
        equal(page.status, 303, page.text)
        return self.came_back(page.location)["code"]

    def token(self, code=None, headers=None, **changes) -> Answer:
        said = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri, "client_id": self.id,
                "code_verifier": self.verifier, "resource": self.resource} | changes
        return self.place.post("/bartizan/oauth/token", said, headers)

    def refresh(self, token, headers=None, **changes) -> Answer:
        said = {"grant_type": "refresh_token", "refresh_token": token, "client_id": self.id, "resource": self.resource} | changes
        return self.place.post("/bartizan/oauth/token", said, headers)

    def revoke(self, token, **changes) -> Answer:
        return self.place.post("/bartizan/oauth/revoke", {"token": token, "client_id": self.id} | changes)

    def given(self, browser: Browser, **changes) -> dict:
        """All that it gets for a code."""
        answer = self.token(self.code(browser, **changes))
        equal(answer.status, 200, answer.text)
        return answer.json


class Surfer(Browser):
    """A browser whose person answers the page that asks them."""

    def agree(self, path, answer="allow", **changes):
        page = self.get(path)
        if page.status == 303 and page.location.startswith("/bartizan/sign-in"):
            page = self.sign_in(return_to=urllib.parse.parse_qs(urllib.parse.urlsplit(page.location).query)["return_to"][0])
            page = self.get(page.location)
        if page.status != 200:
            return page
        form = Form(page.text)
        fields = form.fields | {"answer": answer} | changes
        return self.post(form.action, {name: value for name, value in fields.items() if value is not None})


class Site(Place):
    """A gateway with one server, at which ann can let clients in."""

    def __init__(self, clients=CLIENT, sign_in="", auth="[auth]\nrequired = true\n", servers=None, listen=""):
        self.gateway = Gateway(servers or {}, f'{auth}[sign_in]\nsecond_factor = "optional"\n{sign_in}{clients}', listen)

    def __enter__(self):
        super().__enter__()
        self.add()
        return self

    @property
    def origin(self) -> str:
        return "http://{}:{}".format(*self.gateway.address)

    def browser(self, signed_in=True) -> Surfer:
        browser = Surfer(self.gateway)
        if signed_in:
            equal(browser.sign_in().status, 303, "ann signs in")
        return browser

    def request(self, method, path, body=None, headers=None) -> Answer:
        connection = http.client.HTTPConnection(*self.gateway.address, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            return Answer(connection.getresponse())

    def post(self, path, fields, headers=None) -> Answer:
        pairs = [(name, one) for name, value in fields.items() for one in (value if isinstance(value, list) else [value])]
        body = urllib.parse.urlencode([pair for pair in pairs if pair[1] is not None])
        return self.request("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"} | (headers or {}))

    def grant(self, *words, status=0) -> str:
        done = subprocess.run([BINARY, "grant", *words, "--config", str(self.gateway.config)], env=self.gateway.environment,
                              capture_output=True, text=True, timeout=PATIENCE)
        equal(done.returncode, status, f"grant {words}: {done.stdout}{done.stderr}")
        return done.stdout

    def call(self, token, path="/mcp") -> Answer:
        """A request of MCP with a token."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "flow", "version": "1"}}})
        said = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        return self.request("POST", path, body, said | ({"Authorization": f"Bearer {token}"} if token else {}))

    def key(self, name) -> str:
        done = subprocess.run([BINARY, "key", "create", name, "--scope", "mcp", "--expires", "1h", "--config", str(self.gateway.config)],
                              env=self.gateway.environment, capture_output=True, text=True, timeout=PATIENCE)
        equal(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()[0]

    def noted(self, kind, **fields) -> list[dict]:
        """Entries of that kind, once there are any: what the store notes comes to the log within seconds."""
        return wait_for(lambda: self.gateway.entries(kind=kind, **fields), f"no {kind} in the log")


class Documents:
    """A web server whose answers are chosen by path; it counts who comes."""

    def __init__(self, tls=None):
        outer = self
        self.answers, self.asked = {}, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append((self.path, dict(self.headers)))
                status, headers, body = outer.answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.origin = f"{'https' if tls else 'http'}://localhost:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, path, document, kind="application/json", status=200, **headers):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.answers[path] = (status, {"Content-Type": kind} | headers, body)

    def client(self, path="/client.json", **changes) -> str:
        """Serves the document of a client; its id."""
        said = {"client_id": self.origin + path, "client_name": "Documented", "redirect_uris": ["http://127.0.0.1/callback"],
                "token_endpoint_auth_method": "none"} | changes
        self.serve(path, said)
        return self.origin + path


__all__ = ["CALLBACK", "CLIENT", "HERE", "Answer", "Client", "Documents", "Form", "Site", "Surfer", "TOOLS", "b64", "cases_of", "check",
           "claims_of", "equal", "pathlib", "re", "run_cases", "wait_for"]
