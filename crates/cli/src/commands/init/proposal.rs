//! What is proposed, as settings and as the text of a file.

use std::fmt::Write;

use bartizan_audit::rfc3339;
use bartizan_guard::flow::ToolLabel;
use bartizan_guard::learn::{Ask, Draft, Learned, Line};
use serde_json::{Map, Value, json};

use super::SeenTool;
use super::captured::Read;
use super::trial::{Dropped, Tried};
use crate::text::{count, inline, toml_string};

/// Drafts of all tools.
pub(super) struct Proposal {
    drafts: Vec<Draft>,
    further: u64,
    least: u64,
}

const BEFORE: &str = "\
# A proposal of `bartizan init --learn`, to be read before it is used: nothing of it is in force.
# What a model did with a field but pass it on nobody saw: it may have told its user of it. Strike out what is not right,
# and put the rest into the configuration.";

impl Proposal {
    pub(super) fn of(learned: Learned, least: u64) -> Proposal {
        Proposal { drafts: learned.drafts, further: learned.further, least }
    }

    pub(super) fn tools(&self) -> impl Iterator<Item = SeenTool<'_>> {
        self.drafts.iter().map(|draft| SeenTool {
            server: &draft.server,
            tool: &draft.tool,
            calls: draft.calls,
            results: draft.results,
            errors: draft.errors,
            refused: draft.refused,
            sessions: draft.sessions,
            settings: draft.lines.iter().filter(|line| !line.is_doubtful).count(),
            added: added(draft).into_iter().map(ToolLabel::as_str).collect(),
            nothing: draft.nothing.as_deref(),
        })
    }

    /// The tables that it adds, by guard.
    pub(super) fn options(&self) -> Value {
        let tables: Vec<_> = self.drafts.iter().filter_map(|draft| table(draft, &draft.lines)).collect();
        let labels = self.drafts.iter().filter_map(|draft| {
            let labels = draft.labels.as_ref()?.all()?;
            let labels: Vec<_> = labels.into_iter().map(ToolLabel::as_str).collect();
            Some(json!({"name": name(draft), "labels": labels}))
        });
        let labels: Vec<_> = labels.collect();
        let all = [("minimise", tables), ("flow", labels)].into_iter().filter(|(_, tables)| !tables.is_empty());
        let all: Map<_, _> = all.map(|(guard, tables)| (guard.to_owned(), json!({"tool": tables}))).collect();
        if all.is_empty() { Value::Null } else { Value::Object(all) }
    }

    /// Each setting of a tool by itself.
    pub(super) fn each_alone(&self, server: &str, tool: &str) -> Vec<(usize, Value)> {
        let Some(draft) = self.drafts.iter().find(|draft| draft.server == server && draft.tool == tool) else {
            return Vec::new();
        };
        let alone = |(at, line): (usize, &Line)| {
            let table = table(draft, std::slice::from_ref(line))?;
            Some((at, json!({"minimise": {"tool": [table]}})))
        };
        draft.lines.iter().enumerate().filter_map(alone).collect()
    }

    /// Takes these settings of a tool out, or all of them if it is none by itself; what they were, and why.
    pub(super) fn take_out(&mut self, server: &str, tool: &str, alone: &[(usize, String)]) -> Vec<(String, String)> {
        let found = self.drafts.iter_mut().find(|draft| draft.server == server && draft.tool == tool);
        let Some(draft) = found else { return Vec::new() };
        let mut gone = Vec::new();
        let lines = std::mem::take(&mut draft.lines);
        for (at, line) in lines.into_iter().enumerate() {
            let why = alone.iter().find(|(taken, _)| *taken == at).map(|(_, why)| why.clone());
            let why = why.or_else(|| alone.is_empty().then(|| "all settings together have it refused".to_owned()));
            match why.filter(|_| !line.is_doubtful) {
                Some(why) => gone.push((setting(&line.ask), why)),
                None => draft.lines.push(line),
            }
        }
        gone
    }

    pub(super) fn text(&self, read: &Read, tried: &Tried, dropped: &[Dropped]) -> String {
        let mut text = format!("{BEFORE}\n#\n");
        let files = count(read.files.len(), "captured file");
        let span = read.from.zip(read.to).map(|(from, to)| format!(", {} to {}", rfc3339(from), rfc3339(to)));
        let _ = writeln!(text, "# Learned from {files}{}; {}.", span.unwrap_or_default(), tried.sentence());
        for dropped in dropped {
            comment(&mut text, &dropped.sentence());
        }
        for note in read.notes() {
            comment(&mut text, &note);
        }
        if self.further > 0 {
            comment(&mut text, &format!("{} messages are of more tools than are told apart", self.further));
        }
        for draft in &self.drafts {
            write_table(draft, &mut text);
        }
        text.push_str(
            "\n# Labels: what is written stands in the place of what is guessed, and only ever adds to it.\n",
        );
        for draft in &self.drafts {
            write_labels(draft, &mut text);
        }
        let few = self.drafts.iter().filter(|draft| draft.nothing.is_some()).count();
        if few > 0 {
            let _ = writeln!(text, "\n# For {} nothing is proposed (`--least {}`).", count(few, "tool"), self.least);
        }
        for (draft, why) in self.drafts.iter().filter_map(|draft| Some((draft, draft.nothing.as_ref()?))) {
            comment(&mut text, &format!("{}: nothing is proposed: {why} ({})", name(draft), counts(draft)));
        }
        text
    }
}

