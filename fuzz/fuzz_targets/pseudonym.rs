//! Names in any text: what is found reads like a name, in order and once, nothing that was not made here is ours, and what was is
//! found wherever it stands. Numbers come back as they were.
#![no_main]

use bartizan_pseudonym::{Kind, Root, find};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let root = Root::new(&[7; 32]);
    let namer = root.namer("acme", "support");
    let mut end = 0;
    for (range, token) in find(text) {
        assert!(range.start >= end, "one over another");
        end = range.end;
        let read = text.get(range).unwrap_or_default().replace("%40", "@");
        assert!(read.eq_ignore_ascii_case(&token.to_string()));
    }
    // The text is data of its own, and stands around its name.
    for kind in [Kind::Email, Kind::PersonName, Kind::NationalId] {
        let token = namer.name(kind, text);
        let around = format!("{text}{token} {text}");
        let at = text.len()..text.len() + token.to_string().len();
        assert!(namer.find(&around).contains(&(at, token)), "{kind:?}");
    }
    let Ok(preserving) = root.preserving("acme", "support") else { return };
    if let Ok(encrypted) = preserving.encrypt_digits(Kind::Phone, text) {
        assert_eq!(preserving.decrypt_digits(Kind::Phone, &encrypted).as_deref().map(String::as_str), Ok(text));
    }
    if let Ok(encrypted) = preserving.encrypt_alphanumerics(Kind::Iban, text) {
        assert_eq!(preserving.decrypt_alphanumerics(Kind::Iban, &encrypted).as_deref().map(String::as_str), Ok(text));
    }
    if let Ok(encrypted) = preserving.encrypt_luhn(Kind::PaymentCard, text) {
        assert_eq!(preserving.decrypt_luhn(Kind::PaymentCard, &encrypted).as_deref().map(String::as_str), Ok(text));
    }
});
