#!/usr/bin/env python3
"""What Bartizan itself owes an HTTP client in front of a server that speaks stdio, as far as the official suite does not
look: streams that can be resumed, ids of several clients kept apart, cancellation, headers, cache hints."""

import contextlib
import http.client
import json
import pathlib
import sys
import threading
import time
import unittest
import urllib.parse

import processes

CHILD = pathlib.Path(__file__).resolve().parent / "child.py"
PATIENCE = 30  # seconds for anything to happen
META = "io.modelcontextprotocol/"
MODERN = {META + "protocolVersion": "2026-07-28", META + "clientCapabilities": {}, META + "clientInfo": {"name": "front", "version": "1"}}


class Event(dict):
    """An event: its `id`, `retry` and, as `message`, its data."""


class Reply:
    """A response that may be a stream."""

    opened = []

    def __init__(self, connection, response):
        self.connection, self.response = connection, response
        self.status, self.headers = response.status, response.headers
        self.opened.append(self)

    def json(self):
        text = self.response.read()
        self.connection.close()
        return json.loads(text) if text else None

    def events(self):
        """The events as they come."""
        fields = {}
        for line in iter(self.response.readline, b""):
            line = line.decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields:
                data = fields.get("data", "")
                yield Event(id=fields.get("id"), retry=fields.get("retry"), message=json.loads(data) if data else None)
                fields = {}

    def messages(self):
        return [event["message"] for event in self.events() if event["message"]]

    def drop(self):
        """Breaks the connection off."""
        self.response.close()
        self.connection.close()


class Client:
    """A client that does just what it is told."""

    def __init__(self, url):
        self.url = urllib.parse.urlsplit(url)
        self.session = {}

    def send(self, method, body=None, headers=None):
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=PATIENCE)
        base = {"accept": "application/json, text/event-stream"} | self.session
        if body is not None:
            base["content-type"] = "application/json"
        connection.request(method, self.url.path, body and json.dumps(body), base | (headers or {}))
        return Reply(connection, connection.getresponse())

    def post(self, method, params=None, id=1, headers=None):
        message = {"jsonrpc": "2.0", "method": method, "params": params or {}} | ({} if id is None else {"id": id})
        return self.send("POST", message, headers)


