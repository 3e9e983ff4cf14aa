#!/usr/bin/env python3
"""People who sign in on the gateway's pages, and what others do to their browsers.

`run.py NAME…` runs the cases whose names contain NAME.
"""

import concurrent.futures
import contextlib
import os
import pty
import shutil
import socket
import sqlite3
import subprocess
import sys
import time

from browser import BINARY, CODE, HERE, PASSWORD, TOOLS, App, Form, Place, cases_of, check, equal, run_cases
from harness import wait_for
import auditlog

REQUIRED = ""

HEADERS = {"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
           "Referrer-Policy": "same-origin"}


def case_who_has_the_password_comes_in_and_nobody_else():
    with Place() as place:
        place.add()
        for name, password in (("ann", "wrong horse battery staple"), ("bea", PASSWORD), ("ann", ""), ("", "")):
            browser = place.browser()
            page = browser.sign_in(name, password)
            equal(page.status, 403, f"{name} {password}")
            check("That is not right" in page.text and PASSWORD not in page.text, "the same words for all")
            check(not browser.is_signed_in(), "nothing came of it")
        for name in ("ann", "ANN"):
            browser = place.browser()
            page = browser.sign_in(name)
            equal((page.status, page.location), (303, "/bartizan/account"), name)
            account = browser.get("/bartizan/account")
            check("<h1>ann</h1>" in account.text, "by the name that was given")
        entries = place.gateway.entries(kind="person.signed_in")
        equal([(entry["person"], entry["methods"]) for entry in entries], [("ann", ["pwd"])] * 2, "it is recorded")
        check(PASSWORD not in auditlog.text(place.gateway.home / "audit"), "without the password")


def case_a_session_is_another_one_after_signing_in_and_over_after_signing_out():
    with Place() as place:
        place.add()
        browser = place.browser()
        browser.get("/bartizan/sign-in")
        before = dict(browser.cookies)
        browser.sign_in()
        check(before["bartizan"] != browser.cookies["bartizan"], "the cookie from before is worth nothing")
        fixed = place.browser()
        fixed.cookies = before
        check(not fixed.is_signed_in() and browser.is_signed_in(), "who knew it is not signed in by it")
        again, old = browser.cookies["bartizan"], place.browser()
        page = browser.fill("/bartizan/account", {})
        equal((page.status, page.location), (303, "/bartizan/sign-in"), "signing out")
        old.cookies = {"bartizan": again}
        check(not browser.is_signed_in() and not old.is_signed_in(), "it is over, wherever it was kept")


def case_no_page_is_shown_in_a_frame_or_kept():
    with Place() as place:
        for path in ("/bartizan/sign-in", "/bartizan/nowhere"):
            page = place.browser().get(path)
            for name, value in HEADERS.items():
                equal(page.headers[name], value, f"{path}: {name}")
            policy = page.headers["Content-Security-Policy"]
            for part in ("default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"):
                check(part in policy, f"{path}: {part}")
            check("unsafe" not in policy and "<script>" not in page.text and " style=" not in page.text, "nothing inline")
        cookie = place.browser().get("/bartizan/sign-in").headers["Set-Cookie"]
        check("HttpOnly" in cookie and "SameSite=Lax" in cookie, cookie)


