#!/usr/bin/env python3
"""Servers under https: one whose certificate an authority has signed that is trusted is used, and none is that cannot prove to be
who it should be. Its client is told so, the log says why, it hears nothing, and others do not notice.

`run.py NAME…` runs the cases whose names contain NAME.
"""

import contextlib
import json
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "hostile")]

import harness  # noqa: E402
import honest  # noqa: E402
from harness import ROOT, Client, Failed, Gateway, Twin, check, wait_for  # noqa: E402

TOOLS = pathlib.Path(os.environ.get("BARTIZAN_TOOLS", ROOT / ".tools"))
RULE = "upstream.certificate"
# What is wrong with each that is signed by the authority of the suite, in the words of the log; None: nothing.
WRONG = {"good": None, "chained": None, "untrusted": "no authority that is trusted", "alone": "",
         "elsewhere": "another name", "nameless": "another name", "expired": "it has expired", "early": "not valid yet"}
# What a server says in its certificate is none of its client's business.
WORDS = ("elsewhere.example", "Authority of", "localhost", "127.0.0.1", "has expired", "no authority", "another name", "/tmp")
SECRET = "of-the-operator"
HELLO = {"protocolVersion": harness.VERSION, "capabilities": {}, "clientInfo": {"name": "suite", "version": "1"}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append((message.get("method"), self.headers.get("X-Key")))
        reply = honest.answer(message)
        body = json.dumps(reply).encode() if reply else b""
        self.send_response(200 if reply else 202)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.send_response(405)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Secure(ThreadingHTTPServer):
    """An honest server under https with one of the certificates."""
    daemon_threads = True

    def __init__(self, folder, name):
        super().__init__(("127.0.0.1", 0), Handler)
        self.heard, self.folder = [], folder
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.show(name)
        self.threads = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.threads.start()

    def show(self, name):
        """Shows another certificate from now on."""
        self.context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")

    def finish_request(self, request, address):
        # In the thread of its own, so that a handshake that is broken off is this connection's affair.
        with contextlib.suppress(OSError):
            with self.context.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, address)

    def handle_error(self, *_):
        pass

    def url(self, host="127.0.0.1"):
        return f"https://{host}:{self.server_port}/mcp"


