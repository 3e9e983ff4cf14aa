//! The file system a confined server sees: built from nothing, out of what its profile names.
//!
//! Threat: whatever lies on the machine, from keys to sockets of daemons, is one `open` away from a program that runs
//! as its user. So the server's root is an empty file system in memory; what it may see is mounted into that under
//! its own name, and the rest of the machine is let go before the first line of the server runs.
//!
//! The order matters. All that is to be seen is opened first, as trees without a place; then the old root goes; then
//! the trees get their places. From the second step on no path leads to the machine, so that no symbolic link in what
//! is mounted can either.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree, unmount,
};

use super::placeholder::{self, Hold};
use super::{Failed, Step, monitor};
use crate::linux::sys;
use crate::{Confinement, Level, Network};

/// Devices that are no more than the C library expects.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom"];
/// What the listing of processes says of the machine and its kernel, and nobody needs.
const MASKED: &[&str] = &[
    "acpi",
    "asound",
    // When it counts up tells when somebody types.
    "interrupts",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "pagetypeinfo",
    "sched_debug",
    "scsi",
    "slabinfo",
    "timer_list",
    "vmallocinfo",
];
/// What changes the machine when it is written to.
const FIXED: &[&str] = &["bus", "fs", "irq", "sys", "sysrq-trigger"];
/// What one server may have of that which the kernel counts for each user, by its names in `/proc/sys/user`. Of instances a
/// machine usually lets a user have 128 in all.
const MOST_OF_USER: &[(&str, &str)] = &[("max_inotify_instances", "16"), ("max_inotify_watches", "16384")];
/// Where the scratch space is seen besides the home directory, and by which name it lies there.
const SCRATCH: &[(&str, &str)] = &[("/tmp", "tmp"), ("/var/tmp", "var"), ("/dev/shm", "shm")];
const HOME: &str = "home";
/// What the programs of runtimes are linked with.
const LIBRARIES: &[&str] = &["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store", "/etc/ld.so.cache"];
/// Room for directories and a few small files; the server cannot write there.
const ROOT_SIZE: &str = "1m";
/// Files and directories in the scratch space: enough to unpack a package, too few to fill the kernel's memory.
const SCRATCH_FILES: &str = "131072";

/// A mount that has no place yet.
struct Tree {
    mount: OwnedFd,
    directory: bool,
}

/// Moves this process into a file system that holds what `confinement` names and nothing else.
///
/// Where a runtime stands between this and the server, it is the runtime's: what the server is to see lies in a directory
/// of it, [`monitor::SERVER`], and beside that what the runtime needs itself.
pub(super) fn enter(confinement: &Confinement) -> Step<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(|error| Failed::errno("keep mounts to itself", error))?;
    let mut trees = seen(confinement)?;
    scratch(confinement, &mut trees)?;
    let at = Path::new(if confinement.runtime.is_some() { monitor::SERVER } else { "/" });
    let mut trees: Vec<(PathBuf, Tree)> = trees.into_iter().map(|(path, tree)| (below(at, &path), tree)).collect();
    let links = beside(confinement, &mut trees)?;
    // The kernel lets a namespace have this listing only while it still sees the whole one of the machine.
    let proc = proc_trees(confinement)?;
    let root = leave_old_root()?;
    for (path, tree) in &trees {
        place(tree, path).map_err(|error| Failed::at("mount", path, &error))?;
    }
    for (path, tree) in &proc {
        place_existing(tree, path).map_err(|error| Failed::at("mount", path, &error))?;
    }
    let unlinked = |error: io::Error| Failed::new("make symbolic links", &error);
    if at != Path::new("/") {
        make_links(&links).and_then(|()| make_streams()).map_err(unlinked)?;
    }
    within(at, &root, || {
        make_links(&confinement.links).and_then(|()| make_streams()).map_err(unlinked)?;
        files(confinement).map_err(|error| Failed::new("write the sandbox's own files", &error))
    })?;
    let shut = sys::set_mount_attributes(&root, read_only(MountAttrFlags::MOUNT_ATTR_NODEV), false);
    shut.map_err(|error| Failed::new("make the root read-only", &error))
}

/// Makes an empty root and lets go of the machine's, as [`enter`] does.
pub(in crate::linux) fn try_empty() -> Step<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| Failed::errno("keep mounts to itself", error))?;
    leave_old_root().map(drop)
}

