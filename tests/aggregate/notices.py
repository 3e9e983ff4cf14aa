"""Notifications, requests of servers, and cancellation: each has to find its way among several servers."""

import threading

from harness import PATIENCE, Gateway, Raw, check, equal, wait_for
from scripted import Handler, Never, Server, text, tool


def two(**both):
    servers = {name: Server(name) for name in ("a", "b")}
    for server in servers.values():
        server.capabilities |= both
    return servers


def urls(servers):
    return {name: {"url": server.url} for name, server in servers.items()}


def case_log_levels_go_to_all_who_log():
    servers = two(logging={}) | {"c": Server("c")}
    with Gateway(urls(servers)) as gateway, Raw(gateway) as client:
        equal(client.result("logging/setLevel", {"level": "warning"}), {})
        for name in ("a", "b"):
            equal([m["params"]["level"] for m in servers[name].got("logging/setLevel")], ["warning"], name)
        equal(servers["c"].got("logging/setLevel"), [], "c does not log")


def case_logs_and_progress_come_with_their_call():
    servers = two(logging={})

    def talk(call):
        call.note("notifications/message", {"level": "info", "data": call.server.name})
        call.progress(0.5)
        return text(call.server.name)

    for server in servers.values():
        server.add(tool("talk"), talk)
    with Gateway(urls(servers)) as gateway, Raw(gateway) as client:
        client.tools()
        for name, token in (("a", "p"), ("b", 7)):
            stream, id = client.request("tools/call", {"name": f"{name}__talk", "arguments": {}, "_meta": {"progressToken": token}})
            stream.answer(id)
            equal([m.get("method") for m in stream.seen], ["notifications/message", "notifications/progress", None])
            equal(stream.seen[0]["params"]["data"], name)
            equal(stream.seen[1]["params"], {"progressToken": token, "progress": 0.5})


def case_a_server_speaks_only_of_what_it_was_asked():
    servers = two(resources={"subscribe": True})
    for name, server in servers.items():
        server.offer(resources=[{"uri": f"{name}://x", "name": "x"}])
    release = threading.Event()

    def work(call):
        call.begin()
        release.wait(PATIENCE)
        call.progress(0.5)
        return text("done")

    servers["a"].add(tool("work"), work)
    with Gateway(urls(servers)) as gateway, Raw(gateway) as client:
        client.tools(), client.result("resources/list")
        stream = client.listen()
        wait_for(lambda: servers["b"].streams, "b's stream is not open")
        call, id = client.request("tools/call", {"name": "a__work", "arguments": {}, "_meta": {"progressToken": "p"}})
        servers["b"].push("notifications/progress", {"progressToken": "p", "progress": 0.9, "message": "forged"})
        servers["b"].push("notifications/resources/updated", {"uri": "a://x"})
        servers["b"].push("notifications/resources/updated", {"uri": "b://x"})
        equal(stream.method("notifications/resources/updated")["params"]["uri"], "b://x")
        equal(len(stream.seen), 1, f"what b may say: {stream.seen}")
        release.set()
        call.answer(id)
        equal([m["params"]["progress"] for m in call.seen if "params" in m], [0.5])
        equal(len(gateway.entries(server="b", rule="gateway.not_its_own", decision="deny")), 2, "recorded")


def case_changes_come_on_one_stream():
    servers = two(resources={"subscribe": True})
    for name, server in servers.items():
        server.offer(resources=[{"uri": f"{name}://x", "name": "x"}])
    with Gateway(urls(servers)) as gateway, Raw(gateway) as client, Raw(gateway) as stranger:
        stream, other = client.listen(), stranger.listen()
        wait_for(lambda: all(len(server.streams) == 2 for server in servers.values()), "not all listen")
        equal(client.result("resources/subscribe", {"uri": "b://x"}), {})
        equal(([m["params"]["uri"] for m in servers["b"].got("resources/subscribe")], servers["a"].got("resources/subscribe")),
              (["b://x"], []))
        servers["a"].push("notifications/tools/list_changed")
        stream.method("notifications/tools/list_changed")
        servers["b"].push("notifications/resources/updated", {"uri": "b://x"})
        equal(stream.method("notifications/resources/updated")["params"], {"uri": "b://x"})
        equal(client.result("resources/unsubscribe", {"uri": "b://x"}), {})
        equal(len(servers["b"].got("resources/unsubscribe")), 1)
        # A second stream of a session takes the place of the first.
        again = client.listen()
        check(stream.ended.wait(PATIENCE), "the stream that was replaced goes on")

        def heard():
            # A server may send before the new stream is there.
            servers["b"].push("notifications/prompts/list_changed")
            return any(message["method"] == "notifications/prompts/list_changed" for message in again.seen)

        wait_for(heard, "the new stream brings nothing")
        other.method("notifications/prompts/list_changed")


