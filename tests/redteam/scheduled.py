"""Trials that a gateway makes of its own configuration."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import subprocess
import tempfile

from harness import BINARY, FIXTURE, Gateway, Raw, check, equal, wait_for

SERVERS = {"notes": {"command": [FIXTURE, "--stdio"]}}
# What comes after a start or a reload then comes after three seconds.
SOON = '[redteam]\nschedule = "1min"\n'
# A machine of one core, with a debug build, beside other suites.
LIMIT = 300


@contextlib.contextmanager
def serving(more, servers=SERVERS, **others):
    """A gateway and the directory of its temporary files, of which none may be left."""
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="bartizan-scheduled-") as temporary:
        os.environ["TMPDIR"] = temporary
        try:
            with Gateway(servers, more, confined=True, **others) as gateway:
                yield gateway, pathlib.Path(temporary)
        finally:
            os.environ.pop("TMPDIR")
            if before is not None:
                os.environ["TMPDIR"] = before
        equal([path.name for path in pathlib.Path(temporary).iterdir()], [], "what is left behind")


def trials(gateway, count):
    """The entries of so many trials, once there are."""
    return wait_for(lambda: len(found := gateway.entries(kind="redteam.tried")) >= count and found, f"no {count} trials", LIMIT)


def metric(gateway, name):
    """The value of a metric, with its labels as they are shown; none if there is none."""
    found = re.search(rf"(?m)^bartizan_{re.escape(name)} (\S+)$", gateway.metrics())
    return found and int(found[1])


def reload(gateway, old, new):
    """Changes the configuration of a running gateway."""
    count = len(gateway.entries(kind="config.reloaded"))
    text = gateway.config.read_text()
    check(old in text)
    gateway.config.write_text(text.replace(old, new, 1))
    wait_for(lambda: len(gateway.entries(kind="config.reloaded")) > count, "the configuration is not reloaded")


def by_hand(gateway, *words):
    """What `bartizan redteam` says of the same configuration."""
    done = subprocess.run([BINARY, "redteam", "--config", str(gateway.config), *words], capture_output=True, text=True,
                          env=gateway.environment, cwd=gateway.home, timeout=LIMIT)
    equal(done.returncode, 0, done.stderr)
    return done.stdout


def case_a_trial_is_in_the_log_and_the_metrics_and_nowhere_else():
    with serving(SOON + "sample = 28\n") as (gateway, _):
        locked = (gateway.home / "mcp.lock").read_text()
        tried = trials(gateway, 1)[0]
        counts = tried["attacks"], tried["benign"]
        equal([held["sent"] for held in counts], [28, 28])
        check(0 < tried["attacks"]["stopped"] < 28 and tried["attacks"]["by"], tried)
        for held in counts:
            equal(sum(held[fate] for fate in ("stopped", "marked", "observed", "through", "unknown")), held["sent"])
        # The same that the command says of this configuration.
        report = json.loads(by_hand(gateway, "--sample", "28", "--json"))
        equal([tried[kind]["stopped"] for kind in ("attacks", "benign")], [report[kind]["stopped"] for kind in ("attacks", "benign")])
        equal(tried["attacks"]["ids"], report["attacks"]["ids"][:32])
        equal(tried["servers"], ["notes"])
        # What is known of it outside, and that nobody has asked for anything.
        for kind, held in (("attack", tried["attacks"]), ("benign", tried["benign"])):
            for fate in ("stopped", "marked", "observed", "through", "unknown"):
                equal(metric(gateway, f'redteam_texts{{kind="{kind}",fate="{fate}"}}'), held[fate], fate)
        check(metric(gateway, "redteam_last_timestamp_seconds") > 1_600_000_000)
        equal((metric(gateway, "redteam_failures_total"), metric(gateway, "sessions")), (0, 0))
        equal(re.findall(r"(?m)^bartizan_decisions_total\S* [^0]\d*$", gateway.metrics()), [])
        kinds = {entry["kind"] for entry in gateway.entries()}
        equal(kinds, {"log.opened", "gateway.started", "redteam.tried"})
        equal((gateway.home / "mcp.lock").read_text(), locked, "the lock file")
        said = gateway.said.read_text()
        loud = re.findall(r"(?m)^.*(?:WARN|ERROR|worse|redteam-).*$", said)
        equal(loud, [], "of nothing that was tried")
        equal(said.count("the configuration was tried"), 1, said)


def case_without_the_table_nothing_is_tried():
    with serving("") as (gateway, temporary):
        with Gateway(SERVERS, SOON + "sample = 28\n") as twin:
            trials(twin, 1)
        equal(gateway.entries(kind="redteam.tried"), [])
        equal((list(temporary.iterdir()), metric(gateway, "redteam_last_timestamp_seconds")), ([], 0))
        check("bartizan_redteam_texts{" not in gateway.metrics())
        # Until there is one.
        reload(gateway, "[server.", SOON + "sample = 28\n[server.")
        trials(gateway, 1)


def case_what_is_worse_is_said_after_a_reload_and_after_a_start():
    mode = 'mode = "enforce"\n'
    # The mode stands before all tables, and so in front of it.
    with serving(SOON + "sample = 28\n" + '[log]\nlevel = "error"\n') as (gateway, _):
        gateway.config.write_text(mode + gateway.config.read_text())
        trials(gateway, 1)
        # The same again: nothing is worse.
        reload(gateway, "sample = 28", "# The same.\nsample = 28")
        trials(gateway, 2)
        equal(gateway.entries(kind="redteam.worse"), [])
        wait_for(lambda: metric(gateway, 'redteam_worse{than="last"}') == 0, "it does not say that nothing is worse")
        reload(gateway, mode, 'mode = "observe"\n')
        first, now = trials(gateway, 3)[1:]
        equal(now["attacks"]["stopped"], 0)
        [worse] = wait_for(lambda: gateway.entries(kind="redteam.worse"), "nothing is worse")
        kept = first["baseline"]["families"]
        equal(worse["than"], "last")
        equal({held["family"]: held["before"] for held in worse["worse"]},
              {family: held for family, held in kept.items() if held["stopped"]})
        equal({held["now"]["stopped"] for held in worse["worse"]}, {0})
        equal(metric(gateway, 'redteam_worse{than="last"}'), len(worse["worse"]))
        # Whatever the level of the log is.
        wait_for(lambda: "the configuration is worse than the last time: of " in gateway.said.read_text(), "it is not said")
        # What is better is not said; but more honest texts are stopped too.
        reload(gateway, 'mode = "observe"\n', mode)
        count = trials(gateway, 4)[3]["benign"]["stopped"]
        wait_for(lambda: metric(gateway, 'redteam_worse{than="last"}') == (1 if count else 0), "it is still worse")
        known = gateway.entries(kind="redteam.worse")
        equal([held["family"] for entry in known[1:] for held in entry["worse"]], [None] if count else [])
        # What came before a start is known from the log.
        gateway.config.write_text(gateway.config.read_text().replace(mode, 'mode = "observe"\n'))
        gateway.again()
        [again] = wait_for(lambda: gateway.entries(kind="redteam.worse")[len(known):], "nothing is worse after a start", LIMIT)
        equal(again["worse"], worse["worse"])
        equal(gateway.entries(kind="redteam.failed"), [])


def case_a_baseline_holds_for_every_trial():
    with serving(SOON + 'sample = 28\nbaseline = "kept.json"\n') as (gateway, _):
        # There is none yet, which is said; the trial is made all the same.
        trials(gateway, 1)
        failed = wait_for(lambda: gateway.entries(kind="redteam.failed"), "nobody misses the baseline")
        check("kept.json" in failed[0]["why"], failed)
        check("the configuration was tried, and that is all: cannot read" in gateway.said.read_text())
        equal(metric(gateway, "redteam_failures_total"), 1)
        by_hand(gateway, "--sample", "28", "--write-baseline", str(gateway.home / "kept.json"))
        reload(gateway, "sample = 28", "# The same.\nsample = 28")
        trials(gateway, 2)
        wait_for(lambda: metric(gateway, 'redteam_worse{than="baseline"}') == 0, "it is held against nothing")
        equal(gateway.entries(kind="redteam.worse"), [])
        reload(gateway, "[redteam]", '[guard.hidden_text]\naction = "observe"\n[redteam]')
        wait_for(lambda: {entry["than"] for entry in gateway.entries(kind="redteam.worse")} == {"last", "baseline"},
                 "nothing is worse", LIMIT)
        count = len(gateway.entries(kind="redteam.tried"))
        # It is the last time now, and still less than was written down.
        reload(gateway, "# The same.\n", "")
        trials(gateway, count + 1)
        wait_for(lambda: len(gateway.entries(kind="redteam.worse", than="baseline")) == 2, "it has got used to it")
        equal(len(gateway.entries(kind="redteam.worse", than="last")), 1)
        # Other texts are no comparison.
        reload(gateway, "sample = 28", "sample = 56")
        wait_for(lambda: any("other" in entry["why"] for entry in gateway.entries(kind="redteam.failed")), "it compares", LIMIT)


def case_calls_are_answered_meanwhile_and_the_end_does_not_wait():
    with serving(SOON + "sample = 10000\n") as (gateway, temporary):
        under_way = lambda: list(temporary.glob("bartizan-redteam-*/audit/audit.jsonl"))
        wait_for(under_way, "nothing is tried", LIMIT)
        with Raw(gateway, "/mcp/notes") as client:
            for count in range(20):
                answer = client.ask("tools/call", {"name": "echo", "arguments": {"text": f"call {count}"}})
                check(f"call {count}" in json.dumps(answer["result"]), answer)
        check(under_way(), "the trial was over too soon")
        # What is tried meanwhile is not there.
        equal(len(gateway.entries(kind="message", method="tools/call", direction="to_server")), 20)
        gateway.stop()
        equal((list(temporary.iterdir()), gateway.entries(kind="redteam.tried")), ([], []))
        equal(gateway.entries()[-1]["kind"], "gateway.stopped")


def case_who_asks_decides_what_is_tried():
    roles = '[role.reader]\nallow = ["server:notes"]\n'
    more = SOON + 'sample = 28\nprincipal = "trial"\n' + roles
    with serving(more + "[auth]\nrequired = true\n") as (gateway, _):
        refused = trials(gateway, 1)[0]
        equal(refused["benign"]["stopped"], 28)
        wait_for(lambda: "policy.denied stops nearly all honest texts" in gateway.said.read_text(), "it is not said")
        reload(gateway, "sample = 28", 'roles = ["reader"]\nsample = 28')
        check(trials(gateway, 2)[1]["benign"]["stopped"] < 7)
