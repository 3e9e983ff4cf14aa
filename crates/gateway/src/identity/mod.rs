//! Who asks over HTTP.
//!
//! **Threat.** Whoever reaches the gateway uses other people's servers, with a key that was revoked, that was made for
//! something else, or that they try to guess. So every request shows its credential, whatever session it names, and one
//! that is not good is refused, also where none would be needed.

mod keys;
mod lockout;
pub(crate) mod oauth;
mod told;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bartizan_guard::{Principal, Timestamp};
use bartizan_identity::ApiKey;
use bartizan_store::StoreError;
use http::{HeaderMap, HeaderValue, Method, header};

use self::keys::{Keys, Standing};
use self::lockout::Lockout;
use self::oauth::{Fault, Oauth, Presented, Token};
pub(crate) use self::told::Told;
use self::told::{Refused, Words};
use crate::clock;
use crate::database::Database;
use crate::recorder::Recorder;

/// What decides who may come in.
pub struct Identity {
    keys: Keys,
    lockout: Lockout,
    oauth: Oauth,
    /// What was said of keys.
    refused: Refused,
}

/// A request, as far as it says who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) headers: &'a HeaderMap,
    /// What was shown when the connection began.
    pub(crate) certificate: Option<&'a Certificate>,
    pub(crate) method: &'a Method,
    /// Where clients find the gateway, and the path and the query behind that.
    pub(crate) public: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
}

/// Somebody who may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// What it showed; nothing for whoever is anonymous.
    pub(crate) credential: Option<Credential>,
}

/// What somebody showed, for as long as they are answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Credential {
    key: Option<bartizan_identity::ApiKeyId>,
    /// When their certificate or their token ends, in microseconds.
    until: Option<i64>,
    token: Option<Arc<Token>>,
}

impl Credential {
    /// The token, if it is one.
    pub(crate) fn token(&self) -> Option<&Token> {
        self.token.as_deref()
    }

    /// The same, to be kept.
    pub(crate) fn shared_token(&self) -> Option<Arc<Token>> {
        self.token.clone()
    }

    /// When what was shown ends, in microseconds.
    pub(crate) fn until(&self) -> Option<i64> {
        self.until
    }
}

/// What is to be known of a certificate that a client showed, and that was verified when its connection began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Its one name of the kind that says who it is.
    pub(crate) name: Option<String>,
    /// When it ends, in microseconds.
    pub(crate) until: i64,
}

/// Why somebody may not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// They showed no credential.
    Missing,
    /// They showed one that is not good; why is said to nobody, since it would help whoever guesses.
    Invalid,
    /// They showed a token that is not good; by which rule is for the operator alone.
    Token(&'static str),
    /// Their certificate does not say who they are, is over, or is another principal's than their key.
    Certificate,
    /// They showed one that is not good, as their address did too often; seconds until it is listened to again.
    LockedOut(u64),
    /// Their token is bound to a key, and they did not prove to have it.
    Proof,
    /// They have to prove that with a nonce that they are told.
    Nonce,
    /// They put a token into the address, where it ends up in logs and histories.
    Query,
    /// It cannot be told.
    Unavailable,
    /// It cannot be told of a token: its issuer does not answer.
    Silent,
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, &self.token) {
            (Some(key), _) => key.fmt(f),
            (None, Some(token)) => f.write_str(token.id()),
            (None, None) => f.write_str("certificate"),
        }
    }
}

impl Identity {
    /// With the keys of that database, which need not be there yet.
    #[must_use]
    pub fn new(database: Arc<Database>) -> Arc<Identity> {
        Arc::new(Identity {
            keys: Keys::new(database),
            lockout: Lockout::default(),
            oauth: Oauth::default(),
            refused: Refused::default(),
        })
    }

    /// Opens the database, and makes it if it is not there.
    ///
    /// # Errors
    /// If it cannot be used.
    pub async fn open(&self) -> Result<(), StoreError> {
        self.keys.open().await
    }

    /// Records in `log` what was done with keys since, whichever process did it.
    pub(crate) async fn record_changes(&self, log: &Recorder) {
        self.keys.record_changes(log).await;
    }

