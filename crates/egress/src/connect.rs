//! From a target to a connection: looked up once, every address checked, and connected to one that was.
//!
//! **Threat.** Whoever a name belongs to answers differently each time, and may mix a good address with one of a private network. So there is
//! one answer, all of it has to be allowed, and the connection is made to what was checked and not to the name.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::host::{Host, Target};
use bartizan_reach::Permit;
use bartizan_reach::Reason;

/// More are no answer of anybody honest.
const MOST_ADDRESSES: usize = 64;
/// How many of them are tried.
const TRIED: usize = 4;
/// Names that are looked up at once; each takes a thread, also when nobody waits for it any more.
const LOOKUPS: usize = 8;

/// What [`Resolve`] gives.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Says where a name leads.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of a name of DNS.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;
}

/// Looks names up as the system does. Each server has one of its own, so that names that are answered slowly are looked up slowly for
/// the server alone that asks for them.
#[derive(Debug, Clone)]
pub struct System(Arc<Semaphore>);

impl Default for System {
    fn default() -> System {
        System(Arc::new(Semaphore::new(LOOKUPS)))
    }
}

impl Resolve for System {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let place = Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)?;
            let name = name.to_owned();
            // On its own, so that the place is kept for as long as the thread is.
            let looking = tokio::spawn(async move {
                let found = tokio::net::lookup_host((name.as_str(), 0)).await;
                drop(place);
                found.map(|found| found.take(MOST_ADDRESSES + 1).map(|address| address.ip()).collect())
            });
            looking.await.map_err(io::Error::other)?
        })
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    /// The address that it is about.
    pub(crate) address: Option<IpAddr>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Refusal {
        Refusal { reason, address: None }
    }
}

/// How long things may take.
pub(crate) struct Patience {
    pub(crate) lookup: Duration,
    pub(crate) connect: Duration,
}

/// The addresses of a target, each of them allowed.
pub(crate) async fn addresses(
    target: &Target,
    permit: &Permit,
    own: &[IpAddr],
    resolver: &dyn Resolve,
    patience: Duration,
) -> Result<Vec<IpAddr>, Refusal> {
    let found = match &target.host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => match timeout(patience, resolver.resolve(name)).await {
            Ok(Ok(found)) if !found.is_empty() && found.len() <= MOST_ADDRESSES => found,
            Ok(_) => return Err(Reason::Unresolved.into()),
            Err(_) => return Err(Reason::TimedOut.into()),
        },
    };
    for address in &found {
        permit.reaches(*address, own).map_err(|reason| Refusal { reason, address: Some(*address) })?;
    }
    Ok(found)
}

/// A connection to a target, and to which address.
pub(crate) async fn connect(
    target: &Target,
    permit: &Permit,
    own: &[IpAddr],
    resolver: &dyn Resolve,
    patience: &Patience,
) -> Result<(TcpStream, IpAddr), Refusal> {
    let mut last = Refusal::from(Reason::Unreachable);
    for address in addresses(target, permit, own, resolver, patience.lookup).await?.into_iter().take(TRIED) {
        let address = address.to_canonical();
        match timeout(patience.connect, TcpStream::connect(SocketAddr::new(address, target.port))).await {
            Ok(Ok(stream)) => {
                // What is small is not held back; the other side does not depend on it.
                drop(stream.set_nodelay(true));
                return Ok((stream, address));
            }
            Ok(Err(_)) => last = Refusal { reason: Reason::Unreachable, address: Some(address) },
            Err(_) => last = Refusal { reason: Reason::TimedOut, address: Some(address) },
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests;
