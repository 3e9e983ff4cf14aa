//! The server that stands in for those of the configuration: it says what it is told to say, and keeps what it is told.
//!
//! One listener for all: `/NAME` is the server of that name.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The cursor behind which attacks are listed. There is always one more page, so nothing is ever the whole list.
pub(crate) const CURSOR: &str = "more";
/// The tool that brings what it is told to bring.
pub(crate) const FETCH: &str = "fetch";
/// The tool that takes anything.
pub(crate) const SEND: &str = "send";
/// The tool that asks the client's model before it answers.
pub(crate) const ASK: &str = "ask";
/// The prompt.
pub(crate) const PROMPT: &str = "brief";
/// The resource.
pub(crate) const URI: &str = "file:///page";

/// The most that it reads of one request.
const MOST: usize = 64 << 20;

/// What one server says next.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// The tools of the next page.
    pub(crate) page: Value,
    /// What the tool, the resource or the prompt brings.
    pub(crate) result: Value,
    /// What the client's model is asked.
    pub(crate) question: Value,
    /// What a tool was last called with; null if none was.
    pub(crate) called: Value,
    /// The tools that it offers instead of its own; each brings what it is told to bring.
    pub(crate) tools: Option<Value>,
}

type Script = Arc<Mutex<BTreeMap<String, Lines>>>;

/// The servers.
pub(crate) struct StandIn {
    address: SocketAddr,
    script: Script,
    serving: JoinHandle<()>,
}

impl StandIn {
    /// Begins to listen, on this machine only.
    pub(crate) async fn start() -> io::Result<StandIn> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, script) = (listener.local_addr()?, Script::default());
        let serving = tokio::spawn(serve(listener, Arc::clone(&script)));
        Ok(StandIn { address, script, serving })
    }

    /// Where the server of that name is.
    pub(crate) fn url(&self, server: &str) -> String {
        format!("http://{}/{server}", self.address)
    }

    /// What the server of that name says and was told.
    pub(crate) fn with<T>(&self, server: &str, work: impl FnOnce(&mut Lines) -> T) -> T {
        work(locked(&self.script).entry(server.to_owned()).or_default())
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked(script: &Script) -> MutexGuard<'_, BTreeMap<String, Lines>> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, script: Script) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(connection(stream, Arc::clone(&script)));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, script: Script) {
    let answer = service_fn(move |request| {
        let script = Arc::clone(&script);
        async move { Ok::<_, Infallible>(answer(request, &script).await) }
    });
    // The gateway says of it what there is to say.
    http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await.ok();
}

async fn answer(request: Request<Incoming>, script: &Script) -> Response<Full<Bytes>> {
    let server = request.uri().path().trim_start_matches('/').to_owned();
    if request.method() != Method::POST {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let Ok(body) = Limited::new(request.into_body(), MOST).collect().await else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let Ok(message) = serde_json::from_slice::<Value>(&body.to_bytes()) else { return empty(StatusCode::BAD_REQUEST) };
    let (Some(id), Some(method)) = (message.get("id"), message.get("method").and_then(Value::as_str)) else {
        return empty(StatusCode::ACCEPTED);
    };
    let params = message.get("params").unwrap_or(&Value::Null);
    let mut script = locked(script);
    let lines = script.entry(server).or_default();
    let said = |body: Value| {
        let (key, value) =
            body.as_object().and_then(|body| body.iter().next()).map(|(k, v)| (k.clone(), v.clone())).unzip();
        json!({"jsonrpc": "2.0", "id": id, key.unwrap_or_default(): value.unwrap_or_default()})
    };
    let result = match lines.result(method, params) {
        Some(result) => said(json!({"result": result})),
        None => said(json!({"error": {"code": -32601, "message": "there is no such method"}})),
    };
    if params.get("name").is_some_and(|name| name == ASK) && method == "tools/call" {
        let question =
            json!({"jsonrpc": "2.0", "id": "question", "method": "sampling/createMessage", "params": lines.question});
        return response("text/event-stream", format!("data: {question}\n\ndata: {result}\n\n"));
    }
    response("application/json", result.to_string())
}

impl Lines {
    fn result(&mut self, method: &str, params: &Value) -> Option<Value> {
        Some(match method {
            "initialize" => json!({
                "protocolVersion": params.get("protocolVersion").unwrap_or(&Value::Null),
                "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
                "serverInfo": {"name": "stand-in", "version": "1"},
            }),
            "ping" => json!({}),
            "tools/list" if params.get("cursor").is_some_and(|cursor| cursor == CURSOR) => {
                json!({"tools": self.page, "nextCursor": CURSOR})
            }
            "tools/list" => json!({"tools": self.tools.clone().unwrap_or_else(tools)}),
            "prompts/list" => json!({"prompts": [{"name": PROMPT, "description": "What happened today."}]}),
            "resources/list" => json!({"resources": [{"name": "page", "uri": URI}]}),
            "resources/templates/list" => json!({"resourceTemplates": []}),
            "tools/call" => {
                self.called = params.get("arguments").cloned().unwrap_or_default();
                match params.get("name").and_then(Value::as_str) {
                    Some(FETCH) => self.result.clone(),
                    _ if self.tools.is_some() => self.result.clone(),
                    _ => json!({"content": [{"type": "text", "text": "Done."}]}),
                }
            }
            "resources/read" | "prompts/get" => self.result.clone(),
            _ => return None,
        })
    }
}

/// What it offers besides attacks.
fn tools() -> Value {
    let takes = |description: &str, name: &str| json!({"name": name, "description": description, "inputSchema": {"type": "object"}});
    json!([takes("Reads a page.", FETCH), takes("Keeps a text.", SEND), takes("Sums up a page.", ASK)])
}

fn response(kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
