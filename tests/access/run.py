#!/usr/bin/env python3
"""Who may come in, and what for: keys over HTTP, by every route and in each era.

`run.py NAME…` runs the cases whose names contain NAME.
"""

import contextlib
import http.client
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "aggregate")]

from harness import BINARY, FIXTURE, MODERN, PATIENCE, TOOLS, Gateway, Keyed, cases_of, check, equal, run_cases, wait_for  # noqa: E402
import every_route  # noqa: E402
import routes  # noqa: E402
from upstream import Answering, Upstream  # noqa: E402

ERAS = ("2025-11-25", MODERN)
REQUIRED = "[auth]\nrequired = true\n"


class Server(Upstream):
    """An upstream with two tools and two resources that keeps the headers of what it hears."""

    def __init__(self):
        super().__init__(Handler)

    def note(self, message, headers):
        return message, headers

    def calls(self):
        return [message["params"]["name"] for message, _ in self.heard if message.get("method") == "tools/call"]


class Handler(Answering):
    @staticmethod
    def result(method, params):
        if method == "initialize":
            return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}, "resources": {}},
                    "serverInfo": {"name": "upstream", "version": "1"}}
        if method == "server/discover":
            return {"supportedVersions": [MODERN], "capabilities": {"tools": {}, "resources": {}},
                    "serverInfo": {"name": "upstream", "version": "1"}}
        if method == "tools/list":
            schema = {"type": "object", "properties": {"amount": {"type": "integer"}}}
            return {"tools": [{"name": name, "inputSchema": schema} for name in ("read", "write")]}
        if method == "resources/list":
            return {"resources": [{"uri": f"file:///{name}", "name": name} for name in ("srv/a", "etc/b")]}
        if method == "resources/read":
            return {"contents": [{"uri": params["uri"], "text": "content"}]}
        if method == "tools/call":
            return {"content": [{"type": "text", "text": f"did {params['name']}"}]}
        return {}


class Place:
    """Two servers and a gateway in front of them."""

    def __init__(self, more=REQUIRED, servers=None):
        self.servers = servers or {name: Server() for name in ("files", "git")}
        self.gateway = Gateway({name: {"url": server.url} for name, server in self.servers.items()}, more)

    def __enter__(self):
        self.gateway.__enter__()
        return self

    def __exit__(self, *reason):
        try:
            self.gateway.__exit__(*reason)
        finally:
            for server in self.servers.values():
                server.shutdown()
                server.server_close()

    def key(self, *words, code=0):
        """What `bartizan key` prints."""
        done = subprocess.run([BINARY, "key", *words, "--config", str(self.gateway.config)], env=self.gateway.environment,
                              capture_output=True, text=True, timeout=60)
        equal(done.returncode, code, f"key {words}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def made(self, *scopes, name="ann", expires="1h"):
        return self.key("create", name, *[word for scope in scopes for word in ("--scope", scope)], "--expires", expires)

    def client(self, key, path="/mcp", version="2025-11-25", capabilities=None):
        return Keyed(self.gateway, key, path, version, capabilities)

    def status(self, key, path="/mcp", method="POST", headers=None, version="2025-11-25", source=None):
        """Status and headers of a first request, from that address of this machine."""
        source = (source, 0) if source else None
        connection = http.client.HTTPConnection(*self.gateway.address, timeout=PATIENCE, source_address=source)
        with contextlib.closing(connection):
            shown = {"Authorization": f"Bearer {key}"} if key else {}
            accept = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
            hello = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "suite", "version": "1"}}
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}) if method == "POST" else None
            connection.request(method, path, body, accept | shown | (headers or {}))
            response = connection.getresponse()
            response.read()
            return response.status, response.headers


def id_of(key):
    return key.split("_")[1]


def case_whoever_shows_no_good_key_is_told_so_and_nothing_else():
    with Place() as place:
        good = place.made("mcp")
        ended = place.made("mcp", expires="1ms")
        paths = ("/mcp", "/mcp/files", "/mcp/none", "/elsewhere")
        for method, path in [(method, path) for method in ("POST", "GET", "DELETE") for path in paths]:
            status, headers = place.status(None, path, method)
            equal(status, 401, f"{method} {path} without a key")
            equal(headers.get("WWW-Authenticate"), 'Bearer realm="bartizan"', "the challenge")
        wrong = [ended, good[:-1] + ("a" if good[-1] != "a" else "b"), "btz_nonsense", "eyJhbGciOiJub25lIn0.e30."]
        for key in wrong:
            status, headers = place.status(key)
            equal(status, 401, f"with {key}")
            check('error="invalid_token"' in headers.get("WWW-Authenticate", ""), f"the challenge: {headers}")
        for headers in ({"Authorization": "Basic YW5uOnB3"}, {"Authorization": good}, {"X-Api-Key": good}):
            equal(place.status(None, headers=headers)[0], 401, f"{headers}")
        equal(place.status(None, f"/mcp?access_token={good}")[0], 401, "a key in the address")
        equal(place.status(good)[0], 200, "with a good key")
        equal(place.status(good, "/mcp/none")[0], 404, "a server that is not there")
        check(not any(server.calls() for server in place.servers.values()), "nothing was called")


