//! Tries a proposal on the traffic that it was learned from.

use std::collections::BTreeMap;

use bartizan_gateway::capture::Record;
use bartizan_guard::{Decision, Direction, Mode, Pipeline, Settings};
use schemars::JsonSchema;
use serde::Serialize;

use super::captured::Captured;
use super::proposal::Proposal;
use crate::outcome::Failure;

/// What would have become of the captured results.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(super) struct Tried {
    /// Results that passed.
    results: u64,
    /// Of which something would have been left out that was not.
    projected: u64,
    /// How many bytes they had, and how many fewer they would have had.
    bytes: u64,
    fewer: u64,
    /// How many would have been refused.
    refused: u64,
}

/// A setting that is not proposed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Dropped {
    server: String,
    tool: String,
    /// As it would have been written.
    setting: String,
    /// Why a result would have been refused.
    why: String,
}

impl Tried {
    pub(super) fn sentence(&self) -> String {
        let Tried { results, projected, bytes, fewer, refused } = self;
        format!(
            "with this in force, {projected} of {results} results would be projected, {fewer} of {bytes} bytes fewer, {refused} refused"
        )
    }
}

impl Dropped {
    pub(super) fn sentence(&self) -> String {
        let Dropped { server, tool, setting, why } = self;
        format!("{server}/{tool}: `{setting}` is not proposed, as a result would be refused: {why}")
    }
}

/// How a result ends: its bytes, or why it does not pass.
type End = Result<usize, String>;

/// A round: what it counted, and of each tool of which a result would be refused the first such record.
type Round = (Tried, BTreeMap<(String, String), Record>);

/// Rounds in which single settings are taken out; then all of a tool are, so that it ends soon whatever a server brings.
const ROUNDS: usize = 8;

/// Records that are held at once.
const HELD: usize = 64;

/// Tries the proposal, and takes out of it whatever would have a result refused.
pub(super) fn run(
    captured: &Captured,
    settings: &Settings,
    proposal: &mut Proposal,
) -> Result<(Tried, Vec<Dropped>), Failure> {
    let mut dropped = Vec::new();
    let before = pipeline(settings, &serde_json::json!({}))?;
    let mut rounds = 0;
    loop {
        let (tried, refused) = round(captured, &before, &pipeline(settings, &proposal.options())?)?;
        if refused.is_empty() {
            return Ok((tried, dropped));
        }
        // Each round takes something out, so there is a last one.
        rounds += 1;
        for ((server, tool), record) in refused {
            let mut alone = Vec::new();
            let singly = if rounds <= ROUNDS { proposal.each_alone(&server, &tool) } else { Vec::new() };
            for (at, options) in singly {
                if let Err(why) = end(&pipeline(settings, &options)?, &record) {
                    alone.push((at, why));
                }
            }
            let gone = proposal.take_out(&server, &tool, &alone);
            if gone.is_empty() {
                return Err(Failure::ours(format!(
                    "a result of {server}/{tool} would be refused, and no setting explains it"
                )));
            }
            let told =
                |(setting, why): (String, String)| Dropped { server: server.clone(), tool: tool.clone(), setting, why };
            dropped.extend(gone.into_iter().map(told));
        }
    }
}

fn round(captured: &Captured, before: &Pipeline, after: &Pipeline) -> Result<Round, Failure> {
    let (mut tried, mut refused) = (Tried::default(), BTreeMap::new());
    captured.each(|record| {
        let tool = record.case.judged(|event, _| {
            event.tool().filter(|_| event.direction == Direction::ToClient).map(std::borrow::Cow::into_owned)
        });
        let (Some(tool), Ok(was)) = (tool, end(before, &record)) else { return };
        tried.results += 1;
        tried.bytes += was as u64;
        match end(after, &record) {
            Ok(is) => {
                tried.projected += u64::from(is != was);
                tried.fewer += was.saturating_sub(is) as u64;
            }
            Err(_) => {
                tried.refused += 1;
                let key = (record.case.server().to_string(), tool);
                // Those of further tools come up in the next round.
                if refused.len() < HELD {
                    refused.entry(key).or_insert(record);
                }
            }
        }
    })?;
    Ok((tried, refused))
}

fn end(pipeline: &Pipeline, record: &Record) -> End {
    record.case.judged(|event, session| match pipeline.judge(event, session).decision {
        Decision::Allow => Ok(event.message.bytes().len()),
        Decision::Transform(edits) => Ok(edits.apply(event.message.document()).len()),
        Decision::Deny(denial) => Err(denial.why),
        Decision::RequireApproval(asked) => Err(asked.why),
    })
}

/// The guards with these tables behind their own, as if all of them acted.
fn pipeline(settings: &Settings, more: &serde_json::Value) -> Result<Pipeline, Failure> {
    let mut settings = Settings { mode: Mode::Enforce, ..settings.clone() };
    for (guard, tables) in more.as_object().into_iter().flatten() {
        let options = &mut settings.guards.entry(guard.clone()).or_default().options;
        if !options.is_object() {
            *options = serde_json::json!({});
        }
        let Some(members) = options.as_object_mut() else { continue };
        let held = members.entry("tool").or_insert_with(|| serde_json::json!([]));
        let tables = tables.get("tool").and_then(serde_json::Value::as_array).into_iter().flatten();
        held.as_array_mut().into_iter().for_each(|held| held.extend(tables.clone().cloned()));
    }
    Pipeline::new(settings).map_err(Failure::ours)
}
