//! What may meet: which servers together bring in what strangers write and what is private, and let it out again.
//!
//! **Threat.** Each server by itself looks harmless, and nobody sees that two of them make a way out. So it is said before anything is called,
//! from the definitions that are known, by the labels that the guard goes by, and with the rules that stand in the way.

use bartizan_flow::{Nature, ToolLabel, ToolLabels, takes_paths};
use bartizan_mcp::{Limits, Message, PartKind};
use serde::Deserialize;

use super::settings::{self, Known, Options, ToolEntry};
use super::{RULES, SPEC};
use crate::guards::policy;
use crate::{
    Action, Catalog, Definition, DefinitionKind, Direction, Finding, GuardSettings, Mode, Pins, Settings, Timestamp,
};

/// A server, and what is known of what it offers.
#[derive(Debug)]
pub struct Offer {
    /// Its name.
    pub server: String,
    /// Its definitions.
    pub definitions: Vec<Definition>,
    /// What is approved of them.
    pub pins: Pins,
}

/// A tool or a resource, as the guard takes it.
#[derive(Debug)]
pub struct Place {
    /// Whose it is.
    pub server: String,
    /// What it is.
    pub kind: DefinitionKind,
    /// Its name, or the URI of a resource.
    pub name: String,
    /// What it does with information.
    pub labels: ToolLabels,
    /// What it does besides in calls with certain arguments only.
    pub sometimes: ToolLabels,
    /// What holds up its calls, if they reach others.
    pub barriers: Vec<Barrier>,
}

/// A rule about calls that reach others, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    /// Its id.
    pub rule: &'static str,
    /// The mildest that the settings say of it for this tool.
    pub action: Action,
    /// Why that is not done, where it is not.
    pub lifted: Option<Lifted>,
}

/// Why what a rule leads to is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifted {
    /// `mode = "observe"`.
    Mode,
    /// The guard is switched off.
    Off,
    /// An exception.
    Exception,
    /// Anything may be sent anywhere: `recipients` has a `*`.
    Recipients,
}

impl Lifted {
    /// What is said of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Lifted::Mode => "mode = \"observe\"",
            Lifted::Off => "the guard is off",
            Lifted::Exception => "an exception",
            Lifted::Recipients => "`recipients` has *",
        }
    }
}

impl Barrier {
    /// Whether somebody is asked, or the call refused.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.lifted.is_none() && self.action >= Action::Approve
    }
}

/// How much stands in the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Nothing, for one of the tools at least.
    Open,
    /// Some of the rules, for one of the tools at least.
    Partly,
    /// Each rule, for each of the tools.
    Held,
}

impl Way {
    /// Its name in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Way::Open => "nothing",
            Way::Partly => "some",
            Way::Held => "all",
        }
    }

    /// How much stands in the way of one tool.
    #[must_use]
    pub fn of(barriers: &[Barrier]) -> Way {
        // Where alone a tool may go is the operator's word; what says nothing of where it goes is none of that.
        let is_limited = barriers.iter().any(|barrier| is_limit(barrier.rule) && barrier.stands());
        let mut rules = barriers.iter().filter(|barrier| !is_limit(barrier.rule));
        let stands = |barrier: &Barrier| barrier.stands() || is_limited && barrier.rule != "flow.trifecta";
        let standing = rules.clone().filter(|barrier| stands(barrier)).count();
        if standing == 0 {
            Way::Open
        } else if rules.all(stands) {
            Way::Held
        } else {
            Way::Partly
        }
    }
}

/// Servers that together make a way out, none of which can be left out. Places are by their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combination {
    /// Their names.
    pub servers: Vec<String>,
    /// What brings in what strangers may have written.
    pub untrusted: Vec<usize>,
    /// What brings in what is not for everybody.
    pub private: Vec<usize>,
    /// What reaches others.
    pub sinks: Vec<usize>,
    /// What stands in the way of the least held of these.
    pub way: Way,
    /// Whether there is one only for calls with certain arguments.
    pub sometimes: bool,
}

/// What may meet.
#[derive(Debug)]
pub struct Meeting {
    /// All that brings something in or lets it out.
    pub places: Vec<Place>,
    /// The smallest combinations that make a way out, those of the fewest servers first; those that need certain arguments behind the others.
    pub combinations: Vec<Combination>,
    /// Tools that a policy forbids to everybody, whatever a call says, and which one: they are no part of anything.
    pub forbidden: Vec<(String, String)>,
}