def case_a_key_is_good_until_it_is_revoked_and_not_a_request_longer():
    for version in ERAS:
        with Place() as place:
            key = place.made("mcp")
            with place.client(key, "/mcp/files", version) as client:
                equal(client.tools(), ["read", "write"], "before")
                listing = json.loads(place.key("list", "--json"))["keys"]
                equal([(held["id"], held["state"]) for held in listing], [(id_of(key), "good")], "list")
                place.key("revoke", id_of(key))
                for method in ("tools/list", "tools/call", "ping"):
                    client.request(method, {"name": "read"} if method == "tools/call" else None)
                    equal(client.status, 401, f"{method} of {version} afterwards")
            equal(place.servers["files"].calls(), [], "calls that reached the server")


def case_a_key_that_is_revoked_while_a_message_arrives_passes_none():
    with Place() as place:
        for version in ERAS:
            revoked, good = place.made("mcp"), place.made("mcp", name="bob")
            for key in (revoked, good):
                with place.client(key, "/mcp/files", version) as client:
                    client.tools()
                    message = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "write", "arguments": {}}}
                    if version == MODERN:
                        meta = {"protocolVersion": MODERN, "clientCapabilities": {}, "clientInfo": {"name": "suite", "version": "1"}}
                        message["params"]["_meta"] = {f"io.modelcontextprotocol/{name}": value for name, value in meta.items()}
                    body = json.dumps(message).encode()
                    connection = http.client.HTTPConnection(*place.gateway.address, timeout=PATIENCE)
                    connection.putrequest("POST", "/mcp/files")
                    for name, value in client.headers(message).items():
                        connection.putheader(name, value)
                    connection.putheader("Content-Length", str(len(body)))
                    connection.endheaders()
                    connection.send(body[:10])
                    if key == revoked:
                        place.key("revoke", id_of(key))
                    before = len(place.servers["files"].calls())
                    connection.send(body[10:])
                    response = connection.getresponse()
                    response.read()
                    connection.close()
                    calls = len(place.servers["files"].calls()) - before
                    equal((response.status, calls), (401, 0) if key == revoked else (200, 1), f"{version}, revoked: {key == revoked}")
                    client.session = client.session if key == good else None


def case_a_key_with_narrow_scopes_resumes_a_stream_and_sends_what_clients_send():
    with Place() as place:
        with place.client(place.made("tool:files/*"), "/mcp/files") as client:
            connection, response = client.raw("GET", None, {"Accept": "text/event-stream", "Last-Event-ID": "7"})
            equal(response.status, 400, "a place that the server never named")
            connection.close()
            connection, response = client.raw("GET", None, {"Accept": "text/event-stream"})
            equal(response.status, 405, "a server without streams")
            connection.close()
            for method in ("tasks/export", "vendor/deleteAll", "completion/complete"):
                answer = client.ask(method)
                check("error" in answer and "not good for" in answer["error"]["message"], f"{method}: {answer}")


def case_what_is_done_with_keys_is_in_the_log():
    with Place() as place:
        first = place.made("server:files", name="early")
        second = place.key("rotate", id_of(first), "--expires", "1h")
        place.key("revoke", id_of(first))
        wait_for(lambda: place.gateway.entries(kind="key.revoked"), "what was done is not recorded")
        found = [(entry["kind"], entry["key"], entry["by"]) for entry in place.gateway.entries() if entry["kind"].startswith("key.")]
        by = f"uid:{os.getuid()}"
        equal(found, [("key.created", id_of(first), by), ("key.rotated", id_of(second), by), ("key.revoked", id_of(first), by)], "the log")
        made = place.gateway.entries(kind="key.rotated")[0]
        equal((made["principal"], made["scopes"], made["replaces"]), ("early", ["server:files"], id_of(first)), "what it says")
        check("T" in made["expires_at"] and "T" in made["done_at"], f"times: {made}")


def case_the_log_says_which_key_was_shown_in_which_session():
    for version in ERAS:
        with Place() as place:
            old = place.made("mcp")
            with place.client(old, "/mcp/files", version) as client:
                client.text("read")
                client.text("read")
                new = place.key("rotate", id_of(old), "--expires", "1h")
                client.key = new
                client.text("write")
            shown = place.gateway.entries(kind="access.shown")
            equal([(entry["key"], entry["principal"]) for entry in shown], [(id_of(old), "ann"), (id_of(new), "ann")], f"keys, {version}")
            calls = [entry for entry in place.gateway.entries(method="tools/call") if entry.get("direction") == "to_server"]
            equal({entry["session"] for entry in calls}, {entry["session"] for entry in shown}, f"sessions, {version}")


