"""How many calls may be made, and how many may wait at once: exactly so many, and a place is free again whichever way
a call ends."""

import concurrent.futures
import json
import subprocess
import sys
import threading

from harness import HELLO, INITIALIZE, PATIENCE, PROGRAM, STATELESS, Case, Client, Server

TOOLS = [{"name": name, "inputSchema": {"type": "object", "properties": {"amount": {"type": "integer"}}}}
         for name in ("slow", "quick", "dies")]
DONE = {"content": [{"type": "text", "text": "done"}]}

# A server over stdio that answers what is slow once it is asked for what is quick.
OVER_STDIO = """
import json, sys
held = []
def say(id, result):
    print(json.dumps({"jsonrpc": "2.0", "id": id, "result": result}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    method, id = message["method"], message.get("id")
    if method == "initialize":
        say(id, HELLO)
    elif method == "tools/list":
        say(id, {"tools": TOOLS})
    elif method == "tools/call" and message["params"]["name"] == "slow":
        held.append(id)
    elif method == "tools/call":
        for each in held:
            say(each, DONE)
        held = []
        say(id, DONE)
    elif method == "notifications/cancelled" and message["params"]["requestId"] in held:
        held.remove(message["params"]["requestId"])
""".replace("HELLO", repr(HELLO)).replace("TOOLS", repr(TOOLS)).replace("DONE", repr(DONE))


class Caller:
    """A client of one endpoint and era that calls tools."""

    def __init__(self, case, path, stateless=False):
        self.client, self.stateless, self.next = Client(case, path), stateless, 100
        self.prefix = "one__" if path == "/mcp" else ""
        if not stateless:
            self.client.initialize()

    def open(self, tool, **arguments):
        """A call under way: its connection and its id."""
        self.next += 1
        name = self.prefix + tool
        params, headers = {"name": name, "arguments": arguments}, {}
        if self.stateless:
            meta = "io.modelcontextprotocol/"
            params["_meta"] = {meta + "protocolVersion": STATELESS, meta + "clientInfo": {"name": "suite", "version": "1"},
                               meta + "clientCapabilities": {}}
            headers = {"MCP-Protocol-Version": STATELESS, "Mcp-Method": "tools/call", "Mcp-Name": name}
        return self.client.open("POST", {"id": self.next, "method": "tools/call", "params": params}, headers), self.next

    def read(self, call):
        """What became of it: `done`, or the rule that it was refused by."""
        _, _, messages = self.client.read(call[0])
        answer = messages[-1] if messages else {}
        result = answer.get("result", {})
        return "done" if result.get("content") == DONE["content"] else result.get("_meta", {}).get("bartizan/rule", str(answer))

    def call(self, tool, **arguments):
        return self.read(self.open(tool, **arguments))

    def cancel(self, call):
        """Says, in the way of its era, that it does not wait any more."""
        if self.stateless:
            call[0].sock.close()
            call[0].close()
        else:
            self.client.send("POST", {"method": "notifications/cancelled", "params": {"requestId": call[1]}})


