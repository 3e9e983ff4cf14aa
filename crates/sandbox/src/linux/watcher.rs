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
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::sync::mpsc::WeakUnboundedSender;

use super::confine::filter::REFUSED_ALOUD;
use super::{calls, sys, tree, wire};
use crate::child::Order;
use crate::watched::Watch;

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
                calls::Named::Plain(asked) => Some(Some(asked)),
                calls::Named::Address { at, length } => {
                    read(call.thread, at, length.min(ADDRESS as u64)).map(|bytes| calls::address(&bytes))
                }
                calls::Named::Path { at: 0, .. } => Some(None),
                calls::Named::Path { directory, at, how } => {
                    text(call.thread, at).and_then(|text| match text.is_empty() {
                        // The open file itself is meant, which was named when it was opened.
                        true => Some(None),
                        false => whole(call.thread, directory, text.into()).map(|path| Some(how(path))),
                    })
                }
            };
            // What was read is what this call named only if it still waits.
            if !sys::is_call_waiting(&self.listener, call.id) {
                return;
            }
            match asked {
                None => self.watch.count_unread(),
                Some(None) => {}
                Some(Some(asked)) => self.watch.note(asked, || program_of(call.thread)),
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
}
