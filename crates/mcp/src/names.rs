//! How long the names may be by which a message is routed, matched or remembered.
//!
//! Threat: what carries content may be large and is gone when the message is. A name is copied into counters,
//! subscriptions, approvals and the log, and stays there, so a few of megabytes each would take all memory and fill
//! files that nobody could read any more.

use crate::document::{NodeKind, Value};
use crate::{Fault, Limits, Rejection};

/// Members of `params` that name something, besides URIs.
const NAMES: [&[&str]; 6] =
    [&["name"], &["taskId"], &["requestId"], &["progressToken"], &["_meta", "progressToken"], &["ref", "name"]];
/// Members of `params` that name something by its URI.
const URIS: [&[&str]; 2] = [&["uri"], &["ref", "uri"]];
/// What a client wants to hear of.
const LISTS: [(&[&str], Bound); 2] =
    [(&["notifications", "taskIds"], name), (&["notifications", "resourceSubscriptions"], uri)];
/// Members of a result that name something. Names in definitions concern one definition each, not the whole list, so
/// they are left to those who look at definitions.
const IN_RESULT: [&[&str]; 2] = [&["taskId"], &["task", "taskId"]];

type Bound = fn(&Limits) -> usize;

fn name(limits: &Limits) -> usize {
    limits.name_bytes
}

fn uri(limits: &Limits) -> usize {
    limits.uri_bytes
}

/// Refuses parameters that hold too long a name.
pub(crate) fn refuse_in_params(params: Value<'_>, limits: &Limits) -> Result<(), Rejection> {
    if is_short(params, limits) {
        return Ok(());
    }
    refuse(params, &NAMES, name(limits))?;
    refuse(params, &URIS, uri(limits))?;
    for (path, bound) in LISTS {
        let list = params.at(path).into_iter().flat_map(Value::elements);
        list.into_iter().try_for_each(|named| within(named, bound(limits)))?;
    }
    Ok(())
}

/// Refuses a result that names a task too long.
pub(crate) fn refuse_in_result(result: Value<'_>, limits: &Limits) -> Result<(), Rejection> {
    if is_short(result, limits) { Ok(()) } else { refuse(result, &IN_RESULT, name(limits)) }
}

/// Refuses a value that is too long for a name, not counting quotes and escapes.
pub(crate) fn within(value: Value<'_>, most: usize) -> Result<(), Rejection> {
    let text = || value.kind() == NodeKind::String && value.text().len() <= most;
    if value.raw().len() <= most || text() { Ok(()) } else { Err(Fault::LongName.at(value.span().start)) }
}

/// Nearly all messages are shorter in all than one name may be.
fn is_short(body: Value<'_>, limits: &Limits) -> bool {
    body.raw().len() <= limits.name_bytes.min(limits.uri_bytes)
}

fn refuse(body: Value<'_>, paths: &[&[&str]], most: usize) -> Result<(), Rejection> {
    paths.iter().filter_map(|path| body.at(path)).try_for_each(|named| within(named, most))
}