/// Makes a listing of the processes of this namespace, as [`enter`] does.
pub(in crate::linux) fn try_listing() -> Step<()> {
    proc_trees(&Confinement::default()).map(drop)
}

/// All that lies on the machine and is to be seen, by the path it is seen under, which has no symbolic link in it.
fn seen(confinement: &Confinement) -> Step<BTreeMap<PathBuf, Tree>> {
    let mut trees = BTreeMap::new();
    let plain = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    for path in &confinement.read_only {
        match host(path, read_only(plain)) {
            Ok(tree) => drop(trees.insert(path.clone(), tree)),
            // Half of the names in any list of libraries are those of another distribution.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failed::at("open", path, &error)),
        }
    }
    for path in &confinement.writable {
        let tree = host(path, plain).map_err(|error| Failed::at("open", path, &error))?;
        trees.insert(path.clone(), tree);
    }
    for (path, hold) in placeholder::points(confinement)? {
        let tree = match hold {
            Hold::Way => host(&path, plain),
            Hold::Fixed => host(&path, read_only(plain)),
            Hold::Hidden => fs::symlink_metadata(&path).and_then(|found| nothing(found.is_dir())),
        };
        trees.insert(path.clone(), tree.map_err(|error| Failed::at("open", &path, &error))?);
    }
    for path in &confinement.hidden {
        // What lies in a writable directory is among those above.
        if let Ok(found) = fs::symlink_metadata(path)
            && !trees.contains_key(path)
        {
            let empty = nothing(found.is_dir()).map_err(|error| Failed::at("hide", path, &error))?;
            trees.insert(path.clone(), empty);
        }
    }
    if confinement.runtime.is_some() {
        let seal = fs::read_link("/proc/self/exe").and_then(|program| host(&program, read_only(plain)));
        trees.insert(monitor::SEAL.into(), seal.map_err(|error| Failed::new("open this program itself", &error))?);
    }
    trees.extend(devices()?);
    Ok(trees)
}

fn devices() -> Step<Vec<(PathBuf, Tree)>> {
    // Read-only is the file, with its owner and mode, and not what it leads to.
    let attributes = read_only(MountAttrFlags::MOUNT_ATTR_NOEXEC);
    let paths = DEVICES.iter().map(|name| Path::new("/dev").join(name));
    let trees = paths.map(|path| match host(&path, attributes) {
        Ok(tree) => Ok((path, tree)),
        Err(error) => Err(Failed::at("open", &path, &error)),
    });
    trees.collect()
}

/// Adds what is not the server's but stands beside it: the relay's socket, and what a runtime needs. Returns the names
/// by which that is also found.
fn beside(confinement: &Confinement, trees: &mut Vec<(PathBuf, Tree)>) -> Step<Vec<(PathBuf, PathBuf)>> {
    let plain = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    if let Network::Relay(relay) = &confinement.network {
        let tree = host(&relay.socket, plain).map_err(|error| Failed::at("open", &relay.socket, &error))?;
        trees.push((PathBuf::from(super::relay::SOCKET), tree));
    }
    let Some(runtime) = &confinement.runtime else { return Ok(Vec::new()) };
    let mut links = Vec::new();
    let mut seen = Vec::new();
    for path in LIBRARIES.iter().map(Path::new).chain([runtime.program.as_path()]) {
        let Ok(real) = fs::canonicalize(path) else { continue };
        if real != path {
            links.push((path.to_owned(), real.clone()));
        }
        if seen.iter().any(|above| real.starts_with(above)) {
            continue;
        }
        let tree = host(&real, read_only(plain)).map_err(|error| Failed::at("open", path, &error))?;
        trees.push((real.clone(), tree));
        seen.push(real);
    }
    trees.extend(devices()?);
    for (path, tree) in monitor::room(runtime)? {
        trees.push((path.into(), Tree { mount: tree, directory: true }));
    }
    Ok(links)
}

/// The room for temporary files and the home directory: one file system with one size, seen at several places.
fn scratch(confinement: &Confinement, trees: &mut BTreeMap<PathBuf, Tree>) -> Step<()> {
    let size = confinement.scratch.to_string();
    let make = || -> io::Result<Vec<(PathBuf, Tree)>> {
        let whole = memory(&size, SCRATCH_FILES, MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV)?;
        let home = confinement.home.iter().map(|home| (home.as_path(), HOME, 0o700));
        let shared = SCRATCH.iter().map(|(path, name)| (Path::new(path), *name, 0o1777));
        while_placed(&whole, || {
            let mut places = Vec::new();
            for (path, name, mode) in home.chain(shared) {
                rustix::fs::mkdirat(&whole, name, Mode::from_raw_mode(0o700))?;
                rustix::fs::chmodat(&whole, name, mode.into(), rustix::fs::AtFlags::empty())?;
                places.push((path.to_owned(), part(&whole, name, MountAttrFlags::empty())?));
            }
            Ok(places)
        })
    };
    for (path, tree) in make().map_err(|error| Failed::new("make room for temporary files", &error))? {
        // What the profile names there itself counts more.
        trees.entry(path).or_insert(tree);
    }
    Ok(())
}

