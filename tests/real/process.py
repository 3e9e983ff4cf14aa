"""What becomes of streams, signals, exit codes and processes when a server is wrapped by `bartizan run`."""

import fcntl
import itertools
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import threading

import lab
from lab import Stdio, alive, wait_for

ODD = [sys.executable, str(lab.HERE / "server.py")]
WAYS = {" (bridge)": [], " (standalone)": ["--standalone"]}


def cases(the_lab, report):
    checks = (exit_codes, terminated, input_closed, one_request, only_messages, death_in_a_call, mute, not_found,
              place_and_environment, misconfigured, guarded, withheld, lock_removed, mistaken, withheld_by_which,
              configured_later, noted, two_locks, bridge_killed, unread_complaints, deaf)
    report.each(the_lab, "process", checks, WAYS)
    report.each(the_lab, "process", (daemon_killed, two_bridges, idle, configurations, written_later, unreadable_lock, leaving, late, turned_away, out_of_files,
                                        not_started, reloaded, stopped), {"": []})
    if os.getuid() == 0:
        # Nobody else can be somebody else.
        report.each(the_lab, "process", (anothers_socket,), {"": []})


def start(home, options, command, **settings):
    return Stdio(home.wrap(command, *options), env={**home.env, **settings.pop("env", {})}, **settings)


