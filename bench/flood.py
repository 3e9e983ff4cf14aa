#!/usr/bin/env python3
"""Measures what a good client notices of a flood: idle connections, streams, handshakes, and bad credentials.

The good client has one call in flight over a connection from 127.0.0.1; the flood comes from 127.0.0.2, except where it says
otherwise. Each flood is measured between two times of quiet, in one run. The gateway has one core to itself; upstream, good
client and flood share the other. Builds nothing: the binaries are those of the release directory.
"""

import argparse
import asyncio
import base64
import contextlib
import html
import itertools
import json
import os
import pathlib
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from run import cores, environment, free_port, on_core  # noqa: E402, F401

ATTACKER, GOOD = "127.0.0.2", "127.0.0.1"
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "flood", "version": "1"}}


class Flooder:
    """In a process of its own: holds or repeats connections until it is told to stop, and then says what became of them."""

    def __init__(self, port, kind, count, source, key, tls):
        self.port, self.kind, self.count, self.source, self.key = port, kind, count, source, key
        self.context = None
        if tls:
            self.context = ssl.create_default_context()
            self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.held, self.tried, self.answers = 0, 0, {}

    async def run(self):
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        # So many at once are begun; more would only wait for each other.
        self.begins = asyncio.Semaphore(64)
        each = {"idle": self.idle, "streams": self.stream, "handshakes": self.handshakes, "keys": self.credentials,
                "tokens": self.credentials, "passwords": self.passwords}[self.kind]
        if self.kind == "tokens":
            self.tokens = self.forged()
        tasks = [asyncio.create_task(each()) for _ in range(self.count)]
        while not stop.is_set():
            print(json.dumps({"at": time.monotonic(), "held": self.held, "tried": self.tried, "answers": self.answers}), flush=True)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.25)
        for task in tasks:
            task.cancel()

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context, local_addr=(self.source, 0))

    def head(self, method, body, *more, path="/mcp/up"):
        shown = [f"Authorization: Bearer {self.key}"] if self.key else []
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Accept: application/json, text/event-stream",
                 "Content-Type: application/json", f"Content-Length: {len(body)}", *shown, *more]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body

    async def idle(self):
        """One connection after another that says nothing, each for as long as it is let."""
        while True:
            try:
                async with self.begins:
                    self.tried += 1
                    reader, writer = await self.connect()
            except OSError:
                await asyncio.sleep(0.1)
                continue
            self.held += 1
            with contextlib.suppress(OSError):
                await reader.read(1)
            self.held -= 1
            writer.close()

    async def begin(self, reader, writer):
        """A session with all servers, which has a stream whatever they have."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}).encode()
        writer.write(self.head("POST", body, path="/mcp"))
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        values = dict(line.split(": ", 1) for line in head if ": " in line)
        await reader.readexactly(int(values.get("content-length", 0)))
        return values["mcp-session-id"]

    async def stream(self):
        """One stream after another on which nothing comes, each of a session of its own."""
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, KeyError):
                async with self.begins:
                    self.tried += 1
                    reader, writer = await self.connect()
                    session = await self.begin(reader, writer)
                    session = [f"Mcp-Session-Id: {session}", "MCP-Protocol-Version: 2025-11-25"]
                    writer.write(self.head("GET", b"", *session, path="/mcp"))
                    status = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
                self.answers[status] = self.answers.get(status, 0) + 1
                self.held += status == "200"
                while status == "200" and await reader.read(4096):
                    pass
                self.held -= status == "200"
                writer.close()
            await asyncio.sleep(0.5)

    async def handshakes(self):
        """The beginning of one handshake after another, always with the same bytes, which cost whoever floods nothing."""
        begun = ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            self.context.wrap_bio(ssl.MemoryBIO(), begun, server_hostname="localhost").do_handshake()
        hello = begun.read()
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(self.source, 0))
                self.tried += 1
                writer.write(hello)
                came = "answered" if await reader.read(65536) else "dropped"
                self.answers[came] = self.answers.get(came, 0) + 1
                writer.transport.abort()

    async def answer(self, reader):
        """Head and body of an answer; its status is counted."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length")), 0)
        body = (await reader.readexactly(length)).decode()
        self.answers[head.split()[1]] = self.answers.get(head.split()[1], 0) + 1
        return head, body

    async def credentials(self):
        """Requests with a key that nobody has, or each with another token that names the gateway's own key and is not signed
        with it, as fast as they are refused."""
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await self.connect()
                while True:
                    self.tried += 1
                    if self.kind == "tokens":
                        self.key = next(self.tokens)
                    writer.write(self.head("POST", b"{}"))
                    await self.answer(reader)

    def forged(self):
        """Tokens that are none, each another one, that cost as much as can be before that is known."""
        origin = f"http://127.0.0.1:{self.port}"
        with urllib.request.urlopen(f"{origin}/bartizan/oauth/jwks") as answer:
            key = json.load(answer)["keys"][0]
        encoded = lambda value: base64.urlsafe_b64encode(value).rstrip(b"=").decode()  # noqa: E731
        head = encoded(json.dumps({"typ": "at+jwt", "alg": key["alg"], "kid": key["kid"]}).encode())
        now = int(time.time())
        for number in itertools.count():
            claims = {"iss": origin, "sub": "ann", "aud": f"{origin}/mcp/up", "client_id": "x", "scope": "mcp", "iat": now,
                      "exp": now + 3600, "jti": str(number)}
            yield f"{head}.{encoded(json.dumps(claims).encode())}.{encoded(os.urandom(64))}"

    async def passwords(self):
        """Guesses of passwords on the page where people sign in, each for another name."""
        origin = f"http://127.0.0.1:{self.port}"
        for number in itertools.count():
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TypeError):
                reader, writer = await self.connect()
                writer.write(self.head("GET", b"", path="/bartizan/sign-in"))
                head, page = await self.answer(reader)
                cookies = "; ".join(re.findall(r"(?im)^set-cookie: ([^;]+)", head))
                fields = {html.unescape(name): html.unescape(value) for name, value in
                          re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page)}
                fields |= {"name": f"nobody{id(reader)}-{number}", "password": "a guess of some length"}
                body = urllib.parse.urlencode(fields).encode()
                self.tried += 1
                head = self.head("POST", body, f"Cookie: {cookies}", f"Origin: {origin}", path="/bartizan/sign-in")
                writer.write(head.replace(b"Content-Type: application/json", b"Content-Type: application/x-www-form-urlencoded"))
                await self.answer(reader)
                writer.close()


