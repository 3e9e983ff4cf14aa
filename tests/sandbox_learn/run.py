#!/usr/bin/env python3
"""`bartizan sandbox learn`: what real servers are seen to need is what they work with afterwards, and hostile ones write no profile of their choice.

    run.py [PART ...]    only cases whose name contains one of these
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
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tests" / "aggregate")]
from harness import BINARY, TOOLS, cases_of, check, equal, run_cases, wait_for  # noqa: E402

PYTHON, NODE = str(TOOLS / "python" / "bin" / "python3"), str((TOOLS / "bin" / "node").resolve())
HOSTILE = HERE / "hostile.py"
ORDINARY = 65534
# Devices that every sandbox has.
SAFE = {"null", "zero", "full", "random", "urandom", "tty", "ptmx"}


class Place:
    """A home with a project and keys, in a directory that is nobody's scratch."""

    def __init__(self, root, who):
        self.root, self.who = root, who
        self.home, self.work, self.state = root / "home", root / "home" / "work", root / "state"
        for directory in (self.work, self.home / ".ssh", self.home / "more", root / "outside"):
            directory.mkdir(parents=True)
        (self.home / ".ssh" / "id").write_text("the-key-of-the-user")
        (self.home / "more" / "settings.json").write_text("{}")
        (root / "outside" / "secret").write_text("nobody's business")
        self.program = BINARY
        if who:
            self.program = str(root / "bartizan")
            shutil.copy(BINARY, self.program)
            for path in [root, *root.rglob("*")]:
                os.chown(path, who, who)

    def command(self, *words):
        drop = ["setpriv", f"--reuid={self.who}", f"--regid={self.who}", "--clear-groups"] if self.who else []
        return [*drop, self.program, *map(str, words)]

    def environment(self, **more):
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "BARTIZAN_HOME": str(self.state), "LANG": "C.UTF-8", "NO_COLOR": "1"} | more

    def run(self, *words, **more):
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=120, cwd=self.root / "outside", env=self.environment(),
                              **{"stdin": subprocess.DEVNULL} | more)


@contextlib.contextmanager
def place(who=0):
    # Not below a directory that each sandbox has of its own, such as /var/tmp.
    parent = pathlib.Path(os.environ.get("BARTIZAN_LEARN_DIR", "/srv"))
    with tempfile.TemporaryDirectory(prefix="bartizan-learn-", dir=parent if os.access(parent, os.W_OK) else pathlib.Path.home()) as folder:
        root = pathlib.Path(folder).resolve()
        root.chmod(0o755)
        yield Place(root, who if os.getuid() == 0 else 0)


class Client:
    """Talks to a server over stdio, through whatever stands in front of it."""

    def __init__(self, of, *words):
        self.said = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(of.command(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, text=True,
                                        cwd=of.root / "outside", env=of.environment())
        self.count = 0
        self.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "suite", "version": "1"}})
        self.send({"method": "notifications/initialized"})

    def send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0"} | message) + "\n")
        self.process.stdin.flush()

    def ask(self, method, params):
        self.count += 1
        self.send({"id": self.count, "method": method, "params": params})
        for line in self.process.stdout:
            message = json.loads(line)
            if message.get("id") == self.count and "method" not in message:
                return message
            if "id" in message and "method" in message:
                self.send({"id": message["id"], "error": {"code": -32601, "message": "no"}})
        raise AssertionError(f"it ended: {self.complaints()}")

    def call(self, tool, **arguments):
        return json.dumps(self.ask("tools/call", {"name": tool, "arguments": arguments}))

    def complaints(self):
        self.said.seek(0)
        return self.said.read()

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)
        return self.complaints()


def node(package, *arguments):
    return [NODE, str(TOOLS / "npm" / "node_modules" / "@modelcontextprotocol" / package / "dist" / "index.js"), *map(str, arguments)]


