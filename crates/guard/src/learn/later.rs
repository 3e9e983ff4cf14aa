//! Which values that results brought came up in what was asked later.
//!
//! A value counts as come up if a later call of the same client has it as a value, or as a row of words in one, in whatever case and
//! with whatever between the words. Short values come up by chance as well, and then count as needed, which is the side to err on.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use bartizan_flow::Leaf;

/// Values of one field that are held against later calls, and those of all fields together: about 60 MiB.
pub(super) const OF_FIELD: u64 = 2_000;
const OF_ALL: usize = 1 << 19;
/// Words of a value that is compared as a whole; of a longer one each row of so many words is.
const ROW: usize = 6;
/// Words of a text that are looked at.
const WORDS: usize = 4_000;
/// Rows of words that are kept of one long text.
const ROWS: usize = 200;

/// Values, by hashes under the client that they were brought to.
#[derive(Debug, Default)]
pub(super) struct Later(HashMap<u64, Vec<u32>>);

impl Later {
    /// Keeps a value that this field brought to that client; whether there was room.
    pub(super) fn brought(&mut self, client: u64, field: u32, text: &str) -> bool {
        if self.0.len() >= OF_ALL {
            return false;
        }
        let words = words(text);
        if words.is_empty() {
            return true;
        }
        let mut keep = |hash: u64| {
            let fields = self.0.entry(hash).or_default();
            if !fields.contains(&field) {
                fields.push(field);
            }
        };
        if words.len() <= ROW {
            keep(hash_of(client, &words));
        } else {
            words.windows(ROW).take(ROWS).for_each(|row| keep(hash_of(client, row)));
            // What names something within a sentence: an address, a number.
            telling(text).take(ROWS).for_each(|token| keep(hash_of(client, &self::words(token))));
        }
        if let Some(number) = joined(text) {
            keep(hash_of(client, &[number]));
        }
        true
    }

    /// The fields of which a value comes up in these values of a call, each once.
    pub(super) fn come_up<'a>(&self, client: u64, leaves: impl Iterator<Item = &'a Leaf>) -> Vec<u32> {
        let mut all = Vec::new();
        let mut add = |words: &[String]| {
            all.extend(self.0.get(&hash_of(client, words)).into_iter().flatten().copied());
        };
        for leaf in leaves {
            let words = words(&leaf.text);
            for at in 0..words.len() {
                let rows = (1..=ROW).filter_map(|length| words.get(at..at + length));
                rows.for_each(&mut add);
            }
            if let Some(number) = joined(&leaf.text) {
                add(&[number]);
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Words in small letters.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.take(WORDS).map(str::to_lowercase).collect()
}

/// Pieces of a sentence that name something: with a digit, or with something between letters, as addresses have.
fn telling(text: &str) -> impl Iterator<Item = &str> {
    let pieces = text
        .split(|c: char| c.is_whitespace() || ",;<>()\"".contains(c))
        .map(|piece| piece.trim_matches(['.', ':', '!', '?', '\'']));
    pieces.filter(|piece| {
        let is_number = piece.len() >= 3 && piece.bytes().any(|byte| byte.is_ascii_digit());
        is_number || piece.contains(['@', '/', '_']) || piece.contains('.') && piece.len() > 4
    })
}

/// What is written in groups, as one word: numbers of phones, accounts and cards.
fn joined(text: &str) -> Option<String> {
    const DIGITS: usize = 5;
    if text.len() > 64 {
        return None;
    }
    let joined: String = text.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect();
    (joined.bytes().filter(u8::is_ascii_digit).count() >= DIGITS).then_some(joined)
}

fn hash_of(client: u64, words: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    client.hash(&mut hasher);
    words.hash(&mut hasher);
    hasher.finish()
}

/// A number for a name.
pub(super) fn number_of(names: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_up(brought: &str, asked: &str, client: u64) -> bool {
        let mut later = Later::default();
        assert!(later.brought(1, 7, brought));
        let leaf =
            Leaf { path: "a".into(), text: asked.into(), is_destination: false, is_path: false, is_folder: false };
        later.come_up(client, std::iter::once(&leaf)) == [7]
    }

    #[test]
    fn a_value_is_known_again() {
        let mail = "Dear Ann, order A-1234 is late, as the lorry broke down near Lyon this morning; write to help@shop.example.";
        for (brought, asked, does) in [
            ("bob@corp.example", "bob@corp.example", true),
            ("bob@corp.example", "Bob <BOB@corp.example>, ann@corp.example", true),
            ("bob@corp.example", "corp.example", false),
            ("17", "/customers/17/orders", true),
            ("17", "170", false),
            ("+49 30 901820", "4930901820", true),
            ("Riverside View Hotel", "a room at the riverside view hotel, please", true),
            (mail, "A-1234", true),
            (mail, "help@shop.example", true),
            (mail, "he says that the lorry broke down near Lyon this morning", true),
            (mail, "is it late", false),
            ("", "", false),
        ] {
            assert_eq!(comes_up(brought, asked, 1), does, "{brought} {asked}");
        }
        assert!(!comes_up("bob@corp.example", "bob@corp.example", 2), "another client");
    }

    #[test]
    fn no_more_is_kept_than_may_be() {
        let mut later = Later::default();
        let kept = (0..OF_ALL + 10).filter(|number| later.brought(1, 0, &format!("v{number}x"))).count();
        assert_eq!(kept, OF_ALL);
        assert_eq!(later.0.len(), OF_ALL);
    }
}
