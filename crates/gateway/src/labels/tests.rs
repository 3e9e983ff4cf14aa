use std::net::{Ipv4Addr, Ipv6Addr};

use bartizan_guard::Label;

use super::kept::ENOUGH;
use super::*;

const UNTRUSTED: Labels = Labels::of(Label::Untrusted);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn principal(id: &str, tenant: Option<&str>) -> Principal {
    Principal { tenant: tenant.map(Into::into), ..Principal::new(id) }
}

fn terms(of: LabelsOf) -> Labelling {
    Labelling { of, ..Labelling::default() }
}

fn begin(all: &Conversations, name: &str, id: &str) -> Arc<Conversation> {
    all.begin(name, Who::Calls(&principal(id, None), HERE, "app"), terms(LabelsOf::Session))
}

#[test]
fn all_servers_of_a_session_have_one_conversation() {
    let all = Conversations::default();
    let held = begin(&all, "s", "ann");
    assert!(Arc::ptr_eq(&held, &all.of("s")) && !Arc::ptr_eq(&held, &all.of("t")));
    assert_eq!(all.of("s").labels(), Labels::NONE);
    assert_eq!(all.of("s").raise(UNTRUSTED, "found"), UNTRUSTED);
    assert_eq!((held.raise(UNTRUSTED, "found"), held.labels()), (Labels::NONE, UNTRUSTED), "it is raised once");
    assert_eq!(all.of("t").labels(), Labels::NONE);
}

#[test]
fn a_fresh_session_sheds_nothing() {
    let all = Conversations::default();
    let (before, open) = (begin(&all, "1", "ann"), begin(&all, "2", "ann"));
    before.raise(UNTRUSTED, "1");
    assert_eq!(open.labels(), Labels::NONE, "another conversation that goes on is another one");
    // Beside it, and in its place, once its server or the gateway has ended it.
    let second = begin(&all, "3", "ann");
    drop(before);
    let third = begin(&all, "4", "ann");
    assert_eq!((second.labels(), third.labels()), (UNTRUSTED, UNTRUSTED));
    assert_eq!(third.whence(), (Because::Used, Some(Origin { session: "1".into(), entry: None })));
    assert_eq!(second.raise(UNTRUSTED, "3"), Labels::NONE);
    // One of them is still labelled, and one was dropped without a word.
    second.is_ended_by_client();
    assert_eq!((second.labels(), begin(&all, "5", "ann").labels()), (UNTRUSTED, UNTRUSTED));
}

async fn minutes(count: u64) {
    tokio::time::advance(Duration::from_secs(60 * count)).await;
}

/// A session that begins, and what with.
fn next(all: &Conversations) -> (Arc<Conversation>, Labels) {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let name = format!("next {}", COUNT.fetch_add(1, Ordering::Relaxed));
    let begun = begin(all, &name, "ann");
    let labels = begun.labels();
    (begun, labels)
}

#[tokio::test(start_paused = true)]
async fn that_the_client_ends_a_session_sheds_nothing_for_a_while() {
    let all = Conversations::default();
    let before = begin(&all, "1", "ann");
    before.raise(UNTRUSTED, "1");
    before.is_ended_by_client();
    before.is_ended_by_client();
    assert_eq!(before.labels(), UNTRUSTED, "what is under way in it is judged as before");
    minutes(29).await;
    let (second, labels) = next(&all);
    assert_eq!((labels, second.whence().0), (UNTRUSTED, Because::Ended));
    assert_eq!(second.whence().1.unwrap().session, "1".into());
    // Each that is ended hands it on, as a client may end one after each call.
    second.is_ended_by_client();
    minutes(29).await;
    let (third, labels) = next(&all);
    assert_eq!(labels, UNTRUSTED);
    third.is_ended_by_client();
    assert_eq!(begin(&all, "bob's", "bob").labels(), Labels::NONE);
    minutes(31).await;
    assert_eq!(next(&all).1, Labels::NONE, "whoever begins later has begun something else");
    // What came after the end has come in all the same, and counts no longer than what came before it.
    third.raise(UNTRUSTED, "3");
    assert_eq!(next(&all).0.whence(), (Because::Ended, Some(Origin { session: "3".into(), entry: None })));
}

