"""Starts what a conformance run needs: the fixture server, and Bartizan in front of a server, with every guard on."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What the log says is read with what all suites share.
sys.path.insert(0, str(ROOT / "tests" / "log"))
DEBUG = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug"
BARTIZAN = os.environ.get("BARTIZAN_BIN", str(DEBUG / "bartizan"))
FIXTURE = os.environ.get("BARTIZAN_FIXTURE", str(pathlib.Path(BARTIZAN).with_name("bartizan-fixture")))
START = 30  # seconds for a program to say that it is ready

# All guards are on by default. The rates are there to be counted, and out of reach of a test.
CONFIG = """
mode = "enforce"
admin = false
[listen]
address = "127.0.0.1:0"
[guard]
conformance.enabled = true
schema.enabled = true
hidden_text.enabled = true
tool_pinning.enabled = true
rate = { enabled = true, per_principal = "1000000/min", per_server = "1000000/min", per_tool = "1000000/min" }
"""


@contextlib.contextmanager
def fixture():
    """The fixture over HTTP; gives its URL."""
    with program([FIXTURE, "--listen", "127.0.0.1:0"], r"^127\.0\.0\.1:(\d+)$") as port:
        yield f"http://localhost:{port}/mcp"


@contextlib.contextmanager
def bartizan(servers):
    """Bartizan in front of servers, each `{"url": …}` or `{"command": […]}` by its name, local ones confined unless they say that they
    are not; gives the URL of one by its name, and where the log is."""
    with tempfile.TemporaryDirectory(prefix="bartizan-conformance-", ignore_cleanup_errors=True) as home:
        lines = {name: "".join(f"{key} = {json.dumps(value)}\n" for key, value in at.items()) for name, at in servers.items()}
        tables = (f"[server.{name}]\n{settings}" for name, settings in lines.items())
        config = pathlib.Path(home, "bartizan.toml")
        config.write_text(CONFIG + "".join(tables))
        free = ["--allow-unconfined"] if any("sandbox.level" in at for at in servers.values()) else []
        command = [BARTIZAN, "serve", *free, "--config", str(config)]
        with program(command, r"serves MCP at http://127\.0\.0\.1:(\d+)/mcp", {"BARTIZAN_HOME": home}) as port:
            place = lambda name: f"http://localhost:{port}/mcp/{name}"
            place.log = pathlib.Path(home, "audit")
            yield place


@contextlib.contextmanager
def program(command, ready, environment=None):
    """A program that runs until the block ends; gives what `ready` captures in its output."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, env=os.environ | (environment or {}), start_new_session=True)
    lines, found = [], []

    def follow():
        with child.stdout:
            for line in child.stdout:
                lines.append(line)
                match = re.search(ready, line.strip())
                if match:
                    found.append(match[1])

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    try:
        deadline = time.monotonic() + START
        while not found:
            if child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start:\n{''.join(lines)}")
            time.sleep(0.01)
        yield found[0]
    finally:
        stop(child)
        reader.join(timeout=5)


def stop(child):
    """Asks the program to end, then ends it with everything it has started."""
    child.terminate()
    try:
        child.wait(timeout=15)
    except subprocess.TimeoutExpired:
        pass
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
