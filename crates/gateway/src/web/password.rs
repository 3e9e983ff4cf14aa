//! Choosing another password.
//!
//! **Threat.** Somebody finds a browser that was left signed in, and makes the account their own. So whoever has a second factor
//! shows it first, the old password is asked for, guesses of it are counted as at the sign-in, and every other browser is
//! signed out.

use askama::Template;
use bartizan_identity::password;
use bartizan_store::Change;
use http::StatusCode;

use super::page::{Message, page};
use super::session::Session;
use super::trouble::Trouble;
use super::visit::Visit;
use super::{Answer, Web};
use crate::clock;

const HERE: &str = "/bartizan/password";

#[derive(Template)]
#[template(path = "password.html")]
struct Page<'a> {
    csrf: &'a str,
    person: &'a str,
    problem: Option<&'a str>,
    shortest: usize,
}

impl Web {
    pub(super) async fn show_password(&self, visit: &Visit) -> Answer {
        match self.may_set_up(visit, HERE).await? {
            Ok(session) => self.password_page(visit, &session, None),
            Err(elsewhere) => elsewhere,
        }
    }

    pub(super) async fn change_password(&self, visit: &Visit) -> Answer {
        self.check_form(visit)?;
        let session = match self.may_set_up(visit, HERE).await? {
            Ok(session) => session,
            Err(elsewhere) => return elsewhere,
        };
        let (person, chosen) = (&session.person, visit.field("password").unwrap_or_default());
        if let Err(unfit) = password::check_fit(&chosen, &person.name) {
            return self.password_page(visit, &session, Some(&format!("Choose another one: {unfit}.")));
        }
        if visit.field("again").as_ref() != Some(&chosen) {
            return self.password_page(visit, &session, Some("The two new passwords differ."));
        }
        if visit.field("old").as_ref() == Some(&chosen) {
            return self.password_page(visit, &session, Some("Choose another one: the new one is the old one."));
        }
        let known = self.known(visit, &person.name).await?;
        let guess = self.guesses.begin((visit.from, &person.name, known), clock::steady())?;
        let found = match self.rehashed(&session, visit.field("old").unwrap_or_default(), chosen).await {
            Err(Trouble::Busy) => {
                guess.unseen();
                return Err(Trouble::Busy);
            }
            found => found?,
        };
        let Some((old, new)) = found else {
            self.count_wrong(visit);
            return self.password_page(visit, &session, Some("That is not your password."));
        };
        guess.right();
        let change = Change { by: person.name.clone(), at: clock::now().0 };
        let (whose, keep) = ((&*person.name, person.generation), &session.kept.digest);
        if !self.store().await?.change_password(whose, (&old, &new), keep, &change).await? {
            return self.password_page(visit, &session, Some("It was changed meanwhile. Sign in again."));
        }
        let text = "It is in force from now on. Every other browser is signed out.";
        page(StatusCode::OK, &Message { title: "Another password", text })
    }

    /// The digests of the old password, if it is right, and of the new one.
    async fn rehashed(&self, session: &Session, old: String, new: String) -> Result<Option<(String, String)>, Trouble> {
        let Some(kept) = session.person.password.clone() else { return Ok(None) };
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)?;
        let hashed = self.hashing.run(move || {
            password::verify(&old, Some(&kept)).then(|| password::hash(&new, &salt).map(|new| (kept, new)))
        });
        hashed.await?.transpose().map_err(|_| Trouble::Failed)
    }

    fn password_page(&self, visit: &Visit, session: &Session, problem: Option<&str>) -> Answer {
        let csrf = self.browser(visit)?.csrf();
        let shown = Page { csrf: &csrf, person: &session.person.name, problem, shortest: password::SHORTEST };
        page(if problem.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK }, &shown)
    }
}
