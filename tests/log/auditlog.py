"""Reads the audit log of a gateway as it stands in its files, plain or sealed, with nothing of Bartizan's.

What is sealed is read with the master key, which is in `audit.key` in a directory that the log is in.
"""

from __future__ import annotations

import base64
import hashlib
import json
import pathlib

NAMES = ("audit.jsonl", "audit.sealed")
HEADER = b"bartizan-sealed-log-1 "
WRAPPED = b"bartizan-wrapped-1 "
MASTER = "bartizan-log-key-1:"
# What the keys of files are wrapped for.
PURPOSE = b"log"


def files(directory) -> list[pathlib.Path]:
    """The files of a log, oldest first."""
    directory = pathlib.Path(directory)
    closed = sorted((path for path in directory.glob("audit-*") if path.suffix in (".jsonl", ".sealed")), key=lambda path: path.stem)
    return closed + [directory / name for name in NAMES if (directory / name).exists()]


def current(directory) -> pathlib.Path | None:
    """The file of a log that is written to, if it is there."""
    return next((path for path in files(directory) if path.name in NAMES), None)


def below(root) -> list[pathlib.Path]:
    """The directories of logs below a directory."""
    return sorted({path.parent for name in NAMES for path in pathlib.Path(root).rglob(name)})


def lines(directory) -> list[bytes]:
    """The whole lines of a log, in order."""
    return [line for path in files(directory) for line in lines_of(path)]


def lines_of(path) -> list[bytes]:
    """The whole lines of one file, from which the last may be half written."""
    raw = path.read_bytes().split(b"\n")[:-1]
    return unsealed(path, raw) if path.suffix == ".sealed" else raw


def entries(directory) -> list[dict]:
    return [json.loads(line) for line in lines(directory)]


def text(directory) -> str:
    return b"".join(line + b"\n" for line in lines(directory)).decode()


def text_below(root) -> str:
    """What all logs below a directory say."""
    return "".join(text(directory) for directory in below(root))


def entries_below(root) -> list[dict]:
    return [entry for directory in below(root) for entry in entries(directory)]


def masters(path, home=None) -> dict[bytes, bytes]:
    """The master keys for a file of a log, by their ids: of the Bartizan whose directory it is in, or whose directory `home` is."""
    found = next((parent / "audit.key" for parent in ([home] if home else path.parents) if (parent / "audit.key").is_file()), None)
    assert found, f"no master key for {path}"
    keys = [bytes.fromhex(line.removeprefix(MASTER)) for line in found.read_text().split()]
    return {hashlib.sha256(b"bartizan master key of the log\0" + key).digest()[:8]: key for key in keys}


def unwrapped(path, what: bytes, home=None) -> bytes:
    """What is wrapped in a file: version, id of the master key, nonce, and what is sealed for this and nothing else."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    text = path.read_bytes()
    assert text.startswith(WRAPPED) and text.endswith(b"\n"), path
    sealed = base64.b64decode(text[len(WRAPPED):-1], validate=True)
    head, nonce, rest = sealed[:9], sealed[9:21], sealed[21:]
    assert head[0] == 1, path
    context = head + len(PURPOSE).to_bytes(8, "big") + PURPOSE + what
    return AESGCM(masters(path, home)[head[1:]]).decrypt(nonce, rest, context)


def unsealed(path, raw: list[bytes], home=None) -> list[bytes]:
    """The lines that are sealed in a file, of which these are the lines."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if not raw:
        return []
    assert raw[0].startswith(HEADER), path
    identity = raw[0][len(HEADER):]
    key = AESGCM(unwrapped(path.parent / "keys" / identity.decode(), identity, home))
    plain = [line.replace(b"\x1bn", b"\n").replace(b"\x1be", b"\x1b") for line in raw[1:]]
    return [key.decrypt(line[:12], line[12:], b"") for line in plain]


class Growing:
    """The entries of a log that grows, of which each is read once."""

    def __init__(self, directory, home):
        self.directory, self.home, self.read, self.all, self.header = pathlib.Path(directory), home, 0, [], []

    def entries(self) -> list[dict]:
        path = current(self.directory)
        with path.open("rb") as file:
            file.seek(self.read)
            whole = file.read().split(b"\n")[:-1]
        self.read += sum(len(line) + 1 for line in whole)
        if path.suffix == ".sealed" and whole:
            # The first line says which key opens the others.
            self.header = self.header or whole[:1]
            whole = unsealed(path, self.header + [line for line in whole if line not in self.header], self.home)
        self.all += map(json.loads, whole)
        return self.all
