//! Access tokens: whose they are, and whether they are good for what was asked (OAuth 2.1, RFC 6750, RFC 9449).
//!
//! A token names its issuer, which says only whom to ask: what makes it good is that the keys of that issuer, as the
//! configuration knows it, have signed it, that it is for the address that was asked, and that it is good now. Whether it is
//! shown by whom it was given to is known only of one that is bound to a key.

mod fetch;
mod introspect;
mod issuer;
mod keys;
mod places;
mod refused;
mod verified;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use bartizan_config::Issuer as Settings;
use bartizan_guard::Timestamp;
use bartizan_identity::dpop::{self, ProofError, Replays};
use bartizan_identity::token::{Access, Jws, TokenError};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};

pub(crate) use self::fetch::Fetcher;
use self::issuer::Issuer;
pub(super) use self::refused::PRINCIPAL;
use self::refused::{AUDIENCE, BINDING, CLAIMS, ENDED, FORM, INACTIVE, PROOF, SCOPE, SILENT};
use self::verified::{Digest, Good, Known, Verified};
use super::told::{Refused, Words};
use super::{Caller, Credential};
use crate::clock;
use crate::issuer::Issuer as Own;
use crate::turns::Turns;

/// How many proofs are remembered.
const PROOFS: usize = 262_144;
/// For how long a nonce is given out, in microseconds; it is good for as long again.
const NONCE: i64 = 5 * 60 * 1_000_000;

/// All issuers of tokens, and what is known of theirs.
pub(crate) struct Oauth {
    configured: ArcSwap<Vec<Arc<Issuer>>>,
    own: OnceLock<Arc<Issuer>>,
    verified: Verified,
    replays: Replays,
    /// Whose signatures are verified.
    turns: Turns,
    refused: Refused,
    secret: OnceLock<[u8; 32]>,
}

/// A token with a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Presented<'a> {
    pub(super) token: &'a str,
    /// Whether it came with the scheme for tokens that are bound to a key.
    pub(super) is_bound: bool,
    /// What proves that its holder has the key; none if there is none, or there are two.
    pub(super) proof: Option<&'a str>,
    pub(super) method: &'a str,
    /// The address that was asked, without a query.
    pub(super) resource: &'a str,
    /// Where it came from.
    pub(super) from: IpAddr,
}

/// A token of which something is to be known.
#[derive(Debug, Clone, Copy)]
struct Sought<'a> {
    text: &'a str,
    digest: &'a Digest,
    /// Where it came from; none if it was good before.
    from: Option<IpAddr>,
}

/// Why a token does not let anybody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not good, by the rule by which that is counted.
    Bad(&'static str),
    /// The proof that came with it is not.
    Proof,
    /// The proof needs a nonce of ours.
    Nonce,
    /// It cannot be told.
    Unknown,
}

/// A token that was good, for as long as whoever showed it is answered. `Debug` does not show it.
pub(crate) struct Token {
    text: Box<str>,
    digest: Digest,
    resource: Box<str>,
    /// What it says it is called, for records.
    id: String,
    issuer: Arc<Issuer>,
    is_bound: bool,
}

impl Token {
    /// What its issuer calls a scope.
    pub(crate) fn called(&self, scope: &str) -> String {
        self.issuer.called(scope).to_owned()
    }

    /// What its issuer says of whoever has signed in with a second factor.
    pub(crate) fn acr_values(&self) -> &[String] {
        self.issuer.acr_values()
    }

