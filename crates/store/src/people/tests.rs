use super::*;
use crate::approvals::{Asked, By, Most, Part, Request, State};
use crate::passkeys::Passkey;
use crate::upstream_tokens::UpstreamToken;
use crate::web_sessions::{Over, WebSession};

const ALWAYS: Over = Over { begun_before: 0, unseen_since: 0 };

fn ann() -> Person {
    Person { generation: 0, ..Person::new("Ann", [7; 32], 100) }
}

fn change(at: i64) -> Change {
    Change { by: "uid:7".to_owned(), at }
}

fn invited(until: i64) -> Given {
    Given { password: None, invitation: Some(Invitation { digest: [1; 32], expires_at: until }) }
}

fn one_time(step: i64) -> OneTime {
    OneTime { secret: b"sealed".to_vec(), step, recovery: vec![[3; 32], [4; 32]] }
}

fn session(number: u8) -> WebSession {
    WebSession {
        digest: [number; 32],
        person: "Ann".to_owned(),
        begun_at: 100,
        seen_at: 200,
        password_at: Some(100),
        otp_at: None,
        passkey_at: None,
    }
}

fn passkey(id: u8, counter: i64) -> Passkey {
    Passkey {
        id: vec![id; 16],
        person: "Ann".to_owned(),
        public_key: vec![4; 91],
        algorithm: -7,
        counter,
        label: "phone".to_owned(),
        created_at: 5,
        last_used_at: None,
    }
}

fn token(principal: &str) -> UpstreamToken {
    UpstreamToken {
        server: "crm".to_owned(),
        principal: principal.to_owned(),
        issuer: "https://a.example".to_owned(),
        resource: "https://crm.example/mcp".to_owned(),
        sealed: b"sealed".to_vec(),
        scope: String::new(),
        obtained_at: 1,
        expires_at: None,
        renewing_at: None,
        ended_at: None,
    }
}

async fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("state.db")).await.unwrap();
    store.add_person(&ann(), &invited(1_000), &change(1)).await.unwrap();
    (directory, store)
}

async fn generation(store: &Store) -> i64 {
    store.person("ann").await.unwrap().map_or(0, |ann| ann.generation)
}

#[tokio::test]
async fn a_name_is_one_person_however_it_is_written() {
    let (_directory, store) = store().await;
    let again = Person { name: "aNN".to_owned(), handle: vec![8; 32], ..ann() };
    let error = store.add_person(&again, &Given::default(), &change(2)).await.unwrap_err();
    assert_eq!(error.to_string(), "there is a person `Ann` already");
    assert_eq!(store.person("ANN").await.unwrap(), Some(ann()));
    assert_eq!(store.person("Bea").await.unwrap(), None);
    let listed = store.people().await.unwrap();
    assert_eq!(listed, [Summary { person: ann(), passkeys: 0, recovery_codes: 0, invited_until: Some(1_000) }]);
}

#[tokio::test]
async fn an_invitation_is_good_once_and_until_it_ends() {
    let (_directory, store) = store().await;
    for (digest, now, good) in [([1; 32], 999, true), ([1; 32], 1_000, false), ([2; 32], 1, false)] {
        assert_eq!(store.invited(&digest, now).await.unwrap().is_some(), good, "{now}");
    }
    assert!(store.accept_invitation(&[1; 32], "late", None, &change(1_000)).await.unwrap().is_none());
    assert!(store.accept_invitation(&[1; 32], "hash", Some(&one_time(5)), &change(999)).await.unwrap().is_some());
    assert!(store.accept_invitation(&[1; 32], "again", None, &change(999)).await.unwrap().is_none());
    let person = store.person("ann").await.unwrap().unwrap();
    assert_eq!((person.password.as_deref(), person.totp_step), (Some("hash"), 5));
    assert_eq!(store.people().await.unwrap()[0].recovery_codes, 2);
}

