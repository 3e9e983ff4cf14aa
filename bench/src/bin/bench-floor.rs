//! A bare hyper reverse proxy: the floor under any HTTP/1.1 gateway written on hyper.
//!
//! It forwards every request to one origin, streams both bodies and looks at neither.
//!
//! With `--busy` it also keeps its core busy for a while over each call, and so finds out what moving bytes costs whoever has something else to do:
//! client and origin fall asleep meanwhile, and waking them takes longer than handing something to those that are awake.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Parser;
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

#[derive(Parser)]
#[command(name = "bench-floor", about = "A bare hyper reverse proxy to measure a gateway against")]
struct Options {
    /// Address to listen on
    listen: SocketAddr,
    /// Address every request is forwarded to
    origin: SocketAddr,
    /// Microseconds of doing nothing of use for each call, half of them on each way
    #[arg(long, default_value_t = 0)]
    busy: u64,
}

type Body = Either<Incoming, Empty<Bytes>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let listener = TcpListener::bind(options.listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, options.origin, Duration::from_micros(options.busy) / 2));
    }
}

async fn serve(stream: TcpStream, origin: SocketAddr, busy: Duration) {
    let _ = stream.set_nodelay(true);
    // One upstream connection for each client connection; HTTP/1.1 keeps them in step.
    let upstream = Mutex::new(None);
    let service = service_fn(|request| async {
        let mut held = upstream.lock().await;
        keep_busy(busy);
        let response = forward(request, &mut held, origin).await.unwrap_or_else(bad_gateway);
        keep_busy(busy);
        Ok::<_, Infallible>(response)
    });
    let server = hyper::server::conn::http1::Builder::new();
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

fn keep_busy(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

async fn forward(
    request: Request<Incoming>,
    held: &mut Option<SendRequest<Incoming>>,
    origin: SocketAddr,
) -> Option<Response<Body>> {
    let mut sender = match held.take().filter(|sender| !sender.is_closed()) {
        Some(sender) => sender,
        None => connect(origin).await?,
    };
    sender.ready().await.ok()?;
    let response = sender.send_request(request).await.ok()?;
    *held = Some(sender);
    Some(response.map(Either::Left))
}

async fn connect(origin: SocketAddr) -> Option<SendRequest<Incoming>> {
    let stream = TcpStream::connect(origin).await.ok()?;
    let _ = stream.set_nodelay(true);
    let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    Some(sender)
}

fn bad_gateway() -> Response<Body> {
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
