//! What a client says afterwards: it comes for what was agreed to, for the next token, or gives all of it up.

use std::net::IpAddr;

use bartizan_identity::grant::pkce::Challenge;
use bartizan_identity::grant::token::{Agreed, CodeRequest, RefreshRequest, RevokeRequest, TokenRequest};
use bartizan_identity::grant::{OAuthError, Params, Secret, SecretKind};
use bartizan_store::Change;
use bartizan_store::grants::{Code, Grant, NewGrant, Redeemed, Refreshed};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::{OAuth, Refused, TOKEN, answer, check_unauthenticated, is_of_type};
use crate::clock;
use crate::identity::oauth::FirstProof;
use crate::issuer::Given;
use crate::random;
use crate::web::Web;

const FORM: &str = "application/x-www-form-urlencoded";

impl Web {
    /// A client asks for tokens.
    pub(super) async fn token(
        &self,
        oauth: &OAuth,
        head: &Parts,
        body: &[u8],
        from: IpAddr,
    ) -> Result<Response<Bytes>, Refused> {
        let params = form(head, body)?;
        let proven = self.proven(oauth, head)?;
        let given = match TokenRequest::read(&params) {
            Ok(TokenRequest::Code(request)) => self.redeem(oauth, &request, proven).await,
            Ok(TokenRequest::Refresh(request)) => self.refresh(oauth, &request, proven).await,
            Err(error) => Err(error.into()),
        };
        given.map_err(|refused| self.slowed(refused, from))
    }

    /// What a client proves that wants its tokens bound to a key (RFC 9449, section 5).
    fn proven(&self, oauth: &OAuth, head: &Parts) -> Result<Option<FirstProof>, OAuthError> {
        let mut proofs = head.headers.get_all("dpop").iter();
        let proof = match (proofs.next(), proofs.next()) {
            (None, _) => return Ok(None),
            (Some(proof), None) => proof.to_str().ok(),
            _ => None,
        };
        let uri = format!("{}{TOKEN}", oauth.issuer.url());
        let tokens = self.identity.tokens();
        let proven = proof.zip(tokens).and_then(|(proof, tokens)| tokens.first_proof(proof, &uri, clock::now()).ok());
        proven.map(Some).ok_or_else(OAuthError::proof)
    }

    /// Whether a client with a code or a token for one has proven to have the key that it is bound to, if it is; that proof
    /// is used up.
    fn check_bound(&self, bound: Option<&str>, proven: Option<&FirstProof>) -> Result<(), OAuthError> {
        match (bound, proven) {
            (Some(bound), Some(proven)) if bound == proven.key => {}
            (Some(_), _) => return Err(OAuthError::proof()),
            (None, _) => {}
        }
        let tokens = self.identity.tokens();
        let used = proven.zip(tokens).map(|(proven, tokens)| tokens.use_up(proven, clock::now()));
        used.transpose().map(drop).map_err(|_| OAuthError::proof())
    }

    async fn redeem(
        &self,
        oauth: &OAuth,
        request: &CodeRequest,
        proven: Option<FirstProof>,
    ) -> Result<Response<Bytes>, Refused> {
        let (now, secret) = (clock::now(), Secret::generate(SecretKind::Refresh, getrandom::fill)?);
        let new = NewGrant {
            id: random::name_of_grant()?,
            refresh: secret.digest().to_bytes(),
            expires_at: now.0.saturating_add(oauth.clients.grant_lifetime()),
        };
        let judge = |code: &mut Code| {
            let challenge = Challenge::from_bytes(code.challenge);
            let Code { terms, redirect_uri, .. } = &*code;
            let (client_id, resource) = (&terms.client, &terms.resource);
            request.check(&Agreed { client_id, redirect_uri, challenge: &challenge, resource })?;
            self.check_bound(code.terms.proof_key.as_deref(), proven.as_ref())?;
            code.terms.proof_key = proven.map(|proven| proven.key);
            Ok::<_, OAuthError>(())
        };
        let store = oauth.issuer.store().await?;
        let change = Change { by: by(&request.client_id), at: now.0 };
        match store.redeem_code(&request.code.digest().to_bytes(), &new, judge, &change).await? {
            Redeemed::Granted(grant, refreshes) => {
                let scopes = grant.terms.scopes.clone();
                self.give(oauth, &grant, &scopes, refreshes.then_some(&secret)).await
            }
            Redeemed::Refused(error) => Err(error.into()),
            Redeemed::Replayed(ended) => {
                if let Some(grant) = ended {
                    tracing::warn!(grant, "a code was shown twice; what was given for it has ended");
                }
                Err(OAuthError::grant().into())
            }
            Redeemed::Unknown => Err(OAuthError::grant().into()),
        }
    }

