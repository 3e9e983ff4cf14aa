//! What the stages of one call cost: the product's own code, in this process and without HTTP, a part at a time.
//!
//! The call and its answer are those of `bench-load` and `bench-upstream`. They go through three gateways that differ
//! in their guards, in turns, and what a guard costs is the difference. One JSON line of µs of CPU is the report;
//! `run.py` sets it beside what the whole gateway and a bare proxy cost in the same run.

mod credentials;

use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use bartizan_bench::{Era, Request, Server};
use bartizan_config::{Config, Environment};
use bartizan_gateway::{Link, Routing, setup};
use bartizan_guard::{CallSummary, Direction, GuardSettings, Principal, guards};
use bartizan_mcp::{Limits, Message};
use bytes::Bytes;
use clap::Parser;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use self::credentials::Shown;

#[derive(Parser)]
#[command(name = "bench-stages", about = "What the stages of one tool call and its answer cost, in µs of CPU")]
struct Options {
    /// Bytes of text each way, as they are before JSON escaping
    #[arg(long, default_value_t = 1024)]
    payload: usize,
    /// How often everything is measured; the report is of medians
    #[arg(long, default_value_t = 15)]
    rounds: usize,
}

/// Which guards are on, as by default if that is not said, and how many policies there are.
type Set = (Option<fn(&str) -> bool>, usize);

/// One gateway for each.
const SETS: [Set; 4] = [(Some(|_| false), 0), (Some(|guard| guard == "schema"), 0), (None, 0), (None, 1_000)];

/// The policies that are about the call: one reads its argument.
const POLICIES: &str = r#"
permit(principal in Mcp::Role::"reader", action in Mcp::Action::"call", resource);
@id("long") forbid(principal, action == Mcp::Action::"up/echo", resource) when { context.input.text like "*secret*" };
"#;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Box::pin(measure(&options)))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let call = Call::new(options.payload)?;
    let directory = tempfile::tempdir()?;
    let mut links = Vec::new();
    for (number, set) in SETS.into_iter().enumerate() {
        let link = connect(&directory.path().join(number.to_string()), set).await?;
        learn(&link).await?;
        links.push(link);
    }
    let calls = (8_000_000 / options.payload.max(1)).clamp(20, 4_000);
    let key = Shown::key(directory.path()).await?;
    let token = Shown::token(directory.path()).await?;
    let mut rounds: Vec<[f64; 7]> = Vec::new();
    for _ in 0..options.rounds.max(1) {
        let read = cpu_each(calls, async || call.read().map(|read| drop(black_box(read)))).await?;
        let identity = cpu_each(calls, async || key.show().await).await?;
        let token = cpu_each(calls, async || token.show().await).await?;
        let [none, schema, all, policies] = links.as_slice() else { return Err(anyhow!("a gateway is missing")) };
        let none = cpu_each(calls, async || call.pass(none).await).await?;
        let schema = cpu_each(calls, async || call.pass(schema).await).await?;
        let all = cpu_each(calls, async || call.pass(all).await).await?;
        let policies = cpu_each(calls, async || call.pass(policies).await).await?;
        rounds.push([read, none - read, schema - none, all - schema, identity, policies - all, token]);
    }
    let stage = |number: usize| median(rounds.iter().filter_map(|round| round.get(number).copied()).collect());
    let report = json!({
        "payload": options.payload, "calls": calls * rounds.len(),
        "read_us": stage(0), "record_us": stage(1), "schema_us": stage(2), "guards_us": stage(3),
        "identity_us": stage(4), "policy_us": stage(5), "token_us": stage(6),
    });
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

/// One call and its answer.
struct Call {
    request: Bytes,
    answer: Bytes,
}

impl Call {
    fn new(size: usize) -> anyhow::Result<Self> {
        let arguments = json!({ "text": bartizan_bench::report(size) });
        let (request, answer) = ask("tools/call", &json!({ "name": "echo", "arguments": arguments }))?;
        Ok(Call { request, answer })
    }

