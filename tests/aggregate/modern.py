"""The stateless era through the aggregate, and the tasks of both eras."""

import json

from harness import MODERN, PATIENCE, Gateway, Raw, check, equal, wait_for
from scripted import Error, Never, Server, text, tool

TASKS = "io.modelcontextprotocol/tasks"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
RELATED = "io.modelcontextprotocol/related-task"


def two(era=MODERN, **both):
    servers = {name: Server(name, era=era) for name in ("a", "b")}
    for server in servers.values():
        server.capabilities |= both
    return servers


def urls(servers):
    return {name: {"url": server.url} for name, server in servers.items()}


def case_discover_is_merged_and_headers_are_made_anew():
    servers = two() | {"old": Server("old").add(tool("t"))}
    marked = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    for name in ("a", "b"):
        servers[name].instructions = f"Use {name}."
        servers[name].add(tool("t", inputSchema=marked))
    servers["b"].offer(prompts=[{"name": "greet"}])
    with Gateway(urls(servers)) as gateway, Raw(gateway, version=MODERN) as client:
        found = client.result("server/discover")
        check(MODERN in found["supportedVersions"], f"{found}")
        equal(found["instructions"], "[a]\nUse a.\n\n[b]\nUse b.")
        equal((found["cacheScope"], found["resultType"]), ("private", "complete"))
        check(found["capabilities"]["tools"] == {"listChanged": True} and "prompts" in found["capabilities"], f"{found}")
        # The answer with which each was found to speak the era is the one that the client asked for.
        equal([len(servers[name].got("server/discover")) for name in ("a", "b")], [1, 1], "each is asked once")
        equal(client.result("server/discover")["instructions"], found["instructions"], "asked anew")
        equal([len(servers[name].got("server/discover")) for name in ("a", "b")], [2, 2], "each is asked again")
        listed = client.result("tools/list")
        equal([tool["name"] for tool in listed["tools"]], ["a__t", "b__t"])
        equal((listed["cacheScope"], listed["ttlMs"], listed["resultType"]), ("private", 0, "complete"))
        stream, id = client.request("tools/call", {"name": "b__t", "arguments": {"region": "eu"}}, headers={"Mcp-Param-Region": "eu"})
        equal(stream.answer(id)["result"]["content"][0]["text"], "b:t")
        headers = servers["b"].got("tools/call")[-1]["#headers"]
        equal({key: headers.get(key) for key in ("mcp-method", "mcp-name", "mcp-protocol-version", "mcp-param-region")},
              {"mcp-method": "tools/call", "mcp-name": "t", "mcp-protocol-version": MODERN, "mcp-param-region": "eu"})
        check("mcp-session-id" not in headers, "no sessions")
        equal(client.result("prompts/get", {"name": "b__greet"})["messages"][0]["content"]["text"], "b:greet")


def case_what_the_era_refuses():
    servers = two()
    with Gateway(urls(servers)) as gateway, Raw(gateway, version=MODERN) as client:
        for method in ("ping", "initialize", "logging/setLevel", "resources/subscribe", "tasks/list", "tasks/result", "made/up"):
            equal((client.ask(method)["error"]["code"], client.status), (-32601, 404), method)
        bare = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list"}
        equal((client.post(bare, headers).answer(1)["error"]["code"], client.status), (-32602, 400), "no _meta")
        later = json.loads(json.dumps(bare))
        later["params"]["_meta"] = {"io.modelcontextprotocol/protocolVersion": "2099-01-01",
                                    "io.modelcontextprotocol/clientCapabilities": {}}
        answer = client.post(later, headers | {"MCP-Protocol-Version": "2099-01-01"}).answer(1)
        equal((answer["error"]["code"], client.status, answer["error"]["data"]["requested"]), (-32022, 400, "2099-01-01"))
        stream, _ = client.request("tools/call", {"name": "a__t", "arguments": {}}, headers={"Mcp-Name": "b__t"})
        equal((stream.seen[0]["error"]["code"], client.status), (-32020, 400), "a header that says something else")
        equal(servers["a"].got("tools/call") + servers["b"].got("tools/call"), [], "none of it reached a server")


def case_servers_of_the_older_era_are_found_by_initialize():
    old = Server("old").add(tool("t"))
    with Gateway({"old": {"url": old.url, "bridge": "off"}}) as gateway:
        with Raw(gateway, version=MODERN) as client:
            answer = client.ask("server/discover")
            equal((answer["error"]["code"], client.status), (-32601, 404), "nothing speaks this revision")
        with Raw(gateway) as client:
            equal(client.tools(), ["old__t"])


