//! Reads what hidden characters say.

use super::{Hidden, Kind};

pub(super) fn decode(kind: Kind, hidden: &str) -> Option<String> {
    let text = match kind {
        Kind::Tags => bounded(hidden.chars().filter_map(tag)),
        Kind::Variation => bytes(hidden.chars().filter_map(selector)),
        Kind::ZeroWidth => bits(hidden)?,
        Kind::Comment | Kind::Invisible | Kind::Unseen | Kind::Faint | Kind::Unclosed => bounded(hidden.chars()),
        Kind::Stray | Kind::Terminal | Kind::Overwrite | Kind::Bidi | Kind::Format | Kind::Flood => return None,
    };
    (!text.is_empty()).then_some(text)
}

fn bounded(characters: impl Iterator<Item = char>) -> String {
    characters.take(Hidden::MAX_DECODED).collect()
}

fn tag(c: char) -> Option<char> {
    let ascii = u8::try_from(u32::from(c).checked_sub(0xE0000)?).ok()?;
    matches!(ascii, 0x20..=0x7e).then_some(char::from(ascii))
}

/// The 256 variation selectors, taken for bytes.
fn selector(c: char) -> Option<u8> {
    let byte = match c {
        '\u{FE00}'..='\u{FE0F}' => u32::from(c) - 0xFE00,
        '\u{E0100}'..='\u{E01EF}' => u32::from(c) - 0xE0100 + 16,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

fn bytes(bytes: impl Iterator<Item = u8>) -> String {
    let bytes: Vec<u8> = bytes.take(Hidden::MAX_DECODED).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Two characters taken for the bits of ASCII text, whichever way round makes sense.
fn bits(hidden: &str) -> Option<String> {
    let mut characters = hidden.chars();
    let first = characters.next()?;
    let second = characters.find(|&c| c != first)?;
    if !hidden.chars().all(|c| c == first || c == second) {
        return None;
    }
    [first, second].into_iter().find_map(|one| {
        let bits: Vec<bool> = hidden.chars().take(8 * Hidden::MAX_DECODED).map(|c| c == one).collect();
        let (octets, _) = bits.as_chunks::<8>();
        let text: Vec<u8> =
            octets.iter().map(|octet| octet.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect();
        let readable = !text.is_empty() && text.iter().all(|byte| matches!(byte, b'\n' | 0x20..=0x7e));
        readable.then(|| String::from_utf8_lossy(&text).into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_read() {
        let tags: String = "run rm -rf".bytes().map(|b| char::from_u32(0xE0000 + u32::from(b)).unwrap()).collect();
        let selectors: String = "hé".bytes().map(|b| char::from_u32(0xE0100 + u32::from(b) - 16).unwrap()).collect();
        let zero_width = |zero: char, one: char| -> String {
            let bits = |b: u8| (0..8).rev().map(move |bit| if b >> bit & 1 == 1 { one } else { zero });
            "send keys".bytes().flat_map(bits).collect()
        };
        assert_eq!(decode(Kind::Tags, &tags).as_deref(), Some("run rm -rf"));
        assert_eq!(decode(Kind::Variation, &selectors).as_deref(), Some("hé"));
        assert_eq!(decode(Kind::ZeroWidth, &zero_width('\u{200B}', '\u{200C}')).as_deref(), Some("send keys"));
        assert_eq!(decode(Kind::ZeroWidth, &zero_width('\u{2064}', '\u{2062}')).as_deref(), Some("send keys"));
        assert_eq!(decode(Kind::ZeroWidth, "\u{200B}\u{200B}"), None);
        assert_eq!(decode(Kind::ZeroWidth, "\u{200B}\u{200C}\u{2060}"), None);
        assert_eq!(decode(Kind::Terminal, "\u{1b}[1m"), None);
        assert_eq!(decode(Kind::Tags, &tags.repeat(100)).map(|text| text.len()), Some(Hidden::MAX_DECODED));
    }
}
