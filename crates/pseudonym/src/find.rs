//! Finding names in a text.

use std::ops::Range;

use crate::code::{self, LENGTH};
use crate::kind::{FORMS, Form};
use crate::name::Token;

/// How `@` reads where a text is part of a URL.
const AT: &[u8] = b"%40";

/// Whatever in a text reads like a name, and where it stands; whose it is, [`Namer::is_own`](crate::Namer::is_own) says.
///
/// Letter case does not matter. Anything may stand before a name, since an escape such as `%20` or `\n` ends in letters. Behind one
/// stands no letter or digit of ASCII and no underscore: what goes on is another word. Nor does a host name go on behind an
/// address, or an `@` follow a name that is none. In a name that stands with `%40` the value has to be percent-encoded as well.
///
/// It takes time in proportion to the length of the text.
#[must_use]
pub fn find(text: &str) -> Vec<(Range<usize>, Token)> {
    let mut found: Vec<(Range<usize>, Token)> = Vec::new();
    for (at, _) in text.match_indices('_') {
        let after = found.last().map_or(0, |(range, _)| range.end);
        if at < after {
            continue;
        }
        if let Some((range, token)) = one(text.as_bytes(), at + 1).filter(|(range, _)| range.start >= after) {
            found.push((range, token));
        }
    }
    found
}

/// The name whose code begins there.
fn one(text: &[u8], begin: usize) -> Option<(Range<usize>, Token)> {
    let (before, rest) = text.split_at_checked(begin)?;
    let (code, behind) = rest.split_at_checked(LENGTH)?;
    let code = code::read(code)?;
    FORMS.iter().find_map(|form| {
        let start = begin.checked_sub(form.before.len())?;
        let is_it = before.get(start..).is_some_and(|word| word.eq_ignore_ascii_case(form.before.as_bytes()));
        let length = tail(form, behind).filter(|_| is_it)?;
        Some((start..begin + LENGTH + length, Token::new(form.kind, code)))
    })
}

/// How much of what stands behind the code belongs to a name of that form, if all that has to does.
fn tail(form: &Form, behind: &[u8]) -> Option<usize> {
    let Some(host) = form.after.strip_prefix('@') else {
        return (!goes_on(behind) && after_at(behind).is_none()).then_some(0);
    };
    let rest = after_at(behind)?;
    let (found, rest) = rest.split_at_checked(host.len())?;
    let goes_on =
        goes_on(rest) || rest.split_first().is_some_and(|(first, rest)| b".-".contains(first) && goes_on(rest));
    (found.eq_ignore_ascii_case(host.as_bytes()) && !goes_on).then(|| behind.len() - rest.len())
}

fn after_at(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"@").or_else(|| text.strip_prefix(AT))
}

/// Whether the word that ends here does not end.
fn goes_on(text: &[u8]) -> bool {
    text.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}
