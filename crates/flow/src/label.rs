//! What a tool does with information, in four words that an operator can correct.

use std::fmt;

/// One such word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ToolLabel {
    /// Its results hold what strangers may have written.
    UntrustedContent,
    /// Its results hold what is not for everybody.
    PrivateData,
    /// Its calls reach others: people, services, the public.
    PublicSink,
    /// Its calls cannot be taken back, or change who may do what.
    Destructive,
}

impl ToolLabel {
    /// All of them.
    pub const ALL: [ToolLabel; 4] =
        [ToolLabel::UntrustedContent, ToolLabel::PrivateData, ToolLabel::PublicSink, ToolLabel::Destructive];

    /// Its name in the configuration, the lock file and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ToolLabel::UntrustedContent => "untrusted_content",
            ToolLabel::PrivateData => "private_data",
            ToolLabel::PublicSink => "public_sink",
            ToolLabel::Destructive => "destructive",
        }
    }

    /// The label of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<ToolLabel> {
        ToolLabel::ALL.into_iter().find(|label| label.as_str() == name)
    }
}

impl fmt::Display for ToolLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of them, which is one byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ToolLabels(u8);

impl ToolLabels {
    /// None.
    pub const NONE: ToolLabels = ToolLabels(0);

    /// Whether this is one of them.
    #[must_use]
    pub const fn has(self, label: ToolLabel) -> bool {
        self.0 & (1 << label as u8) != 0
    }

    /// These and that one.
    #[must_use]
    pub const fn with(self, label: ToolLabel) -> ToolLabels {
        ToolLabels(self.0 | 1 << label as u8)
    }

    /// These without that one.
    #[must_use]
    pub const fn without(self, label: ToolLabel) -> ToolLabels {
        ToolLabels(self.0 & !(1 << label as u8))
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = ToolLabel> {
        ToolLabel::ALL.into_iter().filter(move |label| self.has(*label))
    }
}

impl FromIterator<ToolLabel> for ToolLabels {
    fn from_iter<I: IntoIterator<Item = ToolLabel>>(labels: I) -> ToolLabels {
        labels.into_iter().fold(ToolLabels::NONE, ToolLabels::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_and_a_place_of_its_own() {
        for label in ToolLabel::ALL {
            assert_eq!(ToolLabel::named(label.as_str()), Some(label));
            let alone: ToolLabels = [label].into_iter().collect();
            assert_eq!(alone.iter().collect::<Vec<_>>(), [label]);
            assert_eq!(alone.without(label), ToolLabels::NONE);
        }
        assert_eq!(ToolLabel::named("Destructive"), None);
    }
}
