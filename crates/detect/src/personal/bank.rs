//! Numbers of cards and accounts, and of the banks that keep them.

use super::check;

/// How many characters an IBAN of each country has (the registry of ISO 13616), in the order of their letters.
const LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

/// The length of an IBAN that begins with these letters.
pub(super) fn iban_length(text: &[u8]) -> Option<usize> {
    let country = text.get(..2)?;
    let at = LENGTHS.binary_search_by(|(name, _)| name.as_bytes().cmp(country)).ok()?;
    LENGTHS.get(at).map(|(_, length)| *length)
}

/// Whether this is an IBAN: the length of its country, and what the remainder by 97 has to be.
pub(super) fn is_iban(text: &[u8]) -> bool {
    text.get(2..4).is_some_and(|check| check.iter().all(u8::is_ascii_digit))
        && iban_length(text) == Some(text.len())
        && check::mod97(text)
}

/// How sure one can be, without a word beside it, that these digits are of a card; 0 if they are of none.
pub(super) fn card(text: &[u8]) -> u16 {
    let length = text.len();
    if !(12..=19).contains(&length) || !check::luhn(text) {
        return 0;
    }
    let first = |digits: usize| check::number(text, 0, digits);
    let (two, three, four) = (first(2), first(3), first(4));
    let sure = match (two, length) {
        (40..=49, 16) | (51..=55, 16) => 800,
        (34 | 37, 15) => 800,
        (22..=27, 16) if (2221..=2720).contains(&four) || (2200..=2204).contains(&four) => 750,
        (60, 16) if four == 6011 => 750,
        (64, 16) if three >= 644 => 700,
        (35, 16) if (3528..=3589).contains(&four) => 750,
        (65, 16) | (62 | 81 | 82, 16) => 650,
        (18, 15) if four == 1800 => 600,
        (21, 15) if four == 2131 => 600,
        (30, 14) if three <= 305 || four == 3095 => 600,
        (36 | 38 | 39, 14) => 600,
        (40..=49, 13 | 19) => 450,
        (50 | 56..=69, 16) => 600,
        // Maestro and others of many lengths, which a word has to speak for.
        (50 | 56..=69 | 35 | 36 | 38 | 39, 12..=19) => 300,
        (97, 16) if four == 9792 => 600,
        _ => 0,
    };
    // All the same digit is nobody's.
    if text.iter().all(|byte| Some(byte) == text.first()) { 0 } else { sure }
}

/// Whether the groups of a card stand as they are printed.
pub(super) fn is_grouped_as_card(lengths: &[usize]) -> bool {
    match lengths {
        [_] | [4, 6, 4 | 5] | [4, 4, 4] | [6, 13] => true,
        [4, 4, 4, last] | [4, 4, 4, 4, last] => *last <= 4,
        _ => false,
    }
}

/// Whether these eight or eleven characters name a bank: four letters, a country, and a place (ISO 9362).
pub(super) fn is_bic(text: &[u8]) -> bool {
    let Some((bank, rest)) = text.split_at_checked(4) else { return false };
    let Some((country, place)) = rest.split_at_checked(2) else { return false };
    let others = [
        *b"US", *b"JP", *b"CN", *b"IN", *b"AU", *b"CA", *b"ZA", *b"SG", *b"HK", *b"KR", *b"MX", *b"TH", *b"MY", *b"NZ",
    ];
    matches!(text.len(), 8 | 11)
        && bank.iter().all(u8::is_ascii_uppercase)
        && (iban_length(country).is_some() || others.iter().any(|other| other == country))
        && place.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_in_order() {
        assert!(LENGTHS.is_sorted_by(|(one, _), (other, _)| one < other));
    }

    #[test]
    fn published_examples_are_valid_and_their_neighbours_are_not() {
        for text in
            ["GB82WEST12345698765432", "DE89370400440532013000", "FR1420041010050500013M02606", "NO9386011117947"]
        {
            assert!(is_iban(text.as_bytes()), "{text}");
            for at in 2..text.len() {
                let mut other = text.as_bytes().to_vec();
                other[at] = if other[at].is_ascii_digit() { b'0' + (other[at] - b'0' + 1) % 10 } else { b'Z' };
                assert!(!is_iban(&other) || other == text.as_bytes(), "{text} with another sign at {at}");
            }
        }
        for (text, least) in [
            ("4111111111111111", 800),
            ("5500005555555559", 800),
            ("378282246310005", 800),
            ("6011111111111117", 700),
            ("30569309025904", 600),
            ("3530111333300000", 700),
            ("2223003122003222", 700),
            ("4111111111111112", 0),
            ("1111111111111117", 0),
            ("0000000000000000", 0),
        ] {
            let sure = card(text.as_bytes());
            assert!(sure >= least && (least > 0 || sure == 0), "{text}: {sure}");
        }
        for (text, good) in
            [("DEUTDEFF", true), ("DEUTDEFF500", true), ("BOFAUS3N", true), ("PASSWORD", false), ("DEUTDE", false)]
        {
            assert_eq!(is_bic(text.as_bytes()), good, "{text}");
        }
    }
}
