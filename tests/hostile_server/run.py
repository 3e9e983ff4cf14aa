#!/usr/bin/env python3
"""Servers that attack: whatever one of them does, its client gets a clear error, the log has the reason, the gateway's
memory stays bounded, and clients of other servers notice nothing.

Each case is a server of its own behind one gateway. A client calls its honest tool, then the one that attacks, then
the honest one again; honest twins call honest servers over both transports all the while. `run.py NAME…` runs the cases
whose names contain NAME.
"""

import json
import pathlib
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "hostile"), str(HERE)]

import floods  # noqa: E402
import harness  # noqa: E402
import hostile_http  # noqa: E402
import resting  # noqa: E402
import shared  # noqa: E402
import standalone  # noqa: E402
import together  # noqa: E402
from harness import Client, Gateway, Suite, Twin, check, wait_for  # noqa: E402
from payloads import HIDDEN, PAYLOADS  # noqa: E402

# A server may be silent for so long, and a request may take so long in all.
SILENCE, LONGEST = 3, 8
PATIENCE = 20
# What succeeds only with its last word has more time, on a machine that does other things, with a gateway of its own.
LONG, UNHURRIED = "flood", 60
# So does what is told from the rest by how much it is, of which all has to be read.
MUCH = "hundred-megabytes"

# What an attack must end in: the rule that the client is told of and the log holds; None: the call succeeds.
HTTP = {
    "endless-body": "upstream.too_large", "large-event": "upstream.too_large",
    "large-event-in-lines": "upstream.too_large", "large-comments": None, "large-event-id": None,
    "headers-then-silence": "upstream.timeout", "body-then-silence": "upstream.timeout",
    "comments-forever": "upstream.timeout", "events-forever": "upstream.timeout", "flood": None,
    "never": "upstream.timeout", "drip-body": "upstream.timeout", "drip-head": "upstream.timeout",
    "half-closed": "upstream.broken_off", "closed-at-once": "upstream.broken_off", "reset": "upstream.broken_off",
    "reset-halfway": "upstream.broken_off", "stream-without-answer": "upstream.broken_off",
    "invalid-chunks": "upstream.broken_off", "huge-chunk": "upstream.broken_off",
    "chunk-extensions": "upstream.broken_off", "endless-trailers": "upstream.broken_off",
    "two-lengths": "upstream.malformed", "length-too-small": None,
    "gzipped": "upstream.content_encoding", "bomb": "upstream.content_encoding",
    "no-content-type": "upstream.content_type", "split": None, "bare-return": "upstream.malformed",
    "null-in-head": "upstream.malformed", "many-heads": "upstream.malformed", "long-head": "upstream.malformed",
    "continues": "upstream.timeout", "hints": None, "switching": "upstream.status", "error-status": "upstream.status",
    "line-breaks-in-event-id": None, "other-kinds": None,
    "wrong-id": "upstream.broken_off", "wrong-id-alone": "upstream.broken_off", "id-of-other-type": "upstream.broken_off",
    "twice": None, "unsolicited": None, "ask-twice": None,
    "request-as-answer": "upstream.broken_off", "notification-as-answer": "upstream.broken_off", "meddle": None,
}
HTTP |= {name: "upstream.content_type" for name in hostile_http.ATTACKS if name.startswith("type-")}
HTTP |= {name: "upstream.status" for name in hostile_http.ATTACKS if name.startswith("redirect-")}
HTTP |= {name: "upstream.malformed" for name in hostile_http.ATTACKS if name.startswith("status-line-")}
STDIO = {
    "no-newline": None, "wrong-id": "upstream.timeout", "id-of-other-type": "upstream.timeout",
    "twice": None, "ask-twice": None, "unsolicited": None, "noise": None, "flood-stderr": None, "flood": None,
    "flood-forever": "upstream.timeout", "die": "upstream.ended", "die-halfway": "conformance.syntax",
    "close-output": "upstream.ended", "close-input": None, "never": "upstream.timeout", "drip": "upstream.timeout",
    "meddle": "conformance.syntax",
}
# Further rules that the log must hold, because part of the attack was stopped on the way.
ALSO = {
    "wrong-id": "conformance.unsolicited", "wrong-id-alone": "conformance.unsolicited",
    "id-of-other-type": "conformance.unsolicited", "unsolicited": "conformance.unsolicited",
    "line-breaks-in-event-id": "conformance.unsolicited",
    "meddle": "conformance.unsolicited", "ask-twice": "conformance.duplicate_id", "no-newline": "conformance.size", "noise": "conformance.syntax",
}
SILENT = ["session-space", "session-bytes", "session-tab", "session-long", "session-empty"]
LISTS = ["hidden-definition", "changed-definition", "many-tools", "long-names", "noisy-notifications", "pushes", "busy"]


