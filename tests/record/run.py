#!/usr/bin/env python3
"""The log of a gateway that is in use, looked at with a reader of its formats that has nothing of Bartizan's.

    run.py [PART ...]    only cases whose name contains one of these
"""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "aggregate"), str(HERE.parent / "log"), str(HERE)]

import tlog  # noqa: E402
import auditlog  # noqa: E402
from harness import BINARY, FIXTURE, Gateway, Raw, cases_of, check, equal, run_cases, wait_for  # noqa: E402

SERVERS = {"files": {"command": [FIXTURE, "--stdio"]}}
# A log that is forged here, as whoever has its key could.
PLAIN = "[audit]\nencrypt = false\n"


def audit(*words, status=0, home=None, stderr=False):
    environment = os.environ | {"NO_COLOR": "1"} | ({"BARTIZAN_HOME": str(home)} if home else {})
    done = subprocess.run([BINARY, "audit", *map(str, words)], env=environment, capture_output=True, text=True, timeout=120)
    equal(done.returncode, status, f"{words}: {done.stdout}{done.stderr}")
    return done.stderr if stderr else done.stdout


def rechained(file, old, new):
    """Changes a line of a log and makes the chain fit, as whoever may write the file can."""
    genesis = b"bartizan audit log, hash chain, format 1\0"
    chain, changed = None, []
    for line in file.read_bytes().split(b"\n")[:-1]:
        body, _, _ = line.rpartition(b',"chain":"')
        if chain is None:
            chain = hashlib.sha256(genesis + bytes.fromhex(json.loads(line)["salt"])).digest()
        elif old in body:
            body, old = body.replace(old, new, 1), b"\0none"
        chain = hashlib.sha256(chain + body).digest()
        changed.append(body + b',"chain":"' + chain.hex().encode() + b'"}\n')
    file.write_bytes(b"".join(changed))


def verified(directory, *words, status=0):
    return json.loads(audit("verify", directory, "--json", *words, status=status))


def lines(directory):
    """The entries as they stand in the log, in order."""
    return auditlog.lines(directory)


def some_calls(gateway, count):
    with Raw(gateway, "/mcp/files") as client:
        for number in range(count):
            client.ask("ping" if number % 3 else "tools/list")


def settled(directory):
    """What is verified once all entries so far are under a checkpoint."""
    there = len(lines(directory))
    return wait_for(lambda: (found := verified(directory))["checkpoint"] >= there and found, "the checkpoint follows")


def check_with_a_reader_of_its_own(directory, key):
    """That the checkpoint, the tiles and the entries are one tree; how many entries are in it."""
    origin, size, root = tlog.checkpoint((directory / "checkpoint").read_text(), key)
    equal(origin, key.split("+")[0], "the origin")
    entries = lines(directory)
    check(size <= len(entries), f"{size} under the checkpoint, {len(entries)} in the log")
    equal(tlog.root_of([tlog.leaf(entry) for entry in entries[:size]]).hex(), root.hex(), "the root over the entries")
    equal(tlog.root_by_tiles(directory, size).hex(), root.hex(), "the root over the tiles")
    return size


def case_a_log_in_use_is_one_tree_and_its_entries_are_proven():
    with Gateway(SERVERS) as gateway:
        directory = gateway.home / "audit"
        for calls in (1, 300):
            some_calls(gateway, calls)
            there = len(lines(directory))
            newest = settled(directory)
            check(check_with_a_reader_of_its_own(directory, newest["key"]) >= there)
        kept = (directory / "checkpoint").read_text()
        key, entries = newest["key"], lines(directory)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as elsewhere:
            # Another machine has the proof and the key, and nothing else.
            away = pathlib.Path(elsewhere)
            for number in (1, 2, 255, 256, 257, len(entries)):
                entry = json.loads(entries[number - 1])
                file = away / f"{number}.tlog-proof"
                audit("prove", entry["id"], "--log", directory, "--out", file)
                index, proven = tlog.proven(file.read_text(), key)
                equal((index, proven), (number - 1, entries[number - 1]), f"entry {number}")
                found = json.loads(audit("verify", "--proof", file, "--key", key, "--json", home=away))
                equal((found["ok"], found["entry"]), (True, entry), "the same by bartizan")
                file.write_text(file.read_text().replace("index ", "index 1", 1))
                audit("verify", "--proof", file, "--key", key, status=1, home=away)
                with contextlib.suppress(tlog.Wrong):
                    tlog.proven(file.read_text(), key)
                    check(False, "the reader takes what bartizan refuses")
            note = away / "kept"
            note.write_text(kept)
            some_calls(gateway, 5)
            verified(directory, "--checkpoint", note, "--key", key)