def case_cancellation_reaches_the_right_server():
    servers = two()

    def hang(call):
        raise Never

    for server in servers.values():
        server.add(tool("hang"), hang)
    with Gateway(urls(servers)) as gateway, Raw(gateway) as client:
        client.tools()
        calls = [{"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": f"{name}__hang"}}
                 for name, id in (("a", 100), ("b", "100"))]
        threads = [threading.Thread(target=client.raw, args=("POST", call)) for call in calls]
        for thread in threads:
            thread.start()
        wait_for(lambda: all(server.got("tools/call") for server in servers.values()), "the calls did not arrive")
        client.notify("notifications/cancelled", {"requestId": "100", "reason": "enough"})
        wait_for(servers["b"].cancelled.is_set, "b was not told")
        equal([m["params"] for m in servers["b"].got("notifications/cancelled")], [{"requestId": "100", "reason": "enough"}])
        client.notify("notifications/cancelled", {"requestId": 12345})
        client.notify("notifications/cancelled", {"requestId": 100})
        wait_for(servers["a"].cancelled.is_set, "a was not told")
        equal([m["params"] for m in servers["a"].got("notifications/cancelled")], [{"requestId": 100}])
        equal(len(servers["b"].got("notifications/cancelled")), 1)
        for thread in threads:
            thread.join(PATIENCE)


def case_requests_of_two_servers_with_equal_ids():
    servers = two()
    gate = threading.Barrier(2, timeout=PATIENCE)

    def ask(call):
        call.begin()
        gate.wait()
        sampled = call.ask("sampling/createMessage", {"messages": [], "maxTokens": 1, "_meta": {"progressToken": 5}}, id=1)
        elicited = call.ask("elicitation/create", {"message": call.server.name, "requestedSchema": {"type": "object", "properties": {}}}, id="1")
        roots = call.ask("roots/list", id=2)
        return text(f"{sampled['result']['model']} {elicited['result']['action']} {roots['result']['roots'][0]['uri']}")

    for server in servers.values():
        server.add(tool("ask"), ask)
    abilities = {"sampling": {}, "elicitation": {}, "roots": {"listChanged": True}}
    with Gateway(urls(servers)) as gateway, Raw(gateway, capabilities=abilities) as client:
        client.tools()
        equal(servers["b"].got("initialize")[0]["params"]["capabilities"], abilities, "what the server was told of the client")
        streams = {name: client.request("tools/call", {"name": f"{name}__ask", "arguments": {}}) for name in servers}
        asked = {name: stream.method("sampling/createMessage") for name, (stream, _) in streams.items()}
        check(asked["a"]["id"] != asked["b"]["id"], f"equal ids: {asked}")
        # The client reports progress of what one of them asked.
        token = asked["b"]["params"]["_meta"]["progressToken"]
        check(token != asked["a"]["params"]["_meta"]["progressToken"], "equal tokens")
        client.notify("notifications/progress", {"progressToken": token, "progress": 1})
        wait_for(lambda: servers["b"].got("notifications/progress"), "no progress at b")
        equal(servers["b"].got("notifications/progress")[0]["params"]["progressToken"], 5)
        equal(servers["a"].got("notifications/progress"), [])
        for name in ("b", "a"):
            client.respond(asked[name]["id"], {"role": "assistant", "content": {"type": "text", "text": "x"}, "model": f"for-{name}"})
        for name, (stream, _) in streams.items():
            elicited = stream.method("elicitation/create")
            equal(elicited["params"]["message"], name)
            client.respond(elicited["id"], {"action": f"accept-{name}" if name == "a" else "decline"})
        for name, (stream, id) in reversed(streams.items()):
            client.respond(stream.method("roots/list")["id"], {"roots": [{"uri": f"file:///{name}"}]})
            words = stream.answer(id)["result"]["content"][0]["text"]
            equal(words, f"for-{name} {'accept-a' if name == 'a' else 'decline'} file:///{name}")
        # Answers that nobody asked for go to nobody.
        for id in ("a/77", "b/1", "c/1", "x", 1, "a/", "a/{}", 'a/1,"x":2'):
            client.respond(id, {"roots": []})
        client.notify("notifications/roots/list_changed")
        for server in servers.values():
            wait_for(lambda: server.got("notifications/roots/list_changed"), "roots changed")
            equal(len([m for m in server.log if "method" not in m]), 3, f"answers at {server.name}")


