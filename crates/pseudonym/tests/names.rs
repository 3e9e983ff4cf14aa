//! The same data has the same name for its tenant, purpose and kind alone, and a name is found wherever it stands.

#![expect(clippy::string_slice, reason = "a test may panic")]

use std::collections::HashSet;

use bartizan_pseudonym::{Kind, Namer, Root, Token, find};
use proptest::prelude::*;

fn namer(tenant: &str, purpose: &str) -> Namer {
    Root::new(&[7; 32]).namer(tenant, purpose)
}

fn support() -> Namer {
    namer("acme", "support")
}

/// The text, and what is found in it as names made here: each with the text it covers.
fn check(text: &str, expected: &[(&Token, &str)]) {
    let found = support().find(text);
    let found: Vec<_> = found.iter().map(|(range, token)| (token, &text[range.clone()])).collect();
    assert_eq!(found, expected, "in {text:?}");
}

fn kind() -> impl Strategy<Value = Kind> {
    proptest::sample::select(Kind::all().collect::<Vec<_>>())
}

#[test]
fn a_name_reads_as_its_kind_says() {
    for (kind, before, after) in [
        (Kind::Email, "person_", "@pseudonym.invalid"),
        (Kind::PersonName, "Person_", ""),
        (Kind::Phone, "phone_", ""),
        (Kind::PaymentCard, "card_", ""),
        (Kind::NationalId, "national_id_", ""),
    ] {
        let token = support().name(kind, "ann@example.com");
        assert_eq!((token.to_string(), token.id().len()), (format!("{before}{}{after}", token.id()), 20));
        assert_eq!(Token::of(kind, &token.id().to_ascii_uppercase()), Some(token));
        assert_eq!(Token::of(kind, &token.to_string()), None);
    }
}

/// What was handed out must read the same for ever, as names stand in conversations and in the database.
#[test]
fn names_stay_what_they_are() {
    let token = support().name(Kind::Email, "ann@example.com");
    assert_eq!(token.to_string(), "person_xrvjxaftcf9j1akq4pag@pseudonym.invalid");
}

#[test]
fn names_are_found_where_a_model_puts_them() {
    let namer = support();
    let [ann, ann_name, phone] = [(Kind::Email, "ann@example.com"), (Kind::PersonName, "ann"), (Kind::Phone, "+49 1")]
        .map(|(kind, form)| namer.name(kind, form));
    let [mail, name, number] = [ann, ann_name, phone].map(|token| token.to_string());
    check(&format!("Write to {mail}, please."), &[(&ann, &mail)]);
    check(&format!("<{mail}>. \"{name}\"'s {number}\n"), &[(&ann, &mail), (&ann_name, &name), (&phone, &number)]);
    // What goes on is another word, but anything may stand before.
    check(&format!("{name}{mail}{number}"), &[(&phone, &number)]);
    check(&format!("{name},{mail};{number}"), &[(&ann_name, &name), (&ann, &mail), (&phone, &number)]);
    check(&format!("mailto:{mail}?cc={mail}"), &[(&ann, &mail), (&ann, &mail)]);
    let encoded = mail.replace('@', "%40");
    check(&format!("https://x.example/?to=%20{encoded}&n={number}#a"), &[(&ann, &encoded), (&phone, &number)]);
    let (upper, capital) = (mail.to_uppercase(), name.to_lowercase());
    check(&format!("{upper} {capital}"), &[(&ann, &upper), (&ann_name, &capital)]);
    check(
        &format!("{{\"to\":\"x\\n{mail}\"}} ist {name}、{name}さん"),
        &[(&ann, &mail), (&ann_name, &name), (&ann_name, &name)],
    );
}

#[test]
fn what_is_cut_or_goes_on_is_no_name() {
    let namer = support();
    let (mail, name) =
        (namer.name(Kind::Email, "a@b.example").to_string(), namer.name(Kind::PersonName, "a").to_string());
    for end in [".example", "x", "-x.example", "_", "1", ".1"] {
        check(&format!("{mail}{end}"), &[]);
    }
    for end in ["x", "_2", "0", "@example.com", "%40example.com", "X"] {
        check(&format!("{name}{end}"), &[]);
    }
    for cut in 0..mail.len() {
        check(&mail[..cut], &[]);
    }
    for cut in 0..name.len() {
        check(&name[..cut], &[]);
        if cut > 0 {
            check(&name[cut..], &[]);
        }
    }
    check(&mail.replace("person_", "phone_"), &[]);
    check(&mail.replace("person_", "person-"), &[]);
    check(&mail.replace('@', "%2540"), &[]);
    check(&mail.replace("pseudonym", "pseudonym2"), &[]);
}

