"""`bartizan run --bridge`: a client and a wrapped server that have no revision in common, in either direction."""

import json
import signal
import subprocess
import sys

import lab
import same
import scenarios
from process import ODD, WAYS, call, start, text

MEMORY = [sys.executable, str(lab.HERE.parent / "bridge_down" / "server.py")]
MODERN = [sys.executable, str(lab.HERE.parent / "bridge_up" / "child.py")]
VERSION = "2026-07-28"
META = "io.modelcontextprotocol/"
FORM = {"elicitation": {}}


def cases(the_lab, report):
    checks = (a_stateless_client, a_legacy_client, changes_and_cancellation_down, changes_and_cancellation_up, nothing_in_common_without_it,
              nothing_to_translate, crashes_down, crashes_up, without_restart, told_to_end, one_request, unreadable)
    report.each(the_lab, "bridged", checks, WAYS)
    for client, era in (("python auto", "legacy"), ("python 2026-07-28", "legacy"), ("python legacy", "modern"),
                        ("typescript auto", "legacy"), ("typescript legacy", "modern"), ("typescript sdk", "modern")):
        for way, options in WAYS.items():
            with report.case(f"bridged: {client} in front of a {era} server{way}"), the_lab.home() as home:
                official(the_lab, home, client, era, options)


def request(id, method, capabilities=FORM, level=None, **params):
    meta = {f"{META}protocolVersion": VERSION, f"{META}clientCapabilities": capabilities, f"{META}clientInfo": {"name": "raw", "version": "1"}}
    meta |= {f"{META}logLevel": level} if level else {}
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": {"_meta": meta | params.pop("_meta", {})} | params}


def tool(id, name, **more):
    return request(id, "tools/call", name=name, arguments={}, **more)


def log(home):
    file = home.path / "read.txt"
    return [json.loads(line) for line in file.read_bytes().split(b"\n")[:-1]] if file.exists() else []


def modern(home):
    return [*MODERN, str(home.path / "read.txt")]


def read(home, method):
    """What the modern server has read of this, without Bartizan's own question which eras there are."""
    return [held for held in log(home) if held.get("method") == method and held.get("id") != "bartizan-probe"]


def shake_hands(server, capabilities=FORM):
    answer = server.ask(0, "initialize", protocolVersion="2025-11-25", capabilities=capabilities, clientInfo={"name": "raw", "version": "1"})
    server.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    return answer


def verified(home):
    for held in home.logs():
        assert home.cli("audit", "verify", str(held)).returncode == 0


def a_stateless_client(home, options):
    with start(home, [*options, "--bridge"], MEMORY) as server:
        server.send(request(1, "server/discover"))
        assert server.answer(1)["result"]["supportedVersions"] == [VERSION], server.said()
        server.send(tool("a", "ask"))
        asked = server.answer("a")["result"]
        assert asked["resultType"] == "input_required", asked
        (key, question), = asked["inputRequests"].items()
        assert question["method"] == "elicitation/create"
        answers = {"requestState": asked["requestState"], "inputResponses": {key: {"action": "accept", "content": {"name": "Ada"}}}}
        server.send(tool("b", "ask", **answers | {"requestState": "guessed"}))
        assert server.answer("b")["error"]["code"] == -32602
        server.send(tool("c", "ask", **answers))
        assert json.loads(text(server.answer("c")))["result"]["content"] == {"name": "Ada"}
        server.send(tool("d", "ask", **answers))
        assert server.answer("d")["error"]["code"] == -32602, "spent"
        server.send(tool("e", "seen"))
        seen = json.loads(text(server.answer("e")))
        assert (seen["client"], seen["capabilities"], seen["methods"].count("initialize")) == ("raw", FORM, 1), seen
        server.send(request("f", "ping"))
        assert server.answer("f")["error"]["code"] == -32601
        server.process.stdin.close()
        assert server.ended() == 0
    verified(home)


