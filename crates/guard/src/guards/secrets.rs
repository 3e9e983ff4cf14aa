//! **Threat.** A secret goes where it should not: a model that has read an `.env` file, or that was talked into it, hands a
//! token to a tool of somebody else's server; a server brings a private key into the context, from where it ends up in
//! answers, logs and the next tool's arguments; the author of a server left a key in a definition that everybody is shown.
//!
//! Texts are held against the formats of some two hundred secrets, also where they are encoded (`bartizan_detect`), and short
//! neighbours of one message are put together, so that a secret in pieces is found as well. What happens depends on
//! how sure it is and where it stands.
//!
//! - In **arguments**, what looks as only a secret does is denied: rewritten, a call would be another one than was meant, and what
//!   was sent cannot be taken back. A parameter of the tool that asks for such a thing by its name (`password`, `token`) is what
//!   logging in somewhere needs, so that it is recorded (`secrets.given`). Who wants to know no server that asks denies that
//!   rule. Private keys are denied there too: hardly any tool has a use for one.
//! - In **what servers bring**, it is taken out, and a note stands in its place: the rest is what was asked for. What cannot do
//!   without it is refused.
//! - **Definitions** with a secret are withheld: it is the server's own, and everybody would see it.
//! - A value that nothing but its **name** tells (`api_key = "…"`) is recorded. Code and tests are full of such lines, and a file that is read,
//!   changed and written back would lose them.
//! - What a client says in `_meta` is between programs: no model writes it, and some hand over credentials there. Tokens of a
//!   server in cursors and states come back to it as they were. Both are recorded only.
//!
//! A finding says what kind of secret it is and where it stands, and nothing of it. Those that an operator knows are let through by a keyed
//! digest, so that the list of them is none of secrets.

mod rules;
mod split;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bartizan_detect::decode::Views;
pub use bartizan_detect::rules::Problem as FormatsProblem;
use bartizan_detect::secrets::{Format, Found, Group, Scanner, Sure};
use bartizan_mcp::{NodeId, Part, PartKind, Value, method};
use schemars::JsonSchema;
use serde::Deserialize;

use super::hidden_text::name_of;
use super::{Guard, GuardSpec, LooksAt, RuleSpec};
use crate::lately::{self, Key, Lately};
use crate::{Action, Confidence, Direction, Event, Finding, Report, Session, note};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "secrets",
    threat: "A key, a token or a password goes to a server that it is not for, or comes into the context.",
    rules: &rules::ALL,
    actions: &[Action::Observe, Action::Redact, Action::Approve, Action::Deny],
    skips: &[],
    looks_at: LooksAt::Texts("btz_Q7rT2mXw9ZpL_k4Nv8Bq3Hs6Yd1Fg5Jc0Rt7Wm2Xz9Pl4Ka8Ue3So6Vi1RKwy7"),
    sees_edited: true,
    raises: &[],
    options: || schemars::schema_for!(Options),
    build: |options, _| Ok(Box::new(Options::deserialize(options)?.guard()?)),
};

/// Its own options.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Digests of secrets that may pass, of 64 hexadecimal digits each (`bartizan secret digest` prints them). Whoever
    /// reads them learns nothing of the secrets as long as they do not know `allow_key`.
    allow: Vec<String>,
    /// What the digests are made with, of at least 16 characters: `${NAME}`, `file:PATH` and `keyring:NAME` take it from elsewhere.
    allow_key: Option<String>,
    /// A TOML file with further formats, beside the configuration (`docs/src/secrets.md` says how they are written). What they
    /// find comes under `secrets.custom`, and each can be set and excepted by its own name (`secrets.custom.NAME`). The file is
    /// read with the configuration, also anew.
    formats_file: Option<String>,
}

/// The shortest key of digests.
pub const SHORTEST_ALLOW_KEY: usize = 16;

impl Options {
    fn guard(self) -> Result<Secrets, serde_json::Error> {
        use serde::de::Error;
        // What is here is no path any more: whoever reads the configuration has put the content in its place.
        let scanner = match self.formats_file {
            Some(formats) => Arc::new(Scanner::with_extra(&formats).map_err(Error::custom)?),
            None => Scanner::built_in(),
        };
        let is_digest = |digest: &String| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !self.allow.iter().all(is_digest) {
            return Err(Error::custom("an entry of `allow` is no digest of 64 hexadecimal digits"));
        }
        let key = self.allow_key.as_deref().filter(|key| key.len() >= SHORTEST_ALLOW_KEY);
        if key.is_none() && (self.allow_key.is_some() || !self.allow.is_empty()) {
            return Err(Error::custom(format!(
                "`allow` needs an `allow_key` of at least {SHORTEST_ALLOW_KEY} characters"
            )));
        }
        let digests = self.allow.iter().map(|digest| digest.to_ascii_lowercase()).collect::<BTreeSet<_>>();
        let allowed = key.filter(|_| !digests.is_empty()).map(|key| Allowed { key: key_of(key), digests });
        Ok(Secrets { scanner, allowed, clean: Lately::default() })
    }
}

