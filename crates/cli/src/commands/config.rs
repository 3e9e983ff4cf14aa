//! `bartizan config`: looks at a configuration without starting anything.

use std::path::PathBuf;

use bartizan_config::{Config, Diagnostic, Diagnostics, Severity};
use bartizan_gateway::{certificate_warnings, check_certificates, check_layers, check_tools};
use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use super::serve::baseline_warning;
use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::text::count;

/// Checks a configuration, or prints the schema of all of them
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Reads a configuration as `serve` would and starts nothing
    Check {
        /// The file [default: bartizan.toml]
        file: Option<PathBuf>,
        /// The same, as for the other commands
        #[arg(long, value_name = "FILE", conflicts_with = "file")]
        config: Option<PathBuf>,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Prints the JSON Schema of the file
    Schema,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        match self.command {
            Command::Check { file, config, json } => {
                let file = file.or(config).unwrap_or_else(|| "bartizan.toml".into());
                if json { check_json(&file) } else { check(&file) }
            }
            Command::Schema => output::print_json(&Config::json_schema()).map(|()| Outcome::Clean),
        }
    }
}

/// No warning: a file for wrapped servers names none.
const NO_SERVER: &str = "\
note: no server is configured, or none is switched on, so `serve` has nothing to serve with this file
  = help: to begin one, write [server.NAME] and command = [\"program\", \"argument\"]; servers that `run` wraps need none";

fn check(file: &std::path::Path) -> Result<Outcome, Failure> {
    let (config, mut warnings) = Config::load(file)?;
    let wrong = unusable(file, &config);
    if !wrong.is_empty() {
        return Err(Diagnostics(wrong).into());
    }
    warnings.extend(without_effect(file, &config));
    for warning in &warnings {
        say(&format!("{warning}\n"));
    }
    if config.servers.is_empty() {
        say(&format!("{NO_SERVER}\n"));
    }
    notes(&config).iter().for_each(|note| say(&format!("note: {note}\n")));
    let file = crate::text::inline(&file.display().to_string());
    output::print(&format!(
        "{file}: ok, {}, {}, {}",
        count(config.servers.len(), "server"),
        count(config.settings.exceptions.len(), "exception"),
        count(warnings.len(), "warning"),
    ))?;
    Ok(Outcome::Clean)
}

/// What the file means that whoever starts the gateway with it should know, though nothing is wrong with it.
fn notes(config: &Config) -> Vec<String> {
    let capture = config.capture.as_ref().map(|capture| {
        let path = crate::text::inline(&capture.path.display().to_string());
        let of = if capture.only.are_all() { "all servers" } else { "what `only` names" };
        let and = if capture.results { " and what tools bring" } else { "" };
        format!(
            "what clients ask of {of}{and} is recorded with its content, sealed, in {path} for {}, as [capture] is there; remove it to end that",
            span(capture.keep)
        )
    });
    config.notices().into_iter().chain(capture).collect()
}

/// A time in the largest unit that it has a whole number of.
fn span(time: std::time::Duration) -> String {
    let seconds = usize::try_from(time.as_secs()).unwrap_or(usize::MAX);
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let whole = units.into_iter().find(|(unit, _)| seconds > 0 && seconds % unit == 0);
    let (unit, name) = whole.unwrap_or((1, "second"));
    count(seconds / unit, name)
}

fn check_json(file: &std::path::Path) -> Result<Outcome, Failure> {
    let (mode, notes, problems) = match Config::load(file) {
        Ok((config, warnings)) => {
            let wrong = unusable(file, &config);
            let mode = wrong.is_empty().then(|| config.settings.mode.as_str());
            let notes = if wrong.is_empty() { notes(&config) } else { Vec::new() };
            (mode, notes, wrong.into_iter().chain(warnings).chain(without_effect(file, &config)).collect())
        }
        Err(found) => (None, Vec::new(), found.0),
    };
    let ok = mode.is_some();
    output::print_json(&Checked { format: Checked::FORMAT, ok, mode, notes, problems })?;
    if ok { Ok(Outcome::Clean) } else { Err(Failure::Usage("error: the configuration cannot be used".to_owned())) }
}

/// What is wrong with certificates, keys and models, which only whoever would use them can tell.
fn unusable(file: &std::path::Path, config: &Config) -> Vec<Diagnostic> {
    check_certificates(config).into_iter().chain(check_layers(config)).map(|found| of_table(file, found)).collect()
}

/// What does nothing, or not what it is there for.
fn without_effect(file: &std::path::Path, config: &Config) -> Vec<Diagnostic> {
    let mut found = untaken(file, config);
    found.extend(check_tools(config));
    found.extend(baseline_warning(file, config));
    found
}

/// What of certificates clients will not take.
fn untaken(file: &std::path::Path, config: &Config) -> Vec<Diagnostic> {
    let mut found: Vec<_> = certificate_warnings(config).into_iter().map(|found| of_table(file, found)).collect();
    found.iter_mut().for_each(|one| one.severity = Severity::Warning);
    found
}

fn of_table(file: &std::path::Path, (table, why): (Vec<String>, String)) -> Diagnostic {
    let name = crate::text::inline(&file.display().to_string());
    Diagnostic::of_file(&name, format!("[{}]: {}", table.join("."), crate::text::printable(&why)))
}

/// What `config check --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Checked {
    #[schemars(extend("const" = Checked::FORMAT))]
    format: &'static str,
    /// Whether the file can be used.
    ok: bool,
    /// `observe` if nothing that guards find is stopped, else `enforce`; null for a file that cannot be used.
    mode: Option<&'static str>,
    /// What the file means that should be known, though nothing is wrong with it: that nothing is stopped, or that content is
    /// recorded.
    notes: Vec<String>,
    /// Errors, or warnings if it can.
    problems: Vec<Diagnostic>,
}

impl Checked {
    pub(super) const FORMAT: &str = "bartizan.config.check/1";
}
