//! The form that every page takes, and what browsers are told about it.

use askama::Template;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::Answer;
use super::trouble::Trouble;

/// Nothing but what comes from here, in no frame, and forms only to here.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; \
                      frame-ancestors 'none'; form-action 'self'";

/// What every answer says.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // To other places nothing; not `no-referrer`, with which a browser leaves `Origin` out of our own forms.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// A line of text under a heading.
#[derive(Template)]
#[template(path = "message.html")]
pub(crate) struct Message<'a> {
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
}

/// Leads on by itself.
#[derive(Template)]
#[template(path = "go_on.html")]
struct GoOn<'a> {
    path: &'a str,
}

/// What somebody sees who opens in a browser what is for clients.
#[derive(Template)]
#[template(path = "for_clients.html")]
pub(crate) struct ForClients;

/// A page.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Answer {
    let text = template.render().map_err(|_| Trouble::Failed)?;
    Ok(with(status, "text/html; charset=utf-8", text.into()))
}

/// Something that pages need.
pub(super) fn asset(kind: &'static str, text: &'static str) -> Response<Bytes> {
    let mut response = with(StatusCode::OK, kind, Bytes::from_static(text.as_bytes()));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// An answer to our script.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    Ok(with(status, "application/json", value.to_string().into()))
}

/// Sends the browser to another of our pages, which it then asks for anew.
pub(crate) fn see_other(path: &str) -> Answer {
    let mut response = with(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", Bytes::new());
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_str(path).map_err(|_| Trouble::Failed)?);
    Ok(response)
}

/// Sends the browser to the same page at another address of ours, as it asked.
pub(super) fn there(address: &str) -> Option<Response<Bytes>> {
    let mut response = with(StatusCode::TEMPORARY_REDIRECT, "text/plain; charset=utf-8", Bytes::new());
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_str(address).ok()?);
    Some(response)
}

/// Sends the browser on after it sent a form. Where it goes may send it on to a client, at another origin, to which a form may
/// not lead by redirects: so to there a page leads, with which the browser is done with the form.
pub(super) fn after_form(path: &str) -> Answer {
    if path.starts_with("/bartizan/oauth/") { page(StatusCode::OK, &GoOn { path }) } else { see_other(path) }
}

/// Lets the forms of a page lead to another origin in the end, which was checked: browsers look at every step of a redirect.
pub(crate) fn let_forms_lead_to(response: &mut Response<Bytes>, origin: &str) {
    if let Ok(policy) = HeaderValue::from_str(&format!("{POLICY} {origin}")) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

pub(super) fn with(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}
