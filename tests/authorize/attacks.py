"""What others do with a client's requests, codes and tokens, and with a person's browser."""

import json
import urllib.parse

from flow import CALLBACK, Client, Form, Site, check, claims_of, equal, wait_for


def refused(answer, error, status=400, text=""):
    equal((answer.status, answer.error), (status, error), text or answer.text)


def case_a_code_is_good_once_and_then_ends_what_it_gave():
    with Site() as site:
        client, browser = Client(site), site.browser()
        code = client.code(browser)
        given = client.token(code).json
        refused(client.token(code), "invalid_grant", text="a second time")
        refused(client.refresh(given["refresh_token"]), "invalid_grant", text="what it gave is over")
        equal([entry["why"] for entry in site.noted("grant.ended")], ["code_replayed"])
        equal(client.given(browser)["scope"], "mcp", "the client may begin anew")


def case_a_code_is_for_who_asked_for_it():
    cases = (
        ("another client's", {"client_id": "other"}, "invalid_grant"),
        ("without its secret", {"code_verifier": "x" * 43}, "invalid_grant"),
        ("without a word of its secret", {"code_verifier": None}, "invalid_request"),
        ("sent elsewhere", {"redirect_uri": "http://127.0.0.1:4712/callback"}, "invalid_grant"),
        ("sent to another of its addresses", {"redirect_uri": "https://app.example/cb?keep=1"}, "invalid_grant"),
        ("without its address", {"redirect_uri": None}, "invalid_request"),
        ("for something else", {"resource": "http://other.example/mcp"}, "invalid_target"),
        ("for two things", {"resource": ["http://a.example", "http://b.example"]}, "invalid_target"),
        ("two at once", {"code": ["btc_1", "btc_2"]}, "invalid_request"),
        ("with a secret", {"client_secret": "s"}, "invalid_client"),
    )
    # Whoever shows what is not good more than ten times has to wait, so each half has a gateway of its own.
    for half in (cases[:4], cases[4:]):
        with Site() as site:
            each_is_refused(site, half)
    with Site() as site:
        browser = site.browser()
        mixed = Client(site)
        code = mixed.code(browser)
        answer = mixed.token(code, headers={"Authorization": "Basic YXBwOng="})
        refused(answer, "invalid_client", 401)
        check(answer.headers["WWW-Authenticate"].startswith("Basic"), "as RFC 6749 has it")
        for path in ("?code=" + code, ""):
            body = json.dumps({"grant_type": "authorization_code", "code": code})
            answer = site.request("POST", "/bartizan/oauth/token" + path, body, {"Content-Type": "application/json"})
            refused(answer, "invalid_request")


def each_is_refused(site, cases):
    browser = site.browser()
    for text, changes, error in cases:
        client = Client(site)
        code = client.code(browser)
        refused(client.token(**{"code": code} | changes), error, 401 if error == "invalid_client" else 400, text)
        good = client.token(code)
        if error == "invalid_grant" or text == "for something else":
            refused(good, "invalid_grant", text=f"{text}: then it is good for nobody")
        else:
            equal(good.status, 200, f"{text}: a request that cannot be read uses nothing up")


def case_nothing_is_sent_to_an_address_that_is_not_the_clients():
    with Site() as site:
        browser = site.browser()
        client = Client(site)
        for uri in ("https://evil.example/callback", "http://127.0.0.1:4711/callback/", "http://127.0.0.1:4711/callback?x=1",
                    "http://127.0.0.1:4711/Callback", "http://127.0.0.1:4711/callback#x", "http://127.0.0.1.evil.example/callback",
                    "http://evil.example@127.0.0.1:4711/callback", "http://localhost:4711/callback", "http://127.1:4711/callback",
                    "http://127.0.0.1:4711/a/../callback", "https://app.example/cb", "https://app.example/cb?keep=1&more=1",
                    "https://app.example:444/cb?keep=1", "https://app.example.evil.example/cb?keep=1", "http://app.example/cb?keep=1",
                    "javascript:alert(1)", "//evil.example/callback", "/bartizan/account", None,
                    ["http://127.0.0.1:4711/callback", "https://evil.example/"]):
            # However wrong the rest is, it is said to the person and not there.
            for changes in ({}, {"response_type": "token"}, {"scope": "nothing"}):
                page = browser.get(client.asking(redirect_uri=uri, **changes))
                equal((page.status, page.location), (400, None), f"{uri} {changes}")
                check("evil.example/" not in page.text or "<a " not in page.text, "no link leads there")
        for id in ("unknown", "", None, "app\u00e9", ["app", "other"], "http://app.example/client.json"):
            page = browser.get(client.asking(client_id=id))
            equal((page.status, page.location), (400, None), id)
        for query in ("", "client_id=app&client_id=app", "%", "client_id=%ff", "client_id=app&" + "&".join("a=1" for _ in range(100))):
            page = browser.get("/bartizan/oauth/authorize?" + query)
            equal((page.status, page.location), (400, None), query)
        wait_for(lambda: site.counted("edge.authorize"), "it is counted")


