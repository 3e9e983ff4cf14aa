//! Why something of a client's goes no further.

use bartizan_mcp::{Era, Message, Revision, meta, meta::Meta, quote};

use crate::admit::{Admitted, Refusal};
use crate::codes::{INVALID_PARAMS, INVALID_REQUEST, UNSUPPORTED_VERSION};

/// Why a message goes nowhere: the rule, in words, and the code of the JSON-RPC error.
pub(crate) struct Problem {
    pub(crate) rule: &'static str,
    pub(crate) why: String,
    pub(crate) code: i64,
}

impl Problem {
    pub(crate) fn new(rule: &'static str, why: impl Into<String>, code: i64) -> Problem {
        Problem { rule, why: why.into(), code }
    }
}

impl From<(&'static str, &str, i64)> for Problem {
    fn from((rule, why, code): (&'static str, &str, i64)) -> Problem {
        Problem::new(rule, why, code)
    }
}

/// What a request of the stateless era has to say of itself before anybody can be asked, and does not. The answer comes under
/// 400 (specification 2026-07-28).
pub(crate) enum Unfit {
    /// Its `_meta` lacks these members.
    Lacks(String),
    /// Its revision is not one of that era that is known.
    Version(String),
}

impl Unfit {
    pub(crate) fn of(request: &Message) -> Option<Unfit> {
        let meta = Meta::of(request);
        let missing = meta.missing();
        if !missing.is_empty() {
            return Some(Unfit::Lacks(missing.join(" and ")));
        }
        let asked = meta.protocol_version().unwrap_or_default();
        let known = asked.parse::<Revision>().is_ok_and(|revision| revision.era() == Era::Stateless);
        (!known).then(|| Unfit::Version(asked.into_owned()))
    }

    pub(crate) fn problem(&self) -> Problem {
        match self {
            Unfit::Lacks(what) => Problem::new("gateway.no_meta", format!("`_meta` lacks {what}"), INVALID_PARAMS),
            Unfit::Version(_) => {
                Problem::new("gateway.unsupported_version", "unsupported protocol version", UNSUPPORTED_VERSION)
            }
        }
    }

    /// The answer that says why; `supported` are the revisions that are spoken there.
    pub(crate) fn answer(&self, refusal: &Refusal, request: &Message, supported: &[Revision]) -> Admitted {
        let Unfit::Version(asked) = self else { return refusal.answer_to(request) };
        let supported: Vec<_> = supported.iter().map(|revision| format!("\"{revision}\"")).collect();
        let known = format!(r#""supported":[{}],"requested":{},"#, supported.join(","), quote(asked));
        refusal.error(request.id(), &known)
    }
}

/// What is wrong with a message in a session that says of itself what only those of the era without sessions do. A server
/// that speaks both eras may go by that, and take it for another request than the one of this session that was judged.
pub(crate) fn of_two_eras(message: &Message) -> Option<Problem> {
    message.method()?;
    let of_the_other = [meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES, meta::CLIENT_INFO, meta::LOG_LEVEL];
    let said = of_the_other.into_iter().find(|key| Meta::of(message).get(key).is_some())?;
    let why = format!("`_meta` says `{said}`, as only revisions without sessions have it, in a message of a session");
    Some(Problem::new("gateway.two_eras", why, INVALID_REQUEST))
}
