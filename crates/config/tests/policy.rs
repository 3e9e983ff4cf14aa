//! Roles, groups and policies: what they mean together, and what is wrong with them.
#![cfg(test)]

use std::path::Path;

use bartizan_config::{Config, Environment, Severity};
use bartizan_guard::{Principal, Timestamp};
use bartizan_policy::{Circumstances, Hints, Labels, Outcome, Purpose, Use};

fn parse(text: &str, directory: &Path) -> Result<Config, Vec<String>> {
    let variables = [("HOME".to_owned(), "/home/user".to_owned())].into();
    let environment = Environment { variables, directory: directory.to_owned(), now: Timestamp(0) };
    let (config, _) = Config::parse(text, "test.toml", &environment).map_err(|found| {
        let errors = found.0.iter().filter(|problem| problem.severity == Severity::Error);
        errors.map(|problem| format!("{}:{} {}", problem.line, problem.column, problem.message)).collect::<Vec<_>>()
    })?;
    Ok(config)
}

/// Whether somebody may call a tool of which nothing is known.
fn may(config: &Config, who: &str, server: &str, tool: &str) -> bool {
    let Some(policies) = &config.settings.policies else { return true };
    let subject = policies.subject(&Principal::new(who)).unwrap();
    let target = policies.target(server, Use::Call(tool, None, Hints::default())).unwrap();
    let decision = policies.decide(
        &subject,
        &target,
        Purpose::Use,
        Circumstances { now: 0, arguments: None, labels: Labels::NONE },
    );
    decision.outcome == Outcome::Allow
}

#[test]
fn tables_say_who_may_do_what() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("p.cedar"),
        "permit(principal == Mcp::User::\"eve\", action, resource == Mcp::Tool::\"git/log\");",
    )
    .unwrap();
    let text = "[policy]\nfiles = ['p.cedar']\n\
        [role.dev]\nallow = ['tool:git/*', 'group:reading']\ndeny = ['tool:git/push']\nmembers = ['ann']\n\
        [group.team]\nmembers = ['bea']\nroles = ['dev']\n[tool_group.reading]\nmembers = ['tool:files/read*']\n";
    let config = parse(text, directory.path()).unwrap();
    for (who, server, tool, allowed) in [
        ("ann", "git", "log", true),
        ("bea", "git", "log", true),
        ("eve", "git", "log", true),
        ("eve", "git", "show", false),
        ("ann", "git", "push", false),
        ("ann", "files", "read_all", true),
        ("ann", "files", "write", false),
        ("nobody", "git", "log", false),
    ] {
        assert_eq!(may(&config, who, server, tool), allowed, "{who} {server} {tool}");
    }
}

#[test]
fn without_a_table_nothing_is_asked_and_with_one_nothing_is_allowed() {
    let none = Path::new("/");
    assert!(parse("", none).unwrap().settings.policies.is_none());
    for (text, allowed) in [
        ("[policy]\n", false),
        ("[role.dev]\n", false),
        ("[group.team]\n", false),
        ("[tool_group.t]\n", false),
        ("[policy]\ndefault = 'permit'\n", true),
    ] {
        assert_eq!(may(&parse(text, none).unwrap(), "ann", "git", "log"), allowed, "{text}");
    }
}

#[test]
fn what_is_wrong_is_said_at_its_place() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("bad.cedar"), "\n  permit(principal, action);").unwrap();
    std::fs::write(
        directory.path().join("type.cedar"),
        "permit(principal, action, resource)\nwhen { principal.age > 1 };",
    )
    .unwrap();
    for (text, expected) in [
        ("[policy]\ndefault = 'allow'\n", "2:11 unknown value `allow`"),
        ("[policy]\nfiles = ['none.cedar']\n", "2:10 cannot read the policies in"),
        ("[policy]\nfiles = ['.']\n", "2:10 cannot read the policies in"),
        ("[policy]\nfiles = ['bad.cedar']\n", "bad.cedar:2:"),
        ("[policy]\nfiles = ['type.cedar']\n", "type.cedar:2:8"),
        ("[role.Dev]\n", "1:7 `Dev` is no name"),
        (
            "[role.dev]\nallow = ['tool:git']\n",
            "2:10 `tool:git` is no scope; there are mcp, server:NAME, tool:SERVER/NAME, prompt:SERVER/NAME and resource:SERVER/URI, and group:NAME for a tool group",
        ),
        ("[role.dev]\nallow = ['mcp', 'group:none']\n", "2:17 there is no tool group `none`"),
        ("[role.dev]\nmay = ['mcp']\n", "2:1 unknown key `may`"),
        ("[group.team]\nroles = ['dev']\n", "2:10 there is no role `dev`"),
        ("[tool_group.t]\nmembers = ['group:t']\n", "2:12 `group:t` is no scope"),
        ("[guard.policy]\nenabled = false\n", "cannot be switched off"),
        (
            "[guard.policy]\nrules = { approval = 'observe' }\n",
            "the rule `policy.approval` always asks and cannot be set",
        ),
    ] {
        let found = parse(text, directory.path()).err().unwrap_or_else(|| panic!("nothing wrong was found in {text}"));
        assert!(found.len() == 1 && found.iter().all(|one| one.contains(expected)), "{text}\n{found:?}");
    }
}

