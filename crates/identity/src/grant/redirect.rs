//! Where a browser is sent back to: an address that the client has said before is its own.
//!
//! **Threat.** Whoever has a browser sent to an address of their own gets the code. So the address has to be the one that
//! is known, to the letter; only the port of a program on the person's own machine may differ, since it takes one that is
//! free (RFC 8252, section 7.3). An address is written in one way only, so that no browser reads another host in it.

use std::fmt;

use thiserror::Error;
use url::{Host, Url};

/// The longest one.
const LONGEST: usize = 1024;

/// Schemes that browsers act on by themselves, or that lead elsewhere than to a program which registered them.
const NEVER: &[&str] = &[
    "about",
    "afp",
    "android-app",
    "applescript",
    "blob",
    "brave",
    "callto",
    "chrome",
    "chrome-extension",
    "cid",
    "data",
    "dav",
    "davs",
    "edge",
    "facetime",
    "facetime-audio",
    "feed",
    "file",
    "filesystem",
    "ftp",
    "geo",
    "googlechrome",
    "googlechromes",
    "gopher",
    "hcp",
    "help",
    "intent",
    "itms-services",
    "jar",
    "javascript",
    "jnlp",
    "jnlps",
    "ldap",
    "ldaps",
    "mailto",
    "market",
    "microsoft-edge",
    "mid",
    "moz-extension",
    "news",
    "nfs",
    "nntp",
    "opera",
    "rdp",
    "resource",
    "rlogin",
    "search",
    "search-ms",
    "sftp",
    "shell",
    "sip",
    "sips",
    "smb",
    "sms",
    "ssh",
    "tel",
    "telnet",
    "tftp",
    "tn3270",
    "vbscript",
    "view-source",
    "vivaldi",
    "vnc",
    "webcal",
    "ws",
    "wss",
    "wyciwyg",
    "x-help-script",
];

/// What begins so is of a system that acts on it by itself (`ms-msdt`, `ms-officecmd`, `ms-word`), but for this one, by which
/// programs of that system are called back.
const SYSTEM: (&str, &str) = ("ms-", "ms-app");

/// An address that a browser may be sent to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RedirectUri {
    text: String,
    kind: Kind,
}

/// Who is at such an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Whoever has that name in the web.
    Web,
    /// Some program on the person's own machine: whichever listens on the port.
    Loopback,
    /// Some program on the person's own machine: whichever took that scheme for itself.
    Scheme,
}

/// Why a text is no address of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotAnAddress {
    /// It is too long, or not written as every reader would write it.
    #[error("a redirect URI is an absolute URI in its plain form, of at most 1024 characters, without a fragment")]
    Form,
    /// It is not encrypted and leads to another machine.
    #[error("a redirect URI with http has to lead to 127.0.0.1, [::1] or localhost")]
    Insecure,
    /// Browsers do something else with it.
    #[error("this scheme cannot be used for a redirect URI")]
    Scheme,
}

impl RedirectUri {
    /// Reads an address.
    ///
    /// # Errors
    /// If it is none that a browser may be sent to.
    pub fn parse(text: &str) -> Result<RedirectUri, NotAnAddress> {
        let url = plain(text).ok_or(NotAnAddress::Form)?;
        let kind = match url.scheme() {
            "https" => Kind::Web,
            "http" if is_loopback(&url) => Kind::Loopback,
            "http" => return Err(NotAnAddress::Insecure),
            scheme if NEVER.contains(&scheme) || scheme.starts_with(SYSTEM.0) && scheme != SYSTEM.1 => {
                return Err(NotAnAddress::Scheme);
            }
            _ => Kind::Scheme,
        };
        Ok(RedirectUri { text: text.to_owned(), kind })
    }

    /// Whether this is what a client means that has said `registered`.
    #[must_use]
    pub fn is(&self, registered: &RedirectUri) -> bool {
        if self.text == registered.text {
            return true;
        }
        let both =
            [self, registered].map(|one| (one.kind == Kind::Loopback).then(|| without_port(&one.text)).flatten());
        matches!(both, [Some(own), Some(other)] if own == other)
    }