#[tokio::test]
async fn who_is_disabled_has_no_use_of_an_invitation() {
    let (_directory, store) = store().await;
    assert!(store.set_person_disabled("ann", true, &change(2)).await.unwrap());
    assert!(store.invited(&[1; 32], 5).await.unwrap().is_none());
    assert!(!store.set_person_disabled("ann", true, &change(3)).await.unwrap());
    assert!(store.set_person_disabled("ann", false, &change(4)).await.unwrap());
    assert!(store.invited(&[1; 32], 5).await.unwrap().is_some());
}

#[tokio::test]
async fn a_one_time_password_and_a_recovery_code_are_used_once() {
    let (directory, store) = store().await;
    assert!(!store.use_one_time("Ann", 6).await.unwrap(), "there are none yet");
    store.set_one_time(("Ann", generation(&store).await), &one_time(5), &[0; 32], &change(2)).await.unwrap();
    let other = Store::open(&directory.path().join("state.db")).await.unwrap();
    for (store, step, good) in
        [(&store, 5, false), (&store, 6, true), (&other, 6, false), (&other, 5, false), (&other, 7, true)]
    {
        assert_eq!(store.use_one_time("Ann", step).await.unwrap(), good, "{step}");
    }
    for (name, digest, good) in [("Bea", 3, false), ("Ann", 9, false), ("Ann", 3, true), ("Ann", 3, false)] {
        assert_eq!(store.use_recovery_code(name, &[digest; 32]).await.unwrap(), good, "{name} {digest}");
    }
    // Set up anew, it does not go back to what was used.
    store.set_one_time(("Ann", generation(&store).await), &one_time(2), &[0; 32], &change(3)).await.unwrap();
    assert!(!store.use_one_time("Ann", 7).await.unwrap());
    assert_eq!(store.people().await.unwrap()[0].recovery_codes, 2);
}

#[tokio::test]
async fn a_session_ends_with_its_time_and_with_what_becomes_of_its_person() {
    let (_directory, store) = store().await;
    assert!(store.begin_web_session((&session(1), generation(&store).await), None, ALWAYS).await.unwrap());
    for (begun_before, unseen_since, there) in [(100, 200, true), (101, 200, false), (100, 201, false)] {
        let found = store.web_session(&[1; 32], Over { begun_before, unseen_since }).await.unwrap();
        assert_eq!(found.is_some(), there, "{begun_before} {unseen_since}");
    }
    store.note_web_session(&[1; 32], 300).await.unwrap();
    store.note_web_session(&[1; 32], 250).await.unwrap();
    assert_eq!(store.web_session(&[1; 32], ALWAYS).await.unwrap().unwrap().0.seen_at, 300);
    // In the place of another that is over nothing begins, so that nobody prolongs what was ended.
    assert!(store.begin_web_session((&session(2), generation(&store).await), Some(&[1; 32]), ALWAYS).await.unwrap());
    assert!(!store.begin_web_session((&session(3), generation(&store).await), Some(&[1; 32]), ALWAYS).await.unwrap());
    assert!(store.web_session(&[1; 32], ALWAYS).await.unwrap().is_none());
    store.set_person_disabled("ann", true, &change(2)).await.unwrap();
    store.set_person_disabled("ann", false, &change(3)).await.unwrap();
    assert!(store.web_session(&[2; 32], ALWAYS).await.unwrap().is_none(), "it stays over");
    for number in 10..70 {
        store.begin_web_session((&session(number), generation(&store).await), None, ALWAYS).await.unwrap();
    }
    let there = async |number| store.web_session(&[number; 32], ALWAYS).await.unwrap().is_some();
    let mut count = 0;
    for number in 10..70 {
        count += i32::from(there(number).await);
    }
    assert_eq!(count, 50, "nobody has more than so many");
    store.reset_person("ann", &Given::default(), &change(4)).await.unwrap();
    assert!(!there(69).await && !there(30).await);
}

