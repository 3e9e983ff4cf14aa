//! Paths of files as they stand in calls, and patterns of them.
//!
//! **Threat.** One file has many spellings: with `..`, percent signs, other separators, another case, a variable, a link. Whoever is asked to
//! keep `/srv/secret` private must not be told that `/srv/public/../secret/a` is in `/srv/public`. So a path that can be read in more than one
//! way is none that anything is known of.

use std::fmt;

/// A path that can be read in one way only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePath {
    /// `/`, a drive such as `c:`, or nothing for one within a folder that is not known.
    root: String,
    parts: Vec<String>,
    /// Whether it says that it is a folder.
    is_folder: bool,
}

/// Parts of one path that are read.
const MOST_PARTS: usize = 128;

impl FilePath {
    /// Reads a path, or a `file:` URI; `None` if it can be read in several ways.
    #[must_use]
    pub fn read(text: &str) -> Option<FilePath> {
        let plain = match uri_path(text) {
            Some(path) => decoded(path)?,
            // A program that takes paths may decode them, and another may not.
            None if text.contains('%') || text.contains("://") => return None,
            None => text.to_owned(),
        };
        FilePath::of_plain(&plain, |_| false)
    }

    fn of_plain(text: &str, allowed: fn(char) -> bool) -> Option<FilePath> {
        let means_more = |c: char| {
            c.is_control() || matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '$' | '%' | '<' | '>' | '|' | '"')
        };
        if text.trim() != text || text.is_empty() || text.chars().any(|c| means_more(c) && !allowed(c)) {
            return None;
        }
        let drive = drive(text);
        let rest = text.get(drive.len()..)?;
        // A backslash parts names where there are drives, and is part of a name elsewhere.
        let rest = if drive.is_empty() { rest.to_owned() } else { rest.replace('\\', "/") };
        let starts = rest.starts_with('/');
        // `c:a` is in whatever folder that drive is at, and `//host/a` is on another machine.
        if rest.contains(['\\', ':']) || rest.starts_with("//") || !drive.is_empty() && !starts {
            return None;
        }
        let parts: Vec<String> =
            rest.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect();
        let is_odd = |part: &String| {
            // `~` is a home at the start, and a short name for a long one within; dots and spaces at the end may be dropped.
            part.contains('~') || part.ends_with(['.', ' ']) || part.starts_with(' ')
        };
        if parts.iter().any(is_odd) || parts.len() > MOST_PARTS {
            return None;
        }
        let root = if drive.is_empty() && starts { "/".to_owned() } else { drive.to_lowercase() };
        Some(FilePath { root, parts, is_folder: rest.ends_with('/') })
    }
}

/// `c:` at the beginning of a path.
fn drive(text: &str) -> &str {
    let is_drive = |head: &&str| head.starts_with(|c: char| c.is_ascii_alphabetic()) && head.ends_with(':');
    text.get(..2).filter(is_drive).unwrap_or_default()
}

/// The path of a `file:` URI of this machine.
fn uri_path(text: &str) -> Option<&str> {
    let scheme = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("file://"))?;
    let rest = text.get(scheme.len()..)?;
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    // `file:///c:/a` is on a drive.
    let is_drive = rest.get(1..).is_some_and(|rest| !drive(rest).is_empty());
    rest.starts_with('/').then(|| if is_drive { rest.get(1..).unwrap_or_default() } else { rest })
}

