//! One policy, and what is known of it before anybody asks.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use cedar_policy::{ActionConstraint, Effect, Policy, PolicyId, PolicySet, PrincipalConstraint, ResourceConstraint};

use crate::principal::SignedIn;
use crate::problem::{Problem, Source};
use crate::reads::{Reads, listing};

/// What lifts a policy that stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Challenge {
    /// Somebody agrees.
    Approval,
    /// Whoever asks shows again who they are.
    StepUp,
}

impl Challenge {
    const ALL: [Challenge; 2] = [Challenge::Approval, Challenge::StepUp];

    /// As it is written in `@challenge`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Challenge::Approval => "approval",
            Challenge::StepUp => "step_up",
        }
    }
}

/// Who may agree to what a policy asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Approver {
    /// Whoever is called that.
    User(Box<str>),
    /// Whoever has this role.
    Role(Box<str>),
    /// Whoever is in this group.
    Group(Box<str>),
}

impl Approver {
    /// Reads `user:NAME`, `role:NAME` or `group:NAME`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Approver> {
        let (kind, name) = text.split_once(':')?;
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == ',') {
            return None;
        }
        match kind {
            "user" => Some(Approver::User(name.into())),
            "role" => Some(Approver::Role(name.into())),
            "group" => Some(Approver::Group(name.into())),
            _ => None,
        }
    }
}

impl fmt::Display for Approver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Approver::User(name) => write!(f, "user:{name}"),
            Approver::Role(name) => write!(f, "role:{name}"),
            Approver::Group(name) => write!(f, "group:{name}"),
        }
    }
}

/// What a policy that may be lifted asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asks {
    /// What lifts it.
    pub challenge: Challenge,
    /// Whether nobody may agree to what they ask for themselves.
    pub four_eyes: bool,
    /// Who may agree; whoever the configuration names, if it says nothing.
    pub approvers: Arc<[Approver]>,
    /// Whether whoever agrees has to show again who they are.
    pub fresh: bool,
    /// How long ago whoever asks may have signed in with a second factor, as their token says, for that to be proof enough;
    /// nothing if what a token says is none.
    pub max_age: Option<Duration>,
}

impl Asks {
    /// Whether the way in which somebody signed in is what is asked for, at `now` in microseconds.
    pub(crate) fn is_met_by(&self, signed_in: Option<&SignedIn>, now: i64) -> bool {
        let proof = self.max_age.zip(signed_in);
        self.challenge == Challenge::StepUp
            && proof.is_some_and(|(max_age, signed_in)| signed_in.is_proof(max_age, now))
    }
}

/// A policy that had a part in a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Its `@id`, or its source and number.
    pub id: Arc<str>,
    /// Its `@reason`: why it is there.
    pub reason: Option<Arc<str>>,
    /// Its `@advice`: what to do about it.
    pub advice: Option<Arc<str>>,
    /// What lifts it, if anything does.
    pub asks: Option<Asks>,
    /// Whether it looks at the labels of the session.
    pub reads_labels: bool,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) policy: Policy,
    /// The same for lists, if it bears on them.
    pub(crate) listing: Option<Policy>,
    pub(crate) reads: Reads,
    pub(crate) principal: PrincipalConstraint,
    pub(crate) action: ActionConstraint,
    pub(crate) resource: ResourceConstraint,
    pub(crate) reason: Reason,
    /// Which of the sources it is from.
    pub(crate) source: usize,
}