#[tokio::test]
async fn who_is_removed_leaves_nothing_and_what_was_done_is_to_be_recorded() {
    let (_directory, store) = store().await;
    store.set_one_time(("Ann", generation(&store).await), &one_time(1), &[0; 32], &change(2)).await.unwrap();
    store.reset_person("ANN", &invited(2_000), &change(3)).await.unwrap();
    for principal in ["Ann", "Bea"] {
        let whose = store.whose(principal).await.unwrap();
        store.put_upstream_token((&token(principal), &whose), &change(3)).await.unwrap();
    }
    store.remove_person("ann", &change(4)).await.unwrap();
    assert!(store.people().await.unwrap().is_empty());
    let left = store.upstream_tokens().await.unwrap();
    assert_eq!(left.iter().map(|token| &*token.principal).collect::<Vec<_>>(), ["Bea"], "whose else they are");
    let error = store.remove_person("ann", &change(5)).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no person `ann`");
    let mut said = Vec::new();
    let record = async |events: &[crate::Event]| {
        said.extend(events.iter().map(|event| (event.at, event.kind.clone(), event.fields["person"].clone())));
        Ok::<_, ()>(())
    };
    assert_eq!(store.record_events(record).await.unwrap(), Ok(6));
    said.retain(|(_, kind, _)| kind.starts_with("person"));
    let kinds = ["person.added", "person.factor_added", "person.reset", "person.removed"];
    let expected: Vec<_> = (1..).zip(kinds).map(|(at, kind)| (at, kind.to_owned(), json!("Ann"))).collect();
    assert_eq!(said, expected);
    assert!(!format!("{:?}", Person { password: Some("$argon2".to_owned()), ..ann() }).contains("argon2"));
}

