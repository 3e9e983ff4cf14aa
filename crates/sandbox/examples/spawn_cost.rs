//! Prints what starting a server costs: `true` by itself, through the launcher, and confined.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example that prints")]

use std::time::{Duration, Instant};

use bartizan_sandbox::{Confinement, Launch, Limits};

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
    });
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
