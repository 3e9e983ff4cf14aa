//! Wrong files: each problem is found at its place, said in words, and comes with advice.
#![cfg(test)]

use bartizan_config::{Config, Diagnostics, Environment, SandboxLevel, Severity, Upstream};
use bartizan_guard::Timestamp;

fn environment() -> Environment {
    let variables = [("HOME", "/home/user"), ("SERVICE_TOKEN", "hush-hush"), ("EMPTY", "")];
    Environment {
        variables: variables.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        directory: "/etc/bartizan".into(),
        now: Timestamp(1_800_000_000_000_000),
    }
}

fn errors(text: &str) -> Diagnostics {
    match Config::parse(text, "test.toml", &environment()) {
        Err(found) => found,
        Ok(_) => panic!("nothing wrong was found in:\n{text}"),
    }
}

/// Every problem as `line:column message | help`.
fn list(found: &Diagnostics) -> Vec<String> {
    let line = |d: &bartizan_config::Diagnostic| {
        format!("{}:{} {} | {}", d.line, d.column, d.message, d.help.as_deref().unwrap_or_default())
    };
    found.0.iter().filter(|d| d.severity == Severity::Error).map(line).collect()
}

/// The file has exactly these problems; of each only the beginning needs to be given, and a part of the help.
#[track_caller]
fn check(text: &str, expected: &[(&str, &str)]) {
    let found = list(&errors(text));
    assert_eq!(found.len(), expected.len(), "in:\n{text}\nfound: {found:#?}");
    for (found, (start, help)) in found.iter().zip(expected) {
        assert!(found.starts_with(start), "in:\n{text}\nfound {found}\nbut not {start}");
        let advice = found.rsplit_once(" | ").map_or("", |(_, advice)| advice);
        assert!(advice.contains(help), "in:\n{text}\n{found}\nhas no {help}");
    }
}

#[test]
fn unknown_keys() {
    check("[listen]\nadress = '127.0.0.1:1'\n", &[("2:1 unknown key `adress`", "did you mean `address`?")]);
    check("lisen = {}\n", &[("1:1 unknown key `lisen`", "did you mean `listen`?")]);
    check("[servers.a]\nurl = 'https://a'\n", &[("1:2 unknown key `servers`", "did you mean `server`?")]);
    check("[server.a]\nurl = 'https://a/'\nheader = {}\n", &[("3:1 unknown key `header`", "did you mean `headers`?")]);
    check("[admin]\nport = 1\n", &[("2:1 unknown key `port`", "possible are `address`, `allow_remote` and `tls`")]);
    check("[guards.rate]\n", &[("1:2 unknown key `guards`", "did you mean `guard`?")]);
    check("[rules]\n", &[("1:2 unknown key `rules`", "`unknown` and `guard`")]);
    check("[listen]\nguard = 1\n", &[("2:1 unknown key `guard`", "possible are `address`")]);
    check("[log]\n\"a`, b\" = 1\n", &[("2:1 unknown key `a`, b`", "`level`")]);
}

#[test]
fn what_is_wrong_in_a_table_of_a_list_is_marked_there() {
    let of = |lines: &str| {
        format!("[[guard.flow.tool]]\nname = 'a/*'\nlabels = []\n[[guard.flow.tool]]\nname = 'a/b'\n{lines}\n")
    };
    for (lines, expected) in [
        ("lables = []", "6:1 unknown key `lables`"),
        ("labels = ['private']", "6:1 unknown value `private`"),
        ("public = 1", "6:1 expected `true` or `false`"),
    ] {
        check(&of(lines), &[(expected, "")]);
    }
    check("[[guard.flow.tool]]\nlabels = []\n", &[("1:1 `name` is missing", "")]);
}

