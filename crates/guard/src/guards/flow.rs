//! **Threat.** A page, a mail or an issue tells the model to send what it has read elsewhere to whoever wrote that, to pay them, or to
//! delete something, in words that no detector knows. Each call by itself looks like work.
//!
//! So what a conversation has come to hold is remembered, and where each value of a call was before is found out
//! ([`bartizan_flow::Memory`]) and handed in as evidence. What a tool does with information is guessed from its definition and corrected by the operator.
//! A call that reaches others, or cannot be taken back, is held against both: whoever wrote something may not say where things go.
//!
//! **What passes, so that ordinary work does.** A place that no result named counts as the user's, as does one that a trusted result named, such
//! as their contacts; to answer whoever a mail is from is usual, too, as long as it carries nothing from elsewhere that is private.
//! A link that was brought may be followed as it is, as whoever wrote it knew nothing yet.
//!
//! **What this cannot see.** What the user typed and what the model thinks. An address that a stranger has the model put together from
//! pieces counts as the user's, and so does what a model says in its own words of what it has read.

pub mod meet;
mod paths;
pub mod settings;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use bartizan_flow::{
    Nature, Origin, Role, Source, ToolLabel, ToolLabels, Traced, Traces, attached, has_prose, is_credential, is_inside, leaves, places,
};
use bartizan_mcp::{Document, Limits, Message, NodeKind, PartKind, Value, method};
use serde::Deserialize;

pub use self::settings::{Options, named};
use self::settings::{Known, ToolEntry};
use crate::follow::traces_of;
use crate::settings::fits;
use super::{Guard, GuardSpec, LooksAt, RuleSpec};
use crate::{Action, Direction, Event, Finding, Label, Labels, Report, Session, Severity, excerpt};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "flow",
    threat: "What a stranger wrote has the model send what is private somewhere, pay somebody, or destroy something.",
    rules: RULES,
    actions: &[Action::Observe, Action::Approve, Action::Deny],
    skips: &[],
    looks_at: LooksAt::Else("Calls of tools, where their values were before, and what has come in so far."),
    // Where values were before was found out of the message as it came.
    sees_edited: false,
    raises: &[],
    options: || schemars::schema_for!(Options),
    build: |options, _| Ok(Box::new(Flow(Arc::new(Options::deserialize(options)?)))),
};

const RULES: &[RuleSpec] = &[
    RuleSpec::new(
        "flow.untrusted_destination",
        Severity::High,
        Action::Approve,
        "A call goes to a place that only what strangers may have written names.",
    ),
    RuleSpec::new(
        "flow.private_data",
        Severity::High,
        Action::Approve,
        "A call carries something private to a place that is not known to be the user's choice.",
    ),
    RuleSpec::new(
        "flow.trifecta",
        Severity::High,
        Action::Approve,
        "A call reaches others without saying whom, after private data and what strangers may have written have come in.",
    ),
    RuleSpec::new(
        "flow.untrusted_url",
        Severity::High,
        Action::Approve,
        "A call asks a place that only strangers name for something that none of them named, after private data has come in.",
    ),
    RuleSpec::new(
        "flow.untrusted_value",
        Severity::Medium,
        Action::Approve,
        "A call sets a value, such as a password, that only what strangers may have written names.",
    ),
    RuleSpec::new(
        "flow.untrusted_link",
        Severity::Medium,
        Action::Approve,
        "A call passes a link on that only what strangers may have written names.",
    ),
    RuleSpec::new(
        "flow.destructive",
        Severity::Medium,
        Action::Approve,
        "A call that cannot be taken back, after what strangers may have written has come in.",
    ),
    RuleSpec::new(
        "flow.forgotten",
        Severity::Medium,
        Action::Approve,
        "A call goes to a place of which it is not known any more whether strangers named it.",
    ),
    RuleSpec::new("flow.recipient", Severity::High, Action::Deny, "A call goes to somebody whom the tool may not reach."),
    RuleSpec::new("flow.domain", Severity::High, Action::Deny, "A call goes to a domain that the tool may not reach."),
    RuleSpec::new("flow.path", Severity::High, Action::Deny, "A call names a path that the tool may not use."),
];

struct Flow(Arc<Options>);

