"""A server that crashes in the middle of a conversation is started again, if it is still the one the client knows."""

import signal

from lab import wait_for
from process import ODD, WAYS, call, start, text


def cases(the_lab, report):
    checks = (after_a_crash, switched_off, not_after_a_normal_end, not_before_the_handshake, not_when_told_to_end,
              another_server, gives_up, calls_meanwhile, stateless)
    report.each(the_lab, "restart", checks, WAYS)


def odd(home, *arguments):
    return [*ODD, "--starts", str(home.path / "starts"), *arguments]


def starts(home):
    return len((home.path / "starts").read_text().splitlines())


def die(id, **how):
    return call(id, "die", **how)


def after_a_crash(home, options):
    """The client sees one failed call; the new server has heard what the old one had."""
    with start(home, options, odd(home)) as server:
        server.initialize()
        for round, how in enumerate(({"status": 9}, {"signal": signal.SIGKILL.value})):
            base = 10 * (round + 1)
            server.send(call(base, "hold"), die(base + 1, words=["no more"], **how))
            for id in (base, base + 1):
                answer = server.answer(id)
                assert answer["result"]["isError"] and "no more" in text(answer), answer
            assert text(server.ask(base + 2, "tools/call", name="echo", arguments={"text": "again"})) == "again"
            seen = text(server.ask(base + 3, "tools/call", name="seen", arguments={}))
            assert seen == '["initialize", "notifications/initialized", "tools/call", "tools/call"]', seen
        assert starts(home) == 3
        # Nothing of the second handshake, and nothing invented, has reached the client.
        assert sorted(message["id"] for message in server.said()) == [0, 10, 11, 12, 13, 20, 21, 22, 23], server.said()
        server.process.stdin.close()
        assert server.ended() == 0
        assert "started again" in server.complaint()
    for direction, form in (("to_server", "request"), ("to_client", "result")):
        judged = home.messages(kind="message", direction=direction, form=form, method="initialize")
        assert len(judged) == 3, judged
    assert len({entry["session"] for entry in home.messages(kind="message")}) == 1
    for log in home.logs():
        assert home.cli("audit", "verify", str(log)).returncode == 0


def switched_off(home, options):
    with start(home, [*options, "--no-restart"], odd(home)) as server:
        server.initialize()
        server.send(die(1, status=9))
        assert server.answer(1)["result"]["isError"]
        assert server.ended() == 9
    assert starts(home) == 1


def not_after_a_normal_end(home, options):
    with start(home, options, odd(home)) as server:
        server.initialize()
        server.send(die(1, status=0))
        assert server.answer(1)["result"]["isError"]
        assert server.ended() == 0
    assert starts(home) == 1


def not_before_the_handshake(home, options):
    """Until the client knows the server there is nothing to go on with."""
    with start(home, options, odd(home)) as server:
        server.ask(0, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "x", "version": "1"})
        server.send(die(1, status=9))
        assert server.ended() == 9
    assert starts(home) == 1


def not_when_told_to_end(home, options):
    for number in (signal.SIGTERM, signal.SIGINT):
        before = starts(home) if (home.path / "starts").exists() else 0
        with start(home, options, odd(home)) as server:
            server.initialize()
            server.process.send_signal(number)
            assert server.ended() == 128 + number or number == signal.SIGINT, server.process.returncode
            assert server.process.returncode != 0
        assert starts(home) == before + 1
    # Also in the pause before the next attempt.
    with start(home, options, odd(home, "--crash-from", str(starts(home) + 2))) as server:
        server.initialize()
        server.send(die(1, status=9))
        wait_for(lambda: "(2 of 5)" in server.complaint(), "the second attempt")
        server.process.terminate()
        assert server.ended() == 7, server.process.returncode
        assert "(5 of 5)" not in server.complaint()


def another_server(home, options):
    """What comes back with another version is not what the client has met."""
    with start(home, options, odd(home, "--versions", "1,1,2")) as server:
        server.initialize()
        server.send(die(1, status=9))
        server.answer(1)
        assert text(server.ask(2, "tools/call", name="echo", arguments={"text": "same"})) == "same"
        server.send(die(3, status=9))
        server.answer(3)
        assert server.ended() == 9, server.process.returncode
        assert "another server" in server.complaint(), server.complaint()
        assert [message["id"] for message in server.said()] == [0, 1, 2, 3]
    assert starts(home) == 3


def gives_up(home, options):
    """After five attempts in a row the server's own status is ours."""
    where = "handshake" if options else "start"
    with start(home, options, odd(home, "--crash-from", "2", "--crash-in", where)) as server:
        server.initialize()
        server.send(die(1, status=9))
        assert server.ended() == 7, server.process.returncode
        complaint = server.complaint()
        for attempt, seconds in enumerate(("0.5", "1", "2", "4", "8"), 1):
            assert f"in {seconds} s ({attempt} of 5)" in complaint, complaint
        assert [message["id"] for message in server.said()] == [0, 1]
    assert starts(home) == 6


def calls_meanwhile(home, options):
    """A call that comes while there is no server waits for the next one."""
    with start(home, options, odd(home)) as server:
        server.initialize()
        server.send(die(1, status=9))
        server.answer(1)
        wait_for(lambda: "(1 of 5)" in server.complaint(), "the pause")
        server.send(*(call(id, "echo", text=f"late {id}") for id in range(2, 102)))
        server.answer(101)
        answers = [message for message in server.said() if message["id"] > 1]
        assert [text(message) for message in answers] == [f"late {id}" for id in range(2, 102)], answers


def stateless(home, options):
    """Without a handshake there is nothing to repeat."""
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    with start(home, options, odd(home)) as server:
        ask = lambda id, **params: server.ask(id, "tools/call", _meta=meta, **params)
        assert text(ask(1, name="echo", arguments={"text": "one"})) == "one"
        assert ask(2, name="die", arguments={"status": 3})["result"]["isError"]
        assert text(ask(3, name="seen", arguments={})) == '["tools/call"]'
        server.process.stdin.close()
        assert server.ended() == 0
    assert starts(home) == 2
