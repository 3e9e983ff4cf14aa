//! Secrets that a confined program uses, and how it comes by them.

use std::collections::BTreeMap;
use std::fmt;

use bartizan_guard::guards::secrets::is_in_value_of;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::reach;
use super::{Reachable, Sandbox};
use crate::problems::Problems;
use crate::secret::Secret;
use crate::tree::Place;

/// A secret. The program has a placeholder in the variable of this name, which is replaced in requests to the host, over TLS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["value"]))]
pub(crate) struct SecretTable {
    /// The secret itself: `${NAME}`, `file:PATH` or `keyring:NAME`.
    value: Secret,
    /// The host that gets it, or a list of them, each of which `net.allow` lets the program reach.
    host: OneOrMore,
    /// The header in which it stands, or a list of them; `authorization` unless set.
    header: OneOrMore,
    /// `env` gives the program the secret itself, in the place of a placeholder.
    expose: Option<Expose>,
}

impl Default for SecretTable {
    fn default() -> Self {
        SecretTable { value: Secret::new(""), host: OneOrMore::default(), header: OneOrMore::default(), expose: None }
    }
}

/// The weaker ways to come by a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Expose {
    /// In its environment.
    Env,
}

/// A text, or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OneOrMore(Vec<String>);

impl JsonSchema for OneOrMore {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OneOrMore".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = json_schema!({"type": "string", "minLength": 1});
        json_schema!({"anyOf": [text, {"type": "array", "minItems": 1, "items": text}]})
    }
}

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By hand, as an untagged enum would forget where in the file an error is.
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = OneOrMore;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or a list of texts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMore, E> {
                Ok(OneOrMore(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMore(texts))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A secret that a program uses and never has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundSecret {
    /// The variable in which the program has a placeholder.
    pub name: String,
    /// What stands in the place of that.
    pub value: Secret,
    /// Where it does: in requests to these hosts,
    pub hosts: Vec<String>,
    /// in these headers.
    pub headers: Vec<String>,
}

/// Variables that the sandbox sets itself, or that say how a program is started.
const TAKEN: &[&str] = &[
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NODE_EXTRA_CA_CERTS",
    "NO_PROXY",
    "PATH",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The secrets of a checked table: those that stay outside, and those that the program is given.
pub(super) fn secrets(
    table: &BTreeMap<String, SecretTable>,
    reached: &[Reachable],
    place: impl Fn(&[&str]) -> Place,
    problems: &mut Problems,
) -> (Vec<BoundSecret>, BTreeMap<String, Secret>) {
    let (mut bound, mut exposed) = (Vec::new(), BTreeMap::new());
    for (name, held) in table {
        if !check(name, held, &place, problems) {
            continue;
        }
        if held.expose.is_some() {
            problems
                .warn(
                    place(&["secrets", name, "expose"]),
                    format!("the program has the secret `{name}` itself, and can give it to whoever it reaches"),
                )
                .help("bind it to a host instead: host = \"api.example.com\"");
            exposed.insert(name.clone(), held.value.clone());
            continue;
        }
        let headers = match &*held.header.0 {
            [] => vec!["authorization".to_owned()],
            headers => headers.to_vec(),
        };
        let secret = BoundSecret { name: name.clone(), value: held.value.clone(), hosts: held.host.0.clone(), headers };
        reach::check_secret(&secret, reached, &place, problems);
        bound.push(secret);
    }
    (bound, exposed)
}

/// Whether it says how the program comes by the secret, and nothing else.
fn check(name: &str, held: &SecretTable, place: impl Fn(&[&str]) -> Place, problems: &mut Problems) -> bool {
    let before = problems.errors();
    let of = |key| place(&["secrets", name, key]);
    if name.is_empty() || name.contains(['=', '\0']) || TAKEN.contains(&name) {
        problems.error(of(""), format!("`{name}` cannot be the environment variable of a secret"));
    }
    if held.value.expose().is_empty() {
        problems.error(of("value"), format!("the secret `{name}` has no value")).help(
            "value = \"${NAME}\", \"file:PATH\" or \"keyring:NAME\"; leave the secret out if the program can do without it",
        );
    } else if held.value.expose().contains('\0') {
        problems.error(of("value"), format!("the value of `{name}` holds a null character"));
    }
    match (&*held.host.0, held.expose) {
        ([], None) => {
            problems
                .error(of(""), format!("nothing says which host gets the secret `{name}`"))
                .help("host = \"api.example.com\", or expose = \"env\" to give it to the program itself");
        }
        ([_, ..], Some(_)) => {
            problems
                .error(of("expose"), format!("`{name}` is given to the program, so `host` does not bind it"))
                .help("leave one of both out");
        }
        _ => {}
    }
    if held.expose.is_some() && !held.header.0.is_empty() {
        problems.error(of("header"), format!("`{name}` is given to the program, which puts it where it likes"));
    }
    problems.errors() == before
}

/// Refuses variables that have a value twice, and warns of secrets that the program has without need.
pub(crate) fn beside(
    sandbox: &Sandbox,
    (env, pass_env): (&BTreeMap<String, Secret>, &[String]),
    place: impl Fn(&[&str]) -> Place,
    problems: &mut Problems,
) {
    let names = sandbox.secrets.iter().map(|secret| &secret.name).chain(sandbox.exposed.keys());
    for name in names {
        let twice = if env.contains_key(name) { Some("env") } else { pass_env.contains(name).then_some("pass_env") };
        if let Some(key) = twice {
            problems
                .error(
                    place(&["sandbox", "secrets", name]),
                    format!("`{name}` is in `{key}` as well, and has one value only"),
                )
                .help(format!("leave it out of `{key}`"));
        }
    }
    for (name, _) in env.iter().filter(|(name, value)| is_in_value_of(name, value.expose())) {
        problems
            .warn(place(&["env", name]), format!("`{name}` looks like a secret, and the confined program has it"))
            .help(format!(
                "sandbox.secrets.{name} = {{ value = …, host = \"api.example.com\" }} gives it a placeholder, for which the host gets the \
                 secret; with expose = \"env\" it is said that the program needs the secret itself"
            ));
    }
}