#[test]
fn wrong_values() {
    check("mode = 'enforced'\n", &[("1:8 unknown value `enforced`", "did you mean `enforce`?")]);
    check("mode = 1\n", &[("1:8 expected `enforce` or `observe` | ", "quotation marks")]);
    check("[server.a]\nurl = 'https://a'\nbridge = true\n", &[("3:10 expected `off` or `auto` | ", "")]);
    check("[guard.rate]\naction = true\n", &[("2:10 expected one of `observe`", "")]);
    check("[listen]\nmax_connections = '5'\n", &[("2:19 expected a number that is not negative, found a text", "")]);
    check("[listen]\nmax_connections = -5\n", &[("2:19 expected a number that is not negative, found an integer", "")]);
    check("[limits]\nbody_timeout = '10'\n", &[("2:16 `10` is no duration", "")]);
    check("[limits]\nbody_timeout = 10\n", &[("2:16 expected a duration such as \"30s\", found an integer", "")]);
    check("[limits]\nmessage_bytes = '10mb'\n", &[("2:17 `10mb` is no size", "")]);
    check("[limits]\nmessage_bytes = 10\n", &[("2:17 `message_bytes` is 10, and has to be from 1024", "")]);
    check("[limits]\ndepth = 1000\n", &[("2:9 `depth` is 1000, and has to be from 8 to 256", "")]);
    check("[limits]\nmax_in_flight = 0\n", &[("2:17 `max_in_flight` is 0", "")]);
    check("admin = 5\n", &[("1:9 expected a table or `false`, found an integer", "")]);
    check("[server]\na = 1\n", &[("2:5 expected a table, found an integer", "")]);
    check("server = []\n", &[("1:10 expected a table, found a list", "")]);
    check("exception = 3\n", &[("1:13 expected a list, found an integer", "")]);
    check("[server.a]\ncommand = 'prog --flag'\n", &[("2:11 expected a list, found a text", "command = [\"program\"")]);
    check(
        "[server.a]\ncommand = 'npx'\nargs = ['-y', 'x']\n",
        &[
            ("2:11 expected a list", "one list: command = ["),
            ("3:1 unknown key `args`", "follow the program: command = ["),
        ],
    );
    check("[mcpServers.a]\ncommand = 'npx'\n", &[("1:2 unknown key `mcpServers`", "[server.NAME]")]);
    check("[server.a]\ncommand = ['prog', 5]\n", &[("2:20 expected a string, found an integer", "")]);
    check("[audit]\nmax_file_bytes = '1kB'\n", &[("2:18 `max_file_bytes` is 1000", "")]);
}

#[test]
fn all_problems_at_once_in_order() {
    check(
        "mode = 'x'\n[server.a]\nulr = 'https://a'\n[server.B]\nurl = 'ftp://b'\n[guard.rat]\n[limits]\nvalues = 'many'\n",
        &[
            ("1:8 unknown value `x`", "`enforce` and `observe`"),
            ("2:9 server `a` has neither", ""),
            ("3:1 unknown key `ulr`", "did you mean `url`?"),
            ("4:9 `B` is no name for a server", ""),
            ("5:7 not an http or https URL", ""),
            ("6:8 there is no guard `rat`", "did you mean `rate`?"),
            ("8:10 expected a number", ""),
        ],
    );
}

#[test]
fn what_is_no_guess_stays_on() {
    check("[guard.access]\nenabled = false\n", &[("2:11 the guard `access` cannot be switched off", "")]);
}

#[test]
fn addresses() {
    check("[listen]\naddress = 'here'\n", &[("2:11 not an address and a port", "127.0.0.1:8484")]);
    check(
        "[listen]\naddress = '0.0.0.0:8484'\n",
        &[("2:11 other machines can reach 0.0.0.0:8484, and clients need not sign in", "allow_remote = true")],
    );
    check(
        "auth.required = true\nlisten.address = '0.0.0.0:8484'\n",
        &[(
            "2:18 other machines can reach 0.0.0.0:8484, and what clients send travels unencrypted",
            "allow_remote = true",
        )],
    );
    check("[admin]\naddress = '[::]:8485'\n", &[("2:11 other machines can reach [::]:8485", "[admin]")]);
    check("[admin]\naddress = 'localhost:8484'\n", &[("2:11 [listen] and [admin] both want 127.0.0.1:8484", "")]);
    check("[listen]\nallowed_hosts = ['a.example', '*.b']\n", &[("2:31 names are compared", "")]);
    check("[listen]\nallowed_hosts = ['https://a']\n", &[("2:18 not a host name", "")]);
    for origin in ["a.example", "https://a.example/", "https://a.example/x", "null", "*", "https://*.a"] {
        check(&format!("[listen]\nallowed_origins = ['{origin}']\n"), &[("2:20 not an origin", "https://")]);
    }
}

