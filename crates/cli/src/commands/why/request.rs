//! What the logs say of one request for approval: who asked, what for, who decided and how, and which call spent it.

use std::fmt::Write;

use bartizan_audit::{Id, Record, rfc3339};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::super::log::Directory;
use super::entries::Entries;
use crate::outcome::Failure;
use crate::output::Paint;
use crate::stored::now;
use crate::text::inline;

/// What requests are called: so many digits and small letters.
const LENGTH: usize = 12;
/// What says that somebody's decision is good for nothing any more, as they were reset, removed or disabled.
const WITHDRAWN: &str = "approval.withdrawn";

/// The name of a request, if it can be one.
pub(super) fn name(text: &str) -> Option<String> {
    let text = text.trim_end_matches('.');
    let can_be = text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    can_be.then(|| text.to_ascii_lowercase())
}

/// All entries of one log about one request, in their order.
pub(super) struct Story {
    id: String,
    entries: Vec<Record>,
    /// What is wrong with the log up to the last of them.
    pub(super) broken: Option<String>,
    /// What a command needs to find the configuration, with a space in front.
    config: String,
}

impl Story {
    /// From the first log that has any; none if no log has.
    pub(super) fn read(directories: &[Directory], id: &str) -> Result<Option<Story>, Failure> {
        let entries = Entries::read(directories, |record| is_about(record, id))?;
        Ok(entries.map(|Entries { all, broken }| Story {
            id: id.to_owned(),
            entries: all,
            broken,
            config: String::new(),
        }))
    }

    /// The same, under a configuration that commands find with this option.
    pub(super) fn in_force(self, config: &str) -> Story {
        Story { config: config.to_owned(), ..self }
    }

    /// The last entry about it.
    pub(super) fn latest(&self) -> Option<Id> {
        self.entries.last().map(|record| record.id)
    }

    /// The last entry of that kind: one may be there twice, if the gateway ended between its store and its log.
    fn last(&self, kind: &str) -> Option<Value> {
        self.entries.iter().rev().find(|record| record.kind == kind).map(Record::value)
    }

    /// What somebody gave, the `part` that was asked of them, unless it was taken back since.
    fn given(&self, kind: &str, part: &str) -> Option<Value> {
        let entry = self
            .entries
            .iter()
            .rev()
            .find(|record| record.kind == kind || record.kind == WITHDRAWN && takes(&record.value(), part));
        entry.filter(|record| record.kind == kind).map(Record::value)
    }

    /// The calls that name it, and what was decided about each.
    fn calls(&self) -> impl Iterator<Item = (String, Value)> {
        let calls = self.entries.iter().filter(|record| record.kind == "message");
        calls.map(|record| (record.id.to_string(), record.value()))
    }

    /// The call that spent it.
    fn spender(&self) -> Option<String> {
        let passed = |(_, call): &(String, Value)| matches!(text(call, "decision").as_str(), "allow" | "transform");
        self.calls().filter(passed).last().map(|(id, _)| id)
    }

