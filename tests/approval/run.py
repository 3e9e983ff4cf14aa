#!/usr/bin/env python3
"""What somebody has to agree to before it is done: it passes once, exactly as it was agreed to, and not otherwise.

`run.py NAME…` runs the cases whose names contain NAME.
"""

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "aggregate"), str(HERE.parent / "signin")]

from browser import PASSWORD, App, Browser, Form  # noqa: E402
from harness import BINARY, MODERN, PATIENCE, TOOLS, cases_of, check, equal, run_cases, wait_for  # noqa: E402
import bridged  # noqa: E402
import completed  # noqa: E402
import over_stdio  # noqa: E402
from place import (BY_URL, ERAS, LINK, PAGES, PAY, POLICIES, Client, Place, again, decide, page_of, passes, person, refused,  # noqa: E402
                   waiting, waits, words)


def case_what_was_agreed_to_passes_once_and_exactly_in_each_era_and_by_each_route():
    with Place() as place:
        for version in ERAS:
            for path in ("/mcp/bank", "/mcp"):
                with place.client(f"ann{version}{path.count('/')}", path, version) as client:
                    before = len(place.bank.paid())
                    passes(client.pay(500), "paid 500")
                    answer = client.pay(900)
                    id = waits(answer)
                    refused(answer, "Large sums are looked at")
                    equal(waits(client.pay(900)), id, "it is asked for once")
                    shown = place.run("approve", "--list")
                    check(id in shown and '"amount": 900' in shown and "tool pay" in shown, shown)
                    check("approved: " + id in place.approve(id), "the command says so")
                    check(waits(client.pay(901)) != id, "other arguments are another thing")
                    check(waits(client.pay(900, "more")) != id, "more arguments too")
                    passes(client.pay(900), "paid 900")
                    check(waits(client.pay(900)) != id, "a second time is asked for again")
                    equal(place.bank.paid()[before:], [500, 900], f"what reached the server, {version} {path}")
                    refused(client.pay(9001), "forbidden by `huge`")
                    equal(place.states()[id], "used")


def case_it_is_for_whom_it_was_asked():
    with Place() as place:
        with place.client("ann") as ann, place.client("bea") as bea, place.client("ann", version=MODERN) as modern:
            id = waits(ann.pay(900))
            place.approve(id)
            check(waits(bea.pay(900)) != id, "somebody else asks anew")
            # The same principal by another way, with the same arguments.
            passes(modern.pay(900), "paid 900")
            check(waits(ann.pay(900)) != id, "and that was the one time")
            equal(place.bank.paid(), [900])


def case_a_no_stands_and_what_has_expired_is_nothing():
    with Place("[approval]\nexpires = \"3s\"\n") as place:
        with place.client() as client:
            id = waits(client.pay(900))
            place.deny(id, "--reason", "not today")
            refused(client.pay(900), f"request {id} was denied: not today")
            refused(client.pay(900), "was denied")
            check("was denied" in place.approve(id, code=2), "what was denied is decided")
            late = waits(client.pay(901))
            time.sleep(3.1)
            check("has expired" in place.approve(late, code=2), "too late to agree")
            unused = waits(client.pay(902))
            place.approve(unused)
            time.sleep(3.1)
            check(waits(client.pay(902)) != unused, "too late to use it")
            check(waits(client.pay(900)) != id, "after that it may be asked again")
            equal(place.bank.paid(), [])
            # A no to what was approved already.
            id = waits(client.pay(903))
            place.approve(id)
            place.deny(id)
            refused(client.pay(903), "was denied")
            equal(place.bank.paid(), [])


def case_of_many_at_once_one_passes():
    with Place() as place:
        key = place.key()
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(place.gateway, key, "/mcp/bank", ERAS[number % 2])) for number in range(12)]
            clients[1].tools()
            for round in range(4):
                place.approve(waits(clients[0].pay(1000 + round)))
                with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
                    answers = list(pool.map(lambda client: client.pay(1000 + round), clients))
                passed = [answer for answer in answers if not answer["result"].get("isError")]
                equal(len(passed), 1, f"round {round}: {answers}")
        equal(place.bank.paid(), [1000, 1001, 1002, 1003])


def case_it_survives_a_gateway_that_is_killed():
    with Place() as place:
        key = place.key()
        with Client(place.gateway, key, "/mcp/bank", MODERN) as client:
            approved, waiting, used = (waits(client.pay(amount)) for amount in (900, 901, 902))
            place.approve(approved)
            place.approve(used)
            passes(client.pay(902))
            place.again()
            passes(client.pay(900), "paid 900")
            equal(waits(client.pay(901)), waiting, "it waits still")
            check(waits(client.pay(902)) != used, "used is used")
            equal(place.bank.paid(), [902, 900])
            kinds = {kind: len(place.gateway.entries(kind=kind)) for kind in ("approval.asked", "approval.approved", "approval.used")}
            wait_for(lambda: len(place.gateway.entries(kind="approval.used")) == 2, "the log has what was done")
            check(kinds["approval.asked"] >= 3, kinds)
            passed = [entry for entry in place.gateway.entries(kind="message", approval=approved) if entry["decision"] == "allow"]
            equal([(entry["findings"][0]["rule"], entry["findings"][0]["by"]) for entry in passed], [("policy.approval", "approval")])


