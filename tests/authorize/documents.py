"""Clients that are known by a document, and what is done to whoever fetches it."""

import json

from flow import Client, Documents, Site, check, equal

ANYWHERE = 'client_documents = "anywhere"\n'


def case_a_client_is_known_by_its_document():
    with Documents() as web, Site(clients="", sign_in=ANYWHERE) as site:
        id = web.client(client_name="Documented\u202e")
        client, browser = Client(site, id), site.browser(signed_in=False)
        equal(browser.get(client.asking()).status, 303, "somebody has to sign in")
        equal(web.asked, [], "before anything is fetched")
        browser = site.browser()
        page = browser.get(client.asking())
        for text in ("Documented", "nobody has verified that name", "localhost", "vouched for"):
            check(text in page.text, text)
        client.given(browser)
        client.given(browser)
        equal([path for path, _ in web.asked], ["/client.json"], "it is fetched once for a while")
        (_, headers), = web.asked
        check(not {"cookie", "authorization", "referer"} & {name.lower() for name in headers}, headers)
        equal(json.loads(site.grant("list", "--json"))["grants"][0]["client"], id)
        check("private ones included" in site.gateway.said.read_text(), "the setting is warned of")


def case_documents_that_are_none():
    with Documents() as web, Site(clients="", sign_in=ANYWHERE) as site:
        browser = site.browser()
        good = {"client_id": web.origin + "/x", "redirect_uris": ["http://127.0.0.1/callback"]}

        def asked(path):
            page = browser.get(Client(site, web.origin + path).asking())
            return page.status, page.text

        for path, serve in {
            "/another": lambda path: web.serve(path, good),
            "/slash": lambda path: web.serve(path, good | {"client_id": web.origin + path + "/"}),
            "/secret": lambda path: web.client(path, client_secret="s"),
            "/authenticates": lambda path: web.client(path, token_endpoint_auth_method="client_secret_basic"),
            "/insecure": lambda path: web.client(path, redirect_uris=["http://evil.example/"]),
            "/nowhere": lambda path: web.client(path, redirect_uris=[]),
            "/text": lambda path: web.serve(path, good | {"client_id": web.origin + path}, kind="text/html"),
            "/large": lambda path: web.serve(path, good | {"client_id": web.origin + path, "x": "x" * 17_000}),
            "/no-json": lambda path: web.serve(path, b"{"),
            "/moved": lambda path: web.serve(path, b"", status=302, Location=web.origin + "/good"),
            "/gone": lambda path: None,
        }.items():
            serve(path)
            status, text = asked(path)
            equal(status, 400, f"{path} {text}")
        web.client("/good")
        equal(asked("/good")[0], 200)
        equal([path for path, _ in web.asked].count("/good"), 1, "nobody was followed there")
        equal(asked("/good?v=1")[0], 400, "another id is another client")
        page = browser.get(Client(site, web.origin + "/good", redirect_uri="http://127.0.0.1:1/other").asking())
        equal(page.status, 400, "its addresses are those in its document")


def case_only_the_public_internet_is_asked():
    with Documents() as web, Site(clients="") as site:
        port = web.server.server_address[1]
        browser = site.browser()
        for id in (f"https://localhost:{port}/client.json", f"https://127.0.0.1:{port}/client.json", f"https://[::1]:{port}/c",
                   f"https://[::ffff:127.0.0.1]:{port}/c", f"https://[::ffff:7f00:1]:{port}/c", "https://10.0.0.1/c", "https://192.168.0.1/c",
                   "https://172.16.0.1/c", "https://169.254.169.254/latest/meta-data", "https://100.64.0.1/c", "https://[fd00::1]/c",
                   "https://[fe80::1]/c", "https://[64:ff9b::7f00:1]/c", "https://[2002:7f00:1::]/c", "https://0.0.0.0/c",
                   "https://224.0.0.1/c", "https://[ff02::1]/c",
                   # Nothing tells a name that there is not from one that is not asked.
                   "https://nothing.invalid/c"):
            page = browser.get(Client(site, id).asking())
            equal(page.status, 400, id)
            check("no answer from an address of the public internet" in page.text or "knows no such client" in page.text, f"{id} {page.text}")
        # Ids that are no such address at all.
        for id in (f"http://localhost:{port}/client.json", "https://app.example", "https://app.example/", "https://u@app.example/c",
                   "https://app.example/a/../c", "https://app.example/c#f", "https://2130706433/c", "https://0x7f.1/c", "ftp://a/c"):
            page = browser.get(Client(site, id).asking())
            equal(page.status, 400, id)
            check("knows no such client" in page.text, f"{id} {page.text}")
        equal(web.asked, [])
        said = site.gateway.said.read_text()
        check("is at an address that is not asked" in said and "https://nothing.invalid/c cannot be reached" in said, "the log has no difference")
    with Site(clients="", sign_in='client_documents = "off"\n') as site:
        page = site.browser().get(Client(site, "https://app.example/client.json").asking())
        check(page.status == 400 and "knows no such client" in page.text, "switched off")
