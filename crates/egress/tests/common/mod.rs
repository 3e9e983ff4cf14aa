//! A proxy of one server, names that lead to this machine, and hosts that answer there.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_egress::address::Range;
use bartizan_egress::{
    Egress, Event, Limits, Parts, Policy, Reason, Resolve, Resolving, Rule, Secret, Settings, Sink, Timeouts,
    Unrecorded, What,
};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// Names and where they lead; each look-up takes the next answer, and the last one stays.
#[derive(Clone, Default)]
pub(crate) struct Names {
    known: Arc<Mutex<HashMap<String, Vec<Vec<IpAddr>>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Names {
    pub(crate) fn lead(&self, name: &str, answers: &[&[&str]]) {
        let answers = answers.iter().map(|answer| answer.iter().map(|one| one.parse().unwrap()).collect()).collect();
        self.known.lock().unwrap().insert(name.to_owned(), answers);
    }
}

impl Names {
    /// Everything that was looked up.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut names = self.known.lock().unwrap();
        let found = match names.get_mut(name) {
            Some(answers) if answers.len() > 1 => Ok(answers.remove(0)),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        Box::pin(async { found })
    }
}

/// What was reported.
#[derive(Clone, Default)]
pub(crate) struct Log {
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    pub(crate) full: Arc<Mutex<bool>>,
}

impl Sink for Log {
    fn record(&self, event: Event) -> Result<(), Unrecorded> {
        if *self.full.lock().unwrap() {
            return Err(Unrecorded);
        }
        self.events.lock().unwrap().push(event);
        Ok(())
    }
}

impl Log {
    pub(crate) fn all(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    pub(crate) fn of(&self, what: What) -> Vec<Event> {
        self.all().into_iter().filter(|event| event.what == what).collect()
    }

    /// Why things were refused.
    pub(crate) fn refused(&self) -> Vec<Reason> {
        self.of(What::Refused).into_iter().map(|event| event.reason).collect()
    }

    /// Waits until there are so many of a kind.
    pub(crate) async fn wait(&self, what: What, count: usize) -> Vec<Event> {
        loop {
            let found = self.of(what);
            if found.len() >= count {
                return found;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// An authority of hosts.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn server(&self, names: &[&str]) -> Arc<ServerConfig> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], secret).unwrap())
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        trusting(self.0.der().clone())
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn trusting(certificate: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    bartizan_egress::tls_trusting(roots).unwrap()
}

/// What a host was asked, in order: the head as text, and the body.
pub(crate) type Asked = Arc<Mutex<Vec<String>>>;

/// A host on this machine.
pub(crate) struct Host {
    pub(crate) port: u16,
    pub(crate) asked: Asked,
}

impl Host {
    /// That answers HTTP, over TLS if there is a certificate; what it is asked it says again.
    pub(crate) async fn http(tls: Option<Arc<ServerConfig>>) -> Host {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, asked) = (listener.local_addr().unwrap().port(), Asked::default());
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, seen) = (tls.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => match TlsAcceptor::from(tls).accept(stream).await {
                            Ok(stream) => answer(stream, seen).await,
                            Err(_) => seen.lock().unwrap().push("no handshake".to_owned()),
                        },
                        None => answer(stream, seen).await,
                    }
                });
            }
        });
        Host { port, asked }
    }

    /// That does with a connection what it is told.
    pub(crate) async fn with<F, W>(act: F) -> Host
    where
        F: Fn(TcpStream) -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(act(stream));
            }
        });
        Host { port, asked: Asked::default() }
    }

    /// That says again what it hears, and ends when that does.
    pub(crate) async fn echo() -> Host {
        Host::with(|mut stream| async move {
            let (mut read, mut write) = stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        })
        .await
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, asked: Asked) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let asked = Arc::clone(&asked);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let mut text = format!("{} {}\n", head.method, head.uri);
            for (name, value) in &head.headers {
                text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
            }
            text.push_str(&format!("\n{}", String::from_utf8_lossy(&body)));
            asked.lock().unwrap().push(text.clone());
            let mut response = Response::new(Full::<Bytes>::from(text));
            match head.uri.path().strip_prefix("/to/") {
                Some(place) => {
                    *response.status_mut() = hyper::StatusCode::FOUND;
                    response.headers_mut().insert("location", format!("http://{place}/").parse().unwrap());
                }
                None => drop(response.headers_mut().insert("keep-alive", "timeout=5".parse().unwrap())),
            }
            Ok::<_, Infallible>(response)
        }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// A proxy, and what it is about.