    /// From bytes to messages with their parts.
    fn read(&self) -> anyhow::Result<(Message, CallSummary, Message)> {
        read(&self.request, &self.answer)
    }

    /// From bytes to what may leave: read, judged, committed and recorded. A message is read anew each time, as what one guard has found
    /// out of its texts the next one need not.
    async fn pass(&self, link: &Link) -> anyhow::Result<()> {
        let (request, call, answer) = self.read()?;
        pass(link, &request, Direction::ToServer, None).await?;
        pass(link, &answer, Direction::ToClient, Some(&call)).await
    }
}

/// A request, and what the upstream of the benchmark answers to it.
fn ask(method: &str, params: &serde_json::Value) -> anyhow::Result<(Bytes, Bytes)> {
    let request = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }).to_string();
    let mut answer = Vec::new();
    let parsed = Request::parse(request.as_bytes()).context("the request is no message")?;
    Server::new(10).answer(&parsed, Era::Session, &mut answer);
    Ok((request.into(), answer.into()))
}

fn read(request: &Bytes, answer: &Bytes) -> anyhow::Result<(Message, CallSummary, Message)> {
    let limits = Limits::default();
    let request = Message::parse(request.clone(), &limits)?;
    let call = CallSummary::of(&request).context("the request is none")?;
    Ok((request, call, Message::parse(answer.clone(), &limits)?))
}

async fn pass(
    link: &Link,
    message: &Message,
    direction: Direction,
    answers: Option<&CallSummary>,
) -> anyhow::Result<()> {
    let admitted = link.pass(message.clone(), direction, answers).await;
    admitted.map(drop).map_err(|refusal| anyhow!(refusal.sentence()))
}

/// A client's link to a server that is never reached, in a gateway of its own.
async fn connect(directory: &Path, (on, policies): Set) -> anyhow::Result<Link> {
    let mut text = "[server.up]\nurl = \"http://127.0.0.1:9/mcp\"\n".to_owned();
    std::fs::create_dir_all(directory)?;
    if policies > 0 {
        let other =
            |n| format!("permit(principal in Mcp::Role::\"other{n}\", action in Mcp::Action::\"call\", resource);\n");
        let file = directory.join("benchmark.cedar");
        std::fs::write(&file, POLICIES.to_owned() + &(0..policies).map(other).collect::<String>())?;
        text.push_str(&format!("[policy]\nfiles = [{:?}]\n", file.display().to_string()));
    }
    let mut environment = Environment::of_process(directory);
    environment.variables.insert("BARTIZAN_HOME".to_owned(), directory.display().to_string());
    let (mut config, _) = Config::parse(&text, "benchmark", &environment)?;
    for (guard, on) in guards::ALL.iter().flat_map(|guard| on.map(|on| (guard, on))) {
        let held = config.settings.guards.entry(guard.name.to_owned()).or_insert_with(GuardSettings::default);
        held.enabled = on(guard.name);
    }
    let gateway = setup::gateway(&config)?;
    let servers = setup::servers(&config, &gateway, directory)?;
    let server = servers.values().next().context("the server is missing")?;
    let upstream = server.connect(&gateway, &Principal::anonymous(), Routing::ByRequest, config.limits.message).await?;
    let mut principal = Principal::new("ann");
    principal.roles = ["reader".into()].into();
    Ok(Link::new(gateway, Arc::clone(server), principal, "benchmark".to_owned(), upstream))
}

/// Has the server's tools listed, as after a first conversation.
async fn learn(link: &Link) -> anyhow::Result<()> {
    let (request, answer) = ask("tools/list", &json!({}))?;
    let (request, call, answer) = read(&request, &answer)?;
    pass(link, &request, Direction::ToServer, None).await?;
    pass(link, &answer, Direction::ToClient, Some(&call)).await
}

/// Microseconds of CPU for each of several runs, on whichever thread of this process.
async fn cpu_each(runs: usize, run: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = cpu_micros();
    for _ in 0..runs {
        run().await?;
    }
    Ok((cpu_micros() - start) / runs as f64)
}

fn cpu_micros() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