def case_what_was_recorded_when_it_was_killed_is_under_the_next_checkpoint():
    with Gateway(SERVERS) as gateway:
        directory = gateway.home / "audit"
        key = verified(directory)["key"]
        for _ in range(3):
            some_calls(gateway, 90)
            there = lines(directory)
            gateway.again()
            newest = settled(directory)
            equal(newest["key"], key, "the key stays")
            check_with_a_reader_of_its_own(directory, key)
            equal(lines(directory)[: len(there)], there, "what was recorded")
        check(not gateway.entries(kind="log.tree"), "nothing had to be made anew")


def case_what_is_handed_out_can_be_checked_elsewhere():
    with Gateway(SERVERS) as gateway, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as elsewhere:
        directory, away = gateway.home / "audit", pathlib.Path(elsewhere)
        some_calls(gateway, 300)
        key = settled(directory)["key"]
        entries = [json.loads(line) for line in lines(directory)]
        for number, (words, wanted) in enumerate([
            ([], lambda entry: True),
            (["--who", "anonymous", "--text", "TOOLS/LIST"], lambda entry: entry.get("principal") == "anonymous" and entry.get("method") == "tools/list"),
            (["--server", "files", "--until", entries[-9]["at"], "--since", "1h"], lambda entry: entry.get("server") == "files" and entry["at"] < entries[-9]["at"]),
        ]):
            out = away / str(number)
            export = json.loads(audit("export", "--out", out, "--log", directory, "--json", *words))
            got = [json.loads(line) for line in (out / "entries.jsonl").read_bytes().splitlines()]
            expected = [entry for entry in entries[: export["of"]] if wanted(entry)]
            check(len(expected) > 10 and got == expected, f"{words}: {len(got)} entries of {len(expected)}")
            audit("verify", "--export", out, "--key", key, home=away)
            # The same by the reader of its own.
            evidence, _, note = (out / "evidence").read_text().partition("\n\n")
            _, size, root = tlog.checkpoint(note, key)
            known = {json.loads(line)["seq"] - 1: tlog.leaf(line) for line in (out / "entries.jsonl").read_bytes().splitlines()}
            around = [base64.b64decode(line) for line in evidence.split("\n")[1:]]
            equal(tlog.root_around(known, 0, size, around).hex(), root.hex(), f"{words}: the root")
            equal(around, [], "hashes that are left")
            signed = tlog.opened((out / "manifest").read_text(), key).split("\n")
            equal(json.loads(signed[1]), export, "what is signed")
            for file in export["files"]:
                equal(hashlib.sha256((out / file["name"]).read_bytes()).hexdigest(), file["sha256"], file["name"])
            # What was changed, left out or put in is found out.
            for name, change in [
                ("entries.jsonl", lambda held: held.replace(b"tools/list", b"tools/lost", 1)),
                ("entries.jsonl", lambda held: b"\n".join(held.split(b"\n")[1:])),
                ("evidence", lambda held: held.replace(b"\n", b"\n" + base64.b64encode(bytes(32)) + b"\n", 1)),
                ("manifest", lambda held: held.replace(b'"entries":', b'"entries":1', 1)),
            ]:
                held = (out / name).read_bytes()
                (out / name).write_bytes(change(held))
                check(held != (out / name).read_bytes(), f"{name} was changed")
                told = json.loads(audit("verify", "--export", out, "--key", key, "--json", status=1, home=away))
                check(not told["ok"] and name in told["problem"], told)
                (out / name).write_bytes(held)
            audit("verify", "--export", out, "--key", key, home=away)


