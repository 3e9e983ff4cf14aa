//! The relay inside a sandbox: what turns connections of programs that know of no proxy into requests to the one outside.
//!
//! **Threat.** It runs beside the server that is confined, which may do to it whatever it likes. So it decides nothing: it passes bytes to
//! the unix socket and back, and says which name a connection is for. A server that takes it over can say that itself, and gains nothing.
//! What it holds is bounded all the same, so that a server that floods it harms itself alone.
//!
//! In the sandbox's network there is `lo` and nothing else. Programs that know of proxies use `127.0.0.1:3128`. Others look a name up, are
//! given an address of 127.1.0.0/16 that stands for it, and connect there; nothing is ever looked up in earnest.
//!
//! One thread, one loop: the sandbox counts threads, and has few to spend.
//!
//! Ports below 1024 take `CAP_NET_BIND_SERVICE`, so [`Relay::bind`] comes before capabilities are dropped and [`Relay::run`] after. The sandbox's
//! `/etc/resolv.conf` has to say `nameserver 127.0.0.1`, and nothing else.

pub mod dns;
mod names;
mod pair;
mod query;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::token::Token;

pub use self::names::Names;
use self::pair::Pair;
use self::query::Query;

/// Connections at once. Further ones wait until one of them ends.
const PAIRS: usize = 256;
/// Connections of the name service at once. The oldest makes room.
const QUERIES: usize = 16;
/// Packets that are answered in one turn.
const PACKETS: usize = 32;
/// When nothing can be accepted.
const PAUSE: Duration = Duration::from_millis(10);

/// Where the relay listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// For programs that know of proxies.
    pub proxy: SocketAddr,
    /// For names, over UDP and TCP.
    pub dns: SocketAddr,
    /// For programs that do not: at each of these ports on every address.
    pub direct: Vec<SocketAddr>,
}

impl Addresses {
    /// 127.0.0.1:3128 and 127.0.0.1:53, and 0.0.0.0 with ports 443, 80 and these others.
    #[must_use]
    pub fn usual(others: &[u16]) -> Addresses {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut ports = vec![443, 80];
        ports.extend(others.iter().filter(|port| ![0, 53, 80, 443, 3128].contains(*port)));
        let direct = ports.into_iter().map(|port| (Ipv4Addr::UNSPECIFIED, port).into()).collect();
        Addresses { proxy: local(3128), dns: local(53), direct }
    }
}

/// The relay, listening.
#[derive(Debug)]
pub struct Relay {
    outside: SocketAddrUnix,
    token: Token,
    proxy: TcpListener,
    packets: UdpSocket,
    dns: TcpListener,
    direct: Vec<TcpListener>,
    names: Names,
    pairs: Vec<Pair>,
    queries: Vec<Query>,
}

/// What something is ready to be done with.
#[derive(Debug, Clone, Copy)]
enum Ready {
    Proxy,
    Packets,
    Dns,
    Direct(usize),
    Pair(usize),
    Query(usize),
}

impl Relay {
    /// Listens at all addresses; what connects meanwhile waits. The proxy outside is at `socket`.
    ///
    /// # Errors
    /// If one of the addresses cannot be listened at, or the path is too long for a socket.
    pub fn bind(socket: &Path, token: Token, addresses: &Addresses) -> io::Result<Relay> {
        let listen = |address: SocketAddr| {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok::<_, io::Error>(listener)
        };
        let dns = listen(addresses.dns)?;
        // The same port, also where any would do.
        let packets = UdpSocket::bind(dns.local_addr()?)?;
        packets.set_nonblocking(true)?;
        Ok(Relay {
            outside: SocketAddrUnix::new(socket)?,
            token,
            proxy: listen(addresses.proxy)?,
            packets,
            dns,
            direct: addresses.direct.iter().map(|address| listen(*address)).collect::<io::Result<_>>()?,
            names: Names::default(),
            pairs: Vec::new(),
            queries: Vec::new(),
        })
    }