def case_what_is_wrong_is_said_to_the_client_with_who_says_so():
    with Site(servers={}) as site:
        browser, client = site.browser(), Client(site)
        for changes, error in (
            ({"code_challenge": None}, "invalid_request"),
            ({"code_challenge_method": None}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"response_mode": "fragment"}, "invalid_request"),
            ({"resource": None}, "invalid_target"),
            ({"resource": "https://other.example/mcp"}, "invalid_target"),
            ({"resource": site.origin}, "invalid_target"),
            ({"resource": site.origin + "/mcp/"}, "invalid_target"),
            ({"resource": site.origin + "/mcp/none"}, "invalid_target"),
            ({"scope": "server:none"}, "invalid_scope"),
            ({"scope": "admin"}, "invalid_scope"),
            ({"scope": ["mcp", "mcp"]}, "invalid_request"),
            ({"request": "x"}, "request_not_supported"),
        ):
            page = browser.get(client.asking(**changes))
            equal(page.status, 303, f"{changes} {page.text}")
            said = client.came_back(page.location)
            equal((said["error"], said.get("code")), (error, None), changes)
        page = browser.get(client.asking(state=[client.state, "other"]))
        check("state=" not in page.location and "error=invalid_request" in page.location, page.location)


def case_nobody_agrees_for_somebody_else():
    with Site() as site:
        client, browser, other = Client(site), site.browser(), site.browser()
        path = client.asking()
        form = Form(browser.get(path).text)
        fields = form.fields | {"answer": "allow"}
        theirs = Form(other.get(path).text).fields["csrf"]
        for text, changes, headers in (
            ("another page", {}, {"Origin": "https://evil.example"}),
            ("a page without a name", {}, {"Origin": "null"}),
            ("the client's own page", {}, {"Origin": "http://127.0.0.1:4711"}),
            ("no page", {}, {"Origin": None}),
            ("another browser's form", {"csrf": theirs}, {}),
            ("a form of nobody's", {"csrf": ""}, {}),
        ):
            page = browser.post(form.action, fields | changes, headers)
            equal((page.status, page.location), (403, None), text)
        stranger = site.browser(signed_in=False)
        stranger.get("/bartizan/sign-in")
        equal(stranger.post(form.action, fields).status, 403, "who is not signed in")
        equal(browser.get("/bartizan/consent?" + urllib.parse.urlencode(fields)).status, 404, "and not by a link")
        equal(site.gateway.entries(kind="consent.given"), [])
        # What was not shown is not agreed to: it is shown then.
        more = client.asking(resource=site.origin + "/mcp", redirect_uri="http://127.0.0.1:4712/callback").split("?", 1)[1]
        for changes in ({"request": more}, {"shown": ""}, {"shown": "0" * 64}, {"answer": ""}):
            page = browser.post(form.action, fields | changes)
            equal((page.status, page.location), (200, None), changes)
        evil = client.asking(redirect_uri="https://evil.example/").split("?", 1)[1]
        equal(browser.post(form.action, fields | {"request": evil}).status, 400, "what is wrong stays wrong")
        equal(browser.post(form.action, fields).status, 303, "and with the form as it came it goes on")


def case_whoever_is_not_signed_in_learns_nothing():
    with Site() as site:
        client = Client(site)
        for changes in ({}, {"client_id": "unknown"}, {"redirect_uri": "https://evil.example/"}, {"resource": site.origin + "/mcp/x"}):
            page = site.browser(signed_in=False).get(client.asking(**changes))
            equal(page.status, 303, changes)
            check(page.location.startswith("/bartizan/sign-in?return_to=%2Fbartizan%2Foauth%2Fauthorize"), page.location)
        for resource in (site.origin + "/mcp", site.origin + "/mcp/x", "https://other.example"):
            refused(client.token("btc_" + "0" * 49, resource=resource), "invalid_grant")


