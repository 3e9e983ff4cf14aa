//! Passkeys (WebAuthn): adding one, signing in with one, and showing one once more.
//!
//! **Threat.** Somebody has a browser sign what they hand in elsewhere, or hands in again what was signed. What is signed
//! answers a challenge of this gateway that is for one browser and one purpose, for five minutes, and good once; and what an
//! authenticator says of how often it has signed only grows. What a signature has to say is checked in
//! `bartizan_identity::passkey`.
//!
//! A script asks the browser for it, as nothing else can; it does nothing else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bartizan_guard::Timestamp;
use bartizan_identity::passkey::{self, Expected};
use bartizan_store::passkeys::Passkey;
use bartizan_store::people::Person;
use bartizan_store::{Change, StoreError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use serde_json::{Value, json};
use sha2::Sha256;

use super::page::{json, see_other};
use super::session::Method;
use super::sign_in::afterwards;
use super::trouble::Trouble;
use super::visit::Visit;
use super::{Answer, Web};
use crate::clock;

/// So long a challenge is good, in microseconds.
const LIFETIME: i64 = 5 * 60 * 1_000_000;
/// So many that were used are remembered; only whoever shows a passkey that is known adds one.
const MANY: usize = 10_000;
/// Where it says when it was given, and what proves that.
const MOMENT: usize = 8;
const PROVEN: usize = 24;
const LONGEST_LABEL: usize = 64;

const WRONG: &str = "That passkey is not good here.";

/// What a challenge is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    SignIn,
    StepUp,
    Add,
}

impl Purpose {
    fn of(name: &str) -> Option<Purpose> {
        [Purpose::SignIn, Purpose::StepUp, Purpose::Add].into_iter().find(|purpose| purpose.as_str() == name)
    }

    fn as_str(self) -> &'static str {
        match self {
            Purpose::SignIn => "sign-in",
            Purpose::StepUp => "step-up",
            Purpose::Add => "add",
        }
    }
}

/// Challenges of this process. One that was given proves itself, so that nobody fills a table by asking for many; those that
/// were used are remembered for as long as they would be good.
pub(super) struct Challenges {
    key: [u8; 32],
    used: Mutex<HashMap<Vec<u8>, i64>>,
}

impl Challenges {
    pub(super) fn new() -> Result<Challenges, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Challenges { key, used: Mutex::default() })
    }

    /// One for this purpose in this browser.
    fn give(&self, purpose: Purpose, browser: &str, now: Timestamp) -> Result<String, Trouble> {
        let mut challenge = now.0.to_be_bytes().to_vec();
        let mut random = [0; PROVEN - MOMENT];
        getrandom::fill(&mut random)?;
        challenge.extend(random);
        let proof = self.proof(purpose, browser, &challenge)?.finalize().into_bytes();
        challenge.extend(proof);
        Ok(URL_SAFE_NO_PAD.encode(challenge))
    }

    /// Whether it was given for this purpose to this browser, and is still good.
    fn is_good(&self, challenge: &[u8], purpose: Purpose, browser: &str, now: Timestamp) -> Result<bool, Trouble> {
        let Some((said, proof)) = challenge.split_at_checked(PROVEN) else { return Ok(false) };
        if self.proof(purpose, browser, said)?.verify_slice(proof).is_err() {
            return Ok(false);
        }
        let Some(given) = said.first_chunk::<MOMENT>() else { return Ok(false) };
        let age = now.0.saturating_sub(i64::from_be_bytes(*given));
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((0..LIFETIME).contains(&age) && !used.contains_key(challenge))
    }

    /// Uses one up. Returns whether nobody has before.
    fn use_up(&self, challenge: Vec<u8>, now: Timestamp) -> Result<bool, Trouble> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= MANY {
            used.retain(|_, until| *until > now.0);
            if used.len() >= MANY {
                return Err(Trouble::Busy);
            }
        }
        Ok(used.insert(challenge, now.0.saturating_add(LIFETIME)).is_none())
    }

    fn proof(&self, purpose: Purpose, browser: &str, said: &[u8]) -> Result<Hmac<Sha256>, Trouble> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.key).map_err(|_| Trouble::Failed)?;
        Ok(mac
            .chain_update(purpose.as_str())
            .chain_update([0])
            .chain_update(browser)
            .chain_update([0])
            .chain_update(said))
    }
}

