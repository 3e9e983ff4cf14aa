//! What a browser comes with, and the page on which its person agrees.
//!
//! The page holds the request as it came, and what it showed as a digest. Sent back, the request is read anew, and asked
//! anew if it would show something else by then; so nothing is kept of a request that nobody has agreed to.

use std::sync::Arc;

use askama::Template;
use bartizan_guard::Timestamp;
use bartizan_identity::grant::authorize::{ASKED_AT, Answer as Reply, Asked, Offer, Refusal, Request};
use bartizan_identity::grant::client::{Client, Known};
use bartizan_identity::grant::redirect::Kind;
use bartizan_identity::grant::{OAuthError, Params, Secret, SecretKind};
use bartizan_store::Change;
use bartizan_store::grants::{Code, Terms};
use http::StatusCode;

use super::{AUTHORIZE, OAuth, words};
use crate::clock;
use crate::web::page::{Message, let_forms_lead_to, page, see_other};
use crate::web::session::{Method, SignedIn};
use crate::web::visit::Visit;
use crate::web::{Answer, Web};

/// How long a code is good, in microseconds: a client comes for it at once.
const CODE_LIFETIME: i64 = 60_000_000;

#[derive(Template)]
#[template(path = "consent.html")]
struct Page<'a> {
    csrf: &'a str,
    request: &'a str,
    shown: &'a str,
    person: &'a str,
    name: &'a str,
    /// Whether the operator says who that is.
    is_configured: bool,
    /// The host that says who it is.
    host: Option<&'a str>,
    resource: &'a str,
    scopes: &'a [String],
    redirect_uri: &'a str,
    /// Whether whoever runs on the person's machine may be at that address.
    is_local: bool,
}

/// A request that was read, and who it comes from.
struct Wanted {
    client: Arc<Client>,
    request: Request,
}

/// Why there is nothing to agree to.
enum Stop {
    /// Said to the person.
    Person(String),
    /// Said to the client.
    Client(OAuthError, Reply),
    /// Said to the person first: nobody has checked the client, and it may want them somewhere else and nothing more, such
    /// as in a program of theirs that does what an address says (RFC 9700, section 4.11.2).
    Strange(OAuthError, Reply),
}

/// Where somebody is led who does not know whose address that is.
#[derive(Template)]
#[template(path = "back.html")]
struct Back<'a> {
    why: &'a str,
    host: &'a str,
    address: &'a str,
}

impl Web {
    /// A client sends a browser here.
    pub(in crate::web) async fn authorize(&self, visit: &Visit) -> Answer {
        let oauth = self.oauth()?;
        let query = visit.head.uri.query().unwrap_or_default();
        // What cannot be read at all is not worth signing in for; the rest is said to nobody who may not come in.
        if let Err(why) = readable(query) {
            return self.stopped(visit, oauth, Stop::Person(why));
        }
        let Some(signed_in) = self.signed_in(visit).await? else {
            return self.to_sign_in(&asked_now(query));
        };
        let wanted = match self.wanted(oauth, query).await? {
            Ok(wanted) => wanted,
            Err(stop) => return self.stopped(visit, oauth, stop),
        };
        if !has_proven(&signed_in, &wanted) {
            return self.to_step_up(&asked_now(query));
        }
        let before = self.consented(&signed_in, &wanted).await?;
        // An address on the person's own machine is whoever's program is there, so it is always asked.
        let is_sure = wanted.request.redirect_uri.kind() == Kind::Web && wanted.client.known != Known::Registered;
        let is_new = wanted.request.scopes.iter().any(|scope| !before.contains(scope));
        if is_sure && !is_new && !wanted.request.asks_again {
            return self.send_code(oauth, &signed_in, &wanted, None).await;
        }
        self.consent_page(&signed_in, &wanted, query)
    }

