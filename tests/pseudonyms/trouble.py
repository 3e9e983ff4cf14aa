"""The vault in trouble: servers that fill it, files that go away or take nothing more, restarts, and other guards beside it."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import threading

from harness import BINARY, MODERN, Raw, check, equal, wait_for

LEGACY = "2025-11-25"


def run():
    """The suite that this is a part of, which is the program."""
    import __main__
    return __main__


@contextlib.contextmanager
def database(held):
    with contextlib.closing(sqlite3.connect(held.home / "state.db", timeout=30, isolation_level=None)) as connection:
        yield connection


def rows(held):
    with database(held) as connection:
        return connection.execute("SELECT count(*) FROM pseudonym").fetchone()[0]


@contextlib.contextmanager
def bringing(*texts):
    """Servers that bring these texts and nothing else, by `find`."""
    class Bringing(run().Office):
        def result(self, method, params):
            if method == "tools/list":
                tools = [{key: held for key, held in tool.items() if key != "outputSchema"} for tool in run().TOOLS]
                return {"tools": tools, "ttlMs": 0, "cacheScope": "private"}
            if method == "tools/call" and params["name"] == "find":
                return {"content": [{"type": "text", "text": self.server.text}]}
            return super().result(method, params)

    def server(text):
        held = run().Upstream(Bringing)
        held.told, held.text = [], text
        return held
    yield [server(text) for text in texts]


@contextlib.contextmanager
def with_servers(servers, more):
    with run().Gateway({name: {"url": held.url} for name, held in servers.items()}, more) as gateway:
        gateway.servers = servers
        yield gateway


def addresses(*numbers):
    return "write to " + ", ".join(f"somebody{number}@corp.example" for number in numbers)


def case_a_server_that_fills_the_vault_leaves_room_for_others():
    more = run().ON.replace("how =", "most = 20\nserver_share = 0.5\nhow =")
    with bringing(addresses(*range(7)), addresses(100, 101)) as (flood, office):
        with with_servers({"flood": flood, "office": office}, more) as held, Raw(held) as client:
            client.tools()
            check("result" in run().ask(client, "flood__find"), "some may be brought")
            equal(held.entries(kind="pseudonym.filling"), [], "nothing is said of seven of ten")
            for text in (addresses(*range(8)), addresses(*range(9))):
                flood.text = text
                check("result" in run().ask(client, "flood__find"), "nearly all")
            [said] = held.entries(kind="pseudonym.filling")
            equal((said["of"], said["server"], said["entries"], said["most"]), ("server", "flood", 8, 10), "it is said who, once")
            check('bartizan_pseudonyms_filling_total{server="flood",of="server"} 1' in held.metrics(), held.metrics())
            flood.text = addresses(*range(50, 60))
            said = json.dumps(run().ask(client, "flood__find"))
            check("gateway.pseudonyms" in said and "of one server" in said and "somebody" not in said, said)
            flood.text = addresses(3, 4)
            check("pseudonym.invalid" in json.dumps(run().ask(client, "flood__find")), "what it has brought is named still")
            said = json.dumps(run().ask(client, "office__find"))
            check("pseudonym.invalid" in said and "somebody" not in said, f"the twin: another server has its own room: {said}")
            office.text = addresses(*range(200, 206))
            check("result" in run().ask(client, "office__find"), "it still has")
            [said] = held.entries(kind="pseudonym.filling", of="tenant")
            equal((said["server"], said["entries"], said["largest"], said["largest_entries"]), ("office", 17, "flood", 9), "who brought most")


def case_clients_take_no_room_from_servers():
    with bringing(addresses(1)) as (office,):
        with with_servers({"office": office}, run().ON.replace("how =", "most = 10\nhow =")) as held, Raw(held) as client:
            client.tools()
            run().ask(client, "office__note", text=addresses(*range(100, 105)))
            equal(len(office.told), 1, "some are named for a tool that is not entitled")
            said = json.dumps(run().ask(client, "office__note", text=addresses(200)))
            check("gateway.pseudonyms" in said and "kept of clients" in said and len(office.told) == 1, said)
            check("pseudonym.invalid" in json.dumps(run().ask(client, "office__find")), "the twin: the server has its own room")


def case_what_is_refused_anyway_is_given_nothing():
    for version in (LEGACY, MODERN):
        with run().place(run().ON + '[guard.rate]\nper_tool = "1/h"\n') as held, Raw(held, version=version) as client:
            _, token = run().found(client)
            run().ask(client, "office__send_mail", to=token)
            equal(run().last(held), ("send_mail", {"to": run().ANNA}), "the twin: within its rate")
            said = json.dumps(run().ask(client, "office__send_mail", to=token))
            check("rate.tool" in said and run().ANNA not in said, said)
            equal(len(held.entries(kind="pseudonym.revealed")), 1, f"{version}: nothing was looked up for what is not sent")
        observed = '[guard.rate]\nper_tool = "1/h"\naction = "observe"\n'
        with run().place(run().ON + observed) as held, Raw(held, version=version) as client:
            _, token = run().found(client)
            for _ in range(2):
                run().ask(client, "office__send_mail", to=token)
                equal(run().last(held), ("send_mail", {"to": run().ANNA}), "what is observed goes as it is to go")


def case_flow_goes_on_beside_it():
    """A name is no way to have a call go where only a stranger's words lead."""
    eve, strange = "eve@evil.example", '[[guard.flow.tool]]\nname = "mail/find"\nlabels = ["untrusted_content"]\n'
    words = f"Shall we have lunch tomorrow? My colleague who has the menu is {eve} by the way."
    on = run().ON.replace("[guard.flow]\nenabled = false\n", "")
    for flow, passes in ((strange, False), ('[guard.flow]\ndomains = ["evil.example"]\n' + strange, True)):
        with bringing(words, "") as (mail, office), with_servers({"mail": mail, "office": office}, on + flow) as held, Raw(held) as client:
            client.tools()
            brought = json.dumps(run().ask(client, "mail__find"))
            check(run().TOKEN.search(brought), brought)
            token = run().TOKEN.search(brought)[0]
            said = json.dumps(run().ask(client, "office__send_mail", to=token))
            check(eve not in said, f"it is not shown: {said}")
            if passes:
                equal(office.told, [("send_mail", {"to": eve})], "the twin: where anything may go")
            else:
                check("flow.untrusted_destination" in said, f"it is asked about: {said}")
                equal(office.told, [], "and not sent")


