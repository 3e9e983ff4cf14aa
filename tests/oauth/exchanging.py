"""Servers that are asked with what the provider gives for the token of whoever asks (RFC 8693)."""

import base64
import concurrent.futures
import contextlib
import http.client
import json
import subprocess
import time

from harness import BINARY, MODERN, Gateway, Keyed, check, equal, wait_for
from provider import Provider
from upstream import Answering, Upstream

ERAS = ("2025-11-25", MODERN)
REQUIRED = "[auth]\nrequired = true\n"


def claims_of(token):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


class Server(Upstream):
    """An upstream that says whom a token is of, and takes none but of one provider and for itself."""

    def __init__(self, provider, audience=None):
        self.refused, self.shown = set(), []
        super().__init__(Handler)
        self.provider, self.audience = provider, audience or self.url

    def who(self, headers):
        shown = headers.get("Authorization", "")
        self.shown.append(shown)
        token = shown.removeprefix("Bearer ")
        if token.count(".") != 2 or token in self.refused:
            return None
        claims = claims_of(token)
        good = (claims["iss"], claims["aud"]) == (self.provider.issuer, self.audience) and claims["exp"] > time.time()
        return claims["sub"] if good else None


class Handler(Answering):
    def do_POST(self):
        self.who = self.server.who(self.headers)
        if self.who is None:
            self.rfile.read(int(self.headers["Content-Length"]))
            return self.send(401)
        return super().do_POST()

    def result(self, method, params):
        if method == "initialize":
            return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                    "serverInfo": {"name": "upstream", "version": "1"}}
        if method == "server/discover":
            return {"supportedVersions": [MODERN], "capabilities": {"tools": {}}, "serverInfo": {"name": "upstream", "version": "1"}}
        if method == "tools/list":
            return {"tools": [{"name": "whoami", "inputSchema": {"type": "object"}}]}
        return {"content": [{"type": "text", "text": f"you are {self.who}"}]} if method == "tools/call" else {}


class Place:
    """Such a server, one that is shown nothing, and a gateway in front of both."""

    def __init__(self, provider, more="", required=REQUIRED, audience=None, issuer=""):
        self.provider = provider
        self.server, self.other = Server(provider, audience), Server(provider)
        table = f'{required}[auth.oauth.corp]\nissuer = "{provider.issuer}"\n{issuer}\n' \
                f'[server.tickets.auth.exchange]\nissuer = "corp"\nclient_id = "gateway"\nclient_secret = "hush hush"\n{more}\n'
        self.gateway = Gateway({"tickets": {"url": self.server.url}, "other": {"url": self.other.url}}, table)

    def __enter__(self):
        self.gateway.__enter__()
        self.mcp = "http://{}:{}/mcp".format(*self.gateway.address)
        return self

    def __exit__(self, *reason):
        try:
            self.gateway.__exit__(*reason)
        finally:
            for server in (self.server, self.other):
                server.shutdown()
                server.server_close()

    def token(self, who="ann", path="", **claims):
        return self.provider.forged(self.mcp + path, claims={"sub": who} | claims)

    def client(self, token, path="/mcp/tickets", version="2025-11-25"):
        return Keyed(self.gateway, token, path, version)

    def said(self, token, **more):
        """What comes of the first call that somebody makes."""
        with self.client(token, version=MODERN, **more) as client:
            return client.text("whoami")

    def exchanged(self, **how):
        """What the provider was asked since; `how` says how it answers from now on."""
        return self.provider.suite("exchange", **how)


