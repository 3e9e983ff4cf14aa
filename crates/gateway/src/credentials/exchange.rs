//! Tokens for a server that an issuer gives for those that clients show (RFC 8693).
//!
//! **Threat.** A token that was given for the gateway reaches a server, or one person's is used for another. So what a client
//! shows goes to its own issuer and to nobody else, as the configuration has it; what comes back has to be another token, is
//! kept in memory only, under the digest of the one it was given for, and is sent to the one server that it was asked for.
//! Whoever shows no such token is not asked for, whoever they are; between requests of a client counts what it has shown last
//! itself, and not what the same person shows elsewhere.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use bartizan_config::Exchange;
use bartizan_guard::Principal;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderValue, StatusCode, Uri};
use serde::Deserialize;
use tokio::sync::Mutex as AsyncMutex;
use zeroize::Zeroizing;

use super::grant::{self, Client, Proof, Refused};
use crate::clock;
use crate::fetch;
use crate::identity::oauth::{Fetcher, Token};
use crate::seldom::Seldom;
use crate::shown::{self, Shown};
use crate::upstream::{Credential, UpstreamError};

const SECOND: i64 = 1_000_000;
/// So long before it ends a token is exchanged anew, in microseconds.
const EARLY: i64 = 10 * SECOND;
/// How long one is good of which that is not said.
const UNSAID: i64 = 5 * 60 * SECOND;
/// How long nobody asks again after the issuer refused or did not answer; and how old a token is at least that is exchanged
/// anew because the server refuses it.
const PAUSE: i64 = 5 * SECOND;
/// So long what the issuer says of itself is taken to be so.
const METADATA: i64 = 10 * 60 * SECOND;
/// So many are in memory, and of so many people it is known what they showed last.
const MANY: usize = 4096;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The tokens for one server.
pub(super) struct Exchanged {
    inner: Arc<Inner>,
    /// What came with the last request on one client's way to it: the server is asked something between requests as well.
    last: Mutex<Option<Shown>>,
}

struct Inner {
    server: Arc<str>,
    settings: Box<Exchange>,
    /// What they are for.
    resource: Option<String>,
    slots: Mutex<Slots>,
    /// Where tokens are exchanged, as the issuer has said.
    found: ArcSwapOption<Found>,
    /// Of tokens that the issuer does not take, and of what is wrong with the gateway itself or the issuer: clients bring the
    /// one about as they like, and it must not keep the other unsaid.
    refusals: Seldom,
    failures: Seldom,
}

type Slots = HashMap<[u8; 32], Arc<Slot>>;

/// What an issuer has said of itself.
struct Found {
    endpoint: Uri,
    proof: Proof,
    until: i64,
}

/// What came of exchanging one token; held by the one who does it.
type Slot = AsyncMutex<Option<Outcome>>;

#[derive(Clone)]
enum Outcome {
    Given { header: HeaderValue, at: i64, until: i64 },
    Failed(UpstreamError, i64),
}

/// What an issuer answers.
#[derive(Deserialize)]
struct Given {
    access_token: Zeroizing<String>,
    issued_token_type: String,
    token_type: String,
    #[serde(default)]
    expires_in: Option<f64>,
}

impl fmt::Debug for Exchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchanged").field("server", &self.inner.server).finish_non_exhaustive()
    }
}

impl Exchanged {
    pub(super) fn new(server: &Arc<str>, url: &Uri, settings: Box<Exchange>) -> Exchanged {
        // A query may hold a secret, which is the server's and not the issuer's.
        let named = || settings.audience.is_none().then(|| fetch::shown(url));
        let resource = settings.resource.clone().or_else(named);
        let server = Arc::clone(server);
        Exchanged::by(Arc::new(Inner {
            server,
            settings,
            resource,
            slots: Mutex::default(),
            found: ArcSwapOption::empty(),
            refusals: Seldom::default(),
            failures: Seldom::default(),
        }))
    }

    fn by(inner: Arc<Inner>) -> Exchanged {
        Exchanged { inner, last: Mutex::default() }
    }

    /// What came with the request that is worked on, or else with the one before.
    fn shown(&self) -> Option<Shown> {
        let mut last = lock(&self.last);
        if let Some(shown) = shown::current() {
            *last = Some(shown);
        }
        last.clone()
    }
}

