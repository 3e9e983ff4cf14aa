//! What every control wants to know of a longer text, found out once for all of them: what it says, and a digest that names it.

use std::sync::{Mutex, PoisonError};

use crate::document::{Node, NodeId, NodeKind};

/// Shorter texts are read sooner than they are looked up.
const SHORTEST: usize = 48;
/// Bytes of decoded texts that one document keeps: of larger ones that would be as much memory again, and reading them is the
/// smallest part of what they cost.
const MOST: usize = 16 * 1024;
/// Digests that one document keeps.
const MOST_DIGESTS: usize = 64;

/// 128 bits: who could find two texts of one digest would have looked at 2^64.
pub type TextDigest = [u8; 16];

#[derive(Default)]
pub(crate) struct Memo {
    /// What texts with escapes say, in the order of their places.
    decoded: Vec<(NodeId, Box<str>)>,
    digests: Mutex<Vec<(NodeId, TextDigest)>>,
}

impl Clone for Memo {
    fn clone(&self) -> Self {
        Memo { decoded: self.decoded.clone(), digests: Mutex::default() }
    }
}

impl Memo {
    /// Decodes the first texts with escapes.
    pub(crate) fn of(text: &str, nodes: &[Node]) -> Memo {
        let mut memo = Memo::default();
        let mut left = MOST;
        for (place, node) in (0..).zip(nodes) {
            let length = (node.end - node.start) as usize;
            if !node.escaped || node.kind != NodeKind::String || !(SHORTEST..=left).contains(&length) {
                continue;
            }
            let literal = text.get(node.start as usize..node.end as usize).unwrap_or_default();
            left -= length;
            memo.decoded.push((NodeId(place), crate::text::unquote(literal, true).into()));
        }
        memo
    }

    /// What the text at `id` says, if that is kept.
    pub(crate) fn text(&self, id: NodeId) -> Option<&str> {
        let place = self.decoded.binary_search_by_key(&id, |(held, _)| *held).ok()?;
        self.decoded.get(place).map(|(_, text)| &**text)
    }

    /// The digest of the text at `id`.
    pub(crate) fn digest(&self, id: NodeId, text: &str) -> TextDigest {
        let held = || self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        let known = held().iter().find(|(held, _)| *held == id).map(|(_, digest)| *digest);
        if let Some(known) = known {
            return known;
        }
        let digest = digest(text);
        let mut held = held();
        if held.len() < MOST_DIGESTS {
            held.push((id, digest));
        }
        digest
    }
}

/// The digest that names a text: the first half of its BLAKE3.
#[must_use]
pub fn digest(text: &str) -> TextDigest {
    let hash = blake3::hash(text.as_bytes());
    let mut digest = TextDigest::default();
    digest.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Document, Limits};

    #[test]
    fn what_is_kept_is_what_would_be_read() {
        let long = |end: &str| format!("{}{end}", "x\\n\\u00e9".repeat(20));
        let huge = "y\\t".repeat(MOST / 2);
        let text = format!(r#"{{"a":"{}","b\n":"short\n","c":["{huge}","{}"],"d":"plain"}}"#, long("1"), long("2"));
        let document = Document::parse(text.clone(), &Limits::default()).unwrap();
        let again = document.clone();
        let (mut texts, mut kept) = (0, 0);
        for value in document.root().subtree() {
            let Some(said) = value.as_str() else { continue };
            texts += 1;
            kept += usize::from(document.memo.text(value.id()).is_some());
            assert_eq!(said, crate::text::unquote(value.raw(), value.raw().contains('\\')));
            // Asked twice, and of a copy.
            let digests = [value.digest(), value.digest(), again.value(value.id()).digest(), digest(&said)];
            assert!(digests.iter().all(|other| *other == digests[0]), "{said}");
        }
        assert_eq!((texts, kept), (9, 2), "the long ones, and not what would be as much memory again");
    }

    #[test]
    fn a_document_keeps_no_more_than_so_much() {
        let many = vec![format!(r#""{}""#, "x\\n".repeat(100)); 200];
        let document = Document::parse(format!("[{}]", many.join(",")), &Limits::default()).unwrap();
        let kept = document.root().subtree().filter(|value| document.memo.text(value.id()).is_some());
        assert_eq!(kept.count(), MOST / (300 + 2));
        let first = document.root().elements().next().unwrap().digest();
        assert!(document.root().elements().all(|value| value.digest() == first));
        assert_eq!(document.memo.digests.lock().unwrap().len(), MOST_DIGESTS);
    }
}
