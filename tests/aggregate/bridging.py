"""Servers of both eras behind one endpoint: `bridge = "auto"` at `/mcp`, for clients of either era."""

import json
import os
import pathlib
import signal
import socket
import sys
import tempfile
import threading

import clients
from harness import FIXTURE, MODERN, PATIENCE, Gateway, Raw, check, equal, wait_for
from modern import SUBSCRIPTION, listening
from scripted import Error, Server, text, tool

HERE = pathlib.Path(__file__).resolve().parent
META = "io.modelcontextprotocol/"
FORM = {"message": "Who?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}
CAN = {"elicitation": {}, "roots": {}}


def pair(**both):
    servers = {"new": Server("new", era=MODERN), "old": Server("old")}
    for server in servers.values():
        server.capabilities |= both
    return servers


def urls(servers, bridge="auto"):
    return {name: {"url": server.url} | ({"bridge": bridge} if bridge else {}) for name, server in servers.items()}


def client_of(gateway, era, **more):
    return Raw(gateway, version=MODERN if era == MODERN else "2025-11-25", **more)


def foreign(era):
    """The server that is of the other era than the client, and the one that is not."""
    return ("old", "new") if era == MODERN else ("new", "old")


def asking(server, name="ask"):
    """A tool that asks who it is, in the words of the server's era, and answers with what it was told."""
    def modern(call):
        if "inputResponses" not in call.params:
            return {"resultType": "input_required", "requestState": "s", "inputRequests": {"q": {"method": "elicitation/create", "params": FORM}}}
        return text(json.dumps(call.params["inputResponses"]["q"]))

    def legacy(call):
        answer = call.ask("elicitation/create", FORM, id=1)
        return text(json.dumps(answer.get("result"))) | {"isError": "result" not in answer}

    server.add(tool(name), modern if server.era == MODERN else legacy)


def case_either_client_has_the_servers_of_both_eras():
    for era in (MODERN, "legacy"):
        servers = pair()
        for name, server in servers.items():
            server.instructions = f"Use {name}."
            server.add(tool("t")).add(tool("a name that is too odd, and so becomes another"))
            server.offer(prompts=[{"name": "greet"}], resources=[{"uri": f"{name}://x", "name": "x"}],
                         resourceTemplates=[{"uriTemplate": f"{name}://t/{{x}}", "name": "t"}])
            server.capabilities["completions"] = {}
            server.handlers["completion/complete"] = lambda call: {"completion": {"values": [f"{call.server.name}:{call.params['ref']}"]}}
        with Gateway(urls(servers)) as gateway, client_of(gateway, era, capabilities=CAN, name="someone") as client:
            hello = client.result("server/discover") if era == MODERN else client.hello["result"]
            equal(hello["instructions"], "[new]\nUse new.\n\n[old]\nUse old.", era)
            check({"tools", "prompts", "resources"} <= set(hello["capabilities"]), f"{hello}")
            listed = client.tools()
            equal([name for name in listed if name.endswith("__t")], ["new__t", "old__t"], era)
            equal(len(listed), 4, f"{listed}")
            for name in ("old", "new"):
                equal(client.text(f"{name}__t"), f"{name}:t", era)
                odd = next(held for held in listed if held.startswith(name) and not held.endswith("__t"))
                equal(client.text(odd), f"{name}:a name that is too odd, and so becomes another", era)
                equal(client.result("prompts/get", {"name": f"{name}__greet"})["messages"][0]["content"]["text"], f"{name}:greet")
                equal(client.result("resources/read", {"uri": f"{name}://x"})["contents"][0]["text"], f"{name}:{name}://x")
                equal(client.result("resources/read", {"uri": f"{name}://t/1"})["contents"][0]["text"], f"{name}:{name}://t/1")
                completed = client.result("completion/complete", {"ref": {"type": "ref/prompt", "name": f"{name}__greet"}, "argument": {"name": "n", "value": "v"}})
                equal(completed["completion"]["values"], [f"{name}:" + str({"type": "ref/prompt", "name": "greet"})], era)
                result = client.call(f"{name}__t")
                equal("resultType" in result and era == "legacy" and name == "new", False, f"{result}")
                equal(result.get("resultType") if era == MODERN else "complete", "complete", f"{name}: {result}")
            for name in ("old__none", "new__none"):
                answer = client.ask("tools/call", {"name": name, "arguments": {}})
                check("error" in answer or answer["result"]["isError"], f"{era}: {answer}")
            # What each server was told is of its own era.
            hello = servers["old"].got("initialize")[-1]["params"]
            equal((hello["clientInfo"]["name"], hello["capabilities"]), ("someone", CAN), era)
            call = servers["old"].got("tools/call")[-1]
            check("mcp-session-id" in call["#headers"] and "_meta" not in call["params"], f"{call}")
            call = servers["new"].got("tools/call")[-1]
            meta = call["params"]["_meta"]
            equal((meta[f"{META}clientInfo"]["name"], meta[f"{META}clientCapabilities"]), ("someone", CAN), era)
            equal((call["#headers"]["mcp-name"], call["#headers"]["mcp-protocol-version"]), ("t", MODERN), era)
            check("mcp-session-id" not in call["#headers"], "no sessions")
            check("left out at /mcp" not in gateway.said.read_text(), "nothing is left out")


def case_without_the_setting_the_other_era_is_left_out_and_the_log_says_why():
    for era in (MODERN, "legacy"):
        other, own = foreign(era)
        for bridge in ("off", None):
            servers = pair()
            for server in servers.values():
                server.add(tool("t"))
            with Gateway(urls(servers, bridge)) as gateway, client_of(gateway, era) as client:
                if era == MODERN:
                    client.result("server/discover")
                equal(client.tools(), [f"{own}__t"], era)
                why = [entry["why"] for entry in gateway.entries(server=other, rule="upstream.other_era")]
                check(why and all("bridge" in words for words in why), f"{why}")
                check(gateway.failures(other, "upstream.other_era"), "the metrics")
                equal(client.tools(), [f"{own}__t"], "once more")
                said = [line for line in gateway.said.read_text().splitlines() if "left out at /mcp" in line]
                equal((len(said), f"[server.{other}]" in said[0], "bridge =" in said[0]), (1, True, True), f"{era}: {said}")


def case_a_server_that_answers_without_knowing_the_era_is_left_out():
    def unheard_of(call):
        raise Error(-32601, "Method not found")

    for asks in (True, False):
        lenient, own = Server("lenient", era=MODERN, **{"server/discover": unheard_of}), Server("own", era=MODERN)
        for server in (lenient, own):
            server.add(tool("t"))
        with Gateway(urls({"lenient": lenient, "own": own}, None)) as gateway, client_of(gateway, MODERN) as client:
            if asks:
                client.result("server/discover")
            equal(client.tools(), ["own__t"], "what such a client could not use is listed")
            check(gateway.failures("lenient", "upstream.other_era"), "the metrics")
            check("error" in client.ask("tools/call", {"name": "lenient__t", "arguments": {}}) or
                  client.ask("tools/call", {"name": "lenient__t", "arguments": {}})["result"]["isError"], "it is called")
            equal(lenient.got("tools/call"), [], "it is called")
            equal(client.text("own__t"), "own:t")


def case_a_question_of_the_other_era_comes_back_answered():
    for era in (MODERN, "legacy"):
        servers = pair()
        for server in servers.values():
            asking(server)
        said = {"action": "accept", "content": {"name": "Ada"}}
        with Gateway(urls(servers)) as gateway, client_of(gateway, era, capabilities=CAN) as client:
            if era == "legacy":
                streams = {name: client.request("tools/call", {"name": f"{name}__ask", "arguments": {}}) for name in servers}
                asked = {name: stream.method("elicitation/create") for name, (stream, _) in streams.items()}
                check(asked["new"]["id"] != asked["old"]["id"], f"one id for two questions: {asked}")
                # One that neither server has asked.
                client.respond('new/"bartizan-99"', said)
                client.respond('old/"bartizan-0"', said)
                for name in ("old", "new"):
                    equal(asked[name]["params"]["message"], "Who?")
                    client.respond(asked[name]["id"], said)
                    stream, id = streams[name]
                    equal(json.loads(stream.answer(id)["result"]["content"][0]["text"]), said, name)
                continue
            asked = {name: client.call(f"{name}__ask") for name in servers}
            for name in ("old", "new"):
                (key, question), = asked[name]["inputRequests"].items()
                equal((question["method"], question["params"]["message"]), ("elicitation/create", "Who?"))
                more = {"requestState": asked[name]["requestState"], "inputResponses": {key: said}}
                equal(json.loads(client.text(f"{name}__ask", **more)), said, name)


def case_a_state_is_good_for_its_client_its_request_and_once():
    servers = pair()
    asking(servers["old"])
    asking(servers["old"], "other")
    said = {"action": "accept", "content": {}}
    with Gateway(urls(servers)) as gateway, client_of(gateway, MODERN, capabilities=CAN) as client:
        asked = client.call("old__ask")
        (key, _), = asked["inputRequests"].items()
        more = {"requestState": asked["requestState"], "inputResponses": {key: said}}
        call = lambda who, name, more: who.ask("tools/call", {"name": name, "arguments": {}} | more)
        with client_of(gateway, MODERN, capabilities=CAN, name="thief") as thief:
            thief.tools()
            equal(call(thief, "old__ask", more)["error"]["code"], -32602, "another client")
        with client_of(gateway, MODERN, capabilities=CAN | {"sampling": {}}) as thief:
            equal(call(thief, "old__ask", more)["error"]["code"], -32602, "other capabilities")
        equal(call(client, "old__other", more)["error"]["code"], -32602, "another request")
        equal(call(client, "old__ask", more | {"requestState": "guessed"})["error"]["code"], -32602, "a guess")
        equal(json.loads(client.text("old__ask", **more)), said, "its own")
        equal(call(client, "old__ask", more)["error"]["code"], -32602, "spent")
        equal(len(servers["old"].got("tools/call")), 1, "calls that reached the server")


def case_a_client_is_asked_only_what_it_can_answer():
    servers = pair()
    for server in servers.values():
        asking(server)
    for era in (MODERN, "legacy"):
        other, _ = foreign(era)
        with Gateway(urls(servers)) as gateway, client_of(gateway, era, capabilities={}) as client:
            stream, id = client.request("tools/call", {"name": f"{other}__ask", "arguments": {}})
            answer = stream.answer(id)
            failed = "error" in answer or answer["result"].get("isError")
            check(failed and len(stream.seen) == 1, f"{era}: {stream.seen}")


def case_what_a_hostile_server_calls_its_questions_leads_nowhere_else():
    names = ['old/1', 'old/"bartizan-0"', '"bartizan-0"', "__proto__", "new__ask", "\u202e\u0007", "a" * 300, ""]
    servers = pair()
    told, wrong = [], {"method": "tools/call", "params": {"name": "secret", "arguments": {}}}

    def hostile(call):
        if "inputResponses" not in call.params:
            return {"resultType": "input_required", "requestState": "s", "inputRequests": {
                name: {"method": "elicitation/create", "params": FORM | {"message": name or "none"}} for name in names}}
        told.append(call.params["inputResponses"])
        return text("done")

    servers["new"].add(tool("ask"), hostile)
    servers["new"].add(tool("call"), lambda call: {"resultType": "input_required", "inputRequests": {"q": wrong}})
    servers["new"].add(tool("many"), lambda call: {"resultType": "input_required", "inputRequests": {
        str(number): {"method": "elicitation/create", "params": FORM} for number in range(100)}})
    asking(servers["old"])
    servers["old"].add(tool("secret"))
    with Gateway(urls(servers), "[guard]\nhidden_text.enabled = false\n") as gateway, client_of(gateway, "legacy", capabilities=CAN) as client:
        honest, honest_id = client.request("tools/call", {"name": "old__ask", "arguments": {}})
        question = honest.method("elicitation/create")
        stream, id = client.request("tools/call", {"name": "new__ask", "arguments": {}})
        asked = [stream.method("elicitation/create") for _ in names]
        ids = [each["id"] for each in asked]
        check(len(set(ids)) == len(names) and all(held.startswith("new/") for held in ids) and question["id"] not in ids, f"{ids}")
        for number, each in enumerate(asked):
            client.respond(each["id"], {"action": "accept", "content": {"name": str(number)}})
        equal(stream.answer(id)["result"]["content"][0]["text"], "done")
        equal({key: value["content"]["name"] for key, value in told[0].items()}, {name: str(number) for number, name in enumerate(names)})
        for name in ("new__call", "new__many"):
            stream, id = client.request("tools/call", {"name": name, "arguments": {}})
            answer = stream.answer(id)
            check(answer["result"].get("isError") and len(stream.seen) == 1, f"{name}: {stream.seen}")
        client.respond(question["id"], {"action": "decline"})
        equal(json.loads(honest.answer(honest_id)["result"]["content"][0]["text"]), {"action": "decline"})
        equal(servers["old"].got("tools/call")[-1]["params"]["name"], "ask", "no server calls another's tools")


def case_progress_logs_and_changes_cross_eras():
    for era in (MODERN, "legacy"):
        servers = pair(logging={}, resources={"subscribe": True})

        def talk(call):
            call.note("notifications/message", {"level": "error", "data": call.server.name})
            call.progress(0.5)
            return text(call.server.name)

        for name, server in servers.items():
            server.add(tool("talk"), talk)
            server.offer(resources=[{"uri": f"{name}://x", "name": "x"}])
        listening(servers["new"])
        with Gateway(urls(servers)) as gateway, client_of(gateway, era) as client:
            client.tools(), client.result("resources/list")
            if era == "legacy":
                equal(client.result("logging/setLevel", {"level": "warning"}), {})
            for name, token in (("old", "p"), ("new", 7)):
                meta = {"progressToken": token} | ({f"{META}logLevel": "info"} if era == MODERN else {})
                stream, id = client.request("tools/call", {"name": f"{name}__talk", "arguments": {}, "_meta": meta})
                stream.answer(id)
                equal([m.get("method") for m in stream.seen], ["notifications/message", "notifications/progress", None], f"{era} {name}")
                equal(stream.seen[1]["params"], {"progressToken": token, "progress": 0.5})
            uris = ["new://x", "old://x"]
            if era == MODERN:
                stream, sub = client.request("subscriptions/listen", {"notifications": {"toolsListChanged": True, "resourceSubscriptions": uris}}, id="s 1")
                equal(stream.next()["params"], {"_meta": {SUBSCRIPTION: sub}, "notifications": {"toolsListChanged": True, "resourceSubscriptions": uris}})
                wait_for(lambda: servers["old"].streams, "old's stream is not open")
            else:
                stream = client.listen()
                wait_for(lambda: servers["old"].streams and servers["new"].listeners, "the streams are not open")
                for uri in uris:
                    equal(client.result("resources/subscribe", {"uri": uri}), {})
            for name in ("old", "new"):
                tell = servers["old"].push if name == "old" else (
                    lambda method, params={}: servers["new"].listeners[-1].note(method, servers["new"].meta | params))
                for method, params in (("notifications/tools/list_changed", {}), ("notifications/resources/updated", {"uri": f"{name}://x"})):
                    tell(method, params)
                    seen = stream.method(method)
                    equal(seen["params"].get("uri"), params.get("uri"), f"{era} {name}")
                    equal(seen["params"].get("_meta", {}).get(SUBSCRIPTION), "s 1" if era == MODERN else None, f"{era} {name}")
            # A server may not speak of another's resource.
            servers["old"].push("notifications/resources/updated", {"uri": "new://x"})
            servers["old"].push("notifications/resources/updated", {"uri": "old://x"})
            equal(stream.method("notifications/resources/updated")["params"]["uri"], "old://x", f"{era}: a foreign resource")
            stream.close()
            servers["new"].over.set()


def case_cancelling_crosses_eras():
    for era in (MODERN, "legacy"):
        servers = pair()

        def hang(call):
            call.begin()
            call.note("notifications/message", {"level": "info", "data": "begun"})
            try:
                while not call.server.cancelled.wait(0.05):
                    call.note("notifications/message", {"level": "info", "data": "…"})
            except OSError:
                call.server.cancelled.set()
                raise
            return text("too late")

        for server in servers.values():
            server.add(tool("hang"), hang)
        other, own = foreign(era)
        with Gateway(urls(servers)) as gateway, client_of(gateway, era) as client:
            meta = {"_meta": {f"{META}logLevel": "debug"}} if era == MODERN else {}
            stream, id = client.request("tools/call", {"name": f"{other}__hang", "arguments": {}} | meta)
            wait_for(lambda: servers[other].got("tools/call"), "the call has not arrived")
            if era == MODERN:
                stream.close()
            else:
                client.notify("notifications/cancelled", {"requestId": id})
            wait_for(servers[other].cancelled.is_set, f"{era}: the server is not told")
            equal(servers[own].cancelled.is_set(), False, era)


def case_a_server_that_comes_late_or_comes_back_is_bridged():
    for era in (MODERN, "legacy"):
        other, own = foreign(era)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        first = Server(own, era=MODERN if own == "new" else "legacy").add(tool("t"))
        listening(first) if own == "new" else None
        places = {own: {"url": first.url}, other: {"url": f"http://127.0.0.1:{port}/mcp", "bridge": "auto"}}
        with Gateway(places) as gateway, client_of(gateway, era) as client:
            equal(client.tools(), [f"{own}__t"], "the others go on")
            answer = client.ask("tools/call", {"name": f"{other}__t", "arguments": {}})
            check("error" in answer or answer["result"]["isError"], f"{era}: {answer}")
            stream = client.request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})[0] if era == MODERN else client.listen()
            late = Server(other, port, era=MODERN if other == "new" else "legacy").add(tool("t"))
            listening(late) if other == "new" else None
            stream.method("notifications/tools/list_changed")
            equal(client.tools(), ["new__t", "old__t"], era)
            equal(client.text(f"{other}__t"), f"{other}:t")
            if other == "old":
                # A session that the server has forgotten is begun anew, without the client's noticing.
                late.forget()
                equal(client.text("old__t"), "old:t", "after the server forgot the session")
                check(len(late.got("initialize")) >= 2, f"{late.log}")
            stream.close()
            for server in (first, late):
                server.over.set() if server.era == MODERN else None


