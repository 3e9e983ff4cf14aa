"""Where servers are tried that are confined: a directory that one may work in, beside one that it may not."""

from __future__ import annotations

import contextlib
import pathlib
import tempfile

from harness import TOOLS

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = str(TOOLS / "python" / "bin" / "python3")
SECRET = "the-secret-of-the-user"


@contextlib.contextmanager
def machine():
    """A directory that a server may work in, beside one that it may not."""
    with tempfile.TemporaryDirectory(prefix="bartizan-sandbox-", dir="/var/tmp") as folder:
        place = pathlib.Path(folder)
        for name in ("work", "outside"):
            (place / name).mkdir()
        (place / "outside" / "secret").write_text(SECRET)
        yield place


def quiet():
    """Other controls are not what is looked at."""
    return "".join(f'[guard.{name}]\naction = "observe"\n' for name in
                   ("prompt_injection", "secrets", "personal_data", "flow", "tool_poisoning"))


def confined(place, **more):
    return {"fs": {"ro": [str(HERE), *more.pop("ro", [])], "rw": [str(place / "work")], **more.pop("fs", {})}, **more}


def shell(sandbox=None):
    table = {"command": [PYTHON, str(HERE / "server.py")]}
    return table if sandbox is None else table | {"sandbox": sandbox}