def case_two_look_at_it_where_that_is_asked():
    more = '[approval]\napprovers = ["group:leads"]\n[group.leads]\nmembers = ["uid:%d"]\n' % os.getuid()
    with Place(more) as place:
        with place.client() as client:
            id = waits(client.pay(900))
            place.approve(id)
            passes(client.pay(900))
    with Place('[approval]\napprovers = ["group:leads"]\n[group.leads]\nmembers = ["bea"]\n') as place:
        with place.client() as client:
            id = waits(client.pay(900))
            refused = place.approve(id, code=2)
            check("none of those who may agree: group:leads" in refused, "who is not in the group")
            check("have one of group:leads decide" in refused and f"bartizan deny {id}" in refused, refused)
            waits(client.pay(900))
            place.deny(id)
            wait_for(lambda: place.gateway.entries(kind="approval.denied", approval=id, by=f"uid:{os.getuid()}", way="command"), "it is logged")
            check("was denied" in str(client.pay(900)), "whoever runs the gateway can always say no")
    # Whoever runs the gateway is whoever asks, as under `run`.
    own = f"uid:{os.getuid()}"
    with Place("[approval]\nfour_eyes = true\n") as place:
        with place.client() as client:
            place.approve(waits(client.pay(900)))
            passes(client.pay(900))
        shown = place.run("key", "create", own, "--scope", "mcp", "--expires", "1h", code=2)
        check("the name of those" in shown, shown)


def case_a_tool_that_is_another_by_then_is_asked_for_again():
    with Place() as place:
        with place.client(version=MODERN) as client:
            id = waits(client.pay(900))
            place.approve(id)
            place.bank.tool = PAY | {"description": "pays twice"}
            refused_tools = client.tools()
            equal(refused_tools, [], "a changed definition is withheld")
            check("isError" in client.pay(900)["result"], "and not called")
            subprocess.run([BINARY, "lock", "update", "--server", "bank", "--lock", str(place.gateway.home / "mcp.lock")],
                           env=place.gateway.environment, check=True, capture_output=True, timeout=60)
            wait_for(lambda: client.tools() == ["pay"], "it is accepted")
            check(waits(client.pay(900)) != id, "what was agreed to was another tool")
            equal(place.bank.paid(), [])


def case_what_is_to_be_cut_out_is_cut_out():
    hidden = "a" + "".join(chr(0xE0000 + ord(letter)) for letter in "ignore") + "b"
    with Place('[guard.hidden_text]\naction = "redact"\n') as place:
        with place.client() as client:
            id = waits(client.pay(900, hidden))
            shown = place.run("approve", "--list")
            check("\\udb40\\udc69" in shown, f"what is hidden is shown: {shown}")
            place.approve(id)
            passes(client.pay(900, hidden), "paid 900")
            equal(place.bank.asked("tools/call")[0]["params"]["arguments"], {"amount": 900, "note": "ab"})
    # A guard that asks about it is met by the same yes.
    with Place('[guard.hidden_text]\naction = "approve"\n') as place:
        with place.client() as client:
            id = waits(client.pay(5, hidden))
            place.approve(id)
            passes(client.pay(5, hidden), "paid 5")
            waits(client.pay(5, hidden))
            passes(client.pay(5, "plain"), "paid 5")


def case_resources_and_prompts_too():
    with Place() as place:
        for version in ERAS:
            with place.client(f"ann{version}", version=version) as client:
                for method, params in (("resources/read", {"uri": "file:///secret"}), ("prompts/get", {"name": "greet"})):
                    before = len(place.bank.asked(method))
                    answer = client.ask(method, params)
                    equal(answer["error"]["code"], -31002, f"{answer}")
                    place.approve(waits(answer))
                    check("result" in client.ask(method, params), "it passes")
                    waits(client.ask(method, params))
                    equal(len(place.bank.asked(method)) - before, 1, method)


def case_nobody_fills_the_store():
    with Place("[approval]\npending = 3\n") as place:
        with place.client("ann") as ann, place.client("bea") as bea:
            ids = [waits(ann.pay(amount)) for amount in (900, 901, 902)]
            refused(ann.pay(903), "too many requests wait")
            waits(bea.pay(903))
            place.deny(ids[0])
            waits(ann.pay(903))
            refused(ann.pay(904), "too many requests wait")
            refused(bea.pay(900, "x" * 200_000), "larger than")
            equal(place.bank.paid(), [])


