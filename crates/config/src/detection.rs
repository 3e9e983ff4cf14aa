//! Slow layers that are asked about doubtful texts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_guard::{Asks, Layer, Terms, TextKind};
use http::Uri;
use http::uri::Scheme;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::model::{Model, ModelTable, model};
use crate::problems::Problems;
use crate::secret::Secret;
use crate::servers::{METADATA, is_loopback, is_metadata, shown};
use crate::tls::{self, ServerTls};
use crate::tree::{self, Node};
use crate::units::{Size, Span};

/// Who else is asked about texts that the built-in layers of `prompt_injection` are not sure about. Nobody is unless a
/// table below this one is there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DetectionTable {
    /// From which score of the built-in layers on, from 0 to 1, a text is doubtful. One in which a rule matched is so in any
    /// case, and one that does not pass anyway never.
    pub(crate) ask_from: f32,
    /// Bytes of one text that are shown: 256 at least.
    pub(crate) ask_bytes: Size,
    /// Texts of one message that are asked about: 1 to 64.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) ask_texts: usize,
    /// A language model that is asked over HTTP.
    pub(crate) judge: Option<JudgeTable>,
    /// A classifier of the operator's, which this machine runs.
    pub(crate) model: Option<ModelTable>,
}

impl Default for DetectionTable {
    fn default() -> Self {
        DetectionTable { ask_from: 0.7, ask_bytes: Size(2_048), ask_texts: 4, judge: None, model: None }
    }
}

/// A language model behind an address that speaks as OpenAI's does (`POST …/chat/completions`). It is shown what others
/// wrote: what is doubtful of the texts of these servers leaves the gateway for it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["url", "model", "servers"]))]
pub(crate) struct JudgeTable {
    /// Where it is, without `/chat/completions`, such as `https://llm.example.com/v1`; http:// only on this machine.
    pub(crate) url: Option<String>,
    /// Which model.
    pub(crate) model: Option<String>,
    /// What it is shown as `Authorization: Bearer …`, from a variable or as `file:PATH` or `keyring:NAME`.
    pub(crate) key: Option<Secret>,
    /// The authorities that may have signed its certificate, as PEM; those that the system trusts unless set.
    pub(crate) ca: Option<PathBuf>,
    /// The servers of whose texts it is shown something, by name; `"*"` for all.
    pub(crate) servers: Vec<String>,
    /// The kinds of text that it is shown something of.
    pub(crate) kinds: Vec<KindName>,
    /// From which probability on, from 0.5 to 1, its word is acted upon.
    pub(crate) acts_from: f32,
    /// Whether its word also clears what the classifier alone found, and not surely; never what a rule found.
    pub(crate) clears: bool,
    /// Whether nothing doubtful passes without its word. Otherwise the rest decides where it says nothing.
    pub(crate) required: bool,
    /// Until when all its answers for one message have to be there.
    pub(crate) deadline: Span,
    /// Questions in a minute.
    #[schemars(range(min = 1))]
    pub(crate) calls_per_minute: u32,
    /// What it is shown in a day (UTC).
    pub(crate) bytes_per_day: Size,
    /// Failures in a row after which it is left alone for a while.
    #[schemars(range(min = 1))]
    pub(crate) failures: u32,
    /// How it is held to JSON: `json_object` and `json_schema` are sent as the `response_format`, which not every server
    /// knows. An answer that is anything else is none either way.
    pub(crate) response_format: ResponseFormat,
    /// Tokens of an answer, of which it needs about 40.
    #[schemars(range(min = 16))]
    pub(crate) max_tokens: u32,
}

impl Default for JudgeTable {
    fn default() -> Self {
        JudgeTable {
            url: None,
            model: None,
            key: None,
            ca: None,
            servers: Vec::new(),
            kinds: vec![KindName::ToolDescription, KindName::ToolResult, KindName::Document],
            acts_from: 0.8,
            clears: false,
            required: false,
            deadline: Span::seconds(2),
            calls_per_minute: 60,
            bytes_per_day: Size(10_000_000),
            failures: 5,
            response_format: ResponseFormat::JsonObject,
            max_tokens: 100,
        }
    }
}

/// A kind of text that may be shown. What a client hands to a server is shown to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KindName {
    /// What a tool, prompt or resource says it is for.
    ToolDescription,
    /// What a tool gave back, and whatever is none of the others.
    ToolResult,
    /// A resource that is read.
    Document,
    /// A prompt, and what a server asks the client's model.
    UserPrompt,
}

impl From<KindName> for TextKind {
    fn from(name: KindName) -> TextKind {
        match name {
            KindName::ToolDescription => TextKind::ToolDescription,
            KindName::ToolResult => TextKind::ToolResult,
            KindName::Document => TextKind::Document,
            KindName::UserPrompt => TextKind::UserPrompt,
        }
    }
}

/// How a language model is held to JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseFormat {
    /// By the instructions alone.
    None,
    /// Any JSON.
    JsonObject,
    /// JSON of a schema.
    JsonSchema,
}

