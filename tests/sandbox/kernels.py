"""An older kernel than this machine's, with nothing but control groups of version 2: that of the Debian that this is, in an
emulator. Only the long version tries it (BARTIZAN_TEST_LONG=1), and only on Debian for x86-64 as root."""

import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tempfile

from harness import ROOT, check, equal

IMAGE = "linux-image-amd64"
PACKAGES = ("qemu-system-x86", "busybox-static", "cpio", "kmod", "zstd", "xz-utils")
MODULES = ("9p", "9pnet_virtio", "virtio_pci", "overlay")
CASES = """
a_good_server_works a_memory_bomb_ends_its_own_server_only a_fork_bomb_is_capped_and_ends_with_its_server a_server_that_spins_is_throttled
what_a_profile_requires_is_there_or_nothing_starts what_the_kernel_counts_for_each_user_is_bounded a_pair_of_sockets_speaks_to_nobody_else
nobody_waits_for_a_file_that_is_only_read whatever_is_killed_nothing_stays files_outside_are_neither_read_nor_written links_lead_nowhere
system_calls_no_server_needs_are_refused a_relay_is_the_only_way_out the_network_ends_at_itself protected_names_stay_as_they_are
other_processes_are_not_there nothing_of_the_machine_is_changed_through_its_listing devices_are_few_and_none_can_be_made
""".split()
# With control groups that an ordinary user may divide, as systemd hands them out.
DELEGATED = """
a_memory_bomb_ends_its_own_server_only a_fork_bomb_is_capped_and_ends_with_its_server a_server_that_spins_is_throttled
""".split()
# What the machine does first: the machine's own files beneath, what is written in memory, and no control groups but those of version 2.
INIT = """#!/bin/busybox sh
b=/bin/busybox
for kind in proc sysfs devtmpfs; do $b mkdir -p /$kind; $b mount -t $kind $kind /$kind; done
while read module; do $b insmod /modules/$module; done < /modules/order
$b mkdir -p /host /rw /new
options=trans=virtio,version=9p2000.L,msize=262144
$b mount -t 9p -o $options,ro,cache=loose host /host
$b mount -t tmpfs -o size=2g rw /rw
$b mkdir /rw/upper /rw/work
$b mount -t overlay -o lowerdir=/host,upperdir=/rw/upper,workdir=/rw/work overlay /new
$b mount -t proc proc /new/proc
$b mount -t sysfs sysfs /new/sys
$b mount -t devtmpfs devtmpfs /new/dev
$b mkdir -p /new/dev/shm /new/dev/pts
$b mount -t tmpfs shm /new/dev/shm
$b mount -t devpts devpts /new/dev/pts
for place in tmp var/tmp run; do $b mount -t tmpfs -o mode=1777 tmpfs /new/$place; done
$b mount -t cgroup2 groups /new/sys/fs/cgroup
$b ifconfig lo 127.0.0.1
$b mkdir -p /new/run/given
$b mount -t 9p -o $options,ro given /new/run/given
exec $b switch_root /new /bin/sh /run/given/script
"""
SCRIPT = """export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
echo "kernel $(uname -r), groups $(cat /sys/fs/cgroup/cgroup.controllers)"
mkdir -p /opt/given; cp /run/given/escape /opt/given/; chmod 755 /opt /opt/given /opt/given/escape; cd /opt/given
for name in CASES; do for user in "" ordinary::; do timeout 300 ./escape --exact $user$name 2>&1; done; done
groups=/sys/fs/cgroup
mkdir -p $groups/user/session; chown -R 65534:65534 $groups/user
for place in $groups $groups/user; do echo "+memory +pids +cpu" > $place/cgroup.subtree_control; done
echo $$ > $groups/user/session/cgroup.procs
for name in DELEGATED; do echo delegated; timeout 300 setpriv --reuid=65534 --regid=65534 --clear-groups ./escape --exact $name 2>&1; done
echo "left: $(find $groups -name 'bartizan*' | wc -l)"
echo the end
echo o > /proc/sysrq-trigger; sleep 60
"""


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    check(done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def fetched(place):
    """The kernel's own directory with its modules, and the kernel."""
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    named = re.search(r"Depends: (linux-image-\S+)", run("apt-cache", "depends", IMAGE))[1]
    run("apt-get", "download", "-qq", named, cwd=place)
    [package] = place.glob("*.deb")
    run("dpkg-deb", "-x", str(package), str(place / "kernel"))
    version = named.removeprefix("linux-image-")
    run("depmod", "-b", str(place / "kernel"), version)
    return version, place / "kernel" / "boot" / f"vmlinuz-{version}"


def first_files(place, version):
    """What the kernel starts from: one program, its modules, and what to do."""
    first = place / "first"
    (first / "modules").mkdir(parents=True)
    (first / "bin").mkdir()
    shutil.copy("/bin/busybox", first / "bin")
    files = []
    for module in MODULES:
        shown = run("modprobe", "-d", str(place / "kernel"), "-S", version, "--show-depends", module)
        files += [line.split()[1] for line in shown.splitlines() if line.startswith("insmod")]
    names = []
    for file in dict.fromkeys(files):
        name = pathlib.Path(file).name
        shutil.copy(file, first / "modules")
        for end, tool in ((".xz", "unxz"), (".zst", "unzstd")):
            if name.endswith(end):
                run(tool, *(["--rm"] if end == ".zst" else []), str(first / "modules" / name))
                name = name.removesuffix(end)
        names.append(name)
    (first / "modules" / "order").write_text("".join(f"{name}\n" for name in names))
    (first / "init").write_text(INIT)
    (first / "init").chmod(0o755)
    run("sh", "-c", "find . | cpio -o -H newc | gzip -1 > ../first.gz", cwd=first)
    return place / "first.gz"


def escape():
    """The test program of the sandbox, which is one file."""
    said = run("cargo", "test", "-p", "bartizan-sandbox", "--test", "escape", "--no-run", "--message-format=json", cwd=ROOT)
    built = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return next(one["executable"] for one in built if one.get("executable") and one["target"]["name"] == "escape")


def case_walls_stand_on_an_older_kernel_with_groups_of_version_2():
    if os.getuid() != 0 or platform.machine() != "x86_64" or not shutil.which("apt-get"):
        print("skip  kernels: only on Debian for x86-64, as root")
        return
    with tempfile.TemporaryDirectory(prefix="bartizan-kernels-", dir="/var/tmp") as folder:
        place = pathlib.Path(folder)
        version, kernel = fetched(place)
        given = place / "given"
        given.mkdir()
        shutil.copy(escape(), given / "escape")
        script = SCRIPT.replace("CASES", " ".join(CASES)).replace("DELEGATED", " ".join(DELEGATED))
        (given / "script").write_text(script)
        share = "local,path={},mount_tag={},security_model=passthrough,readonly=on,multidevs=remap"
        said = run("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "3000", "-nographic", "-no-reboot", "-kernel", str(kernel),
                   "-initrd", str(first_files(place, version)), "-append", "console=ttyS0 quiet panic=1 lsm=landlock,yama",
                   "-virtfs", share.format("/", "host"), "-virtfs", share.format(given, "given"), stdin=subprocess.DEVNULL, timeout=2400)
    check(f"kernel {version}" in said and "the end" in said, f"it did not run: {said[-3000:]}")
    passed = re.findall(r"^test (\S+) \.\.\. ok", said, re.M)
    equal(sorted(passed), sorted([*CASES, *(f"ordinary::{name}" for name in CASES), *DELEGATED]), said[-6000:])
    check("left: 0" in said, "a control group stayed")
    print(f"      {version}: {len(passed)} cases")
