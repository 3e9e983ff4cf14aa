//! Tunnels: where they lead, and what they carry.
#![cfg(test)]

mod common;

use bartizan_egress::address::Range;
use bartizan_egress::{Reason, Rule, Timeouts, What};
use common::{Authority, Host, With, World, here, read_rest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn tls_goes_through_to_the_host_that_it_names() {
    let authority = Authority::new();
    let host = Host::http(Some(authority.server(&["api.example", "other.example"]))).await;
    let world = World::allowing("api.example", host.port);
    let target = format!("api.example:{}", host.port);
    let stream = world.tls(&target, "api.example", authority.client()).await.unwrap();
    let answer = common::ask(stream, "GET /x?token=1 HTTP/1.1\r\nhost: api.example\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("GET /x?token=1"), "{answer}");
    let closed = world.log.wait(What::Closed, 1).await.remove(0);
    assert_eq!(
        (closed.host.as_deref(), closed.port, closed.reason),
        (Some("api.example"), Some(host.port), Reason::Ended)
    );
    assert_eq!((closed.address, closed.terminated), (Some([127, 0, 0, 1].into()), false));
    assert!(closed.sent > 200 && closed.received > 500 && &*closed.server == "files", "{closed:?}");
    assert_eq!(world.log.of(What::Opened).len(), 1);
    assert!(!format!("{:?}", world.log.all()).contains("token=1"));

    // The certificate would be good for this name, and the address is the same.
    assert!(world.tls(&target, "other.example", authority.client()).await.is_err());
    // An address is not named in a handshake.
    assert!(world.tls(&target, "127.0.0.1", authority.client()).await.is_err());
    assert_eq!(world.log.refused(), [Reason::OtherServerName, Reason::NoServerName]);
    assert_eq!(host.asked().iter().filter(|asked| asked.starts_with("GET")).count(), 1);
    let reasons: Vec<_> =
        world.log.wait(What::Closed, 3).await.into_iter().skip(1).map(|event| (event.reason, event.sent)).collect();
    assert_eq!(reasons, [(Reason::OtherServerName, 0), (Reason::NoServerName, 0)]);
}

#[tokio::test]
async fn a_handshake_in_small_records_is_read_as_well() {
    let host = Host::echo().await;
    let world = World::allowing("api.example", host.port);
    for (name, passes) in [("api.example", true), ("evil.example", false)] {
        let mut tunnel = world.tunnel(&format!("api.example:{}", host.port)).await.unwrap();
        let config = Authority::new().client();
        let mut client = rustls::ClientConnection::new(config, name.to_owned().try_into().unwrap()).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        let mut cut = Vec::new();
        for piece in hello[5..].chunks(11) {
            cut.extend([22, 3, 1, 0, u8::try_from(piece.len()).unwrap()]);
            cut.extend(piece);
        }
        tunnel.write_all(&cut).await.unwrap();
        tunnel.shutdown().await.unwrap();
        let mut came = Vec::new();
        let _ = tunnel.read_to_end(&mut came).await;
        assert_eq!(came, if passes { cut } else { Vec::new() }, "{name}");
    }
}

#[tokio::test]
async fn other_protocols_pass_to_other_ports_with_each_direction_ending_by_itself() {
    let host = Host::echo().await;
    let world = World::allowing("db.example", host.port);
    let data: Vec<u8> = (0..500_000_u32).map(|number| number.to_be_bytes()[3] ^ number.to_be_bytes()[2]).collect();
    let tunnel = world.tunnel(&format!("db.example:{}", host.port)).await.unwrap();
    let (mut read, mut write) = tokio::io::split(tunnel);
    let sent = data.clone();
    let writing = async move {
        write.write_all(&[0]).await.unwrap();
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut came = Vec::new();
    let (_, read) = tokio::join!(writing, read.read_to_end(&mut came));
    read.unwrap();
    assert!(came[0] == 0 && came[1..] == data);
    let closed = world.log.wait(What::Closed, 1).await.remove(0);
    assert_eq!((closed.sent, closed.received, closed.reason), (500_001, 500_001, Reason::Ended));
}

#[tokio::test]
async fn a_host_may_speak_first_and_go_first() {
    let host = Host::with(|mut stream| async move {
        stream.write_all(b"220 hello\r\n").await.unwrap();
        let mut said = [0; 6];
        stream.read_exact(&mut said).await.unwrap();
        stream.write_all(b"221 bye\r\n").await.unwrap();
    })
    .await;
    let world = World::allowing("mail.example", host.port);
    let mut tunnel = world.tunnel(&format!("mail.example:{}", host.port)).await.unwrap();
    let mut said = [0; 11];
    tunnel.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"220 hello\r\n");
    tunnel.write_all(b"QUIT\r\n").await.unwrap();
    assert_eq!(read_rest(&mut tunnel).await, "221 bye\r\n");
}

#[tokio::test]
async fn where_a_tunnel_may_not_lead() {
    let host = Host::echo().await;
    let port = host.port;
    let near = |name: &str| Rule::parse(&format!("{name}:{port}")).unwrap();
    let mixed = near("mixed.example").near([Range::parse("127.0.0.1").unwrap()]);
    let rules = [
        "open.example",
        "metadata.example",
        "mapped.example",
        "none.example",
        "many.example",
        "own.example",
        "v6.example",
    ];
    let mut with = With::rules(rules.iter().map(|name| near(name)).chain([mixed, here("good.example", port)]));
    with.own = vec![[93, 184, 216, 34].into()];
    let world = with.world();
    let many = vec!["127.0.0.1"; 65];
    for (name, answers) in [
        ("good.example", &["127.0.0.1"][..]),
        ("open.example", &["127.0.0.1"]),
        ("mixed.example", &["127.0.0.1", "10.0.0.1"]),
        ("metadata.example", &["169.254.169.254"]),
        ("mapped.example", &["::ffff:127.0.0.1"]),
        ("many.example", &many),
        ("own.example", &["93.184.216.34"]),
        ("v6.example", &["::1"]),
    ] {
        world.names.lead(name, &[answers]);
    }
    for (target, reason) in [
        ("good.example", None),
        ("GOOD.example.", None),
        ("open.example", Some(Reason::AddressOwn)),
        ("mixed.example", Some(Reason::AddressPrivate)),
        ("metadata.example", Some(Reason::Metadata)),
        ("mapped.example", Some(Reason::AddressOwn)),
        ("none.example", Some(Reason::Unresolved)),
        ("many.example", Some(Reason::Unresolved)),
        ("own.example", Some(Reason::AddressOwn)),
        ("v6.example", Some(Reason::AddressOwn)),
        ("else.example", Some(Reason::NotAllowed)),
        ("x.good.example", Some(Reason::NotAllowed)),
        ("127.0.0.1", Some(Reason::NotAllowed)),
        ("localhost", Some(Reason::NotAllowed)),
        ("[::1]", Some(Reason::NotAllowed)),
        ("[::ffff:127.0.0.1]", Some(Reason::NotAllowed)),
        ("169.254.169.254", Some(Reason::Metadata)),
        ("metadata.google.internal", Some(Reason::Metadata)),
        ("2852039166", Some(Reason::Host)),
        ("0xa9fea9fe", Some(Reason::Host)),
        ("0251.0376.0251.0376", Some(Reason::Host)),
        ("127.1", Some(Reason::Host)),
        ("user@good.example", Some(Reason::Host)),
        ("good.example@evil.example", Some(Reason::Host)),
        ("good%2eexample", Some(Reason::Malformed)),
    ] {
        let before = world.log.refused().len();
        let tunnel = world.tunnel(&format!("{target}:{port}")).await;
        let refused = world.log.refused().split_off(before);
        match (tunnel, reason) {
            (Ok(_), None) => assert_eq!(refused, []),
            (Err(said), Some(reason)) => {
                assert!(said.contains(reason.id()) || said.starts_with("HTTP/1.1 400"), "{target}: {said}");
                assert_eq!(refused, [reason], "{target}");
            }
            (tunnel, _) => panic!("{target}: {:?} {refused:?}", tunnel.err()),
        }
    }
    // To look a name up is to tell it to somebody, so nothing but what is allowed is.
    let asked = world.names.asked();
    assert!(
        asked.iter().all(|name| name == "good.example" || rules.contains(&&**name) || name == "mixed.example"),
        "{asked:?}"
    );
    // Another port of the same host is another target.
    assert!(world.tunnel("good.example:1").await.unwrap_err().contains("egress.not_allowed"));
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_the_second_time_is_checked_again() {
    let host = Host::echo().await;
    let world = With::rules([Rule::parse(&format!("re.example:{}", host.port))
        .unwrap()
        .near([Range::parse("127.0.0.1").unwrap()])])
    .world();
    world.names.lead("re.example", &[&["127.0.0.1"], &["10.0.0.1"], &["127.0.0.1", "127.0.0.2"], &["127.0.0.1"]]);
    let target = format!("re.example:{}", host.port);
    for good in [true, false, false, true] {
        assert_eq!(world.tunnel(&target).await.is_ok(), good);
    }
    let addresses: Vec<_> =
        world.log.of(What::Refused).into_iter().map(|event| event.address.unwrap().to_string()).collect();
    assert_eq!(addresses, ["10.0.0.1", "127.0.0.2"]);
}

#[tokio::test]
async fn what_has_more_than_one_reading_is_no_request_for_a_tunnel() {
    let host = Host::echo().await;
    let world = World::allowing("good.example", host.port);
    let port = host.port;
    for request in [
        format!("CONNECT good.example\0.evil.example:{port} HTTP/1.1\r\n\r\n"),
        format!("CONNECT good.example:{port}\r\nx HTTP/1.1\r\n\r\n"),
        format!("CONNECT good.example:{port} HTTP/1.1\r\nhost: evil.example:{port}\r\n\r\n"),
        format!(
            "CONNECT good.example:{port} HTTP/1.1\r\nhost: good.example:{port}\r\nhost: evil.example:{port}\r\n\r\n"
        ),
        format!("CONNECT  good.example:{port} HTTP/1.1\r\n\r\n"),
        format!("CONNECT http://good.example:{port}/ HTTP/1.1\r\n\r\n"),
        format!("CONNECT /good.example:{port} HTTP/1.1\r\n\r\n"),
        format!("CONNECT good.example:{port} HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc"),
        format!("CONNECT good.example:{port} HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("CONNECT good.example:{port}:443 HTTP/1.1\r\n\r\n"),
        format!("CONNECT good.example:{port} HTTP/2.0\r\n\r\n"),
        "CONNECT good.example HTTP/1.1\r\n\r\n".to_owned(),
        "CONNECT good.example: HTTP/1.1\r\n\r\n".to_owned(),
        "CONNECT good.example:0 HTTP/1.1\r\n\r\n".to_owned(),
        "CONNECT good.example:99999 HTTP/1.1\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000)),
        format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200)),
        "\x16\x03\x01\x00\x05".to_owned(),
        "\x05\x01\x00".to_owned(),
    ] {
        let said = world.say(&request).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{request:?}: {said}");
    }
    assert_eq!(world.log.of(What::Opened), []);
    assert!(world.tunnel(&format!("good.example:{port}")).await.is_ok());
}

#[tokio::test]
async fn without_the_token_there_is_nothing() {
    let host = Host::echo().await;
    let (world, other) = (World::allowing("good.example", host.port), World::allowing("good.example", host.port));
    let connect = format!("CONNECT good.example:{} HTTP/1.1\r\n\r\n", host.port);
    let real = world.egress.token().expose().to_owned();
    for token in [
        String::new(),
        other.egress.token().expose().to_owned() + "\n",
        real.to_uppercase() + "\n",
        format!("{real}\r\n"),
        format!(" {real}\n"),
        "0".repeat(32) + "\n",
    ] {
        let (mut near, far) = tokio::io::duplex(1024);
        let egress = world.egress.clone();
        let serving = tokio::spawn(async move { egress.serve_connection(far).await });
        near.write_all(format!("{token}{connect}").as_bytes()).await.unwrap();
        near.shutdown().await.unwrap();
        assert_eq!(read_rest(&mut near).await, "", "{token}");
        serving.await.unwrap();
    }
    drop(other);
    assert_eq!(world.log.of(What::Opened), []);
    // One of them at once, the others with the next or at the end.
    let log = world.log.clone();
    drop(world);
    let refused = log.of(What::Refused);
    assert!(refused.iter().all(|event| event.reason == Reason::Token), "{refused:?}");
    assert_eq!((refused.len() <= 2, refused.iter().map(|event| event.times).sum::<u64>()), (true, 6));
}

/// Where the system lets somebody listen there: what is not TLS, or comes late, does not pass to port 443, nor to 80 what is no HTTP.
#[tokio::test]
async fn ports_443_and_80_are_for_one_protocol() {
    for (port, said, reason) in [
        (443, &b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n"[..], Reason::NotTls),
        (443, b"SSH-2.0-x\r\n", Reason::NotTls),
        (443, b"", Reason::TimedOut),
        (443, b"\x16\x03\x01", Reason::TimedOut),
        (80, b"SSH-2.0-x\r\n", Reason::Malformed),
        (80, b"", Reason::TimedOut),
    ] {
        let Ok(listener) = tokio::net::TcpListener::bind(("127.0.0.77", port)).await else { return };
        let rule = Rule::parse(&format!("a.example:{port}")).unwrap().near([Range::parse("127.0.0.77").unwrap()]);
        let first = if reason == Reason::TimedOut { common::seconds(1) / 10 } else { common::seconds(60) };
        let timeouts = Timeouts { first, ..Timeouts::default() };
        let world = With { timeouts, ..With::rules([rule]) }.world();
        world.names.lead("a.example", &[&["127.0.0.77"]]);
        let mut tunnel = world.tunnel(&format!("a.example:{port}")).await.unwrap();
        tunnel.write_all(said).await.unwrap();
        let (mut host, _) = listener.accept().await.unwrap();
        // What the host says first does not get anywhere.
        host.write_all(b"220 hello\r\n").await.unwrap();
        assert_eq!(read_rest(&mut tunnel).await, "");
        assert_eq!((read_rest(&mut host).await, world.log.refused()), (String::new(), vec![reason]));
    }
}
