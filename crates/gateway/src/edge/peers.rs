//! What the requests of clients lead to, kept from one to the next: sessions, and what stands for them.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_guard::Principal;
use bartizan_mcp::{Era, Message, meta::Meta};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::agreement;
use super::respond::{self, Early, SESSION, VERSION};
use super::sessions::{Full, Held, Sessions};
use super::target::{Servers, Target};
use crate::abilities::Abilities;
use crate::admit;
use crate::aggregate::Hub;
use crate::bridge::{self, Bridge};
use crate::front::ALL;
use crate::gateway::Gateway;
use crate::identity::Caller;
use crate::labels::Who;
use crate::link::Link;
use crate::peer::Peer;
use crate::server::Server;

/// The peers of one edge's clients.
pub(super) struct Peers {
    gateway: Arc<Gateway>,
    /// Legacy sessions by the secret that the client was given.
    legacy: Sessions<Peer>,
    /// What stands for a session in the stateless era, by server, principal, address and client.
    stateless: Sessions<Peer>,
}

/// A client claims its session right after it began, as the protocol has it; one that does not has this long.
const UNCLAIMED: Duration = Duration::from_secs(60);

/// How often a session is chosen that makes room, as long as others are faster.
const CHOICES: usize = 64;

impl Peers {
    /// None yet; at most as many of each era, and each is forgotten when it was idle for so long.
    pub(super) fn new(gateway: &Arc<Gateway>, most: usize, idle: Duration) -> Peers {
        Peers {
            gateway: Arc::clone(gateway),
            legacy: Sessions::new(most, idle, UNCLAIMED),
            // Nothing claims these, as each is found by what a request says anyway.
            stateless: Sessions::new(most, idle, idle),
        }
    }

    /// The legacy session that a request claims, with the key that it is kept under. One that was begun at another
    /// path is unknown here: whoever decides by the path must not be led to another server by a session id.
    pub(super) fn legacy(
        &self,
        target: &Target<'_>,
        headers: &HeaderMap,
        principal: &Principal,
    ) -> Result<(String, Arc<Held<Peer>>), Early> {
        let Some(key) = headers.get(SESSION).and_then(|value| value.to_str().ok()) else {
            return Err(respond::refused(
                StatusCode::BAD_REQUEST,
                "edge.session",
                "no Mcp-Session-Id header; initialize first\n",
            ));
        };
        if headers.get(VERSION).is_some_and(|version| agreement::revision(version).is_none()) {
            return Err(respond::refused(
                StatusCode::BAD_REQUEST,
                "edge.revision",
                "unsupported MCP-Protocol-Version\n",
            ));
        }
        let key = target.slot(key);
        let held = self.legacy.find(&key, principal);
        held.map(|held| (key, held)).ok_or_else(no_session)
    }

    /// The same, if its server has not ended since.
    pub(super) fn living(
        &self,
        target: &Target<'_>,
        headers: &HeaderMap,
        principal: &Principal,
    ) -> Result<(String, Arc<Held<Peer>>), Early> {
        let (key, held) = self.legacy(target, headers, principal)?;
        if has_ended(&self.legacy, &key, &held) { Err(no_session()) } else { Ok((key, held)) }
    }

    /// What stands for a session of a stateless request, with the key that it is kept under. A name is no secret, so
    /// somebody at another address has nothing of it.
    pub(super) async fn stateless(
        &self,
        target: &Target<'_>,
        principal: &Principal,
        from: IpAddr,
        message: &Message,
    ) -> Result<(String, Arc<Held<Peer>>), Early> {
        let client = client_name(message);
        let able = Abilities::declared(message).unwrap_or_default().index();
        // The name is whatever the client says, the address is not: from elsewhere nobody uses up what is this client's.
        let Principal { id, roles, groups, tenant, signed_in, scopes } = principal;
        let roles = format!("{roles:?} {groups:?} {tenant:?} {signed_in:?}");
        let mut key =
            target.slot(&format!("{}\n{id}\n{roles}\n{scopes}\n{from}\n{able}\n{client}", target.generation()));
        if target.bridges() {
            // A legacy server is told once what the client can do.
            key.push_str(&bridge::abilities(message));
        }
        if let Some(held) = self.stateless.find(&key, principal)
            && !has_ended(&self.stateless, &key, &held)
        {
            return Ok((key, held));
        }
        let peer = Box::pin(self.connect(target, Era::Stateless, (principal, from), &key, message)).await?;
        let held = self.keep(&self.stateless, &key, (principal.clone(), from), peer)?;
        Ok((key, held))
    }

