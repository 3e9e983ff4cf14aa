"""Many messages, large ones, and clients that read late: nothing is lost, doubled or put in another order."""

import threading

from lab import time
from process import ODD, WAYS, call, start, text

MANY = 10_000
WINDOW = 500


def cases(the_lab, report):
    checks = (many_calls, many_notifications, late_reader, large_messages, too_many_at_once, cancelled_calls)
    report.each(the_lab, "volume", checks, WAYS)


def many_calls(home, options):
    """Ten thousand calls and their answers, all in order, each recorded once."""
    with start(home, options, ODD) as server:
        server.initialize()
        for first in range(1, MANY + 1, WINDOW):
            server.send(*(call(id, "echo", text=f"number {id}") for id in range(first, first + WINDOW)))
            server.answer(first + WINDOW - 1)
        answers = [message for message in server.said() if message["id"] != 0]
        assert [message["id"] for message in answers] == list(range(1, MANY + 1))
        assert all(text(message) == f"number {message['id']}" for message in answers)
        server.process.stdin.close()
        assert server.ended() == 0
    wanted = [str(id) for id in range(1, MANY + 1)]
    for direction, form in (("to_server", "request"), ("to_client", "result")):
        recorded = [entry["request"] for entry in home.messages(kind="message", direction=direction, form=form)]
        # Before the first call the gateway lists the tools itself.
        own = [id for id in recorded if id.startswith("bartizan/")]
        assert len(own) == 1 and own[0].startswith("bartizan/tools/0/"), f"{direction}: {own}"
        recorded = [id for id in recorded if id not in own]
        assert recorded[1:] == wanted, f"{direction}: {len(recorded)} are recorded"
    for log in home.logs():
        assert home.cli("audit", "verify", str(log)).returncode == 0


def many_notifications(home, options):
    """What a server sends unasked arrives in order, before the answer that follows it."""
    with start(home, options, ODD) as server:
        server.initialize()
        server.ask(1, "tools/call", name="flood", arguments={"count": MANY})
        said = server.said()[1:]
        assert [message["params"]["data"] for message in said[:-1]] == list(range(MANY))
        assert said[-1]["id"] == 1
    notes = home.messages(kind="message", direction="to_client", form="notification")
    assert len(notes) == MANY, len(notes)


def late_reader(home, options):
    """A client that does not read for a while gets everything afterwards."""
    count, words = 2000, "x" * 4000
    with start(home, options, ODD, read=False) as server:
        send = lambda: server.send(*(call(id, "echo", text=f"{id} {words}") for id in range(1, count + 1)))
        sending = threading.Thread(target=send, daemon=True)
        sending.start()
        # Long enough for every buffer on the way to be full; nothing is asserted about it.
        time.sleep(2)
        server.read()
        server.answer(count)
        said = server.said()
        assert [message["id"] for message in said] == list(range(1, count + 1))
        assert all(text(message) == f"{message['id']} {words}" for message in said)


def large_messages(home, options):
    """Five megabytes go through; more than the limit is refused, and the next message is not harmed."""
    with start(home, options, ODD) as server:
        server.initialize()
        words = "many words " * 500_000
        assert text(server.ask(1, "tools/call", name="echo", arguments={"text": words})) == words
        server.send(call(2, "echo", text="y" * 11_000_000))
        refused = server.until(lambda said: [m for m in said if "error" in m], "refusal")
        assert refused[0]["id"] == 2, refused
        assert text(server.ask(3, "tools/call", name="echo", arguments={"text": "small"})) == "small"
    assert len(home.messages(kind="unreadable", rule="conformance.size")) == 1, home.messages(kind="unreadable")


def too_many_at_once(home, options):
    """Calls beyond what is kept in mind are answered with an error, and every other one by the server."""
    count = 4500
    with start(home, options, ODD) as server:
        server.initialize()
        server.send(*(call(id, "hold") for id in range(1, count + 1)))
        server.answer(count)
        server.send({"jsonrpc": "2.0", "method": "notifications/release"})
        answers = server.until(lambda said: len(said) > count and said[1:], "answer to every call")
        refused = [message for message in answers if message["result"].get("isError")]
        served = [message for message in answers if message not in refused]
        assert sorted(message["id"] for message in answers) == list(range(1, count + 1))
        assert len(served) == 4096 and all(text(message) == "released" for message in served), len(served)
        assert all("too many" in text(message) for message in refused)


def cancelled_calls(home, options):
    """Calls that were cancelled, and so are never answered, do not use up the room for others."""
    count = 6000
    with start(home, options, ODD) as server:
        server.initialize()
        for id in range(1, count + 1):
            cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}
            server.send(call(id, "hold"), cancel)
        answer = server.ask(count + 1, "tools/call", name="echo", arguments={"text": "room"})
        assert text(answer) == "room", answer
        assert len(server.said()) == 2, server.said()[:3]
