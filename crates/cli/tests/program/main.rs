//! The program as people use it: arguments in; output, errors and exit status out.
#![cfg(test)]

mod approve;
mod audit;
mod config;
mod flows;
mod grant;
mod inspect;
mod key;
mod lock;
mod places;
mod policy;
mod redteam;
mod replay;
mod run;
mod schema;
mod secret;
mod session;
mod subject;
mod support;
mod upstream;
mod user;
mod why;

use std::path::Path;

use support::{bartizan, bartizan_at, bartizan_with, write_log};

#[test]
fn help_lists_only_what_works() {
    let help = bartizan(&["--help"]).status(0).stdout;
    for command in ["audit", "config", "guards", "inspect", "lock", "why"] {
        assert!(help.contains(&format!("\n  {command}")), "{help}");
    }
    assert!(!help.contains("[...]") && !help.contains("TODO"), "{help}");
}

/// The commands, by the words behind the program.
const PAGES: [&[&str]; 10] = [
    &[],
    &["run"],
    &["serve"],
    &["demo"],
    &["inspect"],
    &["redteam"],
    &["lock"],
    &["lock", "diff"],
    &["audit"],
    &["audit", "verify"],
];

#[test]
fn help_fits_the_terminal() {
    for page in PAGES {
        let help = bartizan_with(&[("COLUMNS", "60")], Path::new("/"), &[page, &["-h"]].concat()).status(0).stdout;
        let long: Vec<_> = help.lines().filter(|line| line.chars().count() > 60).collect();
        assert!(long.is_empty(), "{page:?}: {long:?}");
        let wide = bartizan(&[page, &["--help"]].concat()).status(0).stdout;
        // What stands in columns is not broken on the terminal that most people have.
        let usual = bartizan_with(&[("COLUMNS", "80")], Path::new("/"), &[page, &["--help"]].concat()).status(0).stdout;
        let around = |help: &str| {
            help.split_once("Exit status:").or(help.split_once("Examples:")).map(|(_, text)| text.to_owned())
        };
        assert_eq!(around(&usual), around(&wide), "{page:?}");
        assert!(wide.lines().all(|line| line.chars().count() <= 100), "{wide}");
    }
}

#[test]
fn the_long_help_has_what_the_short_one_leaves_out() {
    let (short, long) = (bartizan(&["-h"]).status(0).stdout, bartizan(&["--help"]).status(0).stdout);
    for part in ["Exit status:", "BARTIZAN_HOME", "BARTIZAN_LOG", "~/.config/bartizan/bartizan.toml"] {
        assert!(long.contains(part) && !short.contains(part), "{part}: {long}");
    }
    for command in ["run", "serve", "lock", "audit"] {
        let long = bartizan(&[command, "--help"]).status(0).stdout;
        let (_, examples) = long.split_once("Examples:\n").unwrap();
        assert!(examples.lines().filter(|line| line.starts_with("  bartizan ")).count() >= 2, "{examples}");
    }
}

#[test]
fn help_speaks_in_one_mood() {
    for page in PAGES {
        let help = bartizan(&[page, &["--help"]].concat()).status(0).stdout;
        let what = help.lines().next().unwrap_or_default();
        let first = what.split([' ', ':']).next().unwrap_or_default();
        assert!(page.is_empty() || first.ends_with('s') && !what.ends_with('.'), "{page:?}: {what}");
    }
}

#[test]
fn a_level_that_there_is_not_is_said_and_switches_nothing_off() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().display().to_string();
    // A wrapped server that ends at once.
    let run = |level: &str| {
        let environment = [("BARTIZAN_HOME", home.as_str()), ("BARTIZAN_LOG", level)];
        bartizan_with(&environment, Path::new("/"), &["run", "--standalone", "--", "/bin/false"]).stderr
    };
    for wrong in ["foo", "warn,foo", "foo=bar"] {
        let stderr = run(wrong);
        assert!(stderr.contains(&format!("BARTIZAN_LOG is `{wrong}` and not ")), "{stderr}");
        assert!(stderr.contains("logging at warn"), "{stderr}");
    }
    for right in ["debug", "OFF", "", "warn,bartizan_gateway=debug"] {
        assert!(!run(right).contains("BARTIZAN_LOG"), "{right}");
    }
}

