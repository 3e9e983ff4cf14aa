//! What is sealed in a store, and what becomes of its keys.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use bartizan_store::{MasterKey, PURPOSES, Store};
use zeroize::Zeroizing;

/// A store with something sealed, closed again, and that.
async fn sealed() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let store = Store::open(&path).await.unwrap();
    let content = store.sealer().await.unwrap().seal("token", "ann", b"secret").unwrap();
    store.close().await;
    (directory, path, content)
}

/// What an opening of the store makes of it.
async fn unseal(store: &Store, content: &[u8]) -> Result<String, String> {
    let sealer = store.sealer().await.map_err(|error| error.to_string())?;
    let plain = sealer.unseal("token", "ann", content).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(plain.to_vec()).unwrap())
}

async fn unseal_at(path: &Path, content: &[u8]) -> Result<String, String> {
    unseal(&Store::open(path).await.unwrap(), content).await
}

fn given(text: &str) -> MasterKey {
    MasterKey::Given(Zeroizing::new(text.to_owned()))
}

fn key_of(path: &Path) -> PathBuf {
    path.with_extension("key")
}

#[tokio::test]
async fn what_is_sealed_opens_again_for_whom_it_is_and_for_what() {
    let (_directory, path, content) = sealed().await;
    assert_eq!(unseal_at(&path, &content).await, Ok("secret".to_owned()));
    assert_eq!(fs::metadata(key_of(&path)).unwrap().permissions().mode() & 0o777, 0o600);
    let store = Store::open(&path).await.unwrap();
    let sealer = store.sealer().await.unwrap();
    for (purpose, owner) in [("token", "bob"), ("totp", "ann"), ("token", ""), ("toke", "nann"), ("tokena", "nn")] {
        assert!(sealer.unseal(purpose, owner, &content).is_err(), "{purpose} {owner}");
    }
    for at in 0..content.len() {
        let mut changed = content.clone();
        changed[at] ^= 1;
        assert!(sealer.unseal("token", "ann", &changed).is_err(), "byte {at}");
        assert!(sealer.unseal("token", "ann", &content[..at]).is_err(), "{at} bytes");
    }
    assert_ne!(sealer.seal("token", "ann", b"secret").unwrap(), content, "each time otherwise");
    assert!(sealer.seal("nonsense", "ann", b"x").unwrap_err().to_string().contains("nonsense"));
    for purpose in PURPOSES {
        let sealed = sealer.seal(purpose, "", b"").unwrap();
        assert!(sealer.unseal(purpose, "", &sealed).unwrap().is_empty(), "{purpose}");
    }
}

#[tokio::test]
async fn nothing_opens_and_nothing_is_made_without_the_right_master_key() {
    let (_other, other, _) = sealed().await;
    let other = fs::read(key_of(&other)).unwrap();
    type Spoil<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, Spoil<'_>); 8] = [
        ("not there", &|key| fs::remove_file(key).unwrap()),
        ("sealed with", &|key| fs::write(key, &other).unwrap()),
        ("others than its owner", &|key| fs::set_permissions(key, Permissions::from_mode(0o640)).unwrap()),
        ("is empty", &|key| fs::write(key, "").unwrap()),
        ("line 1 holds no master key", &|key| fs::write(key, &fs::read(key).unwrap()[..60]).unwrap()),
        ("line 1 holds no master key", &|key| fs::write(key, "0".repeat(64)).unwrap()),
        ("state.key", &|key| {
            fs::rename(key, key.with_extension("moved")).unwrap();
            symlink(key.with_extension("moved"), key).unwrap();
        }),
        ("regular file", &|key| {
            fs::remove_file(key).unwrap();
            rustix::fs::mknodat(rustix::fs::CWD, key, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        }),
    ];
    for (why, spoil) in cases {
        let (_directory, path, content) = sealed().await;
        let key = key_of(&path);
        let whole = fs::read(&key).unwrap();
        spoil(&key);
        let keys = || {
            fs::read_dir(path.parent().unwrap())
                .unwrap()
                .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        };
        let keys = || keys().filter(|name| name.contains("key")).count();
        let state = || (fs::symlink_metadata(&key).ok().map(|meta| meta.len()), keys());
        let before = state();
        let error = unseal_at(&path, &content).await.unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
        assert_eq!(state(), before, "{why}: nothing was made or changed");
        // With the right one all is as it was.
        fs::remove_file(&key).ok();
        fs::write(&key, whole).unwrap();
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(unseal_at(&path, &content).await, Ok("secret".to_owned()), "{why}");
    }
}

