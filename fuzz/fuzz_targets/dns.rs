//! Queries for names: each answer is short, of the query's own id, repeats what was asked, and gives no address but those that stand for names.
#![no_main]

use bartizan_egress::inner::{Names, dns};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut names = Names::default();
    let Some(answer) = dns::answer(bytes, &mut names) else { return };
    assert!(answer.len() <= dns::LONGEST + 16 && answer[..2] == bytes[..2]);
    assert!(answer[2] & 0x80 != 0, "it says that it is an answer");
    let (code, questions, answers) = (answer[3] & 0x0f, answer[5], answer[7]);
    assert!(code == 0 || answers == 0, "a refusal gives nothing");
    assert!(questions <= 1 && answers <= questions);
    let asked = answer.len() - usize::from(answers) * 16;
    assert!(bytes[12..].starts_with(&answer[12..asked]), "the question is repeated");
    if answers == 1 {
        let address = &answer[answer.len() - 4..];
        assert!(address == [127, 1, 0, 1] || address == [127, 0, 0, 1], "{address:?}");
    }
    assert_eq!(dns::answer(bytes, &mut names), Some(answer), "asked again, it is the same");
});
