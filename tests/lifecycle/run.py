#!/usr/bin/env python3
"""When sessions begin and end, and what is left of them: processes, streams, and what servers elsewhere are told.

`run.py NAME…` runs the cases whose names contain NAME.
"""

import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import HELLO, HERE, INITIALIZE, PATIENCE, PROGRAM, Case, Client, Server, alive  # noqa: E402
import auditlog  # noqa: E402
from limits import Limits  # noqa: E402, F401

# Processes of one server at a time.
PROCESSES = 256


class Ends(Case):
    """A session ends whole, whoever waits for it."""

    def gone(self, pids):
        self.until(lambda: not any(map(alive, pids)), "a process outlives its session")

    def test_a_client_that_deletes_its_session_and_goes_leaves_no_process(self):
        self.serve(f"[server.one]\ncommand = {self.child('stubborn')}\n")
        for path in ("/mcp/one", "/mcp"):
            client = Client(self, path).initialize()
            listening = client.open("GET", headers={"Accept": "text/event-stream"})
            self.assertEqual(listening.getresponse().status, 200)
            pids = self.pids()
            self.assertTrue(alive(pids[-1]))
            leaving = client.open("DELETE")
            # The gateway is at it, and waits for the server that does not want to end.
            self.until(lambda: client.send("POST", {"id": 1, "method": "tools/list"})[0] == 404, "the session goes on")
            leaving.close()
            self.gone(pids)
            listening.close()

    def test_a_client_that_waits_is_told_when_its_session_is_over(self):
        self.serve(f"[server.one]\ncommand = {self.child()}\n")
        client, other = Client(self, "/mcp/one").initialize(), Client(self, "/mcp/one").initialize()
        first, second = self.pids()
        self.assertEqual(client.send("DELETE")[0], 204)
        self.gone([first])
        self.assertTrue(alive(second))
        self.assertEqual(other.send("POST", {"id": 1, "method": "tools/list"})[0], 200)

    def test_what_was_cancelled_is_not_answered_when_its_session_ends(self):
        """A client that takes itself down may have nobody left for an answer; one that still waits is told."""
        self.serve(f"[server.one]\ncommand = {self.child()}\n")
        for cancels in (True, False):
            client = Client(self, "/mcp/one").initialize()
            waiting = client.open("POST", {"id": 2, "method": "prompts/list"})
            request = {"form": "request", "method": "prompts/list"}
            self.until(lambda: len(self.entries(kind="message", **request)) == (1 if cancels else 2), "it is not recorded")
            if cancels:
                cancelled = {"method": "notifications/cancelled", "params": {"requestId": 2}}
                self.assertEqual(client.send("POST", cancelled)[0], 202)
            self.assertEqual(client.send("DELETE")[0], 204)
            status, headers, messages = client.read(waiting)
            self.assertEqual(status, 200)
            if cancels:
                self.assertEqual((headers["content-type"], messages), ("text/event-stream", []))
            else:
                self.assertEqual([message["id"] for message in messages], [2])
                self.assertIn("error", messages[0])
            failed = [entry["request"] for entry in self.entries(kind="upstream.failed")]
            self.assertEqual(failed, [] if cancels else ["2"], "only who waited was failed")

    def test_what_was_cancelled_is_not_answered_when_its_server_fails(self):
        """Neither when the server closes the connection nor when it says that it failed, before a head or instead of it."""
        def answer(handler, message):
            if message.get("method") == "initialize":
                return handler.json(message["id"], result=HELLO)
            if message.get("method") == "tools/list":
                return handler.json(message["id"], result={"tools": [{"name": "slow", "inputSchema": {"type": "object"}}]})
            if message.get("method") != "tools/call":
                return handler.write(202)
            asked.set()
            fails.wait(PATIENCE)
            if closes:
                handler.close_connection = True
            else:
                handler.write(500)

        asked, fails, server = threading.Event(), threading.Event(), Server(answer)
        self.addCleanup(server.close)
        self.addCleanup(fails.set)
        self.serve(f'[server.one]\nurl = "{server.url}"\n')
        for path, tool in (("/mcp/one", "slow"), ("/mcp", "one__slow")):
            client = Client(self, path).initialize()
            client.send("POST", {"id": 2, "method": "tools/list"})
            for closes in (True, False):
                for cancels in (True, False):
                    asked.clear(), fails.clear()
                    failed = len(self.entries(kind="upstream.failed"))
                    waiting = client.open("POST", {"id": 3, "method": "tools/call", "params": {"name": tool, "arguments": {}}})
                    self.assertTrue(asked.wait(PATIENCE))
                    if cancels:
                        cancelled = {"method": "notifications/cancelled", "params": {"requestId": 3}}
                        self.assertEqual(client.send("POST", cancelled)[0], 202)
                    fails.set()
                    status, headers, messages = client.read(waiting)
                    self.assertEqual(status, 200)
                    if cancels:
                        self.assertEqual((headers["content-type"], messages), ("text/event-stream", []))
                    else:
                        self.assertEqual([message["id"] for message in messages], [3])
                        self.assertIn("upstream.", str(messages[0]))
                    more = [entry["request"] for entry in self.entries(kind="upstream.failed")[failed:]]
                    self.assertEqual(more, [] if cancels else ["3"], "only who waited was failed")

    def test_where_programs_are_looked_for_is_for_the_log_and_not_for_clients(self):
        for shared in ("false", "true"):
            with self.subTest(shared=shared):
                self.serve(f'[server.one]\ncommand = ["no-such-program"]\nshared = {shared}\n')
                _, _, messages = Client(self, "/mcp/one").send("POST", {"id": 1, "method": "initialize", "params": INITIALIZE})
                said = json.dumps(messages)
                self.assertIn("cannot be started", said)
                self.assertNotIn("PATH", said)
                self.assertIn("PATH=", json.dumps(self.entries(kind="upstream.failed")))
                self.tearDown()
                self.setUp()

    def test_sessions_expire_together(self):
        """One after the other, servers that do not want to end would take minutes."""
        self.serve(f"[limits]\nsession_idle = \"10s\"\n[server.one]\ncommand = {self.child('stubborn')}\n")
        used = Client(self, "/mcp/one").initialize()
        listening = used.open("GET", headers={"Accept": "text/event-stream"})
        self.assertEqual(listening.getresponse().status, 200)
        for _ in range(24):
            Client(self, "/mcp/one").initialize()
        kept, *pids = self.pids()
        self.gone(pids)
        self.assertTrue(alive(kept), "a session that a stream is open on does not expire")
        listening.close()

    def test_a_server_that_does_not_answer_does_not_keep_the_gateway_from_stopping(self):
        def answer(handler, message):
            if handler.command == "DELETE":
                time.sleep(PATIENCE * 10)
            handler.json(message.get("id"), result=HELLO) if "id" in message else handler.write(202)

        server = Server(answer)
        self.addCleanup(server.close)
        self.serve(f'[server.one]\nurl = "{server.url}"\ntimeout = "10min"\n')
        Client(self, "/mcp/one").initialize()
        self.gateway.terminate()
        self.assertEqual(self.gateway.wait(PATIENCE), 0)
        self.assertIn("DELETE", [method for method, *_ in server.got])

    def test_a_stream_without_an_end_does_not_keep_the_gateway_from_stopping(self):
        self.serve(f"[server.one]\ncommand = {self.child()}\n")
        streams = []
        for path in ("/mcp/one", "/mcp"):
            streams.append(Client(self, path).initialize().open("GET", headers={"Accept": "text/event-stream"}))
            self.assertEqual(streams[-1].getresponse().status, 200)
        self.gateway.send_signal(signal.SIGINT)
        self.assertEqual(self.gateway.wait(PATIENCE), 0)
        self.assertIn("bartizan: stopping; Ctrl-C again to stop now", self.said())
        self.assertNotIn("did not finish in time", self.said())
        self.assertEqual(self.entries()[-1]["kind"], "gateway.stopped")

    def test_a_request_under_way_is_waited_for_until_somebody_is_in_a_hurry(self):
        answered, asked = threading.Event(), threading.Event()

        def answer(handler, message):
            if message.get("method") == "tools/list":
                asked.set()
                answered.wait(PATIENCE)
            result = HELLO if message.get("method") == "initialize" else {"tools": []}
            with contextlib.suppress(OSError):
                handler.json(message["id"], result=result) if "id" in message else handler.write(202)

        server = Server(answer)
        self.addCleanup(server.close)
        self.addCleanup(answered.set)
        waiting = "bartizan: stopping, waiting for 1 request; Ctrl-C again to stop now"
        for hurry in (False, True):
            answered.clear(), asked.clear()
            self.serve(f'[server.one]\nurl = "{server.url}"\n')
            request = Client(self, "/mcp/one").initialize().open("POST", {"id": 2, "method": "tools/list"})
            self.assertTrue(asked.wait(PATIENCE))
            self.gateway.send_signal(signal.SIGINT)
            self.until(lambda: waiting in self.said(), "it does not say what it waits for")
            if hurry:
                self.gateway.send_signal(signal.SIGINT)
                self.assertEqual(self.gateway.wait(PATIENCE), 0)
                self.assertIn("without waiting any longer", self.said())
            else:
                answered.set()
                self.assertEqual(request.getresponse().status, 200)
                self.assertEqual(self.gateway.wait(PATIENCE), 0)
            self.assertNotIn("did not finish in time", self.said())
            self.assertEqual(self.entries()[-1]["kind"], "gateway.stopped")

    def test_a_client_that_leaves_its_initialize_is_said_goodbye_for(self):
        """The server has begun a session, and is told that nobody wants it."""
        def answer(handler, message):
            if message.get("method") != "initialize":
                return handler.write(202 if handler.command == "POST" else 200)
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Mcp-Session-Id", "s")
            body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": HELLO}).encode()
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.flush()
            begun.set()
            # The rest comes when the client has gone.
            left.wait(PATIENCE)
            with contextlib.suppress(OSError):
                handler.wfile.write(body)

        begun, left, server = threading.Event(), threading.Event(), Server(answer)
        self.addCleanup(server.close)
        self.addCleanup(left.set)
        self.serve(f'[server.one]\nurl = "{server.url}"\n')
        leaving = Client(self, "/mcp/one").open("POST", {"id": 1, "method": "initialize", "params": INITIALIZE})
        self.assertTrue(begun.wait(PATIENCE))
        # Until the gateway has read the head, there is no session that it could end.
        time.sleep(1)
        leaving.close()
        self.until(lambda: "DELETE" in [method for method, *_ in server.got], "the server still has the session")
        left.set()
        # One that stays has a session that goes on.
        client = Client(self, "/mcp/one").initialize()
        self.assertNotIn("DELETE", [method for method, *_ in server.got[-2:]])
        self.assertEqual(client.send("DELETE")[0], 204)


