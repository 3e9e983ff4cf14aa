"""The inspector's command line client with the configuration a user would have: the command, and the same one wrapped."""

import json
import os
import subprocess

import lab
from same import env_table, environment, expect_record, steady

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
    "memory": [
        ["--method", "tools/call", "--tool-name", "create_entities", "--tool-arg",
         'entities=[{"name":"Ann","entityType":"person","observations":["likes tea"]}]'],
        ["--method", "tools/call", "--tool-name", "search_nodes", "--tool-arg", "query=tea"],
        ["--method", "tools/call", "--tool-name", "read_graph"],
    ],
    "git": [["--method", "tools/call", "--tool-name", "git_status", "--tool-arg", "repo_path=DIR"]],
    "time": [["--method", "tools/list"]],
}


def cases(the_lab, report):
    for server, calls in CALLS.items():
        with report.case(f"inspector: {server} directly"):
            world = the_lab.world(server)
            place = entry(the_lab.server(server, world), environment(server, world))
            direct = [ask(the_lab, world, place, call) for call in calls]
            assert all(status == 0 for status, _ in direct), direct
        for options in ([], ["--standalone"]):
            with report.case(f"inspector: {server} through {' '.join(['run', *options])}"), the_lab.home() as home:
                world = the_lab.world(server)
                env = environment(server, world)
                named = ["--name", server, *(word for name in env for word in ("--pass-env", name))]
                wrapped = home.wrap(the_lab.server(server, world), *named, *options)
                wrapped = entry(wrapped, env | {"BARTIZAN_HOME": str(home.path)})
                through = [ask(the_lab, world, wrapped, call) for call in calls]
                assert through == direct, f"\ndirect  {direct}\nthrough {through}"
                expect_record(home, [])
        with report.case(f"inspector: {server} through serve"), the_lab.home() as home:
            world = the_lab.world(server)
            env = environment(server, world)
            with home.serve({server: the_lab.server(server, world)}, env_table(server, env) if env else "") as base:
                place = {"type": "streamable-http", "url": f"{base}/mcp/{server}"}
                through = [ask(the_lab, world, place, call) for call in calls]
            assert through == direct, f"\ndirect  {direct}\nthrough {through}"
            expect_record(home, [])


def entry(command, env):
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