pub(crate) struct World {
    pub(crate) egress: Egress,
    pub(crate) names: Names,
    pub(crate) log: Log,
}

/// What a proxy is made with.
pub(crate) struct With {
    pub(crate) rules: Vec<Rule>,
    pub(crate) limits: Limits,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) timeouts: Timeouts,
    pub(crate) own: Vec<IpAddr>,
    pub(crate) tls: Arc<ClientConfig>,
}

impl Default for With {
    fn default() -> With {
        With {
            rules: Vec::new(),
            limits: Limits::default(),
            secrets: Vec::new(),
            timeouts: Timeouts::default(),
            own: Vec::new(),
            tls: bartizan_egress::tls_trusting(RootCertStore::empty()).unwrap(),
        }
    }
}

impl With {
    pub(crate) fn rules(rules: impl IntoIterator<Item = Rule>) -> With {
        With { rules: rules.into_iter().collect(), ..With::default() }
    }

    pub(crate) fn world(self) -> World {
        let (names, log) = (Names::default(), Log::default());
        let parts = Parts { resolver: Arc::new(names.clone()), sink: Arc::new(log.clone()), tls: self.tls };
        let settings = Settings {
            server: "files".to_owned(),
            policy: Policy::new(self.rules, self.limits),
            secrets: self.secrets,
            own: self.own,
            timeouts: self.timeouts,
        };
        World { egress: Egress::new(settings, parts).unwrap(), names, log }
    }
}

/// A host that is allowed, and allowed to be on this machine.
pub(crate) fn here(host: &str, port: u16) -> Rule {
    Rule::parse(&format!("{host}:{port}")).unwrap().near([Range::parse("127.0.0.0/8").unwrap()])
}

impl World {
    /// A proxy that allows this host alone, which is on this machine.
    pub(crate) fn allowing(host: &str, port: u16) -> World {
        let world = With::rules([here(host, port)]).world();
        world.names.lead(host, &[&["127.0.0.1"]]);
        world
    }

    /// A connection to the proxy, behind its token.
    pub(crate) async fn connect(&self) -> DuplexStream {
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        let egress = self.egress.clone();
        tokio::spawn(async move { egress.serve_connection(far).await });
        near.write_all(format!("{}\n", self.egress.token().expose()).as_bytes()).await.unwrap();
        near
    }

    /// What is answered to these bytes, up to the end of the connection.
    pub(crate) async fn say(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        let _ = stream.write_all(bytes.as_ref()).await;
        read_rest(&mut stream).await
    }

    /// A tunnel, or what was answered instead.
    pub(crate) async fn tunnel(&self, target: &str) -> Result<DuplexStream, String> {
        let mut stream = self.connect().await;
        stream.write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await;
        if head.starts_with("HTTP/1.1 200 ") { Ok(stream) } else { Err(head + &read_rest(&mut stream).await) }
    }

    /// TLS with `name` through a tunnel.
    pub(crate) async fn tls(
        &self,
        target: &str,
        name: &str,
        config: Arc<ClientConfig>,
    ) -> io::Result<TlsStream<DuplexStream>> {
        let tunnel = self.tunnel(target).await.map_err(io::Error::other)?;
        TlsConnector::from(config).connect(ServerName::try_from(name.to_owned()).unwrap(), tunnel).await
    }

    /// What a client in the sandbox trusts of the proxy.
    pub(crate) fn trust(&self) -> Arc<ClientConfig> {
        trusting(CertificateDer::from_pem_slice(self.egress.authority_pem().unwrap().as_bytes()).unwrap())
    }
}

/// Sends a request and reads all that comes.
pub(crate) async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    read_rest(&mut stream).await
}

pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Whatever still comes; a connection may break off.
pub(crate) async fn read_rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    String::from_utf8_lossy(&rest).into_owned()
}

pub(crate) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
