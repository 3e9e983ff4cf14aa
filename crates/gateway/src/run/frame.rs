//! What a bridge and the user's Bartizan say to each other: frames of a kind, a length and that many bytes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Isolation, Wrap};

/// The kinds of frame. The first frame of a bridge is a hello; the last one from the other side is an exit or an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What to wrap.
    Hello = 1,
    /// Bytes of standard input, output or error.
    Data = 2,
    /// Standard input has ended.
    Eof = 3,
    /// A signal, by number, to be passed on.
    Signal = 4,
    /// A line of the server's standard error.
    Stderr = 5,
    /// How the server ended: a shell exit code.
    Exit = 6,
    /// The server cannot be wrapped, and why.
    Error = 7,
    /// How many more bytes of standard input may come, as four bytes. The first one says that the hello was taken.
    Room = 8,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(super) kind: Kind,
    pub(super) bytes: Bytes,
}

/// No frame is larger; data is cut into smaller ones.
const LARGEST: usize = 4 * 1024 * 1024;

impl Frame {
    pub(super) fn new(kind: Kind, bytes: impl Into<Bytes>) -> Self {
        Frame { kind, bytes: bytes.into() }
    }

    /// Room for so many bytes.
    pub(super) fn room(bytes: usize) -> Self {
        Frame::new(Kind::Room, u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes().to_vec())
    }

    /// For how many bytes this one gives room.
    pub(super) fn to_room(&self) -> usize {
        self.bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes) as usize)
    }

    /// Reads a frame; `None` at the end of the stream or if it is no frame.
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
        let kind = match stream.read_u8().await.ok()? {
            1 => Kind::Hello,
            2 => Kind::Data,
            3 => Kind::Eof,
            4 => Kind::Signal,
            5 => Kind::Stderr,
            6 => Kind::Exit,
            7 => Kind::Error,
            8 => Kind::Room,
            _ => return None,
        };
        let length = stream.read_u32().await.ok()? as usize;
        if length > LARGEST {
            return None;
        }
        let mut bytes = BytesMut::zeroed(length);
        stream.read_exact(&mut bytes).await.ok()?;
        Some(Frame { kind, bytes: bytes.freeze() })
    }

    pub(crate) async fn write(&self, stream: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        let mut head = BytesMut::with_capacity(5 + self.bytes.len());
        head.put_u8(self.kind as u8);
        head.put_u32(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        head.extend_from_slice(&self.bytes);
        stream.write_all(&head).await?;
        stream.flush().await
    }
}

/// What stands before the table of a program that is confined, and in its place for one that is not.
const CONFINED: &[u8] = b"sandbox";
const UNCONFINED: &[u8] = b"unconfined";

/// Version of this exchange; two that differ do not talk.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why a hello was not understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadHello {
    Version(String),
    Malformed,
}

/// Writes what to wrap: counted, length-prefixed byte strings, as neither paths nor variables need be UTF-8.
pub(crate) fn write_hello(wrap: &Wrap) -> Bytes {
    let mut out = BytesMut::new();
    let mut put = |bytes: &[u8]| {
        out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        out.extend_from_slice(bytes);
    };
    put(VERSION.as_bytes());
    put(wrap.name.as_deref().unwrap_or_default().as_bytes());
    put(if wrap.restart { b"restart" } else { b"" });
    put(if wrap.bridge { b"bridge" } else { b"" });
    match &wrap.isolation {
        Isolation::Table(table) => [CONFINED, table.as_bytes()].map(&mut put),
        Isolation::Unconfined => [UNCONFINED, b""].map(&mut put),
    };
    put(wrap.by_default.as_deref().unwrap_or_default().as_bytes());
    put(wrap.config.as_ref().map_or(b"", |config| config.as_os_str().as_bytes()));
    put(wrap.client.to_string().as_bytes());
    put(wrap.directory.as_os_str().as_bytes());
    put(wrap.command.len().to_string().as_bytes());
    wrap.command.iter().for_each(|word| put(word.as_bytes()));
    for (name, value) in &wrap.env {
        put(name.as_bytes());
        put(value.as_bytes());
    }
    out.freeze()
}

pub(crate) fn read_hello(bytes: &[u8]) -> Result<Wrap, BadHello> {
    let mut rest = bytes;
    let mut take = || -> Option<&[u8]> {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (value, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = after;
        Some(value)
    };
    let version = take().ok_or(BadHello::Malformed)?;
    if version != VERSION.as_bytes() {
        return Err(BadHello::Version(String::from_utf8_lossy(version).into_owned()));
    }
    let os = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let read = || {
        let name = String::from_utf8(take()?.to_vec()).ok()?;
        let restart = !take()?.is_empty();
        let bridge = !take()?.is_empty();
        let isolation = match (take()?, take()?) {
            (CONFINED, table) => Isolation::Table(String::from_utf8(table.to_vec()).ok()?),
            (UNCONFINED, b"") => Isolation::Unconfined,
            _ => return None,
        };
        let by_default = String::from_utf8(take()?.to_vec()).ok()?;
        let config = Some(take()?).filter(|config| !config.is_empty());
        let config = config.map(|config| PathBuf::from(OsStr::from_bytes(config)));
        let client = std::str::from_utf8(take()?).ok()?.parse().ok()?;
        let directory = PathBuf::from(OsStr::from_bytes(take()?));
        let count: usize = std::str::from_utf8(take()?).ok()?.parse().ok()?;
        let command = (0..count).map(|_| take().map(os)).collect::<Option<Vec<_>>>()?;
        let mut env = Vec::new();
        while let Some(name) = take() {
            env.push((os(name), os(take()?)));
        }
        Some(Wrap {
            name: (!name.is_empty()).then_some(name),
            command,
            directory,
            env,
            restart,
            bridge,
            isolation,
            by_default: (!by_default.is_empty()).then_some(by_default),
            config,
            client,
        })
    };
    let mut read = read;
    let wrap = read().ok_or(BadHello::Malformed)?;
    if rest.is_empty() { Ok(wrap) } else { Err(BadHello::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_survives_the_way() {
        let wrap = Wrap {
            name: Some("files".into()),
            command: vec!["npx".into(), "".into(), OsString::from_vec(vec![0xff])],
            directory: "/srv".into(),
            env: vec![("A".into(), "1".into()), ("B".into(), "".into())],
            restart: false,
            bridge: true,
            isolation: Isolation::Table("fs.rw = [\"/srv\"]\n".into()),
            by_default: Some("auto".into()),
            config: Some("/etc/b.toml".into()),
            client: 4711,
        };
        let bytes = write_hello(&wrap);
        let back = read_hello(&bytes).unwrap();
        assert_eq!(format!("{back:?}"), format!("{wrap:?}"));
        for cut in 0..bytes.len() {
            let cut = read_hello(bytes.get(..cut).unwrap());
            assert!(cut.is_err() || cut.is_ok_and(|cut| cut.env.len() < wrap.env.len()));
        }
    }

    #[tokio::test]
    async fn frames_survive_the_way() {
        let mut wire = Vec::new();
        let frame = Frame::new(Kind::Data, "hello");
        frame.write(&mut wire).await.unwrap();
        assert_eq!(Frame::read(&mut wire.as_slice()).await, Some(frame));
        assert_eq!(Frame::read(&mut [9, 0, 0, 0, 0].as_slice()).await, None);
        assert_eq!(Frame::read(&mut [2, 255, 255, 255, 255].as_slice()).await, None);
    }
}