#[test]
fn wrong_usage_is_status_2() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["why"],
        &["why", "no-id"],
        &["guards", "nonsense"],
        &["audit", "verify", "--head", "x"],
    ] {
        let end = bartizan(arguments).status(2);
        assert!(end.stdout.is_empty() && !end.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_command_without_its_dashes_is_answered_with_what_to_type() {
    for (arguments, hint) in [
        (&["npx", "foo"][..], Some("bartizan run -- npx …\n")),
        (&["server"], Some("bartizan run -- server\n")),
        (&["--name", "npx", "npx", "-y", "token"], Some("bartizan run OPTIONS -- npx …\n")),
        (&["my server", "x"], Some("bartizan run -- 'my server' …\n")),
        (&["-y", "npx"], None),
        (&[], None),
        (&["--name"], None),
    ] {
        let stderr = bartizan(&[&["run"], arguments].concat()).status(2).stderr;
        let found = stderr.split_once("stands behind `--`: ").map(|(_, found)| found);
        assert_eq!(found, hint, "{stderr}");
        assert!(!stderr.contains("token"), "{stderr}");
    }
}

#[test]
fn a_place_without_its_option_is_told_from_other_mistakes() {
    for (arguments, hint) in [
        (&["serve", "bartizan.toml"][..], Some("bartizan serve --config bartizan.toml\n")),
        (&["audit", "tail", "/var/my log"], Some("bartizan audit tail --log '/var/my log'\n")),
        (&["audit", "tail", "-n", "3", "logs"], Some("bartizan audit tail --log logs\n")),
        (&["why", "01KE0000000000000000000000", "logs"], Some("bartizan why --log logs\n")),
        (&["serve", "--config", "a.toml", "b.toml"], None),
        (&["audit", "tail", "a", "b"], None),
        (&["serve", "--port"], None),
        (&["daemon", "bartizan.toml"], Some("bartizan daemon --config bartizan.toml\n")),
    ] {
        let stderr = bartizan(arguments).status(2).stderr;
        assert_eq!(stderr.split_once("say it as an option: ").map(|(_, said)| said), hint, "{stderr}");
    }
}

#[test]
fn who_has_no_id_is_told_where_one_is_found() {
    for (arguments, told) in
        [(&["why"][..], true), (&["why", "files"], true), (&["why", "--log"], false), (&["guards", "x"], false)]
    {
        let stderr = bartizan(arguments).status(2).stderr;
        assert_eq!(stderr.contains("bartizan audit tail --denied"), told, "{arguments:?}: {stderr}");
    }
}

/// What a command is about may stand by itself, and where it is found has the same option everywhere.
#[test]
fn every_spelling_of_a_place_means_the_same() {
    let home = tempfile::tempdir().unwrap();
    write_log(home.path(), &[]);
    let config = home.path().join("bartizan.toml");
    std::fs::write(&config, "[server.a]\ncommand = [\"cat\"]\n[audit]\ndirectory = \"audit\"\n").unwrap();
    let (config, log) = (config.display().to_string(), home.path().join("audit").display().to_string());
    for (one, other) in [
        (&["config", "check", &config][..], &["config", "check", "--config", &config][..]),
        (&["audit", "verify", &log], &["audit", "verify", "--log", &log]),
        (&["audit", "verify", &log], &["audit", "verify", "--config", &config]),
    ] {
        let (one, other) = (bartizan(one).status(0).stdout, bartizan(other).status(0).stdout);
        assert!(one == other && !one.is_empty(), "{one}{other}");
    }
    for both in
        [&["config", "check", "a", "--config", "b"][..], &["audit", "verify", "a", "--log", "b"], &["lock", "forget"]]
    {
        bartizan(both).status(2);
    }
}

#[test]
fn a_log_of_json_has_nothing_else_in_it() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("bartizan.toml");
    // The level leaves out everything but what is said in any case.
    let text = "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\nlevel = \"error\"\n\
                [server.a]\ncommand = [\"/nope\"]\n";
    std::fs::write(&config, text).unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_bartizan"))
        .args(["serve", "--config", &config.display().to_string()])
        .env_clear()
        .envs([("BARTIZAN_HOME", home.path().as_os_str()), ("BARTIZAN_LOG", "loud".as_ref())])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(gateway.stderr.take().unwrap()).lines().map(Result::unwrap) {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let message = line["fields"]["message"].as_str().unwrap().to_owned();
        assert!(line["timestamp"].is_string() && line["target"] == "bartizan::notice", "{line}");
        if message.starts_with("bartizan serves MCP at http://") {
            assert!(Command::new("kill").args(["-INT", &gateway.id().to_string()]).status().unwrap().success());
        }
        said.push((line["level"].as_str().unwrap().to_owned(), message));
    }
    assert!(gateway.wait().unwrap().success());
    let expected = [
        ("WARN", "BARTIZAN_LOG"),
        ("WARN", "/nope"),
        ("INFO", "serves MCP"),
        ("INFO", "health and"),
        ("INFO", "stopping"),
    ];
    assert_eq!(said.len(), expected.len(), "{said:?}");
    for ((level, message), (at, part)) in said.iter().zip(expected) {
        assert!(level == at && message.contains(part), "{said:?}");
    }
}

/// What `serve` says at its start with this under `[listen]`, until it says that it serves.
fn started(listen: &str) -> Vec<String> {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("bartizan.toml");
    let text = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n{listen}[admin]\naddress = \"127.0.0.1:0\"\n[log]\nlevel = \"error\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_bartizan"))
        .args(["serve", "--config", &config.display().to_string()])
        .env_clear()
        .env("BARTIZAN_HOME", home.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(gateway.stderr.take().unwrap()).lines().map(Result::unwrap) {
        // The last line of the start.
        if line.starts_with("health and metrics at ") {
            assert!(Command::new("kill").args(["-INT", &gateway.id().to_string()]).status().unwrap().success());
        }
        said.push(line);
    }
    assert!(gateway.wait().unwrap().success(), "{said:?}");
    said
}

