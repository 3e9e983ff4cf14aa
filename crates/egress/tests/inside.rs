//! All the way: programs that know of no proxy, the relay beside them, the proxy outside, and hosts.
#![cfg(test)]
#![cfg(target_os = "linux")]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bartizan_egress::inner::{Addresses, Relay};
use bartizan_egress::{Listening, Reason, Secret, What};
use common::{Authority, Host, With, World, here, read_rest};
use hyper::header;
use rustls::ClientConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

/// A port that is free on every address, for the relay; the hosts are at this port of 127.0.0.1 then.
struct Sandbox {
    world: World,
    addresses: Addresses,
    _place: tempfile::TempDir,
}

/// The relay listens where the host does not: on one of the addresses that names are given, which is of this machine too.
async fn sandbox(world: World, port: u16) -> Sandbox {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out");
    let listening = Listening::bind(&path).unwrap();
    let egress = world.egress.clone();
    tokio::spawn(async move { egress.serve(listening.listener()).await });
    let local: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let direct = vec![(Ipv4Addr::new(127, 1, 0, 1), port).into(), (Ipv4Addr::new(127, 1, 0, 2), port).into()];
    let relay =
        Relay::bind(&path, world.egress.token().clone(), &Addresses { proxy: local, dns: local, direct }).unwrap();
    let addresses = relay.addresses().unwrap();
    std::thread::spawn(move || relay.run());
    Sandbox { world, addresses, _place: place }
}

impl Sandbox {
    /// What the name service says.
    async fn look_up(&self, name: &str) -> Ipv4Addr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            query.push(u8::try_from(label.len()).unwrap());
            query.extend(label.as_bytes());
        }
        query.extend([0, 0, 1, 0, 1]);
        socket.send_to(&query, self.addresses.dns).await.unwrap();
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).await.unwrap();
        <[u8; 4]>::try_from(&answer[length - 4..length]).unwrap().into()
    }

    /// As any program does it.
    async fn connect(&self, name: &str, port: u16) -> TcpStream {
        TcpStream::connect((self.look_up(name).await, port)).await.unwrap()
    }

    async fn https(&self, name: &str, port: u16, config: Arc<ClientConfig>) -> std::io::Result<String> {
        let stream = self.connect(name, port).await;
        let stream = TlsConnector::from(config).connect(name.to_owned().try_into().unwrap(), stream).await?;
        Ok(common::ask(stream, &get(name, port, "")).await)
    }
}

fn get(name: &str, port: u16, more: &str) -> String {
    format!("GET /x HTTP/1.1\r\nhost: {name}:{port}\r\n{more}connection: close\r\n\r\n")
}

#[tokio::test]
async fn programs_that_know_of_no_proxy_reach_what_is_allowed_and_nothing_else() {
    let authority = Authority::new();
    let host = Host::http(Some(authority.server(&["api.example", "evil.example"]))).await;
    let sandbox = sandbox(World::allowing("api.example", host.port), host.port).await;
    let said = sandbox.https("api.example", host.port, authority.client()).await.unwrap();
    assert!(said.contains("GET /x"), "{said}");
    assert!(sandbox.https("evil.example", host.port, authority.client()).await.is_err());
    assert_eq!(sandbox.world.log.refused(), [Reason::NotAllowed]);
    assert_eq!(sandbox.world.log.of(What::Opened).len(), 1);
    // To the address of an allowed name, with another name in the handshake.
    let stream = sandbox.connect("api.example", host.port).await;
    let connector = TlsConnector::from(authority.client());
    assert!(connector.connect("evil.example".try_into().unwrap(), stream).await.is_err());
    assert_eq!(sandbox.world.log.refused(), [Reason::NotAllowed, Reason::OtherServerName]);
}

#[tokio::test]
async fn a_secret_is_put_in_place_for_them_as_well() {
    let authority = Authority::new();
    let host = Host::http(Some(authority.server(&["api.example"]))).await;
    let value = Zeroizing::new("the-real-value".to_owned());
    let secret = Secret::new("token", "api.example", header::AUTHORIZATION, value).unwrap();
    let more = format!("authorization: Bearer {}\r\n", secret.placeholder());
    let world =
        With { secrets: vec![secret], tls: authority.client(), ..With::rules([here("api.example", host.port)]) }
            .world();
    world.names.lead("api.example", &[&["127.0.0.1"]]);
    let (sandbox, trust) = {
        let trust = world.trust();
        (sandbox(world, host.port).await, trust)
    };
    let stream = sandbox.connect("api.example", host.port).await;
    let stream = TlsConnector::from(trust).connect("api.example".try_into().unwrap(), stream).await.unwrap();
    let said = common::ask(stream, &get("api.example", host.port, &more)).await;
    assert!(said.contains("authorization: Bearer the-real-value"), "{said}");
}

#[tokio::test]
async fn plain_requests_of_them_are_checked_one_by_one() {
    let host = Host::http(None).await;
    let sandbox = sandbox(World::allowing("api.example", host.port), host.port).await;
    let stream = sandbox.connect("api.example", host.port).await;
    let said = common::ask(stream, &get("api.example", host.port, "")).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    let stream = sandbox.connect("api.example", host.port).await;
    let said = common::ask(stream, &get("evil.example", host.port, "")).await;
    assert!(said.contains("egress.other_host"), "{said}");
    assert_eq!(host.asked().len(), 1);
}

#[tokio::test]
async fn programs_that_know_of_the_proxy_use_it() {
    let host = Host::http(None).await;
    let sandbox = sandbox(World::allowing("api.example", host.port), host.port).await;
    for (name, expected) in [("api.example", "200 OK"), ("evil.example", "egress.not_allowed")] {
        let stream = TcpStream::connect(sandbox.addresses.proxy).await.unwrap();
        let request =
            format!("GET http://{name}:{0}/ HTTP/1.1\r\nhost: {name}:{0}\r\nconnection: close\r\n\r\n", host.port);
        let said = common::ask(stream, &request).await;
        assert!(said.contains(expected), "{said}");
    }
}

/// A server that has taken over its relay, with its token and its socket, has what it had before.
#[tokio::test]
async fn a_relay_that_was_taken_over_widens_nothing() {
    let place = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = World::allowing("api.example", 1);
    let listening = Listening::bind(&place.path().join("out")).unwrap();
    let egress = world.egress.clone();
    tokio::spawn(async move { egress.serve(listening.listener()).await });
    let token = world.egress.token().expose().to_owned();
    for request in [
        format!("{token}\nCONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n"),
        format!("{token}\nCONNECT localhost:{port} HTTP/1.1\r\n\r\n"),
        format!("{token}\nCONNECT 127.1.0.1:{port} HTTP/1.1\r\n\r\n"),
        format!("{token}\nCONNECT api.example:{port} HTTP/1.1\r\n\r\n"),
        format!("{token}\n{token}\nCONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n"),
        format!("{token}\nGET http://127.0.0.1:{port}/ HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n"),
        format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n"),
    ] {
        let mut stream = tokio::net::UnixStream::connect(place.path().join("out")).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let said = read_rest(&mut stream).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{request}: {said}");
    }
    assert_eq!(world.log.of(What::Opened), []);
    // Whoever comes next is the first.
    let mut canary = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (_, came) = listener.accept().await.unwrap();
    assert_eq!(came, canary.local_addr().unwrap());
    canary.shutdown().await.unwrap();
}
