#!/usr/bin/env python3
"""Clients that attack: whatever one of them sends, or does not send or read, it gets a refusal that is recorded, honest
clients of the same gateway notice nothing, and the gateway's memory, connections and processes return to what they were.

Everything is written on bare sockets, so that nothing is too malformed to be sent. `run.py NAME…` runs the cases whose
names contain NAME.
"""

import contextlib
import gzip
import json
import pathlib
import re
import resource
import secrets
import select
import socket
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "hostile"), str(HERE)]

import harness  # noqa: E402
from attacker import (  # noqa: E402
    PING, SMUGGLED, Attacker, close_all, closed_by_gateway, collect, opened, statuses)
from harness import Client, Gateway, Suite, Twin, check, wait_for  # noqa: E402
from messages import Attack, attacks  # noqa: E402
import over_stdio  # noqa: E402

# How long a client may take to send a head, a body, and to read what it asked for.
SLOW = 3
SESSIONS, IN_FLIGHT = 500, 64
CONFIG = f"""[limits]
header_timeout = "{SLOW}s"
body_timeout = "{SLOW}s"
max_sessions = {SESSIONS}
max_in_flight = {IN_FLIGHT}
"""
NEW = "2026-07-28"


# Time and size.

def slow_heads(a):
    """Slowloris: heads that come a byte at a time."""
    since = a.mark()
    connections = opened(a.gateway, 300, f"POST {a.path} HTTP/1.1\r\nHost: localhost\r\n".encode())
    stop = threading.Event()

    def drip():
        while not stop.wait(0.5):
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.send(b"X")
    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    a.honest()
    time.sleep(SLOW + 1)
    stop.set()
    thread.join()
    found = closed_by_gateway(connections, 10)
    close_all(connections)
    check(found == 300, f"{300 - found} slow connections are still open")
    a.check_counted(since, 300)


def slow_bodies(a):
    since = a.mark()
    connections = opened(a.gateway, 300, a.head(length=1000, more=a.session()) + b"{")
    a.honest()
    time.sleep(SLOW)
    answers = []
    for connection in connections:
        connection.settimeout(10)
        with contextlib.suppress(OSError):
            answers += statuses(connection.recv(4096))
    close_all(connections)
    check(answers == [408] * 300, f"{len(answers)} answers, {set(answers)}")
    a.check_counted(since, 300)


def many_heads(a):
    a.refused(a.ping(more=(*a.session(), *(f"X-{n}: y" for n in range(200)))), {431, 400})
    a.honest()


def long_heads(a):
    a.refused(a.ping(more=(*a.session(), "X-Long: " + "y" * 2_000_000)), {431, 400})
    a.refused(b"POST /" + b"m" * 2_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", {414, 431, 400})
    a.refused(a.ping(more=(*a.session(), "X-Endless: " + "y" * 50_000_000)), {431, 400})


def large_bodies(a):
    """Refused by what the head says, before any of it is read, and the reason arrives although nothing is read."""
    megabyte = b" " * 1_000_000
    a.refused([a.head(length=100_000_000, more=a.session())] + [megabyte] * 100, {413}, limit=20)
    chunked = a.head(more=(*a.session(), "Transfer-Encoding: chunked"))
    a.refused([chunked] + [b"f4240\r\n" + megabyte + b"\r\n"] * 64, {413}, limit=20)
    a.refused(a.head(length=100_000_000, more=(*a.session(), "Expect: 100-continue")), {413}, limit=20)
    a.refused(a.head(length=2**63, more=a.session()), {413, 400})
    body = json.dumps(PING | {"params": {"_meta": {"x": "y" * 5_000_000}}}).encode()
    found = a.statuses([a.head(length=len(body), more=(*a.session(), "Connection: close")), body], limit=20)
    check(found == [200], f"a large honest message got {found}")


def large_at_once(a):
    """Many large bodies at the same time."""
    part = b'{"jsonrpc":"2.0","id":1,"method":"ping","x":"' + b"y" * 9_000_000
    threads, answers = [], []
    for _ in range(40):
        data = [a.head(length=10_000_000, more=a.session()), part]
        threads.append(threading.Thread(target=lambda: answers.extend(a.statuses(data, limit=30)), daemon=True))
        threads[-1].start()
    a.honest()
    for thread in threads:
        thread.join(60)
    check(len(answers) == 40 and set(answers) <= {408, 503}, f"{len(answers)}: {set(answers)}")


def garbage(a):
    a.refused([secrets.token_bytes(1_000_000)] * 64, {400, 431})
    a.refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500, {400})
    # Another version of HTTP is hung up on without a word.
    a.refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 50, {400, None})
    a.refused(b"\0" * 10_000, {400, 431})
    a.honest()


# Framing.

