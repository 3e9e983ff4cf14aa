//! What a tool was approved to do with information, in words. What they mean is nothing to the lock file, but there are no others.

use serde::{Deserialize, Serialize};

/// A set of such words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Labels(u8);

impl Labels {
    /// Each word, in the order in which they are written, with the letter that stands for it in the list of what waits.
    pub const WORDS: [(char, &'static str); 7] = [
        ('u', "untrusted_content"),
        ('p', "private_data"),
        ('s', "public_sink"),
        ('d', "destructive"),
        ('r', "reads"),
        ('a', "if_addressed"),
        ('h', "by_hint"),
    ];

    /// These words.
    ///
    /// # Errors
    /// The first that is none of them.
    pub fn of<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Labels, &'w str> {
        words.into_iter().try_fold(Labels(0), |held, word| held.and(|(_, known)| *known == word).ok_or(word))
    }

    /// Its words, in their order.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        self.held().map(|(_, word)| word)
    }

    /// What of these counts besides: the first four words, which only make it stricter.
    fn stricter(self) -> Labels {
        Labels(self.0 & 0b1111)
    }

    /// What an operator has added to what it was taken for, and what they have taken away.
    #[must_use]
    pub fn differ_from(self, taken_for: Labels) -> (Labels, Labels) {
        (Labels(self.0 & !taken_for.0).stricter(), Labels(taken_for.0 & !self.0).stricter())
    }

    /// These and those that were added to others before; what is said by hand lets no calls off.
    pub(crate) fn with_added(self, added: Labels) -> Labels {
        let lets_off = 0b110_0000;
        if added == Labels::default() { self } else { Labels(self.0 & !lets_off | added.0) }
    }

    fn held(self) -> impl Iterator<Item = (char, &'static str)> {
        Labels::WORDS.into_iter().enumerate().filter(move |(at, _)| self.0 & (1 << at) != 0).map(|(_, word)| word)
    }

    fn and(self, is: impl Fn(&(char, &str)) -> bool) -> Option<Labels> {
        Labels::WORDS.iter().position(is).map(|at| Labels(self.0 | 1 << at))
    }
}

impl TryFrom<Vec<String>> for Labels {
    type Error = String;

    fn try_from(words: Vec<String>) -> Result<Labels, String> {
        Labels::of(words.iter().map(String::as_str)).map_err(|word| {
            let known = Labels::WORDS.map(|(_, word)| word).join(", ");
            format!("`{}` is no label; there are {known}", word.escape_default())
        })
    }
}

/// The same in the list of what waits, where each candidate has to take little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Letters(pub(crate) Labels);

impl TryFrom<String> for Letters {
    type Error = String;

    fn try_from(letters: String) -> Result<Letters, String> {
        let all = letters.chars().try_fold(Labels::default(), |held, letter| held.and(|(known, _)| *known == letter));
        all.map(Letters).ok_or_else(|| "expected letters for labels".to_owned())
    }
}

impl From<Letters> for String {
    fn from(Letters(labels): Letters) -> String {
        labels.held().map(|(letter, _)| letter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_letters_say_the_same() {
        for bits in 0..128 {
            let labels = Labels(bits);
            assert_eq!(Labels::of(labels.words()), Ok(labels));
            assert_eq!(Letters::try_from(String::from(Letters(labels))), Ok(Letters(labels)));
        }
        assert_eq!(Labels::of(["reads", "harmless"]), Err("harmless"));
        assert!(Letters::try_from("ux".to_owned()).is_err());
    }
}
