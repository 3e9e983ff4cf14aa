//! `bartizan guards --flows`: what may meet, before anything is called.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use bartizan_gateway::pins_of;
use bartizan_guard::flow::ToolLabel;
use bartizan_guard::guards::flow::meet::{self, Barrier, Combination, Meeting, Offer, Way};
use bartizan_guard::{Definition, DefinitionKind};
use bartizan_trust::Lock;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::lock;
use crate::common;
use crate::outcome::{Failure, Outcome, say};
use crate::output::{self, Paint};
use crate::stored::now;
use crate::text::{count, inline};

/// What `guards --flows --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Flows<'a> {
    #[schemars(extend("const" = Flows::FORMAT))]
    format: &'static str,
    /// What brings something in, or lets it out.
    places: Vec<Place<'a>>,
    /// The smallest sets of servers that make a way out.
    combinations: Vec<Set<'a>>,
    /// Tools that a policy forbids to everybody, which are left out of all of this.
    forbidden: Vec<Forbidden<'a>>,
    /// Servers of which nothing is known, as they were never seen.
    unseen: &'a [String],
    /// Tools and resources that are approved and whose text was not kept, so that nothing is known of them.
    without_text: &'a [String],
}

impl Flows<'_> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.guards.flows/1";
}

#[derive(Serialize, JsonSchema)]
struct Place<'a> {
    server: &'a str,
    /// `tool`, `resource` or `resource_template`.
    kind: &'static str,
    /// Its name, or the URI of a resource.
    name: &'a str,
    /// What it does with information: guessed, or as the configuration says.
    labels: Vec<&'static str>,
    /// What it does besides in calls with certain arguments only, by `where` and `path`.
    sometimes: Vec<&'static str>,
    /// What holds up its calls, if they reach others.
    rules: Vec<Rule>,
}

#[derive(Serialize, JsonSchema)]
struct Rule {
    rule: &'static str,
    /// The mildest that the settings say of it for this tool.
    action: &'static str,
    /// Why that is not done, where it is not.
    lifted: Option<&'static str>,
}

/// Places are by their number in `places`.
#[derive(Serialize, JsonSchema)]
struct Set<'a> {
    servers: &'a [String],
    untrusted_content: &'a [usize],
    private_data: &'a [usize],
    public_sink: &'a [usize],
    /// How much stands in the way of the least held sink: `all` rules, `some` or `nothing`.
    in_the_way: &'static str,
    /// Whether there is a way out only for calls with certain arguments.
    only_with_arguments: bool,
}

/// A tool that is no part of anything.
#[derive(Serialize, JsonSchema)]
struct Forbidden<'a> {
    /// `server/tool`.
    tool: &'a str,
    /// The policy that forbids it to everybody, whatever a call says.
    policy: &'a str,
}

/// What is known of the servers.
#[derive(Default)]
struct Seen {
    offers: Vec<Offer>,
    unseen: Vec<String>,
    without_text: Vec<String>,
}

pub(super) fn run(file: Option<&Path>, json: bool) -> Result<Outcome, Failure> {
    let config = match file {
        Some(file) => common::load(file)?,
        None => common::user_config(None)?,
    };
    let named = file.map(|_| config.servers.keys().cloned().collect::<BTreeSet<_>>());
    let seen = Seen::of(&lock::of_config(file)?, named.as_ref())?;
    let meeting = meet::meet(&config.settings, seen.offers, now()).map_err(Failure::usage)?;
    if json {
        output::print_json(&Flows::of(&meeting, &seen.unseen, &seen.without_text))?;
    } else {
        output::print(text(&meeting).trim_end())?;
        if !meeting.forbidden.is_empty() {
            let all = meeting.forbidden.iter().map(|(tool, policy)| format!("{} (`{}`)", inline(tool), inline(policy)));
            say(&format!("note: left out, as a policy forbids it to everybody: {}", some(all)));
        }
        note(
            &seen.unseen,
            "server was never seen, so nothing is known of it",
            "servers were never seen, so nothing is known of them",
        );
        let (one, more) = (
            "definition was approved without a text that is kept",
            "definitions were approved without a text that is kept",
        );
        note(
            &seen.without_text,
            &format!("{one}, so nothing is known of it"),
            &format!("{more}, so nothing is known of them"),
        );
    }
    let is_open = meeting.combinations.iter().any(|found| found.way < Way::Held);
    Ok(if is_open { Outcome::Found } else { Outcome::Clean })
}

fn note(names: &[String], one: &str, more: &str) {
    if !names.is_empty() {
        let what = if names.len() == 1 { one } else { more };
        say(&format!("note: {} {what}: {}", names.len(), some(names.iter().map(|name| inline(name)))));
    }
}

