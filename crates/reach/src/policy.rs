//! What one server may reach: plain data, the same for as long as it is in force, and replaced as a whole.
//!
//! **Threat.** A list of what may be reached is widened by what nobody meant: a name that ends alike, a range that holds private addresses,
//! a path with two dots. So a default policy allows nothing, the most specific pattern counts, and what is not public is allowed
//! only where it is named.

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;
use thiserror::Error;

use crate::address::{Kind, Range, RangeError};
use crate::host::{Host, HostError, Target};
use crate::reason::Reason;

/// Everything that one server may reach, and how much of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Arc<Rule>>,
    limits: Limits,
}

/// How much may be done at once and in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// New connections within any minute.
    pub connections_per_minute: u32,
    /// What goes out.
    pub sent: Cap,
    /// What comes in.
    pub received: Cap,
}

/// Bytes in one direction, as they cross the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// Of one connection to a host.
    pub each: u64,
    /// Of all connections since the server was started; 2^64 - 1 for no cap.
    pub all: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 64,
            connections_per_minute: 600,
            sent: Cap { each: 1 << 30, all: u64::MAX },
            received: Cap { each: 4 << 30, all: u64::MAX },
        }
    }
}

/// One place that may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pattern: Pattern,
    port: u16,
    near: Vec<Range>,
    requests: Vec<RequestRule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Name(Box<str>),
    /// What the name of a host ends with, from the dot on.
    Below(Box<str>),
    Addresses(Range),
    /// Every host. No text is read as this.
    Any,
}

/// Requests that are allowed where a host is not allowed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRule {
    methods: Vec<Method>,
    prefix: Box<str>,
}

/// Why a text is no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RuleError {
    /// The host or the port is none.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The range is none.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// A star stands elsewhere, or what is behind it is everybody's.
    #[error("a star stands only at the beginning, as in *.example.com, with at least two labels behind it")]
    Star,
    /// No policy allows it.
    #[error("this host is a metadata service, which no policy allows")]
    Metadata,
    /// A path is not in the form in which it is compared.
    #[error(
        "a path begins with a slash and has no dots as a step, no encoded slash or dot, and no two slashes in a row"
    )]
    Path,
    /// That method is never passed on.
    #[error("this method is never passed on")]
    Method,
}

impl Rule {
    /// Reads `api.example.com:443`, `*.example.com:443`, `192.0.2.7:443`, `10.0.0.0/8:5432` or `[fd00::/8]:443`.
    ///
    /// A star stands for one or more labels, and not for none. A range is for connections to an address; where a name leads is
    /// said by [`Rule::near`].
    ///
    /// # Errors
    /// If it is none of these.
    pub fn parse(text: &str) -> Result<Rule, RuleError> {
        let (pattern, port) = if text.contains('/') {
            let (range, port) = text.rsplit_once(':').ok_or(HostError::Port)?;
            let range = range.strip_prefix('[').and_then(|range| range.strip_suffix(']')).unwrap_or(range);
            // Only to have the port read as all others are.
            let port = Target::parse(&format!("a:{port}"), None)?.port;
            (Pattern::Addresses(Range::parse(range)?), port)
        } else if let Some(suffix) = text.strip_prefix("*.") {
            let target = Target::parse(suffix, None)?;
            match target.host {
                Host::Name(name) if name.contains('.') => (Pattern::Below(format!(".{name}").into()), target.port),
                _ => return Err(RuleError::Star),
            }
        } else {
            let target = Target::parse(text, None)?;
            if target.host.is_metadata() {
                return Err(RuleError::Metadata);
            }
            let pattern = match target.host {
                Host::Name(name) if name.contains('*') => return Err(RuleError::Star),
                Host::Name(name) => Pattern::Name(name),
                // Through its text, so that what nobody may be sent to is refused here and not when it is asked for.
                Host::Address(address) => Pattern::Addresses(Range::parse(&address.to_string())?),
            };
            (pattern, target.port)
        };
        Ok(Rule { pattern, port, near: Vec::new(), requests: Vec::new() })
    }

    /// Any host at a port, in as far as it is public: to find out what a program reaches, and nothing that a configuration says.
    #[must_use]
    pub fn any(port: u16) -> Rule {
        Rule { pattern: Pattern::Any, port, near: Vec::new(), requests: Vec::new() }
    }

    /// The same, where the name may also lead to addresses in these ranges that are not public: of a private network, of this machine,
    /// or, each by itself, the host's own.
    #[must_use]
    pub fn near(mut self, ranges: impl IntoIterator<Item = Range>) -> Rule {
        self.near.extend(ranges);
        self
    }

    /// The same, where only these requests are allowed; TLS is ended at the proxy to see them. None at all allow every one.
    #[must_use]
    pub fn requests(mut self, requests: impl IntoIterator<Item = RequestRule>) -> Rule {
        self.requests.extend(requests);
        self
    }

    /// How specific the pattern is that matches, if it does.
    fn matches(&self, target: &Target) -> Option<usize> {
        if self.port != target.port {
            return None;
        }
        match (&self.pattern, &target.host) {
            (Pattern::Name(name), Host::Name(host)) => (name == host).then_some(usize::MAX),
            (Pattern::Below(suffix), Host::Name(host)) => {
                (host.len() > suffix.len() && host.ends_with(&**suffix)).then_some(suffix.len())
            }
            (Pattern::Addresses(range), Host::Address(address)) => {
                range.names(*address).then_some(usize::from(range.bits()))
            }
            (Pattern::Any, _) => Some(0),
            _ => None,
        }
    }

