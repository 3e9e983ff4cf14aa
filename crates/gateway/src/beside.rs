//! What a client says beside its messages and what reaches a server all the same: in headers.
//!
//! **Threat.** What no guard looks at carries what no message may. So a header that goes on as it came has a strict form,
//! is judged like an argument, and is recorded. As it cannot be edited, it is refused where it would be.

use bartizan_mcp::{Message, method, quote};
use http::HeaderMap;
use serde_json::json;

use crate::admit::{CODE_DENIED, CODE_OURS, Refusal};
use crate::link::Link;
use crate::upstream::Upstream;

/// The place in a stream from which a client wants the rest.
pub(crate) const LAST_EVENT: &str = "last-event-id";
/// The longest id of an event.
const EVENT_ID: usize = 1024;

/// Whether an event of that id can be resumed from: it has to fit into a header, where nothing may be taken for the end of
/// it or be lost at its edges.
pub(crate) fn is_event_id(id: &[u8]) -> bool {
    (1..=EVENT_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// A header that has not the form that it should have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Where a client has lost its stream, if it says so.
pub(crate) fn lost(headers: &HeaderMap) -> Result<Option<&str>, Malformed> {
    let mut all = headers.get_all(LAST_EVENT).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(id), None) if is_event_id(id.as_bytes()) => id.to_str().map(Some).map_err(|_| Malformed),
        _ => Err(Malformed),
    }
}

/// Judges and records the id of an event with which a client comes back, if it goes on to the server.
///
/// # Errors
/// If it must not.
pub(crate) async fn judge_lost(link: &Link, event: &str) -> Result<(), Refusal> {
    let Upstream::Http(_) = &link.upstream else { return Ok(()) };
    let fields = json!({"server": link.server.name, "session": link.name, "method": "GET", "names": [LAST_EVENT]});
    if let Some(why) = objection(link, [(LAST_EVENT, event)]).await {
        return Err(link.refuse_beside(fields, why));
    }
    link.gateway.recorder.note("headers", &fields).map(drop).map_err(|_| {
        // Without the log that refusal says why; nothing passes then.
        let why = "the header cannot be recorded".to_owned();
        link.refuse_beside(fields, Objection { rule: "gateway.log_unwritable", why, code: CODE_OURS })
    })
}

/// Why a header must not pass.
pub(crate) struct Objection {
    pub(crate) rule: &'static str,
    pub(crate) why: String,
    pub(crate) code: i64,
}

/// What there is against these headers, each with the text that it stands for.
pub(crate) async fn objection(
    link: &Link,
    headers: impl IntoIterator<Item = (&str, impl AsRef<str>)>,
) -> Option<Objection> {
    let members = headers.into_iter().map(|(name, text)| format!("{}:{}", quote(name), quote(text.as_ref())));
    let members: Vec<_> = members.collect();
    // Only what they say is to be judged, so nothing else of any message stands here.
    let said = format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"{}","params":{{"arguments":{{{}}}}}}}"#,
        method::COMPLETION_COMPLETE,
        members.join(",")
    );
    let limits = link.gateway.policy.load().limits;
    match Message::parse(said, &limits) {
        Ok(said) => link.objection(&said).await.map(|denial| Objection {
            rule: denial.rule,
            why: format!("in a header: {}", denial.why),
            code: CODE_DENIED,
        }),
        Err(rejection) => Some(Objection {
            rule: rejection.fault.rule(),
            why: format!("a header is refused: {rejection}"),
            code: rejection.fault.code(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_id_of_an_event_has_one_form() {
        let (longest, longer) = ("e".repeat(EVENT_ID), "e".repeat(EVENT_ID + 1));
        let cases: [(&[&[u8]], bool); 11] = [
            (&[], true),
            (&[b"e1"], true),
            (&[b"one*7-12"], true),
            (&[b"<!-->=?{\"'~"], true),
            (&[longest.as_bytes()], true),
            (&[longer.as_bytes()], false),
            (&[b""], false),
            (&[b"a b"], false),
            (&[b"a\tb"], false),
            (&["caf\u{e9}".as_bytes()], false),
            (&[b"e1", b"e1"], false),
        ];
        for (values, sound) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(LAST_EVENT, HeaderValue::from_bytes(value).unwrap());
            }
            let first = values.first().and_then(|value| std::str::from_utf8(value).ok());
            assert_eq!(lost(&headers), if sound { Ok(first) } else { Err(Malformed) }, "{values:?}");
        }
    }
}
