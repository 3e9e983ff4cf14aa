//! What became of a request: what the client got, and what the gateway's log says about it.

use std::path::{Path, PathBuf};

use bartizan_audit::{Id, Record, find, iter};
use serde_json::Value;

use crate::client::ClientError;
use crate::{Role, Seen, Stop};

/// Reads the gateway's log beside what the client gets.
pub(crate) struct Witness {
    log: PathBuf,
}

impl Witness {
    pub(crate) fn of(log: &Path) -> Self {
        Witness { log: log.to_owned() }
    }

    /// What became of a request whose result should satisfy `sound`.
    pub(crate) fn judge(&self, answer: &Result<Value, ClientError>, sound: impl FnOnce(&Value) -> bool) -> Seen {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return otherwise(error.to_string()),
        };
        if let Some(id) = decision(answer) {
            return self.refused(answer, id).unwrap_or_else(otherwise);
        }
        match answer.get("result") {
            Some(result) if sound(result) => Seen::Passed,
            Some(result) => otherwise(format!("the client got {result}")),
            None => otherwise(format!("the server refused: {answer}")),
        }
    }

    /// What became of a request that should not be answered: whatever the server itself answers came through.
    pub(crate) fn judge_through(&self, answer: &Result<Value, ClientError>) -> Seen {
        match answer {
            Ok(answer) if decision(answer).is_none() && answer.get("error").is_some() => Seen::Passed,
            answer => self.judge(answer, |_| true),
        }
    }

    /// A refusal that the log confirms.
    fn refused(&self, answer: &Value, id: &str) -> Result<Seen, String> {
        let id: Id = id.parse().map_err(|_| format!("the decision {id} is no id"))?;
        let record = find(&self.log, id).map_err(|fault| fault.to_string())?;
        let entry = record.ok_or_else(|| format!("the log does not know the decision {id}"))?.value();
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        if text("decision") != "deny" || Some(&*text("rule")) != rule(answer) {
            return Err(format!("the log has another reason for the decision {id}"));
        }
        Ok(Seen::Stopped(Stop { rule: text("rule"), why: text("why"), decision: id.to_string() }))
    }

    /// Why the last list of a server does not hold this tool.
    pub(crate) fn withheld(&self, server: Role, tool: &str) -> Option<Stop> {
        self.edited(server, ("method", "tools/list"), ("deny", Some(tool)))
    }

    /// What was taken out of the last result of a tool.
    pub(crate) fn cleaned(&self, server: Role, tool: &str) -> Option<Stop> {
        self.edited(server, ("tool", tool), ("redact", None))
    }

    /// What was taken out of the last message from a server that has this member in the log, by that action; of a list only
    /// what is about this definition.
    fn edited(
        &self,
        server: Role,
        (member, value): (&str, &str),
        (action, subject): (&str, Option<&str>),
    ) -> Option<Stop> {
        let is = |entry: &Value, key: &str, value: &str| entry.get(key).is_some_and(|held| *held == value);
        let wanted = |record: &Record| {
            let entry = record.value();
            is(&entry, "server", server.name()) && is(&entry, member, value) && is(&entry, "decision", "transform")
        };
        let record = iter(&self.log).ok()?.filter_map(Result::ok).filter(wanted).last()?;
        let entry = record.value();
        let findings = entry.get("findings")?.as_array()?.iter().filter(|finding| {
            is(finding, "action", action) && subject.is_none_or(|subject| is(finding, "subject", subject))
        });
        let said = |key: &'static str| {
            findings.clone().filter_map(move |finding| finding.get(key)?.as_str()).collect::<Vec<_>>()
        };
        let rule = said("rule").first().copied()?.to_owned();
        Some(Stop { rule, why: said("why").join("; "), decision: record.id.to_string() })
    }
}

pub(crate) fn otherwise(why: impl Into<String>) -> Seen {
    Seen::Otherwise { why: why.into() }
}

/// The text of a result's only content.
pub(crate) fn text(result: &Value) -> Option<&str> {
    match result.get("content")?.as_array()?.as_slice() {
        [only] => only.get("text")?.as_str(),
        _ => None,
    }
}

