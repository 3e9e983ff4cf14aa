//! How what was found is printed.

use std::fmt::Write;
use std::ops::Range;

use bartizan_guard::{Action, Inspection, excerpt};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::outcome::Failure;
use crate::output::Paint;
use crate::text::count;

/// A line that `inspect` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Inspected<'a> {
    /// As in the line of the input; `null` if that has none.
    #[schemars(extend("type" = ["string", "number", "null"]))]
    #[schemars(with = "serde_json::Value")]
    id: Option<&'a RawValue>,
    /// What a gateway that enforces would do with what brings the text: `redact` changes it, and `deny` also stands for a
    /// definition that is taken out of its list.
    action: Done,
    /// How likely it is that the text gives the assistant orders that its user did not.
    #[schemars(range(min = 0, max = 1))]
    score: f32,
    findings: Vec<Finding<'a>>,
    /// What the settings write in front of the text to mark it as content from outside, if they do; the tag is another one in
    /// each session.
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<&'a str>,
}

/// What becomes of a text.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Done {
    Allow,
    Redact,
    Approve,
    Deny,
}

/// What was found at one place; there may be several of one rule.
#[derive(Serialize, JsonSchema)]
struct Finding<'a> {
    /// The id of the rule.
    rule: &'static str,
    /// The id by which settings name the rule of the operator's that comes under it, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    own: Option<&'a str>,
    /// `info`, `low`, `medium`, `high` or `critical`.
    severity: &'static str,
    /// Where it begins and ends in the text, in bytes of UTF-8; all of the text for what is no single place.
    span: [usize; 2],
    /// A sentence for a person.
    why: String,
}

impl<'a> Inspected<'a> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.inspect/1";

    pub(super) fn of(id: Option<&'a RawValue>, found: &'a Inspection) -> Inspected<'a> {
        let findings = found.findings.iter().map(|held| Finding {
            rule: held.rule,
            own: held.own.as_deref(),
            severity: held.severity.as_str(),
            span: [held.span.start, held.span.end],
            why: held.why.clone(),
        });
        let action = match found.action {
            Action::Observe => Done::Allow,
            Action::Redact => Done::Redact,
            Action::Approve => Done::Approve,
            Action::Deny => Done::Deny,
        };
        Inspected { id, action, score: shown(found.score), findings: findings.collect(), mark: found.mark.as_deref() }
    }

    pub(super) fn line(&self) -> Result<String, Failure> {
        serde_json::to_string(self).map_err(Failure::ours)
    }
}

/// In ten-thousandths: more digits say nothing.
fn shown(score: f32) -> f32 {
    (score.clamp(0.0, 1.0) * 10_000.0).round() / 10_000.0
}

/// For a person.
pub(super) fn text(text: &str, found: &Inspection) -> String {
    let paint = Paint::for_stdout();
    let action = if found.action == Action::Observe { "allow" } else { found.action.as_str() };
    let mut out = String::new();
    let (action, number) = (paint.decision(action), count(found.findings.len(), "finding"));
    let _ = writeln!(out, "{action}  score {:.2}, {number}", shown(found.score));
    for held in &found.findings {
        let Range { start, end } = held.span;
        let led = paint.decision(held.action.as_str());
        let _ = writeln!(
            out,
            "\n{} ({}, {led}), bytes {start} to {end}",
            paint.bold(held.own.as_deref().unwrap_or(held.rule)),
            held.severity.as_str()
        );
        let _ = writeln!(out, "  {}", held.why);
        let _ = writeln!(out, "  {}", paint.dim(&excerpt(text.get(start..end).unwrap_or_default())));
    }
    if let Some(mark) = &found.mark {
        let _ =
            writeln!(out, "\nmarked as content from outside, with another tag in each session:\n  {}", paint.dim(mark));
    }
    out
}
