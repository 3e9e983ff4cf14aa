//! Tokens of who asks: found in the store, renewed before they end and once when they are refused.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_config::{Http, Oauth};
use bartizan_guard::Principal;
use bartizan_store::upstream_tokens::{EVERYBODY, Renewal, UpstreamToken};
use bartizan_store::{Change, Revision, Store, StoreError};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use tokio::sync::Mutex as AsyncMutex;

use super::discover::covers;
use super::grant::{self, Grant, TokenError};
use crate::clock;
use crate::database::Database;
use crate::fetch::{Reach, Spot, Way};
use crate::upstream::{Credential, UpstreamError};

/// So long before it ends a token is renewed, in microseconds.
const EARLY: i64 = 30 * 1_000_000;
/// How long another process may take to renew one, in microseconds.
const ELSEWHERE: i64 = 30 * 1_000_000;
/// How often one looks whether it has.
const LOOK: Duration = Duration::from_millis(250);
/// Of so many people the tokens are in memory.
const MANY: usize = 4096;

/// The tokens for one server.
pub(super) struct Personal(Arc<Inner>);

struct Inner {
    server: Arc<str>,
    http: Http,
    settings: Oauth,
    database: Arc<Database>,
    slots: Mutex<HashMap<Arc<str>, Arc<Slot>>>,
}

/// What is known of one person's.
#[derive(Default)]
struct Slot {
    open: Mutex<Option<Arc<Open>>>,
    /// Held by the one who renews them.
    renewing: AsyncMutex<()>,
}

/// Tokens as they were in the store at one state of it.
struct Open {
    store: Arc<Store>,
    revision: Option<Revision>,
    held: UpstreamToken,
    grant: Grant,
    header: HeaderValue,
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Personal").field("server", &self.0.server).finish_non_exhaustive()
    }
}

impl Personal {
    pub(super) fn new(server: &Arc<str>, http: &Http, settings: Oauth, database: Arc<Database>) -> Personal {
        let (server, http) = (Arc::clone(server), http.clone());
        Personal(Arc::new(Inner { server, http, settings, database, slots: Mutex::default() }))
    }
}

impl Credential for Personal {
    fn header<'a>(
        &'a self,
        who: &'a Principal,
        refused: Option<&'a HeaderValue>,
    ) -> BoxFuture<'a, Result<HeaderValue, UpstreamError>> {
        self.0.header(who, refused).boxed()
    }

    fn is_personal(&self) -> bool {
        !self.0.settings.shared
    }
}

impl Inner {
    async fn header(
        self: &Arc<Self>,
        who: &Principal,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, UpstreamError> {
        // Whoever has not signed in to the gateway is nobody in particular, and has nothing of their own.
        if !self.settings.shared && who.is_anonymous() {
            let why = format!("{} needs to know who asks, and this client showed no key", self.server);
            return Err(UpstreamError::SignIn(why));
        }
        let whose: Arc<str> = if self.settings.shared { EVERYBODY.into() } else { Arc::clone(&who.id) };
        let slot = self.slot(&whose);
        let open = self.open(&slot, &whose).await?;
        if refused.is_none_or(|refused| *refused != open.header) && !is_ending(&open.held, EARLY) {
            return Ok(open.header.clone());
        }
        // To its end, whatever becomes of who asked: what is sent for it cannot be sent twice.
        let (inner, refused) = (Arc::clone(self), refused.cloned());
        let renewed = tokio::spawn(async move { inner.renewed(&slot, &whose, refused.as_ref()).await });
        renewed.await.unwrap_or_else(|error| Err(UpstreamError::Credential(error.to_string())))
    }

    fn slot(&self, whose: &Arc<str>) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MANY && !slots.contains_key(whose) {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(Arc::clone(whose)).or_default())
    }

