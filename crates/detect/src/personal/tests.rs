//! All recognisers together: what each finds, what looks like it and is left, and that nothing panics.

use proptest::prelude::*;

use super::*;

/// Kind, name and text of all that is found.
fn found(text: &str) -> Vec<(&'static str, String, String)> {
    let personal = Personal::built_in();
    let found = personal.look(&Views::of(text));
    found.iter().map(|found| (found.kind.as_str(), found.name.to_owned(), found.value.to_string())).collect()
}

/// Whether something of that kind is found that says so.
fn finds(text: &str, kind: &str, value: &str) -> bool {
    found(text).iter().any(|found| found.0 == kind && found.2 == value)
}

#[test]
fn each_kind_is_found() {
    for (text, kind, value) in [
        ("Write to Ann.Lee+x@mail.example.org, please.", "email", "Ann.Lee+x@mail.example.org"),
        ("mailto:anna@example.org?subject=x", "email", "anna@example.org"),
        ("Phone: +44 (0)20 7946 0958", "phone", "+44 (0)20 7946 0958"),
        ("call me at (415) 555-0123", "phone", "(415) 555-0123"),
        ("Tel. 030 901820", "phone", "030 901820"),
        ("téléphone 01 99 00 12 34", "phone", "01 99 00 12 34"),
        ("\"phoneNumber\": \"415-555-0123\"", "phone", "415-555-0123"),
        ("pay to GB82 WEST 1234 5698 7654 32 today", "iban", "GB82 WEST 1234 5698 7654 32"),
        ("de89370400440532013000", "iban", "de89370400440532013000"),
        ("card 4111 1111 1111 1111", "payment_card", "4111 1111 1111 1111"),
        ("378282246310005", "payment_card", "378282246310005"),
        ("SSN: 536-90-4399", "national_id", "536-90-4399"),
        ("NINO AB 12 34 56 C", "national_id", "AB 12 34 56 C"),
        ("passport no. X1234567", "passport", "X1234567"),
        ("Reisepass C01X00T47", "passport", "C01X00T47"),
        ("driving licence 99 8877665", "driving_licence", "99 8877665"),
        ("MRN: 00482913", "health_id", "00482913"),
        ("routing number 021000021", "bank_id", "021000021"),
        ("sort code 20-00-00", "bank_id", "20-00-00"),
        ("BIC: DEUTDEFF500", "bank_id", "DEUTDEFF500"),
        ("account number 31926819", "bank_account", "31926819"),
        ("logged in from 203.0.113.77", "ip_address", "203.0.113.77"),
        ("host 2001:db8:85a3::8a2e:370:7334", "ip_address", "2001:db8:85a3::8a2e:370:7334"),
        ("eth0 00:1A:2B:3C:4D:5E", "mac_address", "00:1A:2B:3C:4D:5E"),
        ("born 14.03.1985 in a village", "date_of_birth", "14.03.1985"),
        ("DOB: 1985-03-14", "date_of_birth", "1985-03-14"),
        ("username: jdoe_84", "user_name", "jdoe_84"),
        ("see https://example.org/x?y=1.", "url", "https://example.org/x?y=1"),
    ] {
        assert!(finds(text, kind, value), "{text}: {:?}", found(text));
        // Wherever it stands.
        let later = format!("{}\n{text}\n", "Nothing to see here, only a few words. ".repeat(3));
        assert!(finds(&later, kind, value), "{later}: {:?}", found(&later));
    }
}

#[test]
fn a_passport_that_machines_read_is_found() {
    let lines = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10";
    assert!(found(lines).iter().any(|found| found.0 == "passport" && found.2 == lines), "{:?}", found(lines));
    let wrong = lines.replace("L898902C36", "L898902C37");
    assert!(!found(&wrong).iter().any(|found| found.1 == "machine_readable"));
}

#[test]
fn every_identifier_is_found_beside_its_word() {
    let personal = Personal::built_in();
    for id in ids::all() {
        let word = id.words.split('|').next().unwrap();
        for shape in id.shapes {
            for seed in 10..14 {
                let Some(number) = ids::made(id, shape, seed) else { continue };
                let text = format!("Your {word}: {number}.");
                let found = personal.look_text(&text);
                let told = found.iter().any(|found| *found.value == *number && found.kind != PersonalKind::Phone);
                assert!(told, "{} {text}: {found:?}", id.name);
            }
        }
    }
}

