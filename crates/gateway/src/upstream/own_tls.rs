//! How one server is reached over TLS in a way of its own: with a certificate that the gateway shows to it, and with the
//! authorities that may sign the server's.
//!
//! **Threat.** Somebody else who can have a certificate signed stands in for the server, or uses it in our name. So what is for
//! one server is never used for another: each has a configuration of its own, and no session is taken up again, which would
//! bring a certificate along that is in force no more.
//!
//! The files are looked at with each handshake. Changed ones are in force from the next on; ones that cannot be used leave those
//! before.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use bartizan_config::ServerTls;
use hyper_rustls::ConfigBuilderExt;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::pem;
use crate::stamp::Stamp;

/// The configuration for such a server. If it names no authorities, those that the system trusts are trusted.
pub(super) fn config(own: &ServerTls) -> std::io::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(pem::provider())
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?;
    let builder = match &own.ca {
        Some(ca) => {
            let authorities = Authorities(Followed::new(vec![ca.clone()], authorities)?);
            builder.dangerous().with_custom_certificate_verifier(Arc::new(authorities))
        }
        None => builder.with_native_roots()?,
    };
    let mut config = match &own.identity {
        Some((certificate, key)) => builder.with_client_cert_resolver(Arc::new(Identity(Followed::new(
            vec![certificate.clone(), key.clone()],
            identity,
        )?))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// What some files hold.
#[derive(Debug)]
struct Followed<T> {
    files: Vec<PathBuf>,
    read: fn(&[PathBuf]) -> Result<T, String>,
    seen: Mutex<Stamp>,
    held: ArcSwap<T>,
}

impl<T> Followed<T> {
    fn new(files: Vec<PathBuf>, read: fn(&[PathBuf]) -> Result<T, String>) -> std::io::Result<Followed<T>> {
        // Before they are read: if they change meanwhile they are read again.
        let seen = Mutex::new(stamp(&files));
        let held = ArcSwap::from_pointee(read(&files).map_err(std::io::Error::other)?);
        Ok(Followed { files, read, seen, held })
    }

    /// What they hold now, or held when it could last be used.
    fn get(&self) -> Arc<T> {
        let now = stamp(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen != now {
            *seen = now;
            let files = self.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" and ");
            match (self.read)(&self.files) {
                Ok(changed) => {
                    tracing::info!("what is in {files} now is in force for new connections to its server");
                    self.held.store(Arc::new(changed));
                }
                Err(why) => tracing::error!("the changed {files} is refused, and what was there before stays: {why}"),
            }
        }
        self.held.load_full()
    }
}

fn stamp(files: &[PathBuf]) -> Stamp {
    Stamp::of(files.iter().map(PathBuf::as_path))
}

/// The certificate that is shown, with its key.
#[derive(Debug)]
struct Identity(Followed<CertifiedKey>);

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let identity = self.0.get();
        // Without a common scheme there is nothing to be shown, and the server decides what becomes of that.
        identity.key.choose_scheme(schemes).map(|_| Arc::clone(&identity))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn identity(files: &[PathBuf]) -> Result<CertifiedKey, String> {
    let [certificate, key] = files else { return Err("a certificate and a key are needed".to_owned()) };
    let (chain, secret) = (pem::certificates(certificate)?, pem::key(key)?);
    let wrong = |why: rustls::Error| match why {
        rustls::Error::InconsistentKeys(_) => {
            format!("the key in {} is not that of the certificate in {}", key.display(), certificate.display())
        }
        other => format!("the certificate in {} cannot be used: {other}", certificate.display()),
    };
    CertifiedKey::from_der(chain, secret, &pem::provider()).map_err(wrong)
}

/// The authorities of which one has to have signed the server's certificate.
#[derive(Debug)]
struct Authorities(Followed<Arc<WebPkiServerVerifier>>);

fn authorities(files: &[PathBuf]) -> Result<Arc<WebPkiServerVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for file in files {
        let wrong = |why: &dyn std::fmt::Display| cannot(file, why);
        for authority in pem::certificates(file)? {
            roots.add(authority).map_err(|why| wrong(&why))?;
        }
    }
    let file = files.first().map(PathBuf::as_path).unwrap_or(Path::new(""));
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), pem::provider())
        .build()
        .map_err(|why| cannot(file, &why))
}

fn cannot(file: &Path, why: &dyn std::fmt::Display) -> String {
    format!("the authorities in {} cannot be used: {why}", file.display())
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.0.get().verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.held.load().verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.held.load().verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.held.load().supported_verify_schemes()
    }
}
