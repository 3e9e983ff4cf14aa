//! The HTTP side towards clients: accepts connections, checks requests, and hands them to an endpoint.
//!
//! What a request passes, in this order, and why there: the number of connections (before anything is read; `seats`), the
//! handshake where the address has a certificate, the time and size of its head (before it is understood), `Host` and `Origin`, who asks (before it is routed: whoever may not
//! come in does not learn what there is), its method and type, the time and size of its body, and only then the message itself.
//!
//! `endpoint` is that path from `Host` on, top to bottom. What it asks on the way stands beside it: `checks` about the head,
//! `cors` and `caller` who asks, `target` whom it is for, `agreement` whether it says the same everywhere, `peers` what it leads
//! to, `lasting` how long its answer may go on, `standing` whether who asked may have it still.

mod agreement;
mod body;
mod bounds;
mod caller;
mod checks;
mod cors;
mod endpoint;
mod lasting;
#[cfg(feature = "tls")]
mod leaf;
mod peers;
mod resource;
mod respond;
mod seats;
mod sessions;
mod stall;
mod standing;
mod target;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bartizan_audit::Id;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub use bounds::{Bounds, streams};
pub use checks::Allowed;
pub use endpoint::{Front, FrontSettings};
pub(crate) use tls::{Ready, Secure};

use crate::identity::Certificate;
use body::Reply;
use seats::{Seated, Seats};
use stall::{Heard, Stall};

/// The rule for connections for which there is no room, or that make it.
const NO_ROOM: &str = "edge.connections";

/// Where clients come in, and how they are sure of whom they talk to.
type Door = (TcpListener, Option<Arc<Secure>>);

/// Serves MCP until `stop` changes, then lets requests under way finish.
pub(crate) async fn serve(front: Arc<Front>, door: Door, bounds: Bounds, stop: watch::Receiver<bool>) {
    let counting = Arc::clone(&front);
    let answer = move |request, peer| {
        let front = Arc::clone(&front);
        async move { front.answer(request, peer).await }
    };
    let refused = move |peer: SocketAddr, rule| counting.count_refused(peer, rule);
    accept(door, bounds, stop, answer, refused).await;
}

/// Serves the administrative address: liveness, readiness, metrics.
pub(crate) async fn serve_admin(front: Arc<Front>, door: Door, stop: watch::Receiver<bool>) {
    let answer = move |request: Request<Incoming>, _| {
        let front = Arc::clone(&front);
        async move { admin(&front, &request) }
    };
    accept(door, Bounds { connections: 256, ..Bounds::default() }, stop, answer, |_, _| None).await;
}

fn admin(front: &Front, request: &Request<Incoming>) -> Response<Reply> {
    if front.allowed(request).is_err() {
        return respond::plain(StatusCode::FORBIDDEN, "forbidden\n");
    }
    match request.uri().path() {
        "/livez" => respond::plain(StatusCode::OK, "ok\n"),
        "/readyz" => match front.readiness() {
            Ok(text) => respond::plain(StatusCode::OK, &text),
            Err(text) => respond::plain(StatusCode::SERVICE_UNAVAILABLE, &text),
        },
        "/metrics" => respond::metrics(front.metrics()),
        _ => respond::plain(StatusCode::NOT_FOUND, "not found\n"),
    }
}

/// Accepts connections until it is time to stop. `refused` is told of each whose requests never reached `answer`.
async fn accept<A, F, R>(
    (listener, secure): Door,
    bounds: Bounds,
    mut stop: watch::Receiver<bool>,
    answer: A,
    refused: R,
) where
    R: Fn(SocketAddr, &'static str) -> Option<Id> + Clone + Send + Sync + 'static,
    A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Reply>> + Send + 'static,
{
    let seats = Seats::new(bounds.connections);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: waiting lets others finish, spinning would not.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // One at a time: as long as there is no place, further clients wait where the system keeps them.
        let seated = tokio::select! {
            seated = seats.take(peer.ip()) => seated,
            () = stopped(&mut stop) => break,
        };
        let Some(seated) = seated else {
            refused(peer, NO_ROOM);
            continue;
        };
        prepare(&stream);
        let (answer, mut stop, refused, secure) = (answer.clone(), stop.clone(), refused.clone(), secure.clone());
        let answer = {
            let refused = refused.clone();
            move |request, peer| or_refuse(answer(request, peer), peer, refused.clone())
        };
        tokio::spawn(async move {
            let ended = match secure {
                None => serve_connection((stream, None), (peer, &seated), bounds, stop, answer).await,
                // What handshakes take is not kept for connections without one.
                Some(secure) => {
                    Box::pin(async {
                        let shaken = handshake(&secure, (stream, peer.ip()), (&seated, bounds), &mut stop).await?;
                        let Some(stream) = shaken else { return Ok(()) };
                        let shown = secure.shown(&stream).map(Arc::new);
                        serve_connection((stream, shown), (peer, &seated), bounds, stop, answer).await
                    })
                    .await
                }
            };
            if let Err(Ended { rule, why }) = ended {
                tracing::debug!(%peer, %why, "a connection ended early");
                rule.and_then(|rule| refused(peer, rule));
            }
        });
    }
    // Connections end by themselves once they see `stop`; whoever waits for them bounds that wait.
    seats.empty().await;
}

