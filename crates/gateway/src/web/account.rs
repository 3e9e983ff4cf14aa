//! What somebody sees of themselves.

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;

use super::page::page;
use super::visit::Visit;
use super::{Answer, Web};

#[derive(Template)]
#[template(path = "account.html")]
struct Page<'a> {
    csrf: &'a str,
    person: &'a str,
    one_time: bool,
    takes_passkeys: bool,
    passkeys: Vec<Named>,
}

/// A passkey, as a form names it and as its owner does.
struct Named {
    id: String,
    label: String,
}

impl Web {
    pub(super) async fn show_account(&self, visit: &Visit) -> Answer {
        let Some(signed_in) = self.signed_in(visit).await? else { return self.to_sign_in("/bartizan/account") };
        let store = self.store().await?;
        let person = store.person(&signed_in.person).await?;
        let passkeys = store.passkeys_of(&signed_in.person).await?.into_iter();
        let named = passkeys.map(|passkey| Named { id: URL_SAFE_NO_PAD.encode(&passkey.id), label: passkey.label });
        let shown = Page {
            csrf: &signed_in.csrf,
            person: &signed_in.person,
            one_time: person.is_some_and(|person| person.totp.is_some()),
            takes_passkeys: self.takes_passkeys(),
            passkeys: named.collect(),
        };
        page(StatusCode::OK, &shown)
    }
}