/// The arguments of the call that a message answers, if they are known still.
pub(crate) fn asked(event: &Event<'_>) -> Option<Document> {
    let json = event.answers?.arguments.as_deref()?;
    Document::parse(json.to_owned(), &Limits::AGAIN).ok()
}

/// What a message brings into the conversation, if it passes, as the answer to a call with these arguments: what it is from, and its labels.
pub(crate) fn brings(
    options: &Options,
    event: &Event<'_>,
    session: &Session,
    asked: Option<Value<'_>>,
) -> Option<(Source, ToolLabels)> {
    let labels = labels_of(options, event, session, asked)?;
    let (call, result) = (event.answers?, event.message.result());
    let server = &event.server.name;
    let is_inside = call.tool.as_ref().zip(result).is_some_and(|(tool, result)| is_inside(tool, asked, result));
    let is_vouched = options.trusts(server, call.tool.as_deref().unwrap_or_default());
    let named = call.tool.as_ref().or(call.uri.as_ref());
    Some((Source { is_vouched, is_inside, ..Source::of(server, named, labels) }, labels))
}

/// The labels of what a message brings as the answer to a call with these arguments; none, if it brings nothing.
fn labels_of(options: &Options, event: &Event<'_>, session: &Session, asked: Option<Value<'_>>) -> Option<ToolLabels> {
    if event.direction != Direction::ToClient || !has_content(event.message) {
        return None;
    }
    let call = event.answers?;
    let server = &event.server.name;
    match (&*call.method, &call.tool) {
        (method::TOOLS_CALL, Some(tool)) => Some(options.brings((server, tool), asked, Known::of(event, session))),
        (method::RESOURCES_READ, _) => {
            let contents = event.message.result().and_then(|result| result.get("contents"));
            let uris = contents.into_iter().flat_map(Value::elements).map(|held| held.get("uri").map(Value::text));
            // All that any of it is; one that says of itself nothing is whatever nobody has named. What it was asked for as the server cannot say
            // otherwise.
            let said = uris.map(Option::unwrap_or_default).chain(call.uri.as_deref().map(Cow::Borrowed));
            Some(said.map(|uri| options.of_resource(server, &uri)).flat_map(ToolLabels::iter).collect())
        }
        _ => None,
    }
}

/// Whether anything comes with a result besides that it is one.
fn has_content(message: &Message) -> bool {
    let Some(result) = message.result() else { return message.error().is_some() };
    let says = |block: Value<'_>| {
        let text = block.get("text").and_then(Value::as_str);
        text.map_or_else(|| !block.is_text(""), |text| !text.trim().is_empty())
    };
    result.members().any(|(key, value)| match &*key.text() {
        "content" | "contents" if value.kind() == NodeKind::Array => value.elements().any(says),
        "isError" | "_meta" | "resultType" => false,
        _ => true,
    })
}

/// The arguments of a call that has to be traced: of one that reaches others or cannot be taken back.
pub(crate) fn traced<'m>(options: &Options, event: &Event<'m>, session: &Session) -> Option<Value<'m>> {
    let (tool, arguments) = call(event)?;
    let nature = options.nature((&event.server.name, &tool), Some(arguments), Known::of(event, session));
    (is_public(options, event, (&tool, nature.reads), arguments) || nature.labels.has(ToolLabel::PublicSink) || nature.labels.has(ToolLabel::Destructive)).then_some(arguments)
}

/// Whether the operator says that everybody reads what the call says.
fn is_public(options: &Options, event: &Event<'_>, (tool, reads): (&str, bool), arguments: Value<'_>) -> bool {
    let server = &event.server.name;
    options.entry(server, tool, Some(arguments)).is_some_and(|entry| entry.public)
        || options.files(server, tool, Some(arguments)).is_public(reads)
}

pub(crate) fn call<'m>(event: &Event<'m>) -> Option<(Cow<'m, str>, Value<'m>)> {
    let is_call = event.direction == Direction::ToServer && event.message.method() == Some(method::TOOLS_CALL);
    let params = event.message.params().filter(|_| is_call)?;
    Some((params.get("name")?.as_str()?, params.get("arguments")?))
}

