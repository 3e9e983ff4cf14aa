//! The keys that an issuer signs with, fetched and kept.
//!
//! **Threat.** An issuer that cannot be reached must neither keep everybody out at once nor let anybody in whom it no longer
//! vouches for; and whoever sends tokens that name keys which are not there must not have the gateway ask it each time.
//!
//! Keys are fetched when they are first needed, again when they are old, and when a token names one that is not among them:
//! that at most once in [`PAUSE`]. One asks and the others wait. While the issuer does not answer, the last keys are good for
//! as long as the configuration says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use bartizan_guard::Timestamp;
use bartizan_identity::token::KeySet;
use http::Uri;
use tokio::sync::Mutex;

use super::fetch::Fetcher;
use crate::clock;
use crate::issuer::Issuer as Own;

const SECOND: i64 = 1_000_000;
/// How long nobody asks again for a key that was not there.
const PAUSE: i64 = 30 * SECOND;
/// How long nobody asks again after the issuer did not answer.
const REST: i64 = 3 * SECOND;

/// It cannot be told which keys are good.
#[derive(Debug)]
pub(super) struct Unknown;

/// The keys of an issuer.
pub(super) enum Keys {
    /// Those that it publishes.
    Published(Box<Published>),
    /// Those of this gateway itself.
    Own(Arc<Own>),
}

/// Keys as they were fetched.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) keys: Arc<KeySet>,
    /// Counts how often they have changed, so that what was verified by other ones is verified again.
    pub(super) generation: u64,
    fetched: i64,
}

impl Keys {
    /// The keys among which the one of this name is, if there is one.
    pub(super) async fn with(&self, id: &str) -> Result<Held, Unknown> {
        match self {
            Keys::Own(own) => {
                let set = own.jwks().await.map_err(|error| {
                    tracing::error!(%error, "keys of our own cannot be read, so tokens that we gave are refused");
                    Unknown
                })?;
                let keys = KeySet::parse(set.to_string().as_bytes()).ok_or(Unknown)?;
                Ok(Held { keys: Arc::new(keys), generation: 0, fetched: i64::MAX })
            }
            Keys::Published(published) => published.with(id).await,
        }
    }

    /// How often keys have changed so far, if they are good still.
    pub(super) fn generation(&self, now: Timestamp) -> Option<u64> {
        match self {
            // What rests on them is looked up each time.
            Keys::Own(_) => Some(0),
            Keys::Published(published) => {
                let held = published.held(now.0)?;
                published.freshen(&held, now.0);
                Some(held.generation)
            }
        }
    }
}

/// Keys that an issuer publishes.
pub(super) struct Published {
    inner: Arc<Inner>,
}

struct Inner {
    issuer: String,
    /// Where they are: what the configuration says, or else the issuer's metadata.
    configured: Option<Uri>,
    discovered: ArcSwapOption<Uri>,
    fetcher: Arc<Fetcher>,
    /// In microseconds: after how long they are fetched again, and how long they are good.
    refresh: i64,
    keep: i64,
    held: ArcSwapOption<Held>,
    /// One asks at a time.
    asking: Mutex<()>,
    /// How often it was asked.
    asked: AtomicU64,
    /// Nobody asks before this moment.
    not_before: AtomicI64,
    /// Whether it did not answer when it was asked last.
    is_silent: AtomicBool,
}

impl Published {
    pub(super) fn new(settings: &bartizan_config::Issuer, fetcher: Arc<Fetcher>) -> Published {
        let micros = |span: std::time::Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Published {
            inner: Arc::new(Inner {
                issuer: settings.issuer.clone(),
                configured: settings.jwks_uri.as_ref().and_then(|uri| uri.parse().ok()),
                discovered: ArcSwapOption::empty(),
                fetcher,
                refresh: micros(settings.keys_refresh),
                keep: micros(settings.keys_keep),
                held: ArcSwapOption::empty(),
                asking: Mutex::default(),
                asked: AtomicU64::new(0),
                not_before: AtomicI64::new(0),
                is_silent: AtomicBool::new(false),
            }),
        }
    }

