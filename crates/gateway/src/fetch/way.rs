//! How something is asked for.

use std::net::IpAddr;
use std::sync::Arc;

use bartizan_config::ServerTls;
use http::Uri;
use http::uri::Scheme;

use super::{Reach, Spot};

/// How near what is asked may be, and whose word it takes for who that is.
#[derive(Debug, Clone)]
pub struct Way {
    reach: Reach,
    /// What was looked up already.
    spots: Vec<Spot>,
    own: Option<Arc<Own>>,
}

/// What is not done as everywhere.
#[derive(Debug)]
struct Own {
    origin: String,
    server: Option<ServerTls>,
    others: Option<ServerTls>,
}

impl From<Reach> for Way {
    fn from(reach: Reach) -> Way {
        Way { reach, spots: Vec::new(), own: None }
    }
}

impl Way {
    /// The same, where what is at the origin of `url` is reached as that `server` is, with the certificate that is shown to it and
    /// to nobody else, and the `others` in a way of theirs.
    #[must_use]
    pub fn by(self, url: &Uri, server: Option<&ServerTls>, others: Option<&ServerTls>) -> Way {
        let own = Own { origin: origin(url), server: server.cloned(), others: others.cloned() };
        Way { own: Some(Arc::new(own)), ..self }
    }

    /// The same, where what is at a host that was looked up is asked there and nowhere else.
    #[must_use]
    pub fn knowing(mut self, spot: Spot) -> Way {
        self.spots.push(spot);
        self
    }

    /// The same, that reaches no nearer than this.
    #[must_use]
    pub fn within(self, reach: Reach) -> Way {
        Way { reach: self.reach.min(reach), ..self }
    }

    pub(super) fn addresses_of(&self, host: &str) -> Option<&[IpAddr]> {
        self.spots.iter().find_map(|spot| spot.addresses_of(host))
    }

    pub(crate) fn reach(&self) -> Reach {
        self.reach
    }

    /// How what is there is reached over TLS, if not as everybody is.
    pub(super) fn tls(&self, uri: &Uri) -> Option<&ServerTls> {
        let own = self.own.as_ref().filter(|_| uri.scheme() == Some(&Scheme::HTTPS))?;
        if own.origin == origin(uri) { own.server.as_ref() } else { own.others.as_ref() }
    }
}

/// Scheme, host and port, if that is not the usual one.
pub(crate) fn origin(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or_default();
    let usual = if scheme == "https" { 443 } else { 80 };
    let host = url.host().unwrap_or_default().to_ascii_lowercase();
    match url.port_u16().filter(|port| *port != usual) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_a_server_is_for_nobody_else() {
        let tls = |name: &str| ServerTls { identity: None, ca: Some(name.into()) };
        let (server, others) = (tls("server"), tls("others"));
        let url = "https://a.example/mcp".parse().unwrap();
        let way = |server, others| Way::from(Reach::Public).by(&url, server, others);
        for (uri, both, one) in [
            ("https://a.example/token", Some("server"), Some("server")),
            ("https://A.example:443/", Some("server"), Some("server")),
            ("https://a.example:8443/", Some("others"), None),
            ("https://b.example/", Some("others"), None),
            ("http://a.example/", None, None),
        ] {
            let uri = uri.parse().unwrap();
            let name = |way: &Way| way.tls(&uri).and_then(|tls| tls.ca.as_ref()?.to_str().map(str::to_owned));
            assert_eq!(name(&way(Some(&server), Some(&others))).as_deref(), both, "{uri}");
            assert_eq!(name(&way(Some(&server), None)).as_deref(), one, "{uri}");
            assert!(way(None, None).tls(&uri).is_none() && Way::from(Reach::Public).tls(&uri).is_none());
        }
    }
}
