#!/usr/bin/env python3
"""What clients ask is captured, sealed, and judged again by other policies.

`run.py NAME…` runs the cases whose names contain NAME.
"""

import contextlib
import json
import os
import pathlib
import re
import resource
import signal
import stat
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
# The `place` of the approval suite: a bank, which asks somebody before it pays much.
sys.path[:0] = [str(HERE.parent / "approval")]

import place  # noqa: E402
from harness import BINARY, MODERN, cases_of, check, equal, run_cases, wait_for  # noqa: E402
import auditlog  # noqa: E402

ERAS = ("2025-11-25", MODERN)
SECRET = "hunter2-the-password"
CAPTURE = '[capture]\npath = "captured"\n'
BEFORE = place.POLICIES
# Whoever pays more than 100 is refused, and what needed an agreement passes.
AFTER = """
permit(principal, action, resource);
@id("modest") @advice("Pay less.")
forbid(principal, action == Mcp::Action::"bank/pay", resource) when { context.input.amount > 100 && context.input.amount < 600 };
@id("ask") @challenge("step_up")
forbid(principal, action == Mcp::Action::"bank/pay", resource) when { context.input.amount == 7 };
"""


class Place(place.Place):
    """A bank behind a gateway that captures, if it is told to."""

    def __init__(self, more=CAPTURE, policies=BEFORE):
        super().__init__(more, policies=policies)
        self.policy = next(pathlib.Path(self.folder.name).glob("*.cedar"))
        self.captured = self.gateway.home / "captured"

    def files(self):
        return sorted(self.captured.glob("*.sealed"))

    def written(self):
        return self.count("written")

    def count(self, outcome):
        lines = self.gateway.metrics().splitlines()
        found = [line for line in lines if line.startswith("bartizan_capture_records_total") and f'"{outcome}"' in line]
        return int(float(found[0].rsplit(" ", 1)[1])) if found else 0

    def wait_written(self, count):
        wait_for(lambda: self.written() >= count, f"{count} records are written: {self.written()}")
        equal(self.written(), count, "records")

    def replay(self, *words, policies=None, code=0):
        """What the command prints, as JSON, with other policies than those in force."""
        config = self.gateway.config
        if policies is not None:
            other = self.gateway.home / "other.cedar"
            other.write_text(policies)
            text = config.read_text().replace(json.dumps(str(self.policy)), json.dumps(str(other)))
            config = self.gateway.home / "other.toml"
            config.write_text(text)
        done = subprocess.run([BINARY, "policy", "test", "--config", str(config), "--json", "--replay", *words],
                              env=self.gateway.environment, cwd=self.gateway.home, capture_output=True, text=True, timeout=120)
        equal(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        self.said = done.stderr
        return json.loads(done.stdout) if done.stdout else None


def counts(replayed):
    names = ("judged", "same", "now_denied", "now_asks", "now_edited", "now_allowed")
    return tuple(replayed[name] for name in names) + (sum(held["messages"] for held in replayed["unjudged"]),)


def changed(replayed):
    """What is decided otherwise: whose, what, from what to what, how often."""
    told = lambda held: (held["decision"], held["rule"])  # noqa: E731
    return sorted((held["principal"], held["method"], held["name"], told(held["before"]), told(held["now"]), held["messages"])
                  for held in replayed["changes"])


def asked(client):
    """Some of all that may be asked; how many of these are captured."""
    client.tools()
    for amount in (5, 7, 300, 300, 700, 9999):
        client.pay(amount, SECRET)
    client.ask("resources/read", {"uri": "file:///secret"})
    client.ask("prompts/get", {"name": "greet"})
    client.ask("prompts/list")
    client.ask("ping") if client.version != MODERN else None
    return 8


def case_what_would_be_decided_otherwise_is_shown_and_nothing_else():
    for version in ERAS:
        with Place() as here:
            with here.client("ann", version=version) as ann, here.client("bea", version=version) as bea:
                total = asked(ann) + asked(bea)
            here.wait_written(total)
            same = here.replay()
            equal(counts(same), (total, total, 0, 0, 0, 0, 0), "by the same policies")
            equal(same["captured_under"], [same["policies"]], "the version")
            equal([held["end"] for held in same["files"]], ["open"], "it is being written")
            other = here.replay(policies=AFTER, code=1)
            check(other["policies"] not in other["captured_under"], "other policies")
            allow = ("allow", None)
            expected = [expected for who in ("ann", "bea") for expected in [
                (who, "prompts/get", "greet", ("approve", "policy.approval"), allow, 1),
                (who, "resources/read", "file:///secret", ("approve", "policy.approval"), allow, 1),
                (who, "tools/call", "pay", allow, ("approve", "policy.step_up"), 1),
                (who, "tools/call", "pay", allow, ("deny", "policy.denied"), 2),
                (who, "tools/call", "pay", ("approve", "policy.approval"), allow, 1),
                (who, "tools/call", "pay", ("deny", "policy.denied"), allow, 1)]]
            equal(changed(other), sorted(expected), "what changes")
            equal(counts(other), (total, 2, 4, 2, 0, 8, 0), "how much")
            denied = next(held for held in other["changes"] if held["now"]["decision"] == "deny")
            check("modest" in denied["why"] and "Pay less" in denied["why"], f"why: {denied}")
            # The examples are entries of the log, and name no arguments.
            for example in denied["examples"]:
                why = json.loads(here.run("why", example["entry"], "--json"))
                equal(why["entry"]["id"], example["entry"], "the entry")
            check(SECRET not in json.dumps(other), "no arguments unless they are asked for")
            shown = here.replay("--show-arguments", policies=AFTER, code=1)
            check(SECRET in json.dumps(shown["changes"]), "the arguments")


def case_what_it_prints_is_for_people():
    with Place() as here:
        with here.client() as client:
            asked(client)
        here.wait_written(8)
        text = here.run("policy", "test", "--replay")
        check("8 same, 0 now denied, 0 now asks, 0 now allowed; 0 cannot be judged" in text, text)
        here.policy.write_text(AFTER)
        text = here.run("policy", "test", "--replay", str(here.captured), "--show-arguments", code=1)
        for line in ("now denied", "2 × ann: tools/call bank/pay", "allow -> deny (policy.denied)", "now asks",
                     "now allowed", "deny (policy.denied) -> allow", f'"note": "{SECRET}"',
                     "1 same, 2 now denied, 1 now asks, 4 now allowed; 0 cannot be judged"):
            check(line in text, f"{line} is not in:\n{text}")


def case_without_the_table_nothing_is_captured_and_with_it_that_is_said():
    with Place(more="") as here:
        with here.client() as client:
            asked(client)
        check("captur" not in here.gateway.said.read_text(), "nothing is said")
        check(not list(here.gateway.home.rglob("capture-*.sealed")) and not here.captured.exists(), "there is no file")
        equal(here.gateway.entries(kind="capture.started"), [], "nor an entry")
        check("bartizan_capture 0" in here.gateway.metrics(), "nor is it counted")
        here.replay(code=2)
        check("no [capture]" in here.said, here.said)
        # It can be switched on, narrowed and off while it runs.
        settings = here.gateway.config.read_text()
        here.gateway.config.write_text(settings + CAPTURE)
        wait_for(lambda: here.gateway.entries(kind="capture.started"), "it is recorded that it begins")
        check("captured with its content" in here.gateway.said.read_text(), "and said")
        wait_for(lambda: "bartizan_capture 1" in here.gateway.metrics(), "and counted")
        with here.client() as client:
            here.wait_written(asked(client))
            here.gateway.config.write_text(settings + CAPTURE + 'only = ["prompt:bank/*"]\n')
            wait_for(lambda: len(here.gateway.entries(kind="capture.started")) == 2, "what is captured changes")
            asked(client)
            here.wait_written(9)
            here.gateway.config.write_text(settings)
            wait_for(lambda: len(here.gateway.entries(kind="capture.stopped")) == 2, "it ends")
            asked(client)
        wait_for(lambda: "bartizan_capture 0" in here.gateway.metrics(), "and nothing is captured any more")
        equal(here.written(), 9, "nothing more")
        wait_for(lambda: [held["end"] for held in here.replay(str(here.captured))["files"]] == ["closed"] * 2, "both are closed")


def case_nobody_reads_it_without_the_key():
    with Place() as here:
        with here.client() as client:
            asked(client)
        here.wait_written(8)
        for path in here.files():
            bytes = path.read_bytes()
            for word in (SECRET, "tools/call", "ann", "bank", "amount", "policy.denied"):
                check(word.encode() not in bytes, f"{word} is in it")
            equal(stat.S_IMODE(path.stat().st_mode), 0o600, "its owner alone")
        equal(stat.S_IMODE(here.captured.stat().st_mode), 0o700, "the directory")
        here.gateway.stop()
        key = here.gateway.home / "state.key"
        kept = key.read_text()
        other = ("0" if kept.strip()[-1] != "0" else "1")
        key.write_text(kept.strip()[:-1] + other + "\n")
        here.replay(code=3)
        key.unlink()
        here.replay(code=3)
        check("master key is not there" in here.said, here.said)
        key.write_text(kept)
        key.chmod(0o600)
        equal(counts(here.replay())[:2], (8, 8), "with the key")
        state = here.gateway.home / "state.db"
        kept = {path: path.read_bytes() for path in here.gateway.home.glob("state.*")}
        for path in kept:
            path.unlink()
        here.key("zoe")
        equal(here.replay(code=3), None, "another store, which has sealed nothing")
        check("nothing has been sealed in this store yet" in here.said, here.said)
        check(not key.exists(), "whoever only reads makes no key")
        for path in here.gateway.home.glob("state.*"):
            path.unlink()
        for path, bytes in kept.items():
            path.write_bytes(bytes)
            path.chmod(0o600)
        check(state.exists() and counts(here.replay())[:2] == (8, 8), "with the store back")


def case_what_is_changed_moved_or_cut_is_noticed():
    with Place() as here:
        with here.client() as client:
            asked(client)
        here.wait_written(8)
        here.gateway.stop()
        path, = here.files()
        whole = path.read_bytes()
        equal(here.replay()["files"][0]["end"], "closed", "it was closed")
        frames, at = [], len(whole)
        # From the head on, each record has its length in front.
        at = 19 + 16 + 8
        at += 2 + int.from_bytes(whole[at:at + 2], "big")
        head = whole[:at]
        while at < len(whole):
            length = 4 + int.from_bytes(whole[at:at + 4], "big")
            frames.append(whole[at:at + length])
            at += length
        equal(len(frames), 9, "eight records and an end")
        for name, other, judged in [
            ("a bit", head + frames[0] + frames[1][:99] + bytes([frames[1][99] ^ 1]) + frames[1][100:] + b"".join(frames[2:]), 1),
            ("the order", head + b"".join([frames[0], frames[2], frames[1], *frames[3:]]), 1),
            ("one twice", head + b"".join([*frames[:3], frames[2], *frames[3:]]), 3),
            ("one left out", head + b"".join([*frames[:5], *frames[6:]]), 5),
        ]:
            path.write_bytes(other)
            found = here.replay(code=3)
            check("changed" in found["files"][0]["fault"], f"{name}: {found['files']}")
            equal(counts(found)[:2], (judged, judged), name)
        for name, other, judged, end in [
            ("no end", head + b"".join(frames[:8]), 8, "open"),
            ("half a record", head + b"".join(frames[:6]) + frames[6][:50], 6, "torn"),
        ]:
            path.write_bytes(other)
            found = here.replay()
            equal((found["files"][0]["end"], found["files"][0]["fault"]), (end, None), name)
            equal(counts(found)[:2], (judged, judged), name)
        path.write_bytes(head)
        here.replay(code=3)
        check("no message was judged" in here.said, here.said)


def case_what_is_no_longer_there_is_not_judged():
    with Place() as here:
        with here.client() as client:
            asked(client)
        here.wait_written(8)
        here.gateway.stop()
        settings = here.gateway.config.read_text()
        lock = here.gateway.home / "mcp.lock"
        kept = lock.read_text()
        tool = re.compile(r'^pay = .*\n', re.M)
        check(tool.search(kept), f"no tool in the lock file:\n{kept}")
        for now, why in (("", "not in the lock file any more"),
                         (re.sub(r'sha256 = "...', 'sha256 = "000', tool.search(kept)[0]), "another definition in the lock file by now")):
            lock.write_text(tool.sub(now, kept))
            found = here.replay()
            equal(counts(found), (2, 2, 0, 0, 0, 0, 6), "without the tool")
            equal({held["why"] for held in found["unjudged"]}, {why}, "why")
        lock.write_text(kept)
        equal(counts(here.replay())[:2], (8, 8), "with it")
        here.gateway.config.write_text(settings.replace("[server.bank]", "[server.shop]"))
        found = here.replay(code=3)
        equal({held["why"] for held in found["unjudged"]}, {"the configuration has no such server"}, "why")
        equal(counts(found), (0, 0, 0, 0, 0, 0, 8), "without the server")


def case_a_kill_loses_nothing_that_was_written():
    with Place() as here:
        client = here.client()
        client.tools()

        def pays():
            # Until its gateway is gone.
            with contextlib.suppress(Exception):
                while True:
                    client.pay(5)

        caller = threading.Thread(target=pays, daemon=True)
        caller.start()
        wait_for(lambda: here.written() > 50, "some are written")
        before = here.written()
        os.killpg(here.gateway.process.pid, signal.SIGKILL)
        here.gateway.process.wait()
        caller.join(20)
        found = here.replay()
        check(found["judged"] >= before and found["same"] == found["judged"], f"{before} were written: {counts(found)}")
        check(found["files"][0]["end"] in ("open", "torn"), f"{found['files']}")
        passed = here.gateway.entries(kind="message", method="tools/call", direction="to_server")
        check(found["judged"] <= len(passed), "nothing is captured that is not in the log")
        # The next one goes on in a file of its own.
        here.gateway = Again(here)
        with here.client() as client:
            client.pay(5)
            wait_for(lambda: len(here.files()) == 2, "another file")
        here.gateway.stop()
        more = here.replay()
        equal([held["end"] for held in more["files"]][1:], ["closed"], "closed as it ended in order")
        equal(counts(more)[:2], (found["judged"] + 1, found["judged"] + 1), "both are read")


class Again(place.Gateway):
    """The same gateway, started again."""

    def __init__(self, here):
        old = here.gateway
        self.folder, self.home, self.config, self.environment = old.folder, old.home, old.config, old.environment
        self.said = self.home / "again.txt"
        self.process = subprocess.Popen([BINARY, "serve", "--allow-unconfined", "--config", str(self.config)], env=self.environment, cwd=self.home,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.said.open("wb"),
                                        start_new_session=True)
        self.address, self.admin = wait_for(self._addresses, "it starts again")
        self.url = "http://{}:{}/mcp".format(*self.address)


def case_a_full_disk_stops_the_capture_and_nothing_else():
    with Place() as here:
        with here.client() as client:
            client.tools()
            client.pay(5)
            here.wait_written(1)
            path, = here.files()
            # Room for no record of this size, and for the log of all that follows.
            note = "x" * 300_000
            audit = auditlog.current(here.gateway.home / "audit").stat().st_size
            pid, limit = here.gateway.process.pid, max(audit, path.stat().st_size) + 250_000
            before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, before[1]))
            for amount in (1, 2, 3):
                check("result" in client.pay(amount, note), "messages pass")
            wait_for(lambda: here.count("failed") == 3, "what is not captured is counted")
            wait_for(lambda: here.gateway.entries(kind="capture.failed"), "and recorded")
            wait_for(lambda: sum(held["records"] for held in here.gateway.entries(kind="capture.dropped")) == 3, "with how many")
            check("nothing is captured until it can be written again" in here.gateway.said.read_text(), "and said")
            equal(here.bank.paid(), [5, 1, 2, 3], "all arrived")
            equal((counts(here.replay())[:2], here.replay()["files"][0]["fault"]), ((1, 1), None), "what is there is whole")
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)

            def goes_on():
                client.pay(4)
                return here.gateway.entries(kind="capture.resumed")

            wait_for(goes_on, "it goes on", 30)
        found = here.replay()
        missing = sum(held["missing"] for held in found["files"])
        check(missing >= 3 and found["same"] == found["judged"] >= 2, f"what is missing is said: {found['files']}")


