//! Headers that repeat single arguments of a tool, as its input schema asks with `x-mcp-header`.

use std::borrow::Cow;

use thiserror::Error;

use super::{Headers, Mismatch, PARAM_PREFIX, Problem, encode};
use crate::document::{NodeKind, Value};

const ANNOTATION: &str = "x-mcp-header";

/// One argument that a header repeats.
#[derive(Debug, Clone)]
pub struct Param<'s> {
    /// The keys from the arguments to the value.
    pub path: Vec<Cow<'s, str>>,
    /// The name of the header, in lower case.
    pub header: String,
    /// Whether the schema says `integer`, so that `42` and `42.0` are the same.
    pub integer: bool,
}

/// An annotation that makes the definition of its tool invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadAnnotation {
    /// Not on a property that is reached from the root through `properties` alone.
    #[error("x-mcp-header stands where no header could be derived from the arguments")]
    Misplaced,
    /// Not a string that can be part of a header's name.
    #[error("x-mcp-header is not an HTTP token")]
    NotToken,
    /// On a property that is not of one of the types `string`, `integer` and `boolean`.
    #[error("x-mcp-header is on a property that is no string, integer or boolean")]
    NotScalar,
    /// Two properties ask for the same header.
    #[error("x-mcp-header names the same header twice")]
    Repeated,
}

/// The arguments that headers repeat, according to the input schema of a tool.
///
/// # Errors
/// If one annotation breaks the rules: clients then take no notice of the tool.
pub fn declared_params(schema: Value<'_>) -> Result<Vec<Param<'_>>, BadAnnotation> {
    let mut params = Vec::new();
    walk(schema, Some(&mut Vec::new()), &mut params)?;
    let mut headers: Vec<&str> = params.iter().map(|param| &*param.header).collect();
    headers.sort_unstable();
    if headers.iter().zip(headers.iter().skip(1)).any(|(left, right)| left == right) {
        return Err(BadAnnotation::Repeated);
    }
    Ok(params)
}

/// Compares the headers of a tools/call with its arguments.
///
/// # Errors
/// The first header that is missing or wrong.
pub fn check_params<'h>(
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    params: &[Param<'_>],
    arguments: Option<Value<'_>>,
) -> Result<(), Mismatch> {
    let headers = Headers::of_mcp(headers);
    for param in params {
        let found = headers.get(&param.header)?;
        let problem = match (found, param.value(arguments)) {
            (None, None) => continue,
            (Some(_), None) => Problem::Unexpected,
            (None, Some(_)) => Problem::Missing,
            (Some(found), Some(value)) if param.matches(&found, value) => continue,
            _ => Problem::Differs,
        };
        return Err(Mismatch::new(&*param.header, problem));
    }
    Ok(())
}

/// The headers that repeat these arguments, names in lower case, values fit to be sent.
#[must_use]
pub fn regenerate_params(params: &[Param<'_>], arguments: Option<Value<'_>>) -> Vec<(String, String)> {
    params
        .iter()
        .filter_map(|param| Some((param.header.clone(), encode(&written(param.value(arguments)?)).into_owned())))
        .collect()
}

impl Param<'_> {
    /// The argument, if it is there and of a type that headers repeat; an explicit `null` counts as not there.
    fn value<'v>(&self, arguments: Option<Value<'v>>) -> Option<Value<'v>> {
        let value = self.path.iter().try_fold(arguments?, |value, key| value.get(key))?;
        let scalar = matches!(value.kind(), NodeKind::String | NodeKind::Number | NodeKind::True | NodeKind::False);
        scalar.then_some(value)
    }

    fn matches(&self, found: &str, value: Value<'_>) -> bool {
        if found == written(value) {
            return true;
        }
        // A header is a plain decimal; an exponent is understood in the body only.
        self.integer
            && value.kind() == NodeKind::Number
            && !found.contains(['e', 'E'])
            && Decimal::read(found).is_some_and(|number| Some(number) == Decimal::read(value.raw()))
    }
}

