#!/usr/bin/env python3
"""Measures Bartizan beside nothing, a bare hyper proxy and nginx: same upstream, same load, one run.

Everything is on 127.0.0.1. Each round starts every proxy anew and visits all of them in every cell before the next
cell, so that what the machine does meanwhile touches all alike. Whatever proxies has one core to itself; upstream
and load share another. Builds nothing: the binaries are those of the release directory.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import report

HERE = Path(__file__).resolve().parent
PAYLOADS, CONNECTIONS = list(report.SIZES), [1, 16, 64]
STDIO_PEERS = ["direct", report.GATEWAY]


class Skip(Exception):
    """Why something cannot be measured here."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("release", nargs="?", type=Path, default=HERE.parent / "target/release",
                        help="release directory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="measured time of each cell")
    parser.add_argument("--warmup", type=float, default=0.5, help="time before it that is not counted")
    parser.add_argument("--reply", choices=["json", "sse"], default="json", help="how the upstream answers")
    parser.add_argument("--protocol", default="2025-11-25", help="2026-07-28 measures the stateless revision")
    parser.add_argument("--nginx", default=shutil.which("nginx"), help="nginx binary")
    parser.add_argument("--bartizan", type=Path, help="Bartizan binary, if not the one of the release directory")
    parser.add_argument("--out", type=Path, help="file for the JSON lines [release/../bench.jsonl]")
    parser.add_argument("--stages", action="store_true", help="only what the stages of a call cost")
    parser.add_argument("--quick", action="store_true", help="a smoke test: one short round at 1 KiB; proves nothing")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    options.release = options.release.resolve()
    options.bartizan = (options.bartizan or options.release / "bartizan").resolve()
    options.out = options.out or options.release.parent / "bench.jsonl"
    options.payloads, options.connections, options.starts = PAYLOADS, CONNECTIONS, 5
    if options.quick:
        options.rounds, options.seconds, options.warmup = 1, 0.3, 0.1
        options.payloads, options.starts = PAYLOADS[:1], 1
    if options.stages:
        options.payloads, options.connections, options.starts = report.STAGED, [16], 0
    return options


def cores():
    """The core of upstream and load, and that of what is measured; None where they cannot be kept apart."""
    usable = sorted(os.sched_getaffinity(0))
    if not shutil.which("taskset"):
        return None, None, "taskset is not installed: nothing is pinned, and figures include waiting for a core"
    if len(usable) < 2:
        return usable[0], usable[0], "only one core: proxy, upstream and load share it, so compare CPU, not requests/s"
    return usable[0], usable[1], f"proxy on core {usable[1]}, upstream and load on core {usable[0]}"


def on_core(core, command):
    pin = [] if core is None else ["taskset", "-c", str(core)]
    return pin + [str(part) for part in command]


def environment(more):
    """This one, without what would make programs log more or keep backtraces than they do by default."""
    plain = {name: value for name, value in os.environ.items() if name not in ("RUST_LOG", "RUST_BACKTRACE")}
    return plain | (more or {})


HANDED_OUT = set()


