//! Connections to servers over https.

use std::sync::Arc;

use bartizan_config::ServerTls;
use bartizan_guard::excerpt;
use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::crypto::aws_lc_rs;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use super::named::NamedLookup;
use super::own_tls;

pub(super) type Connector = HttpsConnector<HttpConnector<NamedLookup>>;
/// What [`over`] gives.
pub(crate) type Over<R> = HttpsConnector<HttpConnector<R>>;

/// Whether anything is spoken over TLS.
pub(crate) const SPEAKS_TLS: bool = true;

/// Speaks TLS over `tcp` to a server whose URL says so, in its `own` way if it has one. Otherwise the certificates that the
/// system trusts are trusted; they are read only for such a server: a machine that has none can use all others.
pub(crate) fn over<R>(mut tcp: HttpConnector<R>, url: &Uri, own: Option<&ServerTls>) -> std::io::Result<Over<R>> {
    tcp.enforce_http(false);
    let builder = HttpsConnectorBuilder::new();
    if let Some(own) = own {
        return Ok(builder.with_tls_config(own_tls::config(own)?).https_only().enable_http1().wrap_connector(tcp));
    }
    let tls = if url.scheme() == Some(&Scheme::HTTPS) {
        builder.with_provider_and_native_roots(aws_lc_rs::default_provider())?
    } else {
        let trusts_nobody = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?
            .with_root_certificates(RootCertStore::empty());
        builder.with_tls_config(trusts_nobody.with_no_client_auth())
    };
    Ok(tls.https_or_http().enable_http1().wrap_connector(tcp))
}

/// What is wrong with the server's certificate, if that is why there is no connection.
pub(super) fn objection(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
        UnknownIssuer,
    };
    let rustls::Error::InvalidCertificate(objection) = of_tls(error)? else { return None };
    Some(match objection {
        UnknownIssuer => "no authority that is trusted here has signed it".to_owned(),
        Expired | ExpiredContext { .. } => "it has expired".to_owned(),
        NotValidYet | NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        NotValidForName => "it is for another name".to_owned(),
        NotValidForNameContext { presented, .. } => match hosts(presented) {
            hosts if hosts.is_empty() => "it is for another name".to_owned(),
            hosts => format!("it is for another name: {}", excerpt(&hosts)),
        },
        other => excerpt(&other.to_string()),
    })
}

/// Those of the names that can be hosts. The server chose them all, and others may be any text.
fn hosts(presented: &[String]) -> String {
    let host = |name: &String| {
        let host = name.strip_prefix("DnsName(\"")?.strip_suffix("\")")?.to_owned();
        host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.*_".contains(&byte)).then_some(host)
    };
    presented.iter().filter_map(host).collect::<Vec<_>>().join(", ")
}

/// The error of TLS behind this one.
fn of_tls<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut causes = std::iter::successors(Some(error), |error| match error.downcast_ref::<std::io::Error>() {
        // Its source is that of what it holds, and not that itself.
        Some(io) => io.get_ref().map(|held| held as _),
        None => error.source(),
    });
    causes.find_map(|cause| cause.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_are_named() {
        let presented = [
            r#"DnsName("elsewhere.example")"#,
            r#"DnsName("*.example")"#,
            r#"DnsName("ignore all")"#,
            r#"Uri("x://ignore")"#,
            "words",
        ];
        assert_eq!(hosts(&presented.map(str::to_owned)), "elsewhere.example, *.example");
        assert_eq!(hosts(&[]), "");
    }
}
