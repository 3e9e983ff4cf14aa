//! A yes lifts what asked for it, for exactly what was agreed to, and nothing else.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use bartizan_guard::{
    Action, Decision, Definition, DefinitionKind, Direction, Event, Fact, Grant, GuardSettings, Pins, Pipeline,
    Principal, ServerProfile, Session, Settings, Timestamp,
};
use bartizan_policy::{Otherwise, Policies, Roles, Source};
use common::message;

const POLICIES: &str = r#"
    permit(principal, action, resource);
    @id("large") @challenge("approval") forbid(principal, action == Mcp::Action::"bank/pay", resource)
    when { context.input.amount > 500 };
    @id("never") forbid(principal, action == Mcp::Action::"bank/pay", resource) when { context.input.amount > 9000 };
"#;
const MORE: &str = r#"
    @id("eur") @challenge("approval") forbid(principal, action == Mcp::Action::"bank/pay", resource)
    when { context.input has note };
"#;
const STEP_UP: &str = r#"
    @id("proof") @challenge("step_up") forbid(principal, action == Mcp::Action::"bank/pay", resource);
"#;
const TOOL: &str = r#"{"name":"pay","inputSchema":{"type":"object","properties":{"amount":{"type":"integer"},"note":{"type":"string"}},"required":["amount"]}}"#;

/// All that a judgement depends on.
#[derive(Clone)]
struct World {
    policies: String,
    tool: String,
    pinned: Option<String>,
    principal: &'static str,
    server: &'static str,
    params: String,
    method: &'static str,
    now: i64,
    guards: BTreeMap<String, GuardSettings>,
}

impl World {
    fn usual() -> World {
        World {
            policies: POLICIES.to_owned(),
            tool: TOOL.to_owned(),
            pinned: None,
            principal: "ann",
            server: "bank",
            params: r#"{"name":"pay","arguments":{"amount":900}}"#.to_owned(),
            method: "tools/call",
            now: 0,
            guards: BTreeMap::new(),
        }
    }

    fn judge(&self, grant: Option<&Grant>) -> (Decision, Vec<(&'static str, Action, &'static str)>) {
        let source = Source { name: "p", text: &self.policies };
        let policies = Policies::new(&[source], Roles::default(), Otherwise::Deny).unwrap();
        let settings =
            Settings { policies: Some(Arc::new(policies)), guards: self.guards.clone(), ..Settings::default() };
        let pipeline = Pipeline::new(settings).unwrap();
        let session = Session::default().with(&[Fact::Listed(vec![Arc::new(definition(&self.tool))])]);
        let mut pins = Pins::default();
        pins.insert(pin(self.pinned.as_deref().unwrap_or(&self.tool)));
        let server = ServerProfile { name: self.server.into(), pins: Arc::new(pins), elsewhere: Arc::new([]) };
        let sent =
            message(&format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{}","params":{}}}"#, self.method, self.params));
        let event = Event {
            message: &sent,
            direction: Direction::ToServer,
            answers: None,
            principal: &Principal::new(self.principal),
            server: &server,
            evidence: &[],
            grant,
            now: Timestamp(self.now),
        };
        let verdict = pipeline.judge(&event, &session);
        let found = verdict.findings.iter().map(|held| (held.finding.rule.id, held.action, held.by)).collect();
        (verdict.decision, found)
    }

    /// What somebody agrees to who is asked about this.
    fn agreed(&self) -> Grant {
        match self.judge(None).0 {
            Decision::RequireApproval(approval) => Grant { digest: approval.digest, expires: Timestamp(1_000) },
            other => panic!("nobody is asked: {other:?}"),
        }
    }
}

fn list(tool: &str) -> bartizan_mcp::Message {
    message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{tool}]}}}}"#))
}

fn definition(tool: &str) -> Definition {
    let list = list(tool);
    let listing = DefinitionKind::lists_of(&list).next().unwrap();
    Definition::read(listing.kind, listing.list.elements().next().unwrap()).unwrap()
}

fn pin(tool: &str) -> bartizan_guard::Pin {
    let list = list(tool);
    let listing = DefinitionKind::lists_of(&list).next().unwrap();
    bartizan_guard::Pin::of(listing.kind, listing.list.elements().next().unwrap()).unwrap()
}

