//! Messages of one era in the form of the other: plain functions from messages to edits and texts.

use bartizan_mcp::{
    Digest, Edits, Id, Limits, Message, NodeKind, Rejection, Revision, Value, canonical, meta, method, quote,
};

use crate::bridge::tasks;

/// What of the parameters belongs to the gateway: the answers to questions, and which questions.
pub(super) const ANSWERS: &str = "inputResponses";
pub(super) const STATE: &str = "requestState";
/// All keys of `_meta` with a meaning in the stateless era begin like this.
const RESERVED: &str = "io.modelcontextprotocol/";
/// What a server of the legacy era says of a resource that is not there, and what one of the stateless era says.
const NO_RESOURCE: (i64, i64) = (-32002, -32602);
/// How large what is kept of a request may be.
const GIST: usize = 64 * 1024;

/// Whether the stateless era does not have this method any more, or it is about what is not translated.
pub(super) fn is_gone(name: &str) -> bool {
    const GONE: [&str; 5] = [
        method::INITIALIZE,
        method::PING,
        method::LOGGING_SET_LEVEL,
        method::RESOURCES_SUBSCRIBE,
        method::RESOURCES_UNSUBSCRIBE,
    ];
    GONE.contains(&name) || tasks::concerns(name)
}

/// Whether the answer to this method may be a question back.
pub(super) fn may_be_asked_back(name: &str) -> bool {
    [method::TOOLS_CALL, method::PROMPTS_GET, method::RESOURCES_READ].contains(&name)
}

/// The client's request or notification as a legacy server reads it; a request goes under `id`.
pub(super) fn outward(message: &Message, id: Option<&Id>, limits: &Limits) -> Result<Message, Rejection> {
    let mut edits = Edits::new();
    if let (Some(id), Some(own)) = (id, message.root().get("id")) {
        edits.set_json(own.id(), id.to_json());
    }
    if let Some(params) = message.params() {
        // A task that is begun could not be asked after.
        let task = (message.method() == Some(method::TOOLS_CALL)).then_some(tasks::PARAMETER);
        for value in [ANSWERS, STATE].into_iter().chain(task).filter_map(|name| params.get(name)) {
            edits.remove(params.id(), value.id());
        }
        if let Some(meta) = params.get("_meta").filter(|meta| meta.kind() == NodeKind::Object) {
            let reserved = |key: &Value<'_>| key.text().starts_with(RESERVED);
            if meta.members().all(|(key, _)| reserved(&key)) {
                edits.remove(params.id(), meta.id());
            } else {
                meta.members()
                    .filter(|(key, _)| reserved(key))
                    .for_each(|(_, value)| edits.remove(meta.id(), value.id()));
            }
        }
    }
    message.edited(&edits, limits)
}

/// What makes a legacy server's response one of the stateless era, for the request that the client knows as `id`.
pub(super) fn completed(response: &Message, asked: &str, id: &Id, server_info: Option<&str>) -> Edits {
    let mut edits = Edits::new();
    if let Some(own) = response.root().get("id") {
        edits.set_json(own.id(), id.to_json());
    }
    if let Some(code) = response.error().and_then(|error| error.get("code")) {
        if asked == method::RESOURCES_READ && code.as_i64() == Some(NO_RESOURCE.0) {
            edits.set_json(code.id(), NO_RESOURCE.1.to_string());
        }
        return edits;
    }
    let Some(result) = response.result().filter(|result| result.kind() == NodeKind::Object) else { return edits };
    match result.get("resultType") {
        None => edits.insert(result.id(), "resultType", r#""complete""#),
        // It has no meaning in the legacy era; a server could otherwise ask the client past the gateway.
        Some(kind) if !kind.is_text("complete") => edits.set_text(kind.id(), "complete"),
        Some(_) => {}
    }
    if has_cache_hints(asked) {
        for (key, json) in [("ttlMs", "0"), ("cacheScope", r#""private""#)] {
            if result.get(key).is_none() {
                edits.insert(result.id(), key, json);
            }
        }
    }
    match (result.get("_meta"), server_info) {
        (Some(meta), Some(info)) if meta.get(meta::SERVER_INFO).is_none() => {
            edits.insert(meta.id(), meta::SERVER_INFO, info);
        }
        (None, Some(info)) => edits.insert(result.id(), "_meta", format!("{{{}:{info}}}", quote(meta::SERVER_INFO))),
        _ => {}
    }
    edits
}

fn has_cache_hints(name: &str) -> bool {
    let lists = [method::TOOLS_LIST, method::PROMPTS_LIST, method::RESOURCES_LIST, method::RESOURCES_TEMPLATES_LIST];
    lists.contains(&name) || name == method::RESOURCES_READ
}

/// A notification as part of the subscription with this id.
pub(super) fn stamped(notification: &Message, subscription: &Id) -> Edits {
    let mut edits = Edits::new();
    let stamp = subscription.to_json();
    let meta = format!("{{{}:{stamp}}}", quote(meta::SUBSCRIPTION_ID));
    match notification.params() {
        Some(params) => match params.get("_meta") {
            Some(held) if held.kind() == NodeKind::Object => match held.get(meta::SUBSCRIPTION_ID) {
                Some(forged) => edits.set_json(forged.id(), stamp),
                None => edits.insert(held.id(), meta::SUBSCRIPTION_ID, stamp),
            },
            Some(other) => edits.set_json(other.id(), meta),
            None => edits.insert(params.id(), "_meta", meta),
        },
        None => edits.insert(notification.root().id(), "params", format!(r#"{{"_meta":{meta}}}"#)),
    }
    edits
}

/// The gateway's own `initialize`, with what the client has said of itself in `request`.
pub(super) fn initialize(request: &Message, id: &Id) -> String {
    let meta = meta::Meta::of(request);
    let object = |value: &Value<'_>| value.kind() == NodeKind::Object;
    let info = meta.client_info().filter(object).map_or_else(crate::own::info, |info| info.raw().to_owned());
    let capabilities = tasks::without(meta.client_capabilities());
    format!(
        r#"{{"jsonrpc":"2.0","id":{},"method":"initialize","params":{{"protocolVersion":"{}","capabilities":{},"clientInfo":{info}}}}}"#,
        id.to_json(),
        Revision::LATEST_LEGACY,
        capabilities,
    )
}

/// The answer to `server/discover`, made of the one to `initialize`.
pub(super) fn discovered(hello: &Message, id: &Id) -> String {
    let said = |key: &str| hello.result().and_then(|result| result.get(key));
    let capabilities = tasks::without(said("capabilities"));
    let instructions = match said("instructions").filter(|text| text.kind() == NodeKind::String) {
        Some(text) => format!(r#","instructions":{}"#, text.raw()),
        None => String::new(),
    };
    let meta = match said("serverInfo") {
        Some(info) => format!(r#","_meta":{{{}:{}}}"#, quote(meta::SERVER_INFO), info.raw()),
        None => String::new(),
    };
    format!(
        r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"complete","supportedVersions":["{}"],"capabilities":{}{instructions},"ttlMs":0,"cacheScope":"private"{meta}}}}}"#,
        id.to_json(),
        Revision::V2026_07_28,
        capabilities,
    )
}

/// The result that asks the client what the server asks.
pub(super) fn input_required(id: &Id, state: &str, asked: impl Iterator<Item = (String, String)>) -> String {
    let asked: Vec<_> = asked.map(|(key, request)| format!("{}:{request}", quote(&key))).collect();
    format!(
        r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"input_required","inputRequests":{{{}}},"requestState":{}}}}}"#,
        id.to_json(),
        asked.join(","),
        quote(state),
    )
}

