use std::path::{Path, PathBuf};

use bartizan_guard::Scope;
use bartizan_store::{Change, MasterKey, Store, api_keys};
use http::HeaderValue;

use super::*;

const NOW: Timestamp = Timestamp(1_000_000_000_000);
const HOUR: i64 = 3_600_000_000;

fn from() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

fn change() -> Change {
    Change { by: "uid:7".to_owned(), at: NOW.0 }
}

async fn made(store: &Store, scopes: &[&str], expires_at: i64) -> ApiKey {
    made_for("ann", store, scopes, expires_at).await
}

async fn made_for(name: &str, store: &Store, scopes: &[&str], expires_at: i64) -> ApiKey {
    let key = ApiKey::generate(getrandom::fill).unwrap();
    let row = api_keys::ApiKey {
        id: key.id().to_string(),
        digest: key.digest().to_bytes(),
        principal: name.to_owned(),
        roles: vec![],
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        note: String::new(),
        created_at: 0,
        expires_at,
        revoked_at: None,
        last_used_at: None,
        replaces: None,
    };
    store.add_api_key(&row, &change()).await.unwrap();
    key
}

fn asked<'a>(headers: &'a HeaderMap, certificate: Option<&'a Certificate>) -> Asked<'a> {
    Asked { headers, certificate, method: &Method::POST, public: "https://mcp.example", path: "/mcp", query: None }
}

async fn shows(identity: &Identity, values: &[&str], required: bool) -> Result<Caller, Stopped> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    }
    identity.authenticate(&asked(&headers, None), required, from(), NOW).await
}

fn place(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("state.db")
}

fn database(directory: &tempfile::TempDir) -> Arc<Database> {
    Database::new(Some(place(directory)), MasterKey::Beside)
}

async fn store(path: &Path) -> Store {
    Store::open(path).await.unwrap()
}

#[tokio::test]
async fn a_good_key_is_its_principal_and_every_other_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&place(&directory)).await;
    let identity = Identity::new(database(&directory));
    let (good, old) = (made(&store, &["server:files"], NOW.0 + 1).await, made(&store, &["mcp"], NOW.0).await);
    let unknown = ApiKey::generate(getrandom::fill).unwrap();
    let swapped = format!("btz_{}_{}", good.id(), unknown.expose().get(17..).unwrap());
    for required in [true, false] {
        let caller = shows(&identity, &[&format!("bearer  {}", good.expose())], required).await.unwrap();
        assert_eq!((&*caller.principal.id, caller.principal.scopes.to_string()), ("ann", "server:files".to_owned()));
        for wrong in [old.expose(), unknown.expose(), &swapped, "btz_", "btz_x", good.expose().get(..64).unwrap()] {
            let shown = shows(&Identity::new(database(&directory)), &[&format!("Bearer {wrong}")], required).await;
            assert_eq!(shown, Err(Stopped::Invalid), "{wrong} {required}");
        }
        let twice = format!("Bearer {}", good.expose());
        assert_eq!(shows(&identity, &[&twice, &twice], required).await, Err(Stopped::Invalid), "which one counts?");
    }
    assert_eq!(shows(&identity, &[], true).await, Err(Stopped::Missing));
    assert_eq!(shows(&identity, &[], false).await, Ok(anonymous()));
    let quoted = format!("Bearer \"{}\"", good.expose());
    let (tab, plain) = (format!("Bearer\t{}", good.expose()), good.expose());
    for wrong in
        [&[plain][..], &[&quoted], &[&tab], &[&format!("Token {plain}")], &["Basic YTpi", &format!("Bearer {plain}")]]
    {
        assert_eq!(shows(&Identity::new(database(&directory)), wrong, false).await, Err(Stopped::Invalid), "{wrong:?}");
    }
    for other in ["Basic YTpi", "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer", ""] {
        assert_eq!(shows(&identity, &[other], true).await, Err(Stopped::Invalid), "{other}");
        assert_eq!(shows(&identity, &[other], false).await, Ok(anonymous()), "{other}");
    }
}

