//! Schemas in use, so that sessions with the same tool share what was made of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bartizan_mcp::Digest;

use super::Compiled;
use crate::Definition;

/// Schemas by the digest of their definition, for as long as a session has it.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    by_digest: BTreeMap<Digest, Weak<Compiled>>,
    /// At this size, those that nobody has any more are looked for.
    crowded: usize,
}

impl Shared {
    /// The schemas of a tool, read at first use.
    pub(super) fn of<'d>(&self, definition: &'d Definition) -> &'d Compiled {
        definition.compiled.get_or_init(|| self.get(definition))
    }

    fn get(&self, definition: &Definition) -> Arc<Compiled> {
        if let Some(held) = self.held(definition.digest) {
            return held;
        }
        // Read without the lock, for it may take a while.
        let read = Arc::new(Compiled::of(&definition.json));
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = held.by_digest.get(&definition.digest).and_then(Weak::upgrade) {
            return first;
        }
        if held.by_digest.len() >= held.crowded {
            held.by_digest.retain(|_, schemas| schemas.strong_count() > 0);
            held.crowded = 2 * held.by_digest.len() + 64;
        }
        held.by_digest.insert(definition.digest, Arc::downgrade(&read));
        read
    }

    fn held(&self, digest: Digest) -> Option<Arc<Compiled>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_digest.get(&digest)?.upgrade()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DefinitionKind;
    use bartizan_mcp::{Limits, Message};

    fn definition(name: &str) -> Definition {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"name":"{name}","inputSchema":{{}}}}}}"#);
        let message = Message::parse(text, &Limits::default()).unwrap();
        Definition::read(DefinitionKind::Tool, message.result().unwrap()).unwrap()
    }

    #[test]
    fn sessions_share_what_was_made_of_a_definition() {
        let shared = Shared::default();
        let (one, same, other) = (definition("a"), definition("a"), definition("b"));
        assert!(std::ptr::eq(shared.of(&one), shared.of(&same)));
        assert!(!std::ptr::eq(shared.of(&one), shared.of(&other)));
    }

    #[test]
    fn what_nobody_has_any_more_is_forgotten() {
        let shared = Shared::default();
        let kept = definition("kept");
        shared.of(&kept);
        for number in 0..1_000 {
            shared.of(&definition(&number.to_string()));
        }
        assert!(shared.0.lock().unwrap().by_digest.len() < 100);
        assert!(std::ptr::eq(shared.of(&kept), shared.of(&definition("kept"))));
    }
}
