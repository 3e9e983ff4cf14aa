//! Showing once more that it is you, in a browser where you are signed in.
//!
//! **Threat.** Somebody comes to a browser that was left open, or makes it ask for something in its owner's name. What matters
//! is asked for with a second factor that is shown anew; the session is another one afterwards.

use askama::Template;
use http::StatusCode;

use super::page::{after_form, page};
use super::session::{Method, Session, leading};
use super::sign_in::afterwards;
use super::trouble::Trouble;
use super::visit::Visit;
use super::{Answer, Web};
use crate::clock;

const WRONG: &str = "That is not right, or was used before. Each is good once; wait for the next one, and look at the clock of \
                     what shows it.";

#[derive(Template)]
#[template(path = "step_up.html")]
struct Page<'a> {
    csrf: &'a str,
    return_to: &'a str,
    person: &'a str,
    /// What is decided after it, if that is known.
    question: Option<String>,
    problem: Option<&'a str>,
    codes: bool,
    passkeys: bool,
    set_up: &'a str,
}

impl Web {
    pub(super) async fn show_step_up(&self, visit: &Visit) -> Answer {
        match self.here(visit).await? {
            Ok(session) => self.step_up_page(visit, &session, None).await,
            Err(elsewhere) => elsewhere,
        }
    }

    pub(super) async fn step_up(&self, visit: &Visit) -> Answer {
        self.check_form(visit)?;
        let session = match self.here(visit).await? {
            Ok(session) => session,
            Err(elsewhere) => return elsewhere,
        };
        let person = &session.person;
        let guess =
            self.guesses.begin((visit.from, &person.name, self.known(visit, &person.name).await?), clock::steady())?;
        let right = self.right(person, &visit.field("code").unwrap_or_default()).await?;
        let is_good = match right {
            Some(right) => self.use_up(person, right).await?,
            None => false,
        };
        if !is_good {
            self.count_wrong(visit);
            return self.step_up_page(visit, &session, Some(WRONG)).await;
        }
        guess.right();
        self.record_step_up(visit, &person.name, Method::Otp)?;
        self.begin_session((person, &[Method::Otp]), Some(&session), after_form(&afterwards(visit))).await
    }

    /// The session of somebody who is signed in, or where they have to go first.
    pub(super) async fn here(&self, visit: &Visit) -> Result<Result<Session, Answer>, Trouble> {
        let required = self.settings.sign_in.second_factor_required;
        let session = self.session(visit).await?.filter(|session| session.is_enough(required));
        Ok(session.ok_or_else(|| self.to_sign_in(&leading("/bartizan/step-up", &afterwards(visit)))))
    }

    async fn step_up_page(&self, visit: &Visit, session: &Session, problem: Option<&str>) -> Answer {
        let name = &session.person.name;
        let (csrf, return_to) = (self.browser(visit)?.csrf(), visit.return_to().unwrap_or_default());
        let shown = Page {
            csrf: &csrf,
            return_to: &return_to,
            person: name,
            question: self.question_at(&return_to, name).await,
            problem,
            codes: session.person.totp.is_some(),
            passkeys: self.takes_passkeys() && self.has_passkey(name).await?,
            set_up: &leading("/bartizan/one-time", &return_to),
        };
        page(if problem.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK }, &shown)
    }
}
