//! By what else than their name somebody was judged: what the credential brought that their session was used with.

use std::fmt::Write;

use bartizan_audit::{Id, iter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::log;
use crate::text::shell_word;

/// The entry that says it.
const SHOWN: &str = "access.shown";

/// What a credential brought.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub(in super::super) struct Brought {
    /// Roles that it names.
    roles: Vec<String>,
    /// Groups that it says somebody is in.
    groups: Vec<String>,
    /// The tenant that it says they are of.
    tenant: Option<String>,
    /// How many more names there were.
    left_out: u64,
}

impl Brought {
    /// What was recorded of the session before the entry, or after it if it is the message that began the session: all that
    /// is shown in one session brings the same.
    pub(super) fn of(directory: &log::Directory, id: Id, session: &str) -> Option<Brought> {
        if session.is_empty() {
            return None;
        }
        let (mut shown, mut is_behind) = (None, false);
        for record in iter(directory).ok()? {
            let record = match record {
                Ok(record) => record,
                Err(fault) if log::is_unreadable(&fault) => return shown,
                // What is wrong with the log is said by whoever looked for the entry.
                Err(_) => continue,
            };
            is_behind |= record.id == id;
            if record.kind == SHOWN && record.text().contains(session) {
                let value = record.value();
                let is_of_it = value.get("session").is_some_and(|of| of == session);
                // Logs of before it was recorded say nothing, which is not that nothing was brought.
                if is_of_it && value.get("roles").is_some() {
                    shown = Brought::deserialize(value).ok().or(shown);
                }
            }
            if is_behind && shown.is_some() {
                break;
            }
        }
        shown
    }

    /// For people, on one line.
    pub(super) fn sentence(&self) -> String {
        let list = |what: &str, names: &[String]| {
            let names: Vec<_> = names.iter().map(|name| shell_word(name)).collect();
            (!names.is_empty()).then(|| format!("{what} {}", names.join(" ")))
        };
        let tenant = self.tenant.as_deref().map(|tenant| format!("tenant {}", shell_word(tenant)));
        let parts = [list("roles", &self.roles), list("groups", &self.groups), tenant];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        let more = if self.left_out == 0 { String::new() } else { format!(" (and {} more)", self.left_out) };
        if parts.is_empty() {
            return "Judged with: the name alone, as the credential brought no role, group or tenant".to_owned();
        }
        format!("Judged with: {}{more}, as the credential brought them", parts.join(", "))
    }

    /// The same for a command line, with a space in front.
    pub(super) fn options(&self) -> String {
        let of = |option: &'static str, names: &[String]| {
            names.iter().fold(String::new(), |mut out, name| {
                // What starts like an option is none behind the sign.
                let between = if name.starts_with('-') { '=' } else { ' ' };
                let _ = write!(out, " --{option}{between}{}", shell_word(name));
                out
            })
        };
        let tenant = self.tenant.as_slice();
        format!("{}{}{}", of("role", &self.roles), of("group", &self.groups), of("tenant", tenant))
    }
}
