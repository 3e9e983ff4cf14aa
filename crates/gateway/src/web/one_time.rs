//! One-time passwords: setting them up, and whether one that is shown is right.
//!
//! **Threat.** Whoever reads the store makes them, so their secret is sealed; whoever sees one uses it again, so the store keeps
//! the step of the last one, for all processes and after a restart; and whoever comes to a browser in which somebody is signed
//! in gives them a second factor of their own, so setting one up asks for what they have already, shown a short time ago.

use askama::Template;
use bartizan_guard::Timestamp;
use bartizan_identity::one_time;
use bartizan_store::people::{OneTime, Person};
use bartizan_store::{Change, SealError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;

use super::page::page;
use super::session::{Method, Session, leading};
use super::sign_in::afterwards;
use super::trouble::Trouble;
use super::visit::Visit;
use super::{Answer, Web, qr};
use crate::clock;

/// So long ago somebody may have shown who they are who changes what they do that with, in microseconds.
pub(super) const FRESH: i64 = 10 * 60 * 1_000_000;
/// As many recovery codes somebody has at first.
const CODES: usize = 10;
/// A digit too few and a clock that is wrong look the same from here.
pub(super) const NOT_THE_DIGITS: &str = "Those are not the six digits; try the next ones. If none are taken, look at the clock of what shows \
                                         them: half a minute of difference is all there may be.";
const PURPOSE: &str = "totp";

/// What is shown of a secret that is being set up.
pub(super) struct Setup {
    pub(super) secret: String,
    pub(super) sealed: String,
    pub(super) width: usize,
    pub(super) path: String,
    pub(super) required: bool,
}

/// A code that is right, but not used up yet.
pub(super) enum Right {
    Step(i64),
    Recovery([u8; 32]),
}

#[derive(Template)]
#[template(path = "one_time.html")]
struct SetupPage<'a> {
    csrf: &'a str,
    return_to: &'a str,
    person: &'a str,
    problem: Option<&'a str>,
    setup: Setup,
}

#[derive(Template)]
#[template(path = "codes.html")]
struct CodesPage<'a> {
    codes: &'a [String],
    next: &'a str,
}

impl From<SealError> for Trouble {
    fn from(error: SealError) -> Self {
        tracing::error!(%error, "what is sealed about people cannot be used");
        Trouble::Unavailable
    }
}

impl Web {
    /// What the code of somebody may be; nothing if it is none that is right. It says nothing of whether it was used before.
    pub(super) async fn right(&self, person: &Person, code: &str) -> Result<Option<Right>, Trouble> {
        if let Some(digest) = one_time::recovery_digest(code) {
            return Ok(Some(Right::Recovery(digest)));
        }
        let Some(sealed) = &person.totp else { return Ok(None) };
        let sealer = self.store().await?.sealer().await?;
        let secret = sealer.unseal(PURPOSE, &owner(&person.name), sealed)?;
        Ok(one_time::step(&secret, code, clock::now().0, person.totp_step).map(Right::Step))
    }

    /// Uses a code up. Returns whether it was still good.
    pub(super) async fn use_up(&self, person: &Person, right: Right) -> Result<bool, Trouble> {
        let store = self.store().await?;
        Ok(match right {
            Right::Step(step) => store.use_one_time(&person.name, step).await?,
            Right::Recovery(digest) => store.use_recovery_code(&person.name, &digest).await?,
        })
    }

    pub(super) async fn show_one_time(&self, visit: &Visit) -> Answer {
        match self.may_set_up(visit, &here(visit)).await? {
            Ok(session) => self.one_time_page(visit, &session, None).await,
            Err(elsewhere) => elsewhere,
        }
    }

    pub(super) async fn set_one_time(&self, visit: &Visit) -> Answer {
        self.check_form(visit)?;
        let session = match self.may_set_up(visit, &here(visit)).await? {
            Ok(session) => session,
            Err(elsewhere) => return elsewhere,
        };
        let name = session.person.name.clone();
        let Some((one_time, codes)) = self.chosen(visit, &setting_up(&session), &name).await? else {
            return self.one_time_page(visit, &session, Some(NOT_THE_DIGITS)).await;
        };
        let change = Change { by: name.clone(), at: clock::now().0 };
        let (whose, keep) = ((&*name, session.person.generation), &session.kept.digest);
        // As they are now: the others were good for whoever they were before.
        let person = self.store().await?.set_one_time(whose, &one_time, keep, &change).await?;
        let shown = codes_page(&codes, &afterwards(visit));
        self.begin_session((&person, &[Method::Otp]), Some(&session), shown).await
    }

