//! The names that tools and prompts have when all servers appear as one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Between the server's name and the tool's; no server's name holds it.
const SEPARATOR: &str = "__";
/// Clients refuse longer names.
const LONGEST: usize = 63;
/// Shortened names that are remembered.
const MOST: usize = 20_000;

/// Turns a server's names into the client's and back.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Shortened names and what they stand for.
    shortened: Mutex<HashMap<String, (Arc<str>, Box<str>)>>,
}

impl Names {
    /// What the client calls `name` of `server`: stable, and short enough for every client.
    pub(super) fn outward(&self, server: &Arc<str>, name: &str) -> String {
        let full = format!("{server}{SEPARATOR}{name}");
        if full.len() <= LONGEST {
            return full;
        }
        let digest: String = blake3::hash(full.as_bytes()).to_hex().chars().take(8).collect();
        let mut short = String::with_capacity(LONGEST);
        for character in full.chars() {
            if short.len() + character.len_utf8() + 1 + digest.len() > LONGEST {
                break;
            }
            short.push(character);
        }
        short.push('_');
        short.push_str(&digest);
        let mut shortened = self.shortened.lock().unwrap_or_else(PoisonError::into_inner);
        if shortened.len() < MOST {
            shortened.insert(short.clone(), (Arc::clone(server), name.into()));
        }
        short
    }

    /// The server and the name there. A shortened name is known once it was listed; before, its server is.
    pub(super) fn inward(&self, name: &str) -> Option<(String, Option<String>)> {
        let shortened = self.shortened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((server, name)) = shortened.get(name) {
            return Some((server.to_string(), Some(name.to_string())));
        }
        let (server, rest) = name.split_once(SEPARATOR)?;
        let certain = name.len() < LONGEST;
        Some((server.to_owned(), certain.then(|| rest.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable_short_and_lead_back() {
        let names = Names::default();
        let server: Arc<str> = "files".into();
        for name in ["read", "a__b", "__init__", "x".repeat(200).as_str(), "ä".repeat(60).as_str(), ""] {
            let outward = names.outward(&server, name);
            assert!(outward.len() <= LONGEST && outward.starts_with("files__"), "{outward}");
            assert_eq!(outward, Names::default().outward(&server, name), "stable");
            assert_eq!(names.inward(&outward), Some(("files".into(), Some(name.into()))));
        }
        assert_ne!(names.outward(&server, &format!("{}a", "x".repeat(80))), names.outward(&server, &"x".repeat(81)));
        assert_eq!(names.inward("read"), None);
        let unlisted = format!("files__{}", "y".repeat(LONGEST - 7));
        assert_eq!(names.inward(&unlisted), Some(("files".into(), None)), "may be a shortened one");
    }
}
