#!/usr/bin/env python3
"""What a session does before it has listed anything: a tool that was changed is not called, and nobody is left waiting."""

import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "hostile"))

import harness  # noqa: E402

PROGRAM = pathlib.Path(os.environ.get("BARTIZAN_BIN", HERE.parent.parent / "target/debug/bartizan")).resolve()
PATIENCE = 30
TAGS = "".join(chr(0xE0000 + ord(letter)) for letter in "hidden")
TOOL = {"name": "do", "description": "Does it.", "inputSchema": {"type": "object"}}


class Session:
    """One client's session."""

    def __init__(self, address):
        self.address, self.key, self.last = address, None, 0
        self.ask("initialize", protocolVersion="2025-11-25", capabilities={"elicitation": {}},
                 clientInfo={"name": "test", "version": "1"})
        self.post({"method": "notifications/initialized"})

    def post(self, message):
        """Sends a message; the status and a generator of what comes back."""
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if self.key:
            headers |= {"Mcp-Session-Id": self.key, "MCP-Protocol-Version": "2025-11-25"}
        connection.request("POST", "/mcp/one", json.dumps({"jsonrpc": "2.0", **message}), headers)
        answer = connection.getresponse()
        self.key = self.key or answer.getheader("Mcp-Session-Id")
        if "event-stream" not in (answer.getheader("Content-Type") or ""):
            body = answer.read()
            return answer.status, iter([json.loads(body)] if body.startswith(b"{") else [])
        lines = (line for line in answer if line.startswith(b"data: {"))
        return answer.status, (json.loads(line[6:]) for line in lines)

    def begin(self, method, **params):
        self.last += 1
        return self.post({"id": self.last, "method": method, "params": params})[1]

    def ask(self, method, **params):
        return next(message for message in self.begin(method, **params) if "method" not in message)

    def call(self, **arguments):
        return self.ask("tools/call", name="do", arguments=arguments)["result"]