def call(id, tool, **arguments):
    return {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


def text(answer):
    return answer["result"]["content"][0]["text"]


def exit_codes(home, options):
    """The server's end is ours."""
    for script, status in [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -KILL $$", 137), ("kill -SEGV $$", 139)]:
        with start(home, options, ["sh", "-c", f"echo bye >&2; {script}"]) as server:
            assert server.ended() == status, f"{script}: {server.process.returncode}"
            assert server.out == [], server.out
            assert "bye" in server.complaint(), server.complaint()
            assert lab.NOTICE.match(b"".join(server.err).decode()), server.err
            how = f"was killed by signal {status - 128}" if status > 128 and status < 255 else f"exited with code {status}"
            assert (f"bartizan: the server {how}\n" in server.complaint()) == (status != 0), server.complaint()


def terminated(home, options):
    """A signal is the server's to handle."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        script = f"trap 'echo caught >&2; exit 42' {number.value}; echo ready >&2; while :; do sleep 0.05; done"
        with start(home, options, ["sh", "-c", script]) as server:
            wait_for(lambda: "ready" in server.complaint(), "the server")
            server.process.send_signal(number)
            assert server.ended() == 42, (number, server.process.returncode)
            assert "caught" in server.complaint() and "exited" not in server.complaint()


def input_closed(home, options):
    """A client that closes its side ends everything, also a server that does not care."""
    file = home.path / "pids"
    with start(home, options, [*ODD, "--child", str(file)]) as server:
        server.initialize()
        pids = [int(pid) for pid in file.read_text().split()]
        server.process.stdin.close()
        assert server.ended() == 0, server.process.returncode
        wait_for(lambda: not any(map(alive, pids)), "the end of the tree")
    stubborn = "trap '' TERM; echo $$ >&2; while :; do sleep 1; done"
    with start(home, options, ["sh", "-c", stubborn]) as server:
        pid = int(wait_for(server.complaint, "the server").split()[0])
        server.process.stdin.close()
        assert server.ended() == 137, server.process.returncode
        assert not alive(pid)


def one_request(home, options):
    """`echo request | bartizan run -- server` gets its answer."""
    request = {"jsonrpc": "2.0", "id": "a", "method": "initialize",
               "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}}
    done = subprocess.run(home.wrap(home.lab.server("everything", None), *options), input=json.dumps(request) + "\n",
                          env=home.env, capture_output=True, text=True, timeout=lab.PATIENCE)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == ["a"], done.stdout
    assert answers[0]["result"]["serverInfo"]["name"] == "mcp-servers/everything"
    assert done.returncode == 0, done


def only_messages(home, options):
    """What is no message stays away from the client, and is in the log."""
    script = "echo starting up; printf '\\033[31mred\\n'; echo '{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}'; cat >/dev/null"
    with start(home, options, ["sh", "-c", script]) as server:
        said = server.until(lambda said: said, "message")
        assert said == [{"jsonrpc": "2.0", "method": "notifications/x"}], said
        server.process.stdin.close()
        assert server.ended() == 0
        assert len(server.out) == 1, server.out
    refused = home.messages(kind="unreadable")
    assert len(refused) == 2 and all(entry["direction"] == "to_client" for entry in refused), refused


def death_in_a_call(home, options):
    """Every call under way is answered, with the server's last words."""
    with start(home, [*options, "--no-restart"], ODD) as server:
        server.initialize()
        server.send(call(1, "hold"), call(2, "hold"), call(3, "die", status=5, words=["out of \033[2Jpaper", "giving up"]))
        for id in (1, 2, 3):
            answer = server.answer(id)
            assert answer["result"]["isError"] is True, answer
            for words in ("out of \\u{1b}[2Jpaper", "giving up", "ended before it answered"):
                assert words in text(answer), text(answer)
        assert server.ended() == 5
        assert "giving up" in server.complaint()
    for id in ("1", "2", "3"):
        failed = [entry for entry in home.messages(kind="upstream.failed") if entry["request"] == id]
        assert len(failed) == 1 and failed[0]["rule"] == "upstream.ended", failed


def mute(home, options):
    """A server that closes its output and lives on is ended, and its calls are answered."""
    with start(home, [*options, "--no-restart"], ODD) as server:
        server.initialize()
        answer = server.ask(1, "tools/call", name="mute", arguments={})
        assert answer["result"]["isError"] is True, answer
        assert server.ended() != 0


def not_found(home, options):
    plain = home.path / "plain.txt"
    plain.write_text("not a program")
    for command in ("no-such-program", str(plain), "/"):
        with start(home, options, [command]) as server:
            assert server.ended() == 4, server.process.returncode
            assert server.out == []
            assert command in server.complaint() and "error: " in server.complaint(), server.complaint()


def place_and_environment(home, options):
    """The server starts where the client started it, and sees only what it may."""
    place = home.lab.fresh("place")
    script = 'echo "at $PWD token=$TOKEN wanted=$WANTED home=$HOME" >&2'
    env = {"TOKEN": "secret", "WANTED": "yes"}
    with start(home, [*options, "--pass-env", "WANTED"], ["sh", "-c", script], env=env, cwd=place) as server:
        assert server.ended() == 0
        hint, said = server.complaint().splitlines()
        assert said == f"at {place} token= wanted=yes home={os.environ['HOME']}", said
        assert " does not see TOKEN; --pass-env NAME" in hint and "WANTED" not in hint and "secret" not in hint, hint
    with start(home, ["--pass-env", "TOKEN=secret"], ["true"]) as server:
        assert server.ended() == 2 and "no value" in server.complaint() and "secret" not in server.complaint()
    with start(home, ["--pass-env", "UNSET"], ["true"]) as server:
        assert server.ended() == 0 and "--pass-env UNSET: it is not set" in server.complaint(), server.complaint()


def misconfigured(home, options):
    """What is wrong with the configuration is said at once, by `run` and not only in a log."""
    file = home.path / "config/bartizan/bartizan.toml"
    file.parent.mkdir(parents=True)
    file.write_text('mode = "obsrve"\n')
    with start(home, options, ODD) as server:
        assert server.ended() == 2 and server.out == [], server.process.returncode
        assert "obsrve" in server.complaint() and "bartizan.toml" in server.complaint(), server.complaint()
    file.write_text('mode = "observe"\n')
    with start(home, options, ODD) as server:
        server.initialize()


def not_started(home, options):
    """A daemon that cannot start is not waited for, and what it said last is said."""
    (home.path / "run").mkdir(mode=0o700)
    (home.path / "run/audit").write_text("no directory")
    with start(home, options, ODD) as server:
        assert server.ended() == 4 and server.out == [], server.process.returncode
        assert "could not be started: error: " in server.complaint(), server.complaint()
    home.env["BARTIZAN_HOME"] = str(home.path / ("long" * 30))
    with start(home, options, ODD) as server:
        assert server.ended() == 4 and server.out == [], server.process.returncode
        assert "too long" in server.complaint() and "BARTIZAN_HOME" in server.complaint(), server.complaint()
    with start(home, [*options, "--standalone"], ODD) as server:
        server.initialize()


def guarded(home, options):
    """A guard stops what does not fit and lets through what does; both are recorded and can be explained."""
    with start(home, [*options, "--name", "everything"], home.lab.server("everything", None)) as server:
        server.initialize()
        server.ask(1, "tools/list")
        good = server.ask(2, "tools/call", name="get-sum", arguments={"a": 1, "b": 2})
        assert text(good) == "The sum of 1 and 2 is 3.", good
        bad = server.ask(3, "tools/call", name="get-sum", arguments={"a": "one", "b": 2})
        assert bad["result"]["isError"] and "Blocked by bartizan" in text(bad), bad
        server.send({"jsonrpc": "2.0", "id": 77, "result": {}})
        twice = '{"jsonrpc":"2.0","id":4,"method":"ping","method":"tools/list"}\n'
        server.process.stdin.write(twice.encode())
        server.process.stdin.flush()
        refused = server.until(lambda said: [m for m in said if m.get("error", {}).get("code") == -32600], "refusal")
        assert refused[0]["id"] == 4, refused
        assert server.ask(5, "ping")["result"] == {}
        server.process.stdin.close()
        assert server.ended() == 0
    decided = {entry["request"]: entry["decision"] for entry in home.messages(kind="message", direction="to_server") if "request" in entry}
    assert decided["2"] == "allow" and decided["3"] == "deny" and decided["77"] == "deny" and decided["5"] == "allow", decided
    denied = home.messages(kind="message", request="3", direction="to_server")[0]
    why = home.cli("why", denied["id"])
    assert why.returncode == 0 and denied["rule"] in why.stdout, why
    for log in home.logs():
        assert home.cli("audit", "verify", str(log)).returncode == 0


LISTS = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "lists", "version": "1"}}
    if asked["method"] == "tools/list":
        tools = json.load(open(sys.argv[1])).items()
        result = {"tools": [{"name": name, "description": text, "inputSchema": {"type": "object"}} for name, text in tools]}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""