def case_the_provider_gives_another_token_for_each_person_and_only_that_reaches_the_server():
    with Provider() as provider, Place(provider) as place:
        for version in ERAS:
            for path, name in (("/mcp/tickets", "whoami"), ("/mcp", "tickets__whoami")):
                for who in ("ann", "bob"):
                    token = place.token(who, "" if path == "/mcp" else "/tickets")
                    with place.client(token, path, version) as client:
                        equal([client.text(name) for _ in range(3)], [f"you are {who}"] * 3, f"{version} {path}")
                    asked = place.exchanged()
                    equal(len(asked), 1, f"one exchange for a token: {version} {path} {who}: {asked}")
                    equal((asked[0]["subject_token"] == token, asked[0]["client"], asked[0].get("resource"), asked[0].get("audience")),
                          (True, "gateway", place.server.url, None), "what was asked")
                    check(token not in json.dumps(place.server.shown + place.other.shown), "what a client shows went on")
        check(not any(shown for shown in place.other.shown if shown), "another server was shown something")
        recorded = json.dumps(place.gateway.entries())
        for shown in set(place.server.shown) - {""}:
            check(shown.removeprefix("Bearer ") not in recorded, "a token is in the log")
            equal(claims_of(shown)["act"], {"sub": "gateway"}, "on whose behalf")


def case_whoever_shows_no_token_of_that_provider_is_not_asked_for():
    with Provider() as provider, Provider() as second:
        more = f'[auth.oauth.second]\nissuer = "{second.issuer}"'
        with Place(provider, more, required="") as place:
            foreign = second.forged(place.mcp + "/tickets")
            for token in (None, foreign):
                check("sign in with corp" in place.said(token), place.said(token))
                with contextlib.suppress(AssertionError), place.client(token) as client:
                    check("sign in with corp" in client.text("whoami"), "in the older era")
            equal((place.exchanged(), place.server.shown), ([], []), "somebody was asked")
            with place.client(place.token("ann", "/tickets")) as client:
                equal(client.text("whoami"), "you are ann", "the twin")


def case_a_name_instead_of_an_address_and_scopes():
    with Provider() as provider, Place(provider, 'audience = "tickets-api"\nscopes = ["read", "write"]', audience="tickets-api") as place:
        with place.client(place.token("ann", "/tickets")) as client:
            equal(client.text("whoami"), "you are ann", "a call")
        asked = place.exchanged()[0]
        equal((asked.get("resource"), asked["audience"], asked["scope"]), (None, "tickets-api", "read write"), "what was asked")
    with Provider() as provider:
        elsewhere = f'token_endpoint = "{provider.issuer}/token"'
        with Place(provider, elsewhere) as place, place.client(place.token("ann", "/tickets")) as client:
            equal(client.text("whoami"), "you are ann", "at an address of the configuration")


def case_what_the_provider_refuses_is_said_and_not_asked_again_at_once():
    with Provider() as provider, Place(provider) as place:
        token = place.token("ann", "/tickets")
        place.exchanged(error="invalid_target")
        with place.client(token, version=MODERN) as client:
            for _ in range(3):
                said = client.text("whoami")
                check("corp gives no token for it in exchange for this one: invalid_target" in said, said)
                check("words of the provider" not in said, said)
            equal(len(place.exchanged()), 1, "it was asked again")
            wait_for(lambda: client.text("whoami") == "you are ann", "it is asked again later")
        for how, hint in (({"error": "invalid_client"}, "it answers 400 (invalid_client)"), ({"error": "<script>"}, "an error"),
                          ({"same": True}, "it gives the same token back")):
            place.exchanged(**how)
            said = place.said(place.token("cy", "/tickets"))
            check(place.server.shown.count("") == 0 and hint in said and "<" not in said, f"{how}: {said}")
        provider.suite("down", down=True)
        equal(place.said(token), "you are ann", "what was exchanged before is good still")
        provider.suite("down", down=False)
        place.exchanged()
        equal(place.said(place.token("dan", "/tickets")), "you are dan", "the twin")


def case_what_the_provider_says_of_itself_is_asked_once_and_again_after_a_failure():
    with Provider() as provider, Place(provider) as place:
        equal(place.said(place.token("ann", "/tickets")), "you are ann", "the first")
        asked = provider.suite("counts")["metadata"]
        for who in ("bob", "cy"):
            equal(place.said(place.token(who, "/tickets")), f"you are {who}", "more of them")
        place.exchanged(error="invalid_target")
        for who in ("dan", "eve"):
            check("you are" not in place.said(place.token(who, "/tickets")), "one that is refused")
        equal(provider.suite("counts")["metadata"], asked, "it was asked for each of them")
        place.exchanged(error="invalid_client")
        check("you are" not in place.said(place.token("fay", "/tickets")), "it knows the gateway no more")
        place.exchanged()
        equal(place.said(place.token("gus", "/tickets")), "you are gus", "it does again")
        equal(provider.suite("counts")["metadata"], asked + 1, "after a failure")
        said = place.gateway.said.read_text()
        equal(said.count("a token is not exchanged"), 2, f"of two that are refused one, and what is wrong with the gateway: {said}")