/// What a header says for a scalar. A number with an exponent is written out, because others compare plain decimals.
fn written(value: Value<'_>) -> Cow<'_, str> {
    match value.kind() {
        NodeKind::String => value.text(),
        NodeKind::Number if value.raw().contains(['e', 'E']) => {
            let plain = Decimal::read(value.raw()).and_then(|number| number.integer());
            plain.map_or(Cow::Borrowed(value.raw()), Cow::Owned)
        }
        _ => Cow::Borrowed(value.raw()),
    }
}

/// `path` leads here if only `properties` were passed, else it is `None`. The scanner has bounded the depth.
fn walk<'s>(
    schema: Value<'s>,
    mut path: Option<&mut Vec<Cow<'s, str>>>,
    params: &mut Vec<Param<'s>>,
) -> Result<(), BadAnnotation> {
    for (key, value) in schema.members() {
        match &*key.text() {
            ANNOTATION => {
                let path = path.as_deref().filter(|path| !path.is_empty()).ok_or(BadAnnotation::Misplaced)?;
                params.push(param(schema, value, path.clone())?);
            }
            "properties" => {
                for (name, property) in value.members() {
                    if let Some(path) = path.as_deref_mut() {
                        path.push(name.text());
                        walk(property, Some(path), params)?;
                        path.pop();
                    } else {
                        walk(property, None, params)?;
                    }
                }
            }
            "items"
            | "contains"
            | "additionalItems"
            | "unevaluatedItems"
            | "additionalProperties"
            | "propertyNames"
            | "unevaluatedProperties"
            | "not"
            | "if"
            | "then"
            | "else"
            | "contentSchema"
            | "allOf"
            | "anyOf"
            | "oneOf"
            | "prefixItems" => {
                walk(value, None, params)?;
                value.elements().try_for_each(|element| walk(element, None, params))?;
            }
            "patternProperties" | "dependentSchemas" | "dependencies" | "$defs" | "definitions" => {
                value.members().try_for_each(|(_, schema)| walk(schema, None, params))?;
            }
            // Everything else is no schema: data such as `default` and `const` may hold any key.
            _ => {}
        }
    }
    Ok(())
}

