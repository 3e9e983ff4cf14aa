#!/usr/bin/env python3
"""A server that says again what it is given back, in as many ways as it can: over HTTP within a suite, or by itself over stdio."""

import base64
import html
import json
import pathlib
import sys
import urllib.parse

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "aggregate")]
from upstream import ERA, Answering, Upstream  # noqa: E402

LEGACY, MODERN = "2025-11-25", "2026-07-28"
MEMBER, SURNAME = "48213377", "Bergerac"
RECORD = f"member {MEMBER}, surname {SURNAME}, mail anna.berger@corp.example"
SCHEMA = {"type": "object"}
TOOLS = [{"name": "find", "description": "Finds somebody.", "inputSchema": SCHEMA},
         {"name": "send", "description": "Sends something.", "inputSchema": SCHEMA},
         {"name": "status", "description": "Says how it is.", "inputSchema": SCHEMA}]
RESUMED = "1"


def b64(text):
    return base64.b64encode(text.encode()).decode()


def content(text, **more):
    return {"content": [{"type": "text", "text": text}]} | more


# What a result says of some values, by the way it does.
WAYS = {
    "plainly": lambda all: content(f"mail sent to {all[1]}, in all 99{all[0]}11"),
    "loudly": lambda all: content(f"SENT TO {all[1].upper()} AND {all[0]}"),
    "within": lambda all: content(f"xx{all[1].lower()}yy {all[0]}zz"),
    "in base64": lambda all: content("done " + b64(f"it was sent to {' and '.join(all)} today")),
    "in base64 twice": lambda all: content("done " + b64("once more: " + b64(f"it was sent to {' and '.join(all)} today"))),
    "in hex": lambda all: content("done " + f"sent to {' and '.join(all)}".encode().hex()),
    "for URLs": lambda all: content("https://a.example/?q=" + "".join(f"%{byte:02X}" for byte in "/".join(all).encode())),
    "for pages": lambda all: content("".join(f"&#{ord(letter)};" for letter in " ".join(all))),
    "in words of mail": lambda all: content(" and ".join(f"=?utf-8?B?{b64(value)}?=" for value in all)),
    "in short base64": lambda all: content("to " + ", ".join(b64(value) for value in all)),
    "in short hex": lambda all: content("to " + ", ".join(value.encode().hex() for value in all)),
    "in escapes": lambda all: content("".join(f"\\u{ord(letter):04x}" for letter in " ".join(all))),
    "with signs": lambda all: content(" ".join("-".join(value) for value in all)),
    "many times": lambda all: content("\n".join(b64(f"line {number} for {' and '.join(all)}") for number in range(100))),
    "deeply": lambda all: content(deep("for " + " and ".join(all), 3)),
    "as data": lambda all: content("done", structuredContent={"to": {"all": all, "n": int(all[0]), "more": [f"{all[1]}!"]}}),
    "as a key": lambda all: content("done", structuredContent={all[1]: 1}),
    "as a failure": lambda all: content(f"no such customer: {all[1]}", isError=True),
    "as a link": lambda all: {"content": [{"type": "resource_link", "uri": f"mail:{all[1]}", "name": f"for {all[0]}"}]},
    "as a file": lambda all: {"content": [{"type": "resource", "resource": {"uri": "mem://a", "blob": b64(f"it was sent to {' and '.join(all)} today")}}]},
    "as an aside": lambda all: content("done", _meta={"example.org/to": all}),
}
BESIDE = ("as an error", "in news", "in the log", "in a question")
# Those by which nothing would be left of what was meant, so that the answer is refused.
REFUSED = ("as a key", "as a file", "deeply")


def deep(text, depth):
    return text if depth == 0 else ", and then ".join(b64(f"{number}: {deep(text, depth - 1)}") for number in range(10))


def opening(method, name, capabilities, tools):
    """What a server says of itself, in both eras; to anything else nothing."""
    about = {"capabilities": capabilities, "serverInfo": {"name": name, "version": "1"}}
    keep = {"ttlMs": 0, "cacheScope": "private"}
    if method == "initialize":
        return {"protocolVersion": LEGACY} | about
    if method == "server/discover":
        return {"supportedVersions": [MODERN]} | about | keep
    if method == "tools/list":
        return {"tools": tools} | keep
    return {}


