//! The state that a client of 2026-07-28 keeps while somebody decides, and sends back with its answer.
//!
//! **Threat.** It comes back from another client, with another call, changed, or long after. So it is sealed, and says for
//! whom and for what it was made and how long it is good. It opens nothing by itself: what was approved is found by what is
//! asked for, with or without it.

use std::sync::Arc;

use bartizan_mcp::{Digest, Edits, Limits, Message, NodeKind};
use bartizan_store::approvals::Approval;
use bartizan_store::{Store, StoreError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::PURPOSE;
use crate::asking::KEY;

/// The members of the parameters that answer what was asked.
pub(crate) const STATE: &str = "requestState";
pub(crate) const ANSWERS: &str = "inputResponses";
/// What a state of the gateway's begins with.
const MARK: &str = "bartizan-approval.";
const OWNER: &str = "state";

/// What a state says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) id: String,
    pub(crate) principal: String,
    pub(crate) server: String,
    digest: String,
    pub(crate) expires_at: i64,
}

impl Kept {
    /// Of exactly what was asked for.
    pub(crate) fn digest(&self) -> Option<Digest> {
        Digest::from_hex(&self.digest)
    }
}

/// A request that comes back with an answer.
pub(crate) struct Again {
    /// The request as it was before anybody was asked.
    pub(crate) message: Message,
    pub(crate) state: String,
    /// Whether whoever was asked wants to go to the page.
    pub(crate) accepted: bool,
}

/// What a client's request comes back with, if that is a state of the gateway's; an error if it holds anything else.
pub(crate) fn again(message: &Message, limits: &Limits) -> Option<Result<Again, &'static str>> {
    let params = message.params()?;
    let state = params.get(STATE)?;
    let text = state.as_str().filter(|text| text.starts_with(MARK))?.into_owned();
    let mut edits = Edits::new();
    edits.remove(params.id(), state.id());
    let mut accepted = true;
    if let Some(answers) = params.get(ANSWERS) {
        if answers.kind() != NodeKind::Object || answers.members().any(|(key, _)| !key.is_text(KEY)) {
            return Some(Err("it answers what nobody has asked"));
        }
        accepted = answers.get(KEY).is_none_or(|answer| answer.get("action").is_some_and(|it| it.is_text("accept")));
        edits.remove(params.id(), answers.id());
    }
    let message = message.edited(&edits, limits);
    Some(
        message
            .map(|message| Again { message, state: text, accepted })
            .map_err(|_| "it cannot be read without its state"),
    )
}

pub(super) async fn seal(store: &Arc<Store>, held: &Approval) -> Result<String, StoreError> {
    let request = &held.request;
    let kept = Kept {
        id: request.id.clone(),
        principal: request.principal.clone(),
        server: request.server.clone(),
        digest: Digest(request.digest).to_hex(),
        expires_at: request.expires_at,
    };
    let text = serde_json::to_vec(&kept).map_err(|error| StoreError::State(error.to_string()))?;
    let sealed = store.sealer().await?.seal(PURPOSE, OWNER, &text)?;
    Ok(format!("{MARK}{}", URL_SAFE_NO_PAD.encode(sealed)))
}

pub(super) async fn unseal(store: &Arc<Store>, state: &str) -> Option<Kept> {
    let sealed = URL_SAFE_NO_PAD.decode(state.strip_prefix(MARK)?).ok()?;
    let text = store.sealer().await.ok()?.unseal(PURPOSE, OWNER, &sealed).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_gateways_own_is_taken_out_and_what_is_the_servers_stays() {
        let limits = Limits::default();
        let read = |params: &str| {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
            again(&Message::parse(text, &limits).unwrap(), &limits).map(|outcome| {
                outcome.map(|again| (again.message.params().unwrap().raw().to_owned(), again.state, again.accepted))
            })
        };
        let state = "bartizan-approval.x";
        for (params, expected) in [
            (r#"{"name":"a"}"#.to_owned(), None),
            (r#"{"name":"a","requestState":"theirs","inputResponses":{"q":{}}}"#.to_owned(), None),
            (r#"{"name":"a","requestState":7}"#.to_owned(), None),
            (format!(r#"{{"name":"a","requestState":"{state}"}}"#), Some(Ok(true))),
            (
                format!(
                    r#"{{"name":"a","inputResponses":{{"{KEY}":{{"action":"accept"}}}},"requestState":"{state}"}}"#
                ),
                Some(Ok(true)),
            ),
            (
                format!(
                    r#"{{"name":"a","inputResponses":{{"{KEY}":{{"action":"decline"}}}},"requestState":"{state}"}}"#
                ),
                Some(Ok(false)),
            ),
            (format!(r#"{{"name":"a","inputResponses":{{"{KEY}":1}},"requestState":"{state}"}}"#), Some(Ok(false))),
            (format!(r#"{{"name":"a","inputResponses":{{"other":{{}}}},"requestState":"{state}"}}"#), Some(Err(()))),
            (format!(r#"{{"name":"a","inputResponses":[1],"requestState":"{state}"}}"#), Some(Err(()))),
        ] {
            let found = read(&params);
            if let Some(Ok((left, held, _))) = &found {
                assert_eq!((&**left, &**held), (r#"{"name":"a"}"#, state), "{params}");
            }
            let found = found.map(|outcome| outcome.map(|(.., accepted)| accepted).map_err(drop));
            assert_eq!(found, expected, "{params}");
        }
    }
}