class Flood:
    """One, while it goes on."""

    def __init__(self, near, port, kind, count, source=ATTACKER, key=None, tls=False):
        call = [sys.executable, __file__, "--flooder", json.dumps([port, kind, count, source, key, tls])]
        self.process = subprocess.Popen(on_core(near, call), stdout=subprocess.PIPE, text=True)
        self.last = {}

    def said(self):
        """What it has said last; it says something four times a second."""
        self.last = json.loads(self.process.stdout.readline())
        return self.last

    def says(self):
        """What it says now: whoever has measured something else meanwhile has not read what it has said since."""
        asked = time.monotonic()
        while self.said()["at"] < asked:
            pass
        return self.last

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        for line in self.process.stdout:
            self.last = json.loads(line)
        self.process.wait()


class Gateway:
    """With TLS or without, with pages on which people sign in or without, and with a key for the good client."""

    def __init__(self, release, directory, near, far, tls, pages):
        self.release, self.near, self.port, self.tls = release, near, free_port(), tls
        self.home = directory / ("home-tls" if tls else "home")
        self.home.mkdir()
        upstream = free_port()
        self.processes = [subprocess.Popen(on_core(near, [release / "bench-upstream", "--listen", f"127.0.0.1:{upstream}", "--reply", "json"]),
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
        config = self.home / "bartizan.toml"
        secure = ""
        if tls:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                            "-keyout", self.home / "key.pem", "-out", self.home / "cert.pem"], check=True, capture_output=True)
            secure = 'tls = { certificate = "cert.pem", key = "key.pem" }\n'
        config.write_text(f'[listen]\naddress = "127.0.0.1:{self.port}"\n{secure}[admin]\naddress = "127.0.0.1:{free_port()}"\n[auth]\nrequired = true\n'
                          f'{"[sign_in]" if pages else ""}\n'
                          f'[server.up]\nurl = "http://127.0.0.1:{upstream}/mcp"\n')
        env = environment({"BARTIZAN_HOME": str(self.home)})
        made = subprocess.run([release / "bartizan", "key", "create", "good", "--scope", "mcp", "--expires", "1d", "--config", config],
                              env=env, capture_output=True, text=True, check=True)
        self.key = made.stdout.strip()
        log = (self.home / "log").open("w")
        self.gateway = subprocess.Popen(on_core(far, [release / "bartizan", "serve", "--config", config]), env=env, stderr=log)
        self.processes.append(self.gateway)
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            if self.gateway.poll() is not None:
                break
            time.sleep(0.05)
        self.close()
        sys.exit("the gateway did not start:\n" + (self.home / "log").read_text())

    def memory(self):
        """MiB that it holds."""
        text = pathlib.Path(f"/proc/{self.gateway.pid}/status").read_text()
        return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.gateway.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait()


