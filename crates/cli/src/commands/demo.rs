//! `bartizan demo`: a gateway at work between a client, an honest server and a hostile one.

mod page;

use std::net::SocketAddr;
use std::path::PathBuf;

use bartizan_audit::{Fault, Report};
use bartizan_demo::{Demo, StartError, Step};
use bartizan_guard::Mode;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use self::page::Page;
use super::serve::StopSignals;
use crate::common;
use crate::outcome::{Failure, Outcome, say};
use crate::output::{self, Paint};

/// Shows a gateway at work between a client, an honest server and a hostile one
#[derive(Args)]
pub(crate) struct Arguments {
    /// Ends when everything was shown; the exit status is 1 if anything was not as it should be
    #[arg(long)]
    once: bool,
    /// Where to listen [default: 127.0.0.1:8484, or another port if that is taken]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Only records, in mode `observe`: shows what gets through then
    #[arg(long)]
    observe: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        common::log_to_stderr("error", false);
        common::block_on(async {
            let mut signals = StopSignals::new().map_err(Failure::ours)?;
            let program = std::env::current_exe().map_err(Failure::ours)?;
            let mode = if self.observe { Mode::Observe } else { Mode::Enforce };
            let confined = bartizan_sandbox::probe(None).await.is_ok_and(|host| host.confines());
            if !confined {
                say(
                    "bartizan: servers cannot be confined here, and those of the demo are not; `bartizan doctor` says why",
                );
            }
            let demo = Demo::start(&program, self.listen, mode, confined).await.map_err(unstarted)?;
            let shown = tokio::select! {
                shown = self.show(&demo) => Some(shown),
                () = signals.asked() => None,
            };
            if !self.once && matches!(shown, Some(Ok(_))) {
                signals.asked().await;
                say("");
            }
            tokio::select! {
                () = demo.stop() => {}
                // Whoever asks twice does not want to wait for requests under way.
                () = signals.asked() => {}
            }
            shown.unwrap_or(Ok(Outcome::Clean))
        })
    }

    async fn show(&self, demo: &Demo) -> Result<Outcome, Failure> {
        let page = Page::of(demo, self.observe, !self.once, Paint::for_stdout());
        let mut printed = if self.json { Ok(()) } else { output::print(&page.head()) };
        let mut steps: Vec<Step> = Vec::new();
        let played = demo.play(|step| {
            if !self.json && printed.is_ok() {
                printed = output::print(&page.step(&step));
            }
            steps.push(step);
        });
        played.await.map_err(Failure::ours)?;
        printed?;
        let verified = demo.verify();
        let outcome =
            if verified.is_ok() && steps.iter().all(Step::is_as_expected) { Outcome::Clean } else { Outcome::Found };
        if self.json {
            output::print_json(&Shown::of(demo, &steps, &verified))?;
        } else {
            output::print(&page.summary(&steps, &verified))?;
        }
        if !self.json {
            output::print(&if self.once { page.farewell() } else { page.invitation(&steps) })?;
        }
        Ok(outcome)
    }
}

fn unstarted(error: StartError) -> Failure {
    match error {
        StartError::Config(diagnostics) => diagnostics.into(),
        other => Failure::ours(other),
    }
}

/// What `demo --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Shown<'a> {
    #[schemars(extend("const" = Shown::FORMAT))]
    format: &'static str,
    /// Whether everything was as it should be.
    ok: bool,
    /// Where the gateway listens.
    address: String,
    /// Its configuration.
    config: PathBuf,
    /// The directory of its audit log.
    log: PathBuf,
    steps: Vec<OneStep<'a>>,
    audit: Audit,
}

#[derive(Serialize, JsonSchema)]
struct OneStep<'a> {
    #[serde(flatten)]
    step: &'a Step,
    /// Whether what happened is what should have.
    ok: bool,
}

/// Whether the audit log is whole.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Audit {
    Whole { ok: bool, entries: u64, head: String },
    Broken { ok: bool, problem: String },
}

impl<'a> Shown<'a> {
    pub(super) const FORMAT: &'static str = "bartizan.demo/1";

    fn of(demo: &Demo, steps: &'a [Step], verified: &Result<Report, Fault>) -> Self {
        let audit = match verified {
            Ok(report) => Audit::Whole { ok: true, entries: report.entries, head: report.head.to_string() },
            Err(fault) => Audit::Broken { ok: false, problem: fault.to_string() },
        };
        Shown {
            format: Self::FORMAT,
            ok: verified.is_ok() && steps.iter().all(Step::is_as_expected),
            address: demo.address().to_string(),
            config: demo.config(),
            log: demo.audit(),
            steps: steps.iter().map(|step| OneStep { step, ok: step.is_as_expected() }).collect(),
            audit,
        }
    }
}
