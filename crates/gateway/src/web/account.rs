//! What somebody sees of themselves: what they sign in with, which clients they let in, and what waits for them.
//!
//! **Threat.** Somebody ends what others let in, or learns what others are asked. So what is named in a form is looked for among
//! what is theirs, and a request is listed for whoever may see it on its own page, too.

use askama::Template;
use bartizan_store::Change;
use bartizan_store::approvals::{Approval, State};
use bartizan_store::grants::{Grant, Which};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;

use super::approve::visible;
use super::oauth::words;
use super::page::{page, see_other};
use super::trouble::Trouble;
use super::visit::Visit;
use super::{Answer, Web};
use crate::agree::PAGE;
use crate::clock;

const HERE: &str = "/bartizan/account";
/// More requests than that nobody looks through.
const LISTED: usize = 50;

#[derive(Template)]
#[template(path = "account.html")]
struct Page<'a> {
    csrf: &'a str,
    person: &'a str,
    one_time: bool,
    takes_passkeys: bool,
    passkeys: Vec<Named>,
    clients: Vec<Client>,
    own: Vec<Waiting>,
    others: Vec<Waiting>,
    /// Where clients come in, if people can let them in.
    connect: Option<String>,
    password: bool,
}

/// A passkey, as a form names it and as its owner does.
struct Named {
    id: String,
    label: String,
    since: String,
    used: Option<String>,
}

/// A client that somebody let in.
struct Client {
    id: String,
    name: String,
    /// What it is called here, as nobody vouches for its name.
    client: String,
    scopes: Vec<String>,
    /// Where it may come in.
    resource: String,
    since: String,
    used: Option<String>,
    until: String,
}

/// A request that waits for somebody.
struct Waiting {
    path: String,
    what: String,
    server: String,
    principal: String,
}

impl Web {
    pub(super) async fn show_account(&self, visit: &Visit) -> Answer {
        let Some(signed_in) = self.signed_in(visit).await? else { return self.to_sign_in(HERE) };
        let (store, now) = (self.store().await?, clock::now().0);
        let person = store.person(&signed_in.person).await?;
        let passkeys = store.passkeys_of(&signed_in.person).await?.into_iter();
        let named = passkeys.map(|passkey| Named {
            id: URL_SAFE_NO_PAD.encode(&passkey.id),
            label: passkey.label,
            since: day(passkey.created_at),
            used: passkey.last_used_at.map(day),
        });
        let (own, others) = self.waiting(&signed_in.person, now).await?;
        let shown = Page {
            csrf: &signed_in.csrf,
            person: &signed_in.person,
            one_time: person.as_ref().is_some_and(|person| person.totp.is_some()),
            takes_passkeys: self.takes_passkeys(),
            passkeys: named.collect(),
            clients: store.grants_of(&signed_in.person, now).await?.iter().map(client).collect(),
            own,
            others,
            connect: self.oauth.is_some().then(|| format!("{}/mcp", self.settings.public)),
            password: person.is_some_and(|person| person.password.is_some()),
        };
        page(StatusCode::OK, &shown)
    }

    /// Takes back what somebody let a client have.
    pub(super) async fn remove_client(&self, visit: &Visit) -> Answer {
        let Some(signed_in) = self.signed_in(visit).await? else { return self.to_sign_in(HERE) };
        self.check_form(visit)?;
        let which = Which::Own(signed_in.person.clone(), visit.field("id").unwrap_or_default());
        let change = Change { by: signed_in.person, at: clock::now().0 };
        self.store().await?.revoke_grants(&which, &change).await?;
        see_other(HERE)
    }

    /// What somebody asked for, and what they may decide, as far as it waits.
    async fn waiting(&self, person: &str, now: i64) -> Result<(Vec<Waiting>, Vec<Waiting>), Trouble> {
        let roles = self.roles();
        let all = self.store().await?.approvals().await?;
        let pending = all.iter().filter(|approval| approval.state(now) == State::Pending);
        let listed = pending.filter(|approval| self.may_see(approval, person, &roles)).take(LISTED);
        let (own, others): (Vec<_>, Vec<_>) = listed.partition(|approval| approval.request.principal == person);
        Ok((own.into_iter().map(waiting).collect(), others.into_iter().map(waiting).collect()))
    }
}

fn client(grant: &Grant) -> Client {
    let terms = &grant.terms;
    let name = if terms.client_name.trim().is_empty() { "A client without a name" } else { &*terms.client_name };
    Client {
        id: grant.id.clone(),
        name: visible(name),
        client: visible(&terms.client),
        scopes: terms.scopes.iter().map(|scope| visible(&words::of(scope))).collect(),
        resource: visible(&terms.resource),
        since: day(grant.created_at),
        used: grant.used_at.map(day),
        until: day(grant.expires_at),
    }
}

fn waiting(approval: &Approval) -> Waiting {
    let request = &approval.request;
    Waiting {
        path: format!("{PAGE}{}", request.id),
        what: visible(&request.what),
        server: visible(&request.server),
        principal: visible(&request.principal),
    }
}

/// The day of a moment, in UTC.
fn day(micros: i64) -> String {
    let text = bartizan_audit::rfc3339(micros);
    text.split('T').next().unwrap_or_default().to_owned()
}