def case_a_program_that_dies_is_left_out_and_begun_again():
    for era in (MODERN, "legacy"):
        other, own = foreign(era)
        steady = Server(own, era=MODERN if own == "new" else "legacy").add(tool("t"))
        listening(steady) if own == "new" else None
        with tempfile.TemporaryDirectory() as folder:
            pids = pathlib.Path(folder, "pids")
            words = "modern" if other == "new" else "legacy"
            command = ["/bin/sh", "-c", f'echo $$ >> {pids}; exec {FIXTURE} --stdio --era {words}']
            with Gateway({own: {"url": steady.url}, other: {"command": command, "bridge": "auto"}}) as gateway:
                with client_of(gateway, era) as client:
                    check(f"{other}__test_simple_text" in client.tools(), f"{client.tools()}")
                    check("simple text" in client.text(f"{other}__test_simple_text"))
                    stream = client.request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})[0] if era == MODERN else client.listen()
                    if era == MODERN:
                        stream.method("notifications/subscriptions/acknowledged")
                    os.kill(int(pids.read_text().split()[-1]), signal.SIGKILL)
                    stream.method("notifications/tools/list_changed")
                    check("simple text" in client.text(f"{other}__test_simple_text"), f"{era}: it is back")
                    equal(client.text(f"{own}__t"), f"{own}:t")
                    stream.close()
        steady.over.set() if steady.era == MODERN else None


