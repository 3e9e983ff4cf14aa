//! `bartizan lock label`: what a tool does with information, by somebody who knows it better than its definition says.

use std::path::PathBuf;

use bartizan_guard::flow::{Nature, ToolLabel};
use bartizan_guard::{Definition, DefinitionKind};
use bartizan_trust::{Labelling, Labels, Lock};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::{Place, Waiting, approved, check_server, failure, only_one, unknown};
use crate::outcome::{Failure, Outcome};
use crate::output;
use crate::text::inline;

/// Which labels of which tool.
#[derive(Args)]
pub(super) struct Arguments {
    /// The tool
    tool: String,
    /// What it does with information: `untrusted_content`, `private_data`, `public_sink`, `destructive`
    #[arg(required_unless_present_any = ["none", "guessed"], value_parser = label)]
    labels: Vec<ToolLabel>,
    /// It does nothing of that
    #[arg(long, conflicts_with = "labels")]
    none: bool,
    /// What its definition says counts again
    #[arg(long, conflicts_with_all = ["labels", "none"])]
    guessed: bool,
    /// The server
    #[arg(long, value_name = "NAME")]
    server: String,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

fn label(text: &str) -> Result<ToolLabel, String> {
    ToolLabel::named(text).ok_or_else(|| format!("there are {}", ToolLabel::ALL.map(ToolLabel::as_str).join(", ")))
}

impl Arguments {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let mut found = self.place.open()?;
        check_server(&self.server, found.iter())?;
        let has = |one: &Waiting| is_approved(&one.lock, &self.server, &self.tool);
        only_one(&found, has, "there is such a tool")?;
        let Some(at) = found.iter().position(has) else {
            let help = "\n  = help: only what is approved is labelled; see what waits: bartizan lock diff";
            return Err(Failure::usage(format!("{}{help}", unknown("tool", &self.tool, found.iter()))));
        };
        let lock = &mut found.swap_remove(at).lock;
        let Some(guess) = guess_of_approved(lock, &self.server, &self.tool)? else {
            let help = "\n  = help: set them in the configuration: [[guard.flow.tool]]";
            return Err(Failure::incomplete(format!("the text of this tool was not kept beside the lock file{help}")));
        };
        let before = labels_of(lock, &self.server, &self.tool);
        let nature = if self.guessed {
            guess.nature
        } else {
            Nature { labels: self.labels.into_iter().collect(), reads: guess.nature.reads, ..Nature::default() }
        };
        let labels = words(nature);
        // What it was taken for is kept, so that only what differs from that waits for a decision.
        let (first, then) = (guess.labelling(true), Labelling { labels, ..guess.labelling(false) });
        if lock.label(&[first, then]).map_err(failure)? == 0 {
            return Err(Failure::usage("the tool has changed meanwhile; see what waits: bartizan lock diff"));
        }
        let (server, tool) = (&self.server, &self.tool);
        if self.json {
            let labels = labels.words().collect();
            let (lock, before) = (lock.path().to_owned(), before.map(|before| before.words().collect()));
            output::print_json(&Labelled { format: Labelled::FORMAT, lock, server, tool, before, labels })?;
        } else {
            let place = self.place.shown(lock.path()).map(|place| format!(" in {place}")).unwrap_or_default();
            let what = changed(before, Some(labels));
            output::print(&format!("labelled{place}: tool `{}` of {}: {what}", inline(tool), inline(server)))?;
        }
        let all = |labels: Labels| labels.words().collect::<Vec<_>>();
        let said = json!({"server": server, "tool": tool, "before": before.map(all), "labels": all(labels)});
        self.place.note("lock.labelled", lock, said)?;
        Ok(Outcome::Clean)
    }
}

/// What `lock label --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Labelled<'a> {
    #[schemars(extend("const" = Labelled::FORMAT))]
    format: &'static str,
    /// The lock file.
    lock: PathBuf,
    /// The server.
    server: &'a str,
    /// The tool.
    tool: &'a str,
    /// What counted before, if it was approved.
    before: Option<Vec<&'static str>>,
    /// What counts now.
    labels: Vec<&'static str>,
}

