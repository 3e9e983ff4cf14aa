//! The message as it is after its edits, in which every part has to be what it was.

use std::collections::BTreeMap;

use bartizan_mcp::{Edits, Limits, Message, NodeId};

use super::EDIT_FAILED;
use crate::change::{self, Change};
use crate::{Action, Event, Judged};

/// What goes out of a message and what comes into it, besides what is cut out of texts.
pub(super) struct Altered<'j> {
    /// The elements that are taken out of their lists.
    pub(super) removed: &'j BTreeMap<NodeId, NodeId>,
    /// What guards have changed.
    pub(super) changes: Vec<&'j Change>,
}

impl<'j> Altered<'j> {
    pub(super) fn of(removed: &'j BTreeMap<NodeId, NodeId>, judged: &'j [Judged]) -> Altered<'j> {
        let redacted = judged.iter().filter(|held| held.action == Action::Redact);
        Altered { removed, changes: redacted.flat_map(|held| &held.finding.changes).collect() }
    }
}

/// The message as it is edited.
///
/// # Errors
/// If it is no message any more, or a part of it would be something else.
pub(super) fn as_edited(event: &Event<'_>, edits: &Edits, altered: &Altered<'_>) -> Result<Message, String> {
    // The limits of messages apply when it is admitted.
    let Ok(edited) = event.message.edited(edits, &Limits::AGAIN) else {
        return Err(EDIT_FAILED.summary.to_owned());
    };
    let stays = |element: Option<NodeId>| element.is_none_or(|element| !altered.removed.contains_key(&element));
    let parts = event.message.parts().filter(|part| stays(part.element));
    let parts = parts.map(|part| (part.id(), part.kind, part.is_key()));
    let expected = change::kinds(event.message.document(), parts, altered.changes.iter().copied());
    if !edited.parts().map(|part| (part.kind, part.is_key())).eq(expected) {
        return Err("without what was hidden, a part of the message would be something else".to_owned());
    }
    Ok(edited)
}