impl Credential for Exchanged {
    fn header<'a>(
        &'a self,
        who: &'a Principal,
        refused: Option<&'a HeaderValue>,
    ) -> BoxFuture<'a, Result<HeaderValue, UpstreamError>> {
        self.inner.of(who, self.shown(), refused).boxed()
    }

    fn is_personal(&self) -> bool {
        true
    }

    fn of_one_client(&self) -> Option<Arc<dyn Credential>> {
        Some(Arc::new(Exchanged::by(Arc::clone(&self.inner))))
    }
}

impl Inner {
    async fn of(
        self: &Arc<Self>,
        who: &Principal,
        shown: Option<Shown>,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, UpstreamError> {
        let shown = shown.filter(|shown| shown.principal == who.id).ok_or_else(|| self.nothing())?;
        let credential = shown.credential.as_ref().ok_or_else(|| self.nothing())?;
        let token = credential.shared_token().ok_or_else(|| self.nothing())?;
        let fetcher = match token.issuer() {
            (name, Some(fetcher)) if name == self.settings.issuer => Arc::clone(fetcher),
            _ => return Err(self.nothing()),
        };
        // It may be of a request that was answered long ago.
        if !shown.identity.is_good(credential, clock::now()).await {
            return Err(self.nothing());
        }
        let slot = slot(&mut lock(&self.slots), token.digest(), clock::now().0);
        let mut held = slot.lock_owned().await;
        let now = clock::now().0;
        match &*held {
            Some(Outcome::Given { header, at, until }) => match refused {
                Some(refused) if refused == header && now < at.saturating_add(PAUSE) => {
                    return Err(UpstreamError::Status(401));
                }
                Some(refused) if refused == header => {}
                _ if now < *until => return Ok(header.clone()),
                _ => {}
            },
            Some(Outcome::Failed(error, until)) if now < *until => return Err(error.clone()),
            _ => {}
        }
        // To its end, whatever becomes of who asked: whoever leaves and comes back would have the issuer asked each time.
        let (inner, ends) = (Arc::clone(self), credential.until());
        let asked = tokio::spawn(async move {
            let outcome = inner.ask(&token, &fetcher, ends).await;
            *held = Some(outcome.clone());
            outcome
        });
        match asked.await {
            Ok(Outcome::Given { header, .. }) => Ok(header),
            Ok(Outcome::Failed(error, _)) => Err(error),
            Err(error) => Err(UpstreamError::Credential(error.to_string())),
        }
    }

    fn nothing(&self) -> UpstreamError {
        let issuer = &self.settings.issuer;
        UpstreamError::SignIn(format!(
            "it is asked with what {issuer} gives for one of its tokens, and this client shows none: sign in with {issuer}"
        ))
    }

    /// Has the issuer give a token for the one that was shown and that ends at `ends`.
    async fn ask(&self, token: &Token, fetcher: &Fetcher, ends: Option<i64>) -> Outcome {
        let asked = self.asked(token, fetcher).await;
        let now = clock::now().0;
        match asked {
            Ok((header, until)) => {
                // What it was given for says until when its holder may come at all.
                let until = until.unwrap_or(now.saturating_add(UNSAID)).saturating_sub(EARLY);
                let until = ends.map_or(until, |ends| until.min(ends));
                Outcome::Given { header, at: now, until }
            }
            Err(error) => {
                // What the issuer said of itself may be so no more. That it refuses one token is no sign of that.
                let is_ours = matches!(error, UpstreamError::Credential(_));
                if is_ours {
                    self.found.store(None);
                }
                let seldom = if is_ours { &self.failures } else { &self.refusals };
                if let Some(unsaid) = seldom.next() {
                    let (server, issuer) = (&self.server, &self.settings.issuer);
                    tracing::warn!(%server, %issuer, unsaid, %error, "a token is not exchanged");
                }
                Outcome::Failed(error, now.saturating_add(PAUSE))
            }
        }
    }

    async fn asked(&self, token: &Token, fetcher: &Fetcher) -> Result<(HeaderValue, Option<i64>), UpstreamError> {
        let (endpoint, proof) = self.endpoint(fetcher).await.map_err(UpstreamError::Credential)?;
        let Exchange { client_id, client_secret, .. } = &*self.settings;
        let secret = Some(Zeroizing::new(client_secret.expose().to_owned()));
        let client = Client { id: client_id.clone(), secret, proof };
        let scopes = self.settings.scopes.join(" ");
        let mut fields = vec![
            ("grant_type", GRANT),
            ("subject_token", token.text()),
            ("subject_token_type", ACCESS_TOKEN),
            ("requested_token_type", ACCESS_TOKEN),
        ];
        let named = [("resource", &self.resource), ("audience", &self.settings.audience)];
        fields.extend(named.into_iter().filter_map(|(name, value)| value.as_deref().map(|value| (name, value))));
        if !scopes.is_empty() {
            fields.push(("scope", &scopes));
        }
        let (form, authorization) = grant::form(&client, &fields);
        let answer = fetcher.send(&endpoint, authorization, form.as_bytes().to_vec().into()).await;
        let (status, body) = answer.map_err(UpstreamError::Credential)?;
        match status {
            StatusCode::OK => read(&body, token.text()).map_err(|why| UpstreamError::Credential(why.to_owned())),
            status => Err(self.refusal(status, &body)),
        }
    }

    /// Where tokens are exchanged, and how the gateway shows there who it is.
    async fn endpoint(&self, fetcher: &Fetcher) -> Result<(Uri, Proof), String> {
        if let Some(endpoint) = &self.settings.token_endpoint {
            return Ok((fetcher.address(endpoint)?, Proof::Basic));
        }
        let now = clock::now().0;
        if let Some(found) = self.found.load().as_ref().filter(|found| now < found.until) {
            return Ok((found.endpoint.clone(), found.proof));
        }
        let metadata = fetcher.discover().await?;
        let endpoint = metadata.get("token_endpoint").and_then(serde_json::Value::as_str);
        let endpoint = fetcher.address(endpoint.ok_or("its metadata do not say where tokens are to be had")?)?;
        let methods = metadata.get("token_endpoint_auth_methods_supported").and_then(serde_json::Value::as_array);
        let basic = methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"));
        let proof = if basic { Proof::Basic } else { Proof::Post };
        let until = now.saturating_add(METADATA);
        self.found.store(Some(Arc::new(Found { endpoint: endpoint.clone(), proof, until })));
        Ok((endpoint, proof))
    }

    /// What to say of an answer that is no token.
    fn refusal(&self, status: StatusCode, body: &[u8]) -> UpstreamError {
        let issuer = &self.settings.issuer;
        let code = serde_json::from_slice::<Refused>(body).ok().filter(|_| status.is_client_error());
        match code.as_ref().map(|refused| grant::code(&refused.error)) {
            // What the gateway itself does wrong is nothing for clients.
            None | Some("invalid_client" | "unauthorized_client" | "unsupported_grant_type") => {
                let code = code.map(|refused| format!(" ({})", grant::code(&refused.error))).unwrap_or_default();
                UpstreamError::Credential(format!("it answers {}{code}", status.as_u16()))
            }
            Some(code) => {
                UpstreamError::SignIn(format!("{issuer} gives no token for it in exchange for this one: {code}"))
            }
        }
    }
}

/// The header with a token that was given for `subject`, and when that ends.
fn read(body: &[u8], subject: &str) -> Result<(HeaderValue, Option<i64>), &'static str> {
    let given: Given = serde_json::from_slice(body).map_err(|_| "its answer holds no token that was exchanged")?;
    if ![ACCESS_TOKEN, JWT].contains(&&*given.issued_token_type) {
        return Err("what it gives is no access token");
    }
    if !given.token_type.eq_ignore_ascii_case("bearer") || !grant::is_plain(&given.access_token) {
        return Err("its token is none that can be shown to a server");
    }
    if *given.access_token == *subject {
        return Err("it gives the same token back, which is not for a server");
    }
    let header = bartizan_config::bearer(&given.access_token).ok_or("its token cannot be sent")?;
    let until = given.expires_in.and_then(|seconds| grant::moment(clock::now().0, seconds));
    Ok((header, until))
}

