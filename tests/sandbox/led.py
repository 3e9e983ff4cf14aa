"""What is shown of paths that somebody else may have led elsewhere, and of those that are named from where the client is."""

import ctypes
import json
import os
import pathlib
import subprocess
import threading

from machine import SECRET, machine
from harness import BINARY, TOOLS, check, equal

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = str(TOOLS / "python" / "bin" / "python3")


def told(home, command, *options, cwd=None):
    """What stands on standard error of a wrapped program that says what it has to say there."""
    environment = os.environ | {"BARTIZAN_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config"), "NO_COLOR": "1"}
    return subprocess.run([BINARY, "run", "--standalone", "--name", "x", *options, "--", *map(str, command)], cwd=cwd, env=environment,
                          capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL).stderr


def case_what_others_laid_is_not_followed_by_what_a_client_starts():
    """Servers that `run` wraps know nothing of each other: what one leaves where it may write decides nothing for the next one."""
    with machine() as place:
        work, outside = place / "work", place / "outside"
        environment = os.environ | {"BARTIZAN_HOME": str(place / "home"), "XDG_CONFIG_HOME": str(place / "home"), "NO_COLOR": "1", "TMPDIR": str(work)}

        def run(name, script, *words, limit=60):
            command = [BINARY, "run", "--standalone", "--name", name, "--", "/bin/sh", "-c", script, *map(str, words)]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit, cwd=work, env=environment)
            return done.stdout + done.stderr
        # Also where its directory is the one for temporary files: the way out of another one lies elsewhere.
        said = run("one", 'ls -a "$0" >&2; mkdir "$0/notes" "$0/kept"', work)
        check("bartizan-egress" not in said and (place / "home" / "ways-out").is_dir() and (work / "kept").is_dir(), said)
        read = 'cat "$0/secret" >&2; echo x > "$0/canary"; echo done >&2'
        (place / "mine").symlink_to(outside)
        said = run("user", read, place / "mine")
        check(SECRET in said and (outside / "canary").exists(), f"the control: a link of the user's own is followed: {said}")
        (outside / "canary").unlink()
        run("one", 'rmdir "$0/notes"; ln -s "$1" "$0/notes"', work, "at:" + str(outside))
        (work / "notes").unlink(missing_ok=True)
        (work / "notes").symlink_to(outside)
        said = run("two", read, work / "notes")
        check("done" in said and "is not followed" in said and SECRET not in said and not (outside / "canary").exists(), said)
        # Nor where it is exchanged while the other one starts.
        stopped = threading.Event()

        def exchange():
            libc = ctypes.CDLL(None, use_errno=True)
            at = [str(work / name).encode() for name in ("notes", "kept")]
            while not stopped.is_set():
                libc.renameat2(-100, at[0], -100, at[1], 2)
        thread = threading.Thread(target=exchange)
        thread.start()
        try:
            said = [run("two", read, work / "notes") for _ in range(15)]
        finally:
            stopped.set()
            thread.join()
        check(not any(SECRET in one for one in said) and not (outside / "canary").exists(), said)
        check(any("is not followed" in one for one in said) or any("canary" in os.listdir(work / name) for name in ("notes", "kept") if not (work / name).is_symlink()), said)
        # What is no file is not waited for.
        os.mkfifo(work / "pipe", 0o755)
        os.chmod(work / "pipe", 0o755)
        done = subprocess.run([BINARY, "run", "--standalone", "--", str(work / "pipe")], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env=environment)
        check(done.returncode != 0, done.stderr)