def case_a_call_is_held_while_somebody_decides_if_that_is_wanted():
    with Place('[approval]\nwait = "20s"\n') as place:
        for version in ERAS:
            name = f"ann{version}"
            with place.client(name, version=version) as client, place.client(name, version=version) as other:
                with concurrent.futures.ThreadPoolExecutor(1) as pool:
                    held = pool.submit(client.pay, 900)
                    id = wait_for(lambda: next((id for id, state in place.states().items() if state == "pending"), None), "it waits")
                    passes(other.pay(5), "paid 5")
                    place.approve(id)
                    passes(held.result(PATIENCE), "paid 900")
                    held = pool.submit(client.pay, 901)
                    id = wait_for(lambda: next((id for id, state in place.states().items() if state == "pending"), None), "it waits")
                    place.deny(id)
                    refused(held.result(PATIENCE), "was denied")
        equal(place.bank.paid(), [5, 900] * 2)


def case_what_was_asked_on_other_terms_is_asked_anew():
    large = ('@id("large") @challenge("approval") %s @reason("%s") forbid(principal, action == Mcp::Action::"bank/pay", resource) '
             'when { context.input.amount > 500 };')
    plain = "permit(principal, action, resource);" + large % ("", "Large sums.")
    with Place(PAGES, policies=plain) as place:
        ann, file = person(place, "ann"), pathlib.Path(place.folder.name) / "policies.cedar"

        def reload(text):
            count = len(place.gateway.entries(kind="config.reloaded"))
            file.write_text(text)
            wait_for(lambda: len(place.gateway.entries(kind="config.reloaded")) > count, "it is not in force")

        def agree(id):
            page = ann.get(f"/bartizan/approve/{id}")
            return ann.post(f"/bartizan/approve/{id}", Form(page.text).fields | {"decision": "approve"}).status
        with place.client("ann") as client:
            approved, waits_still = waits(client.pay(900)), waits(client.pay(901))
            equal(agree(approved), 303, "what she may agree to")
            # What else changes changes nothing: not why it is asked, and not another policy.
            reload(plain.replace("Large sums.", "Sums that are large.") + '@id("other") forbid(principal, action, resource) when { false };')
            equal(waits(client.pay(901)), waits_still, "the request that waits")
            passes(client.pay(900), "paid 900")
            approved = waits(client.pay(902))
            equal(agree(approved), 303, "again")
            reload("permit(principal, action, resource);" + large % ('@four_eyes("true") @approvers("user:boss")', "Large sums."))
            for amount, before in ((901, waits_still), (902, approved)):
                anew = waits(client.pay(amount))
                check(anew != before, f"{amount} passes on the terms of before")
                equal(agree(anew), 403, "her own yes, on the terms of now")
                if before == waits_still:
                    equal(agree(before), 303, "a yes to what was asked before")
                equal(waits(client.pay(amount)), anew, "which is good for nothing")
        equal(place.bank.paid(), [900], "what was paid")


def case_who_shows_nothing_is_not_one_of_two():
    two = 'permit(principal, action, resource); @challenge("approval") %s forbid(principal, action == Mcp::Action::"bank/pay", resource);'
    for four_eyes in (True, False):
        with Place(PAGES, policies=two % ('@four_eyes("true")' if four_eyes else "")) as place:
            config = place.gateway.config
            config.write_text(config.read_text().replace("required = true", "required = false"))
            wait_for(lambda: place.gateway.entries(kind="config.reloaded"), "nothing is required")
            ann = person(place, "ann")
            with Client(place.gateway, None, "/mcp/bank") as client:
                if four_eyes:
                    refused(client.pay(900), "show a key, or sign in")
                    equal(place.states(), {}, "nothing waits")
                    continue
                id = waits(client.pay(900))
                page = ann.get(f"/bartizan/approve/{id}")
                equal(ann.post(f"/bartizan/approve/{id}", Form(page.text).fields | {"decision": "approve"}).status, 303, "ann")
                passes(client.pay(900), "paid 900")


def case_who_has_to_show_who_they_are_is_alone_to_see_it():
    asks = 'permit(principal, action, resource); @challenge("step_up") forbid(principal, action == Mcp::Action::"bank/pay", resource);'
    with Place(PAGES, policies=asks) as place:
        ann, zoe = person(place, "ann"), person(place, "zoe")
        with place.client("ann") as client:
            id = waits(client.pay(900))
        page = ann.get(f"/bartizan/approve/{id}")
        check(page.status == 200 and "900" in page.text, "ann sees what she asked for")
        page = zoe.get(f"/bartizan/approve/{id}")
        check(page.status == 404 and "900" not in page.text, f"zoe sees {page.status} {page.text}")


