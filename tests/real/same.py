"""The same scenario directly and through Bartizan: the client must not be able to tell which.

Each server meets each client, directly and by two of the three ways over stdio, so that each way meets every client and every
server; the long version (BARTIZAN_TEST_LONG=1) takes all three.
"""

import concurrent.futures
import contextlib
import json
import os
import re
import subprocess

import lab
import scenarios

CLIENTS = {
    "python auto": ("drive.py", {"mode": "auto"}),
    "python legacy": ("drive.py", {"mode": "legacy"}),
    "python 2026-07-28": ("drive.py", {"mode": "2026-07-28"}),
    "typescript auto": ("drive.mjs", {"client": "v2", "mode": "auto"}),
    "typescript legacy": ("drive.mjs", {"client": "v2", "mode": "legacy"}),
    "typescript 2026-07-28": ("drive.mjs", {"client": "v2", "mode": "2026-07-28"}),
    "typescript sdk": ("drive.mjs", {"client": "v1", "mode": "legacy"}),
}
# Each is compared with the same thing done directly: over stdio, or over HTTP.
STDIO_WAYS = ["run", "run --standalone", "serve command"]
LONG = os.environ.get("BARTIZAN_TEST_LONG") == "1"
# What has to be there after the scenario, whichever way it went.
EFFECTS = {
    "filesystem": ("moved.txt", "1st\nsecond \u2713\n"),
    "memory": ("memory.jsonl", '"plays chess"'),
}