def stopped(held):
    held.process.kill()
    held.process.wait()
    held.said.unlink()


def case_what_nobody_used_for_long_is_removed_by_the_gateway():
    with run().place() as held:
        with Raw(held) as client:
            run().found(client)
        equal(rows(held), 2, "an address and a telephone")
        stopped(held)
        with database(held) as connection:
            connection.execute("UPDATE pseudonym SET expires_at = 1 WHERE kind = 'email'")
        held._start()
        with Raw(held) as client:
            client.tools()
            run().ask(client, "office__note", text="nothing about anybody")
            wait_for(lambda: rows(held) == 1, "what expired is still there")
        with database(held) as connection:
            equal(connection.execute("SELECT kind FROM pseudonym").fetchall(), [("phone",)], "the twin: what has not")
            equal(connection.execute("SELECT source, entries FROM vault_source").fetchall(), [("office", 1)], "and it is counted")


def case_a_name_that_is_cut_stands_for_nothing():
    mail = run().OUTPUT["properties"]["mail"]
    run().OUTPUT["properties"]["mail"] = {"type": "string", "maxLength": 30}
    try:
        with run().place() as held, Raw(held) as client:
            answer, token = run().found(client)
            cut = answer["result"]["structuredContent"]["mail"]
            check(token.startswith(cut) and len(cut) <= 30, cut)
            run().ask(client, "office__send_mail", to=cut)
            equal(run().last(held), ("send_mail", {"to": cut}), "what is left of a name is no name")
            run().ask(client, "office__send_mail", to=token)
            equal(run().last(held), ("send_mail", {"to": run().ANNA}), "the twin: the whole one")
    finally:
        run().OUTPUT["properties"]["mail"] = mail


def case_a_restart_in_the_middle_loses_no_name():
    """It is killed while a tool works with what it was given; who comes back uses the same name."""
    gate, entered = threading.Event(), threading.Event()

    class Slow(run().Office):
        def result(self, method, params):
            answer = super().result(method, params)
            if method == "tools/call" and params["name"] == "send_mail" and not gate.is_set():
                entered.set()
                gate.wait(30)
            return answer
    slow = run().Upstream(Slow)
    slow.told = []
    with with_servers({"office": slow}, run().ON) as held:
        with contextlib.suppress(OSError, AssertionError, EOFError), Raw(held) as client:
            _, token = run().found(client)
            calling = threading.Thread(target=lambda: calls(client, token), daemon=True)
            calling.start()
            check(entered.wait(30), "the tool is asked")
            held.again()
            gate.set()
            calling.join(30)
        equal(slow.told[-1], ("send_mail", {"to": run().ANNA}), "it had what it was to get")
        with Raw(held) as client:
            client.tools()
            run().ask(client, "office__send_mail", to=token)
            equal(slow.told[-1], ("send_mail", {"to": run().ANNA}), "and gets it again")
            equal(run().found(client)[1], token, "under the same name")


