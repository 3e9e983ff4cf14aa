//! Files of a log whose lines are sealed.
//!
//! ```text
//! bartizan-sealed-log-1 <32 hexadecimal digits: the file's id>\n
//! <nonce (12) | AES-256-GCM of a line | tag (16), with what would be a newline escaped>\n
//! …
//! ```
//!
//! What is sealed is the line as it would be without that, so that its chain, its hash in the tree and all proofs are the same
//! whichever key it is sealed with, and a new key changes none of them. The key of a file is kept, wrapped, in `keys/<id>`. It is
//! sealed line by line, so that the end is found from the end, and what a crash left of a line is nothing but that.
//!
//! No nonce is used twice with a key: each start draws eight bytes, and counts in the other four.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bartizan_seal::{Unopened, random};
use memchr::memchr2;

use crate::chain::to_hex;
use crate::entry::MAX_ENTRY_BYTES;
use crate::files;
use crate::keys::{self, Closed, Keys};

/// How a sealed file begins.
const MARK: &str = "bartizan-sealed-log-1 ";
const ID: usize = 16;
/// Bytes before the first line.
pub(crate) const HEADER: u64 = (MARK.len() + 2 * ID + 1) as u64;

const TAG: usize = 16;
/// The longest line as it is sealed, if all of it had to be escaped.
pub(crate) const LONGEST: usize = 2 * (NONCE_LEN + MAX_ENTRY_BYTES + TAG) + 1;

/// Stands before a byte that stands for another, and what stands for it and for the end of a line.
const ESCAPE: u8 = 0x1B;
const ESCAPED: u8 = b'e';
const NEWLINE: u8 = b'n';

/// Where the keys of files are.
const FOLDER: &str = "keys";

/// The key of one file.
pub(crate) struct LineKey {
    key: LessSafeKey,
    /// What nonces of this start begin with.
    start: [u8; NONCE_LEN - 4],
    used: u32,
}

impl std::fmt::Debug for LineKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineKey").finish_non_exhaustive()
    }
}

impl LineKey {
    fn new(bytes: &[u8]) -> Result<LineKey, Unopened> {
        let mut start = [0; NONCE_LEN - 4];
        aws_lc_rs::rand::fill(&mut start).map_err(|_| Unopened::Failed)?;
        let key = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| Unopened::Form)?;
        Ok(LineKey { key: LessSafeKey::new(key), start, used: 0 })
    }

    /// Makes a key for a new file, keeps it, and puts the file's first line into `file`, which is empty. Both are on disk then.
    pub(crate) fn begin(dir: &Path, keys: &Keys, file: &File) -> Result<LineKey, Closed> {
        let failed = |error| Closed::Io { place: dir.display().to_string(), error };
        let broken = |error| Closed::Changed { place: dir.display().to_string(), error };
        let (id, bytes) = (random().map_err(broken)?, random().map_err(broken)?);
        let id = to_hex(id.get(..ID).unwrap_or_default());
        let path = path(dir, &id);
        files::make_folder(&dir.join(FOLDER)).map_err(failed)?;
        keys::wrap(&path, keys, &id, bytes.as_slice())?;
        file.write_all_at(format!("{MARK}{id}\n").as_bytes(), 0).and_then(|()| file.sync_data()).map_err(failed)?;
        LineKey::new(bytes.as_slice()).map_err(broken)
    }

    /// The key of a file that is there.
    pub(crate) fn of(dir: &Path, keys: &Keys, file: &File) -> Result<LineKey, Closed> {
        let path = path(dir, &id(file).map_err(|error| Closed::Io { place: dir.display().to_string(), error })?);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let bytes = keys::unwrap(&path, keys, name)?;
        LineKey::new(&bytes).map_err(|error| Closed::Changed { place: path.display().to_string(), error })
    }

    /// Puts a line, with its newline, sealed into `out`. The line is used up.
    pub(crate) fn seal(&mut self, line: &mut Vec<u8>, out: &mut Vec<u8>) -> io::Result<()> {
        line.pop_if(|last| *last == b'\n');
        // It counts also where the line is not written in the end.
        let used = self.used.checked_add(1).ok_or_else(|| io::Error::other("the key of the file is used up"))?;
        let mut nonce = [0; NONCE_LEN];
        nonce.iter_mut().zip(self.start.iter().chain(&self.used.to_be_bytes())).for_each(|(to, from)| *to = *from);
        self.used = used;
        let nonced = Nonce::assume_unique_for_key(nonce);
        let sealed = self.key.seal_in_place_append_tag(nonced, Aad::empty(), line);
        sealed.map_err(|_| io::Error::other("it cannot be sealed"))?;
        out.clear();
        escape(&nonce, out);
        escape(line, out);
        out.push(b'\n');
        Ok(())
    }

    /// Puts the line that is sealed in `sealed`, without its newline, into `line`.
    pub(crate) fn open(&self, sealed: &[u8], line: &mut Vec<u8>) -> Result<(), Unopened> {
        line.clear();
        unescape(sealed, line).ok_or(Unopened::Form)?;
        let (nonce, content) = line.split_at_mut_checked(NONCE_LEN).ok_or(Unopened::Form)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unopened::Form)?;
        let length = self.key.open_in_place(nonce, Aad::empty(), content).map_err(|_| Unopened::Broken)?.len();
        line.copy_within(NONCE_LEN.., 0);
        line.truncate(length);
        Ok(())
    }
}

