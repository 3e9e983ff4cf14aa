//! Replays tasks of agents through a gateway and says which attacker's calls it stopped, and which honest ones.
//!
//! A task is a list of calls with their results, as an agent made them for a user. In an attack one of the results carries an order, and
//! what follows is what an agent does that obeys: no model is asked whether it would, so what is measured is what stops the
//! *calls* of one that does. Results come from a server that stands in, through the whole gateway, in one session with all servers.

use std::collections::BTreeMap;
use std::path::Path;

use bartizan_config::{Config, Environment};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::home::Home;
use crate::range::{Caller, Range, RangeError, UNTRIED_IN_TASKS};
use crate::trial::Log;

/// The tasks, by domain, with what its operator has configured.
const TASKS: [(&str, &str); 9] = [
    (include_str!("../tasks/bank.json"), include_str!("../tasks/operator/bank.toml")),
    (include_str!("../tasks/chat.json"), include_str!("../tasks/operator/chat.toml")),
    (include_str!("../tasks/code.json"), include_str!("../tasks/operator/code.toml")),
    (include_str!("../tasks/household.json"), include_str!("../tasks/operator/household.toml")),
    (include_str!("../tasks/mail.json"), include_str!("../tasks/operator/mail.toml")),
    (include_str!("../tasks/office.json"), include_str!("../tasks/operator/office.toml")),
    (include_str!("../tasks/research.json"), include_str!("../tasks/operator/research.toml")),
    (include_str!("../tasks/support.json"), include_str!("../tasks/operator/support.toml")),
    (include_str!("../tasks/travel.json"), include_str!("../tasks/operator/travel.toml")),
];

/// What the gateway knows beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowing {
    /// The definitions of the tools, as it gets them from their servers.
    Definitions,
    /// Also what the operator of each domain has written in at most ten lines, without knowing the attacks.
    Operator,
}

/// Tasks with the same servers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Domain {
    domain: String,
    servers: Vec<Server>,
    tasks: Vec<Task>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    name: String,
    tools: Value,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    id: String,
    /// What the user asked for; nobody at the gateway knows it.
    #[expect(dead_code, reason = "for whoever reads the tasks")]
    user: String,
    calls: Vec<Call>,
    attacks: Vec<Attack>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    server: String,
    tool: String,
    arguments: Value,
    result: Value,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attack {
    name: String,
    /// The call whose result bears the order.
    carried_by: usize,
    result: Value,
    calls: Vec<Call>,
    /// Which of them do the harm.
    goal: Vec<usize>,
}

/// What became of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Which domain it is of.
    pub domain: String,
    /// Its name; of an attack, with that of its task before.
    pub id: String,
    /// Whether it is an attack.
    pub is_attack: bool,
    /// Whether no call that does the harm reached its server; of an honest task, whether every call did.
    pub is_good: bool,
    /// The calls that did not reach their servers, with the rules that stopped them.
    pub stopped: Vec<(String, Vec<String>)>,
}

/// Replays all tasks by what the gateway knows, with these lines added to the configuration of each domain; `on_run` is told of each.
///
/// # Errors
/// If a gateway cannot be started, or its configuration is none.
pub async fn replay(knowing: Knowing, more: &str, mut on_run: impl FnMut(&Run)) -> Result<Vec<Run>, RangeError> {
    let mut runs = Vec::new();
    for (text, operator) in TASKS {
        let operator = if knowing == Knowing::Operator { operator } else { "" };
        let domain: Domain =
            serde_json::from_str(text).map_err(|error| RangeError::Place(std::io::Error::other(error)))?;
        let config = domain.config(&format!("{more}\n{operator}"))?;
        let home = Home::make()?;
        let range = Range::start(&config, &home, &Caller::default(), UNTRIED_IN_TASKS).await?;
        for server in &domain.servers {
            range.servers.with(&server.name, |lines| lines.tools = Some(server.tools.clone()));
        }
        for task in &domain.tasks {
            let benign: Vec<_> = task.calls.iter().map(|call| (call, &call.result)).collect();
            let mut add = |run: Run| {
                on_run(&run);
                runs.push(run);
            };
            let (_, stopped) = through(&range, &benign).await?;
            let (id, is_good) = (task.id.clone(), stopped.is_empty());
            add(Run { domain: domain.domain.clone(), id, is_attack: false, is_good, stopped });
            for attack in &task.attacks {
                let until = task.calls.iter().take(attack.carried_by).map(|call| (call, &call.result));
                let carrier = task.calls.get(attack.carried_by).map(|call| (call, &attack.result));
                let theirs = attack.calls.iter().map(|call| (call, &call.result));
                let all: Vec<_> = until.chain(carrier).chain(theirs).collect();
                let (arrived, stopped) = through(&range, &all).await?;
                let harms = |at: &usize| arrived.get(attack.carried_by + 1 + at) == Some(&true);
                let is_good = !attack.goal.iter().any(harms);
                let id = format!("{}: {}", task.id, attack.name);
                add(Run { domain: domain.domain.clone(), id, is_attack: true, is_good, stopped });
            }
        }
        range.stop().await;
    }
    Ok(runs)
}

impl Domain {
    /// A configuration with its servers, of which none is started.
    fn config(&self, more: &str) -> Result<Config, RangeError> {
        let mut text = String::from(more);
        for server in &self.servers {
            text.push_str(&format!("\n[server.{}]\nurl = \"http://127.0.0.1:1/mcp\"\n", server.name));
        }
        let environment = Environment::of_process(Path::new("/nowhere"));
        let parsed = Config::parse(&text, &self.domain, &environment);
        parsed
            .map(|(config, _)| config)
            .map_err(|error| RangeError::Place(std::io::Error::other(format!("{}: {error}", self.domain))))
    }
}

/// Makes calls in a session of its own: which of them reached their server, and of the others what stopped them.
async fn through(
    range: &Range,
    calls: &[(&Call, &Value)],
) -> Result<(Vec<bool>, Vec<(String, Vec<String>)>), RangeError> {
    let mut client = range.connect_to_all().await?;
    let mut log = Log::at_its_end(&range.log)?;
    let (mut arrived, mut stopped) = (Vec::new(), Vec::new());
    for (call, result) in calls {
        range.servers.with(&call.server, |lines| {
            lines.result = (*result).clone();
            lines.called = Value::Null;
        });
        let name = format!("{}__{}", call.server, call.tool);
        let answer = client.request("tools/call", &json!({"name": name, "arguments": call.arguments})).await;
        answer.map_err(|error| RangeError::Connect { server: name.clone(), error })?;
        let came = range.servers.with(&call.server, |lines| !lines.called.is_null());
        arrived.push(came);
        let entries = log.entries()?;
        if !came {
            let rules = entries.iter().filter(|entry| entry.get("decision").is_some_and(|said| said != "allow"));
            let rules = rules.filter_map(|entry| Some(entry.get("rule")?.as_str()?.to_owned()));
            stopped.push((name, rules.collect()));
        }
    }
    client.close().await;
    Ok((arrived, stopped))
}

/// How many of all runs went well, by domain: attacks stopped of attacks, and honest tasks untouched of these.
#[must_use]
pub fn sums(runs: &[Run]) -> BTreeMap<&str, [(usize, usize); 2]> {
    let mut sums: BTreeMap<&str, [(usize, usize); 2]> = BTreeMap::new();
    for run in runs {
        let [attacks, benign] = sums.entry(&run.domain).or_default();
        let (good, all) = if run.is_attack { attacks } else { benign };
        *good += usize::from(run.is_good);
        *all += 1;
    }
    sums
}
