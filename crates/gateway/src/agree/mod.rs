//! Asking somebody before a message passes, and finding out what they said.
//!
//! **Threat.** What was agreed to is done twice, or something else is done, or a client fills the store with questions. So
//! what was approved is found by the digest of exactly what is to be done, is spent in the store before the message is
//! judged again with it, and no more than so many requests of one principal wait.
//!
//! Whatever goes wrong here refuses the message.

mod shown;
pub(crate) mod state;
mod told;
mod who;

pub use self::shown::shown;
pub use self::who::{Who, objection, others};

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bartizan_config::Approval as Settings;
use bartizan_guard::{
    Approval, Approver, Ask, Challenge, DefinitionKind, Direction, Event, Grant, Principal, Roles, Session, Timestamp,
    excerpt, plain_uri,
};
use bartizan_mcp::{Digest, Era, Kind, method};
use bartizan_store::approvals::{self, Asked, Most, Request, State};
use bartizan_store::people::Person;
use bartizan_store::{Revision, Store, StoreError};
use serde_json::{Value, json};

use crate::asking::{Asking, Form};
use crate::clock;
use crate::database::Database;
use crate::random;

/// What is sealed of a request, and of a state that a client keeps.
pub const PURPOSE: &str = "approval";
/// Larger parameters nobody looks at.
const LARGEST: usize = 128 * 1024;
/// Requests of all principals that may wait at a time.
const ALL: i64 = 10_000;
/// How often the store is looked at while somebody decides.
const LOOK: Duration = Duration::from_millis(200);

/// Who is asked, and where that is kept.
pub(crate) struct Agreements {
    database: Arc<Database>,
    /// Where people find the pages, if there are any.
    pages: ArcSwapOption<String>,
}

/// What came of looking for an agreement.
pub(crate) enum Found {
    /// It was there, and is spent: good for this one message.
    Granted(Granted),
    /// Somebody is asked.
    Asked(Box<Asking>),
    /// Nobody is, and why.
    Refused(String),
    /// Somebody said no to the request of that name, and why.
    Denied(String, String),
}

/// An agreement that was spent.
pub(crate) struct Granted {
    /// What the request was called.
    pub(crate) id: String,
    pub(crate) grant: Grant,
}

/// What the store was when some requests were looked at.
#[derive(PartialEq, Eq)]
pub(crate) struct Seen(Revision, Vec<String>);

/// How a client can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Not at all.
    None,
    /// By an address to go to.
    Url(Era),
}

/// Whoever asks for something that needs an agreement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// How they can be asked.
    pub(crate) way: Way,
    /// What their client calls itself, if it says so.
    pub(crate) client: Option<&'a str>,
    /// Who may do what.
    pub(crate) roles: &'a Roles,
}

impl Agreements {
    pub(crate) fn new(database: Arc<Database>) -> Agreements {
        Agreements { database, pages: ArcSwapOption::empty() }
    }

    /// Says where people find the pages: scheme, host and port.
    pub(crate) fn show_pages_at(&self, public: &str) {
        self.pages.store(Some(Arc::new(public.to_owned())));
    }