class FirstCall:
    """What holds whichever way a client comes; `session` opens one more."""

    def setUp(self):
        # The user's Bartizan may still write its last checkpoint there.
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.home = pathlib.Path(self.folder.name)
        self.definition, self.seen = self.home / "tool.json", self.home / "seen"
        self.definition.write_text(json.dumps(TOOL))
        self.seen.touch()
        self.command = [sys.executable, str(HERE / "server.py"), str(self.definition), str(self.seen)]

    def tearDown(self):
        self.folder.cleanup()

    def methods(self):
        return [json.loads(line).get("method") for line in self.seen.read_bytes().split(b"\n")[:-1]]

    def approve(self):
        """Somebody lists the tool, which approves it as it is."""
        listed = self.session().ask("tools/list")["result"]["tools"]
        self.assertEqual([tool["name"] for tool in listed], ["do"])

    def change(self):
        self.definition.write_text(json.dumps({**TOOL, "description": "Does something else."}))

    def test_a_tool_that_is_what_it_was_is_called(self):
        self.approve()
        self.assertEqual(self.session().call()["content"][0]["text"], "done")
        self.assertEqual(self.methods().count("tools/list"), 2, "the client's, and the gateway's in the new session")

    def test_a_tool_that_was_changed_is_not(self):
        self.approve()
        self.change()
        refused = self.session().call()
        self.assertTrue(refused["isError"])
        self.assertIn("tool_pinning.changed", refused["content"][0]["text"])
        self.assertNotIn("tools/call", self.methods())

    def test_arguments_of_a_first_call_are_held_against_the_schema(self):
        self.definition.write_text(json.dumps({**TOOL, "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}}}))
        self.approve()
        self.assertIn("schema.arguments", self.session().call(n="x")["content"][0]["text"])
        self.assertEqual(self.session().call(n=1)["content"][0]["text"], "done")

    def test_an_accepted_tool_that_the_server_does_not_list_is_not_called(self):
        self.approve()
        for how in ("refuse", "be silent"):
            self.definition.write_text(json.dumps(how))
            session = self.session()
            self.assertIn("tool_pinning.unseen", session.call()["content"][0]["text"])
            self.assertIn("tool_pinning.unseen", session.call()["content"][0]["text"])
        # Whatever a first call had to wait, the next is not kept waiting for the same again.
        self.assertEqual(self.methods().count("tools/list"), 3, "one that approved it, one for each session")
        self.assertNotIn("tools/call", self.methods())

    def test_a_server_that_never_lists_any_is_called(self):
        self.definition.write_text(json.dumps("refuse"))
        session = self.session()
        for _ in range(3):
            self.assertEqual(session.call()["content"][0]["text"], "done")
        self.assertEqual(self.methods().count("tools/list"), 1, "it is not asked each time")

    def pages(self, *pages, **more):
        """The server lists these names on so many pages."""
        self.definition.write_text(json.dumps({"pages": [[{**TOOL, "name": name} for name in page] for page in pages], **more}))

    def listed(self, session, kind="tools"):
        """The names on all pages, as one client reads them."""
        names, cursor = [], {}
        while True:
            result = session.ask(f"{kind}/list", **cursor)["result"]
            names += [one["name"] for one in result[kind]]
            if "nextCursor" not in result:
                return names
            cursor = {"cursor": result["nextCursor"]}

    def test_who_reads_one_page_and_calls_decides_for_nobody(self):
        self.pages(["do"], ["more"])
        first = self.session()
        self.assertEqual(len(first.ask("tools/list")["result"]["tools"]), 1)
        self.assertEqual(first.call()["content"][0]["text"], "done")
        other = self.session()
        self.assertEqual(self.listed(other), ["do", "more"])
        self.assertNotIn("isError", other.ask("tools/call", name="more", arguments={})["result"])
        self.pages(["do"], ["more", "added"])
        self.assertEqual(self.listed(self.session()), ["do", "more"], "all had been seen")

    def test_who_reads_one_page_and_gets_a_prompt_decides_for_nobody(self):
        self.pages(["do"], ["more"])
        first = self.session()
        self.assertEqual(len(first.ask("prompts/list")["result"]["prompts"]), 1)
        self.assertEqual(first.ask("prompts/get", name="do")["result"]["messages"], [])
        self.assertEqual(self.listed(self.session(), "prompts"), ["do", "more"])
        self.pages(["do"], ["more", "added"])
        self.assertEqual(self.listed(self.session(), "prompts"), ["do", "more"], "all had been seen")

    def test_a_tool_of_a_page_that_the_client_has_not_read_is_called(self):
        self.pages(["do"], ["more"])
        self.assertEqual(self.listed(self.session()), ["do", "more"])
        session = self.session()
        session.ask("tools/list")
        self.assertNotIn("isError", session.ask("tools/call", name="more", arguments={})["result"])

    def test_a_server_without_a_last_page_adds_nothing_after_the_first_call(self):
        self.pages(["do"], endless=True)
        session = self.session()
        session.ask("tools/list")
        for _ in range(2):
            self.assertEqual(session.call()["content"][0]["text"], "done")
        self.assertEqual(self.methods().count("tools/list"), 101, "the client's, and the gateway's once")
        self.pages(["do", "added"], endless=True)
        tools = self.session().ask("tools/list")["result"]["tools"]
        self.assertEqual([tool["name"] for tool in tools], ["do"])


class OverHttp(FirstCall, unittest.TestCase):
    def setUp(self):
        super().setUp()
        config = self.home / "bartizan.toml"
        config.write_text(f'sandbox.default = "none"\n[listen]\naddress = "127.0.0.1:0"\n[admin]\naddress = "127.0.0.1:0"\n'
                          f'[server.one]\ncommand = {json.dumps(self.command)}\n[guard.hidden_text]\ncontent = "deny"\n')
        self.log = (self.home / "stderr").open("w+")
        environment = {**os.environ, "BARTIZAN_HOME": str(self.home), "NO_COLOR": "1"}
        self.gateway = subprocess.Popen([PROGRAM, "serve", "--allow-unconfined", "--config", config], env=environment,
                                        stdin=subprocess.DEVNULL, stderr=self.log)
        end = time.monotonic() + PATIENCE
        while not (found := re.search(r"MCP at http://(\S+)/mcp", (self.home / "stderr").read_text())):
            self.assertLess(time.monotonic(), end, (self.home / "stderr").read_text())
            time.sleep(0.05)
        self.address = found[1]

    def tearDown(self):
        self.gateway.send_signal(signal.SIGTERM)
        self.assertEqual(self.gateway.wait(PATIENCE), 0)
        self.log.close()
        super().tearDown()

    def session(self):
        return Session(self.address)

    def test_calls_at_once_are_all_judged_on_the_list(self):
        self.approve()
        self.change()
        session = Session(self.address)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            ids = range(100, 108)
            body = {"method": "tools/call", "params": {"name": "do", "arguments": {}}}
            answers = pool.map(lambda number: next(session.post({"id": number, **body})[1]), ids)
            for answer in answers:
                self.assertIn("tool_pinning.changed", answer["result"]["content"][0]["text"])
        self.assertNotIn("tools/call", self.methods())

    def answered(self, name):
        """What the tool says after its question was answered with this name."""
        session = Session(self.address)
        messages = session.begin("tools/call", name="do", arguments={"ask": True})
        question = next(messages)
        self.assertEqual(question["method"], "elicitation/create")
        session.post({"id": question["id"], "result": {"action": "accept", "content": {"name": name}}})
        return next(message for message in messages if "result" in message)["result"]["content"][0]["text"]

    def test_an_answer_reaches_the_server(self):
        self.assertEqual(self.answered("Ada"), "told an answer")

    def test_the_server_is_told_of_an_answer_that_was_refused(self):
        self.assertEqual(self.answered(f"Ada{TAGS}"), "told an error")
        self.assertNotIn("\\udb40", self.seen.read_text(), "what was refused never arrived")


class Wrapped(harness.Wrapped):
    def ask(self, method, params=None, **more):
        return super().ask(method, more if params is None else params)

    def call(self, **arguments):
        return self.ask("tools/call", name="do", arguments=arguments)["result"]


class OverStdio(FirstCall, unittest.TestCase):
    """Through the user's bartizan."""

    options = ()

    def setUp(self):
        super().setUp()
        self.wrapped = []

    def tearDown(self):
        for wrapped in self.wrapped:
            self.assertEqual(wrapped.finish(), 0)
            wrapped.verify()
            wrapped.close()
        for lock in self.home.glob("run/audit/lock"):
            os.kill(int(lock.read_text()), signal.SIGTERM)
        super().tearDown()

    def session(self):
        wrapped = Wrapped(self.command, *self.options, "--name", "one", home=self.home)
        self.wrapped.append(wrapped)
        wrapped.begin()
        return wrapped

    def test_the_list_is_not_the_clients_and_the_order_stays(self):
        self.approve()
        self.seen.write_text("")
        session = self.session()
        for number, method in enumerate(("tools/call", "ping", "tools/call")):
            session.say({"id": f"c{number}", "method": method, "params": {"name": "do", "arguments": {}}})
        session.say({"method": "notifications/roots/list_changed"})
        session.say({"id": "last", "method": "tools/call", "params": {"name": "do", "arguments": {}}})
        answers = []
        while "last" not in answers:
            answers.append(json.loads(session.lines.get(timeout=PATIENCE))["id"])
        self.assertEqual(answers, ["c0", "c2", "last"])
        told = [method for method in self.methods() if not (method or "").startswith(("initialize", "notifications/initialized"))]
        self.assertEqual(told, ["tools/list", "tools/call", "ping", "tools/call", "notifications/roots/list_changed", "tools/call"])


class Standalone(OverStdio):
    options = ("--standalone",)

    def test_what_is_accepted_meanwhile_takes_effect(self):
        self.approve()
        self.change()
        session = self.session()
        self.assertIn("tool_pinning.changed", session.call()["content"][0]["text"])
        accept = [PROGRAM, "lock", "update", "--lock", str(self.home / "mcp.lock"), "do"]
        subprocess.run(accept, env=session.environment, check=True, stdout=subprocess.DEVNULL)
        harness.wait_for(lambda: not session.call().get("isError"), "what was accepted takes no effect")


if __name__ == "__main__":
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__]))
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(failed > 0)