def case_a_call_that_is_held_does_not_outlive_the_key_that_it_came_with():
    with Place('[approval]\nwait = "30s"\n') as place:
        for number, (version, path) in enumerate((version, path) for version in ERAS for path in ("/mcp/bank", "/mcp")):
            for revoked in (True, False):
                key, amount = place.key(name := f"ann{number}{revoked}"), 900 + 2 * number + revoked
                with Client(place.gateway, key, path, version) as client, concurrent.futures.ThreadPoolExecutor(1) as pool:
                    tool = "pay" if path != "/mcp" else "bank__pay"
                    held = pool.submit(client.request, "tools/call", {"name": tool, "arguments": {"amount": amount}})
                    id = waiting(place)
                    place.run("key", "revoke", (key if revoked else place.key(name)).split("_")[1])
                    place.approve(id)
                    stream, asked = held.result(PATIENCE)
                    equal(client.status, 401 if revoked else 200, f"{version} {path}")
                    if revoked:
                        client.session = None
                    else:
                        passes(stream.answer(asked), f"paid {amount}")
        equal(place.bank.paid(), [900, 902, 904, 906], "what was paid")


def case_a_call_that_is_held_is_counted_once_and_keeps_its_place():
    more = '[approval]\nwait = "20s"\n[guard.rate]\nper_tool = "3/h"\nin_flight_per_tool = 1\n'
    with Place(more) as place:
        for version in ERAS:
            name = f"ann{version}"
            with place.client(name, version=version) as client, place.client(name, version=version) as other:
                with concurrent.futures.ThreadPoolExecutor(1) as pool:
                    held = pool.submit(client.pay, 900)
                    id = waiting(place)
                    refused(other.pay(5), "rate.in_flight")
                    place.approve(id)
                    passes(held.result(PATIENCE), "paid 900")
                passes(other.pay(6), "paid 6")
                passes(client.pay(7), "paid 7")
                refused(other.pay(8), "rate.tool")
        equal(place.bank.paid(), [900, 6, 7] * 2)


def case_a_client_that_waits_no_longer_frees_the_place_of_its_call():
    more = '[approval]\nwait = "30s"\n[guard.rate]\nin_flight_per_tool = 1\n'
    with Place(more) as place:
        with place.client() as client, place.client() as other:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                held = pool.submit(client.request, "tools/call", {"name": "pay", "arguments": {"amount": 900}}, "held")
                id = waiting(place)
                refused(other.pay(5), "rate.in_flight")
                client.notify("notifications/cancelled", {"requestId": "held"})
                stream, _ = held.result(10)
                wait_for(stream.ended.is_set, "the call goes on")
                check(not any("result" in message or "error" in message for message in stream.seen), f"{stream.seen}")
                passes(other.pay(6), "paid 6")
                place.approve(id)
                time.sleep(1)
                equal(place.bank.paid(), [6], "what was cancelled is not done")
        # In the stateless era whoever closes its connection has cancelled.
        with place.client("bea", version=MODERN) as client, place.client("bea", version=MODERN) as other:
            connection = http.client.HTTPConnection(*place.gateway.address, timeout=PATIENCE)
            meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {},
                    "io.modelcontextprotocol/clientInfo": {"name": client.name, "version": "1"}}
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                       "params": {"name": "pay", "arguments": {"amount": 901}, "_meta": meta}}
            connection.request("POST", client.path, json.dumps(message), client.headers(message))
            waiting(place)
            refused(other.pay(5), "rate.in_flight")
            connection.close()
            wait_for(lambda: not other.pay(6)["result"].get("isError"), "its place is free", 10)


