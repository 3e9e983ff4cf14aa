//! What a client says beside its messages and what reaches a server all the same: in headers.
//!
//! **Threat.** What no guard looks at carries what no message may. So a header that goes on as it came has a strict form,
//! is judged like an argument, and is recorded. As it cannot be edited, it is refused where it would be.

use bartizan_mcp::{Message, method, quote};
use serde_json::json;

use crate::admit::{CODE_DENIED, CODE_OURS, Refusal};
use crate::event_id::LAST_EVENT;
use crate::link::Link;
use crate::problem::Problem;
use crate::upstream::Upstream;

/// Judges and records the id of an event with which a client comes back, if it goes on to the server.
///
/// # Errors
/// If it must not.
pub(crate) async fn judge_lost(link: &Link, event: &str) -> Result<(), Refusal> {
    let Upstream::Http(_) = &link.upstream else { return Ok(()) };
    let fields = json!({"server": link.server.name, "session": link.name, "method": "GET", "names": [LAST_EVENT]});
    if !link.has_named(event) {
        let why = "the server named no such event in this session, or too many since".to_owned();
        return Err(link.refuse_beside(fields, Problem { rule: "gateway.unknown_event", why, code: CODE_DENIED }));
    }
    if let Some(why) = objection(link, [(LAST_EVENT, event)]).await {
        return Err(link.refuse_beside(fields, why));
    }
    link.gateway.recorder.note("headers", &fields).map(drop).map_err(|_| {
        // Without the log that refusal says why; nothing passes then.
        let why = "the header cannot be recorded".to_owned();
        link.refuse_beside(fields, Problem { rule: "gateway.log_unwritable", why, code: CODE_OURS })
    })
}

/// What there is against these headers, each with the text that it stands for.
pub(crate) async fn objection(
    link: &Link,
    headers: impl IntoIterator<Item = (&str, impl AsRef<str>)>,
) -> Option<Problem> {
    let members = headers.into_iter().map(|(name, text)| format!("{}:{}", quote(name), quote(text.as_ref())));
    let members: Vec<_> = members.collect();
    // Only what they say is to be judged, so nothing else of any message stands here: it is for nothing in particular.
    let said = format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"{}","params":{{"inputResponses":{{{}}}}}}}"#,
        method::PING,
        members.join(",")
    );
    let limits = link.gateway.policy.load().limits;
    match Message::parse(said, &limits) {
        Ok(said) => link.objection(&said).await.map(|denial| Problem {
            rule: denial.rule,
            why: format!("in a header: {}", denial.why),
            code: CODE_DENIED,
        }),
        Err(rejection) => Some(Problem {
            rule: rejection.fault.rule(),
            why: format!("a header is refused: {rejection}"),
            code: rejection.fault.code(),
        }),
    }
}
