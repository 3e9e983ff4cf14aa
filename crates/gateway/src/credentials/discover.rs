//! Which authorization server gives tokens for a server, and what it can do (RFC 9728, RFC 8414, OpenID Connect Discovery).
//!
//! **Threat.** A server, or whoever answers in its place, names an authorization server of its own, has a token for another
//! server asked for, or has the sign-in begun at one authorization server and ended at another. So the resource has to be
//! the server, and the issuer has to be what it says it is, to the letter.

use http::{Uri, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::LoginError;
use super::personal::Ways;
use crate::fetch::{self, FetchError, Form, Way, origin};

/// What the server says of itself.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Resource {
    pub(super) resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

/// What an authorization server says of itself.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Issuer {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    #[serde(default)]
    pub(super) registration_endpoint: Option<String>,
    #[serde(default)]
    pub(super) revocation_endpoint: Option<String>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(super) scopes_supported: Vec<String>,
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    pub(super) client_id_metadata_document_supported: bool,
}

impl Issuer {
    /// An endpoint that is at another origin than the issuer, where nothing in an answer would say whose it is. People could
    /// be sent to sign in at one server, and what that gives them brought to another.
    pub(super) fn elsewhere(&self) -> Option<&str> {
        if self.authorization_response_iss_parameter_supported {
            return None;
        }
        let of = |url: &str| url.parse::<Uri>().ok().map(|url| origin(&url));
        let own = of(&self.issuer);
        [Some(&self.authorization_endpoint), Some(&self.token_endpoint), self.registration_endpoint.as_ref()]
            .into_iter()
            .flatten()
            .find(|endpoint| own.is_none() || of(endpoint) != own)
            .map(String::as_str)
    }
}

/// Where to sign in, and for what.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) resource: String,
    pub(super) issuer: Issuer,
    pub(super) scopes: Vec<String>,
}

/// A message that a server answers with a challenge, if it asks for a token.
const PROBE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bartizan","version":"1"}}}"#;

/// Finds that out for the server at `url`; `wanted` is the only issuer that will do, if there is one.
pub(super) async fn discover(url: &Uri, wanted: Option<&str>, ways: &Ways) -> Result<Found, LoginError> {
    let challenge = challenge(url, &ways.server).await?;
    let resource = resource(url, challenge.metadata.as_deref(), &ways.server).await?;
    let named = &resource.authorization_servers;
    let issuer = match wanted {
        Some(wanted) if named.iter().any(|named| named == wanted) => wanted,
        Some(wanted) => return Err(LoginError::OtherIssuer(wanted.to_owned())),
        None => named.first().ok_or(LoginError::NoIssuer)?,
    };
    let issuer = self::issuer(issuer, &ways.issuer).await?;
    let scopes = match challenge.scope {
        Some(scope) => scope.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        None => resource.scopes_supported,
    };
    Ok(Found { resource: resource.resource, issuer, scopes })
}

/// What a server says that asks for a token.
#[derive(Debug, Default, PartialEq, Eq)]
struct Challenge {
    metadata: Option<String>,
    scope: Option<String>,
}

async fn challenge(url: &Uri, way: &Way) -> Result<Challenge, LoginError> {
    let answer = fetch::post(url, Form { kind: "application/json", body: PROBE, authorization: None }, way).await?;
    let values = answer.headers.get_all(header::WWW_AUTHENTICATE).iter();
    Ok(values.filter_map(|value| value.to_str().ok()).find_map(read_challenge).unwrap_or_default())
}

/// The parameters of a `Bearer` challenge.
fn read_challenge(text: &str) -> Option<Challenge> {
    let at = text.to_ascii_lowercase().find("bearer")?;
    let mut rest = text.get(at + "bearer".len()..)?;
    let mut challenge = Challenge::default();
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_start_matches([',', ' ']).trim();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find([',', ' ']).unwrap_or(after.len())),
        };
        match name {
            "resource_metadata" => challenge.metadata = Some(value.to_owned()),
            "scope" => challenge.scope = Some(value.to_owned()),
            _ => {}
        }
        rest = after;
    }
    Some(challenge)
}

async fn resource(url: &Uri, named: Option<&str>, way: &Way) -> Result<Resource, LoginError> {
    let origin = origin(url);
    let path = url.path().trim_end_matches('/');
    let places = match named {
        Some(named) => vec![named.to_owned()],
        None => {
            let at = format!("{origin}/.well-known/oauth-protected-resource");
            if path.is_empty() { vec![at] } else { vec![format!("{at}{path}"), at] }
        }
    };
    let found: Resource = first(&places, way).await?.ok_or(LoginError::NoMetadata)?;
    if covers(&found.resource, url) { Ok(found) } else { Err(LoginError::OtherResource) }
}

/// Whether a token for `resource` is meant for the server at `url`: it is that URL, or above it at the same origin.
pub(super) fn covers(resource: &str, url: &Uri) -> bool {
    let Ok(resource) = resource.parse::<Uri>() else { return false };
    let (above, path) = (resource.path().trim_end_matches('/'), url.path());
    let within = path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    origin(&resource) == origin(url) && within && resource.query().is_none()
}

