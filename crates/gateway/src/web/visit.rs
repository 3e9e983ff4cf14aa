//! One request for a page: its query, its form and its cookies.

use std::net::IpAddr;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};

use super::PREFIX;

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
