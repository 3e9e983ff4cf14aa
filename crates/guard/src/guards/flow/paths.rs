//! What the operator says of files, wherever they stand: in the arguments of a call, or as a resource.
//!
//! **Threat.** Who may read and write files at all reads `/srv/secret` as well as the handbook. What is said of a path has to hold however it is
//! spelled: of one that can be read in several ways, everything is taken to hold that would be stricter.

use bartizan_flow::{FilePath, Leaf, Nature, PathPattern, ToolLabel, ToolLabels, Within, leaves};
use bartizan_mcp::Value;
use schemars::JsonSchema;
use serde::Deserialize;

use super::settings::{LabelName, labels};
use crate::settings::fits;

/// What is known better of files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathEntry {
    /// Which ones: `*` is anything within a part, `**` any number of parts.
    pub path: Pattern,
    /// For which tools and resources: `server/tool`, `server/*`. Without it, for all.
    #[serde(default = "all")]
    pub name: String,
    /// Their labels: what reading them brings, in place of what was guessed; `public_sink`, that everybody can read what is written there; and
    /// `destructive`, that what is written there cannot be taken back.
    pub labels: Vec<LabelName>,
}

fn all() -> String {
    "*".to_owned()
}

impl PathEntry {
    /// Whether all that it is about another one is about as well.
    fn is_part_of(&self, other: &PathEntry) -> bool {
        self.path.0.is_part_of(&other.path.0) && fits(&other.name, &self.name)
    }
}

/// A pattern of paths.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Pattern(PathPattern);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Pattern, String> {
        PathPattern::read(&text).map(Pattern)
    }
}

/// What is known of the files that a call names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// What it brings or does besides.
    pub(super) more: ToolLabels,
    /// What reading them brings, in place of what was guessed, if that is known of each.
    pub(super) instead: Option<ToolLabels>,
}

/// What reading brings.
const BRINGS: [ToolLabel; 2] = [ToolLabel::UntrustedContent, ToolLabel::PrivateData];

impl Files {
    /// Of a call of that tool with these arguments, or with some that nobody knows any more.
    pub(super) fn of(entries: &[PathEntry], name: &str, arguments: Option<Value<'_>>) -> Files {
        let entries: Vec<_> = entries.iter().filter(|entry| fits(&entry.name, name)).collect();
        if entries.is_empty() {
            return Files::default();
        }
        let Some(arguments) = arguments else { return Files { more: every(&entries), instead: None } };
        let (named, others): (Vec<Leaf>, Vec<Leaf>) = leaves(arguments).into_iter().partition(is_file);
        let files = Files::all(named.iter().map(|leaf| Files::of_leaf(&entries, leaf)));
        // Whatever else looks like a path may be one: it is let off nothing, and has the labels of what it would be.
        let others: Vec<Leaf> = others.into_iter().filter(may_be_file).collect();
        let known = others.iter().filter_map(|leaf| FilePath::read(&leaf.text)).map(|path| Files::of_known(&entries, &path));
        let more = known.fold(files.more, |more, other| and(more, other.more));
        Files { more, instead: files.instead.filter(|_| others.is_empty()) }
    }

    /// Of a resource.
    pub(super) fn of_uri(entries: &[PathEntry], server: &str, uri: &str) -> Files {
        let name = format!("{server}/");
        let entries: Vec<_> =
            entries.iter().filter(|entry| fits(&entry.name, &name) || entry.name.starts_with(&name)).collect();
        if is_file_uri(uri.trim_start()) && !entries.is_empty() { Files::of_path(&entries, uri) } else { Files::default() }
    }

    /// Of what a call only names, if it looks like a path.
    pub(super) fn named(entries: &[PathEntry], name: &str, text: &str) -> Files {
        let entries: Vec<_> = entries.iter().filter(|entry| fits(&entry.name, name)).collect();
        let is_path = text.contains(['/', '\\']) && (!text.contains("://") || is_file_uri(text.trim_start()));
        if is_path && !entries.is_empty() { Files::of_path(&entries, text) } else { Files::default() }
    }