def configuration(port, honest, longest=LONGEST, silence=SILENCE):
    lines = [f'[limits]\nrequest_timeout = "{longest}s"\nmax_in_flight = 16\n', harness.honest_config(honest)]
    web = [*HTTP, *SILENT, *LISTS, *PAYLOADS, *(f"{name}-event" for name in PAYLOADS)]
    for name in web:
        lines.append(f'[server.{key(name)}]\nurl = "http://127.0.0.1:{port}/{name}"\ntimeout = "{silence}s"\n')
    for name in [*STDIO, *PAYLOADS, "hidden-definition", "changed-definition"]:
        command = json.dumps([sys.executable, str(HERE / "hostile_stdio.py"), name])
        lines.append(f'[server.{key("stdio-" + name)}]\ncommand = {command}\ntimeout = "{silence}s"\n')
    return "\n".join(lines)


KEYS = {}


def key(name):
    """A name of at most 24 characters for a server."""
    return KEYS.setdefault(name, name if len(name) <= 24 else f"{name[:20]}-{len(KEYS)}")


def is_fine(answer):
    content = answer.get("result", {}).get("content") or [{}]
    return not answer.get("result", {}).get("isError") and content[0].get("text", "").startswith("fine")


class Case:
    """One attack from beginning to end. Where all servers are one, `prefix` stands before the names of the tools."""

    def __init__(self, gateway, server, rule, also=None, told=True, prefix="", patience=PATIENCE):
        self.gateway, self.server, self.prefix, self.patience = gateway, server and key(server), prefix, patience
        self.rule, self.also, self.told = rule, also, told

    def __call__(self):
        since = len(self.gateway.entries())
        with Client(self.gateway, self.server, self.patience) as client:
            self.good(client)
            reply, id = client.request("tools/call", {"name": f"{self.prefix}evil", "arguments": {}})
            answer = reply.answer(id)
            self.judge(answer, reply)
            self.check_log(since)
            self.after(client)

    def good(self, client):
        answer = client.call(f"{self.prefix}good")
        check(is_fine(answer), f"the honest tool of the same server: {answer}")

    def judge(self, answer, reply):
        text = json.dumps(answer, ensure_ascii=False)
        check(len(text) < 4096 or self.rule is None, f"an error of {len(text)} characters")
        for character in HIDDEN:
            check(character not in text, f"{character!r} got through: {text!r}")
        check(hostile_http.SPEECH not in text.replace("-", " "), f"the server speaks in the gateway's voice: {text}")
        for name in ("set-cookie", "authorization", "www-authenticate", "location", "access-control-allow-origin", "x-note"):
            check(name not in reply.headers, f"the server's {name} reached the client")
        check(reply.headers.get("mcp-session-id") is None, "an answer names a session")
        if self.rule is None:
            check(is_fine(answer), f"not what was expected: {text}")
        elif self.told:
            check(self.rule in text, f"the client is not told of {self.rule}: {text}")
            check("result" not in answer or answer["result"].get("isError"), f"no error: {text}")

    def check_log(self, since):
        wanted = {self.rule, self.also} - {None}
        wait_for(lambda: wanted <= self.gateway.rules(since), f"the log lacks one of {wanted}", 10)
        said = json.dumps(self.gateway.entries()[since:]).replace("-", " ")
        check(hostile_http.SPEECH not in said, "the log has the server's words")

    def after(self, client):
        # A server that has ended is started with the next session; one that is busy with itself answers nobody.
        if self.server.startswith("stdio-"):
            with Client(self.gateway, self.server, PATIENCE) as another:
                self.good(another)
        else:
            self.good(client)


def odd_session(gateway, name):
    """A session id that is not visible ASCII, or beyond all measure, is refused; the server does not get it back."""
    since = len(gateway.entries())
    client = Client(gateway, key(name), PATIENCE)
    info = {"protocolVersion": harness.VERSION, "capabilities": {}, "clientInfo": {"name": "suite", "version": "1"}}
    reply, id = client.request("initialize", info)
    text = json.dumps(reply.answer(id))
    check("upstream.session_id" in text, f"the odd session id was taken: {text}")
    check(reply.headers.get("mcp-session-id") is None, "a session was opened")
    check("upstream.session_id" in gateway.rules(since), "the log lacks it")


def hidden_definition(gateway, server):
    since = len(gateway.entries())
    with Client(gateway, key(server), PATIENCE) as client:
        reply, id = client.request("tools/list")
        names = [tool["name"] for tool in reply.answer(id)["result"]["tools"]]
        check(names == ["good", "evil"], f"the tool that hides text is listed: {names}")
        check(is_fine(client.call("good")), "the honest tool")
        answer = json.dumps(client.call("sly"))
        check("isError" in answer and "bartizan" in answer, f"the withheld tool could be called: {answer}")
        check("hidden_text.tags" in gateway.rules(since), "the log lacks it")