def a_legacy_client(home, options):
    with start(home, [*options, "--bridge"], modern(home)) as server:
        hello = shake_hands(server)["result"]
        assert hello["protocolVersion"] == "2025-11-25", hello
        server.send(call(1, "ask"))
        question = server.until(lambda said: [m for m in said if m.get("method") == "elicitation/create"], "question")[0]
        server.send({"jsonrpc": "2.0", "id": "bartizan-99", "result": {"action": "accept"}})
        server.send({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": {"name": "Ada"}}})
        assert json.loads(text(server.answer(1)))["q"]["content"] == {"name": "Ada"}
        assert [held["params"].get("requestState") for held in read(home, "tools/call")] == [None, "s"]
        assert server.ask(2, "ping")["result"] == {}
        assert server.ask(3, "tasks/get", taskId="t")["error"]["code"] == -32601
        server.process.stdin.close()
        assert server.ended() == 0
    verified(home)


def changes_and_cancellation_down(home, options):
    with start(home, [*options, "--bridge"], MEMORY) as server:
        server.send(request("s", "subscriptions/listen", notifications={"resourceSubscriptions": ["file:///it"]}))
        acknowledged, updated = server.until(lambda said: said[1:] and said[:2], "update")
        assert acknowledged["params"]["notifications"] == {"resourceSubscriptions": ["file:///it"]}, acknowledged
        assert (updated["params"]["uri"], updated["params"]["_meta"][f"{META}subscriptionId"]) == ("file:///it", "s")
        server.send(tool(1, "wait"), tool(2, "seen"))
        server.answer(2)
        for id in (1, "s"):
            server.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})

        def seen():
            id = f"seen {len(server.said())}"
            server.send(tool(id, "seen"))
            return json.loads(text(server.answer(id)))

        lab.wait_for(lambda: seen()["cancelled"], "the cancellation")
        lab.wait_for(lambda: "resources/unsubscribe" in seen()["methods"], "the end of the subscription")
        assert not [m for m in server.said() if m.get("id") in (1, "s")], server.said()
        # The id of a request that is over can be used again, that of one under way cannot.
        server.send(tool(3, "wait"), tool(3, "seen"), tool(1, "seen"))
        assert "result" in server.answer(1)
        assert not [m for m in server.said() if m.get("id") == 3]
        server.process.stdin.close()
        server.ended()
    assert home.messages(rule="conformance.duplicate_id")


def changes_and_cancellation_up(home, options):
    with start(home, [*options, "--bridge"], modern(home)) as server:
        shake_hands(server)
        lab.wait_for(lambda: read(home, "subscriptions/listen"), "the subscription")
        server.send(call(1, "slow"))
        lab.wait_for(lambda: read(home, "tools/call"), "the call")
        server.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
        lab.wait_for(lambda: read(home, "notifications/cancelled"), "the cancellation")
        assert read(home, "notifications/cancelled")[0]["params"]["requestId"] == read(home, "tools/call")[0]["id"]
        # Nobody waits for one either that is cancelled before it could be sent.
        server.send(call(3, "slow"), {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}})
        server.send(call(2, "change"))
        server.answer(2)
        server.until(lambda said: [m for m in said if m.get("method") == "notifications/tools/list_changed"], "change")
        assert not [m for m in server.said() if m.get("id") in (1, 3)], server.said()
        server.process.stdin.close()
        server.ended()


def nothing_in_common_without_it(home, options):
    """Without the flag each side hears the other's own words, to the byte."""
    for command, sent in ((MEMORY, request(1, "server/discover")), (modern(home), {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}})):
        line = json.dumps(sent) + "\n"
        direct = subprocess.run(command, input=line, capture_output=True, text=True, timeout=lab.PATIENCE)
        through = subprocess.run(home.wrap(command, *options), input=line, env=home.env, capture_output=True, text=True, timeout=lab.PATIENCE)
        assert json.loads(direct.stdout)["error"]["code"] == -32601, direct
        assert through.stdout == direct.stdout, (through.stdout, direct.stdout)


