//! What a token says of itself that is no secret, for whoever has to find out why it is refused.
//!
//! **Threat.** What is written into a log is read by more people than may have the token. So only members that name neither
//! somebody nor something secret can be asked for.

use serde_json::{Map, Value};

use super::json;
use super::jws::LONGEST;
use super::key::decode;

/// What stands in a signed text, of which nothing is known to be true.
#[derive(Debug, Default)]
pub struct Seen {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

const OF_HEADER: [&str; 3] = ["typ", "alg", "kid"];
const OF_CLAIMS: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "cnf"];

impl Seen {
    /// Reads what can be read; of a text that is no signed one that is nothing.
    #[must_use]
    pub fn of(text: &str) -> Seen {
        let mut parts = text.split('.').take_while(|_| text.len() <= LONGEST);
        let mut part = || parts.next().and_then(decode).and_then(|bytes| json::object(&bytes)).unwrap_or_default();
        Seen { header: part(), claims: part() }
    }

    /// Whether it has claims, and none of that name.
    #[must_use]
    pub fn lacks(&self, claim: &str) -> bool {
        !self.claims.is_empty() && !self.claims.contains_key(claim)
    }

    /// What stands under a name, as JSON; nothing for one that may not be shown. Of what it is bound to only in which way.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let of = if OF_HEADER.contains(&name) { &self.header } else { &self.claims };
        let value = of.get(name).filter(|_| OF_HEADER.contains(&name) || OF_CLAIMS.contains(&name))?;
        if name == "cnf" {
            let ways: Vec<_> = value.as_object()?.keys().cloned().collect();
            return Some(Value::from(ways).to_string());
        }
        Some(value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::token::encode;

    #[test]
    fn only_what_is_no_secret_is_shown() {
        let part = |value: &Value| encode(value.to_string().as_bytes());
        let header = json!({"alg": "none", "typ": "JWT", "jwk": {"x": "key"}});
        let claims = json!({"aud": ["a", "b"], "sub": "ann", "jti": "secret", "exp": 5, "cnf": {"jkt": "thumb"}});
        let seen = Seen::of(&format!("{}.{}.signature", part(&header), part(&claims)));
        let shown =
            [("alg", "\"none\""), ("typ", "\"JWT\""), ("aud", "[\"a\",\"b\"]"), ("exp", "5"), ("cnf", "[\"jkt\"]")];
        for (name, expected) in shown {
            assert_eq!(seen.get(name).as_deref(), Some(expected), "{name}");
        }
        assert!(seen.lacks("client_id") && !seen.lacks("jti") && !Seen::of("a.b.c").lacks("client_id"));
        for name in ["sub", "jti", "jwk", "iss", ""] {
            assert_eq!(seen.get(name), None, "{name}");
        }
        for text in ["", ".", "a.b.c", "b3BhcXVl", &"e".repeat(LONGEST + 1)] {
            assert_eq!(Seen::of(text).get("alg"), None, "{text}");
        }
    }
}
