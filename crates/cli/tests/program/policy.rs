//! `bartizan policy`.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use bartizan_trust::{Definition, Lock};

use crate::support::{End, bartizan_at};

const CONFIG: &str = "[policy]\nfiles = ['p.cedar']\n\
    [role.clerk]\nallow = ['tool:bank/balance']\ndeny = ['tool:bank/close']\nmembers = ['ann']\n\
    [group.team]\nmembers = ['ann']\n[lock]\npath = 'mcp.lock'\n";

const POLICY: &str = "@id(\"pay\") @advice(\"Ask the treasury.\")\n\
    permit(principal in Mcp::Group::\"team\", action == Mcp::Action::\"bank/pay\", resource)\n\
    when { context.input.amount <= 500 };\n";

/// A tool of a bank, with a text as the lock file keeps it.
fn tool(name: &str, rest: &str) -> Definition {
    use sha2::{Digest, Sha256};
    let json = format!(r#"{{"name":"{name}"{rest}}}"#);
    let sha256 = Sha256::digest(json.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    Definition { kind: "tool".to_owned(), name: name.to_owned(), sha256, body: None, labels: None, json }
}

fn policy(policies: &str, arguments: &[&str]) -> End {
    configured("", policies, arguments)
}

/// The same with more in the configuration.
fn configured(more: &str, policies: &str, arguments: &[&str]) -> End {
    let home = tempfile::tempdir().unwrap();
    let home: &Path = home.path();
    fs::write(home.join("bartizan.toml"), format!("{CONFIG}{more}")).unwrap();
    fs::write(home.join("p.cedar"), policies).unwrap();
    let mut lock = Lock::open(home.join("mcp.lock")).unwrap();
    let schema =
        r#","inputSchema":{"type":"object","properties":{"amount":{"type":"integer"},"odd":{}},"required":["amount"]}"#;
    lock.record_first_seen("bank", &[tool("pay", schema), tool("balance", "")], SystemTime::now()).unwrap();
    let file = home.join("bartizan.toml").display().to_string();
    bartizan_at(home, &[&["policy"], arguments, &["--config", &file]].concat())
}

#[test]
fn policies_are_held_against_approved_tools() {
    let end = policy(POLICY, &["check"]).status(0);
    assert_eq!(
        end.stdout,
        "warning: roles: `role.clerk.deny tool:bank/close` is about nothing: server `bank` has no tool `close`\n\
         note: no policy can read bank/pay: odd\nok: 3 policies, held against 2 tools, 1 warning\n"
    );
    let end = policy(POLICY, &["check", "--strict"]).status(1);
    assert!(end.stdout.starts_with("warning: "), "{}", end.stdout);
    let json = policy(&format!("{POLICY}forbid(principal, action, resource);"), &["check", "--json"]).status(0).json();
    let warnings: Vec<_> = json["warnings"].as_array().unwrap().iter().filter_map(|one| one.as_str()).collect();
    let overridden =
        |one: &&str| one.contains("p.cedar:1:1: `pay` never permits anything") && one.contains("always forbids it");
    assert!(warnings.iter().any(overridden), "{warnings:?}");
    let json = policy(POLICY, &["check", "--json"]).status(0).json();
    assert_eq!(json["tools"], serde_json::json!(["bank/balance", "bank/pay"]));

    let odd = POLICY.replace("amount <= 500", "odd == 5");
    let end = policy(&odd, &["check"]).status(1);
    assert!(end.stdout.contains("p.cedar:3:") && end.stdout.contains("reads argument `odd`"), "{}", end.stdout);
    let end = policy("permit(principal);", &["check"]).status(2);
    assert!(end.stderr.contains("p.cedar:1:"), "{}", end.stderr);
}

#[test]
fn what_an_issuer_may_bring_is_not_taken_for_nothing() {
    let policies = "permit(principal in Mcp::Role::\"far\", action, resource);\n\
        permit(principal in Mcp::Group::\"far\", action, resource);\n";
    let issuer = "[auth.oauth.corp]\nissuer = 'https://idp.example.com'\n";
    for (claims, warned) in [
        ("", &["`far`", "`far`"][..]),
        ("claims = { roles = 'roles' }\n", &["group `far`"]),
        ("claims = { groups = 'groups' }\n", &["role `far`"]),
        ("claims = { roles = 'roles', groups = 'groups' }\n", &[]),
    ] {
        let json = configured(&format!("{issuer}{claims}"), policies, &["check", "--json"]).status(0).json();
        let warnings = json["warnings"].as_array().unwrap().iter().filter_map(|one| one.as_str());
        let about: Vec<_> = warnings.filter(|one| one.contains("`far`")).collect();
        assert_eq!(about.len(), warned.len(), "{claims}: {about:?}");
        assert!(about.iter().zip(warned).all(|(one, part)| one.contains(part)), "{claims}: {about:?}");
    }
}

#[test]
fn a_decision_is_explained() {
    for (arguments, decision, listed, by) in [
        (&["ann", "bank/pay", "{\"amount\": 500}"][..], "allow", true, Some("pay")),
        (&["ann", "bank/pay", "{\"amount\": 501}"], "deny", true, None),
        (&["ann", "bank/pay", "{\"amount\": \"1\"}"], "deny", true, None),
        (&["eve", "bank/pay", "{\"amount\": 500}"], "deny", false, None),
        (&["ann", "bank/balance"], "allow", true, Some("role.clerk.allow tool:bank/balance")),
        (&["eve", "bank/balance", "--role", "clerk"], "allow", true, Some("role.clerk.allow tool:bank/balance")),
        (&["ann", "bank/close"], "deny", false, Some("role.clerk.deny tool:bank/close")),
    ] {
        let json = policy(POLICY, &[&["explain"], arguments, &["--json"]].concat()).status(0).json();
        assert_eq!(
            (json["decision"].as_str(), json["listed"].as_bool()),
            (Some(decision), Some(listed)),
            "{arguments:?}"
        );
        assert_eq!(json["policies"][0]["id"].as_str(), by, "{arguments:?}");
    }
    let text = policy(POLICY, &["explain", "ann", "bank/pay", "{\"amount\": 5}"]).status(0).stdout;
    for part in [
        "allow: ann may call bank/pay\n",
        "roles   clerk\n",
        "groups  team\n",
        "by pay\n",
        "Ask the treasury.",
        "context.input.amount",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for wrong in [&["ann", "bank"][..], &["ann", "/pay"], &["ann", "bank/pay", "{"]] {
        policy(POLICY, &[&["explain"], wrong].concat()).status(2);
    }
}

/// What `policy test` says of these cases.
fn cases(text: &str, more: &[&str]) -> End {
    let home = tempfile::tempdir().unwrap();
    let home: &Path = home.path();
    fs::create_dir(home.join("conf")).unwrap();
    fs::write(home.join("conf/own.toml"), CONFIG).unwrap();
    fs::write(home.join("conf/p.cedar"), POLICY).unwrap();
    fs::write(home.join("cases.toml"), text).unwrap();
    let file = home.join("cases.toml").display().to_string();
    let mut end = bartizan_at(home, &[&["policy", "test", &file], more].concat());
    for text in [&mut end.stdout, &mut end.stderr] {
        *text = text.replace(&file, "cases.toml");
    }
    end
}

#[test]
fn cases_are_decided_and_differences_shown() {
    let file = "config = 'conf/own.toml'\n[tool.'bank/pay']\ninputSchema = { type = 'object', properties = { amount = { type = 'integer' } }, required = ['amount'] }\n";
    let pay = |amount: u32, rest: &str| {
        format!(
            "[[case]]\nname = 'pay {amount}'\nwho = 'ann'\ntool = 'bank/pay'\narguments = {{ amount = {amount} }}\n{rest}\n"
        )
    };
    let good = format!(
        "{file}{}{}",
        pay(500, "expect = 'allow'\npolicies = ['pay']\nlisted = true"),
        pay(501, "expect = 'deny'")
    );
    let end = cases(&good, &[]).status(0);
    assert_eq!(end.stdout, "cases.toml\n  ok    pay 500\n  ok    pay 501\n2 cases: 2 as expected, 0 not\n");

    let bad = format!("{file}{}", pay(501, "expect = 'allow'\npolicies = ['pay']\nlisted = true"));
    let end = cases(&bad, &[]).status(1);
    assert_eq!(
        end.stdout,
        "cases.toml\n  FAIL  pay 501\n        ann: tool bank/pay {\"amount\":501}\n        decision  - allow\n                  + deny\n        \
         policies  - pay\n                  + none\n1 case: 0 as expected, 1 not\n"
    );
    let json = cases(&bad, &["--json"]).status(1).json();
    assert_eq!((json["passed"].as_u64(), json["failed"].as_u64()), (Some(0), Some(1)));
    assert_eq!(json["files"][0]["cases"][0]["found"]["decision"], "deny");

    let signed = "config = 'conf/own.toml'\n[[case]]\nname = 'a tenant'\nwho = 'cy'\nroles = ['clerk']\ntenant = 'acme'\n\
        signed_in = 2026-03-03T08:00:00Z\nmethods = ['otp']\nnow = 2026-03-03T09:00:00+01:00\ntool = 'bank/balance'\nexpect = 'allow'\n";
    cases(signed, &[]).status(0);

    for (wrong, says) in [
        ("", "cases.toml has no [[case]]"),
        ("[[case]]\nname = 'a'\n", "missing field `who`"),
        ("[[cases]]\n", "unknown field `cases`"),
        ("config = 'conf/own.toml'\n[[case]]\nname = 'a'\nwho = 'b'\nexpect = 'allow'\n", "case `a`: exactly one of"),
        ("config = 'conf/own.toml'\n[[case]]\nname = 'a'\nwho = 'b'\nexpect = 'allow'\ntool = 'x'\n", "names no tool"),
        (
            "config = 'conf/own.toml'\n[[case]]\nname = 'a'\nwho = 'b'\nexpect = 'maybe'\ntool = 'x/y'\n",
            "unknown variant `maybe`",
        ),
        (
            "config = 'conf/own.toml'\n[[case]]\nname = 'a'\nwho = 'b'\nexpect = 'deny'\ntool = 'x/y'\nnow = 09:00:00\n",
            "is no moment",
        ),
        ("config = 'conf/none.toml'\n[[case]]\nname = 'a'\nwho = 'b'\nexpect = 'deny'\ntool = 'x/y'\n", "none.toml"),
    ] {
        let end = cases(wrong, &[]).status(2);
        assert!(end.stderr.contains(says), "{wrong}\n{}", end.stderr);
    }
}

#[test]
fn approvers_that_nobody_is_are_noticed() {
    let asks = |approvers: &str| {
        format!(
            "{POLICY}@id(\"big\") @challenge(\"approval\") @approvers(\"{approvers}\")\n\
            forbid(principal, action == Mcp::Action::\"bank/pay\", resource);\n"
        )
    };
    let more = "[role.lead]\nallow = ['server:bank']\n[group.leads]\nroles = ['lead']\n[group.bosses]\nroles = ['boss']\nmembers = ['bea']\n[role.boss]\n";
    let signs_in = format!("{more}[sign_in]\n");
    for (approvers, config, said) in [
        ("role:lead", &*signs_in, Some("can ever give: the configuration gives nobody the role `lead`")),
        ("role:nowhere", &signs_in, Some("can ever give: the configuration gives nobody the role `nowhere`")),
        ("group:leads", &signs_in, Some("can ever give: the configuration has nobody in the group `leads`")),
        ("role:boss, role:lead", &signs_in, Some("`role:lead` approve, and the configuration gives nobody the role")),
        ("role:boss", &signs_in, None),
        ("role:clerk", &signs_in, None),
        ("group:bosses", &signs_in, None),
        ("user:eve", &signs_in, None),
        // Without pages a user of this machine can, by a command, and nobody else.
        ("role:boss", more, Some("nobody of the role `boss` can: `bea` could approve only on a page")),
        ("user:eve", more, Some("can ever give: `eve` could approve only on a page")),
        ("user:eve, user:uid:7", more, Some("`user:eve` approve, and `eve` could approve only on a page")),
        ("user:uid:7", more, None),
    ] {
        let json = configured(config, &asks(approvers), &["check", "--json"]).status(0).json();
        let warnings: Vec<_> = json["warnings"].as_array().unwrap().iter().filter_map(|one| one.as_str()).collect();
        let about: Vec<_> = warnings.iter().filter(|one| one.contains("p.cedar:") && one.contains("`big`")).collect();
        match said {
            Some(said) => assert!(matches!(&about[..], [one] if one.contains(said)), "{approvers}: {warnings:?}"),
            None => assert!(about.is_empty(), "{approvers}: {warnings:?}"),
        }
    }
    for (approvers, said) in [
        ("'role:lead'", Some("by `approvers` under [approval] nobody can ever approve")),
        ("'role:boss', 'role:lead'", Some("`approvers` under [approval] have `role:lead`, and")),
        ("'role:boss'", None),
    ] {
        let more = format!("{signs_in}[approval]\napprovers = [{approvers}]\n");
        let warnings = configured(&more, POLICY, &["check", "--json"]).status(0).json()["warnings"].to_string();
        assert_eq!(warnings.contains("under [approval]"), said.is_some(), "{approvers}: {warnings}");
        assert!(said.is_none_or(|said| warnings.contains(said)), "{approvers}: {warnings}");
    }
}

#[test]
fn a_proof_that_nobody_can_give_is_noticed_and_one_that_somebody_can_is_not() {
    let issuer = "[auth.oauth.corp]\nissuer = 'https://idp.example.com'\n";
    for (max_age, more, said) in [
        ("", "", Some("as there is no [sign_in]")),
        ("", issuer, Some("without `@max_age` no token is taken for it")),
        ("@max_age(\"5m\")", "", Some("no [auth.oauth.NAME] takes tokens")),
        ("", "[sign_in]\n", None),
        ("@max_age(\"5m\")", issuer, None),
    ] {
        let policies = format!(
            "{POLICY}@id(\"proof\") @challenge(\"step_up\") {max_age}\n\
            forbid(principal, action == Mcp::Action::\"bank/pay\", resource);\n"
        );
        let found = configured(more, &policies, &["check", "--json"]).status(0).json()["warnings"].to_string();
        assert_eq!(found.contains("`proof`"), said.is_some(), "{max_age} {more}: {found}");
        assert!(said.is_none_or(|said| found.contains(said)), "{max_age} {more}: {found}");
    }
}

#[test]
fn a_tool_that_is_not_known_is_said() {
    let everything = "permit(principal, action, resource);";
    for (tool, said) in [
        ("bank/pya", Some("no tool `pya` of the server `bank` is approved, so none is known; did you mean `pay`?")),
        ("bank/sell_the_house", Some("no tool `sell_the_house` of the server `bank` is approved, so none is known\n")),
        ("bonk/pay", Some("no server `bonk` is known; did you mean `bank`?")),
        ("bank/pay", None),
    ] {
        let servers = "[server.bank]\nurl = 'https://bank.example/mcp'\n";
        let text = configured(servers, everything, &["explain", "ann", tool]).status(0).stdout;
        assert!(said.is_none_or(|words| text.contains(words)), "{tool}: {text}");
        assert_eq!(text.contains("what would hold for it"), said.is_some(), "{tool}: {text}");
        let json = configured(servers, everything, &["explain", "ann", tool, "--json"]).status(0).json();
        assert_eq!(json["missing"].is_string(), said.is_some(), "{json}");
    }
    // Where servers are named on the client's command line, there may be any.
    let text = policy(everything, &["explain", "ann", "other/pay"]).status(0).stdout;
    assert!(!text.contains("no server"), "{text}");
}

#[test]
fn somebody_who_brings_a_group_and_a_tenant_is_asked_about() {
    let policies = "@id(\"far\") permit(principal in Mcp::Group::\"far\", action, resource);\n\
        @id(\"acme\") permit(principal in Mcp::Tenant::\"acme\", action, resource);\n";
    for (brings, by) in [
        (&["--group", "far"][..], Some("far")),
        (&["--tenant", "acme"], Some("acme")),
        (&["--group", "near", "--tenant", "other"], None),
        (&[], None),
    ] {
        let json = policy(policies, &[&["explain", "eve", "bank/pay", "--json"], brings].concat()).status(0).json();
        assert_eq!(json["decision"], if by.is_some() { "allow" } else { "deny" }, "{brings:?}");
        assert_eq!(json["policies"][0]["id"].as_str(), by, "{brings:?}");
    }
}

#[test]
fn one_mistake_is_one_error() {
    for (condition, words) in [
        (
            "resource.nme == \"x\"",
            "attribute `nme` on entity type `Mcp::Prompt, Mcp::Resource, Mcp::Server, Mcp::Tool` not found",
        ),
        (
            "context.session.hour == 5",
            "attribute `session.hour` in context for Mcp::Action::\"call\", Mcp::Action::\"elicit\"",
        ),
        ("principal.nme == \"x\"", "attribute `nme` on entity type `Mcp::User` not found"),
    ] {
        let policies = format!("@id(\"a\") permit(principal, action, resource) when {{ {condition} }};");
        let said = policy(&policies, &["check"]).status(2).stderr;
        assert_eq!(said.matches("error: ").count(), 1, "{said}");
        assert!(said.contains(words), "{said}");
    }
    // Two are two.
    let policies = "@id(\"a\") permit(principal, action, resource) when { resource.nme == \"x\" };\n\
        @id(\"b\") permit(principal, action, resource) when { resource.nme == \"x\" && resource.nam == \"y\" };";
    let said = policy(policies, &["check"]).status(2).stderr;
    assert!((2..=3).contains(&said.matches("error: ").count()), "{said}");
}

#[test]
fn all_that_somebody_may_do_is_listed() {
    let text = policy(POLICY, &["explain", "ann"]).status(0).stdout;
    let expected = "what ann may do\n  roles   clerk\n  groups  team\n\nbank\n\
        \x20 allow     tool balance  role.clerk.allow tool:bank/balance\n\
        \x20 depends   tool pay      its arguments, or a policy that cannot tell without them\n\n\
        1 of 2 things allowed as such; `bartizan policy explain USER SERVER/TOOL` shows the policies of one\n";
    assert_eq!(text, expected);
    let json = policy(POLICY, &["explain", "ann", "--json"]).status(0).json();
    let of = |json: &serde_json::Value| {
        let things = json["things"].as_array().unwrap().iter();
        let one = |thing: &serde_json::Value| {
            let text = |key: &str| thing[key].as_str().unwrap().to_owned();
            (text("server"), text("name"), text("decision"), thing["depends"] == true, thing["listed"] == true)
        };
        things.map(one).collect::<Vec<_>>()
    };
    let thing = |name: &str, decision: &str, depends, listed| {
        ("bank".to_owned(), name.to_owned(), decision.to_owned(), depends, listed)
    };
    assert_eq!(of(&json), [thing("balance", "allow", false, true), thing("pay", "deny", true, true)]);
    // Of somebody else nothing is allowed, unless their credential brings the role.
    let json = policy(POLICY, &["explain", "bea", "--json"]).status(0).json();
    assert_eq!(of(&json), [thing("balance", "deny", false, false), thing("pay", "deny", false, false)]);
    let json = policy(POLICY, &["explain", "bea", "--role", "clerk", "--json"]).status(0).json();
    assert_eq!(of(&json).first(), Some(&thing("balance", "allow", false, true)));
}

#[test]
fn what_a_decision_depends_on_is_said_and_what_no_arguments_change_too() {
    let text = policy(POLICY, &["explain", "ann", "bank/pay"]).status(0).stdout;
    assert!(
        text.starts_with("depends: ann calls bank/pay\n  it depends on its arguments (`amount`); give them as ARGS\n"),
        "{text}"
    );
    assert!(!text.contains("is missing") && !text.contains("default holds"), "{text}");
    let json = policy(POLICY, &["explain", "ann", "bank/pay", "--json"]).status(0).json();
    assert_eq!((json["depends"].as_bool(), &json["arguments"]), (Some(true), &serde_json::json!(["amount"])));
    for arguments in [&["eve", "bank/pay"][..], &["eve", "bank/pay", "{}"]] {
        let text = policy(POLICY, &[&["explain"], arguments].concat()).status(0).stdout;
        let start =
            "deny: eve calls bank/pay\n  no policy permits it, whatever the arguments are, so the default holds\n";
        assert!(text.starts_with(start) && !text.contains("is missing"), "{text}");
    }
    let text = policy(POLICY, &["explain", "ann", "bank/pay", "{\"amount\": 5}"]).status(0).stdout;
    assert!(text.starts_with("allow: ") && !text.contains("depends"), "{text}");
    let end = policy(POLICY, &["explain", "ann", "bank__pay"]).status(2);
    assert!(end.stderr.contains("did you mean `bank/pay`?"), "{}", end.stderr);
}

#[test]
fn what_is_not_known_of_who_asks_is_noted() {
    let issuer = "[auth.oauth.corp]\nissuer = 'https://idp.example.com'\n";
    let mapped = format!("{issuer}claims = {{ groups = 'groups' }}\n");
    let noted = |more: &str, arguments: &[&str]| {
        let arguments = [&["explain"], arguments].concat();
        let text = configured(more, POLICY, &arguments).status(0).stdout;
        let notes: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("  note: ")).map(str::to_owned).collect();
        notes.join("; ")
    };
    let unknown = "what its tokens bring is not known here: --role, --group, --tenant";
    for (more, arguments, notes) in [
        (&*mapped, &["corp:ann"][..], unknown),
        (&mapped, &["corp:ann", "bank/balance"], unknown),
        (&mapped, &["corp:ann", "--group", "team"], ""),
        (issuer, &["corp:ann"], ""),
        (&mapped, &["else:ann"], ""),
        (&mapped, &["ann"], ""),
        ("", &["ann", "--group", "taem"], "no group `taem` is in the configuration; did you mean `team`?"),
        ("", &["ann", "bank/pay", "--role", "clrek"], "no role `clrek` is in the configuration; did you mean `clerk`?"),
        ("", &["ann", "--role", "far\u{202e}"], "no role `far\\u{202e}` is in the configuration"),
        ("", &["ann", "--role", "clerk", "--group", "team"], ""),
    ] {
        assert_eq!(noted(more, arguments), notes, "{more} {arguments:?}");
    }
}

#[test]
fn what_was_in_force_is_told_while_the_configuration_has_mistakes() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("bartizan.toml");
    let (file, store) = (config.display().to_string(), home.path().join("state.db"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = bartizan_store::Store::open(&store).await.unwrap();
        store.note_policies("v1", 1, "start", "{}").await.unwrap();
        store.close().await;
    });
    let good = "[store]\npath = 'state.db'\n[policy]\n";
    for (text, warned) in [(good.to_owned(), false), (format!("{good}defualt = 'deny'\n"), true)] {
        fs::write(&config, text).unwrap();
        for arguments in [&["history"][..], &["show", "v1"]] {
            let end = bartizan_at(home.path(), &[&["policy"], arguments, &["--config", &file]].concat()).status(0);
            assert!(end.stdout.contains("v1"), "{}", end.stdout);
            assert_eq!(end.stderr.contains("the configuration has mistakes"), warned, "{}", end.stderr);
        }
    }
    fs::write(&config, "[store]\npath = 7\n").unwrap();
    bartizan_at(home.path(), &["policy", "history", "--config", &file]).status(2);
}

#[test]
fn a_file_that_does_not_say_where_the_store_is_is_an_error_as_config_check_has_it() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("bartizan.toml");
    let file = config.display().to_string();
    let at = |line: &str| format!(" --> {file}{line}\n");
    for (text, place, what) in [
        (Some("[store]\npath = 'state.db'\n[policy\n"), at(":3:8"), "error: unclosed table"),
        (Some("[store]\npath = 7\n"), at(":2:8"), "error: "),
        (None, at(""), "error: cannot read it: "),
    ] {
        fs::remove_file(&config).ok();
        text.iter().for_each(|text| fs::write(&config, text).unwrap());
        let checked = bartizan_at(home.path(), &["config", "check", &file]).status(2).stderr;
        assert!(checked.starts_with(what) && checked.contains(&place), "{checked}");
        for arguments in [&["history"][..], &["history", "--json"], &["show", "v1"], &["show", "v1", "--changes"]] {
            let end = bartizan_at(home.path(), &[&["policy"], arguments, &["--config", &file]].concat()).status(2);
            assert_eq!((&*end.stdout, &*end.stderr), ("", &*checked), "{arguments:?}");
        }
    }
}