#[test]
fn what_looks_like_it_is_left() {
    for text in [
        "Order 4929123456789012 of 2026-11-28", // fails the check
        "version 1.2.3.4 of the library, build 20261128",
        "2026-11-28T09:30:00.123456789Z INFO took 123456 ms",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "550e8400-e29b-41d4-a716-446655440000",
        "let port = 8080; let size = 1048576;",
        "listening on 127.0.0.1:8080 and [::1]:8080 and 0.0.0.0",
        "std::collections::HashMap::new()",
        "price 1,299.99 or 12345.678901",
        "The ratio is 3.14159265358979323846",
        "@param name and user@localhost and a@b",
        "1577836800000 1577836800123",
        "ISBN 978-0-306-40615-7",
        "0x1234567890abcdef",
        "git clone git@example.org:team/project",
        "rows 100 200 300 400 500 600 700",
        "License: Apache-2.0, Copyright 2020-2026",
        "The API returns JSON over HTTP.",
        "fn main() { println!(\"Hello\"); }",
        "#![expect(clippy::indexing_slicing)]",
        "00:00:00:00:00:00 and ff:ff:ff:ff:ff:ff",
        "ratio 16:9, time 10:30:55, face:book",
        "id = 12345678, next_id = 123456789",
    ] {
        let weak = ["date", "url", "email"];
        let found: Vec<_> = found(text).into_iter().filter(|found| !weak.contains(&found.0)).collect();
        assert_eq!(found, [], "{text}");
    }
}

#[test]
fn names_and_addresses_are_found() {
    for (text, kind, value) in [
        ("My name is Katarzyna Wiśniewska and I need help.", "person_name", "Katarzyna Wiśniewska"),
        ("Best regards,\nThomas Brenner", "person_name", "Thomas Brenner"),
        ("Je m'appelle Camille Lefebvre.", "person_name", "Camille Lefebvre"),
        ("She moved to Lisbon last year.", "place", "Lisbon"),
    ] {
        assert!(finds(text, kind, value), "{text}: {:?}", found(text));
    }
    let found = found("Please send it to 12 Baker Street, Leeds.");
    assert!(found.iter().any(|found| found.0 == "postal_address" && found.2.contains("Baker Street")), "{found:?}");
}

#[test]
fn what_is_encoded_is_found_where_it_stands() {
    use base64::Engine as _;
    let inner = "please write to ann.lee@example.org about the invoice";
    let encoded = base64::engine::general_purpose::STANDARD.encode(inner);
    let text = format!("Some words.\n{encoded}\nMore of them.");
    let personal = Personal::built_in();
    let found = personal.look(&Views::of(&text));
    let email = found.iter().find(|found| found.kind == PersonalKind::Email).unwrap();
    assert_eq!((&*email.value, email.how.as_slice()), ("ann.lee@example.org", &[Encoding::Base64][..]));
    assert!(encoded.contains(text.get(email.span.clone()).unwrap()));
}

#[test]
fn a_value_that_stands_twice_is_told_once() {
    let personal = Personal::built_in();
    let text = "Ann.Lee@example.org wrote; reply to ann.lee@example.org or call +1 415 555 0123.";
    let found = personal.look_text(text);
    let email = found.iter().find(|found| found.kind == PersonalKind::Email).unwrap();
    assert_eq!(email.also.len(), 1);
    assert_eq!(text.get(email.also[0].clone()), Some("ann.lee@example.org"));
}