    /// Whether the log has what was asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.entries.iter().any(|record| record.kind == "approval.asked")
    }

    /// Whether the log has the decision that let a call pass, or that its call was refused for.
    pub(super) fn is_decided(&self) -> bool {
        let kinds = ["approval.approved", "approval.proven", "approval.denied"];
        self.entries.iter().any(|record| kinds.contains(&record.kind.as_str()))
    }

    /// How it stands, as far as the log says.
    fn state(&self, now: &str) -> &'static str {
        let last = |kind: &str| self.last(kind);
        let asked = last("approval.asked").unwrap_or_default();
        let needs = |what: &str| asked.get(what).and_then(Value::as_bool) == Some(true);
        let (yes, proof) = (self.given("approval.approved", "yes"), self.given("approval.proven", "proof"));
        // That of what was withdrawn too: it waits for as long.
        let decided = [last("approval.approved"), last("approval.proven")];
        let until = decided.iter().flatten().chain([&asked]).map(|entry| text(entry, "expires_at"));
        let until = until.filter(|until| !until.is_empty()).max();
        if last("approval.used").is_some() || self.spender().is_some() {
            "used"
        } else if last("approval.denied").is_some() {
            "denied"
        } else if until.is_some_and(|until| *until <= *now) {
            "expired"
        } else if (!needs("needs_yes") || yes.is_some()) && (!needs("needs_proof") || proof.is_some()) {
            "approved"
        } else {
            "pending"
        }
    }

    /// For people: what it is, and below that a line for each thing that happened with it.
    pub(super) fn sentences(&self, paint: Paint) -> String {
        let state = self.state(&moment_now());
        let (painted, is_over) = match state {
            "pending" => (paint.like("approve", "waits"), false),
            "approved" => (paint.like("allow", state), false),
            "denied" => (paint.like("deny", state), true),
            other => (paint.like("", other), true),
        };
        let about = self.entries.iter().rev().find(|record| record.kind != "message").map(Record::value);
        let about = about.unwrap_or_default();
        let of = |key: &str| inline(&text(&about, key));
        let mut out = format!("Request {}", paint.bold(&self.id));
        if !of("what").is_empty() {
            let _ = write!(out, "  {} of the server `{}`, for {}", of("what"), of("server"), of("principal"));
        }
        let _ = writeln!(out, ": {painted}");
        for (what, line) in self.lines() {
            let _ = writeln!(out, "  {what:10}{line}");
        }
        if !is_over {
            let _ = writeln!(
                out,
                "  {:10}`bartizan approve {}{}` shows it and asks back",
                "to decide", self.id, self.config
            );
        }
        out
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        if let Some(asked) = self.last("approval.asked") {
            let until = text(&asked, "expires_at");
            let until = if until.is_empty() { until } else { format!(", good until {}", second(&until)) };
            lines.push(("asked", format!("{} by {}{until}", done_at(&asked), by(&asked))));
            let asks = asked.get("asks").and_then(Value::as_array).into_iter().flatten();
            lines.extend(asks.map(|ask| ("because", because(ask))));
            let is = |key: &str| asked.get(key).and_then(Value::as_bool) == Some(true);
            if is("four_eyes") {
                lines.push(("rule", "four eyes: whoever asks may not agree".to_owned()));
            }
            if is("fresh") && is("needs_yes") {
                lines.push(("rule", "whoever agrees on a page shows a second factor for it".to_owned()));
            }
        }
        let kinds = [("approved", "approval.approved"), ("proven", "approval.proven"), ("denied", "approval.denied")];
        for (word, kind) in kinds {
            if let Some(decision) = self.last(kind) {
                lines.push((word, format!("{} by {}{}", done_at(&decision), by(&decision), how(&decision))));
            }
        }
        for taken in self.entries.iter().filter(|record| record.kind == WITHDRAWN).map(Record::value) {
            let of = inline(&text(&taken, "of"));
            let who = format!(
                "{} by {}: what {of} had given, who was reset, removed or disabled",
                done_at(&taken),
                by(&taken)
            );
            lines.push(("withdrawn", who));
        }
        let (used, spender) = (self.last("approval.used"), self.spender());
        if used.is_some() || spender.is_some() {
            let at = used.as_ref().map(|used| format!("{} ", done_at(used))).unwrap_or_default();
            let call =
                spender.map_or("the log has no call that passed with it".to_owned(), |id| format!("by the call {id}"));
            lines.push(("used", format!("{at}{call}")));
        }
        let refused = self.calls().filter(|(_, call)| matches!(text(call, "decision").as_str(), "approve" | "deny"));
        lines.extend(refused.map(|(id, call)| ("refused", format!("{} the call {id}", second(&text(&call, "at"))))));
        lines
    }
}

