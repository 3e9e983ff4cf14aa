"""What a tool that is entitled says again of what it was given back: its client's model sees none of it, in whatever way it is said,
over both transports and in both eras; and the tool has got what it was to get."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import sys
import tempfile

import echo
from harness import MODERN, Gateway, Raw, check, equal

LEGACY = echo.LEGACY
OWN = r"""
[[recogniser]]
id = "custom.member"
pattern = '[1-9]\d{7}'
words = ["member"]
words_required = true

[[recogniser]]
id = "custom.surname"
pattern = '\u\l{4,9}'
words = ["surname"]
words_required = true
"""
NAME = re.compile(r"[A-Za-z]+_[0-9a-z]{20}(?:@pseudonym\.invalid)?")


@contextlib.contextmanager
def place(more="", stdio=False):
    with tempfile.TemporaryDirectory(prefix="bartizan-echo-") as folder:
        own = pathlib.Path(folder) / "own.toml"
        own.write_text(OWN)
        settings = f"""[guard.personal_data]
recognisers_file = "{own}"
action = "redact"
how = "pseudonymise"
entitled = [{{ server = "echo", tool = "send" }}]
{more}
[guard.flow]
enabled = false
"""
        http = {} if stdio else {"echo": {"url": (held := echo.server()).url}}
        child = {"echo": {"command": [sys.executable, str(pathlib.Path(echo.__file__))]}} if stdio else {}
        with Gateway(http | child, settings) as gateway:
            gateway.talk = None if stdio else held.talk
            yield gateway


def names(client, prefix="echo__"):
    """What the model is told of somebody: a name for each of both values."""
    client.ask("tools/list")
    said = json.dumps(client.ask("tools/call", {"name": prefix + "find", "arguments": {}}))
    equal(echo.shown([said]), set(), said)
    found = dict(zip(("member", "surname", "mail"), NAME.findall(said)))
    return [found["member"], found["surname"]]


def call(client, tool, prefix="echo__", **arguments):
    """All that the client is told because of a call, the answer last."""
    params = {"name": prefix + tool, "arguments": arguments, "_meta": {"progressToken": "p"}}
    stream, id = client.request("tools/call", params)
    stream.answer(id)
    return stream.seen


def unseen(messages, what):
    seen = echo.shown(messages)
    check(not seen, f"{what}: the model sees {seen}: {json.dumps(messages)[:1500]}")


def tried(gateway, client, era, ways):
    all_names = names(client)
    for way in ways:
        messages = call(client, "send", to=all_names, way=way)
        if gateway.talk:
            equal(gateway.talk.told, [echo.MEMBER, echo.SURNAME], f"{era}, {way}: the tool has got what it was to get")
        unseen(messages, f"{era}, {way}")
        answer = messages[-1]
        failed = "error" in answer or answer["result"].get("isError", False)
        meant = way in (*echo.REFUSED, "as an error", "as a failure")
        equal(failed, meant, f"{era}, {way}: {json.dumps(answer)[:600]}")
        if way in ("plainly", "as data", "as an error", "in news", "in the log"):
            said = json.dumps(messages)
            check(all_names[1] in said, f"{era}, {way}: the name is there: {said}")


def case_what_a_tool_says_again_is_hidden():
    for era in (LEGACY, MODERN):
        with place() as gateway, Raw(gateway, version=era, capabilities={"sampling": {}}) as client:
            ways = [*echo.WAYS, "as an error", "in news", "in the log"]
            tried(gateway, client, era, ways + (["in a question"] if era == LEGACY else []))


def case_over_stdio_too():
    for era in (LEGACY, MODERN):
        with place(stdio=True) as gateway, Raw(gateway, version=era, capabilities={"sampling": {}}) as client:
            tried(gateway, client, era, ["plainly", "in base64", "as data", "as a key", "as an error", "in news", "in the log"])
            unseen(call(client, "send", to=names(client), way="with its last words"), f"{era}: last words")


def case_what_is_said_later_and_to_others_is_hidden_too():
    for era in (LEGACY, MODERN):
        with place() as gateway:
            with Raw(gateway, version=era) as client:
                call(client, "send", to=names(client))
            with Raw(gateway, version=era, name="other") as other:
                other.ask("tools/list")
                for way in ("plainly", "in base64"):
                    unseen(call(other, "status", way=way), f"{era}, {way}: another tool, and another client")
                gateway.talk.told = ["48213399", "Steinert"]
                said = json.dumps(call(other, "status"))
                check("48213399" in said and "Steinert" in said, f"the twin: what nobody gave back: {said}")


def case_the_rest_of_a_stream_is_no_way_around():
    with place() as gateway, Raw(gateway) as client:
        all_names = names(client)
        stream, id = client.request("tools/call", {"name": "echo__send", "arguments": {"to": all_names, "resume": True}})
        check(stream.ended.wait(20), "the stream breaks off")
        check(stream.ids, "it names a place to come back to")
        rest = client.listen(stream.ids[-1])
        answer = rest.answer(id)
        unseen([answer], "the rest of a stream")
        check(all_names[1] in json.dumps(answer), f"the name is there: {answer}")


def case_a_list_does_not_say_it():
    with place() as gateway, Raw(gateway) as client:
        all_names = names(client)
        call(client, "send", to=all_names)
        tools = echo.TOOLS
        echo.TOOLS = [*tools, {"name": "later", "description": f"For {echo.SURNAME}.", "inputSchema": {"type": "object"}}]
        try:
            unseen([client.ask("tools/list")], "a list of tools")
        finally:
            echo.TOOLS = tools


def case_what_is_excepted_by_its_name_passes():
    with place('rules = { "personal_data.given_back" = "observe" }') as gateway, Raw(gateway) as client:
        equal(echo.shown(call(client, "send", to=names(client))), {echo.MEMBER, echo.SURNAME}, "as the operator says")


def case_in_an_encoding_it_goes_to_nobody_else():
    """A value in base64 in an argument: a tool that is not entitled would get a note in the place of all of it."""
    value = echo.b64("write to anna.berger@corp.example")
    with place() as gateway, Raw(gateway) as client:
        client.ask("tools/list")
        gateway.talk.told = ["nothing", "nobody"]
        said = json.dumps(call(client, "status", note=value))
        check("stand" in said and "personal_data.email" in said and '"done' not in said, f"refused, and it says why: {said}")
        check("result" in call(client, "status", note=echo.b64("write to whom you like"))[-1], "the twin")
