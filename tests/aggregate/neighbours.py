"""Clients that know nothing of each other: what one does, or says it is, reaches no other, and its own still works."""

import http.client
import json
import pathlib
import re
import sys

from harness import MODERN, PATIENCE, Gateway, Raw, check, equal, wait_for
from scripted import Server, tool

CHILD = str(pathlib.Path(__file__).with_name("child.py"))


def own(**more):
    return {"one": {"command": [sys.executable, CHILD, "one"]} | more}


def state(client, prefix=""):
    return json.loads(client.text(f"{prefix}count"))


class Elsewhere(Raw):
    """A client at another address."""

    def raw(self, method, message, headers=None):
        connection = http.client.HTTPConnection(*self.gateway.address, timeout=PATIENCE, source_address=("127.0.0.2", 0))
        connection.request(method, self.path, json.dumps(message).encode(), self.headers(message) | (headers or {}))
        return connection, connection.getresponse()


def case_a_name_is_good_for_one_address():
    with Gateway(own()) as gateway, Raw(gateway, "/mcp/one", MODERN, name="same") as one:
        with Raw(gateway, "/mcp/one", MODERN, name="same") as again, Elsewhere(gateway, "/mcp/one", MODERN, name="same") as other:
            equal(state(one)["pid"], state(again)["pid"], "one client, two connections")
            check(state(one)["pid"] != state(other)["pid"], "somebody elsewhere shares the process")


def case_of_one_name_nobody_cancels_anothers_request():
    for path, prefix in (("/mcp/one", ""), ("/mcp", "one__")):
        with Gateway(own()) as gateway, Raw(gateway, path, MODERN) as one, Raw(gateway, path, MODERN) as other:
            one.tools(), other.tools()
            wait = {"name": f"{prefix}wait", "arguments": {"key": "k", "say": "done waiting"}, "_meta": {"progressToken": 1}}
            body = {"jsonrpc": "2.0", "id": "mine", "method": "tools/call", "params": wait}
            connection = ask_without_waiting(one, body)
            wait_for(lambda: state(other, prefix)["calls"] >= 2, "the call did not arrive")
            other.notify("notifications/cancelled", {"requestId": "mine"})
            other.notify("notifications/progress", {"progressToken": 1, "progress": 1})
            other.notify("notifications/roots/list_changed")
            said = state(other, prefix)["said"]
            equal(said, [], f"what reached the server at {path}")
            check(gateway.entries(kind="message", method="notifications/cancelled"), "it is not recorded")
            # Who asked cancels by closing the stream.
            connection.close()
            wait_for(lambda: state(other, prefix)["cancelled"], "closing the stream did not cancel")


def ask_without_waiting(client, body):
    meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": client.name, "version": "1"}}
    body["params"]["_meta"] |= meta
    connection = http.client.HTTPConnection(*client.gateway.address, timeout=PATIENCE)
    connection.request("POST", client.path, json.dumps(body).encode(), client.headers(body))
    return connection


def case_what_belongs_to_sessions_ends_at_the_gateway():
    server = Server("web", era=MODERN).add(tool("t"))
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "suite", "version": "1"}}
    with Gateway({"web": {"url": server.url}} | own()) as gateway:
        for path in ("/mcp/web", "/mcp/one"):
            with Raw(gateway, path, MODERN) as client:
                client.tools()
                for method, params in (("initialize", hello), ("logging/setLevel", {"level": "debug"}), ("ping", {}),
                                       ("resources/subscribe", {"uri": "one://x"}), ("tasks/list", {})):
                    equal((client.ask(method, params)["error"]["code"], client.status), (-32601, 404), f"{method} at {path}")
                check(gateway.entries(rule="gateway.session_only", method="initialize"), "it is not recorded")
                client.post({"jsonrpc": "2.0", "id": 1, "result": {}}, {"MCP-Protocol-Version": MODERN})
                equal(client.status, 400, "an answer to nothing")
        with Raw(gateway, "/mcp/one", MODERN) as client:
            seen = state(client)
            equal((seen["initialized"], seen["said"], seen["answers"]), (0, [], []))
        equal({message["method"] for message in server.log}, {"tools/list"})
        with Raw(gateway, "/mcp/one") as client:
            equal((client.result("logging/setLevel", {"level": "debug"}), state(client)["said"][-1]), ({}, "logging/setLevel"))


