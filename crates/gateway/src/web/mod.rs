//! Pages for people: signing in, and whatever somebody has to look at before the gateway goes on.
//!
//! **Threat.** Whatever a browser is made to do: another page sends forms with the user's cookies, shows these pages in a
//! frame, leads to them with an address to return to that is its own, or has somebody sign in as somebody else. So a form
//! comes from a page of ours (`Origin`) and names the browser that it was made for ([`session`]), no page is shown in a frame,
//! and nobody is sent elsewhere from here.
//!
//! A request passes, in this order: its path, its `Origin`, the size and time of its form, and then the page that it is for.
//! A page is one arm of [`Web::page`] and one file.

mod account;
mod approve;
mod guesses;
mod hashing;
mod invite;
mod known;
pub(crate) mod oauth;
mod one_time;
pub(crate) mod page;
mod passkeys;
mod password;
mod qr;
pub(crate) mod session;
mod sign_in;
mod step_up;
mod style;
pub(crate) mod trouble;
pub(crate) mod visit;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_config::SignIn;
use bartizan_store::Store;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use self::guesses::Guesses;
use self::hashing::Hashing;
use self::oauth::OAuth;
use self::passkeys::Challenges;
use self::trouble::Trouble;
use self::visit::Visit;
use crate::agree;
use crate::collect::{CollectError, collect};
use crate::database::Database;
use crate::gateway::Gateway;
use crate::identity::Identity;

/// What a page comes to.
pub(crate) type Answer = Result<Response<Bytes>, Trouble>;

/// What the paths of all pages begin with.
pub(crate) const PREFIX: &str = "/bartizan/";
/// The same as somebody types it.
const BARE: &str = "/bartizan";
/// The largest form.
const LARGEST: usize = 64 * 1024;

/// All pages of one gateway.
pub(crate) struct Web {
    gateway: Arc<Gateway>,
    database: Arc<Database>,
    settings: Settings,
    identity: Arc<Identity>,
    /// What people can let clients have, if they can.
    oauth: Option<OAuth>,
    guesses: Guesses,
    hashing: Hashing,
    challenges: Challenges,
}

/// What does not change while a gateway runs.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where browsers find it: scheme, host and port, without a slash at the end.
    pub(crate) public: Arc<str>,
    /// How people sign in.
    pub(crate) sign_in: SignIn,
    /// How long a browser may take to send a form.
    pub(crate) body_timeout: Duration,
}

