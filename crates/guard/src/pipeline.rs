//! Runs the guards over one message and lets the settings decide.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use bartizan_mcp::{Edits, NodeId};
use thiserror::Error;

use crate::guards::{self, Guard, GuardSpec};
use crate::{
    Action, Approval, Decision, Definition, DefinitionKind, Denial, Event, Fact, Finding, How, Judged, Mode, Report,
    RuleSpec, Session, Settings, Verdict,
};

/// All guards with their settings; made once for a configuration and shared by all messages.
pub struct Pipeline {
    guards: Vec<(&'static GuardSpec, Box<dyn Guard>)>,
    settings: Settings,
}

/// What is wrong with the settings of a guard.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// There is no such guard.
    #[error("there is no guard `{0}`")]
    UnknownGuard(String),
    /// The guard has no such rule.
    #[error("guard `{guard}` has no rule `{rule}`")]
    UnknownRule {
        /// The guard.
        guard: String,
        /// The rule that it lacks.
        rule: String,
    },
    /// The action makes no sense for the guard.
    #[error("guard `{guard}` cannot `{action}`")]
    Unsupported {
        /// The guard.
        guard: String,
        /// The action.
        action: &'static str,
    },
    /// The rule always denies.
    #[error("rule `{0}` always denies and cannot be set")]
    Fixed(String),
    /// The guard's own options do not fit.
    #[error("guard `{guard}`: {error}")]
    Options {
        /// The guard.
        guard: String,
        /// What is wrong.
        error: serde_json::Error,
    },
}

/// A guard that panics has found nothing, so nothing may pass on its word.
static GUARD_FAILED: RuleSpec =
    RuleSpec::fixed("pipeline.guard_failed", "A guard failed while it looked at the message.");

/// An edited message must be as readable as one that came in.
static EDIT_FAILED: RuleSpec = RuleSpec::fixed("pipeline.edit_failed", "What was left after redaction is no message.");

impl Pipeline {
    /// Builds every guard that is switched on.
    ///
    /// # Errors
    /// The first setting that does not fit.
    pub fn new(settings: Settings) -> Result<Pipeline, PipelineError> {
        if let Some(name) = settings.guards.keys().find(|name| guards::ALL.iter().all(|spec| spec.name != **name)) {
            return Err(PipelineError::UnknownGuard(name.clone()));
        }
        let mut built = Vec::with_capacity(guards::ALL.len());
        for spec in guards::ALL {
            let held = settings.guards.get(spec.name).cloned().unwrap_or_default();
            check(spec, &held)?;
            let guard = (spec.build)(&held.options)
                .map_err(|error| PipelineError::Options { guard: spec.name.to_owned(), error })?;
            if held.enabled {
                built.push((*spec, guard));
            }
        }
        Ok(Pipeline { guards: built, settings })
    }

    /// The settings it was built from.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Judges one message.
    #[must_use]
    pub fn judge(&self, event: &Event<'_>, session: &Session) -> Verdict {
        let mut judged = Vec::new();
        let mut facts = listed(event);
        let mut redactions = Redactions::default();
        for (spec, guard) in &self.guards {
            let mut report = Report::default();
            // A guard holds no state that a panic could leave half changed.
            let outcome = catch_unwind(AssertUnwindSafe(|| guard.inspect(event, session, &mut report)));
            if outcome.is_err() {
                let why = format!("the guard `{}` failed", spec.name);
                let root = event.message.root();
                report.find(Finding::about(&GUARD_FAILED, root, bartizan_mcp::PartKind::Other, why));
            }
            facts.append(&mut report.facts);
            let findings = report.findings.into_iter().chain(report.overflow);
            judged.extend(findings.map(|finding| self.settle(spec, finding, event, &mut redactions)));
        }
        let decision = decide(event, &judged, redactions);
        let omitted = keep_gravest(&mut judged);
        Verdict { decision, findings: judged, omitted, facts }
    }

    /// What the settings make of one finding.
    fn settle(&self, spec: &GuardSpec, finding: Finding, event: &Event<'_>, redactions: &mut Redactions) -> Judged {
        let tool = event.tool();
        let chosen = self.settings.action(spec.name, &finding, &event.server.name, tool.as_deref());
        let mut wanted = chosen.action;
        if wanted == Action::Redact && finding.span.is_none() {
            // Nothing can be cut out of a whole value, so the milder action would silently be none at all.
            wanted = Action::Deny;
        }
        if wanted == Action::Approve && finding.element.is_some() {
            wanted = Action::Observe;
        }
        let lifted = self.settings.excepted(&finding, &event.server.name, tool.as_deref(), event.now);
        let observing = self.settings.mode == Mode::Observe && !finding.rule.fixed;
        let action = if lifted || observing { Action::Observe } else { wanted };
        let by = if lifted { "exception" } else if observing { "mode" } else { chosen.by };
        if action == Action::Redact {
            redactions.add(&finding, chosen.how);
        }
        Judged { finding, action, would: (action < wanted).then_some(wanted), by }
    }
}

/// The definitions in a list result, to be remembered if it passes; needed whichever guards are on.
fn listed(event: &Event<'_>) -> Vec<Fact> {
    let Some((kind, list)) = DefinitionKind::of_list(event.message) else { return Vec::new() };
    let read = |element| Definition::read(kind, element).map(Arc::new);
    vec![Fact::Listed(list.elements().filter_map(read).collect())]
}

