//! One spelling for each value, so that the same value written twice is known to be the same.

use unicode_normalization::UnicodeNormalization as _;

use super::{PersonalKind, fold};

/// The value of that kind as one spelling among all it may have. It is for comparing only: a name without accents is no name.
#[must_use]
pub fn normal(kind: PersonalKind, text: &str) -> String {
    let is_number = matches!(kind, PersonalKind::Phone | PersonalKind::PaymentCard | PersonalKind::BankAccount);
    if text.is_ascii() || !is_number {
        return spelled(kind, text);
    }
    let text: String = text.nfkc().collect();
    // Digits of other scripts would be left out of what distinguishes it.
    if text.chars().any(|c| c.is_numeric() && !c.is_ascii_digit()) { text } else { spelled(kind, &text) }
}

fn spelled(kind: PersonalKind, text: &str) -> String {
    match kind {
        PersonalKind::Email | PersonalKind::UserName if text.is_ascii() => text.to_ascii_lowercase(),
        PersonalKind::Email | PersonalKind::UserName => text.nfc().flat_map(char::to_lowercase).collect(),
        PersonalKind::Phone => phone(text),
        PersonalKind::PaymentCard | PersonalKind::BankAccount => digits(text),
        PersonalKind::Iban
        | PersonalKind::BankId
        | PersonalKind::NationalId
        | PersonalKind::TaxId
        | PersonalKind::Passport
        | PersonalKind::DrivingLicence
        | PersonalKind::HealthId => {
            text.chars().filter(|c| c.is_alphanumeric() || *c == '<').flat_map(char::to_uppercase).collect()
        }
        PersonalKind::MacAddress => {
            text.chars().filter(char::is_ascii_hexdigit).map(|c| c.to_ascii_lowercase()).collect()
        }
        PersonalKind::IpAddress => ip(text),
        PersonalKind::DateOfBirth | PersonalKind::Date | PersonalKind::Age | PersonalKind::PostalCode => {
            words(text, ' ')
        }
        PersonalKind::PersonName
        | PersonalKind::Organisation
        | PersonalKind::Place
        | PersonalKind::PostalAddress
        | PersonalKind::Nationality
        | PersonalKind::Title => words(text, ' '),
        PersonalKind::Url | PersonalKind::Own => text.trim().to_owned(),
    }
}

/// Digits, with a plus if it was written for abroad. An extension is of it, and `(0)` is not.
fn phone(text: &str) -> String {
    let digits = if text.contains("(0)") { digits(&text.replace("(0)", "")) } else { digits(text) };
    if text.contains('+') {
        return format!("+{digits}");
    }
    match digits.strip_prefix("00") {
        Some(abroad) => format!("+{abroad}"),
        None => digits,
    }
}

fn digits(text: &str) -> String {
    let mut digits = String::with_capacity(text.len());
    digits.extend(text.chars().filter(char::is_ascii_digit));
    digits
}

fn ip(text: &str) -> String {
    match text.parse::<core::net::IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => text.to_lowercase(),
    }
}

/// Words without case, accents and signs.
fn words(text: &str, between: char) -> String {
    let mut written = String::with_capacity(text.len());
    let mut add = |c: char| {
        if c.is_alphanumeric() {
            written.push(fold::letter(c));
        } else if !written.ends_with(between) && !written.is_empty() && !matches!(c, '\'' | '\u{2019}' | '.') {
            written.push(between);
        }
    };
    // Composing takes much longer than the rest, and ASCII is composed.
    if text.is_ascii() {
        text.chars().for_each(&mut add);
    } else {
        text.nfc().for_each(&mut add);
    }
    written.truncate(written.trim_end_matches(between).len());
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_a_value_are_the_same() {
        use PersonalKind::*;
        for (kind, one, other) in [
            (Email, "Ann.Lee@Example.org", "ann.lee@example.org"),
            (Phone, "+44 (0)20 7946 0958", "0044 20-7946-0958"),
            (Phone, "(415) 555-0123", "415.555.0123"),
            (PaymentCard, "4111 1111-1111 1111", "4111111111111111"),
            (Iban, "gb82 WEST 1234 5698 7654 32", "GB82WEST12345698765432"),
            (NationalId, "078-05-1120", "078 05 1120"),
            (MacAddress, "00:1A:2B:3C:4D:5E", "00-1a-2b-3c-4d-5e"),
            (IpAddress, "2001:DB8:0:0::1", "2001:db8::1"),
            (PersonName, "José  García", "jose garcia"),
            (PersonName, "J. R. Müller", "J R Muller"),
            (PersonName, "O’Brien", "O'Brien"),
            (PostalAddress, "12 High Street,\nLeeds", "12 high street, Leeds"),
            (PaymentCard, "\u{FF14}\u{FF11}\u{FF12}", "412"),
        ] {
            assert_eq!(normal(kind, one), normal(kind, other), "{kind:?}");
        }
        assert_ne!(normal(PersonName, "Ann Lee"), normal(PersonName, "Anna Lee"));
        assert_ne!(normal(PaymentCard, "\u{0661}\u{0662}"), normal(PaymentCard, "\u{0663}\u{0664}"));
        for kind in PersonalKind::ALL {
            let once = normal(kind, " Zoë: +1 (0) 5 ");
            assert_eq!(normal(kind, &once), once, "{kind:?}");
        }
    }
}
