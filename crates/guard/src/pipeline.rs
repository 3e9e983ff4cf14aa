//! Runs the guards over one message and lets the settings decide.

mod edited;
mod places;
mod redactions;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bartizan_mcp::{Edits, NodeId, PartKind};
use serde::Deserialize;
use thiserror::Error;

use self::edited::{Altered, as_edited};
use self::places::Places;
pub(crate) use self::places::as_json;
use self::redactions::Redactions;
use crate::catalog::Definitions;
use crate::guards::{self, Guard, GuardSpec};
use crate::{
    Action, Approval, Ask, Decision, Definition, DefinitionKind, Denial, Direction, Doubt, Event, Evidence, Fact, Fate,
    Finding, Follow, How, Judged, Labels, Mode, Names, Pseudonym, Report, RuleSpec, Session, Settings, Verdict, Where,
    grant, note,
};

/// All guards with their settings; made once for a configuration and shared by all messages.
pub struct Pipeline {
    guards: Vec<(&'static GuardSpec, Box<dyn Guard>)>,
    settings: Settings,
    definitions: Definitions,
    follow: Option<Follow>,
    pseudonyms: Option<guards::personal_data::Options>,
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
    /// The rule always does the same.
    #[error("rule `{0}` always does the same and cannot be set")]
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

/// What lets a finding pass that an operator knows.
const EXCEPTED: &str = "exception";

/// A guard that panics has found nothing, so nothing may pass on its word.
static GUARD_FAILED: RuleSpec =
    RuleSpec::fixed("pipeline.guard_failed", "A guard failed while it looked at the message.");

/// An edited message must be as readable as one that came in.
static EDIT_FAILED: RuleSpec = RuleSpec::fixed("pipeline.edit_failed", "What was left after redaction is no message.");

/// An edited message is another message, and nothing passes that was not judged.
static EDIT_UNSAFE: RuleSpec =
    RuleSpec::fixed("pipeline.edit_unsafe", "What was left after redaction would not pass, or means something else.");

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
            let guard = (spec.build)(&held.options, &settings)
                .map_err(|error| PipelineError::Options { guard: spec.name.to_owned(), error })?;
            if held.enabled || spec.is_fixed() {
                built.push((*spec, guard));
            }
        }
        let follow = follow(&settings)?;
        let guard = guards::personal_data::SPEC.name.to_owned();
        let pseudonyms =
            guards::personal_data::of(&settings).map_err(|error| PipelineError::Options { guard, error })?;
        Ok(Pipeline { guards: built, settings, definitions: Definitions::default(), follow, pseudonyms })
    }

    /// The same with one more guard, of a program that uses this crate. It cannot loosen anything: whatever it finds is
    /// settled beside what the others find, and the strictest decides.
    #[must_use]
    pub fn with_guard(mut self, spec: &'static GuardSpec, guard: Box<dyn Guard>) -> Pipeline {
        self.guards.push((spec, guard));
        self
    }

    /// The settings it was built from.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Follows what messages bring, if the guard that looks at that is switched on.
    #[must_use]
    pub fn follow(&self) -> Option<&Follow> {
        self.follow.as_ref()
    }

    /// What is said of pseudonyms, if any are to be made or given back.
    #[must_use]
    pub fn pseudonyms(&self) -> Option<&guards::personal_data::Options> {
        self.pseudonyms.as_ref()
    }

    /// Whether judging the message may take long however small it is.
    #[must_use]
    pub fn takes_long(&self, event: &Event<'_>, session: &Session) -> bool {
        self.guards.iter().any(|(_, guard)| guard.takes_long(event, session))
    }

    /// Judges one message.
    #[must_use]
    pub fn judge(&self, event: &Event<'_>, session: &Session) -> Verdict {
        let Looked { mut verdict, unmarked, removed, settled } = self.look(event, session, Look::First);
        let unsafe_edit = match &verdict.decision {
            Decision::Transform(edits) => {
                let look = Look::Again { agreed: &settled, notes: &notes(&verdict.findings) };
                let altered = Altered::of(&removed, &verdict.findings);
                self.judge_edited(event, session, (edits, unmarked.as_ref()), (&altered, look)).err()
            }
            _ => None,
        };
        if let Some(why) = unsafe_edit {
            verdict.decision = Decision::Deny(Denial { rule: EDIT_UNSAFE.id, why });
            verdict.doubts.clear();
        }
        let omitted = keep_gravest(&mut verdict.findings);
        let goes_on = matches!(verdict.decision, Decision::Allow | Decision::Transform(_));
        let raises = if goes_on { verdict.raises } else { Labels::NONE };
        Verdict { omitted, raises, ..verdict }
    }

    /// What is left after the edits is judged as well: cutting something out can put together what no guard has seen,
    /// such as a key that makes a member something else. Marks add nothing but the gateway's own words and are judged by
    /// nobody; with `unmarked` edits there are some, and these are what the rest of the edits comes to.
    fn judge_edited(
        &self,
        event: &Event<'_>,
        session: &Session,
        (edits, unmarked): (&Edits, Option<&Edits>),
        (altered, look): (&Altered<'_>, Look<'_>),
    ) -> Result<(), String> {
        if let Some(unmarked) = unmarked {
            as_edited(event, edits, altered)?;
            if unmarked.is_empty() {
                return Ok(());
            }
        }
        let edited = as_edited(event, unmarked.unwrap_or(edits), altered)?;
        let again = Event { message: &edited, ..*event };
        // What was agreed to was the whole message, so also what is left of it.
        let verdict = self.look(&again, session, look).verdict;
        let found = |rule: &str, why: &str| format!("what was left after redaction would not pass: {why} ({rule})");
        match verdict.decision {
            Decision::Allow => Ok(()),
            Decision::Deny(denial) => Err(found(denial.rule, &denial.why)),
            Decision::RequireApproval(approval) => Err(found(approval.rule, &approval.why)),
            Decision::Transform(_) => Err("redaction put together what would have to be redacted again".to_owned()),
        }
    }

    /// One look of the guards at a message.
    fn look(&self, event: &Event<'_>, session: &Session, look: Look<'_>) -> Looked {
        let mut judged = Vec::new();
        let mut facts = listed(event, &self.definitions);
        let mut told = Vec::new();
        let mut permitted_by: Option<Vec<_>> = None;
        let mut reply = None;
        let mut doubts = Vec::new();
        let mut redactions = Redactions::new(self.settings.hash_key);
        let mut places = Places::of(event, &self.settings);
        let mut raising = Vec::new();
        let mut named = Named::default();
        let mut brought = Labels::NONE;
        for (spec, guard) in self.guards.iter().filter(|(spec, _)| spec.sees_edited || matches!(look, Look::First)) {
            let mut report = Report::default();
            // A guard holds no state that a panic could leave half changed.
            let outcome = catch_unwind(AssertUnwindSafe(|| guard.inspect(event, session, &mut report)));
            if outcome.is_err() {
                let why = format!("the guard `{}` failed", spec.name);
                let root = event.message.root();
                report.find(Finding::about(&GUARD_FAILED, root, PartKind::Other, why));
            }
            if let Some(own) = report.permitted_by {
                permitted_by.get_or_insert_default().extend(own);
            }
            reply = report.reply.or(reply);
            doubts.extend(report.doubts);
            brought = brought.with(report.labels);
            let findings = report.findings.into_iter().chain(report.overflow);
            let findings = findings.filter(|finding| !look.has_put(finding, event));
            let before = judged.len();
            for finding in findings {
                let held = places.split(spec.name, finding).into_iter();
                judged.extend(held.map(|held| self.settle(spec, held, event, (&mut redactions, &mut named))));
            }
            raising.extend(judged.iter().skip(before).filter_map(|held| self.raising(spec, held, event)));
            if !report.facts.is_empty() {
                let own = judged.iter().skip(before).filter(|held| held.action > Action::Observe);
                told.push((report.facts, own.map(|held| held.finding.at).collect::<BTreeSet<_>>()));
            }
        }
        let removed = homes(event, judged.iter());
        let comes_through = |element: Option<NodeId>| element.is_none_or(|element| !removed.contains_key(&element));
        let raises = raising.into_iter().filter(|(element, _)| comes_through(*element));
        let raises = raises.fold(brought, |all, (_, labels)| all.with(labels));
        // What only this principal may not see is as good as before.
        let suspect = homes(event, judged.iter().filter(|held| !held.finding.rule.about_caller));
        for (own, stopped) in told {
            facts.extend(own.into_iter().map(|(at, fact)| settled(fact, at, &stopped, &suspect)));
        }
        let settled = lift((event, session), &mut judged, look.agreed());
        let (decision, unmarked) = decide((event, session), &judged, redactions, &removed);
        settle_doubts(&mut doubts, &judged, &removed);
        let labels = session.labels;
        let verdict = Verdict {
            decision,
            findings: judged,
            omitted: 0,
            facts,
            permitted_by,
            labels,
            raises,
            reply,
            pseudonyms: named.kept,
            numbers: named.numbers,
            doubts,
        };
        Looked { verdict, unmarked, removed, settled }
    }

    /// What a finding labels the session with, unless the element of a list that it is about is taken out. What an operator
    /// has excepted is no reason: they know it. That a text was cut is one still, for there is more where it came from.
    fn raising(&self, spec: &GuardSpec, held: &Judged, event: &Event<'_>) -> Option<(Option<NodeId>, Labels)> {
        let is_grave = held.finding.rule.severity >= self.settings.labels.untrusted_from;
        let counts = event.direction == Direction::ToClient && is_grave && held.by != EXCEPTED;
        let labels = spec.raises.iter().fold(Labels::NONE, |all, label| all.with(Labels::of(*label)));
        (counts && !labels.is_empty()).then_some((held.finding.element, labels))
    }

    /// What the settings make of one finding.
    fn settle(
        &self,
        spec: &GuardSpec,
        (mut finding, place): (Finding, Option<&Where>),
        event: &Event<'_>,
        (redactions, named): (&mut Redactions, &mut Named),
    ) -> Judged {
        if event.evidence.iter().any(|evidence| matches!(evidence, Evidence::Revealed(_))) {
            // The client is told why, and what its pseudonyms stand for it is not to know.
            finding.why = finding.rule.summary.to_owned();
            finding.quoting = None;
        }
        let tool = event.tool();
        let chosen = self.settings.action(spec.name, (&finding, place), &event.server.name, tool.as_deref());
        let mut wanted = chosen.action;
        if wanted == Action::Redact && finding.span.is_none() {
            // Nothing can be cut out of a whole value, so the milder action would silently be none at all.
            wanted = Action::Deny;
        }
        if wanted == Action::Redact && chosen.how.names() && self.is_meant_for(&finding, event) {
            // Whoever is to get what a name stands for is to get what the user has typed, and not a name in its place.
            wanted = Action::Observe;
        }
        let names = wanted == Action::Redact && chosen.how.names();
        if let Some(why) = unnamed(&finding, event).filter(|_| names) {
            // What was to be hidden is not shown because it cannot be kept.
            wanted = Action::Deny;
            finding.why.push_str(&why);
        }
        if names && finding.kind == PartKind::Argument && finding.span.is_some() && finding.pseudonym.is_none() {
            // The whole encoding would give way to a note, and the tool get what nobody meant.
            wanted = Action::Deny;
            finding.why.push_str(" No pseudonym can take its place there; the value has to stand by itself.");
        }
        if wanted == Action::Approve && finding.element.is_some() {
            wanted = Action::Observe;
        }
        let lifted = self.settings.excepted(&finding, &event.server.name, tool.as_deref(), event.now);
        let observing = self.settings.mode == Mode::Observe && !finding.rule.fixed;
        let action = if lifted || observing { Action::Observe } else { wanted };
        let by = if lifted {
            EXCEPTED
        } else if observing {
            "mode"
        } else {
            chosen.by
        };
        if action == Action::Redact {
            redactions.add(&finding, chosen.how);
        }
        named.add(&finding, action, (self.pseudonyms.as_ref(), chosen.how));
        Judged { finding, action, would: (action < wanted).then_some(wanted), by }
    }

    /// Whether what was found in a call is of a kind that its tool is entitled to.
    fn is_meant_for(&self, finding: &Finding, event: &Event<'_>) -> bool {
        let tool = event.tool().filter(|_| event.direction == Direction::ToServer && event.answers.is_none());
        let (Some(options), Some(tool)) = (&self.pseudonyms, tool) else { return false };
        let kind = match &finding.pseudonym {
            Some(pseudonym) => Some(pseudonym.token.kind()),
            None => finding.rule.id.strip_prefix("personal_data.").and_then(bartizan_pseudonym::Kind::parse),
        };
        kind.is_some_and(|kind| options.gets(&event.server.name, &tool, kind))
    }
}

