"""A token as the proof of who asks (RFC 9470): what the gateway's own authorization server says in one, and when that is enough."""

import contextlib
import json
import pathlib
import re
import tempfile
import time
import urllib.parse

from browser import Browser, Form
from flow import Client, Site, Surfer, check, claims_of, equal
from harness import MODERN, Raw, wait_for
from released import SERVERS

ACR = "https://refeds.org/profile/mfa"
POLICIES = """permit(principal, action, resource);
@id("proof") @challenge("step_up") %s forbid(principal, action == Mcp::Action::"fix/test_simple_text", resource);
"""
CALL = {"name": "test_simple_text", "arguments": {}}
URL = {"elicitation": {"url": {}}}


@contextlib.contextmanager
def site(max_age='@max_age("1h")', more='[approval]\nstep_up = "challenge"\n'):
    """A gateway at which bea has one-time passwords, with a policy that wants a proof for one tool."""
    with tempfile.TemporaryDirectory(prefix="bartizan-stepping-") as folder:
        policies = pathlib.Path(folder) / "policies.cedar"
        policies.write_text(POLICIES % max_age)
        auth = f"[auth]\nrequired = true\n[policy]\nfiles = [{json.dumps(str(policies))}]\n{more}"
        with Site(auth=auth, servers=SERVERS) as held:
            link = re.search(r"https?://\S+", held.user("add", "bea"))[0]
            app, _ = Browser(held.gateway).accept(link)
            browser = Surfer(held.gateway)
            equal(browser.sign_in("bea", code=app.fresh()).status, 303, "bea signs in")
            yield held, browser, app


class Caller(Raw):
    """A client that shows a token with everything."""

    def __init__(self, place, token, **more):
        self.token, self.challenge = token, None
        super().__init__(place.gateway, "/mcp/fix", **more)

    def headers(self, message):
        return super().headers(message) | {"Authorization": f"Bearer {self.token}"}

    def raw(self, *arguments):
        connection, response = super().raw(*arguments)
        self.challenge = response.headers.get("WWW-Authenticate")
        return connection, response

    def call(self):
        """The status, the answer, and the challenge beside it."""
        answer = self.ask("tools/call", CALL)
        return self.status, answer, self.challenge


def passes(said):
    status, answer, challenge = said
    check(status == 200 and "result" in answer and not answer["result"].get("isError") and challenge is None, f"{said}")


def is_challenged(said, status=401, max_age=3600):
    check('"policy.step_up"' in json.dumps(said[1]) or "-32042" in json.dumps(said[1]), f"{said[1]}")
    equal(said[0], status, said)
    for part in ('Bearer realm="bartizan"', 'error="insufficient_user_authentication"', "error_description=",
                 f'acr_values="{ACR}"', f'max_age="{max_age}"', "/.well-known/oauth-protected-resource/mcp/fix"):
        check(part in said[2], f"{part}: {said[2]}")


def token(held, browser, **changes):
    client = Client(held)
    resource = held.origin + "/mcp/fix"
    code = client.code(browser, resource=resource, scope=None, **changes)
    return client.token(code, resource=resource).json["access_token"]


def case_a_token_of_a_recent_sign_in_is_proof_enough_where_a_policy_says_so():
    with site() as (held, browser, _):
        good = token(held, browser)
        claims = claims_of(good)
        equal((claims["amr"], claims["acr"]), (["pwd", "otp"], ACR))
        weak = token(held, held.browser())
        equal((claims_of(weak)["amr"], claims_of(weak).get("acr")), (["pwd"], None))
        for version in ("2025-11-25", MODERN):
            with Caller(held, good, version=version) as caller:
                passes(caller.call())
                passes(caller.call())
            with Caller(held, weak, version=version) as caller:
                is_challenged(caller.call())
                caller.ask("tools/list")
                equal((caller.status, caller.challenge), (200, None), "for the rest it is good")
        entries = wait_for(lambda: held.gateway.entries(kind="message", decision="allow", principal="bea"), "nothing is in the log")
        found = [finding["rule"] for entry in entries for finding in entry.get("findings", [])]
        equal(found.count("policy.proven"), 4, f"that a token was the proof is recorded: {found}")
    # Unless a policy says so, no token is a proof, and clients are asked in the other way.
    with site(max_age="") as (held, browser, _):
        with Caller(held, token(held, browser)) as caller:
            status, answer, challenge = caller.call()
            check(status == 200 and answer["result"]["isError"] and challenge is None, f"{status} {answer} {challenge}")


