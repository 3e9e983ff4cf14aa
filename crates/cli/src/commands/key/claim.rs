//! `bartizan key claim-master`: of which store the master key in the keyring is.

use bartizan_store::Claimed;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::stored::{Place, change, now};
use crate::text::inline;

#[derive(Args)]
pub(super) struct ClaimMaster {
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What `key claim-master --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct MasterClaimed {
    #[schemars(extend("const" = MasterClaimed::FORMAT))]
    format: &'static str,
    /// What the master key is called.
    key: String,
    /// The store that it was of before, by its id and its place; null if nothing said so.
    before: Option<String>,
    /// Whether that was this one.
    was_own: bool,
}

impl MasterClaimed {
    pub(in super::super) const FORMAT: &'static str = "bartizan.key.claim-master/1";
}

impl ClaimMaster {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let change = change(now());
        let Claimed { key, before, was_own } =
            self.place.with(false, async |store| store.claim_master(&change).await)?;
        if self.json {
            let format = MasterClaimed::FORMAT;
            output::print_json(&MasterClaimed { format, key, before, was_own })?;
        } else if was_own {
            output::print(&format!("master key {key} was that of this store already"))?;
        } else {
            output::print(&format!("master key {key} is that of this store now"))?;
            if let Some(before) = before {
                say(&format!(
                    "if there still is the store {}, have it get a key of its own, with `bartizan key rotate-master --to \
                     keyring:NAME` there, before the key of this one is changed",
                    inline(&before)
                ));
            }
        }
        Ok(Outcome::Clean)
    }
}
