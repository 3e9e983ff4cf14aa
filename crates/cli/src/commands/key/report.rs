//! What `bartizan key` prints.

use bartizan_identity::{ApiKey, ApiKeyId};
use bartizan_store::api_keys;
use schemars::JsonSchema;
use serde::Serialize;

use crate::output::Paint;
use crate::text::inline;

/// What `key create --json` and `key rotate --json` print.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Created<'a> {
    #[schemars(extend("const" = Created::FORMAT))]
    format: &'static str,
    /// The key itself. It is kept nowhere.
    key: &'a str,
    #[serde(flatten)]
    one: One<'a>,
}

impl<'a> Created<'a> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.key.create/1";

    pub(super) fn of(secret: &'a ApiKey, key: &'a api_keys::ApiKey) -> Self {
        Created { format: Self::FORMAT, key: secret.expose(), one: One::of(key, key.created_at) }
    }
}

/// What `key list --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Listed<'a> {
    #[schemars(extend("const" = Listed::FORMAT))]
    format: &'static str,
    /// The keys, the oldest first.
    keys: Vec<One<'a>>,
}

impl<'a> Listed<'a> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.key.list/1";

    pub(super) fn of(keys: &'a [api_keys::ApiKey], now: i64) -> Self {
        Listed { format: Self::FORMAT, keys: keys.iter().map(|key| One::of(key, now)).collect() }
    }
}

/// What `key revoke --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Revoked {
    #[schemars(extend("const" = Revoked::FORMAT))]
    format: &'static str,
    /// The key.
    id: String,
    /// Whether it was not revoked before.
    revoked_now: bool,
}

impl Revoked {
    pub(in super::super) const FORMAT: &'static str = "bartizan.key.revoke/1";

    pub(super) fn of(id: &ApiKeyId, revoked_now: bool) -> Self {
        Revoked { format: Self::FORMAT, id: id.to_string(), revoked_now }
    }
}

/// One key. Moments are of RFC 3339.
#[derive(Serialize, JsonSchema)]
struct One<'a> {
    /// What it is called.
    id: &'a str,
    /// On whose behalf its holder acts.
    principal: &'a str,
    /// The roles that its holder has by it.
    roles: &'a [String],
    /// What it is good for.
    scopes: &'a [String],
    /// What people should know about it.
    note: &'a str,
    /// Whether it is good.
    state: State,
    /// When it was made.
    created_at: String,
    /// When it ends.
    expires_at: String,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    /// When it was last used, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
    /// The key in whose place it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a str>,
}

/// Whether a key is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    Good,
    Expired,
    Revoked,
}

impl State {
    fn of(key: &api_keys::ApiKey, now: i64) -> State {
        match key.revoked_at {
            Some(_) => State::Revoked,
            None if key.expires_at <= now => State::Expired,
            None => State::Good,
        }
    }
}

impl<'a> One<'a> {
    fn of(key: &'a api_keys::ApiKey, now: i64) -> Self {
        One {
            id: &key.id,
            principal: &key.principal,
            roles: &key.roles,
            scopes: &key.scopes,
            note: &key.note,
            state: State::of(key, now),
            created_at: moment(key.created_at),
            expires_at: moment(key.expires_at),
            revoked_at: key.revoked_at.map(moment),
            last_used_at: key.last_used_at.map(moment),
            replaces: key.replaces.as_deref(),
        }
    }
}

/// A key for people: who and until when, then what it is good for.
pub(super) fn lines(key: &api_keys::ApiKey, now: i64, paint: Paint) -> String {
    let until = match (State::of(key, now), key.revoked_at) {
        (State::Revoked, Some(at)) => paint.like("deny", &format!("revoked {}", moment(at))).to_string(),
        (State::Expired, _) => paint.like("deny", &format!("expired {}", moment(key.expires_at))).to_string(),
        _ => format!("until {}", moment(key.expires_at)),
    };
    let used = key.last_used_at.map_or("never used".to_owned(), |at| format!("last used {}", moment(at)));
    let note = if key.note.is_empty() { String::new() } else { format!("\n  {}", inline(&key.note)) };
    let (id, principal, scopes) = (paint.bold(&key.id), inline(&key.principal), inline(&key.scopes.join(" ")));
    let roles = if key.roles.is_empty() { String::new() } else { format!(" as {}", inline(&key.roles.join(", "))) };
    format!("{id}  {principal}{roles}, {until}, {used}\n  {scopes}{note}")
}

/// To the second, as people have no use for more.
pub(in super::super) fn moment(at: i64) -> String {
    bartizan_audit::rfc3339(at - at.rem_euclid(1_000_000)).replace(".000000", "")
}
