//! What gateway and launcher say to each other over the control socket.
//!
//! Both ends are the same binary, so the format has neither versions nor options. The launch travels here
//! and not in arguments or environment because those of the launcher can be read in `/proc`.

mod confinement;

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use rustix::process::Signal;

use crate::{Confinement, ExitStatus, Launch};

/// More than the system lets a process have as arguments and environment.
const MAX_LAUNCH: usize = 16 * 1024 * 1024;
const STDIO: usize = 3;
/// With them, where the server is watched, what leads to whoever watches.
const HANDED: usize = STDIO + 1;

/// The server's stdin, stdout and stderr.
pub(super) type Stdio = [OwnedFd; STDIO];

/// The launch as the launcher needs it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) vars: Vec<(OsString, OsString)>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) grace: Duration,
    pub(super) confinement: Option<Confinement>,
    /// Whether the program is not run after all.
    pub(super) trial: bool,
}

impl Plan {
    pub(super) fn path(&self) -> Option<&OsStr> {
        self.vars.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str())
    }
}

/// Encodes a launch; none if it is too large for any system.
pub(super) fn encode(launch: &Launch, trial: bool) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    put_number(&mut out, u32::from(trial));
    put_number(&mut out, u32::try_from(launch.grace.as_millis()).unwrap_or(u32::MAX));
    confinement::put(&mut out, launch.confinement.as_ref())?;
    put(&mut out, &launch.program)?;
    // No directory has an empty name, so that stands for none.
    put(&mut out, launch.cwd.as_ref().map_or(OsStr::new(""), |cwd| cwd.as_os_str()))?;
    put_number(&mut out, u32::try_from(launch.args.len()).ok()?);
    for arg in &launch.args {
        put(&mut out, arg)?;
    }
    for (name, value) in launch.env.iter() {
        put(&mut out, name)?;
        put(&mut out, value)?;
    }
    (out.len() <= MAX_LAUNCH).then_some(out)
}

pub(super) fn decode(bytes: &[u8]) -> Option<Plan> {
    let mut rest = bytes;
    let trial = number(&mut rest)? != 0;
    let grace = Duration::from_millis(number(&mut rest)?.into());
    let confinement = confinement::take(&mut rest)?;
    let program = text(&mut rest)?;
    let cwd = Some(PathBuf::from(text(&mut rest)?)).filter(|cwd| !cwd.as_os_str().is_empty());
    let args = (0..number(&mut rest)?).map(|_| text(&mut rest)).collect::<Option<_>>()?;
    let mut vars = Vec::new();
    while !rest.is_empty() {
        vars.push((text(&mut rest)?, text(&mut rest)?));
    }
    Some(Plan { program, args, vars, cwd, grace, confinement, trial })
}

/// A confinement alone.
pub(super) fn encode_confinement(confinement: &Confinement) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    confinement::put(&mut out, Some(confinement))?;
    Some(out)
}

pub(super) fn decode_confinement(mut bytes: &[u8]) -> Option<Confinement> {
    confinement::take(&mut bytes)?.filter(|_| bytes.is_empty())
}

/// Hands the server's pipes over, with the size of the plan that follows.
///
/// Where the server is watched, `watch` goes along: it leads to whoever watches.
pub(super) fn send_stdio(control: impl AsFd, stdio: &Stdio, watch: Option<&OwnedFd>, plan: usize) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDED))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<BorrowedFd<'_>> = stdio.iter().chain(watch).map(OwnedFd::as_fd).collect();
    if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let size = u32::try_from(plan).map_err(|_| io::ErrorKind::FileTooLarge)?.to_le_bytes();
    let sent = rustix::net::sendmsg(control, &[IoSlice::new(&size)], &mut ancillary, SendFlags::NOSIGNAL)?;
    if sent == size.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Sends all of it.
pub(super) fn send(to: impl AsFd, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let sent = rustix::io::retry_on_intr(|| rustix::net::send(&to, rest, SendFlags::NOSIGNAL))?;
        rest = rest.get(sent..).unwrap_or_default();
    }
    Ok(())
}

/// Receives the pipes and the plan; none if the gateway went away or sent something else.
pub(super) fn receive(control: BorrowedFd<'_>) -> Option<(Stdio, Plan)> {
    let (stdio, _, bytes) = receive_bytes(control)?;
    Some((stdio, decode(&bytes)?))
}

