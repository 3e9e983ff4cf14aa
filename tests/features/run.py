#!/usr/bin/env python3
"""The cargo features of the program: all of them are in what is released, each can be left out, and the page says so.

In short, the program without any of them is checked with clippy; in the long version it is built as well and used, and
checked with each feature alone.
"""

import contextlib
import functools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
FIXTURE = pathlib.Path(os.environ.get("BARTIZAN_FIXTURE", TARGET / "debug/bartizan-fixture")).resolve()
LONG = os.environ.get("BARTIZAN_TEST_LONG") == "1"
LOCKED = ["--locked"] if os.environ.get("CI") else []
PATIENCE = 60
# Those that are off unless they are asked for.
ON_REQUEST = {"keyring", "onnx"}
# Where a feature decides what is compiled. Anything more would have to be read in as many ways as there are features.
PLACES = {
    "cli/src/commands/mod.rs",
    "cli/src/commands/schema.rs",
    "cli/src/commands/serve.rs",
    "config/src/redteam.rs",
    "config/src/tls.rs",
    "gateway/src/edge/mod.rs",
    # A test that speaks https where there is some.
    "gateway/src/fetch/tests.rs",
    "gateway/src/lib.rs",
    "keyring/src/lib.rs",
    "onnx/src/lib.rs",
    "gateway/src/reload.rs",
    "gateway/src/upstream/mod.rs",
}
INITIALIZE = {"id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "features", "version": "1"}}}
INITIALIZED = {"method": "notifications/initialized"}
CALL = {"id": 2, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "as before"}}}


class Manifests(unittest.TestCase):
    def test_what_is_released_has_every_feature(self):
        for name, package in packages().items():
            features = dict(package["features"])
            default = set(features.pop("default", []))
            self.assertEqual(default, set(features) - ON_REQUEST, name)

    def test_the_program_hands_on_every_feature_of_its_crates(self):
        features = packages()["cli"]["features"]
        handed_on = {one for needs in features.values() for one in needs}
        for feature in set(packages()["gateway"]["features"]) - {"default"}:
            self.assertIn(f"bartizan-gateway/{feature}", handed_on)
        for feature in ON_REQUEST:
            self.assertEqual(features[feature], [f"bartizan-{feature}/{feature}"])
        # Whoever speaks TLS is who says that a URL may ask for it.
        self.assertIn("bartizan-config/tls", packages()["gateway"]["features"]["tls"])
        self.assertIn("bartizan-config/redteam", features["redteam"])
        self.assertEqual(set(packages()["config"]["features"]), {"default", "redteam", "tls"})

    def test_every_optional_crate_belongs_to_a_feature(self):
        for name, package in packages().items():
            needed = {one.removeprefix("dep:") for needs in package["features"].values() for one in needs}
            optional = {crate["name"] for crate in package["dependencies"] if crate["optional"]}
            self.assertLessEqual(optional, needed, name)

    def test_features_decide_in_few_places(self):
        sources = (ROOT / "crates").glob("*/src/**/*.rs")
        asking = {str(path.relative_to(ROOT / "crates")) for path in sources if 'feature = "' in path.read_text()}
        self.assertEqual(asking, PLACES)

    def test_the_page_names_every_feature(self):
        page = (ROOT / "CONTRIBUTING.md").read_text().split("\n## Features\n")[1].split("\n## ")[0]
        named = set(re.findall(r"(?m)^\| `(\w+)` \|", page))
        self.assertEqual(named, set(packages()["cli"]["features"]) - {"default"})


class WithoutAny(unittest.TestCase):
    def test_nothing_is_amiss_without_any_feature(self):
        # The whole workspace, so that what does not depend on a feature is not compiled for this alone.
        cargo("clippy", "--workspace", "--no-default-features", *LOCKED, "--", "-D", "warnings")


class OnRequest(unittest.TestCase):
    def test_nothing_is_amiss_with_what_is_off_by_itself(self):
        # One crate of ours, and those that it brings; `tests/keyring` uses it in the long version.
        cargo("clippy", "-p", "bartizan-keyring", "--all-features", "--all-targets", *LOCKED, "--", "-D", "warnings")


