//! What characters look like.

use unicode_normalization::char::decompose_compatible;

/// Whether it is a mark that stands on, under or through the letter before it, whatever that is.
pub(super) fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}' | '\u{FE20}'..='\u{FE2F}')
}

/// Whether it is of a script of which no letter is one of another script in another form, and nothing is hidden.
pub(super) fn is_itself(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{3096}' | '\u{30A1}'..='\u{30FE}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}')
}

/// Writes what `c` is meant to be. `disguised` says which letter it stands for where it is.
pub(super) fn push(c: char, disguised: Option<char>, out: &mut String) {
    if let Some(plain) = disguised.or_else(|| other_form(c)) {
        out.push(plain);
        return;
    }
    let before = out.len();
    // Most characters have no other form, and some have one of another script's many; then they are what they are.
    decompose_compatible(c, |part| {
        if !is_mark(part) {
            out.push(part);
        }
    });
    let plain =
        out.get(before..).is_some_and(|form| form.starts_with(|first: char| first.is_ascii() || first == '\u{2044}'));
    let long = out.len() - before > 3 * c.len_utf8();
    if !plain || long {
        out.truncate(before);
        out.push(c);
    }
}

/// The plain letter that Unicode does not take the character for, though it is one in another form.
fn other_form(c: char) -> Option<char> {
    let from = |first: u32, plain: u8| char::from_u32(u32::from(c) - first + u32::from(plain));
    match c {
        // In black circles and squares, and as the halves of flags.
        '\u{1F150}'..='\u{1F169}' => from(0x1F150, b'A'),
        '\u{1F170}'..='\u{1F189}' => from(0x1F170, b'A'),
        '\u{1F1E6}'..='\u{1F1FF}' => from(0x1F1E6, b'A'),
        '\u{24EB}'..='\u{24F3}' => None,
        '\u{2018}' | '\u{2019}' | '\u{201B}' | '\u{2032}' | '\u{FF07}' => Some('\''),
        '\u{201C}' | '\u{201D}' | '\u{201F}' | '\u{2033}' => Some('"'),
        '\u{2010}'..='\u{2012}' | '\u{2212}' => Some('-'),
        _ => {
            let index = SMALL.binary_search_by_key(&c, |(small, _)| *small).ok()?;
            SMALL.get(index).map(|(_, plain)| *plain)
        }
    }
}

/// Small capitals, letters turned and struck through, and the like: letters of phonetics that stand for plain ones.
/// Sorted.
const SMALL: &[(char, char)] = &[
    ('đ', 'd'),
    ('ħ', 'h'),
    ('ı', 'i'),
    ('Ł', 'L'),
    ('ł', 'l'),
    ('ŧ', 't'),
    ('ƀ', 'b'),
    ('ƒ', 'f'),
    ('ƙ', 'k'),
    ('ƚ', 'l'),
    ('ƞ', 'n'),
    ('ƥ', 'p'),
    ('ƫ', 't'),
    ('ƴ', 'y'),
    ('ƶ', 'z'),
    ('ǝ', 'e'),
    ('ǥ', 'g'),
    ('ȥ', 'z'),
    ('ɇ', 'e'),
    ('ɐ', 'a'),
    ('ɑ', 'a'),
    ('ɓ', 'b'),
    ('ɔ', 'c'),
    ('ɖ', 'd'),
    ('ɗ', 'd'),
    ('ɟ', 'f'),
    ('ɠ', 'g'),
    ('ɡ', 'g'),
    ('ɢ', 'G'),
    ('ɥ', 'h'),
    ('ɦ', 'h'),
    ('ɨ', 'i'),
    ('ɩ', 'i'),
    ('ɪ', 'I'),
    ('ɫ', 'l'),
    ('ɬ', 'l'),
    ('ɭ', 'l'),
    ('ɯ', 'm'),
    ('ɱ', 'm'),
    ('ɲ', 'n'),
    ('ɳ', 'n'),
    ('ɴ', 'N'),
    ('ɵ', 'o'),
    ('ɹ', 'r'),
    ('ɼ', 'r'),
    ('ɽ', 'r'),
    ('ɾ', 'r'),
    ('ʀ', 'R'),
    ('ʁ', 'R'),
    ('ʂ', 's'),
    ('ʇ', 't'),
    ('ʈ', 't'),
    ('ʉ', 'u'),
    ('ʋ', 'v'),
    ('ʌ', 'v'),
    ('ʍ', 'w'),
    ('ʎ', 'y'),
    ('ʏ', 'Y'),
    ('ʐ', 'z'),
    ('ʙ', 'B'),
    ('ʜ', 'H'),
    ('ʞ', 'k'),
    ('ʟ', 'L'),
    ('ᴀ', 'A'),
    ('ᴄ', 'C'),
    ('ᴅ', 'D'),
    ('ᴇ', 'E'),
    ('ᴊ', 'J'),
    ('ᴋ', 'K'),
    ('ᴍ', 'M'),
    ('ᴏ', 'O'),
    ('ᴘ', 'P'),
    ('ᴛ', 'T'),
    ('ᴜ', 'U'),
    ('ᴠ', 'V'),
    ('ᴡ', 'W'),
    ('ᴢ', 'Z'),
    ('ꜰ', 'F'),
    ('ꜱ', 'S'),
];