def case_an_open_stream_ends_with_its_key():
    with Place() as place:
        keys = [place.made("mcp"), place.made("mcp", name="bob")]
        clients = [place.client(key) for key in keys]
        streams = [client.listen() for client in clients]
        place.key("revoke", id_of(keys[0]))
        check(streams[0].ended.wait(PATIENCE), "the stream goes on without a good key")
        check(not streams[1].ended.is_set(), "another one's stream ended too")
        clients[0].session = None
        for client in clients:
            client.__exit__()


def case_rotation_leaves_both_keys_good_for_a_while():
    with Place() as place:
        old = place.made("server:files")
        new = place.key("rotate", id_of(old), "--expires", "1h", "--overlap", "30min")
        for key in (old, new):
            with place.client(key) as client:
                equal(client.tools(), ["files__read", "files__write"], "tools")
        last = place.key("rotate", id_of(new), "--expires", "1h", "--overlap", "0")
        equal([place.status(key)[0] for key in (old, new, last)], [200, 401, 200], "after one without overlap")


def case_scopes_hold_at_both_endpoints_and_in_each_era():
    for version in ERAS:
        with Place() as place:
            key = place.made("tool:files/read", "resource:files/file:///srv/*")
            with place.client(place.made("mcp"), "/mcp", version) as all_of_it:
                equal(sorted(all_of_it.tools()), ["files__read", "files__write", "git__read", "git__write"], f"without limits, {version}")
            with place.client(key, "/mcp", version) as client:
                equal(client.tools(), ["files__read"], f"tools at /mcp, {version}")
                equal(client.text("files__read"), "did read", "what the key is good for")
                for tool in ("files__write", "git__read"):
                    answer = client.ask("tools/call", {"name": tool, "arguments": {}})
                    check("not good for" in json.dumps(answer) or "unknown" in json.dumps(answer).lower(), f"{tool}: {answer}")
            with place.client(key, "/mcp/files", version) as client:
                equal(client.tools(), ["read"], f"tools at /mcp/files, {version}")
                refused = client.call("write")
                check(refused.get("isError") and "access.scope" in json.dumps(refused), f"{refused}")
                equal([held["uri"] for held in client.result("resources/list")["resources"]], ["file:///srv/a"], "resources")
                equal(client.result("resources/read", {"uri": "file:///srv/a"})["contents"][0]["text"], "content", "a resource")
                answer = client.ask("resources/read", {"uri": "file:///etc/b"})
                check("error" in answer and "not good for" in answer["error"]["message"], f"{answer}")
            status, headers = place.status(key, "/mcp/git", version=version)
            equal(status, 403, "a server out of reach")
            check('error="insufficient_scope"' in headers["WWW-Authenticate"] and 'scope="server:git"' in headers["WWW-Authenticate"],
                  f"the challenge: {headers}")
            equal(set(place.servers["files"].calls()), {"read"}, "calls that reached the server")
            equal(place.servers["git"].calls(), [], "calls that reached the other")
            entries = place.gateway.entries(rule="access.scope")
            check(entries and all(entry["principal"] == "ann" for entry in entries), f"the log: {entries[:2]}")


# For some who read them these lead out of `/srv`, or to what is secret there.
UNCLEAR = ("file:///srv/../etc/b", "file:///srv/.\t./etc/b", "file:///srv/%2\te./etc/b", "file:///srv/./secret/x", "FILE:///srv/secret/x",
           "file:///srv/%73ecret/x", "file:///srv/secret/x#.", " file:///srv/secret/x")


def case_a_uri_that_can_be_read_as_several_passes_no_rule_about_names():
    roles = """
[role.only]
allow = ["resource:files/file:///srv/*"]
members = ["ann"]
[role.most]
allow = ["mcp"]
deny = ["group:secret"]
members = ["bob"]
[role.asked]
allow = ["mcp"]
approve = ["group:secret"]
members = ["cid"]
[role.all]
allow = ["mcp"]
members = ["eve"]
[tool_group.secret]
members = ["resource:files/file:///srv/secret/*"]
"""
    for version in ERAS:
        with Place(REQUIRED + roles) as place:
            scoped = place.made("resource:files/file:///srv/*", name="eve")
            keys = [place.made("mcp", name=name) for name in ("ann", "bob", "cid")] + [scoped]
            for key in keys:
                with place.client(key, "/mcp/files", version) as client:
                    for uri in UNCLEAR:
                        answer = client.ask("resources/read", {"uri": uri})
                        check("error" in answer, f"{uri!r} {version}: {answer}")
                    for uri in ("file:///srv/a", "file:///srv/My%20Notes/a..b(1).md", "file:///srv/b%28c%29"):
                        equal(client.result("resources/read", {"uri": uri})["contents"][0]["uri"], uri, f"an ordinary name, {version}")
            heard = [message["params"]["uri"] for message, _ in place.servers["files"].heard if message.get("method") == "resources/read"]
            check(heard and not set(heard) & set(UNCLEAR), f"what reached the server: {heard}")
            with place.client(place.made("mcp", name="eve"), "/mcp/files", version) as client:
                # The header that repeats it has no spaces around.
                for uri in (uri for uri in UNCLEAR if uri == uri.strip()):
                    equal(client.result("resources/read", {"uri": uri})["contents"][0]["uri"], uri, f"for whom no rule is meant, {version}")


