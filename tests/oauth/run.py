#!/usr/bin/env python3
"""Who comes in with a token: real ones of a real identity provider, and all that could be shown instead.

`run.py NAME…` runs the cases whose names contain NAME.
"""

import concurrent.futures
import importlib.util
import json
import os
import pathlib
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "aggregate")]

from harness import BINARY, MODERN, TOOLS, Raw, cases_of, check, equal, run_cases, wait_for  # noqa: E402
from provider import Provider  # noqa: E402
from signing_in import request  # noqa: E402
import crowd  # noqa: E402
import exchanging  # noqa: E402

spec = importlib.util.spec_from_file_location("access_suite", HERE.parent / "access" / "run.py")
access = importlib.util.module_from_spec(spec)
spec.loader.exec_module(access)

ERAS = ("2025-11-25", MODERN)
REQUIRED = access.REQUIRED
METADATA = "/.well-known/oauth-protected-resource"
ALGORITHMS = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519"
INVALID = 'error="invalid_token", error_description="not known, expired or revoked"'


class Client(Raw):
    """A client that shows a token with everything."""

    def __init__(self, place, token, *arguments, **more):
        self.token = token
        super().__init__(place.gateway, *arguments, **more)

    def raw(self, *arguments):
        connection, response = super().raw(*arguments)
        self.challenge = response.headers.get("WWW-Authenticate")
        return connection, response

    def headers(self, message):
        return super().headers(message) | {"Authorization": f"Bearer {self.token}"}


class Place(access.Place):
    """Two servers, a gateway in front of them, and a provider whose tokens it takes."""

    def __init__(self, provider, table="", more=REQUIRED):
        self.provider = provider
        super().__init__(f'{more}[auth.oauth.corp]\nissuer = "{provider.issuer}"\n{table}\n')
        self.public = "http://{}:{}".format(*self.gateway.address)
        self.mcp = self.public + "/mcp"

    def challenge(self, path="/mcp", scope="mcp", error=""):
        error = f", {error}" if error else ""
        return f'Bearer realm="bartizan"{error}, scope="{scope}", resource_metadata="{self.public}{METADATA}{path}"'

    def shows(self, token, path="/mcp", headers=None, scheme="Bearer", **more):
        """Status and challenge of a first request."""
        shown = {"Authorization": f"{scheme} {token}"} if token else {}
        status, said = self.status(None, path, headers=shown | (headers or {}), **more)
        return status, said.get("WWW-Authenticate")

    def heard(self):
        return json.dumps([headers for server in self.servers.values() for _, headers in server.heard])


def case_clients_are_told_where_to_sign_in_and_not_which_servers_there_are():
    with Provider() as provider, Place(provider) as place:
        for path, scope in (("/mcp", "mcp"), ("/mcp/files", "server:files"), ("/mcp/none", "server:none")):
            for method in ("POST", "GET", "DELETE"):
                equal(place.shows(None, path, method=method), (401, place.challenge(path, scope)), f"{method} {path}")
            for where in [METADATA + path] + ([METADATA] if path == "/mcp" else []):
                status, headers, body = request(place.public + where)
                equal((status, headers["Content-Type"]), (200, "application/json"), where)
                equal(json.loads(body), {
                    "resource": place.public + path, "authorization_servers": [provider.issuer], "scopes_supported": [scope],
                    "bearer_methods_supported": ["header"], "dpop_signing_alg_values_supported": ALGORITHMS.split(),
                    "dpop_bound_access_tokens_required": False}, where)
        equal(place.shows(None, "/elsewhere"), (401, place.challenge()), "a path where nothing is")
        for path in ("/mcp/", "/mcp/UP", "/mcp/a/b", "/elsewhere", "x"):
            equal(request(place.public + METADATA + path)[0], 401, f"metadata of {path}")
        equal(request(place.public + METADATA, "POST", data="{}")[0], 405, "to be read only")
        page = {"Origin": "http://localhost:6274"}
        status, headers, _ = request(place.public + METADATA, headers=page)
        equal((status, headers["Access-Control-Allow-Origin"]), (200, page["Origin"]), "a page that is allowed")
        equal(request(place.public + METADATA, headers={"Origin": "https://evil.example"})[0], 403, "another page")
        equal(request(place.public + METADATA, headers={"Host": "evil.example"})[0], 403, "another host")


def case_what_the_code_flow_gives_lets_in_and_so_does_what_it_is_renewed_by():
    with Provider() as provider, Place(provider) as place:
        tokens = provider.code_flow(place.mcp)
        for token in (tokens["access_token"], provider.refresh(tokens, place.mcp)["access_token"]):
            for version in ERAS:
                with Client(place, token, "/mcp", version) as client:
                    check("files__read" in client.tools(), "the tools")
                    equal(client.text("git__read"), "did read", "a call")
        check("access.shown" in json.dumps(place.gateway.entries(kind="access.shown")), "it is recorded")
        check('"corp:ann"' in json.dumps(place.gateway.entries(kind="access.shown")), "whose it is")
        recorded = json.dumps(place.gateway.entries())
        for token in (tokens["access_token"], tokens["refresh_token"]):
            check(token not in place.heard() and token not in recorded, "a token went on")
        check("uthorization" not in place.heard(), "nothing was shown to the servers")
        equal(provider.suite("counts")["jwks"], 1, "keys were fetched")