/// A server's request as one that the client is asked in a result.
pub(super) fn input_request(request: &Message) -> String {
    let params = request.params().map(|params| format!(r#","params":{}"#, params.raw())).unwrap_or_default();
    format!(r#"{{"method":{}{params}}}"#, quote(request.method().unwrap_or_default()))
}

/// Whether a client that has declared `capabilities` can be asked this.
pub(super) fn can_answer(capabilities: Option<Value<'_>>, asked: &Message) -> bool {
    let can = |path: &[&str]| {
        capabilities.and_then(|declared| declared.at(path)).is_some_and(|it| it.kind() == NodeKind::Object)
    };
    let of = |name: &str| asked.params().and_then(|params| params.get(name));
    match asked.method().unwrap_or_default() {
        method::ROOTS_LIST => can(&["roots"]),
        method::SAMPLING_CREATE_MESSAGE => can(&["sampling"]) && (of("tools").is_none() || can(&["sampling", "tools"])),
        method::ELICITATION_CREATE if of("mode").is_some_and(|mode| mode.is_text("url")) => {
            can(&["elicitation", "url"])
        }
        // The capability without a mode means forms.
        method::ELICITATION_CREATE => {
            can(&["elicitation", "form"]) || (can(&["elicitation"]) && !can(&["elicitation", "url"]))
        }
        _ => false,
    }
}

/// Whether a question can be put to the client as the answer to `request`.
pub(super) fn can_be_asked(request: &Message, question: &Message) -> bool {
    may_be_asked_back(request.method().unwrap_or_default())
        && can_answer(meta::Meta::of(request).client_capabilities(), question)
}

/// What is asked, whatever the id and `_meta` and whichever questions have been answered: a retry must ask the same.
pub(super) fn essence(request: &Message) -> Digest {
    let members = request.params().into_iter().flat_map(Value::members);
    let kept = members.filter(|(key, _)| !["_meta", ANSWERS, STATE].iter().any(|name| key.is_text(name)));
    let mut kept: Vec<_> = kept.map(|(key, value)| format!("{}:{}", quote(&key.text()), canonical(value))).collect();
    kept.sort();
    Digest::of_canonical(&format!("{}\n{}", request.method().unwrap_or_default(), kept.join(",")))
}

/// What of a request has to be known while its client is asked; `None` if even that is large.
pub(super) fn gist(request: &Message, limits: &Limits) -> Option<Message> {
    const KEPT: [&str; 3] = [meta::PROGRESS_TOKEN, meta::LOG_LEVEL, meta::CLIENT_CAPABILITIES];
    let of_client = meta::Meta::of(request);
    let member = |(key, value): (&str, Value<'_>)| format!("{}:{}", quote(key), value.raw());
    let kept = KEPT.into_iter().filter_map(|key| Some((key, of_client.get(key)?)));
    let name = request.params().and_then(|params| params.get("name"));
    let name = name.map(|name| format!("{},", member(("name", name)))).unwrap_or_default();
    let kept: Vec<_> = kept.map(member).collect();
    let (id, method, kept) = (request.id()?.to_json(), quote(request.method()?), kept.join(","));
    let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{{{name}"_meta":{{{kept}}}}}}}"#);
    (text.len() <= GIST).then(|| Message::parse(text, limits).ok()).flatten()
}

/// How severe a log message is; unknown words are as severe as can be, so that nothing is lost.
pub(super) fn severity(level: &str) -> usize {
    const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
    LEVELS.iter().position(|known| *known == level).unwrap_or(LEVELS.len())
}

#[cfg(test)]
mod tests;
