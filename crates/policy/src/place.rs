//! Where a URI leads, in the one form in which it is compared.
//!
//! **Threat.** `file:///srv/./secret`, `FILE:///srv/secret`, `file:///srv/%73ecret` and `file:///srv/x/../secret` are other
//! texts than `file:///srv/secret`, and servers read the same file for them. A rule that compares texts then allows what it
//! was not made for, or does not forbid what it was.
//!
//! So a URI is compared only if it is written as everybody writes it: as RFC 3986 (section 6.2) and the URL standard of
//! WHATWG normalize it. Any other is not normalized but has no form, for servers do not agree on what it stands for; what
//! then holds is said where it is asked for.

use std::borrow::Cow;

use url::Url;

/// Characters that mean the same in a path whether they are encoded or not, as nothing is told apart by them there.
const EITHER_WAY: &[u8] = b"!$&'()*+,;=:@[]";

/// A URI, or a template of them, as it is compared; `None` if it can be read as several.
#[must_use]
pub fn canonical(uri: &str) -> Option<Cow<'_, str>> {
    if !uri.contains(['{', '}']) {
        return is_plain(uri).then(|| of_path(uri));
    }
    // What an expression of a template stands for is judged once it is there; it may begin with the path.
    ["x", "/x"].into_iter().any(|value| expanded(uri, value).is_some_and(|uri| is_plain(&uri))).then_some(uri.into())
}

/// The beginning of URIs as it is compared.
pub(crate) fn beginning(text: &str) -> Cow<'_, str> {
    if text.contains(['{', '}']) { text.into() } else { of_path(text) }
}

/// Whether any URI that has a form begins like that, as far as can be told by some.
pub(crate) fn begins_any(beginning: &str) -> bool {
    let rests = ["", "x", "/x", "//x", "x/", "//x/", ":x", "://x", "///x"];
    rests.iter().any(|rest| canonical(&format!("{beginning}{rest}")).is_some())
}

/// A template (RFC 6570) with each expression replaced; `None` if it is none.
fn expanded(template: &str, value: &str) -> Option<String> {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (expression, after) = after.split_once('}')?;
        let names = expression.strip_prefix(['+', '#', '.', '/', ';', '?', '&']).unwrap_or(expression);
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b',' | b':' | b'*');
        if names.is_empty() || !names.bytes().all(named) {
            return None;
        }
        text.push_str(before);
        text.push_str(value);
        rest = after;
    }
    text.push_str(rest);
    (!rest.contains('}')).then_some(text)
}

/// Whether nobody reads another URI than the one that is written.
fn is_plain(uri: &str) -> bool {
    // Others are left out, trimmed or encoded; the fragment of a URI is not sent by those who know what it is.
    let written =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'|');
    if !uri.bytes().all(written) || !encodes_what_it_has_to(uri) {
        return false;
    }
    let Ok(url) = Url::parse(uri) else { return false };
    url.as_str() == uri && is_plain_of_its_scheme(&url) && leads_straight(&url)
}

/// What each scheme has beyond what all have.
fn is_plain_of_its_scheme(url: &Url) -> bool {
    let is_plain = match url.scheme() {
        "file" => url.query().is_none(),
        "http" | "https" | "ws" | "wss" | "ftp" => {
            let host = url.host_str().unwrap_or_default();
            url.username().is_empty() && url.password().is_none() && !host.ends_with('.')
        }
        _ => !url.authority().contains('%'),
    };
    is_plain && url.query() != Some("")
}

/// Whether every segment is one that leads on, for those as well who take all of a URI for a path.
fn leads_straight(url: &Url) -> bool {
    let read = decoded(url.as_str());
    let is_dots = |segment: &[u8]| segment == b"." || segment == b"..";
    let ends = |byte: &u8| matches!(byte, b'/' | b'?' | b';');
    !url.path().contains("//") && !read.split(ends).any(is_dots)
}

/// Whether just that is encoded which has to be, once, and in upper case.
fn encodes_what_it_has_to(uri: &str) -> bool {
    let query = uri.find('?').unwrap_or(uri.len());
    encoded(uri).all(|(at, byte)| match byte {
        None => false,
        Some(byte) => {
            let has_no_need =
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'{' | b'}' | b'\\');
            let is_twice = byte == b'%' && uri.get(at + 3..at + 5).is_some_and(|rest| hex(rest).is_some());
            !has_no_need && !byte.is_ascii_control() && !is_twice && (byte != b'/' || at > query)
        }
    })
}

