#!/usr/bin/env python3
"""Servers that want to know who asks: signing in to them, and what they are shown.

The authorization server is npm's oidc-provider; for what an honest one never does there is one here that lies.
`run.py NAME…` runs the cases whose names contain NAME.
"""

import contextlib
import http.cookiejar
import json
import os
import pathlib
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "aggregate")]

from harness import BINARY, MODERN, TOOLS, Gateway, Raw, cases_of, check, equal, run_cases, wait_for  # noqa: E402

REQUIRED = "[auth]\nrequired = true\n"
ERAS = ("2025-11-25", MODERN)


class Provider:
    """oidc-provider and an MCP server that takes its tokens."""

    def __init__(self, ttl=3600):
        environment = os.environ | {"NODE_MODULES": str(TOOLS / "npm" / "node_modules"), "NODE_NO_WARNINGS": "1"}
        self.process = subprocess.Popen(["node", str(HERE / "provider.mjs"), str(ttl)], env=environment, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        # oidc-provider has things to say as well.
        self.url = next(line.strip() for line in self.process.stdout if line.startswith("http"))
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def control(self, **asked):
        request = urllib.request.Request(self.url.replace("/mcp", "/control"), json.dumps(asked).encode())
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)


class Browser:
    """Signs in as somebody wherever it is sent, and agrees to everything."""

    def __init__(self, name):
        self.name = name
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(cookies)

    def open(self, url):
        """The last page."""
        data = None
        for _ in range(10):
            with self.opener.open(url, data, timeout=30) as response:
                text, at = response.read().decode(), response.geturl()
            form = re.search(r'<form[^>]*action="([^"]+)"', text)
            if not form:
                return text
            prompt = re.search(r'name="prompt" value="(\w+)"', text)[1]
            fields = {"prompt": prompt} | ({"login": self.name, "password": "x"} if prompt == "login" else {})
            url, data = urllib.parse.urljoin(at, form[1]), urllib.parse.urlencode(fields).encode()
        raise AssertionError("the sign-in does not end")


class Client(Raw):
    def __init__(self, gateway, key, *arguments, **more):
        self.key = key
        super().__init__(gateway, *arguments, **more)

    def headers(self, message):
        return super().headers(message) | ({"Authorization": f"Bearer {self.key}"} if self.key else {})

    def whoami(self):
        """Who the server says one is, or the error."""
        answer = self.ask("tools/call", {"name": "whoami", "arguments": {}})
        return answer["result"]["content"][0]["text"] if "result" in answer else answer["error"]["message"]


