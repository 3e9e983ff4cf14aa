//! Letters without case and accents, and a number for each word of them.

/// A small letter without its accent, where there is one in the Latin script; other letters only small.
pub(super) fn letter(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
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

/// A number for two numbers.
#[inline(always)]
pub(super) fn both(one: u64, other: u64) -> u64 {
    (one.rotate_left(17) ^ other).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// What is known of words, by their number.
#[derive(Debug, Default)]
pub(super) struct Table<T> {
    /// Twice as many places as there are words, or more; each word at its place or the next that was free.
    places: Vec<Option<(u64, T)>>,
    held: usize,
}

impl<T: Copy> Table<T> {
    pub(super) fn get(&self, hash: u64) -> Option<T> {
        let mask = self.places.len().wrapping_sub(1);
        let mut place = self.place(hash);
        while let Some(Some((held, value))) = self.places.get(place) {
            if *held == hash {
                return Some(*value);
            }
            place = (place + 1) & mask;
        }
        None
    }

    /// Adds a word, or what else is known of it.
    pub(super) fn add(&mut self, hash: u64, value: T, join: fn(T, T) -> T) {
        if (self.held + 1) * 2 > self.places.len() {
            let more = (self.places.len() * 2).max(16);
            let old = std::mem::replace(&mut self.places, vec![None; more]);
            self.held = 0;
            for (hash, value) in old.into_iter().flatten() {
                self.add(hash, value, |_, new| new);
            }
        }
        let mask = self.places.len().wrapping_sub(1);
        let mut place = self.place(hash);
        while let Some(slot) = self.places.get_mut(place) {
            match slot {
                None => {
                    *slot = Some((hash, value));
                    self.held += 1;
                    return;
                }
                Some((held, old)) if *held == hash => {
                    *old = join(*old, value);
                    return;
                }
                Some(_) => place = (place + 1) & mask,
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the mask is smaller")]
    fn place(&self, hash: u64) -> usize {
        (hash ^ (hash >> 32)) as usize & self.places.len().wrapping_sub(1)
    }
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
        let mut table = Table::default();
        assert_eq!(table.get(7), None);
        for number in 0..1000_u64 {
            table.add(number * 31, number, |old, new| old + new);
        }
        table.add(31, 10, |old, new| old + new);
        assert_eq!(
            (table.get(0), table.get(31), table.get(31 * 999), table.get(5)),
            (Some(0), Some(11), Some(999), None)
        );
    }
}