def case_certificates_are_handed_on_and_nothing_else():
    """A variable names a file of certificates where the server, or somebody else, may write."""
    with machine() as place:
        work, outside = place / "work", place / "outside"
        config, file = outside / "bartizan.toml", work / "ca.pem"
        pem = "-----BEGIN CERTIFICATE-----\nb3Vycw==\n-----END CERTIFICATE-----\n"
        config.write_text(f'[lock]\npath = "{outside}/mcp.lock"\n[server.c]\ncommand = {json.dumps([PYTHON, str(HERE / "server.py"), str(work)])}\n'
                          f'env = {{ GIT_SSL_CAINFO = "{file}" }}\n[server.c.sandbox]\nprofile = "auto"\nnet.allow = [{{ host = "example.com:443", paths = ["/x"] }}]\n')
        environment = os.environ | {"BARTIZAN_HOME": str(place / "home"), "NO_COLOR": "1"}

        def shell(script):
            done = subprocess.run([BINARY, "sandbox", "shell", "c", "--config", str(config), "--", "sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=60, env=environment)
            return done.stdout + done.stderr
        file.write_text(f"words beside them\n{pem}")
        said = shell(f'cat "$GIT_SSL_CAINFO"; rm -f {file}; ln -s {outside}/secret {file}; echo done')
        check("b3Vycw==" in said and "words beside" not in said and said.count("BEGIN CERTIFICATE") == 2, said)
        check("done" in said and file.read_text().endswith(pem), "the server replaced it")
        for lay in (lambda: file.symlink_to(outside / "secret"), lambda: os.mkfifo(file)):
            file.unlink()
            lay()
            said = shell('cat "$GIT_SSL_CAINFO"')
            check(SECRET not in said, said)


def case_paths_are_meant_from_where_the_client_is():
    """What is named with `../`, and the interpreter of a project's environment, also where the project was given to another server."""
    with machine() as place:
        project, sub = place / "project", place / "project" / "sub"
        sub.mkdir(parents=True)
        (project / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "0"\n')
        (project / "server.py").write_text("import sys; print('ran', sys.prefix, file=sys.stderr)\n")
        subprocess.run([PYTHON, "-m", "venv", "--without-pip", project / ".venv"], check=True, timeout=60)
        for given in (False, True):
            if given:
                check("kept" in told(place / "home", ["sh", "-c", 'touch "$0/kept" && echo kept >&2', project]), "the control: it may write there")
            for command, cwd in (([".venv/bin/python", "server.py"], project), ([".venv/bin/python", "-m", "server"], project), (["../.venv/bin/python", "../server.py"], sub)):
                said = told(place / "home", command, cwd=cwd)
                check(f"ran {project}/.venv" in said, f"{given} {command}: {said}")
        # An environment that leads to no interpreter of an installation shows nothing.
        link = project / ".venv" / "bin" / "python"
        link.unlink()
        link.symlink_to(place / "outside" / "secret")
        said = told(place / "home", ["sh", "-c", f"cat {place}/outside/secret >&2; echo done >&2", project])
        check("done" in said and SECRET not in said, said)
        # With an option, and what is neither named nor seen.
        said = told(place / "home", ["sh", "-c", "touch made; ls >&2"], "--rw", "../sub", cwd=sub)
        check((sub / "made").exists() and "cannot be confined" not in said, said)
        (place / "outside" / "other.txt").write_text("")
        said = told(place / "home", ["sh", "-c", "true", "../outside/other.txt"], cwd=place / "work")
        check("the program does not see ../outside/other.txt" in said, said)
        # Whoever wrote the command writes no line of what is said of it.
        said = told(place / "home", ["sh", "-c", "true", f"{place}/none\nbartizan: all is well"])
        check("there is no" in said and not any(line.startswith("bartizan: all is well") for line in said.splitlines()), said)
        # A home directory is not proposed to be read as a whole, another one is.
        own = place / "home" / "state"
        for home, proposed in ((place / "home", False), (place / "outside", True)):
            environment = os.environ | {"BARTIZAN_HOME": str(own), "HOME": str(home), "NO_COLOR": "1"}
            done = subprocess.run([BINARY, "run", "--standalone", "--", "/bin/true", str(place / "home")], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                                  env=environment)
            equal(("take off its sandbox" in done.stderr, "read-only" in done.stderr), (True, proposed), done.stderr)


def case_programs_that_a_server_laid_are_not_another_ones():
    """Where `PATH` leads first to a place that one server may write to, it chooses no program of another, nor a runtime or installer."""
    with machine() as place:
        work, planted, tools = place / "work", place / "work" / "bin", place / "outside" / "tools"
        tools.mkdir()
        for name, text in (("tool", "#!/usr/bin/env interpreter\n"), ("interpreter", "#!/bin/sh\necho the real one >&2\n")):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        environment = os.environ | {"BARTIZAN_HOME": str(place / "home"), "XDG_CONFIG_HOME": str(place / "home"), "NO_COLOR": "1",
                                    "PATH": f"{planted}:{tools}:{os.environ['PATH']}"}
        bartizan = lambda *words: subprocess.run([BINARY, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,  # noqa: E731
                                                 cwd=place, env=environment)
        names = ("tool", "interpreter", "python3", "runc", "crun", "runsc", "own")
        lay = "; ".join(f"printf '#!/bin/sh\\necho planted {name} >&2; echo x > {place}/outside/canary\\n' > $0/{name}; chmod +x $0/{name}" for name in names)
        said = bartizan("run", "--standalone", "--name", "one", "--rw", work, "--ro", tools, "--", "tool").stderr
        check("the real one" in said, said)
        bartizan("run", "--standalone", "--name", "one", "--rw", work, "--", "/bin/sh", "-c", f'mkdir -p "$0"; {lay}', planted)
        check(all(os.access(planted / name, os.X_OK) for name in names), "nothing was laid")
        # Not the one that comes first, also as what runs a script and where both are seen; and the one that is meant where there is no other.
        for options in (["--ro", tools], ["--ro", tools, "--ro", work], ["--rw", work, "--ro", tools], ["--level", "none", "--allow-unconfined"]):
            said = bartizan("run", "--standalone", "--name", "two", *options, "--", "tool").stderr
            check("the real one" in said and "planted" not in said, f"{options}: {said}")
            check(f"{planted}/tool lies where a server may write, so {tools}/tool is started" in said, f"{options}: {said}")
        said = bartizan("run", "--standalone", "--name", "two", "--", "own").stderr
        check("planted own" in said and "lies where" not in said, said)
        # Nor does what looks like an environment have its interpreter come first.
        (planted / "python3").unlink()
        (planted / "python3").symlink_to(PYTHON)
        (work / "pyvenv.cfg").write_text("")
        said = bartizan("run", "--standalone", "--name", "two", "--", "python3", "-c", "pass").stderr
        check(f"{planted}/python3 lies where a server may write" in said, said)
        # The host is looked at as the user, so nothing of it is started, also by way of a link.
        config = place / "bartizan.toml"
        config.write_text(f'[server.x]\ncommand = ["true"]\n[server.x.sandbox]\nlevel = "container"\nruntime = "{planted}/runc"\n')
        for _ in range(2):
            done = bartizan("doctor", "--config", config)
            check("planted" not in done.stdout.replace(str(planted), "") + done.stderr and not (place / "outside" / "canary").exists(), done.stdout + done.stderr)
            check("lies where servers may write" in done.stdout and done.returncode == 1, done.stdout)
            if not planted.is_symlink():
                planted.rename(place / "outside" / "laid")
                planted.symlink_to(place / "outside" / "laid")


def case_own_files_are_not_behind_links_of_a_server():
    with machine() as place:
        (place / "outside" / "token").write_text("value")
        (place / "outside" / "token").chmod(0o600)
        (place / "work" / "link").symlink_to(place / "outside")
        environment = os.environ | {"BARTIZAN_HOME": str(place / "home"), "XDG_CONFIG_HOME": str(place / "home"), "NO_COLOR": "1"}
        config = place / "bartizan.toml"
        remote = '[server.remote]\nurl = "https://mcp.example.com/"\nheaders = {{ Authorization = "file:{}" }}\n'.format
        captured = '[capture]\npath = "{}"\n'.format
        for more, starts in ((remote(place / "outside" / "token"), True), (remote(place / "work" / "link" / "token"), False),
                             (captured(place / "outside" / "captured"), True), (captured(place / "work" / "captured"), False)):
            config.write_text(f'[server.files]\ncommand = ["true"]\nsandbox = {{ fs = {{ rw = ["{place}/work"] }} }}\n{more}')
            done = subprocess.run([BINARY, "doctor", "--json", "--config", str(config)], capture_output=True, text=True, timeout=60, env=environment)
            [found] = [server for server in json.loads(done.stdout)["servers"] if server["name"] == "files"]
            equal(found["starts"], starts, f"{more}: {found['why']}")
            check(starts or "learn secrets" in found["why"], found)
