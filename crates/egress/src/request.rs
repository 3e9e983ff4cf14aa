//! What one HTTP request asks for, if it has one reading.
//!
//! **Threat.** A proxy that looks at the first request of a connection lets the second go anywhere; one that looks at the target and not at
//! `Host` lets a server behind a shared address be chosen unseen. So each request is looked at, all that says where it goes has to say the
//! same, and what is passed on is written anew.

use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Uri, Version, header, request};

use crate::host::Target;
use bartizan_reach::Reason;
use bartizan_reach::secret::HOP_BY_HOP;

/// Where a request came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Within {
    /// A connection to the proxy: the request says where it goes.
    Proxy,
    /// A tunnel to this target, over TLS that ends here or unencrypted.
    Tunnel { target: Target, secure: bool },
}

impl Within {
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self, Within::Tunnel { secure: true, .. })
    }

    fn usual_port(&self) -> u16 {
        if self.is_secure() { 443 } else { 80 }
    }
}

/// The target of a `CONNECT`.
pub(crate) fn connect(head: &request::Parts) -> Result<Target, Reason> {
    if has_body(&head.headers) || head.uri.scheme().is_some() || head.uri.path_and_query().is_some() {
        return Err(Reason::Malformed);
    }
    let authority = head.uri.authority().ok_or(Reason::Malformed)?;
    let target = Target::parse(authority.as_str(), None).map_err(|_| Reason::Host)?;
    // Programs leave the port out here, or have it.
    match host(&head.headers)? {
        Some(host) if Target::parse(host, Some(target.port)).ok().as_ref() != Some(&target) => Err(Reason::OtherHost),
        _ => Ok(target),
    }
}

/// Where any other request goes; its head is then as it is passed on.
pub(crate) fn forwarded(head: &mut request::Parts, within: &Within) -> Result<Target, Reason> {
    if [Method::CONNECT, Method::TRACE].contains(&head.method) {
        return Err(Reason::Method);
    }
    if head.version != Version::HTTP_11 && head.version != Version::HTTP_10 {
        return Err(Reason::Malformed);
    }
    let usual = within.usual_port();
    let absolute = match head.uri.authority() {
        Some(authority)
            if head.uri.scheme() == Some(if within.is_secure() { &Scheme::HTTPS } else { &Scheme::HTTP }) =>
        {
            Some(Target::parse(authority.as_str(), Some(usual)).map_err(|_| Reason::Host)?)
        }
        Some(_) => return Err(Reason::Malformed),
        None => None,
    };
    let host = host(&head.headers)?.ok_or(Reason::OtherHost)?;
    let host = Target::parse(host, Some(usual)).map_err(|_| Reason::Host)?;
    let target = match (within, absolute) {
        (Within::Proxy, Some(target)) => target,
        (Within::Proxy, None) => return Err(Reason::Malformed),
        (Within::Tunnel { target, .. }, Some(absolute)) if absolute != *target => return Err(Reason::OtherHost),
        (Within::Tunnel { target, .. }, _) => target.clone(),
    };
    if host != target {
        return Err(Reason::OtherHost);
    }
    check_coding(&head.headers)?;
    head.uri = origin_form(&head.uri)?;
    head.version = Version::HTTP_11;
    strip(&mut head.headers);
    head.headers.remove(header::EXPECT);
    let authority = HeaderValue::try_from(target.authority(usual)).map_err(|_| Reason::Host)?;
    head.headers.insert(header::HOST, authority);
    Ok(target)
}

/// Takes out what is for one hop only, and what says that it is.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let named: Vec<_> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| header::HeaderName::try_from(name.trim()).ok())
        .filter(|name| ![header::HOST, header::CONTENT_LENGTH, header::AUTHORIZATION].contains(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The one `Host` header, if there is one.
fn host(headers: &HeaderMap) -> Result<Option<&str>, Reason> {
    let mut all = headers.get_all(header::HOST).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => one.to_str().map(Some).map_err(|_| Reason::Host),
        (Some(_), Some(_)) => Err(Reason::OtherHost),
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING)
}

/// A body has a length or is in chunks. What it is written as is decided by the client of hyper; here it is what may come.
fn check_coding(headers: &HeaderMap) -> Result<(), Reason> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    match (codings.next(), codings.next()) {
        (None, _) if lengths <= 1 => Ok(()),
        (Some(coding), None) if lengths == 0 && coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Reason::Malformed),
    }
}

fn origin_form(uri: &Uri) -> Result<Uri, Reason> {
    let path = uri.path_and_query().cloned().ok_or(Reason::Malformed)?;
    let text = path.as_str();
    if !text.starts_with('/') && text != "*" {
        return Err(Reason::Malformed);
    }
    Ok(Uri::from(path))
}

#[cfg(test)]
mod tests;
