#!/usr/bin/env python3
"""Asks for a page over TLS from inside of a sandbox, as programs in Python do that are told nothing: LIBRARY URL HEADER VALUE."""

import sys
import urllib.error
import urllib.request

library, url, header, value = sys.argv[1:]
try:
    if library == "urllib":
        with urllib.request.urlopen(urllib.request.Request(url, headers={header: value}), timeout=20) as answer:
            print(answer.read().decode(), answer.status)
    else:
        import httpx2

        answer = httpx2.get(url, headers={header: value}, timeout=20)
        print(answer.text, answer.status_code)
except Exception as error:  # Whatever it is, who asked is told.
    print("failed", repr(error))