def free_port():
    """One that is free, and was not handed out before: what is to use that may not have taken it yet."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in HANDED_OUT:
            HANDED_OUT.add(port)
            return port


class Bench:
    """One run: where things are, what has been started and what has been measured."""

    def __init__(self, options, directory, out):
        self.options, self.directory, self.out = options, directory, out
        self.near, self.far, self.placement = cores()
        self.running, self.lines = [], []
        self.upstream_port = free_port()
        self.upstream_url = f"http://127.0.0.1:{self.upstream_port}/mcp"

    def record(self, **line):
        self.lines.append(line)
        self.out.write(json.dumps(line) + "\n")
        self.out.flush()
        if "failed" in line:
            print(f"failed: {line['peer']} {line['kind']}: {line['failed']}", file=sys.stderr)

    def log(self, name):
        return self.directory / f"{name.replace(' ', '-')}.log"

    def start(self, name, core, command, env=None):
        with open(self.log(name), "ab") as log:
            process = subprocess.Popen(on_core(core, command), env=environment(env), stdout=log,
                                       stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        self.running.append(process)
        return process

    def end(self, process):
        self.running.remove(process)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # a session of its own, begun above
                process.wait()

    def end_all(self):
        for process in reversed(self.running[:]):
            self.end(process)

    def load(self, verb, arguments, command=(), env=None):
        """Runs the load generator and returns its report, or why there is none."""
        call = [self.options.release / "bench-load", verb, *arguments, *(["--", *command] if command else [])]
        limit = 60 + 2 * (self.options.seconds + self.options.warmup)
        load = subprocess.Popen(on_core(self.near, call), env=environment(env), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, start_new_session=True)
        try:
            stdout, stderr = load.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            return {"failed": f"no report within {limit:.0f} s"}
        finally:
            if load.poll() is None:
                os.killpg(load.pid, signal.SIGKILL)  # with what it started
                load.communicate()
        return json.loads(stdout) if load.returncode == 0 else {"failed": stderr.strip()[-600:]}

    def timing(self):
        return ["--protocol", self.options.protocol, "--seconds", self.options.seconds, "--warmup", self.options.warmup]

    def peers(self):
        """Everything to measure over HTTP; those that cannot be are named with the reason."""
        found = {}
        for make in (Floor, Busy, Bartizan) if self.options.stages else (Direct, Floor, Busy, Nginx, Bartizan):
            try:
                found[make.name] = make(self)
            except Skip as reason:
                print(f"- skipped {make.name}: {reason}")
        return found


class Direct:
    name, command, env = "direct", None, None

    def __init__(self, bench):
        self.url = bench.upstream_url


class Proxy:
    """Something between load and upstream, with a port and a directory of its own."""

    env = None

    def __init__(self, bench):
        self.port = free_port()
        self.directory = bench.directory / self.name.replace(" ", "-")
        self.directory.mkdir()
        self.url = f"http://127.0.0.1:{self.port}/mcp"

    def configure(self, template, **values):
        text = (HERE / "configs" / template).read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        (self.directory / template).write_text(text)
        return self.directory / template


class Floor(Proxy):
    name = report.FLOOR

    def __init__(self, bench):
        super().__init__(bench)
        listen, origin = f"127.0.0.1:{self.port}", f"127.0.0.1:{bench.upstream_port}"
        self.command = [bench.options.release / "bench-floor", listen, origin]


class Busy(Floor):
    """What moving bytes costs whoever has something else to do; only where stages are measured against it."""

    name = report.BUSY

    def __init__(self, bench):
        super().__init__(bench)
        self.command += ["--busy", report.BUSY_US]


class Nginx(Proxy):
    name = "nginx"

    def __init__(self, bench):
        if not bench.options.nginx:
            raise Skip("not installed")
        super().__init__(bench)
        config = self.configure("nginx.conf", DIR=self.directory, PORT=self.port, UPSTREAM=bench.upstream_port)
        self.command = [bench.options.nginx, "-e", self.directory / "error.log", "-p", self.directory, "-c", config]


class Bartizan(Proxy):
    name = report.GATEWAY

    def __init__(self, bench):
        if not bench.options.bartizan.exists():
            raise Skip(f"{bench.options.bartizan} does not exist")
        super().__init__(bench)
        config = self.configure("bartizan.toml", PORT=self.port, ADMIN=free_port(), UPSTREAM=bench.upstream_port)
        self.command = [bench.options.bartizan, "serve", "--config", config]
        self.env = {"BARTIZAN_HOME": str(self.directory / "home")}
        self.url += "/up"


def measure_starts(bench, peers):
    """Each proxy is started and ended a few times, one after another, before anything else runs."""
    for n in range(bench.options.starts):
        for peer in peers.values():
            if peer.command and peer.name != report.BUSY:
                settle = 0.2 if bench.options.quick else 1.0
                call = ["--url", peer.url, "--protocol", bench.options.protocol, "--settle", settle]
                found = bench.load("start", call, on_core(bench.far, peer.command), peer.env)
                bench.record(kind="start", peer=peer.name, round=n, **found)


def measure_round(bench, peers, n, upstream):
    """All cells once. Payloads grow, so that memory read in a cell was not needed by a larger one before it."""
    processes = {}
    for name, peer in peers.items():
        if peer.command:
            processes[name] = bench.start(name, bench.far, peer.command, peer.env)
    ready = {name: peer for name, peer in peers.items() if answers(bench, peer, n, processes.get(name))}
    for payload in bench.options.payloads:
        for connections in bench.options.connections:
            for name, peer in ready.items():
                if name == report.BUSY and (payload, connections) != (report.STAGED[0], 16):
                    continue
                watch = ["--watch", f"upstream={upstream.pid}"]
                if name in processes:
                    watch += ["--watch", f"gateway={processes[name].pid}"]
                call = ["--url", peer.url, "--connections", connections, "--payload", payload, *bench.timing(), *watch]
                bench.record(**{"kind": "cell", "peer": name, "round": n, **bench.load("run", call)})
                if name == report.GATEWAY and payload in report.STAGED and connections == 16:
                    # What was looked through lately is not looked through again: here nothing was.
                    bench.record(**{"kind": "cell", "peer": report.FRESH, "round": n, **bench.load("run", [*call, "--fresh"])})
        if payload in report.STAGED:
            measure_stages(bench, payload, n)
    for process in processes.values():
        bench.end(process)


def measure_stages(bench, payload, n):
    """The parts of the gateway that can be had without HTTP, on the core that the gateway has otherwise."""
    call = [bench.options.release / "bench-stages", "--payload", payload]
    call += ["--rounds", 1] if bench.options.quick else []
    done = subprocess.run(on_core(bench.far, call), env=environment(None), capture_output=True, text=True, timeout=120)
    found = json.loads(done.stdout) if done.returncode == 0 else {"failed": done.stderr.strip()[-600:]}
    bench.record(**{"kind": "stages", "peer": report.GATEWAY, "payload": payload, "round": n, **found})


def answers(bench, peer, n, process):
    """Waits for the first good answer; a peer that gives none is left out of the round."""
    call = ["--url", peer.url, "--protocol", bench.options.protocol, "--seconds", 0.05, "--warmup", 0]
    give_up = time.monotonic() + 15
    while True:
        found = bench.load("run", call)
        if "failed" not in found:
            return True
        if time.monotonic() > give_up or (process and process.poll() is not None):
            log = bench.log(peer.name)
            said = log.read_text(errors="replace")[-600:] if log.exists() else ""
            bench.record(kind="cell", peer=peer.name, round=n, failed=f"{found['failed']}\n{said}".strip())
            return False
        time.sleep(0.05)


def measure_stdio(bench, n):
    """The gateway takes the far core, the server it starts goes back to the near one."""
    program = bench.options.release / "bench-stdio"
    server = on_core(bench.near, [program])
    home = {"BARTIZAN_HOME": str(bench.directory / "stdio-home")}
    # Confined, as it is by default: what is behind `taskset` has to be named.
    through = on_core(bench.far, [bench.options.bartizan, "run", "--standalone", "--ro", program, "--", *server])
    for payload in bench.options.payloads:
        for peer, command in zip(STDIO_PEERS, (server, through)):
            if peer == report.GATEWAY and not bench.options.bartizan.exists():
                continue
            found = bench.load("stdio", ["--payload", payload, *bench.timing()], command, home)
            bench.record(**{"kind": "stdio", "peer": peer, "round": n, **found})


def machine():
    model = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    model = model[0] if model else platform.machine()
    return report.machine(model, len(os.sched_getaffinity(0)), platform.release())


def tell(bench, peers):
    options, results = bench.options, report.Results(bench.lines)
    print("\n" + report.cell_tables(results, [*peers, report.FRESH], options.payloads, options.connections))
    staged = report.stage_tables(results, options.payloads)
    print("\n" + staged)
    if not options.stages:
        print("\n" + report.start_table(results, list(peers)))
        print("\n" + report.stdio_table(results, STDIO_PEERS, options.payloads))
    verdicts = report.verdicts(results)
    print("\n### Targets\n\n" + "\n".join(f"- {line}" for *_, line in verdicts))
    failed = [line for line in bench.lines if "failed" in line or line.get("errors")]
    for line in failed:
        why = line.get("failed") or ", ".join(line["error_kinds"])
        where = " × ".join(f"{line[name]:,}" for name in ("payload", "connections") if name in line)
        print(f"\nnot clean: {line['kind']} of {line['peer']} {where}: {why}")
    disturbed = report.noisy(bench.lines)
    if disturbed:
        cells = sum("foreign_cpu_seconds" in line for line in bench.lines)
        print(f"\n{len(disturbed)} of {cells} cells were disturbed: something else used over a tenth of a core.")
    if options.quick:
        print("\nA smoke test: too short for its figures to mean anything.")
    print(f"\nEvery measurement: {options.out}")
    missed = any(met is False for _, _, met, _ in verdicts) or report.MISSED in staged
    return 1 if failed or (options.strict and missed) else 0


def main():
    options = arguments()
    for name in ("bench-upstream", "bench-stdio", "bench-floor", "bench-load", "bench-stages"):
        if not (options.release / name).exists():
            sys.exit(f"{options.release / name} is missing; build it with: cargo build --release -p bartizan-bench")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bartizan-bench-") as directory, open(options.out, "w") as out:
        bench = Bench(options, Path(directory), out)
        print(f"## Benchmark\n\n- {machine()}\n- {bench.placement}")
        print(f"- rounds: {options.rounds}, of {options.seconds:g} s cells; upstream answers {options.reply}, "
              f"protocol {options.protocol}", flush=True)
        bench.record(kind="run", machine=machine(), placement=bench.placement, reply=options.reply,
                     rounds=options.rounds, seconds=options.seconds, date=time.strftime("%Y-%m-%d"))
        try:
            peers = bench.peers()
            listen = f"127.0.0.1:{bench.upstream_port}"
            command = [options.release / "bench-upstream", "--reply", options.reply, "--listen", listen]
            upstream = bench.start("upstream", bench.near, command)
            measure_starts(bench, peers)
            for n in range(options.rounds):
                measure_round(bench, peers, n, upstream)
                if not options.stages:
                    measure_stdio(bench, n)
        finally:
            bench.end_all()
        return tell(bench, peers)


if __name__ == "__main__":
    # Ended from outside, what was started here is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