def case_a_form_from_elsewhere_is_refused():
    with Place() as place:
        place.add()
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": None},
                        {"Origin": "http://localhost:1"}, {"Origin": None, "Sec-Fetch-Site": "same-site"}):
            browser = place.browser()
            form = Form(browser.get("/bartizan/sign-in").text)
            said = {"Origin": browser.origin} | headers
            page = browser.post(form.action, form.fields | {"name": "ann", "password": PASSWORD}, said)
            equal(page.status, 403, headers)
            check(not browser.is_signed_in(), headers)
        # Somebody else's form: another browser's token, none, or no cookie to go with it.
        other = Form(place.browser().get("/bartizan/sign-in").text).fields["csrf"]
        for token in (other, "", None):
            browser = place.browser()
            form = Form(browser.get("/bartizan/sign-in").text)
            fields = form.fields | {"name": "ann", "password": PASSWORD, "csrf": token}
            page = browser.post(form.action, {name: value for name, value in fields.items() if value is not None})
            equal(page.status, 403, token)
        browser = place.browser()
        fields = Form(browser.get("/bartizan/sign-in").text).fields
        browser.cookies = {}
        equal(browser.post("/bartizan/sign-in", fields | {"name": "ann", "password": PASSWORD}).status, 403, "no cookie")
        browser = place.browser()
        browser.sign_in()
        equal(browser.post("/bartizan/sign-out", {"csrf": other}).status, 403, "signing somebody out")
        check(browser.is_signed_in(), "they still are")


def case_nobody_is_sent_elsewhere():
    with Place() as place:
        place.add()
        for path in ("https://evil.example/", "//evil.example", "/\\evil.example", "/bartizan/../..//evil.example", "/mcp", "",
                     "/bartizan/\t/evil", "javascript:alert(1)"):
            equal(place.browser().sign_in(return_to=path).location, "/bartizan/account", path)
        own = "/bartizan/oauth/authorize?client_id=https%3A%2F%2Fa.example&state=b"
        equal(place.browser().sign_in(return_to=own).location, own, "but to our own pages")


def case_what_a_page_shows_is_text():
    with Place() as place:
        page = place.browser().sign_in('"><script>alert(1)</script>', "x")
        check("<script>" not in page.text and "&#60;script&#62;" in page.text, page.text)


def case_who_is_disabled_is_signed_in_nowhere():
    with Place() as place:
        place.add()
        browser = place.browser()
        browser.sign_in()
        check(browser.is_signed_in())
        check("disabled: ann" in place.user("disable", "ann"))
        check(not browser.is_signed_in(), "at once")
        equal(place.browser().sign_in().status, 403, "and not again")
        check("was before" in place.user("disable", "ann"))
        place.user("enable", "ann")
        check(not browser.is_signed_in(), "what was ended stays so")
        equal(place.browser().sign_in().status, 303, "but they may anew")
        check("ann  password" in place.user("list"))
        place.user("remove", "ann")
        equal(place.browser().sign_in().status, 403, "there is nobody")
        place.user("remove", "ann", status=2)


def case_an_invitation_is_good_once():
    with Place(REQUIRED) as place:
        link = place.invite()
        path = link[link.index("/bartizan/"):]
        token = path.split("=")[1]
        # What does not do is said, and the link stays good with the secret that may be in an app already.
        browser = place.browser()
        page = browser.get(path)
        app = App(page)
        check("Welcome to the MCP gateway at <strong>{}:{}</strong>".format(*place.gateway.address) in page.text, page.text)
        for fields, why in (({"password": "short", "again": "short"}, "12 characters"),
                            ({"password": PASSWORD, "again": PASSWORD + "x"}, "differ"),
                            ({"password": PASSWORD, "again": PASSWORD, "code": "000000"}, "six digits"),
                            ({"password": PASSWORD, "again": PASSWORD, "code": ""}, "six digits")):
            form = Form(page.text)
            page = browser.post(form.action, form.fields | {"code": app.code()} | fields)
            equal((page.status, why in page.text, App(page).secret), (403, True, app.secret), why)
        accepted = place.browser()
        _, codes = accepted.accept(link)
        equal(len(set(codes)), 10, "recovery codes")
        check(accepted.is_signed_in(), "whoever accepts it is signed in")
        check(not browser.is_signed_in(), "it signs nobody in")
        for again in (browser.get(path), place.browser().get(path), place.browser().get(path[:-1] + "0")):
            equal(again.status, 404, "a second time")
        form = Form(page.text)
        late = browser.post(form.action, form.fields | {"password": PASSWORD * 2, "again": PASSWORD * 2, "code": app.code()})
        equal(late.status, 404, "also for whoever had the page open")
        equal(place.browser().sign_in(password=PASSWORD * 2).status, 403, "nothing came of it")
        state = (place.gateway.home / "state.db").read_bytes() + (place.gateway.home / "state.db-wal").read_bytes()
        for secret in (token, codes[0], codes[0].replace("-", ""), PASSWORD):
            check(secret.encode() not in state, "the store has none of it")


