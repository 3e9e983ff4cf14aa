//! Reads cases and judges them; their form is described in `cases/README.md`.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bartizan_guard::flow::{Bounds, Key as MemoryKey, Memory, Nature};
use bartizan_guard::{
    Action, CallSummary, Direction, Event, Evidence, Exception, Fact, GuardSettings, HandedOut, History, How, Label,
    Labelled, Labelling, Labels, Mode, Names, Pin, Pins, Pipeline, Principal, Pseudonym, RateScope, Scope, Scopes,
    ServerProfile, ServerSettings, Session, Settings, Severity, Timestamp, Told, Verdict, Where, guards, pseudonym,
};
use bartizan_guard::{Decision, DefinitionKind, SignedIn};
use bartizan_mcp::{JsonPath, Limits, Message, PartKind};
use bartizan_policy::{Otherwise, Policies, Roles, Source};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) title: String,
    message: Box<RawValue>,
    direction: String,
    answers: Option<Box<RawValue>>,
    #[serde(default)]
    before: Vec<Step>,
    #[serde(default = "default_server")]
    server: String,
    #[serde(default)]
    pins: PinsText,
    #[serde(default)]
    elsewhere: BTreeMap<String, String>,
    #[serde(default)]
    evidence: Vec<EvidenceText>,
    scopes: Option<Vec<String>>,
    #[serde(default)]
    roles: Vec<String>,
    policies: Option<String>,
    /// When whoever asks signed in with a second factor.
    signed_in: Option<i64>,
    #[serde(default)]
    now: i64,
    tag: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    guards: Option<BTreeSet<String>>,
    #[serde(default)]
    settings: SettingsText,
    pub(crate) expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    message: Box<RawValue>,
    direction: String,
    answers: Option<Box<RawValue>>,
    #[serde(default = "once")]
    times: usize,
}

fn once() -> usize {
    1
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PinsText {
    complete: bool,
    tools: Vec<Box<RawValue>>,
    prompts: Vec<Box<RawValue>>,
    resources: Vec<Box<RawValue>>,
    #[serde(rename = "resourceTemplates")]
    resource_templates: Vec<Box<RawValue>>,
    instructions: Option<Box<RawValue>>,
    /// What tools were approved to do with information, and had been taken for, in place of what is guessed now.
    labels: BTreeMap<String, Vec<String>>,
    /// What an operator says of tools, of which is guessed now what had been guessed when they were approved.
    corrected: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, untagged)]
