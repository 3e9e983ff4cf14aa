"""An attacker's tools: bare bytes to a gateway, what came back for them, and many connections at once."""

import contextlib
import json
import re
import socket
import struct
import threading
import time
import urllib.request

import harness
from harness import Client, check, wait_for

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
# The method of a request that hides in another one and must never be run.
SMUGGLED = "x/smuggled"


class Attacker:
    """A gateway, and all that an attacker does to one server's endpoint, or to that of all of them together."""

    def __init__(self, gateway, seen_at, together=False):
        self.gateway, self.seen_at, self.due = gateway, seen_at, 0
        self.path, self.tool = ("/mcp", "honest__echo") if together else ("/mcp/honest", "echo")
        self.victim = Client(gateway, None if together else "honest").initialize()
        # The same server under another name, whose places an attack may use up.
        self.slow = Client(gateway, "slow").initialize()

    # Bare bytes.

    def head(self, method="POST", path=None, host="localhost", more=(), length=None, kind="application/json"):
        lines = [f"{method} {path or self.path} HTTP/1.1"]
        lines += [f"Host: {host}"] if host is not None else []
        lines += [f"Content-Type: {kind}"] if kind else []
        lines += [f"Content-Length: {length}"] if length is not None else []
        return "\r\n".join([*lines, *more, "", ""]).encode("latin-1")

    def session(self, client=None):
        client = client or self.victim
        return (f"Mcp-Session-Id: {client.session}", f"MCP-Protocol-Version: {harness.VERSION}",
                "Accept: application/json, text/event-stream")

    def ping(self, **head):
        body = json.dumps(head.pop("body", PING)).encode()
        head.setdefault("more", (*self.session(), *(["Connection: close"] if head.pop("last", False) else [])))
        return self.head(length=len(body), **head) + body

    def smuggled(self):
        """A whole request that must never be seen as one."""
        return self.ping(body=PING | {"method": SMUGGLED})

    def talk(self, data, limit=10.0, finish=False):
        """Everything that comes back for `data` until the gateway hangs up or falls silent."""
        return talk(self.gateway, data, limit, finish)

    def statuses(self, data, **options):
        return statuses(self.talk(data, **options))

    # What it must come to.

    def counted(self, since):
        """How many refusals the log counts since then, from before anybody was identified."""
        return sum(entry["total"] for entry in self.gateway.recorded(since, kind="edge.refused"))

    def check_counted(self, since, least=1):
        wait_for(lambda: self.counted(since) >= least,
                 f"the log counts fewer than {least} refusals: {self.gateway.recorded(since, kind='edge.refused')}", 10)

    def refused(self, data, wanted, **options):
        """That `data` gets exactly one answer, of a wanted status; that the log counts it is seen after the case."""
        found = self.statuses(data, **options)
        answer = found[0] if found else None
        check(len(found) <= 1 and answer in wanted, f"{found}, not one of {wanted}, for {data[:200]!r}")
        self.due += 1

    def run(self, case):
        """One case, and whether the log counts as many refusals as it had."""
        since, self.due = self.mark(), 0
        case(self)
        if self.due:
            self.check_counted(since, self.due)

    def mark(self):
        """Where the log ends now; what is counted for earlier cases is written within the second."""
        time.sleep(1.2)
        return len(self.gateway.entries())

    def honest(self):
        """The benign twin of every refusal: the same connection, session and head with nothing wrong."""
        found = self.statuses(self.ping(last=True))
        check(found == [200], f"the honest request got {found}")

    def upstream(self):
        """The heads of requests as the honest server saw them."""
        return json.load(urllib.request.urlopen(self.seen_at, timeout=10))


def talk(gateway, data, limit=10.0, finish=False):
    connection = gateway.connect(limit)
    received = b""
    with contextlib.closing(connection), contextlib.suppress(ConnectionError, TimeoutError):
        # Sending goes on beside reading, as a refusal may come before everything is sent.
        sender = threading.Thread(target=send_all, args=(connection, data, finish), daemon=True)
        sender.start()
        end = time.monotonic() + limit
        while (left := end - time.monotonic()) > 0:
            connection.settimeout(min(left, 2.0 if received else left))
            piece = connection.recv(65536)
            if not piece:
                break
            received += piece
    return received


def send_all(connection, data, finish):
    with contextlib.suppress(OSError):
        for piece in [data] if isinstance(data, bytes) else data:
            connection.sendall(piece)
        if finish:
            connection.shutdown(socket.SHUT_WR)


def statuses(received):
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d\d\d)", received)]


def opened(gateway, count, data=b""):
    """Many connections at once, each with `data` sent."""
    connections = []
    for _ in range(count):
        connection = gateway.connect()
        if data:
            connection.sendall(data)
        connections.append(connection)
    return connections


def closed_by_gateway(connections, limit):
    """How many the gateway has closed within `limit` seconds."""
    end, left = time.monotonic() + limit, list(connections)
    while left and time.monotonic() < end:
        left = [connection for connection in left if not is_closed(connection)]
        time.sleep(0.1)
    return len(connections) - len(left)


def is_closed(connection):
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def close_all(connections, hard=False):
    for connection in connections:
        if hard:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


def collect(connection, limit):
    connection.settimeout(limit)
    with contextlib.suppress(OSError):
        return connection.recv(65536)
    return b""