    /// Whether it is bound to a key.
    pub(crate) fn is_bound(&self) -> bool {
        self.is_bound
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The token itself, which only its issuer may be told.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Its SHA-256.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// What its issuer is called here, and what that is asked over; no way if it is this gateway itself.
    pub(crate) fn issuer(&self) -> (&str, Option<&Arc<Fetcher>>) {
        (&self.issuer.settings.name, self.issuer.fetcher.as_ref())
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Token) -> bool {
        (self.digest, &self.resource) == (other.digest, &other.resource)
    }
}

impl Eq for Token {}

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

impl Default for Oauth {
    fn default() -> Self {
        Oauth {
            configured: ArcSwap::default(),
            own: OnceLock::new(),
            verified: Verified::default(),
            replays: Replays::new(PROOFS),
            turns: Turns::default(),
            refused: Refused::default(),
            secret: OnceLock::new(),
        }
    }
}

impl Oauth {
    /// Issuers to put in place of those that there are; what did not change keeps its keys.
    pub(super) fn prepare(&self, settings: &[Settings]) -> std::io::Result<Prepared> {
        let present = self.configured.load();
        let kept = |wanted: &Settings| present.iter().find(|issuer| issuer.settings == *wanted).cloned();
        let issuers = settings.iter().map(|wanted| match kept(wanted) {
            Some(issuer) => Ok(issuer),
            None => Issuer::new(wanted.clone()).map(Arc::new),
        });
        issuers.collect::<std::io::Result<_>>().map(Prepared)
    }

    pub(super) fn put(&self, prepared: Prepared) {
        self.configured.store(Arc::new(prepared.0));
    }

    /// Takes this gateway itself for an issuer, whose people are called what they are called here.
    pub(super) fn trust_own(&self, own: Arc<Own>) {
        self.own.set(Arc::new(Issuer::own(own))).ok();
    }

    fn issuers(&self) -> impl Iterator<Item = Arc<Issuer>> {
        let configured = self.configured.load_full();
        let own = self.own.get().cloned();
        own.into_iter().chain((0..configured.len()).filter_map(move |index| configured.get(index).cloned()))
    }

    /// Whether there is anybody whose tokens are good.
    pub(super) fn is_on(&self) -> bool {
        self.own.get().is_some() || !self.configured.load().is_empty()
    }

    /// The identifiers of all issuers.
    pub(crate) fn identifiers(&self) -> Vec<String> {
        self.issuers().map(|issuer| issuer.settings.issuer.clone()).collect()
    }

    /// What issuers call a scope: each once.
    pub(crate) fn called(&self, scope: &str) -> Vec<String> {
        let mut names: Vec<_> = self.issuers().map(|issuer| issuer.called(scope).to_owned()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// What all issuers, or some of them, want of proofs.
    pub(crate) fn proofs(&self) -> Proofs {
        let wanted: Vec<_> = self.issuers().map(|issuer| issuer.needs_proof()).collect();
        Proofs { all: wanted.iter().all(|needs| *needs), some: wanted.contains(&true) }
    }

    /// Who shows a token.
    pub(super) async fn authenticate(&self, presented: Presented<'_>, now: Timestamp) -> Result<Caller, Fault> {
        let digest: Digest = Sha256::digest(presented.token).into();
        let sought = Sought { text: presented.token, digest: &digest, from: Some(presented.from) };
        let good = self.verified(sought, now).await?;
        let Good { issuer, access, .. } = &*good;
        if !issuer.is_for(access, presented.resource) {
            let expected = || match &issuer.settings.audience[..] {
                [] => presented.resource.to_owned(),
                named => named.join(" or "),
            };
            let words = || Words {
                why: "`aud` names another resource".to_owned(),
                said: Some(format!("aud={:?}", access.audiences)),
                expected: Some(expected()),
            };
            return Err(self.bad(issuer, AUDIENCE, words));
        }
        match (&access.bound_to, presented.is_bound) {
            (None, false) if !issuer.needs_proof() => {}
            (Some(key), true) => self.check_proof(presented, issuer, key, now)?,
            (bound_to, is_bound) => {
                let why = match (bound_to, is_bound) {
                    (Some(_), _) => "it is bound to a key, and came with the scheme Bearer",
                    (None, true) => "it is bound to no key, and came with the scheme DPoP",
                    (None, false) => "it is bound to no key, and this issuer's have to be",
                };
                return Err(self.bad(issuer, BINDING, || Words { why: why.to_owned(), ..Words::default() }));
            }
        }
        let id = access.text(&bartizan_identity::token::ClaimPath::of("jti")).filter(|id| id.len() <= 64);
        let id = id.filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic())).unwrap_or_default();
        let token = Token {
            text: presented.token.into(),
            digest,
            resource: presented.resource.into(),
            id: format!("token:{}:{id}", issuer.settings.name),
            issuer: Arc::clone(issuer),
            is_bound: presented.is_bound,
        };
        let credential = Credential { key: None, until: Some(access.when.until), token: Some(Arc::new(token)) };
        Ok(Caller { principal: good.principal.clone(), credential: Some(credential) })
    }

