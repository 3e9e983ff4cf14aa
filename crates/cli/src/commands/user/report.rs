//! What `bartizan user` prints.

use bartizan_store::people::Summary;
use schemars::JsonSchema;
use serde::Serialize;

pub(super) use super::super::key::moment;
use crate::text::inline;

/// What `user add --json` and `user reset --json` print.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Invited<'a> {
    #[schemars(extend("const" = Invited::FORMAT))]
    format: &'static str,
    /// The person.
    person: &'a str,
    /// The link with which they choose what they sign in with, if they were given no password. It is kept nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    /// When the link ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

impl<'a> Invited<'a> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.user.invite/1";

    pub(super) fn of(person: &'a str, link: Option<&'a str>, until: Option<i64>) -> Self {
        Invited { format: Self::FORMAT, person, link, expires_at: until.map(moment) }
    }
}

/// What `user disable --json`, `user enable --json` and `user remove --json` print.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Changed<'a> {
    #[schemars(extend("const" = Changed::FORMAT))]
    format: &'static str,
    /// The person.
    person: &'a str,
    /// What they are now: `disabled`, `enabled` or `removed`.
    now: &'a str,
    /// Whether they were not before.
    changed: bool,
}

impl<'a> Changed<'a> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.user.change/1";

    pub(super) fn of(person: &'a str, now: &'a str, changed: bool) -> Self {
        Changed { format: Self::FORMAT, person, now, changed }
    }
}

/// What `user list --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Listed<'a> {
    #[schemars(extend("const" = Listed::FORMAT))]
    format: &'static str,
    /// The people, by name.
    people: Vec<One<'a>>,
}

impl<'a> Listed<'a> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.user.list/1";

    pub(super) fn of(people: &'a [Summary], now: i64) -> Self {
        Listed { format: Self::FORMAT, people: people.iter().map(|one| One::of(one, now)).collect() }
    }
}

/// One person. Moments are of RFC 3339.
#[derive(Serialize, JsonSchema)]
struct One<'a> {
    /// The principal they are.
    name: &'a str,
    /// Whether they can sign in.
    state: State,
    /// Whether they have a password.
    password: bool,
    /// Whether they have one-time passwords.
    one_time: bool,
    /// Recovery codes they have left.
    recovery_codes: i64,
    /// Passkeys they have.
    passkeys: i64,
    /// When they were added.
    created_at: String,
    /// Until when an invitation is good that they have not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    invited_until: Option<String>,
    /// Since when they may not sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<String>,
}

/// Whether somebody can sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    /// They can.
    Ready,
    /// They have not chosen yet what they sign in with.
    Invited,
    /// They have nothing to sign in with, and no invitation that is good.
    Locked,
    /// They may not.
    Disabled,
}

impl State {
    fn of(one: &Summary, now: i64) -> State {
        if one.person.disabled_at.is_some() {
            State::Disabled
        } else if one.person.password.is_some() || one.passkeys > 0 {
            State::Ready
        } else if one.invited_until.is_some_and(|until| until > now) {
            State::Invited
        } else {
            State::Locked
        }
    }
}

impl<'a> One<'a> {
    fn of(one: &'a Summary, now: i64) -> Self {
        One {
            name: &one.person.name,
            state: State::of(one, now),
            password: one.person.password.is_some(),
            one_time: one.person.totp.is_some(),
            recovery_codes: one.recovery_codes,
            passkeys: one.passkeys,
            created_at: moment(one.person.created_at),
            invited_until: one.invited_until.filter(|until| *until > now).map(moment),
            disabled_at: one.person.disabled_at.map(moment),
        }
    }
}

/// A person for people.
pub(super) fn line(one: &Summary, now: i64) -> String {
    let state = match (State::of(one, now), one.invited_until, one.person.disabled_at) {
        (State::Disabled, _, Some(at)) => format!("disabled {}", moment(at)),
        (State::Invited, Some(until), _) => format!("invited until {}", moment(until)),
        (State::Locked, ..) => "has nothing to sign in with; `bartizan user reset` gives a link".to_owned(),
        _ => has(one),
    };
    format!("{}  {state}", inline(&one.person.name))
}

fn has(one: &Summary) -> String {
    let passkeys = match one.passkeys {
        0 => String::new(),
        1 => "1 passkey".to_owned(),
        more => format!("{more} passkeys"),
    };
    let all = [
        if one.person.password.is_some() { "password" } else { "" },
        if one.person.totp.is_some() { "one-time passwords" } else { "" },
        &passkeys,
    ];
    all.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
}
