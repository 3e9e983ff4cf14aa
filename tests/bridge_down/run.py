#!/usr/bin/env python3
"""Stateless clients in front of legacy servers: `bridge = "auto"`, direction one.

    run.py [PART…]

The official Python client in its mode 2026-07-28, plain HTTP requests, and the official conformance suite talk through
Bartizan to servers that know nothing newer than 2025-11-25, over stdio and over HTTP. Prints what fails; exits non-zero
if anything does.
"""

import asyncio
import contextlib
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))

import processes  # noqa: E402

VERSION = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "plain", "version": "1"},
}
PATIENCE = 30
# What a legacy server cannot do, whatever stands in between: ask several questions at once, choose the keys they are
# answered by, or take an answer before it has asked. (The tasks extension is not the tasks of 2025-11-25 either.)
NOT_OF_THIS_ERA = {f"input-required-result-{name}" for name in ("basic-elicitation", "multiple-input-requests", "ignore-extra-params")}


def tools():
    setup = subprocess.run([HERE.parent / "tools" / "setup.sh"], stdout=subprocess.PIPE, text=True, check=True)
    return pathlib.Path(setup.stdout.strip())


@contextlib.contextmanager
def gateway(servers, settings=""):
    """Bartizan in front of these servers, each with its table; gives its port."""
    tables = [settings]
    for name, table in servers.items():
        lines = [f"{key} = {json.dumps(value)}" for key, value in (table | {"bridge": "auto"}).items()]
        tables.append("\n".join([f"[server.{name}]", *lines, ""]))
    base = processes.CONFIG
    with contextlib.ExitStack() as stack:
        try:
            processes.CONFIG = base + "".join(tables)
            url = stack.enter_context(processes.bartizan({}))
        finally:
            processes.CONFIG = base
        yield int(url("x").split(":")[2].split("/")[0])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Plain:
    """A client that sends exactly what it is told to."""

    def __init__(self, port, name, capabilities=None, client="plain"):
        self.port, self.path, self.count = port, f"/mcp/{name}", 0
        self.meta = META | {"io.modelcontextprotocol/clientCapabilities": capabilities or {}}
        self.meta["io.modelcontextprotocol/clientInfo"] = {"name": client, "version": "1"}

    def send(self, method, params=None, meta=None, version=VERSION):
        """Sends a request and leaves the answer to be read."""
        self.count += 1
        params = {"_meta": self.meta | (meta or {})} | (params or {})
        body = json.dumps({"jsonrpc": "2.0", "id": self.count, "method": method, "params": params})
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
                   "MCP-Protocol-Version": version, "Mcp-Method": method}
        name = params.get("name") or params.get("uri")
        if method in ("tools/call", "prompts/get", "resources/read"):
            headers["Mcp-Name"] = name
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("POST", self.path, body, headers)
        return connection

    def ask(self, method, params=None, **more):
        """The status, and the response."""
        connection = self.send(method, params, **more)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        if response.headers.get_content_type() == "text/event-stream":
            events = [line[6:] for line in text.splitlines() if line.startswith("data: {")]
            text = events[-1]
        return response.status, json.loads(text)

    def call(self, name, **more):
        return self.ask("tools/call", {"name": name, "arguments": {}} | more)

    def seen(self):
        return json.loads(self.call("seen")[1]["result"]["content"][0]["text"])


def same(left, right):
    assert left == right, f"{left!r} is not {right!r}"


# Plain requests to a server that remembers.

def handshake(port):
    abilities = {"elicitation": {}, "tasks": {}, "extensions": {"io.modelcontextprotocol/tasks": {}, "example.com/kept": {}}}
    client = Plain(port, "memory", abilities, client="alice")
    status, answer = client.ask("server/discover")
    same(status, 200)
    result = answer["result"]
    same(result["supportedVersions"], [VERSION])
    same((result["capabilities"], result["instructions"], result["resultType"]), ({"tools": {}, "resources": {"subscribe": True}}, "Ask away.", "complete"))
    same((result["ttlMs"], result["cacheScope"]), (0, "private"))
    same(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "memory")
    seen = client.seen()
    same((seen["client"], seen["capabilities"]), ("alice", {"elicitation": {}, "extensions": {"example.com/kept": {}}}))
    same(seen["methods"][:2], ["initialize", "notifications/initialized"])
    same(seen["call"], {"name": "seen", "arguments": {}})
    # What is not translated is not begun either: nobody could ask after the task.
    answer = client.call("seen", task={"ttl": 1000})[1]
    same(json.loads(answer["result"]["content"][0]["text"])["call"], {"name": "seen", "arguments": {}})


