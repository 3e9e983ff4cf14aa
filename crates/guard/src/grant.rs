//! What somebody has to agree to before a message passes, and their yes to exactly that.
//!
//! **Threat.** Somebody agrees to one thing and another is done: other arguments, for somebody else, with a tool that has
//! become another one meanwhile, or twice. So a yes is one to a digest of all that counts, made anew when the message is
//! judged again; and it lifts what asked for it and nothing else.

use std::sync::Arc;
use std::time::Duration;

use bartizan_mcp::{Digest, Value, canonical, method, quote};
use bartizan_policy::{Approver, Challenge};

use crate::{Action, DefinitionKind, Event, Finding, Judged, Session, Timestamp};

/// A person's yes to exactly one act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The digest of what was approved, as [`Approval::digest`] has it.
    pub digest: Digest,
    /// When it lapses.
    pub expires: Timestamp,
}

/// What has to be settled before a message passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The rule that asks; of several the gravest.
    pub rule: &'static str,
    /// Its reason, in a sentence.
    pub why: String,
    /// Everything that asks.
    pub asks: Vec<Ask>,
    /// The digest of who asks for what, with which arguments, of which definition, and of what asks.
    pub digest: Digest,
}

/// One rule, or one policy, that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The rule.
    pub rule: &'static str,
    /// The policy, if one asks.
    pub policy: Option<Arc<str>>,
    /// Its reason, in a sentence.
    pub why: String,
    /// What settles it.
    pub need: Challenge,
    /// Whether nobody may agree to what they ask for themselves.
    pub four_eyes: bool,
    /// Who may agree; whoever the configuration names, if it says nothing.
    pub approvers: Arc<[Approver]>,
    /// Whether whoever agrees has to show again who they are.
    pub fresh: bool,
    /// How long ago whoever asks may have signed in, by what their token says, if that settles it.
    pub max_age: Option<Duration>,
}

impl Approval {
    /// How long ago whoever asks may have signed in with a second factor so that a token which says so is all the proof that is
    /// asked for; nothing if no proof is, or no token does.
    #[must_use]
    pub fn max_age(&self) -> Option<Duration> {
        let proofs = self.asks.iter().filter(|ask| ask.need == Challenge::StepUp);
        let ages: Option<Vec<_>> = proofs.map(|ask| ask.max_age).collect();
        ages?.into_iter().min()
    }
}

impl Ask {
    fn of(finding: &Finding) -> Vec<Ask> {
        let plain = Ask {
            rule: finding.rule.id,
            policy: None,
            why: finding.why.clone(),
            need: Challenge::Approval,
            four_eyes: false,
            approvers: Arc::default(),
            fresh: false,
            max_age: None,
        };
        let of_policies = finding.asked_by.iter().filter_map(|reason| {
            let asks = reason.asks.as_ref()?;
            Some(Ask {
                policy: Some(Arc::clone(&reason.id)),
                need: asks.challenge,
                four_eyes: asks.four_eyes,
                approvers: Arc::clone(&asks.approvers),
                fresh: asks.fresh,
                max_age: asks.max_age,
                ..plain.clone()
            })
        });
        let of_policies: Vec<_> = of_policies.collect();
        if of_policies.is_empty() { vec![plain] } else { of_policies }
    }

    /// What it is known by: the rule, and the policy.
    fn name(&self) -> String {
        match &self.policy {
            Some(policy) => format!("{} {policy}", self.rule),
            None => self.rule.to_owned(),
        }
    }
}

/// What asks, of all that was found; once each, in an order that does not depend on that of the guards.
pub(crate) fn asks(judged: &[Judged]) -> Vec<Ask> {
    let asking = judged.iter().filter(|held| held.action == Action::Approve);
    let mut asks: Vec<_> = asking.flat_map(|held| Ask::of(&held.finding)).collect();
    asks.sort_by(|one, other| (one.rule, &one.policy, &one.why).cmp(&(other.rule, &other.policy, &other.why)));
    asks.dedup_by(|one, other| one.rule == other.rule && one.policy == other.policy);
    asks
}

/// Whether all of these were among those: what was agreed to before a text was cut out of a message still asks afterwards.
pub(crate) fn are_among(asks: &[Ask], settled: &[Ask]) -> bool {
    let is_settled = |ask: &Ask| settled.iter().any(|held| held.rule == ask.rule && held.policy == ask.policy);
    asks.iter().all(is_settled)
}

/// SHA-256 over the canonical JSON (RFC 8785) of all that an agreement is about.
///
/// Not of `_meta`: clients put there what is another with every request, such as progress tokens, so that nothing that was
/// agreed to would ever be asked for again.
pub(crate) fn digest(event: &Event<'_>, session: &Session, asks: &[Ask]) -> Digest {
    let names: Vec<_> = asks.iter().map(|ask| quote(&ask.name())).collect();
    let (listed, pinned) = definition(event, session);
    let hex = |digest: Option<Digest>| digest.map_or_else(|| "null".to_owned(), |digest| quote(&digest.to_hex()));
    // Members in the order that the canonical form has.
    Digest::of_canonical(&format!(
        r#"{{"asks":[{}],"direction":{},"kind":{},"listed":{},"method":{},"pinned":{},"principal":{},"said":{},"server":{},"v":1}}"#,
        names.join(","),
        quote(event.direction.as_str()),
        quote(&format!("{:?}", event.message.kind())),
        hex(listed),
        quote(event.message.method().or_else(|| event.answers.map(|call| &*call.method)).unwrap_or_default()),
        hex(pinned),
        quote(&event.principal.id),
        said(event),
        quote(&event.server.name),
    ))
}

/// The digests of the definition that is used: as the server lists it in this session, and as it was accepted.
fn definition(event: &Event<'_>, session: &Session) -> (Option<Digest>, Option<Digest>) {
    let (kind, member) = match event.message.method() {
        Some(method::TOOLS_CALL) => (DefinitionKind::Tool, "name"),
        Some(method::PROMPTS_GET) => (DefinitionKind::Prompt, "name"),
        Some(method::RESOURCES_READ) => (DefinitionKind::Resource, "uri"),
        _ => return (None, None),
    };
    let Some(name) = event.message.param(member) else { return (None, None) };
    let listed = session.catalog.get(kind, &name).map(|definition| definition.digest);
    (listed, event.server.pins.get(kind, &name))
}

/// The parameters, the result or the error, without `_meta`.
fn said(event: &Event<'_>) -> String {
    let message = event.message;
    let Some(body) = message.params().or_else(|| message.result()).or_else(|| message.error()) else {
        return "null".to_owned();
    };
    let mut members: Vec<_> = body.members().map(|(key, value)| (key.text(), value)).collect();
    if members.is_empty() {
        return canonical(body);
    }
    members.retain(|(key, _)| key != "_meta");
    members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
    let member = |(key, value): (std::borrow::Cow<'_, str>, Value<'_>)| format!("{}:{}", quote(&key), canonical(value));
    format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
}
