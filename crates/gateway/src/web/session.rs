//! Who is signed in, in which browser.
//!
//! **Threat.** Somebody has another's browser use a session that they know, keeps one for ever, or reads the store and takes
//! over those that are in it. So a browser has one cookie of 256 random bits, of which only a digest is kept; it is another one
//! after each time somebody proves who they are; and it ends when nobody uses it, after a while in any case, and when its
//! person is disabled. What a form carries against forgery is derived from the cookie, so it is good in that browser only,
//! before anybody has signed in as well as after.

use std::time::Duration;

use bartizan_guard::Timestamp;
use bartizan_store::people::Person;
use bartizan_store::web_sessions::{Over, WebSession};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::page::see_other;
use super::trouble::Trouble;
use super::visit::{Visit, is_own};
use super::{Answer, Web};
use crate::agree::micros;
use crate::clock;

/// When a session was used is known to the minute.
const MINUTE: i64 = 60_000_000;

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedIn {
    /// The principal they are.
    pub(crate) person: String,
    /// Which of theirs what they have shown is of.
    pub(crate) generation: i64,
    /// When they signed in.
    pub(crate) at: Timestamp,
    /// What they have shown, and when last.
    pub(crate) methods: Vec<(Method, Timestamp)>,
    /// What a form of theirs carries as `csrf`.
    pub(crate) csrf: String,
}

impl SignedIn {
    /// When they last showed something that a thief of their password does not have.
    pub(crate) fn second_factor_at(&self) -> Option<Timestamp> {
        self.methods.iter().filter(|(method, _)| *method != Method::Pwd).map(|(_, at)| *at).max()
    }

    /// Whether they have shown a second factor no longer ago than that.
    pub(crate) fn is_fresh(&self, longest: Duration, now: Timestamp) -> bool {
        self.second_factor_at().is_some_and(|at| now.0.saturating_sub(at.0) <= micros(longest))
    }
}

/// What somebody shows to prove who they are, by the names of RFC 8176 where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// A password.
    Pwd,
    /// A one-time password, or a recovery code in its place.
    Otp,
    /// A passkey, with which their device has verified that it is them.
    Passkey,
}

impl Method {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Method::Pwd => "pwd",
            Method::Otp => "otp",
            Method::Passkey => "passkey",
        }
    }
}

/// The session of a browser, whatever it is good for.
pub(super) struct Session {
    pub(super) kept: WebSession,
    pub(super) person: Person,
}

impl Session {
    /// What was shown, and when last.
    pub(super) fn methods(&self) -> Vec<(Method, Timestamp)> {
        let WebSession { password_at, otp_at, passkey_at, .. } = self.kept;
        let all = [(Method::Pwd, password_at), (Method::Otp, otp_at), (Method::Passkey, passkey_at)];
        all.into_iter().filter_map(|(method, at)| Some((method, Timestamp(at?)))).collect()
    }

    /// Whether what was shown is enough to be signed in.
    pub(super) fn is_enough(&self, second_factor_required: bool) -> bool {
        !second_factor_required || self.kept.otp_at.is_some() || self.kept.passkey_at.is_some()
    }
}

/// The secret that a browser keeps.
pub(super) struct Browser {
    secret: String,
    is_new: bool,
}

impl Browser {
    fn generate() -> Result<Browser, Trouble> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Browser { secret: URL_SAFE_NO_PAD.encode(bytes), is_new: true })
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.secret.as_bytes()).into()
    }

    /// What a form made for this browser carries.
    pub(super) fn csrf(&self) -> String {
        let digest = Sha256::new().chain_update(b"bartizan.csrf\0").chain_update(self.secret.as_bytes()).finalize();
        URL_SAFE_NO_PAD.encode(digest)
    }
}

impl Web {
    /// Who is signed in; nobody if more has to be shown for that.
    pub(crate) async fn signed_in(&self, visit: &Visit) -> Result<Option<SignedIn>, Trouble> {
        let required = self.settings.sign_in.second_factor_required;
        let session = self.session(visit).await?.filter(|session| session.is_enough(required));
        let (Some(session), Some(browser)) = (session, self.present(visit)) else { return Ok(None) };
        let (methods, at) = (session.methods(), Timestamp(session.kept.begun_at));
        let Person { name: person, generation, .. } = session.person;
        Ok(Some(SignedIn { person, generation, at, methods, csrf: browser.csrf() }))
    }

    /// Has somebody sign in, and come back.
    pub(crate) fn to_sign_in(&self, return_to: &str) -> Answer {
        see_other(&leading("/bartizan/sign-in", return_to))
    }

    /// Has somebody who is signed in show a second factor anew, and come back.
    pub(crate) fn to_step_up(&self, return_to: &str) -> Answer {
        see_other(&leading("/bartizan/step-up", return_to))
    }

    /// Refuses a form that was not made for this browser.
    pub(crate) fn check_form(&self, visit: &Visit) -> Result<(), Trouble> {
        self.check_csrf(visit, &visit.field("csrf").ok_or(Trouble::Stale)?)
    }