fn name(draft: &Draft) -> String {
    format!("{}/{}", draft.server, draft.tool)
}

fn added(draft: &Draft) -> Vec<ToolLabel> {
    let labels = draft.labels.as_ref().filter(|labels| labels.kept_back.is_none());
    labels.into_iter().flat_map(|labels| labels.added.iter().map(|(label, _)| *label)).collect()
}

fn counts(draft: &Draft) -> String {
    let Draft { sessions, followed, .. } = draft;
    let of = |number: u64, what: &str| count(usize::try_from(number).unwrap_or(usize::MAX), what);
    let mut not = Vec::new();
    if draft.errors > 0 {
        not.push(of(draft.errors, "error"));
    }
    if draft.refused > 0 {
        not.push(format!("{} refused", draft.refused));
    }
    let not = if not.is_empty() { String::new() } else { format!(" and {} left out", not.join(", ")) };
    let (calls, results, sessions) = (of(draft.calls, "call"), of(draft.results, "result"), of(*sessions, "session"));
    format!("{calls}; {results} of {sessions} read{not}; {followed} had a later call")
}

/// The table with these settings; none without any.
fn table(draft: &Draft, lines: &[Line]) -> Option<Value> {
    let mut table = Map::new();
    let mut drop = Vec::new();
    for line in lines.iter().filter(|line| !line.is_doubtful) {
        match &line.ask {
            Ask::Drop(path) => drop.push(json!(path)),
            other => {
                let (key, value) = key_value(other);
                table.insert(key.to_owned(), value);
            }
        }
    }
    if !drop.is_empty() {
        table.insert("drop".to_owned(), Value::Array(drop));
    }
    (!table.is_empty()).then_some(())?;
    table.insert("server".to_owned(), json!(draft.server));
    table.insert("tool".to_owned(), json!(draft.tool));
    Some(Value::Object(table))
}

fn key_value(ask: &Ask) -> (&'static str, Value) {
    match ask {
        Ask::Drop(path) => ("drop", json!([path])),
        Ask::MaxLength(most) => ("max_length", json!(most)),
        Ask::MaxRows(most) => ("max_rows", json!(most)),
        Ask::Without(kind) => (kind, json!("drop")),
        Ask::Blobs(most) => ("blobs", json!(most)),
    }
}

/// As it is written.
fn setting(ask: &Ask) -> String {
    match ask {
        Ask::Drop(path) => format!("drop = [{}]", toml_string(path)),
        other => {
            let (key, value) = key_value(other);
            format!("{key} = {value}")
        }
    }
}

fn comment(text: &mut String, said: &str) {
    let _ = writeln!(text, "# {}", inline(said));
}

fn write_table(draft: &Draft, text: &mut String) {
    if draft.nothing.is_some() {
        return;
    }
    text.push('\n');
    comment(text, &format!("{}: {}", name(draft), counts(draft)));
    if table(draft, &draft.lines).is_some() {
        let (server, tool) = (toml_string(&draft.server), toml_string(&draft.tool));
        let _ = writeln!(text, "[[guard.minimise.tool]]\nserver = {server}\ntool = {tool}");
    }
    write_drops(draft, text);
    for line in draft.lines.iter().filter(|line| !matches!(line.ask, Ask::Drop(_))) {
        let _ = writeln!(text, "{}  # {}", setting(&line.ask), inline(&line.why));
    }
    draft.notes.iter().for_each(|note| comment(text, note));
}

fn write_drops(draft: &Draft, text: &mut String) {
    let drops = || {
        draft.lines.iter().filter_map(|line| if let Ask::Drop(path) = &line.ask { Some((line, path)) } else { None })
    };
    let in_force = drops().any(|(line, _)| !line.is_doubtful);
    if in_force {
        text.push_str("drop = [\n");
    }
    for (line, path) in drops().filter(|(line, _)| !line.is_doubtful) {
        let _ = writeln!(text, "    {},  # {}", toml_string(path), inline(&line.why));
    }
    if in_force {
        text.push_str("]\n");
    }
    for (line, path) in drops().filter(|(line, _)| line.is_doubtful) {
        let path = toml_string(path);
        comment(text, &format!("to be considered for `drop`, as people read it: {path}: {}", line.why));
    }
}