#[tokio::test(start_paused = true)]
async fn one_that_was_idle_for_long_hands_on_what_it_bears_as_well() {
    let all = Conversations::default();
    let before = begin(&all, "1", "ann");
    before.raise(UNTRUSTED, "1");
    minutes(90).await;
    assert_eq!(next(&all).1, Labels::NONE);
    before.is_ended_by_client();
    minutes(29).await;
    assert_eq!(next(&all).1, UNTRUSTED);
}

#[tokio::test(start_paused = true)]
async fn who_ends_every_session_is_rid_of_it_in_the_end() {
    let all = Conversations::default();
    let first = begin(&all, "1", "ann");
    first.raise(UNTRUSTED, "1");
    minutes(10 * 60).await;
    assert_eq!(first.labels(), UNTRUSTED);
    first.is_ended_by_client();
    for _ in 0..23 {
        minutes(20).await;
        let (held, labels) = next(&all);
        assert_eq!(labels, UNTRUSTED);
        held.is_ended_by_client();
    }
    minutes(21).await;
    let (held, labels) = next(&all);
    assert_eq!(labels, Labels::NONE, "eight hours after the first of them was ended");
    // What is found anew counts anew.
    held.raise(UNTRUSTED, "again");
    held.is_ended_by_client();
    minutes(29).await;
    assert_eq!(next(&all).1, UNTRUSTED);
}

#[tokio::test(start_paused = true)]
async fn the_operator_says_for_how_long_after_the_end() {
    let ann = principal("ann", None);
    for (after_end, within, beyond) in [(0, None, 0), (1, Some(0), 2), (8 * 60, Some(8 * 60 - 1), 2)] {
        let terms = Labelling { after_end: Duration::from_secs(60 * after_end), ..Labelling::default() };
        let all = Conversations::default();
        let begin = |name: &str| all.begin(name, Who::Calls(&ann, HERE, "app"), terms);
        let labelled = begin("1");
        labelled.raise(UNTRUSTED, "1");
        labelled.is_ended_by_client();
        if let Some(within) = within {
            minutes(within).await;
            let held = begin("2");
            assert_eq!(held.labels(), UNTRUSTED, "{after_end}");
            held.is_ended_by_client();
        }
        minutes(beyond).await;
        assert_eq!(begin("3").labels(), Labels::NONE, "{after_end}");
    }
}

#[test]
fn without_sessions_one_client_at_one_place_is_one_conversation() {
    let all = Conversations::default();
    let ann = principal("ann", None);
    let far = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let asks =
        |name: &str, from, client, at| all.begin(name, Who::Asks(&ann, from, client, at), terms(LabelsOf::Session));
    // All of them were there before something came in.
    let one = asks("1", HERE, "app", "web");
    let other_abilities = asks("2", HERE, "app", "web");
    let other_address = asks("3", far, "app", "web");
    let (other_client, other_place) = (asks("4", HERE, "other", "web"), asks("5", HERE, "app", "mail"));
    assert_eq!(one.raise(UNTRUSTED, "1"), UNTRUSTED);
    assert_eq!((other_abilities.labels(), other_address.labels()), (UNTRUSTED, UNTRUSTED));
    assert_eq!((other_client.labels(), other_place.labels()), (Labels::NONE, Labels::NONE));
    assert_eq!(other_abilities.raise(UNTRUSTED, "2"), Labels::NONE, "it is raised once");
    assert_eq!(all.of("2").labels(), UNTRUSTED);
    // It lasts for as long as any of them does.
    drop((one, other_address));
    assert_eq!(asks("6", HERE, "app", "web").labels(), UNTRUSTED);
    assert!(lock(&all.standing).entries.values().filter(|held| held.strong_count() > 0).count() == 3);
}

