//! Prints what starting a server costs: `true` by itself, through the launcher, and confined at each level.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example that prints")]

use std::time::{Duration, Instant};

use bartizan_sandbox::{Confinement, Launch, Limits, Runtime};

const ROUNDS: usize = 100;

fn main() {
    bartizan_sandbox::init_if_asked();
    bartizan_sandbox::adopt_orphans();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut plain, mut started, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        let (mut confined_started, mut confined_ended) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            tokio::process::Command::new("true").status().await.unwrap();
            plain.push(begin.elapsed());

            let begin = Instant::now();
            let child = Launch::new("true").spawn().await.unwrap();
            started.push(begin.elapsed());
            child.wait().await;
            ended.push(begin.elapsed());

            let begin = Instant::now();
            let child = confined("true").spawn().await.unwrap();
            confined_started.push(begin.elapsed());
            child.wait().await;
            confined_ended.push(begin.elapsed());
        }
        println!("plain, to the end      {:?}", median(plain));
        println!("launcher, to the start {:?}", median(started));
        println!("launcher, to the end   {:?}", median(ended));

        println!("confined, to the start {:?}", median(confined_started));
        println!("confined, to the end   {:?}", median(confined_ended));

        let child = Launch::new("cat").spawn().await.unwrap();
        println!("memory of the launcher:\n{}", memory(&parent(child.pid())));
        let child = confined("cat").spawn().await.unwrap();
        println!("memory of the launcher of a sandbox:\n{}", memory(&parent(child.pid())));
        println!("memory of its first process:\n{}", memory(&child.pid().to_string()));
        for found in bartizan_sandbox::runtimes(&[]) {
            with_a_runtime(&found.runtime).await;
        }
    });
}

/// Fewer rounds: some of them start a kernel.
async fn with_a_runtime(runtime: &Runtime) {
    let launch = |program: &str| {
        let mut launch = confined(program);
        launch.confinement.iter_mut().for_each(|confinement| confinement.runtime = Some(runtime.clone()));
        launch
    };
    let (mut started, mut ended) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS / 10 {
        let begin = Instant::now();
        let child = launch("true").spawn().await.unwrap();
        started.push(begin.elapsed());
        child.wait().await;
        ended.push(begin.elapsed());
    }
    let (level, name) = (runtime.kind.level(), runtime.kind.name());
    println!("{level} by {name}, to the start {:?}", median(started));
    println!("{level} by {name}, to the end   {:?}", median(ended));
    let child = launch("cat").spawn().await.unwrap();
    println!("memory of all of it, with `cat`: {} kB", below(&child.pid().to_string()));
}

/// What a process and all below it take, each its part of what they share, in kilobytes.
fn below(pid: &str) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let own =
        rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children: Vec<String> = threads
        .map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default())
        .flat_map(|children| children.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    own.unwrap_or_default() + children.iter().map(|child| below(child)).sum::<u64>()
}

fn confined(program: &str) -> Launch {
    let mut launch = Launch::new(program);
    launch.env.set("PATH", "/usr/bin:/bin");
    let confinement = Confinement {
        read_only: ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"].map(Into::into).to_vec(),
        home: Some("/home/sandbox".into()),
        limits: Limits { memory: Some(512 << 20), pids: Some(128), nofile: Some(1024), ..Limits::default() },
        ..Confinement::default()
    };
    launch.confinement = Some(confinement.resolved());
    launch
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn parent(pid: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().to_owned()
}

fn memory(pid: &str) -> String {
    let memory = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let chosen = |line: &&str| ["Rss:", "Pss:", "Private_Dirty:"].iter().any(|name| line.starts_with(name));
    memory.lines().filter(chosen).map(|line| format!("  {line}\n")).collect()
}
