//! What servers are shown: read as it is meant, refused where it means nothing, and shown nowhere.
#![cfg(test)]

use bartizan_config::{Config, Credential, Environment, OauthClient, Upstream};
use bartizan_guard::Timestamp;

/// The credential of a server with these lines, or what is wrong with them.
fn read(lines: &str) -> Result<(Option<Credential>, String), String> {
    let environment = Environment {
        variables: [("TOKEN".to_owned(), "hush-variable".to_owned()), ("HOME".to_owned(), "/h".to_owned())].into(),
        directory: "/etc".into(),
        now: Timestamp(0),
    };
    let text = format!("[server.a]\nurl = 'https://a.example/mcp'\n{lines}\n");
    match Config::parse(&text, "test.toml", &environment) {
        Ok((config, _)) => match &config.servers["a"].upstream {
            Upstream::Http(http) => Ok((http.credential.clone(), format!("{config:?}"))),
            Upstream::Command(_) => panic!("{lines}"),
        },
        Err(found) => Err(format!("{found} {found:?}")),
    }
}

#[test]
fn what_is_meant() {
    let bearer = |lines: &str| match read(lines).unwrap().0 {
        Some(Credential::Bearer(token)) => token.expose().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(bearer("auth = { bearer = 'hush' }"), "hush");
    assert_eq!(bearer("[server.a.auth]\nbearer = '${TOKEN}'"), "hush-variable");
    assert!(read("").unwrap().0.is_none());
    let oauth = |lines: &str| match read(lines).unwrap().0 {
        Some(Credential::Oauth(oauth)) => oauth,
        other => panic!("{other:?}"),
    };
    let plain = oauth("auth.oauth = {}");
    assert!(plain.issuer.is_none() && plain.client == OauthClient::Unknown && !plain.shared && plain.scopes.is_empty());
    let more = "auth.oauth = { issuer = 'https://i.example', client_id = 'c', client_secret = '${TOKEN}', shared = true, scopes = ['a', 'b:c'] }";
    let more = oauth(more);
    assert!(
        matches!(&more.client, OauthClient::Known(id, Some(secret)) if id == "c" && secret.expose() == "hush-variable")
    );
    assert!(more.shared && more.issuer.as_deref() == Some("https://i.example") && more.scopes == ["a", "b:c"]);
    let exchange = "auth.exchange = { issuer = 'corp', client_id = 'c', client_secret = '${TOKEN}', audience = 'a', scopes = ['r'] }";
    let exchange = match read(&format!("{exchange}\n[auth.oauth.corp]\nissuer = 'https://i.example'")).unwrap() {
        (Some(Credential::Exchange(exchange)), shown) if !shown.contains("hush") => exchange,
        other => panic!("{other:?}"),
    };
    assert_eq!((&*exchange.issuer, &*exchange.client_id, exchange.audience.as_deref()), ("corp", "c", Some("a")));
    assert!(
        exchange.client_secret.expose() == "hush-variable" && exchange.resource.is_none() && exchange.scopes == ["r"]
    );
    let described = oauth("auth.oauth = { client_metadata_url = 'https://me.example/client.json' }");
    assert_eq!(described.client, OauthClient::Described("https://me.example/client.json".to_owned()));
}

#[test]
fn a_file_with_a_token_is_there_and_holds_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let lines = format!("auth = {{ bearer_file = '{}' }}", path.display());
    assert!(read(&lines).unwrap_err().contains("cannot read"));
    for (content, good) in [("hush\n", true), ("two words", false), ("", false)] {
        std::fs::write(&path, content).unwrap();
        assert_eq!(read(&lines).is_ok(), good, "{content}");
        assert!(!format!("{:?}", read(&lines)).contains("hush"));
    }
}

#[test]
fn what_means_nothing_is_said_without_what_is_secret() {
    for (lines, why) in [
        ("auth = {}", "one of `bearer`, `bearer_file`, `oauth` and `exchange`"),
        ("auth = { bearer = 'hush', oauth = {} }", "one of `bearer`, `bearer_file`, `oauth` and `exchange`"),
        ("auth.oauth = {}\nauth.exchange = {}", "one of `bearer`, `bearer_file`, `oauth` and `exchange`"),
        ("auth.exchange = {}", "`exchange` needs `issuer`"),
        ("auth.exchange = { issuer = 'corp', client_id = 'c' }", "`exchange` needs `client_secret`"),
        (
            "auth.exchange = { issuer = 'corp', client_id = 'c', client_secret = '' }",
            "`exchange` needs `client_secret`",
        ),
        (
            "auth.exchange = { issuer = 'corp', client_id = 'c', client_secret = 'hush' }",
            "there is no [auth.oauth.corp]",
        ),
        (
            "auth.exchange = { issuer = 'corp', client_id = 'c', client_secret = 'hush', token_endpoint = 'http://i.example' }",
            "not an https URL",
        ),
        (
            "auth.exchange = { issuer = 'corp', client_id = 'c', client_secret = 'hush', resource = 'ftp://i.example' }",
            "not an https URL",
        ),
        (
            "auth.exchange = { issuer = 'corp', client_id = 'c', client_secret = 'hush', audience = ' ' }",
            "is not empty",
        ),
        ("auth.exchange = { issuer = 'corp', client_id = 'c', client_secret = 'hush', scopes = ['a b'] }", "no scope"),
        ("auth = 'hush'", "auth"),
        ("auth = { bearer = 'hush hush' }", "no spaces"),
        ("auth = { bearer = '' }", "visible ASCII"),
        ("auth = { berer = 'hush' }", "unknown key `berer`"),
        ("auth = { bearer = 'hush' }\nheaders = { authorization = 'hush' }", "is written by `auth`"),
        ("auth.oauth = { issuer = 'http://i.example' }", "not an https URL"),
        ("auth.oauth = { issuer = 'https://me:hush@i.example' }", "not an https URL"),
        ("auth.oauth = { client_secret = 'hush' }", "is of a `client_id`"),
        ("auth.oauth = { client_id = 'c', client_secret = 'hush' }", "is for one `issuer`"),
        ("auth.oauth = { client_id = 'c', client_metadata_url = 'https://m.example' }", "two names for one client"),
        ("auth.oauth = { scopes = ['a b'] }", "no scope"),
    ] {
        let said = read(lines).unwrap_err();
        assert!(said.contains(why), "{lines}: {said}");
        assert!(!said.contains("hush"), "{lines}: {said}");
    }
    for lines in [
        "auth = { bearer = 'hush' }",
        "auth.oauth = { issuer = 'https://i.example', client_id = 'c', client_secret = 'hush' }",
    ] {
        assert!(!read(lines).unwrap().1.contains("hush"), "{lines}");
    }
}