def case_what_a_kill_has_left_can_be_sealed():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as elsewhere:
        home = pathlib.Path(elsewhere)
        environment = os.environ | {"BARTIZAN_HOME": str(home), "NO_COLOR": "1"}
        process = subprocess.Popen([BINARY, "run", "--standalone", "--name", "t", "--level", "none", "--allow-unconfined", "--", FIXTURE, "--stdio"],
                                   env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "suite", "version": "1"}}
        for message in ({"id": 1, "method": "initialize", "params": params}, {"method": "notifications/initialized"}, {"id": 2, "method": "tools/list"}):
            process.stdin.write(json.dumps({"jsonrpc": "2.0"} | message) + "\n")
            process.stdin.flush()
            if "id" in message:
                process.stdout.readline()
        [directory] = home.glob("standalone/*/audit")
        check("open; whoever writes to it" in audit("seal", "--log", directory), "a log that is open is left alone")
        process.kill()
        process.communicate()
        there = lines(directory)
        check(verified(directory)["checkpoint"] <= len(there), "the checkpoint is not ahead")
        said = audit("seal", home=home)
        check(f"all {len(there)} entries are under a checkpoint" in said, said)
        found = verified(directory)
        equal((found["checkpoint"], lines(directory)), (len(there), there), "nothing else is changed")
        equal(tlog.proven(audit("prove", json.loads(there[-1])["id"], home=home), found["key"])[1], there[-1], "the last entry")
        audit("seal", "--log", home / "nowhere", status=3)
        check(not (home / "nowhere").exists(), "none is made")


def case_other_systems_read_what_is_handed_out():
    with Gateway(SERVERS, PLAIN) as gateway, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as elsewhere:
        directory, away = gateway.home / "audit", pathlib.Path(elsewhere)
        some_calls(gateway, 20)
        key = settled(directory)["key"]
        count = {}
        for form, name in (("ocsf", "entries.ocsf.jsonl"), ("cef", "entries.cef"), ("csv", "entries.csv")):
            out = away / form
            count[form] = json.loads(audit("export", "--out", out, "--format", form, "--log", directory, "--json"))["entries"]
            audit("verify", "--export", out, "--key", key, home=away)
            held = (out / name).read_bytes().decode()
            if form == "csv":
                rows = list(csv.DictReader(io.StringIO(held, newline="")))
                equal([int(row["seq"]) for row in rows], list(range(1, count[form] + 1)), "rows")
                check(any(row["method"] == "tools/list" and row["decision"] == "allow" for row in rows), rows[-1])
            elif form == "cef":
                found = [re.fullmatch(r"CEF:0\|Bartizan\|Bartizan\|[^|]+\|[a-z._]+\|[^|]+\|\d+\|rt=\d{13} externalId=\w{26} .*", line) for line in held.splitlines()]
                check(len(found) == count[form] and all(found), held[:500])
            else:
                events = [json.loads(line) for line in held.splitlines()]
                equal(len(events), count[form], "events")
                for event in events:
                    equal(event["type_uid"], event["class_uid"] * 100 + event["activity_id"], event)
                    check(event["metadata"]["version"] == "1.6.0" and event["time"] > 1_700_000_000_000, event)
                calls = [event for event in events if event["class_uid"] == 6003]
                check(len(calls) > 20 and all(event["api"]["operation"] for event in calls), calls[:1])
        # What was changed and chained anew is not in the tree, whatever the form.
        held = (directory / "audit.jsonl").read_bytes()
        check(b'"decision":"allow"' in held, "something was allowed")
        (away / "copy").mkdir()
        shutil.copytree(directory, away / "copy" / "audit", ignore=shutil.ignore_patterns("control"))
        rechained(away / "copy" / "audit" / "audit.jsonl", b'"decision":"allow"', b'"decision":"waved"')
        cut = b"".join(line + b"\n" for line in held.split(b"\n")[:-9])
        for form in ("jsonl", "csv"):
            said = audit("export", "--out", away / "forged", "--format", form, "--log", away / "copy" / "audit", status=3, stderr=True)
            check("was rewritten" in said, said)
        (away / "copy" / "audit" / "audit.jsonl").write_bytes(cut)
        for words in (["--format", "cef"], ["--text", "tools/list"]):
            said = audit("export", "--out", away / "forged", *words, "--log", away / "copy" / "audit", status=3, stderr=True)
            check("was cut back" in said, said)
        check(not (away / "forged").exists(), "something is handed out")
        # What is no file is not waited for.
        for name in ("entries.csv", "manifest"):
            (away / "csv" / name).unlink()
            os.mkfifo(away / "csv" / name)
            audit("verify", "--export", away / "csv", "--key", key, status=1 if name == "entries.csv" else 3)
        # Nothing is written over, and nothing is left of what fails.
        audit("export", "--out", away / "csv", "--log", directory, status=3)
        audit("export", "--out", away / "none", "--log", directory, "--who", "nobody", status=3)
        check(not (away / "none").exists(), "something is left")