    /// Who asks. A credential is `required` or may be left out. A certificate is one; whoever shows a key as well is who both
    /// say, or nobody.
    pub(crate) async fn authenticate(
        &self,
        asked: &Asked<'_>,
        required: bool,
        from: IpAddr,
        now: Timestamp,
    ) -> Result<Caller, Stopped> {
        let proven = asked.certificate.map(|certificate| proven(certificate, now)).transpose()?;
        let takes_tokens = self.oauth.is_on();
        if takes_tokens && asked.query.is_some_and(holds_token) {
            return Err(Stopped::Query);
        }
        let shown = match (shown(asked.headers, takes_tokens), &proven) {
            (Shown::Token(token, is_bound), _) => {
                return self.bearer(asked, (token, is_bound, from), proven, now).await;
            }
            (Shown::Nothing, Some(proven)) => return Ok(proven.clone()),
            (Shown::Nothing, None) if required => return Err(Stopped::Missing),
            // Of what is no key of ours nobody can tell whom it was meant for; it opens nothing.
            (Shown::Nothing | Shown::Other, _) if !required => return Ok(proven.unwrap_or_else(anonymous)),
            (Shown::Key(text), _) => self.standing(text, now).await,
            _ => Err(Standing::Bad(if takes_tokens { NEITHER } else { NO_KEY })),
        };
        match shown {
            Ok(caller) => both(caller, proven),
            Err(Standing::Unknown) => Err(Stopped::Unavailable),
            Err(Standing::Bad(why)) => {
                self.tell(why, asked.headers);
                Err(self.lockout.failed(from, now).map_or(Stopped::Invalid, Stopped::LockedOut))
            }
        }
    }

    /// Who shows a token, and it may be a certificate.
    async fn bearer(
        &self,
        asked: &Asked<'_>,
        (token, is_bound, from): (&str, bool, IpAddr),
        proven: Option<Caller>,
        now: Timestamp,
    ) -> Result<Caller, Stopped> {
        let resource = format!("{}{}", asked.public, asked.path);
        let mut proofs = asked.headers.get_all("dpop").iter();
        let proof = match (proofs.next(), proofs.next()) {
            (Some(proof), None) => proof.to_str().ok(),
            _ => None,
        };
        let presented = Presented { token, is_bound, proof, method: asked.method.as_str(), resource: &resource, from };
        match self.oauth.authenticate(presented, now).await {
            Ok(caller) => {
                self.check_spelling(&caller).await?;
                both(caller, proven)
            }
            // Nobody guesses a token, and clients find out by this that theirs is over: no address is locked out.
            Err(Fault::Bad(rule)) => Err(Stopped::Token(rule)),
            Err(Fault::Proof) => Err(Stopped::Proof),
            Err(Fault::Nonce) => Err(Stopped::Nonce),
            Err(Fault::Unknown) => Err(Stopped::Silent),
        }
    }

    /// Refuses a token by whose name somebody is called whom the store knows, but for case: to everything that compares names
    /// there would be two people.
    async fn check_spelling(&self, caller: &Caller) -> Result<(), Stopped> {
        match self.keys.other_spelling(&caller.principal.id).await {
            Ok(None) => Ok(()),
            Ok(Some(written)) => {
                let name = &caller.principal.id;
                let why = format!("it is of `{name}`, which differs from `{written}` in the store only in case");
                let issuer = caller.credential.as_ref().and_then(|shown| shown.token()).map(|token| token.issuer().0);
                let words = || Words { why, said: None, expected: Some(written) };
                self.refused.tell("a token is refused", (issuer, ""), oauth::PRINCIPAL, words);
                Err(Stopped::Token(oauth::PRINCIPAL))
            }
            Err(_) => Err(Stopped::Silent),
        }
    }

    /// Takes tokens of these issuers from now on, and of no others but this gateway's own.
    ///
    /// # Errors
    /// If they cannot be asked, as there are no authorities that would say that it is them.
    pub fn trust(&self, issuers: &[bartizan_config::Issuer]) -> std::io::Result<()> {
        self.put_issuers(self.issuers(issuers)?);
        Ok(())
    }

    /// Issuers of tokens, ready to be put in force.
    pub(crate) fn issuers(&self, settings: &[bartizan_config::Issuer]) -> std::io::Result<oauth::Prepared> {
        self.oauth.prepare(settings)
    }

    /// Puts them in force.
    pub(crate) fn put_issuers(&self, issuers: oauth::Prepared) {
        self.oauth.put(issuers);
    }

    /// Takes tokens that this gateway gives out itself. Whoever they name is called what they are called here.
    pub(crate) fn trust_own(&self, own: Arc<crate::issuer::Issuer>) {
        self.oauth.trust_own(own);
    }

    /// What is to be known of tokens.
    pub(crate) fn tokens(&self) -> Option<&Oauth> {
        self.oauth.is_on().then_some(&self.oauth)
    }

    /// Whether a credential that was good still is.
    pub(crate) async fn is_good(&self, credential: &Credential, now: Timestamp) -> bool {
        if credential.until.is_some_and(|until| until <= now.0) {
            return false;
        }
        if let Some(token) = &credential.token {
            return self.oauth.is_good(token, now).await;
        }
        let Some(key) = &credential.key else { return true };
        self.keys.find(key, now).await.is_ok()
    }

