"""A session bus of its own with a real keyring on it, or with less than that."""

import os
import pathlib
import signal
import subprocess
import tempfile

from harness import check, wait_for

PASSWORD = "a password of the desktop"
# Nothing is started on demand: what is there is what a case starts.
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={}/bus</listen><auth>EXTERNAL</auth><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
"""


class Bus:
    """The bus, with a keyring that is unlocked."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="bartizan-keyring-")
        self.place = pathlib.Path(self.folder.name)
        self.before = dict(os.environ)
        # The keyring has its files and its sockets there, and whoever is started from here on finds the bus.
        os.environ.update(HOME=self.folder.name, XDG_RUNTIME_DIR=self.folder.name, XDG_DATA_HOME=f"{self.folder.name}/data",
                          DBUS_SESSION_BUS_ADDRESS=f"unix:path={self.folder.name}/bus")
        (self.place / "bus.conf").write_text(CONFIG.format(self.folder.name))
        self.bus = subprocess.Popen(["dbus-daemon", "--nofork", "--config-file", self.place / "bus.conf"],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.daemon = None
        try:
            wait_for((self.place / "bus").exists, "the bus does not start")
            self.unlock()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in (self.daemon, self.bus):
            if process and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        os.environ.clear()
        os.environ.update(self.before)
        self.folder.cleanup()

    def unlock(self):
        """Has the keyring start anew, with its password."""
        self.start(PASSWORD)
        wait_for(lambda: call("/org/freedesktop/secrets/collection/login", "Locked") == "false",
                 "the keyring does not open")

    def lock(self):
        """Has it start anew without, as before somebody logs in."""
        self.start()
        wait_for(lambda: call("/org/freedesktop/secrets/collection/login", "Locked") == "true",
                 "the keyring does not start")

    def stop(self):
        """Ends it at once, whatever it is doing."""
        if self.daemon:
            self.daemon.kill()
            self.daemon.wait()
            self.daemon = None

    def freeze(self):
        """Has it answer nobody any more."""
        self.daemon.send_signal(signal.SIGSTOP)

    def forget(self):
        """Takes all that it has kept."""
        self.stop()
        for file in (self.place / "data" / "keyrings").iterdir():
            file.unlink()

    def start(self, password=None):
        """Starts it, and has it read the password, which it does before anything else."""
        self.stop()
        more = ["--unlock"] if password else []
        self.daemon = subprocess.Popen(
            ["gnome-keyring-daemon", "--foreground", "--components=secrets", *more], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.daemon.stdin.write(password or "")
        self.daemon.stdin.close()
        wait_for(lambda: "true" in asked("org.freedesktop.DBus", "/", "org.freedesktop.DBus.NameHasOwner",
                                         "string:org.freedesktop.secrets"), "the keyring is not on the bus")
        check(self.daemon.poll() is None, "the keyring ended")


def asked(to, path, method, *words) -> str:
    said = subprocess.run(["dbus-send", "--session", "--print-reply", f"--dest={to}", path, method, *words],
                          capture_output=True, text=True, timeout=30)
    return said.stdout


def call(path, name) -> str:
    """A property of something of the keyring."""
    said = asked("org.freedesktop.secrets", path, "org.freedesktop.DBus.Properties.Get",
                 "string:org.freedesktop.Secret.Collection", f"string:{name}")
    return said.split()[-1] if said else ""
