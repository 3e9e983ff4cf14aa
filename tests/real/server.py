#!/usr/bin/env python3
"""A stdio server that does on demand what real ones do only by accident: dies, falls silent, floods, changes.

    server.py [--starts FILE] [--versions A,B,..] [--crash-from N [--crash-in WHERE]] [--child FILE]

Each start adds a line to --starts; the n-th start says it has the n-th version (the last one from then on), and from
the N-th start on it exits with 7, `start` or in the `handshake`. --child starts a process in a session of its own
that ignores signals, and writes both process ids to FILE.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys

CHILD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGHUP, signal.SIG_IGN); time.sleep(600)"
TOOLS = ["echo", "die", "hold", "flood", "mute", "seen"]


def main():
    options = parse()
    start = note_start(options.starts)
    crashes = options.crash_from and start >= options.crash_from
    if crashes and options.crash_in == "start":
        sys.exit(7)
    if options.child:
        child = subprocess.Popen([sys.executable, "-c", CHILD], start_new_session=True, stdin=subprocess.DEVNULL)
        partial = pathlib.Path(options.child + ".new")
        partial.write_text(f"{os.getpid()} {child.pid}")
        partial.rename(options.child)
    versions = options.versions.split(",")
    version = versions[min(start, len(versions)) - 1]
    server = Server(version, crashes)
    # Unbuffered reading, so that what the server has not read is still in the pipe.
    for line in sys.stdin.buffer:
        server.handle(json.loads(line))


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--starts")
    parser.add_argument("--versions", default="1")
    parser.add_argument("--crash-from", type=int)
    parser.add_argument("--crash-in", default="start")
    parser.add_argument("--child")
    return parser.parse_args()


def note_start(file):
    if not file:
        return 1
    with open(file, "a+") as starts:
        starts.write("start\n")
        starts.flush()
        starts.seek(0)
        return len(starts.readlines())


class Server:
    def __init__(self, version, crashes):
        self.version, self.crashes = version, crashes
        self.held, self.methods = [], []

    def handle(self, message):
        method, params = message.get("method"), message.get("params") or {}
        self.methods.append(method)
        if method == "notifications/release":
            for id in self.held:
                self.answer(id, "released")
            self.held = []
        if "id" not in message or method is None:
            return
        if method == "initialize":
            if self.crashes:
                sys.exit(7)
            info = {"name": "odd", "version": self.version}
            self.result(message["id"], {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info})
        elif method == "tools/list":
            self.result(message["id"], {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]})
        elif method == "tools/call":
            self.call(message["id"], params["name"], params.get("arguments") or {})
        else:
            send({"id": message["id"], "error": {"code": -32601, "message": "no such method"}})

    def call(self, id, tool, arguments):
        if tool == "echo":
            self.answer(id, arguments["text"])
        elif tool == "seen":
            self.answer(id, json.dumps(self.methods))
        elif tool == "hold":
            self.held.append(id)
        elif tool == "mute":
            os.close(1)
            signal.pause()
        elif tool == "flood":
            for number in range(arguments["count"]):
                send({"method": "notifications/message", "params": {"level": "info", "data": number}})
            self.answer(id, "that was all")
        elif tool == "die":
            for line in arguments.get("words", []):
                print(line, file=sys.stderr, flush=True)
            if "signal" in arguments:
                os.kill(os.getpid(), arguments["signal"])
            os._exit(arguments.get("status", 1))
        else:
            send({"id": id, "error": {"code": -32602, "message": "no such tool"}})

    def answer(self, id, text):
        self.result(id, {"content": [{"type": "text", "text": text}]})

    def result(self, id, result):
        send({"id": id, "result": result})


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