/// A listing of the processes of this namespace, and what of it is covered.
fn proc_trees(confinement: &Confinement) -> Step<Vec<(PathBuf, Tree)>> {
    let failed = |error: io::Error| Failed::new("mount a listing of the sandbox's own processes", &error);
    let plain =
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let make = || -> io::Result<OwnedFd> {
        let proc = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&proc)?;
        // A browser writes the maps of its own namespaces there.
        let attributes = if confinement.exceptions.namespaces { plain } else { read_only(plain) };
        Ok(fsmount(&proc, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
    };
    own_limits().map_err(failed)?;
    let proc = make().map_err(failed)?;
    // A runtime with a kernel of its own shows the server another listing, and makes one of its own processes, which the
    // kernel refuses where anything is covered here. It stays read-only as a whole.
    let whole = confinement.runtime.as_ref().is_some_and(|runtime| runtime.kind.level() == Level::Vm);
    let trees = while_placed(&proc, || {
        let mut trees = vec![(PathBuf::from("/proc"), part(&proc, ".", MountAttrFlags::empty())?)];
        for name in MASKED.iter().chain(FIXED).filter(|_| !whole) {
            let Some(directory) = is_directory(&proc, name) else { continue };
            let tree = if FIXED.contains(name) { part(&proc, name, read_only(plain)) } else { nothing(directory) };
            trees.push((Path::new("/proc").join(name), tree?));
        }
        Ok(trees)
    });
    trees.map_err(failed)
}

/// Does this while a file system has a place: before Linux 6.15 parts of one that has none cannot be had by themselves. It has
/// none afterwards, and is given none again.
fn while_placed<T>(mount: &OwnedFd, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    // Any directory will do that every machine has: it is covered for a moment only, and for this process.
    move_mount(mount, "", CWD, "/proc", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    let done = work();
    unmount("/proc", UnmountFlags::DETACH)?;
    done
}

/// Bounds what the kernel counts for each user of the machine, of which otherwise one server could take all that the user has.
fn own_limits() -> io::Result<()> {
    let proc = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&proc)?;
    let proc = fsmount(&proc, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    for (name, most) in MOST_OF_USER {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        match openat(&proc, format!("sys/user/{name}"), flags, Mode::empty()) {
            Ok(limit) => fs::File::from(limit).write_all(most.as_bytes())?,
            // A kernel without it has nothing to bound.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn is_directory(parent: &OwnedFd, name: &str) -> Option<bool> {
    let found = rustix::fs::statat(parent, name, rustix::fs::AtFlags::empty()).ok()?;
    Some(FileType::from_raw_mode(found.st_mode) == FileType::Directory)
}

/// Puts an empty root in place of the machine's, and returns it.
fn leave_old_root() -> Step<OwnedFd> {
    let leave = || -> io::Result<OwnedFd> {
        let root = memory(ROOT_SIZE, "4096", MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV)?;
        // Any directory will do that every machine has: it is covered for a moment only.
        move_mount(&root, "", CWD, "/proc", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        rustix::process::fchdir(&root)?;
        // The old root lies on top of the new one now, and is taken off.
        rustix::process::pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")?;
        Ok(root)
    };
    leave().map_err(|error| Failed::new("leave the machine's file system", &error))
}

/// Gives a tree its place, which is made if it is missing.
fn place(tree: &Tree, path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path, tree.directory)?,
        Err(error) => return Err(error),
    }
    place_existing(tree, path)
}

fn place_existing(tree: &Tree, path: &Path) -> io::Result<()> {
    if path == Path::new("/proc") {
        make(path, true)?;
    }
    Ok(move_mount(&tree.mount, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

fn make(path: &Path, directory: bool) -> io::Result<()> {
    let parents = if directory { Some(path) } else { path.parent() };
    if let Some(parents) = parents {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(parents)?;
    }
    if !directory {
        fs::File::options().write(true).create_new(true).mode(0o644).open(path)?;
    }
    Ok(())
}

/// Where a path of the server's lies as seen from here.
fn below(at: &Path, path: &Path) -> PathBuf {
    at.join(path.strip_prefix("/").unwrap_or(path))
}

/// The symbolic links by which the paths of the profile lead to what they are links to on the machine.
fn make_links(links: &[(PathBuf, PathBuf)]) -> io::Result<()> {
    for (path, target) in links {
        if fs::symlink_metadata(path).is_ok() {
            continue;
        }
        if let Some(parent) = path.parent() {
            make(parent, true)?;
        }
        symlink(target, path)?;
    }
    Ok(())
}

/// What is named there leads to the streams of whoever asks.
fn make_streams() -> io::Result<()> {
    make(Path::new("/proc"), true)?;
    for (name, target) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
        symlink(format!("/proc/self/fd{target}"), Path::new("/dev").join(name))?;
    }
    Ok(())
}

/// Does something where `at` is the root, as the server will see it: links that were made there lead elsewhere from here.
fn within(at: &Path, root: &OwnedFd, work: impl FnOnce() -> Step<()>) -> Step<()> {
    if at == Path::new("/") {
        return work();
    }
    let failed = |error| Failed::errno("go between the roots", error);
    rustix::process::chroot(at).and_then(|()| rustix::process::chdir("/")).map_err(failed)?;
    let done = work();
    let back = rustix::process::fchdir(root).and_then(|()| rustix::process::chroot("."));
    back.map_err(failed)?;
    done
}

/// Files that programs look for, with nothing of the machine in them.
fn files(confinement: &Confinement) -> io::Result<()> {
    let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let home = confinement.home.as_deref().unwrap_or(Path::new("/")).display();
    let passwd = format!("sandbox:x:{user}:{group}:sandbox:{home}:/bin/sh\n");
    let contents = [
        ("/etc/passwd", passwd.as_str()),
        ("/etc/group", &format!("sandbox:x:{group}:\n")),
        ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("/etc/hostname", "sandbox\n"),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
        ("/etc/resolv.conf", "nameserver 127.0.0.1\noptions attempts:1 timeout:2\n"),
    ];
    let directories = |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o755).create(path);
    for (path, content) in &confinement.files {
        directories(path.parent().unwrap_or(path))?;
        let mut file = fs::File::options().write(true).create_new(true).mode(0o444).open(path)?;
        io::Write::write_all(&mut file, content.as_bytes())?;
    }
    directories(Path::new("/etc"))?;
    for (path, content) in contents {
        // A profile may show the machine's own.
        match fs::File::options().write(true).create_new(true).mode(0o644).open(path) {
            Ok(_) => {
                fs::write(path, content)?;
                fs::set_permissions(path, fs::Permissions::from_mode(0o444))?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if Errno::from_io_error(&error) == Some(Errno::ROFS) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read_only(attributes: MountAttrFlags) -> MountAttrFlags {
    attributes | MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID
}

/// What lies at a path of the machine, with all that is mounted below it.
fn host(path: &Path, attributes: MountAttrFlags) -> io::Result<Tree> {
    opened(CWD, path, attributes)
}

fn part(of: &OwnedFd, name: &str, attributes: MountAttrFlags) -> io::Result<Tree> {
    opened(of.as_fd(), Path::new(name), attributes)
}

fn opened(at: impl AsFd, path: &Path, attributes: MountAttrFlags) -> io::Result<Tree> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    // A link that was put in the way meanwhile is not followed, wherever it is.
    let found =
        openat2(at, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    let mount = open_tree(&found, "", flags)?;
    sys::set_mount_attributes(&mount, attributes, true)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&mount)?.st_mode);
    Ok(Tree { mount, directory: kind == FileType::Directory })
}

/// An empty directory, or an empty file.
fn nothing(directory: bool) -> io::Result<Tree> {
    if directory {
        let mount = memory("4k", "2", read_only(MountAttrFlags::MOUNT_ATTR_NODEV))?;
        return Ok(Tree { mount, directory });
    }
    host(Path::new("/dev/null"), read_only(MountAttrFlags::MOUNT_ATTR_NOEXEC))
}

pub(super) fn memory(size: &str, files: &str, attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in [("size", size), ("nr_inodes", files), ("mode", "0755")] {
        fsconfig_set_string(&context, key, value)?;
    }
    fsconfig_create(&context)?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}
