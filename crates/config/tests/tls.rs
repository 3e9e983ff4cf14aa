//! Certificates: what is wrong with them is found at its place, before anything starts.
#![cfg(test)]
#![cfg(feature = "tls")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use bartizan_config::{CertificateName, Config, Diagnostic, Environment, Tls, TlsVersion, Upstream};
use bartizan_guard::Timestamp;

/// Problems as `line:column message | help`, in a directory with these files; and what is configured if there are no errors.
fn read(text: &str) -> (Vec<String>, Option<Config>) {
    let directory = tempfile::tempdir().unwrap();
    let files = [
        ("chain.pem", "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n", 0o644),
        ("key.pem", "-----BEGIN EC PRIVATE KEY-----\nA\n-----END EC PRIVATE KEY-----\n", 0o600),
        ("ca.pem", "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n", 0o644),
        ("open.pem", "-----BEGIN PRIVATE KEY-----\nA\n-----END PRIVATE KEY-----\n", 0o640),
    ];
    for (name, content, mode) in files {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let environment = Environment {
        variables: [("HOME".to_owned(), "/home/user".to_owned())].into(),
        directory: directory.path().to_owned(),
        now: Timestamp(1_800_000_000_000_000),
    };
    let line = |d: &Diagnostic| {
        let said = format!("{}:{} {} | {}", d.line, d.column, d.message, d.help.as_deref().unwrap_or_default());
        said.replace(&format!("{}/", directory.path().display()), "")
    };
    match Config::parse(text, "test.toml", &environment) {
        Ok((config, warnings)) => (warnings.iter().map(line).collect(), Some(config)),
        Err(found) => (found.0.iter().map(line).collect(), None),
    }
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let (found, _) = read(text);
    assert_eq!(found.len(), expected.len(), "in:\n{text}\nfound: {found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "in:\n{text}\nfound {found}\nbut not {expected}");
    }
}

const GOOD: &str = "certificate = 'chain.pem'\nkey = 'key.pem'\n";

#[test]
fn what_is_wrong() {
    check("[listen.tls]\nkey = 'key.pem'\n", &["1:9 [listen.tls] needs `certificate` | "]);
    check("[admin.tls]\ncertificate = 'chain.pem'\n", &["1:8 [admin.tls] needs `key` | "]);
    check("[listen.tls]\ncertificate = 5\nkey = 'key.pem'\n", &["2:15 "]);
    check(&format!("[listen.tls]\n{GOOD}cert = 1\n"), &["4:1 unknown key `cert` | "]);
    check(&format!("[listen.tls]\n{GOOD}minimum = '1.1'\n"), &["4:11 unknown value `1.1` | "]);
    check("[listen.tls]\ncertificate = 'none.pem'\nkey = 'key.pem'\n", &["2:15 cannot read none.pem: No such file"]);
    check(
        "[listen.tls]\ncertificate = 'key.pem'\nkey = 'chain.pem'\n",
        &["2:15 there is no certificate in key.pem | as PEM", "3:7 there is no private key in chain.pem | as PEM"],
    );
    check("[listen.tls]\ncertificate = 'chain.pem'\nkey = '.'\n", &["3:7 cannot read"]);
    check(
        "[listen.tls]\ncertificate = 'chain.pem'\nkey = 'open.pem'\n",
        &["3:7 open.pem holds a secret and is open to other users | chmod 600 open.pem"],
    );
}

#[test]
fn what_is_wrong_with_certificates_of_clients() {
    let tls = format!("[listen.tls]\n{GOOD}");
    for (rest, expected) in [
        ("client_ca = 'ca.pem'\n", "4:1 `client_ca` means nothing alone | client_certificate"),
        ("client_certificate = 'required'\n", "4:1 `client_certificate` means nothing alone | client_ca"),
        ("client_ca = 'none.pem'\nclient_certificate = 'required'\n", "4:13 cannot read none.pem"),
        ("client_ca = 'key.pem'\nclient_certificate = 'required'\n", "4:13 there is no certificate in key.pem"),
        ("client_ca = 'ca.pem'\nclient_certificate = 'on'\n", "5:22 unknown value `on`"),
        ("[auth.certificate]\nprincipal = 'san'\n", "5:13 unknown value `san`"),
        ("[auth.certificate]\nprefix = 'x'\n", "5:1 unknown key `prefix`"),
    ] {
        check(&format!("{tls}{rest}"), &[expected]);
    }
}

#[test]
fn the_way_to_one_server() {
    let server = |url: &str, rest: &str| format!("[server.x]\nurl = '{url}'\n[server.x.tls]\n{rest}");
    let secure = "https://x.example/mcp";
    for (text, expected) in [
        (server(secure, "certificate = 'chain.pem'\n"), "3:11 [server.x.tls] needs `key` | "),
        (server(secure, "key = 'key.pem'\n"), "3:11 [server.x.tls] needs `certificate` | "),
        (server(secure, "ca = 'key.pem'\n"), "4:6 there is no certificate in key.pem"),
        (server(secure, "ca = 'none.pem'\n"), "4:6 cannot read none.pem"),
        (server(secure, "certificate = 'chain.pem'\nkey = 'open.pem'\n"), "5:7 open.pem holds a secret"),
        (server("http://127.0.0.1/mcp", "ca = 'ca.pem'\n"), "3:11 `tls` is for servers with an https:// URL"),
        ("[server.x]\ncommand = ['y']\ntls = { ca = 'ca.pem' }\n".to_owned(), "3:1 `tls` is for servers with a `url`"),
    ] {
        check(&text, &[expected]);
    }
    let (warnings, config) = read(&server(secure, "certificate = 'chain.pem'\nkey = 'key.pem'\nca = 'ca.pem'\n"));
    assert!(warnings.is_empty(), "{warnings:?}");
    let Upstream::Http(http) = &config.unwrap().servers["x"].upstream else { panic!("no URL") };
    let tls = http.tls.as_ref().unwrap();
    assert!(tls.ca.as_ref().unwrap().ends_with("ca.pem"));
    let (certificate, key) = tls.identity.as_ref().unwrap();
    assert!(certificate.ends_with("chain.pem") && key.ends_with("key.pem"));
}

#[test]
fn certificates_of_clients() {
    let clients = |rest: &str| {
        let text = format!("[listen.tls]\n{GOOD}client_ca = 'ca.pem'\nclient_certificate = {rest}");
        read(&text).1.unwrap().listen.tls.unwrap().clients.unwrap()
    };
    let required = clients("'required'\n");
    assert!(required.required && required.ca.ends_with("ca.pem"));
    assert_eq!(required.name, CertificateName::SanUri);
    let optional = clients("'optional'\n[auth.certificate]\nprincipal = 'subject_cn'\n");
    assert_eq!((optional.required, optional.name), (false, CertificateName::SubjectCn));
}

#[test]
fn what_is_right() {
    let (warnings, config) = read(&format!("[listen.tls]\n{GOOD}[admin.tls]\n{GOOD}minimum = '1.2'\n"));
    assert_eq!(warnings, [""; 0]);
    let config = config.unwrap();
    let Tls { certificate, key, minimum, clients } = config.listen.tls.unwrap();
    assert!(certificate.is_absolute() && certificate.ends_with("chain.pem") && key.ends_with("key.pem"));
    assert_eq!((minimum, clients), (TlsVersion::V13, None));
    assert_eq!(config.admin.unwrap().tls.unwrap().minimum, TlsVersion::V12);
    assert_eq!(read("").1.unwrap().listen.tls, None);
}

/// Other machines may come in without more words only if they show a key and nobody else sees it.
#[test]
fn other_machines() {
    let other = "address = '0.0.0.0:8484'\n";
    let named = format!("{other}allowed_hosts = ['mcp.example.com']\n");
    let tls = format!("[listen.tls]\n{GOOD}");
    let key = "[auth]\nrequired = true\n";
    let open = "2:11 other machines can reach 0.0.0.0:8484, and clients need not sign in";
    let unencrypted = "2:11 other machines can reach 0.0.0.0:8484, and what clients send travels unencrypted";
    for (rest, expected) in [
        (String::new(), Some(open)),
        (tls.clone(), Some(open)),
        (key.to_owned(), Some(unencrypted)),
        (format!("{tls}{key}"), None),
    ] {
        check(&format!("[listen]\n{named}{rest}"), expected.as_slice());
        let free = "2:11 whoever reaches 0.0.0.0:8484 may use every server without signing in";
        let free = (expected == Some(open)).then_some(free);
        check(&format!("[listen]\n{named}allow_remote = true\n{rest}"), free.as_slice());
    }
    let certificates = |wanted| format!("{tls}client_ca = 'ca.pem'\nclient_certificate = '{wanted}'\n");
    check(&format!("[listen]\n{named}{}", certificates("required")), &[]);
    check(&format!("[listen]\n{named}{}", certificates("optional")), &[open]);
    // An address that stands for all of them has no name by itself.
    let unnamed = "2:11 nothing says what clients call it";
    check(&format!("[listen]\n{other}{tls}{key}"), &[unnamed]);
    check(&format!("[listen]\naddress = '[::]:8484'\n{tls}{key}"), &[unnamed]);
    check(&format!("[listen]\n{other}public_url = 'https://mcp.example.com'\n{tls}{key}"), &[]);
    check(&format!("[listen]\naddress = '192.0.2.1:8484'\n{tls}{key}"), &[]);
    check(&format!("[admin]\n{other}{}", certificates("required").replace("listen", "admin")), &[]);
    let metrics = ["2:11 other machines can reach 0.0.0.0:8484, and whoever reaches it sees metrics"];
    check(&format!("[admin]\n{other}[admin.tls]\n{GOOD}"), &metrics);
}