def withheld(home, options):
    """Who misses a tool finds the reason among what the client keeps of standard error, in every session once."""
    file = home.path / "tools.json"
    hint = "bartizan: 2 tools of calc withheld (add changed, sub new): bartizan lock diff --server calc\n"

    def listed(tools, *more):
        file.write_text(json.dumps(tools))
        with start(home, [*options, "--name", "calc"], [sys.executable, "-c", LISTS, str(file), *more]) as server:
            server.initialize()
            names = [[tool["name"] for tool in server.ask(id, "tools/list")["result"]["tools"]] for id in (1, 2)]
            assert names[0] == names[1], names
            server.process.stdin.close()
            assert server.ended() == 0
            return names[0], server.complaint()

    first, changed = {"add": "adds"}, {"add": "adds, and more", "sub": "subtracts"}
    assert listed(first) == (["add"], "")
    for _ in range(2):
        assert listed(changed) == ([], hint)
    names, said = listed(first, "another argument")
    other = "bartizan: calc is not the server whose definitions were approved: it is started with other arguments. "
    assert names == ["add"] and said.startswith(other) and said.count("\n") == 1, said
    assert "bartizan lock update --server calc" in said and "/" not in said, said
    (home.path / "config/bartizan").mkdir(parents=True)
    home.end_daemon()
    (home.path / "config/bartizan/bartizan.toml").write_text(f'mode = "observe"\n[lock]\npath = "{home.path}/mcp.lock"\n')
    names, said = listed(changed, "another argument")
    assert names == ["add", "sub"] and "2 tools of calc not as accepted, but let through (" in said, (names, said)


def end_whole(home):
    """Ends the daemon and waits for its log: the system shows a process as gone before its files are closed."""
    home.end_daemon()
    lock = home.path / "run/audit/lock"

    def free():
        with open(lock) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    if lock.exists():
        wait_for(free, "the end of the log's writer")


def tools_of(home, options, tools, status=0):
    """What a client gets of a server that lists these, and what is said of it."""
    file = home.path / "tools.json"
    file.write_text(json.dumps(tools))
    with start(home, [*options, "--name", "calc"], [sys.executable, "-c", LISTS, str(file)]) as server:
        if status == 0:
            server.initialize()
            names = [tool["name"] for tool in server.ask(1, "tools/list")["result"]["tools"]]
            server.process.stdin.close()
        assert server.ended() == status, (server.process.returncode, server.complaint())
        said = server.complaint()
    end_whole(home)
    return names if status == 0 else said


