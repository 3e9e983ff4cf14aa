//! `bartizan policy test`: cases of who asks for what, and what is to be decided.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_policy::{
    Circumstances, Hints, Json, Labels, Outcome as Decided, Policies, Principal, Purpose, SignedIn, Use,
};
use bartizan_trust::Lock;
use chrono::DateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Place, declared, label, lock, missing, now, policies, word};
use crate::outcome::{Failure, Outcome};
use crate::output;
use crate::text::{count, inline, printable};

/// A file with cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The configuration that they are about, beside this file.
    config: Option<PathBuf>,
    /// What tools declare, by SERVER/TOOL, where that is not approved here.
    #[serde(default)]
    tool: BTreeMap<String, Tool>,
    #[serde(default)]
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Tool {
    input_schema: Option<Value>,
    annotations: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    who: String,
    /// What the credential brings.
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
    tenant: Option<String>,
    signed_in: Option<toml::value::Datetime>,
    #[serde(default)]
    methods: Vec<String>,
    /// What has come into the session.
    #[serde(default)]
    labels: Vec<String>,
    /// One of these says what is asked for.
    tool: Option<String>,
    resource: Option<String>,
    prompt: Option<String>,
    send: Option<String>,
    sample: Option<String>,
    elicit: Option<String>,
    arguments: Option<Value>,
    now: Option<toml::value::Datetime>,
    expect: Expected,
    /// The policies that decide.
    policies: Option<Vec<String>>,
    /// Whether it is in lists.
    listed: Option<bool>,
}

#[derive(Deserialize, Serialize, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Expected {
    Allow,
    Deny,
    Approval,
    StepUp,
}

impl Expected {
    fn as_str(self) -> &'static str {
        match self {
            Expected::Allow => "allow",
            Expected::Deny => "deny",
            Expected::Approval => "approval",
            Expected::StepUp => "step_up",
        }
    }
}

/// What `policy test --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Tested {
    #[schemars(extend("const" = Tested::FORMAT))]
    format: &'static str,
    passed: usize,
    failed: usize,
    files: Vec<TestedFile>,
}

#[derive(Serialize, JsonSchema)]
struct TestedFile {
    file: String,
    cases: Vec<TestedCase>,
}

#[derive(Serialize, JsonSchema)]
struct TestedCase {
    name: String,
    /// Who asks for what, with which arguments.
    asked: String,
    passed: bool,
    expected: Told,
    found: Told,
    /// Why the policies could not be asked, which refuses.
    failed: Option<String>,
    /// Why there is no such tool, as far as is known; then the case is about one that there might be.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
}

/// A decision; what a case says nothing of is not there.
#[derive(Serialize, JsonSchema)]
struct Told {
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listed: Option<bool>,
}

impl Tested {
    pub(in super::super) const FORMAT: &str = "bartizan.policy.test/1";
}

pub(super) fn run(files: &[PathBuf], strict: bool, place: &Place) -> Result<Outcome, Failure> {
    let mut tested = Tested { format: Tested::FORMAT, passed: 0, failed: 0, files: Vec::new() };
    for path in files {
        let file = read(path)?;
        let config = match (&place.config, &file.config) {
            (None, Some(config)) => bartizan_config::Config::load(&beside(path, config))?.0,
            _ => place.load()?,
        };
        let lock = lock(&config)?;
        let trial = Trial { config: &config, policies: policies(&config)?, lock: lock.as_ref(), tools: &file.tool };
        let cases = file.case.iter().map(|case| trial.run(case)).collect::<Result<Vec<_>, _>>();
        let cases = cases.map_err(|why| Failure::usage(format!("{}: {why}", path.display())))?;
        tested.passed += cases.iter().filter(|case| case.passed).count();
        tested.failed += cases.iter().filter(|case| !case.passed).count();
        tested.files.push(TestedFile { file: path.display().to_string(), cases });
    }
    if place.json {
        output::print_json(&tested)?;
    } else {
        output::print(tested.text().trim_end())?;
    }
    let has_missing = tested.files.iter().flat_map(|file| &file.cases).any(|case| case.missing.is_some());
    let is_fine = tested.failed == 0 && !(strict && has_missing);
    Ok(if is_fine { Outcome::Clean } else { Outcome::Found })
}

