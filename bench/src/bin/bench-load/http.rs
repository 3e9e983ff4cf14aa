//! A client's half of Streamable HTTP on one HTTP/1.1 connection.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bartizan_bench::Era;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::client::{Outgoing, clip};
use crate::options;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Where requests go and what each of them carries.
#[derive(Clone)]
pub(crate) struct Target {
    authority: String,
    path: Uri,
    headers: HeaderMap,
}

impl Target {
    pub(crate) fn new(options: &options::Http) -> Result<Self> {
        let url = &options.url;
        let uri: Uri = url.parse().with_context(|| url.clone())?;
        if uri.scheme_str() != Some("http") {
            bail!("{url}: only http:// is measured");
        }
        let authority = uri.authority().with_context(|| format!("{url}: no host"))?.to_string();
        let mut headers = HeaderMap::new();
        headers.insert(HOST, authority.parse()?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        for line in &options.headers {
            let (name, value) = line.split_once(':').context("--header is 'NAME: VALUE'")?;
            headers.insert(name.trim().parse::<HeaderName>()?, value.trim().parse()?);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
        Ok(Target { authority, path, headers })
    }
}

/// One connection and the headers of its session.
pub(crate) struct Http {
    target: Target,
    sender: Option<SendRequest<Full<Bytes>>>,
    mirrors: bool,
}

impl Http {
    pub(crate) fn new(target: Target) -> Self {
        Http { target, sender: None, mirrors: false }
    }

    /// Sets the revision that every later request names; the stateless one mirrors its method and name.
    pub(crate) fn set_version(&mut self, version: &str, era: Era) -> Result<()> {
        self.target.headers.insert(VERSION, version.parse()?);
        self.mirrors = era == Era::Stateless;
        Ok(())
    }

    /// Sends a request and returns the message that answers it.
    pub(crate) async fn exchange(&mut self, message: Outgoing<'_>) -> Result<Bytes> {
        let (parts, body) = self.send(Method::POST, message).await?.into_parts();
        if let Some(session) = parts.headers.get(&SESSION) {
            self.target.headers.insert(SESSION, session.clone());
        }
        let body = body.collect().await.context("response")?.to_bytes();
        if parts.status != StatusCode::OK {
            bail!("{}: {}", parts.status, clip(&String::from_utf8_lossy(&body)));
        }
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
        match kind.split(';').next().unwrap_or("").trim() {
            "application/json" => Ok(body),
            "text/event-stream" => response_event(&body),
            other => bail!("content type {other:?}"),
        }
    }

    /// Sends what has no answer but an acknowledgement.
    pub(crate) async fn notify(&mut self, message: Outgoing<'_>) -> Result<()> {
        let (parts, body) = self.send(Method::POST, message).await?.into_parts();
        let body = body.collect().await.context("response")?.to_bytes();
        if !parts.status.is_success() {
            bail!("{}: {}", parts.status, clip(&String::from_utf8_lossy(&body)));
        }
        Ok(())
    }

    /// Ends the session, if there is one.
    pub(crate) async fn close(mut self) {
        if self.target.headers.contains_key(&SESSION) {
            let nothing = Outgoing { body: Bytes::new(), method: "", name: None };
            let _ = tokio::time::timeout(Duration::from_secs(2), self.send(Method::DELETE, nothing)).await;
        }
    }

    async fn send(&mut self, method: Method, message: Outgoing<'_>) -> Result<Response<Incoming>> {
        let mut request = Request::new(Full::new(message.body));
        *request.method_mut() = method;
        *request.uri_mut() = self.target.path.clone();
        *request.headers_mut() = self.target.headers.clone();
        if self.mirrors {
            request.headers_mut().insert(METHOD, HeaderValue::from_static(message.method));
            if let Some(name) = message.name {
                request.headers_mut().insert(NAME, name.parse()?);
            }
        }
        let mut sender = match self.reusable().await {
            Some(sender) => sender,
            None => connect(&self.target.authority).await?,
        };
        let response = sender.send_request(request).await.context("request")?;
        self.sender = Some(sender);
        Ok(response)
    }

    async fn reusable(&mut self) -> Option<SendRequest<Full<Bytes>>> {
        let mut sender = self.sender.take()?;
        sender.ready().await.ok()?;
        Some(sender)
    }
}

async fn connect(authority: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(authority).await.context("connect")?;
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.context("connect")?;
    tokio::spawn(connection);
    sender.ready().await.context("connect")?;
    Ok(sender)
}

/// The data of the last event that has any: the response ends its stream.
fn response_event(stream: &Bytes) -> Result<Bytes> {
    let (mut last, mut current): (Option<Bytes>, Option<Bytes>) = (None, None);
    for line in stream.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            last = current.take().or(last);
        } else if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.strip_prefix(b" ").unwrap_or(data);
            current = match current.take() {
                None => Some(stream.slice_ref(data)),
                Some(before) => Some([&*before, b"\n", data].concat().into()),
            };
        }
    }
    last.filter(|data| !data.is_empty()).context("an event stream without a response")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stream: &'static str, expected: Option<&str>) {
        let found = response_event(&Bytes::from_static(stream.as_bytes())).ok();
        assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{stream:?}");
    }

    #[test]
    fn the_response_is_the_last_event_with_data() {
        check("event: message\ndata: {\"a\":1}\n\n", Some("{\"a\":1}"));
        check("data:{}\n\ndata: {\"b\":\r\ndata: 2}\r\n\r\n", Some("{\"b\":\n2}"));
        check(": hi\r\n\r\nid: 0\ndata:\n\ndata: {}\n\n", Some("{}"));
        check("data: {}\n\n: end\n\n", Some("{}"));
        check("data: cut off", None);
        check(": only a comment\n\n", None);
        check("", None);
    }
}