    /// Whether a token that was good still is.
    pub(super) async fn is_good(&self, token: &Token, now: Timestamp) -> bool {
        let sought = Sought { text: &token.text, digest: &token.digest, from: None };
        let good = self.verified(sought, now).await;
        good.is_ok_and(|good| good.issuer.is_for(&good.access, &token.resource))
    }

    fn check_proof(
        &self,
        presented: Presented<'_>,
        issuer: &Issuer,
        bound_to: &str,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let nonces = issuer.settings.dpop_nonce.then(|| self.nonces(now)).map(|nonces| nonces.ok_or(Fault::Unknown));
        let nonces = nonces.transpose()?;
        let request = dpop::Request {
            method: presented.method,
            uri: presented.resource,
            token: presented.token,
            bound_to,
            nonces: nonces.as_ref().map(|nonces| &nonces[..]),
            now: now.0,
        };
        let refused = |why: &dyn fmt::Display| {
            let why = format!("the proof that came with it is not good: {why}");
            self.tell(&issuer.settings.name, PROOF, || Words { why, ..Words::default() });
            Fault::Proof
        };
        let proof = presented.proof.ok_or_else(|| refused(&"there is none, or more than one"))?;
        let shown = dpop::check(proof, &request).and_then(|shown| self.replays.show(&shown, now.0));
        shown.map_err(|error| match error {
            // Clients begin without one.
            ProofError::Nonce => Fault::Nonce,
            ProofError::Crowded => Fault::Unknown,
            error => refused(&error),
        })
    }

    /// What somebody proves who asks for a token at `uri`. Anybody can make proofs of a key of their own, so what was shown is
    /// remembered only once it is known that they may have a token.
    pub(crate) fn first_proof(&self, proof: &str, uri: &str, now: Timestamp) -> Result<FirstProof, ProofError> {
        let (shown, key) = dpop::check_first(proof, &dpop::First { method: "POST", uri, now: now.0 })?;
        Ok(FirstProof { key, shown })
    }

    /// Has that proof be good for nothing from now on.
    pub(crate) fn use_up(&self, proof: &FirstProof, now: Timestamp) -> Result<(), ProofError> {
        self.replays.show(&proof.shown, now.0)
    }

    /// The nonce that is given out now.
    pub(crate) fn nonce(&self, now: Timestamp) -> Option<String> {
        self.nonces(now).map(|[nonce, _]| nonce)
    }

    /// That of now, and the one before it. They are made of the time, so that nothing is to be kept of whom they were given to.
    fn nonces(&self, now: Timestamp) -> Option<[String; 2]> {
        let secret = match self.secret.get() {
            Some(secret) => secret,
            None => {
                let mut secret = [0; 32];
                getrandom::fill(&mut secret).ok()?;
                self.secret.get_or_init(|| secret)
            }
        };
        let period = now.0.div_euclid(NONCE);
        let of = |period: i64| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
            mac.update(&period.to_be_bytes());
            Some(mac.finalize().into_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>())
        };
        Some([of(period)?, of(period - 1)?])
    }

    /// What is known of a token that is good now.
    async fn verified(&self, sought: Sought<'_>, now: Timestamp) -> Result<Arc<Good>, Fault> {
        let good = self.looked_up(sought, now).await?;
        match good.issuer.still_holds(&good.access).await {
            Some(true) => Ok(good),
            Some(false) => {
                let why = "what it was given for was ended, or whoever it is of may not sign in any more".to_owned();
                Err(self.bad(&good.issuer, ENDED, || Words { why, ..Words::default() }))
            }
            None => Err(Fault::Unknown),
        }
    }

