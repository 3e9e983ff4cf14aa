//! What a confined program may reach, and its secrets: what is right is read as it is meant, and what is wrong is said at its place.
#![cfg(test)]
#![cfg(feature = "tls")]

use bartizan_config::{Config, Environment, NetLimits, Sandbox, Severity, Upstream};
use bartizan_guard::Timestamp;
use bartizan_reach::host::Target;

const VALUE: &str = "hush-hush-0123456789";

fn environment() -> Environment {
    let variables = [
        ("HOME", "/home/user"),
        ("RANDOM", "q7Zr2LxT9vBn4KsW8mYd"),
        ("TOKEN", VALUE),
        ("EMPTY", ""),
        ("LINES", "a\nb"),
    ];
    Environment {
        variables: variables.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        directory: "/etc/bartizan".into(),
        now: Timestamp(1_800_000_000_000_000),
    }
}

fn whole(table: &str, server: &str) -> String {
    format!("[server.a]\ncommand = ['true']\n{server}\n[server.a.sandbox]\n{table}\n")
}

fn sandbox(table: &str) -> (Sandbox, Vec<String>) {
    let (mut config, warnings) = Config::parse(&whole(table, ""), "test.toml", &environment()).unwrap();
    let Some(Upstream::Command(command)) = config.servers.remove("a").map(|server| server.upstream) else { panic!() };
    let warnings = warnings.into_iter().filter(|one| one.severity == Severity::Warning).map(|one| one.message);
    (*command.sandbox, warnings.collect())
}

/// All that is said of a table, errors and warnings, which show no secret.
fn said(table: &str, server: &str) -> Vec<String> {
    let found = match Config::parse(&whole(table, server), "test.toml", &environment()) {
        Ok((config, warnings)) => {
            assert!(!format!("{config:?}").contains(VALUE));
            warnings
        }
        Err(found) => found.0,
    };
    let shown = format!("{found:?} {}", found.iter().map(ToString::to_string).collect::<String>());
    assert!(!shown.contains(VALUE) && !shown.contains("0123456789"), "{table}: {shown}");
    found.into_iter().map(|one| format!("{}:{} {}", one.line, one.column, one.message)).collect()
}

#[test]
fn requests_are_allowed_as_the_tables_say() {
    let (sandbox, warnings) = sandbox(
        "net.allow = ['open.example:443', { host = 'api.example:443', methods = ['GET', 'HEAD'], paths = ['/repos/acme', '/search/'] },\n\
         { host = 'api.example:443', methods = ['POST'], paths = ['/repos/acme/app/issues'] }, { host = 'read.example:443', methods = ['GET'] },\n\
         { host = 'one.example:443', paths = ['/x'] }, { host = 'all.example:443' }]",
    );
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(sandbox.hosts[1].to_string(), "api.example:443 (GET, HEAD /repos/acme, /search/)");
    let policy = sandbox.policy().unwrap();
    for (host, method, path, allowed) in [
        ("open.example:443", "DELETE", "/", true),
        ("all.example:443", "DELETE", "/", true),
        ("api.example:443", "GET", "/repos/acme", true),
        ("api.example:443", "HEAD", "/search/code", true),
        ("api.example:443", "POST", "/repos/acme/app/issues/1/comments", true),
        ("api.example:443", "POST", "/repos/acme", false),
        ("api.example:443", "GET", "/repos/acme-other", false),
        ("api.example:443", "GET", "/", false),
        ("read.example:443", "GET", "/anything", true),
        ("read.example:443", "PUT", "/anything", false),
        ("one.example:443", "PUT", "/x/y", true),
        ("one.example:443", "GET", "/y", false),
    ] {
        let permit = policy.permit(&Target::parse(host, None).unwrap()).unwrap();
        assert_eq!(permit.request(&method.parse().unwrap(), path).is_ok(), allowed, "{method} {host}{path}");
    }
    assert!(policy.permit(&Target::parse("other.example:443", None).unwrap()).is_none());
    assert!(policy.permit(&Target::parse("open.example:80", None).unwrap()).is_none());
}