def case_an_older_sign_in_is_not_and_the_challenge_leads_to_one_that_is():
    with site(max_age='@max_age("3s")') as (held, browser, app):
        first = token(held, browser)
        time.sleep(4)
        with Caller(held, first) as caller:
            is_challenged(caller.call(), max_age=3)
        # Renewing it changes nothing, nor does asking for another in the same browser.
        equal(claims_of(token(held, browser))["auth_time"], claims_of(first)["auth_time"])
        client, resource = Client(held), held.origin + "/mcp/fix"
        asking = client.asking(resource=resource, scope=None, max_age="3", acr_values=ACR)
        page = browser.get(asking)
        check(page.status == 303 and page.location.startswith("/bartizan/step-up?"), f"{page.status} {page.location}")
        back = urllib.parse.parse_qs(urllib.parse.urlsplit(page.location).query)["return_to"][0]
        again = browser.get(back)
        check(again.location and again.location.startswith("/bartizan/step-up?"), "without the proof it leads there again")
        stepped = browser.fill(page.location, {"code": app.fresh()})
        equal((stepped.status, stepped.location), (200, back) if stepped.status == 200 else (303, back))
        agreed = browser.agree(stepped.location)
        code = client.came_back(agreed.location)["code"]
        given = client.token(code, resource=resource).json["access_token"]
        claims = claims_of(given)
        check(claims["auth_time"] > claims_of(first)["auth_time"], "it says when that was")
        equal((claims["amr"], claims["acr"]), (["otp"], ACR), "and what was shown then")
        with Caller(held, given) as caller:
            passes(caller.call())


def case_what_a_client_asks_of_a_sign_in_is_held():
    with site() as (held, browser, app):
        for changes, is_new in (({}, False), ({"max_age": "3600"}, False), ({"acr_values": f"urn:x {ACR}"}, False),
                                ({"prompt": "login"}, True), ({"max_age": "0"}, True), ({"prompt": "consent login"}, True)):
            time.sleep(1.1 if changes.get("max_age") == "0" else 0)
            page = browser.get(Client(held).asking(**changes))
            leads_on = page.status == 303 and page.location.startswith("/bartizan/step-up?")
            equal(leads_on, is_new, f"{changes}: {page.status} {page.location}")
        # Whoever has no second factor yet is led to set one up, and gets nothing meanwhile.
        plain = held.browser()
        for changes in ({"acr_values": ACR}, {"max_age": "60"}, {"prompt": "login"}):
            page = plain.get(Client(held).asking(**changes))
            check(page.location and page.location.startswith("/bartizan/step-up?"), f"{changes}: {page.status} {page.location}")
        for changes, error in (({"acr_values": "urn:x"}, "unmet_authentication_requirements"), ({"max_age": "x"}, "invalid_request"),
                               ({"max_age": ["1", "2"]}, "invalid_request")):
            client = Client(held)
            equal(client.came_back(browser.get(client.asking(**changes)).location)["error"], error, changes)
        # A page that was left open is not agreed to long after.
        client = Client(held)
        page = browser.get(client.asking(max_age="2"))
        if page.status == 303:
            page = browser.get(browser.fill(page.location, {"code": app.fresh()}).location)
        form = Form(page.text)
        fields = form.fields | {"answer": "allow"}
        fields["request"] = re.sub(r"&bartizan_asked_at=\d+", "", fields["request"])
        time.sleep(3)
        late = browser.post(form.action, fields)
        check(late.location.startswith("/bartizan/step-up?"), f"{late.status} {late.location}")
        denied = browser.post(form.action, fields | {"answer": "deny"})
        equal(client.came_back(denied.location)["error"], "access_denied")


def case_clients_that_can_be_sent_to_a_page_are():
    with site(more='[approval]\nstep_up = "challenge"\n') as (held, browser, _):
        weak = token(held, held.browser())
        with Caller(held, weak, capabilities=URL) as caller:
            status, answer, challenge = caller.call()
            equal((status, answer["error"]["code"]), (200, -32042), "it is asked to go to the page")
            check("insufficient_user_authentication" in challenge, challenge)
        with Caller(held, weak, version=MODERN, capabilities=URL) as caller:
            status, answer, challenge = caller.call()
            equal((status, answer["result"]["resultType"]), (200, "input_required"))
    with site(more="") as (held, browser, _):
        with Caller(held, token(held, held.browser())) as caller:
            is_challenged(caller.call(), status=200)
    # Who comes with a key is asked for no token.
    with site() as (held, browser, _):
        done = held.key("ann")
        with Caller(held, done) as caller:
            status, answer, challenge = caller.call()
            check(status == 200 and answer["result"]["isError"] and challenge is None, f"{status} {answer} {challenge}")
