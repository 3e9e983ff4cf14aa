//! What a request says of itself: which era it belongs to, and whether its headers, its body and what it wants agree.
//!
//! **Threat.** In the stateless era no handshake has said any of it, and whatever stands between client and server decides
//! by headers. So each request says all of it, and the same in both places.

use bartizan_mcp::{Era, Kind, Message, Revision, header as mcp_header, meta::Meta, method};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::respond::{self, Early, SESSION, VERSION};
use crate::admit::CODE_OURS;
use crate::aggregate::GONE;
use crate::codes::{INVALID_REQUEST, METHOD_NOT_FOUND};
use crate::peer::Peer;
use crate::problem::{Problem, Unfit, of_two_eras};

/// What of a client's notifications concerns a session. In the stateless era there is none, and who closes a stream has
/// cancelled.
const OF_SESSIONS: [&str; 4] = [method::INITIALIZED, method::CANCELLED, method::ROOTS_LIST_CHANGED, method::PROGRESS];

/// The era that a request belongs to. Its header decides; without one, its body.
pub(super) fn era(headers: &HeaderMap, message: &Message) -> Era {
    match headers.get(VERSION) {
        Some(version) => match revision(version) {
            Some(revision) => revision.era(),
            // A revision after the ones we know has no sessions either; the server says whether it knows it.
            None if headers.get(SESSION).is_none() && message.method() != Some("initialize") => Era::Stateless,
            None => Era::Legacy,
        },
        None if Meta::of(message).protocol_version().is_some() => Era::Stateless,
        None => Era::Legacy,
    }
}

/// In the stateless era everything is said by POST.
pub(super) fn check_method(headers: &HeaderMap) -> Result<(), Early> {
    let stateless = headers.get(VERSION).is_some_and(|version| version == Revision::V2026_07_28.as_str());
    if stateless { Err(Box::new(respond::not_allowed("POST"))) } else { Ok(()) }
}

/// Checks a message of a session: in one, nothing says that it is of the era without sessions. If that is the revision, it
/// contradicts the header.
///
/// # Errors
/// What to answer if it goes no further.
pub(super) async fn check_session(peer: &Peer, headers: &HeaderMap, message: &Message) -> Result<(), Early> {
    let Some(mut problem) = of_two_eras(message) else { return Ok(()) };
    let (said, meant) = (headers.get(VERSION), Meta::of(message).protocol_version());
    if let (Some(said), Some(meant)) = (said, meant)
        && said.as_bytes() != meant.as_bytes()
    {
        let why = format!("the header {} differs from the body: {}", mcp_header::PROTOCOL_VERSION, problem.why);
        problem = Problem::new("conformance.header_mismatch", why, mcp_header::Mismatch::CODE);
    }
    // Apart, as in `check`.
    Err(Box::pin(Amiss::Refused(problem, StatusCode::BAD_REQUEST).settle(peer, message)).await)
}

/// Checks a request of the stateless era that leads to `peer`.
///
/// # Errors
/// What to answer if it goes no further.
pub(super) async fn check(peer: &Peer, headers: &HeaderMap, message: &Message) -> Result<(), Early> {
    match Amiss::of(peer, headers, message) {
        None => Ok(()),
        // Apart, so that requests with which nothing is amiss do not make room for it.
        Some(amiss) => Err(Box::pin(amiss.settle(peer, message)).await),
    }
}

/// Why a request of the stateless era goes no further.
enum Amiss {
    /// For a reason that is said under this status.
    Refused(Problem, StatusCode),
    /// It lacks what it has to say of itself.
    Unfit(Unfit),
    /// It has a meaning only in a session.
    OfSession,
}

impl Amiss {
    /// The first thing amiss, if there is one.
    fn of(peer: &Peer, headers: &HeaderMap, message: &Message) -> Option<Amiss> {
        Amiss::in_headers(headers, message)
            .or_else(|| Amiss::in_meta(peer, message))
            .or_else(|| Amiss::in_kind(peer, message))
    }

    /// The headers must say what the body says. Those for single arguments are compared on the way to the server, where it
    /// is found out first what they have to be.
    fn in_headers(headers: &HeaderMap, message: &Message) -> Option<Amiss> {
        let given = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let mismatch = mcp_header::check(given, message).err()?;
        let problem = Problem::new("conformance.header_mismatch", mismatch.to_string(), mcp_header::Mismatch::CODE);
        Some(Amiss::Refused(problem, StatusCode::BAD_REQUEST))
    }

    /// What a request has to say of itself in its body. A program gets no headers, so to one of the legacy era what lacks
    /// this would be a request of a client that it knows nothing of; and before it nobody but this gateway is the HTTP
    /// server that has to refuse it. Servers over HTTP see what came, and know which revisions they speak.
    fn in_meta(peer: &Peer, message: &Message) -> Option<Amiss> {
        // The others say so themselves.
        let Peer::One(link) = peer else { return None };
        if message.kind() != Kind::Request || !link.server.is_program() {
            return None;
        }
        Unfit::of(message).map(Amiss::Unfit)
    }

    /// What has a meaning only in a session goes nowhere: several clients may stand behind what is kept in place of one,
    /// and it would concern them all.
    fn in_kind(peer: &Peer, message: &Message) -> Option<Amiss> {
        let method = message.method().unwrap_or_default();
        let (problem, status) = match message.kind() {
            Kind::Notification if OF_SESSIONS.contains(&method) => return Some(Amiss::OfSession),
            Kind::Result | Kind::Error => (
                ("conformance.unsolicited", "in this revision a server asks a client nothing", INVALID_REQUEST),
                StatusCode::BAD_REQUEST,
            ),
            // The others say so themselves.
            Kind::Request if GONE.contains(&method) && matches!(peer, Peer::One(_)) => (
                ("gateway.session_only", "this revision does not have this method", METHOD_NOT_FOUND),
                StatusCode::NOT_FOUND,
            ),
            _ => return None,
        };
        Some(Amiss::Refused(problem.into(), status))
    }

    /// Records it, and says what to answer.
    async fn settle(self, peer: &Peer, message: &Message) -> Early {
        Box::new(match self {
            Amiss::Refused(problem, status) => {
                respond::message(status, &peer.refuse(message, problem).await.answer_to(message))
            }
            Amiss::Unfit(unfit) => {
                let refusal = peer.refuse(message, unfit.problem()).await;
                respond::message(StatusCode::BAD_REQUEST, &unfit.answer(&refusal, message, &Revision::ALL))
            }
            Amiss::OfSession => match peer.take(message).await {
                Ok(()) => respond::status(StatusCode::ACCEPTED),
                Err(refusal) => {
                    let ours = refusal.code == CODE_OURS;
                    let status = if ours { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::BAD_REQUEST };
                    respond::plain(status, &format!("{}\n", refusal.sentence()))
                }
            },
        })
    }
}

/// The revision that a header names, if it is one.
pub(super) fn revision(value: &HeaderValue) -> Option<Revision> {
    value.to_str().ok()?.parse().ok()
}