/// The ids by which settings name single formats: those that are built in, and those of an operator's file.
///
/// # Errors
/// What is wrong with the file, and where.
pub fn own_formats(toml: Option<&str>) -> Result<Vec<String>, FormatsProblem> {
    let scanner = match toml {
        Some(toml) => Arc::new(Scanner::with_extra(toml)?),
        None => Scanner::built_in(),
    };
    Ok(scanner.formats().iter().filter_map(own_id).collect())
}

/// The digest of a secret by which `allow` lets it pass.
#[must_use]
pub fn digest(key: &str, secret: &str) -> String {
    blake3::keyed_hash(&key_of(key), secret.as_bytes()).to_hex().to_string()
}

/// Whether one of the formats that are built in tells the whole text, wherever it stands; else nothing or only a piece of it is found, or
/// it takes the name of what it is the value of.
#[must_use]
pub fn is_told(secret: &str) -> bool {
    let scanner = Scanner::built_in();
    let found = scanner.look(secret, &Views::of(secret), |_| false);
    found.iter().any(|found| found.span.start == 0 && found.span.end == secret.len())
}

/// Whether something in a value is told to be a secret, by its form or by the name that the value has.
#[must_use]
pub fn is_in_value_of(name: &str, value: &str) -> bool {
    let text = format!("{name}={value}");
    Scanner::built_in().look(&text, &Views::of(&text), |_| false).iter().any(|found| found.span.end > name.len() + 1)
}

fn key_of(key: &str) -> [u8; 32] {
    blake3::derive_key("bartizan 2026 guard secrets allow", key.as_bytes())
}

/// What settings call a format that they can name by itself.
fn own_id(format: &Format) -> Option<String> {
    match format.group {
        _ if format.is_own => Some(format!("{}.{}", SPEC.name, format.id)),
        Group::Token => Some(format!("{}.{}", rules::TOKEN.id, format.id)),
        _ => None,
    }
}

/// The secrets that an operator lets pass.
struct Allowed {
    key: [u8; 32],
    digests: BTreeSet<String>,
}

impl Allowed {
    fn holds(&self, secret: &str) -> bool {
        self.digests.contains(blake3::keyed_hash(&self.key, secret.as_bytes()).to_hex().as_str())
    }
}

struct Secrets {
    scanner: Arc<Scanner>,
    allowed: Option<Allowed>,
    /// Texts in which there was none.
    clean: Lately<()>,
}

/// Shorter texts hold no secret that could be told.
const SHORTEST: usize = 12;
/// Shorter texts are looked at sooner than they are looked up.
const REMEMBERED: usize = 64;

/// Secrets of one kind in a text: the rule that they come under, and each of them.
type OfKind<'s> = (&'static RuleSpec, Vec<Found<'s>>);

/// Where secrets were found, by text.
type Told = BTreeMap<NodeId, Vec<Range<usize>>>;

impl Guard for Secrets {
    fn inspect(&self, event: &Event<'_>, _: &Session, report: &mut Report) {
        let given = given(event);
        let mut told = Told::new();
        for part in event.message.parts() {
            // With its quotes and escapes it is no shorter than without.
            if part.value.raw().len() >= SHORTEST {
                self.look(event, &part, given.contains(&part.id()), &mut told, report);
            }
        }
        split::report(self, event, told, report);
    }
}

impl Secrets {
    /// One text: a finding for each kind of secret in it.
    fn look(&self, event: &Event<'_>, part: &Part<'_>, is_given: bool, told: &mut Told, report: &mut Report) {
        let text = part.text();
        let mut kinds: BTreeMap<(&str, Option<String>), OfKind<'_>> = BTreeMap::new();
        for found in self.find(&text, part) {
            told.entry(part.id()).or_default().push(found.span.clone());
            let rule = rules::of(&found, is_given);
            let own = own_id(found.format).filter(|_| rule.holds_others);
            kinds.entry((rule.id, own)).or_insert_with(|| (rule, Vec::new())).1.push(found);
        }
        for ((_, own), (rule, found)) in kinds {
            let Some(first) = found.first() else { continue };
            let others = found.iter().skip(1).map(|found| found.span.clone()).collect();
            let mut finding = Finding::within(rule, part, first.span.clone(), says(rule, &found))
                .and_within(others)
                .by_own(own.as_deref());
            finding.confidence = confidence(found.iter().map(|found| found.sure).max().unwrap_or(Sure::Doubtful));
            finding.replacement = Some(note::of(own.as_deref().unwrap_or(rule.id)).into());
            report.find(placed(event, part, finding));
        }
    }

