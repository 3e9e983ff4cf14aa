//! What a credential is good for.
//!
//! **Threat.** A key in a build script or a browser extension is copied. What its holder can do with it should be what the
//! script needed, not all that its owner may do.
//!
//! A scope is a word such as OAuth has them (RFC 6749, section 3.3): `mcp` for everything, `server:NAME` for one server, and
//! `tool:SERVER/NAME`, `prompt:SERVER/NAME` or `resource:SERVER/URI` for one thing of a server. A `*` at the end of a name
//! stands for whatever follows. Scopes only ever take away: who may not do something without them may not with them.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::place;

/// The scope of everything.
const ALL: &str = "mcp";

/// The longest one; a URI may be part of it.
const LONGEST: usize = 1024;

/// What kind of thing a server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A tool, by its name.
    Tool,
    /// A prompt, by its name.
    Prompt,
    /// A resource or a template of them, by its URI.
    Resource,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Tool, Kind::Prompt, Kind::Resource];

    /// Its name in scopes and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Tool => "tool",
            Kind::Prompt => "prompt",
            Kind::Resource => "resource",
        }
    }
}

/// One thing that a credential is good for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Everything.
    All,
    /// All of one server.
    Server(Box<str>),
    /// Things of one kind of one server, by their name, or by its beginning if it ends in `*`.
    Thing(Kind, Box<str>, Box<str>),
}

/// Why a text is no scope.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no scope; there are mcp, server:NAME, tool:SERVER/NAME, prompt:SERVER/NAME and resource:SERVER/URI")]
pub struct ScopeError(String);

impl Scope {
    /// Reads a scope.
    ///
    /// # Errors
    /// If the text is none.
    pub fn parse(text: &str) -> Result<Scope, ScopeError> {
        let scope = || {
            // `NQCHAR` of RFC 6749, so that it stands in a token, a challenge and a list of words.
            let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
            if text.len() > LONGEST || !text.bytes().all(plain) {
                return None;
            }
            if text == ALL {
                return Some(Scope::All);
            }
            let (kind, rest) = text.split_once(':')?;
            if kind == "server" {
                return is_server(rest).then(|| Scope::Server(rest.into()));
            }
            let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
            let (server, name) = rest.split_once('/')?;
            (is_server(server) && is_name(name)).then(|| Scope::Thing(kind, server.into(), name.into()))
        };
        scope().ok_or_else(|| ScopeError(text.chars().take(80).collect()))
    }

    fn reaches(&self, server: &str) -> bool {
        match self {
            Scope::All => true,
            Scope::Server(own) | Scope::Thing(_, own, _) => &**own == server,
        }
    }

    fn allows(&self, server: &str, named: &Named<'_>) -> bool {
        match self {
            Scope::All => true,
            Scope::Server(own) => &**own == server,
            Scope::Thing(kind, own, pattern) => *kind == named.kind && &**own == server && named.matches(pattern),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::All => f.write_str(ALL),
            Scope::Server(server) => write!(f, "server:{server}"),
            Scope::Thing(kind, server, name) => write!(f, "{}:{server}/{name}", kind.as_str()),
        }
    }
}

/// As the configuration names servers.
fn is_server(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=24).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-')
}

/// A `*` elsewhere than at the end would look as if it meant something.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.strip_suffix('*').unwrap_or(name).contains('*')
}

/// What something is called, as patterns are held against it.
struct Named<'a> {
    kind: Kind,
    name: &'a str,
    /// The one form of a URI, which is looked for once however many patterns there are.
    form: OnceCell<Option<Cow<'a, str>>>,
}

impl<'a> Named<'a> {
    fn new(kind: Kind, name: &'a str) -> Self {
        Named { kind, name, form: OnceCell::new() }
    }

    /// Whether it is one that a pattern stands for. Of a resource nothing is said by how a URI begins that can be read as
    /// several.
    fn matches(&self, pattern: &str) -> bool {
        if pattern == self.name || pattern == "*" {
            return true;
        }
        let beginning = pattern.strip_suffix('*');
        let Kind::Resource = self.kind else {
            return beginning.is_some_and(|beginning| self.name.starts_with(beginning));
        };
        let Some(form) = self.form.get_or_init(|| place::canonical(self.name)) else { return false };
        match beginning {
            Some(beginning) => form.starts_with(&*place::beginning(beginning)),
            // What is the same as a form in this way has it.
            None => *form == place::beginning(pattern),
        }
    }
}

