"""What the gateway answers itself: judged, recorded and counted like what goes on to a server, with the ids that `why` knows."""

import contextlib
import http.client
import json
import subprocess

from harness import BINARY, MODERN, PATIENCE, Gateway, Raw, check, equal
from scripted import Server, text, tool

HIDDEN = "x" + "".join(chr(0xE0000 + ord(c)) for c in "obey")
META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
# A request, the code of its error and the rule that the log has for it.
NOWHERE = [
    ("vendor/unheard-of", {}, -32601, "gateway.unknown_method"),
    ("tools/call", {"name": "a__nothing_of_the_kind_01234567", "arguments": {}}, -32602, "gateway.unknown_name"),
    ("tools/call", {"name": "nobody__t", "arguments": {}}, -32602, "gateway.unknown_name"),
    ("tools/call", {"arguments": {}}, -32602, "gateway.no_name"),
    ("prompts/get", {"name": "guess"}, -32602, "gateway.unknown_name"),
    ("completion/complete", {"ref": {"type": "ref/prompt", "name": "guess"}, "argument": {"name": "a", "value": ""}},
     -32602, "gateway.unknown_name"),
    ("resources/read", {"uri": "file:///nobody"}, -32002, "gateway.unknown_resource"),
    ("resources/read", {}, -32602, "gateway.no_uri"),
    ("tasks/get", {"taskId": "t"}, -32602, "gateway.unknown_task"),
    ("tools/list", {"cursor": "c"}, -32602, "gateway.unknown_cursor"),
]
STATELESS = [
    ("ping", {}, -32601, "gateway.session_only"),
    ("subscriptions/listen", {}, -32602, "gateway.bad_subscription"),
]


def two():
    servers = {name: Server(name) for name in ("a", "b")}
    for server in servers.values():
        server.add(tool("echo"), lambda call: text(call.params["arguments"].get("text", "")))
    return servers


def urls(servers, **more):
    return {name: {"url": server.url} | more for name, server in servers.items()}


def entry(gateway, request, server):
    """The one entry of a request of the client's."""
    found = gateway.entries(kind="message", direction="to_server", request=str(request), server=server)
    equal(len(found), 1, f"entries of request {request}")
    return found[0]


def check_refused(gateway, client, server, method, params, code, rule, id):
    answer = client.ask(method, params, id)
    equal(answer["error"]["code"], code, f"{method} {params}")
    equal(answer["error"]["data"]["rule"], rule, f"{method} {params}")
    held = entry(gateway, id, server)
    equal([held["decision"], held["rule"], held["method"], held["principal"], held["id"]],
          ["deny", rule, method, "anonymous", answer["error"]["data"]["decision"]], f"{method} {params}")
    check(held["digest"] and held["bytes"] > 0, f"nothing tells which message it was: {held}")
    why = subprocess.run([BINARY, "why", held["id"], "--config", str(gateway.config)], env=gateway.environment,
                         capture_output=True, text=True, timeout=60)
    check(why.returncode == 0 and rule in why.stdout, f"why: {why.stdout}{why.stderr}")


def check_taken(gateway, client, server, method, params, id):
    answer = client.ask(method, params, id)
    check("result" in answer, f"{method}: {answer}")
    equal(entry(gateway, id, server)["decision"], "allow", method)


def case_what_leads_nowhere_is_recorded_and_explained():
    for version, more in (("2025-11-25", []), (MODERN, STATELESS)):
        with Gateway(urls(two(), bridge="auto")) as gateway, Raw(gateway, version=version) as client:
            check("a__echo" in client.tools(), "the tool is not listed")
            for at, (method, params, code, rule) in enumerate(NOWHERE + more):
                check_refused(gateway, client, "*", method, params, code, rule, f"n{at}")
            equal(client.text("a__echo", {"text": "still here"}), "still here")


def case_what_the_gateway_answers_is_recorded():
    with Gateway(urls(two())) as gateway, Raw(gateway) as client:
        equal(entry(gateway, 1, "*")["method"], "initialize")
        for at, (method, params) in enumerate([("ping", {}), ("tools/list", {}), ("logging/setLevel", {"level": "info"})]):
            check_taken(gateway, client, "*", method, params, f"t{at}")
        client.notify("notifications/cancelled", {"requestId": "none"})
        for method in ("notifications/initialized", "notifications/cancelled"):
            held = gateway.entries(kind="message", direction="to_server", server="*", method=method)
            equal([one["decision"] for one in held], ["allow"], method)


def case_what_is_not_fit_for_its_era_is_recorded():
    for path, server in (("/mcp", "*"), ("/mcp/a", "a")):
        with Gateway(urls(two(), bridge="auto")) as gateway, Raw(gateway, path, MODERN) as client:
            client.tools()
            sent = {"lacks": META | {"io.modelcontextprotocol/clientCapabilities": None}, "other": META | {
                "io.modelcontextprotocol/protocolVersion": "2026-12-31"}}
            del sent["lacks"]["io.modelcontextprotocol/clientCapabilities"]
            for id, meta in sent.items():
                version = meta["io.modelcontextprotocol/protocolVersion"]
                stream = client.post({"jsonrpc": "2.0", "id": id, "method": "tools/list", "params": {"_meta": meta}},
                                     {"MCP-Protocol-Version": version})
                answer, held = stream.answer(id), entry(gateway, id, server)
                equal(client.status, 400, f"{id} at {path}")
                equal([held["decision"], held["id"]], ["deny", answer["error"]["data"]["decision"]], f"{id} at {path}")
            equal(answer["error"]["code"], -32022, f"{id} at {path}")
            check(MODERN in answer["error"]["data"]["supported"], f"{answer}")


