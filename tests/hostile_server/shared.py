"""The same hostile servers with `shared = true`: one process, and two clients who choose the same ids and tokens. What is
one's never reaches the other, whatever the process says, and however it ends."""

import json
import pathlib
import sys
import threading
import time

import harness
from harness import Client, Gateway, check, wait_for
from payloads import HIDDEN, PAYLOADS

SERVER = str(pathlib.Path(__file__).with_name("hostile_stdio.py"))
# As long as a request may take in all, where the gateway ends it; what ends by itself has more, on a machine that does other things.
SILENCE, LONGEST, UNHURRIED = 3, 8, 60
MUCH = "hundred-megabytes"
# After these the process answers nobody, the one who waits included.
ENDS_ALL = {"flood-forever", "die", "die-halfway", "close-output", "close-input", "never", "drip"}
# Rules that the log has to hold instead, as there is more than one whom it could concern.
ALSO = {"wrong-id": "gateway.shared_unattributed", "id-of-other-type": "gateway.shared_unattributed",
        "twice": "gateway.shared_unattributed", "unsolicited": "gateway.shared_unattributed",
        "noise": "conformance.syntax", "no-newline": "conformance.size", "meddle": "gateway.shared_unattributed",
        "ask-twice": "gateway.shared_unattributed"}
SECRETS = ("secret of the other", "secret://of-the-other", "out of memory")


def cases(stdio):
    rules = dict(stdio) | {name: payload.rule for name, payload in PAYLOADS.items()}
    for name in rules:
        told = rules[name] if name not in PAYLOADS or PAYLOADS[name].told else None
        yield name, lambda name=name, told=told: attack(name, told)
    for name in FLOODS:
        yield f"flood of {name}", lambda name=name: flood(name)


# What a process may say for ever, to nobody.
FLOODS = {"requests": {"id": "r", "method": "roots/list"}, "pings": {"id": "p", "method": "ping"},
          "notifications": {"method": "notifications/x"}, "answers": {"id": 99, "result": {}}, "noise": None}
FLOOD = """
import json, sys, threading
line = sys.argv[1] + "\\n"
def flood():
    while True: sys.stdout.write(line * 1000)
hello = json.loads(sys.stdin.readline())
result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}
print(json.dumps({"jsonrpc": "2.0", "id": hello["id"], "result": result}), flush=True)
threading.Thread(target=flood, daemon=True).start()
for line_read in sys.stdin: pass
"""


def flood(name):
    """A process that says one thing for ever does not fill the log, with no client left: what is beyond a few a second is counted."""
    line = "x" if FLOODS[name] is None else json.dumps({"jsonrpc": "2.0"} | FLOODS[name])
    command = json.dumps([sys.executable, "-c", FLOOD, line])
    gateway = Gateway(f"[server.one]\ncommand = {command}\nshared = true\n")
    try:
        since = time.monotonic()
        with Client(gateway, "one"):
            pass
        wait_for(lambda: len(gateway.recorded(0, kind="upstream.strays")) >= 2, "it is not counted")
        entries, seconds = len(gateway.entries()), time.monotonic() - since + 2
        check(64 <= entries <= 40 + 70 * seconds, f"{entries} entries in {seconds} s")
        gateway.stop()
        gateway.verify()
    finally:
        gateway.close()


class Listener:
    """What a client hears on the stream that belongs to no request."""

    def __init__(self, gateway, client):
        self.connection, self.heard = gateway.connect(), b""
        head = (f"GET {client.path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
                f"Mcp-Session-Id: {client.session}\r\nMCP-Protocol-Version: {harness.VERSION}\r\n\r\n")
        self.connection.sendall(head.encode())
        threading.Thread(target=self.run, daemon=True).start()
        wait_for(lambda: b"200 OK" in self.heard, "the stream of what is unasked")

    def run(self):
        try:
            self.connection.settimeout(60)
            while piece := self.connection.recv(65536):
                self.heard += piece
        except OSError:
            pass


def attack(name, rule):
    command = json.dumps([sys.executable, SERVER, name, "hold"])
    longest = UNHURRIED if name in ("flood", MUCH) else LONGEST
    # Whoever waits beside the largest of all messages has nothing said to them for as long as that is read.
    silence = UNHURRIED if name == MUCH else SILENCE
    gateway = Gateway(f'[limits]\nrequest_timeout = "{longest}s"\n'
                      f'[server.one]\ncommand = {command}\nshared = true\ntimeout = "{silence}s"\n')
    try:
        with Client(gateway, "one") as evil, Client(gateway, "one") as other:
            listeners = [Listener(gateway, client) for client in (evil, other)]
            held = threading.Thread(target=hold, args=(other,), daemon=True)
            for client in (evil, other):
                check(client.call("good")["result"]["content"][0]["text"] == "fine", "the honest tool")
            held.start()
            wait_for(lambda: gateway.recorded(0, tool="hold"), "the other client's call")
            reply = evil.post(call("evil"))
            judge(name, rule, reply)
            held.join(harness.PATIENCE)
            check_other(name, other.held)
            for listener in listeners:
                for secret in SECRETS:
                    check(secret.encode() not in listener.heard, f"heard unasked: {listener.heard[:600]}")
            wanted = {ALSO.get(name), PAYLOADS[name].rule if name in PAYLOADS else None} - {None}
            wait_for(lambda: wanted <= gateway.rules(0), f"the log lacks one of {wanted}: {gateway.rules(0)}", 10)
            check(gateway.peak() < harness.MEMORY, f"the gateway took {gateway.peak() / harness.MIB:.0f} MiB")
            if name not in ENDS_ALL:
                check(other.call("good")["result"]["content"][0]["text"] == "fine", "the other's next call")
        gateway.stop()
        gateway.verify()
    finally:
        gateway.close()


def call(tool):
    # Both clients choose the same id and the same token.
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call",
            "params": {"name": tool, "arguments": {}, "_meta": {"progressToken": "p"}}}


def hold(client):
    client.held = None
    client.held = client.post(call("hold"))


def judge(name, rule, reply):
    """What the client that calls the attack gets: its own answer or a clear error, and nothing that is the other's."""
    answer, text = reply.answer(7), json.dumps(reply.messages, ensure_ascii=False)
    for secret in (*SECRETS, "held", "for the one that holds", *HIDDEN):
        check(secret not in text, f"{secret!r} reached a client whose it is not: {text[:600]}")
    if rule is None:
        check("fine" in json.dumps(answer) or name in PAYLOADS, f"not what was expected: {text[:600]}")
    else:
        # What names no request could be anybody's, so nobody is told and the wait ends in time.
        check(any(word in text for word in (rule, "upstream.timeout", "upstream.ended")), f"not told of {rule}: {text[:600]}")


def check_other(name, reply):
    """What the other one gets: its own answer, its own progress, and nothing else."""
    check(reply is not None, "the other client has no answer")
    answer, text = reply.answer(7), json.dumps(reply.messages, ensure_ascii=False)
    for secret in (*SECRETS, "fine", "again", "surprise", *HIDDEN):
        check(secret not in text, f"{secret!r} reached the other client: {text[:600]}")
    if name in ENDS_ALL:
        check("upstream.ended" in text or "upstream.timeout" in text, f"the other is not told: {text[:600]}")
    else:
        check(answer.get("result", {}).get("content") == [{"type": "text", "text": "held"}], f"the other got {text[:600]}")
    for message in reply.messages:
        if message.get("method") == "notifications/progress":
            check(message["params"] == {"progressToken": "p", "progress": 1, "message": "for the one that holds"}, f"{message}")
        else:
            check(message is answer, f"more than its answer: {message}")
