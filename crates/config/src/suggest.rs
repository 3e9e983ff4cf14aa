//! Puts serde's messages into the words of this program, with a suggestion where there is a near one.

pub use bartizan_policy::nearest;

/// "did you mean", or what would have been possible.
pub(crate) fn help<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("possible are {}", list(known)),
    }
}

/// `a`, `b` and `c`.
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// How a local program is written.
pub(crate) const COMMAND: &str = "command = [\"program\", \"argument\"]";

/// Advice for what people write who know other configuration files, by where it stands.
fn usual(path: &[String]) -> Option<String> {
    let path: Vec<_> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["server", _, "command"] => Some(format!("the program and its arguments are one list: {COMMAND}")),
        ["server", _, "args" | "arguments"] => Some(format!("arguments follow the program: {COMMAND}")),
        ["mcpServers" | "mcp_servers"] => Some(format!("a server is a table of its own: [server.NAME] with {COMMAND}")),
        _ => None,
    }
}

/// A message and advice from what serde says of what stands at `path`. Texts that serde quotes are left out: they may be
/// secret.
pub(crate) fn rewrite(message: &str, path: &[String]) -> (String, Option<String>) {
    let (message, help) = reworded(message, path);
    (message, usual(path).or(help))
}

fn reworded(message: &str, path: &[String]) -> (String, Option<String>) {
    for (start, what) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        let parts = message
            .strip_prefix(start)
            .and_then(|rest| rest.split_once("`, expected ").or_else(|| rest.split_once("`, there are no ")));
        if let Some((word, expected)) = parts {
            // Guards have keys of their own and are read apart from the rest of the file.
            let apart = (path.len() == 1 && what == "key").then_some("guard");
            let known: Vec<&str> = expected.split('`').skip(1).step_by(2).chain(apart).collect();
            return (format!("unknown {what} `{word}`"), Some(help(word, known)));
        }
    }
    let typed = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    if let Some((found, expected)) = typed.and_then(|rest| rest.rsplit_once(", expected ")) {
        return (format!("expected {}, found {}", plain(expected), found_kind(found)), None);
    }
    match message.strip_prefix("missing field ") {
        Some(field) => (format!("{field} is missing"), None),
        None => (message.to_owned(), None),
    }
}

/// What serde calls a thing, as TOML calls it.
fn plain(expected: &str) -> &str {
    match expected {
        "a sequence" => "a list",
        "a map" => "a table",
        "a boolean" => "`true` or `false`",
        "usize" | "u64" | "u32" | "u16" | "u8" => "a number that is not negative",
        _ if expected.starts_with("struct ") => "a table",
        _ => expected,
    }
}

fn found_kind(found: &str) -> &str {
    match found.split_whitespace().next().unwrap_or_default() {
        "string" => "a text",
        "sequence" => "a list",
        "map" => "a table",
        "boolean" => "a boolean",
        "integer" => "an integer",
        "floating" => "a number with a fraction",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words() {
        let known = ["address", "allowed_hosts", "redact", "deny"];
        for (word, near) in
            [("adress", Some("address")), ("Deny", Some("deny")), ("redcat", Some("redact")), ("x", None)]
        {
            assert_eq!(nearest(word, known), near, "{word}");
        }
    }

    #[test]
    fn messages() {
        for (from, to, help) in [
            ("unknown field `adress`, expected `address` or `port`", "unknown key `adress`", "did you mean `address`?"),
            ("unknown field `x`, expected one of `aaaa`, `bbbb`", "unknown key `x`", "possible are `aaaa` and `bbbb`"),
            ("unknown variant `dney`, expected `deny`", "unknown value `dney`", "did you mean `deny`?"),
            ("unknown field `a`, b`, expected `abcd`", "unknown key `a`, b`", "possible are `abcd`"),
            ("unknown field `a`, there are no fields", "unknown key `a`", "possible are none"),
            ("invalid type: string \"hush, expected\", expected a sequence", "expected a list, found a text", ""),
            ("missing field `rule`", "`rule` is missing", ""),
        ] {
            let (message, advice) = rewrite(from, &[]);
            assert_eq!((message.as_str(), advice.unwrap_or_default().as_str()), (to, help), "{from}");
        }
    }
}
