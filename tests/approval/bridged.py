"""Approvals over a bridge: the client is of one era, and the server that it asks of the other."""

import concurrent.futures
import http.client
import json

from harness import MODERN, PATIENCE, check, equal, wait_for
from place import BY_URL, LEGACY, PAGES, PAY, Client, Place, decide, page_of, passes, person, refused, waiting, waits
from scripted import Server, text

POLICIES = """
permit(principal, action, resource);
@id("large") @challenge("approval") @reason("Large sums are looked at.")
forbid(principal, action == Mcp::Action::"bank/pay", resource) when { context.input.amount > 500 };
@id("till") @challenge("approval")
forbid(principal, action == Mcp::Action::"till/pay", resource) when { context.input.amount > 500 };
"""
PATHS = ("/mcp/bank", "/mcp")


class Bank(Server):
    """A server of one era alone that moves money."""

    def __init__(self, era):
        super().__init__("bank", era=era)
        self.add(PAY, lambda call: text(f"paid {call.params['arguments']['amount']}"))

    def paid(self):
        return [message["params"]["arguments"]["amount"] for message in self.got("tools/call")]

    def shutdown(self):
        self.close()

    def server_close(self):
        pass


class Across(Place):
    """A bank of the other era than `version`, and a till of the same, behind one gateway."""

    def __init__(self, version, more=""):
        self.version, other = version, LEGACY if version == MODERN else MODERN
        self.till = Bank(version)
        super().__init__(more, policies=POLICIES, bank=Bank(other), also={"till": {"url": self.till.url, "bridge": "auto"}}, bridge="auto")

    def __exit__(self, *reason):
        super().__exit__(*reason)
        self.till.close()

    def client(self, name="ann", path="/mcp/bank", **more):
        return Client(self.gateway, self.key(name), path, self.version, **more)


def asked_in_words(answer):
    """That a client of 2026-07-28 is told, and not asked for input: a server of the other era would be given the answer."""
    equal([name for name in ("inputRequests", "requestState") if name in answer["result"]], [], f"{answer}")
    equal(answer["result"].get("resultType", "complete"), "complete", f"{answer}")


def deciders(place, browser):
    """The ways in which somebody decides, each with where the request is shown."""
    return {
        "page": lambda page, decision: equal(decide(browser, page, decision).status, 303),
        "command": lambda page, decision: place.run(decision, page.split("/")[-1], *(("--yes",) if decision == "approve" else ())),
    }


def rounds(place, browser):
    """Each path with each way in which somebody decides, and another sum, as what was denied stands: ann and bea there, the sum, the
    way, that of a command, what was paid since, and what to call it."""
    ways = deciders(place, browser)
    for number, (path, way) in enumerate((path, way) for path in PATHS for way in ways):
        before = len(place.bank.paid())
        with place.client(path=path, capabilities=BY_URL) as client, place.client("bea", path, capabilities=BY_URL) as bea:
            passes(client.pay(500), "paid 500")
            yield client, bea, 900 + 10 * number, ways[way], ways["command"], lambda: place.bank.paid()[before:], f"{path} {way}"


def known(place, *names):
    """People who could sign in, as nobody else is sent to a page of what they ask for."""
    for name in names:
        place.run("user", "add", name)


def case_over_a_bridge_a_client_of_2026_is_told_and_calls_again():
    with Across(MODERN, PAGES) as place:
        known(place, "bea")
        for client, bea, sum, decides, command, paid, where in rounds(place, person(place, "ann")):
            answer = client.pay(sum)
            asked_in_words(answer)
            page = page_of(answer)
            equal(page_of(client.pay(sum)), page, f"the same request, {where}")
            decides(page, "approve")
            asked_in_words(bea.pay(sum))
            check(page_of(bea.pay(sum)) != page, f"somebody else asks anew, {where}")
            check(page_of(client.pay(sum + 1)) != page, f"something else is asked anew, {where}")
            passes(client.pay(sum), f"paid {sum}")
            once_more = page_of(client.pay(sum))
            check(once_more != page, f"a second time, {where}")
            decides(once_more, "deny")
            refused(client.pay(sum), "was denied")
            equal(paid(), [500, sum], where)
            # Of one principal no more than so many wait.
            for other in (client.pay(sum + 1), bea.pay(sum)):
                command(page_of(other), "deny")