#[test]
fn limits_are_those_of_the_table() {
    let (held, _) = sandbox("net.allow = ['a.example:443']");
    assert_eq!(held.net_limits, NetLimits::default());
    assert_eq!(*held.policy().unwrap().limits(), bartizan_reach::Limits::default());
    let (held, _) = sandbox(
        "net.allow = ['a.example:443']\nnet.limits = { connections = 2, connections_per_minute = 3, sent = '4KiB', received = 5, sent_in_all = '6kB', received_in_all = '7MiB' }",
    );
    let limits = *held.policy().unwrap().limits();
    assert_eq!((limits.connections, limits.connections_per_minute), (2, 3));
    assert_eq!(
        (limits.sent.each, limits.sent.all, limits.received.each, limits.received.all),
        (4096, 6000, 5, 7 << 20)
    );
}

#[test]
fn secrets_are_bound_or_exposed() {
    let (held, warnings) = sandbox(
        "net.allow = ['a.example:443', '*.b.example:443']\n\
         secrets.ONE = { value = '${TOKEN}', host = 'a.example' }\n\
         secrets.TWO = { value = 'Bearer ${TOKEN}', host = ['A.example.', 'x.b.example'], header = ['x-key', 'Cookie'] }\n\
         secrets.OUT = { value = '${TOKEN}', expose = 'env' }",
    );
    let [one, two] = &held.secrets[..] else { panic!("{:?}", held.secrets) };
    assert_eq!((&*one.name, one.value.expose(), &one.headers[..]), ("ONE", VALUE, &["authorization".to_owned()][..]));
    assert_eq!((two.hosts.len(), two.headers.len()), (2, 2));
    assert_eq!(held.exposed.keys().collect::<Vec<_>>(), ["OUT"]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("`OUT` itself") && !format!("{held:?}").contains(VALUE), "{warnings:?}");
}

