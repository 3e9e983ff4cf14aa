//! A case as bytes: a head in JSON, then the message and the definitions as they were.
//!
//! Each piece has its length in front, in four bytes, big-endian. The head begins with the number of the form, so that what
//! a later version writes is told apart from what is broken.

use std::ops::Range;
use std::sync::Arc;

use bartizan_flow::{Nature, Traces};
use bartizan_mcp::{Digest, Era, Limits, Message};
use bartizan_policy::{Scope, Scopes, SignedIn};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Case, Known, Named};
use crate::{
    CallSummary, DefinitionKind, Direction, Evidence, Grant, HandedOut, History, Label, Labelled, Labels, Names,
    Opinion, Principal, Pseudonym, RateScope, Timestamp, Told,
};

/// The form that is written, and the only one that is read: what another version left out nobody can make up.
const FORM: u32 = 1;

/// Why bytes are no case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CaseError {
    /// It was written by another version.
    #[error("it was recorded in another form, by another version of Bartizan")]
    Form,
    /// It is something else.
    #[error("it is no record of a message")]
    Broken,
}

#[derive(Deserialize)]
struct Form {
    form: u32,
}

#[derive(Serialize, Deserialize)]
struct Head {
    form: u32,
    now: i64,
    to_server: bool,
    server: String,
    principal: Who,
    answers: Option<Call>,
    evidence: Vec<Found>,
    grant: Option<Granted>,
    /// The kinds of the definitions that follow.
    definitions: Vec<String>,
    named: Vec<Name>,
    listed: Vec<String>,
    complete: Vec<String>,
    /// Nothing was marked before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    /// Nothing was labelled before there were any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Who {
    id: String,
    roles: Vec<String>,
    groups: Vec<String>,
    tenant: Option<String>,
    signed_in: Option<Signed>,
    scopes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Signed {
    at: Option<i64>,
    methods: Vec<String>,
    second_factor: bool,
}

#[derive(Serialize, Deserialize)]
struct Call {
    /// As JSON.
    id: String,
    method: String,
    stateless: bool,
    tool: Option<String>,
    progress: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arguments: Option<String>,
    /// Nothing was kept of it at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Granted {
    digest: String,
    expires: i64,
}

#[derive(Serialize, Deserialize)]
struct Name {
    kind: String,
    name: String,
    approved: Option<String>,
    /// Nothing of this was approved before there were labels of tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    does: Option<Does>,
}

/// What a tool was approved to do with information.
#[derive(Serialize, Deserialize)]
struct Does {
    labels: Vec<String>,
    guessed: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    Rate { scope: Scoped, limit: String, retry_after_ms: u64 },
    InFlight { scope: Scoped, most: u32 },
    Task { theirs: bool, tool: Option<String> },
    State { theirs: bool, tool: Option<String> },
    History(Box<History>),
    Opinions(Vec<Opinion>),
    Traces(Box<Traces>),
    Names,
    Revealed(Vec<String>),
    Given(Vec<(u32, Range<usize>)>),
    Standing(Vec<Box<str>>),
    Told(Vec<(String, String)>),
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Scoped {
    Principal,
    Server,
    Tool,
}

impl Case {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = serde_json::to_vec(&self.head()).unwrap_or_default();
        let definitions = self.definitions.iter().map(|definition| &*definition.json);
        let pieces = [&*head, self.message.bytes()].into_iter().chain(definitions);
        let mut bytes = Vec::with_capacity(head.len() + self.weight());
        for piece in pieces {
            // A message has at most a gibibyte.
            bytes.extend(u32::try_from(piece.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(piece);
        }
        bytes
    }

    /// Reads what [`Case::to_bytes`] gave; definitions that are `known` are not read again.
    ///
    /// # Errors
    /// If it is of another version, or something else.
    pub fn read(bytes: &[u8], known: &mut Known) -> Result<Case, CaseError> {
        let mut pieces = Pieces(bytes);
        let head = pieces.next().ok_or(CaseError::Broken)?;
        let form: Form = serde_json::from_slice(head).map_err(|_| CaseError::Broken)?;
        if form.form != FORM {
            return Err(CaseError::Form);
        }
        let head: Head = serde_json::from_slice(head).map_err(|_| CaseError::Broken)?;
        head.with(pieces, known).ok_or(CaseError::Broken)
    }

    fn head(&self) -> Head {
        let kinds = |kinds: &[DefinitionKind]| kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
        let name = |Named { kind, name, approved, labels }: &Named| Name {
            kind: kind.as_str().to_owned(),
            name: name.to_string(),
            approved: approved.map(|digest| digest.to_hex()),
            does: labels.map(Does::of),
        };
        Head {
            form: FORM,
            now: self.now.0,
            to_server: self.direction == Direction::ToServer,
            server: self.server.to_string(),
            principal: Who::of(&self.principal),
            answers: self.answers.as_ref().map(Call::of),
            evidence: self.evidence.iter().map(|evidence| Found::of(evidence, &self.message)).collect(),
            grant: self
                .grant
                .as_ref()
                .map(|Grant { digest, expires }| Granted { digest: digest.to_hex(), expires: expires.0 }),
            definitions: self.definitions.iter().map(|definition| definition.kind.as_str().to_owned()).collect(),
            named: self.pins.iter().map(name).collect(),
            listed: kinds(&self.listed),
            complete: kinds(&self.complete),
            tag: self.tag.as_deref().map(str::to_owned),
            labels: self.labels.iter().map(|label| label.as_str().to_owned()).collect(),
        }
    }
}

impl Head {
    /// The case, with the pieces that follow its head.
    fn with(self, mut pieces: Pieces<'_>, known: &mut Known) -> Option<Case> {
        let message = Message::parse(pieces.next()?.to_vec(), &Limits::AGAIN).ok()?;
        let mut definitions = Vec::new();
        for kind in &self.definitions {
            definitions.push(known.get(DefinitionKind::from_name(kind)?, pieces.next()?)?);
        }
        pieces.0.is_empty().then_some(())?;
        let mut labels = self.labels.iter().map(|name| Label::named(name).map(Labels::of));
        let labels = labels.try_fold(Labels::NONE, |all, label| Some(all.with(label?)));
        let kinds =
            |names: &[String]| -> Option<Vec<_>> { names.iter().map(|name| DefinitionKind::from_name(name)).collect() };
        Some(Case {
            message,
            direction: if self.to_server { Direction::ToServer } else { Direction::ToClient },
            answers: some(self.answers, Call::read)?,
            principal: self.principal.read()?,
            server: self.server.into(),
            evidence: self.evidence.into_iter().map(Found::read).collect::<Option<_>>()?,
            grant: some(self.grant, Granted::read)?,
            now: Timestamp(self.now),
            definitions,
            pins: self.named.into_iter().map(Name::read).collect::<Option<_>>()?,
            listed: kinds(&self.listed)?,
            complete: kinds(&self.complete)?,
            tag: self.tag.map(Into::into),
            labels: labels?,
        })
    }
}

/// What there may be, read if it is there; none if it is there and cannot be read.
#[expect(clippy::option_option, reason = "the outer one is for what cannot be read")]
fn some<T, U>(there: Option<T>, read: impl FnOnce(T) -> Option<U>) -> Option<Option<U>> {
    match there {
        Some(there) => read(there).map(Some),
        None => Some(None),
    }
}

/// Pieces of bytes, each with its length in front.
struct Pieces<'a>(&'a [u8]);

impl<'a> Pieces<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (piece, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        self.0 = rest;
        Some(piece)
    }
}

