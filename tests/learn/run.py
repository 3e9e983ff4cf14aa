#!/usr/bin/env python3
"""`bartizan init --learn`: traffic through a whole gateway is captured, settings are proposed from it, and once they are in force they leave
out just that. In both eras.

    run.py [PART ...]    only cases whose name contains one of these
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import stat
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "aggregate")]
from harness import BINARY, MODERN, Gateway, Raw, cases_of, check, equal, run_cases, wait_for  # noqa: E402
from upstream import Answering, Upstream  # noqa: E402

ERAS = ("2025-11-25", MODERN)
CAPTURE = '[capture]\npath = "captured"\nresults = true\n'
NOTES = "They were not content with the delivery, and somebody has to call them back. " * 15
MAIL = {"type": "string", "pattern": "^.+@.+$"}
CUSTOMER = {"type": "object", "properties": {"id": {"type": "string"}, "name": {"type": "string"}, "email": {"type": "string"},
                                             "notes": {"type": "string"}}, "required": ["id"]}


def tool(name, argument, rows=None):
    held = {"name": name, "inputSchema": {"type": "object", "properties": {argument: {"type": "string"}}}}
    if rows:
        held["outputSchema"] = {"type": "object", "properties": {"customers": {"type": "array", "items": rows}}, "required": ["customers"]}
    return held


TOOLS = [tool("search_customers", "query", CUSTOMER), tool("get_orders", "customer"), tool("get_balance", "account"),
         tool("strict_search", "query", CUSTOMER | {"properties": CUSTOMER["properties"] | {"email": MAIL}, "required": ["id", "email"]}),
         tool("get_table", "query")]


def customers(number):
    return {"customers": [{"id": f"c{at}", "name": f"Company {number}", "email": f"u{at}@mail.example", "notes": NOTES}
                          for at in (number, number + 500)]}


class Crm(Answering):
    """A server with customers. What it answers depends on the number that it is asked for."""

    def result(self, method, params):
        about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "crm", "version": "1"}}
        if method == "initialize":
            return about | {"protocolVersion": params["protocolVersion"]}
        if method == "server/discover":
            return about | {"supportedVersions": [MODERN]}
        if method == "tools/list":
            return {"tools": TOOLS}
        if method != "tools/call":
            return {}
        number = int("".join(c for c in next(iter(params["arguments"].values())) if c.isdigit()) or 0)
        if params["name"] == "get_balance":
            return {"content": [{"type": "text", "text": f"12.50, see https://bank.example/{number}"}]}
        if params["name"] == "get_orders":
            return {"content": [{"type": "text", "text": "none"}]}
        held = customers(number)
        if params["name"] == "get_table":
            # Names that are data, and one that would write on a terminal and into the file.
            held = {f"u{number}@mail.example": {"fax": "+49 30 901820"}, "a\u202e\"]\n[server.evil]\x1b[2J": "https://evil.example"}
            return {"content": [{"type": "text", "text": json.dumps(held)}]}
        return {"content": [{"type": "text", "text": json.dumps(held)}], "structuredContent": held}


@contextlib.contextmanager
def place(more=CAPTURE):
    crm = Upstream(Crm)
    with Gateway({"crm": {"url": crm.url}}, more) as held:
        yield held


def bartizan(held, *words, code=0):
    done = subprocess.run([BINARY, *words, "--config", str(held.config)], env=held.environment, cwd=held.home,
                          capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    equal(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
    return done


def written(held):
    lines = [line for line in held.metrics().splitlines() if line.startswith("bartizan_capture_records_total") and '"written"' in line]
    return int(float(lines[0].rsplit(" ", 1)[1])) if lines else 0


def traffic(held, version, search="search_customers", count=8):
    """Customers are searched, and of each search one customer's orders are asked for, by its id."""
    before = written(held)
    with Raw(held, version=version) as client:
        client.tools()
        for number in range(count):
            said = client.call(f"crm__{search}", {"query": f"overdue {number}"})
            check("content" in said, f"{said}")
            client.call("crm__get_orders", {"customer": f"c{number}"})
    wait_for(lambda: written(held) - before >= 4 * count, f"calls and results are captured: {written(held)}")


def tables(text, guard):
    found = tomllib.loads(text).get("guard", {}).get(guard, {}).get("tool", [])
    return {held.get("tool", held.get("name")): held for held in found}


def case_what_is_proposed_leaves_out_just_that_once_it_is_in_force():
    for version in ERAS:
        with place() as held:
            traffic(held, version)
            out = held.home / "proposal.toml"
            said = bartizan(held, "init", "--learn", "--least", "8", "--out", str(out)).stderr
            text = out.read_text()
            equal(stat.S_IMODE(out.stat().st_mode), 0o600, "its owner alone")
            check("with this in force, " in said and " 0 refused" in said and "nothing of it is in force" in said, said)
            table = tables(text, "minimise")["search_customers"]
            equal(table["drop"], ["$.customers[*].email"], text)
            equal((table["server"], table["max_rows"], table["images"], table["max_length"]), ("crm", 20, "drop", 3000), text)
            for line in ("8 calls; 8 results of 1 session read", "personal (email 16 in 16 values); none of 16 values came up",
                         "stays: $.customers[*].id: 16 values, came up in 8 later calls",
                         'to be considered for `drop`, as people read it: "$.customers[*].notes": large'):
                check(line in text, f"{line} is not in\n{text}")
            for value in ("mail.example", "Company", "delivery", "c507", "overdue"):
                check(value not in text, f"{value} is in\n{text}")
            # Nothing is in force by that, nor written over.
            with Raw(held, version=version) as client:
                equal(client.call("crm__search_customers", {"query": "3"})["structuredContent"], customers(3), "it is whole still")
            check("nothing is written over" in bartizan(held, "init", "--learn", "--out", str(out), code=2).stderr, "it is kept")
            equal(out.read_text(), text, "as it was")
            held.config.write_text(held.config.read_text() + text)
            bartizan(held, "config", "check")
            held.again()
            with Raw(held, version=version) as client:
                client.tools()
                found = client.call("crm__search_customers", {"query": "3"})
                wanted = {"customers": [{key: value for key, value in row.items() if key != "email"} for row in customers(3)["customers"]]}
                equal(found["structuredContent"], wanted, "only that is gone")
                equal(json.loads(found["content"][0]["text"]), wanted, "and in the text too")
                equal(client.text("crm__get_orders", {"customer": "c3"}), "none", "others are as they were")
            # Now there is a table, which alone counts.
            check("has a table for it already" in bartizan(held, "init", "--learn", "--least", "8").stdout, "it is said")


