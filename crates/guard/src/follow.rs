//! What a conversation remembers for the guard [`flow`](crate::guards::flow), kept by whoever runs the pipeline.

use std::sync::Arc;

use bartizan_detect::decode::Views;
use bartizan_flow::{Brought, Key, Memory, Origin, Role, Source, ToolLabel, Traced, Traces, item};

use bartizan_mcp::{Document, Value};

use crate::guards::flow::{self, Options};
use crate::{Event, Evidence, Session};

/// Follows what messages bring and where values of calls were before, as the settings say.
#[derive(Debug, Clone)]
pub struct Follow(pub(crate) Arc<Options>);

/// What an admitted message brings, to be added to the memory of its conversation.
#[derive(Debug)]
pub struct News {
    source: Source,
    brought: Brought,
}

impl Follow {
    /// What a message brings, as it reaches the client. This takes as long as it takes to read it.
    #[must_use]
    pub fn news(&self, key: &Key, event: &Event<'_>, session: &Session) -> Option<News> {
        let asked = flow::asked(event);
        let asked = asked.as_ref().map(Document::root);
        let (source, labels) = flow::brings(&self.0, event, session, asked)?;
        let content = event.message.result().or_else(|| event.message.error())?;
        let brought = Brought::of(key, content, labels.has(ToolLabel::PrivateData), &readings);
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
        (!brought.is_empty()).then_some(News { source, brought })
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
        (!brought.is_empty()).then_some(News { source, brought })
    }
}

impl News {
    /// Adds it to what is remembered; by which number it is known there, if it is.
    pub fn join(&self, memory: &mut Memory) -> Option<u32> {
        memory.bring(self.source.clone(), &self.brought)
    }
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
