#!/usr/bin/env python3
"""Asks a host for a page from inside of a sandbox: as a program that knows of proxies, as one that does not, or in words of one's own."""

import os
import socket
import sys
import urllib.request

how, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
try:
    if how == "library":
        # Only what the environment says of proxies.
        print(urllib.request.urlopen(f"http://{host}:{port}/", timeout=20).read().decode())
    elif how == "deaf":
        for name in [name for name in os.environ if "proxy" in name.lower()]:
            del os.environ[name]
        print(urllib.request.urlopen(f"http://{host}:{port}/", timeout=20).read().decode())
    elif how == "datagram":
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out.sendto(b"hello", (host, port))
        print("SENT")
    else:
        connection = socket.create_connection(("127.0.0.1", 3128), 20)
        connection.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode())
        print("answer", connection.recv(99).split(b" ")[1:2])
except OSError as error:
    print("failed", error)
