//! A connection of a program and the one outside that belongs to it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::event::PollFlags;

use crate::token::Token;

/// Bytes in each direction that were read and not written yet.
const BUFFER: usize = 16 * 1024;
/// The answer to a request for a tunnel.
const LONGEST_ANSWER: usize = 4 * 1024;

/// Both, and what is between them.
#[derive(Debug)]
pub(super) struct Pair {
    client: TcpStream,
    outside: UnixStream,
    out: Half,
    back: Half,
    /// What was answered so far, where the program knows nothing of a proxy and must not be shown it.
    answer: Option<Vec<u8>>,
    failed: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    held: Vec<u8>,
    at: usize,
    /// Nothing more comes.
    ended: bool,
    /// And that was passed on.
    shut: bool,
}

impl Pair {
    /// Says the token first, and for which target the connection is, if the program cannot.
    pub(super) fn new(client: TcpStream, outside: UnixStream, token: &Token, target: Option<&str>) -> Pair {
        let mut said = format!("{}\n", token.expose());
        if let Some(target) = target {
            said.push_str(&format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
        }
        let out = Half { held: said.into_bytes(), ..Half::default() };
        Pair { client, outside, out, back: Half::default(), answer: target.map(|_| Vec::new()), failed: false }
    }

    /// What each of them is waited for, if for anything.
    pub(super) fn interests(&self) -> [Option<(BorrowedFd<'_>, PollFlags)>; 2] {
        let flags = |reads: &Half, writes: &Half| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, reads.is_empty() && !reads.ended);
            flags.set(PollFlags::OUT, !writes.is_empty());
            (!flags.is_empty()).then_some(flags)
        };
        [
            flags(&self.out, &self.back).map(|flags| (self.client.as_fd(), flags)),
            flags(&self.back, &self.out).map(|flags| (self.outside.as_fd(), flags)),
        ]
    }

    /// Does what can be done without waiting.
    pub(super) fn turn(&mut self) {
        self.failed |= self.moved().is_err();
    }

    pub(super) fn is_over(&self) -> bool {
        self.failed || (self.out.shut && self.back.shut)
    }

    fn moved(&mut self) -> io::Result<()> {
        self.out.read(&self.client)?;
        if self.out.write(&self.outside)? {
            self.outside.shutdown(Shutdown::Write)?;
        }
        self.back.read(&self.outside)?;
        self.take_answer()?;
        if self.back.write(&self.client)? {
            self.client.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    /// Keeps the answer to the request for a tunnel from the program, and ends the connection if it is no.
    fn take_answer(&mut self) -> io::Result<()> {
        let Some(answer) = &mut self.answer else { return Ok(()) };
        answer.append(&mut self.back.held);
        match answer.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(end) if end < LONGEST_ANSWER && answer.starts_with(b"HTTP/1.1 200 ") => {
                self.back.held = answer.split_off(end + 4);
                self.answer = None;
                Ok(())
            }
            None if answer.len() < LONGEST_ANSWER && !self.back.ended => Ok(()),
            _ => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

impl Half {
    fn is_empty(&self) -> bool {
        self.at == self.held.len()
    }

    /// Reads once, if all that was read is written.
    fn read(&mut self, mut from: impl Read) -> io::Result<()> {
        if !self.is_empty() || self.ended {
            return Ok(());
        }
        (self.at, self.held) = (0, std::mem::take(&mut self.held));
        self.held.resize(BUFFER, 0);
        let read = from.read(&mut self.held);
        self.held.truncate(*read.as_ref().unwrap_or(&0));
        match read {
            Ok(count) => self.ended = count == 0,
            Err(error) if is_for_later(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes what it can, and says whether now, for the first time, there will be no more.
    fn write(&mut self, mut to: impl Write) -> io::Result<bool> {
        while let Some(rest) = self.held.get(self.at..).filter(|rest| !rest.is_empty()) {
            match to.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.at += count,
                Err(error) if is_for_later(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        let is_last = self.ended && !self.shut;
        self.shut |= is_last;
        Ok(is_last)
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
