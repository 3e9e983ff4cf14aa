//! The rules of the guard: those of `detect`, each with what it leads to by default, and a few of its own.

use bartizan_detect::rules::{self, Rule, THEMES};
use bartizan_mcp::PartKind;

use super::super::RuleSpec;
use crate::{Action, Severity, note};

/// How likely an attack is, in percent, from which on a text is acted upon. Below, it is recorded as [`WEAK`].
pub(super) const LIKELY: u8 = 50;

pub(super) static CLASSIFIER: RuleSpec = RuleSpec::new(
    bartizan_detect::CLASSIFIER,
    Severity::Low,
    Action::Observe,
    "The text speaks like attacks do, as far as the classifier has learnt that.",
);

pub(super) static AGREED: RuleSpec = RuleSpec::new(
    "prompt_injection.agreed",
    Severity::High,
    Action::Redact,
    "A rule that alone says little and the classifier point at the same place.",
)
.in_kinds(IN_BOTH);

pub(super) static WEAK: RuleSpec = RuleSpec::new(
    "prompt_injection.weak",
    Severity::Low,
    Action::Observe,
    "Words of an attack where they are often honest: quoted, or in a text that may well say so.",
);

pub(super) static CUSTOM: RuleSpec = RuleSpec::new(
    "prompt_injection.custom",
    Severity::High,
    Action::Redact,
    "A rule of the operator's own file matches.",
)
.in_kinds(IN_BOTH)
.holds_others();

/// The same of a rule that says how severe it is; a rule has one id and one action, whatever its severity.
pub(super) static CUSTOM_BY_SEVERITY: [(rules::Severity, RuleSpec); 3] = [
    (rules::Severity::Low, RuleSpec { severity: Severity::Low, ..copy(&CUSTOM) }),
    (rules::Severity::Medium, RuleSpec { severity: Severity::Medium, ..copy(&CUSTOM) }),
    (rules::Severity::Critical, RuleSpec { severity: Severity::Critical, ..copy(&CUSTOM) }),
];

pub(super) static UNREAD: RuleSpec = RuleSpec::new(
    "prompt_injection.unread",
    Severity::Medium,
    Action::Observe,
    "There are more encodings in encodings than are read.",
);

pub(super) static NOTE: RuleSpec = RuleSpec::new(
    note::IMITATED,
    Severity::Low,
    Action::Redact,
    "The text imitates a note of this gateway, as if something had been looked at or taken out; the name in it is broken up.",
)
.in_kinds(&[
    // What a client says goes to a server, which no words talk round.
    (PartKind::Argument, Action::Observe),
]);

pub(super) static OPINION: RuleSpec = RuleSpec::new(
    "prompt_injection.opinion",
    Severity::High,
    Action::Redact,
    "A judge or a model of the operator's, asked about a doubtful text, holds it for an attack.",
)
.in_kinds(IN_BOTH);

pub(super) static SILENT: RuleSpec = RuleSpec::new(
    "prompt_injection.no_opinion",
    Severity::Info,
    Action::Observe,
    "A judge or a model was to be asked about a doubtful text and said nothing: the rest decided.",
);

pub(super) static UNASKED: RuleSpec = RuleSpec::new(
    "prompt_injection.unasked",
    Severity::Medium,
    Action::Observe,
    "A judge or a model could say nothing about a doubtful text because of the text, or of how many there are: the rest decided.",
);

pub(super) static REQUIRED: RuleSpec = RuleSpec::new(
    "prompt_injection.opinion_required",
    Severity::Medium,
    Action::Deny,
    "A judge or a model said nothing about a doubtful text, and nothing doubtful passes without its word.",
);

pub(super) static CLEARED: RuleSpec = RuleSpec::new(
    "prompt_injection.cleared",
    Severity::Info,
    Action::Observe,
    "What the classifier alone found, and not surely, a judge or a model holds for harmless.",
);

/// Those that say what came of asking.
pub(super) static OPINIONS: [&RuleSpec; 5] = [&OPINION, &SILENT, &UNASKED, &REQUIRED, &CLEARED];

/// How many rules `detect` has.
const KNOWN: usize = {
    let (mut count, mut at) = (0, 0);
    while at < THEMES.len() {
        count += theme(at).len();
        at += 1;
    }
    count
};