#[test]
fn servers() {
    check("[server.a]\n", &[("1:9 server `a` has neither `command` nor `url`", "command = [")]);
    check(
        "[server.a]\ncommand = ['a']\nurl = 'https://a'\n",
        &[("3:1 a server has a `command` or a `url`, not both", "")],
    );
    check("[server.a]\ncommand = []\n", &[("2:11 `command` names no program", "")]);
    check("[server.a]\ncommand = ['']\n", &[("2:11 `command` names no program", "")]);
    check("[server.a__b]\nurl = 'https://a'\n", &[("1:9 `a__b` is no name", "a-z, 0-9 and -")]);
    check(
        "[server.aaaaaaaaaabbbbbbbbbbccccc]\nurl = 'https://a'\n",
        &[("1:9 `aaaaaaaaaabbbbbbbbbbccccc` is no name", "")],
    );
    check("[server.a]\nurl = 'https://a'\nshared = true\n", &[("3:1 `shared` is for servers with a `command`", "")]);
    check("[server.a]\ncommand = ['a']\nheaders = {}\n", &[("3:1 `headers` is for servers with a `url`", "")]);
    check("[server.a]\nurl = 'http://a.example/mcp'\n", &[("2:7 http:// to another machine", "insecure_http = true")]);
    check("[server.a]\nurl = 'https://me:pw@a.example/mcp'\n", &[("2:7 a URL cannot hold a user", "headers")]);
    check("[server.a]\nurl = '/mcp'\n", &[("2:7 not an http or https URL", "")]);
    check(
        "[server.a]\nurl = 'https://a'\nheaders = { Host = 'b', 'X Y' = 'c', Z = \"\"\"1\n2\"\"\" }\n",
        &[
            ("3:13 the header `Host` is written by Bartizan", ""),
            ("3:25 `X Y` is no name for a header", ""),
            ("3:38 the value of the header `Z` holds a line break", ""),
        ],
    );
    check("[server.a]\ncommand = ['a']\nenv = { 'A=B' = 'c' }\n", &[("3:9 `A=B` cannot be", "")]);
}

#[test]
fn a_value_where_a_name_is_handed_on_is_not_shown() {
    let text = "[server.a]\ncommand = ['a']\npass_env = ['HOME', 'TOKEN=hush-hush']\n";
    check(text, &[("3:21 `pass_env` holds names, and `TOKEN` comes with a value", "env = { TOKEN = \"file:PATH\" }")]);
    let shown = errors(text).to_string();
    assert!(!shown.contains("hush"), "{shown}");
}

#[test]
fn a_file_that_is_not_there() {
    let found = Config::load(std::path::Path::new("/nowhere/bartizan.toml")).unwrap_err().to_string();
    assert!(found.contains("No such file") && found.contains("[server.NAME]"), "{found}");
    let other = Config::load(std::path::Path::new("/")).unwrap_err().to_string();
    assert!(other.contains("not a regular file") && !other.contains("[server.NAME]"), "{other}");
}

#[test]
fn settings_for_single_places() {
    check("[guard.rate]\nwhere = 'x'\n", &[("2:9 expected a list of tables", "[[guard.rate.where]]")]);
    check("[[guard.rate.where]]\npath = '$'\n", &[("1:1 `action` is missing", "")]);
    check("[[guard.rate.where]]\naction = 'redact'\n", &[("2:10 guard `rate` cannot `redact`", "`observe`")]);
    check("[[guard.rate.where]]\naction = 'deny'\npth = '$'\n", &[("3:1 unknown key `pth`", "did you mean `path`?")]);
    check(
        "[[guard.rate.where]]\naction = 'deny'\n[[guard.rate.where]]\npath = '$.a['\naction = 'deny'\n",
        &[("4:8 `$.a[` is no path: expected `*`, a number or a name in quotes, at character 5", "$.rows[*].name")],
    );
    check(
        "[[guard.rate.where]]\nrule = 'tol'\naction = 'deny'\n",
        &[("2:8 guard `rate` has no rule `tol`", "`rate.tool`")],
    );
    check(
        "[[guard.rate.where]]\nrule = 'x*'\naction = 'deny'\n",
        &[("2:8 guard `rate` has no rule that begins with `x`", "")],
    );
    check(
        "[[guard.conformance.where]]\nrule = 'batch'\naction = 'deny'\n",
        &[("2:8 the rule `conformance.batch` always denies", "")],
    );
    check(
        "[[guard.rate.where]]\npart = 'text'\naction = 'deny'\n",
        &[("2:8 there is no kind of part `text`", "`argument`")],
    );
    check("[[guard.rate.where]]\nhow = 'hide'\naction = 'deny'\n", &[("2:7 unknown value `hide`", "`partial`")]);
}

#[test]
fn what_is_left_of_results() {
    let first = "[[guard.minimise.tool]]\nserver = 'a'\ntool = 'b'\n";
    check(
        &format!("{first}{first}keep = ['rows']\n"),
        &[("7:1 keep: `rows` is no path: it begins with `$`, at character 1", "")],
    );
    check(&format!("{first}kep = ['$']\n"), &[("4:1 unknown key `kep`", "did you mean `keep`?")]);
    check("[guard.minimise]\naction = 'approve'\n", &[("2:10 guard `minimise` cannot `approve`", "`redact`")]);
}