/// Deny over approve over transform over allow.
fn decide(event: &Event<'_>, judged: &[Judged], redactions: Redactions) -> Decision {
    let homes = homes(event, judged);
    let worst = |action| {
        let whole = |held: &&Judged| held.finding.element.is_none_or(|element| !homes.contains_key(&element));
        let with = judged.iter().filter(|held| held.action == action).filter(whole);
        with.max_by_key(|held| held.finding.rule.severity).map(|held| &held.finding)
    };
    if let Some(finding) = worst(Action::Deny) {
        return Decision::Deny(Denial { rule: finding.rule.id, why: finding.why.clone() });
    }
    if let Some(finding) = worst(Action::Approve) {
        return Decision::RequireApproval(Approval { rule: finding.rule.id, why: finding.why.clone() });
    }
    let mut edits = redactions.into_edits(event);
    for (element, list) in homes {
        edits.remove(list, element);
    }
    if edits.is_empty() { Decision::Allow } else { Decision::Transform(edits) }
}

/// Denied elements, each with the list that it can be taken out of; what stands in none stops the whole message.
fn homes(event: &Event<'_>, judged: &[Judged]) -> BTreeMap<NodeId, NodeId> {
    let denied = judged.iter().filter(|held| held.action == Action::Deny).filter_map(|held| held.finding.element);
    let denied: BTreeSet<NodeId> = denied.collect();
    if denied.is_empty() {
        return BTreeMap::new();
    }
    // One result may hold several lists, and that of a finished task holds the result of what it did.
    let outer = event.message.result();
    let results = outer.into_iter().chain(outer.and_then(|result| result.get("result")));
    let lists = results.flat_map(|result| {
        DefinitionKind::LISTED.into_iter().filter_map(move |kind| result.get(kind.list_member()))
    });
    let elements = lists.flat_map(|list| list.elements().map(move |element| (element.id(), list.id())));
    elements.filter(|(element, _)| denied.contains(element)).collect()
}

/// Drops findings past what a record holds, the mildest first; says how many.
fn keep_gravest(judged: &mut Vec<Judged>) -> usize {
    let omitted = judged.len().saturating_sub(Verdict::MAX_FINDINGS);
    if omitted > 0 {
        let mut order: Vec<usize> = (0..judged.len()).collect();
        order.sort_by_key(|&index| judged.get(index).map(|held| Reverse((held.action, held.finding.rule.severity))));
        let kept: BTreeSet<usize> = order.into_iter().take(Verdict::MAX_FINDINGS).collect();
        let mut index = 0..;
        judged.retain(|_| index.next().is_some_and(|index| kept.contains(&index)));
    }
    omitted
}

fn check(spec: &GuardSpec, held: &crate::GuardSettings) -> Result<(), PipelineError> {
    let guard = || spec.name.to_owned();
    let by_rule = held.rules.iter().chain(held.servers.values().flat_map(|server| &server.rules));
    for (id, _) in by_rule.clone() {
        match spec.rule(id) {
            None => return Err(PipelineError::UnknownRule { guard: guard(), rule: id.clone() }),
            Some(rule) if rule.fixed => return Err(PipelineError::Fixed(id.clone())),
            Some(_) => {}
        }
    }
    let servers = held.servers.values().flat_map(|server| server.action.iter().chain(server.tools.values()));
    let actions = held.action.iter().chain(held.parts.values()).chain(by_rule.map(|(_, action)| action)).chain(servers);
    match actions.into_iter().find(|action| !spec.actions.contains(action)) {
        Some(action) => Err(PipelineError::Unsupported { guard: guard(), action: action.as_str() }),
        None => Ok(()),
    }
}

/// What to change in which text; all changes to one text are made together.
#[derive(Default)]
struct Redactions {
    by_text: BTreeMap<NodeId, Vec<(Range<usize>, Rc<str>)>>,
}

impl Redactions {
    fn add(&mut self, finding: &Finding, how: How) {
        let Some(span) = finding.span.clone() else { return };
        let spans = std::iter::once(span).chain(finding.also.iter().cloned());
        let with: Rc<str> = match (how, &finding.replacement) {
            (How::Neutralise, Some(text)) => (**text).into(),
            (How::Neutralise | How::Cut, _) => "".into(),
            (How::Mask, _) => "[redacted]".into(),
        };
        // An empty span says that there is nothing to take away here.
        let changes = spans.filter(|span| !span.is_empty()).map(|span| (span, Rc::clone(&with)));
        self.by_text.entry(finding.at).or_default().extend(changes);
    }

    fn into_edits(self, event: &Event<'_>) -> Edits {
        let mut edits = Edits::new();
        for (node, mut spans) in self.by_text.into_iter().filter(|(_, spans)| !spans.is_empty()) {
            let text = event.message.document().value(node).text();
            spans.sort_by_key(|(span, _)| (span.start, Reverse(span.end)));
            let mut out = String::with_capacity(text.len());
            let mut at = 0;
            for (span, with) in spans {
                // Overlapping findings: the first, widest one speaks for the text they share.
                if span.start >= at {
                    out.push_str(text.get(at..span.start).unwrap_or_default());
                    out.push_str(&with);
                }
                at = at.max(span.end);
            }
            out.push_str(text.get(at..).unwrap_or_default());
            edits.set_text(node, &out);
        }
        edits
    }
}

impl Denial {
    /// What redaction left cannot be read as a message.
    #[must_use]
    pub fn edit_failed() -> Denial {
        Denial { rule: EDIT_FAILED.id, why: EDIT_FAILED.summary.to_owned() }
    }
}
