#!/usr/bin/env python3
"""Servers that know only HTTP+SSE, the transport of 2024-11-05: they are reached, and what can be wrong with one is met.

`run.py NAME…` runs the cases whose names contain NAME. Real servers on this transport are in `tests/real`, group `same`.
"""

import concurrent.futures
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "hostile"), str(HERE)]

import harness  # noqa: E402
from harness import Client, Failed, Gateway, Suite, Twin, check, wait_for  # noqa: E402
from server import OldServer  # noqa: E402

# What the tool `attack` of each comes to: the rule that the client is told of, or the text of the result.
CALLS = {
    "honest": "nothing odd", "absolute": "nothing odd", "other-kinds": "after all",
    "dies": "upstream.broken_off", "wrong-id": "upstream.timeout", "duplicate-key": "conformance.duplicate_key",
    "large": "upstream.too_large", "refuses": "upstream.status",
}
# Where no session begins, and why.
BEGINNINGS = {
    "elsewhere": "upstream.status", "other-host": "upstream.status", "with-user": "upstream.status",
    "message-first": "upstream.status", "silent": "upstream.status", "nothing": "upstream.status",
    "not-allowed": "upstream.status",
}
MORE = ["reports", "asks"]


class Cases:
    def __init__(self, gateway, old):
        self.gateway, self.old = gateway, old

    def calls(self, behaviour, expected):
        """The honest tool, the one that attacks, and a new session after it."""
        with Client(self.gateway, behaviour) as client:
            self.echo(client, "before")
            answer = client.call("attack")["result"]
            said = answer["content"][0]["text"]
            if "." not in expected:
                check(said == expected and not answer.get("isError"), f"{answer}")
            else:
                check(answer.get("isError") and f"({expected})" in said, f"not {expected}: {answer}")
            if behaviour in ("dies", "large"):
                gone = lambda: client.request("ping")[0].status == 404
                wait_for(gone, "a session without its stream is not over")
        with Client(self.gateway, behaviour) as client:
            self.echo(client, "after")
        keys = {headers.get("x-key") for name, _, headers in self.old.seen if name == behaviour}
        check(keys == {"the key"}, f"the operator's header is missing: {keys}")

    def echo(self, client, text):
        answer = client.call("echo", {"text": text})
        check(answer["result"]["content"][0]["text"] == text, f"echo: {answer}")

    def refused(self, behaviour, rule):
        since = len(self.gateway.entries())
        try:
            Client(self.gateway, behaviour).initialize()
        except Failed:
            pass
        else:
            raise Failed("a session began")
        self.gateway.wait_recorded(since, rule, rule=rule)
        forbidden = [seen for seen in self.old.seen if seen[0] == "stolen"]
        check(not forbidden, f"the gateway asked where the server sent it: {forbidden}")
        posted = [session.received for session in self.old.of(behaviour)]
        check(not any(posted), f"a message arrived: {posted}")

    def reports(self):
        with Client(self.gateway, "reports") as client:
            params = {"name": "attack", "arguments": {}, "_meta": {"progressToken": "p"}}
            reply, id = client.request("tools/call", params)
            steps = [message["params"]["progress"] for message in reply.messages if message.get("method") == "notifications/progress"]
            check(steps == [1, 2], f"progress: {reply.messages}")
            check(reply.answer(id)["result"]["content"][0]["text"] == "done", f"{reply.messages}")

    def asks(self):
        """A question of the server's reaches the client, and the answer the server."""
        with Client(self.gateway, "asks") as client:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                call = pool.submit(client.call, "attack")
                asked = self.gateway.wait_recorded(0, "the question", method="sampling/createMessage", direction="to_client")
                check(asked[0]["decision"] == "allow", f"{asked}")
                answer = {"role": "assistant", "model": "m", "content": {"type": "text", "text": "hello"}}
                reply = client.post({"jsonrpc": "2.0", "id": "q", "result": answer})
                check(reply.status == 202, f"the answer is not taken: {reply.status} {reply.messages}")
                said = call.result(harness.PATIENCE)["result"]["content"][0]["text"]
            check("hello" in said, f"the server got {said}")

    def aggregate(self):
        """Beside others at `/mcp`, and back after its stream ended."""
        with Client(self.gateway, "") as client:
            for _ in range(2):
                answer = client.call("honest-old__echo", {"text": "hi"})
                check(answer["result"]["content"][0]["text"] == "hi", f"{answer}")
                self.old.of("honest-old")[-1].close()
                wait_for(lambda: "error" not in client.call("honest-old__echo", {"text": "again"}), "it does not come back")


def main():
    process, url, _ = harness.honest_server()
    old = OldServer()
    behaviours = [*CALLS, *BEGINNINGS, *MORE, "honest-old"]
    gateway = Gateway(harness.honest_config(url).replace("[server.honest]", "[server.twin]") + old.config(behaviours))
    try:
        suite = Suite(gateway, Twin(gateway, ["twin"]), sys.argv[1:])
        cases = Cases(gateway, old)
        for name, expected in CALLS.items():
            suite.run(name, lambda: cases.calls(name, expected))
        for name, rule in BEGINNINGS.items():
            suite.run(name, lambda: cases.refused(name, rule))
        for case in (cases.reports, cases.asks, cases.aggregate):
            suite.run(case.__name__, case)
        return suite.finish()
    finally:
        gateway.close()
        process.kill()


if __name__ == "__main__":
    sys.exit(main())
