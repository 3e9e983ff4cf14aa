//! What every control wants to know of a longer text, found out once for all of them: what it says, and a digest that names it.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::document::{Node, NodeId, NodeKind};

/// Shorter texts are read sooner than they are looked up.
const SHORTEST: usize = 64;
/// Texts of one document that are kept decoded; others are decoded whenever they are read.
const MOST_TEXTS: usize = 4096;
/// Digests that one document keeps.
const MOST_DIGESTS: usize = 64;
/// Bytes of decoded texts that make no difference to what a message takes.
const LITTLE: usize = 16 * 1024;

/// 128 bits: who could find two texts of one digest would have looked at 2^64.
pub type TextDigest = [u8; 16];

#[derive(Default)]
pub(crate) struct Memo {
    /// Texts with escapes in the order of their places, and what those say that were read.
    texts: Vec<(NodeId, OnceLock<Box<str>>)>,
    digests: Mutex<Vec<(NodeId, TextDigest)>>,
}

impl Memo {
    /// Nothing yet of the texts of these nodes.
    pub(crate) fn of(nodes: &[Node]) -> Memo {
        let is_long =
            |node: &Node| node.escaped && node.kind == NodeKind::String && (node.end - node.start) as usize >= SHORTEST;
        let texts = (0..).zip(nodes).filter(|(_, node)| is_long(node)).take(MOST_TEXTS);
        Memo { texts: texts.map(|(place, _)| (NodeId(place), OnceLock::new())).collect(), digests: Mutex::default() }
    }

    /// What the text at `id` says, if that is kept; it is decoded if nobody has asked before.
    pub(crate) fn text(&self, id: NodeId, decode: impl FnOnce() -> Box<str>) -> Option<&str> {
        let place = self.texts.binary_search_by_key(&id, |(held, _)| *held).ok()?;
        self.texts.get(place).map(|(_, text)| &**text.get_or_init(decode))
    }

    /// Whether what is kept takes much memory.
    pub(crate) fn is_large(&self) -> bool {
        self.texts.iter().filter_map(|(_, text)| text.get()).map(|text| text.len()).sum::<usize>() > LITTLE
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
    use crate::{Document, Limits, Message};

    #[test]
    fn what_is_kept_is_what_would_be_read() {
        let long = |end: &str| format!("{}{end}", "x\\n\\u00e9".repeat(20));
        let text =
            format!(r#"{{"a":"{}","b\n":"short\n","c":["{}"],"d":"plain {}"}}"#, long("1"), long("2"), "x".repeat(99));
        let document = Document::parse(text, &Limits::default()).unwrap();
        let again = document.clone();
        let (mut texts, mut kept) = (0, 0);
        for value in document.root().subtree() {
            let Some(said) = value.as_str() else { continue };
            texts += 1;
            kept += usize::from(document.memo.text(value.id(), || "".into()).is_some());
            assert_eq!(said, crate::text::unquote(value.raw(), value.raw().contains('\\')));
            assert_eq!(Some(said.clone()), value.as_str());
            // Asked twice, and of a copy.
            let digests = [value.digest(), value.digest(), again.value(value.id()).digest(), digest(&said)];
            assert!(digests.iter().all(|other| *other == digests[0]), "{said}");
        }
        assert_eq!((texts, kept), (8, 2), "the long ones with escapes");
    }

    #[test]
    fn a_document_keeps_no_more_than_so_much() {
        let many = vec![format!(r#""{}""#, "x\\n".repeat(30)); MOST_TEXTS + 100];
        let document = Document::parse(format!("[{}]", many.join(",")), &Limits::default()).unwrap();
        let texts = document.root().elements().map(|value| value.text().into_owned());
        assert!(texts.into_iter().all(|text| text == "x\n".repeat(30)));
        assert_eq!(document.memo.texts.len(), MOST_TEXTS);
        let first = document.root().elements().next().unwrap().digest();
        assert!(document.root().elements().all(|value| value.digest() == first));
        assert_eq!(document.memo.digests.lock().unwrap().len(), MOST_DIGESTS);
    }

    #[test]
    fn once_a_message_is_judged_it_takes_no_more_than_its_bytes() {
        for (count, is_large) in [(20, false), (20_000, true)] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"text":"{}"}}}}"#, "x\\n".repeat(count));
            let message = Message::parse(text, &Limits::default()).unwrap();
            let said = |message: &Message| message.parts().map(|part| part.text().into_owned()).collect::<Vec<_>>();
            let before = said(&message);
            assert_eq!(message.document().memo.is_large(), is_large);
            let other = message.clone();
            for settled in [message.settled(), other.clone().settled()] {
                assert!(!settled.document().memo.is_large());
                assert_eq!((settled.bytes(), settled.id(), settled.kind()), (other.bytes(), other.id(), other.kind()));
                assert_eq!(said(&settled), before);
            }
        }
    }
}
