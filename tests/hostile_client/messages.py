"""What two parsers could read differently, and what is no message: the same for clients over HTTP and over stdio."""

import dataclasses


@dataclasses.dataclass
class Attack:
    """A refused message, the rule that refuses it, and whether it can be told which request it was."""

    body: bytes
    rule: str
    named: bool


def attacks(id=1):
    """All of them by name, as requests under this id."""
    ping = b'{"jsonrpc":"2.0","id":' + str(id).encode() + b',"method":"ping"%s}'
    request = lambda text: text.replace(b'"id":1', b'"id":' + str(id).encode())
    # One id can be read, whatever else is wrong.
    named = {
        "invalid UTF-8": (ping % b',"x":"\xff\xfe"', "conformance.utf8"),
        "overlong UTF-8": (ping % b',"x":"\xc0\xaf"', "conformance.utf8"),
        "surrogate in UTF-8": (ping % b',"x":"\xed\xa0\x80"', "conformance.utf8"),
        "duplicate key": (ping % b',"method":"tools/list"', "conformance.duplicate_key"),
        "escaped duplicate key": (ping % b',"\\u006dethod":"tools/list"', "conformance.duplicate_key"),
        "nested duplicate key": (ping % b',"params":{"a":1,"a":2}', "conformance.duplicate_key"),
        "case variant": (ping % b',"Method":"tools/list"', "conformance.case_variant"),
        "case variant by folding": (ping % ',"re\u017fult":{}'.encode(), "conformance.case_variant"),
        "lone surrogate": (ping % b',"x":"\\ud800"', "conformance.lone_surrogate"),
        "deep and closed": (ping % (b',"params":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000), "conformance.depth"),
        "many values": (ping % (b',"params":{"a":[' + b"0," * 1_500_000 + b"0]}"), "conformance.count"),
        "no version": (request(b'{"id":1,"method":"ping"}'), "conformance.not_json_rpc"),
        "a tool by a list": (request(b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["echo"],"arguments":{}}}'),
                             "conformance.name"),
        "a resource by a list": (request(b'{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":["file:///x"]}}'),
                                 "conformance.name"),
        "a prompt in another case": (request(
            b'{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a",'
            b'"Name":"b"},"argument":{"name":"c","value":""}}}'), "conformance.case_variant"),
        "request and response": (ping % b',"result":{}', "conformance.ambiguous"),
        "method as number": (request(b'{"jsonrpc":"2.0","id":1,"method":1}'), "conformance.envelope"),
        "long method": (request(b'{"jsonrpc":"2.0","id":1,"method":"' + b"m" * 5000 + b'"}'), "conformance.name_length"),
    }
    # Two readers may find different ids in it, or none.
    unnamed = {
        "batch": (b"[" + ping % b"" + b"]", "conformance.batch"), "empty batch": (b"[]", "conformance.batch"),
        "byte order mark": (b"\xef\xbb\xbf" + ping % b"", "conformance.utf8"),
        "UTF-16": ((ping % b"").decode().encode("utf-16"), "conformance.utf8"),
        "duplicate id": (ping % b',"id":99', "conformance.duplicate_key"),
        "case variant of the id": (ping % b',"ID":99', "conformance.case_variant"),
        "deep": (ping % (b',"params":' + b'{"a":' * 20_000), "conformance.depth"),
        "comment": (ping % b'/* */', "conformance.syntax"), "trailing comma": (ping % b",", "conformance.syntax"),
        "not a number": (ping % b',"x":NaN', "conformance.syntax"), "two values": (ping % b"" + b"{}", "conformance.syntax"),
        "null byte": (ping % b"\0", "conformance.syntax"), "text": (b'"hello"', "conformance.not_json_rpc"),
        "id null": (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', "conformance.id"),
        "id with a fraction": (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', "conformance.id"),
        "id beyond 64 bits": (b'{"jsonrpc":"2.0","id":123456789012345678901,"method":"ping"}', "conformance.id"),
        "id as object": (b'{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}', "conformance.id"),
    }
    return {name: Attack(body, rule, True) for name, (body, rule) in named.items()} | {
        name: Attack(body, rule, False) for name, (body, rule) in unnamed.items()}