class Said(Case):
    """What the one who looks after the gateway is told of its servers."""

    def test_a_server_that_fails_is_named_once_and_again_when_it_answers(self):
        broken = threading.Event()
        broken.set()

        def answer(handler, message):
            if broken.is_set():
                return handler.write(500)
            handler.json(message["id"], result=HELLO) if "id" in message else handler.write(202)

        server = Server(answer)
        self.addCleanup(server.close)
        self.serve(f'[server.missing]\ncommand = ["definitely-not-installed"]\n[server.nowhere]\ncommand = ["cat"]\n'
                   f'cwd = "/nope"\n[server.broken]\nurl = "{server.url}?key=quiet"\n')
        fails = lambda name: re.findall(rf"WARN .*the server fails server={name} .*", self.said())  # noqa: E731
        for name in ("missing", "nowhere", "broken"):
            for _ in range(3):
                answered = Client(self, f"/mcp/{name}").send("POST", {"id": 1, "method": "initialize", "params": INITIALIZE})
                self.assertIn("error", answered[2][0])
            self.until(lambda name=name: fails(name), f"{name} is not named")
            self.assertEqual(len(fails(name)), 1, self.said())
        self.assertIn("definitely-not-installed", fails("missing")[0])
        # Where it is, in the log and in the record, is its URL up to the path.
        self.assertIn(f"at={server.url} ", fails("broken")[0])
        self.assertIn({"name": "broken", "at": server.url}, self.entries(kind="gateway.started")[0]["servers"])
        self.assertNotIn("quiet", self.said() + auditlog.text(self.home / "audit"))
        self.assertNotIn("answers again", self.said())
        broken.clear()
        Client(self, "/mcp/broken").initialize()
        self.until(lambda: "the server answers again server=broken" in self.said(), "it is not said that it answers")

    def test_a_log_that_is_deleted_is_said_once(self):
        self.serve(f"[server.one]\ncommand = {self.child()}\n")
        client = Client(self, "/mcp/one").initialize()
        auditlog.current(self.home / "audit").unlink()
        passes = lambda: "result" in client.send("POST", {"id": 1, "method": "tools/list"})[2][0]  # noqa: E731
        self.until(lambda: not passes(), "messages pass without a log")
        self.assertEqual([passes() for _ in range(9)], [False] * 9)
        self.assertEqual(self.said().count("the audit log cannot be written"), 1, self.said())

    def test_tools_that_are_withheld_are_named_once(self):
        tools = ["add"]

        def answer(handler, message):
            listed = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in tools]}
            result = HELLO if message.get("method") == "initialize" else listed
            handler.json(message["id"], result=result) if "id" in message else handler.write(202)

        server = Server(answer)
        self.addCleanup(server.close)
        self.serve(f'[server.calc]\nurl = "{server.url}"\n')
        names = lambda: [tool["name"] for tool in Client(self, "/mcp/calc").initialize().send(  # noqa: E731
            "POST", {"id": 1, "method": "tools/list"})[2][0]["result"]["tools"]]
        self.assertEqual(names(), ["add"])
        self.assertNotIn("withheld", self.said())
        tools.append("\u202esub")
        self.assertEqual([names(), names()], [["add"], ["add"]])
        hint = r"1 tool of calc withheld (\u{202e}sub new): bartizan lock diff --server calc"
        self.until(lambda: hint in self.said(), "it is not said")
        self.assertEqual(self.said().count("withheld"), 1)


    def test_instructions_of_one_that_answers_anything_are_first_seen_when_it_begins(self):
        said = ["Be kind."]

        def answer(handler, message):
            hello = HELLO | {"instructions": said[0]}
            result = hello if message.get("method") == "initialize" else {}
            handler.json(message["id"], result=result) if "id" in message else handler.write(202)

        server = Server(answer)
        self.addCleanup(server.close)
        self.serve(f'[server.calc]\nurl = "{server.url}"\nbridge = "auto"\n')
        hello = lambda: Client(self, "/mcp/calc").send(  # noqa: E731
            "POST", {"id": 1, "method": "initialize", "params": INITIALIZE | {"capabilities": {}}})[2][0]["result"]
        self.assertEqual(hello()["instructions"], "Be kind.")
        self.assertNotIn("withheld", self.said())
        said[0] = "Be cruel."
        self.assertEqual(hello()["instructions"], "")
        hint = "1 definition of calc withheld (instructions changed): bartizan lock diff --server calc"
        self.until(lambda: hint in self.said(), "it is not said")


