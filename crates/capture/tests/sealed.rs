//! What is written is what is read, and everything else is noticed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bartizan_capture::{Bounds, End, Fault, FileId, Next, Reader, WriteError, Writer, all_in, prepare};
use proptest::prelude::*;
use zeroize::Zeroizing;

const BOUNDS: Bounds = Bounds { file_bytes: 4096, bytes: 16384, keep: 8_000 };

/// Stands for a key that is elsewhere: it wraps for one file alone.
fn wrap(id: FileId, key: &[u8; 32]) -> Result<Vec<u8>, String> {
    Ok([key.map(|byte| byte ^ 0x5a).as_slice(), id.to_string().as_bytes()].concat())
}

fn unwrap(id: FileId, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    let (key, of) = wrapped.split_at_checked(32).ok_or("too short")?;
    if of != id.to_string().as_bytes() {
        return Err("of another file".to_owned());
    }
    Ok(Zeroizing::new(key.iter().map(|byte| byte ^ 0x5a).collect()))
}

fn writer(directory: &Path, bounds: Bounds) -> Writer {
    Writer::new(prepare(directory).unwrap(), bounds, wrap)
}

type Unwrap = fn(FileId, &[u8]) -> Result<Zeroizing<Vec<u8>>, String>;
type Read = (Vec<Vec<u8>>, u64, Result<End, Fault>);

fn read(bytes: &[u8]) -> Read {
    let mut reader = match Reader::new(Cursor::new(bytes), unwrap) {
        Ok(reader) => reader,
        Err(fault) => return (Vec::new(), 0, Err(fault)),
    };
    let (mut records, mut missing) = (Vec::new(), 0);
    loop {
        match reader.next() {
            Ok(Next::Record(content)) => records.push(content.to_vec()),
            Ok(Next::Gap(more)) => missing += more,
            Ok(Next::End(end)) => {
                assert!(matches!(reader.next(), Ok(Next::End(again)) if again == end));
                return (records, missing, Ok(end));
            }
            Err(fault) => {
                assert!(matches!(reader.next(), Ok(Next::End(_))), "nothing counts behind a fault");
                return (records, missing, Err(fault));
            }
        }
    }
}

/// A closed file with these records, and where each of them begins and the last ends.
fn written(directory: &Path, records: &[&[u8]]) -> (PathBuf, Vec<u8>, Vec<usize>) {
    let mut writer = writer(directory, BOUNDS);
    let before = all_in(directory).unwrap();
    let mut places = Vec::new();
    for record in records {
        writer.append(1_000, record).unwrap();
        let path = all_in(directory).unwrap().into_iter().find(|path| !before.contains(path)).unwrap();
        places.push(fs::metadata(path).unwrap().len() as usize);
    }
    writer.close().unwrap();
    let path = all_in(directory).unwrap().into_iter().find(|path| !before.contains(path)).unwrap();
    let head = places[0] - (records[0].len() + 21);
    places.insert(0, head);
    let bytes = fs::read(&path).unwrap();
    (path, bytes, places)
}

#[test]
fn what_is_written_is_read_and_is_not_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let records: [&[u8]; 3] = [b"the password is hunter2", b"", &[0; 2000]];
    let (path, bytes, _) = written(directory.path(), &records);
    let (found, missing, end) = read(&bytes);
    assert_eq!(found, records);
    assert_eq!((missing, end.unwrap()), (0, End::Closed));
    assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
    assert!(!bytes.windows(32).any(|window| window == [0; 32]));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let reader = Reader::open(&path, unwrap).unwrap();
    assert!(path.to_str().unwrap().contains(&reader.id().to_string()));
    assert_eq!(reader.created(), 1_000);
}

#[test]
fn a_gap_stands_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(directory.path(), BOUNDS);
    writer.append(1, b"a").unwrap();
    writer.gap(1, 17).unwrap();
    writer.append(1, b"b").unwrap();
    drop(writer);
    let bytes = fs::read(&all_in(directory.path()).unwrap()[0]).unwrap();
    let (found, missing, end) = read(&bytes);
    assert_eq!((found, missing), (vec![b"a".to_vec(), b"b".to_vec()], 17));
    assert_eq!(end.unwrap(), End::Open, "nobody closed it");
}