    /// Where it listens, with the ports that were chosen where any would do.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn addresses(&self) -> io::Result<Addresses> {
        Ok(Addresses {
            proxy: self.proxy.local_addr()?,
            dns: self.dns.local_addr()?,
            direct: self.direct.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?,
        })
    }

    /// Relays for as long as this process lives.
    ///
    /// # Errors
    /// It only returns if the system refuses to wait.
    pub fn run(mut self) -> io::Error {
        loop {
            match self.wait() {
                Ok(ready) => ready.into_iter().for_each(|ready| self.act(ready)),
                Err(error) => return error,
            }
            self.pairs.retain(|pair| !pair.is_over());
            self.queries.retain(|query| !query.is_over());
        }
    }

    /// Waits until something can be done.
    fn wait(&self) -> io::Result<Vec<Ready>> {
        let interests = self.interests();
        let mut polled: Vec<_> = interests.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready =
            |(interest, polled): (&(Ready, _, _), &PollFd<'_>)| (!polled.revents().is_empty()).then_some(interest.0);
        Ok(interests.iter().zip(&polled).filter_map(ready).collect())
    }

    /// What there is to wait for. What is open already stands before what makes more of it, so that places stay what they are.
    fn interests(&self) -> Vec<(Ready, BorrowedFd<'_>, PollFlags)> {
        let mut interests = Vec::new();
        for (place, pair) in self.pairs.iter().enumerate() {
            // Without anything to wait for, an end would be reported over and over.
            interests.extend(pair.interests().into_iter().flatten().map(|(fd, flags)| (Ready::Pair(place), fd, flags)));
        }
        for (place, query) in self.queries.iter().enumerate() {
            interests.push((Ready::Query(place), query.as_fd(), query.flags()));
        }
        interests.push((Ready::Packets, self.packets.as_fd(), PollFlags::IN));
        interests.push((Ready::Dns, self.dns.as_fd(), PollFlags::IN));
        if self.pairs.len() < PAIRS {
            interests.push((Ready::Proxy, self.proxy.as_fd(), PollFlags::IN));
            let direct = self.direct.iter().enumerate();
            interests.extend(direct.map(|(place, one)| (Ready::Direct(place), one.as_fd(), PollFlags::IN)));
        }
        interests
    }

    fn act(&mut self, ready: Ready) {
        match ready {
            Ready::Pair(place) => self.pairs.get_mut(place).map(Pair::turn).unwrap_or_default(),
            Ready::Query(place) => {
                if let Some(query) = self.queries.get_mut(place) {
                    query.turn(&mut self.names);
                }
            }
            Ready::Packets => self.answer_packets(),
            Ready::Dns => {
                if let Some(stream) = accept(&self.dns) {
                    if self.queries.len() >= QUERIES {
                        self.queries.remove(0);
                    }
                    self.queries.push(Query::new(stream));
                }
            }
            Ready::Proxy => {
                if let Some(client) = accept(&self.proxy) {
                    self.begin(client, None);
                }
            }
            Ready::Direct(place) => {
                if let Some(client) = self.direct.get(place).and_then(accept) {
                    // Reached at an address that stands for no name, there is nowhere to go.
                    if let Some(target) = self.target(&client) {
                        self.begin(client, Some(&target));
                    }
                }
            }
        }
    }

    /// The name and port that a connection is for, by the address that it was made to.
    fn target(&self, client: &TcpStream) -> Option<String> {
        let reached = client.local_addr().ok()?;
        let IpAddr::V4(address) = reached.ip() else { return None };
        Some(format!("{}:{}", self.names.name_of(address)?, reached.port()))
    }

    /// Connects to the proxy outside; a connection for a target says first which it is.
    fn begin(&mut self, client: TcpStream, target: Option<&str>) {
        // What cannot be connected is closed: the other side is told by that.
        if self.pairs.len() < PAIRS
            && let Ok(outside) = connect(&self.outside)
        {
            self.pairs.push(Pair::new(client, outside, &self.token, target));
        }
    }

    fn answer_packets(&mut self) {
        let mut query = [0; dns::LONGEST + 1];
        for _ in 0..PACKETS {
            let Ok((length, from)) = self.packets.recv_from(&mut query) else { return };
            let answer = query.get(..length).and_then(|query| dns::answer(query, &mut self.names));
            if let Some(answer) = answer {
                // Who asks again is answered again.
                drop(self.packets.send_to(&answer, from));
            }
        }
    }
}

fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept() {
        Ok((stream, _)) => {
            stream.set_nonblocking(true).ok()?;
            drop(stream.set_nodelay(true));
            Some(stream)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(_) => {
            // There are no file descriptors, and it would be reported as ready at once again.
            std::thread::sleep(PAUSE);
            None
        }
    }
}

/// Never waits: where too many wait to be accepted already, there is no connection.
fn connect(address: &SocketAddrUnix) -> io::Result<UnixStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket: OwnedFd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, address)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests;