/// What a browser hands in.
struct HandedIn {
    challenge: String,
    id: Vec<u8>,
    client: Vec<u8>,
    authenticator: Vec<u8>,
}

impl Web {
    /// Whether there can be passkeys: browsers have them for names, over https or on the same machine.
    pub(super) fn takes_passkeys(&self) -> bool {
        let is_address = self.host().parse::<std::net::IpAddr>().is_ok() || self.host().starts_with('[');
        !is_address && (self.is_secure() || self.host() == "localhost" || self.host().ends_with(".localhost"))
    }

    pub(super) async fn has_passkey(&self, name: &str) -> Result<bool, Trouble> {
        Ok(!self.store().await?.passkeys_of(name).await?.is_empty())
    }

    /// What the script asks the browser for.
    pub(super) async fn passkey_options(&self, visit: &Visit) -> Answer {
        self.check_form(visit)?;
        let purpose = visit.field("for").as_deref().and_then(Purpose::of).filter(|_| self.takes_passkeys());
        let purpose = purpose.ok_or(Trouble::Nowhere)?;
        let challenge = self.challenges.give(purpose, &self.browser(visit)?.csrf(), clock::now())?;
        let mut options = json!({"challenge": challenge, "host": self.host()});
        let more = match purpose {
            // Whoever is not known yet is not told which passkeys there are.
            Purpose::SignIn => json!({"allow": []}),
            Purpose::StepUp => match self.here(visit).await? {
                Ok(session) => json!({"allow": self.ids(&session.person.name).await?}),
                Err(_) => return sent("/bartizan/sign-in"),
            },
            Purpose::Add => match self.may_set_up(visit, "/bartizan/account").await? {
                Ok(session) => self.making(&session.person).await?,
                Err(elsewhere) => return as_json(elsewhere),
            },
        };
        if let (Some(options), Value::Object(more)) = (options.as_object_mut(), more) {
            options.extend(more);
        }
        json(StatusCode::OK, &options)
    }

    async fn making(&self, person: &Person) -> Result<Value, Trouble> {
        let handle = URL_SAFE_NO_PAD.encode(&person.handle);
        let exclude = self.ids(&person.name).await?;
        Ok(json!({"person": person.name, "handle": handle, "exclude": exclude, "algorithms": passkey::ALGORITHMS}))
    }

    async fn ids(&self, name: &str) -> Result<Vec<String>, Trouble> {
        let passkeys = self.store().await?.passkeys_of(name).await?;
        Ok(passkeys.iter().map(|passkey| URL_SAFE_NO_PAD.encode(&passkey.id)).collect())
    }

    /// Signs somebody in who shows a passkey.
    pub(super) async fn passkey_sign_in(&self, visit: &Visit) -> Answer {
        self.check_form(visit)?;
        let Some(person) = self.shown(visit, Purpose::SignIn, None).await? else { return self.wrong(visit) };
        self.let_in(visit, &person, &[Method::Passkey], sent(&afterwards(visit))).await
    }

    /// Has somebody who is signed in show a passkey once more.
    pub(super) async fn passkey_step_up(&self, visit: &Visit) -> Answer {
        self.check_form(visit)?;
        let session = match self.here(visit).await? {
            Ok(session) => session,
            Err(elsewhere) => return as_json(elsewhere),
        };
        let name = &session.person.name;
        if self.shown(visit, Purpose::StepUp, Some(name)).await?.is_none() {
            return self.wrong(visit);
        }
        self.record_step_up(visit, name, Method::Passkey)?;
        self.begin_session((&session.person, &[Method::Passkey]), Some(&session), sent(&afterwards(visit))).await
    }

