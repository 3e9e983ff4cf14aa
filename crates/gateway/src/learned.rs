//! What the gateway has listed on its own account in one session; see `learn`.

use std::collections::HashMap;

use bartizan_guard::DefinitionKind;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::abilities::Abilities;

/// How far one session has got, for each kind and what the client could do. Whoever needs a list holds it while that is
/// read, so that calls which come meanwhile wait as well: none is judged on less than the first.
#[derive(Debug, Default)]
pub(crate) struct Learned(pub(crate) Mutex<HashMap<(DefinitionKind, Abilities), State>>);

#[derive(Debug)]
pub(crate) enum State {
    /// The server did not list them to the end.
    Failed(Instant),
    Done,
}
