"""A stdio server whose tools, one or several, are described by a file (or not at all, if it says
`"refuse"` or `"be silent"`), and which writes down what it is asked. `{"pages": [[…], […]]}` are tools and prompts on
several pages; with `"endless": true` the last leads on to itself.

    server.py DEFINITION SEEN
"""

import json
import pathlib
import sys

definition, seen = map(pathlib.Path, sys.argv[1:])


def say(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


waiting = None
for line in sys.stdin:
    message = json.loads(line)
    with seen.open("a") as file:
        file.write(line)
    method, result = message.get("method"), None
    if method == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}, "prompts": {}},
                  "serverInfo": {"name": "one tool", "version": "1"}}
    elif method in ("tools/list", "prompts/list") and "pages" in (held := json.loads(definition.read_text())):
        at = int(message.get("params", {}).get("cursor", 0))
        last = at + 1 >= len(held["pages"])
        result = {method.split("/")[0]: held["pages"][at]}
        if not last or held.get("endless"):
            result["nextCursor"] = str(at if last else at + 1)
    elif method == "prompts/get":
        result = {"messages": []}
    elif method == "tools/list":
        tools = json.loads(definition.read_text())
        if tools == "refuse":
            say({"id": message["id"], "error": {"code": -32601, "message": "no such method"}})
        elif tools != "be silent":
            result = {"tools": tools if isinstance(tools, list) else [tools]}
    elif method == "tools/call" and message["params"].get("arguments", {}).get("ask"):
        waiting = message["id"]
        schema = {"type": "object", "properties": {"name": {"type": "string"}}}
        say({"id": "q", "method": "elicitation/create", "params": {"message": "Who?", "requestedSchema": schema}})
    elif method == "tools/call":
        result = {"content": [{"type": "text", "text": "done"}]}
    elif message.get("id") == "q":
        outcome = "an error" if "error" in message else "an answer"
        say({"id": waiting, "result": {"content": [{"type": "text", "text": f"told {outcome}"}]}})
    elif method == "resources/list":
        say({"id": message["id"], "error": {"code": -32601, "message": "no such method"}})
    if result is not None:
        say({"id": message["id"], "result": result})
