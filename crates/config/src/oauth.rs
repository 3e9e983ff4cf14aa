//! Who issues access tokens that let clients in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_policy::{Scope, Scopes};
use http::Uri;
use http::uri::Scheme;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::problems::Problems;
use crate::secret::Secret;
use crate::servers::{METADATA, is_loopback, is_metadata};
use crate::tls::{self, ServerTls};
use crate::tree::{self, Node};
use crate::units::Span;

/// Who issues access tokens that let clients in (OAuth 2.1), such as an identity provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["issuer"]))]
pub(crate) struct OauthTable {
    /// Its identifier, to the letter as tokens have it in `iss`: an `https://` URL, or `http://` on this machine.
    issuer: String,
    /// Where its keys are; what its metadata say unless set.
    jwks_uri: Option<String>,
    /// The authorities that may have signed its certificate, as PEM; those that the system trusts unless set.
    ca: Option<PathBuf>,
    /// What tokens are for (`aud`), instead of the address that a client has asked, `PUBLIC_URL/mcp` or `PUBLIC_URL/mcp/NAME`.
    audience: Vec<String>,
    /// What its principals are called.
    names: PrincipalNames,
    /// Whether tokens that are not declared as access tokens (`typ`) are good as well: those of providers that do not
    /// follow RFC 9068.
    untyped: bool,
    /// By how much its clock may differ.
    leeway: Span,
    /// What it says (`acr`) of whoever has signed in with a second factor. Without any, the methods that it names (`amr`) tell.
    acr_values: Vec<String>,
    /// Whether clients have to prove that they have the key that a token is bound to (RFC 9449). One that is bound to a key
    /// is never good without.
    dpop: Dpop,
    /// Whether such a proof has to hold a number that this gateway has given out within the last minutes.
    dpop_nonce: bool,
    /// After how long its keys are fetched again.
    keys_refresh: Span,
    /// How long keys are good while they cannot be fetched again.
    keys_keep: Span,
    /// What its scopes are good for here, by their names; those that are called as scopes are here mean that already.
    scopes: BTreeMap<String, Vec<String>>,
    /// What a token is good for that has no scope of any meaning here.
    default_scopes: Vec<String>,
    /// Where in a token who it is and what they are stands.
    claims: ClaimsTable,
    /// Where it is asked about tokens that are not signed (RFC 7662).
    introspection: Option<IntrospectionTable>,
}

impl Default for OauthTable {
    fn default() -> Self {
        OauthTable {
            issuer: String::new(),
            jwks_uri: None,
            ca: None,
            audience: Vec::new(),
            names: PrincipalNames::default(),
            untyped: false,
            leeway: Span::seconds(60),
            acr_values: Vec::new(),
            dpop: Dpop::default(),
            dpop_nonce: false,
            keys_refresh: Span::seconds(10 * 60),
            keys_keep: Span::seconds(24 * 60 * 60),
            scopes: BTreeMap::new(),
            default_scopes: Vec::new(),
            claims: ClaimsTable::default(),
            introspection: None,
        }
    }
}

/// What principals of an issuer are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalNames {
    /// `NAME:` and what the token says, so that no other issuer and no key can mean the same.
    #[default]
    Prefixed,
    /// What the token says, which is trusted to be who is called so elsewhere in this file and by `bartizan key`.
    Plain,
}

/// Whether tokens have to be bound to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dpop {
    /// Those that are not are good for whoever has them.
    #[default]
    Optional,
    /// No other is good.
    Required,
}

/// Where in a token something stands: the name of a claim, or a list of names that lead into one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ClaimsTable {
    /// Who it is.
    principal: Claim,
    /// The groups they are in.
    groups: Option<Claim>,
    /// The roles they have.
    roles: Option<Claim>,
    /// The tenant they are of.
    tenant: Option<Claim>,
    /// What the token is good for: words with spaces between, or a list.
    scope: Claim,
}

impl Default for ClaimsTable {
    fn default() -> Self {
        let claim = |name: &str| Claim(vec![name.to_owned()]);
        ClaimsTable { principal: claim("sub"), groups: None, roles: None, tenant: None, scope: claim("scope") }
    }
}

/// The name of a claim, or a list of names that lead into one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim(Vec<String>);

impl JsonSchema for Claim {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Claim".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = json_schema!({"type": "string", "minLength": 1});
        json_schema!({"anyOf": [text, {"type": "array", "minItems": 1, "items": text}]})
    }
}

