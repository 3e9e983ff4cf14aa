//! The vault of pseudonyms: names for what guards find, kept before they are shown, and given back to tools that are entitled.
//!
//! **Threat.** A name that is shown and not kept loses the value; one that is given back to whoever asks hides nothing; and a
//! vault that cannot be used must not lead to data in the clear. So whatever fails here ends in a refusal, and each
//! value that is given back is in the log before it goes anywhere. A server that brings more and more of what it made up
//! would leave no room for others, so each may bring a part of it, and it is said in time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_guard::guards::personal_data::Options;
use bartizan_guard::pseudonym::{Kind, Root, Token};
use bartizan_guard::{Direction, Evidence, Names, Principal, Pseudonym, Revealed, TENANT_OF_ALL, Unclear};
use bartizan_mcp::{Limits, Message, method};
use bartizan_store::pseudonyms::{Filled, Keep, LONGEST_VALUE, New, Scope, Source};
use bartizan_store::{Change, Store, StoreError};
use serde::Serialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::clock;
use crate::database::Database;
use crate::given::{Given, TooMuch, Waiting};
use crate::metrics::Metrics;
use crate::recorder::Recorder;
use crate::seldom::Seldom;

/// The rule by which messages are refused because of the vault.
pub(crate) const RULE: &str = "gateway.pseudonyms";

/// What is longer is refused before it comes here.
const _: () = assert!(Pseudonym::LONGEST <= LONGEST_VALUE);

/// Names of so many tenants and purposes are kept ready.
const MOST: usize = 1_024;

/// So often it is looked whether the store is still the one, for messages in which nothing has to be kept; in microseconds.
const LOOK: i64 = 1_000_000;

/// Who is said to have brought what clients say to servers. No server is called so.
const CLIENTS: &str = "*";

/// From so many per cent on it is said that there is little room.
const NEARLY_FULL: i64 = 80;

/// Why it cannot be used.
#[derive(Debug, Error)]
pub(crate) enum VaultError {
    #[error("pseudonyms have no place: there is no store")]
    NoStore,
    #[error("pseudonyms cannot be made or given back: {0}")]
    Store(#[from] StoreError),
    #[error("that a pseudonym was given back cannot be recorded")]
    Unrecorded,
    #[error("with what its pseudonyms stand for the call is none: {0}")]
    Unreadable(String),
    #[error(transparent)]
    Unclear(#[from] Unclear),
    #[error("the store was replaced, and what is named by the one before is not kept; the next message is named anew")]
    Replaced,
    #[error(
        "`{0}` was given back more for calls that still wait than can be remembered, so nobody would know it again"
    )]
    TooMuch(String),
}

impl VaultError {
    /// What a client is told of it.
    pub(crate) fn told(&self) -> &'static str {
        match self {
            VaultError::Store(StoreError::SourceFull { by, .. }) if by == CLIENTS => {
                "clients have brought as many values as pseudonyms are kept of clients"
            }
            VaultError::Store(StoreError::SourceFull { .. }) => {
                "the server has brought as many values as pseudonyms are kept of one server"
            }
            VaultError::TooMuch(_) => {
                "too many values were given back for calls that still wait; try again once some are answered"
            }
            _ => "what pseudonyms stand for can be neither kept nor given back now",
        }
    }
}

/// The vault of one gateway.
pub(crate) struct Vault {
    database: Arc<Database>,
    names: Mutex<HashMap<(String, String), Ready>>,
    /// When it was last looked whether the store is still the one.
    looked: AtomicI64,
    given: Arc<Given>,
    /// Who was said to leave little room, by tenant; for the tenant as a whole no server.
    nearly_full: Mutex<HashSet<(String, Option<String>)>>,
    complaints: Seldom,
}

/// What makes names, by the key in that store.
struct Ready {
    store: Arc<Store>,
    names: Names,
}

/// A call of a tool, by whom and as part of what.
pub(crate) struct Call<'c> {
    pub(crate) principal: &'c Principal,
    pub(crate) server: &'c Arc<str>,
    pub(crate) session: &'c str,
    pub(crate) limits: &'c Limits,
}