class Place:
    """The certificates, a server with each of them, and an honest one without."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        python = TOOLS / "python" / "bin" / "python"
        subprocess.run([str(python), str(HERE / "certificates.py"), str(self.folder)], check=True, timeout=60)
        self.servers = {name: Secure(self.folder, name) for name in WRONG}
        self.process, self.honest, _ = harness.honest_server()

    def gateway(self, trusted, **urls):
        """A gateway in front of all of them that trusts this authority."""
        config = harness.honest_config(self.honest)
        urls = {name: server.url() for name, server in self.servers.items()} | urls
        for name, url in urls.items():
            config += f'[server.{name}]\nurl = "{url}"\nheaders = {{ X-Key = "{SECRET}" }}\ntimeout = "10s"\n'
        os.environ["SSL_CERT_FILE"] = str(self.folder / f"{trusted}.pem")
        os.environ.pop("SSL_CERT_DIR", None)
        return contextlib.closing(Gateway(config))

    def close(self):
        self.process.kill()
        for server in self.servers.values():
            server.shutdown()
            server.server_close()


def begin(gateway, name):
    client = Client(gateway, name)
    reply, id = client.request("initialize", HELLO)
    client.session = reply.headers.get("mcp-session-id")
    answer = reply.answer(id)
    if client.session:
        answer = client.call("echo", {"text": "secure"})
        client.end()
    return answer


def passes(gateway, place, name):
    answer = begin(gateway, name)
    check(answer.get("result", {}).get("content") == [{"type": "text", "text": "secure"}], f"{name}: {answer}")
    if server := place.servers.get(name):
        check(server.heard and all(key == SECRET for _, key in server.heard), f"{name} heard {server.heard}")


def refused(gateway, place, name, why):
    answer = begin(gateway, name)
    text = json.dumps(answer)
    check("error" in answer and RULE in text, f"{name}: {text}")
    check(not any(word in text for word in WORDS), f"the client is told more of {name} than it needs: {text}")
    found = [entry["why"] for entry in gateway.recorded(0, server=name, rule=RULE)]
    check(found and all(why in reason and "certificate" in reason for reason in found), f"the log says of {name}: {found}")
    said = [line for line in gateway.said.read_text().splitlines() if f"server={name} " in line and "fails" in line]
    check(len(said) == 1 and why in said[0], f"the operator is told of {name}: {said}")
    check(gateway.metric("bartizan_upstream_failures_total", server=name, reason=RULE) >= 1, "the metrics")
    check(place.servers[name].heard == [], f"{name} heard {place.servers[name].heard}")


def only_who_can_prove_it_is_used(place):
    with place.gateway("ours") as gateway:
        twin = Twin(gateway, ["honest", "honest-stdio", "good", "chained"])
        twin.check_moves()
        for name, why in WRONG.items():
            if why is None:
                passes(gateway, place, name)
            else:
                refused(gateway, place, name, why)
        twin.check_moves()
        with Client(gateway, None) as client:
            reply, id = client.request("tools/list")
            names = {tool["name"].partition("__")[0] for tool in reply.answer(id)["result"]["tools"]}
            check(names == {"honest", "honest-stdio", "good", "chained"}, f"all together list {names}")
        twin.stop()
        twin.check()
        check(SECRET not in gateway.said.read_text(), "a header of the operator's is in the log")
        gateway.stop()
        gateway.verify()


def a_name_is_held_against_the_certificate(place):
    with place.gateway("ours", name=place.servers["good"].url("localhost")) as gateway:
        passes(gateway, place, "name")


def who_is_trusted_is_the_operators_choice(place):
    for server in place.servers.values():
        server.heard.clear()
    with place.gateway("theirs") as gateway:
        passes(gateway, place, "untrusted")
        place.servers["untrusted"].heard.clear()
        for name in ("good", "chained"):
            refused(gateway, place, name, "no authority that is trusted")
        passes(gateway, place, "untrusted")
        place.servers["untrusted"].heard.clear()


def a_file_of_authorities_that_is_not_there_is_said_at_the_start(place):
    try:
        with place.gateway("nobody"):
            raise Failed("it serves")
    except Failed as ended:
        check("certificates" in str(ended) and "nobody.pem" in str(ended), f"{ended}")


def a_machine_that_trusts_nobody_uses_servers_without_certificates(place):
    os.environ["SSL_CERT_FILE"] = str(place.folder / "nobody.pem")
    with contextlib.closing(Gateway(harness.honest_config(place.honest))) as gateway:
        twin = Twin(gateway, ["honest", "honest-stdio"])
        twin.check_moves()
        twin.stop()
        twin.check()
        gateway.stop()


def one_that_renews_its_certificate_is_used_again(place):
    server = place.servers["expired"]
    with place.gateway("ours") as gateway:
        refused(gateway, place, "expired", "it has expired")
        # Until it is left alone: a server that nobody can trust is not tried for each client either.
        wait_for(lambda: "upstream.resting" in json.dumps(begin(gateway, "expired")), "it is tried again and again")
        check(server.heard == [], f"it heard {server.heard}")
        server.show("good")
        wait_for(lambda: "result" in begin(gateway, "expired"), "it is not used again", 60)
        passes(gateway, place, "expired")
        server.show("expired")
        server.heard.clear()


class Mutual(Secure):
    """One that asks clients for a certificate, requires it or not, and keeps who they showed to be."""

    def __init__(self, folder, name, required=True):
        self.shown = []
        super().__init__(folder, name)
        self.context.load_verify_locations(folder / "ours.pem")
        self.context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL

    def finish_request(self, request, address):
        with contextlib.suppress(OSError):
            with self.context.wrap_socket(request, server_side=True) as secure:
                names = (secure.getpeercert() or {}).get("subjectAltName", ())
                self.shown.append(next((name.rpartition("/")[2] for kind, name in names if kind == "URI"), None))
                ThreadingHTTPServer.finish_request(self, secure, address)


class Once(Handler):
    protocol_version = "HTTP/1.0"


def of_server(name, server, **files):
    """The configuration of a server with a way of its own."""
    own = "".join(f'{key} = "{file}"\n' for key, file in files.items())
    return f'[server.{name}]\nurl = "{server.url()}"\nheaders = {{ X-Key = "{SECRET}" }}\n' + (f"[server.{name}.tls]\n{own}" if own else "")


def a_certificate_is_shown_to_the_one_server_that_it_is_for(place):
    os.environ["SSL_CERT_FILE"] = str(place.folder / "ours.pem")
    servers = {name: Mutual(place.folder, "good", required) for name, required in
               (("mutual", True), ("bare", True), ("asks", False), ("stranger", True))}
    at = lambda name: place.folder / name  # noqa: E731
    config = of_server("mutual", servers["mutual"], certificate=at("ann.pem"), key=at("ann.key"))
    config += of_server("bare", servers["bare"]) + of_server("asks", servers["asks"])
    config += of_server("stranger", servers["stranger"], certificate=at("ann_untrusted.pem"), key=at("ann_untrusted.key"))
    with contextlib.closing(Gateway(config)) as gateway:
        for name in ("mutual", "asks"):
            check(begin(gateway, name).get("result", {}).get("content") == [{"type": "text", "text": "secure"}], name)
        for name in ("bare", "stranger"):
            answer = begin(gateway, name)
            check("error" in answer and servers[name].heard == [], f"{name} is used: {answer} {servers[name].heard}")
        check(set(servers["mutual"].shown) == {"ann"}, f"it saw {servers['mutual'].shown}")
        check(set(servers["asks"].shown) == {None}, f"another one saw {servers['asks'].shown}")
        text = gateway.said.read_text()
        check("PRIVATE" not in text and SECRET not in text, "a secret is in the log")
        gateway.stop()
        gateway.verify()
    [server.shutdown() or server.server_close() for server in servers.values()]


def authorities_of_a_server_stand_in_the_place_of_the_systems(place):
    os.environ["SSL_CERT_FILE"] = str(place.folder / "ours.pem")
    for server in place.servers.values():
        server.heard.clear()
    theirs = place.folder / "theirs.pem"
    config = "".join(of_server(name, place.servers[name], ca=theirs) for name in ("untrusted", "good"))
    with contextlib.closing(Gateway(config + of_server("chained", place.servers["chained"]))) as gateway:
        passes(gateway, place, "untrusted")
        passes(gateway, place, "chained")
        place.servers["untrusted"].heard.clear()
        refused(gateway, place, "good", "no authority that is trusted")


def changed_files_are_in_force_and_broken_ones_are_not(place):
    os.environ["SSL_CERT_FILE"] = str(place.folder / "ours.pem")
    server = Mutual(place.folder, "good")
    server.RequestHandlerClass = Once
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def write(name, kinds=("pem", "key")):
            for kind in kinds:
                (folder / f"new.{kind}").write_bytes((place.folder / f"{name}.{kind}").read_bytes())
                (folder / f"new.{kind}").chmod(0o600)
                (folder / f"new.{kind}").rename(folder / f"shown.{kind}")

        def seen():
            server.shown.clear()
            check("result" in begin(gateway, "mutual"), "it is not used")
            return set(server.shown)

        write("ann")
        config = of_server("mutual", server, certificate=folder / "shown.pem", key=folder / "shown.key")
        with contextlib.closing(Gateway(config)) as gateway:
            check(seen() == {"ann"}, "at first")
            write("bob", ["pem"])
            check(seen() == {"ann"}, "half of a pair is no pair")
            check("is not that of the certificate" in gateway.said.read_text(), "it is not said")
            write("bob")
            check(seen() == {"bob"}, "both")
        write("ann", ["pem"])
        try:
            with contextlib.closing(Gateway(config)):
                raise Failed("it serves")
        except Failed as ended:
            check("[server.mutual.tls]" in str(ended) and "is not that of the certificate" in str(ended), f"{ended}")
    server.shutdown()
    server.server_close()


def main():
    cases = (a_certificate_is_shown_to_the_one_server_that_it_is_for, authorities_of_a_server_stand_in_the_place_of_the_systems,
             changed_files_are_in_force_and_broken_ones_are_not, only_who_can_prove_it_is_used, a_name_is_held_against_the_certificate, who_is_trusted_is_the_operators_choice,
             a_file_of_authorities_that_is_not_there_is_said_at_the_start,
             a_machine_that_trusts_nobody_uses_servers_without_certificates, one_that_renews_its_certificate_is_used_again)
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="bartizan-tls-") as folder:
        place = Place(folder)
        for case in cases:
            if sys.argv[1:] and not any(part in case.__name__ for part in sys.argv[1:]):
                continue
            try:
                case(place)
                passed += 1
                print(f"ok    {case.__name__}", flush=True)
            except Exception as error:  # Whatever it is, the suite reports it and goes on.
                failed += 1
                print(f"FAIL  {case.__name__}: {error if isinstance(error, Failed) else traceback.format_exc()}", flush=True)
        place.close()
    return harness.totals(passed, failed)


if __name__ == "__main__":
    sys.exit(main())