#[tokio::test]
async fn what_another_process_writes_counts_from_the_moment_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Identity::new(database(&directory));
    let nobody = ApiKey::generate(getrandom::fill).unwrap();
    let shown = format!("Bearer {}", nobody.expose());
    assert_eq!(shows(&identity, &[&shown], false).await, Err(Stopped::Invalid));
    assert!(!place(&directory).exists(), "a stranger makes no database");
    let other = store(&place(&directory)).await;
    for round in 0..20 {
        let key = made(&other, &["mcp"], NOW.0 + HOUR).await;
        let shown = format!("Bearer {}", key.expose());
        let caller = shows(&identity, &[&shown], true).await.unwrap();
        let credential = caller.credential.unwrap();
        assert!(identity.is_good(&credential, NOW).await);
        assert!(!identity.is_good(&credential, Timestamp(NOW.0 + HOUR)).await, "it expires");
        other.revoke_api_key(key.id().as_str(), &change()).await.unwrap();
        assert!(
            matches!(shows(&identity, &[&shown], false).await, Err(Stopped::Invalid | Stopped::LockedOut(_))),
            "{round}"
        );
        assert!(!identity.is_good(&credential, NOW).await);
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_read_lets_nobody_in_who_shows_a_key() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&place(&directory)).await;
    let key = made(&store, &["mcp"], NOW.0 + HOUR).await;
    store.close().await;
    std::fs::write(place(&directory), "no database").unwrap();
    let identity = Identity::new(database(&directory));
    assert_eq!(shows(&identity, &[&format!("Bearer {}", key.expose())], false).await, Err(Stopped::Unavailable));
    assert_eq!(shows(&identity, &[], false).await, Ok(anonymous()));
    assert!(identity.open().await.is_err());
}

#[tokio::test]
async fn a_key_with_a_scope_of_a_later_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&place(&directory)).await;
    let key = made(&store, &["mcp", "planet:mars"], NOW.0 + HOUR).await;
    assert!(Scope::parse("planet:mars").is_err());
    let identity = Identity::new(database(&directory));
    assert_eq!(shows(&identity, &[&format!("Bearer {}", key.expose())], false).await, Err(Stopped::Invalid));
}

