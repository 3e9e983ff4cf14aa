"""Servers that fail at once, whoever asks: after a few failures in a row they are left alone for a while, everybody else is told
so without another attempt, and they are there again once they are mended."""

import contextlib
import json
import pathlib
import socket
import sys
import tempfile
import threading

import harness
import hostile_http
from harness import HONEST, Client, Gateway, Twin, check, wait_for

RULE = "upstream.resting"
# Failures in a row before a server is left alone, with room for the attempts after the first rests.
ATTEMPTS = 10
HELLO = {"protocolVersion": harness.VERSION, "capabilities": {}, "clientInfo": {"name": "suite", "version": "1"}}


class Crashes:
    """A program that ends at its start, and notes that it was started."""
    reason = "upstream.ended"

    def __init__(self, folder):
        self.starts, self.mended = folder / "starts", folder / "mended"
        self.starts.touch()

    def config(self):
        script = f'echo x >> "{self.starts}"; [ -e "{self.mended}" ] && exec "{sys.executable}" "{HONEST}" stdio; echo no such disk >&2; exit 3'
        return f"command = {json.dumps(['sh', '-c', script])}\n"

    def attempts(self):
        return len(self.starts.read_text().splitlines())

    def mend(self):
        self.mended.touch()

    def end(self):
        pass


class Missing(Crashes):
    """A program that is not there."""
    reason = "upstream.unreachable"

    def config(self):
        return f"command = {json.dumps([str(self.mended), HONEST, 'stdio'])}\n"

    def mend(self):
        self.mended.symlink_to(sys.executable)


class Refuses:
    """A URL where nobody listens."""
    reason = "upstream.unreachable"

    def __init__(self, _):
        # Bound, so that nobody else gets the port meanwhile, and not listened on.
        self.socket, self.process = socket.create_server(("127.0.0.1", 0)), None
        self.port = self.socket.getsockname()[1]
        self.socket.close()
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", self.port))

    def config(self):
        return f'url = "http://127.0.0.1:{self.port}/mcp"\n'

    def attempts(self):
        return 0

    def mend(self):
        self.process, url, _ = harness.honest_server()
        target = ("127.0.0.1", int(url.split(":")[2].split("/")[0]))
        self.socket.listen(64)
        threading.Thread(target=self.forward, args=(target,), daemon=True).start()

    def forward(self, target):
        while True:
            try:
                ours, _ = self.socket.accept()
                theirs = socket.create_connection(target)
            except OSError:
                return
            for pair in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    def end(self):
        self.socket.close()
        if self.process:
            self.process.kill()


def pump(source, sink):
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def begin(gateway):
    """What a client is told that begins."""
    client = Client(gateway, "bad")
    reply, id = client.request("initialize", HELLO)
    client.session = reply.headers.get("mcp-session-id")
    answer = reply.answer(id)
    client.end()
    return answer


def case(kind):
    """One that begins after another, then mended, then many at once."""
    with tempfile.TemporaryDirectory(prefix="bartizan-resting-") as folder:
        process, honest, _ = harness.honest_server()
        bad = kind(pathlib.Path(folder))
        gateway = Gateway(harness.honest_config(honest) + f"[server.bad]\n{bad.config()}")
        try:
            twin = Twin(gateway, [None, "honest", "honest-stdio"])
            twin.check_moves()
            answers = [json.dumps(begin(gateway)) for _ in range(30)]
            check(bad.reason in answers[0], f"the first is told something else: {answers[0]}")
            check(all(bad.reason in answer or RULE in answer for answer in answers), f"one is told something else: {answers}")
            check(sum(RULE in answer for answer in answers) >= 30 - ATTEMPTS, f"{RULE} is told to few: {answers}")
            check(bad.attempts() <= ATTEMPTS + 3, f"{bad.attempts()} attempts")
            check(gateway.recorded(0, server="bad", rule=RULE), "the log lacks it")
            check(gateway.metric("bartizan_upstream_failures_total", server="bad", reason=RULE) >= 30 - ATTEMPTS, "the metrics")
            check(not gateway.recorded(0, server="honest", kind="upstream.failed"), "another is left alone")
            twin.check_moves()
            bad.mend()
            wait_for(lambda: "result" in begin(gateway), "it is not there again", 60)
            with_all(gateway)
            twin.check_moves()
            twin.stop()
            twin.check()
            gateway.stop()
            gateway.verify()
        finally:
            gateway.close()
            bad.end()
            process.kill()


