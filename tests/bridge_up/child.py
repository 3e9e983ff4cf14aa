"""A local program that only knows the stateless era, over stdio; it writes down what it reads into the file it is given."""

import json
import os
import sys
import time

META = "io.modelcontextprotocol/"
listening = []


def say(message):
    print(json.dumps({"jsonrpc": "2.0"} | message), flush=True)


def answer(request):
    name, params = request["method"], request.get("params", {})
    if "id" not in request:
        return None
    if META + "protocolVersion" not in params.get("_meta", {}):
        return {"error": {"code": -32601, "message": "no such method"}}
    if name == "server/discover":
        capabilities = {"tools": {"listChanged": True}, "logging": {}}
        return {"result": {"supportedVersions": ["2026-07-28"], "capabilities": capabilities, "resultType": "complete"}}
    if name == "subscriptions/listen":
        about = {"notifications": params["notifications"], "_meta": {META + "subscriptionId": request["id"]}}
        say({"method": "notifications/subscriptions/acknowledged", "params": about})
        listening.append(request["id"])
        return None
    if name != "tools/call":
        return {"error": {"code": -32601, "message": "no such method"}}
    if params["name"] == "slow":
        return None
    if params["name"] == "deaf":
        # Reads nothing until it is told to by a file.
        while not os.path.exists(params["arguments"]["until"]):
            time.sleep(0.05)
    if params["name"] == "die":
        sys.exit(params["arguments"].get("status", 9))
    if params["name"] == "change":
        say({"method": "notifications/tools/list_changed", "params": {"_meta": {META + "subscriptionId": listening[-1]}}})
    if params["name"] == "log":
        # While another request waits, nobody can tell whose this is.
        say({"method": "notifications/message", "params": {"level": "error", "data": "whose?"}})
    if params["name"] == "ask" and "inputResponses" not in params:
        schema = {"type": "object", "properties": {"name": {"type": "string"}}}
        asked = {"method": "elicitation/create", "params": {"message": "Who?" + "x" * params["arguments"].get("size", 0), "requestedSchema": schema}}
        return {"result": {"resultType": "input_required", "inputRequests": {"q": asked}, "requestState": "s"}}
    return {"result": {"resultType": "complete", "content": [{"type": "text", "text": json.dumps(params.get("inputResponses"))}]}}


def main():
    with open(sys.argv[1], "a", buffering=1) as log:
        for line in sys.stdin:
            log.write(line)
            request = json.loads(line)
            if reply := answer(request):
                say({"id": request["id"]} | reply)


if __name__ == "__main__":
    main()
