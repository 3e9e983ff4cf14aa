"""Approvals under `bartizan run`, where whoever asks and whoever types `bartizan approve` are the same user."""

import contextlib
import json
import os
import pathlib
import signal
import tempfile

from harness import FIXTURE, Wrapped, check, equal, wait_for
import auditlog
from place import BY_URL, ERAS, POLICIES, passes, refused, waits, words


class Echo(Wrapped):
    """A client of the fixture behind `bartizan run`, with a policy about its tool `echo`."""

    POLICY = POLICIES + '@challenge("approval") forbid(principal, action == Mcp::Action::"bank/echo", resource) when { context.input.text like "pay *" };'

    def __init__(self, home, *options, **more):
        super().__init__(home, "bank", [FIXTURE, "--stdio"], *options, capabilities=BY_URL, **more)

    def echo(self, text):
        return self.ask("tools/call", {"name": "echo", "arguments": {"text": text}})

    def begin(self, text):
        """Calls, and waits for nothing; the id of the call, and its request for approval."""
        call = self.request("tools/call", {"name": "echo", "arguments": {"text": text}})
        return call, wait_for(lambda: self.waiting().get(text), "it waits")

    def waiting(self):
        """The requests that wait, by the text that they are about."""
        if not (self.home / "state/state.db").exists():
            return {}
        listed = json.loads(self.command("approve", "--list", "--json"))["requests"]
        return {json.loads(held["params"])["arguments"]["text"]: held["id"] for held in listed}

    @staticmethod
    def configure(home, more=""):
        """Its file of settings, with these; and those that it begins with."""
        (home / "config/bartizan").mkdir(parents=True, exist_ok=True)
        (home / "policies.cedar").write_text(Echo.POLICY)
        settings = f"[policy]\nfiles = [{json.dumps(str(home / 'policies.cedar'))}]\n"
        (home / "config/bartizan/bartizan.toml").write_text(settings + more)

    def log(self):
        return auditlog.text_below(self.home)


def case_over_stdio_by_command():
    for options in ((), ("--standalone",)):
        with tempfile.TemporaryDirectory(prefix="bartizan-approval-", ignore_cleanup_errors=True) as folder:
            home = pathlib.Path(folder)
            Echo.configure(home)
            with Echo(home, *options) as wrapped:
                passes(wrapped.echo("hello"))
                id = waits(wrapped.echo("pay 5"))
                check("bartizan/approve/" not in words(wrapped.echo("pay 5")), "there are no pages")
                check('"text": "pay 5"' in wrapped.command("approve", "--list"), "it is shown")
                wrapped.command("approve", id, code=2)
                wrapped.command("approve", id, "--yes")
                passes(wrapped.echo("pay 5"))
                check(waits(wrapped.echo("pay 5")) != id, "once")
                id = waits(wrapped.echo("pay 6"))
                wrapped.command("deny", id)
                refused(wrapped.echo("pay 6"), "was denied")
                wait_for(lambda: "approval.denied" in wrapped.log(), "the log says so")
                if not options:
                    # Held, while other messages of the client go on.
                    Echo.configure(home, '[approval]\nwait = "20s"\n')
                    wait_for(lambda: "config.reloaded" in wrapped.log(), "it is in force")
                    call, id = wrapped.begin("pay 7")
                    passes(wrapped.echo("meanwhile"))
                    wrapped.command("approve", id, "--yes")
                    passes(wrapped.answer(call))
            # Nobody agrees for themselves, where two have to look at it.
            Echo.configure(home, "[approval]\nfour_eyes = true\n")
            with Echo(home, *options) as wrapped:
                id = waits(wrapped.echo("pay 8"))
                check("nobody agrees to what they ask for themselves" in wrapped.command("approve", id, "--yes", code=2), "four eyes")
                waits(wrapped.echo("pay 8"))


def case_over_stdio_what_a_client_cancels_frees_its_place_and_is_not_done():
    for options, version in ((options, version) for options in ((), ("--standalone",)) for version in ERAS):
        with tempfile.TemporaryDirectory(prefix="bartizan-approval-", ignore_cleanup_errors=True) as folder:
            home = pathlib.Path(folder)
            Echo.configure(home, '[approval]\nwait = "60s"\n[guard.rate]\nin_flight_per_tool = 1\n')
            where = f"{options} {version}"
            with Echo(home, *options, version=version) as client:
                call, id = client.begin("pay 5")
                refused(client.echo("before"), "rate.in_flight")
                client.send({"method": "notifications/cancelled", "params": {"requestId": call}})
                wait_for(lambda: not client.echo("after")["result"].get("isError"), f"its place is free, {where}", 10)
                client.command("approve", id, "--yes")
                passes(client.echo("once more"), "once more")
                equal(client.answers(call), [], f"what was cancelled is not answered, {where}")
                used = lambda: client.log().count('"approval.used"')  # noqa: E731
                equal(used(), 0, f"nor is what was agreed to spent, {where}")
                # It is good for the call when it comes again, and that one is held no longer.
                passes(client.echo("pay 5"), "pay 5")
                wait_for(lambda: used() == 1, f"it is spent then, {where}")
                # One that nobody cancels passes as soon as somebody agrees.
                call, id = client.begin("pay 6")
                client.command("approve", id, "--yes")
                passes(client.answer(call), "pay 6")


def case_over_stdio_a_client_that_is_gone_leaves_nothing_that_waits():
    for options in ((), ("--standalone",)):
        with tempfile.TemporaryDirectory(prefix="bartizan-approval-", ignore_cleanup_errors=True) as folder:
            home = pathlib.Path(folder)
            # Longer than anybody is waited for here.
            Echo.configure(home, '[approval]\nwait = "60s"\n')
            with Echo(home, *options) as client:
                _, id = client.begin("pay 5")
                client.end()
                equal(client.process.returncode, 0, f"how it ended, {options}")
            with Echo(home, *options) as client:
                client.command("approve", id, "--yes")
                passes(client.echo("pay 5"), "pay 5")
                wait_for(lambda: client.log().count('"approval.used"') == 1, f"it is spent once, {options}")


def case_over_stdio_what_was_agreed_to_is_not_spent_on_a_server_that_is_gone():
    for options in ((), ("--standalone",)):
        with tempfile.TemporaryDirectory(prefix="bartizan-approval-", ignore_cleanup_errors=True) as folder:
            home = pathlib.Path(folder)
            Echo.configure(home, '[approval]\nwait = "60s"\n')
            with Echo(home, *options) as client:
                passes(client.echo("hello"))
                call, id = client.begin("pay 5")
                [server] = servers_in(home)
                os.kill(server, signal.SIGKILL)
                check("isError" in client.answer(call).get("result", {}) or "error" in client.answer(call), f"it is told so, {options}")
                wait_for(lambda: servers_in(home) not in ([], [server]), f"it is started again, {options}")
                client.command("approve", id, "--yes")
                used = lambda: client.log().count('"approval.used"')  # noqa: E731
                wait_for(lambda: '"approval.approved"' in client.log(), f"somebody has agreed, {options}")
                passes(client.echo("meanwhile"), "meanwhile")
                equal(used(), 0, f"nothing is spent yet, {options}")
                passes(client.echo("pay 5"), "pay 5")
                wait_for(lambda: used() == 1, f"it is spent once, {options}")


def servers_in(home):
    """The processes of the fixture that were started there."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if words[0] == str(FIXTURE).encode() and (process / "cwd").resolve() == home.resolve():
                found.append(int(process.name))
    return found
