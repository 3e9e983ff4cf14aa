//! What is bounded: bytes, connections, time; and what a new policy and an end do to what is open.
#![cfg(test)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bartizan_egress::address::Range;
use bartizan_egress::{Cap, Limits, Listening, Policy, Reason, RequestRule, Rule, Timeouts, What};
use common::{Host, With, World, here, read_rest, seconds};
use hyper::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

fn limited(port: u16, limits: Limits) -> World {
    let world = With { limits, ..With::rules([here("a.example", port)]) }.world();
    world.names.lead("a.example", &[&["127.0.0.1"]]);
    world
}

const FREE: Cap = Cap { each: u64::MAX, all: u64::MAX };

#[tokio::test]
async fn no_more_bytes_cross_than_may() {
    let host = Host::echo().await;
    for (sent, received, reason, expected) in [
        (Cap { each: 100_000, ..FREE }, FREE, Reason::SentCap, [100_000, 100_000]),
        (Cap { all: 150_000, ..FREE }, FREE, Reason::SentCap, [150_000, 0]),
        (FREE, Cap { each: 100_000, ..FREE }, Reason::ReceivedCap, [100_000, 100_000]),
        (FREE, Cap { all: 150_000, ..FREE }, Reason::ReceivedCap, [150_000, 0]),
    ] {
        let world = limited(host.port, Limits { sent, received, ..Limits::default() });
        for (count, most) in expected.into_iter().enumerate() {
            let tunnel = world.tunnel(&format!("a.example:{}", host.port)).await.unwrap();
            let (mut read, mut write) = tokio::io::split(tunnel);
            let writing = async { while write.write_all(&[7; 10_000]).await.is_ok() {} };
            let mut came = Vec::new();
            let reading = async {
                let _ = read.read_to_end(&mut came).await;
            };
            tokio::join!(writing, reading);
            let closed = world.log.wait(What::Closed, count + 1).await.remove(count);
            assert_eq!(closed.reason, reason);
            let counted = if reason == Reason::SentCap { closed.sent } else { closed.received };
            assert!(counted <= most && came.len() as u64 <= counted.max(closed.received), "{closed:?}");
            // The last part of what is received may be larger than what is left, and is not handed on.
            assert!(reason == Reason::ReceivedCap || counted == most, "{closed:?}");
        }
    }
}