enum EvidenceText {
    Rate { scope: String, limit: String, retry_after_ms: u64 },
    InFlight { scope: String, in_flight: u32 },
    HandedOut { handed_out: String, theirs: bool, tool: Option<Box<str>> },
    Names { names_for: String },
    Told { given_back: Vec<String>, names_for: String },
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct SettingsText {
    mode: Mode,
    guards: BTreeMap<String, GuardText>,
    exceptions: Vec<ExceptionText>,
    untrusted_from: Option<Severity>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct GuardText {
    enabled: Option<bool>,
    action: Option<Action>,
    how: How,
    rules: BTreeMap<String, Action>,
    parts: BTreeMap<String, Action>,
    servers: BTreeMap<String, ServerSettings>,
    #[serde(rename = "where")]
    places: Vec<WhereText>,
    options: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhereText {
    rule: Option<String>,
    direction: Option<Direction>,
    part: Option<String>,
    server: Option<String>,
    tool: Option<String>,
    path: Option<String>,
    action: Action,
    how: Option<How>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExceptionText {
    rule: String,
    server: Option<String>,
    tool: Option<String>,
    expires: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    decision: String,
    rule: Option<String>,
    #[serde(default)]
    pub(crate) findings: BTreeMap<String, Action>,
    #[serde(default)]
    by: BTreeMap<String, String>,
    #[serde(default)]
    would: BTreeMap<String, Action>,
    #[serde(default)]
    why: BTreeMap<String, String>,
    edited: Option<serde_json::Value>,
    first_seen: Option<Vec<String>>,
    withheld: Option<Vec<String>>,
    raises: Option<Vec<String>>,
}

fn default_server() -> String {
    "server".to_owned()
}

/// All cases, each with the file it is from.
pub(crate) fn all() -> Vec<(String, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(file).unwrap();
        let held: Vec<Case> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        cases.extend(held.into_iter().map(|case| (name.clone(), case)));
    }
    cases
}

/// Reads a message as the gateway would.
pub(crate) fn message(text: &str) -> Message {
    Message::parse(text.to_owned(), &Limits::default()).unwrap_or_else(|error| panic!("{error:?} in {text}"))
}

pub(crate) fn profile(name: &str) -> ServerProfile {
    ServerProfile { name: name.into(), pins: Arc::new(Pins::default()), elsewhere: Arc::new([]) }
}

/// Judges a message by itself, with nothing known beforehand.
pub(crate) fn judge(pipeline: &Pipeline, message: &Message, direction: Direction) -> Verdict {
    let event = Event {
        message,
        direction,
        answers: None,
        principal: &Principal::new("local:alice"),
        server: &profile("server"),
        evidence: &[],
        grant: None,
        now: Timestamp(0),
    };
    pipeline.judge(&event, &Session::default())
}

/// All of a verdict that can be told from outside.
pub(crate) fn summary(verdict: &Verdict, message: &Message) -> String {
    let edited = match &verdict.decision {
        Decision::Transform(edits) => message.edited(edits, &Limits::default()).map(|message| message.bytes().clone()),
        _ => Ok(message.bytes().clone()),
    };
    format!("{:?} {:?} {:?} {edited:?}", verdict.decision, verdict.findings, verdict.omitted)
}

/// Whether a message passes that was edited before. Its notes could be anybody's by now, so they are broken up, once.
fn passes_but_for_notes(edited: &Message, judge: impl Fn(&Message) -> Verdict) -> bool {
    let verdict = judge(edited);
    let mut changing = verdict.findings.iter().filter(|held| held.action > Action::Observe);
    match &verdict.decision {
        Decision::Allow => true,
        Decision::Transform(edits) if changing.all(|held| held.finding.rule.id == "prompt_injection.note") => {
            let third = edited.edited(edits, &Limits::default()).unwrap();
            matches!(judge(&third).decision, Decision::Allow)
        }
        _ => false,
    }
}

/// What is known when the message of a case comes.
struct Past {
    server: ServerProfile,
    session: Session,
    histories: BTreeMap<String, History>,
    memory: Memory,
}

impl Case {
    /// What differs from what is expected.
    pub(crate) fn differences(&self) -> Vec<String> {
        let pipeline = self.pipeline();
        self.judged(&pipeline, |event, session| {
            let sent = event.message;
            let verdict = pipeline.judge(event, session);
            let mut wrong = self.expect.compare(&verdict);
            if summary(&verdict, sent) != summary(&pipeline.judge(event, session), sent) {
                wrong.push("a second judgement differs from the first".to_owned());
            }
            if let Decision::Transform(edits) = &verdict.decision {
                let edited = sent.edited(edits, &Limits::default()).unwrap();
                let value: serde_json::Value = serde_json::from_slice(edited.bytes()).unwrap();
                if self.expect.edited.as_ref() != Some(&value) {
                    wrong.push(format!("edited into {value}"));
                }
                let again = |message: &Message| pipeline.judge(&Event { message, ..*event }, session);
                if !passes_but_for_notes(&edited, again) {
                    wrong.push(format!("the edited message does not pass: {:?}", again(&edited).decision));
                }
            } else if self.expect.edited.is_some() {
                wrong.push("not edited".to_owned());
            }
            wrong
        })
    }

    /// Shows the message with all that is known when it is judged; what came before is judged by `pipeline`.
    pub(crate) fn judged<T>(&self, pipeline: &Pipeline, look: impl FnOnce(&Event<'_>, &Session) -> T) -> T {
        let Past { mut server, session, histories, memory } = self.remembered(pipeline);
        let sent = message(self.message.get());
        let answers = summary_of(self.answers.as_deref());
        let mut evidence: Vec<Evidence> = self.evidence.iter().map(EvidenceText::read).collect();
        let principal = self.principal();
        server.elsewhere = self.elsewhere.iter().map(|(tool, of)| (tool.as_str().into(), of.as_str().into())).collect();
        let bare = Event {
            message: &sent,
            direction: direction(&self.direction),
            answers: answers.as_ref(),
            principal: &principal,
            server: &server,
            evidence: &[],
            grant: None,
            now: Timestamp(self.now),
        };
        if let Some(history) = History::subject(&sent, bare.direction, answers.as_ref(), &session)
            .and_then(|subject| histories.get(&subject))
        {
            evidence.push(Evidence::History(history.clone().into()));
        }
        if let Some(follow) = pipeline.follow()
            && let Some(arguments) = follow.traced(&bare, &session)
        {
            let tool = bare.tool().unwrap_or_default();
            evidence.push(Evidence::Traces(Arc::new(follow.traces((&server.name, &tool), arguments, &memory))));
        }
        let event = Event { evidence: &evidence, ..bare };
        look(&event, &session)
    }

    fn principal(&self) -> Principal {
        let roles = self.roles.iter().map(|role| role.as_str().into()).collect();
        let proof = |at| SignedIn { at: Some(at), methods: Box::new(["otp".into()]), second_factor: true };
        let signed_in = self.signed_in.map(proof).map(Arc::new);
        let alice = Principal { roles, signed_in, ..Principal::new("local:alice") };
        let scopes = self.scopes.as_ref().map(|texts| texts.iter().map(|text| Scope::parse(text).unwrap()));
        scopes.map_or(alice.clone(), |scopes| Principal { scopes: Scopes::of(scopes), ..alice })
    }

    /// What is known after the messages before.
    fn remembered(&self, pipeline: &Pipeline) -> Past {
        let mut server = profile(&self.server);
        let labels = self.labels.iter().map(|name| Labels::of(Label::named(name).unwrap()));
        let labels = labels.fold(Labels::NONE, Labels::with);
        let mut session = Session { tag: self.tag.as_deref().map(Into::into), labels, ..Session::default() };
        server.pins = Arc::new(self.pins.read());
        let mut histories: BTreeMap<String, History> = BTreeMap::new();
        let mut memory = Memory::new(MemoryKey::new(7), Bounds::default());
        for step in self.before.iter().flat_map(|step| std::iter::repeat_n(step, step.times)) {
            let sent = message(step.message.get());
            let answers = summary_of(step.answers.as_deref());
            let principal = self.principal();
            let event = Event {
                message: &sent,
                direction: direction(&step.direction),
                answers: answers.as_ref(),
                principal: &principal,
                server: &server,
                evidence: &[],
                grant: None,
                now: Timestamp(0),
            };
            let verdict = pipeline.judge(&event, &session);
            if matches!(verdict.decision, Decision::Deny(_)) {
                continue;
            }
            if let Some((subject, reply)) =
                History::subject(&sent, event.direction, answers.as_ref(), &session).zip(verdict.reply.as_ref())
            {
                histories.entry(subject).or_default().learn(reply);
            }
            session = session.with(&verdict.facts);
            session.labels = session.labels.with(verdict.raises);
            if let Some(names) = pipeline.follow().and_then(|follow| follow.names(&event, &memory)) {
                memory.is_named_by_client(&names);
            }
            let has = |known_as| memory.has(known_as);
            if let Some(news) = pipeline.follow().and_then(|follow| follow.news(memory.key(), has, &event, &session)) {
                news.join(&mut memory);
            }
            let pins = Arc::make_mut(&mut server.pins);
            for fact in verdict.facts {
                match fact {
                    Fact::FirstSeen(pin) => pins.insert(pin),
                    Fact::SeenInFull(kind) => pins.set_complete(kind),
                    // The session and the lock file are the gateway's.
                    _ => {}
                }
            }
        }
        Past { server, session, histories, memory }
    }

    /// The guards that the case is about.
    pub(crate) fn pipeline(&self) -> Pipeline {
        let mut settings = self.settings.read();
        if let Some(names) = &self.guards {
            for spec in guards::ALL.iter().filter(|spec| !names.contains(spec.name)) {
                let unused = GuardSettings { enabled: false, ..GuardSettings::default() };
                let held = settings.guards.insert(spec.name.to_owned(), unused);
                assert!(held.is_none(), "{}: settings of `{}`, which does not run", self.title, spec.name);
            }
        }
        self.built(settings)
    }

    /// All guards, so that more of them find something.
    pub(crate) fn whole_pipeline(&self) -> Pipeline {
        self.built(self.settings.read())
    }

    fn built(&self, mut settings: Settings) -> Pipeline {
        settings.policies = self.policies.as_ref().map(|text| {
            let source = Source { name: "case", text };
            let policies = Policies::new(&[source], Roles::default(), Otherwise::Deny);
            Arc::new(policies.unwrap_or_else(|problems| panic!("{}: {problems:?}", self.title)))
        });
        Pipeline::new(settings).unwrap_or_else(|error| panic!("{}: {error}", self.title))
    }
}

impl Expect {
    fn compare(&self, verdict: &Verdict) -> Vec<String> {
        let mut wrong = Vec::new();
        let (decided, rule) = match &verdict.decision {
            Decision::Deny(denial) => ("deny", Some(denial.rule)),
            Decision::RequireApproval(approval) => ("approve", Some(approval.rule)),
            other => (other.as_str(), None),
        };
        if decided != self.decision || self.rule.is_some() && self.rule.as_deref() != rule {
            wrong.push(format!("decided {:?}", verdict.decision));
        }
        let mut findings = BTreeMap::new();
        for held in &verdict.findings {
            let action = findings.entry(held.finding.rule.id.to_owned()).or_insert(held.action);
            *action = held.action.max(*action);
        }
        if findings != self.findings {
            let why: Vec<_> = verdict.findings.iter().map(|held| &held.finding.why).collect();
            wrong.push(format!("found {findings:?}, because {why:?}"));
        }
        let of = |id: &str| verdict.findings.iter().filter(move |held| held.finding.rule.id == id).collect::<Vec<_>>();
        for (id, by) in &self.by {
            if !of(id).iter().all(|held| held.by == by) {
                wrong.push(format!("{id} was settled by {:?}", of(id).iter().map(|held| held.by).collect::<Vec<_>>()));
            }
        }
        for (id, would) in &self.would {
            if !of(id).iter().any(|held| held.would == Some(*would)) {
                wrong.push(format!(
                    "{id} would have been {:?}",
                    of(id).iter().map(|held| held.would).collect::<Vec<_>>()
                ));
            }
        }
        for (id, why) in &self.why {
            if !of(id).iter().any(|held| held.finding.why.contains(why)) {
                wrong.push(format!("{id} says {:?}", of(id).iter().map(|held| &held.finding.why).collect::<Vec<_>>()));
            }
        }
        let pins = |of: fn(&Fact) -> Option<&Pin>| -> Vec<String> {
            let pins = verdict.facts.iter().filter_map(of);
            pins.map(|pin| format!("{} {}", pin.kind.as_str(), pin.name)).collect()
        };
        let seen = pins(|fact| if let Fact::FirstSeen(pin) = fact { Some(pin) } else { None });
        let withheld = pins(|fact| if let Fact::Withheld(pin, _) = fact { Some(pin) } else { None });
        if self.first_seen.as_ref().is_some_and(|expected| *expected != seen) {
            wrong.push(format!("first seen {seen:?}"));
        }
        if self.withheld.as_ref().is_some_and(|expected| *expected != withheld) {
            wrong.push(format!("withheld {withheld:?}"));
        }
        let raises = verdict.raises.names();
        if self.raises.as_ref().is_some_and(|expected| *expected != raises) {
            wrong.push(format!("raises {raises:?}"));
        }
        wrong
    }
}

impl PinsText {
    fn read(&self) -> Pins {
        let mut pins = Pins::default();
        let lists = [
            (DefinitionKind::Tool, &self.tools),
            (DefinitionKind::Prompt, &self.prompts),
            (DefinitionKind::Resource, &self.resources),
            (DefinitionKind::ResourceTemplate, &self.resource_templates),
        ];
        for (kind, list) in lists {
            for definition in list {
                let held = message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{}}}"#, definition.get()));
                let pin = Pin::of(kind, held.result().unwrap()).unwrap();
                let of = |all: &BTreeMap<String, Vec<String>>| {
                    let words = all.get(&*pin.name).filter(|_| kind == DefinitionKind::Tool)?;
                    Some(Nature::of_words(words.iter().map(String::as_str)).unwrap())
                };
                let corrected = of(&self.corrected).zip(pin.labels).map(|(nature, held)| Labelled { nature, ..held });
                let labels = of(&self.labels).map(Labelled::from).or(corrected).or(pin.labels);
                pins.insert(Pin { labels, ..pin });
            }
        }
        if let Some(text) = &self.instructions {
            let held = message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{}}}"#, text.get()));
            pins.insert(Pin::of_instructions(held.result().unwrap()));
        }
        if self.complete {
            DefinitionKind::ALL.into_iter().for_each(|kind| pins.set_complete(kind));
        }
        pins
    }
}

