//! What a request for approval goes through, and what it is never twice.

use super::*;

const MOST: Most = Most { each: 2, all: 3 };

fn request(id: &str) -> Request {
    Request {
        id: id.to_owned(),
        digest: [7; 32],
        principal: "ann".to_owned(),
        server: "bank".to_owned(),
        what: "tool pay".to_owned(),
        asks: json!({"asks": []}),
        sealed: vec![1, 2, 3],
        needs_yes: true,
        needs_proof: false,
        four_eyes: false,
        created_at: 100,
        expires_at: 1_000,
    }
}

fn by(who: &str, at: i64) -> Change {
    Change { by: who.to_owned(), at }
}

async fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("own/state.db")).await.unwrap();
    (directory, store)
}

async fn asked(store: &Store, request: &Request) -> Approval {
    match store.ask_approval(request, MOST).await.unwrap() {
        Asked::There(approval) => *approval,
        Asked::TooMany => panic!("too many"),
    }
}

/// What the outbox holds, which empties it.
async fn noted(store: &Store) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let record = async |events: &[crate::Event]| {
        all.extend(events.iter().map(|event| (event.kind.clone(), event.fields["by"].as_str().unwrap().to_owned())));
        Ok::<_, ()>(())
    };
    store.record_events(record).await.unwrap().unwrap();
    all
}

#[tokio::test]
async fn asking_and_spending_leave_no_mark_and_all_agree_all_the_same() {
    let (directory, one) = store().await;
    let other = Store::open(&directory.path().join("own/state.db")).await.unwrap();
    let before = (one.revision(), other.revision());
    assert!(before.0.is_some());
    asked(&one, &request("a")).await;
    assert_eq!((one.revision(), other.revision()), before, "what others remember is as good as before");
    assert!(one.take_noted() && !one.take_noted() && !other.take_noted(), "this process is to record it");
    assert_eq!(asked(&other, &request("b")).await.request.id, "a", "the other process knows of it");
    other.grant_approval("a", Part::Yes, "", 2_000, By::Operator(&by("bea", 200))).await.unwrap();
    let granted = (one.revision(), other.revision());
    assert!(granted.0 != before.0 && granted.1 != before.1, "whoever waits is told of a decision");
    let (first, second) =
        tokio::join!(one.spend_approval("a", &[7; 32], 300), other.spend_approval("a", &[7; 32], 300));
    assert!(first.unwrap() != second.unwrap(), "one of them has it");
    assert_eq!((one.revision(), other.revision()), granted);
    let kinds: Vec<_> = noted(&other).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["approval.asked", "approval.approved", "approval.used"]);
    asked(&one, &request("c")).await;
    other.deny_approval("c", "", By::Operator(&by("bea", 400))).await.unwrap();
    assert!(one.revision() != granted.0, "a no is told as well");
}