/// Many underscores, and much that is nearly a name: the time is in proportion all the same, which no test can say; that
/// nothing is found twice, or over something else, one can.
#[test]
fn long_texts_of_near_misses_are_looked_through() {
    let name = support().name(Kind::PersonName, "a").to_string();
    for part in ["_", "person_", "person_0000000000000000000", "national_id_person_", &name, &format!("{name} ")] {
        let text = part.repeat(20_000);
        let found = find(&text);
        assert!(found.windows(2).all(|pair| pair[0].0.end <= pair[1].0.start), "{part}");
        let expected = if part.ends_with(' ') { 20_000 } else { usize::from(part == name) };
        assert_eq!(support().find(&text).len(), expected, "{part}");
    }
}

/// 20 bits say that a name was made here. Of 100,000 that are made up one in ten passes by chance once; the numbers are
/// always the same, so the test is too.
#[test]
fn made_up_names_are_told() {
    let (ours, other) = (support(), Root::new(&[8; 32]).namer("acme", "support"));
    let passed = (0..100_000).filter(|number| ours.is_own(&other.name(Kind::Email, &number.to_string()))).count();
    assert!(passed <= 2, "{passed}");
}

proptest! {
    #[test]
    fn the_same_has_the_same_name_and_nobody_else_does(
        (kind, other_kind) in (kind(), kind()), (tenant, other_tenant) in (".{0,12}", ".{0,12}"),
        (purpose, other_purpose) in (".{0,12}", ".{0,12}"), (form, other_form) in (".{0,40}", ".{0,40}"),
    ) {
        let token = namer(&tenant, &purpose).name(kind, &form);
        prop_assert_eq!(token, namer(&tenant, &purpose).name(kind, &form));
        prop_assert!(namer(&tenant, &purpose).is_own(&token));
        let others = [
            (&other_tenant, &purpose, kind, &form), (&tenant, &other_purpose, kind, &form),
            (&tenant, &purpose, other_kind, &form), (&tenant, &purpose, kind, &other_form), (&purpose, &tenant, kind, &form),
        ];
        for (a_tenant, a_purpose, a_kind, a_form) in others {
            let is_same = (a_tenant, a_purpose, a_kind, a_form) == (&tenant, &purpose, kind, &form);
            let another = namer(a_tenant, a_purpose).name(a_kind, a_form);
            prop_assert_eq!(another.id() == token.id(), is_same);
            // Nothing of it either: 40 bits that happen to be the same would be one in a million millions.
            prop_assert_eq!(another.id()[..8] == token.id()[..8], is_same);
        }
    }

    /// What goes on in letters behind is no name, which another test holds.
    #[test]
    fn a_name_is_found_exactly_in_any_surroundings(
        kind in kind(), form in ".{0,20}", before in ".{0,60}", gap in "[^0-9A-Za-z_@%.-]{1,4}", after in "([^0-9A-Za-z_@%.-].{0,60})?",
        upper: bool, encode: bool,
    ) {
        let namer = support();
        let token = namer.name(kind, &form);
        let mut written = token.to_string();
        if encode { written = written.replace('@', "%40"); }
        if upper { written.make_ascii_uppercase(); }
        let text = format!("{before}{written}{gap}{written}{after}");
        let found = namer.find(&text);
        let second = before.len() + written.len() + gap.len();
        let expected = [before.len()..before.len() + written.len(), second..second + written.len()];
        prop_assert_eq!(found, expected.map(|range| (range, token)));
    }

    #[test]
    fn an_altered_name_is_none(kind in kind(), form in ".{0,20}", at in 0..64_usize, letter in "[ -~\u{e9}]") {
        let namer = support();
        let token = namer.name(kind, &form);
        let text = token.to_string();
        let at = at % text.len();
        let changed = format!("{}{letter}{}", &text[..at], &text[at + 1..]);
        let found = namer.find(&changed);
        // What stood there, or it in another case.
        prop_assert_eq!(found.len() == 1, changed.eq_ignore_ascii_case(&text), "{}", changed);
    }

    #[test]
    fn no_text_is_too_much(text in "([a-z_@%.]|person_|%40|@pseudonym.invalid|[0-9a-hjkmnp-tv-z]{20}|\\PC){0,60}") {
        let found = find(&text);
        let distinct: HashSet<_> = found.iter().map(|(range, _)| range.start).collect();
        prop_assert_eq!(distinct.len(), found.len());
        for (range, token) in found {
            prop_assert!(text[range].replace("%40", "@").eq_ignore_ascii_case(&token.to_string()));
        }
    }
}