    /// Who shows a passkey, which has to be of `owner` if there is one.
    async fn shown(&self, visit: &Visit, purpose: Purpose, owner: Option<&str>) -> Result<Option<Person>, Trouble> {
        let (store, now) = (self.store().await?, clock::now());
        let Some(handed_in) = self.handed_in(visit, purpose, now)? else { return Ok(None) };
        let Some(known) = store.passkey(&handed_in.id).await? else { return Ok(None) };
        let person = store.person(&known.person).await?.filter(|person| person.disabled_at.is_none());
        let person = person.filter(|person| owner.is_none_or(|owner| owner == person.name));
        // Whoever is not known otherwise is who the authenticator says.
        let handle = bytes(visit, "handle");
        let is_theirs = |person: &Person| owner.is_some() || handle.as_ref() == Some(&person.handle);
        let Some(person) = person.filter(is_theirs) else { return Ok(None) };
        let signature = bytes(visit, "signature").unwrap_or_default();
        let HandedIn { challenge, id, client, authenticator } = handed_in;
        let key = (known.algorithm, known.public_key.as_slice());
        let Ok(counter) = passkey::check(self.expected(&challenge), &client, &authenticator, &signature, key) else {
            return Ok(None);
        };
        let is_first = self.challenges.use_up(URL_SAFE_NO_PAD.decode(&challenge).unwrap_or_default(), now)?;
        let grows = is_first && store.use_passkey(&id, counter.into(), now.0).await?;
        if is_first && !grows {
            tracing::warn!(person = %person.name, "a passkey counts backwards, so there may be two of it; it is refused");
        }
        Ok(grows.then_some(person))
    }

    /// Gives somebody a passkey that their browser has made.
    pub(super) async fn add_passkey(&self, visit: &Visit) -> Answer {
        self.check_form(visit)?;
        let session = match self.may_set_up(visit, "/bartizan/account").await? {
            Ok(session) => session,
            Err(elsewhere) => return as_json(elsewhere),
        };
        let now = clock::now();
        let Some(handed_in) = self.handed_in(visit, Purpose::Add, now)? else { return self.wrong(visit) };
        let algorithm = visit.field("algorithm").and_then(|text| text.parse::<i64>().ok()).unwrap_or_default();
        let public_key = bytes(visit, "key").unwrap_or_default();
        let HandedIn { challenge, id, client, authenticator } = handed_in;
        let made = passkey::check_new(self.expected(&challenge), &client, &authenticator, (algorithm, &public_key));
        let Some(made) = made.ok().filter(|made| made.id == id) else { return self.wrong(visit) };
        if !self.challenges.use_up(URL_SAFE_NO_PAD.decode(&challenge).unwrap_or_default(), now)? {
            return self.wrong(visit);
        }
        let name = session.person.name.clone();
        let label = label(visit.field("label").as_deref().unwrap_or_default());
        let (counter, person) = (made.counter.into(), name.clone());
        let new = Passkey { id, person, public_key, algorithm, counter, label, created_at: now.0, last_used_at: None };
        match self
            .store()
            .await?
            .add_passkey((&new, session.person.generation), &Change { by: name.clone(), at: now.0 })
            .await
        {
            Ok(()) => {}
            Err(StoreError::State(why)) => return json(StatusCode::FORBIDDEN, &json!({"problem": why})),
            Err(error) => return Err(error.into()),
        }
        let next = visit.return_to().unwrap_or_else(|| "/bartizan/account".to_owned());
        self.begin_session((&session.person, &[Method::Passkey]), Some(&session), sent(&next)).await
    }

    /// Takes a passkey from somebody.
    pub(super) async fn remove_passkey(&self, visit: &Visit) -> Answer {
        self.check_form(visit)?;
        let session = match self.may_set_up(visit, "/bartizan/account").await? {
            Ok(session) => session,
            Err(elsewhere) => return elsewhere,
        };
        let id = bytes(visit, "id").unwrap_or_default();
        let (person, keep) = (&session.person, &session.kept.digest);
        let change = Change { by: person.name.clone(), at: clock::now().0 };
        self.store().await?.remove_passkey((&person.name, person.generation), &id, keep, &change).await?;
        see_other("/bartizan/account")
    }