    /// The person has answered.
    pub(in crate::web) async fn consent(&self, visit: &Visit) -> Answer {
        let oauth = self.oauth()?;
        self.check_form(visit)?;
        let query = visit.field("request").unwrap_or_default();
        let Some(signed_in) = self.signed_in(visit).await? else {
            return self.to_sign_in(&asked_now(&query));
        };
        let wanted = match self.wanted(oauth, &query).await? {
            Ok(wanted) => wanted,
            Err(stop) => return self.stopped(visit, oauth, stop),
        };
        if !has_proven(&signed_in, &wanted) && visit.field("answer").as_deref() != Some("deny") {
            return self.to_step_up(&asked_now(&query));
        }
        match visit.field("answer").as_deref() {
            // What has changed since the page was made was agreed to by nobody.
            Some("allow") if visit.field("shown").as_deref() == Some(&*digest(&signed_in, &wanted)) => {
                let change = Change { by: signed_in.person.clone(), at: clock::now().0 };
                self.send_code(oauth, &signed_in, &wanted, Some(change)).await
            }
            Some("deny") => {
                let reply = wanted.request.answer();
                self.stopped(visit, oauth, Stop::Client(OAuthError::denied(), reply))
            }
            _ => self.consent_page(&signed_in, &wanted, &query),
        }
    }

    /// What a query asks for, if it is something that can be given.
    async fn wanted(&self, oauth: &OAuth, query: &str) -> Result<Result<Wanted, Stop>, crate::web::trouble::Trouble> {
        let params = match Params::parse(query.as_bytes()) {
            Ok(params) => params,
            Err(why) => return Ok(Err(Stop::Person(why.to_string()))),
        };
        let asked = match Asked::read(&params) {
            Ok(asked) => asked,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let store = oauth.issuer.store().await?;
        let client = match oauth.clients.find(asked.client_id, &store).await? {
            Ok(client) => client,
            Err(why) => return Ok(Err(Stop::Person(why.to_string()))),
        };
        let offer = Offer {
            is_resource: &|resource| oauth.server_of(resource).is_some(),
            is_scope: &|resource, scope| oauth.is_scope(resource, scope),
            default_scope: &|resource| oauth.default_scope(resource),
        };
        let is_checked = client.known == Known::Configured;
        Ok(match asked.check(&client, &offer) {
            Ok(request) => Ok(Wanted { client, request }),
            Err(Refusal::Client(error, reply)) if !is_checked => Err(Stop::Strange(error, reply)),
            Err(refusal) => Err(refusal.into()),
        })
    }

    async fn consented(
        &self,
        signed_in: &SignedIn,
        Wanted { client, request }: &Wanted,
    ) -> Result<Vec<String>, crate::web::trouble::Trouble> {
        let Some(registered) = client.known_as(&request.redirect_uri) else { return Ok(Vec::new()) };
        let store = self.oauth()?.issuer.store().await?;
        Ok(store.consented(&signed_in.person, &client.id, registered.as_str(), &request.resource).await?)
    }

    fn consent_page(&self, signed_in: &SignedIn, wanted: &Wanted, query: &str) -> Answer {
        let Wanted { client, request } = wanted;
        let scopes: Vec<_> = request.scopes.iter().map(|scope| words::of(scope)).collect();
        let host = client.host();
        let content = Page {
            csrf: &signed_in.csrf,
            request: query,
            shown: &digest(signed_in, wanted),
            person: &signed_in.person,
            name: &client.name,
            is_configured: client.known == Known::Configured,
            host: host.as_deref(),
            resource: &request.resource,
            scopes: &scopes,
            redirect_uri: request.redirect_uri.as_str(),
            is_local: request.redirect_uri.kind() != Kind::Web,
        };
        let mut response = page(StatusCode::OK, &content)?;
        let_forms_lead_to(&mut response, &request.redirect_uri.source());
        Ok(response)
    }

    /// Sends the browser back to the client with a code for it; with `change` the person has agreed just now.
    async fn send_code(
        &self,
        oauth: &OAuth,
        signed_in: &SignedIn,
        Wanted { client, request }: &Wanted,
        change: Option<Change>,
    ) -> Answer {
        let secret = Secret::generate(SecretKind::Code, getrandom::fill)?;
        let now = clock::now().0;
        let registered = client.known_as(&request.redirect_uri).unwrap_or(&request.redirect_uri);
        let shown = shown(signed_in, request);
        let code = Code {
            digest: secret.digest().to_bytes(),
            terms: Terms {
                person: signed_in.person.clone(),
                client: client.id.clone(),
                client_name: client.name.clone(),
                resource: request.resource.clone(),
                scopes: request.scopes.clone(),
                proof_key: request.key.clone(),
                // All that is named was shown since.
                signed_in_at: shown.iter().map(|(_, at)| at.0).min().unwrap_or(signed_in.at.0),
                methods: shown.iter().map(|(method, _)| method.as_str().to_owned()).collect(),
            },
            redirect_uri: request.redirect_uri.as_str().to_owned(),
            registered_uri: registered.as_str().to_owned(),
            challenge: request.challenge.to_bytes(),
            refreshes: client.refreshes,
            created_at: now,
            expires_at: now.saturating_add(CODE_LIFETIME),
        };
        let store = oauth.issuer.store().await?;
        match change {
            Some(change) => store.agree(&code, signed_in.generation, &change).await?,
            None => store.add_code(&code, signed_in.generation).await?,
        }
        see_other(&request.answer().code(oauth.issuer.url(), secret.expose()))
    }

    fn stopped(&self, visit: &Visit, oauth: &OAuth, stop: Stop) -> Answer {
        match stop {
            Stop::Person(why) => {
                self.gateway.recorder.count_refusal(&visit.from.to_string(), "edge.authorize");
                let text = format!("A program has sent you here, and it cannot be let in. {why}");
                page(StatusCode::BAD_REQUEST, &Message { title: "Not possible", text: &text })
            }
            Stop::Client(error, reply) => see_other(&reply.error(oauth.issuer.url(), &error)),
            Stop::Strange(error, reply) => {
                let (host, address) = (reply.redirect_uri().source(), reply.error(oauth.issuer.url(), &error));
                page(StatusCode::BAD_REQUEST, &Back { why: &error.error_description, host: &host, address: &address })
            }
        }
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Person(error) => Stop::Person(format!("Its request is not good: {}.", error.error_description)),
            Refusal::Client(error, reply) => Stop::Client(error, reply),
        }
    }
}

