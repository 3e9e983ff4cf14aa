//! What somebody has to agree to before a client's call passes, and their yes or no.
//!
//! **Threat.** Somebody agrees to what they do not see, or to what is not theirs to agree to. So all of it is shown, with what
//! people do not see made visible; only whoever asks and whoever may decide see it at all; and whether they may is looked at
//! again when they decide.

use askama::Template;
use bartizan_guard::Roles;
use bartizan_mcp::is_unseen;
use bartizan_store::approvals::{Approval, By, Part, Request, State};
use bartizan_store::{Change, StoreError};
use http::StatusCode;

use super::page::{page, see_other};
use super::trouble::Trouble;
use super::visit::Visit;
use super::{Answer, Web};
use crate::agree::{self, CLIENT, PAGE, Who, objection, others};
use crate::clock;

/// Lines and characters of what a small screen shows without scrolling, once long lines are broken there.
const SHORT: (usize, usize) = (8, 150);

#[derive(Template)]
#[template(path = "approve.html")]
struct Page<'a> {
    csrf: &'a str,
    path: &'a str,
    question: String,
    /// What the client calls itself, if it is known.
    client: Option<String>,
    reasons: Vec<Vec<(bool, String)>>,
    times: String,
    params: String,
    characters: usize,
    /// Whether a part of it may be seen only by scrolling.
    is_long: bool,
    /// How it stands, if there is nothing to decide.
    outcome: Option<&'static str>,
    /// Who has decided what, when and why.
    decided: Vec<String>,
    /// Why whoever looks may not agree and who may, if they may not.
    objection: Option<String>,
    /// Whether they are asked to agree.
    asks: bool,
    /// Whether they have to show who they are before that.
    asks_first: bool,
    /// Whether they are asked to show who they are.
    asks_proof: bool,
    /// When they did, if that is fresh enough.
    shown_at: Option<String>,
    /// Whether there is nothing for them to do but to take back what they asked for.
    asks_no: bool,
}

impl Web {
    pub(super) async fn show_approval(&self, visit: &Visit) -> Answer {
        let Some(signed_in) = self.signed_in(visit).await? else { return self.to_sign_in(visit.path()) };
        let approval = self.approval_for(visit.path(), &signed_in.person).await?;
        let (request, now) = (&approval.request, clock::now());
        let (state, person) = (approval.state(now.0), &*signed_in.person);
        let objection = objection(request, Who::Person(person), &self.roles());
        let (is_pending, is_own) = (state == State::Pending, person == request.principal);
        let wants_yes = is_pending && request.needs_yes && approval.yes.is_none();
        let (asks, asks_proof) =
            (wants_yes && objection.is_none(), is_pending && request.needs_proof && approval.proof.is_none() && is_own);
        let is_fresh = signed_in.is_fresh(self.gateway.policy.load().approval.fresh, now);
        let reasons = request.asks.get("asks").and_then(|asks| asks.as_array()).into_iter().flatten();
        let reasons = reasons.filter_map(|ask| Some(pieces(&visible(ask.get("why")?.as_str()?))));
        let params = self.params(&approval).await?;
        let shown = Page {
            csrf: &signed_in.csrf,
            path: visit.path(),
            question: question(request),
            client: client(request),
            reasons: reasons.collect(),
            times: times(request, state),
            characters: params.chars().count(),
            is_long: params.lines().count() > SHORT.0 || params.chars().count() > SHORT.1,
            params,
            outcome: (!is_pending).then(|| words(state)),
            decided: decided(&approval),
            asks,
            asks_first: is_grave(request) && !is_fresh,
            objection: objection.filter(|_| wants_yes).map(|_| not_theirs(request, is_own)),
            asks_proof,
            shown_at: signed_in.second_factor_at().filter(|_| is_fresh).map(|at| moment(at.0)),
            asks_no: is_pending && is_own && !asks && !asks_proof,
        };
        page(StatusCode::OK, &shown)
    }

    /// What somebody who is sent to another page first will come back to decide, if that is what they come back to.
    pub(super) async fn question_at(&self, path: &str, person: &str) -> Option<String> {
        let approval = self.approval_for(path, person).await.ok()?;
        Some(question(&approval.request))
    }

