"""What a server hands out to go on with, by every route: tasks, the states of requests, sessions, places in streams."""

import json
import threading
import time

from harness import MODERN, check, equal
from upstream import ERA, Answering, Upstream

TASKS = "io.modelcontextprotocol/tasks"


class Forgetful(Upstream):
    """A server that tells nobody apart: whoever names a task, a state or an event gets what belongs to it."""

    def __init__(self):
        super().__init__(Handler)
        self.tasks, self.resumed, self.hold = {}, [], threading.Event()
        self.hold.set()

    def asked(self, method):
        return [message for message in self.heard if message.get("method") == method]


class Handler(Answering):
    def answer(self, message, params, answer):
        if message["method"] == "tools/call" and params["name"] == "stream":
            event = f"id: {params['arguments']['event']}\ndata: {json.dumps(answer)}\n\n".encode()
            return self.send(200, event, "text/event-stream")
        super().answer(message, params, answer)

    def do_GET(self):
        last = self.headers.get("Last-Event-ID")
        if not last:
            return self.send(405)
        # It goes by the event alone, and answers with what was meant for whoever had it.
        self.server.resumed.append(last)
        secret = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "meant for ann"}}
        self.send(200, f"id: later\ndata: {json.dumps(secret)}\n\n".encode(), "text/event-stream")

    def result(self, method, params):
        server, modern = self.server, ERA in params.get("_meta", {})
        if method in ("initialize", "server/discover"):
            able = {"tools": {}, "resources": {}, "prompts": {}, "completions": {}, "logging": {}}
            able |= {"extensions": {TASKS: {}}} if modern else {"tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}}
            said = {"capabilities": able, "serverInfo": {"name": "upstream", "version": "1"}}
            return said | ({"supportedVersions": [MODERN]} if modern else {"protocolVersion": params["protocolVersion"]})
        if method == "tools/list":
            names = ("work", "other", "ask", "stream", "slow")
            return {"tools": [{"name": name, "inputSchema": {"type": "object"}, "execution": {"taskSupport": "optional"}} for name in names]}
        if method == "resources/list":
            return {"resources": []}
        if method == "resources/templates/list":
            return {"resourceTemplates": [{"uriTemplate": "note://{name}", "name": "notes"}]}
        if method == "prompts/list":
            return {"prompts": [{"name": "greet"}]}
        if method == "resources/read":
            return {"contents": [{"uri": params["uri"], "text": f"text of {params['uri']}"}]}
        if method == "completion/complete":
            return {"completion": {"values": ["one"]}}
        if method == "tools/call" and params["name"] in ("work", "other"):
            task = {"taskId": f"t{len(server.tasks) + 1}", "status": "completed", "createdAt": "2026-01-01T00:00:00Z",
                    "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttl": 60000}
            server.tasks[task["taskId"]] = task
            return task | {"resultType": "task"} if modern else {"task": task}
        if method == "tools/call" and params["name"] == "ask":
            if params.get("requestState") == "state of ann":
                return {"content": [{"type": "text", "text": "meant for ann"}]}
            return {"resultType": "input_required", "requestState": "state of ann", "inputRequests": {
                "q": {"method": "elicitation/create", "params": {"message": "sure?", "requestedSchema": {"type": "object", "properties": {}}}}}}
        if method == "tools/call":
            if params["name"] == "slow":
                server.hold.wait(20)
            return {"content": [{"type": "text", "text": f"did {params['name']}"}]}
        if method == "tasks/list":
            return {"tasks": list(server.tasks.values())}
        if method == "tasks/result":
            return {"content": [{"type": "text", "text": f"result of {params['taskId']}"}]}
        if method.startswith("tasks/"):
            return server.tasks.get(params["taskId"], {})
        return {}


def begun(client, tool, modern):
    """The id of a task that a client begins."""
    params = {"name": tool, "arguments": {}} | ({} if modern else {"task": {"ttl": 60000}})
    result = client.result("tools/call", params)
    return result["taskId"] if modern else result["task"]["taskId"]


def refused(answer, rule):
    """The server's answer, if the gateway refuses it by that rule."""
    check(rule in json.dumps(answer), f"not refused by {rule}: {answer}")


def tasks(place, server, name, path, version):
    """Whose tasks are whose at one endpoint in one era."""
    modern = version == MODERN
    ann, bob = place.made("mcp"), place.made("mcp", name="bob")
    narrow, wrong = place.made(f"tool:{name}/work"), place.made(f"tool:{name}/other")
    able = {"extensions": {TASKS: {}}} if modern else {}
    prefix = f"{name}__" if path == "/mcp" else ""
    client = lambda key: place.client(key, path, version, able)  # noqa: E731
    methods = ("tasks/get", "tasks/cancel", "tasks/update") if modern else ("tasks/get", "tasks/result", "tasks/cancel")
    with client(ann) as owner:
        task = begun(owner, f"{prefix}work", modern)
        equal("error" in owner.ask("tasks/get", {"taskId": task}), False, f"its owner, {path} {version}")
    before = len(server.heard)
    with client(bob) as thief:
        for method in methods:
            refused(thief.ask(method, {"taskId": task}), "access.handed_out")
        refused(thief.ask("vendor/export", {"deep": [{"taskIds": [task.split("/")[-1]]}], "taskId": task}), "access.handed_out")
        if not modern:
            equal(thief.result("tasks/list")["tasks"], [], f"somebody else's list, {path}")
    said = [message["method"] for message in server.heard[before:] if message["method"].startswith(("tasks/", "vendor/"))]
    equal([method for method in said if method != "tasks/list"], [], "what of it reached the server")
    with client(narrow) as few:
        equal("error" in few.ask("tasks/get", {"taskId": task}), False, f"a narrow key of its owner's, {path} {version}")
        if not modern:
            equal([held["taskId"] for held in few.result("tasks/list")["tasks"]], [task], "its list")
    with client(wrong) as few:
        refused(few.ask("tasks/get", {"taskId": task}), "access.scope")
        if not modern:
            equal(few.result("tasks/list")["tasks"], [], "the list of a key for another tool")
    with client(ann) as owner:
        equal("error" in owner.ask("tasks/get", {"taskId": task}), False, "its owner in another session")


def narrow(place, server, path, version):
    """Whose tasks are whose that narrow keys began, before the gateway is started anew and afterwards."""
    modern, prefix = version == MODERN, "one__" if path == "/mcp" else ""
    able = {"extensions": {TASKS: {}}} if modern else {}
    client = lambda key: place.client(key, path, version, able)  # noqa: E731
    methods = ("tasks/get", "tasks/cancel") if modern else ("tasks/get", "tasks/result", "tasks/cancel")
    # Who began it; the same person by another key for that tool; by one for another tool; and others with the same scope and with all.
    key, again, other = (place.made(f"tool:one/{tool}") for tool in ("work", "work", "other"))
    bob, all_of_bob = place.made("tool:one/work", name="bob"), place.made("mcp", name="bob")

    def stands(task, theirs):
        """That this task is only for those keys, whoever names it."""
        for shown in (key, again, other, bob, all_of_bob):
            before, where = len(server.heard), f"{path} {version} {(key, again, other, bob, all_of_bob).index(shown)}"
            with client(shown) as who:
                for method in methods:
                    answer = who.ask(method, {"taskId": task})
                    if shown in theirs:
                        check("result" in answer, f"{method} {where}: {answer}")
                    else:
                        refused(answer, "access.scope" if shown == other and theirs else "access.handed_out")
                if not modern:
                    listed = [held["taskId"] for held in who.result("tasks/list")["tasks"]]
                    equal(task in listed, shown in theirs, f"the list, {where}: {listed}")
            if shown not in theirs:
                reached = [message for message in server.heard[before:] if (message.get("params") or {}).get("taskId")]
                equal(reached, [], f"what of it reached the server, {where}")

    with client(key) as who:
        task = begun(who, f"{prefix}work", modern)
        refused(who.ask("tools/call", {"name": f"{prefix}other", "arguments": {}}), "access.scope")
    stands(task, (key, again))
    place.gateway.again()
    # What was handed out before is nobody's, so that nobody gets what is somebody else's.
    stands(task, ())
    with client(key) as who:
        anew = begun(who, f"{prefix}work", modern)
    stands(anew, (key, again))


def states(place, server, name, path):
    """Whose states are whose at one endpoint."""
    tool = f"{name}__ask" if path == "/mcp" else "ask"
    able = {"elicitation": {"form": {}}}
    ann, bob = place.made("mcp"), place.made("mcp", name="bob")
    with place.client(ann, path, MODERN, able) as owner, place.client(bob, path, MODERN, able) as thief:
        state = owner.result("tools/call", {"name": tool, "arguments": {}})["requestState"]
        again = {"name": tool, "arguments": {}, "requestState": state, "inputResponses": {"q": {"action": "accept", "content": {}}}}
        before = len(server.asked("tools/call"))
        refused(thief.ask("tools/call", again), "access.handed_out")
        refused(thief.ask("tools/call", again | {"requestState": "made up"}), "access.handed_out")
        equal(len(server.asked("tools/call")), before, "calls with it that reached the server")
        equal(owner.result("tools/call", again)["content"][0]["text"], "meant for ann", f"its owner, {path}")


def late(place, server, path, version):
    """A call whose key is revoked while the server works on it is not answered."""
    for revoked in (True, False):
        key = place.made("mcp")
        with place.client(key, path, version) as client:
            tool = "one__slow" if path == "/mcp" else "slow"
            client.tools()
            server.hold.clear()
            got, before = {}, len(server.asked("tools/call"))
            asking = threading.Thread(target=lambda: got.update(answer=ask(client, tool)))  # noqa: B023
            asking.start()
            end = time.monotonic() + 20
            while len(server.asked("tools/call")) == before and time.monotonic() < end:
                time.sleep(0.02)
            if revoked:
                place.key("revoke", key.split("_")[1])
            server.hold.set()
            asking.join()
            equal("did slow" in json.dumps(got["answer"]), not revoked, f"answered, {path} {version} {revoked}: {got}")
            equal(got["answer"] == 401, revoked, f"refused, {path} {version} {revoked}: {got}")
            client.session = None if revoked else client.session


def ask(client, tool):
    listener, id = client.request("tools/call", {"name": tool, "arguments": {}})
    return listener.answer(id) if client.status == 200 else client.status


def resumed(place, server, path):
    """A place in a stream is good for who was there."""
    tool, event = ("one__stream", "one/") if path == "/mcp" else ("stream", "")
    ann, bob = place.made("mcp"), place.made("mcp", name="bob")
    with place.client(ann, path) as owner, place.client(bob, path) as thief:
        listener, id = owner.request("tools/call", {"name": tool, "arguments": {"event": "e7"}})
        listener.answer(id)
        before = len(server.resumed)
        thief.tools()
        for last in (f"{event}e7", f"{event}e8"):
            connection, response = thief.raw("GET", None, {"Accept": "text/event-stream", "Last-Event-ID": last})
            body = response.read().decode()
            equal(response.status, 400, f"another one's place {last}: {body}")
            check("meant for ann" not in body, body)
            connection.close()
        equal(len(server.resumed), before, "what of it reached the server")
        connection, response = owner.raw("GET", None, {"Accept": "text/event-stream", "Last-Event-ID": f"{event}e7"})
        equal((response.status, "meant for ann" in response.read().decode()), (200, True), f"one's own place, {path}")
        connection.close()