#[test]
fn labels_are_nobody_elses() {
    let all = Conversations::default();
    let v6 = |text: &str| IpAddr::V6(text.parse::<Ipv6Addr>().unwrap());
    let far = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let (ann, bob, nobody) = (principal("ann", None), principal("bob", None), Principal::anonymous());
    let (one, other) = (principal("ann", Some("one")), principal("ann", Some("other")));
    let labelled = |who: Who<'_>, of| {
        all.begin("before", who, terms(of)).raise(UNTRUSTED, "found");
    };
    for of in [LabelsOf::Session, LabelsOf::Principal] {
        labelled(Who::Calls(&one, HERE, "app"), of);
        labelled(Who::Calls(&nobody, v6("2001:db8::1"), "app"), of);
        labelled(Who::Calls(&nobody, HERE, "local"), of);
        labelled(Who::Starts(&ann, 7), of);
        let by_name = of == LabelsOf::Principal;
        for (who, is_theirs) in [
            (Who::Calls(&one, far, "app"), true),
            (Who::Calls(&principal("ANN", Some("one")), HERE, "app"), true),
            (Who::Calls(&one, HERE, "other"), by_name),
            (Who::Calls(&other, HERE, "app"), false),
            (Who::Calls(&ann, HERE, "app"), false),
            (Who::Calls(&bob, HERE, "app"), false),
            (Who::Calls(&nobody, v6("2001:db8::2"), "app"), true),
            (Who::Calls(&nobody, v6("2001:db8:0:1::1"), "app"), false),
            (Who::Calls(&nobody, far, "app"), false),
            (Who::Calls(&nobody, far, "local"), false),
            (Who::Calls(&nobody, v6("::1"), "local"), true),
            (Who::Calls(&nobody, v6("::ffff:127.0.0.9"), "local"), true),
            (Who::Starts(&ann, 7), true),
            (Who::Starts(&ann, 8), false),
        ] {
            let next = all.begin(&format!("{who:?} {of:?}"), who, terms(of));
            assert_eq!(!next.labels().is_empty(), is_theirs, "{who:?} {of:?}");
        }
    }
}

#[test]
fn where_they_are_the_principals_sessions_that_go_on_have_them_too() {
    let all = Conversations::default();
    let ann = principal("ann", None);
    let of = |name: &str, client| all.begin(name, Who::Calls(&ann, HERE, client), terms(LabelsOf::Principal));
    let (reads, sends) = (of("1", "app"), of("2", "other"));
    assert_eq!(reads.raise(UNTRUSTED, "found"), UNTRUSTED);
    assert_eq!((sends.labels(), sends.raise(UNTRUSTED, "found")), (UNTRUSTED, Labels::NONE));
    reads.is_ended_by_client();
    assert_eq!(of("3", "third").labels(), UNTRUSTED);
    // So have the servers that one program starts.
    let starts = |name: &str| all.begin(name, Who::Starts(&ann, 7), terms(LabelsOf::Session));
    let (web, mail) = (starts("4"), starts("5"));
    web.raise(UNTRUSTED, "found");
    assert_eq!(mail.labels(), UNTRUSTED);
}

#[tokio::test(start_paused = true)]
async fn who_has_no_session_any_more_is_remembered_for_a_while() {
    let all = Conversations::default();
    let before = begin(&all, "1", "ann");
    before.raise(UNTRUSTED, "found");
    minutes(50).await;
    assert_eq!(before.labels(), UNTRUSTED, "and used again");
    drop(before);
    minutes(50).await;
    let next = begin(&all, "2", "ann");
    minutes(61).await;
    assert_eq!(begin(&all, "3", "ann").labels(), Labels::NONE);
    assert_eq!(next.labels(), UNTRUSTED, "a session keeps it for as long as it lasts");
    assert_eq!(begin(&all, "4", "ann").labels(), UNTRUSTED);
}

/// How much is kept of whoever is named, and of whoever is not.
fn kept(all: &Conversations) -> (usize, usize) {
    (lock(&all.named).len(), lock(&all.anonymous).len())
}

#[test]
fn who_has_no_label_is_not_remembered() {
    let all = Conversations::default();
    for number in 0..3 * FEW {
        begin(&all, &format!("clean {number}"), &format!("u{number}"));
    }
    assert!(lock(&all.by_name).entries.len() <= FEW && kept(&all).0 <= 2 * FEW + 2, "{:?}", kept(&all));
}

