//! HTTP in one connection: each request is checked, recorded and written anew to the host that it was checked for.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::connect::Refusal;
use crate::event::{Event, What};
use crate::flow::{Flow, Outside};
use crate::host::{Host, Target};
use crate::request::{self as checked, Within};
use bartizan_reach::Permit;
use bartizan_reach::Reason;

/// The head of a request or an answer; what is larger is refused.
const HEAD: usize = 64 * 1024;
const HEADERS: usize = 100;
/// Of a path, in reports.
const SHOWN: usize = 256;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// All requests of one connection.
pub(crate) struct Exchange {
    flow: Arc<Flow>,
    within: Within,
    /// One, as an exchange is over before the next begins.
    line: tokio::sync::Mutex<Option<Line>>,
    tunnel: Mutex<Option<Tunnel>>,
    /// Whether there has been a request.
    begun: AtomicBool,
}

/// A tunnel that was asked for and allowed.
pub(crate) struct Tunnel {
    pub(crate) upgrade: OnUpgrade,
    pub(crate) target: Target,
    pub(crate) outside: Outside,
}

/// A connection to a host over which requests go.
struct Line {
    target: Target,
    sender: SendRequest<Incoming>,
    driver: JoinHandle<Result<(), hyper::Error>>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Exchange {
    /// Requests over a connection to the proxy itself.
    pub(crate) fn at_proxy(flow: Arc<Flow>) -> Exchange {
        Exchange::new(flow, Within::Proxy, None)
    }

    /// Requests within a tunnel to `target`, to which there is a connection.
    pub(crate) async fn in_tunnel(
        flow: Arc<Flow>,
        target: Target,
        secure: bool,
        outside: Outside,
    ) -> Result<Exchange, Reason> {
        let within = Within::Tunnel { target: target.clone(), secure };
        let line = line(&flow, &within, target, outside).await?;
        Ok(Exchange::new(flow, within, Some(line)))
    }

    fn new(flow: Arc<Flow>, within: Within, line: Option<Line>) -> Exchange {
        Exchange {
            flow,
            within,
            line: tokio::sync::Mutex::new(line),
            tunnel: Mutex::default(),
            begun: AtomicBool::new(false),
        }
    }

    /// Answers what comes until the connection ends; then there may be a tunnel.
    pub(crate) async fn serve<S>(self, io: S) -> Result<Option<Tunnel>, hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let head = self.flow.shared.timeouts.head;
        let exchange = Arc::new(self);
        let service = service_fn(|request| {
            let exchange = Arc::clone(&exchange);
            async move { Ok::<_, Infallible>(exchange.respond(request).await) }
        });
        let mut builder = server::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(head);
        // Who goes while an answer is waited for does not keep a place.
        builder.half_close(false).max_buf_size(HEAD).max_headers(HEADERS);
        let served = builder.serve_connection(TokioIo::new(io), service).with_upgrades().await;
        if let Err(error) = &served {
            exchange.unread(error);
        }
        let tunnel = exchange.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Before the line goes, which is reported as closed.
        if tunnel.is_none() {
            exchange.flow.end(if served.is_ok() { Reason::Ended } else { Reason::Broken });
        }
        served.map(|()| tunnel)
    }

    /// Reports what could not be read as a request.
    fn unread(&self, error: &hyper::Error) {
        if error.is_parse() {
            self.flow.refuse(Reason::Malformed.into(), None);
        } else if error.is_timeout() && !self.begun.load(Ordering::Relaxed) {
            self.flow.shared.reports.flooded(Reason::TimedOut);
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        self.begun.store(true, Ordering::Relaxed);
        let (mut head, body) = request.into_parts();
        let answered =
            if head.method == Method::CONNECT { self.connect(&mut head).await } else { self.forward(head, body).await };
        answered.unwrap_or_else(refused)
    }

    /// Opens a tunnel.
    async fn connect(&self, head: &mut request::Parts) -> Result<Response<Body>, Reason> {
        let target = match (&self.within, checked::connect(head)) {
            (Within::Proxy, Ok(target)) => target,
            (Within::Proxy, Err(reason)) => return Err(self.flow.refuse(reason.into(), None)),
            _ => return Err(self.flow.refuse(Reason::Method.into(), None)),
        };
        let opened = async {
            let permit = self.flow.permit(&target, None)?;
            let outside = self.flow.open(&target, &permit).await?;
            let upgrade = head.extensions.remove().ok_or(Reason::Malformed)?;
            Ok(Tunnel { upgrade, target: target.clone(), outside })
        };
        let tunnel = opened.await.map_err(|refusal| self.flow.refuse(refusal, Some(&target)))?;
        *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
        Ok(Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync()))
    }