/// Without percent signs, decoded once; `None` if something is left to decode, or a separator had been hidden.
fn decoded(path: &str) -> Option<String> {
    if path.contains(['?', '#']) {
        return None;
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        let byte = u8::try_from(high * 16 + low).ok()?;
        if matches!(byte, b'/' | b'\\' | b'%' | b'.') {
            return None;
        }
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

/// Which paths: each part as it is, `*` for anything within a part, `**` for any number of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern(FilePath);

/// How a path stands to a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// It is one of these, letter by letter.
    Yes,
    /// It is not.
    No,
    /// It may be, or may hold some of them: it is the same in another case, a folder above, or of another root.
    Maybe,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// In a sentence, if it can be read in several ways, as paths that climb can.
    pub fn read(text: &str) -> Result<PathPattern, String> {
        let pattern = FilePath::of_plain(text, |c| c == '*');
        let pattern = pattern.filter(|pattern| pattern.parts.iter().all(|part| part == "**" || !part.contains("**")));
        let stars = |pattern: &FilePath| pattern.parts.iter().filter(|part| *part == "**").count();
        // So that no path takes long to be held against it.
        pattern.filter(|pattern| stars(pattern) <= 2).map(PathPattern).ok_or_else(|| {
            format!("`{}` is no pattern of paths: write it without `..`, `~`, variables and percent signs, with `*` within a part and `**` for at most two rows of parts", text.escape_debug())
        })
    }

    /// Whether all paths that it is about another one is about as well.
    #[must_use]
    pub fn is_part_of(&self, other: &PathPattern) -> bool {
        self.0.root == other.0.root && covers(&other.0.parts, &self.0.parts)
    }

    /// How a path stands to it.
    #[must_use]
    pub fn holds(&self, path: &FilePath) -> Within {
        let PathPattern(pattern) = self;
        if pattern.root != path.root {
            // Where a path begins that does not say so, nobody knows.
            let is_known = !pattern.root.is_empty() && !path.root.is_empty();
            return if is_known { Within::No } else { Within::Maybe };
        }
        if fits(&pattern.parts, &path.parts) {
            return Within::Yes;
        }
        // Letters with marks have several spellings, too.
        let is_plain = |path: &FilePath| path.parts.iter().all(|part| part.is_ascii());
        let is_spelled = is_plain(pattern) || is_plain(path);
        let lower = |parts: &[String]| parts.iter().map(|part| part.to_lowercase()).collect::<Vec<_>>();
        let (held, asked) = (lower(&pattern.parts), lower(&path.parts));
        if !is_spelled || fits(&held, &asked) || is_above(path, &asked, &held) { Within::Maybe } else { Within::No }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.root)?;
        let rooted = if self.0.root.is_empty() || self.0.root == "/" { "" } else { "/" };
        write!(f, "{rooted}{}", self.0.parts.join("/"))
    }
}

/// Whether parts are what a pattern says.
fn fits(pattern: &[String], parts: &[String]) -> bool {
    match (pattern.split_first(), parts.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((first, rest)), _) if first == "**" => {
            (0..=parts.len()).any(|skipped| parts.get(skipped..).is_some_and(|parts| fits(rest, parts)))
        }
        (Some(_), None) => false,
        (Some((first, rest)), Some((part, parts))) => is_like(first, part) && fits(rest, parts),
    }
}

/// Whether all that one pattern says another one says, too, as far as their parts show it.
fn covers(pattern: &[String], other: &[String]) -> bool {
    match (pattern.split_first(), other.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((first, rest)), _) if first == "**" => {
            (0..=other.len()).any(|skipped| other.get(skipped..).is_some_and(|other| covers(rest, other)))
        }
        (Some(_), None) => false,
        (Some((first, rest)), Some((part, other))) => part != "**" && is_like(first, part) && covers(rest, other),
    }
}

/// Whether a path, of these parts, is a folder above something of which a pattern says this.
fn is_above(path: &FilePath, parts: &[String], pattern: &[String]) -> bool {
    let said = pattern.iter().take_while(|part| !part.contains('*')).count();
    // Behind the first `*` all that has no name like a file's is a folder, as far as anybody knows.
    let may_be_folder =
        parts.len() <= said || path.is_folder || !path.parts.last().is_some_and(|last| is_like_a_file(last));
    may_be_folder && reaches(pattern, parts)
}

/// Whether something below parts can be what a pattern says.
fn reaches(pattern: &[String], parts: &[String]) -> bool {
    match (pattern.split_first(), parts.split_first()) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some((first, rest)), Some((part, parts))) => first == "**" || is_like(first, part) && reaches(rest, parts),
    }
}