/// The same, with the plan as it was sent, and what leads to whoever watches.
pub(super) fn receive_bytes(control: BorrowedFd<'_>) -> Option<(Stdio, Option<OwnedFd>, Vec<u8>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDED))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut size = [0; 4];
    let got = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(control, &mut [IoSliceMut::new(&mut size)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    });
    let mut fds = received(&mut ancillary);
    let watch = if fds.len() == HANDED { fds.pop() } else { None };
    let stdio = Stdio::try_from(fds).ok()?;
    let size = usize::try_from(u32::from_le_bytes(size)).ok()?;
    if got.ok()?.bytes != 4 || size > MAX_LAUNCH {
        return None;
    }
    let mut bytes = vec![0; size];
    fill(control, &mut bytes)?;
    Some((stdio, watch, bytes))
}

fn received(ancillary: &mut RecvAncillaryBuffer<'_>) -> Vec<OwnedFd> {
    let messages = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    messages.flatten().collect()
}

/// Hands over a descriptor, and nothing else.
pub(super) fn send_one(to: impl AsFd, one: &OwnedFd) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = [one.as_fd()];
    if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    rustix::net::sendmsg(to, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives what [`send_one`] hands over; none if nobody can send it any more.
pub(super) fn receive_one(from: impl AsFd) -> Option<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = rustix::io::retry_on_intr(|| {
        let mut byte = [0];
        rustix::net::recvmsg(&from, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    });
    got.ok().filter(|got| got.bytes > 0)?;
    received(&mut ancillary).pop()
}

/// Receives one number.
pub(super) fn receive_number(control: BorrowedFd<'_>) -> Option<i32> {
    let mut bytes = [0; 4];
    fill(control, &mut bytes)?;
    Some(i32::from_le_bytes(bytes))
}

fn fill(control: BorrowedFd<'_>, mut rest: &mut [u8]) -> Option<()> {
    while !rest.is_empty() {
        let got = rustix::io::retry_on_intr(|| rustix::io::read(control, &mut *rest)).ok().filter(|got| *got > 0)?;
        rest = rest.get_mut(got..)?;
    }
    Some(())
}

/// What the launcher tells the gateway.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// The server runs as this process, from this file.
    Started { pid: i32, program: PathBuf },
    /// The server does not run.
    Failed(Failure),
    /// The server exited.
    Exited(ExitStatus),
    /// Nothing is left of its process tree, or only what cannot be killed.
    Gone,
}

/// Why the server does not run: which step failed, and the system's error number where there is one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    NotFound,
    NotExecutable {
        program: PathBuf,
        error: i32,
    },
    Directory {
        error: i32,
    },
    Exec {
        program: PathBuf,
        error: i32,
    },
    Setup {
        error: i32,
    },
    /// A wall of the sandbox; the number is 0 where there is none.
    Confine {
        step: String,
        error: i32,
    },
    /// Something the profile insists on.
    Required {
        what: String,
    },
    /// The launcher itself was lost.
    Silent,
}

impl Report {
    pub(super) fn encode(&self) -> Vec<u8> {
        let none = OsStr::new("");
        let (tag, number, text) = match self {
            Self::Started { pid, program } => (b'S', *pid, program.as_os_str()),
            Self::Exited(ExitStatus::Code(code)) => (b'C', *code, none),
            Self::Exited(ExitStatus::Signal(signal)) => (b'K', *signal, none),
            Self::Exited(ExitStatus::OutOfMemory) => (b'M', 0, none),
            Self::Exited(ExitStatus::Exposed) => (b'P', 0, none),
            Self::Gone => (b'G', 0, none),
            Self::Failed(failure) => match failure {
                Failure::NotFound => (b'f', 0, none),
                Failure::NotExecutable { program, error } => (b'x', *error, program.as_os_str()),
                Failure::Directory { error } => (b'd', *error, none),
                Failure::Exec { program, error } => (b'e', *error, program.as_os_str()),
                Failure::Setup { error } => (b's', *error, none),
                Failure::Confine { step, error } => (b'w', *error, OsStr::new(step)),
                Failure::Required { what } => (b'r', 0, OsStr::new(what)),
                Failure::Silent => (b'l', 0, none),
            },
        };
        let mut out = vec![tag];
        out.extend(number.to_le_bytes());
        // A path longer than this cannot be opened, so it cannot turn up here.
        put(&mut out, text);
        out
    }

