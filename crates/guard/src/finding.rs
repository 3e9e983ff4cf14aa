//! What guards report.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bartizan_mcp::{NodeId, Part, PartKind, Value};
use bartizan_policy::Reason;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::mark::Mark;
use crate::{Change, Doubt, Fact, Labels, Pseudonym, RuleSpec, Traits};

/// How bad it is if a finding is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Unusual.
    Low,
    /// Could be part of an attack.
    Medium,
    /// An attack, most likely.
    High,
    /// An attack with consequences.
    Critical,
}

impl Severity {
    /// Its name in records and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

/// How sure a guard is, in thousandths: 1000 is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Confidence(u16);

impl Confidence {
    /// Established, not estimated.
    pub const CERTAIN: Confidence = Confidence(1000);

    /// From thousandths; more than 1000 counts as 1000.
    #[must_use]
    pub fn from_thousandths(value: u16) -> Self {
        Confidence(value.min(1000))
    }

    /// In thousandths.
    #[must_use]
    pub fn thousandths(self) -> u16 {
        self.0
    }
}

/// One thing that one guard found in one place.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule that fired.
    pub rule: &'static RuleSpec,
    /// The id of the rule that the operator wrote and that comes under it, if it is one: settings may name that.
    pub own: Option<Box<str>>,
    /// Where: a text, a value or the whole message.
    pub at: NodeId,
    /// The role of that place.
    pub kind: PartKind,
    /// The element of a list that would have to go.
    pub element: Option<NodeId>,
    /// The name of the definition concerned, if it is one; used by settings for single tools.
    pub subject: Option<Box<str>>,
    /// Bytes of the decoded text at `at`; what `redact` takes away. Without one, `redact` cannot act
    /// and what it would have cut is denied; an empty one says that there is nothing to cut here.
    pub span: Option<Range<usize>>,
    /// More bytes of the same text, after `span` and in order, that `redact` treats alike.
    pub also: Vec<Range<usize>>,
    /// What `redact` puts there when it neutralises.
    pub replacement: Option<Box<str>>,
    /// What `redact` puts there when it pseudonymises.
    pub pseudonym: Option<Pseudonym>,
    /// How sure the guard is.
    pub confidence: Confidence,
    /// A sentence for a person; holds no secret, of a text only how long it is, and names only through [`excerpt`].
    pub why: String,
    /// The same sentence with the beginning of what was found, through [`excerpt`], for an operator who wants to read it.
    pub quoting: Option<String>,
    /// The policies that ask somebody, where one does.
    pub asked_by: Vec<Reason>,
    /// Texts that `redact` marks, around what is left of them once everything else is edited.
    pub marks: Vec<(NodeId, Mark)>,
    /// What `redact` changes besides, whatever the settings say of how.
    pub changes: Vec<Change>,
}

