//! `bartizan guards`: what there is to protect with.

mod flows;
mod page;

use std::fmt::Write;
use std::path::PathBuf;

use bartizan_guard::{GuardSpec, RuleSpec, guards};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

pub(super) use self::flows::Flows;
use crate::outcome::{Failure, Outcome};
use crate::output::{self, Paint};

const EXAMPLES: &str = "\
Examples:
  bartizan guards secrets
  bartizan guards --flows --config bartizan.toml   what may meet; status 1 if a way out is open";

/// Lists every guard: the threat it answers, its rules and what they lead to
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only these guards, or the guards of these rules
    names: Vec<String>,
    /// Prints JSON, with the schema of each guard's own settings
    #[arg(long)]
    json: bool,
    /// Prints the page of the book
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Names the servers that together bring in what strangers write and what is private, and let it out again
    #[arg(long, conflicts_with_all = ["names", "markdown"])]
    flows: bool,
    /// The configuration of the servers; without it the user's own, and all servers that the lock files know
    #[arg(long, value_name = "FILE", requires = "flows")]
    config: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        if self.flows {
            return flows::run(self.config.as_deref(), self.json);
        }
        let means = |name: &str, spec: &GuardSpec| spec.name == name || spec.rule(name).is_some();
        if let Some(unknown) = self.names.iter().find(|name| !guards::ALL.iter().any(|spec| means(name, spec))) {
            let names: Vec<_> = guards::ALL.iter().map(|spec| spec.name).collect();
            let why = format!("there is no guard and no rule `{unknown}`; there are the guards {}", names.join(", "));
            return Err(Failure::usage(why));
        }
        let chosen = |spec: &&&GuardSpec| self.names.is_empty() || self.names.iter().any(|name| means(name, spec));
        let specs: Vec<_> = guards::ALL.iter().filter(chosen).copied().collect();
        if self.json {
            output::print_json(&Listed { format: Listed::FORMAT, guards: specs.into_iter().map(Guard::of).collect() })?;
        } else if self.markdown {
            output::print(page::page(&specs).trim_end())?;
        } else {
            output::print(table(&specs).trim_end())?;
        }
        Ok(Outcome::Clean)
    }
}

fn table(specs: &[&GuardSpec]) -> String {
    let paint = Paint::for_stdout();
    let width = specs.iter().flat_map(|spec| spec.rules).map(|rule| rule.id.len()).max().unwrap_or(0);
    let mut out = String::new();
    for spec in specs {
        let possible: Vec<_> = spec.actions.iter().map(|action| action.as_str()).collect();
        let _ = writeln!(out, "{}\n  {}", paint.bold(spec.name), spec.threat);
        let _ = writeln!(out, "  {}", paint.dim(&format!("possible: {}", possible.join(", "))));
        for rule in spec.rules {
            // What is done in a part of some kind is what counts; the page says in which.
            let strongest = rule.by_kind.iter().map(|(_, action)| *action).chain([rule.default]).max();
            let action = paint.decision(strongest.unwrap_or(rule.default).as_str());
            let fixed = if rule.fixed { "always" } else { "" };
            let severity = rule.severity.as_str();
            let _ = writeln!(out, "  {:width$}  {severity:8}  {action:7} {fixed:6}  {}", rule.id, rule.summary);
        }
        out.push('\n');
    }
    out
}

/// What `guards --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Listed {
    #[schemars(extend("const" = Listed::FORMAT))]
    format: &'static str,
    guards: Vec<Guard>,
}

impl Listed {
    pub(super) const FORMAT: &str = "bartizan.guards/1";
}

#[derive(Serialize, JsonSchema)]
struct Guard {
    name: &'static str,
    /// The threat that it answers.
    threat: &'static str,
    /// What it can be set to do.
    actions: Vec<&'static str>,
    rules: Vec<Rule>,
    /// Parts of messages that it does not look at.
    skips: Vec<Skip>,
    /// The JSON Schema of its own settings.
    options: Value,
}

#[derive(Serialize, JsonSchema)]
struct Skip {
    /// The kind of part.
    part: &'static str,
    why: &'static str,
}

/// A rule as built into this program.
#[derive(Serialize, JsonSchema)]
pub(super) struct Rule {
    id: &'static str,
    severity: &'static str,
    summary: &'static str,
    /// What it leads to unless a setting says otherwise.
    default: &'static str,
    /// Whether no setting changes that.
    fixed: bool,
}

impl Guard {
    fn of(spec: &GuardSpec) -> Self {
        Guard {
            name: spec.name,
            threat: spec.threat,
            actions: spec.actions.iter().map(|action| action.as_str()).collect(),
            rules: spec.rules.iter().map(Rule::of).collect(),
            skips: spec.skips.iter().map(|(kind, why)| Skip { part: kind.as_str(), why }).collect(),
            options: (spec.options)().to_value(),
        }
    }
}

impl Rule {
    pub(super) fn of(rule: &RuleSpec) -> Self {
        Rule {
            id: rule.id,
            severity: rule.severity.as_str(),
            summary: rule.summary,
            default: rule.default.as_str(),
            fixed: rule.fixed,
        }
    }
}
