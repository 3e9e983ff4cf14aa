//! Which eras a server speaks: asked once, with a connection of its own that is given up afterwards.

use std::sync::Arc;
use std::time::Duration;

use bartizan_guard::{CallSummary, Direction, Principal};
use bartizan_mcp::{Era, Kind, Message, Revision, header, method};
use http::{HeaderName, HeaderValue};

use crate::admit::{self, About, Refusal};
use crate::eras::EraSupport;
use crate::gateway::Gateway;
use crate::link::Link;
use crate::own;
use crate::relay::Relay;
use crate::server::Server;
use crate::upstream::{Reply, UpstreamError};

/// How long a server may take to say which eras it speaks; old ones may not answer at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// The id of the questions, as JSON.
const PROBE: &str = r#""bartizan-probe""#;
/// Errors that only a server of the stateless era answers with.
const MODERN: [i64; 3] = [-32020, -32021, -32022];

/// The eras that `server` speaks; a server that cannot be reached is asked again the next time.
///
/// # Errors
/// What to tell the client if it cannot be found out.
pub(crate) async fn era_of(
    gateway: &Arc<Gateway>,
    server: &Arc<Server>,
    principal: &Principal,
    session: &str,
    about: About<'_>,
) -> Result<EraSupport, Refusal> {
    let probe = Probe { gateway, server, principal, session, about };
    server.bridge.speaks.get_or_try_init(|| probe.run()).await.copied()
}

struct Probe<'a> {
    gateway: &'a Arc<Gateway>,
    server: &'a Arc<Server>,
    principal: &'a Principal,
    session: &'a str,
    /// Why it is asked now.
    about: About<'a>,
}

impl Probe<'_> {
    async fn run(&self) -> Result<EraSupport, Refusal> {
        let discovered = self.ask(own::stateless(PROBE, method::SERVER_DISCOVER), &discover_relay()).await?;
        let speaks = match discovered {
            Ok(answer) if is_modern(&answer) => match self.ask(own::initialize(PROBE), &Relay::default()).await? {
                Ok(answer) if is_legacy(&answer) => EraSupport::Both,
                _ => EraSupport::Modern,
            },
            // Other statuses say that something is wrong at present, and not what the server speaks.
            Ok(_)
            | Err(
                UpstreamError::Status(400 | 404 | 405 | 406 | 415)
                | UpstreamError::ContentType(_)
                | UpstreamError::SessionGone,
            ) => EraSupport::Legacy,
            // An old server may neither answer what it does not know nor survive it.
            Err(error) => match self.ask(own::initialize(PROBE), &Relay::default()).await? {
                Ok(answer) if is_legacy(&answer) => EraSupport::Legacy,
                _ => return Err(self.link().await?.failed_about(self.about, &error)),
            },
        };
        tracing::info!(server = %self.server.name, ?speaks, "found out which eras the server speaks");
        let fields = serde_json::json!({"server": self.server.name, "speaks": format!("{speaks:?}").to_lowercase()});
        // It is for information; what passes because of it is recorded by itself.
        self.gateway.recorder.note("server.eras", &fields).ok();
        Ok(speaks)
    }

    async fn link(&self) -> Result<Arc<Link>, Refusal> {
        Link::connect(self.gateway, self.server, self.principal, self.session.to_owned(), self.about)
            .await
            .map(Arc::new)
    }

    /// Asks one question on a connection of its own. The answer is judged like any, though nobody but this gets it.
    async fn ask(&self, json: String, relay: &Relay) -> Result<Result<Message, UpstreamError>, Refusal> {
        let link = self.link().await?;
        let question = admit::own(&self.gateway.recorder, &self.server.name, self.session, json)?;
        let call = CallSummary::of(question.message());
        let answered = async {
            let mut replies = link.upstream.send(question, relay).await?;
            while let Some(reply) = replies.next().await? {
                match reply {
                    Reply::Message(message, _) if message.is_response() => return Ok(message),
                    Reply::Unreadable(..) => return Err(UpstreamError::BrokenOff("it is no message".to_owned())),
                    _ => {}
                }
            }
            Err(UpstreamError::BrokenOff("no answer came".to_owned()))
        };
        let patience = PATIENCE.min(self.server.timeout);
        let answer = match tokio::time::timeout(patience, answered).await {
            Ok(answer) => answer,
            Err(_) => Err(UpstreamError::TimedOut(patience.as_secs())),
        };
        link.upstream.end().await;
        Ok(match answer {
            Ok(message) => Ok(link.pass(message, Direction::ToClient, call.as_ref()).await?.message().clone()),
            Err(error) => Err(error),
        })
    }
}

fn discover_relay() -> Relay {
    Relay {
        version: Some(HeaderValue::from_static(Revision::V2026_07_28.as_str())),
        last_event_id: None,
        routing: vec![(HeaderName::from_static(header::METHOD), HeaderValue::from_static(method::SERVER_DISCOVER))],
    }
}

fn is_modern(answer: &Message) -> bool {
    match answer.kind() {
        Kind::Result => answer.result().is_some_and(|result| result.get("supportedVersions").is_some()),
        _ => answer.error().and_then(|error| error.get("code")?.as_i64()).is_some_and(|code| MODERN.contains(&code)),
    }
}

fn is_legacy(answer: &Message) -> bool {
    let version = answer.result().and_then(|result| result.get("protocolVersion"));
    // A revision that we do not know has a handshake too, or it would not have answered this one.
    version.is_some_and(|version| version.text().parse::<Revision>().map_or(true, |known| known.era() == Era::Legacy))
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::Limits;

    use super::*;

    #[test]
    fn answers_tell_the_eras_apart() {
        let cases = [
            (r#""result":{"supportedVersions":["2026-07-28"],"capabilities":{}}"#, true, false),
            (r#""error":{"code":-32022,"message":"m","data":{"supported":["2027-01-01"]}}"#, true, false),
            (r#""error":{"code":-32020,"message":"m"}"#, true, false),
            (r#""error":{"code":-32601,"message":"m"}"#, false, false),
            (r#""error":{"code":-32600,"message":"not initialized"}"#, false, false),
            (r#""result":{"protocolVersion":"2025-11-25","capabilities":{}}"#, false, true),
            (r#""result":{"protocolVersion":"2024-10-07","capabilities":{}}"#, false, true),
            (r#""result":{"protocolVersion":"2026-07-28","capabilities":{}}"#, false, false),
            (r#""result":{}"#, false, false),
        ];
        for (answer, modern, legacy) in cases {
            let text = format!(r#"{{"jsonrpc":"2.0","id":"bartizan-probe",{answer}}}"#);
            let message = Message::parse(text, &Limits::default()).unwrap();
            assert_eq!((is_modern(&message), is_legacy(&message)), (modern, legacy), "{answer}");
        }
    }
}
