//! **Threat.** A web page that the user happens to visit talks to the gateway on their own machine, by rebinding a
//! host name to 127.0.0.1 or by plain cross-origin requests.
//!
//! A request must name this gateway in `Host`, and come from no web page but those that are allowed in `Origin`.

use std::borrow::Cow;

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};

use super::body::Reply;
use super::respond::{self, Early};
use crate::address::is_loopback;

/// What a request says once. Those of the stateless era are compared with the body, each time that they occur.
static SINGLE: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("mcp-session-id"),
];

/// Whom the gateway answers.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Host names beside the loopback ones, without ports.
    pub hosts: Vec<String>,
    /// Origins of web pages, such as `https://app.example.com`.
    pub origins: Vec<String>,
}

/// What is wrong with the head of a request, whatever it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It does not name this gateway.
    Host,
    /// It comes from a web page that is not allowed.
    Origin,
    /// Its body has no end that everybody sees in the same place.
    Coded,
    /// It says this twice.
    Repeated(&'static str),
}

impl Flaw {
    /// What is answered.
    pub(crate) fn refusal(self) -> Early {
        let (status, rule, text) = match self {
            Flaw::Host => (StatusCode::FORBIDDEN, "edge.host", "the Host header does not name this gateway".to_owned()),
            Flaw::Origin => {
                (StatusCode::FORBIDDEN, "edge.origin", "requests from this Origin are not allowed".to_owned())
            }
            Flaw::Coded => (StatusCode::BAD_REQUEST, "edge.transfer_coding", String::new()),
            Flaw::Repeated(name) => {
                (StatusCode::BAD_REQUEST, "edge.repeated", format!("the header {name} stands there twice"))
            }
        };
        respond::refused(status, rule, &text)
    }

    /// The same answer, and nothing more on its connection if nobody knows where the request ends.
    pub(crate) fn mark(self, answer: Response<Reply>) -> Response<Reply> {
        if self == Flaw::Coded { respond::last(answer) } else { answer }
    }
}

impl Allowed {
    /// Adds the name under which the gateway is known, and pages that it serves itself.
    pub(crate) fn add_own(&mut self, public: &str) {
        self.origins.push(public.to_owned());
        let host = public.split_once("://").and_then(|(_, host)| name_of(host));
        self.hosts.extend(host.map(str::to_owned));
    }

    /// Checks the head of a request: all that can be said against it before it is known whom it is for.
    pub(crate) fn check_head(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Flaw> {
        self.check(uri, headers)?;
        if is_coded(headers) {
            return Err(Flaw::Coded);
        }
        repeated(headers).map_or(Ok(()), |name| Err(Flaw::Repeated(name)))
    }

    /// Checks `Host` and `Origin`.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Flaw> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host =
            hosts.next().and_then(|value| value.to_str().ok()).or_else(|| uri.authority().map(Authority::as_str));
        // A request line may name a host of its own, and then some readers go by that one.
        let strange = uri.authority().is_some_and(|authority| !self.knows_host(authority.as_str()));
        if strange || hosts.next().is_some() || !host.is_some_and(|host| self.knows_host(host)) {
            return Err(Flaw::Host);
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(()),
            (Some(origin), None) if origin.to_str().is_ok_and(|origin| self.knows_origin(origin)) => Ok(()),
            _ => Err(Flaw::Origin),
        }
    }

    fn knows_host(&self, host: &str) -> bool {
        let Some(name) = name_of(host) else { return false };
        is_loopback(name) || self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
    }

    fn knows_origin(&self, origin: &str) -> bool {
        if self.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
            return true;
        }
        // A page served from this machine; `null` and everything else stays out.
        let host = origin.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme));
        host.and_then(|(_, host)| name_of(host)).is_some_and(is_loopback)
    }
}

/// By which name a request calls the gateway, for people to read.
pub(super) fn host_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Cow<'a, str> {
    let header = || headers.get(header::HOST).map(|value| String::from_utf8_lossy(value.as_bytes()));
    uri.authority().map(|authority| authority.as_str().into()).or_else(header).unwrap_or_default()
}

/// The name in a host, which is followed by a port or by nothing. Read here and not by a parser of addresses, since
/// those are lenient about what comes behind a bracket or a colon.
fn name_of(host: &str) -> Option<&str> {
    let end = if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (name, rest) = host.split_at_checked(end)?;
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port)).then_some(name)
}

/// Whether the body is coded in a way that somebody on its way may not know, and then sees its end elsewhere.
fn is_coded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    match (codings.next(), codings.next()) {
        (None, _) => false,
        (Some(coding), None) => !chunked(coding),
        _ => true,
    }
}

/// A header that says what a request means and stands there twice: some readers go by the first, others by the last.
fn repeated(headers: &HeaderMap) -> Option<&'static str> {
    SINGLE.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()).map(HeaderName::as_str)
}

/// Whether somebody opened the address in a browser, which shows no credential: no client asks for a page.
pub(super) fn is_by_a_person<B>(request: &Request<B>) -> bool {
    let wants = |line: &HeaderValue| line.to_str().is_ok_and(|line| line.contains("text/html"));
    let headers = request.headers();
    request.method() == Method::GET
        && !headers.contains_key(header::AUTHORIZATION)
        && headers.get_all(header::ACCEPT).iter().any(wants)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: Option<&str>, origin: Option<&str>) -> Result<(), Flaw> {
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
    fn the_gateway_answers_to_its_public_name() {
        let mut allowed = Allowed::default();
        allowed.add_own("https://mcp.example.net:8443");
        for (host, origin, good) in [
            ("mcp.example.net:8443", Some("https://mcp.example.net:8443"), true),
            ("mcp.example.net", None, true),
            ("mcp.example.net", Some("https://mcp.example.net"), false),
            ("mcp.example.net", Some("http://mcp.example.net:8443"), false),
            ("example.net", None, false),
        ] {
            let mut headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            headers.extend(origin.map(|origin| (header::ORIGIN, origin.parse().unwrap())));
            assert_eq!(allowed.check(&"/".parse().unwrap(), &headers).is_ok(), good, "{host} {origin:?}");
        }
    }

    #[test]
    fn bodies_end_in_one_place() {
        let cases: [(&[(&'static str, &'static str)], bool); 7] = [
            (&[("content-length", "5")], false),
            (&[("transfer-encoding", "chunked")], false),
            (&[("transfer-encoding", " Chunked ")], false),
            (&[("transfer-encoding", "gzip, chunked")], true),
            (&[("transfer-encoding", "chunked, identity")], true),
            (&[("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")], true),
            (&[("transfer-encoding", "")], true),
        ];
        for (given, coded) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            assert_eq!(is_coded(&headers), coded, "{given:?}");
        }
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
            "[::1]evil",
            "[::1].evil",
            "[::1]:evil",
            "[::1",
            "localhost:abc",
            "localhost:+80",
            "localhost:65536",
            "localhost:80:80",
            "localhost:",
            "",
            "localhost.",
            "2130706433",
        ] {
            assert_eq!(check(Some(host), None), Err(Flaw::Host), "{host}");
        }
        assert_eq!(check(None, None), Err(Flaw::Host));
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
            "http://[::1].evil",
            "http://evil@localhost",
            "http://localhost/evil",
            "http://localhost?evil",
            "http://localhost:evil",
            "ws://localhost",
        ] {
            assert_eq!(check(Some("localhost"), Some(origin)), Err(Flaw::Origin), "{origin}");
        }
    }
}