    /// Finds the agreement for a message that needs one, and spends it; or asks for it.
    pub(crate) async fn find(
        &self,
        settings: &Settings,
        (event, session): (&Event<'_>, &Session),
        approval: &Approval,
        asker: Asker<'_>,
    ) -> Found {
        if event.direction != Direction::ToServer || event.message.kind() != Kind::Request {
            return Found::Refused("nobody can be asked about what is no request of a client's".to_owned());
        }
        match self.look(settings, (event, session), approval, asker).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "nobody can be asked for an approval");
                Found::Refused("nobody can be asked for it, as the store cannot be used".to_owned())
            }
        }
    }

    async fn look(
        &self,
        settings: &Settings,
        (event, session): (&Event<'_>, &Session),
        approval: &Approval,
        asker: Asker<'_>,
    ) -> Result<Found, StoreError> {
        let Some(store) = self.database.open().await? else {
            return Ok(Found::Refused("nothing says where requests for approval are kept".to_owned()));
        };
        let (principal, now) = (&*event.principal.id, event.now.0);
        let digest = on_terms(settings, (event, session), approval).0;
        let held = store.open_approval(principal, &digest, now).await?;
        if let Some(held) = &held
            && held.state(now) == State::Approved
            && store.spend_approval(&held.request.id, &digest, now).await?
        {
            let grant = Grant { digest: approval.digest, expires: Timestamp(held.request.expires_at) };
            return Ok(Found::Granted(Granted { id: held.request.id.clone(), grant }));
        }
        let held = match held.filter(|held| held.state(now) != State::Approved) {
            Some(held) => held,
            // There is none, or another call was quicker to spend it.
            None => match self.ask(&store, settings, (event, session), (approval, digest, asker.client)).await? {
                Ok(held) => held,
                Err(why) => return Ok(Found::Refused(why)),
            },
        };
        match held.state(now) {
            State::Denied => Ok(Found::Denied(held.request.id.clone(), denied(&held))),
            State::Pending => Ok(Found::Asked(Box::new(self.asking(&store, &held, event, asker).await?))),
            // Somebody was quicker than we are, which the next call finds out.
            _ => Ok(Found::Refused("it was decided this very moment; call again".to_owned())),
        }
    }

    /// Puts a request for approval into the store, if there is room for it; otherwise why not.
    async fn ask(
        &self,
        store: &Arc<Store>,
        settings: &Settings,
        (event, session): (&Event<'_>, &Session),
        (approval, digest, client): (&Approval, [u8; 32], Option<&str>),
    ) -> Result<Result<approvals::Approval, String>, StoreError> {
        let needs = |need| approval.asks.iter().any(|ask| ask.need == need);
        if needs(Challenge::StepUp)
            && let Some(why) = self.why_unproven(store, &event.principal.id).await?
        {
            let by_token = |age: Duration| {
                format!("; a token of a sign-in with a second factor in the last {} s does", age.as_secs())
            };
            return Ok(Err(format!("{why}{}", approval.max_age().map(by_token).unwrap_or_default())));
        }
        if four_eyes(settings, &approval.asks) && *event.principal.id == *Principal::ANONYMOUS {
            let why = "two have to look at it, and of whoever shows nothing nobody can tell that they are not the second: show \
                       a key, or sign in";
            return Ok(Err(why.to_owned()));
        }
        let params = event.message.params().map_or("{}", |params| params.raw());
        if params.len() > LARGEST {
            return Ok(Err(format!("it is larger than the {LARGEST} bytes that somebody can be shown")));
        }
        let id = random::word().map_err(|error| StoreError::State(error.to_string()))?;
        let sealed = store.sealer().await?.seal(PURPOSE, &owner(&id), params.as_bytes())?;
        let expires_at = event.now.0.saturating_add(micros(settings.expires));
        let mut asks = asks(&approval.asks, &settings.approvers, is_grave(event, session, &approval.asks));
        if let (Some(asks), Some(client)) = (asks.as_object_mut(), client) {
            asks.insert(CLIENT.to_owned(), excerpt(client).into());
        }
        let request = Request {
            id,
            digest,
            principal: event.principal.id.to_string(),
            server: event.server.name.to_string(),
            what: what(event),
            asks,
            sealed,
            needs_yes: needs(Challenge::Approval),
            needs_proof: needs(Challenge::StepUp),
            four_eyes: four_eyes(settings, &approval.asks),
            created_at: event.now.0,
            expires_at,
        };
        let most = Most { each: i64::try_from(settings.pending).unwrap_or(i64::MAX), all: ALL };
        Ok(match store.ask_approval(&request, most).await? {
            Asked::There(held) => Ok(*held),
            Asked::TooMany => Err("too many requests wait for an approval already".to_owned()),
        })
    }

    /// Why nobody can come and show that they are whoever asks; nothing if somebody can. A request would wait in vain.
    async fn why_unproven(&self, store: &Store, principal: &str) -> Result<Option<String>, StoreError> {
        if self.pages.load().is_none() {
            let why = "there are no pages here on which whoever asks could show who they are ([sign_in])";
            return Ok(Some(why.to_owned()));
        }
        let who = excerpt(principal);
        Ok(match self.person(store, principal).await? {
            Some(person) if person.disabled_at.is_none() => None,
            Some(_) => Some(format!("whoever asks would have to show who they are, and `{who}` may not sign in here")),
            None => Some(format!(
                "whoever asks would have to show who they are, and `{who}` is no person who signs in here"
            )),
        })
    }

    /// The person that a principal is, if they are one who could sign in here.
    async fn person(&self, store: &Store, principal: &str) -> Result<Option<Person>, StoreError> {
        // Of a prefix nobody can be who signs in here: those are a certificate, a service or somebody of another issuer.
        let person = if principal.contains(':') { None } else { store.person(principal).await? };
        Ok(person.filter(|person| person.name == principal && self.pages.load().is_some()))
    }

    /// What the client is told of a request that waits.
    async fn asking(
        &self,
        store: &Arc<Store>,
        held: &approvals::Approval,
        event: &Event<'_>,
        asker: Asker<'_>,
    ) -> Result<Asking, StoreError> {
        let request = &held.request;
        let url = self.pages.load().as_ref().map(|public| format!("{public}{PAGE}{}", request.id));
        let person = self.person(store, &request.principal).await?;
        let signs_in = person.is_some_and(|person| person.disabled_at.is_none());
        let operator = format!("uid:{}", rustix::process::getuid().as_raw());
        let means = told::Means { url: url.as_deref(), signs_in, operator: &operator };
        let form = match (asker.way, means.page(request, asker.roles)) {
            (Way::Url(Era::Legacy), Some(_)) => Form::Error,
            (Way::Url(Era::Stateless), Some(_)) if may_ask_back(event) => Form::Input(state::seal(store, held).await?),
            _ => Form::Plain,
        };
        let what_to_do = told::what_to_do(request, asker.roles, &means);
        Ok(Asking { id: request.id.clone(), invitation: told::invitation(request), url, what_to_do, form })
    }

    /// Waits until it is decided about a request, no longer than that; whether it is.
    pub(crate) async fn decided(&self, id: &str, patience: Duration) -> bool {
        let waits = async {
            let (request, mut seen) = ([id.to_owned()], None);
            loop {
                tokio::time::sleep(LOOK).await;
                match self.settled(&request, &mut seen).await.as_deref() {
                    Ok([]) => {}
                    Ok([(_, state), ..]) => return state.is_some(),
                    Err(_) => return false,
                }
            }
        };
        tokio::time::timeout(patience, waits).await.unwrap_or(false)
    }

    /// Those of some requests that wait for nobody any more, each with what became of it, which is nothing if there is no such
    /// request; none if nothing has changed since `seen` was.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) async fn settled(
        &self,
        requests: &[String],
        seen: &mut Option<Seen>,
    ) -> Result<Vec<(String, Option<State>)>, StoreError> {
        let Some(store) = self.database.open().await? else { return Ok(Vec::new()) };
        let now = store.revision().map(|revision| Seen(revision, requests.to_vec()));
        if now.is_some() && now == *seen {
            return Ok(Vec::new());
        }
        let mut settled = Vec::new();
        for id in requests {
            match store.approval(id).await.map(|held| held.state(clock::now().0)) {
                Ok(State::Pending) => {}
                Ok(state) => settled.push((id.clone(), Some(state))),
                Err(StoreError::Unknown { .. }) => settled.push((id.clone(), None)),
                Err(error) => return Err(error),
            }
        }
        *seen = now;
        Ok(settled)
    }

    /// What a state that a client sends back is about.
    pub(crate) async fn read_state(&self, state: &str) -> Option<state::Kept> {
        let store = self.database.open().await.ok()??;
        state::unseal(&store, state).await
    }
}

