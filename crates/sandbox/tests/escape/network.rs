//! The cases about what is reached beyond files: addresses, sockets, queues.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::UnixListener;
use std::process::Command;

use bartizan_sandbox::{Environment, ExitStatus, Network, Relay};
use tokio::io::AsyncReadExt as _;

use crate::ipc::Shared;
use crate::support::{Machine, ROLE, SECRET, confined, confinement, host_bounds_signals, own_kernel, role, run, sh};

pub(crate) async fn the_network_ends_at_itself() {
    let machine = Machine::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    assert_eq!(run(&role("connect", &[&address])).await.0, ExitStatus::Code(0), "the control");
    let (status, said) = run(&confined(role("connect", &[&address]), confinement(&machine))).await;
    assert_eq!(status, ExitStatus::Code(1), "{said}");
    for elsewhere in ["169.254.169.254:80", "1.1.1.1:443", "[2606:4700::1111]:443", "[::ffff:169.254.169.254]:80"] {
        let (status, said) = run(&confined(role("connect", &[elsewhere]), confinement(&machine))).await;
        assert!(status == ExitStatus::Code(1) && said.contains("unreachable"), "{elsewhere}: {said}");
    }
    let mut walls = confinement(&machine);
    walls.network = Network::Host;
    assert_eq!(
        run(&confined(role("connect", &[&address]), walls)).await.0,
        ExitStatus::Code(0),
        "where the profile lets it"
    );
    // Its own loopback works.
    let (_, said) =
        run(&confined(sh("cat /proc/net/dev | grep -c lo:; cat /proc/net/dev | wc -l"), confinement(&machine))).await;
    assert_eq!(said, "1\n3\n");
}

/// What arrives at the host is what counts: of a datagram nobody is told whether it did.
pub(crate) async fn what_is_sent_to_the_host_does_not_arrive() {
    let machine = Machine::new();
    for any in ["127.0.0.1:0".parse().ok(), "[::1]:0".parse().ok(), outer("0.0.0.0:0"), outer("[::]:0")] {
        let Some::<SocketAddr>(any) = any else { continue };
        let (Ok(streams), Ok(datagrams)) = (TcpListener::bind(any), UdpSocket::bind(any)) else {
            println!("this host has no {any}");
            continue;
        };
        let (to_stream, to_datagram) = (streams.local_addr().unwrap(), datagrams.local_addr().unwrap());
        let attempts = [("stream", to_stream.to_string()), ("datagram", to_datagram.to_string())];
        for (kind, address) in &attempts {
            run(&confined(role("say", &[kind, address, "from inside"]), confinement(&machine))).await;
            let (status, said) = run(&role("say", &[kind, address, "plainly"])).await;
            assert_eq!(status, ExitStatus::Code(0), "the control of {kind} {address}: {said}");
        }
        // The first that arrived is the one that was sent last.
        let mut heard = String::new();
        streams.accept().unwrap().0.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "plainly", "{any}");
        let mut room = [0; 64];
        let size = datagrams.recv(&mut room).unwrap();
        assert_eq!(String::from_utf8_lossy(room.get(..size).unwrap()), "plainly", "{any}");
    }
    for elsewhere in ["1.1.1.1:53", "169.254.169.254:80", "[2606:4700::1111]:53"] {
        let (status, said) = run(&confined(role("say", &["datagram", elsewhere, "x"]), confinement(&machine))).await;
        assert!(status == ExitStatus::Code(1) && said.contains("unreachable"), "{elsewhere}: {said}");
    }
}

/// An address of this host that is not its loopback, if it has one. Nothing is sent to find it.
fn outer(any: &str) -> Option<SocketAddr> {
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(if any.starts_with('[') { "[2606:4700::1111]:53" } else { "1.1.1.1:53" }).ok()?;
    let mut address = socket.local_addr().ok()?;
    address.set_port(0);
    Some(address)
}

pub(crate) async fn a_relay_is_the_only_way_out() {
    let machine = Machine::new();
    let socket = machine.outside.join("egress.sock");
    let outside = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in outside.incoming() {
            let mut stream = stream.unwrap();
            let asked = std::io::read_to_string(&mut stream).unwrap();
            std::io::Write::write_all(&mut stream, format!("heard {asked}").as_bytes()).ok();
        }
    });
    let with = |told: &str| {
        let mut walls = confinement(&machine);
        walls.network = Network::Relay(Relay { socket: socket.clone(), told: told.to_owned() });
        walls
    };
    // A port below 1024 needs rights over the network, which only the relay has while it begins.
    let launch = confined(role("ask", &["127.0.0.1:443", "hello"]), with("443"));
    assert_eq!(run(&launch).await, (ExitStatus::Code(0), "heard hello\n".to_owned()));
    let (status, said) = run(&confined(role("ask", &["127.0.0.1:443", "hello"]), confinement(&machine))).await;
    assert!(status == ExitStatus::Code(1) && said.contains("refused"), "without a relay: {said}");
    let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for elsewhere in [host.as_str(), "1.1.1.1:443"] {
        assert_eq!(
            run(&confined(role("connect", &[elsewhere]), with("443"))).await.0,
            ExitStatus::Code(1),
            "{elsewhere}"
        );
    }
    // The server does not read the relay, and where the kernel bounds whom it may signal does not end it either.
    let script = "pid=$(grep -lx bartizan-relay /proc/[0-9]*/comm | cut -d/ -f3); kill -KILL $pid && echo KILLED; \
                  cat /proc/$pid/maps >/dev/null 2>&1 && echo READ; sleep 0.1; test -d /proc/$pid && echo there";
    let (_, said) = run(&confined(sh(script), with("443"))).await;
    let bounded = own_kernel() || host_bounds_signals().await;
    assert!(!said.contains("READ") && (!bounded || said.contains("there\n") && !said.contains("KILLED")), "{said}");
    let error = confined(sh("true"), with("fail")).spawn().await.unwrap_err().to_string();
    assert!(error.contains("told to fail"), "{error}");
    // It holds none of the server's streams: who closes one is seen to have. A kernel of its own holds them.
    if !own_kernel() {
        let mut child = confined(sh("exec >&- 2>&-; sleep 1000"), with("443")).spawn().await.unwrap();
        let (mut stdout, mut said) = (child.stdout.take().unwrap(), Vec::new());
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), stdout.read_to_end(&mut said)).await;
        assert_eq!(ended.unwrap().unwrap(), 0);
    }
    // Its end does not keep the sandbox from ending in time.
    let mut launch = confined(sh("exec cat"), with("443"));
    // It ends at once; on a machine that does other things that may take longer than what stubborn ones are given here.
    launch.grace = std::time::Duration::from_secs(20);
    let mut child = launch.spawn().await.unwrap();
    assert_eq!(child.shutdown().await, ExitStatus::Code(0));
}

