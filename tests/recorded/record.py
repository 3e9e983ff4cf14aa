#!/usr/bin/env python3
"""Records what real clients and servers say to each other in every revision, into crates/mcp/tests/data/recorded.

    record.py

The scenarios of ../real and of the official conformance suite run with a tap in between. Of all that is said the first
message of every shape stays, with the requests it belongs to; a long one stays in one revision only. A file is one
revision, a line is one message:

    from      whose it is, `client` or `server`
    talk      the conversation, by number
    client, server   who held it
    answers   the line of the request that it answers, counted from 1
    within    the line of the request during which it was said
    parts     how many texts it has, by kind, counted here
    text      the message, byte for byte but for the directories of this machine
"""

import collections
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "real"), str(HERE.parent / "conformance")]
import lab
import official
import processes
import same
import scenarios
import tap

DATA = lab.ROOT / "crates/mcp/tests/data/recorded"
LEGACY = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
MODERN = "2026-07-28"
LONG, LARGEST = 1024, 16 * 1024
# What a guard refuses with reason has tests of its own.
REFUSED = re.compile(r"no[-_]such[-_](tool|prompt)")
# Clients to record with a server of a legacy revision; the older ones ask for theirs through the tap.
CLIENTS = {"python legacy": "the Python client", "typescript sdk": "the TypeScript SDK", "typescript legacy": "the TypeScript client"}
MODERN_CLIENTS = {"python 2026-07-28": "the Python client", "typescript 2026-07-28": "the TypeScript client"}
HOST = re.compile(r"\b(localhost|127\.0\.0\.1):\d+")


def main():
    DATA.mkdir(parents=True, exist_ok=True)
    long = set()
    with lab.Lab() as the_lab:
        for revision in reversed([*LEGACY, MODERN]):
            found = [conversation for source in (real, conformance) for conversation in source(the_lab, revision)]
            lines = chosen(found, long)
            text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
            check(text)
            (DATA / f"{revision}.jsonl").write_text(text)
            print(f"{revision}: {len(lines)} of {sum(len(said) for *_, said in found)} messages, {len(text) // 1024} KiB")


def real(the_lab, revision):
    """Every server with every client that speaks the revision."""
    for server in scenarios.STEPS:
        for client, name in (MODERN_CLIENTS if revision == MODERN else CLIENTS).items():
            if same.is_mismatch(server, client):
                continue
            world, file = the_lab.world(server), the_lab.fresh() / "said"
            command = [sys.executable, str(HERE / "tap.py"), "stdio", str(file),
                       "-" if revision == MODERN else revision, *the_lab.server(server, world)]
            env = {"MEMORY_FILE_PATH": str(world / "memory.jsonl")} if server == "memory" else {}
            same.drive(the_lab, client, {"command": command, "env": env}, world, server)
            lab.wait_for(file.exists, f"what {client} and {server} said")
            yield from ((name, server, clean(said, world)) for said in read(file))


def conformance(the_lab, revision):
    """The official suite's own scenarios, with its client and with its servers."""
    if revision not in ("2025-11-25", MODERN):
        return
    suite = official.Suite()
    with processes.fixture() as url, tempfile.TemporaryDirectory() as out:
        proxy, file = tap.Proxy(url), pathlib.Path(out, "said")
        official.quietly([*suite.command, "server", "--url", proxy.url, "--requirements", revision, "-o", out])
        tap.save(file, proxy.sessions.values())
        yield from (("the conformance suite", "fixture", clean(said, out)) for said in read(file))
        file.unlink()
        command = f"{sys.executable} {HERE / 'tap.py'} client {file} {suite.client}"
        names = [name for name in suite.scenarios(revision, "client") if not name.startswith("auth/")]
        for name in names:
            official.quietly([*suite.command, "client", "--command", command, "--spec-version", revision, "--force",
                              "--scenario", name, "-o", out])
        yield from (("the TypeScript client", "the conformance suite", clean(said, out)) for said in read(file))


