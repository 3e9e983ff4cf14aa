//! Signing in with a name, a password and a one-time password, and signing out.
//!
//! **Threat.** Somebody tries passwords, or tries which names there are. Whatever is wrong is said in the same words, and
//! takes the same work: a name that nobody has is verified against a digest of nothing. All is asked for on one form, so
//! nobody is told that a password is right who does not have the rest.

use askama::Template;
use bartizan_identity::password;
use bartizan_store::people::Person;
use http::StatusCode;
use serde_json::json;

use super::page::{after_form, page, see_other};
use super::session::{Method, leading};
use super::trouble::Trouble;
use super::visit::Visit;
use super::{Answer, Web};
use crate::clock;

const WRONG: &str = "That is not right. Look at the name, the password and the one-time password, which is good once, and at the clock of \
                     what shows it.";

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page<'a> {
    csrf: &'a str,
    return_to: &'a str,
    name: &'a str,
    problem: Option<&'a str>,
    passkeys: bool,
}

impl Web {
    pub(super) async fn show_sign_in(&self, visit: &Visit) -> Answer {
        let Some(session) = self.session(visit).await? else { return self.sign_in_page(visit, StatusCode::OK, None) };
        if session.is_enough(self.settings.sign_in.second_factor_required) {
            return see_other(&afterwards(visit));
        }
        if session.person.totp.is_none() && !self.has_passkey(&session.person.name).await? {
            return see_other(&leading("/bartizan/one-time", &afterwards(visit)));
        }
        self.sign_in_page(visit, StatusCode::OK, None)
    }

    fn sign_in_page(&self, visit: &Visit, status: StatusCode, problem: Option<&str>) -> Answer {
        let browser = self.browser(visit)?;
        let (csrf, return_to) = (browser.csrf(), visit.return_to().unwrap_or_default());
        let name = visit.field("name").unwrap_or_default();
        let passkeys = self.takes_passkeys();
        let shown = page(status, &Page { csrf: &csrf, return_to: &return_to, name: &name, problem, passkeys })?;
        Ok(self.keeping(&browser, shown))
    }

    pub(super) async fn sign_in(&self, visit: &Visit) -> Answer {
        self.check_form(visit)?;
        let name = visit.field("name").filter(|name| name.len() <= 64).unwrap_or_default();
        let known = self.known(visit, &name).await?;
        let guess = self.guesses.begin((visit.from, &name, known), clock::steady())?;
        let found = match self.who(visit, &name).await {
            Err(Trouble::Busy) => {
                guess.unseen();
                return Err(Trouble::Busy);
            }
            found => found?,
        };
        let Some((person, shown)) = found else {
            self.count_wrong(visit);
            return self.sign_in_page(visit, StatusCode::FORBIDDEN, Some(WRONG));
        };
        guess.right();
        self.let_in(visit, &person, &shown, after_form(&afterwards(visit))).await
    }

    /// Signs in somebody who has shown who they are.
    pub(super) async fn let_in(&self, visit: &Visit, person: &Person, shown: &[Method], answer: Answer) -> Answer {
        let mut answer = answer?;
        // Whoever cannot be recorded does not come in.
        let methods: Vec<_> = shown.iter().map(|method| method.as_str()).collect();
        let fields = json!({"person": person.name, "methods": methods, "from": visit.from.to_string()});
        self.gateway.recorder.note("person.signed_in", &fields)?;
        let old = self.session(visit).await?;
        self.make_known(&mut answer, &person.name).await?;
        self.begin_session((person, shown), old.as_ref(), Ok(answer)).await
    }

    /// Who somebody is, and what they have shown. Takes as long for whoever is not there, and for whoever may not sign in.
    async fn who(&self, visit: &Visit, name: &str) -> Result<Option<(Person, Vec<Method>)>, Trouble> {
        let person = self.store().await?.person(name).await?;
        let code = visit.field("code").unwrap_or_default();
        let right = match &person {
            Some(person) => self.right(person, &code).await?,
            None => None,
        };
        let is_right = self.verify(person.as_ref(), visit.field("password").unwrap_or_default()).await?;
        let Some(person) = person.filter(|person| is_right && person.disabled_at.is_none()) else { return Ok(None) };
        let is_used = match right {
            Some(right) => self.use_up(&person, right).await?,
            None => false,
        };
        if is_used {
            return Ok(Some((person, vec![Method::Pwd, Method::Otp])));
        }
        // Whoever has a second factor is not signed in without.
        let has_factor = person.totp.is_some() || self.has_passkey(&person.name).await?;
        Ok((!has_factor).then(|| (person, vec![Method::Pwd])))
    }

    /// Whether it is the password of somebody, which is kept anew if it was kept with other parameters.
    async fn verify(&self, person: Option<&Person>, password: String) -> Result<bool, Trouble> {
        let kept = person.and_then(|person| person.password.clone());
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)?;
        let verified = self.hashing.run(move || {
            let right = password::verify(&password, kept.as_deref());
            let old = kept.filter(|kept| right && !password::is_current(kept));
            let renewed = old.and_then(|old| Some((old, password::hash(&password, &salt).ok()?)));
            (right, renewed)
        });
        let (right, renewed) = verified.await?;
        if let Some((person, (old, new))) = person.zip(renewed) {
            self.store().await?.rehash_password(&person.name, &old, &new).await?;
        }
        Ok(right)
    }

    /// Counts an attempt that was wrong, for the log.
    pub(super) fn count_wrong(&self, visit: &Visit) {
        self.gateway.recorder.count_refusal(&visit.from.to_string(), "edge.sign_in");
    }

    /// Whoever cannot be recorded does not go on.
    pub(super) fn record_step_up(&self, visit: &Visit, person: &str, shown: Method) -> Result<(), Trouble> {
        let fields = json!({"person": person, "method": shown.as_str(), "from": visit.from.to_string()});
        self.gateway.recorder.note("person.stepped_up", &fields)?;
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