/// Where something is encoded, and what; nothing if it is not, or not in upper case.
fn encoded(uri: &str) -> impl Iterator<Item = (usize, Option<u8>)> {
    uri.match_indices('%').map(|(at, _)| {
        let digits = uri.get(at + 1..at + 3).filter(|digits| !digits.bytes().any(|byte| byte.is_ascii_lowercase()));
        (at, digits.and_then(hex))
    })
}

fn hex(digits: &str) -> Option<u8> {
    let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

fn decoded(uri: &str) -> Vec<u8> {
    replaced(uri, uri.len(), |_| true)
}

/// With what is encoded in the path for no reason as it is.
fn of_path(uri: &str) -> Cow<'_, str> {
    if !uri.contains('%') {
        return Cow::Borrowed(uri);
    }
    let path = uri.find('?').unwrap_or(uri.len());
    let bytes = replaced(uri, path, |byte| EITHER_WAY.contains(&byte));
    String::from_utf8(bytes).map_or(Cow::Borrowed(uri), Cow::Owned)
}

/// A text with what is encoded before `end` decoded, if that is wanted.
fn replaced(uri: &str, end: usize, wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(uri.len());
    let mut from = 0;
    for (at, byte) in encoded(uri).filter(|(at, _)| *at < end) {
        if let Some(byte) = byte.filter(|&byte| wanted(byte)) {
            bytes.extend_from_slice(uri.get(from..at).unwrap_or_default().as_bytes());
            bytes.push(byte);
            from = at + 3;
        }
    }
    bytes.extend_from_slice(uri.get(from..).unwrap_or_default().as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_compared_as_they_are() {
        for uri in [
            "file:///srv/a",
            "file:///srv/",
            "file:///srv/a..b/.c/...",
            "file:///srv/My%20Notes/Caf%C3%A9.md",
            "file:///srv/Report%20(2024).pdf",
            "file:///srv/[id]/page.tsx",
            "file:///srv/C%23/what%3F",
            "file:///C:/Users/Ann/a.txt",
            "file://nas/share/a",
            "note://x",
            "note:///x",
            "note://good-too",
            "db://Table/Row",
            "postgres://ann@db.example:5432/Table/schema",
            "repo://Owner/Name/contents/README.md?ref=main",
            "logs://app?from=2024-01-01T00%3A00%3A00Z&q=a%26b",
            "web://fetch?url=https%3A%2F%2Fexample.com%2Fa",
            "web://fetch?url=https://example.com/a",
            "urn:a:b",
            "urn:isbn:0451450523",
            "mailto:ann@example.com",
            "ui://widget/index.html",
            "https://example.com/a?b=c",
            "https://example.com:8443/",
            "http://127.0.0.1:8080/a",
            "http://[::1]/a",
            "note://{name}",
            "file:///{+path}",
            "file://{path}",
            "file:///srv/{x}/{y}",
            "db://{table}/Row{?q,lang*}",
        ] {
            assert_eq!(canonical(uri).as_deref(), Some(uri), "{uri}");
        }
    }

    #[test]
    fn what_may_be_encoded_or_not_is_the_same_in_a_path() {
        for (uri, form) in [
            ("file:///srv/Report%20%282024%29.pdf", "file:///srv/Report%20(2024).pdf"),
            ("file:///c%3A/R%26D/%5Bid%5D", "file:///c:/R&D/[id]"),
            ("db://x/a%40b?c=a%40b", "db://x/a@b?c=a%40b"),
        ] {
            assert_eq!(canonical(uri).as_deref(), Some(form), "{uri}");
            assert_eq!(beginning(uri), form, "{uri}");
        }
    }

    #[test]
    fn what_can_be_read_as_several_has_no_form() {
        for uri in [
            "",
            "a",
            "/srv/a",
            "file:///srv/../etc/passwd",
            "file:///srv/./secret",
            "file:///srv/..",
            "file:///srv/.\t./etc/passwd",
            "file:///srv/.\n./etc/passwd",
            "file:///srv/.\r./etc/passwd",
            "file:///srv/%2e\t./etc/passwd",
            "file:///srv/%2\te./etc/passwd",
            "file:///srv/%2e%2e/etc",
            "file:///srv/%2E./etc",
            "file:///srv/..%2Fetc",
            "file:///srv/..%5Cetc",
            "file:///srv/.\\a",
            "file:///srv/a%2Fb",
            "file:///srv/..;/etc",
            "file:///srv/..%3B/etc",
            "file:///srv/..;a=b/etc",
            "file:///srv//secret/x",
            "file:////srv/a",
            "file:///srv/x#.",
            "file:///srv/x#a",
            "file:///srv/x#",
            "file:///srv/x?",
            "file:///srv/x?a/../",
            "file:///srv/x?a",
            "note://x?a/../b",
            "note://x?a=%2F..%2Fb",
            "note://x?",
            "FILE:///srv/secret/x",
            "File:///srv/secret/x",
            "file:/srv/secret/x",
            "file:srv",
            "file://localhost/srv/x",
            "file:///C|/a",
            " file:///srv/secret/x",
            "file:///srv/secret/x ",
            "\u{1}file:///srv/secret/x",
            "file:///srv/\u{7f}",
            "file:///srv/%73ecret",
            "file:///srv/%7Ea",
            "file:///srv/caf%c3%a9",
            "file:///srv/caf\u{e9}",
            "file:///srv/\u{ff0e}\u{ff0e}/a",
            "file:///srv/%00",
            "file:///srv/%0A",
            "file:///srv/%2573ecret",
            "file:///srv/%",
            "file:///srv/%4",
            "file:///srv/%zz",
            "file:///srv/a b",
        ] {
            assert_eq!(canonical(uri), None, "{uri:?}");
        }
    }

    #[test]
    fn nor_has_what_is_so_in_other_schemes_and_templates() {
        for uri in [
            "HTTP://example.com/",
            "http://EXAMPLE.com/",
            "http://example.com",
            "http://example.com:80/",
            "http://example.com./",
            "http://ann@example.com/",
            "http://good.example@evil.example/",
            "http:example.com/",
            "http:/example.com/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://ex%61mple.com/",
            "http:\\\\example.com\\",
            "Note://x",
            "note://host%2Fx",
            "note:/a/../b",
            "urn:a:./b/../c",
            "urn:a%73",
            "{+uri}",
            "file:///srv/{",
            "file:///srv/}",
            "file:///srv/{}",
            "file:///srv/{a b}",
            "file:///srv/{/../../etc/passwd}",
            "file:///srv/../{x}",
            "file:///srv/%7Bx%7D",
        ] {
            assert_eq!(canonical(uri), None, "{uri:?}");
        }
    }

    #[test]
    fn a_beginning_is_one_of_some_uri() {
        for (text, expected) in [
            ("f", true),
            ("file:", true),
            ("file:/", true),
            ("file://", true),
            ("file:///", true),
            ("file:///srv/.", true),
            ("file:///srv/a", true),
            ("http://exa", true),
            ("https://example.com", true),
            ("note://", true),
            ("db://Table/Row?q=", true),
            ("urn:", true),
            ("FILE:///srv/", false),
            ("file:///srv/../", false),
            ("file:///srv/%73ecret/", false),
            ("file:///srv//", false),
            ("http://Example.com/", false),
        ] {
            assert_eq!(begins_any(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_form_is_its_own_and_never_leads_up(uri in "(file:///srv/|note://|a:)[a.%/;?#\\\\\t2eEfF53{}:@ ]{0,12}") {
            if let Some(form) = canonical(&uri) {
                let again = canonical(&form).map(Cow::into_owned);
                proptest::prop_assert_eq!(again.as_deref(), Some(&*form));
                if !uri.contains('{') {
                    let url = Url::parse(&form).unwrap();
                    proptest::prop_assert_eq!(url.as_str(), &*form);
                    if uri.starts_with("file:") {
                        let path = url.to_file_path().unwrap();
                        proptest::prop_assert!(path.starts_with("/srv"));
                        let mut parts = path.components();
                        proptest::prop_assert!(parts.all(|part| part != std::path::Component::ParentDir));
                    }
                }
            }
        }
    }
}
