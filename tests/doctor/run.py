#!/usr/bin/env python3
"""`bartizan doctor`: what it says of each server is what a start then does, and what the log's commands say of connections can be followed.

    run.py [PART ...]    only cases whose name contains one of these
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tests" / "aggregate"), str(ROOT / "tests" / "sandbox")]
import harness  # noqa: E402
import reach  # noqa: E402
from harness import BINARY, Gateway, Raw, cases_of, check, equal, run_cases, toml, wait_for  # noqa: E402

PYTHON = sys.executable
SERVER = ROOT / "tests" / "sandbox" / "server.py"


@contextlib.contextmanager
def machine():
    with tempfile.TemporaryDirectory(prefix="bartizan-doctor-", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        place = pathlib.Path(folder)
        for name in ("work", "outside"):
            (place / name).mkdir()
        yield place


def doctor(*words, expected, cwd="/", binary=None):
    done = subprocess.run([binary or harness.BINARY, "doctor", *map(str, words)], capture_output=True, text=True, timeout=120, cwd=cwd)
    equal(done.returncode, expected, f"{words}: {done.stdout}{done.stderr}")
    return done


def examined(config, expected):
    return json.loads(doctor("--config", config, "--json", expected=expected).stdout)


def shell(sandbox, **more):
    return {"command": [PYTHON, str(SERVER)], **more} | ({} if sandbox is None else {"sandbox": sandbox})


def quiet():
    return '[guard.prompt_injection]\naction = "observe"\n[guard.flow]\naction = "observe"\n'


def servers(place):
    """Each with whether it is meant to start on any machine; none where that is the machine's to say."""
    def confined(fs=(), **more):
        return {"fs": {"ro": [str(SERVER)], "rw": [str(place / "work")], **dict(fs)}, **more}

    (place / "work" / ".mcp.json").symlink_to(place / "outside" / "elsewhere")
    (place / "other").mkdir()
    lost = place / "lost"
    lost.write_text("#!/nowhere/interpreter\n")
    lost.chmod(0o755)
    plain = {"fs": {"ro": [str(SERVER)], "rw": [str(place / "other")]}}
    all_limits = {"memory": "256MiB", "pids": 64, "cpu": 0.5}
    found = {
        "free": (shell({"level": "none"}), True),
        "plain": (shell(plain), True),
        "seen": (shell(plain, cwd=str(place / "other")), True),
        "unseen": (shell(plain, cwd=str(place / "outside")), False),
        "link": (shell(confined()), False),
        "gone": (shell(confined({"rw": [str(place / "nowhere")]})), False),
        "program": ({"command": ["no-such-program-anywhere"], "sandbox": plain}, False),
        "free-program": ({"command": ["no-such-program-anywhere"], "sandbox": {"level": "none"}}, False),
        "interpreter": ({"command": [str(lost)], "sandbox": plain}, False),
        "hosts": (shell(plain | {"net": {"allow": ["example.com:443"]}}), True),
        "needs-newest": (shell(plain | {"require": ["landlock>=9999"]}), False),
    }
    for guarantee in ("landlock>=1", "landlock>=6", "memory_limit", "pids_limit", "cpu_limit"):
        name = "needs-" + guarantee.replace(">=", "-").replace("_", "-")
        found[name] = (shell(plain | {"require": [guarantee], "limits": all_limits}), None)
    return found


