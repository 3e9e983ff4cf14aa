//! Connections over TLS.
//!
//! **Threat.** Whoever is on the way reads keys and answers, or keeps them until there are quantum computers to read them
//! with. And a client that begins handshakes without finishing them keeps others out.
//!
//! A handshake is part of its connection's own task: it takes one of the places, has as much time as the head of a request,
//! and nobody waits for it. TLS is 1.3 unless the configuration asks for 1.2 too, and the key exchange withstands quantum
//! computers if the client can do that.

use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bartizan_config::{Tls, TlsVersion};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::stamp::{Stamp, Watched};

pub(super) type Stream = tokio_rustls::server::TlsStream<TcpStream>;

/// Larger files hold something else.
const MAX_FILE_BYTES: u64 = 1 << 20;

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
    files: Mutex<Watched<Tls>>,
}

/// What was read of files, and could be put in force.
#[derive(Debug)]
pub(crate) struct Ready {
    settings: Tls,
    stamp: Stamp,
    server: Arc<ServerConfig>,
}

impl Ready {
    /// Reads the files, and tries whether they go together.
    pub(crate) fn read(settings: &Tls) -> Result<Ready, String> {
        // Before they are read: if they change meanwhile they are read again.
        let stamp = stamp(settings);
        Ok(Ready { settings: settings.clone(), stamp, server: Arc::new(server(settings)?) })
    }
}

impl Secure {
    pub(crate) fn new(ready: Ready) -> Secure {
        let Ready { settings, stamp, server } = ready;
        Secure { in_force: ArcSwap::new(server), files: Mutex::new(Watched::new(settings, stamp)) }
    }

    /// Has connections that begin from now on use it; those that there are go on.
    pub(crate) fn put(&self, ready: Ready) {
        let Ready { settings, stamp, server } = ready;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        self.in_force.store(server);
        *files = Watched::new(settings, stamp);
    }

    /// Puts the files in force if they have changed and nobody is still writing them: whether that is so, or what is wrong.
    pub(crate) fn look(&self) -> Option<Result<(), String>> {
        let settings = {
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            let now = stamp(&files.settings);
            files.has_settled(now).then(|| files.settings.clone())?
        };
        let found = Ready::read(&settings).map(|ready| self.put(ready));
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
    pub(super) async fn accept(&self, mut stream: TcpStream) -> io::Result<Option<Stream>> {
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
        TlsAcceptor::from(self.in_force.load_full()).accept(stream).await.map(Some)
    }
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

fn stamp(settings: &Tls) -> Stamp {
    Stamp::of([&*settings.certificate, &*settings.key])
}

/// The one provider, with the key exchange that is preferred in front.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn server(settings: &Tls) -> Result<ServerConfig, String> {
    let (chain, key) = (certificates(&settings.certificate)?, key(&settings.key)?);
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
    let mut server = builder.with_no_client_auth().with_single_cert(chain, key).map_err(wrong)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(server)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("there is no certificate in {}", file.display())),
        Err(error) => Err(format!("{} is no PEM: {error}", file.display())),
    }
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    // What is wrong is not said with the words of the file: they are secret.
    PrivateKeyDer::from_pem_slice(&read(file)?)
        .map_err(|_| format!("there is no usable private key in {}", file.display()))
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let failed = |why: &dyn std::fmt::Display| format!("cannot read {}: {why}", file.display());
    // Looked at first, as opening a pipe would wait for its other end.
    if !std::fs::metadata(file).map_err(|error| failed(&error))?.is_file() {
        return Err(failed(&"it is not a regular file"));
    }
    let mut content = Vec::new();
    let open = std::fs::File::open(file).map_err(|error| failed(&error))?;
    open.take(MAX_FILE_BYTES).read_to_end(&mut content).map_err(|error| failed(&error))?;
    Ok(content)
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