def case_an_argument_in_another_case_is_none_that_a_policy_has_seen():
    policies = 'permit(principal, action, resource);'
    policies += '@id("large") forbid(principal, action == Mcp::Action::"files/write", resource) when { context.input has amount && context.input.amount > 100 };'
    for version in ERAS:
        with Place() as place:
            key, config = place.made("mcp"), place.gateway.config
            (config.parent / "p.cedar").write_text(policies)
            config.write_text(config.read_text() + '[policy]\nfiles = ["p.cedar"]\n')
            wait_for(lambda: place.gateway.entries(kind="config.reloaded"), "the policies are not in force")
            with place.client(key, "/mcp/files", version) as client:
                for arguments, allowed in (({"amount": 5}, True), ({"amount": 5, "note": 500}, True), ({"amount": 500}, False),
                                           ({"amount": 5, "Amount": 500}, False), ({"AMOUNT": 500}, False)):
                    answer = json.dumps(client.ask("tools/call", {"name": "write", "arguments": arguments}))
                    equal("did write" in answer, allowed, f"{arguments}: {answer}")


ROLES = """
[role.clerk]
allow = ["tool:files/write", "resource:files/file:///srv/*"]
deny = ["tool:files/drop"]
members = ["ann"]
[policy]
files = ["p.cedar"]
"""
POLICIES = """
@id("small") permit(principal == Mcp::User::"bob", action == Mcp::Action::"files/read", resource)
when { context.input has amount && context.input.amount <= 500 };
"""


def case_policies_hold_at_both_endpoints_and_in_each_era_from_the_reload_on_that_brings_them():
    for version in ERAS:
        with Place() as place:
            ann, bob, eve = (place.made("mcp", name=name) for name in ("ann", "bob", "eve"))
            with place.client(eve, "/mcp", version) as client:
                equal(len(client.tools()), 4, f"tools before, {version}")
            config = place.gateway.config
            (config.parent / "p.cedar").write_text(POLICIES)
            config.write_text(config.read_text() + ROLES)
            wait_for(lambda: place.gateway.entries(kind="config.reloaded"), "the policies are not in force")
            with place.client(ann, "/mcp", version) as client:
                equal(client.tools(), ["files__write"], f"tools at /mcp, {version}")
                equal(client.text("files__write"), "did write", "what a role allows")
            with place.client(ann, "/mcp/files", version) as client:
                refused = client.call("read")
                check(refused.get("isError") and "policy.denied" in json.dumps(refused), f"{refused}")
                equal([held["uri"] for held in client.result("resources/list")["resources"]], ["file:///srv/a"], "resources")
                answer = client.ask("resources/read", {"uri": "file:///etc/b"})
                check("error" in answer and "no policy allows" in answer["error"]["message"], f"{answer}")
            with place.client(bob, "/mcp/files", version) as client:
                equal(client.tools(), ["read"], f"tools that some arguments allow, {version}")
                for amount, allowed in ((500, True), (501, False), ("500", False), (None, False)):
                    arguments = {} if amount is None else {"amount": amount}
                    answer = json.dumps(client.ask("tools/call", {"name": "read", "arguments": arguments}))
                    equal("did read" in answer, allowed, f"{amount}: {answer}")
            with place.client(eve, "/mcp/files", version) as client:
                equal(client.tools(), [], f"tools of somebody else, {version}")
            equal(sorted(place.servers["files"].calls()), ["read", "write"], "calls that reached the server")
            passed = {entry["principal"]: entry for entry in place.gateway.entries(kind="message", method="tools/call", form="request")
                      if entry["decision"] == "allow"}
            role = passed["ann"]["permitted_by"]
            check(len(role) == 1 and role[0].startswith("role.") and ".allow " in role[0], f"a role: {role}")
            check(passed["bob"]["permitted_by"] and passed["bob"]["permitted_by"] != role, f"a policy: {passed['bob']}")
            listed = place.gateway.entries(kind="message", method="tools/list")
            check(not any("permitted_by" in entry for entry in listed), "what policies do not decide about names none")
            denied = place.gateway.entries(rule="policy.denied")
            check(denied and not any("permitted_by" in entry for entry in denied), "what is denied names none")