def case_a_program_gets_no_request_that_says_too_little():
    """Over stdio there are no headers: without what the body has to say it would be the request of a client of another era."""
    web, key = Server("web", era=MODERN).offer(resources=[]), "io.modelcontextprotocol/"
    whole = {f"{key}protocolVersion": MODERN, f"{key}clientCapabilities": {}}
    wrong = [(meta, MODERN, -32602) for meta in (None, {}, {f"{key}protocolVersion": MODERN}, {f"{key}clientCapabilities": {}},
                                                 whole | {f"{key}clientCapabilities": []})]
    wrong += [(whole | {f"{key}protocolVersion": version}, version, -32022) for version in ("2099-07-28", "next")]
    programs = own() | {"all": own()["one"] | {"shared": True}}

    def ask(client, meta, version):
        params = {} if meta is None else {"_meta": meta}
        message = {"jsonrpc": "2.0", "id": 7, "method": "resources/list", "params": params}
        return client.post(message, {"MCP-Protocol-Version": version}).answer(7), client.status

    with Gateway({"web": {"url": web.url}} | programs) as gateway:
        for path in ("/mcp/one", "/mcp/all", "/mcp"):
            with Raw(gateway, path, MODERN) as client:
                for meta, version, code in wrong:
                    answer, status = ask(client, meta, version)
                    equal((answer.get("error", {}).get("code"), status), (code, 400), f"{meta} at {path}: {answer}")
                    if code == -32022:
                        data = answer["error"]["data"]
                        equal((MODERN in data["supported"], data["requested"]), (True, version), f"{answer}")
                answer, status = ask(client, whole, MODERN)
                equal(("result" in answer, status), (True, 200), f"{answer}")
        for server in programs:
            for rule, count in (("gateway.no_meta", 5), ("gateway.unsupported_version", 2)):
                equal(len(gateway.entries(server=server, rule=rule, method="resources/list")), count, f"{rule} of {server}")
            # One at /mcp/NAME and one at /mcp.
            passed = gateway.entries(server=server, method="resources/list", direction="to_server", decision="allow")
            equal(len(passed), 2, f"what reached {server}")
        # One over HTTP sees what came, headers and all, and answers for itself.
        web.log.clear()
        with Raw(gateway, "/mcp/web", MODERN) as client:
            for meta, version, _ in wrong:
                equal(ask(client, meta, version)[1], 200, f"{meta}")
        equal([message["#headers"]["mcp-protocol-version"] for message in web.got("resources/list")], [version for _, version, _ in wrong])


def case_what_is_not_posted_has_no_place_without_sessions():
    web = Server("web")
    with Gateway({"web": {"url": web.url}} | own()) as gateway:
        for path in ("/mcp", "/mcp/web", "/mcp/one"):
            with Raw(gateway, path) as client:
                for method in ("GET", "DELETE"):
                    for session in ({}, {"Mcp-Session-Id": client.session}):
                        headers = {"MCP-Protocol-Version": MODERN} | session
                        connection = http.client.HTTPConnection(*gateway.address, timeout=PATIENCE)
                        connection.request(method, path, headers=headers)
                        response = connection.getresponse()
                        equal((response.status, response.headers.get("Allow")), (405, "POST"), f"{method} {path} {headers}")
                        connection.close()
                # The session stands, and ends as a session does.
                equal(client.result("ping"), {})
                statuses = []
                for _ in range(2):
                    connection, response = client.raw("DELETE", None)
                    statuses.append(response.status)
                    connection.close()
                equal(statuses, [204, 404], f"{path}")
                client.session = None
                equal(client.raw("DELETE", None)[1].status, 400, "without a session, in the era that has them")


def case_the_sessions_that_are_counted_are_those_that_are_open():
    with Gateway(own()) as gateway:
        def count(expected, what):
            equal(int(re.search(r"(?m)^bartizan_sessions (\d+)$", gateway.metrics())[1]), expected, what)

        count(0, "nobody is there")
        with Raw(gateway, "/mcp/one") as one, Raw(gateway) as other, Raw(gateway, "/mcp/one", MODERN) as stateless:
            stateless.tools()
            count(3, "each of them")
            equal(one.raw("DELETE", None)[1].status, 204)
            count(2, "it has ended, and at once")
            equal(other.raw("DELETE", None, {"Mcp-Session-Id": one.session})[1].status, 404)
            one.session = None
            count(2, "nothing else has")
        count(1, "what stands for a session of the other era stays until it is idle")


