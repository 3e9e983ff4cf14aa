//! An authority that exists for one server alone, to end TLS for the hosts where a request has to be seen.
//!
//! **Threat.** Whoever has its key stands in for every host towards the server that trusts it. So each server has one of its own, made when the
//! server is started; the key never leaves this process, and no file holds it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use thiserror::Error;

use crate::host::Host;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Certificates are made anew long before they end.
const RENEWED: Duration = Duration::from_secs(24 * 60 * 60);
/// Certificates that are kept; hosts that need one are few.
const KEPT: usize = 64;

/// There is no certificate.
#[derive(Debug, Error)]
#[error("cannot make a certificate for the proxy: {0}")]
pub struct AuthorityError(String);

/// Signs certificates for hosts.
///
/// Its key is made when it is first needed: the library's first random number takes some 50 ms of a process, and most servers
/// reach no host for which TLS is ended.
#[derive(Default)]
pub(crate) struct Authority {
    issuer: Mutex<Option<Arc<CertifiedIssuer<'static, KeyPair>>>>,
    made: Mutex<HashMap<Host, (Instant, Arc<ServerConfig>)>>,
}

impl Authority {
    fn issuer(&self) -> Result<Arc<CertifiedIssuer<'static, KeyPair>>, AuthorityError> {
        let mut held = self.issuer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(issuer) = &*held {
            return Ok(Arc::clone(issuer));
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = named("Bartizan egress, for one server");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid(&mut params, DAY * 3650);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(wrong)?).map_err(wrong)?;
        Ok(Arc::clone(held.insert(Arc::new(issuer))))
    }

    /// Its certificate, as PEM.
    pub(crate) fn pem(&self) -> Result<String, AuthorityError> {
        Ok(self.issuer()?.pem())
    }

    /// How TLS is spoken as `host`.
    pub(crate) fn config(&self, host: &Host) -> Result<Arc<ServerConfig>, AuthorityError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, config)) = made.get(host)
            && when.elapsed() < RENEWED
        {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.make(host)?);
        if made.len() >= KEPT {
            made.clear();
        }
        made.insert(host.clone(), (Instant::now(), Arc::clone(&config)));
        Ok(config)
    }

    fn make(&self, host: &Host) -> Result<ServerConfig, AuthorityError> {
        let name = match host {
            Host::Name(name) => name.to_string(),
            Host::Address(address) => address.to_string(),
        };
        let mut params = CertificateParams::new([name]).map_err(wrong)?;
        params.distinguished_name = named("Bartizan egress");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        valid(&mut params, DAY * 90);
        let key = KeyPair::generate().map_err(wrong)?;
        let certificate = params.signed_by(&key, &*self.issuer()?).map_err(wrong)?;
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(crate::tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], secret)
            .map_err(wrong)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A session that is taken up again would carry over from another policy.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority(..)")
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// From a day ago, as clocks differ.
fn valid(params: &mut CertificateParams, span: Duration) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + now.saturating_sub(DAY);
    params.not_after = params.not_before + span;
}

fn wrong(why: impl fmt::Display) -> AuthorityError {
    AuthorityError(why.to_string())
}
