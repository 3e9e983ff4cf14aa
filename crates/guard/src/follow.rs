//! What a conversation remembers for the guard [`flow`](crate::guards::flow), kept by whoever runs the pipeline.

use std::sync::Arc;

use bartizan_detect::decode::Views;
use bartizan_flow::{Brought, Key, Memory, Origin, Role, Source, ToolLabel, ToolLabels, Traced, Traces, item};

use bartizan_mcp::{Document, Value};

use crate::guards::flow::{self, Options};
use crate::{Event, Evidence, Session};

/// Follows what messages bring and where values of calls were before, as the settings say.
#[derive(Debug, Clone)]
pub struct Follow(pub(crate) Arc<Options>);

/// What an admitted message brings, to be added to the memory of its conversation.
#[derive(Debug)]
pub struct News(Brings);

#[derive(Debug)]
enum Brings {
    /// What was not there before.
    New(Box<(Source, Brought)>),
    /// What was there when it was judged, by its name.
    Again(u128),
}

impl Follow {
    /// What a message brings, as it reaches the client. This takes as long as it takes to read it, unless `has` tells that it was brought
    /// before.
    #[must_use]
    pub fn news(
        &self,
        key: &Key,
        has: impl FnOnce(u128) -> bool,
        event: &Event<'_>,
        session: &Session,
    ) -> Option<News> {
        let asked = flow::asked(event);
        let asked = asked.as_ref().map(Document::root);
        let (source, labels) = flow::brings(&self.0, event, session, asked)?;
        let content = event.message.result().or_else(|| event.message.error())?;
        let known_as = known_as(key, (event, content), &source, labels);
        if has(known_as) {
            return Some(News(Brings::Again(known_as)));
        }
        let brought = Brought::of(key, content, labels.has(ToolLabel::PrivateData), &readings).known_as(known_as);
        let is_private = labels.has(ToolLabel::PrivateData);
        let brought = match asked {
            Some(asked) => {
                let brought = brought.answering(key, asked).as_item(item(key, &event.server.name, asked));
                if is_private { brought.of_things(key, asked) } else { brought }
            }
            None => brought,
        };
        let uri = event.answers.and_then(|call| call.uri.as_deref()).filter(|_| is_private);
        let brought = match uri {
            Some(uri) => brought.of_resource(key, uri),
            None => brought,
        };
        (!brought.is_empty()).then_some(News(Brings::New(Box::new((source, brought)))))
    }

    /// The arguments of a call, if it is one that is held against where its values were before.
    #[must_use]
    pub fn traced<'m>(&self, event: &Event<'m>, session: &Session) -> Option<Value<'m>> {
        flow::traced(&self.0, event, session)
    }

    /// Where the values of arguments to that tool of a server were before.
    #[must_use]
    pub fn traces(&self, (server, tool): (&str, &str), arguments: Value<'_>, memory: &Memory) -> Traces {
        memory.trace((server, tool), arguments, &readings)
    }

    /// What a call of any tool names; once it is admitted, what nobody else has named before counts as the user's
    /// ([`Memory::is_named_by_client`]).
    #[must_use]
    pub fn names(&self, event: &Event<'_>, memory: &Memory) -> Option<Traces> {
        let (_, arguments) = flow::call(event)?;
        Some(traces_of(event.evidence).cloned().unwrap_or_else(|| memory.trace_names(arguments)))
    }

    /// The places that somebody has agreed to by agreeing to a call with this evidence, as what is trusted from then on.
    #[must_use]
    pub fn agreed(&self, key: &Key, evidence: &[Evidence]) -> Option<News> {
        let places =
            traces_of(evidence).into_iter().flat_map(|traces: &Traces| &traces.values).filter(|traced: &&Traced| {
                traced.role == Role::Destination && !matches!(traced.origin, Origin::Trusted(_) | Origin::Client)
            });
        let brought = Brought::of_values(key, places.map(|traced| &*traced.value));
        let source = Source {
            server: "approval".into(),
            tool: None,
            entry: None,
            is_untrusted: false,
            is_private: false,
            is_vouched: true,
            is_inside: false,
        };
        (!brought.is_empty()).then_some(News(Brings::New(Box::new((source, brought)))))
    }
}

impl News {
    /// Adds it to what is remembered; by which number it is known there, if it is.
    pub fn join(&self, memory: &mut Memory) -> Option<u32> {
        match &self.0 {
            Brings::New(held) => memory.bring(held.0.clone(), &held.1),
            Brings::Again(name) => {
                if !memory.has(*name) {
                    // Somebody had it forgotten since the message was judged, and it is not read again for that.
                    memory.give_up();
                }
                None
            }
        }
    }

    /// Whether it takes memory.
    #[must_use]
    pub fn is_new(&self) -> bool {
        matches!(self.0, Brings::New(..))
    }
}

