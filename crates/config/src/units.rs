//! Durations and sizes, written as people write them.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

/// A duration: a number and one of `ms`, `s`, `min`, `h`, `d`, such as `30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("pattern" = "^[1-9][0-9]*(ms|s|min|h|d)$"))]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Span(Duration::from_secs(seconds))
    }

    pub(crate) fn parse(text: &str) -> Option<Span> {
        let (number, unit) = split(text)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        // Ten years: enough for anything, and far from where adding it to a clock overflows.
        let total = number.checked_mul(millis).filter(|&total| total > 0 && total <= 315_360_000_000)?;
        Some(Span(Duration::from_millis(total)))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = self.0.as_millis();
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
        let (length, unit) = units.into_iter().find(|(length, _)| millis.is_multiple_of(*length)).unwrap_or((1, "ms"));
        serializer.collect_str(&format_args!("{}{unit}", millis / length))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"30s\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                Span::parse(text).ok_or_else(|| {
                    E::custom(format!(
                        "`{text}` is no duration; write a number and one of ms, s, min, h, d, such as \"30s\""
                    ))
                })
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// A number of bytes: an integer, or a number and one of `B`, `kB`, `MB`, `GB` (powers of 1000), `KiB`, `MiB`, `GiB`
/// (powers of 1024), such as `10MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    fn parse(text: &str) -> Option<Size> {
        let (number, unit) = split(text)?;
        let factor = match unit {
            "" | "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.checked_mul(factor).filter(|&bytes| i64::try_from(bytes).is_ok()).map(Size)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"10MB\" or a number of bytes")
            }

            fn visit_i64<E: Error>(self, bytes: i64) -> Result<Size, E> {
                u64::try_from(bytes)
                    .map(Size)
                    .map_err(|_| E::custom(format!("a size cannot be negative, as {bytes} is")))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
                Size::parse(text).ok_or_else(|| {
                    E::custom(format!(
                        "`{text}` is no size; write a number and one of kB, MB, GB, KiB, MiB, GiB, such as \"10MB\""
                    ))
                })
            }
        }
        deserializer.deserialize_any(Bytes)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A number of bytes: an integer, or a number and one of B, kB, MB, GB (powers of 1000), \
                            KiB, MiB, GiB (powers of 1024), such as \"10MB\".",
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": "^[0-9]+ ?(B|[kK]B|MB|GB|KiB|MiB|GiB)?$"},
            ],
        })
    }
}

/// The digits at the start, and the unit behind them.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, unit.strip_prefix(' ').unwrap_or(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in
            [("250ms", 250), ("10s", 10_000), ("5min", 300_000), ("1h", 3_600_000), ("30 d", 2_592_000_000)]
        {
            assert_eq!(Span::parse(text), Some(Span(Duration::from_millis(millis))), "{text}");
        }
        for text in ["", "10", "s", "-1s", "1.5s", "0s", "1 m", "99999999999999999999s", "9999999d", "10S"] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("0", 0), ("10MB", 10_000_000), ("64KiB", 65_536), ("1 GiB", 1 << 30), ("5 B", 5), ("2kB", 2_000)]
        {
            assert_eq!(Size::parse(text), Some(Size(bytes)), "{text}");
        }
        for text in ["", "MB", "-1", "1.5MB", "10mb", "18446744073709551615", "9999999999999GiB"] {
            assert_eq!(Size::parse(text), None, "{text}");
        }
    }
}