def changed_definition(gateway, server):
    since = len(gateway.entries())
    with Client(gateway, key(server), PATIENCE) as client:
        names = lambda: [tool["name"] for tool in (lambda r: r[0].answer(r[1]))(client.request("tools/list"))["result"]["tools"]]
        check(names() == ["good", "evil"], "the first listing")
        check(is_fine(client.call("good")), "the tool before it changed")
        check(names() == ["evil"], "the changed tool is still listed")
        answer = json.dumps(client.call("good"))
        check("tool_pinning.changed" in answer, f"the changed tool could be called: {answer}")
        check("tool_pinning.changed" in gateway.rules(since), "the log lacks it")


def many_tools(gateway):
    """A list of 20,000 tools: as many as may be pinned are taken, and the gateway goes on."""
    # As many as are pinned of one server are written into the lock file at once, each with its text.
    with Client(gateway, key("many-tools"), 6 * PATIENCE) as client:
        reply, id = client.request("tools/list")
        answer = reply.answer(id)
        check(len(answer.get("result", {}).get("tools", [])) > 9_000 or "bartizan" in json.dumps(answer), "neither")
        answer = client.call("good")
        check(is_fine(answer), f"the honest tool: {answer}")


def long_names(gateway):
    """Pages with a tool each whose name takes megabytes: it is withheld, and the lock file stays one that can be read."""
    since = len(gateway.entries())
    with Client(gateway, key("long-names"), PATIENCE) as client:
        cursor = {}
        for page in range(8):
            reply, id = client.request("tools/list", cursor)
            result = reply.answer(id)["result"]
            names = [tool["name"] for tool in result["tools"]]
            check(names == ["good", "evil"], f"page {page}: {[name[:20] for name in names]}")
            cursor = {"cursor": result["nextCursor"]}
        check(len(gateway.recorded(since, decision="transform")) == 8, "the log lacks it")
        # The list has more pages, which the gateway reads for itself before it takes a call for what is on it.
        check(is_fine(client.call("good")), "the honest tool")
        check("conformance.name_length" in gateway.rules(since), f"{gateway.rules(since)}")
    size = (gateway.home / "mcp.lock").stat().st_size
    check(size < 8_000_000, f"the lock file has {size} bytes")
    done = subprocess.run([gateway.binary, "lock", "diff", "--config", str(gateway.config)], env=gateway.environment,
                          capture_output=True, text=True, timeout=60)
    check(done.returncode in (0, 1) and "larger" not in done.stderr, f"lock diff: {done.returncode} {done.stderr[:300]}")


def noisy_notifications(gateway):
    """A server that answers notifications with endless streams keeps nobody waiting."""
    with Client(gateway, key("noisy-notifications"), PATIENCE) as client:
        for _ in range(10):
            reply = client.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 999}})
            check(reply.status == 202, f"a notification got {reply.status}")
        check(is_fine(client.call("good")), "the honest tool")


def pushes(gateway):
    """Answers to nothing, on the stream that belongs to no request."""
    since = len(gateway.entries())
    with Client(gateway, key("pushes"), PATIENCE) as client:
        connection = gateway.connect()
        head = (f"GET /mcp/pushes HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
                f"Mcp-Session-Id: {client.session}\r\nMCP-Protocol-Version: {harness.VERSION}\r\n\r\n")
        connection.sendall(head.encode())
        seen = b""
        while b"notifications/message" not in seen:
            piece = connection.recv(65536)
            check(piece, f"the stream ended: {seen[:300]}")
            seen += piece
        check(b"surprise" not in seen and b"earlier request" not in seen, f"an answer to nothing got through: {seen[:500]}")
        check(len(gateway.recorded(since, rule="conformance.unsolicited")) >= 21, "not all of them are recorded")
        check(is_fine(client.call("good")), "the honest tool")
        connection.close()


def busy(gateway):
    """More calls than a server may have waiting: the surplus is refused at once, and others are not affected."""
    since = len(gateway.entries())
    with Client(gateway, key("never"), PATIENCE) as client:
        answers = []

        def ask(number):
            reply = client.post({"jsonrpc": "2.0", "id": f"b{number}", "method": "tools/call",
                                 "params": {"name": "evil", "arguments": {}}})
            answers.append(json.dumps(reply.answer(f"b{number}")))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        check(len(answers) == 40, f"{len(answers)} of 40 were answered")
        refused = sum("upstream.busy" in answer for answer in answers)
        waited = sum("upstream.timeout" in answer for answer in answers)
        check(refused >= 20 and waited >= 1, f"{refused} refused, {waited} timed out: {answers[0]}")
        check("upstream.busy" in gateway.rules(since), "the log lacks it")