    /// Passes one request on.
    async fn forward(&self, mut head: request::Parts, body: Incoming) -> Result<Response<Body>, Reason> {
        let target =
            checked::forwarded(&mut head, &self.within).map_err(|reason| self.flow.refuse(reason.into(), None))?;
        let refuse = |refusal: Refusal| {
            let mut event = self.flow.refusal(refusal, Some(&target));
            describe(&mut event, &head);
            self.flow.shared.reports.tell(event);
            refusal.reason
        };
        if self.within == Within::Proxy && target.port == 443 {
            return Err(refuse(Reason::NotTls.into()));
        }
        let asked = (head.method.clone(), head.uri.path().to_owned());
        let permit = self.flow.permit(&target, Some(asked)).map_err(refuse)?;
        let mut line = self.line.lock().await;
        let mut sender = match line.take().filter(|line| line.target == target && !line.sender.is_closed()) {
            Some(held) => held,
            None => self.connected(&target, &permit).await.map_err(refuse)?,
        };
        if sender.sender.ready().await.is_err() {
            sender = self.connected(&target, &permit).await.map_err(refuse)?;
            sender.sender.ready().await.map_err(|_| refuse(Reason::Broken.into()))?;
        }
        // Last of all, so that what is put in place is put in a request that leaves.
        let mut event = self.flow.shared.reports.event(What::Request, Reason::Allowed, Some(&target));
        describe(&mut event, &head);
        let bound = self.within.is_secure().then_some(&target.host);
        let secrets = self.flow.shared.secrets().apply(bound, &mut head.headers, &head.uri);
        let used = secrets.map_err(|reason| self.flow.refuse(reason.into(), Some(&target)))?;
        (event.secrets, event.kept, event.terminated) = (used.put, used.kept, self.within.is_secure());
        self.flow.shared.reports.admit(event)?;
        let sent = sender.sender.send_request(Request::from_parts(head, body)).await;
        let answer = sent.map_err(|_| self.flow.refuse(Reason::Broken.into(), Some(&target)))?;
        *line = Some(sender);
        answered(answer)
    }

    /// A new connection to a host, looked up and checked anew.
    async fn connected(&self, target: &Target, permit: &Permit) -> Result<Line, Refusal> {
        let outside = self.flow.open(target, permit).await?;
        Ok(line(&self.flow, &self.within, target.clone(), outside).await?)
    }
}

/// Speaks HTTP over a connection, and TLS below it where that was ended.
async fn line(flow: &Flow, within: &Within, target: Target, mut outside: Outside) -> Result<Line, Reason> {
    if !within.is_secure() {
        return spoken(target, outside).await;
    }
    outside.open.terminated();
    let name = match &target.host {
        Host::Name(name) => ServerName::try_from(name.to_string()).map_err(|_| Reason::Host)?,
        Host::Address(address) => ServerName::from(*address),
    };
    let connecting = TlsConnector::from(Arc::clone(&flow.shared.tls)).connect(name, outside);
    match timeout(flow.shared.timeouts.handshake, connecting).await {
        Ok(Ok(stream)) => spoken(target, stream).await,
        Ok(Err(_)) => Err(Reason::Handshake),
        Err(_) => Err(Reason::TimedOut),
    }
}

async fn spoken<S>(target: Target, io: S) -> Result<Line, Reason>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = client::Builder::new();
    builder.max_buf_size(HEAD).max_headers(HEADERS);
    let (sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(|_| Reason::Broken)?;
    Ok(Line { target, sender, driver: tokio::spawn(connection) })
}

/// What a host answered, as it is passed back.
fn answered(mut answer: Response<Incoming>) -> Result<Response<Body>, Reason> {
    // Nobody asked for another protocol.
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Reason::Broken);
    }
    if answer.headers().contains_key(header::TRANSFER_ENCODING) {
        answer.headers_mut().remove(header::CONTENT_LENGTH);
    }
    checked::strip(answer.headers_mut());
    answer.extensions_mut().clear();
    Ok(answer.map(BodyExt::boxed_unsync))
}

/// Says that something is refused, and why, and ends the connection.
fn refused(reason: Reason) -> Response<Body> {
    let text = Full::from(format!("Bartizan refused this: {}\n", reason.id()));
    let mut response = Response::new(text.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = reason.status();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What a request is, as far as it is reported.
fn describe(event: &mut Event, head: &request::Parts) {
    event.method = Some(head.method.as_str().chars().take(SHOWN).collect());
    event.path = Some(head.uri.path().chars().take(SHOWN).collect());
}

/// What ended a connection over which bytes went.
pub(crate) fn end_of(result: &io::Result<()>) -> Reason {
    if result.is_ok() { Reason::Ended } else { Reason::Broken }
}
