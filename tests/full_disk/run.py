#!/usr/bin/env python3
"""A log or a lock file that cannot be written, under a gateway that is in use: nothing passes unrecorded, everybody is told
why, nothing crashes, and when there is space again everything goes on.

`run.py NAME…` runs the cases whose names contain NAME.
"""

import collections
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "hostile"), str(HERE)]

import disks  # noqa: E402
import harness  # noqa: E402
from harness import Client, Failed, Gateway, Wrapped, check, wait_for  # noqa: E402

SERVER = HERE.parent / "first_call" / "server.py"
RULE = "gateway.log_unwritable"
TOOL = {"name": "do", "description": "Does it.", "inputSchema": {"type": "object"}}
OURS = -31004


class Place:
    """A folder with a server that writes down all that it is told."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="bartizan-full-", ignore_cleanup_errors=True)
        self.home = pathlib.Path(self.folder.name)
        self.definition, self.seen = self.home / "tools.json", self.home / "seen"
        self.define(TOOL)
        self.seen.touch()
        self.command = [sys.executable, str(SERVER), str(self.definition), str(self.seen)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # The user's bartizan ends with the suite, not a while after.
        for lock in self.home.rglob("audit/lock"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(lock.read_text()), signal.SIGTERM)
        self.folder.cleanup()

    def define(self, *tools):
        self.definition.write_text(json.dumps(tools[0] if len(tools) == 1 else list(tools)))

    def told(self):
        """What the server has been told, as pairs of method and id."""
        messages = map(json.loads, self.seen.read_bytes().split(b"\n")[:-1])
        return collections.Counter((m.get("method"), str(m.get("id"))) for m in messages)

    def config(self):
        return f"[server.one]\ncommand = {json.dumps(self.command)}\n"


def refused(answer):
    """Whether an answer says that nothing passes; any other is the server's own."""
    if "error" in answer:
        check(answer["error"]["code"] == OURS and answer["error"]["data"]["rule"] == RULE, f"another error: {answer}")
        return True
    if answer["result"].get("isError"):
        check(answer["result"]["_meta"]["bartizan/rule"] == RULE, f"another refusal: {answer}")
        check("cannot be written" in answer["result"]["content"][0]["text"], f"not clear: {answer}")
        return True
    return False


def check_recorded(entries, told, answers):
    """That the log has all that the server was told and that clients got from it."""
    passed = [entry for entry in entries if entry.get("decision") in ("allow", "transform") and entry["kind"] == "message"]
    passed += [entry for entry in entries if entry["kind"] == "own"]
    there = collections.Counter(
        (e.get("method"), str(e.get("request"))) for e in passed if e.get("direction") != "to_client")
    missing = told - there
    check(not missing, f"the server was told what is not in the log: {missing}")
    back = {str(e.get("request")) for e in passed if e.get("direction") == "to_client"}
    got = {str(answer["id"]) for answer in answers if not refused(answer)}
    check(got and got <= back, f"clients got what is not in the log: {sorted(got - back)[:9]} of {len(got)}")


def use_up(call, answers, stop_after=5, most=2000):
    """Calls until a few calls in a row were refused."""
    in_a_row = 0
    for _ in range(most):
        answers.append(call())
        in_a_row = in_a_row + 1 if refused(answers[-1]) else 0
        if in_a_row >= stop_after:
            return
    raise Failed(f"{most} calls and still space")


def serve_fills_up(kind):
    with Place() as place:
        disk = kind(place.home / "log")
        gateway = Gateway(place.config(), audit=disk.directory)
        try:
            clients = [Client(gateway, "one") for _ in range(3)] + [Client(gateway, None)]
            for number, client in enumerate(clients):
                client.next = 1000 * number
                client.initialize()
                client.request("tools/list")
            check(gateway.ask_admin("/readyz") == (200, "ready\n"), "it is ready while there is space")
            answers, problems = [], []
            disk.fill()
            threads = [threading.Thread(target=guarded(problems, use_up), args=(caller(client), answers)) for client in clients]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(harness.PATIENCE * 3)
            check(not problems, f"a client was not answered as it should be: {problems}")
            check(not all(map(refused, answers)), "no call passed before the space was used up")
            while_full(gateway, place, clients)
            disk.free()
            # Nobody calls: that it is ready again must not depend on traffic that a probe keeps away.
            wait_for(lambda: gateway.ask_admin("/readyz")[0] == 200, "it is not ready although there is space")
            resumed = gateway.recorded(0, kind="log.resumed")
            check(resumed and resumed[0]["lost"] > 0, f"the gap is not in the log: {resumed}")
            for client in clients:
                answers.append(caller(client)())
                check(not refused(answers[-1]), f"it does not go on: {answers[-1]}")
            gateway.stop()
            check("panicked" not in gateway.said.read_text(), "something panicked")
            gateway.verify()
            check_recorded(gateway.entries(), place.told(), answers)
        finally:
            gateway.close()
            disk.close()


