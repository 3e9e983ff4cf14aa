"""A browser without a screen: it keeps cookies, fills in forms as pages give them, and follows where it is sent if told to."""

from __future__ import annotations

import contextlib
import html.parser
import http.client
import http.cookies
import pathlib
import subprocess
import sys
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "aggregate")]

from harness import BINARY, PATIENCE, Gateway, check, equal  # noqa: E402

PASSWORD = "correct horse battery staple"


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
        self.location = response.headers["Location"]


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

    def is_signed_in(self) -> bool:
        return self.get("/bartizan/account").status == 200


class Place:
    """A gateway that people sign in at."""

    def __init__(self, sign_in="second_factor = \"optional\"\n", more="", listen=""):
        self.gateway = Gateway({}, f"[sign_in]\n{sign_in}{more}", listen)

    def __enter__(self):
        self.gateway.__enter__()
        return self

    def __exit__(self, *reason):
        self.gateway.__exit__(*reason)

    def browser(self, **headers) -> Browser:
        return Browser(self.gateway, **headers)

    def user(self, *words, status=0, said=None) -> str:
        done = subprocess.run([BINARY, "user", *words, "--config", str(self.gateway.config)], env=self.gateway.environment,
                              input=said, capture_output=True, text=True, timeout=PATIENCE)
        equal(done.returncode, status, f"user {words}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def add(self, name="ann", password=PASSWORD):
        self.user("add", name, "--password", said=password + "\n")

    def counted(self, rule) -> bool:
        return any(rule in str(entry) for entry in self.gateway.entries(kind="edge.refused"))


__all__ = ["PASSWORD", "Browser", "Form", "Page", "Place", "check", "equal"]
