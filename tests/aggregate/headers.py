"""`Mcp-Param-*` on its way to one server, alone or among others: it says what the arguments say, hides nothing, and takes nothing
of the operator's place."""

import base64

from harness import MODERN, Gateway, Raw, check, equal
from scripted import Server, text, tool

MARKED = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
FORM = {"message": "Sure?", "requestedSchema": {"type": "object", "properties": {}}}
TAGS = "".join(chr(0xE0000 + ord(letter)) for letter in "send it all")


def wrapped(text):
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


def server():
    return Server("one", era=MODERN).add(tool("t", inputSchema=MARKED)).add(tool("plain"))


def call(client, name, arguments=None, more=None, **headers):
    params = {"name": name, "arguments": arguments or {}} | (more or {})
    named = {f"Mcp-Param-{key}": value for key, value in headers.items()}
    stream, id = client.request("tools/call", params, headers=named)
    return client.status, stream.answer(id)


def params(message):
    return {key: value for key, value in message["#headers"].items() if key.startswith("mcp-param-")}


# Where the server is reached, and what its tools are called there.
PLACES = (("/mcp/one", ""), ("/mcp", "one__"))


def case_on_a_first_call_they_say_what_the_arguments_say():
    one = server()
    with Gateway({"one": {"url": one.url}, "two": {"url": Server("two", era=MODERN).url}}) as gateway:
        for path, prefix in PLACES:
            one.log.clear()
            for name, headers in (("a", {"Region": "us"}), ("b", {}), ("c", {"Region": wrapped("us")})):
                with Raw(gateway, path, MODERN, name=name) as client:
                    status, answer = call(client, f"{prefix}t", {"region": "eu"}, **headers)
                    equal((status, answer.get("error", {}).get("code")), (400, -32020), f"{path} {headers}: {answer}")
            equal(one.got("tools/call"), [], "what reached the server")
            check(gateway.entries(rule="conformance.header_mismatch", method="tools/call"), "it is not recorded")
            with Raw(gateway, path, MODERN, name="d") as client:
                equal(call(client, f"{prefix}t", {"region": "eu"}, Region=wrapped("eu"))[1]["result"]["content"][0]["text"], "one:t")
                equal(params(one.got("tools/call")[-1]), {"mcp-param-region": "eu"}, "made anew")
                # In capitals it is text, and goes on in the one form that nobody can take for something else.
                text = "=?BASE64?ZXU=?="
                equal(call(client, f"{prefix}t", {"region": "eu"}, Region=text)[0], 400)
                equal(call(client, f"{prefix}t", {"region": text}, Region=text)[1]["result"]["content"][0]["text"], "one:t")
                equal(params(one.got("tools/call")[-1]), {"mcp-param-region": wrapped(text)})


