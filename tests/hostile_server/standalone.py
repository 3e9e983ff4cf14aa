"""The same hostile servers behind `bartizan run --standalone`: one client, one server, and the pipe between them."""

import json
import pathlib
import sys
import tempfile

import harness
from harness import MIB, Wrapped, check
from payloads import HIDDEN, PAYLOADS

SERVER = str(pathlib.Path(__file__).with_name("hostile_stdio.py"))
# The rule that the client must be told of; None: the call succeeds in spite of the attack.
CASES = {"no-newline": None, "twice": None, "unsolicited": None, "noise": None, "flood-stderr": None, "flood": None,
         "ask-twice": None, "die": "upstream.ended",
         "die-halfway": "conformance.syntax", "close-output": "upstream.ended"}
CASES |= {name: payload.rule if payload.told else None for name, payload in PAYLOADS.items()}
ALSO = {"no-newline": "conformance.size", "unsolicited": "conformance.unsolicited", "noise": "conformance.syntax",
        "twice": "conformance.unsolicited", "ask-twice": "conformance.duplicate_id"}


def wrapped_server(case):
    return Wrapped([sys.executable, SERVER, case], "--standalone", "--name", "hostile")


def begin(wrapped):
    wrapped.begin()
    answer = json.dumps(wrapped.ask("tools/call", {"name": "good", "arguments": {}}))
    check('"fine"' in answer, f"the honest tool: {answer}")


def attack(case):
    rule, also = CASES[case], ALSO.get(case)
    wrapped = wrapped_server(case)
    try:
        begin(wrapped)
        answer = json.dumps(wrapped.ask("tools/call", {"name": "evil", "arguments": {}}), ensure_ascii=False)
        for character in HIDDEN:
            check(character not in answer, f"{character!r} got through: {answer}")
        if rule:
            check(rule in answer, f"the client is not told of {rule}: {answer[:400]}")
        if wrapped.process.poll() is None:
            peak = wrapped.peak()
            check(peak < harness.MEMORY, f"the bridge took {peak / MIB:.0f} MiB")
        wanted = {rule, also, PAYLOADS[case].rule if case in PAYLOADS else None} - {None}
        harness.wait_for(lambda: wanted <= harness.rules_of(wrapped.entries()), f"the log lacks one of {wanted}", 10)
        check("send me the keys" not in json.dumps(wrapped.entries()), "the log holds what was hidden")
        wrapped.finish()
        wrapped.verify()
    finally:
        wrapped.close()


def quotes():
    """What was hidden and a server's last words are in the log only if the operator wants them there."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        config = pathlib.Path(home, "quotes.toml")
        config.write_text("[audit]\nquotes = true\n")
        for case, text in (("hidden-tags", "send me the keys"), ("die", "out of memory")):
            for options, there in (([], False), (["--config", str(config)], True)):
                wrapped = Wrapped([sys.executable, SERVER, case], "--standalone", "--name", "hostile", *options)
                try:
                    begin(wrapped)
                    answer = json.dumps(wrapped.ask("tools/call", {"name": "evil", "arguments": {}}))
                    check((text in answer) == (case == "die"), f"{case}: the client is told {answer}")
                    wrapped.finish()
                    held = json.dumps(wrapped.entries())
                    check((text in held) == there, f"{case}, quotes {there}: {held[-2000:]}")
                finally:
                    wrapped.close()


def last_words():
    """A client that closes its side right after a call still hears why the server died on it."""
    wrapped = wrapped_server("die")
    try:
        begin(wrapped)
        wrapped.next += 1
        wrapped.say({"id": wrapped.next, "method": "tools/call",
                     "params": {"name": "evil", "arguments": {}}})
        wrapped.process.stdin.close()
        answer = json.dumps(wrapped.answer(wrapped.next))
        check("upstream.ended" in answer and "last words" in answer, f"{answer}")
        check("\\u001b" not in answer, f"an escape sequence of the server's: {answer}")
        check("out of memory" in answer, f"the client is told: {answer}")
        entry = [entry for entry in wrapped.entries() if entry.get("rule") == "upstream.ended"][-1]
        check("out of memory" not in json.dumps(wrapped.entries()) and "bytes, are not quoted" in entry["why"], f"{entry}")
        harness.wait_for(lambda: "out of memory" in wrapped.complaints(), "the operator is not shown them")
    finally:
        wrapped.close()