class Place:
    """A gateway in front of such servers."""

    def __init__(self, servers, more=REQUIRED):
        self.gateway = Gateway(servers, more)

    def __enter__(self):
        self.gateway.__enter__()
        return self

    def __exit__(self, *reason):
        self.gateway.__exit__(*reason)

    def command(self, *words):
        return [BINARY, *words, "--config", str(self.gateway.config)]

    def run(self, *words, code=0):
        done = subprocess.run(self.command(*words), env=self.gateway.environment, capture_output=True, text=True, timeout=60)
        equal(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def key(self, name):
        return self.run("key", "create", name, "--scope", "mcp", "--expires", "1h").splitlines()[0]

    @contextlib.contextmanager
    def login(self, *words):
        """A sign-in that has begun: its process, and where somebody has to sign in."""
        process = subprocess.Popen(self.command("upstream", "login", *words, "--no-browser"), env=self.gateway.environment,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            url = process.stdout.readline().strip()
            check(url, process.stderr.read() if not url else "")
            yield process, url
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def sign_in(self, server, user=None, account=None):
        with self.login(server, *(("--user", user) if user else ())) as (process, url):
            page = Browser(account or user).open(url)
            check("Thank you" in page, page)
            said = process.communicate(timeout=60)[1]
            equal(process.returncode, 0, said)
            return url

    def texts(self):
        """Everything that the gateway has written, but for what is sealed."""
        files = [self.gateway.said, *(self.gateway.home / "audit").glob("*"), *self.gateway.home.glob("state.db*"),
                 *self.gateway.home.glob("mcp.lock*")]
        return b"".join(path.read_bytes() for path in files if path.is_file())


def oauth(url, **more):
    return {"url": url, "auth": {"oauth": more}}


def case_each_person_is_who_they_are_there_and_nobody_else():
    with Provider() as provider, Place({"mine": oauth(provider.url)}) as place:
        ann, bob, eve = (place.key(name) for name in ("ann", "bob", "eve"))
        place.sign_in("mine", "ann", "ann-there")
        place.sign_in("mine", "bob", "bob-there")
        for era in ERAS[:1]:
            with Client(place.gateway, ann, "/mcp/mine", era) as first, Client(place.gateway, bob, "/mcp/mine", era) as second:
                for _ in range(3):
                    equal((first.whoami(), second.whoami()), ("you are ann-there", "you are bob-there"), era)
        seen = [entry for entry in provider.control(seen=True)["seen"] if entry["who"]]
        shared = {entry["socket"] for entry in seen if entry["who"] == "ann-there"} \
            & {entry["socket"] for entry in seen if entry["who"] == "bob-there"}
        equal(shared, set(), "connections that both used")
        tokens = {entry["shown"] for entry in seen}
        check(len(tokens) == 2, f"one token for each: {len(tokens)}")
        # Who has not signed in is told what to do, and nothing is asked on their behalf.
        said = refused(place, eve)
        check("bartizan upstream login mine --user eve" in said, said)
        everything = place.texts() + place.run("upstream", "list").encode() + place.run("upstream", "list", "--json").encode()
        for token in tokens:
            check(token.encode() not in everything, "a token is in what the gateway wrote")
        for key in (ann, bob):
            check(not any(key in json.dumps(entry) for entry in seen), "a client's key reached the server")
        signed_in = lambda: [entry["principal"] for entry in place.gateway.entries(kind="upstream.signed_in")]  # noqa: E731
        wait_for(lambda: sorted(signed_in()) == ["ann", "bob"], "who signed in is not in the log")


def refused(place, key, path="/mcp/mine"):
    """What a client is told that cannot begin."""
    try:
        with Client(place.gateway, key, path) as client:
            return client.whoami()
    except Exception as error:  # The harness says what came back.
        return str(error)


def case_whoever_showed_nothing_has_nothing_of_their_own():
    with Provider() as provider, Place({"mine": oauth(provider.url)}, "") as place:
        check("showed no key" in refused(place, None), "no key")
        place.run("upstream", "login", "mine", "--user", "anonymous", code=2)
        place.run("upstream", "login", "mine", code=2)


def case_one_sign_in_may_be_for_all():
    with Provider() as provider, Place({"mine": oauth(provider.url, shared=True)}, "") as place:
        check("bartizan upstream login mine" in refused(place, None), "before")
        place.run("upstream", "login", "mine", "--user", "ann", code=2)
        place.sign_in("mine", account="team")
        with Client(place.gateway, None, "/mcp/mine") as client:
            equal(client.whoami(), "you are team", "for all")


def case_tokens_are_renewed_before_they_end_and_once_when_they_are_refused():
    with Provider(ttl=32) as provider, Place({"mine": oauth(provider.url)}) as place:
        key = place.key("ann")
        place.sign_in("mine", "ann")
        with Client(place.gateway, key, "/mcp/mine") as client:
            equal(client.whoami(), "you are ann", "at first")
            equal(provider.control()["renewals"], ["authorization_code"], "nothing is renewed yet")
            time.sleep(3)
            # Many at once, and one renewal.
            threads = [threading.Thread(target=client.whoami) for _ in range(8)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            equal(provider.control()["renewals"], ["authorization_code", "refresh_token"], "soon before the end")
            equal(client.whoami(), "you are ann", "after that")
            provider.control(end="access")
            equal(client.whoami(), "you are ann", "after the server refused it")
            equal(provider.control()["renewals"][2:], ["refresh_token"], "once")
            provider.control(end="grants")
            said = client.whoami()
            check("bartizan upstream login mine --user ann" in said, said)
            renewals = provider.control()["renewals"]
            client.whoami()
            equal(provider.control()["renewals"], renewals, "what is refused is not tried again")
            check("ended" in place.run("upstream", "list"), "list")
        place.sign_in("mine", "ann")
        with Client(place.gateway, key, "/mcp/mine") as client:
            equal(client.whoami(), "you are ann", "anew")


def case_who_signs_out_is_nobody_there_at_once():
    with Provider() as provider, Place({"mine": oauth(provider.url)}) as place:
        key = place.key("ann")
        place.sign_in("mine", "ann")
        with Client(place.gateway, key, "/mcp/mine") as client:
            equal(client.whoami(), "you are ann", "before")
            token = provider.control()["seen"][-1]["shown"]
            said = place.run("upstream", "logout", "mine", "--user", "ann")
            check("was not told" not in said, said)
            check("bartizan upstream login" in client.whoami(), "after")
        request = urllib.request.Request(provider.url, b"{}", {"Authorization": f"Bearer {token}"})
        try:
            urllib.request.urlopen(request, timeout=20)
            raise AssertionError("the token is still good")
        except urllib.error.HTTPError as error:
            equal(error.code, 401, "the token at the server")
        place.run("upstream", "logout", "mine", "--user", "ann", code=2)


def case_a_token_is_not_sent_to_another_server_of_that_name():
    with Provider() as provider, Provider() as other, Place({"mine": oauth(provider.url)}) as place:
        key = place.key("ann")
        place.sign_in("mine", "ann")
        text = place.gateway.config.read_text().replace(provider.url, other.url)
        place.gateway.config.write_text(text)
        wait_for(lambda: "bartizan upstream login" in refused(place, key), "the other server is asked with the token")
        check(not any(entry["shown"] for entry in other.control()["seen"]), "it was shown something")


def case_tokens_live_through_another_master_key():
    with Provider() as provider, Place({"mine": oauth(provider.url)}) as place:
        key = place.key("ann")
        place.sign_in("mine", "ann")
        with Client(place.gateway, key, "/mcp/mine") as client:
            equal(client.whoami(), "you are ann", "before")
            check("sealed anew: 1" in place.run("key", "rotate-master", "--reseal"), "reseal")
            equal(client.whoami(), "you are ann", "after")
            file = place.gateway.home / "state.key"
            file.rename(file.with_suffix(".moved"))
            provider.control(end="access")
            check("you are ann" == client.whoami(), "the keys are in memory")
            file.with_suffix(".moved").rename(file)


def case_a_token_for_all_is_read_again_when_its_file_changes():
    with Recording() as server:
        token = pathlib.Path(server.folder) / "token"
        token.write_text("first-token\n")
        token.chmod(0o600)
        servers = {"file": {"url": server.url, "auth": {"bearer_file": str(token)}},
                   "fixed": {"url": server.url, "auth": {"bearer": "${FIXED_TOKEN:-fixed-token}"}}}
        with Place(servers, "") as place:
            for path, expected in (("file", "first-token"), ("fixed", "fixed-token")):
                with Client(place.gateway, None, f"/mcp/{path}") as client:
                    client.request("ping")
                equal(server.shown()[-1], f"Bearer {expected}", path)
            token.write_text("the-second-token\n")
            with Client(place.gateway, None, "/mcp/file") as client:
                client.request("ping")
            equal(server.shown()[-1], "Bearer the-second-token", "after a change")
            for secret in (b"first-token", b"the-second-token", b"fixed-token"):
                check(secret not in place.texts(), "a token is in what the gateway wrote")


class Recording(ThreadingHTTPServer):
    """An MCP server that keeps what it was shown, and an authorization server that lies as it is told to."""
    daemon_threads = True

    def __init__(self, **lies):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lies, self.heard, self.asked, self.certificates = lies, [], [], []
        self.directory = tempfile.TemporaryDirectory(prefix="bartizan-upstream-")
        self.folder = self.directory.name
        self.context = lies.pop("context", None)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
        self.directory.cleanup()

    def handle_error(self, *_):
        pass

    def finish_request(self, request, address):
        if self.context is None:
            return super().finish_request(request, address)
        with contextlib.suppress(OSError), self.context.wrap_socket(request, server_side=True) as secure:
            self.certificates.append(secure.getpeercert(binary_form=True))
            super().finish_request(secure, address)

    @property
    def origin(self):
        return f"http{'s' if self.context else ''}://127.0.0.1:{self.server_port}"

    @property
    def url(self):
        return f"{self.origin}/mcp"

    def shown(self):
        return [headers.get("authorization") for headers in self.heard]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, value=None, headers=()):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        for name, header in [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers]:
            self.send_header(name, header)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        server, origin, lies = self.server, self.server.origin, self.server.lies
        server.asked.append(self.path)
        if self.path == "/.well-known/oauth-protected-resource/mcp":
            if "redirect" in lies:
                return self.answer(302, headers=[("Location", lies["redirect"])])
            return self.answer(200, {"resource": f"{origin}/mcp", "authorization_servers": [origin]} | lies.get("resource", {}))
        if self.path == "/.well-known/oauth-authorization-server":
            metadata = {
                "issuer": origin, "authorization_endpoint": f"{origin}/authorize", "token_endpoint": f"{origin}/token",
                "registration_endpoint": f"{origin}/register", "code_challenge_methods_supported": ["S256"],
                "response_types_supported": ["code"], "authorization_response_iss_parameter_supported": True,
            } | lies.get("issuer", {})
            if "large" in lies:
                metadata["x"] = "x" * 400_000
            return self.answer(200, {name: value for name, value in metadata.items() if value is not None})
        return self.answer(404)

    def do_POST(self):
        server = self.server
        server.asked.append(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/register":
            server.registered = json.loads(body)
            return self.answer(201, {"client_id": "registered"})
        if self.path == "/token":
            server.token_form = dict(urllib.parse.parse_qsl(body.decode()))
            return self.answer(200, {"access_token": "a-token", "token_type": "Bearer", "expires_in": 3600})
        server.heard.append({name.lower(): value for name, value in self.headers.items()})
        if not self.headers.get("Authorization"):
            challenge = f'Bearer resource_metadata="{server.origin}/.well-known/oauth-protected-resource/mcp"'
            return self.answer(401, {}, [("WWW-Authenticate", challenge)])
        message = json.loads(body)
        if "id" not in message:
            return self.answer(202)
        result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}
        return self.answer(200, {"jsonrpc": "2.0", "id": message["id"], "result": result if message["method"] == "initialize" else {}})

    def do_DELETE(self):
        self.answer(405)


# What an authorization server or a server says that is not right, and what is said about it.
LIES = [
    ({"issuer": {"issuer": "https://evil.example"}}, "of another issuer"),
    ({"issuer": {"issuer": "SLASH"}}, "of another issuer"),
    ({"issuer": {"code_challenge_methods_supported": ["plain"]}}, "PKCE"),
    ({"issuer": {"code_challenge_methods_supported": None}}, "PKCE"),
    ({"issuer": {"token_endpoint": "http://evil.example/token"}}, "no https URL"),
    ({"issuer": {"authorization_endpoint": "http://evil.example/"}}, "no https URL"),
    ({"issuer": {"authorization_endpoint": "javascript:alert(1)"}}, "no https URL"),
    ({"issuer": {"token_endpoint": "https://169.254.169.254/"}}, "an address that is not asked"),
    ({"issuer": {"registration_endpoint": None}}, "set `client_id`"),
    # Whose answer it is nobody could tell, and another server would be told the code.
    ({"issuer": {"authorization_endpoint": "https://real.example/a"} | {"authorization_response_iss_parameter_supported": None}},
     '"https://real.example", and does not say'),
    ({"issuer": {"token_endpoint": "https://evil.example/t", "authorization_response_iss_parameter_supported": False}}, "ISSUER"),
    ({"issuer": {"registration_endpoint": "http://127.0.0.1:1/r", "authorization_response_iss_parameter_supported": None}}, "ISSUER"),
    ({"resource": {"resource": "https://other.example/mcp"}}, "of another resource"),
    ({"resource": {"authorization_servers": []}}, "names no authorization server"),
    ({"resource": {"authorization_servers": ["http://evil.example"]}}, "no https URL"),
    ({"resource": {"authorization_servers": ["https://169.254.169.254/latest"]}}, "an address that is not asked"),
    ({"redirect": "http://127.0.0.1:1/"}, "redirects, which is not followed"),
    ({"large": True}, "too large"),
]


def case_whoever_is_not_who_they_should_be_is_asked_for_nothing():
    for lies, expected in LIES:
        with Recording(**lies) as server:
            if lies.get("issuer", {}).get("issuer") == "SLASH":
                lies["issuer"]["issuer"] = server.origin + "/"
            with Place({"mine": oauth(server.url)}) as place:
                said = place.run("upstream", "login", "mine", "--user", "ann", "--no-browser", code=3)
                if expected == "ISSUER":
                    expected = f'set `issuer = "{server.origin}"` under [server.mine.auth.oauth]'
                check(expected in said, f"{lies}: {said}")
                check("/register" not in server.asked, f"{lies}: it registered")
                check("/token" not in server.asked, f"{lies}: a token was asked for")
    with Recording() as server, Place({"mine": oauth(server.url, issuer="https://accounts.example.com")}) as place:
        said = place.run("upstream", "login", "mine", "--user", "ann", "--no-browser", code=3)
        check("does not name https://accounts.example.com" in said, said)


def case_a_code_is_brought_to_nobody_but_the_one_who_gave_it():
    unsaid = {"authorization_response_iss_parameter_supported": None}
    # Where the token endpoint is, whether the operator names the issuer, what the answer says, and whether it is used.
    for elsewhere, announced, named, answer, good in [
        (True, True, False, {}, False),
        (True, True, False, {"iss": "https://real.example"}, False),
        (True, True, False, {"iss": "ISSUER"}, True),
        (True, False, True, {}, True),
        (False, False, False, {}, True),
    ]:
        with Recording() as server, Recording() as other:
            token = {"token_endpoint": f"{other.origin}/token"} if elsewhere else {}
            server.lies["issuer"] = token | ({} if announced else unsaid)
            with Place({"mine": oauth(server.url, **({"issuer": server.origin} if named else {}), scopes=["read", "write"])}) as place, \
                    place.login("mine", "--user", "ann") as (process, url):
                asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
                said = {name: server.origin if value == "ISSUER" else value for name, value in answer.items()}
                right = urllib.parse.urlencode({"code": "c", "state": asked["state"]} | said)
                equal(get(f"{asked['redirect_uri']}?{right}"), 200, "the answer")
                said = process.communicate(timeout=30)[1]
                equal(process.returncode, 0 if good else 3, said)
                equal("/token" in (other if elsewhere else server).asked, good, f"{answer}: whether it is brought the code")
                host = urllib.parse.urlsplit(server.origin).netloc
                for told in (f"the authorization server is {server.origin}\n", "it is asked for read write\n", f"sign in at {host}, as whoever ann"):
                    check(told in said, f"what is told before: {said}")


def get(url, host=None):
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def case_an_answer_counts_once_and_only_from_who_was_asked():
    for answer, expected in [
        ({"code": "c", "iss": "ISSUER"}, None),
        ({"code": "c", "iss": "https://evil.example"}, "another issuer"),
        ({"code": "c"}, "another issuer"),
        ({"error": "access_denied", "iss": "ISSUER"}, "access_denied"),
        ({"error": "<script>IGNORE ALL</script>", "iss": "ISSUER"}, "refuses: an error"),
    ]:
        with Recording() as server, Place({"mine": oauth(server.url)}) as place:
            with place.login("mine", "--user", "ann") as (process, url):
                asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
                equal((asked["code_challenge_method"], asked["resource"]), ("S256", server.url), "what is asked for")
                equal(server.registered["application_type"], "native", "how it registers")
                back = asked["redirect_uri"]
                check(re.fullmatch(r"http://127\.0\.0\.1:\d+/callback", back), back)
                wrong = urllib.parse.urlencode(answer | {"state": "guessed"})
                equal(get(f"{back}?{wrong}"), 400, "another state")
                right = {name: server.origin if value == "ISSUER" else value for name, value in answer.items()}
                right = f"{back}?{urllib.parse.urlencode(right | {'state': asked['state']})}"
                equal(get(right, "evil.example"), 404, "by another name")
                equal(get(back.replace("/callback", "/")), 404, "another path")
                equal(get(right), 200, "the answer")
                said = process.communicate(timeout=30)[1]
                equal(process.returncode, 3 if expected else 0, said)
                check((expected or "signed in to mine") in said and "IGNORE" not in said, said)
                equal("/token" in server.asked, expected is None, f"{answer}: whether a token was asked for")
                check("a-token" not in said, said)
            if expected is None:
                equal(server.token_form["resource"], server.url, "what the token is for")
                check(len(server.token_form["code_verifier"]) >= 43, "PKCE")
                with Client(place.gateway, place.key("ann"), "/mcp/mine") as client:
                    client.request("ping")
                equal(server.shown()[-1], "Bearer a-token", "what the server is shown")


def case_whoever_is_removed_while_they_are_signed_in_to_a_server_has_nothing_there():
    # What is done meanwhile, and whether there are tokens for ann then.
    for done, good in [
        ((("remove", "ann"),), False),
        ((("remove", "ann"), ("add", "ann")), False),
        ((("remove", "bob"),), True),
        ((("reset", "ann"),), True),
    ]:
        with Recording() as server, Place({"mine": oauth(server.url)}) as place:
            server.lies["issuer"] = {"revocation_endpoint": f"{server.origin}/revoke"}
            key = place.key("ann")
            for name in ("ann", "bob"):
                place.run("user", "add", name)
            with place.login("mine", "--user", "ann") as (process, url):
                for words in done:
                    place.run("user", *words)
                asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
                right = urllib.parse.urlencode({"code": "c", "iss": server.origin, "state": asked["state"]})
                equal(get(f"{asked['redirect_uri']}?{right}"), 200, "the answer")
                said = process.communicate(timeout=30)[1]
                equal(process.returncode, 0 if good else 2, f"{done}: {said}")
            check(("signed in to mine" if good else "`ann` was added or removed while somebody signed in") in said, f"{done}: {said}")
            equal("/revoke" in server.asked, not good, f"{done}: whether the authorization server is told that it is not needed")
            equal("ann" in place.run("upstream", "list"), good, f"{done}: what is kept")
            if good:
                with Client(place.gateway, key, "/mcp/mine") as client:
                    client.request("ping")
                equal(server.shown()[-1], "Bearer a-token", "what the server is shown")
            else:
                check("bartizan upstream login mine" in refused(place, key), f"{done}: somebody asks as ann")


def pair(folder, name):
    """A certificate that signs itself, and its key."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
                    "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"], check=True, capture_output=True)


def secure(folder, name, clients=None):
    """What shows that certificate, and asks clients for one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    if clients:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(folder / f"{clients}.pem")
    return context


def case_a_server_and_its_authorization_server_have_authorities_of_their_own():
    with tempfile.TemporaryDirectory(prefix="bartizan-upstream-") as folder, contextlib.ExitStack() as stack:
        folder = pathlib.Path(folder)
        for name in ("server", "issuer", "gateway"):
            pair(folder, name)
        issuer = stack.enter_context(Recording(context=secure(folder, "issuer", "gateway")))
        server = stack.enter_context(Recording(context=secure(folder, "server", "gateway")))
        server.lies["resource"] = {"authorization_servers": [issuer.origin]}
        issuer.lies["issuer"] = {"revocation_endpoint": f"{issuer.origin}/revoke"}
        shown = {name: str(folder / f"gateway.{end}") for name, end in (("certificate", "pem"), ("key", "key"))}
        place = stack.enter_context(Place({}))
        file = place.gateway.config
        before = file.read_text()

        def configured(server_ca, issuer_ca):
            tls = shown | ({"ca": str(folder / f"{server_ca}.pem")} if server_ca else {})
            lines = ["[server.mine]", f"url = {json.dumps(server.url)}", "[server.mine.tls]", *(f"{key} = {json.dumps(value)}" for key, value in tls.items()),
                     "[server.mine.auth.oauth]", *([f'ca = {json.dumps(str(folder / f"{issuer_ca}.pem"))}'] if issuer_ca else [])]
            file.write_text(before + "\n".join(lines) + "\n")

        for wrong in ((None, "issuer"), ("server", None), ("issuer", "issuer"), ("server", "server")):
            configured(*wrong)
            said = place.run("upstream", "login", "mine", "--user", "ann", "--no-browser", code=3)
            check("cannot be reached" in said or "broke off" in said, f"{wrong}: {said}")
        configured("server", "issuer")
        with place.login("mine", "--user", "ann") as (process, url):
            check(url.startswith(issuer.origin), url)
            asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
            right = urllib.parse.urlencode({"code": "c", "iss": issuer.origin, "state": asked["state"]})
            equal(get(f"{asked['redirect_uri']}?{right}"), 200, "the answer")
            said = process.communicate(timeout=30)[1]
            equal(process.returncode, 0, said)
        equal(set(issuer.certificates), {None}, "the certificate that is for the server was shown to somebody else")
        check(any(server.certificates), "and the server was not shown it")
        wait_for(lambda: place.gateway.entries(kind="config.reloaded"), "it is in force")
        with Client(place.gateway, place.key("ann"), "/mcp/mine") as client:
            client.request("ping")
        equal(server.shown()[-1], "Bearer a-token", "what the server is shown")
        check("not told" not in place.run("upstream", "logout", "mine", "--user", "ann"), "its authorization server is told")
        equal(issuer.asked[-1], "/revoke", "where")


if __name__ == "__main__":
    sys.exit(run_cases(cases_of(globals())))