#[test]
fn where_it_listens_is_said_and_where_clients_find_it_if_that_is_elsewhere() {
    let listens = |line: &str| {
        let port =
            line.strip_prefix("bartizan serves MCP at http://127.0.0.1:").and_then(|rest| rest.strip_suffix("/mcp"));
        port.and_then(|port| port.parse::<u16>().ok()).is_some_and(|port| port > 0)
    };
    let said = started("public_url = \"https://mcp.example.com\"\n");
    assert!(listens(&said[0]) && said[1] == "clients connect to https://mcp.example.com/mcp", "{said:?}");
    assert!(said[2].starts_with("health and metrics at http://127.0.0.1:"), "{said:?}");
    // The twin: where that is the same it is said once.
    let said = started("");
    assert!(listens(&said[0]) && said[1].starts_with("health and metrics at "), "{said:?}");
    assert!(!said.iter().any(|line| line.contains("clients connect to")), "{said:?}");
}

#[test]
fn the_directory_in_force_is_named() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().display().to_string();
    for (variables, place) in [
        (&[("BARTIZAN_HOME", &*home), ("HOME", "/h")][..], home.clone()),
        (&[("XDG_STATE_HOME", &*home), ("HOME", "/h")], format!("{home}/bartizan")),
        (&[("HOME", &*home)], format!("{home}/.local/state/bartizan")),
    ] {
        let end = bartizan_with(variables, Path::new("/"), &["daemon", "--stop"]).status(0);
        assert!(end.stderr.contains("none runs") && end.stderr.ends_with(&format!(" {place}\n")), "{}", end.stderr);
    }
}

#[test]
fn a_directory_that_depends_on_where_one_is_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let user = home.path().display().to_string();
    for (given, good) in [("state", false), ("./state", false), ("", true), (&*user, true)] {
        let end = bartizan_with(&[("BARTIZAN_HOME", given), ("HOME", &user)], home.path(), &["daemon", "--stop"]);
        let end = end.status(if good { 0 } else { 2 });
        assert_eq!(end.stderr.contains(&format!("BARTIZAN_HOME is `{given}`, and has to be")), !good, "{}", end.stderr);
    }
}