#[tokio::test]
async fn a_cap_ends_a_body_too() {
    let host = Host::http(None).await;
    let world = limited(host.port, Limits { sent: Cap { each: 10_000, ..FREE }, ..Limits::default() });
    let a = format!("a.example:{}", host.port);
    for (length, passes) in [(5_000, true), (20_000, false)] {
        let body = "x".repeat(length);
        let said = world
            .say(format!(
                "POST http://{a}/ HTTP/1.1\r\nhost: {a}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            ))
            .await;
        assert_eq!(said.starts_with("HTTP/1.1 200"), passes, "{said}");
    }
    assert_eq!(world.log.wait(What::Closed, 2).await[1].reason, Reason::SentCap);
}

#[tokio::test]
async fn so_many_connections_at_once() {
    let host = Host::echo().await;
    let world = limited(host.port, Limits { connections: 2, ..Limits::default() });
    let target = format!("a.example:{}", host.port);
    let (one, two) = (world.tunnel(&target).await.unwrap(), world.tunnel(&target).await.unwrap());
    let (mut near, far) = tokio::io::duplex(100);
    world.egress.serve_connection(far).await;
    assert_eq!(read_rest(&mut near).await, "");
    assert_eq!(world.log.refused(), [Reason::Connections]);
    drop(one);
    world.log.wait(What::Closed, 1).await;
    let three = loop {
        // The place is free a moment after the end is reported.
        if let Ok(tunnel) = world.tunnel(&target).await {
            break tunnel;
        }
    };
    drop((two, three));
}

#[tokio::test(start_paused = true)]
async fn so_many_connections_in_a_minute() {
    let world = With { limits: Limits { connections_per_minute: 3, ..Limits::default() }, ..With::default() }.world();
    let ask = || async { world.say("GET http://a.example/ HTTP/1.1\r\nhost: a.example\r\n\r\n").await };
    for _ in 0..2 {
        for _ in 0..3 {
            assert!(ask().await.contains("egress.not_allowed"));
            tokio::time::sleep(seconds(10)).await;
        }
        for _ in 0..5 {
            let (mut near, far) = tokio::io::duplex(100);
            world.egress.serve_connection(far).await;
            assert_eq!(read_rest(&mut near).await, "");
        }
        tokio::time::sleep(seconds(60)).await;
    }
    // A flood is one report, and the next says how many there were.
    let rates = |log: &common::Log| -> Vec<u64> {
        log.of(What::Refused)
            .into_iter()
            .filter(|event| event.reason == Reason::Rate)
            .map(|event| event.times)
            .collect()
    };
    assert_eq!(rates(&world.log), [1, 5]);
    let log = world.log.clone();
    drop(world);
    assert_eq!(rates(&log), [1, 5, 4]);
}

#[tokio::test(start_paused = true)]
async fn who_says_something_slowly_or_nothing_is_not_waited_for() {
    let world = With::default().world();
    let token = format!("{}\n", world.egress.token().expose());
    for (said, most, reason) in [
        (String::new(), 5, Reason::Token),
        (token.chars().take(20).collect(), 5, Reason::Token),
        (token.clone(), 60, Reason::TimedOut),
        (format!("{token}GET http://a.example/ HTTP/1.1\r\nhost: "), 60, Reason::TimedOut),
    ] {
        let began = tokio::time::Instant::now();
        let (mut near, far) = tokio::io::duplex(1000);
        let egress = world.egress.clone();
        let serving = tokio::spawn(async move { egress.serve_connection(far).await });
        // A byte now and then helps nobody.
        near.write_all(said.as_bytes()).await.unwrap();
        while near.write_all(b"a").await.is_ok() {
            tokio::time::sleep(seconds(1)).await;
        }
        serving.await.unwrap();
        let lasted = began.elapsed();
        assert!(lasted >= seconds(most) && lasted <= seconds(most + 2), "{lasted:?}");
        assert_eq!(world.log.refused().pop(), Some(reason));
        tokio::time::sleep(seconds(2)).await;
    }
}

#[tokio::test]
async fn a_tunnel_where_nothing_moves_is_closed() {
    let host = Host::echo().await;
    let timeouts = Timeouts { idle: seconds(2), ..Timeouts::default() };
    let world = With { timeouts, ..With::rules([here("a.example", host.port)]) }.world();
    world.names.lead("a.example", &[&["127.0.0.1"]]);
    let mut tunnel = world.tunnel(&format!("a.example:{}", host.port)).await.unwrap();
    tunnel.write_all(b"\0x").await.unwrap();
    assert_eq!(read_rest(&mut tunnel).await, "\0x");
    assert_eq!(world.log.wait(What::Closed, 1).await[0].reason, Reason::Idle);
}

#[tokio::test]
async fn a_slow_reader_slows_the_writer_and_loses_nothing() {
    const ALL: usize = 64 << 20;
    let written = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&written);
    let host = Host::with(move |mut stream| {
        let counter = Arc::clone(&counter);
        async move {
            let piece = vec![7; 64 * 1024];
            // What is left unread would have the rest thrown away at the end.
            stream.read_u8().await.unwrap();
            for _ in 0..ALL / piece.len() {
                stream.write_all(&piece).await.unwrap();
                counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        }
    })
    .await;
    let world = World::allowing("a.example", host.port);
    let mut tunnel = world.tunnel(&format!("a.example:{}", host.port)).await.unwrap();
    tunnel.write_all(b"\0").await.unwrap();
    let mut before = u64::MAX;
    while written.load(Ordering::Relaxed) != before {
        before = written.load(Ordering::Relaxed);
        tokio::time::sleep(seconds(1) / 10).await;
    }
    assert!(before < ALL as u64 / 2, "{before} bytes wait for somebody to read them");
    let mut came = 0;
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(count @ 1..) = tunnel.read(&mut buffer).await {
        came += count;
    }
    assert_eq!(came, ALL);
}

#[tokio::test]
async fn an_end_on_one_side_is_one_on_the_other() {
    // The host goes in the middle of a message.
    let host = Host::with(|mut stream| async move {
        let _ = stream.read_u8().await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let world = World::allowing("a.example", host.port);
    let mut tunnel = world.tunnel(&format!("a.example:{}", host.port)).await.unwrap();
    tunnel.write_all(b"\0x").await.unwrap();
    assert_eq!(read_rest(&mut tunnel).await, "");
    assert_eq!(world.log.wait(What::Closed, 1).await[0].reason, Reason::Broken);
    // The client does.
    let (gone, mut told) = tokio::sync::mpsc::channel(1);
    let host = Host::with(move |mut stream| {
        let gone = gone.clone();
        async move {
            read_rest(&mut stream).await;
            gone.send(()).await.unwrap();
        }
    })
    .await;
    let world = World::allowing("a.example", host.port);
    let mut tunnel = world.tunnel(&format!("a.example:{}", host.port)).await.unwrap();
    tunnel.write_all(b"\0x").await.unwrap();
    drop(tunnel);
    told.recv().await.unwrap();
}

#[tokio::test]
async fn a_policy_closes_what_it_no_longer_allows_and_nothing_else() {
    let host = Host::echo().await;
    let port = host.port;
    let narrow = |name: &str| here(name, port).requests([RequestRule::new([Method::GET], "/").unwrap()]);
    let elsewhere =
        |name: &str| Rule::parse(&format!("{name}:{port}")).unwrap().near([Range::parse("127.0.0.2").unwrap()]);
    for (what, rules, stays) in [
        ("nothing", vec![], false),
        ("another host", vec![here("b.example", port)], false),
        ("another port", vec![here("a.example", port.wrapping_add(1).max(1))], false),
        ("requests only", vec![narrow("a.example")], false),
        ("another address", vec![elsewhere("a.example")], false),
        ("the same", vec![here("a.example", port)], true),
        ("more", vec![here("b.example", port), here("a.example", port)], true),
    ] {
        let world = World::allowing("a.example", port);
        let mut tunnel = world.tunnel(&format!("a.example:{port}")).await.unwrap();
        tunnel.write_all(b"\0").await.unwrap();
        assert_eq!(tunnel.read_u8().await.unwrap(), 0);
        let mut silent = world.tunnel(&format!("a.example:{port}")).await.unwrap();
        world.egress.replace(Policy::new(rules, Limits::default()));
        if stays {
            tunnel.write_all(b"1").await.unwrap();
            assert_eq!(tunnel.read_u8().await.unwrap(), b'1', "{what}");
            continue;
        }
        assert_eq!(read_rest(&mut tunnel).await, "", "{what}");
        // One that has said nothing yet could still be what the new policy allows.
        silent.write_all(b"\0").await.unwrap_or(());
        assert_eq!(read_rest(&mut silent).await, "", "{what}");
        let closed = world.log.wait(What::Closed, 2).await;
        assert!(closed.iter().any(|event| event.reason == Reason::Replaced), "{what} {closed:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_still_coming_is_cut_off_by_a_policy() {
    let host = Host::with(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart").await.unwrap();
        read_rest(&mut stream).await;
    })
    .await;
    let world = World::allowing("a.example", host.port);
    let a = format!("a.example:{}", host.port);
    let mut stream = world.connect().await;
    stream.write_all(format!("GET http://{a}/ HTTP/1.1\r\nhost: {a}\r\n\r\n").as_bytes()).await.unwrap();
    common::read_head(&mut stream).await;
    world.egress.replace(Policy::default());
    let rest = read_rest(&mut stream).await;
    assert!("part".starts_with(&rest), "{rest}");
    assert_eq!(world.log.wait(What::Closed, 1).await[0].reason, Reason::Replaced);
}

/// While policies change and everybody connects, what a policy does not allow is not open once it is in force.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_gap_is_opened_by_a_reload() {
    let host = Host::echo().await;
    let port = host.port;
    let world = Arc::new(With { limits: many(), ..With::rules([here("a.example", port)]) }.world());
    world.names.lead("a.example", &[&["127.0.0.1"]]);
    world.names.lead("b.example", &[&["127.0.0.1"]]);
    let noise: Vec<_> = ["a", "b", "a", "b"]
        .map(|name| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let mut opened = Vec::new();
                loop {
                    if let Ok(mut tunnel) = world.tunnel(&format!("{name}.example:{port}")).await {
                        let _ = tunnel.write_all(b"\0x").await;
                        opened.push(tunnel);
                    }
                    if opened.len() > 20 {
                        opened.clear();
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .into();
    for round in 0..100 {
        let (now, before) = if round % 2 == 0 { ("b", "a") } else { ("a", "b") };
        let mut open = world.tunnel(&format!("{before}.example:{port}")).await.unwrap();
        world.egress.replace(Policy::new([here(&format!("{now}.example"), port)], many()));
        for _ in 0..3 {
            let refused = world.tunnel(&format!("{before}.example:{port}")).await;
            assert!(refused.unwrap_err().contains("egress.not_allowed"), "{round}");
        }
        assert_eq!(read_rest(&mut open).await, "", "{round}");
    }
    noise.iter().for_each(tokio::task::JoinHandle::abort);
}

fn many() -> Limits {
    Limits { connections: 1000, connections_per_minute: 1_000_000, ..Limits::default() }
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_happen() {
    let host = Host::http(None).await;
    let world = World::allowing("a.example", host.port);
    let a = format!("a.example:{}", host.port);
    let request = format!("GET http://{a}/ HTTP/1.1\r\nhost: {a}\r\n\r\n");
    let mut stream = world.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    common::read_head(&mut stream).await;
    *world.log.full.lock().unwrap() = true;
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(read_rest(&mut stream).await.contains("egress.unrecorded"));
    assert!(world.tunnel(&a).await.unwrap_err().starts_with("HTTP/1.1 503"));
    assert_eq!(host.asked().len(), 1);
}

#[tokio::test]
async fn all_connections_end_with_the_proxy_and_its_socket_is_removed() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out");
    let host = Host::echo().await;
    let world = World::allowing("a.example", host.port);
    let listening = Listening::bind(&path).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(Listening::bind(&path).is_err());
    assert!(path.exists(), "who may not have it does not remove it");
    let egress = world.egress.clone();
    let serving = tokio::spawn(async move { egress.serve(listening.listener()).await });
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let hello = format!("{}\nCONNECT a.example:{} HTTP/1.1\r\n\r\n", world.egress.token().expose(), host.port);
    stream.write_all(hello.as_bytes()).await.unwrap();
    assert!(common::read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
    serving.abort();
    assert_eq!(read_rest(&mut stream).await, "");
    assert!(serving.await.unwrap_err().is_cancelled() && !path.exists());
    assert_eq!(world.log.wait(What::Closed, 1).await[0].reason, Reason::Stopped);
}

#[tokio::test]
async fn who_has_begun_to_say_something_has_to_go_on() {
    let host = Host::echo().await;
    let timeouts = Timeouts { first: seconds(1) / 10, ..Timeouts::default() };
    let world = With { timeouts, ..With::rules([here("a.example", host.port)]) }.world();
    world.names.lead("a.example", &[&["127.0.0.1"]]);
    let target = format!("a.example:{}", host.port);
    for (said, refused) in [(&b"\x16\x03"[..], true), (b"GET", true), (b"\0", false)] {
        let before = world.log.refused().len();
        let mut tunnel = world.tunnel(&target).await.unwrap();
        tunnel.write_all(said).await.unwrap();
        if refused {
            assert_eq!(read_rest(&mut tunnel).await, "");
            assert_eq!(world.log.refused().split_off(before), [Reason::TimedOut]);
        } else {
            assert_eq!(tunnel.read_u8().await.unwrap(), 0);
        }
    }
}

#[tokio::test]
async fn who_goes_while_an_answer_is_waited_for_keeps_no_place() {
    let (gone, mut told) = tokio::sync::mpsc::channel(2);
    let host = Host::with(move |mut stream| {
        let gone = gone.clone();
        async move {
            let asked = common::read_head(&mut stream).await;
            gone.send(asked.len()).await.unwrap();
            // Never answers.
            gone.send(read_rest(&mut stream).await.len()).await.unwrap();
        }
    })
    .await;
    let world = World::allowing("a.example", host.port);
    let a = format!("a.example:{}", host.port);
    let mut stream = world.connect().await;
    stream.write_all(format!("GET http://{a}/ HTTP/1.1\r\nhost: {a}\r\n\r\n").as_bytes()).await.unwrap();
    assert!(told.recv().await.unwrap() > 0);
    drop(stream);
    assert_eq!(told.recv().await, Some(0));
    world.log.wait(What::Closed, 1).await;
}
