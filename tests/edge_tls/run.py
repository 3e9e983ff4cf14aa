#!/usr/bin/env python3
"""Clients over TLS: what they can be sure of, who is turned away, and that a new certificate needs no restart.

`run.py NAME…` runs the cases whose names contain NAME.
"""

import contextlib
import http.client
import json
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "access"), str(HERE.parent / "aggregate")]

from harness import BINARY, PATIENCE, TOOLS, Gateway, cases_of, check, equal, re, run_cases, wait_for  # noqa: E402
from run import Server, id_of  # noqa: E402

PYTHON = TOOLS / "python" / "bin" / "python"
KEYS = "[auth]\nrequired = true\n"


class Secure(Gateway):
    """A gateway whose addresses are reached over TLS."""

    def _addresses(self):
        text = self.said.read_text(errors="replace")
        check(self.process.poll() is None, f"the gateway ended at start:\n{text}")
        found = [re.search(rf"{what} https://([\d.]+):(\d+)", text) for what in ("serves MCP at", "metrics at")]
        return all(found) and [(match[1], int(match[2])) for match in found]


class Place:
    """A gateway that shows the certificate `shown`, and a server behind it."""

    def __init__(self, folder, more="", tls="", auth=KEYS, admin=""):
        self.folder = folder
        self.show("good")
        self.pair = f'certificate = "{folder}/shown.pem", key = "{folder}/shown.key"'
        self.server = Server()
        listen = f"tls = {{ {self.pair}{tls} }}\n{more}"
        self.gateway = Secure({"files": {"url": self.server.url}}, f"tls = {{ {self.pair}{admin} }}\n{auth}", listen)

    def __enter__(self):
        self.gateway.__enter__()
        return self

    def __exit__(self, *reason):
        try:
            self.gateway.__exit__(*reason)
        finally:
            self.server.shutdown()
            self.server.server_close()

    def show(self, certificate, key=None):
        """Puts others in the place of the files that are named."""
        for name, end in ((certificate, "pem"), (key or certificate, "key")):
            new = self.folder / f"new.{end}"
            shutil.copy(self.folder / f"{name}.{end}", new)
            new.chmod(0o600)
            new.rename(self.folder / f"shown.{end}")

    def key(self, *words):
        done = subprocess.run([self.gateway.process.args[0], "key", *words, "--config", str(self.gateway.config)],
                              env=self.gateway.environment, capture_output=True, text=True, timeout=60)
        equal(done.returncode, 0, f"key {words}: {done.stderr}")
        return done.stdout.strip()

    def context(self, trusted="ours", certificate=None):
        """What a client trusts, and what it shows."""
        context = ssl.create_default_context(cafile=self.folder / f"{trusted}.pem")
        if certificate:
            context.load_cert_chain(self.folder / f"{certificate}.pem", self.folder / f"{certificate}.key")
        return context

    def connect(self, context=None, address=None):
        """A connection; its certificate has been held against the name."""
        raw = socket.create_connection(address or self.gateway.address, timeout=PATIENCE)
        return (context or self.context()).wrap_socket(raw, server_hostname="localhost")

    def shown(self):
        """The serial number of the certificate that a new client sees."""
        with self.connect() as connection:
            return connection.getpeercert()["serialNumber"]

    def ask(self, key=None, context=None, path="/mcp/files", method="tools/list", connection=None):
        """The status and the answer to one request of the era without sessions."""
        connection = connection or http.client.HTTPSConnection(
            "localhost", self.gateway.address[1], context=context or self.context(), timeout=PATIENCE)
        meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "suite", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {}}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": meta}})
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
                   "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
        connection.request("POST", path, body, headers | ({"Authorization": f"Bearer {key}"} if key else {}))
        response = connection.getresponse()
        return response.status, response.read().decode()

    def admin(self, path, context=None):
        connection = http.client.HTTPSConnection("localhost", self.gateway.admin[1], context=context or self.context(),
                                                 timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read().decode()

    def counted(self, rule, text="it is not counted"):
        """How often the log says that something was refused by that rule."""
        def found():
            reasons = [reason for entry in self.gateway.entries(kind="edge.refused") for reason in entry["reasons"]]
            return sum(reason["count"] for reason in reasons if reason["rule"] == rule)
        return wait_for(found, text)


def case_a_client_comes_in_over_tls_13_and_no_other_version(folder):
    with Place(folder) as place:
        key = place.key("create", "ann", "--scope", "mcp", "--expires", "1h")
        with place.connect() as connection:
            equal(connection.version(), "TLSv1.3", "the version")
        equal(place.ask(None)[0], 401, "without a key")
        status, answer = place.ask(key)
        check(status == 200 and '"read"' in answer, f"with one: {status} {answer}")
        check(place.admin("/readyz") == "ready\n", "health is there as well")
        old = place.context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            place.connect(old)
            raise AssertionError("TLS 1.2 is spoken")
        except ssl.SSLError:
            equal(place.counted("edge.tls"), 1, "refusals")
        check(not any(name.lower() == "server" for name, _ in head(place)), "the server names itself")


def head(place):
    connection = http.client.HTTPSConnection("localhost", place.gateway.address[1], context=place.context(), timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", "/mcp")
        return connection.getresponse().getheaders()


def case_tls_12_is_spoken_on_request(folder):
    with Place(folder, tls=', minimum = "1.2"') as place:
        old = place.context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with place.connect(old) as connection:
            equal(connection.version(), "TLSv1.2", "an old client")
        with place.connect() as connection:
            equal(connection.version(), "TLSv1.3", "a new one")


def case_a_client_that_speaks_plain_http_is_told_so(folder):
    with Place(folder) as place:
        connection = http.client.HTTPConnection(*place.gateway.address, timeout=PATIENCE)
        connection.request("POST", "/mcp/files", "x" * 100_000, {"Authorization": "Bearer btz_secret"})
        response = connection.getresponse()
        equal((response.status, "https" in response.read().decode()), (400, True), "the answer")
        with socket.create_connection(place.gateway.address, timeout=PATIENCE) as raw:
            raw.sendall(b"\x00\x01\x02")
            with contextlib.suppress(ConnectionResetError):
                equal(raw.recv(100), b"", "one that speaks nothing of the kind")
        equal(wait_for(lambda: (count := place.counted("edge.tls")) > 1 and count, "they are not counted"), 2, "refusals")
        check(not place.server.heard, "the server heard something")


def case_handshakes_that_are_not_finished_hold_up_nobody(folder):
    with Place(folder, auth='[auth]\nrequired = true\n[limits]\nheader_timeout = "2s"\n') as place:
        key = place.key("create", "ann", "--scope", "mcp", "--expires", "1h")
        slow = [socket.create_connection(place.gateway.address, timeout=PATIENCE) for _ in range(100)]
        for number, raw in enumerate(slow):
            raw.sendall(b"\x16\x03\x01\x02\x00"[:number % 6])
        begun = time.monotonic()
        equal(place.ask(key)[0], 200, "a good client")
        check(time.monotonic() - begun < 1.5, "it waits for others")
        for raw in slow:
            with contextlib.suppress(ConnectionResetError):
                equal(raw.recv(100), b"", "a handshake that has no end")
            raw.close()
        equal(wait_for(lambda: (count := place.counted("edge.tls")) >= 100 and count, "they are not counted"), 100, "refusals")


def case_who_is_first_to_come_takes_a_place_also_without_a_handshake(folder):
    with Place(folder, more="max_connections = 2\n", auth='[limits]\nheader_timeout = "1s"\n') as place:
        slow = [socket.create_connection(place.gateway.address, timeout=PATIENCE) for _ in range(2)]
        equal(place.ask()[0], 200, "the one that is idle for the longest makes room")
        equal(slow[0].recv(100), b"", "it did")
        equal(wait_for(lambda: place.counted("edge.connections"), "it is not counted"), 1, "connections that made room")
        with contextlib.suppress(ConnectionResetError):
            equal(slow[1].recv(100), b"", "a handshake that has no end")
        equal(wait_for(lambda: place.counted("edge.tls"), "it is not counted"), 1, "refusals")
        [raw.close() for raw in slow]


def case_no_flood_of_connections_keeps_a_good_client_out(folder):
    with Place(folder, more="max_connections = 16\n", auth="[auth]\nrequired = true\n") as place:
        key = place.key("create", "ann", "--scope", "mcp", "--expires", "1h")
        begin = lambda: socket.create_connection(place.gateway.address, PATIENCE, ("127.0.0.2", 0))  # noqa: E731
        flood = []
        for round in range(10):
            flood += [begin() for _ in range(20)]
            if round % 2:
                # Some of them are secure, and as silent.
                with contextlib.suppress(OSError):
                    flood.append(place.context().wrap_socket(begin(), server_hostname="localhost"))
            equal(place.ask(key)[0], 200, f"beside {len(flood)} silent connections")
        [raw.close() for raw in flood]
        # As many as there may be, on each of which something is under way: a body that does not come to its end.
        head = f"POST /mcp/files HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n" \
               "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        slow = []
        for _ in range(40):
            with contextlib.suppress(OSError):
                slow.append(place.context().wrap_socket(begin(), server_hostname="localhost"))
                slow[-1].sendall(head.encode())
        for _ in range(5):
            equal(place.ask(key)[0], 200, f"beside {len(slow)} that are slow")
        [raw.close() for raw in slow]
        # They are counted once a second.
        wait_for(lambda: place.counted("edge.connections") > 100, "those that made room")


def case_a_changed_certificate_is_in_force_without_a_restart_and_a_broken_one_is_not(folder):
    with Place(folder) as place:
        key = place.key("create", "ann", "--scope", "mcp", "--expires", "1h")
        lasting = http.client.HTTPSConnection("localhost", place.gateway.address[1], context=place.context(), timeout=PATIENCE)
        equal(place.ask(key, connection=lasting)[0], 200, "before")
        first = place.shown()
        place.show("chained", "good")
        wait_for(lambda: "degraded" in place.admin("/readyz"), "a pair that does not fit is not said")
        equal(place.shown(), first, "the one before is in force")
        wait_for(lambda: "is not that of the certificate" in place.gateway.said.read_text(), "the log does not say why")
        place.show("chained")
        second = wait_for(lambda: (now := place.shown()) != first and now, "the new one is not in force")
        wait_for(lambda: place.admin("/readyz") == "ready\n", "it is still degraded")
        equal(place.ask(key, connection=lasting)[0], 200, "a connection from before")
        changes = [entry["refused"] is None for entry in place.gateway.entries(kind="certificate.changed")]
        equal((changes.count(True), changes.count(False)), (2, 2), "what the log says, of both addresses")
        config = place.gateway.config.read_text()
        named = config.replace(f"{place.folder}/shown", f"{place.folder}/good")
        place.gateway.config.write_text(named.replace("good.key", "none.key"))
        wait_for(lambda: "degraded: the configuration file" in place.admin("/readyz"), "a key that is not there is not said")
        equal(place.shown(), second, "the one before is in force")
        place.gateway.config.write_text(named)
        place.gateway.process.send_signal(signal.SIGHUP)
        wait_for(lambda: place.shown() == first, "files of other names are not in force")
        check("takes effect when bartizan is started again" not in place.gateway.said.read_text(), "a restart is asked for")


def case_a_certificate_that_no_client_takes_is_said_and_takes_the_place_of_no_good_one(folder):
    with Place(folder) as place:
        first = place.shown()
        check('bartizan_certificate_days_left{table="listen"} 0\n' in place.admin("/metrics"), "the good one ends within a day")
        for name, said in (("expired", "expired on 20"), ("early", "is not good before 20")):
            place.show(name)
            wait_for(lambda: "degraded: a changed certificate" in place.admin("/readyz"), f"{name}: it is not said")
            equal(place.shown(), first, f"{name}: the one before is in force")
            wait_for(lambda: said in place.gateway.said.read_text(), f"{name}: the log does not say why")
            # As part of a configuration neither.
            config = place.gateway.config.read_text()
            place.gateway.config.write_text(config + "# anew\n")
            wait_for(lambda: "degraded: the configuration file" in place.admin("/readyz"), f"{name}: a reload takes it")
            equal(place.shown(), first, f"{name}: the one before is in force after a reload")
            place.show("chained" if name == "expired" else "good")
            first = wait_for(lambda: (now := place.shown()) != first and now, f"{name}: a good one is not in force")
            place.gateway.config.write_text(config)
            wait_for(lambda: place.admin("/readyz") == "ready\n", f"{name}: it is still degraded")
        config = place.gateway.config.read_text()
    for name, url, said in (("expired", None, "expired on 20"), ("early", None, "is not good before 20"), ("good", None, None),
                            ("good", "https://localhost", None), ("good", "https://mcp.example.com", "is not for mcp.example.com")):
        with tempfile.TemporaryDirectory() as home:
            file = pathlib.Path(home, "bartizan.toml")
            text = config.replace("/shown.", f"/{name}.").replace("[listen]\n", f"[listen]\npublic_url = '{url}'\n" if url else "[listen]\n")
            file.write_text(text)
            environment = place.gateway.environment | {"BARTIZAN_HOME": home}
            done = subprocess.run([BINARY, "config", "check", str(file)], capture_output=True, text=True, env=environment, timeout=60)
            equal(done.returncode, 0, done.stdout + done.stderr)
            equal(said is not None, "warning: [listen.tls]: " in done.stderr, f"{name} {url}: {done.stderr}")
            check((said or "") in done.stderr and (not said or str(folder / f"{name}.pem") in done.stderr), done.stderr)
            done = subprocess.run([BINARY, "config", "check", "--json", str(file)], capture_output=True, text=True, env=environment, timeout=60)
            problems = json.loads(done.stdout)["problems"]
            found = [one["severity"] for one in problems if one["message"].startswith("[listen.tls]")]
            equal(found, ["warning"] if said else [], f"{name} {url}: {problems}")
            with (pathlib.Path(home) / "said").open("w") as out:
                process = subprocess.Popen([BINARY, "serve", "--allow-unconfined", "--config", str(file)], stdout=out, stderr=out, env=environment)
            try:
                log = lambda: (pathlib.Path(home) / "said").read_text()  # noqa: E731
                wait_for(lambda: "serves MCP at" in log(), f"it does not start: {log()}")
                equal("[listen.tls]: " in log() and (said or "") in log(), said is not None, f"{name} {url}: {log()}")
            finally:
                process.terminate()
                process.wait(60)


def case_a_name_that_is_not_known_is_in_the_log(folder):
    with Place(folder) as place:
        connection = http.client.HTTPSConnection("localhost", place.gateway.address[1], context=place.context(), timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", "/mcp", headers={"Host": "mcp.example.com:8443"})
            equal(connection.getresponse().status, 403)
        entry = wait_for(lambda: next((one for one in place.gateway.entries(kind="edge.refused") if "hosts" in one), None), "no entry names it")
        equal(entry["hosts"], ["mcp.example.com:8443"])
        done = subprocess.run([BINARY, "why", entry["id"], "--config", str(place.gateway.config)], capture_output=True, text=True,
                              env=place.gateway.environment, timeout=60)
        check('it was "mcp.example.com:8443"' in done.stdout, done.stdout + done.stderr)


def case_a_broken_pair_is_said_at_the_start(folder):
    with Place(folder) as place:
        config = place.gateway.config.read_text()
    for certificate, key, expected in (("good", "chained", "is not that of the certificate"), ("none", "good", "cannot read"),
                                       ("good", "none", "cannot read")):
        with tempfile.TemporaryDirectory() as home:
            file = pathlib.Path(home, "bartizan.toml")
            file.write_text(config.replace("shown.pem", f"{certificate}.pem").replace("shown.key", f"{key}.key"))
            done = subprocess.run([BINARY, "serve", "--allow-unconfined", "--config", str(file)], capture_output=True, text=True,
                                  env=place.gateway.environment | {"BARTIZAN_HOME": home}, timeout=60)
            check(done.returncode != 0 and expected in done.stderr, f"{certificate} {key}: {done.returncode} {done.stderr}")
            check("PRIVATE" not in done.stderr, "the key is shown")


def case_a_key_of_another_certificate_is_found_by_a_check(folder):
    good, swapped = ({"certificate": str(folder / "good.pem"), "key": str(folder / f"{name}.key")} for name in ("good", "chained"))
    table = lambda pair: "{ " + ", ".join(f"{name} = {json.dumps(file)}" for name, file in pair.items()) + " }"  # noqa: E731
    for key in folder.glob("*.key"):
        key.chmod(0o600)
    places = (("listen", "[listen]\ntls = {}\n"), ("admin", "[admin]\naddress = '127.0.0.1:0'\ntls = {}\n"),
              ("server.files", "[server.files]\nurl = 'https://files.example/mcp'\ntls = {}\n"))
    for name, text in places:
        for pair, status in ((good, 0), (swapped, 2)):
            file = folder / "checked.toml"
            file.write_text(text.format(table(pair)))
            for more in ([], ["--json"]):
                done = subprocess.run([BINARY, "config", "check", str(file), *more], capture_output=True, text=True, timeout=60)
                equal(done.returncode, status, f"{name} {more}: {done.stdout}{done.stderr}")
                wrong = f"[{name}.tls]: the key in {folder}/chained.key is not that of the certificate in {folder}/good.pem"
                equal(wrong in done.stdout + done.stderr, status == 2, f"{name} {more}: {done.stdout}{done.stderr}")
                check("PRIVATE KEY" not in done.stdout + done.stderr, "the key itself")
                if more:
                    equal(json.loads(done.stdout)["ok"], status == 0)


def case_other_machines_may_come_in_with_keys_over_tls(folder):
    with Place(folder) as place:
        config = place.gateway.config.read_text().replace('[listen]\naddress = "127.0.0.1:0"', '[listen]\naddress = "0.0.0.0:0"')
        for text, status in ((config, 0), (config.replace("required = true", "required = false"), 2)):
            file = place.gateway.home / "other.toml"
            file.write_text(text)
            done = subprocess.run([place.gateway.process.args[0], "config", "check", str(file)], capture_output=True, text=True,
                                  env=place.gateway.environment, timeout=60)
            equal(done.returncode, status, done.stdout + done.stderr)


def clients(wanted, trusted="ours"):
    return f', client_ca = "{{folder}}/{trusted}.pem", client_certificate = "{wanted}"'


def refused(place, certificate, key=None):
    """Whether there is no connection with that certificate, or the status."""
    try:
        return place.ask(key, place.context(certificate=certificate))[0]
    except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected):
        return "no connection"


def case_a_certificate_says_who_it_is_and_a_wrong_one_opens_nothing(folder):
    for wanted, without in (("required", "no connection"), ("optional", 401)):
        with Place(folder, tls=clients(wanted).format(folder=folder)) as place:
            for certificate in ("ann", "ann_chained"):
                status, answer = place.ask(context=place.context(certificate=certificate))
                check(status == 200 and '"read"' in answer, f"{certificate}, {wanted}: {status} {answer}")
            wrong = ("ann_untrusted", "ann_alone", "ann_expired", "ann_early", "ann_server")
            for certificate in wrong:
                equal(refused(place, certificate), "no connection", f"{certificate}, {wanted}")
            for certificate in ("ann_two", "ann_none"):
                equal(refused(place, certificate), 401, f"{certificate}, {wanted}")
            equal(refused(place, None), without, f"none, {wanted}")
            handshakes = len(wrong) + (wanted == "required")
            equal(wait_for(lambda: (count := place.counted("edge.tls")) >= handshakes and count, "they are not counted"), handshakes,
                  "handshakes that are refused")
            # They may be of two seconds, each of which is counted by itself.
            equal(wait_for(lambda: (count := place.counted("edge.certificate")) >= 2 and count, "they are not counted"), 2,
                  "certificates that name nobody")
            equal({entry["principal"] for entry in place.gateway.entries(method="tools/list", direction="to_server")},
                  {"cert:spiffe://suite.example/ann"}, "the log")
            equal(refused(place, "ann"), 200, "a good one afterwards")


def case_who_it_is_is_the_name_that_is_asked_for(folder):
    for kind, name in (("san_dns", "ann.suite.example"), ("san_email", "ann@suite.example"), ("subject_cn", "Ann of the Suite")):
        auth = f'[auth]\nrequired = true\ncertificate.principal = "{kind}"\n'
        with Place(folder, tls=clients("optional").format(folder=folder), auth=auth) as place:
            equal(refused(place, "ann"), 200, kind)
            equal({entry["principal"] for entry in place.gateway.entries(method="tools/list", direction="to_server")}, {f"cert:{name}"}, kind)


def case_whoever_shows_a_certificate_and_a_key_is_who_both_say_or_nobody(folder):
    auth = KEYS + 'certificate.principal = "san_email"\n'
    with Place(folder, tls=clients("optional").format(folder=folder), auth=auth) as place:
        other = place.key("create", "ann", "--scope", "mcp", "--expires", "1h")
        same = place.key("create", "cert:ann@suite.example", "--scope", "tool:files/read", "--expires", "1h")
        equal(refused(place, None, other), 200, "a key alone")
        equal(refused(place, "ann", other), 401, "another principal's key")
        status, answer = place.ask(same, place.context(certificate="ann"))
        check(status == 200 and '"read"' in answer and '"write"' not in answer, f"the same one's, with less: {answer}")
        equal(refused(place, "ann", "btz_none"), 401, "a key that is none")
        place.key("revoke", id_of(same))
        equal(refused(place, "ann", same), 401, "a revoked one")
        equal(refused(place, "ann"), 200, "the certificate alone")


def case_a_session_belongs_to_the_certificate_that_began_it(folder):
    with Place(folder, tls=clients("required").format(folder=folder)) as place:
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "suite", "version": "1"}}

        def post(certificate, method, session=None, params=None):
            connection = http.client.HTTPSConnection("localhost", place.gateway.address[1], timeout=PATIENCE,
                                                     context=place.context(certificate=certificate))
            headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}})
            with contextlib.closing(connection):
                connection.request("POST", "/mcp/files", body, headers | ({"Mcp-Session-Id": session} if session else {}))
                response = connection.getresponse()
                response.read()
                return response.status, response.headers.get("Mcp-Session-Id")
        status, session = post("ann", "initialize", params=hello)
        equal((status, bool(session)), (200, True), "the beginning")
        equal([post(certificate, "tools/list", session)[0] for certificate in ("ann", "bob", "ann_chained")], [200, 404, 200], "who has it")


