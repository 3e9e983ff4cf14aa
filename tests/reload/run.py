#!/usr/bin/env python3
"""Hot reload of a running gateway: a good file is put in force whole, a bad one not at all."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "log"))

import auditlog  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = pathlib.Path(os.environ.get("BARTIZAN_BIN", ROOT / "target/debug/bartizan")).resolve()
PATIENCE = 20

GOOD = """
[listen]
address = "127.0.0.1:0"
[admin]
address = "127.0.0.1:0"
[server.one]
command = ["cat"]
"""


def status(url, body=None):
    """The HTTP status and the text of an answer."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"} if body else {})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def names(entry):
    return [server["name"] for server in entry["servers"]]


class Reload(unittest.TestCase):
    def setUp(self):
        self.begin()
        said = self.until(lambda: re.search(r"MCP at (http://\S+)/mcp(?s:.*)metrics at (http://\S+)/readyz", self.said()))
        self.mcp, self.admin = said.groups()

    def begin(self):
        self.directory = tempfile.TemporaryDirectory()
        self.file = pathlib.Path(self.directory.name, "bartizan.toml")
        self.file.write_text(GOOD)
        environment = {**os.environ, "BARTIZAN_HOME": self.directory.name, "NO_COLOR": "1"}
        self.log = open(pathlib.Path(self.directory.name, "stderr"), "w+")
        command = [PROGRAM, "serve", "--config", self.file]
        self.gateway = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=self.log)

    def tearDown(self):
        self.gateway.send_signal(signal.SIGTERM)
        self.assertEqual(self.gateway.wait(PATIENCE), 0)
        self.log.close()
        self.directory.cleanup()

    def said(self):
        return pathlib.Path(self.log.name).read_text()

    def until(self, probe):
        end = time.monotonic() + PATIENCE
        while not (found := probe()):
            self.assertLess(time.monotonic(), end, f"it did not happen:\n{self.said()}")
            time.sleep(0.05)
        return found

    def serves(self, name):
        """Whether the server has an endpoint; a request without a session is refused there, not unknown."""
        return status(f"{self.mcp}/mcp/{name}", b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}')[0] == 400

    def ready(self):
        return status(f"{self.admin}/readyz")

    def entries(self, kind):
        return [entry for entry in auditlog.entries(pathlib.Path(self.directory.name, "audit")) if entry["kind"] == kind]

    def test_a_good_file_is_put_in_force(self):
        self.assertTrue(self.serves("one"))
        self.assertFalse(self.serves("two"))
        self.file.write_text(GOOD + '[server.two]\ncommand = ["cat"]\n')
        self.until(lambda: self.serves("two"))
        self.assertTrue(self.serves("one"))
        self.assertEqual(self.ready(), (200, "ready\n"))
        self.assertEqual(names(self.entries("config.reloaded")[-1]), ["one", "two"])
        for kind in ("gateway.started", "config.reloaded"):
            self.assertEqual(self.entries(kind)[-1]["config"], str(self.file))

    def test_a_file_put_in_its_place_counts_too(self):
        other = self.file.with_suffix(".new")
        other.write_text(GOOD.replace("one", "three"))
        other.rename(self.file)
        self.until(lambda: self.serves("three"))
        self.assertFalse(self.serves("one"))

    def test_a_bad_file_changes_nothing_and_is_said(self):
        self.file.write_text(GOOD + '[server.two]\ncommand = ["cat"]\n[guard.rate]\nper_tool = "often"\n')
        self.until(lambda: "degraded" in self.ready()[1])
        self.assertEqual(self.ready()[0], 200)
        self.assertTrue(self.serves("one"))
        self.assertFalse(self.serves("two"), "not even the part that is right")
        self.assertIn("often", self.said())
        [refused] = self.entries("config.refused")
        self.assertEqual(refused["config"], str(self.file))
        self.assertRegex(refused["problems"][0], r"^\d+:\d+: .*often")
        why = subprocess.run([PROGRAM, "why", refused["id"], "--log", str(self.file.parent / "audit")],
                             capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(why.returncode, 0, why)
        for part in ("often", f"bartizan config check {self.file}"):
            self.assertIn(part, why.stdout)
        self.file.write_text(GOOD)
        self.until(lambda: self.ready() == (200, "ready\n"))

    def test_an_empty_file_is_not_taken_and_one_with_a_comment_is(self):
        """Something else may be writing it."""
        self.file.write_text("")
        self.until(lambda: "degraded" in self.ready()[1])
        self.assertTrue(self.serves("one"), "the old one stays")
        self.assertIn("the file is empty", self.said())
        self.assertIn("the file is empty", self.entries("config.refused")[-1]["problems"][0])
        self.file.write_text(GOOD + '[server.two]\ncommand = ["cat"]\n')
        self.until(lambda: self.serves("two"))
        self.assertEqual(self.ready(), (200, "ready\n"))
        # Whoever means to have no servers says something.
        self.file.write_text("# none\n")
        self.until(lambda: not self.serves("one"))
        self.assertFalse(self.serves("two"))

    def said_at_the_start(self, config):
        """What another gateway says on standard error until it serves, line by line."""
        with subprocess.Popen([PROGRAM, "serve", "--config", config], stderr=subprocess.PIPE, text=True) as gateway:
            lines = []
            while not lines or "metrics at" not in lines[-1]:
                lines.append(gateway.stderr.readline())
                self.assertTrue(lines[-1], lines)
            gateway.terminate()
        return lines

    def test_a_mistyped_name_in_a_role_is_said_at_the_start_and_when_it_is_read_anew(self):
        role = lambda names: GOOD + f'[role.barred]\ndeny = {json.dumps(names)}\nmembers = ["ann"]\n'  # noqa: E731
        self.file.write_text(role(["tool:one/pay"]))
        self.until(lambda: "the new configuration is in force" in self.said())
        self.assertNotIn("did you mean", self.said(), "the twin: a server that there is")
        self.file.write_text(role(["tool:oen/pay"]))
        self.until(lambda: self.said().count("the new configuration is in force") == 2)
        self.assertRegex(self.said(), r"(?s)there is no server `oen`.*did you mean `one`")
        other = self.file.with_name("other.toml")
        other.write_text(role(["tool:oen/pay"]).replace("[server", '[audit]\ndirectory = "other"\n[server', 1))
        self.assertRegex("".join(self.said_at_the_start(other)), r"(?s)there is no server `oen`; did you mean `one`.*other\.toml:\d+:\d+")

    def test_in_a_log_of_json_each_problem_has_its_fields(self):
        wrong = GOOD.replace("[server", '[audit]\ndirectory = "other"\n[log]\nformat = "json"\n[server')
        other = self.file.with_name("other.toml")
        # What starts with a warning says it in the same form.
        other.write_text(wrong + '[server.gone]\ncommand = ["definitely-not-installed"]\n')
        with subprocess.Popen([PROGRAM, "serve", "--config", other], stderr=subprocess.PIPE, text=True) as gateway:
            def until(wanted):
                lines = []
                while not lines or wanted not in lines[-1]["fields"]["message"]:
                    text = gateway.stderr.readline()
                    self.assertTrue(text, lines)
                    lines.append(json.loads(text))
                return [(line["level"], line["fields"]) for line in lines]

            warned = [fields for level, fields in until("metrics at") if "line" in fields]
            self.assertTrue(warned and "\n" not in warned[0]["message"], warned)
            other.write_text(wrong + 'colour = 1\n[guard.rate]\nper_tool = "often"\n')
            said = until("is refused and the old one stays in force")
            gateway.terminate()
        (level, refused), problems = said[-1], [fields for _, fields in said[:-1] if "line" in fields]
        self.assertEqual((level, refused["problems"], refused["file"]), ("ERROR", 2, str(other)))
        lines = other.read_text().splitlines()
        for found, word in zip(problems, ("colour", "often"), strict=True):
            self.assertEqual(found["file"], str(other))
            self.assertIn(word, lines[found["line"] - 1])
            self.assertIn(word, found["message"])
            self.assertGreaterEqual(found["column"], 1)
            self.assertNotIn("\n", found["message"])
        self.assertTrue(any(found.get("suggestion") for found in problems), problems)

    def test_the_mode_in_force_is_said(self):
        modes = lambda: re.findall(r'^bartizan_mode{mode="(\w+)"} 1$', status(f"{self.admin}/metrics")[1], re.M)
        self.assertEqual(modes(), ["enforce"])
        self.assertNotIn("observe", self.said())
        self.file.write_text('mode = "observe"\n' + GOOD)
        self.until(lambda: modes() == ["observe"])
        self.until(lambda: self.entries("config.reloaded"))
        self.assertIn('mode = "observe": what guards find is recorded', self.said())
        self.assertEqual([entry["mode"] for kind in ("gateway.started", "config.reloaded") for entry in self.entries(kind)],
                         ["enforce", "observe"])
        # One that starts so says so as well; what it says has to be on standard error before it serves.
        listens = GOOD.replace("[server", '[audit]\ndirectory = "other"\n[server')
        for text, said in ((f'mode = "observe"\n{listens}', True), (listens, False)):
            other = self.file.with_name("other.toml")
            other.write_text(text)
            lines = self.said_at_the_start(other)
            self.assertEqual(any(line.startswith('bartizan: mode = "observe": ') for line in lines), said, lines)

    def test_a_change_while_it_starts_is_noticed_and_a_signal_is_not_its_end(self):
        for _ in range(3):
            self.tearDown()
            self.begin()
            # The file was read, and nobody watches it yet.
            self.until(lambda: auditlog.current(pathlib.Path(self.directory.name, "audit")))
            self.file.write_text(GOOD + '[server.two]\ncommand = ["cat"]\n')
            self.gateway.send_signal(signal.SIGHUP)
            self.until(lambda: any("two" in names(entry) for entry in self.entries("config.reloaded")))
            self.assertIsNone(self.gateway.poll(), self.said())

    def test_sighup_reloads(self):
        self.gateway.send_signal(signal.SIGHUP)
        self.until(lambda: self.entries("config.reloaded"))

    def test_no_sighup_is_lost_that_comes_before_it_serves(self):
        for _ in range(3):
            self.tearDown()
            self.begin()
            self.until(lambda: auditlog.current(pathlib.Path(self.directory.name, "audit")))
            self.gateway.send_signal(signal.SIGHUP)
            self.until(lambda: self.entries("config.reloaded"))

    def test_what_needs_a_restart_is_said(self):
        self.file.write_text(GOOD.replace("[admin]\n", "max_connections = 99\n[admin]\n"))
        self.until(lambda: "a change of `listen` takes effect" in self.said())
        self.assertTrue(self.serves("one"))


if __name__ == "__main__":
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(Reload))
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(failed > 0)
