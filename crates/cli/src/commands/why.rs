//! `bartizan why`: explains one decision, and what would change it.

mod advice;
mod brought;
pub(super) mod egress;
mod entries;
mod events;
mod grant;
mod labelled;
mod plain;
mod request;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bartizan_audit::{Id, Record, Trace, trace};
use bartizan_guard::{RuleSpec, guards};
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::brought::Brought;
pub(super) use self::grant::Granted;
pub(super) use self::request::Requested;
use self::request::{Story, Told};
use super::guards::Rule;
use super::{lock, log};
use crate::common;
use crate::outcome::{Failure, Outcome};
use crate::output::{self, Paint};
use crate::text::{inline, shell_word};

/// Explains one decision from the audit log: what was found, which setting decided, what would change it
#[derive(Args)]
pub(crate) struct Arguments {
    /// The decision: the id in the error that the client got, of an entry of the log, of a request for approval, or of a grant
    #[arg(value_parser = name)]
    id: Name,
    #[command(flatten)]
    place: log::Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What is to be explained.
#[derive(Clone)]
enum Name {
    Entry(Id),
    /// A request, and whether it was typed with capitals, as ids of keys have them.
    Request(String, bool),
    Grant(String),
}

/// People retype ids, which the log has in capitals, or take the end of the sentence along.
fn name(text: &str) -> Result<Name, String> {
    if let Some(request) = request::name(text) {
        return Ok(Name::Request(request, text.bytes().any(|byte| byte.is_ascii_uppercase())));
    }
    if let Some(grant) = grant::name(text) {
        return Ok(Name::Grant(grant));
    }
    let id: Result<Id, _> = text.trim_end_matches('.').to_ascii_uppercase().parse();
    id.map(Name::Entry).map_err(|error| {
        format!(
            "{error}; nor is it the name of a request for approval (12 digits and small letters) or of a grant (`g-…`)"
        )
    })
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        let directories = self.place.directories()?;
        match self.id.clone() {
            Name::Entry(id) => self.entry(&directories, id),
            Name::Request(id, can_be_key) => self.request(&directories, &id, can_be_key),
            Name::Grant(id) => self.grant(&directories, &id),
        }
    }

    fn grant(&self, directories: &[log::Directory], id: &str) -> Result<Outcome, Failure> {
        let story = soon(|| grant::Story::read(directories, id))?;
        let story = story.ok_or_else(|| none_has(directories, &format!("entry about a grant {id}"), ""))?;
        let config = self.config_option_at(directories, story.last());
        let story = story.in_force(&config);
        self.tell(&Granted::of(&story), story.broken.as_deref(), |paint| story.sentences(paint))
    }

    fn request(&self, directories: &[log::Directory], id: &str, can_be_key: bool) -> Result<Outcome, Failure> {
        let story = soon(|| Story::read(directories, id))?;
        let story = story.ok_or_else(|| {
            // Keys have capitals in their ids, and requests none.
            let help = "\n  = help: if that is the id of a key, `bartizan key list --all` says whose it is, and `bartizan audit tail \
                        --who NAME` what they did";
            none_has(directories, &format!("entry about a request for approval {id}"), if can_be_key { help } else { "" })
        })?;
        let config = self.config_option_at(directories, story.latest());
        let story = story.in_force(&config);
        self.tell(&Requested::of(&story), story.broken.as_deref(), |paint| story.sentences(paint))
    }

    /// What a command needs to find the configuration that was in force at that entry.
    fn config_option_at(&self, directories: &[log::Directory], id: Option<Id>) -> String {
        let found = id.and_then(|id| look(directories, id).ok());
        config_option(found.as_ref().and_then(|(_, found)| found.before.as_ref()), self.place.config())
    }

    /// Prints a story, in one form or the other, and what is wrong with the log that it is from.
    fn tell(
        &self,
        json: &impl Serialize,
        broken: Option<&str>,
        sentences: impl FnOnce(Paint) -> String,
    ) -> Result<Outcome, Failure> {
        if self.json {
            output::print_json(json)?;
        } else {
            let paint = Paint::for_stdout();
            let warning = broken.map(|problem| not_verified(problem, paint)).unwrap_or_default();
            output::print(format!("{warning}{}", sentences(paint)).trim_end())?;
        }
        Ok(if broken.is_none() { Outcome::Clean } else { Outcome::Found })
    }

