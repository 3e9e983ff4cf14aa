"""What a browser does that is sent to sign in."""

import contextlib
import http.client
import http.cookies
import urllib.parse

REDIRECT = "http://127.0.0.1:9/callback"
PATIENCE = 30.0


def request(url, method="GET", form=None, headers=None, data=None):
    """Status, headers and body, without following anything."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
    body = urllib.parse.urlencode(form) if form is not None else data
    kind = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
    with contextlib.closing(connection):
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body, kind | (headers or {}))
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()


def follow(url, until=REDIRECT, cookies=None):
    """Where a browser ends up that does what it is told, as soon as that begins with `until`; with `cookies` it is that one again."""
    cookies = {} if cookies is None else cookies
    for _ in range(20):
        status, headers, body = request(url, headers={"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())})
        for line in headers.get_all("Set-Cookie") or []:
            for name, morsel in http.cookies.SimpleCookie(line).items():
                cookies[name] = morsel.value
        if status not in (302, 303):
            raise AssertionError(f"{url} answers {status}: {body[:600]}")
        url = urllib.parse.urljoin(url, headers["Location"])
        if url.startswith(until):
            return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    raise AssertionError(f"no end of redirects, at {url}")
