//! Whether a request comes in: who asks, and whether what they ask for is theirs at all.

use bartizan_config::StepUp;
use bartizan_guard::{Kind, Scope};
use bartizan_mcp::Message;
use http::{HeaderName, Response, StatusCode, header};

use super::body::Reply;
use super::resource::{self, Error, Resource};
use super::respond::{self, Early};
use super::target::Target;
use crate::answer::Answer;
use crate::identity::{Caller, Stopped};

/// What somebody is told who may not come in (RFC 6750, section 3; RFC 9449, section 7).
pub(super) fn refusal(stopped: Stopped, resource: &Resource<'_>) -> Early {
    const INVALID: Error<'_> = Error("invalid_token", "not known, expired or revoked");
    const CERTIFICATE: Error<'_> = Error("invalid_token", "the certificate does not do");
    const PROOF: Error<'_> = Error("invalid_dpop_proof", "the proof is missing, not good, or was shown before");
    const NONCE: Error<'_> = Error("use_dpop_nonce", "the proof needs the nonce of this answer");
    const QUERY: Error<'_> = Error("invalid_request", "a token belongs into the header Authorization");
    let (status, rule, challenge) = match stopped {
        Stopped::Missing => (StatusCode::UNAUTHORIZED, "edge.no_credential", Some(resource.challenge(None))),
        Stopped::Invalid | Stopped::Token(_) => {
            (StatusCode::UNAUTHORIZED, "edge.credential", Some(resource.challenge(Some(INVALID))))
        }
        Stopped::Certificate => {
            (StatusCode::UNAUTHORIZED, "edge.certificate", Some(resource.challenge(Some(CERTIFICATE))))
        }
        Stopped::Proof => (StatusCode::UNAUTHORIZED, "edge.credential", Some(vec![resource.proof(PROOF)])),
        Stopped::Nonce => (StatusCode::UNAUTHORIZED, "edge.nonce", Some(vec![resource.proof(NONCE)])),
        Stopped::Query => (StatusCode::BAD_REQUEST, "edge.query_token", Some(resource.challenge(Some(QUERY)))),
        Stopped::LockedOut(_) => (StatusCode::TOO_MANY_REQUESTS, "edge.credential", None),
        Stopped::Unavailable | Stopped::Silent => (StatusCode::SERVICE_UNAVAILABLE, "edge.identity", None),
    };
    let mut early = match stopped {
        // Why is for the operator, who finds it by the id that the client is given.
        Stopped::Token(counted) => respond::refused_as(status, rule, counted),
        Stopped::Proof => respond::refused_as(status, rule, "edge.token_proof"),
        Stopped::Silent => respond::refused_as(status, rule, "edge.token_unknown"),
        _ => respond::refused(status, rule, ""),
    };
    resource::add(early.headers_mut(), challenge.unwrap_or_default());
    match stopped {
        Stopped::Silent => drop(early.headers_mut().insert(header::RETRY_AFTER, LATER.into())),
        Stopped::LockedOut(seconds) => drop(early.headers_mut().insert(header::RETRY_AFTER, seconds.into())),
        Stopped::Nonce => drop(resource.nonce().map(|nonce| early.headers_mut().insert(NONCE_HEADER, nonce))),
        _ => {}
    }
    early
}

/// Seconds after which it is worth while to ask again, once an issuer did not answer.
const LATER: u64 = 5;

const NONCE_HEADER: HeaderName = HeaderName::from_static("dpop-nonce");

/// Refuses what is for a server at which the credential is good for nothing.
pub(super) fn check_reach(caller: &Caller, target: &Target<'_>, resource: &Resource<'_>) -> Result<(), Early> {
    let scopes = &caller.principal.scopes;
    let (needed, counted) = match target {
        Target::One(_, server) if scopes.reach(&server.name) => return Ok(()),
        Target::One(_, server) => (format!("server:{}", server.name), "edge.scope"),
        // One that is good for nothing anywhere would see empty lists, and nobody would know why.
        Target::All(_) if scopes.are_all() || scopes.iter().next().is_some() => return Ok(()),
        Target::All(_) => ("mcp".to_owned(), "edge.token_scope"),
    };
    let mut early = respond::refused_as(StatusCode::FORBIDDEN, "edge.scope", counted);
    let needed = resource.needs(caller, &needed);
    resource::add(early.headers_mut(), vec![needed]);
    Err(early)
}

/// The scope that a message needs and a credential has not; such a message is refused by the guard `access`.
pub(super) fn lacks(caller: &Caller, target: &Target<'_>, message: &Message) -> Option<String> {
    let scopes = &caller.principal.scopes;
    if scopes.are_all() || caller.credential.as_ref()?.token().is_none() {
        return None;
    }
    let (kind, member) = match message.method()? {
        "tools/call" => (Kind::Tool, "name"),
        "prompts/get" => (Kind::Prompt, "name"),
        "resources/read" | "resources/subscribe" => (Kind::Resource, "uri"),
        _ => return None,
    };
    let name = message.param(member)?;
    let (server, name) = match target {
        Target::One(_, server) => (&*server.name, &*name),
        Target::All(current) => {
            let (server, name) = name.split_once("__")?;
            (&**current.by_name.get_key_value(server)?.0, name)
        }
    };
    if scopes.allow(server, kind, name) {
        return None;
    }
    let exact = format!("{}:{server}/{name}", kind.as_str());
    let is_exact = !name.ends_with('*') && Scope::parse(&exact).is_ok();
    Some(if is_exact { exact } else { format!("server:{server}") })
}

/// The same answer; as it refuses what the token is not good for, if that is `lacking` something, one that tells the client
/// what to ask for. One that refuses what a token of a later sign-in would be good for says so as well.
pub(super) fn step_up(
    answer: Answer,
    caller: &Caller,
    lacking: Option<&str>,
    (resource, how): (&Resource<'_>, StepUp),
) -> Response<Reply> {
    let Answer::Message(_, admitted) = &answer else { return respond::answer(answer) };
    let token = caller.credential.as_ref().and_then(|credential| credential.token());
    let proof = token.zip(admitted.lacking());
    let needed = match (lacking, proof) {
        (Some(scope), _) => Some((Some(StatusCode::FORBIDDEN), resource.needs(caller, scope))),
        (None, Some((token, lacking))) => {
            // Whoever is asked to go to an address would not see that behind a 401.
            let says_so = how == StepUp::Challenge && !lacking.is_asked;
            Some((says_so.then_some(StatusCode::UNAUTHORIZED), resource.needs_proof(token, lacking.max_age)))
        }
        (None, None) => None,
    };
    let mut response = respond::answer(answer);
    if let Some((status, needed)) = needed {
        *response.status_mut() = status.unwrap_or(response.status());
        resource::add(response.headers_mut(), vec![needed]);
    }
    response
}
