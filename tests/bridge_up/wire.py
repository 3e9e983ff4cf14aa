"""What goes over the wire when a client with a session talks to a server without sessions."""

import contextlib
import http.client
import json
import pathlib
import queue
import socket
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

import processes
import auditlog  # noqa: E402
from scripted import META, PLAIN, STATE, TAGS, VERSION, scripted

PATIENCE = 20
ALL = {"elicitation": {}, "roots": {"listChanged": True}, "sampling": {}, "tasks": {"list": {}},
       "extensions": {META + "tasks": {}, "example.com/kept": {}}}


class Session:
    """A client of a revision with sessions that does nothing by itself."""

    def __init__(self, url, capabilities=ALL, version="2025-06-18"):
        at = urllib.parse.urlsplit(url)
        self.host, self.port, self.path = at.hostname, at.port, at.path
        self.version, self.key, self.next_id = None, None, 0
        params = {"protocolVersion": version, "capabilities": capabilities, "clientInfo": {"name": "wire", "version": "1"}}
        response = self.post({"jsonrpc": "2.0", "id": self.id(), "method": "initialize", "params": params})
        self.hello = json.loads(response.read())
        self.key, self.version = response.headers["Mcp-Session-Id"], version
        self.notify("notifications/initialized")

    def id(self):
        self.next_id += 1
        return self.next_id

    def send(self, method, body=None, **headers):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        given = {"Accept": "application/json, text/event-stream", "Mcp-Session-Id": self.key, "MCP-Protocol-Version": self.version}
        given = {key: value for key, value in (given | headers).items() if value}
        if body is not None:
            given["Content-Type"] = "application/json"
        connection.request(method, self.path, body, given)
        response = connection.getresponse()
        response.connection = connection
        return response

    def post(self, message):
        return self.send("POST", message if isinstance(message, str) else json.dumps(message))

    def notify(self, method, **params):
        response = self.post({"jsonrpc": "2.0", "method": method, "params": params})
        response.read()
        return response.status

    def begin(self, method, **params):
        """Sends a request; its messages as they come."""
        return Messages(self.post({"jsonrpc": "2.0", "id": self.id(), "method": method, "params": params}))

    def ask(self, method, **params):
        """The one response to a request."""
        messages = self.begin(method, **params)
        response = messages.next()
        assert response["id"] == self.next_id, response
        return response

    def call(self, name, **arguments):
        return self.begin("tools/call", name=name, arguments=arguments)

    def background(self, name):
        """Calls a tool that does not answer for long."""
        message = {"jsonrpc": "2.0", "id": self.id(), "method": "tools/call", "params": {"name": name}}
        thread = threading.Thread(target=lambda: self.post(message).read(), daemon=True)
        thread.start()
        return thread

    def answer(self, question, result):
        """Answers a question of the server's; the HTTP status."""
        body = result if isinstance(result, str) else json.dumps(result)
        response = self.post(f'{{"jsonrpc":"2.0","id":{json.dumps(question["id"])},{body}}}')
        response.read()
        return response.status

    def listen(self, last=None):
        """The session's own stream, or the rest of the one that has this event."""
        return Messages(self.send("GET", **{"Accept": "text/event-stream", "Last-Event-ID": last}))

    def end(self):
        self.send("DELETE").read()


class Messages:
    """The messages of one HTTP response, JSON or events."""

    def __init__(self, response):
        self.response, self.status, self.queue = response, response.status, queue.Queue()
        self.ids, self.retry = [], None
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            if not self.response.headers.get("Content-Type", "").startswith("text/event-stream"):
                text = self.response.read().decode()
                self.queue.put(text or None)
            else:
                for line in self.response:
                    if line.startswith(b"id:"):
                        self.ids.append(line[3:].strip().decode())
                    elif line.startswith(b"retry:"):
                        self.retry = int(line[6:])
                    if line.startswith(b"data:") and line[5:].strip():
                        self.queue.put(line[5:].strip().decode())
        except (OSError, ValueError, http.client.HTTPException):
            pass
        self.queue.put(None)

    def raw(self):
        """The next message as text; `None` at the end."""
        return self.queue.get(timeout=PATIENCE)

    def next(self):
        return json.loads(self.raw() or "null")

    def break_off(self):
        """The connection is lost; whatever comes next has to come on another one."""
        self.response.connection.sock.shutdown(socket.SHUT_RDWR)
        while self.raw():
            pass


