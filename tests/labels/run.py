#!/usr/bin/env python3
"""What has come into a session closes what reaches out: labels that results raise and policies read, through a whole gateway over HTTP
and stdio. Each case has its honest twin, in a session of its own to which the same stays open.

    run.py [PART ...]    only cases whose name contains one of these
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT / "tests" / "aggregate"), str(HERE)]
import desk  # noqa: E402
from harness import BINARY, MODERN, Gateway, Keyed, Raw, Wrapped, cases_of, check, equal, run_cases, wait_for  # noqa: E402
from upstream import Answering, Upstream  # noqa: E402

LEGACY = "2025-11-25"
ERAS = (LEGACY, MODERN)
OPEN = "Opening hours: 9 to 17. The library is closed on Mondays."
# What servers bring when they are asked for these: the words are not in what the client sends.
HIDDEN, ORDER, TURNED = "hidden", "order", "turned"
TAGS = desk.TAGS
NO_SINK = """
permit(principal, action, resource);
@id("no-sink") @reason("Nothing is sent once untrusted content has come in.")
forbid(principal, action, resource == Mcp::Tool::"mail/send") when { context.session.labels.contains("untrusted") };
"""
ASKS = NO_SINK.replace('@id("no-sink")', '@id("ask") @challenge("approval")')


class Web(Answering):
    """Brings what it is asked to bring, as whatever it is asked for."""

    def result(self, method, params):
        about = {"capabilities": {"tools": {}, "resources": {}, "prompts": {}}, "serverInfo": {"name": "web", "version": "1"},
                 "ttlMs": 0, "cacheScope": "private"}
        if method == "initialize":
            return {"protocolVersion": LEGACY} | about
        if method == "server/discover":
            return {"supportedVersions": [MODERN]} | about
        keep = {"ttlMs": 0, "cacheScope": "private"}
        if method == "tools/list":
            return keep | {"tools": [{"name": "bring", "description": self.server.says, "inputSchema": {"type": "object"}}]}
        if method == "resources/list":
            return keep | {"resources": [{"uri": "page:bad", "name": "bad"}, {"uri": "page:good", "name": "good"}]}
        if method == "prompts/list":
            return keep | {"prompts": [{"name": "bad"}, {"name": "good"}]}
        if method == "resources/read":
            return {"contents": [{"uri": params["uri"], "text": desk.PAGES[HIDDEN] if params["uri"] == "page:bad" else OPEN}]} | keep
        if method == "prompts/get":
            text = desk.PAGES[HIDDEN] if params["name"] == "bad" else OPEN
            return {"messages": [{"role": "user", "content": {"type": "text", "text": text}}]}
        if method == "tools/call":
            return {"content": [{"type": "text", "text": desk.page(params["arguments"]["text"])}]}
        return {}


class Mail(Web):
    """Sends."""

    def result(self, method, params):
        if method == "tools/list":
            return {"tools": [{"name": "send", "inputSchema": {"type": "object"}}], "ttlMs": 0, "cacheScope": "private"}
        if method == "tools/call":
            return {"content": [{"type": "text", "text": "sent"}]}
        return super().result(method, params) if method in ("initialize", "server/discover") else {}


@contextlib.contextmanager
def place(policies=NO_SINK, more="", says="Brings a page."):
    """A gateway before a server that reads and one that sends, with policies."""
    with tempfile.TemporaryDirectory(prefix="bartizan-labels-", ignore_cleanup_errors=True) as folder:
        file = pathlib.Path(folder, "p.cedar")
        file.write_text(policies)
        web, mail = Upstream(Web), Upstream(Mail)
        web.says = says
        with Gateway({"web": {"url": web.url}, "mail": {"url": mail.url}}, f'[guard.flow]\nenabled = false\n[policy]\nfiles = ["{file}"]\n{more}') as held:
            held.mail = mail
            yield held


def ask(client, tool, text=OPEN):
    return client.ask("tools/call", {"name": tool, "arguments": {"text": text}})


def words(answer):
    return json.dumps(answer, ensure_ascii=False)


def is_open(client, text="", tool="mail__send"):
    answer = ask(client, tool)
    check(answer.get("result", {}).get("content", [{}])[0].get("text") == "sent", f"{text} is not open: {answer}")


def is_closed(client, text="", tool="mail__send"):
    answer = ask(client, tool)
    check("Nothing is sent once untrusted content has come in" in words(answer), f"{text} is not closed: {answer}")
    check("in a session labelled `untrusted`" in words(answer), f"{text} does not say why: {answer}")
    return answer


def bartizan(held, *arguments, code=0):
    done = subprocess.run([BINARY, *arguments, "--config", str(held.config)], env=held.environment, capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL)
    equal(done.returncode, code, f"{arguments}: {done.stdout}{done.stderr}")
    return done.stdout


def keyed(held, who, path="/mcp", version=LEGACY, name="suite"):
    return Keyed(held, bartizan(held, "key", "create", who, "--scope", "mcp", "--expires", "1h").split()[0], path, version, name=name)


def case_what_is_found_in_a_result_closes_what_reaches_out():
    for version in ERAS:
        for found, bad in (("hidden_text", HIDDEN), ("prompt_injection", ORDER)):
            with place() as held, Raw(held, version=version, name="twin") as twin, Raw(held, version=version) as client:
                where = f"{version} {found}"
                for each in (twin, client):
                    each.tools()
                    equal(ask(each, "web__bring")["result"]["content"][0]["text"], OPEN, f"{where}: honest")
                    is_open(each, f"{where}: before")
                brought = words(ask(client, "web__bring", bad))
                check("Opening hours" in brought and "collect.example" not in brought and TAGS not in brought, f"{where}: {brought}")
                heard = len(held.mail.heard)
                refused = is_closed(client, f"{where}: after")
                is_closed(client, f"{where}: still")
                equal(len(held.mail.heard), heard, f"{where}: what the server that sends heard")
                equal(ask(client, "web__bring")["result"]["content"][0]["text"], OPEN, f"{where}: what does not reach out stays open")
                is_closed(client, f"{where}: after more that is honest")
                check("mail__send" in client.tools(), f"{where}: it is listed all the same")
                is_open(twin, f"{where}: the twin")
                told(held, refused, found, where)


def told(held, refused, found, where):
    """What the log, `why` and the metrics say of it."""
    entries = held.entries(kind="message")
    [raising] = [entry for entry in entries if entry.get("raises")]
    equal((raising["raises"], raising.get("labels")), (["untrusted"], None), f"{where}: what raised it")
    check(any(finding["rule"].startswith(found) for finding in raising["findings"]), f"{where}: {raising}")
    closed = [entry for entry in entries if entry.get("rule") == "policy.denied"]
    equal({(tuple(entry["labels"]), entry["session"]) for entry in closed}, {(("untrusted",), closed[0]["session"])}, f"{where}: the refusals")
    equal([entry for entry in entries if entry.get("labels") and entry["seq"] < raising["seq"]], [], f"{where}: labelled too early")
    rule = [word for word in words(refused).split() if word.startswith("01")][0].strip('."}],')[:26]
    check(f"Session: labelled `untrusted`, by the decision {raising['id']}" in bartizan(held, "why", rule), f"{where}: why")
    check("--label untrusted" in bartizan(held, "why", rule), f"{where}: what to ask without the label says the opposite")
    equal(json.loads(bartizan(held, "why", rule, "--json"))["labelled_by"], raising["id"], f"{where}: why --json")
    check("Session: labelled `untrusted` from here on" in bartizan(held, "why", raising["id"]), f"{where}: why of the other")
    check('bartizan_sessions_labelled_total{label="untrusted"} 1' in held.metrics(), f"{where}: the metrics")


def case_resources_prompts_and_definitions_raise_it_as_well():
    for version in ERAS:
        for method, bad, good in (("resources/read", {"uri": "page:bad"}, {"uri": "page:good"}),
                                  ("prompts/get", {"name": "web__bad"}, {"name": "web__good"})):
            with place() as held, Raw(held, version=version, name="twin") as twin, Raw(held, version=version) as client:
                for each in (twin, client):
                    each.tools()
                    each.result(method.split("/")[0] + "/list")
                    is_open(each, f"{version} {method}: before")
                check(TAGS not in words(client.result(method, bad)), "it is cut out")
                check("Opening hours" in words(twin.result(method, good)), "the twin")
                is_closed(client, f"{version} {method}: after")
                is_open(twin, f"{version} {method}: the twin")


def case_a_definition_that_is_let_through_raises_it_and_one_that_is_withheld_does_not():
    says = f"Brings a page.{TAGS}"
    for through, more in ((False, ""), (True, '[guard.hidden_text]\nservers.web.rules."hidden_text.tags" = "observe"')):
        with place(more=more, says=says) as held, Raw(held) as client:
            equal("web__bring" in client.tools(), through, "it is listed")
            (is_closed if through else is_open)(client, f"let through: {through}")


def case_what_is_refused_raises_nothing_and_neither_does_what_is_excepted():
    for more in ('[guard.hidden_text]\ntool_result = "deny"',
                 '[[exception]]\nrule = "hidden_text.tags"\nserver = "web"\nreason = "emoji flags"\nexpires = 2099-01-01'):
        with place(more=more) as held, Raw(held) as client:
            client.tools()
            ask(client, "web__bring", HIDDEN)
            is_open(client, more)
    with place(more='[labels]\nuntrusted_from = "critical"') as held, Raw(held) as client:
        client.tools()
        ask(client, "web__bring", TURNED)
        is_open(client, "less grave than the operator says")
        ask(client, "web__bring", HIDDEN)
        is_closed(client, "as grave")


def case_somebody_may_be_asked_instead():
    for version in ERAS:
        with place(ASKS) as held, Raw(held, version=version, name="twin") as twin, Raw(held, version=version) as client:
            client.tools(), twin.tools()
            is_open(client, "before")
            ask(client, "web__bring", HIDDEN)
            asked = words(ask(client, "mail__send"))
            check("needs somebody's approval, by `ask` in a session labelled `untrusted`" in asked, asked)
            [request] = json.loads(bartizan(held, "approve", "--list", "--json"))["requests"]
            bartizan(held, "approve", request["id"], "--yes")
            is_open(client, "once it was approved")
            check("needs somebody's approval" in words(ask(client, "mail__send")), "which is good for one call")
            is_open(twin, "the twin waits for nobody")


def case_it_is_there_before_the_result_is():
    """However many calls are under way, whoever has got a result that something was found in is refused what they ask for next."""
    def one(client, bad):
        brought = words(ask(client, "web__bring", ORDER if bad else OPEN))
        check("Opening hours" in brought, brought)
        return words(ask(client, "mail__send"))

    for version in ERAS:
        with place() as held, concurrent.futures.ThreadPoolExecutor(12) as pool:
            for number in range(8):
                with contextlib.ExitStack() as stack:
                    first = stack.enter_context(Raw(held, version=version, name=f"client {number}"))
                    first.tools()
                    clients = []
                    for _ in range(6):
                        client = Raw.__new__(Raw)
                        client.__dict__ |= first.__dict__ | {"open": [], "count": 1000 * (len(clients) + 1)}
                        clients.append(client)
                    answers = list(pool.map(one, clients, [True] * len(clients)))
                    equal([answer for answer in answers if "no-sink" not in answer], [], f"{version}: sent after what was found")
            with Raw(held, version=version, name="twin") as twin:
                check("sent" in one(twin, False), "the twin")


def case_a_fresh_session_sheds_nothing():
    for version in ERAS:
        with place() as held:
            before, other = Raw(held, version=version), Raw(held, version=version, name="another")
            before.tools(), other.tools()
            ask(before, "web__bring", HIDDEN)
            is_closed(before)
            for path, tool in (("/mcp", "mail__send"), ("/mcp/mail", "send")):
                fresh = Raw(held, path, version)
                fresh.tools()
                is_closed(fresh, f"{version}: a fresh session at {path}", tool)
            is_open(other, f"{version}: another client's")
            labelled = held.entries(kind="session.labelled")
            check(labelled and all(entry["labels"] == ["untrusted"] for entry in labelled), labelled)
            last = held.entries(kind="message", rule="policy.denied")[-1]
            check("since it began, as one of the same client before it was" in bartizan(held, "why", last["id"]), "why")
            check("began labelled `untrusted`" in bartizan(held, "why", labelled[0]["id"]), "why of the beginning")


def taints(held, **more):
    """A session that comes to be labelled, which its client ends then."""
    with Raw(held, **more) as client:
        client.tools()
        is_open(client, "before")
        ask(client, "web__bring", HIDDEN)
        is_closed(client)


def sessions(held, *arguments, code=0):
    return json.loads(bartizan(held, "session", *arguments, "--json", code=code))


def case_the_operator_sees_what_labels_a_session_and_resets_it():
    for version in ERAS:
        with place() as held, Raw(held, version=version, name="twin") as twin, Raw(held, version=version) as client:
            for each in (twin, client):
                each.tools()
                is_open(each, f"{version}: before")
            ask(client, "web__bring", HIDDEN), ask(twin, "web__bring", HIDDEN)
            is_closed(client), is_closed(twin)
            raising = [entry for entry in held.entries(kind="message") if entry.get("raises")][0]
            [mine] = [one for one in sessions(held, "list", "--labelled")["sessions"] if one["session"] == raising["session"]]
            [label] = mine["labels"]
            equal((label["label"], label["server"], label["tool"], label["entry"]), ("untrusted", "web", "bring", raising["id"]), version)
            equal((mine["principal"], sorted(mine["servers"])), ("anonymous", ["mail", "web"]), version)
            shown = bartizan(held, "session", "show", raising["session"])
            check(f"by a result of web/bring (entry {raising['id']})" in shown and "collect.example" not in shown, shown)
            bartizan(held, "session", "reset", raising["session"], code=2)
            is_closed(client, f"{version}: nobody has said yes")
            cleared = sessions(held, "reset", raising["session"], "--yes")
            equal(cleared["labels"], ["untrusted"], version)
            is_open(client, f"{version}: once it is reset")
            is_closed(twin, f"{version}: the twin is another client's")
            [entry] = held.entries(kind="session.reset")
            equal((entry["id"], entry["session"], entry["by"]), (cleared["entry"], raising["session"], f"uid:{os.getuid()}"), version)
            check("has reset the session" in bartizan(held, "why", entry["id"]), "why")
            ask(client, "web__bring", HIDDEN)
            is_closed(client, f"{version}: what comes in anew counts anew")
            bartizan(held, "session", "show", "no such session", code=2)


def case_ending_a_session_sheds_nothing_for_a_while():
    with place() as held:
        # Somebody else at the same place, and an honest session that is ended.
        for bad in (False, True):
            with Raw(held, name="twin") as twin:
                twin.tools()
                ask(twin, "web__bring")
                is_open(twin, "honest sessions hand on nothing")
            if not bad:
                taints(held)
        # As clients do that begin a session for each call.
        for number in range(3):
            with Raw(held) as client:
                client.tools()
                is_closed(client, f"{number} sessions later")
        [raising] = [entry for entry in held.entries(kind="message") if entry.get("raises")]
        begun = held.entries(kind="session.labelled")
        equal({(entry["because"], entry["found_in"], entry["found_by"]) for entry in begun},
              {("ended", raising["session"], raising["id"])}, "what the log says of them")
        said = f"as one of the same client was that it had ended shortly before; found in the session {raising['session']}, by the decision {raising['id']}"
        refused = held.entries(kind="message", rule="policy.denied")[-1]
        check(f"Session: labelled `untrusted` since it began, {said}" in bartizan(held, "why", refused["id"]), "why")
        equal(json.loads(bartizan(held, "why", refused["id"], "--json"))["labelled_by"], raising["id"], "why --json")
        check(f"began labelled `untrusted`, {said}." in bartizan(held, "why", begun[-1]["id"]), "why of the beginning")
    # Whoever begins later than the operator says has begun something else.
    with place(more='[labels]\nafter_end = "1s"') as held:
        taints(held)
        time.sleep(1.5)
        with Raw(held) as client:
            client.tools()
            is_open(client, "a new conversation")


def case_what_else_a_request_says_of_its_client_makes_no_other_of_it():
    """Without sessions each request says anew who asks and what that can do."""
    able = ({}, {"sampling": {}}, {"elicitation": {}, "roots": {}})
    with place() as held:
        clients = [Raw(held, version=MODERN, capabilities=can) for can in able]
        twin = Raw(held, version=MODERN, name="twin", capabilities=able[1])
        for client in (*clients, twin):
            client.tools()
            is_open(client, f"{client.capabilities}: before")
        ask(clients[0], "web__bring", HIDDEN)
        for client in clients:
            is_closed(client, f"{client.capabilities}: after")
        is_closed(Raw(held, version=MODERN, capabilities={"experimental": {"other": {}}}), "one that was not there before")
        is_open(twin, "another client's")


def case_a_server_that_ends_sheds_nothing():
    """Neither of its own session, nor of one with all servers."""
    for path, prefix in (("/mcp/mail", ""), ("/mcp", "mail__")):
        with tempfile.TemporaryDirectory(prefix="bartizan-labels-", ignore_cleanup_errors=True) as folder:
            file = pathlib.Path(folder, "p.cedar")
            file.write_text(NO_SINK)
            server = {"command": [sys.executable, str(HERE / "desk.py"), f"{folder}/sent"]}
            with Gateway({"mail": server}, f'[policy]\nfiles = ["{file}"]') as held:
                client = Raw(held, path)
                client.tools()
                ask(client, f"{prefix}bring", HIDDEN)
                is_closed(client, path, f"{prefix}send")
                check("sent" not in words(ask(client, f"{prefix}die")), "it is gone")

                def again():
                    """A session in which the server is back: the same one if that goes on, or a new one."""
                    nonlocal client
                    answer = client.ask("tools/list") if path == "/mcp" else None
                    if path != "/mcp":
                        client = Raw(held, path)
                        answer = client.ask("tools/list")
                    return "bring" in words(answer)

                wait_for(again, "the server does not come back")
                is_closed(client, f"{path}: after its server has ended", f"{prefix}send")
                check(not pathlib.Path(folder, "sent").exists(), "something was sent")


def case_labels_are_nobody_elses():
    for of in ("session", "principal"):
        with place(more=f'[auth]\nrequired = true\n[labels]\nof = "{of}"') as held:
            with keyed(held, "ann") as ann, keyed(held, "ann", name="other") as second, keyed(held, "bob") as bob:
                for client in (ann, second, bob):
                    client.tools()
                    is_open(client, of)
                ask(ann, "web__bring", HIDDEN)
                is_closed(ann, of)
                is_open(bob, f"{of}: another principal's")
                (is_open if of == "session" else is_closed)(second, f"{of}: another session of theirs that goes on")
                with keyed(held, "bob", version=MODERN) as bob:
                    bob.tools()
                    is_open(bob, f"{of}: a new session of another principal's")
                with keyed(held, "ann", "/mcp/mail", MODERN, name="third") as third:
                    third.tools()
                    (is_open if of == "session" else is_closed)(third, f"{of}: a client of theirs of another name", "send")


def wrapped(home, name, *options, version=LEGACY, through=()):
    """A client of `run`, which some other program may start."""
    program = [sys.executable, str(HERE / "desk.py"), str(home / "sent")]
    if not through:
        return Wrapped(home, name, program, *options, version=version)
    starts = home / f"starts-{name}.py"
    command = [BINARY, "run", "--name", name, "--level", "none", "--allow-unconfined", *options, "--", *program]
    starts.write_text(f"import subprocess, sys\nsys.exit(subprocess.run({command!r}).returncode)\n")

    class Through(Wrapped):
        pass

    popen = subprocess.Popen
    try:
        subprocess.Popen = lambda command, **more: popen([sys.executable, str(starts)], **more)
        return Through(home, name, program, version=version)
    finally:
        subprocess.Popen = popen


@contextlib.contextmanager
def own_home():
    with tempfile.TemporaryDirectory(prefix="bartizan-labels-", ignore_cleanup_errors=True) as folder:
        home = pathlib.Path(folder)
        (home / "config/bartizan").mkdir(parents=True)
        (home / "p.cedar").write_text(NO_SINK)
        (home / "config/bartizan/bartizan.toml").write_text(f'[guard.flow]\nenabled = false\n[policy]\nfiles = ["{home}/p.cedar"]\n')
        yield home


def case_over_stdio():
    for version in ERAS:
        for options in ((), ("--standalone",)):
            with own_home() as home, wrapped(home, "mail", *options, version=version) as client:
                client.result("tools/list")
                where = f"{version} {options}"
                check("Opening" in words(ask(client, "bring")), where)
                is_open(client, where, "send")
                check(TAGS not in words(ask(client, "bring", HIDDEN)), f"{where}: it is cut out")
                is_closed(client, where, "send")
                is_closed(client, where, "send")
                equal((home / "sent").read_text(), OPEN + "\n", f"{where}: what was sent")
                # Neither does the server shed it that is started again.
                if version == LEGACY:
                    ask(client, "die")
                    wait_for(lambda: "bring" in words(client.ask("tools/list")), "it is not started again")
                    is_closed(client, f"{where}: after a new start", "send")


def case_all_that_one_client_has_wrapped_is_one_conversation():
    for version in ERAS:
        with own_home() as home, contextlib.ExitStack() as stack:
            web, mail = (stack.enter_context(wrapped(home, name, version=version)) for name in ("web", "mail"))
            other = stack.enter_context(wrapped(home, "mail", version=version, through=("python",)))
            for client in (web, mail, other):
                client.result("tools/list")
            is_open(mail, "before", "send")
            ask(web, "bring", HIDDEN)
            is_closed(mail, "what the same client has wrapped", "send")
            late = stack.enter_context(wrapped(home, "mail", version=version))
            late.result("tools/list")
            is_closed(late, "also when it comes later", "send")
            is_open(other, "what another program has wrapped", "send")


def case_policies_can_be_tried_with_labels():
    with place() as held:
        for labels, word in (((), "allow"), (("--label", "untrusted"), "deny")):
            equal(json.loads(bartizan(held, "policy", "explain", "ann", "mail/send", *labels, "--json"))["decision"], word, labels)
        bartizan(held, "policy", "explain", "ann", "mail/send", "--label", "trusted", code=2)
        cases = held.home / "cases.toml"
        one = '[[case]]\nname = "{0}"\nwho = "ann"\ntool = "mail/send"\nlabels = {1}\nexpect = "{2}"\n'
        cases.write_text(one.format("clean", "[]", "allow") + one.format("labelled", '["untrusted"]', "deny"))
        bartizan(held, "policy", "test", str(cases))
        cases.write_text(one.format("labelled", '["untrusted"]', "allow"))
        bartizan(held, "policy", "test", str(cases), code=1)
        cases.write_text(one.format("unknown", '["trusted"]', "allow"))
        bartizan(held, "policy", "test", str(cases), code=2)
        policies = pathlib.Path(json.loads(held.config.read_text().split("files = ")[1].splitlines()[0])[0])
        policies.write_text(NO_SINK.replace('"untrusted"', '"untrustd"'))
        done = subprocess.run([BINARY, "policy", "check", "--config", str(held.config)], env=held.environment, capture_output=True, text=True, timeout=60)
        check(done.returncode != 0 and "there is no label `untrustd`; did you mean `untrusted`?" in done.stdout + done.stderr, done)
        policies.write_text(NO_SINK)


if __name__ == "__main__":
    sys.exit(run_cases(cases_of(globals())))
