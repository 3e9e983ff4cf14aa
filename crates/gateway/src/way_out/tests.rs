use super::*;
use bartizan_config::{Config, Environment, Upstream};
use bartizan_guard::Timestamp;
use bartizan_sandbox::Confinement;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;

const VALUE: &str = "the-value-of-a-secret";

/// The sandbox that this table describes.
fn sandbox(table: &str) -> Sandbox {
    let text = format!("[server.a]\ncommand = ['true']\n[server.a.sandbox]\n{table}\n");
    let variables = [("V".to_owned(), VALUE.to_owned()), ("HOME".to_owned(), "/home/user".to_owned())].into();
    let environment = Environment { variables, directory: "/etc".into(), now: Timestamp(0) };
    let mut config = Config::parse(&text, "test.toml", &environment).unwrap().0;
    let Some(Upstream::Command(command)) = config.servers.remove("a").map(|server| server.upstream) else { panic!() };
    *command.sandbox
}

const BOUND: &str = "net.allow = ['a.example:443']\nsecrets.TOKEN = { value = '${V}', host = 'a.example' }";

fn recorder(folder: &Path) -> Arc<Recorder> {
    Arc::new(Recorder::open(folder, &bartizan_audit::Options::default()).unwrap())
}

/// One start: the way out, what is started, and what its relay is told.
fn opened(way_out: &Arc<WayOut>) -> (Way, Launch, Relay) {
    let mut launch = Launch::new("true");
    launch.confinement = Some(Confinement::default());
    let way = way_out.open(&mut launch).unwrap();
    let Network::Relay(relay) = launch.confinement.as_ref().unwrap().network.clone() else { panic!("no relay") };
    (way, launch, relay)
}

/// What a proxy answers to somebody with this token.
async fn answer(relay: &Relay, token: &str) -> String {
    let (socket, said) = (relay.socket.clone(), format!("{token}\nCONNECT b.example:443 HTTP/1.1\r\n\r\n"));
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(socket)?;
        stream.write_all(said.as_bytes())?;
        let mut text = String::new();
        match stream.read_to_string(&mut text) {
            // Whoever closes before all was read says so, and nothing else.
            Err(error) if error.kind() != ErrorKind::ConnectionReset => Err(error),
            _ => Ok(text),
        }
    });
    asked.await.unwrap().unwrap_or_else(|error| error.kind().to_string())
}

fn token(relay: &Relay) -> String {
    relay.told.split(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn nothing_of_one_start_is_good_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let way_out = of("a", &sandbox(BOUND), &recorder(folder.path())).unwrap().unwrap();
    let (first, one, old) = opened(&way_out);
    let (_second, other, new) = opened(&way_out);
    for name in ["TOKEN", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"] {
        assert_ne!(one.env.get(name).unwrap(), other.env.get(name).unwrap(), "{name}");
    }
    let held = one.env.get("TOKEN").unwrap().to_str().unwrap();
    assert!(held.starts_with(bartizan_egress::PLACEHOLDER_PREFIX), "{held}");
    let authority = |launch: &Launch| std::fs::read_to_string(launch.env.get("NODE_EXTRA_CA_CERTS").unwrap()).unwrap();
    assert_ne!(authority(&one), authority(&other));
    let seen = &one.confinement.as_ref().unwrap().read_only;
    assert!(seen.iter().any(|path| path.as_os_str() == one.env.get("SSL_CERT_FILE").unwrap()));
    assert!(answer(&new, &token(&new)).await.contains("egress.not_allowed"), "the control");
    assert_eq!(answer(&new, &token(&old)).await, "", "the token of another start");
    drop(first);
    // The task that serves it is told to end, and does at its next turn.
    while old.socket.exists() {
        tokio::task::yield_now().await;
    }
    assert!(!old.socket.parent().unwrap().exists());
    assert_eq!(way_out.state().open.len(), 1);
    let shown = format!("{way_out:?} {one:?} {:?}", way_out.private().iter().map(|(name, _)| name).collect::<Vec<_>>());
    assert!(!shown.contains(VALUE) && !shown.contains(held), "{shown}");
}

#[tokio::test]
async fn what_runs_follows_every_configuration_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(folder.path());
    let made = |table: &str| of("a", &sandbox(table), &recorder).unwrap().unwrap();
    let first = made(BOUND);
    let (_way, ..) = opened(&first);
    let in_force = |way_out: &Arc<WayOut>| {
        let state = way_out.state();
        state.open.values().map(|open| (*open.egress.policy()).clone()).collect::<Vec<_>>()
    };
    let (second, third) = (made("net.allow = ['b.example:443']"), made("net.allow = ['c.example:443']"));
    first.follow(Some(&second));
    assert_eq!(in_force(&first), [sandbox("net.allow = ['b.example:443']").policy().unwrap()]);
    // Also what began before the one that is replaced.
    second.follow(Some(&third));
    assert_eq!(in_force(&first), [sandbox("net.allow = ['c.example:443']").policy().unwrap()]);
    assert!(first.state().secrets.is_empty());
    // And what is started of it later.
    let (_later, launch, _) = opened(&first);
    assert_eq!(launch.env.get("TOKEN"), None);
    assert!(in_force(&first).iter().all(|policy| *policy == third.state().policy));
    third.follow(None);
    assert_eq!(in_force(&first), [Policy::default(), Policy::default()]);
    drop((first, second));
    let fourth = made(BOUND);
    third.follow(Some(&fourth));
    // With the second nothing was started, so nobody keeps it.
    assert_eq!(fourth.state().before.iter().filter_map(Weak::upgrade).count(), 2);
}

#[tokio::test]
async fn a_program_is_handed_an_authority_only_where_tls_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(folder.path());
    for (table, ends) in [
        (BOUND, true),
        ("net.allow = [{ host = 'a.example:443', paths = ['/x'] }]", true),
        ("net.allow = ['a.example:443']", false),
    ] {
        let way_out = of("a", &sandbox(table), &recorder).unwrap().unwrap();
        let mut launch = Launch::new("true");
        launch.env = bartizan_sandbox::Environment::empty();
        launch.confinement = Some(Confinement::default());
        let _way = way_out.open(&mut launch).unwrap();
        assert_eq!(launch.env.get("GIT_SSL_CAINFO").is_some(), ends, "{table}");
        assert!(launch.env.get("HTTPS_PROXY").is_some());
    }
    assert!(of("a", &sandbox(""), &recorder).unwrap().is_none());
}
