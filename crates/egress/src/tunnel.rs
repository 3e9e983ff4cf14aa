//! What a tunnel carries: looked at before any byte of it leaves.
//!
//! **Threat.** A tunnel to an allowed host and port carries a handshake with another host, a request to another, or something else
//! altogether. So the first bytes decide what it is: a TLS handshake has to name the host, HTTP is looked at request by request, and anything else is
//! passed on only to ports that are neither for the one nor the other.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::exchange::{Exchange, Tunnel, end_of};
use crate::flow::{Flow, Outside};
use crate::hello::{self, Hello, Read};
use crate::host::{Host, Target};
use bartizan_reach::Reason;

/// Bytes in each direction that are read before they are written.
const BUFFER: usize = 16 * 1024;
/// The line that a request begins with.
const LONGEST_LINE: usize = 8 * 1024;

/// What the first bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum First {
    Tls(Hello),
    Http,
    Other,
    Refused(Reason),
}

/// Carries a tunnel until it ends.
pub(crate) async fn carry(flow: Arc<Flow>, tunnel: Tunnel) {
    let Tunnel { upgrade, target, mut outside } = tunnel;
    let Ok(client) = upgrade.await else { return flow.end(Reason::Broken) };
    let mut client = TokioIo::new(client);
    let (mut sent, mut early) = (Vec::new(), Vec::new());
    let patience = flow.shared.timeouts.first;
    let found = first(&mut client, &mut outside, &mut sent, &mut early, (target.port, patience)).await;
    let Ok(found) = found else { return flow.end(Reason::Broken) };
    // The policy may have been replaced while nothing was said.
    let permit = match flow.permit(&target, None) {
        Ok(permit) => permit,
        Err(refusal) => {
            flow.refuse(refusal, Some(&target));
            return;
        }
    };
    let has_secret = flow.shared.secrets().has_for(&target.host);
    let ended = permit.looks_at_requests() || has_secret;
    let client = Begun { sent, at: 0, io: client };
    let refused = match found {
        First::Refused(reason) => reason,
        First::Tls(hello) => match names(&hello, &target, ended) {
            Err(reason) => reason,
            Ok(()) if ended => return Box::pin(terminated(flow, client, target, outside)).await,
            Ok(()) => return Box::pin(opaque(&flow, client, outside, &early)).await,
        },
        First::Http => return Box::pin(requests(flow, client, target, false, outside)).await,
        First::Other if permit.looks_at_requests() => Reason::Request,
        First::Other => return Box::pin(opaque(&flow, client, outside, &early)).await,
    };
    flow.refuse(refused.into(), Some(&target));
}

/// Ports at which nothing but one protocol is expected.
fn is_strict(port: u16) -> bool {
    port == 443 || port == 80
}

/// Whether a handshake is with the target. One that hides another host is only good where it is ended here.
fn names(hello: &Hello, target: &Target, ended: bool) -> Result<(), Reason> {
    if hello.encrypted && !ended {
        return Err(Reason::EncryptedHello);
    }
    match (&hello.server_name, &target.host) {
        (Some(name), host) if name == host => Ok(()),
        (Some(_), _) => Err(Reason::OtherServerName),
        // A handshake never names an address.
        (None, Host::Address(_)) => Ok(()),
        (None, Host::Name(_)) => Err(Reason::NoServerName),
    }
}

/// Reads until it is known what the bytes are. Where the other side may speak first it may, for as long as it likes, and what it says
/// is kept; who has begun has to go on.
async fn first<C, O>(
    client: &mut C,
    outside: &mut O,
    sent: &mut Vec<u8>,
    early: &mut Vec<u8>,
    (port, patience): (u16, Duration),
) -> io::Result<First>
where
    C: AsyncRead + Unpin,
    O: AsyncRead + Unpin,
{
    let (mut from_client, mut from_outside) = ([0; 4096], [0; 4096]);
    let late = sleep(patience);
    tokio::pin!(late);
    loop {
        let may_wait = !is_strict(port) && sent.is_empty();
        let read = tokio::select! {
            read = client.read(&mut from_client) => read?,
            read = outside.read(&mut from_outside), if may_wait => {
                early.extend_from_slice(from_outside.get(..read?).unwrap_or_default());
                return Ok(First::Other);
            }
            () = &mut late, if !may_wait => return Ok(First::Refused(Reason::TimedOut)),
        };
        if may_wait {
            late.as_mut().reset(Instant::now() + patience);
        }
        sent.extend_from_slice(from_client.get(..read).unwrap_or_default());
        if let Some(found) = classified(sent, port, read == 0) {
            return Ok(found);
        }
    }
}