def cases(the_lab, report):
    """Runs every server with every client; two at a time, as most of it is waiting."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(over_stdio, the_lab, report, server, client) for server in scenarios.STEPS for client in CLIENTS]
        jobs += [pool.submit(over_http, the_lab, report, server, client) for server in ("everything", "fixture") for client in CLIENTS]
        jobs += [pool.submit(over_sse, the_lab, report, client) for client in CLIENTS if not is_mismatch("everything", client)]
        for job in concurrent.futures.as_completed(jobs):
            job.result()


def over_stdio(the_lab, report, server, client):
    with report.case(f"{client}: {server} directly"):
        direct = drive_stdio(the_lab, None, server, client, "direct")
        expect_work(server, client, direct)
    for way in ways(server, client):
        with report.case(f"{client}: {server} through {way}"), the_lab.home() as home:
            through = drive_stdio(the_lab, home, server, client, way)
            compare(direct, through, tolerant=is_mismatch(server, client))
            expect_record(home, through)


def ways(server, client):
    """Those by which this client meets this server in this run."""
    left_out = (list(scenarios.STEPS).index(server) + list(CLIENTS).index(client)) % len(STDIO_WAYS)
    return [way for number, way in enumerate(STDIO_WAYS) if LONG or number != left_out]


def over_http(the_lab, report, server, client):
    with http_server(the_lab, server) as url:
        with report.case(f"{client}: {server} directly over http"):
            direct = drive(the_lab, client, {"url": url}, the_lab.fresh(), server)
            expect_work(server, client, direct)
        with report.case(f"{client}: {server} through serve url"), the_lab.home() as home:
            with home.serve({server: url}) as base:
                through = drive(the_lab, client, {"url": f"{base}/mcp/{server}"}, the_lab.fresh(), server)
            compare(asked_once(direct), asked_once(through), tolerant=is_mismatch(server, client))
            expect_record(home, through)


def asked_once(outcome):
    """The outcome with each question once: `everything` repeats its own over HTTP when a client takes up a stream again."""
    questions = {json.dumps(question): question for question in outcome.get("asked", [])}
    return {**outcome, "asked": [questions[key] for key in sorted(questions)]} if "asked" in outcome else outcome


def over_sse(the_lab, report, client):
    """A server that knows only the transport of 2024-11-05, beside the same one over the present transport."""
    with report.case(f"{client}: everything through serve url of HTTP+SSE"), the_lab.home() as home:
        with http_server(the_lab, "everything") as url:
            direct = drive(the_lab, client, {"url": url}, the_lab.fresh(), "everything")
        with http_server(the_lab, "everything", "sse") as url, home.serve({"everything": url}) as base:
            through = drive(the_lab, client, {"url": f"{base}/mcp/everything"}, the_lab.fresh(), "everything")
        compare(asked_once(direct), asked_once(through), tolerant=False)
        expect_record(home, through)


@contextlib.contextmanager
def http_server(the_lab, server, transport="streamableHttp"):
    [port] = lab.free_ports(1)
    if server == "everything":
        command, env = [*the_lab.server("everything", None)[:-1], transport], {"PORT": str(port)}
    else:
        command, env = [the_lab.fixture, "--listen", f"127.0.0.1:{port}"], {}
    process = subprocess.Popen(command, env={**lab.os.environ, **env}, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        lab.wait_for(lambda: lab.connects(port), f"{server} over HTTP")
        yield f"http://127.0.0.1:{port}/{'sse' if transport == 'sse' else 'mcp'}"
    finally:
        process.kill()
        process.wait()


def drive_stdio(the_lab, home, server, client, way):
    world = the_lab.world(server)
    command = the_lab.server(server, world)
    env = environment(server, world)
    if way == "serve command":
        with home.serve({server: command}, env_table(server, env)) as base:
            outcome = drive(the_lab, client, {"url": f"{base}/mcp/{server}"}, world, server)
    else:
        if way != "direct":
            options = ["--name", server, *(word for name in env for word in ("--pass-env", name))]
            command = home.wrap(command, *options, *way.split()[1:])
            env = {**env, "BARTIZAN_HOME": str(home.path)}
        outcome = drive(the_lab, client, {"command": command, "env": env}, world, server)
    if server in EFFECTS and "broken off" not in outcome:
        file, text = EFFECTS[server]
        assert text in (world / file).read_text(), f"{file} does not hold {text!r}"
    return outcome


def environment(server, world):
    """The variables that a server finds its world by."""
    return {"MEMORY_FILE_PATH": str(world / "memory.jsonl")} if server == "memory" else {}


def env_table(server, env):
    return f"[server.{server}.env]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in env.items())


def drive(the_lab, client, target, world, server):
    script, settings = CLIENTS[client]
    task = {**settings, "target": target, "dir": str(world), "steps": scenarios.STEPS[server]}
    program = the_lab.python if script.endswith(".py") else the_lab.node
    done = subprocess.run([program, lab.HERE / script], input=json.dumps(task), capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, f"the client failed: {done.stderr[-2000:]}"
    return {key: steady(value, str(world)) for key, value in json.loads(done.stdout.splitlines()[-1]).items()}


def steady(value, world):
    """Without what differs from run to run: the directory, the clock, the name of a session."""
    text = json.dumps(value).replace(world, "DIR")
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?", "NOW", text)
    return json.loads(re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID", text))


def is_mismatch(server, client):
    """A client that insists on the newest revision, and a server that has never heard of it."""
    return "2026-07-28" in client and server in ("everything", "filesystem", "memory")


def expect_work(server, client, outcome):
    """The direct run is the measure, so it has to be worth something."""
    if is_mismatch(server, client):
        return
    assert "broken off" not in outcome, outcome["broken off"]
    may_fail = ("list ", '["read", "demo://resource/nowhere', '["read","demo://resource/nowhere')
    odd = {name: value for name, value in outcome.items() if is_failure(value) and not name.startswith(may_fail)}
    odd = {name: value for name, value in odd.items() if not value.get("isError")}
    assert not odd, f"failed directly: {odd}"
    assert all(value != {"failed": False} for value in outcome.values()), "what had to fail did not"


def compare(direct, through, tolerant):
    assert list(direct) == list(through), f"steps differ: {list(direct)} and {list(through)}"
    for name, value in direct.items():
        if tolerant and is_failure(value) and is_failure(through[name]):
            # Who says so may differ: a guard knows that the server never listed such a tool.
            continue
        assert alike(name, value, through[name]), f"{name}:\n  direct  {value}\n  through {through[name]}"


def is_failure(value):
    return isinstance(value, dict) and ("error" in value or value.get("isError") is True)


def alike(name, one, other):
    if isinstance(one, dict) and isinstance(other, dict) and "progress" in one and "progress" in other:
        # A client may drop the last progress when the result is right behind it.
        short, long = sorted((one["progress"], other["progress"]), key=len)
        same = long[: len(short)] == short and len(long) - len(short) <= 1 and len(short) >= 2
        return same and one["result"] == other["result"]
    return one == other


def expect_record(home, outcome):
    """The log is whole, and holds every request with its answer."""
    for log in home.logs():
        verified = home.cli("audit", "verify", str(log))
        assert verified.returncode == 0, f"audit verify: {verified.stdout}{verified.stderr}"
    assert home.logs(), "there is no log"
    messages = home.messages(kind="message")
    requests = [m for m in messages if m["form"] == "request" and m["direction"] == "to_server"]
    steps = [name for name in outcome if name.startswith("[")]
    assert len(requests) >= len(steps), f"only {len(requests)} requests are recorded"
    answered = {(m["session"], m.get("request")) for m in messages if m["form"] in ("result", "error") and m["direction"] == "to_client"}
    answered |= {(m["session"], m.get("request")) for m in home.messages(kind="upstream.failed")}
    cancelled = [m for m in messages if m.get("method") == "notifications/cancelled"]
    refused = [m for m in requests if m["decision"] == "deny"]
    missing = [m for m in requests if (m["session"], m["request"]) not in answered and m not in refused]
    # A cancelled request and a stream for changes have no answer; over HTTP a client cancels by going.
    free = ("subscriptions/listen", "tools/call")
    assert all(m["method"] in free for m in missing), f"unanswered in the log: {missing}"
    assert len(missing) <= len(cancelled) + 3, f"unanswered in the log: {missing}"