#[tokio::test]
async fn a_master_key_may_come_from_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let open = async |key: &str| Store::open_with(&path, given(key)).await.unwrap();
    let (right, wrong) = ("a1".repeat(32), "a2".repeat(32));
    let content = open(&right).await.sealer().await.unwrap().seal("token", "ann", b"secret").unwrap();
    assert_eq!(unseal(&open(&format!("{right}\n")).await, &content).await, Ok("secret".to_owned()));
    assert!(!key_of(&path).exists());
    for (key, why) in [(&*wrong, "sealed with"), ("a1", "64 hexadecimal digits"), ("", "64 hexadecimal digits")] {
        let error = unseal(&open(key).await, &content).await.unwrap_err();
        assert!(error.contains(why) && !error.contains("a2a2"), "{error}");
    }
    // A file is not made either for what was sealed with another key.
    let error = unseal_at(&path, &content).await.unwrap_err();
    assert!(error.contains("not there") && !key_of(&path).exists(), "{error}");
}

#[tokio::test]
async fn whoever_only_reads_opens_what_is_sealed_and_makes_no_keys() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let empty = Store::open(&path).await.unwrap();
    let before = empty.revision();
    let error = empty.opener().await.unwrap_err().to_string();
    assert!(error.contains("nothing has been sealed in this store yet"), "{error}");
    assert!(!key_of(&path).exists() && empty.revision() == before);
    let (_directory, path, content) = sealed().await;
    let store = Store::open(&path).await.unwrap();
    assert_eq!(**store.opener().await.unwrap().unseal("token", "ann", &content).unwrap(), *b"secret");
    fs::remove_file(key_of(&path)).unwrap();
    let error = Store::open(&path).await.unwrap().opener().await.unwrap_err().to_string();
    assert!(error.contains("not there") && !key_of(&path).exists(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_need_it_first_one_makes_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let all: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move {
                let store = Store::open(&path).await.unwrap();
                store.sealer().await.unwrap().seal("token", "ann", b"secret").unwrap()
            })
        })
        .collect();
    for one in all {
        let content = one.await.unwrap();
        assert_eq!(unseal_at(&path, &content).await, Ok("secret".to_owned()));
    }
}

#[tokio::test]
async fn databases_beside_each_other_have_keys_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    for (name, key) in
        [("a.db", "a.key"), ("a.sqlite", "a.sqlite.key"), ("a.key.db", "a.key.key"), ("b.key", "b.key.key")]
    {
        let store = Store::open(&directory.path().join(name)).await.unwrap();
        store.sealer().await.unwrap();
        assert!(directory.path().join(key).exists(), "{name}");
    }
}

#[tokio::test]
async fn a_sealer_is_kept_while_nothing_changes_and_needs_no_master_key_then() {
    let (_directory, path, content) = sealed().await;
    let store = Store::open(&path).await.unwrap();
    let first = store.sealer().await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &store.sealer().await.unwrap()));
    fs::remove_file(key_of(&path)).unwrap();
    assert_eq!(unseal(&store, &content).await, Ok("secret".to_owned()));
}

#[tokio::test]
async fn without_a_keyring_nothing_is_sealed_and_no_key_is_made_elsewhere() {
    // With the feature it would be that of whoever runs this; `tests/keyring` has one of its own.
    if bartizan_keyring::IS_BUILT {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let name = bartizan_keyring::Name::parse("gateway").unwrap();
    let store = Store::open_with(&path, MasterKey::of(None, Some(&name))).await.unwrap();
    let error = store.sealer().await.unwrap_err().to_string();
    assert!(error.contains("`gateway` in the keyring") && error.contains("without the feature"), "{error}");
    assert!(!path.with_extension("key").exists());
    store.close().await;
    // The same store with a key that is given: nothing of the above is left in it.
    let store = Store::open_with(&path, given(&"ab".repeat(32))).await.unwrap();
    assert!(store.sealer().await.is_ok());
}
