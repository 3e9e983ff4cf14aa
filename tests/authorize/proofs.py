"""A client that proves to have a key (DPoP): `proofs.py ORIGIN CODE VERIFIER REDIRECT` prints what comes of each step, as JSON."""

import base64
import hashlib
import json
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

ORIGIN, CODE, VERIFIER, REDIRECT = sys.argv[1:]
TOKEN, MCP = ORIGIN + "/bartizan/oauth/token", ORIGIN + "/mcp"


class Key:
    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))

    def proof(self, url, token=None, **changes):
        claims = {"jti": secrets.token_hex(8), "htm": "POST", "htu": url, "iat": int(time.time())}
        if token:
            claims["ath"] = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
        return jwt.encode(claims | changes, self.key, "ES256", {"typ": "dpop+jwt", "jwk": self.jwk})


def post(url, body, headers):
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text.startswith(b"{") else {}


def ask(proof, **form):
    headers = {"Content-Type": "application/x-www-form-urlencoded"} | ({"DPoP": proof} if proof else {})
    return post(TOKEN, urllib.parse.urlencode({"client_id": "app"} | form).encode(), headers)


def call(scheme, token, proof):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "proofs", "version": "1"}}})
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": f"{scheme} {token}"}
    return post(MCP, body.encode(), headers | ({"DPoP": proof} if proof else {}))[0]


own, other = Key(), Key()
code = {"grant_type": "authorization_code", "code": CODE, "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
said = {"bad": [ask(proof, **code)[1].get("error") for proof in (
    "x", own.proof(MCP), own.proof(TOKEN, htm="GET"), own.proof(TOKEN, iat=int(time.time()) - 600))]}
shown = own.proof(TOKEN)
# Whoever has nothing to show for it uses up no proof: anybody could make as many as there is room for.
said["early"] = ask(shown, **code | {"code": CODE[:-4] + "AAAA"})[1].get("error")
status, given = ask(shown, **code)
said["type"], token = given.get("token_type"), given["access_token"]
said["calls"] = [call("DPoP", token, own.proof(MCP, token)), call("Bearer", token, None), call("DPoP", token, other.proof(MCP, token))]
again = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
said["refused"] = [ask(proof, **again)[1].get("error") for proof in (None, other.proof(TOKEN), shown)]
status, renewed = ask(own.proof(TOKEN), **again)
said["renewed"] = renewed.get("token_type")
print(json.dumps(said))