impl Finding {
    /// A certain finding about a whole value.
    #[must_use]
    pub fn about(rule: &'static RuleSpec, at: Value<'_>, kind: PartKind, why: impl Into<String>) -> Self {
        Finding {
            rule,
            own: None,
            at: at.id(),
            kind,
            element: None,
            subject: None,
            span: None,
            also: Vec::new(),
            replacement: None,
            pseudonym: None,
            confidence: Confidence::CERTAIN,
            why: why.into(),
            quoting: None,
            asked_by: Vec::new(),
            marks: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// A certain finding about some bytes of a part's decoded text.
    #[must_use]
    pub fn within(rule: &'static RuleSpec, part: &Part<'_>, span: Range<usize>, why: impl Into<String>) -> Self {
        Finding { element: part.element, span: Some(span), ..Finding::about(rule, part.value, part.kind, why) }
    }

    /// The same, about further bytes of that text too.
    #[must_use]
    pub fn and_within(mut self, spans: Vec<Range<usize>>) -> Self {
        self.also = spans;
        self
    }

    /// The same, as a reason to take `element` out of its list.
    #[must_use]
    pub fn in_element(mut self, element: NodeId) -> Self {
        self.element = Some(element);
        self
    }

    /// The same, which `redact` answers by these changes.
    #[must_use]
    pub fn changing(mut self, changes: Vec<Change>) -> Self {
        // Nothing has to be cut out of the value that it is about.
        self.span = Some(0..0);
        self.changes = changes;
        self
    }

    /// The same, by a rule that the operator wrote.
    #[must_use]
    pub fn by_own(mut self, id: Option<&str>) -> Self {
        self.own = id.map(Box::from);
        self
    }

    /// The same, with a sentence that quotes what was found.
    #[must_use]
    pub fn quoting(mut self, why: Option<String>) -> Self {
        self.quoting = why;
        self
    }

    /// The same, because of these policies.
    #[must_use]
    pub fn asked_by(mut self, policies: Vec<Reason>) -> Self {
        self.asked_by = policies;
        self
    }

    /// The same, about the definition of that name.
    #[must_use]
    pub fn of(mut self, subject: &str) -> Self {
        self.subject = Some(subject.into());
        self
    }
}

/// What one judgement gathers from all guards.
#[derive(Debug, Default)]
pub struct Report {
    pub(crate) findings: Vec<Finding>,
    /// Each with the element of a list that it depends on, if it does.
    pub(crate) facts: Vec<(Option<NodeId>, Fact)>,
    /// One for each rule and kind of part that found more than there was room for.
    pub(crate) overflow: Vec<Finding>,
    /// The policies that permit what is asked for; none if policies do not decide about it.
    pub(crate) permitted_by: Option<BTreeSet<Arc<str>>>,
    /// What the message looks like beside others of its tool.
    pub(crate) reply: Option<Traits>,
    /// Texts about which slow layers are to be asked.
    pub(crate) doubts: Vec<Doubt>,
    /// What the message labels the session with if it passes, whatever is found in it.
    pub(crate) labels: Labels,
}

impl Report {
    /// Findings of one guard that are told apart in one message.
    pub const MAX_FINDINGS: usize = 4096;
    /// Policies that permit one message and are named for it.
    pub const MAX_PERMITS: usize = 8;

    /// Adds a finding.
    ///
    /// Past [`Report::MAX_FINDINGS`], findings of one rule in one kind of part become one about the whole message:
    /// what can no longer be cut out in its place or taken out of its list then stops the message, if the settings
    /// would have had it cut or taken out.
    pub fn find(&mut self, finding: Finding) {
        if self.findings.len() < Self::MAX_FINDINGS {
            self.findings.push(finding);
            return;
        }
        let alike = |held: &Finding| held.rule == finding.rule && held.kind == finding.kind;
        if !self.overflow.iter().any(alike) {
            let why =
                format!("more than {} findings in one message; one of the others: {}", Self::MAX_FINDINGS, finding.why);
            self.overflow.push(Finding {
                // There may be several of the operator's rules among the others.
                own: None,
                element: None,
                subject: None,
                span: None,
                also: Vec::new(),
                why,
                quoting: None,
                asked_by: Vec::new(),
                marks: Vec::new(),
                changes: Vec::new(),
                ..finding
            });
        }
    }

    /// Notes the policies that permit what is asked for, for the record; there are none where what no policy says anything
    /// about is permitted.
    pub(crate) fn permit(&mut self, policies: &[Arc<str>]) {
        let held = self.permitted_by.get_or_insert_default();
        let room = Self::MAX_PERMITS.saturating_sub(held.len());
        held.extend(policies.iter().take(room).cloned());
    }

    /// Notes what the message looks like beside others of its tool.
    pub(crate) fn note(&mut self, reply: Traits) {
        self.reply = Some(reply);
    }

    /// Labels the session, if the message passes.
    pub(crate) fn label(&mut self, labels: Labels) {
        self.labels = self.labels.with(labels);
    }

    /// Adds a text about which slow layers are to be asked, if it is among the most doubtful ones.
    pub(crate) fn doubt(&mut self, score: f32, doubt: impl FnOnce() -> Doubt) {
        if self.doubts.len() < Doubt::MOST {
            self.doubts.push(doubt());
        } else if let Some(least) = self.doubts.iter_mut().min_by(|one, other| one.score.total_cmp(&other.score))
            && least.score < score
        {
            *least = doubt();
        }
    }

    /// Adds something to be remembered if the message passes.
    pub fn remember(&mut self, fact: Fact) {
        self.facts.push((None, fact));
    }

    /// Adds something to be remembered if the message passes with what stands there, such as an element of a list. What
    /// would approve it then says that it is withheld if it does not; the fate of one that is withheld is filled in.
    pub fn remember_of(&mut self, at: NodeId, fact: Fact) {
        self.facts.push((Some(at), fact));
    }

    /// What has been found so far.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().chain(&self.overflow)
    }
}

/// What stands for what is left out: plain text, which is shown as it is.
const LEFT_OUT: &str = "...";
/// What begins a part of a URI that may hold a secret, in its plain form and as some write it.
const ENDS: [&str; 6] = ["?", "#", ";", "%3f", "%23", "%3b"];

/// A URI without what may be secret in it: who somebody is there, and what comes behind its path. Where something is left out
/// stand three points, so that nobody takes it for another one. It may be no URI at all, as it is whatever a client asks for.
#[must_use]
pub fn plain_uri(uri: &str) -> Cow<'_, str> {
    let lower = uri.to_ascii_lowercase();
    let end = ENDS.iter().filter_map(|end| lower.find(end)).min();
    let head = end.and_then(|end| uri.get(..end)).unwrap_or(uri);
    let is_scheme = |scheme: &&str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|character| character.is_ascii_alphanumeric() || "+-.".contains(character))
    };
    let scheme = head.split_once(':').map(|(scheme, _)| scheme).filter(is_scheme).map_or(0, |scheme| scheme.len() + 1);
    let has_authority = head.get(scheme..).is_some_and(|rest| rest.starts_with("//"));
    let start = if has_authority { scheme + 2 } else { scheme };
    let (begin, rest) = head.split_at_checked(start).unwrap_or((head, ""));
    let who = if has_authority { who_of_authority(rest) } else { who_of_any(rest) };
    if who.is_none() && end.is_none() {
        return Cow::Borrowed(uri);
    }
    let rest_shown = who.and_then(|at| rest.get(at..)).unwrap_or(rest);
    let (hidden, more) = (if who.is_some() { LEFT_OUT } else { "" }, if end.is_some() { LEFT_OUT } else { "" });
    let mark =
        end.and_then(|end| uri.get(end..)).and_then(|tail| tail.chars().next()).map(String::from).unwrap_or_default();
    Cow::Owned(format!("{begin}{hidden}{rest_shown}{mark}{more}"))
}