class Legacy(Client):
    """A client of a revision with sessions."""

    def __init__(self, url, version="2025-11-25"):
        super().__init__(url)
        hello = self.post("initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "front", "version": "1"}})
        self.session = {"mcp-session-id": hello.headers["mcp-session-id"], "mcp-protocol-version": version}
        hello.json()
        self.post("notifications/initialized", id=None).json()

    def call(self, tool, arguments=None, id=1):
        return self.post("tools/call", {"name": tool, "arguments": arguments or {}, "_meta": {"progressToken": id}}, id)

    def get(self, last=None):
        return self.send("GET", headers={"accept": "text/event-stream"} | ({"last-event-id": last} if last else {}))


class Modern(Client):
    """A client of the revision without sessions."""

    def request(self, method, params=None, id=1, headers=None, meta=None):
        params = (params or {}) | {"_meta": MODERN | (meta or {})}
        named = {"mcp-name": params["name"]} if "name" in params else {}
        return self.post(method, params, id, {"mcp-protocol-version": "2026-07-28", "mcp-method": method} | named | (headers or {}))

    def call(self, tool, arguments=None, id=1, headers=None, meta=None):
        return self.request("tools/call", {"name": tool, "arguments": arguments or {}}, id, headers, meta)


def text(message):
    return message["result"]["content"][0]["text"]


def seen(client):
    """What the server was sent so far."""
    return json.loads(text(client.call("seen", id="seen").json()))


def until(found):
    """Waits for something to be found."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        result = found()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def held(client, count=1):
    """Waits until the server holds so many calls; their ids there."""
    def waiting():
        calls = [message for message in seen(client) if message.get("method") == "tools/call"]
        ids = [message["id"] for message in calls if message["params"]["name"] in ("hold", "steps")]
        return ids if len(ids) >= count else None
    return until(waiting)


class Front(unittest.TestCase):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.addCleanup(lambda: [reply.drop() for reply in Reply.opened] and Reply.opened.clear())
        command = [sys.executable, str(CHILD)]
        self.url = stack.enter_context(processes.bartizan({"child": {"command": command}}))("child")

    def together(self, *tasks):
        """Runs all at once and gives what they return."""
        results = [None] * len(tasks)

        def one(position, task):
            results[position] = task()

        threads = [threading.Thread(target=one, args=pair, daemon=True) for pair in enumerate(tasks)]
        for thread in threads:
            thread.start()
        return lambda: [thread.join(PATIENCE) for thread in threads] and results

    def test_a_stream_that_broke_off_is_resumed(self):
        client = Legacy(self.url)
        events = (reply := client.call("steps", {"tag": "late"}, id=5)).events()
        first, one = next(events), next(events)
        self.assertIsNone(first["message"])
        self.assertTrue(first["id"] and int(first["retry"]) > 0)
        self.assertEqual(one["message"]["params"]["data"], "one")
        reply.drop()
        self.assertEqual(text(client.call("go").json()), "gone on")
        rest = list(client.get(one["id"]).events())
        self.assertEqual([event["message"].get("method") for event in rest], ["notifications/progress", None])
        self.assertEqual((rest[-1]["message"]["id"], text(rest[-1]["message"])), (5, "late"))
        # As often as it takes, and from wherever the client says that it is.
        again = list(client.get(first["id"]).events())
        self.assertEqual([event["id"] for event in again], [one["id"], *(event["id"] for event in rest)])
        self.assertEqual(len({event["id"] for event in again}), 3)

    def test_older_revisions_get_ids_and_no_empty_event(self):
        client = Legacy(self.url, "2025-06-18")
        events = (reply := client.call("steps", id=5)).events()
        one = next(events)
        self.assertEqual(one["message"]["params"]["data"], "one")
        reply.drop()
        client.call("go").json()
        self.assertEqual(list(client.get(one["id"]).events())[-1]["message"]["id"], 5)

    def test_a_slow_call_gets_a_stream_to_come_back_to(self):
        client = Legacy(self.url)
        reply = client.call("hold", {"tag": "slow"}, id="s")
        self.assertEqual(reply.headers["content-type"], "text/event-stream")
        first = next(reply.events())
        self.assertIsNone(first["message"])
        reply.drop()
        client.call("go").json()
        rest = client.get(first["id"]).messages()
        self.assertEqual((rest[-1]["id"], text(rest[-1])), ("s", "slow"))
        self.assertFalse([message for message in seen(client) if message.get("method") == "notifications/cancelled"])

    def test_streams_of_one_session_are_not_another_ones(self):
        client, other = Legacy(self.url), Legacy(self.url)
        events = (reply := client.call("steps")).events()
        one = (next(events), next(events))[1]
        reply.drop()
        client.call("go").json()
        # The other session has no such stream: it gets the one that belongs to no request, on which nothing came.
        stream = other.get(one["id"])
        other.call("change", {"uri": "test://other"}).json()
        updates = (event["message"] for event in stream.events() if event["message"])
        self.assertEqual(next(updates)["params"]["uri"], "test://other")
        stream.drop()

    def test_what_no_request_asked_for_has_its_own_stream(self):
        client = Legacy(self.url)
        stream = client.get()
        events = (event for event in stream.events() if event["message"])
        client.call("change", {"uri": "test://1"}).json()
        one = next(events)
        self.assertEqual(one["message"]["params"]["uri"], "test://1")
        # Who asks for it again has lost it: the stream goes on there and ends here.
        again = client.get()
        self.assertIsNone(next(events, None))
        again.drop()
        # What comes while nobody listens, or is lost on the way, is sent again.
        client.call("change", {"uri": "test://2"}).json()
        events = (event for event in client.get(one["id"]).events() if event["message"])
        self.assertEqual(next(events)["message"]["params"]["uri"], "test://2")

    def test_a_session_that_was_ended_is_gone(self):
        client = Legacy(self.url)
        self.assertIn(client.send("DELETE").status, (200, 204))
        self.assertEqual(client.call("seen").status, 404)
        self.assertEqual(client.get().status, 404)

    def test_clients_that_count_alike_are_kept_apart(self):
        client = Modern(self.url)
        tasks = [lambda tag=tag: client.call("hold", {"tag": tag}, meta={"progressToken": 7}).messages() for tag in "ab"]
        finish = self.together(*tasks)
        self.assertEqual(len(set(held(client, 2))), 2)
        client.call("go").json()
        for tag, messages in zip("ab", finish()):
            self.assertEqual(messages[0]["params"]["progressToken"], 7)
            self.assertEqual((messages[-1]["id"], text(messages[-1])), (1, tag))

    def test_to_go_is_to_cancel(self):
        client = Modern(self.url)
        connection = http.client.HTTPConnection(client.url.hostname, client.url.port, timeout=PATIENCE)
        body = {"jsonrpc": "2.0", "id": "x", "method": "tools/call", "params": {"name": "hold", "arguments": {}, "_meta": MODERN}}
        headers = {"accept": "application/json, text/event-stream", "content-type": "application/json",
                   "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "hold"}
        connection.request("POST", client.url.path, json.dumps(body), headers)
        self.assertEqual(held(client), ["x"])
        connection.close()
        cancelled = until(lambda: [message for message in seen(client) if message.get("method") == "notifications/cancelled"])
        self.assertEqual([message["params"]["requestId"] for message in cancelled], ["x"])

    def test_each_subscription_hears_of_changes_under_its_own_id(self):
        client = Modern(self.url)
        streams = [client.request("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, id=3) for _ in "ab"]
        events = [stream.events() for stream in streams]
        for method in ("notifications/subscriptions/acknowledged", "notifications/tools/list_changed"):
            if method.endswith("list_changed"):
                client.call("change").json()
            for stream in events:
                message = next(stream)["message"]
                self.assertEqual((message["method"], message["params"]["_meta"][META + "subscriptionId"]), (method, 3))
        for stream in streams:
            stream.drop()

    def test_errors_of_the_stateless_era_show_in_the_status(self):
        client = Modern(self.url)
        self.assertEqual(client.request("test/unknown").status, 404)
        self.assertEqual(client.request("test/invalid").status, 200)
        bare = client.post("test/invalid", {}, headers={"mcp-protocol-version": "2026-07-28", "mcp-method": "test/invalid"})
        self.assertEqual(bare.status, 400)
        legacy = Legacy(self.url)
        self.assertEqual(legacy.post("test/unknown").status, 200)

    def test_headers_of_arguments_must_say_what_the_arguments_say(self):
        client = Modern(self.url)
        client.request("tools/list").json()
        for headers, right in [({"mcp-param-region": "eu"}, True), ({"mcp-param-region": "us"}, False), ({}, False),
                               ({"mcp-param-region": "eu", "mcp-param-unknown": "x"}, True)]:
            reply = client.call("marked", {"region": "eu"}, headers=headers)
            self.assertEqual(reply.status, 200 if right else 400, headers)
            answer = reply.json()
            self.assertEqual(answer.get("error", {}).get("code"), None if right else -32020, headers)

    def test_nothing_stays_public(self):
        result = Modern(self.url).request("tools/list").json()["result"]
        self.assertEqual((result["cacheScope"], result["ttlMs"]), ("private", 1000))


if __name__ == "__main__":
    unittest.main()
