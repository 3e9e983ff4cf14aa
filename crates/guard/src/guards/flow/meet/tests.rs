use serde_json::json;

use super::*;
use crate::{Exception, GuardSettings};

fn offer(server: &str, tools: &[&str]) -> Offer {
    let read = |name: &&str| {
        let text = json!({"name": name, "inputSchema": {"type": "object"}}).to_string();
        Definition::of_text(DefinitionKind::Tool, text.as_bytes()).unwrap()
    };
    Offer { server: server.to_owned(), definitions: tools.iter().map(read).collect(), pins: Pins::default() }
}

fn settings(options: serde_json::Value) -> Settings {
    let flow = GuardSettings { options, ..GuardSettings::default() };
    Settings { guards: [("flow".to_owned(), flow)].into(), ..Settings::default() }
}

fn met(settings: &Settings, servers: &[(&str, &[&str])]) -> Vec<(String, Way)> {
    let offers = servers.iter().map(|(name, tools)| offer(name, tools)).collect();
    let meeting = meet(settings, offers, Timestamp(10)).unwrap();
    meeting.combinations.iter().map(|found| (found.servers.join("+"), found.way)).collect()
}

const MAIL: (&str, &[&str]) = ("mail", &["search_emails", "send_email"]);
const WEB: (&str, &[&str]) = ("web", &["web_search"]);
const BOOK: (&str, &[&str]) = ("book", &["get_contacts"]);
const TIME: (&str, &[&str]) = ("time", &["get_current_time"]);
const PAY: (&str, &[&str]) = ("pay", &["send_money"]);
const TALK: (&str, &[&str]) = ("talk", &["frobnicate"]);

fn check(options: &serde_json::Value, servers: &[(&str, &[&str])], expected: &[(&str, Way)]) {
    let expected: Vec<_> = expected.iter().map(|(names, way)| ((*names).to_owned(), *way)).collect();
    assert_eq!(met(&settings(options.clone()), servers), expected, "{options} {servers:?}");
}

#[test]
fn a_way_out_takes_three_things_and_no_server_that_is_not_needed() {
    check(&json!({}), &[MAIL, TIME], &[("mail", Way::Held)]);
    check(&json!({}), &[TIME, BOOK, PAY], &[]);
    check(&json!({}), &[WEB, BOOK, TIME], &[("web+book", Way::Held)]);
    check(&json!({}), &[TALK, BOOK, PAY], &[("talk+book+pay", Way::Held)]);
    check(&json!({}), &[TALK, BOOK, PAY, WEB], &[("book+web", Way::Held), ("talk+book+pay", Way::Held)]);
}

#[test]
fn the_operator_may_know_it_better() {
    check(&json!({"trusted": ["mail"]}), &[MAIL], &[]);
    check(&json!({"tool": [{"name": "mail/send_*", "labels": []}]}), &[MAIL], &[]);
    check(&json!({"tool": [{"name": "pay/*", "labels": []}]}), &[TALK, BOOK, PAY], &[]);
    let labels = json!({"tool": [{"name": "time/*", "labels": ["untrusted_content"]}]});
    check(&labels, &[TIME, BOOK, PAY], &[("time+book+pay", Way::Held)]);
    check(&json!({"recipients": ["*"]}), &[MAIL], &[("mail", Way::Partly)]);
    check(&json!({"recipients": ["ann@corp.example"], "domains": ["corp.example"]}), &[MAIL], &[("mail", Way::Held)]);
}