def case_what_passes_by_the_default_is_recorded_as_that():
    for policy, permitted, words in (('[policy]\ndefault = "permit"\n', [], 'no policy says anything about it, which `default = "permit"` lets pass'),
                                     ('[role.all]\nallow = ["server:files"]\nmembers = ["ann"]\n', ["role.all.allow server:files"],
                                      "permitted by the role `all` (`server:files`)"), ("", None, None)):
        with Place(REQUIRED + policy) as place:
            with place.client(place.made("mcp"), "/mcp/files") as client:
                equal(client.text("read"), "did read", policy)
            [entry] = place.gateway.entries(kind="message", method="tools/call", form="request")
            equal(entry.get("permitted_by"), permitted, policy)
            done = subprocess.run([BINARY, "why", entry["id"], "--config", str(place.gateway.config)], env=place.gateway.environment,
                                  capture_output=True, text=True, timeout=60)
            check((words or "") in done.stdout and ("Policies: " in done.stdout) == bool(words), done.stdout)


def case_methods_that_nobody_knows_are_for_who_may_use_the_whole_server():
    policies = 'permit(principal == Mcp::User::"ann", action, resource in Mcp::Server::"files");'
    policies += 'permit(principal == Mcp::User::"bob", action, resource == Mcp::Tool::"files/read");'
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "p.cedar")
        file.write_text(policies)
        with Place(REQUIRED + f'[policy]\nfiles = ["{file}"]\n') as place:
            heard = lambda: [message["method"] for message, _ in place.servers["files"].heard]  # noqa: E731
            ann, bob = (place.made("mcp", name=name) for name in ("ann", "bob"))
            for version in ERAS:
                with place.client(ann, "/mcp/files", version) as client:
                    check("error" not in client.ask("vendor/wipe", {"all": True}), "whoever may use all of it")
                    check("vendor/wipe" in heard(), "it is passed")
                    for method in ("Tools/Call", "tools//call", "tools\\/call", "tools/call/", "tools.call"):
                        answer = client.ask(method, {"name": "write", "arguments": {"amount": 1}})
                        routes.refused(answer, "conformance.method_spelling")
                    before = len(place.gateway.entries(rule="conformance.missing_id"))
                    meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {},
                            "io.modelcontextprotocol/clientInfo": {"name": "suite", "version": "1"}}
                    client.post({"jsonrpc": "2.0", "method": "tools/call",
                                 "params": {"name": "write"} | ({"_meta": meta} if version == MODERN else {})})
                    equal(len(place.gateway.entries(rule="conformance.missing_id")), before + 1, "a call without an id")
                    if version != MODERN:
                        client.notify("notifications/roots/list_changed")
                    equal(client.text("read"), "did read", "a call")
                for path in ("/mcp", "/mcp/files"):
                    with place.client(bob, path, version) as client:
                        equal(client.text("read" if path != "/mcp" else "files__read"), "did read", "what bob may")
                        for method in ("vendor/wipe", "sampling/createMessage", "roots/list", "notifications/message"):
                            check("error" in client.ask(method, {"all": True}), f"{method}: some of it is enough, {path}, {version}")
                        check("error" not in client.ask("resources/list"), "what the specification knows")
                check(not {"sampling/createMessage", "roots/list"} & set(heard()), f"what only servers ask: {heard()}")
                check(heard().count("vendor/wipe") == 1 and "write" not in place.servers["files"].calls(), f"{heard()}")
                place.servers["files"].heard.clear()


