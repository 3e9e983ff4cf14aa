//! Which hosts a profile gives.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_reach::Rule;

use super::Run;
use super::give::READABLE;

#[derive(Debug, Default)]
pub(super) struct Hosts {
    /// As a configuration names them.
    pub(super) given: BTreeSet<String>,
    /// What was refused, and why.
    pub(super) refused: BTreeMap<String, String>,
    /// How many more there were.
    pub(super) more: usize,
}

pub(super) fn given(run: &Run) -> Hosts {
    let mut hosts = Hosts::default();
    for one in &run.hosts {
        let written = if one.host.contains(':') {
            format!("[{}]:{}", one.host, one.port)
        } else {
            format!("{}:{}", one.host, one.port)
        };
        let is_full = |count: usize| count >= READABLE;
        match &one.refused {
            None if Rule::parse(&written).is_err() => {
                hosts.refused.insert(written, "no configuration can name it".to_owned());
            }
            None if is_full(hosts.given.len()) => hosts.more = hosts.more.saturating_add(1),
            None => drop(hosts.given.insert(written)),
            Some(_) if is_full(hosts.refused.len()) => hosts.more = hosts.more.saturating_add(1),
            Some(why) => drop(hosts.refused.insert(written, why.clone())),
        }
    }
    hosts
}