def case_a_connection_is_good_until_its_certificate_ends(folder):
    subprocess.run([str(PYTHON), str(HERE.parent / "tls" / "certificates.py"), str(folder)], check=True, timeout=60)
    with Place(folder, tls=clients("required").format(folder=folder)) as place:
        connection = http.client.HTTPSConnection("localhost", place.gateway.address[1], timeout=PATIENCE,
                                                 context=place.context(certificate="ann_short"))
        equal(place.ask(connection=connection)[0], 200, "before")
        wait_for(lambda: place.ask(connection=connection)[0] == 401, "it is still good")
        wait_for(lambda: refused(place, "ann_short") == "no connection", "a new connection")
        equal(refused(place, "ann"), 200, "another one")


def case_other_authorities_are_in_force_without_a_restart(folder):
    shutil.copy(folder / "ours.pem", folder / "ca.pem")
    with Place(folder, tls=clients("required", "ca").format(folder=folder)) as place:
        equal((refused(place, "ann"), refused(place, "ann_untrusted")), (200, "no connection"), "before")
        (folder / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        wait_for(lambda: "degraded" in place.admin("/readyz"), "a broken file is not said")
        equal((refused(place, "ann"), refused(place, "ann_untrusted")), (200, "no connection"), "those before stay")
        shutil.copy(folder / "theirs.pem", folder / "ca.pem")
        wait_for(lambda: refused(place, "ann_untrusted") == 200, "the new one is not in force")
        equal(refused(place, "ann"), "no connection", "the old one")


def case_metrics_can_be_for_certificates_only(folder):
    with Place(folder, auth="", admin=clients("required").format(folder=folder)) as place:
        check("bartizan_" in place.admin("/metrics", place.context(certificate="ann")), "with one")
        for certificate in (None, "ann_untrusted", "ann_server"):
            try:
                place.admin("/metrics", place.context(certificate=certificate))
                raise AssertionError(f"{certificate} sees metrics")
            except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected):
                pass
        equal(place.ask()[0], 200, "the other address asks for none")