pub(crate) async fn sockets_of_daemons_are_out_of_reach() {
    let machine = Machine::new();
    let path = machine.work.join("daemon.sock");
    let _daemon = UnixListener::bind(&path).unwrap();
    let (status, said) = run(&confined(role("unix", &[path.to_str().unwrap()]), confinement(&machine))).await;
    assert_eq!(status, ExitStatus::Code(1), "{said}");
    assert_eq!(run(&role("unix", &[path.to_str().unwrap()])).await.0, ExitStatus::Code(0), "the control");
    // A name without a file belongs to the network namespace.
    let name = format!("bartizan-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _daemon = UnixListener::bind_addr(&address).unwrap();
    let attempt = format!("@{name}");
    assert_eq!(run(&role("unix", &[&attempt])).await.0, ExitStatus::Code(0), "the control");
    let mut walls = confinement(&machine);
    walls.exceptions.unix_sockets = true;
    assert_eq!(run(&confined(role("unix", &[&attempt]), walls)).await.0, ExitStatus::Code(1));
}

/// What the exception is for is sockets between a server's own processes. What is shown to it, it may connect to then.
pub(crate) async fn sockets_between_processes_reach_only_what_is_shown() {
    let machine = Machine::new();
    let shown = machine.outside.join("shown");
    std::fs::create_dir(&shown).unwrap();
    let sockets = [(&machine.work, true), (&shown, true), (&machine.outside, false)];
    for (directory, reached) in sockets {
        let path = directory.join("daemon.sock");
        let _daemon = UnixListener::bind(&path).unwrap();
        let attempt = || role("unix", &[path.to_str().unwrap()]);
        assert_eq!(run(&attempt()).await.0, ExitStatus::Code(0), "the control");
        for excepted in [false, true] {
            let mut walls = confinement(&machine);
            walls.read_only.push(shown.clone());
            walls.exceptions.unix_sockets = excepted;
            let (status, said) = run(&confined(attempt(), walls)).await;
            // The sockets of another kernel lead to its own processes only.
            let expected = excepted && reached && !own_kernel();
            assert_eq!(status == ExitStatus::Code(0), expected, "{path:?}, with the exception {excepted}: {said}");
        }
    }
}

/// As `ssh-agent` is found: by a variable, or by whoever remembers where it was.
pub(crate) async fn an_agent_that_holds_keys_is_neither_named_nor_reached() {
    let machine = Machine::new();
    let path = machine.outside.join("agent.sock");
    let agent = UnixListener::bind(&path).unwrap();
    agent.set_nonblocking(true).unwrap();
    let asked = || agent.accept().is_ok();
    let args = ["agent", path.to_str().unwrap()];
    let plainly = Command::new(std::env::current_exe().unwrap())
        .args([&format!("{ROLE}{}", args[0]), args[1]])
        .env("SSH_AUTH_SOCK", &path)
        .output()
        .unwrap();
    let named = format!("named {}\n", path.display());
    assert!(plainly.status.success() && String::from_utf8_lossy(&plainly.stdout) == named && asked(), "the control");
    // A server is given what is left of this environment.
    let user = [("SSH_AUTH_SOCK".into(), path.clone().into()), ("PATH".into(), "/usr/bin:/bin".into())];
    let mut launch = confined(role(args[0], &[args[1]]), confinement(&machine));
    launch.env = Environment::allowed_of(user);
    let (status, said) = run(&launch).await;
    assert!(status == ExitStatus::Code(1) && said.starts_with("named nowhere\n") && !asked(), "{said}");
    // Nor does it help to be told, or to be let make sockets.
    launch.env.set("SSH_AUTH_SOCK", &path);
    for excepted in [false, true] {
        launch.confinement.iter_mut().for_each(|walls| walls.exceptions.unix_sockets = excepted);
        let (status, said) = run(&launch).await;
        assert!(status == ExitStatus::Code(1) && said.starts_with(&named) && !asked(), "{excepted}: {said}");
    }
}

pub(crate) async fn queues_and_memory_of_others_are_not_there() {
    let machine = Machine::new();
    let shared = Shared::holding(SECRET);
    for (kind, name) in shared.names() {
        let (status, said) = run(&confined(role("read-queue", &[kind, &name]), confinement(&machine))).await;
        assert!(status == ExitStatus::Code(1) && !said.contains(SECRET), "{kind}: {said}");
        // What was taken from a queue would be gone now.
        let (_, said) = run(&role("read-queue", &[kind, &name])).await;
        assert!(said.contains(SECRET), "the control of {kind}: {said}");
    }
}