def hostile(how, *arguments):
    return [PYTHON, str(HOSTILE), how, *map(str, arguments)]


def read(path, name="learned"):
    """The profile as a configuration has it, which has nothing else in it."""
    text = path.read_text(encoding="utf-8")
    found = tomllib.loads(text)
    equal((list(found), list(found["profile"])), (["profile"], [name]), text)
    return found["profile"][name], text


def configured(of, out, table=""):
    """The profile in a configuration of the user's, where it is taken as it is."""
    config = of.root / "bartizan.toml"
    config.write_text(out.read_text(encoding="utf-8") + table, encoding="utf-8")
    done = of.run("config", "check", config)
    equal(done.returncode, 0, done.stderr)
    return config


def learned(of, *options, command, calls=()):
    """Has a client use the server, and returns what it was told and the profile."""
    out = of.root / "profile.toml"
    client = Client(of, "sandbox", "learn", "--name", "learned", "--out", out, *options, "--", *command)
    answers = [client.call(tool, **arguments) for tool, arguments in calls]
    said = client.end()
    equal((client.process.returncode, oct(out.stat().st_mode & 0o777)), (0, "0o600"), said)
    return answers, out, said


def under(of, out, command, calls):
    """The same under the profile."""
    config = configured(of, out)
    client = Client(of, "run", "--standalone", "--config", config, "--profile", "learned", "--", *command)
    answers = [client.call(tool, **arguments) for tool, arguments in calls]
    client.end()
    return answers


def files_are_what_was_used(who):
    with place(who) as of:
        (of.work / "note.txt").write_text("a note\n")
        if of.who:
            os.chown(of.work / "note.txt", of.who, of.who)
        command = node("server-filesystem", of.work, of.home / "more")
        calls = [("read_text_file", {"path": str(of.work / "note.txt")}), ("write_file", {"path": str(of.work / "new.txt"), "content": "written"}),
                 ("list_directory", {"path": str(of.home / "more")})]
        answers, out, said = learned(of, "--write", of.work, "--offline", command=command, calls=calls)
        check("a note" in answers[0] and "Success" in answers[1] and "settings.json" in answers[2], f"{answers} {said}")
        check('profile = "learned"' in said and "read it before" in said, said)
        profile, text = read(out)
        equal((profile["fs"].get("rw"), profile["fs"].get("ro"), "net" in profile), ([str(of.work)], [str(of.home / "more")], False), text)
        (of.work / "new.txt").unlink()
        again = under(of, out, command, calls)
        check("a note" in again[0] and "Success" in again[1] and "settings.json" in again[2], str(again))
        equal((of.work / "new.txt").read_text(), "written")
        # What was not seen is not there: a link leads nowhere, and outside nothing is.
        (of.work / "link").symlink_to(of.root / "outside" / "secret")
        config = configured(of, out)
        for script, shown in ((f"cat {of.work}/note.txt", True), (f"cat {of.work}/link", False), (f"cat {of.root}/outside/secret", False),
                              (f"echo x > {of.home}/more/x", False)):
            done = of.run("sandbox", "shell", "--profile", "learned", "--config", config, "--", "sh", "-c", script)
            equal(done.returncode == 0, shown, f"{script}: {done.stdout}{done.stderr}")


def case_files_are_what_was_used():
    files_are_what_was_used(0)


def case_files_are_what_was_used_by_an_ordinary_user():
    """Who has no right over other processes but those of a parent."""
    files_are_what_was_used(ORDINARY)


