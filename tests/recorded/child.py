#!/usr/bin/env python3
"""A server over stdio that is run from elsewhere: its lines come from and go to the port of localhost in its argument."""

import socket
import sys
import threading

there = socket.create_connection(("127.0.0.1", int(sys.argv[1])))


def back():
    while piece := there.recv(65536):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


threading.Thread(target=back, daemon=True).start()
while piece := sys.stdin.buffer.read1(65536):
    there.sendall(piece)
