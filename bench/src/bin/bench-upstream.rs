//! The bare upstream over Streamable HTTP, in both eras of the protocol.
//!
//! It answers as JSON or, with `--reply sse`, as an event stream of one event. Sessions are kept and checked, so a
//! gateway that loses one is seen as errors and not as speed.

use std::collections::HashSet;
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::io::Write as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bartizan_bench::{Era, Kind, STATELESS_VERSION, Server};
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

#[derive(Parser)]
#[command(name = "bench-upstream", about = "An MCP server that costs next to nothing, at /mcp")]
struct Options {
    /// Address to listen on; port 0 takes a free one, which is printed
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Number of tools in `tools/list`
    #[arg(long, default_value_t = 10)]
    tools: usize,
    /// What a request is answered with
    #[arg(long, value_enum, default_value_t = Reply::Json)]
    reply: Reply,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reply {
    Json,
    Sse,
}

struct Upstream {
    server: Server,
    reply: Reply,
    sessions: Mutex<HashSet<String>>,
    opened: AtomicU64,
    random: RandomState,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let upstream = Arc::new(Upstream {
        server: Server::new(options.tools),
        reply: options.reply,
        sessions: Mutex::default(),
        opened: AtomicU64::new(0),
        random: RandomState::new(),
    });
    let listener = TcpListener::bind(options.listen).await?;
    writeln!(std::io::stdout(), "http://{}/mcp", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, upstream.clone()));
    }
}

async fn serve(stream: TcpStream, upstream: Arc<Upstream>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| async { Ok::<_, Infallible>(upstream.respond(request).await) });
    let server = hyper::server::conn::http1::Builder::new();
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

impl Upstream {
    async fn respond(&self, request: Request<Incoming>) -> Response<Piece> {
        let (parts, body) = request.into_parts();
        match parts.method {
            Method::POST => {}
            Method::DELETE => {
                header(&parts.headers, &SESSION).map(|id| self.sessions().remove(id));
                return bare(StatusCode::OK);
            }
            _ => return bare(StatusCode::METHOD_NOT_ALLOWED),
        }
        let Ok(body) = body.collect().await else { return bare(StatusCode::BAD_REQUEST) };
        let body = body.to_bytes();
        let Some(request) = bartizan_bench::Request::parse(&body) else {
            return refusal(StatusCode::BAD_REQUEST, -32700, "Parse error");
        };
        let era = match header(&parts.headers, &VERSION) {
            Some(STATELESS_VERSION) => Era::Stateless,
            _ => Era::Session,
        };
        let mut answer = Vec::with_capacity(body.len() + 256);
        let kind = self.server.answer(&request, era, &mut answer);
        if let Some(refused) = self.check(&parts.headers, &request, era, kind) {
            return refused;
        }
        match kind {
            Kind::Silent => bare(StatusCode::ACCEPTED),
            Kind::UnknownMethod if era == Era::Stateless => json(StatusCode::NOT_FOUND, answer),
            Kind::UnknownMethod | Kind::Ordinary => self.good(answer),
            Kind::Initialize => self.open(answer),
        }
    }

    fn check(
        &self,
        headers: &HeaderMap,
        request: &bartizan_bench::Request<'_>,
        era: Era,
        kind: Kind,
    ) -> Option<Response<Piece>> {
        match era {
            Era::Stateless => {
                let mirrored = request.era() == Era::Stateless
                    && header(headers, &METHOD) == Some(request.method())
                    && header(headers, &NAME) == request.name();
                (!mirrored).then(|| refusal(StatusCode::BAD_REQUEST, -32020, "Header mismatch"))
            }
            Era::Session if kind == Kind::Initialize => None,
            Era::Session => match header(headers, &SESSION) {
                None => Some(refusal(StatusCode::BAD_REQUEST, -32000, "No session")),
                Some(id) if self.sessions().contains(id) => None,
                Some(_) => Some(refusal(StatusCode::NOT_FOUND, -32001, "Unknown session")),
            },
        }
    }

    fn good(&self, answer: Vec<u8>) -> Response<Piece> {
        if self.reply == Reply::Json {
            return json(StatusCode::OK, answer);
        }
        let event = [b"event: message\ndata: ", &*answer, b"\n\n"].concat();
        respond(StatusCode::OK, EVENTS, Piece { bytes: Some(event.into()), sized: false })
    }

    fn open(&self, answer: Vec<u8>) -> Response<Piece> {
        let mut response = self.good(answer);
        // Unique by the counter in it; nothing is protected by this id.
        let n = self.opened.fetch_add(1, Ordering::Relaxed);
        let id = format!("{n}-{:016x}", self.random.hash_one(n));
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(SESSION, value);
        }
        self.sessions().insert(id);
        response
    }

    fn sessions(&self) -> MutexGuard<'_, HashSet<String>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn bare(status: StatusCode) -> Response<Piece> {
    let mut response = Response::new(Piece { bytes: None, sized: true });
    *response.status_mut() = status;
    response
}

fn refusal(status: StatusCode, code: i32, message: &str) -> Response<Piece> {
    let body = format!(r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":{code},"message":"{message}"}}}}"#);
    json(status, body.into_bytes())
}

fn json(status: StatusCode, body: Vec<u8>) -> Response<Piece> {
    respond(status, JSON, Piece { bytes: Some(body.into()), sized: true })
}

fn respond(status: StatusCode, kind: HeaderValue, body: Piece) -> Response<Piece> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// A body of one piece; `sized` decides between a content length and chunks.
struct Piece {
    bytes: Option<Bytes>,
    sized: bool,
}

impl Body for Piece {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.bytes {
            Some(_) if !self.sized => SizeHint::default(),
            Some(bytes) => SizeHint::with_exact(bytes.len() as u64),
            None => SizeHint::with_exact(0),
        }
    }
}
