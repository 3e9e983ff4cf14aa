//! Finds what HTML and Markdown do not show: comments, and elements that a style or an attribute hides.

use memchr::{memchr, memchr2, memmem, memrchr};

use super::{Hidden, Kind};

/// Finds comments and hidden elements of HTML.
pub(super) fn elements(text: &str, found: &mut Vec<Hidden>) {
    let bytes = text.as_bytes();
    let comment_end = memmem::Finder::new(b"-->");
    let mut hiding: Option<Hiding<'_>> = None;
    let mut at = 0;
    while let Some(offset) = bytes.get(at..).and_then(|rest| memchr(b'<', rest)) {
        let start = at + offset;
        let rest = bytes.get(start..).unwrap_or_default();
        if rest.starts_with(b"<!--") {
            // The two dashes may be the same ones: `<!-->` is an empty comment.
            let end = rest.get(2..).and_then(|inner| comment_end.find(inner)).map_or(rest.len(), |end| end + 5);
            let says = rest
                .get(4..end)
                .unwrap_or_default()
                .iter()
                .any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii());
            if says && hiding.is_none() {
                found.push(Hidden { kind: Kind::Comment, span: start..start + end });
            }
            at = start + end;
            continue;
        }
        let Some(tag) = Tag::read(text, start) else {
            at = start + 1;
            continue;
        };
        at = tag.end;
        match &mut hiding {
            Some(element) => {
                if element.ends_with(&tag) {
                    found.push(Hidden { kind: Kind::Invisible, span: element.start..tag.end });
                    hiding = None;
                }
            }
            None if tag.closing || !tag.hides() => {}
            None if tag.is_empty() => found.push(Hidden { kind: Kind::Invisible, span: start..tag.end }),
            None => hiding = Some(Hiding { name: tag.name, depth: 1, start }),
        }
    }
    if let Some(element) = hiding {
        found.push(Hidden { kind: Kind::Invisible, span: element.start..text.len() });
    }
}

/// An element that is hidden, up to its end.
struct Hiding<'t> {
    name: &'t str,
    depth: usize,
    start: usize,
}

impl Hiding<'_> {
    fn ends_with(&mut self, tag: &Tag<'_>) -> bool {
        if tag.name.eq_ignore_ascii_case(self.name) {
            self.depth = if tag.closing { self.depth - 1 } else { self.depth + 1 };
        }
        self.depth == 0
    }
}

pub(super) struct Tag<'t> {
    pub(super) name: &'t str,
    pub(super) closing: bool,
    pub(super) attributes: &'t str,
    pub(super) end: usize,
}

impl<'t> Tag<'t> {
    pub(super) fn read(text: &'t str, start: usize) -> Option<Self> {
        let bytes = text.as_bytes();
        let closing = bytes.get(start + 1) == Some(&b'/');
        let name_start = start + 1 + usize::from(closing);
        if !bytes.get(name_start)?.is_ascii_alphabetic() {
            return None;
        }
        let name_length =
            bytes.iter().skip(name_start).take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
        let name_end = name_start + name_length;
        let close = quoted_end(bytes, name_end).or_else(|| plain_end(bytes, name_end))?;
        let (name, attributes) = (text.get(name_start..name_end)?, text.get(name_end..close)?);
        Some(Tag { name, closing, attributes, end: close + 1 })
    }

    /// Whether a tag or a comment of both HTML and Markdown may begin here.
    pub(super) fn begins(bytes: &[u8], at: usize) -> bool {
        let rest = bytes.get(at + 1..).unwrap_or_default();
        let name = if rest.first() == Some(&b'/') { rest.get(1) } else { rest.first() };
        rest.starts_with(b"!--") || name.is_some_and(u8::is_ascii_alphabetic)
    }

    /// Whether its name ends where names of HTML do.
    pub(super) fn is_named(&self) -> bool {
        self.attributes.bytes().next().is_none_or(|byte| byte.is_ascii_whitespace() || byte == b'/')
    }

    /// Whether readers of Markdown take it for a tag: all else is shown, unless it stands in a block of HTML.
    pub(super) fn is_plain(&self) -> bool {
        let mut rest = self.attributes;
        while let Some(after) = rest.bytes().next().filter(u8::is_ascii_whitespace).and(Some(rest.trim_ascii_start())) {
            if self.closing || after.is_empty() || after == "/" {
                return after.is_empty() || !self.closing;
            }
            let Some(end) = plain_attribute(after) else { return false };
            rest = after.get(end..).unwrap_or_default();
        }
        rest.is_empty() || rest == "/" && !self.closing
    }