def with_all(gateway):
    """Several clients of one that works, at once."""
    told = []

    def use(number):
        with Client(gateway, "bad") as client:
            told.append(client.call("echo", {"text": f"{number}"})["result"]["content"][0]["text"])

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(harness.PATIENCE)
    check(sorted(told) == sorted(map(str, range(8))), f"{told}")


def spares_others(works):
    """A client under whose requests the program crashes at once does not keep it from others, whether it `works` for one
    of them meanwhile or not."""
    code = ("import json, os, subprocess, sys\n"
            "line = sys.stdin.readline()\n"
            "if 'poison' in line: os._exit(3)\n"
            f"child = subprocess.Popen([sys.executable, {HONEST!r}, 'stdio'], stdin=subprocess.PIPE, text=True)\n"
            "child.stdin.write(line); child.stdin.flush()\n"
            "for line in sys.stdin: child.stdin.write(line); child.stdin.flush()\n")
    gateway = Gateway(f"[server.bad]\ncommand = {json.dumps([sys.executable, '-c', code])}\n")
    try:
        with Client(gateway, "bad") if works else contextlib.nullcontext() as working:
            for _ in range(2):
                for number in range(12):
                    client = Client(gateway, "bad")
                    reply, id = client.request("initialize", HELLO | {"clientInfo": {"name": "poison", "version": "1"}})
                    check("upstream.ended" in json.dumps(reply.answer(id)), f"{number}: {reply.messages}")
                for number in range(2):
                    with Client(gateway, "bad") as another:
                        check("result" in another.call("echo", {"text": "x"}), f"client {number} after it")
            check(not works or "result" in working.call("echo", {"text": "x"}), "the one that was there before")
        greeted = gateway.recorded(0, kind="own", session="trial", method="initialize")
        check(bool(greeted) != works, f"the gateway found out with {greeted}")
        check(not gateway.recorded(0, rule=RULE), "it was left alone")
        wait_for(lambda: not gateway.children(), "processes are left")
        gateway.stop()
        gateway.verify()
    finally:
        gateway.close()


# What happens to a request, and not to everybody: the server is there, and it did this to whoever asked for it.
DONE_TO_ONE = {"error-status": "upstream.status", "never": "upstream.timeout", "closed-at-once": "upstream.broken_off",
               "reset": "upstream.broken_off", "status-line-3": "upstream.malformed"}


def one_of_many(attack, rule):
    """A client whose requests a server at a URL does not answer well does not keep the server from others."""
    port = hostile_http.start()
    gateway = Gateway(f'[server.bad]\nurl = "http://127.0.0.1:{port}/{attack}"\ntimeout = "1s"\n')
    try:
        with Client(gateway, "bad") as evil, Client(gateway, "bad") as other:
            for number in range(4):
                calls = [threading.Thread(target=evil.post, args=({
                    "jsonrpc": "2.0", "id": f"{number}/{n}", "method": "tools/call", "params": {"name": "evil"}},)) for n in range(4)]
                for thread in calls:
                    thread.start()
                for thread in calls:
                    thread.join(harness.PATIENCE)
                for client in (evil, other):
                    check("result" in client.call("good"), f"{number}")
                with Client(gateway, "bad") as new:
                    check("result" in new.call("good"), f"a new one, {number}")
        check(len(gateway.recorded(0, kind="upstream.failed", rule=rule)) == 16, f"{gateway.rules(0)}")
        check(not gateway.recorded(0, rule=RULE), "it was left alone")
        gateway.stop()
    finally:
        gateway.close()


CASES = {"a program that crashes at its start": lambda: case(Crashes), "a program that is not there": lambda: case(Missing),
         "a URL that refuses": lambda: case(Refuses), "a program that one client makes crash": lambda: spares_others(False),
         "a program that one client makes crash and another uses": lambda: spares_others(True)}
CASES |= {f"a URL that does this to one client: {name}": lambda name=name, rule=rule: one_of_many(name, rule)
          for name, rule in DONE_TO_ONE.items()}