#[test]
fn guards() {
    check("guard = 1\n", &[("1:9 expected a table", "[guard.NAME]")]);
    check("[guard.conformence]\n", &[("1:8 there is no guard `conformence`", "did you mean `conformance`?")]);
    check("[guard.rate]\nactoin = 'deny'\n", &[("2:1 guard `rate` has no setting `actoin`", "did you mean `action`?")]);
    check(
        "[guard.rate]\nper_tol = '1/s'\n",
        &[("2:1 guard `rate` has no setting `per_tol`", "did you mean `per_tool`?")],
    );
    check(
        "[guard.rate]\nper_tool = '1/x'\nper_server = 5\n",
        &[("2:12 `1/x` is no rate; write", ""), ("3:14 expected a string, found an integer", "")],
    );
    check(
        "[guard.rate]\naction = 'redact'\n",
        &[("2:10 guard `rate` cannot `redact`", "`observe`, `approve` and `deny`")],
    );
    check("[guard.rate]\ntool_result = 'redact'\n", &[("2:15 guard `rate` cannot `redact`", "")]);
    check("[guard.rate]\nargument = 'dney'\n", &[("2:12 unknown value `dney`", "did you mean `deny`?")]);
    check("[guard.rate]\nenabled = 'yes'\n", &[("2:11 expected `true` or `false`, found a text", "")]);
    check("[guard.rate]\nrules = { tol = 'deny' }\n", &[("2:11 guard `rate` has no rule `tol`", "`rate.tool`")]);
    check("[guard.rate]\nrules = { \"rate.tool\" = 'redact' }\n", &[("2:25 guard `rate` cannot `redact`", "")]);
    check("[guard.rate]\nrules = { rate.tool = 'deny' }\n", &[("2:11 a rule's name has a dot", "")]);
    check("[guard.conformance.rules]\nbatch = 'observe'\n", &[("2:1 the rule `conformance.batch` always denies", "")]);
    check(
        "[guard.rate.servers.a]\nacton = 'deny'\ntools = { t = 'redact' }\nrules = { x = 'deny' }\n",
        &[
            ("2:1 unknown key `acton`", "did you mean `action`?"),
            ("3:15 guard `rate` cannot `redact`", ""),
            ("4:11 guard `rate` has no rule `x`", ""),
        ],
    );
    check(
        "[unknown]\nmethods = 'deny'\n[guard.conformance.rules]\nunknown_method = 'observe'\n",
        &[("2:11 the rule `conformance.unknown_method` is set to something else", "")],
    );
    check(
        "[unknown]\nfields = 'pass'\n[guard.conformance.rules]\nunknown_field = 'deny'\n",
        &[("2:10 the rule `conformance.unknown_field` is set to something else", "")],
    );
}

#[test]
fn exceptions() {
    let whole = "[[exception]]\nrule = 'rate.tool'\nreason = 'because'\nexpires = 2099-01-01\n";
    check(&whole.replace("rate.tool", "rate.tol"), &[("2:8 there is no rule `rate.tol`", "did you mean `rate.tool`?")]);
    check(&whole.replace("rate.tool", "conformance.batch"), &[("2:8 the rule `conformance.batch` always denies", "")]);
    check(&whole.replace("because", " "), &[("3:10 `reason` of an exception is empty", "say why")]);
    check(
        &whole.replace("expires = 2099-01-01\n", ""),
        &[("1:1 `expires` of an exception is missing", "a date such as")],
    );
    check(&whole.replace("2099-01-01", "'2099-01-01'"), &[("4:11 expected", "")]);
    check(&whole.replace("2099-01-01", "10:00:00"), &[("4:11 not a date", "")]);
    check(
        &whole.replace("reason", "raison"),
        &[("1:1 `reason` of an exception is missing", ""), ("3:1 unknown key", "`reason`")],
    );
    check("[[exception]]\n", &[("1:1 `rule`", ""), ("1:1 `reason`", ""), ("1:1 `expires`", "")]);
}

#[test]
fn the_environment() {
    check(
        "[lock]\npath = '${SERVICE_TOKN}/x'\n",
        &[(
            "2:8 the environment variable `SERVICE_TOKN` is not set",
            "`${SERVICE_TOKEN}`? If not, set `SERVICE_TOKN` ",
        )],
    );
    let advice = "set `ZZ` where bartizan is started, or write `${ZZ:-default}`";
    check("[lock]\npath = '${ZZ}/x'\n", &[("2:8 the environment variable `ZZ` is not set", advice)]);
    check("[lock]\npath = '${HOME'\n", &[("2:8 `${` without a `}`", "$${")]);
    check("[lock]\npath = '${a b}'\n", &[("2:8 no name of an environment variable", "")]);
    check("[lock]\npath = '${workspace}/x'\n", &[("2:8 `${workspace}` has a value only in the `command`", "")]);
    check(
        "[server.a]\nurl = 'https://a'\nheaders.A = 'file:/does/not/exist'\n",
        &[("3:13 cannot read /does/not/exist", "")],
    );
    check(
        "[server.a]\nurl = 'https://a'\nheaders.A = 'file:/dev/zero'\n",
        &[("3:13 cannot read /dev/zero: it is not a regular file", "")],
    );
}

