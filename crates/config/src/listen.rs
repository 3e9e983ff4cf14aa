//! Addresses to listen on: loopback unless the operator insists.

use std::net::SocketAddr;
use std::path::Path;

use http::Uri;
use http::uri::{Authority, Scheme};

use crate::file::{AuthTable, ListenTable};
use crate::problems::Problems;
use crate::servers::is_loopback;
use crate::tls::{self, Tls};
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

/// What `[listen]` says: whom it lets do what, and the address, the certificate and the URL as far as they can be used.
pub(crate) fn listen(
    table: &ListenTable,
    auth: &AuthTable,
    (root, directory): (&Node<'_>, &Path),
    problems: &mut Problems,
) -> (Reach, Option<SocketAddr>, Option<Tls>, Option<String>) {
    let open = match (auth.required, &table.tls) {
        (_, Some(tls)) if auth.required || tls::knows_everybody(tls) => Reach::Secure,
        (true, _) => Reach::Keys,
        (false, _) => Reach::Anybody,
    };
    let address = address(&table.address, table.allow_remote, open, root, problems);
    check_named(address, table, root, problems);
    let tls = tls::tls(table.tls.as_ref(), "listen", (root, directory), auth.certificate.principal, problems);
    hosts(&table.allowed_hosts, root, problems);
    origins(&table.allowed_origins, root, problems);
    let public_url = public_url(table.public_url.as_deref(), root, problems);
    (open, address, tls, public_url)
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
    } else if reach == Reach::Anybody && !address.ip().is_loopback() {
        problems
            .warn(place, format!("whoever reaches {address} may use every server without signing in"))
            .help("set `required = true` in [auth], unless something in front lets in only who may");
    }
    Some(address)
}

/// Looks whether it is known what clients call an address that stands for all of this machine's.
fn check_named(address: Option<SocketAddr>, table: &ListenTable, root: &Node<'_>, problems: &mut Problems) {
    let Some(address) = address.filter(|address| address.ip().is_unspecified()) else { return };
    if table.public_url.is_none() && table.allowed_hosts.is_empty() {
        let place = tree::place(root, &["listen", "address"]);
        let why = "nothing says what clients call it, so whoever comes by a host name is refused (`edge.host`), and what \
                   Bartizan prints and invitations lead to";
        problems
            .warn(place, format!("{why} {address}"))
            .help("set `public_url`, such as https://mcp.example.com, or `allowed_hosts` in [listen]");
    }
}

/// Checks names for the `Host` header.
fn hosts(hosts: &[String], root: &Node<'_>, problems: &mut Problems) {
    for (index, host) in hosts.iter().enumerate() {
        let place = tree::place(root, &["listen", "allowed_hosts", &index.to_string()]);
        let authority = host.parse::<Authority>();
        if host.contains('*') {
            problems.error(place, "names are compared as they are; `*` has no meaning").help("list every name");
        } else if authority.is_err() || host.contains('@') {
            problems.error(place, "not a host name").help("such as gateway.example.com or gateway.example.com:8484");
        }
    }
}

/// Checks values of the `Origin` header.
fn origins(origins: &[String], root: &Node<'_>, problems: &mut Problems) {
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

/// Where clients find it, in the one way in which that is written: tokens are compared with it letter by letter.
pub(crate) fn public_url(text: Option<&str>, root: &Node<'_>, problems: &mut Problems) -> Option<String> {
    let text = text?;
    let place = tree::place(root, &["listen", "public_url"]);
    let Some((scheme, authority)) = origin(text) else {
        problems
            .error(place, "not a URL of scheme, host and port only")
            .help("such as https://mcp.example.com; MCP is at /mcp behind it");
        return None;
    };
    if scheme == Scheme::HTTP && !is_loopback(authority.host()) {
        problems
            .error(place, "http:// to another machine sends everything unencrypted, keys and tokens included")
            .help("clients have to find it over https://");
        return None;
    }
    let usual = if scheme == Scheme::HTTPS { 443 } else { 80 };
    let port = authority.port_u16().filter(|port| *port != usual);
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{scheme}://{}{port}", authority.host().to_ascii_lowercase()))
}

/// The parts of a URL that has no others.
fn origin(text: &str) -> Option<(Scheme, Authority)> {
    let uri = text.parse::<Uri>().ok().filter(|uri| uri.path() == "/" && uri.query().is_none())?;
    let scheme = uri.scheme().filter(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme))?;
    let authority = uri.authority().filter(|authority| !authority.host().is_empty())?;
    // A colon without a number after it is a port to some readers and none to others.
    let is_plain = !authority.as_str().contains(['@', '*']) && !authority.as_str().ends_with(':');
    let is_port = authority.port().is_none() || authority.port_u16().is_some_and(|port| port > 0);
    (is_plain && is_port && !text.contains('#')).then(|| (scheme.clone(), authority.clone()))
}
