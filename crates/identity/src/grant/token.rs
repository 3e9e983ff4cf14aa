//! What a client says afterwards: it redeems a code, gets the next token, or gives up what it was given (RFC 6749,
//! sections 4.1.3 and 6; RFC 7009).
//!
//! **Threat.** Somebody else has the code or the token. What is shown is good only for the client that it was given to, with
//! what only that client knows, at the place that was agreed to.

use super::authorize::resource;
use super::client::is_id;
use super::pkce::Challenge;
use super::{OAuthError, Params, Secret, SecretKind};

/// A request for a token.
#[derive(Debug)]
pub enum TokenRequest {
    /// For a code.
    Code(CodeRequest),
    /// For a refresh token.
    Refresh(RefreshRequest),
}

/// A code, and what has to come with it.
#[derive(Debug)]
pub struct CodeRequest {
    /// The client that it says it is.
    pub client_id: String,
    /// What it was given.
    pub code: Secret,
    redirect_uri: String,
    verifier: String,
    resource: Option<String>,
}

/// A refresh token, and what may come with it.
#[derive(Debug)]
pub struct RefreshRequest {
    /// The client that it says it is.
    pub client_id: String,
    /// What it was given.
    pub token: Secret,
    resource: Option<String>,
    scopes: Option<Vec<String>>,
}

/// What was agreed to when a code was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed<'a> {
    /// With which client.
    pub client_id: &'a str,
    /// Where it was sent.
    pub redirect_uri: &'a str,
    /// What its client knows more of.
    pub challenge: &'a Challenge,
    /// Where the token will be good.
    pub resource: &'a str,
}

impl TokenRequest {
    /// Reads the form of a request.
    ///
    /// # Errors
    /// If it is none that can be answered.
    pub fn read(params: &Params<'_>) -> Result<TokenRequest, OAuthError> {
        params.check_single(&["resource"])?;
        check_authentication(params)?;
        let kind = params.needed("grant_type")?;
        if !["authorization_code", "refresh_token"].contains(&kind) {
            return Err(OAuthError::new("unsupported_grant_type", "there are authorization_code and refresh_token"));
        }
        let client_id = client_id(params)?;
        let resource = resource(params)?.map(str::to_owned);
        if kind == "authorization_code" {
            let code = Secret::parse(SecretKind::Code, params.needed("code")?).map_err(|_| OAuthError::grant())?;
            let (redirect_uri, verifier) = (params.needed("redirect_uri")?, params.needed("code_verifier")?);
            let (redirect_uri, verifier) = (redirect_uri.to_owned(), verifier.to_owned());
            return Ok(TokenRequest::Code(CodeRequest { client_id, code, redirect_uri, verifier, resource }));
        }
        let token = params.needed("refresh_token")?;
        let token = Secret::parse(SecretKind::Refresh, token).map_err(|_| OAuthError::grant())?;
        let words = |text: &str| text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        let scopes = params.one("scope")?.map(words);
        Ok(TokenRequest::Refresh(RefreshRequest { client_id, token, resource, scopes }))
    }
}

impl CodeRequest {
    /// Whether it is of the client that the code was given to, and says what was agreed to.
    ///
    /// # Errors
    /// If not. Which of it is wrong is not said.
    pub fn check(&self, agreed: &Agreed<'_>) -> Result<(), OAuthError> {
        let of_client = self.client_id == agreed.client_id && self.redirect_uri == agreed.redirect_uri;
        if !(of_client && agreed.challenge.fits(&self.verifier)) {
            return Err(OAuthError::grant());
        }
        check_resource(self.resource.as_deref(), agreed.resource)
    }
}