#[test]
fn not_toml() {
    check("[listen\n", &[("1:8 ", "")]);
    check("a = 1\na = 2\n", &[("2:1 ", "")]);
    check("mode = enforce\n", &[("1:8 ", "")]);
}

#[test]
fn a_problem_is_shown_beside_its_line() {
    let text = "[server.a]\nurl = 'https://a'\nheaders = { Host = 'hush-hush' } # ü\ntimeuot = '5s'\n";
    let shown = errors(text).to_string();
    let expected = "\
error: the header `Host` is written by Bartizan for each request
 --> test.toml:3:13
  |
3 | headers = { Host = … } # ü
  |             ^^^^

error: unknown key `timeuot`
 --> test.toml:4:1
  |
4 | timeuot = …
  | ^^^^^^^
  = help: did you mean `timeout`?";
    // The rest of the list of problems is the same whatever their order.
    for part in expected.split("\n\n") {
        assert!(shown.contains(part), "{shown}\nhas no\n{part}");
    }
}

#[test]
fn what_is_shown_cannot_steer_a_terminal() {
    let shown = errors("mode = \"\\u001b[31m\\u202e\"\n# \u{202e}\n").to_string();
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{shown:?}");
}

#[test]
fn where_clients_find_it() {
    let whole = "2:14 not a URL of scheme, host and port only";
    for url in [
        "mcp.example.com",
        "https://a/mcp",
        "https://a?b",
        "https://a#b",
        "https://b@a",
        "ftp://a",
        "https://a:",
        "https://a:0",
        "https://*.a",
        "https://",
    ] {
        check(&format!("[listen]\npublic_url = '{url}'\n"), &[(whole, "https://mcp.example.com")]);
    }
    check("[listen]\npublic_url = 'http://a'\n", &[("2:14 http:// to another machine", "over https://")]);
}

#[test]
fn passwords_do_not_travel_unencrypted() {
    let open = "[listen]\naddress = '192.0.2.1:8484'\nallow_remote = true\n";
    check(&format!("{open}[sign_in]\n"), &[("4:2 passwords would travel unencrypted", "`public_url`")]);
    check(
        &format!("{open}public_url = 'http://localhost:1'\n[sign_in]\n"),
        &[("5:2 passwords would travel", "`public_url`")],
    );
    check("[sign_in]\nsecond_factor = 'never'\n", &[("2:17 ", "")]);
}

#[test]
fn labels() {
    check("[labels]\nafter_end = '481min'\n", &[("2:13 `after_end` is more than eight hours", "")]);
    check("[labels]\nafter_end = '0s'\n", &[("2:13 ", "")]);
    check("[labels]\nafter_ends = '1h'\n", &[("2:1 unknown key `after_ends`", "`after_end`")]);
}

#[test]
fn trials() {
    check("[redteam]\nschedule = '10s'\n", &[("2:12 `schedule` has to be a minute at least", "")]);
    check("[redteam]\nschedule = '1h'\nsample = 0\n", &[("3:10 `sample` is 0, and has to be from 1 to 10,000", "")]);
    check("[redteam]\nschedule = '9000h'\n", &[("2:12 `schedule` is more than a year", "")]);
    check("[redteam]\nprincipal = 'a b'\n", &[("2:13 a name has 1 to 64", "")]);
    check("[redteam]\nbaseline = ''\n", &[("2:12 `baseline` names no file", "")]);
    check("[redteam]\nevery = '1h'\n", &[("2:1 unknown key `every`", "")]);
}

#[test]
fn captures() {
    check("[capture]\n", &[("1:2 nothing says where what is captured is to be", "set `path`")]);
    check("[capture]\npath = ''\n", &[("1:2 nothing says where what is captured is to be", "set `path`")]);
    let with = |more: &str| format!("[server.a]\nurl = 'https://a/'\n[capture]\npath = 'c'\n{more}\n");
    check(&with("max_file_bytes = '1kB'"), &[("5:18 `max_file_bytes` is 1000", "")]);
    check(&with("max_bytes = '100MiB'"), &[("5:13 `max_bytes` is 104857600, and has to be at least twice", "")]);
    check(&with("only = ['server:a', 'tool:a']"), &[("5:21 `tool:a` is no scope", "")]);
    check(&with("keep = 7"), &[("5:8 ", "")]);
    check(&with("server = 'a'"), &[("5:1 unknown key `server`", "`only`")]);
    let nowhere = Environment { variables: [].into(), ..environment() };
    let text = "[audit]\ndirectory = 'a'\n[auth]\nrequired = false\n[capture]\npath = 'c'\n";
    let found = Config::parse(text, "test.toml", &nowhere).unwrap_err();
    assert!(list(&found).iter().any(|found| found.contains("where the key is that seals")), "{found}");
}

