"""Reads what a log shows of itself, by the texts of C2SP (signed-note, tlog-checkpoint, tlog-tiles, tlog-proof) and RFC 6962 and
by nothing of Bartizan's: proofs, checkpoints and tiles."""

from __future__ import annotations

import base64
import hashlib
import pathlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Wrong(Exception):
    """What was read is not what it should be."""


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def leaf(entry: bytes) -> bytes:
    return sha(b"\0", entry)


def root_of(leaves: list[bytes]) -> bytes:
    """The Merkle tree hash of RFC 6962, section 2.1, over hashes of entries."""
    if not leaves:
        return sha()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha(b"\1", root_of(leaves[:split]), root_of(leaves[split:]))


def climb(index: int, size: int, leaf_hash: bytes, path: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to: the recursion of RFC 6962, section 2.1.1, read backwards."""
    if size <= 1:
        if path or index != 0:
            raise Wrong("the path has the wrong length")
        return leaf_hash
    if not path:
        raise Wrong("the path is too short")
    split = 1
    while split * 2 < size:
        split *= 2
    beside = path[-1]
    if index < split:
        return sha(b"\1", climb(index, split, leaf_hash, path[:-1]), beside)
    return sha(b"\1", beside, climb(index - split, size - split, leaf_hash, path[:-1]))


def opened(note: str, vkey: str) -> str:
    """The text of a signed note, if the key has signed it."""
    name, key_hash, material = vkey.split("+", 2)
    material = base64.b64decode(material, validate=True)
    if material[0] != 1 or sha(name.encode(), b"\n", material)[:4].hex() != key_hash:
        raise Wrong("no key of Ed25519 that fits its name")
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    for line in signatures.splitlines():
        dash, signer, signature = line.split(" ")
        raw = base64.b64decode(signature, validate=True)
        if dash == "\u2014" and signer == name and raw[:4].hex() == key_hash:
            try:
                Ed25519PublicKey.from_public_bytes(material[1:]).verify(raw[4:], text.encode())
            except InvalidSignature as error:
                raise Wrong("the signature is not the key's") from error
            return text
    raise Wrong("the key has not signed it")


def checkpoint(note: str, vkey: str) -> tuple[str, int, bytes]:
    """The origin, the size and the root."""
    origin, size, root, *_ = opened(note, vkey).split("\n")
    return origin, int(size), base64.b64decode(root, validate=True)


def proven(text: str, vkey: str) -> tuple[int, bytes]:
    """The index and the entry that a proof is about, which holds the entry as its extra data."""
    head, _, note = text.partition("\n\n")
    first, extra, index, *path = head.split("\n")
    if first != "c2sp.org/tlog-proof@v1" or not extra.startswith("extra ") or not index.startswith("index "):
        raise Wrong("no proof")
    entry, index = base64.b64decode(extra[6:], validate=True), int(index[6:])
    _, size, root = checkpoint(note, vkey)
    if not index < size or climb(index, size, leaf(entry), [base64.b64decode(line) for line in path]) != root:
        raise Wrong("the entry is not under the root")
    return index, entry


def root_around(known: dict[int, bytes], start: int, end: int, around: list[bytes]) -> bytes:
    """The root over a range of which some entries are known by their hash, and the rest by hashes of the largest parts without any of
    them, from the left."""
    if not any(start <= index < end for index in known):
        return around.pop(0)
    if end - start == 1:
        return known[start]
    split = 1
    while split * 2 < end - start:
        split *= 2
    left = root_around(known, start, start + split, around)
    return sha(b"\1", left, root_around(known, start + split, end, around))


def tile(directory: pathlib.Path, level: int, index: int, width: int) -> list[bytes]:
    """A tile, or as much of it as a tree has."""
    number, parts = index, []
    while not parts or number:
        parts.insert(0, f"{number % 1000:03}" if not parts else f"x{number % 1000:03}")
        number //= 1000
    full = directory / "tile" / str(level) / "/".join(parts)
    file = full if full.exists() else full.with_name(full.name + ".p") / str(width)
    raw = file.read_bytes()
    return [raw[at : at + 32] for at in range(0, len(raw), 32)][:width]


def root_by_tiles(directory: pathlib.Path, size: int) -> bytes:
    """The root of a tree of that size, from its tiles of level 0; those above have to be the roots of full ones."""
    leaves, level, below = [], 0, size
    rows: list[bytes] = []
    while below:
        row = []
        for index in range((below + 255) // 256):
            row += tile(directory, level, index, min(256, below - index * 256))
        if len(row) != below:
            raise Wrong(f"level {level} has {len(row)} hashes of {below}")
        if level == 0:
            leaves = row
        elif row != [root_of(rows[at * 256 : at * 256 + 256]) for at in range(below)]:
            raise Wrong(f"level {level} is not what is below it")
        rows, level, below = row, level + 1, below // 256
    return root_of(leaves)
