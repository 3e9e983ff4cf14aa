//! Connections of confined servers: what was asked for, and what would have to be written for it to be allowed.

use bartizan_audit::Record;
use bartizan_gateway::reasons;
use serde::Deserialize;
use serde_json::Value;

use super::advice::Advice;
use super::{Entry, inline};
use crate::output::Paint;
use crate::text::toml_string;

/// What an entry says of a connection.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Connection {
    host: Option<String>,
    port: Option<u16>,
    address: Option<String>,
    path: Option<String>,
    reason: Option<String>,
    times: Option<u64>,
    /// Whether it was of what installs the server's packages.
    #[serde(default)]
    installing: bool,
}

/// Whether entries of this kind are about connections of confined servers.
pub(in super::super) fn is_about(kind: &str) -> bool {
    kind.starts_with("egress.")
}

/// Where a connection was to, as rules name it; nothing if the entry does not say.
pub(in super::super) fn target(entry: &Value) -> Option<String> {
    Connection::deserialize(entry).ok()?.target()
}

impl Connection {
    /// Nothing of an entry about anything else.
    pub(super) fn of(record: &Record) -> Connection {
        let is_about = is_about(&record.kind);
        is_about.then(|| Connection::deserialize(record.value()).ok()).flatten().unwrap_or_default()
    }

    fn target(&self) -> Option<String> {
        let host = inline(self.host.as_deref()?);
        Some(self.port.map_or(host.clone(), |port| format!("{host}:{port}")))
    }
}

/// What was asked for and what became of it; none for entries about anything else.
pub(super) fn sentences(entry: &Entry, paint: Paint) -> Option<String> {
    if !is_about(&entry.kind) {
        return None;
    }
    let Connection { address, path, reason, times, .. } = &entry.connection;
    let target = entry.connection.target().unwrap_or_else(|| "a host that could not be read".to_owned());
    let request = match (&entry.method, path) {
        (Some(method), Some(path)) => format!(", with the request `{} {}`", inline(method), inline(path)),
        (Some(method), None) => format!(", with a request `{}`", inline(method)),
        (None, _) => String::new(),
    };
    let address = address.as_deref().map(|address| format!(" (the address {})", inline(address))).unwrap_or_default();
    let times =
        times.filter(|times| *times > 1).map(|times| format!(", {times} times within a second")).unwrap_or_default();
    let why = reason.as_deref().unwrap_or_default();
    let known = reasons::of(why).map(|known| format!(": {}", known.what)).unwrap_or_default();
    let why = inline(why);
    let server = inline(&entry.server);
    let asked = format!("The confined server `{server}` asked for {target}{address}{request}{times}.");
    let became = match entry.kind.as_str() {
        "egress.refused" => format!("Decision: {}. Nothing left: {why}{known}.", paint.decision("deny")),
        "egress.closed" => format!("The connection is over: {why}{known}."),
        "egress.request" => format!("Decision: {}. The request was passed on.", paint.decision("allow")),
        _ => format!("Decision: {}. The connection was made.", paint.decision("allow")),
    };
    Some(format!("{asked}\n{became}"))
}

/// What would let the connection be made.
pub(super) fn advice(entry: &Entry) -> Option<Advice> {
    let ended = ["egress.replaced", "egress.sent_cap", "egress.received_cap"];
    let reason = entry.connection.reason.as_deref()?;
    if entry.kind != "egress.refused" && !(entry.kind == "egress.closed" && ended.contains(&reason)) {
        return None;
    }
    let table = |key: &str, value: &str| {
        format!("[server.{}.sandbox]\nnet.{key} = [{}]", toml_string(&entry.server), toml_string(value))
    };
    if let ("egress.not_allowed", true, Some(target)) = (reason, entry.connection.installing, entry.connection.target())
    {
        let what = "to let what installs this server's packages reach that host, which the server itself does not: in the table \
                    of the server, or in a profile `[profile.NAME]` for `bartizan run --profile NAME`";
        let write = Some(table("allow", &target).replacen("\nnet.", "\ninstall.net.", 1));
        return Some(Advice { rule: reason.to_owned(), what: what.to_owned(), write });
    }
    let (what, write) = match (reason, entry.connection.target(), &entry.connection.address) {
        ("egress.not_allowed" | "egress.replaced", Some(target), _) if entry.connection.port.is_some() => (
            format!(
                "to let this server reach that host from now on: with `bartizan run`, its option `--allow {}`, and nothing else; in a \
                 configuration, beside what `net.allow` of the server names already",
                inline(&target)
            ),
            // Without its table a server has the profile that fits, and would not have it with one that leaves it out.
            Some(table("allow", &target).replacen(
                '\n',
                "\nprofile = \"auto\"  # only where the server has no such table yet\n",
                1,
            )),
        ),
        ("egress.address_private" | "egress.address_own", _, Some(address)) => (
            "to let the names in `net.allow` lead to that address as well, if it is meant; for `bartizan run --profile NAME` in a table \
             `[profile.NAME]`"
                .to_owned(),
            Some(table("private", address)),
        ),
        _ => (reasons::of(reason).map_or("nothing that this version knows of", |known| known.help).to_owned(), None),
    };
    Some(Advice { rule: reason.to_owned(), what, write })
}