#[test]
fn judges() {
    let with = |more: &str| {
        format!(
            "[server.a]\nurl = 'https://a/'\n[detection.judge]\nurl = 'https://j/v1'\nmodel = 'm'\nservers = ['a']\n{more}\n"
        )
    };
    assert!(Config::parse(&with(""), "test.toml", &environment()).is_ok());
    check("[detection.judge]\nmodel = 'm'\nservers = ['*']\n", &[("1:12 nothing says where it is", "https://")]);
    check(
        "[detection.judge]\nurl = 'https://j'\n",
        &[("1:12 nothing says of whose texts", "servers = ["), ("1:12 nothing says which model", "model = ")],
    );
    for (url, why) in [
        ("http://j/v1", "http:// to another machine"),
        ("ftp://j/v1", "not an http or https URL"),
        ("https://j/v1?key=x", "not an http or https URL"),
        ("j/v1", "not an http or https URL"),
        ("https://u:p@j/v1", "a URL cannot hold a user"),
    ] {
        let text = format!("[detection.judge]\nmodel = 'm'\nservers = ['*']\nurl = '{url}'\n");
        let found = Config::parse(&text, "test.toml", &environment()).unwrap_err();
        assert!(list(&found).iter().any(|found| found.contains(why)), "{url}: {found}");
    }
    check(&with("acts_from = 0.2"), &[("7:1 `acts_from` is from 0.5 to 1", "")]);
    check(&with("kinds = []"), &[("7:1 it is shown no kind of text", "")]);
    check(&with("kinds = ['argument']"), &[("7:10 ", "")]);
    check(&with("calls_per_minute = 0"), &[("7:1 `calls_per_minute` is 0", "")]);
    check(&with("key = 'two words'"), &[("7:1 a key has visible ASCII", "")]);
    check(&with("[detection]\nask_bytes = 100"), &[("8:13 `ask_bytes` is 100", "")]);
    check("[detection]\nask_from = 7\n", &[("2:12 `ask_from` is from 0 to 1", "")]);
    check("[detection]\nask_texts = 0\n", &[("2:13 `ask_texts` is from 1 to 64", "")]);
    // What is wrong is said once.
    check(&with("key = '${JUDGE_KY}'"), &[("7:7 the environment variable `JUDGE_KY` is not set", "")]);
    check(&with("key = 'file:/none/such'"), &[("7:7 cannot read /none/such", "")]);
    let of = |url: &str, model: &str, servers: &str| {
        format!("[detection.judge]\nurl = {url}\nmodel = {model}\nservers = {servers}\n")
    };
    check(&of("'https://j'", "1", "['*']"), &[("3:9 expected a string", "")]);
    check(&of("'${NO_URL}/v1'", "'m'", "['*']"), &[("2:7 the environment variable `NO_URL` is not set", "")]);
    check(&of("1", "'m'", "7"), &[("2:7 expected a string", ""), ("4:11 ", "")]);
}

#[test]
fn what_of_a_judge_does_nothing_or_is_open_to_others_is_warned_about() {
    let warned = |text: &str| {
        let (_, warnings) = Config::parse(text, "test.toml", &environment()).unwrap();
        let line = |warning: &bartizan_config::Diagnostic| {
            let help = warning.help.as_deref().unwrap_or_default();
            format!("{}:{} {} | {help}", warning.line, warning.column, warning.message)
        };
        warnings.iter().map(line).collect::<Vec<_>>()
    };
    let with =
        |url: &str, more: &str| format!("[detection.judge]\nurl = '{url}'\nmodel = 'm'\nservers = ['*']\n{more}\n");
    for (text, expected) in [
        (with("https://j/v1", ""), None),
        (with("https://j/v1/", "key = '${SERVICE_TOKEN}'"), None),
        (with("https://j/v1", "key = '${NO_KEY:-none}'"), None),
        (with("https://j/v1/chat/completions", ""), Some("2:7 `/chat/completions` is put behind `url`")),
        (with("https://j/v1/chat/completions/", ""), Some("2:7 `/chat/completions` is put behind `url`")),
        (with("https://j/v1", "key = 'sk-1234'"), Some("5:7 a key stands in the file itself")),
        ("[detection]\nask_from = 0.5\n".to_owned(), Some("1:2 nobody is asked about doubtful texts")),
        (format!("[detection]\nask_from = 0.5\n{}", with("https://j/v1", "")), None),
        (String::new(), None),
    ] {
        let found = warned(&text);
        assert_eq!(found.len(), usize::from(expected.is_some()), "{text}: {found:?}");
        assert!(found.iter().all(|found| found.starts_with(expected.unwrap_or_default())), "{text}: {found:?}");
        assert!(found.iter().all(|found| !found.contains("sk-1234") && !found.ends_with(" | ")), "{found:?}");
    }
}