/// Who is asked about doubtful texts, and how.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Detection {
    /// Texts of one message that are asked about.
    pub texts: usize,
    /// The language model, if one is asked.
    pub judge: Option<Judge>,
    /// The classifier, if one is run.
    pub model: Option<Model>,
}

/// A language model.
#[derive(Debug, Clone, PartialEq)]
pub struct Judge {
    /// Where questions go.
    pub url: Uri,
    /// The same as it may be shown.
    pub shown: String,
    /// Which model.
    pub model: String,
    /// What it is shown.
    pub key: Option<Secret>,
    /// How it is reached, if not as everybody is.
    pub tls: Option<ServerTls>,
    /// What its word counts for.
    pub terms: Terms,
    /// Until when all its answers for one message have to be there.
    pub deadline: Duration,
    /// Questions in a minute.
    pub calls_per_minute: u32,
    /// Bytes of texts in a day.
    pub bytes_per_day: u64,
    /// Failures in a row after which it is left alone.
    pub failures: u32,
    /// How it is held to JSON.
    pub response_format: ResponseFormat,
    /// Tokens of an answer.
    pub max_tokens: u32,
}

impl Judge {
    fn notice(&self) -> String {
        let whose = if self.terms.servers.is_empty() {
            "all servers".to_owned()
        } else {
            self.terms.servers.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
        };
        format!("[detection.judge]: parts of doubtful texts of {whose} are shown to {}", self.shown)
    }
}

impl Config {
    /// What people have to know of it wherever it is put in force: that nothing is stopped, and what leaves the gateway.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let mode = self.settings.mode.notice().map(str::to_owned);
        mode.into_iter().chain(self.detection.judge.as_ref().map(Judge::notice)).collect()
    }
}

impl Detection {
    /// What the guards are to know of it; nothing if nobody is asked.
    fn asks(&self, table: &DetectionTable) -> Option<Arc<Asks>> {
        let judge = self.judge.iter().map(|judge| judge.terms.clone());
        let layers: Vec<_> = judge.chain(self.model.iter().map(|model| model.terms.clone())).collect();
        // Bounded where it is read.
        let bytes = usize::try_from(table.ask_bytes.0).unwrap_or(usize::MAX);
        (!layers.is_empty()).then(|| Arc::new(Asks { from: table.ask_from, bytes, layers }))
    }
}

/// The checked table, and what the guards are to know of it.
pub(crate) fn detection(
    table: &DetectionTable,
    root: &Node<'_>,
    directory: &Path,
    problems: &mut Problems,
) -> (Detection, Option<Arc<Asks>>) {
    let place = |key: &str| tree::place(root, &["detection", key]);
    if !(0.0..=1.0).contains(&table.ask_from) {
        problems.error(place("ask_from"), format!("`ask_from` is from 0 to 1, and {} is not", table.ask_from));
    }
    if !(256..=64 << 10).contains(&table.ask_bytes.0) {
        problems.error(
            place("ask_bytes"),
            format!("`ask_bytes` is {}, and has to be from 256 to 64 KiB", table.ask_bytes.0),
        );
    }
    if !(1..=64).contains(&table.ask_texts) {
        problems.error(place("ask_texts"), format!("`ask_texts` is from 1 to 64, and {} is not", table.ask_texts));
    }
    if table.judge.is_none() && table.model.is_none() && tree::get(root, &["detection"]).is_some() {
        // What is wrong with a table has been said where it was read.
        let is_broken = ["judge", "model"].iter().any(|layer| problems.is_broken(&["detection", layer]));
        if !is_broken {
            problems
                .warn(
                    tree::key_place(root, &["detection"]),
                    "nobody is asked about doubtful texts, so [detection] does nothing",
                )
                .help("add [detection.judge] or [detection.model], or leave it out");
        }
    }
    let judge = table.judge.as_ref().and_then(|judge| Reading { table: judge, root, directory }.judge(problems));
    let model = table.model.as_ref().and_then(|table| model(table, root, directory, problems));
    let detection = Detection { texts: table.ask_texts, judge, model };
    let asks = detection.asks(table);
    (detection, asks)
}

/// What stands behind the address of an API like OpenAI's where questions go.
const QUESTIONS: &str = "/chat/completions";

/// Whether that key of the judge's was there and has been left out, so that nobody calls it missing.
fn is_wrong(key: &str, problems: &Problems) -> bool {
    problems.is_broken(&["detection", "judge", key])
}

struct Reading<'a> {
    table: &'a JudgeTable,
    root: &'a Node<'a>,
    directory: &'a Path,
}