impl Seen {
    /// What the lock files hold of these servers, or of all that are in them.
    fn of(locks: &[Lock], named: Option<&BTreeSet<String>>) -> Result<Seen, Failure> {
        let mut seen = Seen::default();
        let mut offers: BTreeMap<String, Vec<Definition>> = BTreeMap::new();
        for lock in locks {
            for server in lock.servers().filter(|server| named.is_none_or(|named| named.contains(*server))) {
                let known = offers.entry(server.to_owned()).or_default();
                let approved = lock.pins(server).into_iter().flat_map(|pins| pins.definitions.keys());
                for (kind, name) in approved {
                    let Some(read) =
                        DefinitionKind::from_name(kind).filter(|kind| DefinitionKind::LISTED.contains(kind))
                    else {
                        continue;
                    };
                    let text = lock::approved(lock, server, (kind, name))?;
                    match text.and_then(|text| Definition::of_text(read, text.as_bytes())) {
                        Some(definition) => known.push(definition),
                        None if read == DefinitionKind::Prompt => {}
                        None => seen.without_text.push(format!("{server}/{name}")),
                    }
                }
            }
        }
        seen.unseen = named.into_iter().flatten().filter(|name| !offers.contains_key(*name)).cloned().collect();
        let offer = |(server, definitions): (String, Vec<Definition>)| {
            // Of a server in several of them, that one counts of which most is known.
            let held = locks.iter().filter_map(|lock| lock.pins(&server)).max_by_key(|held| held.definitions.len());
            Offer { definitions, pins: pins_of(held), server }
        };
        seen.offers = offers.into_iter().map(offer).collect();
        Ok(seen)
    }
}

impl<'a> Flows<'a> {
    fn of(meeting: &'a Meeting, unseen: &'a [String], without_text: &'a [String]) -> Flows<'a> {
        let place = |place: &'a meet::Place| Place {
            server: &place.server,
            kind: place.kind.as_str(),
            name: &place.name,
            labels: place.labels.iter().map(ToolLabel::as_str).collect(),
            sometimes: place.sometimes.iter().map(ToolLabel::as_str).collect(),
            rules: place.barriers.iter().map(Rule::of).collect(),
        };
        let set = |found: &'a Combination| Set {
            servers: &found.servers,
            untrusted_content: &found.untrusted,
            private_data: &found.private,
            public_sink: &found.sinks,
            in_the_way: found.way.as_str(),
            only_with_arguments: found.sometimes,
        };
        Flows {
            format: Flows::FORMAT,
            places: meeting.places.iter().map(place).collect(),
            combinations: meeting.combinations.iter().map(set).collect(),
            forbidden: meeting.forbidden.iter().map(|(tool, policy)| Forbidden { tool, policy }).collect(),
            unseen,
            without_text,
        }
    }
}

impl Rule {
    fn of(barrier: &Barrier) -> Rule {
        Rule { rule: barrier.rule, action: barrier.action.as_str(), lifted: barrier.lifted.map(meet::Lifted::as_str) }
    }
}

/// Names that are shown of one thing.
const SHOWN: usize = 5;

fn some(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let shown = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn text(meeting: &Meeting) -> String {
    let paint = Paint::for_stdout();
    if meeting.combinations.is_empty() {
        return "no servers that are known make a way out together\n".to_owned();
    }
    let mut out = String::new();
    let name = |at: &usize| {
        let place = meeting.places.get(*at);
        place.map(|place| inline(&format!("{}/{}", place.server, place.name))).unwrap_or_default()
    };
    for found in &meeting.combinations {
        let servers = found.servers.iter().map(|server| inline(server)).collect::<Vec<_>>().join(" + ");
        let only = if found.sometimes { ", and only calls with certain arguments go that way" } else { "" };
        let _ = writeln!(out, "{}: {}{only}", paint.bold(&servers), in_the_way(found.way, paint));
        let _ = writeln!(out, "  what strangers write  {}", some(found.untrusted.iter().map(name)));
        let _ = writeln!(out, "  what is private       {}", some(found.private.iter().map(name)));
        let mut first = "and out again";
        for at in found.sinks.iter().take(SHOWN) {
            let rules = meeting.places.get(*at).map(|place| barriers(&place.barriers)).unwrap_or_default();
            let _ = writeln!(out, "  {first:20}  {}: {rules}", name(at));
            first = "";
        }
        let more = found.sinks.len().saturating_sub(SHOWN);
        if more > 0 {
            let _ = writeln!(out, "  {:20}  and {}", "", count(more, "more tool"));
        }
        out.push('\n');
    }
    out
}

fn in_the_way(way: Way, paint: Paint) -> String {
    match way {
        Way::Open => paint.like("deny", "nothing stands in the way").to_string(),
        Way::Partly => paint.like("approve", "only some rules stand in the way").to_string(),
        Way::Held => "the guard flow stands in the way".to_owned(),
    }
}

/// Each rule and what it leads to; those that lead to the same together.
fn barriers(all: &[Barrier]) -> String {
    let mut by: Vec<(String, Vec<&str>)> = Vec::new();
    for barrier in all {
        let what = match barrier.lifted {
            Some(lifted) => format!("nothing ({})", lifted.as_str()),
            None if barrier.stands() => barrier.action.as_str().to_owned(),
            None => format!("nothing ({})", barrier.action.as_str()),
        };
        match by.iter_mut().find(|(held, _)| *held == what) {
            Some((_, rules)) => rules.push(barrier.rule),
            None => by.push((what, vec![barrier.rule])),
        }
    }
    by.into_iter().map(|(what, rules)| format!("{} {what}", rules.join(", "))).collect::<Vec<_>>().join("; ")
}