def case_a_repository_and_a_memory():
    with place() as of:
        git = lambda *words: subprocess.run(["git", "-C", str(of.work), "-c", "user.name=a", "-c", "user.email=a@b.example", *words], check=True, capture_output=True)  # noqa: E731
        git("init", "-q")
        (of.work / "file").write_text("first\n")
        git("add", "file")
        git("commit", "-q", "-m", "begin")
        (of.work / "file").write_text("second\n")
        command = [str(TOOLS / "python" / "bin" / "mcp-server-git"), "--repository", str(of.work)]
        calls = [("git_diff_unstaged", {"repo_path": str(of.work)})]
        answers, out, said = learned(of, "--offline", command=command, calls=calls)
        check("+second" in answers[0], f"{answers} {said}")
        profile, text = read(out)
        # All of it, as the command names it, and nothing else of the user's.
        equal(([path for path in profile["fs"]["ro"] if path.startswith(str(of.root))], "rw" in profile["fs"]), ([str(of.work)], False), text)
        check("+second" in under(of, out, command, calls)[0])
        # The other server writes one file, whose directory was named.
        out.unlink()
        (of.home / "memory").mkdir()
        command = ["/usr/bin/env", f"MEMORY_FILE_PATH={of.home}/memory/memory.json", *node("server-memory")]
        calls = [("create_entities", {"entities": [{"name": "bastion", "entityType": "building", "observations": ["stands"]}]})]
        answers, out, said = learned(of, "--write", of.home / "memory", "--ro", TOOLS, "--offline", command=command, calls=calls)
        check("bastion" in (of.home / "memory" / "memory.json").read_text(), f"{answers} {said}")
        profile, text = read(out)
        equal(profile["fs"]["rw"], [str(of.home / "memory")], text)
        (of.home / "memory" / "memory.json").unlink()
        under(of, out, command, calls)
        check("bastion" in (of.home / "memory" / "memory.json").read_text())


def case_lists_are_asked_for_where_nobody_else_does():
    with place() as of:
        done = of.run("sandbox", "learn", "--try", "--name", "learned", "--offline", "--", *node("server-everything"))
        equal(done.returncode, 0, done.stderr)
        check("it listed" in done.stderr and "tool" in done.stderr and "was not seen" in done.stderr, done.stderr)
        found = tomllib.loads(done.stdout)
        check("Only its lists" in done.stdout and list(found["profile"]) == ["learned"], done.stdout)
        # Who does not answer is no server, and says so.
        done = of.run("sandbox", "learn", "--try", "--name", "learned", "--offline", "--", *hostile("exits", "/"))
        check(done.returncode == 1 and "did not answer" in done.stderr, done.stdout + done.stderr)


def case_what_is_asked_and_written_has_to_make_sense():
    with place() as of:
        there = of.root / "there.toml"
        there.write_text("kept")
        link = of.root / "link.toml"
        link.symlink_to(of.root / "outside" / "secret")
        learn = lambda *words: of.run("sandbox", "learn", *words, "--offline", "--", *hostile("exits", "/"))  # noqa: E731
        for words, said in (((), "--out"), (("--out", there), "--force"), (("--out", link), "--force"), (("--out", of.root / "none" / "x"), "cannot write"),
                            (("--name", "git", "--out", of.root / "x"), "built-in"), (("--out", of.work / "x", "--write", of.work), "could change it"),
                            (("--out", of.root / "x", "--write", of.root / "outside", "--write", of.root / "outside" / "sub"), "lies in"), (("--profile", "gti", "--out", of.root / "x"), "did you mean"),
                            (("--out", of.root / "x", "--write", of.root / "state"), "state")):
            [(of.root / name).mkdir(exist_ok=True) for name in ("state", "outside/sub")]
            done = learn(*words)
            check(done.returncode != 0 and said in done.stderr, f"{words}: {done.returncode} {done.stderr}")
            check(not (of.root / "x").exists() and there.read_text() == "kept")
        for out in (there, link):
            equal(learn("--name", "learned", "--out", out, "--force").returncode, 0)
            read(out)
        check(not link.is_symlink() and (of.root / "outside" / "secret").read_text() == "nobody's business")