/// Whether a result has more to say than short values do: an order takes some words.
fn says_something(message: &Message) -> bool {
    let brings = |kind| matches!(kind, PartKind::Content | PartKind::StructuredContent | PartKind::Error);
    message.parts().any(|part| brings(part.kind) && !part.is_key() && has_prose(&part.text()))
}


impl Guard for Flow {
    fn inspect(&self, event: &Event<'_>, session: &Session, report: &mut Report) {
        let asked = asked(event);
        if let Some(labels) = labels_of(&self.0, event, session, asked.as_ref().map(Document::root)) {
            if labels.has(ToolLabel::PrivateData) {
                report.label(Labels::of(Label::PrivateData));
            }
            if labels.has(ToolLabel::UntrustedContent) && says_something(event.message) {
                report.label(Labels::of(Label::UntrustedContent));
            }
        }
        let Some((tool, arguments)) = call(event) else { return };
        // Whoever did not look knows nothing good.
        let none = Traces { cut: true, ..Traces::default() };
        let traces = traces_of(event.evidence);
        let nature = self.0.nature((&event.server.name, &tool), Some(arguments), Known::of(event, session));
        let entry = self.0.entry(&event.server.name, &tool, Some(arguments));
        let labels = session.labels;
        let looking = Looking {
            options: &self.0,
            traces: traces.unwrap_or(&none),
            nature,
            entry,
            publishes: traces.is_some_and(|traces| traces.publishes) || is_public(&self.0, event, (&tool, nature.reads), arguments),
            untrusted: labels.contains(Label::UntrustedContent) || labels.contains(Label::Untrusted),
            private: labels.contains(Label::PrivateData),
            server: &event.server.name,
            tool: &tool,
            arguments,
        };
        for (rule, why) in looking.all() {
            let finding = SPEC.rule(rule).map(|rule| Finding::about(rule, arguments, PartKind::Argument, why).of(&tool));
            finding.into_iter().for_each(|finding| report.find(finding));
        }
    }
}

/// What is known of one call.
struct Looking<'l> {
    options: &'l Options,
    traces: &'l Traces,
    nature: Nature,
    entry: Option<&'l ToolEntry>,
    /// Whether everybody will read it: it says so itself, or the operator does.
    publishes: bool,
    /// Whether something has come in that strangers may have written.
    untrusted: bool,
    /// Whether something private has come in.
    private: bool,
    server: &'l str,
    tool: &'l str,
    arguments: Value<'l>,
}

