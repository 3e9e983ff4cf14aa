//! Who a client is: one of the configuration, one with a document at the address that is its id, or one that registered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_config::{AuthorizationServer, ClientDocuments};
use bartizan_guard::Timestamp;
use bartizan_identity::grant::client::{Client, Known, NotAClient, document_host};
use bartizan_identity::grant::redirect::RedirectUri;
use bartizan_store::Store;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::document;
use crate::clock;
use crate::fetch::Reach;
use crate::upstream::SPEAKS_TLS;

/// Documents that are remembered, and fetched at once.
const MANY: usize = 256;
const AT_ONCE: usize = 4;
/// How long a document is remembered: at least, unless its server says otherwise, and at most; and how long it is that there
/// was none. In microseconds.
const LEAST: i64 = 30 * SECOND;
const USUAL: i64 = 300 * SECOND;
const MOST: i64 = 24 * 60 * 60 * SECOND;
const FAILED: i64 = 5 * SECOND;
const SECOND: i64 = 1_000_000;

/// Which clients there may be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Those of the configuration.
    pub(crate) configured: Vec<Client>,
    /// Whether a client may be known by its document.
    pub(crate) documents: bool,
    /// Whether such a document may be anywhere, also unencrypted: for development and tests.
    pub(crate) insecure_documents: bool,
    /// Whether a client may register itself.
    pub(crate) registration: bool,
    /// How long a client keeps what it is given, in microseconds.
    pub(crate) grant_lifetime: i64,
}

impl From<&AuthorizationServer> for Settings {
    fn from(served: &AuthorizationServer) -> Self {
        Settings {
            configured: served.clients.clone(),
            documents: served.documents != ClientDocuments::Off,
            insecure_documents: served.documents == ClientDocuments::Anywhere,
            registration: served.registration,
            grant_lifetime: i64::try_from(served.grant_lifetime.as_micros()).unwrap_or(i64::MAX),
        }
    }
}

/// Why there is no such client, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum NoClient {
    /// Nobody knows it.
    #[error("This gateway knows no such client.")]
    Unknown,
    /// What it says of itself cannot be read, or is not good.
    #[error("What the client says of itself at {0} cannot be used: {1}.")]
    Document(String, String),
    /// Too much is being read.
    #[error("Too much at once; try again in a moment.")]
    Busy,
}

type Found = Result<Arc<Client>, NoClient>;

/// The clients of one gateway.
pub(super) struct Clients {
    settings: Settings,
    /// What was found by documents, until when.
    read: Mutex<HashMap<String, (Found, i64)>>,
    places: Semaphore,
}

impl Clients {
    pub(super) fn new(settings: Settings) -> Clients {
        Clients { settings, read: Mutex::default(), places: Semaphore::new(AT_ONCE) }
    }

    /// Whether clients may be known by a document.
    pub(super) fn reads_documents(&self) -> bool {
        self.settings.documents && (SPEAKS_TLS || self.settings.insecure_documents)
    }

    /// Whether clients may register themselves.
    pub(super) fn lets_register(&self) -> bool {
        self.settings.registration
    }

    /// How long a client keeps what it is given, in microseconds.
    pub(super) fn grant_lifetime(&self) -> i64 {
        self.settings.grant_lifetime
    }

    /// The client of that id.
    pub(super) async fn find(&self, id: &str, store: &Store) -> Result<Found, bartizan_store::StoreError> {
        if let Some(client) = self.settings.configured.iter().find(|client| client.id == id) {
            return Ok(Ok(Arc::new(client.clone())));
        }
        if self.reads_documents()
            && let Some((url, _)) = document_host(id, self.settings.insecure_documents)
        {
            return Ok(self.by_document(id, &url).await);
        }
        if !self.settings.registration {
            return Ok(Err(NoClient::Unknown));
        }
        let Some(kept) = store.registered_client(id).await? else { return Ok(Err(NoClient::Unknown)) };
        let addresses: Result<Vec<_>, _> = kept.redirect_uris.iter().map(|uri| RedirectUri::parse(uri)).collect();
        let Ok(redirect_uris) = addresses else { return Ok(Err(NoClient::Unknown)) };
        let (name, refreshes, known) = (kept.name, kept.refreshes, Known::Registered);
        Ok(Ok(Arc::new(Client { id: kept.id, name, redirect_uris, refreshes, known })))
    }

    async fn by_document(&self, id: &str, url: &url::Url) -> Found {
        let now = clock::steady();
        if let Some(found) = self.remembered(id, now) {
            return found;
        }
        // Who waits here is served in turn; nobody waits for long, as no document takes long.
        let Ok(_place) = self.places.acquire().await else { return Err(NoClient::Busy) };
        if let Some(found) = self.remembered(id, clock::steady()) {
            return found;
        }
        let host = url.host_str().unwrap_or_default();
        let unusable = |why: String| NoClient::Document(host.to_owned(), why);
        let reach = if self.settings.insecure_documents { Reach::Machine } else { Reach::Public };
        let (found, age) = match document::fetch(url, reach).await {
            Ok(document) => {
                let client = Client::from_document(id, &document.content).map(Arc::new);
                let client = client.map_err(|error: NotAClient| unusable(error.to_string()));
                let age =
                    document.max_age.map_or(USUAL, |age| i64::try_from(age).unwrap_or(MOST).saturating_mul(SECOND));
                (client, age.clamp(LEAST, MOST))
            }
            Err(why) => (Err(unusable(why.to_owned())), FAILED),
        };
        if let Err(error) = &found {
            tracing::info!(host, %error, "a client is not known");
        }
        self.remember(id, found.clone(), clock::steady().0.saturating_add(age));
        found
    }

    fn remembered(&self, id: &str, now: Timestamp) -> Option<Found> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.get(id).filter(|(_, until)| *until > now.0).map(|(found, _)| found.clone())
    }

    fn remember(&self, id: &str, found: Found, until: i64) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.len() >= MANY {
            let now = clock::steady().0;
            read.retain(|_, (_, until)| *until > now);
        }
        if read.len() >= MANY
            && let Some(soonest) = read.iter().min_by_key(|(_, (_, until))| *until).map(|(id, _)| id.clone())
        {
            read.remove(&soonest);
        }
        read.insert(id.to_owned(), (found, until));
    }
}