    fn entry(&self, directories: &[log::Directory], id: Id) -> Result<Outcome, Failure> {
        let (directory, found) = look(directories, id).or_else(|failure| {
            if !is_recent(id) {
                return Err(failure);
            }
            std::thread::sleep(COUNTED);
            look(directories, id)
        })?;
        // Whatever kind of entry it is, it has some of these members.
        let mut entry = Entry::deserialize(found.record.value()).map_err(Failure::ours)?;
        entry.lock_option = lock_option(found.before.as_ref(), self.place.config());
        entry.config_option = config_option(found.before.as_ref(), self.place.config());
        entry.connection = egress::Connection::of(&found.record);
        entry.brought = Brought::of(directory, id, &entry.session);
        entry.inherited = labelled::Inherited::of(&found.record);
        entry.labelled_by = labelled::From::of(directory, id, &entry);
        let story = entry.approval.as_deref().and_then(|request| {
            let read =
                || Story::read(directories, request).ok().flatten().map(|story| story.in_force(&entry.config_option));
            let story = read();
            let is_whole = |story: &Story| story.is_asked() && (entry.decision == "approve" || story.is_decided());
            if !is_recent(id) || story.as_ref().is_some_and(is_whole) {
                return story;
            }
            std::thread::sleep(COUNTED);
            read()
        });
        if self.json {
            output::print_json(&Explained::of(&found, &entry, story.as_ref()))?;
        } else {
            output::print(explain(&found, &entry, story.as_ref(), Paint::for_stdout()).trim_end())?;
        }
        Ok(if found.broken.is_none() { Outcome::Clean } else { Outcome::Found })
    }
}

/// What is only counted is written under the id that clients were given when its second is over, and at the latest a second
/// later.
const COUNTED: Duration = Duration::from_millis(2500);

fn is_recent(id: Id) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(id.millis()).abs_diff(now) < COUNTED
}

/// What a command about the lock file that was in force needs besides, with a space in front; nothing if the file is found
/// without.
fn lock_option(before: Option<&Record>, config: Option<&Path>) -> String {
    let word = |path: &Path| shell_word(&path.display().to_string());
    let before = before.map(Record::value);
    let Some(lock) = before.as_ref().and_then(|before| before.get("lock")?.as_str()).map(Path::new) else {
        // A log of before it was recorded.
        return config.map(|config| format!(" --config {}", word(config))).unwrap_or_default();
    };
    let same = |found: &PathBuf| {
        found == lock || found.canonicalize().is_ok_and(|file| lock.canonicalize().is_ok_and(|lock| lock == file))
    };
    let is_found = lock::found_anywhere().unwrap_or_default().iter().any(same);
    if is_found { String::new() } else { format!(" --lock {}", word(lock)) }
}

/// What a command about the configuration that was in force needs besides, with a space in front; nothing if it is found
/// without, or if nobody knows which it was.
fn config_option(before: Option<&Record>, named: Option<&Path>) -> String {
    let option = |file: &Path| format!(" --config {}", shell_word(&file.display().to_string()));
    let here = || Path::new("bartizan.toml").canonicalize().ok();
    match (named, Config::of(before)) {
        (Some(named), _) => option(named),
        (None, Config::File(file)) if here().is_none_or(|here| Path::new(&file).canonicalize().ok() != Some(here)) => {
            option(Path::new(&file))
        }
        (None, _) => String::new(),
    }
}

/// The entries that say which configuration is in force from then on.
const IN_FORCE: [&str; 2] = ["gateway.started", "config.reloaded"];

/// What is found now or a little later: what was done with the store comes to the log within a second.
fn soon<T>(look: impl Fn() -> Result<Option<T>, Failure>) -> Result<Option<T>, Failure> {
    match look() {
        Ok(Some(found)) => Ok(Some(found)),
        _ => {
            std::thread::sleep(COUNTED);
            look()
        }
    }
}

/// Looks for an entry in one log after the other; one that cannot be read matters only if no other has it. With the entry
/// comes what is wrong with the log up to there, and which log it is.
fn look(directories: &[log::Directory], id: Id) -> Result<(&log::Directory, Trace), Failure> {
    let mut failure = None;
    for directory in directories {
        match trace(directory, id, &IN_FORCE) {
            Ok(Some(found)) => return Ok((directory, found)),
            Ok(None) => {}
            Err(fault) => failure = Some(log::unreadable(directory, &fault)),
        }
    }
    Err(failure.unwrap_or_else(|| none_has(directories, &format!("entry {id}"), "")))
}