    /// Where to look for what comes next: what may be shown as text may have tags and comments in it.
    pub(super) fn next(&self, start: usize) -> usize {
        let certain = memchr(b'<', self.attributes.as_bytes()).is_none()
            || self.is_plain() && memmem::find(self.attributes.as_bytes(), b"\n").is_none();
        if certain { self.end } else { start + 1 }
    }

    /// Whether it has no content by its name.
    fn is_empty(&self) -> bool {
        const EMPTY: [&str; 8] = ["area", "br", "embed", "hr", "img", "input", "link", "meta"];
        EMPTY.iter().any(|name| self.name.eq_ignore_ascii_case(name))
    }

    fn hides(&self) -> bool {
        let mut attributes = self.attributes;
        while let Some((name, value, rest)) = attribute(attributes) {
            if name.eq_ignore_ascii_case("hidden")
                || name.eq_ignore_ascii_case("type") && value.eq_ignore_ascii_case("hidden")
                || name.eq_ignore_ascii_case("style") && style_hides(value)
            {
                return true;
            }
            attributes = rest;
        }
        self.name.eq_ignore_ascii_case("template")
    }
}

/// How long an attribute is, as Markdown has them.
fn plain_attribute(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    bytes.first().filter(|byte| byte.is_ascii_alphabetic() || b"_:".contains(byte))?;
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(byte);
    let name = bytes.iter().take_while(|byte| in_name(byte)).count();
    let Some(value) = text.get(name..)?.trim_ascii_start().strip_prefix('=') else { return Some(name) };
    let value = value.trim_ascii_start();
    let before = text.len() - value.len();
    let length = match value.bytes().next()? {
        quote @ (b'"' | b'\'') => memchr(quote, value.as_bytes().get(1..)?)? + 2,
        _ => value.find(|c: char| c.is_ascii_whitespace() || "\"'=<>`".contains(c)).unwrap_or(value.len()),
    };
    (length > 0).then_some(before + length)
}

/// Where what HTML takes for a comment ends, and whether it does before the text: `<!-- -->`, and `<` with `!`, `?` or
/// `/` before anything but a name.
pub(super) fn comment_end(text: &str, start: usize) -> Option<(usize, bool)> {
    let rest = text.as_bytes().get(start..)?;
    let end = match rest.get(1)? {
        // The two dashes may be the same ones: `<!-->` is an empty comment.
        b'!' if rest.starts_with(b"<!--") => memmem::find(rest.get(2..)?, b"-->").map(|end| end + 5),
        b'!' | b'?' => memchr(b'>', rest).map(|end| end + 1),
        b'/' if !rest.get(2)?.is_ascii_alphabetic() => memchr(b'>', rest).map(|end| end + 1),
        _ => return None,
    };
    Some((start + end.unwrap_or(rest.len()), end.is_some()))
}

/// Where a tag ends if quotes in it are closed.
///
/// A quote swaps two of three states and leaves the third, so no two attempts that began at different places are ever
/// in the same state at the same place, and at most three go over any byte: attempts are linear all together.
fn quoted_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut quote = None;
    for (offset, &byte) in bytes.get(at..)?.iter().enumerate() {
        match (byte, quote) {
            (b'"' | b'\'', None) => quote = Some(byte),
            (b'"' | b'\'', Some(open)) if open == byte => quote = None,
            (b'>', None) => return Some(at + offset),
            (b'<', None) => return None,
            _ => {}
        }
    }
    None
}

/// Where it ends if a quote in it is just a character.
fn plain_end(bytes: &[u8], at: usize) -> Option<usize> {
    let end = at + memchr2(b'<', b'>', bytes.get(at..)?)?;
    (bytes.get(end) == Some(&b'>')).then_some(end)
}

/// The first attribute: its name, its value, and what follows.
pub(super) fn attribute(text: &str) -> Option<(&str, &str, &str)> {
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
    // An equals sign at the front belongs to the name, as browsers read it.
    let name_end = text.char_indices().skip(1).find(|(_, c)| c.is_ascii_whitespace() || matches!(c, '=' | '/'));
    let (name, rest) = text.split_at_checked(name_end.map_or(text.len(), |(end, _)| end))?;
    if name.is_empty() {
        return None;
    }
    let Some(value) = rest.trim_ascii_start().strip_prefix('=') else { return Some((name, "", rest)) };
    let value = value.trim_ascii_start();
    let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.split_once(quote));
    let (value, rest) = quoted.unwrap_or_else(|| {
        let end = value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len());
        value.split_at_checked(end).unwrap_or((value, ""))
    });
    Some((name, value, rest))
}