def case_a_sign_in_under_way_does_not_outlive_a_reset():
    with Place() as place:
        came = {"ann": [], "bea": []}
        over = False
        for name in came:
            place.add(name)

        def again_and_again(name):
            while not over:
                browser = place.browser()
                if browser.sign_in(name).status == 303:
                    came[name].append(browser)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            working = [pool.submit(again_and_again, name) for name in ["ann"] * 6 + ["bea"] * 2]
            try:
                wait_for(lambda: all(came.values()), "not both come in")
                place.user("reset", "ann")
                time.sleep(1)
            finally:
                over = True
            for one in working:
                one.result()
        # Of the earlier ones the store keeps no more than fifty each.
        for name, stays in (("ann", False), ("bea", True)):
            equal({browser.is_signed_in() for browser in came[name][-10:]}, {stays}, name)


def case_what_was_kept_with_less_is_kept_anew():
    old = "$argon2id$v=19$m=8192,t=1,p=1$AQEBAQEBAQEBAQEBAQEBAQ$QQ5wpDQ354L1OVib3ewTpeelUT3tdADeBLa4su9xouE"
    with Place() as place:
        place.add()
        with contextlib.closing(sqlite3.connect(place.gateway.home / "state.db")) as store:
            def kept(): return store.execute("SELECT password FROM person").fetchone()[0]
            store.execute("UPDATE person SET password = ?", (old,))
            store.commit()
            equal(place.browser().sign_in(password="wrong horse battery").status, 403, "wrong")
            equal(kept(), old, "nothing changes by that")
            equal(place.browser().sign_in().status, 303, "right")
            check(kept().startswith("$argon2id$v=19$m=19456,t=2,p=1$"), kept())
            equal(place.browser().sign_in().status, 303, "it is the same password")


def case_a_flood_of_attempts_leaves_others_their_turn():
    with Place() as place:
        place.add()
        home = place.browser()
        home.sign_in()
        home.fill("/bartizan/account", {})
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            def attempt(number):
                browser = place.browser()
                return browser.sign_in(f"nobody{number}", PASSWORD).status
            statuses = list(pool.map(attempt, range(120)))
        # Twenty, and one more for each second and then two that it takes.
        check(set(statuses) <= {403, 429, 503} and statuses.count(403) < 40, f"few are looked at: {statuses}")
        equal(home.sign_in().status, 303, "but for a browser that is known")


def case_an_invitation_ends():
    with Place(REQUIRED) as place:
        link = place.invite("ann", "--expires", "1s")
        path = link[link.index("/bartizan/"):]
        browser = place.browser()
        form = Form(browser.get(path).text)
        time.sleep(1.2)
        equal(browser.get(path).status, 404, "too late")
        equal(browser.post(form.action, form.fields | {"password": PASSWORD, "again": PASSWORD}).status, 404, "also for the form")
        check("nothing to sign in with" in place.user("list"))
        for words in (("--expires", "60d"), ("--expires", "2020-01-01"), ("--expires", "x")):
            place.user("reset", "ann", *words, status=2)
        again = place.user("reset", "ann")
        place.user("disable", "ann")
        equal(browser.get(again[again.index("/bartizan/"):].split()[0]).status, 404, "not for who is disabled")


