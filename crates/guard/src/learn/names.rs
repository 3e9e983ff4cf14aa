//! What the names of fields say, and which of them may be shown.
//!
//! **Threat.** A server that answers with `{"ann@example.org": {…}}` has data for names, and what is shown of traffic is names only.
//! So a name that looks like data, or has anything in it that is not seen, is never shown: all fields beside it count as one.

use bartizan_detect::personal::{Personal, PersonalKind};
use bartizan_detect::secrets::Scanner;
use bartizan_mcp::is_unseen;

/// Characters of a name that is shown.
const LONGEST: usize = 48;
/// Digits of a number that names something.
const DIGITS: usize = 4;

/// What a field is by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NameKind {
    /// It lets somebody in.
    Secret,
    /// It says something about a person.
    Personal,
    /// It is for programs and not for readers.
    Internal,
}

/// Whether a name is one that the makers of a server chose, as far as that can be told, and not one of somebody's data.
pub(super) fn is_shown(name: &str) -> bool {
    let bare = name.strip_prefix(['@', '$']).unwrap_or(name);
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    let is_long = name.chars().count() > LONGEST;
    let is_hex = name.len() >= 8 && digits > 0 && name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let is_place = bare.contains(['@', '/', '\\', '\n']) || bare.contains("..") || name.contains("://");
    let is_number = digits >= DIGITS || digits > 0 && !name.chars().any(char::is_alphabetic);
    let is_plain = !name.is_empty() && !name.chars().any(is_unseen);
    is_plain
        && !(is_long || is_hex || is_place || is_number || is_secret(name))
        && !(may_name(name) && names_somebody(name))
}

/// Whether it lets somebody in itself, and does not only say so.
fn is_secret(name: &str) -> bool {
    !Scanner::built_in().look_at(name).is_empty()
}

/// Whether it is worth asking: names of people have several words, or begin with a large letter and have only small ones.
fn may_name(name: &str) -> bool {
    name.contains(' ') || name.starts_with(char::is_uppercase) && name.chars().skip(1).all(char::is_lowercase)
}

fn names_somebody(name: &str) -> bool {
    let told = Personal::built_in();
    told.look_text(name).iter().any(|found| found.kind == PersonalKind::PersonName || is_contact(found.kind))
}

/// Whether that is for reaching or telling one person, and not only what they are called.
pub(super) fn is_contact(kind: PersonalKind) -> bool {
    matches!(
        kind,
        PersonalKind::Email
            | PersonalKind::Phone
            | PersonalKind::Iban
            | PersonalKind::PaymentCard
            | PersonalKind::BankAccount
            | PersonalKind::NationalId
            | PersonalKind::TaxId
            | PersonalKind::Passport
            | PersonalKind::DrivingLicence
            | PersonalKind::HealthId
            | PersonalKind::DateOfBirth
            | PersonalKind::PostalAddress
    )
}

/// A name as one word of small letters.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What a name says.
pub(super) fn kind_of(name: &str) -> Option<NameKind> {
    const SECRETS: [&str; 10] = [
        "password",
        "passwd",
        "secret",
        "apikey",
        "accesskey",
        "privatekey",
        "accesstoken",
        "refreshtoken",
        "credential",
        "securitycode",
    ];
    const SECRET: [&str; 3] = ["token", "cvv", "pin"];
    const PERSONAL: [&str; 11] = [
        "email",
        "phone",
        "mobile",
        "birthdate",
        "dateofbirth",
        "birthday",
        "iban",
        "creditcard",
        "cardnumber",
        "socialsecurity",
        "passport",
    ];
    const PERSON: [&str; 3] = ["ssn", "dob", "fax"];
    const INTERNAL: [&str; 14] = [
        "links",
        "embedded",
        "etag",
        "hash",
        "sha",
        "checksum",
        "digest",
        "revision",
        "avatar",
        "avatarurl",
        "gravatarid",
        "thumbnail",
        "icon",
        "nodeid",
    ];
    let plain = plain(name);
    let has = |words: &[&str]| words.iter().any(|word| plain.contains(word));
    let is_internal = name.starts_with("__") || plain.ends_with("avatar") || plain.ends_with("checksum");
    if SECRET.contains(&&*plain) || has(&SECRETS) {
        Some(NameKind::Secret)
    } else if PERSON.contains(&&*plain) || has(&PERSONAL) {
        Some(NameKind::Personal)
    } else if is_internal || INTERNAL.contains(&&*plain) {
        Some(NameKind::Internal)
    } else {
        None
    }
}

/// Whether a text says nothing to a reader: a digest, or the address of an image.
pub(super) fn is_noise(text: &str) -> bool {
    const IMAGES: [&str; 6] = [".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp"];
    let is_digest = text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_short = text.len() <= 2_048 && text.starts_with("http");
    let path = if is_short { text.split(['?', '#']).next().unwrap_or_default() } else { "" };
    is_digest || IMAGES.iter().any(|ending| path.to_ascii_lowercase().ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_data_is_not_shown() {
        for name in [
            "id",
            "name",
            "first_name",
            "a b",
            "@type",
            "$ref",
            "x-y",
            "naïve",
            "漢字",
            "address2",
            "it's",
            "Total",
            "e.g.",
        ] {
            assert!(is_shown(name), "{name}");
        }
        let long = "x".repeat(49);
        for name in [
            "",
            "ann@example.org",
            "+49 30 901820",
            "17",
            "u-12345",
            "2026-11-29",
            "550e8400-e29b-41d4-a716-446655440000",
            "deadbeef1",
            "/srv/a",
            "https://a.example",
            "Ann Smith",
            "AKIAIOSFODNNBGHKLMNO",
            "a\u{202e}b",
            "a\nb",
            "\u{1b}[2J",
            &long,
        ] {
            assert!(!is_shown(name), "{name}");
        }
    }

    #[test]
    fn a_name_says_what_a_field_is() {
        for (name, kind) in [
            ("apiKey", Some(NameKind::Secret)),
            ("pin", Some(NameKind::Secret)),
            ("work_email", Some(NameKind::Personal)),
            ("DOB", Some(NameKind::Personal)),
            ("_links", Some(NameKind::Internal)),
            ("__typename", Some(NameKind::Internal)),
            ("spinner", None),
            ("name", None),
        ] {
            assert_eq!(kind_of(name), kind, "{name}");
        }
        assert!(is_noise("d41d8cd98f00b204e9800998ecf8427e") && is_noise("https://h.example/a.PNG?s=1"));
        assert!(!is_noise("https://h.example/a") && !is_noise("words"));
    }
}
