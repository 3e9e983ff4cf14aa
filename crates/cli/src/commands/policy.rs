//! `bartizan policy`: what the policies of a configuration say, without starting anything.

mod alike;
mod changes;
mod doubt;
mod history;
mod overview;
mod replay;
mod replay_text;
mod test;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bartizan_config::{Config, Tools};
use bartizan_policy::{
    Circumstances, Decision, Hints, Json, Known, Label, Labels, Outcome as Decided, Policies, Principal, Purpose,
    Roles, Use, Ways,
};
use bartizan_store::Store;
use bartizan_trust::Lock;
use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::common;
use crate::outcome::{Failure, Outcome};
use crate::output;
use crate::text::{count, inline, printable};

pub(super) use history::{History, Shown};
pub(super) use overview::Overview;
pub(super) use replay::{Replayed, files as captured_files, sealer};
pub(super) use test::Tested;

const EXAMPLES: &str = "\
Examples:
  bartizan policy check --strict
  bartizan policy test cases.toml
  bartizan policy test --replay
  bartizan policy explain ann
  bartizan policy explain ann git/git_log
  bartizan policy explain carl bank/transfer '{\"amount\": 500, \"currency\": \"EUR\"}' --role clerk";

/// Checks the policies of a configuration, or explains what they decide
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Holds the policies against every tool that is approved, and says which have no effect
    Check {
        /// Takes a policy that has no effect for an error
        #[arg(long)]
        strict: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Decides cases that files hold, and compares with what they expect; or judges captured messages again, and shows
    /// about which of them another thing would be decided
    Test {
        /// Files with cases, in TOML
        #[arg(required_unless_present = "replay", conflicts_with = "replay", value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Judges again what was captured: in this file or directory, or where `[capture]` says
        #[arg(long, value_name = "PATH", num_args = 0..=1)]
        #[expect(clippy::option_option, reason = "whether it is there, and whether with a path")]
        replay: Option<Option<PathBuf>>,
        /// Shows the arguments of examples as well, which are content
        #[arg(long, requires = "replay", conflicts_with = "files")]
        show_arguments: bool,
        /// Takes a case about a tool that is not known for one that failed
        #[arg(long, conflicts_with = "replay")]
        strict: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Lists which policies were in force when, and what each changed
    History {
        #[command(flatten)]
        place: Place,
    },
    /// Shows policies that were in force, as the log names them
    Show {
        /// The version, or how it begins
        version: String,
        /// Shows what it changed of the one before, line by line
        #[arg(long)]
        changes: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Says what somebody may do with a tool, or with all that is approved, and by which policies
    Explain {
        /// Who asks, such as `ann`, `uid:1000` or `anonymous`
        user: String,
        /// The tool, as SERVER/TOOL; without it all tools, prompts and resources that are approved
        tool: Option<String>,
        /// The arguments, as a JSON object
        arguments: Option<String>,
        #[command(flatten)]
        brings: Brings,
        #[command(flatten)]
        place: Place,
    },
}

/// What the credential of whoever asks brings along.
#[derive(Args)]
struct Brings {
    /// A role that the credential brings; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A group that the credential says they are in; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// The tenant that the credential says they are of
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// A label that the session bears, such as `untrusted`; may be given several times
    #[arg(long = "label", value_name = "LABEL", value_parser = label)]
    labels: Vec<Label>,
}

/// A label by its name.
fn label(name: &str) -> Result<Label, String> {
    let known = Label::ALL.map(Label::as_str);
    Label::named(name).ok_or_else(|| format!("there is no such label; there are {}", known.join(", ")))
}

impl Brings {
    /// What the session is labelled with.
    fn labels(&self) -> Labels {
        self.labels.iter().map(|label| Labels::of(*label)).fold(Labels::NONE, Labels::with)
    }

    /// Somebody of that name who brings it.
    fn principal(&self, user: &str) -> Principal {
        let sorted = |names: &[String]| {
            let names: BTreeSet<_> = names.iter().map(String::as_str).collect();
            names.into_iter().map(Box::from).collect()
        };
        Principal {
            roles: sorted(&self.roles),
            groups: sorted(&self.groups),
            tenant: self.tenant.as_deref().map(Into::into),
            ..Principal::new(user)
        }
    }
}

#[derive(Args)]
struct Place {
    /// The configuration [default: bartizan.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        match self.command {
            Command::Check { strict, place } => check(&place, strict),
            Command::History { place } => history::history(&place),
            Command::Show { version, changes, place } => history::show(&version, changes, &place),
            Command::Test { replay: Some(path), show_arguments, place, .. } => {
                replay::run(path.as_deref(), show_arguments, &place)
            }
            Command::Test { files, strict, place, .. } => test::run(&files, strict, &place),
            Command::Explain { user, tool: Some(tool), arguments, brings, place } => {
                explain((&user, &brings), &tool, arguments.as_deref(), &place)
            }
            Command::Explain { user, tool: None, brings, place, .. } => overview::run(&user, &brings, &place),
        }
    }
}

