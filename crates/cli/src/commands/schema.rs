//! `bartizan schema`: the published form of what the program reads and prints as JSON.

use bartizan_config::Config;
use clap::Args;
use schemars::schema_for;
use serde_json::Value;

#[cfg(feature = "demo")]
use super::demo;
use super::{
    approve, audit, config, doctor, grant, guards, init, inspect, key, lock, policy, secret, session, subject,
    upstream, user, why,
};
use crate::outcome::{Failure, Outcome};
use crate::output;
#[cfg(feature = "redteam")]
use bartizan_redteam::{Baseline, Report};

/// Lists the formats that have a JSON Schema, or prints the schema of one
#[derive(Args)]
pub(crate) struct Arguments {
    /// The format; `bartizan.` and the version may be left out
    name: Option<String>,
}

/// A format and the schema that is made of the type which is written or read.
type Format = (&'static str, fn() -> Value);

const FORMATS: &[Format] = &[
    ("bartizan.config/1", Config::json_schema),
    (config::Checked::FORMAT, || schema_for!(config::Checked).to_value()),
    (doctor::Examined::FORMAT, || schema_for!(doctor::Examined).to_value()),
    (audit::Verified::FORMAT, || schema_for!(audit::Verified).to_value()),
    (audit::VerifiedAll::FORMAT, || schema_for!(audit::VerifiedAll).to_value()),
    (audit::ProvenEntry::FORMAT, || schema_for!(audit::ProvenEntry).to_value()),
    (audit::Export::FORMAT, || schema_for!(audit::Export).to_value()),
    (audit::VerifiedExport::FORMAT, || schema_for!(audit::VerifiedExport).to_value()),
    (audit::Summary::FORMAT, || schema_for!(audit::Summary).to_value()),
    ("bartizan.audit.entry/1", || schema_for!(audit::TailEntry).to_value()),
    (lock::Changes::DIFF, || schema_for!(lock::Changes<'_>).to_value()),
    (lock::Changes::UPDATE, || schema_for!(lock::Changes<'_>).to_value()),
    (lock::Verified::FORMAT, || schema_for!(lock::Verified).to_value()),
    (lock::Forgotten::FORMAT, || schema_for!(lock::Forgotten).to_value()),
    (lock::Labelled::FORMAT, || schema_for!(lock::Labelled<'_>).to_value()),
    (key::Created::FORMAT, || schema_for!(key::Created<'_>).to_value()),
    (key::Listed::FORMAT, || schema_for!(key::Listed<'_>).to_value()),
    (key::Revoked::FORMAT, || schema_for!(key::Revoked).to_value()),
    (session::Listed::FORMAT, || schema_for!(session::Listed<'_>).to_value()),
    (session::Shown::FORMAT, || schema_for!(session::Shown<'_>).to_value()),
    (session::Cleared::FORMAT, || schema_for!(session::Cleared<'_>).to_value()),
    (secret::Listed::FORMAT, || schema_for!(secret::Listed<'_>).to_value()),
    (upstream::Listed::FORMAT, || schema_for!(upstream::Listed<'_>).to_value()),
    (key::MasterRotated::FORMAT, || schema_for!(key::MasterRotated).to_value()),
    (key::MasterClaimed::FORMAT, || schema_for!(key::MasterClaimed).to_value()),
    (user::Invited::FORMAT, || schema_for!(user::Invited<'_>).to_value()),
    (user::Changed::FORMAT, || schema_for!(user::Changed<'_>).to_value()),
    (user::Listed::FORMAT, || schema_for!(user::Listed<'_>).to_value()),
    (grant::Listed::FORMAT, || schema_for!(grant::Listed<'_>).to_value()),
    (grant::Revoked::FORMAT, || schema_for!(grant::Revoked).to_value()),
    (subject::Listed::FORMAT, || schema_for!(subject::Listed<'_>).to_value()),
    (subject::Shown::FORMAT, || schema_for!(subject::Shown<'_>).to_value()),
    (subject::Exported::FORMAT, || schema_for!(subject::Exported<'_>).to_value()),
    (subject::Erased::FORMAT, || schema_for!(subject::Erased<'_>).to_value()),
    (approve::Listed::FORMAT, || schema_for!(approve::Listed).to_value()),
    (approve::Decided::FORMAT, || schema_for!(approve::Decided).to_value()),
    (policy::Checked::FORMAT, || schema_for!(policy::Checked).to_value()),
    (policy::Explained::FORMAT, || schema_for!(policy::Explained).to_value()),
    (policy::History::FORMAT, || schema_for!(policy::History).to_value()),
    (policy::Overview::FORMAT, || schema_for!(policy::Overview).to_value()),
    (policy::Replayed::FORMAT, || schema_for!(policy::Replayed).to_value()),
    (policy::Shown::FORMAT, || schema_for!(policy::Shown).to_value()),
    (policy::Tested::FORMAT, || schema_for!(policy::Tested).to_value()),
    (why::Explained::FORMAT, || schema_for!(why::Explained).to_value()),
    (why::Requested::FORMAT, || schema_for!(why::Requested).to_value()),
    (why::Granted::FORMAT, || schema_for!(why::Granted).to_value()),
    (guards::Listed::FORMAT, || schema_for!(guards::Listed).to_value()),
    (guards::Flows::FORMAT, || schema_for!(guards::Flows<'_>).to_value()),
    (init::Learnt::FORMAT, || schema_for!(init::Learnt<'_>).to_value()),
    (inspect::Inspected::FORMAT, || schema_for!(inspect::Inspected<'_>).to_value()),
    #[cfg(feature = "redteam")]
    (Report::FORMAT, || schema_for!(Report).to_value()),
    #[cfg(feature = "redteam")]
    (Baseline::FORMAT, || schema_for!(Baseline).to_value()),
    #[cfg(feature = "demo")]
    (demo::Shown::FORMAT, || schema_for!(demo::Shown<'_>).to_value()),
];

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        let Some(name) = self.name else {
            return output::print(&names().join("\n")).map(|()| Outcome::Clean);
        };
        let short = name.strip_prefix("bartizan.").unwrap_or(&name);
        let means = |format: &str| {
            let format = format.strip_prefix("bartizan.").unwrap_or(format);
            format == short || format.rsplit_once('/').is_some_and(|(plain, _)| plain == short)
        };
        let found = FORMATS.iter().find(|(format, _)| means(format));
        let Some((format, schema)) = found else {
            return Err(Failure::usage(format!("there is no format `{name}`; there are {}", names().join(", "))));
        };
        let mut schema = schema();
        if let Some(members) = schema.as_object_mut() {
            members.insert("title".to_owned(), (*format).into());
        }
        output::print_json(&schema).map(|()| Outcome::Clean)
    }
}

fn names() -> Vec<&'static str> {
    FORMATS.iter().map(|(format, _)| *format).collect()
}