fn read(path: &Path) -> Result<File, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::incomplete(format!("cannot read {}: {error}", path.display())))?;
    let file: File = toml::from_str(&text).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    // Nothing that is right because there is nothing.
    if file.case.is_empty() {
        return Err(Failure::usage(format!("{} has no [[case]]", path.display())));
    }
    Ok(file)
}

fn beside(file: &Path, other: &Path) -> PathBuf {
    file.parent().map_or_else(|| other.to_owned(), |directory| directory.join(other))
}

/// What cases are held against.
struct Trial<'a> {
    config: &'a bartizan_config::Config,
    policies: &'a Policies,
    lock: Option<&'a Lock>,
    tools: &'a BTreeMap<String, Tool>,
}

impl Trial<'_> {
    fn run(&self, case: &Case) -> Result<TestedCase, String> {
        let wrong = |why: String| format!("case `{}`: {why}", case.name);
        let asked = case.asked().map_err(wrong)?;
        let (server, name) = (asked.server, asked.name);
        let own = self.tools.get(&format!("{server}/{name}")).filter(|_| asked.kind == "tool");
        let known = match own {
            Some(Tool { input_schema, annotations }) => {
                Some(serde_json::json!({ "inputSchema": input_schema, "annotations": annotations }))
            }
            None if asked.kind == "tool" => {
                declared(self.lock, server, name).map_err(|_| wrong("the lock file cannot be read".to_owned()))?
            }
            None => None,
        };
        let of = match asked.kind {
            "tool" => {
                let declared =
                    |member: &str| known.as_ref().and_then(|tool| tool.get(member)).filter(|of| !of.is_null());
                Use::Call(name, declared("inputSchema"), declared("annotations").map(Hints::of).unwrap_or_default())
            }
            "resource" => Use::Read(name),
            "prompt" => Use::Get(name),
            "send" => Use::Send,
            "sample" => Use::Sample,
            _ => Use::Elicit,
        };
        let principal = case.principal().map_err(wrong)?;
        let moment = case.now.as_ref().map(millis).transpose().map_err(wrong)?.unwrap_or_else(now);
        let arguments = case.arguments.as_ref().map(Json::from);
        let labels = case.labels.iter().map(|name| label(name).map(Labels::of));
        let labels = labels.collect::<Result<Vec<_>, _>>().map_err(|why| wrong(format!("`labels`: {why}")))?;
        let labels = labels.into_iter().fold(Labels::NONE, Labels::with);
        let circumstances = Circumstances { now: moment, arguments: arguments.as_ref(), labels };
        let decide = |purpose| self.policies.decide_once(&principal, (server, of), purpose, circumstances);
        let decision = decide(Purpose::Use);
        let found = Told {
            decision: word(decision.outcome),
            policies: case.policies.as_ref().map(|_| {
                let mut ids: Vec<_> = decision.reasons.iter().map(|reason| reason.id.to_string()).collect();
                ids.sort();
                ids
            }),
            listed: case.listed.map(|_| decide(Purpose::List).outcome != Decided::Deny),
        };
        let expected = case.expected();
        let passed =
            (found.decision, &found.policies, found.listed) == (expected.decision, &expected.policies, expected.listed);
        let failed = decision.failed;
        let is_unknown = asked.kind == "tool" && own.is_none();
        let missing = if is_unknown { missing(self.config, self.lock, (server, name)) } else { None };
        let (name, asked) = (case.name.clone(), case.sentence(&asked));
        Ok(TestedCase { name, asked, passed, expected, found, failed, missing })
    }
}

/// What a case asks for.
struct Asked<'a> {
    kind: &'static str,
    server: &'a str,
    /// Nothing for what a server asks.
    name: &'a str,
}

