#!/usr/bin/env python3
"""What was recorded between real clients and servers goes through a whole Bartizan and comes out byte for byte.

Each conversation of crates/mcp/tests/data/recorded is held again, by a client and a server that send what is in the file
and compare what arrives: over stdio at both ends (`run`), over HTTP to a local program and over HTTP at both ends.
record.py makes the recordings.
"""

import itertools
import json
import os
import pathlib
import queue
import re
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "conformance"), str(HERE)]
import processes
from ends import META, MODERN, PATIENCE, HttpClient, HttpServer, StdioClient, StdioServer

DATA = processes.ROOT / "crates/mcp/tests/data/recorded"
CAPABILITIES = {"sampling": {}, "elicitation": {}, "roots": {"listChanged": True}}
OFFERS = {"tools": {"listChanged": True}, "prompts": {"listChanged": True}, "logging": {}, "completions": {},
          "resources": {"subscribe": True, "listChanged": True}}


def recordings():
    """By revision, the lines of each conversation; a line knows its number."""
    found = {}
    for file in sorted(DATA.glob("*.jsonl")):
        lines = [json.loads(line) | {"number": number} for number, line in enumerate(file.read_text().splitlines(), 1)]
        found[file.stem] = [list(talk) for _, talk in itertools.groupby(lines, lambda line: line["talk"])]
    return found


RECORDED = recordings()


def answers():
    """What each server has ever answered to a method, for conversations in which that was like another."""
    found = {}
    for talk in (talk for talks in RECORDED.values() for talk in talks):
        asked = {line["number"]: json.loads(line["text"]).get("method") for line in talk}
        for line in talk:
            result = json.loads(line["text"]).get("result")
            if line["from"] == "server" and result is not None:
                found.setdefault((line["server"], asked[line["answers"]]), result)
    return found


ANSWERS = answers()


