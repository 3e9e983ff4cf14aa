//! The rules of the guard, and which of them a secret comes under.

use bartizan_detect::secrets::{self, Found, Group, Sure};
use bartizan_mcp::PartKind;

use super::super::RuleSpec;
use crate::{Action, Severity};

/// Defaults of what only a secret looks like.
const SURE: &[(PartKind, Action)] = &[
    (PartKind::ToolDefinition, Action::Deny),
    (PartKind::PromptDefinition, Action::Deny),
    (PartKind::ResourceDefinition, Action::Deny),
    (PartKind::Instructions, Action::Deny),
    (PartKind::Argument, Action::Deny),
    // Names and URIs are looked up: rewritten they would be others.
    (PartKind::Other, Action::Deny),
    (PartKind::Metadata, Action::Observe),
];

/// Defaults of private keys: no program hands one over beside a message.
const KEYS: &[(PartKind, Action)] = &[
    (PartKind::ToolDefinition, Action::Deny),
    (PartKind::PromptDefinition, Action::Deny),
    (PartKind::ResourceDefinition, Action::Deny),
    (PartKind::Instructions, Action::Deny),
    (PartKind::Argument, Action::Deny),
    (PartKind::Other, Action::Deny),
];

/// Defaults of signed tokens, which servers use as cursors and states too.
const SIGNED: &[(PartKind, Action)] = &[
    (PartKind::ToolDefinition, Action::Deny),
    (PartKind::PromptDefinition, Action::Deny),
    (PartKind::ResourceDefinition, Action::Deny),
    (PartKind::Instructions, Action::Deny),
    (PartKind::Argument, Action::Deny),
    (PartKind::Other, Action::Observe),
    (PartKind::Metadata, Action::Observe),
];

static PRIVATE_KEY: RuleSpec =
    RuleSpec::new("secrets.private_key", Severity::Critical, Action::Redact, "The text holds a private key.")
        .in_kinds(KEYS);

pub(super) static TOKEN: RuleSpec = RuleSpec::new(
    "secrets.token",
    Severity::High,
    Action::Redact,
    "The text holds a key or a token that its issuer's form tells; each form can be set by its own name.",
)
.in_kinds(SURE)
.holds_others();

/// The same of what opens everything that somebody has there; a rule has one id and one action, whatever its severity.
static CRITICAL_TOKEN: RuleSpec = RuleSpec { severity: Severity::Critical, ..copy(&TOKEN) };

static JWT: RuleSpec =
    RuleSpec::new("secrets.jwt", Severity::High, Action::Redact, "The text holds a signed token (JWT).")
        .in_kinds(SIGNED);

static CONNECTION: RuleSpec = RuleSpec::new(
    "secrets.connection_string",
    Severity::High,
    Action::Redact,
    "The text holds the password of a connection string or a URL.",
)
.in_kinds(SURE);

static AUTHORIZATION: RuleSpec = RuleSpec::new(
    "secrets.authorization",
    Severity::High,
    Action::Redact,
    "The text holds what a request shows to say who asks.",
)
.in_kinds(SURE);

static CREDENTIAL: RuleSpec = RuleSpec::new(
    "secrets.credential",
    Severity::Medium,
    Action::Observe,
    "A value that looks like no word is called a password, a key or a token.",
);

pub(super) static GIVEN: RuleSpec = RuleSpec::new(
    "secrets.given",
    Severity::Low,
    Action::Observe,
    "A secret is handed to a parameter that asks for one by its name.",
);

static UNVERIFIED: RuleSpec = RuleSpec::new(
    "secrets.unverified",
    Severity::Low,
    Action::Observe,
    "What looks like a token has a wrong checksum: an example, or not all of it.",
);

pub(super) static SPLIT: RuleSpec = RuleSpec::new(
    "secrets.split",
    Severity::Critical,
    Action::Redact,
    "Neighbouring texts are a secret if they are put together.",
)
.in_kinds(KEYS);

static CUSTOM: RuleSpec = RuleSpec::new(
    "secrets.custom",
    Severity::High,
    Action::Redact,
    "The text holds a secret of a format of the operator's own file.",
)
.in_kinds(SURE)
.holds_others();

static CUSTOM_BY_SEVERITY: [(secrets::Severity, RuleSpec); 2] = [
    (secrets::Severity::Medium, RuleSpec { severity: Severity::Medium, ..copy(&CUSTOM) }),
    (secrets::Severity::Critical, RuleSpec { severity: Severity::Critical, ..copy(&CUSTOM) }),
];

/// Every rule of the guard.
pub(super) static ALL: [RuleSpec; 10] = [
    copy(&PRIVATE_KEY),
    copy(&TOKEN),
    copy(&JWT),
    copy(&CONNECTION),
    copy(&AUTHORIZATION),
    copy(&CREDENTIAL),
    copy(&GIVEN),
    copy(&UNVERIFIED),
    copy(&SPLIT),
    copy(&CUSTOM),
];

const fn copy(spec: &RuleSpec) -> RuleSpec {
    RuleSpec { ..*spec }
}

/// The rule that a secret comes under; `is_given` if a parameter asks for one where it stands.
pub(super) fn of(found: &Found<'_>, is_given: bool) -> &'static RuleSpec {
    let format = found.format;
    match format.group {
        _ if found.sure == Sure::Doubtful => &UNVERIFIED,
        Group::PrivateKey => &PRIVATE_KEY,
        Group::Credential => &CREDENTIAL,
        _ if is_given => &GIVEN,
        _ if format.is_own => {
            let as_said = CUSTOM_BY_SEVERITY.iter().find(|(held, _)| *held == format.severity);
            as_said.map_or(&CUSTOM, |(_, rule)| rule)
        }
        Group::Token if format.severity == secrets::Severity::Critical => &CRITICAL_TOKEN,
        Group::Token => &TOKEN,
        Group::Jwt => &JWT,
        Group::ConnectionString => &CONNECTION,
        Group::Authorization => &AUTHORIZATION,
    }
}
