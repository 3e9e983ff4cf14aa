#!/usr/bin/env python3
"""Secrets and the master key in a keyring: a real GNOME Keyring on a bus of its own.

Needs the program with the feature `keyring`. In the long version it is built here; in short it is used if BARTIZAN_BIN has
it, and else only what the program does without it is tried. `run.py NAME…` runs the cases whose names contain NAME.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "aggregate"), str(HERE.parent / "signin")]
ROOT = HERE.parents[1]
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
GIVEN = pathlib.Path(os.environ.get("BARTIZAN_BIN", TARGET / "debug" / "bartizan")).resolve()
LONG = os.environ.get("BARTIZAN_TEST_LONG") == "1"
LOCKED = ["--locked"] if os.environ.get("CI") else []
NEEDED = ("dbus-daemon", "dbus-send", "gnome-keyring-daemon", "secret-tool")


def has_keyring(program):
    said = subprocess.run([program, "secret", "list"], capture_output=True, text=True, timeout=60,
                          env=os.environ | {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"})
    return "without the feature" not in said.stderr


def program():
    """The one that has the feature; none if it is not to be built."""
    if has_keyring(GIVEN):
        return GIVEN
    if not LONG:
        return None
    # Where tests/features builds one without any, which shares most of its crates.
    folder = TARGET / "features"
    subprocess.run(["cargo", "build", "-p", "bartizan-cli", "--no-default-features", "--features", "keyring", "--target-dir",
                    str(folder), *LOCKED], cwd=ROOT, check=True)
    # A copy: whoever builds another one there takes the name.
    return shutil.copy2(folder / "debug" / "bartizan", folder / "bartizan-with-keyring")


PROGRAM = program()
os.environ["BARTIZAN_BIN"] = str(PROGRAM or GIVEN)

from browser import PASSWORD, Place  # noqa: E402
from bus import Bus  # noqa: E402
from harness import Gateway, Raw, check, cases_of, equal, run_cases  # noqa: E402
import auditlog  # noqa: E402

# Values that must be nowhere but in the keyring.
SECRET = "s3cret-of-the-keyring-4711"
OTHER = "an0ther-of-the-keyring-4712"


def bartizan(*words, given=None, status=0, program=None, env=None):
    """What a command says, on both streams."""
    began = time.monotonic()
    done = subprocess.run([program or os.environ["BARTIZAN_BIN"], *words], input=given or "", capture_output=True, text=True,
                          timeout=60, env=(env or os.environ) | {"NO_COLOR": "1"})
    said = done.stdout + done.stderr
    equal(done.returncode, status, f"{words}: {said}")
    check(time.monotonic() - began < 20, f"{words} took too long")
    for secret in (SECRET, OTHER):
        check(secret not in said, f"{words} shows a secret: {said}")
    return said


class Folder:
    """A configuration whose server needs a secret."""

    def __init__(self, program=None):
        self.program = program

    TEXT = '[server.near]\nurl = "http://127.0.0.1:1/mcp"\nheaders = {{ X-Key = "{}" }}\n'

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="bartizan-keyring-", ignore_cleanup_errors=True)
        self.file = pathlib.Path(self.folder.name) / "bartizan.toml"
        self.wants("keyring:token")
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def wants(self, value, more=""):
        self.file.write_text(self.TEXT.format(value) + more)

    def check(self, status, *says):
        said = bartizan("config", "check", str(self.file), status=status, program=self.program)
        for text in says:
            check(text in said, f"{text!r} is not in: {said}")


class Without:
    """The program as it is released."""

    def case_every_use_is_refused_with_the_remedy():
        with Folder(GIVEN) as folder:
            folder.check(2, "bartizan.toml:3:", "without the feature `keyring`", "file:PATH")
            folder.wants("plain", '[store]\nkeyring = "gateway"\n')
            folder.check(2, "bartizan.toml:5:", "without the feature `keyring`")
            said = bartizan("serve", "--config", str(folder.file), status=2, program=GIVEN)
            check("without the feature" in said, said)
            folder.wants("plain")
            folder.check(0, "ok, 1 server")
            for words in (["set", "token"], ["list"], ["remove", "token"]):
                said = bartizan("secret", *words, given=SECRET, status=2, program=GIVEN)
                check("without the feature `keyring`" in said, said)


class Either:
    """Whichever it is."""

    def case_a_name_is_a_name_and_one_place_is_enough():
        with Folder() as folder:
            for wrong in ("keyring:", f"keyring:{SECRET} {OTHER}"):
                folder.wants(wrong)
                folder.check(2, "no name of a secret after `keyring:`")
            folder.wants("plain", '[store]\nkeyring = "not one"\n')
            folder.check(2, "no name for the master key in the keyring")
            folder.wants("plain", f'[store]\nkeyring = "gateway"\nkey = "{"ab" * 32}"\n')
            folder.check(2, "`key` gives the master key, and `keyring` says that it is elsewhere")
            said = bartizan("key", "rotate-master", "--to", "keyring:not one", status=2)
            check("write `file`, or `keyring:NAME`" in said, said)


class With:
    """The program with the feature, and a real keyring."""

    def case_secrets_are_put_listed_and_removed_and_never_shown():
        with Bus() as bus:
            check("no secrets" in bartizan("secret", "list"), "none")
            bartizan("secret", "set", "token", given=SECRET + "\n")
            bartizan("secret", "set", "team/other", given=OTHER)
            bartizan("secret", "set", "token", given=OTHER)
            equal(bartizan("secret", "list").split(), ["team/other", "token"])
            listed = json.loads(bartizan("secret", "list", "--json"))
            equal(listed, {"format": "bartizan.secret.list/1", "secrets": ["team/other", "token"]})
            bartizan("secret", "remove", "team/other")
            check("no secret `team/other`" in bartizan("secret", "remove", "team/other", status=2), "again")
            check("there is no secret" in bartizan("secret", "set", "empty", given="\n", status=2), "empty")
            check("at most 65536 bytes" in bartizan("secret", "set", "large", given="x" * 70000, status=2), "large")
            bartizan("secret", "set", "a b", given=SECRET, status=2)
            bus.stop()
            bus.unlock()
            equal(bartizan("secret", "list").split(), ["token"], "it is kept")
            kept = b"".join(file.read_bytes() for file in (bus.place / "data" / "keyrings").iterdir())
            check(SECRET.encode() not in kept and OTHER.encode() not in kept, "in the clear in the file of the keyring")

    def case_a_configuration_takes_a_secret_only_of_a_keyring_that_gives_it():
        with Bus() as bus, Folder() as folder:
            folder.check(2, "bartizan.toml:3:", "no secret `token`", "bartizan secret set token")
            bartizan("secret", "set", "token", given=SECRET)
            folder.check(0, "ok, 1 server")
            bus.lock()
            folder.check(2, "bartizan.toml:3:", "locked", "unlock it")
            check("locked" in bartizan("secret", "set", "token", given=OTHER, status=3), "nothing is put into a locked one")
            check("locked" in bartizan("serve", "--config", str(folder.file), status=2), "nothing starts")
            bus.unlock()
            folder.check(0, "ok, 1 server")
            bus.freeze()
            # Two of them wait once.
            folder.file.write_text(folder.file.read_text() + '[server.far]\nurl = "http://127.0.0.1:1/x"\nheaders.A = "keyring:b"\n')
            folder.check(2, "bartizan.toml:3:", "bartizan.toml:6:", "no answer in 10 seconds")
            bus.stop()
            folder.check(2, "no keyring can be reached", "nothing on the session bus keeps secrets", "a file or a variable")
            bus.bus.kill()
            bus.bus.wait()
            folder.check(2, "no keyring can be reached", "the session bus")
            for address in ("", "unix:path=/nonexistent/bus", "nonsense"):
                os.environ["DBUS_SESSION_BUS_ADDRESS"] = address
                folder.check(2, "no keyring can be reached")

    def case_the_secret_reaches_the_server_and_nobody_else():
        with Bus() as bus:
            bartizan("secret", "set", "token", given=f" {SECRET}\n")
            got = bus.place / "got"
            server = {"command": ["/bin/sh", "-c", f'printf %s "$TOKEN" > {got}'], "env": {"TOKEN": "keyring:token"}}
            with Gateway({"near": server}, '[log]\nlevel = "trace"\n') as gateway:
                # It ends without a word, so that there is no answer to wait for.
                with contextlib.suppress(AssertionError):
                    Raw(gateway, "/mcp/near")
                equal(got.read_text(), SECRET, "what the server got")
                for said in (gateway.said.read_text(), auditlog.text(gateway.home / "audit")):
                    check(said and SECRET not in said, f"it has the secret: {said}")

    def case_a_keyring_with_nothing_as_its_default_is_said():
        with Bus() as bus, Folder() as folder:
            bus.forget()
            bus.start()
            folder.check(2, "no default keyring")

    def case_the_master_key_is_made_in_the_keyring_and_changed_there():
        with Bus() as bus, Place(more='[store]\nkeyring = "gateway"\n') as place:
            app = add(place)
            check(signs_in(place), "somebody who has something sealed comes in")
            check(not (place.gateway.home / "state.key").exists(), "there is no file")
            for more in ([], ["--reseal"]):
                done = json.loads(rotate(place, "--json", *more))
                check(done["old"] != done["new"] and done["old_removed"], done)
                check(signs_in(place), "the gateway goes on")
            # Ended at once after it: what the store was sealed with is on the disk.
            bus.stop()
            bus.unlock()
            place.restart()
            check(signs_in(place), "and it opens after a restart")
            check(has_second_factor(place, app), "and so does what was sealed in the beginning")
            check("no secrets" in bartizan("secret", "list"), "it is among none that can be replaced")
            bus.lock()
            place.restart()
            check(not signs_in(place), "nothing opens while the keyring is locked")
            check("locked" in rotate(place, status=3), "nor is anything changed")
            bus.unlock()
            check(signs_in(place), "and it does when it is open, without a restart")

    def case_the_master_key_moves_to_the_keyring_and_back():
        with Bus() as bus, Place() as place:
            app = add(place)
            check(signs_in(place), "before")
            file = place.gateway.home / "state.key"
            first = file.read_text()
            text = place.gateway.config.read_text()
            bus.lock()
            check("locked" in rotate(place, "--to", "keyring:gateway", status=3), "locked")
            equal(file.read_text(), first, "the file stays")
            check(signs_in(place), "and opens")
            bus.unlock()
            said = rotate(place, "--to", "keyring:gateway")
            check('have `keyring = "gateway"`' in said and "warning" not in said, said)
            check(not file.exists(), "the file is gone")
            check(signs_in(place), "the gateway has the keys in memory")
            place.restart()
            check(not signs_in(place), "the configuration still says that it is in the file")
            check("say under [store] where it is" in rotate(place, status=2), "what to do")
            check(not file.exists(), "nothing was made in its place")
            place.gateway.config.write_text(text + '[store]\nkeyring = "gateway"\n')
            place.restart()
            check(signs_in(place), "with the keyring")
            # A file is in the way, which might be of use.
            file.write_text(first)
            file.chmod(0o600)
            check("move it away first" in rotate(place, "--to", "file", status=2), "in the way")
            equal(file.read_text(), first, "it stays")
            file.unlink()
            check("neither `key` nor `keyring`" in rotate(place, "--to", "file"), "back")
            check(file.exists() and file.read_text() != first, "another one")
            place.gateway.config.write_text(text)
            place.restart()
            check(has_second_factor(place, app), "with the file")
            check("the keyring has no" in bartizan("secret", "list"), "nothing is left")

    def case_a_change_that_is_killed_leaves_a_store_that_opens():
        with Bus(), Place(more='[store]\nkeyring = "gateway"\n') as place:
            app = add(place)
            check(signs_in(place), "before")
            took, ends = duration(place), set()
            for step in range(40):
                if step >= 32 and ends == {0, -signal.SIGKILL}:
                    break
                # On a machine that has more to do than when the time was taken, none comes to its end at first.
                ends.add(kill_after(took * step / 24 * 2 ** max(0, step - 31), place))
                # It finds the key that the store has now, whichever that is.
                rotate(place)
            equal(ends, {0, -signal.SIGKILL}, "some came to their end")
            place.restart()
            check(has_second_factor(place, app), "what was sealed in the beginning")

    def case_a_move_that_is_killed_leaves_the_key_in_one_of_the_two_places():
        with Bus(), Place() as place:
            app = add(place)
            check(signs_in(place), "before")
            file, text = place.gateway.home / "state.key", place.gateway.config.read_text()
            says = {"file": text, "keyring:gateway": text + '[store]\nkeyring = "gateway"\n'}
            took = duration(place, "--to", "file")
            here, there, moved = "file", "keyring:gateway", set()
            for step in range(40):
                if step >= 32 and moved == {False, True}:
                    break
                if here != "file":
                    # What a move left that was killed is in the way of the next one, and is said to be.
                    file.unlink(missing_ok=True)
                kill_after(took * step / 12 * 2 ** max(0, step - 31), place, "--to", there)
                try:
                    rotate(place)
                    moved.add(False)
                except AssertionError:
                    here, there = there, here
                    place.gateway.config.write_text(says[here])
                    rotate(place)
                    moved.add(True)
            equal(moved, {False, True}, "some came to their end")
            place.restart()
            check(has_second_factor(place, app), "what was sealed in the beginning")

    def case_two_stores_never_share_a_key_in_the_keyring():
        with Bus(), Place(more='[store]\nkeyring = "gateway"\n') as one:
            one.add()
            check(signs_in(one), "the first")
            with Place(more='[store]\nkeyring = "gateway"\n') as two:
                two.add()
                check(not signs_in(two), "the second has none under that name")
                said = rotate(two, status=2)
                check("nothing has been sealed" in said, said)
            with Place() as three:
                three.add()
                check(signs_in(three), "the third has a file")
                said = rotate(three, "--to", "keyring:gateway", status=2)
                check("the master key of the store" in said and str(one.gateway.home) in said, said)
                check(signs_in(three) and (three.gateway.home / "state.key").exists(), "and keeps it")
            one.restart()
            check(signs_in(one), "the first still has its own")

    def case_a_store_that_is_renamed_takes_its_key_along_and_a_copy_does_not():
        with Bus(), Place(more='[store]\nkeyring = "gateway"\n') as place:
            app = add(place)
            check(signs_in(place), "before")
            home = place.gateway.home
            name = re.fullmatch(r"store:([0-9a-f]{32}) (file:[0-9a-f.]+) (.*)", held("gateway")[0])
            equal(name[3], str(home / "state.db"), "where it is")
            # A copy: it neither opens nor seals, nor can it take the key from the other.
            copy = into(place, "copy", shutil.copy2)
            before = held("gateway")
            refuses(place, f"the store {name[1]}, {home}/state.db", f"the one here is {copy}/state.db")
            equal(held("gateway"), before, "nothing was changed")
            check("still there" in rotate(place, "--to", "keyring:copy"), "the remedy")
            check(held("copy") and held("gateway") == before, "each has its own")
            at(place, copy, "copy")
            check(signs_in(place), "the copy, with its own")
            at(place, home)
            check(signs_in(place), "the first goes on")
            # It is renamed: the same file is elsewhere.
            moved = into(place, "moved", pathlib.Path.rename)
            check(has_second_factor(place, app), "moved")
            equal(held("gateway")[0], f"store:{name[1]} {name[2]} {moved}/state.db", "its key says where it is now")
            check("warning" not in rotate(place), "and changes")
            check(signs_in(place), "after that")

    def case_what_may_be_a_copy_of_one_out_of_sight_has_to_be_claimed():
        with Bus(), Place(more='[store]\nkeyring = "gateway"\n') as place:
            app = add(place)
            check(signs_in(place), "before")
            home, before = place.gateway.home, held("gateway")
            # As from one disk to another, of which the first may only not be mounted.
            away = into(place, "away", shutil.copy2)
            hidden = home / "hidden"
            hidden.mkdir()
            for file in home.glob("state.db*"):
                file.rename(hidden / file.name)
            refuses(place, str(home / "state.db"), str(away / "state.db"))
            equal(held("gateway"), before, "nothing was taken")
            done = json.loads(claim(place, "--json"))
            check(done["before"].endswith(f", {home}/state.db") and not done["was_own"], done)
            now = held("gateway")
            check(now[0].endswith(f" {away}/state.db") and now[1:] == before[1:], "only whose it is was changed")
            check(signs_in(place), "it opens, without a restart")
            check("already" in claim(place), "again")
            # The first comes to light: refused in its turn, with all that it had.
            for file in hidden.iterdir():
                file.rename(home / file.name)
            at(place, home)
            refuses(place, str(away / "state.db"), str(home / "state.db"))
            check(f"{away}/state.db" in claim(place), "claimed back, which names the other one")
            check(has_second_factor(place, app), "and opens")
            at(place, away)
            refuses(place, str(home / "state.db"))

    def case_a_key_that_opens_nothing_of_a_store_is_not_claimed():
        with Bus(), Place(more='[store]\nkeyring = "gateway"\n') as one, Place() as two, Place() as three:
            for place in (one, two):
                place.add()
                check(signs_in(place), "with a key of its own")
            before = held("gateway")
            for place, why in ((two, "sealed with"), (three, "nothing has been sealed")):
                place.gateway.config.write_text(place.gateway.config.read_text() + '[store]\nkeyring = "gateway"\n')
                said = claim(place, status=2)
                check(why in said, said)
                equal(held("gateway"), before, "it is as it was")
            check("already" in claim(one) and signs_in(one), "the twin, whose it is")

    def case_a_key_that_says_nothing_or_another_store_is_neither_taken_nor_written_over():
        key = "bartizan-master-key-1:" + "ab" * 32
        for lines, why in (([key], "nothing says of which store"), (["store:/nowhere/state.db", key], "of the store /nowhere/state.db"),
                           ([f"store:{'0' * 32} /nowhere/state.db", key], f"of the store {'0' * 32}")):
            with Bus(), Place(more='[store]\nkeyring = "gateway"\n') as place:
                keep("gateway", lines)
                place.add()
                check(not signs_in(place), f"nothing is sealed with it: {lines}")
                equal(held("gateway"), lines, "it is as it was")
            with Bus(), Place() as place:
                keep("gateway", lines)
                place.add()
                check(signs_in(place), "with a file")
                said = rotate(place, "--to", "keyring:gateway", status=2)
                check(why in said and "a key of its own" in said, said)
                equal(held("gateway"), lines, "it is as it was")
                check("warning" not in rotate(place, "--to", "keyring:other"), "the twin: a name that is free")

    def case_an_entry_of_before_is_taken_where_its_path_and_its_key_are_right():
        with Bus(), Place(more='[store]\nkeyring = "gateway"\n') as place:
            app = add(place)
            check(signs_in(place), "before")
            now, database = held("gateway"), place.gateway.home / "state.db"
            keep("gateway", [f"store:{database}", *now[1:]])
            place.restart()
            check(has_second_factor(place, app), "it opens")
            equal(held("gateway"), now, "and says it in the new way")
            for lines, why in (([f"store:{database}x", *now[1:]], f"of the store {database}x"), (now[1:], "nothing says of which store")):
                keep("gateway", lines)
                place.restart()
                refuses(place, why)
                equal(held("gateway"), lines, "it is as it was")
                claim(place)
                equal(held("gateway"), now, "one remedy")
                check(signs_in(place), "with which it opens")
                keep("gateway", lines)
            check("still there" in rotate(place, "--to", "keyring:own"), "the other one")
            equal(held("gateway"), now[1:], "what may be another's stays")


def held(name):
    """The lines of the master key of that name."""
    found = subprocess.run(["secret-tool", "lookup", "service", "bartizan-master-key", "account", name], capture_output=True,
                           text=True, timeout=30)
    return found.stdout.splitlines()


def keep(name, lines):
    """Has the keyring hold those instead."""
    subprocess.run(["secret-tool", "store", "--label=suite", "service", "bartizan-master-key", "account", name],
                   input="".join(line + "\n" for line in lines), text=True, timeout=30, check=True)
    equal(held(name), lines, "what is kept")


def rotate(place, *words, status=0):
    """What `key rotate-master` says, for the store of that gateway."""
    return on_master("rotate-master", place, *words, status=status)


def claim(place, *words, status=0):
    """What `key claim-master` says."""
    return on_master("claim-master", place, *words, status=status)


def on_master(command, place, *words, status):
    config = str(place.gateway.config)
    return bartizan("key", command, "--config", config, *words, status=status, env=place.gateway.environment)


def at(place, directory, name="gateway"):
    """Has the gateway start with the store there."""
    text = place.gateway.config.read_text()
    table = f'[store]\npath = "{directory}/state.db"\nkeyring = "{name}"\n'
    place.gateway.config.write_text(re.sub(r'\[store\]\n(path = .*\n)?keyring = .*\n', table, text))
    place.restart()


def into(place, name, how):
    """Brings the files of the store into a directory of that name, and has the gateway start with what is there."""
    directory = place.gateway.home / name
    directory.mkdir(mode=0o700)
    place.gateway.stop()
    for file in place.gateway.home.glob("state.db*"):
        how(file, directory / file.name)
    at(place, directory)
    return directory


def refuses(place, *whys):
    """Nobody who needs what is sealed comes in, the key is not changed, and both say why."""
    check(not signs_in(place), "it opens")
    said = rotate(place, status=2)
    log = place.gateway.said.read_text()
    for why in (*whys, "bartizan key claim-master", "bartizan key rotate-master --to keyring:NAME"):
        check(why in said and why in log, f"{why!r} is not in: {said}\nor not in: {log}")


def duration(place, *words):
    """How long it takes, in seconds."""
    began = time.monotonic()
    rotate(place, *words)
    return time.monotonic() - began


def kill_after(seconds, place, *words):
    """Begins to rotate the master key, and ends that after a while if it is not over; how it ended."""
    command = [os.environ["BARTIZAN_BIN"], "key", "rotate-master", "--config", str(place.gateway.config), *words]
    process = subprocess.Popen(command, env=place.gateway.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    return process.wait()


def add(place):
    """Ann, who signs in with a password, and bea, who needs a second factor, which is sealed."""
    place.add()
    return place.browser().accept(place.invite("bea"))[0]


def signs_in(place):
    """Whether ann signs in, upon which something is sealed for her browser."""
    return place.browser().sign_in(password=PASSWORD).status == 303


def has_second_factor(place, app):
    """Whether what was sealed in the beginning opens."""
    return place.browser().sign_in("bea", PASSWORD, code=app.fresh()).status == 303


if __name__ == "__main__":
    missing = [name for name in NEEDED if not shutil.which(name)]
    if PROGRAM and missing:
        sys.exit(f"{', '.join(missing)} missing; on Debian and Ubuntu: apt install dbus-daemon dbus-bin gnome-keyring libsecret-tools")
    spaces = [*([] if PROGRAM == GIVEN else [Without]), Either, *([With] if PROGRAM else [])]
    sys.exit(run_cases(cases_of(*spaces)))