impl<'de> Deserialize<'de> for Claim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By hand, as an untagged enum would forget where in the file an error is.
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Claim;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a claim, or a list of names that lead into one")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Claim, E> {
                Ok(Claim(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Claim, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Claim(names))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Where an issuer is asked about tokens that are not signed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["url", "client_id", "client_secret"]))]
struct IntrospectionTable {
    /// The address: `https://`, or `http://` on this machine.
    url: String,
    /// As whom the gateway asks.
    client_id: String,
    /// The secret it shows for that. A value `file:PATH` is read from that file.
    client_secret: Secret,
    /// How long an answer counts; a token that is revoked is good that long.
    cache: Span,
}

impl Default for IntrospectionTable {
    fn default() -> Self {
        let client_secret = Secret::new("");
        IntrospectionTable { url: String::new(), client_id: String::new(), client_secret, cache: Span::seconds(10) }
    }
}

/// Who issues access tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// What it is called here, which its principals are called after.
    pub name: String,
    /// Its identifier, to the letter.
    pub issuer: String,
    /// Where its keys are, if its metadata are not to say so.
    pub jwks_uri: Option<String>,
    /// How it is reached over TLS, if not as everybody is.
    pub tls: Option<ServerTls>,
    /// What tokens are for, if not for the address that was asked.
    pub audience: Vec<String>,
    /// Whether its principals are called without its name.
    pub names: PrincipalNames,
    /// Whether tokens may be of no declared kind.
    pub untyped: bool,
    /// By how much its clock may differ.
    pub leeway: Duration,
    /// What it says of whoever has signed in with a second factor; without any, the methods tell.
    pub acr_values: Vec<String>,
    /// Whether tokens have to be bound to a key.
    pub dpop: Dpop,
    /// Whether proofs of that need a nonce.
    pub dpop_nonce: bool,
    /// After how long its keys are fetched again.
    pub keys_refresh: Duration,
    /// How long keys are good while they cannot be.
    pub keys_keep: Duration,
    /// What its scopes are good for, by their names.
    pub scopes: BTreeMap<String, Scopes>,
    /// What a token is good for that has none of any meaning.
    pub default_scopes: Scopes,
    /// Where in a token things stand.
    pub claims: Claims,
    /// Where it is asked about tokens that are not signed.
    pub introspection: Option<Introspection>,
}

/// Where in a token things stand: each by the names that lead there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who it is.
    pub principal: Vec<String>,
    /// Their groups.
    pub groups: Option<Vec<String>>,
    /// Their roles.
    pub roles: Option<Vec<String>>,
    /// Their tenant.
    pub tenant: Option<Vec<String>>,
    /// What it is good for.
    pub scope: Vec<String>,
}

/// Where an issuer is asked about tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspection {
    /// The address.
    pub url: String,
    /// As whom.
    pub client_id: String,
    /// With which secret.
    pub client_secret: Secret,
    /// How long an answer counts.
    pub cache: Duration,
}

/// Names that principals begin with who come in another way.
const TAKEN: [&str; 5] = ["cert", "uid", "local", "anonymous", "certificate"];
/// Clocks that differ by more are not set.
const MOST_LEEWAY: Duration = Duration::from_secs(300);
/// A revoked token should not be good for longer.
const MOST_CACHE: Duration = Duration::from_secs(300);