def case_a_one_time_password_is_good_once_also_after_a_restart():
    with Place(REQUIRED) as place:
        app, codes = place.browser().accept(place.invite())
        equal(place.browser().sign_in().status, 403, "a password alone")
        equal(place.browser().sign_in(code="123456").status, 403, "with another code")
        code = app.fresh()
        equal(place.browser().sign_in(password="wrong horse battery staple", code=code).status, 403, "a code alone")
        browser = place.browser()
        equal(browser.sign_in(code=code).status, 303, "both")
        check(browser.is_signed_in())
        equal(place.browser().sign_in(code=code).status, 403, "the same code again")
        place.restart()
        equal(place.browser().sign_in(code=code).status, 403, "and after a restart")
        check(browser.is_signed_in(), "who was signed in still is")
        equal(place.browser().sign_in(code=codes[0]).status, 303, "a recovery code in its place")
        equal(place.browser().sign_in(code=codes[0].upper()).status, 403, "once")
        methods = [entry["methods"] for entry in place.gateway.entries(kind="person.signed_in")]
        equal(methods, [["pwd", "otp"]] * 3, "it is recorded, and so is that who accepted is signed in")


def case_who_has_no_second_factor_sets_one_up_first():
    with Place(REQUIRED) as place:
        place.add()
        browser = place.browser()
        equal(browser.sign_in(return_to="/bartizan/account?x=1").status, 303, "with the password")
        check(not browser.is_signed_in(), "which is not enough")
        page = browser.get("/bartizan/sign-in?return_to=%2Fbartizan%2Faccount")
        equal(page.status, 303, "on to setting one up")
        page = browser.get(page.location)
        app, form = App(page), Form(page.text)
        wrong = browser.post(form.action, form.fields | {"code": "000000"})
        equal((wrong.status, App(wrong).secret), (403, app.secret), "a wrong code")
        # A secret that is somebody else's choice: sealed for another session, or not at all.
        other = place.browser()
        other.sign_in()
        foreign = Form(other.get("/bartizan/one-time").text).fields["secret"]
        for secret in (foreign, "AAAA"):
            equal(browser.post(form.action, form.fields | {"secret": secret, "code": app.code()}).status, 403, "another secret")
        before = dict(browser.cookies)
        done = browser.post(form.action, form.fields | {"code": app.fresh()})
        check(done.status == 200 and "Recovery codes" in done.text and browser.is_signed_in(), "now they are")
        check(browser.cookies["bartizan"] != before["bartizan"], "in another session")
        equal(other.get("/bartizan/one-time").status, 303, "who has one is asked for it")
        equal(place.browser().sign_in().status, 403, "and the password alone does no more")


def case_other_one_time_passwords_sign_out_who_came_in_by_those_before():
    with Place(REQUIRED) as place:
        browser, other = place.browser(), place.browser()
        old, codes = browser.accept(place.invite())
        equal(other.sign_in(code=codes[0]).status, 303, "elsewhere")
        page = browser.get("/bartizan/one-time")
        app, form = App(page), Form(page.text)
        equal(browser.post(form.action, form.fields | {"code": "000000"}).status, 403, "a wrong code")
        check(other.is_signed_in(), "which changes nothing")
        done = browser.post(form.action, form.fields | {"code": app.code()})
        check(done.status == 200 and "Recovery codes" in done.text, done.text[:300])
        check(browser.is_signed_in() and not other.is_signed_in(), "only who has the new ones goes on")
        for code in (old.fresh(), codes[1]):
            equal(place.browser().sign_in(code=code).status, 403, "one of those before")
        equal(place.browser().sign_in(code=CODE.findall(done.text)[0]).status, 303, "a new one")
        wait_for(lambda: place.gateway.entries(kind="person.factor_replaced", person="ann", factor="otp"), "the log says so")


