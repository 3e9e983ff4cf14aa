//! What the cases share: launching marked trees and finding marked processes.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bartizan_sandbox::{Child, Environment, Launch};
use tokio::io::AsyncReadExt as _;

/// An argument that begins so makes this binary play a part instead of running the cases.
pub(crate) const ROLE: &str = "role:";
pub(crate) const MARK: &str = "BARTIZAN_TEST";

/// Does everything to outlive its parent: background children, sessions of their own, double forks, and
/// signals ignored throughout.
pub(crate) const STUBBORN: &str = "
    trap '' TERM HUP INT
    sleep 1000 &
    setsid sh -c 'sleep 1000 & while :; do sleep 1; done' &
    (setsid sh -c '(setsid sleep 1000 &); exec sleep 1000' >/dev/null 2>&1 &)
    while :; do sleep 1; done";
/// How many processes that makes at least.
pub(crate) const STUBBORN_COUNT: usize = 6;

/// Names one tree, so that its processes can be told from all others by their environment.
pub(crate) fn new_mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn sh(script: &str, mark: &str) -> Launch {
    let mut launch = Launch::new("sh");
    launch.args = vec!["-c".into(), script.into()];
    mark_it(launch, mark)
}

pub(crate) fn this_binary(role: &str, mark: &str) -> Launch {
    let mut launch = Launch::new(std::env::current_exe().unwrap());
    launch.args = vec![format!("{ROLE}{role}").into()];
    mark_it(launch, mark)
}

fn mark_it(mut launch: Launch, mark: &str) -> Launch {
    launch.env = Environment::inherited();
    launch.env.set(MARK, mark);
    launch.grace = Duration::from_millis(200);
    launch
}

/// The living processes of a tree.
pub(crate) fn marked(mark: &str) -> BTreeSet<i32> {
    let mark = format!("{MARK}={mark}\0");
    let carries = |pid: &i32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.windows(mark.len()).any(|part| part == mark.as_bytes())
    };
    pids().filter(carries).collect()
}

/// This process's children that have exited but were not waited for.
pub(crate) fn zombies() -> BTreeSet<i32> {
    let me = std::process::id().to_string();
    pids().filter(|pid| stat(*pid).is_some_and(|stat| stat.starts_with(&["Z".into(), me.clone()]))).collect()
}

pub(crate) fn parent(pid: u32) -> i32 {
    stat(pid.try_into().unwrap()).unwrap().get(1).unwrap().parse().unwrap()
}

fn pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The fields after the name: state, parent, ..
fn stat(pid: i32) -> Option<Vec<String>> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(line.rsplit_once(')')?.1.split_whitespace().map(String::from).collect())
}

/// Waits for something that has to become true; how long it takes is not what is tested.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < patience, "still not so after a minute: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Starts the stubborn tree and waits until all of it is there.
pub(crate) async fn stubborn(mark: &str) -> Child {
    let child = sh(STUBBORN, mark).spawn().await.unwrap();
    eventually("the tree is complete", || marked(mark).len() >= STUBBORN_COUNT).await;
    child
}

pub(crate) async fn everything_from(child: &mut Child) -> String {
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
    text
}
