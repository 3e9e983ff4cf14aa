//! One-time passwords of an authenticator app (TOTP, RFC 6238), and the codes in their place.
//!
//! **Threat.** Somebody sees one being typed and types it as well. So it is good once: whoever checks one has to keep the step
//! that it is of, and takes none of that step or an earlier one again.
//!
//! SHA-1, six digits and thirty seconds, since that is what every app does; HMAC needs nothing of SHA-1 that is broken.

use aws_lc_rs::hmac;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The bytes of a secret: as many as the digest has (RFC 4226, section 4).
pub const SECRET: usize = 20;
/// So long is one step, in microseconds.
const STEP: i64 = 30_000_000;
const DIGITS: u32 = 1_000_000;
/// Steps before and after the present one that are taken too, for clocks that differ.
const LENIENT: i64 = 1;

/// Letters that nobody takes for each other, of which a code is made.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// A code of 80 random bits.
const RECOVERY: usize = 16;
const GROUP: usize = 4;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The step of which `shown` is the password, if it is one of those around `now` (in microseconds since 1970-01-01 UTC) and
/// later than `used`, the last of which one was used.
#[must_use]
pub fn step(secret: &[u8], shown: &str, now: i64, used: i64) -> Option<i64> {
    let shown: String = shown.chars().filter(|c| !c.is_whitespace()).collect();
    if shown.len() != 6 || !shown.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let present = now.div_euclid(STEP);
    // All of them in any case, so that the time that it takes says nothing.
    let matching = (present - LENIENT..=present + LENIENT).filter(|step| {
        let is_equal: bool = password(secret, *step).as_bytes().ct_eq(shown.as_bytes()).into();
        is_equal
    });
    matching.collect::<Vec<_>>().into_iter().find(|step| *step > used)
}

/// The password of a step.
#[must_use]
pub fn password(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    // RFC 4226, section 5.3: the last four bits say where to take 31 bits from.
    let offset = usize::from(bytes.last().copied().unwrap_or_default() & 0x0F);
    let taken = bytes.get(offset..offset + 4).and_then(|four| <[u8; 4]>::try_from(four).ok()).unwrap_or_default();
    format!("{:06}", (u32::from_be_bytes(taken) & 0x7FFF_FFFF) % DIGITS)
}

/// The secret as people type it into an app.
#[must_use]
pub fn base32(secret: &[u8]) -> String {
    let bits: Vec<u8> = secret.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let letters = bits.chunks(5).map(|five| {
        let index = (0..5).fold(0_usize, |index, bit| index << 1 | usize::from(five.get(bit).copied().unwrap_or(0)));
        char::from(BASE32.get(index).copied().unwrap_or(b'A'))
    });
    letters.collect()
}

/// What an app reads from a picture; `issuer` and `name` have nothing that a URL does not take as it is.
#[must_use]
pub fn uri(issuer: &str, name: &str, secret: &[u8]) -> String {
    format!("otpauth://totp/{issuer}:{name}?secret={}&issuer={issuer}", base32(secret))
}

/// A code in the place of a one-time password, made of random bytes, as it is shown.
#[must_use]
pub fn recovery_code(random: &[u8; RECOVERY]) -> String {
    let letters = random.iter().map(|byte| char::from(ALPHABET.get(usize::from(byte & 0x1F)).copied().unwrap_or(b'0')));
    let letters: Vec<char> = letters.collect();
    let groups: Vec<String> = letters.chunks(GROUP).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

/// What is kept of a code, however it was typed; nothing if it can be none.
#[must_use]
pub fn recovery_digest(shown: &str) -> Option<[u8; 32]> {
    if shown.len() > 100 {
        return None;
    }
    let typed = shown.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_lowercase());
    // As somebody reads it who wrote it down.
    let plain: String = typed
        .map(|c| {
            if c == 'o' {
                '0'
            } else if c == 'i' || c == 'l' {
                '1'
            } else {
                c
            }
        })
        .collect();
    let is_one = plain.len() == RECOVERY && plain.bytes().all(|byte| ALPHABET.contains(&byte));
    is_one.then(|| Sha256::digest(plain.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC: &[u8] = b"12345678901234567890";
    const SECOND: i64 = 1_000_000;

    #[test]
    fn passwords_are_those_of_the_standard() {
        // RFC 6238, appendix B, for SHA-1, of which the last six digits are taken.
        for (seconds, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(password(RFC, seconds / 30), expected);
            assert_eq!(step(RFC, expected, seconds * SECOND, 0), Some(seconds / 30));
        }
    }

    #[test]
    fn a_password_is_good_around_its_time_and_never_again() {
        let shown = password(RFC, 1_000);
        for (now, used, good) in [
            (1_000, 999, true),
            (1_000, 1_000, false),
            (1_000, 1_001, false),
            (1_001, 0, true),
            (999, 0, true),
            (1_002, 0, false),
            (998, 0, false),
        ] {
            assert_eq!(step(RFC, &shown, now * STEP, used).is_some(), good, "at {now} after {used}");
        }
        let spaced = format!(" {} {} ", shown.get(..3).unwrap(), shown.get(3..).unwrap());
        assert_eq!(step(RFC, &spaced, 1_000 * STEP, 0), Some(1_000));
        for wrong in ["", "12345", "1234567", "abcdef", "٠٠٠٠٠٠", "-12345", "+12345"] {
            assert_eq!(step(RFC, wrong, 1_000 * STEP, 0), None, "{wrong}");
        }
        assert_eq!(step(b"another secret of 20", &shown, 1_000 * STEP, 0), None);
    }

    #[test]
    fn an_app_reads_the_secret() {
        for (bytes, expected) in [(&b"f"[..], "MY"), (b"fo", "MZXQ"), (b"foob", "MZXW6YQ"), (b"foobar", "MZXW6YTBOI")] {
            assert_eq!(base32(bytes), expected);
        }
        let uri = uri("Bartizan", "ann", RFC);
        assert_eq!(uri, "otpauth://totp/Bartizan:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Bartizan");
    }

    #[test]
    fn a_recovery_code_is_read_as_people_type_it() {
        let code = recovery_code(&[0, 1, 31, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 255]);
        assert_eq!(code, "01za-bcde-fghj-kmnz");
        let kept = recovery_digest(&code).unwrap();
        for typed in ["01ZA BCDE FGHJ KMNZ", "olzabcdefghjkmnz", " o1za-bcde-fghj-kmnz\n"] {
            assert_eq!(recovery_digest(typed), Some(kept), "{typed}");
        }
        for wrong in ["", "01za", "123456", "01za-bcde-fghj-kmnu", &"0".repeat(17)] {
            assert_eq!(recovery_digest(wrong), None, "{wrong}");
        }
        assert_ne!(recovery_digest("01za-bcde-fghj-kmny"), Some(kept));
    }
}
