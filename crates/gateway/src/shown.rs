//! What a client has shown, kept for as long as its request is worked on.
//!
//! **Threat.** A request waits until somebody agrees to it, and meanwhile the key it came with is revoked. Whoever agrees
//! looks at what is asked for, not at that. So what passes late passes only if its credential is still good.

use std::sync::Arc;

use bartizan_guard::Principal;
use futures_util::future::Either;

use crate::clock;
use crate::identity::{Credential, Identity};

tokio::task_local! {
    static SHOWN: Shown;
}

/// By what a request came in.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) identity: Arc<Identity>,
    /// Who has shown it.
    pub(crate) principal: Arc<str>,
    /// Nothing if nothing was shown.
    pub(crate) credential: Option<Credential>,
}

impl Shown {
    /// Does `work` on behalf of whoever has shown this.
    ///
    /// Not written with `async`, which would make room for `work` twice: each request moves that much.
    pub(crate) fn during<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        SHOWN.scope(self, work)
    }
}

/// What came in with the request that is worked on; nothing if it is none of a client's.
pub(crate) fn current() -> Option<Shown> {
    SHOWN.try_with(Clone::clone).ok()
}

/// Does `work` in another task on behalf of whoever this one works for.
pub(crate) fn carried<F: Future>(shown: Option<Shown>, work: F) -> impl Future<Output = F::Output> {
    match shown {
        Some(shown) => Either::Left(shown.during(work)),
        None => Either::Right(work),
    }
}

/// Whether what came in with the request that is worked on still lets `principal` in; `required` if nothing would not.
/// Whoever uses a wrapped server is the local user, who shows nothing; of nobody else it passes that it is not known.
pub(crate) async fn is_still_good(principal: &Principal, required: bool) -> bool {
    let Some(Shown { identity, credential, .. }) = current() else { return principal.is_local() };
    match credential {
        Some(credential) => identity.is_good(&credential, clock::now()).await,
        None => !required,
    }
}