class Limits(Case):
    WAYS = [("/mcp/one", False), ("/mcp", False), ("/mcp/one", True), ("/mcp", True)]

    def upstream(self, more):
        # What is slow is answered once there is one of `one`, and what dies does so once `dies` is set.
        self.one, self.dies, self.waiting = threading.Semaphore(0), threading.Event(), []

        def answer(handler, message):
            method, params = message.get("method"), message.get("params", {})
            modern = "io.modelcontextprotocol/protocolVersion" in params.get("_meta", {})
            of_era = {"resultType": "complete"} if modern else {}
            if method == "initialize":
                return handler.json(message["id"], result=HELLO)
            if method == "server/discover":
                return handler.json(message["id"], result={**HELLO, **of_era, "supportedVersions": [STATELESS]})
            if method == "tools/list":
                return handler.json(message["id"], result={"tools": TOOLS, **of_era})
            if method != "tools/call":
                return handler.write(202)
            if params["name"] == "slow":
                self.waiting.append("slow")
                self.one.acquire()
            if params["name"] == "dies":
                self.waiting.append("dies")
                self.dies.wait(PATIENCE)
                handler.close_connection = True
                return None
            return handler.json(message["id"], result={**DONE, **of_era})

        server = Server(answer)
        # Of clients that have gone nothing else is expected.
        server.http.handle_error = lambda *_: None
        self.addCleanup(server.close)
        self.addCleanup(self.dies.set)
        self.addCleanup(lambda: self.one.release(10_000))
        self.serve(f'[server.one]\nurl = "{server.url}"\n{more}')

    def begun(self, caller, tool):
        """A call that has arrived at the server."""
        before = len(self.waiting)
        call = caller.open(tool)
        self.until(lambda: len(self.waiting) > before, "the call does not arrive")
        return call

    def test_a_place_is_free_again_whichever_way_a_call_ends(self):
        self.upstream("[guard.rate]\nin_flight_per_tool = 2\nin_flight_per_principal = 3\n")
        for path, stateless in self.WAYS:
            with self.subTest(path=path, stateless=stateless):
                caller, other = Caller(self, path, stateless), Caller(self, "/mcp/one")
                calls = [self.begun(caller, "slow") for _ in range(2)]
                self.assertEqual(caller.call("slow"), "rate.in_flight_tool")
                self.assertEqual(other.call("slow"), "rate.in_flight_tool", "it is the principal's, not the session's")
                self.assertEqual(caller.call("quick"), "done", "another tool")
                self.assertNotEqual(caller.call("slow", amount="no number"), "done")
                more = self.begun(caller, "dies")
                self.assertEqual(caller.call("quick"), "rate.in_flight_principal")
                # Lists take no place.
                status, _, _ = caller.client.stateless() if stateless else other.client.send("POST", {"id": 9, "method": "tools/list"})
                self.assertEqual(status, 200)
                self.dies.set()
                self.assertNotEqual(caller.read(more), "done")
                self.dies.clear()
                self.assertEqual(caller.call("quick"), "done", "its server has gone")
                caller.cancel(calls.pop())
                self.until(lambda: caller.call("quick") == "done" and not self.full(caller, calls), "it was cancelled")
                self.assertEqual(caller.call("slow"), "rate.in_flight_tool")
                self.one.release(3)
                # The one that was cancelled is read by nobody.
                self.assertEqual([caller.read(call) for call in calls], ["done", "done"])
                calls = [self.begun(caller, "slow") for _ in range(2)]
                self.assertEqual(caller.call("slow"), "rate.in_flight_tool", "answered is answered, and no more than that")
                self.one.release(2)
                self.assertEqual([caller.read(call) for call in calls], ["done", "done"])

    def full(self, caller, calls):
        """Whether there is no place for one more; if there is, it is taken."""
        before, call = len(self.waiting), caller.open("slow")
        call[0].sock.settimeout(0.2)
        while len(self.waiting) == before:
            try:
                if call[0].sock.recv(1):
                    call[0].close()
                    return True
            except TimeoutError:
                pass
        call[0].sock.settimeout(PATIENCE)
        calls.append(call)
        return False

    def test_never_more_wait_than_may_however_many_try_at_once(self):
        self.upstream("[guard.rate]\nin_flight_per_tool = 5\n")
        callers = [Caller(self, *way) for way in self.WAYS * 6]
        callers[0].call("quick")
        with concurrent.futures.ThreadPoolExecutor(len(callers)) as pool:
            tried = [pool.submit(caller.call, "slow") for caller in callers]
            self.until(lambda: len(self.waiting) == 5 and sum(map(concurrent.futures.Future.done, tried)) == len(callers) - 5,
                       "not as many wait as may, or the others do as well")
            self.one.release(5)
            became = [each.result() for each in tried]
        self.assertEqual((became.count("done"), became.count("rate.in_flight_tool")), (5, len(callers) - 5))
        self.assertEqual(len(self.waiting), 5)

    def test_exactly_as_many_calls_pass_as_may_however_many_try_at_once(self):
        self.upstream('[guard.rate]\nper_tool = "37/d"\n')
        callers = [Caller(self, *way) for way in self.WAYS * 3]
        with concurrent.futures.ThreadPoolExecutor(len(callers)) as pool:
            became = [each for all in pool.map(lambda caller: [caller.call("quick") for _ in range(8)], callers) for each in all]
        self.assertEqual((became.count("done"), became.count("rate.tool")), (37, len(became) - 37))

    def test_where_it_is_only_observed_it_passes_and_is_recorded(self):
        self.upstream('[guard.rate]\nin_flight_per_tool = 1\nservers.one.action = "observe"\n')
        caller = Caller(self, "/mcp/one")
        calls = [self.begun(caller, "slow") for _ in range(2)]
        self.one.release(2)
        self.assertEqual([caller.read(call) for call in calls], ["done", "done"])
        found = [finding["rule"] for entry in self.entries(kind="message") for finding in entry.get("findings", [])]
        self.assertEqual([rule for rule in found if rule.startswith("rate.")], ["rate.in_flight_tool"])

    def test_they_hold_over_stdio_as_well(self):
        self.configure("[guard.rate]\nin_flight_per_tool = 2\n")
        wrapped = subprocess.Popen([PROGRAM, "run", "--allow-unconfined", "--standalone", "--config", self.file, "--", sys.executable, "-c", OVER_STDIO],
                                   env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(wrapped.wait, PATIENCE)
        self.addCleanup(wrapped.stdout.close)
        self.addCleanup(wrapped.stdin.close)

        def say(**message):
            wrapped.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            wrapped.stdin.flush()

        def call(id, tool="slow"):
            say(id=id, method="tools/call", params={"name": tool, "arguments": {}})

        def heard():
            answer = json.loads(wrapped.stdout.readline())
            return answer["id"], answer["result"].get("_meta", {}).get("bartizan/rule", "done")

        say(id=1, method="initialize", params=INITIALIZE)
        heard()
        say(method="notifications/initialized")
        call(2), call(3), call(4)
        self.assertEqual(heard(), (4, "rate.in_flight_tool"))
        say(method="notifications/cancelled", params={"requestId": 2})
        call(5), call(6)
        self.assertEqual(heard(), (6, "rate.in_flight_tool"), "one was cancelled, so there is a place for one")
        call(7, "quick")
        self.assertEqual([heard() for _ in range(3)], [(3, "done"), (5, "done"), (7, "done")])
        call(8), call(9), call(10)
        self.assertEqual(heard(), (10, "rate.in_flight_tool"))
