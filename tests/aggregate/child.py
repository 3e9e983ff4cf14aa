"""A server over stdio with a mind of its own: it counts who it talks to, talks back, and dies when told to."""

import json
import os
import sys
import threading

NAME = sys.argv[1]
TOOLS = ["count", "die", "talk", "wait"]
seen = {"pid": os.getpid(), "initialized": 0, "calls": 0, "ids": [], "tokens": [], "cancelled": [], "answers": [], "said": []}
lock = threading.Lock()
held = {}


def send(message):
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0"} | message) + "\n")
        sys.stdout.flush()


def text(words):
    return {"content": [{"type": "text", "text": words}]}


def call(id, params):
    name, arguments = params["name"], params.get("arguments", {})
    token = params.get("_meta", {}).get("progressToken")
    seen["calls"] += 1
    seen["ids"].append(id)
    seen["tokens"] += [token] if token is not None else []
    if name == "count":
        send({"id": id, "result": text(json.dumps(seen))})
    elif name == "die":
        print("I am gone", file=sys.stderr, flush=True)
        os._exit(3)
    elif name == "wait":
        # Answered when somebody else calls `talk` with release, or never.
        held[arguments["key"]] = (id, token, arguments)
    elif name == "talk":
        for key in arguments.get("release", []):
            other, other_token, other_arguments = held.pop(key)
            if other_token is not None:
                send({"method": "notifications/progress", "params": {"progressToken": other_token, "progress": 1, "message": key}})
            send({"id": other, "result": text(other_arguments["say"])})
        for _ in range(arguments.get("progress", 0)):
            send({"method": "notifications/progress", "params": {"progressToken": token, "progress": 1, "message": "x" * 2000}})
        for message in arguments.get("send", []):
            send(message)
        send({"id": id, "result": text("done") | arguments.get("more", {})})


def handle(message):
    method, id, params = message.get("method"), message.get("id"), message.get("params", {})
    if method is None:
        seen["answers"].append(message)
    elif id is None:
        seen["said"].append(method)
        if method == "notifications/cancelled":
            seen["cancelled"].append(params["requestId"])
    elif method == "initialize":
        seen["initialized"] += 1
        seen["hello"] = params
        send({"id": id, "result": {"protocolVersion": "2025-06-18", "serverInfo": {"name": NAME, "version": "1"},
                                   "capabilities": {"tools": {"listChanged": True}, "resources": {"subscribe": True}, "tasks": {}},
                                   "instructions": "Share me."}})
    elif method == "server/discover":
        send({"id": id, "result": {"resultType": "complete", "supportedVersions": ["2026-07-28"], "instructions": "Share me.",
                                   "capabilities": {"tools": {"listChanged": True}, "resources": {"subscribe": True}}}})
    elif method == "tools/list":
        send({"id": id, "result": {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}})
    elif method == "tools/call":
        call(id, params)
    elif method == "resources/list":
        send({"id": id, "result": {"resources": [{"uri": f"{NAME}://x", "name": "x"}]}})
    elif method == "tasks/list":
        send({"id": id, "result": {"tasks": [{"taskId": task, "status": "working", "createdAt": "2026-01-01T00:00:00Z",
                                               "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttl": None} for task in ("t0", "t1")]}})
    elif method == "tasks/get":
        send({"id": id, "result": {"taskId": params["taskId"], "status": "working"}})
    elif method == "subscriptions/listen":
        wanted = params["notifications"]
        about = {"io.modelcontextprotocol/subscriptionId": id}
        send({"method": "notifications/subscriptions/acknowledged", "params": {"notifications": wanted, "_meta": about}})
        for task in wanted.get("taskIds", []):
            send({"method": "notifications/tasks", "params": {"taskId": task, "status": "completed", "_meta": about}})
    elif method == "resources/subscribe" and not params["uri"].startswith(f"{NAME}://"):
        send({"id": id, "error": {"code": -32602, "message": "no such resource"}})
    elif method in ("ping", "tasks/input", "resources/subscribe", "resources/unsubscribe", "logging/setLevel"):
        seen["said"].append(method)
        send({"id": id, "result": {}})
    else:
        send({"id": id, "error": {"code": -32601, "message": "no such method"}})


for line in sys.stdin:
    handle(json.loads(line))