/// Where somebody's name and password end that stand before a host.
fn who_of_authority(rest: &str) -> Option<usize> {
    let authority = rest.split(['/', '\\']).next().unwrap_or_default();
    let is_port = |port: &str| port.chars().all(|digit| digit.is_ascii_digit());
    match authority.rfind('@') {
        Some(at) => Some(at),
        None if authority.rsplit_once(':').is_none_or(|(_, port)| is_port(port)) => None,
        // What is behind the colon is no port: a password with a slash in it, perhaps.
        None => who_of_any(rest),
    }
}

/// The same where no host has to be: only what looks like a name and a password, as paths have an `@` too.
fn who_of_any(rest: &str) -> Option<usize> {
    rest.rfind('@').filter(|at| rest.get(..*at).is_some_and(|who| who.contains(':')))
}

/// A short, printable form of what a definition is called: of a tool or prompt its name, of a resource [`plain_uri`].
#[must_use]
pub(crate) fn called(is_uri: bool, name: &str) -> String {
    if is_uri { excerpt(&plain_uri(name)) } else { excerpt(name) }
}

/// A short, printable form of hostile text: at most 60 characters, everything but plain visible ones escaped.
#[must_use]
pub fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out = String::new();
    let mut characters = text.chars();
    for character in characters.by_ref().take(LONGEST) {
        let plain = character.is_alphanumeric() || character == ' ' || character.is_ascii_punctuation();
        if plain { out.push(character) } else { out.extend(character.escape_unicode()) }
    }
    if characters.next().is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_in_a_uri_is_not_shown() {
        for (uri, shown) in [
            ("file:///srv/a", "file:///srv/a"),
            ("https://registry.example:8443/@scope/package", "https://registry.example:8443/@scope/package"),
            ("node_modules/@scope/package", "node_modules/@scope/package"),
            ("npm:@scope/package", "npm:@scope/package"),
            ("note:x", "note:x"),
            ("", ""),
            ("db://u:secret@h:1/x/y?token=secret#secret", "db://...@h:1/x/y?..."),
            ("db://h?token=secret", "db://h?..."),
            ("db://u@v:secret@h", "db://...@h"),
            ("db://u:secret/x@h/y", "db://...@h/y"),
            ("note:x?token=secret", "note:x?..."),
            ("read/x?token=secret", "read/x?..."),
            ("a/b;token=secret", "a/b;..."),
            ("a/b%3Ftoken=secret", "a/b%..."),
            ("//u:secret@h/x", "//...@h/x"),
            ("http:/u:secret@h", "http:...@h"),
            ("http:\\\\u:secret@h", "http:...@h"),
            ("mongodb:u:secret@h/x", "mongodb:...@h/x"),
            ("jdbc:postgresql://u:secret@h/x", "jdbc:...@h/x"),
            ("cache+https:https://u:secret@h/x", "cache+https:...@h/x"),
        ] {
            assert_eq!(plain_uri(uri), shown, "{uri}");
            assert!(!plain_uri(uri).contains("secret"), "{uri}");
        }
        // Whoever looks sees that there is more, or all of it.
        for (one, other) in [
            ("crm://h/customers?do=delete", "crm://h/customers"),
            ("crm://root@h/customers", "crm://h/customers"),
            ("https://evil.example\\@good.example/report", "https://good.example/report"),
        ] {
            assert_ne!(plain_uri(one), plain_uri(other));
        }
        assert!(plain_uri("https://evil.example\\@good.example/report").contains("evil.example"));
    }
}