#[test]
fn what_nobody_can_ever_answer_is_a_warning_and_what_somebody_can_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let files = [
        ("proof", "@challenge(\"step_up\")"),
        ("aged", "@challenge(\"step_up\") @max_age(\"5m\")"),
        ("lead", "@challenge(\"approval\") @approvers(\"role:lead\")"),
        ("ann", "@challenge(\"approval\") @approvers(\"user:ann\")"),
        ("asks", "@challenge(\"approval\")"),
        ("none", ""),
    ];
    for (name, challenge) in files {
        let text = format!("@id(\"{name}\") {challenge} forbid(principal, action, resource);");
        std::fs::write(directory.path().join(format!("{name}.cedar")), text).unwrap();
    }
    let sign_in = "[listen]\npublic_url = 'http://localhost:8484'\n[auth]\nrequired = true\n[sign_in]\n";
    let issuer = "[auth]\nrequired = true\n[auth.oauth.corp]\nissuer = 'https://idp.example.com'\n";
    let leads = "[role.lead]\nmembers = ['ann']\n";
    let usual = |approver: &str| format!("[approval]\napprovers = ['{approver}']\n");
    for (file, more, said) in [
        ("proof", "", Some("proof.cedar:1:1: `proof` asks for a proof that nobody can ever give")),
        ("proof", issuer, Some("without `@max_age` no token")),
        ("proof", sign_in, None),
        ("aged", "", Some("`aged` asks for a proof")),
        ("aged", issuer, None),
        ("lead", "", Some("the configuration gives nobody the role `lead`")),
        ("lead", leads, Some("nobody of the role `lead` can: `ann` could approve only on a page")),
        ("lead", "[role.lead]\nmembers = ['ann', 'uid:7']\n", None),
        ("lead", &format!("{sign_in}{leads}"), None),
        ("ann", "", Some("`ann` could approve only on a page")),
        ("ann", sign_in, None),
        ("asks", "", None),
        ("asks", &usual("user:ann"), Some("nobody can ever approve what asks for that: `ann` could")),
        ("asks", &usual("user:uid:7"), None),
        // Where nothing asks them they stand in nobody's way.
        ("ann", &format!("{}[role.lead]\n", usual("user:uid:x")), Some("`ann` could approve only on a page")),
        ("none", &usual("user:ann"), None),
        (
            "none",
            &format!("{}[guard.hidden_text]\naction = 'approve'\n", usual("user:ann")),
            Some("nobody can ever approve"),
        ),
        (
            "none",
            &format!("{}[role.lead]\napprove = ['server:a']\n", usual("user:ann")),
            Some("nobody can ever approve"),
        ),
        ("none", &format!("{}[role.lead]\nallow = ['server:a']\n", usual("user:ann")), None),
        ("asks", &format!("{sign_in}{}", usual("user:ann")), None),
    ] {
        let text = format!("[policy]\nfiles = ['{file}.cedar']\n{more}");
        let variables = [("HOME".to_owned(), "/home/user".to_owned())].into();
        let environment = Environment { variables, directory: directory.path().to_owned(), now: Timestamp(0) };
        let (_, mut warnings) =
            Config::parse(&text, "test.toml", &environment).unwrap_or_else(|found| panic!("{found}"));
        // What has no effect as everything is forbidden is another matter.
        let is_other = |message: &str| {
            message.contains("`none` always forbids it") || message.starts_with("nobody may do anything")
        };
        warnings.retain(|warning| !is_other(&warning.message));
        match (said, &warnings[..]) {
            (None, found) => assert_eq!(found, [], "{text}"),
            (Some(said), [one]) => {
                assert!(one.severity == Severity::Warning && one.message.contains(said), "{text}\n{one}");
                let line = text.lines().position(|line| {
                    line.starts_with(if ["asks", "none"].contains(&file) { "approvers" } else { "files" })
                });
                assert_eq!(Some(one.line), line.map(|line| line + 1), "{text}\n{one}");
            }
            (Some(_), found) => panic!("{text}\n{found:?}"),
        }
    }
}

