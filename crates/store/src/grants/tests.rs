use crate::StoreError;
use serde_json::Value;

use super::*;
use crate::people::{Given, Person};
use crate::{Change, Event};

const END: i64 = 1_000_000;

fn at(at: i64) -> Change {
    Change { by: "ann".to_owned(), at }
}

fn code(number: u8) -> Code {
    Code {
        digest: [number; 32],
        terms: Terms {
            person: "ann".to_owned(),
            client: "https://app.example/c".to_owned(),
            client_name: "App".to_owned(),
            resource: "https://mcp.example/mcp".to_owned(),
            scopes: vec!["server:a".to_owned(), "server:b".to_owned()],
            proof_key: None,
            signed_in_at: 50,
            methods: vec!["pwd".to_owned(), "otp".to_owned()],
        },
        redirect_uri: "http://127.0.0.1:5000/cb".to_owned(),
        registered_uri: "http://127.0.0.1/cb".to_owned(),
        challenge: [9; 32],
        refreshes: true,
        created_at: 100,
        expires_at: 160,
    }
}

fn new(number: u8) -> NewGrant {
    NewGrant { id: format!("g{number:03}"), refresh: [number; 32], expires_at: END }
}

fn yes(_: &mut Code) -> std::result::Result<(), &'static str> {
    Ok(())
}

fn fine(_: &Grant) -> std::result::Result<(), &'static str> {
    Ok(())
}

async fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("own/state.db")).await.unwrap();
    let ann = Person { generation: 0, ..Person::new("ann", [7; 32], 1) };
    store.add_person(&ann, &Given::default(), &at(1)).await.unwrap();
    (directory, store)
}

/// A grant that ann agreed to and the client came for.
async fn given(store: &Store, number: u8) -> Box<Grant> {
    store.agree(&code(number), 0, &at(100)).await.unwrap();
    let redeemed = store.redeem_code(&[number; 32], &new(number), yes, &at(110)).await.unwrap();
    let Redeemed::Granted(grant, true) = redeemed else { panic!("{redeemed:?}") };
    grant
}

async fn live(store: &Store, now: i64) -> Vec<String> {
    store.live_grants(now).await.unwrap().into_iter().map(|grant| grant.id).collect()
}

/// What was noted for the log: what, and of which grant.
async fn noted(store: &Store) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let record = async |events: &[Event]| {
        all.extend(events.iter().map(|event| (event.kind.clone(), event.fields.clone())));
        Ok::<_, ()>(())
    };
    store.record_events(record).await.unwrap().unwrap();
    all
}

#[tokio::test]
async fn a_code_is_good_once_and_a_second_time_it_ends_what_it_gave() {
    let (_directory, store) = store().await;
    let grant = given(&store, 1).await;
    assert_eq!((grant.terms.clone(), grant.expires_at), (code(1).terms, END));
    assert_eq!(live(&store, 200).await, ["g001"]);
    let again = store.redeem_code(&[1; 32], &new(2), yes, &at(120)).await.unwrap();
    assert!(matches!(&again, Redeemed::Replayed(Some(ended)) if ended == "g001"), "{again:?}");
    assert!(live(&store, 200).await.is_empty());
    let third = store.redeem_code(&[1; 32], &new(3), yes, &at(130)).await.unwrap();
    assert!(matches!(third, Redeemed::Replayed(None)), "{third:?}");
    let ended = store.refresh(&[1; 32], &[11; 32], fine, &at(140)).await.unwrap();
    assert!(matches!(ended, Refreshed::Unknown), "{ended:?}");
    let kinds: Vec<_> = noted(&store).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["person.added", "consent.given", "grant.given", "grant.ended"]);
}

