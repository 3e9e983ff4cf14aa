#!/usr/bin/env python3
"""Generated messages of every revision go through a running Bartizan, both ways, and come out byte for byte.

Between stdio and HTTP in every pairing, with answers as JSON and as events of a stream. The two exceptions are tested as
what they are: towards stdio a line break between values becomes a space, and in an event a carriage return becomes a line
feed, as neither can be carried there. BARTIZAN_SEED draws other messages; the long version draws more, and new ones.
"""

import collections
import contextlib
import json
import os
import pathlib
import queue
import secrets
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "conformance"), str(HERE.parent / "recorded"), str(HERE.parent / "log"), str(HERE)]
import processes  # noqa: E402
import auditlog  # noqa: E402
from ends import PATIENCE, Event, HttpClient, HttpServer, StdioClient, StdioServer  # noqa: E402
from generate import BLANKS, BREAKS, MODERN, RETURNS, REVISIONS, Generator  # noqa: E402

LONG = bool(os.environ.get("BARTIZAN_TEST_LONG"))
SEED = os.environ.get("BARTIZAN_SEED") or (secrets.token_hex(4) if LONG else "20261126")
EXCHANGES = 400 if LONG else 30
TOOLS = [{"name": "echo", "inputSchema": {"type": "object"}}]


def as_line(raw):
    """As a message stands on a line of its own."""
    return raw.replace(b"\n", b" ").replace(b"\r", b" ")


def as_event(raw):
    """As it comes out of an event."""
    return raw.replace(b"\r", b"\n")