#[test]
fn every_changed_byte_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (_, bytes, places) = written(directory.path(), &[b"one", b"two", b"three"]);
    for at in 0..bytes.len() {
        for bit in [0x01, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= bit;
            let (found, missing, end) = read(&changed);
            // A length that promises more than there is looks like a record that was being written.
            let whole = places.iter().filter(|&&place| place <= at).count().saturating_sub(1);
            assert!(found.len() <= whole.min(3), "byte {at}");
            assert!(found.iter().zip([&b"one"[..], b"two", b"three"]).all(|(found, said)| found == said));
            assert_eq!(missing, 0);
            assert!(!matches!(end, Ok(End::Closed)), "byte {at}: {end:?}");
        }
    }
}

#[test]
fn what_is_moved_doubled_or_left_out_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (_, bytes, places) = written(directory.path(), &[b"one", b"two", b"six"]);
    let (_, other, _) = written(directory.path(), &[b"one", b"two", b"six"]);
    let head = &bytes[..places[0]];
    let part = |number: usize| &bytes[places[number]..places[number + 1]];
    let last = &bytes[places[3]..];
    for (name, parts, expected) in [
        ("as it was", vec![part(0), part(1), part(2), last], None),
        ("in another order", vec![part(1), part(0), part(2), last], Some(0)),
        ("one is doubled", vec![part(0), part(0), part(1), part(2), last], Some(1)),
        ("one is left out", vec![part(0), part(2), last], Some(1)),
        ("the first is left out", vec![part(1), part(2), last], Some(0)),
        ("the end comes early", vec![part(0), last], Some(1)),
        ("one is of another file", vec![part(0), &other[places[1]..places[2]], part(2), last], Some(1)),
    ] {
        let (_, _, end) = read(&[&[head], parts.as_slice()].concat().concat());
        match (end, expected) {
            (Ok(end), None) => assert_eq!(end, End::Closed, "{name}"),
            (Err(Fault::Broken(at)), Some(expected)) => assert_eq!(at, expected, "{name}"),
            (end, _) => panic!("{name}: {end:?}"),
        }
    }
    let (found, _, end) = read(&[&bytes, part(0)].concat());
    assert_eq!(found.len(), 3);
    assert!(matches!(end, Err(Fault::AfterEnd)));
    // The records of one file under the head of the other.
    let (_, _, end) = read(&[&other[..places[0]], &bytes[places[0]..]].concat());
    assert!(matches!(end, Err(Fault::Broken(0))), "{end:?}");
}

#[test]
fn a_file_that_is_cut_is_read_up_to_there_and_said_to_be() {
    let directory = tempfile::tempdir().unwrap();
    let (_, bytes, places) = written(directory.path(), &[b"one", b"two", b"three"]);
    for length in 0..bytes.len() {
        let (found, _, end) = read(&bytes[..length]);
        let whole = places.iter().skip(1).filter(|&&place| place <= length).count();
        assert_eq!(found.len(), whole, "{length}");
        match end {
            Ok(End::Open) => assert!(places.contains(&length), "{length}"),
            Ok(End::Torn(left)) => {
                let from = places.iter().rfind(|&&place| place <= length).unwrap();
                assert_eq!(left as usize, length - from, "{length}");
            }
            Err(Fault::Unbegun) => assert!(length < places[0], "{length}"),
            end => panic!("{length}: {end:?}"),
        }
    }
}

#[test]
fn another_key_opens_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (_, bytes, _) = written(directory.path(), &[b"one"]);
    let open = |unwrap: Unwrap| Reader::new(Cursor::new(&bytes), unwrap).and_then(|mut reader| reader.next());
    assert!(matches!(open(|_, _| Err("it is not there".to_owned())), Err(Fault::Key(why)) if why == "it is not there"));
    assert!(matches!(open(|_, _| Ok(Zeroizing::new(vec![1; 32]))), Err(Fault::Broken(0))));
    assert!(matches!(open(|_, _| Ok(Zeroizing::new(vec![1; 31]))), Err(Fault::Key(_))));
    assert!(matches!(open(unwrap), Ok(Next::Record(_))));
}

#[test]
fn what_is_no_capture_or_of_another_version_is_told_apart() {
    for (bytes, expected) in [
        (&b""[..], Fault::Unbegun),
        (b"bartizan", Fault::Unbegun),
        (b"bartizan-capture-1\n", Fault::Unbegun),
        (b"hello", Fault::Other),
        (b"bartizan-capture-2\nwhatever this is, it is long enough to be a head", Fault::Form),
        (b"bartizan-capture-2", Fault::Form),
    ] {
        assert_eq!(read(bytes).2.unwrap_err().to_string(), expected.to_string());
    }
}