/// Whether a request can be read, and says who asks.
fn readable(query: &str) -> Result<(), String> {
    let params = Params::parse(query.as_bytes()).map_err(|why| format!("Its request is not good: {why}."))?;
    match Asked::read(&params) {
        Ok(_) => Ok(()),
        Err(Refusal::Person(error) | Refusal::Client(error, _)) => {
            Err(format!("Its request is not good: {}.", error.error_description))
        }
    }
}

/// Where a browser comes back to with the same request after its person has shown who they are from now on.
fn asked_now(query: &str) -> String {
    let rest = query.split('&').filter(|part| part.split('=').next() != Some(ASKED_AT));
    format!("{AUTHORIZE}?{}&{ASKED_AT}={}", rest.collect::<Vec<_>>().join("&"), clock::now().0)
}

fn has_proven(signed_in: &SignedIn, wanted: &Wanted) -> bool {
    wanted.request.proof.is_given(signed_in.second_factor_at().map(|at| at.0), clock::now().0)
}

/// What the token is to say that its person has shown: all of it, or, if it matters when, what they showed as they last
/// showed a second factor.
fn shown(signed_in: &SignedIn, request: &Request) -> Vec<(Method, Timestamp)> {
    let since = signed_in.second_factor_at().filter(|_| request.proof.is_fresh());
    signed_in.methods.iter().filter(|(_, at)| since.is_none_or(|since| *at >= since)).copied().collect()
}

/// All that a page shows of a request.
fn digest(signed_in: &SignedIn, Wanted { client, request }: &Wanted) -> String {
    let mut hasher = blake3::Hasher::new();
    let (uri, scopes) = (request.redirect_uri.as_str(), request.scopes.join(" "));
    for part in [&signed_in.person, &client.id, &client.name, uri, &request.resource, &scopes] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