def case_a_server_that_says_nothing_of_its_era_is_left_out():
    mute = [sys.executable, "-c", "import sys\nfor line in sys.stdin: pass"]
    for era in (MODERN, "legacy"):
        good = Server("good", era=era if era == MODERN else "legacy").add(tool("t"))
        with Gateway({"good": {"url": good.url}, "mute": {"command": mute, "bridge": "auto"}}) as gateway:
            with client_of(gateway, era) as client:
                equal(client.tools(), ["good__t"], era)
                check(gateway.entries(server="mute", decision="deny"), "the log says so")


def case_official_clients_meet_servers_of_both_eras():
    bridged_first = {
        "legacy": {"a": "modern", "b": "legacy"},
        MODERN: {"a": "legacy", "b": "modern"},
    }
    drivers = [("drive.py", {"mode": MODERN}, MODERN), ("drive.py", {"mode": "auto"}, MODERN), ("drive.py", {"mode": "legacy"}, "legacy"),
               ("drive.mjs", {"client": "v2", "mode": "auto"}, MODERN), ("drive.mjs", {"client": "v2", "mode": "legacy"}, "legacy"),
               ("drive.mjs", {"client": "v1", "mode": "legacy"}, "legacy")]
    steps = clients.scenarios.FIXTURE
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for driver, settings, era in drivers:
            direct = {"command": [FIXTURE, "--stdio"], "env": dict(os.environ)}
            alone = clients.outcome(clients.start(driver, settings, direct, folder, steps))
            check("broken off" not in alone, f"{driver} {settings} alone: {alone}")
            places = {name: {"command": [FIXTURE, "--stdio", "--era", words], "bridge": "auto"} for name, words in bridged_first[era].items()}
            with Gateway(places) as gateway:
                # Both have the resource that is watched, so it is the first one's.
                prefixed = [clients.prefixed(name, step) for name in places for step in steps if (step[0], name) != ("watch", "b")]
                together = clients.outcome(clients.start(driver, settings, {"url": gateway.url}, folder, prefixed))
                check("broken off" not in together, f"{driver} {settings}: {together}")
                for step in steps:
                    for name in places:
                        key = json.dumps(clients.prefixed(name, step))
                        if key not in map(json.dumps, prefixed):
                            continue
                        seen, wanted = comparable(together[key]), comparable(alone[json.dumps(step)])
                        equal(seen, wanted, f"{driver} {settings} {name}: {step}")