def lock_removed(home, options):
    """A lock file that is removed under a running Bartizan has nothing approved anew, and that it was is recorded."""
    file, lock = home.path / "tools.json", home.path / "mcp.lock"
    file.write_text(json.dumps({"add": "adds"}))
    with start(home, [*options, "--name", "calc"], [sys.executable, "-c", LISTS, str(file)]) as server:
        server.initialize()
        assert len(server.ask(1, "tools/list")["result"]["tools"]) == 1
        lock.unlink()
        file.write_text(json.dumps({"add": "adds, and more", "sub": "subtracts"}))
        assert server.ask(2, "tools/list")["result"]["tools"] == []
        wait_for(lambda: home.messages(kind="lock.gone"), "the entry")
        assert "[servers.calc" in lock.read_text()
        assert "sub" in home.cli("lock", "diff", "--server", "calc").stdout
        # What is meant is still forgotten.
        assert home.cli("lock", "forget", "--server", "calc").returncode == 0
        ids = itertools.count(3)
        wait_for(lambda: len(server.ask(next(ids), "tools/list")["result"]["tools"]) == 2, "that it is new")
        assert len(home.messages(kind="lock.gone")) == 1


def mistaken(home, options):
    """After a mistake in the command the right one is no other server: nothing was approved of the first."""
    file = home.path / "tools.json"
    file.write_text(json.dumps({"add": "adds"}))
    with start(home, [*options, "--name", "calc"], ["nosuchserver"]) as server:
        server.ended()
    for arguments, said in [((), ""), (("another argument",), "calc is not the server whose definitions were approved")]:
        with start(home, [*options, "--name", "calc"], [sys.executable, "-c", LISTS, str(file), *arguments]) as server:
            server.initialize()
            assert len(server.ask(1, "tools/list")["result"]["tools"]) == 1
            server.process.stdin.close()
            assert server.ended() == 0
            found = server.complaint()
            assert said in found and bool(said) == bool(found), found


def withheld_by_which(home, options):
    """Only what is withheld as not accepted is named as that, what is let through as that, and what another guard stops as neither."""
    first = {"add": "adds", "old": "is old"}
    config = home.path / "config/bartizan/bartizan.toml"
    config.parent.mkdir(parents=True)
    file = home.path / "tools.json"

    def said(tools):
        file.write_text(json.dumps(tools))
        with start(home, [*options, "--name", "calc"], [sys.executable, "-c", LISTS, str(file)]) as server:
            server.initialize()
            names = [tool["name"] for tool in server.ask(1, "tools/list")["result"]["tools"]]
            server.process.stdin.close()
            assert server.ended() == 0
            notices = [line for line in server.complaint().splitlines() if "lock diff" in line]
        end_whole(home)
        return names, notices

    assert said(first) == (["add", "old"], [])
    changed = {"add": "adds, and more", "old": "is old", "plain": "is new", "extra": "is new\u202e and hidden"}
    def notice(count, done, names):
        return f"bartizan: {count} of calc {done} ({names}): bartizan lock diff --server calc"

    assert said(changed) == (["old"], [notice("3 tools", "withheld", "add changed, plain new, extra new")])
    config.write_text('[guard.tool_pinning.servers."calc"]\nrules = { "tool_pinning.added" = "observe" }\n')
    assert said(changed) == (["old", "plain"], [notice("1 tool", "withheld", "add changed"),
                                                notice("1 tool", "not as accepted, but let through", "plain new")])


EXCEPTION = """[[exception]]
server = "calc"
rule = "rate.tool"
reason = "for a test"
expires = 2099-01-01
"""


def configured_later(home, options):
    """The user's first configuration leaves what was approved in force, as does its end; a lock that it names is used."""
    config = home.path / "config/bartizan"
    first, changed = {"add": "adds", "sub": "subtracts"}, {"add": "adds, and more", "sub": "subtracts"}
    assert tools_of(home, options, first) == ["add", "sub"]
    config.mkdir(parents=True)
    file = config / "bartizan.toml"
    file.write_text(EXCEPTION)
    named = [*options, "--config", str(file)]
    for chosen in (options, named):
        assert tools_of(home, chosen, first) == ["add", "sub"]
        assert tools_of(home, chosen, changed) == ["sub"]
    assert not (config / "mcp.lock").exists()
    for chosen in ([], ["--config", str(file)]):
        shown = home.cli("lock", "diff", *chosen)
        assert shown.returncode == 1 and f"in {home.path}/mcp.lock\n" in shown.stdout and "`add`" in shown.stdout, shown
    # A lock that is named is begun anew, and is the only one.
    file.write_text(f'{EXCEPTION}[lock]\npath = "named.lock"\n')
    assert tools_of(home, options, changed) == ["add", "sub"]
    assert (config / "named.lock").exists() and not (config / "mcp.lock").exists()
    file.unlink()
    assert tools_of(home, options, changed) == ["sub"]
    # What was approved beside the configuration stays so, with it and without it.
    (home.path / "mcp.lock").rename(config / "mcp.lock")
    for text in (EXCEPTION, None):
        file.unlink(missing_ok=True) if text is None else file.write_text(text)
        assert tools_of(home, options, changed) == ["sub"]
        assert tools_of(home, options, first) == ["add", "sub"]
        assert not (home.path / "mcp.lock").exists()
    # A file of another place has its lock beside it.
    other = home.path / "other/bartizan.toml"
    other.parent.mkdir()
    other.write_text(EXCEPTION)
    assert tools_of(home, [*options, "--config", str(other)], changed) == ["add", "sub"]
    assert (other.parent / "mcp.lock").exists() and not (home.path / "mcp.lock").exists()


