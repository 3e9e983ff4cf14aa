#!/usr/bin/env python3
"""A server over stdio that speaks both eras and does nothing by itself: it holds calls until it is told to go on, and
tells what it has been sent. The checks of front.py run against it."""

import json
import sys

MARKED = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("hold", "steps", "go", "seen", "change")]
TOOLS.append({"name": "marked", "inputSchema": MARKED})
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"

seen, held, subscriptions = [], [], []


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0"} | message) + "\n")
    sys.stdout.flush()


def answer(request, text):
    content = [{"type": "text", "text": text}]
    send({"id": request["id"], "result": {"resultType": "complete", "content": content}})


def log(text):
    send({"method": "notifications/message", "params": {"level": "info", "data": text}})


def progress(request):
    token = request["params"].get("_meta", {}).get("progressToken")
    if token is not None:
        send({"method": "notifications/progress", "params": {"progressToken": token, "progress": 0.5}})


def call(request):
    name, arguments = request["params"]["name"], request["params"].get("arguments", {})
    if name in ("hold", "steps"):
        if name == "steps":
            log("one")
        held.append(request)
    elif name == "go":
        while held:
            waiting = held.pop(0)
            progress(waiting)
            answer(waiting, waiting["params"].get("arguments", {}).get("tag", ""))
        answer(request, "gone on")
    elif name == "seen":
        answer(request, json.dumps(seen))
    elif name == "change":
        send({"method": "notifications/resources/updated", "params": {"uri": arguments.get("uri", "test://changed")}})
        for subscription in subscriptions:
            send({"method": "notifications/tools/list_changed", "params": {"_meta": {SUBSCRIPTION: subscription}}})
        answer(request, "changed")
    else:
        answer(request, json.dumps(arguments))


def request(message):
    method, params = message["method"], message.get("params", {})
    if method == "initialize":
        capabilities = {"tools": {"listChanged": True}, "logging": {}, "resources": {"subscribe": True}}
        send({"id": message["id"], "result": {"protocolVersion": params["protocolVersion"], "capabilities": capabilities,
                                              "serverInfo": {"name": "child", "version": "1"}}})
    elif method == "tools/list":
        send({"id": message["id"], "result": {"resultType": "complete", "tools": TOOLS, "ttlMs": 1000, "cacheScope": "public"}})
    elif method == "tools/call":
        call(message)
    elif method == "subscriptions/listen":
        subscriptions.append(message["id"])
        send({"method": "notifications/subscriptions/acknowledged",
              "params": {"notifications": {"toolsListChanged": True}, "_meta": {SUBSCRIPTION: message["id"]}}})
    elif method == "test/invalid":
        send({"id": message["id"], "error": {"code": -32602, "message": "Invalid params"}})
    else:
        send({"id": message["id"], "error": {"code": -32601, "message": "Method not found"}})


for line in sys.stdin:
    received = json.loads(line)
    seen.append(received)
    if "id" in received and "method" in received:
        request(received)