def case_a_changed_policy_file_is_in_force_by_itself_and_a_bad_one_is_not():
    with Place() as place:
        config, policies = place.gateway.config, place.gateway.config.parent / "elsewhere" / "p.cedar"
        policies.parent.mkdir()
        write = lambda tool: policies.write_text(f'permit(principal, action == Mcp::Action::"files/{tool}", resource);')  # noqa: E731
        config.write_text(config.read_text() + '[policy]\nfiles = ["elsewhere/p.cedar"]\n')
        wait_for(lambda: place.gateway.entries(kind="config.refused"), "a file that is not there is not refused")
        policies.write_text("permit(principal,")
        wait_for(lambda: len(place.gateway.entries(kind="config.refused")) == 2, "a file that came is not looked at")
        check(not place.gateway.entries(kind="config.reloaded"), "a bad one is in force")
        write("read")
        wait_for(lambda: place.gateway.entries(kind="config.reloaded"), "the policies are not in force once the file is good")
        tools = lambda: [tool for client in [place.client(key, "/mcp/files", MODERN)] for tool in client.tools()]  # noqa: E731
        key = place.made("mcp")
        equal(tools(), ["read"], "as it was")
        first = place.gateway.entries(kind="config.reloaded")[-1]["policies"]
        write("write")
        wait_for(lambda: tools() == ["write"], "a changed file is not in force")
        # It is in force before it is in the log.
        second = wait_for(lambda: [held for held in [place.gateway.entries(kind="config.reloaded")[-1]["policies"]] if held != first],
                          "what is in force is not in the log")[0]
        with place.client(key, "/mcp/files", MODERN) as client:
            routes.refused(client.ask("tools/call", {"name": "read", "arguments": {}}), "policy.denied")
        decided = place.gateway.entries(rule="policy.denied")[-1]
        equal((decided["policies"], first != second), (second, True), "the version that decided")
        said = lambda *words: subprocess.run([BINARY, "policy", *words, "--config", str(config)], env=place.gateway.environment,  # noqa: E731
                                             capture_output=True, text=True, timeout=60)
        history = wait_for(lambda: [held for held in [json.loads(said("history", "--json").stdout)["versions"]] if held[-1]["version"] == second],
                           "the history does not have it")[0]
        equal([held["version"] for held in history][-2:], [first, second], "the versions, in order")
        check('files/read"' in said("show", first[:8]).stdout and 'files/write"' not in said("show", first).stdout, "what the first was")
        check(history[-1]["changes"] and all("+1 -1" in change for change in history[-1]["changes"]), f"{history[-1]}")
        changed = said("show", second, "--changes").stdout
        check(any(line.startswith("- ") and "files/read" in line for line in changed.splitlines()) and '+ ' in changed, changed)
        equal(said("show", "nothing").returncode, 3, "a version that there is not")
        policies.write_text("permit(principal, action,")
        wait_for(lambda: len(place.gateway.entries(kind="config.refused")) == 3, "a bad file is not refused")
        equal(tools(), ["write"], "the one before stays")
        check("degraded" in ready(place), "readiness does not say so")
        policies.unlink()
        time.sleep(1.5)
        equal(tools(), ["write"], "the one before stays without a file")
        write("read")
        wait_for(lambda: tools() == ["read"], "a good file is not in force")
        wait_for(lambda: "degraded" not in ready(place), "still degraded")