/// What is to be kept of a message, and what may have been before.
#[derive(Default)]
struct Named {
    kept: Vec<Pseudonym>,
    numbers: Vec<Pseudonym>,
}

impl Named {
    fn add(
        &mut self,
        finding: &Finding,
        action: Action,
        (options, how): (Option<&guards::personal_data::Options>, How),
    ) {
        let Some(pseudonym) = finding.pseudonym.as_ref().filter(|_| action > Action::Observe) else { return };
        // What was given back is kept already, and is not kept for longer by being said again; the number that stands for it may not be.
        let is_kept = finding.rule.by_name && (how != How::Preserve || pseudonym.number.is_none());
        if action == Action::Redact && how.names() && !is_kept {
            self.kept.extend(pseudonym.kept(how == How::Preserve));
        }
        if options.is_some_and(|options| options.preserves()) && pseudonym.token.kind().has_numbers() {
            self.numbers.push(pseudonym.clone());
        }
    }
}

/// Why no name can be had for what was found, if none can.
fn unnamed(finding: &Finding, event: &Event<'_>) -> Option<String> {
    if Names::of(event).is_none() {
        return Some(" No pseudonym can be made of it.".to_owned());
    }
    let is_long = |pseudonym: &Pseudonym| pseudonym.value.len() > Pseudonym::LONGEST;
    let is_long = finding.pseudonym.as_ref().is_some_and(is_long);
    is_long.then(|| format!(" It is longer than the {} bytes that a pseudonym may stand for.", Pseudonym::LONGEST))
}