class Alone(unittest.TestCase):
    def test_each_feature_needs_no_other(self):
        for feature in set(packages()["cli"]["features"]) - {"default"}:
            with self.subTest(feature):
                cargo("check", "-p", "bartizan-cli", "--no-default-features", "--features", feature, *LOCKED)

    def test_models_run_and_are_refused_as_they_should(self):
        # What they bring takes minutes to compile.
        cargo("clippy", "-p", "bartizan-onnx", "--all-features", "--all-targets", *LOCKED, "--", "-D", "warnings")
        said = cargo("test", "-p", "bartizan-onnx", "--all-features", "--test", "models", *LOCKED)
        self.assertRegex(said, r"ok\. [1-9]\d passed; 0 failed")

    def test_a_certificate_is_an_error_without_tls(self):
        said = cargo("test", "-p", "bartizan-config", "--no-default-features", *LOCKED, "--test", "no_tls")
        self.assertIn("1 passed", said)

    def test_the_gateway_without_tls_sends_nothing_to_https(self):
        said = cargo("test", "-p", "bartizan-gateway", "--no-default-features", "--lib", *LOCKED, "upstream::tls::")
        self.assertIn("1 passed", said)


class Built(unittest.TestCase):
    """The program without any feature."""

    @classmethod
    def setUpClass(cls):
        # A folder of its own: the other suites go on with the whole program.
        folder = TARGET / "features"
        cargo("build", "-p", "bartizan-cli", "--no-default-features", "--target-dir", str(folder), *LOCKED)
        cls.program = folder / "debug" / "bartizan"

    def setUp(self):
        home = tempfile.TemporaryDirectory(prefix="bartizan-features-", ignore_cleanup_errors=True)
        self.addCleanup(home.cleanup)
        self.home = pathlib.Path(home.name)
        self.env = {"HOME": home.name, "PATH": "/usr/bin:/bin", "NO_COLOR": "1"}

    def end(self, *words):
        """The exit status of a command and what it says."""
        ended = subprocess.run([self.program, *words], cwd=self.home, env=self.env, capture_output=True, text=True,
                               timeout=PATIENCE)
        return ended.returncode, ended.stdout + ended.stderr

    def test_a_call_passes_over_stdio(self):
        lines = "".join(json.dumps({"jsonrpc": "2.0"} | message) + "\n" for message in (INITIALIZE, INITIALIZED, CALL))
        command = [self.program, "run", "--standalone", "--", FIXTURE, "--stdio"]
        with subprocess.Popen(command, cwd=self.home, env=self.env, text=True, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            process.stdin.write(lines)
            process.stdin.flush()
            answer = {}
            while answer.get("id") != 2:
                answer = json.loads(process.stdout.readline())
            self.assertIn("as before", json.dumps(answer["result"]))
            process.stdin.close()
            process.wait(PATIENCE)

    def test_a_call_passes_over_http_to_a_program_and_to_a_url(self):
        with self.fixture() as address, self.gateway(address) as (url, _):
            for server in ("local", "remote"):
                with self.subTest(server):
                    session = post(f"{url}/mcp/{server}", INITIALIZE)[1]
                    post(f"{url}/mcp/{server}", INITIALIZED, session)
                    answer, _ = post(f"{url}/mcp/{server}", CALL, session)
                    self.assertIn("as before", json.dumps(answer["result"]))
        self.assertEqual(self.end("audit", "verify")[0], 0)

    def test_https_is_refused_before_anything_starts(self):
        (self.home / "bartizan.toml").write_text('[server.far]\nurl = "https://127.0.0.1:1/mcp"\n')
        for command in (["config", "check"], ["serve"]):
            status, said = self.end(*command)
            self.assertEqual(status, 2, said)
            self.assertIn("built without TLS", said)
            self.assertIn("bartizan.toml:2:7", said)
        self.assertFalse((self.home / ".local").exists(), "nothing was begun")
        (self.home / "bartizan.toml").write_text('[server.near]\nurl = "http://127.0.0.1:1/mcp"\n')
        self.assertEqual(self.end("config", "check")[0], 0)

    def test_trials_are_refused_before_anything_starts(self):
        (self.home / "bartizan.toml").write_text('[redteam]\n[server.near]\nurl = "http://127.0.0.1:1/mcp"\n')
        for command in (["config", "check"], ["serve"]):
            status, said = self.end(*command)
            self.assertEqual(status, 2, said)
            self.assertIn("built without the feature `redteam`", said)
            self.assertIn("bartizan.toml:1:2", said)
        self.assertFalse((self.home / ".local").exists(), "nothing was begun")

    def test_a_changed_configuration_waits_for_a_signal(self):
        with self.fixture() as address, self.gateway(address) as (_, process):
            file = self.home / "bartizan.toml"
            file.write_text(file.read_text() + '[server.more]\ncommand = ["cat"]\n')
            process.send_signal(signal.SIGHUP)
            while "the new configuration is in force" not in (line := process.stderr.readline()):
                self.assertTrue(line)
                self.said += line
        self.assertIn("send SIGHUP to reload it", self.said)
        self.assertIn("`watch`", self.said)

    def test_commands_of_features_are_not_there(self):
        _, help = self.end("--help")
        for command in ("demo", "man", "completions", "redteam"):
            self.assertNotIn(f"\n  {command}", help)
            self.assertEqual(self.end(command)[0], 2)
        for format in ("demo", "redteam"):
            self.assertNotIn(format, self.end("schema")[1])

    @contextlib.contextmanager
    def fixture(self):
        with subprocess.Popen([FIXTURE, "--listen", "127.0.0.1:0"], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as process:
            try:
                yield process.stdout.readline().strip()
            finally:
                process.terminate()

    @contextlib.contextmanager
    def gateway(self, address):
        """A gateway in front of the fixture, as a program and at a URL."""
        (self.home / "bartizan.toml").write_text(
            f'admin = false\n[listen]\naddress = "127.0.0.1:0"\n[server.local]\ncommand = ["{FIXTURE}", "--stdio"]\n'
            f'[server.remote]\nurl = "http://{address}/mcp"\n')
        with subprocess.Popen([self.program, "serve"], cwd=self.home, env=self.env, text=True, stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE) as process:
            try:
                self.said = ""
                while not (found := re.search(r"MCP at (http://\S+)/mcp", self.said)):
                    line = process.stderr.readline()
                    self.assertTrue(line, self.said)
                    self.said += line
                yield found[1], process
            finally:
                process.terminate()
                self.said += process.stderr.read()
                self.assertEqual(process.wait(PATIENCE), 0, self.said)


def post(url, message, session=None):
    """What is answered, be it JSON or the last event of a stream, and the session."""
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
               "MCP-Protocol-Version": "2025-11-25"} | ({"Mcp-Session-Id": session} if session else {})
    request = urllib.request.Request(url, json.dumps({"jsonrpc": "2.0"} | message).encode(), headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        body = answer.read().decode()
        found = re.findall(r"(?m)^data: ?(\{.*)$", body) or [body]
        return json.loads(found[-1]) if found[-1] else None, answer.headers.get("Mcp-Session-Id")


@functools.cache
def packages():
    """The crates of the program, by name without what they have in common."""
    listed = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=ROOT, check=True,
                            capture_output=True, text=True)
    packages = {package["name"]: package for package in json.loads(listed.stdout)["packages"]}
    names = [path.parent.name for path in (ROOT / "crates").glob("*/Cargo.toml")]
    return {name: packages[f"bartizan-{name}"] for name in names}


def cargo(*words):
    """What cargo printed, if it found nothing wrong."""
    ended = subprocess.run(["cargo", *words], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, f"cargo {' '.join(words)}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


if __name__ == "__main__":
    cases = [Manifests, WithoutAny, OnRequest, *([Alone, Built] if LONG else [])]
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    result = unittest.TextTestRunner(verbosity=2).run(unittest.TestSuite(map(load, cases)))
    failed = len(result.failures) + len(result.errors)
    print(f"{max(result.testsRun - failed, 0)} passed, {failed} failed")
    sys.exit(1 if failed else 0)