/// What makes pseudonyms for that tenant.
fn names(tenant: &str) -> Names {
    Names::new(Arc::new(pseudonym::Root::new(&[7; 32]).namer(tenant, "default")))
}

impl EvidenceText {
    fn read(&self) -> Evidence {
        let scope = |scope: &str| match scope {
            "principal" => RateScope::Principal,
            "server" => RateScope::Server,
            "tool" => RateScope::Tool,
            other => panic!("there is no scope `{other}`"),
        };
        match self {
            EvidenceText::Rate { scope: of, limit, retry_after_ms } => {
                Evidence::RateExceeded { scope: scope(of), limit: limit.clone(), retry_after_ms: *retry_after_ms }
            }
            EvidenceText::InFlight { scope: of, in_flight } => {
                Evidence::InFlight { scope: scope(of), most: *in_flight }
            }
            EvidenceText::HandedOut { handed_out, theirs, tool } => {
                let what = match &**handed_out {
                    "task" => HandedOut::Task,
                    "state" => HandedOut::State,
                    other => panic!("nobody hands out `{other}`"),
                };
                Evidence::HandedOut { what, is_theirs: *theirs, tool: tool.clone() }
            }
            EvidenceText::Names { names_for } => Evidence::Names(names(names_for)),
            EvidenceText::Told { given_back, names_for } => {
                let kind = pseudonym::Kind::parse("person_name").unwrap();
                let named = |value: &String| Pseudonym::of(names(names_for).name(kind, value), value.as_str().into());
                Evidence::Told(Told::of(given_back.iter().map(named).collect()).unwrap().into())
            }
        }
    }
}