def case_what_is_no_good_token_is_refused():
    with Provider() as provider, Place(provider) as place, Provider() as other:
        now = int(time.time())
        forged = lambda header=None, claims=None, **more: provider.forged(place.mcp, header, claims, **more)  # noqa: E731
        equal(place.shows(forged())[0], 200, "the twin that is good")
        rsa = f"rsa-{provider.round()}"
        equal(place.shows(forged({"alg": "RS256", "kid": rsa}, signer=rsa))[0], 200, "with the other key")
        good = forged()
        for name, token in {
            "for another resource": forged(claims={"aud": place.mcp + "/files"}),
            "for another service": forged(claims={"aud": "https://other.example"}),
            "for nothing": forged(claims={"aud": None}),
            "of another issuer": other.of_client(place.mcp),
            "of another issuer that says it is this one": other.forged(place.mcp, {"kid": f"ec-{other.round()}"}, {"iss": provider.issuer}),
            "of this issuer that says it is another": forged(claims={"iss": other.issuer}),
            "of an issuer with a slash": forged(claims={"iss": provider.issuer + "/"}),
            "expired": forged(claims={"iat": now - 400, "exp": now - 61}),
            "not yet valid": forged(claims={"nbf": now + 120}),
            "issued later": forged(claims={"iat": now + 120}),
            "without an end": forged(claims={"exp": None}),
            "signed by the public key": forged({"alg": "HS256"}),
            "signed by the public key of RSA": forged({"alg": "HS256", "kid": rsa}, signer=rsa),
            "not signed": forged({"alg": "none"}),
            "of an unknown key": forged({"kid": "nobodys"}),
            "of the wrong key": forged({"alg": "RS256"}, signer=rsa),
            "with a key of its own": forged({"jwk": True}, other="mine"),
            "with an address of keys": forged({"jku": "http://127.0.0.1:9/jwks"}),
            "that wants to be understood": forged({"crit": ["exp"]}),
            "for signing in": forged({"typ": "JWT"}),
            "a proof": forged({"typ": "dpop+jwt"}),
            "changed": good[:-4] + ("AAAA" if not good.endswith("AAAA") else "BBBB"),
            "cut off": good.rsplit(".", 1)[0],
            "opaque, where nobody is asked": "b3BhcXVl",
            "bound to a certificate": forged(claims={"cnf": {"x5t#S256": "A"}}),
            "too long": good + "A" * 17_000,
        }.items():
            equal(place.shows(token), (401, place.challenge(error=INVALID)), name)
        for _ in range(12):
            equal(place.shows(forged(claims={"exp": now - 61}))[0], 401, "no address is locked out")
        for headers in ({"Authorization": f"Bearer {good}, Bearer {good}"}, {"Authorization": f"Basic {good}"}):
            equal(place.status(None, headers=headers)[0], 401, f"{list(headers)}")
        query = 'error="invalid_request", error_description="a token belongs into the header Authorization"'
        for path in (f"/mcp?access_token={good}", f"/mcp?a=b&access%5Ftoken={good}"):
            equal(place.shows(None, path), (400, place.challenge(error=query)), "in the address")
            equal(place.shows(good, path)[0], 400, "in the address as well")
        check(not any(server.calls() for server in place.servers.values()), "nothing was called")


def case_the_log_says_what_a_token_brought_and_the_operator_hears_of_claims_that_it_lacks():
    table = 'claims = { roles = "roles", groups = ["realm", "groups"], tenant = "tid" }'
    with Provider() as provider, Place(provider, table) as place:
        claims = {"tid": "t1", "roles": ["writer", "reader"], "realm": {"groups": "staff"}}
        with Client(place, provider.forged(place.mcp, claims=claims)) as client:
            equal(client.text("git__read"), "did read", "a call")
        brought = lambda entry: [entry[name] for name in ("roles", "groups", "tenant", "left_out")]  # noqa: E731
        [entry] = place.gateway.entries(kind="access.shown")
        equal(brought(entry), [["reader", "writer"], ["staff"], "t1", 0], "what it brought")
        call = place.gateway.entries(method="tools/call")[0]
        words = subprocess.run([BINARY, "why", call["id"], "--config", str(place.gateway.config)], env=place.gateway.environment,
                               capture_output=True, text=True, timeout=60).stdout
        check("Judged with: roles reader writer, groups staff, tenant t1" in words, words)
        check("edge.token_claims" not in place.gateway.said.read_text(), "nothing is wrong with that one")
        for wrong in ({"roles": None}, {"realm": {"groups": 7}}, {"roles": None}, {"realm": None}):
            equal(place.shows(provider.forged(place.mcp, claims=claims | wrong))[0], 200, f"{wrong}")
        said = [line for line in place.gateway.said.read_text().splitlines() if 'reason="edge.token_claims"' in line]
        equal(len(said), 2, f"once of each claim: {said}")
        check("the claim `roles` is missing in a token of `corp`" in said[0], said[0])
        check("the claim `realm.groups` is no list of texts in a token of `corp`" in said[1], said[1])
    with Provider() as provider, Place(provider) as place:
        equal(place.shows(provider.forged(place.mcp))[0], 200, "a token")
        check("edge.token_claims" not in place.gateway.said.read_text(), "where nothing looks for them")


