//! One request for a page: its query, its form and its cookies.

use std::net::IpAddr;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, header};

use super::{PREFIX, page};
use crate::address::is_loopback;

/// A request for a page whose form has been read.
pub(crate) struct Visit {
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
    pub(crate) from: IpAddr,
}

impl Visit {
    pub(crate) fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// What the query says of this name, if it does so once: of two values nobody knows which one others go by.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        once(self.head.uri.query().unwrap_or_default().as_bytes(), name)
    }

    /// What the form says of this name, if it does so once.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let kind = self.head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())?;
        let is_form = kind.split(';').next()?.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded");
        if is_form { once(&self.body, name) } else { None }
    }

    /// A cookie that the browser sends once.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let lines = self.head.headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut found = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
        found.next().filter(|_| found.next().is_none())
    }

    /// Where somebody wants to go afterwards, as the query or the form says, if that is one of our pages.
    pub(crate) fn return_to(&self) -> Option<String> {
        self.query("return_to").or_else(|| self.field("return_to")).filter(|path| is_own(path))
    }
}

/// Whether a request comes from a page of `public`. Browsers say so in `Origin` with every form, and where they do not they
/// say in `Sec-Fetch-Site` that it comes from the same one; what says neither is no form of ours.
pub(super) fn is_from(headers: &HeaderMap, public: &str) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) => origin.as_bytes().eq_ignore_ascii_case(public.as_bytes()),
        (None, _) => headers.get("sec-fetch-site").is_some_and(|site| site.as_bytes() == b"same-origin"),
        _ => false,
    }
}

/// Where a page is that a browser on this machine asks for under another of its names, such as `127.0.0.1` for `localhost`: to
/// the browser those are two places, so the form would come from a foreign one, and the cookie is in the other.
///
/// Only among the names of this machine, at one port: what stands in front of a gateway may say a name of its own in `Host`, and
/// whoever came through it would be sent to where they are for ever.
pub(super) fn under_its_name<B>(request: &Request<B>, public: &str) -> Option<Response<Bytes>> {
    let (_, ours) = public.split_once("://")?;
    let asked = request.headers().get(header::HOST)?.to_str().ok()?;
    let (our_name, our_port) = name_and_port(ours);
    let (name, port) = name_and_port(asked);
    let is_other = port == our_port && !name.eq_ignore_ascii_case(our_name);
    let is_local = is_loopback(our_name) && is_loopback(name);
    let is_asked = request.method() == Method::GET;
    let path = request.uri().path_and_query().filter(|path| path.path().starts_with(PREFIX))?;
    // Nothing of what was sent but the path, behind our own name.
    if is_other && is_local && is_asked { page::there(&format!("{public}{path}")) } else { None }
}

fn name_and_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    }
}

/// Whether an address leads to one of our pages, however a browser reads it: a path of plain characters, since a browser
/// takes `/\` for `//` and leaves out tabs.
pub(crate) fn is_own(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    path.len() <= 4096
        && path.starts_with(PREFIX)
        && path.bytes().all(is_plain)
        && !path.split(['?', '#']).next().unwrap_or_default().split('/').any(|part| part.starts_with('.'))
}

fn once(pairs: &[u8], name: &str) -> Option<String> {
    let mut found = form_urlencoded::parse(pairs).filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn pages_are_under_one_of_the_names_of_this_machine() {
        let at = |host: &str, public: &str, path: &str| {
            let request = Request::get(path).header(header::HOST, host).body(()).unwrap();
            let answer = under_its_name(&request, public)?;
            Some(answer.headers()[header::LOCATION].to_str().unwrap().to_owned())
        };
        let (path, here) = ("/bartizan/invite?token=a", "http://localhost:8484");
        let there = Some("http://localhost:8484/bartizan/invite?token=a");
        for host in ["127.0.0.1:8484", "[::1]:8484"] {
            assert_eq!(at(host, here, path).as_deref(), there, "{host}");
        }
        assert_eq!(
            at("LOCALHOST:8484", "http://127.0.0.1:8484", "/bartizan/"),
            Some("http://127.0.0.1:8484/bartizan/".into())
        );
        for (host, public, path) in [
            ("localhost:8484", here, path),
            ("LOCALHOST:8484", here, path),
            // Another gateway, or what stands in front of this one.
            ("127.0.0.1:8485", here, path),
            ("127.0.0.1", here, path),
            ("evil.example:8484", here, path),
            ("127.0.0.1:8484", "https://mcp.example.com", path),
            ("127.0.0.1:8484", "https://mcp.example.com:8484", path),
            ("127.0.0.1:8484", here, "/mcp"),
        ] {
            assert_eq!(at(host, public, path), None, "{host} {public} {path}");
        }
        let form = Request::post(path).header(header::HOST, "127.0.0.1:8484").body(()).unwrap();
        assert!(under_its_name(&form, here).is_none(), "a form is sent nowhere else");
    }

    fn visit(uri: &str, headers: &[(&str, &str)], body: &str) -> Visit {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        Visit { head, body: Bytes::copy_from_slice(body.as_bytes()), from: "127.0.0.1".parse().unwrap() }
    }

    #[test]
    fn what_is_said_twice_is_not_said() {
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let one = visit("/x?a=1&b=2&b=3&c=%2Fd+e", &[form], "name=%61nn&twice=1&twice=1");
        assert_eq!((one.query("a"), one.query("b")), (Some("1".to_owned()), None));
        assert_eq!((one.query("c"), one.query("d")), (Some("/d e".to_owned()), None));
        assert_eq!((one.field("name"), one.field("twice")), (Some("ann".to_owned()), None));
        let other = visit("/x", &[("content-type", "text/plain")], "name=ann");
        assert_eq!(other.field("name"), None, "another page may send that without being asked");
        let cookies = visit("/x", &[("cookie", "a=1; b=2;b=3"), ("cookie", "c=4")], "");
        assert_eq!((cookies.cookie("a"), cookies.cookie("b"), cookies.cookie("c")), (Some("1"), None, Some("4")));
    }

    #[test]
    fn a_form_comes_from_a_page_of_ours() {
        let public = "https://mcp.example.com";
        let cases: [(&[(&str, &str)], bool); 9] = [
            (&[("origin", "https://mcp.example.com")], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("origin", "https://mcp.example.com"), ("sec-fetch-site", "same-origin")], true),
            (&[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")], false),
            (&[("origin", "http://mcp.example.com")], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://mcp.example.com"), ("origin", "https://evil.example")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[], false),
        ];
        for (headers, good) in cases {
            assert_eq!(is_from(&visit("/", headers, "").head.headers, public), good, "{headers:?}");
        }
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        for path in
            ["/bartizan/account", "/bartizan/oauth/authorize?a=https%3A%2F%2Fb.example&c=d#e", "/bartizan/a?b=.."]
        {
            assert!(is_own(path), "{path}");
        }
        for path in [
            "",
            "/",
            "/mcp",
            "//evil.example/bartizan/",
            "/\\evil.example",
            "/bartizan/\\evil",
            "https://evil.example/bartizan/",
            "\t/bartizan/",
            "/bartizan/\r\nset-cookie: a",
            "/bartizan/../..//evil.example",
            "/bartizan/./x",
            "javascript:alert(1)",
            "/bartizan",
            "/bartizan/ä",
        ] {
            assert!(!is_own(path), "{path}");
        }
        assert!(!is_own(&format!("/bartizan/{}", "a".repeat(5000))));
    }
}
