//! What a message is about: the members of `params` by which a method names it are texts.
//!
//! Threat: whoever judges by name takes a name that is no text for none, and there is no rule about nothing. A server that
//! makes a text of it (to JavaScript `tools[["pay"]]` is `tools.pay`) then does what nobody has judged. A name that is
//! missing is nobody's; methods that are not in the specification name things as they like.

use crate::document::{NodeKind, Value};
use crate::{Fault, Rejection, method, variant};

/// The members of what a completion is for.
const REF: &[&str] = &["type", "name", "uri"];
/// The members of what is to be completed.
const ARGUMENT: &[&str] = &["name", "value"];
/// What a client may want to hear of.
const NOTIFICATIONS: &[&str] =
    &["toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions", "taskIds"];
/// Those of them that name something.
const NAMED: [&str; 2] = ["resourceSubscriptions", "taskIds"];

/// Refuses parameters that name something by what is no text.
pub(crate) fn refuse(method: &str, params: Value<'_>) -> Result<(), Rejection> {
    match method {
        method::TOOLS_CALL | method::PROMPTS_GET => of_kind(params.get("name"), NodeKind::String),
        method::RESOURCES_READ
        | method::RESOURCES_SUBSCRIBE
        | method::RESOURCES_UNSUBSCRIBE
        | method::RESOURCE_UPDATED => of_kind(params.get("uri"), NodeKind::String),
        method::COMPLETION_COMPLETE => completed(params),
        method::SUBSCRIPTIONS_LISTEN => subscribed(params),
        _ => Ok(()),
    }
}

/// What is there has to be of that kind.
fn of_kind(found: Option<Value<'_>>, wanted: NodeKind) -> Result<(), Rejection> {
    match found.filter(|found| found.kind() != wanted) {
        Some(found) => Err(Fault::BadName.at(found.span().start)),
        None => Ok(()),
    }
}

/// A completion is for an argument of a prompt or of a template; which of them its type says, so that has to be there.
fn completed(params: Value<'_>) -> Result<(), Rejection> {
    if let Some(of) = params.get("ref") {
        of_kind(Some(of), NodeKind::Object)?;
        variant::refuse(of, REF)?;
        of_kind(of.get("type").or(Some(of)), NodeKind::String)?;
        of_kind(of.get("name"), NodeKind::String)?;
        of_kind(of.get("uri"), NodeKind::String)?;
    }
    match params.get("argument") {
        Some(argument) => variant::refuse(argument, ARGUMENT),
        None => Ok(()),
    }
}

/// What is subscribed to is lists of texts.
fn subscribed(params: Value<'_>) -> Result<(), Rejection> {
    let Some(wanted) = params.get("notifications") else { return Ok(()) };
    of_kind(Some(wanted), NodeKind::Object)?;
    variant::refuse(wanted, NOTIFICATIONS)?;
    for list in NAMED.into_iter().filter_map(|name| wanted.get(name)) {
        of_kind(Some(list), NodeKind::Array)?;
        list.elements().try_for_each(|named| of_kind(Some(named), NodeKind::String))?;
    }
    Ok(())
}