def case_the_server_has_no_stream_of_the_user():
    """What it complains of passes by way of Bartizan: the stream may be a terminal, with somebody at it."""
    with place() as of:
        script = "printf '\\033]52;c;eA==\\007\\n' >&2; test -p /dev/stderr && echo piped >&2; yes | head -c 3000000 >&2"
        for words, more in ((["--try"], {}), (["--out", of.root / "x"], {"input": "", "stdin": None})):
            done = of.run("sandbox", "learn", "--offline", "--name", "learned", *words, "--", "sh", "-c", script, **more)
            check("\033" not in done.stderr and "u{1b}]52" in done.stderr and "piped" in done.stderr, done.stderr[:2000])
            check(len(done.stderr) < 100_000, f"a flood passes: {len(done.stderr)} bytes")


def case_a_server_that_reads_nothing_ends_with_its_client():
    with place() as of:
        done = of.run("sandbox", "learn", "--offline", "--name", "learned", "--out", of.root / "x", "--", "sleep", "999", input="{}\n", stdin=None)
        read(of.root / "x")
        check("killed" in done.stderr or "ended" in done.stderr, done.stderr)


def case_what_a_runner_fetches_is_installed_before_it_is_looked_at():
    """Otherwise the registry would be among what the server needs."""
    with place() as of:
        done = of.run("sandbox", "learn", "--try", "--offline", "--name", "learned", "--", "npx", "-y", "no-such-package-of-bartizan")
        check("no-such-package-of-bartizan cannot be installed" in done.stderr and done.returncode not in (0, 1), f"{done.returncode} {done.stderr}")
        equal(done.stdout, "")


def case_secrets_of_the_configuration_are_not_shown():
    with place() as of:
        for name in ("token", "other"):
            (of.root / "outside" / name).write_text(f"the-{name}-itself")
        config = of.root / "bartizan.toml"
        config.write_text(f"""[server.tickets]
command = ["true"]
[server.tickets.sandbox]
profile = "auto"
net.allow = ["tickets.example.com:443"]
secrets.TOKEN = {{ value = "file:{of.root}/outside/token", host = "tickets.example.com" }}
""")
        (of.root / "outside" / "token").chmod(0o600)
        script = f"cat {of.root}/outside/token {of.root}/outside/other >&2"
        done = of.run("sandbox", "learn", "--try", "--offline", "--name", "learned", "--config", config, "--", "sh", "-c", script)
        check("the-other-itself" in done.stderr and "the-token-itself" not in done.stderr, done.stderr)
        check(f'"{of.root}/outside/other"' in done.stdout, done.stdout)
        given = tomllib.loads(done.stdout)["profile"]["learned"].get("fs", {}).get("ro", [])
        check(not any("token" in path for path in given), done.stdout)


def case_what_is_compiled_comes_with_its_source():
    with place() as of:
        (of.work / "common.py").write_text("said = 'it was found'\n")
        script = of.work / "server.py"
        script.write_text("import sys\nimport common\nprint(common.said, file=sys.stderr, flush=True)\n" + HOSTILE.read_text())
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        subprocess.run([PYTHON, "-c", "import common"], cwd=of.work, env=environment, check=True)
        check(list((of.work / "__pycache__").glob("common.*.pyc")), "it is not compiled")
        command = [PYTHON, str(script), "asks", "/"]
        _, out, said = learned(of, "--offline", command=command)
        check("it was found" in said, said)
        config = configured(of, out)
        client = Client(of, "run", "--standalone", "--config", config, "--profile", "learned", "--", *command)
        check("it was found" in client.end(), out.read_text())