def smuggling(a):
    """Requests whose length two readers could see differently: at most one is answered, and what hides is never run."""
    hidden = a.smuggled()
    ping = json.dumps(PING).encode()
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(ping), ping)
    keep = a.session()
    attacks = {
        "length and chunks": a.head(length=len(chunked) + len(hidden), more=(*keep, "Transfer-Encoding: chunked")) + chunked + hidden,
        "chunks and length": a.head(more=(*keep, "Transfer-Encoding: chunked", f"Content-Length: {len(chunked) + len(hidden)}")) + chunked + hidden,
        "zero chunk first": a.head(length=5 + len(hidden), more=(*keep, "Transfer-Encoding: chunked")) + b"0\r\n\r\n" + hidden,
        "two lengths": a.head(length=len(ping), more=(*keep, f"Content-Length: {len(ping) + len(hidden)}")) + ping + hidden,
        "two lengths, zero": a.head(length=0, more=(*keep, f"Content-Length: {len(hidden)}")) + hidden,
        "a list of lengths": a.head(length=f"{len(ping)}, {len(ping) + len(hidden)}", more=keep) + ping + hidden,
        "length with a sign": a.head(length=f"+{len(ping)}", more=keep) + ping + hidden,
        "length in hexadecimal": a.head(length=hex(len(ping)), more=keep) + ping + hidden,
        "length below zero": a.head(length=-1, more=keep) + hidden,
        "length with a space": a.head(length=f"{len(ping)} 1", more=keep) + ping + hidden,
        "unknown coding": a.head(more=(*keep, "Transfer-Encoding: xchunked")) + chunked + hidden,
        "coding after chunks": a.head(more=(*keep, "Transfer-Encoding: chunked, identity")) + chunked + hidden,
        "chunks twice": a.head(more=(*keep, "Transfer-Encoding: chunked", "Transfer-Encoding: identity")) + chunked + hidden,
        "coding with a tab": a.head(length=4, more=(*keep, "Transfer-Encoding:\x0bchunked")) + chunked + hidden,
        "space before the colon": a.head(more=(*keep, "Transfer-Encoding : chunked"), length=4) + chunked + hidden,
        "folded line": a.head(length=len(ping), more=(*keep, "X-Fold: a", " Transfer-Encoding: chunked")) + ping + hidden,
        "folded coding": a.head(length=4, more=(*keep, "Transfer-Encoding:", " chunked")) + chunked + hidden,
        "bare line feed in a head": a.head(length=len(ping), more=(*keep, "X-A: b\nTransfer-Encoding: chunked")) + chunked + hidden,
        "bare carriage return": a.head(length=len(ping), more=(*keep, "X-A: b\rContent-Length: 0")) + ping + hidden,
        "null in a head": a.head(length=len(ping), more=(*keep, "X-A: b\0c")) + ping + hidden,
        "chunk size of 17 digits": a.head(more=(*keep, "Transfer-Encoding: chunked")) + b"10000000000000000\r\n" + hidden,
        "chunk size with a sign": a.head(more=(*keep, "Transfer-Encoding: chunked")) + b"-1\r\n" + hidden,
        "chunk without an end": a.head(more=(*keep, "Transfer-Encoding: chunked")) + b"%x\r\n%bXX" % (len(ping), ping) + hidden,
        "HTTP/1.0 with chunks": a.head(more=(*keep, "Transfer-Encoding: chunked")).replace(b"HTTP/1.1", b"HTTP/1.0") + chunked + hidden,
        "no version": f"POST {a.path}\r\n\r\n".encode() + hidden,
    }
    wrong = []
    for name, data in attacks.items():
        since = len(a.gateway.entries())
        found = a.statuses(data, limit=SLOW + 5)
        runs = a.gateway.recorded(since, method=SMUGGLED)
        if runs or len(found) > 1 and 200 in found[1:] or len([status for status in found if status == 200]) > 1:
            wrong.append(f"{name}: {found}, {'the hidden request was run' if runs else 'answered twice'}")
    check(not wrong, "; ".join(wrong))
    a.honest()


def codings(a):
    """A body whose end two readers could see at different places is refused, and its connection ends."""
    body = json.dumps(PING).encode()
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    for more in (("Transfer-Encoding: gzip, chunked",), ("Transfer-Encoding: gzip", "Transfer-Encoding: chunked")):
        a.refused(a.head(more=(*a.session(), *more)) + chunked + a.smuggled(), {400})
    # A length beside chunks means nothing, and whatever comes behind them is not read.
    for more in ((f"Content-Length: {len(chunked)}", "Transfer-Encoding: chunked"), ("Transfer-Encoding: chunked", "Content-Length: 5")):
        since = len(a.gateway.entries())
        found = a.statuses(a.head(more=(*a.session(), *more)) + chunked + a.smuggled())
        check(found == [200] and not a.gateway.recorded(since, method=SMUGGLED), f"{more}: {found}")
    found = a.statuses(a.head(more=(*a.session(), "Transfer-Encoding: chunked", "Connection: close")) + chunked)
    check(found == [200], f"an honest body in chunks: {found}")


