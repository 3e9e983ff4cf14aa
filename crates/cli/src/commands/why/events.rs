//! What entries say that are about no single message: what was counted, and changes of the configuration.

use std::fmt::Write;

use bartizan_gateway::reasons;
use serde::Deserialize;

use super::{Entry, egress, rule};
use crate::output::Paint;
use crate::text::{count, inline};

/// How often something was refused, by where it came from or under which rule.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Count {
    source: String,
    pub(super) rule: String,
    count: u64,
}

/// What happened and what became of it; none for entries about a message.
pub(super) fn sentences(entry: &Entry, paint: Paint) -> Option<String> {
    if let Some(said) = egress::sentences(entry, paint) {
        return Some(said);
    }
    let denied = paint.decision("deny");
    Some(match entry.kind.as_str() {
        "edge.refused" => {
            let them = if entry.total == Some(1) { "it" } else { "them" };
            let what =
                format!("{} refused before there was a message in {them}{}.", many(entry, "request"), sources(entry));
            format!("{what}\nDecision: {denied}. None of them has an entry of its own.{}", by_rule(entry))
        }
        "upstream.strays" => {
            let what = format!("{} dropped, which nobody had asked for{}.", many(entry, "message"), sources(entry));
            format!(
                "{what}\nDecision: {denied}. Those before them in that second have entries of their own.{}",
                by_rule(entry)
            )
        }
        "config.refused" => {
            let file = entry.config.as_deref().map(|file| format!(" {}", inline(file))).unwrap_or_default();
            let problems = entry.problems.iter().fold(String::new(), |mut out, problem| {
                let _ = write!(out, "\n  {}", inline(problem));
                out
            });
            let why = if problems.is_empty() { "\n  (the entry does not say why)" } else { &problems };
            format!("A change of the configuration{file} was refused, and the one before stayed in force.{why}")
        }
        "config.reloaded" => "A change of the configuration was put in force.".to_owned(),
        "certificate.changed" => match &entry.refused {
            Some(why) => format!("A changed certificate was refused, and the one before stayed in force.\n  {}", inline(why)),
            None => "A changed certificate was put in force for new connections.".to_owned(),
        },
        "server.eras" => {
            let speaks = match entry.speaks.as_str() {
                "legacy" => "the revisions with sessions (until 2025-11-25) and no other",
                "modern" => "2026-07-28 and no older revision",
                "both" => "both, the revisions with sessions and 2026-07-28",
                _ => "(the entry does not say what)",
            };
            format!("The server `{}` was asked what it speaks: {speaks}. Its clients are translated for accordingly.", inline(&entry.server))
        }
        "session.labelled" => {
            let labels: Vec<_> = entry.labels.iter().map(|label| format!("`{}`", inline(label))).collect();
            let (labels, session) = (labels.join(" and "), inline(&entry.session));
            format!("The session {session} began labelled {labels}, {}.", entry.inherited.sentence())
        }
        "session.reset" => {
            let labels: Vec<_> = entry.labels.iter().map(|label| format!("`{}`", inline(label))).collect();
            let labels = if labels.is_empty() { "no labels".to_owned() } else { labels.join(" and ") };
            let session = inline(&entry.session);
            format!(
                "The operator has reset the session {session}, with all of its client: {labels} and what was remembered are forgotten."
            )
        }
        "lock.gone" => {
            "The lock file was gone while Bartizan was running. It was written again as it was known, and nothing in it \
             was approved anew."
                .to_owned()
        }
        _ => return None,
    })
}

fn many(entry: &Entry, what: &str) -> String {
    let total = entry.total.unwrap_or_default();
    let verb = if total == 1 { "was" } else { "were" };
    format!("{} {verb}", count(usize::try_from(total).unwrap_or(usize::MAX), what))
}

/// Where they came from, those with most first.
fn sources(entry: &Entry) -> String {
    const SHOWN: usize = 5;
    let named = entry.sources.iter().take(SHOWN);
    let mut named: Vec<_> = named.map(|one| format!("{} ({})", inline(&one.source), one.count)).collect();
    let more = entry.sources.iter().skip(SHOWN).map(|one| one.count).sum::<u64>().saturating_add(entry.other_sources);
    if more > 0 {
        named.push(format!("others ({more})"));
    }
    if named.is_empty() { String::new() } else { format!(", from {}", named.join(", ")) }
}

fn by_rule(entry: &Entry) -> String {
    if entry.reasons.is_empty() {
        return "\n  (the entry does not say why)".to_owned();
    }
    entry.reasons.iter().fold(String::new(), |mut out, reason| {
        let known = reasons::of(&reason.rule).map(|known| format!(": {}", known.what));
        let known =
            known.or_else(|| rule(&reason.rule).map(|spec| format!(": {}", spec.summary.trim_end_matches('.'))));
        let hosts: Vec<_> = entry.hosts.iter().map(|host| format!("{:?}", inline(host))).collect();
        let hosts = match reason.rule == "edge.host" && !hosts.is_empty() {
            true => format!("; it was {}", hosts.join(", ")),
            false => String::new(),
        };
        let _ = write!(out, "\n  {} × {}{}{hosts}", reason.count, inline(&reason.rule), known.unwrap_or_default());
        out
    })
}
