"""Where servers are tried that are confined: a directory that one may work in, beside one that it may not."""

from __future__ import annotations

import contextlib
import pathlib
import tempfile

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
