//! The transport of 2024-11-05, HTTP with server-sent events, towards servers that know nothing else.
//!
//! One stream, opened with GET, carries all that the server says; its first event names the address to which messages
//! are posted (specification 2024-11-05, "HTTP with SSE"; how to find out is in 2025-11-25, "Backwards Compatibility").
//!
//! **Threat.** That address is the server's choice, and what is posted there carries the operator's headers and the
//! client's data. So it has to be at the same origin as the stream, or the server could have the gateway talk to
//! anything that it can reach.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bartizan_mcp::{Id, Limits};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use tokio::task::AbortHandle;

use super::demux::{Demux, Routing, Stray};
use super::http::{Asker, Events};
use super::{Replies, Reply, UpstreamError};
use crate::admit::Admitted;
use crate::collect::collect;

/// How long the server may take to name the address.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest address that is taken.
const ADDRESS: usize = 2048;
/// What an acknowledgement may hold; it is read so that the connection can be used again.
const ACKNOWLEDGEMENT: usize = 64 * 1024;

/// One client's session with a server of the old transport.
#[derive(Debug)]
pub(super) struct SseUpstream {
    asker: Arc<Asker>,
    demux: Arc<Demux>,
    /// Where messages are posted.
    address: Uri,
    reader: AbortHandle,
    /// Why the stream broke, if it did.
    broken: Arc<OnceLock<UpstreamError>>,
}

impl SseUpstream {
    /// A session on a stream that has just been opened; `stray` is told of what nobody waits for.
    pub(super) async fn begin(
        asker: Arc<Asker>,
        mut events: Events,
        stray: Option<Stray>,
    ) -> Result<SseUpstream, UpstreamError> {
        let endpoint = &asker.endpoint;
        // A stream of another kind may stay silent for as long as it likes.
        let Ok(first) = tokio::time::timeout(PATIENCE.min(endpoint.timeout), events.next_event()).await else {
            return Err(UpstreamError::NoStream);
        };
        let first = first?.filter(|event| event.name.as_deref() == Some("endpoint"));
        let data = first.and_then(|event| String::from_utf8(event.data.to_vec()).ok());
        let address = data.as_deref().and_then(|data| resolve(&endpoint.uri, data)).ok_or(UpstreamError::NoStream)?;
        let demux = Arc::new(Demux::new(Routing::ByRequest));
        if let Some(stray) = stray {
            demux.on_stray(stray);
        }
        let broken = Arc::default();
        let reading = read_all(events, Arc::clone(&demux), endpoint.limits, Arc::clone(&broken));
        let reader = tokio::spawn(reading).abort_handle();
        Ok(SseUpstream { asker, demux, address, reader, broken })
    }

    pub(super) async fn send(&self, message: Admitted) -> Result<Replies, UpstreamError> {
        // Without its stream the session is over: a new one has to be begun.
        if self.demux.has_ended() {
            return Err(UpstreamError::SessionGone);
        }
        let Some((names, inbox)) = self.demux.expect(message.message())? else {
            let renamed = self.demux.cancellation(&message);
            return self.tell(renamed.as_ref().unwrap_or(&message)).await;
        };
        if let Err(error) = self.post(names.outward(&message)).await {
            self.demux.forget(&names.id);
            return Err(error);
        }
        Ok(Replies::Channel(inbox))
    }

    /// Sends what needs no answer and names requests as the server knows them.
    pub(super) async fn tell(&self, message: &Admitted) -> Result<Replies, UpstreamError> {
        self.post(message.bytes().clone()).await?;
        Ok(Replies::None)
    }

    pub(super) fn listen(&self) -> Option<Replies> {
        self.demux.listen()
    }

    pub(super) fn return_stream(&self, replies: Replies) {
        self.demux.return_stream(replies);
    }

    pub(super) fn forget(&self, replies: &Replies) -> Option<Id> {
        self.demux.forget_replies(replies)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.demux.has_ended()
    }

    /// The error for a request that was left unanswered.
    pub(super) fn ended_error(&self) -> Option<UpstreamError> {
        self.broken.get().cloned()
    }

    /// Closes the stream, which ends the session.
    pub(super) fn end(&self) {
        self.reader.abort();
        self.demux.end();
    }

