//! What was seen of one field, in counts.

use std::collections::BTreeMap;

use bartizan_detect::personal::{Personal, PersonalKind};
use bartizan_detect::secrets::Scanner;
use bartizan_flow::has_prose;

use super::names::{NameKind, is_contact, is_noise};

/// Values of one field that are looked through for what they hold, and bytes of each.
const LOOKED: u64 = 200;
const LOOKED_BYTES: usize = 2_048;
/// Characters from which on sentences are long.
const LONG_PROSE: usize = 200;

/// What was seen of one field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Field {
    /// What its name says.
    pub(super) name: Option<NameKind>,
    pub(super) values: u64,
    /// In how many results it was, and the last of them.
    pub(super) results: u64,
    last: u64,
    pub(super) bytes: u64,
    /// Characters of the longest text.
    pub(super) longest: usize,
    pub(super) prose: u64,
    pub(super) noise: u64,
    /// How many values were looked through; in how many there was what reaches or tells a person, and a secret.
    pub(super) looked: u64,
    pub(super) contacts: u64,
    pub(super) secrets: u64,
    /// In how many of them each kind was.
    pub(super) kinds: BTreeMap<&'static str, u64>,
    /// Values that later calls were held against, and how often one came up.
    pub(super) tracked: u64,
    pub(super) came_up: u64,
}

/// What a text says about the tool that brings it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hints {
    pub(super) personal: bool,
    pub(super) secret: bool,
    pub(super) link: bool,
    pub(super) stranger: bool,
    pub(super) html: bool,
    pub(super) prose: bool,
}

impl Hints {
    pub(super) fn and(&mut self, other: Hints) {
        self.personal |= other.personal;
        self.secret |= other.secret;
        self.link |= other.link;
        self.stranger |= other.stranger;
        self.html |= other.html;
        self.prose |= other.prose;
    }
}

impl Field {
    pub(super) fn of(name: Option<NameKind>) -> Field {
        Field { name, ..Field::default() }
    }

    /// Counts that a value stands there, in the result of that number.
    pub(super) fn is_in(&mut self, result: u64, bytes: usize) {
        self.values += 1;
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.results == 0 || self.last != result {
            self.results += 1;
            self.last = result;
        }
    }

    /// Counts what a text says; mail to one of `own` domains is of no stranger.
    pub(super) fn text(&mut self, text: &str, own: &[String]) -> Hints {
        let length = text.chars().count();
        self.longest = self.longest.max(length);
        let prose = has_prose(text);
        self.prose += u64::from(prose);
        self.noise += u64::from(is_noise(text));
        let begin = text.get(..text.floor_char_boundary(LOOKED_BYTES)).unwrap_or_default();
        let mut hints = Hints {
            link: text.contains("://"),
            html: has_html(begin),
            prose: prose && length >= LONG_PROSE,
            ..Hints::default()
        };
        if self.looked >= LOOKED || text.is_empty() {
            return hints;
        }
        self.looked += 1;
        let told = Personal::built_in();
        let mut kinds: Vec<&'static str> = Vec::new();
        for found in told.look_text(begin).iter().filter(|found| is_contact(found.kind)) {
            kinds.push(found.kind.as_str());
            hints.stranger |= found.kind == PersonalKind::Email && !is_own(&found.value, own);
        }
        kinds.sort_unstable();
        kinds.dedup();
        hints.personal = !kinds.is_empty();
        hints.secret = !Scanner::built_in().look_at(begin).is_empty();
        self.contacts += u64::from(hints.personal);
        self.secrets += u64::from(hints.secret);
        kinds.into_iter().for_each(|kind| *self.kinds.entry(kind).or_default() += 1);
        hints
    }

    /// Counts what another one has seen, which is the same to whoever looks.
    pub(super) fn add(&mut self, other: &Field) {
        let Field { name, values, results, last, bytes, longest, .. } = other;
        self.name = self.name.max(*name);
        self.values += values;
        // In one result there may be both.
        self.results = self.results.max(*results);
        self.last = self.last.max(*last);
        self.bytes = self.bytes.saturating_add(*bytes);
        self.longest = self.longest.max(*longest);
        self.prose += other.prose;
        self.noise += other.noise;
        self.looked += other.looked;
        self.contacts += other.contacts;
        self.secrets += other.secrets;
        other.kinds.iter().for_each(|(kind, count)| *self.kinds.entry(kind).or_default() += count);
        self.tracked += other.tracked;
        self.came_up += other.came_up;
    }
}

/// Whether an address is in one of these domains, or below one.
fn is_own(address: &str, own: &[String]) -> bool {
    let host = address.rsplit('@').next().unwrap_or_default().to_lowercase();
    own.iter()
        .map(|domain| domain.trim_start_matches("*.").to_lowercase())
        .any(|domain| host == domain || host.strip_suffix(&*domain).is_some_and(|rest| rest.ends_with('.')))
}

fn has_html(text: &str) -> bool {
    const TAGS: [&str; 9] = ["<html", "<body", "<div", "<p>", "<a href", "<br", "<table", "<script", "<img "];
    let text = text.to_ascii_lowercase();
    text.contains('<') && TAGS.iter().any(|tag| text.contains(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_hints_at_what_its_tool_brings() {
        let own = ["corp.example".to_owned()];
        let none = Hints::default();
        let prose = "The quarterly figures are late again, and nobody has said why. ".repeat(4);
        let aws = "aws_access_key_id = AKIAQYLPMN5HFIQR7XYA";
        for (text, hints) in [
            ("short", none),
            ("ann@corp.example", Hints { personal: true, ..none }),
            ("ann@x.corp.example", Hints { personal: true, ..none }),
            ("eve@notcorp.example", Hints { personal: true, stranger: true, ..none }),
            ("https://a.example/x", Hints { link: true, ..none }),
            ("<DIV>hello</DIV>", Hints { html: true, ..none }),
            ("a < b > c", none),
            (&prose, Hints { prose: true, ..none }),
            (aws, Hints { secret: true, ..none }),
        ] {
            assert_eq!(Field::default().text(text, &own), hints, "{text}");
        }
    }

    #[test]
    fn what_is_looked_through_is_bounded_and_what_is_counted_is_not() {
        let mut field = Field::default();
        for result in 0..300 {
            field.is_in(result / 2, 16);
            field.text("ann@corp.example", &[]);
        }
        assert_eq!((field.values, field.results, field.looked, field.contacts), (300, 150, LOOKED, LOOKED));
        assert_eq!(field.kinds, [("email", LOOKED)].into());
    }
}
