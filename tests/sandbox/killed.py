"""What is left when a gateway is killed, and when what watches over its servers is killed as well."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess

from machine import confined, machine, quiet, shell
from harness import Gateway, Raw, check, equal, wait_for

LEVELS = {"process": None} | {level: name for level, name in (("container", "runc"), ("vm", "runsc")) if shutil.which(name)}
NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")


def below(pid):
    """The processes that it started, those that these started, and so on."""
    found = [int(child) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children") for child in read(path).split()]
    return [one for child in found for one in (child, *below(child))]


def read(path):
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""


def namespaces(pids):
    found = set()
    for pid in pids:
        for kind in NAMESPACES:
            with contextlib.suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
    return found


class Traces:
    """All that a gateway's servers have of this machine."""

    def __init__(self, gateway, work):
        self.home, self.work = gateway.home, work
        self.pids = below(gateway.process.pid)
        # By their start as well, as a number may be another's later.
        self.started = {pid: self.start_of(pid) for pid in self.pids}
        self.namespaces = namespaces(self.pids) - namespaces([os.getpid()])
        self.groups = {f"bartizan-{pid}" for pid in self.pids}

    @staticmethod
    def start_of(pid):
        return read(pathlib.Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()[19:20]

    def left(self):
        """What of it is there now, by kind."""
        everybody = [int(path.name) for path in pathlib.Path("/proc").iterdir() if path.name.isdigit()]
        mounts = read(pathlib.Path("/proc/self/mountinfo"))
        return {kind: there for kind, there in {
            "processes": [pid for pid in self.pids if self.started[pid] and self.start_of(pid) == self.started[pid]],
            "namespaces": sorted((namespaces(everybody) | {word for word in mounts.split() if ":[" in word}) & self.namespaces),
            "groups": [path for path, _, _ in os.walk("/sys/fs/cgroup") if os.path.basename(path) in self.groups],
            "mounts": [line for line in mounts.splitlines() if str(self.home) in line or str(self.work) in line],
            "sockets": [line for line in read(pathlib.Path("/proc/net/unix")).splitlines() if str(self.home) in line],
            "ways out": [path.name for path in (self.home / "ways-out").iterdir()],
            "placeholders": sorted(entry.name for entry in self.work.iterdir() if entry.name != "mark"),
        }.items() if there}

    def are_gone(self, when, *but):
        def left():
            return {kind: there for kind, there in self.left().items() if kind not in but}
        try:
            wait_for(lambda: not left(), "something is left", 30)
        except AssertionError:
            equal(left(), {}, f"what is left {when}")


@contextlib.contextmanager
def at_work(place, level):
    """A gateway with a server at work, which has processes of its own that left it, and a way out and limits."""
    sandbox = confined(place, net={"allow": ["example.com:443"]}, limits={"memory": "2GiB", "pids": 400})
    if LEVELS[level]:
        sandbox |= {"level": level, "runtime": LEVELS[level]}
    gateway = Gateway({"held": shell(sandbox)}, quiet())
    try:
        with contextlib.suppress(OSError), Raw(gateway, "/mcp/held") as client:
            script = f"echo x > {place}/work/mark; (setsid sleep 977 >/dev/null 2>&1 &) ; nohup sleep 977 >/dev/null 2>&1 & echo started"
            check("started" in client.text("run", {"script": script}))
            yield gateway
    finally:
        # It may have been killed.
        gateway.process.kill()
        gateway.process.wait()
        gateway.folder.cleanup()


def case_nothing_outlives_a_killed_gateway():
    for level in LEVELS:
        with machine() as place, at_work(place, level) as gateway:
            traces = Traces(gateway, place / "work")
            there = traces.left()
            wanted = {"processes", "namespaces", "sockets", "ways out", "placeholders"} | ({"groups"} if os.getuid() == 0 else set())
            check(wanted <= there.keys(), f"the control, {level}: {there}")
            os.kill(gateway.process.pid, signal.SIGKILL)
            gateway.process.wait()
            traces.are_gone(f"at the level {level}")
            equal((place / "work" / "mark").read_text(), "x\n", "what it wrote")


def case_what_is_left_of_a_launcher_that_is_killed_too_goes_with_the_next_start():
    with machine() as place, at_work(place, "process") as gateway:
        traces = Traces(gateway, place / "work")
        os.kill(gateway.process.pid, signal.SIGSTOP)
        # The first of them is what the gateway itself started.
        os.kill(traces.pids[0], signal.SIGKILL)
        gateway.again()
        wait_for(lambda: "processes" not in traces.left(), "a process of the server lives on")
        there = traces.left()
        check("ways out" in there and "placeholders" in there, f"the control: {there}")
        with Raw(gateway, "/mcp/held") as client:
            check("here" in client.text("run", {"script": "echo here"}))
        # The gateway that runs now listens as well.
        traces.are_gone("after the next start", "sockets")
