//! What has come into a conversation so far, in words that policies read.

use std::fmt;

/// One such word. It says what a session has come to hold, and never goes away from it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// The client was given something that may give its model orders.
    Untrusted,
    /// The client was given what strangers may have written.
    UntrustedContent,
    /// The client was given what is not for everybody.
    PrivateData,
}

impl Label {
    /// All of them; a new one is one line here and its name below.
    pub const ALL: [Label; 3] = [Label::Untrusted, Label::UntrustedContent, Label::PrivateData];

    /// Its name in policies, records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Label::Untrusted => "untrusted",
            Label::UntrustedContent => "untrusted_content",
            Label::PrivateData => "private_data",
        }
    }

    /// The label of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Label> {
        Label::ALL.into_iter().find(|label| label.as_str() == name)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of them, which is one byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Labels(u8);

impl Labels {
    /// None.
    pub const NONE: Labels = Labels(0);

    /// This one alone.
    #[must_use]
    pub const fn of(label: Label) -> Labels {
        Labels(1 << label as u8)
    }

    /// What [`Labels::bits`] gave.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Labels {
        Labels(bits)
    }

    /// As a byte.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this is one of them.
    #[must_use]
    pub const fn contains(self, label: Label) -> bool {
        self.0 & Labels::of(label).0 != 0
    }

    /// These and those.
    #[must_use]
    pub const fn with(self, others: Labels) -> Labels {
        Labels(self.0 | others.0)
    }

    /// These without those.
    #[must_use]
    pub const fn without(self, others: Labels) -> Labels {
        Labels(self.0 & !others.0)
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Label> {
        Label::ALL.into_iter().filter(move |label| self.contains(*label))
    }

    /// Their names.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(Label::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_and_a_place_of_its_own() {
        let mut all = Labels::NONE;
        for label in Label::ALL {
            assert_eq!(Label::named(label.as_str()), Some(label));
            assert!(!all.contains(label), "{label} has the place of another");
            all = all.with(Labels::of(label));
            assert_eq!(all.without(Labels::of(label)).with(Labels::of(label)), all);
        }
        assert_eq!(all.names().len(), Label::ALL.len());
        assert_eq!(Label::named("Untrusted"), None);
        assert!(Labels::NONE.is_empty() && !all.is_empty());
    }
}
