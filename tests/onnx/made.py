"""A small model, written as the bytes that a file of ONNX has: it adds up what each word says."""

import hashlib
import json
import pathlib
import struct

# What each word adds to the logits of SAFE and INJECTION.
WORDS = {"[PAD]": (0, 0), "[UNK]": (0, 0), "[CLS]": (0, 0), "[SEP]": (0, 0), "please": (0, 1), "forward": (0, 3), "mail": (0, 3),
         "train": (2, 0), "leaves": (2, 0)}
BIAS = (3, 0)
FILES = ("model.onnx", "tokenizer.json", "config.json")


def number(value):
    out = b""
    while value > 0x7f:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def integer(field, value):
    return number(field << 3) + number(value)


def held(field, value):
    value = value.encode() if isinstance(value, str) else value
    return number(field << 3 | 2) + number(len(value)) + value


def floats(name, sizes, values):
    sizes = b"".join(integer(1, size) for size in sizes)
    return sizes + integer(2, 1) + held(8, name) + held(9, struct.pack(f"<{len(values)}f", *values))


def integers(name, values):
    return integer(1, len(values)) + integer(2, 7) + held(8, name) + held(9, struct.pack(f"<{len(values)}q", *values))


def node(op, inputs, output, **attributes):
    inputs = b"".join(held(1, each) for each in inputs)
    attributes = b"".join(held(5, held(1, key) + integer(3, value) + integer(20, 2)) for key, value in attributes.items())
    return inputs + held(2, output) + held(3, f"{op}/{output}") + held(4, op) + attributes


def value(name, kind, sizes):
    shape = b"".join(held(1, integer(1, size) if isinstance(size, int) else held(2, size)) for size in sizes)
    return held(1, name) + held(2, held(1, integer(1, kind) + held(2, shape)))


def graph(delay=0):
    """Looks each word up and adds up those that are there; then multiplies large matrices `delay` times, for nothing."""
    rows = [each for adds in WORDS.values() for each in adds]
    nodes = [node("Gather", ["words", "input_ids"], "looked_up", axis=0), node("Cast", ["attention_mask"], "there", to=1),
             node("Unsqueeze", ["there", "last"], "there_for_each"), node("Mul", ["looked_up", "there_for_each"], "masked"),
             node("ReduceSum", ["masked", "middle"], "summed", keepdims=0)]
    tensors = [floats("words", (len(WORDS), 2), rows), integers("last", [2]), integers("middle", [1]),
               floats("unit", (2, 2), (1, 0, 0, 1)), floats("bias", (2,), BIAS)]
    if delay:
        # Each step depends on the one before and on the text, so that none of it is done ahead.
        width = 512
        tensors += [floats("wide", (2, width), [0.01] * 2 * width), floats("square", (width, width), [0.001] * width * width),
                    floats("narrow", (width, 2), [0] * 2 * width), integers("first", [0])]
        nodes += [node("MatMul", ["summed", "wide"], "row"), node("Transpose", ["row"], "column"), node("MatMul", ["column", "row"], "bent0")]
        for at in range(delay):
            nodes += [node("MatMul", [f"bent{at}", "square"], f"much{at}"), node("Tanh", [f"much{at}"], f"bent{at + 1}")]
        nodes += [node("MatMul", [f"bent{delay}", "narrow"], "nothing_yet"),
                  node("ReduceSum", ["nothing_yet", "first"], "nothing", keepdims=1), node("Add", ["summed", "nothing"], "added")]
    nodes += [node("Gemm", ["added" if delay else "summed", "unit", "bias"], "logits")]
    inputs = [value(name, 7, ("batch", "length")) for name in ("input_ids", "attention_mask")]
    parts = [(1, nodes), (5, tensors), (11, inputs), (12, [value("logits", 1, ("batch", 2))])]
    inner = b"".join(held(field, part) for field, parts in parts for part in parts)
    return integer(1, 8) + held(7, inner) + held(8, integer(2, 13))


def tokenizer():
    special = [{"id": at, "content": word, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
               for at, word in enumerate(list(WORDS)[:4])]
    around = {name: {"id": name, "ids": [list(WORDS).index(name)], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    single = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
              {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]
    return json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": around},
        "decoder": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                  "vocab": {word: at for at, word in enumerate(WORDS)}}})


def write(folder, delay=0, config=True):
    """Writes a model, and gives the digest that pins it."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph(delay))
    (folder / "tokenizer.json").write_text(tokenizer())
    if config:
        (folder / "config.json").write_text(json.dumps({"id2label": {"0": "SAFE", "1": "INJECTION"}}))
    return digest(folder)


def digest(folder):
    """As the book says that anybody may do it: sha256sum model.onnx tokenizer.json config.json | sha256sum."""
    present = [pathlib.Path(folder) / name for name in FILES if (pathlib.Path(folder) / name).exists()]
    listed = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in present)
    return "sha256:" + hashlib.sha256(listed.encode()).hexdigest()