def ready(place):
    connection = http.client.HTTPConnection(*place.gateway.admin, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", "/readyz")
        return connection.getresponse().read().decode()


def case_what_one_key_does_not_see_is_approved_for_others_all_the_same():
    with Place() as place:
        with place.client(place.made("tool:files/read"), "/mcp/files") as narrow:
            equal(narrow.tools(), ["read"], "the first client")
        with place.client(place.made("mcp", name="bob"), "/mcp/files") as wide:
            equal(wide.tools(), ["read", "write"], "the second")
            equal(wide.text("write"), "did write", "a tool that the first did not see")


def case_a_session_belongs_to_who_began_it():
    with Place() as place:
        ann, bob, less = place.made("mcp"), place.made("mcp", name="bob"), place.made("server:files")
        with place.client(ann) as client:
            for key, what in ((bob, "another principal"), (less, "the same one with less")):
                thief = Keyed.__new__(Keyed)
                vars(thief).update(vars(client) | {"key": key, "open": []})
                thief.request("tools/list")
                equal(thief.status, 404, f"the session of {what}")
                for method in ("GET", "DELETE"):
                    connection, response = thief.raw(method, None, {"Accept": "text/event-stream"})
                    equal(response.status, 404, f"{method} of {what}")
                    connection.close()
            check(client.tools(), "its owner's goes on")


def forgetful():
    """A place whose servers tell nobody apart."""
    return Place(servers={name: routes.Forgetful() for name in ("one", "two")})


def case_a_task_is_of_who_began_it_by_every_route():
    for path in ("/mcp/one", "/mcp"):
        for version in ("2025-11-25", MODERN):
            with forgetful() as place:
                routes.tasks(place, place.servers["one"], "one", path, version)


def case_a_task_that_a_narrow_key_began_is_of_its_person_and_of_nobody_after_a_restart():
    for path in ("/mcp/one", "/mcp"):
        for version in ("2025-11-25", MODERN):
            with forgetful() as place:
                routes.narrow(place, place.servers["one"], path, version)


def case_a_policy_holds_by_every_endpoint_and_in_every_revision():
    every_route.over_http()


def case_a_policy_holds_over_stdio_in_every_revision():
    every_route.over_stdio()


def case_a_state_is_of_who_got_it_by_every_route():
    for path in ("/mcp/one", "/mcp"):
        with forgetful() as place:
            routes.states(place, place.servers["one"], "one", path)


def case_where_no_key_is_needed_nobody_in_particular_keeps_their_own_and_gets_nobody_elses():
    with Place("", {"one": routes.Forgetful()}) as place:
        with place.client(None, "/mcp/one") as nobody, place.client(place.made("mcp"), "/mcp/one") as ann:
            theirs, hers = routes.begun(nobody, "work", False), routes.begun(ann, "work", False)
            equal("error" in nobody.ask("tasks/get", {"taskId": theirs}), False, "one's own")
            equal([held["taskId"] for held in nobody.result("tasks/list")["tasks"]], [theirs], "the list of nobody in particular")
            equal([held["taskId"] for held in ann.result("tasks/list")["tasks"]], [hers], "the list of somebody")
            routes.refused(nobody.ask("tasks/get", {"taskId": hers}), "access.handed_out")
            routes.refused(ann.ask("tasks/get", {"taskId": theirs}), "access.handed_out")
            routes.refused(nobody.ask("tasks/result", {"taskId": hers}), "access.handed_out")


def case_a_call_is_not_answered_when_its_key_was_revoked_meanwhile():
    for path in ("/mcp/one", "/mcp"):
        for version in ("2025-11-25", MODERN):
            with forgetful() as place:
                routes.late(place, place.servers["one"], path, version)


def case_a_place_in_a_stream_is_of_who_was_there():
    for path in ("/mcp/one", "/mcp"):
        with forgetful() as place:
            routes.resumed(place, place.servers["one"], path)


def case_a_key_for_one_resource_of_a_template_reads_it_at_both_endpoints():
    for version in ERAS:
        with forgetful() as place:
            key = place.made("resource:two/note://a")
            for path in ("/mcp", "/mcp/two"):
                with place.client(key, path, version) as client:
                    equal(client.result("resources/templates/list")["resourceTemplates"], [], f"templates at {path}, {version}")
                    equal(client.result("resources/read", {"uri": "note://a"})["contents"][0]["text"], "text of note://a", f"{path} {version}")
                    answer = client.ask("resources/read", {"uri": "note://b"})
                    check("error" in answer and "text of" not in json.dumps(answer), f"another one at {path}, {version}: {answer}")
            with place.client(place.made("mcp"), "/mcp", version) as client:
                answer = client.ask("completion/complete", {"ref": {"type": "ref/resource", "uri": "note://{name}"}, "argument": {"name": "name", "value": "o"}})
                check("result" in answer, f"completions with a key for all: {answer}")
            with place.client(key, "/mcp/two", version) as client:
                for params in ({"ref": {"type": "ref/resource", "uri": "note://{name}"}}, {"ref": {"type": "ref/prompt", "name": "greet"}}, {}):
                    answer = client.ask("completion/complete", params | {"argument": {"name": "name", "value": "o"}})
                    routes.refused(answer, "access.scope")


def case_a_key_is_shown_to_nobody():
    with Place('[auth]\nrequired = true\n[log]\nlevel = "trace"\n') as place:
        key, ended = place.made("mcp"), place.made("mcp", expires="1ms")
        with place.client(key) as client:
            client.text("files__read")
        place.status(ended)
        metrics, home = place.gateway.metrics(), place.gateway.home
        secrets = [held.split("_")[2] for held in (key, ended)]
        heard = [json.dumps(headers) for server in place.servers.values() for _, headers in server.heard]
        check(heard and not any("authorization" in text.lower() for text in heard), "the servers hear nothing of keys")
        for path in [held for held in home.rglob("*") if held.is_file()]:
            for secret in secrets:
                check(secret.encode() not in path.read_bytes(), f"{path} holds a key")
        check(not any(secret in metrics for secret in secrets), "the metrics hold a key")
        used = wait_for(lambda: [held for held in json.loads(place.key("list", "--json"))["keys"] if "last_used_at" in held], "no use is noted")
        equal([held["id"] for held in used], [id_of(key)], "which was used")


def case_where_none_is_needed_a_bad_one_is_refused_all_the_same():
    with Place("") as place:
        with place.client(None) as client:
            check(len(client.tools()) == 4, "nobody in particular sees all")
        check(not (place.gateway.home / "state.db").exists(), "nothing is kept for nobody")
        equal(place.status("btz_nonsense")[0], 401, "something like a key")
        key = place.made("server:git")
        with place.client(key) as client:
            equal(client.tools(), ["git__read", "git__write"], "a key limits its holder")
        place.key("revoke", key)
        equal(place.status(key)[0], 401, "a revoked key, named by itself")
        equal(place.status("of-somebody-else")[0], 200, "a token of another service opens nothing and closes nothing")
        # The operator is told of both, once in a while, and finds the refusal by its id.
        equal(place.status(key)[0], 401, "again")
        said = [line for line in place.gateway.said.read_text().splitlines() if "a credential is refused" in line]
        equal(len(said), 2, "each reason once")
        check("it has not the form of a key" in said[0] and "key=" not in said[0], said[0])
        check(f'said="key={id_of(key)}"' in said[1] and "or it was revoked" in said[1], said[1])
        check(key not in place.gateway.said.read_text(), "the key itself")
        for line in said:
            check(" from=127.0.0.1 " in line, line)
            found = lambda: [entry for entry in place.gateway.entries(kind="edge.refused") if entry["id"] in line]  # noqa: E731,B023
            wait_for(found, "the log has it by its id")


def case_what_is_wrong_with_the_places_of_the_store_and_the_log_is_said_and_not_each_second():
    new, unmade, exposed = "a new one begins", "the store cannot be made", "others than its owner may use it"
    with Place("") as place:
        said = place.gateway.said.read_text
        line = next(line for line in said().splitlines() if new in line)
        check(str(place.gateway.home / "audit") in line and unmade not in said(), line)
        key = place.made("mcp")
        equal(place.status(key)[0], 200, "the twin: a store that is for its owner only")
        os.chmod(place.gateway.home / "state.db", 0o640)
        place.gateway.again()
        check(new not in said(), "the log goes on")
        wait_for(lambda: exposed in said(), "the store is refused")
        time.sleep(3)
        told = [line for line in said().splitlines() if exposed in line and "cannot be told what was done" in line]
        equal(len(told), 1, "once a minute")
    with Place('[store]\npath = "/proc/none/state.db"\n') as place:
        check(unmade in place.gateway.said.read_text() and "/proc/none" in place.gateway.said.read_text(), "at the start")
        equal(place.status(None)[0], 200, "who shows nothing needs none")
        done = subprocess.run([BINARY, "key", "create", "ann", "--scope", "mcp", "--expires", "1h", "--config", str(place.gateway.config)],
                              env=place.gateway.environment, capture_output=True, text=True, timeout=60)
        check(done.returncode and "the directory of the store cannot be made (`path` under [store])" in done.stderr, done.stderr)


def case_keys_are_required_from_the_reload_on_that_says_so():
    with Place("") as place:
        with place.client(None) as client:
            check(client.tools(), "before")
            stream = client.listen()
            config = place.gateway.config.read_text()
            place.gateway.config.write_text(config + REQUIRED)
            wait_for(lambda: place.status(None)[0] == 401, "a key is still not required")
            client.request("tools/list")
            equal(client.status, 401, "the session from before")
            check(stream.ended.wait(PATIENCE), "a stream from before goes on")
            client.session = None


def case_whoever_tries_many_keys_waits_and_keeps_nobody_else_out():
    with Place() as place:
        good = place.made("mcp")
        seen = [place.status("btz_nonsense") for _ in range(14)]
        equal([status for status, _ in seen], [401] * 10 + [429] * 4, "one wrong key after the other")
        equal([headers.get("Retry-After") for _, headers in seen[10:]], ["1", "2", "4", "8"], "how long to wait")
        equal(place.status(good)[0], 200, "a good key from the same address")
        counted = wait_for(lambda: [entry for entry in place.gateway.entries(kind="edge.refused")], "refusals are not counted")
        check("edge.credential" in json.dumps(counted), f"{counted[:2]}")


def case_a_page_that_is_allowed_sees_its_answers_and_no_other_does():
    with Place(REQUIRED) as place:
        # The configuration has no list: pages of this machine may, others may not.
        page = {"Origin": "http://localhost:6274"}
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,mcp-session-id,cookie"}
        status, headers = place.status(None, method="OPTIONS", headers=page | asks)
        equal((status, headers["Access-Control-Allow-Origin"], headers["Access-Control-Allow-Headers"]),
              (204, page["Origin"], "authorization, mcp-session-id"), "what a browser asks before")
        check("Access-Control-Allow-Credentials" not in headers, "no cookies")
        key = place.made("mcp")
        for shown, wanted in ((key, 200), ("btz_nonsense", 401)):
            status, headers = place.status(shown, headers=page)
            equal((status, headers["Access-Control-Allow-Origin"], headers["Vary"]), (wanted, page["Origin"], "origin"), "an answer")
            check("mcp-session-id" in headers["Access-Control-Expose-Headers"], "its session")
        for headers in ({"Origin": "https://evil.example"} | asks, {"Origin": "null"} | asks):
            for method in ("OPTIONS", "POST"):
                status, said = place.status(key, method=method, headers=headers)
                equal((status, said["Access-Control-Allow-Origin"]), (403, None), f"{method} of {headers['Origin']}")
        status, said = place.status(key)
        equal((status, said["Access-Control-Allow-Origin"]), (200, None), "no page")
        equal(place.status(key, method="OPTIONS")[0], 405, "no browser")


def case_the_official_client_comes_in_with_a_key():
    script = """
import sys
import anyio, httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
async def main():
    url, key, mode = sys.argv[1:]
    async with httpx2.AsyncClient(headers={"Authorization": "Bearer " + key}) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            print([tool.name for tool in (await client.list_tools()).tools])
            print((await client.call_tool("files__read", {})).content[0].text)
anyio.run(main)
"""
    with Place() as place:
        key = place.made("tool:files/*")
        for mode in ("auto", "legacy", MODERN):
            done = subprocess.run([str(TOOLS / "python" / "bin" / "python"), "-c", script, place.gateway.url, key, mode],
                                  capture_output=True, text=True, timeout=120)
            equal(done.stdout.splitlines(), ["['files__read', 'files__write']", "did read"], f"{mode}: {done.stderr[-800:]}")


if __name__ == "__main__":
    sys.exit(run_cases(cases_of(globals())))
