//! Check digits: what tells a number that was issued from one that only looks like it.
//!
//! All take digits and capital letters of ASCII without what separates them. What has another form fails the check.

/// The digit at a place; 0 beyond the end and for letters, which the shape has ruled out by then.
pub(super) fn digit(text: &[u8], at: usize) -> u32 {
    text.get(at).filter(|byte| byte.is_ascii_digit()).map_or(0, |byte| u32::from(byte - b'0'))
}

/// The number that stands from `start` on in `length` digits, of which there are at most eighteen.
pub(super) fn number(text: &[u8], start: usize, length: usize) -> u64 {
    (start..start + length).fold(0, |number, at| number * 10 + u64::from(digit(text, at)))
}

/// The sum of digits, each times its weight.
pub(super) fn weighted(text: &[u8], weights: &[u32]) -> u32 {
    weights.iter().enumerate().map(|(at, weight)| digit(text, at) * weight).sum()
}

/// The last digit makes the sum a multiple of ten, where every other digit counts twice (ISO/IEC 7812).
pub(super) fn luhn(text: &[u8]) -> bool {
    let value = |(from_right, byte): (usize, &u8)| {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        let doubled = digit * (1 + from_right as u32 % 2);
        doubled / 10 + doubled % 10
    };
    text.len() > 1
        && text.iter().all(u8::is_ascii_digit)
        && text.iter().rev().enumerate().map(value).sum::<u32>().is_multiple_of(10)
}

/// The remainder by 97 of a number in which letters stand for 10 to 35 (ISO 7064 MOD 97-10).
pub(super) fn remainder_97(text: impl Iterator<Item = u8>) -> u32 {
    text.fold(0, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        b'A'..=b'Z' => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
        _ => rest,
    })
}

/// The first four characters moved to the end leave one (ISO 13616).
pub(super) fn mod97(text: &[u8]) -> bool {
    let Some((first, rest)) = text.split_at_checked(4) else { return false };
    remainder_97(rest.iter().chain(first).copied()) == 1
}

/// Verhoeff's check by the dihedral group of ten (1969): the number times its permutation ends in nothing.
pub(super) fn verhoeff(text: &[u8]) -> bool {
    const SHIFT: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let mut sum = 0;
    for (place, byte) in text.iter().rev().enumerate() {
        if !byte.is_ascii_digit() {
            return false;
        }
        let mut digit = u32::from(byte - b'0');
        for _ in 0..place % 8 {
            digit = SHIFT.get(digit as usize).copied().unwrap_or(0);
        }
        sum = turn(sum, digit);
    }
    text.len() > 1 && sum == 0
}

/// The product of two turns or flips of a pentagon.
fn turn(one: u32, other: u32) -> u32 {
    match (one / 5, other / 5) {
        (0, 0) => (one + other) % 5,
        (0, _) => 5 + (one + other) % 5,
        (_, 0) => 5 + (one + 5 - other % 5) % 5,
        _ => (one + 5 - other % 5) % 5,
    }
}