/// All that a credential is good for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scopes(Arc<[Scope]>);

impl Scopes {
    /// Those of a credential that limits nothing.
    #[must_use]
    pub fn all() -> Scopes {
        Scopes(Arc::new([Scope::All]))
    }

    /// The given ones, and no others.
    #[must_use]
    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Scopes {
        let mut scopes: Vec<_> = scopes.into_iter().collect();
        scopes.sort();
        scopes.dedup();
        // Beside everything the others say nothing.
        if scopes.contains(&Scope::All) { Scopes::all() } else { Scopes(scopes.into()) }
    }

    /// Whether they limit nothing.
    #[must_use]
    pub fn are_all(&self) -> bool {
        *self.0 == [Scope::All]
    }

    /// Whether there is anything at that server that they are good for.
    #[must_use]
    pub fn reach(&self, server: &str) -> bool {
        self.0.iter().any(|scope| scope.reaches(server))
    }

    /// Whether they are good for everything at that server.
    #[must_use]
    pub fn allow_all_of(&self, server: &str) -> bool {
        self.0.iter().any(|scope| match scope {
            Scope::All => true,
            Scope::Server(own) => &**own == server,
            Scope::Thing(..) => false,
        })
    }

    /// Whether they are good for that thing of that server.
    #[must_use]
    pub fn allow(&self, server: &str, kind: Kind, name: &str) -> bool {
        let named = Named::new(kind, name);
        self.0.iter().any(|scope| scope.allows(server, &named))
    }

    /// Whether they name resources of a server, and not only all of them.
    pub(crate) fn name_resources_of(&self, server: &str) -> bool {
        self.0.iter().any(|scope| match scope {
            Scope::Thing(Kind::Resource, own, pattern) => &**own == server && &**pattern != "*",
            _ => false,
        })
    }

    /// Whether something of a server is among what they name; without a kind, whether the server as a whole is.
    pub(crate) fn hold(&self, server: &str, kind: Option<Kind>, name: &str) -> bool {
        match kind {
            Some(kind) => self.allow(server, kind, name),
            None => self.0.iter().any(|scope| !matches!(scope, Scope::Thing(..)) && scope.reaches(server)),
        }
    }

    /// One by one, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for scope in self.iter() {
            write!(f, "{space}{scope}")?;
            space = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scopes(texts: &[&str]) -> Scopes {
        Scopes::of(texts.iter().map(|text| Scope::parse(text).unwrap()))
    }

