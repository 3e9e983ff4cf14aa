//! Judges again what was captured, as the gateway would with another configuration. It starts nothing and writes nothing.

use std::collections::BTreeSet;

use bartizan_config::Config;
use bartizan_guard::{Case, CaseError, Known, Named};
use bartizan_mcp::Digest;
use bartizan_trust::Lock;

use crate::capture::{Record, Said};
use crate::policy::Policy;
use crate::setup::{self, SetupError};

/// A configuration that what was captured is held against.
pub struct Retrial {
    policy: Policy,
    servers: BTreeSet<String>,
    lock: Option<Lock>,
    known: Known,
}

/// What was decided about a message, and what would be now.
#[derive(Debug)]
pub struct Judged {
    /// The record, with what was decided.
    pub record: Record,
    /// What would be.
    pub now: Said,
}

/// Why a record cannot be judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is of another version of Bartizan.
    Form,
    /// It is no record of a message.
    Broken,
    /// The configuration has no such server.
    NoServer,
    /// What the message names is not in the lock file, and was.
    NotApproved,
    /// What the message names is in the lock file, and was not.
    ApprovedSince,
    /// What the message names is another one in the lock file by now.
    Changed,
}

impl Why {
    /// In a few words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Form => "recorded by another version of Bartizan",
            Why::Broken => "no record of a message",
            Why::NoServer => "the configuration has no such server",
            Why::NotApproved => "not in the lock file any more",
            Why::ApprovedSince => "in the lock file only since then",
            Why::Changed => "another definition in the lock file by now",
        }
    }
}

/// A record that cannot be judged again, as far as it can be read.
#[derive(Debug)]
pub struct Unjudged {
    /// The record.
    pub record: Option<Record>,
    /// Why not.
    pub why: Why,
}

impl Retrial {
    /// By that configuration and its lock file, if there is one.
    ///
    /// # Errors
    /// If the guards do not take their settings.
    pub fn new(config: &Config, lock: Option<Lock>) -> Result<Retrial, SetupError> {
        let servers = config.servers.keys().cloned().collect();
        Ok(Retrial { policy: setup::policy(config)?, servers, lock, known: Known::default() })
    }

    /// The version of the policies that judge.
    #[must_use]
    pub fn policies(&self) -> Option<&str> {
        self.policy.version()
    }

    /// Judges one record again.
    ///
    /// # Errors
    /// If that cannot be done; nothing can be said of it then.
    pub fn judge(&mut self, bytes: &[u8]) -> Result<Judged, Box<Unjudged>> {
        let read = Record::read(bytes, &mut self.known);
        let record = read.map_err(|error| {
            Box::new(Unjudged { record: None, why: if error == CaseError::Form { Why::Form } else { Why::Broken } })
        })?;
        if let Some(why) = self.obstacle(&record.case) {
            return Err(Box::new(Unjudged { record: Some(record), why }));
        }
        let verdict = record.case.judged(|event, session| self.policy.pipeline.judge(event, session));
        let now = Said::of(&verdict, self.policy.version());
        Ok(Judged { record, now })
    }

    /// What was judged against other facts than there are now.
    fn obstacle(&self, case: &Case) -> Option<Why> {
        if !self.servers.contains(&**case.server()) {
            return Some(Why::NoServer);
        }
        let pins = self.lock.as_ref().and_then(|lock| lock.pins(case.server()));
        let approved = |named: &Named| {
            let key = (named.kind.as_str().to_owned(), named.name.to_string());
            pins.and_then(|pins| Digest::from_hex(&pins.definitions.get(&key)?.sha256))
        };
        case.named().iter().find_map(|named| match (named.approved, approved(named)) {
            (then, now) if then == now => None,
            (Some(_), None) => Some(Why::NotApproved),
            // What nobody had seen yet was stopped by nothing then.
            (None, _) if !case.had_seen_all(named.kind) => None,
            (None, _) => Some(Why::ApprovedSince),
            (Some(_), Some(_)) => Some(Why::Changed),
        })
    }
}