/// Formats of secrets, those that are built in and those of a file beside the configuration, and settings that name them.
#[test]
fn formats_of_secrets() {
    let place = tempfile::tempdir().unwrap();
    let environment = Environment { directory: place.path().to_owned(), ..environment() };
    std::fs::write(place.path().join("key"), "a key of the operator's\n").unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(place.path().join("key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let of = |formats: &str, more: &str| {
        std::fs::write(place.path().join("formats.toml"), formats).unwrap();
        Config::parse(&format!("[guard.secrets]\n{more}\n"), "test.toml", &environment)
    };
    let good = "[[format]]\nid = \"custom.acme\"\nname = \"key of Acme\"\nshapes = [\"acme_{alnum:20}\"]\n";
    let set = "rules = { 'secrets.token.github' = 'observe', 'custom.acme' = 'deny' }";
    let (config, warnings) = of(good, &format!("formats_file = 'formats.toml'\n{set}")).unwrap();
    assert_eq!(warnings, []);
    let held = &config.settings.guards["secrets"];
    assert!(
        held.rules.contains_key("secrets.token.github") && held.rules.contains_key("secrets.custom.acme"),
        "{held:?}"
    );
    // The key of digests comes from where other secrets come from.
    let allow = format!("allow = ['{}']\nallow_key = 'file:key'", "0".repeat(64));
    let (config, _) = of(good, &allow).unwrap();
    assert_eq!(config.settings.guards["secrets"].options["allow_key"], "a key of the operator's");
    for (formats, more, said) in [
        (good, set, "has no rule `custom.acme`"),
        (good, "rules = { 'secrets.token.githbu' = 'observe' }", "has no rule `secrets.token.githbu`"),
        (&good.replace("alnum:20", "alnum:2"), "formats_file = 'formats.toml'", "could guess"),
        (good, "allow = ['x']\nallow_key = 'file:key'", "is no digest"),
    ] {
        let problems = of(formats, more).unwrap_err();
        let found: Vec<_> = problems.0.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|found| found.contains(said)), "{more}: {found:?}");
    }
}

/// Rules of an operator in a file beside the configuration, and settings that name them.
#[test]
fn rules_of_an_operator() {
    let place = tempfile::tempdir().unwrap();
    let rules = place.path().join("rules.toml");
    let environment = Environment { directory: place.path().to_owned(), ..environment() };
    let of = |rules_toml: &str, more: &str| {
        std::fs::write(&rules, rules_toml).unwrap();
        let text = format!("[guard.prompt_injection]\nrules_file = 'rules.toml'\n{more}\n");
        Config::parse(&text, "test.toml", &environment)
    };
    let good = "[[rule]]\nid = \"custom.names\"\nseverity = \"high\"\nsays = \"Names a project.\"\npatterns = [\"project hazel\"]\n";
    let exception = |rule: &str| format!("[[exception]]\nrule = '{rule}'\nreason = 'a test'\nexpires = 2099-01-01\n");
    let set = "rules = { 'prompt_injection.custom.names' = 'deny' }\n[guard.prompt_injection.servers.a.rules]\n'custom.names' = 'observe'";
    let (config, warnings) = of(good, &format!("{set}\n{}", exception("prompt_injection.custom.names"))).unwrap();
    assert_eq!(warnings, []);
    let id = "prompt_injection.custom.names";
    let held = &config.settings.guards["prompt_injection"];
    assert!(held.rules.contains_key(id) && held.servers["a"].rules.contains_key(id), "{held:?}");
    assert_eq!(config.settings.exceptions[0].rule, id);
    // All of them together, as before.
    of(good, &format!("rules = {{ 'prompt_injection.custom' = 'deny' }}\n{}", exception("prompt_injection.custom")))
        .unwrap();
    // A name that none of them has does nothing, and so is wrong.
    for (more, said, help) in [
        (
            "rules = { 'custom.nams' = 'deny' }".to_owned(),
            "3:11 guard `prompt_injection` has no rule `custom.nams`",
            "did you mean `prompt_injection.custom.names`?",
        ),
        (
            "rules = { 'quite_another' = 'deny' }".to_owned(),
            "3:11 guard `prompt_injection` has no rule",
            "`bartizan guards prompt_injection` lists them",
        ),
        (
            exception("prompt_injection.custom.nams"),
            "4:8 there is no rule `prompt_injection.custom.nams`",
            "did you mean `prompt_injection.custom.names`?",
        ),
        (
            exception("custom.names"),
            "4:8 there is no rule `custom.names`",
            "did you mean `prompt_injection.custom.names`?",
        ),
    ] {
        let found = list(&of(good, &more).unwrap_err());
        assert!(found.len() == 1 && found[0].starts_with(said) && found[0].contains(help), "{found:#?}");
    }
    let without =
        Config::parse("[guard.prompt_injection]\nrules = { 'custom.names' = 'deny' }\n", "test.toml", &environment);
    assert!(list(&without.unwrap_err())[0].starts_with("2:11 guard `prompt_injection` has no rule `custom.names`"));
    // What is wrong in that file is said of it and its line, once, whatever names its rules.
    for (from, to, line, column, said) in [
        ("custom.names", "names", 2, 6, "the id is none of an operator's rule"),
        ("project hazel", "project {hazel", 5, 13, "character 9 of the pattern: `{` is not closed"),
        ("says", "sais", 4, 1, "unknown field `sais`"),
    ] {
        let more = format!("rules = {{ 'custom.names' = 'deny' }}\n{}", exception("prompt_injection.custom.names"));
        let found = of(&good.replacen(from, to, 1), &more).unwrap_err();
        let [problem] = found.0.as_slice() else { panic!("{found}") };
        assert_eq!(
            (problem.file.as_str(), problem.line, problem.column),
            (&*rules.display().to_string(), line, column)
        );
        assert!(problem.message.starts_with(said) && problem.help.is_some(), "{found}");
        assert!(found.to_string().contains(&format!("rules.toml:{line}:{column}")), "{found}");
    }
}