def case_results_are_judged_again_as_they_were():
    with place() as held:
        traffic(held, ERAS[0], count=4)
        found = json.loads(bartizan(held, "policy", "test", "--replay", "--json").stdout)
        equal((found["judged"], found["same"]), (written(held), written(held)), "calls and results")
        [started] = held.entries(kind="capture.started")
        equal(started["results"], True, "that is recorded")
        check("what tools bring is captured" in held.said.read_text(), "and said")


def case_traffic_adds_a_label():
    with place() as held:
        with Raw(held) as client:
            client.tools()
            for number in range(6):
                client.call("crm__get_balance", {"account": f"a{number}"})
        wait_for(lambda: written(held) >= 12, "they are captured")
        done = json.loads(bartizan(held, "init", "--learn", "--least", "6", "--json").stdout)
        equal(done["format"], "bartizan.init.learn/1", "the format")
        entry = tables(done["proposal"], "flow")["crm/get_balance"]
        equal(entry["labels"], ["untrusted_content", "private_data"], done["proposal"])
        check("untrusted_content: links in 6 of 6 results" in done["proposal"], done["proposal"])
        [seen] = done["tools"]
        equal((seen["tool"], seen["results"], seen["added"]), ("get_balance", 6, ["untrusted_content"]), "what was seen")
        held.config.write_text(held.config.read_text() + done["proposal"])
        bartizan(held, "config", "check")


def case_too_little_is_said_to_be_too_little():
    with place() as held:
        traffic(held, ERAS[0], count=3)
        text = bartizan(held, "init", "--learn").stdout
        equal(tomllib.loads(text), {}, text)
        check("crm/search_customers: nothing is proposed: 3 results read, and 20 are needed" in text, text)
    with place(more=CAPTURE.replace("results = true\n", "")) as held:
        with Raw(held) as client:
            client.tools()
            client.call("crm__get_orders", {"customer": "c1"})
        wait_for(lambda: written(held) == 1, "only what is asked is captured")
        check("set `results = true` in [capture]" in bartizan(held, "init", "--learn", code=3).stderr, "it is said what is missing")
    with place(more="") as held:
        check("has no [capture]" in bartizan(held, "init", "--learn", code=2).stderr, "and what to read")
        check("--learn" in bartizan(held, "init", code=2).stderr, "and that it does nothing else")


def case_a_setting_for_which_a_result_would_be_refused_is_left_out():
    with place() as held:
        traffic(held, MODERN, search="strict_search")
        done = bartizan(held, "init", "--learn", "--least", "8")
        table = tables(done.stdout, "minimise")["strict_search"]
        check("drop" not in table and table["max_rows"] == 20, done.stdout)
        check('crm/strict_search: `drop = ["$.customers[*].email"]` is not proposed, as a result would be refused' in done.stderr, done.stderr)
        check(" 0 refused" in done.stderr, done.stderr)


def case_names_that_are_data_or_hostile_are_not_shown():
    with place() as held:
        with Raw(held) as client:
            client.tools()
            for number in range(6):
                client.call("crm__get_table", {"query": f"t{number}"})
                client.call("crm__get_orders", {"customer": "c1"})
        wait_for(lambda: written(held) >= 24, "they are captured")
        text = bartizan(held, "init", "--learn", "--least", "6").stdout
        equal(tables(text, "minimise")["get_table"]["drop"], ["$[*].fax"], text)
        for piece in ("mail.example", "server.evil", "\u202e", "\x1b", "901820", "evil.example"):
            check(piece not in text, f"{piece!r} is in\n{text}")


def case_a_capture_that_is_damaged_or_of_somebody_else_is_refused():
    with place() as held, place() as other:
        traffic(held, ERAS[0], count=4), traffic(other, ERAS[0], count=1)
        own, foreign = held.home / "captured", other.home / "captured"
        done = bartizan(held, "init", "--learn", "--from", str(foreign), code=3)
        check("cannot be opened" in done.stderr and not done.stdout, done.stderr)
        held.stop()
        file = next(own.glob("*.sealed"))
        whole = file.read_bytes()
        bartizan(held, "init", "--learn", "--from", str(own), "--least", "4")
        file.write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
        done = bartizan(held, "init", "--learn", code=3)
        check("was changed" in done.stderr and not done.stdout, done.stderr)
        file.write_text("no capture")
        done = bartizan(held, "init", "--learn", "--from", str(file), code=3)
        check("is no capture" in done.stderr and not done.stdout, done.stderr)
        file.write_bytes(whole)
        held.again()


if __name__ == "__main__":
    sys.exit(run_cases(cases_of(globals())))
