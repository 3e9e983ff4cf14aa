//! Signing in to a server: the browser goes to its authorization server and comes back with a code, for which there are
//! tokens (OAuth 2.1 with PKCE; RFC 8707, RFC 9207, RFC 7591, RFC 8252).

use std::time::Duration;

use bartizan_config::{Http, Oauth, OauthClient, Secret};
use bartizan_store::upstream_tokens::{UpstreamToken, Whose};
use bartizan_store::{Change, Store};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use form_urlencoded::Serializer;
use http::Uri;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::LoginError;
use super::callback::Callback;
use super::discover::{Found, Issuer, covers, discover};
use super::grant::{self, Client, Grant, Proof};
use super::personal::Ways;
use crate::fetch::{self, Form, Spot, Way, origin};

/// A sign-in that has begun: somebody has to open [`Login::url`].
pub struct Login {
    found: Found,
    client: Client,
    callback: Callback,
    verifier: Zeroizing<String>,
    state: String,
    way: Way,
    url: String,
    server: String,
    principal: String,
    /// Who that is, from before anything was asked for.
    whose: Whose,
}

impl Login {
    /// Begins to sign in to the server that is called `server`, for `principal`.
    ///
    /// # Errors
    /// If it or its authorization server does not do what that takes, or is not who it should be.
    pub async fn begin(
        store: &Store,
        (server, principal): (&str, &str),
        http: &Http,
        settings: &Oauth,
    ) -> Result<Login, LoginError> {
        let whose = store.whose(principal).await?;
        let ways = Ways::of(http, settings).await;
        let mut found = discover(&http.url, settings.issuer.as_deref(), &ways).await?;
        let way = ways.issuer;
        if settings.issuer.is_none()
            && let Some(endpoint) = found.issuer.elsewhere()
        {
            let host = endpoint.parse::<Uri>().ok().map(|url| origin(&url)).unwrap_or_default();
            return Err(LoginError::Elsewhere(server.to_owned(), found.issuer.issuer, host));
        }
        if !settings.scopes.is_empty() {
            found.scopes.clone_from(&settings.scopes);
        }
        // Without it there may be nothing to renew tokens with.
        let lasting = "offline_access".to_owned();
        if found.issuer.scopes_supported.contains(&lasting) && !found.scopes.contains(&lasting) {
            found.scopes.push(lasting);
        }
        let callback = Callback::open().await?;
        let redirect = callback.url();
        let client = client(server, &found.issuer, &settings.client, &redirect, &way).await?;
        let (verifier, state) = (Zeroizing::new(random()?), random()?);
        let url = authorize(&found, &client, &redirect, (&verifier, &state))?;
        let (server, principal) = (server.to_owned(), principal.to_owned());
        Ok(Login { found, client, callback, verifier, state, way, url, server, principal, whose })
    }

    /// Where somebody has to sign in.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Who is asked for tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.found.issuer.issuer
    }

    /// Where people sign in: the host that the browser is sent to, with its port if that is not the usual one.
    #[must_use]
    pub fn host(&self) -> String {
        let at = self.url.parse::<Uri>().map(|url| origin(&url)).unwrap_or_default();
        at.split_once("://").map_or(String::new(), |(_, host)| host.to_owned())
    }

    /// What is asked for; nothing if that is left to the authorization server.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.found.scopes
    }

    /// Waits for the browser to come back, and keeps the tokens that there are for what it brings.
    ///
    /// # Errors
    /// If nobody signs in, the answer is not the right one, there are no tokens for it, or whom they are for was removed
    /// meanwhile, or is called so only since.
    pub async fn finish(self, store: &Store, patience: Duration, change: &Change) -> Result<UpstreamToken, LoginError> {
        let Login { found, client, callback, verifier, state, way, server, principal, whose, .. } = self;
        let redirect = callback.url();
        let brought = callback.wait(state, patience).await?;
        // Before anything of it is used: another issuer could have us bring it this one's code, or this one its own.
        let expected = &found.issuer.issuer;
        let said = brought.issuer.as_ref();
        if said.is_some_and(|said| said != expected)
            || said.is_none() && found.issuer.authorization_response_iss_parameter_supported
        {
            return Err(LoginError::MixedUp);
        }
        let code = brought.code.map_err(LoginError::Refused)?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &redirect),
            ("code_verifier", &verifier),
            ("resource", &found.resource),
        ];
        let tokens = grant::ask(&found.issuer.token_endpoint, &client, &fields, &way).await;
        let tokens = tokens.map_err(|error| LoginError::Tokens(error.to_string()))?;
        let mut held = UpstreamToken {
            server,
            principal,
            issuer: found.issuer.issuer,
            resource: found.resource,
            sealed: Vec::new(),
            scope: tokens.scope.clone().unwrap_or_else(|| found.scopes.join(" ")),
            obtained_at: change.at,
            expires_at: tokens.expires_at(change.at),
            renewing_at: None,
            ended_at: None,
        };
        let grant = Grant {
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            token_endpoint: found.issuer.token_endpoint,
            revocation_endpoint: found.issuer.revocation_endpoint,
            client,
            reach: Some(way.reach()),
        };
        let sealer = store.sealer().await?;
        held.sealed = grant.seal(&sealer, &held.owner()).map_err(bartizan_store::StoreError::from)?;
        if let Err(error) = store.put_upstream_token((&held, &whose), change).await {
            // Nobody has any use of them, so nobody shall: an attempt, as what is wrong is said in any case.
            grant::revoke(&grant, &way).await.ok();
            return Err(error.into());
        }
        Ok(held)
    }
}

