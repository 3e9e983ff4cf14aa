use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::LazyLock;
use std::thread;

use proptest::prelude::*;

use super::*;

/// A relay, and what stands outside.
struct Inside {
    addresses: Addresses,
    outside: UnixListener,
    token: String,
    _place: tempfile::TempDir,
}

fn any_port(address: Ipv4Addr) -> SocketAddr {
    (address, 0).into()
}

fn inside() -> Inside {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("out");
    let outside = UnixListener::bind(&socket).unwrap();
    let token = Token::generate().unwrap();
    let local = any_port(Ipv4Addr::LOCALHOST);
    let wanted = Addresses { proxy: local, dns: local, direct: vec![any_port(Ipv4Addr::UNSPECIFIED)] };
    let relay = Relay::bind(&socket, token.clone(), &wanted).unwrap();
    let addresses = relay.addresses().unwrap();
    thread::spawn(move || relay.run());
    Inside { addresses, outside, token: token.expose().to_owned(), _place: place }
}

impl Inside {
    /// The next connection, behind its token.
    fn accept(&self) -> UnixStream {
        let (mut stream, _) = self.outside.accept().unwrap();
        let mut said = [0; 33];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(said, *format!("{}\n", self.token).as_bytes());
        stream
    }

    fn query(&self, name: &str) -> Vec<u8> {
        let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            query.push(u8::try_from(label.len()).unwrap());
            query.extend(label.as_bytes());
        }
        query.extend([0, 0, 1, 0, 1]);
        query
    }

    /// The address that is given to a name.
    fn look_up(&self, name: &str) -> Ipv4Addr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&self.query(name), self.addresses.dns).unwrap();
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).unwrap();
        let address: [u8; 4] = answer[length - 4..length].try_into().unwrap();
        address.into()
    }

    fn direct(&self, address: Ipv4Addr) -> TcpStream {
        TcpStream::connect((address, self.addresses.direct[0].port())).unwrap()
    }
}

fn read_head(stream: &mut impl Read) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn rest(stream: &mut impl Read) -> Vec<u8> {
    let mut rest = Vec::new();
    // A connection that is closed with something unread is reset.
    let _ = stream.read_to_end(&mut rest);
    rest
}

#[test]
fn names_lead_to_requests_for_tunnels() {
    let inside = inside();
    let address = inside.look_up("api.example.com");
    assert_eq!((address, inside.look_up("API.example.com")), (Ipv4Addr::new(127, 1, 0, 1), address));
    let port = inside.addresses.direct[0].port();
    for (answer, passed) in [
        ("HTTP/1.1 200 OK\r\ndate: x\r\n\r\nhello", &b"hello"[..]),
        ("HTTP/1.1 200 OK\r\n\r\n", b""),
        ("HTTP/1.1 403 Forbidden\r\n\r\nno", b""),
        ("HTTP/1.1 200\r\n\r\nno", b""),
        ("nonsense", b""),
        (&format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\nno", "y".repeat(5000)), b""),
    ] {
        let mut client = inside.direct(address);
        client.write_all(b"early").unwrap();
        let mut outside = inside.accept();
        assert_eq!(
            read_head(&mut outside),
            format!("CONNECT api.example.com:{port} HTTP/1.1\r\nHost: api.example.com:{port}\r\n\r\n")
        );
        let _ = outside.write_all(answer.as_bytes());
        outside.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(rest(&mut client), passed, "{answer}");
        drop(client);
        assert!(b"early".starts_with(&rest(&mut outside)));
    }
}

#[test]
fn an_address_that_stands_for_no_name_leads_nowhere() {
    let inside = inside();
    for address in [[127, 0, 0, 1], [127, 1, 0, 1], [127, 1, 255, 255], [127, 9, 9, 9]] {
        assert_eq!(rest(&mut inside.direct(address.into())), b"");
    }
    // And nothing came outside: the next that does is this one.
    let mut client = TcpStream::connect(inside.addresses.proxy).unwrap();
    client.write_all(b"x").unwrap();
    let mut byte = [0];
    inside.accept().read_exact(&mut byte).unwrap();
    assert_eq!(byte, *b"x");
}

#[test]
fn names_are_given_over_tcp_too_one_after_the_other() {
    let inside = inside();
    let mut stream = TcpStream::connect(inside.addresses.dns).unwrap();
    let framed = |name: &str| {
        let query = inside.query(name);
        [&u16::try_from(query.len()).unwrap().to_be_bytes()[..], &query].concat()
    };
    let both = [framed("a.example"), framed("b.example")].concat();
    // All at once, so that one turn reads more than one, and in pieces.
    for piece in [both.len(), 7] {
        for piece in both.chunks(piece) {
            stream.write_all(piece).unwrap();
            thread::yield_now();
        }
        for last in [1, 2] {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer[answer.len() - 4..], [127, 1, 0, last]);
        }
    }
    stream.write_all(&[2, 1]).unwrap();
    assert_eq!(rest(&mut stream), b"", "what is too long is not waited for");
    // Those that say nothing make room.
    let silent: Vec<_> = (0..3 * QUERIES).map(|_| TcpStream::connect(inside.addresses.dns).unwrap()).collect();
    let mut stream = TcpStream::connect(inside.addresses.dns).unwrap();
    stream.write_all(&framed("a.example")).unwrap();
    stream.read_exact(&mut [0; 2]).unwrap();
    drop(silent);
}