def case_names_write_no_lines():
    with place() as of:
        named = of.root / "named"
        named.mkdir()
        names = [b'a"]\n[profile.evil]\nfs.ro = ["x"]\n#', b"b\r\n[server.evil]\rcommand = ['sh']", b"\x1b[2Jc\x07", "d\u202e\u2028e".encode(), b"''' \\", b"\xff\xfe", b"${HOME}", b"~*?"]
        for number, name in enumerate(names):
            (named / str(number)).mkdir()
            with open(os.path.join(os.fsencode(named / str(number)), name), "wb") as file:
                file.write(b"x")
        _, out, said = learned(of, "--offline", command=hostile("names", f"at:{named}"))
        profile, text = read(out)
        given = [pathlib.Path(path) for path in profile["fs"]["ro"] if path.startswith(str(of.root))]
        check(set(profile) <= {"fs"} and len(given) >= 4 and all(path.is_file() and path.is_relative_to(named) for path in given), text)
        check("# - to change: " in text and all(line[:1] in ("#", "[", "r", " ", "]", "") for line in text.splitlines()), text)
        check(all(sign == "\n" or sign.isprintable() for sign in text), repr(text))
        configured(of, out)


def case_what_is_wide_or_secret_is_not_given():
    with place() as of:
        for number in range(6):
            (of.home / f"file{number}").write_text("x")
        _, out, said = learned(of, "--offline", command=hostile("wide", of.home))
        check("the-key" not in said and "ssh False" in said and said.count("got nothing") == 3, said)
        profile, text = read(out)
        for path in profile.get("fs", {}).get("ro", []):
            at = pathlib.Path(path)
            check(at.is_file() and not at.is_relative_to(of.home / ".ssh"), text)
        for line in ("# - to list: / (", "# - to list: /etc (", f"# - what no server is shown: {of.home}/.ssh (keys of ssh", "# - what no server is shown: /etc/shadow ("):
            check(line in text, f"{line}: {text}")


def case_what_is_refused_stays_refused_and_is_said():
    with place() as of:
        _, out, said = learned(of, "--offline", "--write", of.work, command=hostile("sockets", "/"))
        check(said.count("socket None") == 3 and "unshare 0" not in said, said)
        _, text = read(out)
        for line in ('allow = ["unix_sockets"]', 'allow = ["netlink_route"]', "family 17", "192.0.2.9:4444", 'allow = ["namespaces"]'):
            check(line in text, f"{line}: {text}")
        out.unlink()
        _, out, said = learned(of, "--offline", "--allow", "netlink_route", command=hostile("sockets", "/"))
        equal((said.count("socket None"), read(out)[0]["allow"]), (2, ["netlink_route"]), said)
        out.unlink()
        _, out, said = learned(of, "--offline", "--write", of.work, command=hostile("writes", of.work))
        check((of.work / "new").exists() and not pathlib.Path("/usr/x").exists() and not (of.home / "note").exists())
        profile, text = read(out)
        equal(profile["fs"]["rw"], [str(of.work)], text)
        check("# - to change: /usr/x (" in text and "kept as it is by fs.deny" in text and f"{of.home}/note" not in text, text)


def case_what_was_not_there_or_is_no_file_is_not_given():
    with place() as of:
        pipe, unix, plain = of.home / "more" / "pipe", of.home / "more" / "unix", of.home / "more" / "settings.json"
        os.mkfifo(pipe)
        with socket.socket(socket.AF_UNIX) as daemon:
            daemon.bind(str(unix))
            daemon.listen()
            everywhere = next(iter(path for path in pathlib.Path("/dev").iterdir() if path.is_char_device() and path.name not in SAFE), None)
            asked = [f"at:{path}" for path in (pipe, unix, plain, of.root / "none", everywhere) if path]
            _, out, said = learned(of, "--offline", command=hostile("asks", "/", *asked))
            profile, text = read(out)
            given = [path for path in profile["fs"]["ro"] if path.startswith((str(of.root), "/dev"))]
            equal(given, [str(plain)], text)
            # Where a profile shows nothing of the user's, nothing of it is given: it was not there.
            out.unlink()
            _, out, said = learned(of, "--offline", "--profile", "browser", command=hostile("asks", "/", *asked))
            profile, text = read(out)
            equal([path for path in profile.get("fs", {}).get("ro", []) if path.startswith(str(of.root))], [], text)


