//! One entry, and how it becomes a line.

use serde::Serialize;

use crate::chain::Chain;
use crate::error::AuditError;
use crate::id::Id;
use crate::{line, time};

/// The longest line, its newline included. Readers refuse longer ones, so a damaged file cannot exhaust memory.
pub const MAX_ENTRY_BYTES: usize = 1 << 20;

/// What the caller wants recorded.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a, F: ?Sized> {
    /// Names the entry.
    pub id: Id,
    /// When it happened, in microseconds since 1970.
    pub at_micros: i64,
    /// What happened: 1 to 64 of `a-z 0-9 . _ -`.
    pub kind: &'a str,
    /// Anything that serialises as a JSON object; its members stand beside `seq`, `id`, `at`, `kind` and `chain`, so
    /// none may have one of these names. For JSON that is already at hand use [`serde_json::value::RawValue`].
    pub fields: &'a F,
}

/// Replaces the content of `buffer` by the entry's line, newline included, and returns the chain after it.
pub(crate) fn render<F: Serialize + ?Sized>(
    buffer: &mut Vec<u8>,
    seq: u64,
    previous: &Chain,
    entry: &Entry<'_, F>,
) -> Result<Chain, AuditError> {
    if !line::is_kind(entry.kind) {
        return Err(AuditError::Entry("its kind is not 1 to 64 of a-z 0-9 . _ -"));
    }
    let at = time::format(entry.at_micros).ok_or(AuditError::Entry("its time is not in the years 0 to 9999"))?;

    buffer.clear();
    buffer.extend_from_slice(line::SEQ);
    push_number(buffer, seq);
    buffer.extend_from_slice(line::ID);
    buffer.extend_from_slice(entry.id.text(&mut [0; Id::LEN]).as_bytes());
    buffer.extend_from_slice(line::AT);
    buffer.extend_from_slice(&at);
    buffer.extend_from_slice(line::KIND);
    buffer.extend_from_slice(entry.kind.as_bytes());
    buffer.push(b'"');
    push_fields(buffer, entry.fields)?;

    let chain = previous.next(buffer);
    buffer.extend_from_slice(line::CHAIN);
    buffer.extend_from_slice(&chain.hex());
    buffer.extend_from_slice(line::END);
    buffer.push(b'\n');
    if buffer.len() > MAX_ENTRY_BYTES {
        return Err(AuditError::TooLarge { bytes: buffer.len(), max: MAX_ENTRY_BYTES });
    }
    Ok(chain)
}

/// Serialises the fields in place, then turns the opening brace into a comma and drops the closing one.
fn push_fields<F: Serialize + ?Sized>(buffer: &mut Vec<u8>, fields: &F) -> Result<(), AuditError> {
    const OBJECT: AuditError = AuditError::Entry("its fields are not a JSON object");
    let start = buffer.len();
    serde_json::to_writer(&mut *buffer, fields).map_err(AuditError::Serialize)?;
    let Some(open) = buffer.get_mut(start).filter(|open| **open == b'{') else { return Err(OBJECT) };
    *open = b',';
    if buffer.pop() != Some(b'}') {
        return Err(OBJECT);
    }
    let members = buffer.get(start + 1..).unwrap_or_default();
    line::check_members(members).map_err(AuditError::Entry)?;
    if members.trim_ascii().is_empty() {
        buffer.truncate(start);
    }
    Ok(())
}

fn push_number(buffer: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        used += 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    buffer.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::*;

    fn render_one(kind: &str, at_micros: i64, fields: &(impl Serialize + ?Sized)) -> Result<String, AuditError> {
        let mut buffer = b"left over".to_vec();
        let entry = Entry { id: Id::from([0; 16]), at_micros, kind, fields };
        render(&mut buffer, 10, &Chain::genesis(&[0; 16]), &entry)?;
        Ok(String::from_utf8(buffer).unwrap())
    }

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn a_line_is_strict_json_with_the_fields_beside_the_head() {
        let line = render_one("call", 0, &json!({"tool": "echo", "seq2": {"seq": 1}})).unwrap();
        let head = r#"{"seq":10,"id":"00000000000000000000000000","at":"1970-01-01T00:00:00.000000Z","kind":"call","#;
        assert!(line.starts_with(head) && line.ends_with("\"}\n"), "{line}");
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value.get("tool"), Some(&json!("echo")));
        let numbers = r#"{"a":[1e308,-5E-400,123456789012345678901234567890,"1e999"],"b":true}"#;
        assert!(render_one("call", 0, &raw(numbers)).is_ok(), "readers know these");
    }

    #[test]
    fn no_fields_leave_no_comma() {
        for empty in ["{}", "{ }", "{\t}"] {
            let line = render_one("call", 0, &raw(empty)).unwrap();
            assert!(line.contains(r#""kind":"call","chain":""#), "{line}");
        }
    }

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, 12_345, u64::MAX] {
            let mut buffer = Vec::new();
            push_number(&mut buffer, number);
            assert_eq!(buffer, number.to_string().as_bytes());
        }
    }

    #[test]
    fn what_would_not_read_back_is_refused() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100), "]".repeat(100));
        let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_ENTRY_BYTES));
        for fields in [
            "1",
            "[1]",
            r#""{}""#,
            "null",
            r#"{"seq":1}"#,
            r#"{"a":1,"chain":"x"}"#,
            r#"{"a":{"b":1},"id":2}"#,
            r#"{"a":"\"","at":2}"#,
            r#"{"a":"\\","kind":2}"#,
            r#"{"\u006bind":1}"#,
            "{\"a\":\n1}",
            r#"{"a":[-1e999]}"#,
            r#"{"a":{"b":1E+400}}"#,
            &format!(r#"{{"a":{}}}"#, "9".repeat(310)),
            &deep,
            &large,
        ] {
            assert!(render_one("call", 0, &raw(fields)).is_err(), "{fields:.80}");
        }
        for kind in ["", "A", "a b", "a\"", "ä", &"a".repeat(65)] {
            assert!(render_one(kind, 0, &json!({})).is_err(), "{kind}");
        }
        assert!(render_one("call", i64::MAX, &json!({})).is_err());
    }
}
