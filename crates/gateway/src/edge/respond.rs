//! The forms that a response takes.

use bartizan_audit::Id;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::body::Reply;
use crate::admit::Admitted;
use crate::answer::{Answer, Deliveries, Delivery};
use crate::reasons;
use crate::web::page;

pub(crate) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// A line of text for people and probes.
pub(crate) fn plain(status: StatusCode, text: &str) -> Response<Reply> {
    with_type(status, "text/plain; charset=utf-8", Bytes::copy_from_slice(text.as_bytes()).into())
}

/// Why something was refused that held no message: the rule, and what to say of it instead of what the rule says.
#[derive(Debug, Clone)]
struct Why {
    rule: &'static str,
    text: String,
    /// The rule under which it is counted.
    counted: &'static str,
}

/// An answer given before there is an exchange.
pub(crate) type Early = Box<Response<Reply>>;

/// A refusal of what holds no message to answer; `rule` is what is counted. [`explain`] puts the words in.
pub(crate) fn refused(code: StatusCode, rule: &'static str, text: &str) -> Early {
    Box::new(refusal(code, rule, text))
}

/// The same of what is counted under another rule than the one that whoever asked is told.
pub(crate) fn refused_as(code: StatusCode, rule: &'static str, counted: &'static str) -> Early {
    let mut response = status(code);
    response.extensions_mut().insert(Why { rule, text: String::new(), counted });
    Box::new(response)
}

fn refusal(code: StatusCode, rule: &'static str, text: &str) -> Response<Reply> {
    let mut response = status(code);
    response.extensions_mut().insert(Why { rule, text: text.trim_end().to_owned(), counted: rule });
    response
}

/// The rule of a refusal that is only counted; others are in the log one by one.
pub(crate) fn rule(response: &Response<Reply>) -> Option<&'static str> {
    response.extensions().get::<Why>().map(|why| why.counted)
}

/// The same refusal in words, with the id of the entry that holds it, if one will.
pub(crate) fn explain(mut response: Response<Reply>, decision: Option<Id>) -> Response<Reply> {
    let Some(Why { rule, text, .. }) = response.extensions_mut().remove::<Why>() else { return response };
    let known = reasons::of(rule).map_or(rule, |reason| reason.what);
    let text = if text.is_empty() { known } else { text.as_str() };
    let decision = decision.map(|id| format!(" Decision {id}.")).unwrap_or_default();
    let said = plain(response.status(), &format!("Blocked by bartizan: {text} ({rule}).{decision}\n"));
    let (parts, body) = said.into_parts();
    response.headers_mut().extend(parts.headers);
    *response.body_mut() = body;
    response
}

/// The same refusal, of which a person sees a page instead of words for clients.
pub(super) fn for_a_person(answer: Response<Reply>) -> Response<Reply> {
    let status = answer.status();
    if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND) {
        return answer;
    }
    let Ok(shown) = page::page(status, &page::ForClients) else { return answer };
    let (parts, body) = shown.into_parts();
    let mut answer = answer;
    answer.headers_mut().extend(parts.headers);
    *answer.body_mut() = body.into();
    answer
}

/// The metrics page.
pub(crate) fn metrics(text: String) -> Response<Reply> {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    with_type(StatusCode::OK, kind, Bytes::from(text).into())
}

/// A status and nothing else.
pub(crate) fn status(status: StatusCode) -> Response<Reply> {
    let mut response = Response::new(Reply::empty());
    *response.status_mut() = status;
    response
}

/// The same, and nothing more on its connection.
pub(crate) fn last(mut response: Response<Reply>) -> Response<Reply> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// 405 with what is allowed instead.
pub(crate) fn not_allowed(allow: &'static str) -> Response<Reply> {
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "edge.method", "");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// One message as JSON.
pub(crate) fn message(status: StatusCode, message: &Admitted) -> Response<Reply> {
    with_type(status, "application/json", message.bytes().clone().into())
}

/// Whatever a peer answers.
pub(crate) fn answer(answer: Answer) -> Response<Reply> {
    match answer {
        Answer::Accepted => status(StatusCode::ACCEPTED),
        Answer::Message(status, admitted) => message(status, &admitted),
        Answer::Stream(deliveries) => events(deliveries),
        Answer::Gone => status(StatusCode::NOT_FOUND),
        Answer::Refused(Some(why)) => plain(StatusCode::BAD_REQUEST, &format!("{why}\n")),
        Answer::Refused(None) => status(StatusCode::BAD_REQUEST),
    }
}

/// Messages as events.
pub(crate) fn events(deliveries: Deliveries) -> Response<Reply> {
    let pieces = deliveries.map(|delivery| encode(&delivery));
    let mut response = with_type(StatusCode::OK, "text/event-stream", Reply::Events(Box::pin(pieces)));
    // Proxies in between must neither keep nor hold back what is meant for one client now.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

fn encode(delivery: &Delivery) -> Bytes {
    match delivery {
        Delivery::Message(message, id) => bartizan_mcp::sse::encode(id.as_deref(), message.bytes()),
        Delivery::Mark(id, retry) => {
            let mut text = String::new();
            if let Some(id) = id {
                text.push_str(&format!("id: {id}\n"));
            }
            if let Some(retry) = retry {
                text.push_str(&format!("retry: {retry}\n"));
            }
            // A priming event carries an id and empty data.
            text.push_str("data: \n\n");
            text.into()
        }
    }
}

fn with_type(status: StatusCode, kind: &'static str, body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // What a browser is given by mistake must not be read as a page.
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
