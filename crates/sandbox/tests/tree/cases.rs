//! The cases: what must hold, each with a control that it would not hold by itself.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use bartizan_sandbox::{Environment, ExitStatus, Launch, Signal, StderrTail};
use rustix::process::{Pid, Signal as SystemSignal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::suite::Case;
use crate::support::{
    MARK, ROLE, eventually, everything_from, marked, new_mark, parent, sh, stubborn, this_binary, zombies,
};

macro_rules! cases {
    ($($name:ident)*) => { vec![$((stringify!($name), (|| Box::pin($name())) as Case)),*] };
}

pub(crate) fn all() -> Vec<(&'static str, Case)> {
    cases! {
        exit_codes_and_signals_come_back
        signals_are_passed_on
        end_of_input_ends_a_server
        shutdown_asks_before_it_kills
        dropping_a_child_ends_its_whole_tree
        what_the_server_leaves_behind_ends_with_it
        what_the_server_leaves_behind_is_asked_first
        killing_the_gateway_ends_the_tree
        killing_the_launcher_ends_the_server_without_help
        killing_the_launcher_ends_the_tree_and_no_other
        a_stopped_launcher_cannot_save_its_tree
        abandoned_spawns_leave_nothing
        a_runaway_chain_of_sessions_is_caught
        background_children_of_a_good_server_are_left_alone
        only_the_given_variables_are_seen
        only_three_descriptors_are_open
        signal_state_is_fresh
        what_cannot_start_says_why
        a_flood_on_stderr_blocks_nobody
        many_servers_leave_nothing
    }
}

async fn exit_codes_and_signals_come_back() {
    let check = async |script: &str, expected| {
        let child = sh(script, &new_mark()).spawn().await.unwrap();
        assert_eq!(child.wait().await, expected, "{script}");
        assert_eq!(child.try_wait(), Some(expected), "{script}");
    };
    check("exit 0", ExitStatus::Code(0)).await;
    check("exit 3", ExitStatus::Code(3)).await;
    check("exit 255", ExitStatus::Code(255)).await;
    check("kill -SEGV $$", ExitStatus::Signal(11)).await;
    check("kill -KILL $$", ExitStatus::Signal(9)).await;
}

async fn signals_are_passed_on() {
    let check = async |trap: &str, signal, expected| {
        let script = format!("{trap}; echo ready; while :; do sleep 0.01; done");
        let mut child = sh(&script, &new_mark()).spawn().await.unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(stdout.next_line().await.unwrap().unwrap(), "ready");
        child.signal(signal);
        assert_eq!(child.wait().await, expected, "{trap}");
    };
    check("trap 'exit 4' USR1", Signal::User1, ExitStatus::Code(4)).await;
    check("trap 'exit 5' INT", Signal::Interrupt, ExitStatus::Code(5)).await;
    check(":", Signal::Terminate, ExitStatus::Signal(15)).await;
    check("trap '' TERM", Signal::Kill, ExitStatus::Signal(9)).await;
}

async fn end_of_input_ends_a_server() {
    let mut child = sh("exec cat", &new_mark()).spawn().await.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all("first\nsecond".as_bytes()).await.unwrap();
    drop(stdin);
    assert_eq!(everything_from(&mut child).await, "first\nsecond");
    assert_eq!(child.wait().await, ExitStatus::Code(0));
}

async fn shutdown_asks_before_it_kills() {
    let check = async |script: &str, expected| {
        let mut child = sh(&format!("{script}; wait"), &new_mark()).spawn().await.unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(stdout.next_line().await.unwrap().unwrap(), "ready");
        assert_eq!(child.shutdown().await, expected, "{script}");
    };
    check("echo ready; cat; exit 6", ExitStatus::Code(6)).await;
    check("trap 'exit 7' TERM; echo ready; sleep 1000 & wait", ExitStatus::Code(7)).await;
    check("trap '' TERM; echo ready; while :; do sleep 1; done", ExitStatus::Signal(9)).await;
}

async fn dropping_a_child_ends_its_whole_tree() {
    let mark = new_mark();
    drop(stubborn(&mark).await);
    eventually("the tree is gone", || marked(&mark).is_empty()).await;

    // It is asked first: here killing would come an hour later.
    let mut launch = sh("trap exit TERM; while :; do sleep 0.05; done", &mark);
    launch.grace = Duration::from_secs(3600);
    drop(launch.spawn().await.unwrap());
    eventually("the server is gone", || marked(&mark).is_empty()).await;
}

async fn what_the_server_leaves_behind_ends_with_it() {
    let mark = new_mark();
    let script = "trap '' TERM; (setsid sleep 1000 &); sleep 1000 & echo ready; read line; exit 8";
    let mut child = sh(script, &mark).spawn().await.unwrap();
    eventually("all three run", || marked(&mark).len() == 3).await;
    child.stdin.take().unwrap().write_all(b"\n").await.unwrap();
    assert_eq!(child.wait().await, ExitStatus::Code(8));
    assert!(marked(&mark).is_empty());
    // Nothing holds the pipe open either.
    assert_eq!(everything_from(&mut child).await, "ready\n");
}

async fn what_the_server_leaves_behind_is_asked_first() {
    // The asked one is neither the launcher's own child nor in a group with one.
    let script = r#"
        export asked='trap "echo asked; exit" TERM; echo ready; while :; do sleep 0.05; done'
        setsid sh -c 'trap : TERM; setsid sh -c "$asked" & while kill -0 $!; do wait; done 2>/dev/null' &
        read line; exit 8"#;
    let mut launch = sh(script, &new_mark());
    launch.grace = Duration::from_secs(3600);
    let mut child = launch.spawn().await.unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(stdout.next_line().await.unwrap().unwrap(), "ready");
    child.stdin = None;
    // Far less than the grace period, after which they would be gone without having been asked.
    let status = tokio::time::timeout(Duration::from_secs(60), child.wait()).await;
    assert_eq!(status, Ok(ExitStatus::Code(8)));
    assert_eq!(stdout.next_line().await.unwrap().unwrap(), "asked");
}

async fn killing_the_gateway_ends_the_tree() {
    let mark = new_mark();
    let (mut gateway, _) = gateway(&mark).await;
    assert!(!marked(&mark).is_empty());
    gateway.kill().await.unwrap();
    eventually("the tree is gone", || marked(&mark).is_empty()).await;
}

async fn killing_the_launcher_ends_the_server_without_help() {
    let mark = new_mark();
    let (mut gateway, server) = gateway(&mark).await;
    let gateway_pid = i32::try_from(gateway.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(gateway_pid).unwrap(), SystemSignal::STOP).unwrap();
    kill_process(Pid::from_raw(parent(server.unsigned_abs())).unwrap(), SystemSignal::KILL).unwrap();
    eventually("the server is gone", || !marked(&mark).contains(&server)).await;
    kill_process(Pid::from_raw(gateway_pid).unwrap(), SystemSignal::CONT).unwrap();
    assert!(!gateway.wait().await.unwrap().success());
    assert!(marked(&mark).is_empty());
}

/// A gateway in a process of its own, and the pid of its server.
async fn gateway(mark: &str) -> (tokio::process::Child, i32) {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command.args([&format!("{ROLE}gateway"), mark]).stdout(Stdio::piped());
    let mut gateway = command.spawn().unwrap();
    let mut stdout = BufReader::new(gateway.stdout.take().unwrap()).lines();
    let server = stdout.next_line().await.unwrap().unwrap();
    (gateway, server.parse().unwrap())
}

async fn killing_the_launcher_ends_the_tree_and_no_other() {
    let (mark, other_mark) = (new_mark(), new_mark());
    let child = stubborn(&mark).await;
    let mut other = stubborn(&other_mark).await;
    kill_process(Pid::from_raw(parent(child.pid())).unwrap(), SystemSignal::KILL).unwrap();
    assert_eq!(child.wait().await, ExitStatus::Signal(9));
    assert!(marked(&mark).is_empty());
    assert!(other.try_wait().is_none() && marked(&other_mark).len() >= crate::support::STUBBORN_COUNT);
    other.shutdown().await;
    assert!(marked(&other_mark).is_empty());
}

async fn a_stopped_launcher_cannot_save_its_tree() {
    let mark = new_mark();
    let mut child = stubborn(&mark).await;
    kill_process(Pid::from_raw(parent(child.pid())).unwrap(), SystemSignal::STOP).unwrap();
    assert_eq!(child.shutdown().await, ExitStatus::Signal(9));
    assert!(marked(&mark).is_empty());
}

async fn abandoned_spawns_leave_nothing() {
    let mark = new_mark();
    for micros in (0..4000).step_by(100) {
        let launch = sh("trap '' TERM; sleep 1000 & sleep 1000", &mark);
        tokio::time::timeout(Duration::from_micros(micros), launch.spawn()).await.ok();
    }
    // Those that were not abandoned in time have been dropped right away, which must do as well.
    tokio::time::sleep(Duration::from_millis(100)).await;
    eventually("all are gone", || marked(&mark).is_empty()).await;
}

async fn a_runaway_chain_of_sessions_is_caught() {
    let mark = new_mark();
    let counter = std::env::temp_dir().join(format!("bartizan-{mark}"));
    let count = || fs::read_to_string(&counter).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut launch = sh("trap '' TERM; \"$0\" $1 1 $2; read line", &mark);
    launch.args.push(std::env::current_exe().unwrap().into());
    launch.args.extend([format!("{ROLE}chain").into(), counter.clone().into()]);
    let mut child = launch.spawn().await.unwrap();
    eventually("the chain runs", || count() > 100).await;
    child.shutdown().await;
    let reached = count();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((count(), marked(&mark).len()), (reached, 0));
    fs::remove_file(&counter).unwrap();
}

async fn background_children_of_a_good_server_are_left_alone() {
    let mark = new_mark();
    let script = "(sh -c 'sleep 0.1; exit 9' &); sh -c 'sleep 0.1; echo background' &
        wait; echo foreground; read line; echo $line; exit 2";
    let mut child = sh(script, &mark).spawn().await.unwrap();
    eventually("only the server is left", || marked(&mark).len() > 1).await;
    eventually("only the server is left", || marked(&mark).len() == 1).await;
    child.stdin.take().unwrap().write_all(b"still here\n").await.unwrap();
    assert_eq!(everything_from(&mut child).await, "background\nforeground\nstill here\n");
    assert_eq!(child.wait().await, ExitStatus::Code(2));
}

async fn only_the_given_variables_are_seen() {
    // Cargo gives this process plenty that a server must not see.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let mut launch = Launch::new("env");
    launch.env = Environment::empty();
    let path = std::env::var_os("PATH").unwrap();
    launch.env.set("PATH", &path).set("TOKEN", "a secret").set("EMPTY", "");
    let mut child = launch.spawn().await.unwrap();
    let seen = everything_from(&mut child).await;
    assert_eq!(seen, format!("EMPTY=\nPATH={}\nTOKEN=a secret\n", path.to_str().unwrap()));

    let mut launch = sh("read line", "a secret");
    launch.env.set("TOKEN", "a secret");
    let child = launch.spawn().await.unwrap();
    let launcher = parent(child.pid());
    let arguments = fs::read_to_string(format!("/proc/{launcher}/cmdline")).unwrap();
    assert!(arguments.contains("init") && !arguments.contains("secret"), "{arguments}");
    // Only root may look at all.
    let environ = fs::read(format!("/proc/{launcher}/environ")).unwrap_or_default();
    assert!(environ.is_empty(), "{}", String::from_utf8_lossy(&environ));
}

async fn only_three_descriptors_are_open() {
    // One that leaks into every child by itself, as a careless parent of the gateway would leave it.
    let leak = fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let mut plain = std::process::Command::new(std::env::current_exe().unwrap());
    let plain = plain.arg(format!("{ROLE}descriptors")).output().unwrap().stdout;
    assert!(String::from_utf8(plain).unwrap().lines().count() > 3);

    let mut child = this_binary("descriptors", &new_mark()).spawn().await.unwrap();
    let seen = everything_from(&mut child).await;
    let mut seen: Vec<_> = seen.lines().collect();
    seen.sort_unstable();
    assert_eq!(seen, ["0", "1", "2"]);
    drop(leak);
}

async fn signal_state_is_fresh() {
    let state = |status: &str| -> Vec<u64> {
        let chosen = status.lines().filter(|line| line.starts_with("SigBlk") || line.starts_with("SigIgn"));
        let masks = chosen.map(|line| u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap());
        // Without the two signals that the C library keeps for itself and lets nobody reset.
        masks.map(|mask| mask & !(0b11 << 31)).collect()
    };
    // A Rust program ignores SIGPIPE, and a server must not inherit that.
    let ours = state(&fs::read_to_string("/proc/self/status").unwrap());
    assert!(ours.get(1).is_some_and(|ignored| ignored & (1 << 12) != 0), "{ours:x?}");
    let mut child = sh("exec cat /proc/self/status", &new_mark()).spawn().await.unwrap();
    assert_eq!(state(&everything_from(&mut child).await), [0, 0]);
}

async fn what_cannot_start_says_why() {
    let dir = std::env::temp_dir().join(format!("bartizan-{}", new_mark()));
    fs::create_dir(&dir).unwrap();
    let file = |name: &str, text: &str, mode| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(dir.join(name), text).unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    file("plain", "hello", 0o644);
    file("no-interpreter", "#!/nonexistent/interpreter\n", 0o755);
    file("garbage", "\x7fELF\0\0", 0o755);
    let check = async |program: &str, change: fn(&mut Launch), expected: &[&str]| {
        let mut launch = Launch::new(program);
        launch.env.set("PATH", &dir);
        change(&mut launch);
        let error = launch.spawn().await.unwrap_err().to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{error} lacks one of {expected:?}");
    };
    let as_is = |_: &mut Launch| {};
    check("nowhere", as_is, &["no program named \"nowhere\"", dir.to_str().unwrap()]).await;
    check("nowhere", |l| _ = l.env.remove("PATH"), &["/usr/bin"]).await;
    check("./nowhere", as_is, &["\"./nowhere\" does not exist"]).await;
    check("plain", as_is, &["plain\" is there but cannot be executed", "Permission denied"]).await;
    check("/tmp", as_is, &["\"/tmp\" is there but cannot be executed", "directory"]).await;
    check("no-interpreter", as_is, &["no-interpreter\" cannot start: the interpreter"]).await;
    check("garbage", as_is, &["garbage\" is there but cannot be executed", "format"]).await;
    check("garbage", |l| l.cwd = Some("/nonexistent/directory".into()), &["/nonexistent/directory", "No such"]).await;
    check("/bin/true", |l| l.args.push("x".repeat(1 << 20).into()), &["too large"]).await;
    check("/bin/true", |l| l.args.push("x".repeat(1 << 25).into()), &["too large"]).await;
    check("a\0b", as_is, &["NUL"]).await;

    // A text that names no interpreter is a shell script, here as elsewhere.
    file("script", "echo $0 $1", 0o755);
    let mut launch = Launch::new(dir.join("script"));
    launch.args.push("argument".into());
    let mut child = launch.spawn().await.unwrap();
    assert_eq!(everything_from(&mut child).await, format!("{} argument\n", dir.join("script").display()));

    // A name is looked up in the server's PATH and directory, not in ours.
    file("found", "#!/bin/sh\necho $0; pwd", 0o755);
    let mut launch = Launch::new("found");
    launch.env.set("PATH", ".");
    launch.cwd = Some(dir.clone());
    let mut child = launch.spawn().await.unwrap();
    assert_eq!(child.program().canonicalize().unwrap(), dir.join("found").canonicalize().unwrap());
    assert!(everything_from(&mut child).await.lines().nth(1).unwrap().ends_with(dir.to_str().unwrap()));
    child.wait().await;
    fs::remove_dir_all(&dir).unwrap();
}

async fn a_flood_on_stderr_blocks_nobody() {
    let script = "i=0; while [ $i -lt 10000 ]; do echo \"line $i of a long complaint\" >&2; i=$((i+1)); done; exit 5";
    let mut child = sh(script, &new_mark()).spawn().await.unwrap();
    let (count, mut counted) = tokio::sync::watch::channel(0);
    let tail =
        StderrTail::follow(child.stderr.take().unwrap(), Vec::new(), move |_| count.send_modify(|count| *count += 1));
    assert_eq!(child.wait().await, ExitStatus::Code(5));
    tail.ended().await;
    // What is shown is bounded in each second; what is read is not, or the server would wait.
    let shown = *counted.borrow_and_update();
    assert!((200..10_000).contains(&shown), "{shown}");
    let lines = tail.lines();
    assert_eq!((lines.len(), lines.last().unwrap().as_str()), (50, "line 9999 of a long complaint"));
}

async fn many_servers_leave_nothing() {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let (zombies_before, open_before) = (zombies(), open());
    let mark = new_mark();
    let mut running = tokio::task::JoinSet::new();
    for number in 0..200 {
        let launch = sh(&format!("exit {number}"), &mark);
        running.spawn(async move { (number, launch.spawn().await.unwrap().wait().await) });
        if running.len() >= 8 {
            let (number, status) = running.join_next().await.unwrap().unwrap();
            assert_eq!(status, ExitStatus::Code(number));
        }
    }
    assert!(running.join_all().await.into_iter().all(|(number, status)| status == ExitStatus::Code(number)));
    eventually("no zombie is left", || zombies().is_subset(&zombies_before)).await;
    eventually("no descriptor is left", || open() <= open_before).await;
    assert!(marked(&mark).is_empty(), "{MARK}={mark}");
}
