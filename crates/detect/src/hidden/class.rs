//! Which characters are not seen, and what has to be known of each to judge it.

use super::{Kind, terminal};

/// Characters that are judged alike.
#[derive(Clone, Copy)]
pub(crate) enum Class {
    Tag,
    /// Never has a right to be there.
    Always(Kind),
    /// May stand alone between two characters that are seen.
    Lone,
    Space,
    Joiner,
    MongolianSeparator,
    ByteOrderMark,
    BrailleBlank,
    Hieroglyphic,
    KhitanFiller,
    Direction,
    Selector,
    SoftHyphen,
    CarriageReturn,
    Sequence,
}

/// The class of a character; none if it is seen, or is white space.
pub(crate) fn classify(c: char) -> Option<Class> {
    Some(match c {
        // Latin, and most other living scripts and ideographs, first: what a long text is made of.
        '\u{A0}'..='\u{AC}' | '\u{AE}'..='\u{34E}' | '\u{3165}'..='\u{FDCF}' => return None,
        '\r' => Class::CarriageReturn,
        '\u{8}' => Class::Always(Kind::Overwrite),
        '\u{1B}' | '\u{90}' | '\u{98}' | '\u{9B}' | '\u{9D}'..='\u{9F}' => Class::Sequence,
        // U+0085 is a line end.
        '\u{0}'..='\u{1F}' | '\u{7F}'..='\u{84}' | '\u{86}'..='\u{9F}' => Class::Always(Kind::Terminal),
        '\u{AD}' => Class::SoftHyphen,
        '\u{200B}' => Class::Space,
        '\u{200C}' | '\u{200D}' => Class::Joiner,
        '\u{180E}' => Class::MongolianSeparator,
        '\u{FEFF}' => Class::ByteOrderMark,
        '\u{200E}' | '\u{200F}' | '\u{61C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => Class::Direction,
        '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}' | '\u{180B}'..='\u{180D}' | '\u{180F}' => Class::Selector,
        '\u{E0000}'..='\u{E007F}' => Class::Tag,
        '\u{34F}' | '\u{2060}'..='\u{2064}' | '\u{3164}' => Class::Lone,
        '\u{115F}'
        | '\u{1160}'
        | '\u{17B4}'
        | '\u{17B5}'
        | '\u{2065}'
        | '\u{FFA0}'
        | '\u{FDD0}'..='\u{FDEF}'
        | '\u{E0080}'..='\u{E00FF}'
        | '\u{E01F0}'..='\u{EFFFF}' => Class::Always(Kind::ZeroWidth),
        '\u{2800}' => Class::BrailleBlank,
        '\u{13430}'..='\u{1343F}' => Class::Hieroglyphic,
        '\u{16FE4}' => Class::KhitanFiller,
        // The last two of every plane are for the use of programs and never exchanged.
        _ if u32::from(c) & 0xFFFE == 0xFFFE => Class::Always(Kind::ZeroWidth),
        '\u{206A}'..='\u{206F}'
        | '\u{FFF0}'..='\u{FFFB}'
        | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D159}'
        | '\u{1D173}'..='\u{1D17A}' => Class::Always(Kind::Format),
        _ => return None,
    })
}

/// Whether the character is seen, or is white space.
pub(crate) fn is_seen(c: char) -> bool {
    classify(c).is_none()
}

/// Where a terminal sequence that begins with `c` at `at` ends, if one does.
pub(crate) fn sequence_end(text: &str, at: usize, c: char) -> Option<usize> {
    let begins = matches!(classify(c), Some(Class::Sequence));
    begins.then(|| (at + text.get(at..).map_or(0, terminal::length)).max(at + c.len_utf8()))
}
