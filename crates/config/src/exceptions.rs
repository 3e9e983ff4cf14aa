//! Exceptions: checked against the rules that exist, and turned into moments.

use std::collections::BTreeMap;

use bartizan_guard::{Exception, GuardSettings, Timestamp, guards};

use crate::file::ExceptionTable;
use crate::moments::timestamp;
use crate::problems::Problems;
use crate::suggest;
use crate::tree::{self, Node};

/// The exceptions of the file. Expired ones are kept, as they do nothing, and reported.
pub(crate) fn exceptions(
    tables: Vec<ExceptionTable>,
    (root, guards): (&Node<'_>, &BTreeMap<String, GuardSettings>),
    now: Timestamp,
    problems: &mut Problems,
) -> Vec<Exception> {
    let own = crate::guards::own_rules(root, guards);
    let mut exceptions = Vec::new();
    for (index, table) in tables.into_iter().enumerate() {
        exceptions.extend(exception(table, &index.to_string(), (root, own.as_deref()), now, problems));
    }
    exceptions
}

fn exception(
    table: ExceptionTable,
    index: &str,
    (root, own): (&Node<'_>, Option<&[String]>),
    now: Timestamp,
    problems: &mut Problems,
) -> Option<Exception> {
    let path = |key| ["exception", index, key];
    let whole = tree::place(root, &["exception", index]);
    let mut complete = true;
    for (key, empty) in [
        ("rule", table.rule.is_empty()),
        ("reason", table.reason.trim().is_empty()),
        ("expires", table.expires.is_none()),
    ] {
        if empty && !problems.is_broken(&path(key)) {
            complete = false;
            let missing = tree::get(root, &path(key)).is_none();
            let place = if missing { whole.clone() } else { tree::place(root, &path(key)) };
            let what = if missing { "is missing" } else { "is empty" };
            problems.error(place, format!("`{key}` of an exception {what}")).help(match key {
                "rule" => "`bartizan guards` lists the rules",
                "reason" => "say why, for those who have to answer for it later",
                _ => "an exception that never ends is a hole; write a date such as 2027-01-31",
            });
        }
    }
    if !table.rule.is_empty() {
        rule(&table.rule, &path("rule"), (root, own), problems);
    }
    let place = tree::place(root, &path("expires"));
    let expires = match table.expires.map(|moment| timestamp(&moment)) {
        Some(None) => {
            problems.error(place, "not a date").help("write a date such as 2027-01-31");
            return None;
        }
        expires => expires.flatten()?,
    };
    if expires <= now {
        let message = format!("the exception for `{}` has expired and does nothing", table.rule);
        problems.warn(place, message).help("remove it, or decide anew until when it is to hold");
    }
    let (server, tool) = (table.server, table.tool);
    complete.then_some(Exception { rule: table.rule, server, tool, reason: table.reason, expires })
}

fn rule(id: &str, path: &[&str], (root, own): (&Node<'_>, Option<&[String]>), problems: &mut Problems) {
    let place = tree::place(root, path);
    let rule = guards::ALL.iter().find_map(|spec| spec.rule(id));
    match rule.filter(|rule| crate::guards::is_there(rule, id, own)) {
        None => {
            let all = guards::ALL.iter().flat_map(|spec| spec.rules).map(|rule| rule.id);
            let own = own.unwrap_or_default().iter().map(String::as_str);
            // By the name that it has in its file.
            let meant = own.clone().find(|own| own.split_once('.').is_some_and(|(_, name)| name == id));
            let near = meant.or_else(|| suggest::nearest(id, all.chain(own)));
            let help =
                near.map_or("`bartizan guards` lists the rules".to_owned(), |near| format!("did you mean `{near}`?"));
            problems.error(place, format!("there is no rule `{id}`")).help(help);
        }
        Some(rule) if rule.fixed => {
            problems
                .error(place, format!("the rule `{id}` always {} and has no exceptions", crate::guards::always(rule)));
        }
        Some(_) => {}
    }
}