/// Whether an entry takes that part back.
fn takes(entry: &Value, part: &str) -> bool {
    entry.get("taken").and_then(Value::as_array).is_some_and(|taken| taken.iter().any(|one| one == part))
}

fn is_about(record: &Record, id: &str) -> bool {
    // Most entries are about something else, and are not worth reading as JSON.
    record.text().contains(&format!("\"approval\":\"{id}\"")) && text(&record.value(), "approval") == id
}

fn text(entry: &Value, key: &str) -> String {
    entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn moment_now() -> String {
    rfc3339(now().0)
}

/// A moment to the second.
fn second(at: &str) -> String {
    let short = at.split_once('.').map_or(at.to_owned(), |(seconds, _)| format!("{seconds}Z"));
    inline(&short)
}

fn done_at(entry: &Value) -> String {
    second(&text(entry, "done_at"))
}

fn by(entry: &Value) -> String {
    inline(&text(entry, "by"))
}

/// Which rule or policy asks for what, and who may agree.
fn because(ask: &Value) -> String {
    let rule = inline(&text(ask, "rule"));
    let who = match text(ask, "policy") {
        policy if policy.is_empty() => format!("the rule {rule}"),
        policy => format!("the policy `{}` ({rule})", inline(&policy)),
    };
    if text(ask, "need") == "step_up" {
        return format!("{who} wants whoever asks to show who they are");
    }
    let approvers = ask.get("approvers").and_then(Value::as_array).into_iter().flatten();
    let approvers: Vec<_> = approvers.filter_map(Value::as_str).map(inline).collect();
    let approvers = if approvers.is_empty() { String::new() } else { format!(", of {}", approvers.join(", ")) };
    format!("{who} wants somebody's approval{approvers}")
}

/// In which way somebody decided.
fn how(decision: &Value) -> String {
    let mut out = match text(decision, "way").as_str() {
        "page" => ", on a page, signed in".to_owned(),
        "command" => ", with a command on the gateway's machine".to_owned(),
        _ => String::new(),
    };
    let factor = text(decision, "second_factor_at");
    if !factor.is_empty() {
        let _ = write!(out, " with a second factor (last shown {})", second(&factor));
    } else if text(decision, "way") == "page" {
        out.push_str(" without a second factor");
    }
    let reason = text(decision, "reason");
    if !reason.is_empty() {
        let _ = write!(out, ": {}", inline(&reason));
    }
    out
}

/// What `why --json` prints about a request for approval.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Requested {
    #[schemars(extend("const" = Requested::FORMAT))]
    format: &'static str,
    #[serde(flatten)]
    told: Told,
}

/// A request for approval, as far as the log says.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Told {
    /// Whether the chain holds from the first entry of the log up to the last about the request.
    verified: bool,
    /// If not, where it breaks: from there on the log may say anything.
    problem: Option<String>,
    /// What it is called.
    request: String,
    /// `pending`, `approved`, `denied`, `used` or `expired`.
    state: &'static str,
    /// The entry of the call that spent it.
    spent_by: Option<String>,
    /// What was done with it: the entries as they stand in the log.
    events: Vec<Value>,
    /// Ids of the entries of all calls that name it.
    calls: Vec<String>,
}

impl Requested {
    pub(in super::super) const FORMAT: &str = "bartizan.why.request/1";

    pub(super) fn of(story: &Story) -> Self {
        Requested { format: Self::FORMAT, told: Told::of(story) }
    }
}

impl Told {
    pub(super) fn of(story: &Story) -> Self {
        let events = story.entries.iter().filter(|record| record.kind != "message");
        Told {
            verified: story.broken.is_none(),
            problem: story.broken.clone(),
            request: story.id.clone(),
            state: story.state(&moment_now()),
            spent_by: story.spender(),
            events: events.map(Record::value).collect(),
            calls: story.calls().map(|(id, _)| id).collect(),
        }
    }
}