#[test]
fn what_many_tools_have_not_is_said_once() {
    let home = tempfile::tempdir().unwrap();
    let home: &Path = home.path();
    fs::write(home.join("bartizan.toml"), CONFIG).unwrap();
    let mut lock = Lock::open(home.join("mcp.lock")).unwrap();
    let with = |names: &str| {
        format!(
            r#","inputSchema":{{"type":"object","required":["{names}"],"properties":{{"{names}":{{"type":"integer"}}}}}}"#
        )
    };
    let mut tools: Vec<_> = ["a", "b", "c", "d"].iter().map(|name| tool(name, &with("amont"))).collect();
    tools.push(tool("pay", &with("amount")));
    lock.record_first_seen("bank", &tools, SystemTime::now()).unwrap();
    let file = home.join("bartizan.toml").display().to_string();
    let check = |action: &str, condition: &str| {
        let policy = format!("@id(\"big\") forbid(principal, {action}, resource) when {{ {condition} }};");
        fs::write(home.join("p.cedar"), policy).unwrap();
        bartizan_at(home, &["policy", "check", "--config", &file])
    };
    let text = check("action", "context.input.amount > 5").status(1).stdout;
    let errors: Vec<_> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    let words = "`big`: 4 tools have no `amount` (bank/a, bank/b and 2 more); name the action, or write `context.input has amount &&`";
    assert!(
        matches!(errors[..], [one, other] if one.contains("p.cedar:1:") && one.ends_with(words) && other.contains("is about more than calls")),
        "{text}"
    );
    let of_calls = "action in Mcp::Action::\"call\"";
    check(of_calls, "context.input has amount && context.input.amount > 5").status(0);
}

