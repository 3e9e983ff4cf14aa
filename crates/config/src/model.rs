//! A model of the operator's that is asked about doubtful texts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_guard::{Layer, Terms, TextKind};
use bartizan_onnx::{Digest, IS_BUILT, MAX_WINDOW, MAX_WINDOWS, MIN_WINDOW, Problem, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::detection::KindName;
use crate::paths;
use crate::problems::Problems;
use crate::tree::{self, Node, Place};
use crate::units::{Size, Span};

/// A classifier of the operator's, which this machine runs. It needs a program with the feature `onnx`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["path", "digest"]))]
pub(crate) struct ModelTable {
    /// The folder with `model.onnx`, `tokenizer.json` and, if there is one, `config.json`.
    pub(crate) path: Option<PathBuf>,
    /// What its files must be: `sha256:` and what `sha256sum model.onnx tokenizer.json config.json | sha256sum` prints there.
    pub(crate) digest: Option<String>,
    /// The labels that stand for orders to the assistant, if the model calls none of its own so.
    pub(crate) labels: Vec<String>,
    /// The length of a window of a text in tokens, for models that do not prescribe it.
    #[schemars(range(min = 8, max = 8192))]
    pub(crate) window: usize,
    /// Windows of one text that are looked at.
    #[schemars(range(min = 1, max = 4096))]
    pub(crate) windows: usize,
    /// The largest `model.onnx` that is read.
    pub(crate) max_bytes: Size,
    /// Texts that are looked at at a time; each takes a processor.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) at_a_time: usize,
    /// The servers whose texts it is shown, by name; all of them unless set.
    pub(crate) servers: Vec<String>,
    /// The kinds of text that it is shown.
    pub(crate) kinds: Vec<KindName>,
    /// From which probability on, from 0.5 to 1, its word is acted upon.
    pub(crate) acts_from: f32,
    /// Whether its word also clears what the classifier alone found, and not surely; never what a rule found.
    pub(crate) clears: bool,
    /// Whether nothing doubtful passes without its word. Otherwise the rest decides where it says nothing.
    pub(crate) required: bool,
    /// Until when all its answers for one message have to be there.
    pub(crate) deadline: Span,
    /// Failures in a row after which it is left alone for a while.
    #[schemars(range(min = 1))]
    pub(crate) failures: u32,
}

impl Default for ModelTable {
    fn default() -> Self {
        ModelTable {
            path: None,
            digest: None,
            labels: Vec::new(),
            window: 128,
            windows: 256,
            max_bytes: Size(1 << 30),
            at_a_time: 1,
            servers: Vec::new(),
            kinds: vec![KindName::ToolDescription, KindName::ToolResult, KindName::Document],
            acts_from: 0.8,
            clears: false,
            required: false,
            deadline: Span::seconds(2),
            failures: 5,
        }
    }
}

/// A model of the operator's.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Which one.
    pub settings: Settings,
    /// Texts that are looked at at a time.
    pub at_a_time: usize,
    /// What its word counts for.
    pub terms: Terms,
    /// Until when all its answers for one message have to be there.
    pub deadline: Duration,
    /// Failures in a row after which it is left alone.
    pub failures: u32,
}

/// Where it stands in the file.
const AT: [&str; 2] = ["detection", "model"];
/// The most texts at a time.
const MOST_AT_A_TIME: usize = 64;
/// How one gets the digest.
const DIGEST: &str =
    "in its folder, `sha256sum model.onnx tokenizer.json config.json | sha256sum` prints what belongs behind `sha256:`";

/// The checked table; none if something is wrong with it.
pub(crate) fn model(table: &ModelTable, root: &Node<'_>, directory: &Path, problems: &mut Problems) -> Option<Model> {
    if !IS_BUILT {
        problems.error(tree::key_place(root, &AT), Problem::NotBuilt.to_string());
        return None;
    }
    Reading { table, root }.model(directory, problems)
}

struct Reading<'a> {
    table: &'a ModelTable,
    root: &'a Node<'a>,
}

impl Reading<'_> {
    fn place(&self, key: &str) -> Place {
        tree::place(self.root, &[AT[0], AT[1], key])
    }

    fn model(&self, directory: &Path, problems: &mut Problems) -> Option<Model> {
        let table = self.table;
        for (key, value, range) in [
            ("window", table.window, MIN_WINDOW..=MAX_WINDOW),
            ("windows", table.windows, 1..=MAX_WINDOWS),
            ("at_a_time", table.at_a_time, 1..=MOST_AT_A_TIME),
            ("failures", table.failures as usize, 1..=usize::MAX),
        ] {
            if !range.contains(&value) {
                let (least, most) = (range.start(), range.end());
                let bounds =
                    if *most == usize::MAX { format!("at least {least}") } else { format!("from {least} to {most}") };
                problems.error(self.place(key), format!("`{key}` is {value}, and has to be {bounds}"));
            }
        }
        let terms = self.terms(problems);
        let path = table.path.as_deref().filter(|path| !path.as_os_str().is_empty());
        if path.is_none() {
            let problem = problems.error(tree::key_place(self.root, &AT), "nothing says where the model is");
            problem.help("set `path`, the folder with model.onnx and tokenizer.json");
        }
        let digest = self.digest(problems);
        let settings = Settings {
            labels: table.labels.clone(),
            window: table.window,
            most_windows: table.windows,
            most_bytes: table.max_bytes.0,
            ..Settings::new(paths::beside(directory, path?), digest?)
        };
        let ModelTable { at_a_time, deadline, failures, .. } = *table;
        Some(Model { settings, at_a_time, terms, deadline: deadline.0, failures })
    }

    fn digest(&self, problems: &mut Problems) -> Option<Digest> {
        let Some(text) = &self.table.digest else {
            let why = "nothing says which model it has to be, so anybody could put another one in its place";
            problems.error(tree::key_place(self.root, &AT), why).help(DIGEST);
            return None;
        };
        let digest = Digest::parse(text);
        if digest.is_none() {
            problems.error(self.place("digest"), "not `sha256:` and 64 digits").help(DIGEST);
        }
        digest
    }

    /// What its word counts for.
    fn terms(&self, problems: &mut Problems) -> Terms {
        let table = self.table;
        if !(0.5..=1.0).contains(&table.acts_from) {
            let why = format!("`acts_from` is from 0.5 to 1, and {} is not", table.acts_from);
            problems.error(self.place("acts_from"), why);
        }
        if table.kinds.is_empty() {
            problems.error(self.place("kinds"), "it is shown no kind of text, so it is never asked");
        }
        for (index, name) in table.servers.iter().enumerate().filter(|(_, name)| *name != "*") {
            let place = tree::place(self.root, &[AT[0], AT[1], "servers", &index.to_string()]);
            crate::guards::known_server(name, place, self.root, problems);
        }
        let is_all = table.servers.iter().any(|name| name == "*");
        Terms {
            layer: Layer::Model,
            kinds: table.kinds.iter().copied().map(TextKind::from).collect(),
            servers: if is_all { BTreeSet::new() } else { table.servers.iter().cloned().collect() },
            acts_from: table.acts_from,
            clears: table.clears,
            required: table.required,
        }
    }
}
