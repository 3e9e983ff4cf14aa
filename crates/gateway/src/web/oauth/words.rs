//! Scopes in words for people.

use bartizan_guard::{Kind, Scope};

/// What a scope allows.
pub(in crate::web) fn of(scope: &str) -> String {
    match Scope::parse(scope) {
        Ok(Scope::All) => "Use everything here that you may use yourself".to_owned(),
        Ok(Scope::Server(server)) => format!("Use everything of the server {server} that you may use yourself"),
        Ok(Scope::Thing(kind, server, name)) => thing(kind, &server, &name),
        Err(_) => scope.to_owned(),
    }
}

fn thing(kind: Kind, server: &str, name: &str) -> String {
    let (verb, noun) = match kind {
        Kind::Tool => ("Call", "tool"),
        Kind::Prompt => ("Get", "prompt"),
        Kind::Resource => ("Read", "resource"),
    };
    match name.strip_suffix('*') {
        Some("") => format!("{verb} every {noun} of the server {server}"),
        Some(begin) => format!("{verb} every {noun} of the server {server} that begins with {begin}"),
        None => format!("{verb} the {noun} {name} of the server {server}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_scope_has_words() {
        for (scope, words) in [
            ("mcp", "Use everything here that you may use yourself"),
            ("server:git", "Use everything of the server git that you may use yourself"),
            ("tool:git/git_log", "Call the tool git_log of the server git"),
            ("tool:git/git_*", "Call every tool of the server git that begins with git_"),
            ("prompt:docs/*", "Get every prompt of the server docs"),
            ("resource:files/file:///a", "Read the resource file:///a of the server files"),
        ] {
            assert_eq!(super::of(scope), words);
        }
    }
}
