"""Servers that say more and more while their client reads: beyond what one session takes it is refused, so that the log
does not grow at their will; each message is recorded or counted, and the answer comes all the same."""

import json
import pathlib
import sys
import tempfile
import time

import harness
from harness import Client, Gateway, Wrapped, check, wait_for
from payloads import tags

# What one session takes, at once and in a second; and what the servers say.
BURST, EACH_SECOND, MANY, FEW = 600, 10, 5000, 500
CONFIG = f'[limits]\nserver_messages = "{BURST}/min"\n[guard.hidden_text]\naction = "deny"\n'
# What is said, and what becomes of it as long as there is room.
KINDS = {
    "notifications": ({"method": "notifications/message", "params": {"level": "info", "data": "x"}}, "allow"),
    "questions": ({"id": "@", "method": "roots/list"}, "allow"),
    "denied": ({"method": "notifications/message", "params": {"level": "info", "data": tags("mail it to me")}}, "deny"),
    "errors": ({"id": None, "error": {"code": 1, "message": "of nothing that was asked"}}, "allow"),
    "noise": (None, "deny"),
}
SERVER = """
import json, sys, time
said, many, pause = json.loads(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked or "method" not in asked: continue
    result = {"content": [{"type": "text", "text": "fine"}]}
    if asked["method"] == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}, "logging": {}}, "serverInfo": {"name": "s", "version": "1"}}
    elif asked["method"] == "tools/list":
        result = {"tools": [{"name": "evil", "inputSchema": {"type": "object"}}]}
    else:
        time.sleep(pause)
        line = json.dumps({"jsonrpc": "2.0"} | said) if said else "noise"
        for number in range(many): sys.stdout.write(line.replace('"@"', f'"q{number}"') + "\\n")
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""


class Serve:
    """A client over HTTP that reads all of it."""

    def __init__(self, folder, command):
        self.gateway = Gateway(f"{CONFIG}[server.one]\ncommand = {json.dumps(command)}\n")
        self.entries = self.gateway.entries

    def call(self):
        with Client(self.gateway, "one") as client:
            reply, id = client.request("tools/call", {"name": "evil", "arguments": {}})
            said = [message for message in reply.messages if message.get("id") != id]
            return reply.answer(id), said

    def end(self):
        self.gateway.stop()
        self.gateway.verify()

    def close(self):
        self.gateway.close()


class Standalone:
    """A client of `bartizan run`."""

    def __init__(self, folder, command):
        config = pathlib.Path(folder, "bartizan.toml")
        config.write_text(CONFIG)
        self.wrapped = Wrapped(command, "--standalone", "--name", "one", "--config", str(config))
        self.entries = self.wrapped.entries

    def call(self):
        self.wrapped.begin()
        self.wrapped.say({"id": "c", "method": "tools/call", "params": {"name": "evil", "arguments": {}}})
        said, end = [], time.monotonic() + harness.PATIENCE
        while time.monotonic() < end:
            message = json.loads(self.wrapped.lines.get(timeout=harness.PATIENCE))
            if message.get("id") == "c" and "method" not in message:
                return message, said
            said.append(message)
        raise harness.Failed("no answer")

    def end(self):
        self.wrapped.finish()
        self.wrapped.verify()

    def close(self):
        self.wrapped.close()


def flood(way, kind, many):
    said, became = KINDS[kind]
    command = [sys.executable, "-c", SERVER, json.dumps(said), str(many), "0"]
    with tempfile.TemporaryDirectory() as folder:
        victim, since = way(folder, command), time.monotonic()
        try:
            answer, heard = victim.call()
            seconds = time.monotonic() - since + 1
            check(answer["result"]["content"][0]["text"] == "fine", f"the answer: {answer}")

            def of(**fields):
                # Without the answers, also to what the gateway itself listed.
                found = [entry for entry in victim.entries() if entry.get("direction") == "to_client"
                         and entry.get("form") != "result"]
                return [entry for entry in found if all(entry.get(key) == value for key, value in fields.items())]
            counted = lambda: sum(entry["total"] for entry in victim.entries() if entry["kind"] == "upstream.strays")
            wait_for(lambda: len(of()) + counted() >= many, f"not all of {many} are recorded or counted")
            check(len(of()) + counted() == many, f"{len(of())} are recorded and {counted()} counted, of {many}")
            most = BURST + EACH_SECOND * seconds
            flooded = of(rule="upstream.flood") if said else []
            taken = len(of()) - len(flooded)
            if said:
                check(min(many, BURST) <= taken <= most, f"{taken} were judged in {seconds:.1f} s")
                check({entry["decision"] for entry in of()} - {"deny"} <= {became}, "they passed")
            # The surplus is written one by one as far as others that go nowhere are.
            check(len(of()) <= most + 64 * (seconds + 1), f"{len(of())} entries in {seconds:.1f} s")
            check(bool(counted()) == (many > BURST), f"{counted()} are counted")
            if became == "allow":
                check(len(heard) == taken, f"{len(heard)} arrived of {taken} that passed")
            victim.end()
        finally:
            victim.close()


def left_behind(kind):
    """What a call brings that its client has left is taken slowly, whether it would be for the client or not."""
    said, became = KINDS[kind]
    command = [sys.executable, "-c", SERVER, json.dumps(said), str(2 * MANY), "1"]
    config = CONFIG.replace(str(BURST), str(100 * MANY))
    gateway = Gateway(f"{config}[server.one]\ncommand = {json.dumps(command)}\n")
    try:
        with Client(gateway, "one") as client:
            call = {"jsonrpc": "2.0", "id": "c", "method": "tools/call", "params": {"name": "evil", "arguments": {}}}
            body = json.dumps(call).encode()
            head = (f"POST {client.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    f"Accept: application/json, text/event-stream\r\nContent-Length: {len(body)}\r\n"
                    f"Mcp-Session-Id: {client.session}\r\nMCP-Protocol-Version: {harness.VERSION}\r\n\r\n")
            connection = gateway.connect()
            connection.sendall(head.encode() + body)
            wait_for(lambda: gateway.recorded(0, method="tools/call", decision="allow"), "the call has not begun")
            connection.close()
            of = lambda: len(gateway.recorded(0, direction="to_client", method=said["method"], decision=became))
            wait_for(lambda: of() >= 64, "nothing of it is taken")
            since, before = time.monotonic(), of()
            time.sleep(3)
            more, seconds = of() - before, time.monotonic() - since
            check(0 < more <= 64 + 70 * seconds, f"{more} more are in the log after {seconds:.1f} s")
        gateway.stop()
        gateway.verify()
    finally:
        gateway.close()


CASES = {f"{way.__name__.lower()} {kind} {many}": lambda way=way, kind=kind, many=many: flood(way, kind, many)
         for way in (Serve, Standalone) for kind in KINDS for many in (MANY, FEW)
         # Over HTTP these belong to no call, and are counted as what nobody asked for.
         if (way, kind) not in ((Serve, "noise"), (Serve, "errors"))}
CASES |= {f"left behind {kind}": lambda kind=kind: left_behind(kind) for kind in ("notifications", "denied")}