    /// Whether what is not public is allowed because the rule names it.
    fn names(&self, address: IpAddr, is_own: bool) -> bool {
        let itself = match &self.pattern {
            Pattern::Addresses(range) => Some(range),
            _ => None,
        };
        // A wide range is not meant for this very machine.
        let wide = |range: &Range| is_own && *range != Range::only(address);
        self.near.iter().chain(itself).any(|range| range.names(address) && !wide(range))
    }
}

impl RequestRule {
    /// Requests with one of these methods (any, if none is named) and a path that is `prefix` or lies below it.
    ///
    /// # Errors
    /// If the path is not in the form in which it is compared, or a method is `CONNECT` or `TRACE`.
    pub fn new(methods: impl IntoIterator<Item = Method>, prefix: &str) -> Result<RequestRule, RuleError> {
        let methods: Vec<Method> = methods.into_iter().collect();
        if methods.iter().any(|method| [Method::CONNECT, Method::TRACE].contains(method)) {
            return Err(RuleError::Method);
        }
        if !is_plain_path(prefix) {
            return Err(RuleError::Path);
        }
        Ok(RequestRule { methods, prefix: prefix.into() })
    }

    fn allows(&self, method: &Method, path: &str) -> bool {
        let method = self.methods.is_empty() || self.methods.contains(method);
        let below = path.strip_prefix(&*self.prefix);
        method && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.prefix.ends_with('/'))
    }
}

/// Whether a path means the same to whoever reads it: it has no steps up, no slashes in another form, and no empty steps.
fn is_plain_path(path: &str) -> bool {
    let odd = |byte: u8| byte <= b' ' || byte >= 0x7f || b"\\;?#".contains(&byte);
    if !path.starts_with('/') || path.contains("//") || path.bytes().any(odd) {
        return false;
    }
    let mut encoded = path.split('%').skip(1);
    // An encoded letter, dot, slash or percent sign has a second form; bytes of other scripts, spaces and signs have none.
    let safe = encoded.all(|rest| {
        let byte = rest.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| byte >= 0x80 || b" \"<>^`{|}[]@!$&'()*+,=:".contains(&byte))
    });
    safe && path.split('/').all(|step| step != "." && step != "..")
}

impl Policy {
    /// Whether it allows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Allows what the rules do, within the limits.
    #[must_use]
    pub fn new(rules: impl IntoIterator<Item = Rule>, limits: Limits) -> Policy {
        Policy { rules: rules.into_iter().map(Arc::new).collect(), limits }
    }

    /// How much may be done.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether TLS is ended for any host, because only some requests are allowed there.
    #[must_use]
    pub fn looks_at_requests(&self) -> bool {
        self.rules.iter().any(|rule| !rule.requests.is_empty())
    }

    /// What is allowed there, if anything. The rules with the most specific pattern count, all of them and no others.
    #[must_use]
    pub fn permit(&self, target: &Target) -> Option<Permit> {
        if target.host.is_metadata() {
            return None;
        }
        let found: Vec<_> = self.rules.iter().filter_map(|rule| Some((rule.matches(target)?, rule))).collect();
        let most = found.iter().map(|(specific, _)| *specific).max()?;
        Some(Permit(
            found.into_iter().filter(|(specific, _)| *specific == most).map(|(_, rule)| Arc::clone(rule)).collect(),
        ))
    }
}

/// What is allowed at one target.
#[derive(Debug, Clone)]
pub struct Permit(Vec<Arc<Rule>>);

impl Permit {
    /// Whether a connection to this address is allowed, which the target is or leads to.
    ///
    /// # Errors
    /// With why not.
    pub fn reaches(&self, address: IpAddr, own: &[IpAddr]) -> Result<(), Reason> {
        let address = address.to_canonical();
        let is_own = own.iter().any(|own| own.to_canonical() == address);
        let refused = match Kind::of(address) {
            Kind::Metadata => return Err(Reason::Metadata),
            Kind::Unfit => return Err(Reason::AddressUnfit),
            Kind::Public if !is_own => return Ok(()),
            Kind::Private if !is_own => Reason::AddressPrivate,
            _ => Reason::AddressOwn,
        };
        if self.0.iter().any(|rule| rule.names(address, is_own)) { Ok(()) } else { Err(refused) }
    }

    /// Whether only some requests are allowed.
    #[must_use]
    pub fn looks_at_requests(&self) -> bool {
        // A rule without any allows all.
        self.0.iter().all(|rule| !rule.requests.is_empty())
    }

    /// Whether a request with this path, without its query, is allowed.
    ///
    /// # Errors
    /// With why not.
    pub fn request(&self, method: &Method, path: &str) -> Result<(), Reason> {
        if !self.looks_at_requests() {
            return Ok(());
        }
        if !is_plain_path(path) {
            return Err(Reason::PathForm);
        }
        let allowed = self.0.iter().flat_map(|rule| &rule.requests).any(|rule| rule.allows(method, path));
        if allowed { Ok(()) } else { Err(Reason::Request) }
    }
}

#[cfg(test)]
mod tests;
