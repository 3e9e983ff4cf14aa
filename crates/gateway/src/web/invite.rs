//! The page that an invitation leads to: choosing a password and one-time passwords.
//!
//! **Threat.** Somebody finds the link in a mail or a history and uses it before or after whom it is for. So it is good once and
//! for a time that whoever makes it says, its secret has 256 bits of which the store has a digest, and the page signs nobody in:
//! with what was chosen there people sign in as always.

use askama::Template;
use bartizan_identity::password;
use bartizan_store::Change;
use bartizan_store::people::Person;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use sha2::{Digest, Sha256};

use super::one_time::{NOT_THE_DIGITS, Setup, codes_page};
use super::page::{Message, after_form, page};
use super::session::Method;
use super::trouble::Trouble;
use super::visit::Visit;
use super::{Answer, Web};
use crate::clock;

#[derive(Template)]
#[template(path = "invite.html")]
struct Page<'a> {
    csrf: &'a str,
    token: &'a str,
    person: &'a str,
    /// Where browsers find the gateway.
    host: &'a str,
    problem: Option<&'a str>,
    shortest: usize,
    setup: Setup,
}

/// An invitation that is good.
struct Invited {
    token: String,
    digest: [u8; 32],
    person: Person,
}

impl Web {
    pub(super) async fn show_invite(&self, visit: &Visit) -> Answer {
        match self.invited(visit, visit.query("token")).await? {
            Some(invited) => self.invite_page(visit, &invited, None).await,
            None => over(),
        }
    }

    pub(super) async fn accept(&self, visit: &Visit) -> Answer {
        self.check_form(visit)?;
        let Some(invited) = self.invited(visit, visit.field("token")).await? else { return over() };
        let (name, chosen) = (&invited.person.name, visit.field("password").unwrap_or_default());
        if let Err(unfit) = password::check_fit(&chosen, name) {
            return self.invite_page(visit, &invited, Some(&format!("Choose another one: {unfit}."))).await;
        }
        if visit.field("again").as_ref() != Some(&chosen) {
            return self.invite_page(visit, &invited, Some("The two passwords differ.")).await;
        }
        let code = visit.field("code").unwrap_or_default();
        let wants_codes = self.settings.sign_in.second_factor_required || !code.trim().is_empty();
        let one_time = if wants_codes { self.chosen(visit, &invited.whose(), name).await? } else { None };
        if wants_codes && one_time.is_none() {
            return self.invite_page(visit, &invited, Some(NOT_THE_DIGITS)).await;
        }
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)?;
        let hashed = self.hashing.run(move || password::hash(&chosen, &salt)).await?.map_err(|_| Trouble::Failed)?;
        let (one_time, codes) = one_time.map_or((None, Vec::new()), |(one_time, codes)| (Some(one_time), codes));
        let change = Change { by: name.clone(), at: clock::now().0 };
        let store = self.store().await?;
        let accepted = store.accept_invitation(&invited.digest, &hashed, one_time.as_ref(), &change).await?;
        let Some(person) = accepted else { return over() };
        // What they have just shown is what they sign in with from here on. Asked for it again they would show the same six
        // digits, which are used.
        let (shown, next) = if codes.is_empty() {
            (&[Method::Pwd][..], after_form("/bartizan/account"))
        } else {
            (&[Method::Pwd, Method::Otp][..], codes_page(&codes, "/bartizan/account"))
        };
        self.let_in(visit, &person, shown, next).await
    }

    async fn invited(&self, visit: &Visit, token: Option<String>) -> Result<Option<Invited>, Trouble> {
        let Some(token) = token.filter(|token| token.len() == 64) else { return Ok(None) };
        let digest = Sha256::digest(token.as_bytes()).into();
        let person = self.store().await?.invited(&digest, clock::now().0).await?;
        if person.is_none() {
            self.count_wrong(visit);
        }
        Ok(person.map(|person| Invited { token, digest, person }))
    }

    async fn invite_page(&self, visit: &Visit, invited: &Invited, problem: Option<&str>) -> Answer {
        let browser = self.browser(visit)?;
        let required = self.settings.sign_in.second_factor_required;
        let setup = self.setup(visit, &invited.whose(), &invited.person.name, required).await?;
        let shown = Page {
            csrf: &browser.csrf(),
            token: &invited.token,
            person: &invited.person.name,
            host: authority(&self.settings.public),
            problem,
            shortest: password::SHORTEST,
            setup,
        };
        let shown = page(if problem.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK }, &shown)?;
        Ok(self.keeping(&browser, shown))
    }
}

impl Invited {
    /// Whose a secret is that is being set up, for the seal.
    fn whose(&self) -> String {
        format!("invite {}", URL_SAFE_NO_PAD.encode(self.digest))
    }
}

/// The host and port of an address.
fn authority(public: &str) -> &str {
    public.split_once("://").map_or(public, |(_, host)| host)
}

fn over() -> Answer {
    let text = "The link has been used, has ended, or is none. Whoever runs this gateway can make another one.";
    page(StatusCode::NOT_FOUND, &Message { title: "Not good any more", text })
}
