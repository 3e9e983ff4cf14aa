"""`bartizan run --bridge` in front of servers that do not read or answer: what waits is bounded, and what it waits for comes through."""

import json
import os
import pathlib
import signal

import lab
from bridged import MEMORY, VERSION, modern, request, shake_hands
from process import WAYS, call, start, text

MIB = 1024 * 1024
# What bartizan may take at any moment (a debug build; a release takes less), with what detection keeps ready, and what a client
# tries to make it take.
MEMORY_BOUND, FLOOD = 112 * MIB, 300 * MIB
LARGE = "x" * MIB


def cases(the_lab, report):
    for era in (Down, Up):
        checks = (flood, flood_and_signal, full, many_calls, large_questions)
        ways = {f" ({era.__name__.lower()}){way}": [era, *options] for way, options in WAYS.items()}
        report.each(the_lab, "waiting", checks, ways)
    report.each(the_lab, "waiting", (burst,), WAYS)


class Down:
    """A stateless client in front of a legacy server."""

    idle = "wait"

    def command(home):
        return MEMORY

    def greet(server):
        server.send(request("hello", "server/discover"))
        server.answer("hello")

    def call(id, tool, **arguments):
        return request(id, "tools/call", name=tool, arguments=arguments)

    def large(id, until):
        return Down.call(id, "deaf", until=str(until), text=LARGE)

    def ask(server, id, size=0):
        """Has a call ask something; returns what answers it, and how to tell that it was answered."""
        server.send(Down.call(id, "ask", size=size))
        asked = server.answer(id)["result"]
        (key,) = asked["inputRequests"]
        answers = {"requestState": asked["requestState"], "inputResponses": {key: {"action": "accept", "content": {"name": "Ada"}}}}
        retry = request(f"{id} again", "tools/call", name="ask", arguments={"size": size}, **answers)
        return retry, lambda: "Ada" in text(server.answer(f"{id} again"))


class Up:
    """A legacy client in front of a stateless server."""

    idle = "slow"
    command = staticmethod(modern)
    call = staticmethod(call)
    greet = staticmethod(shake_hands)

    def large(id, until):
        """Calls are bounded by the bridge, which refuses what is too much; nothing else bounds what needs no answer."""
        return {"jsonrpc": "2.0", "method": "notifications/x", "params": {"text": LARGE}}

    def ask(server, id, size=0):
        questions = lambda said: [m for m in said if m.get("method") == "elicitation/create"]
        before = len(questions(server.said()))
        server.send(call(id, "ask", size=size))
        question = server.until(lambda said: questions(said)[before:], "question")[0]
        answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": {"name": "Ada"}}}
        return answer, lambda: "Ada" in text(server.answer(id))


def begun(home, era, options):
    server = start(home, [*options, "--bridge"], era.command(home))
    era.greet(server)
    return server


def peak(home, options, server):
    """The most memory that the process in question has taken beside its code, of which builds without optimisation have more."""
    pid = server.process.pid if options else home.daemon_pid()
    status = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    taken, code = (next(int(line.split()[1]) * 1024 for line in status if line.startswith(name)) for name in ("VmHWM:", "RssFile:"))
    return taken - code


def pour(server, era, until):
    """Has the server read nothing and writes until nothing is taken any more, or it is much; returns how much it was, how
    many messages, and the rest of the last."""
    server.send(era.call("deaf", "deaf", until=str(until)))
    file = server.process.stdin.fileno()
    os.set_blocking(file, False)
    written = stuck = count = 0
    rest = b""
    while written < FLOOD and stuck < 40:
        if not rest:
            rest = json.dumps(era.large(count, until)).encode() + b"\n"
            count += 1
        try:
            sent = os.write(file, rest)
            rest, written, stuck = rest[sent:], written + sent, 0
        except BlockingIOError:
            stuck += 1
            lab.time.sleep(0.05)
    os.set_blocking(file, True)
    return written, count, rest


def flood(home, options):
    """A client has to wait before a server that stops reading and cannot fill memory; whatever it has said is worked on."""
    era, *options = options
    until = home.path / "read"
    with begun(home, era, options) as server:
        written, count, rest = pour(server, era, until)
        assert peak(home, options, server) < MEMORY_BOUND, peak(home, options, server) / MIB
        assert written < FLOOD / 2, written
        until.touch()
        server.process.stdin.write(rest)
        server.send(era.call("last", "deaf", until="/"))
        wanted = ["deaf", "last", *(range(count) if era is Down else ())]
        refused = [answer for answer in map(server.answer, wanted) if answer["result"].get("isError")]
        assert not refused, refused[:1]
        server.process.stdin.close()
        assert server.ended() == 0
    recorded = [entry for entry in home.messages(kind="message", direction="to_server", decision="allow") if entry["bytes"] > MIB]
    assert len(recorded) == count, (len(recorded), count)


def flood_and_signal(home, options):
    """A signal reaches the server all the same, and ends everything."""
    era, *options = options
    with begun(home, era, options) as server:
        pour(server, era, home.path / "never")
        server.process.send_signal(signal.SIGTERM)
        assert server.ended() == 143, server.process.returncode


def full(home, options):
    """While there is no more room, answers to questions and cancellations come through; then there is room again."""
    era, *options = options
    with begun(home, era, options) as server:
        answer, is_answered = era.ask(server, "ask")
        idle = range(34)
        server.send(*(era.call(id, era.idle, text=LARGE) for id in idle), answer)
        assert is_answered()
        server.send(*({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}} for id in idle))
        server.send(era.call("late", "deaf", until="/", text=LARGE))
        assert not server.answer("late")["result"].get("isError"), server.said()[-1]
        refused = [message for message in server.said() if message.get("id") in idle]
        assert era is Up or not refused, refused[:1]
        assert peak(home, options, server) < MEMORY_BOUND, peak(home, options, server) / MIB
        server.process.stdin.close()
        assert server.ended() == 0


def many_calls(home, options):
    """Many calls of ordinary size are all answered."""
    era, *options = options
    count, window = 1000, 100
    with begun(home, era, options) as server:
        for first in range(0, count, window):
            ids = range(first, first + window)
            server.send(*(era.call(id, "deaf", until="/", text="x" * 1000) for id in ids))
            assert not [id for id in ids if server.answer(id)["result"].get("isError")]
        server.process.stdin.close()
        assert server.ended() == 0


def large_questions(home, options):
    """What a server asks is kept within a bound until it is answered; questions of ordinary size find room beside it."""
    era, *options = options
    large = 9 * MIB
    with begun(home, era, options) as server:
        waiting = [era.ask(server, "large", large), era.ask(server, "small")]
        server.send(era.call("more", "ask", size=large))
        assert "takes too much memory until the client answers" in text(server.answer("more")), server.said()[-1]
        for answer, is_answered in waiting:
            server.send(answer)
            assert is_answered()
        answer, is_answered = era.ask(server, "later", large)
        server.send(answer)
        assert is_answered()
        server.process.stdin.close()
        assert server.ended() == 0
    assert len(home.messages(kind="upstream.failed", rule="bridge.too_much")) == 1


def burst(home, options):
    """More than there is room for is worked on as room comes free."""
    with begun(home, Down, options) as server:
        server.send(*(Down.call(id, "deaf", until="/", text=LARGE) for id in range(50)))
        assert not [id for id in range(50) if server.answer(id)["result"].get("isError")]
        assert peak(home, options, server) < MEMORY_BOUND, peak(home, options, server) / MIB