def case_a_server_takes_its_question_back():
    servers = two()

    def ask(call):
        call.send({"id": 9, "method": "elicitation/create", "params": {"message": "m", "requestedSchema": {"type": "object", "properties": {}}}})
        call.note("notifications/cancelled", {"requestId": 9})
        return text("never mind")

    servers["b"].add(tool("ask"), ask)
    with Gateway(urls(servers)) as gateway, Raw(gateway, capabilities={"elicitation": {}}) as client:
        stream, id = client.request("tools/call", {"name": "b__ask", "arguments": {}})
        stream.answer(id)
        asked, taken_back = stream.seen[0], stream.seen[1]
        equal(taken_back["params"]["requestId"], asked["id"], "the id of what is taken back")


def case_a_stream_is_resumed_at_its_server():
    servers = two()

    def drop(call):
        call.begin()
        call.handler.event(None, "e1")
        call.handler.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": 1}}, "e2")
        call.server.pending = call.message["id"]
        call.handler.close_connection = True
        raise ConnectionAbortedError

    def resume(handler: Handler, last):
        server = handler.server_of_case
        server.resumed = last
        handler.event({"jsonrpc": "2.0", "id": server.pending, "result": text(f"{server.name} again")}, "e3")

    for server in servers.values():
        server.add(tool("drop"), drop)
        server.handlers["#resume"] = resume
    with Gateway(urls(servers)) as gateway, Raw(gateway) as client:
        client.tools()
        for name in ("b", "a"):
            stream, id = client.request("tools/call", {"name": f"{name}__drop", "arguments": {}})
            check(stream.ended.wait(PATIENCE), "the stream ends")
            equal(len(stream.ids), 2, f"ids of {stream.ids}")
            check(not any("result" in m or "error" in m for m in stream.seen), f"it can be resumed: {stream.seen}")
            for number in (1, 0):
                if number == 1:
                    resumed = client.listen(stream.ids[number])
                    equal(resumed.answer(id)["result"]["content"][0]["text"], f"{name} again")
                    equal(servers[name].resumed, "e2")


def case_two_clients_do_not_see_each_other():
    servers = two(logging={})
    release = threading.Event()

    def ask(call):
        answer = call.ask("elicitation/create", {"message": "m", "requestedSchema": {"type": "object", "properties": {}}},
                          id=call.message["params"]["arguments"]["id"])
        release.wait(PATIENCE)
        return text(answer["result"]["action"])

    servers["a"].add(tool("ask"), ask)
    with Gateway(urls(servers)) as gateway:
        with Raw(gateway, capabilities={"elicitation": {}}) as one, Raw(gateway, capabilities={"elicitation": {}}) as other:
            one.tools(), other.tools()
            equal(len(servers["a"].sessions), 2, "sessions of the server")
            streams = [client.request("tools/call", {"name": "a__ask", "arguments": {"id": n}}, id=50)
                       for n, client in enumerate((one, other))]
            asked = [stream.method("elicitation/create") for stream, _ in streams]
            # What one was asked, the other cannot answer.
            other.respond(asked[0]["id"], {"action": "decline"})
            one.respond(asked[0]["id"], {"action": "accept"})
            other.respond(asked[1]["id"], {"action": "cancel"})
            release.set()
            equal([stream.answer(id)["result"]["content"][0]["text"] for stream, id in streams], ["accept", "cancel"])
            check(one.session != other.session, "one session for two")
