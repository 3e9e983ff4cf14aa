//! **Threat.** A web page that the user happens to visit talks to the gateway on their own machine, by rebinding a
//! host name to 127.0.0.1 or by plain cross-origin requests.
//!
//! A request must name this gateway in `Host`, and come from no web page but those that are allowed in `Origin`.

use http::uri::Authority;
use http::{HeaderMap, Uri, header};

/// Whom the gateway answers.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Host names beside the loopback ones, without ports.
    pub hosts: Vec<String>,
    /// Origins of web pages, such as `https://app.example.com`.
    pub origins: Vec<String>,
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stranger {
    Host,
    Origin,
}

impl Allowed {
    /// Checks `Host` and `Origin`.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Stranger> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host =
            hosts.next().and_then(|value| value.to_str().ok()).or_else(|| uri.authority().map(Authority::as_str));
        // A request line may name a host of its own, and then some readers go by that one.
        let strange = uri.authority().is_some_and(|authority| !self.knows_host(authority.as_str()));
        if strange || hosts.next().is_some() || !host.is_some_and(|host| self.knows_host(host)) {
            return Err(Stranger::Host);
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(()),
            (Some(origin), None) if origin.to_str().is_ok_and(|origin| self.knows_origin(origin)) => Ok(()),
            _ => Err(Stranger::Origin),
        }
    }

    fn knows_host(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        // A user part has no place in a Host header.
        if host.contains('@') {
            return false;
        }
        let name = authority.host();
        is_loopback(name) || self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
    }

    fn knows_origin(&self, origin: &str) -> bool {
        if self.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
            return true;
        }
        // A page served from this machine; `null` and everything else stays out.
        let Ok(uri) = origin.parse::<Uri>() else { return false };
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(is_loopback)
    }
}

fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: Option<&str>, origin: Option<&str>) -> Result<(), Stranger> {
        let allowed =
            Allowed { hosts: vec!["mcp.example.com".into()], origins: vec!["https://app.example.com".into()] };
        let mut headers = HeaderMap::new();
        for (name, value) in [(header::HOST, host), (header::ORIGIN, origin)] {
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        allowed.check(&"/mcp".parse().unwrap(), &headers)
    }

    #[test]
    fn hosts_and_origins() {
        for host in
            ["localhost", "localhost:8484", "127.0.0.1:1", "[::1]:8484", "mcp.example.com", "MCP.example.com:443"]
        {
            assert_eq!(check(Some(host), None), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "evil@localhost",
            "",
            "localhost.",
            "2130706433",
        ] {
            assert_eq!(check(Some(host), None), Err(Stranger::Host), "{host}");
        }
        assert_eq!(check(None, None), Err(Stranger::Host));
        for origin in ["http://localhost:6274", "https://127.0.0.1", "http://[::1]:3000", "https://app.example.com"] {
            assert_eq!(check(Some("localhost"), Some(origin)), Ok(()), "{origin}");
        }
        for origin in [
            "http://evil.example",
            "null",
            "http://localhost.evil.example",
            "https://app.example.com.evil",
            "file://localhost",
            "app.example.com",
        ] {
            assert_eq!(check(Some("localhost"), Some(origin)), Err(Stranger::Origin), "{origin}");
        }
    }
}
