//! TLS towards hosts.

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore};

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A configuration that trusts the authorities that the system trusts.
///
/// # Errors
/// If it has none that can be read.
pub fn native() -> io::Result<Arc<ClientConfig>> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "no certificate of an authority is to be found on this system",
        ));
    }
    trusting(roots)
}

/// The certificates of the authorities that the system trusts, as PEM.
#[must_use]
pub fn native_pem() -> String {
    let mut text = String::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(&certificate);
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            // Base64 is of one byte for each character.
            let (line, others) = rest.split_at_checked(64).unwrap_or((rest, ""));
            text.push_str(line);
            text.push('\n');
            rest = others;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

/// One that trusts no authority, for who reaches nothing.
///
/// # Errors
/// As those of [`trusting`].
pub fn nobody() -> io::Result<Arc<ClientConfig>> {
    trusting(RootCertStore::empty())
}

/// A configuration that trusts these authorities.
///
/// # Errors
/// If the provider of cryptography speaks no version of TLS.
pub fn trusting(roots: RootCertStore) -> io::Result<Arc<ClientConfig>> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
