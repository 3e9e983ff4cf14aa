//! Whatever else a file holds: its secrets are in no message and in no debug output.
#![cfg(test)]

use bartizan_config::{AuditKey, Config, Environment};
use bartizan_guard::Timestamp;
use proptest::prelude::*;

/// Characters that need escapes in TOML or in debug output are among them.
const SECRET: &str = "[A-Za-z0-9\"\\\\='\\[\\]{}#,.$ äß-]{6,24}Q9";

/// Lines that are wrong in one way or another, some of them with a secret in the wrong place.
const BLUNDERS: &[&str] = &[
    "",
    "wrong = 1",
    "timeout = \"soon\"",
    "command = [\"a\"]",
    "bridge = \"S\"",
    "enviroment = { A = S }",
    "headers = S",
    "env = [S]",
    "headers.A = { b = S }",
    "headers.Host = S",
    "headers.\"no name\" = S",
    "headers.B = [1, S]",
    "url = \"https://user:P@host/\"",
    "env.C = S\nenv.C = S",
    "headers.D = S S",
    "env.E = \"\"\"\n[P]\n= P\n\"\"\"\nbroken",
    "timeout = S",
    "[guard.rate]\nper_tool = \"${V}\"",
    "[guard.rate]\naction = \"${V}\"",
    "[log]\nlevel = \"${V}\"",
    "[listen]\naddress = \"${V}\"",
    "[lock]\n${V} = 1",
    "[detection.judge]\nkey = S",
    "[detection.judge]\nkey = [S]",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn no_secret_is_shown(secret in SECRET, first in 0..BLUNDERS.len(), second in 0..BLUNDERS.len(), bridge in any::<bool>()) {
        let quoted = toml::Value::String(secret.clone()).to_string();
        let plain: String = secret.chars().filter(char::is_ascii_alphanumeric).collect();
        let line = |index: usize| {
            let line = BLUNDERS[index];
            // A literal in a setting that is no place for secrets is shown on purpose, so it comes from a variable.
            let quoted = if line.starts_with("timeout") || line.starts_with("bridge") { "\"${V}\"" } else { &quoted };
            line.replace('P', &plain).replace("\"S\"", quoted).replace('S', quoted)
        };
        let kind = if bridge { "url = \"https://a.example\"" } else { "command = [\"run\", \"--key\", \"${V}\"]" };
        let text = format!(
            "[server.a]\n{kind}\nheaders.Authorization = {quoted}\nenv.KEY = \"${{V}}\"\n{}\n[server.b]\nurl = \"https://b/?k=${{V}}\"\nheaders.A = {quoted}\n{}\n",
            line(first), line(second),
        );
        let environment = Environment {
            variables: [("V".to_owned(), secret.clone()), ("HOME".to_owned(), "/h".to_owned())].into(),
            directory: "/etc".into(),
            now: Timestamp(0),
        };
        let shown = match Config::parse(&text, "test.toml", &environment) {
            Ok((config, warnings)) => format!("{config:?} {warnings:?} {}", warnings.iter().map(ToString::to_string).collect::<String>()),
            Err(found) => format!("{found} {found:?} {}", serde_json::to_string(&found.0).unwrap()),
        };
        for form in [secret.clone(), secret.escape_debug().to_string(), plain.clone()] {
            prop_assert!(!shown.contains(&form), "{form} is shown of\n{text}\nin\n{shown}");
        }
    }

    #[test]
    fn anything_is_read_or_refused(text in "[\\[\\]a-z.=\"'{}$#:, 0-9\\n-]{0,200}") {
        let environment = Environment { variables: [].into(), directory: "/etc".into(), now: Timestamp(0) };
        if let Err(found) = Config::parse(&text, "test.toml", &environment) {
            prop_assert!(!found.0.is_empty());
            prop_assert!(!found.to_string().is_empty());
        }
    }
}

#[test]
fn a_configuration_shows_no_secret_of_a_good_file() {
    let text = "[server.a]\ncommand = ['a', '--token', '${V}']\nenv = { A = 'literal-secret' }\n\
                [server.b]\nurl = 'https://b.example/?key=${V}'\nheaders = { A = '${V}' }\n";
    let environment = Environment {
        variables: [("V".to_owned(), "from-variable".to_owned()), ("HOME".to_owned(), "/h".to_owned())].into(),
        directory: "/etc".into(),
        now: Timestamp(0),
    };
    let (config, _) = Config::parse(text, "test.toml", &environment).unwrap();
    // But for the name of a list that holds none.
    let shown = format!("{config:?}").replace("secrets: []", "");
    assert!(!shown.contains("secret") && !shown.contains("from-variable"), "{shown}");
    assert!(shown.contains("b.example"), "{shown}");
}