impl RefreshRequest {
    /// Whether it is of the client that the token was given to, and asks for no more than was agreed to; what it asks for.
    ///
    /// # Errors
    /// If not.
    pub fn check(&self, client_id: &str, resource: &str, scopes: &[String]) -> Result<Vec<String>, OAuthError> {
        if self.client_id != client_id {
            return Err(OAuthError::grant());
        }
        check_resource(self.resource.as_deref(), resource)?;
        let asked = self.scopes.as_ref().map(|asked| asked.iter().filter(|scope| *scope != "offline_access"));
        let Some(asked) = asked.map(Iterator::collect::<Vec<_>>).filter(|asked| !asked.is_empty()) else {
            return Ok(scopes.to_vec());
        };
        if asked.iter().any(|scope| !scopes.contains(scope)) {
            return Err(OAuthError::scope("a refresh token gives no more than was agreed to"));
        }
        Ok(scopes.iter().filter(|scope| asked.contains(scope)).cloned().collect())
    }
}

/// What a client gives up.
#[derive(Debug)]
pub struct RevokeRequest {
    /// The client that it says it is.
    pub client_id: String,
    /// A refresh token, or else what may be an access token.
    pub token: Result<Secret, String>,
}

impl RevokeRequest {
    /// Reads the form of a request.
    ///
    /// # Errors
    /// If it is none that can be answered.
    pub fn read(params: &Params<'_>) -> Result<RevokeRequest, OAuthError> {
        params.check_single(&[])?;
        check_authentication(params)?;
        let token = params.needed("token")?;
        // What kind it is can be seen; a wrong `token_type_hint` is to make no difference.
        let token = Secret::parse(SecretKind::Refresh, token).map_err(|_| token.to_owned());
        Ok(RevokeRequest { client_id: client_id(params)?, token })
    }
}

fn client_id(params: &Params<'_>) -> Result<String, OAuthError> {
    let id = params.needed("client_id")?;
    if is_id(id) { Ok(id.to_owned()) } else { Err(OAuthError::request("client_id is none")) }
}

/// All clients are public: one that shows a secret has been given it by somebody else.
fn check_authentication(params: &Params<'_>) -> Result<(), OAuthError> {
    let shown = ["client_secret", "client_assertion", "client_assertion_type"];
    if shown.iter().any(|name| params.all(name).any(|value| !value.is_empty())) {
        return Err(OAuthError::client("clients do not authenticate here: token_endpoint_auth_method is none"));
    }
    Ok(())
}

