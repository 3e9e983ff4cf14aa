//! What characters are, as far as it decides whether an invisible neighbour belongs to them.

/// Whether the character is, or modifies, an emoji that others can be joined to.
pub(super) fn emoji(c: char) -> bool {
    matches!(c,
        '\u{1F000}'..='\u{1FAFF}' | '\u{2600}'..='\u{27BF}' | '\u{2300}'..='\u{23FF}' | '\u{2B00}'..='\u{2BFF}'
        | '\u{2190}'..='\u{21FF}' | '\u{25A0}'..='\u{25FF}' | '\u{2900}'..='\u{297F}' | '\u{20E3}' | '\u{A9}'
        | '\u{AE}' | '\u{203C}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{24C2}' | '\u{3030}' | '\u{303D}'
        | '\u{3297}' | '\u{3299}')
}

/// Whether it is Chinese, Japanese or Korean ideographic.
pub(super) fn han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFD}' | '\u{3005}'..='\u{3007}')
}

/// Whether it is of a script in which joiners between letters change their shape or meaning.
pub(super) fn joining(c: char) -> bool {
    matches!(c,
        // Arabic with Persian and Urdu, Syriac, Thaana, N'Ko, Mandaic.
        '\u{620}'..='\u{74F}' | '\u{750}'..='\u{7FF}' | '\u{840}'..='\u{85F}' | '\u{860}'..='\u{86F}'
        | '\u{8A0}'..='\u{8FF}' | '\u{FB50}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}'
        // The scripts of India and Sri Lanka, Tibetan, Myanmar, Khmer, Mongolian and their kin.
        | '\u{900}'..='\u{DFF}' | '\u{F00}'..='\u{109F}' | '\u{1780}'..='\u{17B3}' | '\u{17B6}'..='\u{17FF}'
        | '\u{1820}'..='\u{18AF}' | '\u{1900}'..='\u{1AAF}' | '\u{1B00}'..='\u{1C4F}' | '\u{A800}'..='\u{A8FF}'
        | '\u{A900}'..='\u{A92F}' | '\u{A980}'..='\u{AADF}' | '\u{ABC0}'..='\u{ABFF}' | '\u{11000}'..='\u{11FFF}')
}

/// Whether it is of a script without spaces, in which a zero-width space says where a line may break.
pub(super) fn unspaced(c: char) -> bool {
    matches!(c, '\u{E00}'..='\u{EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17B3}' | '\u{17B6}'..='\u{17FF}')
}

/// Whether it is a letter of Mongolian, which has separators and selectors of its own.
pub(super) fn mongolian(c: char) -> bool {
    matches!(c, '\u{1820}'..='\u{18AF}')
}

/// Whether it is written from right to left.
pub(super) fn right_to_left(c: char) -> bool {
    matches!(c,
        '\u{5BE}'..='\u{5F4}' | '\u{608}'..='\u{61B}' | '\u{61D}'..='\u{8FF}' | '\u{FB1D}'..='\u{FDFF}'
        | '\u{FE70}'..='\u{FEFC}' | '\u{10800}'..='\u{10FFF}' | '\u{1E800}'..='\u{1EFFF}')
        && c.is_alphabetic()
}

/// Whether the variation selector `selector` has something to select after `base`.
pub(super) fn varies(base: char, selector: char) -> bool {
    match selector {
        '\u{FE0E}' | '\u{FE0F}' => emoji(base) || matches!(base, '0'..='9' | '#' | '*'),
        '\u{FE00}'..='\u{FE02}' => {
            han(base)
                || matches!(base,
                    '0' | '\u{2018}'..='\u{201D}' | '\u{2200}'..='\u{22FF}' | '\u{2A00}'..='\u{2AFF}'
                    | '\u{3000}'..='\u{303F}' | '\u{FF00}'..='\u{FF9F}' | '\u{1000}'..='\u{109F}'
                    | '\u{A840}'..='\u{A877}' | '\u{13000}'..='\u{1343F}')
        }
        '\u{180B}'..='\u{180D}' | '\u{180F}' => mongolian(base),
        // The registered variants of an ideograph are few; the 240 selectors there are would carry a byte each.
        '\u{E0100}'..='\u{E011F}' => han(base),
        _ => false,
    }
}

/// Whether it is a Braille pattern with a dot.
pub(super) fn braille(c: char) -> bool {
    matches!(c, '\u{2801}'..='\u{28FF}')
}

/// Whether it is an Egyptian hieroglyph, which format controls may arrange.
pub(super) fn hieroglyph(c: char) -> bool {
    matches!(c, '\u{13000}'..='\u{1342F}' | '\u{13460}'..='\u{143FF}')
}

/// Whether it is of the small script of the Khitan.
pub(super) fn khitan(c: char) -> bool {
    matches!(c, '\u{18B00}'..='\u{18CFF}')
}