def read(file):
    """One conversation a line."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def clean(said, world):
    """Without the directories, the hosts and the ports of this machine."""
    for entry in said:
        text = entry["text"].replace(json.dumps(str(world))[1:-1], "/srv/data").replace(str(lab.ROOT), "/srv/bartizan")
        entry["text"] = HOST.sub(r"\1:8484", text)
    return said


def chosen(conversations, long):
    """The first message of every shape, and the requests that it belongs to. `long` holds the shapes of long ones."""
    short, lines = set(), []
    for number, (client, server, said) in enumerate(conversations, 1):
        kept = set()
        for index, entry in enumerate(said):
            message = json.loads(entry["text"])
            about = said[entry["answers"]] if entry.get("answers") is not None else None
            asked = about and json.loads(about["text"])["method"]
            # A list of tools is what the calls of that server are held against.
            form = server if asked == "tools/list" else shape(message)
            mark = json.dumps([entry["from"], asked, form])
            seen = long if len(entry["text"]) > LONG else short
            if mark in seen or not fits(entry, said, message):
                continue
            seen.add(mark)
            while index is not None:
                kept.add(index)
                index = said[index].get("answers", said[index].get("within"))
        place = {index: len(lines) + 1 + at for at, index in enumerate(sorted(kept))}
        held = {"talk": number, "client": client, "server": server}
        lines += [line(said[index], held, place) for index in sorted(kept)]
    return lines


def fits(entry, said, message):
    whole = [entry["text"]] + [said[at]["text"] for at in (entry.get("answers"), entry.get("within")) if at is not None]
    lost = "method" not in message and entry.get("answers") is None or "within" in entry and entry["within"] is None
    return not lost and not any(len(text) > LARGEST or REFUSED.search(text) for text in whole)


def line(entry, held, place):
    links = {link: place[entry[link]] for link in ("answers", "within") if entry.get(link) is not None}
    parts = collections.Counter(kinds(json.loads(entry["text"])))
    return {"from": entry["from"]} | held | links | {"parts": dict(sorted(parts.items())), "text": entry["text"]}


# What these hold is up to a server or client, not to the protocol.
FREE = {"arguments", "clientInfo", "serverInfo", "io.modelcontextprotocol/clientInfo", "io.modelcontextprotocol/serverInfo",
        "inputSchema", "outputSchema", "structuredContent", "data", "capabilities", "io.modelcontextprotocol/clientCapabilities"}


def shape(value, key=None):
    """What there is, without what it says. A method says what there is; so does the type of a content."""
    if isinstance(value, dict) and key not in FREE:
        return {name: shape(held, name) for name, held in sorted(value.items())}
    if isinstance(value, list):
        return sorted({json.dumps(shape(element)) for element in value})
    return value if key in ("method", "type", "resultType", "action") else type(value).__name__


def kinds(message):
    """The kind of every text of a message: each key and string but the keys of the envelope."""
    for name, value in message.items():
        if name == "params":
            yield from params(message["method"], value)
        elif name == "result":
            yield from result(value)
        elif name != "jsonrpc":
            yield from texts(value, "error" if name == "error" else "other")


def params(method, value):
    whole = {"sampling/createMessage": "sampling", "elicitation/create": "elicitation"}.get(method)
    whole = "notification" if method.startswith("notifications/") else whole
    for name, held in value.items():
        argument = name in ("arguments", "argument", "context", "inputResponses")
        yield from member(held, "metadata" if name == "_meta" else whole or ("argument" if argument else "other"))


RESULT = {"content": "content", "contents": "content", "messages": "content", "completion": "content", "description": "content",
          "structuredContent": "structured_content", "instructions": "instructions", "serverInfo": "instructions", "_meta": "metadata"}
LISTS = {"tools": "tool_definition", "prompts": "prompt_definition", "resources": "resource_definition",
         "resourceTemplates": "resource_definition"}


def result(value, outermost=True):
    for name, held in value.items():
        if name in LISTS:
            yield "other"
            yield from texts(held, LISTS[name])
        elif name == "inputRequests":
            yield "other"
            for request in held.values():
                yield from member(request, "sampling" if request["method"] == "sampling/createMessage" else "elicitation")
        elif name == "result" and outermost and isinstance(held, dict):
            yield "other"
            yield from result(held, False)
        else:
            yield from member(held, RESULT.get(name, "other"))


def member(value, kind):
    yield kind
    yield from texts(value, kind)


def texts(value, kind):
    if isinstance(value, dict):
        for held in value.values():
            yield from member(held, kind)
    elif isinstance(value, list):
        for element in value:
            yield from texts(element, kind)
    elif isinstance(value, str):
        yield kind


def check(text):
    """Nothing of this machine may be in what goes into the repository."""
    own = {str(lab.ROOT), str(pathlib.Path.home()), tempfile.gettempdir() + "/", socket.gethostname(), os.environ.get("USER", "")}
    for word in own:
        found = re.search(rf".{{0,60}}(?<!\w){re.escape(word)}\b.{{0,60}}", text) if len(word) > 3 else None
        if found:
            sys.exit(f"the recording names {word}: {found[0]}")


if __name__ == "__main__":
    main()
