//! What sessions are labelled with.

use std::time::Duration;

use bartizan_guard::{Labelling, LabelsOf, Severity};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::problems::Problems;
use crate::tree::{self, Node};
use crate::units::Span;

/// What sessions are labelled with, for policies to read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LabelsTable {
    /// How grave a finding of `prompt_injection`, `tool_poisoning`, `output_anomaly`, `hidden_text` or `provenance` has to be at
    /// least in what the client is given to label the session `untrusted`.
    pub(crate) untrusted_from: Severity,
    /// Whose labels are one: those of each `session`, or those of all sessions of one `principal`.
    pub(crate) of: LabelsOf,
    /// How long after a client has ended a labelled session (`DELETE`) the next one of the same client begins with its labels:
    /// at most `8h`.
    pub(crate) after_end: Span,
}

impl Default for LabelsTable {
    fn default() -> Self {
        let Labelling { of, untrusted_from, after_end } = Labelling::default();
        LabelsTable { untrusted_from, of, after_end: Span(after_end) }
    }
}

/// The longest that labels are handed on: who begins the next day begins anew.
const LONGEST: Duration = Duration::from_hours(8);

/// The checked table.
pub(crate) fn labels(table: &LabelsTable, root: &Node<'_>, problems: &mut Problems) -> Labelling {
    let after_end = table.after_end.0;
    if after_end > LONGEST {
        problems.error(tree::place(root, &["labels", "after_end"]), "`after_end` is more than eight hours");
    }
    Labelling { of: table.of, untrusted_from: table.untrusted_from, after_end }
}
