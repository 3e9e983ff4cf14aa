//! What somebody is shown of what they agree to.

use bartizan_mcp::{Limits, Message, NodeKind, Value, quote, show};

/// Parameters as they are shown: all that an agreement is about. `_meta` is left out, as it is no part of that; what is in it
/// further down is shown. Nothing if they cannot be read.
#[must_use]
pub fn shown(params: &[u8]) -> Option<String> {
    let read = |params: &str| {
        let whole = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"_","params":{params}}}"#);
        Message::parse(whole, &Limits::AGAIN).ok()
    };
    let message = read(std::str::from_utf8(params).ok()?)?;
    let params = message.params()?;
    if params.kind() != NodeKind::Object {
        return Some(show(params));
    }
    let others = params.members().map(|(key, value)| (key.text(), value)).filter(|(key, _)| key != "_meta");
    let member = |(key, value): (std::borrow::Cow<'_, str>, Value<'_>)| format!("{}:{}", quote(&key), value.raw());
    let rest = format!("{{{}}}", others.map(member).collect::<Vec<_>>().join(","));
    read(&rest)?.params().map(show)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_shown_but_what_is_no_part_of_it() {
        for (params, expected) in [
            (
                r#"{"name":"pay","_meta":{"progressToken":1},"arguments":{"n":1e2}}"#,
                Some("{\n  \"name\": \"pay\",\n  \"arguments\": {\n    \"n\": 1e2\n  }\n}"),
            ),
            (r#"{"\u005fmeta":{}}"#, Some("{}")),
            (r#"{"arguments":{"_meta":"x"}}"#, Some("{\n  \"arguments\": {\n    \"_meta\": \"x\"\n  }\n}")),
            (r#"{"meta":1,"_meta ":2}"#, Some("{\n  \"meta\": 1,\n  \"_meta \": 2\n}")),
            ("{", None),
        ] {
            assert_eq!(shown(params.as_bytes()).as_deref(), expected, "{params}");
        }
    }
}
