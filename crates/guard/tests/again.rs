//! A message is judged from its case as it was judged at first, whatever the case went through meanwhile.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;

use std::sync::LazyLock;

use bartizan_guard::{Case, CaseError, Decision, Event, Grant, Known, Session, Timestamp, Verdict, guards::policy};
use proptest::prelude::*;

/// What is decided and found, but for places in the message, which are the same if it is.
fn told(verdict: &Verdict) -> String {
    let decision = match &verdict.decision {
        Decision::Transform(edits) => format!("{edits:?}"),
        other => format!("{other:?}"),
    };
    format!("{decision} {:?}", verdict.findings)
}

/// That it says which of two things a tool that nobody accepted is, rests on all that is approved.
fn rests_on_all(verdict: &Verdict) -> bool {
    verdict.findings.iter().any(|held| held.finding.rule.id == "tool_pinning.renamed")
}

#[test]
fn what_is_read_of_a_case_is_judged_as_the_message_was() {
    let (mut known, mut kept, mut asked) = (Known::default(), 0, 0);
    for (file, case) in common::all() {
        let pipeline = case.whole_pipeline();
        case.judged(&pipeline, |event, session| {
            let Some(held) = Case::of(event, session) else {
                assert!(policy::asked(event).is_empty() || event.answers.is_some(), "{file}: {}", case.title);
                return;
            };
            kept += 1;
            asked += usize::from(!policy::asked(event).is_empty());
            let at_first = pipeline.judge(event, session);
            let by_policies = |held: &bartizan_guard::Judged| held.finding.rule.id.starts_with("policy.");
            let news = event.message.method() == Some("notifications/resources/updated");
            if at_first.findings.iter().any(by_policies) && !news {
                assert!(!policy::asked(event).is_empty(), "{file}: {}", case.title);
            }
            for held in [held.clone(), Case::read(&held.to_bytes(), &mut known).unwrap()] {
                let again = held.judged(|event, session| pipeline.judge(event, session));
                if rests_on_all(&at_first) {
                    assert!(matches!(again.decision, Decision::Deny(_)), "{file}: {}", case.title);
                } else {
                    assert_eq!(told(&again), told(&at_first), "{file}: {}", case.title);
                }
            }
        });
    }
    assert!(kept > 200 && asked > 100, "{kept} {asked}");
}

/// A case with something in all of its places.
static FULL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut found = None;
    for (_, case) in common::all() {
        let pipeline = case.whole_pipeline();
        case.judged(&pipeline, |event, session| {
            if !event.evidence.is_empty() && session.catalog.iter().next().is_some() {
                let grant = Grant { digest: bartizan_mcp::Digest([7; 32]), expires: Timestamp(9) };
                let event = Event { grant: Some(&grant), ..*event };
                found = Case::of(&event, session).map(|case| case.to_bytes()).or(found.take());
            }
        });
    }
    found.unwrap()
});

#[test]
fn what_is_no_case_is_not_read() {
    let whole = &*FULL;
    let read = |bytes: &[u8]| Case::read(bytes, &mut Known::default()).map(drop);
    assert_eq!(read(whole), Ok(()));
    for length in 0..whole.len() {
        assert_eq!(read(&whole[..length]), Err(CaseError::Broken), "{length}");
    }
    assert_eq!(read(&[whole, b"x".as_slice()].concat()), Err(CaseError::Broken));
    let mut later = whole.to_vec();
    let form = later.windows(8).position(|bytes| bytes == br#""form":1"#).unwrap();
    later[form + 7] = b'2';
    assert_eq!(read(&later), Err(CaseError::Form));
}

#[test]
fn what_brings_lists_or_instructions_has_no_case() {
    for result in [r#"{"tools":[]}"#, r#"{"instructions":"x"}"#, r#"{"result":{"prompts":[]}}"#] {
        let message = common::message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#));
        let (profile, principal) = (common::profile("server"), bartizan_guard::Principal::new("ann"));
        let event = Event {
            message: &message,
            direction: bartizan_guard::Direction::ToClient,
            answers: None,
            principal: &principal,
            server: &profile,
            evidence: &[],
            grant: None,
            now: Timestamp(0),
        };
        assert!(Case::of(&event, &Session::default()).is_none(), "{result}");
    }
}

proptest! {
    #[test]
    fn no_bytes_have_a_case_panic(at in 0_usize..2_000, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut whole = FULL.clone();
        let at = at.min(whole.len());
        let end = (at + bytes.len()).min(whole.len());
        whole.splice(at..end, bytes);
        if let Ok(case) = Case::read(&whole, &mut Known::default()) {
            // Written again it is the same.
            let again = Case::read(&case.to_bytes(), &mut Known::default()).unwrap();
            prop_assert_eq!(again.to_bytes(), case.to_bytes());
        }
    }
}