#[test]
fn a_flood_of_one_principals_takes_nothing_from_others() {
    let all = Conversations::default();
    let (ann, eve) = (principal("ann", None), principal("eve", None));
    let calls =
        |name: &str, who, client: &str| all.begin(name, Who::Calls(who, HERE, client), terms(LabelsOf::Session));
    calls("ann's", &ann, "app").raise(UNTRUSTED, "ann's");
    let first = calls("first", &eve, "first");
    first.raise(UNTRUSTED, "first");
    calls("second", &eve, "second").raise(UNTRUSTED, "second");
    let clean = calls("clean", &eve, "clean");
    for number in 0..2 * ENOUGH + 9 {
        calls("flood", &eve, &format!("app {number}")).raise(UNTRUSTED, "flood");
        assert!(number % 4_001 != 0 || kept(&all).0 <= 2 * ENOUGH, "{:?}", kept(&all));
    }
    let again = calls("ann's again", &ann, "app");
    assert_eq!((again.labels(), again.whence().0), (UNTRUSTED, Because::Used));
    assert_eq!(again.whence().1.unwrap().session, "ann's".into());
    assert_eq!(calls("another of ann's", &ann, "other").labels(), Labels::NONE);
    assert_eq!(begin(&all, "bob's", "bob").labels(), Labels::NONE);
    // What is forgotten of a client is not shed: it is any other one's of the same principal that is not remembered.
    let second = calls("second again", &eve, "second");
    assert_eq!((second.labels(), second.whence().0), (UNTRUSTED, Because::Forgotten));
    assert_eq!(calls("a new one", &eve, "new").labels(), UNTRUSTED);
    // Who has a session goes on with what it has.
    assert_eq!((first.labels(), clean.labels()), (UNTRUSTED, Labels::NONE));
    assert_eq!(calls("clean again", &eve, "clean").labels(), Labels::NONE);
}

#[tokio::test(start_paused = true)]
async fn a_flood_from_everywhere_takes_nothing_from_who_is_named() {
    let all = Conversations::default();
    let ann = principal("ann", None);
    all.begin("ann's", Who::Calls(&ann, HERE, "app"), terms(LabelsOf::Session)).raise(UNTRUSTED, "ann's");
    let nobody = Principal::anonymous();
    let from = |number: u32| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number));
    let calls =
        |name: &str, number| all.begin(name, Who::Calls(&nobody, from(number), "app"), terms(LabelsOf::Session));
    calls("first", 0).raise(UNTRUSTED, "first");
    for number in 1..u32::try_from(2 * ENOUGH).unwrap() + 9 {
        calls("flood", number).raise(UNTRUSTED, "flood");
        assert!(number % 4_001 != 0 || kept(&all).1 <= 2 * ENOUGH, "{:?}", kept(&all));
    }
    // Even then nobody sheds anything, and nobody is named to anybody else.
    for (name, number) in [("first again", 0), ("never seen", 1 << 23)] {
        let begun = calls(name, number);
        assert_eq!((begun.labels(), begun.whence()), (UNTRUSTED, (Because::Forgotten, None)), "{name}");
    }
    assert_eq!(begin(&all, "ann again", "ann").labels(), UNTRUSTED);
    assert_eq!(begin(&all, "bob's", "bob").labels(), Labels::NONE);
    minutes(61).await;
    assert_eq!(calls("later", 1 << 22).labels(), Labels::NONE);
}

#[test]
fn whoever_has_the_most_gives_way_however_many_there_are() {
    let all = Conversations::default();
    // As many as there is room for with one client each, but for a few; and one of them has some more.
    let many = ENOUGH / 2 - FEW;
    for number in 0..many {
        begin(&all, "one", &format!("u{number}")).raise(UNTRUSTED, "one");
    }
    let (ann, eve) = (principal("ann", None), principal("eve", None));
    let calls =
        |name: &str, who, client: &str| all.begin(name, Who::Calls(who, HERE, client), terms(LabelsOf::Session));
    let few: Vec<_> = (0..5).map(|number| format!("app {number}")).collect();
    for client in &few {
        calls("ann's", &ann, client).raise(UNTRUSTED, "ann's");
    }
    for number in 0..ENOUGH {
        calls("flood", &eve, &format!("app {number}")).raise(UNTRUSTED, "flood");
    }
    assert!(kept(&all).0 <= 2 * ENOUGH, "{:?}", kept(&all));
    for client in &few {
        let again = calls(&format!("ann's {client}"), &ann, client);
        assert_eq!((again.labels(), again.whence().0), (UNTRUSTED, Because::Used), "{client}");
    }
    for number in (0..many).step_by(997) {
        let again = begin(&all, &format!("again {number}"), &format!("u{number}"));
        assert_eq!((again.labels(), again.whence().0), (UNTRUSTED, Because::Used), "{number}");
    }
    assert_eq!(begin(&all, "new", "new").labels(), Labels::NONE);
    assert_eq!(calls("another of ann's", &ann, "other").labels(), Labels::NONE);
    assert_eq!(calls("another of eve's", &eve, "other").whence().0, Because::Forgotten);
}