    pub(super) async fn decide_approval(&self, visit: &Visit) -> Answer {
        let Some(signed_in) = self.signed_in(visit).await? else { return self.to_sign_in(visit.path()) };
        self.check_form(visit)?;
        let approval = self.approval_for(visit.path(), &signed_in.person).await?;
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
    async fn approval_for(&self, path: &str, person: &str) -> Result<Approval, Trouble> {
        let id = path.strip_prefix(PAGE).unwrap_or_default();
        let approval = match self.store().await?.approval(id).await {
            Ok(approval) => approval,
            Err(StoreError::Unknown { .. }) => return Err(Trouble::Nowhere),
            Err(error) => return Err(error.into()),
        };
        if self.may_see(&approval, person, &self.roles()) { Ok(approval) } else { Err(Trouble::Nowhere) }
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
        // What cannot be shown is not agreed to.
        agree::shown(&plain).ok_or(Trouble::Failed)
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

/// What somebody decides about.
fn question(request: &Request) -> String {
    let (what, server, principal) = (visible(&request.what), visible(&request.server), visible(&request.principal));
    let whom = match client(request) {
        Some(client) => format!("{principal}'s client “{client}”"),
        None => principal,
    };
    let deed = match what.split_once(' ') {
        Some(("tool", name)) => format!("call {name}"),
        Some(("prompt", name)) => format!("get the prompt {name}"),
        Some(("resource", name)) => format!("read {name}"),
        _ => format!("do {what}"),
    };
    format!("Let {whom} {deed} of {server}?")
}

/// What the client calls itself, if it said so.
fn client(request: &Request) -> Option<String> {
    request.asks.get(CLIENT)?.as_str().map(visible)
}

/// A text in pieces, and which of them are code: what is between backticks. One that has an odd number of those is one piece,
/// so that all of it is seen.
fn pieces(text: &str) -> Vec<(bool, String)> {
    if text.matches('`').count() % 2 == 1 {
        return vec![(false, text.to_owned())];
    }
    text.split('`').enumerate().map(|(number, piece)| (number % 2 == 1, piece.to_owned())).collect()
}

/// When it was asked for, and until when that is good for something.
fn times(request: &Request, state: State) -> String {
    let (asked, until) = (moment(request.created_at), moment(request.expires_at));
    match state {
        State::Pending => format!("Asked for at {asked}; it waits until {until}."),
        State::Approved => format!("Asked for at {asked}; the approval is good until {until}."),
        State::Denied | State::Used | State::Expired => format!("Asked for at {asked}."),
    }
}

/// Who has decided what so far.
fn decided(approval: &Approval) -> Vec<String> {
    let said = |text: String| match &*approval.reason {
        "" => format!("{text}."),
        reason => format!("{text}: {}", visible(reason)),
    };
    let by = |what: &str, change: &Change| format!("{what} {} at {}", visible(&change.by), moment(change.at));
    let yes = approval.yes.as_ref().map(|change| by("Approved by", change));
    let no = approval.denied.as_ref().map(|change| said(by("Denied by", change)));
    // A no has its own reason in the place of the one before.
    let yes = yes.map(|yes| if no.is_some() { format!("{yes}.") } else { said(yes) });
    let proof = approval.proof.as_ref().map(|change| format!("{}.", by("Who asks was shown by", change)));
    yes.into_iter().chain(proof).chain(no).collect()
}

/// Why somebody may not agree, and who may.
fn not_theirs(request: &Request, is_own: bool) -> String {
    let others = visible(&others(request));
    if request.four_eyes && is_own {
        format!("You cannot approve this: nobody agrees to what they ask for themselves. It is for {others}.")
    } else {
        format!("You cannot approve this. It is for {others}.")
    }
}

/// To the minute, as people have no use for more.
fn moment(at: i64) -> String {
    let text = bartizan_audit::rfc3339(at).replace('T', " ");
    format!("{} UTC", text.get(..16).unwrap_or(&text))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_backticks_is_code_and_nothing_is_lost() {
        let text = |pieces: &[(bool, String)]| pieces.iter().map(|(_, text)| &**text).collect::<String>();
        let whole = pieces("tool `pay` of `bank`");
        assert_eq!(text(&whole), "tool pay of bank");
        assert_eq!(whole.iter().filter(|(is_code, _)| *is_code).count(), 2);
        // A name that has one itself.
        assert_eq!(pieces("tool `a`b` is"), [(false, "tool `a`b` is".to_owned())]);
        assert_eq!(pieces("plain"), [(false, "plain".to_owned())]);
    }
}