def credentials(gateway):
    """What is the client's stays with the gateway, and what the server sets does not reach the client."""
    with Client(gateway, key("split"), PATIENCE) as client:
        secret = {"Authorization": "Bearer of-the-client", "Cookie": "c=of-the-client", "X-Api-Key": "of-the-client",
                  "Proxy-Authorization": "Basic of-the-client", "X-Forwarded-For": "10.0.0.1"}
        reply = client.post({"jsonrpc": "2.0", "id": "c", "method": "tools/call",
                             "params": {"name": "good", "arguments": {}}}, secret)
        check(is_fine(reply.answer("c")), f"{reply.messages}")
        check("set-cookie" not in reply.headers, "a cookie of the server's")
    heads = json.dumps(hostile_http.SEEN["split"])
    check("of-the-client" not in heads and "10.0.0.1" not in heads, f"the client's own headers went upstream: {heads}")
    method, headers = hostile_http.SEEN["split"][1]
    check(headers.get("mcp-session-id") == "s-split", f"the server's own session was not used: {headers}")


def unhurried(port, honest, chosen):
    """Thousands of messages and then the answer, over both transports; and the largest of all messages."""
    gateway = Gateway(configuration(port, honest, UNHURRIED, UNHURRIED))
    try:
        suite = Suite(gateway, Twin(gateway, ["honest", "honest-stdio"]), chosen)
        for transport, prefix in (("http", ""), ("stdio", "stdio-")):
            suite.run(f"{transport} {LONG}", Case(gateway, prefix + LONG, None, patience=UNHURRIED))
        payloads(suite, gateway, {MUCH: PAYLOADS[MUCH]}, UNHURRIED)
        suite.end()
        return suite
    finally:
        gateway.close()


def payloads(suite, gateway, chosen, patience=PATIENCE):
    """Each as a body, as an event and as a line."""
    for name, payload in chosen.items():
        rule, more = payload.rule, {"told": payload.told, "patience": patience}
        over_http = "upstream.too_large" if rule == "conformance.size" else rule
        suite.run(f"http body {name}", Case(gateway, name, over_http, **more))
        suite.run(f"http event {name}", Case(gateway, f"{name}-event", over_http, **more))
        suite.run(f"stdio line {name}", Case(gateway, f"stdio-{name}", rule, **more))


def not_followed(_):
    check("redirected" not in hostile_http.SEEN, "a redirect was followed")


def baseline(gateway, files, children):
    """Nothing is left of all this: no connection, no child, no task that holds one."""
    wait_for(lambda: gateway.children() <= children, f"children are left: {gateway.children()}, before {children}")
    # Connections to servers are kept for reuse, and closed when they were idle for one to two minutes.
    wait_for(lambda: gateway.files() <= files + 8, f"open files: {gateway.files()}, before {files}", 150)


def main():
    process, honest, _ = harness.honest_server()
    port = hostile_http.start()
    gateway = Gateway(configuration(port, honest))
    try:
        twin = Twin(gateway, ["honest", "honest-stdio"])
        twin.check_moves()
        files, children = gateway.files(), gateway.children()
        suite = Suite(gateway, twin, sys.argv[1:])
        long = unhurried(port, honest, sys.argv[1:])
        suite.passed, suite.failed = long.passed, long.failed
        for transport, prefix, table in (("http", "", HTTP), ("stdio", "stdio-", STDIO)):
            for name, rule in table.items():
                if name != LONG:
                    suite.run(f"{transport} {name}", Case(gateway, prefix + name, rule, ALSO.get(name)))
        payloads(suite, gateway, {name: payload for name, payload in PAYLOADS.items() if name != MUCH})
        for name in SILENT:
            suite.run(f"http {name}", lambda: odd_session(gateway, name))
        for prefix in ("", "stdio-"):
            suite.run(f"{prefix or 'http '}hidden-definition", lambda: hidden_definition(gateway, prefix + "hidden-definition"))
            suite.run(f"{prefix or 'http '}changed-definition", lambda: changed_definition(gateway, prefix + "changed-definition"))
        for case in (many_tools, long_names, noisy_notifications, pushes, busy, credentials, not_followed):
            suite.run(case.__name__, lambda: case(gateway))
        for name in standalone.CASES:
            suite.run(f"standalone {name}", lambda: standalone.attack(name))
        suite.run("standalone last words", standalone.last_words)
        suite.run("standalone quotes", standalone.quotes)
        for name, attack in shared.cases(STDIO | {"meddle": None}):
            suite.run(f"shared {name}", attack)
        for name, case in resting.CASES.items():
            suite.run(f"resting {name}", case)
        for name, case in floods.CASES.items():
            suite.run(f"flood {name}", case)
        suite.run("nothing is left behind", lambda: baseline(gateway, files, children))
        suite.end()
        return together.run(suite, Case, port, honest, (HTTP, STDIO, ALSO))
    finally:
        gateway.close()
        process.kill()


if __name__ == "__main__":
    sys.exit(main())
