//! What becomes of a message.

use std::sync::Arc;

use bartizan_mcp::Edits;

use crate::{Action, Approval, Doubt, Fact, Finding, Labels, Pseudonym, Traits};

/// What is to happen.
#[derive(Debug, Clone)]
pub enum Decision {
    /// It passes as it is.
    Allow,
    /// It passes after these edits.
    Transform(Edits),
    /// It waits for a person.
    RequireApproval(Approval),
    /// It does not pass.
    Deny(Denial),
}

impl Decision {
    /// Its name in records.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Decision::Allow => "allow",
            Decision::Transform(_) => "transform",
            Decision::RequireApproval(_) => "approve",
            Decision::Deny(_) => "deny",
        }
    }
}

/// Why a message does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The rule that decided.
    pub rule: &'static str,
    /// Its reason, in a sentence.
    pub why: String,
}

/// A finding and what the settings made of it.
#[derive(Debug, Clone)]
pub struct Judged {
    /// What was found.
    pub finding: Finding,
    /// What happened because of it.
    pub action: Action,
    /// What would have happened in enforce mode and without exceptions, if that is more.
    pub would: Option<Action>,
    /// The setting that chose the action, such as `rule default` or `guard.schema.rules`.
    pub by: &'static str,
}

/// The whole outcome of judging one message.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// What is to happen.
    pub decision: Decision,
    /// What was found, in the order of the guards; past [`Verdict::MAX_FINDINGS`] only what had the most consequence.
    pub findings: Vec<Judged>,
    /// How many more there were.
    pub omitted: usize,
    /// What to remember if it passes.
    pub facts: Vec<Fact>,
    /// The policies that permit what a request asks for, by their ids: an empty list where no policy says anything and that is
    /// permitted, and none if policies do not decide about it.
    pub permitted_by: Option<Vec<Arc<str>>>,
    /// What the session was labelled with when it was judged.
    pub labels: Labels,
    /// What the session is labelled with before the message goes on, if it does.
    pub raises: Labels,
    /// What the message looks like beside others of its tool, to be learnt from if it passes.
    pub reply: Option<Traits>,
    /// What is to be kept before the message goes on, if it does: names that it holds, and what they stand for.
    pub pseudonyms: Vec<Pseudonym>,
    /// Numbers that something is done about, if numbers may stand for others: one that was handed out itself is no data.
    pub numbers: Vec<Pseudonym>,
    /// Texts about which slow layers are to be asked before this is carried out.
    pub doubts: Vec<Doubt>,
}

impl Verdict {
    /// Findings that are kept for the record once all of them have been acted upon.
    pub const MAX_FINDINGS: usize = 256;
}