def case_a_token_that_the_server_refuses_is_exchanged_anew_once_it_is_not_new():
    with Provider() as provider, Place(provider) as place:
        with place.client(place.token("ann", "/tickets"), version=MODERN) as client:
            equal(client.text("whoami"), "you are ann", "a call")
            equal(len(place.exchanged()), 1, "one exchange")
            place.server.refused.add(place.server.shown[-1].removeprefix("Bearer "))
            for _ in range(3):
                check("401" in client.text("whoami"), "it was new, and its server refuses it")
            equal(place.exchanged(), [], "each call had another one given")
            wait_for(lambda: client.text("whoami") == "you are ann", "another one is given")
            equal(len(place.exchanged()), 1, "one more exchange")


def case_one_that_ends_is_exchanged_anew_and_for_many_at_once_one_asks():
    with Provider() as provider, Place(provider) as place:
        place.exchanged(lasts=12)
        token = place.token("ann", "/tickets")
        clients = [place.client(token, version=MODERN) for _ in range(4)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            equal(set(pool.map(lambda client: client.text("whoami"), clients)), {"you are ann"}, "all at once")
        equal(len(place.exchanged(lasts=12)), 1, "one asked and the others waited")
        time.sleep(2.5)
        equal(clients[0].text("whoami"), "you are ann", "after it was about to end")
        equal(len(place.exchanged()), 1, "another one was given")


def case_between_requests_counts_what_the_same_client_has_shown():
    with Provider() as provider, Place(provider, issuer='names = "plain"') as place:
        made = subprocess.run([BINARY, "key", "create", "ann", "--scope", "mcp", "--expires", "1h", "--config", str(place.gateway.config)],
                              env=place.gateway.environment, capture_output=True, text=True, timeout=60, check=True)
        key, token = made.stdout.split()[0], place.token("ann", "")
        with place.client(key, "/mcp") as by_key, place.client(token, "/mcp") as by_token:
            # The session of the key has a stream, for which the gateway asks servers on its own.
            by_key.listen()
            equal(by_token.text("tickets__whoami"), "you are ann", "by her token")
            check("you are" not in json.dumps(by_key.ask("tools/call", {"name": "tickets__whoami", "arguments": {}})), "by her key")
            time.sleep(2)
            equal(len(set(place.server.shown)), 1, "one token")
            begun = [message for message in place.server.heard if message.get("method") == "initialize"]
            equal(len(begun), 1, "one session, of the client that has shown one")


def case_whoever_leaves_has_not_asked_for_nothing():
    with Provider() as provider, Place(provider) as place:
        place.exchanged(waits=1500)
        token = place.token("ann", "/tickets")
        clients = [place.client(token, version=MODERN) for _ in range(4)]
        for client in clients:
            connection = http.client.HTTPConnection(*place.gateway.address, timeout=0.2)
            asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami", "arguments": {}, "_meta": {
                "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "suite", "version": "1"}}}}
            connection.request("POST", "/mcp/tickets", json.dumps(asked), client.headers(asked))
            with contextlib.suppress(TimeoutError):
                connection.getresponse()
            connection.close()
        equal(clients[0].text("whoami"), "you are ann", "whoever stays")
        equal(len(place.exchanged()), 1, "one exchange for them all")


def case_a_token_that_is_over_opens_nothing_that_it_has_opened():
    with Provider() as provider, Place(provider, issuer='leeway = "1ms"') as place:
        with place.client(place.token("ann", "/tickets", exp=int(time.time()) + 3), version=MODERN) as client:
            equal(client.text("whoami"), "you are ann", "before")
            wait_for(lambda: client.request("tools/call", {"name": "whoami"}) and client.status == 401, "it is over")
            check(claims_of(place.server.shown[-1])["sub"] == "ann", "the last one")
