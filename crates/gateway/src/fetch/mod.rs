//! Small documents from addresses that somebody else named.
//!
//! **Threat.** A server's metadata says where its authorization server is, and a client's id says where its description is.
//! Whoever writes that can have the gateway ask machines that only it reaches: one beside it, or the cloud's metadata
//! service. So a document comes over https from an address that may be asked, which is looked at where the connection is
//! made and not before; what redirects is not followed; and neither size nor time is the other side's to choose.

mod address;
mod way;

use std::net::IpAddr;
use std::time::Duration;

use bartizan_reach::host::Host;
use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use thiserror::Error;

pub use self::address::{Reach, Spot};
pub use self::way::Way;
pub(crate) use self::way::origin;
use crate::lookup::{Choice, Lookup, Refusal};
use crate::upstream::{Over, over};

/// Larger documents are none that are meant here.
const MAX_BYTES: usize = 256 * 1024;
/// Until all of it is there.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a document is not to be had. Nothing of it is in the text, nor of what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FetchError {
    /// Such a URL is not asked.
    #[error("{0} is no https URL")]
    Url(String),
    /// It is where nobody from outside may send us.
    #[error("{0} is at an address that is not asked: it is of this machine or of a private network")]
    Address(String),
    /// It is not there.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, String),
    /// The connection broke off: what was sent may have been received.
    #[error("{0} broke off: {1}")]
    BrokenOff(String, String),
    /// It took too long.
    #[error("{0} did not answer in time")]
    TimedOut(String),
    /// It is too large.
    #[error("what {0} answers is too large")]
    TooLarge(String),
}

/// What came back, whatever its status.
#[derive(Debug)]
pub struct Fetched {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// All of the body.
    pub body: Bytes,
}

/// A form that is sent.
#[derive(Clone, Copy)]
pub struct Form<'a> {
    /// Its content type.
    pub kind: &'static str,
    /// What it holds.
    pub body: &'a str,
    /// Who sends it, where the other side wants to know.
    pub authorization: Option<&'a HeaderValue>,
}

/// Asks `uri` for a document, as JSON.
///
/// # Errors
/// If it may not be asked or does not answer within bounds.
pub async fn get(uri: &Uri, way: &Way) -> Result<Fetched, FetchError> {
    ask(Method::GET, uri, None, way).await
}

/// Sends a form to `uri`.
///
/// # Errors
/// If it may not be asked or does not answer within bounds.
pub async fn post(uri: &Uri, form: Form<'_>, way: &Way) -> Result<Fetched, FetchError> {
    ask(Method::POST, uri, Some(form), way).await
}

/// The scheme, host, port and path of a URL: what else it has may be secret.
#[must_use]
pub fn shown(uri: &Uri) -> String {
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{}://{host}{}", uri.scheme_str().unwrap_or_default(), uri.path())
}

/// Whether `uri` is one that may be asked, as far as can be told without looking up where it is.
///
/// # Errors
/// If not.
pub fn check(uri: &Uri, reach: Reach) -> Result<(), FetchError> {
    // What has more than one reading is nothing that anybody honest names.
    let host = uri.host().and_then(|host| Host::parse(host).ok());
    let (Some(host), Some(authority)) = (host, uri.authority()) else { return Err(FetchError::Url(shown(uri))) };
    // Unencrypted is what never leaves this machine.
    let secure = uri.scheme() == Some(&Scheme::HTTPS);
    let near = uri.scheme() == Some(&Scheme::HTTP) && address::is_loopback(&host) && reach == Reach::Machine;
    if authority.as_str().contains('@') || !(secure || near) {
        return Err(FetchError::Url(shown(uri)));
    }
    match host.address() {
        _ if host.is_metadata() => Err(FetchError::Address(shown(uri))),
        Some(address) if !reach.covers(address) => Err(FetchError::Address(shown(uri))),
        _ => Ok(()),
    }
}

async fn ask(method: Method, uri: &Uri, form: Option<Form<'_>>, way: &Way) -> Result<Fetched, FetchError> {
    check(uri, way.reach())?;
    // A connection for each: they are few, and nothing one of them leads to is of use to another.
    let client = client(uri, way, 0).map_err(|error| FetchError::Unreachable(shown(uri), error.to_string()))?;
    send(&client, method, uri, form).await
}