fn none_has(directories: &[log::Directory], what: &str, help: &str) -> Failure {
    let text = match directories {
        [one] => format!("the audit log in {} has no {what}", one.display()),
        several => several.iter().fold(format!("none of your audit logs has an {what}:"), |text, directory| {
            format!("{text}\n  {}", directory.display())
        }),
    };
    Failure::incomplete(format!("{text}{help}"))
}

fn not_verified(problem: &str, paint: Paint) -> String {
    let warning = paint.like("deny", "NOT verified");
    format!("{warning}: {}\nFrom there on the log may say anything; what follows is what it says.\n\n", inline(problem))
}

/// What entries say about a message; everything an entry does not have is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    at: String,
    kind: String,
    direction: String,
    principal: String,
    server: String,
    session: String,
    form: String,
    method: Option<String>,
    tool: Option<String>,
    bytes: Option<u64>,
    /// More was to come when it was refused.
    at_least: bool,
    decision: String,
    rule: Option<String>,
    why: Option<String>,
    /// What its session was labelled with, and what it is since.
    labels: Vec<String>,
    raises: Vec<String>,
    findings: Vec<Found>,
    /// The request for approval that it waits for, or because of which it passed.
    approval: Option<String>,
    /// The version of the policies by which it was judged, and those of them that permit it.
    policies: Option<String>,
    permitted_by: Option<Vec<String>>,
    // Of what was counted.
    total: Option<u64>,
    sources: Vec<events::Count>,
    other_sources: u64,
    reasons: Vec<events::Count>,
    /// By which names the gateway was called that are not its own.
    hosts: Vec<String>,
    // Of a changed configuration.
    config: Option<String>,
    problems: Vec<String>,
    /// Of a server that is another one than before.
    before: String,
    now: String,
    /// Of a connection of a confined server.
    #[serde(skip)]
    connection: egress::Connection,
    /// Which eras of the protocol a server was found to speak.
    speaks: String,
    /// Why what changed was not put in force.
    refused: Option<String>,
    #[serde(skip)]
    lock_option: String,
    #[serde(skip)]
    config_option: String,
    /// What the credential of its session brought, if the log says so.
    #[serde(skip)]
    brought: Option<Brought>,
    /// Why a session begins labelled, if it says that.
    #[serde(skip)]
    inherited: labelled::Inherited,
    /// Where its labels are from.
    #[serde(skip)]
    labelled_by: Option<labelled::From>,
}

impl Entry {
    /// Whether it says that a server under a known name is not the one that was approved.
    fn is_another_server(&self) -> bool {
        self.kind == "server.changed"
    }

    /// Whether it is about something that was done, and about nothing that was decided.
    fn is_no_decision(&self) -> bool {
        self.decision.is_empty() && self.direction.is_empty() && !self.is_another_server()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Found {
    rule: String,
    /// The id of the rule of the operator's that comes under it, if it is one.
    own: Option<String>,
    action: String,
    would: Option<String>,
    by: String,
    /// The definition concerned.
    subject: Option<String>,
    at: String,
    span: Option<[usize; 2]>,
    digest: Option<String>,
    confidence: u16,
    why: String,
}

impl Found {
    /// What settings call the rule, as narrowly as they can.
    fn name(&self) -> &str {
        self.own.as_deref().unwrap_or(&self.rule)
    }
}

/// The rule of that id, as built into this program.
fn rule(id: &str) -> Option<&'static RuleSpec> {
    guards::ALL.iter().find_map(|spec| spec.rule(id))
}

/// The configuration file that was in force.
enum Config {
    /// This one.
    File(String),
    /// None, so the defaults were.
    Defaults,
    /// The log does not say.
    Unknown,
}

impl Config {
    /// As the entry says with which it came into force.
    fn of(before: Option<&Record>) -> Config {
        match before.map(Record::value).as_ref().and_then(|before| before.get("config")) {
            Some(Value::String(file)) => Config::File(file.clone()),
            Some(Value::Null) => Config::Defaults,
            _ => Config::Unknown,
        }
    }