/// What `answer` comes to, or a refusal if it panics: one request that we cannot handle must not look like a broken
/// network to its client. What is shared with others is behind locks that outlive a panic.
///
/// Not written with `async`, which would make room for `answer` twice.
fn or_refuse(
    answer: impl Future<Output = Response<Reply>>,
    peer: SocketAddr,
    refused: impl Fn(SocketAddr, &'static str) -> Option<Id>,
) -> impl Future<Output = Response<Reply>> {
    AssertUnwindSafe(answer).catch_unwind().map(move |answered| {
        answered.unwrap_or_else(|_| {
            tracing::error!(%peer, "answering a request failed");
            let decision = refused(peer, "edge.failed");
            respond::explain(*respond::refused(StatusCode::INTERNAL_SERVER_ERROR, "edge.failed", ""), decision)
        })
    })
}

/// Returns once it is time to stop; the guard of the watched value is not held while others wait.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|stop| *stop).await.map(drop).ok();
}

/// Why a connection ended before its time.
struct Ended {
    /// The rule that counts it, if it was refused.
    rule: Option<&'static str>,
    why: String,
}

impl Ended {
    /// Because of what the client sent, or did not send, as the head of a request, or for some other reason. One that sent
    /// nothing of another request asked for nothing, so nothing was refused.
    fn of(error: &hyper::Error, heard: &Heard) -> Ended {
        let is_refusal = is_refusal(error) && (heard.something() || !error.is_timeout());
        Ended { rule: is_refusal.then_some("edge.head"), why: error.to_string() }
    }

    /// Because somebody else has more use for its place.
    fn for_room() -> Ended {
        Ended { rule: Some(NO_ROOM), why: "it makes room for others".to_owned() }
    }

    fn in_handshake(why: &impl ToString) -> Ended {
        Ended { rule: Some("edge.tls"), why: why.to_string() }
    }
}

/// The connection once it is secure; nothing if the client left without a word, or it is time to stop.
async fn handshake(
    secure: &Secure,
    (stream, from): (TcpStream, IpAddr),
    (seated, bounds): (&Seated, Bounds),
    stop: &mut watch::Receiver<bool>,
) -> Result<Option<tls::Stream>, Ended> {
    tokio::select! {
        shaken = tokio::time::timeout(bounds.header_timeout, secure.accept(stream, from)) => match shaken {
            Ok(shaken) => shaken.map_err(|error| Ended::in_handshake(&error)),
            Err(late) => Err(Ended::in_handshake(&late)),
        },
        () = stopped(stop) => Ok(None),
        () = seated.leave() => Err(Ended::for_room()),
    }
}

