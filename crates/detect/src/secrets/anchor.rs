//! Where a text holds what secrets are told by: one pass, however many of them are looked for.
//!
//! Each anchor is looked for by three of its bytes, its least common ones, in whatever case. Six places are looked up at once in
//! a table of such threes; nearly all are in none.

/// What an anchor leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leads {
    /// The shape of a format, both by their places.
    Shape(usize, usize),
    /// A name that is given to secrets.
    Name(Name),
    Pem,
    Putty,
    Jwt,
    Url,
    Bearer,
    Basic,
}

/// The last word of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Password,
    Secret,
    Token,
    Key,
}

/// What is no format and still leads to a secret; `true` if the case is its own.
const BUILT_IN: [(&str, bool, Leads); 14] = [
    ("PRIVATE KEY", true, Leads::Pem),
    ("PuTTY-User-Key-File-", true, Leads::Putty),
    ("eyJ", true, Leads::Jwt),
    ("://", true, Leads::Url),
    ("bearer ", false, Leads::Bearer),
    ("basic ", false, Leads::Basic),
    ("password", false, Leads::Name(Name::Password)),
    ("passwd", false, Leads::Name(Name::Password)),
    ("passphrase", false, Leads::Name(Name::Password)),
    ("pwd", false, Leads::Name(Name::Password)),
    ("pass", false, Leads::Name(Name::Password)),
    ("secret", false, Leads::Name(Name::Secret)),
    ("token", false, Leads::Name(Name::Token)),
    ("key", false, Leads::Name(Name::Key)),
];

#[derive(Debug)]
struct Anchor {
    text: Box<[u8]>,
    is_exact: bool,
    /// Where in it the bytes stand by which it is looked for.
    offset: usize,
    leads: Leads,
}

/// What is looked for.
#[derive(Debug)]
pub(super) struct Anchors {
    /// For each number of three bytes where in `found` they are, from 1 on.
    table: Box<[u16; SLOTS]>,
    found: Vec<Vec<Anchor>>,
}

const BITS: u32 = 13;
const SLOTS: usize = 1 << BITS;
/// Places that are looked up at once.
const STEP: usize = 6;
/// The bit that tells small letters from capital ones, in each byte.
const SMALL: u64 = 0x2020_2020_2020_2020;

impl Anchors {
    pub(super) fn new<'a>(shapes: impl Iterator<Item = (&'a str, usize, usize)>) -> Anchors {
        let mut anchors = Anchors { table: Box::new([0; SLOTS]), found: Vec::new() };
        for (text, is_exact, leads) in BUILT_IN {
            anchors.add(text, is_exact, leads);
        }
        for (text, format, shape) in shapes {
            anchors.add(text, true, Leads::Shape(format, shape));
        }
        anchors
    }

    fn add(&mut self, text: &str, is_exact: bool, leads: Leads) {
        let bytes = text.as_bytes();
        let Some((offset, three)) = rarest(bytes) else { return };
        let anchor = Anchor { text: bytes.into(), is_exact, offset, leads };
        let Some(slot) = self.table.get_mut(slot(three)) else { return };
        if *slot == 0 {
            self.found.push(Vec::new());
            *slot = u16::try_from(self.found.len()).unwrap_or_default();
        }
        if let Some(held) = usize::from(*slot).checked_sub(1).and_then(|at| self.found.get_mut(at)) {
            held.push(anchor);
        }
    }

    /// Tells where each anchor stands, in the order of the bytes by which it is found.
    #[inline]
    pub(super) fn find(&self, bytes: &[u8], mut tell: impl FnMut(usize, usize, Leads)) {
        let mut at = 0;
        while at < bytes.len() {
            let word = word(bytes, at) | SMALL;
            let held: [u16; STEP] = std::array::from_fn(|place| self.held((word >> (8 * place)) as u32 & 0xFF_FFFF));
            if held.iter().fold(0, |any, held| any | held) != 0 {
                for (place, held) in held.into_iter().enumerate().filter(|(_, held)| *held != 0) {
                    self.tell(bytes, at + place, held, &mut tell);
                }
            }
            at += STEP;
        }
    }

    #[inline(always)]
    fn held(&self, three: u32) -> u16 {
        self.table.get(slot(three)).copied().unwrap_or_default()
    }

    fn tell(&self, bytes: &[u8], at: usize, held: u16, tell: &mut impl FnMut(usize, usize, Leads)) {
        let anchors = usize::from(held).checked_sub(1).and_then(|at| self.found.get(at));
        for anchor in anchors.into_iter().flatten() {
            let Some(start) = at.checked_sub(anchor.offset) else { continue };
            let Some(text) = bytes.get(start..start + anchor.text.len()) else { continue };
            let is_it = if anchor.is_exact { *text == *anchor.text } else { text.eq_ignore_ascii_case(&anchor.text) };
            if is_it {
                tell(start, start + anchor.text.len(), anchor.leads);
            }
        }
    }
}

/// Eight bytes, zeros where the text has ended.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => last(bytes.get(at..).unwrap_or_default()),
    }
}

#[cold]
fn last(rest: &[u8]) -> u64 {
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[inline(always)]
fn slot(three: u32) -> usize {
    (three.wrapping_mul(0x9E37_79B1) >> (32 - BITS)) as usize
}

/// The three bytes that ordinary text has least, and where they are: those with the fewest letters, of equals the first.
fn rarest(bytes: &[u8]) -> Option<(usize, u32)> {
    /// Rarely in words, and in many of the anchors.
    const RARE: &[u8] = b"jqxzvkwpyJQXZVKWPY";
    let common = |three: &[u8]| {
        let weight = |byte: &u8| match byte {
            byte if !byte.is_ascii_alphabetic() => 0,
            byte if RARE.contains(byte) => 1,
            _ => 2,
        };
        three.iter().map(weight).sum::<usize>()
    };
    let (offset, three) = bytes.windows(3).enumerate().min_by_key(|(_, three)| common(three))?;
    let folded = three.iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte | SMALL as u8));
    Some((offset, folded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_found_wherever_they_stand() {
        let anchors = Anchors::new([("ghp_", 7, 1)].into_iter());
        for before in 0..40 {
            let text = format!("{}ghp_ PassWord ://{}", ".".repeat(before), ".".repeat(before % 7));
            let mut found = Vec::new();
            anchors.find(text.as_bytes(), |start, end, leads| found.push((start - before, end - before, leads)));
            let expected = [
                (0, 4, Leads::Shape(7, 1)),
                (5, 9, Leads::Name(Name::Password)),
                (5, 13, Leads::Name(Name::Password)),
                (14, 17, Leads::Url),
            ];
            found.sort_by_key(|(start, end, _)| (*start, *end));
            assert_eq!(found, expected, "{text}");
        }
    }
}
