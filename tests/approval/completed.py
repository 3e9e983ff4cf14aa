"""Clients of 2025-11-25 that were sent to a page are told once somebody has decided there, and nobody else is."""

import json
import time

from harness import FIXTURE, check, equal
from place import BY_URL, PAGES, POLICIES, Place, passes, refused

COMPLETE = "notifications/elicitation/complete"
ECHOES = POLICIES + '@challenge("approval") forbid(principal, action == Mcp::Action::"local/echo", resource) when { context.input.text like "pay *" };'


def told(stream, elicitation):
    """That the stream says so, and says it once."""
    message = stream.method(COMPLETE)
    equal(message, {"jsonrpc": "2.0", "method": COMPLETE, "params": {"elicitationId": elicitation}})


def case_who_was_sent_to_a_page_is_told_once_somebody_has_decided():
    """Decisions by command, so that no browser is needed; each leads to a message on the stream of who asked, and to no other."""
    local = f"[server.local]\ncommand = [{json.dumps(str(FIXTURE))}, \"--stdio\"]\n"
    with Place(PAGES + local, policies=ECHOES) as place:
        place.run("user", "add", "ann")
        # A server with a stream of its own; the same among others; and one that has none.
        for path, tool in (("/mcp/local", "echo"), ("/mcp", "local__echo"), ("/mcp", "bank__pay")):
            with place.client("ann", path, capabilities=BY_URL) as ann, place.client("ann", path, capabilities=BY_URL) as other:
                def ask(client, number):
                    given = {"amount": number} if tool.endswith("pay") else {"text": f"pay {number}"}
                    return client.ask("tools/call", {"name": tool, "arguments": given})

                def sent(client, number):
                    [one] = ask(client, number)["error"]["data"]["elicitations"]
                    return one["elicitationId"]

                ann.tools()
                other.tools()
                stream, elsewhere = ann.listen(), other.listen()
                base = 1000 + 100 * len(tool)
                first, second = sent(ann, base), sent(ann, base + 1)
                place.approve(first)
                told(stream, first)
                passes(ask(ann, base))
                place.deny(second)
                told(stream, second)
                refused(ask(ann, base + 1), "was denied")
                # What was decided while nobody listened is told when somebody does again.
                stream.close()
                third = sent(ann, base + 2)
                place.approve(third)
                # Longer than it is looked for: nobody has taken it for a stream that is gone.
                time.sleep(1.5)
                stream = ann.listen()
                told(stream, third)
                # Two sessions that asked for the same are both told; one that did not is told nothing.
                equal(sent(other, base + 3), sent(ann, base + 3))
                place.approve(sent(other, base + 3))
                for listening in (stream, elsewhere):
                    check(listening.method(COMPLETE)["params"]["elicitationId"], "both are told")
                others = [message["params"]["elicitationId"] for message in elsewhere.seen if message.get("method") == COMPLETE]
                equal(len(others), 1, "of what it was sent to, and once")
                check(first not in others and second not in others, "not of another session's")
                entries = [entry for entry in place.gateway.entries(kind="own") if entry.get("method") == COMPLETE]
                check(entries, "what is told is in the log")
        with place.client("ann", "/mcp/local") as plain:
            stream = plain.listen()
            answer = plain.ask("tools/call", {"name": "echo", "arguments": {"text": "pay 9"}})
            check("error" not in answer, "it cannot be sent anywhere")
            [held] = [id for id, state in place.states().items() if state == "pending"]
            place.approve(held)
            passes(plain.ask("tools/call", {"name": "echo", "arguments": {"text": "pay 9"}}))
            equal([message for message in stream.seen if message.get("method") == COMPLETE], [], "nor told of it")
