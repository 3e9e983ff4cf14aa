//! One policy, and what is known of it before anybody asks.

use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{ActionConstraint, Effect, Policy, PolicyId, PolicySet, PrincipalConstraint, ResourceConstraint};

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

/// A policy that had a part in a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Its `@id`, or its source and number.
    pub id: Arc<str>,
    /// Its `@reason`: why it is there.
    pub reason: Option<Arc<str>>,
    /// Its `@advice`: what to do about it.
    pub advice: Option<Arc<str>>,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) policy: Policy,
    /// The same for lists, if it bears on them.
    pub(crate) listing: Option<Policy>,
    pub(crate) challenge: Option<Challenge>,
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
    let challenge = policy.annotation("challenge").map(|word| {
        let known = Challenge::ALL.into_iter().find(|known| known.as_str() == word);
        known.ok_or_else(|| format!("`@challenge(\"{word}\")` is none; there are approval and step_up"))
    });
    let challenge = challenge.transpose()?;
    if challenge.is_some() && policy.effect() != Effect::Forbid {
        return Err(format!("`{id}` has `@challenge` and permits: a challenge stands in the way, so it forbids"));
    }
    let policy = policy.new_id(PolicyId::new(&id));
    let json = policy.to_json().map_err(|error| error.to_string())?;
    let listing = match listing(&json) {
        Some(json) => Some(Policy::from_json(Some(PolicyId::new(&id)), json).map_err(|error| error.to_string())?),
        None => None,
    };
    let text = |name: &str| policy.annotation(name).filter(|text| !text.is_empty()).map(Arc::from);
    Ok(Rule {
        // A challenge may be met, so it hides nothing.
        listing: listing.filter(|_| challenge.is_none()),
        challenge,
        reads: Reads::of(&json),
        principal: policy.principal_constraint(),
        action: policy.action_constraint(),
        resource: policy.resource_constraint(),
        reason: Reason { id, reason: text("reason"), advice: text("advice") },
        policy,
        source: number,
    })
}

/// Where a policy begins in its text.
pub(crate) fn offset(policy: &Policy) -> usize {
    policy.as_ref().loc().map_or(0, |at| at.start())
}
