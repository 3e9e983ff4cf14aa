"""Messages that nobody has sent yet: JSON-RPC of one revision, in any spelling that JSON allows.

Keys stand in any order, numbers in any form and of any size, texts with and without escapes, white space wherever it may
be, and there are members that no revision knows. What a guard would object to is left out: nothing hides here.
"""

import json
import random

MODERN = "2026-07-28"
REVISIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", MODERN]
META = "io.modelcontextprotocol/"
NUMBERS = ["0", "1.7e308", "-0", "1.0", "-1.50", "1e3", "1E+2", "0.1e-7", "3.14159265358979323846", "9007199254740993",
           "18446744073709551616", "123456789012345678901234567890", "-0.000000000000000000000000000001"]
LETTERS = [*"abcxyz ABC 0123 .,:;-_+*'()[]{}=!?#%&@$", "é", "ß", "日", "本", "🍮", "\n", "\t", '"', "\\", "/"]
SHORT = {"\n": "\\n", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
# What stands between values: on one line, on several, and on what is one line for stdio only.
BLANKS = ["", "", "", " ", "  ", "\t"]
BREAKS, RETURNS = ["", " ", "\n", "\n  ", "\r\n\t", "\r", "\n\n"], ["", " ", "\r", "\r\r\t"]


class Raw(str):
    """JSON as it is to stand in the message."""


class Generator:
    """Draws messages of one revision; the same for the same seed."""

    def __init__(self, revision, seed, blanks=BLANKS):
        self.revision, self.random, self.made = revision, random.Random(f"{seed} {revision} {blanks}"), 0
        self.blanks, self.spaced, self.breaks = blanks, False, blanks is not BLANKS

    # Spelling.

    def blank(self):
        return self.random.choice(self.blanks) if self.spaced else ""

    def text(self, value=None):
        """A text; any one, or this one in any spelling."""
        if value is None:
            value = "".join(self.random.choices(LETTERS, k=self.random.randint(0, 24)))
        return Raw('"' + "".join(map(self.character, value)) + '"')

    def character(self, character):
        if self.random.random() < 0.1:
            units = character.encode("utf-16-be")
            form = self.random.choice(["\\u{:04x}", "\\u{:04X}"])
            return "".join(form.format(int.from_bytes(units[at:at + 2], "big")) for at in range(0, len(units), 2))
        if character == "/" and self.random.random() < 0.3:
            return "\\/"
        return SHORT.get(character, character)

    def number(self):
        return Raw(self.random.choice(NUMBERS))

    def value(self, depth=3):
        draw = self.random.random()
        if depth and draw < 0.25:
            return self.object({f"k{n}{self.random.choice('abcé日')}": self.value(depth - 1) for n in range(self.random.randint(0, 4))})
        if depth and draw < 0.4:
            return self.array([self.value(depth - 1) for _ in range(self.random.randint(0, 4))])
        return self.random.choice([self.text, self.number, lambda: Raw("true"), lambda: Raw("false"), lambda: Raw("null")])()

    def object(self, members):
        """An object with these members, some that nobody knows, in any order."""
        members = [(self.text(key) if key.startswith("k") else Raw(json.dumps(key)), held) for key, held in members.items()]
        self.random.shuffle(members)
        pairs = (f"{self.blank()}{key}{self.blank()}:{self.blank()}{self.written(held)}{self.blank()}" for key, held in members)
        return Raw("{" + (",".join(pairs) or self.blank()) + "}")

    def array(self, elements):
        inner = ",".join(f"{self.blank()}{self.written(element)}{self.blank()}" for element in elements)
        return Raw("[" + (inner or self.blank()) + "]")

    def written(self, value):
        if isinstance(value, Raw):
            return value
        if isinstance(value, dict):
            return self.object(value)
        if isinstance(value, list):
            return self.array(value)
        return self.text(value) if isinstance(value, str) else Raw(json.dumps(value))

    def unknown(self, members):
        """The same with a member that no revision knows."""
        return {**members, f"k-unknown{self.random.randint(0, 9)}": self.value()} if self.random.random() < 0.7 else members

    def message(self, members):
        self.spaced = self.breaks or self.random.random() < 0.6
        members = {"jsonrpc": Raw('"2.0"'), **members}
        return (self.blank() + self.object(self.unknown(members)) + self.blank()).encode()

    # Meaning.

    def id(self):
        self.made += 1
        number = self.made * 2 + (1 << 53 if self.random.random() < 0.2 else 0)
        choice = self.random.random()
        return Raw(number) if choice < 0.5 else Raw(-number) if choice < 0.6 else self.text(f"{number} {self.random.choice(LETTERS)}")

    def any_object(self):
        return {f"k{n}": self.value() for n in range(self.random.randint(0, 3))}

    def params(self, members, token=None):
        meta = self.unknown({"progressToken": token} if token else {})
        if self.revision == MODERN:
            meta |= {META + "protocolVersion": Raw(f'"{MODERN}"'), META + "clientCapabilities": {"k": self.value()},
                     META + "clientInfo": {"name": Raw('"generated"'), "version": Raw('"1"')}}
        return self.unknown({**members, "_meta": meta} if meta else members)

    def request(self):
        """What a client may ask: its id, a token for its progress, and the message."""
        id, token = self.id(), self.random.choice([None, self.id()])
        choices = [
            ("x/unknown", self.any_object), ("k/é", self.any_object),
            ("tools/call", lambda: {"name": Raw('"echo"'), "arguments": self.any_object()}),
            ("resources/read", lambda: {"uri": Raw(json.dumps(f"file:///{self.random.randint(0, 99)}/é", ensure_ascii=False))}),
            ("completion/complete", lambda: {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": self.text()}}),
        ]
        if self.revision != MODERN:
            choices += [("ping", dict), ("logging/setLevel", lambda: {"level": "info"})]
        if self.revision == "2025-11-25":
            choices.append(("tools/call", lambda: {"name": Raw('"echo"'), "arguments": self.any_object(), "task": {"ttl": self.number()}}))
        method, params = self.random.choice(choices[1:] if self.random.random() < 0.7 else choices[:2])
        if not method.isascii() and self.revision == MODERN:
            # A header has to say it too.
            method = "x/other"
        return id, token, method, self.message({"id": id, "method": Raw(json.dumps(method, ensure_ascii=False)), "params": self.params(params(), token)})

    def answer(self, id, method):
        """What a server may answer to it."""
        if self.random.random() < 0.15:
            return self.error(id)
        result = {
            "tools/call": lambda: {"content": [self.unknown({"type": Raw('"text"'), "text": self.text()})], "isError": self.random.random() < 0.2},
            "resources/read": lambda: {"contents": [self.unknown({"uri": Raw('"file:///x"'), "text": self.text()})]},
            "completion/complete": lambda: {"completion": {"values": [self.text()], "total": Raw("1")}},
        }.get(method, self.any_object)()
        if method == "tools/call" and self.revision >= "2025-06-18":
            result["structuredContent"] = self.any_object()
        if self.revision == MODERN:
            result["resultType"] = Raw('"complete"')
        return self.message({"id": id, "result": self.unknown(result)})

    def error(self, id):
        code = Raw(self.random.choice(["-32000", "1", "-32603", "404"]))
        return self.message({"id": id, "error": self.unknown({"code": code, "message": self.text(), "data": self.value()})})

    def progress(self, token):
        numbers = {"progress": Raw(self.random.choice(["1.0", "0.50", "1e0", "7"])), "total": Raw(self.random.choice(["2.0", "1E1", "9"]))}
        return self.message({"method": Raw('"notifications/progress"'), "params": self.unknown({"progressToken": token, **numbers})})

    def notice(self):
        """A notification that anybody may send."""
        params = self.random.choice([self.any_object(), {"level": Raw('"info"'), "data": self.value()}])
        method = "notifications/message" if "level" in params else "notifications/k-unknown"
        return self.message({"method": Raw(json.dumps(method)), "params": self.unknown(params)})

    def note(self):
        """A notification of a client's."""
        return self.message({"method": Raw('"notifications/k-unknown"'), "params": self.params(self.any_object())})

    def question(self):
        """What a server may ask the client: its id, and the message."""
        id = self.id()
        choices = [("roots/list", dict()), ("x/ask", self.any_object()),
                   ("sampling/createMessage", {"messages": [{"role": "user", "content": {"type": Raw('"text"'), "text": self.text()}}],
                                               "maxTokens": Raw("9"), "temperature": Raw("1.0")})]
        if self.revision >= "2025-06-18":
            choices.append(("elicitation/create", {"message": self.text(), "requestedSchema": {"type": "object", "properties": {}}}))
        method, params = self.random.choice(choices)
        return id, self.message({"id": id, "method": Raw(json.dumps(method)), "params": self.unknown(params)})

    def reply(self, id):
        """What the client answers to that."""
        return self.error(id) if self.random.random() < 0.2 else self.message({"id": id, "result": self.any_object()})