def case_the_operator_is_told_why_a_token_is_refused_and_nobody_else():
    with Provider() as provider, Place(provider, 'claims = { tenant = "tid" }') as place:
        now = int(time.time())
        forged = lambda header=None, claims=None: provider.forged(place.mcp, header, {"tid": "t1"} | (claims or {}))  # noqa: E731
        shown, decisions = [forged()], []
        equal(place.shows(shown[0])[0], 200, "the twin that is good")
        for reason, header, claims, words in (
            ("audience", None, {"aud": "https://other.example"}, ['issuer="corp"', "other.example", f'expected="{place.mcp}"']),
            ("issuer", None, {"iss": provider.issuer + "/"}, ['issuer="none"', f'{provider.issuer}/', f'expected="{provider.issuer}"']),
            ("type", {"typ": "JWT"}, None, ["`typ` in its header", "at+jwt", "JWT"]),
            ("algorithm", {"alg": "HS256"}, None, ['issuer="corp"', "HS256"]),
            ("key", {"kid": 'nobodys" from=192.0.2.1 decision=x\n WARN "'}, None, ["kid", "nobodys", "192.0.2.1"]),
            ("header", {"crit": ["exp"]}, None, ["`crit` in its header"]),
            ("expired", None, {"iat": now - 400, "exp": now - 61}, ["it has expired", f"exp={now - 61} (20", " s ago)"]),
            ("early", None, {"nbf": now + 120}, ["it is not good yet", f"nbf={now + 120}"]),
            ("claim", None, {"client_id": None}, ["its claim `client_id` is missing"]),
            ("principal", None, {"tid": None}, ["the claim `tid`", "the tenant"]),
            ("binding", None, {"cnf": {"x5t#S256": "A"}}, ["cnf", "x5t#S256"]),
        ):
            token = forged(header, claims)
            shown.append(token)
            status, headers = place.status(token)
            equal((status, headers["WWW-Authenticate"]), (401, place.challenge(error=INVALID)), reason)
            said = place.gateway.said.read_text()
            [line] = [line for line in said.splitlines() if f'reason="edge.token_{reason}"' in line]
            check(all(word in line for word in ["WARN"] + words), f"{reason}: {line}")
            # What the token says stays in quotes.
            bare = re.sub(r'"(\\.|[^"\\])*"', '""', line)
            equal(re.findall(r" from=(\S+)", bare), ["127.0.0.1"], f"whose it is: {line}")
            decisions += re.findall(r" decision=(\S+)", bare)
            check(f'bartizan_refusals_total{{reason="edge.token_{reason}"}} 1' in place.gateway.metrics(), place.gateway.metrics())
        # The same again and again is said once.
        for _ in range(20):
            equal(place.shows(forged(claims={"aud": "https://other.example"}))[0], 401, "again")
        equal(place.gateway.said.read_text().count('reason="edge.token_audience"'), 1, "once in a while")
        counts = lambda: {one["rule"] for entry in place.gateway.entries(kind="edge.refused") for one in entry["reasons"]}  # noqa: E731
        wait_for(lambda: {"edge.token_audience", "edge.token_binding"} <= counts(), "the log has the reasons")
        entry = place.gateway.entries(kind="edge.refused")[0]
        done = subprocess.run([BINARY, "why", entry["id"], "--config", str(place.gateway.config)], env=place.gateway.environment,
                              capture_output=True, text=True, timeout=60)
        wait_for(lambda: set(decisions) <= {entry["id"] for entry in place.gateway.entries(kind="edge.refused")}, "by their ids")
        check("edge.token_audience: a token is for another resource" in done.stdout and "`audience` under" in done.stdout, done.stdout)
        # Nobody else learns any of it, and nobody what is secret.
        body = request(place.mcp, "POST", data="{}", headers={"Authorization": f"Bearer {shown[1]}"})[2]
        check("edge.credential" in body and "edge.token" not in body and "audience" not in body, body)
        said = place.gateway.said.read_text() + json.dumps(place.gateway.entries()) + place.gateway.metrics()
        for token in shown:
            check(not any(part in said for part in token.split(".") if len(part) > 20), "a token, or a piece of one")
        check('"ann"' not in place.gateway.said.read_text(), "whose it is")
    with Provider() as provider, Place(provider) as place:
        provider.suite("down", down=True)
        status, headers = place.status(provider.signed(place.mcp))
        equal((status, headers["WWW-Authenticate"], headers["Retry-After"]), (503, None, "5"), "nobody can be asked")
        said = place.gateway.said.read_text()
        check('reason="edge.token_unknown"' in said and 'issuer="corp"' in said and "does not give them out" in said, said)
        check('bartizan_refusals_total{reason="edge.token_unknown"} 1' in place.gateway.metrics(), place.gateway.metrics())


