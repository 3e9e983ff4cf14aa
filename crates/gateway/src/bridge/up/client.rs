//! What a legacy client has said of itself, and its messages in the form that a stateless server reads.

use bartizan_mcp::{Edits, Limits, Message, NodeKind, Revision, Value, meta, method, quote};

use crate::bridge::tasks;

/// A client that has sent `initialize`.
#[derive(Debug)]
pub(super) struct Client {
    hello: Message,
    /// What it can do, as JSON, without what is not translated.
    capabilities: String,
}

/// A message that has no form which a stateless server reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Untranslatable {
    /// Its `_meta` is no object.
    Meta,
    /// What is added to it makes it larger than a limit.
    TooLarge,
}

/// What belongs to the gateway in a stateless request: a client's own would be taken for answers to questions.
const ANSWERS: [&str; 2] = ["inputResponses", "requestState"];

impl Client {
    pub(super) fn new(initialize: Message) -> Client {
        let capabilities = initialize.params().and_then(|params| params.get("capabilities"));
        let capabilities = tasks::without(capabilities);
        Client { hello: initialize, capabilities }
    }

    /// The revision in which the gateway speaks with it.
    pub(super) fn revision(&self) -> Revision {
        let asked = self.hello.param("protocolVersion").and_then(|version| version.parse::<Revision>().ok());
        let known = asked.filter(|revision| *revision <= Revision::LATEST_LEGACY);
        known.unwrap_or(Revision::LATEST_LEGACY)
    }

    /// Whether it has said that it can answer this request of a server's.
    pub(super) fn can_answer(&self, asked: Value<'_>) -> bool {
        let declared = self.hello.params().and_then(|params| params.get("capabilities"));
        let can = |path: &[&str]| declared.and_then(|declared| declared.at(path)).is_some_and(is_object);
        let of = |name: &str| asked.at(&["params", name]);
        match asked.get("method").and_then(Value::as_str).as_deref() {
            Some(method::ROOTS_LIST) => can(&["roots"]),
            Some(method::SAMPLING_CREATE_MESSAGE) => {
                can(&["sampling"]) && (of("tools").is_none() || can(&["sampling", "tools"]))
            }
            Some(method::ELICITATION_CREATE) if of("mode").is_some_and(|mode| mode.is_text("url")) => {
                can(&["elicitation", "url"])
            }
            // Before there were two modes, the capability alone meant forms.
            Some(method::ELICITATION_CREATE) => {
                can(&["elicitation"]) && (can(&["elicitation", "form"]) || !can(&["elicitation", "url"]))
            }
            _ => false,
        }
    }

    /// The members of `_meta` that a stateless request carries.
    fn meta(&self, level: Option<&str>) -> Vec<(&'static str, String)> {
        let mut members = vec![
            (meta::PROTOCOL_VERSION, quote(Revision::V2026_07_28.as_str())),
            (meta::CLIENT_CAPABILITIES, self.capabilities.clone()),
        ];
        if let Some(info) =
            self.hello.params().and_then(|params| params.get("clientInfo")).filter(|info| is_object(*info))
        {
            members.push((meta::CLIENT_INFO, info.raw().to_owned()));
        }
        if let Some(level) = level {
            members.push((meta::LOG_LEVEL, quote(level)));
        }
        members
    }

    /// A request of the client's as the server is to see it.
    pub(super) fn translated(
        &self,
        request: &Message,
        level: Option<&str>,
        limits: &Limits,
    ) -> Result<Message, Untranslatable> {
        let members = self.meta(level);
        let whole = || object(members.iter().map(|(key, json)| (quote(key), json.clone())));
        let mut edits = Edits::new();
        match request.params() {
            None => edits.insert(request.root().id(), "params", format!(r#"{{"_meta":{}}}"#, whole())),
            Some(params) => {
                for own in ANSWERS.into_iter().filter_map(|name| params.get(name)) {
                    edits.remove(params.id(), own.id());
                }
                match params.get("_meta") {
                    None => edits.insert(params.id(), "_meta", whole()),
                    Some(meta) if is_object(meta) => {
                        for (key, json) in members {
                            match meta.get(key) {
                                Some(claimed) => edits.set_json(claimed.id(), json),
                                None => edits.insert(meta.id(), key, json),
                            }
                        }
                    }
                    Some(_) => return Err(Untranslatable::Meta),
                }
            }
        }
        request.edited(&edits, limits).map_err(|_| Untranslatable::TooLarge)
    }

    /// A request on the gateway's own account; `params` are further members, as JSON.
    pub(super) fn own(&self, id: &str, method: &str, params: &str, limits: &Limits) -> Result<Message, Untranslatable> {
        let meta = object(self.meta(None).into_iter().map(|(key, json)| (quote(key), json)));
        let (id, method) = (quote(id), quote(method));
        let json = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{{"_meta":{meta}{params}}}}}"#);
        Message::parse(json, limits).map_err(|_| Untranslatable::TooLarge)
    }
}

/// The request again, under a new id and with what the client has answered; `responses` is a JSON object.
pub(super) fn again(
    request: &Message,
    id: &str,
    responses: Option<&str>,
    state: Option<&str>,
    limits: &Limits,
) -> Result<Message, Untranslatable> {
    let mut edits = Edits::new();
    if let Some(own) = request.root().get("id") {
        edits.set_text(own.id(), id);
    }
    if let Some(params) = request.params() {
        let [names_responses, names_state] = ANSWERS;
        for (name, json) in [(names_responses, responses), (names_state, state)] {
            if let Some(json) = json {
                edits.insert(params.id(), name, json);
            }
        }
    }
    request.edited(&edits, limits).map_err(|_| Untranslatable::TooLarge)
}

