//! Which server has what, within a bound.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_mcp::Value;

/// What stands for an id or a token: they are the client's, and may be much longer.
pub(crate) type Brief = [u8; 32];

pub(crate) fn brief(text: &str) -> Brief {
    *blake3::hash(text.as_bytes()).as_bytes()
}

/// The same for a progress token, however it is written: `7` and `7.0` are one number, `"a"` and `"\u0061"` one text.
pub(crate) fn token_brief(token: Value<'_>) -> Brief {
    match token.as_str() {
        Some(text) => brief(&format!("text {text}")),
        None => match token.raw().parse::<f64>() {
            Ok(number) => brief(&format!("number {number}")),
            Err(_) => brief(token.raw()),
        },
    }
}

/// The owners of keys; of too many of one server its oldest is forgotten, and no other's.
pub(crate) struct Places<K> {
    held: Mutex<Held<K>>,
    /// Of each server.
    most: usize,
}

struct Held<K> {
    owners: HashMap<K, Arc<str>>,
    /// Each server's, in the order in which they were put first.
    order: HashMap<Arc<str>, VecDeque<K>>,
}

impl<K: Hash + Eq + Clone> Places<K> {
    pub(crate) fn new(most: usize) -> Self {
        Places { held: Mutex::new(Held { owners: HashMap::new(), order: HashMap::new() }), most }
    }

    pub(crate) fn put(&self, key: K, server: &Arc<str>) {
        let mut held = self.lock();
        let held = &mut *held;
        if let Some(before) = held.owners.insert(key.clone(), Arc::clone(server)) {
            if before == *server {
                return;
            }
            if let Some(order) = held.order.get_mut(&before) {
                order.retain(|other| *other != key);
            }
        }
        let order = held.order.entry(Arc::clone(server)).or_default();
        order.push_back(key);
        if order.len() > self.most
            && let Some(oldest) = order.pop_front()
        {
            held.owners.remove(&oldest);
        }
    }

    /// The same, unless another has it; whether it is this one's now.
    pub(crate) fn claim(&self, key: K, server: &Arc<str>) -> bool {
        match self.get(&key) {
            Some(owner) => owner == *server,
            None => {
                self.put(key, server);
                true
            }
        }
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<Arc<str>>
    where
        K: Borrow<Q>,
    {
        self.lock().owners.get(key).cloned()
    }

    /// The first server by name that has a key which fits. Names are the operator's; what a server makes up, such as how
    /// closely something fits, must not take anything from another.
    pub(crate) fn first(&self, fits: impl Fn(&K) -> bool) -> Option<Arc<str>> {
        let held = self.lock();
        let fitting = held.owners.iter().filter(|(key, _)| fits(key));
        fitting.map(|(_, server)| server).min().cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held<K>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a URI may be of a template, as far as that is fixed at its ends. One that leaves the scheme open would be for
/// everything that nobody lists.
pub(crate) fn fits(template: &str, uri: &str) -> bool {
    let ends = || {
        let (head, rest) = template.split_once('{')?;
        let (_, tail) = rest.rsplit_once('}')?;
        Some((head, tail))
    };
    ends().is_some_and(|(head, tail)| {
        head.contains(':') && uri.strip_prefix(head).is_some_and(|middle| middle.ends_with(tail))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_it_means() {
        let brief_of = |token: &str| {
            let json = format!(r#"{{"jsonrpc":"2.0","method":"m","params":{{"t":{token}}}}}"#);
            let message = bartizan_mcp::Message::parse(json, &bartizan_mcp::Limits::default()).unwrap();
            token_brief(message.params().unwrap().get("t").unwrap())
        };
        for (one, other) in [("7", "7.0"), ("7", "70e-1"), (r#""ab""#, r#""\u0061b""#)] {
            assert_eq!(brief_of(one), brief_of(other), "{one} {other}");
        }
        for (one, other) in [("7", "8"), ("7", r#""7""#), (r#""a""#, r#""A""#)] {
            assert_ne!(brief_of(one), brief_of(other), "{one} {other}");
        }
    }

    #[test]
    fn a_servers_oldest_is_forgotten_and_the_first_is_found() {
        let places = Places::new(2);
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        places.put("one", &b);
        places.put("two", &a);
        places.put("two", &b);
        assert!(!places.claim("two", &a) && places.claim("two", &b));
        assert_eq!((places.get("one"), places.get("two")), (Some(Arc::clone(&b)), Some(Arc::clone(&b))));
        for key in ["w", "x", "three", "y"] {
            assert!(places.claim(key, &a));
        }
        assert_eq!((places.get("one"), places.get("x")), (Some(Arc::clone(&b)), None), "each loses its own");
        places.put("four", &b);
        assert_eq!((places.get("one"), places.get("three")), (None, Some(Arc::clone(&a))));
        assert_eq!(places.first(|key| key.starts_with('t')), Some(Arc::clone(&a)));
        assert_eq!(places.first(|key| *key == "two"), Some(b));
        assert_eq!(places.first(|_| false), None);
    }

    #[test]
    fn a_template_fits_by_its_fixed_ends() {
        let cases = [
            ("a://{x}", "a://1", true),
            ("a://{x}/b", "a://1/b", true),
            ("a://{x}/b", "a://1/c", false),
            ("a://{x}/m/{y}/b", "a://1/m/2/b", true),
            ("a://{x}", "b://1", false),
            ("a://x", "a://x", false),
            ("{+all}", "c://1", false),
            ("c{+all}", "c://1", false),
            ("}a:{", "}a:", false),
            // The ends must not overlap.
            ("a:ba{x}a:ba", "a:ba:ba", false),
        ];
        for (template, uri, expected) in cases {
            assert_eq!(fits(template, uri), expected, "{template} {uri}");
        }
    }
}