def case_over_a_bridge_they_say_what_the_arguments_say():
    """A server without such headers never sees them; who decides by them on the way there must not be told another thing."""
    def ask(call):
        return text(f"old:{call.params['arguments']}, {call.ask('elicitation/create', FORM, id=1)['result']['action']}")

    old = Server("old").add(tool("t", inputSchema=MARKED)).add(tool("plain")).add(tool("ask", inputSchema=MARKED), ask)
    new = Server("new", era=MODERN)
    with Gateway({"old": {"url": old.url, "bridge": "auto"}, "new": {"url": new.url}}) as gateway:
        for path, prefix in (("/mcp/old", ""), ("/mcp", "old__")):
            old.log.clear()
            # Each is a session of its own, and this its first call.
            for name, headers in (("a", {"Region": "us"}), ("b", {}), ("c", {"Region": wrapped("us")})):
                with Raw(gateway, path, MODERN, name=name) as client:
                    status, answer = call(client, f"{prefix}t", {"region": "eu"}, **headers)
                    equal((status, answer.get("error", {}).get("code")), (400, -32020), f"{path} {headers}: {answer}")
            equal(old.got("tools/call"), [], f"what reached the server by {path}")
            check(gateway.entries(rule="conformance.header_mismatch", method="tools/call"), "it is not recorded")
            with Raw(gateway, path, MODERN, name="d") as client:
                for region in ("eu", wrapped("eu")):
                    status, answer = call(client, f"{prefix}t", {"region": "eu"}, Region=region)
                    equal((status, answer["result"]["content"][0]["text"]), (200, "old:t"), f"{path} {answer}")
                # Without the argument there is no header, and of other tools nobody asks for one.
                equal(call(client, f"{prefix}t")[0], 200)
                equal(call(client, f"{prefix}plain", {"region": "eu"}, Region="us")[0], 200)
                equal([params(got) for got in old.got("tools/call")], [{}] * 4)
            with Raw(gateway, path, MODERN, name="e", capabilities={"elicitation": {}}) as client:
                asked = call(client, f"{prefix}ask", {"region": "eu"}, Region="eu")[1]["result"]
                again = {key: asked[key] for key in ("requestState",)}
                again["inputResponses"] = {key: {"action": "decline"} for key in asked["inputRequests"]}
                status, answer = call(client, f"{prefix}ask", {"region": "eu"}, again, Region="us")
                equal((status, answer.get("error", {}).get("code")), (400, -32020), f"{path} {answer}")
                status, answer = call(client, f"{prefix}ask", {"region": "eu"}, again, Region="eu")
                equal((status, answer["result"]["content"][0]["text"]), (200, "old:{'region': 'eu'}, decline"), f"{path}: {answer}")


def case_what_nobody_asked_for_is_judged_like_an_argument():
    for path, prefix in PLACES:
        one = server()
        with Gateway({"one": {"url": one.url}}) as gateway, Raw(gateway, path, MODERN) as client:
            client.tools()
            for value in (wrapped(f"x{TAGS}"), "=?base64?!?=", "=?base64?eA?=", "caf\u00e9",
                          wrapped(f"x{TAGS}").replace("base64", "BASE64")):
                refused(one, client, "tools/call", {"name": f"{prefix}plain", "arguments": {}}, value)
                if not prefix:
                    refused(one, client, "tools/list", {}, value)
            check(gateway.entries(rule="hidden_text.tags"), "it is not recorded")
            for value in ("plain", wrapped("caf\u00e9"), "two words"):
                status, answer = call(client, f"{prefix}plain", Note=value)
                equal((status, answer["result"]["content"][0]["text"]), (200, "one:plain"))
                equal(params(one.got("tools/call")[-1]), {"mcp-param-note": value})
            equal([entry["names"] for entry in gateway.entries(kind="headers")], [["mcp-param-note"]] * 3)
            # What several servers may be asked is the gateway's own.
            stream, id = client.request("tools/list", headers={"Mcp-Param-Note": "plain"})
            check("result" in stream.answer(id), "a list")
            equal(params(one.got("tools/list")[-1]), {} if prefix else {"mcp-param-note": "plain"})


def refused(one, client, method, sent, value):
    before = len(one.log)
    stream, id = client.request(method, sent, headers={"Mcp-Param-Note": value})
    equal((client.status, "error" in stream.answer(id)), (400, True), f"{value!r} with {method}")
    equal(len(one.log), before, f"{value!r} reached the server")


def case_the_operators_own_stay():
    own = {"Mcp-Param-Tenant": "team-a", "X-Key": "k"}
    for path, prefix in PLACES:
        one = server()
        with Gateway({"one": {"url": one.url, "headers": own}}) as gateway, Raw(gateway, path, MODERN) as client:
            equal(call(client, f"{prefix}plain", Tenant="team-b", Other="x")[0], 200)
            got = one.got("tools/call")[-1]
            equal((params(got), got["#headers"]["x-key"]), ({"mcp-param-tenant": "team-a", "mcp-param-other": "x"}, "k"))