    pub(super) fn check_csrf(&self, visit: &Visit, shown: &str) -> Result<(), Trouble> {
        let browser = self.present(visit).ok_or(Trouble::Stale)?;
        let good: bool = browser.csrf().as_bytes().ct_eq(shown.as_bytes()).into();
        if good { Ok(()) } else { Err(Trouble::Stale) }
    }

    /// The browser, as it says; a new one if it says nothing.
    pub(super) fn browser(&self, visit: &Visit) -> Result<Browser, Trouble> {
        self.present(visit).map_or_else(Browser::generate, Ok)
    }

    fn present(&self, visit: &Visit) -> Option<Browser> {
        let secret = visit.cookie(self.cookie())?;
        let is_ours = secret.len() == 43 && URL_SAFE_NO_PAD.decode(secret).is_ok();
        is_ours.then(|| Browser { secret: secret.to_owned(), is_new: false })
    }

    /// The session of this browser, if it has one that is not over.
    pub(super) async fn session(&self, visit: &Visit) -> Result<Option<Session>, Trouble> {
        let Some(browser) = self.present(visit) else { return Ok(None) };
        let (store, now) = (self.store().await?, clock::now());
        let Some((kept, person)) = store.web_session(&browser.digest(), self.over(now)).await? else { return Ok(None) };
        if now.0.saturating_sub(kept.seen_at) >= MINUTE {
            store.note_web_session(&kept.digest, minute(now)).await?;
        }
        Ok(Some(Session { kept, person }))
    }

    /// Begins a session in which this was shown just now, in place of the one that the browser has; for that of another
    /// person nothing is kept of what was shown there. Answers with `answer`, which has the browser know it.
    pub(super) async fn begin_session(
        &self,
        (person, shown): (&Person, &[Method]),
        old: Option<&Session>,
        answer: Answer,
    ) -> Answer {
        let (now, browser) = (clock::now(), Browser::generate()?);
        let own = old.filter(|old| old.person.name == person.name).map(|old| &old.kept);
        let at = |method, before: Option<i64>| if shown.contains(&method) { Some(now.0) } else { before };
        let new = WebSession {
            digest: browser.digest(),
            person: person.name.clone(),
            begun_at: own.map_or(now.0, |own| own.begun_at),
            seen_at: minute(now),
            password_at: at(Method::Pwd, own.and_then(|own| own.password_at)),
            otp_at: at(Method::Otp, own.and_then(|own| own.otp_at)),
            passkey_at: at(Method::Passkey, own.and_then(|own| own.passkey_at)),
        };
        let store = self.store().await?;
        if !store.begin_web_session((&new, person.generation), old.map(|old| &old.kept.digest), self.over(now)).await? {
            return Err(Trouble::Stale);
        }
        answer.map(|response| self.keeping(&browser, response))
    }

    /// Ends the session of this browser.
    pub(super) async fn end_session(&self, visit: &Visit, answer: Answer) -> Answer {
        if let Some(browser) = self.present(visit) {
            self.store().await?.end_web_session(&browser.digest()).await?;
        }
        let mut response = answer?;
        self.set_cookie(&mut response, self.cookie(), "", 0);
        Ok(response)
    }

    /// An answer with which a browser that is new gets its secret.
    pub(super) fn keeping(&self, browser: &Browser, mut response: Response<Bytes>) -> Response<Bytes> {
        if browser.is_new {
            let lifetime = self.settings.sign_in.session_lifetime;
            self.set_cookie(&mut response, self.cookie(), &browser.secret, lifetime.as_secs());
        }
        response
    }

    /// Has the browser keep a text for so many seconds, which no script sees.
    pub(super) fn set_cookie(&self, response: &mut Response<Bytes>, name: &str, value: &str, seconds: u64) {
        let secure = if self.is_secure() { "; Secure" } else { "" };
        // Lax, as people come here from their clients; a form from elsewhere comes without it.
        let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }

    /// With the prefix a browser takes it over https and for this host only, so that no neighbour can set one.
    fn cookie(&self) -> &'static str {
        if self.is_secure() { "__Host-bartizan" } else { "bartizan" }
    }

    pub(super) fn is_secure(&self) -> bool {
        self.public().starts_with("https://")
    }

    fn over(&self, now: Timestamp) -> Over {
        let before = |span: Duration| now.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX));
        let settings = &self.settings.sign_in;
        // When it was used is known to the minute, so it is given that minute.
        let unseen_since = before(settings.session_idle).saturating_sub(MINUTE);
        Over { begun_before: before(settings.session_lifetime), unseen_since }
    }
}

/// A page of ours that leads on to another.
pub(super) fn leading(page: &str, return_to: &str) -> String {
    if !is_own(return_to) {
        return page.to_owned();
    }
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("return_to", return_to).finish();
    format!("{page}?{query}")
}

fn minute(now: Timestamp) -> i64 {
    now.0 - now.0.rem_euclid(MINUTE)
}
