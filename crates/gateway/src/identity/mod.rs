//! Who asks over HTTP.
//!
//! **Threat.** Whoever reaches the gateway uses other people's servers, with a key that was revoked, that was made for
//! something else, or that they try to guess. So every request shows its credential, whatever session it names, and one
//! that is not good is refused, also where none would be needed.

mod keys;
mod lockout;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bartizan_guard::{Principal, Timestamp};
use bartizan_identity::ApiKey;
use bartizan_store::StoreError;
use http::{HeaderMap, HeaderValue, header};

use self::keys::{Keys, Standing};
use self::lockout::Lockout;
use crate::recorder::Recorder;

/// What decides who may come in.
pub struct Identity {
    keys: Keys,
    lockout: Lockout,
}

/// Somebody who may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// What it showed; nothing for whoever is anonymous.
    pub(crate) credential: Option<Credential>,
}

/// What somebody showed, for as long as they are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    key: bartizan_identity::ApiKeyId,
}

/// Why somebody may not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// They showed no credential.
    Missing,
    /// They showed one that is not good; why is said to nobody, since it would help whoever guesses.
    Invalid,
    /// They showed one that is not good, as their address did too often; seconds until it is listened to again.
    LockedOut(u64),
    /// It cannot be told.
    Unavailable,
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

impl Identity {
    /// With the keys of the database at `store`, which need not be there yet.
    #[must_use]
    pub fn new(store: Option<PathBuf>) -> Arc<Identity> {
        Arc::new(Identity { keys: Keys::new(store), lockout: Lockout::default() })
    }

    /// Opens the database, and makes it if it is not there.
    ///
    /// # Errors
    /// If it cannot be used.
    pub async fn open(&self) -> Result<(), StoreError> {
        self.keys.open().await
    }

    /// Records in `log` what was done with keys since, whichever process did it.
    pub(crate) async fn record_changes(&self, log: &Recorder) {
        self.keys.record_changes(log).await;
    }

    /// Who asks. A credential is `required` or may be left out.
    pub(crate) async fn authenticate(
        &self,
        headers: &HeaderMap,
        required: bool,
        from: IpAddr,
        now: Timestamp,
    ) -> Result<Caller, Stopped> {
        let shown = match shown(headers) {
            Shown::Nothing if required => return Err(Stopped::Missing),
            // Of what is no key of ours nobody can tell whom it was meant for; it opens nothing.
            Shown::Nothing | Shown::Other if !required => return Ok(anonymous()),
            Shown::Key(text) => self.standing(text, now).await,
            _ => Err(Standing::Bad),
        };
        match shown {
            Ok(caller) => Ok(caller),
            Err(Standing::Unknown) => Err(Stopped::Unavailable),
            Err(Standing::Bad) => Err(self.lockout.failed(from, now).map_or(Stopped::Invalid, Stopped::LockedOut)),
        }
    }

    /// Whether a credential that was good still is.
    pub(crate) async fn is_good(&self, credential: &Credential, now: Timestamp) -> bool {
        matches!(self.keys.find(&credential.key, now).await, Ok(Some(_)))
    }

    async fn standing(&self, text: &str, now: Timestamp) -> Result<Caller, Standing> {
        let key = ApiKey::parse(text).map_err(|_| Standing::Bad)?;
        let known = self.keys.find(key.id(), now).await?.ok_or(Standing::Bad)?;
        if known.digest != key.digest() {
            return Err(Standing::Bad);
        }
        self.keys.note_use(key.id(), &known, now);
        let credential = Some(Credential { key: key.id().clone() });
        Ok(Caller { principal: known.principal.clone(), credential })
    }
}

fn anonymous() -> Caller {
    Caller { principal: Principal::anonymous(), credential: None }
}

/// What a request shows.
enum Shown<'a> {
    Nothing,
    Key(&'a str),
    /// Something else than one key.
    Other,
}

fn shown(headers: &HeaderMap) -> Shown<'_> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), more) = (values.next(), values.next()) else { return Shown::Nothing };
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    let token =
        token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim_matches(' '));
    match token {
        Some(token) if ApiKey::is_meant(token) && more.is_none() => Shown::Key(token),
        // Of two credentials it could not be told which one counts; and a key in another form than it is read in is a
        // mistake, by which nobody should come in as somebody else.
        _ if headers.get_all(header::AUTHORIZATION).iter().any(holds_key) => Shown::Key(""),
        _ => Shown::Other,
    }
}

fn holds_key(value: &HeaderValue) -> bool {
    memchr::memmem::find(value.as_bytes(), b"btz_").is_some()
}

#[cfg(test)]
mod tests;