/// The Latin letter that a letter of another script is drawn like. Sorted.
const ALIKE: &[(char, char)] = &[
    ('Α', 'A'),
    ('Β', 'B'),
    ('Ε', 'E'),
    ('Ζ', 'Z'),
    ('Η', 'H'),
    ('Ι', 'I'),
    ('Κ', 'K'),
    ('Μ', 'M'),
    ('Ν', 'N'),
    ('Ο', 'O'),
    ('Ρ', 'P'),
    ('Τ', 'T'),
    ('Υ', 'Y'),
    ('Χ', 'X'),
    ('α', 'a'),
    ('γ', 'y'),
    ('ε', 'e'),
    ('ι', 'i'),
    ('κ', 'k'),
    ('ν', 'v'),
    ('ο', 'o'),
    ('ρ', 'p'),
    ('σ', 'o'),
    ('τ', 't'),
    ('υ', 'u'),
    ('χ', 'x'),
    ('ω', 'w'),
    ('ϲ', 'c'),
    ('ϳ', 'j'),
    ('Ѕ', 'S'),
    ('І', 'I'),
    ('Ј', 'J'),
    ('А', 'A'),
    ('В', 'B'),
    ('Е', 'E'),
    ('З', '3'),
    ('К', 'K'),
    ('М', 'M'),
    ('Н', 'H'),
    ('О', 'O'),
    ('Р', 'P'),
    ('С', 'C'),
    ('Т', 'T'),
    ('У', 'Y'),
    ('Х', 'X'),
    ('а', 'a'),
    ('в', 'b'),
    ('г', 'r'),
    ('е', 'e'),
    ('к', 'k'),
    ('м', 'm'),
    ('н', 'h'),
    ('о', 'o'),
    ('п', 'n'),
    ('р', 'p'),
    ('с', 'c'),
    ('т', 't'),
    ('у', 'y'),
    ('х', 'x'),
    ('ѕ', 's'),
    ('і', 'i'),
    ('ј', 'j'),
    ('ѵ', 'v'),
    ('Ү', 'Y'),
    ('ү', 'y'),
    ('һ', 'h'),
    ('Ӏ', 'l'),
    ('ӏ', 'l'),
    ('ԁ', 'd'),
    ('ԛ', 'q'),
    ('Ԝ', 'W'),
    ('ԝ', 'w'),
    ('Տ', 'S'),
    ('հ', 'h'),
    ('ո', 'n'),
    ('ս', 'u'),
    ('ց', 'g'),
    ('ք', 'f'),
    ('օ', 'o'),
    ('Ꭰ', 'D'),
    ('Ꭱ', 'R'),
    ('Ꭲ', 'T'),
    ('Ꭺ', 'A'),
    ('Ꭻ', 'J'),
    ('Ꭼ', 'E'),
    ('Ꮃ', 'W'),
    ('Ꮇ', 'M'),
    ('Ꮋ', 'H'),
    ('Ꮍ', 'Y'),
    ('Ꮐ', 'G'),
    ('Ꮓ', 'Z'),
    ('Ꮖ', 'I'),
    ('Ꮚ', 'W'),
    ('Ꮜ', 'U'),
    ('Ꮟ', 'b'),
    ('Ꮢ', 'R'),
    ('Ꮤ', 'W'),
    ('Ꮥ', 'S'),
    ('Ꮩ', 'V'),
    ('Ꮪ', 'S'),
    ('Ꮮ', 'L'),
    ('Ꮯ', 'C'),
    ('Ꮲ', 'P'),
    ('Ꮶ', 'K'),
    ('Ꮷ', 'd'),
    ('Ᏼ', 'B'),
];