async fn issuer(named: &str, way: &Way) -> Result<Issuer, LoginError> {
    let uri: Uri = named.parse().map_err(|_| FetchError::Url("the authorization server".to_owned()))?;
    fetch::check(&uri, way.reach())?;
    if uri.query().is_some() {
        return Err(FetchError::Url(fetch::shown(&uri)).into());
    }
    let (origin, path) = (origin(&uri), uri.path().trim_end_matches('/'));
    let mut places = ["oauth-authorization-server", "openid-configuration"]
        .map(|kind| format!("{origin}/.well-known/{kind}{path}"))
        .to_vec();
    if !path.is_empty() {
        places.push(format!("{origin}{path}/.well-known/openid-configuration"));
    }
    let found: Issuer = first(&places, way).await?.ok_or(LoginError::NoMetadata)?;
    if found.issuer != named {
        return Err(LoginError::WrongIssuer);
    }
    if !found.code_challenge_methods_supported.iter().any(|method| method == "S256") {
        return Err(LoginError::NoPkce);
    }
    let more = [&found.registration_endpoint, &found.revocation_endpoint];
    for endpoint in [&found.authorization_endpoint, &found.token_endpoint].into_iter().chain(more.into_iter().flatten())
    {
        let uri: Uri = endpoint.parse().map_err(|_| FetchError::Url("an endpoint".to_owned()))?;
        fetch::check(&uri, way.reach())?;
    }
    Ok(found)
}

/// The first of these documents that is there.
async fn first<T: DeserializeOwned>(places: &[String], way: &Way) -> Result<Option<T>, LoginError> {
    for place in places {
        let uri: Uri = place.parse().map_err(|_| FetchError::Url("metadata".to_owned()))?;
        let answer = fetch::get(&uri, way).await?;
        if answer.status.is_success() {
            return serde_json::from_slice(&answer.body)
                .map(Some)
                .map_err(|_| LoginError::Metadata(fetch::shown(&uri)));
        }
        if answer.status.is_redirection() {
            return Err(LoginError::Redirects(fetch::shown(&uri)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_challenge_says() {
        let of = |metadata: Option<&str>, scope: Option<&str>| {
            Some(Challenge { metadata: metadata.map(str::to_owned), scope: scope.map(str::to_owned) })
        };
        for (text, expected) in [
            ("Bearer", of(None, None)),
            (r#"Bearer resource_metadata="https://a/b""#, of(Some("https://a/b"), None)),
            (r#"bearer realm="x, y", scope="a b", resource_metadata="https://a""#, of(Some("https://a"), Some("a b"))),
            (r#"Basic realm="x", Bearer error=invalid_token, scope=a"#, of(None, Some("a"))),
            ("Basic realm=x", None),
            (r#"Bearer scope="open"#, None),
        ] {
            assert_eq!(read_challenge(text), expected, "{text}");
        }
    }

    #[test]
    fn an_issuer_that_leads_elsewhere_has_to_be_named_in_its_answers() {
        let own = "https://a.example";
        for (authorization, token, registration, expected) in [
            ("https://a.example/authorize", "https://A.example:443/token", None, None),
            ("https://a.example/authorize", "https://a.example/token", Some("https://a.example/register"), None),
            ("https://b.example/authorize", "https://a.example/token", None, Some("https://b.example/authorize")),
            ("https://a.example/authorize", "https://b.example/token", None, Some("https://b.example/token")),
            ("https://a.example/authorize", "https://a.example:8443/token", None, Some("https://a.example:8443/token")),
            ("https://a.example/a", "https://a.example/t", Some("http://a.example/r"), Some("http://a.example/r")),
        ] {
            for announced in [false, true] {
                let issuer: Issuer = serde_json::from_value(serde_json::json!({
                    "issuer": own, "authorization_endpoint": authorization, "token_endpoint": token,
                    "registration_endpoint": registration, "authorization_response_iss_parameter_supported": announced,
                }))
                .unwrap();
                let expected = if announced { None } else { expected };
                assert_eq!(issuer.elsewhere(), expected, "{authorization} {token} {registration:?}");
            }
        }
    }

    #[test]
    fn a_token_is_for_the_server_that_it_is_asked_for() {
        let url = "https://a.example/team/mcp".parse().unwrap();
        for (resource, expected) in [
            ("https://a.example/team/mcp", true),
            ("https://A.example:443/team/mcp/", true),
            ("https://a.example/team", true),
            ("https://a.example", true),
            ("https://a.example/", true),
            ("https://a.example/tea", false),
            ("https://a.example/team/mcp/more", false),
            ("https://b.example/team/mcp", false),
            ("http://a.example/team/mcp", false),
            ("https://a.example:8443/team/mcp", false),
            ("https://a.example/team?x=1", false),
            ("nonsense", false),
        ] {
            assert_eq!(covers(resource, &url), expected, "{resource}");
        }
    }
}
