//! The HTTP status that belongs to an answer, where the server itself did not speak HTTP.
//!
//! In the legacy era every answer comes under 200. The stateless era says some errors in the status as well, so that
//! whatever stands between can act on them without reading the body.

use bartizan_mcp::{Era, Message, header::Mismatch, meta::Meta};
use http::StatusCode;

use crate::codes::{INVALID_PARAMS, METHOD_NOT_FOUND, MISSING_CAPABILITY, UNSUPPORTED_VERSION};
use crate::relay::Relay;

/// What has to be known of a request to find the status of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// In the legacy era.
    Legacy,
    /// In the stateless era.
    Stateless {
        /// Whether its `_meta` has all that is required.
        complete: bool,
    },
}

impl Asked {
    /// In which era a request was made: its header says so, or its body.
    pub(crate) fn of(message: &Message, relay: &Relay) -> Asked {
        let by_header = relay.revision().is_some_and(|revision| revision.era() == Era::Stateless);
        let meta = Meta::of(message);
        if by_header || meta.protocol_version().is_some() {
            Asked::Stateless { complete: meta.missing().is_empty() }
        } else {
            Asked::Legacy
        }
    }

    /// The status for this answer.
    pub(crate) fn status(self, answer: &Message) -> StatusCode {
        let Asked::Stateless { complete } = self else { return StatusCode::OK };
        match answer.error().and_then(|error| error.get("code")?.as_i64()) {
            Some(Mismatch::CODE | MISSING_CAPABILITY | UNSUPPORTED_VERSION) => StatusCode::BAD_REQUEST,
            Some(INVALID_PARAMS) if !complete => StatusCode::BAD_REQUEST,
            Some(METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
            _ => StatusCode::OK,
        }
    }
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::Limits;
    use http::HeaderValue;

    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(text.to_owned(), &Limits::default()).unwrap()
    }

    #[test]
    fn errors_of_the_stateless_era_have_a_status() {
        let (whole, incomplete) = (Asked::Stateless { complete: true }, Asked::Stateless { complete: false });
        let cases = [
            (whole, -32020, 400),
            (whole, -32021, 400),
            (whole, -32022, 400),
            (whole, -32601, 404),
            (whole, -32602, 200),
            (incomplete, -32602, 400),
            (whole, -32603, 200),
            (whole, -31001, 200),
            (Asked::Legacy, -32601, 200),
            (Asked::Legacy, -32020, 200),
        ];
        for (asked, code, status) in cases {
            let answer = message(&format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"m"}}}}"#));
            assert_eq!(asked.status(&answer).as_u16(), status, "{asked:?} {code}");
        }
        // A result that looks like an error is a result.
        assert_eq!(whole.status(&message(r#"{"jsonrpc":"2.0","id":1,"result":{"code":-32601}}"#)), StatusCode::OK);
    }

    #[test]
    fn the_header_or_the_body_names_the_era() {
        let meta =
            r#""io.modelcontextprotocol/protocolVersion":"2099-01-01","io.modelcontextprotocol/clientCapabilities":{}"#;
        let cases = [
            (Some("2026-07-28"), "", Asked::Stateless { complete: false }),
            (Some("2099-01-01"), meta, Asked::Stateless { complete: true }),
            (None, meta, Asked::Stateless { complete: true }),
            (Some("2025-11-25"), "", Asked::Legacy),
            (None, "", Asked::Legacy),
        ];
        for (version, meta, expected) in cases {
            let relay = Relay { version: version.map(HeaderValue::from_static), ..Relay::default() };
            let request =
                message(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"_meta":{{{meta}}}}}}}"#));
            assert_eq!(Asked::of(&request, &relay), expected, "{version:?} {meta}");
        }
    }
}