fn boxed(texts: Vec<String>) -> Vec<Box<str>> {
    texts.into_iter().map(String::into_boxed_str).collect()
}

fn texts(boxed: &[Box<str>]) -> Vec<String> {
    boxed.iter().map(|text| text.to_string()).collect()
}

impl Who {
    fn of(principal: &Principal) -> Who {
        // Without a field being forgotten that is new.
        let Principal { id, roles, groups, tenant, signed_in, scopes } = principal;
        let signed_in = signed_in.as_deref().map(|SignedIn { at, methods, second_factor }| Signed {
            at: *at,
            methods: texts(methods),
            second_factor: *second_factor,
        });
        Who {
            id: id.to_string(),
            roles: texts(roles),
            groups: texts(groups),
            tenant: tenant.as_deref().map(str::to_owned),
            signed_in,
            scopes: scopes.iter().map(ToString::to_string).collect(),
        }
    }

    fn read(self) -> Option<Principal> {
        let scopes: Option<Vec<_>> = self.scopes.iter().map(|text| Scope::parse(text).ok()).collect();
        let signed_in = self.signed_in.map(|Signed { at, methods, second_factor }| {
            Arc::new(SignedIn { at, methods: boxed(methods).into(), second_factor })
        });
        Some(Principal {
            id: self.id.into(),
            roles: boxed(self.roles).into(),
            groups: boxed(self.groups).into(),
            tenant: self.tenant.map(Arc::from),
            signed_in,
            scopes: Scopes::of(scopes?),
        })
    }
}

impl Call {
    fn of(call: &CallSummary) -> Call {
        let CallSummary { id, method, era, tool, progress_token, arguments, uri } = call;
        Call {
            id: id.to_json(),
            method: method.to_string(),
            stateless: *era == Era::Stateless,
            tool: tool.as_deref().map(str::to_owned),
            progress: progress_token.as_deref().map(str::to_owned),
            arguments: arguments.as_deref().map(str::to_owned),
            uri: uri.as_deref().map(str::to_owned),
        }
    }

