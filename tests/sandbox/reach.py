"""What a confined server reaches: the hosts that are named, by whatever way it asks for them, and nothing else."""

from __future__ import annotations

import contextlib
import http.server
import os
import threading

import harness
from harness import BINARY, Gateway, Raw, check, equal, wait_for


@contextlib.contextmanager
def names(place, addresses):
    """A gateway to which these names lead where they say: it is started with a list of names of its own."""
    hosts, wrapper = place / "hosts", place / "bartizan"
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in addresses.items()))
    # In a namespace of its own, so that the machine keeps its list.
    apart = "unshare -m" if os.getuid() == 0 else "unshare -rm"
    wrapper.write_text(f"#!/bin/sh\nexec {apart} /bin/sh -c 'mount --bind {hosts} /etc/hosts && exec {BINARY} \"$@\"' sh \"$@\"\n")
    wrapper.chmod(0o755)
    harness.BINARY = str(wrapper)
    try:
        yield
    finally:
        harness.BINARY = BINARY


class Site(http.server.BaseHTTPRequestHandler):
    """Says which host it was asked for."""

    def do_GET(self):
        body = f"welcome to {self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def site():
    """One that runs."""
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    return running


SITE, OTHER = "site.bartizan.test", "other.bartizan.test"


def a_host_that_is_taken_away_is_gone_at_once(place, shell, confined, python, here, quiet):
    """Also for who began before."""
    port = site().server_port
    net = {"allow": [f"{SITE}:{port}"], "private": ["127.0.0.1/32"]}
    with names(place, {SITE: "127.0.0.1"}), Gateway({"held": shell(confined(place, net=net))}, quiet) as gateway:
        with Raw(gateway, "/mcp/held") as held:
            def ask():
                return held.text("run", {"script": f"{python} {here}/client.py library {SITE} {port}"})
            check("welcome" in ask(), "the control")
            text = gateway.config.read_text()
            gateway.config.write_text(text.replace(f"{SITE}:{port}", f"other.bartizan.test:{port}"))
            wait_for(lambda: gateway.entries(kind="config.reloaded"), "the change is not taken")
            check("welcome" not in ask(), "a host that is no longer allowed is still reached")


def only_named_hosts_are_reached(place, shell, confined, python, here, quiet):
    port = site().server_port
    # Two hosts at one port are one for the relay.
    net = {"allow": [f"{SITE}:{port}", f"elsewhere.bartizan.test:{port}", "*.below.bartizan.test:443"], "private": ["127.0.0.1/32"]}
    with names(place, {SITE: "127.0.0.1", OTHER: "127.0.0.1"}):
        with Gateway({"held": shell(confined(place, net=net)), "shut": shell(confined(place))}, quiet) as gateway:
            with Raw(gateway, "/mcp/held") as held, Raw(gateway, "/mcp/shut") as shut:
                def ask(client, how, host, where=port):
                    return client.text("run", {"script": f"{python} {here}/client.py {how} '{host}' {where}"})
                for how in ("library", "deaf"):
                    equal(ask(held, how, SITE), f"welcome to {SITE}:{port}\n", how)
                    check("failed" in ask(held, how, OTHER), how)
                    check("failed" in ask(held, how, "127.0.0.1"), how)
                    check("failed" in ask(held, how, SITE, gateway.address[1]), how)
                    check("failed" in ask(held, how, "127.0.0.1", gateway.address[1]), how)
                    check("failed" in ask(shut, how, SITE), how)
                ways = gateway.home / "ways-out"
                check(list(ways.iterdir()), "the control: a way out is there while it is used")
                check("SENT" not in ask(held, "datagram", "1.1.1.1", 53), "a datagram left")
                check("200" in ask(held, "tunnel", f"{SITE}."), "the control: the same host, written with its dot")
                for host in ("127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "metadata.google.internal",
                             f"{SITE}@{OTHER}", f"{SITE}.{OTHER}", f"{SITE}%00.x", "below.bartizan.test"):
                    said = ask(held, "tunnel", host)
                    check("answer" in said and "200" not in said, f"{host}: {said}")
            said = gateway.said.read_text()
            check("was refused a connection" in said and OTHER in said, "nobody is told of refusals")
            opened = [entry for entry in gateway.entries(kind="egress.opened") if entry.get("host") == SITE]
            check(len(opened) >= 3 and opened[0]["address"] == "127.0.0.1" and opened[0]["server"] == "held", opened)
            wait_for(lambda: any(entry.get("received", 0) > 0 for entry in gateway.entries(kind="egress.closed")), "nobody counts what came in")
            refused = {entry.get("host") for entry in gateway.entries(kind="egress.refused")}
            check(OTHER in refused, refused)
            gateway.stop()
            equal(list(ways.iterdir()), [], "what was left of the way out")