def case_a_step_up_asks_for_a_fresh_one():
    with Place(REQUIRED) as place:
        app, _ = place.browser().accept(place.invite())
        browser, own = place.browser(), "/bartizan/step-up?return_to=%2Fbartizan%2Fapprove%2F1"
        page = browser.get(own)
        check(page.location.startswith("/bartizan/sign-in?return_to="), "who is not signed in signs in")
        used = app.fresh()
        browser.sign_in(code=used)
        before = browser.cookies["bartizan"]
        for code in ("000000", used, ""):
            equal(browser.fill(own, {"code": code}).status, 403, code)
        done = browser.fill(own, {"code": app.fresh()})
        equal((done.status, done.location), (303, "/bartizan/approve/1"), "back to where they came from")
        check(browser.cookies["bartizan"] != before, "in another session")
        old = place.browser()
        old.cookies = {"bartizan": before}
        check(browser.is_signed_in() and not old.is_signed_in(), "the one before is over")
        equal(len(place.gateway.entries(kind="person.stepped_up")), 1, "it is recorded")


def case_who_guesses_waits_and_keeps_nobody_out():
    with Place() as place:
        place.add("ann")
        place.add("bea", PASSWORD + "b")
        home = place.browser()
        home.sign_in()
        home.fill("/bartizan/account", {})
        stranger = place.browser()
        statuses = [stranger.sign_in(password=f"wrong horse battery {number}").status for number in range(12)]
        equal(statuses[:10], [403] * 10, "wrong")
        check(429 in statuses[10:], "then there is a wait")
        page = stranger.sign_in()
        equal(page.status, 429, "also with the right one: it is not looked at")
        check(1 <= int(page.headers["Retry-After"]) <= 60, "for a minute at most")
        equal(stranger.sign_in("bea", PASSWORD + "b").status, 303, "others have nothing to do with it")
        equal(home.sign_in().status, 303, "nor has a browser in which she signed in before")
        forged = place.browser()
        forged.cookies["bartizan-known"] = home.cookies["bartizan-known"][:-2] + "AA"
        equal(forged.sign_in().status, 429, "but one that only says so has")
        time.sleep(1.1)
        wait = place.browser().sign_in().status
        check(wait in (303, 429), "the wait ends by itself")


def case_another_password_signs_every_other_browser_out():
    other = PASSWORD + " and another"
    with Place() as place:
        place.add()
        place.add("bea", PASSWORD + "b")
        mine, left, bea = place.browser(), place.browser(), place.browser()
        mine.sign_in()
        left.sign_in()
        bea.sign_in("bea", PASSWORD + "b")
        check("/bartizan/password" in mine.get("/bartizan/account").text, "the way there")
        fill = lambda **fields: mine.fill("/bartizan/password", {"old": PASSWORD, "password": other, "again": other} | fields)  # noqa: E731
        for fields, said in (({"old": "a wrong horse battery"}, "not your password"), ({"again": other + "x"}, "differ"),
                             ({"password": "short", "again": "short"}, "Choose another one"), ({"old": ""}, "not your password"),
                             ({"password": PASSWORD, "again": PASSWORD}, "the new one is the old one")):
            page = fill(**fields)
            check(page.status == 403 and said in page.text, f"{fields}: {page.status} {page.text[-800:]}")
        equal(mine.post("/bartizan/password", {"old": PASSWORD, "password": other, "again": other}).status, 403, "a form that is none of ours")
        equal(place.browser().get("/bartizan/password").location.split("?")[0], "/bartizan/sign-in", "for who is signed in")
        check(left.is_signed_in() and not place.gateway.entries(kind="person.password_changed"), "nothing came of any")
        equal(fill().status, 200, "the twin")
        check(mine.is_signed_in() and bea.is_signed_in() and not left.is_signed_in(), "who is signed in then")
        equal([place.browser().sign_in(password=password).status for password in (PASSWORD, other)], [403, 303], "which one is good")
        wait_for(lambda: place.gateway.entries(kind="person.password_changed", person="ann", by="ann"), "it is recorded")
        log = auditlog.text(place.gateway.home / "audit") + place.gateway.said.read_text()
        check(other not in log, "without the password")
        # Whoever finds the browser open guesses no more often here than at the sign-in.
        guesses = [fill(old=f"wrong horse battery {number}").status for number in range(14)]
        check(429 in guesses and set(guesses) <= {403, 429}, f"{guesses}")