/// What these bytes begin, if that is clear; all that there will be are, if they `ended`.
fn classified(bytes: &[u8], port: u16, ended: bool) -> Option<First> {
    let other = || Some(if is_strict(port) { First::Refused(Reason::NotTls) } else { First::Other });
    let malformed = || Some(First::Refused(Reason::Malformed));
    if bytes.is_empty() {
        return if ended { other() } else { None };
    }
    if bytes.first() == Some(&hello::HANDSHAKE) && bytes.get(1).is_none_or(|major| *major == 3) {
        return match hello::read(bytes) {
            Read::Whole(hello) => Some(First::Tls(hello)),
            Read::Partial if !ended => None,
            Read::Partial | Read::Malformed => malformed(),
        };
    }
    if port == 443 {
        return other();
    }
    match line(bytes) {
        Line::Http => Some(First::Http),
        Line::NewerHttp => malformed(),
        Line::Other if port == 80 => malformed(),
        Line::Other => other(),
        Line::Partial if ended => malformed(),
        Line::Partial => None,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Partial,
    Http,
    /// That of HTTP/2, which begins like a request.
    NewerHttp,
    Other,
}

/// Whether what stands there is the first line of a request, as lenient servers read it.
fn line(bytes: &[u8]) -> Line {
    let begun = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let Some(text) = begun.and_then(|begun| bytes.get(begun..)) else {
        return if bytes.len() < LONGEST_LINE { Line::Partial } else { Line::Other };
    };
    let method = text.iter().take_while(|byte| is_token(**byte)).count();
    match text.get(method) {
        None if method <= 32 => return Line::Partial,
        Some(b' ' | b'\t') if (1..=32).contains(&method) => {}
        _ => return Line::Other,
    }
    let Some(end) = text.iter().position(|byte| *byte == b'\n') else {
        return if text.len() < LONGEST_LINE { Line::Partial } else { Line::Other };
    };
    let line = text.get(..end).unwrap_or_default().trim_ascii_end();
    let version = line.rsplit(|byte| matches!(byte, b' ' | b'\t')).next().unwrap_or_default();
    match version.strip_prefix(b"HTTP/") {
        Some(version) if version.starts_with(b"1.") => Line::Http,
        Some(_) => Line::NewerHttp,
        None => Line::Other,
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Passes bytes both ways as they are, each direction for as long as it goes.
async fn opaque<C>(flow: &Flow, mut client: Begun<C>, mut outside: Outside, early: &[u8])
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    flow.is_opaque();
    let carried = async {
        client.write_all(early).await?;
        client.flush().await?;
        tokio::io::copy_bidirectional_with_sizes(&mut client, &mut outside, BUFFER, BUFFER).await.map(drop)
    };
    flow.end(end_of(&carried.await));
}

/// Ends TLS, to see requests.
async fn terminated<C>(flow: Arc<Flow>, client: C, target: Target, outside: Outside)
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(config) = flow.shared.authority.config(&target.host) else {
        flow.refuse(Reason::Handshake.into(), Some(&target));
        return;
    };
    match timeout(flow.shared.timeouts.handshake, TlsAcceptor::from(config).accept(client)).await {
        Ok(Ok(stream)) => requests(flow, stream, target, true, outside).await,
        Ok(Err(_)) => drop(flow.refuse(Reason::Handshake.into(), Some(&target))),
        Err(_) => drop(flow.refuse(Reason::TimedOut.into(), Some(&target))),
    }
}

/// Answers requests within a tunnel.
async fn requests<C>(flow: Arc<Flow>, client: C, target: Target, secure: bool, outside: Outside)
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match Exchange::in_tunnel(Arc::clone(&flow), target.clone(), secure, outside).await {
        // There is no tunnel within one.
        Ok(exchange) => drop(exchange.serve(client).await),
        Err(reason) => drop(flow.refuse(reason.into(), Some(&target))),
    }
}

/// A connection of which some bytes were read already.
struct Begun<C> {
    sent: Vec<u8>,
    at: usize,
    io: C,
}

impl<C: AsyncRead + Unpin> AsyncRead for Begun<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let left = this.sent.get(this.at..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let count = left.len().min(buf.remaining());
        buf.put_slice(left.get(..count).unwrap_or_default());
        this.at += count;
        if this.at == this.sent.len() {
            (this.sent, this.at) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Begun<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