/// An object of members whose keys and values are JSON already.
pub(super) fn object(members: impl IntoIterator<Item = (String, String)>) -> String {
    let members: Vec<_> = members.into_iter().map(|(key, json)| format!("{key}:{json}")).collect();
    format!("{{{}}}", members.join(","))
}

pub(super) fn is_object(value: Value<'_>) -> bool {
    value.kind() == NodeKind::Object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(text.to_owned(), &Limits::default()).unwrap()
    }

    fn client(version: &str, capabilities: &str) -> Client {
        let params = format!(
            r#"{{"protocolVersion":"{version}","capabilities":{capabilities},"clientInfo":{{"name":"c","version":"1"}}}}"#
        );
        Client::new(message(&format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{params}}}"#)))
    }

    const META: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}"#;

    #[test]
    fn requests_say_who_asks() {
        let client = client("2025-06-18", r#"{"roots":{},"tasks":{"list":{}}}"#);
        let level = r#","io.modelcontextprotocol/logLevel":"error""#;
        let check = |request: &str, level: Option<&str>, expected: Result<String, Untranslatable>| {
            let translated = client.translated(&message(request), level, &Limits::default());
            let bytes = translated.map(|message| String::from_utf8(message.bytes().to_vec()).unwrap());
            assert_eq!(bytes, expected, "{request}");
        };
        check(
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
            None,
            Ok(format!(r#"{{"params":{{"_meta":{{{META}}}}},"jsonrpc":"2.0","id":1,"method":"tools/list"}}"#)),
        );
        check(
            r#"{"jsonrpc":"2.0","id":1,"method":"x", "params":{"n": 1.0}}"#,
            Some("error"),
            Ok(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x", "params":{{"_meta":{{{META}{level}}},"n": 1.0}}}}"#)),
        );
        check(
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"progressToken":7}}}"#,
            None,
            Ok(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"_meta":{{{META},"progressToken":7}}}}}}"#)),
        );
        // What only the gateway may say is not the client's to say.
        check(
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"requestState":"s","inputResponses":{"a":{}},"b":1}}"#,
            None,
            Ok(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"_meta":{{{META}}},"b":1}}}}"#)),
        );
        let claimed = r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"1","io.modelcontextprotocol/clientCapabilities":{"sampling":{}},"io.modelcontextprotocol/clientInfo":1}}}"#;
        check(claimed, None, Ok(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"_meta":{{{META}}}}}}}"#)));
        check(r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":[]}}"#, None, Err(Untranslatable::Meta));
        let tight = Limits { bytes: 100, ..Limits::default() };
        let request = message(r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#);
        assert_eq!(client.translated(&request, None, &tight).err(), Some(Untranslatable::TooLarge));
    }

    #[test]
    fn a_request_is_repeated_with_answers_and_the_exact_state() {
        let request = message(r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"n": 1.0}}"#);
        let state = r#""a\u0041\/""#;
        let repeated = again(&request, "bartizan-1", Some(r#"{"k":{}}"#), Some(state), &Limits::default()).unwrap();
        let expected = format!(
            r#"{{"jsonrpc":"2.0","id":"bartizan-1","method":"x","params":{{"inputResponses":{{"k":{{}}}},"requestState":{state},"n": 1.0}}}}"#
        );
        assert_eq!(repeated.bytes(), expected.as_bytes());
    }

    #[test]
    fn revisions_are_agreed_on() {
        let cases = [
            ("2024-11-05", "2024-11-05"),
            ("2025-06-18", "2025-06-18"),
            ("2025-11-25", "2025-11-25"),
            ("2024-10-07", "2025-11-25"),
            ("2026-07-28", "2025-11-25"),
        ];
        for (asked, agreed) in cases {
            assert_eq!(client(asked, "{}").revision().as_str(), agreed, "{asked}");
        }
    }

    #[test]
    fn clients_are_asked_only_what_they_said_they_can_answer() {
        let form = r#"{"method":"elicitation/create","params":{"message":"m","requestedSchema":{}}}"#;
        let url = r#"{"method":"elicitation/create","params":{"mode":"url","url":"https://a.example"}}"#;
        let sampling = r#"{"method":"sampling/createMessage","params":{"messages":[]}}"#;
        let tools = r#"{"method":"sampling/createMessage","params":{"messages":[],"tools":[]}}"#;
        let roots = r#"{"method":"roots/list"}"#;
        let other = r#"{"method":"tools/call"}"#;
        let cases = [
            ("{}", vec![]),
            (r#"{"elicitation":{}}"#, vec![form]),
            (r#"{"elicitation":{"form":{}}}"#, vec![form]),
            (r#"{"elicitation":{"url":{}}}"#, vec![url]),
            (r#"{"elicitation":{"url":{},"form":{}}}"#, vec![form, url]),
            (r#"{"sampling":{}}"#, vec![sampling]),
            (r#"{"sampling":{"tools":{}}}"#, vec![sampling, tools]),
            (r#"{"roots":{"listChanged":true}}"#, vec![roots]),
            (r#"{"roots":null,"elicitation":true}"#, vec![]),
        ];
        for (capabilities, able) in cases {
            let client = client("2025-11-25", capabilities);
            for asked in [form, url, sampling, tools, roots, other] {
                let wrapped = message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{asked}}}"#));
                assert_eq!(
                    client.can_answer(wrapped.result().unwrap()),
                    able.contains(&asked),
                    "{capabilities} {asked}"
                );
            }
        }
    }
}