def case_who_has_a_second_factor_shows_it_before_they_choose_another_password():
    with Place() as place:
        app, _ = place.browser().accept(place.invite())
        mine = place.browser()
        mine.sign_in(code=app.fresh())
        equal(mine.get("/bartizan/password").status, 200, "a moment after")
        with sqlite3.connect(place.gateway.home / "state.db") as store:
            store.execute("UPDATE web_session SET password_at = password_at - 3600000000, otp_at = otp_at - 3600000000")
        check(mine.is_signed_in(), "signed in still")
        equal(mine.get("/bartizan/password").location.split("?")[0], "/bartizan/step-up", "an hour later")


def case_a_passkey_in_a_real_browser():
    """Chromium with an authenticator of its own, on the real pages."""
    check(shutil.which("chromium"), "there is no chromium; tests/tools/setup.sh installs it where it may, else install it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    public = f"http://localhost:{port}"
    with Place(listen=f'public_url = "{public}"', address=f"127.0.0.1:{port}") as place:
        place.add()
        script = [str(TOOLS / "bin" / "node"), str(HERE / "passkey.mjs"), str(TOOLS), public, "ann", PASSWORD]
        done = subprocess.run(script, capture_output=True, text=True, timeout=180)
        check(done.returncode == 0, f"{done.stdout}{done.stderr[-3000:]}")
        print("".join(f"        {line}\n" for line in done.stdout.splitlines()), end="")
        equal([entry["methods"] for entry in place.gateway.entries(kind="person.signed_in")],
              [["pwd"], ["passkey"], ["passkey"]], "it is recorded")
        equal([entry["method"] for entry in place.gateway.entries(kind="person.stepped_up")], ["passkey"], "and so is this")
        place.user("reset", "ann")
        check("passkey" not in place.user("list"), "a reset takes it away")


def case_where_there_can_be_no_passkeys_none_is_offered():
    with Place() as place:
        place.add()
        browser = place.browser()
        check("passkey" not in browser.get("/bartizan/sign-in").text, "an address is no name that a passkey is for")
        browser.sign_in()
        form = Form(browser.get("/bartizan/account").text)
        for what in ("add", "step-up", "sign-in", "x"):
            equal(browser.post("/bartizan/passkey/options", {"csrf": form.fields["csrf"], "for": what}).status, 404, what)
            equal(browser.post("/bartizan/passkey/options", {"for": what}).status, 403, f"{what} without a token")


def case_pages_are_found_where_forms_of_them_are_taken():
    with Place() as place:
        place.add()
        browser, port = place.browser(), place.gateway.address[1]
        page = place.browser(Host=f"localhost:{port}").get("/bartizan/sign-in?return_to=%2Fbartizan%2Faccount")
        equal((page.status, page.location), (307, f"{browser.origin}/bartizan/sign-in?return_to=%2Fbartizan%2Faccount"), "the other name")
        equal(browser.get("/bartizan/sign-in").status, 200, "its own name")
        equal(place.browser(Host=f"localhost:{port + 1}").get("/bartizan/sign-in").status, 200, "somebody else's port")
        equal(place.browser(Host="evil.example").get("/bartizan/sign-in").status, 403, "no name of it")
        fields = Form(browser.get("/bartizan/sign-in").text).fields | {"name": "ann", "password": PASSWORD}
        page = browser.post("/bartizan/sign-in", fields, {"Origin": f"http://localhost:{port}"})
        equal((page.status, f"Open this page at {browser.origin}" in page.text), (403, True), page.text)
        for path in ("/bartizan", "/bartizan/"):
            equal((browser.get(path).status, browser.get(path).location), (303, "/bartizan/account"), path)
    with Place(listen='public_url = "https://mcp.example.com"') as place:
        page = place.browser().get("/bartizan/sign-in")
        equal(page.status, 200, "what stands before it may ask under the address that it listens at")


def case_a_browser_at_what_is_for_clients_is_shown_the_way():
    html = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    with Place(more="[auth]\nrequired = true\n") as place:
        browser = place.browser()
        for path in ("/", "/mcp", "/mcp/none"):
            page = browser.get(path, headers=html)
            equal((page.status, 'href="/bartizan/account"' in page.text), (401, True), page.text)
            check(page.headers["WWW-Authenticate"], "clients that say so still learn how to come in")
            page = browser.get(path, headers={"Accept": "text/event-stream"})
            equal((page.status, "edge.no_credential" in page.text), (401, True), page.text)
            page = browser.get(path, headers=html | {"Authorization": "Bearer wrong"})
            equal((page.status, "edge.credential" in page.text), (401, True), page.text)
    with Place() as place:
        page = place.browser().get("/", headers=html)
        equal((page.status, "This is for MCP clients" in page.text), (404, True), page.text)


def case_cookies_over_https_are_for_this_host_only():
    with Place(listen='public_url = "https://mcp.example.com"') as place:
        place.add()
        browser = place.browser(Host="mcp.example.com")
        page = browser.get("/bartizan/sign-in")
        equal(list(browser.cookies), ["__Host-bartizan"], "its name")
        cookie = page.headers["Set-Cookie"]
        check("; Secure" in cookie and "; Path=/;" in cookie and "Domain" not in cookie, cookie)
        fields = Form(page.text).fields | {"name": "ann", "password": PASSWORD}
        for origin, status in (("http://mcp.example.com", 403), ("https://mcp.example.com:8443", 403),
                               (browser.origin, 403), ("https://mcp.example.com", 303)):
            equal(browser.post("/bartizan/sign-in", fields, {"Origin": origin}).status, status, origin)
        check(browser.is_signed_in(), "and so it goes")
        # Set by a neighbour under the name that it has without https.
        other = place.browser(Host="mcp.example.com")
        other.cookies = {"bartizan": browser.cookies["__Host-bartizan"]}
        check(not other.is_signed_in(), "another name is none")
        equal(place.browser(Host="evil.example").get("/bartizan/sign-in").status, 403, "another host")
        said = place.gateway.said.read_text()
        for line in ("clients connect to https://mcp.example.com/mcp", "people sign in at https://mcp.example.com/bartizan/sign-in"):
            check(line in said, f"not said at the start: {line}")


def case_a_password_is_typed_unseen():
    with Place() as place:
        def typed(*lines):
            main, terminal = pty.openpty()
            process = subprocess.Popen([BINARY, "user", "add", f"p{len(place.user('list'))}", "--password", "--config",
                                        str(place.gateway.config)], env=place.gateway.environment, stdin=terminal,
                                       stdout=terminal, stderr=terminal, start_new_session=True)
            os.close(terminal)
            shown = b""
            for line in lines:
                while not shown.rstrip().endswith(b":"):
                    shown += os.read(main, 1000)
                os.write(main, line.encode() + b"\n")
                shown += b"."
            with contextlib.suppress(OSError):
                while more := os.read(main, 1000):
                    shown += more
            os.close(main)
            return process.wait(timeout=30), shown.decode()
        place.add()
        status, shown = typed(PASSWORD, PASSWORD)
        check(status == 0 and "added" in shown and PASSWORD not in shown, shown)
        status, shown = typed(PASSWORD, PASSWORD + "x")
        check(status == 2 and "differ" in shown and PASSWORD not in shown, shown)
        for password in ("short", "aaaaaaaaaaaaaaaa", ""):
            place.user("add", "eve", "--password", said=password + "\n", status=2)
        for name in ("", "a b", "uid:1", "cert:x", "anonymous", "x" * 65, "ANN"):
            place.user("add", name, "--password", said=PASSWORD + "\n", status=2)


def case_without_the_table_there_is_no_page():
    from harness import Gateway
    with Gateway({}) as gateway:
        from browser import Browser
        equal(Browser(gateway).get("/bartizan/sign-in").status, 404, "no page")


if __name__ == "__main__":
    sys.exit(run_cases(cases_of(globals())))