    fn find(&self, text: &str, part: &Part<'_>) -> Vec<Found<'_>> {
        let key: Option<Key> = (text.len() >= REMEMBERED).then(|| lately::key(part.digest(), SPEC.name));
        if key.as_ref().is_some_and(|key| self.clean.get(key).is_some()) {
            return Vec::new();
        }
        let found = self.scanner.look(text, &Views::of(text), |secret| self.is_allowed(secret));
        if let Some(key) = key.filter(|_| found.is_empty()) {
            self.clean.put(key, ());
        }
        found
    }

    fn is_allowed(&self, secret: &str) -> bool {
        self.allowed.as_ref().is_some_and(|allowed| allowed.holds(secret))
    }
}

/// What is said of secrets of one kind: nothing of them.
fn says(rule: &RuleSpec, found: &[Found<'_>]) -> String {
    let Some(first) = found.first() else { return rule.summary.to_owned() };
    let by = match first.sure {
        Sure::Certain => "its checksum",
        Sure::Format => "what it looks like",
        Sure::Context => "the name that it is given",
        Sure::Doubtful => "what it looks like, but for its checksum",
    };
    let hidden = if first.how.is_empty() { "" } else { ", in an encoding" };
    let more = if found.len() > 1 { format!(", and {} more", found.len() - 1) } else { String::new() };
    format!("{} It is told by {by}: {}{hidden}{more}.", rule.summary, first.format.name)
}

fn confidence(sure: Sure) -> Confidence {
    Confidence::from_thousandths(match sure {
        Sure::Certain => 999,
        Sure::Format => 950,
        Sure::Context => 700,
        Sure::Doubtful => 300,
    })
}

/// A finding in a part that may be a key or belong to a definition.
fn placed(event: &Event<'_>, part: &Part<'_>, mut finding: Finding) -> Finding {
    if part.is_key() {
        // Without it the member would be another one.
        finding.span = None;
    }
    // What a server asks under that name is its own.
    if part.kind == PartKind::Argument && event.direction == Direction::ToClient {
        finding.kind = PartKind::Other;
    }
    match part.element.and_then(|element| name_of(event, element)) {
        Some(name) => finding.of(&name),
        None => finding,
    }
}

/// What parameters are called that ask for a secret.
const ASKS: [&str; 15] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "authkey",
    "credential",
    "authorization",
    "connectionstring",
    "dsn",
    "jwt",
];

/// The arguments of a call whose parameters ask for a secret by their names; only those of the tool itself, as what is within them
/// may be called anything.
fn given(event: &Event<'_>) -> BTreeSet<NodeId> {
    let is_call = event.direction == Direction::ToServer && event.message.method() == Some(method::TOOLS_CALL);
    let arguments = event.message.params().filter(|_| is_call).and_then(|params| params.get("arguments"));
    let members = arguments.into_iter().flat_map(Value::members);
    members.filter(|(name, _)| asks(&name.text())).map(|(_, value)| value.id()).collect()
}

fn asks(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    ASKS.iter().any(|word| plain.contains(word))
}

#[cfg(test)]
mod tests {
    use bartizan_detect::secrets::Severity;

    use super::*;

    #[test]
    fn a_parameter_asks_for_a_secret_by_its_name() {
        for name in ["password", "api_key", "apiKey", "github-token", "connection_string", "Authorization"] {
            assert!(asks(name), "{name}");
        }
        for name in ["key", "text", "path", "author", "url", "query"] {
            assert!(!asks(name), "{name}");
        }
    }

    #[test]
    fn the_list_of_what_may_pass_is_checked() {
        let build = |options: serde_json::Value| Options::deserialize(options).and_then(Options::guard).map(drop);
        let digest = digest("0123456789abcdef", "secret");
        assert_eq!(digest.len(), 64);
        assert!(build(serde_json::json!({"allow": [digest], "allow_key": "0123456789abcdef"})).is_ok());
        for (options, why) in [
            (serde_json::json!({"allow": [digest]}), "needs an `allow_key`"),
            (serde_json::json!({"allow": [digest], "allow_key": "short"}), "at least 16"),
            (serde_json::json!({"allow": ["ghp_secret"], "allow_key": "0123456789abcdef"}), "is no digest"),
            (serde_json::json!({"formats_file": "[[format]]\nid = \"x\""}), "missing field"),
        ] {
            let said = build(options).unwrap_err().to_string();
            assert!(said.contains(why) && !said.contains("ghp_secret"), "{said}");
        }
    }

    #[test]
    fn severities_are_those_of_the_formats() {
        let scanner = Scanner::built_in();
        let found = |text| scanner.look_at(text).into_iter().next().unwrap();
        let critical = found("btz_Q7rT2mXw9ZpL_k4Nv8Bq3Hs6Yd1Fg5Jc0Rt7Wm2Xz9Pl4Ka8Ue3So6Vi1RKwy7");
        assert_eq!((critical.format.severity, critical.sure), (Severity::Critical, Sure::Certain));
        assert_eq!(rules::of(&critical, false).severity, crate::Severity::Critical);
        assert_eq!(rules::of(&critical, true).id, rules::GIVEN.id);
    }
}
