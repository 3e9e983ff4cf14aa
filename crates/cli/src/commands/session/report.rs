//! What is said of conversations.

use std::fmt::Write;
use std::time::Duration;

use bartizan_gateway::control::{self, Seen, SeenLabel};
use schemars::JsonSchema;
use serde::Serialize;

use super::Held;
use crate::output::Paint;
use crate::text::{count, inline};

/// What `session list --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Listed<'a> {
    #[schemars(extend("const" = Listed::FORMAT))]
    format: &'static str,
    sessions: Vec<Session<'a>>,
}

impl<'a> Listed<'a> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.session.list/1";

    pub(super) fn of(all: &'a [Held]) -> Listed<'a> {
        Listed { format: Listed::FORMAT, sessions: all.iter().map(Session::of).collect() }
    }
}

/// What `session show --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Shown<'a> {
    #[schemars(extend("const" = Shown::FORMAT))]
    format: &'static str,
    #[serde(flatten)]
    session: Session<'a>,
}

impl<'a> Shown<'a> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.session/1";

    pub(super) fn of(held: &'a Held) -> Shown<'a> {
        Shown { format: Shown::FORMAT, session: Session::of(held) }
    }
}

#[derive(Serialize, JsonSchema)]
struct Session<'a> {
    /// As the log names it; of one that is over the one in which something was found last.
    session: &'a str,
    /// The directory of the audit log of the gateway that has it.
    log: String,
    /// For whom the client acts.
    principal: &'a str,
    /// What the client calls itself, or its process.
    client: &'a str,
    /// How many seconds ago it began; `null` if it is over, and the next one begins with its labels.
    age: Option<u64>,
    servers: &'a [String],
    labels: Vec<Label<'a>>,
    /// How many results are remembered.
    results: u64,
    /// How many values of them are.
    values: u64,
    /// Whether more came in than is remembered.
    is_full: bool,
    /// The other sessions of the same client, which are reset together.
    with: &'a [String],
}

/// A label, and which result gave it, as far as that is known.
#[derive(Serialize, JsonSchema)]
struct Label<'a> {
    label: &'a str,
    /// RFC 3339, UTC.
    since: Option<&'a str>,
    session: Option<&'a str>,
    server: Option<&'a str>,
    tool: Option<&'a str>,
    /// The entry of the audit log.
    entry: Option<&'a str>,
}

impl<'a> Session<'a> {
    fn of(Held { log, seen }: &'a Held) -> Session<'a> {
        Session {
            session: &seen.session,
            log: log.display().to_string(),
            principal: &seen.principal,
            client: &seen.client,
            age: seen.age,
            servers: &seen.servers,
            labels: seen.labels.iter().map(Label::of).collect(),
            results: seen.results,
            values: seen.values,
            is_full: seen.is_full,
            with: &seen.with,
        }
    }
}

impl<'a> Label<'a> {
    fn of(held: &'a SeenLabel) -> Label<'a> {
        Label {
            label: &held.label,
            since: held.since.as_deref(),
            session: held.session.as_deref(),
            server: held.server.as_deref(),
            tool: held.tool.as_deref(),
            entry: held.entry.as_deref(),
        }
    }
}

/// What `session reset --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Cleared<'a> {
    #[schemars(extend("const" = Cleared::FORMAT))]
    format: &'static str,
    session: &'a str,
    principal: &'a str,
    /// All sessions of the client that go on; each of them has forgotten.
    sessions: &'a [String],
    /// The labels that are gone.
    labels: &'a [String],
    /// How many results were remembered.
    results: u64,
    /// How many values of them were.
    values: u64,
    /// The entry of the audit log that says so.
    entry: &'a str,
}

impl<'a> Cleared<'a> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.session.reset/1";

    pub(super) fn of(cleared: &'a control::Cleared, entry: &'a str) -> Cleared<'a> {
        let control::Cleared { session, principal, sessions, labels, results, values } = cleared;
        Cleared {
            format: Cleared::FORMAT,
            session,
            principal,
            sessions,
            labels,
            results: *results,
            values: *values,
            entry,
        }
    }

    /// For people, on one line.
    pub(super) fn sentence(&self) -> String {
        let labels = if self.labels.is_empty() { "no labels".to_owned() } else { inline(&self.labels.join(", ")) };
        let values = number(self.values, "value");
        let (session, principal, entry) = (inline(self.session), inline(self.principal), inline(self.entry));
        format!("reset: {session} of {principal}: {labels} and {values} are forgotten (entry {entry})")
    }
}

fn number(of: u64, what: &str) -> String {
    count(usize::try_from(of).unwrap_or(usize::MAX), what)
}

/// A line for each.
pub(super) fn table(all: &[Held], paint: Paint) -> String {
    let rows = all.iter().map(|Held { seen, .. }| {
        let labels: Vec<_> = seen.labels.iter().map(|held| inline(&held.label)).collect();
        let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(",") };
        let servers = if seen.servers.is_empty() { "-".to_owned() } else { inline(&seen.servers.join(",")) };
        [inline(&seen.session), inline(&seen.principal), age(seen), seen.values.to_string(), labels, servers]
    });
    let heads = ["session", "principal", "age", "values", "labels", "servers"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(heads).chain(rows).collect();
    let widths: Vec<usize> = (0..6)
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        let _ = if number == 0 { writeln!(out, "{}", paint.dim(line)) } else { writeln!(out, "{line}") };
    }
    out
}

/// All of one.
pub(super) fn one(Held { log, seen }: &Held, paint: Paint) -> String {
    let mut out = String::new();
    let name = inline(&seen.session);
    let _ = writeln!(out, "{} of {}", paint.bold(&name), inline(&seen.principal));
    let mut line = |what: &str, text: &str| {
        let _ = writeln!(out, "  {what:10}{text}");
    };
    line("client", &inline(&seen.client));
    line("log", &inline(&log.display().to_string()));
    line("age", &age(seen));
    line("servers", &if seen.servers.is_empty() { "none yet".to_owned() } else { inline(&seen.servers.join(", ")) });
    if seen.labels.is_empty() {
        line("labels", "none");
    }
    for held in &seen.labels {
        line("label", &label(held));
    }
    let (values, results) = (number(seen.values, "value"), number(seen.results, "result"));
    let full = if seen.is_full { "; more came in than is remembered" } else { "" };
    line("remembers", &format!("{values} of {results}{full}"));
    if !seen.with.is_empty() {
        line("with", &format!("{} of the same client: {}", seen.with.len(), inline(&seen.with.join(", "))));
    }
    out
}

/// A label, and all that is known of what gave it.
fn label(held: &SeenLabel) -> String {
    let mut said = inline(&held.label);
    if let Some(since) = &held.since {
        let _ = write!(said, " since {}", inline(since));
    }
    if let Some(server) = &held.server {
        let tool = held.tool.as_ref().map(|tool| format!("/{tool}")).unwrap_or_default();
        let _ = write!(said, ", by a result of {}", inline(&format!("{server}{tool}")));
    }
    if let Some(entry) = &held.entry {
        let _ = write!(said, " (entry {})", inline(entry));
    }
    said
}

/// How long it is since it began, or that it is over.
fn age(seen: &Seen) -> String {
    seen.age.map_or_else(|| "over".to_owned(), |seconds| ago(Duration::from_secs(seconds)))
}

fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}min", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