#[test]
fn a_case_about_a_tool_that_is_not_known_is_noted() {
    let home = tempfile::tempdir().unwrap();
    let home: &Path = home.path();
    fs::write(home.join("bartizan.toml"), CONFIG).unwrap();
    fs::write(home.join("p.cedar"), "").unwrap();
    let mut lock = Lock::open(home.join("mcp.lock")).unwrap();
    lock.record_first_seen("bank", &[tool("balance", "")], SystemTime::now()).unwrap();
    let file = home.join("bartizan.toml").display().to_string();
    let test = |cases: &str, more: &[&str]| {
        let path = home.join("cases.toml");
        fs::write(&path, cases).unwrap();
        bartizan_at(home, &[&["policy", "test", path.to_str().unwrap(), "--config", &file], more].concat())
    };
    let case = |tool: &str| format!("[[case]]\nname = 'one'\nwho = 'eve'\ntool = '{tool}'\nexpect = 'deny'\n");
    let said = test(&case("bank/balanc"), &[]).status(0).stdout;
    assert!(
        said.contains("note: no tool `balanc` of the server `bank` is approved")
            && said.contains("did you mean `balance`?"),
        "{said}"
    );
    test(&case("bank/balanc"), &["--strict"]).status(1);
    let said = test(&case("bank/balance"), &["--strict"]).status(0).stdout;
    assert!(!said.contains("note: "), "{said}");
    let declared = format!("[tool.\"bank/balanc\".inputSchema]\ntype = 'object'\n{}", case("bank/balanc"));
    test(&declared, &["--strict"]).status(0);
}
