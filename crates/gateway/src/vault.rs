//! The vault of pseudonyms: names for what guards find, kept before they are shown, and given back to tools that are entitled.
//!
//! **Threat.** A name that is shown and not kept loses the value; one that is given back to whoever asks hides nothing; and a
//! vault that cannot be used must not lead to data in the clear. So whatever fails here ends in a refusal, and each
//! value that is given back is in the log before it goes anywhere.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_guard::guards::personal_data::Options;
use bartizan_guard::pseudonym::{Kind, Root, Token};
use bartizan_guard::{Evidence, Names, Principal, Pseudonym, Revealed, TENANT_OF_ALL, Unclear};
use bartizan_mcp::{Limits, Message, method};
use bartizan_store::pseudonyms::{Keep, LONGEST_VALUE, New, Scope};
use bartizan_store::{Change, Store, StoreError};
use serde::Serialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::clock;
use crate::database::Database;
use crate::recorder::Recorder;
use crate::seldom::Seldom;

/// The rule by which messages are refused because of the vault.
pub(crate) const RULE: &str = "gateway.pseudonyms";

/// What is longer is refused before it comes here.
const _: () = assert!(Pseudonym::LONGEST <= LONGEST_VALUE);

/// Names of so many tenants and purposes are kept ready.
const MOST: usize = 1_024;

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
}

/// The vault of one gateway.
pub(crate) struct Vault {
    database: Arc<Database>,
    names: Mutex<HashMap<(String, String), Ready>>,
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
    pub(crate) server: &'c str,
    pub(crate) session: &'c str,
    pub(crate) limits: &'c Limits,
}

impl Call<'_> {
    fn scope<'s>(&'s self, options: &'s Options) -> Scope<'s> {
        let tenant = self.principal.tenant.as_deref().unwrap_or(TENANT_OF_ALL);
        Scope { tenant, purpose: options.purpose(self.server) }
    }
}

/// What the log says of values that were given back.
#[derive(Serialize)]
struct Given<'g> {
    session: &'g str,
    principal: &'g str,
    server: &'g str,
    tool: &'g str,
    tenant: &'g str,
    purpose: &'g str,
    pseudonyms: Vec<String>,
}

impl Vault {
    pub(crate) fn new(database: Arc<Database>) -> Vault {
        Vault { database, names: Mutex::default(), complaints: Seldom::default() }
    }

    /// What makes names for what a server brings or is told. None if there is trouble: then nothing passes that would have
    /// to be named.
    pub(crate) async fn names(&self, options: &Options, call: &Call<'_>) -> Option<Evidence> {
        match self.ready(call.scope(options)).await {
            Ok((_, names)) => Some(Evidence::Names(names)),
            Err(error) => {
                self.complain(&error);
                None
            }
        }
    }

    /// Says to the operator what is wrong: where the store is, and what of it, is nobody else's to know.
    pub(crate) fn complain(&self, error: &VaultError) {
        if let Some(more) = self.complaints.next() {
            tracing::error!(more, "{error}");
        }
    }

    async fn ready(&self, scope: Scope<'_>) -> Result<(Arc<Store>, Names), VaultError> {
        let store = self.database.open().await?.ok_or(VaultError::NoStore)?;
        let place = (scope.tenant.to_owned(), scope.purpose.to_owned());
        let held = |names: &HashMap<_, Ready>| {
            names.get(&place).filter(|ready| Arc::ptr_eq(&ready.store, &store)).map(|ready| ready.names.clone())
        };
        if let Some(names) = held(&self.names.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok((store, names));
        }
        let root = Root::new(&*store.naming_key(scope.tenant, &change()).await?);
        let names = Names::new(Arc::new(root.namer(scope.tenant, scope.purpose)));
        let mut all = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(place, Ready { store: Arc::clone(&store), names: names.clone() });
        Ok((store, names))
    }