#[tokio::test]
async fn a_code_gives_nothing_to_others_or_late_or_once_what_it_rests_on_is_gone() {
    let (_directory, store) = store().await;
    let unknown = store.redeem_code(&[1; 32], &new(1), yes, &at(110)).await.unwrap();
    assert!(matches!(unknown, Redeemed::Unknown));
    // Who shows it wrongly has used it up.
    store.agree(&code(1), 0, &at(100)).await.unwrap();
    let no = |_: &mut Code| Err("no");
    assert!(matches!(store.redeem_code(&[1; 32], &new(1), no, &at(110)).await.unwrap(), Redeemed::Refused("no")));
    let after = store.redeem_code(&[1; 32], &new(1), yes, &at(110)).await.unwrap();
    assert!(matches!(after, Redeemed::Replayed(None)), "{after:?}");
    // Late.
    store.agree(&code(2), 0, &at(100)).await.unwrap();
    assert!(matches!(store.redeem_code(&[2; 32], &new(2), yes, &at(160)).await.unwrap(), Redeemed::Unknown));
    // Without consent, or with one to less.
    let mut other = code(3);
    other.terms.resource = "https://mcp.example/mcp/git".to_owned();
    store.add_code(&other, 0).await.unwrap();
    assert!(matches!(store.redeem_code(&[3; 32], &new(3), yes, &at(110)).await.unwrap(), Redeemed::Unknown));
    let mut more = code(4);
    more.terms.scopes.push("server:c".to_owned());
    store.add_code(&more, 0).await.unwrap();
    assert!(matches!(store.redeem_code(&[4; 32], &new(4), yes, &at(110)).await.unwrap(), Redeemed::Unknown));
    // What was agreed to before is enough.
    store.add_code(&code(5), 0).await.unwrap();
    assert!(matches!(store.redeem_code(&[5; 32], &new(5), yes, &at(110)).await.unwrap(), Redeemed::Granted(..)));
    // A person who may not sign in any more.
    store.agree(&code(6), 0, &at(100)).await.unwrap();
    store.set_person_disabled("ann", true, &at(105)).await.unwrap();
    assert!(matches!(store.redeem_code(&[6; 32], &new(6), yes, &at(110)).await.unwrap(), Redeemed::Unknown));
}

