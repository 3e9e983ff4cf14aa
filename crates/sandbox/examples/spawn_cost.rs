//! Prints what starting a server costs: `true` by itself and `true` through the launcher.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example that prints")]

use std::time::{Duration, Instant};

use bartizan_sandbox::Launch;

const ROUNDS: usize = 100;

fn main() {
    bartizan_sandbox::init_if_asked();
    bartizan_sandbox::adopt_orphans();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut plain, mut started, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            tokio::process::Command::new("true").status().await.unwrap();
            plain.push(begin.elapsed());

            let begin = Instant::now();
            let child = Launch::new("true").spawn().await.unwrap();
            started.push(begin.elapsed());
            child.wait().await;
            ended.push(begin.elapsed());
        }
        println!("plain, to the end      {:?}", median(plain));
        println!("launcher, to the start {:?}", median(started));
        println!("launcher, to the end   {:?}", median(ended));

        let child = Launch::new("cat").spawn().await.unwrap();
        println!("memory of the launcher:\n{}", launcher_memory(child.pid()));
    });
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn launcher_memory(server: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{server}/stat")).unwrap();
    let launcher = stat.split_whitespace().nth(3).unwrap();
    let memory = std::fs::read_to_string(format!("/proc/{launcher}/smaps_rollup")).unwrap_or_default();
    let chosen = |line: &&str| ["Rss:", "Pss:", "Private_Dirty:"].iter().any(|name| line.starts_with(name));
    memory.lines().filter(chosen).map(|line| format!("  {line}\n")).collect()
}