type Found = (&'static str, String);

impl Looking<'_> {
    /// Each rule that this call meets, once, with a sentence.
    fn all(&self) -> Vec<Found> {
        let mut found = Vec::new();
        found.extend(self.limits());
        let is_addressed = !self.nature.if_addressed || self.destinations().next().is_some();
        let is_sink = self.nature.labels.has(ToolLabel::PublicSink) && is_addressed || self.publishes;
        let destroys = self.nature.labels.has(ToolLabel::Destructive);
        if (is_sink || destroys) && !(is_sink && self.nature.reads) {
            found.extend(self.goes_somewhere());
        }
        if is_sink {
            // Also where a server says that its tool does more than read: that lets nothing off.
            found.extend(self.asks_a_place());
            found.extend(self.carries_something());
        }
        if destroys && self.untrusted {
            found.extend(self.destroys());
        }
        let mut seen = BTreeSet::new();
        found.retain(|(rule, _)| seen.insert(*rule));
        found
    }

    /// Whether the operator has said that anything may go there.
    fn is_allowed(&self, traced: &Traced) -> bool {
        let own = self.entry.map(|entry| (entry.recipients.as_deref(), entry.domains.as_deref())).unwrap_or_default();
        settings::allows(&self.options.recipients, &self.options.domains, &traced.value)
            || settings::allows(own.0.unwrap_or_default(), own.1.unwrap_or_default(), &traced.value)
    }

    fn destinations(&self) -> impl Iterator<Item = &Traced> {
        self.traces.values.iter().filter(|traced| traced.role == Role::Destination)
    }

    /// What the operator has limited a tool to: whatever an argument holds, however it is written, has to be one of those.
    fn limits(&self) -> Vec<Found> {
        let Some(entry) = self.entry.filter(|entry| entry.limits()) else { return Vec::new() };
        let mut found = Vec::new();
        for leaf in leaves(self.arguments) {
            let (path, tool) = (&leaf.path, excerpt(self.tool));
            let may_not = |what: &str| format!("`{path}` is `{}`, and {tool} may not {what}", excerpt(&leaf.text));
            let sent = leaf.is_destination && (entry.recipients.is_some() || entry.domains.is_some());
            if sent && !places(&leaf.text).iter().all(|place| entry.allows(place)) {
                let is_host = entry.domains.is_some() && (entry.recipients.is_none() || leaf.text.contains(['@', '.']));
                let rule = if is_host { "flow.domain" } else { "flow.recipient" };
                found.push((rule, may_not("reach that")));
            }
            if let Some(paths) = entry.paths.as_ref().filter(|_| leaf.is_path) {
                let climbs = leaf.text.split(['/', '\\']).any(|part| part == "..");
                if climbs || !paths.iter().any(|pattern| fits(pattern, &leaf.text)) {
                    found.push(("flow.path", may_not("use that")));
                }
            }
        }
        found
    }

    /// What is written, sent or paid somewhere.
    fn goes_somewhere(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for traced in self.traces.values.iter().filter(|traced| !self.is_allowed(traced)) {
            match (traced.origin, traced.role) {
                (Origin::Prose(source), Role::Destination) => {
                    let why = format!("`{}` is `{}`, which only {} names", traced.path, excerpt(&traced.value), self.from(source));
                    found.push(("flow.untrusted_destination", why));
                }
                (Origin::Prose(source), Role::Selector) if traced.is_id || traced.is_attached || is_credential(&traced.path) => {
                    let why = format!("`{}` has a value that only {} names", traced.path, self.from(source));
                    found.push(("flow.untrusted_value", why));
                }
                (Origin::Prose(source), Role::Content) if traced.is_url && self.nature.labels.has(ToolLabel::PublicSink) => {
                    let why = format!("`{}` has a link that only {} names", traced.path, self.from(source));
                    found.push(("flow.untrusted_link", why));
                }
                (Origin::Forgotten, Role::Destination) => {
                    let why = format!("`{}` is `{}`, and not all is remembered that has come in", traced.path, excerpt(&traced.value));
                    found.push(("flow.forgotten", why));
                }
                _ => {}
            }
        }
        if self.traces.cut && self.untrusted {
            found.push(("flow.forgotten", "the call has more values than are looked at".to_owned()));
        }
        found
    }

    /// What only reads, and tells a place by that what was read elsewhere.
    fn asks_a_place(&self) -> Vec<Found> {
        if !self.private {
            return Vec::new();
        }
        let composed = self.traces.values.iter().filter(|traced| traced.is_url && !self.is_allowed(traced));
        // A link that was brought as it is tells nobody what was read since.
        let composed = composed.filter(|traced| matches!(traced.origin, Origin::Unseen | Origin::Forgotten));
        let mut found = Vec::new();
        for url in composed {
            let within = |part: &&Traced| {
                let is_within = part.span.start >= url.span.start && part.span.end <= url.span.end;
                !part.is_url && part.role != Role::Content && part.path == url.path && is_within
            };
            // What a stranger has written of it: the host, or all but what is asked.
            let mut named = self.traces.values.iter().filter(within).map(|part| part.origin);
            let by_others = |origin: &Origin| matches!(origin, Origin::Prose(_) | Origin::Field(_));
            let tells = url.value.contains(['?', '#']) || url.value.trim_end_matches('/').contains('/');
            if let Some(Origin::Prose(source) | Origin::Field(source)) = named.rfind(by_others).filter(|_| tells) {
                let why = format!("`{}` is an address that nobody named, at a place that {} names", url.path, self.from(source));
                found.push(("flow.untrusted_url", why));
            }
        }
        found
    }

    /// Something private, to somebody of whom it is not known that the user chose them.
    fn carries_something(&self) -> Vec<Found> {
        let known = |traced: &Traced| self.is_allowed(traced) || is_known(traced.origin);
        // What says which thing is meant says where: an answer to a mail goes to whoever that is from.
        let targets =
            || self.traces.values.iter().filter(|traced| traced.role != Role::Content && !traced.is_url && !traced.is_attached);
        let none = self.publishes || targets().next().is_none();
        let mut places = self.destinations().filter(|traced| !traced.is_url).peekable();
        let known = !self.publishes && places.peek().is_some() && places.all(known);
        if known {
            return Vec::new();
        }
        // What whoever is answered has written themselves is no news to them; what is trusted they did not write.
        let is_told = |source: &Source| source.is_untrusted && !source.is_inside;
        let wrote = |source: &usize| self.traces.sources.get(*source).is_some_and(is_told);
        let mut theirs: Vec<usize> = targets().filter_map(|traced| source_of(traced.origin)).filter(wrote).collect();
        // So is what stands in the very item that is answered, where nobody else reads that.
        let answered = if self.publishes { &[][..] } else { &self.traces.answered };
        theirs.extend(answered);
        let is_news = |source: usize| !theirs.contains(&source);
        let mut found = Vec::new();
        for overlap in self.traces.overlaps.iter().filter(|overlap| is_news(overlap.source)) {
            let (words, from) = (overlap.words, self.from(overlap.source));
            let (start, end) = (overlap.span.start, overlap.span.end);
            let why = format!("`{}` has {words} words in a row of {from}, at bytes {start} to {end}", overlap.path);
            found.push(("flow.private_data", why));
        }
        let values = self.traces.values.iter().filter(|traced| traced.role == Role::Content);
        let values = values.filter(|traced| answered.is_empty() || !traced.is_answer);
        for (traced, source) in values.filter_map(|traced| Some((traced, traced.private.filter(|source| is_news(*source))?))) {
            found.push(("flow.private_data", format!("`{}` has a value of {}", traced.path, self.from(source))));
        }
        found.extend(self.attaches(is_news));
        // Some servers say of each of their tools that it is open, and each of them would be asked about.
        let for_all = self.publishes || !self.nature.by_hint && none && !self.traces.has_target && self.traces.has_content;
        if for_all && self.private && self.untrusted && !self.nature.reads {
            let why = "it reaches others without saying whom, and both private data and what strangers may have written have come in";
            found.push(("flow.trifecta", why.to_owned()));
        }
        found
    }

    /// What is private and only named by the call, so that it goes along.
    fn attaches(&self, is_news: impl Fn(usize) -> bool) -> Vec<Found> {
        let named = self.traces.values.iter().filter(|traced| traced.is_attached);
        let read = named.filter_map(|traced| Some((traced, traced.private.filter(|source| is_news(*source))?)));
        let read = read.map(|(traced, source)| format!("`{}` names something private that {} brought", traced.path, self.from(source)));
        let said = attached(self.tool, self.arguments).into_iter();
        let said = said.filter(|leaf| self.options.says_private((self.server, self.tool), &leaf.text));
        let said = said.map(|leaf| format!("`{}` names what is private by the configuration", leaf.path));
        read.chain(said).map(|why| ("flow.private_data", why)).collect()
    }

    /// What cannot be taken back.
    fn destroys(&self) -> Vec<Found> {
        let mut targets = self.traces.values.iter().filter(|traced| traced.role != Role::Content).peekable();
        // What the user names is theirs to destroy.
        if targets.peek().is_some() && targets.all(|traced| is_known(traced.origin) || self.is_allowed(traced)) {
            return Vec::new();
        }
        vec![("flow.destructive", format!("{} cannot be taken back, and what strangers may have written has come in", excerpt(self.tool)))]
    }

    /// What a result is called in a sentence.
    fn from(&self, source: usize) -> String {
        let Some(source) = self.traces.sources.get(source) else { return "an earlier result".to_owned() };
        let tool = source.tool.as_deref().map(|tool| format!("/{tool}")).unwrap_or_default();
        let entry = source.entry.as_deref().map(|entry| format!(" (entry {entry})")).unwrap_or_default();
        format!("a result of {}{entry}", excerpt(&format!("{}{tool}", source.server)))
    }
}

fn source_of(origin: Origin) -> Option<usize> {
    match origin {
        Origin::Field(source) | Origin::Prose(source) | Origin::Trusted(source) => Some(source),
        Origin::Unseen | Origin::Client | Origin::Forgotten => None,
    }
}

/// Whether it counts as the user's choice, or as known to them.
fn is_known(origin: Origin) -> bool {
    matches!(origin, Origin::Unseen | Origin::Client | Origin::Trusted(_))
}
