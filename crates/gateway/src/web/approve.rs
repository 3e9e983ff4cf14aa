//! What somebody has to agree to before a client's call passes, and their yes or no.
//!
//! **Threat.** Somebody agrees to what they do not see, or to what is not theirs to agree to. So all of it is shown, with what
//! people do not see made visible; only whoever asks and whoever may decide see it at all; and whether they may is looked at
//! again when they decide.

use askama::Template;
use bartizan_guard::Roles;
use bartizan_mcp::{Limits, Message, is_unseen, show};
use bartizan_store::approvals::{Approval, By, Part, Request, State};
use bartizan_store::{Change, StoreError};
use http::StatusCode;

use super::page::{page, see_other};
use super::session::SignedIn;
use super::trouble::Trouble;
use super::visit::Visit;
use super::{Answer, Web};
use crate::agree::{self, PAGE, Who, objection};
use crate::clock;

#[derive(Template)]
#[template(path = "approve.html")]
struct Page<'a> {
    csrf: &'a str,
    path: &'a str,
    what: String,
    server: String,
    principal: String,
    reasons: Vec<String>,
    params: String,
    /// How it stands, if there is nothing to decide.
    state: Option<&'static str>,
    /// Why whoever looks may not agree, if they may not.
    objection: Option<String>,
    /// Whether they are asked to agree.
    asks: bool,
    /// Whether they have to show who they are before that.
    asks_first: bool,
    /// Whether they are asked to show who they are.
    asks_proof: bool,
}

impl Web {
    pub(super) async fn show_approval(&self, visit: &Visit) -> Answer {
        let Some(signed_in) = self.signed_in(visit).await? else { return self.to_sign_in(visit.path()) };
        let approval = self.approval_for(visit, &signed_in).await?;
        let request = &approval.request;
        let (state, person) = (approval.state(clock::now().0), &*signed_in.person);
        let objection = objection(request, Who::Person(person), &self.roles());
        let is_pending = state == State::Pending;
        let reasons = request.asks.get("asks").and_then(|asks| asks.as_array()).into_iter().flatten();
        let reasons = reasons.filter_map(|ask| Some(visible(ask.get("why")?.as_str()?)));
        let shown = Page {
            csrf: &signed_in.csrf,
            path: visit.path(),
            what: visible(&request.what),
            server: visible(&request.server),
            principal: visible(&request.principal),
            reasons: reasons.collect(),
            params: self.params(&approval).await?,
            state: (!is_pending).then(|| words(state)),
            asks: is_pending && request.needs_yes && approval.yes.is_none() && objection.is_none(),
            asks_first: is_grave(request)
                && !signed_in.is_fresh(self.gateway.policy.load().approval.fresh, clock::now()),
            objection: objection.filter(|_| is_pending && request.needs_yes && approval.yes.is_none()),
            asks_proof: is_pending && request.needs_proof && approval.proof.is_none() && person == request.principal,
        };
        page(StatusCode::OK, &shown)
    }

    pub(super) async fn decide_approval(&self, visit: &Visit) -> Answer {
        let Some(signed_in) = self.signed_in(visit).await? else { return self.to_sign_in(visit.path()) };
        self.check_form(visit)?;
        let approval = self.approval_for(visit, &signed_in).await?;
        let (store, id, now) = (self.store().await?, &approval.request.id, clock::now());
        let settings = self.gateway.policy.load().approval.clone();
        let until = now.0.saturating_add(agree::micros(settings.expires));
        let change = Change { by: signed_in.person.clone(), at: now.0 };
        let by = By::Person {
            change: &change,
            generation: signed_in.generation,
            second_factor_at: signed_in.second_factor_at().map(|at| at.0),
        };
        let reason = visit.field("reason").unwrap_or_default();
        let reason: String = reason.chars().filter(|c| !is_unseen(*c)).take(200).collect();
        let may = objection(&approval.request, Who::Person(&signed_in.person), &self.roles());
        let done = match visit.field("decision").as_deref() {
            Some("approve") if may.is_none() => {
                if is_grave(&approval.request) && !signed_in.is_fresh(settings.fresh, now) {
                    return self.to_step_up(visit.path());
                }
                store.grant_approval(id, Part::Yes, &reason, until, by).await.map(drop)
            }
            Some("deny") if may.is_none() || signed_in.person == approval.request.principal => {
                store.deny_approval(id, &reason, by).await.map(drop)
            }
            Some("prove") => {
                if !signed_in.is_fresh(settings.fresh, now) {
                    return self.to_step_up(visit.path());
                }
                store.grant_approval(id, Part::Proof, "", until, by).await.map(drop)
            }
            _ => return Err(Trouble::Refused(StatusCode::FORBIDDEN, "edge.form")),
        };
        match done {
            // Decided by somebody else meanwhile: the page says how it stands.
            Ok(()) | Err(StoreError::State(_)) => see_other(visit.path()),
            Err(error) => Err(error.into()),
        }
    }

    /// The request that a page is about, for whoever may see it. Of others nobody learns whether they are there.
    async fn approval_for(&self, visit: &Visit, signed_in: &SignedIn) -> Result<Approval, Trouble> {
        let id = visit.path().strip_prefix(PAGE).unwrap_or_default();
        let approval = match self.store().await?.approval(id).await {
            Ok(approval) => approval,
            Err(StoreError::Unknown { .. }) => return Err(Trouble::Nowhere),
            Err(error) => return Err(error.into()),
        };
        if self.may_see(&approval, &signed_in.person, &self.roles()) { Ok(approval) } else { Err(Trouble::Nowhere) }
    }

    /// Whether somebody may see a request at all.
    pub(super) fn may_see(&self, Approval { request, .. }: &Approval, person: &str, roles: &Roles) -> bool {
        // Who somebody is, only they themselves can show.
        let may_decide = || request.needs_yes && objection(request, Who::Person(person), roles).is_none();
        person == request.principal || may_decide()
    }

    /// What is to be done, as it is shown; nothing once it is wiped.
    async fn params(&self, approval: &Approval) -> Result<String, Trouble> {
        let request = &approval.request;
        if request.sealed.is_empty() {
            return Ok(String::new());
        }
        let sealer = self.store().await?.sealer().await?;
        let plain = sealer.unseal(agree::PURPOSE, &agree::owner(&request.id), &request.sealed);
        let plain = plain.map_err(StoreError::from)?;
        let params = String::from_utf8_lossy(&plain);
        let whole = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"_","params":{params}}}"#);
        // What cannot be shown is not agreed to.
        let message = Message::parse(whole, &Limits::AGAIN).map_err(|_| Trouble::Failed)?;
        Ok(message.params().map(show).unwrap_or_default())
    }

    pub(super) fn roles(&self) -> Roles {
        let policy = self.gateway.policy.load();
        policy.pipeline.settings().policies.as_ref().map(|policies| policies.roles().clone()).unwrap_or_default()
    }
}

/// Whether whoever agrees has to have shown a second factor a short while ago. What cannot be read says so, too.
fn is_grave(request: &Request) -> bool {
    request.asks.get("fresh").is_none_or(|fresh| fresh.as_bool() != Some(false))
}

fn words(state: State) -> &'static str {
    match state {
        State::Pending => "It waits for a decision.",
        State::Approved => "It is approved, and passes once when the client makes the same call again.",
        State::Denied => "It was denied.",
        State::Used => "It was approved, and done.",
        State::Expired => "It has expired.",
    }
}

/// A text with what people do not see as escapes.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unseen(character) { out.extend(character.escape_unicode()) } else { out.push(character) }
    }
    out
}