#[test]
fn what_is_off_or_observed_or_excepted_does_not_stand_in_the_way() {
    let way = |settings: &Settings| met(settings, &[MAIL]).first().map(|(_, way)| *way);
    let with = |change: &dyn Fn(&mut GuardSettings)| {
        let mut settings = settings(json!({}));
        settings.guards.values_mut().for_each(change);
        way(&settings)
    };
    assert_eq!(with(&|_| {}), Some(Way::Held));
    assert_eq!(with(&|flow| flow.enabled = false), Some(Way::Open));
    assert_eq!(with(&|flow| flow.action = Some(Action::Observe)), Some(Way::Open));
    assert_eq!(with(&|flow| flow.action = Some(Action::Deny)), Some(Way::Held));
    let rule = |flow: &mut GuardSettings| flow.rules.extend([("flow.trifecta".to_owned(), Action::Observe)]);
    assert_eq!(with(&rule), Some(Way::Partly));
    assert_eq!(way(&Settings { mode: Mode::Observe, ..Settings::default() }), Some(Way::Open));
    let except = |rule: &str, expires| Exception {
        rule: rule.to_owned(),
        server: Some("mail".to_owned()),
        tool: None,
        reason: "a test".to_owned(),
        expires: Timestamp(expires),
    };
    let exceptions = |expires| RULES.iter().map(|rule| except(rule.id, expires)).collect();
    assert_eq!(way(&Settings { exceptions: exceptions(11), ..Settings::default() }), Some(Way::Open));
    assert_eq!(way(&Settings { exceptions: exceptions(10), ..Settings::default() }), Some(Way::Held), "it is over");
    let of_one = vec![except("flow.private_data", 11)];
    assert_eq!(way(&Settings { exceptions: of_one, ..Settings::default() }), Some(Way::Partly));
}

#[test]
fn a_place_counts_by_the_mildest_that_may_be_done() {
    let place = |path: Option<&str>, tool: &str| crate::Where {
        rule: None,
        direction: None,
        part: None,
        server: Some("mail".to_owned()),
        tool: Some(tool.to_owned()),
        path: path.map(|path| bartizan_mcp::JsonPath::parse(path).unwrap()),
        action: Action::Observe,
        how: None,
    };
    let way = |places| {
        let flow = GuardSettings { places, ..GuardSettings::default() };
        let settings = Settings { guards: [("flow".to_owned(), flow)].into(), ..Settings::default() };
        met(&settings, &[MAIL]).first().map(|(_, way)| *way)
    };
    assert_eq!(way(vec![place(None, "send_email")]), Some(Way::Open));
    assert_eq!(way(vec![place(Some("$.to"), "send_email")]), Some(Way::Open));
    assert_eq!(way(vec![place(None, "search_emails")]), Some(Way::Held), "that one reaches nobody");
}

#[test]
fn resources_bring_what_the_guard_says_of_them() {
    let resource = |uri: &str| {
        let text = json!({"uri": uri, "name": "x"}).to_string();
        Definition::of_text(DefinitionKind::Resource, text.as_bytes()).unwrap()
    };
    let offers = |uri: &str| vec![
        Offer { server: "files".to_owned(), definitions: vec![resource(uri)], pins: Pins::default() },
        offer("pay", &["send_money"]),
    ];
    for (options, uri, count) in [
        (json!({}), "file:///srv/a", 1),
        (json!({}), "https://corp.example/a", 0),
        (json!({"resource": [{"uri": "file:///srv/*", "labels": []}]}), "file:///srv/a", 0),
        (json!({"trusted": ["files"]}), "file:///srv/a", 0),
    ] {
        let meeting = meet(&settings(options.clone()), offers(uri), Timestamp(0)).unwrap();
        assert_eq!(meeting.combinations.len(), count, "{options} {uri}");
    }
}

#[test]
fn limits_of_a_tool_hold_what_says_where_it_goes() {
    let way = |rules: &[&str], domains: &[&str]| {
        let mut settings = settings(json!({"tool": [{"name": "mail/send_email", "domains": domains}]}));
        for flow in settings.guards.values_mut() {
            flow.rules.extend(rules.iter().map(|rule| ((*rule).to_owned(), Action::Observe)));
        }
        met(&settings, &[MAIL]).first().map(|(_, way)| *way)
    };
    let about_places = ["flow.private_data", "flow.untrusted_destination"];
    assert_eq!(way(&about_places, &["corp.example"]), Some(Way::Held));
    assert_eq!(way(&["flow.trifecta"], &["corp.example"]), Some(Way::Partly));
    assert_eq!(way(&[&about_places[..], &["flow.domain"]].concat(), &["corp.example"]), Some(Way::Partly));
}