fn style_hides(style: &str) -> bool {
    /// A style that hides need not be long, and a long one may be truncated without harm.
    const LONGEST: usize = 4096;
    let compact: String =
        style.chars().take(LONGEST).filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_lowercase()).collect();
    let get = |name| compact.split(';').rev().filter_map(|rule| rule.split_once(':')).find(|(key, _)| *key == name);
    let starts =
        |name, with: &[&str]| get(name).is_some_and(|(_, value)| with.iter().any(|start| value.starts_with(start)));
    let number = |name| get(name).and_then(|(_, value)| leading_number(value));
    let background = get("background-color").or(get("background")).map(|(_, value)| value);
    let color = get("color").map(|(_, value)| value.trim_end_matches("!important"));
    let white = |color: &str| matches!(color, "white" | "#fff" | "#ffffff" | "rgb(255,255,255)");
    let unseen = |color: &str| match background {
        Some(background) => background.trim_end_matches("!important") == color,
        None => white(color),
    };
    starts("display", &["none"])
        || starts("visibility", &["hidden", "collapse"])
        || starts("color", &["transparent"])
        || starts("clip", &["rect(0", "rect(1px"])
        || starts("clip-path", &["inset(50%", "inset(100%", "circle(0"])
        || starts("transform", &["scale(0)"])
        || color.is_some_and(unseen)
        || number("opacity").is_some_and(|opacity| opacity < 0.05)
        || get("font-size").is_some_and(|(_, size)| too_small(size))
        || ["left", "top", "right", "text-indent", "margin-left"]
            .iter()
            .any(|side| number(side).is_some_and(|n| n < -900.0))
        || starts("overflow", &["hidden"])
            && ["width", "height"].iter().any(|side| number(side).is_some_and(|n| n < 2.0))
}

fn too_small(size: &str) -> bool {
    let absolute = size.contains("px") || size.contains("pt");
    leading_number(size).is_some_and(|number| number < 0.1 || absolute && number <= 1.0)
}

fn leading_number(value: &str) -> Option<f32> {
    let end = value.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(value.len());
    value.get(..end)?.parse().ok()
}

/// Finds link definitions of Markdown that serve as comments, such as `[//]: # (text)`.
pub(super) fn references(text: &str, found: &mut Vec<Hidden>) {
    let bytes = text.as_bytes();
    // A label holds no bracket, so none reaches back past the one before: looking back is linear too.
    let mut floor = 0;
    for at in memmem::find_iter(bytes, b"]:") {
        let before = bytes.get(floor..at).unwrap_or_default();
        if at >= floor
            && let Some(open) = memrchr(b'[', before)
            && starts_line(bytes, floor + open)
            && let Some(length) = text.get(at + 2..).and_then(comment_length)
        {
            let span = floor + open..at + 2 + length;
            floor = span.end;
            found.push(Hidden { kind: Kind::Comment, span });
        } else {
            floor = floor.max(at + 2);
        }
    }
}

fn starts_line(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(at.saturating_sub(4)..at).unwrap_or_default();
    match memrchr(b'\n', before) {
        Some(line_end) => before.iter().skip(line_end + 1).all(|&byte| byte == b' '),
        None => at < 4 && before.iter().all(|&byte| byte == b' '),
    }
}

/// The bytes of a target that leads nowhere and the title behind it.
fn comment_length(text: &str) -> Option<usize> {
    const LONGEST: usize = 4096;
    let target = text.trim_start_matches([' ', '\t']);
    let title = ["<#>", "<>", "#"].iter().find_map(|empty| target.strip_prefix(empty))?;
    let open = title.trim_ascii_start();
    let close = match open.bytes().next()? {
        b'(' => b')',
        quote @ (b'"' | b'\'') => quote,
        _ => return None,
    };
    let inside = open.as_bytes().get(1..)?;
    let end = memchr(close, inside.get(..LONGEST).unwrap_or(inside))?;
    Some(text.len() - open.len() + end + 2)
}