    /// Whether reading them brings that, as far as somebody says so.
    pub(super) fn brings(self, label: ToolLabel) -> bool {
        self.more.has(label) || self.instead.is_some_and(|instead| instead.has(label))
    }

    fn of_leaf(entries: &[&PathEntry], leaf: &Leaf) -> Files {
        // What is called a folder is one, whatever its name looks like.
        if leaf.is_folder { Files::of_path(entries, &format!("{}/", leaf.text)) } else { Files::of_path(entries, &leaf.text) }
    }

    fn of_path(entries: &[&PathEntry], text: &str) -> Files {
        // A program may take it for a list.
        let is_list = text.contains([',', ';']);
        match FilePath::read(text).filter(|_| !is_list) {
            Some(path) => Files::of_known(entries, &path),
            None => Files { more: every(entries), instead: None },
        }
    }

    /// Of the entries that are about it, the most specific counts, and of several that are none of another's part, all do.
    fn of_known(entries: &[&PathEntry], path: &FilePath) -> Files {
        let held = |within| entries.iter().filter(move |entry| entry.path.0.holds(path) == within).copied();
        // Whichever it is, none of them is let off.
        let maybe = every(&held(Within::Maybe).collect::<Vec<_>>());
        let about: Vec<&PathEntry> = held(Within::Yes).collect();
        let counts = |entry: &&&PathEntry| !about.iter().any(|other| other.is_part_of(entry) && !entry.is_part_of(other));
        let own = every(&about.iter().filter(counts).copied().collect::<Vec<_>>());
        let is_plain = !about.is_empty() && maybe == ToolLabels::NONE;
        Files { more: and(maybe, own), instead: is_plain.then(|| brought(own)) }
    }

    /// Of several files: all that any of them is, and in place of a guess only if that is known of each.
    fn all(files: impl Iterator<Item = Files>) -> Files {
        files
            .reduce(|one, other| Files {
                more: and(one.more, other.more),
                instead: one.instead.zip(other.instead).map(|(one, other)| and(one, other)),
            })
            .unwrap_or_default()
    }

    /// What the tool does, as far as these files say. `may_replace`, whether nobody has said better what it brings.
    pub(super) fn change(self, nature: &mut Nature, may_replace: bool) {
        if let Some(instead) = self.instead.filter(|_| may_replace && nature.reads) {
            let others = nature.labels.iter().filter(|label| !BRINGS.contains(label));
            nature.labels = others.chain(instead.iter()).collect();
        }
        // What a server says of itself decides nothing about what a file holds.
        let does = self.more.iter().filter(|label| !nature.reads || BRINGS.contains(label));
        for label in does {
            nature.labels = nature.labels.with(label);
            nature.if_addressed &= label != ToolLabel::PublicSink;
            nature.by_hint &= label != ToolLabel::PublicSink;
        }
    }

    /// Whether everybody can read what is written there.
    pub(super) fn is_public(self, reads: bool) -> bool {
        !reads && self.more.has(ToolLabel::PublicSink)
    }
}

/// Whether an argument names a file, by its name or its looks.
fn is_file(leaf: &Leaf) -> bool {
    leaf.is_path || is_file_uri(leaf.text.trim_start())
}

fn is_file_uri(text: &str) -> bool {
    text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"))
}

/// Whether what is called something else could be part of a path, or one.
fn may_be_file(leaf: &Leaf) -> bool {
    let is_url = leaf.text.contains("://");
    !is_url && leaf.text.contains(['/', '\\']) || leaf.text.trim() == ".."
}

fn and(one: ToolLabels, other: ToolLabels) -> ToolLabels {
    one.iter().chain(other.iter()).collect()
}

fn every(entries: &[&PathEntry]) -> ToolLabels {
    entries.iter().flat_map(|entry| labels(&entry.labels).iter()).collect()
}

fn brought(labels: ToolLabels) -> ToolLabels {
    labels.iter().filter(|label| BRINGS.contains(label)).collect()
}
