#!/usr/bin/env python3
"""Does what the README and the book tell a reader to type, in an empty home.

Every line of a code block that starts with `bartizan` has to be listed here, with what it has to say and its exit
status, so that no page gives a command that was never tried.
"""

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("BARTIZAN_BIN", ROOT / "target/debug/bartizan")).resolve()
FIXTURE = pathlib.Path(os.environ.get("BARTIZAN_FIXTURE", PROGRAM.with_name("bartizan-fixture"))).resolve()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/src").glob("*.md"))]
# A trial of all attacks takes most of a minute by itself, and there may be others at work.
PATIENCE = 240
BLOCK = re.compile(r"(?ms)^```(\w*)\n(.*?)^```$")
KEY = "bartizan/b39f8e9a5e0bd2ef+f1e41bf0+AbvuSDEm6hQRnqZNxaOkaNlXSpiPLeyEh1pT9XKSS/g8"
# A command as it stands on a page: its exit status and a piece of what it says. Some need what came before.
COMMANDS = {
    "bartizan config check bartizan.toml": (0, "bartizan.toml: ok, 2 servers"),
    "bartizan audit verify": (0, "ok: "),
    "bartizan audit verify --head 11:d2d43414adaa1181fd05e2c7d463ed90f5c94b041a61f9afd71b14fe1d1bc5db": (1, "does not contain what was kept of it: "),
    "bartizan key create ann --scope mcp --expires 90d": (0, "good for mcp until"),
    "bartizan key create ci --scope tool:git/git_log --scope server:docs --expires 180d --note nightly": (0, "btz_"),
    "bartizan key rotate-master --reseal": (2, "nothing has been sealed in this store yet"),
    "bartizan user add ann": (0, "/bartizan/invite?token="),
    "bartizan upstream login tickets --user ann": (2, "nobody signs in to `tickets`"),
    "bartizan why ID": (0, "Decision"),
    "bartizan audit prove ID": (0, "c2sp.org/tlog-proof@v1"),
    "bartizan why 01J…": (0, "schema.arguments"),
    "bartizan lock diff": (0, "nothing waits"),
    "bartizan lock update": (0, "nothing waits"),
    "bartizan schema": (0, "bartizan.why/1"),
    'bartizan inspect --kind document --text "See <!-- the draft --> below." --fail-on never':
        (0, '"rule":"hidden_text.html_comment","severity":"low","span":[4,22]'),
    "bartizan redteam --sample 84 --mutations plain,tags": (0, "hidden_text.tags"),
    "bartizan redteam --write-baseline plain.json --mutations plain": (0, "honest texts"),
    "bartizan redteam --baseline plain.json --mutations plain": (0, "honest texts"),
    "bartizan guards rate": (0, "rate.principal            medium    deny"),
    "bartizan config check bad.toml": (2, " --> bad.toml:2:1"),
    "bartizan policy explain ann git/git_push --config team.toml": (0, "by role.developer.deny tool:git/git_push"),
    "bartizan policy test cases.toml --config bank.toml": (0, "4 cases: 4 as expected, 0 not"),
    "bartizan init --learn": (2, "the configuration has no [capture]"),
    "bartizan policy test --replay": (2, "the configuration has no [capture]"),
    "bartizan policy test --replay --config bank.toml": (2, "the configuration has no [capture]"),
    "bartizan lock verify": (0, "mcp.lock: 1 server, 40 definitions approved, 0 waiting"),
    "bartizan why 01M8CD2C2EZZ2M0R12R4XY0B44": (0, "where: /params/arguments/text; certain"),
    "bartizan audit verify --log ~/.local/state/bartizan/run/audit": (0, "in 1 file\nhead "),
    "bartizan audit prove 01M8CD2C2EZZ2M0R12R4XY0B44 --out one.tlog-proof": (0, "proves it to whoever has the key"),
    # The key on the pages is no log's.
    f"bartizan audit verify --proof one.tlog-proof --key {KEY}": (1, "not proven: the key has not signed it"),
    f"bartizan audit verify --checkpoint checkpoint-of-friday --key {KEY}": (3, "checkpoint-of-friday cannot be read"),
    "bartizan audit export --out october --since 2026-10-01 --until 2026-11-01": (2, "there are several logs; name one with --log"),
    "bartizan audit export --out for-the-siem --format ocsf --rule secrets. --since 1d": (2, "there are several logs; name one with --log"),
    "bartizan audit tail --lines 3 --log ~/.local/state/bartizan/run/audit": (0, "  files tools/call echo  schema.arguments"),
    "bartizan audit tail --who uid:1000 --since 1d": (0, ""),
    "bartizan audit summary --observed --since 7d": (0, "messages, "),
    "bartizan audit tail --server files --tool echo --lines 50": (0, "  files tools/call echo  schema.arguments"),
}
# These stay until they are told to end; `demo` has a test of its own.
STAYING = {"bartizan serve --config bartizan.toml", "bartizan demo"}


def blocks(kind):
    return [(page, text) for page in PAGES for found, text in BLOCK.findall(page.read_text()) if found == kind]


def commands():
    """Every command on the pages, without its prompt and comment."""
    lines = (line for kind in ("", "text", "sh") for _, text in blocks(kind) for line in text.splitlines())
    found = (re.fullmatch(r"(?:\$ )?(bartizan [a-z].*?)(\s+#.*|\s{3,}.*)?", line) for line in lines)
    return {match[1] for match in found if match and not re.match(r"bartizan \d", match[1])}