def case_files_are_given_under_their_own_names():
    with place() as of:
        for name in ("linked", "rooted", "changed"):
            (of.home / "more" / name).write_text(name)
        _, out, said = learned(of, "--offline", command=hostile("around", f"at:{of.home}/more"))
        check(all(f"read {name}" in said for name in ("linked", "rooted", "changed")), said)
        profile, text = read(out)
        # What was asked for by way of another process's root is nobody's to follow, and it is said that something is missing.
        given = {path for path in profile["fs"]["ro"] if path.startswith((str(of.root), "/tmp", "/proc"))}
        equal(given, {f"{of.home}/more/linked", f"{of.home}/more/changed"}, text)
        check("1 calls named something that could not be read" in text, text)
        client = Client(of, "run", "--standalone", "--config", configured(of, out), "--profile", "learned", "--", *hostile("around", f"at:{of.home}/more"))
        again = client.end()
        check("read linked" in again and "read rooted" not in again, again)


def case_what_is_named_from_where_the_client_is_starts_there():
    with place() as of:
        shutil.copy(HOSTILE, of.root / "outside" / "server.py")
        for command in ([PYTHON, "./server.py", "none", "/"], [PYTHON, "server.py", "none", "/"]):
            out = of.root / "profile.toml"
            done = of.run("sandbox", "learn", "--try", "--name", "learned", "--offline", "--out", out, "--force", "--", *command)
            equal(done.returncode, 0, done.stderr)
            check(str(of.root / "outside") in out.read_text(), out.read_text())


def case_hosts_are_told_by_the_proxy_and_near_ones_are_refused():
    with place() as of:
        urls = ["http://169.254.169.254/x", "http://10.1.2.3/", "http://127.0.0.1:9/", "http://no-such-name.invalid/"]
        _, out, said = learned(of, command=hostile("hosts", "/", *urls))
        profile, text = read(out)
        check("net" not in profile, text)
        for line in ("# - to reach: 169.254.169.254:80 (egress.metadata)", "# - to reach: 10.1.2.3:80 (egress.address_private)", "no-such-name.invalid:80"):
            check(line in text, f"{line}: {text}")
        out.unlink()
        _, out, said = learned(of, "--net", "other.example:443", command=hostile("hosts", "/", "http://named.example/"))
        check("# - to reach: named.example:80 (egress.not_allowed)" in read(out)[1], out.read_text())


def case_masses_are_bounded_and_everything_ends():
    with place() as of:
        _, out, said = learned(of, "--offline", command=hostile("many", of.work))
        text = read(out)[1]
        check("more things were named than are kept" in text and len(text) < 30_000, text[:2000])
        out.unlink()
        _, out, said = learned(of, "--offline", command=hostile("forks", of.root / "outside"))
        check(read(out) and f"# - to change: {of.root}/outside/x" in out.read_text() and not (of.root / "outside" / "x0").exists(), out.read_text())


def gone(mark):
    running = [path for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if mark.encode() in (path.read_bytes() if path.exists() else b"")]
    return not running


def case_whoever_stops_it_has_the_profile_and_nothing_stays():
    with place() as of:
        mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
        for how in ("closed", "TERM", "KILL"):
            out = of.root / f"{how}.toml"
            client = Client(of, "sandbox", "learn", "--name", "learned", "--offline", "--out", out, "--", *hostile("stays", "/", mark))
            client.send({"id": 7, "method": "tools/list"})
            wait_for(lambda: not gone(mark), "it does not run")
            if how == "closed":
                client.process.stdin.close()
            else:
                client.process.send_signal(getattr(signal, f"SIG{how}"))
            client.process.wait(30)
            wait_for(lambda: gone(mark), f"{how}: something stays")
            equal(out.exists(), how != "KILL", client.complaints())
            check(how == "KILL" or read(out))


if __name__ == "__main__":
    sys.exit(run_cases(cases_of(globals())))