    async fn post(&self, body: bytes::Bytes) -> Result<(), UpstreamError> {
        let unusable = |error: http::Error| UpstreamError::Unreachable(error.to_string());
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.address.clone())
            .body(Full::new(body))
            .map_err(unusable)?;
        *request.headers_mut() = self.headers();
        let response = self.asker.ask(request).await?;
        let status = response.status();
        let mut share = self.asker.endpoint.memory.share();
        let read = collect(response.into_body(), ACKNOWLEDGEMENT, &mut share);
        // What it says besides the status concerns nobody.
        drop(tokio::time::timeout(self.asker.endpoint.timeout, read).await);
        match status {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(UpstreamError::SessionGone),
            status => Err(UpstreamError::Status(status.as_u16())),
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = self.asker.endpoint.headers.clone();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers
    }
}

impl Drop for SseUpstream {
    fn drop(&mut self) {
        self.end();
    }
}

async fn read_all(mut events: Events, demux: Arc<Demux>, limits: Limits, broken: Arc<OnceLock<UpstreamError>>) {
    loop {
        match events.next().await {
            // Nothing can be resumed here, so places to resume from mean nothing.
            Ok(Some(Reply::Mark { .. })) => {}
            Ok(Some(reply)) => drop(demux.deliver(reply, &limits).await),
            Ok(None) => break,
            Err(error) => {
                broken.set(error).ok();
                break;
            }
        }
    }
    demux.end();
}

/// The address that `reference` names, seen from the stream's; none if it is at another origin or no address.
fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.trim();
    if reference.is_empty() || reference.len() > ADDRESS || reference.starts_with("//") {
        return None;
    }
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
    let whole = match reference.split_once("://") {
        Some((named, _)) if named.eq_ignore_ascii_case("http") || named.eq_ignore_ascii_case("https") => {
            reference.to_owned()
        }
        Some((named, _)) if named.chars().all(|letter| letter.is_ascii_alphanumeric()) => return None,
        _ if reference.starts_with('/') => format!("{scheme}://{authority}{reference}"),
        _ if reference.starts_with('?') => format!("{scheme}://{authority}{}{reference}", base.path()),
        _ => format!("{scheme}://{authority}{directory}/{reference}"),
    };
    let address: Uri = whole.parse().ok()?;
    (origin(&address)? == origin(base)?).then_some(address)
}

/// Scheme, host and port; none for what has a user in it.
fn origin(uri: &Uri) -> Option<(String, String, u16)> {
    let (scheme, authority) = (uri.scheme_str()?.to_ascii_lowercase(), uri.authority()?);
    let port = authority.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    let with_user = authority.as_str().contains('@');
    (!with_user).then(|| (scheme, authority.host().to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_at_the_origin_of_the_stream() {
        let cases = [
            ("/messages?sessionId=1", Some("http://here:8000/messages?sessionId=1")),
            ("messages", Some("http://here:8000/mcp/messages")),
            ("?s=1", Some("http://here:8000/mcp/sse?s=1")),
            ("http://HERE:8000/m", Some("http://HERE:8000/m")),
            ("HTTP://here:8000/m", Some("http://here:8000/m")),
            (" /m\n", Some("http://here:8000/m")),
            ("http://here/m", None),
            ("https://here:8000/m", None),
            ("http://169.254.169.254/latest", None),
            ("http://here:8000@evil/m", None),
            ("http://user@here:8000/m", None),
            ("//evil/m", None),
            ("\\\\evil\\m", Some("http://here:8000/mcp/\\\\evil\\m")),
            ("file:///etc/passwd", None),
            ("", None),
            ("/a b", None),
            ("/a\r\nHost: evil", None),
        ];
        let base: Uri = "http://here:8000/mcp/sse".parse().unwrap();
        for (reference, expected) in cases {
            let found = resolve(&base, reference).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{reference:?}");
        }
        assert_eq!(resolve(&base, &format!("/{}", "a".repeat(ADDRESS))), None);
        let tls: Uri = "https://here/sse".parse().unwrap();
        assert!(resolve(&tls, "https://here:443/m").is_some() && resolve(&tls, "http://here/m").is_none());
    }
}
