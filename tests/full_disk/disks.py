"""Two ways for an audit log to run out of space, each of which a test can bring about and take back.

A small file system of its own is the real thing, but not every machine lets a test mount one; a limit on the size of
files can be set anywhere, and leaves half a line behind when it is reached.
"""

import contextlib
import os
import pathlib
import resource
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "log"))

import auditlog  # noqa: E402

# What is left for the log once space gets scarce: enough for some calls, not for all that will come. No multiple of
# anything, so that the last write ends within a line.
ROOM = 40_961


def own_namespace():
    """Goes on in a mount namespace of its own, in which mounting concerns nobody else; whether that is permitted."""
    if os.environ.get("BARTIZAN_OWN_MOUNTS"):
        return True
    for unshare in (["unshare", "-m"], ["unshare", "-rm"]):
        mounting = [*unshare, "mount", "-t", "tmpfs", "none", "/mnt"]
        with contextlib.suppress(OSError):
            if subprocess.run(mounting, capture_output=True).returncode == 0:
                os.environ["BARTIZAN_OWN_MOUNTS"] = "1"
                os.execvp(unshare[0], [*unshare, sys.executable, *sys.argv])
    return False


class Small:
    """A file system of one mebibyte."""

    def __init__(self, directory: pathlib.Path):
        self.directory, self.filler = directory, directory / "filler"
        directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", str(directory)], check=True)

    def fill(self, room=ROOM):
        about = os.statvfs(self.directory)
        self.filler.write_bytes(b"x" * max(0, about.f_bavail * about.f_frsize - room))

    def free(self):
        self.filler.unlink()

    def read_only(self, yes: bool):
        subprocess.run(["mount", "-o", f"remount,{'ro' if yes else 'rw'}", str(self.directory)], check=True)

    def close(self):
        subprocess.run(["umount", "-l", str(self.directory)], check=True)


class Limited:
    """A limit on the size of every file that the writer of the log writes."""

    def __init__(self, directory: pathlib.Path):
        self.directory, self.before = directory, None

    def fill(self, room=ROOM):
        # One that has no log yet is found below the directory: a standalone log has a directory of its own.
        log = auditlog.current(auditlog.below(self.directory)[0])
        self.writer = int((log.parent / "lock").read_text())
        soft = log.stat().st_size + room
        self.before = resource.prlimit(self.writer, resource.RLIMIT_FSIZE)
        resource.prlimit(self.writer, resource.RLIMIT_FSIZE, (soft, self.before[1]))

    def free(self):
        resource.prlimit(self.writer, resource.RLIMIT_FSIZE, self.before)

    def close(self):
        pass