def case_a_key_still_is_good_and_without_issuers_all_is_as_it_was():
    with Provider() as provider, Place(provider) as place:
        key = place.made("mcp")
        equal(place.status(key)[0], 200, "a key")
        equal(place.shows("btz_nonsense")[0], 401, "none")
    with Provider() as provider, Place(provider, more="") as place:
        equal(place.shows(None)[0], 200, "nothing is asked for")
        equal(place.shows("nonsense"), (401, place.challenge(error=INVALID)), "what is shown has to be good all the same")


def case_keys_that_change_are_fetched_and_unknown_ones_do_not_ask_for_it_each_time():
    with Provider() as provider, Place(provider) as place:
        old = provider.of_client(place.mcp)
        equal(place.shows(old)[0], 200, "the first key")
        provider.suite("rotate")
        equal(place.shows(provider.of_client(place.mcp))[0], 200, "the next one, at once")
        equal(place.shows(old)[0], 401, "what the first one has signed, once it is known to be gone")
        before = provider.suite("counts")["jwks"]
        for number in range(200):
            equal(place.shows(provider.forged_as(place.mcp, f"nobodys-{number}"))[0], 401, "an unknown key")
        check(provider.suite("counts")["jwks"] - before <= 1, f"{provider.suite('counts')}")


def case_a_provider_that_is_down_lets_nobody_in_whom_its_last_keys_do_not():
    table = 'keys_refresh = "1s"\nkeys_keep = "6s"'
    with Provider() as provider:
        provider.suite("down", down=True)
        with Place(provider, table) as place:
            provider.suite("down", down=False)
            token = provider.of_client(place.mcp)
            provider.suite("down", down=True)
            equal(place.shows(token), (503, None), "before there were keys")
            provider.suite("down", down=False)
            wait_for(lambda: place.shows(token)[0] == 200, "it stays away after the provider came back")
            time.sleep(1.1)
            provider.suite("down", down=True)
            began = time.monotonic()
            for _ in range(3):
                equal(place.shows(token)[0], 200, "with the last keys")
                equal(place.shows(provider.signed(place.mcp))[0], 200, "another one with the last keys")
            wait_for(lambda: place.shows(token)[0] == 503, "keys are good for ever")
            check(time.monotonic() - began > 3, "they were good for less long than they should be")
            equal(place.shows(provider.signed(place.mcp)), (503, None), "a new one")
            equal(place.shows(place.made("mcp"), scheme="Bearer")[0], 200, "keys of our own are good all the same")
            provider.suite("down", down=False)
            wait_for(lambda: place.shows(token)[0] == 200, "it stays away after the provider came back")


def case_an_opaque_token_is_good_until_it_is_revoked():
    def table(provider):
        return (f'introspection = {{ url = "{provider.issuer}/token/introspection", client_id = "gateway", '
                'client_secret = "file:secret.txt", cache = "1s" }')
    with Provider() as provider:
        place = Place.__new__(Place)
        (secret := pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"secret-{os.getpid()}.txt").write_text("hush hush\n")
        secret.chmod(0o600)
        place.__init__(provider, table(provider).replace("secret.txt", str(secret)))
        with place:
            token = provider.code_flow(place.mcp, client="opaque")["access_token"]
            check("." not in token, "it is opaque")
            for _ in range(5):
                equal(place.shows(token)[0], 200, "before")
            check(provider.suite("counts")["introspection"] <= 2, "it is not asked each time")
            wrong = provider.code_flow(place.public + "/mcp/files", client="opaque")["access_token"]
            equal(place.shows(wrong), (401, place.challenge(error=INVALID)), "for another resource")
            equal(place.shows(wrong, "/mcp/files")[0], 200, "and there it is good")
            with Client(place, token) as client:
                check(client.tools(), "a session")
                status, _ = provider.post("/token/revocation", {"token": token, "client_id": "opaque", "client_secret": "secret"})
                equal(status, 200, "it is revoked")
                wait_for(lambda: place.shows(token) == (401, place.challenge(error=INVALID)), "it is good still", 5)
                client.request("tools/list")
                equal(client.status, 401, "in the session as well")
            before = provider.suite("counts")["introspection"]
            for _ in range(20):
                equal(place.shows("b3BhcXVl")[0], 401, "of nobody")
            check(provider.suite("counts")["introspection"] - before <= 5, "bad ones are not asked each time")
            other = provider.code_flow(place.mcp, client="opaque")["access_token"]
            provider.suite("down", down=True)
            equal(place.shows(other), (503, None), "without an answer")
            check("hush hush" not in place.gateway.said.read_text() + json.dumps(place.gateway.entries()), "the secret")
            check(token not in place.heard(), "no token went on")
        secret.unlink()