#[tokio::test]
async fn consents_add_up_for_each_client_address_and_resource() {
    let (_directory, store) = store().await;
    let consented = async || {
        let terms = code(1).terms;
        store.consented("ann", &terms.client, "http://127.0.0.1/cb", &terms.resource).await.unwrap()
    };
    assert!(consented().await.is_empty());
    store.agree(&code(1), 0, &at(100)).await.unwrap();
    let mut more = code(2);
    more.terms.scopes = vec!["server:c".to_owned()];
    store.agree(&more, 0, &at(100)).await.unwrap();
    assert_eq!(consented().await, ["server:a", "server:b", "server:c"]);
    let mut elsewhere = code(3);
    elsewhere.registered_uri = "https://app.example/cb".to_owned();
    elsewhere.terms.scopes = vec!["server:d".to_owned()];
    store.agree(&elsewhere, 0, &at(100)).await.unwrap();
    assert_eq!(consented().await.len(), 3);
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_a_second_time_it_ends_all() {
    let (_directory, store) = store().await;
    given(&store, 1).await;
    let other = given(&store, 2).await;
    let first = store.refresh(&[1; 32], &[11; 32], fine, &at(200)).await.unwrap();
    assert!(matches!(&first, Refreshed::Granted(grant) if grant.used_at == Some(200)), "{first:?}");
    let second = store.refresh(&[11; 32], &[12; 32], fine, &at(300)).await.unwrap();
    assert!(matches!(second, Refreshed::Granted(_)));
    let no = store.refresh(&[12; 32], &[13; 32], |_| Err("no"), &at(300)).await.unwrap();
    assert!(matches!(no, Refreshed::Refused("no")), "{no:?}");
    assert!(matches!(store.refresh(&[99; 32], &[13; 32], fine, &at(300)).await.unwrap(), Refreshed::Unknown));
    let reused = store.refresh(&[1; 32], &[14; 32], fine, &at(310)).await.unwrap();
    assert!(matches!(&reused, Refreshed::Reused(id) if id == "g001"), "{reused:?}");
    for digest in [[12; 32], [11; 32], [14; 32], [1; 32]] {
        let late = store.refresh(&digest, &[15; 32], fine, &at(320)).await.unwrap();
        assert!(matches!(late, Refreshed::Unknown), "{late:?}");
    }
    assert_eq!(live(&store, 320).await, [other.id], "what was given otherwise has nothing to do with it");
    let last = noted(&store).await.pop().unwrap();
    assert_eq!((last.0.as_str(), &last.1["why"]), ("grant.ended", &Value::from("refresh_token_reused")));
}

#[tokio::test]
async fn what_is_over_gives_nothing() {
    let (_directory, store) = store().await;
    given(&store, 1).await;
    assert!(matches!(store.refresh(&[1; 32], &[11; 32], fine, &at(END)).await.unwrap(), Refreshed::Unknown));
    assert!(live(&store, END).await.is_empty());
    store.set_person_disabled("ann", true, &at(400)).await.unwrap();
    assert!(live(&store, 400).await.is_empty());
    assert!(matches!(store.refresh(&[1; 32], &[11; 32], fine, &at(400)).await.unwrap(), Refreshed::Unknown));
    store.set_person_disabled("ann", false, &at(500)).await.unwrap();
    assert_eq!(live(&store, 500).await, ["g001"]);
    assert_eq!(store.grant_of(&[1; 32]).await.unwrap(), Some(("g001".to_owned(), code(1).terms.client)));
    store.remove_person("ann", &at(600)).await.unwrap();
    assert!(store.grants().await.unwrap().is_empty());
    assert_eq!(store.grant_of(&[1; 32]).await.unwrap(), None);
}

#[tokio::test]
async fn an_operator_ends_what_they_say_and_people_are_asked_again() {
    for (which, left) in [
        (Which::One("g001".to_owned()), vec!["g002"]),
        (Which::Person("ann".to_owned()), vec![]),
        (Which::Person("bea".to_owned()), vec!["g001", "g002"]),
        (Which::Client(code(1).terms.client), vec![]),
        (Which::Client("other".to_owned()), vec!["g001", "g002"]),
        (Which::All, vec![]),
    ] {
        let (_directory, store) = store().await;
        given(&store, 1).await;
        given(&store, 2).await;
        store.agree(&code(3), 0, &at(120)).await.unwrap();
        let before = store.revision();
        let ended = store.revoke_grants(&which, &at(130)).await.unwrap();
        assert_eq!(ended.len() + left.len(), 2, "{which:?}");
        assert_ne!(store.revision(), before, "{which:?}: readers are told");
        assert_eq!(live(&store, 140).await, left, "{which:?}");
        assert!(store.revoke_grants(&which, &at(150)).await.unwrap().len() <= left.len());
        let terms = code(1).terms;
        let consented = store.consented("ann", &terms.client, "http://127.0.0.1/cb", &terms.resource).await.unwrap();
        assert_eq!(consented.is_empty(), !ended.is_empty(), "{which:?}");
    }
}

#[tokio::test]
async fn what_piles_up_is_bounded() {
    let (_directory, store) = store().await;
    for number in 0..20 {
        let mut code = code(number);
        code.created_at = 100 + i64::from(number);
        store.agree(&code, 0, &at(100)).await.unwrap();
    }
    let old = store.redeem_code(&[0; 32], &new(0), yes, &at(110)).await.unwrap();
    assert!(matches!(old, Redeemed::Unknown), "{old:?}");
    let last = store.redeem_code(&[19; 32], &new(19), yes, &at(110)).await.unwrap();
    assert!(matches!(last, Redeemed::Granted(..)), "{last:?}");
    for number in 20..40 {
        given(&store, number).await;
    }
    let left = live(&store, 200).await;
    assert_eq!(left.len(), 16);
    // After a while nothing of it is kept.
    let mut late = code(50);
    (late.created_at, late.expires_at) = (i64::MAX / 2, i64::MAX / 2 + 60);
    store.agree(&late, 0, &at(i64::MAX / 2)).await.unwrap();
    store
        .redeem_code(&[50; 32], &NewGrant { expires_at: i64::MAX, ..new(50) }, yes, &at(i64::MAX / 2 + 1))
        .await
        .unwrap();
    assert_eq!(store.grants().await.unwrap().len(), 1);
}

#[tokio::test]
async fn of_many_who_show_one_code_at_once_one_gets_something_and_then_nobody_has_it() {
    let (_directory, store) = store().await;
    store.agree(&code(1), 0, &at(100)).await.unwrap();
    let shown: Vec<_> = (0..8)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.redeem_code(&[1; 32], &new(number), yes, &at(110)).await.unwrap() })
        })
        .collect();
    let mut granted = 0;
    for one in shown {
        granted += i32::from(matches!(one.await.unwrap(), Redeemed::Granted(..)));
    }
    assert_eq!(granted, 1);
    assert!(live(&store, 200).await.is_empty());
}

