#!/usr/bin/env python3
"""Local servers that are confined: real ones do their work, and a hostile one that does whatever it is told reaches nothing it should not.

    run.py [PART ...]    only cases whose name contains one of these; with BARTIZAN_TEST_LONG=1 also on an older kernel

Each attempt is made on a server without a sandbox as well, where it has to succeed. What counts is what is found outside.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tests" / "aggregate"), str(HERE)]
import held  # noqa: E402
import reach  # noqa: E402
import kernels  # noqa: E402
import killed  # noqa: E402
import led  # noqa: E402
from led import told  # noqa: E402
from machine import PYTHON, SECRET, confined, machine, quiet, shell  # noqa: E402
from harness import BINARY, TOOLS, Gateway, Raw, Wrapped, cases_of, check, equal, run_cases, wait_for  # noqa: E402
import auditlog  # noqa: E402

NODE = str((TOOLS / "bin" / "node").resolve())


def node(package, entry, *arguments):
    return [NODE, str(TOOLS / "npm" / "node_modules" / "@modelcontextprotocol" / package / entry), *map(str, arguments)]


def npm(place, **more):
    """Packages for node, and what they may write to."""
    return {"fs": {"ro": [str(TOOLS / "npm")], "rw": [str(place / "work")]}, **more}


def case_real_servers_work_confined():
    with machine() as place:
        work, memory = place / "work", place / "work" / "memory.json"
        (work / "note.txt").write_text("a note\n")
        repository = work / "repository"
        git = lambda *words: subprocess.run(["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b.example", *words],  # noqa: E731
                                            check=True, capture_output=True)
        repository.mkdir()
        git("init", "-q")
        (repository / "file").write_text("first\n")
        git("add", "file")
        git("commit", "-q", "-m", "begin")
        (repository / "file").write_text("first\nsecond\n")
        scripts = TOOLS / "python" / "bin"
        servers = {
            "everything": {"command": node("server-everything", "dist/index.js", "stdio"), "sandbox": npm(place)},
            "files": {"command": node("server-filesystem", "dist/index.js", work), "sandbox": npm(place)},
            "memory": {"command": node("server-memory", "dist/index.js"), "env": {"MEMORY_FILE_PATH": str(memory)}, "sandbox": npm(place)},
            "git": {"command": [str(scripts / "mcp-server-git"), "--repository", str(repository)], "sandbox": confined(place)},
            "time": {"command": [str(scripts / "mcp-server-time"), "--local-timezone", "UTC"], "sandbox": confined(place)},
        }
        with Gateway(servers, quiet()) as gateway:
            def ask(name, tool, arguments):
                with Raw(gateway, f"/mcp/{name}") as client:
                    return json.dumps(client.ask("tools/call", {"name": tool, "arguments": arguments}))
            check("7" in ask("everything", "get-sum", {"a": 3, "b": 4}))
            check("a note" in ask("files", "read_text_file", {"path": str(work / "note.txt")}))
            check("Success" in ask("files", "write_file", {"path": str(work / "new.txt"), "content": "written"}))
            equal((work / "new.txt").read_text(), "written")
            entity = {"name": "bastion", "entityType": "building", "observations": ["stands"]}
            check("bastion" in ask("memory", "create_entities", {"entities": [entity]}))
            check("bastion" in memory.read_text())
            check("+second" in ask("git", "git_diff_unstaged", {"repo_path": str(repository)}))
            check("UTC" in ask("time", "get_current_time", {"timezone": "UTC"}))
            [started] = gateway.entries(kind="gateway.started")
            equal({server["isolation"] for server in started["servers"]} | {started["isolation"]}, {"process"}, "what the log says")


def case_a_hostile_server_reaches_nothing_outside():
    with machine() as place:
        outside, work = place / "outside", place / "work"
        canary = outside / "canary"
        servers = {"free": shell(), "held": shell(confined(place))}
        with contextlib.ExitStack() as stack:
            gateway = stack.enter_context(Gateway(servers, quiet()))
            free, held = (stack.enter_context(Raw(gateway, f"/mcp/{name}")) for name in ("free", "held"))
            ask = lambda client, script: client.text("run", {"script": script})  # noqa: E731
            port = gateway.address[1]
            own = gateway.process.pid
            own_file = stack.enter_context(tempfile.NamedTemporaryFile(prefix=".bartizan-suite-", dir=pathlib.Path.home())).name
            reads = [
                f"cat {outside}/secret", f"ln -s {outside}/secret {work}/link; cat {work}/link; rm -f {work}/link",
                f"cat /proc/{own}/cmdline | grep -c serve | sed s/1/{SECRET}/", f"cat {gateway.home}/bartizan.toml | grep -q listen && echo {SECRET}",
                f"kill -0 {own} && echo {SECRET}", f"ls /proc/{own} >/dev/null && echo {SECRET}",
                f"{PYTHON} -c 'import socket; socket.create_connection((\"127.0.0.1\", {port})); print(\"{SECRET}\")'",
                f"test -e {own_file} && echo {SECRET}",
                f"unshare -U true && echo {SECRET}", f"ls /sys/kernel && echo {SECRET}", f"test -s /etc/hosts && grep -c . /etc/shells && echo {SECRET}",
            ]
            for script in reads:
                check(SECRET in ask(free, script), f"the control of {script}: {ask(free, script)}")
                check(SECRET not in ask(held, script), script)
            writes = [f"echo x > {canary}", f"mkdir -p {outside}; echo x > {canary}", f"cp /bin/true {canary}", f"mv {work}/x {canary}"]
            for script in writes:
                for client, expected in ((held, False), (free, True)):
                    (work / "x").write_text("x")
                    ask(client, script)
                    equal(canary.exists(), expected, script)
                canary.unlink()
            # What a person's own programs would run or trust.
            for name in (".git/hooks/pre-commit", ".git/config", ".mcp.json", ".vscode/tasks.json", ".envrc"):
                script = f"cd {work}; mkdir -p $(dirname {name}); echo planted > {name}; cat {name} 2>/dev/null"
                check("planted" not in ask(held, script), name)
                check("planted" not in ((work / name).read_text() if (work / name).is_file() else ""), name)
            equal(ask(held, f"cd {work}; mkdir -p src; echo fine > src/main.rs; cat src/main.rs"), "fine\n")
        # The names were held only as long as the server ran; where nothing holds them they can be made.
        equal(sorted(entry.name for entry in work.iterdir()), ["src", "x"] if (work / "x").exists() else ["src"])


def case_only_named_hosts_are_reached_and_all_is_recorded():
    with machine() as place:
        reach.only_named_hosts_are_reached(place, shell, confined, PYTHON, HERE, quiet())


def case_a_host_that_is_taken_away_is_gone_at_once():
    with machine() as place:
        reach.a_host_that_is_taken_away_is_gone_at_once(place, shell, confined, PYTHON, HERE, quiet())


def bench(place):
    return held.Bench(place, shell, confined, quiet())


def case_a_secret_reaches_its_host_and_the_server_never_has_it():
    with machine() as place:
        held.a_secret_reaches_its_host_and_the_server_never_has_it(bench(place))


def case_a_placeholder_stays_one_everywhere_else():
    with machine() as place:
        held.a_placeholder_stays_one_everywhere_else(bench(place))


def case_only_some_requests_are_allowed():
    with machine() as place:
        held.only_some_requests_are_allowed(bench(place))


def case_no_more_passes_than_may():
    with machine() as place:
        held.no_more_passes_than_may(bench(place))


def case_a_changed_secret_is_used_at_once_and_one_that_is_gone_is_not():
    with machine() as place:
        held.a_changed_secret_is_used_at_once_and_one_that_is_gone_is_not(bench(place))


def case_what_a_start_needs_goes_with_it_or_before_the_next():
    with machine() as place:
        held.what_a_start_needs_goes_with_it_or_before_the_next(bench(place))


def case_only_who_is_told_to_has_the_secret_itself():
    with machine() as place:
        held.only_who_is_told_to_has_the_secret_itself(bench(place))


def case_mistakes_in_secrets_are_said_and_show_nothing():
    with machine() as place:
        held.mistakes_are_said_and_show_nothing(place)


def case_a_server_cannot_take_off_its_sandbox():
    for own, table in (("bartizan.toml", ""), ("mcp.lock", '[lock]\npath = "{}"\n'), ("audit", '[audit]\ndirectory = "{}"\n')):
        with machine() as place:
            kept = place / ("work" if own == "bartizan.toml" else "outside")
            config, path = kept / "bartizan.toml", place / "work" / own
            text = json.dumps([PYTHON, str(HERE / "server.py")])
            config.write_text(f'{table.format(path)}[listen]\naddress = "127.0.0.1:0"\n[server.held]\ncommand = {text}\n'
                              f'[server.held.sandbox]\nfs.rw = ["{place}/work"]\n')
            environment = os.environ | {"BARTIZAN_HOME": str(place / "outside" / "home"), "NO_COLOR": "1"}
            done = subprocess.run([BINARY, "serve", "--config", str(config)], capture_output=True, text=True, timeout=60, env=environment)
            check(done.returncode != 0 and own in done.stderr and "take off its sandbox" in done.stderr, f"{own}: {done.stderr}")


def case_what_bartizan_is_and_keeps_cannot_be_written_to():
    """Its program, its state, and the configuration that it reads where none is named."""
    for own in ("program", "state", "state/run", "config", "nothing"):
        with machine() as place:
            work, outside = place / "work", place / "outside"
            program = pathlib.Path(BINARY)
            if own == "program":
                program = work / "bartizan"
                shutil.copy(BINARY, program)
            home = {"state": work, "state/run": outside / "home"}.get(own, outside / "home")
            written = {"state/run": outside / "home" / "run"}.get(own, work)
            written.mkdir(parents=True, exist_ok=True)
            settings = work if own == "config" else outside
            config = outside / "bartizan.toml"
            text = json.dumps([PYTHON, str(HERE / "server.py")])
            config.write_text(f'[lock]\npath = "{outside}/mcp.lock"\n[server.held]\ncommand = {text}\n[server.held.sandbox]\n'
                              f'fs.ro = ["{HERE}"]\nfs.rw = ["{written}"]\n')
            environment = os.environ | {"BARTIZAN_HOME": str(home), "XDG_CONFIG_HOME": str(settings), "NO_COLOR": "1"}
            done = subprocess.run([program, "doctor", "--config", str(config)], capture_output=True, text=True, timeout=60, env=environment)
            equal((done.returncode, "take off its sandbox" in done.stdout), (0, False) if own == "nothing" else (1, True), f"{own}: {done.stdout}{done.stderr}")


def case_what_a_program_leaves_is_not_followed_when_it_starts_again():
    """A link in the place of an argument, or of a database: the first start lays it, and the second would have seen what it leads to."""
    for profile, lay, arguments in (("filesystem", "rmdir {work}/sub; ln -s {outside} {work}/sub", ["{work}", "{work}/sub"]),
                                    ("sqlite", "rm {work}/data.db; ln -s {outside}/secret {work}/data.db", ["{work}/data.db"])):
        with machine() as place:
            work, outside = place / "work", place / "outside"
            (work / "data.db").write_text("")
            (work / "sub").mkdir()
            environment = os.environ | {"BARTIZAN_HOME": str(place / "home"), "XDG_CONFIG_HOME": str(place / "home"), "NO_COLOR": "1"}

            def run(script, *words):
                command = [BINARY, "sandbox", "shell", "--profile", profile, "--name", "held", "--", "/bin/sh", "-s", *words]
                done = subprocess.run([word.format(work=work, outside=outside) for word in command], input=script.format(work=work, outside=outside),
                                      capture_output=True, text=True, timeout=60, env=environment)
                return done.stdout + done.stderr
            read = "cat {outside}/secret {work}/data.db {work}/sub/secret; echo x > {outside}/canary; echo done"
            run(lay, arguments[-1] if profile == "sqlite" else "{work}")
            check((work / "sub").is_symlink() or (work / "data.db").is_symlink(), "the first start laid nothing")
            said = run(read, *arguments)
            check("done" in said and SECRET not in said and not (outside / "canary").exists(), f"{profile}: {said}")
            check("is not followed" in said or profile == "sqlite", f"nobody is told: {said}")
            # What the user names is seen.
            (outside / "x.db").write_text("")
            said = run(read, "{outside}" if profile == "filesystem" else "{outside}/x.db")
            check(SECRET in said and (outside / "canary").exists(), f"the twin of {profile}: {said}")
    # Two directories of which one lies in the other: the names of the inner one could not be held.
    with machine() as place:
        (place / "work" / "inner").mkdir()
        done = subprocess.run([BINARY, "sandbox", "shell", "--profile", "git", "--", "/bin/sh", "-s", str(place / "work"), str(place / "work" / "inner")], input="echo ran",
                              capture_output=True, text=True, timeout=60, env=os.environ | {"BARTIZAN_HOME": str(place / "home")})
        check("ran" not in done.stdout and f'"{place}/work/inner" lies in "{place}/work"' in done.stderr, done.stdout + done.stderr)


def case_a_configuration_behind_a_link_is_as_safe():
    with machine() as place:
        real, link = place / "outside" / "real.toml", place / "work" / "bartizan.toml"
        text = json.dumps([PYTHON, str(HERE / "server.py")])
        real.write_text(f'[listen]\naddress = "127.0.0.1:0"\n[lock]\npath = "{place}/outside/mcp.lock"\n[server.held]\ncommand = {text}\n'
                        f'[server.held.sandbox]\nfs.rw = ["{place}/work"]\n')
        link.symlink_to(real)
        environment = os.environ | {"BARTIZAN_HOME": str(place / "outside" / "home"), "NO_COLOR": "1"}
        done = subprocess.run([BINARY, "serve", "--config", str(link)], capture_output=True, text=True, timeout=60, env=environment)
        check(done.returncode != 0 and "take off its sandbox" in done.stderr, done.stderr)


def case_files_of_its_own_are_read_and_stay_as_they_are():
    with machine() as place:
        files = {"/etc/program/settings.json": "{\n  \"a\": 1\n}\n", "/etc/hosts": "127.0.0.1 chosen\n", "/opt/deep/er/x": ""}
        levels = ["process", *(level for level, program in (("container", "runc"), ("vm", "runsc")) if shutil.which(program))]
        servers = {level: shell(confined(place, level=level, fs={"files": files})) for level in levels}
        with Gateway(servers, quiet()) as gateway:
            for level in levels:
                with Raw(gateway, f"/mcp/{level}") as client:
                    run = lambda script: client.text("run", {"script": script})  # noqa: E731
                    for path, text in files.items():
                        equal(run(f"cat {path}"), text, f"{level} {path}")
                    run("echo x > /etc/program/settings.json; rm -f /etc/hosts; chmod 777 /opt/deep/er/x; echo x > /etc/program/more")
                    equal(run("cat /etc/program/settings.json /etc/hosts; cd /etc/program; echo *"), files["/etc/program/settings.json"] + files["/etc/hosts"] + "settings.json\n", level)
        for where in ("/usr/share/x", "/usr/bin/x"):
            with Gateway({"held": shell(confined(place, fs={"files": {where: "planted"}}))}, quiet()) as gateway:
                with contextlib.suppress(AssertionError), Raw(gateway, "/mcp/held"):
                    raise SystemExit(f"a file at {where} was made")
            check(not pathlib.Path(where).exists(), where)
        config = place / "outside" / "bartizan.toml"
        for where in (f"{place}/work/x", "/dev/null/x", f"/proc/self/root{place}/work/x", "/tmp/x", "relative"):
            config.write_text(f'[server.held]\ncommand = ["true"]\n[server.held.sandbox]\nfs.files = {{ "{where}" = "" }}\n')
            done = subprocess.run([BINARY, "config", "check", str(config)], capture_output=True, text=True, timeout=60)
            check(done.returncode != 0 and "no path of a file" in done.stderr + done.stdout, done.stderr + done.stdout)


def case_names_lead_where_the_machine_says_in_its_network():
    with machine() as place:
        host = pathlib.Path("/etc/resolv.conf").read_text()
        with Gateway({"near": shell(confined(place, net={"host": True})), "shut": shell(confined(place))}, quiet()) as gateway:
            for name, same in (("near", True), ("shut", False)):
                with Raw(gateway, f"/mcp/{name}") as client:
                    equal(client.text("run", {"script": "cat /etc/resolv.conf"}) == host, same, name)


def case_a_failure_says_that_it_ran_confined():
    program = ["/bin/sh", "-c", "cat /no/such/file; exit 3"]
    with Gateway({"free": {"command": program}, "held": {"command": program, "sandbox": {}}}, quiet()) as gateway:
        for name, expected in (("free", False), ("held", True)):
            with contextlib.suppress(AssertionError), Raw(gateway, f"/mcp/{name}") as client:
                client.tools()
        lines = [line for line in gateway.said.read_text().splitlines() if "the server fails" in line]
        for name, expected in (("free", False), ("held", True)):
            equal(any("runs confined" in line for line in lines if f"server={name}" in line), expected, lines)


def case_a_script_of_ones_own_is_seen_and_what_lies_beside_it_is_not():
    with machine() as place:
        for name in ("server.mjs", "secret.txt"):
            (place / "outside" / name).write_text("""
                import { readFileSync } from "node:fs"; import { createInterface } from "node:readline";
                for await (const line of createInterface({ input: process.stdin })) {
                  const { id, method, params } = JSON.parse(line);
                  const read = () => { try { return readFileSync(params.arguments.path, "utf8") } catch (error) { return String(error) } };
                  const result = { initialize: () => ({ protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "x", version: "1" } }),
                    "tools/list": () => ({ tools: [{ name: "read", inputSchema: { type: "object", properties: { path: { type: "string" } } } }] }),
                    "tools/call": () => ({ content: [{ type: "text", text: read() }] }) }[method];
                  if (id !== undefined) console.log(JSON.stringify({ jsonrpc: "2.0", id, result: result ? result() : {} }));
                }
            """)
        command = [NODE, str(place / "outside" / "server.mjs")]
        with Gateway({"free": {"command": command}, "held": {"command": command, "sandbox": {}}}, quiet()) as gateway:
            for name, expected in (("free", "createInterface"), ("held", "ENOENT")):
                with Raw(gateway, f"/mcp/{name}") as client:
                    check(expected in client.text("read", {"path": str(place / "outside" / "secret.txt")}), name)


RUNTIMES = {name: level for name, level in (("runc", "container"), ("crun", "container"), ("runsc", "vm"))
            if shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")}


def case_levels_beyond_have_real_servers_and_the_same_walls():
    """A real server, and one that does what it is told, with each runtime that is on this machine."""
    if not RUNTIMES:
        print("no runtime is on this machine: nothing but `process` is tried")
    # With a kernel of its own node takes seconds to start, several times that on a busy machine.
    slow = {"timeout": "300s"}
    for runtime, level in RUNTIMES.items():
        with machine() as place:
            how = {"level": level, "runtime": runtime, "limits": {"memory": "2GiB"}}
            site = reach.site()
            servers = {
                "everything": {"command": node("server-everything", "dist/index.js", "stdio"), "sandbox": npm(place, **how)} | slow,
                "free": shell(),
                "held": shell(confined(place, **how, net={"allow": [f"{reach.SITE}:{site.server_port}"]})) | slow,
            }
            with Gateway(servers, quiet()) as gateway:
                with Raw(gateway, "/mcp/everything") as client:
                    check("7" in json.dumps(client.ask("tools/call", {"name": "get-sum", "arguments": {"a": 3, "b": 4}})), runtime)
                script = f"cat {place}/outside/secret; echo x > {place}/outside/canary; echo fine > {place}/work/x && cat {place}/work/x"
                for name, free in (("held", False), ("free", True)):
                    with Raw(gateway, f"/mcp/{name}") as client:
                        said = client.text("run", {"script": script})
                        equal((SECRET in said, (place / "outside" / "canary").exists(), "fine" in said), (free, free, True), f"{runtime} {name}: {said}")
                with Raw(gateway, "/mcp/held") as client:
                    # The relay is there; where nothing says that the name leads here, the proxy is asked and refuses.
                    for how_asked, host in (("tunnel", "example.com"), ("deaf", "1.1.1.1")):
                        said = client.text("run", {"script": f"{PYTHON} {HERE}/client.py {how_asked} {host} 443"})
                        check(("answer" in said) if how_asked == "tunnel" else ("failed" in said), f"{runtime} {how_asked}: {said}")
                [started] = gateway.entries(kind="gateway.started")
                equal({server["name"]: server["isolation"] for server in started["servers"]}, {"everything": level, "held": level, "free": "none"}, runtime)


def case_a_level_whose_runtime_is_missing_starts_nothing():
    with machine() as place:
        mark = place / "work" / "ran"
        command = ["/bin/sh", "-c", f"echo ran > {mark}"]
        tables = {"gone": {"level": "vm", "runtime": "/no/such/runsc"}, "broken": {"level": "container", "runtime": str(place / "outside" / "runc")}}
        # A program that ends without having started anything.
        shutil.copy("/bin/false", place / "outside" / "runc")
        servers = {name: {"command": command, "sandbox": confined(place, **table)} for name, table in tables.items()}
        with Gateway(servers, quiet()) as gateway:
            for name, said in (("gone", "apt install runsc"), ("broken", "start the server with runc")):
                with contextlib.suppress(AssertionError), Raw(gateway, f"/mcp/{name}") as client:
                    client.tools()
                    raise SystemExit(f"{name} was started")
                wait_for(lambda: said in gateway.said.read_text() + json.dumps(gateway.entries()), f"nobody is told of {said}")
        check(not mark.exists(), "it ran")


# What `run` takes for a server without a sandbox.
def case_a_host_that_cannot_confine_says_so_and_starts_nothing():
    """Within a user namespace in which nobody may have another, beside one in which they may."""
    with machine() as place:
        marker = place / "work" / "ran"
        environment = os.environ | {"BARTIZAN_HOME": str(place / "home"), "NO_COLOR": "1"}

        def on_a_host(namespaces, *words):
            limit = "true" if namespaces else "echo 0 > /proc/sys/user/max_user_namespaces"
            return subprocess.run(["unshare", "--user", "--map-root-user", "sh", "-c", f'{limit} && exec "$@"', "sh", BINARY, *map(str, words)], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=120, cwd=place / "work", env=environment)
        for namespaces in (True, False):
            done = on_a_host(namespaces, "run", "--standalone", "--", "/bin/sh", "-c", "touch ran", place / "work")
            equal((done.returncode == 0, marker.exists()), (namespaces, namespaces), done.stderr)
            check(namespaces or ("make a user namespace" in done.stderr and "`bartizan doctor` says what to do" in done.stderr), done.stderr)
            marker.unlink(missing_ok=True)
            done = on_a_host(namespaces, "doctor")
            equal("let users make namespaces" in done.stdout, not namespaces, done.stdout)
            # What shows how it works does so without, says it, and leaves the servers confined where it can.
            done = on_a_host(namespaces, "demo", "--once", "--listen", "127.0.0.1:0")
            equal((done.returncode, "servers cannot be confined here" in done.stdout + done.stderr), (0, not namespaces), done.stdout + done.stderr)


FREE = ["--level", "none", "--allow-unconfined"]


def case_unconfined_is_said_twice_or_nothing_starts():
    with machine() as place:
        config, home = place / "outside" / "bartizan.toml", place / "outside" / "home"
        text = json.dumps([PYTHON, str(HERE / "server.py")])
        config.write_text(f'[listen]\naddress = "127.0.0.1:0"\n[lock]\npath = "{place}/outside/mcp.lock"\n[server.free]\ncommand = {text}\n'
                          '[server.free.sandbox]\nlevel = "none"\n[server.held]\n' f'command = {text}\n[server.held.sandbox]\n')
        environment = os.environ | {"BARTIZAN_HOME": str(home), "NO_COLOR": "1"}
        serve = [BINARY, "serve", "--config", str(config)]
        for options, said in (([], "--allow-unconfined free"), (["--allow-unconfined", "free", "--allow-unconfined", "held"], "no server of that name")):
            done = subprocess.run([*serve, *options], capture_output=True, text=True, timeout=60, env=environment)
            check(done.returncode != 0 and said in done.stderr, f"{options}: {done.stderr}")
        entries = lambda: auditlog.entries_below(home)  # noqa: E731
        unconfined = lambda: [entry["server"] for entry in entries() if entry["kind"] == "server.unconfined"]  # noqa: E731
        equal(unconfined(), [], "recorded, although nothing started")
        process = subprocess.Popen([*serve, "--allow-unconfined", "free"], stderr=subprocess.PIPE, text=True, env=environment)
        try:
            wait_for(lambda: any(entry["kind"] == "gateway.started" for entry in entries()), "it does not start")
            equal(unconfined(), ["free"], "what the log says")
            [started] = [entry for entry in entries() if entry["kind"] == "gateway.started"]
            equal({server["name"]: server["isolation"] for server in started["servers"]}, {"free": "none", "held": "process"}, "how they run")
            # A changed file takes no other sandbox off.
            text_of = config.read_text()
            config.write_text(text_of + 'level = "none"\n')
            process.send_signal(signal.SIGHUP)
            wait_for(lambda: any(entry["kind"] == "config.refused" and "--allow-unconfined held" in json.dumps(entry) for entry in entries()), "it is not refused")
            equal(unconfined(), ["free"], "what the log says after that")
            # Where it may, the log has how each runs from then on.
            for level in ("process", "none"):
                count = len([entry for entry in entries() if entry["kind"] == "config.reloaded"])
                config.write_text(text_of.replace('level = "none"', f'level = "{level}"'))
                process.send_signal(signal.SIGHUP)
                reloaded = lambda: [entry for entry in entries() if entry["kind"] == "config.reloaded"][count:]  # noqa: E731, B023
                [entry] = wait_for(reloaded, f"{level} is not taken")
                equal({server["name"]: server["isolation"] for server in entry["servers"]}, {"free": level, "held": "process"}, "after a reload")
                equal(entry["isolation"], level, "of the one that is kept apart the least")
            equal(unconfined(), ["free", "free"], "what the log says of the one that is free again")
        finally:
            process.terminate()
            process.communicate(timeout=60)
        # One line for all is one word as well.
        config.write_text(config.read_text().split("[server.free.sandbox]")[0] + "[sandbox]\ndefault = 'none'\n")
        done = subprocess.run(serve, capture_output=True, text=True, timeout=60, env=environment)
        check(done.returncode != 0 and "--allow-unconfined free" in done.stderr, done.stderr)
        equal(unconfined(), ["free", "free"], "recorded, although nothing started")
        held = config.read_text()
        config.write_text(held.replace("'none'", "'auto'"))
        with subprocess.Popen([*serve, "--allow-unconfined"], stderr=subprocess.PIPE, text=True, env=environment) as process:
            line = " "
            while line and "serves MCP at" not in line and "no server is of the level" not in line:
                line = process.stderr.readline()
            process.terminate()
        check("no server is of the level" in line, line)
        config.write_text(held)
        process = subprocess.Popen([*serve, "--allow-unconfined"], stderr=subprocess.PIPE, text=True, env=environment)
        try:
            wait_for(lambda: unconfined() == ["free"] * 3, "it does not start")
        finally:
            process.terminate()
            process.communicate(timeout=60)
        run = [BINARY, "run", "--standalone", "--config", str(config), "--name", "x"]
        for options, said in (([], "leaves servers unconfined"), (["--allow-unconfined"], None), (["--profile", "strict", "--allow-unconfined"], "cannot be used"),
                              (["--level", "process", "--allow-unconfined"], "no level but `none`"), (["--level", "process"], "")):
            done = subprocess.run([*run, *options, "--", "sh", "-c", f"cat {place}/outside/secret >&2"], capture_output=True, text=True,
                                  timeout=60, stdin=subprocess.DEVNULL, env=environment)
            equal(SECRET in done.stderr, said is None, f"{options}: {done.stderr}")
            check(not said or done.returncode == 2 and said in done.stderr, f"{options}: {done.stderr}")


def case_a_script_does_not_choose_what_is_seen_with_it():
    with machine() as place:
        script = place / "work" / "server"
        for line, starts in (("/bin/sh", True), ("/usr/bin/env sh", True), (f"/usr/bin/env -S -u {place}/outside sh", True), (f"/usr/bin/env -S -u {place}/outside/secret sh", True)):
            script.write_text(f"#!{line}\necho started >&2; cat {place}/outside/secret >&2\n")
            script.chmod(0o755)
            for options in ([], ["--sandbox"], ["--profile", "strict"]):
                said = told(place / "home", [script], *options)
                check(SECRET not in said and ("started" in said or "limit" in said) == starts, f"{line} {options}: {said}")
            check(SECRET in told(place / "home", [script], *FREE), "the control")


def case_programs_are_named_from_where_the_client_is():
    with machine() as place:
        project, home = place / "outside" / "project", place / "home"
        (project / "dist").mkdir(parents=True)
        (project / "helper").write_text("the helper\n")
        for name in ("server", "dist/server"):
            (project / name).write_text(f"#!/bin/sh\necho started >&2; cat {project}/helper >&2; cat {place}/outside/secret >&2\n")
            (project / name).chmod(0o755)
        for has_one in (False, True):
            if has_one:
                (project / "package.json").write_text("{}")
            for command in (["./server"], ["dist/server"], ["sh", "server"], ["sh", "./server"], ["sh", "dist/server"], ["sh", project / "dist/server"]):
                said = told(home, command, cwd=project)
                check("started" in said and SECRET not in said, f"{command}: {said}")
                # With a file that says that it is a program's, its directory is seen.
                equal("the helper" in said, has_one, f"{command}: {said}")


def case_what_is_lost_is_said_before():
    with machine() as place:
        notes, home = place / "outside" / "notes.db", place / "home"
        line = lambda path: f"does not see {path}; what it writes there is lost"  # noqa: E731
        for command, options, said_so in ((["sh", "-c", "true", notes], [], True), (["sh", "-c", "true", f"--at={notes}"], [], True),
                                          (["sh", "-c", "true", notes], ["--rw", str(place / "outside")], False), (["sh", "-c", "true", notes], FREE, False),
                                          (["sh", "-c", "true", "/usr/share/x"], [], False), (["sh", "-c", "true", place / "work"], [], False)):
            said = told(home, command, *options)
            equal(line(notes) in said, said_so, f"{command} {options}: {said}")
            check(said_so or "is lost" not in said, f"{command} {options}: {said}")
        os.environ["NOTES_FILE"] = str(notes)
        try:
            for options, said_so in ((["--pass-env", "NOTES_FILE"], True), ([], False), (["--pass-env", "NOTES_FILE", "--rw", str(place / "outside")], False)):
                equal("does not see what `NOTES_FILE` names" in told(home, ["true"], *options), said_so, f"{options}")
        finally:
            del os.environ["NOTES_FILE"]
        config = place / "outside" / "bartizan.toml"
        config.write_text(f'[server.x]\ncommand = ["sh", "-c", "true", "{notes}"]\nenv = {{ NOTES_FILE = "{notes}" }}\n')
        done = subprocess.run([BINARY, "config", "check", str(config)], capture_output=True, text=True, timeout=60)
        check("the program does not see" in done.stderr and str(notes) in done.stderr and "what `NOTES_FILE` names" in done.stderr and done.returncode == 0, done.stderr)


def case_what_only_reports_keeps_nothing_from_starting():
    with machine() as place:
        home, started = place / "home", ["sh", "-c", "echo started >&2"]
        (home / "state").mkdir(parents=True)
        # No directory can be made there.
        (home / "state" / "ways-out").write_text("")
        check("started" in told(home, started), "nothing would have left by the way out that there is no place for")
        # Whoever is promised hosts does not start without them.
        said = told(home, started, "--allow", "a.example:443")
        check("started" not in said and "way out" in said, said)


def case_a_client_is_told_of_hosts_that_its_server_is_kept_from():
    with machine() as place:
        home = place / "home"
        (home / "config" / "bartizan").mkdir(parents=True)
        (home / "config" / "bartizan" / "bartizan.toml").write_text(quiet())
        environment = os.environ | {"BARTIZAN_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config"), "NO_COLOR": "1"}
        asks = "import urllib.request\nfor host in ('a.example', 'b.example', 'a.example', '10.0.0.1', 'a.internal'):\n  try: urllib.request.urlopen(f'http://{host}/', timeout=20)\n  except OSError: pass"
        line = lambda host: f"bartizan: x was kept from {host}:80 (egress.not_allowed); --allow {host}:80 lets it"  # noqa: E731
        for more in ([], ["--standalone"]):
            for options, told in (([], True), (["--allow", "c.example:443"], True), (["--sandbox"], False)):
                command = [BINARY, "run", *more, "--name", "x", *options, "--", PYTHON, "-c", asks]
                process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=environment)
                said = process.communicate(timeout=60)[1]
                equal([said.count(line(host)) for host in ("a.example", "b.example")], [int(told)] * 2, f"{more} {options}: {said}")
                # What is nobody's public name is told, and not proposed.
                equal([said.count(f"was kept from {host}:80") for host in ("10.0.0.1", "a.internal")], [int(told)] * 2, f"{more} {options}: {said}")
                check("--allow 10" not in said and "--allow a.internal" not in said, said)
            refused = [entry for entry in auditlog.entries_below(home) if entry["kind"] == "egress.refused"]
            check({entry["host"] for entry in refused} == {"a.example", "b.example", "10.0.0.1", "a.internal"}, f"{refused}")


def case_what_a_client_starts_is_confined_where_the_command_says_so():
    with machine() as place:
        outside, work, home = place / "outside", place / "work", place / "home"
        (home / "config" / "bartizan").mkdir(parents=True)
        (home / "config" / "bartizan" / "bartizan.toml").write_text(quiet())
        site = reach.site()
        program, see = [PYTHON, str(HERE / "server.py")], ["--ro", str(HERE), "--rw", str(work)]
        for more in ([], ["--standalone"]):
            for options, confined_so in ((FREE, False), (["--sandbox"], True), (see, True), ([*see, "--allow", f"{reach.SITE}:{site.server_port}"], True)):
                with Wrapped(home, "shell", program, *more, *options, confined=True) as client:
                    ask = lambda script: client.result("tools/call", {"name": "run", "arguments": {"script": script}})["content"][0]["text"]  # noqa: E731
                    equal(SECRET in ask(f"cat {outside}/secret"), not confined_so, f"{more} {options}")
                    equal("fine" in ask(f"echo fine > {work}/x && cat {work}/x"), not confined_so or options != ["--sandbox"], f"{more} {options}")
                    if "--allow" in options:
                        # Where nothing says that a name leads here, the proxy is asked and refuses; without one there is nobody to ask.
                        check("answer" in ask(f"{PYTHON} {HERE}/client.py tunnel example.com 443"), "the relay is not there")
        log = auditlog.text_below(home)
        check('"isolation":"process"' in log.replace(" ", "") and '"isolation":"none"' in log.replace(" ", ""), "the log does not say how it ran")
        for wrong, said in ((["--rw", "/"], "whole file system"), (["--allow", "example.com"], "port"), (["--rw", str(home / "state")], "take off its sandbox")):
            done = subprocess.run([BINARY, "run", "--name", "x", *wrong, "--", *program], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                                  env=os.environ | {"BARTIZAN_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config")})
            check(done.returncode != 0 and said in done.stderr, f"{wrong}: {done.stderr}")
        subprocess.run([BINARY, "daemon", "--stop"], capture_output=True, timeout=60, env=os.environ | {"BARTIZAN_HOME": str(home / "state")})


def case_what_is_passed_to_a_server_is_all_it_gets():
    with machine() as place, contextlib.ExitStack() as stack:
        agent = stack.enter_context(socket.socket(socket.AF_UNIX))
        agent.bind(str(place / "outside" / "agent"))
        agent.listen()
        agent.settimeout(20)
        os.environ["SSH_AUTH_SOCK"] = agent.getsockname()
        stack.callback(os.environ.pop, "SSH_AUTH_SOCK")
        servers = {"held": shell(confined(place)) | {"env": {"GIVEN": "given"}}, "free": shell() | {"env": {"SSH_AUTH_SOCK": agent.getsockname()}}}
        gateway = stack.enter_context(Gateway(servers, quiet()))
        ask = f"{PYTHON} -c 'import os, socket, sys; socket.socket(socket.AF_UNIX).connect(os.environ.get(\"SSH_AUTH_SOCK\", sys.argv[1])); print(\"asked\")' {agent.getsockname()}"
        with Raw(gateway, "/mcp/free") as client:
            check("asked" in client.text("run", {"script": ask}), "the control: whoever is told of an agent asks it")
            agent.accept()[0].close()
        with Raw(gateway, "/mcp/held") as client:
            said = client.text("run", {"script": ask})
            check("Error" in said and "asked" not in said, said)
            said = client.text("run", {"script": "env; pwd; ls -a $HOME; echo x > $HOME/f && cat $HOME/f; id -u"})
            check("SSH_AUTH_SOCK" not in said, said)
            check("GIVEN=given" in said and "TMPDIR" not in said and "BARTIZAN" not in said, said)
            check(f"\nx\n{os.getuid()}\n" in said, said)


def case_a_server_over_its_memory_ends_alone():
    with machine() as place:
        small = confined(place, limits={"memory": "96MiB"})
        with Gateway({"greedy": shell(small), "other": shell(confined(place))}, quiet()) as gateway:
            with Raw(gateway, "/mcp/other") as other:
                with Raw(gateway, "/mcp/greedy") as client:
                    equal(client.text("run", {"script": "echo alive"}), "alive\n")
                    answer = client.ask("tools/call", {"name": "run", "arguments": {"script": "take all memory"}})
                    check("upstream.ended" in json.dumps(answer) and "(96 MiB: `limits.memory`)" in json.dumps(answer), answer)
                equal(other.text("run", {"script": "echo alive"}), "alive\n")
            wait_for(lambda: "more memory than its sandbox" in gateway.said.read_text() + json.dumps(gateway.entries()), "nobody says why it ended")


def case_what_some_servers_take_others_do_not_lack():
    bombs = {
        "forks": "f() { f | f & }; f; sleep 2; echo over",
        "memory": "take all memory",
        "files": "for place in $HOME/a $HOME/b /tmp/c; do dd if=/dev/zero of=$place bs=1M; done; echo over",
        "words": "yes 'one line of many' | head -c 8000000 > /proc/$PPID/fd/2; echo over",
    }
    with machine() as place:
        small = confined(place, limits={"memory": "96MiB", "pids": 40, "fsize": "8MiB"}, fs={"tmp": "16MiB"})
        with Gateway({name: shell(small) for name in bombs} | {"good": shell(confined(place))}, quiet()) as gateway, contextlib.ExitStack() as stack:
            good = stack.enter_context(Raw(gateway, "/mcp/good"))
            clients = {name: stack.enter_context(Raw(gateway, f"/mcp/{name}")) for name in bombs}
            ended = {}

            def explode(name):
                with contextlib.suppress(AssertionError, OSError):
                    ended[name] = json.dumps(clients[name].ask("tools/call", {"name": "run", "arguments": {"script": bombs[name]}}))
            threads = [threading.Thread(target=explode, args=(name,)) for name in bombs]
            for thread in threads:
                thread.start()
            answered = 0
            while any(thread.is_alive() for thread in threads):
                equal(good.text("run", {"script": f"echo {answered} > {place}/work/x && cat {place}/work/x"}), f"{answered}\n")
                answered += 1
            check(answered > 3, answered)
            check("upstream.ended" in ended["memory"], ended)
            # A shell that gets no more processes says so; its answer came when the last of them had ended.
            check(any(words in ended["forks"] for words in ("Cannot fork", "Resource temporarily unavailable")), ended["forks"])
            # Each was stopped by its own limit, and what did not end of it works on.
            for name in ("forks", "files", "words"):
                check("over" in ended[name] or name == "forks", ended)
                equal(clients[name].text("run", {"script": "echo alive"}), "alive\n", name)
            check("File size limit exceeded" in ended["files"] and "No space left" in ended["files"], ended["files"])
            said = gateway.said.stat().st_size
            check(said < 8 << 20, f"{said} bytes of a server's words are in the log")


def case_what_cannot_be_confined_is_not_started():
    with machine() as place:
        missing = shell(confined(place, fs={"rw": [str(place / "gone")]}))
        demanding = shell(confined(place, require=["landlock>=9999"]))
        with Gateway({"missing": missing, "demanding": demanding}, quiet()) as gateway:
            for name, said in (("missing", "gone"), ("demanding", "landlock>=9999")):
                # Where programs are is not for clients; the operator is told.
                with contextlib.suppress(AssertionError), Raw(gateway, f"/mcp/{name}") as client:
                    client.tools()
                    raise SystemExit(f"{name} was started")
                wait_for(lambda: said in gateway.said.read_text() + json.dumps(gateway.entries()), f"nobody is told of {said}")


def case_mistakes_in_the_table_are_shown():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        config = pathlib.Path(folder) / "bartizan.toml"
        for line, said in (('fs.rw = ["/"]', "whole file system"), ('fs.ro = ["../x"]', "without `..`"), ('fs.deny = ["/etc/"]', "no name below"),
                           ('require = ["seatbelts"]', "nothing that can be required"), ('limits.pids = 0', "nothing starts"),
                           ('limits.cpu = -1.0', "number of processors"), ('level = "jail"', "level"), ('level = "vm"\nruntime = "runc"', "gives the level"), ('level = "container"\nruntime = "docker"', "no runtime that is known"),
                           ('level = "container"\nruntime = "bin/runc"', "whole path"), ('runtime = "runc"', "needs no runtime"), ('level = "none"\nnet.host = true', "confines nothing"), ('fs.rw = ["~/notes"]', "pattern of shells"), ('fs.ro = ["/home/*/x"]', "pattern of shells"),
                           ('fs.deny = ["*.env"]', "no name below"), ('net.allow = ["example.com"]', "port"), ('net.allow = ["*.com:443"]', "star"),
                           ('net.allow = ["metadata.google.internal:80"]', "metadata"), ('net.private = ["10.0.0.0/8"]', "there are none"),
                           ('net = {host = true, allow = ["example.com:443"]}', "means nothing")):
            config.write_text(f'[server.x]\ncommand = ["true"]\n[server.x.sandbox]\n{line}\n')
            done = subprocess.run([BINARY, "config", "check", str(config)], capture_output=True, text=True, timeout=60)
            check(done.returncode == 2 and said in done.stdout + done.stderr, f"{line}: {done.stdout}{done.stderr}")


def case_what_is_not_there_is_said_before():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        config = pathlib.Path(folder) / "bartizan.toml"
        config.write_text('[server.x]\ncommand = ["true"]\n[server.x.sandbox]\nfs.rw = ["/nope/a"]\nfs.ro = ["/nope/b", "/usr"]\n')
        done = subprocess.run([BINARY, "config", "check", str(config)], capture_output=True, text=True, timeout=60)
        said = done.stdout + done.stderr
        check("there is no /nope/a" in said and "there is no /nope/b" in said and "there is no /usr" not in said, said)


if __name__ == "__main__":
    long = [kernels] if os.environ.get("BARTIZAN_TEST_LONG") == "1" else []
    sys.exit(run_cases(cases_of(globals(), killed, led, *long)))