    fn sentence(&self) -> Option<String> {
        match self {
            Config::File(file) => Some(format!("Configuration: {}", inline(file))),
            Config::Defaults => {
                let place = common::user_config_place().map(|place| inline(&place.display().to_string()));
                let place = place.map(|place| format!("; yours would be {place}")).unwrap_or_default();
                Some(format!("Configuration: none, so the defaults{place}"))
            }
            Config::Unknown => None,
        }
    }
}

fn explain(found: &Trace, entry: &Entry, story: Option<&Story>, paint: Paint) -> String {
    let mut out = format!("{} {}  {}\n\n", paint.bold("Decision"), found.record.id, inline(&entry.at));
    if let Some(fault) = &found.broken {
        out.push_str(&not_verified(&fault.to_string(), paint));
    }
    match events::sentences(entry, paint) {
        Some(said) => {
            let _ = writeln!(out, "{said}");
        }
        None if grant::is_about(&found.record) => {
            let _ = writeln!(out, "{}", grant::sentence(&found.record));
        }
        None => {
            let _ = writeln!(out, "{}\n{}", what_came(entry), what_became(entry, paint));
            if entry.is_no_decision() {
                out.push_str(&plain::lines(&found.record));
            }
        }
    }
    if let Some(brought) = &entry.brought {
        let _ = writeln!(out, "{}", brought.sentence());
    }
    if let Some(labelled) = labelled::sentence(entry) {
        let _ = writeln!(out, "{labelled}");
    }
    if let Some(version) = &entry.policies {
        let _ = writeln!(out, "{}", judged_by(version, entry.permitted_by.as_deref(), &entry.config_option));
    }
    if let Some(config) = Config::of(found.before.as_ref()).sentence() {
        let _ = writeln!(out, "{config}");
    }
    match (story, &entry.approval) {
        (Some(story), _) => {
            let _ = write!(out, "\n{}", story.sentences(paint));
        }
        (None, Some(request)) => {
            let _ = writeln!(out, "\nRequest {}: the log says nothing more of it", inline(request));
        }
        (None, None) => {}
    }
    for (index, alike) in grouped(&entry.findings).iter().enumerate() {
        let _ = write!(out, "\n{}. {}", index + 1, finding(alike, paint));
    }
    let advice = advice::sentences(entry);
    if !advice.is_empty() {
        let heading = if entry.is_another_server() || ["config.refused", "lock.gone"].contains(&&*entry.kind) {
            "What can be done"
        } else {
            "What would change the outcome"
        };
        let _ = write!(out, "\n{}\n\n{advice}", paint.bold(heading));
    }
    out
}

/// The version of the policies, and those that permit what was asked for.
fn judged_by(version: &str, permitted_by: Option<&[String]>, config: &str) -> String {
    let name = |policy: &String| match policy.strip_prefix("role.").and_then(|rest| rest.split_once(".allow ")) {
        // What the list of a role is translated into.
        Some((role, what)) => format!("the role `{}` (`{}`)", inline(role), inline(what)),
        None => format!("`{}`", inline(policy)),
    };
    let permitted = match permitted_by {
        None => String::new(),
        Some([]) => "no policy says anything about it, which `default = \"permit\"` lets pass; ".to_owned(),
        Some(policies) => format!("permitted by {}; ", policies.iter().map(name).collect::<Vec<_>>().join(" and ")),
    };
    let version = inline(version);
    format!("Policies: {permitted}version {version}, which `bartizan policy show {version}{config}` prints")
}

/// What kind of message it was, and between whom.
fn what_came(entry: &Entry) -> String {
    let quote = |text: &str| format!("`{}`", inline(text));
    let kind = match (entry.kind.as_str(), entry.form.as_str()) {
        ("unreadable", _) => "A message that could not be read".to_owned(),
        ("own", _) => "A message that Bartizan wrote itself".to_owned(),
        ("upstream.failed", _) => "A request that was not answered".to_owned(),
        ("headers", _) => "What a client said in headers".to_owned(),
        ("refused", _) => "A request that a shared server made".to_owned(),
        ("dropped", _) => "What a shared server said".to_owned(),
        ("absorbed", _) => "A message for Bartizan itself".to_owned(),
        ("message", "request") => "A request".to_owned(),
        ("message", "notification") => "A notification".to_owned(),
        ("message", "result") => "The result".to_owned(),
        ("message", "error") => "The error".to_owned(),
        (kind, _) => format!("An event of the kind {}", quote(kind)),
    };
    let of = match (entry.kind.as_str(), entry.form.as_str()) {
        ("message", "result" | "error") => " of",
        ("headers", _) => " beside",
        _ => "",
    };
    let method = entry.method.as_deref().map(|method| format!("{of} {}", quote(method))).unwrap_or_default();
    let tool = entry.tool.as_deref().map(|tool| format!(" of the tool {}", quote(tool))).unwrap_or_default();
    let least = if entry.at_least { "at least " } else { "" };
    let size = entry.bytes.map(|bytes| format!(" ({least}{bytes} bytes)")).unwrap_or_default();
    let (who, server) = (inline(&entry.principal), quote(&entry.server));
    let way = match entry.direction.as_str() {
        "to_server" => format!(" went from {who} to the server {server}"),
        "to_client" => format!(" came from the server {server} for {who}"),
        _ if !entry.server.is_empty() => format!(" concerned the server {server}"),
        _ => " was recorded".to_owned(),
    };
    format!("{kind}{method}{tool}{size}{way}.")
}

fn what_became(entry: &Entry, paint: Paint) -> String {
    let decision = paint.decision(&entry.decision);
    let cause = match (&entry.rule, &entry.why) {
        (Some(rule), Some(why)) => format!(" by the rule {}: {}", inline(rule), inline(why)),
        (Some(rule), None) => format!(" by the rule {}", inline(rule)),
        (None, Some(why)) => format!(": {}", inline(why)),
        (None, None) => String::new(),
    };
    match entry.decision.as_str() {
        "allow" if entry.findings.is_empty() => {
            format!("Decision: {decision}. It passed unchanged; no guard found anything.")
        }
        "allow" => format!("Decision: {decision}. It passed unchanged{}.", agreed(entry)),
        "transform" => {
            format!("Decision: {decision}. It passed after what is said below was taken out{cause}{}.", agreed(entry))
        }
        "approve" if entry.approval.is_none() => {
            format!("Decision: {decision}. It was refused, and nobody was asked{cause}.")
        }
        "approve" => format!("Decision: waits for an approval. It was refused until somebody approves{cause}."),
        "deny" if entry.kind == "upstream.failed" => {
            format!("Decision: {decision}. The client got an error in its place{cause}.")
        }
        "deny" if entry.kind == "dropped" => format!("Decision: {decision}. It was dropped{cause}."),
        "deny" => format!("Decision: {decision}. It was refused{cause}."),
        _ if entry.is_another_server() => {
            format!("What was approved was {}; this is {}.", inline(&entry.before), inline(&entry.now))
        }
        _ => "No decision was made about it.".to_owned(),
    }
}

/// That somebody had agreed, if they had.
fn agreed(entry: &Entry) -> &'static str {
    if entry.approval.is_some() { ", once, as what its request for approval asks for was met" } else { "" }
}