def case_people_decide_on_a_page_that_clients_are_sent_to():
    with Place(PAGES) as place:
        ann, bea = person(place, "ann"), person(place, "bea")
        for path in ("/mcp/bank", "/mcp"):
            with place.client(path=path, capabilities=BY_URL) as client:
                answer = client.pay(900, "a\u202eb")
                error = answer["error"]
                equal(error["code"], -32042, "the error that asks to go somewhere")
                [one] = error["data"]["elicitations"]
                equal((one["mode"], one["url"].endswith(page_of(answer))), ("url", True), f"{one}")
                equal(one["message"], "bank's tool pay needs somebody's approval. Open the page, then come back.")
                check("Large sums are looked at" in error["message"], error)
                page = page_of(answer)
                equal(Browser(place.gateway).get(page).location.split("?")[0], "/bartizan/sign-in", "who has not signed in")
                equal(bea.get(page).status, 404, "it is nobody else's to see")
                equal(bea.post(page, Form(ann.get(page).text).fields | {"decision": "approve"}).status, 403, "nor to decide")
                check(page in ann.get("/bartizan/account").text, "whoever asks finds it")
                check(page not in bea.get("/bartizan/account").text, "and nobody else")
                text = ann.get(page).text
                check("ann&#39;s client “suite” call pay of bank?</h1>" in text and "<code>pay</code>" in text and "`" not in text, text)
                check("it waits until" in text and "/bartizan/account" in text and "_meta" not in text, text)
                check("900" in text and "\\u202e" in text and "\u202e" not in text, text)
                equal(ann.post(page, {"decision": "approve"}).status, 403, "a form that is none of ours")
                refused_still = client.pay(900, "a\u202eb")
                equal(refused_still["error"]["code"], -32042, "nothing was decided")
                equal(decide(ann, page, "approve").status, 303)
                text = ann.get(page).text
                check("It is approved" in text and "Approved by ann at 2" in text and text.index("It is approved") < text.index("<ul>"), text)
                passes(client.pay(900, "a\u202eb"), "paid 900")
                check("and done" in ann.get(page).text)
                sum = 901 + len(path)
                page = page_of(client.pay(sum))
                decide(ann, page, "deny", reason="no")
                check("Denied by ann at 2" in ann.get(page).text and "UTC: no" in ann.get(page).text, "who and why")
                refused(client.pay(sum), "was denied: no")
        # Who cannot be sent anywhere is told where, and what to type.
        for version in ERAS:
            for capabilities in ({}, {"elicitation": {}}, {"elicitation": {"form": {}}}):
                with place.client(version=version, capabilities=capabilities) as client:
                    answer = client.pay(903)
                    check(answer["result"].get("isError"), f"{answer}")
                    refused(answer, page_of(answer))
                    refused(answer, f"bartizan approve {waits(answer)}")
        equal(place.bank.paid(), [900, 900])


def case_a_client_of_2026_comes_back_with_its_state_and_nobody_else():
    with Place(PAGES) as place:
        browser = person(place, "ann")
        with place.client("ann", version=MODERN, capabilities=BY_URL) as ann, place.client("bea", version=MODERN, capabilities=BY_URL) as bea:
            asked = ann.pay(900)
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                held = pool.submit(again, ann, asked, 900)
                time.sleep(0.5)
                check(not held.done(), "it is held while somebody decides")
                decide(browser, page_of(asked), "approve")
                passes(held.result(PATIENCE), "paid 900")
            equal([name for name in ("requestState", "inputResponses") if name in place.bank.asked("tools/call")[0]["params"]], [], "that was ours")
            # With what was approved in hand, everything else is refused.
            asked = ann.pay(901)
            decide(browser, page_of(asked), "approve")
            state = asked["result"]["requestState"]
            refused(again(bea, asked, 901), "for another client")
            refused(again(ann, asked, 902), "about another call")
            for forged in (state[:-4] + "AAAA", "bartizan-approval.", state + "x"):
                refused(ann.pay(901, requestState=forged), "none of ours")
            refused(again(ann, asked, 901, "decline"), "did not want to go")
            other = {"question": {"action": "accept"}}
            refused(ann.pay(901, requestState=state, inputResponses=other), "what nobody has asked")
            passes(again(ann, asked, 901), "paid 901")
            asked_again = ann.pay(901)
            equal(asked_again["result"]["resultType"], "input_required", "a second time is asked for again")
            equal(place.bank.paid(), [900, 901])


def case_two_people_look_at_it_on_the_page():
    with Place(PAGES + "[approval]\nfour_eyes = true\n") as place:
        ann, bea = person(place, "ann"), person(place, "bea")
        with place.client() as client:
            page = page_of(client.pay(900))
            text = ann.get(page).text
            check("nobody agrees to what they ask for themselves. It is for somebody else." in text and "Approve once" not in text, text)
            check("It was not me: deny" in text, "they may take it back")
            check("Approve once" in bea.get(page).text and "It is for" not in bea.get(page).text, "the twin: who may")
            fields = Form(ann.get("/bartizan/account").text).fields
            equal(ann.post(page, fields | {"decision": "approve"}).status, 403, "not even by hand")
            waits(client.pay(900))
            equal(decide(bea, page, "approve").status, 303)
            passes(client.pay(900), "paid 900")


def case_whoever_asks_is_told_who_may_decide_and_by_which_ways():
    more = '[approval]\napprovers = ["role:lead"]\n[role.lead]\nmembers = ["bea"]\n'
    for pages in (PAGES, ""):
        with Place(pages + more) as place:
            if not pages:
                with place.client("ann") as ann:
                    refused(ann.pay(900), "waits for one of role:lead, and there is no page here")
                continue
            browsers = {name: person(place, name) for name in ("ann", "bea")}
            with place.client("ann") as ann, place.client("bea") as bea:
                answer = ann.pay(900)
                refused(answer, "waits: have one of role:lead approve it at http")
                check("bartizan approve" not in words(answer), "a command that cannot succeed is not named")
                text = browsers["ann"].get(page_of(answer)).text
                check("It is for one of role:lead." in text and "Approve once" not in text and "deny" in text, text)
                equal(decide(browsers["bea"], page_of(answer), "approve").status, 303)
                passes(ann.pay(900), "paid 900")
                # The twin: whoever asks may.
                answer = bea.pay(901)
                refused(answer, "waits: approve it at http")
                equal(decide(browsers["bea"], page_of(answer), "approve").status, 303)
                passes(bea.pay(901), "paid 901")
    # Whoever signs in nowhere has no use for a page, and the command is there.
    with Place(PAGES) as place:
        with place.client("ci") as client:
            answer = client.pay(900)
            refused(answer, f"have whoever runs the gateway approve it with `bartizan approve {waits(answer)}`")
            check("http" not in words(answer), words(answer))


