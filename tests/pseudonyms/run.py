#!/usr/bin/env python3
"""The model is told names that stand for people, and whoever is entitled gets what they stand for: the guard `personal_data` through a
whole gateway, over HTTP, in both eras. Each case has its honest twin.

    run.py [PART ...]    only cases whose name contains one of these
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "aggregate"), str(pathlib.Path(__file__).parent)]
import echoes  # noqa: E402
import echo  # noqa: E402
import trouble  # noqa: E402
from harness import BINARY, MODERN, Gateway, Raw, cases_of, check, equal, run_cases  # noqa: E402
import auditlog  # noqa: E402
from upstream import Answering, Upstream  # noqa: E402

LEGACY = "2025-11-25"
ERAS = (LEGACY, MODERN)
ANNA, PHONE = "anna.berger@corp.example", "+49 30 901820"
ENCODED = "YW5uYS5iZXJnZXJAY29ycC5leGFtcGxl"  # the address in base64
RECORD = {"mail": ANNA, "phone": PHONE, "orders": 3}
TOKEN = re.compile(r"person_[0-9a-z]{20}@pseudonym\.invalid")

NUMBERS = {"card": 4111111111111111, "iban": "DE89 3704 0044 0532 0130 00", "tel": PHONE}
PAYMENT = {"type": "object", "required": ["card", "iban"], "properties": {
    "card": {"type": "integer", "minimum": 10 ** 15, "maximum": 2 ** 53 - 1}, "iban": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{2}( [0-9]{4})+ [0-9]{2}$"}}}
OUTPUT = {"type": "object", "required": ["mail", "phone", "orders"], "additionalProperties": False,
          "properties": {"mail": {"type": "string", "format": "email"}, "phone": {"type": "string"}, "orders": {"type": "integer"}}}
TOOLS = [{"name": "find", "description": "Finds a customer.", "inputSchema": {"type": "object"}, "outputSchema": OUTPUT},
         {"name": "payment", "description": "Finds how a customer pays.", "inputSchema": {"type": "object"}, "outputSchema": PAYMENT},
         {"name": "send_mail", "description": "Sends a mail.", "inputSchema": {"type": "object", "properties": {"to": {"type": "string"}}}},
         {"name": "send_again", "description": "Says it again.", "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}}},
         {"name": "note", "description": "Notes something.", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}}]
ON = """[guard.personal_data]
rules = { "personal_data.email" = "redact", "personal_data.phone" = "redact" }
how = "pseudonymise"
entitled = [{ server = "office", tool = "send_*", kinds = ["email"] }]
[guard.flow]
enabled = false
"""


PRESERVE = """[guard.personal_data]
rules = { "personal_data.email" = "redact", "personal_data.phone" = "redact", "personal_data.payment_card" = "redact", "personal_data.iban" = "redact" }
how = "preserve"
entitled = [{ server = "office", tool = "send_*" }]
[guard.flow]
enabled = false
"""


class Office(Answering):
    """Brings a customer twice, once as text and once as data, and says what it was told."""

    def result(self, method, params):
        if method == "tools/call":
            arguments = params.get("arguments", {})
            self.server.told.append((params["name"], arguments))
            if params["name"] == "find":
                text = f"Write to {ANNA} ({ANNA.upper()}) or {ENCODED}, call {PHONE}. {json.dumps(RECORD)}"
                return {"content": [{"type": "text", "text": text}], "structuredContent": RECORD}
            if params["name"] == "send_again":
                return {"content": [], "structuredContent": arguments}
            if params["name"] == "payment":
                return {"content": [{"type": "text", "text": f"Pays so:\n{json.dumps(NUMBERS)}"}], "structuredContent": NUMBERS}
            return {"content": [{"type": "text", "text": f"done: {json.dumps(arguments)}"}]}
        return echo.opening(method, "office", {"tools": {}}, TOOLS)


def office():
    held = Upstream(Office)
    held.told = []
    return held


@contextlib.contextmanager
def place(more=ON, **servers):
    held = {name: office() for name in servers or {"office": None}}
    with Gateway({name: {"url": upstream.url} for name, upstream in held.items()}, more) as gateway:
        gateway.servers = held
        yield gateway


def ask(client, tool, **arguments):
    return client.ask("tools/call", {"name": tool, "arguments": arguments})


def found(client, tool="office__find"):
    """What the model is told, and the name of the customer in it."""
    client.tools()
    answer = ask(client, tool)
    said = json.dumps(answer)
    for gone in (ANNA, ANNA.upper(), "901820", ENCODED):
        check(gone not in said, f"the model sees {gone}: {said}")
    check("result" in answer and answer["result"]["structuredContent"]["orders"] == 3, said)
    return answer, TOKEN.search(said)[0]


def last(held, server="office"):
    return held.servers[server].told[-1]


def case_who_is_entitled_gets_what_a_name_stands_for():
    for version in ERAS:
        with place() as held, Raw(held, version=version) as client:
            answer, token = found(client)
            equal(answer["result"]["structuredContent"]["mail"], token, f"{version}: the same name everywhere")
            said = json.dumps(ask(client, "office__send_mail", to=f"Anna <{token}>", more=[token.upper(), {"x": token.replace("@", "%40")}]))
            equal(last(held), ("send_mail", {"to": f"Anna <{ANNA}>", "more": [ANNA, {"x": ANNA.replace("@", "%40")}]}), version)
            check(ANNA not in said and token in said, f"{version}: its answer shows the name again: {said}")
            ask(client, "office__note", text=f"for {token}")
            equal(last(held), ("note", {"text": f"for {token}"}), f"{version}: a tool that is not entitled gets the name")
            phone = answer["result"]["structuredContent"]["phone"]
            ask(client, "office__send_mail", to=phone)
            equal(last(held), ("send_mail", {"to": phone}), f"{version}: entitled to addresses only")
            [given] = held.entries(kind="pseudonym.revealed")
            equal((given["tool"], given["server"], given["pseudonyms"]), ("send_mail", "office", [token]), "each time it is in the log")
            log = auditlog.text(held.home / "audit")
            check(ANNA not in log and PHONE not in log, "and what it stands for is not")


def case_what_the_model_says_itself_is_named_for_who_is_not_entitled():
    with place() as held, Raw(held) as client:
        _, token = found(client)
        ask(client, "office__note", text=f"write to {ANNA}")
        equal(last(held), ("note", {"text": f"write to {token}"}), "as it would have been")
        ask(client, "office__note", text="write to whom you like")
        equal(last(held), ("note", {"text": "write to whom you like"}), "the twin")


def case_who_is_entitled_gets_what_the_user_typed():
    for settings in (ON, ON.replace("pseudonymise", "preserve")):
        with place(settings) as held, Raw(held) as client:
            client.tools()
            ask(client, "office__send_mail", to="new.person@corp.example", text=f"call {PHONE}")
            to, text = last(held)[1].values()
            equal(to, "new.person@corp.example", "nothing stands for it, and it is for that tool")
            check(PHONE not in text, f"that is entitled to nothing else: {text}")
            ask(client, "office__note", text="for new.person@corp.example")
            check("new.person" not in last(held)[1]["text"], "the twin, which is entitled to nothing")
    mask = ON.replace("pseudonymise", "mask")
    with place(mask) as held, Raw(held) as client:
        client.tools()
        ask(client, "office__send_mail", to="new.person@corp.example")
        check("new.person" not in last(held)[1]["to"], "what is masked is masked for all")


def is_card(number):
    digits = [int(digit) for digit in str(number)][::-1]
    return sum(digits[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2]) in range(0, 200, 10)


def is_iban(text):
    text = text.replace(" ", "")
    return int("".join(str(int(letter, 36)) for letter in text[4:] + text[:4])) % 97 == 1


def case_numbers_stand_for_numbers_where_that_is_chosen():
    for version in ERAS:
        with place(PRESERVE) as held, Raw(held, version=version) as client:
            client.tools()
            result = ask(client, "office__payment")["result"]
            shown, said = result["structuredContent"], json.dumps(result)
            for gone in ("4111111111111111", "3704 0044", "901820"):
                check(gone not in said, f"{version}: the model sees {gone}: {said}")
            check(isinstance(shown["card"], int) and len(str(shown["card"])) == 16 and is_card(shown["card"]), said)
            check(is_iban(shown["iban"]) and shown["iban"].startswith("DE"), said)
            equal(json.loads(result["content"][0]["text"].split("\n")[1]), shown, "the text says the same")
            ask(client, "office__send_mail", to=f"pay {shown['iban']}", more=shown, text=json.dumps(shown), card=str(shown["card"]))
            whole = {"to": f"pay {NUMBERS['iban']}", "more": NUMBERS, "text": json.dumps(NUMBERS), "card": str(NUMBERS["card"])}
            equal(last(held), ("send_mail", whole), f"{version}: who is entitled gets them, as they were")
            answer = json.dumps(ask(client, "office__note", text=json.dumps(shown)))
            equal(last(held), ("note", {"text": json.dumps(shown)}), f"{version}: others get what the model has")
            check(str(shown["card"]) in answer, f"{version}: and so does the model again: {answer}")
            ask(client, "office__send_mail", to=answer)
            equal(last(held), ("send_mail", {"to": answer.replace(str(shown["card"]), str(NUMBERS["card"]))
                  .replace(shown["iban"], NUMBERS["iban"]).replace(shown["tel"], PHONE)}), f"{version}: which stands for the same")
            ask(client, "office__note", text="pay with 5500005555555559")
            check("5500005555555559" not in last(held)[1]["text"], "what the model says itself is hidden")
            ask(client, "office__send_mail", card=5500005555555559)
            equal(last(held), ("send_mail", {"card": 5500005555555559}), "but from who is entitled to it")
            again = ask(client, "office__send_again", n=shown["card"])["result"]["structuredContent"]
            equal(again, {"n": shown["card"]}, f"{version}: what it says again is the same number again")
            ask(client, "office__send_mail", to="order 1234567890", n=1234567890)
            equal(last(held), ("send_mail", {"to": "order 1234567890", "n": 1234567890}), "what nobody handed out is what it is")
            log = auditlog.text(held.home / "audit")
            check("4111111111111111" not in log and "card_" in log, "the log has names")


def case_names_stay_good():
    """Whoever was told one uses it days later, with another process and other keys."""
    with place() as held:
        with Raw(held) as client:
            _, token = found(client)
        held.again()
        done = subprocess.run([BINARY, "key", "rotate-master", "--config", str(held.config)], env=held.environment, capture_output=True, text=True)
        equal(done.returncode, 0, done.stderr)
        with Raw(held) as client:
            client.tools()
            ask(client, "office__send_mail", to=token)
            equal(last(held), ("send_mail", {"to": ANNA}), "what it stood for")
            equal(found(client)[1], token, "and it is the same name")


def case_what_was_made_up_or_comes_from_elsewhere_leads_to_nothing():
    other = ON + '\n[guard.personal_data.purposes]\nhr = "hr"\n'
    other = other.replace('[guard.flow]', '').replace('enabled = false\n', '') + "[guard.flow]\nenabled = false\n"
    other = other.replace('{ server = "office"', '{ server = "hr", tool = "*" }, { server = "office"')
    with place(other, office=None, hr=None) as held, Raw(held) as client:
        _, token = found(client)
        _, theirs = found(client, "hr__find")
        check(token != theirs, "another purpose, another name")
        forged = token[:20] + ("0" if token[20] != "0" else "1") + token[21:]
        for text, name in ((theirs, "of another purpose"), (forged, "made up")):
            ask(client, "office__send_mail", to=text)
            equal(last(held), ("send_mail", {"to": text}), name)
        ask(client, "hr__send_mail", to=theirs)
        equal(last(held, "hr"), ("send_mail", {"to": ANNA}), "the twin: where it belongs")


def refused(answer, text):
    said = json.dumps(answer)
    check("error" in answer or answer["result"].get("isError"), f"{text}: {said}")
    for gone in (ANNA, ANNA.upper(), "901820", ENCODED):
        check(gone not in said, f"{text}: {said}")
    return said


def case_a_vault_that_cannot_be_used_shows_nothing():
    with place() as held:
        key = held.home / "state.key"
        with Raw(held) as client:
            _, token = found(client)
        kept = key.read_bytes()
        key.unlink()
        held.again()
        with Raw(held) as client:
            client.tools()
            refused(ask(client, "office__find"), "the key is gone")
            before = len(held.servers["office"].told)
            refused(ask(client, "office__send_mail", to=token), "nor is it given back")
            equal(len(held.servers["office"].told), before, "and the server is not asked")
            check("result" in ask(client, "office__note", text="nothing about anybody"), "the twin: what names nobody passes")
        key.write_bytes(kept)
        key.chmod(0o600)
        held.again()
        with Raw(held) as client:
            equal(found(client)[1], token, "and all is as it was")


def case_no_more_than_there_may_be():
    with place(ON.replace("how =", "most = 1\nhow =")) as held, Raw(held) as client:
        client.tools()
        said = refused(ask(client, "office__find"), "two where one may be")
        check("gateway.pseudonyms" in said, said)


def case_without_a_setting_nothing_changes():
    with place("") as held, Raw(held) as client:
        client.tools()
        check(ANNA in json.dumps(ask(client, "office__find")), "as the server said it")
        token = "person_xrvjxaftcf9j1akq4pag@pseudonym.invalid"
        ask(client, "office__send_mail", to=token)
        equal(last(held), ("send_mail", {"to": token}), "and as the client said it")


if __name__ == "__main__":
    sys.exit(run_cases(cases_of(globals(), vars(echoes), vars(trouble))))