def pipelining(a):
    """Legal, so it works, in order; and whoever does not read the answers is not served without end."""
    requests = b"".join(a.ping(body=PING | {"id": f"p{n}"}) for n in range(50))
    received = a.talk(requests)
    ids = re.findall(rb'"id": ?"p(\d+)"', received)
    check(ids == [b"%d" % n for n in range(50)], f"{len(ids)} answers: {ids[:10]}")
    connection = a.gateway.connect()
    connection.settimeout(0.5)
    sent, big = 0, a.ping(body=PING | {"id": "i" * 1000}) * 100
    with contextlib.suppress(OSError):
        for _ in range(2000):
            connection.sendall(big)
            sent += len(big)
    check(sent < 100_000_000, "the gateway reads on although nobody reads its answers")
    a.honest()
    close_all([connection])


def length_mismatch(a):
    """Bodies that end before they should."""
    since = a.mark()
    body = json.dumps(PING).encode()
    found = a.statuses(a.head(length=len(body) + 10, more=a.session()) + body, finish=True)
    check(found in ([400], []), f"a body cut off: {found}")
    found = a.statuses(a.head(more=(*a.session(), "Transfer-Encoding: chunked")) + b"5\r\n{", finish=True)
    check(found in ([400], []), f"a chunk cut off: {found}")
    a.check_counted(since, 1)
    check(not a.gateway.recorded(since, method="ping", session=None), "half a message was judged")


# Who asks, and for what.

def rebinding(a):
    hosts = ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "localhost@evil.example", "evil@localhost",
             "", "[::ffff:7f00:1]", "2130706433", "localhost:80:80", "localhost/", "a b", "[::1]evil", "[::1].evil",
             "localhost:abc"]
    for host in hosts:
        a.refused(a.ping(host=host, last=True), {400, 403})
    a.refused(a.ping(host=None, last=True), {400, 403})
    a.refused(a.ping(more=(*a.session(), "Host: evil.example", "Connection: close")), {400, 403})
    for origin in ("http://evil.example", "null", "http://localhost.evil.example", "file://", "http://127.0.0.1@evil.example",
                   "http://[::1].evil", "http://evil@localhost", "http://localhost/evil"):
        a.refused(a.ping(more=(*a.session(), f"Origin: {origin}", "Connection: close")), {403})
    a.refused(a.ping(more=(*a.session(), "Origin: http://localhost", "Origin: http://evil.example", "Connection: close")), {403})
    for more in ("Origin: http://localhost:6274", "X-Forwarded-Host: evil.example"):
        found = a.statuses(a.ping(more=(*a.session(), more, "Connection: close")))
        check(found == [200], f"{more}: {found}")


def other_sessions(a):
    """A session id is good for the path it was given out for, and cannot be guessed."""
    since = a.mark()
    with Client(a.gateway, "honest-stdio") as other:
        for path, session in (("/mcp/honest-stdio", a.victim.session), ("/mcp/honest", other.session), ("/mcp", other.session)):
            more = (f"Mcp-Session-Id: {session}", f"MCP-Protocol-Version: {harness.VERSION}", "Connection: close")
            for method in ("POST", "DELETE"):
                found = a.statuses(a.ping(method=method, path=path, more=more))
                check(found == [404], f"the session of another path at {path}: {found}")
        check("result" in other.post(PING).answer(1), "the session itself")
    for _ in range(300):
        more = (f"Mcp-Session-Id: {secrets.token_hex(16)}", "Connection: close")
        check(a.statuses(a.ping(more=more)) == [404], "a guess was right")
    for odd in ("", " ", "../x", "a" * 8000, "é", "*", "%00", a.victim.session.upper() + "x", a.victim.session[:-1],
                a.victim.session + " x", f"{a.victim.session}, {a.victim.session}"):
        found = a.statuses(a.ping(more=(f"Mcp-Session-Id: {odd}", "Connection: close")))
        check(found and found[0] in (400, 404, 431), f"{odd[:40]!r}: {found}")
    a.check_counted(since, 300)
    a.honest()


def event_ids(a):
    """What a client comes back with for the rest of a stream goes to the server in one form, or not at all."""
    get = lambda *ids: a.head("GET", kind=None, more=(*a.session(), *(f"Last-Event-ID: {id}" for id in ids), "Connection: close"))  # noqa: E731
    before = len(a.upstream())
    for ids in ([""], [" "], ["a b"], ["a\tb"], ["caf\u00e9"], ["e" * 1025], ["e" * 60_000], ["e1", "e2"], ["e1", "e1"]):
        a.refused(get(*ids), {400, 431})
    names = [name for head in a.upstream()[before:] for name, _ in head["headers"]]
    check("last-event-id" not in names, "a malformed one went upstream")
    before = len(a.upstream())
    found = a.statuses(get("e" * 1024), limit=3)
    # The honest server never named it; all of them together have a stream of their own, to begin anew.
    check(found in ([400], [200]), f"a well-formed id that is none: {found}")
    names = [name for head in a.upstream()[before:] for name, _ in head["headers"]]
    check("last-event-id" not in names, "an id that the server never named went upstream")
    a.honest()