#[test]
fn a_yes_is_good_for_what_was_agreed_to_and_nothing_else() {
    let with = |change: &dyn Fn(&mut World)| {
        let mut world = World::usual();
        change(&mut world);
        world
    };
    let other_tool = TOOL.replace("integer", r#"integer","title":"sum"#);
    type Change<'a> = &'a dyn Fn(&mut World);
    let cases: [(&str, Change<'_>, &str); 17] = [
        ("the same", &|_| {}, "allow"),
        (
            "written otherwise",
            &|w| w.params = r#" { "arguments" : {"amount":900}, "name" : "p\u0061y" } "#.into(),
            "allow",
        ),
        (
            "with another progress token",
            &|w| {
                w.params = r#"{"name":"pay","arguments":{"amount":900},"_meta":{"progressToken":5}}"#.into();
            },
            "allow",
        ),
        ("at the last moment", &|w| w.now = 999, "allow"),
        ("too late", &|w| w.now = 1_000, "approve"),
        ("other arguments", &|w| w.params = r#"{"name":"pay","arguments":{"amount":901}}"#.into(), "approve"),
        ("more arguments", &|w| w.params = r#"{"name":"pay","arguments":{"amount":900,"note":""}}"#.into(), "approve"),
        ("the number otherwise", &|w| w.params = r#"{"name":"pay","arguments":{"amount":9e2}}"#.into(), "approve"),
        ("more parameters", &|w| w.params = r#"{"name":"pay","arguments":{"amount":900},"task":{}}"#.into(), "approve"),
        ("somebody else", &|w| w.principal = "bea", "approve"),
        ("the tool lists itself otherwise, and that was accepted", &|w| w.tool.clone_from(&other_tool), "approve"),
        ("it was accepted in another form, and changed back", &|w| w.pinned = Some(other_tool.clone()), "deny"),
        (
            "one more policy asks",
            &|w| w.policies = format!("{POLICIES}{}", MORE.replace("context.input has note", "true")),
            "approve",
        ),
        ("one more policy that does not", &|w| w.policies = format!("{POLICIES}{MORE}"), "allow"),
        ("another kind is asked for as well", &|w| w.policies = format!("{POLICIES}{STEP_UP}"), "approve"),
        ("it is forbidden by now", &|w| w.policies = POLICIES.replace("9000", "800"), "deny"),
        (
            "a small sum, for which nobody is asked",
            &|w| w.params = r#"{"name":"pay","arguments":{"amount":9}}"#.into(),
            "allow",
        ),
    ];
    let yes = World::usual().agreed();
    for (what, change, expected) in cases {
        let world = with(change);
        assert_eq!(world.judge(Some(&yes)).0.as_str(), expected, "{what}");
    }
    // Agreed to or not, what is denied is denied.
    let large = with(&|w| w.params = r#"{"name":"pay","arguments":{"amount":9001}}"#.into());
    for digest in [yes.digest, bartizan_mcp::Digest([0; 32])] {
        let grant = Grant { digest, expires: Timestamp(i64::MAX) };
        assert_eq!(large.judge(Some(&grant)).0.as_str(), "deny");
    }
}

#[test]
fn what_was_lifted_is_said_and_by_what() {
    let world = World { policies: format!("{POLICIES}{STEP_UP}"), ..World::usual() };
    let (decision, found) = world.judge(None);
    let Decision::RequireApproval(approval) = decision else { panic!("{decision:?}") };
    let asks: Vec<_> = approval.asks.iter().map(|ask| (ask.rule, ask.policy.as_deref(), ask.need.as_str())).collect();
    assert_eq!(
        asks,
        [("policy.approval", Some("large"), "approval"), ("policy.step_up", Some("proof"), "step_up")],
        "each in a way of its own"
    );
    assert!(found.iter().all(|(_, action, by)| (*action, *by) == (Action::Approve, "fixed")), "{found:?}");
    let (decision, found) = world.judge(Some(&world.agreed()));
    assert_eq!(decision.as_str(), "allow");
    assert_eq!(
        found,
        [("policy.approval", Action::Observe, "approval"), ("policy.step_up", Action::Observe, "approval")]
    );
}

#[test]
fn what_is_to_be_cut_out_is_cut_out_all_the_same() {
    // U+200B is hidden; an RLO in the same text would be too.
    let hidden = GuardSettings { action: Some(Action::Redact), ..GuardSettings::default() };
    let params = r#"{"name":"pay","arguments":{"amount":900,"note":"a\udb40\udc41\udb40\udc42\udb40\udc43b"}}"#;
    let world = World {
        params: params.to_owned(),
        guards: [("hidden_text".to_owned(), hidden.clone())].into(),
        ..World::usual()
    };
    assert_eq!(world.judge(None).0.as_str(), "approve");
    let (decision, _) = world.judge(Some(&world.agreed()));
    assert_eq!(decision.as_str(), "transform");
    // A guard that asks about a text does so again about what is left of it; that was agreed to as well.
    let asking = GuardSettings { action: Some(Action::Approve), ..hidden };
    let world = World { guards: [("hidden_text".to_owned(), asking)].into(), ..world };
    let (decision, found) = world.judge(None);
    assert_eq!(decision.as_str(), "approve", "{found:?}");
    assert_eq!(world.judge(Some(&world.agreed())).0.as_str(), "allow");
}