def comparable(value):
    """What a server says of itself and for how long a client may keep its answer differs; what it answers does not."""
    value = json.loads(json.dumps(clients.steady(value)))
    for held in (value, value.get("result", {}) if isinstance(value, dict) else {}):
        if isinstance(held, dict):
            for key in ("ttlMs", "cacheScope", "_meta", "resultType"):
                held.pop(key, None)
    return value


def case_tasks_of_the_other_era_are_refused():
    for era in (MODERN, "legacy"):
        other, own = foreign(era)
        servers = pair()
        servers["old"].capabilities["tasks"] = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
        servers["new"].capabilities["extensions"] = {f"{META}tasks": {}, "example.com/kept": {}}
        for server in servers.values():
            server.add(tool("t"))
            server.handlers["tasks/get"] = lambda call: {"taskId": call.params["taskId"], "status": "working"}
        abilities = {"extensions": {f"{META}tasks": {}}} if era == MODERN else {"tasks": {"list": {}}}
        with Gateway(urls(servers)) as gateway, client_of(gateway, era, capabilities=abilities) as client:
            hello = client.result("server/discover") if era == MODERN else client.hello["result"]
            offered = hello["capabilities"]
            equal(("tasks" in offered, f"{META}tasks" in offered.get("extensions", {})), (era != MODERN, era == MODERN), "its own era's only")
            equal(client.result("tasks/get", {"taskId": f"{own}/t1"})["taskId"], f"{own}/t1")
            for method in ("tasks/get", "tasks/cancel", "tasks/update" if era == MODERN else "tasks/result"):
                equal(client.ask(method, {"taskId": f"{other}/t1"})["error"]["code"], -32601, f"{era} {method}")
                equal(servers[other].got(method), [], "what the server was asked")
            equal(client.text(f"{other}__t"), f"{other}:t")
            equal(client.text(f"{own}__t"), f"{own}:t")


def case_the_rest_of_a_lost_stream_comes_again():
    servers = pair()
    gates = [threading.Event() for _ in range(2)]

    def work(call):
        call.begin()
        for number, gate in enumerate(gates):
            call.progress(number)
            gate.wait(PATIENCE)
        return text("done") | {"resultType": "complete"}

    servers["new"].add(tool("work"), work)
    with Gateway(urls(servers)) as gateway, client_of(gateway, "legacy") as client:
        stream, id = client.request("tools/call", {"name": "new__work", "arguments": {}, "_meta": {"progressToken": "p"}})
        equal(stream.method("notifications/progress")["params"]["progress"], 0)
        check(len(stream.ids) == 2 and all(event.startswith("new/") for event in stream.ids), f"{stream.ids}")
        stream.close()
        gates[0].set()
        with client_of(gateway, "legacy") as other:
            stolen = other.listen(stream.ids[-1])
            gates[1].set()
            rest = client.listen(stream.ids[-1])
            equal(rest.method("notifications/progress")["params"]["progress"], 1)
            equal(rest.answer(id)["result"]["content"][0]["text"], "done")
            check(not stolen.seen, f"another client got {stolen.seen}")
        equal(len(servers["new"].got("tools/call")), 1)