/// Copies bytes, with those that mean something to whoever looks for lines replaced.
fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some(at) = memchr2(b'\n', ESCAPE, rest) {
        let (plain, after) = rest.split_at(at);
        out.extend_from_slice(plain);
        out.extend_from_slice(&[ESCAPE, if after.first() == Some(&b'\n') { NEWLINE } else { ESCAPED }]);
        rest = after.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// Puts back what was replaced; nothing if that is not how it is written, of which there is one way.
fn unescape(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = bytes;
    while let Some(at) = memchr2(b'\n', ESCAPE, rest) {
        let (plain, after) = rest.split_at(at);
        out.extend_from_slice(plain);
        out.push(match after {
            [ESCAPE, ESCAPED, ..] => ESCAPE,
            [ESCAPE, NEWLINE, ..] => b'\n',
            _ => return None,
        });
        rest = after.get(2..)?;
    }
    out.extend_from_slice(rest);
    Some(())
}

/// What a sealed file is called in its first line.
fn id(file: &File) -> io::Result<String> {
    let unfit = || io::Error::new(io::ErrorKind::InvalidData, "the file does not begin as sealed ones do");
    let mut header = [0; HEADER as usize];
    file.read_exact_at(&mut header, 0).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => unfit(),
        _ => error,
    })?;
    let text = str::from_utf8(&header).ok().and_then(|text| text.strip_prefix(MARK)?.strip_suffix('\n'));
    let is_hex = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
    text.filter(is_hex).map(str::to_owned).ok_or_else(unfit)
}

fn path(dir: &Path, id: &str) -> PathBuf {
    dir.join(FOLDER).join(id)
}

/// What became of what is wrapped in a log.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Rewrapped {
    /// Keys that are wrapped with the newest master key now, and were with another one.
    pub anew: usize,
    /// Keys that stay as they are, as the master key that opens them is not there.
    pub left: usize,
}

/// Wraps the keys of all files of a log with the newest key, where another one that is there does so.
pub(crate) fn rewrap(dir: &Path, keys: &Keys) -> Result<Rewrapped, Closed> {
    let failed = |error| Closed::Io { place: dir.join(FOLDER).display().to_string(), error };
    let mut done = Rewrapped::default();
    let entries = match fs::read_dir(dir.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(done),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // What a step that stopped halfway left is no key.
        if name.len() != 2 * ID || keys::is_newest(&path, keys) {
            continue;
        }
        match keys::unwrap(&path, keys, name) {
            Ok(plain) => {
                keys::wrap(&path, keys, name, &plain)?;
                done.anew += 1;
            }
            // Whoever reads that file is told.
            Err(Closed::Key { .. }) => done.left += 1,
            Err(closed) => return Err(closed),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> LineKey {
        LineKey::new(&[7; 32]).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_has_no_newline(line in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut key = key();
            let (mut sealed, mut opened) = (Vec::new(), Vec::new());
            let line: Vec<u8> = line.into_iter().filter(|byte| *byte != b'\n').collect();
            key.seal(&mut [&*line, b"\n"].concat(), &mut sealed).unwrap();
            prop_assert_eq!(sealed.pop(), Some(b'\n'));
            prop_assert!(!sealed.contains(&b'\n'));
            key.open(&sealed, &mut opened).unwrap();
            prop_assert_eq!(&opened, &line);
            // There is one way to write it, and no byte of it may be another.
            for at in 0..sealed.len() {
                let mut other = sealed.clone();
                other[at] ^= 1;
                prop_assert!(key.open(&other, &mut opened).is_err(), "{}", at);
            }
        }

        #[test]
        fn whatever_is_read_is_refused_or_was_written(bytes in proptest::collection::vec(prop_oneof![Just(ESCAPE), Just(NEWLINE), Just(ESCAPED), any::<u8>()], 0..80)) {
            let mut out = Vec::new();
            if unescape(&bytes, &mut out).is_some() {
                let mut again = Vec::new();
                escape(&out, &mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }

    #[test]
    fn no_nonce_is_used_twice() {
        let (mut first, mut second) = (key(), key());
        let mut seen = std::collections::BTreeSet::new();
        for key in [&mut first, &mut second] {
            for _ in 0..1000 {
                let (mut out, mut plain) = (Vec::new(), Vec::new());
                key.seal(&mut b"the same\n".to_vec(), &mut out).unwrap();
                out.pop();
                unescape(&out, &mut plain).unwrap();
                assert!(seen.insert(plain[..NONCE_LEN].to_vec()));
            }
        }
        first.used = u32::MAX;
        assert!(first.seal(&mut b"x\n".to_vec(), &mut Vec::new()).is_err());
    }
}