    /// What a browser hands in, if it answers a challenge that it was given for this.
    fn handed_in(&self, visit: &Visit, purpose: Purpose, now: Timestamp) -> Result<Option<HandedIn>, Trouble> {
        let fields = (bytes(visit, "id"), bytes(visit, "client"), bytes(visit, "authenticator"));
        let (Some(id), Some(client), Some(authenticator)) = fields else { return Ok(None) };
        let Some(challenge) = visit.field("challenge").filter(|_| self.takes_passkeys()) else { return Ok(None) };
        let decoded = URL_SAFE_NO_PAD.decode(&challenge).unwrap_or_default();
        let browser = self.browser(visit)?.csrf();
        let is_good = self.challenges.is_good(&decoded, purpose, &browser, now)?;
        Ok(is_good.then_some(HandedIn { challenge, id, client, authenticator }))
    }

    fn expected<'a>(&'a self, challenge: &'a str) -> Expected<'a> {
        Expected { challenge, origin: self.public(), host: self.host() }
    }

    /// The host of the pages, without a port.
    fn host(&self) -> &str {
        let authority = self.public().split_once("://").map_or("", |(_, authority)| authority);
        // That of an address of IPv6 is none that passkeys can be for.
        authority.rsplit_once(':').filter(|_| !authority.ends_with(']')).map_or(authority, |(host, _)| host)
    }

    fn wrong(&self, visit: &Visit) -> Answer {
        self.count_wrong(visit);
        json(StatusCode::FORBIDDEN, &json!({"problem": WRONG}))
    }
}

/// Has the script go to a page of ours.
fn sent(path: &str) -> Answer {
    json(StatusCode::OK, &json!({"location": path}))
}

/// Where somebody is sent, said to the script, with the cookies that go with it.
fn as_json(elsewhere: Answer) -> Answer {
    let elsewhere = elsewhere?;
    let path =
        elsewhere.headers().get(http::header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut said = sent(path)?;
    for cookie in elsewhere.headers().get_all(http::header::SET_COOKIE) {
        said.headers_mut().append(http::header::SET_COOKIE, cookie.clone());
    }
    Ok(said)
}

fn bytes(visit: &Visit, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(visit.field(name)?.trim_end_matches('=')).ok()
}

/// What somebody calls a passkey, as far as it is a name.
fn label(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).take(LONGEST_LABEL).collect();
    if plain.trim().is_empty() { "passkey".to_owned() } else { plain.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_for_one_browser_and_purpose_for_a_time_and_once() {
        let challenges = Challenges::new().unwrap();
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let given = challenges.give(Purpose::SignIn, "mine", at(1_000)).unwrap();
        let raw = URL_SAFE_NO_PAD.decode(given).unwrap();
        let mut changed = raw.clone();
        changed[0] ^= 1;
        for (challenge, purpose, browser, second, good) in [
            (&raw, Purpose::SignIn, "mine", 1_000, true),
            (&raw, Purpose::SignIn, "mine", 1_299, true),
            (&raw, Purpose::SignIn, "mine", 1_300, false),
            (&raw, Purpose::SignIn, "mine", 999, false),
            (&raw, Purpose::SignIn, "yours", 1_000, false),
            (&raw, Purpose::StepUp, "mine", 1_000, false),
            (&raw, Purpose::Add, "mine", 1_000, false),
            (&changed, Purpose::SignIn, "mine", 1_000, false),
            (&raw[..20].to_vec(), Purpose::SignIn, "mine", 1_000, false),
        ] {
            assert_eq!(
                challenges.is_good(challenge, purpose, browser, at(second)).unwrap(),
                good,
                "{second} {browser}"
            );
        }
        let other = Challenges::new().unwrap();
        assert!(!other.is_good(&raw, Purpose::SignIn, "mine", at(1_000)).unwrap(), "of another process");
        assert!(challenges.use_up(raw.clone(), at(1_000)).unwrap());
        assert!(!challenges.use_up(raw.clone(), at(1_000)).unwrap());
        assert!(!challenges.is_good(&raw, Purpose::SignIn, "mine", at(1_001)).unwrap());
    }

    #[test]
    fn a_label_is_a_name() {
        let long = "x".repeat(100);
        for (text, expected) in [
            ("  my phone\n", "my phone"),
            ("\u{7}", "passkey"),
            ("", "passkey"),
            (&long, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        ] {
            assert_eq!(label(text), expected);
        }
    }
}