class Replay:
    """One conversation, held again."""

    def __init__(self, test, lines, client, server):
        self.test, self.lines, self.client, self.server = test, lines, client, server
        self.tools = tools_of(lines)
        self.compared = 0

    def hold(self, revision):
        if revision != MODERN:
            self.greet(revision)
        for line in self.lines:
            message = json.loads(line["text"])
            if not self.may_go_on(message):
                continue
            if line["from"] == "client" and "method" in message and "within" not in line:
                if message["method"] not in ("initialize", "notifications/initialized"):
                    self.ask(line, message)
        self.fence()

    def may_go_on(self, message):
        """Over stdio everything does. Over HTTP requests of the stateless revision go to a local program only if they are whole."""
        if not isinstance(self.client, HttpClient):
            return True
        whole = META + "clientCapabilities" in message.get("params", {}).get("_meta", {})
        asks = self.client.revision == MODERN and "method" in message and "id" in message
        return self.client.may_say(message) and (whole or not asks or not isinstance(self.server, StdioServer))

    def greet(self, revision):
        """With every capability on either side, as what follows is from several conversations of the same parties."""
        who = {"clientInfo": {"name": "raw", "version": "1"}, "protocolVersion": revision, "capabilities": CAPABILITIES}
        hello = {"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": who}
        result = {"protocolVersion": revision, "capabilities": OFFERS, "serverInfo": {"name": "raw", "version": "1"}}
        known = [line for line in self.lines if '"initialize"' in line["text"]]
        answers = [line for line in self.lines if known and line.get("answers") == known[0]["number"]]
        if answers:
            hello, result = known[0]["text"], answers[0]["text"]
            id = json.loads(hello)["id"]
        else:
            id = hello["id"]
            hello, result = json.dumps(hello), json.dumps({"jsonrpc": "2.0", "id": id, "result": result})
        self.to_server(hello)
        self.to_client(result, id)
        self.to_server('{"jsonrpc":"2.0","method":"notifications/initialized"}')

    def ask(self, line, message):
        """One request or notification of the client, with everything that belongs to it."""
        self.to_server(line["text"])
        cancelled = False
        for other in self.lines:
            if other.get("within") == line["number"]:
                if other["from"] == "client":
                    cancelled = True
                    if self.may_go_on(json.loads(other["text"])):
                        self.to_server(other["text"])
                    continue
                self.to_client(other["text"], message["id"])
                asked = json.loads(other["text"])
                if "id" in asked:
                    replies = [held["text"] for held in self.lines if held.get("answers") == other["number"]]
                    self.to_server(replies[0] if replies else json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": {}}))
        if "id" in message and not cancelled and not message["method"] == "subscriptions/listen":
            replies = [held["text"] for held in self.lines if held.get("answers") == line["number"]]
            self.to_client(replies[0] if replies else self.made_up(message), message["id"])

    def made_up(self, message):
        """An answer where the recorded one was like another, or too long to be kept twice."""
        method = message["method"]
        result = {"tools/list": {"tools": self.tools}, "tools/call": {"content": [], "isError": True}}.get(method)
        if result is None:
            result = ANSWERS.get((self.lines[0]["server"], method), {})
        return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})

    def fence(self):
        """Nothing else came out."""
        self.test.assertEqual([self.client.came.get() for _ in range(self.client.came.qsize())], [])
        self.test.assertEqual([self.server.came.get() for _ in range(self.server.came.qsize())], [])

    def to_server(self, text):
        self.client.send(text.encode())
        while True:
            came = self.take(self.server.came, text)
            message = json.loads(came)
            # Before the first call the gateway asks for the tools itself.
            if message.get("method") == "tools/list" and came != text.encode():
                answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"tools": self.tools}}
                if "_meta" in message.get("params", {}):
                    answer["result"] |= {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
                self.server.send(json.dumps(answer).encode(), message["id"])
                continue
            return self.same(came, text)

    def to_client(self, text, within):
        self.server.send(text.encode(), within)
        # What is for this client alone must not be kept for others: the one thing that Bartizan edits in these.
        scope = json.loads(text).get("result", {}).get("cacheScope")
        expected = re.sub(r'("cacheScope": ?)"public"', r'\1"private"', text) if scope == "public" else text
        self.same(self.take(self.client.came, text), expected)

    def take(self, came, text):
        try:
            return came.get(timeout=PATIENCE)
        except queue.Empty:
            there = [self.client.came.get() for _ in range(self.client.came.qsize())]
            self.test.fail(f"it did not arrive: {text}\ninstead: {there}")

    def same(self, came, text):
        self.test.assertEqual(came.decode(), text)
        self.compared += 1


def tools_of(lines):
    """The tools of the conversation's server."""
    own = [json.loads(line["text"])["result"]["tools"] for line in lines if "answers" in line and '"tools":[' in line["text"]]
    tools = own[0] if own else ANSWERS.get((lines[0]["server"], "tools/list"), {}).get("tools", [])
    messages = [json.loads(line["text"]) for line in lines]
    called = {message["params"]["name"] for message in messages if message.get("method") == "tools/call"}
    # The conformance suite starts a server of its own for every scenario.
    lost = called - {tool["name"] for tool in tools}
    return tools if own else [*tools, *({"name": name, "inputSchema": {"type": "object"}} for name in sorted(lost))]


class Recorded(unittest.TestCase):
    maxDiff = None

    def each(self, way):
        for revision, talks in RECORDED.items():
            compared = 0
            for lines in talks:
                title = f"{revision}, {lines[0]['talk']}: {lines[0]['client']} and {lines[0]['server']}"
                with self.subTest(title):
                    compared += way(revision, lines)
            self.assertGreater(compared, 50, revision)

    def test_over_stdio(self):
        def way(revision, lines):
            with tempfile.TemporaryDirectory(prefix="bartizan-recorded-", ignore_cleanup_errors=True) as home:
                server = StdioServer()
                command = [processes.BARTIZAN, "run", "--level", "none", "--allow-unconfined", "--standalone", "--name", "server", "--", *server.place["command"]]
                client = StdioClient(command, {**os.environ, "BARTIZAN_HOME": home, "XDG_CONFIG_HOME": home})
                return self.held(revision, lines, client, server)
        self.each(way)

    def served(self, make):
        def way(revision, lines):
            server = make()
            with processes.bartizan({"server": server.place}) as url:
                return self.held(revision, lines, HttpClient(url("server"), revision, tools_of(lines)), server)
        self.each(way)

    def test_over_http_to_a_program(self):
        self.served(StdioServer)

    def test_over_http(self):
        self.served(HttpServer)

    def held(self, revision, lines, client, server):
        replay = Replay(self, lines, client, server)
        try:
            replay.hold(revision)
        finally:
            client.end()
            server.end()
        return replay.compared


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=2).result
    failed = len(result.failures) + len(result.errors)
    print(f"{max(result.testsRun - failed, 0)} passed, {failed} failed")
    sys.exit(1 if failed else 0)