def case_what_is_no_part_of_what_is_agreed_to_is_not_shown():
    with Place(PAGES) as place:
        ann = person(place, "ann")
        for version in ERAS:
            with place.client("ann", version=version, capabilities={}) as client:
                answer = client.pay(900, "x\n" * 80)
                id = waits(answer)
                text, listed = ann.get(page_of(answer)).text, place.run("approve", "--list")
                for shown in (text, listed):
                    check("_meta" not in shown and "protocolVersion" not in shown and "900" in shown, shown)
                check(re.search(r"in 3\d\d characters; scroll to see all of them", text), text)
                short = client.pay(901)
                check("scroll" not in ann.get(page_of(short)).text, "the twin: it is seen whole")
                place.approve(id)
                # Another token for its progress, and it is what was agreed to.
                passes(client.pay(900, "x\n" * 80), "paid 900")


def case_the_log_says_who_agreed_and_how():
    with Place(PAGES + "[approval]\nfour_eyes = true\n") as place:
        bea = person(place, "bea")
        with place.client() as client:
            refusal = client.pay(900)
            id = waits(refusal)
            entry = lambda decision: next(iter(place.gateway.entries(kind="message", approval=id, decision=decision)), None)  # noqa: E731
            waiting = place.run("why", entry("approve")["id"])
            check(f"Request {id}  tool pay of the server `bank`, for ann: waits" in waiting, waiting)
            check("the policy `large` (policy.approval) wants somebody's approval" in waiting and "four eyes" in waiting, waiting)
            check(f"    bartizan approve {id}" in waiting and "[[exception]]" not in waiting, waiting)
            decide(bea, "/bartizan/approve/" + id, "approve", reason="as agreed")
            passes(client.pay(900), "paid 900")
            passed = place.run("why", entry("allow")["id"])
            for told in (passed, place.run("why", id)):
                check("by bea, on a page, signed in without a second factor: as agreed" in told and "by the call " + entry("allow")["id"] in told, told)
            check("What would change" not in passed, f"nothing that `config check` would refuse: {passed}")
            # A no, by a command.
            id = waits(client.pay(901))
            place.deny(id, "--reason", "not today")
            refused(client.pay(901), "was denied")
            told = place.run("why", entry("deny")["id"])
            check("for ann: denied" in told and "with a command on the gateway's machine: not today" in told, told)
            # The twin that nobody was asked about names none.
            passes(client.pay(5), "paid 5")
            small = place.gateway.entries(kind="message", decision="allow", method="tools/call")[-1]
            check("approval" not in small and "Request" not in place.run("why", small["id"]), small)


def case_who_asks_shows_again_who_they_are():
    policies = POLICIES + '@id("proof") @challenge("step_up") forbid(principal, action == Mcp::Action::"bank/pay", resource) when { [7, 901].contains(context.input.amount) };'
    with Place(policies=policies) as place:
        with place.client() as client:
            refused(client.pay(7), "no pages here on which whoever asks could show who they are")
            passes(client.pay(8), "paid 8")
    with Place(PAGES, policies=policies) as place:
        link = re.search(r"https?://\S+", place.run("user", "add", "ann"))[0]
        app, _ = Browser(place.gateway).accept(link)
        browser, bea = Browser(place.gateway), person(place, "bea")
        equal(browser.sign_in("ann", code=app.fresh()).status, 303)
        with place.client() as client:
            answer = client.pay(7)
            page = page_of(answer)
            said = place.approve(page[-12:], code=2)
            check(f"nobody has to agree to it: `ann` has to show who they are, at {page}" in said, said)
            text = browser.get(page).text
            check("You showed at 2" in text and "Show again" not in text and "It was not me: deny" in text, text)
            if bea.get(page).status == 200:
                equal(bea.post(page, Form(bea.get("/bartizan/account").text).fields | {"decision": "prove"}).status, 303)
            check("isError" in client.pay(7)["result"], "nobody shows that for them")
            equal(decide(browser, page, "prove").location, page, "just now is fresh enough")
            passes(client.pay(7), "paid 7")
            check("isError" in client.pay(7)["result"], "once")
            # Both: whoever has agreed is told where the rest is shown, and afterwards the list says who it was.
            page = page_of(client.pay(901))
            said = place.approve(page[-12:])
            check(f"`ann` has to show who they are, at {page}" in said, said)
            listed = place.run("approve", "--list", "--all")
            check("approved by uid:" in listed, listed)
            equal(decide(browser, page, "prove").location, page)
            passes(client.pay(901), "paid 901")
    with Place(PAGES + '[approval]\nfresh = "1s"\n', policies=policies) as place:
        link = re.search(r"https?://\S+", place.run("user", "add", "ann"))[0]
        app, _ = Browser(place.gateway).accept(link)
        browser = Browser(place.gateway)
        equal(browser.sign_in("ann", code=app.fresh()).status, 303)
        with place.client() as client:
            page = page_of(client.pay(7))
            time.sleep(1.5)
            text = browser.get(page).text
            check("Show again that it is you" in text and "You showed at" not in text, text)
            to = decide(browser, page, "prove").location
            check(to.startswith("/bartizan/step-up?return_to="), to)
            check("call pay of bank?" in browser.get(to).text, "the page says what for")
            other = browser.get("/bartizan/step-up?return_to=/bartizan/account").text
            check("What comes next" in other and "call pay" not in other, other)
            decide(browser, page, "deny")
            refused(client.pay(7), "was denied")
            page_of(client.pay(7, "another"))
            check("isError" in client.pay(7)["result"], "not fresh enough")


