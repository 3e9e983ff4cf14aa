//! Whether those who have streams open may still have them.
//!
//! One task looks for all, at each credential once, however many streams were opened with it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::watch;

use crate::clock;
use crate::gateway::Gateway;
use crate::identity::{Credential, Identity};

/// So many are asked about at once: one of whom it takes long to tell does not hold up the others.
const AT_ONCE: usize = 32;

/// By what open streams were opened.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Each tells its streams when it is good no more. Nothing is the credential of who showed none.
    open: Mutex<HashMap<Option<Credential>, watch::Sender<bool>>>,
}

impl Standing {
    /// Returns once a credential is good no more, or once one is required of whoever showed none.
    pub(super) fn ended(&self, credential: Option<Credential>) -> impl Future<Output = ()> + Send + use<> {
        let mut ended = self.open().entry(credential).or_insert_with(|| watch::Sender::new(false)).subscribe();
        // If nobody looks any more, it is over as well.
        async move { drop(ended.wait_for(|ended| *ended).await.map(drop)) }
    }

    /// Ends the streams of those who may have them no more.
    pub(super) async fn look(&self, identity: &Identity, gateway: &Gateway) {
        let all: Vec<_> = {
            let mut open = self.open();
            open.retain(|_, ended| ended.receiver_count() > 0);
            open.keys().cloned().collect()
        };
        stream::iter(all)
            .for_each_concurrent(AT_ONCE, async |credential| {
                let good = match &credential {
                    Some(credential) => identity.is_good(credential, clock::now()).await,
                    None => !gateway.policy.load().credential_required,
                };
                if !good && let Some(ended) = self.open().remove(&credential) {
                    ended.send_replace(true);
                }
            })
            .await;
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Option<Credential>, watch::Sender<bool>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bartizan_config::Config;
    use bartizan_store::MasterKey;
    use futures_util::FutureExt;

    use super::*;
    use crate::database::Database;
    use crate::setup;

    fn config(home: &std::path::Path, more: &str) -> Config {
        let (file, lock) = (home.join("bartizan.toml"), home.join("mcp.lock"));
        let text = format!(
            "[server.one]\nurl = \"http://127.0.0.1:9/mcp\"\n[audit]\ndirectory = {home:?}\nencrypt = false\n[lock]\npath = {lock:?}\n{more}"
        );
        std::fs::write(&file, text).unwrap();
        Config::load(&file).unwrap().0
    }

    #[tokio::test]
    async fn streams_end_once_their_credential_is_good_no_more_and_those_that_ended_are_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let gateway = setup::gateway(&config(home.path(), "")).unwrap();
        let identity = Identity::new(Database::new(None, MasterKey::Beside));
        let standing = Standing::default();
        let mut streams = [(); 3].map(|()| Box::pin(standing.ended(None)));
        standing.look(&identity, &gateway).await;
        assert!(streams.iter_mut().all(|stream| stream.now_or_never().is_none()), "nobody has to show anything");
        assert_eq!(standing.open().len(), 1);
        let strict = setup::policy(&config(home.path(), "[auth]\nrequired = true\n")).unwrap();
        gateway.policy.store(Arc::new(strict));
        standing.look(&identity, &gateway).await;
        assert!(streams.iter_mut().all(|stream| stream.now_or_never().is_some()), "they did not");
        assert!(standing.open().is_empty());
        drop(standing.ended(None));
        gateway.policy.store(Arc::new(setup::policy(&config(home.path(), "")).unwrap()));
        standing.look(&identity, &gateway).await;
        assert!(standing.open().is_empty(), "nobody waits");
    }
}