    fn read(self) -> Option<CallSummary> {
        let id = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, self.id);
        Some(CallSummary {
            id: Message::parse(id, &Limits::AGAIN).ok()?.id()?.clone(),
            method: self.method.into(),
            era: if self.stateless { Era::Stateless } else { Era::Legacy },
            tool: self.tool.map(Into::into),
            progress_token: self.progress.map(Into::into),
            arguments: self.arguments.map(Into::into),
            uri: self.uri.map(Into::into),
        })
    }
}

impl Granted {
    fn read(self) -> Option<Grant> {
        Some(Grant { digest: Digest::from_hex(&self.digest)?, expires: Timestamp(self.expires) })
    }
}

impl Does {
    fn of(labels: Labelled) -> Does {
        let words = |nature: Nature| nature.words().map(str::to_owned).collect();
        Does { labels: words(labels.nature), guessed: words(labels.guessed) }
    }

    fn read(self) -> Option<Labelled> {
        let nature = |words: &[String]| Nature::of_words(words.iter().map(String::as_str));
        Some(Labelled { nature: nature(&self.labels)?, guessed: nature(&self.guessed)? })
    }
}

impl Name {
    fn read(self) -> Option<Named> {
        Some(Named {
            kind: DefinitionKind::from_name(&self.kind)?,
            name: self.name.into(),
            approved: some(self.approved, |digest| Digest::from_hex(&digest))?,
            labels: some(self.does, Does::read)?,
        })
    }
}

impl Found {
    fn of(evidence: &Evidence, message: &Message) -> Found {
        match evidence {
            Evidence::RateExceeded { scope, limit, retry_after_ms } => {
                Found::Rate { scope: (*scope).into(), limit: limit.clone(), retry_after_ms: *retry_after_ms }
            }
            Evidence::InFlight { scope, most } => Found::InFlight { scope: (*scope).into(), most: *most },
            Evidence::History(history) => Found::History(Box::new((**history).clone())),
            Evidence::Opinions(opinions) => Found::Opinions(opinions.to_vec()),
            Evidence::Traces(traces) => Found::Traces(Box::new((**traces).clone())),
            // Who makes the names is nobody's to keep.
            Evidence::Names(_) => Found::Names,
            Evidence::Revealed(tokens) => Found::Revealed(tokens.iter().map(ToString::to_string).collect()),
            Evidence::Given(places) => Found::Given(places.to_vec()),
            Evidence::Standing(numbers) => Found::Standing(numbers.to_vec()),
            // Of what the server was given back only what the message says again anyway.
            Evidence::Told(told) => {
                let held = told.within(message).into_iter();
                Found::Told(held.map(|held| (held.token.to_string(), held.value.into_string())).collect())
            }
            Evidence::HandedOut { what, is_theirs, tool } => {
                let (theirs, tool) = (*is_theirs, tool.as_deref().map(str::to_owned));
                match what {
                    HandedOut::Task => Found::Task { theirs, tool },
                    HandedOut::State => Found::State { theirs, tool },
                }
            }
        }
    }

    fn read(self) -> Option<Evidence> {
        let handed_out =
            |what, is_theirs, tool: Option<String>| Evidence::HandedOut { what, is_theirs, tool: tool.map(Into::into) };
        Some(match self {
            Found::Rate { scope, limit, retry_after_ms } => {
                Evidence::RateExceeded { scope: scope.into(), limit, retry_after_ms }
            }
            Found::InFlight { scope, most } => Evidence::InFlight { scope: scope.into(), most },
            Found::History(history) => Evidence::History((*history).into()),
            Found::Opinions(opinions) => Evidence::Opinions(opinions.into()),
            Found::Traces(traces) => Evidence::Traces((*traces).into()),
            Found::Names => Evidence::Names(Names::stand_in()),
            Found::Revealed(tokens) => {
                let tokens = tokens.iter().flat_map(|token| bartizan_pseudonym::find(token));
                Evidence::Revealed(tokens.map(|(_, token)| token).collect())
            }
            Found::Given(places) => Evidence::Given(places.into()),
            Found::Standing(numbers) => Evidence::Standing(numbers.into()),
            Found::Told(values) => {
                let held = values.into_iter().filter_map(|(name, value)| {
                    let (_, token) = bartizan_pseudonym::find(&name).into_iter().next()?;
                    Some(Pseudonym::of(token, value.into()))
                });
                Evidence::Told(Told::of(held.collect())?.into())
            }
            Found::Task { theirs, tool } => handed_out(HandedOut::Task, theirs, tool),
            Found::State { theirs, tool } => handed_out(HandedOut::State, theirs, tool),
        })
    }
}

impl From<RateScope> for Scoped {
    fn from(scope: RateScope) -> Self {
        match scope {
            RateScope::Principal => Scoped::Principal,
            RateScope::Server => Scoped::Server,
            RateScope::Tool => Scoped::Tool,
        }
    }
}

impl From<Scoped> for RateScope {
    fn from(scope: Scoped) -> Self {
        match scope {
            Scoped::Principal => RateScope::Principal,
            Scoped::Server => RateScope::Server,
            Scoped::Tool => RateScope::Tool,
        }
    }
}
