//! Signing in with a name and a password, and signing out.
//!
//! **Threat.** Somebody tries passwords, or tries which names there are. Whatever is wrong is said in the same words, and
//! takes the same work: a name that nobody has is verified against a digest of nothing.

use askama::Template;
use bartizan_identity::password;
use bartizan_store::people::Person;
use http::StatusCode;
use serde_json::json;

use super::page::{page, see_other};
use super::session::Method;
use super::trouble::Trouble;
use super::visit::Visit;
use super::{Answer, Web};
use crate::clock;

const WRONG: &str = "That is not right. Look at the name and the password, and try again.";

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page<'a> {
    csrf: &'a str,
    return_to: &'a str,
    name: &'a str,
    problem: Option<&'a str>,
}

impl Web {
    pub(super) async fn show_sign_in(&self, visit: &Visit) -> Answer {
        if self.signed_in(visit).await?.is_some() {
            return see_other(&afterwards(visit));
        }
        self.sign_in_page(visit, StatusCode::OK, None)
    }

    fn sign_in_page(&self, visit: &Visit, status: StatusCode, problem: Option<&str>) -> Answer {
        let browser = self.browser(visit)?;
        let (csrf, return_to) = (browser.csrf(), visit.return_to().unwrap_or_default());
        let name = visit.field("name").unwrap_or_default();
        let shown = page(status, &Page { csrf: &csrf, return_to: &return_to, name: &name, problem })?;
        Ok(self.keeping(&browser, shown))
    }

    pub(super) async fn sign_in(&self, visit: &Visit) -> Answer {
        self.check_form(visit)?;
        let (name, password) = (visit.field("name").unwrap_or_default(), visit.field("password").unwrap_or_default());
        let guess = self.guesses.begin((visit.from, &name, None), clock::steady())?;
        let Some(person) = self.who(&name, password).await? else {
            self.gateway.recorder.count_refusal(&visit.from.to_string(), "edge.sign_in");
            return self.sign_in_page(visit, StatusCode::FORBIDDEN, Some(WRONG));
        };
        guess.right();
        self.record_sign_in(visit, &person.name, &[Method::Pwd])?;
        let old = self.session(visit).await?;
        self.begin_session((&person.name, &[Method::Pwd]), old.as_ref(), see_other(&afterwards(visit))).await
    }

    /// Whose name and password these are. Takes as long for whoever is not there, and for whoever may not sign in.
    async fn who(&self, name: &str, password: String) -> Result<Option<Person>, Trouble> {
        let store = self.store().await?;
        let person = store.person(name).await?;
        let kept = person.as_ref().and_then(|person| person.password.clone());
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)?;
        let verified = self.hashing.run(move || {
            let right = password::verify(&password, kept.as_deref());
            let old = kept.filter(|kept| right && !password::is_current(kept));
            let renewed = old.and_then(|old| Some((old, password::hash(&password, &salt).ok()?)));
            (right, renewed)
        });
        let (right, renewed) = verified.await?;
        let Some(person) = person.filter(|person| right && person.disabled_at.is_none()) else { return Ok(None) };
        if let Some((old, new)) = renewed {
            store.rehash_password(&person.name, &old, &new).await?;
        }
        Ok(Some(person))
    }

    /// Whoever cannot be recorded does not come in.
    pub(super) fn record_sign_in(&self, visit: &Visit, person: &str, shown: &[Method]) -> Result<(), Trouble> {
        let methods: Vec<_> = shown.iter().map(|method| method.as_str()).collect();
        let fields = json!({"person": person, "methods": methods, "from": visit.from.to_string()});
        self.gateway.recorder.note("person.signed_in", &fields)?;
        Ok(())
    }

    pub(super) async fn sign_out(&self, visit: &Visit) -> Answer {
        self.check_form(visit)?;
        self.end_session(visit, see_other("/bartizan/sign-in")).await
    }
}

/// Where somebody goes who has proven who they are.
pub(super) fn afterwards(visit: &Visit) -> String {
    visit.return_to().unwrap_or_else(|| "/bartizan/account".to_owned())
}