class Refused(Case):
    """What is refused before there is a message in it is counted, and still explained."""

    def ask(self, method="POST", path="/mcp/one", body=b"{}", **headers):
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        connection.putrequest(method, path, skip_host=True)
        given = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in (given | {name.replace("_", "-"): value for name, value in headers.items()}).items():
            for one in [value] if isinstance(value, str) else value:
                connection.putheader(name, one)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def test_every_refusal_has_an_id_that_why_explains(self):
        self.serve(f"[limits]\nmessage_bytes = 100000\n[server.one]\ncommand = {self.child()}\n")
        initialize = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE}
        initialize = json.dumps(initialize, separators=(",", ":")).encode()
        refused = {
            "edge.too_large": self.ask(body=b" " * 200_000),
            "edge.handshake": self.ask(body=initialize + b" " * 70_000),
            "edge.path": self.ask(path="/mcp/two"),
            "edge.host": self.ask(Host="evil.example"),
            "edge.origin": self.ask(Origin="https://evil.example"),
            "edge.method": self.ask("PUT"),
            "edge.content_type": self.ask(Content_Type="text/plain"),
            "edge.repeated": self.ask(Mcp_Session_Id=["a", "b"]),
            "edge.session": self.ask(body=b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', Mcp_Session_Id="unknown"),
        }
        for rule, (status, text) in refused.items():
            self.assertGreaterEqual(status, 400, rule)
            found = re.fullmatch(rf"Blocked by bartizan: [^\n]+ \({rule}\)\. Decision (\w{{26}})\.\n", text)
            self.assertTrue(found, f"{rule}: {text}")
            why = subprocess.run([PROGRAM, "why", found[1]], env=self.environment, capture_output=True, text=True,
                                 timeout=PATIENCE)
            self.assertEqual(why.returncode, 0, f"{rule}: {why}")
            self.assertIn(f" × {rule}: ", why.stdout)
        # A flood makes no more entries than there are seconds, and what is fine has no decision to explain.
        begun = time.monotonic()
        ids = {self.ask(path="/mcp/two")[1][-28:] for _ in range(200)}
        self.assertLessEqual(len(ids), time.monotonic() - begun + 2)
        status, text = self.ask(body=initialize, Accept="application/json, text/event-stream")
        self.assertEqual((status, "Decision" in text), (200, False))


    def test_what_needs_no_answer_is_refused_with_an_id_as_well(self):
        self.serve(f"[server.one]\ncommand = {self.child()}\n")
        response = {"jsonrpc": "2.0", "id": "nobody", "result": {}}
        for path in ("/mcp/one", "/mcp"):
            session = Client(self, path).initialize().session
            headers = {"Mcp_Session_Id": session, "Accept": "application/json, text/event-stream"}
            status, text = self.ask(path=path, body=json.dumps(response).encode(), **headers)
            found = re.fullmatch(r"Blocked by bartizan: [^\n]+ \(conformance\.unsolicited\)\. Decision (\w{26})\.\n", text)
            self.assertTrue(status == 400 and found, f"{path}: {status} {text}")
            self.assertEqual(len(self.entries(id=found[1], rule="conformance.unsolicited", request="nobody")), 1)
            progress = {"jsonrpc": "2.0", "method": "notifications/x"}
            self.assertEqual(self.ask(path=path, body=json.dumps(progress).encode(), **headers), (202, ""))


class Reload(Case):
    """What a changed configuration means for clients that are there."""

    def test_a_stateless_client_gets_the_new_servers(self):
        def answer(handler, message):
            result = HELLO if message.get("method") == "initialize" else {"tools": []}
            handler.json(message.get("id"), result=result) if "id" in message else handler.write(202)

        def config(key, *names):
            return "".join(f'[server.{name}]\nurl = "{server.url}"\nheaders = {{ X-Key = "{key}" }}\n' for name in names)

        server = Server(answer)
        self.addCleanup(server.close)
        self.serve(config("old", "one", "two"))
        clients = [Client(self, "/mcp/one"), Client(self, "/mcp")]
        keys = lambda: {headers["X-Key"] for _, _, headers in server.got}  # noqa: E731
        for client in clients:
            self.assertEqual(client.stateless()[0], 200)
        session = Client(self, "/mcp/one").initialize()
        self.assertEqual(keys(), {"old"})
        self.configure(config("new", "one"))
        self.until(lambda: self.entries(kind="config.reloaded"), "it is not reloaded")
        for client in clients:
            server.got.clear()
            self.assertEqual(client.stateless()[0], 200)
            self.assertEqual(keys(), {"new"})
            lists = [method for _, method, _ in server.got].count("tools/list")
            self.assertEqual(lists, 1, "the server that was taken out is asked no more")
        # A session that was begun keeps what it began with.
        server.got.clear()
        self.assertEqual(session.send("POST", {"id": 2, "method": "tools/list"})[0], 200)
        self.assertEqual(keys(), {"old"})


class Places(Case):
    """There are as many sessions as there may be."""

    def begin(self, source):
        """A session that is claimed at once, or none."""
        client = Client(self, "/mcp/one", source)
        if client.open("POST", {"id": 1, "method": "initialize", "params": INITIALIZE}).getresponse().status == 503:
            return None
        return client.initialize()

    def test_one_address_shuts_no_other_out(self):
        def answer(handler, message):
            result = HELLO if message.get("method") == "initialize" else {"tools": []}
            handler.json(message.get("id"), result=result) if "id" in message else handler.write(202)

        server = Server(answer)
        self.addCleanup(server.close)
        self.serve(f'[server.one]\nurl = "{server.url}"\n[limits]\nmax_sessions = 6\n')
        one, other = "127.0.0.1", "127.0.0.2"
        works = lambda client: client.send("POST", {"id": 2, "method": "tools/list"})[0] == 200  # noqa: E731
        quiet = Client(self, "/mcp/one", other).initialize()
        flood = [self.begin(one) for _ in range(10)]
        self.assertEqual(sum(client is not None for client in flood), 5, "what another address has is not theirs")
        self.assertTrue(works(quiet))
        more = [Client(self, "/mcp/one", other).initialize() for _ in range(2)]
        self.assertTrue(all(works(client) for client in (quiet, *more)))
        self.assertEqual(sum(works(client) for client in flood if client), 3, "an even share is left")
        self.assertIsNone(self.begin(other), "and no more than that is taken")
        self.assertIsNone(self.begin(one))


class Processes(Case):
    """A server has as many processes as it may."""

    def test_names_that_are_made_up_shut_nobody_out(self):
        self.serve(f"[server.one]\ncommand = {self.child()}\n")
        used = Client(self, "/mcp/one").initialize()
        self.assertEqual(used.stateless("regular")[0], 200)
        self.assertEqual(used.stateless("regular")[0], 200)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            flood = list(pool.map(lambda number: used.stateless(f"made up {number}")[0], range(PROCESSES + 20)))
        self.assertEqual(set(flood), {200})
        self.assertEqual(Client(self, "/mcp/one").initialize().send("POST", {"id": 1, "method": "tools/list"})[0], 200)
        self.assertLessEqual(sum(map(alive, self.pids())), PROCESSES)
        # Those who were here and came back still have the process that they had.
        self.assertEqual(used.send("POST", {"id": 1, "method": "tools/list"})[0], 200)
        self.assertEqual(used.stateless("regular")[0], 200)
        self.assertTrue(all(map(alive, self.pids()[:2])))


class Streams(Case):
    """What becomes of an answer whose connection is lost."""

    LIST = {"id": 7, "method": "tools/list"}

    def resumed(self, path, posted, resumed, last="e1", message=LIST):
        """What a client gets that loses its connection after the first event and comes back for the rest."""
        lost = threading.Event()

        def answer(handler, message):
            if message.get("method") == "initialize":
                return handler.json(message["id"], result=HELLO)
            if handler.command == "GET" and handler.headers["Last-Event-ID"]:
                handler.events()
                return resumed(handler)
            if "id" not in message:
                return handler.write(405 if handler.command == "GET" else 202)
            handler.events()
            handler.event(id="e1")
            posted(handler, lost)

        server = Server(answer)
        self.addCleanup(server.close)
        self.addCleanup(lost.set)
        self.serve(f'[server.one]\nurl = "{server.url}"\n')
        client = Client(self, path).initialize()
        connection = client.open("POST", message)
        stream = connection.getresponse()
        first = next(line for line in stream if line.startswith(b"id: "))
        prefix = first.decode().strip().removeprefix("id: ").removesuffix("e1")
        # Not closed: a connection that is lost is noticed late, or never.
        return client.send("GET", headers={"Accept": "text/event-stream", "Last-Event-ID": prefix + last})[2]

    RESULT = {"jsonrpc": "2.0", "id": 7, "result": {"tools": []}}

    def test_an_answer_comes_on_the_resumed_stream(self):
        for path in ("/mcp/one", "/mcp"):
            with self.subTest(path):
                message = self.LIST if path != "/mcp" else {"id": 7, "method": "tools/call", "params": {"name": "one__x"}}
                result = self.RESULT if path != "/mcp" else {**self.RESULT, "result": {"content": []}}
                got = self.resumed(path, lambda _, lost: lost.wait(PATIENCE), lambda handler: handler.event(result, "e2"),
                                   message=message)
                self.assertEqual([message["id"] for message in got], [7])
            self.tearDown()
            self.setUp()

    def test_an_answer_that_was_on_its_way_comes_again_once(self):
        def posted(handler, _):
            handler.event(self.RESULT, "e2")

        def resumed(handler):
            handler.event(self.RESULT, "e2")
            handler.event(self.RESULT, "e3")

        self.assertEqual(self.resumed("/mcp/one", posted, resumed), [self.RESULT])
        self.assertEqual(len(self.entries(rule="conformance.unsolicited")), 1)

    def test_what_nobody_asked_is_answered_on_no_stream(self):
        other = {**self.RESULT, "id": 8}
        got = self.resumed("/mcp/one", lambda _, lost: lost.wait(PATIENCE), lambda handler: handler.event(other, "e2"))
        self.assertEqual(got, [])
        self.assertEqual(len(self.entries(rule="conformance.unsolicited")), 1)

    def test_what_a_client_comes_back_with_is_judged(self):
        """The id of an event goes to the server in a header, so it is held to what an argument is held to."""
        def answer(handler, message):
            if message.get("method") == "initialize":
                return handler.json(message["id"], result=HELLO)
            if handler.command != "GET":
                return handler.write(202)
            handler.events()
            # A client that cannot send it back is better off without it.
            handler.event(id="e 1")
            # Only what the server has named comes back to it.
            handler.event(id="<!--x-->")
            handler.event(id="e1<!>")
            handler.event(id="e2")

        server = Server(answer)
        self.addCleanup(server.close)
        rules = '[guard.hidden_text.rules]\n"hidden_text.html_comment" = "deny"\n'
        self.serve(f'[server.one]\nurl = "{server.url}"\n{rules}')

        def listen(client, *ids):
            connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
            connection.putrequest("GET", client.path)
            for name, value in (("Accept", "text/event-stream"), ("Mcp-Session-Id", client.session),
                                ("MCP-Protocol-Version", INITIALIZE["protocolVersion"]), *(("Last-Event-ID", id) for id in ids)):
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            # Where all servers are one, the stream goes on without this one.
            until = b"e2" if answer.status == 200 else None
            lines = []
            while line := answer.readline():
                lines.append(line.decode())
                if until and until in line:
                    break
            connection.close()
            return answer.status, "".join(lines)

        def asked():
            return [headers["Last-Event-ID"] for command, _, headers in server.got if command == "GET"]

        for path, prefixes in (("/mcp/one", [""]), ("/mcp", ["one*", "one/"])):
            client = Client(self, path).initialize()
            self.assertEqual(listen(client)[0], 200)
            for prefix in prefixes:
                for ids in ([""], ["a b"], ["caf\u00e9"], ["e" * 1025], ["e1", "e1"], [f"{prefix}<!--x-->"]):
                    server.got.clear()
                    with self.subTest(path=path, ids=ids):
                        status, text = listen(client, *ids)
                        self.assertEqual((status, asked()), (400, []), text)
                self.assertIn("hidden_text.html_comment", text)
                server.got.clear()
                status, text = listen(client, f"{prefix}e1<!>")
                self.assertEqual((status, asked()[:1]), (200, ["e1<!>"]), text)
                self.assertTrue("e 1" not in text and f"id: {prefix}e2" in text, text)
        refused = self.entries(kind="headers", decision="deny")
        self.assertEqual([entry["rule"] for entry in refused], ["hidden_text.html_comment"] * 3)
        passed = [entry["names"] for entry in self.entries(kind="headers") if "decision" not in entry]
        self.assertEqual(passed, [["last-event-id"]] * 3)

    def test_a_stateless_stream_that_ends_early_is_answered(self):
        """There is nothing to resume in this era, whatever ids the events have."""
        def answer(handler, message):
            handler.events()
            handler.event(id="e1")
            if message["params"].get("cursor"):
                handler.event({**self.RESULT, "id": message["id"]}, "e2")

        server = Server(answer)
        self.addCleanup(server.close)
        self.serve(f'[server.one]\nurl = "{server.url}"\n')
        client = Client(self, "/mcp/one")
        _, _, (answered,) = client.stateless()
        self.assertIn("error", answered)
        _, _, (answered,) = client.stateless(cursor="c")
        self.assertIn("result", answered)


class Shared(Case):
    """One process for all clients."""

    def test_a_shared_child_is_greeted_once_whoever_leaves(self):
        seen, go = self.home / "seen", self.home / "go"
        seen.touch()
        command = json.dumps(["sh", str(HERE / "slow.sh"), str(seen), str(go)])
        self.serve(f"[server.one]\ncommand = {command}\nshared = true\n")
        leaving = Client(self, "/mcp/one").open("POST", {"id": 1, "method": "initialize", "params": INITIALIZE})
        self.until(lambda: "initialize" in seen.read_text(), "the child is not greeted")
        leaving.close()
        staying = Client(self, "/mcp/one").open("POST", {"id": 1, "method": "initialize", "params": INITIALIZE})
        # Long enough for a second greeting, if there was one.
        time.sleep(2)
        go.touch()
        self.assertEqual(staying.getresponse().status, 200)
        Client(self, "/mcp/one").initialize()
        self.assertEqual([line for line in seen.read_text().split() if line == "initialize"], ["initialize"])

    def test_a_session_that_ends_takes_its_requests_along_and_no_others(self):
        """The process goes on, so its end tells nobody; what it answers late is for nobody."""
        seen, go = self.home / "seen", self.home / "go"
        seen.touch()
        command = json.dumps(["sh", str(HERE / "late.sh"), str(seen), str(go)])
        self.serve(f"[server.one]\ncommand = {command}\nshared = true\n[limits]\nmax_in_flight = 3\n")
        told = lambda name: [message for line in seen.read_bytes().split(b"\n")[:-1]  # noqa: E731
                             if (message := json.loads(line))["method"] == name]
        cancels, waits, stays, later = clients = [Client(self, "/mcp/one").initialize() for _ in range(4)]
        request = {"id": 2, "method": "prompts/list"}
        waiting = []
        for client in clients[:3]:
            waiting.append(client.open("POST", request))
            self.until(lambda: len(told("prompts/list")) == len(waiting), "the request does not arrive")
        self.assertIn("upstream.busy", str(later.send("POST", request)[2]), "all places are taken")
        cancelled = {"method": "notifications/cancelled", "params": {"requestId": 2}}
        self.assertEqual(cancels.send("POST", cancelled)[0], 202)
        for client in (cancels, waits):
            self.assertEqual(client.send("DELETE")[0], 204)
        _, headers, messages = cancels.read(waiting[0])
        self.assertEqual((headers["content-type"], messages), ("text/event-stream", []))
        _, _, (answered,) = waits.read(waiting[1])
        self.assertEqual(answered["id"], 2)
        self.assertIn("gateway.session_over", str(answered["error"]))
        self.assertEqual([entry["request"] for entry in self.entries(rule="gateway.session_over")], ["2"])
        # The child is told of both once, by the names that it has for them.
        self.until(lambda: len(told("notifications/cancelled")) == 2, "the child still works on it")
        self.assertEqual([message["params"]["requestId"] for message in told("notifications/cancelled")],
                         [message["id"] for message in told("prompts/list")[:2]])
        waiting.append(later.open("POST", request))
        self.until(lambda: len(told("prompts/list")) == 4, "the places are not given back")
        go.touch()
        for client, connection in zip((stays, later), waiting[2:]):
            _, _, (answered,) = client.read(connection)
            self.assertEqual((answered["id"], answered.get("result")), (2, {"prompts": []}))
        self.until(lambda: len(self.entries(kind="dropped", decision="deny")) == 2, "late answers are not recorded")
        self.assertEqual(len(told("prompts/list")), 4)


if __name__ == "__main__":
    chosen = unittest.defaultTestLoader
    chosen.testNamePatterns = [f"*{name}*" for name in sys.argv[1:]] or None
    result = unittest.TextTestRunner(verbosity=2).run(chosen.loadTestsFromModule(sys.modules["__main__"]))
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(failed > 0)