impl Place {
    fn file(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new("bartizan.toml"))
    }

    fn load(&self) -> Result<Config, Failure> {
        Ok(Config::load(self.file())?.0)
    }
}

fn policies(config: &Config) -> Result<&Policies, Failure> {
    let none = "the configuration says nothing about who may do what, so everything is allowed to whoever comes in; \
                to begin, write [policy] or [role.NAME]";
    config.settings.policies.as_deref().ok_or_else(|| Failure::usage(none))
}

/// The lock file, if there is one.
fn lock(config: &Config) -> Result<Option<Lock>, Failure> {
    let there = config.lock.is_file().then(|| Lock::open(config.lock.clone()).map_err(Failure::incomplete));
    there.transpose()
}

/// What a tool declares, if that was approved and kept.
fn declared(lock: Option<&Lock>, server: &str, tool: &str) -> Result<Option<Value>, Failure> {
    let text = lock.map(|lock| lock.approved_text(server, "tool", tool)).transpose().map_err(Failure::incomplete)?;
    Ok(text.flatten().and_then(|text| serde_json::from_str(&text).ok()))
}

fn call<'a>(tool: &'a str, declared: Option<&'a Value>) -> Use<'a> {
    let hints = declared.and_then(|tool| tool.get("annotations")).map(Hints::of).unwrap_or_default();
    Use::Call(tool, declared.and_then(|tool| tool.get("inputSchema")), hints)
}

/// What `policy check --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Checked {
    #[schemars(extend("const" = Checked::FORMAT))]
    format: &'static str,
    /// How many policies there are, those of roles among them.
    policies: usize,
    /// The tools that they were held against.
    tools: Vec<String>,
    /// Tools whose definition was not kept, so that no policy about arguments was held against them.
    unknown: Vec<String>,
    /// Where a policy does not fit a tool, which refuses its calls: place and reason.
    problems: Vec<String>,
    /// Policies that have no effect: place and reason.
    warnings: Vec<String>,
    /// Arguments that no policy can read, as SERVER/TOOL and the path.
    unmapped: Vec<String>,
}

impl Checked {
    pub(super) const FORMAT: &str = "bartizan.policy.check/1";
}

fn check(place: &Place, strict: bool) -> Result<Outcome, Failure> {
    let config = place.load()?;
    let (policies, lock) = (policies(&config)?, lock(&config)?);
    let mut checked = Checked {
        format: Checked::FORMAT,
        policies: policies.len(),
        tools: Vec::new(),
        unknown: Vec::new(),
        problems: Vec::new(),
        warnings: policies.warnings(&known(&config, lock.as_ref())?).iter().map(ToString::to_string).collect(),
        unmapped: Vec::new(),
    };
    checked.warnings.extend(approvers(&config, policies.roles()));
    let mut problems = Vec::new();
    for (server, tool) in approved(lock.as_ref()) {
        let Some(known) = declared(lock.as_ref(), &server, &tool)? else {
            checked.unknown.push(format!("{server}/{tool}"));
            continue;
        };
        let of = call(&tool, Some(&known));
        let found = policies.problems(&server, of).into_iter();
        problems.extend(found.map(|problem| (format!("{server}/{tool}"), problem)));
        if let Some(input) = policies.target(&server, of).as_ref().and_then(|target| target.input()) {
            let all = |path: &String| if path.is_empty() { "all arguments".to_owned() } else { path.clone() };
            checked.unmapped.extend(input.unmapped().iter().map(|path| format!("{server}/{tool}: {}", all(path))));
        }
        checked.tools.push(format!("{server}/{tool}"));
    }
    checked.problems = alike::grouped(problems);
    if place.json {
        output::print_json(&checked)?;
    } else {
        output::print(checked.text().trim_end())?;
    }
    let is_fine = checked.problems.is_empty() && (checked.warnings.is_empty() || !strict);
    Ok(if is_fine { Outcome::Clean } else { Outcome::Found })
}