#[test]
fn an_operators_own_are_found() {
    let toml = r#"
        [[recogniser]]
        id = "custom.badge"
        pattern = 'BX-\d{4}-\u{2}'
        words = ["badge", "Dienstausweis"]
        confidence = 600

        [[recogniser]]
        id = "custom.member"
        pattern = '[1-9]\d{6,8}'
        check = "luhn"
        words = ["member"]
        words_required = true
    "#;
    let personal = Personal::with_own(toml).unwrap();
    let found = |text: &str| {
        let found = personal.look_text(text);
        found.iter().map(|found| (found.name.to_owned(), found.value.to_string(), found.confidence)).collect::<Vec<_>>()
    };
    assert_eq!(found("see BX-1234-QR."), [("custom.badge".to_owned(), "BX-1234-QR".to_owned(), 600)]);
    assert_eq!(found("Dienstausweis BX-1234-QR")[0].2, 850);
    assert!(found("see BX-1234-QRS, BX-123-QR, aBX-1234-QR").is_empty());
    assert_eq!(found("member 79927398713: 7992739871, member 18930210").len(), 0);
    assert_eq!(found("member 17893729").len(), 0);
    let valid = (10_000_000..).map(|n: u32| n.to_string()).find(|text| check::luhn(text.as_bytes())).unwrap();
    assert_eq!(found(&format!("member {valid}"))[0].0, "custom.member");
    assert!(found(&format!("number {valid}")).is_empty());
    assert_eq!(personal.own().collect::<Vec<_>>(), ["custom.badge", "custom.member"]);
}

#[test]
fn what_is_wrong_with_an_operators_own_is_told_with_its_place() {
    let good = "[[recogniser]]\nid = \"custom.badge\"\npattern = 'BX-\\d{4}'\n";
    assert!(Personal::with_own(good).is_ok());
    for (from, to, place, what) in [
        ("custom.badge", "badge", (2, 6), "none of an operator's"),
        ("BX-", "(BX)-", (3, 11), "no meaning"),
        ("\\d{4}", "\\d{400}", (3, 11), "write `{3}`"),
        ("\\d{4}", "[A-", (3, 11), "not closed"),
        ("BX-\\d{4}", "x?y?", (3, 11), "three characters"),
        ("pattern", "check = \"crc\"\npattern", (3, 9), "no such check"),
        ("pattern", "confidence = 5\npattern", (3, 14), "that sure"),
        ("pattern", "words_required = true\npattern", (2, 6), "words are required"),
        ("pattern", "words = [\"two words\"]\npattern", (3, 10), "single word"),
        ("pattern", "regex", (3, 1), "unknown field `regex`"),
    ] {
        let text = good.replacen(from, to, 1);
        let problem = Personal::with_own(&text).unwrap_err();
        assert!(problem.what.contains(what) || problem.help.contains(what), "{text}: {problem}");
        assert_eq!((problem.line, problem.column), place, "{text}: {problem}");
    }
    assert!(Personal::with_own(&format!("{good}{good}")).unwrap_err().what.contains("two recognisers"));
}

#[test]
fn hostile_texts_end() {
    for piece in [
        "@", "a@", "7", "7 ", "4111 ", "1.", ":", "ab:", "A", "A ", "Aa ", "<<", "-", "phone 1 ", "username", "é",
        "É ", "BIC ",
    ] {
        let text = piece.repeat(300_000 / piece.len());
        assert!(Personal::built_in().look_text(&text).len() <= text.len(), "{piece}");
    }
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~\n]{0,12}",
        "\\PC{0,6}",
        "[0-9 ./()+-]{0,16}",
        "[A-Z][a-zé]{1,7} ",
        Just("phone ".to_owned()),
        Just("born ".to_owned()),
        Just("+44 20 7946 0958".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("a.b@example.org".to_owned()),
        Just("12 High Street, Leeds\n".to_owned()),
        Just("P<UTOERIKSSON<<".to_owned()),
        Just("2001:db8::".to_owned()),
        Just("身份证号".to_owned()),
        Just("4pm é\u{301}".to_owned()),
    ]
}

proptest! {
    #[test]
    fn places_are_in_bounds_whole_and_apart(pieces in proptest::collection::vec(piece(), 0..20)) {
        let text = pieces.concat();
        let personal = Personal::built_in();
        for found in [personal.look_text(&text), personal.look(&Views::of(&text))] {
            for found in &found {
                let mut end = 0;
                for place in std::iter::once(&found.span).chain(&found.also) {
                    prop_assert!(place.start < place.end && place.start >= end, "{found:?}");
                    prop_assert!(text.get(place.clone()).is_some(), "{found:?}");
                    end = place.end;
                }
                prop_assert!((400..=999).contains(&found.confidence));
                let once = normal(found.kind, &found.value);
                prop_assert_eq!(normal(found.kind, &once), once);
            }
        }
    }
}