/// Those together that say the same of more things than anybody reads one by one, such as of each tool of a list.
fn grouped(findings: &[Found]) -> Vec<Vec<&Found>> {
    const FEW: usize = 3;
    let mut groups: Vec<Vec<&Found>> = Vec::new();
    for found in findings {
        let is_alike = |group: &&mut Vec<&Found>| group.first().is_some_and(|first| said(first) == said(found));
        match groups.iter_mut().find(is_alike) {
            Some(group) => group.push(found),
            None => groups.push(vec![found]),
        }
    }
    let split =
        |group: Vec<_>| if group.len() > FEW { vec![group] } else { group.into_iter().map(|one| vec![one]).collect() };
    groups.into_iter().flat_map(split).collect()
}

/// What a finding says, whatever it is about.
fn said(found: &Found) -> (&str, &str, &str, &str, Option<&str>) {
    (found.name(), &found.why, &found.action, &found.by, found.would.as_deref())
}

/// What several findings are about: as many names as are worth reading.
fn places(alike: &[&Found]) -> String {
    const NAMED: usize = 12;
    let name = |found: &&Found| inline(found.subject.as_deref().unwrap_or(&found.at));
    let named: Vec<_> = alike.iter().take(NAMED).map(name).collect();
    let more = alike.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{} places: {}{more}", alike.len(), named.join(", "))
}