class Good:
    """A client that does one thing after the other, and connects anew where its connection is gone."""

    def __init__(self, gateway, source=GOOD):
        self.gateway, self.source, self.connection, self.session = gateway, source, None, None
        self.context = None
        if gateway.tls:
            self.context = ssl.create_default_context()
            self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.ask({"id": 1, "method": "initialize", "params": HELLO})
        self.ask({"method": "notifications/initialized"})
        self.ask({"id": 2, "method": "tools/list"})

    def ask(self, message):
        import http.client
        if self.connection is None:
            kind, more = (http.client.HTTPSConnection, {"context": self.context}) if self.context else (http.client.HTTPConnection, {})
            self.connection = kind("127.0.0.1", self.gateway.port, timeout=20, source_address=(self.source, 0), **more)
        headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json",
                   "Authorization": f"Bearer {self.gateway.key}"}
        if self.session:
            headers |= {"Mcp-Session-Id": self.session, "MCP-Protocol-Version": "2025-11-25"}
        try:
            self.connection.request("POST", "/mcp/up", json.dumps({"jsonrpc": "2.0", **message}), headers)
            response = self.connection.getresponse()
            self.session = response.getheader("mcp-session-id") or self.session
            body = response.read()
            return response.status in (200, 202) and b'"error"' not in body
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            return False

    def measure(self, seconds, anew):
        """Of calls over `seconds`: how many a second, how many failed, and percentiles in ms. `anew` has each connect."""
        params = {"name": "echo", "arguments": {"text": "x" * 100}}
        took, failed, end, number = [], 0, time.monotonic() + seconds, 10
        while time.monotonic() < end:
            if anew and self.connection:
                self.connection.close()
                self.connection = None
            number += 1
            begun = time.perf_counter()
            if self.ask({"id": number, "method": "tools/call", "params": params}):
                took.append((time.perf_counter() - begun) * 1e3)
            else:
                failed += 1
        took.sort()
        at = lambda share: took[int(share * (len(took) - 1))] if took else None  # noqa: E731
        return {"calls": len(took), "failed": failed, "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1)}


FLOODS = [
    ("10,000 connections that say nothing", "idle", 10_000, ATTACKER, False),
    ("the same over TLS", "idle", 10_000, ATTACKER, True),
    ("the same from the good client's address", "idle", 10_000, GOOD, False),
    ("12,000 connections, more than there are places", "idle", 12_000, ATTACKER, False),
    ("10,000 streams on which nothing comes", "streams", 10_000, ATTACKER, False),
    ("beginnings of TLS handshakes, 64 at a time", "handshakes", 64, ATTACKER, True),
    ("the same from the good client's address", "handshakes", 64, GOOD, True),
    ("bad keys, as fast as 64 connections can", "keys", 64, ATTACKER, False),
    ("the same over TLS", "keys", 64, ATTACKER, True),
    ("the same from the good client's address", "keys", 64, GOOD, False),
    ("forged access tokens, each another one", "tokens", 64, ATTACKER, False),
    ("guesses of passwords", "passwords", 64, ATTACKER, False),
]


def measure(gateway, near, flood, options):
    """One flood between two times of quiet."""
    what, kind, count, source, _ = flood
    good = Good(gateway)
    lines = {}
    for anew in (False, True):
        lines["quiet" + "_anew" * anew] = good.measure(options.seconds, anew)
    memory = gateway.memory()
    key = gateway.key if kind == "streams" else "btz_nobody" if kind == "keys" else None
    holds = kind in ("idle", "streams")
    count = max(1, int(count * options.scale))
    with Flood(near, gateway.port, kind, count, source, key, gateway.tls) as flood:
        grown, end = -1, time.monotonic() + options.patience
        while time.monotonic() < end and (flood.said()["held"] < count if holds else flood.said()["tried"] == 0):
            if flood.last["held"] == grown and holds:
                break
            grown = flood.last["held"]
            flood.said(), flood.said(), flood.said()
        before, cpu, begun = flood.says(), gateway.cpu(), time.monotonic()
        for anew in (False, True):
            lines["during" + "_anew" * anew] = good.measure(options.seconds, anew)
        cpu, took = gateway.cpu() - cpu, time.monotonic() - begun
        flooded = gateway.memory()
        after = flood.says()
    lines |= {"flood": what, "kind": kind, "held": before["held"], "tries_per_second": (after["tried"] - before["tried"]) / (after["at"] - before["at"]), "answers": after["answers"],
              "memory_mib": memory, "memory_flood_mib": flooded, "cpu_share": cpu / took}
    return lines


def row(line):
    def over(name, figure):
        quiet, during = line["quiet" + name][figure], line["during" + name][figure]
        return "–" if not quiet or not during else f"{during / quiet:.1f}"

    failed = sum(line["during" + name]["failed"] for name in ("", "_anew"))
    calls = sum(line["during" + name]["calls"] for name in ("", "_anew")) + failed
    amount = f"{line['held']:,} held" if line["held"] else f"{line['tries_per_second']:,.0f}/s"
    each = (line["memory_flood_mib"] - line["memory_mib"]) * 1024 / line["held"] if line["held"] else None
    return [line["flood"], amount, f"{failed} of {calls:,}", over("", "p50_ms"), over("", "p99_ms"), over("_anew", "p50_ms"),
            over("_anew", "p99_ms"), f"{line['memory_mib']:.0f} → {line['memory_flood_mib']:.0f}",
            f"{each:.1f}" if each else "–", f"{line['cpu_share']:.2f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("release", nargs="?", type=pathlib.Path, default=HERE.parent / "target/release", help="release directory")
    parser.add_argument("--seconds", type=float, default=3.0, help="measured time of each cell")
    parser.add_argument("--patience", type=float, default=30.0, help="how long a flood may take to be there")
    parser.add_argument("--scale", type=float, default=1.0, help="of each flood so much, as a smoke test")
    parser.add_argument("--only", help="only floods with this in their names")
    parser.add_argument("--flooder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.flooder:
        return asyncio.run(Flooder(*json.loads(options.flooder)).run())
    near, far, placement = cores()
    release = options.release.resolve()
    print(f"{placement}; {options.seconds:g} s for each cell; {hard:,} files\n")
    heads = ["flood", "of it", "failed", "p50 ×", "p99 ×", "p50 × anew", "p99 × anew", "RSS MiB", "KiB each", "cores"]
    print("| " + " | ".join(heads) + " |\n|---|" + "--:|" * (len(heads) - 1))
    with tempfile.TemporaryDirectory(prefix="bartizan-flood-") as folder:
        for number, flood in enumerate(FLOODS):
            if options.only and options.only not in flood[0]:
                continue
            directory = pathlib.Path(folder, str(number))
            directory.mkdir()
            gateway = Gateway(release, directory, near, far, flood[-1], pages=flood[1] in ("tokens", "passwords"))
            try:
                line = measure(gateway, near, flood, options)
            finally:
                gateway.close()
            print("| " + " | ".join(row(line)) + " |", flush=True)
            with (release.parent / "flood.jsonl").open("a") as out:
                out.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
