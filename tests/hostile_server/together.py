"""The same hostile servers as a part of `/mcp`, beside honest ones: in the very session in which one attacks, the others
answer, and what it says of their affairs does not arrive."""

import json
import pathlib
import sys
import threading

import harness
import hostile_http
from harness import Client, Gateway, Suite, Twin, check, wait_for
from payloads import PAYLOADS

# A flood has to fit in while the other servers answer, on a machine that does other things.
SILENCE, LONGEST = 5, 20
PATIENCE = 3 * LONGEST


def run(before, case_type, port, honest, tables) -> int:
    """Runs all of them with a gateway of their own, and counts them with those of the suite before."""
    http, stdio, also = tables
    with harness.tempfile.TemporaryDirectory() as folder:
        chosen = pathlib.Path(folder, "chosen")
        chosen.write_text("fine")
        command = json.dumps([sys.executable, str(pathlib.Path(__file__).with_name("hostile_stdio.py")), f"@{chosen}"])
        gateway = Gateway(
            f'[limits]\nrequest_timeout = "{LONGEST}s"\n' + harness.honest_config(honest)
            + f'[server.hostile]\nurl = "http://127.0.0.1:{port}/chosen"\ntimeout = "{SILENCE}s"\n'
            + f'[server.hostile-stdio]\ncommand = {command}\ntimeout = "{SILENCE}s"\n')
        try:
            suite = Suite(gateway, Twin(gateway, [None, "honest"]), before.chosen)
            suite.passed, suite.failed = before.passed, before.failed
            suite.twin.check_moves()

            def attack(server, name, rule, told=True):
                hostile_http.CHOSEN = name
                chosen.write_text(name)
                Together(case_type)(gateway, server, rule, also.get(name), told)

            for name, rule in http.items():
                suite.run(f"together http {name}", lambda: attack("hostile", name, rule))
            for name, rule in stdio.items():
                suite.run(f"together stdio {name}", lambda: attack("hostile-stdio", name, rule))
            for name, payload in PAYLOADS.items():
                rule, told = payload.rule, payload.told
                over_http = "upstream.too_large" if rule == "conformance.size" else rule
                suite.run(f"together event {name}", lambda: attack("hostile", f"{name}-event", over_http, told))
            return suite.finish()
        finally:
            gateway.close()


class Together:
    """One attack in a session with all servers."""

    def __init__(self, case_type):
        self.case_type = case_type

    def __call__(self, gateway, server, rule, also, told):
        case = self.case_type(gateway, None, rule, also, told, prefix=f"{server}__")
        with Client(gateway, None, PATIENCE) as client:
            reply, id = client.request("tools/list")
            names = {tool["name"] for tool in reply.answer(id)["result"]["tools"]}
            check({"honest__echo", "honest-stdio__echo", "hostile__good"} <= names, f"all list {names}")
            wait_for(lambda: self.has_good(client, server), "the honest tool of the hostile server")
            since, beside = len(gateway.entries()), Beside(client)
            wait_for(lambda: beside.is_under_way(gateway.entries()[since:]), "the call of an honest server is not under way")
            reply, id = client.request("tools/call", {
                "name": f"{server}__evil", "arguments": {}, "_meta": {"progressToken": "own"}})
            case.judge(reply.answer(id), reply)
            check('"other"' not in json.dumps(reply.messages), f"progress of another server's call: {reply.messages}")
            check(len([m for m in reply.messages if "method" not in m]) == 1, f"answers to nothing: {reply.messages}")
            beside.check()
            case.check_log(since)
            # The others in the same session, at once.
            for honest in ("honest", "honest-stdio"):
                answer = client.call(f"{honest}__echo", {"text": "still here"})
                check(answer["result"]["content"][0]["text"] == "still here", f"{honest}: {answer}")
        # The hostile one in a new session: a process that hangs does so to the end of its own.
        with Client(gateway, None) as client:
            wait_for(lambda: self.has_good(client, server), "the hostile server's honest tool afterwards", 60)

    def has_good(self, client, server):
        result = client.call(f"{server}__good").get("result", {})
        return not result.get("isError") and result["content"][0]["text"] == "fine"


class Beside:
    """A call of an honest server under way in the session while another server attacks."""

    def __init__(self, client):
        self.client, self.reply = client, None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        self.reply = self.client.post({"jsonrpc": "2.0", "id": "beside", "method": "tools/call", "params": {
            "name": "honest__echo", "arguments": {"text": "beside", "wait": 0.5}, "_meta": {"progressToken": "other"}}})

    @staticmethod
    def is_under_way(entries):
        return any(entry.get("request") in ('"beside"', "beside") and entry.get("direction") == "to_server" for entry in entries)

    def check(self):
        self.thread.join(harness.PATIENCE)
        check(self.reply is not None, "the call of an honest server has no answer")
        check(self.reply.answer("beside")["result"]["content"][0]["text"] == "beside", f"{self.reply.messages}")
        check(len(self.reply.messages) == 1, f"more than its answer: {self.reply.messages}")