class Documented(unittest.TestCase):
    def setUp(self):
        home = tempfile.TemporaryDirectory(prefix="bartizan-docs-", ignore_cleanup_errors=True)
        self.addCleanup(home.cleanup)
        self.home = pathlib.Path(home.name)
        self.env = {"HOME": str(self.home), "PATH": f"{PROGRAM.parent}:/usr/bin:/bin"}

    def bartizan(self, *words, **more):
        return subprocess.run([PROGRAM, *words], cwd=self.home, env=self.env, capture_output=True, text=True,
                              timeout=PATIENCE, **more)

    def expect(self, status, *words):
        done = self.bartizan(*words)
        self.assertEqual(done.returncode, status, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def wrap(self, *before):
        """What the client entry of the pages starts, with the fixture for a server; ends when the client goes."""
        talk = [
            {"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {},
                                                        "clientInfo": {"name": "docs", "version": "1"}}},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/list"},
            {"id": 3, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": 5}}},
        ]
        answers = {}
        process = subprocess.Popen([PROGRAM, *before, FIXTURE, "--stdio"], cwd=self.home, env=self.env, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        with process:
            for message in talk:
                process.stdin.write(json.dumps({"jsonrpc": "2.0"} | message) + "\n")
                process.stdin.flush()
                while "id" in message and message["id"] not in answers:
                    answer = json.loads(process.stdout.readline())
                    answers[answer.get("id")] = answer
            process.stdin.close()
            process.wait(PATIENCE)
        return answers

    def test_every_command_is_tried(self):
        self.assertEqual(commands() - STAYING, set(COMMANDS))

    def test_what_the_entry_of_the_readme_starts(self):
        entries = [json.loads(text)["mcpServers"]["files"] for _, text in blocks("json") if '"bartizan"' in text]
        self.assertGreater(len(entries), 1)
        for entry in entries:
            before = entry["args"][: entry["args"].index("--") + 1]
            answers = self.wrap(before[0], "--standalone", *before[1:])
            self.assertIn("schema.arguments", json.dumps(answers[3]))
        # The pages name this place.
        self.assertTrue((self.home / ".local/state/bartizan/standalone").is_dir())

    def test_every_command_says_what_it_should(self):
        config = next(text for page, text in blocks("toml") if page.name == "README.md")
        (self.home / "bartizan.toml").write_text(config)
        # Without a log yet, what to do is said.
        self.assertIn("there is no audit log in", self.expect(3, "audit", "verify"))
        self.serve()
        refused = self.wrap("run", "--standalone", "--name", "files", "--")[3]
        id = re.search(r"Decision (\w{26})", json.dumps(refused))[1]
        [log] = (self.home / ".local/state/bartizan/standalone").glob("files-*/audit")
        (self.home / "bad.toml").write_text('[listen]\nadress = "127.0.0.1:0"\n')
        roles = '[role.developer]\nallow = ["server:git"]\ndeny = ["tool:git/git_push"]\n'
        (self.home / "team.toml").write_text(roles + '[group.platform]\nmembers = ["ann"]\nroles = ["developer"]\n')
        self.policies()
        for command, (status, says) in COMMANDS.items():
            # The pages take the log of the user's one Bartizan, which goes on for a while; this one has ended.
            words = [str(log) if word.startswith("~/") else word for word in shlex.split(command)[1:]]
            words = [id if word in ("ID", "01J…") or re.fullmatch(r"01\w{24}", word) else word for word in words]
            with self.subTest(command):
                self.assertIn(says, self.expect(status, *words))

    def policies(self):
        """The roles, the policies and the cases of their page."""
        page = lambda kind: [text for page, text in blocks(kind) if page.name == "policy.md"]  # noqa: E731
        [cases] = [text for text in page("toml") if "[[case]]" in text]
        [roles] = [text for text in page("toml") if "[role." in text]
        (self.home / "cases.toml").write_text(cases)
        (self.home / "bank.toml").write_text('policy.files = ["bank.cedar"]\n' + roles)
        (self.home / "bank.cedar").write_text("\n".join(page("cedar")))

    def serve(self):
        """The gateway of the pages, on ports that are free."""
        # Its lock file is beside its configuration, and not the one of wrapped servers.
        config = self.home / "team" / "here.toml"
        config.parent.mkdir()
        ports = '[listen]\naddress = "127.0.0.1:0"\n[admin]\naddress = "127.0.0.1:0"\n'
        config.write_text(ports + (self.home / "bartizan.toml").read_text())
        with subprocess.Popen([PROGRAM, "serve", "--config", str(config)], cwd=self.home, env=self.env, text=True,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as gateway:
            said = ""
            while "health and metrics at" not in said:
                line = gateway.stderr.readline()
                self.assertTrue(line, said)
                said += line
            gateway.send_signal(signal.SIGINT)
            gateway.stderr.read()
            self.assertEqual(gateway.wait(PATIENCE), 0)

    def test_every_configuration_on_the_pages_is_read(self):
        seen = 0
        for page, text in blocks("toml"):
            others = ("…", "[[case]]", "[[rule]]", "[[format]]", "[[recogniser]]")
            if not any(other in text for other in others):
                (self.home / "page.toml").write_text(text)
                with self.subTest(page.name, text=text):
                    done = self.bartizan("config", "check", "page.toml")
                    needs = re.search(r"environment variable|cannot be read|cannot read|without the feature `keyring`", done.stderr)
                    self.assertTrue(done.returncode == 0 or needs, done.stderr)
                    seen += 1
        self.assertGreater(seen, 2)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=2).result
    failed = len(result.failures) + len(result.errors)
    print(f"{max(result.testsRun - failed, 0)} passed, {failed} failed")
    sys.exit(1 if failed else 0)