def case_a_log_that_is_put_back_is_found_out():
    with Gateway(SERVERS, PLAIN) as gateway, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as elsewhere:
        directory, away = gateway.home / "audit", pathlib.Path(elsewhere)
        some_calls(gateway, 20)
        settled(directory)
        shutil.copytree(directory, away / "early", ignore=shutil.ignore_patterns("control"))
        some_calls(gateway, 20)
        settled(directory)
        shutil.copy(directory / "checkpoint", away / "kept")
        verified(away / "early")
        told = verified(away / "early", "--checkpoint", away / "kept", status=1)
        check("cut back" in told["problem"], told)
        # Cut at its end alone, it is not even a whole log.
        file = away / "early" / "audit.jsonl"
        file.write_bytes(b"".join(line + b"\n" for line in file.read_bytes().split(b"\n")[:-2]))
        check("cut back" in verified(away / "early", status=1)["problem"])
        # A gateway does not go on with it.
        config = away / "bartizan.toml"
        config.write_text(gateway.config.read_text().replace(PLAIN, f'{PLAIN}directory = "{away / "early"}"\n'))
        done = subprocess.run([BINARY, "serve", "--allow-unconfined", "--config", config], capture_output=True, text=True, timeout=60,
                              env=os.environ | {"BARTIZAN_HOME": str(away / "home")})
        equal(done.returncode, 4, done.stderr)
        check("cut back" in done.stderr, done.stderr)


def case_a_stolen_disk_says_nothing():
    with Gateway(SERVERS) as gateway, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as elsewhere:
        directory, away = gateway.home / "audit", pathlib.Path(elsewhere)
        some_calls(gateway, 60)
        newest = settled(directory)
        there = auditlog.entries(directory)
        known = {"tools/list", "anonymous", "gateway.started", "files", "2026", there[3]["id"], there[3]["chain"], "PRIVATE+KEY"}
        for path in directory.rglob("*"):
            held = path.read_bytes() if path.is_file() else b""
            check(not [word for word in known if word.encode() in held], f"{path}: {held[:80]}")
        check(stat.S_IMODE((gateway.home / "audit.key").stat().st_mode) == 0o600, "the key is for its owner")
        shutil.copytree(directory, away / "audit", ignore=shutil.ignore_patterns("control"))
        for words in (["tail"], ["verify"], ["prove", there[3]["id"]], ["export", "--out", away / "out"], ["summary"]):
            said = audit(*words, "--log", away / "audit", status=3, home=away / "own", stderr=True)
            check("master key" in said and "files" not in said, said)
        check(not (away / "own").exists() and not (away / "out").exists(), "nothing is made")
        # With the key of another it does not open either; with its own it does, wherever it is.
        other = away / "other"
        other.write_text("bartizan-log-key-1:" + "ab" * 32 + "\n")
        audit("verify", away / "audit", "--master-key", other, status=3)
        told = verified(away / "audit", "--master-key", gateway.home / "audit.key")
        equal((told["ok"], told["key"]), (True, newest["key"]))
        # Without its key no gateway goes on with it, and none makes another one.
        environment = os.environ | {"BARTIZAN_HOME": str(away), "NO_COLOR": "1"}
        done = subprocess.run([BINARY, "serve", "--allow-unconfined", "--config", gateway.config], capture_output=True, text=True, timeout=60, env=environment)
        equal(done.returncode, 4, done.stderr)
        check("put that key back" in done.stderr and not (away / "audit.key").exists(), done.stderr)