/// Which of these servers make a way out, by these settings at this time.
///
/// # Errors
/// If the guard's own options cannot be read.
pub fn meet(settings: &Settings, offers: Vec<Offer>, now: Timestamp) -> Result<Meeting, serde_json::Error> {
    let options = settings.guards.get(SPEC.name).map(|set| Options::deserialize(&set.options)).transpose()?;
    let options = options.unwrap_or_default();
    let (mut places, mut forbidden) = (Vec::new(), Vec::new());
    for Offer { server, definitions, pins } in offers {
        let takes_paths = |known: &Definition| known.with_value(takes_paths).unwrap_or_default();
        let names: Vec<_> =
            definitions.iter().map(|known| (known.kind, known.name.to_string(), takes_paths(known))).collect();
        let mut catalog = Catalog::default();
        definitions.into_iter().for_each(|definition| catalog.insert(definition.into()));
        for (kind, name, takes_paths) in names {
            let known = Known { catalog: &catalog, pins: &pins };
            let Some(nature) = nature(&options, &server, (kind, &name), known) else { continue };
            let is_tool = kind == DefinitionKind::Tool;
            let sometimes = if is_tool { options.sometimes((&server, &name), nature, takes_paths) } else { ToolLabels::NONE };
            let all = union(nature.labels, sometimes);
            if role(all) == 0 {
                continue;
            }
            if let Some(policy) = forbids(settings, &server, &name).filter(|_| is_tool) {
                forbidden.push((format!("{server}/{name}"), policy));
                continue;
            }
            let nature_at_most = Nature { labels: all, ..nature };
            let is_sink = all.has(ToolLabel::PublicSink);
            let barriers = is_sink.then(|| barriers(settings, &options, (&server, &name), nature_at_most, now));
            let (labels, barriers) = (nature.labels, barriers.unwrap_or_default());
            places.push(Place { server: server.clone(), kind, name, labels, sometimes, barriers });
        }
    }
    let mut combinations = combinations(&places, false);
    let more = self::combinations(&places, true).into_iter().filter(|found| {
        // Fewer servers make one anyway.
        !combinations.iter().any(|held| held.servers.iter().all(|server| found.servers.contains(server)))
    });
    let more: Vec<_> = more.collect();
    combinations.extend(more);
    Ok(Meeting { places, combinations, forbidden })
}

/// The policy that forbids a tool to everybody, if one does and is carried out.
fn forbids(settings: &Settings, server: &str, tool: &str) -> Option<String> {
    let held = settings.guards.get(policy::SPEC.name);
    let is_done = settings.mode != Mode::Observe && held.is_none_or(|held| *held == GuardSettings::default());
    let excepted = settings.exceptions.iter().any(|exception| exception.rule.starts_with(policy::SPEC.name));
    settings.policies.as_ref().filter(|_| is_done && !excepted)?.forbids_to_all(server, tool)
}

fn union(one: ToolLabels, other: ToolLabels) -> ToolLabels {
    one.iter().chain(other.iter()).collect()
}

/// What is done with information by what is called, or read.
fn nature(options: &Options, server: &str, (kind, name): (DefinitionKind, &str), known: Known<'_>) -> Option<Nature> {
    match kind {
        DefinitionKind::Tool => Some(options.nature((server, name), None, known)),
        DefinitionKind::Resource | DefinitionKind::ResourceTemplate => {
            let labels = options.of_resource(server, name).without(ToolLabel::PublicSink);
            Some(Nature { labels, reads: true, ..Nature::default() })
        }
        DefinitionKind::Prompt | DefinitionKind::Instructions => None,
    }
}

/// Rules by which the operator says where alone a tool may go.
fn is_limit(rule: &str) -> bool {
    matches!(rule, "flow.recipient" | "flow.domain")
}

/// The rules that a call of this tool would meet that carries something out.
fn rules(nature: Nature, entry: Option<&ToolEntry>) -> Vec<&'static str> {
    let mut rules = vec!["flow.private_data"];
    if nature.reads {
        rules.push("flow.untrusted_url");
    } else {
        rules.push("flow.untrusted_destination");
        // Of what only an annotation says it, not each call is asked about.
        rules.extend((!nature.by_hint).then_some("flow.trifecta"));
    }
    let limits = |set: Option<&Vec<String>>, rule| set.map(|_| rule);
    rules.extend(entry.and_then(|entry| limits(entry.recipients.as_ref(), "flow.recipient")));
    rules.extend(entry.and_then(|entry| limits(entry.domains.as_ref(), "flow.domain")));
    rules
}