/// Which of them are alike enough to fool somebody in a word of nothing else; others only among Latin letters.
fn exactly(c: char) -> bool {
    !matches!(
        c,
        'γ' | 'ε'
            | 'σ'
            | 'υ'
            | 'ω'
            | 'З'
            | 'в'
            | 'г'
            | 'к'
            | 'м'
            | 'н'
            | 'п'
            | 'т'
            | 'ո'
            | 'ս'
            | 'հ'
            | 'ց'
            | 'ք'
    )
}

fn alike(c: char) -> Option<char> {
    let index = ALIKE.binary_search_by_key(&c, |(other, _)| *other).ok()?;
    ALIKE.get(index).map(|(_, latin)| *latin)
}

/// The words of a text, as far as it has to be known which of them are in disguise.
pub(super) struct Words<'a> {
    text: &'a str,
    /// Whether the text has letters of another script than Latin that look like no Latin one, so that it is in that script.
    foreign: Option<bool>,
    /// Up to where the word goes that was looked at last, and whether its letters stand for Latin ones.
    end: usize,
    latin: bool,
}

impl<'a> Words<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Words { text, foreign: None, end: 0, latin: false }
    }

    /// The Latin letter that `c` at `at` stands for.
    pub(super) fn disguised(&mut self, c: char, at: usize) -> Option<char> {
        let latin = alike(c)?;
        if at >= self.end {
            self.look_at(at);
        }
        self.latin.then_some(latin)
    }

    /// Looks at the word with the letter at `at`, which is the first of it that is not Latin, but for what nobody sees.
    fn look_at(&mut self, at: usize) {
        let (before, rest) = self.text.split_at_checked(at).unwrap_or((self.text, ""));
        let word =
            rest.find(|c: char| !(c.is_alphanumeric() || is_mark(c))).and_then(|end| rest.get(..end)).unwrap_or(rest);
        self.end = at + word.len();
        let mixed =
            before.ends_with(|c: char| c.is_ascii_alphabetic()) || word.contains(|c: char| c.is_ascii_alphabetic());
        self.latin = mixed || (word.chars().all(|c| alike(c).is_some() && exactly(c)) && !self.is_foreign());
    }

    fn is_foreign(&mut self) -> bool {
        let text = self.text;
        *self.foreign.get_or_insert_with(|| {
            text.chars().any(|c| {
                matches!(c, '\u{370}'..='\u{58F}' | '\u{13A0}'..='\u{13FF}')
                    && c.is_alphabetic()
                    && !(alike(c).is_some() && exactly(c))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_itself_is_written_as_it_is() {
        for c in ('\u{3000}'..='\u{D7FF}').filter(|c| is_itself(*c)) {
            let mut out = String::new();
            assert!(alike(c).is_none() && !is_mark(c));
            push(c, None, &mut out);
            assert_eq!(out, c.to_string());
        }
    }

    #[test]
    fn the_lists_are_in_order() {
        assert!(SMALL.is_sorted_by(|one, other| one.0 < other.0));
        assert!(ALIKE.is_sorted_by(|one, other| one.0 < other.0));
        assert!(ALIKE.iter().chain(SMALL).all(|(other, plain)| !other.is_ascii() && plain.is_ascii()));
    }
}