#[test]
fn without_anybody_outside_a_connection_is_closed_and_the_next_is_served() {
    let mut inside = inside();
    let path = inside.outside.local_addr().unwrap().as_pathname().unwrap().to_owned();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(rest(&mut TcpStream::connect(inside.addresses.proxy).unwrap()), b"");
    inside.outside = UnixListener::bind(&path).unwrap();
    let mut client = TcpStream::connect(inside.addresses.proxy).unwrap();
    inside.accept().write_all(b"here").unwrap();
    assert_eq!(rest(&mut client), b"here");
}

#[test]
fn more_connections_than_there_are_places_wait_for_one() {
    let inside = inside();
    let serving = thread::spawn({
        let outside = inside.outside.try_clone().unwrap();
        // Each is held until all places are taken.
        move || {
            let held: Vec<_> = (0..PAIRS).map(|_| outside.accept().unwrap().0).collect();
            outside.set_nonblocking(true).unwrap();
            let more = outside.accept().is_ok();
            outside.set_nonblocking(false).unwrap();
            drop(held);
            (more, outside.accept().is_ok())
        }
    });
    let clients: Vec<_> = (0..PAIRS + 10).map(|_| TcpStream::connect(inside.addresses.proxy).unwrap()).collect();
    assert_eq!(serving.join().unwrap(), (false, true));
    drop(clients);
}

#[test]
fn the_usual_addresses_are_each_there_once() {
    let usual = Addresses::usual(&[443, 8443, 53, 3128, 0]);
    let shown: Vec<_> = usual.direct.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["0.0.0.0:443", "0.0.0.0:80", "0.0.0.0:8443"]);
    assert_eq!(
        (usual.proxy.to_string(), usual.dns.to_string()),
        ("127.0.0.1:3128".to_owned(), "127.0.0.1:53".to_owned())
    );
}

/// One for all cases, as a relay ends with its process.
static INSIDE: LazyLock<Inside> = LazyLock::new(inside);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is sent arrives as it was sent, both ways at once, and each direction ends by itself.
    #[test]
    fn no_byte_is_changed(seed: u64, lengths in prop::array::uniform2(0_usize..300_000), pieces in prop::array::uniform2(1_usize..70_000)) {
        let inside = &*INSIDE;
        let data = lengths.map(|length| {
            let mut state = seed | 1;
            let next = |_| { state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); state.to_be_bytes()[0] };
            (0..length).map(next).collect::<Vec<u8>>()
        });
        let client = TcpStream::connect(inside.addresses.proxy).unwrap();
        let outside = inside.accept();
        let came = thread::scope(|scope| {
            let (near, far) = (&client, &outside);
            let [out, back] = &data;
            scope.spawn(move || {
                for piece in out.chunks(pieces[0]) { { near }.write_all(piece).unwrap(); }
                near.shutdown(std::net::Shutdown::Write).unwrap();
            });
            scope.spawn(move || {
                for piece in back.chunks(pieces[1]) { { far }.write_all(piece).unwrap(); }
                far.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let arrived = scope.spawn(move || rest(&mut { far }));
            let returned = rest(&mut { near });
            [arrived.join().unwrap(), returned]
        });
        prop_assert!(came == data);
    }
}
