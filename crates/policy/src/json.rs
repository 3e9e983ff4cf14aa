//! Arguments as they were sent: a number keeps its digits, for what rounds it could decide about another one.

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(Box<str>),
    /// A text.
    Text(Box<str>),
    /// An array.
    List(Vec<Json>),
    /// An object, whose keys are unique.
    Object(Vec<(Box<str>, Json)>),
}

impl Json {
    /// The member of an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|(name, _)| &**name == key).map(|(_, value)| value),
            _ => None,
        }
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number) => Json::Number(number.to_string().into()),
            Value::String(text) => Json::Text(text.as_str().into()),
            Value::Array(elements) => Json::List(elements.iter().map(Json::from).collect()),
            Value::Object(members) => {
                Json::Object(members.iter().map(|(key, value)| (key.as_str().into(), value.into())).collect())
            }
        }
    }
}

/// The digits after the point that Cedar's `decimal` has.
const PLACES: i32 = 4;

/// A number in units of the last of those places, if it is exactly that.
fn scaled(number: &str) -> Option<i64> {
    let (number, exponent) = match number.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    if digits == 0 {
        return Some(0);
    }
    let places = exponent.checked_add(PLACES)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let power = 10_i128.checked_pow(places.unsigned_abs())?;
    let value = if places >= 0 { digits.checked_mul(power)? } else { (digits % power == 0).then(|| digits / power)? };
    value.try_into().ok()
}

/// The integer that a number is.
pub(crate) fn integer(number: &str) -> Option<i64> {
    if let Ok(plain) = number.parse() {
        return Some(plain);
    }
    let unit = 10_i64.pow(PLACES.unsigned_abs());
    scaled(number).filter(|value| value % unit == 0).map(|value| value / unit)
}

/// The decimal that a number is, as Cedar writes it.
pub(crate) fn decimal(number: &str) -> Option<String> {
    let value = scaled(number)?;
    let (sign, unit) = (if value < 0 { "-" } else { "" }, 10_u64.pow(PLACES.unsigned_abs()));
    Some(format!("{sign}{}.{:04}", value.unsigned_abs() / unit, value.unsigned_abs() % unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_nothing() {
        for (text, whole, exact) in [
            ("0", Some(0), Some("0.0000")),
            ("-0", Some(0), Some("0.0000")),
            ("500", Some(500), Some("500.0000")),
            ("500.0", Some(500), Some("500.0000")),
            ("5e2", Some(500), Some("500.0000")),
            ("5E+2", Some(500), Some("500.0000")),
            ("50000e-2", Some(500), Some("500.0000")),
            ("500.00000000000000001", None, None),
            ("0.1", None, Some("0.1000")),
            ("-0.0001", None, Some("-0.0001")),
            ("0.00001", None, None),
            ("1.5", None, Some("1.5000")),
            ("9223372036854775807", Some(i64::MAX), None),
            ("9223372036854775808", None, None),
            ("922337203685477.5807", None, Some("922337203685477.5807")),
            ("1e400", None, None),
            ("1e-400", None, None),
            ("1e99999999999", None, None),
            ("0e99999999999", None, None),
        ] {
            assert_eq!(integer(text), whole, "{text}");
            assert_eq!(decimal(text).as_deref(), exact, "{text}");
        }
    }
}