#[test]
fn what_is_wrong_is_said_at_its_place() {
    let allow = "net.allow = ['a.example:443']";
    for (table, expected) in [
        ("net.allow = ['a.example']", "5:14 `a.example`: "),
        ("net.allow = [{ host = 'a.example' }]", "5:23 `a.example`: "),
        ("net.allow = [{ methods = ['GET'] }]", "5:14 `host` is missing"),
        ("net.allow = [{ host = 'a.example:443', method = 'GET' }]", "5:40 unknown key `method`"),
        ("net.allow = [1]", "5:14 expected a host and a port"),
        ("net.allow = [{ host = 'a.example:443', methods = ['get'] }]", "5:51 `get`: no method"),
        ("net.allow = [{ host = 'a.example:443', methods = ['CONNECT'] }]", "5:51 `CONNECT`: this method is never"),
        ("net.allow = [{ host = 'a.example:443', paths = ['x'] }]", "5:49 `x`: a path begins with a slash"),
        ("net.allow = [{ host = 'a.example:443', paths = ['/a/../b'] }]", "5:49 `/a/../b`: a path begins"),
        ("net.allow = [{ host = 'a.example:443', paths = [] }]", "5:48 `paths` names none"),
        ("net.allow = [{ host = 'a.example:443', methods = [] }]", "5:50 `methods` names none"),
        (
            "net.allow = ['A.example.:443', { host = 'a.example:443', paths = ['/x'] }]",
            "5:32 another entry allows every request",
        ),
        ("net = { allow = ['a.example:443'], limits = { sent = 0 } }", "5:54 `sent` is nothing"),
        ("net = { allow = ['a.example:443'], limits = { connections = 0 } }", "5:61 `connections` is nothing"),
        ("net = { host = true, limits = { sent = 1 } }", "5:31 nothing limits"),
        (
            &format!("{allow}\nsecrets.T = {{ value = '${{TOKEN}}', host = 'b.example' }}"),
            "6:42 `T` is for `b.example`",
        ),
        (&format!("{allow}\nsecrets.T = {{ value = '${{TOKEN}}', host = 'a.example:443' }}"), "6:42 `a.example:443`: "),
        (&format!("{allow}\nsecrets.T = {{ value = '${{TOKEN}}', host = '*.example' }}"), "6:42 `*.example`: "),
        (
            &format!("{allow}\nsecrets.T = {{ value = '${{TOKEN}}', host = 'a.example', header = 'host' }}"),
            "6:64 no secret is put",
        ),
        (
            &format!("{allow}\nsecrets.T = {{ value = '${{TOKEN}}', host = 'a.example', header = 'a b' }}"),
            "6:64 `a b` is no name",
        ),
        (&format!("{allow}\nsecrets.T = {{ value = '${{TOKEN}}' }}"), "6:13 nothing says which host"),
        (&format!("{allow}\nsecrets.T = {{ host = 'a.example' }}"), "6:13 the secret `T` has no value"),
        (
            &format!("{allow}\nsecrets.T = {{ value = '${{EMPTY}}', host = 'a.example' }}"),
            "6:23 the secret `T` has no value",
        ),
        (
            &format!("{allow}\nsecrets.T = {{ value = '${{LINES}}', host = 'a.example' }}"),
            "6:23 the value of `T` is too long",
        ),
        (
            &format!("{allow}\nsecrets.T = {{ value = '${{TOKEN}}', host = 'a.example', expose = 'env' }}"),
            "6:64 `T` is given to the program",
        ),
        (
            &format!("{allow}\nsecrets.T = {{ value = '${{TOKEN}}', header = 'x', expose = 'env' }}"),
            "6:44 `T` is given to the program",
        ),
        (&format!("{allow}\nsecrets.T = {{ value = '${{TOKEN}}', expose = 'file' }}"), "6:44 unknown value `file`"),
        (&format!("{allow}\nsecrets.T = '{VALUE}'"), "6:13 expected a table"),
        (&format!("{allow}\nsecrets = '{VALUE}'"), "6:11 expected a table"),
        (&format!("{allow}\nsecrets.T = {{ value = '${{TOKEN}}', token = '{VALUE}' }}"), "6:35 unknown key `token`"),
        (&format!("{allow}\nsecrets.PATH = {{ value = '${{TOKEN}}', host = 'a.example' }}"), "6:16 `PATH` cannot be"),
        (
            &format!("{allow}\nsecrets.HTTPS_PROXY = {{ value = '${{TOKEN}}', expose = 'env' }}"),
            "6:23 `HTTPS_PROXY` cannot be",
        ),
        (
            &format!("{allow}\nsecrets.T = {{ value = '{VALUE}', host = 'a.example' }}"),
            "6:23 a secret stands in the file itself",
        ),
    ] {
        let found = said(table, "");
        assert!(found.iter().any(|one| one.starts_with(expected)), "{table}\nfound: {found:#?}\nexpected: {expected}");
    }
}

#[test]
fn a_variable_has_one_value_and_a_secret_in_it_is_warned_of() {
    let table = "net.allow = ['a.example:443']\nsecrets.T = { value = '${TOKEN}', host = 'a.example' }\nsecrets.E = { value = '${TOKEN}', expose = 'env' }";
    for (server, expected) in [
        ("env = { T = 'x' }", "`T` is in `env` as well"),
        ("pass_env = ['T']", "`T` is in `pass_env` as well"),
        ("env = { E = 'x' }", "`E` is in `env` as well"),
        ("env = { GITHUB_TOKEN = '${RANDOM}' }", "`GITHUB_TOKEN` looks like a secret"),
        ("env = { ANYTHING = 'glpat-q7Zr2LxT9vBn4KsW8mYd' }", "`ANYTHING` looks like a secret"),
        ("env = { DATABASE_URL = 'postgres://me:Zu6rt0Lq@db.example/x' }", "`DATABASE_URL` looks like a secret"),
    ] {
        let found = said(table, server);
        assert!(found.iter().any(|one| one.contains(expected)), "{server}: {found:#?}");
    }
    for server in ["", "env = { LOG_LEVEL = 'debug', TOKEN_FILE = '/x' }", "pass_env = ['HOME']"] {
        assert!(
            said(table, server).iter().all(|one| one.contains("`E` itself")),
            "{server}: {:#?}",
            said(table, server)
        );
    }
}