#[tokio::test]
async fn what_was_approved_is_spent_once_also_by_another_opening() {
    let (directory, store) = store().await;
    asked(&store, &request("a")).await;
    assert!(!store.spend_approval("a", &[7; 32], 150).await.unwrap(), "nobody agreed yet");
    store.grant_approval("a", Part::Yes, "fine", 2_000, By::Operator(&by("bea", 200))).await.unwrap();
    store.close().await;
    let store = Store::open(&directory.path().join("own/state.db")).await.unwrap();
    let held = store.open_approval("ann", &[7; 32], 1_500).await.unwrap().unwrap();
    assert_eq!((held.state(1_500), &*held.reason, held.yes.clone()), (State::Approved, "fine", Some(by("bea", 200))));
    assert!(!store.spend_approval("a", &[8; 32], 1_500).await.unwrap(), "it is for something else");
    assert!(!store.spend_approval("b", &[7; 32], 1_500).await.unwrap(), "there is none");
    assert!(!store.spend_approval("a", &[7; 32], 2_000).await.unwrap(), "too late");
    assert!(store.spend_approval("a", &[7; 32], 1_500).await.unwrap());
    assert!(!store.spend_approval("a", &[7; 32], 1_500).await.unwrap(), "once");
    let held = store.approval("a").await.unwrap();
    assert_eq!((held.state(1_501), held.request.sealed.len()), (State::Used, 0));
    assert_eq!(store.open_approval("ann", &[7; 32], 1_501).await.unwrap(), None);
    let kinds = ["approval.asked", "approval.approved", "approval.used"].map(str::to_owned);
    assert_eq!(
        noted(&store).await,
        kinds.into_iter().zip(["ann", "bea", "ann"].map(str::to_owned)).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_spend_it_at_once_one_does() {
    let (directory, store) = store().await;
    asked(&store, &request("a")).await;
    store.grant_approval("a", Part::Yes, "", 2_000, By::Operator(&by("bea", 200))).await.unwrap();
    let place = directory.path().join("own/state.db");
    let all: Vec<_> = (0..16)
        .map(|number| {
            let (place, store) = (place.clone(), store.clone());
            tokio::spawn(async move {
                // Half of them as other processes would.
                let store = if number % 2 == 0 { store } else { Store::open(&place).await.unwrap() };
                store.spend_approval("a", &[7; 32], 300).await.unwrap()
            })
        })
        .collect();
    let mut spent = 0;
    for one in all {
        spent += usize::from(one.await.unwrap());
    }
    assert_eq!(spent, 1);
}

#[tokio::test]
async fn the_same_is_asked_for_once_and_no_more_than_so_many() {
    let (_directory, store) = store().await;
    let with = |id: &str, digest, principal: &str| Request {
        digest: [digest; 32],
        principal: principal.to_owned(),
        ..request(id)
    };
    let first = asked(&store, &request("a")).await;
    assert_eq!(asked(&store, &request("b")).await, first, "it is there already");
    asked(&store, &with("c", 8, "ann")).await;
    let none = store.ask_approval(&with("d", 9, "ann"), MOST).await.unwrap();
    assert_eq!(none, Asked::TooMany, "of one");
    asked(&store, &with("e", 9, "bea")).await;
    assert_eq!(store.ask_approval(&with("f", 9, "carl"), MOST).await.unwrap(), Asked::TooMany, "of all");
    // What is decided or over makes room.
    store.deny_approval("c", "", By::Operator(&by("bea", 300))).await.unwrap();
    asked(&store, &with("f", 9, "carl")).await;
    let later = Request { created_at: 5_000, expires_at: 6_000, ..with("g", 7, "ann") };
    assert_eq!(asked(&store, &later).await.request.id, "g", "the first has expired");
    assert_eq!(store.approval("a").await.unwrap().request.sealed, [0; 0], "nobody has to see it any more");
    let much_later = Request { created_at: 6_001 + KEPT, expires_at: 7_000 + KEPT, ..with("h", 7, "ann") };
    asked(&store, &much_later).await;
    let ids: Vec<_> = store.approvals().await.unwrap().into_iter().map(|held| held.request.id).collect();
    assert_eq!(ids, ["h"]);
}

#[tokio::test]
async fn a_no_stands_until_it_would_have_expired() {
    let (_directory, store) = store().await;
    asked(&store, &request("a")).await;
    store.deny_approval("a", "not today", By::Operator(&by("bea", 300))).await.unwrap();
    let again = asked(&store, &Request { created_at: 400, ..request("b") }).await;
    assert_eq!((&*again.request.id, again.state(400), &*again.reason), ("a", State::Denied, "not today"));
    assert!(!store.spend_approval("a", &[7; 32], 400).await.unwrap());
    let later = Request { created_at: 1_000, expires_at: 2_000, ..request("b") };
    assert_eq!(asked(&store, &later).await.state(1_000), State::Pending);
    // Whoever agreed may think better of it.
    store.grant_approval("b", Part::Yes, "", 2_000, By::Operator(&by("bea", 1_100))).await.unwrap();
    store.deny_approval("b", "", By::Operator(&by("carl", 1_200))).await.unwrap();
    assert!(!store.spend_approval("b", &[7; 32], 1_300).await.unwrap());
}

#[tokio::test]
async fn nobody_decides_who_may_not_and_nothing_is_decided_twice() {
    let (_directory, store) = store().await;
    let kinds = [
        ("plain", false, false, true),
        ("eyes", true, false, true),
        ("proof", false, true, false),
        ("both", true, true, true),
    ];
    let most = Most { each: 9, all: 9 };
    for (number, (id, four_eyes, needs_proof, needs_yes)) in (1..).zip(kinds) {
        let one = Request { digest: [number; 32], four_eyes, needs_proof, needs_yes, ..request(id) };
        store.ask_approval(&one, most).await.unwrap();
    }
    for (id, part, who, at, expected) in [
        ("none", Part::Yes, "bea", 200, "there is no request for approval `none`"),
        ("plain", Part::Yes, "bea", 1_000, "`plain` has expired"),
        ("plain", Part::Proof, "ann", 200, "only whoever asks can show who they are"),
        ("plain", Part::Yes, "ann", 200, "approved"),
        ("plain", Part::Yes, "bea", 201, "`plain` is approved already"),
        ("eyes", Part::Yes, "ann", 200, "nobody agrees to what they ask for themselves"),
        ("eyes", Part::Yes, "bea", 200, "approved"),
        ("proof", Part::Yes, "bea", 200, "nobody has to agree to it; whoever asks has to sign in"),
        ("proof", Part::Proof, "bea", 200, "only whoever asks can show who they are"),
        ("proof", Part::Proof, "ann", 200, "approved"),
        ("both", Part::Proof, "ann", 200, "pending"),
        ("both", Part::Yes, "ann", 200, "nobody agrees to what they ask for themselves"),
        ("both", Part::Yes, "bea", 200, "approved"),
    ] {
        let outcome = match store.grant_approval(id, part, "", 2_000, By::Operator(&by(who, at))).await {
            Ok(approval) => approval.state(at).as_str().to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(outcome, expected, "{id} {part:?} {who}");
    }
    assert!(store.spend_approval("both", &[4; 32], 300).await.unwrap());
    let error = store.deny_approval("both", "", By::Operator(&by("bea", 400))).await.unwrap_err().to_string();
    assert_eq!(error, "`both` was approved, and used");
}