    /// Keeps what the names in a message stand for; it may go once this has returned.
    pub(crate) async fn keep(&self, options: &Options, call: &Call<'_>, all: &[Pseudonym]) -> Result<(), VaultError> {
        let scope = call.scope(options);
        let (store, _) = self.ready(scope).await?;
        let new: Vec<_> = all
            .iter()
            .map(|held| New {
                token: held.token.id(),
                kind: held.token.kind().as_str(),
                subject: held.subject.as_ref().map(Token::id),
                value: &held.value,
            })
            .collect();
        let keep = Keep { keep_for: options.keep_for(), most: options.most() };
        store.put_pseudonyms(scope, &new, keep, &change()).await?;
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

    /// A call with what those of its pseudonyms stand for that its tool is entitled to, which ones they are, and where that stands.
    pub(crate) async fn reveal(
        &self,
        (options, log): (&Options, &Recorder),
        call: &Call<'_>,
        message: Message,
    ) -> Result<(Message, Vec<Evidence>), VaultError> {
        let tool = message.param("name").filter(|_| message.method() == Some(method::TOOLS_CALL));
        let Some(tool) = tool.filter(|tool| options.entitles(call.server, tool)).map(std::borrow::Cow::into_owned)
        else {
            return Ok((message, Vec::new()));
        };
        let kinds = options.numbers(call.server, &tool);
        if kinds.is_empty() && !may_hold_pseudonyms(&message) {
            return Ok((message, Vec::new()));
        }
        let scope = call.scope(options);
        let (store, names) = self.ready(scope).await?;
        let mut sought = names.in_arguments(&message);
        sought.retain(|token| options.is_entitled(call.server, &tool, token));
        let numbers = names.numbers_in_arguments(&message, &kinds)?;
        let ids: Vec<&str> = sought.iter().chain(&numbers).map(Token::id).collect();
        let values = store.reveal(scope, &ids, clock::now().0).await?;
        let (of_names, of_numbers) = values.split_at_checked(sought.len()).unwrap_or_default();
        let (found, numbers) = (known(&sought, of_names), known(&numbers, of_numbers));
        if found.is_empty() && numbers.is_empty() {
            return Ok((message, Vec::new()));
        }
        let given = Given {
            session: call.session,
            principal: &call.principal.id,
            server: call.server,
            tool: &tool,
            tenant: scope.tenant,
            purpose: scope.purpose,
            pseudonyms: found.iter().chain(&numbers).map(|(token, _)| token.to_string()).collect(),
        };
        log.note("pseudonym.revealed", &given).map_err(|_| VaultError::Unrecorded)?;
        let revealed = Revealed::new(found.iter().copied()).and_numbers(&names, numbers.iter().copied());
        let given = revealed.in_arguments(&message)?;
        let edited =
            message.edited(&given.edits, call.limits).map_err(|why| VaultError::Unreadable(why.to_string()))?;
        // The same value may stand there as it is, and is known by its name.
        let named = numbers.iter().filter_map(|(token, value)| names.name_of(token.kind(), value));
        let tokens = found.iter().chain(&numbers).map(|(token, _)| *token).chain(named).collect();
        Ok((edited, vec![Evidence::Revealed(tokens), Evidence::Given(given.places.into())]))
    }
}

/// The tokens that stand for something, with that.
fn known<'v>(tokens: &[Token], values: &'v [Option<Zeroizing<String>>]) -> Vec<(Token, &'v str)> {
    let known = tokens.iter().zip(values).filter_map(|(token, value)| Some((*token, value.as_ref()?.as_str())));
    known.collect()
}

/// Whether something in a call reads like a pseudonym, whoever made it.
fn may_hold_pseudonyms(call: &Message) -> bool {
    call.parts().any(|part| !bartizan_guard::pseudonym::find(&part.text()).is_empty())
}

fn change() -> Change {
    Change { by: "bartizan".to_owned(), at: clock::now().0 }
}