fn param<'s>(schema: Value<'s>, name: Value<'s>, path: Vec<Cow<'s, str>>) -> Result<Param<'s>, BadAnnotation> {
    let name = name.as_str().filter(|name| is_token(name)).ok_or(BadAnnotation::NotToken)?;
    let kind = schema.get("type").filter(|kind| ["string", "integer", "boolean"].iter().any(|name| kind.is_text(name)));
    let integer = kind.ok_or(BadAnnotation::NotScalar)?.is_text("integer");
    Ok(Param { path, header: format!("{PARAM_PREFIX}{}", name.to_ascii_lowercase()), integer })
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A decimal number in its one normal form: 0.`digits` times ten to the `exponent`, without zeros at either end.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn read(text: &str) -> Option<Decimal> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain(whole) || !plain(fraction) {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        let digits = significant.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Decimal { negative: false, digits, exponent: 0 });
        }
        let leading = i64::try_from(all.len() - significant.len()).ok()?;
        let exponent = i64::from(exponent) + i64::try_from(whole.len()).ok()? - leading;
        Some(Decimal { negative, digits, exponent })
    }

    /// Written out, if it is an integer of a size that anybody would write out.
    fn integer(&self) -> Option<String> {
        let width = usize::try_from(self.exponent).ok().filter(|width| *width <= 40)?;
        if self.digits.is_empty() {
            return Some("0".to_owned());
        }
        let sign = if self.negative { "-" } else { "" };
        (self.digits.len() <= width).then(|| format!("{sign}{:0<width$}", self.digits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::scan;
    use crate::{Document, Limits};

    fn json(text: &str) -> Document {
        scan(text.to_owned().into(), &Limits::default()).unwrap()
    }

    const SCHEMA: &str = r#"{"type":"object","properties":{
        "region":{"type":"string","x-mcp-header":"Region"},
        "count":{"type":"integer","x-mcp-header":"Count"},
        "flag":{"type":"boolean","x-mcp-header":"Flag"},
        "plain":{"type":"string"},
        "deep":{"type":"object","properties":{"id":{"type":"string","x-mcp-header":"Deep-Id"}}}}}"#;

    #[test]
    fn headers_are_held_against_the_arguments() {
        let wrong = |header: &str, problem| Err(Mismatch::new(header, problem));
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Result<(), Mismatch>);
        let cases: &[Case<'_>] = &[
            ("{}", &[], Ok(())),
            (r#"{"region":"eu"}"#, &[("Mcp-Param-Region", "eu")], Ok(())),
            (r#"{"region":"\u00e9"}"#, &[("mcp-param-region", "=?base64?w6k=?=")], Ok(())),
            (r#"{"region":"eu"}"#, &[], wrong("mcp-param-region", Problem::Missing)),
            (r#"{"region":"eu"}"#, &[("mcp-param-region", "EU")], wrong("mcp-param-region", Problem::Differs)),
            (r#"{"region":null}"#, &[("mcp-param-region", "eu")], wrong("mcp-param-region", Problem::Unexpected)),
            (r#"{"region":null}"#, &[], Ok(())),
            (r#"{"region":["eu"]}"#, &[("mcp-param-region", "eu")], wrong("mcp-param-region", Problem::Unexpected)),
            (
                r#"{"region":"a"}"#,
                &[("mcp-param-region", "=?base64?YQ?=")],
                wrong("mcp-param-region", Problem::Malformed),
            ),
            (
                r#"{"region":"a"}"#,
                &[("mcp-param-region", "a"), ("Mcp-Param-Region", "b")],
                wrong("mcp-param-region", Problem::Repeated),
            ),
            (r#"{"count":42}"#, &[("mcp-param-count", "42")], Ok(())),
            (r#"{"count":42}"#, &[("mcp-param-count", "42.0")], Ok(())),
            (r#"{"count":42.0}"#, &[("mcp-param-count", "42")], Ok(())),
            (r#"{"count":4.2e1}"#, &[("mcp-param-count", "42")], Ok(())),
            (r#"{"count":0}"#, &[("mcp-param-count", "-0.0")], Ok(())),
            (r#"{"count":42}"#, &[("mcp-param-count", "4.2e1")], wrong("mcp-param-count", Problem::Differs)),
            (r#"{"count":42}"#, &[("mcp-param-count", "0x2a")], wrong("mcp-param-count", Problem::Differs)),
            (
                r#"{"count":9007199254740993}"#,
                &[("mcp-param-count", "9007199254740992")],
                wrong("mcp-param-count", Problem::Differs),
            ),
            (r#"{"flag":true}"#, &[("mcp-param-flag", "true")], Ok(())),
            (r#"{"flag":true}"#, &[("mcp-param-flag", "1")], wrong("mcp-param-flag", Problem::Differs)),
            (r#"{"deep":{"id":"x"}}"#, &[("mcp-param-deep-id", "x")], Ok(())),
            (r#"{"deep":{"id":"x"}}"#, &[], wrong("mcp-param-deep-id", Problem::Missing)),
            (r#"{"plain":"x"}"#, &[("mcp-param-other", "y")], Ok(())),
        ];
        let schema = json(SCHEMA);
        let params = declared_params(schema.root()).unwrap();
        for (arguments, headers, expected) in cases {
            let document = json(arguments);
            let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
            assert_eq!(check_params(headers, &params, Some(document.root())), *expected, "{arguments}");
        }
        assert_eq!(check_params(std::iter::empty(), &params, None), Ok(()));
    }

    #[test]
    fn headers_are_made_from_the_arguments() {
        let arguments = r#"{"region":"\u00e9","count":5e2,"flag":false,"deep":{"id":" "},"plain":"x"}"#;
        let (schema, arguments) = (json(SCHEMA), json(arguments));
        let params = declared_params(schema.root()).unwrap();
        let made = regenerate_params(&params, Some(arguments.root()));
        let expected = [
            ("mcp-param-region", "=?base64?w6k=?="),
            ("mcp-param-count", "500"),
            ("mcp-param-flag", "false"),
            ("mcp-param-deep-id", "=?base64?IA==?="),
        ];
        assert_eq!(made.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>(), expected);
        let headers = made.iter().map(|(name, value)| (&**name, value.as_bytes()));
        assert_eq!(check_params(headers, &params, Some(arguments.root())), Ok(()));
    }

    #[test]
    fn annotations_are_held_to_their_rules() {
        use BadAnnotation::{Misplaced, NotScalar, NotToken, Repeated};
        let property = |text: &str| format!(r#"{{"properties":{{"a":{text}}}}}"#);
        let cases = [
            (property(r#"{"type":"string","x-mcp-header":"A"}"#), Ok(1)),
            (property(r#"{"type":"string","x-mcp-header":""}"#), Err(NotToken)),
            (property(r#"{"type":"string","x-mcp-header":"a:b"}"#), Err(NotToken)),
            (property(r#"{"type":"string","x-mcp-header":"a\r\nb"}"#), Err(NotToken)),
            (property(r#"{"type":"string","x-mcp-header":1}"#), Err(NotToken)),
            (property(r#"{"type":"number","x-mcp-header":"A"}"#), Err(NotScalar)),
            (property(r#"{"type":["string","null"],"x-mcp-header":"A"}"#), Err(NotScalar)),
            (property(r#"{"x-mcp-header":"A"}"#), Err(NotScalar)),
            (property(r#"{"items":{"type":"string","x-mcp-header":"A"}}"#), Err(Misplaced)),
            (property(r#"{"items":{"properties":{"b":{"type":"string","x-mcp-header":"A"}}}}"#), Err(Misplaced)),
            (property(r#"{"oneOf":[{"type":"string","x-mcp-header":"A"}]}"#), Err(Misplaced)),
            (property(r#"{"default":{"x-mcp-header":"A"},"enum":[{"x-mcp-header":"A"}]}"#), Ok(0)),
            (r#"{"$defs":{"a":{"type":"string","x-mcp-header":"A"}}}"#.to_owned(), Err(Misplaced)),
            (r#"{"type":"string","x-mcp-header":"A"}"#.to_owned(), Err(Misplaced)),
            (
                r#"{"properties":{"x-mcp-header":{"type":"string"},"default":{"type":"string","x-mcp-header":"A"}}}"#
                    .to_owned(),
                Ok(1),
            ),
            (
                r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#
                    .to_owned(),
                Err(Repeated),
            ),
            ("true".to_owned(), Ok(0)),
        ];
        for (schema, expected) in cases {
            let document = json(&schema);
            assert_eq!(declared_params(document.root()).map(|params| params.len()), expected, "{schema}");
        }
    }

    #[test]
    fn decimals_have_one_normal_form() {
        let same = [("1", "1.0"), ("100", "1e2"), ("0.5", "5E-1"), ("-0", "0"), ("007", "7"), ("1.50e+1", "15")];
        for (left, right) in same {
            assert_eq!(Decimal::read(left), Decimal::read(right), "{left} {right}");
        }
        for (left, right) in
            [("1", "-1"), ("1", "10"), ("0.1", "0.01"), ("12345678901234567890", "12345678901234567891")]
        {
            assert_ne!(Decimal::read(left), Decimal::read(right), "{left} {right}");
        }
        for wrong in ["", "-", ".5", "5.", "1_0", " 1", "0x1", "1e99999999999"] {
            assert_eq!(Decimal::read(wrong), None, "{wrong}");
        }
    }
}