/// One finding, or several that say the same, over several lines.
fn finding(alike: &[&Found], paint: Paint) -> String {
    let Some(found) = alike.first() else { return String::new() };
    let spec = rule(&found.rule);
    let severity = spec.map(|rule| format!(" ({})", rule.severity.as_str())).unwrap_or_default();
    let mut out = format!("{}{severity}", paint.bold(&inline(found.name())));
    if let Some(spec) = spec {
        let _ = write!(out, " — {}", spec.summary);
    }
    let place = if found.at.is_empty() { "the message as a whole".to_owned() } else { inline(&found.at) };
    let subject = found.subject.as_deref().map(|name| format!(", of `{}`", inline(name))).unwrap_or_default();
    let span = found.span.map(|[start, end]| format!(", bytes {start} to {end}")).unwrap_or_default();
    let sure = match found.confidence {
        1000.. => "certain".to_owned(),
        thousandths => format!("{}% sure", thousandths / 10),
    };
    let digest = found.digest.as_deref().map(|digest| format!("; digest {}", inline(digest))).unwrap_or_default();
    let place = if alike.len() > 1 { places(alike) } else { format!("{place}{subject}{span}{digest}; {sure}") };
    let _ = write!(out, "\n   {}\n   where: {place}", inline(&found.why));
    let (action, would) = (paint.decision(&found.action), found.would.as_deref().map(inline));
    let would = would.map(|would| format!("; without that it would have been {would}")).unwrap_or_default();
    let _ = writeln!(out, "\n   action: {action}, {}{would}", setting(&found.by));
    out
}

/// Which setting chose an action, in words.
fn setting(by: &str) -> String {
    match by {
        "rule default" => "the default of the rule".to_owned(),
        "fixed" => "which no setting changes for this rule".to_owned(),
        "mode" => "because the mode is `observe`".to_owned(),
        "exception" => "because of an exception".to_owned(),
        "approval" => "as it was agreed to".to_owned(),
        "guard.where" => "set for this place".to_owned(),
        "guard.servers.tools" => "set for this tool of this server".to_owned(),
        "guard.servers.rules" => "set for this rule and this server".to_owned(),
        "guard.servers.action" => "set for this server".to_owned(),
        "guard.rules" => "set for this rule".to_owned(),
        "guard.parts" => "set for parts of this kind".to_owned(),
        "guard.action" => "set for this guard".to_owned(),
        other => format!("chosen by {}", inline(other)),
    }
}

/// What `why --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Explained {
    #[schemars(extend("const" = Explained::FORMAT))]
    format: &'static str,
    /// Whether the chain holds from the first entry of the log up to this one.
    verified: bool,
    /// If not, where it breaks: from there on the log may say anything.
    problem: Option<String>,
    /// The configuration file that was in force then; none if the log does not say, or if there was none.
    config: Option<String>,
    /// The entry as it stands in the log.
    entry: Value,
    /// What the credential of its session brought, if the log says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    brought: Option<Brought>,
    /// The entry that labelled its session before, if the log has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    labelled_by: Option<String>,
    /// The request for approval that it waits for, or because of which it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<Told>,
    /// The rules in it, as far as this program knows them.
    rules: Vec<Rule>,
    /// What would change the outcome.
    advice: Vec<advice::Advice>,
}

impl Explained {
    pub(super) const FORMAT: &str = "bartizan.why/1";

    fn of(found: &Trace, entry: &Entry, story: Option<&Story>) -> Self {
        let mut rules: Vec<&str> = entry.findings.iter().map(|found| found.rule.as_str()).collect();
        rules.extend(entry.rule.as_deref());
        rules.sort_unstable();
        rules.dedup();
        Explained {
            format: Self::FORMAT,
            verified: found.broken.is_none(),
            problem: found.broken.as_ref().map(ToString::to_string),
            config: match Config::of(found.before.as_ref()) {
                Config::File(file) => Some(file),
                Config::Defaults | Config::Unknown => None,
            },
            entry: found.record.value(),
            brought: entry.brought.clone(),
            labelled_by: entry.labelled_by.as_ref().and_then(|from| from.entry()).map(str::to_owned),
            approval: story.map(Told::of),
            rules: rules.into_iter().filter_map(rule).map(Rule::of).collect(),
            advice: advice::list(entry),
        }
    }
}
