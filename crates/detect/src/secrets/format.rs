//! What a secret looks like: literal text and runs of letters of a set, one after the other.

use super::check::Check;

/// Which rule a format comes under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Whoever has it is who it is about.
    PrivateKey,
    /// Of one issuer, told by what it looks like.
    Token,
    /// A token that says itself what it is good for, signed.
    Jwt,
    /// A password where a service is named with it.
    ConnectionString,
    /// What a request shows to say who asks.
    Authorization,
    /// Told by the name that it is given, and by how little it looks like a word.
    Credential,
}

/// How much a secret opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Perhaps nothing.
    Medium,
    /// Something.
    #[default]
    High,
    /// Everything that somebody has there.
    Critical,
}

/// One kind of secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// What settings call it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Who hands it out.
    pub issuer: String,
    /// The rule that it comes under.
    pub group: Group,
    /// How much it opens.
    pub severity: Severity,
    /// Whether an operator wrote it.
    pub is_own: bool,
    /// The checksum that it has, if anybody can compute it.
    pub check: Option<Check>,
    /// Words of which one has to stand near it; none is needed if there are none.
    pub near: Vec<String>,
    /// The name of a value by which alone it is found: it has no beginning of its own.
    pub named: Option<String>,
    /// What it looks like.
    pub shapes: Vec<Shape>,
}

/// One way to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// As it is written.
    pub written: String,
    pub(super) before: Vec<Piece>,
    /// The literal text by which it is found.
    pub(super) anchor: String,
    pub(super) after: Vec<Piece>,
}

/// Literal text, or letters of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Exactly this.
    Text(String),
    /// So many letters of that set.
    Run(Set, usize, usize),
}

macro_rules! sets {
    ($($name:ident $written:literal |$byte:ident| $is:expr;)+) => {
        /// A set of letters.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "they are what their names say")]
        pub enum Set { $($name),+ }

        impl Set {
            /// All of them.
            pub const ALL: [Set; [$(Set::$name),+].len()] = [$(Set::$name),+];

            /// The set of that name.
            #[must_use]
            pub fn named(name: &str) -> Option<Set> {
                match name {
                    $($written => Some(Set::$name),)+
                    _ => None,
                }
            }

            const fn is_in(self, byte: u8) -> bool {
                match self { $(Set::$name => { let $byte = byte; $is }),+ }
            }
        }
    };
}

sets! {
    Digit "digit" |b| b.is_ascii_digit();
    Lower "lower" |b| b.is_ascii_lowercase();
    Upper "upper" |b| b.is_ascii_uppercase();
    Alpha "alpha" |b| b.is_ascii_alphabetic();
    Hex "hex" |b| is_hex(b);
    UpHex "UPHEX" |b| b.is_ascii_digit() || matches!(b, b'A'..=b'F');
    AnyHex "anyhex" |b| b.is_ascii_hexdigit();
    Uuid "uuid" |b| is_hex(b) || b == b'-';
    UpAlnum "upalnum" |b| b.is_ascii_uppercase() || b.is_ascii_digit();
    LowAlnum "lowalnum" |b| is_low(b);
    LowWord "lowword" |b| is_low(b) || matches!(b, b'_' | b'-');
    Alnum "alnum" |b| b.is_ascii_alphanumeric();
    Word "word" |b| b.is_ascii_alphanumeric() || b == b'_';
    Url "url" |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    UrlEncoded "urlenc" |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'%');
    Azure "azure" |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'~');
    Base32 "base32" |b| b.is_ascii_uppercase() || matches!(b, b'2'..=b'7');
    Base64 "base64" |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    Bech32 "bech32" |b| is_bech32(b);
    UpBech32 "BECH32" |b| !b.is_ascii_lowercase() && is_bech32(b.to_ascii_lowercase());
}