def calls(client, token):
    # Whoever is killed answers nobody.
    with contextlib.suppress(Exception):
        run().ask(client, "office__send_mail", to=token)


def case_a_vault_that_takes_nothing_more_shows_nothing():
    with bringing(addresses(1)) as (office,), with_servers({"office": office}, run().ON) as held, Raw(held) as client:
        client.tools()
        before = json.dumps(run().ask(client, "office__find"))
        check("pseudonym.invalid" in before, before)
        with database(held) as connection:
            connection.execute("CREATE TRIGGER full BEFORE INSERT ON pseudonym BEGIN SELECT RAISE(ABORT, 'no'); END")
        office.text = addresses(2)
        said = json.dumps(run().ask(client, "office__find"))
        check("gateway.pseudonyms" in said and "somebody" not in said, said)
        office.text = addresses(1)
        named = re.findall(run().TOKEN, json.dumps(run().ask(client, "office__find")))
        equal(named, re.findall(run().TOKEN, before), "the twin: what is kept needs no room")
        with database(held) as connection:
            connection.execute("DROP TRIGGER full")
        office.text = addresses(2)
        check("pseudonym.invalid" in json.dumps(run().ask(client, "office__find")), "and then it goes on")


def case_a_vault_that_is_gone_shows_nothing():
    """Its file is taken away under the running gateway: a new one has other names, and the old ones stand for nothing."""
    with run().place() as held, Raw(held) as client:
        _, token = run().found(client)
        for file in held.home.glob("state.db*"):
            file.unlink()
        before = len(held.servers["office"].told)
        said = json.dumps(run().ask(client, "office__find"))
        for gone in (run().ANNA, "901820", run().ENCODED):
            check(gone not in said, said)
        check(token not in said, f"a name that is kept nowhere: {said}")
        run().ask(client, "office__send_mail", to=token)
        told = held.servers["office"].told[before + 1:]
        check(told in ([], [("send_mail", {"to": token})]), f"what it stood for is not known any more: {told}")
        _, other = run().found(client)
        check(other != token, "with another key there are other names")
        run().ask(client, "office__send_mail", to=other)
        equal(run().last(held), ("send_mail", {"to": run().ANNA}), "the twin: which are good")


def case_two_at_once_have_one_name():
    with run().place() as held:
        clients = [Raw(held, version=version, name=f"client{number}") for number, version in enumerate((LEGACY, MODERN) * 4)]
        for client in clients:
            client.tools()
        begin, got = threading.Barrier(len(clients)), []

        def asks(client):
            begin.wait(30)
            got.append(json.dumps(run().ask(client, "office__find")))
        threads = [threading.Thread(target=asks, args=[client]) for client in clients]
        [thread.start() for thread in threads]
        [thread.join(60) for thread in threads]
        equal(len(got), len(clients), "all have an answer")
        equal(len({run().TOKEN.search(said)[0] for said in got}), 1, f"one name: {got}")
        equal(rows(held), 2, "and it is kept once")
        equal(sum(entry["count"] for entry in wait_for(lambda: held.entries(kind="pseudonym.kept"), "it is recorded")), 2, "as the log says")


def case_a_misspelt_server_is_an_error():
    with run().place() as held:
        text = held.config.read_text()
        for wrong, right in (('server = "office"', 'server = "ofice"'), ("[guard.flow]", '[guard.personal_data.purposes]\nofice = "hr"\n[guard.flow]')):
            file = pathlib.Path(held.home) / "wrong.toml"
            file.write_text(text.replace(wrong, right))
            done = subprocess.run([BINARY, "config", "check", str(file)], env=os.environ | held.environment, capture_output=True, text=True)
            check(done.returncode != 0 and "no server `ofice`" in done.stdout + done.stderr, f"{done.stdout}{done.stderr}")
        done = subprocess.run([BINARY, "config", "check", str(held.config)], env=held.environment, capture_output=True, text=True)
        equal(done.returncode, 0, f"the twin: {done.stdout}{done.stderr}")