    /// Records with which credentials a session is used, each once: entries of its messages
    /// say whose they are and in which session.
    pub(super) fn note_credential(&self, era: Era, (key, held): (&str, &Held<Peer>), caller: &Caller, from: IpAddr) {
        let Some(credential) = &caller.credential else { return };
        if held.is_shown_anew(credential) {
            let claimed = key.split_once('\n').filter(|_| era == Era::Legacy).map_or(key, |(_, claimed)| claimed);
            let (session, principal, key) = (name_of(claimed), &caller.principal.id, credential.to_string());
            let mut fields = json!({"session": session, "principal": principal, "key": key, "from": from.to_string()});
            if let Some(fields) = fields.as_object_mut() {
                fields.extend(brought(&caller.principal));
            }
            // If the log cannot be written, nothing of the session passes either.
            self.gateway.recorder.note("access.shown", &fields).ok();
        }
    }

    /// Opens a way to what `asked` is for.
    pub(super) async fn connect(
        &self,
        target: &Target<'_>,
        era: Era,
        (principal, from): (&Principal, IpAddr),
        key: &str,
        asked: &Message,
    ) -> Result<Peer, Early> {
        let name = name_of(key);
        let gateway = &self.gateway;
        let client = client_name(asked);
        let who = match era {
            Era::Legacy => Who::Calls(principal, from, &client),
            // Not by the key: what else a request says of its client may be another thing in each.
            Era::Stateless => Who::Asks(principal, from, &client, target.name()),
        };
        // Held until the peer holds it.
        let _conversation = gateway.begin(&name, who);
        match target {
            Target::All(current) => {
                let within = within(&current.by_name, principal);
                Ok(Peer::All(Hub::new(gateway, &within, principal, &name, era)))
            }
            Target::One(_, server) => {
                let unreachable = |refusal: admit::Refusal| {
                    Box::new(respond::message(StatusCode::BAD_GATEWAY, &refusal.answer(asked.id(), None)))
                };
                if let Some(bridge) =
                    Bridge::open(gateway, server, principal, (&name, era), asked.into()).await.map_err(unreachable)?
                {
                    return Ok(Peer::Bridged(bridge));
                }
                let link = Link::connect(gateway, server, principal, name, asked.into()).await;
                link.map(|link| Peer::One(Arc::new(link))).map_err(unreachable)
            }
        }
    }

    /// Keeps a legacy session under `key` from now on.
    pub(super) fn begin(&self, key: &str, of: (Principal, IpAddr), peer: Peer) -> Result<(), Early> {
        self.keep(&self.legacy, key, of, peer).map(drop)
    }

    fn keep(
        &self,
        sessions: &Sessions<Peer>,
        key: &str,
        (principal, from): (Principal, IpAddr),
        peer: Peer,
    ) -> Result<Arc<Held<Peer>>, Early> {
        let kept = sessions.insert(key, principal, from, peer).map(|(held, evicted)| {
            evicted.into_iter().for_each(|old| drop(part(old)));
            held
        });
        kept.map_err(|Full| respond::refused(StatusCode::SERVICE_UNAVAILABLE, "edge.sessions", "too many sessions\n"))
    }

    /// Forgets a legacy session.
    pub(super) fn remove(&self, key: &str) {
        self.legacy.remove(key);
    }

    /// Forgets what stood for a session of the stateless era.
    pub(super) fn remove_stateless(&self, key: &str, held: &Arc<Held<Peer>>) {
        self.stateless.remove_this(key, held);
    }

    /// Has what stands for sessions of the stateless era forgotten: it leads to servers that are no longer in force.
    pub(super) fn retire(&self) {
        self.stateless.retire();
    }

    /// Ends the session that is missed least of those that have a process of this server; whether there is one.
    pub(super) fn make_room(&self, server: &Server) -> bool {
        let has_process = |peer: &Peer| peer.links().iter().any(|link| std::ptr::eq(&raw const *link.server, server));
        let of = |sessions: &'_ Sessions<Peer>| sessions.least_missed([&server.name, ALL], has_process);
        // Somebody else may come to use the one that was chosen, or end it for a process of theirs: then it is another.
        for _ in 0..CHOICES {
            let evicted = match (of(&self.stateless), of(&self.legacy)) {
                (Some((rank, key)), Some((other, _))) if rank <= other => self.stateless.remove_unused(&key),
                (_, Some((_, key))) => self.legacy.remove_unused(&key),
                (Some((_, key)), None) => self.stateless.remove_unused(&key),
                (None, None) => return false,
            };
            if let Some(evicted) = evicted {
                part(evicted);
                return true;
            }
        }
        false
    }