/// Whether this program can run any or not; what else may be wrong with one, `tests/onnx` tries.
#[test]
fn models() {
    let has = |text: &str, why: &str| {
        let found = Config::parse(text, "test.toml", &environment()).unwrap_err();
        assert!(list(&found).iter().any(|found| found.starts_with(why)), "{found}");
    };
    has("[detection.model]\npat = 'm'\n", "2:1 unknown key `pat` | did you mean `path`?");
    let why = if bartizan_onnx::IS_BUILT { "nothing says which model" } else { "this bartizan was built without" };
    has("[detection]\n[detection.model]\npath = 'm'\n", &format!("2:12 {why}"));
}

#[test]
fn nobody_is_entitled_or_kept_apart_by_a_name_that_no_server_has() {
    check(
        "[server.office]\nurl = 'https://a.example'\n[guard.personal_data]\npurposes = { ofice = 'hr' }\n\
         entitled = [{ server = 'offfice', tool = 'send_*' }]\n",
        &[("4:", "`office`"), ("5:", "`office`")],
    );
}

#[test]
fn a_level_has_a_runtime_that_gives_it() {
    let text = |table: &str| format!("[server.x]\ncommand = [\"true\"]\n[server.x.sandbox]\n{table}\n");
    let wrong =
        |table: &str, problem: &str| check(&text(table), &[(problem, "runc or crun for `container`, runsc for `vm`")]);
    wrong("level = \"container\"\nruntime = \"runsc\"", "5:11 `runsc` gives the level `vm`, not `container`");
    wrong("level = \"vm\"\nruntime = \"/opt/runc-1.3\"", "5:11 `/opt/runc-1.3` gives the level `container`, not `vm`");
    wrong("level = \"vm\"\nruntime = \"docker\"", "5:11 `docker` is no runtime that is known here");
    wrong("level = \"container\"\nruntime = \"bin/runc\"", "5:11 `bin/runc` is neither the name of a program");
    wrong("runtime = \"runc\"", "4:11 the level `process` needs no runtime");
    let alone = ("`net` does not hold at the level `none`", "another level");
    let found = list(&errors(&text("level = \"none\"\nnet.allow = [\"example.com:443\"]")));
    assert!(matches!(&*found, [one] if one.contains(alone.0) && one.contains(alone.1)), "{found:#?}");

    let right = |table: &str, expected: (SandboxLevel, Option<&str>)| {
        let (mut config, _) = Config::parse(&text(table), "test.toml", &environment()).unwrap();
        let Upstream::Command(command) = config.servers.remove("x").unwrap().upstream else { panic!("{table}") };
        let sandbox = command.sandbox;
        let found = (sandbox.level, sandbox.runtime.as_deref().and_then(std::path::Path::to_str));
        assert_eq!(found, expected, "{table}");
    };
    right("", (SandboxLevel::Process, None));
    right("level = \"process\"", (SandboxLevel::Process, None));
    right("level = \"container\"", (SandboxLevel::Container, Some("runc")));
    right("level = \"container\"\nruntime = \"/opt/crun\"", (SandboxLevel::Container, Some("/opt/crun")));
    right(
        "level = \"vm\"\nrequire = [\"own_kernel\", \"netns\", \"userns\", \"seccomp\"]",
        (SandboxLevel::Vm, Some("runsc")),
    );
    right("level = \"none\"", (SandboxLevel::None, None));
}