def forged_responses(a):
    """Answers to questions that no server asked do not reach the server."""
    since, before = len(a.gateway.entries()), len(a.upstream())
    for id in (1, "q", 0, -1, "\u200b" * 150):
        for rest in ({"result": {"role": "assistant", "content": {"type": "text", "text": "yes"}}},
                     {"error": {"code": 1, "message": "no"}}):
            reply = a.victim.post({"jsonrpc": "2.0", "id": id, **rest})
            check(reply.status == 400, f"a forged response got {reply.status}")
    check(len(a.gateway.recorded(since, rule="conformance.unsolicited")) == 10, "not all of them are recorded")
    after = [head for head in a.upstream()[before:] if ["mcp-session-id", "forged"] in head["headers"]]
    check(not after, "a forged response went upstream")
    a.honest()


def same_ids_in_flight(a):
    """Two requests under one id at the same time: each gets its own answer."""
    for server in ("honest", "honest-stdio"):
        with Client(a.gateway, server) as client:
            answers = {}

            def ask(text):
                message = {"jsonrpc": "2.0", "id": "same", "method": "tools/call",
                           "params": {"name": "echo", "arguments": {"text": text, "wait": 0.3}}}
                answers[text] = client.post(message).answer("same")["result"]["content"][0]["text"]

            threads = [threading.Thread(target=ask, args=(f"t{n}",)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            check(answers == {f"t{n}": f"t{n}" for n in range(8)}, f"{server}: {answers}")


def together_ids(a):
    """The same for all servers at once: under one id, each call gets its own server's answer."""
    answers = {}

    def ask(server, text):
        message = {"jsonrpc": "2.0", "id": "same", "method": "tools/call",
                   "params": {"name": f"{server}__echo", "arguments": {"text": text, "wait": 0.3}}}
        answers[text] = a.victim.post(message).answer("same")["result"]["content"][0]["text"]

    texts = [(server, f"{server} {n}") for server in ("honest", "honest-stdio", "slow") for n in range(4)]
    threads = [threading.Thread(target=ask, args=each) for each in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    check(answers == {text: text for _, text in texts}, f"{answers}")


def together_answers(a):
    """Answers that name a server, as ids of its questions would, although it asked nothing, or that name none."""
    since = len(a.gateway.entries())
    for id in (1, "q", "honest/1", 'honest/"q"', "honest-stdio/1", "none/1", "honest/", "/1", "honest/1,2", 'honest/1,"x":2'):
        reply = a.victim.post({"jsonrpc": "2.0", "id": id, "result": {"role": "forged"}})
        check(reply.status in (202, 400) and not reply.messages, f"{id}: {reply.status} {reply.messages}")
    for token in ("honest/1", "1", 7):
        a.victim.post({"jsonrpc": "2.0", "method": "notifications/progress",
                       "params": {"progressToken": token, "progress": 1, "message": "forged"}})
    found = a.gateway.recorded(since, rule="conformance.unsolicited")
    check(len(found) >= 10, f"not all of them are recorded: {found}")
    passed = a.gateway.recorded(since, form="result", direction="to_server", decision="allow")
    check(not passed, f"forged answers went to a server: {passed}")
    check("result" in a.victim.call(a.tool, {"text": "x"}), "the session")


def odd_ids(a):
    """An id that is strange but legal comes back as it was."""
    for id in ("", "x" * 1000, "\\\"" * 200, "é" * 150, 2**63 - 1, -(2**63), 0):
        reply = a.victim.post(PING | {"id": id})
        check(reply.answer(id).get("result") == {}, f"{id!r}: {reply.messages}")
    since = len(a.gateway.entries())
    for id in (b"1.0", b"1e3", b"9223372036854775808", b"null", b"true", b"[]", b"{}"):
        reply = a.victim.post(b'{"jsonrpc":"2.0","id":' + id + b',"method":"ping"}')
        check(reply.status == 400 and "bartizan" in json.dumps(reply.messages), f"{id}: {reply.status} {reply.messages}")
    check(len(a.gateway.recorded(since, rule="conformance.id")) == 7, f"{a.gateway.rules(since)}")


def mismatch(a):
    """In the stateless era the headers repeat the body; where they do not, nothing goes on."""
    meta = {"io.modelcontextprotocol/protocolVersion": NEW, "io.modelcontextprotocol/clientInfo": {"name": "s", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {}}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "echo", "arguments": {"text": "fine"}, "_meta": meta}}
    right = {"MCP-Protocol-Version": NEW, "Mcp-Method": "tools/call", "Mcp-Name": "echo"}
    attacks = [{"Mcp-Method": "tools/list"}, {"Mcp-Name": "other"}, {"Mcp-Name": None}, {"Mcp-Method": None},
               {"MCP-Protocol-Version": "2025-11-25"}, {"Mcp-Name": "=?base64?b3RoZXI=?="}, {"Mcp-Name": "ECHO"},
               {"Mcp-Method": "TOOLS/CALL"}, {"MCP-Protocol-Version": None}]
    body = json.dumps(call).encode()

    def send(headers, extra=()):
        more = [f"{key}: {value}" for key, value in headers.items() if value is not None]
        return a.talk(a.head(length=len(body), more=(*more, *extra, "Connection: close")) + body)

    def fine(received):
        return statuses(received) == [200] and b"fine" in received

    check(fine(send(right)), f"the honest call: {send(right)[:600]!r}")
    since = len(a.gateway.entries())
    for attack in attacks:
        received = send(right | attack)
        check(statuses(received)[0] in (400, 404), f"{attack}: {received[:400]!r}")
    for twice in ("Mcp-Name: other", "Mcp-Method: tools/list"):
        check(statuses(send(right, (twice,))) == [400], f"{twice}, twice")
    check(len(a.gateway.recorded(since, rule="conformance.header_mismatch")) >= len(attacks), f"{a.gateway.rules(since)}")
    flood = send(right, tuple(f"Mcp-Param-{n}: v" for n in range(80)))
    check(statuses(flood)[0] in (200, 400), f"{flood[:300]!r}")
    check(statuses(send(right, ("Mcp-Param-Note: =?base64?!?=",))) == [400], "a header that nobody can read")
    names = {name for head in a.upstream() for name, _ in head["headers"]}
    check("mcp-param-note" not in names, "a header that nobody can read went upstream")
    check(fine(send(right)), "the honest call, afterwards")


def two_eras(a):
    """In a session, what says of itself that it is of the era without sessions goes on to nobody: a program of both eras
    would take it for another request than the one that was judged. Other `_meta` passes."""
    prefix = "io.modelcontextprotocol/"
    old, new = harness.VERSION, {"protocolVersion": NEW, "clientInfo": {"name": "s", "version": "1"}, "clientCapabilities": {}}
    attacks = [(new, "conformance.header_mismatch", -32020), ({"protocolVersion": NEW}, "conformance.header_mismatch", -32020),
               ({"protocolVersion": ""}, "conformance.header_mismatch", -32020), ({"protocolVersion": 1}, "gateway.two_eras", -32600),
               ({"protocolVersion": old}, "gateway.two_eras", -32600), ({"clientCapabilities": {}}, "gateway.two_eras", -32600),
               ({"clientInfo": {}}, "gateway.two_eras", -32600), ({"logLevel": "debug"}, "gateway.two_eras", -32600)]
    plain = {"progressToken": "p", "com.example/trace": 1, prefix + "related-task": {"taskId": "t"}, "protocolVersion": NEW}
    for server in [None] if a.path == "/mcp" else ["honest", "honest-stdio"]:
        with Client(a.gateway, server) as client:
            def call(meta, headers=None, **more):
                message = {"jsonrpc": "2.0", "method": "tools/call",
                           "params": {"name": a.tool, "arguments": {"text": "fine"}, "_meta": meta}}
                return client.post(message | more, headers)
            for said, rule, code in attacks:
                meta, since = {prefix + key: value for key, value in said.items()} | {"progressToken": 1}, len(a.gateway.entries())
                reply = call(meta, id="new")
                error = reply.answer("new").get("error", {})
                check((reply.status, error.get("code")) == (400, code) and rule in error["message"], f"{said}: {reply.messages}")
                reply = call(meta, method="notifications/odd")
                check(reply.status == 400, f"{said} in a notification: {reply.status}")
                found = [entry["decision"] for entry in a.gateway.recorded(since, rule=rule)]
                check(found == ["deny", "deny"], f"{said}: {found}")
                passed = a.gateway.recorded(since, decision="allow", request="new")
                check(not passed, f"{said} went on: {passed}")
            # Without the header it is of the other era, and lacks that era's.
            since = len(a.gateway.entries())
            client_session, client.session = client.session, None
            reply = call({prefix + key: value for key, value in new.items()}, {"Mcp-Session-Id": client_session}, id="bare")
            client.session = client_session
            check(reply.status == 400 and reply.answer("bare")["error"]["code"] == -32020, f"{reply.messages}")
            info = {"protocolVersion": old, "capabilities": {}, "clientInfo": {"name": "s", "version": "1"}}
            begin = {"jsonrpc": "2.0", "id": "i", "method": "initialize", "params": info | {"_meta": {prefix + "protocolVersion": NEW}}}
            reply = client.post(begin, {"MCP-Protocol-Version": old})
            check(reply.status == 400 and "mcp-session-id" not in reply.headers, f"{reply.status} {reply.messages}")
            answer = call(plain, id="plain").answer("plain")
            check(answer["result"]["content"][0]["text"] == "fine", f"the honest call: {answer}")


def credentials(a):
    """What identifies the client to the gateway stays there."""
    secret = f"secret-{secrets.token_hex(8)}"
    more = (*a.session(), f"Authorization: Bearer {secret}", f"Cookie: c={secret}", f"Proxy-Authorization: Basic {secret}",
            f"X-Api-Key: {secret}", f"X-Forwarded-For: {secret}", f"Forwarded: for={secret}", f"Via: {secret}",
            f"Last-Event-ID: {secret}", f"Traceparent: {secret}", f"User-Agent: {secret}", "Connection: close, X-Api-Key")
    found = a.statuses(a.ping(more=more))
    check(found == [200], f"{found}")
    seen = json.dumps(a.upstream())
    check(secret not in seen and a.victim.session not in seen, "something of the client's went upstream")
    log = "\n".join(json.dumps(entry) for entry in a.gateway.entries()) + a.gateway.said.read_text()
    check(secret not in log and a.victim.session not in log, "something of the client's is in a log")


def paths(a):
    tricks = ["/", "//mcp/honest", "/mcp/../mcp/honest", "/mcp/./honest", "/mcp/%68onest", "/mcp%2fhonest", "/mcp/honest/",
              "/mcp/honest%00", "/mcp/HONEST", "/mcp//honest", "/mcp/honest;x=1", "/mcp/..%2f..%2fetc/passwd", "/metrics",
              "/livez", "/mcp/%2e%2e/admin", "/mcp/*", "*", "/mcp/honest\\x", "/mcp/none"]
    for path in tricks:
        a.refused(a.ping(path=path, more=(*a.session(), "Connection: close")), {400, 404, 405})
    for path in ("http://evil.example/mcp/honest", "https://localhost@evil.example/mcp/honest", "http://evil.example:80/"):
        a.refused(a.ping(path=path, more=(*a.session(), "Connection: close")), {400, 403, 404})
    for path in (f"http://localhost:{a.gateway.port}/mcp/honest", "/mcp/honest?x=1"):
        found = a.statuses(a.ping(path=path, more=(*a.session(), "Connection: close")))
        check(found == [200], f"{path}: {found}")


def methods(a):
    for method in ("TRACE", "PUT", "PATCH", "OPTIONS", "HEAD", "PROPFIND", "post", "X"):
        marked = (*a.session(), "X-Mark: echoed-back", "Connection: close")
        received = a.talk(a.ping(method=method, more=marked))
        check(statuses(received)[0] in (400, 405, 501), f"{method}: {received[:200]!r}")
        check(b"echoed-back" not in received, f"{method} echoes")
    a.refused(b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", {400, 403, 404, 405})
    a.refused(b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", {400, 403, 404, 405})
    received = a.talk(a.ping(more=(*a.session(), "Upgrade: websocket", "Connection: Upgrade, close", "Sec-WebSocket-Key: x")))
    check(statuses(received)[0] == 200, f"an upgrade is ignored: {received[:200]!r}")


def types(a):
    """What a web page could send without asking first, and what nobody can read safely."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None, "application/jsonp"):
        a.refused(a.ping(kind=kind, more=(*a.session(), "Connection: close")), {415})
    since, body = len(a.gateway.entries()), gzip.compress(json.dumps(PING).encode())
    found = a.statuses(a.head(length=len(body), more=(*a.session(), "Content-Encoding: gzip", "Connection: close")) + body)
    check(found[0] in (400, 415), f"a compressed body: {found}")
    check(a.gateway.rules(since) or a.counted(since), "it is not recorded")
    found = a.statuses(a.ping(kind="application/json; charset=utf-8", more=(*a.session(), "Connection: close")))
    check(found == [200], f"{found}")


def messages(a):
    """What two parsers could read differently, and what is no message."""
    held = attacks() | {"nothing": Attack(b"", "conformance.syntax", False)}
    for name, attack in held.items():
        since = len(a.gateway.entries())
        reply = a.victim.post(attack.body)
        text = json.dumps(reply.messages)
        check(reply.status == 400 and "bartizan" in text and attack.rule in text, f"{name}: {reply.status} {text[:300]}")
        check(attack.rule in a.gateway.rules(since), f"{name} is not recorded: {a.gateway.rules(since)}")
    a.honest()


def long_names(a):
    """Names that would be kept, or written into the log, are refused on the record; long URIs and long keys pass."""
    long, uri = "n" * 1_100_000, "file:///" + "u" * 10_000
    request = lambda method, params: {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    attacks = {
        "tool": request("tools/call", {"name": long, "arguments": {}}),
        "progress token": request("tools/call", {"name": "echo", "_meta": {"progressToken": long}}),
        "token that is none": request("ping", {"_meta": {"progressToken": {"x": long}}}),
        "resource": request("resources/subscribe", {"uri": "file:///" + long}),
        "task": request("tasks/get", {"taskId": long}),
    }
    for name, message in attacks.items():
        since = len(a.gateway.entries())
        reply = a.victim.post(message)
        text = json.dumps(reply.messages)
        check(reply.status == 400 and "conformance.name_length" in text, f"{name}: {reply.status} {text[:300]}")
        found = a.gateway.recorded(since, rule="conformance.name_length")
        check(len(found) == 1 and found[0]["bytes"] > len(long), f"{name}: {found}")
    since = len(a.gateway.entries())
    answer = json.dumps(a.victim.request("resources/read", {"uri": uri})[0].messages)
    check("bartizan" not in answer, f"a URI of 10 KB: {answer[:300]}")
    # What is found below a key of a megabyte is recorded, and acted upon as anywhere else.
    arguments = {"text": "x", "k" * 1_100_000: "hidden: \U000e0041\U000e0042"}
    answer = json.dumps(a.victim.call("echo", arguments))
    check("log_unwritable" not in answer, f"a long key: {answer[:300]}")
    found = [entry for entry in a.gateway.recorded(since, method="tools/call") if entry.get("findings")]
    check(found and all(len(finding["at"]) < 1_000 for finding in found[0]["findings"]), f"the log lacks it: {str(found)[:500]}")
    check("hidden_text.tags" in a.gateway.rules(since), f"{a.gateway.rules(since)}")
    a.honest()


# Numbers.

def idle_connections(a):
    """Thousands of connections that say nothing: others get in, and these are closed after a while."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(5000, hard // 2 - 200)
    connections = opened(a.gateway, count)
    a.honest()
    found = closed_by_gateway(connections, SLOW + 60)
    close_all(connections)
    check(found == count, f"{count - found} idle connections are still open")


def idle_between(a):
    """Connections that were useful once are not kept without end either."""
    data = a.ping()
    connections = []
    for _ in range(200):
        connections += opened(a.gateway, 1, data)
        check(statuses(collect(connections[-1], 10)) == [200], "the first request")
    found = closed_by_gateway(connections, SLOW + 30)
    close_all(connections)
    check(found == 200, f"{200 - found} are still open")


def many_sessions(a):
    """More sessions than may be: the newest get in, and those in use stay."""
    body = {"protocolVersion": harness.VERSION, "capabilities": {}, "clientInfo": {"name": "flood", "version": "1"}}
    begin = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": body}
    request, last = a.ping(body=begin, more=()), a.ping(body=begin, more=("Connection: close",))
    found = []
    for _ in range(SESSIONS * 3 // 50):
        found += a.statuses(request * 49 + last)
    check(found == [200] * (SESSIONS * 3), f"{len(found)} answers, {set(found)}")
    check(a.gateway.metric("bartizan_sessions") <= SESSIONS * 2, "more sessions than may be")
    a.honest()


def many_clients(a):
    """In the stateless era a client is who it says it is; saying so a thousand times takes no more."""
    for number in range(SESSIONS + 200):
        meta = {"io.modelcontextprotocol/protocolVersion": NEW, "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": f"c{number}", "version": "1"}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": {"name": "echo", "arguments": {"text": "x"}, "_meta": meta}}
        more = (f"MCP-Protocol-Version: {NEW}", "Mcp-Method: tools/call", "Mcp-Name: echo", "Connection: close")
        found = a.statuses(a.ping(body=body, more=more))
        check(found == [200] or found == [503], f"client {number}: {found}")
    check(a.gateway.metric("bartizan_sessions") <= SESSIONS * 2, "more sessions than may be")
    a.honest()


def leave_early(a):
    """Clients that go right after they asked: nothing of theirs stays, and the server's places are free again."""
    message = PING | {"method": "tools/call", "params": {"name": "echo", "arguments": {"text": "x", "wait": 1}}}
    before = a.gateway.files()
    for _ in range(5):
        connections = opened(a.gateway, 50, a.ping(body=message, path="/mcp/slow", more=a.session(a.slow)))
        close_all(connections, hard=True)
    begin = {"protocolVersion": harness.VERSION, "capabilities": {}, "clientInfo": {"name": "gone", "version": "1"}}
    request = a.ping(body={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": begin}, more=(), path="/mcp/honest-stdio")
    children = a.gateway.children()
    for _ in range(10):
        close_all(opened(a.gateway, 2, request), hard=True)
    wait_for(lambda: a.gateway.files() <= before + 80, f"open files: {a.gateway.files()}, before {before}", 30)
    wait_for(lambda: a.gateway.children() <= children + 2, f"children: {a.gateway.children()}, before {children}", 90)
    wait_for(lambda: not a.slow.call("echo", {"text": "x"})["result"].get("isError"), "the places are not free again", 30)
    a.honest()


def too_many_calls(a):
    """One client takes all places of a server that it can get; what is over that is refused at once, another client of the
    same server gets a place all the same, and other servers have their own."""
    since = len(a.gateway.entries())
    message = PING | {"method": "tools/call", "params": {"name": "echo", "arguments": {"text": "x", "wait": 8}}}
    request = a.ping(body=message, path="/mcp/slow", more=a.session(a.slow))
    connections = opened(a.gateway, IN_FLIGHT * 2, request)
    a.gateway.wait_recorded(since, "a server that is busy", rule="upstream.busy")
    with Client(a.gateway, "slow") as other, Client(a.gateway, "honest-stdio") as another:
        for _ in range(3):
            answer = other.call("echo", {"text": "x"})
            check("result" in answer and not answer["result"].get("isError"), f"another client of the same server: {answer}")
        check("result" in another.call("echo", {"text": "x"}), "another server")
        check(not select.select(connections[:1], [], [], 0)[0], "the calls that take the places should still be under way")
    received = b"".join(collect(connection, 15) for connection in connections)
    close_all(connections)
    check(received.count(b"upstream.busy") >= IN_FLIGHT // 2, f"{received.count(b'upstream.busy')} were refused")
    check(statuses(received) == [200] * (IN_FLIGHT * 2), f"{len(statuses(received))} answers")


def never_reads(a):
    """A client asks for 200 MB of events and reads none of them."""
    since = len(a.gateway.entries())
    message = PING | {"method": "tools/call", "params": {"name": "echo", "arguments": {"text": "x", "notes": 20_000}}}
    connections, before = [], a.gateway.files()
    for _ in range(10):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((a.gateway.host, a.gateway.port))
        connection.sendall(a.ping(body=message, path="/mcp/slow", more=a.session(a.slow)))
        connections.append(connection)
    under_way = {"method": "tools/call", "server": "slow", "direction": "to_server"}
    wait_for(lambda: len(a.gateway.recorded(since, **under_way)) >= 8, "the calls are not under way")
    a.honest()
    passed = len(a.gateway.recorded(since, method="notifications/message"))
    check(passed < 20_000 * 10, "the server is read on although the client does not read")
    # Each had two, its own and one to the server; honest clients may have left some to be used again.
    wait_for(lambda: a.gateway.files() <= before + 6, "the connections are kept", SLOW + 30)
    close_all(connections)
    answer = json.dumps(a.victim.call(a.tool, {"text": "x", "notes": 100}))
    check('"x"' in answer, f"a client that reads: {answer}")


def half_open_streams(a):
    """Streams whose client went away without a word do not keep the next one out, nor does a second one."""
    with Client(a.gateway, "honest-stdio") as client:
        get = a.head("GET", "/mcp/honest-stdio", kind=None, more=(
            f"Mcp-Session-Id: {client.session}", f"MCP-Protocol-Version: {harness.VERSION}", "Accept: text/event-stream"))
        first = opened(a.gateway, 1, get)[0]
        check(statuses(collect(first, 10)) == [200], "the first stream")
        second = a.statuses(get, limit=3)
        check(second and second[0] in (200, 405, 409), f"a second stream beside the first: {second}")
        first.shutdown(socket.SHUT_WR)
        close_all([first], hard=True)

        def again():
            connection = opened(a.gateway, 1, get)[0]
            found = statuses(collect(connection, 2))
            close_all([connection], hard=True)
            return found == [200]
        for _ in range(20):
            wait_for(again, "the stream is still taken", 10)
        check("result" in client.call("echo", {"text": "x"}), "the session")
    before = a.gateway.files()
    with Client(a.gateway, "honest") as client:
        get = a.head("GET", kind=None, more=(*a.session(client), "Connection: close"))
        found = statuses(b"".join(a.talk(get) for _ in range(20)))
        check(found == [405] * 20, f"a server without a stream: {found}")
    wait_for(lambda: a.gateway.files() <= before + 20, "connections are left", 30)


CASES = [slow_heads, slow_bodies, many_heads, long_heads, large_bodies, large_at_once, garbage, smuggling, codings, pipelining,
         length_mismatch, rebinding, other_sessions, event_ids, forged_responses, same_ids_in_flight, odd_ids, mismatch, two_eras,
         credentials, paths, methods, types, messages, long_names, idle_connections, idle_between, leave_early, too_many_calls, never_reads,
         half_open_streams, many_clients, many_sessions]
# What is worth doing to the endpoint of all servers as well: what depends on who answers there.
TOGETHER = [slow_bodies, large_bodies, large_at_once, smuggling, pipelining, length_mismatch, rebinding, event_ids, together_answers,
            together_ids, odd_ids, two_eras, credentials, types, messages, never_reads]


def baseline(gateway, files, children):
    """Nothing is left of all this: no connection, no process, no task that holds one."""
    wait_for(lambda: gateway.children() <= children + 4, f"processes: {gateway.children()}, before {children}", 90)
    wait_for(lambda: gateway.files() <= files + 120, f"open files: {gateway.files()}, before {files}", 90)


def main():
    process, honest, seen_at = harness.honest_server()
    gateway = Gateway(CONFIG + harness.honest_config(honest) + f'[server.slow]\nurl = "{honest}"\n')
    try:
        twin = Twin(gateway, ["honest", "honest-stdio"])
        twin.check_moves()
        files, children = gateway.files(), gateway.children()
        attacker = Attacker(gateway, seen_at)
        suite = Suite(gateway, twin, sys.argv[1:])
        for case in CASES:
            suite.run(case.__name__, lambda: attacker.run(case))
        attacker = Attacker(gateway, seen_at, together=True)
        for case in TOGETHER:
            suite.run(f"together {case.__name__}", lambda: attacker.run(case))
        for name, case in over_stdio.cases():
            suite.run(name, case)
        suite.run("nothing is left behind", lambda: baseline(gateway, files, children))
        return suite.finish()
    finally:
        gateway.close()
        process.kill()


if __name__ == "__main__":
    sys.exit(main())