    /// What is known of a token, after its issuer was asked if need be.
    async fn looked_up(&self, sought: Sought<'_>, now: Timestamp) -> Result<Arc<Good>, Fault> {
        let Sought { text, digest, from } = sought;
        let from = match self.verified.get(digest) {
            Some(Known::Good(good)) if self.is_still(&good, now) => return Ok(good),
            Some(Known::Bad(until)) if now.0 < until => return Err(Fault::Bad(INACTIVE)),
            Some(Known::Good(_)) => None,
            _ => from,
        };
        // Seldom, so it takes no room in the future of every request.
        let known = Box::pin(self.verify(text, from, now)).await?;
        self.verified.insert(*digest, known.clone(), now.0);
        match known {
            Known::Good(good) => Ok(good),
            Known::Bad(_) => Err(Fault::Bad(INACTIVE)),
        }
    }

    fn is_still(&self, good: &Good, now: Timestamp) -> bool {
        let is_known = || self.issuers().any(|issuer| Arc::ptr_eq(&issuer, &good.issuer));
        let by_same_keys = || good.generation.is_none() || good.issuer.keys.generation(now) == good.generation;
        now.0 < good.again && good.access.when.check(now.0).is_ok() && is_known() && by_same_keys()
    }

    async fn verify(&self, text: &str, from: Option<IpAddr>, now: Timestamp) -> Result<Known, Fault> {
        if Jws::is_meant(text) {
            self.verify_signed(text, from, now).await
        } else {
            self.ask_about(text, from, now).await
        }
    }

    async fn verify_signed(&self, text: &str, from: Option<IpAddr>, now: Timestamp) -> Result<Known, Fault> {
        let jws = Jws::parse(text).map_err(|error| {
            let named = refused::issuer(text);
            let issuer = self.issuers().find(|issuer| named.as_deref() == Some(&issuer.settings.issuer));
            self.refusal(issuer.as_deref(), text, &error)
        })?;
        let issuer = self.issuers().find(|issuer| jws.issuer() == Some(&issuer.settings.issuer));
        let issuer = issuer.ok_or_else(|| self.refusal(None, text, &TokenError::Claim("iss")))?;
        let refused = |error: TokenError| self.refusal(Some(&issuer), text, &error);
        let held = issuer.keys.with(jws.key_id().map_err(refused)?).await;
        let held = held.map_err(|_| self.unknown(&issuer, "its keys are not known, and it does not give them out"))?;
        let checked = match from {
            Some(from) => self.turns.during(from, async { jws.check_signature(&held.keys) }).await,
            // It was good before, so it is none of those that anybody can make.
            None => jws.check_signature(&held.keys),
        };
        checked.map_err(refused)?;
        let access = Access::of_jws(jws, &issuer.expected()).map_err(refused)?;
        access.when.check(now.0).map_err(refused)?;
        self.good(&issuer, access, Some(held.generation), i64::MAX)
    }

