"""Released clients, which know an address and nothing else, and a browser whose person lets them in."""

import contextlib
import http.server
import json
import os
import ssl
import subprocess
import tempfile
import threading
import urllib.parse

from flow import CALLBACK, CLIENT, TOOLS, Documents, Site, check, equal, pathlib, wait_for
from harness import FIXTURE, PATIENCE
import auditlog

HERE = pathlib.Path(__file__).resolve().parent
PYTHON, NODE = TOOLS / "python/bin/python", TOOLS / "bin/node"
SERVERS = {"fix": {"command": [FIXTURE, "--stdio"]}}


class Person:
    """A browser that a client opens at an address: its person signs in, agrees, and what comes back is handed to the client."""

    def __init__(self, site):
        outer, self.pages = self, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                url = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["url"][0]
                body = json.dumps(outer.browse(url)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.site, self.browser = site, site.browser(signed_in=False)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/open"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def browse(self, url):
        check(url.startswith(self.site.origin + "/bartizan/oauth/authorize?"), url)
        page = self.browser.agree(url.removeprefix(self.site.origin))
        check(page.status == 303 and page.location.startswith(CALLBACK), f"{page.status} {page.location} {page.text}")
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page.location).query))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def commands(site, person, way):
    url = site.gateway.url
    for mode in ("legacy", "auto"):
        yield f"python {mode}", [PYTHON, HERE / "client.py", url, mode, person.url, way, CALLBACK]
    for kind in ("sdk", "client"):
        yield f"typescript {kind}", [NODE, HERE / "client.mjs", url, kind, TOOLS, person.url, way, CALLBACK]


def run(name, command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=4 * PATIENCE, cwd=HERE)
    equal(done.returncode, 0, f"{name}: {done.stdout[-1500:]} {done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def each_is_let_in(site, way, client):
    with Person(site) as person:
        for name, command in commands(site, person, way):
            said = run(name, command)
            equal((said["first"], said["second"]), ("This is a simple text response for testing.",) * 2, name)
            equal((said["opened"], said["renewed"]), (1, True), f"{name}: its person is asked once, its token renewed")
            check(client in said["client"], f"{name}: {said['client']}")
            equal(site.call(said["token"]).status, 200, name)
            wait_for(lambda: site.gateway.entries(kind="grant.refreshed"), f"{name}: what it renewed is recorded")
            site.grant("revoke", "--all")
            answer = site.call(said["token"])
            equal(answer.status, 401, f"{name}: what is revoked is refused at once")
            check("invalid_token" in answer.headers["WWW-Authenticate"], answer.headers["WWW-Authenticate"])


def case_released_clients_that_are_set_up():
    with Site(clients=CLIENT, servers=SERVERS) as site:
        each_is_let_in(site, "is=app", "app")


def case_released_clients_that_register():
    with Site(clients="", sign_in="client_registration = true\n", servers=SERVERS) as site:
        each_is_let_in(site, "registers", "dcr-")


def case_released_clients_that_have_a_document():
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        certificate, key = f"{folder}/here.pem", f"{folder}/here.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-addext", "basicConstraints=critical,CA:FALSE"],
                       check=True, capture_output=True)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        os.environ["SSL_CERT_FILE"] = certificate
        stack.callback(os.environ.pop, "SSL_CERT_FILE")
        web = stack.enter_context(Documents(tls))
        id = web.client()
        site = stack.enter_context(Site(clients="", sign_in='client_documents = "anywhere"\n', servers=SERVERS))
        each_is_let_in(site, "document=" + id, id)
        equal([path for path, _ in web.asked], ["/client.json"])


def case_a_token_is_for_its_person_and_place_while_both_are_good():
    from flow import Client
    with Site(servers=SERVERS) as site:
        answer = site.call(None)
        equal(answer.status, 401)
        challenge = answer.headers["WWW-Authenticate"]
        check(f'resource_metadata="{site.origin}/.well-known/oauth-protected-resource/mcp"' in challenge, challenge)
        metadata = site.request("GET", "/.well-known/oauth-protected-resource/mcp").json
        equal((metadata["resource"], metadata["authorization_servers"]), (site.origin + "/mcp", [site.origin]))
        browser = site.browser()
        client = Client(site)
        given = client.given(browser)
        token = given["access_token"]
        equal(site.call(token).status, 200)
        equal(site.call(token, "/mcp/fix").status, 401, "it is for another place")
        narrow = Client(site)
        code = narrow.code(browser, resource=site.origin + "/mcp/fix", scope=None)
        one = narrow.token(code, resource=site.origin + "/mcp/fix").json
        equal(one["scope"], "server:fix")
        equal((site.call(one["access_token"], "/mcp/fix").status, site.call(one["access_token"]).status), (200, 401))
        for wrong in (token[:-6] + "AAAAAA", token.rsplit(".", 1)[0] + ".", given["refresh_token"], "x"):
            equal(site.call(wrong).status, 401, "what is no token of ours")
        log = auditlog.text(site.gateway.home / "audit") + site.gateway.said.read_text()
        check('"ann"' in log and token not in log and one["access_token"] not in log, "who it is, and not by what")
        site.user("disable", "ann")
        equal([site.call(each).status for each in (token, one["access_token"])][0], 401, "who is disabled is out at once")
        site.user("enable", "ann")
        equal(site.call(token).status, 200)
        client.refresh(given["refresh_token"])
        client.refresh(given["refresh_token"])
        equal(site.call(token).status, 401, "a refresh token that came twice ends all, at once")
        equal(site.call(one["access_token"], "/mcp/fix").status, 200, "but nothing else")
        narrow.revoke(one["access_token"])
        equal(site.call(one["access_token"], "/mcp/fix").status, 401, "what was given up is over at once")


def case_what_is_bound_to_a_key_is_of_use_to_its_holder_only():
    from flow import Client
    with Site(servers=SERVERS) as site:
        check("ES256" in site.request("GET", "/.well-known/oauth-authorization-server").json["dpop_signing_alg_values_supported"])
        client = Client(site)
        code = client.code(site.browser())
        said = run("proofs", [PYTHON, HERE / "proofs.py", site.origin, code, client.verifier, CALLBACK])
        equal(said, {"bad": ["invalid_dpop_proof"] * 4, "early": "invalid_grant", "type": "DPoP", "calls": [200, 401, 401],
                     "refused": ["invalid_dpop_proof"] * 3, "renewed": "DPoP"})