impl Call<'_> {
    fn tenant(&self) -> &str {
        self.principal.tenant.as_deref().unwrap_or(TENANT_OF_ALL)
    }

    fn scope<'s>(&'s self, options: &'s Options) -> Scope<'s> {
        Scope { tenant: self.tenant(), purpose: options.purpose(self.server) }
    }
}

/// What the log says of values that were given back.
#[derive(Serialize)]
struct Revelation<'g> {
    session: &'g str,
    principal: &'g str,
    server: &'g str,
    tool: &'g str,
    tenant: &'g str,
    purpose: &'g str,
    pseudonyms: Vec<String>,
}

/// A call with what its pseudonyms stand for.
pub(crate) struct WithValues {
    pub(crate) message: Message,
    /// Which ones they are.
    pub(crate) evidence: Vec<Evidence>,
    /// By which they are known again for as long as the call waits.
    pub(crate) waiting: Waiting,
}

/// What the log says of a vault in which there is little room.
#[derive(Serialize)]
struct Filling<'f> {
    tenant: &'f str,
    /// Who brought what made it so little; `*` for clients.
    server: &'f str,
    /// Whether it is the room of all, or that of this server.
    of: &'static str,
    entries: i64,
    most: i64,
    /// Who brought most of what there is.
    largest: Option<&'f str>,
    largest_entries: i64,
}

impl Vault {
    pub(crate) fn new(database: Arc<Database>) -> Vault {
        Vault {
            database,
            names: Mutex::default(),
            looked: AtomicI64::new(i64::MIN),
            given: Arc::default(),
            nearly_full: Mutex::default(),
            complaints: Seldom::default(),
        }
    }

    /// What makes names for what a server brings or is told. None if there is trouble: then nothing passes that would have
    /// to be named.
    pub(crate) async fn names(&self, options: &Options, call: &Call<'_>) -> Option<Evidence> {
        let scope = call.scope(options);
        if let Some(names) = self.at_hand(scope) {
            return Some(Evidence::Names(names));
        }
        match self.ready(scope).await {
            Ok((_, names)) => Some(Evidence::Names(names)),
            Err(error) => {
                self.complain(&error);
                None
            }
        }
    }

    /// What the server of a call was given back of late.
    pub(crate) fn told(&self, call: &Call<'_>) -> Option<Evidence> {
        self.given.told((call.tenant(), call.server), clock::steady().0).map(Evidence::Told)
    }

    /// Says to the operator what is wrong: where the store is, and what of it, is nobody else's to know.
    pub(crate) fn complain(&self, error: &VaultError) {
        if let Some(more) = self.complaints.next() {
            tracing::error!(more, "{error}");
        }
    }

    /// What made names a moment ago, without a look whether the store is still the one. Whoever keeps or gives back
    /// anything looks in any case.
    fn at_hand(&self, scope: Scope<'_>) -> Option<Names> {
        let ago = clock::steady().0.saturating_sub(self.looked.load(Ordering::Relaxed));
        let store = self.database.opened().filter(|_| ago < LOOK)?;
        self.held(scope, &store)
    }

    fn held(&self, scope: Scope<'_>, store: &Arc<Store>) -> Option<Names> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = names.get(&(scope.tenant.to_owned(), scope.purpose.to_owned()));
        ready.filter(|ready| Arc::ptr_eq(&ready.store, store)).map(|ready| ready.names.clone())
    }

