"""Servers that are slow, dead, hung or gone: the others go on, and what was left out is said."""

import json
import socket
import sys
import pathlib
import threading
import time

from harness import MODERN, PATIENCE, Gateway, Raw, check, equal, wait_for
from scripted import Never, Server, text, tool

CHILD = str(pathlib.Path(__file__).with_name("child.py"))


def never(call):
    raise Never


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def case_a_dead_server_is_left_out_and_joins_later():
    good, port = Server("good").add(tool("t")), free_port()
    with Gateway({"good": {"url": good.url}, "late": {"url": f"http://127.0.0.1:{port}/mcp"}}) as gateway:
        with Raw(gateway) as client, Raw(gateway) as deaf:
            equal(client.tools(), ["good__t"])
            equal(client.text("good__t"), "good:t")
            refused = client.call("late__t")
            check(refused["isError"] and "late" in refused["content"][0]["text"], f"{refused}")
            check(gateway.entries(kind="upstream.failed", server="late", rule="upstream.unreachable"), "the log")
            check(gateway.failures("late", "upstream.unreachable"), "the metrics")
            # What it will offer is not known, so all that has lists is declared.
            capabilities = client.hello["result"]["capabilities"]
            check(all(capabilities[name]["listChanged"] for name in ("tools", "prompts", "resources")), f"{capabilities}")
            client.result("resources/list"), client.result("prompts/list")
            stream = client.listen()
            late = Server("late", port).add(tool("t")).offer(resources=[{"uri": "late://x", "name": "x"}])
            stream.method("notifications/tools/list_changed")
            stream.method("notifications/resources/list_changed")
            equal([m for m in stream.seen if "prompts" in m["method"]], [], "it has no prompts")
            equal(client.tools(), ["good__t", "late__t"])
            equal(client.text("late__t"), "late:t")
            # Its own stream is part of the client's now.
            wait_for(lambda: late.streams, "its stream is not open")
            late.push("notifications/message", {"level": "info", "data": "hello"})
            stream.method("notifications/message")
            # One who did not listen meanwhile hears of it as soon as it does.
            wait_for(lambda: "late__t" in deaf.tools(), "the other session has it as well")
            deaf.listen().method("notifications/tools/list_changed")


def case_what_cannot_be_started_is_recorded_with_the_call_that_needed_it():
    good = Server("good", era=MODERN).add(tool("t"))
    servers = {"good": {"url": good.url}} | {
        name: {"command": [f"/nonexistent/{name}"]} | more
        for name, more in {"one": {}, "two": {}, "old": {}, "bridged": {"bridge": "auto"}}.items()}
    with Gateway(servers) as gateway:
        def failed(server, method, id):
            entries = gateway.entries(kind="upstream.failed", server=server, method=method, request=id)
            check(entries, f"{method} {id}: {gateway.entries(kind='upstream.failed', server=server)}")
            return entries[-1]

        for server, method, params, id in (
                ("one", "tools/call", {"name": "t"}, "a1"), ("one", "tools/list", {}, 7),
                ("bridged", "tools/call", {"name": "t"}, "b1"), ("bridged", "server/discover", {}, 8)):
            with Raw(gateway, f"/mcp/{server}", version=MODERN) as client:
                answer = client.ask(method, params, id)
            entry = failed(server, method, str(id))
            equal((answer["error"]["data"]["decision"], entry["rule"]), (entry["id"], "upstream.unreachable"), f"{method}: {answer}")
        # A notification has no id, and its method says what it was.
        with Raw(gateway, "/mcp/two", version=MODERN) as client:
            client.post({"jsonrpc": "2.0", "method": "notifications/odd"})
            check(client.status >= 400, f"{client.status}")
        failed("two", "notifications/odd", None)
        # One that has sessions begins with a request, too.
        try:
            Raw(gateway, "/mcp/old")
        except AssertionError as refused:
            check("upstream.unreachable" in str(refused), f"{refused}")
        failed("old", "initialize", "1")
        # Of all together: what each of them was begun for.
        with Raw(gateway, version=MODERN) as client:
            equal(client.ask("tools/list", id="all")["result"]["tools"][0]["name"], "good__t", "the others are listed")
            for server in ("one", "two", "bridged"):
                failed(server, "tools/list", "all")
        with Raw(gateway, version=MODERN, name="another") as client:
            check(client.ask("tools/call", {"name": "one__t", "arguments": {}}, id="c1"), "it is answered")
            failed("one", "tools/call", "c1")
            # The twin: what goes to a server that is there is no failure.
            equal(client.text("good__t"), "good:t")
        equal(gateway.entries(kind="upstream.failed", server="good"), [], "the good one")