#[test]
fn policies_by_which_nobody_may_do_anything_are_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    for (policies, more, said) in [
        ("forbid(principal, action, resource in Mcp::Server::\"a\");", "", Some("no policy permits anything")),
        (
            "permit(principal, action, resource); @id(\"all\") forbid(principal, action, resource);",
            "",
            Some("`all` forbids everything"),
        ),
        ("forbid(principal, action, resource in Mcp::Server::\"a\");", "default = 'permit'\n", None),
        ("permit(principal, action, resource); forbid(principal, action, resource in Mcp::Server::\"a\");", "", None),
        ("forbid(principal, action, resource in Mcp::Server::\"a\");", "[role.clerk]\nallow = ['server:b']\n", None),
    ] {
        std::fs::write(directory.path().join("p.cedar"), policies).unwrap();
        let text = format!("[policy]\nfiles = ['p.cedar']\n{more}");
        let environment = Environment {
            variables: [("HOME".to_owned(), "/home/user".to_owned())].into(),
            directory: directory.path().to_owned(),
            now: Timestamp(0),
        };
        let (_, warnings) = Config::parse(&text, "test.toml", &environment).unwrap();
        let found: Vec<_> = warnings.iter().filter(|one| one.message.starts_with("nobody may do anything")).collect();
        assert_eq!(found.len(), usize::from(said.is_some()), "{text}{policies}: {warnings:?}");
        assert!(
            found.iter().all(|one| one.line == 1 && said.is_some_and(|said| one.message.contains(said))),
            "{found:?}"
        );
    }
}

#[test]
fn members_that_differ_only_in_case_are_refused() {
    let none = Path::new("/");
    let text =
        "[role.barred]\ndeny = ['server:bank']\nmembers = ['ann', 'corp:bea']\n\n[group.team]\nmembers = ['MEMBER']\n";
    let found = parse(&text.replace("MEMBER", "Ann"), none).unwrap_err();
    assert_eq!(found, ["6:12 `Ann` differs from the member `ann` only in case"]);
    for name in ["ann", "corp:Bea", "dora"] {
        parse(&text.replace("MEMBER", name), none).unwrap();
    }
}

#[test]
fn a_mistyped_name_in_a_list_is_warned_about_where_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("p.cedar"), "\n forbid(principal, action, resource in Mcp::Server::\"bnk\");")
        .unwrap();
    let environment = Environment {
        variables: [("HOME".to_owned(), "/home/user".to_owned())].into(),
        directory: directory.path().to_owned(),
        now: Timestamp(0),
    };
    let read = |text: &str| {
        let (config, warnings) = Config::parse(text, "test.toml", &environment).unwrap();
        let shown = |warnings: Vec<bartizan_config::Diagnostic>| -> Vec<String> {
            warnings.iter().map(|of| format!("{}:{}:{} {}", of.file, of.line, of.column, of.message)).collect()
        };
        let tools =
            bartizan_config::Tools::from([("bank".to_owned(), ["balance".to_owned(), "pay".to_owned()].into())]);
        (shown(warnings), shown(config.without_tools(&tools)))
    };
    let text = "[server.bank]\ncommand = ['bank']\n[policy]\nfiles = ['p.cedar']\n[role.clerk]\nmembers = ['ann']\n\
        allow = ['tool:bank/*']\ndeny = ['tool:bnk/pay']\napprove = ['tool:bank/blance']\n[tool_group.g]\nmembers = ['server:bakn']\n";
    let (warnings, of_tools) = read(text);
    let has =
        |all: &[String], place: &str, words: &str| all.iter().any(|one| one.contains(place) && one.contains(words));
    assert!(has(&warnings, "test.toml:8:9 ", "there is no server `bnk`; did you mean `bank`?"), "{warnings:#?}");
    assert!(has(&warnings, "p.cedar:2:2 ", "there is no server `bnk`; did you mean `bank`?"), "{warnings:#?}");
    assert!(has(&warnings, "test.toml:11:12 ", "no server `bakn`"), "{warnings:#?}");
    assert_eq!(of_tools.len(), 1, "{of_tools:#?}");
    assert!(
        has(&of_tools, "test.toml:9:12 ", "server `bank` has no tool `blance`; did you mean `balance`?"),
        "{of_tools:#?}"
    );
    // All of it as it was meant, and a server that is switched off.
    let right = text
        .replace("bnk", "bank")
        .replace("blance", "balance")
        .replace("bakn", "bank")
        .replace("files = ['p.cedar']", "");
    assert_eq!(read(&right), (Vec::new(), Vec::new()));
    let off = right.replace("command = ['bank']", "command = ['bank']\nenabled = false");
    assert_eq!(read(&off).1, Vec::<String>::new());
}
