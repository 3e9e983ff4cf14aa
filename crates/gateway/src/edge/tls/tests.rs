use std::net::SocketAddr;
use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, NamedGroup, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

use super::*;

/// Certificates in a directory that goes with it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a certificate that signs itself and its key, as `NAME.pem` and `NAME.key`.
    fn write(&self, name: &str) -> Tls {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        Tls {
            certificate: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
            minimum: TlsVersion::V13,
            clients: None,
        }
    }
}

/// What a client that trusts the certificate and speaks these versions finds out.
async fn connect(
    settings: &Tls,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<(NamedGroup, ProtocolVersion), String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let secure = Secure::new(Ready::read(settings)?);
    let serving = tokio::spawn(async move { accepted(&secure, &listener).await });
    let client = client(address, settings, versions).await;
    let served = serving.await.unwrap();
    assert_eq!(served.is_ok(), client.is_ok());
    client.map_err(|error| error.to_string())
}

async fn client(
    address: SocketAddr,
    settings: &Tls,
    versions: &[&'static SupportedProtocolVersion],
) -> io::Result<(NamedGroup, ProtocolVersion)> {
    let mut roots = RootCertStore::empty();
    certificates(&settings.certificate).unwrap().into_iter().for_each(|one| roots.add(one).unwrap());
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(address).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let (_, connection) = stream.get_ref();
    assert_eq!(connection.alpn_protocol(), Some(&b"http/1.1"[..]));
    Ok((connection.negotiated_key_exchange_group().unwrap().name(), connection.protocol_version().unwrap()))
}

/// What becomes of the next connection.
async fn accepted(secure: &Secure, listener: &TcpListener) -> io::Result<Option<Stream>> {
    let (stream, peer) = listener.accept().await?;
    secure.accept(stream, peer.ip()).await
}

#[tokio::test]
async fn the_key_exchange_withstands_quantum_computers_and_old_versions_are_spoken_on_request() {
    let place = Place::new();
    let settings = place.write("one");
    let both = Tls { minimum: TlsVersion::V12, ..settings.clone() };
    let new = (NamedGroup::X25519MLKEM768, ProtocolVersion::TLSv1_3);
    assert_eq!(connect(&settings, &[&TLS13, &TLS12]).await, Ok(new));
    assert_eq!(connect(&both, &[&TLS13, &TLS12]).await, Ok(new));
    assert_eq!(connect(&both, &[&TLS12]).await.unwrap().1, ProtocolVersion::TLSv1_2);
    assert!(connect(&settings, &[&TLS12]).await.is_err());
}

#[test]
fn a_certificate_names_somebody_if_it_has_one_name_of_that_kind() {
    use CertificateName::{SanDns, SanEmail, SanUri, SubjectCn};
    use rcgen::SanType::{DnsName, Rfc822Name, URI};
    let uri = |name: &str| URI(name.try_into().unwrap());
    let dns = |name: &str| DnsName(name.try_into().unwrap());
    let mail = |name: &str| Rfc822Name(name.try_into().unwrap());
    let long = format!("x:{}", "y".repeat(254));
    for (names, kind, expected) in [
        (vec![uri("spiffe://a/b"), dns("A.example"), mail("a@b")], SanUri, Some("spiffe://a/b")),
        (vec![uri("spiffe://a/b"), dns("A.example"), mail("a@b")], SanDns, Some("a.example")),
        (vec![uri("spiffe://a/b"), dns("A.example"), mail("a@b")], SanEmail, Some("a@b")),
        (vec![uri("spiffe://a/b")], SubjectCn, Some("Ann B")),
        (vec![uri("a:b"), uri("a:c")], SanUri, None),
        (vec![uri("a:b"), uri("a:b")], SanUri, None),
        (vec![dns("a.example")], SanUri, None),
        (vec![dns("*.example")], SanDns, None),
        (vec![uri("a:b\n")], SanUri, None),
        (vec![uri(" a:b")], SanUri, None),
        (vec![uri("")], SanUri, None),
        (vec![uri(&long)], SanUri, None),
        (vec![], SanUri, None),
    ] {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Ann B");
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        params.subject_alt_names = names.clone();
        let shown = certificate(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der(), kind);
        let expected = expected.map(str::to_owned);
        assert_eq!(shown, Certificate { name: expected, until: 4_102_444_800_000_000 }, "{names:?}");
    }
    assert_eq!(certificate(b"none", SanUri), Certificate { name: None, until: i64::MIN });
}

#[test]
fn what_cannot_be_used_is_said_without_the_key() {
    let place = Place::new();
    let (one, other) = (place.write("one"), place.write("other"));
    std::fs::write(place.path("words"), "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n").unwrap();
    for (settings, expected) in [
        (Tls { key: other.key.clone(), ..one.clone() }, "is not that of the certificate in"),
        (Tls { key: place.path("none"), ..one.clone() }, "cannot read"),
        (Tls { key: one.certificate.clone(), ..one.clone() }, "no usable private key"),
        (Tls { key: place.path("words"), ..one.clone() }, "cannot be used"),
        (Tls { certificate: one.key.clone(), ..one.clone() }, "no certificate"),
        (Tls { certificate: place.path(""), ..one.clone() }, "not a regular file"),
    ] {
        let said = Ready::read(&settings).unwrap_err();
        assert!(said.contains(expected) && !said.contains("c2Vj") && !said.contains("secret"), "{said}");
    }
    Ready::read(&one).unwrap();
}

#[tokio::test]
async fn a_changed_pair_is_in_force_once_it_is_whole_and_a_broken_one_is_not() {
    let place = Place::new();
    let (shown, other) = (place.write("shown"), place.write("other"));
    let secure = Secure::new(Ready::read(&shown).unwrap());
    let in_force = || Arc::as_ptr(&secure.in_force.load_full());
    let first = in_force();
    assert!(secure.look().is_none());
    std::fs::copy(&other.certificate, &shown.certificate).unwrap();
    assert!(secure.look().is_none(), "somebody may still be writing");
    assert!(secure.look().unwrap().is_err(), "the key is still the old one");
    assert!(secure.look().is_none(), "that is said once");
    assert!(secure.is_behind() && in_force() == first);
    std::fs::copy(&other.key, &shown.key).unwrap();
    assert!(secure.look().is_none());
    secure.look().unwrap().unwrap();
    assert!(!secure.is_behind() && in_force() != first);
    std::fs::remove_file(&shown.key).unwrap();
    secure.look();
    assert!(secure.look().unwrap().is_err() && secure.is_behind());
    secure.put(Ready::read(&other).unwrap());
    assert!(!secure.is_behind() && secure.look().is_none(), "a reload names other files");
}

#[tokio::test]
async fn a_client_that_speaks_something_else_is_told_so_if_that_is_http() {
    let place = Place::new();
    let secure = Secure::new(Ready::read(&place.write("one")).unwrap());
    for (sent, expected) in [
        (&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], "HTTP/1.1 400 "),
        (&b"\x00\x01\x02"[..], ""),
        (&b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"[..], "\u{15}"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(sent).await.unwrap();
        client.shutdown().await.unwrap();
        assert!(accepted(&secure, &listener).await.is_err());
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.ok();
        let said = String::from_utf8_lossy(&said);
        assert!(said.starts_with(expected) && (!expected.is_empty() || said.is_empty()), "{said:?}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    drop(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
    assert!(accepted(&secure, &listener).await.unwrap().is_none(), "no refusal: it said nothing");
}

impl Place {
    /// The same, good in these years only.
    fn write_from(&self, name: &str, from: i32, until: i32) -> Tls {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        std::fs::write(self.path(&format!("{name}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        let path = |end: &str| self.path(&format!("{name}.{end}"));
        Tls { certificate: path("pem"), key: path("key"), minimum: TlsVersion::V13, clients: None }
    }
}

#[test]
fn what_no_client_would_take_is_said_and_takes_the_place_of_nothing() {
    let place = Place::new();
    let over = place.write_from("over", 2001, 2002);
    let early = place.write_from("early", 2500, 2501);
    let good = place.write_from("good", 2001, 2500);
    let read = |settings: &Tls| Ready::read(settings).unwrap();
    let secure = Secure::new(read(&good));
    assert!(secure.days_left() > 1000);
    for (settings, file, expected) in [
        (&over, "over.pem", "expired on 2002-01-01T00:00:00Z"),
        (&early, "early.pem", "is not good before 2500-01-01T00:00:00Z"),
    ] {
        let why = secure.refuses(&read(settings)).unwrap();
        assert!(why.contains(expected) && why.contains(file), "{why}");
        assert_eq!(read(settings).doubts(None), [why]);
    }
    assert_eq!(secure.refuses(&read(&place.write_from("new", 2001, 2500))), None);
    assert_eq!(read(&good).doubts(None), [""; 0]);
    // What was in force already is no worse than before.
    let secure = Secure::new(read(&over));
    assert!(secure.days_left() < -1000);
    assert_eq!(secure.refuses(&read(&over)), None);
    assert!(secure.refuses(&read(&early)).is_some());
}

#[test]
fn a_certificate_is_for_the_hosts_that_it_names() {
    let place = Place::new();
    let key = KeyPair::generate().unwrap();
    let names = ["a.example", "*.b.example", "192.0.2.1", "2001:db8::1"].map(str::to_owned);
    let params = CertificateParams::new(names).unwrap();
    std::fs::write(place.path("one.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(place.path("one.key"), key.serialize_pem()).unwrap();
    let settings = place.write("two");
    let settings = Tls { certificate: place.path("one.pem"), key: place.path("one.key"), ..settings };
    let ready = Ready::read(&settings).unwrap();
    for (public, good) in [
        ("https://a.example", true),
        ("https://A.example:8443", true),
        ("https://x.b.example", true),
        ("https://192.0.2.1:8443", true),
        ("https://[2001:db8::1]:8443", true),
        // What encrypts in front has a certificate of its own.
        ("http://localhost:8484", true),
        ("https://b.example", false),
        ("https://y.x.b.example", false),
        ("https://x.a.example", false),
        ("https://192.0.2.2", false),
        ("https://localhost", false),
    ] {
        let found = ready.doubts(Some(&public.parse().unwrap()));
        assert_eq!(found.is_empty(), good, "{public}: {found:?}");
        assert!(
            found.iter().all(|why| why.contains("but for a.example, *.b.example, 192.0.2.1, 2001:db8::1")),
            "{found:?}"
        );
    }
}