#[tokio::test]
async fn registered_clients_are_bounded_and_forgotten() {
    const DAY: i64 = 24 * 60 * 60 * 1_000_000;
    let (_directory, store) = store().await;
    let client = |number: i64, registered_at| RegisteredClient {
        id: format!("c{number}"),
        name: "App <b>".to_owned(),
        redirect_uris: vec!["http://127.0.0.1/cb".to_owned(), "https://app.example/cb".to_owned()],
        refreshes: true,
        registered_at,
    };
    for number in 0..1_000 {
        assert_eq!(store.register_client(&client(number, 0)).await.unwrap(), Registration::Kept);
    }
    assert_eq!(store.register_client(&client(1_000, 1)).await.unwrap(), Registration::Full);
    assert_eq!(store.registered_client("c7").await.unwrap(), Some(client(7, 0)));
    let mut used = code(1);
    used.terms.client = "c7".to_owned();
    store.agree(&used, 0, &at(100)).await.unwrap();
    assert_eq!(store.register_client(&client(1_001, DAY + 1)).await.unwrap(), Registration::Kept);
    let left = [store.registered_client("c7").await.unwrap(), store.registered_client("c8").await.unwrap()];
    assert_eq!(left, [Some(client(7, 0)), None]);
    assert_eq!(store.register_client(&client(1_002, 91 * DAY)).await.unwrap(), Registration::Kept);
    assert_eq!(store.registered_client("c7").await.unwrap(), None);
}

#[tokio::test]
async fn signing_keys_change_as_planned_or_not_at_all() {
    let (_directory, store) = store().await;
    let key = |id: &str, signs_from| SigningKey { id: id.to_owned(), sealed: vec![1], signs_from, created_at: 5 };
    let plan = |there: &[SigningKey]| {
        assert!(there.is_empty());
        Ok((vec![], vec![key("b", 20), key("a", 10)]))
    };
    store.rotate_signing_keys(plan).await.unwrap();
    assert_eq!(store.signing_keys().await.unwrap(), [key("a", 10), key("b", 20)]);
    let twice = store.rotate_signing_keys(|_| Ok((vec!["a".to_owned()], vec![key("b", 30)]))).await;
    assert!(twice.is_err() && store.signing_keys().await.unwrap().len() == 2);
    store.rotate_signing_keys(|_| Ok((vec!["a".to_owned()], vec![key("c", 30)]))).await.unwrap();
    assert_eq!(store.signing_keys().await.unwrap(), [key("b", 20), key("c", 30)]);
}

#[tokio::test]
async fn whoever_was_reset_meanwhile_lets_nobody_in() {
    let (_directory, store) = store().await;
    given(&store, 1).await;
    store.reset_person("ann", &Given::default(), &at(120)).await.unwrap();
    let agreed = store.agree(&code(2), 0, &at(121)).await;
    let again = store.add_code(&code(3), 0).await;
    assert!(matches!((agreed, again), (Err(StoreError::Stale), Err(StoreError::Stale))));
    let now = store.person("ann").await.unwrap().unwrap().generation;
    store.agree(&code(4), now, &at(122)).await.unwrap();
    store.add_code(&code(5), now).await.unwrap();
}