/// Approvers under `[approval]` whom nobody can be.
fn approvers(config: &Config, roles: &Roles) -> Vec<String> {
    let (ways, usual) = (ways(config), &config.approval.approvers);
    if let Some(why) = roles.nobody_of(usual, ways) {
        return vec![format!("by `approvers` under [approval] nobody can ever approve what asks for that: {why}")];
    }
    let useless = |approver| Some((approver, roles.nobody_is(approver, ways)?));
    let useless = usual.iter().filter_map(useless);
    useless.map(|(approver, why)| format!("`approvers` under [approval] have `{approver}`, and {why}")).collect()
}

/// By what people can meet challenges.
fn ways(config: &Config) -> Ways {
    Ways { pages: config.sign_in.is_some(), tokens: !config.auth.issuers.is_empty() }
}

/// What there is for policies to be about.
fn known(config: &Config, lock: Option<&Lock>) -> Result<Known, Failure> {
    let mut tools = Tools::new();
    for (server, tool) in approved(lock) {
        tools.entry(server).or_default().insert(tool);
    }
    let known = config.known(&tools);
    // What tokens of an issuer bring, only the issuer knows.
    let is_claimed = config.auth.issuers.iter().any(|issuer| issuer.claims.roles.is_some());
    Ok(Known { roles: if is_claimed { None } else { Some(brought(config)?) }, ..known })
}

/// The roles that keys bring.
fn brought(config: &Config) -> Result<BTreeSet<String>, Failure> {
    let Some(place) = config.store.as_ref().filter(|place| place.exists()) else { return Ok(BTreeSet::new()) };
    let keys = async { Store::open(place).await?.api_keys().await };
    let keys = common::block_on_one(async { keys.await.map_err(Failure::incomplete) })?;
    let good = keys.into_iter().filter(|key| key.revoked_at.is_none());
    Ok(good.flat_map(|key| key.roles).collect())
}

/// Each approved tool, with its server.
fn approved(lock: Option<&Lock>) -> Vec<(String, String)> {
    let servers = lock.into_iter().flat_map(|lock| lock.servers().map(move |server| (server, lock.pins(server))));
    let tools = servers.flat_map(|(server, pins)| {
        let names = pins.into_iter().flat_map(|pins| pins.definitions.keys());
        names.filter(|(kind, _)| kind == "tool").map(move |(_, name)| (server.to_owned(), name.clone()))
    });
    tools.collect()
}

impl Checked {
    fn text(&self) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            let _ = writeln!(text, "error: {}", printable(problem));
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "warning: {}", printable(warning));
        }
        for one in &self.unmapped {
            let _ = writeln!(text, "note: no policy can read {}", printable(one));
        }
        for one in &self.unknown {
            let _ =
                writeln!(text, "note: what {} declares was not kept, so nothing was held against it", printable(one));
        }
        if self.tools.is_empty() && self.policies > 0 {
            let _ = writeln!(
                text,
                "note: no tool is in the lock file yet, so nothing was held against what tools declare; they are once a client \
                 has listed them through the gateway"
            );
        }
        let verdict = if self.problems.is_empty() { "ok" } else { "not ok" };
        let warned = self.warnings.len();
        let warned = if warned == 0 { String::new() } else { format!(", {}", count(warned, "warning")) };
        let (policies, tools) = (self.policies, count(self.tools.len(), "tool"));
        let policies = if policies == 1 { "1 policy".to_owned() } else { format!("{policies} policies") };
        let _ = writeln!(text, "{verdict}: {policies}, held against {tools}{warned}");
        text
    }
}

