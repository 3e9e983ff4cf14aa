//! `bartizan policy explain USER`: all that somebody may do with what is approved, and by which policies.

use std::fmt::Write;

use bartizan_policy::{Circumstances, Outcome as Decided, Purpose, Use};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Brings, Place, call, declared, doubt, lock, now, policies, word};
use crate::outcome::{Failure, Outcome};
use crate::output;
use crate::text::{count, inline, printable};

/// What `policy explain USER --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Overview {
    #[schemars(extend("const" = Overview::FORMAT))]
    format: &'static str,
    /// Roles that the user has.
    roles: Vec<String>,
    /// Groups that the user is in.
    groups: Vec<String>,
    /// What of the question may not be what was meant, or cannot be known here.
    notes: Vec<String>,
    /// What is decided about each thing that is approved, in the order of servers.
    things: Vec<Thing>,
}

/// A tool, a prompt or a resource.
#[derive(Serialize, JsonSchema)]
struct Thing {
    server: String,
    /// `tool`, `prompt` or `resource`.
    kind: String,
    /// Its name, or the URI of a resource.
    name: String,
    /// `allow`, `deny`, or what is asked for: `approval` or `step_up`. Of a tool it is about a call whose arguments are not known.
    decision: &'static str,
    /// Whether it depends on the arguments, so that this is decided with each call; then `decision` is only for a call without any.
    depends: bool,
    /// Whether it is in the lists that this user sees.
    listed: bool,
    /// The policies that decide, by their ids; none where only the default does.
    by: Vec<String>,
    /// Why the policies could not be asked, which refuses.
    failed: Option<String>,
}

impl Overview {
    pub(in super::super) const FORMAT: &str = "bartizan.policy.overview/1";
}

pub(super) fn run(user: &str, brings: &Brings, place: &Place) -> Result<Outcome, Failure> {
    let config = place.load()?;
    let (policies, lock) = (policies(&config)?, lock(&config)?);
    let principal = brings.principal(user);
    let subject = policies.subject(&principal).map_err(Failure::usage)?;
    let now = now();
    let mut things = Vec::new();
    for server in lock.iter().flat_map(|lock| lock.servers()) {
        let pins = lock.as_ref().and_then(|lock| lock.pins(server));
        for (kind, name) in pins.into_iter().flat_map(|pins| pins.definitions.keys()) {
            let known = if kind == "tool" { declared(lock.as_ref(), server, name)? } else { None };
            let of = match kind.as_str() {
                "tool" => call(name, known.as_ref()),
                "prompt" => Use::Get(name),
                "resource" => Use::Read(name),
                // A template names no resource, and instructions are for whoever may use the server.
                _ => continue,
            };
            let Some(target) = policies.target(server, of) else { continue };
            let circumstances = Circumstances { now, arguments: None, labels: brings.labels() };
            let decide = |purpose| policies.decide(&subject, &target, purpose, circumstances);
            let (decision, listed) = (decide(Purpose::Use), decide(Purpose::List).outcome != Decided::Deny);
            things.push(Thing {
                server: server.to_owned(),
                kind: kind.clone(),
                name: name.clone(),
                decision: word(decision.outcome),
                // What no arguments could make allowed is in no list.
                depends: kind == "tool" && listed && (decision.outcome == Decided::Deny || decision.failed.is_some()),
                listed,
                by: decision.reasons.iter().map(|reason| reason.id.to_string()).collect(),
                failed: decision.failed,
            });
        }
    }
    let held = policies.roles().held_by(user, &principal.roles, &principal.groups);
    let (roles, groups) = (held.roles.into_iter().collect(), held.groups.into_iter().collect());
    let overview = Overview {
        format: Overview::FORMAT,
        roles,
        groups,
        notes: doubt::notes(&config, policies, user, brings),
        things,
    };
    if place.json {
        output::print_json(&overview)?;
    } else {
        output::print(overview.text(user).trim_end())?;
    }
    Ok(Outcome::Clean)
}

impl Overview {
    fn text(&self, user: &str) -> String {
        let some = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let mut text = format!("what {} may do\n", printable(user));
        let _ =
            writeln!(text, "  roles   {}\n  groups  {}", printable(&some(&self.roles)), printable(&some(&self.groups)));
        for note in &self.notes {
            let _ = writeln!(text, "  note: {}", inline(note));
        }
        if self.things.is_empty() {
            text.push_str(
                "\nnothing is in the lock file yet, so nothing is known to decide about; things are once a client has listed \
                 them through the gateway\n",
            );
            return text;
        }
        let named = |thing: &Thing| inline(&format!("{} {}", thing.kind, thing.name));
        let wide = self.things.iter().map(|thing| named(thing).chars().count()).max().unwrap_or(0).min(48);
        let mut server = "";
        for thing in &self.things {
            if thing.server != server {
                server = &thing.server;
                let _ = writeln!(text, "\n{}", inline(server));
            }
            let decision = if thing.depends { "depends" } else { thing.decision };
            let by = match (&thing.failed, thing.by.is_empty(), thing.depends) {
                (_, _, true) => "its arguments, or a policy that cannot tell without them".to_owned(),
                (Some(why), ..) => inline(why),
                (None, true, _) => "the default".to_owned(),
                (None, false, _) => inline(&thing.by.join(", ")),
            };
            let hidden = if thing.listed { "" } else { "  (not listed)" };
            let _ = writeln!(text, "  {decision:8}  {:wide$}  {by}{hidden}", named(thing));
        }
        let allowed = self.things.iter().filter(|thing| !thing.depends && thing.decision == "allow").count();
        let _ = writeln!(
            text,
            "\n{allowed} of {} allowed as such; `bartizan policy explain USER SERVER/TOOL` shows the policies of one",
            count(self.things.len(), "thing"),
        );
        text
    }
}