/// The rules of some texts, in their order.
pub(crate) fn read(sources: &[Source<'_>]) -> Result<Vec<Rule>, Vec<Problem>> {
    let (mut rules, mut problems, mut ids) = (Vec::new(), Vec::new(), HashSet::new());
    for (number, source) in sources.iter().enumerate() {
        let set = match PolicySet::from_str(source.text) {
            Ok(set) => set,
            Err(errors) => {
                problems.extend(errors.iter().map(|error| Problem::new(source, error)));
                continue;
            }
        };
        if let Some(template) = set.templates().next() {
            let message = format!("`{}` is a template, which nothing links", template.id());
            problems.push(Problem::at(source, 0, message));
        }
        let mut policies: Vec<_> = set.policies().collect();
        // The parser numbers them.
        policies
            .sort_by_key(|policy| policy.id().to_string().trim_start_matches("policy").parse::<usize>().unwrap_or(0));
        for (index, policy) in policies.into_iter().enumerate() {
            match rule(policy, source, number, index, &mut ids) {
                Ok(rule) => rules.push(rule),
                Err(message) => problems.push(Problem::at(source, offset(policy), message)),
            }
        }
    }
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

/// What a policy may say of itself.
const ANNOTATIONS: [&str; 8] = ["id", "reason", "advice", "challenge", "approvers", "four_eyes", "fresh", "max_age"];

fn rule(
    policy: &Policy,
    source: &Source<'_>,
    number: usize,
    index: usize,
    ids: &mut HashSet<Arc<str>>,
) -> Result<Rule, String> {
    let id: Arc<str> = match policy.annotation("id") {
        Some("") => return Err("`@id` is empty".to_owned()),
        Some(id) => id.into(),
        None => format!("{}#{}", source.name, index + 1).into(),
    };
    if !ids.insert(Arc::clone(&id)) {
        return Err(format!("another policy has `@id(\"{id}\")`"));
    }
    // One that nobody reads was meant for one that would have asked for more.
    if let Some((unknown, _)) = policy.annotations().find(|(name, _)| !ANNOTATIONS.contains(name)) {
        return Err(format!("`@{unknown}` is none; there are @{}", ANNOTATIONS.join(", @")));
    }
    let challenge = policy.annotation("challenge").map(|word| {
        let known = Challenge::ALL.into_iter().find(|known| known.as_str() == word);
        known.ok_or_else(|| format!("`@challenge(\"{word}\")` is none; there are approval and step_up"))
    });
    let challenge = challenge.transpose()?;
    if challenge.is_some() && policy.effect() != Effect::Forbid {
        return Err(format!("`{id}` has `@challenge` and permits: a challenge stands in the way, so it forbids"));
    }
    let asks = asks(policy, challenge)?;
    let policy = policy.new_id(PolicyId::new(&id));
    let json = policy.to_json().map_err(|error| error.to_string())?;
    let listing = match listing(&json) {
        Some(json) => Some(Policy::from_json(Some(PolicyId::new(&id)), json).map_err(|error| error.to_string())?),
        None => None,
    };
    let text = |name: &str| policy.annotation(name).filter(|text| !text.is_empty()).map(Arc::from);
    let reads = Reads::of(&json);
    let reads_labels = reads.labels;
    Ok(Rule {
        // A challenge may be met, so it hides nothing.
        listing: listing.filter(|_| challenge.is_none()),
        reads,
        principal: policy.principal_constraint(),
        action: policy.action_constraint(),
        resource: policy.resource_constraint(),
        reason: Reason { id, reason: text("reason"), advice: text("advice"), asks, reads_labels },
        policy,
        source: number,
    })
}

/// What a policy with a challenge asks for; what only belongs to such a policy is a mistake in any other.
fn asks(policy: &Policy, challenge: Option<Challenge>) -> Result<Option<Asks>, String> {
    let (four_eyes, fresh) = (policy.annotation("four_eyes"), policy.annotation("fresh"));
    let approvers = policy.annotation("approvers");
    if challenge != Some(Challenge::Approval) && (four_eyes.is_some() || fresh.is_some() || approvers.is_some()) {
        return Err("`@four_eyes`, `@fresh` and `@approvers` belong to `@challenge(\"approval\")`".to_owned());
    }
    let max_age = policy.annotation("max_age");
    if challenge != Some(Challenge::StepUp) && max_age.is_some() {
        return Err("`@max_age` belongs to `@challenge(\"step_up\")`".to_owned());
    }
    let max_age = max_age.map(|text| {
        age(text).ok_or_else(|| format!("`@max_age(\"{text}\")` is no time; write 90s, 5m or 2h, a day at most"))
    });
    let max_age = max_age.transpose()?;
    let flag = |name: &str, word: Option<&str>| match word {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(word) => Err(format!("`@{name}(\"{word}\")` is neither true nor false")),
    };
    let (four_eyes, fresh) = (flag("four_eyes", four_eyes)?, flag("fresh", fresh)?);
    let words = approvers.map(|text| text.split(',').map(str::trim).collect::<Vec<_>>()).unwrap_or_default();
    let approvers = words.into_iter().map(|word| {
        let approver = Approver::parse(word);
        approver.ok_or_else(|| format!("`{word}` is no approver; write user:NAME, role:NAME or group:NAME"))
    });
    let approvers = approvers.collect::<Result<Vec<_>, _>>()?.into();
    Ok(challenge.map(|challenge| Asks { challenge, four_eyes, approvers, fresh, max_age }))
}

/// The longest that a proof is good.
const OLDEST: Duration = Duration::from_hours(24);

/// A time such as `5m`.
fn age(text: &str) -> Option<Duration> {
    let (number, seconds) = [("s", 1), ("m", 60), ("h", 3_600)]
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let age = Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?);
    (Duration::ZERO < age && age <= OLDEST).then_some(age)
}

/// Where a policy begins in its text.
pub(crate) fn offset(policy: &Policy) -> usize {
    policy.as_ref().loc().map_or(0, |at| at.start())
}