def case_a_cancellation_names_the_request_as_the_server_knows_it():
    with Gateway(own()) as gateway, Raw(gateway, "/mcp/one") as client, Raw(gateway, "/mcp/one"):
        client.tools()
        streams = [client.request("tools/call", {"name": "wait", "arguments": {"key": key, "say": key},
                                                 "_meta": {"progressToken": key}}, id=7)[0] for key in ("first", "second")]
        wait_for(lambda: state(client)["calls"] >= 3, "the calls did not arrive")
        wire = state(client)["ids"][:2]
        check(wire[0] == 7 and wire[1] != 7, f"{wire}")
        client.call("talk", {"release": ["first"]})
        equal(streams[0].answer(7)["result"]["content"][0]["text"], "first")
        client.notify("notifications/cancelled", {"requestId": 7})
        equal(wait_for(lambda: state(client)["cancelled"], "it was not cancelled"), [wire[1]])


def case_a_server_that_ended_is_begun_anew():
    with Gateway(own()) as gateway, Raw(gateway, "/mcp/one") as one, Raw(gateway, "/mcp/one", MODERN) as other:
        for client in (one, other):
            first = state(client)["pid"]
            dead = client.call("die")
            check(dead["isError"] and "upstream.ended" in dead["content"][0]["text"], f"{dead}")
            if client is one:
                for _ in range(2):
                    client.request("tools/call", {"name": "count", "arguments": {}})
                    equal(client.status, 404, "a session whose server has gone")
                client.session = None
                client.__init__(gateway, "/mcp/one")
            seen = state(client)
            check(seen["pid"] != first and seen["calls"] == 1, f"{first}, {seen}")
            equal(state(client)["pid"], seen["pid"], "which stays")


def case_streams_without_an_end_leave_connections_for_others():
    listen = {"notifications": {"toolsListChanged": True}}
    with Gateway(own() | {"two": own()["one"]}, listen="max_connections = 20") as gateway:
        with Raw(gateway, "/mcp/one", MODERN) as many, Raw(gateway, "/mcp/one") as session:
            streams, refused = [], 0
            for _ in range(19):
                stream, _ = many.request("subscriptions/listen", listen)
                refused += many.status == 503
                streams += [stream] * (many.status == 200)
            equal((len(streams), refused), (15, 4))
            _, response = session.raw("GET", None, {"Accept": "text/event-stream"})
            equal(response.status, 503, "another kind of stream")
            with Raw(gateway, "/mcp/two", MODERN, name="other") as other, Raw(gateway, "/mcp/two") as third:
                equal((state(other)["calls"], state(third)["calls"]), (1, 1))
            streams.pop().close()
            wait_for(lambda: many.request("subscriptions/listen", listen) and many.status == 200, "the place is not free again")


def case_the_first_client_does_not_decide_for_those_that_can_do_more():
    all_of_them = {"sampling": {}, "elicitation": {}, "roots": {"listChanged": True}}
    for era, version in (("legacy", "2025-11-25"), (MODERN, MODERN)):
        server, known, more = Server("web", era=era), {}, []

        def listed(call):
            known.update(call.params.get("_meta", {}).get("io.modelcontextprotocol/clientCapabilities", known))
            able = [tool(f"needs-{name}") for name in known]
            return {"tools": [tool("plain"), *able, *more], "resultType": "complete", "ttlMs": 0, "cacheScope": "public"}

        def began(call):
            known.clear()
            known.update(call.params["capabilities"])
            return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "web", "version": "1"}}

        def tools(gateway, able):
            known.clear()
            with Raw(gateway, "/mcp/web", version, capabilities=able) as client:
                return client.tools()

        server.handlers |= {"tools/list": listed} | ({} if era == MODERN else {"initialize": began})
        with Gateway({"web": {"url": server.url}}) as gateway:
            equal(tools(gateway, {}), ["plain"], f"a client that can do nothing, {era}")
            found = tools(gateway, all_of_them)
            equal(sorted(found), ["needs-elicitation", "needs-roots", "needs-sampling", "plain"], f"one that can do all, {era}")
            check(not gateway.entries(rule="tool_pinning.added"), "something counts as added")
            # What the server adds from now on is new to each of them, and to whoever can do less.
            more.append(tool("evil"))
            for able in ({}, {"roots": {}}, all_of_them):
                check("evil" not in tools(gateway, able), f"an addition passes for {able}, {era}")
