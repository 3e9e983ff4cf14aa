//! The forms in which entries are handed out.

use std::fmt::Write as _;

use bartizan_audit::Record;
use bartizan_mcp::is_unseen;
use clap::ValueEnum;
use serde_json::Value;

use super::export::Written;
use super::ocsf;
use crate::outcome::Failure;

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// JSON lines as they stand in the log, with what proves each of them
    Jsonl,
    /// JSON lines in the words of OCSF 1.6
    Ocsf,
    /// Common Event Format, as SIEMs read it
    Cef,
    /// A table of what most entries have
    Csv,
}

impl Format {
    /// The file of the entries.
    pub(super) fn file(self) -> &'static str {
        match self {
            Format::Jsonl => "entries.jsonl",
            Format::Ocsf => "entries.ocsf.jsonl",
            Format::Cef => "entries.cef",
            Format::Csv => "entries.csv",
        }
    }
}

/// The columns of a table, which are fields of entries.
const COLUMNS: [&str; 14] = [
    "seq",
    "id",
    "at",
    "kind",
    "direction",
    "principal",
    "session",
    "server",
    "method",
    "tool",
    "decision",
    "rule",
    "why",
    "bytes",
];

/// What stands before the first entry.
pub(super) fn head(format: Format, file: &mut Written) -> Result<(), Failure> {
    if format == Format::Csv { file.write(format!("{}\r\n", COLUMNS.join(",")).as_bytes()) } else { Ok(()) }
}

/// Writes one entry.
pub(super) fn entry(format: Format, record: &Record, file: &mut Written) -> Result<(), Failure> {
    match format {
        Format::Jsonl => {
            file.write(record.text().as_bytes())?;
            file.write(b"\n")
        }
        Format::Ocsf => file.write(format!("{}\n", ocsf::event(record)).as_bytes()),
        Format::Cef => file.write(cef(record).as_bytes()),
        Format::Csv => file.write(csv(record).as_bytes()),
    }
}

/// A field as text; nothing if the entry has none.
pub(super) fn text(entry: &Value, field: &str) -> Option<String> {
    match entry.get(field)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// A row of a table (RFC 4180).
fn csv(record: &Record) -> String {
    let entry = record.value();
    let cells = COLUMNS.map(|column| cell(&text(&entry, column).unwrap_or_default()));
    format!("{}\r\n", cells.join(","))
}

/// How a cell begins that is taken for a formula, also as it is written where letters are wide.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

fn cell(text: &str) -> String {
    // Servers choose names, and programs for tables take what begins so for a formula.
    let text = text.chars().map(|c| if is_unseen(c) && !['\t', '\r', '\n'].contains(&c) { '\u{fffd}' } else { c });
    let text: String = text.collect();
    let quote = if text.starts_with(FORMULA) { "'" } else { "" };
    if quote.is_empty() && !text.contains([',', '"', '\r', '\n']) {
        return text;
    }
    format!("\"{quote}{}\"", text.replace('"', "\"\""))
}

/// How grave it is, from 0 to 10.
fn severity(entry: &Value) -> u8 {
    match entry.get("decision").and_then(Value::as_str) {
        Some("deny") => 6,
        Some("approve" | "transform") => 4,
        _ if entry.get("rule").is_some_and(Value::is_string) => 4,
        _ => 1,
    }
}

/// A line of the Common Event Format, version 0.
fn cef(record: &Record) -> String {
    let entry = record.value();
    let of = |field: &str| text(&entry, field);
    let kind = header(&record.kind);
    let name = of("method").map_or_else(|| kind.clone(), |method| format!("{kind} {}", header(&method)));
    let version = env!("CARGO_PKG_VERSION");
    let mut line = format!("CEF:0|Bartizan|Bartizan|{version}|{kind}|{name}|{}|", severity(&entry));
    let fields = [
        ("rt", Some(record.at_micros.div_euclid(1_000).to_string())),
        ("externalId", Some(record.id.to_string())),
        ("cn1Label", Some("seq".to_owned())),
        ("cn1", Some(record.seq.to_string())),
        ("suser", of("principal").or_else(|| of("by")).or_else(|| of("person"))),
        ("duser", of("of")),
        ("dhost", of("host").or_else(|| of("server"))),
        ("dpt", of("port")),
        ("request", of("tool")),
        ("requestMethod", of("method")),
        ("act", of("decision")),
        ("reason", of("rule").or_else(|| of("reason"))),
        ("msg", of("why")),
        ("in", of("bytes")),
        ("cs1Label", of("session").map(|_| "session".to_owned())),
        ("cs1", of("session")),
        ("cs2Label", of("direction").map(|_| "direction".to_owned())),
        ("cs2", of("direction")),
    ];
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    for (number, (name, value)) in fields.enumerate() {
        // Writing to a text cannot fail.
        let _ = write!(line, "{}{name}={}", if number > 0 { " " } else { "" }, extension(&value));
    }
    line + "\n"
}

fn header(text: &str) -> String {
    plain(text).replace('\\', "\\\\").replace('|', "\\|")
}

fn extension(text: &str) -> String {
    plain(&text.replace('\\', "\\\\").replace('=', "\\=").replace('\n', "\\n").replace('\r', "\\r"))
}

/// Without what ends a line, steers a terminal or is not seen.
fn plain(text: &str) -> String {
    text.chars().map(|c| if is_unseen(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &str) -> Record {
        let chain = "0".repeat(64);
        let line = format!(
            r#"{{"seq":7,"id":"01M8CD2C2EZZ2M0R12R4XY0B44","at":"2026-11-26T17:04:52.302337Z","kind":"message",{fields},"chain":"{chain}"}}"#
        );
        Record::parse(line.as_bytes()).unwrap()
    }

    #[test]
    fn a_row_holds_what_it_should_and_no_formula() {
        let row = csv(&record(
            r#""tool":"=cmd|' /C calc'!A0","server":"a,b","why":"\"no\"\nway","bytes":5,"principal":"ann""#,
        ));
        let expected = concat!(
            "7,01M8CD2C2EZZ2M0R12R4XY0B44,2026-11-26T17:04:52.302337Z,message,,ann,,\"a,b\",,",
            "\"'=cmd|' /C calc'!A0\",,,\"\"\"no\"\"\nway\",5\r\n"
        );
        assert_eq!(row, expected);
        assert_eq!(csv(&record(r#""tool":null"#)).matches(',').count(), COLUMNS.len() - 1);
    }

    #[test]
    fn a_line_of_the_common_event_format_stays_one() {
        let line = cef(&record(
            r#""principal":"a=b","method":"tools/call|x","tool":"t\\\n","decision":"deny","rule":"r","why":"\u001b[2J""#,
        ));
        let expected = concat!(
            r"|message|message tools/call\|x|6|rt=1795712692302 externalId=01M8CD2C2EZZ2M0R12R4XY0B44 cn1Label=seq cn1=7 ",
            r"suser=a\=b request=t\\\n requestMethod=tools/call|x act=deny reason=r msg=",
            "\u{fffd}[2J\n"
        );
        assert!(line.starts_with("CEF:0|Bartizan|Bartizan|") && line.ends_with(expected), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}