def case_what_is_old_or_too_much_is_removed():
    with Place(CAPTURE + 'keep = "3s"\n') as here:
        with here.client() as client:
            client.tools()
            client.pay(5)
            here.wait_written(1)
            first, = here.files()
            wait_for(lambda: not first.exists(), "it is removed in time")
            client.pay(6)
            here.wait_written(2)
        wait_for(lambda: here.gateway.entries(kind="capture.removed"), "that is recorded")
    with Place(CAPTURE + 'max_file_bytes = "1MiB"\nmax_bytes = "3MiB"\n') as here:
        with here.client() as client:
            client.tools()
            for amount in range(24):
                client.pay(amount, "x" * 300_000)
            here.wait_written(24)
        check(sum(path.stat().st_size for path in here.files()) <= 3 << 20, "no more than may be")
        check(len(here.files()) > 1 and 3 <= here.replay()["judged"] < 24, "the last are there")


def case_what_somebody_agreed_to_is_judged_with_that():
    with Place() as here:
        with here.client() as client:
            client.tools()
            answer = client.pay(700)
            id = place.NAME.search(json.dumps(answer))[1]
            here.approve(id)
            check("paid 700" in json.dumps(client.pay(700)), "it was agreed to")
        here.wait_written(2)
        equal(counts(here.replay()), (2, 2, 0, 0, 0, 0, 0), "by the same policies")
        # It was agreed to what one policy asks, and another asks as well.
        stricter = BEFORE + '@id("more") @challenge("approval") forbid(principal, action == Mcp::Action::"bank/pay", resource);'
        found = here.replay(policies=stricter, code=1)
        equal(changed(found), [("ann", "tools/call", "pay", ("allow", None), ("approve", "policy.approval"), 1)], "another question")