#[test]
fn a_master_key_is_shown_nowhere_whether_it_is_one_or_not() {
    let key = "5ec2e7".repeat(11).split_off(2);
    for (text, good) in [(key.clone(), true), (format!(" {key}\n"), true), (key.split_at(60).0.to_owned(), false)] {
        let written = [("${V}", &*text), (text.trim(), "")];
        for (table, (written, variable)) in
            ["store", "audit"].into_iter().flat_map(|table| written.map(|way| (table, way)))
        {
            let environment = Environment {
                variables: [("V".to_owned(), variable.to_owned()), ("HOME".to_owned(), "/h".to_owned())].into(),
                directory: "/etc".into(),
                now: Timestamp(0),
            };
            let shown = match Config::parse(&format!("[{table}]\nkey = '{written}'\n"), "test.toml", &environment) {
                Ok((config, _)) => {
                    let given = match (&config.store_key, &config.audit.key) {
                        (Some(given), AuditKey::File(_)) | (None, AuditKey::Given(given)) => given,
                        other => panic!("{other:?}"),
                    };
                    assert!(good && given.expose().trim() == key, "{text}");
                    format!("{config:?}")
                }
                Err(found) => {
                    assert!(!good && found.to_string().contains("64 hexadecimal digits"), "{found}");
                    format!("{found} {found:?}")
                }
            };
            assert!(!shown.contains("5ec2e75ec2e7"), "{shown}");
        }
    }
}

#[test]
fn a_broken_reference_in_the_wrong_place_is_not_shown() {
    let check = |text: &str| {
        let environment = Environment { variables: [].into(), directory: "/etc".into(), now: Timestamp(0) };
        let found = Config::parse(text, "test.toml", &environment).unwrap_err();
        let shown = format!("{found} {found:?}");
        assert!(!shown.contains("hush"), "{shown}");
    };
    check("[server.a]\ncommand = ['a']\nenviroment = { A = '${hush-hush' }\n");
    check("[server.a]\ncommand = ['a']\nenviroment = { A = 'hush-hush${NOT_SET}' }\n");
    check("[server.a]\ncommand = ['a']\nenviroment = { A = 'hush-hush${workspace}' }\n");
}

#[test]
fn a_url_is_shown_up_to_its_path() {
    let environment = Environment {
        variables: [("V".to_owned(), "hush-hush".to_owned()), ("HOME".to_owned(), "/h".to_owned())].into(),
        directory: "/etc".into(),
        now: Timestamp(0),
    };
    let parse = |url: &str| Config::parse(&format!("[server.a]\nurl = '{url}'\n"), "test.toml", &environment);
    for (url, shown) in [
        ("https://a.example/mcp", "https://a.example/mcp"),
        ("https://a.example:8443/x/mcp?key=literal-secret", "https://a.example:8443/x/mcp"),
        ("https://a.example?key=${V}", "https://a.example/"),
        ("https://a.example/s/${V}/mcp", "https://a.example/s/…/mcp"),
        ("http://127.0.0.1:1/mcp", "http://127.0.0.1:1/mcp"),
    ] {
        let config = parse(url).unwrap().0;
        let bartizan_config::Upstream::Http(http) = &config.servers["a"].upstream else { panic!("{url}") };
        assert_eq!(http.shown, shown, "{url}");
        assert!(format!("{http:?}").contains(shown), "{http:?}");
    }
    // What is wrong with one is said beside as much of it.
    for (url, shown) in [
        ("http://a.example/mcp?key=literal-secret", "'http://a.example/mcp…'"),
        ("ftp://a.example/mcp#literal-secret", "'ftp://a.example/mcp…'"),
        ("http://a.example/mcp", "'http://a.example/mcp'"),
        ("https://me:literal-secret@a.example/mcp", "url = …"),
    ] {
        let found = parse(url).unwrap_err();
        let text = format!("{found} {found:?}");
        assert!(text.contains(shown) && !text.contains("literal-secret") && !text.contains("key="), "{text}");
    }
}
