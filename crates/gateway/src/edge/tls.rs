//! Connections over TLS.
//!
//! **Threat.** Whoever is on the way reads keys and answers, or keeps them until there are quantum computers to read them
//! with. And a client that begins handshakes, finished or not, keeps others out.
//!
//! A handshake is part of its connection's own task: it takes one of the places, has as much time as the head of a request,
//! and is worked on in turns of the address that it comes from. TLS is 1.3 unless the configuration asks for 1.2 too, and the key exchange withstands quantum
//! computers if the client can do that.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bartizan_config::{CertificateName, Clients, Tls, TlsVersion};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::leaf::Leaf;
use crate::clock;
use crate::identity::Certificate;
use crate::pem::{certificates, key, provider};
use crate::stamp::Stamp;
use crate::turns::Turns;

pub(super) type Stream = tokio_rustls::server::TlsStream<TcpStream>;

/// With what the first byte of a handshake says so.
const HANDSHAKE: u8 = 22;

/// What somebody is told who speaks plain HTTP here.
const NOT_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 35\r\n\
    Connection: close\r\n\r\nthis address is reached over https\n";

/// How long such a client may take to go.
const GOING: Duration = Duration::from_secs(1);

/// One address that is reached over TLS.
#[derive(Debug)]
pub(crate) struct Secure {
    in_force: ArcSwap<ServerConfig>,
    leaf: ArcSwap<Leaf>,
    files: Mutex<Watched<Tls>>,
    turns: Turns,
}

/// What was read of files, and could be put in force.
#[derive(Debug)]
pub(crate) struct Ready {
    settings: Tls,
    stamp: Stamp,
    server: Arc<ServerConfig>,
    leaf: Arc<Leaf>,
}

impl Ready {
    /// Reads the files, and tries whether they go together.
    pub(crate) fn read(settings: &Tls) -> Result<Ready, String> {
        // Before they are read: if they change meanwhile they are read again.
        let stamp = stamp(settings);
        let (server, leaf) = server(settings)?;
        Ok(Ready { settings: settings.clone(), stamp, server: Arc::new(server), leaf: Arc::new(leaf) })
    }

    /// Why clients will not take it, though it can be put in force; where they find it, if that is over TLS as well.
    pub(crate) fn doubts(&self, public: Option<&http::Uri>) -> Vec<String> {
        let host = public.filter(|public| public.scheme() == Some(&http::uri::Scheme::HTTPS)).and_then(http::Uri::host);
        let named = host.and_then(|host| self.leaf.not_for(host));
        self.leaf.untimely(clock::now().0).into_iter().chain(named).collect()
    }
}

impl Secure {
    pub(crate) fn new(ready: Ready) -> Secure {
        let Ready { settings, stamp, server, leaf } = ready;
        let files = Mutex::new(Watched::new(settings, stamp));
        Secure { in_force: ArcSwap::new(server), leaf: ArcSwap::new(leaf), files, turns: Turns::default() }
    }

    /// Why these are not to take the place of those in force: no client would take them. The same certificate is no worse
    /// than it was.
    pub(crate) fn refuses(&self, ready: &Ready) -> Option<String> {
        if self.leaf.load().is(&ready.leaf) { None } else { ready.leaf.untimely(clock::now().0) }
    }

    /// Whole days until the certificate in force ends.
    pub(crate) fn days_left(&self) -> i64 {
        self.leaf.load().days_left(clock::now().0)
    }

    /// Has connections that begin from now on use it; those that there are go on.
    pub(crate) fn put(&self, ready: Ready) {
        let Ready { settings, stamp, server, leaf } = ready;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        self.in_force.store(server);
        self.leaf.store(leaf);
        *files = Watched::new(settings, stamp);
    }

    /// Puts the files in force if they have changed and nobody is still writing them: whether that is so, or what is wrong.
    pub(crate) fn look(&self) -> Option<Result<(), String>> {
        let settings = {
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            let now = stamp(&files.settings);
            files.has_settled(now).then(|| files.settings.clone())?
        };
        let found = Ready::read(&settings).and_then(|ready| match self.refuses(&ready) {
            Some(why) => Err(why),
            None => {
                self.put(ready);
                Ok(())
            }
        });
        if found.is_err() {
            self.files.lock().unwrap_or_else(PoisonError::into_inner).wrong = true;
        }
        Some(found)
    }

    /// Whether what the files hold now could not be put in force.
    pub(crate) fn is_behind(&self) -> bool {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).wrong
    }

    /// The connection once it is secure; nothing if the client has left without a word.
    pub(super) async fn accept(&self, mut stream: TcpStream, from: IpAddr) -> io::Result<Option<Stream>> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Ok(None);
        }
        if first != [HANDSHAKE] {
            if first.iter().all(u8::is_ascii_uppercase) {
                turn_away(&mut stream).await.ok();
            }
            return Err(io::Error::other("the client does not begin with TLS"));
        }
        let accepting = TlsAcceptor::from(self.in_force.load_full()).accept(stream);
        self.turns.during(from, accepting).await.map(Some)
    }

    /// What the client has shown of itself; the handshake has verified it.
    pub(super) fn shown(&self, stream: &Stream) -> Option<Certificate> {
        let name = {
            let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            files.settings.clients.as_ref().map(|clients| clients.name).unwrap_or_default()
        };
        let shown = stream.get_ref().1.peer_certificates()?.first()?;
        Some(certificate(shown, name))
    }
}