    async fn ask_about(&self, text: &str, from: Option<IpAddr>, now: Timestamp) -> Result<Known, Fault> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if text.is_empty() || text.len() > 4096 || !text.bytes().all(is_token) {
            let why = "it is neither a signed token nor an opaque one".to_owned();
            return Err(self.bad_of_nobody(FORM, Words { why, ..Words::default() }));
        }
        let asked = self.issuers().find_map(|issuer| issuer.introspector.is_some().then_some(issuer));
        let Some((issuer, introspector)) = asked.as_ref().and_then(|of| Some((of, of.introspector.as_ref()?))) else {
            let why = "it is no signed token, and no issuer is asked about others (`introspection`)".to_owned();
            return Err(self.bad_of_nobody(FORM, Words { why, ..Words::default() }));
        };
        let said = introspector.ask(text, from).await;
        let said = said.map_err(|why| self.unknown(issuer, &format!("it cannot be asked about one: {why}")))?;
        let again = clock::now().0.saturating_add(introspector.cached());
        let access = Access::of_introspection(said, &issuer.expected(), now.0);
        match access.and_then(|access| access.when.check(now.0).map(|()| access)) {
            Ok(access) => self.good(issuer, access, None, again),
            Err(error) => {
                self.refusal(Some(issuer), "", &error);
                Ok(Known::Bad(again))
            }
        }
    }

    fn good(&self, issuer: &Arc<Issuer>, access: Access, generation: Option<u64>, again: i64) -> Result<Known, Fault> {
        let principal = match issuer.principal(&access) {
            Ok(principal) => principal,
            Err(why) => return Err(self.bad(issuer, PRINCIPAL, || Words { why, ..Words::default() })),
        };
        if principal.scopes.iter().next().is_none() && !principal.scopes.are_all() {
            let words = || Words {
                why: "none of its scopes means anything here (`scopes` and `default_scopes`)".to_owned(),
                said: Some(format!("scopes {:?}", issuer.words(&access))),
                expected: Some("such as mcp, server:SERVER or tool:SERVER/TOOL".to_owned()),
            };
            self.tell(&issuer.settings.name, SCOPE, words);
        }
        for (claim, wrong) in issuer.unread(&access) {
            let name = &issuer.settings.name;
            let why = || format!("the claim `{claim}` is {wrong} in a token of `{name}`");
            let what = "a token does not say which roles or groups somebody has";
            self.refused.tell(what, (Some(name), &claim), CLAIMS, || Words { why: why(), ..Words::default() });
        }
        Ok(Known::Good(Arc::new(Good { issuer: Arc::clone(issuer), access, principal, generation, again })))
    }

    fn tell(&self, issuer: &str, rule: &'static str, words: impl FnOnce() -> Words) {
        let what = match rule {
            SILENT => "it cannot be told whether a token is good, so it is refused",
            SCOPE => "a token is good for nothing here",
            _ => "a token is refused",
        };
        self.refused.tell(what, (Some(issuer), ""), rule, words);
    }

    /// Says to the operator what nobody else is told.
    fn bad(&self, issuer: &Issuer, rule: &'static str, words: impl FnOnce() -> Words) -> Fault {
        self.tell(&issuer.settings.name, rule, words);
        Fault::Bad(rule)
    }

    /// The same of a token that names no issuer that is known.
    fn bad_of_nobody(&self, rule: &'static str, words: Words) -> Fault {
        self.tell("none", rule, || words);
        Fault::Bad(rule)
    }

    fn refusal(&self, issuer: Option<&Issuer>, text: &str, error: &TokenError) -> Fault {
        let expected = || match (error, issuer) {
            (TokenError::Claim("iss"), None) => Some(self.identifiers().join(" or ")),
            (TokenError::Claim("iss"), Some(issuer)) => Some(issuer.settings.issuer.clone()),
            (TokenError::Header("typ"), _) => Some("at+jwt, or JWT as well with `untyped`".to_owned()),
            (TokenError::Header("alg"), _) => {
                Some(bartizan_identity::token::Algorithm::names().collect::<Vec<_>>().join(" "))
            }
            _ => None,
        };
        let why = match error {
            TokenError::Claim("iss") if issuer.is_none() => "`iss` names no issuer of the configuration".to_owned(),
            TokenError::Claim("active") => "its issuer says that it is not good (any more)".to_owned(),
            error => refused::why(text, error),
        };
        let rule = refused::rule(error);
        let name = issuer.map_or("none", |issuer| &issuer.settings.name);
        self.tell(name, rule, || Words { why, said: refused::said(text, error, clock::now().0), expected: expected() });
        Fault::Bad(rule)
    }

    /// It cannot be told whether a token is good.
    fn unknown(&self, issuer: &Issuer, why: &str) -> Fault {
        self.tell(&issuer.settings.name, SILENT, || Words { why: why.to_owned(), ..Words::default() });
        Fault::Unknown
    }
}

/// A proof that came with a request for a token.
#[derive(Debug)]
pub(crate) struct FirstProof {
    /// The thumbprint of its key.
    pub(crate) key: String,
    shown: dpop::Shown,
}

/// Issuers that are ready to be put in force.
pub(crate) struct Prepared(Vec<Arc<Issuer>>);

/// What issuers want of proofs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proofs {
    pub(crate) all: bool,
    pub(crate) some: bool,
}
