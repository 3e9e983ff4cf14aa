//! Who issues access tokens: read as it is meant, and refused where nobody could be relied upon.
#![cfg(test)]
#![cfg(feature = "tls")]

use bartizan_config::{Config, Environment, Issuer};
use bartizan_guard::Timestamp;

/// The issuers of a file with these lines, or what is wrong with them.
fn read(lines: &str, directory: &std::path::Path) -> Result<Vec<Issuer>, String> {
    let environment = Environment {
        variables: [("HOME".to_owned(), "/h".to_owned())].into(),
        directory: directory.to_owned(),
        now: Timestamp(0),
    };
    let text = format!("[server.a]\nurl = 'https://a.example/mcp'\n{lines}\n");
    Config::parse(&text, "test.toml", &environment)
        .map(|(config, _)| config.auth.issuers)
        .map_err(|found| found.to_string())
}

/// A directory with an authority, and with something that is none.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let authority = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
    std::fs::write(directory.path().join("ca.pem"), authority).unwrap();
    std::fs::write(directory.path().join("other.pem"), "nothing of the kind").unwrap();
    directory
}

#[test]
fn what_is_meant() {
    let directory = directory();
    let one = |lines: &str| {
        let mut issuers =
            read(&format!("[auth.oauth.corp]\nissuer = 'https://i.example'\n{lines}"), directory.path()).unwrap();
        issuers.pop().unwrap()
    };
    assert_eq!(one("").tls, None);
    assert_eq!(one("ca = 'ca.pem'").tls.unwrap().ca, Some(directory.path().join("ca.pem")));
    assert!(one("").acr_values.is_empty());
    assert_eq!(one("acr_values = ['a', 'urn:b']").acr_values, ["a", "urn:b"]);
    let local = read("[auth.oauth.here]\nissuer = 'http://127.0.0.1:9'", directory.path()).unwrap();
    assert_eq!(local.len(), 1);
}

#[test]
fn what_means_nothing_or_is_nobodys_word_is_refused() {
    let directory = directory();
    let https = "issuer = 'https://i.example'\n";
    for (lines, why) in [
        (String::new(), "needs `issuer`"),
        ("issuer = 'http://i.example'".to_owned(), "could say what they like"),
        ("issuer = 'http://127.0.0.1:9'\nca = 'ca.pem'".to_owned(), "shows no certificate"),
        (format!("{https}ca = 'none.pem'"), "cannot read"),
        (format!("{https}ca = 'other.pem'"), "there is no certificate in"),
        (format!("{https}jwks_uri = 'http://i.example/jwks'"), "could say what they like"),
        (format!("{https}audience = ['']"), "no audience"),
        (format!("{https}acr_values = ['a b']"), "not a value of `acr`"),
        (format!("{https}acr_values = ['\"']"), "not a value of `acr`"),
        (format!("{https}acr_values = ['']"), "not a value of `acr`"),
        (format!("{https}leeway = '1h'"), "`leeway` is 300 seconds at most"),
        (format!("{https}keys_refresh = '2h'\nkeys_keep = '1h'"), "less long than until"),
        (format!("{https}scopes = {{ a = ['tool:x'] }}"), "tool:x"),
        (format!("{https}claims = {{ groups = '' }}"), "no claim"),
        (format!("{https}introspection = {{ url = 'https://i.example/ask' }}"), "needs `client_id`"),
    ] {
        let said = read(&format!("[auth.oauth.corp]\n{lines}"), directory.path()).unwrap_err();
        assert!(said.contains(why), "{lines}: {said}");
    }
    for name in ["uid", "cert", "Corp"] {
        let said = read(&format!("[auth.oauth.{name}]\n{https}"), directory.path()).unwrap_err();
        assert!(said.contains("is no name for an issuer"), "{name}: {said}");
    }
    let twice = format!("[auth.oauth.a]\n{https}[auth.oauth.b]\n{https}");
    assert!(read(&twice, directory.path()).unwrap_err().contains("has the same issuer"));
}