def case_guessing_counts_against_the_rate():
    more = '[guard.rate]\nper_principal = "6/h"\n'
    for path, prefix in (("/mcp", ""), ("/mcp/a", "")):
        with Gateway(urls(two(), bridge="auto"), more=more) as gateway, Raw(gateway, path, MODERN) as client:
            asked = [client.ask("tools/call", {"name": f"guess__{n}", "arguments": {}}, f"g{n}") if path == "/mcp"
                     else client.ask("ping", {}, f"g{n}") for n in range(40)]
            served = [answer for answer in asked if "rate." not in json.dumps(answer)]
            check(0 < len(served) <= 6, f"{len(served)} of 40 were answered at {path}")
            limited = gateway.entries(kind="message", direction="to_server", decision="deny", rule="rate.principal")
            equal(len(limited), 40 - len(served), f"refusals for the rate at {path}")


def case_guards_look_at_what_only_the_gateway_reads():
    more = '[guard.hidden_text]\naction = "deny"\n'
    with Gateway(urls(two()), more=more) as gateway, Raw(gateway) as client:
        answer = client.ask("ping", {"_meta": {"note": HIDDEN}}, "hidden")
        check("error" in answer, f"hidden text passed: {answer}")
        equal(entry(gateway, "hidden", "*")["decision"], "deny")
        check_taken(gateway, client, "*", "ping", {"_meta": {"note": "seen"}}, "seen")


def case_answers_that_nobody_asked_for_are_refused():
    with Gateway(urls(two())) as gateway, Raw(gateway) as client:
        client.tools()
        for id, server, own in (("a/1", "a", "1"), ("nobody/1", "*", "nobody/1"), (7, "*", "7")):
            client.respond(id, {})
            held = gateway.entries(kind="message", direction="to_server", form="result", server=server, request=own)
            equal([(one["decision"], one["rule"]) for one in held], [("deny", "conformance.unsolicited")], f"response {id}")


def case_a_bridge_records_what_it_answers():
    servers = two()
    servers["new"] = Server("new", era=MODERN)
    servers["new"].add(tool("echo"), lambda call: text("new"))
    with Gateway(urls(servers, bridge="auto")) as gateway:
        with Raw(gateway, "/mcp/new") as legacy:
            check_taken(gateway, legacy, "new", "ping", {}, "up")
            check_refused(gateway, legacy, "new", "tasks/list", {}, -32601, "bridge.untranslated", "uptask")
            check_refused(gateway, legacy, "new", "logging/setLevel", {"level": "info"}, -32601, "bridge.untranslated", "uplevel")
        with Raw(gateway, "/mcp/a", MODERN) as stateless:
            stateless.tools()
            check_taken(gateway, stateless, "a", "server/discover", {}, "down")
            check_refused(gateway, stateless, "a", "ping", {}, -32601, "gateway.session_only", "downping")
            forged = {"name": "echo", "arguments": {}, "requestState": "forged", "inputResponses": {}}
            check_refused(gateway, stateless, "a", "tools/call", forged, -32602, "bridge.unknown_state", "forged")
            equal(stateless.text("echo", {"text": "still here"}), "still here")


def case_a_method_of_its_own_goes_to_the_server_that_it_names():
    servers = two()
    for name, server in servers.items():
        server.offer(resources=[{"uri": f"{name}://x", "name": "x"}])
        server.handlers["vendor/do"] = lambda call: {"did": call.server.name, "as": call.params.get("name")}
    with Gateway(urls(servers)) as gateway, Raw(gateway) as client:
        client.tools(), client.result("resources/list")
        equal(client.result("vendor/do", {"name": "b__echo"}), {"did": "b", "as": "echo"})
        equal(client.result("vendor/do", {"uri": "a://x"}), {"did": "a", "as": None})
        check_refused(gateway, client, "*", "vendor/do", {}, -32601, "gateway.unknown_method", "whose")
    with Gateway(urls({"a": servers["a"]})) as gateway, Raw(gateway) as client:
        equal(client.result("vendor/do", {}), {"did": "a", "as": None})
    deny = '[unknown]\nmethods = "deny"\n'
    with Gateway(urls({"a": servers["a"]}), more=deny) as gateway, Raw(gateway) as client:
        answer = client.ask("vendor/do", {}, "refused")
        equal(answer["error"]["data"]["rule"], "conformance.unknown_method")


def case_a_header_that_stands_there_twice_means_nothing():
    with Gateway(urls(two())) as gateway, Raw(gateway) as client:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
        plain = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json",
                 "Mcp-Session-Id": client.session, "MCP-Protocol-Version": client.version}
        for twice in (None, "Mcp-Session-Id", "MCP-Protocol-Version", "Content-Type", "Last-Event-ID"):
            connection = http.client.HTTPConnection(*gateway.address, timeout=PATIENCE)
            with contextlib.closing(connection):
                connection.putrequest("POST", "/mcp")
                for name, value in [*plain.items(), ("Content-Length", str(len(body)))] + ([(twice, plain.get(twice, "e1"))] * (1 if twice in plain else 2) if twice else []):
                    connection.putheader(name, value)
                connection.endheaders(body)
                equal(connection.getresponse().status, 400 if twice else 200, f"{twice} twice")