const fn is_low(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

const fn is_hex(b: u8) -> bool {
    b.is_ascii_digit() || matches!(b, b'a'..=b'f')
}

const fn is_bech32(b: u8) -> bool {
    is_low(b) && !matches!(b, b'1' | b'b' | b'i' | b'o')
}

/// For each byte the sets that hold it, a bit each.
#[expect(clippy::indexing_slicing, reason = "a constant is computed by the compiler, and there is no other way in one")]
static HELD: [u32; 256] = {
    let mut held = [0; 256];
    let mut set = 0;
    while set < Set::ALL.len() {
        let mut byte = 0;
        while byte < 256 {
            if Set::ALL[set].is_in(byte as u8) {
                held[byte] |= 1 << set;
            }
            byte += 1;
        }
        set += 1;
    }
    held
};

impl Set {
    /// Whether a letter is of it.
    #[must_use]
    pub fn holds(self, byte: u8) -> bool {
        HELD.get(usize::from(byte)).is_some_and(|sets| sets >> (self as u32) & 1 == 1)
    }
}

/// The shortest literal text by which something is found.
pub(super) const SHORTEST: usize = 3;
/// The most letters of one run.
const LONGEST: usize = 2000;

impl Format {
    /// Whether it is told by its own beginning wherever it stands, so that it may be put together of pieces.
    #[must_use]
    pub fn is_distinct(&self) -> bool {
        let is_odd =
            |shape: &Shape| shape.anchor.len() > SHORTEST || shape.anchor.contains(|c: char| c.is_ascii_punctuation());
        let is_of_it = matches!(self.group, Group::PrivateKey | Group::Token | Group::Jwt);
        is_of_it && self.named.is_none() && self.near.is_empty() && self.shapes.iter().all(is_odd)
    }
}

impl Shape {
    /// Reads a shape. One without an anchor of at least [`SHORTEST`] bytes has an empty one.
    pub(super) fn parse(written: &str) -> Result<Shape, String> {
        let pieces = pieces(written)?;
        let is_exact = |piece: &Piece| !matches!(piece, Piece::Run(_, from, to) if from != to);
        // What is before an anchor is read backwards, where only one run may be of any length, the first one.
        let may_stand_before = |before: &[Piece]| before.iter().skip(1).all(is_exact);
        let anchors = pieces.iter().enumerate().filter_map(|(index, piece)| match piece {
            Piece::Text(text) if text.len() >= SHORTEST => Some((index, text.clone())),
            _ => None,
        });
        let anchors = anchors.filter(|(index, _)| pieces.get(..*index).is_some_and(may_stand_before));
        // Of equals the first.
        let longer = |best: Option<(usize, String)>, next: (usize, String)| match best {
            Some(best) if best.1.len() >= next.1.len() => Some(best),
            _ => Some(next),
        };
        let Some((index, anchor)) = anchors.fold(None, longer) else {
            return Ok(Shape { written: written.to_owned(), before: Vec::new(), anchor: String::new(), after: pieces });
        };
        let before = pieces.get(..index).unwrap_or_default().to_vec();
        let after = pieces.get(index + 1..).unwrap_or_default().to_vec();
        Ok(Shape { written: written.to_owned(), before, anchor, after })
    }

    /// All pieces in order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> {
        let anchor = (!self.anchor.is_empty()).then(|| Piece::Text(self.anchor.clone()));
        self.before.iter().cloned().chain(anchor).chain(self.after.iter().cloned())
    }
}

fn pieces(written: &str) -> Result<Vec<Piece>, String> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = written;
    while let Some(first) = rest.chars().next() {
        if first != '{' {
            let end = rest.find('{').unwrap_or(rest.len());
            let text = rest.get(..end).unwrap_or_default();
            if let Some(bad) = text.chars().find(|c| !c.is_ascii() || c.is_ascii_control() || *c == '}') {
                return Err(format!("`{}` cannot stand in a shape", bad.escape_default()));
            }
            pieces.push(Piece::Text(text.to_owned()));
            rest = rest.get(end..).unwrap_or_default();
            continue;
        }
        let (inside, after) = rest.get(1..).and_then(|rest| rest.split_once('}')).ok_or("`{` is not closed")?;
        pieces.push(run(inside)?);
        rest = after;
    }
    if pieces.windows(2).any(|pair| matches!(pair, [Piece::Run(_, from, to), Piece::Run(..)] if from != to)) {
        return Err("a run of any length is followed by another run, so nobody can tell where it ends".to_owned());
    }
    Ok(pieces)
}

fn run(inside: &str) -> Result<Piece, String> {
    let (name, count) =
        inside.split_once(':').ok_or_else(|| format!("`{inside}` is no set with a number of letters"))?;
    let set = Set::named(name).ok_or_else(|| format!("there is no set `{name}`"))?;
    let (from, to) = count.split_once('-').unwrap_or((count, count));
    let number = |text: &str| text.parse::<usize>().ok().filter(|number| (1..=LONGEST).contains(number));
    match number(from).zip(number(to)) {
        Some((from, to)) if from <= to => Ok(Piece::Run(set, from, to)),
        _ => Err(format!("`{count}` is no number of letters from 1 to {LONGEST}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_read() {
        let shape = Shape::parse("{digit:8-10}:AA{url:33}").unwrap();
        assert_eq!((&*shape.anchor, shape.before.len(), shape.after.len()), (":AA", 1, 1));
        let shape = Shape::parse("sk-{alnum:20}T3BlbkFJ{alnum:20}").unwrap();
        assert_eq!((&*shape.anchor, shape.before.len(), shape.after.len()), ("T3BlbkFJ", 2, 1));
        assert_eq!(Shape::parse("{hex:32}").unwrap().anchor, "");
        for (wrong, why) in [
            ("a{hex:3", "not closed"),
            ("{hexx:3}", "no set"),
            ("{hex}", "no set with"),
            ("{hex:0}", "no number"),
            ("{hex:5-3}", "no number"),
            ("{hex:3-5}{url:3}", "where it ends"),
            ("é{hex:3}", "cannot stand"),
        ] {
            let said = Shape::parse(wrong).unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }

    #[test]
    fn a_set_holds_what_it_says() {
        for (set, held, others) in [
            ("hex", "09af", "gAF-"),
            ("BECH32", "QPZRY9X8", "B1IOqb"),
            ("bech32", "qpzry9x8", "b1ioQ"),
            ("base64", "aZ0+/", "-_="),
            ("url", "aZ0-_", "+/."),
        ] {
            let set = Set::named(set).unwrap();
            assert!(held.bytes().all(|byte| set.holds(byte)) && !others.bytes().any(|byte| set.holds(byte)), "{set:?}");
        }
    }
}