fn write_labels(draft: &Draft, text: &mut String) {
    let Some(labels) = &draft.labels else { return };
    let names = |labels: &[ToolLabel]| labels.iter().map(|label| label.as_str()).collect::<Vec<_>>().join(", ");
    let guessed = match labels.guessed.as_deref() {
        None => "its definition is not known, so it has all labels".to_owned(),
        Some([]) => "guessed: none".to_owned(),
        Some(guessed) => format!("guessed: {}", names(guessed)),
    };
    let Some(all) = labels.all() else {
        let adds = match &labels.kept_back {
            Some(why) => format!(
                "{}, and {why}",
                labels
                    .added
                    .iter()
                    .map(|(label, why)| format!("traffic suggests {label} ({why})"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            None => "traffic adds nothing".to_owned(),
        };
        return comment(text, &format!("{}: {guessed}; {adds}", name(draft)));
    };
    text.push('\n');
    comment(text, &format!("{}: {guessed}", name(draft)));
    let all: Vec<_> = all.iter().map(|label| toml_string(label.as_str())).collect();
    let _ = writeln!(text, "[[guard.flow.tool]]\nname = {}\nlabels = [{}]", toml_string(&name(draft)), all.join(", "));
    for (label, why) in &labels.added {
        comment(text, &format!("{label}: {why}"));
    }
}

#[cfg(test)]
mod tests {
    use bartizan_guard::learn::LabelDraft;

    use super::*;

    fn hostile() -> Draft {
        let line = |ask, is_doubtful| Line { ask, why: "why\n\u{202e}\u{1b}[2J".to_owned(), is_doubtful };
        Draft {
            server: "s".to_owned(),
            tool: "t\"]\n[[x]]\u{202e}\u{1b}".to_owned(),
            lines: vec![
                line(Ask::Drop("$['a\"b']".to_owned()), false),
                line(Ask::Drop("$['it\\'s']".to_owned()), false),
                line(Ask::Drop("$.notes".to_owned()), true),
                line(Ask::MaxLength(2_000), false),
                line(Ask::Without("images"), false),
                line(Ask::Blobs(4_000), false),
            ],
            labels: Some(LabelDraft {
                guessed: Some(vec![ToolLabel::PublicSink]),
                added: vec![(ToolLabel::PrivateData, "in 1 of 1\n".to_owned())],
                kept_back: None,
            }),
            ..Draft::default()
        }
    }

    fn proposal() -> Proposal {
        let few = Draft {
            server: "s".to_owned(),
            tool: "few\n".to_owned(),
            nothing: Some("1 result".to_owned()),
            ..Draft::default()
        };
        Proposal { drafts: vec![hostile(), few], further: 1, least: 5 }
    }

    #[test]
    fn what_is_written_says_what_is_meant_whatever_servers_call_things() {
        let proposal = proposal();
        let text = proposal.text(&Read::default(), &Tried::default(), &[]);
        assert!(!text.chars().any(|c| c != '\n' && bartizan_mcp::is_unseen(c)), "{text:?}");
        let read: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap()["guard"], proposal.options(), "{text}");
        let table = &proposal.options()["minimise"]["tool"][0];
        assert_eq!(table["drop"], json!(["$['a\"b']", "$['it\\'s']"]));
        assert_eq!(
            (&table["max_length"], &table["images"], &table["blobs"]),
            (&json!(2_000), &json!("drop"), &json!(4_000))
        );
        assert_eq!(proposal.options()["flow"]["tool"][0]["labels"], json!(["private_data", "public_sink"]));
        assert!(text.contains("to be considered for `drop`, as people read it: \"$.notes\""), "{text}");
    }

    #[test]
    fn what_is_taken_out_is_named_and_the_rest_stays() {
        let mut proposal = proposal();
        let tool = hostile().tool;
        assert_eq!(proposal.each_alone("s", &tool).len(), 5, "what is doubtful is not in force");
        assert!(proposal.each_alone("s", "other").is_empty() && proposal.take_out("s", "other", &[]).is_empty());
        let gone = proposal.take_out("s", &tool, &[(3, "no".to_owned())]);
        assert_eq!(gone, [("max_length = 2000".to_owned(), "no".to_owned())]);
        // None by itself: all of them.
        assert_eq!(proposal.take_out("s", &tool, &[]).len(), 4);
        assert_eq!(proposal.options()["minimise"], Value::Null);
    }
}