#[tokio::test]
async fn uses_are_written_once_a_minute() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&place(&directory)).await;
    let key = made(&store, &["mcp"], NOW.0 + HOUR).await;
    let identity = Identity::new(database(&directory));
    let shown = format!("Bearer {}", key.expose());
    for _ in 0..3 {
        shows(&identity, &[&shown], true).await.unwrap();
    }
    let revision = store.revision();
    let used = async {
        loop {
            if let Some(used) = store.api_keys().await.unwrap()[0].last_used_at {
                return used;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    assert_eq!(used.await, NOW.0 - NOW.0.rem_euclid(60_000_000));
    assert_eq!(store.revision(), revision, "which has nobody read the keys again");
}

#[tokio::test]
async fn whatever_becomes_of_the_files_nobody_comes_in_by_what_was_read_in_others() {
    let directory = tempfile::tempdir().unwrap();
    let first = store(&place(&directory)).await;
    let key = made(&first, &["mcp"], NOW.0 + HOUR).await;
    let shown = format!("Bearer {}", key.expose());
    let identity = Identity::new(database(&directory));
    shows(&identity, &[&shown], true).await.unwrap();
    // By another name, which is what `bartizan key` may have been given.
    let link = directory.path().join("link.db");
    std::os::unix::fs::symlink(place(&directory), &link).unwrap();
    let other = store(&link).await;
    let second = made(&other, &["mcp"], NOW.0 + HOUR).await;
    let second = format!("Bearer {}", second.expose());
    shows(&identity, &[&second], true).await.unwrap();
    other.revoke_api_key(key.id().as_str(), &change()).await.unwrap();
    assert_eq!(shows(&identity, &[&shown], true).await, Err(Stopped::Invalid));
    // Moved away and made anew: nothing of the old one counts.
    for name in ["state.db", "state.db-wal", "state.db-shm", "state.db.rev"] {
        std::fs::rename(directory.path().join(name), directory.path().join(format!("old-{name}"))).ok();
    }
    let third = made(&store(&place(&directory)).await, &["mcp"], NOW.0 + HOUR).await;
    assert!(shows(&identity, &[&second], true).await.is_err());
    shows(&identity, &[&format!("Bearer {}", third.expose())], true).await.unwrap();
    // Only the number was moved.
    let again = store(&place(&directory)).await;
    std::fs::rename(directory.path().join("state.db.rev"), directory.path().join("elsewhere")).unwrap();
    store(&place(&directory)).await.revoke_api_key(third.id().as_str(), &change()).await.unwrap();
    assert_eq!(again.revision(), None);
    assert!(shows(&identity, &[&format!("Bearer {}", third.expose())], true).await.is_err());
}

#[tokio::test]
async fn a_certificate_is_its_name_and_with_a_key_only_if_that_is_of_the_same_principal() {
    let directory = tempfile::tempdir().unwrap();
    let (identity, store) = (Identity::new(database(&directory)), store(&place(&directory)).await);
    let key = made(&store, &["server:files"], NOW.0 + HOUR).await;
    let certificate = |name: &str, until| Certificate { name: Some(name.to_owned()), until };
    let (ann, over) = (certificate("ann", NOW.0 + 2), certificate("ann", NOW.0));
    let nameless = Certificate { name: None, until: NOW.0 + 2 };
    let asks = async |certificate: &Certificate, shown: &str, required| {
        let mut headers = HeaderMap::new();
        if !shown.is_empty() {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(shown).unwrap());
        }
        let asked = asked(&headers, Some(certificate));
        identity
            .authenticate(&asked, required, from(), NOW)
            .await
            .map(|caller| (caller.principal.id.to_string(), caller))
    };
    let bearer = format!("Bearer {}", key.expose());
    for required in [true, false] {
        let (id, caller) = asks(&ann, "", required).await.unwrap();
        assert_eq!((&*id, caller.principal.scopes.are_all()), ("cert:ann", true));
        let credential = caller.credential.unwrap();
        assert!(identity.is_good(&credential, NOW).await);
        assert!(!identity.is_good(&credential, Timestamp(NOW.0 + 2)).await, "an open stream ends with it");
        for wrong in [&over, &nameless] {
            assert_eq!(asks(wrong, "", required).await.unwrap_err(), Stopped::Certificate);
            assert_eq!(asks(wrong, &bearer, required).await.unwrap_err(), Stopped::Certificate);
        }
        // The key is of `ann`, which no certificate can say.
        assert_eq!(asks(&ann, &bearer, required).await.unwrap_err(), Stopped::Certificate);
        assert_eq!(asks(&ann, "Bearer btz_none", required).await.unwrap_err(), Stopped::Invalid);
        let other = asks(&ann, "Bearer of-somebody-else", required).await;
        assert_eq!(other.map(|(id, _)| id), if required { Err(Stopped::Invalid) } else { Ok("cert:ann".to_owned()) });
    }
    let key = |id: &str| Caller {
        principal: Principal {
            scopes: bartizan_guard::Scopes::of([Scope::parse("server:files").unwrap()]),
            ..Principal::new(id)
        },
        credential: Some(Credential { key: Some(key.id().clone()), until: None, token: None }),
    };
    let same = both(key("cert:ann"), Some(proven(&ann, NOW).unwrap())).unwrap();
    assert!(!same.principal.scopes.are_all(), "no more than the key is good for");
    let credential = same.credential.unwrap();
    assert!(identity.is_good(&credential, NOW).await && !identity.is_good(&credential, Timestamp(NOW.0 + 2)).await);
}

#[tokio::test]
async fn a_name_in_another_case_is_known_as_that() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&place(&directory)).await;
    let identity = Identity::new(database(&directory));
    made(&store, &["mcp"], NOW.0 + HOUR).await;
    made_for("corp:bea", &store, &["mcp"], NOW.0 + HOUR).await;
    let person = bartizan_store::people::Person::new("Carl", [1; 32], 1);
    store.add_person(&person, &bartizan_store::people::Given::default(), &change()).await.unwrap();
    for (name, other) in [
        ("ann", None),
        ("Ann", Some("ann")),
        ("carl", Some("Carl")),
        ("Carl", None),
        ("corp:Bea", None),
        ("corp:Ann", None),
        ("dora", None),
    ] {
        let caller = Caller { principal: Principal::new(name), credential: None };
        let good = if other.is_none() { Ok(()) } else { Err(Stopped::Token(oauth::PRINCIPAL)) };
        assert_eq!(identity.check_spelling(&caller).await, good, "{name}");
        assert_eq!(identity.keys.other_spelling(name).await, Ok(other.map(str::to_owned)), "{name}");
    }
}