class Slow(ThreadingHTTPServer):
    """An issuer that knows some tokens at once, and thinks about all others until it is released."""
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, *good, certificate=None):
        super().__init__(("127.0.0.1", 0), SlowHandler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.good, self.audience, self.released = set(good), None, threading.Event()
        self.issuer, self.asked = f"http{'s' if certificate else ''}://127.0.0.1:{self.server_port}", []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, *_):
        pass  # Whoever asked has gone.

    def __exit__(self, *reason):
        self.shutdown()
        super().__exit__(*reason)


class SlowHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        of, now = self.server, int(time.time())
        token = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["token"][0]
        of.asked.append(token)
        if token not in of.good:
            of.released.wait(60)
        known = {"active": True, "iss": of.issuer, "sub": "ann", "client_id": "app", "aud": of.audience, "scope": "mcp",
                 "iat": now, "exp": now + 600, "token_type": "Bearer"}
        body = json.dumps(known if token in of.good else {"active": False}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def case_whoever_shows_many_that_are_none_is_in_nobodys_way():
    with Slow("known", "new") as slow, tempfile.TemporaryDirectory() as folder:
        secret = pathlib.Path(folder, "secret")
        secret.touch(0o600)
        secret.write_text("hush hush\n")
        with Place(slow, f'introspection = {{ url = "{slow.issuer}/", client_id = "gateway", '
                         f'client_secret = "file:{secret}", cache = "1s" }}') as place:
            slow.audience = place.mcp
            equal(place.shows("known")[0], 200, "before")
            with concurrent.futures.ThreadPoolExecutor(200) as pool:
                bad = [pool.submit(place.status, None, headers={"Authorization": f"Bearer bad-{n}"}, source="127.0.0.2") for n in range(200)]
                wait_for(lambda: len(slow.asked) >= 5, "nobody is asked")
                for name, token in [("one that is new", "new"), ("one that was good", "known")]:
                    for source in ("127.0.0.3", None):
                        # Once what was said of it counts no more.
                        time.sleep(1.1)
                        equal(place.shows(token, source=source)[0], 200, f"{name}, from {source}")
                time.sleep(1.1)
                equal(place.shows("known", source="127.0.0.2")[0], 200, "one that was good, from where the flood is")
                check(len([token for token in slow.asked if token.startswith("bad")]) < 32, "one address has all turns")
                # Whoever has waited for too long behind others of their address is told when to come again, before anybody else is.
                wait_for(lambda: any(one.done() for one in bad), "nobody of the flood is told that it is too many")
                told = {(status, headers.get("Retry-After")) for status, headers in (one.result() for one in bad if one.done())}
                equal(told, {(503, "5")}, "what the flood is told")
                equal(place.shows("new", source="127.0.0.3")[0], 200, "a good one meanwhile")
                slow.released.set()
                told = {(status, headers.get("Retry-After")) for status, headers in (one.result() for one in bad)}
            check(told <= {(401, None), (503, "5")} and (401, None) in told, f"the bad ones got {told}")


def case_an_issuer_is_who_its_authority_says_and_nobody_else():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        subprocess.run([TOOLS / "python" / "bin" / "python", HERE.parent / "tls" / "certificates.py", folder], check=True, timeout=60)
        (secret := folder / "secret").touch(0o600)
        secret.write_text("hush hush\n")
        for certificate, authority, status in (("good", "ours", 200), ("chained", "ours", 200), ("untrusted", "ours", 503),
                                               ("expired", "ours", 503), ("elsewhere", "ours", 503), ("good", None, 503)):
            with Slow("known", certificate=folder / f"{certificate}.pem") as issuer:
                ca = f'ca = "{folder / authority}.pem"\n' if authority else ""
                table = (f'{ca}introspection = {{ url = "{issuer.issuer}/", client_id = "gateway", '
                         f'client_secret = "file:{secret}", cache = "1s" }}')
                with Place(issuer, table) as place:
                    issuer.audience = place.mcp
                    equal(place.shows("known")[0], status, f"{certificate}, by {authority}")
                    equal(len(issuer.asked), int(status == 200), "whom a token was shown to")
        # Another authority in the same file is in force by itself.
        (changing := folder / "changing.pem").write_bytes((folder / "theirs.pem").read_bytes())
        with Slow("known", certificate=folder / "good.pem") as issuer:
            table = (f'ca = "{changing}"\nintrospection = {{ url = "{issuer.issuer}/", client_id = "gateway", '
                     f'client_secret = "file:{secret}", cache = "1s" }}')
            with Place(issuer, table) as place:
                issuer.audience = place.mcp
                equal(place.shows("known")[0], 503, "by somebody else")
                changing.write_bytes((folder / "ours.pem").read_bytes())
                wait_for(lambda: place.shows("known")[0] == 200, "a changed file is not in force")


def case_a_token_that_is_bound_to_a_key_is_good_with_a_proof_only():
    bad = 'DPoP realm="bartizan", error="invalid_dpop_proof", error_description="the proof is missing, not good, or was shown before"'
    with Provider() as provider, Place(provider) as place:
        where = provider.issuer + "/token"
        token = provider.of_client(place.mcp, headers={"DPoP": provider.proof("mine", "POST", where)})
        refused = f'{bad}, resource_metadata="{place.public}{METADATA}/mcp", algs="{ALGORITHMS}"'

        def shows(proof, scheme="DPoP", **more):
            return place.shows(token, scheme=scheme, headers={"DPoP": proof} if proof else {}, **more)
        good = provider.proof("mine", "POST", place.mcp, token)
        equal(shows(good)[0], 200, "with a proof")
        now = int(time.time())
        for name, proof in {
            "a second time": good,
            "no proof": None,
            "of another key": provider.proof("theirs", "POST", place.mcp, token),
            "of another method": provider.proof("mine", "GET", place.mcp, token),
            "of another address": provider.proof("mine", "POST", place.mcp + "/files", token),
            "of another token": provider.proof("mine", "POST", place.mcp, token + "x"),
            "of no token": provider.proof("mine", "POST", place.mcp),
            "old": provider.proof("mine", "POST", place.mcp, token, iat=now - 120),
            "of later": provider.proof("mine", "POST", place.mcp, token, iat=now + 120),
            "none at all": "nonsense",
            "the token itself": token,
        }.items():
            equal(shows(proof), (401, refused), name)
        equal(shows(provider.proof("mine", "POST", place.mcp, token), "Bearer"), (401, place.challenge(error=INVALID)), "as Bearer")
        free = provider.of_client(place.mcp)
        equal(place.shows(free)[0], 200, "one that is not bound")
        equal(place.shows(free, scheme="DPoP", headers={"DPoP": provider.proof("mine", "POST", place.mcp, free)})[0], 401,
              "one that is not bound, as if it were")
    with Provider() as provider, Place(provider, 'dpop = "required"\ndpop_nonce = true') as place:
        token = provider.of_client(place.mcp, headers={"DPoP": provider.proof("mine", "POST", provider.issuer + "/token")})
        dpop = place.challenge().replace("Bearer", "DPoP") + f', algs="{ALGORITHMS}"'
        equal(place.shows(None), (401, dpop), "what is asked for")
        equal(json.loads(request(place.public + METADATA)[2])["dpop_bound_access_tokens_required"], True, "metadata")
        equal(place.shows(provider.of_client(place.mcp))[0], 401, "one that is not bound")
        show = lambda proof: place.status(None, headers={"Authorization": f"DPoP {token}", "DPoP": proof})  # noqa: E731
        status, headers = show(provider.proof("mine", "POST", place.mcp, token))
        equal(status, 401, "without a nonce")
        check('error="use_dpop_nonce"' in headers["WWW-Authenticate"] and headers["DPoP-Nonce"], f"{headers}")
        equal(show(provider.proof("mine", "POST", place.mcp, token, nonce=headers["DPoP-Nonce"]))[0], 200, "with it")
        equal(show(provider.proof("mine", "POST", place.mcp, token, nonce="another"))[0], 401, "with another")


def case_a_token_is_good_for_its_scopes_and_a_client_is_told_what_to_ask_for():
    table = 'scopes = { "read:files" = ["tool:files/read", "resource:files/*"] }'
    with Provider() as provider, Place(provider, table) as place:
        token = provider.code_flow(place.mcp, "read:files")["access_token"]

        def needs(scopes):
            return place.challenge(scope=scopes, error='error="insufficient_scope", error_description="the token is not good for this"')
        for version in ERAS:
            with Client(place, token, "/mcp", version) as client:
                equal(client.tools(), ["files__read"], "what is listed")
                equal(client.text("files__read"), "did read", "what it is good for")
                for tool, more in (("files__write", "tool:files/write"), ("git__read", "tool:git/read")):
                    client.request("tools/call", {"name": tool, "arguments": {}})
                    wanted = needs(f"read:files {more}")
                    equal((client.status, client.challenge), (403, wanted), f"{tool} of {version}")
        files = provider.forged(place.mcp + "/files", claims={"scope": "tool:files/read", "aud": place.mcp + "/files"})
        git = provider.forged(place.mcp + "/git", claims={"scope": "tool:files/read", "aud": place.mcp + "/git"})
        equal(place.shows(files, "/mcp/files")[0], 200, "its server")
        wanted = f'Bearer realm="bartizan", error="insufficient_scope", error_description="the token is not good for this", ' \
                 f'scope="read:files server:git", resource_metadata="{place.public}{METADATA}/mcp/git"'
        equal(place.shows(git, "/mcp/git"), (403, wanted), "another server")
        nothing = provider.forged(place.mcp, claims={"scope": "openid profile"})
        wanted = needs("mcp")
        equal(place.shows(nothing), (403, wanted), "no scope of any meaning")
        said = place.gateway.said.read_text()
        check('reason="edge.token_scope"' in said and "openid" in said and "default_scopes" in said and "tool:SERVER/TOOL" in said, said)
        equal(place.servers["git"].calls() + [name for name in place.servers["files"].calls() if name != "read"], [], "calls")
    with Provider() as provider, Place(provider, 'default_scopes = ["tool:git/read"]') as place:
        nothing = provider.forged(place.mcp, claims={"scope": "openid profile"})
        with Client(place, nothing) as client:
            equal(client.tools(), ["git__read"], "what such a token is good for by the configuration")
        check("edge.token_scope" not in place.gateway.said.read_text(), "which is nothing to say")


def case_what_claims_say_decides_and_nobody_is_taken_for_somebody_else():
    policy = '[role.writer]\nallow = ["tool:git/write"]\n[role.reader]\nallow = ["tool:files/read"]\nmembers = ["ann", "cert:ann"]\n' \
             '[group.staff]\nroles = ["reader"]\n'
    claims = 'claims = { groups = "groups", roles = ["realm", "roles"], tenant = "tid" }\n'
    for table, subject, tools in (
        (claims, "ann", ["files__read", "git__write"]),
        ("", "ann", []),
        ('names = "plain"\n', "ann", ["files__read"]),
        ('names = "plain"\n', "bob", []),
        ("", "cert:ann", []),
    ):
        with Provider() as provider, Place(provider, table, REQUIRED + policy) as place:
            said = {"sub": subject, "groups": ["staff"], "realm": {"roles": ["writer"]}, "tid": "acme"}
            with Client(place, provider.forged(place.mcp, claims=said)) as client:
                equal(sorted(client.tools()), tools, f"{table} {subject}")
    with Provider() as provider, Place(provider, 'names = "plain"\n') as place:
        for subject in ("cert:ann", "uid:0", "corp:ann", "anonymous", "a b", "a\nb"):
            equal(place.shows(provider.forged(place.mcp, claims={"sub": subject}))[0], 401, f"{subject!r} as a plain name")
    with Provider() as provider, Place(provider, 'names = "plain"\n') as place:
        token = lambda subject: provider.forged(place.mcp, claims={"sub": subject})  # noqa: E731
        equal(place.shows(token("Ann"))[0], 200, "nobody else is called so")
        place.key("create", "ann", "--scope", "mcp", "--expires", "1h")
        for subject, status in (("Ann", 401), ("ANN", 401), ("ann", 200), ("Bob", 200)):
            equal(place.shows(token(subject))[0], status, f"{subject} beside a key of ann")
        said = place.gateway.said.read_text()
        check('reason="edge.token_principal"' in said and "`Ann`, which differs from `ann` in the store only in case" in said, said)
    with Provider() as provider, Place(provider, claims) as place:
        equal(place.shows(provider.forged(place.mcp))[0], 401, "without its tenant")


def case_a_session_belongs_to_whose_token_began_it_and_its_streams_end_with_the_token():
    with Provider() as provider, Place(provider, 'leeway = "1s"') as place:
        now = int(time.time())
        ann, bob = (provider.forged(place.mcp, claims={"sub": name}) for name in ("ann", "bob"))
        short = provider.forged(place.mcp, claims={"exp": now + 4})
        with Client(place, ann) as client:
            check(client.tools(), "ann's session")
            client.token = bob
            client.request("tools/list")
            equal(client.status, 404, "it is nobody else's")
            client.token = ann
            check(client.tools(), "and still hers")
        with Client(place, short) as client:
            stream = client.listen()
            wait_for(stream.ended.is_set, "the stream goes on without a token", 20)
            check(time.time() >= now + 4, "it ended early")
            client.request("tools/list")
            equal(client.status, 401, "and so does the session")


def case_a_token_that_says_how_somebody_signed_in_may_be_proof_enough():
    acr = "urn:suite:two-factors"
    policies = 'permit(principal, action, resource);\n@id("proof") @challenge("step_up") @max_age("3s")\n' \
               'forbid(principal, action == Mcp::Action::"git/write", resource);\n'
    with tempfile.TemporaryDirectory(prefix="bartizan-oauth-") as folder, Provider() as provider:
        file = pathlib.Path(folder) / "policies.cedar"
        file.write_text(policies)
        more = f'{REQUIRED}[policy]\nfiles = [{json.dumps(str(file))}]\n[approval]\nstep_up = "challenge"\n'

        def tried(place, token):
            with Client(place, token) as client:
                client.tools()
                answer = client.ask("tools/call", {"name": "git__write", "arguments": {}})
                return client.status, client.challenge, not answer["result"].get("isError")

        with Place(provider, f'acr_values = ["{acr}"]', more) as place:
            browser = {}
            plain = provider.code_flow(place.mcp, cookies=browser)["access_token"]
            status, challenge, is_done = tried(place, plain)
            equal((status, is_done), (401, False), "a password is no second factor")
            for part in ('error="insufficient_user_authentication"', f'acr_values="{acr}"', 'max_age="3"'):
                check(part in challenge, challenge)
            # What the challenge asks for, with a browser that is signed in since a while.
            time.sleep(2)
            asked = {"acr_values": acr, "max_age": "1"}
            good = provider.code_flow(place.mcp, "openid mcp", cookies=browser, **asked)
            equal(tried(place, good["access_token"]), (200, None, True), "and what that gives is enough")
            time.sleep(4)
            renewed = provider.refresh(good, place.mcp)["access_token"]
            equal(tried(place, renewed)[0], 401, "a token that is renewed is of the same sign-in")
            now = int(time.time())
            for claims, status in (({"auth_time": now, "acr": acr}, 200), ({"auth_time": now, "amr": ["pwd", "otp"]}, 401),
                                   ({"auth_time": now, "acr": "urn:other"}, 401), ({"auth_time": now, "acr": [acr]}, 401),
                                   ({"acr": acr}, 401), ({"auth_time": now + 600, "acr": acr}, 401),
                                   ({"auth_time": now - 60, "acr": acr}, 401), ({"auth_time": "now", "acr": acr}, 401)):
                equal(tried(place, provider.forged(place.mcp, claims=claims))[0], status, f"{claims}")
        # Without words of the provider's own its methods say so, and nothing is asked for but the time.
        with Place(provider, "", more) as place:
            now = int(time.time())
            for methods, status in ((["pwd", "otp"], 200), (["mfa"], 200), (["pwd"], 401), (["sms"], 401), ([], 401)):
                found = tried(place, provider.forged(place.mcp, claims={"auth_time": now, "amr": methods, "acr": acr}))
                equal(found[0], status, f"{methods}")
                check(found[1] is None or "acr_values" not in found[1], found[1])


def case_an_issuer_that_is_taken_out_lets_nobody_in():
    with Provider() as provider, Place(provider) as place:
        token = provider.of_client(place.mcp)
        equal(place.shows(token)[0], 200, "before")
        text = place.gateway.config.read_text()
        place.gateway.config.write_text(re.sub(r"\[auth\.oauth\.corp\]\n.*\n", "", text))
        wait_for(lambda: place.gateway.entries(kind="config.reloaded"), "it is not read again")
        equal(place.shows(token), (401, 'Bearer realm="bartizan", error="invalid_token", '
                                        'error_description="not known, expired or revoked"'), "afterwards")
        place.gateway.config.write_text(text)
        wait_for(lambda: place.shows(token)[0] == 200, "it does not come back")


def official(place, program, *arguments):
    done = subprocess.run([*program, place.mcp, *arguments], capture_output=True, text=True, timeout=120, cwd=HERE)
    equal(done.stdout.splitlines()[-2:], ["['files__read', 'files__write', 'git__read', 'git__write']", "did read"], done.stderr[-1500:])


def case_the_official_python_client_signs_in_by_itself():
    with Provider() as provider, Place(provider) as place:
        for mode in ("auto", "legacy", MODERN):
            official(place, [str(TOOLS / "python" / "bin" / "python"), str(HERE / "client.py")], mode)


def case_the_official_typescript_client_signs_in_by_itself():
    with Provider() as provider, Place(provider) as place:
        official(place, [str(TOOLS / "bin" / "node"), str(HERE / "client.mjs")], str(TOOLS))


def case_forged_tokens_of_one_address_keep_no_new_ones_of_another_waiting():
    with tempfile.TemporaryDirectory(prefix="bartizan-crowd-") as folder, crowd.Authority(folder) as authority, Place(authority) as place:
        resource = f"{place.public}/mcp/files"
        good = [authority.good(resource, number) for number in range(crowd.NEW)]
        forged = authority.forged(resource)
        equal(place.shows(authority.good(resource, "first"), "/mcp/files")[0], 200, "a good one")
        equal(place.shows(next(forged), "/mcp/files")[0], 401, "a forged one")
        many = crowd.Crowd(place.gateway, forged)
        many.go_on(lambda: many.answered > crowd.CONNECTIONS, "the crowd is not answered")
        seen = crowd.new_ones(place.gateway, many, good)
        equal([status for status, _ in seen], [200] * crowd.NEW, "each good one is let in")
        # Each connection of the crowd has one that waits; whoever is no better than they are waits for all of them, and for more than once.
        before = statistics.median(count for _, count in seen)
        check(before < crowd.CONNECTIONS, f"of the crowd were answered before each good one: {seen}")
        # The crowd is refused for what it is, and nothing else: nobody guesses a token, so no address is locked out.
        many.go_on(lambda: many.answered > 4 * crowd.CONNECTIONS, "the crowd is answered no more")
        answers = [status for one in many.all for status in one.answers]
        equal(set(answers), {401}, "what becomes of the crowd")
        check(all('error="invalid_token"' in head and "retry-after" not in head for one in many.all for head in one.headers), "how it is told")
        many.close()
        # A good one from the address of the crowd, too.
        equal(place.shows(authority.good(resource, "last"), "/mcp/files")[0], 200, "a good one of that address")


if __name__ == "__main__":
    sys.exit(run_cases(cases_of(globals(), exchanging)))