impl Labelled<'_> {
    pub(in super::super) const FORMAT: &'static str = "bartizan.lock.label/1";
}

/// What a tool does with information, as its approved text says.
pub(super) struct Guess {
    server: String,
    name: String,
    sha256: String,
    nature: Nature,
}

impl Guess {
    fn labelling(&self, is_guess: bool) -> Labelling {
        let (server, name, sha256) = (self.server.clone(), self.name.clone(), self.sha256.clone());
        Labelling { server, name, sha256, labels: words(self.nature), is_guess }
    }
}

/// Labels the tools that were approved before there were labels, as far as they are `chosen`, with what counted until now; how many these were.
pub(super) fn label_unlabelled(lock: &mut Lock, chosen: impl Fn(&str, &str) -> bool) -> Result<usize, Failure> {
    let mut guesses = Vec::new();
    for (server, tool) in unlabelled(lock).filter(|(server, tool)| chosen(server, tool)) {
        guesses.extend(guess_of_approved(lock, server, tool)?);
    }
    if guesses.is_empty() {
        return Ok(0);
    }
    let guesses: Vec<_> = guesses.iter().map(|guess| guess.labelling(true)).collect();
    lock.label(&guesses).map_err(failure)
}

/// Servers and names of tools that were approved before there were labels.
pub(super) fn unlabelled(lock: &Lock) -> impl Iterator<Item = (&str, &str)> {
    lock.servers().filter_map(|server| Some((server, lock.pins(server)?))).flat_map(|(server, pins)| {
        let tools = pins.definitions.iter().filter(|((kind, _), held)| kind == TOOL && held.labels.is_none());
        tools.map(move |((_, name), _)| (server, &**name))
    })
}

const TOOL: &str = DefinitionKind::Tool.as_str();

fn held<'l>(lock: &'l Lock, server: &str, tool: &str) -> Option<&'l bartizan_trust::Approved> {
    lock.pins(server)?.definitions.get(&(TOOL.to_owned(), tool.to_owned()))
}

fn is_approved(lock: &Lock, server: &str, tool: &str) -> bool {
    held(lock, server, tool).is_some()
}

fn labels_of(lock: &Lock, server: &str, tool: &str) -> Option<Labels> {
    held(lock, server, tool)?.labels
}

/// `None` if the text was not kept.
fn guess_of_approved(lock: &Lock, server: &str, tool: &str) -> Result<Option<Guess>, Failure> {
    let text = approved(lock, server, (TOOL, tool))?;
    let nature = text.as_deref().and_then(nature);
    let (server, name) = (server.to_owned(), tool.to_owned());
    Ok(held(lock, &server, &name).map(|held| held.sha256.clone()).zip(nature).map(|(sha256, nature)| Guess {
        server,
        name,
        sha256,
        nature,
    }))
}

fn nature(text: &str) -> Option<Nature> {
    Definition::of_text(DefinitionKind::Tool, text.as_bytes()).map(|definition| definition.nature())
}

/// What a definition that waits is taken to do, if whoever noted it did not say.
pub(super) fn guess_of_text(text: &str) -> Option<Labels> {
    nature(text).map(words)
}

/// The same in the lock file's words.
fn words(nature: Nature) -> Labels {
    // Each of them is one of these; a test holds that.
    Labels::of(nature.words()).unwrap_or_default()
}

/// How labels differ, on a line.
pub(super) fn changed(old: Option<Labels>, new: Option<Labels>) -> String {
    let shown = |labels: Labels| {
        let all: Vec<_> = labels.words().collect();
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    };
    match (old, new) {
        (Some(old), Some(new)) if old == new => shown(new),
        (Some(old), Some(new)) => format!("{} -> {}", shown(old), shown(new)),
        (_, new) => new.map(shown).unwrap_or_default(),
    }
}