class Elicited:
    """A call of a client of 2025-11-25, whose user is asked to go to a page meanwhile."""

    def __init__(self, client, amount, **more):
        self.client = client
        self.stream, self.id = client.request("tools/call", {"name": client.tool(), "arguments": {"amount": amount}} | more)
        self.question = self.stream.method("elicitation/create")
        equal(self.question["params"]["mode"], "url", f"{self.question}")
        self.page = page_of(self.question)

    def respond(self, action="accept", by=None):
        (by or self.client).respond(self.question["id"], {"action": action})

    def answer(self):
        return self.stream.answer(self.id)

    def over(self):
        return [message for message in list(self.stream.seen) if message.get("id") == self.id]


def case_over_a_bridge_a_client_of_2025_is_asked_by_its_server_and_need_not_call_again():
    with Across(LEGACY, PAGES) as place:
        known(place, "bea")
        for client, bea, sum, decides, command, paid, where in rounds(place, person(place, "ann")):
            # Decided before its user says that they went there, and after.
            first = Elicited(client, sum)
            decides(first.page, "approve")
            first.respond()
            passes(first.answer(), f"paid {sum}")
            second = Elicited(client, sum)
            check(second.page != first.page, f"once, {where}")
            second.respond()
            others = Elicited(bea, sum)
            check(others.page not in (first.page, second.page), f"somebody else asks anew, {where}")
            others.respond("decline")
            refused(others.answer(), "did not want to go")
            equal(second.over(), [], f"it is held, {where}")
            decides(second.page, "approve")
            passes(second.answer(), f"paid {sum}")
            third = Elicited(client, sum)
            third.respond()
            decides(third.page, "deny")
            refused(third.answer(), "was denied")
            equal(paid(), [500, sum, sum], where)
            command(others.page, "deny")


def case_over_a_bridge_nobody_answers_what_another_client_was_asked():
    with Across(LEGACY, PAGES) as place:
        known(place, "ann", "bea")
        for number, path in enumerate(PATHS):
            sum = 900 + number
            with place.client(path=path, capabilities=BY_URL) as client, place.client("bea", path, capabilities=BY_URL) as bea:
                call = Elicited(client, sum)
                place.approve(call.page.split("/")[-1])
                for action in ("accept", "decline"):
                    call.respond(action, by=bea)
                passes(bea.pay(5), "paid 5")
                equal((call.over(), place.states()[call.page.split("/")[-1]]), ([], "approved"), f"nothing came of it, {path}")
                call.respond()
                passes(call.answer(), f"paid {sum}")


def case_over_a_bridge_a_client_that_cannot_be_sent_anywhere_is_told_where():
    for version in (MODERN, LEGACY):
        for settings in (PAGES, ""):
            with Across(version, settings) as place, place.client(capabilities={}) as client:
                if settings:
                    known(place, "ann")
                answer = client.pay(900)
                id = waits(answer)
                equal("/bartizan/approve/" in json.dumps(answer), bool(settings), f"{version}: {answer}")
                place.approve(id)
                passes(client.pay(900), "paid 900")
                check(waits(client.pay(900)) != id, "once")
                equal(place.bank.paid(), [900], version)


def case_over_a_bridge_a_call_is_held_while_somebody_decides():
    for version in (MODERN, LEGACY):
        with Across(version, PAGES + '[approval]\nwait = "30s"\n') as place:
            ways = deciders(place, person(place, "ann"))
            for path in PATHS:
                before, sums = len(place.bank.paid()), {way: 900 + 2 * len(path) + number for number, way in enumerate(ways)}
                with place.client(path=path, capabilities=BY_URL) as client, place.client(path=path) as other:
                    for decision in ("approve", "deny"):
                        for way, amount in sums.items():
                            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                                held = pool.submit(client.pay, amount)
                                id = waiting(place)
                                passes(other.pay(5), "paid 5")
                                check(not held.done(), f"it is held, {version} {path}")
                                ways[way](f"/bartizan/approve/{id}", decision)
                                answer = held.result(PATIENCE)
                            passes(answer, f"paid {amount}") if decision == "approve" else refused(answer, "was denied")
                    equal(place.bank.paid()[before:], [5, sums["page"], 5, sums["command"], 5, 5], f"{version} {path}")


