//! What a confined program may reach, and how much of it.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor, value::MapAccessDeserializer};

use super::reach;
use crate::problems::Problems;
use crate::tls::HAS_TLS;
use crate::tree::Place;
use crate::units::Size;

/// What a program can reach.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NetTable {
    /// Whether it is in the network of the machine, and reaches all that the machine reaches, the machine itself included.
    /// Otherwise it reaches nothing but itself and what `allow` names.
    pub(crate) host: bool,
    /// What it can reach: `api.example.com:443`, `*.example.com:443` for all hosts below, `203.0.113.7:443` or `10.0.0.0/8:5432`; or a table
    /// with some requests only. Everything else is refused, and all of it is recorded.
    pub(crate) allow: Vec<Entry>,
    /// Whether hosts that it asks for and `allow` does not name are refused by the proxy, and so recorded and said, also where
    /// `allow` names none. Otherwise there is no network then that it could ask in.
    pub(crate) report: bool,
    /// Ranges of private addresses that the names in `allow` may lead to, such as `10.0.0.0/8`; otherwise only public ones.
    pub(crate) private: Vec<String>,
    /// How much it may do there, since it was started.
    pub(crate) limits: NetLimitsTable,
}

/// One of the hosts: all requests to it if it is a text.
#[derive(Debug)]
pub(crate) struct Entry(AllowTable);

/// A host, and the requests that may be made there. Several tables for one host allow what each of them does.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AllowTable {
    /// The host and the port, as where no table is.
    host: String,
    /// Methods, such as `GET`; every one if it is left out.
    #[serde(default)]
    methods: Option<Vec<String>>,
    /// What their paths are, or lie below, such as `/repos/acme`; every one if it is left out.
    #[serde(default)]
    paths: Option<Vec<String>>,
}

impl JsonSchema for Entry {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Entry".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, generator.subschema_for::<AllowTable>()]})
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By hand, as an untagged enum would forget where in the file an error is.
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a host and a port such as \"api.example.com:443\", or a table with `host`, `methods` and `paths`",
                )
            }

            fn visit_str<E: Error>(self, host: &str) -> Result<Entry, E> {
                Ok(Entry(AllowTable { host: host.to_owned(), ..AllowTable::default() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                AllowTable::deserialize(MapAccessDeserializer::new(map)).map(Entry)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// How much a program may do over the network.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NetLimitsTable {
    /// Connections at once.
    #[schemars(range(min = 1))]
    connections: usize,
    /// New connections within any minute.
    #[schemars(range(min = 1))]
    connections_per_minute: u32,
    /// What one connection may send.
    sent: Size,
    /// What one connection may receive.
    received: Size,
    /// What all connections together may send; unlimited unless set.
    sent_in_all: Option<Size>,
    /// What all connections together may receive; unlimited unless set.
    received_in_all: Option<Size>,
}

impl Default for NetLimitsTable {
    fn default() -> Self {
        NetLimitsTable {
            connections: 64,
            connections_per_minute: 600,
            sent: Size(1 << 30),
            received: Size(4 << 30),
            sent_in_all: None,
            received_in_all: None,
        }
    }
}

/// A host that a program reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reachable {
    /// The host and the port.
    pub host: String,
    /// The methods of the requests that may be made there; any if none is named.
    pub methods: Vec<String>,
    /// What the paths of these requests are, or lie below; any if none is named.
    pub paths: Vec<String>,
}

impl Reachable {
    /// All of a host at a port.
    pub(crate) fn whole(host: &str) -> Self {
        Reachable { host: host.to_owned(), methods: Vec::new(), paths: Vec::new() }
    }

    /// Whether only some requests may be made there, which have to be seen.
    #[must_use]
    pub fn is_narrowed(&self) -> bool {
        !(self.methods.is_empty() && self.paths.is_empty())
    }
}

impl fmt::Display for Reachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        match (&*self.methods, &*self.paths) {
            ([], []) => Ok(()),
            (methods, []) => write!(f, " ({})", methods.join(", ")),
            ([], paths) => write!(f, " ({})", paths.join(", ")),
            (methods, paths) => write!(f, " ({} {})", methods.join(", "), paths.join(", ")),
        }
    }
}

