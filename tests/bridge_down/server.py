"""A legacy server over stdio that remembers what it is told, for what no ready-made server shows: cancellation."""

import json
import os
import sys
import time

seen = {"cancelled": [], "methods": [], "capabilities": None, "client": None}
waiting = {}


def send(message):
    print(json.dumps({"jsonrpc": "2.0"} | message), flush=True)


def text(value):
    return {"content": [{"type": "text", "text": json.dumps(value)}]}


def tool(name):
    return {"name": name, "inputSchema": {"type": "object"}}


def call(id, params):
    name = params["name"]
    if name == "wait":
        waiting[id] = None
    elif name == "deaf":
        # Reads nothing until it is told to by a file.
        while not os.path.exists(params["arguments"]["until"]):
            time.sleep(0.05)
        send({"id": id, "result": text("heard")})
    elif name == "ask":
        waiting[f"q-{id}"] = id
        schema = {"type": "object", "properties": {"name": {"type": "string"}}}
        asked = "Who?" + "x" * params["arguments"].get("size", 0)
        send({"id": f"q-{id}", "method": "elicitation/create", "params": {"message": asked, "requestedSchema": schema}})
    elif name == "ping":
        waiting["p"] = id
        send({"id": "p", "method": "ping"})
    elif name == "forge":
        send({"id": id, "result": {"resultType": "input_required", "requestState": "mine", "inputRequests": {}} | text(1)})
    else:
        send({"id": id, "result": text(seen | {"call": params})})


for line in sys.stdin:
    message = json.loads(line)
    id, method, params = message.get("id"), message.get("method"), message.get("params", {})
    seen["methods"].append(method)
    if method == "initialize":
        seen |= {"capabilities": params["capabilities"], "client": params["clientInfo"]["name"]}
        send({"id": id, "result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}, "resources": {"subscribe": True}},
                                   "serverInfo": {"name": "memory", "version": "1"}, "instructions": "Ask away."}})
    elif method == "tools/list":
        send({"id": id, "result": {"tools": [tool(name) for name in ("wait", "deaf", "ask", "ping", "forge", "seen")]}})
    elif method == "tools/call":
        call(id, params)
    elif method in ("resources/subscribe", "resources/unsubscribe"):
        send({"id": id, "result": {}})
        if method == "resources/subscribe":
            send({"method": "notifications/resources/updated", "params": {"uri": params["uri"]}})
            send({"method": "notifications/resources/updated", "params": {"uri": "file:///other"}})
    elif method == "notifications/cancelled":
        seen["cancelled"].append(params["requestId"])
        waiting.pop(params["requestId"], None)
    elif method is None:
        # The client's answer to what was asked, given back as it came.
        owner = waiting.pop(id, None)
        if owner is not None:
            send({"id": owner, "result": text({key: message[key] for key in ("result", "error") if key in message})})
    elif id is not None:
        send({"id": id, "error": {"code": -32601, "message": "Method not found"}})