def nothing_to_translate(home, options):
    """With the flag, a client and a server of one era hear each other's own words all the same."""
    hello = {"jsonrpc": "2.0", "id": "\u00e9", "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}}
    for command, sent in ((MEMORY, hello), (modern(home), request(1, "server/discover"))):
        line = json.dumps(sent, separators=(" , ", " : ")) + "\n"
        direct = subprocess.run(command, input=line, capture_output=True, text=True, timeout=lab.PATIENCE)
        through = subprocess.run(home.wrap(command, *options, "--bridge"), input=line, env=home.env, capture_output=True, text=True, timeout=lab.PATIENCE)
        assert "result" in json.loads(direct.stdout), direct
        assert through.stdout == direct.stdout, (through.stdout, direct.stdout)
    assert read(home, "server/discover")[-1] == sent


def crashes_down(home, options):
    starts = home.path / "starts"
    with start(home, [*options, "--bridge"], [*ODD, "--starts", str(starts), "--versions", "1,1,1,2"]) as server:
        server.send(tool(0, "seen"))
        server.answer(0)
        before = len(starts.read_text().splitlines())
        server.send(tool(1, "hold"), request(2, "tools/call", name="die", arguments={"status": 9, "words": ["no more"]}))
        for id in (1, 2):
            answer = server.answer(id)
            assert answer["result"]["isError"] and "ended before it answered" in text(answer), answer
        lab.wait_for(lambda: "started again" in server.complaint(), "the restart")
        assert "no more" in server.complaint()
        server.send(tool(3, "seen"))
        seen = json.loads(text(server.answer(3)))
        assert seen[:2] == ["initialize", "notifications/initialized"] and seen.count("tools/call") == 1, seen
        assert len(starts.read_text().splitlines()) == before + 1
        server.send(request(4, "tools/call", name="die", arguments={"status": 9}))
        server.answer(4)
        assert server.ended() == 9, server.process.returncode
        assert "another server" in server.complaint(), server.complaint()


def crashes_up(home, options):
    with start(home, [*options, "--bridge"], modern(home)) as server:
        shake_hands(server)
        server.send(call(1, "plain"))
        server.answer(1)
        lab.wait_for(lambda: len(read(home, "subscriptions/listen")) == 1, "the subscription")
        server.send(call(2, "slow"), call(3, "die"))
        for id in (2, 3):
            assert server.answer(id)["result"]["isError"], server.said()
        lab.wait_for(lambda: "started again" in server.complaint(), "the restart")
        server.send(call(4, "plain"))
        assert not server.answer(4)["result"].get("isError"), server.said()
        # What the client listens to it still hears.
        lab.wait_for(lambda: len(read(home, "subscriptions/listen")) == 2, "the subscription")
        server.send(call(5, "change"))
        server.until(lambda said: [m for m in said if m.get("method") == "notifications/tools/list_changed"], "change")
        server.process.stdin.close()
        assert server.ended() == 0
    verified(home)


def without_restart(home, options):
    for command, deadly in ((ODD, request(1, "tools/call", name="die", arguments={"status": 9})), (modern(home), call(1, "die", status=9))):
        with start(home, [*options, "--bridge", "--no-restart"], command) as server:
            if command is not ODD:
                shake_hands(server)
            server.send(deadly)
            assert server.answer(1)["result"]["isError"]
            assert server.ended() == 9, server.process.returncode


def told_to_end(home, options):
    with start(home, [*options, "--bridge"], MEMORY) as server:
        # Nothing is started before the client has said something.
        lab.wait_for(lambda: lab.NOTICE.fullmatch(b"".join(server.err).decode()), "the start")
        lab.wait_for(lambda: options or home.daemon_pid(), "the user's bartizan")
        server.process.send_signal(signal.SIGTERM)
        assert server.ended() in (143, -15), server.process.returncode
    with start(home, [*options, "--bridge"], MEMORY) as server:
        server.send(tool(1, "seen"))
        server.answer(1)
        server.process.send_signal(signal.SIGTERM)
        assert server.ended() == 143, server.process.returncode


def one_request(home, options):
    """`echo request | bartizan run --bridge -- server` gets its answer."""
    line = json.dumps(tool("a", "seen")) + "\n"
    done = subprocess.run(home.wrap(MEMORY, *options, "--bridge"), input=line, env=home.env, capture_output=True, text=True, timeout=lab.PATIENCE)
    (answer,) = map(json.loads, done.stdout.splitlines())
    assert (answer["id"], answer["result"]["resultType"]) == ("a", "complete"), answer
    assert done.returncode == 0, done


def unreadable(home, options):
    with start(home, [*options, "--bridge"], MEMORY) as server:
        server.send(tool(1, "seen"))
        server.answer(1)
        server.process.stdin.write(b'{"jsonrpc":"2.0","id":2,"id":3,"method":"ping"}\n')
        server.process.stdin.flush()
        server.until(lambda said: [m for m in said if m.get("id") is None and "error" in m], "refusal")
        server.send(tool(4, "seen"))
        assert json.loads(text(server.answer(4)))["methods"].count("ping") == 0
    assert home.messages(kind="unreadable")


def official(the_lab, home, client, era, options):
    """An official client sees what it sees of the same server in its own era."""
    driver, settings = same.CLIENTS[client]
    steps = scenarios.FIXTURE

    def run(command, env):
        target = {"command": command, "env": env}
        program = [the_lab.python] if driver.endswith(".py") else [the_lab.node]
        done = subprocess.run([*program, str(lab.HERE / driver)], input=json.dumps(settings | {"target": target, "dir": str(home.path), "steps": steps}),
                              capture_output=True, text=True, timeout=240)
        assert done.stdout.strip(), done.stderr[-1500:]
        return json.loads(done.stdout.splitlines()[-1])

    direct = run([the_lab.fixture, "--stdio"], dict(lab.os.environ))
    through = run(home.wrap([the_lab.fixture, "--stdio", "--era", era], *options, "--bridge"), home.env)
    assert "broken off" not in direct and "broken off" not in through, (direct.get("broken off"), through.get("broken off"))
    assert through["connect"]["revision"] == direct["connect"]["revision"]
    assert through["asked"] == direct["asked"]
    for step in direct.keys() - {"connect", "asked"}:
        seen, wanted = without_hints(through.get(step)), without_hints(direct[step])
        assert seen == wanted, f"{step}: {seen} is not {wanted}"


def without_hints(value):
    """What a server says of itself and of caches belongs to its era, and reports of progress may come behind the answer."""
    if isinstance(value, dict):
        kept = {key: without_hints(held) for key, held in value.items() if key not in ("ttlMs", "cacheScope", "_meta", "resultType", "execution")}
        return kept | ({"progress": kept["progress"][:3]} if "progress" in kept else {})
    return [without_hints(held) for held in value] if isinstance(value, list) else value