    async fn refresh(
        &self,
        oauth: &OAuth,
        request: &RefreshRequest,
        proven: Option<FirstProof>,
    ) -> Result<Response<Bytes>, Refused> {
        let (now, secret) = (clock::now(), Secret::generate(SecretKind::Refresh, getrandom::fill)?);
        let mut scopes = Vec::new();
        let judge = |grant: &Grant| {
            let terms = &grant.terms;
            scopes = request.check(&terms.client, &terms.resource, &terms.scopes)?;
            self.check_bound(terms.proof_key.as_deref(), proven.as_ref())
        };
        let store = oauth.issuer.store().await?;
        let change = Change { by: by(&request.client_id), at: now.0 };
        let (shown, next) = (request.token.digest().to_bytes(), secret.digest().to_bytes());
        match store.refresh(&shown, &next, judge, &change).await? {
            Refreshed::Granted(mut grant) => {
                grant.terms.proof_key = proven.map(|proven| proven.key);
                let said = json!({"grant": grant.id, "person": grant.terms.person, "client": grant.terms.client});
                // What cannot be recorded is not done: the client has to begin anew, as its token was used.
                self.gateway.recorder.note("grant.refreshed", &said).map_err(|_| OAuthError::unavailable())?;
                self.give(oauth, &grant, &scopes, Some(&secret)).await
            }
            Refreshed::Refused(error) => Err(error.into()),
            Refreshed::Reused(grant) => {
                tracing::warn!(grant, "a refresh token was shown twice; what was given with it has ended");
                Err(OAuthError::grant().into())
            }
            Refreshed::Unknown => Err(OAuthError::grant().into()),
        }
    }

    /// What the client gets.
    async fn give(
        &self,
        oauth: &OAuth,
        grant: &Grant,
        scopes: &[String],
        refresh: Option<&Secret>,
    ) -> Result<Response<Bytes>, Refused> {
        let terms = &grant.terms;
        let given = Given {
            grant: &grant.id,
            person: &terms.person,
            client: &terms.client,
            resource: &terms.resource,
            scopes,
            proof_key: terms.proof_key.as_deref(),
            signed_in_at: terms.signed_in_at,
            methods: &terms.methods,
            until: grant.expires_at,
        };
        let token = oauth.issuer.sign(&given).await?;
        let mut said = json!({
            "access_token": token,
            "token_type": if terms.proof_key.is_some() { "DPoP" } else { "Bearer" },
            "expires_in": given.lifetime(clock::now()),
            "scope": scopes.join(" "),
        });
        if let (Some(said), Some(refresh)) = (said.as_object_mut(), refresh) {
            said.insert("refresh_token".to_owned(), refresh.expose().into());
        }
        Ok(answer(StatusCode::OK, &said))
    }

    /// A client gives up what it was given (RFC 7009). What is not known is given up already.
    pub(super) async fn revoke(
        &self,
        oauth: &OAuth,
        head: &Parts,
        body: &[u8],
        from: IpAddr,
    ) -> Result<Response<Bytes>, Refused> {
        let request = RevokeRequest::read(&form(head, body)?)?;
        let store = oauth.issuer.store().await?;
        let found = match &request.token {
            Ok(secret) => store.grant_of(&secret.digest().to_bytes()).await?,
            Err(token) => oauth.issuer.grant_of(token).await?,
        };
        let Some((grant, client)) = found else { return Ok(answer(StatusCode::OK, &json!({}))) };
        if client != request.client_id {
            return Err(self.slowed(OAuthError::grant().into(), from));
        }
        let change = Change { by: by(&client), at: clock::now().0 };
        store.end_grant(&grant, "client", &change).await?;
        Ok(answer(StatusCode::OK, &json!({})))
    }

    /// Whoever shows what is not good too often has to wait.
    fn slowed(&self, refused: Refused, from: IpAddr) -> Refused {
        if refused.response.status() != StatusCode::BAD_REQUEST {
            return refused;
        }
        let Some(seconds) = self.identity.failed(from, clock::now()) else { return refused };
        let mut refused = Refused::new(StatusCode::TOO_MANY_REQUESTS, &OAuthError::unavailable());
        refused.response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        refused
    }
}

fn form<'a>(head: &Parts, body: &'a [u8]) -> Result<Params<'a>, OAuthError> {
    check_unauthenticated(&head.headers)?;
    // Tokens stand in no address: those are written down everywhere.
    if head.uri.query().is_some() || !is_of_type(head, FORM) {
        return Err(OAuthError::unreadable("parameters stand in the body, as application/x-www-form-urlencoded"));
    }
    Params::parse(body).map_err(|why| OAuthError::unreadable(why.to_string()))
}

fn by(client: &str) -> String {
    format!("client:{client}")
}