    /// Whether a request with these headers comes in, with all that each is asked, before its body and after it: what the
    /// benchmark measures.
    pub async fn lets_in(&self, headers: &HeaderMap, from: IpAddr) -> bool {
        let asked = Asked {
            headers,
            certificate: None,
            method: &Method::POST,
            public: "http://127.0.0.1:8484",
            path: "/mcp",
            query: None,
        };
        match self.authenticate(&asked, true, from, clock::now()).await {
            Ok(Caller { credential: Some(credential), .. }) => self.is_good(&credential, clock::now()).await,
            _ => false,
        }
    }

    /// Notes that somebody showed something that is not good; how many seconds they have to wait, if they have to.
    pub(crate) fn failed(&self, from: IpAddr, now: Timestamp) -> Option<u64> {
        self.lockout.failed(from, now)
    }

    /// Says to the operator why a key is not good, and what it is called.
    fn tell(&self, why: &'static str, headers: &HeaderMap) {
        let words = || {
            let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let key = shown.and_then(|text| ApiKey::parse(text.rsplit(' ').next()?).ok());
            Words { why: why.to_owned(), said: key.map(|key| format!("key={}", key.id())), expected: None }
        };
        self.refused.tell("a credential is refused", (None, why), "edge.credential", words);
    }

    async fn standing(&self, text: &str, now: Timestamp) -> Result<Caller, Standing> {
        let key = ApiKey::parse(text).map_err(|_| Standing::Bad(NO_FORM))?;
        let known = self.keys.find(key.id(), now).await?;
        if known.digest != key.digest() {
            return Err(Standing::Bad("it is not the one that was made under its name"));
        }
        self.keys.note_use(key.id(), &known, now);
        let credential = Some(Credential { key: Some(key.id().clone()), until: None, token: None });
        Ok(Caller { principal: known.principal.clone(), credential })
    }
}

/// What is wrong with what is no key that was ever made.
const NO_FORM: &str = "it has not the form of a key, or there is more than one credential";
const NO_KEY: &str = "it is no key, and no tokens are taken here: there is neither [auth.oauth.NAME] nor [sign_in]";
const NEITHER: &str = "it is neither a key nor a token, or there is more than one credential";

/// Who shows this certificate.
fn proven(certificate: &Certificate, now: Timestamp) -> Result<Caller, Stopped> {
    let name = certificate.name.as_ref().filter(|_| certificate.until > now.0).ok_or(Stopped::Certificate)?;
    // A prefix of its own: no authority can sign that somebody is who a key was made for.
    let principal = Principal::new(&format!("cert:{name}"));
    Ok(Caller { principal, credential: Some(Credential { key: None, until: Some(certificate.until), token: None }) })
}

/// Who shows a key and, it may be, a certificate: for as long as both are good, with no more than the key is good for.
fn both(mut caller: Caller, proven: Option<Caller>) -> Result<Caller, Stopped> {
    let Some(proven) = proven else { return Ok(caller) };
    if proven.principal.id != caller.principal.id {
        return Err(Stopped::Certificate);
    }
    if let (Some(credential), Some(proven)) = (&mut caller.credential, proven.credential) {
        credential.until = credential.until.into_iter().chain(proven.until).min();
    }
    Ok(caller)
}

fn anonymous() -> Caller {
    Caller { principal: Principal::anonymous(), credential: None }
}

/// What a request shows.
enum Shown<'a> {
    Nothing,
    Key(&'a str),
    /// A token, and whether it is said to be bound to a key.
    Token(&'a str, bool),
    /// Something else than one of them.
    Other,
}

fn shown(headers: &HeaderMap, takes_tokens: bool) -> Shown<'_> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), more) = (values.next(), values.next()) else { return Shown::Nothing };
    let parts = value.to_str().ok().and_then(|text| text.split_once(' '));
    let of_scheme = |wanted: &str| {
        parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(wanted)).map(|(_, token)| token.trim_matches(' '))
    };
    match (of_scheme("bearer"), of_scheme("dpop")) {
        (Some(token), _) if ApiKey::is_meant(token) && more.is_none() => Shown::Key(token),
        // Of two credentials it could not be told which one counts; and a key in another form than it is read in is a
        // mistake, by which nobody should come in as somebody else.
        _ if headers.get_all(header::AUTHORIZATION).iter().any(holds_key) => Shown::Key(""),
        (Some(token), _) if takes_tokens && more.is_none() => Shown::Token(token, false),
        (_, Some(token)) if takes_tokens && more.is_none() => Shown::Token(token, true),
        _ => Shown::Other,
    }
}

/// Whether a query holds a token (RFC 6750, section 2.3).
fn holds_token(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token")
}

fn holds_key(value: &HeaderValue) -> bool {
    memchr::memmem::find(value.as_bytes(), b"btz_").is_some()
}

#[cfg(test)]
mod tests;