    #[test]
    fn scopes_are_good_for_what_they_name_and_nothing_else() {
        use Kind::{Prompt, Resource, Tool};
        for (given, kind, server, name, allowed) in [
            (&["mcp"][..], Tool, "files", "write", true),
            (&["server:files"], Tool, "files", "write", true),
            (&["server:files"], Resource, "files", "file:///a", true),
            (&["server:files"], Tool, "file", "write", false),
            (&["server:files"], Tool, "files2", "write", false),
            (&["tool:files/read"], Tool, "files", "read", true),
            (&["tool:files/read"], Tool, "files", "Read", false),
            (&["tool:files/read"], Tool, "files", "read_all", false),
            (&["tool:files/read"], Prompt, "files", "read", false),
            (&["tool:files/read"], Tool, "git", "read", false),
            (&["tool:files/read*"], Tool, "files", "read_all", true),
            (&["tool:files/read*"], Tool, "files", "read", true),
            (&["tool:files/read*"], Tool, "files", "rea", false),
            (&["tool:files/*"], Tool, "files", "anything", true),
            (&["tool:files/*"], Resource, "files", "file:///a", false),
            (&["resource:files/file:///srv/*"], Resource, "files", "file:///srv/a", true),
            (&["resource:files/file:///srv/*"], Resource, "files", "file:///etc/a", false),
            (&["resource:files/file:///srv/*"], Resource, "files", "file:///srv/../etc/a", false),
            (&["resource:files/file:///srv/*"], Resource, "files", "file:///srv/a/%2E%2e%2Fetc", false),
            (&["resource:files/file:///srv/*"], Resource, "files", "file:///srv/.\\a", false),
            (&["resource:files/file:///srv/*"], Resource, "files", "file:///srv/a..b/.c/...", true),
            (&["resource:files/file:///srv/*"], Resource, "files", "file:///srv/.\t./etc/passwd", false),
            (&["resource:files/file:///srv/*"], Resource, "files", "file:///srv/%2e\n./etc/passwd", false),
            (&["resource:files/file:///srv/*"], Resource, "files", "file:///srv/%2\te./etc/passwd", false),
            (&["resource:files/file:///srv/R&D/*"], Resource, "files", "file:///srv/R%26D/a%20b", true),
            (&["resource:files/file:///srv/R%26D"], Resource, "files", "file:///srv/R&D", true),
            (&["resource:files/note://*"], Resource, "files", "note://Table/Row", true),
            (&["resource:files/note://*"], Resource, "files", "note://{name}", true),
            (&["resource:files/urn:a:*"], Resource, "files", "urn:a:b", true),
            (&["resource:files/*"], Resource, "files", "note://my note", true),
            (&["resource:files/n*"], Resource, "files", "note://my note", false),
            (&["resource:files/file:///srv/../a"], Resource, "files", "file:///srv/../a", true),
            (&["tool:files/*"], Tool, "files", "a/../b", true),
            (&["tool:files/read", "server:git"], Tool, "git", "push", true),
            (&[], Tool, "files", "read", false),
        ] {
            assert_eq!(scopes(given).allow(server, kind, name), allowed, "{given:?} {server} {name}");
        }
        for (given, server, reached) in [
            (&["mcp"][..], "git", true),
            (&["prompt:files/a"], "files", true),
            (&["prompt:files/a", "server:git"], "web", false),
            (&[], "git", false),
        ] {
            assert_eq!(scopes(given).reach(server), reached, "{given:?} {server}");
        }
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        for text in [
            "",
            "MCP",
            "mcp ",
            "server",
            "server:",
            "server:Files",
            "server:-a",
            "server:a/b",
            "server:*",
            "server:abcdefghijklmnopqrstuvwxy",
            "tool:files",
            "tool:files/",
            "tool:/read",
            "tool:*/read",
            "tool:files/re*d",
            "tool:files/**",
            "tool:files/a b",
            "tool:files/a\"b",
            "tool:files/a\\b",
            "tool:files/\u{e9}",
            "file:files/a",
            "role:admin",
        ] {
            assert!(Scope::parse(text).is_err(), "{text}");
        }
        assert!(Scope::parse(&format!("tool:a/{}", "x".repeat(1020))).is_err());
    }

    #[test]
    fn they_are_one_set() {
        assert_eq!(scopes(&["server:b", "server:a", "server:b"]).to_string(), "server:a server:b");
        assert!(scopes(&["server:b", "mcp"]).are_all());
        assert!(!scopes(&[]).are_all());
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_alike(text in "(mcp|server:[a-z]{1,3}|(tool|prompt|resource):[a-z]{1,3}/[!-~]{0,8})") {
            if let Ok(scope) = Scope::parse(&text) {
                prop_assert_eq!(scope.to_string(), text);
            }
        }

        #[test]
        fn more_scopes_never_take_away(
            one in "(tool|prompt):[ab]/[xy*]{1,2}", other in "(server:[ab]|tool:[ab]/[xy]\\*)",
            server in "[ab]", name in "[xy]{1,2}"
        ) {
            if let (Ok(one), Ok(other)) = (Scope::parse(&one), Scope::parse(&other)) {
                let (few, more) = (Scopes::of([one.clone()]), Scopes::of([one, other]));
                for kind in Kind::ALL {
                    prop_assert!(!few.allow(&server, kind, &name) || more.allow(&server, kind, &name));
                    prop_assert!(!more.allow(&server, kind, &name) || more.reach(&server));
                }
            }
        }
    }
}