#[test]
fn files_are_closed_when_they_are_full_and_removed_when_they_are_old_or_too_many() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(directory.path(), BOUNDS);
    for number in 0..100_u8 {
        writer.append(1_000, &[number; 1000]).unwrap();
    }
    let total: u64 = all_in(directory.path()).unwrap().iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(total <= BOUNDS.bytes, "{total}");
    let files = all_in(directory.path()).unwrap();
    assert_eq!(files.len(), 4);
    for path in &files {
        assert!(fs::metadata(path).unwrap().len() <= BOUNDS.file_bytes + 200, "a head and an end more");
    }
    let read = |path: &PathBuf| read(&fs::read(path).unwrap());
    assert_eq!(files.iter().filter(|path| read(path).2.unwrap() == End::Closed).count(), 3);
    // A record in time has a file of its own, long before the others are too old.
    writer.append(2_500, b"later").unwrap();
    let removed = writer.sweep(9_001).unwrap();
    assert!(removed.old >= 3, "{removed:?}");
    let left = all_in(directory.path()).unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(read(&left[0]).0, [b"later"]);
    assert_eq!(writer.sweep(10_501).unwrap().old, 1);
    assert!(all_in(directory.path()).unwrap().is_empty());
    // What is not of a capture is left alone.
    fs::write(directory.path().join("notes"), "mine").unwrap();
    writer.sweep(1_000_000).unwrap();
    assert!(directory.path().join("notes").exists());
}

#[test]
fn no_file_is_begun_where_others_may_put_theirs_by_then() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = tempfile::tempdir().unwrap();
    let (directory, elsewhere) = (place.path().join("captured"), place.path().join("elsewhere"));
    let bounds = Bounds { file_bytes: 1 << 20, bytes: 1 << 21, keep: 80 };
    let mut writer = writer(&directory, bounds);
    let mode = |mode| fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
    writer.append(1, b"before").unwrap();
    mode(0o770);
    writer.append(2, b"in the same file").unwrap();
    writer.close().unwrap();
    assert!(matches!(writer.append(20, b"in another one"), Err(WriteError::Unfit(_))));
    assert_eq!(all_in(&directory).unwrap().len(), 1);
    mode(0o700);
    writer.append(30, b"as it was").unwrap();
    writer.close().unwrap();
    assert_eq!(all_in(&directory).unwrap().len(), 2);
    fs::rename(&directory, &elsewhere).unwrap();
    symlink(&elsewhere, &directory).unwrap();
    assert!(matches!(writer.append(40, b"elsewhere"), Err(WriteError::Unfit(_))));
    assert_eq!(all_in(&elsewhere).unwrap().len(), 2);
    // A link that the operator made before is followed once.
    let mut linked = self::writer(&directory, bounds);
    linked.append(40, b"elsewhere").unwrap();
    assert_eq!(all_in(&elsewhere).unwrap().len(), 3);
}

#[test]
fn what_cannot_be_written_leaves_the_rest_readable() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(directory.path(), BOUNDS);
    writer.append(1, b"one").unwrap();
    assert!(matches!(writer.append(1, &[0; 5000]), Err(WriteError::TooLong(5000))));
    writer.append(1, b"two").unwrap();
    let path = all_in(directory.path()).unwrap().remove(0);
    // Whoever removes the file has the next record in another one.
    fs::remove_file(&path).unwrap();
    writer.append(1, b"three").unwrap();
    let files = all_in(directory.path()).unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(read(&fs::read(&files[0]).unwrap()).0, [b"three"]);
    let mut keyless = Writer::new(prepare(directory.path()).unwrap(), BOUNDS, |_, _| Err("no key".to_owned()));
    assert!(matches!(keyless.append(1, b"x"), Err(WriteError::Key(why)) if why == "no key"));
    assert_eq!(all_in(directory.path()).unwrap(), files, "no empty file is left");
}

proptest! {
    #[test]
    fn whatever_is_written_is_read(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..12)) {
        let directory = tempfile::tempdir().unwrap();
        let held: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let (_, bytes, _) = written(directory.path(), &held);
        let (found, missing, end) = read(&bytes);
        prop_assert_eq!(found, records);
        prop_assert_eq!((missing, end.unwrap()), (0, End::Closed));
    }

    #[test]
    fn no_bytes_have_a_reader_panic(before in 0_usize..200, noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let directory = tempfile::tempdir().unwrap();
        let (_, bytes, _) = written(directory.path(), &[b"one", b"two"]);
        let (found, _, _) = read(&[&bytes[..before.min(bytes.len())], &noise[..]].concat());
        prop_assert!(found.len() <= 2);
    }
}
