"""Secrets that a confined server uses and never has, requests that it may make, and how much it may send: with real clients, against a real
site over TLS."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pathlib
import re
import ssl
import subprocess
import tempfile
import threading

import reach
from harness import BINARY, ROOT, TOOLS, Gateway, Raw, check, equal, wait_for

PYTHON, NODE = str(TOOLS / "python" / "bin" / "python3"), str((TOOLS / "bin" / "node").resolve())
CLIENT = pathlib.Path(__file__).with_name("tls_client.py")
SITE, OTHER = reach.SITE, reach.OTHER
VALUE, NEXT = "value-of-the-secret-0123456789", "the-one-that-follows-9876543210"
HELD = re.compile(r"bartizan-secret-[0-9a-f]{32}")
# Each asks `https://HOST:PORT/PATH` with one header, and prints the status and what comes back.
CLIENTS = {
    "curl": lambda url, header, value: f"curl -sS -m 20 -w ' %{{http_code}}' -H '{header}: '\"{value}\" '{url}'",
    "urllib": lambda url, header, value: f"{PYTHON} {CLIENT} urllib '{url}' {header} \"{value}\"",
    "httpx": lambda url, header, value: f"{PYTHON} {CLIENT} httpx '{url}' {header} \"{value}\"",
    # It takes no notice of proxies.
    "node": lambda url, header, value: f"{NODE} -e 'fetch(process.argv[1], {{headers: {{[process.argv[2]]: process.argv[3]}}}})"
                                       f".then(async a => console.log(await a.text(), a.status), e => console.log(\"failed\", e.cause))'"
                                       f" '{url}' {header} \"{value}\"",
}


class Site(http.server.BaseHTTPRequestHandler):
    """Remembers what it was asked, and tells nobody."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
        self.server.asked.append({"line": self.requestline, "headers": {name.lower(): value for name, value in self.headers.items()}, "body": body})
        answer = b"x" * (1 << 20) if self.path == "/much" else b"welcome"
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(answer)

    do_POST = do_DELETE = do_GET

    def log_message(self, *_):
        pass