/// What is to be known of a certificate. One without a single usable name of that kind names nobody.
fn certificate(der: &[u8], kind: CertificateName) -> Certificate {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else { return Certificate { name: None, until: i64::MIN } };
    let until = parsed.validity().not_after.timestamp().saturating_mul(1_000_000);
    let mut names = names(&parsed, kind).into_iter();
    let name = names.next().filter(|name| names.next().is_none() && is_name(name, kind));
    Certificate { name, until }
}

fn names(certificate: &X509Certificate<'_>, kind: CertificateName) -> Vec<String> {
    if kind == CertificateName::SubjectCn {
        let all = certificate.subject().iter_common_name();
        return all.map(|name| name.as_str().unwrap_or_default().to_owned()).collect();
    }
    // Two such extensions would be no certificate at all.
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return Vec::new() };
    let one = |name: &GeneralName<'_>| match (name, kind) {
        (GeneralName::URI(uri), CertificateName::SanUri) => Some((*uri).to_owned()),
        (GeneralName::DNSName(host), CertificateName::SanDns) => Some(host.to_ascii_lowercase()),
        (GeneralName::RFC822Name(mail), CertificateName::SanEmail) => Some((*mail).to_owned()),
        _ => None,
    };
    alternatives.value.general_names.iter().filter_map(one).collect()
}

/// Whether a name can be that of somebody: of what people can read and tell apart, and for one host only.
fn is_name(name: &str, kind: CertificateName) -> bool {
    let plain = name.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && name.trim() == name;
    let many = kind == CertificateName::SanDns && name.contains('*');
    plain && !many && (1..=255).contains(&name.len())
}

/// Says to a client that speaks plain HTTP what is wrong. What it has sent is read, or it would not hear that.
async fn turn_away(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(NOT_HTTP).await?;
    stream.shutdown().await?;
    let mut unread = [0; 1024];
    let rest = async {
        for _ in 0..64 {
            if stream.read(&mut unread).await? == 0 {
                break;
            }
        }
        Ok(())
    };
    tokio::time::timeout(GOING, rest).await?
}

/// Files that were read, and how they have looked since.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    pub(crate) settings: T,
    /// As they were read, or found wrong.
    read: Stamp,
    /// As they were at the last look.
    last: Stamp,
    /// Whether they are such that they could not be put in force.
    pub(crate) wrong: bool,
}

impl<T> Watched<T> {
    pub(crate) fn new(settings: T, read: Stamp) -> Self {
        Watched { settings, last: read.clone(), read, wrong: false }
    }

    /// Whether they are others than were read, and the same as at the look before: a certificate and its key are written one
    /// after the other. That is said once of each change.
    pub(crate) fn has_settled(&mut self, now: Stamp) -> bool {
        let settled = now == self.last && now != self.read;
        if settled {
            self.read = now.clone();
        }
        self.last = now;
        settled
    }
}

fn stamp(settings: &Tls) -> Stamp {
    let ca = settings.clients.as_ref().map(|clients| &*clients.ca);
    Stamp::of([&*settings.certificate, &*settings.key].into_iter().chain(ca))
}

fn server(settings: &Tls) -> Result<(ServerConfig, Leaf), String> {
    let (chain, key) = (certificates(&settings.certificate)?, key(&settings.key)?);
    let leaf = Leaf::of(&chain, &settings.certificate)?;
    let versions: &[_] = match settings.minimum {
        TlsVersion::V13 => &[&TLS13],
        TlsVersion::V12 => &[&TLS13, &TLS12],
    };
    let wrong = |error: rustls::Error| match error {
        rustls::Error::InconsistentKeys(_) => {
            format!(
                "the key in {} is not that of the certificate in {}",
                settings.key.display(),
                settings.certificate.display()
            )
        }
        other => format!("the certificate in {} cannot be used: {other}", settings.certificate.display()),
    };
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions).map_err(wrong)?;
    let builder = match &settings.clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(verifier(clients)?),
    };
    let mut server = builder.with_single_cert(chain, key).map_err(wrong)?;
    if settings.clients.is_some() {
        // A session that is taken up again would bring its certificate along, whatever has become of that.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
    }
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((server, leaf))
}

/// What holds certificates of clients against their authorities, against the time, and against what they are for.
fn verifier(clients: &Clients) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let wrong =
        |error: &dyn std::fmt::Display| format!("the authorities in {} cannot be used: {error}", clients.ca.display());
    let mut roots = RootCertStore::empty();
    for authority in certificates(&clients.ca)? {
        roots.add(authority).map_err(|error| wrong(&error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| wrong(&error))
}

#[cfg(test)]
mod tests;
