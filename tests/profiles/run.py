#!/usr/bin/env python3
"""Profiles of confined servers: under each a real server does its work, and is kept from what it has no business with.

    run.py [PART ...]    only cases whose name contains one of these

What npx and uvx fetch comes from the registries of this machine, wherever its npm and pip have them.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tests" / "aggregate"), str(ROOT / "tests" / "sandbox")]
import held  # noqa: E402
import packages  # noqa: E402
import reach  # noqa: E402
import harness  # noqa: E402
from machine import SECRET, machine, quiet  # noqa: E402
from harness import BINARY, TOOLS, Gateway, Raw, Wrapped, cases_of, check, equal, run_cases, wait_for  # noqa: E402

PYTHON, NODE = str(TOOLS / "python" / "bin" / "python3"), str((TOOLS / "bin" / "node").resolve())
SHELL = ROOT / "tests" / "sandbox" / "server.py"
EVERYTHING, TIME = "@modelcontextprotocol/server-everything@2026.8.31", "mcp-server-time@2026.10.19"
GIT = "mcp-server-git@2026.10.19"


@functools.cache
def registry():
    """Where npm fetches from: the URL if it is not the usual one, the host and port, and ranges that it may lead to."""
    url = subprocess.run(["npm", "config", "get", "registry"], capture_output=True, text=True, cwd="/", check=True).stdout.strip()
    usual = "registry.npmjs.org" in url
    return (None if usual else url), reached(url)


@functools.cache
def index():
    done = subprocess.run([PYTHON, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True)
    url = done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else "https://pypi.org/simple"
    hosts = ["https://files.pythonhosted.org"] if "//pypi.org" in url else []
    return (url if not hosts else None), [entry for one in (url, *hosts) for entry in reached(one)]


def reached(url):
    parts = urllib.parse.urlsplit(url)
    return [f"{parts.hostname}:{parts.port or 443}"]


# Where a mirror is at an address that no sandbox may reach, it is led to from here.
MIRROR = "127.86.4.43"


def is_mirrored(hosts):
    found = {entry[4][0] for host in hosts for entry in socket.getaddrinfo(host.rsplit(":", 1)[0], 443, type=socket.SOCK_STREAM)}
    return not all(ipaddress.ip_address(address).is_global for address in found)


def private(hosts):
    return [f"{MIRROR}/32"] if is_mirrored(hosts) else []


def pump(one, other):
    with contextlib.suppress(OSError):
        while piece := one.recv(65536):
            other.sendall(piece)
    with contextlib.suppress(OSError):
        other.shutdown(socket.SHUT_WR)


@functools.cache
def mirror(address):
    """Leads to where the registry is."""
    door = socket.create_server((MIRROR, 443), reuse_port=True)

    def serve():
        while True:
            near, _ = door.accept()
            far = socket.create_connection((address, 443))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=pump, args=pair, daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()


@contextlib.contextmanager
def registries(place, hosts):
    """A gateway that starts in here reaches these hosts."""
    if not is_mirrored(hosts):
        yield
        return
    names = [host.rsplit(":", 1)[0] for host in hosts]
    mirror(socket.gethostbyname(names[0]))
    with reach.names(place, {name: MIRROR for name in names}):
        yield


def fetched(profile, **more):
    """The table of a server that is installed from the registries of this machine."""
    url, hosts = registry() if profile == "npx" else index()
    install = {"net": {"allow": hosts, "private": private(hosts)}} | ({"registry": url} if url else {})
    return {"profile": profile, "install": install | more.pop("install", {})} | more


def shell(sandbox, *arguments):
    return {"command": [PYTHON, str(SHELL), *map(str, arguments)], "sandbox": sandbox}


def node(package, *arguments):
    return [NODE, str(TOOLS / "npm" / "node_modules" / "@modelcontextprotocol" / package / "dist" / "index.js"), *map(str, arguments)]


def repository(place):
    git = lambda *words: subprocess.run(["git", "-C", str(place), "-c", "user.name=a", "-c", "user.email=a@b.example", *words],  # noqa: E731
                                        check=True, capture_output=True, text=True).stdout
    place.mkdir()
    git("init", "-q")
    git("config", "user.name", "a")
    git("config", "user.email", "a@b.example")
    (place / "file").write_text("first\n")
    git("add", "file")
    git("commit", "-q", "-m", "begin")
    return git


def asker(stack, gateway):
    clients = {}

    def ask(name, tool, arguments):
        if name not in clients:
            clients[name] = stack.enter_context(Raw(gateway, f"/mcp/{name}"))
        return json.dumps(clients[name].ask("tools/call", {"name": tool, "arguments": arguments}))
    return ask


def bartizan(*words, home=None, **more):
    environment = os.environ | {"NO_COLOR": "1"} | ({"BARTIZAN_HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")} if home else {})
    return subprocess.run([harness.BINARY, *map(str, words)], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
                          env=environment | more.pop("env", {}), **more)


def case_filesystem_changes_what_its_command_names_and_nothing_else():
    with machine() as place, contextlib.ExitStack() as stack:
        work = place / "work"
        (work / "note.txt").write_text("a note\n")
        held = {"profile": "filesystem"}
        servers = {"files": {"command": node("server-filesystem", work), "sandbox": held}, "shell": shell(held | {"fs": {"ro": [str(SHELL.parent)]}}, work)}
        gateway = stack.enter_context(Gateway(servers, quiet()))
        ask = asker(stack, gateway)
        check("a note" in ask("files", "read_text_file", {"path": str(work / "note.txt")}))
        check("Success" in ask("files", "write_file", {"path": str(work / "new.txt"), "content": "written"}))
        equal((work / "new.txt").read_text(), "written")
        ask("files", "create_directory", {"path": str(work / ".git" / "hooks")})
        ask("files", "write_file", {"path": str(work / ".git" / "hooks" / "pre-commit"), "content": "planted"})
        ask("files", "write_file", {"path": str(work / ".mcp.json"), "content": "planted"})
        for name in (".git/hooks/pre-commit", ".mcp.json"):
            check(not (work / name).is_file() or "planted" not in (work / name).read_text(), name)
        run = lambda script: ask("shell", "run", {"script": script})  # noqa: E731
        check("fine" in run(f"echo fine > {work}/x; cat {work}/x"), "the control")
        check(SECRET not in run(f"cat {place}/outside/secret"))
        run(f"echo x > {place}/outside/canary; echo planted > {work}/.envrc")
        check(not (place / "outside" / "canary").exists())
        check("Network is unreachable" in run(f"{PYTHON} -c 'import socket; socket.create_connection((\"192.0.2.1\", 443), 5)'"))


def case_git_commits_and_neither_changes_nor_runs_what_git_trusts():
    with machine() as place, contextlib.ExitStack() as stack:
        work = place / "work" / "repository"
        git = repository(work)
        hook = work / ".git" / "hooks" / "pre-commit"
        hook.write_text(f"#!/bin/sh\necho ran > {work}/canary; (echo ran > {place}/outside/canary) 2>/dev/null; exit 0\n")
        hook.chmod(0o755)
        (work / "file").write_text("first\nsecond\n")
        held = {"profile": "git"}
        servers = {"git": {"command": [str(TOOLS / "python" / "bin" / "mcp-server-git"), "--repository", str(work)], "sandbox": held},
                   "shell": shell(held | {"fs": {"ro": [str(SHELL.parent)]}}, f"--repository={work}")}
        gateway = stack.enter_context(Gateway(servers, quiet()))
        ask = asker(stack, gateway)
        check("+second" in ask("git", "git_diff_unstaged", {"repo_path": str(work)}))
        ask("git", "git_add", {"repo_path": str(work), "files": ["file"]})
        said = ask("git", "git_commit", {"repo_path": str(work), "message": "more"})
        check("more" in git("log", "--oneline"), said)
        # The library that this server uses runs hooks by itself, in the sandbox.
        check(not (place / "outside" / "canary").exists(), "a hook reached outside")
        (work / "canary").unlink(missing_ok=True)
        run = lambda script: ask("shell", "run", {"script": script})  # noqa: E731
        check("more" in run(f"git -C {work} log --oneline"), "the control")
        run(f"cd {work}; git commit -q --allow-empty -m third")
        check("third" in git("log", "--oneline") and not (work / "canary").exists(), "a hook ran")
        run(f"cd {work}; echo x > .git/hooks/post-merge; git config core.fsmonitor 'touch {work}/canary'; echo '[x]' >> .git/config; "
            f"echo 'ref: x' > .git/commondir; rm -rf .git/hooks; mv .git .tig")
        check(not (work / ".git" / "hooks" / "post-merge").exists() and hook.exists() and "fsmonitor" not in git("config", "--list"))
        check("ssh" not in run("env | grep -i ssh_auth"))


def case_a_database_is_written_with_its_journal_and_nothing_else():
    with machine() as place, contextlib.ExitStack() as stack:
        data = place / "work" / "data"
        data.mkdir()
        held = {"profile": "sqlite", "fs": {"ro": [str(SHELL.parent)]}}
        gateway = stack.enter_context(Gateway({"shell": shell(held, "--db-path", data / "new.db")}, quiet()))
        ask = asker(stack, gateway)
        program = "import sqlite3; c = sqlite3.connect(\\\"{}\\\"); c.execute(\\\"create table t(x)\\\"); c.commit(); print(\\\"made\\\")"
        run = lambda path: ask("shell", "run", {"script": f'{PYTHON} -c "{program.format(path)}"'})  # noqa: E731
        check("made" in run(data / "new.db"), "the control")
        check((data / "new.db").stat().st_size > 0)
        check("made" not in run(place / "outside" / "other.db") and not (place / "outside" / "other.db").exists())


def case_strict_has_little_room_or_does_not_start():
    with machine() as place:
        done = bartizan("sandbox", "shell", "--profile", "strict", "--", "sh", "-c", "ulimit -n; echo x > /usr/x || echo refused", home=place / "home")
        if done.returncode == 0:
            check("256" in done.stdout and "refused" in done.stdout, done.stdout + done.stderr)
        else:
            check(any(word in done.stderr for word in ("memory_limit", "pids_limit", "landlock")), done.stdout + done.stderr)


def installed(gateway):
    return gateway.entries(kind="server.installed")


def case_npx_is_installed_once_and_runs_without_the_registry():
    with machine() as place, contextlib.ExitStack() as stack:
        registry()
        # An npm that says what it sees, before it is what it is.
        programs = place / "outside" / "bin"
        programs.mkdir()
        (programs / "npm").write_text(f'#!/bin/sh\nenv > seen.txt\ncat {place}/outside/secret >> seen.txt 2>/dev/null\nexec {shutil.which("npm")} "$@"\n')
        (programs / "npm").chmod(0o755)
        os.environ["PATH"], before = f"{programs}:{os.environ['PATH']}", os.environ["PATH"]
        stack.callback(os.environ.__setitem__, "PATH", before)
        server = {"command": ["npx", "-y", EVERYTHING], "sandbox": fetched("npx"), "env": {"TOKEN": SECRET}, "timeout": "120s"}
        stack.enter_context(registries(place, registry()[1]))
        gateway = stack.enter_context(Gateway({"everything": server}, quiet()))

        def works():
            with Raw(gateway, "/mcp/everything") as client:
                return json.dumps(client.ask("tools/call", {"name": "get-sum", "arguments": {"a": 3, "b": 4}}))
        # Who asks first may give up before all of it is there; who asks then finds it.
        with contextlib.suppress(AssertionError, OSError):
            works()
        wait_for(lambda: installed(gateway), "it is not installed", limit=300)
        check("7" in works())
        [entry] = installed(gateway)
        check(entry["packages"] == [EVERYTHING] and entry["version"] == "2026.8.31" and entry["files"] > 100, entry)
        opened = len(gateway.entries(kind="egress.opened"))
        check(opened > 0, "nothing was fetched through the proxy")
        [tree] = [path.parent for path in (gateway.home / "packages").rglob("tree/node_modules")]
        seen = (tree / "seen.txt").read_text()
        check("PATH=" in seen and SECRET not in seen and "TOKEN" not in seen, "the installer sees secrets")
        # What runs sees the token, cannot change what was installed, and reaches no registry.
        host = registry()[1][0].split(":")[0]
        look = f"env | grep -c TOKEN=; echo x >> {tree}/package.json || echo fixed; " \
               f"node -e \"fetch('https://{host}/').then(() => console.log('reached'), () => console.log('away'))\"; ls {place}/outside"
        done = bartizan("sandbox", "shell", "everything", "--config", gateway.config, "--", "sh", "-c", look, env={"BARTIZAN_HOME": str(gateway.home)})
        check(done.stdout.split() == ["1", "fixed", "away"], done.stdout + done.stderr)
        check("in the sandbox of everything" in done.stderr, done.stderr)
        gateway.again()
        check("7" in works())
        equal((len(installed(gateway)), len(gateway.entries(kind="egress.opened"))), (1, opened), "it was fetched anew")
        # What changes is not started, until somebody has it installed anew.
        with (tree / "node_modules" / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js").open("a") as script:
            script.write("\n// changed\n")
        with contextlib.suppress(AssertionError):
            check("7" not in works(), "what was changed is started")
        wait_for(lambda: gateway.entries(kind="server.packages_changed"), "nobody notices")
        check("--update" in gateway.said.read_text(), "nobody says what to do")
        done = bartizan("sandbox", "install", "everything", "--update", "--config", gateway.config, env={"BARTIZAN_HOME": str(gateway.home)})
        check(done.returncode == 0 and "2026.8.31 is installed" in done.stdout, done.stdout + done.stderr)
        # One that failed at its start is left alone for a while.
        gateway.again()
        check("7" in works())


@functools.cache
def python_programs():
    """uv, and a server that fetches pages."""
    return TOOLS / "python" / "bin"


def case_uvx_is_installed_once_and_runs_without_the_index():
    with machine() as place, contextlib.ExitStack() as stack:
        os.environ["PATH"], before = f"{python_programs()}:{os.environ['PATH']}", os.environ["PATH"]
        stack.callback(os.environ.__setitem__, "PATH", before)
        server = {"command": ["uvx", TIME, "--local-timezone", "UTC"], "sandbox": fetched("uvx"), "env": {"TOKEN": SECRET}, "timeout": "120s"}
        stack.enter_context(registries(place, index()[1]))
        gateway = stack.enter_context(Gateway({"time": server}, quiet()))

        def works():
            with Raw(gateway, "/mcp/time") as client:
                return json.dumps(client.ask("tools/call", {"name": "get_current_time", "arguments": {"timezone": "UTC"}}))
        check("UTC" in works(), works())
        [entry] = installed(gateway)
        check(entry["packages"] == ["mcp-server-time==2026.10.19"], entry)
        opened = len(gateway.entries(kind="egress.opened"))
        gateway.again()
        check("UTC" in works())
        equal((len(installed(gateway)), len(gateway.entries(kind="egress.opened"))), (1, opened), "it was fetched anew")
        [tree] = [path.parent for path in (gateway.home / "packages").rglob("tree/tools")]
        done = bartizan("sandbox", "shell", "time", "--config", gateway.config, "--", "sh", "-c", f"echo x > {tree}/bin/x || echo fixed",
                        env={"BARTIZAN_HOME": str(gateway.home)})
        equal(done.stdout, "fixed\n", done.stderr)
        (tree / "bin" / "more").write_text("")
        with contextlib.suppress(AssertionError):
            check("UTC" not in works(), "what was changed is started")
        wait_for(lambda: gateway.entries(kind="server.packages_changed"), "nobody notices")


def case_what_is_fetched_is_installed_under_any_profile_and_starts_wherever_path_leads():
    with machine() as place, contextlib.ExitStack() as stack:
        repository(place / "work" / "repository")
        os.environ["PATH"], before = f"{python_programs()}:{os.environ['PATH']}", os.environ["PATH"]
        stack.callback(os.environ.__setitem__, "PATH", before)
        server = {"command": ["uvx", GIT, "--repository", str(place / "work" / "repository")], "sandbox": fetched("git"), "timeout": "120s"}
        stack.enter_context(registries(place, index()[1]))
        gateway = stack.enter_context(Gateway({"git": server}, quiet()))

        def works():
            with Raw(gateway, "/mcp/git") as client:
                return json.dumps(client.ask("tools/call", {"name": "git_log", "arguments": {"repo_path": str(place / "work" / "repository")}}))
        check("begin" in works(), works())
        equal(len(installed(gateway)), 1)
        # It was compiled, and nothing of it ran for that.
        [tree] = [path.parent for path in (gateway.home / "packages").rglob("tree/tools")]
        check(list(tree.rglob("mcp_server_git/__pycache__/*.pyc")), "it is compiled at each start")
        # Another interpreter comes first now, and the one that it was installed for is still there.
        other = place / "outside" / "python3"
        other.symlink_to("/bin/true")
        os.environ["PATH"] = f"{place}/outside:{before}"
        gateway.again()
        check("begin" in works(), gateway.said.read_text()[-2000:])
        equal(len(installed(gateway)), 1)


def case_packages_run_nothing_while_they_are_installed():
    """A package in Python may have lines that each interpreter which finds it runs as it begins."""
    with machine() as place, contextlib.ExitStack() as stack:
        os.environ["PATH"], before = f"{python_programs()}:{os.environ['PATH']}", os.environ["PATH"]
        stack.callback(os.environ.__setitem__, "PATH", before)
        with packages.index(place) as (url, host):
            table = {"profile": "uvx", "install": {"registry": url, "net": {"allow": [host], "private": ["127.0.0.1/32"]}}}
            kept = table | {"install": table["install"] | {"net": {"allow": []}}}
            servers = {name: {"command": ["uvx", "evil"], "sandbox": sandbox} for name, sandbox in (("evil", table), ("kept", kept))}
            gateway = stack.enter_context(Gateway(servers, quiet()))
            at_home = lambda *words: bartizan(*words, "--config", gateway.config, env={"BARTIZAN_HOME": str(gateway.home)})  # noqa: E731
            looked = lambda: {server["name"]: server for server in json.loads(at_home("doctor", "--json").stdout)["servers"]}  # noqa: E731
            check(any("not installed yet" in said for said in looked()["evil"]["warnings"]), looked()["evil"])
            done = at_home("sandbox", "install", "evil")
            check(done.returncode == 0, done.stdout + done.stderr)
            found = looked()["evil"]
            check(found["starts"] and found["at"].endswith("/tree/bin/evil") and not any("installed" in said for said in found["warnings"]), found)
            # Where that is not named it is refused, and each word about it leads to the key that names it.
            with contextlib.suppress(AssertionError), Raw(gateway, "/mcp/kept") as client:
                client.tools()
            [refused, *_] = wait_for(lambda: gateway.entries(kind="egress.refused"), "nothing is refused", limit=60)
            check(refused["installing"] is True and refused["server"] == "kept", refused)
            [advice] = json.loads(at_home("why", refused["id"], "--json").stdout)["advice"]
            check(f'install.net.allow = ["{host}"]' in advice["write"], advice)
            wait_for(lambda: "as `install.net.allow` of its profile or `sandbox` does not name it" in gateway.said.read_text(), "nobody says why")
            [tree] = [path.parent for path in (gateway.home / "packages").rglob("tree/tools")]
            check(list(tree.rglob("evil.pth")) and list(tree.rglob("evil/__pycache__/*.pyc")), "it is not installed")
            check(not list(tree.rglob("RAN*")), "the package ran")
            (tree / "bin" / "more").write_text("")
            found = looked()["evil"]
            check(not found["starts"] and "--update" in found["why"], found)


def case_fetch_reaches_what_is_named_and_changes_nothing():
    with machine() as place, contextlib.ExitStack() as stack:
        _, hosts = index()
        # It looks names up by itself, and in its sandbox each leads to the relay.
        command = [str(python_programs() / "mcp-server-fetch"), "--ignore-robots-txt", "--allow-private-ips"]
        held = {"profile": "fetch", "net": {"allow": hosts[:1], "private": private(hosts[:1])}}
        stack.enter_context(registries(place, hosts[:1]))
        gateway = stack.enter_context(Gateway({"fetch": {"command": command, "sandbox": held}}, quiet()))
        ask = asker(stack, gateway)
        host = hosts[0].split(":")[0]
        said = ask("fetch", "fetch", {"url": f"https://{host}/simple/idna/", "raw": True})
        check("idna" in said and "Failed" not in said, said[:500])
        said = ask("fetch", "fetch", {"url": "https://example.com/", "raw": True})
        check("Failed" in said, said[:500])
        check(any(entry.get("host") == "example.com" for entry in gateway.entries(kind="egress.refused")))
        done = bartizan("sandbox", "shell", "fetch", "--config", gateway.config, "--", "sh", "-c", f"echo x > {place}/work/x || echo kept", env={"BARTIZAN_HOME": str(gateway.home)})
        check("kept" in done.stdout and not (place / "work" / "x").exists(), done.stdout + done.stderr)


def case_a_browser_keeps_its_own_sandbox():
    """As an ordinary user; a browser refuses to have one as root."""
    browser = shutil.which("chromium")
    check(browser, "there is no browser: tests/tools/setup.sh installs one where it can")
    with machine() as place:
        home, program = place / "home", place / "bartizan"
        home.mkdir()
        shutil.copy(BINARY, program)
        who = []
        if os.getuid() == 0:
            for path in (place, home):
                os.chown(path, 65534, 65534)
            who = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        page = [browser, "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
                "--disable-sync", "--user-data-dir=/tmp/profile", "--dump-dom", "data:text/html,<p>shown</p>"]
        for profile, shown in (("browser", True), ("fetch", False)):
            done = subprocess.run([*who, str(program), "sandbox", "shell", "--profile", profile, "--name", "browser", "--", *page], capture_output=True, text=True, timeout=120,
                                  stdin=subprocess.DEVNULL, cwd=home, env={"PATH": os.environ["PATH"], "HOME": str(home), "BARTIZAN_HOME": str(home / "state"), "LANG": "C.UTF-8"})
            equal("<p>shown</p>" in done.stdout, shown, f"{profile}: {done.stdout}{done.stderr}")


def case_pages_of_a_site_are_fetched_and_browsed_and_of_no_other():
    """Over TLS, with a certificate that nobody else trusts."""
    browser = shutil.which("chromium")
    check(browser, "there is no browser: tests/tools/setup.sh installs one where it can")
    with machine() as place, contextlib.ExitStack() as stack:
        bench = held.Bench(place, None, None, quiet())
        net, authority = bench.net(), str(place / "outside" / "ours.pem")
        playwright = [NODE, str(TOOLS / "npm" / "node_modules" / "@playwright" / "mcp" / "cli.js"), "--headless", "--isolated", "--ignore-https-errors", "--executable-path", browser,
                      *(["--no-sandbox"] if os.getuid() == 0 else [])]
        servers = {
            "fetch": {"command": [str(python_programs() / "mcp-server-fetch"), "--ignore-robots-txt", "--allow-private-ips"], "env": {"SSL_CERT_FILE": authority},
                      "sandbox": {"profile": "fetch", "net": net, "fs": {"ro": [authority]}}},
            "browser": {"command": playwright, "sandbox": {"profile": "browser", "net": net}, "timeout": "120s"},
        }
        ask = asker(stack, stack.enter_context(bench.gateway(servers)))
        for name, tool, refused in (("fetch", "fetch", "Failed"), ("browser", "browser_navigate", "ERR_")):
            said = ask(name, tool, {"url": bench.url(path=f"/{name}")} | ({"raw": True} if name == "fetch" else {}))
            check(any(f"/{name} " in asked["line"] for asked in bench.secure.asked), f"{name}: {said[:2000]}")
            check(refused not in said, f"{name}: {said[:2000]}")
            said = ask(name, tool, {"url": "https://example.com/"})
            check(refused in said, f"{name}: {said[:2000]}")
        ask("browser", "browser_navigate", {"url": bench.url()})
        # The page of the error before may still be leaving.
        shown = lambda: "welcome" in ask("browser", "browser_evaluate", {"function": "() => document.body.innerText"})  # noqa: E731
        wait_for(shown, "the page is shown")


def case_what_a_client_starts_takes_a_profile_too():
    with machine() as place:
        work, home = place / "work", place / "home"
        (home / "config" / "bartizan").mkdir(parents=True)
        own = f'[profile.mine]\nprofile = "filesystem"\nfs.ro = ["{SHELL.parent}"]\nfs.deny = ["kept/"]\nvariables = {{ GIVEN = "given" }}\n'
        (home / "config" / "bartizan" / "bartizan.toml").write_text(own + quiet())
        program = [PYTHON, str(SHELL), str(work)]
        for more in ([], ["--standalone"]):
            with Wrapped(home, "shell", program, "--profile", "mine", *more, confined=True) as client:
                ask = lambda script: client.result("tools/call", {"name": "run", "arguments": {"script": script}})["content"][0]["text"]  # noqa: E731
                check("fine" in ask(f"echo fine > {work}/x && cat {work}/x") and "given" in ask("echo $GIVEN"), "the control")
                check(SECRET not in ask(f"cat {place}/outside/secret"))
                ask(f"mkdir -p {work}/kept {work}/.git/hooks; echo x > {work}/kept/x; echo x > {work}/.git/hooks/x; echo x > {work}/.mcp.json")
                check(not (work / "kept" / "x").exists() and not (work / ".git" / "hooks" / "x").exists(), "a protected name was changed")
        for wrong, said in (("filesytem", "did you mean `filesystem`"), ("mime", "did you mean `mine`")):
            done = bartizan("run", "--name", "x", "--profile", wrong, "--", *program, home=home)
            check(done.returncode == 2 and said in done.stderr, f"{wrong}: {done.stderr}")


DEFAULT = '[sandbox]\ndefault = "{}"\n'


def case_one_line_confines_every_local_server():
    with machine() as place, contextlib.ExitStack() as stack:
        work, repo = place / "work", place / "work" / "repository"
        (work / "note.txt").write_text("a note\n")
        repository(repo)
        (repo / "file").write_text("first\nsecond\n")
        scripts = TOOLS / "python" / "bin"
        servers = {
            "everything": {"command": node("server-everything", "stdio")},
            "files": {"command": node("server-filesystem", work)},
            "memory": {"command": node("server-memory"), "env": {"MEMORY_FILE_PATH": "/tmp/memory.json"}},
            "git": {"command": [str(scripts / "mcp-server-git"), "--repository", str(repo)]},
            "time": {"command": [str(scripts / "mcp-server-time"), "--local-timezone", "UTC"]},
            "own": shell({"fs": {"ro": [str(SHELL.parent)]}}, work),
        }
        shown = f"[profile.shown]\nfs.ro = ['{SHELL.parent}']\n"
        gateway = stack.enter_context(Gateway(servers, shown + quiet(), confined=True))
        ask = asker(stack, gateway)
        check("7" in ask("everything", "get-sum", {"a": 3, "b": 4}))
        check("a note" in ask("files", "read_text_file", {"path": str(work / "note.txt")}))
        check("Success" in ask("files", "write_file", {"path": str(work / "new.txt"), "content": "written"}))
        equal((work / "new.txt").read_text(), "written")
        ask("files", "write_file", {"path": str(work / ".mcp.json"), "content": "planted"})
        check("planted" not in (work / ".mcp.json").read_text() if (work / ".mcp.json").exists() else True)
        entity = {"name": "bastion", "entityType": "building", "observations": ["stands"]}
        check("bastion" in ask("memory", "create_entities", {"entities": [entity]}))
        check("+second" in ask("git", "git_diff_unstaged", {"repo_path": str(repo)}))
        check("UTC" in ask("time", "get_current_time", {"timezone": "UTC"}))
        # A table of its own has nothing of the default.
        check("fine" not in ask("own", "run", {"script": f"cat {work}/note.txt && echo fine"}))
        [started] = gateway.entries(kind="gateway.started")
        equal({server["isolation"] for server in started["servers"]}, {"process"}, "what the log says")
        check("unconfined" not in gateway.said.read_text(), gateway.said.read_text())
        # The file alone takes no sandbox off.
        gateway.config.write_text('sandbox.default = "none"\n' + gateway.config.read_text())
        wait_for(lambda: "--allow-unconfined" in gateway.said.read_text(), "nobody is told")
        check("a note" in ask("files", "read_text_file", {"path": str(work / "note.txt")}), "it goes on")
        # Under the profile that is said, and as it is said later.
        servers = {"shell": {"command": [PYTHON, str(SHELL), str(work)]}}
        gateway = stack.enter_context(Gateway(servers, shown + DEFAULT.format("shown") + quiet(), confined=True))
        ask = asker(stack, gateway)
        said = ask("shell", "run", {"script": f"echo works; cat {work}/note.txt {place}/outside/secret"})
        check("works" in said and "a note" not in said and SECRET not in said, said)


def case_the_default_holds_for_what_a_client_starts():
    with machine() as place:
        work, home = place / "work", place / "home"
        (home / "config" / "bartizan").mkdir(parents=True)
        file = home / "config" / "bartizan" / "bartizan.toml"
        own = f'[profile.mine]\nprofile = "filesystem"\nfs.ro = ["{SHELL.parent}"]\n'
        program = [PYTHON, str(SHELL), str(work)]
        free = ["--level", "none", "--allow-unconfined"]
        for default, more, reads, writes in (("mine", [], False, True), ("mine", ["--standalone"], False, True), ("mine", free, True, True),
                                             ("mine", ["--sandbox", "--ro", str(SHELL.parent)], False, False), ("auto", ["--ro", str(SHELL.parent)], False, True),
                                             ("none", ["--profile", "mine"], False, True), ("none", ["--allow-unconfined"], True, True),
                                             ("", ["--ro", str(SHELL.parent)], False, True), ("", ["--profile", "auto", "--ro", str(SHELL.parent)], False, True),
                                             # What is named to be read as well is not changed.
                                             ("", ["--ro", str(SHELL.parent), "--ro", str(work)], False, False)):
            file.write_text((DEFAULT.format(default) if default else "") + own + quiet())
            with Wrapped(home, "shell", program, *more, confined=True) as client:
                ask = lambda script: client.result("tools/call", {"name": "run", "arguments": {"script": script}})["content"][0]["text"]  # noqa: E731
                equal(SECRET in ask(f"cat {place}/outside/secret"), reads, f"{default} {more}")
                equal("fine" in ask(f"echo fine > {work}/x && cat {work}/x"), writes, f"{default} {more}")
            bartizan("daemon", "--stop", home=home / "state")
        # What is in force holds, whatever the file says meanwhile.
        good = DEFAULT.format("mine") + own + quiet()
        file.write_text(good)
        with Wrapped(home, "shell", program, confined=True) as client:
            client.result("tools/list", {})
            for broken in (good.replace("default", "defualt"), good.replace("[sandbox]", "[sandbx]"), good.replace('"mine"', "5", 1), "", None):
                file.unlink(missing_ok=True) if broken is None else file.write_text(broken)
                done = bartizan("run", "--name", "x", "--", "sh", "-c", f"cat {place}/outside/secret >&2", home=home, env={"BARTIZAN_HOME": str(home / "state")})
                check(done.returncode != 0 and SECRET not in done.stderr, f"{broken}: {done.stderr}")
                check("confined by `mine` in the configuration that is in force" in done.stderr, f"{broken}: {done.stderr}")
            done = bartizan("run", "--name", "x", *free, "--", "sh", "-c", f"cat {place}/outside/secret >&2", home=home, env={"BARTIZAN_HOME": str(home / "state")})
            check(SECRET in done.stderr, done.stderr)
        bartizan("daemon", "--stop", home=home / "state")
        for wrong, said in ((["--level", "none"], "both"), (["--allow-unconfined"], "both"), ([*free, "--rw", str(work)], "cannot be used with")):
            done = bartizan("run", "--name", "x", *wrong, "--", *program, home=home)
            check(done.returncode == 2 and said in done.stderr, f"{wrong}: {done.stderr}")
        # Whatever is in the place of the file is no configuration without a default.
        file.unlink(missing_ok=True)
        file.symlink_to("nowhere")
        done = bartizan("run", "--standalone", "--name", "x", "--", *program, home=home)
        check(done.returncode == 2, done.stderr)
        file.unlink()
        file.mkdir()
        done = bartizan("run", "--standalone", "--name", "x", "--", *program, home=home)
        check(done.returncode == 2, done.stderr)
        file.rmdir()
        file.write_text(DEFAULT.format("mime") + own)
        done = bartizan("run", "--name", "x", "--", *program, home=home)
        check(done.returncode == 2 and "did you mean `mine`" in done.stderr, done.stderr)


def case_one_can_look_around():
    with machine() as place:
        home, config = place / "home", place / "outside" / "bartizan.toml"
        home.mkdir()
        config.write_text(f'[server.notes]\ncommand = ["true", "{place}/work"]\nenv = {{ GIVEN = "given" }}\n'
                          f'[server.notes.sandbox]\nprofile = "filesystem"\n[server.free]\ncommand = ["true"]\nsandbox.level = "none"\n')
        look = lambda *words: bartizan("sandbox", "shell", *words, home=home)  # noqa: E731
        done = look("notes", "--config", config, "--", "sh", "-c", f"echo $GIVEN; ls {place}; cat {place}/outside/secret; touch {place}/work/made; exit 7")
        equal((done.returncode, done.stdout), (7, "given\nwork\n"), done.stderr)
        check((place / "work" / "made").exists())
        first = done.stderr.splitlines()[0]
        check(str(place / "work") in first and "reaches nothing" in first, first)
        piped = subprocess.run([BINARY, "sandbox", "shell", "--profile", "fetch"], input="echo from the shell; id -u\n", capture_output=True, text=True, timeout=120,
                               env=os.environ | {"BARTIZAN_HOME": str(home), "SHELL": "/bin/sh"})
        check(piped.stdout.startswith("from the shell\n"), piped.stdout + piped.stderr)
        for words, said in ((("note", "--config", config), "did you mean `notes`"), (("free", "--config", config), "unconfined"),
                            (("--profile", "gti"), "did you mean `git`"), ((), "<SERVER>")):
            done = look(*words)
            check(done.returncode == 2 and said in done.stderr, f"{words}: {done.stderr}")
        done = bartizan("sandbox", "install", "notes", "--config", config, home=home)
        check(done.returncode == 2 and "nothing to install" in done.stderr, done.stderr)


def case_profiles_are_listed_and_shown():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        auto, *names = [line.split()[0] for line in bartizan("sandbox", "profiles").stdout.splitlines()]
        done = bartizan("sandbox", "profiles", auto)
        check((auto, done.returncode) == ("auto", 2) and "as fits the command" in done.stderr, done.stderr)
        equal(names, ["browser", "fetch", "filesystem", "git", "npx", "sqlite", "strict", "uvx"])
        for name in names:
            # What is shown can be made one's own.
            text = bartizan("sandbox", "profiles", name).stdout
            own = "\n".join(f"[profile.mine.{line[1:-1]}]" if line.startswith("[") else line for line in text.splitlines())
            config = pathlib.Path(folder) / "bartizan.toml"
            config.write_text(f"[profile.mine]\n{own}\n")
            done = bartizan("config", "check", config)
            equal(done.returncode, 0, f"{name}: {done.stderr}")
        done = bartizan("sandbox", "profiles", "brwser")
        check(done.returncode == 2 and "did you mean `browser`" in done.stderr, done.stderr)


if __name__ == "__main__":
    sys.exit(run_cases(cases_of(globals())))