/// What `policy explain --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Explained {
    #[schemars(extend("const" = Explained::FORMAT))]
    format: &'static str,
    /// `allow`, `deny`, or what is asked for: `approval` or `step_up`.
    decision: &'static str,
    /// Whether it depends on the arguments, of which none were given; then `decision` is only for a call without any.
    depends: bool,
    /// The arguments that policies read, if it depends on them.
    arguments: Vec<String>,
    /// What of the question may not be what was meant, or cannot be known here.
    notes: Vec<String>,
    /// Whether the tool is in the lists that this user sees.
    listed: bool,
    /// Whether the arguments of the tool are known, from what was approved.
    known: bool,
    /// Why there is no such tool, as far as is known; then the decision is about one of that name that there might be.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
    /// Roles that the user has.
    roles: Vec<String>,
    /// Groups that the user is in.
    groups: Vec<String>,
    /// The policies that decided; none where no policy said anything.
    policies: Vec<Explaining>,
    /// Why the policies could not be asked, which refuses.
    failed: Option<String>,
}

/// A policy that decided.
#[derive(Serialize, JsonSchema)]
struct Explaining {
    id: String,
    reason: Option<String>,
    advice: Option<String>,
    /// The policy itself, in Cedar.
    text: Option<String>,
}

impl Explained {
    pub(super) const FORMAT: &str = "bartizan.policy.explain/1";
}

fn explain(
    (user, brings): (&str, &Brings),
    tool: &str,
    arguments: Option<&str>,
    place: &Place,
) -> Result<Outcome, Failure> {
    let named = tool.split_once('/').filter(|(server, tool)| !server.is_empty() && !tool.is_empty());
    let (server, tool) = named.ok_or_else(|| {
        // As clients of all servers together call it.
        let meant = tool.split_once("__").filter(|(server, tool)| !server.is_empty() && !tool.is_empty());
        let meant = meant.map(|(server, tool)| format!("; did you mean `{server}/{tool}`?")).unwrap_or_default();
        Failure::usage(format!("`{tool}` is no tool; write SERVER/TOOL{meant}"))
    })?;
    let arguments: Option<Value> = arguments
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| Failure::usage(format!("the arguments are no JSON: {error}")))?;
    let config = place.load()?;
    let policies = policies(&config)?;
    let lock = lock(&config)?;
    let known = declared(lock.as_ref(), server, tool)?;
    let principal = brings.principal(user);
    let subject = policies.subject(&principal).map_err(Failure::usage)?;
    let target = policies.target(server, call(tool, known.as_ref()));
    let target = target.ok_or_else(|| Failure::usage("what is asked for cannot be expressed"))?;
    let arguments = arguments.as_ref().map(Json::from);
    let now = now();
    let circumstances = Circumstances { now, arguments: arguments.as_ref(), labels: brings.labels() };
    let decide = |purpose| policies.decide(&subject, &target, purpose, circumstances);
    let held = policies.roles().held_by(user, &principal.roles, &principal.groups);
    let (used, list) = (decide(Purpose::Use), decide(Purpose::List));
    let listed = list.outcome != Decided::Deny;
    // What no arguments could make allowed is in no list, and that is the reason then.
    let is_never = used.failed.is_some() && !listed && list.failed.is_none();
    let depends =
        arguments.is_none() && known.is_some() && listed && (used.outcome == Decided::Deny || used.failed.is_some());
    let explained = Explained {
        known: known.is_some(),
        depends,
        arguments: known.as_ref().filter(|_| depends).map(|known| doubt::read(policies, known)).unwrap_or_default(),
        notes: doubt::notes(&config, policies, user, brings),
        missing: missing(&config, lock.as_ref(), (server, tool)),
        roles: held.roles.into_iter().collect(),
        groups: held.groups.into_iter().collect(),
        ..explained(policies, if is_never { list } else { used }, listed)
    };
    if place.json {
        output::print_json(&explained)?;
    } else {
        output::print(explained.text(user, &format!("{server}/{tool}")).trim_end())?;
    }
    Ok(Outcome::Clean)
}