/// What names all that makes what a result brings: whoever polls gets the same one again and again, and all that it fills would
/// be missing for others.
fn known_as(key: &Key, (event, content): (&Event<'_>, Value<'_>), source: &Source, labels: ToolLabels) -> u128 {
    let Source { server, tool, entry: _, is_untrusted: _, is_private: _, is_vouched, is_inside } = source;
    let call = event.answers;
    let method = call.map_or("", |call| &call.method);
    let uri = call.and_then(|call| call.uri.as_deref()).unwrap_or_default();
    // Those that were too long to be kept make nothing of what it brings either.
    let arguments = call.and_then(|call| call.arguments.as_deref()).unwrap_or_default();
    let is = |is: bool| if is { "1" } else { "" };
    let labels = labels.iter().map(|label| -> &str { label.as_str() });
    let texts: [&str; 6] = [server, tool.as_deref().unwrap_or_default(), method, uri, is(*is_vouched), is(*is_inside)];
    key.whole(texts.into_iter().chain(labels).chain([arguments, content.raw()]))
}

/// Where the values of a call were before, if that was found out.
pub(crate) fn traces_of(evidence: &[Evidence]) -> Option<&Traces> {
    evidence.iter().find_map(|evidence| match evidence {
        Evidence::Traces(traces) => Some(&**traces),
        _ => None,
    })
}

/// What a text says in the encodings that carry bytes; turned letters are for people who want to be understood by a model, and
/// the words of a text that is not turned make none.
fn readings(text: &str) -> Vec<String> {
    // What is shorter than this holds no address in any encoding.
    if text.len() < 12 {
        return Vec::new();
    }
    let views = Views::carried(text);
    let differs = views.iter().next().filter(|view| view.text() != text);
    differs.into_iter().chain(views.iter().skip(1)).map(|view| view.text().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use bartizan_flow::Bounds;
    use bartizan_mcp::{Limits, Message};

    use super::*;
    use crate::{CallSummary, Direction, Pins, Pipeline, Principal, ServerProfile, Settings, Timestamp};

    /// By which name a result of a tool would be known.
    fn name(pipeline: &Pipeline, server: &str, call: &str, result: &str) -> u128 {
        let message =
            |body: &str| Message::parse(format!(r#"{{"jsonrpc":"2.0","id":1,{body}}}"#), &Limits::default()).unwrap();
        let call = CallSummary::of(&message(&format!(r#""method":"tools/call","params":{call}"#))).unwrap();
        let server = ServerProfile { name: server.into(), pins: Arc::new(Pins::default()), elsewhere: Arc::from([]) };
        let event = Event {
            message: &message(&format!(r#""result":{result}"#)),
            direction: Direction::ToClient,
            answers: Some(&call),
            principal: &Principal::new("ann"),
            server: &server,
            evidence: &[],
            grant: None,
            now: Timestamp(0),
        };
        let (seen, session) = (Cell::new(0), Session::default());
        let has = |name| {
            seen.set(name);
            false
        };
        let follow = pipeline.follow().unwrap();
        let first = follow.news(&Key::new(7), has, &event, &session).unwrap();
        let again = follow.news(&Key::new(7), |name| name == seen.get(), &event, &session).unwrap();
        assert!(first.is_new() && !again.is_new(), "known by it");
        let mut memory = Memory::new(Key::new(7), Bounds::default());
        assert!(first.join(&mut memory).is_some() && again.join(&mut memory).is_none());
        assert!(!memory.forgets() && memory.len() == 1);
        // It was forgotten meanwhile.
        let mut memory = Memory::new(Key::new(7), Bounds::default());
        assert!(again.join(&mut memory).is_none() && memory.forgets());
        seen.get()
    }

    #[test]
    fn a_result_is_known_by_all_that_it_is_made_of() {
        let plain = Pipeline::new(Settings::default()).unwrap();
        let mut settings = Settings::default();
        let options = serde_json::json!({"tool": [{"name": "mail/list", "labels": ["private_data"]}]});
        settings.guards.entry("flow".to_owned()).or_default().options = options;
        let labelled = Pipeline::new(settings).unwrap();
        let mut trusting = Settings::default();
        trusting.guards.entry("flow".to_owned()).or_default().options = serde_json::json!({"trusted": ["mail"]});
        let trusting = Pipeline::new(trusting).unwrap();
        let (call, result) =
            (r#"{"name":"list","arguments":{"page":1}}"#, r#"{"content":[{"type":"text","text":"Hello, Bob"}]}"#);
        let all = [
            name(&plain, "mail", call, result),
            name(&plain, "mails", call, result),
            name(&plain, "mail", r#"{"name":"lists","arguments":{"page":1}}"#, result),
            name(&plain, "mail", r#"{"name":"list","arguments":{"page":2}}"#, result),
            name(&plain, "mail", r#"{"name":"list"}"#, result),
            name(&plain, "mail", call, r#"{"content":[{"type":"text","text":"Hello, Eve"}]}"#),
            name(&labelled, "mail", call, result),
            name(&trusting, "mail", call, result),
        ];
        assert_eq!(all[0], name(&plain, "mail", call, result));
        let apart: std::collections::BTreeSet<u128> = all.into_iter().collect();
        assert_eq!(apart.len(), all.len());
    }
}
