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

fn is_iban(text: &str) -> bool {
    let (head, tail) = text.split_at(4);
    let rest = tail.chars().chain(head.chars()).map(|c| c.to_digit(36).unwrap());
    rest.fold(0, |sum, value| (sum * if value < 10 { 10 } else { 100 } + value) % 97) == 1
}

#[test]
fn what_stands_for_a_number_is_one_of_its_kind() {
    let namer = Root::new(&[7; 32]).namer("acme", "support");
    for (kind, form, kept) in [
        (Kind::PaymentCard, "4111111111111111", "41"),
        (Kind::PaymentCard, "378282246310005", "37"),
        (Kind::Iban, "DE89370400440532013000", "DE"),
        (Kind::Iban, "GB82WEST12345698765432", "GB"),
        (Kind::Phone, "+4930901820", "+49"),
        (Kind::Phone, "+12025550123", "+1"),
        (Kind::Phone, "+35312345678", "+353"),
        (Kind::Phone, "030901820", "0"),
        (Kind::BankAccount, "123456789012", ""),
        (Kind::BankAccount, "000123456", "000"),
        (Kind::NationalId, "QQ123456C", "QQ"),
        (Kind::Own, "BX-123456-AA", "BX-"),
    ] {
        let number = namer.number(kind, form).unwrap();
        let made = number.form();
        assert!(made != form && shape(made) == shape(form) && made.starts_with(kept), "{form}: {made}");
        assert_eq!(namer.number(kind, form).unwrap(), number);
        assert_eq!(namer.number_token(kind, made), number.token());
        assert!(namer.is_own(&number.token()) && number.token().kind() == kind);
        assert_ne!(number.token(), namer.name(kind, made), "a number is kept under another name than a value");
        assert_ne!(Root::new(&[7; 32]).namer("acme", "sales").number(kind, form).unwrap().form(), made);
        match kind {
            Kind::PaymentCard => assert!(is_luhn(made), "{made}"),
            Kind::Iban => assert!(is_iban(form) && is_iban(made), "{made}"),
            _ => {}
        }
    }
    for (kind, form) in [
        (Kind::BankAccount, "12345"),
        (Kind::BankAccount, "00012345"),
        (Kind::PaymentCard, "4111111111111112"),
        (Kind::PaymentCard, ""),
        (Kind::Iban, "MT"),
        (Kind::Phone, "+49"),
        (Kind::NationalId, "1234567\u{0663}"),
        (Kind::Date, "2024-12-24"),
        (Kind::IpAddress, "192.168.100.200"),
        (Kind::PersonName, "1234567890"),
        (Kind::Own, &"1".repeat(100_000)),
    ] {
        assert!(namer.number(kind, form).is_none(), "{form:.20}");
    }
}

/// Where two numbers became one, one of two people would get what is the other's.
#[test]
fn no_two_numbers_become_the_same() {
    let preserving = support();
    let mut seen = std::collections::HashSet::new();
    for number in (1_000_000_u64..10_000_000).step_by(9_001).chain(2_147_483_000..2_147_484_000) {
        let made = preserving.stand_in(Kind::TaxId, &number.to_string()).unwrap();
        assert_eq!(
            preserving.stand_in(Kind::NationalId, &number.to_string()).unwrap(),
            made,
            "whatever it is taken for"
        );
        assert!(seen.insert(made.to_string()), "{number}");
    }
}

proptest! {
    #[test]
    fn what_a_program_holds_it_holds_still(number in prop_oneof![1_000_000..=u64::MAX, 1_000_000..10_000_000_000_u64, 8_000_000_000_000_000..9_999_999_999_999_999_u64]) {
        let text = number.to_string();
        let made = support().stand_in(Kind::BankAccount, &text).unwrap();
        prop_assert!(made.len() == text.len() && !made.starts_with('0') && *made != text);
        let made: u128 = made.parse().unwrap();
        for bound in [i32::MAX as u128, u32::MAX.into(), (1 << 53) - 1, i64::MAX as u128, u64::MAX.into()] {
            prop_assert_eq!(u128::from(number) > bound, made > bound, "{}", bound);
        }
    }
}