def case_over_a_bridge_a_call_that_its_client_gives_up_is_not_done():
    for version in (MODERN, LEGACY):
        more = '[approval]\nwait = "60s"\n[guard.rate]\nin_flight_per_tool = 1\n'
        with Across(version, more) as place, place.client() as client, place.client() as other:
            message = {"jsonrpc": "2.0", "id": "held", "method": "tools/call", "params": {"name": "pay", "arguments": {"amount": 900}}}
            if version == MODERN:
                message["params"]["_meta"] = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {},
                                              "io.modelcontextprotocol/clientInfo": {"name": "suite", "version": "1"}}
            connection = http.client.HTTPConnection(*place.gateway.address, timeout=PATIENCE)
            connection.request("POST", client.path, json.dumps(message), client.headers(message))
            id = waiting(place)
            refused(other.pay(5), "rate.in_flight")
            if version == MODERN:
                connection.close()
            else:
                client.notify("notifications/cancelled", {"requestId": "held"})
            wait_for(lambda: not other.pay(6)["result"].get("isError"), f"its place is free, {version}", 10)
            place.approve(id)
            passes(other.pay(7), "paid 7")
            equal(place.bank.paid(), [6, 7], f"what was given up is not done, {version}")
            equal(place.states()[id], "approved", f"nor is the yes spent, {version}")
            # It is good for the same call when that comes.
            passes(client.pay(900), "paid 900")
            equal(place.states()[id], "used", version)
            connection.close()


def case_over_a_bridge_no_state_of_anothers_opens_anything():
    # A client of 2026-07-28, which has a state of the gateway's from a server of its own era.
    with Across(MODERN, PAGES) as place:
        known(place, "ann", "bea")
        with place.client("ann", "/mcp/till", capabilities=BY_URL) as ann, place.client("bea", "/mcp/till", capabilities=BY_URL) as bea:
            states = {name: till.pay(900)["result"]["requestState"] for name, till in (("ann", ann), ("bea", bea))}
        for path in PATHS:
            before = len(place.bank.paid())
            with place.client("ann", path, capabilities=BY_URL) as client:
                id = waits(client.pay(900))
                place.approve(id)
                for whose, state in states.items():
                    for answers in ({}, {"inputResponses": {"bartizan-approval": {"action": "accept"}}}):
                        for shown in (state, state[:-4] + "AAAA"):
                            answer = client.pay(900, requestState=shown, **answers)
                            check("error" in answer or answer["result"].get("isError"), f"{whose} {answers} {path}: {answer}")
                equal((place.bank.paid()[before:], place.states()[id]), ([], "approved"), f"nothing passed, {path}")
                passes(client.pay(900), "paid 900")
                check(waits(client.pay(900)) != id, f"once, {path}")
    # A client of 2025-11-25, for which that is no parameter of any meaning.
    with Across(LEGACY, PAGES) as place:
        known(place, "ann", "bea")
        with Client(place.gateway, place.key("ann"), "/mcp/bank", MODERN, capabilities=BY_URL) as ann:
            answer = ann.pay(900)
            state, page = answer["result"]["requestState"], page_of(answer)
            place.approve(page.split("/")[-1])
            for path in PATHS:
                with place.client("bea", path, capabilities=BY_URL) as bea:
                    call = Elicited(bea, 900, requestState=state, inputResponses={"bartizan-approval": {"action": "accept"}})
                    check(call.page != page, f"it is another request, {path}")
                    call.respond("decline")
                    refused(call.answer(), "did not want to go")
            equal(place.bank.paid(), [], "nothing passed")
            passes(ann.pay(900, requestState=state), "paid 900")
            check("paid" not in json.dumps(ann.pay(900)), "once")
            check(not any("requestState" in message["params"] for message in place.bank.got("tools/call")), "that is not the server's")
            equal(place.bank.paid(), [900], "what was paid")
