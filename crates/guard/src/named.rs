//! Maps from the kind and the name of a definition, which are asked many times for each message: without a copy of the name.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::DefinitionKind;

/// By kind and name, in that order.
pub(crate) type ByName<T> = BTreeMap<(DefinitionKind, Box<str>), T>;

/// What is kept of a definition.
pub(crate) fn get<'a, T>(map: &'a ByName<T>, kind: DefinitionKind, name: &str) -> Option<&'a T> {
    map.get(&(kind, name) as &dyn Key)
}

/// A kind and a name, whoever has the name.
trait Key {
    fn key(&self) -> (DefinitionKind, &str);
}

impl Key for (DefinitionKind, Box<str>) {
    fn key(&self) -> (DefinitionKind, &str) {
        (self.0, &self.1)
    }
}

impl Key for (DefinitionKind, &str) {
    fn key(&self) -> (DefinitionKind, &str) {
        *self
    }
}

/// Ordered as the pair is: a map relies on that.
impl<'a> Borrow<dyn Key + 'a> for (DefinitionKind, Box<str>) {
    fn borrow(&self) -> &(dyn Key + 'a) {
        self
    }
}

impl Ord for dyn Key + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for dyn Key + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Key + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for dyn Key + '_ {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_found_and_nothing_else() {
        let names = ["", "a", "ab", "b", "\u{e4}"];
        let mut map = ByName::new();
        for kind in DefinitionKind::ALL {
            for name in names {
                assert_eq!(get(&map, kind, name), None);
                map.insert((kind, name.into()), (kind, name));
            }
        }
        for kind in DefinitionKind::ALL {
            for name in names {
                assert_eq!(get(&map, kind, name), Some(&(kind, name)));
            }
            assert_eq!(get(&map, kind, "c"), None);
        }
    }
}
