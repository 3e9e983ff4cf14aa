//! Random JSON, as a model and as text of every spelling that means the same.

#![allow(dead_code, reason = "each test file uses its part of it")]

use std::collections::HashSet;

use proptest::prelude::*;

/// A JSON value whose numbers keep their text and whose members keep their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Atom(&'static str),
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

pub(crate) fn key() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-e]{1,2}", 1 => any::<String>(), 1 => "[\"\\\\/\u{0}-\u{1f}\u{7f}é😀]{0,4}"]
}

pub(crate) fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_filter("JSON has no infinities", |number| number.is_finite()).prop_map(|n| format!("{n:e}")),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
    ]
}

pub(crate) fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(Json::Atom),
        number().prop_map(Json::Number),
        key().prop_map(Json::Text),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
            members(inner).prop_map(Json::Object),
        ]
    })
}

pub(crate) fn object() -> impl Strategy<Value = Json> {
    members(json()).prop_map(Json::Object)
}

fn members(value: impl Strategy<Value = Json>) -> impl Strategy<Value = Vec<(String, Json)>> {
    proptest::collection::vec((key(), value), 0..6).prop_map(|mut members| {
        let mut seen = HashSet::new();
        members.retain(|(key, _)| seen.insert(key.clone()));
        members
    })
}

/// Where spelling is free, the next number decides.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    choices: Vec<u8>,
    next: usize,
}

impl Style {
    fn next(&mut self) -> u8 {
        self.next += 1;
        self.choices.get(self.next % self.choices.len().max(1)).copied().unwrap_or(0)
    }

    fn space(&mut self) -> &'static str {
        ["", "", "", " ", "\n", "\t\r\n"][usize::from(self.next()) % 6]
    }
}

pub(crate) fn style() -> impl Strategy<Value = Style> {
    proptest::collection::vec(any::<u8>(), 0..30).prop_map(|choices| Style { choices, next: 0 })
}

impl Json {
    /// The text of it in a style.
    pub(crate) fn write(&self, style: &mut Style) -> String {
        let mut out = String::from(style.space());
        match self {
            Json::Atom(word) => out.push_str(word),
            Json::Number(number) => out.push_str(number),
            Json::Text(text) => write_text(text, style, &mut out),
            Json::Array(elements) => {
                let elements: Vec<_> = elements.iter().map(|element| element.write(style)).collect();
                out.push_str(&format!("[{}{}]", elements.join(","), style.space()));
            }
            Json::Object(members) => {
                let members: Vec<_> = members
                    .iter()
                    .map(|(key, value)| {
                        let mut member = String::from(style.space());
                        write_text(key, style, &mut member);
                        member.push_str(style.space());
                        member.push(':');
                        member.push_str(&value.write(style));
                        member
                    })
                    .collect();
                out.push_str(&format!("{{{}{}}}", members.join(","), style.space()));
            }
        }
        out.push_str(style.space());
        out
    }
}

fn write_text(text: &str, style: &mut Style, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        let short = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '/' => "\\/",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            _ => "",
        };
        let must = character < ' ' || character == '"' || character == '\\';
        match style.next() % 8 {
            0 | 1 if !short.is_empty() => out.push_str(short),
            2 => write_units(character, false, out),
            3 => write_units(character, true, out),
            _ if must => write_units(character, false, out),
            _ => out.push(character),
        }
    }
    out.push('"');
}

fn write_units(character: char, upper: bool, out: &mut String) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        let escape = if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
        out.push_str(&escape);
    }
}