#[test]
fn an_end_has_neither_a_file_nor_a_time() {
    let home = tempfile::tempdir().unwrap();
    for (more, good) in [(&["--idle", "3"][..], false), (&["--config", "x.toml"], false), (&[], true)] {
        let end = bartizan_at(home.path(), &[&["daemon", "--stop"], more].concat()).status(if good { 0 } else { 2 });
        assert_eq!(end.stderr.contains("cannot be used with"), !good, "{}", end.stderr);
    }
}

#[test]
fn who_holds_the_log_is_said_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let (place, config) = (home.path().join("audit"), home.path().join("bartizan.toml"));
    std::fs::write(&config, "[listen]\naddress = \"127.0.0.1:0\"\n[audit]\ndirectory = \"audit\"\n").unwrap();
    let _held = bartizan_audit::Log::open(&place, &bartizan_audit::Options::default()).unwrap();
    let end = bartizan(&["serve", "--config", &config.display().to_string()]).status(4);
    let who = format!("{} is already being written by process {}\n", place.display(), std::process::id());
    assert!(end.stderr.contains(&who) && end.stderr.contains("help: stop that process, or "), "{}", end.stderr);
}

#[test]
fn guards_lists_every_guard_and_rule() {
    let text = bartizan(&["guards"]).status(0).stdout;
    let json = bartizan(&["guards", "--json"]).status(0).json();
    assert_eq!(json["format"], "bartizan.guards/1");
    let guards = json["guards"].as_array().unwrap();
    assert_eq!(guards.len(), bartizan_guard::guards::ALL.len());
    for (guard, spec) in guards.iter().zip(bartizan_guard::guards::ALL) {
        assert!(text.contains(&format!("{}\n  {}\n", spec.name, spec.threat)), "{}", spec.name);
        assert_eq!(guard["rules"].as_array().unwrap().len(), spec.rules.len());
        assert!(spec.rules.iter().all(|rule| text.contains(rule.id) && text.contains(rule.summary)), "{}", spec.name);
        assert!(guard["options"]["$schema"].is_string(), "{}", spec.name);
    }
    let one = bartizan(&["guards", "rate"]).status(0).stdout;
    assert!(one.contains("rate.tool") && !one.contains("conformance"), "{one}");
    // Rules are what people see in refusals.
    assert_eq!(bartizan(&["guards", "rate.tool"]).status(0).stdout, one);
}

#[test]
fn the_page_about_guards_is_what_the_program_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/guards.md");
    let page = bartizan(&["guards", "--markdown"]).status(0).stdout;
    assert!(
        std::fs::read_to_string(path).unwrap() == page,
        "docs/src/guards.md is out of date: write it with `bartizan guards --markdown`"
    );
}

#[test]
fn every_command_and_option_is_on_its_page() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/commands.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut seen = 0;
    let mut waiting = vec![Vec::new()];
    while let Some(command) = waiting.pop() {
        let help = bartizan(&[&command[..], &["--help"]].concat()).status(0).stdout;
        let (_, listed) = help.split_once("Commands:\n").unwrap_or_default();
        // What is indented further goes on with the line before.
        let lines = listed.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  "));
        let names = lines.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_whitespace().next());
        for name in names.filter(|name| *name != "help") {
            let name: &'static str = name.to_owned().leak();
            waiting.push([&command[..], &[name]].concat());
        }
        let options = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        for option in options.filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--"))) {
            let everywhere = ["--help", "--version"].contains(&option);
            assert!(everywhere || page.contains(option), "{option} of {command:?}");
        }
        let words = command.join(" ");
        let last = command.last().copied().unwrap_or_default();
        let shown = page.contains(&format!("## `bartizan {words}")) || page.contains(&format!("`{last}` "));
        assert!(shown || command.is_empty(), "{words}");
        seen += 1;
    }
    assert!(seen > 12, "{seen}");
}

#[test]
fn output_has_no_colours_when_it_is_no_terminal() {
    assert!(!bartizan(&["guards"]).status(0).stdout.contains('\x1b'));
}

#[test]
fn a_reader_that_stops_reading_is_no_error() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_bartizan"))
        .args(["config", "schema"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let end = child.wait_with_output().unwrap();
    assert_eq!((end.status.code(), end.stderr.as_slice()), (Some(0), &b""[..]));
}