def case_a_refresh_token_that_comes_twice_ends_all():
    with Site() as site:
        client, browser = Client(site), site.browser()
        first = client.given(browser)
        other = client.given(browser)
        second = client.refresh(first["refresh_token"]).json
        for changes, error in (({"client_id": "other"}, "invalid_grant"), ({"scope": "mcp server:more"}, "invalid_scope"),
                               ({"resource": site.origin + "/mcp/x"}, "invalid_target"), ({"client_secret": "x"}, "invalid_client")):
            refused(client.refresh(second["refresh_token"], **changes), error, 401 if error == "invalid_client" else 400)
        third = client.refresh(second["refresh_token"]).json
        refused(client.refresh(first["refresh_token"]), "invalid_grant", text="it was used")
        refused(client.refresh(third["refresh_token"]), "invalid_grant", text="so whoever has the last one has nothing")
        equal(client.refresh(other["refresh_token"]).status, 200, "what was given otherwise stays")
        ended = site.noted("grant.ended")
        equal([(entry["grant"], entry["why"]) for entry in ended],
              [(claims_of(first["access_token"])["grant"], "refresh_token_reused")])


def case_who_is_disabled_or_removed_takes_their_clients_along():
    with Site() as site:
        client, browser = Client(site), site.browser()
        given, code = client.given(browser), None
        waiting = Client(site)
        code = waiting.code(browser)
        site.user("disable", "ann")
        refused(client.refresh(given["refresh_token"]), "invalid_grant")
        refused(waiting.token(code), "invalid_grant")
        equal(browser.get(client.asking()).status, 303, "and nobody is signed in")
        site.user("enable", "ann")
        equal(client.refresh(given["refresh_token"]).status, 200)
        site.user("remove", "ann")
        refused(client.refresh(given["refresh_token"]), "invalid_grant")
        equal(json.loads(site.grant("list", "--all", "--json"))["grants"], [])


def case_whoever_guesses_waits():
    with Site() as site:
        client = Client(site)
        answers = [client.token("btc_" + "0" * 49) for _ in range(12)]
        equal([answer.status for answer in answers], [400] * 10 + [429] * 2)
        check(int(answers[-1].headers["Retry-After"]) >= 1, "and is told how long")
        equal(client.given(site.browser())["scope"], "mcp", "a good one is let in nevertheless")
        wait_for(lambda: site.counted("edge.grant"), "it is counted")


def case_large_and_odd_requests_are_refused():
    with Site() as site:
        client = Client(site)
        equal(site.request("POST", "/bartizan/oauth/token", "a" * 20_000,
                           {"Content-Type": "application/x-www-form-urlencoded"}).status, 413)
        for body in ("%", "a=%zz", "grant_type=%ff", "&" * 100, "grant_type=authorization_code&grant_type=refresh_token"):
            answer = site.request("POST", "/bartizan/oauth/token", body, {"Content-Type": "application/x-www-form-urlencoded"})
            equal((answer.status, answer.error), (400, "invalid_request"), body)
        equal(site.browser().get(client.asking(state="x" * 5000)).status, 400)
        equal(site.request("PUT", "/bartizan/oauth/token").status, 405)
        check(CALLBACK in client.redirect_uri)


def case_nobody_is_led_where_they_did_not_mean_to_go():
    for address, named in (("https://elsewhere.example/sign-in", "elsewhere.example"), ("cursor://elsewhere/sign-in", "cursor:"),
                           ("http://127.0.0.1:1/sign-in", "127.0.0.1:1")):
        nobody_is_led_to(address, named)
    with Site(sign_in="client_registration = true\n") as site:
        for address in ("search-ms:query=x", "ms-msdt:/id", "ms-officecmd:x", "shell:startup"):
            made = site.request("POST", "/bartizan/oauth/register", json.dumps({"client_name": "x", "redirect_uris": [address]}),
                                {"Content-Type": "application/json"})
            equal((made.status, made.error), (400, "invalid_redirect_uri"), address)


def nobody_is_led_to(address, named):
    clients = f'[sign_in.client.known]\nname = "Known"\nredirect_uris = ["{address}"]\n'
    with Site(clients=clients, sign_in="client_registration = true\n") as site:
        made = site.request("POST", "/bartizan/oauth/register", json.dumps({"client_name": "x", "redirect_uris": [address]}),
                            {"Content-Type": "application/json"})
        browser = site.browser()
        for client, checked in ((made.json["client_id"], False), ("known", True)):
            for wrong in ({"response_type": "token"}, {"resource": "https://other.example"}, {"code_challenge_method": "plain"}):
                query = {"client_id": client, "redirect_uri": address, "response_type": "code"} | wrong
                page = browser.get("/bartizan/oauth/authorize?" + urllib.parse.urlencode(query))
                if checked:
                    check(page.status == 303 and page.location.startswith(address) and "error=" in page.location, f"{wrong}: {page.location}")
                else:
                    check(page.status == 400 and page.location is None, f"{wrong}: led to {page.location}")
                    check(named in page.text and "nobody here has checked" in page.text, f"not said where: {page.text}")
