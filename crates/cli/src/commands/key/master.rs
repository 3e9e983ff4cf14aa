//! `bartizan key rotate-master`: another master key for what is sealed in the store.

use std::io::Read;
use std::path::PathBuf;

use bartizan_keyring::Name;
use bartizan_store::{MasterKey, Rotated};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::stored::{Place, change, now};

#[derive(Args)]
pub(super) struct RotateMaster {
    /// Also makes new data keys and seals everything anew with them
    #[arg(long)]
    reseal: bool,
    /// A file with the new key, where `key` under [store] gives the old one: 64 hexadecimal digits
    #[arg(long, value_name = "FILE")]
    new_key: Option<PathBuf>,
    /// Where the new key is kept from now on: `file`, beside the database, or `keyring:NAME`; without it where the old one is
    #[arg(long, value_name = "PLACE", conflicts_with = "new_key", value_parser = kept_in)]
    to: Option<MasterKey>,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What `key rotate-master --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct MasterRotated {
    #[schemars(extend("const" = MasterRotated::FORMAT))]
    format: &'static str,
    /// What the master key before was called.
    old: String,
    /// What the one now is called.
    new: String,
    /// How many data keys it opens.
    data_keys: usize,
    /// How many values were sealed anew, if that was asked for.
    resealed: Option<usize>,
    /// How many of them do not open, and are as they were.
    broken: usize,
    /// Whether its file holds no other key any more.
    old_removed: bool,
}

impl MasterRotated {
    pub(in super::super) const FORMAT: &'static str = "bartizan.key.rotate-master/1";

    fn of(done: &Rotated) -> Self {
        MasterRotated {
            format: Self::FORMAT,
            old: done.old.clone(),
            new: done.new.clone(),
            data_keys: done.data_keys,
            resealed: done.resealed.map(|resealed| resealed.values),
            broken: done.resealed.map_or(0, |resealed| resealed.broken),
            old_removed: done.left.is_none(),
        }
    }
}

impl RotateMaster {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let to = match self.new_key.as_deref() {
            Some(file) => Some(given(file)?),
            None => self.to,
        };
        let change = change(now());
        let done =
            self.place.with(false, async |store| store.rotate_master(to.as_ref(), self.reseal, &change).await)?;
        let broken = done.resealed.map_or(0, |resealed| resealed.broken);
        if self.json {
            output::print_json(&MasterRotated::of(&done))?;
        } else {
            output::print(&format!("master key {} in the place of {}", done.new, done.old))?;
            if let Some(resealed) = done.resealed {
                say(&format!("sealed anew: {}", resealed.values));
            }
        }
        let now_have = match &to {
            Some(MasterKey::Given(_)) => Some("have `key` give the new one".to_owned()),
            Some(MasterKey::Keyring(name)) => Some(format!("have `keyring = \"{name}\"`, and no `key`")),
            Some(MasterKey::Beside) => Some("have neither `key` nor `keyring`".to_owned()),
            None => None,
        };
        if let Some(now_have) = now_have {
            say(&format!("under [store] {now_have}; a gateway that runs needs that at its next start"));
        }
        if let Some(why) = &done.left {
            say(&format!("warning: the old key opens nothing of this store any more, and is still there: {why}"));
        }
        if broken > 0 {
            say(&format!(
                "warning: {broken} values do not open, with the old key as little, and were left as they are"
            ));
        }
        Ok(if broken > 0 { Outcome::Found } else { Outcome::Clean })
    }
}

/// A place that Bartizan keeps a master key in.
fn kept_in(text: &str) -> Result<MasterKey, &'static str> {
    match (text, text.strip_prefix("keyring:").and_then(Name::parse)) {
        ("file", _) => Ok(MasterKey::Beside),
        (_, Some(name)) => Ok(MasterKey::Keyring(name)),
        _ => Err("write `file`, or `keyring:NAME` with a name of letters, digits and -_.@/"),
    }
}

/// The key in that file, which is looked at when it is used.
fn given(path: &std::path::Path) -> Result<MasterKey, Failure> {
    let unread = |error: std::io::Error| Failure::incomplete(format!("{}: {error}", path.display()));
    let mut text = String::new();
    std::fs::File::open(path).map_err(unread)?.take(4096).read_to_string(&mut text).map_err(unread)?;
    Ok(MasterKey::of(Some(text.trim()), None))
}
