//! Which name each address of 127.1.0.0/16 stands for.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Names that have an address. No more are given one: to give an address to another name would lead those astray who still use it.
pub(super) const CAPACITY: usize = 16 * 1024;

const FIRST: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);

/// Names and the addresses that stand for them, each for good.
#[derive(Debug, Default)]
pub struct Names {
    places: HashMap<Arc<str>, usize>,
    names: Vec<Arc<str>>,
}

impl Names {
    /// The address that stands for a name; none if it is new and there are too many.
    pub(super) fn address_of(&mut self, name: &str) -> Option<Ipv4Addr> {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None if self.names.len() >= CAPACITY => return None,
            None => {
                let name: Arc<str> = name.into();
                self.places.insert(Arc::clone(&name), self.names.len());
                self.names.push(name);
                self.names.len() - 1
            }
        };
        Some(Ipv4Addr::from_bits(FIRST.to_bits() + u32::try_from(place).ok()?))
    }

    /// The name that an address stands for.
    pub(super) fn name_of(&self, address: Ipv4Addr) -> Option<&str> {
        let place = address.to_bits().checked_sub(FIRST.to_bits())?;
        self.names.get(usize::try_from(place).ok()?).map(|name| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_address_and_there_is_an_end_of_them() {
        let mut names = Names::default();
        let first = names.address_of("a.example").unwrap();
        assert_eq!(first, Ipv4Addr::new(127, 1, 0, 1));
        for number in 1..CAPACITY {
            let address = names.address_of(&format!("{number}.example")).unwrap();
            assert_eq!(address.octets()[..2], [127, 1]);
            assert_eq!(names.name_of(address), Some(&*format!("{number}.example")));
        }
        assert_eq!(names.address_of("one.more.example"), None);
        assert_eq!((names.address_of("a.example"), names.name_of(first)), (Some(first), Some("a.example")));
        for nobody in ["127.0.0.1", "127.1.0.0", "127.1.200.1", "255.255.255.255", "0.0.0.0"] {
            assert_eq!(names.name_of(nobody.parse().unwrap()), None, "{nobody}");
        }
    }
}
