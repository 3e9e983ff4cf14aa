"""What happens when all goes as it should, and what people and operators see of it."""

import datetime
import json
import re
import shutil
import subprocess
import urllib.parse

from browser import PASSWORD, Form
from harness import wait_for
from flow import CALLBACK, CLIENT, HERE, TOOLS, Client, Site, check, claims_of, equal
import auditlog


def case_metadata_says_what_clients_need():
    with Site() as site:
        said = site.request("GET", "/.well-known/oauth-authorization-server")
        equal(said.status, 200)
        document = said.json
        at = site.origin + "/bartizan/oauth/"
        for name, value in {
            "issuer": site.origin, "authorization_endpoint": at + "authorize", "token_endpoint": at + "token",
            "revocation_endpoint": at + "revoke", "jwks_uri": at + "jwks", "code_challenge_methods_supported": ["S256"],
            "response_types_supported": ["code"], "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["none"], "authorization_response_iss_parameter_supported": True,
            "client_id_metadata_document_supported": True, "registration_endpoint": None,
        }.items():
            equal(document.get(name), value, name)
        keys = site.request("GET", "/bartizan/oauth/jwks").json["keys"]
        check(len(keys) == 2 and all(set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"} for key in keys), keys)
        equal(site.request("GET", "/bartizan/oauth/token").status, 405, "a token is not got so")
        equal(site.request("POST", "/.well-known/oauth-authorization-server").status, 405)
    with Site(clients="", sign_in="authorization_server = false\n") as site:
        for path in ("/.well-known/oauth-authorization-server", "/bartizan/oauth/jwks", "/bartizan/oauth/authorize?client_id=app"):
            equal(site.request("GET", path).status, 404, path)
    with Site(clients="", auth="", sign_in='client_documents = "off"\nclient_registration = true\n') as site:
        document = site.request("GET", "/.well-known/oauth-authorization-server").json
        equal(document["client_id_metadata_document_supported"], False)
        equal(document["registration_endpoint"], site.origin + "/bartizan/oauth/register")


def case_whoever_agrees_lets_a_client_in():
    with Site() as site:
        client, browser = Client(site), site.browser(signed_in=False)
        code = client.code(browser)
        check(code.startswith("btc_") and len(code) == 53, code)
        answer = client.token(code)
        equal(answer.status, 200, answer.text)
        equal(answer.headers["Cache-Control"], "no-store")
        said = answer.json
        equal((said["token_type"], said["expires_in"], said["scope"]), ("Bearer", 600, "mcp"))
        claims = claims_of(said["access_token"])
        for name, value in {"iss": site.origin, "sub": "ann", "aud": site.origin + "/mcp", "client_id": "app", "scope": "mcp",
                            "amr": ["pwd"]}.items():
            equal(claims[name], value, name)
        check(claims["exp"] - claims["iat"] == 600 and claims["auth_time"] <= claims["iat"] and claims["jti"], claims)
        check(said["refresh_token"].startswith("btr_"), said)
        next_one = client.refresh(said["refresh_token"])
        equal(next_one.status, 200, next_one.text)
        check(next_one.json["refresh_token"] != said["refresh_token"], "another one")
        equal(claims_of(next_one.json["access_token"])["grant"], claims["grant"], "of the same grant")
        # What was done is in the log, and what is secret is not.
        grant = claims["grant"]
        equal(site.noted("consent.given")[0]["client_name"], "The App")
        equal([entry["grant"] for entry in site.noted("grant.given")], [grant])
        equal([entry["grant"] for entry in site.noted("grant.refreshed")], [grant])
        log = auditlog.text(site.gateway.home / "audit") + site.gateway.said.read_text()
        for secret in (code, said["refresh_token"], said["access_token"], next_one.json["refresh_token"], client.verifier,
                       client.state):
            check(secret not in log, secret)
        for file in site.gateway.home.glob("state.db*"):
            held = file.read_bytes()
            for secret in (code, said["refresh_token"], next_one.json["refresh_token"]):
                check(secret.encode() not in held, f"{secret} is in {file.name}")


def case_people_see_whom_they_let_in_and_take_it_back():
    with Site() as site:
        site.add("bea", PASSWORD + "b")
        client, ann, bea = Client(site), site.browser(), site.browser(signed_in=False)
        bea.sign_in("bea", PASSWORD + "b")
        check("There are none" in ann.get("/bartizan/account").text, "before")
        check("/mcp</code>; it asks you here" in ann.get("/bartizan/account").text, "it says where to connect one")
        mine, hers = client.given(ann), client.given(bea)
        of = lambda tokens: claims_of(tokens["access_token"])["grant"]  # noqa: E731
        account = ann.get("/bartizan/account").text
        check("The App" in account and of(mine) in account and of(hers) not in account, account)
        # Somebody else's is nobody's to end.
        fields = Form(account).fields
        equal(ann.post("/bartizan/client/remove", fields | {"id": of(hers)}).status, 303)
        equal((site.call(hers["access_token"]).status, site.call(mine["access_token"]).status), (200, 200), "nothing came of it")
        equal(ann.post("/bartizan/client/remove", {"id": of(mine)}).status, 403, "a form that is none of ours")
        equal(ann.post("/bartizan/client/remove", fields | {"id": of(mine)}).location, "/bartizan/account")
        equal((site.call(hers["access_token"]).status, site.call(mine["access_token"]).status), (200, 401), "at once")
        equal(client.refresh(mine["refresh_token"]).status, 400, "nor is it renewed")
        check("There are none" in ann.get("/bartizan/account").text, "it is listed no more")
        check("The App" in ann.get(client.asking()).text, "she is asked again")
        wait_for(lambda: [entry["why"] for entry in site.noted("grant.ended")] == ["person"], "who ended it is recorded")


def case_the_account_says_when_a_client_last_renewed_what_it_has():
    def noted():
        """What the account page says of each client: when it last renewed."""
        forms = ann.get("/bartizan/account").text.split("<form ")
        clients = [form for form in forms if "/bartizan/client/remove" in form]
        return {re.search(r"<h3>(.*?)</h3>", form)[1]: re.findall(r", until [\d-]+(.*?)</p>", form) for form in clients}

    def today():
        return datetime.datetime.now(datetime.timezone.utc).date().isoformat()

    with Site() as site:
        app, other, ann = Client(site), Client(site, "other"), site.browser()
        given, _ = app.given(ann), other.given(ann)
        equal(site.call(given["access_token"]).status, 200, "a token that is used renews nothing")
        equal(noted(), {"The App": [""], "other": [""]}, "nothing was renewed yet")
        equal(app.refresh("btr_" + "A" * 43).status, 400, "nor does it count as that who is refused")
        equal(noted(), {"The App": [""], "other": [""]})
        before = today()
        equal(app.refresh(given["refresh_token"]).status, 200)
        after = noted()
        check(after["The App"][0] in (f", renewed {before}", f", renewed {today()}"), after)
        equal(after["other"], [""], "the other one has not")


def case_the_page_says_who_asks_for_what():
    with Site() as site:
        browser = site.browser()
        page = browser.get(Client(site).asking(scope="mcp"))
        equal(page.status, 200)
        for text in ("The App", "Its name is", "the operator of this gateway has set it up", "ann", site.origin + "/mcp", CALLBACK,
                     "Use everything here that you may use yourself", "a program on this computer"):
            check(text in page.text, text)
        policy = page.headers["Content-Security-Policy"]
        check("frame-ancestors 'none'" in policy and policy.endswith("form-action 'self' http://127.0.0.1:4711"), policy)
        equal(page.headers["X-Frame-Options"], "DENY")
        web = Client(site, redirect_uri="https://app.example/cb?keep=1")
        page = browser.get(web.asking())
        check("a program on this computer" not in page.text, "it is no program here")
        check(page.headers["Content-Security-Policy"].endswith("form-action 'self' https://app.example"))


def case_whoever_does_not_agree_is_said_to_the_client():
    with Site() as site:
        client = Client(site)
        page = site.browser().agree(client.asking(), answer="deny")
        said = client.came_back(page.location)
        equal((page.status, said["error"], said.get("code")), (303, "access_denied", None))
        equal(site.gateway.entries(kind="consent.given"), [])


def case_people_are_asked_again_where_something_is_new():
    with Site() as site:
        browser = site.browser()
        web = Client(site, redirect_uri="https://app.example/cb?keep=1")
        equal(browser.get(web.asking()).status, 200, "the first time")
        code = web.code(browser)
        page = browser.get(web.asking())
        equal(page.status, 303, "what was agreed to is not asked again")
        check(page.location.startswith("https://app.example/cb?keep=1&code=btc_"), page.location)
        equal(browser.get(web.asking(prompt="consent")).status, 200, "unless the client asks for that")
        said = web.came_back(browser.get(web.asking(prompt="none")).location)
        equal(said["error"], "interaction_required")
        local = Client(site)
        local.code(browser)
        equal(browser.get(local.asking()).status, 200, "whoever runs on the machine is asked each time")
        other = Client(site, "other")
        equal(browser.get(other.asking()).status, 200, "another client")
        # An operator who ends it has people asked again, and a code that is on its way is worth nothing.
        site.grant("revoke", "--client", "app")
        equal(web.token(code).error, "invalid_grant")
        equal(browser.get(web.asking()).status, 200, "after it was taken back")


def case_operators_see_and_end_what_clients_have():
    with Site() as site:
        browser = site.browser()
        first, second = Client(site), Client(site, "other")
        one, two = first.given(browser), second.given(browser)
        ids = [claims_of(each["access_token"])["grant"] for each in (one, two)]
        listed = json.loads(site.grant("list", "--json"))
        equal(listed["format"], "bartizan.grant.list/1")
        equal([(each["id"], each["person"], each["client"], each["state"]) for each in listed["grants"]],
              [(ids[0], "ann", "app", "good"), (ids[1], "ann", "other", "good")])
        text = site.grant("list")
        check(all(part in text for part in (*ids, "ann", "app (The App)", site.origin + "/mcp: mcp")), text)
        check("btr_" not in text and one["refresh_token"] not in json.dumps(listed), "no secret")
        equal(site.grant("revoke", ids[0]), f"revoked: {ids[0]}\n")
        equal(first.refresh(one["refresh_token"]).error, "invalid_grant")
        equal(second.refresh(two["refresh_token"]).status, 200, "the other one has nothing to do with it")
        site.grant("revoke", "g-unknown", status=2)
        equal(site.grant("revoke", ids[0]), "", "it is over already")
        equal([each["ended_by"] for each in json.loads(site.grant("list", "--all", "--json"))["grants"] if "ended_by" in each],
              ["operator"])
        equal(json.loads(site.grant("revoke", "--person", "ann", "--json"))["revoked"], [ids[1]])
        equal([(entry["grant"], entry["why"]) for entry in site.noted("grant.ended")][:1], [(ids[0], "operator")])
        equal(json.loads(site.grant("list", "--json"))["grants"], [])


def case_a_client_gives_up_what_it_has():
    with Site() as site:
        browser = site.browser()
        client = Client(site)
        by_refresh, by_access = client.given(browser), client.given(browser)
        equal(client.revoke(by_refresh["refresh_token"], token_type_hint="access_token").status, 200)
        equal(client.refresh(by_refresh["refresh_token"]).error, "invalid_grant")
        equal(client.refresh(by_access["refresh_token"]).status, 200, "not the other one")
        equal(client.revoke(by_access["access_token"]).status, 200)
        equal(json.loads(site.grant("list", "--json"))["grants"], [])
        for unknown in ("btr_" + "0" * 49, "nothing", by_refresh["refresh_token"], "a.b.c"):
            equal(client.revoke(unknown).status, 200, "what is not known is given up already")
        theirs = Client(site, "other").given(browser)
        for token in (theirs["refresh_token"], theirs["access_token"]):
            equal(client.revoke(token).error, "invalid_grant", "another client's")
        equal(len(json.loads(site.grant("list", "--json"))["grants"]), 1)


def case_a_client_may_register_where_that_is_allowed():
    with Site(clients="", sign_in="client_registration = true\n") as site:
        said = {"client_name": "Stranger\u202e", "redirect_uris": ["http://127.0.0.1/callback"],
                "token_endpoint_auth_method": "client_secret_basic", "grant_types": ["authorization_code", "refresh_token"]}

        def register(changes=None, **headers):
            body = json.dumps(said | (changes or {}))
            return site.request("POST", "/bartizan/oauth/register", body, {"Content-Type": "application/json"} | headers)

        answer = register()
        equal(answer.status, 201, answer.text)
        equal((answer.json["token_endpoint_auth_method"], answer.json["client_name"]), ("none", "Stranger"))
        check("client_secret" not in answer.json, "there are no secrets")
        client, browser = Client(site, answer.json["client_id"]), site.browser()
        page = browser.get(client.asking())
        check("nobody has verified that name" in page.text, page.text)
        client.given(browser)
        equal(browser.get(client.asking()).status, 200, "such a client is asked for each time")
        for changes, error in (({"redirect_uris": ["http://evil.example/cb"]}, "invalid_redirect_uri"),
                               ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
                               ({"redirect_uris": []}, "invalid_client_metadata"),
                               ({"grant_types": ["client_credentials"]}, "invalid_client_metadata")):
            refused = register(changes)
            equal((refused.status, refused.error), (400, error), changes)
        equal(register(**{"Content-Type": "text/plain"}).error, "invalid_request")
        answers = [register().status for _ in range(12)]
        check(answers.count(201) == 9 and answers[-1] == 429, f"slowly: {answers}")
        equal(site.noted("client.registered")[0]["client_name"], "Stranger")
        equal(site.request("POST", "/register", "{}").status, 401, "there is one address for it")
    with Site() as site:
        for path in ("/bartizan/oauth/register", "/register"):
            answer = site.request("POST", path, "{}", {"Content-Type": "application/json"})
            equal((answer.status, answer.error), (403, "access_denied"), "unless it is switched on, nobody registers")
            for words in ("`client_registration = true`", "[sign_in.client.NAME]"):
                check(words in answer.json["error_description"], f"and is told what to do: {answer.text}")
        said = wait_for(lambda: [line for line in site.gateway.said.read_text().splitlines() if "tried to register" in line],
                        "the operator is told")
        equal((len(said), "client_registration = true" in said[0]), (1, True), "once, not each time")
        wait_for(lambda: site.counted("edge.registration_off"), "it is not counted")
        page = site.browser().get(Client(site, "dcr-unknown").asking())
        equal(page.status, 400)
        check("knows no such client" in page.text, page.text)


def case_pages_of_allowed_origins_may_read_what_is_for_clients():
    with Site(listen='allowed_origins = ["https://inspector.example"]') as site:
        for path, method in (("/.well-known/oauth-authorization-server", "GET"), ("/bartizan/oauth/token", "POST"),
                             ("/bartizan/oauth/jwks", "GET")):
            for origin, good in (("https://inspector.example", True), ("http://localhost:6274", True), ("https://evil.example", False)):
                headers = {"Origin": origin}
                asked = site.request("OPTIONS", path, headers=headers | {"Access-Control-Request-Method": method,
                                                                         "Access-Control-Request-Headers": "content-type"})
                equal((asked.status, asked.headers["Access-Control-Allow-Origin"]),
                      (204, origin) if good else (403, None), f"{path} {origin}")
                done = site.request(method, path, headers=headers)
                equal(done.headers["Access-Control-Allow-Origin"], origin if good else None, f"{path} {origin}")
        page = site.request("GET", "/bartizan/sign-in", headers={"Origin": "https://inspector.example"})
        equal(page.headers["Access-Control-Allow-Origin"], None, "no page is for others to read")


__all__ = ["CLIENT", "urllib"]


def case_a_real_browser_arrives_at_a_client_in_the_web():
    """By each of the ways, on none of which the policy of a page may hold it back."""
    check(shutil.which("chromium"), "there is no chromium; tests/tools/setup.sh installs it where it may, else install it")
    with Site() as site:
        client = Client(site, redirect_uri="https://app.example/cb?keep=1")
        script = [str(TOOLS / "bin" / "node"), str(HERE / "returning.mjs"), str(TOOLS), site.origin + client.asking(), "ann", PASSWORD]
        done = subprocess.run(script, capture_output=True, text=True, timeout=180)
        check(done.returncode == 0, f"{done.stdout}{done.stderr[-3000:]}")
        print("".join(f"        {line}\n" for line in done.stdout.splitlines()), end="")