/// ISO 7064 MOD 11,10.
pub(super) fn mod11_10(text: &[u8]) -> bool {
    let Some((last, rest)) = text.split_last() else { return false };
    let product = rest.iter().fold(10, |product, byte| {
        let sum = (product + u32::from(byte.wrapping_sub(b'0'))) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    text.iter().all(u8::is_ascii_digit) && !rest.is_empty() && (11 - product) % 10 == u32::from(last - b'0')
}

/// Weights 2, 3, 4 and so on from the right, the last of which is the check digit, add up to a multiple of eleven; X is ten.
pub(super) fn mod11(text: &[u8]) -> bool {
    let Some((last, rest)) = text.split_last() else { return false };
    let last = match last {
        b'0'..=b'9' => u32::from(last - b'0'),
        b'X' => 10,
        _ => return false,
    };
    let value = |(at, byte): (usize, &u8)| u32::from(byte.wrapping_sub(b'0')) * (2 + at as u32);
    let sum: u32 = rest.iter().rev().take(100).enumerate().map(value).sum();
    rest.iter().all(u8::is_ascii_digit) && !rest.is_empty() && (sum + last).is_multiple_of(11)
}

/// The check digit of goods (GTIN, EAN-13): weights 1 and 3 in turns.
pub(super) fn ean(text: &[u8]) -> bool {
    let value = |(at, byte): (usize, &u8)| u32::from(byte.wrapping_sub(b'0')) * if at % 2 == 0 { 1 } else { 3 };
    text.len() > 1
        && text.iter().all(u8::is_ascii_digit)
        && text.iter().rev().enumerate().map(value).sum::<u32>().is_multiple_of(10)
}

/// Weights 7, 3 and 1 in turns, letters from 10 on, `<` for nothing: the check digit of passports (ICAO 9303).
pub(super) fn icao(text: &[u8]) -> u32 {
    let value = |byte: &u8| match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        b'A'..=b'Z' => u32::from(byte - b'A') + 10,
        _ => 0,
    };
    text.iter().zip([7, 3, 1].into_iter().cycle()).map(|(byte, weight)| value(byte) * weight).sum::<u32>() % 10
}

/// Nine digits of a bank in the United States: weights 3, 7 and 1 in turns.
pub(super) fn aba(text: &[u8]) -> bool {
    let prefix = number(text, 0, 2);
    text.len() == 9
        && text.iter().all(u8::is_ascii_digit)
        && matches!(prefix, 1..=12 | 21..=32 | 61..=72 | 80)
        && weighted(text, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
}

/// Whether there may be such a day.
pub(super) fn is_day(month: u64, day: u64) -> bool {
    let days = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// Year, month and day in two digits each, from `at` on.
pub(super) fn yymmdd(text: &[u8], at: usize) -> bool {
    is_day(number(text, at + 2, 2), number(text, at + 4, 2))
}

/// Day, month and year in two digits each, from `at` on.
pub(super) fn ddmmyy(text: &[u8], at: usize) -> bool {
    is_day(number(text, at + 2, 2), number(text, at, 2))
}

/// Whether a number is valid.
pub(super) type Check = fn(&[u8]) -> bool;

/// A check by its name, as operators write it.
pub(super) fn named(name: &str) -> Option<Check> {
    Some(match name {
        "luhn" => luhn,
        "mod97" => mod97,
        "mod11" => mod11,
        "mod11_10" => mod11_10,
        "verhoeff" => verhoeff,
        "ean" => ean,
        "aba" => aba,
        _ => return None,
    })
}

/// All names that [`named`] knows.
pub(super) const NAMES: &str = "`luhn`, `mod97`, `mod11`, `mod11_10`, `verhoeff`, `ean` or `aba`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_takes_its_own_and_no_neighbour() {
        let examples: [(&str, Check); 8] = [
            ("79927398713", luhn),
            ("4111111111111111", luhn),
            ("GB82WEST12345698765432", mod97),
            ("2363", verhoeff),
            ("07945", mod11_10),
            ("0306406152", |text| mod11(text)),
            ("4006381333931", ean),
            ("021000021", aba),
        ];
        for (text, check) in examples {
            assert!(check(text.as_bytes()), "{text}");
            for at in 0..text.len() {
                let mut other = text.as_bytes().to_vec();
                if other[at].is_ascii_digit() {
                    other[at] = b'0' + (other[at] - b'0' + 1) % 10;
                    assert!(!check(&other), "{text} with another digit at {at}");
                }
            }
        }
        assert_eq!(icao(b"L898902C3"), 6);
        assert_eq!(icao(b"740812"), 2);
        for check in [luhn, mod97, verhoeff, mod11, mod11_10, ean, aba] {
            for text in ["", "1", "A", "x1", "\u{e9}"] {
                check(text.as_bytes());
            }
        }
    }
}
