//! Certificates and keys in files, and what is done with both.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::files::open_regular;

/// Larger files hold something else.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The one provider, with the key exchange that is preferred in front.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The certificates in a file.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("there is no certificate in {}", file.display())),
        Err(error) => Err(format!("{} is no PEM: {error}", file.display())),
    }
}

/// The private key in a file.
pub(crate) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    // What is wrong is not said with the words of the file: they are secret.
    PrivateKeyDer::from_pem_slice(&read(file)?)
        .map_err(|_| format!("there is no usable private key in {}", file.display()))
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let failed = |why: &dyn std::fmt::Display| format!("cannot read {}: {why}", file.display());
    let mut content = Vec::new();
    let open = open_regular(file).map_err(|error| failed(&error))?;
    open.take(MAX_FILE_BYTES).read_to_end(&mut content).map_err(|error| failed(&error))?;
    Ok(content)
}