/// Forgets tokens, and tells the authorization server that they are not needed any more, if it wants to know; whether it
/// was told. It is reached as the configuration says, if `settings` has the server still.
///
/// # Errors
/// If there are none, or they cannot be forgotten.
pub async fn logout(
    store: &Store,
    (server, principal): (&str, &str),
    settings: Option<(&Http, &Oauth)>,
    change: &Change,
) -> Result<bool, bartizan_store::StoreError> {
    let held = store.remove_upstream_token(server, principal, change).await?;
    let Ok(sealer) = store.sealer().await else { return Ok(false) };
    let Ok(grant) = Grant::unseal(&sealer, &held.owner(), &held.sealed) else { return Ok(false) };
    let Ok(url) = held.resource.parse::<Uri>() else { return Ok(false) };
    let told = grant.revocation_endpoint.is_some();
    let way = match (settings, grant.reach) {
        (Some((http, oauth)), reach) if covers(&held.resource, &http.url) => {
            let way = Ways::of(http, oauth).await.issuer;
            reach.map_or(way.clone(), |reach| way.within(reach))
        }
        (_, Some(reach)) => reach.into(),
        (_, None) => {
            let server = Spot::of(&url).await;
            Way::from(server.reach()).knowing(server)
        }
    };
    Ok(told && grant::revoke(&grant, &way).await.is_ok())
}

/// What the gateway is to that authorization server.
async fn client(
    server: &str,
    issuer: &Issuer,
    setting: &OauthClient,
    redirect: &str,
    way: &Way,
) -> Result<Client, LoginError> {
    match setting {
        OauthClient::Known(id, secret) => {
            let secret = secret.as_ref().map(Secret::expose).map(|secret| Zeroizing::new(secret.to_owned()));
            let proof = if secret.is_some() { proof(issuer) } else { Proof::None };
            Ok(Client { id: id.clone(), secret, proof })
        }
        OauthClient::Described(url) if issuer.client_id_metadata_document_supported => {
            Ok(Client { id: url.clone(), secret: None, proof: Proof::None })
        }
        _ => match &issuer.registration_endpoint {
            Some(endpoint) => register(endpoint, redirect, way).await,
            None => Err(LoginError::NoClient(server.to_owned())),
        },
    }
}

/// How a secret is shown there. Without a word about it it is in a header (RFC 8414, 2).
fn proof(issuer: &Issuer) -> Proof {
    match &issuer.token_endpoint_auth_methods_supported {
        Some(methods) if !methods.iter().any(|method| method == "client_secret_basic") => Proof::Post,
        _ => Proof::Basic,
    }
}

#[derive(Deserialize)]
struct Registered {
    client_id: String,
    #[serde(default)]
    client_secret: Option<Zeroizing<String>>,
    #[serde(default)]
    token_endpoint_auth_method: Option<String>,
}

async fn register(endpoint: &str, redirect: &str, way: &Way) -> Result<Client, LoginError> {
    let asked = json!({
        "client_name": "Bartizan",
        "application_type": "native",
        "redirect_uris": [redirect],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let uri: Uri = endpoint.parse().map_err(|_| LoginError::Metadata("the authorization server".to_owned()))?;
    let body = asked.to_string();
    let answer = fetch::post(&uri, Form { kind: "application/json", body: &body, authorization: None }, way).await?;
    if !answer.status.is_success() {
        #[derive(Deserialize)]
        struct Refused {
            error: String,
        }
        let refused = serde_json::from_slice::<Refused>(&answer.body).ok();
        let code = refused.as_ref().map_or("an error", |refused| grant::code(&refused.error));
        return Err(LoginError::Refused(format!("registration, {code}")));
    }
    let registered: Registered =
        serde_json::from_slice(&answer.body).map_err(|_| LoginError::Metadata(fetch::shown(&uri)))?;
    let proof = match (registered.token_endpoint_auth_method.as_deref(), &registered.client_secret) {
        (Some("none"), _) | (_, None) => Proof::None,
        (Some("client_secret_post"), _) => Proof::Post,
        _ => Proof::Basic,
    };
    Ok(Client { id: registered.client_id, secret: registered.client_secret, proof })
}

fn authorize(
    found: &Found,
    client: &Client,
    redirect: &str,
    (verifier, state): (&str, &str),
) -> Result<String, LoginError> {
    let endpoint = &found.issuer.authorization_endpoint;
    if endpoint.contains('#') {
        return Err(LoginError::Metadata("the authorization server".to_owned()));
    }
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let mut query = Serializer::new(String::new());
    query.extend_pairs([
        ("response_type", "code"),
        ("client_id", &client.id),
        ("redirect_uri", redirect),
        ("state", state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("resource", &found.resource),
    ]);
    if !found.scopes.is_empty() {
        query.append_pair("scope", &found.scopes.join(" "));
    }
    if found.scopes.iter().any(|scope| scope == "offline_access") {
        // OpenID Connect gives nothing lasting without asking for it.
        query.append_pair("prompt", "consent");
    }
    let separator = if endpoint.contains('?') { '&' } else { '?' };
    Ok(format!("{endpoint}{separator}{}", query.finish()))
}

/// 256 random bits, in letters that a URL takes.
fn random() -> Result<String, LoginError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| LoginError::Ours(format!("no random bytes: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}