    async fn ready(&self, scope: Scope<'_>) -> Result<(Arc<Store>, Names), VaultError> {
        let store = self.database.open().await?.ok_or(VaultError::NoStore)?;
        self.looked.store(clock::steady().0, Ordering::Relaxed);
        if let Some(names) = self.held(scope, &store) {
            return Ok((store, names));
        }
        let root = Root::new(&*store.naming_key(scope.tenant, &change()).await?);
        let names = Names::new(Arc::new(root.namer(scope.tenant, scope.purpose)));
        let mut all = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.clear();
        }
        let place = (scope.tenant.to_owned(), scope.purpose.to_owned());
        all.insert(place, Ready { store: Arc::clone(&store), names: names.clone() });
        Ok((store, names))
    }

    /// Keeps what the names in a message stand for; it may go once this has returned.
    pub(crate) async fn keep(
        &self,
        (options, log, metrics): (&Options, &Recorder, &Metrics),
        (call, direction): (&Call<'_>, Direction),
        all: &[Pseudonym],
    ) -> Result<(), VaultError> {
        let scope = call.scope(options);
        let (store, names) = self.ready(scope).await?;
        if !all.iter().all(|held| names.made(&held.token)) {
            return Err(VaultError::Replaced);
        }
        let new: Vec<_> = all
            .iter()
            .map(|held| New {
                token: held.token.id(),
                kind: held.token.kind().as_str(),
                subject: held.subject.as_ref().map(Token::id),
                value: &held.value,
            })
            .collect();
        // A client that says more and more must not use up what a server may bring.
        let by = if direction == Direction::ToClient { &**call.server } else { CLIENTS };
        let source = Source { name: by, most: options.most_of_server() };
        let keep = Keep { keep_for: options.keep_for(), most: options.most(), source: Some(source) };
        if store.put_pseudonyms(scope, &new, keep, &change()).await? > 0 {
            let filled = store.pseudonyms_filled(scope.tenant, by).await?;
            let most = (options.most(), options.most_of_server());
            self.note_filling((log, metrics), (scope.tenant, by), &filled, most);
        }
        Ok(())
    }

    /// Which of these numbers were handed out themselves, in the place of others.
    pub(crate) async fn standing(
        &self,
        options: &Options,
        call: &Call<'_>,
        numbers: &[Pseudonym],
    ) -> Result<Vec<Box<str>>, VaultError> {
        let scope = call.scope(options);
        let (store, names) = self.ready(scope).await?;
        let numbers: BTreeSet<&str> = numbers.iter().map(|number| &*number.value).collect();
        let kinds = || Kind::all().filter(|kind| kind.has_numbers());
        let sought: Vec<_> = numbers
            .iter()
            .flat_map(|number| names.kept_under(number, kinds()).map(move |token| (token, *number)))
            .collect();
        let ids: Vec<&str> = sought.iter().map(|(token, _)| token.id()).collect();
        let values = store.reveal(scope, &ids, clock::now().0).await?;
        let found = sought.iter().zip(values).filter(|(_, value)| value.is_some());
        let found: BTreeSet<&str> = found.map(|((_, number), _)| *number).collect();
        Ok(found.into_iter().map(Box::from).collect())
    }

    /// Says once that there is little room left, and again once there was more meanwhile.
    fn note_filling(
        &self,
        (log, metrics): (&Recorder, &Metrics),
        (tenant, server): (&str, &str),
        filled: &Filled,
        (most, most_of_server): (i64, i64),
    ) {
        let (largest, largest_entries) =
            filled.largest.as_ref().map_or((None, 0), |(name, entries)| (Some(name.as_str()), *entries));
        for (of, whose, entries, most) in [
            ("tenant", None, filled.entries, most),
            ("server", Some(server.to_owned()), filled.of_source, most_of_server),
        ] {
            let is_new = {
                let mut said = self.nearly_full.lock().unwrap_or_else(PoisonError::into_inner);
                let key = (tenant.to_owned(), whose);
                if entries.saturating_mul(100) < most.saturating_mul(NEARLY_FULL) {
                    said.remove(&key);
                    continue;
                }
                if said.len() >= MOST {
                    said.clear();
                }
                said.insert(key)
            };
            if is_new {
                metrics.pseudonyms_filling(server, of);
                tracing::warn!(tenant, server, of, entries, most, largest, "there is little room left for pseudonyms");
                let filling = Filling { tenant, server, of, entries, most, largest, largest_entries };
                // It is said above in any case.
                log.note("pseudonym.filling", &filling).ok();
            }
        }
    }

    /// A call with what those of its pseudonyms stand for that its tool is entitled to, which ones they are, and where that stands.
    pub(crate) async fn reveal(
        &self,
        (options, log): (&Options, &Recorder),
        call: &Call<'_>,
        message: &Message,
    ) -> Result<Option<WithValues>, VaultError> {
        let Some(tool) = entitled(options, call, message) else { return Ok(None) };
        let kinds = options.numbers(call.server, &tool);
        let scope = call.scope(options);
        let (store, names) = self.ready(scope).await?;
        let mut sought = names.in_arguments(message);
        sought.retain(|token| options.is_entitled(call.server, &tool, token));
        let numbers = names.numbers_in_arguments(message, &kinds)?;
        let ids: Vec<&str> = sought.iter().chain(&numbers).map(Token::id).collect();
        let values = store.reveal(scope, &ids, clock::now().0).await?;
        let (of_names, of_numbers) = values.split_at_checked(sought.len()).unwrap_or_default();
        let (found, numbers) = (known(&sought, of_names), known(&numbers, of_numbers));
        if found.is_empty() && numbers.is_empty() {
            return Ok(None);
        }
        // First of all: what is refused was given back to nobody.
        let revealed = Revealed::new(found.iter().copied()).and_numbers(&names, numbers.iter().copied());
        let put = revealed.in_arguments(message)?;
        let message = message.edited(&put.edits, call.limits).map_err(|why| VaultError::Unreadable(why.to_string()))?;
        let whose = (scope.tenant, call.server);
        // A value that a number stands for is known by its name, also where it stands as it is.
        let named = numbers.iter().filter_map(|(token, value)| Some((names.name_of(token.kind(), value)?, *value)));
        let values: BTreeMap<Token, &str> = found.iter().copied().chain(named).collect();
        let given: Vec<(Token, &str)> = values.iter().map(|(token, value)| (*token, *value)).collect();
        let waiting = self.given.give(whose, &given, || clock::steady().0);
        let waiting = waiting.map_err(|TooMuch| VaultError::TooMuch(call.server.to_string()))?;
        let revelation = Revelation {
            session: call.session,
            principal: &call.principal.id,
            server: call.server,
            tool: &tool,
            tenant: scope.tenant,
            purpose: scope.purpose,
            pseudonyms: found.iter().chain(&numbers).map(|(token, _)| token.to_string()).collect(),
        };
        log.note("pseudonym.revealed", &revelation).map_err(|_| VaultError::Unrecorded)?;
        let tokens = found.iter().chain(&numbers).map(|(token, _)| *token).chain(values.into_keys()).collect();
        let evidence = vec![Evidence::Revealed(tokens), Evidence::Given(put.places.into())];
        Ok(Some(WithValues { message, evidence, waiting }))
    }
}

/// The tokens that stand for something, with that.
fn known<'v>(tokens: &[Token], values: &'v [Option<Zeroizing<String>>]) -> Vec<(Token, &'v str)> {
    let known = tokens.iter().zip(values).filter_map(|(token, value)| Some((*token, value.as_ref()?.as_str())));
    known.collect()
}

/// The tool of a call that may get anything back.
pub(crate) fn entitled(options: &Options, call: &Call<'_>, message: &Message) -> Option<String> {
    let tool = message.param("name").filter(|_| message.method() == Some(method::TOOLS_CALL))?;
    let may_hold = || may_hold_pseudonyms(message) || !options.numbers(call.server, &tool).is_empty();
    (options.entitles(call.server, &tool) && may_hold()).then(|| tool.into_owned())
}

/// Whether something in a call reads like a pseudonym, whoever made it.
fn may_hold_pseudonyms(call: &Message) -> bool {
    call.parts().any(|part| !bartizan_guard::pseudonym::find(&part.text()).is_empty())
}

fn change() -> Change {
    Change { by: "bartizan".to_owned(), at: clock::now().0 }
}