def case_what_it_says_of_each_server_is_what_a_start_does():
    with machine() as place:
        all_servers = servers(place)
        with Gateway({name: table for name, (table, _) in all_servers.items()}, quiet()) as gateway:
            report = examined(gateway.config, expected=1)
            check(not report["ok"] and report["host"]["confines"], report["host"])
            told = {server["name"]: server for server in report["servers"]}
            equal(set(told), set(all_servers))
            for name, (_, meant) in all_servers.items():
                started = True
                try:
                    with Raw(gateway, f"/mcp/{name}") as client:
                        client.tools()
                except AssertionError:
                    started = False
                equal(told[name]["starts"], started, f"{name}: {told[name]}")
                check(meant is None or started == meant, f"{name}: started is {started}")
                equal(bool(told[name]["why"]), not started, name)
                requires = name.startswith("needs-")
                equal(bool(told[name]["unmet"]), requires and not started, f"{name}: {told[name]}")
        check("fs.ro" in told["unseen"]["why"] and str(place / "outside") in told["unseen"]["why"], told["unseen"])
        check("interpreter" in told["interpreter"]["why"], told["interpreter"])
        equal(told["hosts"]["network"], ["example.com:443"])
        equal(told["plain"]["network"], [])
        check(told["plain"]["level"] == "process" and told["free"]["level"] == "none" and told["free"]["warnings"], told["free"])
        check(str(place / "other") in told["plain"]["files"]["rw"], told["plain"])
        equal(sorted(entry.name for entry in (place / "other").iterdir()), [], "what trials left")


def case_where_nothing_is_wrong_its_status_says_so():
    with machine() as place:
        good = {"fs": {"ro": [str(SERVER)], "rw": [str(place / "work")]}}
        config = place / "bartizan.toml"

        def write(sandbox):
            config.write_text(f"[server.shell]\ncommand = {toml([PYTHON, str(SERVER)])}\nsandbox = {toml(sandbox)}\n"
                              '[server.far]\nurl = "https://mcp.example.com/mcp"\n')

        write(good)
        text = doctor("--config", config, expected=0).stdout
        for part in ("Host Linux", "user namespace               yes", "Server shell: would start", "Server far: is reached by its URL",
                     f"changes    {place / 'work'}, but not in them .git", "the system's programs and libraries", "network    itself"):
            check(part in text, f"{part} is not in\n{text}")
        write(good | {"require": ["landlock>=9999"]})
        text = doctor("--config", config, expected=1).stdout
        check("would not start" in text and "missing    landlock>=9999: needs a newer kernel" in text, text)
        config.write_text("[server.shell]\ncommand = 5\n")
        doctor("--config", config, expected=2)
        # Alone, it looks at the host, or at the file that lies where it is.
        alone = doctor(expected=0, cwd=place / "work")
        check("Host Linux" in alone.stdout and "Server" not in alone.stdout and "no bartizan.toml here" in alone.stderr, alone)
        write(good)
        check("Server shell" in doctor(expected=0, cwd=place).stdout)


@contextlib.contextmanager
def without_groups(place):
    """Runs the program where no control groups are mounted, in a namespace of its own."""
    wrapper = place / "bartizan"
    apart = "unshare -m" if os.getuid() == 0 else "unshare -rm"
    script = f"while umount -l /sys/fs/cgroup 2>/dev/null; do :; done; umount -R /sys/fs/cgroup 2>/dev/null; exec {BINARY} \"$@\""
    wrapper.write_text(f"#!/bin/sh\nexec {apart} /bin/sh -c '{script}' sh \"$@\"\n")
    wrapper.chmod(0o755)
    harness.BINARY = str(wrapper)
    try:
        yield
    finally:
        harness.BINARY = BINARY


def case_a_limit_that_nobody_keeps_is_said_to_have_no_effect():
    limited = {"limits": {"cpu": 0.5}}
    kept = []
    for around in (contextlib.nullcontext, without_groups):
        with machine() as place, (around(place) if around is without_groups else around()):
            fs = {"fs": {"ro": [str(SERVER)], "rw": [str(place / "work")]}}
            with Gateway({"limited": shell(fs | limited), "free": shell(fs)}, quiet()) as gateway:
                report = examined(gateway.config, expected=0)
                told = {server["name"]: server for server in report["servers"]}
                [cpu] = [limit for limit in told["limited"]["limits"] if limit["name"] == "cpu"]
                is_kept = cpu["kept_by"] == "control_group"
                kept.append(is_kept)
                equal(is_kept, report["host"]["control_groups"]["cpu"])
                equal(any("limits.cpu" in warning for warning in told["limited"]["warnings"]), not is_kept, told["limited"])
                check(not any("limits.cpu" in warning for warning in told["free"]["warnings"]), told["free"])
                said = [line for line in gateway.said.read_text().splitlines() if "`limits.cpu` has no effect" in line]
                equal(["limited" in line for line in said], [] if is_kept else [True], said)
    check(not kept[-1], "the control: without control groups nobody keeps it")
    check(kept[0] or os.getuid() != 0 or not pathlib.Path("/sys/fs/cgroup").exists(), "root has no control group here")