/// The beginning of what the client was told, if it came from the server.
pub(crate) fn reached(answer: &Result<Value, ClientError>, seen: &Seen) -> Option<String> {
    let answer = answer.as_ref().ok().filter(|_| *seen == Seen::Passed)?;
    let of_error = || answer.pointer("/error/message")?.as_str();
    let told = answer.get("result").and_then(text).or_else(of_error)?;
    Some(told.chars().take(LONGEST).collect())
}

/// Characters of an answer that are shown.
const LONGEST: usize = 200;

/// Whether a text holds Unicode tag characters, which no font shows.
pub(crate) fn hides(text: &str) -> bool {
    text.contains(|character| matches!(character, '\u{e0000}'..='\u{e007f}'))
}

/// The description of a tool in a list.
pub(crate) fn description<'a>(result: &'a Value, tool: &str) -> Option<&'a str> {
    let tools = result.get("tools")?.as_array()?;
    tools.iter().find(|held| held.get("name").is_some_and(|name| name == tool))?.get("description")?.as_str()
}

/// The names of the tools in a list.
pub(crate) fn tools(result: &Value) -> Vec<&str> {
    let tools = result.get("tools").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    tools.iter().filter_map(|tool| tool.get("name")?.as_str()).collect()
}

fn rule(answer: &Value) -> Option<&str> {
    let places = ["/result/_meta/bartizan~1rule", "/error/data/rule"];
    places.into_iter().find_map(|place| answer.pointer(place)?.as_str())
}

/// The decision that a refusal of the gateway's names: in the error, or in the text that a model gets to read.
fn decision(answer: &Value) -> Option<&str> {
    rule(answer)?;
    if let Some(id) = answer.pointer("/error/data/decision").and_then(Value::as_str) {
        return Some(id);
    }
    text(answer.get("result")?)?.rsplit_once("Decision ")?.1.strip_suffix('.')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_is_known_by_its_decision() {
        let told = json!([{"type": "text", "text": "Blocked by bartizan: no (a.b). Decision 01X."}]);
        let cases = [
            (json!({"result": {"content": told, "_meta": {"bartizan/rule": "a.b"}}}), Some("01X")),
            (json!({"result": {"content": told}}), None),
            (json!({"error": {"code": -31001, "data": {"rule": "a.b", "decision": "01X"}}}), Some("01X")),
            (json!({"error": {"code": -32601, "message": "no"}}), None),
            (json!({}), None),
        ];
        for (answer, expected) in cases {
            assert_eq!(decision(&answer), expected, "{answer}");
        }
    }

    #[test]
    fn what_the_server_answers_itself_came_through() {
        let witness = Witness::of(Path::new("/nowhere"));
        let told = json!([{"type": "text", "text": "42"}]);
        let claimed = json!({"error": {"data": {"rule": "a.b", "decision": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}}});
        for (answer, through) in [
            (json!({"result": {"content": told}}), Some("42")),
            (json!({"error": {"code": -32602, "message": "b: a number"}}), Some("b: a number")),
            (claimed, None),
            (json!({}), None),
        ] {
            let answer = Ok(answer);
            let seen = witness.judge_through(&answer);
            assert_eq!((seen == Seen::Passed, reached(&answer, &seen).as_deref()), (through.is_some(), through));
        }
    }

    #[test]
    fn tags_hide_and_other_unusual_text_does_not() {
        let hidden: String = "send".chars().map(|c| char::from_u32(0xE0000 + u32::from(c)).unwrap()).collect();
        for (text, expected) in [(format!("a{hidden}"), true), ("Crème brûlée, 日本語, 🍮".to_owned(), false)] {
            let list = json!({"tools": [{"name": "a"}, {"name": "t", "description": text}]});
            assert_eq!((description(&list, "t").map(hides), description(&list, "a")), (Some(expected), None));
        }
    }

    #[test]
    fn what_the_log_does_not_confirm_is_not_stopped() {
        let witness = Witness::of(Path::new("/nowhere"));
        let claimed = json!({"error": {"data": {"rule": "a.b", "decision": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}}});
        assert!(matches!(witness.judge(&Ok(claimed), |_| true), Seen::Otherwise { .. }));
        assert_eq!(witness.judge(&Ok(json!({"result": {}})), |_| true), Seen::Passed);
        assert!(matches!(witness.judge(&Ok(json!({"result": {}})), |_| false), Seen::Otherwise { .. }));
    }
}
