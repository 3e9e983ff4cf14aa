"""Real clients of the older revisions in front of a server that only knows the newest, over HTTP and stdio.

Each client does with the fixture through the bridge what it does with the same fixture speaking the client's own
revision directly, and everything it sees has to be the same.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import processes

HERE = pathlib.Path(__file__).resolve().parent
DRIVERS = HERE.parent / "real"
TOOLS = pathlib.Path(os.environ.get("BARTIZAN_TOOLS", processes.ROOT / ".tools"))
PYTHON = [str(TOOLS / "python/bin/python"), str(DRIVERS / "drive.py")]
NODE = [str(TOOLS / "bin/node"), str(DRIVERS / "drive.mjs")]
CLIENTS = {"PyPI mcp": (PYTHON, "v2"), "npm sdk": (NODE, "v1"), "npm client": (NODE, "v2")}
STEPS = [
    ["tool", "test_simple_text", {}],
    ["tool", "echo", {"text": "one \" two \\ three"}],
    ["tool", "test_image_content", {}],
    ["tool", "test_audio_content", {}],
    ["tool", "test_multiple_content_types", {}],
    ["tool", "test_error_handling", {}],
    ["fails", "tool", "no_such_tool", {}],
    ["prompt", "test_simple_prompt", {}],
    ["prompt", "test_prompt_with_arguments", {"arg1": "a", "arg2": "b"}],
    ["prompt", "test_input_required_result_prompt", {}],
    ["read", "test://static-text"],
    ["read", "test://static-binary"],
    ["read", "test://template/7/data"],
    ["read", "test://input-required"],
    ["progress", "test_tool_with_progress", {}],
    ["log", "test_tool_with_logging", {}],
    ["tool", "test_sampling", {"prompt": "say something"}],
    ["tool", "test_elicitation", {"message": "who are you?"}],
    ["tool", "test_elicitation_sep1034_defaults", {}],
    ["tool", "test_elicitation_sep1330_enums", {}],
    ["tool", "test_list_roots", {}],
    ["tool", "test_streaming_elicitation", {}],
    ["tool", "test_input_required_result_request_state", {}],
    ["tool", "test_input_required_result_multiple_inputs", {}],
    ["tool", "test_input_required_result_multi_round", {}],
    ["tool", "test_custom_header", {"region": "us-west1"}],
    ["watch", "test://watched-resource", "test_trigger_resource_change", {}],
    ["tool", "test_simple_text", {}],
]


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        subprocess.run([HERE.parent / "tools" / "setup.sh"], check=True, stdout=subprocess.DEVNULL)
        cls.stack = contextlib.ExitStack()
        fixture = [processes.FIXTURE, "--listen", "127.0.0.1:0"]
        started = [processes.program([*fixture, "--era", era], r"^127\.0\.0\.1:(\d+)$") for era in ("both", "modern")]
        cls.direct, modern = (f"http://localhost:{cls.stack.enter_context(each)}/mcp" for each in started)
        servers = {
            "url": {"url": modern, "bridge": "auto"},
            "command": {"command": [processes.FIXTURE, "--stdio", "--era", "modern"], "bridge": "auto"},
        }
        url = cls.stack.enter_context(processes.bartizan(servers))
        cls.through = {name: url(name) for name in servers}

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def outcome(self, client, url):
        command, generation = CLIENTS[client]
        with tempfile.TemporaryDirectory() as scratch:
            task = {"client": generation, "target": {"url": url}, "mode": "legacy", "dir": scratch, "steps": STEPS}
            run = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, timeout=240)
        self.assertTrue(run.stdout.strip(), run.stderr)
        return json.loads(run.stdout.splitlines()[-1])

    def check(self, client):
        expected = without_tasks(self.outcome(client, self.direct))
        self.assertNotIn("broken off", expected)
        broken = [step for step, value in expected.items() if isinstance(value, dict) and "error" in value]
        self.assertEqual(broken, [], "the client cannot do this with the server itself")
        for name, url in self.through.items():
            seen = without_tasks(self.outcome(client, url))
            for step in expected.keys() | seen.keys():
                with self.subTest(server=name, step=step):
                    self.assertEqual(seen.get(step), expected.get(step))

    def test_the_python_client(self):
        self.check("PyPI mcp")

    def test_the_first_typescript_client(self):
        self.check("npm sdk")

    def test_the_second_typescript_client(self):
        self.check("npm client")


def without_tasks(outcome):
    """Tasks are not translated, so they are not offered; and a cache's hints are for clients of the newest revision."""
    capabilities = outcome.get("connect", {}).get("capabilities", {})
    capabilities.pop("tasks", None)
    capabilities.get("extensions", {}).pop("io.modelcontextprotocol/tasks", None)
    for value in outcome.values():
        if isinstance(value, dict):
            for hint in ("ttlMs", "cacheScope"):
                value.pop(hint, None)
    return outcome


if __name__ == "__main__":
    unittest.main()