def case_a_new_master_key_needs_no_stop():
    with Gateway(SERVERS) as gateway, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as elsewhere:
        directory, away = gateway.home / "audit", pathlib.Path(elsewhere)
        some_calls(gateway, 30)
        before = settled(directory)
        shutil.copy(gateway.home / "audit.key", away / "old.key")
        shutil.copytree(directory, away / "audit", ignore=shutil.ignore_patterns("control"))
        said = audit("rotate-key", "--config", gateway.config, home=gateway.home)
        check("wrapped anew" in said and "the master key is" in said, said)
        equal(len((gateway.home / "audit.key").read_text().split()), 2, "the one before is kept")
        some_calls(gateway, 30)
        check(settled(directory)["entries"] > before["entries"], "it goes on")
        said = audit("rotate-key", "--set-aside", "--config", gateway.config, home=gateway.home, status=3, stderr=True)
        check("is open" in said, said)
        there = lines(directory)
        gateway.stop()
        audit("rotate-key", "--set-aside", "--config", gateway.config, home=gateway.home)
        equal((gateway.home / "audit.key.old").read_text(), (away / "old.key").read_text(), "no key is lost")
        equal(len((gateway.home / "audit.key").read_text().split()), 1, "it is not needed any more")
        equal(lines(directory)[: len(there)], there, "the same entries")
        audit("verify", directory, "--key", before["key"])
        # What was copied before opens with the key from before, and with no other.
        audit("verify", away / "audit", "--master-key", gateway.home / "audit.key", status=3)
        audit("verify", away / "audit", "--master-key", away / "old.key")


def case_whoever_starts_it_may_give_the_key():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as elsewhere:
        keys = pathlib.Path(elsewhere) / "keys"
        keys.touch(0o600)
        keys.write_text("ab" * 32 + "\n")
        with Gateway(SERVERS, f'[audit]\nkey = "file:{keys}"\n') as gateway:
            directory = gateway.home / "audit"
            some_calls(gateway, 10)
            shown = lambda: [json.loads(line) for line in audit("tail", "--json", "--lines", 1000, "--config", gateway.config, home=gateway.home).splitlines()]  # noqa: E731
            there = wait_for(lambda: (found := shown()) and any(entry.get("method") == "tools/list" for entry in found) and found, "it is read")
            check(not (gateway.home / "audit.key").exists(), "none is made beside")
            audit("verify", directory, status=3)
            audit("verify", directory, "--master-key", keys)
            # The next key comes before it, and both open what they wrapped, or wrap it anew.
            audit("rotate-key", "--config", gateway.config, home=gateway.home, status=2)
            keys.write_text("cd" * 32 + "\n" + "ab" * 32 + "\n")
            gateway.again()
            some_calls(gateway, 10)
            wait_for(lambda: len(shown()) > len(there), "it goes on")
            equal([entry["id"] for entry in shown()[: len(there)]], [entry["id"] for entry in there], "the same log")
            keys.write_text("cd" * 32 + "\n")
            audit("verify", "--config", gateway.config, home=gateway.home)
            keys.write_text("ab" * 32 + "\n")
            audit("verify", "--config", gateway.config, home=gateway.home, status=3)
            keys.write_text("cd" * 32 + "\n")


def case_a_log_that_was_plain_goes_on_encrypted():
    with Gateway(SERVERS, PLAIN) as gateway:
        directory = gateway.home / "audit"
        some_calls(gateway, 20)
        key, there = settled(directory)["key"], lines(directory)
        equal([path.name for path in auditlog.files(directory)], ["audit.jsonl"])
        gateway.config.write_text(gateway.config.read_text().replace(PLAIN, ""))
        gateway.again()
        some_calls(gateway, 20)
        check(settled(directory)["key"] == key and lines(directory)[: len(there)] == there, "it is the same log")
        equal([path.suffix for path in auditlog.files(directory)], [".jsonl", ".sealed"])
        check_with_a_reader_of_its_own(directory, key)
        check(not gateway.entries(kind="log.tree"), "nothing had to be made anew")


if __name__ == "__main__":
    sys.exit(run_cases(cases_of(globals())))