    /// Takes the first whole report out of what has been received.
    pub(super) fn take(inbox: &mut Vec<u8>) -> Option<Self> {
        let mut rest = inbox.as_slice();
        let (tag, after) = rest.split_first()?;
        rest = after;
        let number = i32::from_le_bytes(number(&mut rest)?.to_le_bytes());
        let text = text(&mut rest)?;
        let said = || text.to_string_lossy().into_owned();
        let program = PathBuf::from(&text);
        let report = match tag {
            b'S' => Self::Started { pid: number, program },
            b'C' => Self::Exited(ExitStatus::Code(number)),
            b'K' => Self::Exited(ExitStatus::Signal(number)),
            b'M' => Self::Exited(ExitStatus::OutOfMemory),
            b'P' => Self::Exited(ExitStatus::Exposed),
            b'G' => Self::Gone,
            b'f' => Self::Failed(Failure::NotFound),
            b'x' => Self::Failed(Failure::NotExecutable { program, error: number }),
            b'd' => Self::Failed(Failure::Directory { error: number }),
            b'e' => Self::Failed(Failure::Exec { program, error: number }),
            b's' => Self::Failed(Failure::Setup { error: number }),
            b'w' => Self::Failed(Failure::Confine { step: said(), error: number }),
            b'r' => Self::Failed(Failure::Required { what: said() }),
            _ => Self::Failed(Failure::Silent),
        };
        let used = inbox.len().saturating_sub(rest.len());
        inbox.drain(..used);
        Some(report)
    }
}

/// A request to the launcher is one byte: a signal for the server's group, or this to end the tree.
const END: u8 = 0;

pub(super) fn encode_order(signal: Option<Signal>) -> u8 {
    signal.and_then(|signal| u8::try_from(signal.as_raw()).ok()).unwrap_or(END)
}

pub(super) fn decode_order(byte: u8) -> Option<Signal> {
    Signal::from_named_raw(byte.into())
}

fn put_number(out: &mut Vec<u8>, number: u32) {
    out.extend(number.to_le_bytes());
}

fn put(out: &mut Vec<u8>, text: &OsStr) -> Option<()> {
    put_number(out, u32::try_from(text.len()).ok()?);
    out.extend(text.as_bytes());
    Some(())
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_le_bytes(*number))
}

fn text(rest: &mut &[u8]) -> Option<OsString> {
    let mut after = *rest;
    let size = usize::try_from(number(&mut after)?).ok()?;
    let (text, after) = after.split_at_checked(size)?;
    *rest = after;
    Some(OsString::from_vec(text.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Environment;

    #[test]
    fn a_launch_arrives_as_it_was_sent() {
        let mut launch = Launch::new("server");
        launch.args = vec!["--flag".into(), "".into(), OsString::from_vec(vec![0xff, b'\n'])];
        launch.env = Environment::empty();
        launch.env.set("PATH", "/bin").set("TOKEN", "");
        launch.grace = Duration::from_millis(1500);
        let check = |launch: &Launch, trial: bool| {
            let plan = decode(&encode(launch, trial).unwrap()).unwrap();
            let vars: Vec<_> = launch.env.iter().map(|(name, value)| (name.into(), value.into())).collect();
            let Launch { program, args, cwd, grace, confinement, .. } = launch.clone();
            assert_eq!(plan, Plan { program, args, vars, cwd, grace, confinement, trial });
        };
        check(&launch, false);
        launch.cwd = Some("/tmp/a b".into());
        check(&launch, true);
        launch.confinement = Some(confinement::tests::full());
        check(&launch, false);

        let whole = encode(&launch, false).unwrap();
        // Cut anywhere but between two variables it is refused; nothing panics on it.
        let cut = (0..whole.len()).filter(|end| decode(&whole[..*end]).is_some()).count();
        assert_eq!(cut, 2);
    }

    #[test]
    fn reports_arrive_as_they_were_sent_however_they_are_cut() {
        let program = || PathBuf::from("/bin/true");
        let reports = [
            Report::Started { pid: 7, program: program() },
            Report::Exited(ExitStatus::Code(-1)),
            Report::Exited(ExitStatus::Signal(9)),
            Report::Gone,
            Report::Failed(Failure::NotFound),
            Report::Failed(Failure::NotExecutable { program: program(), error: 13 }),
            Report::Failed(Failure::Directory { error: 2 }),
            Report::Failed(Failure::Exec { program: program(), error: 8 }),
            Report::Exited(ExitStatus::OutOfMemory),
            Report::Exited(ExitStatus::Exposed),
            Report::Failed(Failure::Setup { error: 1 }),
            Report::Failed(Failure::Confine { step: "mount /a".into(), error: 1 }),
            Report::Failed(Failure::Required { what: "landlock>=9".into() }),
            Report::Failed(Failure::Silent),
        ];
        let (mut inbox, mut seen) = (Vec::new(), Vec::new());
        for byte in reports.iter().flat_map(Report::encode) {
            inbox.push(byte);
            seen.extend(Report::take(&mut inbox));
        }
        assert_eq!(seen, reports);
        assert!(inbox.is_empty());
    }

    #[test]
    fn orders_arrive_as_they_were_sent() {
        for signal in [Some(Signal::TERM), Some(Signal::KILL), Some(Signal::USR2), None] {
            assert_eq!(decode_order(encode_order(signal)), signal);
        }
    }
}