def use_up_the_rest(place, short):
    """Sends what has shorter entries than calls have until the server hears nothing of that either."""
    for _ in range(100):
        told = place.told()
        short()
        if place.told() == told:
            return
    raise Failed("there is always space for short entries")


def short(client):
    """The answer to a short request, after a notification."""
    reply = client.post({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"})
    check(reply.status in (202, 400), f"a notification got {reply.status}")
    reply, id = client.request("resources/list")
    return reply.answer(id)


def while_full(gateway, place, clients):
    """Whatever is sent now is refused, and the server hears nothing of it."""
    use_up_the_rest(place, lambda: [short(client) for client in clients])
    told = place.told()
    for client in clients:
        check(refused(caller(client)()), "a call passed")
        check(refused(short(client)), "a request passed")
    reply = clients[0].post(b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}')
    check(reply.status == 400 and refused(reply.messages[0]), f"what cannot be read got {reply.messages}")
    for server in ("one", None):
        client = Client(gateway, server)
        reply, id = client.request("initialize", {
            "protocolVersion": harness.VERSION, "capabilities": {}, "clientInfo": {"name": "late", "version": "1"}})
        check("error" in json.dumps(reply.messages), f"a session began: {reply.messages}")
    check(place.told() == told, f"the server was told {place.told() - told}")
    status, text = gateway.ask_admin("/readyz")
    check(status == 503 and "audit log" in text, f"readyz says {status} {text}")
    check(gateway.ask_admin("/livez")[0] == 200, "it lives")
    gateway.check_alive()


def caller(client):
    tool = "do" if client.path != "/mcp" else "one__do"
    return lambda: client.call(tool)


def guarded(problems, work):
    def run(*arguments):
        try:
            work(*arguments)
        except Exception:  # Whatever it is, the suite reports it.
            problems.append(traceback.format_exc())
    return run


def short_wrapped(wrapped):
    """The same of a client of a wrapped server."""
    wrapped.say({"method": "notifications/roots/list_changed"})
    return wrapped.ask("resources/list", {})


def run_fills_up(kind, *options):
    with Place() as place:
        below = "standalone" if options else "run/audit"
        (place.home / "run").mkdir(mode=0o700)
        disk = kind(place.home / below)
        wrapped = Wrapped(place.command, *options, "--name", "one", home=place.home)
        try:
            wrapped.begin()
            wrapped.ask("tools/list", {})
            answers = []
            call = lambda: wrapped.ask("tools/call", {"name": "do", "arguments": {}})
            disk.fill()
            use_up(call, answers)
            check(not all(map(refused, answers)), "no call passed before the space was used up")
            use_up_the_rest(place, lambda: short_wrapped(wrapped))
            told = place.told()
            check(refused(short_wrapped(wrapped)), "a request passed")
            check(refused(call()), "a call passed")
            check(place.told() == told, f"the server was told {place.told() - told}")
            check(wrapped.process.poll() is None, "it ended")
            disk.free()
            answers.append(call())
            check(not refused(answers[-1]), f"it does not go on: {answers[-1]}")
            wait_for(lambda: [e for e in wrapped.entries() if e["kind"] == "log.resumed"], "the gap is not in the log")
            check(wrapped.finish() == 0, wrapped.complaints())
            wrapped.verify()
            check_recorded(wrapped.entries(), place.told(), answers)
        finally:
            wrapped.close()
            disk.close()


def starts_read_only():
    """With a log that cannot be written from the start, nothing starts; with one that can, all do."""
    with Place() as place:
        (place.home / "run").mkdir(mode=0o700)
        config = place.home / "bartizan.toml"
        made = [disks.Small(place.home / name) for name in ("log", "run/audit", "standalone")]
        config.write_text(f'[listen]\naddress = "127.0.0.1:0"\n[audit]\ndirectory = "{made[0].directory}"\n' + place.config())
        environment = os.environ | {"BARTIZAN_HOME": str(place.home), "NO_COLOR": "1"}
        commands = {
            "serve": ["serve", "--config", str(config)],
            "run": ["run", "--", *place.command],
            "standalone": ["run", "--standalone", "--", *place.command],
        }
        try:
            for disk in made:
                disk.read_only(True)
            for name, command in commands.items():
                done = subprocess.run([harness.BINARY, *command], env=environment, stdin=subprocess.DEVNULL,
                                      capture_output=True, text=True, timeout=60)
                said = done.stderr + "".join(log.read_text() for log in place.home.glob("run/daemon.log"))
                check(done.returncode not in (0, -signal.SIGXFSZ) and not done.stdout, f"{name}: {done}")
                check("Read-only" in said or "audit" in said, f"{name} does not say why: {said}")
                check("panicked" not in said, f"{name}: {said}")
            check(not place.told(), f"a server was told {place.told()}")
            for disk in made:
                disk.read_only(False)
            for options in ((), ("--standalone",)):
                wrapped = Wrapped(place.command, *options, home=place.home)
                check("result" in wrapped.begin(), "it does not start")
                check(wrapped.finish() == 0, wrapped.complaints())
                wrapped.close()
        finally:
            for disk in made:
                disk.close()


def lock_cannot_be_written(fill, free):
    """What is known passes, what is new does not, since it could not be told from a change the next time."""
    with Place() as place:
        disk = disks.Small(place.home / "lock")
        servers = "".join(place.config().replace("one", name) for name in ("one", "two", "three"))
        config = servers + f'[lock]\npath = "{disk.directory}/mcp.lock"\n'
        gateway = Gateway(config)
        try:
            listing(gateway, "one", ["do"])
            early = Client(gateway, "two").initialize()
            fill(disk)
            # The same again, in a session that knows nothing yet.
            listing(gateway, "one", ["do"])
            with Client(gateway, "one") as client:
                check(not client.call("do")["result"].get("isError"), "a known tool cannot be called")
            # What nobody has seen: the tools of a server that is known, and all of one that is not.
            late = Client(gateway, "three")
            hello = {"protocolVersion": harness.VERSION, "capabilities": {}, "clientInfo": {"name": "late", "version": "1"}}
            for reply, id in (early.request("tools/list"), late.request("initialize", hello)):
                error = reply.answer(id)["error"]
                check((error["code"], error["data"]["rule"]) == (OURS, "gateway.lock_unwritable"), f"{error}")
            # One that changed is left out, and what else is listed passes.
            place.define({**TOOL, "description": "Does something else."}, {**TOOL, "name": "more"})
            listing(gateway, "one", [])
            free(disk)
            place.define(TOOL)
            for server in ("two", "three"):
                listing(gateway, server, ["do"])
            place.define({**TOOL, "description": "Does something else."}, TOOL | {"name": "more"})
            listing(gateway, "one", [])
            done = subprocess.run([harness.BINARY, "lock", "diff", "--lock", str(disk.directory / "mcp.lock")],
                                  env=gateway.environment, capture_output=True, text=True)
            check("`do`" in done.stdout and "`more`" in done.stdout, f"what could not be noted is not noted later: {done}")
            gateway.stop()
            gateway.verify()
        finally:
            gateway.close()
            disk.close()


def listing(gateway, server, names):
    with Client(gateway, server) as client:
        reply, id = client.request("tools/list")
        found = [tool["name"] for tool in reply.answer(id)["result"]["tools"]]
        check(found == names, f"{server} lists {found} and not {names}")


def cases(mounts):
    kinds = [disks.Limited] + [disks.Small] * mounts
    for kind in kinds:
        name = kind.__name__.lower()
        yield f"{name}: serve", lambda kind=kind: serve_fills_up(kind)
        yield f"{name}: run", lambda kind=kind: run_fills_up(kind)
        yield f"{name}: standalone", lambda kind=kind: run_fills_up(kind, "--standalone")
    if mounts:
        yield "read-only start", starts_read_only
        yield "lock: full", lambda: lock_cannot_be_written(lambda disk: disk.fill(0), disks.Small.free)
        yield "lock: read-only", lambda: lock_cannot_be_written(
            lambda disk: disk.read_only(True), lambda disk: disk.read_only(False))


def main():
    mounts = disks.own_namespace()
    if not mounts:
        print("mounting is not permitted here, so only the limit on the size of files is tried")
    passed = failed = 0
    for name, case in cases(mounts):
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        try:
            case()
        except Exception as error:
            failed += 1
            print(f"FAIL  {name}: {error if isinstance(error, Failed) else traceback.format_exc()}", flush=True)
        else:
            passed += 1
            print(f"ok    {name}", flush=True)
    return harness.totals(passed, failed)


if __name__ == "__main__":
    sys.exit(main())
