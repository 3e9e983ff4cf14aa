#!/usr/bin/env python3
"""People who sign in on the gateway's pages, and what others do to their browsers.

`run.py NAME…` runs the cases whose names contain NAME.
"""

import json
import os
import pathlib
import sys
import time
import traceback

from browser import PASSWORD, Form, Place, check, equal

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
        check(PASSWORD not in (place.gateway.home / "audit" / "audit.jsonl").read_text(), "without the password")


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


def case_without_the_table_there_is_no_page():
    from harness import Gateway
    with Gateway({}) as gateway:
        from browser import Browser
        equal(Browser(gateway).get("/bartizan/sign-in").status, 404, "no page")


def main() -> int:
    passed, failed = 0, 0
    for name, case in list(globals().items()):
        name = name.removeprefix("case_")
        if not callable(case) or f"case_{name}" not in globals() or (sys.argv[1:] and not any(part in name for part in sys.argv[1:])):
            continue
        start = time.monotonic()
        try:
            case()
            passed += 1
            print(f"ok    {name}  ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception:  # Whatever it is, the suite reports it and goes on.
            failed += 1
            print(f"FAIL  {name}: {traceback.format_exc()}", flush=True)
    if path := os.environ.get("BARTIZAN_COUNTS"):
        pathlib.Path(path).write_text(json.dumps({"passed": passed, "failed": failed, "skipped": 0}))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
