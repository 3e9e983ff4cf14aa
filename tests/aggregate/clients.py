"""Official clients with real servers: what each does with a server alone it does with all of them as one, and gets the same."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

from harness import FIXTURE, MODERN, PATIENCE, ROOT, TOOLS, Gateway, check, equal, wait_for

sys.path.insert(0, str(ROOT / "tests" / "real"))
import scenarios  # noqa: E402  (the same steps, and the drivers of the clients, as for single servers)

DRIVERS = ROOT / "tests" / "real"
NPM = TOOLS / "npm" / "node_modules" / "@modelcontextprotocol"
NODE = str(TOOLS / "bin" / "node")
# By their names in the aggregate; the first has what several of them have.
LEGACY = {"fix": scenarios.FIXTURE, "many": scenarios.EVERYTHING, "notes": scenarios.MEMORY}
# Over the aggregate, who has a resource that nobody lists is the gateway's to say.
NOWHERE = ["read", "demo://resource/nowhere"]


def case_python_auto():
    compare("drive.py", {"mode": "auto"}, ["fix"])


def case_python_legacy():
    compare("drive.py", {"mode": "legacy"}, LEGACY)


def case_python_2026_07_28():
    compare("drive.py", {"mode": MODERN}, ["fix"])


def case_typescript_auto():
    compare("drive.mjs", {"client": "v2", "mode": "auto"}, ["fix"])


def case_typescript_legacy():
    compare("drive.mjs", {"client": "v2", "mode": "legacy"}, LEGACY)


def case_typescript_sdk():
    compare("drive.mjs", {"client": "v1", "mode": "legacy"}, LEGACY)


def case_two_official_clients_at_once():
    with servers() as (places, folder), Gateway(places) as gateway:
        runs = [start("drive.py", {"mode": mode}, {"url": gateway.url}, folder, [prefixed("fix", step) for step in scenarios.FIXTURE])
                for mode in ("legacy", MODERN, "legacy")]
        alone = outcome(start("drive.py", {"mode": "legacy"}, {"url": places["fix"]["url"]}, folder, scenarios.FIXTURE))
        for run in runs:
            found = outcome(run)
            for step in scenarios.FIXTURE:
                check("error" not in (found.get(json.dumps(prefixed("fix", step))) or {"error": "none"}) or step[0] == "fails"
                      or "error" in alone[json.dumps(step)], f"{step}: {found}")


def compare(driver, settings, names):
    with servers() as (places, folder):
        alone = {}
        for name in names:
            place = places[name]
            target = {"url": place["url"]} if "url" in place else {"command": place["command"], "env": os.environ | place["env"]}
            alone[name] = outcome(start(driver, settings, target, folder, LEGACY[name]))
            check("broken off" not in alone[name], f"{name} alone: {alone[name]}")
            (folder / "memory.jsonl").unlink(missing_ok=True)
        # What is read of one server would have somebody asked before another is told something.
        with Gateway(places, '[guard.flow]\naction = "observe"\n') as gateway:
            steps = [prefixed(name, step) for name in names for step in LEGACY[name]]
            together = outcome(start(driver, settings, {"url": gateway.url}, folder, steps))
            check("broken off" not in together, f"together: {together}")
            seen = {}
            for name in names:
                for step in LEGACY[name]:
                    key, again = json.dumps(step), json.dumps(prefixed(name, step))
                    key += " again" * seen.setdefault((name, key), 0)
                    again += " again" * seen[name, json.dumps(step)]
                    seen[name, json.dumps(step)] += 1
                    if step == NOWHERE:
                        check("error" in together[again], f"{together[again]}")
                    else:
                        equal(steady(together[again]), steady(alone[name][key]), f"{name}: {step}")
            equal(together["asked"], sorted(sum((alone[name]["asked"] for name in names), [])), "what the client was asked")
            tools = [f"{name}__{tool['name']}" for name in names for tool in alone[name]["list tools"]["tools"]]
            # Some servers of the older era answer requests of the newer one as well.
            listed = [tool["name"] for tool in together["list tools"]["tools"] if tool["name"].split("__")[0] in names]
            equal(listed, tools, "tools")
            # The clients ask for a tool, a prompt and a resource that are not there.
            absent = ("schema.unknown_tool", "tool_pinning.unlisted", "gateway.unknown_resource")
            unwanted = [entry for entry in gateway.entries(decision="deny", kind="message") if entry["rule"] not in absent]
            check(not unwanted, f"refused: {unwanted[:2]}")


def steady(value):
    """Without the last report of progress, which a client may miss when the answer comes right behind it."""
    return value | {"progress": value["progress"][:3]} if isinstance(value, dict) and "progress" in value else value


def prefixed(name, step):
    """The same step by the names of the aggregate."""
    verb, *arguments = step
    if verb == "fails":
        return [verb, *prefixed(name, arguments)]
    place = {"read": None, "watch": 1}.get(verb, 0)
    return [verb, *(f"{name}__{word}" if at == place else word for at, word in enumerate(arguments))]


def start(driver, settings, target, folder, steps):
    program = [str(TOOLS / "python" / "bin" / "python")] if driver.endswith(".py") else [NODE]
    process = subprocess.Popen([*program, str(DRIVERS / driver)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=os.environ | {"BARTIZAN_TOOLS": str(TOOLS)})
    process.stdin.write(json.dumps(settings | {"target": target, "dir": str(folder), "steps": steps}))
    process.stdin.close()
    process.stdin = None
    return process


def outcome(process):
    try:
        said, complained = process.communicate(timeout=180)
    finally:
        process.kill()
    check(process.returncode == 0 and said, f"the driver ended with {process.returncode}: {complained[-1500:]}")
    # A server may say things before; and each language writes JSON with other white space.
    return {spaced(key): value for key, value in json.loads(said.strip().splitlines()[-1]).items()}


def spaced(key):
    """The key of a step as Python writes it."""
    end = key.rfind("]") + 1
    return json.dumps(json.loads(key[:end]), ensure_ascii=True) + key[end:] if key.startswith("[") else key


class servers:
    """The fixture over HTTP, and two real servers as commands, one of them shared."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="bartizan-clients-", ignore_cleanup_errors=True)
        self.fixture = subprocess.Popen([FIXTURE, "--listen", "127.0.0.1:0"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        address = self.fixture.stdout.readline().strip()
        host, port = address.rsplit(":", 1)
        wait_for(lambda: connects(host, int(port)), "the fixture")
        memory = {"MEMORY_FILE_PATH": str(pathlib.Path(self.folder.name, "memory.jsonl"))}
        places = {
            "fix": {"url": f"http://{address}/mcp"},
            "many": {"command": [NODE, str(NPM / "server-everything" / "dist" / "index.js"), "stdio"], "env": {}},
            "notes": {"command": [NODE, str(NPM / "server-memory" / "dist" / "index.js")], "env": memory, "shared": True},
        }
        return places, pathlib.Path(self.folder.name)

    def __exit__(self, *_):
        self.fixture.kill()
        self.fixture.wait()
        self.folder.cleanup()


def connects(host, port):
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False