fn check_resource(asked: Option<&str>, agreed: &str) -> Result<(), OAuthError> {
    match asked {
        Some(asked) if asked != agreed => Err(OAuthError::target("resource is not the one that was agreed to")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const HERE: &str = "https://mcp.example/mcp";

    fn secret(kind: SecretKind) -> String {
        Secret::generate(kind, |bytes| {
            bytes.fill(7);
            Ok::<_, ()>(())
        })
        .unwrap()
        .expose()
        .to_owned()
    }

    fn form(kind: &str, changes: &[(&str, &str)]) -> String {
        let (code, refresh) = (secret(SecretKind::Code), secret(SecretKind::Refresh));
        let good: &[(&str, &str)] = match kind {
            "authorization_code" => &[
                ("grant_type", kind),
                ("code", &code),
                ("redirect_uri", "https://app.example/cb"),
                ("client_id", "app"),
                ("code_verifier", VERIFIER),
                ("resource", HERE),
            ],
            _ => &[("grant_type", kind), ("refresh_token", &refresh), ("client_id", "app")],
        };
        let kept = good.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        let pairs = kept.chain(changes.iter().filter(|(_, value)| !value.is_empty()));
        let pairs = pairs.map(|(name, value)| (name.trim_start_matches('+'), *value));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }

    fn read(kind: &str, changes: &[(&str, &str)]) -> Result<TokenRequest, OAuthError> {
        let form = form(kind, changes);
        TokenRequest::read(&Params::parse(form.as_bytes()).unwrap())
    }

    #[test]
    fn forms_that_cannot_be_answered() {
        for (kind, changes, error) in [
            ("authorization_code", &[("grant_type", "")][..], "invalid_request"),
            ("authorization_code", &[("grant_type", "password")], "unsupported_grant_type"),
            ("authorization_code", &[("grant_type", "client_credentials")], "unsupported_grant_type"),
            ("authorization_code", &[("code", "")], "invalid_request"),
            ("authorization_code", &[("code", "btc_short")], "invalid_grant"),
            ("authorization_code", &[("code", &secret(SecretKind::Refresh))], "invalid_grant"),
            ("authorization_code", &[("+code", "btc_short")], "invalid_request"),
            ("authorization_code", &[("client_id", "")], "invalid_request"),
            ("authorization_code", &[("redirect_uri", "")], "invalid_request"),
            ("authorization_code", &[("code_verifier", "")], "invalid_request"),
            ("authorization_code", &[("+resource", HERE)], "invalid_target"),
            ("authorization_code", &[("client_secret", "s")], "invalid_client"),
            ("authorization_code", &[("client_assertion", "s")], "invalid_client"),
            ("refresh_token", &[("refresh_token", "")], "invalid_request"),
            ("refresh_token", &[("refresh_token", "x")], "invalid_grant"),
            ("refresh_token", &[("refresh_token", &secret(SecretKind::Code))], "invalid_grant"),
            ("refresh_token", &[("client_id", "")], "invalid_request"),
            ("refresh_token", &[("+client_id", "app")], "invalid_request"),
        ] {
            assert_eq!(read(kind, changes).unwrap_err().error, error, "{kind} {changes:?}");
        }
    }

    #[test]
    fn a_code_is_for_who_asked_for_it() {
        let challenge = Challenge::read(Some(CHALLENGE), Some("S256")).unwrap();
        let agreed =
            Agreed { client_id: "app", redirect_uri: "https://app.example/cb", challenge: &challenge, resource: HERE };
        for (changes, error) in [
            (&[][..], None),
            (&[("resource", "")], None),
            (&[("client_id", "other")], Some("invalid_grant")),
            (&[("redirect_uri", "https://app.example/cb/")], Some("invalid_grant")),
            (&[("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl")], Some("invalid_grant")),
            (&[("code_verifier", CHALLENGE)], Some("invalid_grant")),
            (&[("resource", "https://mcp.example/mcp/git")], Some("invalid_target")),
            (&[("resource", "https://other.example/mcp")], Some("invalid_target")),
        ] {
            let Ok(TokenRequest::Code(request)) = read("authorization_code", changes) else { panic!("{changes:?}") };
            assert_eq!(request.check(&agreed).err().map(|error| error.error), error, "{changes:?}");
        }
    }

    #[test]
    fn a_refresh_token_gives_no_more_than_was_agreed_to() {
        let agreed = ["server:a".to_owned(), "server:b".to_owned()];
        for (changes, expected) in [
            (&[][..], Ok(&["server:a", "server:b"][..])),
            (&[("scope", "server:b")], Ok(&["server:b"])),
            (&[("scope", "offline_access")], Ok(&["server:a", "server:b"])),
            (&[("resource", HERE)], Ok(&["server:a", "server:b"])),
            (&[("scope", "server:b mcp")], Err("invalid_scope")),
            (&[("resource", "https://mcp.example/mcp/git")], Err("invalid_target")),
            (&[("client_id", "other")], Err("invalid_grant")),
        ] {
            let Ok(TokenRequest::Refresh(request)) = read("refresh_token", changes) else { panic!("{changes:?}") };
            let found = request.check("app", HERE, &agreed).map_err(|error| error.error);
            assert_eq!(found, expected.map(|list| list.iter().map(|one| (*one).to_owned()).collect()), "{changes:?}");
        }
    }

    #[test]
    fn what_is_given_up_need_not_be_known() {
        let refresh = secret(SecretKind::Refresh);
        for (form, kind) in [
            (format!("token={refresh}&client_id=app&token_type_hint=access_token"), Ok(true)),
            ("token=e.y.J&client_id=app".to_owned(), Ok(false)),
            ("client_id=app".to_owned(), Err("invalid_request")),
            (format!("token={refresh}"), Err("invalid_request")),
            (format!("token={refresh}&token=x&client_id=app"), Err("invalid_request")),
            (format!("token={refresh}&client_id=app&client_secret=s"), Err("invalid_client")),
        ] {
            let read = RevokeRequest::read(&Params::parse(form.as_bytes()).unwrap());
            assert_eq!(read.map(|read| read.token.is_ok()).map_err(|error| error.error), kind, "{form}");
        }
    }
}
