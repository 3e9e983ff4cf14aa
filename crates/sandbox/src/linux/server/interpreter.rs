//! What a program is run by, so that a trial without the program tells what the system would miss.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Headers of a program that are looked at: more than any linker writes.
const HEADERS: u16 = 64;
/// The header that names the loader.
const INTERPRETER: u32 = 3;

/// The system's error if what the program names to be run by is not there; none also where that cannot be told.
pub(super) fn missing(program: &Path) -> Option<i32> {
    let named = named(program)?;
    let found = std::fs::metadata(named);
    found.err().and_then(|error| Errno::from_io_error(&error)).map(Errno::raw_os_error)
}

/// What the first line of a script names, or the loader that a binary names.
fn named(program: &Path) -> Option<PathBuf> {
    let mut file = File::open(program).ok()?;
    let mut head = Vec::new();
    file.by_ref().take(256).read_to_end(&mut head).ok()?;
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next()?.trim_ascii();
        let word = line.split(|byte| byte.is_ascii_whitespace()).next().filter(|word| !word.is_empty())?;
        return Some(Path::new(std::ffi::OsStr::from_bytes(word)).to_owned());
    }
    // Of 64 bits and the order of bytes that all machines have on which this is built; others are told by the system.
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let at = u64::from_le_bytes(*head.get(32..)?.first_chunk()?);
    let size = u16::from_le_bytes(*head.get(54..)?.first_chunk()?);
    let count = u16::from_le_bytes(*head.get(56..)?.first_chunk()?).min(HEADERS);
    for index in 0..count {
        let header = part(&mut file, at.checked_add(u64::from(index) * u64::from(size))?, 56)?;
        if u32::from_le_bytes(*header.first_chunk()?) == INTERPRETER {
            let offset = u64::from_le_bytes(*header.get(8..)?.first_chunk()?);
            let length = u64::from_le_bytes(*header.get(32..)?.first_chunk()?).min(4096);
            let path = part(&mut file, offset, length)?;
            let path = path.split(|byte| *byte == 0).next().filter(|path| !path.is_empty())?;
            return Some(Path::new(std::ffi::OsStr::from_bytes(path)).to_owned());
        }
    }
    None
}

fn part(file: &mut File, at: u64, length: u64) -> Option<Vec<u8>> {
    file.seek(SeekFrom::Start(at)).ok()?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_is_run_by_is_read_from_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("program");
        for (content, expected) in [
            (&b"#!/bin/sh -e\necho"[..], Some("/bin/sh")),
            (b"#! /usr/bin/env\tnode\n", Some("/usr/bin/env")),
            (b"#!\n", None),
            (b"plain text", None),
            (b"", None),
            (b"\x7fELF\x02\x01", None),
            (&[b"\x7fELF\x02\x01".as_slice(), &[0xff; 200]].concat(), None),
        ] {
            std::fs::write(&file, content).unwrap();
            assert_eq!(named(&file).as_deref(), expected.map(Path::new), "{content:?}");
        }
        std::fs::write(&file, "#!/nowhere/at/all\n").unwrap();
        assert_eq!(missing(&file), Some(Errno::NOENT.raw_os_error()));
        // Of a real binary it is the loader, which is there.
        let own = std::env::current_exe().unwrap();
        assert_eq!(missing(&own), None);
        if cfg!(target_env = "gnu") {
            assert!(named(&own).unwrap().to_str().unwrap().contains("ld-"), "{:?}", named(&own));
        }
    }
}
