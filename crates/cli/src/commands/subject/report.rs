//! What `bartizan subject` prints.

use bartizan_pseudonym::{self as pseudonym, Kind};
use bartizan_store::pseudonyms::{self, Subject};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::key::moment;
use super::find::Whom;
use super::{Held, Token};
use crate::output::Paint;
use crate::text::{count, inline};

/// What `subject list --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Listed<'a> {
    #[schemars(extend("const" = Listed::FORMAT))]
    format: &'static str,
    /// About whom something is kept, by tenant, those that came first before others.
    subjects: Vec<One<'a>>,
}

impl<'a> Listed<'a> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.subject.list/1";

    pub(super) fn of(all: &'a [(String, Subject)]) -> Self {
        let subjects = all.iter().map(|(tenant, subject)| One::of(tenant, subject)).collect();
        Listed { format: Self::FORMAT, subjects }
    }
}

/// What `subject show --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Shown<'a> {
    #[schemars(extend("const" = Shown::FORMAT))]
    format: &'static str,
    /// Who was asked for; nobody if no token stands for the value.
    subjects: Vec<Whole<'a>>,
}

impl<'a> Shown<'a> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.subject.show/1";

    pub(super) fn of(all: &'a [Held]) -> Self {
        Shown { format: Self::FORMAT, subjects: all.iter().map(Whole::of).collect() }
    }
}

/// What `subject export` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Exported<'a> {
    #[schemars(extend("const" = Exported::FORMAT))]
    format: &'static str,
    /// When.
    exported_at: String,
    #[serde(flatten)]
    whole: Whole<'a>,
}

impl<'a> Exported<'a> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.subject.export/1";

    pub(super) fn of(held: &'a Held, at: i64) -> Self {
        Exported { format: Self::FORMAT, exported_at: moment(at), whole: Whole::of(held) }
    }
}

/// What `subject erase --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Erased<'a> {
    #[schemars(extend("const" = Erased::FORMAT))]
    format: &'static str,
    /// Whose data it was.
    tenant: &'a str,
    /// Who was erased.
    subject: &'a str,
    /// So many tokens stand for nothing any more.
    erased: i64,
    /// Whether nothing of the key is in the files of the database. If not, `subject erase --finish` has to follow.
    overwritten: bool,
}

impl<'a> Erased<'a> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.subject.erase/1";

    pub(super) fn of(whom: &'a Whom, erased: pseudonyms::Erased) -> Self {
        Erased {
            format: Self::FORMAT,
            tenant: &whom.tenant,
            subject: &whom.subject.id,
            erased: erased.pseudonyms,
            overwritten: erased.is_overwritten,
        }
    }
}

/// Somebody. Moments are of RFC 3339.
#[derive(Serialize, JsonSchema)]
struct One<'a> {
    /// Whose data it is.
    tenant: &'a str,
    /// What they are called here.
    subject: &'a str,
    /// How many tokens stand for something of theirs.
    count: i64,
    /// Since when something is kept.
    created_at: String,
    /// When something was last used, to the minute.
    last_used_at: String,
    /// When the last of it expires, unless it is used again.
    expires_at: String,
}

impl<'a> One<'a> {
    fn of(tenant: &'a str, subject: &'a Subject) -> Self {
        One {
            tenant,
            subject: &subject.id,
            count: subject.pseudonyms,
            created_at: moment(subject.created_at),
            last_used_at: moment(subject.last_used_at),
            expires_at: moment(subject.expires_at),
        }
    }
}

/// Somebody with their tokens.
#[derive(Serialize, JsonSchema)]
struct Whole<'a> {
    #[serde(flatten)]
    one: One<'a>,
    /// By purpose, those that came first before others.
    tokens: Vec<Named<'a>>,
}

impl<'a> Whole<'a> {
    fn of(held: &'a Held) -> Self {
        Whole { one: One::of(&held.tenant, &held.subject), tokens: held.tokens.iter().map(Named::of).collect() }
    }
}

/// A token.
#[derive(Serialize, JsonSchema)]
struct Named<'a> {
    /// As it stands in texts.
    token: String,
    /// What it is, such as `email`.
    kind: &'a str,
    /// What it is used for.
    purpose: &'a str,
    /// What it stands for, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    /// Since when it is kept.
    created_at: String,
    /// When it was last used, to the minute.
    last_used_at: String,
    /// When it expires, unless it is used again.
    expires_at: String,
}

impl<'a> Named<'a> {
    fn of(token: &'a Token) -> Self {
        let Token { pseudonym, value } = token;
        Named {
            token: written(&pseudonym.kind, &pseudonym.token),
            kind: &pseudonym.kind,
            purpose: &pseudonym.purpose,
            value: value.as_deref(),
            created_at: moment(pseudonym.created_at),
            last_used_at: moment(pseudonym.last_used_at),
            expires_at: moment(pseudonym.expires_at),
        }
    }
}

/// A token as it stands in texts; what was not made by this version stays what it is.
fn written(kind: &str, id: &str) -> String {
    let token = Kind::parse(kind).and_then(|kind| pseudonym::Token::of(kind, id));
    token.map_or_else(|| id.to_owned(), |token| token.to_string())
}

/// Somebody, on one line.
pub(super) fn line(tenant: &str, subject: &Subject, paint: Paint) -> String {
    let tokens = count(usize::try_from(subject.pseudonyms).unwrap_or_default(), "token");
    let [since, used, until] = [subject.created_at, subject.last_used_at, subject.expires_at].map(moment);
    let id = inline(&subject.id);
    format!("{}  of {}, {tokens}, since {since}, last used {used}, until {until}", paint.bold(&id), inline(tenant))
}

/// The same, with a line for each token and one for what it stands for, if that is to be shown.
pub(super) fn lines(held: &Held, paint: Paint) -> String {
    let mut lines = line(&held.tenant, &held.subject, paint);
    for Token { pseudonym, value } in &held.tokens {
        let token = inline(&written(&pseudonym.kind, &pseudonym.token));
        let (kind, purpose) = (inline(&pseudonym.kind), inline(&pseudonym.purpose));
        let [since, used, until] = [pseudonym.created_at, pseudonym.last_used_at, pseudonym.expires_at].map(moment);
        lines += &format!("\n  {token}  {kind} for {purpose}, since {since}, last used {used}, until {until}");
        if let Some(value) = value {
            lines += &format!("\n    {}", inline(value));
        }
    }
    lines
}
