//! In the place of `tls.rs` without the feature of that name. Configurations with an https URL are refused; whatever brings
//! one here nevertheless is not spoken to unencrypted.

use std::error::Error;

use bartizan_config::ServerTls;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;

use super::named::NamedLookup;

pub(super) type Connector = HttpConnector<NamedLookup>;
pub(crate) type Over<R> = HttpConnector<R>;

pub(crate) const SPEAKS_TLS: bool = false;

#[expect(clippy::unnecessary_wraps, reason = "with TLS the certificates may be unreadable")]
pub(crate) fn over<R>(mut tcp: HttpConnector<R>, _url: &Uri, _own: Option<&ServerTls>) -> std::io::Result<Over<R>> {
    tcp.enforce_http(true);
    Ok(tcp)
}

pub(super) fn objection(_error: &(dyn Error + 'static)) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::Request;
    use http_body_util::Full;

    use crate::upstream::connections;

    #[tokio::test]
    async fn https_is_not_spoken_unencrypted() {
        for (scheme, expected) in [("https", false), ("http", true)] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("{scheme}://{}/mcp", listener.local_addr().unwrap());
            let request = Request::get(url).body(Full::<Bytes>::default()).unwrap();
            let client = connections(Duration::from_secs(10), (request.uri(), None)).unwrap();
            // Nobody answers, so a request that is over was refused.
            let reached = tokio::select! {
                _ = client.request(request) => false,
                _ = listener.accept() => true,
            };
            assert_eq!(reached, expected, "{scheme}");
        }
    }
}
