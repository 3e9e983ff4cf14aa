//! Addresses to listen on: loopback unless the operator insists.

use std::net::SocketAddr;

use http::Uri;

use crate::problems::Problems;
use crate::tree::{self, Node};

/// Whom an address lets do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Anybody may use every server.
    Anybody,
    /// Whoever shows a key, and whoever listens on the way sees it.
    Keys,
    /// Whoever shows a key, which nobody else sees.
    Secure,
    /// Anybody sees metrics.
    Metrics,
    /// Whoever shows a certificate sees them.
    Certificates,
}

impl Reach {
    fn section(self) -> &'static str {
        if matches!(self, Reach::Metrics | Reach::Certificates) { "admin" } else { "listen" }
    }

    /// Why other machines must not reach it without anybody having said so, and what else can be done about that.
    fn why(self) -> Option<(&'static str, &'static str)> {
        match self {
            Reach::Anybody => {
                let why = "clients need not sign in, so whoever reaches it may use every server";
                Some((why, "set `required = true` in [auth] and a certificate in [listen.tls]"))
            }
            Reach::Keys => Some((
                "what clients send travels unencrypted, their keys included",
                "set a certificate in [listen.tls]",
            )),
            Reach::Secure | Reach::Certificates => None,
            Reach::Metrics => Some(("whoever reaches it sees metrics", "")),
        }
    }
}

/// The address of the section that has this reach.
pub(crate) fn address(
    text: &str,
    allow_remote: bool,
    reach: Reach,
    root: &Node<'_>,
    problems: &mut Problems,
) -> Option<SocketAddr> {
    let section = reach.section();
    let place = tree::place(root, &[section, "address"]);
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let Ok(address) = numeric.as_deref().unwrap_or(text).parse::<SocketAddr>() else {
        problems.error(place, "not an address and a port").help("such as 127.0.0.1:8484 or [::1]:8484");
        return None;
    };
    if let Some((why, instead)) = reach.why().filter(|_| !address.ip().is_loopback() && !allow_remote) {
        let instead = if instead.is_empty() { String::new() } else { format!("{instead}, ") };
        problems.error(place, format!("other machines can reach {address}, and {why}")).help(format!(
            "listen on 127.0.0.1, {instead}or set `allow_remote = true` in [{section}] if something in front decides"
        ));
    }
    Some(address)
}

/// Checks names for the `Host` header.
pub(crate) fn hosts(hosts: &[String], root: &Node<'_>, problems: &mut Problems) {
    for (index, host) in hosts.iter().enumerate() {
        let place = tree::place(root, &["listen", "allowed_hosts", &index.to_string()]);
        let authority = host.parse::<http::uri::Authority>();
        if host.contains('*') {
            problems.error(place, "names are compared as they are; `*` has no meaning").help("list every name");
        } else if authority.is_err() || host.contains('@') {
            problems.error(place, "not a host name").help("such as gateway.example.com or gateway.example.com:8484");
        }
    }
}

/// Checks values of the `Origin` header.
pub(crate) fn origins(origins: &[String], root: &Node<'_>, problems: &mut Problems) {
    for (index, origin) in origins.iter().enumerate() {
        let place = tree::place(root, &["listen", "allowed_origins", &index.to_string()]);
        let plain = origin.parse::<Uri>().is_ok_and(|uri| {
            uri.scheme().is_some() && uri.authority().is_some() && uri.path() == "/" && !origin.ends_with('/')
        });
        if !plain || origin.contains(['@', '*', '?']) {
            problems
                .error(place, "not an origin")
                .help("scheme, host and port only, such as https://inspector.example.com");
        }
    }
}