/// The issuers of `[auth.oauth.NAME]`.
pub(crate) fn issuers(
    tables: &BTreeMap<String, OauthTable>,
    (root, directory): (&Node<'_>, &Path),
    problems: &mut Problems,
) -> Vec<Issuer> {
    let issuers: Vec<_> =
        tables.iter().filter_map(|(name, table)| Reading { name, root, directory, problems }.issuer(table)).collect();
    let mut asked = None;
    for (index, issuer) in issuers.iter().enumerate() {
        let others = issuers.get(..index).unwrap_or_default();
        if let Some(other) = others.iter().find(|other| other.issuer == issuer.issuer) {
            let place = tree::place(root, &["auth", "oauth", &issuer.name, "issuer"]);
            problems.error(place, format!("[auth.oauth.{}] has the same issuer", other.name));
        }
        if issuer.introspection.is_some()
            && let Some(first) = asked.replace(&issuer.name)
        {
            let place = tree::key_place(root, &["auth", "oauth", &issuer.name, "introspection"]);
            problems
                .error(place, format!("[auth.oauth.{first}] is asked about tokens that are not signed already"))
                .help("an opaque token does not say whose it is, and nobody is to be shown the tokens of others");
        }
    }
    issuers
}

struct Reading<'a, 'p> {
    name: &'a str,
    root: &'a Node<'a>,
    directory: &'a Path,
    problems: &'p mut Problems,
}

impl Reading<'_, '_> {
    fn error(&mut self, path: &[&str], why: impl Into<String>, help: &str) {
        let path: Vec<_> = ["auth", "oauth", self.name].into_iter().chain(path.iter().copied()).collect();
        let place = tree::place(self.root, &path);
        self.problems.error(place, why).help(help);
    }

    fn issuer(&mut self, table: &OauthTable) -> Option<Issuer> {
        self.name();
        if table.issuer.is_empty() {
            if !self.problems.is_broken(&["auth", "oauth", self.name, "issuer"]) {
                self.error(&["issuer"], format!("[auth.oauth.{}] needs `issuer`", self.name), ISSUER);
            }
            return None;
        }
        self.url(&["issuer"], &table.issuer, true);
        if let Some(uri) = &table.jwks_uri {
            self.url(&["jwks_uri"], uri, false);
        }
        let in_the_clear = table.issuer.starts_with("http://");
        if table.ca.is_some() && in_the_clear {
            self.error(&["ca"], "an issuer without https:// shows no certificate", "leave `ca` out");
        }
        for (index, audience) in table.audience.iter().enumerate() {
            if audience.is_empty() {
                self.error(&["audience", &index.to_string()], "an empty text is no audience", "such as api://mcp");
            }
        }
        // They stand in a header, with spaces between.
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        for (index, value) in table.acr_values.iter().enumerate() {
            if !(1..=200).contains(&value.len()) || !value.bytes().all(plain) {
                self.error(
                    &["acr_values", &index.to_string()],
                    "not a value of `acr`",
                    "1 to 200 visible characters of ASCII without quotation marks and spaces",
                );
            }
        }
        self.at_most(&["leeway"], table.leeway, MOST_LEEWAY);
        if table.keys_keep.0 < table.keys_refresh.0 {
            self.error(&["keys_keep"], "keys would be good for less long than until they are fetched again", "24h");
        }
        let scopes = table.scopes.iter().map(|(name, list)| (name.clone(), self.scopes(&["scopes", name], list)));
        let scopes = scopes.collect();
        let default_scopes = self.scopes(&["default_scopes"], &table.default_scopes);
        Some(Issuer {
            name: self.name.to_owned(),
            issuer: table.issuer.clone(),
            jwks_uri: table.jwks_uri.clone(),
            tls: tls::of_authority(
                table.ca.as_deref(),
                &["auth", "oauth", self.name],
                (self.root, self.directory),
                self.problems,
            ),
            audience: table.audience.clone(),
            names: table.names,
            untyped: table.untyped,
            leeway: table.leeway.0,
            acr_values: table.acr_values.clone(),
            dpop: table.dpop,
            dpop_nonce: table.dpop_nonce,
            keys_refresh: table.keys_refresh.0,
            keys_keep: table.keys_keep.0,
            scopes,
            default_scopes,
            claims: self.claims(&table.claims),
            introspection: table.introspection.as_ref().and_then(|table| self.introspection(table)),
        })
    }

    fn name(&mut self) {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=24).contains(&self.name.len()) && self.name.bytes().all(plain);
        if !fits || TAKEN.contains(&self.name) {
            self.error(
                &[],
                format!("`{}` is no name for an issuer", self.name),
                "use 1 to 24 of a-z, 0-9 and -, and none of the names of other principals (`cert`, `uid`)",
            );
        }
    }

    fn url(&mut self, path: &[&str], text: &str, is_identifier: bool) {
        let uri = text.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
        let plain = |uri: &Uri| {
            let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
            !authority.contains('@') && !text.contains('#') && (uri.query().is_none() || !is_identifier)
        };
        let Some(uri) = uri.filter(plain) else {
            return self.error(path, "not a URL that this can be", ISSUER);
        };
        if is_metadata(&uri) {
            return self.error(path, METADATA, ISSUER);
        }
        if uri.scheme() == Some(&Scheme::HTTPS) && !tls::HAS_TLS {
            return self.error(
                path,
                "this bartizan is built without TLS and cannot reach https://",
                "use one that is built with the feature `tls`, as released ones are",
            );
        }
        let local = uri.scheme() == Some(&Scheme::HTTP) && is_loopback(uri.host().unwrap_or_default());
        if uri.scheme() != Some(&Scheme::HTTPS) && !local {
            self.error(
                path,
                "whoever is on the way could say what they like",
                "only https:// will do, or http:// on this machine",
            );
        }
    }

    fn at_most(&mut self, path: &[&str], span: Span, most: Duration) {
        if span.0 > most {
            let key = path.last().copied().unwrap_or_default();
            self.error(path, format!("`{key}` is {} seconds at most", most.as_secs()), "");
        }
    }

    fn scopes(&mut self, path: &[&str], list: &[String]) -> Scopes {
        let mut found = Vec::new();
        for (index, text) in list.iter().enumerate() {
            match Scope::parse(text) {
                Ok(scope) => found.push(scope),
                Err(why) => {
                    let number = index.to_string();
                    let path: Vec<_> = path.iter().copied().chain([&*number]).collect();
                    self.error(&path, why.to_string(), "");
                }
            }
        }
        Scopes::of(found)
    }

    fn claims(&mut self, table: &ClaimsTable) -> Claims {
        let mut read = |key: &str, claim: &Claim| {
            if claim.0.is_empty() || claim.0.iter().any(String::is_empty) {
                self.error(
                    &["claims", key],
                    "an empty text is no claim",
                    "such as \"groups\", or [\"realm_access\", \"roles\"]",
                );
            }
            claim.0.clone()
        };
        let principal = read("principal", &table.principal);
        let scope = read("scope", &table.scope);
        let mut maybe = |key: &str, claim: Option<&Claim>| claim.map(|claim| read(key, claim));
        Claims {
            groups: maybe("groups", table.groups.as_ref()),
            roles: maybe("roles", table.roles.as_ref()),
            tenant: maybe("tenant", table.tenant.as_ref()),
            principal,
            scope,
        }
    }

    fn introspection(&mut self, table: &IntrospectionTable) -> Option<Introspection> {
        let needed = [
            ("url", table.url.is_empty()),
            ("client_id", table.client_id.is_empty()),
            ("client_secret", table.client_secret.expose().is_empty()),
        ];
        for (key, _) in needed.into_iter().filter(|(_, is_missing)| *is_missing) {
            if !self.problems.is_broken(&["auth", "oauth", self.name, "introspection", key]) {
                self.error(
                    &["introspection"],
                    format!("`introspection` needs `{key}`"),
                    "introspection = { url = \"https://…\", client_id = \"…\", client_secret = \"file:PATH\" }",
                );
            }
        }
        if needed.iter().any(|(_, is_missing)| *is_missing) {
            return None;
        }
        self.url(&["introspection", "url"], &table.url, false);
        self.at_most(&["introspection", "cache"], table.cache, MOST_CACHE);
        Some(Introspection {
            url: table.url.clone(),
            client_id: table.client_id.clone(),
            client_secret: table.client_secret.clone(),
            cache: table.cache.0,
        })
    }
}

const ISSUER: &str = "such as https://idp.example.com, as tokens have it in `iss`";

impl Issuer {
    /// One with that identifier of which nothing more is said, and that is trusted to call people what they are called here.
    #[must_use]
    pub fn trusted(name: &str, issuer: &str) -> Issuer {
        let claim = |name: &str| vec![name.to_owned()];
        let of = OauthTable::default();
        Issuer {
            name: name.to_owned(),
            issuer: issuer.to_owned(),
            jwks_uri: None,
            tls: None,
            audience: Vec::new(),
            names: PrincipalNames::Plain,
            untyped: false,
            leeway: Duration::ZERO,
            acr_values: Vec::new(),
            dpop: Dpop::Optional,
            dpop_nonce: false,
            keys_refresh: of.keys_refresh.0,
            keys_keep: of.keys_keep.0,
            scopes: BTreeMap::new(),
            default_scopes: Scopes::of([]),
            claims: Claims { principal: claim("sub"), groups: None, roles: None, tenant: None, scope: claim("scope") },
            introspection: None,
        }
    }
}
