//! Letters without case and accents, and a number for each word of them.

use std::collections::BTreeMap;

/// A small letter without its accent, where there is one in the Latin script; other letters only small.
#[inline(always)]
pub(super) fn letter(c: char) -> char {
    if c.is_ascii() { c.to_ascii_lowercase() } else { other(c) }
}

fn other(c: char) -> char {
    let small = c.to_lowercase().next().unwrap_or(c);
    match small {
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ạ' | 'ả' | 'ấ'..='ặ' => 'a',
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => 'c',
        'ď' | 'đ' | 'ð' => 'd',
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | 'ẹ'..='ệ' => 'e',
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => 'g',
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' | 'ỉ' | 'ị' => 'i',
        'ķ' => 'k',
        'ĺ' | 'ļ' | 'ľ' | 'ł' => 'l',
        'ñ' | 'ń' | 'ņ' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'ơ' | 'ọ'..='ợ' => 'o',
        'ŕ' | 'ŗ' | 'ř' => 'r',
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => 's',
        'ţ' | 'ť' | 'ț' => 't',
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'ư' | 'ụ'..='ự' => 'u',
        'ý' | 'ÿ' | 'ỳ'..='ỹ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        other => other,
    }
}

/// A number for a word, whatever its case and accents.
pub(super) fn hash(word: &str) -> u64 {
    word.chars().fold(START, |held, c| add(held, letter(c)))
}

/// What [`hash`] begins with.
pub(super) const START: u64 = 0x9E37_79B9_7F4A_7C15;

/// A number for what was read so far and one letter more.
#[inline(always)]
pub(super) fn add(held: u64, letter: char) -> u64 {
    ((held ^ u64::from(u32::from(letter))).wrapping_mul(0x2545_F491_4F6C_DD1D)).rotate_left(23)
}

/// What [`both`] mixes with.
pub(super) const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

/// A number for two numbers.
#[inline(always)]
pub(super) fn both(one: u64, other: u64) -> u64 {
    (one.rotate_left(17) ^ other).wrapping_mul(MIX)
}

/// What is known of words, by their number.
///
/// Eight bytes for each place keep the words of all lists in a cache. Of a word's number half is kept, and that is of no other
/// word but once in a thousand million times.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Twice as many places as there are words, or more; each word at its place or the next that was free. A tag of 0 is free.
    places: Vec<(u32, u32)>,
}

impl Table {
    /// All words; what is known of one word twice is joined.
    pub(super) fn of(words: impl Iterator<Item = (u64, u32)>, join: fn(u32, u32) -> u32) -> Table {
        let mut known = BTreeMap::new();
        for (hash, value) in words {
            known.entry(hash).and_modify(|held| *held = join(*held, value)).or_insert(value);
        }
        let mut table = Table { places: vec![(0, 0); (known.len() * 2).next_power_of_two()] };
        let mask = table.places.len() - 1;
        for (hash, value) in known {
            let mut place = table.place(hash);
            while let Some(slot) = table.places.get_mut(place) {
                if slot.0 == 0 {
                    *slot = (tag(hash), value);
                    break;
                }
                place = (place + 1) & mask;
            }
        }
        table
    }

    #[inline(always)]
    pub(super) fn get(&self, hash: u64) -> Option<u32> {
        let mask = self.places.len().wrapping_sub(1);
        let (mut place, tag) = (self.place(hash), tag(hash));
        while let Some((held, value)) = self.places.get(place).filter(|(held, _)| *held != 0) {
            if *held == tag {
                return Some(*value);
            }
            place = (place + 1) & mask;
        }
        None
    }

    #[expect(clippy::cast_possible_truncation, reason = "the mask is smaller")]
    #[inline(always)]
    fn place(&self, hash: u64) -> usize {
        (hash ^ (hash >> 32)) as usize & self.places.len().wrapping_sub(1)
    }
}

/// Half of a word's number; never 0.
#[inline(always)]
fn tag(hash: u64) -> u32 {
    (hash.wrapping_mul(START) >> 32) as u32 | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_accents_change_nothing() {
        for (one, other) in [("Müller", "muller"), ("ŁÓDŹ", "lodz"), ("Ångström", "angstrom"), ("Иван", "иван")]
        {
            assert_eq!(hash(one), hash(other), "{one}");
        }
        assert_ne!(hash("ab"), hash("ba"));
    }

    #[test]
    fn a_table_keeps_what_it_is_told() {
        assert_eq!(Table::default().get(7), None);
        let words = (0..1000_u32).map(|number| (u64::from(number) * 31, number));
        let table = Table::of(words.chain([(31, 10)]), |old, new| old + new);
        assert_eq!(
            (table.get(0), table.get(31), table.get(31 * 999), table.get(5)),
            (Some(0), Some(11), Some(999), None)
        );
    }
}