    /// Those that are good still.
    fn held(&self, now: i64) -> Option<Arc<Held>> {
        self.inner.held.load_full().filter(|held| now.saturating_sub(held.fetched) < self.inner.keep)
    }

    /// Has them fetched again if they are old; nobody waits for that.
    fn freshen(&self, held: &Held, now: i64) {
        if now.saturating_sub(held.fetched) >= self.inner.refresh && self.inner.may_ask(now) {
            let inner = Arc::clone(&self.inner);
            tokio::spawn(async move { inner.ask(inner.asked.load(Ordering::Acquire), false).await });
        }
    }

    async fn with(&self, id: &str) -> Result<Held, Unknown> {
        let now = clock::now().0;
        let held = self.held(now);
        if let Some(held) = held.as_ref().filter(|held| held.keys.knows(id)) {
            self.freshen(held, now);
            return Ok(Held::clone(held));
        }
        if self.inner.may_ask(now) {
            let before = self.inner.asked.load(Ordering::Acquire);
            // In a task of its own: whoever asks may go away, and others wait for the answer.
            let (inner, known) = (Arc::clone(&self.inner), held.is_some());
            tokio::spawn(async move { inner.ask(before, known).await }).await.ok();
        }
        let now = clock::now().0;
        match self.held(now) {
            // While it is silent nobody can tell whether there is such a key by now.
            Some(held) if held.keys.knows(id) || !self.inner.is_silent.load(Ordering::Acquire) => {
                Ok(Held::clone(&held))
            }
            _ => Err(Unknown),
        }
    }
}

impl Inner {
    fn may_ask(&self, now: i64) -> bool {
        now >= self.not_before.load(Ordering::Acquire)
    }

    /// Asks, unless somebody has since it was asked so often; `missing` is whether a key was not among those that there are.
    async fn ask(&self, before: u64, missing: bool) {
        let _one = self.asking.lock().await;
        if self.asked.load(Ordering::Acquire) != before || !self.may_ask(clock::now().0) {
            return;
        }
        let fetched = self.fetch().await;
        let now = clock::now().0;
        let (rest, is_silent) = match fetched {
            Ok(keys) => {
                self.take(keys, now);
                (if missing { PAUSE } else { 0 }, false)
            }
            Err(why) => {
                tracing::warn!(issuer = %self.issuer, why, "the keys of this issuer of tokens cannot be fetched");
                // They may have moved.
                self.discovered.store(None);
                (REST, true)
            }
        };
        self.is_silent.store(is_silent, Ordering::Release);
        self.not_before.store(now.saturating_add(rest), Ordering::Release);
        self.asked.fetch_add(1, Ordering::AcqRel);
    }

    fn take(&self, keys: KeySet, now: i64) {
        let before = self.held.load_full();
        let keys = Arc::new(keys);
        let same = before.as_ref().filter(|held| held.keys == keys);
        let generation = match (same, &before) {
            (Some(held), _) => held.generation,
            (None, Some(held)) => held.generation + 1,
            (None, None) => 0,
        };
        self.held.store(Some(Arc::new(Held { keys, generation, fetched: now })));
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let place = match self.configured.clone().or_else(|| self.discovered.load().as_deref().cloned()) {
            Some(place) => place,
            None => {
                let place = self.discover().await?;
                self.discovered.store(Some(Arc::new(place.clone())));
                place
            }
        };
        let bytes = self.fetcher.get(&place).await?;
        let keys = KeySet::parse(&bytes).ok_or("there is no set of keys")?;
        if keys.is_empty() { Err("there is no key that is good for signatures of tokens".to_owned()) } else { Ok(keys) }
    }

    /// Where its keys are, by its own metadata.
    async fn discover(&self) -> Result<Uri, String> {
        let metadata = self.fetcher.discover().await?;
        let place = metadata.get("jwks_uri").and_then(serde_json::Value::as_str);
        self.fetcher.address(place.ok_or("its metadata do not say where its keys are")?)
    }
}
