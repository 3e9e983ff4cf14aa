"""A bank behind a gateway that asks somebody before it pays, and its clients."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "aggregate"), str(HERE.parent / "signin")]

from browser import PASSWORD, Browser  # noqa: E402
from harness import BINARY, MODERN, Gateway, Keyed, check, equal, wait_for  # noqa: E402
from upstream import Answering, Upstream  # noqa: E402

LEGACY = "2025-11-25"
ERAS = (LEGACY, MODERN)
BY_URL = {"elicitation": {"url": {}}}
POLICIES = """
permit(principal, action, resource);
@id("large") @challenge("approval") @reason("Large sums are looked at.")
forbid(principal, action == Mcp::Action::"bank/pay", resource) when { context.input.amount > 500 };
@id("huge") forbid(principal, action == Mcp::Action::"bank/pay", resource) when { context.input.amount > 9000 };
@id("secret") @challenge("approval") @four_eyes("true")
forbid(principal, action == Mcp::Action::"read", resource == Mcp::Resource::"bank/file:///secret");
@id("greet") @challenge("approval")
forbid(principal, action == Mcp::Action::"get", resource == Mcp::Prompt::"bank/greet");
"""
PAY = {"name": "pay", "inputSchema": {"type": "object", "properties": {
    "amount": {"type": "integer"}, "note": {"type": "string"}}, "required": ["amount"]}}
LINK = re.compile(r"http://[^\s\"]+/bartizan/approve/([0-9a-z]{12})")
NAME = re.compile(r"request ([0-9a-z]{12}) waits")


class Bank(Upstream):
    """A server that moves money, and remembers what it was asked."""

    def __init__(self):
        super().__init__(Handler)
        self.tool = PAY

    def paid(self):
        return [message["params"]["arguments"]["amount"] for message in self.heard if message.get("method") == "tools/call"]

    def asked(self, method):
        return [message for message in self.heard if message.get("method") == method]


class Handler(Answering):
    def result(self, method, params):
        hello = {"capabilities": {"tools": {}, "resources": {}, "prompts": {}}, "serverInfo": {"name": "bank", "version": "1"}}
        if method == "initialize":
            return hello | {"protocolVersion": params["protocolVersion"]}
        if method == "server/discover":
            return hello | {"supportedVersions": [MODERN]}
        return {
            "tools/list": {"tools": [self.server.tool]},
            "resources/list": {"resources": [{"uri": "file:///secret", "name": "secret"}]},
            "prompts/list": {"prompts": [{"name": "greet"}]},
            "resources/read": {"contents": [{"uri": params.get("uri"), "text": "content"}]},
            "prompts/get": {"messages": []},
            "tools/call": {"content": [{"type": "text", "text": f"paid {(params.get('arguments') or {}).get('amount')}"}]},
        }.get(method, {})


class Client(Keyed):
    """A client of the bank."""

    def pay(self, amount, note=None, **more):
        """The answer to a payment."""
        arguments = {"amount": amount} | ({} if note is None else {"note": note})
        return self.ask("tools/call", {"name": self.tool(), "arguments": arguments} | more)

    def tool(self):
        return "pay" if self.path != "/mcp" else "bank__pay"


class Place:
    """A bank and a gateway in front of it."""

    def __init__(self, more="", listen="", policies=POLICIES, bank=None, also=None, **keys):
        self.bank = bank or Bank()
        self.folder = tempfile.TemporaryDirectory(prefix="bartizan-approval-")
        policy = pathlib.Path(self.folder.name) / "policies.cedar"
        policy.write_text(policies)
        self.more = f"[policy]\nfiles = [{json.dumps(str(policy))}]\n[auth]\nrequired = true\n{more}"
        self.listen = listen
        self.gateway = Gateway({"bank": {"url": self.bank.url} | keys} | (also or {}), self.more, listen)

    def __enter__(self):
        self.gateway.__enter__()
        return self

    def __exit__(self, *reason):
        try:
            self.gateway.__exit__(*reason)
        finally:
            self.bank.shutdown()
            self.bank.server_close()
            self.folder.cleanup()

    def run(self, *words, code=0, said=""):
        """What a command prints."""
        done = subprocess.run([BINARY, *words, "--config", str(self.gateway.config)], env=self.gateway.environment,
                              capture_output=True, text=True, timeout=60, cwd=self.gateway.home, input=said)
        equal(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def key(self, name="ann", scope="mcp"):
        return self.run("key", "create", name, "--scope", scope, "--expires", "1h").splitlines()[0]

    def client(self, name="ann", path="/mcp/bank", version=LEGACY, **more):
        return Client(self.gateway, self.key(name), path, version, **more)

    def approve(self, id, *words, code=0):
        return self.run("approve", id, "--yes", *words, code=code)

    def deny(self, id, *words, code=0):
        return self.run("deny", id, *words, code=code)

    def states(self):
        listed = json.loads(self.run("approve", "--list", "--all", "--json"))["requests"]
        return {held["id"]: held["state"] for held in listed}

    def again(self):
        """The same place, once its gateway was killed and started anew."""
        self.gateway.again()


def words(answer):
    """What a refusal says."""
    if "error" in answer:
        return answer["error"]["message"]
    result = answer["result"]
    check(result.get("isError"), f"no refusal: {answer}")
    return result["content"][0]["text"]


def waits(answer):
    """The request for approval that a refusal names."""
    found = NAME.search(words(answer))
    check(found, f"nobody is asked: {answer}")
    return found[1]


def passes(answer, text=None):
    check("result" in answer and not answer["result"].get("isError"), f"it does not pass: {answer}")
    if text:
        equal(answer["result"]["content"][0]["text"], text)


def refused(answer, why):
    check(why in words(answer), f"wanted {why!r}: {answer}")


def waiting(place):
    """The request that waits, as soon as one does."""
    return wait_for(lambda: next((id for id, state in place.states().items() if state == "pending"), None), "it waits")


PAGES = '[sign_in]\nsecond_factor = "optional"\n'


def person(place, name):
    """Somebody who has signed in, and their browser."""
    place.run("user", "add", name, "--password", said=PASSWORD + "\n")
    browser = Browser(place.gateway)
    equal(browser.sign_in(name).status, 303, f"{name} signs in")
    return browser


def page_of(answer):
    """Where a client is sent to, in whichever form."""
    found = LINK.search(json.dumps(answer))
    check(found, f"no address: {answer}")
    return "/bartizan/approve/" + found[1]


def decide(browser, path, decision, **fields):
    return browser.fill(path, {"decision": decision} | fields)


def again(client, answer, amount, action="accept", **more):
    """The call made again, with an answer to what was asked."""
    result = answer["result"]
    equal(result["resultType"], "input_required")
    [(key, asked)] = result["inputRequests"].items()
    equal((asked["method"], asked["params"]["mode"]), ("elicitation/create", "url"))
    return client.pay(amount, requestState=result["requestState"], inputResponses={key: {"action": action}}, **more)
