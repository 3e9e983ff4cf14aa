//! `bartizan lock forget`: takes a server out of the lock file, as if it had never been seen.

use std::path::PathBuf;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::{Place, Waiting, check_server, failure, only_one};
use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::text::{count, inline};

/// Which server, in which lock file.
#[derive(Args)]
pub(super) struct Arguments {
    /// The server
    #[arg(required_unless_present = "server")]
    name: Option<String>,
    /// The same, as for the other commands
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    server: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let mut found = self.place.open()?;
        // One of them was said.
        let server = self.name.or(self.server).unwrap_or_default();
        check_server(&server, found.iter())?;
        only_one(&found, |one| one.has_server(&server), "there is a server of that name")?;
        let (mut locks, mut noted) = (Vec::new(), Vec::new());
        for Waiting { lock, .. } in found.iter_mut().filter(|one| one.has_server(&server)) {
            let forgotten = lock.forget(&server).map_err(failure)?;
            let (definitions, waiting) = (forgotten.approved, forgotten.waiting);
            let said = json!({"server": server, "definitions": definitions, "waiting": waiting});
            noted.push(self.place.note("lock.forgotten", lock, said));
            locks.push(ForgottenOne { lock: lock.path().to_owned(), definitions, waiting });
        }
        if self.json {
            output::print_json(&Forgotten { format: Forgotten::FORMAT, server, locks })?;
            return noted.into_iter().collect::<Result<(), _>>().map(|()| Outcome::Clean);
        }
        for one in &locks {
            let place = self.place.shown(&one.lock).map(|place| format!(" in {place}")).unwrap_or_default();
            let (server, definitions) = (inline(&server), count(one.definitions, "definition"));
            output::print(&format!("forgotten{place}: {server}, {definitions} approved, {} waiting", one.waiting))?;
        }
        // Nothing can tell whether it will come again: wrapped servers are in no configuration.
        say("a server of this name is new from now on: what it offers when it is seen next is pinned as it is then");
        noted.into_iter().collect::<Result<(), _>>().map(|()| Outcome::Clean)
    }
}

/// What `lock forget --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Forgotten {
    #[schemars(extend("const" = Forgotten::FORMAT))]
    format: &'static str,
    /// The server.
    server: String,
    /// The lock files that it was in.
    locks: Vec<ForgottenOne>,
}

impl Forgotten {
    pub(in super::super) const FORMAT: &str = "bartizan.lock.forget/1";
}

/// What was taken out of one lock file.
#[derive(Serialize, JsonSchema)]
struct ForgottenOne {
    /// Where it is.
    lock: PathBuf,
    /// Definitions that were approved.
    definitions: usize,
    /// Definitions that waited for somebody to accept them.
    waiting: usize,
}