def command(gateway, *words, expected=0):
    done = subprocess.run([BINARY, *words], env=gateway.environment, capture_output=True, text=True, timeout=60, cwd=gateway.home)
    equal(done.returncode, expected, f"{words}: {done.stdout}{done.stderr}")
    return done.stdout


def case_a_refused_connection_is_found_and_what_is_advised_lets_it_pass():
    port = reach.site().server_port
    with machine() as place, reach.names(place, {reach.SITE: "127.0.0.1", reach.OTHER: "127.0.0.1"}):
        fs = {"fs": {"ro": [str(SERVER.parent)], "rw": [str(place / "work")]}}
        table = shell(fs | {"net": {"allow": [f"{reach.SITE}:{port}"]}})
        with Gateway({"held": table}, quiet()) as gateway:
            def ask(host):
                with Raw(gateway, "/mcp/held") as held:
                    return held.text("run", {"script": f"{PYTHON} {SERVER.parent}/client.py library {host} {port}"})

            def refused(reason):
                found = [entry for entry in gateway.entries(kind="egress.refused") if entry["reason"] == reason]
                return found and found[-1]

            def follow(advised):
                """Does what the advice says, beside what is there."""
                first, *rest = advised.splitlines()
                [(key, value)] = [line.split(" = ") for line in rest if line.startswith("net.")]
                # Whoever has no table yet keeps what counts without one.
                own = [line for line in rest if line.startswith('profile = "auto"')]
                equal((first, len(own)), ('[server."held".sandbox]', 1 if key == "net.allow" else 0), advised)
                sandbox, part = table["sandbox"], key.removeprefix("net.")
                sandbox["net"][part] = sandbox["net"].get(part, []) + json.loads(value)
                before = len(gateway.entries(kind="config.reloaded"))
                lines = gateway.config.read_text().splitlines()
                kept = [line if not line.startswith("sandbox = ") else f"sandbox = {toml(sandbox)}" for line in lines]
                gateway.config.write_text("\n".join(kept) + "\n")
                wait_for(lambda: len(gateway.entries(kind="config.reloaded")) > before, "the change is not taken")

            # First the address is refused, then, once that is allowed, it passes; and another host likewise.
            check("failed" in ask(reach.SITE))
            for reason, host in (("egress.address_own", reach.SITE), ("egress.not_allowed", reach.OTHER)):
                check("failed" in ask(host))
                entry = wait_for(lambda: refused(reason), f"no {reason}")  # noqa: B023
                for options in ((), ("--denied",), ("--denied", "--server", "held")):
                    lines = [line for line in command(gateway, "audit", "tail", "--lines", "200", *options).splitlines() if entry["id"] in line]
                    check(len(lines) == 1 and all(part in lines[0] for part in (f"egress.refused held {host}:{port} ", f"  {reason}", "  deny ")), lines)
                why = json.loads(command(gateway, "why", entry["id"], "--json"))
                [advice] = why["advice"]
                text = command(gateway, "why", entry["id"])
                check(f"asked for {host}:{port}" in text and advice["write"].splitlines()[-1] in text, text)
                follow(advice["write"])
                check("welcome" in ask(host), f"{host} after {advice}")
            # What passed is shown, and is not among what was refused.
            opened = gateway.entries(kind="egress.opened")[-1]
            check(f"egress.opened held {reach.OTHER}:{port}" in command(gateway, "audit", "tail", "--lines", "200"))
            check(opened["id"] not in command(gateway, "audit", "tail", "--denied", "--lines", "200"))
            text = command(gateway, "why", opened["id"])
            check("Decision: allow" in text and "What would change" not in text, text)


if __name__ == "__main__":
    sys.exit(run_cases(cases_of(globals())))