class Talk:
    """One conversation of generated messages."""

    def __init__(self, test, revision, client, server, breaks):
        self.test, self.revision, self.client, self.server = test, revision, client, server
        self.lines_in, self.lines_out = isinstance(client, StdioClient), isinstance(server, StdioServer)
        self.asks = not isinstance(server, HttpServer) or server.answers_in_streams
        # Who speaks in lines cannot break them, but for a carriage return that ends no line.
        blanks = lambda lines: (RETURNS if lines else BREAKS) if breaks else BLANKS
        self.ours = Generator(revision, f"{SEED} client", blanks(self.lines_in))
        self.theirs = Generator(revision, f"{SEED} server", blanks(self.lines_out))
        self.compared, self.changed, self.in_events, self.sizes = 0, 0, 0, []

    def hold(self):
        if self.revision != MODERN:
            self.greet()
        for _ in range(EXCHANGES):
            self.exchange()
        self.test.assertTrue(self.client.came.empty() and self.server.came.empty(), "something else came out")

    def greet(self):
        who = {"protocolVersion": self.revision, "clientInfo": {"name": "generated", "version": "1"},
               "capabilities": {"sampling": {}, "elicitation": {}, "roots": {"listChanged": True}}}
        offers = {"tools": {}, "prompts": {}, "resources": {"subscribe": True}, "logging": {}, "completions": {}}
        result = {"protocolVersion": self.revision, "capabilities": offers, "serverInfo": {"name": "generated", "version": "1"}}
        self.to_server(json.dumps({"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": who}).encode())
        self.to_client(json.dumps({"jsonrpc": "2.0", "id": "hello", "result": result}).encode(), "hello")
        self.to_server(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')

    def exchange(self):
        draw = self.ours.random.random
        if draw() < 0.2:
            self.to_server(self.ours.note())
        id, token, method, raw = self.ours.request()
        within = json.loads(id)
        self.to_server(raw)
        # Where there is one body for an answer, nothing can come before it.
        if self.asks:
            if token:
                self.to_client(self.theirs.progress(token), within)
            if draw() < 0.3:
                self.to_client(self.theirs.notice(), within)
            if self.revision != MODERN and draw() < 0.3:
                asked, question = self.theirs.question()
                self.to_client(question, within)
                self.to_server(self.ours.reply(asked))
        if not self.lines_out and draw() < 0.1:
            # Of whoever could not even read the id.
            return self.to_client(self.theirs.error(None), within)
        if self.lines_in and draw() < 0.1:
            self.to_client(self.theirs.error(None), within)
        self.to_client(self.theirs.answer(id, method), within)

    def to_server(self, raw):
        self.client.send(raw)
        while True:
            came = self.take(self.server.came, raw)
            message = json.loads(came)
            # Before the first call the gateway asks for the tools itself.
            if message.get("method") != "tools/list":
                break
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"tools": TOOLS}}
            if self.revision == MODERN:
                answer["result"] |= {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
            self.server.send(json.dumps(answer).encode(), message["id"])
        self.same(came, as_line(raw) if self.lines_out else raw, raw)

    def to_client(self, raw, within):
        self.server.send(raw, within)
        came = self.take(self.client.came, raw)
        # A message in a stream is what its events say.
        read = as_event(raw) if not self.lines_out and self.server.answers_in_streams else raw
        expected = as_line(read) if self.lines_in else as_event(read) if isinstance(came, Event) else read
        self.same(came, expected, read)

    def take(self, came, raw):
        try:
            return came.get(timeout=PATIENCE)
        except queue.Empty:
            there = [self.client.came.get() for _ in range(self.client.came.qsize())]
            self.test.fail(f"it did not arrive: {raw!r}\ninstead: {there}")

    def same(self, came, expected, read):
        self.test.assertEqual(bytes(came), expected)
        self.sizes.append(len(read))
        self.changed += expected != read
        self.in_events += expected != read and isinstance(came, Event)
        self.compared += 1


class Generated(unittest.TestCase):
    maxDiff = None

    def each(self, make):
        for revision in REVISIONS:
            for breaks in (False, True):
                with self.subTest(f"{revision}, {'line breaks too' if breaks else 'on one line'}, seed {SEED}"):
                    with contextlib.ExitStack() as stack:
                        client, server, home = make(stack, revision)
                        talk = Talk(self, revision, client, server, breaks)
                        # A stream that stays open would be waited for.
                        stack.callback(talk.client.end)
                        talk.hold()
                        self.assertGreater(talk.compared, EXCHANGES * 2)
                        # Nothing but line breaks, and those wherever they cannot be carried.
                        self.assertEqual(talk.changed > 0, breaks and (talk.lines_in or talk.lines_out))
                        if talk.lines_out and not talk.lines_in:
                            self.assertEqual(talk.in_events > 0, breaks)
                        if home:
                            self.check_log(home, talk)

    def check_log(self, home, talk):
        """What is recorded is what was read: of each message the size before anything was written anew."""
        messages = [entry for entry in auditlog.entries_below(home) if entry["kind"] == "message"]
        self.assertEqual({entry["decision"] for entry in messages}, {"allow"})
        recorded = collections.Counter(entry["bytes"] for entry in messages)
        self.assertEqual(collections.Counter(talk.sizes) - recorded, collections.Counter())

    def wrapped(self, *options):
        def make(stack, _):
            home = stack.enter_context(tempfile.TemporaryDirectory(prefix="bartizan-generated-", ignore_cleanup_errors=True))
            server = StdioServer()
            stack.callback(server.end)
            command = [processes.BARTIZAN, "run", "--level", "none", "--allow-unconfined", *options, "--name", "server", "--", *server.place["command"]]
            stack.callback(stop, home)
            client = StdioClient(command, {**os.environ, "BARTIZAN_HOME": home, "XDG_CONFIG_HOME": home})
            return client, server, pathlib.Path(home)
        return make

    def served(self, of):
        def make(stack, revision):
            server = of()
            stack.callback(server.end)
            url = stack.enter_context(processes.bartizan({"server": server.place}))
            return HttpClient(url("server"), revision, TOOLS), server, None
        return make

    def test_between_stdio_alone(self):
        self.each(self.wrapped("--standalone"))

    def test_between_stdio_through_the_users_own(self):
        self.each(self.wrapped())

    def test_from_http_to_stdio(self):
        self.each(self.served(StdioServer))

    def test_from_http_to_http_as_events(self):
        self.each(self.served(HttpServer))

    def test_from_http_to_http_as_json(self):
        self.each(self.served(lambda: HttpServer(streams=False)))


def stop(home):
    """Ends the user's Bartizan of that home, if it has one."""
    subprocess.run([processes.BARTIZAN, "daemon", "--stop"], env={**os.environ, "BARTIZAN_HOME": home}, capture_output=True, timeout=PATIENCE)


if __name__ == "__main__":
    print(f"seed {SEED}, {EXCHANGES} exchanges of each revision, way and spelling")
    result = unittest.main(exit=False, verbosity=2, warnings="ignore").result
    failed = len(result.failures) + len(result.errors)
    print(f"{max(result.testsRun - failed, 0)} passed, {failed} failed")
    sys.exit(1 if failed else 0)
