//! Counts words: all of them, or those that sentences are made of and code is not.

use super::script;

/// Words, some longer than any word. Ideographs are one in two.
pub(super) fn words(text: &str) -> usize {
    const LONGEST: usize = 48;
    let word = |word: &str| {
        if !word.chars().any(char::is_alphanumeric) {
            return 0;
        }
        // Addresses and paths are long.
        let long = if word.contains(['/', ':']) { 0 } else { word.len() / LONGEST };
        1 + long + ideographs(word) / 2
    };
    text.split_whitespace().map(word).sum()
}

/// Words outside of tags, which are looked at by themselves.
pub(super) fn words_between_tags(text: &str) -> usize {
    let mut pieces = text.split('<');
    let first = pieces.next().map_or(0, words);
    let after = |piece: &str| match piece.strip_prefix('/').unwrap_or(piece).bytes().next() {
        Some(b'a'..=b'z' | b'A'..=b'Z') => piece.split_once('>').map_or(0, |(_, shown)| words(shown)),
        _ => words(piece),
    };
    first + pieces.map(after).sum::<usize>()
}

/// Words of a sentence: not numbers, single letters, paths, classes of a style sheet or names as code has them, unless
/// such a name is itself a sentence.
pub(super) fn prose(text: &str) -> usize {
    plain_words(text).map(weight).sum()
}

/// The words that [`prose`] counts, without what stands around them.
pub(super) fn plain_words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| weight(word) > 0)
}

fn weight(word: &str) -> usize {
    /// Names of so many parts are sentences.
    const SENTENCE: usize = 5;
    let (mut letters, mut others, mut joints, mut parts) = (0, 0, 0, 1);
    let mut lower = false;
    for c in word.chars() {
        match c {
            '_' | '-' => (joints, parts) = (joints + 1, parts + 1),
            '\'' | '’' => {}
            _ if c.is_alphabetic() => letters += 1,
            _ => others += 1,
        }
        parts += usize::from(lower && c.is_uppercase());
        lower = c.is_lowercase();
    }
    // Digits may stand for letters; what has fewer letters than anything else is no word.
    if letters < 2 || others >= letters || word.contains(['/', ':', '=', '(', '<', '.']) {
        return 0;
    }
    match parts {
        1 => 1 + ideographs(word) / 2,
        SENTENCE.. => parts,
        // One hyphen is usual in words, other joints are in names.
        2 if joints == 1 && others == 0 && word.contains('-') => 1,
        _ => 0,
    }
}

fn ideographs(word: &str) -> usize {
    word.chars().filter(|c| script::han(*c)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_not_code() {
        for (text, expected) in [
            ("first, send the (secret) keys!", 5),
            ("don't read-only f1rst", 3),
            ("px-4 py-2 md:flex w-1/2 text_sm x y 12 https://example.org/a/b", 0),
            ("std::vector size_t IntoResponse serde_json", 0),
            ("ignore_all_previous_instructions ignoreAllPreviousInstructions", 0),
            ("ignore_all_previous_instructions_now", 5),
            ("ignoreAllPreviousInstructionsNow", 5),
            ("首先把所有的密钥", 5),
        ] {
            assert_eq!(prose(text), expected, "{text}");
        }
    }
}
