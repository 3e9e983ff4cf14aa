//! Secrets that a server uses and never has: it holds a placeholder, which is replaced on the way out.
//!
//! **Threat.** A server that holds a token can send it anywhere. One that holds a placeholder can too, and nobody can use it: only in the
//! bound header of a request to the bound host, over TLS, does the value stand in its place. The value is in no other header, no path, no
//! query and no body, and in no text of ours. What is held of it here is overwritten when it is not needed any more; buffers of TLS and HTTP
//! on the way out are not.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use thiserror::Error;
use zeroize::Zeroizing;

use bartizan_reach::Reason;
use bartizan_reach::secret::{LONGEST_HEADER as LONGEST, Unbound, bound, check};

use crate::host::Host;
use crate::token;

/// What every placeholder begins with.
pub const PREFIX: &str = "bartizan-secret-";

/// A secret, and where alone it may stand.
#[derive(Clone)]
pub struct Secret {
    name: Arc<str>,
    bound: Vec<(Host, HeaderName)>,
    value: Zeroizing<String>,
    placeholder: Arc<str>,
}

/// Why a secret cannot be used. Its value is not in the text.
#[derive(Debug, Error)]
pub enum SecretError {
    /// It cannot stand there.
    #[error(transparent)]
    Unbound(#[from] Unbound),
    /// There is no placeholder.
    #[error("the system gives no random numbers")]
    Random(#[from] getrandom::Error),
}

impl Secret {
    /// Binds the secret `name` to a host and a header, with a placeholder of its own.
    ///
    /// # Errors
    /// If it cannot be bound there.
    pub fn new(name: &str, host: &str, header: HeaderName, value: Zeroizing<String>) -> Result<Secret, SecretError> {
        let bound = vec![bound(host, header)?];
        check(&value)?;
        let placeholder = format!("{PREFIX}{}", *token::random()?).into();
        Ok(Secret { name: name.into(), bound, value, placeholder })
    }

    /// The same, which may also stand in this header to this host.
    ///
    /// # Errors
    /// If it cannot be bound there.
    pub fn also(mut self, host: &str, header: HeaderName) -> Result<Secret, SecretError> {
        self.bound.push(bound(host, header)?);
        Ok(self)
    }

    /// The same for a server that holds the placeholder of `before`.
    #[must_use]
    pub fn in_place_of(mut self, before: &Secret) -> Secret {
        self.placeholder = Arc::clone(&before.placeholder);
        self
    }

    /// The same without a value, and bound to nothing: its placeholder stands for nothing any more, and is still known.
    #[must_use]
    pub fn withdrawn(&self) -> Secret {
        Secret {
            name: Arc::clone(&self.name),
            bound: Vec::new(),
            value: Zeroizing::default(),
            placeholder: Arc::clone(&self.placeholder),
        }
    }

    /// What it is called in reports.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the server holds instead.
    #[must_use]
    pub fn placeholder(&self) -> &str {
        &self.placeholder
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Secret { name, bound, .. } = self;
        f.debug_struct("Secret").field("name", name).field("bound", bound).finish_non_exhaustive()
    }
}

/// Which secrets a request has to do with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// Those in place.
    pub(crate) put: Vec<Arc<str>>,
    /// Those of which there is still a placeholder.
    pub(crate) kept: Vec<Arc<str>>,
}

/// All secrets of one server.
#[derive(Debug, Default)]
pub(crate) struct Secrets(pub(crate) Vec<Secret>);

impl Secrets {
    /// Whether any is for this host, so that what goes there has to be seen.
    pub(crate) fn has_for(&self, host: &Host) -> bool {
        self.0.iter().any(|secret| secret.bound.iter().any(|(bound, _)| bound == host))
    }

    /// Secrets that may stand in a request to this host, each with the header that it may stand in.
    fn bound_to(&self, host: Option<&Host>) -> impl Iterator<Item = (&Secret, &HeaderName)> {
        let pairs = self.0.iter().flat_map(|secret| secret.bound.iter().map(move |bound| (secret, bound)));
        pairs.filter(move |(_, (bound, _))| Some(bound) == host).map(|(secret, (_, header))| (secret, header))
    }

    /// These instead, for a server that holds the placeholders of those before: a secret of the same name has the same one, and what is
    /// not among these any more is withdrawn.
    pub(crate) fn replaced_by(&self, now: &[Secret]) -> Secrets {
        let held = |before: &Secret| match now.iter().find(|now| now.name == before.name) {
            Some(now) => now.clone().in_place_of(before),
            None => before.withdrawn(),
        };
        Secrets(self.0.iter().map(held).collect())
    }

    /// Puts secrets in place that are bound to `host`, which is none where it is not reached over TLS that ends here.
    pub(crate) fn apply(&self, host: Option<&Host>, headers: &mut HeaderMap, uri: &Uri) -> Result<Used, Reason> {
        let mut used = Used::default();
        for (secret, name) in self.bound_to(host) {
            let header::Entry::Occupied(mut values) = headers.entry(name) else { continue };
            for value in values.iter_mut() {
                if let Some(with) = secret.in_place(value)? {
                    *value = with;
                    note(&mut used.put, secret);
                }
            }
        }
        for secret in &self.0 {
            let holds = |value: &HeaderValue| {
                secret.is_in(value.as_bytes()) || basic(value).is_some_and(|it| secret.is_in(&it))
            };
            if secret.is_in(uri.to_string().as_bytes()) || headers.values().any(holds) {
                note(&mut used.kept, secret);
            }
        }
        Ok(used)
    }
}

fn note(names: &mut Vec<Arc<str>>, secret: &Secret) {
    if !names.contains(&secret.name) {
        names.push(Arc::clone(&secret.name));
    }
}

impl Secret {
    fn is_in(&self, bytes: &[u8]) -> bool {
        bytes.windows(self.placeholder.len()).any(|window| window == self.placeholder.as_bytes())
    }

    /// The header with the value in place of the placeholder, if that is in it.
    fn in_place(&self, header: &HeaderValue) -> Result<Option<HeaderValue>, Reason> {
        let bytes = if self.is_in(header.as_bytes()) {
            self.replaced(header.as_bytes())
        } else if let Some(credentials) = basic(header).filter(|credentials| self.is_in(credentials)) {
            let encoded = Zeroizing::new(STANDARD.encode(self.replaced(&credentials)));
            Zeroizing::new([b"Basic ", encoded.as_bytes()].concat())
        } else {
            return Ok(None);
        };
        if bytes.len() > LONGEST {
            return Err(Reason::Secret);
        }
        // What the header rests on is overwritten with it.
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes)).map_err(|_| Reason::Secret)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn replaced(&self, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
        // All at once, as a buffer that grows leaves copies behind.
        let most = bytes.len().saturating_mul(self.value.len() / self.placeholder.len() + 2);
        let mut with = Zeroizing::new(Vec::with_capacity(most.min(LONGEST * 4)));
        let mut rest = bytes;
        while let Some((first, others)) = rest.split_first() {
            if let Some(behind) = rest.strip_prefix(self.placeholder.as_bytes()) {
                with.extend_from_slice(self.value.as_bytes());
                rest = behind;
            } else {
                with.push(*first);
                rest = others;
            }
        }
        with
    }
}

/// What stands in credentials of the scheme `Basic` (RFC 7617).
fn basic(header: &HeaderValue) -> Option<Zeroizing<Vec<u8>>> {
    let (scheme, rest) = header.as_bytes().split_at_checked(6)?;
    let rest = scheme.eq_ignore_ascii_case(b"basic ").then(|| rest.trim_ascii())?;
    STANDARD.decode(rest).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests;
