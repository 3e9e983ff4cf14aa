"""One policy, and every way that a message can take to something that it refuses: endpoints, transports and revisions."""

import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile

import world
from harness import BINARY, MODERN, Gateway, Keyed, Wrapped, check, equal
from upstream import Answering, Upstream

POLICIES_OF_ANN = world.POLICIES.replace("permit(principal,", 'permit(principal == Mcp::User::"ann",')
REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", MODERN)
HERE = pathlib.Path(__file__).resolve().parent


class Handler(Answering):
    def result(self, method, params):
        return world.result(method, params)


def heard(home):
    """What the program was asked that `bartizan run` stands before."""
    return [json.loads(line) for line in (home / "heard.jsonl").read_bytes().split(b"\n")[:-1]]


# What is asked for, and whether the policy allows it.
def asked(prefix, uri):
    tool = lambda name, **arguments: ("tools/call", {"name": prefix + name, "arguments": arguments})  # noqa: E731
    of_prompt = lambda name: {"ref": {"type": "ref/prompt", "name": prefix + name}, "argument": {"name": "whom", "value": "a"}}  # noqa: E731
    of_template = lambda name: {"ref": {"type": "ref/resource", "uri": uri(name)}, "argument": {"name": "name", "value": "b"}}  # noqa: E731
    return [
        (tool("read"), True), (tool("write"), False), (tool("pay", amount=100), True), (tool("pay", amount=101), False),
        (tool("pay", amount="1"), False), (tool("pay"), False),
        (("resources/read", {"uri": uri("note://good")}), True), (("resources/read", {"uri": uri("note://bad")}), False),
        # Of the template, and in no list.
        (("resources/read", {"uri": uri("note://good-too")}), True), (("resources/read", {"uri": uri("note://worse")}), False),
        (("prompts/get", {"name": prefix + "greet"}), True), (("prompts/get", {"name": prefix + "curse"}), False),
        (("completion/complete", of_prompt("greet")), True), (("completion/complete", of_prompt("curse")), False),
        (("completion/complete", of_template("note://good")), True), (("completion/complete", of_template("note://bad")), False),
    ]


def visit(client, where, prefix="", uri=lambda uri: uri):
    """Asks for all of it; what has to be in lists, and is not, and what passes, and does not."""
    names = lambda method, kind, key: sorted(thing[key] for thing in client.result(method)[kind])  # noqa: E731
    equal(names("tools/list", "tools", "name"), [prefix + "pay", prefix + "read"], f"tools: {where}")
    equal(names("resources/list", "resources", "uri"), [uri("note://good")], f"resources: {where}")
    equal(names("prompts/list", "prompts", "name"), [prefix + "greet"], f"prompts: {where}")
    for (method, params), allowed in asked(prefix, uri):
        answer = json.dumps(client.ask(method, params))
        equal(("came of" in answer, any(rule in answer for rule in ("policy.denied", "policy.undecided"))), (allowed, not allowed), f"{method} {params}: {where}: {answer}")


def reached(heard, where):
    """Nothing that is refused may have reached the server."""
    methods = {method for (method, _), _ in asked("", str)}
    plain = lambda params: {name: value for name, value in params.items() if name != "_meta"}  # noqa: E731
    seen = {json.dumps(plain(message["params"])) for message in heard if message.get("method") in methods}
    check(seen, f"something is heard: {where}")
    for bad in ("write", "101", '"1"', "note://bad", "worse", "curse"):
        equal([params for params in seen if bad in params], [], f"what reached the server: {where}")


def over_http():
    for revision in REVISIONS:
        for path in ("/mcp", "/mcp/world"):
            server = Upstream(Handler)
            with contextlib.ExitStack() as stack:
                stack.callback(server.server_close)
                stack.callback(server.shutdown)
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bartizan-routes-"))
                policies = pathlib.Path(folder, "p.cedar")
                policies.write_text(POLICIES_OF_ANN)
                more = f'[auth]\nrequired = true\n[policy]\nfiles = ["{policies}"]'
                gateway = stack.enter_context(Gateway({"world": {"url": server.url}}, more))
                made = subprocess.run([BINARY, "key", "create", "ann", "--scope", "mcp", "--expires", "1h", "--config", gateway.config],
                                      env=gateway.environment, capture_output=True, text=True, timeout=60, check=True)
                client = stack.enter_context(Keyed(gateway, made.stdout.strip(), path, revision))
                where = f"{path} in {revision}"
                visit(client, where, "world__" if path == "/mcp" else "", lambda uri: uri)
                reached(server.heard, where)


def over_stdio():
    for revision in REVISIONS:
        for options in ((), ("--standalone",)):
            with tempfile.TemporaryDirectory(prefix="bartizan-routes-") as folder:
                home = pathlib.Path(folder)
                (home / "config/bartizan").mkdir(parents=True)
                (home / "p.cedar").write_text(world.POLICIES)
                (home / "config/bartizan/bartizan.toml").write_text(f'[policy]\nfiles = ["{home}/p.cedar"]\n')
                where = f"stdio in {revision} {options}"
                program = [sys.executable, str(HERE / "world.py"), str(home / "heard.jsonl")]
                with Wrapped(home, "world", program, *options, version=revision) as client:
                    visit(client, where)
                    reached(heard(home), where)