/// Why there is no such tool, with one that is called nearly so.
fn missing(config: &Config, lock: Option<&Lock>, (server, tool): (&str, &str)) -> Option<String> {
    let approved = approved(lock);
    let like = |word: &str, all: &mut dyn Iterator<Item = &str>| bartizan_policy::meant(word, all);
    let is_server = config.servers.contains_key(server) || approved.iter().any(|(of, _)| of == server);
    if !is_server {
        let mut all = config.servers.keys().map(String::as_str).chain(approved.iter().map(|(of, _)| of.as_str()));
        // A file without servers is one for `run`, where the client's command line names them.
        return (!config.servers.is_empty())
            .then(|| format!("no server `{server}` is known{}", like(server, &mut all)));
    }
    let own: Vec<_> = approved.iter().filter(|(of, _)| of == server).map(|(_, name)| name.as_str()).collect();
    if own.contains(&tool) || own.is_empty() {
        return None;
    }
    let near = like(tool, &mut own.iter().copied());
    Some(format!("no tool `{tool}` of the server `{server}` is approved, so none is known{near}"))
}

/// Now, in milliseconds since 1970-01-01 UTC.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn word(outcome: Decided) -> &'static str {
    match outcome {
        Decided::Allow => "allow",
        Decided::Deny => "deny",
        Decided::Challenge(kind) => kind.as_str(),
    }
}

fn explained(policies: &Policies, decision: Decision, listed: bool) -> Explained {
    let explaining = decision.reasons.iter().map(|reason| Explaining {
        id: reason.id.to_string(),
        reason: reason.reason.as_deref().map(str::to_owned),
        advice: reason.advice.as_deref().map(str::to_owned),
        text: policies.text(&reason.id),
    });
    Explained {
        format: Explained::FORMAT,
        decision: word(decision.outcome),
        depends: false,
        arguments: Vec::new(),
        notes: Vec::new(),
        listed,
        known: false,
        missing: None,
        roles: Vec::new(),
        groups: Vec::new(),
        policies: explaining.collect(),
        failed: decision.failed,
    }
}

impl Explained {
    fn text(&self, user: &str, tool: &str) -> String {
        let mut text = format!("{}: {} may call {}\n", self.decision, printable(user), printable(tool));
        if self.decision != "allow" {
            text = format!("{}: {} calls {}\n", self.decision, printable(user), printable(tool));
        }
        if self.depends {
            let named: Vec<_> = self.arguments.iter().map(|name| format!("`{}`", inline(name))).collect();
            let named = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
            text = format!("depends: {} calls {}\n", printable(user), printable(tool));
            let _ = writeln!(text, "  it depends on its arguments{named}; give them as ARGS");
        } else if self.decision == "deny" && !self.listed && self.policies.is_empty() && self.failed.is_none() {
            text.push_str("  no policy permits it, whatever the arguments are, so the default holds\n");
        }
        if let Some(missing) = &self.missing {
            text = format!("{}\nwhat would hold for it: {text}", printable(missing));
        }
        let some = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let _ =
            writeln!(text, "  roles   {}\n  groups  {}", printable(&some(&self.roles)), printable(&some(&self.groups)));
        let _ = writeln!(text, "  listed  {}", if self.listed { "yes" } else { "no" });
        if let Some(why) = self.failed.as_ref().filter(|_| !self.depends) {
            let _ = writeln!(text, "  refused, for {}", printable(why));
        }
        for note in &self.notes {
            let _ = writeln!(text, "  note: {}", inline(note));
        }
        if self.missing.is_none() && !self.known {
            text.push_str("  what the tool declares is not known here: policies that read its arguments refuse\n");
        }
        if self.policies.is_empty()
            && self.failed.is_none()
            && !self.depends
            && (self.listed || self.decision != "deny")
        {
            text.push_str("  no policy says anything about it, so the default holds\n");
        }
        for policy in &self.policies {
            let _ = writeln!(text, "\n  by {}", printable(&policy.id));
            for words in policy.reason.iter().chain(&policy.advice) {
                let _ = writeln!(text, "  {}", printable(words));
            }
            for line in policy.text.as_deref().unwrap_or_default().lines() {
                let _ = writeln!(text, "    {}", printable(line));
            }
        }
        text
    }
}
