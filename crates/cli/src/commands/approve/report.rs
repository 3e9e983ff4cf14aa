//! What `bartizan approve` and `bartizan deny` print.

use bartizan_store::Change;
use bartizan_store::approvals::{Approval, State};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Shown;
use crate::output::Paint;
use crate::text::{inline, printable};

/// What `approve --list --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Listed {
    #[schemars(extend("const" = Listed::FORMAT))]
    format: &'static str,
    /// The requests, the oldest first.
    requests: Vec<One>,
}

impl Listed {
    pub(in super::super) const FORMAT: &'static str = "bartizan.approval.list/1";

    pub(super) fn of(all: &[Shown], now: i64) -> Self {
        let one = |held: &Shown| One::of(&held.approval, held.params(), now);
        Listed { format: Self::FORMAT, requests: all.iter().map(one).collect() }
    }
}

/// What `approve --json` and `deny --json` print.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Decided {
    #[schemars(extend("const" = Decided::FORMAT))]
    format: &'static str,
    #[serde(flatten)]
    one: One,
}

impl Decided {
    pub(in super::super) const FORMAT: &'static str = "bartizan.approval/1";

    pub(super) fn of(approval: &Approval, now: i64) -> Self {
        Decided { format: Self::FORMAT, one: One::of(approval, None, now) }
    }
}

/// One request. Moments are of RFC 3339.
#[derive(Serialize, JsonSchema)]
struct One {
    /// What it is called.
    id: String,
    /// `pending`, `approved`, `denied`, `used` or `expired`.
    state: &'static str,
    /// On whose behalf it is asked for.
    principal: String,
    /// The server that it is for.
    server: String,
    /// Such as `tool pay`.
    what: String,
    /// Why somebody is asked: the rule, the policy and the sentence, and who may agree.
    asks: Value,
    /// The parameters, as JSON in a text; left out once nobody has to see them any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<String>,
    /// Whether somebody has to agree.
    needs_approval: bool,
    /// Whether whoever asks has to show who they are.
    needs_proof: bool,
    /// Whether whoever asks may not agree.
    four_eyes: bool,
    /// When it was asked for.
    created_at: String,
    /// From when on it is good for nothing.
    expires_at: String,
    /// Who agreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_by: Option<String>,
    /// Who said no.
    #[serde(skip_serializing_if = "Option::is_none")]
    denied_by: Option<String>,
    /// What they said about it.
    reason: String,
}

impl One {
    fn of(approval: &Approval, params: Option<String>, now: i64) -> Self {
        let request = &approval.request;
        let by = |change: &Option<Change>| change.as_ref().map(|change| change.by.clone());
        One {
            id: request.id.clone(),
            state: approval.state(now).as_str(),
            principal: request.principal.clone(),
            server: request.server.clone(),
            what: request.what.clone(),
            asks: request.asks.get("asks").cloned().unwrap_or_default(),
            params,
            needs_approval: request.needs_yes,
            needs_proof: request.needs_proof,
            four_eyes: request.four_eyes,
            created_at: moment(request.created_at),
            expires_at: moment(request.expires_at),
            approved_by: by(&approval.yes),
            denied_by: by(&approval.denied),
            reason: approval.reason.clone(),
        }
    }
}

impl Shown {
    /// A request for people: what and for whom, why, and with which parameters.
    pub(super) fn text(&self, paint: Paint) -> String {
        let (request, now) = (&self.approval.request, super::now().0);
        let state = match self.approval.state(now) {
            State::Pending => paint.like("approve", "waits").to_string(),
            State::Approved => paint.like("allow", "approved").to_string(),
            other => other.as_str().to_owned(),
        };
        let (id, what, server) = (paint.bold(&request.id), inline(&request.what), inline(&request.server));
        let principal = inline(&request.principal);
        let until = moment(request.expires_at);
        let mut text = format!("{id}  {what} of server {server}, for {principal}: {state}, until {until}\n");
        for ask in request.asks.get("asks").and_then(Value::as_array).into_iter().flatten() {
            let of = |member: &str| ask.get(member).and_then(Value::as_str).map(inline).unwrap_or_default();
            text.push_str(&format!("  {} ({})\n", of("why"), of("rule")));
        }
        let decided = [("approved", &self.approval.yes), ("denied", &self.approval.denied)];
        for (word, by) in decided.into_iter().filter_map(|(word, change)| Some((word, &change.as_ref()?.by))) {
            text.push_str(&format!("  {word} by {}\n", inline(by)));
        }
        if request.needs_proof && self.approval.proof.is_none() && self.approval.state(now) == State::Pending {
            text.push_str(&format!("  {principal} has to show who they are\n"));
        }
        if request.four_eyes {
            text.push_str("  whoever asks may not agree\n");
        }
        for line in self.params().unwrap_or_default().lines() {
            text.push_str(&format!("  {}\n", printable(line)));
        }
        text.trim_end().to_owned()
    }
}

/// To the second, as people have no use for more.
pub(super) fn moment(at: i64) -> String {
    bartizan_audit::rfc3339(at - at.rem_euclid(1_000_000)).replace(".000000", "")
}