    /// What the store has of them.
    async fn open(&self, slot: &Slot, whose: &str) -> Result<Arc<Open>, UpstreamError> {
        let last = slot.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(last) = last
            && self.database.is_at(&last.store)
            && last.revision.is_some()
            && last.store.revision() == last.revision
        {
            return Ok(last);
        }
        let store = match self.database.is_absent() {
            true => None,
            false => self.database.open().await.map_err(unusable)?,
        };
        let store = store.ok_or_else(|| self.nobody(whose))?;
        let revision = store.revision();
        let held = store.upstream_token(&self.server, whose).await.map_err(unusable)?;
        let held = held.filter(|held| held.ended_at.is_none() && self.is_meant(held));
        let held = held.ok_or_else(|| self.nobody(whose))?;
        let sealer = store.sealer().await.map_err(unusable)?;
        let grant = Grant::unseal(&sealer, &held.owner(), &held.sealed).map_err(unusable)?;
        let header = grant.header().ok_or_else(|| self.nobody(whose))?;
        let open = Arc::new(Open { store, revision, held, grant, header });
        *slot.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&open));
        Ok(open)
    }

    /// Whether a token is for the server that the configuration has under this name now, and of who may give one.
    fn is_meant(&self, held: &UpstreamToken) -> bool {
        let issuer = self.settings.issuer.as_ref();
        covers(&held.resource, &self.http.url) && issuer.is_none_or(|issuer| *issuer == held.issuer)
    }

    /// That somebody has to sign in.
    fn nobody(&self, whose: &str) -> UpstreamError {
        let server = &self.server;
        UpstreamError::SignIn(if self.settings.shared {
            format!(
                "nobody has signed in to {server} yet, or that has ended: `bartizan upstream login {server}` does it"
            )
        } else {
            format!(
                "{whose} has not signed in to {server} yet, or that has ended: `bartizan upstream login {server} --user \
                 {whose}` does it"
            )
        })
    }

    /// Other tokens than those that were refused or are about to end.
    async fn renewed(
        &self,
        slot: &Slot,
        whose: &str,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, UpstreamError> {
        let _one = slot.renewing.lock().await;
        loop {
            let open = self.open(slot, whose).await?;
            let is_refused = refused.is_some_and(|refused| *refused == open.header);
            // Somebody else was quicker.
            if !is_refused && !is_ending(&open.held, EARLY) {
                return Ok(open.header.clone());
            }
            let good = !is_refused && !is_ending(&open.held, 0);
            let Some(refresh) = &open.grant.refresh_token else {
                return if good { Ok(open.header.clone()) } else { Err(self.nobody(whose)) };
            };
            let now = clock::now().0;
            match open.held.renewing_at {
                // It is not known what came of it, and what would be sent may be used up.
                Some(at) if now.saturating_sub(at) > ELSEWHERE => {
                    return if good { Ok(open.header.clone()) } else { Err(self.nobody(whose)) };
                }
                Some(_) => tokio::time::sleep(LOOK).await,
                None if open.store.begin_renewal(&open.held, now).await.map_err(unusable)? => {
                    return self.renew(slot, (&open, refresh), now, whose, good).await;
                }
                // It is another one by now.
                None => tokio::task::yield_now().await,
            }
        }
    }

    async fn renew(
        &self,
        slot: &Slot,
        (open, refresh): (&Open, &str),
        begun: i64,
        whose: &str,
        good: bool,
    ) -> Result<HeaderValue, UpstreamError> {
        let Open { store, held, grant, .. } = open;
        // Whoever named the address at the sign-in may have names lead elsewhere by now.
        let way = Ways::of(&self.http, &self.settings).await.issuer.within(grant.reach.unwrap_or(Reach::Machine));
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("resource", &*held.resource)];
        let came = grant::ask(&grant.token_endpoint, &grant.client, &fields, &way).await;
        let change = Change { by: "bartizan".to_owned(), at: clock::now().0 };
        let otherwise = |error: UpstreamError| if good { Ok(open.header.clone()) } else { Err(error) };
        match came {
            Ok(tokens) => {
                let mut new = UpstreamToken { expires_at: tokens.expires_at(change.at), ..held.clone() };
                let refresh_token = tokens.refresh_token.or_else(|| grant.refresh_token.clone());
                let renewed = Grant { access_token: tokens.access_token, refresh_token, ..grant.clone() };
                let sealer = store.sealer().await.map_err(unusable)?;
                new.sealed = renewed.seal(&sealer, &new.owner()).map_err(unusable)?;
                if let Some(scope) = tokens.scope {
                    new.scope = scope;
                }
                if !store.end_renewal(held, begun, Renewal::Renewed(&new), &change).await.map_err(unusable)? {
                    // Nobody is to use these: somebody has signed in anew, or is not there any more.
                    grant::revoke(&renewed, &way).await.ok();
                    return Ok(self.open(slot, whose).await?.header.clone());
                }
                renewed.header().ok_or_else(|| self.nobody(whose))
            }
            Err(TokenError::Refused(code)) => {
                tracing::warn!(server = %self.server, principal = %whose, %code, "tokens for a server are not renewed");
                store.end_renewal(held, begun, Renewal::Ended, &change).await.map_err(unusable)?;
                Err(self.nobody(whose))
            }
            Err(error @ (TokenError::NotAsked(_) | TokenError::Later(_))) => {
                tracing::warn!(server = %self.server, principal = %whose, %error, "tokens for a server are not renewed");
                store.end_renewal(held, begun, Renewal::Again, &change).await.map_err(unusable)?;
                otherwise(UpstreamError::Credential(error.to_string()))
            }
            // That it was begun stays written down, so nobody sends again what may be used up.
            Err(error @ TokenError::Unsure(_)) => {
                tracing::warn!(server = %self.server, principal = %whose, %error, "tokens for a server may be lost");
                otherwise(self.nobody(whose))
            }
        }
    }
}

/// How the two are asked: each where it was when that was decided.
pub(super) struct Ways {
    /// The server, and what it says of itself: nothing nearer than it is.
    pub(super) server: Way,
    /// The authorization server: as near as the server, or as the issuer that the operator has named.
    pub(super) issuer: Way,
}

impl Ways {
    pub(super) async fn of(http: &Http, settings: &Oauth) -> Ways {
        let server = Spot::of(&http.url).await;
        let by = |way: Way| way.by(&http.url, http.tls.as_ref(), settings.tls.as_ref());
        let near = Way::from(server.reach()).knowing(server.clone());
        let issuer = match settings.issuer.as_ref().and_then(|issuer| issuer.parse().ok()) {
            Some(issuer) => {
                let issuer = Spot::of(&issuer).await;
                Way::from(server.reach().max(issuer.reach())).knowing(server).knowing(issuer)
            }
            None => near.clone(),
        };
        Ways { server: by(near), issuer: by(issuer) }
    }
}

fn is_ending(held: &UpstreamToken, within: i64) -> bool {
    held.expires_at.is_some_and(|at| at.saturating_sub(within) <= clock::now().0)
}

fn unusable(error: impl Into<StoreError>) -> UpstreamError {
    UpstreamError::Credential(error.into().to_string())
}
