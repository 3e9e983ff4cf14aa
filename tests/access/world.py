#!/usr/bin/env python3
"""A server with something of every kind, of which a policy allows one and refuses another; over HTTP, or as a program over stdio.

As a program it writes each message that it hears as a line of the file in its first argument.
"""

import json
import pathlib
import sys

MODERN = "2026-07-28"
ERA = "io.modelcontextprotocol/protocolVersion"
# Ann may use what is good here, and nothing else of it.
POLICIES = """
permit(principal, action == Mcp::Action::"world/read", resource);
permit(principal, action == Mcp::Action::"world/pay", resource) when { context.input.amount <= 100 };
permit(principal, action == Mcp::Action::"read", resource) when { resource.name like "note://good*" };
permit(principal, action == Mcp::Action::"get", resource == Mcp::Prompt::"world/greet");
"""


def result(method, params):
    if method in ("initialize", "server/discover"):
        able = {"tools": {}, "resources": {"subscribe": True}, "prompts": {}, "completions": {}}
        said = {"capabilities": able, "serverInfo": {"name": "world", "version": "1"}}
        return said | ({"protocolVersion": params["protocolVersion"]} if method == "initialize" else {"supportedVersions": [MODERN]})
    if method == "tools/list":
        amount = {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}
        plain = {"type": "object"}
        return {"tools": [{"name": name, "inputSchema": schema} for name, schema in (("read", plain), ("write", plain), ("pay", amount))]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": f"came of {params['name']}"}]}
    if method == "resources/list":
        return {"resources": [{"uri": f"note://{name}", "name": name} for name in ("good", "bad")]}
    if method == "resources/templates/list":
        return {"resourceTemplates": [{"uriTemplate": "note://{name}", "name": "notes"}]}
    if method == "resources/read":
        return {"contents": [{"uri": params["uri"], "text": f"came of {params['uri']}"}]}
    if method == "prompts/list":
        return {"prompts": [{"name": name, "arguments": [{"name": "whom"}]} for name in ("greet", "curse")]}
    if method == "prompts/get":
        return {"messages": [{"role": "user", "content": {"type": "text", "text": f"came of {params['name']}"}}]}
    if method == "completion/complete":
        return {"completion": {"values": [f"came of {params['ref'].get('name') or params['ref']['uri']}"]}}
    return {}


def main():
    with pathlib.Path(sys.argv[1]).open("a") as heard:
        for line in sys.stdin:
            message = json.loads(line)
            print(line.strip(), file=heard, flush=True)
            if "id" in message and "method" in message:
                params = message.get("params") or {}
                answer = result(message["method"], params)
                if ERA in params.get("_meta", {}):
                    answer.setdefault("resultType", "complete")
                print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer}), flush=True)


if __name__ == "__main__":
    main()