#[tokio::test]
async fn a_passkey_is_of_one_person_and_only_counts_up() {
    let (_directory, store) = store().await;
    let bea = Person { name: "Bea".to_owned(), handle: vec![8; 32], ..ann() };
    store.add_person(&bea, &Given::default(), &change(1)).await.unwrap();
    store.add_passkey((&passkey(1, 3), generation(&store).await), &change(2)).await.unwrap();
    store.add_passkey((&passkey(2, 0), generation(&store).await), &change(2)).await.unwrap();
    let again = store.add_passkey((&Passkey { person: "Bea".to_owned(), ..passkey(1, 0) }, 0), &change(2)).await;
    assert_eq!(again.unwrap_err().to_string(), "this passkey is known already");
    assert_eq!(store.passkey(&[1; 16]).await.unwrap(), Some(passkey(1, 3)));
    assert_eq!(store.passkeys_of("Ann").await.unwrap().len(), 2);
    for (id, counter, good) in [
        (1, 3, false),
        (1, 2, false),
        (1, 0, false),
        (1, 4, true),
        (1, 4, false),
        (2, 0, true),
        (2, 0, true),
        (9, 1, false),
    ] {
        assert_eq!(store.use_passkey(&[id; 16], counter, 7).await.unwrap(), good, "{id} {counter}");
    }
    assert!(!store.remove_passkey(("Bea", 0), &[1; 16], &[0; 32], &change(3)).await.unwrap());
    assert!(store.remove_passkey(("Ann", generation(&store).await), &[1; 16], &[0; 32], &change(3)).await.unwrap());
    for id in 10..29 {
        store.add_passkey((&passkey(id, 0), generation(&store).await), &change(4)).await.unwrap();
    }
    assert!(
        store.add_passkey((&passkey(99, 0), generation(&store).await), &change(4)).await.is_err(),
        "not any number"
    );
    store.reset_person("ann", &Given::default(), &change(5)).await.unwrap();
    assert!(store.passkeys_of("Ann").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_reset_ends_what_clients_were_let_have() {
    let (_directory, store) = store().await;
    let insert = "INSERT INTO oauth_grant (id, person, client, client_name, resource, scopes, signed_in_at, methods,
        created_at, expires_at) VALUES ('g', 'Ann', 'c', 'C', 'r', 'mcp', 1, 'pwd', 1, 1000)";
    sqlx::query(insert).execute(store.reading()).await.unwrap();
    store.reset_person("ANN", &Given::default(), &change(5)).await.unwrap();
    let ended: Option<i64> =
        sqlx::query_scalar("SELECT ended_at FROM oauth_grant").fetch_one(store.reading()).await.unwrap();
    assert_eq!(ended, Some(5));
    let trigger = "CREATE TRIGGER stop BEFORE UPDATE OF password ON person BEGIN SELECT raise(ABORT, 'no'); END";
    sqlx::query("UPDATE oauth_grant SET ended_at = NULL").execute(store.reading()).await.unwrap();
    sqlx::query(trigger).execute(store.reading()).await.unwrap();
    assert!(store.reset_person("ANN", &Given::default(), &change(5)).await.is_err());
    let ended: Option<i64> =
        sqlx::query_scalar("SELECT ended_at FROM oauth_grant").fetch_one(store.reading()).await.unwrap();
    assert_eq!(ended, None, "all of it is done, or nothing");
    sqlx::query("DROP TRIGGER stop").execute(store.reading()).await.unwrap();
    store.remove_person("ann", &change(6)).await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM oauth_grant").fetch_one(store.reading()).await.unwrap();
    assert_eq!(left, 0);
}

fn request(id: &str, principal: &str) -> Request {
    Request {
        id: id.to_owned(),
        digest: [7; 32],
        principal: principal.to_owned(),
        server: "bank".to_owned(),
        what: "tool pay".to_owned(),
        asks: json!({"asks": []}),
        sealed: vec![1],
        needs_yes: true,
        needs_proof: false,
        four_eyes: false,
        created_at: 100,
        expires_at: 1_000,
    }
}

/// What somebody may get who has shown something as a person of that generation.
async fn gets(store: &Store, generation: i64) -> Vec<bool> {
    let session = store.begin_web_session((&session(1), generation), None, ALWAYS).await;
    let one_time = store.set_one_time(("Ann", generation), &one_time(9), &[0; 32], &change(9)).await;
    let passkey = store.add_passkey((&passkey(1, 0), generation), &change(9)).await;
    let asked = store.ask_approval(&request("a", "Bea"), Most { each: 9, all: 9 }).await.unwrap();
    let Asked::There(asked) = asked else { panic!("{asked:?}") };
    let by = Change { by: "Ann".to_owned(), at: 200 };
    let approved = store
        .grant_approval(
            &asked.request.id,
            Part::Yes,
            "",
            1_000,
            By::Person { change: &by, generation, second_factor_at: None },
        )
        .await;
    let got = [session.map(drop), one_time.map(drop), passkey, approved.map(drop)];
    for error in got.iter().filter_map(|one| one.as_ref().err()) {
        assert!(matches!(error, StoreError::Stale), "{error}");
    }
    got.iter().map(|one| one.is_ok()).collect()
}

#[tokio::test]
async fn whoever_still_shows_what_was_taken_away_gets_nothing_for_it() {
    let none = vec![false; 4];
    for what in ["reset", "accept", "disable", "disable and enable", "remove", "remove and add"] {
        let (_directory, store) = store().await;
        let before = generation(&store).await;
        match what {
            "reset" => store.reset_person("ann", &Given::default(), &change(2)).await.unwrap(),
            "accept" => assert!(store.accept_invitation(&[1; 32], "hash", None, &change(2)).await.unwrap().is_some()),
            "remove" => store.remove_person("ann", &change(2)).await.unwrap(),
            "remove and add" => {
                store.remove_person("ann", &change(2)).await.unwrap();
                let later = Person { created_at: 300, generation: 300, ..ann() };
                store.add_person(&later, &Given::default(), &change(3)).await.unwrap();
            }
            _ => {
                store.set_person_disabled("ann", true, &change(2)).await.unwrap();
                if what != "disable" {
                    store.set_person_disabled("ann", false, &change(3)).await.unwrap();
                }
            }
        }
        assert_eq!(gets(&store, before).await, none, "{what}");
        assert!(store.people().await.unwrap().iter().all(|one| one.passkeys == 0), "{what}");
        let may = !["disable", "remove"].contains(&what);
        assert_eq!(gets(&store, generation(&store).await).await, vec![may; 4], "{what}: as they are now");
    }
}

#[tokio::test]
async fn what_becomes_of_others_and_a_new_form_of_the_same_password_stop_nobody() {
    let (_directory, store) = store().await;
    let bea = Person { name: "Bea".to_owned(), handle: vec![8; 32], ..ann() };
    store.add_person(&bea, &Given::default(), &change(1)).await.unwrap();
    assert!(store.accept_invitation(&[1; 32], "old", None, &change(2)).await.unwrap().is_some());
    let before = generation(&store).await;
    store.reset_person("bea", &Given::default(), &change(3)).await.unwrap();
    store.rehash_password("Ann", "old", "new").await.unwrap();
    assert_eq!(gets(&store, before).await, vec![true; 4]);
}

#[tokio::test]
async fn nothing_that_the_removed_asked_for_passes_for_whoever_is_called_so_later() {
    let (_directory, store) = store().await;
    for (id, principal) in [("a", "Ann"), ("b", "Bea")] {
        store.ask_approval(&request(id, principal), Most { each: 2, all: 3 }).await.unwrap();
        store.grant_approval(id, Part::Yes, "", 1_000, By::Operator(&change(200))).await.unwrap();
    }
    store.remove_person("ann", &change(300)).await.unwrap();
    for (id, passes) in [("a", false), ("b", true)] {
        assert_eq!(store.spend_approval(id, &[7; 32], 400).await.unwrap(), passes, "{id}");
    }
}

/// What somebody or another does, or has done to them.
async fn befall(store: &Store, what: &str, generation: i64) {
    match what {
        "reset" => store.reset_person("ann", &Given::default(), &change(300)).await.unwrap(),
        "reset another" => store.reset_person("bea", &Given::default(), &change(300)).await.unwrap(),
        "remove another" => store.remove_person("bea", &change(300)).await.unwrap(),
        "change their password" => {
            let changed = store.change_password(("Ann", generation), ("old", "new"), &[0; 32], &change(300)).await;
            assert!(changed.unwrap());
        }
        "change it wrongly" => {
            let changed = store.change_password(("Ann", generation), ("older", "new"), &[0; 32], &change(300)).await;
            assert!(!changed.unwrap());
        }
        "take out a passkey" => {
            store.add_passkey((&passkey(1, 0), generation), &change(250)).await.unwrap();
            assert!(store.remove_passkey(("Ann", generation), &[1; 16], &[0; 32], &change(300)).await.unwrap());
        }
        "set up one-time passwords" | "replace them" => {
            for step in if what == "replace them" { 1..3 } else { 1..2 } {
                let generation = self::generation(store).await;
                store.set_one_time(("Ann", generation), &one_time(step), &[0; 32], &change(300)).await.unwrap();
            }
        }
        "enable" => assert!(!store.set_person_disabled("ann", false, &change(300)).await.unwrap()),
        "disable" => assert!(store.set_person_disabled("ann", true, &change(300)).await.unwrap()),
        _ => {
            store.remove_person("ann", &change(300)).await.unwrap();
            if what == "remove and add" {
                store.add_person(&ann(), &Given::default(), &change(300)).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn what_somebody_agreed_to_is_good_for_nothing_once_they_are_taken_what_they_prove_it_with() {
    // What is done, and whether their yes is still one afterwards.
    for (what, stands) in [
        ("reset", false),
        ("remove", false),
        ("remove and add", false),
        ("disable", false),
        ("reset another", true),
        ("remove another", true),
        ("change their password", false),
        ("change it wrongly", true),
        ("take out a passkey", false),
        ("set up one-time passwords", true),
        ("replace them", false),
        ("enable", true),
    ] {
        let (_directory, store) = store().await;
        let bea = Person { name: "Bea".to_owned(), handle: vec![8; 32], ..ann() };
        store.add_person(&bea, &Given::default(), &change(1)).await.unwrap();
        assert!(store.accept_invitation(&[1; 32], "old", None, &change(2)).await.unwrap().is_some());
        let most = Most { each: 9, all: 9 };
        let both = Request { digest: [8; 32], needs_proof: true, ..request("both", "Ann") };
        let no = Request { digest: [9; 32], ..request("no", "Bea") };
        for request in [request("yes", "Carl"), both, no] {
            store.ask_approval(&request, most).await.unwrap();
        }
        let of_ann = Change { by: "Ann".to_owned(), at: 200 };
        let generation = generation(&store).await;
        let by = By::Person { change: &of_ann, generation, second_factor_at: None };
        store.grant_approval("yes", Part::Yes, "fine", 2_000, by).await.unwrap();
        store.grant_approval("both", Part::Proof, "", 2_000, by).await.unwrap();
        store.grant_approval("both", Part::Yes, "", 2_000, By::Operator(&change(200))).await.unwrap();
        store.deny_approval("no", "", by).await.unwrap();
        befall(&store, what, generation).await;
        let state = async |id: &str| store.approval(id).await.map(|held| held.state(400));
        let waits = if stands { State::Approved } else { State::Pending };
        assert_eq!(state("yes").await.unwrap(), waits, "{what}");
        if !what.starts_with("remove") || stands {
            let both = store.approval("both").await.unwrap();
            assert_eq!((both.state(400), both.yes.is_some(), both.proof.is_some()), (waits, true, stands), "{what}");
        }
        if what != "remove another" {
            assert_eq!(state("no").await.unwrap(), State::Denied, "{what}: their no stands");
        }
        assert_eq!(store.spend_approval("yes", &[7; 32], 400).await.unwrap(), stands, "{what}");
        if !stands {
            // Whoever agrees to it now is somebody else, or they themselves.
            let held = store.grant_approval("yes", Part::Yes, "", 3_000, By::Operator(&change(500))).await.unwrap();
            assert_eq!((held.yes, &*held.reason), (Some(change(500)), ""), "{what}");
            assert!(store.spend_approval("yes", &[7; 32], 600).await.unwrap(), "{what}");
        }
        let mut withdrawn = Vec::new();
        let record = async |events: &[crate::Event]| {
            let of = events.iter().filter(|event| event.kind == "approval.withdrawn");
            withdrawn
                .extend(of.map(|event| json!([event.fields["approval"], event.fields["taken"], event.fields["of"]])));
            Ok::<_, ()>(())
        };
        store.record_events(record).await.unwrap().unwrap();
        let (both, yes) = (json!(["both", ["proof"], "Ann"]), json!(["yes", ["yes"], "Ann"]));
        let expected = match what {
            _ if stands => vec![],
            "remove" | "remove and add" => vec![yes],
            _ => vec![both, yes],
        };
        assert_eq!(withdrawn, expected, "{what}");
    }
}

#[tokio::test]
async fn whoever_takes_a_passkey_out_is_signed_in_by_it_nowhere_else() {
    let (_directory, store) = store().await;
    let before = generation(&store).await;
    store.add_passkey((&passkey(1, 0), before), &change(2)).await.unwrap();
    let by_passkey = |number: u8| WebSession { passkey_at: Some(100), ..session(number) };
    for new in [session(1), by_passkey(2), by_passkey(3)] {
        assert!(store.begin_web_session((&new, before), None, ALWAYS).await.unwrap());
    }
    // Somebody shows it in another browser, and is let in only after it was taken out.
    assert!(store.use_passkey(&[1; 16], 0, 7).await.unwrap());
    assert!(!store.remove_passkey(("Ann", before), &[9; 16], &[3; 32], &change(3)).await.unwrap(), "no such passkey");
    assert!(store.begin_web_session((&by_passkey(4), before), None, ALWAYS).await.unwrap(), "nothing was taken out");
    assert!(store.remove_passkey(("Ann", before), &[1; 16], &[3; 32], &change(3)).await.unwrap());
    let late = store.begin_web_session((&by_passkey(5), before), None, ALWAYS).await;
    assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
    let again = store.remove_passkey(("Ann", before), &[1; 16], &[3; 32], &change(4)).await;
    assert!(matches!(again, Err(StoreError::Stale)), "{again:?}");
    for (number, there) in [(1, true), (2, false), (3, true), (4, false), (5, false)] {
        assert_eq!(store.web_session(&[number; 32], ALWAYS).await.unwrap().is_some(), there, "{number}");
    }
    // Who comes after that comes in.
    assert!(store.begin_web_session((&session(6), generation(&store).await), None, ALWAYS).await.unwrap());
}

#[tokio::test]
async fn whoever_replaces_their_one_time_passwords_is_signed_in_by_the_others_nowhere_else() {
    let (_directory, store) = store().await;
    let by_one_time = |number: u8| WebSession { otp_at: Some(100), ..session(number) };
    let first = generation(&store).await;
    store.begin_web_session((&session(1), first), None, ALWAYS).await.unwrap();
    // Nothing is replaced: whoever they were they still are.
    let ann = store.set_one_time(("Ann", first), &one_time(1), &[9; 32], &change(2)).await.unwrap();
    assert_eq!((ann.generation, ann.totp.as_deref()), (first, Some(&b"sealed"[..])));
    for number in [2, 3] {
        store.begin_web_session((&by_one_time(number), first), None, ALWAYS).await.unwrap();
    }
    let ann = store.set_one_time(("Ann", first), &one_time(2), &[3; 32], &change(3)).await.unwrap();
    assert_eq!(ann.generation, generation(&store).await);
    for (number, there) in [(1, true), (2, false), (3, true)] {
        assert_eq!(store.web_session(&[number; 32], ALWAYS).await.unwrap().is_some(), there, "{number}");
    }
    // Somebody was shown one of the others, and would come in only now; or sets up their own in that session.
    assert_eq!(gets(&store, first).await, [false; 4]);
    // In place of the session in which it was done the next one begins.
    let next = store.begin_web_session((&by_one_time(4), ann.generation), Some(&[3; 32]), ALWAYS).await;
    assert!(next.unwrap() && store.web_session(&[4; 32], ALWAYS).await.unwrap().is_some());
    let mut said = Vec::new();
    let record = async |events: &[crate::Event]| {
        said.extend(events.iter().map(|event| event.kind.clone()).filter(|kind| kind.contains("factor")));
        Ok::<_, ()>(())
    };
    store.record_events(record).await.unwrap().unwrap();
    assert_eq!(said, ["person.factor_added", "person.factor_replaced"]);
}

#[tokio::test]
async fn a_sign_in_to_a_server_is_for_who_was_there_when_it_began() {
    for (principal, what, kept) in [
        ("Ann", "remove", false),
        ("Ann", "remove and add", false),
        ("Bea", "add", false),
        ("Ann", "nothing", true),
        ("Ann", "reset", true),
        ("Ann", "remove another", true),
        // The name of a key alone.
        ("ci", "remove another", true),
    ] {
        let (_directory, store) = store().await;
        let bea = Person { name: "Bea".to_owned(), handle: vec![8; 32], ..ann() };
        if what == "remove another" {
            store.add_person(&bea, &Given::default(), &change(1)).await.unwrap();
        }
        let whose = store.whose(principal).await.unwrap();
        match what {
            "remove" => store.remove_person("ann", &change(2)).await.unwrap(),
            "remove and add" => {
                store.remove_person("ann", &change(2)).await.unwrap();
                let later = Person { handle: vec![9; 32], ..ann() };
                store.add_person(&later, &Given::default(), &change(3)).await.unwrap();
            }
            "add" => store.add_person(&bea, &Given::default(), &change(2)).await.unwrap(),
            "reset" => store.reset_person("ann", &Given::default(), &change(2)).await.unwrap(),
            "remove another" => store.remove_person("bea", &change(2)).await.unwrap(),
            _ => {}
        }
        let came = store.put_upstream_token((&token(principal), &whose), &change(4)).await;
        assert_eq!(came.is_ok(), kept, "{principal}, {what}: {came:?}");
        assert_eq!(store.upstream_tokens().await.unwrap().len(), usize::from(kept), "{principal}, {what}");
    }
}