impl SettingsText {
    fn read(&self) -> Settings {
        let exceptions = self.exceptions.iter().map(|held| Exception {
            rule: held.rule.clone(),
            server: held.server.clone(),
            tool: held.tool.clone(),
            reason: "for the test".to_owned(),
            expires: Timestamp(held.expires),
        });
        let guards = self.guards.iter().map(|(name, held)| (name.clone(), held.read()));
        let labels = self
            .untrusted_from
            .map_or_else(Labelling::default, |untrusted_from| Labelling { untrusted_from, ..Labelling::default() });
        let (guards, exceptions) = (guards.collect(), exceptions.collect());
        Settings { mode: self.mode, guards, exceptions, labels, ..Settings::default() }
    }
}

impl GuardText {
    fn read(&self) -> GuardSettings {
        let default = GuardSettings::default();
        GuardSettings {
            enabled: self.enabled.unwrap_or(true),
            action: self.action,
            how: self.how,
            rules: self.rules.clone(),
            parts: self.parts.iter().map(|(name, action)| (part_kind(name), *action)).collect(),
            servers: self.servers.clone(),
            places: self.places.iter().map(WhereText::read).collect(),
            options: self.options.clone().unwrap_or(default.options),
        }
    }
}

impl WhereText {
    fn read(&self) -> Where {
        Where {
            rule: self.rule.clone(),
            direction: self.direction,
            part: self.part.as_deref().map(part_kind),
            server: self.server.clone(),
            tool: self.tool.clone(),
            path: self.path.as_deref().map(|path| JsonPath::parse(path).unwrap()),
            action: self.action,
            how: self.how,
        }
    }
}

fn part_kind(name: &str) -> PartKind {
    PartKind::ALL.into_iter().find(|kind| kind.as_str() == name).unwrap_or_else(|| panic!("there is no part `{name}`"))
}

fn direction(name: &str) -> Direction {
    [Direction::ToServer, Direction::ToClient].into_iter().find(|direction| direction.as_str() == name).unwrap()
}

fn summary_of(request: Option<&RawValue>) -> Option<CallSummary> {
    let request = request?;
    Some(CallSummary::of(&message(request.get())).unwrap())
}