/// Serves a connection on which the client has shown that certificate, if any.
async fn serve_connection<A, F, S>(
    (stream, shown): (S, Option<Arc<Certificate>>),
    (peer, seated): (SocketAddr, &Seated),
    bounds: Bounds,
    mut stop: watch::Receiver<bool>,
    answer: A,
) -> Result<(), Ended>
where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Reply>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = Stall::new(stream, bounds.write_timeout);
    let heard = stream.heard();
    let service = service_fn(|mut request: Request<Incoming>| {
        if let Some(shown) = &shown {
            request.extensions_mut().insert(Arc::clone(shown));
        }
        seated.begin();
        answer(request, peer).map(|response| {
            heard.over();
            if !matches!(response.body(), Reply::Events(_)) {
                seated.rest();
            }
            Ok::<_, Infallible>(response)
        })
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_timeout)
        .max_headers(100)
        // Also the bound of a request's head; without it the buffer of each connection grows towards 400 KiB.
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let leaves = tokio::select! {
        ended = connection.as_mut() => return ended.map_err(|error| Ended::of(&error, &heard)),
        () = stopped(&mut stop) => false,
        () = seated.leave() => true,
    };
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection.as_mut() => ended.map_err(|error| Ended::of(&error, &heard)),
        () = seated.overdue(), if leaves => Err(Ended::for_room()),
    }
}

/// Whether a connection ended because of what the client sent, or did not send, as the head of a request.
fn is_refusal(error: &hyper::Error) -> bool {
    error.is_parse() || error.is_parse_too_large() || error.is_parse_status() || error.is_timeout()
}

/// Sends what there is at once, and notices a client that is gone without a word, which a stream with nothing to send would
/// never.
fn prepare(stream: &TcpStream) {
    use rustix::net::sockopt;
    stream.set_nodelay(true).ok();
    // A system that knows none of these leaves such a connection to the next write on it.
    sockopt::set_socket_keepalive(stream, true).ok();
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(60)).ok();
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(15)).ok();
    sockopt::set_tcp_keepcnt(stream, 4).ok();
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What comes back for a GET of `path` until the connection ends.
    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok();
        text
    }

    #[tokio::test]
    async fn a_panic_is_a_refusal_of_one_request_and_keeps_no_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let counted = Arc::new(AtomicUsize::new(0));
        let answer = |request: Request<Incoming>, _| async move {
            match request.uri().path() {
                "/panic" => panic!("provoked"),
                // While the body is being sent, when there is no status left to say it with.
                "/later" => {
                    let broken = futures_util::stream::once(async { panic!("provoked later") });
                    Response::new(Reply::Events(Box::pin(broken)))
                }
                _ => respond::plain(StatusCode::OK, "fine\n"),
            }
        };
        let count = Arc::clone(&counted);
        let refused = move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            None
        };
        // With one place, one that is not given back keeps everybody out.
        let bounds = Bounds { connections: 1, ..Bounds::default() };
        let serving = tokio::spawn(accept((listener, None), bounds, stopped, answer, refused));
        for _ in 0..3 {
            assert!(get(address, "/panic").await.starts_with("HTTP/1.1 500"), "the client is told");
            assert!(!get(address, "/later").await.contains("fine"));
            assert!(get(address, "/").await.ends_with("fine\n"), "others are served");
        }
        assert_eq!(counted.load(Ordering::Relaxed), 3, "refusals are counted");
        stop.send(true).unwrap();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_nobody_uses_is_closed_and_no_refusal_and_half_a_head_is_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let counted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&counted);
        let refused = move |_, rule| {
            assert_eq!(rule, "edge.head");
            count.fetch_add(1, Ordering::Relaxed);
            None
        };
        let answer = |_: Request<Incoming>, _| async { respond::plain(StatusCode::OK, "fine\n") };
        let bounds = Bounds { header_timeout: Duration::from_millis(200), ..Bounds::default() };
        let serving = tokio::spawn(accept((listener, None), bounds, stopped, answer, refused));
        let whole = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
        for (sent, expected) in [
            (vec![], 0),
            (vec![whole], 0),
            (vec![whole, whole], 0),
            (vec!["GET / HT"], 1),
            (vec!["G"], 1),
            (vec![whole, "GET / HT"], 1),
            (vec!["no http at all\r\n\r\n"], 1),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut answers = [0; 1024];
            for part in &sent {
                stream.write_all(part.as_bytes()).await.unwrap();
                if *part == whole {
                    assert!(stream.read(&mut answers).await.unwrap() > 0, "{sent:?}");
                }
            }
            // It is closed, whether it is counted or not.
            tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut Vec::new())).await.unwrap().ok();
            let mut counts = 0;
            for _ in 0..50 {
                counts = counted.swap(0, Ordering::Relaxed);
                if counts > 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(4)).await;
            }
            assert_eq!(counts, expected, "{sent:?}");
        }
        stop.send(true).unwrap();
        serving.await.unwrap();
    }
}