impl Web {
    /// # Errors
    /// If there are no random bytes.
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        (database, identity): (Arc<Database>, Arc<Identity>),
        oauth: Option<OAuth>,
        settings: Settings,
    ) -> Result<Arc<Web>, getrandom::Error> {
        let (guesses, hashing, challenges) = (Guesses::default(), Hashing::default(), Challenges::new()?);
        Ok(Arc::new(Web { gateway, database, identity, oauth, settings, guesses, hashing, challenges }))
    }

    /// Whether a path is one of a page, or of something that clients ask for beside them.
    pub(crate) fn has(&self, path: &str) -> bool {
        path.starts_with(PREFIX) || path == BARE || oauth::is_served(path, self.oauth.as_ref())
    }

    /// Whether programs ask for it, and no browser on its own.
    pub(crate) fn is_for_clients(path: &str) -> bool {
        oauth::is_endpoint(path)
    }

    /// Answers a request whose `Host` was checked. The rule is there if it was refused.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        from: IpAddr,
    ) -> (Response<Bytes>, Option<&'static str>) {
        if oauth::is_endpoint(request.uri().path()) {
            return Box::pin(self.endpoint(request, from)).await;
        }
        if let Some(there) = visit::under_its_name(&request, self.public()) {
            return (there, None);
        }
        let answered = match self.visit(request, from).await {
            Ok(visit) => self.page(&visit).await,
            Err(trouble) => Err(trouble),
        };
        match answered {
            Ok(response) => (response, None),
            Err(trouble) => (trouble.page(), trouble.rule()),
        }
    }

    /// Every page there is.
    async fn page(&self, visit: &Visit) -> Answer {
        match (&visit.head.method, visit.path()) {
            (&Method::GET, BARE | PREFIX) => page::see_other("/bartizan/account"),
            (&Method::GET, "/bartizan/style.css") => Ok(page::asset("text/css; charset=utf-8", style::STYLE)),
            (&Method::GET, path) if path.starts_with(agree::PAGE) => self.show_approval(visit).await,
            (&Method::POST, path) if path.starts_with(agree::PAGE) => Box::pin(self.decide_approval(visit)).await,
            (&Method::GET, "/bartizan/sign-in") => self.show_sign_in(visit).await,
            (&Method::POST, "/bartizan/sign-in") => Box::pin(self.sign_in(visit)).await,
            (&Method::POST, "/bartizan/sign-out") => self.sign_out(visit).await,
            (&Method::GET, "/bartizan/step-up") => self.show_step_up(visit).await,
            (&Method::POST, "/bartizan/step-up") => self.step_up(visit).await,
            (&Method::GET, "/bartizan/one-time") => self.show_one_time(visit).await,
            (&Method::POST, "/bartizan/one-time") => self.set_one_time(visit).await,
            (&Method::GET, "/bartizan/invite") => self.show_invite(visit).await,
            (&Method::POST, "/bartizan/invite") => Box::pin(self.accept(visit)).await,
            (&Method::GET, "/bartizan/passkey.js") => {
                Ok(page::asset("text/javascript; charset=utf-8", include_str!("passkey.js")))
            }
            (&Method::POST, "/bartizan/passkey/options") => self.passkey_options(visit).await,
            (&Method::POST, "/bartizan/passkey/sign-in") => Box::pin(self.passkey_sign_in(visit)).await,
            (&Method::POST, "/bartizan/passkey/step-up") => Box::pin(self.passkey_step_up(visit)).await,
            (&Method::POST, "/bartizan/passkey/add") => Box::pin(self.add_passkey(visit)).await,
            (&Method::POST, "/bartizan/passkey/remove") => self.remove_passkey(visit).await,
            (&Method::GET, "/bartizan/account") => Box::pin(self.show_account(visit)).await,
            (&Method::POST, "/bartizan/client/remove") => self.remove_client(visit).await,
            (&Method::GET, "/bartizan/password") => self.show_password(visit).await,
            (&Method::POST, "/bartizan/password") => Box::pin(self.change_password(visit)).await,
            (&Method::GET, "/bartizan/oauth/authorize") => Box::pin(self.authorize(visit)).await,
            (&Method::POST, "/bartizan/consent") => Box::pin(self.consent(visit)).await,
            _ => Err(Trouble::Nowhere),
        }
    }

    /// Where browsers find the pages: scheme, host and port.
    pub(crate) fn public(&self) -> &str {
        &self.settings.public
    }

    /// The database of people.
    pub(crate) async fn store(&self) -> Result<Arc<Store>, Trouble> {
        self.database.open().await?.ok_or(Trouble::Unavailable)
    }

    /// Reads the form of a request that comes from a page of ours.
    async fn visit(&self, request: Request<Incoming>, from: IpAddr) -> Result<Visit, Trouble> {
        let (head, body) = request.into_parts();
        if !matches!(head.method, Method::GET | Method::POST) {
            return Err(Trouble::Method);
        }
        if head.method == Method::GET {
            return Ok(Visit { head, body: Bytes::new(), from });
        }
        if !visit::is_from(&head.headers, self.public()) {
            return Err(Trouble::Foreign(Arc::clone(&self.settings.public)));
        }
        let body = self.body(body, LARGEST).await?;
        Ok(Visit { head, body, from })
    }

    async fn body(&self, body: Incoming, largest: usize) -> Result<Bytes, Trouble> {
        let mut share = self.gateway.memory.share();
        let collected = collect(body, largest, &mut share);
        match tokio::time::timeout(self.settings.body_timeout, collected).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(CollectError::TooLarge)) => Err(Trouble::Refused(StatusCode::PAYLOAD_TOO_LARGE, "edge.too_large")),
            Ok(Err(CollectError::Crowded)) => Err(Trouble::Busy),
            Ok(Err(CollectError::Broken(_))) => Err(Trouble::Refused(StatusCode::BAD_REQUEST, "edge.body")),
            Err(_) => Err(Trouble::Refused(StatusCode::REQUEST_TIMEOUT, "edge.too_slow")),
        }
    }
}