def case_the_official_client_comes_in_over_https_with_a_key_or_a_certificate(folder):
    script = """
import ssl, sys
import anyio, httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
async def main():
    url, key, mode, trusted, *certificate = sys.argv[1:]
    context = ssl.create_default_context(cafile=trusted)
    if certificate:
        context.load_cert_chain(*certificate)
    headers = {"Authorization": "Bearer " + key} if key else {}
    async with httpx2.AsyncClient(headers=headers, verify=context) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            print([tool.name for tool in (await client.list_tools()).tools])
            print((await client.call_tool("files__read", {})).content[0].text)
anyio.run(main)
"""
    with Place(folder, tls=clients("optional").format(folder=folder)) as place:
        key = place.key("create", "ann", "--scope", "mcp", "--expires", "1h")
        url = f"https://localhost:{place.gateway.address[1]}/mcp"
        for mode, shown, trusted, certificate, expected in (
                ("auto", key, "ours", None, True), ("legacy", key, "ours", None, True), ("2026-07-28", key, "ours", None, True),
                ("auto", key, "theirs", None, False), ("auto", "btz_none", "ours", None, False),
                ("auto", "", "ours", "ann", True), ("auto", "", "ours", "ann_untrusted", False), ("auto", "", "ours", None, False)):
            files = [str(folder / f"{certificate}.{end}") for end in ("pem", "key")] if certificate else []
            done = subprocess.run([str(PYTHON), "-c", script, url, shown, mode, str(folder / f"{trusted}.pem"), *files],
                                  capture_output=True, text=True, timeout=120)
            wanted = ["['files__read', 'files__write']", "did read"] if expected else []
            equal(done.stdout.splitlines(), wanted, f"{mode} {trusted} {certificate}: {done.stderr[-800:]}")
        place.key("revoke", id_of(key))


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bartizan-edge-tls-") as folder:
        subprocess.run([str(PYTHON), str(HERE.parent / "tls" / "certificates.py"), folder], check=True, timeout=60)
        return run_cases(cases_of(globals()), pathlib.Path(folder))


if __name__ == "__main__":
    sys.exit(main())