/// Whether a name ends as those of files do: `plan.md`.
fn is_like_a_file(name: &str) -> bool {
    let Some((stem, end)) = name.rsplit_once('.') else { return false };
    !stem.is_empty() && (1..=5).contains(&end.len()) && end.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a part is what one of a pattern says.
fn is_like(pattern: &str, part: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = part.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_in_several_ways_is_not_read() {
        for text in [
            "/srv/public/../secret/a",
            "/srv/public/..",
            "..",
            "/srv/%73ecret/a",
            "/srv/se%2fcret",
            "file:///srv/%2e%2e/secret",
            "file:///srv/a%2Fb",
            "file:///srv/%2573ecret",
            "file:///srv/%zz",
            "file:///srv/a?x",
            "file://host/srv/a",
            "http://host/srv/a",
            "~/secret",
            "/srv/$HOME/a",
            "%USERPROFILE%\\a",
            "\\srv\\secret",
            "/srv\\secret",
            "\\\\host\\share\\a",
            "//host/share/a",
            "c:secret",
            "/srv/secret::$DATA",
            "/srv/secret.",
            "/srv/secret /a",
            "/srv/SECRET~1/a",
            "/srv/*/a",
            "/srv/{a,b}",
            "/srv/a\0",
            "",
            " /srv/a",
        ] {
            assert_eq!(FilePath::read(text), None, "{text}");
        }
        for (one, other) in [
            ("/srv/secret/a", "/srv//secret/./a"),
            ("/srv/secret/a", "file:///srv/secret/a"),
            ("/srv/secret/a", "FILE://localhost/srv/%73ecret/a"),
            ("C:\\data\\a", "c:/data/a"),
            ("C:\\data\\a", "file:///c:/data/a"),
            ("notes/a.txt", "./notes/a.txt"),
        ] {
            assert!(FilePath::read(one).is_some(), "{one}");
            assert_eq!(FilePath::read(one), FilePath::read(other), "{one} {other}");
        }
    }

    #[test]
    fn a_path_is_within_a_pattern_or_not_or_nobody_knows() {
        use Within::{Maybe, No, Yes};
        for (pattern, path, within) in [
            ("/srv/secret/**", "/srv/secret/a/b.txt", Yes),
            ("/srv/secret/**", "/srv/secret", Yes),
            ("/srv/secret/**", "/srv/secrets/a", No),
            ("/srv/secret/**", "/srv/Secret/a", Maybe),
            // A search there finds what is below.
            ("/srv/secret/**", "/srv", Maybe),
            ("/srv/secret/**", "/", Maybe),
            ("/srv/secret/**", "secret/a", Maybe),
            ("notes/**", "/home/ann/notes/a", Maybe),
            ("notes/**", "notes/a", Yes),
            ("notes/**", "other/a", No),
            ("c:/data/**", "C:\\data\\a", Yes),
            ("c:/data/**", "d:/data/a", No),
            ("c:/data/**", "/data/a", No),
            ("/srv/*/key-*.pem", "/srv/app/key-1.pem", Yes),
            ("/srv/*/key-*.pem", "/srv/app/b/key-1.pem", No),
            ("/srv/*/key-*.pem", "/srv/app/key.pem", No),
            ("/**/.env", "/srv/app/.env", Yes),
            ("/**/.env", "/.env", Yes),
            ("/**/.env", "/srv/app/readme.txt", No),
            ("/**/.env", "/srv/app/.ENV", Maybe),
            ("/srv/büro/**", "/srv/bu\u{308}ro/a", Maybe),
            ("/srv/büro/**", "/srv/a", No),
            ("/srv/*", "/srv/a", Yes),
            // A search there finds what is below, also where a `*` is in between.
            ("/srv/*/secret/**", "/srv", Maybe),
            ("/srv/*/secret/**", "/srv/app", Maybe),
            ("/srv/*/secret/**", "/srv/app/secret", Yes),
            ("/srv/*/secret/**", "/srv/app/open", No),
            ("/srv/*/secret/**", "/srv/app/open/plan.md", No),
            ("/srv/*/secret/**", "/srv/readme.txt", No),
            ("/srv/*/secret/**", "/srv/v1.2/", Maybe),
            ("/srv/app-*/key", "/srv/app-1", Maybe),
            ("/srv/app-*/key", "/srv/web-1", No),
            ("/srv/**/secret", "/srv/app/open", Maybe),
            ("/**/.env", "/srv/app", Maybe),
        ] {
            let (read, held) = (FilePath::read(path).unwrap(), PathPattern::read(pattern).unwrap());
            assert_eq!(held.holds(&read), within, "{pattern} {path}");
            assert_eq!(PathPattern::read(&held.to_string()), Ok(held));
        }
        for text in ["/srv/../a", "~/a", "/srv/a**", "", "/a/**/b/**/c/**", "/srv/%41"] {
            assert!(PathPattern::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_is_part_of_another_or_not() {
        for (one, other, is) in [
            ("/srv/secret/**", "/srv/**", true),
            ("/srv/**", "/srv/secret/**", false),
            ("/srv/**", "/srv/**", true),
            ("/srv/*/secret/**", "/srv/**", true),
            ("/srv/*/secret/**", "/srv/*/*/**", true),
            ("/srv/app/secret/**", "/srv/*/secret/**", true),
            ("/srv/*", "/srv/a*", false),
            ("/srv/a*", "/srv/*", true),
            ("/srv/**", "/srv/*", false),
            ("/srv/*", "/srv/**", true),
            ("/srv/app/**", "/srv/*/secret/**", false),
            ("srv/**", "/srv/**", false),
            ("c:/a/**", "c:/**", true),
        ] {
            let (held, wider) = (PathPattern::read(one).unwrap(), PathPattern::read(other).unwrap());
            assert_eq!(held.is_part_of(&wider), is, "{one} {other}");
        }
    }

    #[test]
    fn no_path_takes_long() {
        let parts = "a/".repeat(120);
        let pattern = PathPattern::read("/**/a/**/b").unwrap();
        assert_eq!(pattern.holds(&FilePath::read(&format!("/{parts}c.txt")).unwrap()), Within::No);
        assert_eq!(FilePath::read(&format!("/{}", "a/".repeat(200))), None);
        assert!(!is_like(&"*a".repeat(60), &"a".repeat(59)));
    }
}