/// Every rule of the guard.
pub(super) static ALL: [RuleSpec; KNOWN + 11] = {
    const FREE: RuleSpec = RuleSpec::new("", Severity::Low, Action::Observe, "");
    let mut all = [FREE; KNOWN + 11];
    let (mut next, mut at) = (0, 0);
    while at < THEMES.len() {
        let mut index = 0;
        while index < theme(at).len() {
            put(&mut all, next, spec(rule(at, index)));
            (next, index) = (next + 1, index + 1);
        }
        at += 1;
    }
    put(&mut all, next, copy(&CLASSIFIER));
    put(&mut all, next + 1, copy(&AGREED));
    put(&mut all, next + 2, copy(&WEAK));
    put(&mut all, next + 3, copy(&CUSTOM));
    put(&mut all, next + 4, copy(&OPINION));
    put(&mut all, next + 5, copy(&SILENT));
    put(&mut all, next + 6, copy(&UNASKED));
    put(&mut all, next + 7, copy(&REQUIRED));
    put(&mut all, next + 8, copy(&CLEARED));
    put(&mut all, next + 9, copy(&UNREAD));
    put(&mut all, next + 10, copy(&NOTE));
    all
};

#[expect(clippy::indexing_slicing, reason = "by the compiler, which would refuse it")]
const fn theme(at: usize) -> &'static [Rule] {
    THEMES[at].rules
}

#[expect(clippy::indexing_slicing, reason = "by the compiler, which would refuse it")]
const fn rule(at: usize, index: usize) -> &'static Rule {
    &theme(at)[index]
}

#[expect(clippy::indexing_slicing, reason = "by the compiler, which would refuse it")]
const fn put<const N: usize>(all: &mut [RuleSpec; N], at: usize, spec: RuleSpec) {
    all[at] = spec;
}

const fn copy(spec: &RuleSpec) -> RuleSpec {
    RuleSpec { ..*spec }
}

const fn spec(rule: &Rule) -> RuleSpec {
    let severity = match rule.severity {
        rules::Severity::Low => Severity::Low,
        rules::Severity::Medium => Severity::Medium,
        rules::Severity::High => Severity::High,
        rules::Severity::Critical => Severity::Critical,
    };
    let (definitions, content) = (rule.likely.tool_description >= LIKELY, rule.likely.tool_result >= LIKELY);
    let spec = RuleSpec::new(rule.id, severity, Action::Observe, rule.says);
    match (definitions, content) {
        (true, true) => spec.in_kinds(IN_BOTH),
        (true, false) => spec.in_kinds(IN_DEFINITIONS),
        (false, true) => spec.in_kinds(IN_CONTENT),
        (false, false) => spec,
    }
}

/// Defaults of what no honest definition says: it is withheld.
const IN_DEFINITIONS: &[(PartKind, Action)] = &[
    (PartKind::ToolDefinition, Action::Deny),
    (PartKind::PromptDefinition, Action::Deny),
    (PartKind::ResourceDefinition, Action::Deny),
    (PartKind::Instructions, Action::Deny),
    (PartKind::Argument, Action::Observe),
    (PartKind::Other, Action::Observe),
];

/// Defaults of what no honest content says: the sentence is taken out, and what cannot do without it is refused.
const IN_CONTENT: &[(PartKind, Action)] = &[
    (PartKind::Content, Action::Redact),
    (PartKind::StructuredContent, Action::Redact),
    (PartKind::Error, Action::Redact),
    (PartKind::Notification, Action::Redact),
    (PartKind::Sampling, Action::Deny),
    (PartKind::Elicitation, Action::Deny),
];

const IN_BOTH: &[(PartKind, Action)] = &[
    (PartKind::ToolDefinition, Action::Deny),
    (PartKind::PromptDefinition, Action::Deny),
    (PartKind::ResourceDefinition, Action::Deny),
    (PartKind::Instructions, Action::Deny),
    (PartKind::Content, Action::Redact),
    (PartKind::StructuredContent, Action::Redact),
    (PartKind::Error, Action::Redact),
    (PartKind::Notification, Action::Redact),
    (PartKind::Sampling, Action::Deny),
    (PartKind::Elicitation, Action::Deny),
    // What a client says goes to a server, which no words talk round; names and words of the protocol are looked up.
    (PartKind::Argument, Action::Observe),
    (PartKind::Metadata, Action::Observe),
    (PartKind::Other, Action::Observe),
];
