"""The inspector's command line client with the configuration a user would have: the command, and the same one wrapped."""

import json
import os
import subprocess

import lab
from same import expect_record, steady

CALLS = {
    "everything": [
        ["--method", "tools/list"],
        ["--method", "tools/call", "--tool-name", "get-sum", "--tool-arg", "a=2", "b=3"],
        ["--method", "prompts/get", "--prompt-name", "simple-prompt"],
        ["--method", "resources/read", "--uri", "demo://resource/static/document/features.md"],
    ],
    "filesystem": [
        ["--method", "tools/call", "--tool-name", "write_file", "--tool-arg", "path=DIR/a.txt", "content=written"],
        ["--method", "tools/call", "--tool-name", "read_text_file", "--tool-arg", "path=DIR/a.txt"],
    ],
    "git": [["--method", "tools/call", "--tool-name", "git_status", "--tool-arg", "repo_path=DIR"]],
    "time": [["--method", "tools/list"]],
}


def cases(the_lab, report):
    for server, calls in CALLS.items():
        with report.case(f"inspector: {server} directly"):
            world = the_lab.world(server)
            direct = [ask(the_lab, world, entry(the_lab.server(server, world)), call) for call in calls]
            assert all(status == 0 for status, _ in direct), direct
        for options in ([], ["--standalone"]):
            with report.case(f"inspector: {server} through {' '.join(['run', *options])}"), the_lab.home() as home:
                world = the_lab.world(server)
                wrapped = entry(home.wrap(the_lab.server(server, world), "--name", server, *options), home)
                through = [ask(the_lab, world, wrapped, call) for call in calls]
                assert through == direct, f"\ndirect  {direct}\nthrough {through}"
                expect_record(home, [])
        with report.case(f"inspector: {server} through serve"), the_lab.home() as home:
            world = the_lab.world(server)
            with home.serve({server: the_lab.server(server, world)}) as base:
                place = {"type": "streamable-http", "url": f"{base}/mcp/{server}"}
                through = [ask(the_lab, world, place, call) for call in calls]
            assert through == direct, f"\ndirect  {direct}\nthrough {through}"
            expect_record(home, [])


def entry(command, home=None):
    env = {"BARTIZAN_HOME": str(home.path)} if home else {}
    return {"type": "stdio", "command": command[0], "args": command[1:], "env": env}


def ask(the_lab, world, server, call):
    config = world.parent / f"{world.name}.json"
    config.write_text(json.dumps({"mcpServers": {"it": server}}))
    words = [word.replace("DIR", str(world)) for word in call]
    program = the_lab.npm("inspector/clients/launcher/build/index.js")
    # It keeps what it is told in the home directory.
    env = {**os.environ, "HOME": str(the_lab.dir), "MCP_STORAGE_DIR": str(the_lab.dir)}
    done = subprocess.run([*program, "--cli", "--config", str(config), "--server", "it", *words], env=env, cwd=world,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=lab.PATIENCE)
    said = done.stdout if done.returncode == 0 else done.stdout + done.stderr
    return done.returncode, steady(said, str(world))