/// A way to one address that is asked over and over, with connections that are kept for a while.
pub(crate) struct Line {
    uri: Uri,
    reach: Reach,
    client: Asking,
}

/// Connections that are kept although nobody asks.
const IDLE: usize = 4;

impl Line {
    /// To that address; nothing is sent yet.
    ///
    /// # Errors
    /// If certificates cannot be read.
    pub(crate) fn new(uri: Uri, way: &Way) -> std::io::Result<Line> {
        Ok(Line { client: client(&uri, way, IDLE)?, reach: way.reach(), uri })
    }

    /// Sends a form there.
    ///
    /// # Errors
    /// If it may not be asked or does not answer within bounds.
    pub(crate) async fn post(&self, form: Form<'_>) -> Result<Fetched, FetchError> {
        check(&self.uri, self.reach)?;
        send(&self.client, Method::POST, &self.uri, Some(form)).await
    }
}

type Asking = Client<Over<Lookup<Guarded>>, Full<Bytes>>;

/// Connections to where `uri` is, of which so many are kept.
fn client(uri: &Uri, way: &Way, idle: usize) -> std::io::Result<Asking> {
    let mut tcp = HttpConnector::new_with_resolver(Lookup(Guarded(way.clone())));
    tcp.set_connect_timeout(Some(PATIENCE));
    tcp.set_nodelay(true);
    let connector = over(tcp, uri, way.tls(uri))?;
    let mut builder = Client::builder(TokioExecutor::new());
    Ok(builder.pool_timer(TokioTimer::new()).pool_max_idle_per_host(idle).build(connector))
}

async fn send(client: &Asking, method: Method, uri: &Uri, form: Option<Form<'_>>) -> Result<Fetched, FetchError> {
    let asked = shown(uri);
    let unreachable = |why: String| FetchError::Unreachable(asked.clone(), why);
    let mut request = Request::builder().method(method).uri(uri.clone()).header(header::ACCEPT, "application/json");
    if let Some(form) = form {
        request = request.header(header::CONTENT_TYPE, form.kind);
        if let Some(authorization) = form.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
    }
    let body = form.map(|form| Bytes::copy_from_slice(form.body.as_bytes())).unwrap_or_default();
    let request = request.body(Full::new(body)).map_err(|error| unreachable(error.to_string()))?;
    let fetched = async {
        let response = client.request(request).await.map_err(|error| match refused(&error) {
            true => FetchError::Address(asked.clone()),
            false if error.is_connect() => unreachable(innermost(&error)),
            false => FetchError::BrokenOff(asked.clone(), innermost(&error)),
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BYTES).collect().await.map_err(|error| {
            let large = error.is::<http_body_util::LengthLimitError>();
            if large {
                FetchError::TooLarge(asked.clone())
            } else {
                FetchError::BrokenOff(asked.clone(), innermost(&*error))
            }
        })?;
        Ok(Fetched { status: head.status, headers: head.headers, body: body.to_bytes() })
    };
    tokio::time::timeout(PATIENCE, fetched).await.unwrap_or_else(|_| Err(FetchError::TimedOut(asked.clone())))
}

/// What somebody else named, of which no address is given away that may not be asked.
#[derive(Clone)]
struct Guarded(Way);

/// There is no address that may be asked.
#[derive(Debug, Error)]
#[error("none of its addresses may be asked")]
struct Refused;

impl Choice for Guarded {
    fn known(&self, name: &str) -> Result<Option<Vec<IpAddr>>, Refusal> {
        let Some(known) = self.0.addresses_of(name) else { return Ok(None) };
        // What the operator named may be in a network of theirs and public at once; it is asked where it may be.
        some(known.iter().copied().filter(|address| self.0.reach().covers(*address)).collect()).map(Some)
    }

    fn of(&self, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Refusal> {
        some(address::covered(found, self.0.reach()))
    }
}

fn some(addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, Refusal> {
    if addresses.is_empty() { Err(Refused.into()) } else { Ok(addresses) }
}

fn refused(error: &hyper_util::client::legacy::Error) -> bool {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source())
        .any(|cause| cause.is::<Refused>())
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let last = std::iter::successors(Some(error), |error| error.source()).last();
    last.map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests;
