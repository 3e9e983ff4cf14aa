//! The names that tools and prompts have when all servers appear as one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Between the server's name and the tool's; no server's name holds it.
const SEPARATOR: &str = "__";
/// Clients refuse longer names.
const LONGEST: usize = 63;
/// Of the digest that tells names apart that would look alike.
const DIGITS: usize = 8;
/// Names of one server that are remembered because they were made up.
const MOST: usize = 20_000;

/// A server and the name of something there.
type Original = (Arc<str>, Box<str>);

/// Turns a server's names into the client's and back.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Names that stand for ones too long or too odd for some clients.
    made_up: Mutex<HashMap<String, Original>>,
    /// How many of them are each server's.
    counts: Mutex<HashMap<Arc<str>, usize>>,
}

impl Names {
    /// What the client calls `name` of `server`: stable, short enough for every client, and of characters that every
    /// client takes.
    pub(super) fn outward(&self, server: &Arc<str>, name: &str) -> String {
        let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
        if server.len() + SEPARATOR.len() + name.len() <= LONGEST && name.chars().all(plain) && !looks_made_up(name) {
            return format!("{server}{SEPARATOR}{name}");
        }
        let full = format!("{server}{SEPARATOR}{name}");
        let digest: String = blake3::hash(full.as_bytes()).to_hex().chars().take(DIGITS).collect();
        let clean = full.chars().map(|character| if plain(character) { character } else { '_' });
        let mut short: String = clean.take(LONGEST - 1 - DIGITS).collect();
        short.push('_');
        short.push_str(&digest);
        let mut made_up = self.made_up.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(Arc::clone(server)).or_default();
        if *count < MOST && made_up.insert(short.clone(), (Arc::clone(server), name.into())).is_none() {
            *count += 1;
        }
        short
    }

    /// The server and the name there. A name that was made up is known once it was listed; before, only its server.
    pub(super) fn inward(&self, name: &str) -> Option<(String, Option<String>)> {
        let made_up = self.made_up.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((server, name)) = made_up.get(name) {
            return Some((server.to_string(), Some(name.to_string())));
        }
        let (server, rest) = name.split_once(SEPARATOR)?;
        Some((server.to_owned(), (!looks_made_up(name)).then(|| rest.to_owned())))
    }
}

/// Whether a name ends as made-up ones do. A server's own name that does is replaced like any other that cannot stay,
/// so that no server can choose what another of its names is turned into.
fn looks_made_up(name: &str) -> bool {
    let digits = name.bytes().rev().take(DIGITS);
    let hex = digits.clone().count() == DIGITS && digits.clone().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    hex && name.bytes().rev().nth(DIGITS) == Some(b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable_short_and_lead_back() {
        let names = Names::default();
        let server: Arc<str> = "files".into();
        let plain = ["read", "a__b", "__init__", "a.b-c", ""];
        for name in plain {
            assert_eq!(names.outward(&server, name), format!("files__{name}"));
            assert_eq!(names.inward(&format!("files__{name}")), Some(("files".into(), Some(name.into()))));
        }
        let long = "x".repeat(200);
        let odd =
            [&*long, &"ä".repeat(60), "a b", "a\u{1b}[31mb", "a\nb", "a/b", "evil__\u{e0041}", "own_0123abcd", "a\"b"];
        for name in odd {
            let outward = names.outward(&server, name);
            assert!(outward.len() <= LONGEST && outward.starts_with("files__"), "{outward}");
            assert!(outward.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)), "{outward}");
            assert_eq!(outward, Names::default().outward(&server, name), "stable");
            assert_eq!(names.inward(&outward), Some(("files".into(), Some(name.into()))));
            assert_eq!(Names::default().inward(&outward), Some(("files".into(), None)), "to be asked for");
        }
        assert_ne!(names.outward(&server, &format!("{}a", "x".repeat(80))), names.outward(&server, &"x".repeat(81)));
        assert_ne!(names.outward(&server, "a b"), names.outward(&server, "a_b"));
        // A name like the one that another becomes becomes something else itself.
        let target = names.outward(&server, "a b");
        let copy = target.strip_prefix("files__").unwrap();
        assert_ne!(names.outward(&server, copy), target);
        assert_eq!(names.inward("read"), None);
    }
}
