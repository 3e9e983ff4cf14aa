//! A program without TLS serves nothing unencrypted that should not be.
#![cfg(test)]
#![cfg(not(feature = "tls"))]

use bartizan_config::{Config, Environment};
use bartizan_guard::Timestamp;

#[test]
fn a_certificate_is_refused_before_anything_starts() {
    let variables = [("HOME".to_owned(), "/home/user".to_owned())].into();
    let environment = Environment { variables, directory: "/etc/bartizan".into(), now: Timestamp(0) };
    for (text, line, column) in [
        ("[listen.tls]\ncertificate = 'chain.pem'\nkey = 'key.pem'\n", 1, 9),
        ("[admin]\ntls = { certificate = 'chain.pem', key = 'key.pem' }\n", 2, 1),
    ] {
        let found = Config::parse(text, "test.toml", &environment).unwrap_err();
        let [found] = &*found.0 else { panic!("{found:?}") };
        assert!(found.message.contains("built without TLS"), "{found}");
        assert_eq!((found.line, found.column), (line, column), "{found}");
    }
    Config::parse("[listen]\naddress = '127.0.0.1:0'\n", "test.toml", &environment).unwrap();
}
