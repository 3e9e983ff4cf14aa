//! A bare hyper reverse proxy: the floor under any HTTP/1.1 gateway written on hyper.
//!
//! It forwards every request to one origin, streams both bodies and looks at neither.

use std::convert::Infallible;
use std::net::SocketAddr;

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
}

type Body = Either<Incoming, Empty<Bytes>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let listener = TcpListener::bind(options.listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, options.origin));
    }
}

async fn serve(stream: TcpStream, origin: SocketAddr) {
    let _ = stream.set_nodelay(true);
    // One upstream connection for each client connection; HTTP/1.1 keeps them in step.
    let upstream = Mutex::new(None);
    let service = service_fn(|request| async {
        let mut held = upstream.lock().await;
        Ok::<_, Infallible>(forward(request, &mut held, origin).await.unwrap_or_else(bad_gateway))
    });
    let server = hyper::server::conn::http1::Builder::new();
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
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