/// Has a session forget, with a log that can be written.
fn reset(all: &Conversations, session: &str) -> Option<Cleared> {
    all.reset(session, |_| Ok::<_, ()>(())).map(Result::unwrap)
}

#[test]
fn a_reset_has_all_sessions_of_the_client_forget_and_nobody_else() {
    let all = Conversations::default();
    let (one, other) = (begin(&all, "1", "ann"), begin(&all, "2", "bob"));
    one.raise(UNTRUSTED, "1");
    other.raise(UNTRUSTED, "2");
    let second = begin(&all, "3", "ann");
    assert_eq!(second.labels(), UNTRUSTED);
    let cleared = reset(&all, "3").unwrap();
    assert_eq!((&*cleared.principal, &*cleared.labels), ("ann", &["untrusted".to_owned()][..]));
    let mut sessions = cleared.sessions;
    sessions.sort();
    assert_eq!(sessions, ["1", "3"]);
    assert_eq!(
        (one.labels(), second.labels(), begin(&all, "4", "ann").labels()),
        (Labels::NONE, Labels::NONE, Labels::NONE)
    );
    assert_eq!(other.labels(), UNTRUSTED);
    assert_eq!(one.raise(UNTRUSTED, "1"), UNTRUSTED, "what comes in anew counts anew");
    assert_eq!(begin(&all, "5", "ann").labels(), UNTRUSTED);
    assert!(reset(&all, "nobody's").is_none());
}

#[test]
fn what_cannot_be_recorded_is_not_reset() {
    let all = Conversations::default();
    let held = begin(&all, "1", "ann");
    held.raise(UNTRUSTED, "1");
    assert_eq!(all.reset("1", |_| Err("the disk is full")).unwrap(), Err("the disk is full"));
    assert_eq!(held.labels(), UNTRUSTED);
}

#[test]
fn one_that_is_over_is_shown_and_reset_by_the_session_that_was_labelled() {
    let all = Conversations::default();
    let held = begin(&all, "1", "ann");
    held.raise(UNTRUSTED, "1");
    held.is_ended_by_client();
    drop(held);
    let [seen] = &all.all()[..] else { panic!("one is left") };
    assert_eq!((&*seen.session, &*seen.principal, seen.age, seen.labels.len()), ("1", "ann", None, 1));
    assert_eq!(reset(&all, "1").unwrap().sessions, [""; 0]);
    assert!(all.all().is_empty() && begin(&all, "2", "ann").labels().is_empty());
}

#[test]
fn what_is_shown_says_which_result_gave_a_label() {
    let all = Conversations::default();
    let held = begin(&all, "1", "ann");
    let (web, mail, tool): (Arc<str>, Arc<str>, Arc<str>) = ("web".into(), "mail".into(), "fetch".into());
    held.uses(&web);
    let (first, second) = (Id::new(1, [1; 10]), Id::new(2, [2; 10]));
    let raised = held.raise(UNTRUSTED, "1");
    held.is_recorded("1", first, raised, (&web, Some(&tool)));
    // It brings the same once more, which is not what labelled it.
    let raised = held.raise(UNTRUSTED, "1");
    held.is_recorded("1", second, raised, (&mail, None));
    let [seen] = &all.all()[..] else { panic!("one goes on") };
    assert_eq!((&seen.servers[..], seen.values, seen.age), (&["web".to_owned()][..], 0, Some(0)));
    let [label] = &seen.labels[..] else { panic!("one label") };
    let from = (label.server.as_deref(), label.tool.as_deref(), label.entry.clone());
    assert_eq!((&*label.label, from), ("untrusted", (Some("web"), Some("fetch"), Some(first.to_string()))));
    assert!(label.since.is_some() && label.session.as_deref() == Some("1"));
}

#[test]
fn a_reset_while_it_is_used_leaves_no_half_of_it() {
    let all = Conversations::default();
    let held = begin(&all, "1", "ann");
    std::thread::scope(|scope| {
        let users = [(); 3].map(|()| {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    held.raise(UNTRUSTED, "1");
                    held.labels();
                    begin(&all, "1", "ann").labels();
                }
            })
        });
        for _ in 0..500 {
            reset(&all, "1");
            all.all();
        }
        users.into_iter().for_each(|user| user.join().unwrap());
    });
    reset(&all, "1").unwrap();
    // Whoever only looks brings nothing back.
    assert_eq!((held.labels(), begin(&all, "2", "ann").labels()), (Labels::NONE, Labels::NONE));
}
