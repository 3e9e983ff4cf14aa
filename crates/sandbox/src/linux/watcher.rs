//! Looks at what a confined server asks the system for, from outside, without tracing it.
//!
//! The kernel holds each call that names a path or an address until this process, which is the gateway and nothing of
//! the sandbox, has answered. What is answered is always the same: calls that the filter would let through go on, and
//! those that it would refuse are refused. So nothing is decided here: what is read of a call's memory may have changed
//! until the kernel reads it again, and the walls hold whatever it says then.
//!
//! Threat: a server that is watched names what nobody asked it to, in masses or in ways that hurt whoever reads it. What
//! is kept is bounded (`watched`), a path is read up to its longest length, and one that cannot be read is counted.
//!
//! If this thread ends the kernel refuses the calls that wait for it, and the server is ended.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use tokio::sync::mpsc::WeakUnboundedSender;

use super::confine::filter::REFUSED_ALOUD;
use super::{calls, sys, tree, wire};
use crate::child::Order;
use crate::watched::{Asked, Watch};

/// The longest path that the kernel takes, with its end.
const PATH: usize = 4096;
/// A page of memory: what lies behind its end may not be there.
const PAGE: u64 = 4096;
/// The longest address of a socket that is looked at.
const ADDRESS: usize = 128;
/// How often it is looked how much the server uses.
const SAMPLE: Duration = Duration::from_millis(500);

/// One call that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) id: u64,
    /// The thread, as this process knows it.
    pub(super) thread: u32,
    pub(super) number: i64,
    pub(super) arguments: [u64; 6],
}

/// Has a thread look at what comes over `link`, until the server is gone.
pub(super) fn begin(link: OwnedFd, watch: Watch, orders: WeakUnboundedSender<Order>) -> io::Result<()> {
    let work = move || {
        let mut end = End { watch, orders, is_over: false };
        // Without a filter nothing was started.
        let listener = wire::receive_one(&link);
        drop(link);
        let Some(listener) = listener else {
            end.is_over = true;
            return;
        };
        let mut watcher =
            Watcher { listener, watch: end.watch.clone(), begun: false, sampled: Instant::now(), root: None };
        end.is_over = watcher.serve().is_ok();
    };
    std::thread::Builder::new().name("bartizan-watch".to_owned()).spawn(work).map(drop)
}

/// Ends the server if it is no longer looked at, however that came.
struct End {
    watch: Watch,
    orders: WeakUnboundedSender<Order>,
    is_over: bool,
}

impl Drop for End {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.watch.note_lost();
        if let Some(orders) = self.orders.upgrade() {
            orders.send(Order::End).ok();
        }
    }
}

struct Watcher {
    listener: OwnedFd,
    watch: Watch,
    /// Whether the program was executed that this is about.
    begun: bool,
    sampled: Instant,
    /// The first process that was seen, from which all others are.
    root: Option<i32>,
}

impl Watcher {
    /// Returns once nobody is left who could call.
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let timeout = Timespec::try_from(SAMPLE).ok();
            let mut watched = [PollFd::new(&self.listener, PollFlags::IN)];
            match rustix::event::poll(&mut watched, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [found] = watched.map(|fd| fd.revents());
            if found.contains(PollFlags::IN) {
                self.answer()?;
            } else if !found.is_empty() {
                return Ok(());
            }
            if self.sampled.elapsed() > SAMPLE {
                self.sample();
                self.sampled = Instant::now();
            }
        }
    }

    fn answer(&mut self) -> io::Result<()> {
        let call = match sys::next_call(&self.listener) {
            Ok(call) => call,
            // It was killed meanwhile, or a signal came.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.watch.count_call();
        self.look(&call);
        // What the filter refuses is refused here: there is no other answer for these.
        let answer = if REFUSED_ALOUD.contains(&call.number) { Some(libc::EPERM) } else { None };
        match sys::answer_call(&self.listener, call.id, answer) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
            _ => Ok(()),
        }
    }

    /// Notes what a call names.
    fn look(&mut self, call: &Call) {
        // The first is how the server itself is started, by a process of ours that shows its memory to nobody.
        if !self.begun {
            self.begun = true;
            self.root = i32::try_from(call.thread).ok();
            return;
        }
        for named in calls::named(call.number, &call.arguments) {
            let asked = match named {
                calls::Named::Plain(asked) => Seen::Asked(vec![asked]),
                calls::Named::Address { at, length } => {
                    let bytes = read(call.thread, at, length.min(ADDRESS as u64));
                    bytes.map_or(Seen::Unread, |bytes| Seen::Asked(calls::address(&bytes).into_iter().collect()))
                }
                calls::Named::Path { at: 0, .. } => Seen::Asked(Vec::new()),
                calls::Named::Path { directory, at, how, follows } => match text(call.thread, at) {
                    None => Seen::Unread,
                    // The open file itself is meant, which was named when it was opened.
                    Some(text) if text.is_empty() => Seen::Asked(Vec::new()),
                    Some(text) => seen(call.thread, directory, text.into(), how, follows),
                },
            };
            // What was read is what this call named only if it still waits.
            if !sys::is_call_waiting(&self.listener, call.id) {
                return;
            }
            let asked = match asked {
                Seen::Asked(asked) => asked,
                Seen::Unread => {
                    self.watch.count_unread();
                    continue;
                }
                Seen::InPart(asked) => {
                    self.watch.count_unread();
                    vec![asked]
                }
            };
            for asked in asked {
                self.watch.note(asked, || program_of(call.thread));
            }
        }
    }

    fn sample(&self) {
        let Some(root) = self.root else { return };
        let all = tree::below(root);
        let memory = all.iter().filter_map(|pid| tree::memory(*pid)).fold(0, u64::saturating_add);
        let threads = all.iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
        self.watch.note_use(memory, threads.map(|tasks| tasks.count() as u64).fold(0, u64::saturating_add));
    }
}

