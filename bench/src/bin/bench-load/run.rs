//! K connections that call one tool for T seconds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::client::{Client, Transport};
use crate::http::{Http, Target};
use crate::options::{self, Call, Load};
use crate::payload::Payload;
use crate::procs::{Measured, Watch};
use crate::samples::Samples;
use crate::stdio::Stdio;

pub(crate) async fn over_http(http: &options::Http, call: &Call, load: &Load) -> Result<Value> {
    let target = Target::new(http)?;
    measure(call, load, || Ok(Transport::Http(Http::new(target.clone())))).await
}

pub(crate) async fn over_stdio(command: &[OsString], call: &Call, load: &Load) -> Result<Value> {
    measure(call, load, || Ok(Transport::Stdio(Stdio::spawn(command)?))).await
}

/// What all connections together have measured.
#[derive(Default)]
struct Tally {
    samples: Samples,
    errors: u64,
    /// The first few kinds of error, and how often each came.
    kinds: BTreeMap<String, u64>,
}

/// The time that counts, and how long one call may take.
#[derive(Clone, Copy)]
struct Window {
    begin: Instant,
    end: Instant,
    timeout: Duration,
}

async fn measure(call: &Call, load: &Load, connect: impl Fn() -> Result<Transport>) -> Result<Value> {
    let opened = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..load.connections {
        let mut client = Client::new(connect()?, &call.protocol, call.era());
        tokio::time::timeout(call.timeout, open(&mut client)).await.context("opening a session timed out")??;
        clients.push(client);
    }
    let opening = opened.elapsed();
    let mut watched = load.watch.clone();
    watched.extend(clients.iter().filter_map(|client| Some(("server".to_owned(), client.server_pid()?))));

    let payload = Rc::new(Payload::new(call));
    let tally = Rc::new(RefCell::new(Tally::default()));
    let begin = Instant::now() + load.warmup;
    let window = Window { begin, end: begin + load.seconds, timeout: call.timeout };
    let connections = clients.into_iter().map(|client| connection(client, payload.clone(), tally.clone(), window));
    let tasks: Vec<_> = connections.map(tokio::task::spawn_local).collect();

    tokio::time::sleep_until(window.begin.into()).await;
    let watch = Watch::start(watched);
    tokio::time::sleep_until(window.end.into()).await;
    let measured = watch.finish();
    for task in tasks {
        task.await?.close().await;
    }
    Ok(report(call, load, tally.take(), opening, &measured))
}

async fn open(client: &mut Client) -> Result<()> {
    client.open().await.context("opening a session")?;
    client.list_tools().await
}

async fn connection(mut client: Client, payload: Rc<Payload>, tally: Rc<RefCell<Tally>>, window: Window) -> Client {
    loop {
        let asked = Instant::now();
        if asked >= window.end {
            return client;
        }
        let outcome = tokio::time::timeout(window.timeout, client.call(&payload)).await;
        let done = Instant::now();
        match outcome.map_err(anyhow::Error::from).flatten() {
            // What ends in the measured time counts, wherever it began: slow answers are not lost at the edges.
            Ok(()) if done >= window.begin && done <= window.end => tally.borrow_mut().samples.record(done - asked),
            Ok(()) => {}
            Err(error) => {
                tally.borrow_mut().error(&error);
                // A server that refuses must not be hammered.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

impl Tally {
    fn error(&mut self, error: &anyhow::Error) {
        self.errors += 1;
        let kind = format!("{error:#}");
        if self.kinds.len() < 5 || self.kinds.contains_key(&kind) {
            *self.kinds.entry(kind).or_default() += 1;
        }
    }
}

fn report(call: &Call, load: &Load, tally: Tally, opening: Duration, measured: &Measured) -> Value {
    let sorted = tally.samples.sorted();
    json!({
        "connections": load.connections,
        "payload": call.payload,
        "protocol": call.protocol,
        "seconds": load.seconds.as_secs_f64(),
        "requests": sorted.len(),
        "per_second": sorted.len() as f64 / load.seconds.as_secs_f64(),
        "p50_us": sorted.percentile(50.0),
        "p90_us": sorted.percentile(90.0),
        "p99_us": sorted.percentile(99.0),
        "p999_us": sorted.percentile(99.9),
        "max_us": sorted.percentile(100.0),
        "errors": tally.errors,
        "error_kinds": tally.kinds,
        "open_ms_each": opening.as_secs_f64() * 1000.0 / load.connections.max(1) as f64,
        "watched": measured.trees,
        "load_cpu_seconds": measured.own_seconds,
        "foreign_cpu_seconds": measured.foreign_seconds,
    })
}