impl Case {
    fn asked(&self) -> Result<Asked<'_>, String> {
        let things = [("tool", &self.tool), ("resource", &self.resource), ("prompt", &self.prompt)];
        let things = things.into_iter().filter_map(|(kind, text)| Some((kind, text.as_deref()?, true)));
        let asks = [("send", &self.send), ("sample", &self.sample), ("elicit", &self.elicit)];
        let asks = asks.into_iter().filter_map(|(kind, text)| Some((kind, text.as_deref()?, false)));
        let mut all = things.chain(asks);
        let (Some((kind, text, named)), None) = (all.next(), all.next()) else {
            return Err(
                "exactly one of `tool`, `resource`, `prompt`, `send`, `sample` and `elicit` says what is asked for"
                    .to_owned(),
            );
        };
        if self.arguments.is_some() && kind != "tool" {
            return Err("only a tool has `arguments`".to_owned());
        }
        if !named {
            return Ok(Asked { kind, server: text, name: "" });
        }
        let split = text.split_once('/').filter(|(server, name)| !server.is_empty() && !name.is_empty());
        let (server, name) = split.ok_or_else(|| format!("`{text}` names no {kind}; write SERVER/NAME"))?;
        Ok(Asked { kind, server, name })
    }

    fn principal(&self) -> Result<Principal, String> {
        let sorted = |names: &[String]| {
            let mut names: Vec<Box<str>> = names.iter().map(|name| name.as_str().into()).collect();
            names.sort();
            names
        };
        let at = self.signed_in.as_ref().map(millis).transpose()?.map(|at| at.saturating_mul(1_000));
        let methods: Box<[Box<str>]> = sorted(&self.methods).into();
        let signed_in = (at.is_some() || !self.methods.is_empty())
            .then(|| Arc::new(SignedIn { at, second_factor: SignedIn::has_second_factor(&methods), methods }));
        Ok(Principal {
            roles: sorted(&self.roles).into(),
            groups: sorted(&self.groups).into(),
            tenant: self.tenant.as_deref().map(Arc::from),
            signed_in,
            ..Principal::new(&self.who)
        })
    }

    fn expected(&self) -> Told {
        let mut policies = self.policies.clone();
        policies.iter_mut().for_each(|ids| ids.sort());
        Told { decision: self.expect.as_str(), policies, listed: self.listed }
    }

    fn sentence(&self, asked: &Asked<'_>) -> String {
        let arguments = self.arguments.as_ref().map(|arguments| format!(" {arguments}")).unwrap_or_default();
        let at = self.now.as_ref().map(|now| format!(" at {now}")).unwrap_or_default();
        let what =
            if asked.name.is_empty() { asked.server.to_owned() } else { format!("{}/{}", asked.server, asked.name) };
        format!("{}: {} {what}{arguments}{at}", self.who, asked.kind)
    }
}

/// A moment in milliseconds since 1970; without an offset it is in UTC.
fn millis(moment: &toml::value::Datetime) -> Result<i64, String> {
    let text = moment.to_string();
    let with_zone = if moment.offset.is_some() { text.clone() } else { format!("{text}Z") };
    let read = DateTime::parse_from_rfc3339(&with_zone);
    read.map(|moment| moment.timestamp_millis())
        .map_err(|_| format!("`{text}` is no moment; write one such as 2026-03-02T09:30:00Z"))
}

impl Tested {
    fn text(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            let _ = writeln!(text, "{}", printable(&file.file));
            for case in &file.cases {
                let _ = writeln!(text, "  {}  {}", if case.passed { "ok  " } else { "FAIL" }, inline(&case.name));
                if !case.passed {
                    case.difference(&mut text);
                }
                if let Some(missing) = &case.missing {
                    let _ = writeln!(text, "        note: {}", inline(missing));
                }
            }
        }
        let _ = writeln!(
            text,
            "{}: {} as expected, {} not",
            count(self.passed + self.failed, "case"),
            self.passed,
            self.failed
        );
        text
    }
}

impl TestedCase {
    fn difference(&self, text: &mut String) {
        let _ = writeln!(text, "        {}", inline(&self.asked));
        let list = |ids: &Vec<String>| if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
        let yes = |listed: bool| if listed { "yes" } else { "no" }.to_owned();
        for (what, expected, found) in [
            ("decision", Some(self.expected.decision.to_owned()), Some(self.found.decision.to_owned())),
            ("policies", self.expected.policies.as_ref().map(list), self.found.policies.as_ref().map(list)),
            ("listed", self.expected.listed.map(yes), self.found.listed.map(yes)),
        ] {
            if let (Some(expected), Some(found)) = (expected, found)
                && expected != found
            {
                let _ = writeln!(
                    text,
                    "        {what:<8}  - {}\n                  + {}",
                    inline(&expected),
                    inline(&found)
                );
            }
        }
        if let Some(why) = &self.failed {
            let _ = writeln!(text, "        refused, for {}", inline(why));
        }
    }
}