/// What is known of one thing that a call names.
enum Seen {
    /// All of it: a path as it is named, and what that leads to.
    Asked(Vec<Asked>),
    /// As it is named; what that leads to cannot be told.
    InPart(Asked),
    Unread,
}

fn seen(thread: u32, directory: Option<u64>, text: PathBuf, how: fn(PathBuf) -> Asked, follows: bool) -> Seen {
    let Some(path) = whole(thread, directory, text) else { return Seen::Unread };
    match leads(thread, &path, follows, matches!(how(PathBuf::new()), Asked::Look(_))) {
        Leads::Nowhere => Seen::Asked(vec![how(path)]),
        Leads::To(found) if found == path => Seen::Asked(vec![how(path)]),
        Leads::To(found) => Seen::Asked(vec![how(path), how(found)]),
        Leads::Unknown => Seen::InPart(how(path)),
    }
}

/// Bytes of a thread's memory; fewer where what follows cannot be read, none if nothing can.
fn read(thread: u32, at: u64, length: u64) -> Option<Vec<u8>> {
    let memory = File::open(format!("/proc/{thread}/mem")).ok()?;
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    let got = memory.read_at(&mut bytes, at).ok()?;
    bytes.truncate(got);
    (got > 0).then_some(bytes)
}

/// A text that ends with a zero; none if it does not, or cannot be read.
fn text(thread: u32, at: u64) -> Option<OsString> {
    let memory = File::open(format!("/proc/{thread}/mem")).ok()?;
    let mut text = Vec::new();
    let mut at = at;
    while text.len() < PATH {
        // Up to the end of a page, as the next one may not be there.
        let mut piece = [0; PAGE as usize];
        let room = usize::try_from(PAGE.saturating_sub(at % PAGE)).ok()?.min(PATH.saturating_sub(text.len()));
        let got = memory.read_at(piece.get_mut(..room)?, at).ok().filter(|got| *got > 0)?;
        let piece = piece.get(..got)?;
        if let Some(end) = piece.iter().position(|byte| *byte == 0) {
            text.extend_from_slice(piece.get(..end)?);
            return Some(OsString::from_vec(text));
        }
        text.extend_from_slice(piece);
        at = at.checked_add(u64::try_from(got).ok()?)?;
    }
    None
}

/// A path from the root of the sandbox on; none if it begins at a place that is gone.
fn whole(thread: u32, directory: Option<u64>, path: PathBuf) -> Option<PathBuf> {
    let link = |name: &str| fs::read_link(format!("/proc/{thread}/{name}")).ok();
    let whole = if path.is_absolute() {
        path
    } else {
        let start = match directory.map(as_descriptor) {
            None | Some(libc::AT_FDCWD) => link("cwd")?,
            Some(open) => link(&format!("fd/{open}"))?,
        };
        // Such as `/tmp/x (deleted)`, which leads nowhere, and `socket:[1]`.
        if !start.is_absolute() || start.as_os_str().as_encoded_bytes().ends_with(b" (deleted)") {
            return None;
        }
        start.join(path)
    };
    let root = link("root").filter(|root| root != Path::new("/") && root.is_absolute());
    let Some(root) = root.filter(|root| !whole.starts_with(root)) else { return Some(whole) };
    Some(root.join(whole.strip_prefix("/").ok()?))
}

