//! Connections to servers over https.

use bartizan_guard::excerpt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::CertificateError;

pub(super) type Connector = HttpsConnector<HttpConnector>;

/// Speaks TLS over `tcp` where the URL says so; trusted are the certificates that the system trusts.
pub(super) fn over(mut tcp: HttpConnector) -> std::io::Result<Connector> {
    tcp.enforce_http(false);
    let tls = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1();
    Ok(tls.wrap_connector(tcp))
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
        // Names that the server chose.
        NotValidForNameContext { presented, .. } => {
            format!("it is for another name: {}", excerpt(&presented.join(", ")))
        }
        other => excerpt(&other.to_string()),
    })
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