/// What follows values, unless the guard that it is for is switched off.
fn follow(settings: &Settings) -> Result<Option<Follow>, PipelineError> {
    let guard = guards::flow::SPEC.name;
    let held = settings.guards.get(guard).cloned().unwrap_or_default();
    let options = guards::flow::Options::deserialize(&held.options)
        .map_err(|error| PipelineError::Options { guard: guard.to_owned(), error })?;
    Ok(held.enabled.then(|| Follow(Arc::new(options))))
}

/// Which look at a message it is.
#[derive(Clone, Copy)]
enum Look<'l> {
    /// As it came.
    First,
    /// At what is left of it, in which nothing asks any more that was `agreed` to, and `notes` were put.
    Again { agreed: &'l [Ask], notes: &'l BTreeSet<&'l str> },
}

impl Look<'_> {
    fn agreed(&self) -> &[Ask] {
        match self {
            Look::First => &[],
            Look::Again { agreed, .. } => agreed,
        }
    }

    /// Whether what looks like a note of this gateway is one, which was put there because of the first look.
    fn has_put(&self, finding: &Finding, event: &Event<'_>) -> bool {
        let Look::Again { notes, .. } = self else { return false };
        if finding.rule.id != note::IMITATED || finding.span.is_none() {
            return false;
        }
        let text = event.message.document().value(finding.at).text();
        finding.span.iter().chain(&finding.also).all(|name| note::is_own(&text, name, notes))
    }
}