/// The one of that token, which is made if there is none; those that are of no use any more go then.
fn slot(slots: &mut Slots, digest: [u8; 32], now: i64) -> Arc<Slot> {
    if let Some(slot) = slots.get(&digest) {
        return Arc::clone(slot);
    }
    // Whoever waits for one of them has it by the hand.
    let is_held = |slot: &Arc<Slot>| Arc::strong_count(slot) > 1;
    slots.retain(|_, slot| is_held(slot) || slot.try_lock().map_or(true, |held| is_current(held.as_ref(), now)));
    if slots.len() >= MANY {
        slots.clear();
    }
    Arc::clone(slots.entry(digest).or_default())
}

fn is_current(outcome: Option<&Outcome>, now: i64) -> bool {
    match outcome {
        Some(Outcome::Given { until, .. } | Outcome::Failed(_, until)) => now < *until,
        None => false,
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(until: i64) -> Arc<Slot> {
        let header = HeaderValue::from_static("Bearer x");
        Arc::new(AsyncMutex::new(Some(Outcome::Given { header, at: 0, until })))
    }

    #[test]
    fn what_is_over_goes_when_another_one_comes_and_the_rest_stays() {
        let mut slots = Slots::new();
        let failed = Some(Outcome::Failed(UpstreamError::Status(401), 5));
        slots.extend([([1; 32], given(5)), ([2; 32], given(50)), ([3; 32], Arc::new(AsyncMutex::new(failed)))]);
        // Somebody is about to ask with the one, and has left the other.
        let asking = slot(&mut slots, [4; 32], 4);
        drop(slot(&mut slots, [5; 32], 4));
        let found = |slots: &Slots| (1..=9).filter(|byte| slots.contains_key(&[*byte; 32])).collect::<Vec<_>>();
        assert_eq!(found(&slots), [1, 2, 3, 4, 5], "nothing is over");
        slot(&mut slots, [6; 32], 10);
        assert_eq!(found(&slots), [2, 4, 6]);
        assert!(Arc::ptr_eq(&asking, &slot(&mut slots, [4; 32], 10)), "it is the same for all");
        assert_eq!(found(&slots), [2, 4, 6], "nothing new came");
    }

    #[test]
    fn no_more_are_held_than_may_be() {
        let mut slots = Slots::new();
        for number in 0..MANY + 10 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            slots.insert(digest, given(50));
            slot(&mut slots, [255; 32], 10);
            slots.remove(&[255; 32]);
            assert!(slots.len() <= MANY);
        }
    }

    #[test]
    fn what_is_taken_for_a_token_that_was_exchanged() {
        let answer = |token: &str, issued: &str, kind: &str, more: &str| {
            format!(r#"{{"access_token":"{token}","issued_token_type":"{issued}","token_type":"{kind}"{more}}}"#)
        };
        for (body, good) in [
            (answer("new", ACCESS_TOKEN, "Bearer", ""), true),
            (answer("new", JWT, "bearer", r#","expires_in":60,"refresh_token":"r","scope":"x""#), true),
            (answer("mine", ACCESS_TOKEN, "Bearer", ""), false),
            (answer("new", ACCESS_TOKEN, "N_A", ""), false),
            (answer("new", ACCESS_TOKEN, "DPoP", ""), false),
            (answer("new", "urn:ietf:params:oauth:token-type:refresh_token", "Bearer", ""), false),
            (answer("new", "urn:ietf:params:oauth:token-type:id_token", "Bearer", ""), false),
            (answer("", ACCESS_TOKEN, "Bearer", ""), false),
            (answer("two words", ACCESS_TOKEN, "Bearer", ""), false),
            (r#"{"access_token":"new","token_type":"Bearer"}"#.to_owned(), false),
            ("[]".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(read(body.as_bytes(), "mine").is_ok(), good, "{body}");
        }
        let ends = |more: &str| read(answer("new", JWT, "Bearer", more).as_bytes(), "mine").unwrap().1;
        assert!(ends("").is_none());
        let in_a_minute = ends(r#","expires_in":60"#).unwrap() - clock::now().0;
        assert!((50 * SECOND..=60 * SECOND).contains(&in_a_minute));
    }
}