def case_who_is_no_person_is_told_so_at_once_where_they_would_have_to_show_who_they_are():
    policies = POLICIES + '@id("proof") @challenge("step_up") forbid(principal, action == Mcp::Action::"bank/pay", resource) when { context.input.amount == 7 };'
    with Place(PAGES + '[approval]\nwait = "20s"\n', policies=policies) as place:
        place.run("user", "add", "ann")
        place.run("user", "add", "dan")
        place.run("user", "disable", "dan")
        said = place.run("key", "create", "Ann", "--scope", "mcp", "--expires", "1h", code=2)
        check("differs only in case from `ann`" in said, said)
        for name, why in (("service:ci", "`service:ci` is no person"), ("ci", "`ci` is no person"),
                          ("dan", "`dan` may not sign in here")):
            with place.client(name) as client:
                began = time.monotonic()
                refused(client.pay(7), why)
                check(time.monotonic() - began < 10, f"{name} waits for nobody")
                passes(client.pay(8), "paid 8")
        equal(place.states(), {}, "nothing waits for who never comes")
        entry = place.gateway.entries(kind="message", rule="policy.step_up")[0]
        equal((entry["decision"], "approval" in entry), ("deny", False))
    with Place(PAGES, policies=policies) as place:
        place.run("user", "add", "ann")
        with place.client("ann") as client:
            page_of(client.pay(7))
            equal(list(place.states().values()), ["pending"], "the twin: somebody who can")


def case_who_agrees_to_what_destroys_something_shows_who_they_are():
    policies = POLICIES + '@id("grave") @challenge("approval") @fresh("true") forbid(principal, action == Mcp::Action::"bank/pay", resource) when { context.input.amount == 8 };'
    for tool, amount in ((PAY | {"annotations": {"destructiveHint": True}}, 900), (PAY, 8)):
        with Place(PAGES + '[approval]\nfresh = "3s"\n', policies=policies) as place:
            place.bank.tool = tool
            link = re.search(r"https?://\S+", place.run("user", "add", "ann"))[0]
            app, recovery = Browser(place.gateway).accept(link)
            browser = Browser(place.gateway)
            equal(browser.sign_in("ann", code=app.fresh()).status, 303)
            with place.client() as client:
                client.tools()
                page = page_of(client.pay(amount))
                time.sleep(3.5)
                check("To approve it you show first that it is you" in browser.get(page).text, "the page says so")
                to = decide(browser, page, "approve").location
                check(to.startswith("/bartizan/step-up?return_to="), to)
                check("isError" in client.pay(amount)["result"], "nobody has agreed")
                browser.fill(to, {"code": recovery[0]})
                check("you show first that it is you" not in browser.get(page).text, "that was shown")
                equal(decide(browser, page, "approve").location, page)
                passes(client.pay(amount), f"paid {amount}")
                # Whoever can use the store is whoever runs the gateway, and a no needs no proof.
                place.approve(waits(client.pay(amount)))
                passes(client.pay(amount))
                page = page_of(client.pay(amount))
                time.sleep(3.5)
                equal(decide(browser, page, "deny").location, page)
                refused(client.pay(amount), "was denied")
    with Place(PAGES) as place:
        browser = person(place, "ann")
        with place.client() as client:
            page = page_of(client.pay(900))
            equal(decide(browser, page, "approve").location, page, "a password does where nothing is destroyed")
            passes(client.pay(900))