class Talk:
    """What it says to a call, message by message, the answer last."""

    def __init__(self):
        self.told = []

    def result(self, method, params):
        return opening(method, "echo", {"tools": {"listChanged": True}, "logging": {}}, TOOLS)

    def to_call(self, message):
        params = message.get("params") or {}
        name, arguments = params["name"], params.get("arguments", {})
        if name == "find":
            return [self.answer(message, content(RECORD))]
        if name == "send":
            self.told = arguments["to"]
        way, token = arguments.get("way", "plainly"), params.get("_meta", {}).get("progressToken", 1)
        said = " and ".join(self.told)
        if way == "as an error":
            error = {"code": -32000, "message": f"cannot send to {said}", "data": {"to": self.told}}
            return [{"jsonrpc": "2.0", "id": message["id"], "error": error}]
        before = {
            "in news": {"method": "notifications/progress", "params": {"progressToken": token, "progress": 1, "message": f"now {said}"}},
            "in the log": {"method": "notifications/message", "params": {"level": "error", "data": {"to": self.told, "why": b64(f"no way to {said} today")}}},
            "in a question": {"id": "q1", "method": "sampling/createMessage", "params": {"messages": [
                {"role": "user", "content": {"type": "text", "text": f"Who is {said}?"}}], "systemPrompt": said, "maxTokens": 5}},
        }
        result = content("done") if way in before else WAYS[way](self.told)
        return [{"jsonrpc": "2.0"} | before[way] for _ in [0] if way in before] + [self.answer(message, result)]

    @staticmethod
    def answer(message, result):
        if ERA in (message.get("params") or {}).get("_meta", {}):
            result.setdefault("resultType", "complete")
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}


class Echo(Answering):
    """The same over HTTP: an answer with something before it is a stream, and one that is to be resumed breaks off."""

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        talk = self.server.talk
        if "id" not in message or "method" not in message:
            return self.send(202)
        if message["method"] != "tools/call":
            answer = talk.answer(message, talk.result(message["method"], message.get("params") or {}))
            return self.send(200, json.dumps(answer).encode())
        resumes = message["params"].get("arguments", {}).pop("resume", False)
        said = talk.to_call(message)
        if resumes:
            self.server.later = said
            return self.send(200, f"id: {RESUMED}\ndata: \n\n".encode(), "text/event-stream")
        if len(said) == 1:
            return self.send(200, json.dumps(said[0]).encode())
        self.send(200, "".join(f"data: {json.dumps(one)}\n\n" for one in said).encode(), "text/event-stream")

    def do_GET(self):
        if self.headers.get("Last-Event-ID") != RESUMED:
            return self.send(405)
        self.send(200, "".join(f"id: 2\ndata: {json.dumps(one)}\n\n" for one in self.server.later).encode(), "text/event-stream")


def server():
    held = Upstream(Echo)
    held.talk = Talk()
    return held


def readings(text):
    """All that a text says to whoever looks into it: what stands in its strings, and in encodings in encodings."""
    left, seen = [text], set()
    while left:
        text = left.pop()
        if text in seen or len(seen) > 5000:
            continue
        seen.add(text)
        yield text.lower()
        yield "".join(letter for letter in text.lower() if letter.isalnum())
        left += [urllib.parse.unquote(text, errors="replace"), html.unescape(text)]
        try:
            left.append(json.loads(f'"{text}"') if "\\" in text else text)
        except ValueError:
            pass
        for word in set("".join(letter if letter.isalnum() or letter in "+/=" else " " for letter in text).split()):
            for read in (lambda: base64.b64decode(word + "=" * (-len(word) % 4), validate=True), lambda: bytes.fromhex(word)):
                try:
                    left.append(read().decode())
                except ValueError:
                    pass


def strings(value):
    if isinstance(value, dict):
        for key, held in value.items():
            yield from strings(key)
            yield from strings(held)
    elif isinstance(value, list):
        for held in value:
            yield from strings(held)
    elif not isinstance(value, (bool, type(None))):
        yield str(value)


def shown(messages):
    """Which of the values whoever reads these messages has seen."""
    all_read = [read for text in strings(messages) for read in readings(text)]
    return {value for value in (MEMBER, SURNAME) if any(value.lower() in read for read in all_read)}


def over_stdio():
    talk = Talk()
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        if message["method"] != "tools/call":
            said = [talk.answer(message, talk.result(message["method"], message.get("params") or {}))]
        elif message["params"].get("arguments", {}).get("way") == "with its last words":
            print(f"cannot send to {message['params']['arguments']['to'][1]}", file=sys.stderr, flush=True)
            return 1
        else:
            said = talk.to_call(message)
        for one in said:
            print(json.dumps(one), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(over_stdio())
