"""A browser without a screen: it keeps cookies, fills in forms as pages give them, and follows where it is sent if told to."""

from __future__ import annotations

import base64
import contextlib
import hmac
import html
import html.parser
import http.client
import http.cookies
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "aggregate")]

from harness import BINARY, PATIENCE, TOOLS, Gateway, cases_of, check, equal, run_cases, wait_for  # noqa: E402, F401

STEP = 30
# A recovery code.
CODE = re.compile(r"\b[0-9a-z]{4}(?:-[0-9a-z]{4}){3}\b")
PASSWORD = "correct horse battery staple"


class App:
    """An authenticator app: RFC 6238, as everybody does it."""

    def __init__(self, page):
        self.secret = base64.b32decode(re.search(r'id="secret">([A-Z2-7]+)<', page.text)[1])
        self.last = 0

    def code(self, step=None) -> str:
        step = int(time.time()) // STEP if step is None else step
        digest = hmac.new(self.secret, step.to_bytes(8, "big"), "sha1").digest()
        return f"{(int.from_bytes(digest[digest[-1] & 15:][:4], 'big') & 0x7fffffff) % 10 ** 6:06}"

    def fresh(self) -> str:
        """One that was not used before; the gateway takes that of the next half minute as well."""
        while (step := max(self.last + 1, int(time.time()) // STEP)) > int(time.time()) // STEP + 1:
            time.sleep(0.5)
        self.last = step
        return self.code(step)


class Form(html.parser.HTMLParser):
    """The fields of a page, by name, and the path of its first form."""

    def __init__(self, text):
        super().__init__()
        self.fields, self.action = {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form" and self.action is None:
            self.action = attributes.get("action")
        if tag == "input" and attributes.get("name"):
            self.fields.setdefault(attributes["name"], attributes.get("value") or "")


class Page:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.text = response.read().decode()
        leads_on = re.search(r'<meta http-equiv="refresh" content="0;url=([^"]*)">', self.text)
        self.location = html.unescape(leads_on[1]) if leads_on else response.headers["Location"]


class Browser:
    def __init__(self, gateway, **headers):
        self.gateway, self.cookies, self.more = gateway, {}, headers

    @property
    def origin(self):
        return "http://{}:{}".format(*self.gateway.address)

    def send(self, method, path, body=None, headers=None) -> Page:
        connection = http.client.HTTPConnection(*self.gateway.address, timeout=PATIENCE)
        with contextlib.closing(connection):
            said = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
            said |= self.more | (headers or {})
            connection.request(method, path, body, {name: value for name, value in said.items() if value is not None})
            page = Page(connection.getresponse())
        for line in page.headers.get_all("Set-Cookie") or []:
            for name, held in http.cookies.SimpleCookie(line).items():
                if held["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = held.value
        return page

    def get(self, path, **more) -> Page:
        return self.send("GET", path, **more)

    def post(self, path, fields, headers=None) -> Page:
        said = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.origin} | (headers or {})
        return self.send("POST", path, urllib.parse.urlencode(fields), said)

    def fill(self, path, fields, headers=None) -> Page:
        """Opens a page, fills in its first form and sends it."""
        page = self.get(path)
        equal(page.status, 200, f"GET {path}: {page.text[:300]} {page.location}")
        form = Form(page.text)
        return self.post(form.action, form.fields | fields, headers)

    def sign_in(self, name="ann", password=PASSWORD, return_to=None, **fields) -> Page:
        query = "?" + urllib.parse.urlencode({"return_to": return_to}) if return_to else ""
        return self.fill("/bartizan/sign-in" + query, {"name": name, "password": password} | fields)

    def accept(self, link, password=PASSWORD) -> tuple["App", list[str]]:
        """Chooses what an invitation asks for; the app, and the recovery codes."""
        path = link[link.index("/bartizan/"):]
        page = self.get(path)
        equal(page.status, 200, page.text[:300])
        app, form = App(page), Form(page.text)
        done = self.post(form.action, form.fields | {"password": password, "again": password, "code": app.fresh()})
        equal(done.status, 200, done.text[:600])
        return app, CODE.findall(done.text)

    def is_signed_in(self) -> bool:
        return self.get("/bartizan/account").status == 200


class Place:
    """A gateway that people sign in at."""

    def __init__(self, sign_in="second_factor = \"optional\"\n", more="", listen="", address="127.0.0.1:0"):
        self.gateway = Gateway({}, f"[sign_in]\n{sign_in}{more}", listen, address)

    def __enter__(self):
        self.gateway.__enter__()
        return self

    def __exit__(self, *reason):
        self.gateway.__exit__(*reason)

    def restart(self):
        """Another process in the same place."""
        gateway = self.gateway
        gateway.stop()
        gateway.process = subprocess.Popen(
            [BINARY, "serve", "--allow-unconfined", "--config", str(gateway.config)], env=gateway.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=gateway.said.open("wb"), cwd=gateway.folder.name, start_new_session=True)
        gateway.address, gateway.admin = wait_for(gateway._addresses, "the gateway does not say where it serves")

    def browser(self, **headers) -> Browser:
        return Browser(self.gateway, **headers)

    def user(self, *words, status=0, said=None) -> str:
        done = subprocess.run([BINARY, "user", *words, "--config", str(self.gateway.config)], env=self.gateway.environment,
                              input=said, capture_output=True, text=True, timeout=PATIENCE)
        equal(done.returncode, status, f"user {words}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def add(self, name="ann", password=PASSWORD):
        self.user("add", name, "--password", said=password + "\n")

    def invite(self, name="ann", *words) -> str:
        return re.search(r"https?://\S+", self.user("add", name, *words))[0]

    def counted(self, rule) -> bool:
        return any(rule in str(entry) for entry in self.gateway.entries(kind="edge.refused"))


__all__ = ["BINARY", "CODE", "HERE", "PASSWORD", "TOOLS", "App", "Browser", "Form", "Page", "Place", "check", "equal"]
