"""`shared = true`: one child process for all clients, none of whom notices the others."""

import json
import pathlib
import socket
import sys

from harness import MODERN, PATIENCE, Gateway, Raw, check, equal, wait_for
from scripted import Server, tool

CHILD = str(pathlib.Path(__file__).with_name("child.py"))
RULE = "gateway.shared_unattributed"


def shared(**more):
    return {"one": {"command": [sys.executable, CHILD, "one"], "shared": True} | more}


def state(client, prefix=""):
    return json.loads(client.text(f"{prefix}count"))


def children(gateway):
    """The processes of the server, whoever started them."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            if CHILD.encode() in words[:3] and (path / "cwd").readlink() == gateway.home:
                found.append(int(path.name))
        except OSError:
            continue
    return found


def case_two_clients_with_the_same_ids_and_tokens():
    with Gateway(shared()) as gateway, Raw(gateway, "/mcp/one", capabilities={"sampling": {}}) as one:
        with Raw(gateway, "/mcp/one", version="2024-11-05") as other:
            for client in (one, other):
                equal(client.hello["result"]["protocolVersion"], "2025-06-18", "the child's revision, whatever was asked")
                equal((client.hello["result"]["instructions"], client.hello["id"]), ("Share me.", 1))
                client.tools()
            waiting = {}
            for name, client in (("one", one), ("other", other)):
                arguments = {"key": name, "say": f"for {name}"}
                waiting[name] = client.request("tools/call", {"name": "wait", "arguments": arguments, "_meta": {"progressToken": "p"}}, id=7)[0]
            wait_for(lambda: state(one)["calls"] >= 3, "the calls did not arrive")
            equal(one.text("talk", {"release": ["other", "one"]}), "done")
            for name, stream in waiting.items():
                equal(stream.answer(7)["result"]["content"][0]["text"], f"for {name}")
                progress = [m["params"] for m in stream.seen if m.get("method") == "notifications/progress"]
                equal(progress, [{"progressToken": "p", "progress": 1, "message": name}], f"progress of {name}")
            seen = state(other)
            equal(len(set(seen["ids"])), len(seen["ids"]), f"ids on the wire: {seen['ids']}")
            equal(len(set(map(str, seen["tokens"]))), 2, "tokens on the wire")
            equal((seen["initialized"], seen["said"].count("notifications/initialized")), (1, 1))
            equal(seen["hello"]["capabilities"], {}, "what the child was told of its clients")
            equal(len(children(gateway)), 1, "processes")
        # One has gone; the child has not.
        equal(state(one)["pid"], seen["pid"])


def case_without_shared_each_has_its_own():
    with Gateway(shared(shared=False)) as gateway, Raw(gateway, "/mcp/one") as one, Raw(gateway, "/mcp/one") as other:
        check(state(one)["pid"] != state(other)["pid"], "one process for two")


def case_cancellation_concerns_ones_own():
    with Gateway(shared()) as gateway, Raw(gateway, "/mcp/one") as one, Raw(gateway, "/mcp/one") as other:
        one.tools(), other.tools()
        stream = one.request("tools/call", {"name": "wait", "arguments": {"key": "k", "say": "done waiting"},
                                            "_meta": {"progressToken": 1}}, id="mine")[0]
        wait_for(lambda: state(other)["calls"] >= 2, "the call did not arrive")
        wire = state(other)["ids"][0]
        for id in ("mine", wire, str(wire)):
            other.notify("notifications/cancelled", {"requestId": id})
        equal(state(other)["cancelled"], [], "another's request")
        one.notify("notifications/cancelled", {"requestId": "mine", "reason": "enough"})
        equal(wait_for(lambda: state(other)["cancelled"], "it was not cancelled"), [wire])
        stream.close()


def case_what_the_child_says_of_its_own_accord():
    with Gateway(shared()) as gateway:
        with Raw(gateway, "/mcp/one", capabilities={"sampling": {}, "roots": {}}) as one, Raw(gateway, "/mcp/one") as other:
            one.tools(), other.tools()
            streams = [one.listen(), other.listen()]
            equal(one.result("resources/subscribe", {"uri": "one://x"}), {})
            # What the child refuses, or what is no resource, gets nothing of what others are subscribed to.
            for uri in ("one:", "one", "", "two://x"):
                check("error" in other.ask("resources/subscribe", {"uri": uri}), f"{uri} is granted")
            equal(other.result("resources/subscribe", {"uri": "one://"}), {}, "the child grants it")
            sent = [{"id": "s1", "method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}},
                    {"id": 2, "method": "roots/list"}, {"id": "p", "method": "ping"},
                    {"method": "notifications/message", "params": {"level": "info", "data": "somebody's secret"}},
                    {"method": "notifications/made_up", "params": {}},
                    {"method": "notifications/progress", "params": {"progressToken": 99, "progress": 1}},
                    {"id": 12345, "result": {}},
                    {"method": "notifications/resources/updated", "params": {"uri": "one://x"}},
                    {"method": "notifications/tools/list_changed"}]
            stream, id = other.request("tools/call", {"name": "talk", "arguments": {"send": sent}})
            equal(stream.answer(id)["result"]["content"][0]["text"], "done")
            equal(len(stream.seen), 1, "nothing of it belongs to the call")
            for stream in streams:
                stream.method("notifications/tools/list_changed")
            equal([m["method"] for m in streams[0].seen], ["notifications/resources/updated", "notifications/tools/list_changed"])
            equal([m["method"] for m in streams[1].seen], ["notifications/tools/list_changed"])
            wait_for(lambda: len(state(one)["answers"]) == 3, "the child is not answered")
            answers = {answer["id"]: answer for answer in state(one)["answers"]}
            equal(answers["p"].get("result"), {})
            check(RULE in answers["s1"]["error"]["message"] and answers[2]["error"]["code"] == -32601, f"{answers}")
            check({"sampling/createMessage", "roots/list"} == {entry["method"] for entry in gateway.entries(kind="refused", rule=RULE)}, "recorded")
            dropped = [entry.get("method") for entry in gateway.entries(kind="dropped")]
            check({"notifications/message", "notifications/made_up", "notifications/progress"} <= set(dropped), f"{dropped}")
            # Two are subscribed; that one of them leaves it is no matter of the other's.
            other.result("resources/subscribe", {"uri": "one://x"})
            one.result("resources/unsubscribe", {"uri": "one://x"})
            equal(state(one)["said"].count("resources/unsubscribe"), 0)
            other.result("resources/unsubscribe", {"uri": "one://x"})
            equal(state(one)["said"].count("resources/unsubscribe"), 1)


def case_log_messages_reach_a_client_that_is_alone():
    with Gateway(shared()) as gateway, Raw(gateway, "/mcp/one") as one:
        stream = one.listen()
        one.call("talk", {"send": [{"method": "notifications/message", "params": {"level": "info", "data": 1}}]})
        equal(stream.method("notifications/message")["params"]["data"], 1)


def case_tasks_are_seen_by_those_who_began_them():
    with Gateway(shared()) as gateway, Raw(gateway, "/mcp/one") as one, Raw(gateway, "/mcp/one") as other:
        for number, client in enumerate((one, other)):
            client.tools()
            more = {"task": {"taskId": f"t{number}", "status": "working", "createdAt": "2026-01-01T00:00:00Z",
                             "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttl": None}}
            client.call("talk", {"more": more}, task={})
        for number, client in enumerate((one, other)):
            equal([task["taskId"] for task in client.result("tasks/list")["tasks"]], [f"t{number}"])
            equal(client.result("tasks/get", {"taskId": f"t{number}"})["status"], "working")
            equal(client.ask("tasks/get", {"taskId": f"t{1 - number}"})["error"]["code"], -32602)


def case_nothing_of_anothers_task_is_to_be_had():
    related = {"_meta": {"io.modelcontextprotocol/related-task": {"taskId": "t0"}}}
    with Gateway(shared()) as gateway:
        with Raw(gateway, "/mcp/one", MODERN, name="owner") as one, Raw(gateway, "/mcp/one", MODERN, name="other") as other:
            one.tools(), other.tools()
            one.call("talk", {"more": {"resultType": "task", "task": {"taskId": "t0", "status": "working"}}})
            for method in ("tasks/get", "tasks/cancel", "tasks/input", "tasks/delete", "x/tasks"):
                equal(other.ask(method, {"taskId": "t0"})["error"]["message"], "there is no such task", method)
            equal(other.ask("subscriptions/listen", {"notifications": {"taskIds": ["t0"]}})["error"]["code"], -32602)
            check("error" in other.ask("tools/call", {"name": "count", "arguments": {}} | related), "a call in its name")
            before = len(state(one)["said"])
            other.notify("notifications/x", {"taskId": "t0"})
            equal(len(state(one)["said"]), before, "a notification about it")
            # Whose it is gets all of that, and what a tool calls its arguments is the tool's matter.
            equal((one.result("tasks/input", {"taskId": "t0"}), one.result("tasks/get", {"taskId": "t0"})["taskId"]), ({}, "t0"))
            check("result" in one.ask("tools/call", {"name": "count", "arguments": {}} | related), "a call in its name")
            check("result" in other.ask("tools/call", {"name": "count", "arguments": {"taskId": "t0"}}), "an argument")
            stream, _ = one.request("subscriptions/listen", {"notifications": {"taskIds": ["t0"]}})
            equal(stream.method("notifications/tasks")["params"]["taskId"], "t0")


def case_a_child_that_dies_is_started_again_for_all():
    with Gateway(shared()) as gateway, Raw(gateway, "/mcp/one") as one, Raw(gateway, "/mcp/one") as other:
        one.tools(), other.tools()
        pid = state(one)["pid"]
        streams = [one.listen(), other.listen()]
        waiting, id = one.request("tools/call", {"name": "wait", "arguments": {"key": "k", "say": ""}, "_meta": {"progressToken": 1}})
        wait_for(lambda: state(other)["calls"] >= 3, "the call did not arrive")
        # Its last words could hold what is another client's, so they are for the one who looks after the gateway.
        for answer in (other.call("die"), waiting.answer(id)["result"]):
            check(answer["isError"] and "its last words are only in the gateway's log" in answer["content"][0]["text"], f"{answer}")
            check("I am gone" not in json.dumps(answer), f"{answer}")
        fails = [line for line in gateway.said.read_text().splitlines() if "the server fails" in line]
        check(len(fails) == 1 and "its last words: I am gone" in fails[0], f"{fails}")
        for entry in gateway.entries(kind="upstream.failed", rule="upstream.ended"):
            check("its last words, 9 bytes, are not quoted" in entry["why"], f"{entry}")

        def again():
            answer = other.call("count")
            words = answer["content"][0]["text"]
            check(not answer.get("isError") or "upstream.resting" in words, words)
            return not answer.get("isError") and json.loads(words)

        seen = wait_for(again, "it is not started again")
        check(seen["pid"] != pid and seen["initialized"] == 1, f"{seen}")
        equal(state(one)["pid"], seen["pid"])
        for stream in streams:
            stream.method("notifications/tools/list_changed")
        # One that dies at once each time is left alone in between.
        told = ""
        for _ in range(3):
            told += other.call("die")["content"][0]["text"]
        check("upstream.resting" in told, told)
        check(gateway.failures("one", "upstream.resting"), "the metrics")
        pid = wait_for(again, "it is not started again")["pid"]
    check(not pathlib.Path(f"/proc/{pid}").exists(), "the child outlives the gateway")


def case_last_words_are_quoted_to_the_operator_and_to_no_client():
    for share in (True, False):
        with Gateway(shared(shared=share), more="[audit]\nquotes = true\n") as gateway, Raw(gateway, "/mcp/one") as one:
            one.tools()
            answer = json.dumps(one.call("die"))
            equal("I am gone" in answer, not share, f"the client, with shared = {share}: {answer}")
            whys = [entry["why"] for entry in gateway.entries(kind="upstream.failed", rule="upstream.ended")]
            check(whys and all("its last words: I am gone" in why for why in whys), f"the log: {whys}")


def case_without_restart_it_stays_dead():
    with Gateway(shared(restart=False)) as gateway, Raw(gateway, "/mcp/one") as one:
        one.call("die")
        for _ in range(2):
            check("upstream.ended" in one.call("count")["content"][0]["text"], "it should stay dead")


def case_a_client_that_does_not_read_delays_no_other():
    with Gateway(shared()) as gateway, Raw(gateway, "/mcp/one") as slow, Raw(gateway, "/mcp/one") as other:
        slow.tools(), other.tools()
        # 40 MB of progress for somebody who reads none of it.
        body = json.dumps({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {
            "name": "talk", "arguments": {"progress": 20_000}, "_meta": {"progressToken": "p"}}}).encode()
        with socket.create_connection(gateway.address) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            head = "".join(f"{key}: {value}\r\n" for key, value in slow.headers(None).items())
            connection.sendall(f"POST /mcp/one HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            wait_for(lambda: state(other)["calls"] >= 2, "the call did not arrive")
            for number in range(20):
                check(state(other)["calls"] >= number, "the other one")
            wait_for(lambda: gateway.failures("one", "gateway.slow_client"), "it is not said that one was too slow")
        equal(state(slow)["pid"], state(other)["pid"])


def case_a_stateless_client_uses_the_same_child():
    with Gateway(shared()) as gateway, Raw(gateway, "/mcp/one") as one, Raw(gateway, "/mcp/one", version=MODERN) as other:
        one.tools(), other.tools()
        equal(state(one)["pid"], state(other)["pid"])
        equal(len(children(gateway)), 1, "processes")


def case_it_is_part_of_the_aggregate():
    server = Server("web").add(tool("t"))
    with Gateway(shared() | {"web": {"url": server.url}}) as gateway, Raw(gateway) as one, Raw(gateway) as other:
        for client in (one, other):
            equal(client.tools(), ["one__count", "one__die", "one__talk", "one__wait", "web__t"])
        equal(state(one, "one__")["pid"], state(other, "one__")["pid"])
        streams = [one.listen(), other.listen()]
        one.call("one__talk", {"send": [{"method": "notifications/tools/list_changed"}]})
        for stream in streams:
            stream.method("notifications/tools/list_changed")
        check(one.call("one__die")["isError"], "it died")
        wait_for(lambda: "pid" in other.text("one__count"), "it is not started again")
        equal(one.text("web__t"), "web:t")