class Asking(place.Handler):
    """A bank that asks its user before it pays 42."""

    def result(self, method, params):
        if method == "tools/call" and params["arguments"]["amount"] == 42:
            question = {"mode": "form", "message": SECRET, "requestedSchema": {"type": "object", "properties": {}}}
            return {"resultType": "input_required", "inputRequests": {"a": {"method": "elicitation/create", "params": question}}}
        return super().result(method, params)


def case_what_servers_ask_users_is_judged_again_too():
    with Place() as here:
        here.bank.RequestHandlerClass = Asking
        with here.client(version=MODERN, capabilities={"elicitation": {"form": {}}}) as client:
            client.tools()
            answer = client.pay(42)
            check("inputRequests" in json.dumps(answer), f"the question comes: {answer}")
            client.pay(5)
        # Two calls and the question; what is no question of a server is not captured.
        here.wait_written(3)
        equal(counts(here.replay())[:2], (3, 3), "by the same policies")
        quiet = BEFORE + '@id("quiet") forbid(principal, action == Mcp::Action::"elicit", resource);'
        found = here.replay(policies=quiet, code=1)
        equal(changed(found), [("ann", None, "pay", ("allow", None), ("deny", "policy.denied"), 1)], "the question")
        check(all(SECRET.encode() not in path.read_bytes() for path in here.files()), "sealed")


def case_a_directory_that_others_can_write_to_is_refused():
    with Place(more="") as here:
        here.captured.mkdir()
        here.captured.chmod(0o777)
        here.gateway.config.write_text(here.gateway.config.read_text() + CAPTURE)
        wait_for(lambda: here.gateway.entries(kind="config.refused"), "it is refused")
        check("others may write to the directory" in here.gateway.said.read_text(), "and said why")
        with here.client() as client:
            asked(client)
        equal(here.files(), [], "nothing is captured")
        here.captured.chmod(0o700)
        here.gateway.process.send_signal(signal.SIGHUP)
        wait_for(lambda: here.gateway.entries(kind="capture.started"), "now it is")


if __name__ == "__main__":
    sys.exit(run_cases(cases_of(globals())))