def site(folder=None):
    """One that runs, over TLS if there is a folder with its certificate."""
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    # Some of what it answers is cut off.
    running.handle_error = lambda *_: None
    running.asked = []
    if folder:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "site.pem", folder / "site.key")
        # In the thread of each connection, so that one that is refused holds up nobody.
        running.socket = context.wrap_socket(running.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    return running


def certificates(folder):
    """An authority and what it signs for both hosts."""
    script = ("import sys, pathlib\nfrom cryptography import x509\nfrom certificates import Signed\n"
              "at, names = pathlib.Path(sys.argv[1]), [x509.DNSName(name) for name in sys.argv[2:]]\n"
              "ours = Signed('Authority of the Suite', authority=True)\nours.write(at, 'ours')\nSigned('site', ours, names=names).write(at, 'site')\n")
    subprocess.run([PYTHON, "-c", script, str(folder), SITE, OTHER], check=True, env=os.environ | {"PYTHONPATH": str(ROOT / "tests" / "tls")})


class Bench:
    """A server that does what it is told, confined, with a secret for a site that is there over TLS and without."""

    def __init__(self, place, shell, confined, quiet):
        self.place, self.shell, self.confined, self.quiet = place, shell, confined, quiet
        certificates(place / "outside")
        self.secure, self.plain = site(place / "outside"), site()
        self.port, self.open = self.secure.server_port, self.plain.server_port
        (place / "outside" / "value").write_text(VALUE + "\n")
        (place / "outside" / "value").chmod(0o600)

    def net(self, **more):
        allow = [f"{SITE}:{self.port}", f"{SITE}:{self.open}", f"{OTHER}:{self.port}"]
        return {"allow": allow, "private": ["127.0.0.1/32"]} | more

    def secret(self, **more):
        return {"value": f"file:{self.place}/outside/value", "host": SITE} | more

    @contextlib.contextmanager
    def gateway(self, servers):
        # Whom the machine trusts, here and in the sandbox: nobody but the authority of the site.
        names = ("SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE")
        before = {name: os.environ.pop(name, None) for name in names}
        os.environ["SSL_CERT_FILE"] = str(self.place / "outside" / "ours.pem")
        try:
            with reach.names(self.place, {SITE: "127.0.0.1", OTHER: "127.0.0.1"}), Gateway(servers, self.quiet) as gateway:
                yield gateway
        finally:
            del os.environ["SSL_CERT_FILE"]
            os.environ.update({name: value for name, value in before.items() if value is not None})

    def held(self, **more):
        table = {"net": self.net(), "secrets": {"TOKEN": self.secret()}} | more
        # The clients are there to be run, whether the server is theirs or not.
        return self.shell(self.confined(self.place, ro=[str(TOOLS), NODE, str(pathlib.Path(NODE).parents[1])], **table))

    def last(self, site=None):
        asked = (site or self.secure).asked
        return asked[-1] if asked else None

    def url(self, host=SITE, path="/", port=None):
        return f"https://{host}:{port or self.port}{path}"


def run(client, script):
    return client.text("run", {"script": script})


def a_secret_reaches_its_host_and_the_server_never_has_it(bench):
    with bench.gateway({"held": bench.held()}) as gateway, Raw(gateway, "/mcp/held") as client:
        held = run(client, "printenv TOKEN").strip()
        check(HELD.fullmatch(held), held)
        for name, asks in CLIENTS.items():
            bench.secure.asked.clear()
            said = run(client, asks(bench.url(), "authorization", "Bearer $TOKEN"))
            check("welcome" in said and "200" in said, f"{name}: {said}")
            equal(bench.last()["headers"]["authorization"], f"Bearer {VALUE}", name)
        run(client, f"curl -sS -m 20 -u \"me:$TOKEN\" '{bench.url()}'")
        check(bench.last()["headers"]["authorization"].startswith("Basic ") and held not in bench.last()["headers"]["authorization"])
        # Nothing that the server has, or anything of it may look into, holds the value; what stands for it does.
        environ = run(client, "cat /proc/*/environ | tr '\\0' '\\n'")
        check(VALUE not in environ and held in environ, environ)
        seen = [memory(pid) for pid in below(gateway.process.pid)]
        check(any(held.encode() in text for text in seen) or os.getuid() != 0, "the control: a process has the placeholder in its memory")
        check(not any(VALUE.encode() in text for text in seen), "a process of the server has the value in its memory")
        used = [entry for entry in gateway.entries(kind="egress.request") if entry.get("secrets") == ["TOKEN"]]
        check(len(used) == len(CLIENTS) + 1 and all(entry["host"] == SITE and entry["terminated"] for entry in used), used)
        for text in (gateway.said.read_text(), everything(gateway.home / "audit"), everything(gateway.home / "state")):
            check(VALUE not in text and held not in text, "the log holds the secret or its placeholder")
        certificate = run(client, "printenv SSL_CERT_FILE; stat -c %a $SSL_CERT_FILE; echo x >> $SSL_CERT_FILE; rm -f $SSL_CERT_FILE; chmod 600 $SSL_CERT_FILE;"
                                  " grep -c BEGIN $SSL_CERT_FILE; grep -c BEGIN $NODE_EXTRA_CA_CERTS; grep -c PRIVATE $SSL_CERT_FILE")
        check("\n400\n2\n1\n0\n" in certificate and "Read-only" in certificate, certificate)


def everything(folder):
    return "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else ""


def below(pid):
    """All processes that come from this one, without itself."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return [one for child in children for one in [int(child), *below(int(child))]]


def memory(pid):
    """What a process has in memory that it can write to, as far as it may be looked into."""
    parts = []
    with contextlib.suppress(OSError), open(f"/proc/{pid}/mem", "rb") as held:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            start, end = (int(edge, 16) for edge in span.split("-"))
            if rights.startswith("rw") and end - start < 64 << 20:
                with contextlib.suppress(OSError, ValueError, OverflowError):
                    held.seek(start)
                    parts.append(held.read(end - start))
    return b"".join(parts)


def a_placeholder_stays_one_everywhere_else(bench):
    with bench.gateway({"held": bench.held(), "twin": bench.held()}) as gateway, Raw(gateway, "/mcp/held") as client:
        held = run(client, "printenv TOKEN").strip()
        bearer = f"Bearer {held}"
        curl = "curl -sS -m 20"
        for what, script, where, expected, reported in (
            ("another host", f"{curl} -H \"authorization: Bearer $TOKEN\" '{bench.url(OTHER)}'", bench.secure, lambda a: a["headers"]["authorization"] == bearer, False),
            ("another header", f"{curl} -H \"x-token: $TOKEN\" '{bench.url()}'", bench.secure, lambda a: a["headers"]["x-token"] == held, True),
            ("a path", f"{curl} \"{bench.url()}$TOKEN\"", bench.secure, lambda a: f"/{held} " in a["line"], True),
            ("a query", f"{curl} \"{bench.url()}?token=$TOKEN\"", bench.secure, lambda a: f"token={held} " in a["line"], True),
            ("a body", f"{curl} -d \"token=$TOKEN\" '{bench.url()}'", bench.secure, lambda a: a["body"] == f"token={held}", False),
            ("no TLS", f"{curl} -H \"authorization: Bearer $TOKEN\" 'http://{SITE}:{bench.open}/'", bench.plain, lambda a: a["headers"]["authorization"] == bearer, True),
        ):
            where.asked.clear()
            before = len([entry for entry in gateway.entries(kind="egress.request") if entry.get("kept") == ["TOKEN"]])
            said = run(client, script)
            check("welcome" in said and expected(bench.last(where)), f"{what}: {said} {bench.last(where)}")
            check(VALUE not in json.dumps(where.asked), f"the value is in {what}")
            after = [entry for entry in gateway.entries(kind="egress.request") if entry.get("kept") == ["TOKEN"]]
            equal(len(after) - before, int(reported), f"{what}: what is reported")
        check("sent a placeholder where it stands for nothing" in gateway.said.read_text(), "nobody is told")
        # Of another start and another server: each has its own, and what stands for one is nothing to the others.
        with Raw(gateway, "/mcp/held") as again, Raw(gateway, "/mcp/twin") as twin:
            for other in (again, twin):
                mine = run(other, "printenv TOKEN").strip()
                check(HELD.fullmatch(mine) and mine != held, mine)
                run(other, f"{curl} -H 'authorization: Bearer {held}' '{bench.url()}'")
                equal(bench.last()["headers"]["authorization"], bearer, "the placeholder of another start")
                run(other, f"{curl} -H 'authorization: Bearer {mine}' '{bench.url()}'")
                equal(bench.last()["headers"]["authorization"], f"Bearer {VALUE}", "the control: its own")
                authority = "openssl x509 -in $NODE_EXTRA_CA_CERTS -noout -fingerprint"
                check(run(other, authority) != run(client, authority), "the same authority")


def only_some_requests_are_allowed(bench):
    rules = [{"host": f"{SITE}:{bench.port}", "methods": ["GET"], "paths": ["/open", "/also"]}, {"host": f"{SITE}:{bench.port}", "methods": ["DELETE"], "paths": ["/mine"]},
             f"{OTHER}:{bench.port}"]
    with bench.gateway({"held": bench.held(net=bench.net(allow=rules), secrets={})}) as gateway, Raw(gateway, "/mcp/held") as client:
        def ask(method, path, host=SITE):
            bench.secure.asked.clear()
            return run(client, f"curl -sS --path-as-is -m 20 -X {method} '{bench.url(host, path)}'"), len(bench.secure.asked)
        for method, path in (("GET", "/open"), ("GET", "/open/a?x=/closed"), ("GET", "/also/b"), ("DELETE", "/mine/1")):
            equal(ask(method, path), ("welcome", 1), f"{method} {path}")
        for method, path in (("GET", "/"), ("GET", "/opened"), ("POST", "/open"), ("DELETE", "/open"), ("GET", "/mine"), ("GET", "/open/../closed"),
                             ("GET", "/open/%2e%2e/closed"), ("GET", "/open//closed"), ("TRACE", "/open")):
            said, asked = ask(method, path)
            check("Bartizan refused this" in said and asked == 0, f"{method} {path}: {said}")
        equal(ask("POST", "/anything", OTHER), ("welcome", 1), "a host that is allowed as a whole")
        refused = {entry["reason"] for entry in gateway.entries(kind="egress.refused")}
        check({"egress.request", "egress.path_form"} <= refused, refused)


def no_more_passes_than_may(bench):
    limits = {"received": "256KiB", "sent": "64KiB", "connections_per_minute": 20}
    with bench.gateway({"held": bench.held(net=bench.net(limits=limits)), "free": bench.held()}) as gateway:
        with Raw(gateway, "/mcp/held") as held, Raw(gateway, "/mcp/free") as free:
            for client, whole in ((held, False), (free, True)):
                for path, options in (("/much", ""), ("/", "--data-binary @/tmp/big")):
                    said = run(client, f"head -c 1048576 /dev/zero > /tmp/big; curl -sS -m 20 -o /tmp/came {options} '{bench.url(OTHER, path)}'; echo status $?")
                    equal("status 0" in said, whole, f"{path} {options}: {said}")
            closed = lambda: {entry["reason"] for entry in gateway.entries(kind="egress.closed")}  # noqa: E731
            wait_for(lambda: {"egress.received_cap", "egress.sent_cap"} <= closed(), "no cap closed anything")
            said = run(held, f"for i in $(seq 30); do curl -sS -m 20 '{bench.url(OTHER)}' >/dev/null 2>&1 && echo once; done")
            check(0 < said.count("once") < 20, said)
            check("egress.rate" in {entry["reason"] for entry in gateway.entries(kind="egress.refused")})


def a_changed_secret_is_used_at_once_and_one_that_is_gone_is_not(bench):
    with bench.gateway({"held": bench.held()}) as gateway, Raw(gateway, "/mcp/held") as client:
        script = f"curl -sS -m 20 -H \"authorization: Bearer $TOKEN\" '{bench.url()}'"
        held = run(client, "printenv TOKEN").strip()

        def reload(change):
            before = len(gateway.entries(kind="config.reloaded"))
            gateway.config.write_text(change(gateway.config.read_text()) + "\n# changed\n")
            wait_for(lambda: len(gateway.entries(kind="config.reloaded")) > before, "the change is not taken")

        def sent():
            said = run(client, script)
            return said if "welcome" not in said else bench.last()["headers"]["authorization"]
        equal(sent(), f"Bearer {VALUE}", "the control")
        (bench.place / "outside" / "value").write_text(NEXT + "\n")
        reload(lambda text: text)
        equal(sent(), f"Bearer {NEXT}", "after one reload")
        # What began before all of them still follows.
        (bench.place / "outside" / "value").write_text(VALUE + "\n")
        reload(lambda text: text)
        equal(sent(), f"Bearer {VALUE}", "after another")
        reload(lambda text: text.replace("secrets = {TOKEN", "secrets = {OTHER"))
        equal(sent(), f"Bearer {held}", "a secret that is gone")
        check("has to be started again for that" in gateway.said.read_text(), "nobody is told that the new one is not there")
        check(VALUE not in gateway.said.read_text() and NEXT not in gateway.said.read_text(), "the log holds a secret")


def what_a_start_needs_goes_with_it_or_before_the_next(bench):
    with bench.gateway({"held": bench.held()}) as gateway:
        def there(pid):
            return list((gateway.home / "ways-out").glob(f"bartizan-egress-{pid}-*"))
        first = gateway.process.pid
        with Raw(gateway, "/mcp/held") as one:
            with Raw(gateway, "/mcp/held") as other:
                check(all(HELD.search(run(client, "printenv TOKEN")) for client in (one, other)))
                equal(len(there(first)), 2, "a place for each start")
            wait_for(lambda: len(there(first)) == 1, "what has ended keeps its place")
            check("welcome" in run(one, f"curl -sS -m 20 '{bench.url()}'"), "the control: the other goes on")
            check(there(first), "the control")
            gateway.again()
        wait_for(lambda: not there(first), "a killed gateway leaves something")
        with Raw(gateway, "/mcp/held") as client:
            run(client, "true")
            equal((len(there(first)), len(there(gateway.process.pid))), (0, 1), "what is there")


def only_who_is_told_to_has_the_secret_itself(bench):
    exposed = {"TOKEN": {"value": f"file:{bench.place}/outside/value", "expose": "env"}}
    with bench.gateway({"open": bench.held(secrets=exposed), "held": bench.held()}) as gateway:
        with Raw(gateway, "/mcp/open") as client:
            equal(run(client, "printenv TOKEN").strip(), VALUE)
        [started] = gateway.entries(kind="gateway.started")
        equal({server["name"]: server.get("exposed") for server in started["servers"]}, {"open": ["TOKEN"], "held": None}, "what the log says")
        check(VALUE not in gateway.said.read_text() + everything(gateway.home / "audit"))
        done = subprocess.run([BINARY, "config", "check", str(gateway.config)], capture_output=True, text=True, timeout=60, env=os.environ | {"NO_COLOR": "1"})
        said = done.stdout + done.stderr
        check(done.returncode == 0 and said.count("has the secret `TOKEN` itself") == 1 and VALUE not in said, said)


MISTAKES = (
    ('secrets.T = { value = "V", host = "b.example" }', "which no rule of `net.allow`"),
    ('secrets.T = { value = "V", host = "a.example", header = "host" }', "no secret is put into the header"),
    ('secrets.T = { value = "V" }', "nothing says which host"),
    ('secrets.T = { value = "", host = "a.example" }', "has no value"),
    ('secrets.T = { value = "V", host = "a.example", expose = "env" }', "is given to the program"),
    ('secrets.T = "V"', "expected a table"),
    ('secrets.T = { value = "V", host = "a.example:443" }', "without a port"),
    ('secrets.BOTH = { value = "V", host = "a.example" }', "is in `env` as well"),
    ('net.limits.connections = 0', "nothing at all"),
)


def mistakes_are_said_and_show_nothing(place):
    config = place / "outside" / "bartizan.toml"
    for line, said in MISTAKES:
        config.write_text(f'[server.x]\ncommand = ["true"]\nenv = {{ BOTH = "x" }}\n[server.x.sandbox]\nnet.allow = ["a.example:443"]\n{line.replace("V", VALUE)}\n')
        done = subprocess.run([BINARY, "config", "check", str(config)], capture_output=True, text=True, timeout=60)
        told = done.stdout + done.stderr
        check(done.returncode == 2 and said in told and VALUE not in told, f"{line}: {told}")