    /// Who is there.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands for it in a list of places that a page may lead to (`form-action` of CSP): its origin, or its scheme.
    #[must_use]
    pub fn source(&self) -> String {
        let Ok(url) = Url::parse(&self.text) else { return "'none'".to_owned() };
        match self.kind {
            Kind::Web | Kind::Loopback => url.origin().ascii_serialization(),
            Kind::Scheme => format!("{}:", url.scheme()),
        }
    }

    /// The address with what is said to the client, beside what its query holds.
    #[must_use]
    pub fn with(&self, said: &[(&str, &str)]) -> String {
        let added = form_urlencoded::Serializer::new(String::new()).extend_pairs(said).finish();
        // It holds no fragment, so the query goes on to its end.
        let joint = match self.text.find('?') {
            None => "?",
            Some(at) if at + 1 == self.text.len() => "",
            Some(_) if self.text.ends_with('&') => "",
            Some(_) => "&",
        };
        format!("{}{joint}{added}", self.text)
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A URL that is written as it is read: what is not is read differently by different readers.
pub(super) fn plain(text: &str) -> Option<Url> {
    if text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}'*".contains(&byte)) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    // An empty path is one slash to some.
    let is_same = url.as_str() == text || url.as_str().strip_suffix('/') == Some(text);
    let is_bare = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    // A host may hold what means something elsewhere, such as where it stands in a header.
    let is_host = match url.host() {
        Some(Host::Domain(name)) => name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
        _ => true,
    };
    (is_same && is_bare && is_host).then_some(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address == core::net::Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(address)) => address == core::net::Ipv6Addr::LOCALHOST,
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn without_port(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok()?;
    url.set_port(None).ok()?;
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> RedirectUri {
        RedirectUri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn addresses_that_a_browser_may_be_sent_to() {
        for (text, kind, source) in [
            ("https://app.example/callback", Kind::Web, "https://app.example"),
            ("https://app.example", Kind::Web, "https://app.example"),
            ("https://app.example:8443/cb?tenant=1", Kind::Web, "https://app.example:8443"),
            ("http://127.0.0.1/callback", Kind::Loopback, "http://127.0.0.1"),
            ("http://127.0.0.1:33418/", Kind::Loopback, "http://127.0.0.1:33418"),
            ("http://127.0.0.1:33418", Kind::Loopback, "http://127.0.0.1:33418"),
            ("http://[::1]:1/cb", Kind::Loopback, "http://[::1]:1"),
            ("http://localhost:3000/callback", Kind::Loopback, "http://localhost:3000"),
            ("cursor://anysphere.cursor-mcp/oauth/callback", Kind::Scheme, "cursor:"),
            ("com.example.app:/back", Kind::Scheme, "com.example.app:"),
            ("vscode://a.b/cb", Kind::Scheme, "vscode:"),
            ("claude://oauth/cb", Kind::Scheme, "claude:"),
            ("ms-app://s-1-15-2-1/", Kind::Scheme, "ms-app:"),
        ] {
            let read = uri(text);
            assert_eq!((read.kind(), read.source().as_str()), (kind, source), "{text}");
        }
    }

    #[test]
    fn addresses_that_it_may_not() {
        for (text, why) in [
            ("", NotAnAddress::Form),
            ("/callback", NotAnAddress::Form),
            ("//app.example/callback", NotAnAddress::Form),
            ("https:app.example", NotAnAddress::Form),
            ("https:///app.example", NotAnAddress::Form),
            ("https://app.example/cb#", NotAnAddress::Form),
            ("https://app.example/cb#x", NotAnAddress::Form),
            ("https://user@app.example/cb", NotAnAddress::Form),
            ("https://app.example@evil.example/cb", NotAnAddress::Form),
            ("https://app.example\\@evil.example/cb", NotAnAddress::Form),
            ("https://app.example/a/../b", NotAnAddress::Form),
            ("https://app.example/./b", NotAnAddress::Form),
            ("https://app.example/%2e%2e/b", NotAnAddress::Form),
            ("HTTPS://app.example/cb", NotAnAddress::Form),
            ("https://APP.example/cb", NotAnAddress::Form),
            ("https://app.example:443/cb", NotAnAddress::Form),
            ("https://app.example/c b", NotAnAddress::Form),
            ("https://app.example/cb\n", NotAnAddress::Form),
            ("https://*.example/cb", NotAnAddress::Form),
            ("https://a.example;sandbox/cb", NotAnAddress::Form),
            ("https://a.example,b.example/cb", NotAnAddress::Form),
            ("https://app.example/*", NotAnAddress::Form),
            ("https://bücher.example/cb", NotAnAddress::Form),
            ("http://127.1/cb", NotAnAddress::Form),
            ("http://2130706433/cb", NotAnAddress::Form),
            ("http://0x7f.0.0.1/cb", NotAnAddress::Form),
            ("http://app.example/cb", NotAnAddress::Insecure),
            ("http://127.0.0.1.evil.example/cb", NotAnAddress::Insecure),
            ("http://localhost.evil.example/cb", NotAnAddress::Insecure),
            ("http://127.0.0.2/cb", NotAnAddress::Insecure),
            ("http://0.0.0.0/cb", NotAnAddress::Insecure),
            ("http://[::]/cb", NotAnAddress::Insecure),
            ("javascript:alert(1)", NotAnAddress::Scheme),
            ("javascript://app.example/%0aalert(1)", NotAnAddress::Scheme),
            ("data:text/html,x", NotAnAddress::Scheme),
            ("file:///etc/passwd", NotAnAddress::Scheme),
            ("ws://app.example/", NotAnAddress::Scheme),
            ("search-ms:query=x", NotAnAddress::Scheme),
            ("ms-msdt:/id", NotAnAddress::Scheme),
            ("ms-officecmd:x", NotAnAddress::Scheme),
            ("ms-word:ofe", NotAnAddress::Scheme),
            ("shell:startup", NotAnAddress::Scheme),
            ("ssh://evil.example", NotAnAddress::Scheme),
        ] {
            assert_eq!(RedirectUri::parse(text), Err(why), "{text}");
        }
        assert!(RedirectUri::parse(&format!("https://a.example/{}", "x".repeat(1024))).is_err());
    }

    #[test]
    fn only_the_port_of_ones_own_machine_may_differ() {
        for (asked, registered, same) in [
            ("https://app.example/cb", "https://app.example/cb", true),
            ("https://app.example/cb/", "https://app.example/cb", false),
            ("https://app.example", "https://app.example/", false),
            ("https://app.example/cb?x=1", "https://app.example/cb", false),
            ("https://app.example/CB", "https://app.example/cb", false),
            ("https://app.example:444/cb", "https://app.example/cb", false),
            ("https://sub.app.example/cb", "https://app.example/cb", false),
            ("http://127.0.0.1:51004/cb", "http://127.0.0.1/cb", true),
            ("http://127.0.0.1:51004/cb", "http://127.0.0.1:3000/cb", true),
            ("http://127.0.0.1:51004", "http://127.0.0.1/", true),
            ("http://[::1]:51004/cb", "http://[::1]/cb", true),
            ("http://localhost:51004/cb", "http://localhost/cb", true),
            ("http://localhost:51004/cb", "http://127.0.0.1/cb", false),
            ("http://127.0.0.1:51004/other", "http://127.0.0.1/cb", false),
            ("http://127.0.0.1:51004/cb?x=1", "http://127.0.0.1/cb", false),
            ("cursor://a/cb", "cursor://a/cb", true),
            ("cursor://a:1/cb", "cursor://a/cb", false),
        ] {
            assert_eq!(uri(asked).is(&uri(registered)), same, "{asked} {registered}");
        }
    }

    #[test]
    fn what_is_said_stands_beside_what_is_there() {
        let said = [("code", "a b&c"), ("iss", "https://x.example")];
        for (text, expected) in [
            ("https://a.example/cb", "https://a.example/cb?code=a+b%26c&iss=https%3A%2F%2Fx.example"),
            ("https://a.example/cb?t=1", "https://a.example/cb?t=1&code=a+b%26c&iss=https%3A%2F%2Fx.example"),
            ("https://a.example/cb?", "https://a.example/cb?code=a+b%26c&iss=https%3A%2F%2Fx.example"),
            ("com.example.app:/b", "com.example.app:/b?code=a+b%26c&iss=https%3A%2F%2Fx.example"),
        ] {
            assert_eq!(uri(text).with(&said), expected);
        }
    }
}
