//! How often somebody may be wrong.
//!
//! **Threat.** Somebody tries passwords and one-time passwords, from one address or from many, for one person or for all; or
//! is wrong on purpose, so that somebody else cannot sign in. So an attempt counts before it is looked at, for the address and
//! for the person, and who has been wrong too often waits, longer each time. For a person that is a minute at most; and a
//! browser in which that person has signed in before is counted by itself, so that nobody else makes them wait there.

use std::net::IpAddr;

use bartizan_guard::Timestamp;

use super::trouble::Trouble;
use crate::address;
use crate::attempts::{Attempts, SECOND};

/// Attempts that were wrong, by whom they are counted for.
pub(super) struct Guesses {
    addresses: Attempts<IpAddr>,
    people: Attempts<String>,
    browsers: Attempts<(String, [u8; 32])>,
}

impl Default for Guesses {
    fn default() -> Self {
        Guesses {
            // Behind one address there may be many people.
            addresses: Attempts::new(20, 15 * 60 * SECOND),
            people: Attempts::new(10, 60 * SECOND),
            browsers: Attempts::new(10, 15 * 60 * SECOND),
        }
    }
}

/// An attempt that is being looked at.
pub(super) struct Guess<'a> {
    all: &'a Guesses,
    from: IpAddr,
    name: String,
    browser: Option<[u8; 32]>,
}

impl Guesses {
    /// Counts an attempt for a name; `browser` stands for one in which that person has signed in before.
    pub(super) fn begin(
        &self,
        (from, name, browser): (IpAddr, &str, Option<[u8; 32]>),
        now: Timestamp,
    ) -> Result<Guess<'_>, Trouble> {
        let guess = Guess { all: self, from: address::block(from), name: name.to_ascii_lowercase(), browser };
        match guess.browser {
            // Nor do others make them wait who come from the same address, as all do behind a proxy.
            Some(browser) => self.browsers.attempt((guess.name.clone(), browser), now).map_err(Trouble::Wait)?,
            None => {
                self.addresses.attempt(guess.from, now).map_err(Trouble::Wait)?;
                self.people.attempt(guess.name.clone(), now).map_err(Trouble::Wait)?;
            }
        }
        Ok(guess)
    }
}

impl Guess<'_> {
    /// Nobody looked at it: it counts for the address, which should not ask so often, but not for the person.
    pub(super) fn unseen(self) {
        if self.browser.is_none() {
            self.all.people.take_back(&self.name);
        }
    }

    /// It was right. The address is no better for it than before: whoever has a name and a password of their own could make
    /// up for any number of wrong ones.
    pub(super) fn right(self) {
        match self.browser {
            Some(browser) => self.all.browsers.forget(&(self.name, browser)),
            None => {
                self.all.addresses.take_back(&self.from);
                self.all.people.forget(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempts::MANY;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * SECOND)
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// How long an attempt that is wrong has to wait.
    fn wrong(guesses: &Guesses, whom: (IpAddr, &str, Option<[u8; 32]>), second: i64) -> u64 {
        match guesses.begin(whom, at(second)) {
            Ok(_) => 0,
            Err(Trouble::Wait(seconds)) => seconds,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_person_is_guessed_from_many_addresses_once_a_minute_at_most() {
        let guesses = Guesses::default();
        let tried = (0..3_600_i64)
            .filter(|second| wrong(&guesses, (address((second % 250) as u8), "ann", None), *second) == 0)
            .count();
        assert!((60..90).contains(&tried), "{tried} attempts in an hour");
        assert!(wrong(&guesses, (address(251), "ANN", None), 3_600) > 0, "however it is written");
        assert_eq!(wrong(&guesses, (address(251), "bea", None), 3_600), 0, "others have nothing to do with it");
        // Who attacks does not keep the person out of a browser that is known.
        assert_eq!(wrong(&guesses, (address(252), "ann", Some([1; 32])), 3_600), 0);
        assert!(wrong(&guesses, (address(251), "ann", None), 3_600) <= 60);
    }

    #[test]
    fn an_address_waits_longer_each_time_and_is_no_better_for_a_password_of_its_own() {
        let guesses = Guesses::default();
        let mut tried = 0;
        for second in 0..3_600 {
            let name = format!("name{second}");
            tried += i32::from(wrong(&guesses, (address(1), &name, None), second) == 0);
            if let Ok(own) = guesses.begin((address(1), "mallory", None), at(second)) {
                own.right();
            }
        }
        assert!(tried <= 35, "{tried} wrong attempts in an hour");
        assert_eq!(wrong(&guesses, (address(2), "name1", None), 3_600), 0);
        assert_eq!(wrong(&guesses, (address(1), "ann", Some([1; 32])), 3_600), 0, "but for browsers that are known");
        assert_eq!(wrong(&guesses, (address(1), "name1", None), 3_600 + 901), 0, "in the end all is forgotten");
    }

    #[test]
    fn who_is_right_starts_anew() {
        let guesses = Guesses::default();
        (0..9).for_each(|_| assert_eq!(wrong(&guesses, (address(1), "ann", None), 0), 0));
        guesses.begin((address(2), "ann", None), at(0)).unwrap().right();
        (0..10).for_each(|_| assert_eq!(wrong(&guesses, (address(1), "ann", None), 0), 0));
        assert!(wrong(&guesses, (address(3), "ann", None), 0) > 0);
    }

    #[test]
    fn no_flood_of_names_takes_all_memory_nor_makes_forgotten_who_was_wrong_more_often() {
        let attempts = Attempts::new(10, 60 * SECOND);
        (0..10).for_each(|_| attempts.attempt("ann".to_owned(), at(0)).unwrap());
        for number in 0..3 * MANY {
            attempts.attempt(format!("name{number}"), at(1)).unwrap();
        }
        assert!(attempts.len() <= MANY);
        assert!(attempts.attempt("ann".to_owned(), at(0)).is_err(), "ten more guesses");
        attempts.attempt("bea".to_owned(), at(1)).unwrap();
    }

    #[test]
    fn what_nobody_looked_at_is_no_guess() {
        let guesses = Guesses::default();
        for number in 0..40 {
            guesses.begin((address(number), "ann", None), at(0)).unwrap_or_else(|_| panic!("at {number}")).unseen();
        }
        assert_eq!(wrong(&guesses, (address(99), "ann", None), 0), 0);
    }
}
