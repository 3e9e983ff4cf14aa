"""An index of packages in Python, over TLS, with one that would run as soon as an interpreter finds it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import io
import os
import ssl
import threading
import zipfile

import held
import reach

WHEEL = "evil-1.0-py3-none-any.whl"
# Where uv keeps tools, and where what runs in its place begins.
RUNS = 'import os; os.close(os.open(os.path.join(os.environ.get("UV_TOOL_DIR") or ".", "RAN"), os.O_CREAT | os.O_WRONLY))\n'


def wheel():
    files = {
        "evil/__init__.py": "def main():\n    pass\n",
        "evil.pth": RUNS,
        "evil-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n",
        "evil-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: suite\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "evil-1.0.dist-info/entry_points.txt": "[console_scripts]\nevil = evil:main\n",
    }
    digest = lambda text: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()  # noqa: E731
    record = "".join(f"{name},sha256={digest(text)},{len(text)}\n" for name, text in files.items())
    files["evil-1.0.dist-info/RECORD"] = record + "evil-1.0.dist-info/RECORD,,\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


class Index(http.server.BaseHTTPRequestHandler):
    held = wheel()

    def do_GET(self):
        pages = {"/simple/evil/": ("text/html", f'<!doctype html><a href="/{WHEEL}">{WHEEL}</a>'.encode()), f"/{WHEEL}": ("application/zip", self.held)}
        kind, body = pages.get(self.path, ("text/plain", b""))
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def index(place):
    """Its URL, and its host and port, which are led to from here; nobody else is trusted meanwhile."""
    held.certificates(place / "outside")
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "outside" / "site.pem", place / "outside" / "site.key")
    running.socket = context.wrap_socket(running.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = str(place / "outside" / "ours.pem")
    try:
        with reach.names(place, {held.SITE: "127.0.0.1"}):
            yield f"https://{held.SITE}:{running.server_port}/simple", f"{held.SITE}:{running.server_port}"
    finally:
        running.shutdown()
        os.environ.pop("SSL_CERT_FILE")
        if before is not None:
            os.environ["SSL_CERT_FILE"] = before