def case_a_server_that_comes_back_is_told_what_the_client_wants():
    good = Server("good").add(tool("t"))
    server = Server("s").add(tool("t")).offer(resources=[{"uri": "s://x", "name": "x"}])
    server.capabilities |= {"logging": {}}
    with Gateway({"good": {"url": good.url}, "s": {"url": server.url}}) as gateway, Raw(gateway) as client:
        client.result("resources/list")
        stream = client.listen()
        client.result("logging/setLevel", {"level": "error"})
        client.result("resources/subscribe", {"uri": "s://x"})
        wait_for(lambda: server.streams, "its stream is not open")
        server.log.clear()
        server.forget()
        stream.method("notifications/tools/list_changed")
        equal([m["params"]["level"] for m in server.got("logging/setLevel")], ["error"])
        equal([m["params"]["uri"] for m in server.got("resources/subscribe")], ["s://x"])
        equal(client.text("s__t"), "s:t")
        # Without anybody noticing before: the call that finds out is made again in the new session.
        server.handlers["no stream"] = True
        server.forget()
        equal(client.text("s__t"), "s:t")
        server.forget()
        equal(client.tools(), ["good__t", "s__t"])
        equal(client.text("good__t"), "good:t")


def case_a_server_that_hangs_holds_nobody_up_twice():
    good = Server("good").add(tool("t"))
    hung, slow = Server("hung", initialize=never), Server("slow").add(tool("t"))
    slow.handlers["tools/list"] = never
    servers = {"good": good, "hung": hung, "slow": slow}
    with Gateway({name: {"url": server.url, "timeout": "40s"} for name, server in servers.items()}) as gateway:
        with Raw(gateway) as client:
            check(gateway.entries(kind="upstream.failed", server="hung", rule="upstream.timeout"), "the log, for one that hangs")
            equal(client.tools(), ["good__t"])
            check(gateway.entries(kind="upstream.failed", server="slow", rule="upstream.timeout"), "the log, for a slow one")
            for name in ("hung", "slow"):
                check(gateway.failures(name, "upstream.timeout"), f"the metrics, for {name}")
            equal(client.text("good__t"), "good:t")
            asked = len(slow.got("tools/list"))
            for _ in range(3):
                equal(client.tools(), ["good__t"])
            equal(len(slow.got("tools/list")), asked + 3, "it is asked each time")
            refused = client.call("hung__t")
            check(refused["isError"], f"{refused}")
            # Once it answers, it is there again.
            del slow.handlers["tools/list"]
            equal(client.tools(), ["good__t", "slow__t"])
        for server in servers.values():
            server.cancelled.set()


