"""The identity provider of the suite, and the flows that people and clients go through with it."""

import base64
import hashlib
import json
import pathlib
import secrets
import subprocess
import time
import urllib.parse

from harness import TOOLS, check, equal
from signing_in import REDIRECT, follow, request

HERE = pathlib.Path(__file__).resolve().parent


class Provider:
    """One real identity provider, with a person `ann` who signs in by herself."""

    def __init__(self):
        self.process = subprocess.Popen(
            [str(TOOLS / "bin" / "node"), str(HERE / "provider.mjs"), str(TOOLS)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.issuer = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def suite(self, what, **fields):
        return json.loads(request(f"{self.issuer}/suite/{what}", "POST", data=json.dumps(fields))[2])

    def post(self, path, form, headers=None):
        status, _, body = request(self.issuer + path, "POST", form, headers)
        return status, json.loads(body or "{}")

    def code_flow(self, resource, scope="mcp", client="app", cookies=None, **more):
        """Signs ann in and gives the client her tokens; with `cookies` in the browser that has them."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = urllib.parse.urlencode({
            "client_id": client, "response_type": "code", "redirect_uri": REDIRECT, "scope": scope, "state": "s",
            "code_challenge": challenge, "code_challenge_method": "S256", "resource": resource} | more)
        answer = follow(f"{self.issuer}/auth?{query}", cookies=cookies)
        equal((answer.get("iss"), answer.get("state")), (self.issuer, "s"), f"the answer {answer}")
        check("code" in answer, f"{answer}")
        status, tokens = self.post("/token", {
            "grant_type": "authorization_code", "code": answer["code"], "redirect_uri": REDIRECT, "code_verifier": verifier,
            "client_id": client, "client_secret": "secret", "resource": resource})
        equal(status, 200, f"{tokens}")
        return tokens

    def refresh(self, tokens, resource, client="app"):
        status, fresh = self.post("/token", {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"],
                                             "client_id": client, "client_secret": "secret", "resource": resource})
        equal(status, 200, f"{fresh}")
        return fresh

    def of_client(self, resource, scope="mcp", headers=None):
        status, tokens = self.post("/token", {"grant_type": "client_credentials", "client_id": "app", "client_secret": "secret",
                                              "resource": resource, "scope": scope}, headers)
        equal(status, 200, f"{tokens}")
        return tokens["access_token"]

    def forged(self, resource, header=None, claims=None, **more):
        """A token as this provider could have signed it, but for what is changed; `None` takes something out."""
        now = int(time.time())
        whole = ({"typ": "at+jwt", "alg": "ES256", "kid": f"ec-{self.round()}"},
                 {"iss": self.issuer, "sub": "ann", "aud": resource, "client_id": "app", "jti": secrets.token_hex(8),
                  "scope": "mcp", "iat": now, "exp": now + 300})
        for held, change in zip(whole, (header, claims)):
            held.update(change or {})
            for name in [name for name, value in held.items() if value is None]:
                del held[name]
        return self.suite("sign", header=whole[0], claims=whole[1], **more)

    def forged_as(self, resource, kid):
        """One that names a key which there is not."""
        return self.forged(resource, {"kid": kid})

    def signed(self, resource):
        """One of the current key, also while the provider is down."""
        return self.forged(resource)

    def round(self):
        return self.suite("counts")["round"]

    def proof(self, key, method, url, token=None, **claims):
        """A proof of having the key of that name."""
        ath = base64.urlsafe_b64encode(hashlib.sha256((token or "").encode()).digest()).rstrip(b"=").decode()
        held = {"htm": method, "htu": url, "iat": int(time.time()), "jti": secrets.token_hex(8)} | ({"ath": ath} if token else {})
        return self.suite("sign", header={"typ": "dpop+jwt", "alg": "ES256", "jwk": True}, claims=held | claims, other=key)
