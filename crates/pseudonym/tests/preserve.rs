//! A number stays a number of its form, comes back as it was, and is another one for everybody else.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use bartizan_pseudonym::{Kind, Preserving, Root, Unfit};
use proptest::prelude::*;

fn preserving(tenant: &str, purpose: &str) -> Preserving {
    Root::new(&[7; 32]).preserving(tenant, purpose).unwrap()
}

fn support() -> Preserving {
    preserving("acme", "support")
}

/// The text with a mark in the place of each letter and digit.
fn shape(text: &str) -> String {
    text.chars().map(|letter| if letter.is_ascii_alphanumeric() { 'x' } else { letter }).collect()
}

fn is_luhn(text: &str) -> bool {
    let digits = text.chars().rev().filter_map(|letter| letter.to_digit(10));
    let doubled = digits.enumerate().map(|(at, digit)| digit * if at % 2 == 1 { 2 } else { 1 });
    doubled.map(|digit| digit / 10 + digit % 10).sum::<u32>().is_multiple_of(10)
}

#[test]
fn what_would_stay_in_the_clear_or_can_be_tried_is_refused() {
    for (text, why) in [
        ("12345", Unfit::Short),
        ("", Unfit::Short),
        ("+49-", Unfit::Short),
        ("DE12 3456 7890", Unfit::Letter),
        // Digits of another script are no separators.
        ("12345678\u{0663}", Unfit::Letter),
        (&"1".repeat(73), Unfit::Long),
        (&"1".repeat(1_000_000), Unfit::Long),
    ] {
        assert_eq!(support().encrypt_digits(Kind::Phone, text).unwrap_err(), why, "{text:.20}");
        assert_eq!(support().decrypt_digits(Kind::Phone, text).unwrap_err(), why, "{text:.20}");
    }
    for (text, why) in [("ABC", Unfit::Short), ("de12 3456", Unfit::Letter), (&"A".repeat(47), Unfit::Long)] {
        assert_eq!(support().encrypt_alphanumerics(Kind::Iban, text).unwrap_err(), why, "{text:.20}");
    }
    for (text, why) in [("", Unfit::Short), ("4111 1111 1111 1112", Unfit::Luhn), ("000000", Unfit::Short)] {
        assert_eq!(support().encrypt_luhn(Kind::PaymentCard, text).unwrap_err(), why, "{text}");
    }
}

#[test]
fn a_card_stays_one() {
    let card = "4111-1111 1111 1111";
    let other = support().encrypt_luhn(Kind::PaymentCard, card).unwrap();
    assert!(is_luhn(&other) && *other != card && shape(&other) == shape(card), "{}", *other);
    assert_eq!(*support().decrypt_luhn(Kind::PaymentCard, &other).unwrap(), card);
    // Without the formula it is another number, so that the two tell nothing about each other.
    assert_ne!(*support().encrypt_digits(Kind::PaymentCard, card).unwrap(), *other);
}

proptest! {
    #[test]
    fn digits_come_back_with_what_separates_them(text in "[+(]?([0-9]{1,4}[ ()/.\u{2013}-]?){6,16}") {
        let encrypted = support().encrypt_digits(Kind::Phone, &text).unwrap();
        prop_assert_eq!(shape(&encrypted), shape(&text));
        let again = support().encrypt_digits(Kind::Phone, &text).unwrap();
        prop_assert_eq!(encrypted.as_str(), again.as_str());
        let decrypted = support().decrypt_digits(Kind::Phone, &encrypted).unwrap();
        prop_assert_eq!(decrypted.as_str(), text);
    }

    #[test]
    fn capitals_come_back_too(text in "([0-9A-Z]{1,4}[ -]?){4,11}") {
        let encrypted = support().encrypt_alphanumerics(Kind::Iban, &text).unwrap();
        prop_assert_eq!(shape(&encrypted), shape(&text));
        let decrypted = support().decrypt_alphanumerics(Kind::Iban, &encrypted).unwrap();
        prop_assert_eq!(decrypted.as_str(), text);
    }

    #[test]
    fn numbers_of_luhn_stay_such(digits in "[0-9]{6,24}", gaps: bool) {
        let text = (0..10).map(|last| format!("{digits}{}{last}", if gaps { " " } else { "" })).find(|text| is_luhn(text)).unwrap();
        let encrypted = support().encrypt_luhn(Kind::PaymentCard, &text).unwrap();
        prop_assert!(is_luhn(&encrypted));
        prop_assert_eq!(shape(&encrypted), shape(&text));
        let decrypted = support().decrypt_luhn(Kind::PaymentCard, &encrypted).unwrap();
        prop_assert_eq!(decrypted.as_str(), text);
    }

    #[test]
    fn somebody_else_has_another_number(text in "[0-9]{12,20}", tenant in "[a-z]{1,8}", purpose in "[a-z]{1,8}") {
        let ours = preserving(&tenant, &purpose).encrypt_digits(Kind::Phone, &text).unwrap();
        let others = [
            preserving(&format!("{tenant}x"), &purpose).encrypt_digits(Kind::Phone, &text),
            preserving(&tenant, &format!("x{purpose}")).encrypt_digits(Kind::Phone, &text),
            preserving(&format!("{tenant}x"), purpose.get(1..).unwrap()).encrypt_digits(Kind::Phone, &text),
            preserving(&tenant, &purpose).encrypt_digits(Kind::NationalId, &text),
        ];
        for other in others {
            let other = other.unwrap();
            prop_assert_ne!(ours.as_str(), other.as_str());
        }
    }
}
