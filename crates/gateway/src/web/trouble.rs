//! Why a page is not what was asked for.

use std::sync::Arc;

use bartizan_store::StoreError;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::page::{self, Message};

/// Why a page is not what was asked for.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// There is no such page.
    Nowhere,
    /// It is not asked for like that.
    Method,
    /// The form does not come from a page of ours, which are at this address.
    Foreign(Arc<str>),
    /// The form was not made for this browser, or too long ago.
    Stale,
    /// This many seconds have to pass first.
    Wait(u64),
    /// Too much to do at once.
    Busy,
    /// It cannot be told now.
    Unavailable,
    /// Our fault.
    Failed,
    /// Refused by this rule.
    Refused(StatusCode, &'static str),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Stale) {
            return Trouble::Stale;
        }
        tracing::error!(%error, "what is kept about people cannot be used");
        Trouble::Unavailable
    }
}

impl From<bartizan_audit::AuditError> for Trouble {
    fn from(_: bartizan_audit::AuditError) -> Self {
        // Said by whoever writes the log; what cannot be recorded is not done.
        Trouble::Unavailable
    }
}

impl From<getrandom::Error> for Trouble {
    fn from(_: getrandom::Error) -> Self {
        Trouble::Failed
    }
}

impl Trouble {
    /// The rule that counts it, if it is to be counted.
    pub(super) fn rule(&self) -> Option<&'static str> {
        match self {
            Trouble::Nowhere => Some("edge.path"),
            Trouble::Method => Some("edge.method"),
            Trouble::Foreign(_) => Some("edge.origin"),
            Trouble::Stale => Some("edge.form"),
            Trouble::Wait(_) => Some("edge.sign_in"),
            Trouble::Busy => Some("edge.crowded"),
            Trouble::Unavailable => Some("edge.identity"),
            Trouble::Failed => Some("edge.failed"),
            Trouble::Refused(_, rule) => Some(rule),
        }
    }

    pub(super) fn page(&self) -> Response<Bytes> {
        let (status, title, text) = self.words();
        let shown = page::page(status, &Message { title, text: &text });
        let mut shown =
            shown.unwrap_or_else(|_| page::with(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", Bytes::new()));
        if let Trouble::Wait(seconds) = self {
            shown.headers_mut().insert(header::RETRY_AFTER, (*seconds).into());
        }
        if matches!(self, Trouble::Method) {
            shown.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
        }
        shown
    }

    fn words(&self) -> (StatusCode, &'static str, String) {
        let (status, title, text) = match self {
            Trouble::Nowhere => (StatusCode::NOT_FOUND, "Not found", "There is no such page."),
            Trouble::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, "Not possible", "This page is not asked for like that.")
            }
            Trouble::Foreign(public) => {
                let text = format!(
                    "The form does not come from a page of this gateway, or the browser does not say so. Open this page at \
                     {public} and send it from there."
                );
                return (StatusCode::FORBIDDEN, "Refused", text);
            }
            Trouble::Stale => {
                let text = "The form is not for this browser, or the browser keeps no cookies. Go back, load the page again and \
                            send it once more.";
                (StatusCode::FORBIDDEN, "Refused", text)
            }
            Trouble::Wait(seconds) => {
                let text = format!("Too many attempts. Try again in {seconds} seconds.");
                return (StatusCode::TOO_MANY_REQUESTS, "Wait", text);
            }
            Trouble::Busy => (StatusCode::SERVICE_UNAVAILABLE, "Busy", "Too much at once; try again in a moment."),
            Trouble::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "Not now", "This cannot be checked at present; try again later.")
            }
            Trouble::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "Failed", "Something went wrong here."),
            Trouble::Refused(status, _) => (*status, "Refused", "The request is not one that this page takes."),
        };
        (status, title, text.to_owned())
    }
}