def case_input_required_makes_the_round_trip():
    states = {}

    def ask(call):
        if "inputResponses" not in call.params:
            state = f"{call.server.name}+/=\u00e9\\\" {{}}"
            return {"resultType": "input_required", "requestState": state, "inputRequests": {
                "q": {"method": "elicitation/create", "params": {"message": call.server.name, "requestedSchema": {"type": "object", "properties": {}}}}}}
        states[call.server.name] = call.params["requestState"]
        return text(f"{call.params['inputResponses']['q']['action']}") | {"resultType": "complete"}

    servers = two()
    for server in servers.values():
        server.add(tool("ask"), ask)
    with Gateway(urls(servers)) as gateway, Raw(gateway, version=MODERN, capabilities={"elicitation": {}}) as client:
        asked = {name: client.call(f"{name}__ask") for name in ("b", "a")}
        for name in ("a", "b"):
            equal(asked[name]["resultType"], "input_required")
            equal(asked[name]["inputRequests"]["q"]["params"]["message"], name)
            more = {"inputResponses": {"q": {"action": f"accept", "content": {}}}, "requestState": asked[name]["requestState"]}
            equal(client.text(f"{name}__ask", **more), "accept")
            equal(states[name], asked[name]["requestState"], "the state, exactly")


def listening(server, accept=None):
    """Answers subscriptions/listen like a server that keeps to it; `server.events` are what it tells."""
    def listen(call):
        wanted = call.params["notifications"]
        meta = {"_meta": {SUBSCRIPTION: call.message["id"]}}
        # Before the acknowledgement: whoever has read it may use both at once.
        server.meta = meta
        server.listeners.append(call)
        call.note("notifications/subscriptions/acknowledged", meta | {"notifications": accept(wanted) if accept else wanted})
        server.over.wait(PATIENCE)
        return {"resultType": "complete"} | meta

    import threading
    server.listeners, server.over = [], threading.Event()
    server.handlers["subscriptions/listen"] = listen


def case_subscriptions_are_one_stream_with_one_acknowledgement():
    servers = two()
    for name, server in servers.items():
        server.offer(resources=[{"uri": f"{name}://x", "name": "x"}])
        listening(server)
    servers["c"] = Server("c", era=MODERN)
    with Gateway(urls(servers)) as gateway, Raw(gateway, version=MODERN) as client:
        wanted = {"toolsListChanged": True, "resourceSubscriptions": ["a://x", "b://x", "z://x"]}
        stream, id = client.request("subscriptions/listen", {"notifications": wanted}, id="listen 1")
        first = stream.next()
        equal(first["method"], "notifications/subscriptions/acknowledged")
        equal(first["params"], {"_meta": {SUBSCRIPTION: id}, "notifications": wanted | {"resourceSubscriptions": ["a://x", "b://x"]}})
        for name in ("a", "b"):
            asked = servers[name].got("subscriptions/listen")[0]["params"]["notifications"]
            equal(asked, {"toolsListChanged": True, "resourceSubscriptions": [f"{name}://x"]}, f"what {name} was asked")
        for name in ("b", "a"):
            server = servers[name]
            server.listeners[0].note("notifications/resources/updated", server.meta | {"uri": f"{name}://x"})
            told = stream.method("notifications/resources/updated")
            equal(told["params"], {"uri": f"{name}://x", "_meta": {SUBSCRIPTION: id}})
        servers["a"].listeners[0].note("notifications/tools/list_changed", servers["a"].meta)
        stream.method("notifications/tools/list_changed")
        # One server ends it; the other goes on, and the one that ended is listened to again.
        servers["b"].over.set()
        wait_for(lambda: len(servers["b"].got("subscriptions/listen")) > 1, "b is not listened to again")
        servers["a"].listeners[0].note("notifications/tools/list_changed", servers["a"].meta)
        stream.method("notifications/tools/list_changed")
        acknowledged = [m for m in stream.seen if m["method"] == "notifications/subscriptions/acknowledged"]
        equal(len(acknowledged), 1, "acknowledgements")
        check(not stream.ended.is_set(), "the stream goes on")
        check(all(m["params"]["_meta"][SUBSCRIPTION] == id for m in stream.seen), f"ids of {stream.seen}")
        # A client that has gone is not told any more.
        stream.close()
        servers["a"].over.set()
        bad = client.ask("subscriptions/listen", {})
        equal(bad["error"]["code"], -32602)


def case_a_server_that_is_late_is_announced_to_subscribers():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    good = Server("good", era=MODERN).add(tool("t"))
    listening(good)
    with Gateway({"good": {"url": good.url}, "late": {"url": f"http://127.0.0.1:{port}/mcp"}}) as gateway:
        with Raw(gateway, version=MODERN) as client:
            equal(client.tools(), ["good__t"])
            check(gateway.failures("late", "upstream.unreachable"), "the metrics")
            stream, id = client.request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
            equal(stream.next()["params"]["notifications"], {"toolsListChanged": True})
            late = Server("late", port, era=MODERN).add(tool("t"))
            listening(late)
            told = stream.method("notifications/tools/list_changed")
            equal(told["params"]["_meta"], {SUBSCRIPTION: id})
            equal(client.tools(), ["good__t", "late__t"])
            stream.close()
            good.over.set(), late.over.set()