def one_session_for_each(port):
    first, second = Plain(port, "memory", client="first"), Plain(port, "memory", client="second")
    first.call("seen"), second.call("seen")
    same((first.seen()["client"], second.seen()["client"]), ("first", "second"))
    same(Plain(port, "memory", {"roots": {}}, client="first").seen()["capabilities"], {"roots": {}})
    same(first.seen()["methods"].count("initialize"), 1)


def methods_that_are_gone(port):
    client = Plain(port, "memory")
    for method in ("ping", "initialize", "logging/setLevel", "resources/subscribe", "tasks/list", "no/such"):
        status, answer = client.ask(method, meta={})
        same((method, status, answer["error"]["code"]), (method, 404, -32601))
    status, answer = client.ask("tools/list", version="2099-01-01", meta={"io.modelcontextprotocol/protocolVersion": "2099-01-01"})
    same((status, answer["error"]["code"], answer["error"]["data"]["supported"]), (400, -32022, [VERSION]))
    status, answer = client.ask("tools/list", version="2026-07-28", meta={"io.modelcontextprotocol/protocolVersion": "2025-11-25"})
    same((status, answer["error"]["code"]), (400, -32020))
    client.meta.pop("io.modelcontextprotocol/clientCapabilities")
    status, answer = client.ask("tools/list")
    same((status, answer["error"]["code"]), (400, -32602))


def a_question_and_its_answer(port):
    client = Plain(port, "memory", {"elicitation": {}})
    status, answer = client.call("ask")
    result = answer["result"]
    same((status, result["resultType"]), (200, "input_required"))
    (key, question), = result["inputRequests"].items()
    same((question["method"], question["params"]["message"]), ("elicitation/create", "Who?"))
    state, reply = result["requestState"], {key: {"action": "accept", "content": {"name": "Ada"}}}
    refused = [
        client.call("ask", requestState="guessed", inputResponses=reply),
        client.call("seen", requestState=state, inputResponses=reply),
        Plain(port, "memory", {"elicitation": {}}, client="thief").call("ask", requestState=state, inputResponses=reply),
    ]
    same([answer["error"]["code"] for _, answer in refused], [-32602] * 3)
    # Without the answer it is asked again, under a new state.
    again = client.call("ask", requestState=state, inputResponses={})[1]["result"]
    same(again["inputRequests"], result["inputRequests"])
    assert again["requestState"] != state
    status, answer = client.call("ask", requestState=again["requestState"], inputResponses=reply)
    same(json.loads(answer["result"]["content"][0]["text"]), {"result": {"action": "accept", "content": {"name": "Ada"}}})
    same((answer["id"], answer["result"]["resultType"]), (client.count, "complete"))
    same(client.call("ask", requestState=again["requestState"], inputResponses=reply)[1]["error"]["code"], -32602)


def a_question_nobody_can_be_asked(port):
    answer = Plain(port, "memory", client="mute").call("ask")[1]
    same(json.loads(answer["result"]["content"][0]["text"])["error"]["code"], -32601)
    answer = Plain(port, "memory").call("ping")[1]
    same(json.loads(answer["result"]["content"][0]["text"]), {"result": {}})


def a_forged_question(port):
    same(Plain(port, "memory").call("forge")[1]["result"]["resultType"], "complete")


def leaving_cancels(port):
    client = Plain(port, "memory", {"elicitation": {}}, client="leaver")
    client.seen()
    connection = client.send("tools/call", {"name": "wait", "arguments": {}})
    # The server has the call once it appears among what it has seen.
    deadline = time.monotonic() + PATIENCE
    while client.seen()["methods"].count("tools/call") < 3:
        assert time.monotonic() < deadline, "the call did not arrive"
    connection.close()
    while not client.seen()["cancelled"]:
        assert time.monotonic() < deadline, "the call was not cancelled"