/// The notes that stand in the place of what is redacted.
fn notes(judged: &[Judged]) -> BTreeSet<&str> {
    let redacted = judged.iter().filter(|held| held.action == Action::Redact && held.finding.rule.id != note::IMITATED);
    let mut notes = BTreeSet::new();
    for Judged { finding, .. } in redacted {
        notes.extend(finding.replacement.as_deref());
        finding.changes.iter().for_each(|change| change.say(&mut notes));
    }
    notes
}

/// What came of one look at a message.
struct Looked {
    verdict: Verdict,
    /// What is edited besides marks, if anything is marked.
    unmarked: Option<Edits>,
    /// The elements that are taken out of their lists.
    removed: BTreeMap<NodeId, NodeId>,
    /// What a grant has settled.
    settled: Vec<Ask>,
}

/// Has nothing ask any more that a grant for exactly this has settled. It lifts nothing else.
fn lift((event, session): (&Event<'_>, &Session), judged: &mut [Judged], settled: &[Ask]) -> Vec<Ask> {
    let Some(held) = event.grant.filter(|grant| event.now < grant.expires) else { return Vec::new() };
    let asks = grant::asks(judged);
    let is_settled = grant::are_among(&asks, settled) || grant::digest(event, session, &asks) == held.digest;
    if asks.is_empty() || !is_settled {
        return Vec::new();
    }
    for held in judged.iter_mut().filter(|held| held.action == Action::Approve) {
        (held.action, held.would, held.by) = (Action::Observe, Some(Action::Approve), "approval");
    }
    asks
}

/// The definitions in a list result, to be remembered if it passes; needed whichever guards are on.
fn listed(event: &Event<'_>, definitions: &Definitions) -> Vec<Fact> {
    let all = DefinitionKind::lists_of(event.message).map(|listing| {
        let read = |element| Definition::shared(listing.kind, element, definitions);
        Fact::Listed(listing.list.elements().filter_map(read).collect())
    });
    all.collect()
}

/// What is to be remembered of what stands `at` a place, once it is known which elements go, and at which places the
/// guard itself found something that is acted upon: one that the client is not shown is not approved by being seen.
fn settled(fact: Fact, at: Option<NodeId>, stopped: &BTreeSet<NodeId>, homes: &BTreeMap<NodeId, NodeId>) -> Fact {
    let fate = match at {
        Some(at) if stopped.contains(&at) => Fate::Stopped,
        Some(at) if homes.contains_key(&at) => Fate::StoppedOtherwise,
        _ => Fate::Passes,
    };
    match fact {
        Fact::FirstSeen(pin) if at.is_some_and(|at| homes.contains_key(&at)) => Fact::Withheld(pin, fate),
        Fact::Withheld(pin, _) => Fact::Withheld(pin, fate),
        fact => fact,
    }
}

/// Deny over approve over transform over allow; and what is edited besides marks, if anything is marked.
fn decide(
    (event, session): (&Event<'_>, &Session),
    judged: &[Judged],
    redactions: Redactions,
    homes: &BTreeMap<NodeId, NodeId>,
) -> (Decision, Option<Edits>) {
    let worst = |action| {
        let whole = |held: &&Judged| held.finding.element.is_none_or(|element| !homes.contains_key(&element));
        let with = judged.iter().filter(|held| held.action == action).filter(whole);
        // Of equals the last by name, so that the reason given does not depend on the order of the guards.
        with.max_by_key(|held| (held.finding.rule.severity, held.finding.rule.id)).map(|held| &held.finding)
    };
    if let Some(finding) = worst(Action::Deny) {
        return (Decision::Deny(Denial { rule: finding.rule.id, why: finding.why.clone() }), None);
    }
    if let Some(finding) = worst(Action::Approve) {
        let asks = grant::asks(judged);
        let digest = grant::digest(event, session, &asks);
        let approval = Approval { rule: finding.rule.id, why: finding.why.clone(), asks, digest };
        return (Decision::RequireApproval(approval), None);
    }
    let (mut edits, mut unmarked) = redactions.into_edits(event, session);
    for all in std::iter::once(&mut edits).chain(&mut unmarked) {
        homes.iter().for_each(|(element, list)| all.remove(*list, *element));
    }
    (if edits.is_empty() { Decision::Allow } else { Decision::Transform(edits) }, unmarked)
}

/// Denied elements, each with the list that it can be taken out of; what stands in none stops the whole message.
fn homes<'j>(event: &Event<'_>, judged: impl Iterator<Item = &'j Judged>) -> BTreeMap<NodeId, NodeId> {
    let denied = judged.filter(|held| held.action == Action::Deny).filter_map(|held| held.finding.element);
    let denied: BTreeSet<NodeId> = denied.collect();
    if denied.is_empty() {
        return BTreeMap::new();
    }
    let elements = DefinitionKind::lists_of(event.message)
        .flat_map(|listing| listing.list.elements().map(move |element| (element.id(), listing.list.id())));
    elements.filter(|(element, _)| denied.contains(element)).collect()
}

/// Says of which doubtful texts it is decided already what becomes of them; nothing is doubtful in a message that does not
/// pass in any case.
fn settle_doubts(doubts: &mut Vec<Doubt>, judged: &[Judged], homes: &BTreeMap<NodeId, NodeId>) {
    if doubts.is_empty() {
        return;
    }
    // What observe mode holds back counts as if it had happened: it is to show what would have. Out of what is redacted only
    // a part is gone, and whoever writes a text could have something found in it so that nobody is asked about the rest.
    let denies = |held: &&Judged| held.action == Action::Deny || held.by == "mode" && held.would == Some(Action::Deny);
    let denied: Vec<_> = judged.iter().filter(denies).collect();
    let stays = |held: &&&Judged| held.finding.element.is_none_or(|element| !homes.contains_key(&element));
    let is_open = |held: &Judged, doubt: &Doubt| doubt.open.contains(&held.finding.rule.id);
    let mut whole = denied.iter().filter(|held| held.action == Action::Deny).filter(stays);
    if whole.any(|held| !doubts.iter().any(|doubt| is_open(held, doubt))) {
        doubts.clear();
    }
    for doubt in doubts {
        let is_about = |held: &Judged| {
            held.finding.at == doubt.at || held.finding.element.is_some() && held.finding.element == doubt.element
        };
        doubt.is_settled = denied.iter().any(|held| is_about(held) && !is_open(held, doubt));
    }
}

/// Drops findings past what a record holds, the mildest first; says how many.
fn keep_gravest(judged: &mut Vec<Judged>) -> usize {
    let omitted = judged.len().saturating_sub(Verdict::MAX_FINDINGS);
    if omitted > 0 {
        let mut order: Vec<usize> = (0..judged.len()).collect();
        // What observe mode held back counts as if it had happened.
        let weight = |held: &Judged| (held.would.unwrap_or(held.action), held.finding.rule.severity);
        // Of equals the first by name, whichever guard came first.
        order.sort_by_key(|&index| judged.get(index).map(|held| (Reverse(weight(held)), held.finding.rule.id)));
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
    let places = held.places.iter().map(|place| &place.action);
    let actions = held
        .action
        .iter()
        .chain(held.parts.values())
        .chain(by_rule.map(|(_, action)| action))
        .chain(servers)
        .chain(places);
    let mut hows = std::iter::once(held.how).chain(held.places.iter().filter_map(|place| place.how));
    if let Some(how) = hows.find(|how| spec.name != guards::personal_data::SPEC.name && how.names()) {
        let action = if how == How::Preserve { "preserve" } else { "pseudonymise" };
        return Err(PipelineError::Unsupported { guard: guard(), action });
    }
    match actions.into_iter().find(|action| !spec.actions.contains(action)) {
        Some(action) => Err(PipelineError::Unsupported { guard: guard(), action: action.as_str() }),
        None => Ok(()),
    }
}

impl Denial {
    /// What redaction left cannot be read as a message.
    #[must_use]
    pub fn edit_failed() -> Denial {
        Denial { rule: EDIT_FAILED.id, why: EDIT_FAILED.summary.to_owned() }
    }
}

#[cfg(test)]
mod order;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Change, Direction, Pins, Principal, ServerProfile, Severity, Timestamp};
    use bartizan_mcp::{Limits, Message};

    static RULE: RuleSpec = RuleSpec::new("test.rule", Severity::Low, Action::Redact, "For a test.");
    static GRAVE: RuleSpec = RuleSpec::new("test.grave", Severity::High, Action::Deny, "For a test.");

    static SPEC: GuardSpec = GuardSpec {
        name: "test",
        threat: "none",
        rules: &[],
        actions: &[],
        skips: &[],
        looks_at: guards::LooksAt::Else("Nothing."),
        sees_edited: true,
        raises: &[],
        options: || schemars::schema_for!(()),
        build: |_, _| Ok(Box::new(Script(|_, _| {}))),
    };

    struct Script(fn(&Event<'_>, &mut Report));

    impl Guard for Script {
        fn inspect(&self, event: &Event<'_>, _: &Session, report: &mut Report) {
            (self.0)(event, report);
        }
    }

    fn judge(script: fn(&Event<'_>, &mut Report), mode: Mode, message: &str) -> (Verdict, Message) {
        let settings = Settings { mode, ..Settings::default() };
        let guards: Vec<(_, Box<dyn Guard>)> =
            vec![(&SPEC, Box::new(Script(script))), (&SPEC, Box::new(Script(|_, _| {})))];
        let message = Message::parse(message.to_owned(), &Limits::default()).unwrap();
        let event = Event {
            message: &message,
            direction: Direction::ToClient,
            answers: None,
            principal: &Principal::new("local:alice"),
            server: &ServerProfile { name: "s".into(), pins: Arc::new(Pins::default()), elsewhere: Arc::new([]) },
            evidence: &[],
            grant: None,
            now: Timestamp(0),
        };
        let verdict =
            Pipeline { guards, settings, definitions: Definitions::default(), follow: None, pseudonyms: None }
                .judge(&event, &Session::default());
        (verdict, message)
    }

    fn texts(count: usize) -> String {
        let texts = vec![r#""xhidden""#; count].join(",");
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{texts}]}}}}"#)
    }

    fn each_text(event: &Event<'_>, report: &mut Report) {
        for part in event.message.parts().filter(|part| part.text().starts_with('x')) {
            report.find(Finding::within(&RULE, &part, 1..7, "hidden"));
        }
    }

    #[test]
    fn a_guard_that_panics_denies_in_every_mode() {
        for mode in [Mode::Enforce, Mode::Observe] {
            let (verdict, _) = judge(|_, _| panic!("broken"), mode, &texts(1));
            assert!(matches!(verdict.decision, Decision::Deny(denial) if denial.rule == GUARD_FAILED.id));
        }
    }

    #[test]
    fn what_a_guard_found_before_it_panicked_is_kept() {
        let script = |event: &Event<'_>, report: &mut Report| {
            each_text(event, report);
            panic!("broken");
        };
        let (verdict, _) = judge(script, Mode::Enforce, &texts(Report::MAX_FINDINGS + 2));
        assert!(matches!(verdict.decision, Decision::Deny(denial) if denial.rule == GUARD_FAILED.id));
        assert_eq!(verdict.findings.len() + verdict.omitted, Report::MAX_FINDINGS + 2);
    }

    #[test]
    fn every_finding_takes_effect_however_few_are_recorded() {
        let (verdict, message) = judge(each_text, Mode::Enforce, &texts(Report::MAX_FINDINGS));
        let Decision::Transform(edits) = verdict.decision else { panic!("{:?}", verdict.decision) };
        assert_eq!(edits.apply(message.document()), texts(Report::MAX_FINDINGS).replace("hidden", ""));
        assert_eq!(verdict.findings.len(), Verdict::MAX_FINDINGS);
        assert_eq!(verdict.omitted, Report::MAX_FINDINGS - Verdict::MAX_FINDINGS);
    }

    #[test]
    fn findings_beyond_the_limit_stop_the_message_unless_they_are_only_observed() {
        let (verdict, _) = judge(each_text, Mode::Enforce, &texts(Report::MAX_FINDINGS + 1));
        assert!(matches!(verdict.decision, Decision::Deny(denial) if denial.rule == RULE.id));
        let (verdict, _) = judge(each_text, Mode::Observe, &texts(Report::MAX_FINDINGS + 1));
        assert!(matches!(verdict.decision, Decision::Allow));
        assert!(verdict.findings.iter().any(|held| held.would == Some(Action::Deny)));
    }

    #[test]
    fn the_gravest_is_recorded_even_if_it_comes_last() {
        let script = |event: &Event<'_>, report: &mut Report| {
            each_text(event, report);
            report.find(Finding::about(&GRAVE, event.message.root(), PartKind::Other, "grave"));
        };
        for count in [Verdict::MAX_FINDINGS * 2, Report::MAX_FINDINGS + 1] {
            let (verdict, _) = judge(script, Mode::Enforce, &texts(count));
            assert!(matches!(verdict.decision, Decision::Deny(denial) if denial.rule == GRAVE.id));
            assert!(verdict.findings.iter().any(|held| held.finding.rule == &GRAVE));
        }
    }

    #[test]
    fn a_denied_element_that_cannot_be_taken_out_stops_the_message() {
        let script = |event: &Event<'_>, report: &mut Report| {
            let content = event.message.root().at(&["result", "content"]).unwrap();
            report.find(Finding::about(&GRAVE, content, PartKind::Content, "grave").in_element(content.id()));
        };
        let (verdict, _) = judge(script, Mode::Enforce, &texts(1));
        assert!(matches!(verdict.decision, Decision::Deny(denial) if denial.rule == GRAVE.id));
    }

    #[test]
    fn overlapping_redactions_leave_nothing_of_what_they_cover() {
        let script = |event: &Event<'_>, report: &mut Report| {
            let Some(part) = event.message.parts().find(|part| part.text() == "xhidden") else { return };
            let wide = Finding::within(&RULE, &part, 1..4, "wide");
            report.find(Finding { replacement: Some("_".into()), ..wide });
            report.find(Finding::within(&RULE, &part, 2..3, "inside"));
            report.find(Finding::within(&RULE, &part, 3..6, "over the edge"));
        };
        let (verdict, message) = judge(script, Mode::Enforce, &texts(1));
        let Decision::Transform(edits) = verdict.decision else { panic!("{:?}", verdict.decision) };
        assert_eq!(edits.apply(message.document()), texts(1).replace("xhidden", "x_n"));
    }

    #[test]
    fn a_number_in_which_something_is_redacted_stays_one() {
        let script = |event: &Event<'_>, report: &mut Report| {
            let Some(card) = event.message.root().at(&["result", "structuredContent", "card"]) else { return };
            let finding = Finding::about(&RULE, card, PartKind::StructuredContent, "a card");
            if card.raw() != "0" {
                report.find(Finding { span: Some(0..card.raw().len()), ..finding });
            }
        };
        let text = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"card":4111111111111111}}}"#;
        let (verdict, message) = judge(script, Mode::Enforce, text);
        let Decision::Transform(edits) = verdict.decision else { panic!("{:?}", verdict.decision) };
        assert_eq!(edits.apply(message.document()), text.replace("4111111111111111", "0"));
    }

    #[test]
    fn what_changes_within_what_goes_breaks_nothing() {
        let script = |event: &Event<'_>, report: &mut Report| {
            let Some(first) = event.message.root().at(&["result", "content"]) else { return };
            let Some(part) = event.message.parts().find(|part| part.text() == "xhidden") else { return };
            let changes = vec![Change::Remove { parent: first.id(), node: part.id() }];
            report.find(Finding::about(&RULE, first, PartKind::Content, "gone").changing(changes));
            report.find(Finding::within(&RULE, &part, 1..4, "in it"));
        };
        let (verdict, message) = judge(script, Mode::Enforce, &texts(1));
        let Decision::Transform(edits) = verdict.decision else { panic!("{:?}", verdict.decision) };
        assert_eq!(edits.apply(message.document()), texts(0));
    }
}