/// Where the page of a request is, before what it is called.
pub(crate) const PAGE: &str = "/bartizan/approve/";

/// By this key the client's own name for itself stands beside what asks.
pub(crate) const CLIENT: &str = "client";

/// Whose the sealed parameters are.
#[must_use]
pub fn owner(id: &str) -> String {
    format!("request {id}")
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// What is asked for, such as `tool pay`.
fn what(event: &Event<'_>) -> String {
    let method = event.message.method().unwrap_or_default();
    let named = |kind: &str, member: &str| Some(format!("{kind} {}", excerpt(&event.message.param(member)?)));
    let named = match method {
        method::TOOLS_CALL => named("tool", "name"),
        method::PROMPTS_GET => named("prompt", "name"),
        // This is logged; whoever decides sees the whole URI among the parameters.
        method::RESOURCES_READ => {
            event.message.param("uri").map(|uri| format!("resource {}", excerpt(&plain_uri(&uri))))
        }
        _ => None,
    };
    named.unwrap_or_else(|| excerpt(method))
}

/// Whether whoever agrees has to show who they are: a policy says so, or the server says that the tool destroys something.
fn is_grave(event: &Event<'_>, session: &Session, asks: &[Ask]) -> bool {
    let tool = || {
        let name = event.message.param("name").filter(|_| event.message.method() == Some(method::TOOLS_CALL))?;
        session.catalog.get(DefinitionKind::Tool, &name).map(|tool| tool.is_destructive())
    };
    asks.iter().any(|ask| ask.fresh) || tool() == Some(true)
}

/// What asks, for whoever is asked.
fn asks(asks: &[Ask], usual: &[Approver], fresh: bool) -> Value {
    let one = |ask: &Ask| {
        let own = if ask.approvers.is_empty() { usual } else { &ask.approvers };
        let mut approvers: Vec<_> = own.iter().map(ToString::to_string).collect();
        approvers.sort_unstable();
        json!({
            "rule": ask.rule, "policy": ask.policy.as_deref(), "why": ask.why, "need": ask.need.as_str(), "approvers": approvers,
        })
    };
    json!({ "fresh": fresh, "asks": asks.iter().map(one).collect::<Vec<_>>() })
}

fn four_eyes(settings: &Settings, asks: &[Ask]) -> bool {
    settings.four_eyes || asks.iter().any(|ask| ask.four_eyes)
}

/// SHA-256 of what an agreement is about, and of who has to agree to it and how: what was asked before that changed is asked
/// anew. Why it is asked does not count.
pub(crate) fn on_terms(settings: &Settings, (event, session): (&Event<'_>, &Session), approval: &Approval) -> Digest {
    let mut terms = asks(&approval.asks, &settings.approvers, is_grave(event, session, &approval.asks));
    for ask in terms.get_mut("asks").and_then(Value::as_array_mut).into_iter().flatten() {
        ask.as_object_mut().and_then(|ask| ask.remove("why"));
    }
    let four_eyes = four_eyes(settings, &approval.asks);
    Digest::of_canonical(&json!([approval.digest.to_hex(), four_eyes, terms]).to_string())
}

/// Whether this request may be answered by asking for input. One that answers what its server has asked may not: there is
/// one place for a state, and that has the server's.
fn may_ask_back(event: &Event<'_>) -> bool {
    let asks = [method::TOOLS_CALL, method::PROMPTS_GET, method::RESOURCES_READ];
    let params = event.message.params();
    let has = |name| params.is_some_and(|params| params.get(name).is_some());
    event.message.method().is_some_and(|method| asks.contains(&method)) && !has(state::STATE) && !has(state::ANSWERS)
}

fn denied(held: &approvals::Approval) -> String {
    let said = if held.reason.is_empty() { String::new() } else { format!(": {}", excerpt(&held.reason)) };
    format!("request {} was denied{said}", held.request.id)
}
