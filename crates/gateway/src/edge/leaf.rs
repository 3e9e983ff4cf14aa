//! What the certificate that clients are shown says of itself: until when it is good, and for which hosts.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// So many of its names are said.
const NAMES: usize = 5;

/// Of the first in its file.
#[derive(Debug)]
pub(super) struct Leaf {
    der: CertificateDer<'static>,
    file: PathBuf,
    from: i64,
    until: i64,
    /// Host names and addresses, as they are written in a URL but for brackets.
    names: Vec<String>,
}

impl Leaf {
    pub(super) fn of(chain: &[CertificateDer<'static>], file: &Path) -> Result<Leaf, String> {
        let der = chain.first().ok_or_else(|| format!("there is no certificate in {}", file.display()))?;
        let Ok((_, parsed)) = X509Certificate::from_der(der) else {
            return Err(format!("the certificate in {} cannot be read", file.display()));
        };
        let micros = |seconds: i64| seconds.saturating_mul(SECOND);
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.map(|names| names.value.general_names.iter().filter_map(name).collect());
        Ok(Leaf {
            der: der.clone(),
            file: file.to_owned(),
            from: micros(parsed.validity().not_before.timestamp()),
            until: micros(parsed.validity().not_after.timestamp()),
            names: names.unwrap_or_default(),
        })
    }

    /// Whether it is the same certificate, wherever it was read.
    pub(super) fn is(&self, other: &Leaf) -> bool {
        self.der == other.der
    }

    /// Why no client takes it at this moment, if that is so.
    pub(super) fn untimely(&self, now: i64) -> Option<String> {
        let (file, at) = (self.file.display(), |at| bartizan_audit::rfc3339(at).replace(".000000", ""));
        if now > self.until {
            Some(format!("the certificate in {file} expired on {}, so no client takes it", at(self.until)))
        } else if now < self.from {
            Some(format!("the certificate in {file} is not good before {}, so no client takes it yet", at(self.from)))
        } else {
            None
        }
    }

    /// Why no client takes it for `host`, if that is so.
    pub(super) fn not_for(&self, host: &str) -> Option<String> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if self.names.iter().any(|name| covers(name, host)) {
            return None;
        }
        let mut named: Vec<_> = self.names.iter().take(NAMES).map(String::as_str).collect();
        if named.is_empty() {
            named.push("no host");
        } else if self.names.len() > NAMES {
            named.push("others");
        }
        let file = self.file.display();
        Some(format!(
            "the certificate in {file} is not for {host}, as `public_url` has it, but for {}",
            named.join(", ")
        ))
    }

    /// Whole days until it ends; below zero if it has.
    pub(super) fn days_left(&self, now: i64) -> i64 {
        self.until.saturating_sub(now).div_euclid(DAY)
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(host) => Some(host.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// Whether a name in a certificate is for that host; a star stands for its first part.
fn covers(name: &str, host: &str) -> bool {
    let as_address = |text: &str| text.parse::<IpAddr>().ok();
    if let Some(address) = as_address(host) {
        return as_address(name) == Some(address);
    }
    let host = host.trim_end_matches('.');
    let under = |rest: &str| {
        host.split_once('.').is_some_and(|(first, parent)| !first.is_empty() && parent.eq_ignore_ascii_case(rest))
    };
    name.strip_prefix("*.").map_or_else(|| name.eq_ignore_ascii_case(host), under)
}
