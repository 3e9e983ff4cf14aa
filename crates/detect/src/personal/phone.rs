//! Numbers of telephones: international ones by calling code and length, others by how they are written and what stands
//! beside them.

/// Calling codes (ITU-T E.164) with the least and most digits behind them; longer codes before those that they begin with.
const CODES: &[(&str, u8, u8)] = &[
    ("1", 10, 10),
    ("7", 10, 10),
    ("20", 8, 10),
    ("27", 9, 9),
    ("30", 10, 10),
    ("31", 9, 9),
    ("32", 8, 9),
    ("33", 9, 9),
    ("34", 9, 9),
    ("36", 8, 9),
    ("39", 6, 11),
    ("40", 9, 9),
    ("41", 9, 9),
    ("43", 4, 13),
    ("44", 9, 10),
    ("45", 8, 8),
    ("46", 7, 10),
    ("47", 8, 8),
    ("48", 9, 9),
    ("49", 6, 12),
    ("51", 8, 9),
    ("52", 10, 11),
    ("53", 6, 8),
    ("54", 10, 11),
    ("55", 10, 11),
    ("56", 9, 9),
    ("57", 10, 10),
    ("58", 10, 10),
    ("60", 8, 10),
    ("61", 9, 9),
    ("62", 7, 12),
    ("63", 8, 10),
    ("64", 8, 10),
    ("65", 8, 8),
    ("66", 8, 9),
    ("81", 9, 10),
    ("82", 8, 10),
    ("84", 9, 10),
    ("86", 10, 11),
    ("90", 10, 10),
    ("91", 10, 10),
    ("92", 9, 10),
    ("93", 9, 9),
    ("94", 9, 9),
    ("95", 7, 10),
    ("98", 10, 10),
    // All others have three digits.
    ("21", 8, 10),
    ("22", 7, 10),
    ("23", 7, 11),
    ("24", 7, 11),
    ("25", 7, 11),
    ("26", 7, 11),
    ("29", 5, 9),
    ("35", 6, 11),
    ("37", 7, 10),
    ("38", 8, 11),
    ("42", 8, 11),
    ("50", 6, 9),
    ("59", 7, 10),
    ("67", 6, 9),
    ("68", 5, 8),
    ("69", 5, 8),
    ("85", 8, 10),
    ("88", 8, 12),
    ("96", 7, 11),
    ("97", 8, 11),
    ("99", 8, 11),
];

/// For each two digits that a number with its calling code begins with, the least and most digits of it in all.
#[expect(clippy::indexing_slicing, reason = "a constant is computed by the compiler, and there is no other way in one")]
static LENGTHS: [(u8, u8); 100] = {
    let mut lengths = [(u8::MAX, 0); 100];
    let mut at = 0;
    while at < CODES.len() {
        let (code, least, most) = CODES[at];
        let code = code.as_bytes();
        let (first, mut last, length) = ((code[0] - b'0') as usize * 10, 9, code.len() as u8);
        let mut second = 0;
        if code.len() == 2 {
            second = (code[1] - b'0') as usize;
            last = second;
        }
        while second <= last {
            lengths[first + second] = (least + length, most + length);
            second += 1;
        }
        at += 1;
    }
    lengths
};

/// Whether digits may be a number with its calling code.
pub(super) fn is_international(digits: &[u8]) -> bool {
    let [first, second, ..] = digits else { return false };
    let code = usize::from(first.wrapping_sub(b'0')) * 10 + usize::from(second.wrapping_sub(b'0'));
    (7..=15).contains(&digits.len())
        && LENGTHS
            .get(code)
            .is_some_and(|(least, most)| (usize::from(*least)..=usize::from(*most)).contains(&digits.len()))
}

/// How sure one can be, without a word beside it, that this is a number of a telephone; the lengths of its groups say most.
pub(super) fn by_form(raw: &str, lengths: &[usize], first: u8) -> u16 {
    let sign = |sign: char| raw.contains(sign);
    match lengths {
        // North America: neither the area nor the exchange begins with 0 or 1.
        [3, 3, 4] if north_american(raw) && !sign('/') => {
            if sign('-') || sign(')') {
                700
            } else {
                550
            }
        }
        [1, 3, 3, 4] if first == b'1' && north_american(raw.get(1..).unwrap_or_default()) => 650,
        // France; rows of bytes look alike.
        [2, 2, 2, 2, 2] if first == b'0' && !sign('/') => 500,
        // Numbers that begin with the 0 of another town.
        [3, 4, 4] | [4, 3, 4] | [5, 6] | [5, 3, 3] | [4, 3, 3] | [3, 3, 2, 2] | [4, 3, 2, 2] | [4, 2, 2, 2]
            if first == b'0' && !sign('.') =>
        {
            550
        }
        _ => 0,
    }
}

fn north_american(raw: &str) -> bool {
    let mut digits = raw.bytes().filter(u8::is_ascii_digit);
    let (area, exchange) = (digits.next(), digits.nth(2));
    let begins = |byte: Option<u8>| matches!(byte, Some(b'2'..=b'9'));
    begins(area) && begins(exchange)
}

/// Whether these groups may be a number where something beside them says so.
pub(super) fn is_plausible(lengths: &[usize], digits: usize, raw: &str) -> bool {
    if !(6..=13).contains(&digits) || lengths.iter().any(|length| *length > 12) {
        return false;
    }
    let dotted = raw.bytes().filter(|byte| *byte == b'.').count();
    (lengths.len() == 1 || dotted == 0 || dotted + 1 == lengths.len())
        && !(lengths.len() == 4 && dotted == 3)
        && !looks_like_date(lengths, raw)
}

fn looks_like_date(lengths: &[usize], raw: &str) -> bool {
    let year = |text: Option<&str>| text.is_some_and(|text| text.starts_with("19") || text.starts_with("20"));
    match lengths {
        [4, 1 | 2, 1 | 2] => year(raw.get(..4)) && !raw.contains(' '),
        [1 | 2, 1 | 2, 4] => year(raw.len().checked_sub(4).and_then(|at| raw.get(at..))) && !raw.contains(' '),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calling_code_and_enough_digits_are_a_number() {
        for digits in
            ["14155550123", "442079460958", "4930123456", "33612345678", "35312345678", "8613800138000", "37069912345"]
        {
            assert!(is_international(digits.as_bytes()), "{digits}");
        }
        for digits in ["1415555012", "999", "0044207946", "4420794609581234", "28123456789", ""] {
            assert!(!is_international(digits.as_bytes()), "{digits}");
        }
    }
}
