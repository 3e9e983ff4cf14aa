//! Cache hints: what a server calls public is private once it has passed through here.
//!
//! Threat: a list or a resource that was judged, and perhaps cut, for one principal is kept by a shared cache and given
//! to another one.

use bartizan_mcp::{Edits, Message};

/// The rule under which it is recorded.
pub(crate) const RULE: &str = "gateway.cache_scope";
/// Its reason.
pub(crate) const WHY: &str =
    "the result was for this principal only, so its cacheScope was changed from public to private";

/// What takes `cacheScope: "public"` out of a result, if it is there.
pub(crate) fn make_private(message: &Message) -> Option<Edits> {
    let scope = message.result()?.get("cacheScope").filter(|scope| scope.is_text("public"))?;
    let mut edits = Edits::new();
    edits.set_text(scope.id(), "private");
    Some(edits)
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::Limits;

    use super::*;

    #[test]
    fn only_a_public_scope_is_changed() {
        let result = |result: &str| format!(r#"{{ "jsonrpc":"2.0","id":1,"result":{result}}}"#);
        let cases = [
            (
                r#"{"tools":[],"ttlMs":1.0,"cacheScope":"public" }"#,
                Some(r#"{"tools":[],"ttlMs":1.0,"cacheScope":"private" }"#),
            ),
            (r#"{"cacheScope":"p\u0075blic"}"#, Some(r#"{"cacheScope":"private"}"#)),
            (r#"{"cacheScope":"private"}"#, None),
            (r#"{"cacheScope":["public"]}"#, None),
            (r#"{"structuredContent":{"cacheScope":"public"}}"#, None),
            ("{}", None),
        ];
        for (before, after) in cases {
            let message = Message::parse(result(before), &Limits::default()).unwrap();
            let edited = make_private(&message).map(|edits| edits.apply(message.document()));
            assert_eq!(edited, after.map(|after| result(after).into()), "{before}");
        }
        let request = r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"cacheScope":"public"}}"#;
        assert!(make_private(&Message::parse(request.to_owned(), &Limits::default()).unwrap()).is_none());
    }
}