/// How much a program may do over the network since it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetLimits {
    /// Connections at once.
    pub connections: usize,
    /// New connections within any minute.
    pub connections_per_minute: u32,
    /// Bytes that one connection may send.
    pub sent: u64,
    /// Bytes that one connection may receive.
    pub received: u64,
    /// Bytes that all connections may send.
    pub sent_in_all: Option<u64>,
    /// Bytes that all connections may receive.
    pub received_in_all: Option<u64>,
}

impl Default for NetLimits {
    fn default() -> Self {
        NetLimitsTable::default().checked()
    }
}

impl NetLimitsTable {
    fn checked(&self) -> NetLimits {
        NetLimits {
            connections: self.connections,
            connections_per_minute: self.connections_per_minute,
            sent: self.sent.0,
            received: self.received.0,
            sent_in_all: self.sent_in_all.map(|size| size.0),
            received_in_all: self.received_in_all.map(|size| size.0),
        }
    }
}

/// The hosts and limits of a checked table.
pub(super) fn net(
    net: &NetTable,
    place: impl Fn(&[&str]) -> Place,
    is_written: impl Fn(&[&str]) -> bool,
    problems: &mut Problems,
) -> (Vec<Reachable>, NetLimits) {
    check_host(net, &place, problems);
    if net.host && is_written(&["net", "limits"]) {
        problems.error(place(&["net", "limits"]), "nothing limits a program that `host` gives the whole network");
    }
    let limits = net.limits.checked();
    let numbers = [
        ("connections", limits.connections as u64),
        ("connections_per_minute", limits.connections_per_minute.into()),
        ("sent", limits.sent),
        ("received", limits.received),
        ("sent_in_all", limits.sent_in_all.unwrap_or(1)),
        ("received_in_all", limits.received_in_all.unwrap_or(1)),
    ];
    for (key, _) in numbers.into_iter().filter(|(_, number)| *number == 0) {
        problems
            .error(place(&["net", "limits", key]), format!("`{key}` is nothing at all"))
            .help("a program that is to reach nothing has no `net.allow`");
    }
    for (index, Entry(entry)) in net.allow.iter().enumerate() {
        for (key, list) in [("methods", &entry.methods), ("paths", &entry.paths)] {
            if list.as_ref().is_some_and(Vec::is_empty) {
                problems
                    .error(place(&["net", "allow", &index.to_string(), key]), format!("`{key}` names none"))
                    .help("leave it out for all, or leave out the host");
            }
        }
    }
    let reachable = |Entry(entry): &Entry| Reachable {
        host: entry.host.clone(),
        methods: entry.methods.clone().unwrap_or_default(),
        paths: entry.paths.clone().unwrap_or_default(),
    };
    let hosts: Vec<_> = net.allow.iter().map(reachable).collect();
    reach::check(&hosts, &net.private, place, problems);
    (hosts, limits)
}

/// Refuses what means nothing beside the whole network, or without any.
fn check_host(net: &NetTable, place: impl Fn(&[&str]) -> Place, problems: &mut Problems) {
    if net.host && !net.allow.is_empty() {
        problems
            .error(place(&["net", "allow"]), "`allow` means nothing where `host` gives the program the whole network")
            .help("leave `host` out");
    }
    if !net.private.is_empty() && net.allow.is_empty() {
        problems
            .error(place(&["net", "private"]), "`private` says where names of `allow` may lead, and there are none");
    }
    if !HAS_TLS && !net.allow.is_empty() {
        problems
            .error(place(&["net", "allow"]), "this bartizan is built without TLS, and cannot tell what passes")
            .help("use one that is built with the feature `tls`, as released ones are");
    }
}
