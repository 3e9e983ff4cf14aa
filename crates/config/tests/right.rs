//! Good files: what they mean, and that the examples in the repository are among them.
#![cfg(test)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use bartizan_config::{Command, Config, Diagnostic, Environment, Http, Upstream};
use bartizan_guard::{Action, Direction, How, Mode, Timestamp};
use bartizan_mcp::PartKind;

fn environment() -> Environment {
    let variables = [("HOME", "/home/user"), ("TOKEN", "hush-hush"), ("TICKETS_TOKEN", "hush"), ("EMPTY", "")];
    Environment {
        variables: variables.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        directory: "/etc/bartizan".into(),
        now: Timestamp(1_800_000_000_000_000),
    }
}

/// One that has these programs, in a directory that is all of its `PATH`.
struct Machine {
    directory: tempfile::TempDir,
    environment: Environment,
}

impl Machine {
    fn with(programs: &[&str]) -> Machine {
        let directory = tempfile::tempdir().unwrap();
        for program in programs {
            let file = directory.path().join(program);
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        for (name, kind) in [("chain.pem", "CERTIFICATE"), ("ca.pem", "CERTIFICATE"), ("key.pem", "PRIVATE KEY")] {
            let file = directory.path().join(name);
            fs::write(&file, format!("-----BEGIN {kind}-----\nA\n-----END {kind}-----\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let mut environment = Environment { directory: directory.path().to_owned(), ..environment() };
        environment.variables.insert("PATH".to_owned(), directory.path().display().to_string());
        let home = directory.path().join("home");
        fs::create_dir(&home).unwrap();
        environment.variables.insert("HOME".to_owned(), home.display().to_string());
        Machine { directory, environment }
    }

    /// The warnings about this server, as `line message | help`.
    fn warnings(&self, server: &str) -> Vec<String> {
        let text = format!("[server.a]\n{server}");
        let (config, warnings) = Config::parse(&text, "test.toml", &self.environment).unwrap();
        assert_eq!(config.servers.len(), usize::from(!server.contains("enabled = false")));
        let line = |w: &Diagnostic| format!("{} {} | {}", w.line, w.message, w.help.as_deref().unwrap_or_default());
        warnings.iter().map(line).collect()
    }

    /// Each server, with how the only warning about it begins, if there is one.
    fn check(&self, all: impl IntoIterator<Item = (String, Option<&'static str>)>) {
        for (server, expected) in all {
            let found = self.warnings(&server);
            let fits = match expected {
                None => found.is_empty(),
                Some(start) => found.len() == 1 && found[0].starts_with(start),
            };
            assert!(fits, "{server}: {found:?}");
        }
    }
}

#[test]
fn what_this_machine_lacks_is_a_warning() {
    let machine = Machine::with(&["here", "plain"]);
    let place = machine.directory.path();
    fs::set_permissions(place.join("plain"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir(place.join("bin")).unwrap();
    fs::rename(place.join("here"), place.join("bin/here")).unwrap();
    fs::copy(place.join("bin/here"), place.join("here")).unwrap();
    let there = place.display();
    machine.check([
        ("command = ['here']".to_owned(), None),
        ("command = ['here']\ncwd = '.'\npass_env = ['HOME', 'PATH']".to_owned(), None),
        (format!("command = ['{there}/here']"), None),
        ("command = ['bin/here']\ncwd = '.'".to_owned(), None),
        ("command = ['./here']\ncwd = 'bin'".to_owned(), None),
        ("command = ['here']\nenv.PATH = 'bin'\ncwd = '.'".to_owned(), None),
        ("command = ['there']\nenabled = false".to_owned(), None),
        ("command = ['there']".to_owned(), Some("2 no directory of PATH has a program `there` | install it")),
        ("command = ['here']\nenv.PATH = '/nowhere'".to_owned(), Some("2 no directory of PATH has a program `here`")),
        (format!("command = ['{there}/there']"), Some("2 there is no program `")),
        ("command = ['./plain']\ncwd = '.'".to_owned(), Some("2 `./plain` is there but not executable | chmod +x")),
        ("command = ['plain']".to_owned(), Some("2 `")),
        ("command = ['bin']".to_owned(), Some("2 `")),
        ("command = ['./bin/here']\ncwd = 'bin'".to_owned(), Some("2 there is no program `./bin/here`")),
        ("command = ['here']\ncwd = 'none'".to_owned(), Some("3 there is no directory /")),
        ("command = ['here']\ncwd = 'plain'".to_owned(), Some("3 /")),
        (
            "command = ['here']\npass_env = ['HOME', 'NONE_SUCH']".to_owned(),
            Some("3 the environment variable `NONE_SUCH` is not set here | the program"),
        ),
        (
            "command = ['here']\npass_env = ['TOKNE']".to_owned(),
            Some("3 the environment variable `TOKNE` is not set here | did you mean `TOKEN`?"),
        ),
    ]);
}

#[test]
fn what_a_program_would_not_see_is_a_warning() {
    let machine = Machine::with(&["here"]);
    let there = machine.directory.path().display();
    fs::create_dir(machine.directory.path().join("bin")).unwrap();
    machine.check([
        (
            format!(
                "command = ['here', '{there}/bin', '/no/such/file.db', '--at={there}/bin']\nsandbox.fs.arguments = 'rw'"
            ),
            None,
        ),
        ("command = ['here', '/no/such']\nsandbox = {}".to_owned(), None),
        (format!("command = ['here', '{there}/bin']\nsandbox = {{}}"), Some("2 the program does not see /")),
        (format!("command = ['here', '{there}/bin']\nsandbox.fs.ro = ['{there}/bin']"), None),
        ("command = ['here', 'bin']".to_owned(), None),
        ("command = ['here', 'serve', 'none']\nsandbox.fs.arguments = 'rw'".to_owned(), None),
        ("command = ['here', 'serve', 'bin']\nsandbox = {}".to_owned(), None),
        (
            "command = ['here', 'serve', 'bin']\nsandbox.fs.arguments = 'rw'".to_owned(),
            Some("2 there is a directory bin, and the program does not see it | write `./bin`"),
        ),
        ("command = ['here', 'serve', './bin']\nsandbox.fs.arguments = 'rw'".to_owned(), None),
        (
            "command = ['here']\nsandbox.fs.ro = ['${HOME}']".to_owned(),
            Some("3 the program sees all of your home directory"),
        ),
        ("command = ['here']\nsandbox.fs.ro = ['/']".to_owned(), Some("3 the program sees the whole machine")),
        ("command = ['here']\nsandbox.fs.hide = ['${HOME}']".to_owned(), None),
        ("command = ['here', '/no/such']".to_owned(), Some("2 there is no /no/such, so")),
        ("command = ['here', '/no/such']\nsandbox.fs.arguments = 'rw'".to_owned(), Some("2 there is no /no/such, so")),
        (
            "command = ['here', '--at=/no/such']\nsandbox.fs.arguments = 'ro'".to_owned(),
            Some("2 there is no /no/such, so"),
        ),
        (
            "command = ['here']\nsandbox.profile = 'fetch'".to_owned(),
            Some("3 `a` reaches nothing, and the profile `fetch`"),
        ),
        (
            "command = ['here']\nsandbox = { profile = 'fetch', net = { host = true } }".to_owned(),
            Some("3 `a` reaches all that"),
        ),
        (
            "command = ['here']\nsandbox = { profile = 'fetch', net = { allow = ['a.example.com:443'] } }".to_owned(),
            None,
        ),
    ]);
}

#[test]
fn what_a_program_sees_under_another_name_is_no_warning() {
    let machine = Machine::with(&["here"]);
    let place = machine.directory.path();
    let there = place.display();
    fs::create_dir_all(place.join("data/ws")).unwrap();
    std::os::unix::fs::symlink(place.join("data"), place.join("link")).unwrap();
    let unseen = Some("3 the program does not see what `A` names");
    let given = |words: &str, arguments: &str, at: &str| {
        format!("command = ['here', {words}]\nenv.A = '{there}/{at}'\nsandbox.fs.arguments = '{arguments}'")
    };
    let named = |key: &str, path: &str, at: &str| {
        format!("command = ['here']\nsandbox.fs.{key} = ['{path}']\nenv.A = '{there}/{at}'")
    };
    machine.check([
        (given(&format!("'{there}/data'"), "rw", "data/memory.json"), None),
        (given(&format!("'{there}/data'"), "rw", "memory.json"), unseen),
        (given("'--verbose'", "rw", "data/memory.json"), unseen),
        (given(&format!("'{there}/data', '--config={there}/data/c.yaml'"), "rw", "data/memory.json"), None),
        (named("rw", &format!("{there}/link"), "data/memory.json"), None),
        (named("ro", &format!("{there}/data"), "link/memory.json"), None),
        (named("ro", &format!("{there}/data"), "data/ws/../memory.json"), None),
        (named("rw", "${workspace}/ws", "data/ws/memory.json"), None),
        (
            named("rw", "${workspace}/other", "data/ws/memory.json"),
            unseen.map(|_| "4 the program does not see what `A` names"),
        ),
    ]);
}

#[test]
fn what_is_fetched_at_each_start_is_a_warning() {
    Machine::with(&["bun", "env", "npm", "pnpx", "sh", "uv"]).check([
        ("command = ['env', '-u', 'FOO', 'npx', 'server']".to_owned(), Some("2 what `npx` fetches at each start")),
        ("command = ['env', '-i', 'A=b', 'sh', 'run.sh']".to_owned(), None),
        ("command = ['bun', 'x', 'server']".to_owned(), Some("2 what `bun x` fetches at each start")),
        ("command = ['bun', 'server.ts']".to_owned(), None),
        ("command = ['pnpx', 'server']".to_owned(), Some("2 what `pnpx` fetches at each start")),
        ("command = ['npm', '--prefix', '/opt', 'exec', 'server']".to_owned(), Some("2 what `npm exec` fetches")),
        ("command = ['uv', 'run', '--with', 'a', 'server']".to_owned(), Some("2 what `uv run --with` fetches")),
        ("command = ['sh', '-c', 'npx -y server']".to_owned(), Some("2 what `npx` fetches at each start")),
        ("command = ['sh', '-c', 'exec server']".to_owned(), None),
        ("command = ['env', 'A=b', 'npx', '-y', 'server']".to_owned(), Some("2 what `npx` fetches at each start")),
        ("command = ['npm', 'exec', 'server']".to_owned(), Some("2 what `npm exec` fetches at each start")),
        ("command = ['env', 'A=b', 'npm', '-y', 'exec', 'server']".to_owned(), Some("2 what `npm exec` fetches")),
        ("command = ['env', 'A=/opt/npx', 'uv', 'run', 'server', '--runner', '/usr/bin/npx']".to_owned(), None),
        (
            "command = ['npm', 'exec', 'server']\nsandbox = { profile = 'auto', net = { allow = ['npm.example.com:443'] } }".to_owned(),
            None,
        ),
        ("command = ['npm', 'start']".to_owned(), None),
        ("command = ['uv', 'run', 'server']".to_owned(), None),
        ("command = ['uv', 'tool', 'run', 'server']".to_owned(), Some("2 what `uv tool run` fetches")),
        ("command = ['npm', 'exec', 'server']\nsandbox.level = 'none'".to_owned(), None),
    ]);
}

#[track_caller]
fn load(text: &str) -> (Config, Vec<Diagnostic>) {
    Config::parse(text, "test.toml", &environment()).unwrap_or_else(|found| panic!("{found}"))
}

#[track_caller]
fn parse(text: &str) -> Config {
    let (config, warnings) = load(text);
    assert_eq!(warnings, [], "in:\n{text}");
    config
}

fn command(config: &Config, name: &str) -> Command {
    match &config.servers[name].upstream {
        Upstream::Command(command) => command.clone(),
        Upstream::Http(_) => panic!("{name} is a URL"),
    }
}

fn http(config: &Config, name: &str) -> Http {
    match &config.servers[name].upstream {
        Upstream::Http(http) => http.clone(),
        Upstream::Command(_) => panic!("{name} is a program"),
    }
}

#[test]
fn an_empty_file_is_safe() {
    let config = parse("");
    assert_eq!(config.settings.mode, Mode::Enforce);
    assert!(config.listen.address.ip().is_loopback());
    assert!(config.admin.unwrap().address.ip().is_loopback());
    assert_eq!(config.limits.message, bartizan_mcp::Limits::default());
    assert_eq!(config.lock, Path::new("/etc/bartizan/mcp.lock"));
    assert_eq!(config.audit.directory, Path::new("/home/user/.local/state/bartizan/audit"));
    assert!(config.servers.is_empty() && config.settings.guards.is_empty());
}

#[test]
fn values_mean_what_they_say() {
    let config = parse(
        "mode = 'observe'\nadmin = false\n[limits]\nmessage_bytes = '64KiB'\nrequest_timeout = '250ms'\n\
         [unknown]\nmethods = 'deny'\nfields = 'deny'\nextensions = 'pass'\n[audit]\ndirectory = './log'\nquotes = true\n[lock]\npath = '/x/mcp.lock'\n\
         [listen]\naddress = '0.0.0.0:1'\nallowed_hosts = ['mcp.example.com']\nallow_remote = true\n[auth]\nrequired = true\n",
    );
    assert_eq!(config.settings.mode, Mode::Observe);
    assert_eq!(config.admin, None);
    assert_eq!((config.limits.message.bytes, config.limits.request_timeout), (65_536, Duration::from_millis(250)));
    let rules = &config.settings.guards["conformance"].rules;
    let unknown = ["method", "field", "extension"].map(|what| rules[&format!("conformance.unknown_{what}")]);
    assert_eq!(unknown, [Action::Deny, Action::Deny, Action::Observe]);
    assert_eq!(config.audit.directory, Path::new("/etc/bartizan/log"));
    assert!(config.audit.quotes && !parse("").audit.quotes);
    assert_eq!(config.lock, Path::new("/x/mcp.lock"));
}

#[test]
fn guards() {
    let config = parse(
        "[guard.rate]\nper_tool = '60/min'\ntool_result = 'approve'\ncontent = 'observe'\nrules.tool = 'deny'\n\
         rules.\"rate.server\" = 'observe'\nhow = 'mask'\n[guard.rate.servers.x]\ntools.t = 'approve'\nrules.tool = 'observe'\n\
         [guard.schema]\nenabled = false\n",
    );
    let rate = &config.settings.guards["rate"];
    assert_eq!(rate.rules["rate.tool"], Action::Deny);
    assert_eq!(rate.rules["rate.server"], Action::Observe);
    assert_eq!(rate.parts[&PartKind::Content], Action::Observe);
    assert_eq!(rate.parts[&PartKind::StructuredContent], Action::Approve);
    assert_eq!(rate.parts[&PartKind::Error], Action::Approve);
    assert_eq!(rate.servers["x"].tools["t"], Action::Approve);
    assert_eq!(rate.servers["x"].rules["rate.tool"], Action::Observe);
    assert_eq!(config.rate.per_tool.unwrap().to_string(), "60/min");
    assert!(!config.settings.guards["schema"].enabled);
}

#[test]
fn texts_are_expanded() {
    let config = parse(
        "[server.a]\ncommand = ['a', '${workspace}', '--home=${HOME}', '$${HOME}', '${NONE:-x}', '${EMPTY:-y}', '${EMPTY}']\n\
         env = { T = 'Bearer ${TOKEN}' }\nsandbox = { level = 'none' }\n[server.b]\nurl = 'https://b.example/${NONE:-mcp}'\n",
    );
    let a = command(&config, "a");
    assert_eq!(a.arguments, ["${workspace}", "--home=/home/user", "${HOME}", "x", "y", ""]);
    assert_eq!(a.env["T"].expose(), "Bearer hush-hush");
    assert_eq!(http(&config, "b").url.path(), "/mcp");
}

#[test]
fn secrets_come_from_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    fs::write(&path, "  hush-hush\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let environment = Environment { directory: directory.path().to_owned(), ..environment() };
    let text = "[server.a]\nurl = 'https://a.example'\nheaders.Authorization = 'file:token'\n";
    let (config, warnings) = Config::parse(text, "test.toml", &environment).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(http(&config, "a").headers["Authorization"].expose(), "hush-hush");

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let (_, warnings) = Config::parse(text, "test.toml", &environment).unwrap();
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(warning.message.contains("open to other users") && warning.line == 3, "{warning}");
}

#[test]
fn what_does_nothing_is_a_warning() {
    let (config, warnings) = load(
        "[server.files]\nurl = 'https://a.example'\n[guard.rate.servers.file]\naction = 'observe'\n\
         [[exception]]\nrule = 'rate.tool'\nreason = 'x'\nexpires = 2020-01-01\nserver = 'flies'\n",
    );
    let shown: Vec<_> = warnings.iter().map(|w| format!("{}:{} {}", w.line, w.column, w.message)).collect();
    assert_eq!(
        shown,
        [
            "3:21 this file has no server `file`",
            "8:11 the exception for `rate.tool` has expired and does nothing",
            "9:10 this file has no server `flies`",
        ]
    );
    assert_eq!(config.settings.exceptions.len(), 1);
}

#[test]
fn where_people_sign_in_without_a_name_there_are_no_passkeys() {
    for (listen, expected) in [
        ("", Some(r#"`public_url` in [listen] to "http://localhost:8484""#)),
        ("address = '[::1]:9000'", Some(r#"to "http://localhost:9000""#)),
        ("public_url = 'https://192.0.2.7'", Some(r#"such as "https://gateway.example.com""#)),
        ("public_url = 'https://[2001:db8::7]:8443'", Some(r#"such as "https://gateway.example.com""#)),
        ("public_url = 'http://localhost:8484'", None),
        ("public_url = 'https://gateway.example.com'", None),
    ] {
        let text = format!("[listen]\n{listen}\n[auth]\nrequired = true\n[sign_in]\n[store]\npath = 'state.db'\n");
        let helps: Vec<_> =
            load(&text).1.into_iter().map(|w| w.message + " | " + &w.help.unwrap_or_default()).collect();
        assert_eq!(helps.len(), usize::from(expected.is_some()), "{listen}: {helps:?}");
        let says = |expected: &str| helps.iter().all(|help| help.contains("no passkeys") && help.contains(expected));
        assert!(expected.is_none_or(says), "{listen}: {helps:?}");
    }
    assert!(load("[listen]\naddress = '127.0.0.1:8484'\n").1.is_empty(), "nobody signs in");
}

#[test]
fn where_people_sign_in_whoever_shows_nothing_is_asked() {
    let issuer = "[auth.oauth.idp]\nissuer = 'https://login.example.com'\n";
    let listen = "[listen]\npublic_url = 'http://localhost:8484'\n";
    for (tables, required, expected) in [
        ("[sign_in]\n", false, Some("people sign in")),
        ("[sign_in]\nauthorization_server = false\n", false, Some("people sign in")),
        (issuer, false, Some("tokens are taken")),
        ("[sign_in]\n", true, None),
        (issuer, true, None),
        ("", false, None),
    ] {
        let text = format!("{listen}[auth]\nrequired = {required}\n{tables}[store]\npath = 'state.db'\n");
        let said: Vec<_> = load(&text).1.into_iter().map(|w| w.message + " | " + &w.help.unwrap_or_default()).collect();
        assert_eq!(said.len(), usize::from(expected.is_some()), "{tables}: {said:?}");
        let says = |expected: &str| said.iter().all(|said| said.contains("`anonymous`") && said.starts_with(expected));
        assert!(expected.is_none_or(says), "{tables}: {said:?}");
    }
}

#[test]
fn mistakes_of_other_servers_do_not_matter_for_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bartizan.toml");
    fs::write(
        &file,
        "[server.tickets]\nurl = 'https://tickets.example/mcp'\nauth.oauth = {}\n[server.off]\nenabled = false\nurl = 'https://a.example'\n\
         [server.other]\nurl = 'https://b.example/mcp'\nheaders = { Authorization = 'Bearer ${NOT_SET_ANYWHERE}' }\n\
         [store]\nkey = '${NOT_SET_ANYWHERE}'\n",
    )
    .unwrap();
    assert!(Config::load(&file).is_err());
    let found = Config::one_server(&file, "tickets").unwrap();
    assert_eq!(found.server.map(|server| server.name).as_deref(), Some("tickets"));
    assert_eq!(found.names, ["off", "other", "tickets"]);
    for name in ["off", "nobody"] {
        assert!(Config::one_server(&file, name).unwrap().server.is_none(), "{name}");
    }
    let wrong = Config::one_server(&file, "other").unwrap_err().to_string();
    assert!(wrong.contains("`NOT_SET_ANYWHERE` is not set") && wrong.contains(":9:"), "{wrong}");
}

#[test]
fn http_without_encryption_stays_on_this_machine_unless_it_is_meant() {
    for url in ["http://127.0.0.1:3000/mcp", "http://[::1]/", "http://localhost:1", "https://a.example"] {
        parse(&format!("[server.a]\nurl = '{url}'\n"));
    }
    parse("[server.a]\nurl = 'http://a.example'\ninsecure_http = true\n");
}

#[test]
fn a_server_that_is_switched_off_is_checked_and_left_out() {
    assert!(parse("[server.a]\nurl = 'https://a'\nenabled = false\n").servers.is_empty());
    assert!(Config::parse("[server.a]\nenabled = false\n", "test.toml", &environment()).is_err());
}

/// The examples beside this crate, and those on the pages that people read.
fn examples() -> Vec<(String, String)> {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut examples = Vec::new();
    for entry in fs::read_dir(crate_dir.join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            examples.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
    for name in ["README.md", "docs/src/configuration.md", "docs/src/quick-start.md"] {
        let page = fs::read_to_string(crate_dir.join("../..").join(name)).unwrap();
        let blocks: Vec<_> = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        assert!(!blocks.is_empty(), "{name} has no examples");
        let named = |(number, block): (usize, &&str)| (format!("{name}, block {number}"), (*block).to_owned());
        examples.extend(blocks.iter().enumerate().map(named));
    }
    examples
}

#[test]
fn the_examples_load_without_a_warning() {
    let mut machine = Machine::with(&["npx", "build-server"]);
    machine.environment.variables.insert("SSH_AUTH_SOCK".to_owned(), "/run/agent".to_owned());
    // Files that the pages name have to be there, and hold what they should by the look of it.
    for (name, kind) in [("gateway.pem", "CERTIFICATE"), ("gateway.key", "PRIVATE KEY"), ("bank-ca.pem", "CERTIFICATE")]
    {
        let path = machine.environment.directory.join(name);
        fs::write(&path, format!("-----BEGIN {kind}-----\n")).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    for (name, text) in examples() {
        let (_, mut warnings) =
            Config::parse(&text, &name, &machine.environment).unwrap_or_else(|found| panic!("{found}"));
        // Whoever copies it has another directory there.
        warnings.retain(|warning| !warning.message.starts_with("there is no /srv/shared, so"));
        assert_eq!(warnings, [], "{name}");
    }
}

#[test]
fn the_examples_fit_the_schema() {
    let validator = jsonschema::validator_for(&Config::json_schema()).unwrap();
    for (name, text) in examples() {
        // Dates have no JSON form; the schema takes them as texts.
        let value: toml::Value =
            toml::from_str(&text.replace("2099-01-31", "'2099-01-31'").replace("2027-01-31", "'2027-01-31'")).unwrap();
        let value = serde_json::to_value(value).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(&value).map(|error| format!("{} {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
    for wrong in [
        serde_json::json!({"listen": {"adress": "127.0.0.1:1"}}),
        serde_json::json!({"guard": {"rate": {"per_tol": "1/s"}}}),
        serde_json::json!({"guard": {"rate": {"per_tool": "often"}}}),
        serde_json::json!({"server": {"A_B": {"url": "https://a"}}}),
        serde_json::json!({"admin": 8485}),
        serde_json::json!({"exception": [{"rule": "rate.tool"}]}),
        serde_json::json!({"guard": {"rate": {"where": [{"path": "$.a"}]}}}),
        serde_json::json!({"guard": {"rate": {"where": [{"part": "text", "action": "deny"}]}}}),
        serde_json::json!({"guard": {"minimise": {"tool": [{"server": "a", "tool": "b", "kept": []}]}}}),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}

#[test]
fn every_setting_is_in_the_full_example() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/full.toml")).unwrap();
    let schema = Config::json_schema();
    let mut tables: Vec<&serde_json::Value> = vec![&schema];
    tables.extend(
        [
            "ListenTable",
            "TlsTable",
            "AuthTable",
            "PolicyTable",
            "RoleTable",
            "GroupTable",
            "ToolGroupTable",
            "LimitsTable",
            "ServerTable",
            "ExceptionTable",
            "AuditTable",
            "CaptureTable",
            "DetectionTable",
            "JudgeTable",
            "ModelTable",
            "RedteamTable",
            "StoreTable",
            "LogTable",
            "WhereTable",
            "minimise.ToolTable",
        ]
        .iter()
        .map(|name| &schema["$defs"][*name]),
    );
    for table in tables {
        for key in table["properties"].as_object().unwrap().keys().filter(|key| *key != "unknown") {
            assert!(text.contains(key.as_str()), "{key}");
        }
    }
}

#[test]
fn every_setting_is_on_its_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/configuration.md");
    let page = fs::read_to_string(page).unwrap();
    let schema = Config::json_schema();
    let keys = |table: &serde_json::Value| -> Vec<String> {
        table["properties"].as_object().unwrap().keys().cloned().collect()
    };
    for key in keys(&schema) {
        assert!(
            ["", ".NAME"].iter().any(|more| page.contains(&format!("`[{key}{more}]`")))
                || page.contains(&format!("`[[{key}]]`"))
                || page.contains(&format!("## `{key}`")),
            "[{key}]"
        );
    }
    let tables = ["ListenTable", "TlsTable", "AuthTable", "AdminTable", "LimitsTable", "ServerTable", "ExceptionTable"];
    for name in tables.into_iter().chain([
        "PolicyTable",
        "CaptureTable",
        "DetectionTable",
        "JudgeTable",
        "RedteamTable",
        "RoleTable",
        "GroupTable",
        "ToolGroupTable",
        "WhereTable",
    ]) {
        for key in keys(&schema["$defs"][name]) {
            assert!(page.contains(&format!("\n| `{key}` |")), "{name}: {key}");
        }
    }
    for (section, name) in
        [("audit", "AuditTable"), ("lock", "LockTable"), ("store", "StoreTable"), ("log", "LogTable")]
    {
        for key in keys(&schema["$defs"][name]) {
            assert!(page.contains(&format!("\n| `{section}.{key}` |")), "{section}.{key}");
        }
    }
    let minimisation = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/minimisation.md");
    let minimisation = fs::read_to_string(minimisation).unwrap();
    for key in keys(&schema["$defs"]["minimise.ToolTable"]) {
        assert!(minimisation.contains(&format!("`{key}`")), "{key}");
    }
    for kind in PartKind::ALL {
        assert!(page.contains(&format!("`{}`", kind.as_str())), "{}", kind.as_str());
    }
}

#[test]
fn settings_for_single_places() {
    let text = "[server.files]\nurl = 'https://a.example'\n[[guard.rate.where]]\nrule = 'tool'\ndirection = 'to_server'\n\
                part = 'argument'\nserver = 'fil*'\ntool = 't*'\npath = \"$['a b'][*]\"\naction = 'observe'\nhow = 'hash'\n\
                [[guard.rate.where]]\nrule = 'rate.*'\naction = 'deny'\n";
    let (config, warnings) = Config::parse(text, "test.toml", &environment()).unwrap();
    assert_eq!(warnings, []);
    let [first, second] = &config.settings.guards["rate"].places[..] else { panic!("not two") };
    assert_eq!((first.rule.as_deref(), second.rule.as_deref()), (Some("rate.tool"), Some("rate.*")));
    assert_eq!((first.part, first.direction), (Some(PartKind::Argument), Some(Direction::ToServer)));
    assert_eq!(first.path.as_ref().map(|path| path.as_str()), Some("$['a b'][*]"));
    assert_eq!((first.action, first.how, second.how), (Action::Observe, Some(How::Hash), None));

    let text = text.replace("fil*", "file*").replace("server.files", "server.tickets");
    let text = format!("{text}[[guard.minimise.tool]]\nserver = 'ticket'\ntool = '*'\nmax_rows = 1\n");
    let (_, warnings) = Config::parse(&text, "test.toml", &environment()).unwrap();
    let said: Vec<_> =
        warnings.iter().map(|warning| format!("{}:{} {}", warning.line, warning.column, warning.message)).collect();
    assert_eq!(
        said,
        ["7:10 this file has no server whose name begins with `file`", "16:10 this file has no server `ticket`"]
    );
}

#[test]
fn where_clients_find_it_is_written_in_one_way() {
    for (given, meant) in [
        ("https://MCP.Example.com", "https://mcp.example.com"),
        ("https://mcp.example.com:443/", "https://mcp.example.com"),
        ("https://mcp.example.com:8443", "https://mcp.example.com:8443"),
        ("HTTP://localhost:80", "http://localhost"),
        ("http://[::1]:8484", "http://[::1]:8484"),
    ] {
        let text = format!("[listen]\npublic_url = '{given}'\n");
        let (config, _) = Config::parse(&text, "test.toml", &environment()).unwrap();
        assert_eq!(config.listen.public_url.as_deref(), Some(meant), "{given}");
    }
}

#[test]
fn tools_that_would_be_entitled_and_are_not_there_are_said() {
    let text = "[server.office]\nurl = 'https://a.example'\n[server.crm]\nurl = 'https://b.example'\n[guard.personal_data]\n\
                how = 'pseudonymise'\naction = 'redact'\npurposes = { crm = 'support' }\nentitled = [{ server = 'office', tool = 'sned_*' }, { server = 'office', tool = \
                'send_*' }, { server = 'crm', tool = 'call' }]\n";
    let (config, warnings) = Config::parse(text, "test.toml", &environment()).unwrap();
    assert_eq!(warnings, []);
    let tools = bartizan_config::Tools::from([("office".to_owned(), ["send_mail".to_owned()].into())]);
    let said: Vec<_> = config.without_tools(&tools).into_iter().map(|warning| warning.message).collect();
    assert_eq!(said, ["[guard.personal_data]: `office` has no tool `sned_*`"], "what is not listed yet may come");
    assert_eq!(config.without_tools(&bartizan_config::Tools::new()), []);
}

/// The warnings about a file, as `line:column message`.
fn warned(text: &str) -> Vec<String> {
    let (_, warnings) = Config::parse(text, "test.toml", &environment()).unwrap();
    warnings.iter().map(|warning| format!("{}:{} {}", warning.line, warning.column, warning.message)).collect()
}

#[test]
fn what_does_nothing_as_it_is_written_is_a_warning() {
    let servers = "[server.mail]\nurl = 'https://a.example'\n";
    for (text, expected) in [
        ("guard.flow.trusted = ['mial', 'mail', 'mail/x']\n", vec!["1:23 this file has no server `mial`"]),
        ("[[guard.flow.tool]]\nname = 'mial/send'\nlabels = []\n", vec!["2:8 this file has no server `mial`"]),
        (
            "[[guard.flow.tool]]\nname = 'mail'\nlabels = []\n",
            vec!["2:8 no tool is called `mail`: names are `server/tool`"],
        ),
        (
            "[[guard.flow.path]]\npath = '/a/**'\nname = 'fils/*'\nlabels = []\n",
            vec!["3:8 this file has no server `fils`"],
        ),
        (
            "[[guard.flow.path]]\npath = '/a/**'\nname = 'fils/a'\nlabels = []\n",
            vec!["3:8 this file has no server `fils`"],
        ),
        (
            "[[guard.flow.tool]]\nname = 'mail/*'\nlabels = []\n[[guard.flow.tool]]\nname = 'mail/send'\nlabels = []\n",
            vec!["5:8 this table does nothing: `mail/*` before it takes all of its calls"],
        ),
        (
            "[[guard.flow.tool]]\nname = 'mail/*'\nwhere = { to = ['a'] }\npublic = true\n[[guard.flow.tool]]\nname = 'mail/send'\nlabels = []\n",
            vec![],
        ),
        (
            "[[guard.flow.resource]]\nuri = 'file:///*'\nlabels = []\n[[guard.flow.resource]]\nuri = 'file:///a*'\nlabels = []\n",
            vec!["5:7 this table does nothing: `file:///*` before it takes all of its calls"],
        ),
        // Of paths the most specific counts, wherever it stands.
        (
            "[[guard.flow.path]]\npath = '/srv/**'\nlabels = []\n[[guard.flow.path]]\npath = '/srv/a/**'\nlabels = []\n",
            vec![],
        ),
        (
            "[[guard.minimise.tool]]\nserver = 'mail'\ntool = '*'\nmax_rows = 1\n[[guard.minimise.tool]]\nserver = 'mail'\ntool = 'get'\nmax_rows = 2\n",
            vec!["6:10 this table does nothing: `mail *` before it takes all of its calls"],
        ),
        (
            "[[guard.minimise.tool]]\nserver = 'mail'\ntool = 'get'\nmax_rows = 1\n[[guard.minimise.tool]]\nserver = 'mail'\ntool = '*'\nmax_rows = 2\n",
            vec![],
        ),
        (
            "[guard.personal_data]\nhow = 'pseudonymise'\n",
            vec!["2:1 `how` does nothing: nothing is redacted by this guard"],
        ),
        ("[guard.personal_data]\nhow = 'pseudonymise'\naction = 'redact'\n", vec![]),
        ("[guard.personal_data]\nhow = 'pseudonymise'\nrules = { email = 'redact' }\n", vec![]),
        (
            "[guard.personal_data]\nentitled = [{ server = 'mail', tool = 'send' }]\naction = 'redact'\n",
            vec!["2:1 `entitled` gives back what nobody hides: no pseudonym is made"],
        ),
    ] {
        let found = warned(&format!("{text}{servers}"));
        assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
        assert!(found.iter().zip(&expected).all(|(found, start)| found.starts_with(start)), "{text}: {found:?}");
    }
}

#[test]
fn tools_that_tables_name_and_no_server_has_are_said() {
    let text = "[server.mail]\nurl = 'https://a.example'\n[[guard.flow.tool]]\nname = 'mail/sned'\nlabels = []\n[[guard.flow.tool]]\nname \
                = 'mail/send*'\nlabels = []\n[[guard.minimise.tool]]\nserver = 'mail'\ntool = 'gte'\nmax_rows = 1\n";
    let (config, warnings) = Config::parse(text, "test.toml", &environment()).unwrap();
    assert_eq!(warnings, []);
    let tools = bartizan_config::Tools::from([("mail".to_owned(), ["send_mail".to_owned()].into())]);
    let said: Vec<_> = config.without_tools(&tools).into_iter().map(|warning| warning.message).collect();
    assert_eq!(said, ["[guard.flow]: `mail` has no tool `sned`", "[guard.minimise]: `mail` has no tool `gte`"]);
    assert_eq!(config.without_tools(&bartizan_config::Tools::new()), []);
}