def until(probe):
    end = time.monotonic() + PATIENCE
    while not (found := probe()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


class Wire(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.server = cls.stack.enter_context(scripted())
        url = cls.stack.enter_context(processes.bartizan({"up": {"url": cls.server.url, "bridge": "auto"}}))
        cls.url, cls.log = url("up"), url.log

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def setUp(self):
        self.server.seen.clear()

    def session(self, **how):
        session = Session(self.url, **how)
        self.addCleanup(session.end)
        return session

    def one(self, method, **params):
        found = self.server.calls(method, **params)
        self.assertEqual(len(found), 1, found)
        return found[0]

    def test_the_handshake_is_made_of_the_discovery(self):
        for asked, agreed in [("2024-11-05", "2024-11-05"), ("2025-11-25", "2025-11-25"), ("1999-01-01", "2025-11-25")]:
            session = self.session(version=asked)
            self.assertEqual(session.hello["result"], {
                "protocolVersion": agreed,
                "capabilities": {"tools": {"listChanged": True}, "resources": {"subscribe": True}, "logging": {}},
                "serverInfo": {"name": "scripted", "version": "7"}, "instructions": "Be kind.",
            })
            self.assertTrue(session.key)
            session.version = agreed
            self.assertEqual(session.ask("ping")["result"], {})
        methods = {held["body"]["method"] for held in self.server.seen if held["body"].get("id") != "bartizan-probe"}
        self.assertEqual(methods, {"server/discover"})

    def test_requests_carry_what_a_stateless_one_carries(self):
        session = self.session()
        request = '{"jsonrpc":"2.0", "id":"\\u0061","method":"tools/call","params":{"name":"plain","arguments":{"n": 1.0},"_meta":{"progressToken":7}}}'
        answer = session.post(request).read().decode()
        plain = PLAIN.replace(',"resultType":"complete"', "")
        self.assertEqual(json.loads(answer)["id"], "a")
        self.assertTrue(answer.endswith(f'"result":{plain}}}'), answer)
        held = self.one("tools/call")
        self.assertIn('"arguments":{"n": 1.0}', held["raw"])
        meta = held["body"]["params"]["_meta"]
        self.assertEqual(meta, {
            META + "protocolVersion": VERSION, META + "clientInfo": {"name": "wire", "version": "1"}, META + "logLevel": "info",
            META + "clientCapabilities": {"elicitation": {}, "roots": {"listChanged": True}, "sampling": {}, "extensions": {"example.com/kept": {}}},
            "progressToken": 7,
        })
        headers = held["headers"]
        self.assertEqual((headers["mcp-protocol-version"], headers["mcp-method"], headers["mcp-name"]), (VERSION, "tools/call", "plain"))
        self.assertNotIn("mcp-session-id", headers)

    def test_the_level_of_log_messages_is_kept(self):
        session = self.session()
        self.assertEqual(session.ask("logging/setLevel", level="loud")["error"]["code"], -32602)
        self.assertEqual(session.ask("logging/setLevel", level="error")["result"], {})
        session.ask("tools/list")
        self.assertEqual(self.one("tools/list")["body"]["params"]["_meta"][META + "logLevel"], "error")
        self.assertEqual(self.server.calls("logging/setLevel"), [])

    def test_questions_become_requests_to_the_client(self):
        session = self.session()
        messages = session.call("ask", deep={"n": 1})
        question = messages.next()
        self.assertEqual((question["method"], question["params"]["message"]), ("elicitation/create", "Who are you?"))
        self.assertEqual(session.answer(question, '"result":{"action":"accept", "content":{"name":"\\u0041nn","n":1.0}}'), 202)
        final = messages.next()
        self.assertEqual((final["id"], final["result"]["content"][0]["text"]), (session.next_id, "plain"))
        self.assertIsNone(messages.raw())
        first, again = self.server.calls("tools/call")
        self.assertNotEqual(first["body"]["id"], again["body"]["id"])
        self.assertIn(f'"requestState":{STATE}', again["raw"])
        self.assertIn('"inputResponses":{"who \\" is it":{"action":"accept", "content":{"name":"\\u0041nn","n":1.0}}}', again["raw"])
        self.assertEqual(again["body"]["params"]["arguments"], {"deep": {"n": 1}})
        self.assertEqual(again["headers"]["mcp-name"], "ask")

    def test_all_questions_are_asked_at_once(self):
        session = self.session()
        messages = session.call("two")
        asked = {question["method"]: question for question in (messages.next(), messages.next())}
        self.assertEqual(sorted(asked), ["elicitation/create", "roots/list"])
        self.assertEqual(len({question["id"] for question in asked.values()}), 2)
        session.answer(asked["roots/list"], '"result":{"roots":[]}')
        self.assertEqual(len(self.server.calls("tools/call")), 1)
        session.answer(asked["elicitation/create"], '"result":{"action":"decline"}')
        self.assertEqual(messages.next()["id"], session.next_id)
        answers = self.server.calls("tools/call")[1]["body"]["params"]["inputResponses"]
        self.assertEqual(answers, {"first": {"action": "decline"}, "second": {"roots": []}})

    def test_a_page_to_visit_has_the_id_that_older_clients_want(self):
        session = self.session(capabilities={"elicitation": {"url": {}}})
        messages = session.call("page")
        question = messages.next()
        self.assertEqual(question["params"]["elicitationId"], question["id"])
        session.answer(question, '"result":{"action":"accept"}')
        self.assertIn("result", messages.next())

    def test_what_the_client_cannot_answer_is_an_error(self):
        for capabilities, tool in [({}, "ask"), ({"elicitation": {"url": {}}}, "ask"), ({"elicitation": {}}, "page"), ({"elicitation": {}}, "two")]:
            answer = self.session(capabilities=capabilities).call(tool).next()
            self.assertTrue(answer["result"]["isError"])
            self.assertIn("has not said it can answer", answer["result"]["content"][0]["text"])
            self.assertNotIn("resultType", answer["result"])
        self.assertEqual(len(self.server.calls("tools/call")), 4)

    def test_a_client_that_answers_with_an_error_gets_one(self):
        session = self.session()
        messages = session.call("ask")
        session.answer(messages.next(), '"error":{"code":-1,"message":"the user is away"}')
        answer = messages.next()
        self.assertEqual(answer["id"], session.next_id)
        self.assertIn("the user is away", answer["result"]["content"][0]["text"])
        log = auditlog.text(self.log)
        self.assertIn("answers elicitation/create with an error of 16 bytes", log)
        self.assertNotIn("the user is away", log)
        self.assertEqual(len(self.server.calls("tools/call")), 1)

    def test_a_server_that_only_asks_is_given_up(self):
        answer = self.session().call("endless").next()
        self.assertIn("16 times", answer["result"]["content"][0]["text"])
        calls = self.server.calls("tools/call")
        self.assertEqual(len(calls), 16)
        self.assertEqual(len({held["body"]["id"] for held in calls}), 16)

    def test_a_client_cannot_forge_answers(self):
        session = self.session()
        messages = session.begin("tools/call", name="ask", arguments={}, requestState="mine", inputResponses={"who \" is it": {}})
        self.assertEqual(messages.next()["method"], "elicitation/create")
        held = self.one("tools/call")["body"]["params"]
        self.assertEqual(sorted(held), ["_meta", "arguments", "name"])

    def test_answers_that_nobody_waits_for_go_nowhere(self):
        session = self.session()
        self.assertEqual(session.answer({"id": "bartizan-1"}, '"result":{}'), 400)
        messages = session.call("ask")
        question = messages.next()
        self.assertEqual(session.answer(question, '"result":{"action":"cancel"}'), 202)
        self.assertEqual(session.answer(question, '"result":{"action":"accept"}'), 400)
        messages.next()
        self.assertEqual(len(self.server.calls("tools/call")), 2)

    def test_guards_see_questions_and_answers(self):
        session = self.session()
        messages = session.call("hidden")
        self.assertNotIn(TAGS, json.dumps(messages.next(), ensure_ascii=False))
        messages = session.call("ask")
        session.answer(messages.next(), json.dumps({"result": {"action": "accept", "content": {"name": "x" + TAGS}}})[1:-1])
        messages.next()
        self.assertTrue(all(TAGS not in json.dumps(held["body"], ensure_ascii=False) for held in self.server.seen))

    def test_tasks_are_not_translated(self):
        session = self.session()
        for method in ("tasks/list", "tasks/get", "tasks/result", "tasks/cancel"):
            self.assertEqual(session.ask(method, taskId="t")["error"]["code"], -32601)
            self.assertEqual(self.server.calls(method), [])
        self.assertIn("which this client does not know", session.call("task").next()["result"]["content"][0]["text"])

    def test_methods_of_the_other_era_do_not_exist(self):
        session = self.session()
        self.server.seen.clear()
        for method in ("server/discover", "subscriptions/listen"):
            self.assertEqual(session.ask(method)["error"]["code"], -32601)
        self.assertEqual(self.server.seen, [])
        self.assertEqual(session.ask("something/else")["error"]["code"], -32601)
        self.one("something/else")

    def test_errors_of_the_stateless_era_are_put_into_words(self):
        messages = self.session().call("needs")
        error = messages.next()["error"]
        self.assertEqual((messages.status, error["code"], error["data"]), (200, -32600, {"requiredCapabilities": {"sampling": {}}}))
        self.assertIn("sampling, please", error["message"])

    def test_headers_for_arguments_are_found_out(self):
        session = self.session()
        self.assertIn("result", session.call("marked", region="eu").next())
        first, again = self.server.calls("tools/call")
        self.assertNotIn("mcp-param-region", first["headers"])
        self.assertEqual(again["headers"]["mcp-param-region"], "eu")
        self.assertIn("result", session.call("marked", region="us").next())
        self.assertEqual(len(self.server.calls("tools/call")), 3)

    def test_a_cancelled_request_is_dropped(self):
        session = self.session()
        messages = session.call("slow")
        stream = until(lambda: [each for each in self.server.streams if each["request"]["body"]["method"] == "tools/call"])[-1]
        self.assertFalse(stream["closed"])
        self.assertEqual(session.notify("notifications/cancelled", requestId=session.next_id), 202)
        until(lambda: stream["closed"])
        self.assertIsNone(messages.raw())
        self.assertEqual(self.server.calls("notifications/cancelled"), [])

    def test_a_connection_that_breaks_off_cancels_nothing(self):
        session = self.session()
        held = len(self.server.streams)
        messages = session.call("slow")
        [stream] = until(lambda: self.server.streams[held:])
        messages.break_off()
        self.assertIn("result", session.call("plain").next())
        self.assertFalse(stream["closed"])
        session.notify("notifications/cancelled", requestId=session.next_id - 1)
        until(lambda: stream["closed"])

    def late(self, session):
        """A call whose stream is open, and the server's end of it."""
        held = len(self.server.streams)
        messages = session.begin("tools/call", name="late", _meta={"progressToken": "p"})
        [stream] = until(lambda: self.server.streams[held:])
        return messages, stream

    def progress(self, stream, *steps):
        stream["waiting"] += [("notifications/progress", {"progressToken": "p", "progress": step}) for step in steps]

    def test_the_rest_of_a_stream_that_broke_off_comes_again(self):
        for version, primed in [("2025-11-25", True), ("2025-06-18", False)]:
            session = self.session(version=version)
            messages, stream = self.late(session)
            until(lambda: messages.ids or not primed)
            self.assertEqual(messages.retry is not None, primed, version)
            self.progress(stream, 1, 2)
            self.assertEqual([messages.next()["params"]["progress"] for _ in range(2)], [1, 2])
            messages.break_off()
            # Whatever comes while nobody is there is kept.
            self.progress(stream, 3)
            until(lambda: not stream["waiting"])
            again = session.listen(last=messages.ids[-2])
            self.assertEqual([again.next()["params"]["progress"] for _ in range(2)], [2, 3])
            again.break_off()
            stream["answer"] = {"resultType": "complete", "content": []}
            stream["end"] = True
            until(lambda: stream["closed"])
            self.assertIn("result", session.call("plain").next())
            again = session.listen(last=again.ids[-1])
            answer = again.next()
            self.assertEqual((answer["id"], answer["result"]), (session.next_id - 1, {"content": []}))
            self.assertIsNone(again.raw())
            self.assertEqual(len(self.server.calls("tools/call", name="late")), 1)
            self.server.seen.clear()

    def test_a_call_that_has_said_nothing_can_be_come_back_to(self):
        session = self.session(version="2025-11-25")
        messages, stream = self.late(session)
        [first] = until(lambda: messages.ids)
        messages.break_off()
        again = session.listen(last=first)
        stream["answer"] = {"resultType": "complete", "content": []}
        stream["end"] = True
        self.assertEqual(again.next()["id"], session.next_id)

    def test_a_question_on_a_lost_stream_is_answered_on_the_next(self):
        session = self.session(version="2025-11-25")
        messages = session.call("ask")
        question = messages.next()
        messages.break_off()
        again = session.listen(last=messages.ids[0])
        self.assertEqual(again.next(), question)
        self.assertEqual(session.answer(question, '"result":{"action":"accept","content":{"name":"Ann"}}'), 202)
        self.assertEqual(again.next()["id"], session.next_id)
        self.assertEqual(len(self.server.calls("tools/call")), 2)

    def test_nobody_else_gets_the_rest(self):
        session, other = self.session(version="2025-11-25"), self.session(version="2025-11-25")
        messages, stream = self.late(session)
        self.progress(stream, 1)
        messages.next()
        stolen = other.listen(last=messages.ids[0])
        self.progress(stream, 2)
        self.assertEqual(messages.next()["params"]["progress"], 2)
        until(lambda: len(self.server.listening()) == 1)
        self.server.announce("notifications/tools/list_changed")
        self.assertEqual(stolen.next()["method"], "notifications/tools/list_changed")
        session.notify("notifications/cancelled", requestId=session.next_id)
        until(lambda: stream["closed"])

    def test_announcements_that_came_meanwhile_are_not_lost(self):
        session = self.session(version="2025-11-25")
        news = session.listen()
        until(lambda: len(self.server.listening()) == 1 and news.ids)
        self.server.announce("notifications/tools/list_changed", number=1)
        self.assertEqual(news.next()["params"]["number"], 1)
        news.break_off()
        self.server.announce("notifications/tools/list_changed", number=2)
        again = session.listen(last=news.ids[-1])
        self.assertEqual(again.next()["params"]["number"], 2)
        self.assertEqual(len(self.server.listening()), 1)

    def test_changes_are_announced_on_the_stream(self):
        session = self.session()
        news = session.listen()
        until(lambda: len(self.server.listening()) == 1)
        self.server.announce("notifications/tools/list_changed")
        self.assertEqual(news.next(), {"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"_meta": {"kept": 1}}})
        for uris in (["test://a"], ["test://a", "test://b"]):
            self.assertEqual(session.ask("resources/subscribe", uri=uris[-1])["result"], {})
            until(lambda: len(self.server.listening()) == 1)
            wanted = self.server.listening()[0]["request"]["body"]["params"]["notifications"]
            self.assertEqual(wanted, {"toolsListChanged": True, "resourceSubscriptions": uris})
        self.server.announce("notifications/resources/updated", uri="test://a")
        self.assertEqual(news.next()["params"], {"uri": "test://a", "_meta": {"kept": 1}})
        self.assertEqual(session.ask("resources/unsubscribe", uri="test://a")["result"], {})
        until(lambda: len(self.server.listening()) == 1)
        wanted = self.server.listening()[0]["request"]["body"]["params"]["notifications"]
        self.assertEqual(wanted["resourceSubscriptions"], ["test://b"])
        self.assertEqual(session.ask("resources/subscribe", uri="test://secret")["error"]["code"], -32602)
        session.end()
        until(lambda: not self.server.listening())
        self.assertIsNone(news.raw())

    def test_a_subscription_that_the_server_ends_is_renewed(self):
        session = self.session()
        news = session.listen()
        [stream] = until(self.server.listening)
        session.ask("resources/subscribe", uri="test://a")
        until(lambda: stream["closed"])
        [stream] = until(self.server.listening)
        stream["end"] = True
        # What may have changed meanwhile counts as changed.
        missed = [news.next() for _ in range(2)]
        self.assertEqual([each["method"] for each in missed], ["notifications/tools/list_changed", "notifications/resources/updated"])
        self.assertEqual(missed[1]["params"], {"uri": "test://a"})
        until(lambda: len(self.server.listening()) == 1)

    def test_who_listens_last_hears(self):
        session = self.session()
        first = session.listen()
        second = session.listen()
        self.assertIsNone(first.raw())
        until(lambda: len(self.server.listening()) == 1)
        self.server.announce("notifications/tools/list_changed")
        self.assertEqual(second.next()["method"], "notifications/tools/list_changed")

    def test_other_notifications(self):
        session = self.session()
        for method in ("notifications/roots/list_changed", "notifications/progress"):
            self.assertEqual(session.notify(method, progressToken=1, progress=1), 202)
            self.assertEqual(self.server.calls(method), [])
        self.assertEqual(session.notify("notifications/else"), 202)
        self.assertEqual(self.one("notifications/else")["headers"]["mcp-protocol-version"], VERSION)


class Stdio(unittest.TestCase):
    """The same in front of a local program."""

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.log = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory()), "read.jsonl")
        command = [sys.executable, str(pathlib.Path(__file__).with_name("child.py")), str(self.log)]
        self.url = self.stack.enter_context(processes.bartizan({"up": {
            "command": command, "bridge": "auto", "sandbox.fs.rw": [str(self.log.parent)]}}))("up")

    def read(self, method):
        """What the program has read of this method, without the gateway's own question which eras there are."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        messages = [json.loads(line) for line in lines if line.endswith("}")]
        return [message for message in messages if message.get("method") == method and message.get("id") != "bartizan-probe"]

    def test_questions_are_asked_and_the_answers_sent_again(self):
        first, second = Session(self.url), Session(self.url)
        calls = [(session, session.call("ask")) for session in (first, second)]
        for name, (session, messages) in zip("xy", calls):
            session.answer(messages.next(), f'"result":{{"action":"accept","content":{{"name":"{name}"}}}}')
            final = messages.next()
            self.assertEqual(final["id"], session.next_id)
            self.assertEqual(json.loads(final["result"]["content"][0]["text"])["q"]["content"], {"name": name})
        self.assertEqual([each["params"].get("requestState") for each in self.read("tools/call")].count("s"), 2)
        first.end()
        second.end()

    def test_the_program_hears_of_cancellations(self):
        session = Session(self.url)
        slow = session.background("slow")
        [call] = until(lambda: self.read("tools/call"))
        self.assertEqual(session.notify("notifications/cancelled", requestId=session.next_id), 202)
        [cancelled] = until(lambda: self.read("notifications/cancelled"))
        self.assertEqual(cancelled["params"]["requestId"], call["id"])
        slow.join(PATIENCE)
        session.end()

    def test_what_belongs_to_no_request_goes_to_who_listens(self):
        session = Session(self.url)
        news = session.listen()
        until(lambda: self.read("subscriptions/listen"))
        for _ in range(2):
            session.background("slow")
        until(lambda: len(self.read("tools/call")) == 2)
        self.assertEqual(session.call("log").next()["id"], session.next_id)
        self.assertEqual(news.next()["params"]["data"], "whose?")
        session.end()
        self.assertIsNone(news.raw())


if __name__ == "__main__":
    unittest.main()