def case_one_that_says_nothing_is_not_taken_for_one_of_the_other_era():
    def program(code):
        return {"command": [sys.executable, "-c", code], "timeout": "2s"}

    odd = Server("odd", initialize=lambda call: {}, **{"server/discover": lambda call: {}})
    for era, foreign in (("2025-11-25", MODERN), (MODERN, "legacy")):
        good, other = Server("good", era=MODERN if era == MODERN else "legacy").add(tool("t")), Server("other", era=foreign).add(tool("t"))
        servers = {"dies": program("import sys; sys.exit('boom')"), "hangs": program("import time; time.sleep(1000)"),
                   "babbles": program("import time; input(); print('{\"id\":'); time.sleep(1000)"),
                   "none": {"url": f"http://127.0.0.1:{free_port()}/mcp"}, "odd": {"url": odd.url},
                   "good": {"url": good.url}, "other": {"url": other.url}}
        with Gateway(servers) as gateway, Raw(gateway, version=era) as client:
            if era == MODERN:
                client.result("server/discover")
            equal(client.tools(), ["good__t"], era)
            for name in servers:
                found = gateway.entries(server=name, rule="upstream.other_era")
                equal((bool(found), gateway.failures(name, "upstream.other_era")), (name == "other",) * 2, f"{name}, {era}")
            for name, reason in (("dies", "ended"), ("hangs", "timeout"), ("none", "unreachable")):
                rules = {entry["rule"] for entry in gateway.entries(server=name, kind="upstream.failed")}
                equal(rules - {"upstream.resting"}, {f"upstream.{reason}"}, f"{name}, {era}")


def case_a_call_that_hangs_delays_no_other():
    good, slow = Server("good").add(tool("t")), Server("slow").add(tool("hang"), never).add(tool("t"))
    with Gateway({"good": {"url": good.url}, "slow": {"url": slow.url}}) as gateway, Raw(gateway) as client:
        client.tools()
        hanging = threading.Thread(target=client.raw, args=("POST", {
            "jsonrpc": "2.0", "id": "h", "method": "tools/call", "params": {"name": "slow__hang"}}))
        hanging.start()
        wait_for(lambda: slow.got("tools/call"), "the call did not arrive")
        for _ in range(20):
            equal((client.text("good__t"), client.text("slow__t")), ("good:t", "slow:t"))
        check(hanging.is_alive(), "it should still hang")
        slow.cancelled.set()
        hanging.join(PATIENCE)


def case_a_child_that_dies_is_started_again():
    good = Server("good").add(tool("t"))
    child = {"command": [sys.executable, CHILD, "child"]}
    with Gateway({"good": {"url": good.url}, "child": child}) as gateway, Raw(gateway) as client:
        equal(client.tools(), ["child__count", "child__die", "child__talk", "child__wait", "good__t"])
        stream = client.listen()
        first = json.loads(client.text("child__count"))
        dead = client.call("child__die")
        check(dead["isError"] and "I am gone" in dead["content"][0]["text"], f"{dead}")
        check(gateway.entries(kind="upstream.failed", server="child", rule="upstream.ended"), "the log")
        stream.method("notifications/tools/list_changed")
        second = json.loads(client.text("child__count"))
        check(first["pid"] != second["pid"] and second["initialized"] == 1, f"{first} {second}")
        equal(client.text("good__t"), "good:t")


def case_a_hostile_list_harms_nobody():
    good = Server("good").add(tool("t"))
    evil = Server("evil")
    evil.handlers["tools/list"] = lambda call: {"tools": "none"}
    evil.handlers["resources/list"] = lambda call: {"resources": [1, {"uri": 7}, {"uri": "e://x", "name": "x"}]}
    evil.handlers["prompts/list"] = lambda call: {"error": {"code": -32603, "message": "no"}}
    evil.capabilities |= {"resources": {}, "prompts": {}}
    endless = Server("endless").add(tool("t"))
    endless.handlers["tools/list"] = lambda call: {"tools": [], "nextCursor": "again"}
    servers = {"good": good, "evil": evil, "endless": endless}
    with Gateway({name: {"url": server.url} for name, server in servers.items()}) as gateway, Raw(gateway) as client:
        equal(client.tools(), ["good__t"])
        check(len(endless.got("tools/list")) <= 1001, "an endless list ends")
        check("e://x" in [r.get("uri") for r in client.result("resources/list")["resources"] if isinstance(r, dict)], "the sound one stays")
        equal(client.result("prompts/list")["prompts"], [])
