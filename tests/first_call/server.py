"""A stdio server whose tools, one or several, are described by a file (or not at all, if it says
`"refuse"` or `"be silent"`), and which writes down what it is asked.

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
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "one tool", "version": "1"}}
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
    if result is not None:
        say({"id": message["id"], "result": result})
