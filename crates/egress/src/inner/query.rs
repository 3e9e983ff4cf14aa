//! A connection of the name service over TCP.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::PollFlags;

use super::{Names, dns};

/// One, with what was read of a query and is left to write of an answer.
#[derive(Debug)]
pub(super) struct Query {
    stream: TcpStream,
    read: Vec<u8>,
    answer: Vec<u8>,
    over: bool,
}

impl Query {
    pub(super) fn new(stream: TcpStream) -> Query {
        Query { stream, read: Vec::new(), answer: Vec::new(), over: false }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) fn flags(&self) -> PollFlags {
        if self.answer.is_empty() { PollFlags::IN } else { PollFlags::OUT }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Does what can be done without waiting.
    pub(super) fn turn(&mut self, names: &mut Names) {
        self.over |= self.talk(names).is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock);
    }

    fn talk(&mut self, names: &mut Names) -> io::Result<()> {
        loop {
            if self.answer.is_empty() {
                self.ask(names)?;
            }
            self.tell()?;
            // Nobody says when what was read already can be answered.
            if self.next().is_none() {
                return Ok(());
            }
        }
    }

    /// Reads, and answers the first query that is there as a whole.
    fn ask(&mut self, names: &mut Names) -> io::Result<()> {
        let mut bytes = [0; dns::LONGEST + 2];
        let most = bytes.len() - self.read.len().min(bytes.len());
        if self.next().is_none() {
            let count = self.stream.read(bytes.get_mut(..most).unwrap_or_default())?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.read.extend_from_slice(bytes.get(..count).unwrap_or_default());
        }
        let Some(length) = self.next() else { return Ok(()) };
        if length > dns::LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let rest = self.read.split_off(length + 2);
        let query = std::mem::replace(&mut self.read, rest);
        let answer = query.get(2..).and_then(|query| dns::answer(query, names)).ok_or(io::ErrorKind::InvalidData)?;
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        self.answer = [&length.to_be_bytes(), &*answer].concat();
        Ok(())
    }

    /// How long the next query is, if all of it is there or it is too long.
    fn next(&self) -> Option<usize> {
        let length = usize::from(u16::from_be_bytes(self.read.get(..2)?.try_into().ok()?));
        (length > dns::LONGEST || self.read.len() >= length + 2).then_some(length)
    }

    fn tell(&mut self) -> io::Result<()> {
        while !self.answer.is_empty() {
            let count = self.stream.write(&self.answer)?;
            self.answer.drain(..count);
        }
        Ok(())
    }
}