def two_locks(home, options):
    """With two lock files nobody can tell what was approved, so nothing runs until one is named or gone."""
    config = home.path / "config/bartizan"
    config.mkdir(parents=True)
    tools = {"add": "adds"}
    assert tools_of(home, options, tools) == ["add"]
    (config / "mcp.lock").write_text("version = 1\n")
    for text in (None, EXCEPTION):
        if text:
            (config / "bartizan.toml").write_text(text)
        said = tools_of(home, options, tools, status=4)
        assert f"more than one lock file: {config}/mcp.lock and {home.path}/mcp.lock" in said, said
        shown = home.cli("lock", "verify").stdout
        assert str(config / "mcp.lock") in shown and str(home.path / "mcp.lock") in shown, shown
    (config / "bartizan.toml").write_text(f'[lock]\npath = "{home.path}/mcp.lock"\n')
    assert tools_of(home, options, tools) == ["add"]
    (config / "bartizan.toml").write_text(EXCEPTION)
    (config / "mcp.lock").unlink()
    assert tools_of(home, options, {"add": "adds, and more"}) == []


def bridge_killed(home, options):
    """Nothing is left of a server whose bridge was killed."""
    file = home.path / "pids"
    with start(home, options, [*ODD, "--child", str(file)]) as server:
        server.initialize()
        pids = [int(pid) for pid in file.read_text().split()]
        assert all(map(alive, pids)), pids
        server.process.kill()
        wait_for(lambda: not any(map(alive, pids)), "the end of the tree")


