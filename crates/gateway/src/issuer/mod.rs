//! The authorization server in the gateway: its keys, and what it has given that is still good.
//!
//! **Threat.** A token outlives what it rests on: the person was disabled, an operator ended the grant, a refresh token came
//! twice. A token is good for ten minutes at most, but that is too long. So each names its grant, and at each request that
//! grant has to be among those that the store has as good. They are in memory with the revision of the store at which they were
//! read, as API keys are, so what was ended is refused from the moment on at which that is written, in every process.

mod key;
mod token;

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_guard::Timestamp;
use bartizan_store::grants::{LiveGrant, SigningKey};
use bartizan_store::{Store, StoreError};
use serde_json::{Value, json};
use thiserror::Error;

pub(crate) use self::key::Key;
pub(crate) use self::token::Given;
use crate::clock;
use crate::database::{Database, Read, Snapshot};

/// Why the authorization server cannot do something; none of it is anybody's fault who asks.
#[derive(Debug, Error)]
pub(crate) enum IssuerError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key cannot be made or read.
    #[error("a signing key cannot be used: {0}")]
    Key(String),
}

/// The authorization server of one gateway.
pub(crate) struct Issuer {
    database: Arc<Database>,
    /// What it is called: where browsers and clients find the gateway.
    url: Arc<str>,
    read: Snapshot<State>,
}

/// Keys and grants.
struct State {
    keys: Vec<Arc<Key>>,
    grants: HashMap<String, LiveGrant>,
}

impl Issuer {
    /// The one that is found at `url`.
    pub(crate) fn new(database: Arc<Database>, url: &str) -> Arc<Issuer> {
        Arc::new(Issuer { database, url: url.into(), read: Snapshot::default() })
    }

    /// What it is called (`iss`).
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The store, for what is not kept in memory.
    pub(crate) async fn store(&self) -> Result<Arc<Store>, IssuerError> {
        self.database.open().await?.ok_or_else(nowhere)
    }

    /// An access token for a grant.
    pub(crate) async fn sign(&self, given: &Given<'_>) -> Result<String, IssuerError> {
        let now = clock::now();
        let keys = self.keys(now).await?;
        let key = key::in_use(&keys, now).ok_or_else(|| IssuerError::Key("there is none".to_owned()))?;
        token::sign(key, &self.url, given, now)
    }

    /// The public keys, for whoever verifies tokens (RFC 7517).
    pub(crate) async fn jwks(&self) -> Result<Value, IssuerError> {
        let keys = self.keys(clock::now()).await?;
        Ok(json!({ "keys": keys.iter().map(|key| key.public().clone()).collect::<Vec<_>>() }))
    }

    /// Of which grant and client an access token is, if it is one of this server's, whether it is still good or not.
    pub(crate) async fn grant_of(&self, token: &str) -> Result<Option<(String, String)>, IssuerError> {
        let read = self.current().await?;
        Ok(token::grant_of(&read.held.keys, &self.url, token))
    }

    /// The grant that a token names, if it is still good, and of that person and client.
    pub(crate) async fn is_live(&self, grant: &str, person: &str, client: &str) -> Result<bool, IssuerError> {
        let now = clock::now();
        let read = self.current().await?;
        let live = read.held.grants.get(grant).filter(|live| live.expires_at > now.0);
        Ok(live.is_some_and(|live| live.person == person && live.client == client))
    }

    /// The keys, once there are those that there should be.
    async fn keys(&self, now: Timestamp) -> Result<Vec<Arc<Key>>, IssuerError> {
        let read = self.current().await?;
        if key::are_enough(&read.held.keys, now) {
            return Ok(read.held.keys.clone());
        }
        let sealer = read.store.sealer().await?;
        let new = [Key::generate()?, Key::generate()?];
        let kept = new.iter().map(|key| key.kept(&sealer, now)).collect::<Result<Vec<_>, _>>()?;
        read.store.rotate_signing_keys(|there| Ok(key::plan(there, kept, now))).await?;
        Ok(self.current().await?.held.keys.clone())
    }

    /// What the store has now.
    async fn current(&self) -> Result<Arc<Read<State>>, IssuerError> {
        match self.read.fresh(&self.database) {
            Some(read) => Ok(read),
            // Seldom, so it takes no room in the future of every request.
            None => Box::pin(self.read_again()).await,
        }
    }

    async fn read_again(&self) -> Result<Arc<Read<State>>, IssuerError> {
        let state = async |store: &Store| {
            let (kept, live) = (store.signing_keys().await?, store.live_grants(clock::now().0).await?);
            let keys = self.opened(store, kept).await?;
            Ok::<_, IssuerError>(State { keys, grants: live.into_iter().map(|live| (live.id.clone(), live)).collect() })
        };
        self.read.read_again(&self.database, state).await?.ok_or_else(nowhere)
    }

    /// The keys as they can be used. Those that were opened before are not opened again.
    async fn opened(&self, store: &Store, kept: Vec<SigningKey>) -> Result<Vec<Arc<Key>>, IssuerError> {
        let before = self.read.last();
        let mut keys = Vec::with_capacity(kept.len());
        for one in kept {
            let known = before.iter().flat_map(|read| &read.held.keys).find(|key| key.id() == one.id);
            keys.push(match known {
                Some(key) => Arc::clone(key),
                None => Arc::new(Key::open(&*store.sealer().await?, &one)?),
            });
        }
        Ok(keys)
    }
}

fn nowhere() -> IssuerError {
    StoreError::State("nothing says where the store is".to_owned()).into()
}

#[cfg(test)]
mod tests;
