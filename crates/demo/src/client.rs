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

/// Messages before an answer that are kept.
const MOST_HEARD: usize = 64;

/// Why the client got no message.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nothing came in time.
    #[error("nothing came within {} s", PATIENCE.as_secs())]
    Late,
    /// An answer without a message.
    #[error("HTTP status {0}")]
    Status(StatusCode),
    /// The connection did not hold.
    #[error("the connection broke: {0}")]
    Broken(Box<dyn std::error::Error + Send + Sync>),
    /// Something else than a message that was waited for.
    #[error("the answer is no MCP message: {0}")]
    Nonsense(String),
}

/// One session with one endpoint.
pub struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    url: String,
    key: Option<HeaderValue>,
    session: Option<HeaderValue>,
    last_id: u64,
}

/// What a client says of itself.
#[derive(Debug, Clone)]
pub struct Hello<'a> {
    /// What it is called.
    pub name: &'a str,
    /// What it can do.
    pub capabilities: Value,
    /// The credential that it shows.
    pub key: Option<HeaderValue>,
}

impl Client {
    /// Begins a session of a client that can do nothing but ask.
    pub(crate) async fn connect(url: String) -> Result<Client, ClientError> {
        Client::connect_as(url, Hello { name: "bartizan-demo", capabilities: json!({}), key: None }).await
    }

    /// Begins a session.
    ///
    /// # Errors
    /// If the endpoint does not answer as one should.
    pub async fn connect_as(url: String, hello: Hello<'_>) -> Result<Client, ClientError> {
        let http = Http::builder(TokioExecutor::new()).build_http();
        let mut client = Client { http, url, key: hello.key, session: None, last_id: 0 };
        let hello = json!({
            "protocolVersion": REVISION, "capabilities": hello.capabilities,
            "clientInfo": {"name": hello.name, "version": env!("CARGO_PKG_VERSION")},
        });
        let (headers, answer) = client.ask("initialize", &hello, &mut Vec::new()).await?;
        if answer.pointer("/result/protocolVersion").and_then(Value::as_str) != Some(REVISION) {
            return Err(ClientError::Nonsense(answer.to_string()));
        }
        client.session = headers.get(SESSION).cloned();
        client.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await?;
        Ok(client)
    }

    /// Asks, and waits for the response: the whole message, with `result` or `error`.
    ///
    /// # Errors
    /// If none comes.
    pub async fn request(&mut self, method: &str, params: &Value) -> Result<Value, ClientError> {
        self.request_hearing(method, params, &mut Vec::new()).await
    }

    /// The same, and what the server says before it.
    ///
    /// # Errors
    /// If no response comes.
    pub async fn request_hearing(
        &mut self,
        method: &str,
        params: &Value,
        heard: &mut Vec<Value>,
    ) -> Result<Value, ClientError> {
        self.ask(method, params, heard).await.map(|(_, answer)| answer)
    }

    /// Says something that is not answered: a response of its own, or a notification.
    ///
    /// # Errors
    /// If it is not accepted.
    pub async fn tell(&self, message: &Value) -> Result<(), ClientError> {
        let response = self.send(Method::POST, message.to_string()).await?;
        if response.status().is_success() { Ok(()) } else { Err(ClientError::Status(response.status())) }
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
    pub async fn close(&self) {
        // The gateway ends it as well, once nobody uses it any more.
        self.send(Method::DELETE, String::new()).await.ok();
    }

    async fn ask(
        &mut self,
        method: &str,
        params: &Value,
        heard: &mut Vec<Value>,
    ) -> Result<(HeaderMap, Value), ClientError> {
        self.last_id += 1;
        let message = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        let response = self.send(Method::POST, message.to_string()).await?;
        let (head, body) = response.into_parts();
        let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("text/event-stream") {
            let mut stream = Stream { body, decoder: Decoder::new(MOST) };
            let answer = stream.find_hearing(|message| is_answer(message, self.last_id), heard).await?;
            return Ok((head.headers, answer));
        }
        let body = within(Limited::new(body, MOST).collect()).await?.map_err(ClientError::Broken)?.to_bytes();
        match serde_json::from_slice::<Value>(&body) {
            Ok(answer) if is_answer(&answer, self.last_id) => Ok((head.headers, answer)),
            Ok(other) => Err(ClientError::Nonsense(other.to_string())),
            Err(_) if !head.status.is_success() => Err(ClientError::Status(head.status)),
            Err(error) => Err(ClientError::Nonsense(error.to_string())),
        }
    }

    async fn send(&self, method: Method, body: String) -> Result<http::Response<Incoming>, ClientError> {
        let mut request = Request::builder().method(method).uri(&self.url);
        request = request.header(header::CONTENT_TYPE, "application/json");
        request = request.header(header::ACCEPT, "application/json, text/event-stream");
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, key);
        }
        if let Some(session) = &self.session {
            request = request.header(SESSION, session).header("mcp-protocol-version", REVISION);
        }
        let request = request.body(Full::from(body)).map_err(|error| ClientError::Broken(error.into()))?;
        within(self.http.request(request)).await?.map_err(|error| ClientError::Broken(error.into()))
    }
}

/// Whether it is the response to the request of that id, and no request of the server's with the same one.
fn is_answer(message: &Value, id: u64) -> bool {
    message.get("method").is_none() && message.get("id").is_some_and(|held| *held == id)
}

/// A stream of messages.
pub(crate) struct Stream {
    body: Incoming,
    decoder: Decoder,
}

impl Stream {
    /// The next message that is `wanted`; others are passed over.
    pub(crate) async fn find(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Value, ClientError> {
        self.find_hearing(wanted, &mut Vec::new()).await
    }

    /// The same, and what comes before it.
    async fn find_hearing(
        &mut self,
        wanted: impl Fn(&Value) -> bool,
        heard: &mut Vec<Value>,
    ) -> Result<Value, ClientError> {
        within(async {
            loop {
                while let Some(event) = self.decoder.next().map_err(|fault| ClientError::Broken(fault.into()))? {
                    match serde_json::from_slice::<Value>(&event.data) {
                        Ok(message) if wanted(&message) => return Ok(message),
                        Ok(message) if heard.len() < MOST_HEARD => heard.push(message),
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