fn barriers(
    settings: &Settings,
    options: &Options,
    (server, tool): (&str, &str),
    nature: Nature,
    now: Timestamp,
) -> Vec<Barrier> {
    // What is said of calls with certain arguments only is no way out in general, and no barrier.
    let entry = options.entry(server, tool, None);
    let own = entry.and_then(|entry| entry.recipients.as_deref()).unwrap_or_default();
    let is_all = |list: &[String]| list.iter().any(|recipient| settings::allows(std::slice::from_ref(recipient), &[], ""));
    let goes_anywhere = is_all(&options.recipients) || is_all(own);
    let is_on = settings.guards.get(SPEC.name).is_none_or(|set| set.enabled);
    let Ok(call) = Message::parse(r#"{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{}}"#, &Limits::default())
    else {
        return Vec::new();
    };
    let Some(at) = call.params() else { return Vec::new() };
    let wanted = rules(nature, entry);
    let barrier = |rule: &'static crate::RuleSpec| {
        let finding = Finding::about(rule, at, PartKind::Argument, "").of(tool);
        let lifted = if settings.mode == Mode::Observe {
            Some(Lifted::Mode)
        } else if !is_on {
            Some(Lifted::Off)
        } else if settings.excepted(&finding, server, Some(tool), now) {
            Some(Lifted::Exception)
        } else if goes_anywhere && rule.id != "flow.trifecta" {
            Some(Lifted::Recipients)
        } else {
            None
        };
        Barrier { rule: rule.id, action: mildest(settings, &finding, server, tool), lifted }
    };
    RULES.iter().filter(|rule| wanted.contains(&rule.id)).map(barrier).collect()
}

/// What is done about a finding, wherever in the arguments it is.
fn mildest(settings: &Settings, finding: &Finding, server: &str, tool: &str) -> Action {
    let mut least = None;
    let set = settings.guards.get(SPEC.name);
    for place in set.into_iter().flat_map(|set| &set.places) {
        if place.is_for(finding, Direction::ToServer, server, Some(tool)) {
            least = Some(least.map_or(place.action, |held: Action| held.min(place.action)));
            // Of one path only: elsewhere what comes after it counts.
            if place.path.is_none() {
                return least.unwrap_or(place.action);
            }
        }
    }
    let action = settings.action(SPEC.name, (finding, None), server, Some(tool)).action;
    least.map_or(action, |held| held.min(action))
}

const UNTRUSTED: u8 = 1;
const PRIVATE: u8 = 2;
const SINK: u8 = 4;
const ALL: u8 = UNTRUSTED | PRIVATE | SINK;

/// Which parts of a way out labels make.
fn role(labels: ToolLabels) -> u8 {
    let of = |label, bit| if labels.has(label) { bit } else { 0 };
    of(ToolLabel::UntrustedContent, UNTRUSTED) | of(ToolLabel::PrivateData, PRIVATE) | of(ToolLabel::PublicSink, SINK)
}

impl Place {
    /// Which parts of a way out it is, also for calls with certain arguments only.
    fn role(&self, sometimes: bool) -> u8 {
        role(if sometimes { union(self.labels, self.sometimes) } else { self.labels })
    }
}

/// The smallest sets of servers that have all parts between them.
fn combinations(places: &[Place], sometimes: bool) -> Vec<Combination> {
    let mut servers: Vec<(&str, u8)> = Vec::new();
    for place in places {
        match servers.iter_mut().find(|(name, _)| *name == place.server) {
            Some((_, roles)) => *roles |= place.role(sometimes),
            None => servers.push((&place.server, place.role(sometimes))),
        }
    }
    let mut found: Vec<Vec<&str>> = servers.iter().filter(|(_, roles)| *roles == ALL).map(|(name, _)| vec![*name]).collect();
    servers.retain(|(_, roles)| *roles != ALL);
    let later = |at: usize| servers.iter().skip(at + 1);
    for (at, (one, own)) in servers.iter().enumerate() {
        found.extend(later(at).filter(|(_, roles)| own | roles == ALL).map(|(other, _)| vec![*one, *other]));
    }
    for (at, (one, first)) in servers.iter().enumerate() {
        for (next, (other, second)) in servers.iter().enumerate().skip(at + 1).filter(|(_, (_, roles))| first | roles != ALL) {
            let third = later(next).filter(|(_, third)| {
                first | second | third == ALL && first | third != ALL && second | third != ALL
            });
            found.extend(third.map(|(third, _)| vec![*one, *other, *third]));
        }
    }
    found.into_iter().map(|names| of_servers(places, &names, sometimes)).collect()
}

fn of_servers(places: &[Place], names: &[&str], sometimes: bool) -> Combination {
    let of = |bit: u8| -> Vec<usize> {
        let all = places.iter().enumerate();
        all.filter(|(_, place)| names.contains(&&*place.server) && place.role(sometimes) & bit != 0).map(|(at, _)| at).collect()
    };
    let sinks = of(SINK);
    let ways = sinks.iter().filter_map(|at| places.get(*at)).map(|place| Way::of(&place.barriers));
    Combination {
        servers: names.iter().map(|name| (*name).to_owned()).collect(),
        untrusted: of(UNTRUSTED),
        private: of(PRIVATE),
        way: ways.min().unwrap_or(Way::Held),
        sometimes,
        sinks,
    }
}

#[cfg(test)]
mod tests;