    /// The session of somebody who may change what they sign in with, or where they have to go first, to come back `here`.
    pub(super) async fn may_set_up(&self, visit: &Visit, here: &str) -> Result<Result<Session, Answer>, Trouble> {
        let Some(session) = self.session(visit).await? else { return Ok(Err(self.to_sign_in(here))) };
        let has_factor = session.person.totp.is_some() || self.has_passkey(&session.person.name).await?;
        if session.is_fresh(has_factor, clock::now()) {
            return Ok(Ok(session));
        }
        if has_factor && session.is_enough(true) {
            return Ok(Err(self.to_step_up(here)));
        }
        Ok(Err(self.end_session(visit, self.to_sign_in(here)).await))
    }

    async fn one_time_page(&self, visit: &Visit, session: &Session, problem: Option<&str>) -> Answer {
        let name = &session.person.name;
        let setup = self.setup(visit, &setting_up(session), name, true).await?;
        let (csrf, return_to) = (self.browser(visit)?.csrf(), visit.return_to().unwrap_or_default());
        let shown = SetupPage { csrf: &csrf, return_to: &return_to, person: name, problem, setup };
        page(if problem.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK }, &shown)
    }

    /// A secret to be set up: the one that the form has, as it may be in an app already, or a new one. It is sealed for `whose`.
    pub(super) async fn setup(&self, visit: &Visit, whose: &str, name: &str, required: bool) -> Result<Setup, Trouble> {
        let sealer = self.store().await?.sealer().await?;
        let held = held(visit).and_then(|sealed| sealer.unseal(PURPOSE, whose, &sealed).ok());
        let secret = match held {
            Some(secret) => secret.to_vec(),
            None => {
                let mut secret = vec![0; one_time::SECRET];
                getrandom::fill(&mut secret)?;
                secret
            }
        };
        let (width, path) = qr::path(&one_time::uri("Bartizan", name, &secret))?;
        let sealed = URL_SAFE_NO_PAD.encode(sealer.seal(PURPOSE, whose, &secret)?);
        Ok(Setup { secret: one_time::base32(&secret), sealed, width, path, required })
    }

    /// What a form has set up for somebody, with the recovery codes to be shown; nothing if the code is wrong.
    pub(super) async fn chosen(
        &self,
        visit: &Visit,
        whose: &str,
        name: &str,
    ) -> Result<Option<(OneTime, Vec<String>)>, Trouble> {
        let sealer = self.store().await?.sealer().await?;
        let Some(secret) = held(visit).and_then(|sealed| sealer.unseal(PURPOSE, whose, &sealed).ok()) else {
            return Ok(None);
        };
        let code = visit.field("code").unwrap_or_default();
        let Some(step) = one_time::step(&secret, &code, clock::now().0, 0) else { return Ok(None) };
        let codes = recovery_codes()?;
        let recovery = codes.iter().filter_map(|code| one_time::recovery_digest(code)).collect();
        let secret = sealer.seal(PURPOSE, &owner(name), &secret)?;
        Ok(Some((OneTime { secret, step, recovery }, codes)))
    }
}

impl Session {
    /// Whether what somebody has to prove who they are was shown a short time ago: the second factor, if they have one.
    pub(super) fn is_fresh(&self, has_factor: bool, now: Timestamp) -> bool {
        let factor = self.kept.otp_at.max(self.kept.passkey_at);
        let shown = if has_factor { factor } else { self.kept.password_at };
        shown.is_some_and(|at| (0..=FRESH).contains(&now.0.saturating_sub(at)))
    }
}

/// The page that shows recovery codes, this once.
pub(super) fn codes_page(codes: &[String], next: &str) -> Answer {
    page(StatusCode::OK, &CodesPage { codes, next })
}

/// This page, with where it leads afterwards.
fn here(visit: &Visit) -> String {
    leading("/bartizan/one-time", &visit.return_to().unwrap_or_default())
}

/// Whose a secret is, for the seal.
fn owner(name: &str) -> String {
    format!("person {name}")
}

/// Whose a secret is that is being set up: of this session, so that no form brings another one.
fn setting_up(session: &Session) -> String {
    format!("setup {}", URL_SAFE_NO_PAD.encode(session.kept.digest))
}

fn held(visit: &Visit) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(visit.field("secret")?).ok()
}

fn recovery_codes() -> Result<Vec<String>, Trouble> {
    let code = |_| {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map(|()| one_time::recovery_code(&random))
    };
    Ok((0..CODES).map(code).collect::<Result<_, _>>()?)
}
