//! A client of its own, over Streamable HTTP: it knows nothing of the gateway but its address.

use std::time::Duration;

use bartizan_mcp::sse::Decoder;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client as Http, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use thiserror::Error;

const REVISION: &str = "2025-11-25";
const SESSION: &str = "mcp-session-id";
/// How long an answer or a notification may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most it reads of one answer.
const MOST: usize = 64 << 20;

/// Why the client got no message.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    #[error("nothing came within {} s", PATIENCE.as_secs())]
    Late,
    #[error("HTTP status {0}")]
    Status(StatusCode),
    #[error("the connection broke: {0}")]
    Broken(Box<dyn std::error::Error + Send + Sync>),
    #[error("the answer is no MCP message: {0}")]
    Nonsense(String),
}

/// One session with one endpoint.
pub(crate) struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    url: String,
    session: Option<HeaderValue>,
    last_id: u64,
}

impl Client {
    /// Begins a session.
    pub(crate) async fn connect(url: String) -> Result<Client, ClientError> {
        let http = Http::builder(TokioExecutor::new()).build_http();
        let mut client = Client { http, url, session: None, last_id: 0 };
        let hello = json!({
            "protocolVersion": REVISION, "capabilities": {},
            "clientInfo": {"name": "bartizan-demo", "version": env!("CARGO_PKG_VERSION")},
        });
        let (headers, answer) = client.ask("initialize", &hello).await?;
        if answer.pointer("/result/protocolVersion").and_then(Value::as_str) != Some(REVISION) {
            return Err(ClientError::Nonsense(answer.to_string()));
        }
        client.session = headers.get(SESSION).cloned();
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let response = client.send(Method::POST, initialized.to_string()).await?;
        if response.status().is_success() { Ok(client) } else { Err(ClientError::Status(response.status())) }
    }

    /// Asks, and waits for the response: the whole message, with `result` or `error`.
    pub(crate) async fn request(&mut self, method: &str, params: &Value) -> Result<Value, ClientError> {
        self.ask(method, params).await.map(|(_, answer)| answer)
    }

    /// Opens the stream of what the server says unasked.
    pub(crate) async fn listen(&self) -> Result<Stream, ClientError> {
        let response = self.send(Method::GET, String::new()).await?;
        if !response.status().is_success() {
            return Err(ClientError::Status(response.status()));
        }
        Ok(Stream { body: response.into_body(), decoder: Decoder::new(MOST) })
    }

    /// Ends the session.
    pub(crate) async fn close(self) {
        // The gateway ends it as well, once nobody uses it any more.
        self.send(Method::DELETE, String::new()).await.ok();
    }

    async fn ask(&mut self, method: &str, params: &Value) -> Result<(HeaderMap, Value), ClientError> {
        self.last_id += 1;
        let message = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        let response = self.send(Method::POST, message.to_string()).await?;
        let (head, body) = response.into_parts();
        let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("text/event-stream") {
            let mut stream = Stream { body, decoder: Decoder::new(MOST) };
            let answer = stream.find(|message| message.get("id").is_some_and(|id| *id == self.last_id)).await?;
            return Ok((head.headers, answer));
        }
        let body = within(Limited::new(body, MOST).collect()).await?.map_err(ClientError::Broken)?.to_bytes();
        match serde_json::from_slice::<Value>(&body) {
            Ok(answer) if answer.get("id").is_some_and(|id| *id == self.last_id) => Ok((head.headers, answer)),
            Ok(other) => Err(ClientError::Nonsense(other.to_string())),
            Err(_) if !head.status.is_success() => Err(ClientError::Status(head.status)),
            Err(error) => Err(ClientError::Nonsense(error.to_string())),
        }
    }

    async fn send(&self, method: Method, body: String) -> Result<http::Response<Incoming>, ClientError> {
        let mut request = Request::builder().method(method).uri(&self.url);
        request = request.header(header::CONTENT_TYPE, "application/json");
        request = request.header(header::ACCEPT, "application/json, text/event-stream");
        if let Some(session) = &self.session {
            request = request.header(SESSION, session).header("mcp-protocol-version", REVISION);
        }
        let request = request.body(Full::from(body)).map_err(|error| ClientError::Broken(error.into()))?;
        within(self.http.request(request)).await?.map_err(|error| ClientError::Broken(error.into()))
    }
}

/// A stream of messages.
pub(crate) struct Stream {
    body: Incoming,
    decoder: Decoder,
}

impl Stream {
    /// The next message that is `wanted`; others are passed over.
    pub(crate) async fn find(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Value, ClientError> {
        within(async {
            loop {
                while let Some(event) = self.decoder.next().map_err(|fault| ClientError::Broken(fault.into()))? {
                    match serde_json::from_slice::<Value>(&event.data) {
                        Ok(message) if wanted(&message) => return Ok(message),
                        _ => {}
                    }
                }
                match self.body.frame().await {
                    Some(Ok(frame)) => self.decoder.push(frame.data_ref().map_or(&[][..], Bytes::as_ref)),
                    Some(Err(error)) => return Err(ClientError::Broken(error.into())),
                    None => return Err(ClientError::Nonsense("the stream ended before it".to_owned())),
                }
            }
        })
        .await?
    }
}

async fn within<T>(work: impl Future<Output = T>) -> Result<T, ClientError> {
    tokio::time::timeout(PATIENCE, work).await.map_err(|_| ClientError::Late)
}
