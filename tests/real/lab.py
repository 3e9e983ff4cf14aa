"""What the tests of this folder share: the tools, a home that is thrown away, the ways to a server, processes, logs."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "log"))

import auditlog  # noqa: E402

PATIENCE = 60


NOTICE = re.compile(r"bartizan: server [a-z0-9-]+, isolation level none: it runs as you, unconfined\n")


class Lab:
    """One throw-away directory with a home for bartizan in it; everything started from here ends with it."""

    def __init__(self):
        setup = subprocess.run([ROOT / "tests/tools/setup.sh"], stdout=subprocess.PIPE, text=True)
        if setup.returncode != 0:
            sys.exit("the clients and servers could not be installed")
        self.tools = pathlib.Path(setup.stdout.strip())
        self.node = str(self.tools / "bin/node")
        self.python = str(self.tools / "python/bin/python")
        target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug"
        self.bartizan = os.environ.get("BARTIZAN_BIN") or str(target / "bartizan")
        self.fixture = os.environ.get("BARTIZAN_FIXTURE") or str(target / "bartizan-fixture")
        for program in (self.bartizan, self.fixture):
            if not os.access(program, os.X_OK):
                sys.exit(f"{program} is not built")
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="bartizan-real-"))
        self.count = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)

    def fresh(self, name="dir"):
        self.count += 1
        path = self.dir / f"{name}-{self.count}"
        path.mkdir()
        return path

    def home(self):
        return Home(self)

    def npm(self, package):
        return [self.node, str(self.tools / "npm/node_modules/@modelcontextprotocol" / package)]

    def server(self, name, directory):
        """The command of a real server whose world is `directory`."""
        bin = self.tools / "python/bin"
        return {
            "everything": [*self.npm("server-everything/dist/index.js"), "stdio"],
            "filesystem": [*self.npm("server-filesystem/dist/index.js"), str(directory)],
            "memory": self.npm("server-memory/dist/index.js"),
            "git": [str(bin / "mcp-server-git"), "--repository", str(directory)],
            "time": [str(bin / "mcp-server-time"), "--local-timezone", "UTC"],
            "fixture": [self.fixture, "--stdio"],
        }[name]

    def world(self, name):
        """A directory as the server wants to find it."""
        directory = self.fresh(name)
        if name == "git":
            def git(*arguments):
                stamp = "2026-01-01T00:00:00Z"
                env = {**os.environ, "GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp}
                base = ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-C", str(directory)]
                subprocess.run([*base, *arguments], check=True, stdout=subprocess.DEVNULL, env=env)
            git("init", "-q", "-b", "main")
            (directory / "old.txt").write_text("old\n")
            git("add", "old.txt")
            git("commit", "-q", "-m", "first")
            (directory / "old.txt").write_text("changed\n")
            (directory / "new.txt").write_text("new\n")
        return directory


class Home:
    """A home of bartizan, and its ways to run a server."""

    def __init__(self, lab):
        self.lab = lab
        self.path = lab.fresh("home")
        # What `run` says of variables that it withholds is the same wherever this is run.
        kept = {name: value for name, value in os.environ.items() if not re.search("KEY|TOKEN|SECRET|PASS", name, re.I)}
        self.env = {**kept, "BARTIZAN_HOME": str(self.path), "XDG_CONFIG_HOME": str(self.path / "config")}
        self.daemon_process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end_daemon()

    def wrap(self, command, *options):
        return [self.lab.bartizan, "run", "--level", "none", "--allow-unconfined", *options, "--", *command]

    def daemon(self, idle):
        """Starts the user's bartizan by hand, to end after `idle` seconds."""
        log = open(self.path / "daemon.txt", "ab")
        self.daemon_process = subprocess.Popen([self.lab.bartizan, "daemon", "--idle", str(idle)], env=self.env,
                                               stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(lambda: (self.path / "run/sock").exists(), "the daemon's socket")
        return self.daemon_process

    def daemon_pid(self):
        """The process that listens on our socket."""
        mine = str(self.path).encode()
        for pid in pids():
            with contextlib.suppress(OSError):
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if words[1:2] == [b"daemon"] and mine in pathlib.Path(f"/proc/{pid}/environ").read_bytes():
                    return pid
        return None

    def end_daemon(self):
        pid = self.daemon_pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
        if self.daemon_process:
            self.daemon_process.wait(PATIENCE)
            self.daemon_process = None
        wait_for(lambda: self.daemon_pid() is None, "the end of the daemon")

    def cli(self, *arguments):
        return subprocess.run([self.lab.bartizan, *arguments], env=self.env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE)

    def logs(self):
        return auditlog.below(self.path)

    def entries(self):
        """All entries of all logs."""
        return auditlog.entries_below(self.path)

    def messages(self, **wanted):
        """The recorded messages that have all these fields."""
        return [entry for entry in self.entries() if all(entry.get(key) == value for key, value in wanted.items())]

    @contextlib.contextmanager
    def serve(self, servers, extra=""):
        """Serves `servers`, by name a command or a URL; gives the base URL."""
        port, admin = free_ports(2)
        lines = [f'sandbox.default = "none"\n[listen]\naddress = "127.0.0.1:{port}"\n[admin]\naddress = "127.0.0.1:{admin}"\n']
        for name, place in servers.items():
            key = "url" if isinstance(place, str) else "command"
            lines.append(f"[server.{name}]\n{key} = {json.dumps(place)}\n")
        config = self.path / "bartizan.toml"
        config.write_text("".join(lines) + extra)
        with open(self.path / "serve.txt", "ab") as log:
            process = subprocess.Popen([self.lab.bartizan, "serve", "--allow-unconfined", "--config", str(config)], env=self.env,
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(lambda: process.poll() is not None or connects(port), "the gateway")
            if process.poll() is not None:
                raise AssertionError("serve ended: " + (self.path / "serve.txt").read_text())
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(PATIENCE)


class Stdio:
    """A process that speaks lines of JSON, and what it says."""

    def __init__(self, command, env=None, cwd=None, read=True):
        self.process = subprocess.Popen(command, env=env, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.out, self.err = [], []
        self.changed = threading.Condition()
        self.threads = []
        self.follow(self.process.stderr, self.err)
        if read:
            self.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(OSError):
                stream.close()

    def read(self):
        """Starts to read what it says."""
        self.follow(self.process.stdout, self.out)

    def follow(self, stream, lines):
        def pump():
            with contextlib.suppress(ValueError, OSError):
                for line in stream:
                    with self.changed:
                        lines.append(line)
                        self.changed.notify_all()
            with self.changed:
                self.changed.notify_all()
        thread = threading.Thread(target=pump, daemon=True)
        self.threads.append(thread)
        thread.start()

    def send(self, *messages):
        text = b"".join(json.dumps(message, separators=(",", ":")).encode() + b"\n" for message in messages)
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def said(self):
        with self.changed:
            return [json.loads(line) for line in self.out]

    def until(self, ready, what, patience=PATIENCE):
        deadline = time.monotonic() + patience
        with self.changed:
            while True:
                found = ready([json.loads(line) for line in self.out])
                if found:
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"no {what}; said {self.out[-5:]}, complained {self.err[-5:]}")
                self.changed.wait(left)

    def answer(self, id):
        """The response to a request."""
        match = lambda said: [m for m in said if m.get("id") == id and "method" not in m]
        return self.until(match, f"answer to {id}")[0]

    def ask(self, id, method, **params):
        self.send({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        return self.answer(id)

    def initialize(self, revision="2025-11-25"):
        answer = self.ask(0, "initialize", protocolVersion=revision, capabilities={},
                          clientInfo={"name": "raw", "version": "1"})
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    def ended(self, patience=PATIENCE):
        """Its exit status, once all it said has been read."""
        status = self.process.wait(patience)
        for thread in self.threads:
            thread.join(patience)
        return status

    def complaint(self):
        """What came on standard error, without what `run` says of itself at the start."""
        with self.changed:
            said = b"".join(self.err).decode("utf-8", "replace")
        return NOTICE.sub("", said, count=1)




def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(ready, what, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while not (found := ready()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited too long for {what}")
        time.sleep(0.02)
    return found


def free_ports(count):
    """Different ones, as all are held until the last is found."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def connects(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
