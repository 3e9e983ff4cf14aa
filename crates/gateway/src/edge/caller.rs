//! Whether a request comes in: who asks, and whether what they ask for is theirs at all.

use http::{HeaderValue, StatusCode, header};

use super::respond::{self, Early};
use super::target::Target;
use crate::identity::{Caller, Stopped};

/// What somebody is told who may not come in (RFC 6750, section 3).
pub(super) fn refusal(stopped: Stopped) -> Early {
    let (status, rule, challenge) = match stopped {
        Stopped::Missing => (StatusCode::UNAUTHORIZED, "edge.no_credential", Some(r#"Bearer realm="bartizan""#)),
        Stopped::Invalid => {
            let why =
                r#"Bearer realm="bartizan", error="invalid_token", error_description="not known, expired or revoked""#;
            (StatusCode::UNAUTHORIZED, "edge.credential", Some(why))
        }
        Stopped::Certificate => {
            let why =
                r#"Bearer realm="bartizan", error="invalid_token", error_description="the certificate does not do""#;
            (StatusCode::UNAUTHORIZED, "edge.certificate", Some(why))
        }
        Stopped::LockedOut(_) => (StatusCode::TOO_MANY_REQUESTS, "edge.credential", None),
        Stopped::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "edge.identity", None),
    };
    let mut early = respond::refused(status, rule, "");
    if let Some(challenge) = challenge {
        early.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Stopped::LockedOut(seconds) = stopped {
        early.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    early
}

/// Refuses what is for a server at which the credential is good for nothing.
pub(super) fn check_reach(caller: &Caller, target: &Target<'_>) -> Result<(), Early> {
    let Target::One(_, server) = target else { return Ok(()) };
    if caller.principal.scopes.reach(&server.name) {
        return Ok(());
    }
    let mut early = respond::refused(StatusCode::FORBIDDEN, "edge.scope", "");
    let challenge = format!(r#"Bearer realm="bartizan", error="insufficient_scope", scope="server:{}""#, server.name);
    // The names of servers are such that this cannot fail.
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        early.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    Err(early)
}