def case_official_clients_are_sent_to_the_page():
    script = """
import sys, anyio, httpx2
from mcp import Client, UrlElicitationRequiredError, types
from mcp.client.streamable_http import streamable_http_client
async def main():
    url, key, mode = sys.argv[1:]
    async def elicit(context, params):
        print("asked", params.mode, params.url, flush=True)
        return types.ElicitResult(action="accept")
    async with httpx2.AsyncClient(headers={"Authorization": "Bearer " + key}, timeout=60) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode, elicitation_callback=elicit) as client:
            for _ in range(100):
                try:
                    answer = await client.call_tool("bank__pay", {"amount": 900})
                    print(answer.content[0].text, flush=True)
                    return
                except UrlElicitationRequiredError as error:
                    for one in error.elicitations:
                        print("asked", one.mode, one.url, flush=True)
                except Exception as error:
                    if getattr(error, "code", None) != -32042:
                        raise
                    print("asked url", error.error.data["elicitations"][0]["url"], flush=True)
                await anyio.sleep(0.3)
anyio.run(main)
"""
    with Place(PAGES) as place:
        browser = person(place, "ann")
        key = place.key()
        python = [str(TOOLS / "python" / "bin" / "python"), "-c", script]
        typescript = [str(TOOLS / "bin" / "node"), str(HERE / "client.mjs"), str(TOOLS)]
        for client, mode in [(client, mode) for client in (python, typescript) for mode in ("legacy", MODERN)]:
            process = subprocess.Popen([*client, place.gateway.url, key, mode], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            with process:
                first = process.stdout.readline()
                check(first.startswith("asked url http"), f"{mode}: {first} {'' if first else process.stderr.read()[-1500:]}")
                decide(browser, "/bartizan/approve/" + LINK.search(first)[1], "approve")
                rest = process.stdout.read()
                equal(rest.splitlines()[-1:], ["paid 900"], f"{mode}: {rest} {process.stderr.read()[-800:]}")


def case_what_somebody_agreed_to_who_is_reset_or_removed_meanwhile_waits_again():
    ways = ("reset", "remove", "disable")
    names = ["carl", *(f"bea-{way}" for way in ways)]
    with Place(PAGES + "[approval]\napprovers = [%s]\n" % ", ".join(f'"user:{name}"' for name in names)) as place:
        browsers = {name: person(place, name) for name in names}
        for version, way in ((version, way) for version in ERAS for way in ways):
            who, other = f"bea-{way}", f"zoe-{way}-{version}"
            place.run("user", "add", other)
            with place.client(f"ann-{way}", version=version) as client:
                id = waits(client.pay(900))
                equal(decide(browsers[who], f"/bartizan/approve/{id}", "approve").status, 303, f"{who} agrees")
                place.run("user", way, other)
                passes(client.pay(900), "paid 900")
                id = waits(client.pay(901))
                equal(decide(browsers[who], f"/bartizan/approve/{id}", "approve").status, 303, f"{who} agrees")
                place.run("user", way, who)
                equal((waits(client.pay(901)), place.states()[id]), (id, "pending"), f"{way} {version}")
                wait_for(lambda: place.gateway.entries(kind="approval.withdrawn", approval=id, of=who, taken=["yes"]), "the log says so")
                equal(decide(browsers["carl"], f"/bartizan/approve/{id}", "approve").status, 303, "somebody else agrees")
                passes(client.pay(901), "paid 901")
            if way != "remove":
                place.run("user", "remove", who)
            place.run("user", "add", who, "--password", said=PASSWORD + "\n")
            equal(browsers[who].sign_in(who).status, 303, f"{who} is there again")
        equal(place.bank.paid(), [900, 901] * 6)


def case_what_somebody_agreed_to_who_replaces_their_one_time_passwords_waits_again():
    with Place(PAGES + '[approval]\napprovers = ["user:bea"]\n') as place, place.client() as client:
        browser = person(place, "bea")

        def set_up():
            page = browser.get("/bartizan/one-time")
            form = Form(page.text)
            equal(browser.post(form.action, form.fields | {"code": App(page).code()}).status, 200, "one-time passwords")

        def agreed():
            id = waits(client.pay(900))
            equal(decide(browser, f"/bartizan/approve/{id}", "approve").status, 303, "bea agrees")
            return id

        agreed()
        set_up()
        passes(client.pay(900), "paid 900")
        # Those are replaced: whoever had them may have agreed.
        id = agreed()
        set_up()
        equal((waits(client.pay(900)), place.states()[id]), (id, "pending"), "it waits again")
        wait_for(lambda: place.gateway.entries(kind="approval.withdrawn", approval=id, of="bea", taken=["yes"]), "the log says so")
        equal(agreed(), id, "who has the new ones agrees, in the same browser")
        passes(client.pay(900), "paid 900")
        equal(place.bank.paid(), [900, 900])


if __name__ == "__main__":
    sys.exit(run_cases(cases_of(globals(), over_stdio, bridged, completed)))