    /// Ends sessions that nobody uses any more; their servers take as long as they take.
    pub(super) fn expire(&self) {
        for held in self.legacy.expire().into_iter().chain(self.stateless.expire()) {
            part(held);
        }
    }

    /// All of them, which are kept no longer.
    pub(super) fn drain(&self) -> impl Iterator<Item = Arc<Held<Peer>>> + use<> {
        self.legacy.drain().into_iter().chain(self.stateless.drain())
    }

    /// How many there are, which is counted when somebody asks: a session ends in many ways.
    pub(super) fn count(&self) -> usize {
        self.legacy.len() + self.stateless.len()
    }
}

/// What a client calls itself, as far as it is looked at.
fn client_name(asked: &Message) -> String {
    let info = Meta::of(asked).client_info().or_else(|| asked.params()?.get("clientInfo"));
    let name = info.and_then(|info| info.get("name")).map(|name| name.text());
    name.as_deref().unwrap_or_default().chars().take(64).collect()
}

/// By what else than their name somebody is judged: what the credential brought, of which a token may have any number.
fn brought(principal: &Principal) -> Map<String, Value> {
    const MANY: usize = 32;
    let names = |all: &[Box<str>]| all.iter().take(MANY).map(|name| cut(name)).collect::<Vec<_>>();
    let left_out =
        [&principal.roles, &principal.groups].map(|all| all.len().saturating_sub(MANY)).iter().sum::<usize>();
    let tenant = principal.tenant.as_deref().map(cut);
    let fields = [
        ("roles", json!(names(&principal.roles))),
        ("groups", json!(names(&principal.groups))),
        ("tenant", json!(tenant)),
        ("left_out", json!(left_out)),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// A name as far as the log has it: nothing else is meant by one that ends with `…`.
fn cut(name: &str) -> String {
    const LONGEST: usize = 128;
    let mut characters = name.chars();
    let mut short: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}

/// The servers at which a principal's credential is good for anything.
fn within<'a>(all: &'a Servers, principal: &Principal) -> Cow<'a, Servers> {
    if principal.scopes.are_all() {
        return Cow::Borrowed(all);
    }
    let reached = all.iter().filter(|(name, _)| principal.scopes.reach(name));
    Cow::Owned(reached.map(|(name, server)| (Arc::clone(name), Arc::clone(server))).collect())
}

/// Whether nothing comes of a session any more because its server has ended. It is no longer kept then: what is
/// begun in its place has a new one.
fn has_ended(sessions: &Sessions<Peer>, key: &str, held: &Arc<Held<Peer>>) -> bool {
    let ended = held.value.has_ended();
    if ended {
        sessions.remove_this(key, held);
        part(Arc::clone(held));
    }
    ended
}

/// Ends a session. In a task of its own: whoever waits for it may go away, and nobody else would end it then.
pub(super) fn part(held: Arc<Held<Peer>>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { held.value.end().await })
}

/// What a session is called in records, which must not hold what it can be claimed with.
fn name_of(key: &str) -> String {
    blake3::hash(key.as_bytes()).to_hex().chars().take(16).collect()
}

fn no_session() -> Early {
    respond::refused(StatusCode::NOT_FOUND, "edge.session", "no such session; initialize again\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_credential_brought_is_recorded_within_bounds() {
        let names = |many: usize| (0..many).map(|number| format!("name-{number:03}").into()).collect::<Vec<Box<str>>>();
        let of = |roles: Vec<Box<str>>, groups: Vec<Box<str>>, tenant: Option<&str>| {
            let (roles, groups, tenant) = (roles.into(), groups.into(), tenant.map(Into::into));
            Value::from(brought(&Principal { roles, groups, tenant, ..Principal::new("ann") }))
        };
        let few = of(names(1), vec!["staff".into()], Some("t1"));
        assert_eq!(few, json!({"roles": ["name-000"], "groups": ["staff"], "tenant": "t1", "left_out": 0}));
        assert_eq!(of(Vec::new(), Vec::new(), None), json!({"roles": [], "groups": [], "tenant": null, "left_out": 0}));
        let many = of(names(40), names(33), Some(&"é".repeat(255)));
        assert_eq!((many["roles"].as_array().unwrap().len(), &many["left_out"]), (32, &json!(9)));
        assert_eq!(many["tenant"].as_str().unwrap().chars().count(), 129);
    }
}