def a_subscription_lasts_as_long_as_its_stream(port):
    client = Plain(port, "memory", client="reader")
    wanted = {"resourceSubscriptions": ["file:///it"], "toolsListChanged": True}
    connection = client.send("subscriptions/listen", {"notifications": wanted})
    response = connection.getresponse()
    events = (json.loads(line[6:]) for line in iter(response.readline, b"") if line.startswith(b"data: {"))
    (acknowledged, updated), id = (next(events), next(events)), client.count
    same(acknowledged["params"]["notifications"], {"resourceSubscriptions": ["file:///it"]})
    same((updated["method"], updated["params"]["uri"]), ("notifications/resources/updated", "file:///it"))
    same([event["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] for event in (acknowledged, updated)], [id, id])
    assert "resources/unsubscribe" not in client.seen()["methods"]
    response.close()
    connection.close()
    deadline = time.monotonic() + PATIENCE
    while "resources/unsubscribe" not in client.seen()["methods"]:
        assert time.monotonic() < deadline, "the subscription was not given up"


def a_question_that_stays_unanswered(_):
    servers = {"memory": {"command": [sys.executable, str(HERE / "server.py")]}}
    with gateway(servers, '[limits]\nrequest_timeout = "3s"\n') as port:
        client = Plain(port, "memory", {"elicitation": {}})
        result = client.call("ask")[1]["result"]
        deadline = time.monotonic() + PATIENCE
        while not (seen := client.seen())["cancelled"]:
            assert time.monotonic() < deadline, seen
            time.sleep(0.1)
        reply = {key: {"action": "accept"} for key in result["inputRequests"]}
        answer = client.call("ask", requestState=result["requestState"], inputResponses=reply)[1]
        same(answer["error"]["code"], -32602)
        # The server does not wait either: its question is answered with an error.
        same(client.seen()["methods"].count(None), 1)


# The official client.

async def answers(context, params):
    from mcp import types
    return types.ElicitResult(action="accept", content={"name": "Ada", "username": "ada", "email": "ada@example.com"})


async def samples(context, params):
    from mcp import types
    return types.CreateMessageResult(role="assistant", content=types.TextContent(type="text", text="sampled"), model="m")


async def roots(context):
    from mcp import types
    return types.ListRootsResult(roots=[types.Root(uri="file:///tmp/root")])


def client(port, name, **more):
    from mcp import Client
    options = {"mode": VERSION, "elicitation_callback": answers, "sampling_callback": samples, "list_roots_callback": roots}
    return Client(f"http://127.0.0.1:{port}/mcp/{name}", **(options | more))


def text_of(result):
    assert not result.is_error, result
    return " ".join(part.text for part in result.content if hasattr(part, "text"))


def official(check):
    """A check that is a coroutine, with the patience that everything has."""
    def run(port):
        asyncio.run(asyncio.wait_for(check(port), PATIENCE))
    run.__name__ = check.__name__
    return run


def fixture_with(name):
    async def the_whole_protocol(port):
        logs, progress = [], []

        async def note(params):
            logs.append(params.data)

        async def report(done, total, message):
            progress.append(done)

        async with client(port, name, logging_callback=note, log_level="debug") as it:
            same(it.protocol_version, VERSION)
            names = {tool.name for tool in (await it.list_tools()).tools}
            assert "test_simple_text" in names, names
            assert "simple text" in text_of(await it.call_tool("test_simple_text"))
            await it.call_tool("test_tool_with_progress", progress_callback=report)
            same(progress, [0, 50, 100])
            await it.call_tool("test_tool_with_logging")
            assert len(logs) >= 3, logs
            assert (await it.get_prompt("test_simple_prompt")).messages
            same((await it.read_resource("test://static-text")).contents[0].text[:7], "This is")
            assert (await it.list_resource_templates()).resource_templates
            for tool in ("elicitation", "sampling", "list_roots", "multiple_inputs", "multi_round"):
                assert text_of(await it.call_tool(f"test_input_required_result_{tool}")), tool
            assert (await it.get_prompt("test_input_required_result_prompt")).messages
            assert "Ada" in (await it.read_resource("test://input-required")).contents[0].text
        async with client(port, name) as it:
            logs.clear()
            await it.call_tool("test_tool_with_logging")
            same(logs, [])

    async def subscriptions(port):
        async with client(port, name) as it:
            watched = "test://watched-resource"
            async with it.listen(tools_list_changed=True, resource_subscriptions=[watched]) as changes:
                same((changes.honored.tools_list_changed, changes.honored.resource_subscriptions), (True, [watched]))
                assert not changes.honored.prompts_list_changed
                coming = aiter(changes)
                for tool, kind in (("tool", "ToolsListChanged"), ("resource", "ResourceUpdated")):
                    await it.call_tool("test_trigger_prompt_change")
                    await it.call_tool(f"test_trigger_{tool}_change")
                    same(type(await anext(coming)).__name__, kind)

    async def many_at_once(port):
        async with client(port, name) as it:
            for _ in range(4):
                calls = [it.call_tool("test_input_required_result_elicitation") for _ in range(6)]
                calls += [it.call_tool("test_simple_text") for _ in range(6)]
                same(len([text_of(result) for result in await asyncio.gather(*calls)]), 12)

    return [official(check) for check in (the_whole_protocol, subscriptions, many_at_once)]


def everything_with(name):
    async def everything(port):
        async with client(port, name) as it:
            assert (await it.list_tools()).tools
            assert "Echo: hi" in text_of(await it.call_tool("echo", {"message": "hi"}))
            assert (await it.list_resources()).resources and (await it.list_prompts()).prompts
            names = {tool.name for tool in (await it.list_tools()).tools}
            sampling = next(tool for tool in names if "sampling" in tool and "async" not in tool)
            assert "sampled" in text_of(await it.call_tool(sampling, {"prompt": "p", "maxTokens": 10}))
            # Tasks are not translated: the server says itself that this tool demands one.
            refused = await it.call_tool("simulate-research-query", {"topic": "x"})
            assert refused.is_error and "requires task augmentation" in refused.content[0].text, refused
    return [official(everything)]


async def memory(port):
    async with client(port, "knowledge", mode="auto") as it:
        same(it.protocol_version, VERSION)
        entity = {"name": "Ada", "entityType": "person", "observations": ["counts"]}
        await it.call_tool("create_entities", {"entities": [entity]})
        assert "Ada" in text_of(await it.call_tool("read_graph"))


def conformance(port):
    """The official scenarios; those of the tasks extension and of several questions at once have no legacy form."""
    import argparse
    import official as suites
    import run as legs  # the conformance suite's own
    suite = suites.Suite()
    options = argparse.Namespace(requirements=VERSION, only=[], without=["tasks-"], timeout=60, output=None)
    subjects = {name: f"http://localhost:{port}/mcp/{name}" for name in ("url", "command")}
    leg = legs.run(suite, "server", subjects, options)
    failed = []
    for title, column in leg.columns.items():
        good = [name for name in leg.wanted if column[name]["state"] in ("pass", "none")]
        print(f"  conformance {VERSION} over {title}: {len(good)} of {len(leg.wanted)} scenarios pass")
        failed += [(title, name, column[name]["problems"]) for name in leg.wanted if name not in good and name not in NOT_OF_THIS_ERA]
    assert not failed, failed


def main():
    installed = tools()
    python = installed / "python" / "bin" / "python"
    if pathlib.Path(sys.prefix) != python.parent.parent:
        os.execv(python, [python, *sys.argv])
    packages, node = installed / "npm/node_modules/@modelcontextprotocol", str(installed / "bin/node")
    everything = str(packages / "server-everything/dist/index.js")
    plain = [handshake, one_session_for_each, methods_that_are_gone, a_question_and_its_answer,
             a_question_nobody_can_be_asked, a_forged_question, leaving_cancels,
             a_subscription_lasts_as_long_as_its_stream, a_question_that_stays_unanswered]
    checks = [("memory", check) for check in plain]
    checks += [(name, check) for name in ("url", "command") for check in fixture_with(name)]
    checks += [(name, check) for name in ("everything", "everything-url") for check in everything_with(name)]
    checks += [("knowledge", official(memory)), ("fixture", conformance)]
    listen = [processes.FIXTURE, "--listen", "127.0.0.1:0", "--era", "legacy"]
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(processes.program(listen, r"^127\.0\.0\.1:(\d+)$"))
        free = free_port()
        stack.enter_context(processes.program([node, everything, "streamableHttp"], r"listening on port (\d+)", {"PORT": str(free)}))
        servers = {
            "memory": {"command": [sys.executable, str(HERE / "server.py")]},
            "url": {"url": f"http://localhost:{port}/mcp"},
            "command": {"command": [processes.FIXTURE, "--stdio", "--era", "legacy"]},
            "everything": {"command": [node, everything]},
            "everything-url": {"url": f"http://127.0.0.1:{free}/mcp"},
            # Beside its program, where it would keep its file, it may not write.
            "knowledge": {"command": [node, str(packages / "server-memory/dist/index.js")], "env.MEMORY_FILE_PATH": "/tmp/memory.jsonl"},
        }
        port = stack.enter_context(gateway(servers))
        counts = {"passed": 0, "failed": 0, "skipped": 0}
        for server, check in checks:
            name = f"{server}: {check.__name__}"
            if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
                continue
            try:
                check(port)
                counts["passed"] += 1
                print(f"ok    {name}", flush=True)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the others are still to be seen
                if isinstance(error, KeyboardInterrupt):
                    raise
                counts["failed"] += 1
                print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
    if "BARTIZAN_COUNTS" in os.environ:
        pathlib.Path(os.environ["BARTIZAN_COUNTS"]).write_text(json.dumps(counts))
    print(f"{counts['passed']} passed, {counts['failed']} failed")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
