//! From starting a command to its first good answer.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::client::{Client, Transport};
use crate::http::{Http, Target};
use crate::options::{self, Call, Startup};
use crate::payload::Payload;
use crate::procs;

pub(crate) async fn start(http: &options::Http, call: &Call, start: &Startup) -> Result<Value> {
    let target = Target::new(http)?;
    let (program, arguments) = start.command.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let begin = Instant::now();
    let mut child = command.spawn().with_context(|| program.to_string_lossy().into_owned())?;
    let answered = first_answer(&mut child, &target, call, start, begin).await;
    if answered.is_ok() {
        tokio::time::sleep(start.settle).await;
    }
    let rss = procs::tree_rss_kib(child.id());
    end(&mut child).await;
    Ok(json!({ "first_answer_ms": answered?.as_secs_f64() * 1000.0, "idle_rss_kib": rss }))
}

async fn first_answer(
    child: &mut Child,
    target: &Target,
    call: &Call,
    start: &Startup,
    begin: Instant,
) -> Result<Duration> {
    let payload = Payload::new(call);
    let mut last = None;
    loop {
        let why = || last.as_ref().map_or_else(String::new, |error: &anyhow::Error| format!("; last: {error:#}"));
        if let Some(status) = child.try_wait()? {
            bail!("the command ended: {status}{}", why());
        }
        if begin.elapsed() > start.give_up {
            bail!("no good answer in {:?}{}", start.give_up, why());
        }
        let mut client = Client::new(Transport::Http(Http::new(target.clone())), &call.protocol, call.era());
        let attempt = async {
            client.open().await?;
            client.call(&payload).await
        };
        match tokio::time::timeout(call.timeout, attempt).await {
            Ok(Ok(())) => {
                let answered = begin.elapsed();
                client.close().await;
                return Ok(answered);
            }
            Ok(Err(error)) => last = Some(error),
            Err(elapsed) => last = Some(elapsed.into()),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Asks the command to end, so that it ends its own children too, and insists after a while.
async fn end(child: &mut Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_secs(8) {
        if let Ok(Some(_)) = child.try_wait() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let _ = child.kill();
    let _ = child.wait();
}