/// Where a path leads for whoever named it.
#[derive(Debug, PartialEq, Eq)]
enum Leads {
    To(PathBuf),
    Nowhere,
    /// By way of a process, as `/proc/self/root` does, which nobody else is taken.
    Unknown,
}

/// Follows a path, which begins at the root, as the thread would: by links that it has made as well. Opened is only the name,
/// so that nothing waits for whoever would answer, and nothing outside of the thread's root is reached.
fn leads(thread: u32, path: &Path, follows: bool, looks: bool) -> Leads {
    let opened = rustix::fs::open(format!("/proc/{thread}/root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let Ok(root) = opened else { return Leads::Nowhere };
    let below = match fs::read_link(format!("/proc/{thread}/root")) {
        Ok(root) if root != Path::new("/") => path.strip_prefix(root).unwrap_or(path),
        _ => path,
    };
    let (start, name) = match (below.parent(), below.file_name()) {
        (Some(parent), Some(name)) if !follows => (parent, Some(name)),
        _ => (below, None),
    };
    match found(&root, start, false) {
        Ok(file) => {
            let place = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok();
            // What was removed meanwhile leads nowhere.
            let place = place.filter(|place| place.is_absolute() && found(&root, place, true).is_ok());
            place.map_or(Leads::Nowhere, |place| Leads::To(name.map_or(place.clone(), |name| place.join(name))))
        }
        Err(_) if is_by_a_process(&root, start, looks) => Leads::Unknown,
        Err(_) => Leads::Nowhere,
    }
}

/// The place of a path in this root.
fn found(root: &OwnedFd, path: &Path, is_itself: bool) -> rustix::io::Result<OwnedFd> {
    let itself = if is_itself { OFlags::NOFOLLOW } else { OFlags::empty() };
    openat2(root, path, OFlags::PATH | OFlags::CLOEXEC | itself, Mode::empty(), ResolveFlags::IN_ROOT)
}

/// Whether a path that leads nowhere from here goes by way of a process, directly or by links.
fn is_by_a_process(root: &OwnedFd, path: &Path, looks: bool) -> bool {
    let mut path = path.to_owned();
    // As many links as the kernel follows.
    for _ in 0..40 {
        if names_a_process(&path, looks) {
            return true;
        }
        let mut prefixes: Vec<&Path> = path.ancestors().collect();
        prefixes.reverse();
        let mut next = None;
        for prefix in prefixes {
            let Ok(file) = found(root, prefix, true) else { return false };
            if let Ok(target) = rustix::fs::readlinkat(&file, "", Vec::new()) {
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                let above = prefix.parent().unwrap_or(Path::new("/"));
                next = path.strip_prefix(prefix).ok().map(|rest| above.join(target).join(rest));
                break;
            }
        }
        match next {
            Some(next) => path = next,
            None => return false,
        }
    }
    false
}

/// Whether a path goes on behind what a process has open, or where it is; to look at that link itself is no way.
fn names_a_process(path: &Path, looks: bool) -> bool {
    let Ok(below) = path.strip_prefix("/proc") else { return false };
    let parts: Vec<_> = below.components().map(|part| part.as_os_str()).collect();
    let parts = match &*parts {
        [_, task, _, rest @ ..] if *task == "task" => rest,
        [_, rest @ ..] => rest,
        [] => return false,
    };
    match parts {
        [link, rest @ ..] if *link == "root" || *link == "cwd" => !rest.is_empty() || !looks,
        [files, _, rest @ ..] if *files == "fd" => !rest.is_empty(),
        _ => false,
    }
}

/// Of an argument the kernel reads as a descriptor the lower half.
#[expect(clippy::cast_possible_truncation, reason = "as the kernel does")]
fn as_descriptor(argument: u64) -> i32 {
    (argument as u32).cast_signed()
}

fn program_of(thread: u32) -> OsString {
    let program = fs::read_link(format!("/proc/{thread}/exe")).unwrap_or_default();
    program.file_name().map(ToOwned::to_owned).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> u32 {
        rustix::thread::gettid().as_raw_pid().unsigned_abs()
    }

    fn place(bytes: &[u8]) -> u64 {
        bytes.as_ptr().addr() as u64
    }

    #[test]
    fn a_text_is_read_to_its_end_and_no_further_than_a_path_may_be() {
        for (bytes, expected) in [
            (b"/a/b\0more".to_vec(), Some("/a/b".to_owned())),
            (b"\0".to_vec(), Some(String::new())),
            ([vec![b'x'; 4000], vec![0]].concat(), Some("x".repeat(4000))),
            ([vec![b'x'; 9000], vec![0]].concat(), None),
        ] {
            assert_eq!(text(me(), place(&bytes)), expected.map(OsString::from), "{}", bytes.len());
        }
        // Nothing is mapped there, and nobody has that number.
        assert_eq!(text(me(), 8), None);
        assert_eq!(text(u32::MAX, 8), None);
        assert_eq!(read(me(), place(b"12345"), 3), Some(b"123".to_vec()));
        assert_eq!(read(me(), 8, 3), None);
    }

    #[test]
    fn a_path_is_taken_from_where_the_call_would_begin() {
        use std::os::fd::AsRawFd as _;
        let folder = tempfile::tempdir().unwrap();
        let open = File::open(folder.path()).unwrap();
        let number = u64::from(open.as_raw_fd().unsigned_abs());
        let high = 0xdead_beef_0000_0000;
        let here = std::env::current_dir().unwrap();
        let cwd = u64::from(libc::AT_FDCWD.cast_unsigned());
        for (directory, path, expected) in [
            (None, "/a/../b", Some(PathBuf::from("/a/../b"))),
            (None, "x", Some(here.join("x"))),
            (Some(cwd), "x", Some(here.join("x"))),
            (Some(high | cwd), "./x", Some(here.join("./x"))),
            (Some(number), "x/y", Some(folder.path().join("x/y"))),
            (Some(high | number), "x", Some(folder.path().join("x"))),
            (Some(number), "/x", Some(PathBuf::from("/x"))),
            (Some(99_999), "x", None),
        ] {
            assert_eq!(whole(me(), directory, path.into()), expected, "{directory:?} {path}");
        }
        // What was opened and is gone leads nowhere.
        drop(folder);
        assert_eq!(whole(me(), Some(number), "x".into()), None);
        assert_eq!(whole(u32::MAX, None, "x".into()), None);
    }

    #[test]
    fn links_are_followed_and_ways_by_a_process_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let place = fs::canonicalize(folder.path()).unwrap();
        let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, place.join(name)).unwrap();
        fs::create_dir(place.join("kept")).unwrap();
        fs::write(place.join("kept/file"), "").unwrap();
        link(&place.join("kept"), "link");
        link(Path::new("link/file"), "second");
        link(Path::new("/proc/self/root"), "root");
        link(Path::new("root/etc"), "third");
        link(Path::new("loop"), "loop");
        let to = |name: &str| Leads::To(place.join(name));
        for (name, follows, expected) in [
            ("kept/file", true, to("kept/file")),
            ("link/file", true, to("kept/file")),
            ("second", true, to("kept/file")),
            // What is changed may not be there yet, and is a link itself if there is one.
            ("second", false, to("second")),
            ("link/new", false, to("kept/new")),
            ("link/new", true, Leads::Nowhere),
            ("loop", true, Leads::Nowhere),
            ("root/etc/passwd", true, Leads::Unknown),
            ("third/passwd", true, Leads::Unknown),
            ("third/new", false, Leads::Unknown),
        ] {
            assert_eq!(leads(me(), &place.join(name), follows, false), expected, "{name} {follows}");
        }
        assert_eq!(leads(u32::MAX, &place, true, false), Leads::Nowhere);
    }

    #[test]
    fn a_way_by_a_process_goes_on_behind_it() {
        for (path, looks, expected) in [
            ("/proc/self/root/etc", true, true),
            ("/proc/1/cwd/x", true, true),
            ("/proc/1/task/2/root/x", true, true),
            ("/proc/thread-self/fd/3/x", true, true),
            ("/proc/self/root", false, true),
            ("/proc/self/root", true, false),
            ("/proc/self/fd/3", false, false),
            ("/proc/self/exe", true, false),
            ("/proc/self/status", false, false),
            ("/proc", false, false),
            ("/home/proc/self/root/x", false, false),
        ] {
            assert_eq!(names_a_process(Path::new(path), looks), expected, "{path}");
        }
    }
}