def case_to_disconnect_is_to_cancel():
    servers = two()

    def hang(call):
        call.begin()
        call.note("notifications/message", {"level": "info", "data": "begun"})
        try:
            while True:
                call.note("notifications/message", {"level": "info", "data": "…"})
                call.server.cancelled.wait(0.05)
        except OSError:
            call.server.cancelled.set()
            raise

    servers["b"].add(tool("hang"), hang)
    with Gateway(urls(servers)) as gateway, Raw(gateway, version=MODERN) as client:
        stream, _ = client.request("tools/call", {"name": "b__hang", "arguments": {}})
        stream.method("notifications/message")
        stream.close()
        wait_for(servers["b"].cancelled.is_set, "the server is not disconnected")
        equal(servers["a"].cancelled.is_set(), False)


def case_tasks_of_both_eras_stay_apart():
    for era in (MODERN, "legacy"):
        tasks_of = {"tasks": {"list": {}, "cancel": {}}} if era == "legacy" else {"extensions": {TASKS: {}}}
        servers = two(era, **tasks_of)
        complete = {"resultType": "complete"} if era == MODERN else {}

        def start(call):
            if era == MODERN:
                return {"resultType": "task", "taskId": "t1", "status": "working", "createdAt": "2026-01-01T00:00:00Z",
                        "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttlMs": None}
            equal(call.params["task"], {"ttl": 1000}, "the task parameter")
            return {"task": {"taskId": "t1", "status": "working", "createdAt": "2026-01-01T00:00:00Z",
                             "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttl": 1000}}

        def get(call):
            if call.params["taskId"] != "t1":
                raise Error(-32602, f"no task {call.params['taskId']}")
            return complete | {"taskId": "t1", "status": call.server.name}

        for name, server in servers.items():
            server.add(tool("start"), start)
            server.handlers["tasks/get"] = get
            server.handlers["tasks/cancel"] = get
            server.handlers["tasks/update"] = get
            server.handlers["tasks/list"] = lambda call: {"tasks": [{"taskId": "t1", "status": "working"}]}
            server.handlers["tasks/result"] = lambda call: text(f"result of {call.server.name}") | {"_meta": {RELATED: {"taskId": call.params["taskId"]}}}
        abilities = {"extensions": {TASKS: {}}} if era == MODERN else {}
        version = MODERN if era == MODERN else "2025-11-25"
        with Gateway(urls(servers)) as gateway, Raw(gateway, version=version, capabilities=abilities) as client:
            more = {} if era == MODERN else {"task": {"ttl": 1000}}
            ids = {}
            for name in ("a", "b"):
                result = client.call(f"{name}__start", **more)
                ids[name] = result["taskId"] if era == MODERN else result["task"]["taskId"]
            check(ids["a"] != ids["b"], f"equal ids: {ids}")
            for name in ("b", "a"):
                found = client.result("tasks/get", {"taskId": ids[name]})
                equal((found["status"], found["taskId"]), (name, ids[name]))
                client.result("tasks/cancel", {"taskId": ids[name]})
                equal([m["params"]["taskId"] for m in servers[name].got("tasks/cancel")], ["t1"])
                if era == MODERN:
                    equal(servers[name].got("tasks/get")[-1]["#headers"]["mcp-name"], "t1")
                    client.result("tasks/update", {"taskId": ids[name], "inputResponses": {}})
                else:
                    result = client.result("tasks/result", {"taskId": ids[name]})
                    equal((result["content"][0]["text"], result["_meta"][RELATED]["taskId"]), (f"result of {name}", ids[name]))
            if era == "legacy":
                equal([task["taskId"] for task in client.result("tasks/list")["tasks"]], [ids["a"], ids["b"]])
                stream = client.listen()
                wait_for(lambda: servers["b"].streams, "b's stream is not open")
                servers["b"].push("notifications/tasks/status", {"taskId": "t1", "status": "completed"})
                equal(stream.method("notifications/tasks/status")["params"]["taskId"], ids["b"])
            for unknown in ("t1", "c/t1", "a/t2", ""):
                check("error" in client.ask("tasks/get", {"taskId": unknown}), unknown)


def case_two_stateless_clients_of_one_name():
    import threading
    gate = threading.Barrier(2, timeout=PATIENCE)

    def meet(call):
        call.begin()
        gate.wait()
        call.progress(0.5)
        return text(call.params["arguments"]["say"]) | {"resultType": "complete"}

    servers = two()
    servers["a"].add(tool("meet"), meet)
    with Gateway(urls(servers)) as gateway, Raw(gateway, version=MODERN) as one, Raw(gateway, version=MODERN) as other:
        streams = [client.request("tools/call", {"name": "a__meet", "arguments": {"say": say}, "_meta": {"progressToken": 1}}, id=1)[0]
                   for client, say in ((one, "one"), (other, "other"))]
        equal([stream.answer(1)["result"]["content"][0]["text"] for stream in streams], ["one", "other"])
        equal([len(stream.seen) for stream in streams], [2, 2], "messages of each")
