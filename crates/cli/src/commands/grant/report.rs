//! What `bartizan grant` prints.

use std::collections::BTreeSet;

use bartizan_store::grants::Grant;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::key::moment;
use crate::output::Paint;
use crate::text::inline;

/// What `grant list --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Listed<'a> {
    #[schemars(extend("const" = Listed::FORMAT))]
    format: &'static str,
    /// What clients were given, the oldest first.
    grants: Vec<One<'a>>,
}

impl<'a> Listed<'a> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.grant.list/1";

    pub(super) fn of(grants: &'a [Grant], now: i64, disabled: &BTreeSet<String>) -> Self {
        let one = |grant| One::of(grant, now, disabled);
        Listed { format: Self::FORMAT, grants: grants.iter().map(one).collect() }
    }
}

/// What `grant revoke --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Revoked {
    #[schemars(extend("const" = Revoked::FORMAT))]
    format: &'static str,
    /// What ended by that.
    revoked: Vec<String>,
}

impl Revoked {
    pub(in super::super) const FORMAT: &'static str = "bartizan.grant.revoke/1";

    pub(super) fn of(revoked: Vec<String>) -> Self {
        Revoked { format: Self::FORMAT, revoked }
    }
}

/// What one client was given. Moments are of RFC 3339.
#[derive(Serialize, JsonSchema)]
struct One<'a> {
    /// What it is called.
    id: &'a str,
    /// Who let the client in.
    person: &'a str,
    /// Whether they are disabled, so that it is good for nothing until they are enabled again.
    person_disabled: bool,
    /// The client.
    client: &'a str,
    /// What the client calls itself.
    client_name: &'a str,
    /// Where it may come in.
    resource: &'a str,
    /// What it may do there at most.
    scopes: &'a [String],
    /// Whether it is good.
    state: State,
    /// When the client came for it.
    created_at: String,
    /// When it is over in any case.
    expires_at: String,
    /// When the client last got a new token.
    #[serde(skip_serializing_if = "Option::is_none")]
    refreshed_at: Option<String>,
    /// When it was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    /// Why: `operator`, `person`, `client`, `code_replayed`, `refresh_token_reused`, `refreshed_too_often` or `superseded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by: Option<&'a str>,
}

/// Whether what a client has is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    Good,
    Expired,
    Ended,
}

impl State {
    fn of(grant: &Grant, now: i64) -> State {
        match grant.ended {
            Some(_) => State::Ended,
            None if grant.expires_at <= now => State::Expired,
            None => State::Good,
        }
    }
}

impl<'a> One<'a> {
    fn of(grant: &'a Grant, now: i64, disabled: &BTreeSet<String>) -> Self {
        let terms = &grant.terms;
        One {
            id: &grant.id,
            person: &terms.person,
            person_disabled: disabled.contains(&terms.person),
            client: &terms.client,
            client_name: &terms.client_name,
            resource: &terms.resource,
            scopes: &terms.scopes,
            state: State::of(grant, now),
            created_at: moment(grant.created_at),
            expires_at: moment(grant.expires_at),
            refreshed_at: grant.used_at.map(moment),
            ended_at: grant.ended.as_ref().map(|(at, _)| moment(*at)),
            ended_by: grant.ended.as_ref().map(|(_, why)| why.as_str()),
        }
    }
}

/// What one client has, for people: who has it and until when, then whose it is and what it is good for.
pub(super) fn lines(grant: &Grant, now: i64, disabled: &BTreeSet<String>, paint: Paint) -> String {
    let terms = &grant.terms;
    let until = match &grant.ended {
        Some((at, why)) => paint.like("deny", &format!("ended {} ({why})", moment(*at))).to_string(),
        None if grant.expires_at <= now => {
            paint.like("deny", &format!("expired {}", moment(grant.expires_at))).to_string()
        }
        None => format!("until {}", moment(grant.expires_at)),
    };
    let used = grant.used_at.map_or("never refreshed".to_owned(), |at| format!("refreshed {}", moment(at)));
    let (id, person, client) = (paint.bold(&grant.id), inline(&terms.person), inline(&terms.client));
    let (name, resource, scopes) =
        (inline(&terms.client_name), inline(&terms.resource), inline(&terms.scopes.join(" ")));
    let person = if disabled.contains(&terms.person) { format!("{person} ({person} is disabled)") } else { person };
    format!("{id}  {person}, {until}, {used}\n  {client} ({name})\n  {resource}: {scopes}")
}