def unread_complaints(home, options):
    """A client that does not read stderr gets its messages all the same."""
    script = "import sys; sys.stderr.write('complaint\\n' * 100_000); sys.stderr.flush(); print('{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}', flush=True); sys.stdin.read()"
    command = home.wrap([sys.executable, "-c", script], *options)
    process = subprocess.Popen(command, env=home.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert json.loads(process.stdout.readline()) == {"jsonrpc": "2.0", "method": "notifications/x"}
        process.stdin.close()
        assert process.wait(lab.PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


def deaf(home, options):
    """A server that reads nothing is told of signals, and does not outlive its bridge."""
    file = home.path / "pid"
    script = f"trap 'exit 42' TERM; echo $$ > {file}.new; mv {file}.new {file}; while :; do sleep 0.1; done"
    for end, status in ((signal.SIGTERM, 42), (signal.SIGKILL, -9)):
        file.unlink(missing_ok=True)
        with start(home, options, ["sh", "-c", script]) as server:
            wait_for(file.exists, "the server")
            # More than all the pipes and queues on the way can hold.
            note = {"jsonrpc": "2.0", "method": "notifications/x", "params": {"text": "x" * 50_000}}
            line = rest = json.dumps(note).encode() + b"\n"
            os.set_blocking(server.process.stdin.fileno(), False)
            stuck = 0
            while stuck < 40:
                try:
                    rest = rest[os.write(server.process.stdin.fileno(), rest):] or line
                    stuck = 0
                except BlockingIOError:
                    stuck += 1
                    lab.time.sleep(0.05)
            server.process.send_signal(end)
            assert server.process.wait(lab.PATIENCE) == status, server.process.returncode
            wait_for(lambda: not alive(int(file.read_text())), "the end of the server")


def daemon_killed(home, options):
    """Nothing is left of any server if the user's bartizan is killed, and the bridges say so."""
    files = [home.path / "one", home.path / "two"]
    servers = [start(home, [], [*ODD, "--child", str(file)]) for file in files]
    try:
        for server in servers:
            server.initialize()
        pids = [int(pid) for file in files for pid in file.read_text().split()]
        assert all(map(alive, pids)), pids
        os.kill(home.daemon_pid(), signal.SIGKILL)
        for server in servers:
            assert server.ended() == 4, server.process.returncode
            assert "bartizan" in server.complaint() and "ended" in server.complaint(), server.complaint()
        wait_for(lambda: not any(map(alive, pids)), "the end of the trees")
    finally:
        for server in servers:
            server.__exit__()
    # What it left behind does not keep the next one from starting.
    with start(home, [], ODD) as server:
        server.initialize()
    assert all(home.cli("audit", "verify", str(log)).returncode == 0 for log in home.logs())


def two_bridges(home, options):
    """Bridges that come at once share one daemon and one log."""
    servers = [start(home, ["--name", f"s{number}"], ODD) for number in range(4)]
    try:
        for server in servers:
            server.initialize()
            assert text(server.ask(1, "tools/call", name="echo", arguments={"text": "hello"})) == "hello"
    finally:
        for server in servers:
            server.process.stdin.close()
            assert server.ended() == 0
            server.__exit__()
    assert len(home.logs()) == 1, home.logs()
    assert len([entry for entry in home.entries() if entry["kind"] == "gateway.started"]) == 1
    assert {entry["server"] for entry in home.messages(kind="message")} == {"s0", "s1", "s2", "s3"}


def idle(home, options):
    """The user's bartizan ends when nobody needs it, and not before."""
    daemon = home.daemon(idle=2)
    other = home.cli("daemon")
    assert other.returncode == 4 and f"already (process {daemon.pid}); its directory is {home.path}," in other.stderr, other
    with start(home, [], ODD) as server:
        server.initialize()
        # Longer than it would wait for somebody.
        for number in range(30):
            server.ask(number + 1, "tools/list")
            lab.time.sleep(0.1)
        assert daemon.poll() is None
        server.process.stdin.close()
        assert server.ended() == 0
    assert daemon.wait(lab.PATIENCE) == 0
    assert not (home.path / "run/sock").exists()
    # What the server's end leaves to be said may come after it.
    assert "gateway.stopped" in [entry["kind"] for entry in home.entries()[-3:]], home.entries()[-3:]


def configurations(home, options):
    """A bridge is served under the configuration that it goes by and no other, whether it names one or not."""
    own, one, two = home.path / "config/bartizan/bartizan.toml", home.path / "one.toml", home.path / "two.toml"
    own.parent.mkdir(parents=True)
    for file in (one, two):
        file.write_text('mode = "observe"\n')
    named = lambda file: ["--config", str(file)]
    for has_own, first, others in (
        (False, named(one), ((named(one), True), ([], False), (named(two), False))),
        (False, [], (([], True), (named(one), False))),
        (True, [], (([], True), (named(own), True), (named(one), False))),
        (True, named(one), ((named(one), True), ([], False), (named(own), False))),
        (True, named(own), (([], True),)),
    ):
        own.write_text("") if has_own else own.unlink(missing_ok=True)
        with start(home, first, ODD) as server:
            server.initialize()
            for chosen, joins in others:
                with start(home, chosen, ODD) as other:
                    if joins:
                        other.initialize()
                    else:
                        assert other.ended() == 4, (first, chosen, other.process.returncode)
                        assert "another configuration" in other.complaint() and other.out == [], other.complaint()
                        ours = first[1] if first else own if has_own else "the defaults"
                        assert f"({ours})" in other.complaint(), other.complaint()
        home.end_daemon()


def noted(home, options):
    """That nothing is enforced, and what of its file it makes no use of, each `run` says once; else it says nothing."""
    file = home.path / "config/bartizan/bartizan.toml"
    file.parent.mkdir(parents=True)
    observes = 'bartizan: mode = "observe": what guards find is recorded and passes; only what cannot be read safely is stopped\n'
    useless = f"bartizan: `listen`, `audit.directory` in {file} do not apply to `run`\n"
    one = f"bartizan: `log` in {file} does not apply to `run`\n"
    for text, expected in (
        ('mode = "observe"\n', observes),
        ('[listen]\naddress = "127.0.0.1:1"\n[audit]\nquotes = true\ndirectory = "elsewhere"\n', useless),
        ('mode = "observe"\n[log]\nlevel = "info"\n', observes + one),
        ('mode = "enforce"\n[audit]\nquotes = true\n[limits]\ndepth = 64\n', ""),
    ):
        file.write_text(text)
        for _ in range(2):
            with start(home, options, ODD) as server:
                server.initialize()
                server.process.stdin.close()
                assert server.ended() == 0 and server.complaint() == expected, server.complaint()
    assert not (file.parent / "elsewhere").exists()
    if not options:
        modes = [entry["mode"] for entry in home.entries() if entry["kind"] in ("gateway.started", "config.reloaded")]
        assert modes == ["observe", "enforce", "observe", "enforce"], modes


def unreadable_lock(home, options):
    """That the lock file cannot be read, each `run` says until it can."""
    lock = home.path / "mcp.lock"

    def said():
        with start(home, ["--name", "odd"], ODD) as server:
            server.initialize()
            server.ask(1, "tools/list")
            server.process.stdin.close()
            assert server.ended() == 0
            return server.complaint()

    assert said() == ""
    good = lock.read_text()
    lock.write_text(f"<<<<<<< ours\n{good}")
    for _ in range(2):
        expected = f"bartizan: the lock file cannot be read, and what it held before stays in force: {lock}:1:"
        assert said().startswith(expected), said()
    lock.write_text(good)
    assert said() == ""


def written_later(home, options):
    """A first configuration is in force for the next `run`, and soon for those before, if there was no place for it before."""
    file = home.path / "config/bartizan/bartizan.toml"
    stops = lambda server, id: "bartizan/rule" in json.dumps(server.ask(id, "tools/call", name="unlisted", arguments={}))
    with start(home, ["--name", "odd"], ODD) as server:
        server.initialize()
        server.ask(1, "tools/list")
        assert stops(server, 2)
        file.parent.mkdir(parents=True)
        file.write_text('mode = "observe"\n')
        with start(home, ["--name", "odd"], ODD) as other:
            other.initialize()
            other.ask(1, "tools/list")
            assert not stops(other, 2)
        assert not stops(server, 3)
        file.write_text('mode = "enforce"\n')
        wait_for(lambda: len(home.messages(kind="config.reloaded")) == 2, "the next configuration")
        assert stops(server, 4)
        file.unlink()
        with start(home, ["--name", "odd"], ODD) as other:
            other.initialize()
            assert f"bartizan: {file} is gone" in other.complaint(), other.complaint()


def reloaded(home, options):
    """A changed configuration is in force for the wrapped servers that run; one with errors is not, and `run` says so."""
    file = home.path / "config/bartizan/bartizan.toml"
    file.parent.mkdir(parents=True)
    lock = f'[lock]\npath = "{home.path}/mcp.lock"\n'
    file.write_text(lock)
    # What the server says to it is an error of its own.
    stops = lambda server, id: "bartizan/rule" in json.dumps(server.ask(id, "tools/call", name="unlisted", arguments={}))
    with start(home, ["--name", "odd"], ODD) as server:
        server.initialize()
        server.ask(1, "tools/list")
        assert stops(server, 2)
        file.write_text(f'mode = "observe"\n{lock}')
        wait_for(lambda: home.messages(kind="config.reloaded"), "the new configuration")
        named = [entry["config"] for entry in home.entries() if entry["kind"] in ("gateway.started", "config.reloaded")]
        assert named == [str(file)] * 2, named
        assert not stops(server, 3)
        assert "configuration" not in server.complaint()
        file.write_text(f'mode = "obsrve"\n{lock}')
        wait_for(lambda: home.messages(kind="config.refused"), "the refusal")
        with start(home, ["--name", "odd"], ODD) as other:
            other.initialize()
            other.ask(1, "tools/list")
            assert not stops(other, 2)
            assert f"bartizan: {file} has errors, and the configuration before is in force" in other.complaint(), other.complaint()
        file.write_text(f'[lock]\npath = "{home.path}/other.lock"\n')
        wait_for(lambda: len(home.messages(kind="config.reloaded")) == 2, "the third configuration")
        assert stops(server, 4)
        with start(home, ["--name", "odd"], ODD) as other:
            other.initialize()
            assert "a change of `lock` in the configuration waits" in other.complaint(), other.complaint()
        file.write_text(lock)
        wait_for(lambda: len(home.messages(kind="config.reloaded")) == 3, "the first configuration")
        with start(home, ["--name", "odd"], ODD) as other:
            other.initialize()
            assert other.complaint() == "", other.complaint()


def stopped(home, options):
    """The user's bartizan can be told to end, with its servers; without one there is nothing to do."""
    none = home.cli("daemon", "--stop")
    assert none.returncode == 0 and "none runs" in none.stderr, none
    file = home.path / "pids"
    with start(home, [], [*ODD, "--child", str(file)]) as server:
        server.initialize()
        done = home.cli("daemon", "--stop")
        assert done.returncode == 0 and "stopped" in done.stderr, done
        assert server.ended() == 4 and "start it again" in server.complaint(), server.complaint()
        wait_for(lambda: not any(alive(int(pid)) for pid in file.read_text().split()), "the end of the tree")
    # What the server's end leaves to be said may come after it.
    assert "gateway.stopped" in [entry["kind"] for entry in home.entries()[-3:]], home.entries()[-3:]
    with start(home, [], ODD) as server:
        server.initialize()


def leaving(home, options):
    """One that has its socket taken away and still writes is waited for by the next one."""
    (home.path / "run").mkdir(mode=0o700)
    with open(home.path / "run/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with start(home, [], ODD) as server:
            wait_for(home.daemon_pid, "the daemon")
            # Time enough to see that the lock is taken, and to give up on it.
            lab.time.sleep(1.5)
            fcntl.flock(lock, fcntl.LOCK_UN)
            server.initialize()
            # Whereas one that serves is not waited for.
            second = home.cli("daemon")
            assert second.returncode != 0 and "already" in second.stderr, second


def late(home, options):
    """A bridge that comes in the moment in which the daemon would leave is served."""
    for _ in range(5):
        daemon = home.daemon(idle=1)
        os.kill(daemon.pid, signal.SIGSTOP)
        with start(home, [], ODD) as server:
            server.send({"jsonrpc": "2.0", "id": 0, "method": "initialize",
                         "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}})
            lab.time.sleep(2.5)
            os.kill(daemon.pid, signal.SIGCONT)
            assert "result" in server.answer(0)
            assert home.daemon_pid() == daemon.pid
            server.process.stdin.close()
            assert server.ended() == 0
        assert daemon.wait(lab.PATIENCE) == 0
        home.daemon_process = None


def turned_away(home, options):
    """A bridge whose daemon leaves before it has taken the hello starts another, and loses nothing that it was told."""
    (home.path / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home.path / "run/sock"))
        listener.listen()
        with start(home, [], ODD) as server:
            asked = threading.Thread(target=server.initialize, daemon=True)
            asked.start()
            connection, _ = listener.accept()
            assert connection.recv(5)
            lab.time.sleep(0.5)
            (home.path / "run/sock").unlink()
            connection.close()
            asked.join(lab.PATIENCE)
            assert text(server.ask(1, "tools/call", name="echo", arguments={"text": "hello"})) == "hello"


def out_of_files(home, options):
    """A daemon that can open no more files waits, without turning in circles, and goes on when it can."""
    daemon = home.daemon(idle=600)
    files = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    old = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (files, old[1]))
    with start(home, [], ODD) as server:
        wait_for(lambda: "could not be accepted" in (home.path / "daemon.txt").read_text(), "a warning")
        spent = lambda: sum(map(int, pathlib.Path(f"/proc/{daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
        before, lines = spent(), len((home.path / "daemon.txt").read_text().splitlines())
        lab.time.sleep(2)
        # In clock ticks of its own, of which a circle would take a hundred a second if it had the machine for itself.
        assert spent() - before < 30, spent() - before
        assert len((home.path / "daemon.txt").read_text().splitlines()) - lines < 100
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, old)
        server.initialize()


ANOTHER = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.setuid(65534)
listener.listen()
print("ready", flush=True)
connection = listener.accept()[0]
print(connection.recv(65536), flush=True)
"""


def anothers_socket(home, options):
    """Whoever else listens where the user's bartizan should be is told nothing."""
    (home.path / "run").mkdir(mode=0o700)
    command = [sys.executable, "-c", ANOTHER, str(home.path / "run/sock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "ready\n"
            with start(home, ["--pass-env", "TOKEN"], ODD, env={"TOKEN": "s3cret"}) as server:
                assert server.ended() != 0 and server.out == []
                assert "another user" in server.complaint(), server.complaint()
            assert other.stdout.readline() == "b''\n"
        finally:
            other.kill()
    (home.path / "run/sock").unlink()
    with start(home, ["--pass-env", "TOKEN"], ODD, env={"TOKEN": "s3cret"}) as server:
        server.initialize()