impl Reading<'_> {
    fn place(&self, key: &str) -> tree::Place {
        tree::key_place(self.root, &["detection", "judge", key])
    }

    fn judge(&self, problems: &mut Problems) -> Option<Judge> {
        let table = self.table;
        self.key(problems);
        for (key, value, least) in [
            ("calls_per_minute", u64::from(table.calls_per_minute), 1),
            ("bytes_per_day", table.bytes_per_day.0, 1),
            ("failures", u64::from(table.failures), 1),
            ("max_tokens", u64::from(table.max_tokens), 16),
        ] {
            if value < least {
                problems.error(self.place(key), format!("`{key}` is {value}, and has to be at least {least}"));
            }
        }
        let terms = self.terms(problems);
        let model = table.model.clone().filter(|model| !model.trim().is_empty());
        if model.is_none() && !is_wrong("model", problems) {
            let place = tree::key_place(self.root, &["detection", "judge"]);
            problems.error(place, "nothing says which model is asked").help("such as model = \"gpt-4.1-mini\"");
        }
        let url = self.url(problems)?;
        let path = ["detection", "judge"];
        let tls = tls::of_authority(table.ca.as_deref(), &path, (self.root, self.directory), problems);
        if tls.is_some() && url.scheme() != Some(&Scheme::HTTPS) {
            problems.error(self.place("ca"), "`ca` is for an https:// URL");
        }
        Some(Judge {
            shown: shown(&url, problems),
            url,
            model: model?,
            key: table.key.clone(),
            tls,
            terms: terms?,
            deadline: table.deadline.0,
            calls_per_minute: table.calls_per_minute,
            bytes_per_day: table.bytes_per_day.0,
            failures: table.failures,
            response_format: table.response_format,
            max_tokens: table.max_tokens,
        })
    }

    fn key(&self, problems: &mut Problems) {
        let is_good =
            |key: &Secret| !key.expose().is_empty() && key.expose().bytes().all(|byte| byte.is_ascii_graphic());
        if self.table.key.as_ref().is_some_and(|key| !is_good(key)) {
            problems.error(self.place("key"), "a key has visible ASCII characters only, and no spaces");
        }
    }

    /// What its word counts for.
    fn terms(&self, problems: &mut Problems) -> Option<Terms> {
        let table = self.table;
        if !(0.5..=1.0).contains(&table.acts_from) {
            let why = format!("`acts_from` is from 0.5 to 1, and {} is not", table.acts_from);
            problems.error(self.place("acts_from"), why);
        }
        if table.kinds.is_empty() {
            problems.error(self.place("kinds"), "it is shown no kind of text, so it is never asked");
        }
        let is_all = table.servers.iter().any(|name| name == "*");
        if table.servers.is_empty() {
            if !is_wrong("servers", problems) {
                problems
                    .error(
                        tree::key_place(self.root, &["detection", "judge"]),
                        "nothing says of whose texts it is shown something",
                    )
                    .help("servers = [\"NAME\"], or servers = [\"*\"] for all");
            }
            return None;
        }
        for (index, name) in table.servers.iter().enumerate().filter(|(_, name)| *name != "*") {
            let place = tree::place(self.root, &["detection", "judge", "servers", &index.to_string()]);
            crate::guards::known_server(name, place, self.root, problems);
        }
        let servers: BTreeSet<_> = if is_all { BTreeSet::new() } else { table.servers.iter().cloned().collect() };
        Some(Terms {
            layer: Layer::Judge,
            kinds: table.kinds.iter().copied().map(TextKind::from).collect(),
            servers,
            acts_from: table.acts_from,
            clears: table.clears,
            required: table.required,
        })
    }

    /// Where questions go.
    fn url(&self, problems: &mut Problems) -> Option<Uri> {
        let Some(text) = self.table.url.as_deref() else {
            if !is_wrong("url", problems) {
                problems
                    .error(tree::key_place(self.root, &["detection", "judge"]), "nothing says where it is")
                    .help("such as url = \"https://llm.example.com/v1\"");
            }
            return None;
        };
        let whole = format!("{}{QUESTIONS}", text.trim_end_matches('/'));
        let url = whole.parse::<Uri>().ok().filter(|url| url.host().is_some_and(|host| !host.is_empty()));
        let place = tree::place(self.root, &["detection", "judge", "url"]);
        let is_http = |url: &Uri| url.scheme() == Some(&Scheme::HTTP);
        let is_https = |url: &Uri| url.scheme() == Some(&Scheme::HTTPS);
        let Some(url) = url.filter(|url| (is_http(url) || is_https(url)) && url.query().is_none()) else {
            problems.error(place, "not an http or https URL").help("such as https://llm.example.com/v1");
            return None;
        };
        if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            problems.error(place, "a URL cannot hold a user or a password").help("key = \"file:PATH\"");
            return None;
        }
        if is_metadata(&url) {
            problems.error(place, METADATA).help("give the address of the model itself");
            return None;
        }
        if is_https(&url) && !tls::HAS_TLS {
            problems
                .error(place, "this bartizan is built without TLS and cannot reach anybody over https://")
                .help("use one that is built with the feature `tls`, as released ones are");
            return None;
        }
        if is_http(&url) && !is_loopback(url.host().unwrap_or_default()) {
            problems
                .error(place, "http:// to another machine sends what it is shown unencrypted, the key included")
                .help("use https://");
            return None;
        }
        if text.trim_end_matches('/').ends_with(QUESTIONS) {
            problems
                .warn(place, format!("`{QUESTIONS}` is put behind `url`, and so would stand there twice"))
                .help("leave it out here");
        }
        Some(url)
    }
}
